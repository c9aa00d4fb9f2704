"""How a room comes to rest once delivery resumes, and what must hold then.

What devices do by themselves as time passes (10.10, 10.12, 12.5), in the plainest form: one after
the other, everything delivered at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evanesce.errors import HeldError, LocalError, Reason, RemoteError
from evanesce.founding import Invited
from evanesce.invitation import Invitation
from evanesce.membership import Role
from evanesce.operations import Remove, Resync, Wish
from evanesce.pending import embedded
from evanesce.resync import ResyncRequest
from evanesce.room import Room
from tests.room.room_support import Person, Stream, said


class Broken(AssertionError):
    """A property that does not hold, with what was delivered."""


def removed_in(room: Room) -> frozenset[bytes]:
    """Whose removal this device has seen, on whatever branch: what they said late is not owed."""
    return frozenset(proof.member for proof in room.state.noted if proof.removes)


def enter(person: Person, old: Room | None, letter: bytes, now: int) -> Room:
    """What `joining` does with an invitation, without mailboxes; raise as it does."""
    keys = person.packages[Invitation.parse(letter).package_hash]
    room, invitation = Room.join(person.keys, keys, letter, now)
    if old is None:
        return room
    stands = room.roster[room.own_id].resynced
    anew = room.own_id == old.own_id and stands is not None
    if (anew or old.closed) and room.has_lost(old):
        raise HeldError(Reason.ALREADY_MEMBER, "to a branch that has lost since")
    if anew:
        room.take_over(old, moved=False)
    elif room.moves(old, invitation.inviter, now):
        room.take_over(old, moved=True)
    elif not old.closed:
        raise HeldError(Reason.ALREADY_MEMBER, "in it already")
    else:
        room.take_over(old, moved=False)
    return room


@dataclass
class Crew:
    """Several devices of one room, after all that was sent has been delivered."""

    people: Mapping[str, Person]
    names: dict[bytes, str]  # of member ids
    rooms: dict[str, Room]
    now: int
    knows: set[str]  # who has noticed that it cannot follow something
    hurt: frozenset[str] = frozenset()  # from whom a member has kept what it gave to others
    guests: frozenset[str] = frozenset()  # who has joined by an invitation that may have lost
    ghosts: int = 0  # how often a place in the roster had nobody behind it
    calls: int = 0

    def what(self) -> str:
        """What was delivered, for whoever reads a failure."""
        return ""

    def fail(self, what: str) -> None:
        """Give up."""
        raise Broken(f"{what}: {self.what()}")

    def stream(self) -> Stream:
        """Randomness of its own for each call."""
        self.calls += 1
        return Stream(f"end/{self.what()}/{self.calls}")

    @property
    def active(self) -> dict[str, Room]:
        """Those who do not know of their removal."""
        return {name: room for name, room in self.rooms.items() if not room.closed}

    def best(self) -> Room:
        """The room of somebody who has been in it all along and has missed nothing."""
        steady = [
            room for name, room in self.active.items()
            if name not in self.guests | self.hurt and room.state.me.resynced is None
        ]  # fmt: skip
        if len({room.transcript for room in steady}) > 1:
            self.fail("two who have missed nothing are in different epochs")
        return (steady or list(self.active.values()))[0]

    def together(self) -> list[str]:
        """Who is in the same epoch as the best, the first in rank first."""
        tip = self.best().transcript
        here = [name for name, room in self.active.items() if room.transcript == tip]
        return sorted(here, key=lambda name: self.rooms[name].state.me.rank)

    def spread(self, by: str, wishes: Sequence[Wish], invited: Sequence[Invited] = ()) -> None:
        """One commits, and everybody gets it."""
        made = self.rooms[by].commit(
            self.people[by].keys, wishes, invited, self.now, self.stream()
        )
        for member in made.added:
            self.names[member.id] = next(
                name for name, person in self.people.items()
                if person.keys.identity == member.identity
            )  # fmt: skip
        for member_id, copy in made.copies.items():
            name = self.names[member_id]
            room = self.rooms.get(name)
            if room is None or room.own_id != member_id:
                continue
            try:
                room.apply(copy, self.now)
            except HeldError:
                self.knows.add(name)
            except RemoteError as fault:
                if fault.reason is not Reason.ROOM_CLOSED:
                    self.fail(f"{name} refuses the commit of {by}: {fault.reason.value}")
        for member_id, letter in made.invitations.items():
            name = self.names[member_id]
            try:
                self.rooms[name] = enter(
                    self.people[name], self.rooms.get(name), letter, self.now
                )
            except HeldError:
                self.fail(f"{name} does not come by the invitation of {by}")

    # --- coming to rest ------------------------------------------------------------------------

    def all_settle(self) -> None:
        """Let it come to rest, bring back who has lost its place, and check all."""
        self.settle()
        self.readmit()
        self.settle()
        self.talk()
        self.bring_back()
        self.talk()
        self.check()

    def settle(self) -> None:
        """What is pending is committed, by the first in rank who can; losers refresh."""
        for _ in range(2 * len(self.rooms) + 8):
            here = self.together()
            by = next((n for n in here if embedded(self.rooms[n].state, ())), None)
            if by is None:
                by = next((n for n in here if self.rooms[n].refresh_due(self.now)), None)
            if by is None:
                return
            self.spread(by, [])
        self.fail("it does not settle")

    def readmit(self) -> None:
        """Guests whose admission has lost are invited again."""
        for name in sorted(self.guests & self.active.keys()):
            here = self.together()
            room, person = self.rooms[name], self.people[name]
            place = self.best().roster.of(person.keys.identity)
            if name in here or (place is not None and place.id == room.own_id):
                continue
            if place is not None:  # its inviter had been removed on its branch (12.5)
                self.ghosts += 1
                self.spread(here[0], [Remove(place.id, place.admission)])
            by = next((n for n in self.together() if self.may_fetch(n, room)), None)
            if by is None:
                del self.rooms[name]  # nobody whom it would follow is left: it begins anew
            else:
                self.spread(by, [], [person.invited(now=self.now)])

    def may_fetch(self, name: str, guest: Room) -> bool:
        """Whether one may admit on both branches: only by such a one is a guest moved."""
        identity = self.people[name].keys.identity
        for room in (self.rooms[name], guest):
            member = room.roster.of(identity)
            if member is None or not (
                member.role >= Role.ADMIN or room.policy.members_may_add
            ):
                return False
        return True

    def talk(self) -> None:
        """Everybody who follows says something; whoever follows reads it, who does not holds it."""
        here = self.together()
        for sender in here:
            room = self.rooms[sender]
            try:
                sent = room.send(
                    self.people[sender].keys, said("end", self.now), self.now, self.stream()
                )
            except LocalError as fault:
                if len(room.roster) > 1:
                    self.fail(f"{sender} cannot speak: {fault.reason.value}")
                continue
            for member in sent.recipients:
                name = self.names[member]
                if name not in self.rooms:
                    self.fail(f"nobody is behind {name}")
                try:
                    self.rooms[name].receive(sent.message, self.now)
                except HeldError:
                    if name in here:
                        self.fail(f"{name} cannot read {sender}")
                    self.knows.add(name)
                except RemoteError as fault:
                    self.fail(f"{name} refuses {sender}: {fault.reason.value}")

    def bring_back(self) -> None:
        """Whoever stands in the roster and is not there knows it, and comes back by a resync."""
        for name in [name for name in self.rooms if name not in self.together()]:
            room = self.rooms[name]
            if room.own_id not in self.best().roster:
                continue
            if name not in self.knows:
                self.fail(f"{name} cannot follow and does not know it")
            if not room.may_ask:
                self.fail(f"{name} may not ask")
            person = self.people[name]
            package = person.package(now=self.now).package
            asked = ResyncRequest.make(person.keys, room.id, room.own_id, self.now, package)
            self.spread(self.together()[0], [Resync(asked)])
            self.settle()

    def check(self) -> None:
        """One transcript, one roster, the same keys; and nobody in it who is not behind it."""
        tip, here = self.best(), self.together()
        for name in here:
            room = self.rooms[name]
            if (room.roster.encode(), room.policy, room.export(b"x")) != (
                tip.roster.encode(), tip.policy, tip.export(b"x"),
            ):  # fmt: skip
                self.fail(f"{name} has other keys")
            if any(p.removes and p.member != room.own_id for p in room.pending):
                self.fail(f"{name} knows of a removal that is not done")
        for member in tip.roster:
            if self.names[member.id] not in here:
                self.fail(f"{self.names[member.id]} stands in the roster and is not there")
