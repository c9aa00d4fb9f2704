"""The epochs that a device has left behind: what names one of them comes too late (spec 12.4).

What names an epoch that has never been known here may be of one that is still to come, and is held;
it tells that a commit was missed. A late copy of something old must not look like that.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import passing
from .ports import Transaction
from .room import Room

__all__ = ["has", "note"]

_PAST = b"past/"
MOST = 1_024  # epochs of a room, the last ones
_BYTES = 8


def note(tx: Transaction, room: Room, before: Iterable[bytes]) -> None:
    """Remember those of the epochs before that the room does not keep any more."""
    gone = [prefix for prefix in before if prefix not in room.state.epochs]
    if gone:
        known = tx.get(_PAST + room.id) or b""
        tx.put(_PAST + room.id, (known + b"".join(gone))[-MOST * _BYTES :])
        passing.tidy(tx, room)


def has(tx: Transaction, room: Room, prefix: bytes) -> bool:
    """Whether an epoch is behind this device: it has erased it, or joined after it."""
    if any(prefix == step for step, _ in room.state.trail):
        return True
    known = tx.get(_PAST + room.id) or b""
    return any(known[at : at + _BYTES] == prefix for at in range(0, len(known), _BYTES))
