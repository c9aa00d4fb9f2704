"""Edges of the primitives that the vectors do not reach: wrapping, names, the largest output."""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce.errors import Reason, RemoteError
from evanesce.primitives import (
    KDF,
    MAX_KDF_OUTPUT,
    SUITE_1,
    WRAP_NONCE_BYTES,
    unwrap,
    wrap,
)

# The test vector of draft-irtf-cfrg-xchacha-03, appendix A.3.1.
KEY: Final = bytes(range(0x80, 0xA0))
NONCE: Final = bytes(range(0x40, 0x58))
NAME: Final = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
DATA: Final = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you "
    b"only one tip for the future, sunscreen would be it."
)
SEALED: Final = bytes.fromhex(
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
    "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
    "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
    "21f9664c97637da9768812f615c68b13b52e"
    "c0875924c1c7987947deafd8780acf49"
)


def refusal(key: bytes, wrapped: bytes, name: bytes) -> Reason:
    with pytest.raises(RemoteError) as caught:
        unwrap(key, wrapped, name)
    return caught.value.reason


# --- Wrapping (REQ-EVAP-08) ----------------------------------------------------------------------


def test_wrapping_is_a_nonce_of_24_drawn_bytes_and_then_xchacha20_poly1305() -> None:
    drawn = []

    def random(size: int) -> bytes:
        drawn.append(size)
        return NONCE

    assert wrap(KEY, DATA, NAME, random) == NONCE + SEALED
    assert drawn == [24]
    assert WRAP_NONCE_BYTES == 24
    assert unwrap(KEY, NONCE + SEALED, NAME) == DATA


@given(st.binary(max_size=100), st.binary(max_size=40), st.binary(min_size=24, max_size=24))
def test_what_is_wrapped_unwraps_under_its_name_only(
    data: bytes, name: bytes, nonce: bytes
) -> None:
    wrapped = wrap(KEY, data, name, lambda _: nonce)
    assert unwrap(KEY, wrapped, name) == data
    assert refusal(KEY, wrapped, name + b"x") is Reason.BAD_CIPHERTEXT
    assert refusal(bytes(32), wrapped, name) is Reason.BAD_CIPHERTEXT


def test_what_is_wrapped_may_be_empty_and_no_shorter() -> None:
    wrapped = wrap(KEY, b"", NAME, lambda _: NONCE)
    assert len(wrapped) == 24 + 16
    assert unwrap(KEY, wrapped, NAME) == b""
    for size in range(len(wrapped)):
        assert refusal(KEY, wrapped[:size], NAME) is Reason.BAD_CIPHERTEXT


@pytest.mark.parametrize("at", range(0, 24 + len(SEALED), 5))
def test_a_change_of_any_wrapped_byte_is_refused(at: int) -> None:
    changed = bytearray(NONCE + SEALED)
    changed[at] ^= 1
    assert refusal(KEY, bytes(changed), NAME) is Reason.BAD_CIPHERTEXT


# --- Constants that stand in the specification ---------------------------------------------------


def test_the_largest_output_is_64_bytes() -> None:
    assert MAX_KDF_OUTPUT == 64
    assert len(KDF(KEY, b"label", size=MAX_KDF_OUTPUT)) == 64
    with pytest.raises(ValueError, match="digest_size"):
        KDF(KEY, b"label", size=MAX_KDF_OUTPUT + 1)


def test_the_suite_has_the_name_of_the_specification() -> None:
    text = (Path(__file__).parents[2] / "spec" / "02-constants.md").read_text(encoding="utf-8")
    assert f"| suite | {SUITE_1.number} | {SUITE_1.name} |" in text
