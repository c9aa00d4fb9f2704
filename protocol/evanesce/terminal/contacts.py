"""Contacts: names that the user gives to cards, kept with the device's own records.

A contact is an identity, and pinned as that one. Another identity under the same name is offered,
and nothing is sent to either until the user has accepted or refused it (REQ-APP-01, REQ-ID-17). The
pin decides which card holds; a contact's record keeps the card that is offered beside the other.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from ..device import Device
from ..errors import LocalError, Reason
from ..events import Person
from ..identity import Identity, safety_number
from ..keypackage import Card
from ..limits import MAX_NAME
from ..pins import Pin
from ..ports import APPLICATION
from .problems import Refused, undecided
from .text import safe_name

__all__ = ["Contact", "Contacts"]

_ROWS: Final = APPLICATION + b"contact/"


@dataclass(frozen=True, slots=True)
class Contact:
    """A card under the user's own name for it."""

    name: str
    card: Card
    verified: bool = False
    offered: Card | None = None  # the last one of another identity; it may have been refused since

    def dump(self) -> bytes:
        """Serialise."""
        offered = None if self.offered is None else self.offered.encode().hex()
        row = {"card": self.card.encode().hex(), "verified": self.verified, "offered": offered}
        return json.dumps(row).encode()

    @classmethod
    def load(cls, name: str, data: bytes) -> Contact:
        """Undo `dump`."""
        row = json.loads(data)
        card, offered = (
            None if text is None else Card.decode(bytes.fromhex(text))
            for text in (row["card"], row.get("offered"))
        )  # fmt: skip
        assert card is not None
        return cls(name, card, row["verified"], offered)

    def pinned_as(self, pin: Pin | None) -> Contact:
        """The contact with the card that is pinned: its record may be older than an acceptance."""
        if pin is None or self.offered is None or self.offered.identity != pin.identity:
            return self
        return Contact(self.name, self.offered)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


