"""Small rooms of the real code, in which every order of deliveries can be tried.

An item is what one operation of one member sends: a commit, an invitation or a message. Its key
says who made it, what it was, and what its maker had then; all randomness is drawn from that. So
what a device is depends only on the set of items that it has, if the rules are right, and
`Lab.seat` checks exactly that: it reaches each set by every last item, with a restart each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from evanesce.content import Content
from evanesce.errors import EvanesceError, HeldError, LocalError, Reason
from evanesce.formats import COMMIT_COPY
from evanesce.founding import Invited
from evanesce.membership import Mode, Policy, Role
from evanesce.operations import Remove, Resync, SetPolicy, SetRole, Wish
from evanesce.resync import ResyncRequest
from evanesce.room import Room
from tests.convergence.settling import Broken, enter, removed_in
from tests.room.room_support import NOW, Person, Stream, said

MEMBERS: Final = ("Ann", "Bob", "Cid", "Dee")
GUEST: Final = "Eve"
ROLES: Final = {"Bob": Role.ADMIN}
LATER: Final = NOW + 2 * 3_600  # when honest members act: the third hour after the genesis
BACK: Final = NOW - 60  # the clock of one who puts it back
LAST: Final = LATER + 3_600  # when all is healed

Past = frozenset[int]


@dataclass(frozen=True)
class Item:
    """One thing that travels: what it is, from whom, and the bytes for each receiver by name."""

    key: int
    kind: str
    maker: str
    name: str
    copies: Mapping[str, bytes]
    past: Past  # what its maker had


@dataclass(frozen=True)
class Seat:
    """What a device has after a crash: its records, and what it holds."""

    records: Mapping[bytes, bytes] | None = None
    held: Past = frozenset()
    read: Past = frozenset()
    told: frozenset[tuple[int, str]] = frozenset()
    live: Room | None = field(default=None, compare=False, repr=False)  # only to look at

    @property
    def room(self) -> Room:
        """The room, restored."""
        assert self.records is not None
        return Room.restore(self.records)


def view(room: Room) -> bytes:
    """A hash of all that a room is, whatever the order in which it came to it.

    Left out is what may differ: the chains and inits of those whose removal has been seen (14.2),
    and how far chains are (one stays open while an epoch that it was left for is unknown, 11.6):
    what can be read is compared by what has been read.
    """
    state = room.state
    gone = removed_in(room)
    out = hashlib.blake2b()
    for prefix in sorted(state.epochs):
        epoch = state.epochs[prefix]
        kept = replace(
            epoch,
            handshakes=dict(sorted(epoch.handshakes.items())),
            inits={m: key for m, key in sorted(epoch.inits.items()) if m not in gone},
            taken=dict(sorted(epoch.taken.items())),
        )
        out.update(kept.dump())
        out.update(repr(sorted(epoch.chains.keys() - gone)).encode())
    sending = None if state.sending is None else (state.sending.key.reveal(), state.sending.index)
    out.update(repr((
        state.current, state.removed, state.removal, sending, state.last_spoken,
        state.sent_since_refresh, sorted(state.noted),
        sorted((m, asked) for m, asked in state.leaving.items() if m not in gone),
        sorted(state.equivocators), state.own,
    )).encode())  # fmt: skip
    return out.digest()


@dataclass
class Counts:
    """What has been looked at."""

    states: int = 0
    steps: int = 0
    worlds: int = 0
    ghosts: int = 0  # worlds in which a guest had to be removed and admitted anew


@dataclass
class Lab:
    """Everybody, the room as all had it at first, and every item and seat made since."""

    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.people = {name: Person(name) for name in (*MEMBERS, GUEST)}
        policy = Policy(Mode.SIGNED, members_may_add=True)
        ann = self.people["Ann"]
        guests = [self.people[n].invited(ROLES.get(n, Role.MEMBER)) for n in MEMBERS[1:]]
        room, letters = Room.found(
            ann.keys, policy, guests, "Ann", ann.mailbox.mailbox, NOW, ann.random
        )
        rooms = {"Ann": room}
        for name, guest, letter in zip(MEMBERS[1:], guests, letters.values(), strict=True):
            rooms[name] = self.people[name].join(letter, guest, NOW)
        self.names = {room.own_id: name for name, room in rooms.items()}
        self.ids = {name: room.own_id for name, room in rooms.items()}
        self.room_id = room.id
        self.start = {name: Seat(room.records()) for name, room in rooms.items()}
        self.start[GUEST] = Seat()
        self.packages = {
            name: self.people[GUEST].package(now=NOW) for name in MEMBERS
        }  # each has another package of the guest
        self.requests: dict[str, ResyncRequest] = {}
        for name in MEMBERS:
            person = self.people[name]
            package = person.package(now=NOW).package
            self.requests[name] = ResyncRequest.make(
                person.keys, self.room_id, self.ids[name], LATER - 60, package
            )
        self.items: list[Item] = []
        self._made: dict[tuple[str, str, Past], tuple[int, ...]] = {}
        self._after: dict[int, Seat] = {}  # item that its maker made last: the seat after it
        self._seats: dict[tuple[str, Past], Seat] = {}
        self._views: dict[tuple[str, Past], tuple[bytes, Past, Past]] = {}

    # --- making ------------------------------------------------------------------------------

    def make(self, maker: str, action: str, past: Past) -> tuple[int, ...] | None:
        """What `maker`, having `past`, sends by `action`; None if it may not do so there."""
        known = self._made.get((maker, action, past))
        if known is not None:
            return known or None
        seat = self.seat(maker, past)
        made: list[Item] = []
        if seat.records is not None:
            room = seat.room
            stream = Stream(f"{maker}/{action}/{sorted(past)}")
            try:
                made = self._do(room, maker, action, past, stream)
            except LocalError:
                made = []
            if made:
                self.items += made
                own = frozenset(item.key for item in made)
                after = replace(seat, records=room.records(), live=room)
                self._after[made[-1].key] = after
                self._seats[maker, past | own] = after
        keys = tuple(item.key for item in made)
        self._made[maker, action, past] = keys
        return keys or None

    def wish(self, room: Room, action: str) -> tuple[list[Wish], list[Invited]]:
        """The operations of an action."""
        verb, _, whom = action.partition(" ")
        if verb == "refresh":
            return [], []
        if verb == "add":
            return [], [Invited(self.packages[whom].package, 0, Role.MEMBER)]
        if verb == "policy":
            now = room.policy
            return [SetPolicy(replace(now, members_may_add=not now.members_may_add))], []
        target = room.roster.members.get(self.ids[whom])
        if target is None:
            raise LocalError(Reason.UNKNOWN_MEMBER, "not there")
        if verb == "remove":
            return [Remove(target.id, target.admission)], []
        if verb == "resync":
            return [Resync(self.requests[whom])], []
        role = {"demote": target.role - 1, "promote": target.role + 1}[verb]
        if role not in (0, 1, 2):
            raise LocalError(Reason.BAD_INPUT, "no such role")
        return [SetRole(target.id, Role(role))], []

    def _do(
        self, room: Room, maker: str, action: str, past: Past, stream: Stream
    ) -> list[Item]:
        """Carry an action out: `say`, `leave`, or a commit, with `<` by a clock put back."""
        owner = self.people[maker].keys
        if action in ("say", "leave"):
            content: Content = room.leave_request(owner) if action == "leave" else said("hi", LATER)
            sent = room.send(owner, content, LATER, stream)
            copies = {self.names[m]: sent.message for m in sent.recipients}
            return [self._item(0, "message", maker, action, copies, past)]
        back = action.endswith("<")
        if action.startswith("twice"):
            twin = Room.restore(room.records())
            items = self._commit(room, maker, "refresh", past, stream, LATER, 0)
            other = Stream(f"twin of {maker}/{sorted(past)}")
            return items + self._commit(twin, maker, "refresh", past, other, LATER, 1)
        verb, _, victim = action.partition(" ")
        if verb in ("wrong", "withhold"):  # by a clock put back, so that it comes first
            (item,) = self._commit(room, maker, "refresh", past, stream, BACK, 0)
            copies = dict(item.copies)
            sealed, slot = COMMIT_COPY.parse(copies.pop(victim))
            assert slot is not None
            if verb == "wrong":
                copies[victim] = COMMIT_COPY.build(sealed, bytes(len(slot)))
            return [replace(item, name=f"{maker} {action}", copies=copies)]
        if action.startswith("add") and " " not in action:
            action = action.rstrip("<") + f" {maker}"
        made = self._commit(
            room, maker, action.rstrip("<"), past, stream, BACK if back else LATER, 0
        )
        return made

    def _commit(
        self, room: Room, maker: str, action: str, past: Past, stream: Stream, now: int, at: int
    ) -> list[Item]:
        wishes, invited = self.wish(room, action.rstrip("<"))
        made = room.commit(self.people[maker].keys, wishes, invited, now, stream)
        for member in made.added:
            name = next(n for n, p in self.people.items() if p.keys.identity == member.identity)
            self.names[member.id] = name
        copies = {self.names[m]: data for m, data in made.copies.items()}
        items = [self._item(at, "commit", maker, action, copies, past)]
        if made.invitations:
            letters = {self.names[m]: data for m, data in made.invitations.items()}
            items.append(self._item(at + 1, "invitation", maker, action, letters, past))
        return items

    def _item(
        self, at: int, kind: str, maker: str, action: str, copies: Mapping[str, bytes], past: Past
    ) -> Item:
        return Item(len(self.items) + at, kind, maker, f"{maker} {action}", copies, past)

    # --- delivering --------------------------------------------------------------------------

    def inbox(self, name: str, items: Iterable[int]) -> Past:
        """Those items that are for `name`, or made by it."""
        return frozenset(
            key for key in items
            if name in self.items[key].copies or self.items[key].maker == name
        )  # fmt: skip

    def seat(self, name: str, have: Past) -> Seat:
        """What `name` is once it has these items; raise `Broken` if their order counts."""
        known = self._seats.get((name, have))
        if known is not None and (name, have) in self._views:
            return known
        if not have:
            self._seats[name, have] = self.start[name]
            return self.start[name]
        own = [key for key in have if self.items[key].maker == name]
        fixed: set[int] = set().union(*(self.items[key].past for key in own)) if own else set()
        first = known
        seen: tuple[bytes, Past, Past] | None = None
        if known is not None:
            seen = self._look(name, have, known)
        for key in sorted(have):
            if key in fixed or self.items[key].maker == name:
                continue
            after = self.deliver(name, self.seat(name, have - {key}), key)
            self.counts.steps += 1
            looked = self._look(name, have, after)
            if first is None:
                first, seen = after, looked
            elif looked != seen and not self._unknown_inviter(name, first, after):
                among = [(k, self.items[k].name, self.items[k].kind) for k in sorted(have)]
                raise Broken(f"{name} is another when {key} comes last of {among}")
        assert first is not None, (name, [self.items[k].name for k in have])
        assert seen is not None
        self._seats[name, have] = first
        self._views[name, have] = seen
        self.counts.states += 1
        return first

    def _look(self, name: str, have: Past, seat: Seat) -> tuple[bytes, Past, Past]:
        if seat.records is None:
            return b"", frozenset(), frozenset()
        room = seat.live or seat.room
        if name == GUEST:  # by which of several invitations it came does not matter in the end
            return room.state.current, frozenset(), frozenset()
        if any(
            name in self.items[key].copies and self.items[key].kind == "invitation" for key in have
        ):  # what it had before is no more (10.13)
            return b"", frozenset(), frozenset()
        gone = {self.names.get(member) for member in removed_in(room)}
        read = frozenset(key for key in seat.read if self.items[key].maker not in gone)
        return view(room), seat.held, read

    def _unknown_inviter(self, name: str, *seats: Seat) -> bool:
        """Whether a guest holds an invitation by somebody whom it has never known as a member."""
        return name == GUEST and any(
            self.ids[self.items[key].maker] not in seat.room.roster
            for seat in seats for key in seat.held if self.items[key].kind == "invitation"
        )  # fmt: skip

    def deliver(self, name: str, seat: Seat, key: int, now: int = LATER) -> Seat:
        """Restart a device, give it an item, and what it holds again as long as that helps."""
        seat = self._take(name, replace(seat, held=seat.held | {key}), key, now)
        moved = True
        while moved and seat.records is not None:
            moved = False
            for other in sorted(seat.held):
                tried = self._take(name, seat, other, now)
                moved = moved or tried is not seat
                seat = tried
        return seat

    def _take(self, name: str, seat: Seat, key: int, now: int) -> Seat:
        item = self.items[key]
        data = item.copies[name]
        try:
            if item.kind == "invitation":
                after = self._join(name, seat, data, now)
                return replace(after, held=after.held - {key})
            if seat.records is None:
                return seat
            room = seat.room
            if item.kind == "commit":
                room.apply(data, now)
                return replace(seat, records=room.records(), live=room, held=seat.held - {key})
            room.receive(data, now)
            return replace(
                seat, records=room.records(), live=room,
                held=seat.held - {key}, read=seat.read | {key},
            )
        except HeldError:
            return seat
        except EvanesceError as fault:
            told = seat.told | {(key, fault.reason.value)}
            return replace(seat, held=seat.held - {key}, told=told)

    def _join(self, name: str, seat: Seat, data: bytes, now: int) -> Seat:
        old = None if seat.records is None else seat.room
        room = enter(self.people[name], old, data, now)
        return replace(seat, records=room.records(), live=room)


__all__ = ["BACK", "GUEST", "LAST", "LATER", "MEMBERS", "Counts", "Item", "Lab", "Past", "Seat",
           "view"]  # fmt: skip
