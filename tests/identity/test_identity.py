"""Identities: fingerprint, safety number, what is stored and what is shown (spec 06)."""

import hashlib
import re
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nacl import bindings as sodium

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.identity import Identity, IdentityKeys, open_signed, safety_number, seal_signed
from evanesce.primitives import Random, verify

Streams = Callable[[str], Random]

# RFC 8032, 7.1, tests 1 and 2; RFC 7748, 6.1.
ALICE: Final = Identity(
    bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
    bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
)
BOB: Final = Identity(
    bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
    bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
)
ALICE_FINGERPRINT: Final = "c2cc8f5951da345ec24a3b1b6ee52e880098b1e7cc08e14bb0a354849e25f084"
SAFETY_NUMBER: Final = "20613 73084 48259 01312 26754 96675 35339 24845 97761 51896 35394 38059"

ORDER_TWO: Final = (2**255 - 20).to_bytes(32, "little")  # the point (0, -1)
IDENTITY_POINT: Final = bytes([1]) + bytes(31)

key_bytes = st.binary(min_size=32, max_size=32)
identities = st.builds(Identity, key_bytes, key_bytes)


def packed(*items: bytes) -> bytes:
    """MessagePack by hand: a short array of short `bin`."""
    return bytes([0x90 | len(items)]) + b"".join(bytes([0xC4, len(i)]) + i for i in items)


def digits(fingerprint: bytes) -> list[str]:
    """REQ-ID-03 by hand: six groups of five digits."""
    message = packed(b"safety number")
    wide = hashlib.blake2b(message, key=fingerprint, digest_size=48).digest()
    numbers = [sum(wide[8 * n + k] << 8 * (7 - k) for k in range(8)) for n in range(6)]
    return [f"{number % 10**5:05d}" for number in numbers]


def traces(private: bytes) -> list[str]:
    """Ways in which 32 private bytes might show in a text."""
    windows = [private[n : n + 4] for n in range(len(private) - 3)]
    return [w.hex() for w in windows] + [repr(w)[2:-1] for w in windows]


# --- Fingerprint ---------------------------------------------------------------------------------


def test_the_fingerprint_hashes_both_keys() -> None:
    message = packed(b"fingerprint", ALICE.sign_key, ALICE.dh_key)
    assert ALICE.fingerprint == hashlib.blake2b(message, digest_size=32).digest()
    assert ALICE.fingerprint.hex() == ALICE_FINGERPRINT


@given(identities, identities)
def test_a_fingerprint_stands_for_one_identity(one: Identity, other: Identity) -> None:
    assert (one.fingerprint == other.fingerprint) == (one == other)


@given(identities)
def test_each_key_and_its_place_matter(identity: Identity) -> None:
    sign_key, dh_key = identity.sign_key, identity.dh_key
    assume(sign_key != dh_key)
    changed = [
        Identity(dh_key, sign_key),
        Identity(sign_key, dh_key[:31] + bytes([dh_key[31] ^ 1])),
        Identity(bytes([sign_key[0] ^ 1]) + sign_key[1:], dh_key),
    ]
    assert len({i.fingerprint for i in [identity, *changed]}) == 4


# --- Safety number -------------------------------------------------------------------------------


def test_the_safety_number_is_as_defined() -> None:
    halves = sorted([digits(ALICE.fingerprint), digits(BOB.fingerprint)])
    assert safety_number(ALICE, BOB) == " ".join(halves[0] + halves[1])
    assert safety_number(ALICE, BOB) == SAFETY_NUMBER


def test_the_example_of_the_specification() -> None:
    """Spec 06.2."""
    a, b = (
        Identity(
            sodium.crypto_sign_seed_keypair(bytes([n]) * 32)[0],
            sodium.crypto_scalarmult_base(bytes([n + 1]) * 32),
        )
        for n in (1, 3)
    )
    assert a.fingerprint.hex() == (
        "2952355012c4141d29ed172883c5f9c197b60b2a30ae401333be71012975bac3"
    )
    assert b.fingerprint.hex() == (
        "b876840695eca09e056de0b07c5957e443328559b2512d0796aad5767080939c"
    )
    assert safety_number(b, a) == (
        "42534 70079 04705 06542 58587 57723 53282 62007 68775 03478 72542 78704"
    )


@given(identities, identities)
def test_both_sides_see_the_same_sixty_digits(one: Identity, other: Identity) -> None:
    number = safety_number(one, other)
    assert number == safety_number(other, one)
    assert re.fullmatch(r"[0-9]{5}( [0-9]{5}){11}", number)
    assert number[:35] <= number[36:] or one == other
    assert {number[:35], number[36:]} == {" ".join(digits(i.fingerprint)) for i in (one, other)}


@given(st.lists(identities, min_size=3, max_size=3, unique=True))
def test_different_pairs_have_different_numbers(three: list[Identity]) -> None:
    a, b, c = three
    assert len({safety_number(a, b), safety_number(b, c), safety_number(a, c)}) == 3


def test_a_changed_key_on_either_side_changes_the_number() -> None:
    swapped = [
        Identity(BOB.sign_key, ALICE.dh_key),
        Identity(ALICE.sign_key, BOB.dh_key),
    ]
    numbers = {safety_number(ALICE, BOB)} | {safety_number(ALICE, other) for other in swapped}
    numbers |= {safety_number(other, BOB) for other in swapped}
    assert len(numbers) == 5


