"""A room as the application uses it (spec 17)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .identity import Identity, safety_number
from .membership import Policy, Role
from .operations import Remove, SetPolicy, SetRole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .events import MessageHandle, Person
    from .keypackage import Card
    from .ledger import Report, SentMessage
    from .operations import Wish
    from .pins import Pin
    from .room import Room

__all__ = ["Conversation"]


class Host(Protocol):
    """What a conversation needs of the device it belongs to."""

    @property
    def identity(self) -> Identity:
        """The device's own identity."""

    def room(self, room: bytes) -> Room:
        """The room's present state."""

    def people(self, room: bytes) -> tuple[Person, ...]:
        """Its members."""

    async def say(
        self,
        room: bytes,
        body: str | bytes,
        after_view: int | None,
        lifetime: int | None,
        quote: bytes | None,
    ) -> SentMessage:
        """Send; return the message id, with the report."""

    async def commit(
        self, room: bytes, operations: Sequence[Wish], guests: Sequence[tuple[Card, Role]]
    ) -> int:
        """Commit; return the number of the new epoch."""

    async def leave(self, room: bytes) -> None:
        """Ask to be removed."""

    async def burn(self, room: bytes, messages: Sequence[bytes]) -> None:
        """Recall messages of one's own."""

    async def burnable(self, room: bytes) -> list[bytes]:
        """Those that can be recalled."""

    def receipts(self, room: bytes) -> bool:
        """Whether viewed receipts are on."""

    async def set_receipts(self, room: bytes, *, on: bool) -> None:
        """Turn them on or off."""

    async def ask_resync(self, room: bytes, members: Sequence[bytes]) -> int:
        """Ask to be let in anew; return how many are asked."""

    async def abandon(self, room: bytes) -> None:
        """Give up the device's place in a group."""

    def resync_requests(self, room: bytes) -> tuple[Person, ...]:
        """The members that ask to be let in anew."""

    async def resync(self, room: bytes, members: Sequence[bytes]) -> int:
        """Let members in anew; return the number of the new epoch."""

    def is_stale(self, room: bytes) -> bool:
        """Whether an older copy of the store was put back since it was joined."""

    def is_replaced(self, room: bytes) -> bool:
        """Whether another 1:1 room has taken its place."""

    def unsettled(self, room: bytes) -> tuple[Pin, ...]:
        """The pins that wait for a decision about one of its members."""

    async def unsent(self, room: bytes) -> int:
        """How many envelopes wait."""

    async def report(self, message: bytes) -> Report:
        """What became of a message."""

    async def report_commit(self, room: bytes, epoch: int) -> Report:
        """What became of the commit that opened an epoch."""


