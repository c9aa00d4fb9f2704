"""Reads SQLite's files as a forensic examiner does: pages, cells, overflow chains, free pages, WAL.

No SQLite is used: what it would not show (where a cell lies in its page, what a frame of the WAL
held before, what is left in free pages) is what this is for. https://sqlite.org/fileformat2.html
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

Value = int | float | bytes | str | None
_LEAF_TABLE, _INTERIOR_TABLE, _LEAF_INDEX, _INTERIOR_INDEX = 13, 5, 10, 2
MAGIC = b"SQLite format 3\x00"


@dataclass(slots=True)
class Cell:
    """A row, as it lies in a page."""

    table: str
    page: int
    index: int  # its place in the sorted order of the page
    offset: int  # where its bytes begin: in the order of insertion, from the end of the page
    values: tuple[Value, ...]
    chain: tuple[int, ...]  # overflow pages
    rank: int = 0  # in the order of the tree
    frames: list[int] = field(default_factory=list)  # of the WAL, that hold another version of it


@dataclass(slots=True)
class Frame:
    """One page image in the WAL. `seq` is negative for frames of an earlier round."""

    seq: int
    page: int
    commit: int  # number of the transaction
    image: bytes


@dataclass(slots=True)
class Table:
    """A table or index, with the names of its columns in the order in which they are stored."""

    name: str
    sql: str
    root: int
    columns: list[str]
    keys: int = 1  # how many of the first ones name a row


@dataclass(slots=True)
class Database:
    """One database: current pages, WAL frames, tables and cells, free pages."""

    path: Path
    page_size: int
    header: bytes
    main: dict[int, bytes]  # without the WAL
    pages: dict[int, bytes]
    frames: list[Frame]
    tables: dict[str, Table] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    owner: dict[int, str] = field(default_factory=dict)  # page of a tree: table
    free: list[int] = field(default_factory=list)  # in the order of the list

    def name_of(self, cell: Cell) -> tuple[Value, ...]:
        """The table of a row, and its key."""
        table = self.tables[cell.table]
        return (table.name, *cell.values[: table.keys])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(8):
        byte = data[at + count]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count + 1
    return value << 8 | data[at + 8], at + 9


def _record(payload: bytes) -> tuple[Value, ...]:
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    at = end
    for kind in kinds:
        if kind in (0, 8, 9):
            values.append(None if kind == 0 else kind - 8)
        elif kind <= 6:
            size = (0, 1, 2, 3, 4, 6, 8)[kind]
            values.append(int.from_bytes(payload[at : at + size], "big", signed=True))
            at += size
        elif kind == 7:
            values.append(struct.unpack(">d", payload[at : at + 8])[0])
            at += 8
        else:
            size = (kind - 12) // 2
            piece = payload[at : at + size]
            values.append(piece.decode("utf-8", "replace") if kind % 2 else piece)
            at += size
    return tuple(values)


class _Pages:
    """Page images, and how to read the cells of one."""

    def __init__(self, base: Database, usable: int) -> None:
        self.base, self.usable = base, usable

    def _payload(self, image: bytes, at: int, size: int, table: bool) -> tuple[bytes, list[int]]:
        u = self.usable
        most = u - 35 if table else (u - 12) * 64 // 255 - 23
        if size <= most:
            return image[at : at + size], []
        least = (u - 12) * 32 // 255 - 23
        local = least + (size - least) % (u - 4)
        local = least if local > most else local
        pieces = [image[at : at + local]]
        chain: list[int] = []
        left, page = size - local, int.from_bytes(image[at + local : at + local + 4], "big")
        while left > 0 and page in self.base.pages and len(chain) < 100_000:
            chain.append(page)
            data = self.base.pages[page]
            pieces.append(data[4 : 4 + min(left, u - 4)])
            left -= u - 4
            page = int.from_bytes(data[:4], "big")
        return b"".join(pieces), chain

    def cells(self, number: int, image: bytes) -> Iterator[tuple[int, int, Cell | None, int]]:
        """Of each cell: index, offset, the cell if it holds a row, and its left child or 0."""
        head = 100 if number == 1 else 0
        kind = image[head]
        if kind not in (_LEAF_TABLE, _INTERIOR_TABLE, _LEAF_INDEX, _INTERIOR_INDEX):
            return
        count = int.from_bytes(image[head + 3 : head + 5], "big")
        interior = kind in (_INTERIOR_TABLE, _INTERIOR_INDEX)
        start = head + (12 if interior else 8)
        for index in range(count):
            at = offset = int.from_bytes(image[start + 2 * index : start + 2 * index + 2], "big")
            child = 0
            if interior:
                child = int.from_bytes(image[at : at + 4], "big")
                at += 4
            if kind == _INTERIOR_TABLE:
                yield index, offset, None, child
                continue
            size, at = _varint(image, at)
            prefix: tuple[Value, ...] = ()
            if kind == _LEAF_TABLE:
                rowid, at = _varint(image, at)
                prefix = (rowid,)
            payload, chain = self._payload(image, at, size, kind == _LEAF_TABLE)
            values = prefix + _record(payload)
            yield index, offset, Cell("", number, index, offset, values, tuple(chain)), child
        if interior:
            yield count, 0, None, int.from_bytes(image[head + 8 : head + 12], "big")

    def walk(self, number: int, seen: set[int]) -> Iterator[Cell]:
        """All rows below a page, in order."""
        if number in seen or number not in self.base.pages:
            return
        seen.add(number)
        for _, _, cell, child in self.cells(number, self.base.pages[number]):
            if child:
                yield from self.walk(child, seen)
            if cell is not None:
                yield cell


def _columns(sql: str) -> tuple[list[str], int]:
    """The columns in the order of the records, and how many name a row.

    The rowid comes first; in a table without one, its key.
    """
    inside = sql[sql.index("(") + 1 : sql.rindex(")")]
    parts = re.split(r",(?![^()]*\))", inside)
    names, keys = [], []
    for part in parts:
        words = part.split()
        if words[0].upper() in ("PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT"):
            if words[0].upper() == "PRIMARY":
                keys = [k.strip() for k in part[part.index("(") + 1 : part.rindex(")")].split(",")]
            continue
        names.append(words[0].strip('"'))
        if "PRIMARY KEY" in part.upper():
            keys = [names[-1]]
    if re.search(r"WITHOUT\s+ROWID", sql, re.IGNORECASE):
        return keys + [name for name in names if name not in keys], len(keys)
    return ["rowid", *names], 1


def _wal(path: Path, page_size: int) -> list[Frame]:
    """All frames of a WAL, those of earlier rounds too, in the order in which they were written."""
    if not path.exists():
        return []
    data = path.read_bytes()
    if len(data) < 32:
        return []
    salt = data[16:24]
    size = 24 + page_size
    frames: list[Frame] = []
    commit = 0
    count = (len(data) - 32) // size
    for number in range(count):
        at = 32 + number * size
        page, committed = struct.unpack(">II", data[at : at + 8])
        current = data[at + 8 : at + 16] == salt
        seq = number if current else number - count
        frames.append(Frame(seq, page, commit, data[at + 24 : at + size]))
        commit += committed > 0
    return frames


def read_database(path: Path) -> Database:
    """Read a database with its WAL. Raise ValueError for a file that is none."""
    data = path.read_bytes()
    frames: list[Frame]
    wal = path.with_name(path.name + "-wal")
    if len(data) < 100 or not data.startswith(MAGIC):
        raise ValueError(f"{path.name} is not a database")
    page_size = int.from_bytes(data[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    pages = {
        n + 1: data[n * page_size : (n + 1) * page_size] for n in range(len(data) // page_size)
    }
    frames = _wal(wal, page_size)
    main = dict(pages)
    for frame in frames:
        if frame.seq >= 0:
            pages[frame.page] = frame.image
    base = Database(path, page_size, pages[1][:100], main, pages, frames)
    reader = _Pages(base, page_size - data[20])
    base.tables["sqlite_schema"] = Table(
        "sqlite_schema", "", 1, ["rowid", "type", "name", "tbl_name", "rootpage", "sql"]
    )
    for cell in reader.walk(1, set()):
        kind, name, _, root, sql = cell.values[1:6]
        if not isinstance(root, int) or root == 0:
            continue
        columns, keys = _columns(str(sql)) if kind == "table" else ([], 1)
        base.tables[str(name)] = Table(str(name), str(sql or ""), root, columns, keys)
    for table in base.tables.values():
        seen: set[int] = set()
        for rank, cell in enumerate(reader.walk(table.root, seen)):
            cell.table, cell.rank = table.name, rank
            base.cells.append(cell)
        base.owner.update(dict.fromkeys(seen, table.name))
    _free(base)
    return base


def _free(base: Database) -> None:
    trunk = int.from_bytes(base.header[32:36], "big")
    seen: set[int] = set()
    while trunk and trunk in base.pages and trunk not in seen:
        seen.add(trunk)
        base.free.append(trunk)
        image = base.pages[trunk]
        count = min(int.from_bytes(image[4:8], "big"), base.page_size // 4 - 2)
        base.free.extend(struct.unpack(f">{count}I", image[8 : 8 + 4 * count]))
        trunk = int.from_bytes(image[:4], "big")


def old_versions(base: Database) -> Iterator[tuple[Frame, Cell]]:
    """Each row of each page image in the WAL, oldest transaction first, as it was after it."""
    then = replace(base, pages=dict(base.main))
    reader = _Pages(then, base.page_size - base.header[20])
    for _, group in groupby(base.frames, key=lambda frame: frame.commit):
        frames = list(group)
        then.pages.update((frame.page, frame.image) for frame in frames)
        for frame in frames:
            table = base.owner.get(frame.page)
            if table is None:
                continue
            with contextlib.suppress(IndexError, struct.error):
                for _, _, cell, _ in reader.cells(frame.page, frame.image):
                    if cell is not None:
                        cell.table = table
                        yield frame, cell