# --- Keys that are refused -----------------------------------------------------------------------


def test_published_keys_are_accepted() -> None:
    ALICE.check()
    BOB.check()


def test_bad_keys_are_refused() -> None:
    mixed = sodium.crypto_core_ed25519_add(ALICE.sign_key, ORDER_TWO)
    assert mixed != ALICE.sign_key
    bad_sign = [bytes(32), b"\xff" * 32, ORDER_TWO, IDENTITY_POINT, mixed, ALICE.sign_key[:31]]
    bad_dh = [bytes(32), b"\xff" * 32, IDENTITY_POINT, ORDER_TWO, ALICE.dh_key[:31]]
    bad = [Identity(key, ALICE.dh_key) for key in bad_sign]
    bad += [Identity(ALICE.sign_key, key) for key in bad_dh]
    for identity in bad:
        with pytest.raises(RemoteError) as caught:
            identity.check()
        assert caught.value.reason is Reason.BAD_KEY


# --- One's own keys ------------------------------------------------------------------------------


def test_generated_keys_belong_together(stream: Streams) -> None:
    keys = IdentityKeys.generate(stream("alice"))
    keys.identity.check()
    seed = keys.sign_private.reveal()[:32]
    assert keys.sign_private.reveal()[32:] == keys.identity.sign_key
    assert sodium.crypto_sign_seed_keypair(seed)[0] == keys.identity.sign_key
    assert sodium.crypto_scalarmult_base(keys.dh_private.reveal()) == keys.identity.dh_key
    assert seed != keys.dh_private.reveal()


def test_generating_depends_on_randomness_alone(stream: Streams) -> None:
    assert IdentityKeys.generate(stream("a")) == IdentityKeys.generate(stream("a"))
    assert IdentityKeys.generate(stream("a")) != IdentityKeys.generate(stream("b"))


def test_dump_and_load(stream: Streams) -> None:
    keys = IdentityKeys.generate(stream("alice"))
    loaded = IdentityKeys.load(keys.dump())
    assert loaded == keys
    assert loaded.identity == keys.identity
    assert loaded.sign_private.reveal() == keys.sign_private.reveal()
    assert loaded.dh_private.reveal() == keys.dh_private.reveal()
    assert loaded.dump() == keys.dump()


def test_erased_keys_cannot_be_dumped(stream: Streams) -> None:
    for name in ("sign_private", "dh_private"):
        keys = IdentityKeys.generate(stream("alice"))
        getattr(keys, name).erase()
        with pytest.raises(LocalError) as caught:
            keys.dump()
        assert caught.value.reason is Reason.EVAPORATED


def test_no_printout_shows_private_bytes(stream: Streams) -> None:
    keys = IdentityKeys.generate(stream("alice"))
    seed, private = keys.sign_private.reveal()[:32], keys.dh_private.reveal()
    assert any(trace in repr(seed) for trace in traces(seed))  # the search would find them
    for text in (repr(keys), str(keys), f"{[keys]}"):
        assert "Secret(…)" in text
        for trace in traces(seed) + traces(private):
            assert trace not in text


def test_a_printout_of_an_identity_is_short() -> None:
    assert repr(ALICE) == f"<Identity {ALICE_FINGERPRINT[:8]}>"


# --- Signed objects ------------------------------------------------------------------------------


def test_a_signed_object_holds_body_and_signature(stream: Streams) -> None:
    keys = IdentityKeys.generate(stream("alice"))
    data = seal_signed(keys.sign_private.reveal(), b"label", b"body")
    assert data[:3] == bytes([0x94, 1, 1])
    body, signature = open_signed(data)
    assert data[3:] == b"\xc4\x04body" + b"\xc4\x40" + signature
    assert body == b"body"
    verify(keys.identity.sign_key, signature, b"label", b"body")
    message = packed(b"Evanesce 1", b"label", b"body")
    assert sodium.crypto_sign_open(signature + message, keys.identity.sign_key) == message


@pytest.mark.parametrize(
    ("label", "body"), [(b"label", b"bodY"), (b"labe", b"lbody"), (b"", b"body")]
)
def test_a_signature_holds_for_its_label_and_body_only(
    stream: Streams, label: bytes, body: bytes
) -> None:
    keys = IdentityKeys.generate(stream("alice"))
    _, signature = open_signed(seal_signed(keys.sign_private.reveal(), b"label", b"body"))
    with pytest.raises(RemoteError) as caught:
        verify(keys.identity.sign_key, signature, label, body)
    assert caught.value.reason is Reason.BAD_SIGNATURE


def test_a_body_is_as_large_as_a_signed_object_allows(stream: Streams) -> None:
    private = IdentityKeys.generate(stream("alice")).sign_private.reveal()
    for size in (1, 896):
        assert open_signed(seal_signed(private, b"label", bytes(size)))[0] == bytes(size)
    for size, reason in ((0, Reason.BAD_FORM), (897, Reason.TOO_LARGE)):
        with pytest.raises(RemoteError) as remote:
            open_signed(seal_signed(private, b"label", bytes(size)))
        assert remote.value.reason is reason
    with pytest.raises(LocalError) as local:
        seal_signed(private, b"label", bytes(1_024))
    assert local.value.reason is Reason.TOO_LARGE
