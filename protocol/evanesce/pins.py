"""Pinned identities: whose identity is whose, as the application has settled it (spec 6.6).

A person has a name of the application's own choosing, such as a number or an entry in an address
book. Another identity that is offered for a person waits until the application accepts or refuses
it; until then nothing is said where either of the two is a member, and nobody invites the new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from .errors import LocalError, Reason, StorageError, local_fault
from .identity import Identity
from .limits import MAX_NAME
from .membership import Member
from .ports import Transaction
from .wire import decode, encode, utf8

__all__ = ["Pin", "Pins", "identity_changed"]

_PREFIX = b"pin/"
_LIMIT = 1_024


@dataclass(frozen=True, slots=True)
class Pin:
    """The identity that is pinned for a person, and another one offered, if there is one."""

    person: str
    identity: Identity
    offered: Identity | None = None  # waits to be accepted or refused

    @property
    def settled(self) -> bool:
        """Whether nothing waits to be decided."""
        return self.offered is None

    def dump(self) -> bytes:
        """Serialise."""
        offered = None if self.offered is None else [self.offered.sign_key, self.offered.dh_key]
        return encode([self.person, self.identity.sign_key, self.identity.dh_key, offered])

    @classmethod
    def load(cls, data: bytes) -> Pin:
        """Undo `dump`."""
        person, sign_key, dh_key, offered = decode(data, limit=_LIMIT)
        return cls(
            person, Identity(sign_key, dh_key), None if offered is None else Identity(*offered)
        )


def identity_changed() -> LocalError:
    """The error (identity-changed). It does not say whose: a name does not go into a log."""
    return LocalError(Reason.IDENTITY_CHANGED, "another identity is offered for a person")


def _key(person: str) -> bytes:
    """The name of a person's record. Raise `LocalError`: bad-input, too-large."""
    data = utf8(person, MAX_NAME)
    if not data:
        raise LocalError(Reason.BAD_INPUT, "a person needs a name")
    return _PREFIX + hashlib.sha256(data).digest()


class Pins:
    """The pins of a device, held in memory too: each message that is sent asks them."""

    def __init__(self, pins: Iterable[Pin] = ()) -> None:
        self._pins = {pin.person: pin for pin in pins}
        self._unsettled = {p.person: p for p in self._pins.values() if not p.settled}

    @classmethod
    def load(cls, tx: Transaction) -> Pins:
        """Read them from a store. Raise `StorageError` (bad-store) for what stands out of place."""
        found = []
        for name, data in tx.scan(_PREFIX):
            pin = Pin.load(data)
            if name != _key(pin.person):
                raise StorageError(Reason.BAD_STORE, "the pin of a person stands in another place")
            found.append(pin)
        return cls(found)

    # --- looking up ------------------------------------------------------------------------------

    def all(self) -> tuple[Pin, ...]:
        """Every pin, by person."""
        return tuple(self._pins[person] for person in sorted(self._pins))

    def get(self, person: str) -> Pin | None:
        """What is pinned for a person. Any text may be asked for."""
        return self._pins.get(person)

    def unsettled_among(self, members: Iterable[Member]) -> tuple[Pin, ...]:
        """The pins that wait for a decision and whose pinned or offered identity is a member's."""
        if not self._unsettled:  # as nearly always: the members are not looked at
            return ()
        present = {member.identity for member in members}
        return tuple(
            pin for pin in self._unsettled.values() if not present.isdisjoint(_both(pin))
        )

    def require_settled(self, members: Iterable[Member]) -> None:
        """Before a text or data is sent to these. Raise `LocalError` (identity-changed)."""
        if self.unsettled_among(members):
            raise identity_changed()

    def refuse_offered(self, identity: Identity) -> None:
        """Before an identity is let into a room. Raise `LocalError` (identity-changed)."""
        if any(pin.offered == identity for pin in self._unsettled.values()):
            raise identity_changed()

    # --- deciding --------------------------------------------------------------------------------

    def pin(self, tx: Transaction, person: str, identity: Identity) -> Pin:
        """REQ-ID-16, but for its error: that must not undo the offer, which is to be stored.

        Return the pin as it stands now: with an `offered` identity, it is for the caller to raise
        `identity_changed` once the transaction is committed. Raise `LocalError`: bad-key, and
        bad-input or too-large for what cannot name a person (1 to 256 bytes).
        """
        _key(person)
        with local_fault():
            identity.check()
        known = self._pins.get(person)
        if known is None:
            return self._put(tx, Pin(person, identity))
        offered = None if identity == known.identity else identity
        return self._put(tx, replace(known, offered=offered))

    def accept(self, tx: Transaction, person: str, identity: Identity | None = None) -> Pin:
        """Pin the offered identity; with `identity`, only if it is this one that is offered.

        Raise `LocalError`: bad-input if nothing is offered, identity-changed if something else is.
        """
        offered = self._offered(person)
        if identity not in (None, offered):
            raise identity_changed()
        return self._put(tx, Pin(person, offered))

    def refuse(self, tx: Transaction, person: str) -> Pin:
        """Forget the offered identity. Raise `LocalError` (bad-input) if nothing is offered."""
        self._offered(person)
        return self._put(tx, replace(self._pins[person], offered=None))

    def drop(self, tx: Transaction, person: str) -> None:
        """Forget a person, pinned and offered."""
        tx.delete(_key(person))
        self._pins.pop(person, None)
        self._unsettled.pop(person, None)

    def _offered(self, person: str) -> Identity:
        pin = self._pins.get(person)
        if pin is None or pin.offered is None:
            raise LocalError(Reason.BAD_INPUT, "no other identity is offered for this person")
        return pin.offered

    def _put(self, tx: Transaction, pin: Pin) -> Pin:
        if pin != self._pins.get(pin.person):
            tx.put(_key(pin.person), pin.dump())
        self._pins[pin.person] = pin
        if pin.settled:
            self._unsettled.pop(pin.person, None)
        else:
            self._unsettled[pin.person] = pin
        return pin


def _both(pin: Pin) -> tuple[Identity, ...]:
    return (pin.identity,) if pin.offered is None else (pin.identity, pin.offered)
