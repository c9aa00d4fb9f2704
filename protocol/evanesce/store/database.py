"""The SQLite side of an encrypted store: files, settings, the single rows, checkpoints."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from ..errors import LocalError, Reason, StorageError
from .anchor import sync_folder
from .format import APPLICATION_ID, PAGE_BYTES, Layout

__all__ = ["Database", "create_database", "storage_faults"]

_WAIT: Final = 5.0  # seconds for which another process may keep its transaction open
# Name, value, and what SQLite must answer.
_SETTINGS: Final[tuple[tuple[str, str, object], ...]] = (
    ("secure_delete", "ON", 1),
    ("temp_store", "MEMORY", None),
    ("foreign_keys", "OFF", None),
    ("trusted_schema", "OFF", None),
    ("cell_size_check", "ON", None),
    ("mmap_size", "0", None),
    ("fullfsync", "ON", None),  # macOS: a flush that reaches the disk
    ("checkpoint_fullfsync", "ON", None),
    ("journal_mode", "WAL", b"wal"),
    ("synchronous", "FULL", None),
)
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextmanager
def storage_faults() -> Iterator[None]:
    """Turn errors of SQLite and of the file system into those of this package.

    Raise `LocalError` (store-busy) for a lock of another process, else `StorageError` (bad-store).
    """
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
            raise LocalError(Reason.STORE_BUSY, "another process is in a transaction") from error
        raise StorageError(
            Reason.BAD_STORE, getattr(error, "sqlite_errorname", type(error).__name__)
        ) from error
    except UnicodeDecodeError:  # what SQLite says of a damaged file may quote it
        raise StorageError(Reason.BAD_STORE, "the database is damaged") from None
    except OSError as error:
        raise StorageError(Reason.BAD_STORE, error.strerror or type(error).__name__) from error


def create_database(path: Path, layout: Layout, header: bytes, state: bytes) -> None:
    """Make a store's database. It appears under its name only when it is complete."""
    fresh = Path(f"{path}-new")
    for leftover in ("", "-journal", "-wal", "-shm"):
        Path(f"{fresh}{leftover}").unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(_connect(fresh)) as connection:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum=NONE")  # its pages would move, and page 2 be its own
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("BEGIN IMMEDIATE")
        for statement in layout.schema:
            connection.execute(statement)
        connection.execute("INSERT INTO header VALUES (1, ?)", (header,))
        connection.execute("INSERT INTO state VALUES (1, ?)", (state,))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")
    with fresh.open("rb+") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def _connect(path: Path) -> sqlite3.Connection:
    """Open a database that exists; transactions are begun and ended by statements of ours."""
    uri = path.absolute().as_uri() + "?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_WAIT)
    connection.text_factory = bytes  # there is no text in a store that was not tampered with
    return connection


class Database:
    """A connection to the database of a store. Methods raise `sqlite3.Error`."""

    def __init__(self, path: Path) -> None:
        self.connection = _connect(path)
        try:
            for name, value, answer in _SETTINGS:
                given = self.connection.execute(f"PRAGMA {name}={value}").fetchone()
                if answer is not None and given != (answer,):
                    raise StorageError(Reason.BAD_STORE, f"SQLite refuses {name}={value} here")
        except BaseException:
            self.connection.close()
            raise

    def begin(self) -> None:
        """Begin a transaction, as the only one that writes."""
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make the transaction durable."""
        self.connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Undo the transaction, if there is one."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def check_schema(self, layout: Layout) -> None:
        """Refuse tables other than those of the format: `StorageError` (bad-store)."""
        rows = self.connection.execute("SELECT sql FROM sqlite_schema ORDER BY rowid").fetchall()
        if rows != [(statement.encode(),) for statement in layout.schema]:
            raise StorageError(Reason.BAD_STORE, "other tables than those of a store")

    def read(self, table: str) -> bytes:
        """The one row of `header` or `state`. Raise `StorageError` (bad-store)."""
        rows = self.connection.execute(f"SELECT id, data FROM {table}").fetchall()  # noqa: S608
        if len(rows) != 1 or rows[0][0] != 1 or type(rows[0][1]) is not bytes:
            raise StorageError(Reason.BAD_STORE, f"the {table} is damaged")
        data: bytes = rows[0][1]
        return data

    def write(self, table: str, data: bytes) -> None:
        """Overwrite the one row of `header` or `state`."""
        self.connection.execute(f"UPDATE {table} SET data = ? WHERE id = 1", (data,))  # noqa: S608

    def empty_log(self) -> None:
        """Bring everything into the database and cut its log off.

        Raise `StorageError` (store-busy) when another process still reads from the log.
        """
        busy, _, _ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StorageError(Reason.STORE_BUSY, "another process reads: try again")

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
