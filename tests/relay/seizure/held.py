"""Whether a relay's folders hold what spec 22.7 lists and nothing else: files, columns, fields."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from evanesce.errors import RemoteError
from evanesce.limits import QUARTER
from evanesce.primitives import KDF, unwrap
from evanesce.relay.sealing import open_bucket
from evanesce.wire import decode

from .sqlite_pages import Database, read_database

_SPEC = Path(__file__).parents[3] / "spec" / "22-relay.md"
_EMPTY = {"rows.db-lock", "table.db-journal", "lock", "used"}
_ENTRY, _PLACE = 29, 20

HELD = {
    ("rows.db", "mark"): ("store.index",),
    ("rows.db", "places"): ("row.hour", "row.place", "store.index"),
    ("table.db", "buckets"): ("table.bucket",),
    ("keys", "index.key"): ("key.index",),
    ("keys", "table.key"): ("key.table",),
    ("keys", "hour-#.key"): ("key.hour",),
    ("keys", "disclosure.key"): ("key.disclosure",),
    ("keys", "clock"): ("clock.hour",),
} | {("rows.db", f"slots{n}"): ("row.hour", "row.place", "row.data") for n in range(21)}
"""Each table and file, and the fields of 22.7 that are in it."""


class NotListedError(AssertionError):
    """Something is held that is not on the list."""


def _demand(condition: bool, what: str) -> None:
    if not condition:
        raise NotListedError(what)


def listed_fields() -> set[str]:
    """The names in the table of 22.7."""
    section = _SPEC.read_text().split("\n## 22.7")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def check_held(data: Path, keys: Path) -> int:
    """Raise `NotListedError` saying what is too much; return how many rows were looked into."""
    listed = listed_fields()
    for fields in HELD.values():
        _demand(set(fields) <= listed, f"22.7 lists no {fields}")
    for path in [*data.iterdir(), *keys.iterdir()]:
        name = re.sub(r"-\d+\.", "-#.", path.name)
        if path.name in _EMPTY:
            _demand(path.stat().st_size == 0, f"{path.name} is not empty")
        elif path.parent == keys:
            _demand(("keys", name) in HELD, f"the file {path.name} is not listed")
            size = path.stat().st_size
            _demand(size == 32 or (name == "clock" and _clock(keys) > 0), name)
        else:
            _demand(name in {"rows.db", "rows.db-wal", "rows.db-shm", "table.db"}, path.name)
    rows, table = read_database(data / "rows.db"), read_database(data / "table.db")
    for base in (rows, table):
        _check_schema(base)
    _check_buckets(table, (keys / "table.key").read_bytes(), _clock(keys))
    return _check_rows(rows, _clock(keys))


def _check_schema(base: Database) -> None:
    _demand(not base.free, f"{base.path.name} has free pages")
    for name, table in base.tables.items():
        if name == "sqlite_schema":
            continue
        _demand((base.path.name, name) in HELD, f"the table or index {name} is not listed")
        _demand(table.columns == ["rowid", "id", "data"], f"{name} has columns {table.columns}")
    for cell in base.cells:
        if cell.table != "sqlite_schema":
            # Of an INTEGER PRIMARY KEY the record holds nothing: the number is the row's.
            rowid, id_, data = cell.values
            _demand(isinstance(rowid, int) and rowid < 1 << 24, f"a number in {cell.table}")
            _demand(id_ is None and isinstance(data, bytes), f"a value in {cell.table}")


def _check_buckets(base: Database, key: bytes, hour: int) -> None:
    quarter = hour * 3600 // QUARTER
    sizes = set()
    for cell in base.cells:
        number, data = cell.values[0], cell.values[-1]
        if cell.table != "buckets" or not isinstance(data, bytes) or not isinstance(number, int):
            continue
        sizes.add(len(data))
        if not any(data[:8]):
            continue
        try:
            fields = decode(open_bucket(key, number, data[8:]), limit=1 << 16)
        except RemoteError:
            raise NotListedError(f"bucket {number} is no sealed bucket") from None
        assert isinstance(fields, list)
        for record in fields if number else ():
            _demand(len(record) == 3, f"a record has {len(record)} fields")
            tag, hashed, lease = record
            _demand(isinstance(tag, bytes) and len(tag) == 16, "a tag")
            _demand(isinstance(hashed, bytes) and len(hashed) == 32, "a hash of a capability")
            _demand(isinstance(lease, int) and abs(lease - quarter) <= 1, f"a lease of {lease!r}")
    _demand(len(sizes) == 1, "buckets of several sizes")


def _check_rows(base: Database, hour: int) -> int:
    indexed: dict[bytes, tuple[int, int]] = {}
    slots: dict[tuple[str, object], bytes] = {}
    for cell in base.cells:
        data = cell.values[-1]
        if cell.table.startswith("slots") and isinstance(data, bytes):
            slots[cell.table, cell.values[0]] = data
        if cell.table != "places" or not isinstance(data, bytes):
            continue
        count = int.from_bytes(data[:2], "big")
        _demand(not any(data[2 + count * _ENTRY :]), "something behind the index")
        for n in range(count):
            entry = data[2 + n * _ENTRY : 2 + (n + 1) * _ENTRY]
            where = int.from_bytes(entry[21:25], "big"), int.from_bytes(entry[25:], "big")
            indexed[bytes([entry[20] & 0x7F]) + entry[:_PLACE]] = where
            expiry = int.from_bytes(entry[:4], "big")
            _demand(hour < expiry <= hour + 92 * 24, f"{expiry} is no hour of expiry")
    used: set[tuple[str, object]] = set()
    for known, (slot, length) in indexed.items():
        place = f"slots{known[0]}", slot
        data = slots[place]
        used.add(place)
        _demand(data[:_PLACE] == known[1:], "a slot is another's")
        _demand(not any(data[_PLACE + length :]), "something behind a row")
    for where_, content in slots.items():
        _demand(where_ in used or not any(content), f"something in a free slot of {where_[0]}")
    return len(indexed)


def check_opened(
    index_key: bytes, hour_key: bytes, address: bytes, row: bytes, place: bytes
) -> None:
    """A row, opened by whoever has everything, is a kind, an id and an envelope, no more."""
    box_key = KDF(index_key, b"relay box", address)
    fields = decode(unwrap(KDF(hour_key, b"relay row", box_key), row, place), limit=1 << 22)
    _demand(isinstance(fields, list) and [type(f) for f in fields] == [int, bytes, bytes], "a row")
    assert isinstance(fields, list)
    _demand(fields[0] in (0, 1, 2, 3) and len(fields[1]) == 16, "a kind or an id")


def _clock(keys: Path) -> int:
    """The last hour seen: two slots, of a count, an hour, their checksum, and zeros."""
    data = (keys / "clock").read_bytes()
    _demand(len(data) == 8_192, "clock")
    slots = [data[:4_096], data[4_096:]]
    for slot in slots:
        _demand(int.from_bytes(slot[16:20], "big") == zlib.crc32(slot[:16]), "clock")
        _demand(not any(slot[20:]), "clock")
    return int.from_bytes(max(slots)[8:16], "big")
