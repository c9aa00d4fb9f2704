"""The table of buckets in SQLite: a file of its own, in which nothing but values ever changes.

Buckets have one size, stand in the order of their numbers, and are overwritten in their place, so
the pages look the same in whatever order they were written. A number below the largest that was
written, and not written itself, holds random bytes. A version is a random number, drawn anew each
time; it is 0 for what was never written, which can be told from the rest.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Final

from .rows import StoreFailure
from .sqlite_files import Kind, refuse

__all__ = ["LAST_BUCKET", "TABLE", "Table", "read_bucket"]

TABLE: Final = Kind(
    "table.db",
    0x45565254,  # "EVRT"
    "TRUNCATE",
    ("CREATE TABLE buckets (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",),
)
LAST_BUCKET: Final = (1 << 20) - 1
_VERSION_BYTES: Final = 8
_NOTHING: Final = (0, None)
Bucket = tuple[int, bytes | None]


def _parsed(data: object) -> Bucket:
    if type(data) is not bytes or len(data) <= _VERSION_BYTES:
        raise StoreFailure("the table is damaged")
    version = int.from_bytes(data[:_VERSION_BYTES], "big")
    return (version, data[_VERSION_BYTES:]) if version else _NOTHING


def read_bucket(connection: sqlite3.Connection, number: int) -> Bucket:
    """A bucket and its version, from the file. Raise `sqlite3.Error`."""
    found = connection.execute("SELECT data FROM buckets WHERE id = ?", (number,)).fetchone()
    return _NOTHING if found is None else _parsed(found[0])


class Table:
    """The whole table, as the file has it, and a change of it that is not in the file yet."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read it all. Raise `LocalError` (bad-store), `sqlite3.Error`."""
        self._connection = connection
        self._buckets: list[Bucket] = []
        self._size: int | None = None
        for number, data in connection.execute("SELECT id, data FROM buckets ORDER BY id"):
            self._size = self._size or len(data)
            if number != len(self._buckets) or len(data) != self._size:
                raise refuse("table.db is damaged")
            self._buckets.append(_parsed(data))
        self._changes: dict[int, tuple[int, bytes]] = {}

    def bucket(self, number: int) -> Bucket:
        """What is in the file. Any thread may ask."""
        buckets = self._buckets
        return buckets[number] if number < len(buckets) else _NOTHING

    def swap(self, number: int, version: int, data: bytes) -> bool:
        """Change a bucket, if its version is this one; the file changes with `flush`."""
        current, _ = self._changes.get(number, self.bucket(number))
        size = _VERSION_BYTES + len(data)
        if size != (self._size or size):
            raise StoreFailure("all buckets of a table have one size")
        if current != version:
            return False
        self._size = size
        fresh = current
        while fresh in (current, 0):
            fresh = int.from_bytes(os.urandom(_VERSION_BYTES), "big") >> 1
        self._changes[number] = fresh, data
        return True

    @property
    def changed(self) -> bool:
        """Whether there is something to flush."""
        return bool(self._changes)

    def flush(self) -> None:
        """Write the changes, in the order of their numbers. Raise `sqlite3.Error`."""
        size = _VERSION_BYTES + len(next(iter(self._changes.values()))[1])
        last = max(self._changes)
        self._connection.executemany(
            "INSERT INTO buckets VALUES (?, ?)",
            ((n, bytes(_VERSION_BYTES) + os.urandom(size - _VERSION_BYTES))
             for n in range(len(self._buckets), last + 1)),
        )  # fmt: skip
        for number, (version, data) in sorted(self._changes.items()):
            done = self._connection.execute(
                "UPDATE buckets SET data = ? WHERE id = ?",
                (version.to_bytes(_VERSION_BYTES, "big") + data, number),
            ).rowcount
            if done != 1:
                raise StoreFailure("the table is damaged")

    def committed(self) -> None:
        """The file has the changes."""
        for number, bucket in sorted(self._changes.items()):
            while number >= len(self._buckets):
                self._buckets.append(_NOTHING)
            self._buckets[number] = bucket
        self._changes = {}

    def discard(self) -> None:
        """The file does not have them."""
        self._changes = {}
        if not self._buckets:
            self._size = None
