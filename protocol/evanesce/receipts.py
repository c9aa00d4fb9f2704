"""Viewed receipts that wait for their moment, room by room (REQ-EVAP-11, REQ-EVAP-12).

A room has a record here while receipts are on in it. It holds what has been viewed and not been
told of yet, in batches: each goes out as one receipt, once a moment drawn for it has come.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from .limits import MAX_NAMED, RETENTION
from .ports import Transaction
from .primitives import Random
from .wire import decode, encode

__all__ = ["LONGEST", "SHORTEST", "Batch", "Receipts"]

SHORTEST: Final = 60  # seconds from the first viewed message to its receipt
LONGEST: Final = 600
_PREFIX = b"receipts/"
_LIMIT = 1 << 24


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes into one receipt, and when."""

    moment: int
    messages: tuple[bytes, ...]  # ids


@dataclass(slots=True)
class Receipts:
    """The rooms in which receipts are on, with what waits there."""

    _rooms: dict[bytes, tuple[Batch, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, tx: Transaction) -> Receipts:
        """Read them from a store."""
        return cls({
            name[len(_PREFIX) :]: tuple(
                Batch(moment, tuple(messages))
                for moment, messages in decode(record, limit=_LIMIT)
            )
            for name, record in tx.scan(_PREFIX)
        })  # fmt: skip

    def _put(self, tx: Transaction, room: bytes, batches: tuple[Batch, ...]) -> None:
        tx.put(_PREFIX + room, encode([[b.moment, list(b.messages)] for b in batches]))
        self._rooms[room] = batches

    def are_on(self, room: bytes) -> bool:
        """Whether they are on in a room."""
        return room in self._rooms

    def turn(self, tx: Transaction, room: bytes, *, on: bool) -> None:
        """Turn them on or off in a room. What waits when they are turned off is dropped."""
        if on and room not in self._rooms:
            self._put(tx, room, ())
        elif not on:
            tx.delete(_PREFIX + room)
            self._rooms.pop(room, None)

    def note(
        self, tx: Transaction, room: bytes, message: bytes, now: int, random: Random
    ) -> None:
        """A message of another has been viewed for the first time; nothing if they are off."""
        if room not in self._rooms:
            return
        *earlier, last = self._rooms[room] or (Batch(0, ()),)
        if now < last.moment <= now + LONGEST and len(last.messages) < MAX_NAMED:
            batch = replace(last, messages=(*last.messages, message))
            self._put(tx, room, (*earlier, batch))
            return
        drawn = int.from_bytes(random(4), "big") % (LONGEST - SHORTEST + 1)
        batch = Batch(now + SHORTEST + drawn, (message,))
        self._put(tx, room, (*self._rooms[room], batch))

    def due(self, room: bytes, now: int) -> tuple[Batch, ...]:
        """The batches whose moment has come, or was drawn by a clock that was wrong."""
        return tuple(b for b in self._rooms.get(room, ()) if not now < b.moment <= now + LONGEST)

    def sent(self, tx: Transaction, room: bytes, batch: Batch) -> None:
        """This one has been sealed."""
        self._put(tx, room, tuple(b for b in self._rooms[room] if b is not batch))

    def expire(self, tx: Transaction, now: int) -> None:
        """Drop what could not be sent for 72 hours."""
        for room, batches in list(self._rooms.items()):
            left = tuple(b for b in batches if now - b.moment <= RETENTION)
            if left != batches:
                self._put(tx, room, left)
