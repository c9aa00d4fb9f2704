"""The application's own records, in the transactions of its device (spec 17).

They lie in the device's store under names that begin with `ports.APPLICATION`, so that what an
application files of a message and what the device does with it happen together or not at all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from .errors import LocalError, Reason, StorageError
from .events import Event
from .ports import APPLICATION, Transaction

__all__ = ["CallbackError", "OnCommit", "call_back", "run_limited"]

# Called with the application's view of the transaction, and what a delivery has made happen.
OnCommit = Callable[[Transaction, Sequence[Event]], None]
Result = TypeVar("Result")


class CallbackError(Exception):
    """The application's callback has raised `error`: its transaction has to be undone."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__(type(error).__name__)


class _Limited:
    """A transaction that reads and writes the application's records only, while it is open."""

    def __init__(self, tx: Transaction) -> None:
        self._tx: Transaction | None = tx

    def end(self) -> None:
        self._tx = None

    def _open(self, name: bytes) -> Transaction:
        if self._tx is None:
            raise LocalError(Reason.BAD_INPUT, "this transaction is over")
        if not isinstance(name, bytes) or not name.startswith(APPLICATION):
            raise LocalError(Reason.BAD_INPUT, f"a name begins with {APPLICATION!r}")
        return self._tx

    def get(self, name: bytes) -> bytes | None:
        return self._open(name).get(name)

    def put(self, name: bytes, data: bytes) -> None:
        tx = self._open(name)
        if not isinstance(data, bytes | bytearray | memoryview):
            raise LocalError(Reason.BAD_INPUT, "a record is bytes")
        tx.put(name, data)

    def delete(self, name: bytes) -> None:
        self._open(name).delete(name)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return self._open(prefix).scan(prefix)


def run_limited(tx: Transaction, work: Callable[[Transaction], Result]) -> Result:
    """Run `work` on the application's records; not a coroutine function, nothing may wait here."""
    limited = _Limited(tx)
    try:
        result = work(limited)
        if inspect.iscoroutine(result):
            result.close()
            raise LocalError(Reason.BAD_INPUT, "a coroutine cannot run inside a transaction")
        return result
    finally:
        limited.end()


def call_back(tx: Transaction, on_commit: OnCommit | None, events: Sequence[Event]) -> None:
    """Let the application file what has happened. Raise `CallbackError` for what it raises.

    A `StorageError` is the store's own, and stays what it is.
    """
    if on_commit is None:
        return
    try:
        run_limited(tx, lambda limited: on_commit(limited, events))
    except StorageError:
        raise
    except Exception as error:
        raise CallbackError(error) from error
