"""JSON with one encoding for each value, so that it can be hashed and signed (spec 22.8).

The encoding is that of RFC 8785, without its numbers: no fractions, and nothing past 2^53 − 1.
"""

from __future__ import annotations

import json
from typing import Any, Final

from ...errors import LocalError, Reason, RemoteError
from ...primitives import sign_keypair

__all__ = ["canonical", "hexadecimal", "key_pair", "parse_canonical", "unsigned"]

_MOST: Final = 2**53 - 1
_DEEPEST: Final = 16
_HEX: Final = frozenset("0123456789abcdef")


def canonical(value: object) -> bytes:
    """The bytes of a value. Raise `LocalError` (bad-form) if it has none."""
    if not _representable(value, 0):
        raise LocalError(Reason.BAD_FORM, "value has no canonical JSON")
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def _representable(value: object, depth: int) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) <= _MOST
    if isinstance(value, str):
        return not any("\ud800" <= char <= "\udfff" for char in value)
    if depth >= _DEEPEST:
        return False
    if isinstance(value, list):
        return all(_representable(item, depth + 1) for item in value)
    # Only ASCII keys: all ways to sort them agree.
    return isinstance(value, dict) and all(
        isinstance(key, str) and key.isascii() and _representable(item, depth + 1)
        for key, item in value.items()
    )


def parse_canonical(data: bytes, limit: int) -> Any:
    """The value of canonical bytes. Raise `RemoteError`: too-large, bad-form, non-canonical."""
    if len(data) > limit:
        raise RemoteError(Reason.TOO_LARGE, f"{len(data)} bytes of JSON, {limit} allowed")
    try:
        value = json.loads(data.decode())
        same = canonical(value) == data  # what stands twice, or otherwise, does not come out again
    except (ValueError, RecursionError, LocalError):
        raise RemoteError(Reason.BAD_FORM, "not JSON, or not of this protocol") from None
    if not same:
        raise RemoteError(Reason.NON_CANONICAL, "JSON is not canonical")
    return value


def unsigned(value: dict[str, Any]) -> bytes:
    """What the signature in an object is over: the object without it."""
    return canonical({key: item for key, item in value.items() if key != "signature"})


def hexadecimal(value: object, size: int) -> bytes:
    """The bytes behind lower-case hexadecimal. Raise `RemoteError` (bad-form)."""
    if not (isinstance(value, str) and len(value) == 2 * size and set(value) <= _HEX):
        raise RemoteError(Reason.BAD_FORM, f"not {size} bytes in hexadecimal")
    return bytes.fromhex(value)


def key_pair(seed: bytes) -> tuple[bytes, bytes]:
    """The disclosure key of a seed (32 bytes): private (64 bytes), public (32)."""
    return sign_keypair(lambda _size: seed)
