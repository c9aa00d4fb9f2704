"""Telling those concerned: notices are given when no gag order forbids it any more (spec 22.8)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, Protocol

from ...errors import LocalError, RemoteError
from ..keys import RelayKeys
from .ledger import Ledger, begin_anchor
from .pending import Pending, Spool
from .requests import Answer, Request, Requests
from .signed_json import key_pair
from .statement import Statement, make_statement, subject_of

__all__ = ["NoticeBoard", "disclosure_key", "give_due", "open_ledger"]


_OWN: Final = "disclosure"  # the folder of this part, within that of the keys


class NoticeBoard(Protocol):
    """What is needed of a relay here: `Relay` is one."""

    async def leave_notice(self, address: bytes, statement: bytes) -> bool:
        """Leave a notice in a mailbox; False if there is no such mailbox."""


def open_ledger(folder: Path, keys: Path) -> tuple[Ledger, Spool]:
    """The ledger in a folder and its spool. `keys`: the folder of the relay's keys.

    The anchor of the ledger and the keys of pending notices lie there, in a folder of their own.
    The disclosure key is made if there is none. Raise `LocalError` (bad-store) if there are no
    keys.
    """
    own = keys / _OWN
    return Ledger(folder, own, _seed(keys)), Spool(folder, own)


def disclosure_key(keys: Path) -> bytes:
    """The public disclosure key (32 bytes), for `/v1/about`; made if there is none.

    `keys`: of the relay's keys. Raise `LocalError` (bad-store) if there are none.
    """
    return key_pair(_seed(keys))[1]


def _seed(keys: Path) -> bytes:
    held = RelayKeys.open(keys, make=False)
    if not (keys / "disclosure.key").exists():
        # The anchor comes first: where there is a key and no anchor, a ledger was lost.
        begin_anchor(keys / _OWN)
    return held.disclosure_seed().reveal()


async def give_due(relay: NoticeBoard, folder: Path, hour: int, *, keys: Path) -> int:
    """Give the notices that may be given in this hour; return how many mailboxes were told.

    `folder`: of the ledger; `keys`: of the relay's keys. To be called every minute or so by each
    relay process that has the folder. A crash or a failure at any point leaves a notice that comes
    again, perhaps twice, never one that is lost. Raise `LedgerTampered`; an `ExceptionGroup` when
    all others have been given, of `RemoteError` (the store was busy, it is tried the next time) and
    `LocalError` (bad-store: what waits is damaged).
    """
    if not (folder / "pending").is_dir() and not (keys / _OWN / "pending").is_dir():
        return 0
    ledger, spool = open_ledger(folder, keys)
    due, failed = await asyncio.to_thread(_due, ledger, spool, hour)
    told = 0
    for pending, request, answer in due:
        # As by now: whoever reads it learns how long it took.
        statement = make_statement(_statement(pending, request, answer, hour, ledger.public),
                                   ledger.private)  # fmt: skip
        try:
            left = await relay.leave_notice(pending.address, statement)
        except RemoteError as error:  # the store is busy: the next time
            failed.append(error)
            continue
        told += await asyncio.to_thread(_tell, ledger, spool, pending.entry, hour, left)
    if failed:
        raise ExceptionGroup("notices could not be left", failed)
    return told


def _due(
    ledger: Ledger, spool: Spool, hour: int
) -> tuple[list[tuple[Pending, Request, Answer]], list[Exception]]:
    """What may be given. What was given already, or never came into the ledger, is erased."""
    if not spool.left():
        return [], []
    entries, _ = ledger.read(signatures=False)
    untold = Requests(entries).untold()
    if spool.left() - untold.keys() or spool.unfinished():
        untold = _clean(ledger, spool, hour)
    numbers = spool.numbers()
    due = []
    failed: list[Exception] = []
    for number in numbers:
        if number not in untold or untold[number][0].gagged(hour):
            continue
        request, answer = untold[number]
        try:
            pending = spool.read(number)
        except LocalError as error:
            failed.append(error)
            continue
        if pending is not None:  # else another process has just given it
            due.append((pending, request, answer))
    return due, failed


def _clean(ledger: Ledger, spool: Spool, hour: int) -> dict[int, tuple[Request, Answer]]:
    """Only under the lock can it be told what a `disclose` that runs now will not yet need."""
    with ledger.writing(hour) as writer:
        untold = writer.requests.untold()
        for number in spool.left() - untold.keys():
            spool.erase(number)
        spool.erase_unfinished()
        return untold


def _statement(
    pending: Pending, request: Request, answer: Answer, hour: int, key: bytes
) -> Statement:
    told = max(hour, answer.hour)
    return Statement(
        request.number, request.jurisdiction, request.category, answer.hour, told,
        told - answer.hour, answer.gagged, pending.handed_over, pending.envelopes,
        pending.salt, subject_of(pending.salt, pending.address), answer.entry, answer.head, key,
    )  # fmt: skip


def _tell(ledger: Ledger, spool: Spool, entry: int, hour: int, left: bool) -> int:
    """Put it into the ledger, then forget the address; how many have been told: 0 or 1."""
    with ledger.writing(hour) as writer:
        found = writer.requests.untold().get(entry)
        if found is None:  # another process was quicker: it has been given twice
            return 0
        request, answer = found
        body = {"request": request.number, "entry": entry}
        try:
            if left:
                writer.add("notified", {**body, "delayed_hours": writer.hour - answer.hour})
            else:
                writer.add("not_notified", body)
        except LocalError:
            # A gag order came between: what was given is given, and is told when it ends.
            return int(left)
        spool.erase(entry)
        return int(left)
