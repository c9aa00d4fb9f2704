"""ChaCha20-Poly1305 with one-time keys (spec 03.5)."""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.primitives import decrypt, encrypt

KEY: Final = bytes(range(32))
PLAINTEXT: Final = b"Evanesce: one key, one message."
# Computed once with another implementation, OpenSSL through the Python package `cryptography` 50:
#     ChaCha20Poly1305(bytes(range(32))).encrypt(bytes(12), PLAINTEXT, None)
# and the same with an empty plaintext. The module under test uses libsodium.
CIPHERTEXT: Final = bytes.fromhex(
    "5dce235fc895c5b42941330fca632542819dd39a8fc87b31898b8f734d505b7be513c158626cf466e97e8a47ec773e"
)
EMPTY_TAG: Final = bytes.fromhex("10324f800a160bd9a1794255be7ec29d")


def refusal(ciphertext: bytes, key: bytes = KEY) -> Reason:
    with pytest.raises(RemoteError) as caught:
        decrypt(key, ciphertext)
    return caught.value.reason


def test_the_known_answer_of_another_implementation() -> None:
    """REQ-PRIM-11: zero nonce, no associated data."""
    assert encrypt(KEY, PLAINTEXT) == CIPHERTEXT
    assert decrypt(KEY, CIPHERTEXT) == PLAINTEXT
    assert encrypt(KEY, b"") == EMPTY_TAG
    assert decrypt(KEY, EMPTY_TAG) == b""
    text = (Path(__file__).parents[2] / "spec" / "03-primitives.md").read_text(encoding="utf-8")
    assert f"    {CIPHERTEXT.hex()}\n" in text


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_what_is_encrypted_decrypts(key: bytes, plaintext: bytes) -> None:
    ciphertext = encrypt(key, plaintext)
    assert len(ciphertext) == len(plaintext) + 16
    assert decrypt(key, ciphertext) == plaintext


@pytest.mark.parametrize("size", range(len(CIPHERTEXT)))
def test_a_ciphertext_cut_at_any_byte_is_refused(size: int) -> None:
    assert refusal(CIPHERTEXT[:size]) is Reason.BAD_CIPHERTEXT


@pytest.mark.parametrize("at", range(len(CIPHERTEXT)))
def test_a_change_of_any_byte_is_refused(at: int) -> None:
    """The last 16 are the tag."""
    for mask in (0x01, 0x80, 0xFF):
        changed = bytearray(CIPHERTEXT)
        changed[at] ^= mask
        assert refusal(bytes(changed)) is Reason.BAD_CIPHERTEXT


def test_bytes_added_at_either_end_are_refused() -> None:
    assert refusal(CIPHERTEXT + b"\0") is Reason.BAD_CIPHERTEXT
    assert refusal(b"\0" + CIPHERTEXT) is Reason.BAD_CIPHERTEXT


def test_another_key_is_refused() -> None:
    assert refusal(CIPHERTEXT, bytes(32)) is Reason.BAD_CIPHERTEXT
    assert refusal(EMPTY_TAG, bytes(32)) is Reason.BAD_CIPHERTEXT


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_with_the_one_reason(data: bytes) -> None:
    assert refusal(data) is Reason.BAD_CIPHERTEXT


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_key_of_a_wrong_length_is_a_local_error(size: int) -> None:
    """REQ-PRIM-16: it is no fault of the one who sent the ciphertext."""
    with pytest.raises(LocalError) as caught:
        encrypt(bytes(size), b"")
    assert caught.value.reason is Reason.BAD_INPUT
    with pytest.raises(LocalError) as caught:
        decrypt(bytes(size), CIPHERTEXT)
    assert caught.value.reason is Reason.BAD_INPUT
