"""What a transport has taken and may be asked to give up again (REQ-EVAP-14, REQ-ENV-23).

Of each copy of a text or data that the transport has taken, the id of its envelope and the mailbox
are kept for 72 hours, and not the envelope. When the message is burned they become a demand, which
waits until the transport has taken that too, for 72 hours at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .limits import RETENTION
from .mailbox import Mailbox
from .ports import Recall, Transaction
from .wire import decode, encode

__all__ = ["Recalls"]

_TAKEN = b"taken/"
_DEMAND = b"recall/"
_LIMIT = 1 << 20

Row = tuple[int, Recall]  # when the transport has taken it, and what would call it back


def _dump(rows: Iterable[Row]) -> bytes:
    return encode([[since, item.id, *item.mailbox.value()] for since, item in rows])


def _load(record: bytes | None) -> list[Row]:
    rows = [] if record is None else decode(record, limit=_LIMIT)
    return [(since, Recall(key, Mailbox(*mailbox))) for since, key, *mailbox in rows]


class Recalls:
    """What could be called back and what is to be; in memory by message, with the oldest time."""

    def __init__(self, taken: dict[bytes, int], demanded: dict[bytes, int]) -> None:
        self._taken = taken
        self._demanded = demanded

    @classmethod
    def load(cls, tx: Transaction) -> Recalls:
        """Read it from a store."""

        def oldest(prefix: bytes) -> dict[bytes, int]:
            return {name[len(prefix) :]: min(since for since, _ in _load(record))
                    for name, record in tx.scan(prefix)}  # fmt: skip

        return cls(oldest(_TAKEN), oldest(_DEMAND))

    def note(self, tx: Transaction, message: bytes, items: Iterable[Recall], now: int) -> None:
        """The transport has taken these copies of a message."""
        rows = _load(tx.get(_TAKEN + message)) + [(now, item) for item in items]
        self._put(tx, message, rows)

    def _put(self, tx: Transaction, message: bytes, rows: Sequence[Row]) -> None:
        if rows:
            tx.put(_TAKEN + message, _dump(rows))
            self._taken[message] = min(since for since, _ in rows)
        else:
            tx.delete(_TAKEN + message)
            self._taken.pop(message, None)

    def demand(
        self, tx: Transaction, message: bytes, perhaps: Iterable[Recall], now: int
    ) -> None:
        """Have everything called back that is known of a message, and what is `perhaps` taken."""
        items = {item.id: item for since, item in _load(tx.get(_TAKEN + message))
                 if now - since <= RETENTION}  # fmt: skip
        items |= {item.id: item for item in perhaps}
        self._put(tx, message, [])
        if items:
            earlier = {item.id: item for _, item in _load(tx.get(_DEMAND + message))}
            tx.put(_DEMAND + message, _dump((now, item) for item in (earlier | items).values()))
            self._demanded[message] = now

    @property
    def demanded(self) -> tuple[bytes, ...]:
        """The messages of which something is to be called back."""
        return tuple(self._demanded)

    @staticmethod
    def items(tx: Transaction, message: bytes) -> list[Recall]:
        """What is to be called back of a message."""
        return [item for _, item in _load(tx.get(_DEMAND + message))]

    def done(self, tx: Transaction, message: bytes, items: Iterable[Recall]) -> None:
        """The transport has taken this demand, or refuses it for good."""
        gone = {item.id for item in items}
        left = [row for row in _load(tx.get(_DEMAND + message)) if row[1].id not in gone]
        if left:
            tx.put(_DEMAND + message, _dump(left))
        else:
            self._drop(tx, message)

    def _drop(self, tx: Transaction, message: bytes) -> None:
        tx.delete(_DEMAND + message)
        self._demanded.pop(message, None)

    def expire(self, tx: Transaction, now: int) -> None:
        """Forget what is older than a relay keeps anything."""
        for message in [key for key, since in self._taken.items() if now - since > RETENTION]:
            rows = _load(tx.get(_TAKEN + message))
            self._put(tx, message, [row for row in rows if now - row[0] <= RETENTION])
        for message in [key for key, since in self._demanded.items() if now - since > RETENTION]:
            self._drop(tx, message)
