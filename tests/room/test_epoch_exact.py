"""Where the history of a room begins, and what the schedule binds (spec 10)."""

from __future__ import annotations

from typing import Final

import pytest

from evanesce.epoch import (
    NO_TRANSCRIPT,
    PREFIX_BYTES,
    EpochKeys,
    SealedCommit,
    check_confirmation,
    commit_hash,
    epoch_secret,
    open_slot,
    prefix_of,
    seal_commit,
    seal_slot,
    transcript_hash,
)
from evanesce.errors import Reason, RemoteError
from evanesce.primitives import KDF, H, dh_keypair
from tests.room.room_support import Stream, World

COMMIT: Final = b"a commit"
ROOM: Final = b"r" * 32
MEMBER: Final = b"m" * 32


def test_a_room_begins_with_32_zero_bytes_as_its_transcript() -> None:
    """REQ-MEM-03: who comes with the genesis is named after it. REQ-EPOCH-08."""
    assert bytes(32) == NO_TRANSCRIPT
    world = World("ann", "bob")
    bob = world["ann"].roster[world["bob"].own_id]
    assert bob.id == H(b"member", world["ann"].id, bytes(32), bob.admission, 0)


def test_an_epoch_is_named_by_the_first_8_bytes_of_its_transcript() -> None:
    assert PREFIX_BYTES == 8
    assert prefix_of(bytes(range(32))) == bytes(range(8))


def test_every_key_of_the_schedule_is_its_own() -> None:
    """Two members, a commit and an epoch secret: no two uses share a key, no part is left out."""
    members = [MEMBER, b"n" * 32]

    def all_of(keys: EpochKeys) -> list[bytes]:
        per_member = (keys.chains, keys.handshakes, keys.inits)
        secrets = [each[member].reveal() for each in per_member for member in members]
        return [keys.confirmation, keys.exporter.reveal(), *secrets]

    first = all_of(EpochKeys.derive(b"s" * 32, COMMIT, members))
    assert len(set(first)) == 2 + 3 * 2
    assert {len(key) for key in first} == {32}
    other_commit = all_of(EpochKeys.derive(b"s" * 32, b"another", members))
    assert other_commit[0] != first[0]
    assert other_commit[1:] == first[1:]
    other_secret = all_of(EpochKeys.derive(b"t" * 32, COMMIT, members))
    assert not set(other_secret) & set(first)


def test_the_schedule_by_hand() -> None:
    """REQ-EPOCH-05, 07, 08, each as its line of the specification."""
    secret, hashed = b"s" * 32, H(b"commit", COMMIT)
    keys = EpochKeys.derive(secret, COMMIT, iter([MEMBER]))
    assert commit_hash(COMMIT) == hashed
    assert keys.confirmation == KDF(KDF(secret, b"confirm"), b"confirmation", hashed)
    assert keys.exporter.reveal() == KDF(secret, b"exporter")
    assert keys.chains[MEMBER].reveal() == KDF(KDF(secret, b"chains"), b"chain of", MEMBER)
    assert keys.handshakes[MEMBER].reveal() == (
        KDF(KDF(secret, b"handshakes"), b"handshake of", MEMBER)
    )
    assert keys.inits[MEMBER].reveal() == KDF(KDF(secret, b"inits"), b"init of", MEMBER)
    assert epoch_secret(b"i" * 32, b"f" * 32, COMMIT) == (
        KDF(b"i" * 32, b"epoch", b"f" * 32, hashed)
    )
    assert transcript_hash(b"p" * 32, COMMIT, b"c" * 32) == (
        H(b"transcript", b"p" * 32, COMMIT, b"c" * 32)
    )


def test_a_slot_opens_for_its_member_its_leaf_and_its_commit_only() -> None:
    """REQ-EPOCH-03, 04."""
    stream, fresh = Stream("slots"), b"f" * 32
    ephemeral, ephemeral_key = dh_keypair(stream)
    leaf, leaf_key = dh_keypair(stream)
    other, other_key = dh_keypair(stream)
    slot = seal_slot(fresh, ephemeral, COMMIT, ephemeral_key, MEMBER, leaf_key)
    assert len(slot) == 48
    assert open_slot(slot, leaf, COMMIT, ephemeral_key, MEMBER, leaf_key) == fresh
    for wrong in (
        (slot, other, COMMIT, ephemeral_key, MEMBER, leaf_key),
        (slot, leaf, b"another", ephemeral_key, MEMBER, leaf_key),
        (slot, leaf, COMMIT, other_key, MEMBER, leaf_key),
        (slot, leaf, COMMIT, ephemeral_key, ROOM, leaf_key),
        (slot, leaf, COMMIT, ephemeral_key, MEMBER, other_key),
        (slot[:-1] + bytes([slot[-1] ^ 1]), leaf, COMMIT, ephemeral_key, MEMBER, leaf_key),
    ):
        with pytest.raises(RemoteError) as caught:
            open_slot(*wrong)
        assert caught.value.reason is Reason.BAD_CIPHERTEXT


def test_a_sealed_commit_opens_with_what_it_says_of_itself() -> None:
    """REQ-EPOCH-10: the salt depends on fresh bytes and on the content, 16 bytes of it."""
    handshake, drawn = b"h" * 32, []

    def random(size: int) -> bytes:
        drawn.append(size)
        return b"f" * size

    data = seal_commit(handshake, ROOM, b"p" * 8, MEMBER, COMMIT, random)
    sealed = SealedCommit.parse(data)
    assert drawn == [16]
    assert (sealed.room, sealed.prefix, sealed.committer) == (ROOM, b"p" * 8, MEMBER)
    assert sealed.salt == KDF(handshake, b"commit salt", b"f" * 16, COMMIT, size=16)
    assert sealed.open(handshake) == COMMIT
    for changed in (
        SealedCommit(MEMBER, sealed.prefix, sealed.committer, sealed.salt, sealed.ciphertext),
        SealedCommit(sealed.room, b"q" * 8, sealed.committer, sealed.salt, sealed.ciphertext),
        SealedCommit(sealed.room, sealed.prefix, ROOM, sealed.salt, sealed.ciphertext),
        SealedCommit(sealed.room, sealed.prefix, sealed.committer, b"s" * 16, sealed.ciphertext),
    ):
        with pytest.raises(RemoteError) as caught:
            changed.open(handshake)
        assert caught.value.reason is Reason.BAD_CIPHERTEXT


def test_a_confirmation_must_be_the_expected_one() -> None:
    check_confirmation(b"c" * 32, b"c" * 32)
    for received in (b"d" * 32, b"c" * 31, b""):
        with pytest.raises(RemoteError) as caught:
            check_confirmation(b"c" * 32, received)
        assert caught.value.reason is Reason.BAD_CONFIRMATION
