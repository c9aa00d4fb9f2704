"""Mistakes with chains (chapter 8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evanesce import chain
from evanesce.chain import ReceivingChain, Skipped
from evanesce.errors import Reason, RemoteError
from evanesce.secret import Secret

from .flaw import Patch, flaw


@flaw("no-replay-protection", "chain-receive-replay", "chain-receive-replay-skipped")
def _(patch: Patch) -> None:
    """Keeps a message key after it has been used, in case the message comes again."""
    strict = ReceivingChain.at

    def at(chain: ReceivingChain, index: int, now: int) -> tuple[bytes, ReceivingChain]:
        message_key, after = strict(chain, index, now)
        kept = {**after.skipped, index: Skipped(Secret(message_key), now)}
        return message_key, ReceivingChain(after.key, after.index, kept)

    patch.here(ReceivingChain, "at", at)


def _jump(patch: Patch, most: int) -> None:
    strict = ReceivingChain.at

    def at(chain: ReceivingChain, index: int, now: int) -> tuple[bytes, ReceivingChain]:
        if index - chain.index > most and chain.key is not None:
            raise RemoteError(Reason.JUMP_TOO_FAR, "too far")
        if index - chain.index == most == 1_001 and chain.key is not None:
            _, at_one = strict(chain, chain.index, now)
            message_key, after = strict(at_one, index, now)
            return message_key, after
        return strict(chain, index, now)

    patch.here(ReceivingChain, "at", at)


@flaw("jump-999", "chain-receive-jump-1000", "session-signed-jump-bob")
def _(patch: Patch) -> None:
    """Counts the message itself as skipped, and so refuses a jump of 1,000."""
    _jump(patch, 999)


@flaw("jump-1001", "chain-receive-jump-1001", "session-signed-jump-bob")
def _(patch: Patch) -> None:
    """Counts from the last message that was read, and so allows a jump of 1,001."""
    _jump(patch, 1_001)


@flaw(
    "jump-from-zero",
    "chain-receive-example",
    "chain-receive-jump-1000-later",
    "session-signed-jump-bob",
)
def _(patch: Patch) -> None:
    """Compares the index itself with the limit, not how far it is from the last."""
    strict = ReceivingChain.at

    def at(chain: ReceivingChain, index: int, now: int) -> tuple[bytes, ReceivingChain]:
        if index > 1_000 and index >= chain.index and chain.key is not None:
            raise RemoteError(Reason.JUMP_TOO_FAR, "too far")
        return strict(chain, index, now)

    patch.here(ReceivingChain, "at", at)


@flaw("keeps-all-skipped", "chain-receive-evicted", "session-signed-chain-limit-bob")
def _(patch: Patch) -> None:
    """Keeps every skipped key of a chain, however many."""

    def advance(chain_: ReceivingChain, key: Secret, index: int, now: int) -> Any:
        chain_key, skipped = key.reveal(), dict(chain_.skipped)
        for n in range(chain_.index, index):
            chain_key, message_key = chain.step(chain_key)
            skipped[n] = Skipped(Secret(message_key), now)
        return chain_key, skipped

    patch.here(ReceivingChain, "_advance", advance)


@flaw(
    "drops-newest",
    "chain-receive-evicted",
    "chain-receive-close-drops",
    "session-signed-chain-limit-bob",
)
def _(patch: Patch) -> None:
    """Over the limit of a chain, drops the skipped keys of the highest indices."""

    def advance(chain_: ReceivingChain, key: Secret, index: int, now: int) -> Any:
        chain_key, skipped = key.reveal(), dict(chain_.skipped)
        for n in range(chain_.index, index):
            chain_key, message_key = chain.step(chain_key)
            skipped[n] = Skipped(Secret(message_key), now)
        for n in sorted(skipped)[1_000:]:
            del skipped[n]
        return chain_key, skipped

    patch.here(ReceivingChain, "_advance", advance)


@flaw("close-keeps-key", "chain-receive-close-at-0", "chain-receive-close")
def _(patch: Patch) -> None:
    """Derives the missing keys on closing, but keeps the chain open."""
    strict = ReceivingChain.close

    def close(chain: ReceivingChain, count: int, now: int) -> tuple[ReceivingChain, bool]:
        after, gap = strict(chain, count, now)
        return replace(after, key=chain.key, index=chain.index), gap

    patch.here(ReceivingChain, "close", close)


@flaw(
    "close-without-count",
    "chain-receive-times",
    "chain-receive-close",
    "chain-receive-close-1001",
)
def _(patch: Patch) -> None:
    """Closes a chain where it stands: what was still on its way is lost."""
    strict = ReceivingChain.close

    def close(chain: ReceivingChain, count: int, now: int) -> tuple[ReceivingChain, bool]:
        strict(chain, count, now)
        return ReceivingChain(None, chain.index, chain.skipped), False

    patch.here(ReceivingChain, "close", close)


@flaw("close-below-index", "chain-receive-close-read", "chain-receive-close-bad-count")
def _(patch: Patch) -> None:
    """Takes a count below what has been read, and closes at what has been read."""
    strict = ReceivingChain.close

    def close(chain: ReceivingChain, count: int, now: int) -> tuple[ReceivingChain, bool]:
        return strict(chain, max(count, chain.index), now)

    patch.here(ReceivingChain, "close", close)


@flaw("close-refuses-a-gap", "chain-receive-close-1001", "session-signed-close-1001-missing-bob")
def _(patch: Patch) -> None:
    """Refuses a count that is too far ahead, and with it the message that brought it."""
    strict = ReceivingChain.close

    def close(chain: ReceivingChain, count: int, now: int) -> tuple[ReceivingChain, bool]:
        if chain.key is not None and count - chain.index > 1_000:
            raise RemoteError(Reason.JUMP_TOO_FAR, "too far")
        return strict(chain, count, now)

    patch.here(ReceivingChain, "close", close)


@flaw("gap-at-1000", "chain-receive-close-1000", "session-signed-close-1000-missing-bob")
def _(patch: Patch) -> None:
    """Takes a chain that lacks exactly 1,000 messages at its end for a gap."""
    strict = ReceivingChain.close

    def close(chain: ReceivingChain, count: int, now: int) -> tuple[ReceivingChain, bool]:
        if chain.key is not None and count - chain.index == 1_000:
            return ReceivingChain(None, chain.index, chain.skipped), True
        return strict(chain, count, now)

    patch.here(ReceivingChain, "close", close)


@flaw("gap-forgets-skipped", "chain-receive-close-gap", "session-signed-close-1001-missing-bob")
def _(patch: Patch) -> None:
    """With a gap, erases the keys that it had kept before."""
    strict = ReceivingChain.close

    def close(chain: ReceivingChain, count: int, now: int) -> tuple[ReceivingChain, bool]:
        after, gap = strict(chain, count, now)
        return (ReceivingChain(None, after.index), True) if gap else (after, gap)

    patch.here(ReceivingChain, "close", close)
