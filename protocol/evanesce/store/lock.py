"""One opener at a time: a lock of the operating system on a file beside the database.

The lock goes with the process that holds it, so a crash leaves none behind. It needs POSIX
(`fcntl.flock`); Windows is not supported.
"""

from __future__ import annotations

import os
import secrets
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from ..errors import LocalError, Reason, StorageError

_fcntl: ModuleType | None
try:
    import fcntl as _fcntl
except ImportError:  # not POSIX
    _fcntl = None

__all__ = ["StoreLock"]

# What this process has open. SQLite's own locks belong to the process, and are lost when any file
# descriptor on the database is closed, so a store is never touched twice from one process.
_open_here: Final[weakref.WeakValueDictionary[str, StoreLock]] = weakref.WeakValueDictionary()


class StoreLock:
    """The lock on one store, released by `release` or when the process ends."""

    def __init__(self, database: Path) -> None:
        """Raise `LocalError` (store-busy) when this process has the store open already."""
        if _fcntl is None:
            raise StorageError(Reason.BAD_STORE, "this store needs the file locks of POSIX")
        self._key = os.path.realpath(database)
        self._path = Path(f"{database}-lock")
        self._close: weakref.finalize[Any, Any] | None = None
        if self._key in _open_here:
            raise LocalError(Reason.STORE_BUSY, "this process has the store open: close it first")
        _open_here[self._key] = self

    def acquire(self) -> bool:
        """Take the lock; return whether it was free."""
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _lock(handle)
                current = self._names(handle)
            except BlockingIOError:
                os.close(handle)
                return False
            except BaseException:
                os.close(handle)
                raise
            if current:
                self._hold(handle)
                return True
            os.close(handle)  # whoever took the store over has replaced the file: look again

    def seize(self) -> None:
        """Take the lock though another process holds it: that one keeps a file without a name."""
        fresh = Path(f"{self._path}-{secrets.token_hex(8)}")
        handle = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _lock(handle)
            fresh.replace(self._path)
        except BaseException:
            os.close(handle)
            fresh.unlink(missing_ok=True)
            raise
        self._hold(handle)

    def release(self) -> None:
        """Let go."""
        if self._close is not None:
            self._close()
        if _open_here.get(self._key) is self:
            del _open_here[self._key]

    def _hold(self, handle: int) -> None:
        self._close = weakref.finalize(self, os.close, handle)  # also if nobody calls `release`

    def _names(self, handle: int) -> bool:
        """Whether the lock file still is the one that was opened."""
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self._path))
        except FileNotFoundError:
            return False


def _lock(handle: int) -> None:
    assert _fcntl is not None  # `StoreLock` has seen to it
    _fcntl.flock(handle, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