class Conversation:
    """One room of one device. Two objects for the same room are equal; keep none, keep many."""

    def __init__(self, host: Host, room: bytes) -> None:
        self._host = host
        self.id = room

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Conversation):
            return NotImplemented
        return self.id == other.id and self._host is other._host

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Conversation {self.id[:4].hex()}>"

    @property
    def _room(self) -> Room:
        return self._host.room(self.id)

    # --- what it is ------------------------------------------------------------------------------

    @property
    def direct(self) -> bool:
        """Whether this is a 1:1 room."""
        return self._room.direct

    @property
    def closed(self) -> bool:
        """Whether this device has been removed from it."""
        return self._room.closed

    @property
    def stale(self) -> bool:
        """Whether an older copy of the store was put back: this room is only read from now on.

        Everything that would seal something here raises `LocalError` (rolled-back).
        """
        return self._host.is_stale(self.id)

    @property
    def replaced(self) -> bool:
        """Whether another 1:1 room with the same peer has taken its place."""
        return self._host.is_replaced(self._room.id)

    @property
    def open(self) -> bool:
        """Whether this device can speak here at all: neither closed nor stale nor replaced."""
        return not (self.closed or self.stale or self.replaced)

    @property
    def unsettled(self) -> tuple[Pin, ...]:
        """The pins of members for whom another identity is offered, or who are that other one.

        While there are any, nothing can be sent here (identity-changed).
        """
        return self._host.unsettled(self._room.id)

    @property
    def policy(self) -> Policy:
        """The room's rules."""
        return self._room.policy

    @property
    def epoch(self) -> int:
        """The number of the current epoch."""
        return self._room.epoch

    @property
    def transcript(self) -> bytes:
        """Hash of the room's whole history, 32 bytes: members who see the same one agree."""
        return self._room.transcript

    @property
    def members(self) -> tuple[Person, ...]:
        """Everyone in it, this device included, by seniority."""
        return self._host.people(self.id)

    @property
    def peer(self) -> Person:
        """The other member of a 1:1 room. Raise `LocalError` (wrong-mode) in a group."""
        member = self._room.peer.id
        return next(person for person in self.members if person.member == member)

    @property
    def opened_by_last_resort(self) -> bool:
        """Whether a 1:1 room began through a last-resort package: weaker until that is erased."""
        return self._room.opened_by_last_resort

    def safety_number(self, person: Person) -> str:
        """The 60 digits to compare with `person` over another channel."""
        return safety_number(self._host.identity, person.identity)

    def missing(self, person: Person) -> int:
        """How many messages of a member are known to exist and have not come, as of now.

        It counts what can still be read: a message that is lost for good is none of them.
        """
        epochs = self._room.state.epochs.values()
        return sum(len(epoch.chains[person.member].skipped)
                   for epoch in epochs if person.member in epoch.chains)  # fmt: skip

    # --- what one can do -------------------------------------------------------------------------

    async def send(
        self,
        body: str | bytes,
        *,
        after_view: int | None = None,
        lifetime: int | None = None,
        quote: bytes | None = None,
    ) -> SentMessage:
        """Send text (`str`) or data (`bytes`) of at most 65,536 bytes.

        Return the message id, whose `report` says for each member how its copy stands once the
        message is stored; `report(id)` says it later. To send is to store: the copies go out, and
        out again, whatever happens to this process.

        `after_view`: seconds from viewing to erasure, 0 for on closing. `lifetime`: seconds from
        sending to erasure, at most 72 hours. What is not given is the room's; the stricter of both
        holds. Raise `LocalError`: too-large, bad-policy, bad-input, room-closed, rolled-back,
        identity-changed (see `Device.pin`), refresh-awaited (try again later), out-of-turn (1,000
        messages await an answer).
        """
        return await self._host.say(self.id, body, after_view, lifetime, quote)

    async def unsent(self) -> int:
        """How many envelopes for this room have not been handed to the transport yet."""
        return await self._host.unsent(self.id)

    async def report(self, message: bytes | int) -> Report:
        """What became of a message of one's own, by its id, or of a commit, by its epoch.

        Raise `LocalError` (unknown-message): not of this device, or forgotten.
        """
        if isinstance(message, int):
            return await self._host.report_commit(self.id, message)
        return await self._host.report(message)

    async def burn(self, *messages: bytes | MessageHandle) -> None:
        """Recall messages of one's own, 256 at most, by id or handle: all of them, or it raises.

        They are erased here, on the devices of all others at this device's request, and at the
        transport as far as it can. Who has read them has read them. If nothing of them has left
        this device, nobody hears of it. Raise `LocalError`: unknown-message (not said by this
        device here, or forgotten), bad-input, too-large; and, when the others have to be told, as
        `send` does, but for identity-changed: then nothing is burned.
        """
        keys = [bytes(each if isinstance(each, bytes) else each.id) for each in messages]
        await self._host.burn(self.id, keys)

    async def burnable(self) -> list[bytes]:
        """The ids of one's own messages that can be burned, oldest first."""
        return await self._host.burnable(self.id)

    @property
    def receipts(self) -> bool:
        """Whether viewed receipts are on in this room: they are not, unless turned on here."""
        return self._host.receipts(self.id)

    async def set_receipts(self, on: bool) -> None:
        """Turn viewed receipts on or off: to tell others what one views, and to be told.

        Both or none. One goes out 1 to 10 minutes after the first message that it tells of was
        viewed, or later: never as an answer of its own, and never with a commit. Those that wait
        when they are turned off are dropped.
        """
        await self._host.set_receipts(self.id, on=on)

    async def ask_resync(self, *people: Person) -> int:
        """Ask members, or all others, to let this device into a group anew; return how many.

        For a device whose store was put back to an older copy (`stale`), or that has fallen behind
        for good. One of the others grants it with `resync`; then this device begins at the epoch
        that this opens, with id and role as before. Asking again takes the place of the request
        before. Name `people` whom you trust: who was removed without this device's knowledge may
        answer too, and lead it away. Raise `LocalError`: wrong-mode (a 1:1 room is begun anew),
        room-closed, unknown-member, bad-input (this device itself).
        """
        return await self._host.ask_resync(self.id, [person.member for person in people])

    async def abandon(self) -> None:
        """Give up this device's place in a group, here and without telling anybody.

        The room is closed as by a removal. For a stale room that others have meanwhile removed
        this device from: only then an invitation that adds it again is taken. Raise `LocalError`:
        wrong-mode (a 1:1 room is begun anew), room-closed.
        """
        await self._host.abandon(self.id)

    @property
    def resync_requests(self) -> tuple[Person, ...]:
        """The members that ask to be let in anew."""
        return self._host.resync_requests(self.id)

    # Those that commit return the number of the epoch that this has opened, and may also raise
    # `LocalError` (rolled-back).

    async def add(self, *cards: Card, role: Role = Role.MEMBER) -> int:
        """Admit the owners of these cards.

        Raise `LocalError`: not-entitled, already-member, too-many-members, expired, no-package,
        identity-changed, wrong-mode (a 1:1 room admits nobody), room-closed.
        """
        return await self._host.commit(self.id, [], [(card, role) for card in cards])

    async def remove(self, *people: Person) -> int:
        """Remove members: one commit locks them out of everyone's messages.

        Raise `LocalError`: not-entitled, unknown-member, wrong-mode, room-closed.
        """
        roster = self._room.roster
        operations = []
        for person in people:
            member = roster.members.get(person.member)
            admission = bytes(32) if member is None else member.admission
            operations.append(Remove(person.member, admission))
        return await self._host.commit(self.id, operations, [])

    async def set_role(self, person: Person, role: Role) -> int:
        """Give a member another role. Raise `LocalError`: not-entitled, unknown-member, …"""
        return await self._host.commit(self.id, [SetRole(person.member, role)], [])

    async def set_policy(self, policy: Policy) -> int:
        """Change the room's rules. Raise `LocalError`: not-entitled, bad-policy, wrong-mode, …"""
        return await self._host.commit(self.id, [SetPolicy(policy)], [])

    async def refresh(self) -> int:
        """Replace this device's keys in the room: heals it from a theft that has ended."""
        return await self._host.commit(self.id, [], [])

    async def resync(self, *people: Person) -> int:
        """Let members in anew that have asked for it. Make sure that it is they who ask.

        Raise `LocalError`: unknown-message (nobody has asked, or not for 72 h), expired,
        identity-changed, unknown-member, room-closed.
        """
        return await self._host.resync(self.id, [person.member for person in people])

    async def leave(self) -> None:
        """Ask the others to remove this device; it is out once one of them has committed that."""
        await self._host.leave(self.id)
