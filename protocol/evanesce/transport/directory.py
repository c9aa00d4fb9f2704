"""A directory held open: the few steps on files that a folder shared by processes is built of.

Where the system has it (POSIX), each step is relative to the open directory and follows no symbolic
link, so that a name never leads out of the folder, even if somebody puts a link in its place
meanwhile. Elsewhere (Windows, untested there) the same steps go by path, and a link is looked for
just before.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Directory", "Entry"]

BY_HANDLE = (
    {os.open, os.mkdir, os.unlink, os.rmdir, os.rename, os.stat} <= os.supports_dir_fd
    and os.scandir in os.supports_fd
    and os.utime in os.supports_fd
)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | _NOFOLLOW
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _PLAIN  # opening a pipe must not wait
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _PLAIN
_NOT_A_DIRECTORY = {errno.ENOTDIR, errno.ELOOP}


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory."""

    name: str
    is_directory: bool
    time: int  # of modification; of the link itself if it is one


class Directory:
    """A directory and, where the system allows, a handle on it. Use it in a `with` block."""

    def __init__(self, path: Path, handle: int | None) -> None:
        self.path = path
        self._handle = handle

    @classmethod
    def at(cls, path: Path) -> Directory:
        """Open a directory of the caller's choice; a link to it is followed."""
        path = path.resolve()
        return cls(path, os.open(path, _FOLDER) if BY_HANDLE else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _name(self, name: str) -> str:
        return name if self._handle is not None else str(self.path / name)

    def enter(self, name: str, *, make: bool = False) -> Directory:
        """Open a directory in this one. Raise `FileNotFoundError` if there is none (or a link)."""
        path = self.path / name
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._name(name), 0o770, dir_fd=self._handle)
                self.sync()
        if self._handle is None:
            if path.is_symlink() or not path.is_dir():
                raise FileNotFoundError(errno.ENOENT, "no such directory", str(path))
            return Directory(path, None)
        try:
            return Directory(path, os.open(name, _FOLDER, dir_fd=self._handle))
        except OSError as error:
            if error.errno in _NOT_A_DIRECTORY:
                raise FileNotFoundError(errno.ENOENT, "not a directory", str(path)) from error
            raise

    def entries(self) -> Iterator[Entry]:
        """What is in it, in no order; what vanishes meanwhile is left out."""
        with os.scandir(self.path if self._handle is None else self._handle) as found:
            for entry in found:
                with contextlib.suppress(FileNotFoundError):
                    is_directory = entry.is_dir(follow_symlinks=False)
                    time = int(entry.stat(follow_symlinks=False).st_mtime)
                    yield Entry(entry.name, is_directory, time)

    def time(self, name: str) -> int | None:
        """When a file was modified; None if it is missing, or no plain file."""
        try:
            found = os.stat(self._name(name), dir_fd=self._handle, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return int(found.st_mtime) if stat.S_ISREG(found.st_mode) else None

    def read(self, name: str, limit: int) -> bytes | None:
        """A file's content; None if it is missing, no plain file, or longer than `limit`."""
        if self.time(name) is None:
            return None
        try:
            handle = os.open(self._name(name), _READ, dir_fd=self._handle)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ELOOP}:
                return None
            raise
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            data = file.read(limit + 1)
        return None if len(data) > limit else data

    def write(self, name: str, data: bytes, time: int) -> None:
        """Write a file whole or not at all, in place of what had this name.

        The content is on the disk when this returns; the name is once `sync` has been called.
        Whoever is killed within leaves a file with a random name that ends in `.new`.
        """
        fresh = f"{secrets.token_hex(16)}.new"
        handle = os.open(self._name(fresh), _CREATE, 0o660, dir_fd=self._handle)
        try:
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                self._date(handle, fresh, time)
                os.fsync(handle)
            if self._handle is None:  # closing the file may have set its time again
                self._date(None, fresh, time)
            os.replace(self._name(fresh), self._name(name), src_dir_fd=self._handle,
                       dst_dir_fd=self._handle)  # fmt: skip
        except BaseException:
            with contextlib.suppress(OSError):
                self.remove(fresh)
            raise

    def mark(self, name: str, time: int) -> bool:
        """Make an empty file of this name; False if there is one. Of all who try, one succeeds."""
        try:
            handle = os.open(self._name(name), _CREATE, 0o660, dir_fd=self._handle)
        except FileExistsError:
            return False
        with open(handle, "wb"):
            self._date(handle, name, time)
        return True

    def date(self, name: str, time: int) -> None:
        """Set a file's times, if its owner allows."""
        with contextlib.suppress(FileNotFoundError, PermissionError, NotImplementedError):
            os.utime(self._name(name), (time, time), dir_fd=self._handle, follow_symlinks=False)

    def _date(self, handle: int | None, name: str, time: int) -> None:
        if handle is not None and os.utime in os.supports_fd:
            os.utime(handle, (time, time))
        else:
            os.utime(self._name(name), (time, time))

    def remove(self, name: str) -> None:
        """Remove a file or a link; that it is missing is fine."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._name(name), dir_fd=self._handle)

    def remove_directory(self, name: str) -> None:
        """Remove an empty directory. Raise `OSError` if it is not empty."""
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(self._name(name), dir_fd=self._handle)

    def sync(self) -> None:
        """Make the names in it as durable as the system can."""
        if self._handle is not None:
            with contextlib.suppress(PermissionError):
                os.fsync(self._handle)
