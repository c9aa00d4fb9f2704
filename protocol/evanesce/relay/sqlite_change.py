"""The rows of a store in SQLite as its one writer sees them, and a change of them."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Final

from . import sqlite_index as index
from .rows import Place, Row, StoreFailure
from .sqlite_files import Kind
from .sqlite_index import FIRST_BUCKETS, INDEX_BYTES, INDEX_ROOM, PREFIX_BYTES, Entry
from .sqlite_slots import CLASSES, Slots, class_of, slot_bytes, table_of

__all__ = ["FILL", "FORGET_ROWS", "ROWS", "Change", "Rows", "read_rows"]

ROWS: Final = Kind(
    "rows.db",
    0x45565252,  # "EVRR"
    "WAL",
    (
        "CREATE TABLE mark (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
        "CREATE TABLE places (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
        *(f"CREATE TABLE {table_of(c)} (id INTEGER PRIMARY KEY, data BLOB NOT NULL)"
          for c in range(len(CLASSES))),
    ),
)  # fmt: skip
FILL: Final = (
    "INSERT INTO mark VALUES (0, randomblob(32))",
    *(
        f"INSERT INTO places VALUES ({n}, zeroblob({INDEX_BYTES}))"  # noqa: S608
        for n in range(FIRST_BUCKETS)
    ),
)
_INDEX: Final = "places"
FORGET_ROWS: Final = 400  # in one transaction, about
_FORGET_BUCKETS, _FORGET_BYTES = 512, 2 << 20
_DAMAGED: Final = "the rows are damaged"


def _get(connection: sqlite3.Connection, table: str, number: int) -> bytes:
    found = connection.execute(
        f"SELECT data FROM {table} WHERE id = ?",  # noqa: S608  one of our names
        (number,),
    ).fetchone()
    if found is None or type(found[0]) is not bytes:
        raise StoreFailure(_DAMAGED)
    data: bytes = found[0]
    return data


def _count(connection: sqlite3.Connection, table: str) -> int:
    (last,) = connection.execute(f"SELECT max(id) FROM {table}").fetchone()  # noqa: S608
    return 0 if last is None else int(last) + 1


def _load(data: bytes) -> list[bytes]:
    try:
        return index.load(data)
    except ValueError:
        raise StoreFailure(_DAMAGED) from None


def _content(value: bytes, entry: Entry) -> bytes:
    """The data in a slot, which must be the slot of this row."""
    if value[:PREFIX_BYTES] != entry.prefix or len(value) != slot_bytes(entry.size_class):
        raise StoreFailure(_DAMAGED)
    return value[PREFIX_BYTES : PREFIX_BYTES + entry.length]


def read_rows(connection: sqlite3.Connection, places: Sequence[Place]) -> list[bytes | None]:
    """What is at these places, in the transaction that is open."""
    buckets = _count(connection, _INDEX)
    found: list[bytes | None] = []
    for place in places:
        prefix = index.prefix_of(place)
        entries = _load(_get(connection, _INDEX, index.bucket_of(prefix, buckets)))
        at, there = index.find(entries, prefix)
        if not there:
            found.append(None)
            continue
        entry = Entry.load(entries[at])
        if entry.size_class >= len(CLASSES):
            raise StoreFailure(_DAMAGED)
        found.append(_content(_get(connection, table_of(entry.size_class), entry.slot), entry))
    return found


class Rows:
    """What the writer knows without looking: how much there is, and which slots are free."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Look through the whole index. Raise `StoreFailure` if it is damaged, `sqlite3.Error`."""
        self.connection = connection
        self.buckets = _count(connection, _INDEX)
        self.rows = self.octets = 0
        self.hours: Counter[bytes] = Counter()  # rows of each
        used = [bytearray(_count(connection, table_of(c))) for c in range(len(CLASSES))]
        if self.buckets < FIRST_BUCKETS:
            raise StoreFailure(_DAMAGED)
        for number, data in connection.execute("SELECT id, data FROM places ORDER BY id"):
            before = b""
            for each in _load(data):
                entry = Entry.load(each)
                if (
                    entry.size_class >= len(CLASSES)
                    or entry.slot >= len(used[entry.size_class])
                    or used[entry.size_class][entry.slot]
                    or each <= before
                    or index.bucket_of(entry.prefix, self.buckets) != number
                ):
                    raise StoreFailure(_DAMAGED)
                used[entry.size_class][entry.slot] = 1
                before = each
                self.count(entry, 1)
        self.slots = [Slots.counted(c, each) for c, each in enumerate(used)]

    def count(self, entry: Entry, sign: int) -> None:
        """Count a row that came, or one that went."""
        self.rows += sign
        self.octets += sign * entry.length
        hour = entry.prefix[:4]
        self.hours[hour] += sign
        if not self.hours[hour]:
            del self.hours[hour]