class Contacts:
    """The contacts of a device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._store = device.store
        with self._store.transaction() as tx:
            rows = list(tx.scan(_ROWS))
        self._known: dict[Identity, Contact] = {}
        for name, data in rows:
            contact = Contact.load(name[len(_ROWS) :].decode(), data)
            contact = contact.pinned_as(self._pin(contact))
            self._known[contact.card.identity] = contact

    def _pin(self, contact: Contact) -> Pin | None:
        return self._device.pinned(_folded(contact.name))

    def all(self) -> list[Contact]:
        """Every contact, by name."""
        return sorted(self._known.values(), key=lambda contact: _folded(contact.name))

    def find(self, name: str) -> Contact | None:
        """The contact of this name; capitals do not matter."""
        return next((c for c in self._known.values() if _folded(c.name) == _folded(name)), None)

    def get(self, name: str) -> Contact:
        """The same. Raise `Refused` without one."""
        found = self.find(name)
        if found is None:
            names = ", ".join(contact.name for contact in self.all())
            hint = f"your contacts: {names}" if names else "add one: evanesce contacts add NAME"
            raise Refused(f"no contact is called {safe_name(name)}", hint, reason="no-contact")
        return found

    def settled(self, name: str) -> Contact:
        """The same, to begin something with it. Raise `Refused` while another card is offered."""
        contact = self.get(name)
        if self.offered(contact) is not None:
            raise undecided([contact.name])
        return contact

    def offered(self, contact: Contact) -> Identity | None:
        """Another identity that waits to be accepted or refused."""
        pin = self._pin(contact)
        return None if pin is None else pin.offered

    def pinned_names(self, pins: Iterable[Pin]) -> list[str]:
        """Whose pins these are."""
        persons = {pin.person for pin in pins}
        return [contact.name for contact in self.all() if _folded(contact.name) in persons]

    def of(self, identity: Identity) -> Contact | None:
        """Whose identity this is."""
        return self._known.get(identity)

    async def add(self, name: str, card: Card, *, replacing: bool) -> Contact:
        """Add a contact, or exchange its card.

        Raise `Refused` for a name that cannot serve, and for a card of another identity than the
        contact's: that is offered from now on.
        """
        name = unicodedata.normalize("NFC", name)
        if (
            name != safe_name(name)
            or name.isdigit()
            or name[0] in "-/"
            or _folded(name) == "you"
            or len(_folded(name).encode()) > MAX_NAME
        ):
            raise Refused(
                "this cannot be a contact's name",
                "choose a short one of letters, that is no number and begins with no sign",
                code=2,
            )
        if card.identity == self._device.identity:
            raise Refused("this is your own card", "add the card that the other one has made")
        before = self.find(name)
        self._require_free(card.identity, before)
        if before is None:
            added = self._put(Contact(name, card))
            await self._device.pin(_folded(name), card)
            return added
        await self._offer(before, card)
        if not replacing:
            raise Refused(f"there is a contact {before.name} already",
                          "choose another name, or give --replace")  # fmt: skip
        await self._device.pin(_folded(name), card)  # forgets what was offered
        self._forget(before)
        return self._put(Contact(name, card, before.verified))

    async def _offer(self, contact: Contact, card: Card) -> None:
        """Raise `Refused` for a card of another identity, which is kept until that is decided."""
        person = _folded(contact.name)
        if self._pin(contact) is None:  # added before there were pins
            await self._device.pin(person, contact.card)
        if card.identity == contact.card.identity:
            return
        self._put(replace(contact, offered=card))
        try:
            await self._device.pin(person, card)
        except LocalError as error:
            if error.reason is not Reason.IDENTITY_CHANGED:
                raise
            raise undecided([contact.name], "this is not the card of the one you know as") from None

    async def accept(self, name: str) -> Contact:
        """The offered card is the contact's from now on, and not verified. Raise `Refused`."""
        contact = self.get(name)
        card = self._offered_card(contact)
        self._require_free(card.identity, contact)
        await self._device.accept_identity(_folded(contact.name), card.identity)
        self._known.pop(contact.card.identity)
        return self._put(Contact(contact.name, card))

    async def refuse(self, name: str) -> Contact:
        """The contact stays who it was. Raise `Refused` if nothing is offered."""
        contact = self.get(name)
        self._require_offered(contact)
        await self._device.refuse_identity(_folded(contact.name))
        return self._put(replace(contact, offered=None))

    def _require_offered(self, contact: Contact) -> Identity:
        offered = self.offered(contact)
        if offered is None:
            raise Refused(f"no other card waits for {contact.name}", "evanesce contacts list")
        return offered

    def _offered_card(self, contact: Contact) -> Card:
        offered, card = self._require_offered(contact), contact.offered
        if card is None or card.identity != offered:  # interrupted while one was added
            raise Refused("the card that waits is not complete",
                          f"add it again: evanesce contacts add {contact.name}")  # fmt: skip
        return card

    def offered_digits(self, contact: Contact) -> str:
        """The safety number with whom the offered card belongs to. Raise `Refused` without one."""
        return safety_number(self._device.identity, self._offered_card(contact).identity)

    def _require_free(self, identity: Identity, contact: Contact | None) -> None:
        same = self.of(identity)
        if same is not None and same != contact:
            raise Refused(f"this card belongs to your contact {same.name}",
                          "remove that one first: evanesce contacts remove NAME")  # fmt: skip

    def confirm(self, contact: Contact) -> Contact:
        """Its safety number has been compared."""
        return self._put(replace(contact, verified=True))

    async def remove(self, contact: Contact) -> None:
        """Forget a contact. Rooms with it stay."""
        await self._device.unpin(_folded(contact.name))
        self._forget(contact)

    def _forget(self, contact: Contact) -> None:
        with self._store.transaction() as tx:
            tx.delete(_ROWS + contact.name.encode())
        del self._known[contact.card.identity]

    def _put(self, contact: Contact) -> Contact:
        with self._store.transaction() as tx:
            tx.put(_ROWS + contact.name.encode(), contact.dump())
        self._known[contact.card.identity] = contact
        return contact

    def call(self, person: Person) -> str:
        """How to name a member: a contact's name, or ~ and what the other calls itself."""
        contact = self.of(person.identity)
        return f"~{safe_name(person.name)}" if contact is None else contact.name

    def verified(self, person: Person) -> bool:
        """Whether this member's safety number has been compared."""
        contact = self.of(person.identity)
        return contact is not None and contact.verified
