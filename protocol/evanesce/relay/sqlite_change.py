"""The rows of a store in SQLite as its one writer sees them, and a change of them."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Final

from . import sqlite_index as index
from .rows import Place, Row, StoreFailure, StoreFull
from .sqlite_files import PAGE_BYTES, Kind
from .sqlite_index import FIRST_BUCKETS, INDEX_BYTES, INDEX_ROOM, PREFIX_BYTES, Entry
from .sqlite_slots import CLASSES, Slots, class_of, cost_of, slot_bytes, table_of

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
_CUT: Final = 4 << 20  # bytes of slots that are cut off at once, at most
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
    """What the writer knows without looking: how much there is, and which slots are free.

    `most`: bytes that the slots and the index, free ones included, may take; None: what fits.
    """

    def __init__(self, connection: sqlite3.Connection, most: int | None = None) -> None:
        """Look through the whole index. Raise `StoreFailure` if it is damaged, `sqlite3.Error`."""
        self.connection, self.most = connection, most
        self.buckets = _count(connection, _INDEX)
        self.rows = 0
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
        hour = entry.prefix[:4]
        self.hours[hour] += sign
        if not self.hours[hour]:
            del self.hours[hour]

    @property
    def octets(self) -> int:
        """Bytes that nothing else can be given: whole slots of rows, and what the index needs."""
        slots = sum((s.count - len(s.free)) * cost_of(s.size_class) for s in self.slots)
        buckets = min(self.buckets, 2 * index.target(self.rows))
        return slots + (buckets - FIRST_BUCKETS) * PAGE_BYTES

    @property
    def held(self) -> int:
        """Bytes of the file that are in use: all slots, free ones too, and the whole index."""
        slots = sum(s.count * cost_of(s.size_class) for s in self.slots)
        return slots + (self.buckets - FIRST_BUCKETS) * PAGE_BYTES

    def fits(self, rows: Sequence[Row]) -> bool:
        """Whether so much more is within the bound, once all that is free has been cut off."""
        if self.most is None:
            return True
        size = sum(cost_of(class_of(len(row.data))) for row in rows)
        grown = 2 * (index.target(self.rows + len(rows)) - index.target(self.rows)) * PAGE_BYTES
        return self.octets + size + grown <= self.most


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
        """Add a row if its place is free. Raise `StoreFull`; `Rows.fits` tells before."""
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
        slot = self._take(size_class, erasing=True)  # this may move the row itself, and its entry
        entries = self._list(prefix, change=True)
        at, _ = index.find(entries, prefix)
        old = Entry.load(entries[at])
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
        self._flush_cuts()
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
            if slot < self._rows.slots[size_class].count:
                size = slot_bytes(size_class)
                self._update(table_of(size_class), slot, data + bytes(size - len(data)))

    def _flush_cuts(self) -> None:
        """Erase and delete what was cut off, first: what comes takes the pages."""
        for (size_class, slot), data in sorted(self._written.items()):
            count, before = self._rows.slots[size_class].count, self._slots_before[size_class]
            if count <= slot < before:
                assert not data  # free, or moved
                self._update(table_of(size_class), slot, bytes(slot_bytes(size_class)))
        cut = [(table_of(slots.size_class), slots.count, before)
               for slots, before in zip(self._rows.slots, self._slots_before, strict=True)
               if slots.count < before]  # fmt: skip
        if self._rows.buckets < self._buckets_before:
            for number in range(self._rows.buckets, self._buckets_before):
                self._update(_INDEX, number, bytes(INDEX_BYTES))
            cut.append((_INDEX, self._rows.buckets, self._buckets_before))
        for table, first, end in cut:
            self._connection.executemany(
                f"DELETE FROM {table} WHERE id = ?",  # noqa: S608  one of our names
                ((number,) for number in reversed(range(first, end))),
            )

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

    def _merge(self) -> bool:
        """One bucket less: what is in the last goes back; False if there is no room."""
        new = self._rows.buckets - 1
        old = new - (1 << new.bit_length() - 1)
        before, last = self._numbered(old), self._numbered(new)
        if len(before) + len(last) > INDEX_ROOM:
            return False
        before[:] = sorted(before + last)
        self._rows.buckets = new
        self._changed.add(old)
        self._changed.discard(new)
        self._lists[new] = []  # until it is split again
        return True

    def _free(self, entry: Entry) -> None:
        self._written[entry.size_class, entry.slot] = b""
        self._rows.slots[entry.size_class].free.append(entry.slot)

    def _take(self, size_class: int, *, erasing: bool = False) -> int:
        """A slot for a row. To erase, one more is made even past the bound."""
        slots = self._rows.slots[size_class]
        if not slots.free:
            for old, new in slots.grow(self._room(slots, 1 if erasing else 0)):
                if not self._move(size_class, old, new):
                    slots.exchange(old, new)
        return slots.take()

    def _room(self, slots: Slots, least: int) -> int | None:
        """How many slots more there may be, once others were cut off; None: there is no bound."""
        rows, cost = self._rows, cost_of(slots.size_class)
        if rows.most is None:
            return None
        missing = rows.held + cost * slots.step - rows.most
        while missing > 0 and rows.buckets > 2 * index.target(rows.rows) and self._merge():
            missing -= PAGE_BYTES
        for other in sorted(rows.slots, key=lambda s: len(s.free) * cost_of(s.size_class))[::-1]:
            if missing > 0 and other.free:
                missing -= self._cut(other, missing)
        room = max((rows.most - rows.held) // cost, least)
        if room < 1:
            raise StoreFull("the bound of the store is reached")
        return room

    def _cut(self, slots: Slots, wanted: int) -> int:
        """Cut off free slots of so many bytes, or what may be done at once; return how many."""
        cost = cost_of(slots.size_class)
        number = min(len(slots.free), -(-max(wanted, _CUT // 8) // cost), max(1, _CUT // cost))
        if not all(self._owner(slots.size_class, slot) for slot in slots.last_used(number)):
            return 0  # damaged: it stays where it is
        for old, new in slots.cut(number):
            self._move(slots.size_class, old, new)
        return number * cost

    def _owner(self, size_class: int, slot: int) -> bool:
        """Whether the row in a slot is the one that the index has there."""
        value = self._written.get((size_class, slot))
        if value is None:
            value = _get(self._connection, table_of(size_class), slot)
        entries = self._list(value[:PREFIX_BYTES])
        at, there = index.find(entries, value[:PREFIX_BYTES])
        entry = Entry.load(entries[at]) if there else None
        return entry is not None and (entry.size_class, entry.slot) == (size_class, slot)

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
