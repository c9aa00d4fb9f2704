"""What a seized folder says of anything in it that may stand for a mailbox: units and traits.

Nothing here knows which relay it looks at. Candidates are found by form: values that name something
(and recur, or stand in a table of their own), prefixes that recur, tables of numbered buckets, and,
where keys were seized too, what the buckets hold. Of each candidate everything is noted that could
tie it to another: numbers in its rows, where its rows lie, when they changed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .sqlite_pages import MAGIC, Cell, Database, Table, old_versions, read_database

Opener = Callable[[int, bytes], Sequence[tuple[bytes, dict[str, float]]]]
"""With the keys: the records of a bucket, each with its name and the numbers in it."""

_PREFIXES = (8, 16, 32)
_MOST_MARKS = 40
_MOST_ALIKE = 12  # names with the same start: what is searched for has to be rare
_DULL = (".page", ".index", ".offset", ".rank", "#")
"""What says nothing where a unit has many of them that is not said by others as well."""


@dataclass(slots=True)
class Unit:
    """A candidate. A scalar is one number; marks are positions of events, of any number."""

    scalars: dict[str, float] = field(default_factory=dict)
    marks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


_Changes = dict[tuple[object, ...], dict[str, list[float]]]
Family = dict[Hashable, Unit]
"""Candidates of one kind."""


@dataclass(slots=True)
class Evidence:
    """All families of candidates of one seizure."""

    databases: list[Database]
    families: dict[str, Family]


def number_of(data: bytes) -> float:
    """The first bytes of a value, as a number: near values would be near."""
    return float(int.from_bytes(data[:6].ljust(6, b"\0"), "big"))


def examine(
    folder: Path, numbered: Collection[str] = (), opener: Opener | None = None
) -> Evidence:
    """Examine a folder.

    `numbered` names the tables of buckets that could stand for mailboxes; `opener` opens them,
    where the keys were seized as well.
    """
    bases = [
        read_database(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.read_bytes()[:16] == MAGIC
    ]
    families: dict[str, Family] = {}
    for base in bases:
        changes = _changes(base)
        families.update(_named(base, changes))
        families.update(_numbered(base, changes, numbered, opener))
    raw = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    _find_raw(raw, list(families.values()))
    return Evidence(bases, families)


def _layout(cell: Cell) -> dict[str, float]:
    first = cell.chain[0] if cell.chain else 0
    return {
        "page": cell.page,
        "index": cell.index,
        "offset": cell.offset,
        "lies": cell.page * 70_000.0 - cell.offset,
        "rank": cell.rank,
        "overflow": first,
    }


def _note(unit: Unit, table: Table, cell: Cell, column: int) -> None:
    """Everything about one row of a unit."""
    numbers = {f"{table.name}.{key}": value for key, value in _layout(cell).items()}
    for at, value in enumerate(cell.values):
        name = f"{table.name}.{table.columns[at] if at < len(table.columns) else at}"
        if isinstance(value, (int, float)):
            numbers[name] = float(value)
        elif isinstance(value, bytes):
            numbers[f"{name}#size"] = len(value)
            if at != column:
                numbers[f"{name}#"] = number_of(value)
    for name, number in numbers.items():
        unit.marks[name].append(number)


def settle(family: Family) -> Family:
    """What occurs once in every unit is a scalar; of the rest, counts and means are."""
    many = Counter[str]()
    for unit in family.values():
        for name, marks in unit.marks.items():
            many[name] = max(many[name], len(marks))
    for unit in family.values():
        for name in list(unit.marks):
            marks = unit.marks[name]
            if many[name] == 1:
                unit.scalars[name] = marks[0]
                del unit.marks[name]
                continue
            unit.scalars[f"{name}#count"] = len(marks)
            unit.scalars[f"{name}#mean"] = sum(marks) / len(marks)
            unit.marks[name] = marks[-_MOST_MARKS:]
            if name.endswith(_DULL):
                del unit.marks[name]
    return family


def _named(base: Database, changes: _Changes) -> dict[str, Family]:
    """Families of values and of recurring prefixes, joined where they share values."""
    rows: dict[str, list[Cell]] = defaultdict(list)
    for cell in base.cells:
        if base.tables[cell.table].columns and cell.table != "sqlite_schema":
            rows[cell.table].append(cell)
    columns: list[tuple[str, int, int, dict[bytes, list[Cell]]]] = []
    for table, cells in rows.items():
        for column in range(len(cells[0].values)):
            values = [c.values[column] for c in cells]
            blobs = [v for v in values if isinstance(v, bytes)]
            if len(blobs) < len(values) or not blobs:
                continue
            least = min(map(len, blobs))
            whole = least == max(map(len, blobs)) <= 64
            for size in {least} if whole else set():
                columns.append((table, column, size, _by_prefix(cells, column, size)))
            for size in _PREFIXES:
                if size >= least and whole:
                    continue
                # Longer prefixes of a value whose shorter ones recur say the same.
                groups = _by_prefix(cells, column, size)
                if len(groups) <= 0.9 * len(cells) and len(groups) > 1:
                    columns.append((table, column, size, groups))
    return _join(base, changes, columns)


def _by_prefix(cells: Iterable[Cell], column: int, size: int) -> dict[bytes, list[Cell]]:
    groups: dict[bytes, list[Cell]] = defaultdict(list)
    for cell in cells:
        value = cell.values[column]
        assert isinstance(value, bytes)
        if len(value) >= size:
            groups[value[:size]].append(cell)
    return groups


def _join(
    base: Database, changes: _Changes, columns: list[tuple[str, int, int, dict[bytes, list[Cell]]]]
) -> dict[str, Family]:
    families: dict[str, Family] = {}
    left = list(columns)
    while left:
        together = [left.pop(0)]
        for other in list(left):
            if any(len(other[3].keys() & one[3].keys()) > 2 for one in together):
                together.append(other)
                left.remove(other)
        family: Family = defaultdict(Unit)
        for table, column, _, groups in together:
            for value, cells in groups.items():
                for cell in cells:
                    _note(family[value], base.tables[table], cell, column)
                    for name, marks in changes.get(base.name_of(cell), {}).items():
                        family[value].marks[f"{table}.{name}"].extend(marks)
        name = "+".join(f"{table}.{column}:{size}" for table, column, size, _ in together)
        families[f"named {name}"] = settle(dict(family))
    return families


def _changes(base: Database) -> _Changes:
    """Of each row, by its key: frames and transactions of the WAL in which it is new or changed."""
    last: dict[tuple[object, ...], tuple[object, ...]] = {}
    found: _Changes = {}
    for frame, cell in old_versions(base):
        key = base.name_of(cell)
        if last.get(key) == cell.values:
            continue
        known = key in last
        last[key] = cell.values
        # What stands in the first image of a page may have been there for long; it is noted apart.
        kind = "changed" if known else "appeared"
        marks = found.setdefault(key, defaultdict(list))
        marks[f"{kind} at frame"].append(frame.seq)
        marks[f"{kind} in commit"].append(frame.commit)
    return found


def _numbered(
    base: Database, changes: _Changes, numbered: Collection[str], opener: Opener | None
) -> dict[str, Family]:
    """Tables of buckets; opened, if the keys are there. A bucket's name is (table, number)."""
    families: dict[str, Family] = {}
    for table in base.tables.values():
        if table.name not in numbered:
            continue
        cells = [c for c in base.cells if c.table == table.name]
        at = next(n for n, v in enumerate(cells[0].values) if isinstance(v, bytes))
        family: Family = {}
        for cell in cells:
            unit = family.setdefault((table.name, _number(table, cell)), Unit())
            _note(unit, table, cell, at)
            for name, marks in changes.get(base.name_of(cell), {}).items():
                unit.marks[name].extend(marks)
        if opener is not None:
            families[f"records of {table.name}"] = _records(base, table, at, cells, opener)
        families[f"buckets of {table.name}"] = settle(family)
    return families


