"""Mistakes with the key schedule, slots and hashes of an epoch (chapter 10)."""

from __future__ import annotations

from typing import Any

from evanesce import applying, epoch, membership, primitives
from evanesce.epoch import EpochKeys
from evanesce.errors import RemoteError
from evanesce.state import RoomState

from .flaw import Patch, flaw


@flaw("slot-without-member", "epoch-slot-seal", "epoch-slot-open-good")
def _(patch: Patch) -> None:
    """Binds a slot to the commit and the keys, and not to whom it is for."""

    def slot_key(shared: bytes, its: bytes, ephemeral: bytes, member: bytes, leaf: bytes) -> bytes:
        transcript = primitives.H(b"slot transcript", epoch.commit_hash(its), ephemeral, leaf)
        return primitives.KDF(bytes(32), b"slot", shared, transcript)

    patch.here(epoch, "_slot_key", slot_key)


@flaw("context-without-policy", "epoch-context-open", "epoch-context-timer", "epoch-context-direct")
def _(patch: Patch) -> None:
    """Leaves the policy out of the context: who changes it on the way is not found out."""

    def context(suite: Any, room: bytes, policy: Any, roster: bytes, transcript: bytes) -> bytes:
        return primitives.H(b"context", suite.number, room, roster, transcript)

    patch.everywhere(membership.context_hash, context)


@flaw("context-without-roster", "epoch-context-open", "epoch-context-timer", "epoch-context-direct")
def _(patch: Patch) -> None:
    """Leaves the roster out of the context: the transcript covers it anyway."""

    def context(suite: Any, room: bytes, policy: Any, roster: bytes, transcript: bytes) -> bytes:
        return primitives.H(b"context", suite.number, room, policy.value(), transcript)

    patch.everywhere(membership.context_hash, context)


@flaw("transcript-without-confirmation", "epoch-transcript-commit", "epoch-transcript-genesis")
def _(patch: Patch) -> None:
    """Hashes the commits alone into the transcript."""
    patch.everywhere(
        epoch.transcript_hash,
        lambda parent, its, confirmation: primitives.H(b"transcript", parent, its),
    )


@flaw("secret-without-commit", "epoch-secret-0", "epoch-secret-1", "epoch-secret-2")
def _(patch: Patch) -> None:
    """Derives the epoch secret from r alone: two commits with one r share it."""
    patch.everywhere(
        epoch.epoch_secret, lambda init, r, its: primitives.KDF(init, b"epoch", r)
    )


@flaw("chains-all-alike", "epoch-schedule-1", "epoch-schedule-2", "epoch-schedule-5")
def _(patch: Patch) -> None:
    """Gives each member its keys by its place in the roster instead of its id."""
    honest = EpochKeys.derive

    def derive(secret: bytes, its: bytes, members: Any) -> EpochKeys:
        ids = list(members)
        places = [place.to_bytes(32, "big") for place in range(len(ids))]
        keys = honest(secret, its, places)
        named = dict(zip(places, ids, strict=True))

        def renamed(which: dict[bytes, Any]) -> dict[bytes, Any]:
            return {named[place]: key for place, key in which.items()}

        return EpochKeys(keys.confirmation, renamed(keys.chains), renamed(keys.handshakes),
                         renamed(keys.inits), keys.exporter)  # fmt: skip

    patch.here(EpochKeys, "derive", staticmethod(derive))


@flaw("own-init", "room-apply-refresh", "room-apply-refresh-by-admin")
def _(patch: Patch) -> None:
    """Opens an epoch with the init secret of its own, not with the committer's."""
    honest = applying.apply_commit

    def apply_commit(state: RoomState, data: bytes, now: int) -> Any:
        inits = state.epoch.inits
        before = dict(inits)
        for member in inits:
            inits[member] = before[state.own]
        try:
            return honest(state, data, now)
        except RemoteError:
            inits.update(before)
            raise

    patch.everywhere(honest, apply_commit)


@flaw("commit-without-its-place", "epoch-commit-seal", "epoch-commit-open-good")
def _(patch: Patch) -> None:
    """Seals a commit by the handshake key and salt alone: it says itself where it belongs."""

    def key(handshake: bytes, room: bytes, prefix: bytes, committer: bytes, salt: bytes) -> bytes:
        return primitives.KDF(handshake, b"seal commit", salt)

    patch.here(epoch, "_commit_key", key)
