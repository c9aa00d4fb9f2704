"""KDF, H and suites: known answers, injectivity, own keys (spec 03.1, 03.2, 03.6)."""

import hashlib
from pathlib import Path
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.primitives import EMPTY_KEY, KDF, SUITE_1, SUITES, H, equal, suite
from evanesce.wire import Value

KEY: Final = bytes(range(32))
# ["chain", 7], by hand: array of 2, bin of 5, "chain", 7.
MESSAGE: Final = bytes.fromhex("92 c4 05 63 68 61 69 6e 07")

PARTS = st.lists(
    st.none() | st.booleans() | st.integers(0, 300) | st.binary(max_size=4) | st.text(max_size=4),
    max_size=4,
)
INPUTS = st.tuples(st.sampled_from([b"a", b"ab", b"chain", b"slot"]), PARTS)


def typed(values: list[Value]) -> list[tuple[type, Value]]:
    return [(type(value), value) for value in values]


@pytest.mark.parametrize("size", [1, 16, 31, 32, 33, 63, 64])
def test_kdf_is_keyed_blake2b_over_the_hand_written_encoding(size: int) -> None:
    """REQ-PRIM-01."""
    expected = hashlib.blake2b(MESSAGE, key=KEY, digest_size=size).digest()
    assert KDF(KEY, b"chain", 7, size=size) == expected
    assert len(expected) == size


def test_the_known_answers_are_those_of_the_specification() -> None:
    text = (Path(__file__).parents[2] / "spec" / "03-primitives.md").read_text(encoding="utf-8")
    answers = {
        'encode(["chain", 7])': MESSAGE,
        'KDF(key, "chain", 7, size=32)': KDF(KEY, b"chain", 7),
        'KDF(key, "chain", 7, size=16)': KDF(KEY, b"chain", 7, size=16),
        'H("chain", 7)': H(b"chain", 7),
    }
    for formula, answer in answers.items():
        assert f"    {formula:<31}{answer.hex()}\n" in text
    # Pinned here too, so that specification and code cannot drift together.
    assert KDF(KEY, b"chain", 7).hex() == (
        "31a930adc12075ed4c65ba981a7f23f25f5e4864b7223f71b6a0f517dd5107ab"
    )
    assert H(b"chain", 7).hex() == (
        "c8c5a3f92a08917b0555c341a93f2787555b5d6568d0cdea6ae3ba0f85f66ff1"
    )


def test_hash_is_unkeyed_blake2b_256_over_the_hand_written_encoding() -> None:
    """REQ-PRIM-02."""
    assert H(b"chain", 7) == hashlib.blake2b(MESSAGE, digest_size=32).digest()
    assert H(b"x") == hashlib.blake2b(bytes.fromhex("91c40178"), digest_size=32).digest()


def test_kdf_without_parts_and_with_every_type_of_part() -> None:
    assert (
        KDF(KEY, b"chain", size=64)
        == hashlib.blake2b(bytes.fromhex("91c405636861696e"), key=KEY, digest_size=64).digest()
    )
    everything = bytes.fromhex("97c40161c4020102a2c3a9cd0100c0c39201c400")
    assert (
        KDF(KEY, b"a", b"\1\2", "é", 256, None, True, [1, b""])
        == hashlib.blake2b(everything, key=KEY, digest_size=32).digest()
    )


@given(INPUTS, INPUTS)
def test_different_labels_or_parts_give_different_results(
    a: tuple[bytes, list[Value]], b: tuple[bytes, list[Value]]
) -> None:
    assume((a[0], typed(a[1])) != (b[0], typed(b[1])))
    assert KDF(KEY, a[0], *a[1]) != KDF(KEY, b[0], *b[1])
    assert H(a[0], *a[1]) != H(b[0], *b[1])


def test_parts_that_read_alike_give_different_results() -> None:
    lists: list[list[Value]] = [
        [],
        [b""],
        [None],
        [0],
        [False],
        [[]],
        [""],
        [b"ab"],
        [b"a", b"b"],
        ["ab"],
        [[b"ab"]],
        [[b"a", b"b"]],
        [1],
        [True],
        [b"\1"],
        [b"a", b"b", b""],
        [b"", b"a", b"b"],
    ]
    assert len({H(b"l", *parts) for parts in lists}) == len(lists)
    assert len({KDF(KEY, b"l", *parts) for parts in lists}) == len(lists)
    assert H(b"l", b"x") != H(b"lx") != H(b"", b"lx")


@given(st.integers(1, 64), st.integers(1, 64))
def test_a_shorter_output_is_no_prefix_of_a_longer_one(a: int, b: int) -> None:
    # Very short outputs can agree by chance.
    assume(8 <= a < b)
    assert not KDF(KEY, b"chain", size=b).startswith(KDF(KEY, b"chain", size=a))


@pytest.mark.parametrize("size", [-1, 0, 65])
def test_sizes_outside_one_to_sixty_four_are_refused(size: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        KDF(KEY, b"chain", size=size)


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64, 65])
def test_a_derivation_key_of_another_size_is_refused(size: int) -> None:
    """REQ-PRIM-16. In particular no key: keyed with nothing, BLAKE2b would be `H`."""
    with pytest.raises(LocalError) as caught:
        KDF(bytes(size), b"chain")
    assert caught.value.reason is Reason.BAD_INPUT


def test_each_key_gives_its_own_result_and_the_empty_key_is_not_no_key() -> None:
    results = {KDF(bytes([n]) + bytes(31), b"chain", 7) for n in range(64)}
    assert len(results) == 64
    assert bytes(32) == EMPTY_KEY
    assert KDF(EMPTY_KEY, b"chain", 7) != H(b"chain", 7)


def test_comparison_is_of_all_bytes() -> None:
    assert equal(b"", b"")
    assert equal(KEY, bytes(range(32)))
    for at in range(32):
        assert not equal(KEY, KEY[:at] + bytes([KEY[at] ^ 1]) + KEY[at + 1 :])
    assert not equal(KEY, KEY[:-1])


def test_suite_one_is_known_and_any_other_is_refused() -> None:
    """REQ-PRIM-19."""
    assert suite(1) is SUITE_1
    assert (SUITE_1.number, SUITE_1.leaf_key_bytes) == (1, 32)
    for number, known in SUITES.items():
        assert known.number == number
    for number in {0, 3, 255, 2**64 - 1} - set(SUITES):
        with pytest.raises(RemoteError) as caught:
            suite(number)
        assert caught.value.reason is Reason.UNKNOWN_SUITE
