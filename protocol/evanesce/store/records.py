"""The rows of an encrypted store, and the index of their names, which is kept in memory only.

Rows never move and are never deleted: a record that goes has its row overwritten with zeros, in its
place, and the row waits for another record of the same padded sizes. The reason is erasure. SQLite
zeroes what is deleted, but where it shares out the rows of full or empty pages anew, old copies of
them stay in the gaps: of 1,200 deleted records, parts of one or none were still found. Rows that
are only appended and overwritten never move. For the same reason there is no index on a hash of
the names in the database: it would grow in its middle.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ..errors import Reason, StorageError
from ..primitives import WRAP_NONCE_BYTES
from .sealing import Subkeys

__all__ = ["Records"]

_NO_NONCE: Final = bytes(WRAP_NONCE_BYTES)
_WORTHWHILE: Final = 1024 * 1024  # bytes in free rows


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    sizes: tuple[int, int]  # of sealed name and sealed value
    mark: int


class Records:
    """All records: `load` first. A change that fails leaves the index wrong: `load` again."""

    def __init__(self, connection: sqlite3.Connection, subkeys: Subkeys) -> None:
        self._connection = connection
        self._subkeys = subkeys
        self._rows: dict[bytes, _Row] = {}
        self._sorted: list[bytes] = []
        self._free: dict[tuple[int, int], list[int]] = {}
        self._last = 0  # the largest id of a row
        self.digest = 0

    def load(self) -> None:
        """Read and decrypt all names. Raise `StorageError` (bad-store)."""
        rows: dict[bytes, _Row] = {}
        free: dict[tuple[int, int], list[int]] = {}
        last = digest = 0
        found = self._connection.execute("SELECT id, name, nonce, length(value) FROM records")
        for number, sealed, nonce, size in found:
            if type(sealed) is not bytes or type(nonce) is not bytes or type(size) is not int:
                raise StorageError(Reason.BAD_STORE, "a row is damaged")
            last = max(last, number)
            sizes = (len(sealed), size)
            if sealed == bytes(len(sealed)):
                free.setdefault(sizes, []).append(number)
                continue
            name = self._subkeys.open_name(sealed)
            if name in rows or len(nonce) != WRAP_NONCE_BYTES:
                raise StorageError(Reason.BAD_STORE, "a row is damaged")
            row = _Row(number, sizes, self._subkeys.mark(name, nonce))
            rows[name] = row
            digest ^= row.mark
        self._rows, self._free, self._last, self.digest = rows, free, last, digest
        self._sorted = sorted(rows)

    def __contains__(self, name: bytes) -> bool:
        return name in self._rows

    def names(self, prefix: bytes) -> list[bytes]:
        """The names that start with `prefix`, sorted."""
        start = end = bisect_left(self._sorted, prefix)
        while end < len(self._sorted) and self._sorted[end].startswith(prefix):
            end += 1
        return self._sorted[start:end]

    def get(self, name: bytes) -> bytes | None:
        """The value of a record. Raise `StorageError` (bad-store)."""
        row = self._rows.get(name)
        if row is None:
            return None
        found = self._connection.execute(
            "SELECT nonce, value FROM records WHERE id = ?", (row.id,)
        ).fetchone()
        if found is None or type(found[0]) is not bytes or type(found[1]) is not bytes:
            raise StorageError(Reason.BAD_STORE, "a record is missing")
        nonce, sealed = found
        if self._subkeys.mark(name, nonce) != row.mark:
            raise StorageError(Reason.BAD_STORE, "a record is not the one that was written")
        return self._subkeys.open_value(name, nonce, sealed)

    def apply(self, writes: Mapping[bytes, bytes | None]) -> None:
        """Write and delete (None) records. Rows that are freed first serve the others."""
        for name, data in writes.items():
            if data is None and name in self._rows:
                self._erase(name)
        for name, data in writes.items():
            if data is not None:
                self._put(name, data)

    def _put(self, name: bytes, data: bytes) -> None:
        nonce, sealed = self._subkeys.seal_value(name, data)
        old = self._rows.get(name)
        if old is not None and old.sizes[1] == len(sealed):
            number, sizes = old.id, old.sizes
            self.digest ^= old.mark
            self._connection.execute(
                "UPDATE records SET nonce = ?, value = ? WHERE id = ?", (nonce, sealed, number)
            )
        else:
            if old is not None:
                self._erase(name)
            sealed_name = self._subkeys.seal_name(name)
            sizes = (len(sealed_name), len(sealed))
            number = self._place(sizes, sealed_name, nonce, sealed)
            insort(self._sorted, name)
        row = _Row(number, sizes, self._subkeys.mark(name, nonce))
        self._rows[name] = row
        self.digest ^= row.mark

    def _place(self, sizes: tuple[int, int], name: bytes, nonce: bytes, value: bytes) -> int:
        """Write into a free row of these sizes, or append one."""
        waiting = self._free.get(sizes)
        if waiting:
            number = waiting.pop()
            self._overwrite(number, name, nonce, value)
            return number
        self._last += 1
        self._connection.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?)", (self._last, name, nonce, value)
        )
        return self._last

    def _erase(self, name: bytes) -> None:
        row = self._rows.pop(name)
        self.digest ^= row.mark
        del self._sorted[bisect_left(self._sorted, name)]
        self._overwrite(row.id, bytes(row.sizes[0]), _NO_NONCE, bytes(row.sizes[1]))
        self._free.setdefault(row.sizes, []).append(row.id)

    def _overwrite(self, number: int, name: bytes, nonce: bytes, value: bytes) -> None:
        self._connection.execute(
            "UPDATE records SET name = ?, nonce = ?, value = ? WHERE id = ?",
            (name, nonce, value, number),
        )

    def drop_free_rows(self) -> bool:
        """Delete the free rows if they are more than all others; return whether it was done.

        What is deleted holds zeros, but rows move: the file has to be written anew after it.
        """
        used = sum(sum(row.sizes) for row in self._rows.values())
        free = sum(sum(sizes) * len(ids) for sizes, ids in self._free.items())
        if free < _WORTHWHILE or free < used:
            return False
        ids: Iterable[int] = (number for waiting in self._free.values() for number in waiting)
        self._connection.executemany("DELETE FROM records WHERE id = ?", ((i,) for i in ids))
        self._free.clear()
        self._last = max((row.id for row in self._rows.values()), default=0)
        return True
