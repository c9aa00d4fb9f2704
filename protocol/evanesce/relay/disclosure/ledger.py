"""The ledger: a file that only grows, in which each entry is bound to all before it (spec 22.8).

Beside the file lies the lock; with the keys lies the anchor, which holds how many entries there
are and the hash of the last. An entry is written before the anchor, so that after a crash the
anchor may be one entry behind: never more, and never ahead.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...errors import EvanesceError, LocalError, Reason
from ...primitives import H
from . import files
from .entries import FIRST, Entry, LedgerTampered, make, parse
from .requests import Requests
from .signed_json import canonical, hexadecimal, key_pair, parse_canonical

__all__ = ["Head", "Ledger", "Writer", "begin_anchor", "parse_ledger"]

_ANCHOR: Final = "ledger.anchor"
_WAIT: Final = 15.0  # seconds for whoever writes or reads now


@dataclass(frozen=True, slots=True)
class Head:
    """How far a ledger goes: so many entries, and the hash of the last (zeros if there is none)."""

    entries: int
    hash: bytes

    def value(self) -> dict[str, Any]:
        """As it is printed."""
        return {"entries": self.entries, "head": self.hash.hex()}

    @classmethod
    def of(cls, value: object) -> Head:
        """Undo `value`. Raise `RemoteError` (bad-form)."""
        if not (isinstance(value, dict) and value.keys() == {"entries", "head"}
                and type(value["entries"]) is int and value["entries"] >= 0):  # fmt: skip
            raise LocalError(Reason.BAD_FORM, "not the head of a ledger")
        return cls(value["entries"], hexadecimal(value["head"], 32))


def head_of(entries: Sequence[Entry]) -> Head:
    """The head after these entries."""
    return Head(len(entries), entries[-1].hash if entries else FIRST)


def parse_ledger(data: bytes, public: bytes | None) -> tuple[list[Entry], bytes]:
    """Read the bytes of a ledger: its entries, and what follows the last line's end.

    Raise `LedgerTampered`. `public` None leaves signatures unchecked, not the chain.
    """
    *lines, rest = data.split(b"\n")
    entries: list[Entry] = []
    for line in lines:
        entries.append(parse(line, public, entries[-1] if entries else None))
    return entries, rest


def begin_anchor(keys: Path) -> None:
    """Anchor a ledger that has no entry yet, unless there is an anchor. `keys`: its folder.

    Once, before the disclosure key is made: a key without an anchor had a ledger, which is lost.
    """
    files.make_folder(keys)
    files.create(keys / _ANCHOR, canonical(Head(0, FIRST).value()))


class Ledger:
    """The ledger in a folder. `folder/ledger.jsonl` is the file that auditors get."""

    def __init__(self, folder: Path, keys: Path, seed: bytes) -> None:
        """`keys`: the folder of the anchor; `seed`: of the disclosure key (32 bytes)."""
        self.folder = folder
        self.path = folder / "ledger.jsonl"
        self.anchor = keys / _ANCHOR
        self._lock = folder / "ledger.lock"
        self._torn = folder / "ledger.torn"
        self.private, self.public = key_pair(seed)

    def __repr__(self) -> str:
        return f"Ledger({str(self.folder)!r})"

    def read(self, *, signatures: bool = True) -> tuple[list[Entry], bool]:
        """All entries, and whether the last line is torn. Raise `LedgerTampered`.

        Without `signatures` only those past the anchor are checked: chain and anchor bind the rest.
        """
        if not self.folder.is_dir():
            return self._read(signatures)[0], False
        with self._locked(fcntl.LOCK_SH):
            entries, rest = self._read(signatures)
        return entries, bool(rest)

    @contextmanager
    def writing(self, hour: int) -> Iterator[Writer]:
        """The right to write, of one process at a time. Raise `LedgerTampered`, store-busy.

        What a crash has left is mended first: a line that was whole stays, and one that was not is
        told of in an entry of the kind `torn`.
        """
        files.make_folder(self.folder)
        with self._locked(fcntl.LOCK_EX):
            entries, rest = self._read(signatures=False)
            self._mend(rest, sum(len(entry.line) + 1 for entry in entries))
            writer = Writer(self, entries, hour)
            writer.anchor()
            self._tell_of_torn(writer)
            yield writer

    def accept_loss(self, hour: int) -> None:
        """Go on with a ledger whose end is lost, as after a restore: an entry `lost` tells of it.

        What is there must be whole, and signed. Where the anchor is lost too, the entry cannot say
        how much there was. Raise `LedgerTampered`; `LocalError` (bad-input) if
        nothing is lost.
        """
        files.make_folder(self.folder)
        with self._locked(fcntl.LOCK_EX):
            anchored = self._anchored() if self.anchor.exists() else None
            data = self.path.read_bytes() if self.path.exists() else b""
            entries, rest = parse_ledger(data, self.public)
            if anchored is not None and head_of(entries[: anchored.entries]) == anchored:
                raise LocalError(Reason.BAD_INPUT, "nothing of the ledger is lost")
            self._mend(rest, len(data) - len(rest))
            writer = Writer(self, entries, hour)
            unknown = {"entries": None, "head": None}
            writer.add("lost", unknown if anchored is None else anchored.value())
            self._tell_of_torn(writer)

    def _read(self, signatures: bool) -> tuple[list[Entry], bytes]:
        anchored = self._anchored()
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            data = b""
        entries, rest = parse_ledger(data, self.public if signatures else None)
        if len(entries) < anchored.entries or head_of(entries[: anchored.entries]) != anchored:
            raise LedgerTampered(
                f"with the keys stands that it has {anchored.entries} entries, with another end"
            )
        before = entries[-1] if entries else None
        try:
            entries.append(parse(rest, self.public, before))
            rest = b"\n"  # the line was whole: only its end is missing
        except LedgerTampered:
            pass
        if len(entries) > anchored.entries + 1:
            raise LedgerTampered(f"{len(entries)} entries, of which the keys know less")
        if len(entries) > anchored.entries and not signatures:
            parse(entries[-1].line, self.public, entries[-2] if len(entries) > 1 else None)
        return entries, rest

    def _anchored(self) -> Head:
        try:
            return Head.of(parse_canonical(self.anchor.read_bytes(), 256))
        except FileNotFoundError:
            raise LedgerTampered(
                "its anchor, which was made with the disclosure key, is gone"
            ) from None
        except EvanesceError:
            raise LocalError(Reason.BAD_STORE, "the anchor of the ledger is damaged") from None

    def _mend(self, rest: bytes, size: int) -> None:
        if rest == b"\n":
            files.append(self.path, rest)
        elif rest:
            if not self._torn.exists():  # else this was the entry that should tell of it
                files.replace(self._torn, rest)
            files.cut(self.path, size)

    def _tell_of_torn(self, writer: Writer) -> None:
        try:
            rest = self._torn.read_bytes()
        except FileNotFoundError:
            return
        body = {"bytes": len(rest), "hash": H(b"ledger torn", rest).hex()}
        if not (writer.entries and writer.entries[-1].body == body):
            writer.add("torn", body)
        files.remove(self._torn)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._wait_for(handle, how)
            yield
        finally:
            os.close(handle)  # and with it goes the lock

    def _wait_for(self, handle: int, how: int) -> None:
        end = time.monotonic() + _WAIT
        while True:
            try:
                fcntl.flock(handle, how | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    raise LocalError(Reason.STORE_BUSY, "the ledger is in use") from None
                time.sleep(0.02)


class Writer:
    """The ledger while one may write to it."""

    def __init__(self, ledger: Ledger, entries: list[Entry], hour: int) -> None:
        """Raise `LedgerTampered` if the entries tell no possible history."""
        self._ledger = ledger
        self._whole = True
        self.entries = entries
        self.requests = Requests(entries)
        # A clock that was set back does not make the ledger go back.
        self.hour = max(hour, entries[-1].hour) if entries else hour

    @property
    def head(self) -> Head:
        """Where it ends now."""
        return head_of(self.entries)

    def prepare(self, kind: str, body: dict[str, Any]) -> Entry:
        """The entry that `append` would add next."""
        head = self.head
        return make(self._ledger.private, head.entries + 1, head.hash, self.hour, kind, body)

    def append(self, entry: Entry) -> None:
        """Add it, durably. Raise `LocalError` (bad-input) if it cannot follow what was before.

        After another error it cannot be told what was written: nothing more can be added by this
        writer, and the next one looks.
        """
        if not self._whole:
            raise LocalError(Reason.CLOSED, "writing has failed before")
        self.requests.apply(entry)
        self._whole = False
        files.append(self._ledger.path, entry.line + b"\n")
        self.entries.append(entry)
        self.anchor()
        self._whole = True

    def add(self, kind: str, body: dict[str, Any]) -> Entry:
        """`prepare` and `append`."""
        entry = self.prepare(kind, body)
        self.append(entry)
        return entry

    def anchor(self) -> None:
        """Tell the anchor, if it does not know."""
        if not self._ledger.anchor.exists() or self._ledger._anchored() != self.head:
            files.make_folder(self._ledger.anchor.parent)
            files.replace(self._ledger.anchor, canonical(self.head.value()))