class Change:
    """What one transaction changes. `flush` writes it, in an order that tells nothing.

    If it fails, or is not flushed, its `Rows` are of no use any more.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._connection = rows.connection
        self._buckets_before = rows.buckets
        self._slots_before = [slots.count for slots in rows.slots]
        self._lists: dict[int, list[bytes]] = {}
        self._changed: set[int] = set()
        self._written: dict[tuple[int, int], bytes] = {}  # empty: free

    def add(self, row: Row) -> bool:
        """Add a row if its place is free."""
        prefix = index.prefix_of(row.place)
        size_class = class_of(len(row.data))
        if index.find(self._list(prefix), prefix)[1]:
            return False
        slot = self._take(size_class)
        self._written[size_class, slot] = prefix + row.data
        entry = Entry(prefix, size_class, slot, len(row.data), blank=False)
        self._rows.count(entry, 1)
        while self._rows.buckets < index.target(self._rows.rows):
            self._split()
        while len(self._list(prefix)) >= INDEX_ROOM:
            if self._rows.buckets > 8 * index.target(self._rows.rows):
                raise StoreFailure("places that are not random")
            self._split()
        entries = self._list(prefix, change=True)
        entries.insert(index.find(entries, prefix)[0], entry.dump())
        return True

    def blank(self, row: Row) -> bool:
        """Leave a remainder where there is a row."""
        prefix = index.prefix_of(row.place)
        size_class = class_of(len(row.data))
        entries = self._list(prefix)
        at, there = index.find(entries, prefix)
        if not there or Entry.load(entries[at]).blank:
            return False
        slot = self._take(size_class)  # this may move the row itself
        old = Entry.load(self._list(prefix, change=True)[at])
        self._written[size_class, slot] = prefix + row.data
        self._free(old)
        new = Entry(prefix, size_class, slot, len(row.data), blank=True)
        self._rows.count(old, -1)
        self._rows.count(new, 1)
        entries[at] = new.dump()
        return True

    def forget(self, hour: int, first: int) -> tuple[int, int | None]:
        """Erase rows of this hour or earlier, from one bucket on, but not too many at once.

        Return how many, and the bucket from which to go on; None at the end.
        """
        last = min(max(hour, -1), (1 << 32) - 1)
        limit = b"" if last < 0 else last.to_bytes(4, "big") + b"\xff" * INDEX_BYTES
        gone = octets = 0
        for number in range(first, self._rows.buckets):
            if not any(each < limit for each in self._rows.hours):
                return gone, None
            if number >= first + _FORGET_BUCKETS:
                return gone, number
            entries = self._numbered(number)
            for each in entries[: bisect_right(entries, limit)]:
                if gone >= FORGET_ROWS or octets >= _FORGET_BYTES:
                    return gone, number
                entry = Entry.load(each)
                self._free(entry)
                self._rows.count(entry, -1)
                self._changed.add(number)
                entries.pop(0)
                gone += 1
                octets += entry.length
        return gone, None

    def flush(self) -> None:
        """Write it all. Raise `sqlite3.Error`."""
        for number in range(self._buckets_before, self._rows.buckets):
            self._connection.execute(
                "INSERT INTO places VALUES (?, zeroblob(?))", (number, INDEX_BYTES)
            )
        for slots, before in zip(self._rows.slots, self._slots_before, strict=True):
            self._connection.executemany(
                f"INSERT INTO {table_of(slots.size_class)} VALUES (?, zeroblob(?))",  # noqa: S608
                ((n, slot_bytes(slots.size_class)) for n in range(before, slots.count)),
            )
        for number in sorted(self._changed):
            self._update(_INDEX, number, index.dump(self._lists[number]))
        for (size_class, slot), data in sorted(self._written.items()):
            size = slot_bytes(size_class)
            self._update(table_of(size_class), slot, data + bytes(size - len(data)))

    def _update(self, table: str, number: int, data: bytes) -> None:
        done = self._connection.execute(
            f"UPDATE {table} SET data = ? WHERE id = ?",  # noqa: S608
            (data, number),
        ).rowcount
        if done != 1:
            raise StoreFailure(_DAMAGED)

    def _numbered(self, number: int) -> list[bytes]:
        if number not in self._lists:
            new = number >= self._buckets_before
            self._lists[number] = [] if new else _load(_get(self._connection, _INDEX, number))
        return self._lists[number]

    def _list(self, prefix: bytes, *, change: bool = False) -> list[bytes]:
        number = index.bucket_of(prefix, self._rows.buckets)
        if change:
            self._changed.add(number)
        return self._numbered(number)

    def _split(self) -> None:
        """One bucket more: it takes what belongs there from the one that has had it."""
        new = self._rows.buckets
        old = new - (1 << new.bit_length() - 1)
        before = self._numbered(old)
        self._rows.buckets += 1
        parts: dict[int, list[bytes]] = {old: [], new: []}
        for each in before:
            parts[index.bucket_of(each[:PREFIX_BYTES], new + 1)].append(each)
        before[:] = parts[old]
        self._lists[new] = parts[new]
        self._changed |= {old, new}

    def _free(self, entry: Entry) -> None:
        self._written[entry.size_class, entry.slot] = b""
        self._rows.slots[entry.size_class].free.append(entry.slot)

    def _take(self, size_class: int) -> int:
        slots = self._rows.slots[size_class]
        if not slots.free:
            for old, new in slots.grow():
                if not self._move(size_class, old, new):
                    slots.exchange(old, new)
        return slots.take()

    def _move(self, size_class: int, old: int, new: int) -> bool:
        """Move a row to another slot; False for one that is damaged, and stays."""
        value = self._written.get((size_class, old))
        if value is None:
            value = _get(self._connection, table_of(size_class), old)
        prefix = value[:PREFIX_BYTES]
        entries = self._list(prefix, change=True)
        at, there = index.find(entries, prefix)
        entry = Entry.load(entries[at]) if there else None
        if entry is None or (entry.size_class, entry.slot) != (size_class, old):
            return False
        entries[at] = entry._replace(slot=new).dump()
        self._written[size_class, new] = value[: PREFIX_BYTES + entry.length]
        self._written[size_class, old] = b""
        return True
