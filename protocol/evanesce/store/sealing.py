"""How records lie in an encrypted store: names, values and the state, sealed and padded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from ..envelope import envelope_size, pad, unpad
from ..errors import Reason, RemoteError, StorageError
from ..primitives import KDF, WRAP_NONCE_BYTES, Random, unwrap, wrap
from ..secret import Secret
from ..wire import decode, encode

__all__ = ["State", "Subkeys", "padded_size"]

_STEP: Final = 64
_SMALL: Final = 1_024
_STATE_BYTES: Final = 96
_MARK_BYTES: Final = 32


def padded_size(length: int) -> int:
    """The size to which `length` bytes of a name or value are padded, one more at least.

    Steps of 64 bytes up to 1 KiB, above that the sizes of envelopes (spec 12.3).
    """
    least = length + 1
    return -(-least // _STEP) * _STEP if least <= _SMALL else envelope_size(least)


@dataclass(frozen=True, slots=True)
class State:
    """What a store knows of its own past. It is rewritten in every transaction that writes."""

    generation: int = 0  # how often it has been opened
    commits: int = 0
    digest: int = 0  # over all records: none can be lost or put back unnoticed
    rolled_back: bool = False
    untidy: bool = False  # rows were deleted: what they held may still lie between others


class Subkeys:
    """The keys under the master key, and what is sealed with them."""

    def __init__(self, master: Secret, random: Random) -> None:
        key = master.reveal()
        self._names = Secret(KDF(key, b"store names"))
        self._values = Secret(KDF(key, b"store values"))
        self._marks = Secret(KDF(key, b"store marks"))
        self._state = Secret(KDF(key, b"store state"))
        self._random = random

    def seal_name(self, name: bytes) -> bytes:
        """Seal the name of a record."""
        return wrap(self._names.reveal(), pad(name, padded_size(len(name))), b"", self._random)

    def open_name(self, sealed: bytes) -> bytes:
        """Undo `seal_name`. Raise `StorageError` (bad-store)."""
        return _open(self._names, sealed, b"", "a name")

    def seal_value(self, name: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Seal the value of a record: nonce, ciphertext."""
        padded = pad(data, padded_size(len(data)))
        sealed = wrap(self._values.reveal(), padded, name, self._random)
        return sealed[:WRAP_NONCE_BYTES], sealed[WRAP_NONCE_BYTES:]

    def open_value(self, name: bytes, nonce: bytes, sealed: bytes) -> bytes:
        """Undo `seal_value`. Raise `StorageError` (bad-store)."""
        return _open(self._values, nonce + sealed, name, "a record")

    def mark(self, name: bytes, nonce: bytes) -> int:
        """What a record adds (by XOR) to the digest of the store."""
        found = hashlib.blake2b(
            name + nonce, key=self._marks.reveal(), digest_size=_MARK_BYTES
        )  # a nonce always has 24 bytes
        return int.from_bytes(found.digest(), "big")

    def seal_state(self, state: State) -> bytes:
        """Seal the state, always to the same length."""
        digest = state.digest.to_bytes(_MARK_BYTES, "big")
        body = encode([state.generation, state.commits, digest, state.rolled_back, state.untidy])
        return wrap(self._state.reveal(), pad(body, _STATE_BYTES), b"", self._random)

    def open_state(self, sealed: bytes) -> State:
        """Undo `seal_state`. Raise `StorageError` (bad-store)."""
        body = _open(self._state, sealed, b"", "the state")
        try:
            generation, commits, digest, rolled_back, untidy = decode(body, limit=_STATE_BYTES)
            return State(
                generation, commits, int.from_bytes(digest, "big"), rolled_back, untidy
            )
        except (RemoteError, ValueError, TypeError) as error:
            raise StorageError(Reason.BAD_STORE, "the state cannot be read") from error


def _open(key: Secret, sealed: bytes, name: bytes, what: str) -> bytes:
    try:
        return unpad(unwrap(key.reveal(), sealed, name))
    except RemoteError as error:
        raise StorageError(Reason.BAD_STORE, f"{what} is damaged") from error
