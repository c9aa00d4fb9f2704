"""The answer to an authority: what is held of one mailbox, what is not, and why; signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ...errors import Reason, RemoteError
from ...primitives import H, sign, verify
from .holdings import not_held
from .ledger import Head
from .requests import Request
from .signed_json import canonical, hexadecimal, parse_canonical, unsigned
from .statement import subject_of

__all__ = ["Envelope", "MAX_ANSWER", "Subject", "as_text", "check_answer", "hash_of",
           "make_answer"]  # fmt: skip

TYPE: Final = "evanesce disclosure"
VERSION: Final = 1
MAX_ANSWER: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Envelope:
    """A sealed envelope that is handed over as a file of its own."""

    file: str
    size: int
    sha256: bytes

    def value(self) -> dict[str, Any]:
        """As it is printed."""
        return {"file": self.file, "bytes": self.size, "sha256": self.sha256.hex()}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is held of one mailbox: fields with their values, as JSON; none if there is nothing."""

    address: bytes
    exists: bool  # whether there is such a mailbox
    fields: dict[str, Any]
    envelopes: tuple[Envelope, ...] | None = None  # None: not asked for

    def __repr__(self) -> str:
        return f"Subject({len(self.fields)} fields)"

    @property
    def with_data(self) -> bool:
        """Whether anything is held."""
        return bool(self.fields)


def hash_of(data: bytes) -> bytes:
    """What the ledger has of an answer (32 bytes)."""
    return H(b"disclosure", data)


def make_answer(
    subject: Subject, request: Request, *, hour: int, salt: bytes, retention_hours: int, head: Head,
    private: bytes, public: bytes,
) -> bytes:  # fmt: skip
    """Sign an answer: canonical JSON. `head`: of the ledger, to which its entry is added next."""
    value: dict[str, Any] = {
        "type": TYPE,
        "version": VERSION,
        "request": request.number,
        "jurisdiction": request.jurisdiction,
        "category": request.category,
        "hour": hour,
        "mailbox": subject.address.hex(),
        "exists": subject.exists,
        "held": [{"field": name, "value": subject.fields[name]} for name in subject.fields],
        "not_held": [each.value() for each in not_held()],
        "retention_hours": retention_hours,
        "salt": salt.hex(),
        "subject": subject_of(salt, subject.address).hex(),
        "ledger": {"entry": head.entries + 1, "previous": head.hash.hex()},
        "key": public.hex(),
    }
    if subject.envelopes is not None:
        value["envelopes"] = [each.value() for each in subject.envelopes]
    value["signature"] = sign(private, b"disclosure", unsigned(value)).hex()
    return canonical(value)


def check_answer(data: bytes, public: bytes) -> dict[str, Any]:
    """Read an answer that this key has signed.

    Raise `RemoteError`: as for JSON, wrong-version, bad-signature.
    """
    value = parse_canonical(data.removesuffix(b"\n"), MAX_ANSWER)
    if not isinstance(value, dict) or value.get("type") != TYPE:
        raise RemoteError(Reason.BAD_FORM, "not a disclosure")
    if value.get("version") != VERSION:
        raise RemoteError(Reason.WRONG_VERSION, "a disclosure of another version")
    signature = hexadecimal(value.get("signature"), 64)
    verify(public, signature, b"disclosure", unsigned(value))
    return value


def as_text(value: dict[str, Any]) -> str:
    """An answer for people."""
    lines = [
        f"Disclosure to request {value['request']} "
        f"({value['jurisdiction']}, {value['category']}), hour {value['hour']}",
        f"mailbox {value['mailbox']}",
        "",
    ]
    if not value["exists"]:
        lines += ["There is no such mailbox.", ""]
    if value["held"]:
        lines.append("Held:")
        for item in value["held"]:
            lines += _shown(item["field"], item["value"], "  ")
    else:
        lines.append("Held: nothing.")
    if "envelopes" in value:
        lines += ["", f"Sealed envelopes handed over: {len(value['envelopes'])}"]
        lines += [f"  {each['file']}: {each['bytes']} bytes, SHA-256 {each['sha256']}"
                  for each in value["envelopes"]]  # fmt: skip
    lines += ["", "Not held:"]
    lines += [f"  {each['field']}: {each['why']}" for each in value["not_held"]]
    ledger = value["ledger"]
    lines += [
        "",
        f"Envelopes are kept for {value['retention_hours']} hours at most.",
        f"Ledger entry {ledger['entry']}, after {ledger['previous']}",
        f"  there the mailbox stands as {value['subject']}, with the salt {value['salt']}",
        f"Signed by {value['key']}:",
        f"  {value['signature']}",
    ]
    return "\n".join(lines)


def _shown(name: str, value: Any, indent: str) -> list[str]:
    """A field and its value, one thing a line."""
    if isinstance(value, dict):
        inner = (line for key in value for line in _shown(key, value[key], indent + "  "))
        return [f"{indent}{name}:", *inner]
    if isinstance(value, list):
        lines = [f"{indent}{name}: {len(value)}"]
        for item in value:
            if isinstance(item, dict):
                shown = ", ".join(f"{key} {item[key]}" for key in item)
                lines.append(f"{indent}  {shown}")
            else:
                lines.append(f"{indent}  {item}")
        return lines
    return [f"{indent}{name}: {value}"]
