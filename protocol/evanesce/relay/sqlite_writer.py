"""The one writer of a store in SQLite: transactions of many calls, and a log that is kept short."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from .rows import StoreFailure, StoreFull
from .sqlite_change import ROWS, Change, Rows
from .sqlite_files import connect, empty_log, failures
from .sqlite_table import TABLE, Table
from .sqlite_thread import Asked

__all__ = ["LOG_BYTES", "LOG_SECONDS", "Writer"]

# A log tells in which order pages changed. It is emptied when it is so old or so long; and so long
# that the index of the log, which has the order too, is all overwritten by the next (4,062 pages).
LOG_SECONDS: Final = 1.0
LOG_BYTES: Final = 6 << 20
_BUSY: Final = 200  # milliseconds for which a reader may hold up the writer
_AGAIN: Final = 0.05  # seconds after which a log that could not be emptied is tried again
_ALL_FAIL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
                    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY)  # fmt: skip


class Writer:
    """Both files, opened for writing; all but `table.bucket` and the counts in one thread."""

    def __init__(self, folder: Path, most: int | None = None) -> None:
        """`most`: bytes for slots and index (`Rows`).

        Raise `LocalError`, `sqlite3.Error`, `StoreFailure` (damaged).
        """
        self._most = most
        self._log = folder / f"{ROWS.name}-wal"
        self._rows_file = connect(folder, ROWS)
        try:
            self._table_file = connect(folder, TABLE)
            try:
                self.rows: Rows | None = Rows(self._rows_file, most)
                self._rows_file.execute(f"PRAGMA busy_timeout={_BUSY}")
                self.table = Table(self._table_file)
                empty_log(self._rows_file)
            except BaseException:
                self._table_file.close()
                raise
        except BaseException:
            self._rows_file.close()
            raise
        self.counted = (self.rows.rows, self.rows.octets)
        self._due: float | None = None  # when the log is emptied next

    def do(self, group: Sequence[Asked]) -> None:
        """Do these, in one transaction if it succeeds, else each in one."""
        kinds = {"swap": self._swap, "empty": self._empty_now}
        for kind in ("swap", "change", "empty"):
            run = kinds.get(kind, self._change)
            calls = [asked for asked in group if kinds.get(asked.what, self._change) == run]
            error = self._try(calls, run) if calls else None
            if error is None:
                continue
            code = getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF
            alone = len(calls) > 1 and code not in _ALL_FAIL
            for asked in calls:
                failed = self._try([asked], run) if alone else error
                if failed is not None:
                    asked.failure = type(failed)(*failed.args)

    def _try(
        self, calls: Sequence[Asked], run: Callable[[Sequence[Asked]], None]
    ) -> StoreFailure | None:
        try:
            with failures():
                run(calls)
        except StoreFailure as error:
            return error
        return None

    def _swap(self, calls: Sequence[Asked]) -> None:
        table = self.table
        try:
            answers = [table.swap(*asked.arguments) for asked in calls]
            if table.changed:
                with _transaction(self._table_file):
                    table.flush()
            table.committed()
        except BaseException:
            table.discard()
            raise
        for asked, answer in zip(calls, answers, strict=True):
            asked.answer = answer

    def _change(self, calls: Sequence[Asked]) -> None:
        if self.rows is None:
            self.rows = Rows(self._rows_file, self._most)  # as the file has them
        rows, self.rows = self.rows, None
        answers: list[object] = []
        with _transaction(self._rows_file):
            change = Change(rows)
            for asked in calls:
                match asked.what:
                    case "add" if not rows.fits(asked.arguments[0]):
                        asked.failure = StoreFull("the bound of the store is reached")
                        answers.append(None)
                    case "add":
                        answers.append([change.add(row) for row in asked.arguments[0]])
                    case "blank":
                        answers.append([change.blank(row) for row in asked.arguments[0]])
                    case _:
                        answers.append(change.forget(*asked.arguments))
            change.flush()
        self.rows = rows
        self.counted = (rows.rows, rows.octets)
        for asked, answer in zip(calls, answers, strict=True):
            asked.answer = answer
        if self._due is None:
            self._due = time.monotonic() + LOG_SECONDS

    def idle(self) -> float | None:
        """Empty the log if it is time; return after how many seconds to look again."""
        if self._due is None:
            return None
        now = time.monotonic()
        with suppress(FileNotFoundError):
            if self._log.stat().st_size >= LOG_BYTES:
                self._due = min(self._due, now)
        if self._due <= now:
            try:
                self._due = None if self._empty() else now + _AGAIN
            except sqlite3.Error:  # no room in the file: it stays in the log until there is
                self._due = now + LOG_SECONDS
        return None if self._due is None else max(0.0, self._due - now)

    def _empty(self) -> bool:
        """Empty the log, and then its index, which goes with the first page of another log."""
        if not empty_log(self._rows_file):
            return False
        self._rows_file.execute("UPDATE mark SET data = ? WHERE id = 0", (os.urandom(32),))
        return empty_log(self._rows_file)

    def _empty_now(self, calls: Sequence[Asked]) -> None:
        """Empty the log; answer whether no reader was in the way."""
        done = self._empty()
        self._due = None if done else time.monotonic() + _AGAIN
        for asked in calls:
            asked.answer = done

    def close(self) -> None:
        """Empty the log if possible, and close the files."""
        for connection in (self._rows_file, self._table_file):
            with suppress(sqlite3.Error):
                if connection is self._rows_file:
                    self._empty()
            connection.close()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    if connection.in_transaction:  # one that could not even be rolled back
        connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise
