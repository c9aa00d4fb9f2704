"""Where each row lies: an index whose pages look the same whatever came first.

A tree of SQLite shows in which order its cells were written. So the index is a hash table, of
buckets of one size, each overwritten in its place: what stands in a bucket is a sorted list, which
bucket that is follows from the place and from their number. There are as many as the rows at their
most asked for; one at a time is split (linear hashing).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

from .rows import PLACE_BYTES, Place

__all__ = ["FIRST_BUCKETS", "INDEX_BYTES", "INDEX_ROOM", "PREFIX_BYTES", "Entry", "bucket_of",
           "dump", "find", "load", "prefix_of", "target"]  # fmt: skip

_HOUR_BYTES: Final = 4
PREFIX_BYTES: Final = _HOUR_BYTES + PLACE_BYTES
_ENTRY_BYTES: Final = PREFIX_BYTES + 1 + 4 + 4
_COUNT_BYTES: Final = 2
_BLANK: Final = 0x80
INDEX_ROOM: Final = 139  # entries in a bucket, so that it fills one page
INDEX_BYTES: Final = _COUNT_BYTES + INDEX_ROOM * _ENTRY_BYTES
FIRST_BUCKETS: Final = 16


class Entry(NamedTuple):
    """What the index says of a row: the class of its size, its slot there, its length."""

    prefix: bytes  # hour and name
    size_class: int
    slot: int
    length: int
    blank: bool

    def dump(self) -> bytes:
        """Serialise. Entries sort by hour, then name."""
        marked = self.size_class | (_BLANK if self.blank else 0)
        numbers = self.slot.to_bytes(4, "big") + self.length.to_bytes(4, "big")
        return self.prefix + bytes([marked]) + numbers

    @classmethod
    def load(cls, data: bytes) -> Entry:
        """Undo `dump`."""
        marked = data[PREFIX_BYTES]
        return cls(
            data[:PREFIX_BYTES], marked & ~_BLANK,
            int.from_bytes(data[PREFIX_BYTES + 1 : PREFIX_BYTES + 5], "big"),
            int.from_bytes(data[PREFIX_BYTES + 5 :], "big"), bool(marked & _BLANK),
        )  # fmt: skip


def prefix_of(place: Place) -> bytes:
    """Hour and name, 20 bytes. Raise `ValueError` for what no place has."""
    if len(place.name) != PLACE_BYTES or not 0 <= place.hour < 1 << 32:
        raise ValueError("this is no place of a row")
    return place.hour.to_bytes(_HOUR_BYTES, "big") + place.name


def bucket_of(prefix: bytes, buckets: int) -> int:
    """In which of so many buckets a place is listed."""
    half = 1 << buckets.bit_length() - 1
    number = int.from_bytes(hashlib.blake2b(prefix, digest_size=8).digest(), "big")
    low = number & (2 * half - 1)
    return low if low < buckets else number & (half - 1)


def target(rows: int) -> int:
    """How many buckets so many rows ask for: a third full, so that hardly ever one overflows."""
    return max(FIRST_BUCKETS, -(-3 * rows // INDEX_ROOM))


def find(entries: list[bytes], prefix: bytes) -> tuple[int, bool]:
    """Where a place stands in a sorted list, or would stand; and whether it does."""
    at = bisect_left(entries, prefix)
    return at, at < len(entries) and entries[at].startswith(prefix)


def dump(entries: list[bytes]) -> bytes:
    """A bucket, always of the same size."""
    data = len(entries).to_bytes(_COUNT_BYTES, "big") + b"".join(entries)
    return data + bytes(INDEX_BYTES - len(data))


def load(data: bytes) -> list[bytes]:
    """Undo `dump`. Raise `ValueError` for what it cannot have made."""
    count = int.from_bytes(data[:_COUNT_BYTES], "big")
    if len(data) != INDEX_BYTES or count > INDEX_ROOM:
        raise ValueError("a bucket of the index is damaged")
    return list(_cut(data, count))


def _cut(data: bytes, count: int) -> Iterator[bytes]:
    for at in range(_COUNT_BYTES, _COUNT_BYTES + count * _ENTRY_BYTES, _ENTRY_BYTES):
        yield data[at : at + _ENTRY_BYTES]
