"""Chains: the ratchet core that 1:1 and group rooms share (spec 08).

A chain belongs to one member in one epoch. Each step turns the chain key into the next one and a
message key; a message key opens one message and is erased. Only this module steps a chain.

Values here are immutable. Receiving is: `ReceivingChain.at` gives the message key and the chain as
it will be; the caller checks the message, and only then keeps the new chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import LocalError, Reason, RemoteError
from .limits import MAX_INDEX, MAX_JUMP
from .primitives import KDF
from .secret import Secret

__all__ = ["ReceivingChain", "SendingChain", "Skipped", "message_keys", "message_salt", "step"]


def step(chain_key: bytes) -> tuple[bytes, bytes]:
    """Return the next chain key and this message key, 32 bytes each (REQ-CHAIN-01)."""
    both = KDF(chain_key, b"chain", size=64)
    return both[:32], both[32:]


def message_salt(message_key: bytes, fresh: bytes, padded: bytes) -> bytes:
    """Return the header's salt, 16 bytes (REQ-CHAIN-02).

    It depends on 16 `fresh` random bytes and on the content, so that a cloned or restored device,
    even with a broken random source, never uses one AEAD key for two contents.
    """
    return KDF(message_key, b"salt", fresh, padded, size=16)


def message_keys(message_key: bytes, header_hash: bytes) -> tuple[bytes, bytes]:
    """Return the AEAD key and the commitment `com`, 32 bytes each (REQ-CHAIN-03).

    `header_hash` is ``H("header", header, context)``: header, roster, policy and history are bound.
    """
    both = KDF(message_key, b"message", header_hash, size=64)
    return both[:32], both[32:]


@dataclass(frozen=True, slots=True)
class SendingChain:
    """One's own chain: the key of the next message, and its index."""

    key: Secret
    index: int = 0

    def next(self) -> tuple[bytes, SendingChain]:
        """Return this message key and the chain after it. Raise `LocalError` (chain-exhausted)."""
        if self.index > MAX_INDEX:
            raise LocalError(Reason.CHAIN_EXHAUSTED, "this chain has no index left")
        key, message_key = step(self.key.reveal())
        return message_key, SendingChain(Secret(key), self.index + 1)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A message key kept for a message that has not come yet, and when it was derived."""

    key: Secret
    since: int


@dataclass(frozen=True, slots=True)
class ReceivingChain:
    """Another member's chain as its reader holds it.

    `key` opens index `index` and later ones; it is None once the chain is closed, and then
    `index` is the sender's count where that is known. `skipped` holds keys of earlier messages.
    """

    key: Secret | None
    index: int = 0
    skipped: Mapping[int, Skipped] = field(default_factory=dict)

    def at(self, index: int, now: int) -> tuple[bytes, ReceivingChain]:
        """Return the message key of `index`, and the chain once that message has been accepted.

        Raise `RemoteError` (REQ-CHAIN-05 to 08): replay (read before, or its key has expired),
        beyond-count (the chain is closed), jump-too-far.
        """
        if index < self.index:
            kept = self.skipped.get(index)
            if kept is None:
                raise RemoteError(Reason.REPLAY, f"message {index} has been read or has expired")
            rest = {n: key for n, key in self.skipped.items() if n != index}
            return kept.key.reveal(), ReceivingChain(self.key, self.index, rest)
        if self.key is None:
            raise RemoteError(Reason.BEYOND_COUNT, f"this chain ended before message {index}")
        if index - self.index > MAX_JUMP:
            raise RemoteError(Reason.JUMP_TOO_FAR, f"message {index} skips more than {MAX_JUMP}")
        key, skipped = self._advance(self.key, index, now)
        key, message_key = step(key)
        return message_key, ReceivingChain(Secret(key), index + 1, skipped)

    def close(self, count: int, now: int) -> tuple[ReceivingChain, bool]:
        """Return the chain closed at the sender's `count`, and whether it lost keys to the limit.

        The keys of missing messages below `count` are kept, the chain key is erased. When more than
        `MAX_JUMP` are missing none of them is derived: a gap to report (REQ-CHAIN-09). Raise
        `RemoteError` (bad-count) when messages at or past `count` have already been read.
        """
        if self.key is None:
            return self, False
        if count < self.index:
            raise RemoteError(Reason.BAD_COUNT, f"{self.index} messages were read, {count} claimed")
        if count - self.index > MAX_JUMP:
            return ReceivingChain(None, self.index, self.skipped), True
        _, skipped = self._advance(self.key, count, now)
        lost = len(skipped) < len(self.skipped) + count - self.index
        return ReceivingChain(None, count, skipped), lost

    def _advance(self, key: Secret, index: int, now: int) -> tuple[bytes, Mapping[int, Skipped]]:
        """Step up to `index`, keeping the keys on the way, the oldest dropped over the limit."""
        chain_key = key.reveal()
        if index == self.index:
            return chain_key, self.skipped
        skipped = dict(self.skipped)
        for n in range(self.index, index):
            chain_key, message_key = step(chain_key)
            skipped[n] = Skipped(Secret(message_key), now)
        for n in sorted(skipped)[: max(0, len(skipped) - MAX_JUMP)]:
            del skipped[n]
        return chain_key, skipped

    def without_older(self, since: int) -> ReceivingChain:
        """The chain without the keys derived before `since`."""
        kept = {n: entry for n, entry in self.skipped.items() if entry.since >= since}
        if len(kept) == len(self.skipped):
            return self
        return ReceivingChain(self.key, self.index, kept)

    def without_oldest(self, count: int) -> ReceivingChain:
        """The chain without its `count` lowest skipped keys, to keep a room's limit."""
        kept = dict(sorted(self.skipped.items())[count:])
        return ReceivingChain(self.key, self.index, kept)

    @property
    def done(self) -> bool:
        """Whether nothing can be read with this chain any more."""
        return self.key is None and not self.skipped
