"""The names under which a relay keeps things: pseudo-random to whoever lacks what they stand for.

All come from the index key and an address, a fingerprint or a hash, which the relay keeps nowhere
(spec 22.6).
"""

from __future__ import annotations

from typing import Final

from ..primitives import KDF
from .rows import PLACE_BYTES, Place

__all__ = ["ID_BYTES", "Names", "id_name", "place", "row_key"]

ID_BYTES: Final = 16
TAG_BYTES: Final = 16


class Names:
    """What can be named with the index key."""

    def __init__(self, index_key: bytes) -> None:
        self._key = index_key

    def box(self, address: bytes) -> bytes:
        """The box key of the envelopes of a mailbox."""
        return KDF(self._key, b"relay box", address)

    def notices(self, address: bytes) -> bytes:
        """The box key of the notices of a mailbox."""
        return KDF(self._key, b"relay notices", address)

    def packages(self, fingerprint: bytes) -> bytes:
        """The box key of the key packages of an identity."""
        return KDF(self._key, b"relay packages", fingerprint)

    def blob(self, content_hash: bytes) -> bytes:
        """The box key of a blob."""
        return KDF(self._key, b"relay blob", content_hash)

    def mailbox(self, address: bytes) -> bytes:
        """The tag (16 bytes) of the record of a mailbox."""
        return KDF(self._key, b"relay mailbox", address, size=TAG_BYTES)

    def wake(self, address: bytes) -> bytes:
        """What relay processes tell each other when something has come to a mailbox (16 bytes)."""
        return KDF(self._key, b"relay wake", address, size=TAG_BYTES)

    def wake_bucket(self, number: int) -> bytes:
        """The same, of a bucket of the table that has changed."""
        return KDF(self._key, b"relay wake", number, size=TAG_BYTES)

    def rate(self, fingerprint: bytes) -> bytes:
        """Under what it is counted how often an identity's packages are claimed (16 bytes)."""
        return KDF(self._key, b"relay rate", fingerprint, size=TAG_BYTES)


def place(box_key: bytes, hour: int, number: int) -> Place:
    """The place with this number, from 0, among those of a box that expire at this hour."""
    return Place(hour, KDF(box_key, b"relay place", hour, number, size=PLACE_BYTES))


def row_key(hour_key: bytes, box_key: bytes) -> bytes:
    """The key of all rows of a box that expire at an hour."""
    return KDF(hour_key, b"relay row", box_key)


def id_name(box_key: bytes, item: bytes) -> bytes:
    """What is noted of an id (16 bytes): who knows it can test it, and nobody can read it."""
    return KDF(box_key, b"relay id", item, size=ID_BYTES)
