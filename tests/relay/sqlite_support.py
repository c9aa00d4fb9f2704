"""What the tests of the store in SQLite share."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from random import Random

import pytest

import evanesce
from evanesce.relay.rows import REMAINDER_BYTES, Place, Row
from evanesce.relay.sqlite_rows import SqliteRows

HOUR = 498_000
FILES = ("rows.db", "table.db")


@asynccontextmanager
async def opened(folder: Path, *, read_only: bool = False) -> AsyncIterator[SqliteRows]:
    store = SqliteRows(folder, read_only=read_only)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


def row(dice: Random, size: int = 577, hour: int = HOUR) -> Row:
    return Row(Place(hour, dice.randbytes(16)), dice.randbytes(size))


def remainder(place: Place, dice: Random) -> Row:
    return Row(place, dice.randbytes(REMAINDER_BYTES))


def copied(folder: Path, to: Path) -> Path:
    """A copy of all files. Another process makes it: this one would lose its locks by closing."""
    subprocess.run(["cp", "-r", str(folder), str(to)], check=True)
    return to


def contents(folder: Path, to: Path) -> dict[str, bytes]:
    """All files, read from a copy."""
    return {path.name: path.read_bytes() for path in copied(folder, to).iterdir()}


async def emptied(folder: Path, patience: float = 5.0) -> None:
    """Wait until the log is empty, and stays so."""
    quiet = 0
    async with asyncio.timeout(patience):
        while quiet < 3:
            quiet = quiet + 1 if (folder / "rows.db-wal").stat().st_size == 0 else 0
            await asyncio.sleep(0.02)


@pytest.fixture
def quick_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is emptied after a moment, not after a second."""
    monkeypatch.setattr("evanesce.relay.sqlite_writer.LOG_SECONDS", 0.03)


def skeleton(path: Path) -> bytes:
    """A database without its values: where each cell lies, of which size, under which number.

    The values are overwritten with zeros in their places, in this file.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=MEMORY").fetchone()
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
        for name in names:
            connection.execute(f"UPDATE {name} SET data = zeroblob(length(data))")
    data = bytearray(path.read_bytes())
    for start, end in ((18, 20), (24, 28), (40, 44), (92, 100)):  # counts of changes, kind of log
        data[start:end] = bytes(end - start)
    return bytes(data)


def slots(path: Path) -> dict[bytes, tuple[int, int]]:
    """Where the rows lie: for each name the class of its size, and the slot."""
    from evanesce.relay import sqlite_index as index
    from evanesce.relay.sqlite_index import Entry

    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT data FROM places").fetchall()
    entries = [Entry.load(each) for (data,) in found for each in index.load(data)]
    return {entry.prefix[4:]: (entry.size_class, entry.slot) for entry in entries}


def child(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process that runs this."""
    package = str(Path(evanesce.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {package!r})\n{program}",
         *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
