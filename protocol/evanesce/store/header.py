"""The header of an encrypted store: its format, and the master key, wrapped.

It is the one record that is read before the key is known. A checksum tells a damaged header from a
wrong key; a commitment makes one header open with one key only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final, Self

from ..envelope import pad, unpad
from ..errors import LocalError, Reason, RemoteError, StorageError
from ..primitives import KDF, KEY_BYTES, Random, equal, unwrap, wrap
from ..secret import Secret
from ..wire import decode, encode
from .keys import KeyParameters, KeySource

__all__ = ["HEADER_BYTES", "Header"]

HEADER_BYTES: Final = 256  # always: a header is overwritten in its place
_MAGIC: Final = b"evanesce store"
_CHECK_BYTES: Final = 16


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK_BYTES, person=b"evanesce header").digest()


@dataclass(frozen=True, slots=True)
class Header:
    """What is stored; `load` accepts any version, whose first two fields and checksum stay."""

    version: int
    parameters: KeyParameters
    commitment: bytes = field(repr=False)
    wrapped: bytes = field(repr=False)

    @classmethod
    def make(cls, version: int, source: KeySource, master: Secret, random: Random) -> Self:
        """Wrap the master key for a key source."""
        parameters = source.choose(random)
        parameters.check()
        key, commitment = _split(source.unlock(parameters), parameters)
        wrapped = wrap(key, master.reveal(), _bound(version, parameters), random)
        return cls(version, parameters, commitment, wrapped)

    def open(self, source: KeySource) -> Secret:
        """The master key. Raise `LocalError` (wrong-key), `StorageError` (bad-store)."""
        self.parameters.check()
        key, commitment = _split(source.unlock(self.parameters), self.parameters)
        if not equal(commitment, self.commitment):
            raise LocalError(Reason.WRONG_KEY, "this does not open the store")
        try:
            master = unwrap(key, self.wrapped, _bound(self.version, self.parameters))
        except RemoteError as error:
            raise StorageError(Reason.BAD_STORE, "the header is damaged") from error
        if len(master) != KEY_BYTES:
            raise StorageError(Reason.BAD_STORE, "the master key has a wrong length")
        return Secret(master)

    def dump(self) -> bytes:
        """Serialise."""
        p = self.parameters
        body = encode([_MAGIC, self.version, p.kind, p.salt, p.operations, p.memory,
                       self.commitment, self.wrapped])  # fmt: skip
        return pad(body + _checksum(body), HEADER_BYTES)

    @classmethod
    def load(cls, data: bytes, newest: int) -> Self:
        """Undo `dump`. Raise `StorageError` (bad-store): damaged, or of a format after `newest`."""
        try:
            checked = unpad(data)
            body, checksum = checked[:-_CHECK_BYTES], checked[-_CHECK_BYTES:]
            if not equal(_checksum(body), checksum):
                raise StorageError(Reason.BAD_STORE, "the header is damaged")
            magic, version, *rest = decode(body, limit=HEADER_BYTES)
        except (RemoteError, ValueError, TypeError) as error:
            raise StorageError(Reason.BAD_STORE, "the header is damaged") from error
        if magic != _MAGIC or type(version) is not int or version < 1:
            raise StorageError(Reason.BAD_STORE, "this is not the header of a store")
        if version > newest:
            raise StorageError(
                Reason.BAD_STORE, f"a store of format {version}; this version knows {newest}"
            )
        types = [type(value) for value in rest]
        if types != [int, bytes, int, int, bytes, bytes]:
            raise StorageError(Reason.BAD_STORE, "the header is damaged")
        kind, salt, operations, memory, commitment, wrapped = rest
        return cls(version, KeyParameters(kind, salt, operations, memory), commitment, wrapped)


def _split(key: Secret, parameters: KeyParameters) -> tuple[bytes, bytes]:
    """The key that wraps, and the commitment to it."""
    both = KDF(key.reveal(), b"store header", parameters.salt, size=2 * KEY_BYTES)
    return both[:KEY_BYTES], both[KEY_BYTES:]


def _bound(version: int, p: KeyParameters) -> bytes:
    """What is authenticated with the master key."""
    return encode([_MAGIC, version, p.kind, p.salt, p.operations, p.memory])
