"""The rows of a relay over SQLite, as they lie in its slots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from evanesce.primitives import KDF

from .evidence import Evidence, Family, Unit, number_of, settle
from .sqlite_pages import Cell, Database, old_versions

_PREFIX = 20  # bytes of a slot before the data: the hour, the name of the place
_ENTRY = 29


@dataclass(slots=True)
class StoredRow:
    """A row as it lies in its slot."""

    hour: int
    name: bytes
    data: bytes  # with the zeros that fill the slot
    length: int
    blank: bool
    table: str
    cell: Cell
    marks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def unit(self) -> Unit:
        """What an attacker sees of it."""
        number = self.cell.values[0]
        assert isinstance(number, int)
        unit = Unit()
        unit.scalars = {
            "hour": self.hour, "length": self.length, "blank": self.blank,
            "name": number_of(self.name), "data": number_of(self.data),
            "class": float(self.table.removeprefix("slots")), "slot": number,
            "page": self.cell.page, "offset": self.cell.offset,
            "overflow": self.cell.chain[0] if self.cell.chain else 0,
        }  # fmt: skip
        unit.marks.update(self.marks)
        return unit


def stored_rows(base: Database) -> Iterator[StoredRow]:
    """The rows of a store in SQLite, with what the log says of their slots."""
    index = dict(_index(base))
    touched: dict[tuple[object, ...], StoredRow] = {}
    for cell in base.cells:
        value = cell.values[-1]
        if not cell.table.startswith("slots") or not isinstance(value, bytes):
            continue
        length, blank = index.get(value[:_PREFIX], (0, False))
        if not length:
            continue
        row = StoredRow(
            int.from_bytes(value[:4], "big"), value[4:_PREFIX],
            value[_PREFIX : _PREFIX + length], length, blank, cell.table, cell,
        )  # fmt: skip
        touched[base.name_of(cell)] = row
    for frame, cell in old_versions(base):
        found = touched.get(base.name_of(cell))
        if found is not None and cell.values == found.cell.values:
            found.marks["in frame"].append(frame.seq)
            found.marks["in commit"].append(frame.commit)
    yield from touched.values()


def _index(base: Database) -> Iterator[tuple[bytes, tuple[int, bool]]]:
    for cell in base.cells:
        data = cell.values[-1]
        if cell.table == "places" and isinstance(data, bytes):
            for n in range(int.from_bytes(data[:2], "big")):
                entry = data[2 + n * _ENTRY : 2 + (n + 1) * _ENTRY]
                yield entry[:_PREFIX], (int.from_bytes(entry[25:29], "big"), bool(entry[20] & 0x80))


def rows_of(evidence: Evidence) -> list[StoredRow]:
    bases = [base for base in evidence.databases if "places" in base.tables]
    return [row for base in bases for row in stored_rows(base)]


def read_linked_rows(evidence: Evidence) -> dict[str, Family]:
    """Rows that show by their name or their data which belong to one mailbox, if any do."""
    families: dict[str, Family] = {}
    rows = rows_of(evidence)
    values: dict[str, list[bytes]] = {
        "name": [row.name for row in rows], "data": [row.data for row in rows]
    }  # fmt: skip
    for what, parts in values.items():
        known = len(rows)
        for size in (32, 16, 8, 4):
            groups: dict[Hashable, list[StoredRow]] = defaultdict(list)
            for row, part in zip(rows, parts, strict=True):
                groups[part[:size]].append(row)
            # By chance hardly any two of them begin with the same four bytes.
            if rows and len(groups) < 0.98 * known:
                known = len(groups)
                families[f"rows by {what}:{size}"] = family_of(groups)
    return families


def family_of(groups: dict[Hashable, list[StoredRow]]) -> Family:
    family: Family = {}
    for name, rows in groups.items():
        unit = family.setdefault(name, Unit())
        for row in rows:
            one = row.unit()
            for trait, value in one.scalars.items():
                unit.marks[trait].append(value)
            for trait, marks in one.marks.items():
                unit.marks[trait].extend(marks)
    return settle(family)


def places_of(
    index_key: bytes, address: bytes, known: dict[tuple[int, bytes], StoredRow]
) -> list[StoredRow]:
    """The rows of a mailbox, computed from the index key and its address (spec 22.6)."""
    box_key = KDF(index_key, b"relay box", address)
    found: list[StoredRow] = []
    for hour in sorted({hour for hour, _ in known}):
        number = 0
        while True:
            name = KDF(box_key, b"relay place", hour, number, size=16)
            row = known.get((hour, name))
            if row is None:
                break
            found.append(row)
            number += 1
    return found
