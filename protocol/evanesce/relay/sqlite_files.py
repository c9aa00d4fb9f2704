"""The two SQLite files of a relay's store: making, opening, settings, and emptying of the log."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import LocalError, Reason
from ..store.anchor import sync_folder
from .rows import StoreFailure

__all__ = ["PAGE_BYTES", "Kind", "connect", "empty_log", "failures", "make_file", "opening",
           "refuse"]  # fmt: skip

PAGE_BYTES: Final = 4_096
FORMAT: Final = 1
_OLDEST: Final = (3, 35, 0)  # of SQLite; all from 3.23 overwrite a value of the same size in place
_WAIT: Final = 5.0  # seconds for which another process may hold a lock


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the files. Its log is `journal`; `application` marks it as ours."""

    name: str
    application: int
    journal: str
    schema: tuple[str, ...]


def _settings(kind: Kind) -> tuple[tuple[str, str, object, str], ...]:
    """Name, value, what SQLite must answer, and the promise that hangs on it."""
    return (
        ("secure_delete", "ON", 1, "what is erased would stay in the file"),
        ("auto_vacuum", "NONE", 0, "pages would move"),
        ("page_size", str(PAGE_BYTES), PAGE_BYTES, "this is no file of a relay"),
        ("journal_mode", kind.journal, kind.journal.lower(), "it would keep another log"),
        ("synchronous", "FULL", 2, "what was answered could be lost"),
        ("fullfsync", "ON", 1, "what was answered could be lost"),  # macOS: flush to the disk
        ("checkpoint_fullfsync", "ON", 1, "what was answered could be lost"),
        ("cache_spill", "OFF", 0, "the log would tell an order of arrival"),
        ("wal_autocheckpoint", "0", 0, "the log would be kept where it should be emptied"),
        ("journal_size_limit", "0", 0, "the log would be kept where it should be emptied"),
        ("temp_store", "MEMORY", 2, "something could be written elsewhere"),
        ("mmap_size", "0", None, ""),
        ("cell_size_check", "ON", 1, "damage could go unseen"),
        ("trusted_schema", "OFF", 0, "a file of another could run functions"),
    )


def refuse(what: str) -> LocalError:
    """Why a store is not started."""
    return LocalError(Reason.BAD_STORE, what)


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say into `LocalError`: store-busy, bad-store."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise LocalError(Reason.STORE_BUSY, f"another process holds {path.name}") from None
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise refuse(f"{path.name} is damaged or no database ({name})") from error
    except UnicodeDecodeError:  # what SQLite says of a damaged file may quote it
        raise refuse(f"{path.name} is damaged") from None
    except OSError as error:
        raise refuse(f"{path.name}: {error.strerror or type(error).__name__}") from error


@contextmanager
def failures() -> Iterator[None]:
    """Turn what goes wrong while the store runs into `StoreFailure`."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        name = getattr(error, "sqlite_errorname", None) or type(error).__name__
        raise StoreFailure(name) from error


def make_file(folder: Path, kind: Kind, fill: tuple[str, ...] = ()) -> None:
    """Make a file of this kind. It appears under its name only when it is complete."""
    path = folder / kind.name
    fresh = folder / f"{kind.name}-new"
    with opening(path):
        for leftover in ("", "-journal", "-wal", "-shm"):
            Path(f"{fresh}{leftover}").unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(_open(fresh, "rw")) as connection:
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum=NONE")
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute(f"PRAGMA application_id={kind.application}")
            connection.execute(f"PRAGMA user_version={FORMAT}")
            connection.execute("BEGIN IMMEDIATE")
            for statement in (*kind.schema, *fill):
                connection.execute(statement)
            connection.execute("COMMIT")
            connection.execute(f"PRAGMA journal_mode={kind.journal}")
        with fresh.open("rb+") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(folder)


def connect(folder: Path, kind: Kind, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a file that exists, and see that SQLite keeps what a relay promises of it.

    Raise `LocalError` (bad-store, store-busy).
    """
    path = folder / kind.name
    if sqlite3.sqlite_version_info < _OLDEST:
        raise refuse(f"SQLite {sqlite3.sqlite_version} is too old: it may move what it overwrites")
    if not path.exists():
        raise refuse(f"{path.name} is missing")
    with opening(path):
        connection = _open(path, "ro" if read_only else "rw")
        try:
            _check_format(connection, path, kind)
            if read_only:
                connection.execute("PRAGMA query_only=ON")
            else:
                _set(connection, path, kind)
        except BaseException:
            connection.close()
            raise
    return connection


def _open(path: Path, mode: str) -> sqlite3.Connection:
    """Transactions are begun and ended by statements of ours, each connection by one thread."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=_WAIT,
        check_same_thread=False, cached_statements=256,
    )  # fmt: skip


def _check_format(connection: sqlite3.Connection, path: Path, kind: Kind) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != kind.application:
        raise refuse(f"{path.name} is a database, but not of a relay")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != FORMAT:
        raise refuse(f"{path.name} has the format {version}, this version knows {FORMAT}")
    found = connection.execute("SELECT sql FROM sqlite_schema ORDER BY rowid").fetchall()
    if found != [(statement,) for statement in kind.schema]:
        raise refuse(f"{path.name} has other tables than those of a relay")


def _set(connection: sqlite3.Connection, path: Path, kind: Kind) -> None:
    for name, value, answer, promise in _settings(kind):
        connection.execute(f"PRAGMA {name}={value}").fetchall()
        given = connection.execute(f"PRAGMA {name}").fetchone()
        if answer is not None and given != (answer,):
            raise refuse(f"SQLite does not take {name}={value} for {path.name}: {promise}")


def empty_log(connection: sqlite3.Connection) -> bool:
    """Bring all into the file, and cut its log off; False if a reader still needs the log.

    Raise `sqlite3.Error`.
    """
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
