"""A signed room against a simple model, under any schedule.

The model knows no keys. It keeps, for each seat (one membership of one person), which epochs it
has, what it has read of whom, and how many messages each member sent in each epoch. From that it
says of every delivery exactly what must happen: read, or refused and why, and how many messages
the reader learns that it misses. Commits come one at a time: the next is made once all who stay
have applied the last one. A removed person may learn of it at any time, or never, and may be
admitted again at once, on a new seat.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from evanesce.content import Evaporation
from evanesce.errors import EvanesceError, HeldError, LocalError, Reason, RemoteError
from evanesce.founding import Invited
from evanesce.limits import EPOCH_GRACE, HOUR, SKIPPED_LIFETIME
from evanesce.membership import Mode, Policy, Role
from evanesce.operations import Remove, SetPolicy, SetRole, Wish
from evanesce.room import Room
from evanesce.speech import Sent
from tests.room.room_support import NOW, Person, said, state_of

NAMES = ("ann", "bob", "cid", "dan", "eve")
MOST_SEATS = 8


@dataclass
class Heard:
    """What a reader has of one sender in one epoch."""

    next: int = 0  # the index past the highest it has read, or the count once closed
    skipped: dict[int, int] = field(default_factory=dict)  # index: since when
    closed: bool = False


@dataclass
class Seat:
    """One membership: the real room, and what the model says it is."""

    person: Person
    room: Room
    id: bytes
    joined: int  # the epoch it came in
    epoch: int  # the one it is in now
    out: bool = False  # it has applied its own removal
    over: bool = False  # long ago: nothing can make it a member again
    gone: set[bytes] = field(default_factory=set)  # members whose removal it has applied
    kept: set[int] = field(default_factory=set)  # epochs not expired
    left: dict[int, int] = field(default_factory=dict)  # when it left each epoch
    heard: dict[tuple[bytes, int], Heard] = field(default_factory=dict)
    store: dict[bytes, bytes] = field(default_factory=dict)
    read: set[tuple[bytes, int, int]] = field(default_factory=set)
    sent: dict[int, int] = field(default_factory=dict)  # messages sent, by epoch
    leaving: set[bytes] = field(default_factory=set)  # who asked, while this seat was there

    def of(self, sender: bytes, epoch: int) -> Heard:
        return self.heard.setdefault((sender, epoch), Heard())


@dataclass
class Message:
    """A sealed message, and what its sender knew."""

    sent: Sent
    sender: bytes
    epoch: int
    index: int
    text: str
    at: int
    last: tuple[int, int] | None  # the epoch its sender spoke in before, and how often


class SignedRoom(RuleBasedStateMachine):
    """People send, commit, lose, repeat, damage and restore in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.people = {name: Person(name) for name in NAMES}
        self.seats: list[Seat] = []
        self.messages: list[Message] = []
        self.roster: dict[bytes, Role] = {}  # of the newest epoch, in order of seniority
        self.tip = 0
        self.policy = Policy(Mode.SIGNED)
        self.pending: dict[bytes, bytes] = {}  # member: its copy of a commit
        self.pending_epoch: dict[bytes, int] = {}
        self.removed_at: dict[bytes, int] = {}
        self.transcripts: dict[int, bytes] = {}

    # --- the beginning ---------------------------------------------------------------------------

    @initialize(
        count=st.integers(2, 4), roles=st.lists(st.sampled_from(Role), min_size=3, max_size=3)
    )
    def found(self, count: int, roles: list[Role]) -> None:
        first, *others = (self.people[name] for name in NAMES[:count])
        guests = [person.invited(role) for person, role in zip(others, roles, strict=False)]
        room, invitations = Room.found(
            first.keys, self.policy, guests, first.name, first.mailbox.mailbox, NOW, first.random
        )
        self.sit(first, room)
        for person, guest, invitation in zip(others, guests, invitations.values(), strict=True):
            self.sit(person, person.join(invitation, guest, NOW))
        self.roster = {
            seat.id: role
            for seat, role in zip(self.seats, [Role.OWNER, *roles], strict=False)
        }

    def sit(self, person: Person, room: Room) -> None:
        seat = Seat(person, room, room.own_id, self.tip, self.tip, kept={self.tip})
        self.seats.append(seat)
        self.save(seat)

    # --- the model -------------------------------------------------------------------------------

    def seat_of(self, member: bytes) -> Seat:
        return next(seat for seat in self.seats if seat.id == member)

    def settled(self) -> bool:
        """Whether all who are in the newest roster have applied the last commit."""
        return all(self.seat_of(member).epoch == self.tip for member in self.roster)

    def expected(self, reader: Seat, message: Message) -> tuple[type[EvanesceError], Reason] | None:
        """Why a delivery must be refused; None if the message must be read."""
        if message.sender == reader.id:
            return RemoteError, Reason.OWN_MESSAGE
        if message.epoch not in reader.kept:
            if reader.over:
                return RemoteError, Reason.ROOM_CLOSED
            return HeldError, Reason.UNKNOWN_EPOCH
        if message.sender in reader.gone:
            return RemoteError, Reason.UNKNOWN_MEMBER
        heard = reader.of(message.sender, message.epoch)
        if message.index < heard.next:
            return None if message.index in heard.skipped else (RemoteError, Reason.REPLAY)
        if heard.closed:
            return RemoteError, Reason.BEYOND_COUNT
        return None

    def note(self, reader: Seat, message: Message) -> int:
        """Enter a message that was read; return how many more it shows to be missing."""
        heard = reader.of(message.sender, message.epoch)
        shown = 0
        if message.index < heard.next:
            del heard.skipped[message.index]
        else:
            new = range(heard.next, message.index)
            heard.skipped |= dict.fromkeys(new, self.now)
            shown += len(new)
            heard.next = message.index + 1
        for epoch in sorted(reader.kept, reverse=True):
            if epoch >= message.epoch or epoch < reader.joined:
                continue
            if message.last is not None and epoch < message.last[0]:
                break
            named = message.last is not None and message.last[0] == epoch
            count = message.last[1] if named and message.last else 0
            old = reader.of(message.sender, epoch)
            if not old.closed and message.sender in self.members_at(epoch):
                new = range(old.next, count)
                old.skipped |= dict.fromkeys(new, self.now)
                shown += len(new)
                old.next, old.closed = max(old.next, count), True
        return shown

    def members_at(self, epoch: int) -> set[bytes]:
        return {
            seat.id
            for seat in self.seats
            if seat.joined <= epoch < self.removed_at.get(seat.id, 10**9)
        }

    def may(self, committer: bytes, kind: str, target: bytes) -> bool:
        """The table of rights, for what this machine commits."""
        own, order = self.roster[committer], list(self.roster)
        other = self.roster[target]
        above = own > other or (
            own == other == Role.OWNER and order.index(committer) < order.index(target)
        )
        match kind:
            case "refresh":
                return True
            case "add":
                return own >= Role.ADMIN or self.policy.members_may_add
            case "remove":
                return own >= Role.ADMIN and above
            case "promote":  # to admin
                return own == Role.OWNER and (above or target == committer)
            case "demote":  # to member
                return (own >= Role.ADMIN and above) or (target == committer and own > Role.MEMBER)
            case _:
                return own == Role.OWNER

    def derive_owner(self) -> None:
        if Role.OWNER not in self.roster.values():
            order = list(self.roster)
            heir = min(order, key=lambda m: (-self.roster[m], order.index(m)))
            self.roster[heir] = Role.OWNER

    # --- sending and reading ---------------------------------------------------------------------

    @rule(number=st.integers(0, MOST_SEATS - 1))
    def send(self, number: int) -> None:
        seat = self.seats[number % len(self.seats)]
        text = f"message {len(self.messages)}"
        if seat.out:
            self.refused(seat, LocalError, Reason.ROOM_CLOSED, lambda: self.say(seat, text))
            return
        last = max((epoch for epoch in seat.sent if epoch < seat.epoch), default=None)
        index = seat.sent.get(seat.epoch, 0)
        sent = self.say(seat, text)
        seat.sent[seat.epoch] = index + 1
        spoken = None if last is None else (last, seat.sent[last])
        self.messages.append(Message(sent, seat.id, seat.epoch, index, text, self.now, spoken))

    def say(self, seat: Seat, text: str) -> Sent:
        person = seat.person
        return seat.room.send(person.keys, said(text, self.now), self.now, person.random)

    @precondition(lambda self: self.messages)
    @rule(back=st.integers(0, 30), number=st.integers(0, MOST_SEATS - 1))
    def deliver(self, back: int, number: int) -> None:
        """Any message, old or new, to anyone, for the first time or again."""
        message = self.messages[-1 - back % len(self.messages)]
        self.hand(self.seats[number % len(self.seats)], message)

    @precondition(lambda self: self.messages)
    @rule(back=st.integers(0, 5))
    def deliver_to_all(self, back: int) -> None:
        message = self.messages[-1 - back % len(self.messages)]
        for seat in self.seats:
            self.hand(seat, message)

    def hand(self, reader: Seat, message: Message) -> None:
        why = self.expected(reader, message)
        if why is not None:
            self.refused(
                reader, *why, lambda: reader.room.receive(message.sent.message, self.now)
            )
            return
        received = reader.room.receive(message.sent.message, self.now)
        name = (message.sender, message.epoch, message.index)
        assert name not in reader.read, "read twice"
        reader.read.add(name)
        assert received.content == said(message.text, message.at)
        assert (received.sender, received.epoch, received.index) == name
        assert received.id == message.sent.id
        assert received.missing == self.note(reader, message)
        assert not received.lost

    @precondition(lambda self: self.messages)
    @rule(back=st.integers(0, 30))
    def drop(self, back: int) -> None:
        """It reaches nobody any more."""
        del self.messages[-1 - back % len(self.messages)]

    @precondition(lambda self: self.messages)
    @rule(
        back=st.integers(0, 10),
        number=st.integers(0, MOST_SEATS - 1),
        place=st.integers(0, 10_000),
        bits=st.integers(1, 255),
    )
    def damage(self, back: int, number: int, place: int, bits: int) -> None:
        """A byte changed on the way: refused, nothing changes, and the original is as before."""
        message = self.messages[-1 - back % len(self.messages)]
        reader = self.seats[number % len(self.seats)]
        changed = bytearray(message.sent.message)
        changed[place % len(changed)] ^= bits
        before = reader.room.digest()
        self.refused(
            reader, RemoteError, None, lambda: reader.room.receive(bytes(changed), self.now)
        )
        assert reader.room.digest() == before
        self.hand(reader, message)

    # --- commits ---------------------------------------------------------------------------------

    @precondition(lambda self: self.settled())
    @rule(
        kind=st.sampled_from(["refresh", "add", "remove", "remove", "promote", "demote", "policy"]),
        who=st.integers(0, MOST_SEATS - 1),
        whom=st.integers(0, MOST_SEATS - 1),
    )
    def commit(self, kind: str, who: int, whom: int) -> None:
        members = list(self.roster)
        committer = self.seat_of(members[who % len(members)])
        target = members[whom % len(members)]
        operations: list[Wish] = []
        invited: list[Invited] = []
        policy = self.policy
        match kind:
            case "add":
                free = [name for name, person in self.people.items() if not self.present(person)]
                if not free or len(self.seats) == MOST_SEATS:
                    return
                guest = self.people[free[0]].invited(Role.MEMBER, now=self.now)
                invited = [guest]
            case "remove":
                operations = [self.removal(target)]
            case "promote":
                operations = [SetRole(target, Role.ADMIN)]
            case "demote":
                operations = [SetRole(target, Role.MEMBER)]
            case "policy":
                policy = Policy(Mode.SIGNED, whom % 2 == 1, Evaporation(whom, 600))
                operations = [SetPolicy(policy)]
        person = committer.person

        def make() -> object:
            return committer.room.commit(
                person.keys, operations, invited, self.now, person.random
            )

        if not self.may(committer.id, kind, target):
            self.refused(committer, LocalError, Reason.NOT_ENTITLED, make)
            return
        made = committer.room.commit(person.keys, operations, invited, self.now, person.random)
        leavers = committer.leaving & set(self.roster) - {committer.id}
        if kind in {"remove", "promote", "demote"}:
            leavers.discard(target)
        gone = leavers | ({target} if kind == "remove" else set())
        assert {member.id for member in made.removed} == gone
        assert set(made.copies) == set(self.roster) - {committer.id}
        self.tip += 1
        self.policy = policy
        for member in gone:
            del self.roster[member]
            self.removed_at[member] = self.tip
        if kind in {"promote", "demote"}:
            self.roster[target] = Role.ADMIN if kind == "promote" else Role.MEMBER
        self.pending |= made.copies
        self.pending_epoch |= dict.fromkeys(made.copies, self.tip)
        self.enter(committer, gone)
        if invited:
            (invitation,) = made.invitations.values()
            (added,) = made.added
            guest = invited[0]
            person = next(p for p in self.people.values() if guest.package.hash in p.packages)
            self.sit(person, person.join(invitation, guest, self.now))
            self.roster[added.id] = Role.MEMBER
        self.derive_owner()

    def present(self, person: Person) -> bool:
        return any(seat.person is person and seat.id in self.roster for seat in self.seats)

    def removal(self, member: bytes) -> Wish:
        seat = self.seat_of(member)
        return Remove(member, seat.room.roster[member].admission)

    def enter(self, seat: Seat, gone: set[bytes]) -> None:
        seat.left[seat.epoch] = self.now
        seat.epoch = self.tip
        seat.kept.add(self.tip)
        seat.gone |= gone

    @precondition(lambda self: self.pending)
    @rule(number=st.integers(0, MOST_SEATS - 1), twice=st.booleans())
    def apply(self, number: int, twice: bool) -> None:
        """Deliver one copy of a commit."""
        member = sorted(self.pending)[number % len(self.pending)]
        self.apply_to(member, twice)

    def apply_to(self, member: bytes, twice: bool) -> None:
        seat, copy = self.seat_of(member), self.pending[member]
        applied = seat.room.apply(copy, self.now)
        del self.pending[member]
        if applied.removed_self:
            assert member in self.removed_at
            seat.out = True
            seat.left[seat.epoch] = self.now
            if twice:
                self.refused(
                    seat, RemoteError, Reason.REPLAY, lambda: seat.room.apply(copy, self.now)
                )
            return
        self.enter(seat, {removed.id for removed in applied.removed})
        if twice:
            self.refused(
                seat, RemoteError, Reason.REPLAY, lambda: seat.room.apply(copy, self.now)
            )

    @precondition(lambda self: not self.settled())
    @rule()
    def apply_to_all(self) -> None:
        for member in sorted(self.pending):
            if member in self.roster:
                self.apply_to(member, False)

    @precondition(lambda self: self.pending)
    @rule(
        number=st.integers(0, MOST_SEATS - 1),
        place=st.integers(0, 10_000),
        bits=st.integers(1, 255),
    )
    def damage_commit(self, number: int, place: int, bits: int) -> None:
        member = sorted(self.pending)[number % len(self.pending)]
        seat = self.seat_of(member)
        changed = bytearray(self.pending[member])
        changed[place % len(changed)] ^= bits
        self.refused(
            seat, RemoteError, None, lambda: seat.room.apply(bytes(changed), self.now)
        )

    @precondition(lambda self: self.settled() and len(self.roster) > 1)
    @rule(number=st.integers(0, MOST_SEATS - 1))
    def ask_to_leave(self, number: int) -> None:
        """All hear it at once: this message is not lost."""
        members = list(self.roster)
        seat = self.seat_of(members[number % len(members)])
        request = seat.room.leave_request(seat.person.keys)
        index = seat.sent.get(seat.epoch, 0)
        last = max((epoch for epoch in seat.sent if epoch < seat.epoch), default=None)
        sent = seat.room.send(seat.person.keys, request, self.now, seat.person.random)
        seat.sent[seat.epoch] = index + 1
        spoken = None if last is None else (last, seat.sent[last])
        message = Message(sent, seat.id, seat.epoch, index, "", self.now, spoken)
        for member in members:
            if member != seat.id:
                reader = self.seat_of(member)
                received = reader.room.receive(sent.message, self.now)
                assert received.content == request
                assert received.missing == self.note(reader, message)
                reader.read.add((message.sender, message.epoch, message.index))
                reader.leaving.add(seat.id)

    # --- a device's own life ---------------------------------------------------------------------

    @rule(number=st.integers(0, MOST_SEATS - 1), stored=st.booleans())
    def restore(self, number: int, stored: bool) -> None:
        """The application stops and starts again, from all records or from what it stored."""
        seat = self.seats[number % len(self.seats)]
        self.save(seat)
        before = seat.room.digest()
        seat.room = Room.restore(seat.store if stored else seat.room.records())
        assert seat.room.digest() == before

    def save(self, seat: Seat) -> None:
        for name, data in seat.room.changes().items():
            if data is None:
                seat.store.pop(name, None)
            else:
                seat.store[name] = data

    @rule(hours=st.sampled_from([1, 30, 73]))
    def wait(self, hours: int) -> None:
        """Time passes, and everyone erases what has had its time."""
        self.now += hours * HOUR
        for seat in self.seats:
            seat.room.expire(self.now)
            for epoch, left in seat.left.items():
                if self.now - left > EPOCH_GRACE and epoch in seat.kept:
                    if epoch != seat.epoch:
                        seat.kept.discard(epoch)
                    elif seat.out:
                        seat.over = True
                        seat.gone |= self.members_at(epoch) | set(self.roster)
            for heard in seat.heard.values():
                heard.skipped = {
                    index: since
                    for index, since in heard.skipped.items()
                    if self.now - since <= SKIPPED_LIFETIME
                }

    # --- what always holds -----------------------------------------------------------------------

    def refused(
        self, seat: Seat, error: type[EvanesceError], reason: Reason | None, act: object
    ) -> None:
        before = seat.room.digest()
        assert callable(act)
        try:
            act()
        except EvanesceError as caught:
            assert isinstance(caught, error), caught
            if reason is not None:
                assert type(caught) is error
                assert caught.reason is reason, caught
        else:
            raise AssertionError(f"not refused as {reason}")
        assert seat.room.digest() == before, "a refused input changed the state"

    @invariant()
    def everyone_agrees(self) -> None:
        for seat in self.seats:
            assert seat.room.epoch == seat.epoch
            assert seat.room.closed == seat.out
            assert {e.number for e in state_of(seat.room).epochs.values()} == seat.kept
            known = self.transcripts.setdefault(seat.epoch, seat.room.transcript)
            assert seat.room.transcript == known
            if seat.epoch == self.tip and seat.id in self.roster:
                assert {m.id: m.role for m in seat.room.roster} == self.roster
                assert [m.id for m in seat.room.roster] == list(self.roster)
                assert seat.room.policy == self.policy

    @invariant()
    def no_two_epochs_share_a_transcript(self) -> None:
        assert len(set(self.transcripts.values())) == len(self.transcripts)


def test_signed_room() -> None:
    run_state_machine_as_test(
        SignedRoom,
        settings=settings(settings(), stateful_step_count=60),
    )
