"""Tombstones: the burned messages that have not come yet, by room and author (REQ-EVAP-15).

Of each member of a room the newest 1,000 are kept, for 72 hours.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .limits import MAX_TOMBSTONES, TOMBSTONE_LIFETIME
from .ports import Transaction
from .wire import decode, encode

__all__ = ["Tombstones"]

_PREFIX = b"burned/"
_LIMIT = 1 << 20


@dataclass(slots=True)
class Tombstones:
    """Kept in the store; in memory is whose there are, with the time of the oldest."""

    _oldest: dict[bytes, int] = field(default_factory=dict)  # by room and member

    @classmethod
    def load(cls, tx: Transaction) -> Tombstones:
        """Read them from a store."""
        return cls({name[len(_PREFIX) :]: min(since for since, _ in decode(record, limit=_LIMIT))
                    for name, record in tx.scan(_PREFIX)})  # fmt: skip

    @staticmethod
    def _read(tx: Transaction, whose: bytes) -> dict[bytes, int]:
        """The ids and since when, oldest first."""
        record = tx.get(_PREFIX + whose)
        rows = [] if record is None else decode(record, limit=_LIMIT)
        return {message: since for since, message in rows}

    def _put(self, tx: Transaction, whose: bytes, stones: dict[bytes, int]) -> None:
        if stones:
            tx.put(_PREFIX + whose, encode([[since, key] for key, since in stones.items()]))
            self._oldest[whose] = min(stones.values())
        else:
            tx.delete(_PREFIX + whose)
            self._oldest.pop(whose, None)

    def add(
        self, tx: Transaction, room: bytes, member: bytes, messages: list[bytes], now: int
    ) -> None:
        """Keep these; what is named once more counts as new. The oldest go."""
        if not messages:
            return
        stones = self._read(tx, room + member)
        for message in messages:
            stones.pop(message, None)
            stones[message] = now
        newest = list(stones.items())[-MAX_TOMBSTONES:]
        self._put(tx, room + member, dict(newest))

    def has(self, tx: Transaction, room: bytes, member: bytes, message: bytes, now: int) -> bool:
        """Whether a member has burned this."""
        if room + member not in self._oldest:
            return False
        since = self._read(tx, room + member).get(message)
        return since is not None and now - since <= TOMBSTONE_LIFETIME

    def expire(self, tx: Transaction, now: int) -> None:
        """Drop what is too old."""
        late = [w for w, oldest in self._oldest.items() if now - oldest > TOMBSTONE_LIFETIME]
        for whose in late:
            stones = self._read(tx, whose)
            kept = {m: since for m, since in stones.items() if now - since <= TOMBSTONE_LIFETIME}
            self._put(tx, whose, kept)
