"""Older forms of a room's records, and how they become the present one.

A device reads what any earlier version has written. Each step turns all records of a room from one
format into the next; a room that was read so is written back whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .errors import Reason, StorageError
from .limits import MAX_INVITATION
from .wire import decode, encode

__all__ = ["FORMAT", "upgraded"]

FORMAT = 3  # of the records that are written
_LIMIT = 4 * MAX_INVITATION
_ROSTER, _NEXT_COMMIT = 3, 15  # their places in the record of an epoch

Records = Mapping[bytes, bytes]


def upgraded(records: Records) -> tuple[Records, bool]:
    """A room's records in the present format, and whether they were in an older one.

    Raise `StorageError` (bad-store) for a format of a later version, or of none.
    """
    version = decode(records[b"state"], limit=_LIMIT)[0]
    if type(version) is not int or not 1 <= version <= FORMAT:
        raise StorageError(Reason.BAD_STORE, f"room records of format {version}")
    for step in _STEPS[version - 1 :]:
        records = step(records)
    return records, version < FORMAT


def _with_resynced(records: Records) -> Records:
    """Format 2: a roster says when each member was last let in anew; before, nobody had been."""
    made = {}
    for name, data in records.items():
        value: list[Any] = decode(data, limit=_LIMIT)
        if name == b"state":
            value[0] = 2
        elif name.startswith(b"epoch/"):
            *head, members = decode(value[_ROSTER], limit=_LIMIT)
            value[_ROSTER] = encode([*head, [[*member, None] for member in members]])
        made[name] = encode(value)
    return made


def _with_tree(records: Records) -> Records:
    """Format 3: epochs form a tree; before, each was the child of the one before it."""
    made, order = {}, decode(records[b"state"], limit=_LIMIT)[-1]
    parents = dict(zip(order, [None, *order], strict=False))
    for name, data in records.items():
        value: list[Any] = decode(data, limit=_LIMIT)
        if name == b"state":
            value[0] = 3
            value += [None, [], None, []]  # removal, equivocators, joined, trail
        elif name.startswith(b"epoch/"):
            *head, members = decode(value[_ROSTER], limit=_LIMIT)
            rows = [[*row[:6], 0, 0, *row[6:]] for row in members]  # sponsor, ranked
            value[_ROSTER] = encode([*head, rows])
            # Whether one has spoken in it is not known: if it should lose, one may have strayed.
            value[_NEXT_COMMIT:] = [parents[name[6:]], None, [], None, True]
        made[name] = encode(value)
    return made


# From format 1 on.
_STEPS: tuple[Callable[[Records], Records], ...] = (_with_resynced, _with_tree)
