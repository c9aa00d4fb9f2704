"""Answering a request about one mailbox, in an order in which no crash hides anything.

What is held is read; then, with the ledger locked: the notice is spooled, the entry is written, and
only what has an entry is given out. A notice without an entry is of an answer that nobody got.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, Protocol

from ...errors import LocalError, Reason
from ..relay import Cursor, Waiting
from . import files
from .answer import Envelope, Subject, hash_of, make_answer
from .ledger import Ledger, Writer
from .pending import Pending, Spool
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
    that was lost is given once more. Raise `LedgerTampered`; `LocalError` (bad-input) for a request
    that cannot be answered, changing nothing; `RemoteError` when the store does not answer.
    """
    if len(address) != 32:
        raise LocalError(Reason.BAD_INPUT, "the address of a mailbox has 32 bytes")
    if envelopes_to is not None and envelopes_to.exists():
        raise LocalError(Reason.BAD_INPUT, f"{envelopes_to}: is there already")
    draft = None if envelopes_to is None else envelopes_to.with_name(envelopes_to.name + ".draft")
    try:
        subject = await _look(holder, address, draft)
        with ledger.writing(hour) as writer:
            disclosed = _write(writer, ledger, spool, subject, request, retention_hours,
                               gag_until=gag_until, again=again)  # fmt: skip
        if draft is not None and envelopes_to is not None:
            draft.rename(envelopes_to)
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
    return disclosed


async def _look(holder: Holder, address: bytes, folder: Path | None) -> Subject:
    held = await holder.holdings(address)
    fields = {name: plain(value) for name, value in held.items()}
    exists = "mailbox" in fields
    envelopes: list[Envelope] | None = None
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)  # of a disclosure that did not come to its end
        folder.mkdir(mode=0o700)
        envelopes = []
    ids: list[str] = []
    async for waiting in _waiting(holder, address if exists else None):
        ids.append(waiting.id.hex())
        if folder is not None and envelopes is not None:
            name = f"{len(ids):04}.envelope"
            files.replace(folder / name, waiting.data)
            sha256 = hashlib.sha256(waiting.data).digest()
            envelopes.append(Envelope(name, len(waiting.data), sha256))
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


def _write(
    writer: Writer, ledger: Ledger, spool: Spool, subject: Subject, number: int,
    retention_hours: int, *, gag_until: int | None, again: bool,
) -> Disclosed:  # fmt: skip
    request = writer.requests.get(number)
    request.check_answerable(again=again)
    if gag_until is not None:
        impose_gag(writer, number, gag_until)
    salt = os.urandom(SALT_BYTES)
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
        "again": again,
    })  # fmt: skip
    spool.add(Pending(
        entry.sequence, entry.hash, subject.address, salt, tuple(subject.fields),
        len(subject.envelopes or ()),
    ))  # fmt: skip
    writer.append(entry)
    return Disclosed(answer, entry.sequence)
