"""The keys of a relay: one for each hour of expiry, destroyed when it begins (spec 22.6).

They are files of 32 random bytes in a folder of their own, which no backup and no replica of the
data may reach (REQ-RELAY-12). Several relay processes may share the folder: each key is made by one
of them, and what one has destroyed no other makes again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import LocalError, Reason
from ..primitives import KEY_BYTES
from ..secret import Secret

__all__ = ["KeyGone", "RelayKeys"]

_SUFFIX: Final = ".key"
_HOUR: Final = "hour-"
_UNFINISHED: Final = "new-"
_CLOCK: Final = "clock"


class KeyGone(LocalError):  # noqa: N818
    """The key of this hour has been destroyed, and is not made again. Its reason: evaporated."""


class RelayKeys:
    """The keys in a folder. `open` it; all methods are quick but for the first use of an hour."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hours: dict[int, Secret] = {}
        self._last = 0
        self._swept = -1  # the last hour up to which this object has destroyed
        self._index = self._table = Secret(b"")

    @classmethod
    def open(cls, folder: Path, *, make: bool = True) -> RelayKeys:
        """The keys in this folder. With `make`, it and they are made where they are missing.

        Without, nothing is ever written. Raise `LocalError` (bad-store): missing, or damaged.
        """
        keys = cls(folder)
        if make:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with keys._locked():
                keys._remove_unfinished()
        keys._last = keys._read_clock()
        keys._index = keys._named("index", make=make)
        keys._table = keys._named("table", make=make)
        return keys

    @property
    def index(self) -> bytes:
        """The index key: the names of rows and records come from it."""
        return self._index.reveal()

    @property
    def table(self) -> bytes:
        """The table key, which seals the buckets."""
        return self._table.reveal()

    @property
    def last_hour(self) -> int:
        """The last hour that was seen: all keys up to it have been destroyed. 0 for a new relay."""
        return self._last

    def hour_key(self, hour: int) -> bytes:
        """The key of this hour; made if there is none. It is on the disk before it is returned.

        Raise `KeyGone` when the hour has begun, `LocalError` (bad-store) when the folder fails.
        """
        if hour <= self._last:
            raise _gone(hour)
        key = self._hours.get(hour)
        if key is None:
            with _fault(), self._locked():
                self._last = max(self._last, self._read_clock())
                if hour <= self._last:
                    raise _gone(hour)
                key = self._read_or_make(f"{_HOUR}{hour}")
            self._hours[hour] = key
        return key.reveal()

    def existing(self, hour: int) -> bytes | None:
        """The key of this hour, if there is one; never makes it. Raise as `hour_key`."""
        if hour <= self._last:
            raise _gone(hour)
        key = self._hours.get(hour)
        if key is None:
            with _fault():
                key = self._read(f"{_HOUR}{hour}")
            if key is None:
                return None
            self._hours[hour] = key
        return key.reveal()

    def destroy(self, hour: int) -> int:
        """Destroy the keys of this hour and all before, here and on the disk; return how many.

        That the hour has been seen is durable first, so that no crash lets a key be made again.
        """
        if hour <= self._swept:
            return 0
        for known in [known for known in self._hours if known <= hour]:
            self._hours.pop(known).erase()
        with _fault(), self._locked():
            self._last = max(hour, self._read_clock())
            self._write_clock(self._last)
            self._remove_unfinished()
            gone = [path for path in self._folder.glob(f"{_HOUR}*{_SUFFIX}")
                    if _hour_of(path) <= self._last]  # fmt: skip
            for path in gone:
                _overwrite(path)
            self._sync()
        self._swept = self._last
        return len(gone)

    def set_back(self, hour: int) -> None:
        """Take this for the last hour seen, though a later one has been: the clock was wrong then.

        Keys that are made for hours whose keys were destroyed are new ones: they open nothing old.
        """
        with _fault(), self._locked():
            self._write_clock(hour)
        self._last = self._swept = hour

    def disclosure_seed(self) -> Secret:
        """The seed (32 bytes) of the key that signs statements; made if there is none."""
        return self._named("disclosure", make=True)

    def _named(self, name: str, *, make: bool) -> Secret:
        with _fault():
            key = self._read(name)
            if key is None and make:
                with self._locked():
                    key = self._read_or_make(name)
        if key is None:
            raise LocalError(Reason.BAD_STORE, f"the folder of keys has no {name} key")
        return key

    def _read(self, name: str) -> Secret | None:
        try:
            data = (self._folder / f"{name}{_SUFFIX}").read_bytes()
        except FileNotFoundError:
            return None
        if len(data) != KEY_BYTES:
            raise LocalError(Reason.BAD_STORE, f"the file of the key {name} is damaged")
        return Secret(data)

    def _read_or_make(self, name: str) -> Secret:
        """Under the lock. Whatever is read may be another's whose name is not yet durable."""
        key = self._read(name)
        if key is None:
            fresh = self._folder / f"{_UNFINISHED}{secrets.token_hex(8)}{_SUFFIX}"
            _write(fresh, secrets.token_bytes(KEY_BYTES))
            with contextlib.suppress(FileExistsError):  # where locks do not reach, links do
                os.link(fresh, self._folder / f"{name}{_SUFFIX}")
            fresh.unlink()
            key = self._read(name)
            if key is None:
                raise LocalError(Reason.BAD_STORE, f"the key {name} cannot be kept")
        self._sync()
        return key

    def _remove_unfinished(self) -> None:
        """Under the lock, so nobody is making one. A second name of a key goes, not the key."""
        for path in self._folder.glob(f"{_UNFINISHED}*"):
            if path.stat().st_nlink > 1:
                path.unlink()
            else:
                _overwrite(path)

    def _read_clock(self) -> int:
        try:
            return int((self._folder / _CLOCK).read_text())
        except FileNotFoundError:
            return 0
        except ValueError:
            raise LocalError(Reason.BAD_STORE, "the file of the last hour is damaged") from None

    def _write_clock(self, hour: int) -> None:
        fresh = self._folder / f"{_UNFINISHED}{secrets.token_hex(8)}"
        _write(fresh, f"{hour}\n".encode())
        fresh.replace(self._folder / _CLOCK)
        self._sync()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One maker or destroyer at a time, of all processes. The lock goes with its holder."""
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _sync(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _gone(hour: int) -> KeyGone:
    return KeyGone(Reason.EVAPORATED, f"the key of hour {hour} has been destroyed")


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _overwrite(path: Path) -> None:
    """Overwrite a key where it stands, then remove it."""
    with contextlib.suppress(FileNotFoundError):
        with path.open("r+b", buffering=0) as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            os.fsync(file.fileno())
        path.unlink()


def _hour_of(path: Path) -> int:
    digits = path.name.removeprefix(_HOUR).removesuffix(_SUFFIX)
    return int(digits) if digits.isdigit() else 1 << 40


@contextlib.contextmanager
def _fault() -> Iterator[None]:
    """What the file system refuses is told as `LocalError` (bad-store)."""
    try:
        yield
    except OSError as error:
        raise LocalError(Reason.BAD_STORE, f"the folder of keys: {error.strerror}") from error
