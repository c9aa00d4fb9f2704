"""Anchors: a number kept away from a store, by which a store that was put back is recognised.

Whoever can put back or remove the anchor together with the store is not noticed. A keyring, another
disk, or a server make good places; the folder of the store is none. Between two writes of the
anchor a copy passes: one of the last `ANCHOR_EVERY` commits of a store that was not closed. A new
store counts as rolled back if its anchor has been used: the one before has been removed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Protocol

from ..errors import EvanesceError, LocalError, Reason, StorageError
from .keys import KeyringEntry

__all__ = ["ANCHOR_EVERY", "Anchor", "FileAnchor", "KeyringAnchor", "Witness"]

ANCHOR_EVERY: Final = 64  # commits between two writes of the anchor


class Anchor(Protocol):
    """Keeps one number, which only grows. Methods raise `EvanesceError` or `OSError` on failure."""

    def read(self) -> int | None:
        """The number, or None if none was ever written."""

    def write(self, value: int) -> None:
        """Keep a number, durably."""


def _parse(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise StorageError(Reason.BAD_STORE, "the anchor is damaged")
    return int(text)


def _check_forward(old: int | None, value: int) -> None:
    if old is not None and value < old:
        raise LocalError(Reason.BAD_INPUT, "an anchor does not go back")


class FileAnchor:
    """An anchor in a file, replaced as a whole."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def read(self) -> int | None:
        """The number in the file."""
        try:
            return _parse(self._path.read_bytes().decode("ascii", "replace").strip())
        except FileNotFoundError:
            return None

    def write(self, value: int) -> None:
        """Write a new file and put it in the place of the old one."""
        _check_forward(self.read(), value)
        fresh = self._path.with_name(self._path.name + ".new")
        with open(fresh, "wb") as file:
            file.write(b"%d\n" % value)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        sync_folder(self._path.parent)


class KeyringAnchor:
    """An anchor in the keyring of the system (`KeyringKey` says what that needs)."""

    def __init__(self, service: str, name: str) -> None:
        self._entry = KeyringEntry(service, name)

    def read(self) -> int | None:
        """The number in the keyring."""
        text = self._entry.read()
        return None if text is None else _parse(text)

    def write(self, value: int) -> None:
        """Keep it in the keyring."""
        _check_forward(self.read(), value)
        self._entry.write(str(value))


class Witness:
    """What a store makes of its anchor, if it has one: it may be behind the store, never ahead."""

    def __init__(self, anchor: Anchor | None) -> None:
        self._anchor = anchor
        self.commits = -1  # what the anchor holds

    def read(self) -> None:
        """Ask the anchor; its errors are those of the store that is opened."""
        if self._anchor is not None:
            found = self._anchor.read()
            self.commits = -1 if found is None else found

    def tell(self, commits: int) -> None:
        """Write the anchor now. Errors are raised."""
        if self._anchor is not None and commits > self.commits:
            self._anchor.write(commits)
            self.commits = commits

    def note(self, commits: int) -> None:
        """Write the anchor if it is time. If that fails, the commit stands, and the next tries."""
        if commits - self.commits >= ANCHOR_EVERY:
            try:
                self.tell(commits)
            except (EvanesceError, OSError):
                return


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
