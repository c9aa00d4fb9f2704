"""Commits of others, kept to be passed on to who has missed them (spec 10.12).

What is passed on has no slot: it opens nothing. It tells a member that there was a commit, and of
whom; and if it has another one of that author on the same epoch, it convicts the author.
"""

from __future__ import annotations

from .epoch import SealedCommit
from .formats import COMMIT_COPY
from .limits import EPOCH_GRACE, MAX_INVITATION
from .ports import Transaction
from .room import Room
from .tree import Lineage, path
from .wire import decode, encode

__all__ = ["copies", "expire", "keep"]

_PASSED = b"passed/"
MOST = 16  # commits that one answer passes on
_LIMIT = MAX_INVITATION


def _name(room: bytes, parent: bytes, committer: bytes) -> bytes:
    return _PASSED + room + parent + committer


def keep(tx: Transaction, room: Room, parsed: SealedCommit, sealed: bytes, now: int) -> None:
    """Keep a sealed commit of another member that has been taken."""
    name = _name(room.id, parsed.prefix, parsed.committer)
    tx.put(name, encode([now, sealed]))


def copies(tx: Transaction, room: Room, known: Lineage | None) -> list[bytes]:
    """What opened the last epochs of the path beyond those that the asker knows, oldest first."""
    found = []
    for epoch in path(room.state)[:MOST]:
        if known is not None and known.has(epoch.prefix, epoch.number):
            break
        if epoch.parent is None or epoch.opener == room.own_id:
            continue
        record = tx.get(_name(room.id, epoch.parent, epoch.opener))
        if record is not None:
            found.append(COMMIT_COPY.build(decode(record, limit=_LIMIT)[1], None))
    return found[::-1]


def expire(tx: Transaction, now: int) -> None:
    """Forget those that no window holds any more."""
    for name, record in list(tx.scan(_PASSED)):
        if now - decode(record, limit=_LIMIT)[0] > EPOCH_GRACE:
            tx.delete(name)
