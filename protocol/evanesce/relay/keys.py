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
import time
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import LocalError, Reason
from ..limits import DAY, HOUR, NOTICE_LIFETIME, RETENTION
from ..primitives import KEY_BYTES
from ..secret import Secret

__all__ = ["KeyGone", "RelayKeys"]

_SUFFIX: Final = ".key"
_HOUR: Final = "hour-"
_UNFINISHED: Final = "new-"
_CLOCK: Final = "clock"
_SLOT: Final = 4_096  # bytes of each of the two slots of the clock: no write harms both
_CHECKED: Final = 16  # bytes of a slot that its checksum is of: hour, how often it was written
_LOCK_SECONDS: Final = 3.0  # that the lock is waited for, by the whole process
_LOCK_PAUSE: Final = 30.0  # after that was in vain, during which it is tried only once
_ENVELOPES: Final = RETENTION // HOUR + 1  # hours ahead for which keys of envelopes are made
_PACKAGES: Final = DAY // HOUR, 31 * DAY // HOUR  # their hours: multiples, and how far ahead
_NOTICES: Final = 30 * DAY // HOUR, NOTICE_LIFETIME // HOUR


class KeyGone(LocalError):  # noqa: N818
    """The key of this hour has been destroyed, and is not made again. Its reason: evaporated."""