def _number(table: Table, cell: Cell) -> int:
    """The number of a bucket: of a column of this name, or the row's."""
    at = table.columns.index("number") if "number" in table.columns else 0
    number = cell.values[at]
    assert isinstance(number, int)
    return number


def _records(
    base: Database, table: Table, at: int, cells: list[Cell], opener: Opener
) -> Family:
    """What stands in the buckets, and in the older versions of them that the WAL holds."""
    family: Family = {}
    for cell in cells:
        number, data = _number(table, cell), cell.values[at]
        assert isinstance(data, bytes)
        for place, (name, numbers) in enumerate(opener(number, data)):
            unit = family.setdefault(name, Unit())
            _note(unit, table, cell, at)
            for key, value in {**numbers, "place in bucket": place}.items():
                unit.marks[key].append(value)
            unit.marks["name"].append(number_of(name))
    before: dict[int, set[bytes]] = {}
    for frame, cell in old_versions(base):
        data = cell.values[at] if cell.table == table.name and at < len(cell.values) else None
        if not isinstance(data, bytes):
            continue
        number = _number(table, cell)
        names = {name for name, _ in opener(number, data)}
        known = before.get(number)
        for name in names:
            if name in family and (known is None or name not in known):
                kind = "seen first" if known is None else "added"
                family[name].marks[f"{kind} at frame"].append(frame.seq)
                family[name].marks[f"{kind} in commit"].append(frame.commit)
        before[number] = names
    return settle(family)


def _find_raw(raw: dict[Path, bytes], families: Sequence[Family]) -> None:
    """Where the names of candidates stand in the files, free space and WAL included."""
    names: dict[bytes, list[tuple[bytes, Unit]]] = defaultdict(list)
    for family in families:
        for name, unit in family.items():
            if isinstance(name, bytes) and len(set(name[:8])) >= 6:  # not zeros, not a number
                names[name[:8]].append((name, unit))
    names = {start: units for start, units in names.items() if len(units) <= _MOST_ALIKE}
    if not names:
        return
    wanted = np.unique(np.array([int.from_bytes(k, "little") for k in names], dtype=np.uint64))
    for path, data in raw.items():
        kind = path.suffix or path.name
        for at in _spots(data, wanted):
            for name, unit in names[data[at : at + 8]]:
                if data[at : at + len(name)] == name:
                    unit.marks[f"stands in {kind}"].append(float(at))
    for unit in (unit for family in families for unit in family.values()):
        for kind in [k for k in unit.marks if k.startswith("stands in")]:
            unit.scalars[f"{kind}#count"] = len(unit.marks[kind])
            unit.marks[kind] = unit.marks[kind][:_MOST_MARKS]


def _spots(data: bytes, wanted: npt.NDArray[np.uint64]) -> list[int]:
    """Where eight bytes stand that are wanted."""
    likely = np.zeros(1 << 16, dtype=np.bool_)
    likely[(wanted & 0xFFFF).astype(np.int64)] = True
    spots: list[int] = []
    for shift in range(8):
        count = (len(data) - shift) // 8
        if count <= 0:
            continue
        words = np.frombuffer(data, dtype="<u8", count=count, offset=shift)
        some = np.flatnonzero(likely[words.view("<u2")[::4]])
        some = some[np.isin(words[some], wanted)]
        spots.extend((some * 8 + shift).tolist())
    return sorted(spots)
