"""An entry of the ledger: one line of canonical JSON, chained to the one before and signed."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ...errors import EvanesceError, LocalError, Reason
from ...primitives import H, sign, verify
from .signed_json import canonical, hexadecimal, parse_canonical, unsigned

__all__ = ["FIRST", "KINDS", "MAX_LINE", "Entry", "LedgerTampered", "check_body", "make", "parse"]

MAX_LINE: Final = 4_096  # bytes, without the line's end
FIRST: Final = bytes(32)  # what the first entry has for the hash of the one before
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_JURISDICTION: Final = re.compile(r"[A-Z][A-Z0-9-]{1,15}")
_LARGEST: Final = 10**9


class LedgerTampered(LocalError):  # noqa: N818  a state, as `KeyGone` is
    """The ledger is not what was written (bad-store). Nothing is added to it or told from it."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.BAD_STORE, f"the ledger has been tampered with: {detail}")

    def __reduce__(self) -> Any:
        return type(self), (self.detail.partition(": ")[2],)


def _number(value: object) -> bool:
    return type(value) is int and 1 <= value <= _LARGEST


def _count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _truth(value: object) -> bool:
    return type(value) is bool


def _hash(value: object) -> bool:
    try:
        hexadecimal(value, 32)
    except EvanesceError:
        return False
    return True


def _date(value: object) -> bool:
    if not (isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)):
        return False
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _like(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _or_none(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or check(value)


KINDS: Final[dict[str, dict[str, Callable[[object], bool]]]] = {
    "received": {"request": _number, "jurisdiction": _like(_JURISDICTION), "accounts": _number,
                 "category": _like(_CODE), "received": _date, "reference": _or_none(_hash)},
    "narrowed": {"request": _number, "accounts": _number, "ground": _like(_CODE)},
    "rejected": {"request": _number, "ground": _like(_CODE)},
    "disclosed": {"request": _number, "subject": _hash, "document": _hash, "with_data": _truth,
                  "with_envelopes": _truth, "again": _or_none(_number)},
    "gag_imposed": {"request": _number, "until": _number},
    "gag_extended": {"request": _number, "until": _number},
    "gag_lifted": {"request": _number},
    "notified": {"request": _number, "entry": _number, "delayed_hours": _count},
    "not_notified": {"request": _number, "entry": _number},
    "torn": {"bytes": _number, "hash": _hash},
    "reported": {"until": _number},
    "lost": {"entries": _or_none(_number), "head": _or_none(_hash)},
}  # fmt: skip
"""The body of each kind: its fields, all of which are there, and what each may be."""


def check_body(kind: str, body: object) -> None:
    """Raise `LocalError` (bad-form) unless this is a body of that kind."""
    fields = KINDS.get(kind)
    if fields is None or not isinstance(body, dict) or body.keys() != fields.keys():
        raise LocalError(Reason.BAD_FORM, f"not an entry of the kind {kind}")
    for name, check in fields.items():
        if not check(body[name]):
            raise LocalError(Reason.BAD_FORM, f"{kind}: not a {name}")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry; `line` are its bytes, without the line's end."""

    sequence: int  # from 1
    previous: bytes  # hash of the entry before, 32 bytes
    hour: int
    kind: str
    body: dict[str, Any]
    line: bytes

    @property
    def hash(self) -> bytes:
        """The hash of the entry, signature included (32 bytes)."""
        return H(b"ledger entry", self.line)


def make(private: bytes, sequence: int, previous: bytes, hour: int, kind: str,
         body: dict[str, Any]) -> Entry:  # fmt: skip
    """Sign an entry. Raise `LocalError` (bad-form) for a wrong body."""
    check_body(kind, body)
    value: dict[str, Any] = {"sequence": sequence, "previous": previous.hex(), "hour": hour,
                             "kind": kind, "body": body}  # fmt: skip
    value["signature"] = sign(private, b"ledger entry", canonical(value)).hex()
    line = canonical(value)
    assert len(line) <= MAX_LINE  # the fields are bounded
    return Entry(sequence, previous, hour, kind, body, line)


def parse(line: bytes, public: bytes | None, before: Entry | None) -> Entry:
    """Read the entry that follows `before`. Raise `LedgerTampered`, saying what is wrong.

    `public` is the disclosure key (32 bytes); None leaves the signature unchecked.
    """
    sequence, previous = (before.sequence + 1, before.hash) if before else (1, FIRST)
    where = f"entry {sequence}"
    try:
        value = parse_canonical(line, MAX_LINE)
        if not isinstance(value, dict) or value.keys() != {
            "sequence", "previous", "hour", "kind", "body", "signature"
        }:  # fmt: skip
            raise LedgerTampered(f"{where} has not the fields of an entry")
        check_body(value["kind"] if isinstance(value["kind"], str) else "", value["body"])
        signature = hexadecimal(value["signature"], 64)
        numbered = type(value["sequence"]) is int and value["sequence"] == sequence
        if not numbered or value["previous"] != previous.hex():
            raise LedgerTampered(f"{where} does not follow the one before it")
        if not _count(value["hour"]) or (before and value["hour"] < before.hour):
            raise LedgerTampered(f"{where} is of an earlier hour than the one before it")
        if public is not None:
            verify(public, signature, b"ledger entry", unsigned(value))
    except LedgerTampered:
        raise
    except EvanesceError as error:
        raise LedgerTampered(f"{where}: {error.detail}") from None
    return Entry(sequence, previous, value["hour"], value["kind"], value["body"], line)
