"""The rooms of a device, each read from the store when it is first used.

A device may be in hundreds of rooms and use a few of them: what it needs of the others is kept
beside them (`holdings.RoomMeta`, `looks`).
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from .errors import EvanesceError, Reason, StorageError
from .ports import Store, Transaction
from .room import Room

__all__ = ["Rooms"]


class Rooms(MutableMapping[bytes, Room]):
    """By room id. To look one up may raise `StorageError` (bad-store), if it is read only now."""

    def __init__(self) -> None:
        self._rooms: dict[bytes, Room | None] = {}  # None: it has not been read
        self._tx: Transaction | None = None
        self.store: Store | None = None  # where rooms are read from while no transaction is open

    def expect(self, tx: Transaction, room: bytes) -> None:
        """There has to be a room in the store. Raise `StorageError` (bad-store)."""
        if tx.get(_prefix(room) + b"state") is None:
            raise StorageError(Reason.BAD_STORE, "a room is missing")
        self._rooms[room] = None

    @contextmanager
    def within(self, tx: Transaction) -> Iterator[None]:
        """Read through the transaction that is open now."""
        self._tx = tx
        try:
            yield
        finally:
            self._tx = None

    def __getitem__(self, room: bytes) -> Room:
        found = self._rooms[room]
        if found is None:
            found = self._rooms[room] = self._read(room)
        return found

    def _read(self, room: bytes) -> Room:
        if self._tx is not None:
            return _restore(self._tx, room)
        assert self.store is not None  # whoever opens transactions has said where
        found: Room | None = None
        try:
            with self.store.transaction() as tx:
                found = _restore(tx, room)
        except EvanesceError:
            if found is None:  # else it is read, and how the transaction ends is nothing to it
                raise
        assert found is not None
        return found

    def __setitem__(self, room: bytes, value: Room) -> None:
        self._rooms[room] = value

    def __delitem__(self, room: bytes) -> None:
        del self._rooms[room]

    def __contains__(self, room: object) -> bool:
        return room in self._rooms

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._rooms)

    def __len__(self) -> int:
        return len(self._rooms)

    @property
    def read(self) -> int:
        """How many have been read."""
        return sum(room is not None for room in self._rooms.values())


def _prefix(room: bytes) -> bytes:
    return b"room/" + room + b"/"


def _restore(tx: Transaction, room: bytes) -> Room:
    prefix = _prefix(room)
    return Room.restore({name[len(prefix) :]: data for name, data in tx.scan(prefix)})
