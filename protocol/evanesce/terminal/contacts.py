"""Contacts: names that the user gives to cards, kept with the device's own records.

A contact is an identity. Another identity under the same name is another person until its safety
number has been compared (REQ-APP-01).
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, replace
from typing import Final

from ..events import Person
from ..identity import Identity
from ..keypackage import Card
from ..ports import APPLICATION, Store
from .problems import Refused
from .text import safe_name

__all__ = ["Contact", "Contacts"]

_ROWS: Final = APPLICATION + b"contact/"


@dataclass(frozen=True, slots=True)
class Contact:
    """A card under the user's own name for it."""

    name: str
    card: Card
    verified: bool = False

    def dump(self) -> bytes:
        """Serialise."""
        return json.dumps({"card": self.card.encode().hex(), "verified": self.verified}).encode()

    @classmethod
    def load(cls, name: str, data: bytes) -> Contact:
        """Undo `dump`."""
        row = json.loads(data)
        return cls(name, Card.decode(bytes.fromhex(row["card"])), row["verified"])


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


class Contacts:
    """The contacts in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.transaction() as tx:
            rows = list(tx.scan(_ROWS))
        self._known = {
            contact.card.identity: contact
            for name, data in rows
            for contact in [Contact.load(name[len(_ROWS) :].decode(), data)]
        }

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

    def of(self, identity: Identity) -> Contact | None:
        """Whose identity this is."""
        return self._known.get(identity)

    def add(self, name: str, card: Card, own: Identity, *, replacing: bool) -> Contact:
        """Add a contact, or exchange its card. Raise `Refused` for a name that cannot serve."""
        name = unicodedata.normalize("NFC", name)
        if name != safe_name(name) or name.isdigit() or name[0] in "-/" or _folded(name) == "you":
            raise Refused(
                "this cannot be a contact's name",
                "choose a short one of letters, that is no number and begins with no sign",
                code=2,
            )
        if card.identity == own:
            raise Refused("this is your own card", "add the card that the other one has made")
        before, same = self.find(name), self.of(card.identity)
        if same is not None and same != before:
            raise Refused(f"this card belongs to your contact {same.name}",
                          "remove that one first: evanesce contacts remove NAME")  # fmt: skip
        if before is not None and not replacing:
            raise Refused(f"there is a contact {before.name} already",
                          "choose another name, or give --replace")  # fmt: skip
        kept = before is not None and before.card.identity == card.identity and before.verified
        if before is not None:
            self.remove(before)
        contact = Contact(name, card, kept)
        self._put(contact)
        return contact

    def confirm(self, contact: Contact) -> Contact:
        """Its safety number has been compared."""
        confirmed = replace(contact, verified=True)
        self._put(confirmed)
        return confirmed

    def remove(self, contact: Contact) -> None:
        """Forget a contact. Rooms with it stay."""
        with self._store.transaction() as tx:
            tx.delete(_ROWS + contact.name.encode())
        del self._known[contact.card.identity]

    def _put(self, contact: Contact) -> None:
        with self._store.transaction() as tx:
            tx.put(_ROWS + contact.name.encode(), contact.dump())
        self._known[contact.card.identity] = contact

    def call(self, person: Person) -> str:
        """How to name a member: a contact's name, or ~ and what the other calls itself."""
        contact = self.of(person.identity)
        return f"~{safe_name(person.name)}" if contact is None else contact.name

    def verified(self, person: Person) -> bool:
        """Whether this member's safety number has been compared."""
        contact = self.of(person.identity)
        return contact is not None and contact.verified
