"""Commits of others, kept to be passed on to who has missed them (spec 10.12).

What is passed on has no slot: it opens nothing. It tells a member that there was a commit, and of
whom; and if it has another one of that author on the same epoch, it convicts the author.
"""

from __future__ import annotations

from .epoch import SealedCommit
from .formats import COMMIT_COPY
from .ports import Transaction
from .room import Room
from .tree import Lineage, path

__all__ = ["copies", "keep", "tidy"]

_PASSED = b"passed/"
MOST = 16  # commits that one answer passes on


def _name(room: bytes, parent: bytes, committer: bytes) -> bytes:
    return _PASSED + room + parent + committer


def keep(tx: Transaction, room: Room, parsed: SealedCommit, sealed: bytes) -> None:
    """Keep a sealed commit of another member that has opened the current epoch."""
    tx.put(_name(room.id, parsed.prefix, parsed.committer), sealed)
    tidy(tx, room)


def copies(tx: Transaction, room: Room, member: bytes, known: Lineage | None) -> list[bytes]:
    """What opened the last epochs of the path beyond those that a member knows, oldest first."""
    found = []
    for epoch in path(room.state)[:MOST]:
        if known is not None and known.has(epoch.prefix, epoch.number):
            break
        parent = room.state.epochs.get(epoch.parent or b"")
        if parent is not None and member not in parent.roster:
            break  # it came by an invitation
        if epoch.parent is None or epoch.opener == room.own_id:
            continue
        sealed = tx.get(_name(room.id, epoch.parent, epoch.opener))
        if sealed is not None:
            found.append(COMMIT_COPY.build(sealed, None))
    return found[::-1]


def tidy(tx: Transaction, room: Room) -> None:
    """Forget those that are not among the last of the path, and never will be again."""
    wanted = {
        _name(room.id, epoch.parent, epoch.opener)
        for epoch in path(room.state)[:MOST] if epoch.parent is not None
    }  # fmt: skip
    for name, _ in list(tx.scan(_PASSED + room.id)):
        if name not in wanted:
            tx.delete(name)
