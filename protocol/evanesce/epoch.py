"""The key schedule: from one commit to every key of the epoch it opens (spec 10).

Pure functions, one for each line of the schedule; `EpochKeys.derive` puts them in order. What is
kept of the result, and until when, is the deletion schedule (spec 14).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import Reason, RemoteError
from .formats import SEALED_COMMIT
from .primitives import EMPTY_KEY, KDF, H, Random, decrypt, dh, encrypt, equal
from .secret import Secret

__all__ = ["EpochKeys", "SealedCommit", "commit_hash", "open_slot", "prefix_of", "seal_commit",
           "seal_slot", "transcript_hash"]  # fmt: skip

PREFIX_BYTES = 8
NO_TRANSCRIPT = bytes(32)  # the parent of a genesis


def prefix_of(transcript: bytes) -> bytes:
    """The 8 bytes by which messages name an epoch."""
    return transcript[:PREFIX_BYTES]


def commit_hash(commit: bytes) -> bytes:
    """Hash of a genesis, commit or direct commit, 32 bytes."""
    return H(b"commit", commit)


def transcript_hash(parent: bytes, commit: bytes, confirmation: bytes) -> bytes:
    """The transcript hash of the epoch that `commit` opens, 32 bytes (REQ-EPOCH-08)."""
    return H(b"transcript", parent, commit, confirmation)


# --- slots: the fresh secret r, sealed to one leaf key ------------------------------------------


def _slot_key(
    shared: bytes, commit: bytes, ephemeral_key: bytes, member: bytes, leaf_key: bytes
) -> bytes:
    transcript = H(b"slot transcript", commit_hash(commit), ephemeral_key, member, leaf_key)
    return KDF(EMPTY_KEY, b"slot", shared, transcript)


def seal_slot(
    r: bytes, ephemeral: bytes, commit: bytes, ephemeral_key: bytes, member: bytes, leaf_key: bytes
) -> bytes:
    """Seal `r` (32 bytes) to the leaf key of `member`: 48 bytes (REQ-EPOCH-03)."""
    shared = dh(ephemeral, leaf_key)
    return encrypt(_slot_key(shared, commit, ephemeral_key, member, leaf_key), r)


def open_slot(
    slot: bytes, leaf: bytes, commit: bytes, ephemeral_key: bytes, member: bytes, leaf_key: bytes
) -> bytes:
    """Undo `seal_slot`. Raise `RemoteError`: bad-key, bad-ciphertext (REQ-EPOCH-04)."""
    shared = dh(leaf, ephemeral_key)
    return decrypt(_slot_key(shared, commit, ephemeral_key, member, leaf_key), slot)


# --- the schedule --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """Everything an epoch secret gives. The epoch secret itself and its roots are not kept."""

    confirmation: bytes
    chains: dict[bytes, Secret]
    handshakes: dict[bytes, Secret]
    inits: dict[bytes, Secret]
    exporter: Secret

    @classmethod
    def derive(cls, epoch_secret: bytes, commit: bytes, members: Iterable[bytes]) -> EpochKeys:
        """Derive the keys of every member of the resulting roster (REQ-EPOCH-07)."""
        ids = list(members)

        def each(label: bytes, label_one: bytes) -> dict[bytes, Secret]:
            root = KDF(epoch_secret, label)
            return {member: Secret(KDF(root, label_one, member)) for member in ids}

        return cls(
            KDF(KDF(epoch_secret, b"confirm"), b"confirmation", commit_hash(commit)),
            each(b"chains", b"chain of"),
            each(b"handshakes", b"handshake of"),
            each(b"inits", b"init of"),
            Secret(KDF(epoch_secret, b"exporter")),
        )


def epoch_secret(init: bytes, r: bytes, commit: bytes) -> bytes:
    """The secret of the epoch that `commit` opens, 32 bytes (REQ-EPOCH-05).

    `init` is ``init[e, committer]`` of the parent, or 32 zero bytes for a genesis.
    """
    return KDF(init, b"epoch", r, commit_hash(commit))


# --- sealing a group commit in its parent epoch --------------------------------------------------


@dataclass(frozen=True, slots=True)
class SealedCommit:
    """A parsed sealed commit: what can be read without a key."""

    room: bytes
    prefix: bytes
    committer: bytes
    salt: bytes
    ciphertext: bytes

    @classmethod
    def parse(cls, data: bytes) -> SealedCommit:
        """Read it. Raise `RemoteError` as `Form.parse`."""
        return cls(*SEALED_COMMIT.parse(data))

    def open(self, handshake: bytes) -> bytes:
        """Return the signed commit inside. Raise `RemoteError` (bad-ciphertext)."""
        key = _commit_key(handshake, self.room, self.prefix, self.committer, self.salt)
        return decrypt(key, self.ciphertext)


def _commit_key(
    handshake: bytes, room: bytes, prefix: bytes, committer: bytes, salt: bytes
) -> bytes:
    return KDF(handshake, b"seal commit", room, prefix, committer, salt)


def seal_commit(
    handshake: bytes,
    room: bytes,
    prefix: bytes,
    committer: bytes,
    signed_commit: bytes,
    random: Random,
) -> bytes:
    """Seal a signed commit under ``handshake[committer]`` of its parent (REQ-EPOCH-10)."""
    salt = KDF(handshake, b"commit salt", random(16), signed_commit, size=16)
    key = _commit_key(handshake, room, prefix, committer, salt)
    return SEALED_COMMIT.build(room, prefix, committer, salt, encrypt(key, signed_commit))


def check_confirmation(expected: bytes, received: bytes) -> None:
    """Compare in constant time. Raise `RemoteError` (bad-confirmation)."""
    if not equal(expected, received):
        raise RemoteError(Reason.BAD_CONFIRMATION, "the room has been split by this commit")
