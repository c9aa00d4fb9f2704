"""A ring of keys, and valid objects that are changed and then signed again by those who may.

A changed object that is not signed again only ever tests the signature. This is what an insider
can do, who has the keys of its own device; the ring has those of everybody, and so can do more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from evanesce.errors import EvanesceError
from evanesce.formats import (
    KEY_PACKAGE,
    LEAVE_REQUEST,
    MEMBER_ENTRY,
    REPAIR_REQUEST,
    RESYNC_REQUEST,
    SANCTION,
    SIGNED,
)
from evanesce.identity import IdentityKeys
from evanesce.primitives import sign
from evanesce.wire import decode, encode, peek_type
from tests.fuzz.choices import Choices, edited_here

LABELS: Final = {
    MEMBER_ENTRY.type: b"member entry",
    KEY_PACKAGE.type: b"key package",
    LEAVE_REQUEST.type: b"leave request",
    REPAIR_REQUEST.type: b"repair request",
    RESYNC_REQUEST.type: b"resync request",
    SANCTION.type: b"sanction",
}
_LIMIT: Final = 1 << 24
_P: Final = 2**255 - 19

# Bytes that mean something as a key: small order, not canonical, and the smallest good ones.
KEYS: Final = (
    bytes(32), b"\x01" + bytes(31), b"\x09" + bytes(31), b"\xff" * 32,
    *((_P + n).to_bytes(32, "little") for n in (-1, 0, 1)),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes(16), bytes(8), b"",
)  # fmt: skip


@dataclass
class Ring:
    """Who signs for which name: a member id or a public key, 32 bytes."""

    signers: dict[bytes, bytes] = field(default_factory=dict)  # private keys, by such a name
    pool: list[bytes] = field(default_factory=lambda: list(KEYS))

    def add(self, owner: IdentityKeys, *names: bytes) -> None:
        """Let somebody sign for these names, and for its own keys."""
        private = owner.sign_private.reveal()
        for name in (owner.identity.sign_key, owner.identity.dh_key, *names):
            self.signers[name] = private
            self.pool.append(name)

    def sign(self, body: bytes, choices: Choices) -> bytes:
        """A signed object with this body, by whom it names; rarely by another."""
        value = _decoded(body)
        names = [item for item in reversed(value or []) if isinstance(item, bytes)]
        by = [self.signers[name] for name in names if name in self.signers]
        everybody = list(self.signers.values())
        private = choices.of(everybody) if choices.rarely(16) or not by else by[0]
        label = LABELS.get(peek_type(body) or 0, b"member entry")
        if choices.rarely(16):
            label = choices.of(list(LABELS.values()))
        return encode([1, SIGNED.type, body, sign(private, label, body)])

    def vary(self, data: bytes, choices: Choices) -> bytes:
        """An object with up to three edits, in it or in what is embedded in it; mostly none."""
        for _ in range(choices.number(4)):
            data = self._edit_object(data, choices)
        if choices.rarely(32) and data:
            at = choices.number(len(data))
            data = data[:at] + bytes([choices.byte()]) + data[at + 1 :]
        return data

    def vary_value(self, value: Any, choices: Choices) -> Any:
        """The same for a value that is not encoded yet."""
        for _ in range(choices.number(4)):
            value = self._edit(value, choices)
        return value

    def _edit_object(self, data: bytes, choices: Choices) -> bytes:
        value = _decoded(data)
        if value is None:
            made = edited_here(data, choices, self.pool)
            return made if isinstance(made, bytes) else data
        if value[1:2] == [SIGNED.type] and len(value) == 4 and choices.number(8) < 7:
            body = self._edit_object(value[2], choices) if isinstance(value[2], bytes) else b""
            return self.sign(body, choices)
        made = self._edit(value, choices)
        return made if isinstance(made, bytes) else encode(made)

    def _edit(self, value: Any, choices: Choices) -> Any:
        if isinstance(value, list) and value and choices.number(8) < 7:
            at = (choices.number(len(value)) + 2) % len(value)  # seldom version and type
            return [*value[:at], self._edit(value[at], choices), *value[at + 1 :]]
        if isinstance(value, bytes) and _decoded(value) is not None and choices.number(8) < 7:
            return self._edit_object(value, choices)
        return edited_here(value, choices, self.pool)


def _decoded(data: bytes) -> list[Any] | None:
    """The items of an object of this protocol; None for other bytes."""
    if peek_type(data) is None:
        return None
    try:
        value: list[Any] = decode(data, limit=_LIMIT)
    except EvanesceError:
        return None
    return value


def mutate(data: bytes, choices: Choices, ring: Ring) -> bytes:
    """Encoded bytes with an edit that leaves them canonical: for the fuzzer's own mutator."""
    return data if _decoded(data) is None else ring._edit_object(data, choices)
