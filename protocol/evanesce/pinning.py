"""What an application decides about people: the pins of a device (spec 6.6)."""

from __future__ import annotations

from .errors import LocalError, Reason
from .events import IdentityChanged, Person
from .identity import Identity
from .keypackage import Card
from .pins import Pin, identity_changed
from .ports import Transaction
from .worker import Worker

__all__ = ["Pinning"]


class Pinning(Worker):
    """The part of a device that keeps pins."""

    @property
    def pins(self) -> tuple[Pin, ...]:
        """All that is pinned, with what is offered, by person."""
        return self.engine.pins.all()

    def pinned(self, person: str) -> Pin | None:
        """What is pinned for a person, if anything is."""
        return self.engine.pins.get(person)

    def unsettled(self, room: bytes) -> tuple[Pin, ...]:
        """See `Conversation.unsettled`."""
        return self.engine.pins.unsettled_among(self.engine.rooms[room].roster)

    async def pin(self, person: str, whom: Identity | Card | Person) -> Pin:
        """Pin the identity of a person, under the application's own name for them (REQ-ID-16).

        To call it again for the same identity is right, and forgets another one that was offered.

        Raise `LocalError` (identity-changed) if another identity is pinned: `whom` has been stored
        as the offered one, `IdentityChanged` is told, and until it is accepted or refused, nothing
        is sent where either of the two is a member, and the offered one is invited nowhere. Also
        bad-input or too-large (a person is named by 1 to 256 bytes; the own identity), bad-key.
        """
        identity = whom if isinstance(whom, Identity) else whom.identity

        def record(tx: Transaction, now: int) -> Pin:
            if identity == self.engine.owner.identity:
                raise LocalError(Reason.BAD_INPUT, "this is the device itself")
            known = self.engine.pins.get(person)
            pin = self.engine.pins.pin(tx, person, identity)
            if pin.offered is not None and pin != known:
                self.engine.told.append(IdentityChanged(person, pin.identity, pin.offered))
            return pin

        pin = await self.keep(record)
        if pin.offered is not None:
            raise identity_changed()  # only now: raised in the transaction, it would undo the offer
        return pin

    async def accept_identity(self, person: str, identity: Identity | None = None) -> Pin:
        """Pin the offered identity: this person has another device now.

        With `identity`, only if that is what is offered: it was this one that somebody has looked
        at, and another may have been offered since. Raise `LocalError`: bad-input if nothing is
        offered, identity-changed if something else is.
        """
        return await self.keep(lambda tx, now: self.engine.pins.accept(tx, person, identity))

    async def refuse_identity(self, person: str) -> Pin:
        """Forget the offered identity. Raise `LocalError` (bad-input) if nothing is offered."""
        return await self.keep(lambda tx, now: self.engine.pins.refuse(tx, person))

    async def unpin(self, person: str) -> None:
        """Forget a person. Whatever identity is pinned next is taken as it comes."""
        await self.keep(lambda tx, now: self.engine.pins.drop(tx, person))