class RelayKeys:
    """The keys in a folder. `open` it; all methods are quick but for the first use of an hour."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hours: dict[int, Secret] = {}
        self._last = 0
        self._swept = -1  # the last hour up to which this object has destroyed
        self._lock_in_vain = float("-inf")
        self._leave: weakref.finalize[..., RelayKeys] | None = None
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
                # Ahead, so that noting an hour needs no free block. If there is none now, the keys
                # of hours that have begun are destroyed all the same.
                with contextlib.suppress(OSError):
                    keys._make_clock()
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
        Where that fails, or another process does not let go of the lock, they are destroyed all the
        same, and not made again by this process; then raise `LocalError` (bad-store).
        """
        if hour <= self._swept:
            return 0
        for known in [known for known in self._hours if known <= hour]:
            self._hours.pop(known).erase()
        self._last = max(hour, self._last)
        gone: list[Path] = []
        try:
            with _fault(), self._locked():
                try:
                    self._last = max(self._last, self._read_clock())
                    self._write_clock(self._last)
                finally:
                    gone = self._overwrite_up_to(self._last)
                self._remove_unfinished()
                self._sync()
        except LocalError:
            with _fault():
                self._overwrite_up_to(self._last)
            raise
        self._swept = self._last
        return len(gone)

    def set_back(self, hour: int) -> None:
        """Take this for the last hour seen, though a later one has been: the clock was wrong then.

        Keys that are made for hours whose keys were destroyed are new ones: they open nothing old.
        Those of hours for which nothing is to be kept by the right clock are destroyed: nothing
        that came while it was wrong is kept longer than it may.
        """
        with _fault(), self._locked():
            wrong = max(self._last, self._read_clock())
            self._write_clock(hour)
            for path in self._hour_files():
                if _too_late(_hour_of(path), hour, wrong):
                    _overwrite(path)
            self._sync()
        for known in [known for known in self._hours if _too_late(known, hour, wrong)]:
            self._hours.pop(known).erase()
        self._last = self._swept = hour

    def join(self, hour: int, *, accept: bool = False) -> None:
        """Begin to use the keys, at this hour, as one of the processes that share them.

        Until `leave`. Raise `LocalError` (bad-input) if another one uses them that has not seen the
        last two hours: then this clock is ahead, and would destroy what that process still needs.
        `accept` joins all the same.
        """
        self.leave()
        with _fault(), self._locked():
            handle = os.open(self._folder / "used", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                last = self._read_clock()
                ahead = 0 < last < hour - 2
                if ahead and not accept and not _try_lock(handle):
                    raise LocalError(
                        Reason.BAD_INPUT,
                        "the clock is ahead of that of another process that uses these keys: set it"
                        " right, or accept it if it is right and the other's is wrong",
                    )
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BaseException:
                os.close(handle)
                raise
        self._leave = weakref.finalize(self, os.close, handle)

    def leave(self) -> None:
        """End what `join` began."""
        if self._leave is not None:
            self._leave()

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

    def _hour_files(self) -> list[Path]:
        return list(self._folder.glob(f"{_HOUR}*{_SUFFIX}"))

    def _overwrite_up_to(self, hour: int) -> list[Path]:
        """Destroy the keys on the disk up to this hour: all that can be, whichever fails."""
        gone = [path for path in self._hour_files() if _hour_of(path) <= hour]
        failed = None
        for path in gone:
            try:
                _overwrite(path)
            except OSError as error:
                failed = error
        if failed is not None:
            raise failed
        return gone

    def _read_clock(self) -> int:
        return self._clock_slot()[1]

    def _clock_slot(self) -> tuple[int, int]:
        """How often the clock was written, and its hour. None of both if there is none."""
        try:
            data = (self._folder / _CLOCK).read_bytes()
            if len(data) < _SLOT:  # as it was kept before: a number in decimal
                return 0, int(data)
        except FileNotFoundError:
            return 0, 0
        except ValueError:
            data = b""
        slots = [_open_slot(data[at : at + _SLOT]) for at in (0, _SLOT)]
        whole = [slot for slot in slots if slot is not None]
        if not whole:
            raise LocalError(Reason.BAD_STORE, "the file of the last hour is damaged")
        return max(whole)

    def _make_clock(self) -> None:
        """Under the lock: a file with both slots, if there is none, or one of the old form."""
        path = self._folder / _CLOCK
        if path.exists() and path.stat().st_size == 2 * _SLOT:
            return
        hour = self._read_clock()
        fresh = self._folder / f"{_UNFINISHED}{secrets.token_hex(8)}"
        _write(fresh, _seal_slot(0, hour) + _seal_slot(1, hour))
        fresh.replace(path)
        self._sync()

    def _write_clock(self, hour: int) -> None:
        """Under the lock: overwrite the older slot in its place. No free block is needed."""
        self._make_clock()
        written = self._clock_slot()[0] + 1
        handle = os.open(self._folder / _CLOCK, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(handle, _seal_slot(written, hour), written % 2 * _SLOT)
            os.fsync(handle)
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One maker or destroyer at a time, of all processes. The lock goes with its holder.

        Raise `LocalError` (bad-store) when another keeps it for too long.
        """
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._wait_for(handle)
            yield
        finally:
            os.close(handle)

    def _wait_for(self, handle: int) -> None:
        begun = time.monotonic()
        patient = begun > self._lock_in_vain + _LOCK_PAUSE  # whoever waits here holds up everybody
        while not _try_lock(handle):
            if not patient or time.monotonic() > begun + _LOCK_SECONDS:
                if patient:
                    self._lock_in_vain = time.monotonic()
                raise LocalError(
                    Reason.BAD_STORE, "another process keeps the folder of keys locked"
                )
            time.sleep(0.002)

    def _sync(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _gone(hour: int) -> KeyGone:
    return KeyGone(Reason.EVAPORATED, f"the key of hour {hour} has been destroyed")


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _seal_slot(written: int, hour: int) -> bytes:
    head = written.to_bytes(8, "big") + hour.to_bytes(8, "big")
    return (head + zlib.crc32(head).to_bytes(4, "big")).ljust(_SLOT, b"\0")


def _open_slot(data: bytes) -> tuple[int, int] | None:
    """How often the clock had been written, and the hour; None if it was written half."""
    head = data[:_CHECKED]
    if len(data) != _SLOT or data != _seal_slot(*(numbers := _numbers(head))):
        return None
    return numbers


def _numbers(head: bytes) -> tuple[int, int]:
    return int.from_bytes(head[:8], "big"), int.from_bytes(head[8:], "big")


def _too_late(key: int, now: int, wrong: int) -> bool:
    """Whether nothing may be kept under the key of this hour, the clock having been `wrong`.

    Envelopes that came then are under keys up to the retention after it.
    """
    if key <= now + _ENVELOPES:
        return False
    scheduled = any(key % step == 0 and key <= now + span for step, span in (_PACKAGES, _NOTICES))
    return key <= wrong + _ENVELOPES or not scheduled


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
