"""X25519: known answers, and every key that must be refused (spec 03.3)."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.primitives import check_dh_key, dh, dh_keypair, dh_public

P: Final = 2**255 - 19
PRIVATE: Final = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")


def key(u: int) -> bytes:
    return u.to_bytes(32, "little")


def with_high_bit(public: bytes) -> bytes:
    return public[:31] + bytes([public[31] | 0x80])


def assert_refused(public: bytes) -> None:
    for attempt in (lambda: dh(PRIVATE, public), lambda: check_dh_key(public)):
        with pytest.raises(RemoteError) as caught:
            attempt()
        assert caught.value.reason is Reason.BAD_KEY


# --- RFC 7748 ------------------------------------------------------------------------------------


def test_first_vector_of_rfc_7748() -> None:
    public = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    expected = "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    assert dh(PRIVATE, public).hex() == expected


def test_second_vector_of_rfc_7748_holds_once_its_top_bit_is_cleared() -> None:
    """The RFC masks the bit; here the same key with the bit set is not canonical (REQ-PRIM-03)."""
    private = bytes.fromhex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d")
    public = bytes.fromhex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")
    assert public[31] & 0x80
    assert_refused(public)
    masked = public[:31] + bytes([public[31] & 0x7F])
    expected = "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"
    assert dh(private, masked).hex() == expected


def test_the_key_exchange_of_rfc_7748() -> None:
    alice = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    alice_public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    bob_public = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert dh_public(alice).hex() == alice_public
    assert dh_public(bob).hex() == bob_public
    assert dh(alice, bytes.fromhex(bob_public)).hex() == shared
    assert dh(bob, bytes.fromhex(alice_public)).hex() == shared


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_both_sides_agree(a: bytes, b: bytes) -> None:
    assert dh(a, dh_public(b)) == dh(b, dh_public(a))


def test_a_key_pair_comes_from_the_random_source_that_is_passed_in() -> None:
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        return PRIVATE

    assert dh_keypair(random) == (PRIVATE, dh_public(PRIVATE))
    assert asked == [32]


# --- Refused keys --------------------------------------------------------------------------------

ORDER_8: Final = (
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
)
LOW_ORDER: Final = {
    "0": key(0),
    "1": key(1),
    "order 8, first": bytes.fromhex(ORDER_8[0]),
    "order 8, second": bytes.fromhex(ORDER_8[1]),
    "p - 1": key(P - 1),
    "p, which is 0": key(P),
    "p + 1, which is 1": key(P + 1),
}


@pytest.mark.parametrize("name", LOW_ORDER)
def test_a_point_of_small_order_is_refused_in_every_encoding(name: str) -> None:
    """REQ-PRIM-04."""
    assert_refused(LOW_ORDER[name])
    assert_refused(with_high_bit(LOW_ORDER[name]))


@pytest.mark.parametrize("name", ["0", "1", "order 8, first", "order 8, second", "p - 1"])
@given(private=st.binary(min_size=32, max_size=32))
def test_a_point_of_small_order_is_refused_under_any_private_key(name: str, private: bytes) -> None:
    with pytest.raises(RemoteError) as caught:
        dh(private, LOW_ORDER[name])
    assert caught.value.reason is Reason.BAD_KEY


@pytest.mark.parametrize("excess", range(19))
def test_a_coordinate_that_is_not_reduced_is_refused(excess: int) -> None:
    """REQ-PRIM-03: p to 2^255 - 1, all of them, with and without the top bit."""
    assert_refused(key(P + excess))
    assert_refused(with_high_bit(key(P + excess)))


def test_the_range_of_refused_coordinates_starts_at_p() -> None:
    assert P + 18 == 2**255 - 1
    for u in (2, 9, P - 2, P - 3):
        check_dh_key(key(u))
        assert len(dh(PRIVATE, key(u))) == 32


@pytest.mark.parametrize("u", [2, 9, P - 2, 2**254])
def test_a_key_with_the_top_bit_set_is_refused(u: int) -> None:
    assert_refused(with_high_bit(key(u)))


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_a_public_key_of_another_length_is_refused(size: int) -> None:
    assert_refused(b"\x09" * size)


@given(st.binary(min_size=32, max_size=32))
def test_a_key_passes_the_check_exactly_if_an_exchange_with_it_succeeds(public: bytes) -> None:
    """REQ-PRIM-05."""
    canonical = int.from_bytes(public, "little") < P and public not in LOW_ORDER.values()
    if canonical:
        check_dh_key(public)
        assert len(dh(PRIVATE, public)) == 32
    else:
        assert_refused(public)


# --- Own keys (REQ-PRIM-16) ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 31, 33])
def test_an_own_key_of_a_wrong_length_is_a_local_error(size: int) -> None:
    """libsodium would read past its end."""
    own = bytes(size)
    for attempt in (
        lambda: dh(own, key(9)),
        lambda: dh_public(own),
        lambda: dh_keypair(lambda _: own),
    ):
        with pytest.raises(LocalError) as caught:
            attempt()
        assert caught.value.reason is Reason.BAD_INPUT
