"""What has come and cannot be judged yet: kept in the store, with an index in memory (spec 12.4).

The index says of each payload what it waits for, so that nothing is read and judged again before
that may have come: who fills the places that there are costs a device no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .epoch import SealedCommit
from .errors import RemoteError
from .formats import COMMIT_COPY, MESSAGE
from .limits import MAX_WAITING, MAX_WAITING_BYTES
from .message import ParsedMessage
from .ports import Transaction
from .primitives import H
from .wire import decode, encode, peek_type

__all__ = ["Held", "Waiting"]

_PREFIX = b"waiting/"
_CONTACT = bytes(32)
_LIMIT = 1 << 22


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of a held payload without reading it."""

    since: int
    room: bytes | None
    size: int  # of its record
    contact: bool  # it came to the contact mailbox
    epoch: bytes | None = None  # prefix of the epoch that it is of or builds on, if it says so
    by: bytes | None = None  # its sender or committer
    slotless: bool = False  # a commit that removes this device, or somebody has passed on
    judged: bool = False  # it has been found to be the latter
    until: int = 0  # the clock says nothing before

    @classmethod
    def of(
        cls, since: int, room: bytes | None, payload: bytes, *, contact: bool, size: int = 0
    ) -> Held:
        """Look at a payload. What is not well formed is refused when its room is there."""
        try:
            kind = peek_type(payload)
            if kind == MESSAGE.type:
                header = ParsedMessage.parse(payload).header
                return cls(since, room, size, contact, header.prefix, header.sender)
            if kind == COMMIT_COPY.type:
                data, slot = COMMIT_COPY.parse(payload)
                commit = SealedCommit.parse(data)
                return cls(since, room, size, contact, commit.prefix, commit.committer,
                           slot is None)  # fmt: skip
        except RemoteError:
            pass
        return cls(since, room, size, contact)


@dataclass(slots=True)
class Waiting:
    """The held payloads of a device."""

    _places: dict[bytes, dict[bytes, Held]] = field(default_factory=dict)  # by mailbox, by name

    @classmethod
    def load(cls, tx: Transaction) -> Waiting:
        """Read the index from a store."""
        waiting = cls()
        for name, record in tx.scan(_PREFIX):
            since, room, payload, contact, *until = decode(record, limit=_LIMIT)
            held = Held.of(since, room, payload, contact=contact, size=len(record))
            held = replace(held, until=until[0] if until else 0)
            waiting._places.setdefault(name[len(_PREFIX) : -16], {})[name] = held
        return waiting

    def __bool__(self) -> bool:
        return bool(self._places)

    def hold(
        self, tx: Transaction, room: bytes | None, payload: bytes, since: int, *, contact: bool,
        judged: bool = False, until: int = 0,
    ) -> bool:  # fmt: skip
        """Keep a payload; return False if there is no place for it (REQ-ENV-15).

        There is a place for each room's mailbox and one for the contact mailbox, each for at most
        `MAX_WAITING` payloads and `MAX_WAITING_BYTES`: who knows no more than a card fills only
        that.
        """
        mailbox = _CONTACT if contact or room is None else room
        place = self._places.get(mailbox, {})
        name = _PREFIX + mailbox + H(b"waiting", payload)[:16]
        if name in place:
            return True
        taken = sum(held.size for held in place.values())
        if len(place) >= MAX_WAITING or taken + len(payload) > MAX_WAITING_BYTES:
            return False
        record = encode([since, room, payload, contact, until])
        tx.put(name, record)
        held = Held.of(since, room, payload, contact=contact, size=len(record))
        self._places.setdefault(mailbox, {})[name] = replace(held, judged=judged, until=until)
        return True

    def all(self) -> list[tuple[bytes, Held]]:
        """Every held payload, by the name of its record."""
        return [each for place in self._places.values() for each in sorted(place.items())]

    def of_room(self, room: bytes) -> list[tuple[bytes, Held]]:
        """Those that are for a room, whatever mailbox they came to."""
        found = [*sorted(self._places.get(room, {}).items()),
                 *sorted(self._places.get(_CONTACT, {}).items())]  # fmt: skip
        return [(name, held) for name, held in found if held.room == room]

    def take(self, tx: Transaction, name: bytes) -> bytes | None:
        """Remove a held payload and return it; None if it has been taken meanwhile."""
        mailbox = name[len(_PREFIX) : -16]
        place = self._places.get(mailbox, {})
        if place.pop(name, None) is None:
            return None
        if not place:
            del self._places[mailbox]
        record = tx.get(name)
        tx.delete(name)
        if record is None:
            return None
        payload: bytes = decode(record, limit=_LIMIT)[2]
        return payload

    def forget_room(self, tx: Transaction, room: bytes) -> None:
        """Drop what came to a room's own mailbox."""
        for name in list(self._places.get(room, {})):
            self.take(tx, name)
