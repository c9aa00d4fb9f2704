"""What the tests of the encrypted store share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

import evanesce
from evanesce import EvanesceError, LocalError, RawKey, Reason, SqliteStore, StorageError

KEY = RawKey(bytes(range(32)))
OTHER = RawKey(bytes(range(1, 33)))
PIECE = 16  # bytes that must not be found again


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, with what is in it."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def contents(store: SqliteStore) -> dict[bytes, bytes]:
    """Every record."""
    with store.transaction() as tx:
        return dict(tx.scan(b""))


def fill(store: SqliteStore, records: Mapping[bytes, bytes]) -> None:
    """Write records in one transaction."""
    with store.transaction() as tx:
        for name, data in records.items():
            tx.put(name, data)


def sealed_row(store: SqliteStore, name: bytes) -> bytes:
    """What lies in the database for a record: sealed name, nonce and sealed value."""
    row = store._records._rows[name].id
    found = store._db.connection.execute(
        "SELECT name, nonce, value FROM records WHERE id = ?", (row,)
    ).fetchone()
    row_bytes: bytes = b"".join(found)
    assert len(row_bytes) >= 104 + 24 + 80
    return row_bytes


def survivors(folder: Path, blobs: Iterable[bytes]) -> list[str]:
    """The files of a folder that hold any piece of any of these blobs."""
    pieces = {blob[at : at + PIECE] for blob in blobs for at in range(len(blob) - PIECE + 1)}
    return [
        name
        for name, data in files(folder).items()
        if any(data[at : at + PIECE] in pieces for at in range(len(data) - PIECE + 1))
    ]


@contextmanager
def fails(reason: Reason, error: type[EvanesceError] = LocalError) -> Iterator[None]:
    """Expect exactly this error."""
    with pytest.raises(error) as caught:
        yield
    assert type(caught.value) is error
    assert caught.value.reason is reason, str(caught.value)


def bad_store() -> pytest.RaisesExc[StorageError]:
    """Expect `StorageError` (bad-store)."""
    return pytest.RaisesExc(StorageError, check=lambda error: error.reason is Reason.BAD_STORE)


class Child:
    """A process of its own that runs a program of this folder, and answers line by line."""

    def __init__(self, program: str, *arguments: object) -> None:
        package = Path(evanesce.__file__).parents[1]
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(program)), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env={**os.environ, "PYTHONPATH": str(package)},
        )  # fmt: skip

    def hear(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, line: str) -> str:
        """Tell it something, and hear its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        return self.hear()

    def end(self) -> int:
        """Wait for its end; return how it ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(30)

    def kill(self) -> None:
        """Kill it, at once."""
        if self.process.poll() is None:
            self.process.kill()
        self.end()
