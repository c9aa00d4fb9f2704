"""Checking a ledger and what was given out against each other: `evanesce relay ledger verify`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ...errors import EvanesceError, LocalError, Reason, RemoteError
from . import answer, report, statement
from .entries import Entry
from .ledger import Ledger
from .pending import Spool
from .references import reference
from .requests import Requests
from .signed_json import hexadecimal

__all__ = ["check_given", "loose_ends"]


def loose_ends(ledger: Ledger, spool: Spool, entries: Sequence[Entry]) -> list[str]:
    """What the ledger promises and its folder does not hold: notices and references."""
    requests = Requests(entries)
    found = []
    for entry, (_, untold) in sorted(requests.untold().items()):
        try:
            pending = spool.read(entry)
        except LocalError as error:
            found.append(error.detail)
            continue
        if pending is None or pending.head != untold.head:
            found.append(f"the notice of entry {entry} is missing, and was not given")
    for request in requests.all.values():
        try:
            reference(ledger.folder, request.number, request.reference)
        except LocalError as error:
            found.append(error.detail)
    return found


def check_given(
    path: Path, entries: Sequence[Entry], public: bytes, address: bytes | None = None
) -> str:
    """Check a file that was given out: an answer, a statement or a report; say what it is.

    `address`: the mailbox that a statement is said to concern. Raise `EvanesceError` if it was not
    signed by this key, or does not agree with these entries; `OSError`.
    """
    data = path.read_bytes().removesuffix(b"\n")
    try:
        kind = json.loads(data)["type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RemoteError(Reason.BAD_FORM, f"{path}: nothing that a relay gives out") from None
    try:
        match kind:
            case answer.TYPE:
                return _check_answer(data, entries, public)
            case statement.TYPE:
                return _check_statement(data, entries, public, address)
            case report.TYPE:
                period = report.check_report(data, entries, public)["period"]
                return f"report {period['from']} to {period['to']}"
    except EvanesceError as error:
        raise RemoteError(error.reason, f"{path}: {error.detail}") from None
    raise RemoteError(Reason.BAD_FORM, f"{path}: nothing that a relay gives out")


def _disclosed(entries: Sequence[Entry], number: int) -> Entry:
    if not 1 <= number <= len(entries) or entries[number - 1].kind != "disclosed":
        raise RemoteError(Reason.BAD_FORM, f"entry {number} of the ledger is no answer")
    return entries[number - 1]


def _check_answer(data: bytes, entries: Sequence[Entry], public: bytes) -> str:
    value = answer.check_answer(data, public)
    entry = _disclosed(entries, value["ledger"]["entry"])
    if entry.body["document"] != answer.hash_of(data).hex():
        raise RemoteError(Reason.BAD_FORM, f"entry {entry.sequence} is of another answer")
    salt, mailbox = hexadecimal(value["salt"], 16), hexadecimal(value["mailbox"], 32)
    if entry.body["subject"] != statement.subject_of(salt, mailbox).hex():
        raise RemoteError(Reason.BAD_FORM, f"entry {entry.sequence} is of another mailbox")
    return f"answer, entry {entry.sequence}"


def _check_statement(
    data: bytes, entries: Sequence[Entry], public: bytes, address: bytes | None
) -> str:
    found = statement.parse_statement(data)
    if found.key != public:
        raise RemoteError(Reason.BAD_SIGNATURE, "signed by another key")
    entry = _disclosed(entries, found.entry)
    if entry.hash != found.head or entry.body["subject"] != found.subject.hex():
        raise RemoteError(Reason.BAD_FORM, f"entry {entry.sequence} is another")
    if address is not None and not found.concerns(address):
        raise RemoteError(Reason.BAD_FORM, "it concerns another mailbox")
    return f"statement, entry {entry.sequence}"
