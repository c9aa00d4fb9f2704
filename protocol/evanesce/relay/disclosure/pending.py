"""Notices that wait to be given: each sealed under a key of its own, which lies with the keys.

What waits names an address, and nothing else a relay keeps does. When a notice has been given its
key is destroyed, so that copies of the folder say nothing any more.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...errors import EvanesceError, LocalError, Reason
from ...primitives import KEY_BYTES, unwrap, wrap
from . import files
from .signed_json import canonical, hexadecimal, parse_canonical

__all__ = ["Pending", "Spool"]

_NAME: Final = re.compile(r"([0-9]{1,10})\.notice")
# All that `add` writes, also what a crash has left of it.
_ANY: Final = re.compile(r"([0-9]{1,10})\.(?:notice|key)(\.new)?")
_LIMIT: Final = 16_384


@dataclass(frozen=True, slots=True)
class Pending:
    """What a notice will be made of, when it may be given: the rest stands in the ledger."""

    entry: int  # of the answer, in the ledger
    head: bytes  # hash of that entry
    address: bytes
    salt: bytes
    handed_over: tuple[str, ...]
    envelopes: int

    def __repr__(self) -> str:
        return f"Pending(entry={self.entry})"  # an address is not for logs


class Spool:
    """The folder of pending notices, and that of their keys."""

    def __init__(self, folder: Path, keys: Path) -> None:
        """`folder`: that of the ledger; `keys`: that of the anchor."""
        self._folder = folder / "pending"
        self._keys = keys / "pending"

    def add(self, pending: Pending) -> None:
        """Keep it, durably; what was there under this number is replaced."""
        key = os.urandom(KEY_BYTES)
        value: dict[str, Any] = {
            "head": pending.head.hex(),
            "address": pending.address.hex(),
            "salt": pending.salt.hex(),
            "handed_over": list(pending.handed_over),
            "envelopes": pending.envelopes,
        }
        files.make_folder(self._keys)
        files.make_folder(self._folder)
        files.replace(self._key(pending.entry), key)
        sealed = wrap(key, canonical(value), b"%d" % pending.entry, os.urandom)
        files.replace(self._file(pending.entry), sealed)

    def numbers(self) -> list[int]:
        """The numbers of the entries whose notices wait."""
        if not self._folder.is_dir():
            return []
        found = (_NAME.fullmatch(name) for name in os.listdir(self._folder))
        return sorted(int(match[1]) for match in found if match)

    def left(self) -> set[int]:
        """The numbers of which any file is there: also what a crash has left, and keys alone."""
        return {number for _, number, _ in self._files()}

    def unfinished(self) -> bool:
        """Whether a file is there that is being written, or was when the process ended."""
        return any(unfinished for _, _, unfinished in self._files())

    def _files(self) -> list[tuple[Path, int, bool]]:
        found = []
        for folder in (self._keys, self._folder):  # the keys first: they are destroyed first
            for name in os.listdir(folder) if folder.is_dir() else ():
                match = _ANY.fullmatch(name)
                if match:
                    found.append((folder / name, int(match[1]), match[2] is not None))
        return found

    def read(self, entry: int) -> Pending | None:
        """What waits for this entry; None if nothing does.

        Raise `LocalError` (bad-store) if it is damaged, or its key is.
        """
        try:
            sealed = self._file(entry).read_bytes()
        except FileNotFoundError:
            return None
        try:
            key = self._key(entry).read_bytes()
            value = parse_canonical(unwrap(key, sealed, b"%d" % entry), _LIMIT)
            return Pending(
                entry, hexadecimal(value["head"], 32), hexadecimal(value["address"], 32),
                hexadecimal(value["salt"], 16), tuple(value["handed_over"]), value["envelopes"],
            )  # fmt: skip
        except (EvanesceError, FileNotFoundError, KeyError, TypeError):
            raise LocalError(
                Reason.BAD_STORE, f"the notice of entry {entry} is damaged, or its key is"
            ) from None

    def erase(self, entry: int) -> None:
        """Destroy the key first, then the rest. Erasing twice is fine."""
        for path, number, _ in self._files():
            if number == entry:
                self._end(path)

    def erase_unfinished(self) -> None:
        """Destroy what a crash has left half written. Only for who writes to the ledger."""
        for path, _, unfinished in self._files():
            if unfinished:
                self._end(path)

    def _end(self, path: Path) -> None:
        """A key is overwritten too; what was sealed under it then says nothing."""
        if path.parent == self._keys:
            files.destroy(path)
        else:
            files.remove(path)

    def _file(self, entry: int) -> Path:
        return self._folder / f"{entry}.notice"

    def _key(self, entry: int) -> Path:
        return self._keys / f"{entry}.key"
