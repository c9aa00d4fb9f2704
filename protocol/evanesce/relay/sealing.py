"""How rows and buckets are sealed (spec 22.6)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from ..envelope import pad, unpad
from ..errors import Reason, RemoteError
from ..limits import MAX_ENVELOPE
from ..primitives import TAG_BYTES, WRAP_NONCE_BYTES, unwrap, wrap
from ..wire import decode, encode
from .names import ID_BYTES
from .rows import REMAINDER_BYTES, Place

__all__ = ["Entry", "Kind", "open_bucket", "open_entry", "remainder", "seal_bucket", "seal_entry"]

_OVERHEAD: Final = WRAP_NONCE_BYTES + TAG_BYTES
_ENTRY_LIMIT: Final = MAX_ENVELOPE + 64


class Kind(IntEnum):
    """What a row holds."""

    GONE = 0  # a remainder: the keyed hash of an id that has been here
    NOTED = 1  # the same, of an id that was recalled before it came
    ENVELOPE = 2
    NOTICE = 3
    ONE_TIME = 4  # a key package
    LAST_RESORT = 5
    BLOB = 6

    @property
    def blank(self) -> bool:
        """Whether it only says what is not there any more."""
        return self <= Kind.NOTED


@dataclass(frozen=True, slots=True)
class Entry:
    """What is in a row: its kind, an id of 16 bytes (of a remainder its `id_name`), data."""

    kind: Kind
    id: bytes = field(repr=False)
    data: bytes = field(repr=False)


def seal_entry(key: bytes, place: Place, entry: Entry) -> bytes:
    """The data of a row, under a `row_key`."""
    plain = encode([int(entry.kind), entry.id, entry.data])
    return wrap(key, plain, place.name, secrets.token_bytes)


def remainder(key: bytes, place: Place, name: bytes, kind: Kind = Kind.GONE) -> bytes:
    """What a blank leaves: `REMAINDER_BYTES` that tell nothing to whoever has no `row_key`."""
    return seal_entry(key, place, Entry(kind, name, b""))


def open_entry(key: bytes, place: Place, data: bytes) -> Entry:
    """Undo `seal_entry`. Raise `RemoteError`: the row is damaged, or another's."""
    fields = decode(unwrap(key, data, place.name), limit=_ENTRY_LIMIT)
    try:
        kind, item, content = fields
        entry = Entry(Kind(kind), item, content)
    except (TypeError, ValueError):
        raise RemoteError(Reason.BAD_FORM, "not an entry") from None
    if type(item) is not bytes or len(item) != ID_BYTES or type(content) is not bytes:
        raise RemoteError(Reason.BAD_FORM, "not an entry")
    return entry


def seal_bucket(key: bytes, number: int, records: bytes, size: int) -> bytes:
    """A bucket of the table, padded: `size` bytes in all, however many records it holds."""
    padded = pad(records, size - _OVERHEAD)
    return wrap(key, padded, _bucket_name(number), secrets.token_bytes)


def open_bucket(key: bytes, number: int, data: bytes) -> bytes:
    """Undo `seal_bucket`. Raise `RemoteError`: damaged, or of another number or relay."""
    return unpad(unwrap(key, data, _bucket_name(number)))


def _bucket_name(number: int) -> bytes:
    return encode([b"relay bucket", number])


assert _OVERHEAD + len(encode([0, bytes(ID_BYTES), b""])) == REMAINDER_BYTES
