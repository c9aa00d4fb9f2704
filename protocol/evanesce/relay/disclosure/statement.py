"""The statement that a disclosure has been made, for the owner of the mailbox (spec 22.8).

A relay makes it, a device reads it: nothing here needs what only a relay has installed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from ...errors import Reason, RemoteError
from ...primitives import H, equal, sign, verify
from .signed_json import canonical, hexadecimal, parse_canonical, unsigned

__all__ = ["MAX_STATEMENT", "SALT_BYTES", "Statement", "make_statement", "parse_statement",
           "subject_of"]  # fmt: skip

MAX_STATEMENT: Final = 16_384
SALT_BYTES: Final = 16
TYPE: Final = "evanesce disclosure statement"
VERSION: Final = 1
_FIELDS: Final = frozenset({
    "type", "version", "request", "jurisdiction", "category", "disclosed", "told", "delayed_hours",
    "gag_order", "handed_over", "envelopes", "salt", "subject", "ledger", "key", "signature",
})  # fmt: skip
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_JURISDICTION: Final = re.compile(r"[A-Z][A-Z0-9-]{1,15}")
_FIELD: Final = re.compile(r"[a-z][a-z_.]{0,63}")
_MOST_FIELDS: Final = 64
_LARGEST: Final = 10**9


def subject_of(salt: bytes, address: bytes) -> bytes:
    """What stands in the ledger for an address (32 bytes), with a salt of 16 (REQ-RELAY-22)."""
    return H(b"ledger address", salt, address)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a relay says that it has told an authority about a mailbox. Hours are since 1970."""

    request: int
    jurisdiction: str
    category: str
    disclosed: int  # the hour of the answer
    told: int  # the hour of this statement
    delayed_hours: int
    gag_order: bool  # whether an order has forbidden to tell earlier
    handed_over: tuple[str, ...]  # the fields of the list of holdings; none: there was nothing
    envelopes: int  # sealed envelopes that were handed over
    salt: bytes
    subject: bytes
    entry: int  # of the ledger
    head: bytes  # hash of that entry
    key: bytes  # the disclosure key that has signed

    def concerns(self, address: bytes) -> bool:
        """Whether it is about the mailbox with this address (32 bytes)."""
        return equal(subject_of(self.salt, address), self.subject)


def make_statement(statement: Statement, private: bytes) -> bytes:
    """Sign it: canonical JSON of at most 16,384 bytes. `private`: of the key named in it."""
    value: dict[str, Any] = {
        "type": TYPE,
        "version": VERSION,
        "request": statement.request,
        "jurisdiction": statement.jurisdiction,
        "category": statement.category,
        "disclosed": statement.disclosed,
        "told": statement.told,
        "delayed_hours": statement.delayed_hours,
        "gag_order": statement.gag_order,
        "handed_over": list(statement.handed_over),
        "envelopes": statement.envelopes,
        "salt": statement.salt.hex(),
        "subject": statement.subject.hex(),
        "ledger": {"entry": statement.entry, "head": statement.head.hex()},
        "key": statement.key.hex(),
    }
    value["signature"] = sign(private, b"disclosure statement", unsigned(value)).hex()
    data = canonical(value)
    assert len(data) <= MAX_STATEMENT  # its parts are bounded
    return data


def parse_statement(data: bytes) -> Statement:
    """Read a statement, and check that the key in it has signed it (REQ-RELAY-25).

    Whose key that is, and whether it concerns this mailbox (`concerns`), is for the caller to see.
    Raise `RemoteError`: too-large, bad-form, non-canonical, wrong-version, bad-key, bad-signature.
    """
    value = parse_canonical(data, MAX_STATEMENT)
    if not isinstance(value, dict) or value.get("type") != TYPE:
        raise RemoteError(Reason.BAD_FORM, "not a disclosure statement")
    if type(value.get("version")) is not int or value["version"] != VERSION:
        raise RemoteError(Reason.WRONG_VERSION, "a disclosure statement of another version")
    ledger = value.get("ledger")
    if not isinstance(ledger, dict) or ledger.keys() != {"entry", "head"}:
        raise RemoteError(Reason.BAD_FORM, "not the head of a ledger")
    if value.keys() != _FIELDS:
        raise RemoteError(Reason.BAD_FORM, "not the fields of a disclosure statement")
    handed_over = value["handed_over"]
    if not isinstance(handed_over, list) or len(handed_over) > _MOST_FIELDS:
        raise RemoteError(Reason.BAD_FORM, "not a list of fields")
    statement = Statement(
        _number(value["request"], 1),
        _text(value["jurisdiction"], _JURISDICTION),
        _text(value["category"], _CODE),
        _number(value["disclosed"]),
        _number(value["told"]),
        _number(value["delayed_hours"]),
        _truth(value["gag_order"]),
        tuple(_text(name, _FIELD) for name in handed_over),
        _number(value["envelopes"]),
        hexadecimal(value["salt"], SALT_BYTES),
        hexadecimal(value["subject"], 32),
        _number(ledger["entry"], 1),
        hexadecimal(ledger["head"], 32),
        hexadecimal(value["key"], 32),
    )
    if statement.delayed_hours != statement.told - statement.disclosed:
        raise RemoteError(Reason.BAD_FORM, "the delay is not that between the hours")
    signature = hexadecimal(value["signature"], 64)
    verify(statement.key, signature, b"disclosure statement", unsigned(value))
    return statement


def _number(value: object, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= _LARGEST:
        raise RemoteError(Reason.BAD_FORM, "not a number")
    return value


def _truth(value: object) -> bool:
    if type(value) is not bool:
        raise RemoteError(Reason.BAD_FORM, "neither true nor false")
    return value


def _text(value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise RemoteError(Reason.BAD_FORM, "not a code")
    return value
