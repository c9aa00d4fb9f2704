"""Envelopes: sizes, padding, and that only the mailbox's owner opens one (spec 12)."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from evanesce.envelope import (
    envelope_size,
    open_envelope,
    pad,
    room_for,
    seal_envelope,
    unpad,
)
from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.formats import ENVELOPE
from evanesce.limits import MAX_ENVELOPE, MAX_INVITATION
from evanesce.mailbox import Mailbox, MailboxKeys
from evanesce.primitives import Random
from evanesce.secret import Secret

Streams = Callable[[str], Random]

KIB: Final = 1_024
LOW_ORDER: Final = [
    bytes(32),
    bytes([1]) + bytes(31),
    (2**255 - 20).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]
NOT_CANONICAL: Final = [b"\xff" * 32, (2**255 - 10).to_bytes(32, "little")]


def all_sizes() -> list[int]:
    """Every size an envelope may have, from the definition of Padmé (Nikitin et al., 2019).

    A length with exponent E = ⌊log2 L⌋ keeps S = ⌊log2 E⌋ + 1 bits after its highest.
    """
    sizes = [512, KIB, 2 * KIB, 4 * KIB, 8 * KIB]
    for exponent in range(14, 21):
        steps = 16 if exponent < 16 else 32
        sizes += [(1 << exponent) // steps * (steps + n) for n in range(steps)]
    return [*sizes, MAX_ENVELOPE]


SIZES: Final = all_sizes()


def head_of(size: int) -> int:
    """Bytes before the ciphertext: array, version, type, key, and the length of the ciphertext."""
    return 3 + 34 + (3 if size <= 64 * KIB else 5)


def capacity(size: int) -> int:
    """Payload bytes that fit: less head, tag, and one byte of padding."""
    return size - head_of(size) - 16 - 1


@pytest.fixture(scope="module")
def keys(stream: Streams) -> MailboxKeys:
    return MailboxKeys.generate(stream("mailbox"))


@pytest.fixture
def random(stream: Streams) -> Random:
    return stream("ephemeral")


def key_of(mailbox: Mailbox, ephemeral: bytes) -> bytes:
    """The key of an envelope, from the definition, with `hashlib` and libsodium alone."""
    public = sodium.crypto_scalarmult_base(ephemeral)
    shared = sodium.crypto_scalarmult(ephemeral, mailbox.envelope_key)
    message = b"\x94\xc4\x13envelope transcript" + b"".join(
        b"\xc4\x20" + part for part in (mailbox.address, mailbox.envelope_key, public)
    )
    transcript = hashlib.blake2b(message, digest_size=32).digest()
    message = b"\x93\xc4\x08envelope\xc4\x20" + shared + b"\xc4\x20" + transcript
    return hashlib.blake2b(message, key=bytes(32), digest_size=32).digest()


def sealed_as(mailbox: Mailbox, padded: bytes, ephemeral: bytes) -> bytes:
    """An envelope with any padded payload, right or wrong, sealed as it should be."""
    key = key_of(mailbox, ephemeral)
    sealed = sodium.crypto_aead_chacha20poly1305_ietf_encrypt(padded, None, bytes(12), key)
    return ENVELOPE.build(sodium.crypto_scalarmult_base(ephemeral), sealed)


def refusal(keys: MailboxKeys, data: bytes) -> Reason:
    with pytest.raises(RemoteError) as caught:
        open_envelope(keys, data)
    return caught.value.reason


# --- Sealing and opening -------------------------------------------------------------------------


@given(st.integers(0, 70_000), st.binary(max_size=64))
def test_what_is_sealed_opens(keys: MailboxKeys, stream: Streams, size: int, end: bytes) -> None:
    payload = bytes(size) + end
    data = seal_envelope(keys.mailbox, payload, stream("ephemeral"))
    assert len(data) in SIZES
    assert open_envelope(keys, data) == payload


@given(st.binary(max_size=2_000))
def test_payloads_that_look_like_padding_come_back(
    keys: MailboxKeys, stream: Streams, payload: bytes
) -> None:
    for end in (b"", b"\x80", b"\x00", b"\x80\x00\x00", b"\x00" * 600):
        data = seal_envelope(keys.mailbox, payload + end, stream("ephemeral"))
        assert open_envelope(keys, data) == payload + end


def test_the_key_is_as_defined(keys: MailboxKeys, stream: Streams) -> None:
    """Both ways: the same bytes come out."""
    padded = b"payload\x80".ljust(512 - head_of(512) - 16, b"\x00")
    data = sealed_as(keys.mailbox, padded, stream("ephemeral")(32))
    assert data == seal_envelope(keys.mailbox, b"payload", stream("ephemeral"))
    assert open_envelope(keys, data) == b"payload"


def test_a_known_envelope(keys: MailboxKeys, stream: Streams) -> None:
    """Every key and random byte comes from a seed: these bytes never change within version 1."""
    data = seal_envelope(keys.mailbox, b"payload", stream("ephemeral"))
    assert (
        hashlib.blake2b(data, digest_size=32).hexdigest()
        == "6bacda3a8c762eb04784f725d1f25e725a042f6b8ea6c0b3684651393925ef2d"
    )


def test_the_example_of_the_specification() -> None:
    """Spec 12.10."""
    read_key, read_private = sodium.crypto_sign_seed_keypair(b"\x07" * 32)
    private = b"\x08" * 32
    mailbox = Mailbox(
        bytes.fromhex("3d3c152c47ad00411973fb9343d9e30c0f9c868e2a0dfc19459ec74e2fc34d7e"),
        sodium.crypto_scalarmult_base(private),
        b"\x09" * 16,
    )
    keys = MailboxKeys(mailbox, read_key, Secret(read_private), Secret(private))
    data = seal_envelope(mailbox, b"hello", lambda size: b"\x0a" * size)
    assert data[:72].hex() == (
        "940112c420f77ff4b10788bfdca62ca0bb160d427cf5762d85f2b5cad6807ec9c3febbde09c501d8f22001ef"
        "8200ef21691dff3688a6e3ca420d797dffce1d6503dd7ff8db843468"
    )
    assert data[-32:].hex() == ("d766b9861a3ae706a53884d9eb9f64c36b5a2629a4dc9dd188988d004cd7cd44")
    assert open_envelope(keys, data) == b"hello"


def test_two_copies_have_nothing_in_common(keys: MailboxKeys, random: Random) -> None:
    copies = [ENVELOPE.parse(seal_envelope(keys.mailbox, b"payload", random)) for _ in range(20)]
    assert len({ephemeral for ephemeral, _ in copies}) == len(copies)
    for n in range(0, 400, 16):
        assert len({sealed[n : n + 16] for _, sealed in copies}) == len(copies)


# --- Sizes ---------------------------------------------------------------------------------------


def test_the_allowed_sizes() -> None:
    assert SIZES[:8] == [512, 1_024, 2_048, 4_096, 8_192, 16_384, 17_408, 18_432]
    assert SIZES[-3:] == [2_031_616, 2_064_384, 2_097_152]
    assert [envelope_size(size) for size in SIZES] == SIZES
    assert [envelope_size(size + 1) for size in SIZES[:-1]] == SIZES[1:]
    assert envelope_size(0) == envelope_size(1) == 512


@given(st.integers(0, MAX_ENVELOPE))
def test_a_size_is_the_next_allowed_one(least: int) -> None:
    assert envelope_size(least) == min(size for size in SIZES if size >= least)


@given(st.integers(16 * KIB + 1, 2**40))
def test_padding_adds_at_most_12_percent(least: int) -> None:
    size = envelope_size(least)
    assert least <= size
    assert 100 * size <= 112 * least
    assert envelope_size(size) == size


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_longer_payload_never_has_a_smaller_envelope(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert envelope_size(low) <= envelope_size(high)


@pytest.mark.parametrize("place", range(len(SIZES) - 1))
def test_a_payload_fills_a_step_and_one_more_byte_takes_the_next(
    keys: MailboxKeys, random: Random, place: int
) -> None:
    size, following = SIZES[place : place + 2]
    payload = b"\x80" * capacity(size)
    assert room_for(size) == len(payload)
    data = seal_envelope(keys.mailbox, payload, random)
    assert len(data) == size
    assert open_envelope(keys, data) == payload
    assert len(seal_envelope(keys.mailbox, payload + b"\x80", random)) == following


@given(st.integers(16 * KIB, 200 * KIB))
def test_sealing_adds_at_most_12_percent(keys: MailboxKeys, stream: Streams, size: int) -> None:
    data = seal_envelope(keys.mailbox, bytes(size), stream("ephemeral"))
    assert 100 * len(data) <= 112 * (size + head_of(len(data)) + 17)


def test_the_largest_envelope_is_sealed_and_opened_and_none_past_it(
    keys: MailboxKeys, random: Random
) -> None:
    payload = bytes(capacity(MAX_ENVELOPE))
    data = seal_envelope(keys.mailbox, payload, random)
    assert len(data) == MAX_ENVELOPE
    assert open_envelope(keys, data) == payload
    with pytest.raises(LocalError) as caught:
        seal_envelope(keys.mailbox, payload + b"\x00", random)
    assert caught.value.reason is Reason.TOO_LARGE
    assert refusal(keys, data + b"\x00") is Reason.TOO_LARGE


def test_a_larger_envelope_is_refused_before_it_is_read(keys: MailboxKeys) -> None:
    following = envelope_size(MAX_ENVELOPE + 1)
    sealed = bytes(following - head_of(following))
    data = b"\x94\x01\x12\xc4\x20" + bytes(32) + b"\xc6" + len(sealed).to_bytes(4, "big") + sealed
    assert len(data) == following
    assert refusal(keys, data) is Reason.TOO_LARGE


def test_the_largest_invitation_fits_an_envelope() -> None:
    assert room_for(MAX_ENVELOPE) >= MAX_INVITATION


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_every_flipped_byte_is_refused(keys: MailboxKeys, random: Random, mask: int) -> None:
    data = seal_envelope(keys.mailbox, b"payload", random)
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= mask
        refusal(keys, bytes(flipped))


def test_every_cut_and_every_extra_byte_is_refused(keys: MailboxKeys, random: Random) -> None:
    data = seal_envelope(keys.mailbox, b"payload", random)
    for size in range(len(data)):
        assert refusal(keys, data[:size]) is Reason.TRUNCATED
    assert refusal(keys, data + bytes(512)) is Reason.TRAILING_BYTES


def test_another_mailbox_does_not_open_it(
    keys: MailboxKeys, random: Random, stream: Streams
) -> None:
    data = seal_envelope(keys.mailbox, b"payload", random)
    other = MailboxKeys.generate(stream("other mailbox"))
    assert refusal(other, data) is Reason.BAD_CIPHERTEXT
    assert open_envelope(keys, data) == b"payload"


def test_an_envelope_is_bound_to_its_address_and_key(
    keys: MailboxKeys, random: Random, stream: Streams
) -> None:
    """Two mailboxes with one envelope key: what is for one cannot be moved to the other."""
    other = MailboxKeys.generate(stream("other mailbox"))
    data = seal_envelope(keys.mailbox, b"payload", random)
    moved = replace(keys, mailbox=replace(keys.mailbox, address=other.mailbox.address))
    assert refusal(moved, data) is Reason.BAD_CIPHERTEXT
    swapped = replace(keys, mailbox=replace(keys.mailbox, envelope_key=other.mailbox.envelope_key))
    assert refusal(swapped, data) is Reason.BAD_CIPHERTEXT
    without = replace(keys, envelope_private=other.envelope_private)
    assert refusal(without, data) is Reason.BAD_CIPHERTEXT


def test_the_ephemeral_key_is_in_the_transcript(keys: MailboxKeys, stream: Streams) -> None:
    """X25519 ignores the low bits of a private key; the public key on the wire is what counts."""
    one, other = stream("one")(32), stream("other")(32)
    padded = b"\x80".ljust(512 - head_of(512) - 16, b"\x00")
    _, sealed = ENVELOPE.parse(sealed_as(keys.mailbox, padded, one))
    swapped = ENVELOPE.build(sodium.crypto_scalarmult_base(other), sealed)
    assert refusal(keys, swapped) is Reason.BAD_CIPHERTEXT


@pytest.mark.parametrize("off", [-511, -256, -1, 1, 2, 16, 511])
def test_a_size_that_is_no_step_is_refused(keys: MailboxKeys, stream: Streams, off: int) -> None:
    """The AEAD is right, and so is the padding: nothing else is wrong."""
    for step in (1_024, 16 * KIB, 17 * KIB, 66 * KIB):
        size = step + off
        padded = b"payload\x80".ljust(size - head_of(size) - 16, b"\x00")
        data = sealed_as(keys.mailbox, padded, stream("ephemeral")(32))
        assert len(data) == size
        assert refusal(keys, data) is Reason.BAD_FORM


def test_a_size_below_the_first_step_is_refused(keys: MailboxKeys, stream: Streams) -> None:
    for padded in (b"\x80", b"payload\x80", b"payload\x80".ljust(300, b"\x00")):
        data = sealed_as(keys.mailbox, padded, stream("ephemeral")(32))
        assert refusal(keys, data) is Reason.BAD_FORM


@pytest.mark.parametrize(
    "end",
    [b"", b"\x01", b"\x7f", b"\x81", b"\xff", b"\x80\x01", b"\x40\x00\x00"],
    ids=lambda end: end.hex() or "zeros only",
)
def test_wrong_padding_is_refused(keys: MailboxKeys, stream: Streams, end: bytes) -> None:
    size = 512 - head_of(512) - 16
    for padded in (end.ljust(size, b"\x00"), (end or bytes(size)).rjust(size, b"\x80")):
        data = sealed_as(keys.mailbox, padded, stream("ephemeral")(32))
        assert len(data) == 512
        assert refusal(keys, data) is Reason.BAD_PADDING


@pytest.mark.parametrize("bad", [*LOW_ORDER, *NOT_CANONICAL])
def test_a_bad_ephemeral_key_is_refused(keys: MailboxKeys, bad: bytes) -> None:
    """The key is computed with what a careless DH would return: zeros."""
    mailbox = keys.mailbox
    message = b"\x94\xc4\x13envelope transcript" + b"".join(
        b"\xc4\x20" + part for part in (mailbox.address, mailbox.envelope_key, bad)
    )
    transcript = hashlib.blake2b(message, digest_size=32).digest()
    message = b"\x93\xc4\x08envelope\xc4\x20" + bytes(32) + b"\xc4\x20" + transcript
    key = hashlib.blake2b(message, key=bytes(32), digest_size=32).digest()
    padded = b"\x80".ljust(512 - head_of(512) - 16, b"\x00")
    sealed = sodium.crypto_aead_chacha20poly1305_ietf_encrypt(padded, None, bytes(12), key)
    assert refusal(keys, ENVELOPE.build(bad, sealed)) is Reason.BAD_KEY


@pytest.mark.parametrize("bad", [*LOW_ORDER, *NOT_CANONICAL])
def test_nothing_is_sealed_to_a_bad_envelope_key(
    keys: MailboxKeys, random: Random, bad: bytes
) -> None:
    with pytest.raises(RemoteError) as caught:
        seal_envelope(replace(keys.mailbox, envelope_key=bad), b"payload", random)
    assert caught.value.reason is Reason.BAD_KEY


def test_of_two_faults_the_first_is_named(keys: MailboxKeys, stream: Streams) -> None:
    def data(ephemeral: bytes, size: int) -> bytes:
        return ENVELOPE.build(ephemeral, bytes(size - head_of(size)))

    good = sodium.crypto_scalarmult_base(stream("ephemeral")(32))
    wrong_type = bytearray(data(bytes(32), 513))
    wrong_type[2] = 17
    assert refusal(keys, bytes(wrong_type)) is Reason.WRONG_TYPE
    assert refusal(keys, data(bytes(32), 513)) is Reason.BAD_FORM
    assert refusal(keys, data(bytes(32), 512)) is Reason.BAD_KEY
    assert refusal(keys, data(good, 512)) is Reason.BAD_CIPHERTEXT


@given(st.binary(max_size=600))
def test_rubbish_is_refused(keys: MailboxKeys, data: bytes) -> None:
    refusal(keys, data)
    refusal(keys, b"\x94\x01\x12" + data)


def test_an_erased_mailbox_opens_nothing(keys: MailboxKeys, random: Random) -> None:
    data = seal_envelope(keys.mailbox, b"payload", random)
    rotated = replace(keys, envelope_private=Secret(keys.envelope_private.reveal()))
    assert open_envelope(rotated, data) == b"payload"
    rotated.envelope_private.erase()
    with pytest.raises(LocalError) as caught:
        open_envelope(rotated, data)
    assert caught.value.reason is Reason.EVAPORATED


# --- Padding -------------------------------------------------------------------------------------

tricky = st.lists(st.sampled_from([0x00, 0x80, 0x01]), max_size=40).map(bytes) | st.binary()


@given(tricky, st.integers(1, 300))
def test_padding_comes_off(data: bytes, more: int) -> None:
    padded = pad(data, len(data) + more)
    assert padded == data + b"\x80" + bytes(more - 1)
    assert unpad(padded) == data


@given(tricky, st.integers(0, 100))
def test_there_is_always_a_byte_of_padding(data: bytes, less: int) -> None:
    with pytest.raises(LocalError) as caught:
        pad(data, max(0, len(data) - less))
    assert caught.value.reason is Reason.TOO_LARGE


@given(tricky)
def test_only_padding_comes_off(padded: bytes) -> None:
    """Whatever bytes come: they are refused, or exactly what padding makes."""
    if padded.strip(b"\x00")[-1:] == b"\x80":
        assert pad(unpad(padded), len(padded)) == padded
    else:
        with pytest.raises(RemoteError) as caught:
            unpad(padded)
        assert caught.value.reason is Reason.BAD_PADDING


@given(tricky, tricky)
def test_two_contents_never_have_one_padding(one: bytes, other: bytes) -> None:
    size = max(len(one), len(other)) + 1
    assert (pad(one, size) == pad(other, size)) == (one == other)
