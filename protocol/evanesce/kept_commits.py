"""One's own commits, kept for members that may have missed them (spec 10.12).

A copy is ciphertext, with a slot for one member: sending it again gives nobody anything new. It is
kept until its receiver provably has it, or is no longer in the room, for 30 days at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .formats import COMMIT_COPY
from .limits import COPY_LIFETIME, MAX_EPOCHS, MAX_INVITATION
from .ports import Transaction
from .wire import decode, encode

__all__ = ["KeptCommits"]

_COMMIT = b"commit/"
_SLOT = b"slot/"
_LIMIT = MAX_INVITATION


def _place(room: bytes, epoch: int) -> bytes:
    return room + epoch.to_bytes(8, "big")


@dataclass(slots=True)
class _Kept:
    """What is known in memory of a commit: who may yet need it."""

    made: int
    members: set[bytes]


@dataclass(slots=True)
class KeptCommits:
    """The kept commits of a device, by room and by the number of the epoch they have opened."""

    _rooms: dict[bytes, dict[int, _Kept]] = field(default_factory=dict)

    @classmethod
    def load(cls, tx: Transaction) -> KeptCommits:
        """Read them from a store."""
        kept = cls()
        for name, record in tx.scan(_COMMIT):
            room, epoch = name[7:39], int.from_bytes(name[39:], "big")
            made, _ = decode(record, limit=_LIMIT)
            prefix = _SLOT + _place(room, epoch)
            members = {name[len(prefix) :] for name, _ in tx.scan(prefix)}
            kept._rooms.setdefault(room, {})[epoch] = _Kept(made, members)
        return kept

    def keep(
        self, tx: Transaction, room: bytes, epoch: int, copies: Mapping[bytes, bytes], now: int
    ) -> None:
        """Keep the copies, by member, of the commit that has just opened an epoch."""
        opened = {member: COMMIT_COPY.parse(copy) for member, copy in copies.items()}
        staying = {member: slot for member, (_, slot) in opened.items() if slot is not None}
        if not staying:
            return
        sealed = next(iter(opened.values()))[0]
        place = _place(room, epoch)
        tx.put(_COMMIT + place, encode([now, sealed]))
        for member, slot in staying.items():
            tx.put(_SLOT + place + member, slot)
        commits = self._rooms.setdefault(room, {})
        commits[epoch] = _Kept(now, set(staying))
        for oldest in sorted(commits)[:-MAX_EPOCHS]:
            self._drop(tx, room, oldest, set(commits[oldest].members))

    def copies_for(
        self, tx: Transaction, room: bytes, member: bytes, after: int | None
    ) -> dict[int, bytes]:
        """The member's copies of the commits that have opened an epoch after this one, in order.

        `after` None: all that are kept.
        """
        found = {}
        for epoch, kept in sorted(self._rooms.get(room, {}).items()):
            if member in kept.members and (after is None or epoch > after):
                place = _place(room, epoch)
                record, slot = tx.get(_COMMIT + place), tx.get(_SLOT + place + member)
                assert record is not None  # as long as it is in memory
                assert slot is not None
                found[epoch] = COMMIT_COPY.build(decode(record, limit=_LIMIT)[1], slot)
        return found

    def has_come(self, tx: Transaction, room: bytes, member: bytes, epoch: int) -> None:
        """The member provably has every commit up to the one that opened this epoch."""
        for opened, kept in list(self._rooms.get(room, {}).items()):
            if opened <= epoch and member in kept.members:
                self._drop(tx, room, opened, {member})

    def forget_member(self, tx: Transaction, room: bytes, member: bytes) -> None:
        """The member has gone, or is let in anew at a later epoch."""
        for opened in list(self._rooms.get(room, {})):
            self._drop(tx, room, opened, {member})

    def forget_room(self, tx: Transaction, room: bytes) -> None:
        """This device has left its place there: what it has committed may be another branch."""
        for opened, kept in list(self._rooms.get(room, {}).items()):
            self._drop(tx, room, opened, set(kept.members))

    def expire(self, tx: Transaction, now: int) -> None:
        """Drop what has been kept for long enough."""
        for room, commits in list(self._rooms.items()):
            for opened, kept in list(commits.items()):
                if now - kept.made > COPY_LIFETIME:
                    self._drop(tx, room, opened, set(kept.members))

    def _drop(self, tx: Transaction, room: bytes, epoch: int, members: set[bytes]) -> None:
        kept, place = self._rooms[room][epoch], _place(room, epoch)
        for member in members & kept.members:
            tx.delete(_SLOT + place + member)
        kept.members -= members
        if not kept.members:
            tx.delete(_COMMIT + place)
            del self._rooms[room][epoch]
            if not self._rooms[room]:
                del self._rooms[room]
