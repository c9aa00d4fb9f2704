"""The default store of a relay: two files of SQLite in a folder (spec 22.6).

What is answered has been flushed to the disk. Nothing in the files tells when or in which order
something came, but for the log of the last second. One process at a time; another may look.

    rows.db     log WAL. Rows in slots (`sqlite_slots`), found by an index (`sqlite_index`)
    table.db    log TRUNCATE. The table of buckets (`sqlite_table`)
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from ..errors import LocalError, Reason
from ..store.lock import StoreLock
from . import sqlite_index
from .rows import Place, Row, StoreFailure, Usage
from .sqlite_change import FILL, FORGET_ROWS, ROWS, Rows, read_rows
from .sqlite_files import connect, failures, make_file, opening, refuse
from .sqlite_slots import LARGEST
from .sqlite_table import LAST_BUCKET, TABLE, read_bucket
from .sqlite_thread import Asked, GroupThread
from .sqlite_writer import Writer

__all__ = ["SqliteRows"]

_PART_ROWS, _PART_BYTES = 256, 2 << 20  # of a call, that go into one transaction
SPARE: Final = 1.25  # so much larger than its bound the file may be, for slots that are free
_PATIENCE: Final = 5.0  # seconds for which a reader may hold up a forgetting
_AGAIN: Final = 0.05
_READ_ROWS: Final = 1_000  # that are read from one state of the files


class SqliteRows:
    """A store in a folder, which is made if need be.

    `max_bytes`: what rows may take, in whole slots. `rows.db` grows to about `SPARE` times that,
    for slots that are free; then adding fails with `StoreFull` (spec 22.6). With `read_only` it
    may be open beside a running relay, and `add`, `blank`, `forget` and `swap` fail. `start`
    raises `LocalError`: store-busy, bad-store.
    """

    shared = False

    def __init__(
        self, folder: Path, *, read_only: bool = False, max_bytes: int | None = None
    ) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._read_only = read_only
        self._lock: StoreLock | None = None
        self._writer: Writer | None = None
        self._reader: _Reader | None = None
        self._writing: GroupThread | None = None
        self._reading: GroupThread | None = None
        self._heard: list[Callable[[bytes], None]] = []

    async def start(self) -> None:
        """Open it; make it if there is none.

        Raise `LocalError`: store-busy if another process has it open, bad-store if it is damaged,
        of another program or version, or if SQLite does not keep a promise here: it says which.
        """
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        if self._reading is not None:
            raise LocalError(Reason.BAD_INPUT, "the store is open")
        most = None if self._max_bytes is None else int(self._max_bytes * SPARE)
        try:
            if not self._read_only:
                self._prepare()
                with opening(self._folder / ROWS.name):
                    try:
                        self._writer = Writer(self._folder, most)
                    except StoreFailure as error:
                        raise refuse(f"{ROWS.name} or {TABLE.name}: {error}") from error
            self._reader = _Reader(self._folder)
        except BaseException:
            self._close_files()
            raise
        if self._writer is not None:
            self._writing = GroupThread("relay-writer", self._writer.do, self._writer.idle)
        self._reading = GroupThread("relay-reader", self._reader.do)

    def _prepare(self) -> None:
        rows, table = self._folder / ROWS.name, self._folder / TABLE.name
        with opening(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = StoreLock(rows)
            if not self._lock.acquire():
                raise LocalError(Reason.STORE_BUSY, "another process has this store open")
        if rows.exists():
            if not table.exists():
                raise refuse(f"{TABLE.name} is missing")
            return
        if table.exists():  # made, and killed before the other: nothing was written yet
            found = connect(self._folder, TABLE)
            with opening(table):
                empty = found.execute("SELECT count(*) FROM buckets").fetchone() == (0,)
                found.close()
            if not empty:
                raise refuse(f"{ROWS.name} is missing")
        else:
            make_file(self._folder, TABLE)
        make_file(self._folder, ROWS, FILL)

    async def stop(self) -> None:
        """Finish what is under way, empty the log, close. What is asked after that fails."""
        await asyncio.shield(asyncio.to_thread(self._close))

    def _close(self) -> None:
        for thread in (self._reading, self._writing):
            if thread is not None:
                thread.close()
        self._reading = self._writing = None
        self._close_files()

    def _close_files(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.release()
        self._reader = self._writer = self._lock = None

    async def add(self, rows: Sequence[Row]) -> list[bool]:
        """Add rows where their places are free. Raise `StoreFull`, `StoreFailure`.

        Raise `ValueError` for more than 2.2 MB in one.
        """
        return await self._write("add", rows)

    async def blank(self, rows: Sequence[Row]) -> list[bool]:
        """Put remainders in the place of data. What was there is overwritten within seconds."""
        return await self._write("blank", rows)

    async def _write(self, what: str, rows: Sequence[Row]) -> list[bool]:
        writing = self._thread(self._writing)
        for row in rows:
            _check(row.place)
            if not 1 <= len(row.data) <= LARGEST:
                raise ValueError(f"a row has 1 to {LARGEST} bytes")
        calls = [writing.ask(what, part, weight=len(part), octets=sum(len(r.data) for r in part))
                 for part in _parts(rows)]  # fmt: skip
        answers = await asyncio.gather(*calls, return_exceptions=True)
        done: list[bool] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            done += answer
        return done

    async def read(self, places: Sequence[Place]) -> list[bytes | None]:
        """The data at these places."""
        reading = self._thread(self._reading)
        for place in places:
            _check(place)
        found: list[bytes | None] = []
        for at in range(0, len(places), _READ_ROWS):
            part = tuple(places[at : at + _READ_ROWS])
            found += await reading.ask("read", part, weight=len(part))
        return found

    async def forget(self, hour: int) -> int:
        """Erase all rows up to this hour, and empty the log.

        Raise `StoreFailure` also when that could not be done because another process reads.
        """
        writing = self._thread(self._writing)
        total = 0
        first: int | None = 0
        while first is not None:
            gone, first = await writing.ask("forget", hour, first, weight=FORGET_ROWS)
            total += gone
        if total:
            async with _patience():
                while not await writing.ask("empty"):
                    await asyncio.sleep(_AGAIN)
        return total

    async def bucket(self, number: int) -> tuple[int, bytes | None]:
        """A bucket of the table and its version."""
        _check_number(number)
        reading = self._thread(self._reading)
        if self._writer is not None:
            return self._writer.table.bucket(number)
        found: tuple[int, bytes | None] = await reading.ask("bucket", number)
        return found

    async def swap(self, number: int, version: int, data: bytes) -> bool:
        """Write a bucket if its version is still this one."""
        _check_number(number)
        done: bool = await self._thread(self._writing).ask(
            "swap", number, version, bytes(data), octets=len(data)
        )
        return done

    async def wake(self, tags: Sequence[bytes]) -> None:
        """Tell those who listen, soon: there is one process only."""
        if self._reading is None:
            return
        loop = asyncio.get_running_loop()
        for heard in self._heard:
            for tag in tags:
                loop.call_soon(heard, tag)

    def listen(self, heard: Callable[[bytes], None]) -> None:
        """Call `heard` with each tag of a `wake`."""
        self._heard.append(heard)

    async def usage(self) -> Usage:
        """How full it is: whole slots of rows, and their index. What is free can be given to any.

        So free slots do not count: they are cut off when another size needs the room.
        """
        reading = self._thread(self._reading)
        if self._writer is not None:
            return Usage(*self._writer.counted, self._max_bytes)
        rows, octets = await reading.ask("usage")
        return Usage(rows, octets, self._max_bytes)

    def _thread(self, thread: GroupThread | None) -> GroupThread:
        if thread is not None:
            return thread
        if self._reading is not None:
            raise StoreFailure("the store is open for reading only")
        raise StoreFailure("the store is not open")


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_PATIENCE):
            yield
    except TimeoutError:
        raise StoreFailure("erased, but another process reads: the log is not empty yet") from None


class _Reader:
    """A connection that reads, beside the writer; used by one thread."""

    def __init__(self, folder: Path) -> None:
        self._rows = connect(folder, ROWS, read_only=True)
        try:
            self._table = connect(folder, TABLE, read_only=True)
        except BaseException:
            self._rows.close()
            raise

    def do(self, group: Sequence[Asked]) -> None:
        """Answer these from one state of the rows; it is let go at once, for the log's sake."""
        for asked in group:
            try:
                with failures():
                    if not self._rows.in_transaction:
                        self._rows.execute("BEGIN")
                    asked.answer = self._answer(asked)
            except StoreFailure as error:
                asked.failure = error
        with suppress(sqlite3.Error):
            self._rows.execute("ROLLBACK")

    def _answer(self, asked: Asked) -> Any:
        match asked.what:
            case "read":
                return read_rows(self._rows, asked.arguments[0])
            case "bucket":
                return read_bucket(self._table, asked.arguments[0])
            case _:
                rows = Rows(self._rows)
                return rows.rows, rows.octets

    def close(self) -> None:
        """Close both."""
        self._rows.close()
        self._table.close()


def _check(place: Place) -> None:
    sqlite_index.prefix_of(place)


def _check_number(number: int) -> None:
    if not 0 <= number <= LAST_BUCKET:
        raise ValueError(f"a bucket has a number from 0 to {LAST_BUCKET}")


def _parts(rows: Sequence[Row]) -> Iterator[tuple[Row, ...]]:
    part: list[Row] = []
    octets = 0
    for row in rows:
        if part and (len(part) == _PART_ROWS or octets + len(row.data) > _PART_BYTES):
            yield tuple(part)
            part, octets = [], 0
        part.append(row)
        octets += len(row.data)
    if part:
        yield tuple(part)
