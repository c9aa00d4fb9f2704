"""Answering a request about one mailbox, in an order in which no crash hides anything.

What is held is read; then, with the ledger locked: the notice is spooled, the entry is written, and
only what has an entry is given out. A notice without an entry is of an answer that nobody got, and
envelopes without one lie on the disk only sealed, under a key that ended with the process.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, Protocol

from ...errors import LocalError, Reason
from ...primitives import KEY_BYTES, unwrap, wrap
from ..relay import Cursor, Waiting
from . import files
from .answer import Envelope, Subject, hash_of, make_answer
from .ledger import Ledger, Writer
from .pending import Pending, Spool
from .requests import Request
from .statement import SALT_BYTES, subject_of

__all__ = ["Disclosed", "Holder", "disclose", "impose_gag"]

_AT_ONCE: Final = 64
_BYTES_AT_ONCE: Final = 8 * 1024 * 1024


class Holder(Protocol):
    """What is needed of a relay here: `Relay` is one, over a store that is only read."""

    async def holdings(self, address: bytes) -> dict[str, object]:
        """All that is held of a mailbox."""

    async def fetch(
        self, address: bytes, cursor: Cursor, envelopes: int, octets: int
    ) -> list[Waiting]:
        """What waits, as the senders sealed it."""


@dataclass(frozen=True, slots=True)
class Disclosed:
    """An answer that stands in the ledger and may be given out."""

    answer: bytes  # canonical JSON, signed
    entry: int


async def disclose(
    holder: Holder, ledger: Ledger, spool: Spool, *, address: bytes, request: int, hour: int,
    retention_hours: int, gag_until: int | None = None, envelopes_to: Path | None = None,
    again: bool = False,
) -> Disclosed:  # fmt: skip
    """Answer request `request` about the mailbox with this address (32 bytes).

    `gag_until`: the first hour in which its owner may be told, where an order forbids it before.
    `envelopes_to`: a folder, not there yet, to hand over sealed envelopes in. `again`: an answer
    that was lost, and whose notice still waits, is given once more. Raise `LedgerTampered`;
    `LocalError` (bad-input) for a request that cannot be answered, changing nothing; `RemoteError`
    when the store does not answer.
    """
    if len(address) != 32:
        raise LocalError(Reason.BAD_INPUT, "the address of a mailbox has 32 bytes")
    if envelopes_to is not None and envelopes_to.exists():
        raise LocalError(Reason.BAD_INPUT, f"{envelopes_to}: is there already")
    draft = None
    if envelopes_to is not None:
        draft = Draft(envelopes_to.with_name(envelopes_to.name + ".draft"))
    try:
        subject = await _look(holder, address, draft)
        with ledger.writing(hour) as writer:
            disclosed = _write(writer, ledger, spool, subject, request, retention_hours,
                               gag_until=gag_until, again=again)  # fmt: skip
        if draft is not None and envelopes_to is not None:
            draft.hand_over(subject.envelopes or (), envelopes_to)
    finally:
        if draft is not None:
            draft.remove()
    return disclosed


class Draft:
    """A folder of envelopes that may not be given out yet: sealed under a key in memory only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = os.urandom(KEY_BYTES)

    def begin(self) -> None:
        """Make the folder, in the place of one of a disclosure that did not come to its end."""
        self.remove()
        self._folder.mkdir(mode=0o700)

    def add(self, name: str, data: bytes) -> Envelope:
        """Take an envelope."""
        files.replace(self._folder / name, wrap(self._key, data, name.encode(), os.urandom))
        return Envelope(name, len(data), hashlib.sha256(data).digest())

    def hand_over(self, envelopes: Sequence[Envelope], folder: Path) -> None:
        """All of them, in clear, in a folder that is there as a whole or not at all."""
        for each in envelopes:
            path = self._folder / each.file
            files.replace(path, unwrap(self._key, path.read_bytes(), each.file.encode()))
        self._folder.rename(folder)

    def remove(self) -> None:
        """Remove what is there of it."""
        shutil.rmtree(self._folder, ignore_errors=True)


async def _look(holder: Holder, address: bytes, draft: Draft | None) -> Subject:
    held = await holder.holdings(address)
    fields = {name: plain(value) for name, value in held.items()}
    exists = "mailbox" in fields
    envelopes: list[Envelope] | None = None
    if draft is not None:
        draft.begin()
        envelopes = []
    ids: list[str] = []
    async for waiting in _waiting(holder, address if exists else None):
        ids.append(waiting.id.hex())
        if draft is not None and envelopes is not None:
            envelopes.append(draft.add(f"{len(ids):04}.envelope", waiting.data))
    if ids:
        fields["envelope_ids"] = ids
    return Subject(address, exists, fields, None if envelopes is None else tuple(envelopes))


async def _waiting(holder: Holder, address: bytes | None) -> AsyncIterator[Waiting]:
    """The envelopes that wait in a mailbox, a few at a time."""
    cursor = Cursor()
    while address is not None:
        given = await holder.fetch(address, cursor, _AT_ONCE, _BYTES_AT_ONCE)
        if not given:
            return
        for each in given:
            if not each.is_notice:
                yield each


def plain(value: object) -> Any:
    """A value as JSON: bytes in hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def impose_gag(writer: Writer, request: int, until: int) -> None:
    """Note a gag order, or that it has become longer; the same again changes nothing."""
    found = writer.requests.get(request)
    body = {"request": request, "until": until}
    if not found.gagged(writer.hour):
        writer.add("gag_imposed", body)
    elif found.gag_until != until:
        writer.add("gag_extended", body)


def _lost(request: Request, spool: Spool, address: bytes) -> tuple[int, bytes]:
    """The entry of the last answer about this mailbox, and its salt: only what waits still has it.

    With the same salt the mailbox stands in the ledger as before, so that everybody can see that no
    other was answered about.
    """
    for answer in reversed(request.answers):
        pending = None
        if not answer.told:
            with suppress(LocalError):  # a notice that is damaged is told of by those who give it
                pending = spool.read(answer.entry)
        if pending is not None and pending.head == answer.head and pending.address == address:
            return answer.entry, pending.salt
    raise LocalError(
        Reason.BAD_INPUT,
        f"request {request.number} has no answer about this mailbox that could be given again: "
        "none was given, or its notice has been and with it the salt was forgotten. Record what is "
        "asked now as a request of its own",
    )


def _write(
    writer: Writer, ledger: Ledger, spool: Spool, subject: Subject, number: int,
    retention_hours: int, *, gag_until: int | None, again: bool,
) -> Disclosed:  # fmt: skip
    request = writer.requests.get(number)
    replaced = None
    salt = os.urandom(SALT_BYTES)
    if again:
        replaced, salt = _lost(request, spool, subject.address)
    else:
        request.check_answerable()
    if gag_until is not None:
        impose_gag(writer, number, gag_until)
    answer = make_answer(
        subject, request, hour=writer.hour, salt=salt, retention_hours=retention_hours,
        head=writer.head, private=ledger.private, public=ledger.public,
    )  # fmt: skip
    entry = writer.prepare("disclosed", {
        "request": number,
        "subject": subject_of(salt, subject.address).hex(),
        "document": hash_of(answer).hex(),
        "with_data": subject.with_data,
        "with_envelopes": bool(subject.envelopes),
        "again": replaced,
    })  # fmt: skip
    spool.add(Pending(
        entry.sequence, entry.hash, subject.address, salt, tuple(subject.fields),
        len(subject.envelopes or ()),
    ))  # fmt: skip
    writer.append(entry)
    return Disclosed(answer, entry.sequence)
