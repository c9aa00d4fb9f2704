"""A room of many under everything that a network, a clock and a crash can do to it.

Devices are `Room`s that live only in their records, as a store would have them. What is sent lies
in the receivers' boxes and is delivered in any order, once or more, never or only when no partition
lies between; nothing of it is lost for good, since a real device asks for repair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from evanesce.errors import EvanesceError, HeldError, LocalError, Reason, RemoteError
from evanesce.founding import Invited
from evanesce.membership import Mode, Policy, Role
from evanesce.operations import Remove, Resync, SetPolicy, SetRole, Wish
from evanesce.proofs import Proof
from evanesce.resync import ResyncRequest
from evanesce.room import Room
from tests.convergence.settling import Broken, Crew, enter, removed_in
from tests.room.room_support import NOW, Person, Stream, said

# What honest input may be refused with: it came before, it is of somebody whose removal has been
# seen, or of a place that the device has left.
MAY_REFUSE: Final = {
    "commit": {Reason.REPLAY, Reason.ROOM_CLOSED, Reason.OWN_MESSAGE},
    "message": {Reason.REPLAY, Reason.ROOM_CLOSED, Reason.OWN_MESSAGE, Reason.UNKNOWN_MEMBER},
    "invitation": {Reason.UNKNOWN_PACKAGE, Reason.USED_PACKAGE, Reason.EXPIRED},
}
LOCAL: Final = {Reason.REMOVAL_PENDING, Reason.ROOM_CLOSED, Reason.NOT_ENTITLED,
                Reason.ALREADY_MEMBER, Reason.UNKNOWN_MEMBER, Reason.BAD_PROOF, Reason.REPLAY,
                Reason.REFRESH_AWAITED, Reason.EXPIRED, Reason.USED_PACKAGE}  # fmt: skip

WINDOW: Final = 60 * 3_600  # what is sent comes within the 72 h for which its epoch is kept


@dataclass
class Parcel:
    """Something on its way to one receiver."""

    kind: str
    data: bytes
    sender: str
    sent: int
    member: bytes = b""  # the receiver's id when it was sent
    key: int = -1  # of a message


@dataclass
class Desk:
    """A device: its store, its clock, what lies in its mailbox and what it holds."""

    person: Person
    skew: int = 0
    store: dict[bytes, bytes] = field(default_factory=dict)
    box: list[Parcel] = field(default_factory=list)
    held: list[Parcel] = field(default_factory=list)
    done: list[Parcel] = field(default_factory=list)  # may come again
    joined: bool = False
    anew: bool = False  # it was moved or let in anew: it cannot read all of before
    seen: dict[Proof, None] = field(default_factory=dict)
    read: set[int] = field(default_factory=set)

    def room(self) -> Room:
        """The room, as a restart finds it."""
        return Room.restore(self.store)

    def keep(self, room: Room) -> None:
        """Store what has changed, as a device does."""
        for name, record in room.changes().items():
            if record is None:
                self.store.pop(name, None)
            else:
                self.store[name] = record
        self.seen.update(dict.fromkeys(room.state.noted))


@dataclass
class Message:
    """One that was sent: by whom, and to which members, but for those let in anew before."""

    sender: bytes
    to: tuple[bytes, ...]


class Network:
    """A room of `size` members, and everything that is on its way between them."""

    def __init__(self, size: int, roles: list[int], skews: list[int]) -> None:
        self.now = NOW
        self.calls = 0
        self.steps = 0
        self.commits = 0
        self.messages: list[Message] = []
        self.groups: dict[str, int] = {}
        names = [f"m{place}" for place in range(size)]
        people = [Person(name) for name in names]
        self.desks = {
            name: Desk(person, skews[place % len(skews)] if skews else 0)
            for place, (name, person) in enumerate(zip(names, people, strict=True))
        }
        guests = [
            person.invited(Role(roles[place % len(roles)]) if roles else Role.MEMBER)
            for place, person in enumerate(people[1:])
        ]
        room, letters = Room.found(
            people[0].keys, Policy(Mode.SIGNED, members_may_add=True), guests, names[0],
            people[0].mailbox.mailbox, NOW, people[0].random,
        )  # fmt: skip
        rooms = [room] + [
            person.join(letter, guest, NOW)
            for person, guest, letter in zip(people[1:], guests, letters.values(), strict=True)
        ]
        self.founders = frozenset(names)
        self.names: dict[bytes, str] = {}
        for name, each in zip(names, rooms, strict=True):
            desk = self.desks[name]
            desk.store, desk.joined = dict(each.records()), True
            self.names[each.own_id] = name

    # --- small things --------------------------------------------------------------------------

    def stream(self) -> Stream:
        """Randomness of its own for each call."""
        self.calls += 1
        return Stream(f"network/{self.calls}")

    def clock(self, name: str) -> int:
        """What the clock of a device says."""
        return self.now + self.desks[name].skew

    @property
    def inside(self) -> list[str]:
        """Who has joined."""
        return [name for name, desk in self.desks.items() if desk.joined]

    def reach(self, sender: str, name: str) -> bool:
        """Whether no partition lies between."""
        return self.groups.get(sender, 0) == self.groups.get(name, 0)

    def pass_time(self, seconds: int) -> None:
        """Time passes, and every device erases what has had its time."""
        if self.now + seconds > NOW + WINDOW:
            return
        self.now += seconds
        for name in self.inside:
            room = self.desks[name].room()
            room.expire(self.clock(name))
            self.desks[name].keep(room)

    # --- acting --------------------------------------------------------------------------------

    def act(self, name: str, verb: str, other: str) -> bool:
        """One member does something; whether it could."""
        desk = self.desks[name]
        room = desk.room()
        try:
            if verb in ("say", "leave"):
                self._say(name, room, leave=verb == "leave")
            elif verb == "add":
                self._add(name, room, other)
            else:
                self._commit(name, room, self._wishes(room, verb, other))
        except LocalError as fault:
            if fault.reason not in LOCAL:
                raise Broken(f"{name} cannot {verb}: {fault.reason.value}") from fault
            return False
        return True

    def _wishes(self, room: Room, verb: str, other: str) -> list[Wish]:
        if verb == "refresh":
            return []
        if verb == "policy":
            policy = room.policy
            return [SetPolicy(Policy(Mode.SIGNED, members_may_add=not policy.members_may_add))]
        person = self.desks[other].person
        target = room.roster.of(person.keys.identity)
        if target is None:
            raise LocalError(Reason.UNKNOWN_MEMBER, "not there")
        if verb == "remove":
            return [Remove(target.id, target.admission)]
        if verb == "resync":
            desk = self.desks[other]
            if not desk.joined or desk.room().own_id != target.id or not desk.room().may_ask:
                raise LocalError(Reason.UNKNOWN_MEMBER, "it does not ask")
            now = self.clock(other)
            package = person.package(now=now).package
            return [Resync(ResyncRequest.make(person.keys, room.id, target.id, now, package))]
        role = target.role + (1 if verb == "promote" else -1)
        if role not in (0, 1, 2):
            raise LocalError(Reason.NOT_ENTITLED, "no such role")
        return [SetRole(target.id, Role(role))]

    def _add(self, name: str, room: Room, other: str) -> None:
        desk = self.desks.setdefault(other, Desk(Person(other)))
        if desk.joined and not desk.room().closed:
            raise LocalError(Reason.ALREADY_MEMBER, "it is in it")
        self._commit(name, room, [], [desk.person.invited(now=self.now)])

    def _commit(
        self, name: str, room: Room, wishes: list[Wish], invited: list[Invited] | None = None
    ) -> None:
        desk, now = self.desks[name], self.clock(name)
        made = room.commit(desk.person.keys, wishes, invited or [], now, self.stream())
        self.commits += 1
        desk.keep(room)
        for member in made.added:
            self.names[member.id] = next(
                n for n, d in self.desks.items() if d.person.keys.identity == member.identity
            )
        for kind, copies in (("commit", made.copies), ("invitation", made.invitations)):
            for member_id, data in copies.items():
                box = self.desks[self.names[member_id]].box
                box.append(Parcel(kind, data, name, now, member_id))

    def _say(self, name: str, room: Room, *, leave: bool) -> None:
        desk, now = self.desks[name], self.clock(name)
        if room.refresh_due(now) or room.blocked:  # what is pending is embedded
            self._commit(name, room, [])
        content = room.leave_request(desk.person.keys) if leave else said("hi", now)
        sent = room.send(desk.person.keys, content, now, self.stream())
        desk.keep(room)
        for proof in desk.seen:
            self._check_gone(name, room, proof)
        key = len(self.messages)
        owed = [m for m in sent.recipients if room.roster[m].resynced is None]
        self.messages.append(Message(room.own_id, tuple(owed)))  # who was let in may never come
        for member_id in sent.recipients:
            self.desks[self.names[member_id]].box.append(
                Parcel("message", sent.message, name, now, member_id, key)
            )

    def _check_gone(self, name: str, room: Room, proof: Proof) -> None:
        """Content was encrypted: nobody whose removal was ever seen is in the roster."""
        if not proof.removes or proof.member == room.own_id:
            return
        try:
            proof.check(room.id, room.roster)
        except RemoteError:
            return  # it has gone, or who removed it has no right to it any more
        raise Broken(f"{name} speaks to a member whose removal it has seen")

    # --- delivering ----------------------------------------------------------------------------

    def deliver(self, name: str, place: int) -> None:
        """Something of what waits comes, if its sender can be reached."""
        desk = self.desks[name]
        waiting = [parcel for parcel in desk.box if self.reach(parcel.sender, name)]
        if not waiting:
            return
        parcel = waiting[place % len(waiting)]
        desk.box.remove(parcel)
        self.give(name, parcel)
        desk.done.append(parcel)

    def again(self, name: str, place: int) -> None:
        """What has come comes once more: nothing may change."""
        desk = self.desks[name]
        if not desk.done or not desk.joined:
            return
        parcel = desk.done[place % len(desk.done)]
        if parcel in desk.held or parcel.kind == "invitation":
            return
        before = desk.room().digest()
        read = len(desk.read)
        self.give(name, parcel)
        if not desk.anew and (desk.room().digest() != before or len(desk.read) != read):
            raise Broken(f"{name} is changed by a {parcel.kind} that came before")

    def give(self, name: str, parcel: Parcel) -> None:
        """Hand a parcel over, and try what is held again as long as that helps."""
        if self._take(name, parcel):
            self._retry(name)

    def _retry(self, name: str) -> None:
        """Try what is held, again as long as something of it is taken."""
        desk = self.desks[name]
        again = True
        while again:
            held, desk.held = desk.held, []
            taken = [self._take(name, each) for each in held]
            again = any(taken)

    def _take(self, name: str, parcel: Parcel) -> bool:
        """Whether it was taken, so that what is held may be of use now."""
        self.steps += 1
        desk, now = self.desks[name], self.clock(name)
        if not desk.joined and parcel.kind != "invitation":
            desk.held.append(parcel)
            return False
        try:
            if parcel.kind == "invitation":
                self._enter(name, parcel, now)
            else:
                room = desk.room()
                if parcel.kind == "commit":
                    room.apply(parcel.data, now)
                else:
                    room.receive(parcel.data, now)
                    desk.read.add(parcel.key)
                desk.keep(room)
        except HeldError:
            desk.held.append(parcel)
            return False
        except EvanesceError as fault:
            if fault.reason not in MAY_REFUSE[parcel.kind]:
                raise Broken(
                    f"{name} refuses a {parcel.kind} of {parcel.sender}: {fault}"
                ) from fault
            return False
        return parcel.kind != "message"

    def _enter(self, name: str, parcel: Parcel, now: int) -> None:
        desk = self.desks[name]
        old = desk.room() if desk.joined else None
        room = enter(desk.person, old, parcel.data, now)
        if old is not None:
            desk.anew = True
        desk.joined = True
        desk.store = dict(room.records())
        desk.keep(room)

    # --- the end -------------------------------------------------------------------------------

    def drain(self) -> None:
        """Delivery resumes: everything comes, and every clock has passed what was ahead of it."""
        self.groups = {}
        self.now += 4 * 3_600
        for desk in self.desks.values():
            desk.skew = 0  # and wrong clocks are set right
        for name, desk in self.desks.items():
            while desk.box:
                self.give(name, desk.box.pop(0))
            self._retry(name)  # what had waited for the clock

    def check_read(self) -> None:
        """Every message was read by all it was for, but for what the property leaves out."""
        for key, message in enumerate(self.messages):
            for member in message.to:
                name = self.names[member]
                desk = self.desks[name]
                if not desk.joined or desk.anew or key in desk.read:
                    continue
                room = desk.room()
                if room.closed or room.own_id != member or message.sender in removed_in(room):
                    continue
                gone = any(
                    message.sender in epoch.roster and message.sender not in room.roster
                    for epoch in room.state.epochs.values()
                )
                if gone:  # taken along with one that was removed
                    continue
                raise Broken(f"{name} cannot read message {key} of {self.names[message.sender]}")

    def finish(self) -> Crew:
        """Deliver all, let it come to rest, and check what must hold."""
        self.drain()
        self.check_read()
        rooms = {name: self.desks[name].room() for name in self.inside}
        knows = {name for name in rooms if self.desks[name].held}
        guests = frozenset(
            name for name in rooms if self.desks[name].anew or name not in self.founders
        )
        crew = Crew(
            {name: desk.person for name, desk in self.desks.items()}, self.names, rooms, self.now,
            knows, frozenset(), guests,
        )  # fmt: skip
        if any(name not in guests and not room.closed for name, room in rooms.items()):
            crew.all_settle()
        return crew
