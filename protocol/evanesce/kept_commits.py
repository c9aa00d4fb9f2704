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
from .tree import Lineage
from .wire import decode, encode

__all__ = ["KeptCommits"]

_COMMIT = b"commit/"
_SLOT = b"slot/"
_LIMIT = MAX_INVITATION


@dataclass(slots=True)
class _Kept:
    """What is known in memory of a commit: who may yet need it."""

    made: int
    number: int  # of the epoch it has opened
    members: set[bytes]


@dataclass(slots=True)
class KeptCommits:
    """The kept commits of a device, by room and by the prefix of the epoch they have opened."""

    _rooms: dict[bytes, dict[bytes, _Kept]] = field(default_factory=dict)

    @classmethod
    def load(cls, tx: Transaction) -> KeptCommits:
        """Read them from a store."""
        kept = cls()
        for name, record in tx.scan(_COMMIT):
            room, epoch = name[7:39], name[39:]
            made, _, *numbers = decode(record, limit=_LIMIT)
            # An earlier version kept them by the number, for there were no branches.
            number = numbers[0] if numbers else int.from_bytes(epoch, "big")
            prefix = _SLOT + room + epoch
            members = {name[len(prefix) :] for name, _ in tx.scan(prefix)}
            kept._rooms.setdefault(room, {})[epoch] = _Kept(made, number, members)
        return kept

    def keep(
        self, tx: Transaction, room: bytes, epoch: bytes, number: int,
        copies: Mapping[bytes, bytes], now: int,
    ) -> None:  # fmt: skip
        """Keep the copies, by member, of the commit that has opened the epoch of this prefix."""
        opened = {member: COMMIT_COPY.parse(copy) for member, copy in copies.items()}
        staying = {member: slot for member, (_, slot) in opened.items() if slot is not None}
        if not staying:
            return
        sealed = next(iter(opened.values()))[0]
        place = room + epoch
        tx.put(_COMMIT + place, encode([now, sealed, number]))
        for member, slot in staying.items():
            tx.put(_SLOT + place + member, slot)
        commits = self._rooms.setdefault(room, {})
        commits[epoch] = _Kept(now, number, set(staying))
        for oldest in sorted(commits, key=lambda e: commits[e].number)[:-MAX_EPOCHS]:
            self._drop(tx, room, oldest, set(commits[oldest].members))

    def copies_for(
        self, tx: Transaction, room: bytes, member: bytes, known: Lineage | None
    ) -> dict[bytes, bytes]:
        """The member's copies of commits, by the prefix of the epoch opened, in its order.

        Those that it has by `known`, the lineage of an epoch that it names, are left out.
        """
        found = {}
        kept = sorted(self._rooms.get(room, {}).items(), key=lambda each: each[1].number)
        for epoch, commit in kept:
            has_it = known is not None and known.has(epoch, commit.number)
            if member in commit.members and not has_it:
                place = room + epoch
                record, slot = tx.get(_COMMIT + place), tx.get(_SLOT + place + member)
                assert record is not None  # as long as it is in memory
                assert slot is not None
                found[epoch] = COMMIT_COPY.build(decode(record, limit=_LIMIT)[1], slot)
        return found

    def has_come(self, tx: Transaction, room: bytes, member: bytes, known: Lineage) -> None:
        """The member provably has every commit that opened an epoch of this lineage."""
        for epoch, kept in list(self._rooms.get(room, {}).items()):
            if known.has(epoch, kept.number) and member in kept.members:
                self._drop(tx, room, epoch, {member})

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

    def _drop(self, tx: Transaction, room: bytes, epoch: bytes, members: set[bytes]) -> None:
        kept, place = self._rooms[room][epoch], room + epoch
        for member in members & kept.members:
            tx.delete(_SLOT + place + member)
        kept.members -= members
        if not kept.members:
            tx.delete(_COMMIT + place)
            del self._rooms[room][epoch]
            if not self._rooms[room]:
                del self._rooms[room]
