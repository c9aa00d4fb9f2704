"""The primitives of suite 1, and the rules for using them (spec 03).

Nothing here is hand-written cryptography: BLAKE2b comes from `hashlib`, everything else from
libsodium through PyNaCl. What this module adds is strictness: which keys, points and signatures
are refused, and one way each to derive, hash, sign and encrypt.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from .errors import LocalError, Reason, RemoteError
from .wire import Value, encode

KEY_BYTES: Final = 32
MAX_KDF_OUTPUT: Final = 64  # bytes that BLAKE2b gives at most
SIGNATURE_BYTES: Final = 64
_SIGN_KEY_BYTES: Final = 64  # seed ‖ public key, as libsodium keeps it
TAG_BYTES: Final = 16
EMPTY_KEY: Final = bytes(KEY_BYTES)
_ZERO_NONCE: Final = bytes(12)
_FIELD_PRIME: Final = 2**255 - 19
# What every signature of this protocol starts with, so that an identity key that is also used
# elsewhere never signs anything that means something here.
_SIGNATURE_CONTEXT: Final = b"Evanesce 1"

# A source of random bytes: called with a length, returns that many. Passed in, never ambient.
Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Suite:
    """A set of algorithms, fixed for a room and bound into its context. Never negotiated."""

    number: int
    name: str
    leaf_key_bytes: int


SUITE_1: Final = Suite(1, "X25519, Ed25519, ChaCha20-Poly1305, BLAKE2b", 32)
SUITES: Final = {SUITE_1.number: SUITE_1}


def suite(number: int) -> Suite:
    """Return the suite with this number. Raise `RemoteError` (unknown-suite) (REQ-PRIM-19)."""
    try:
        return SUITES[number]
    except KeyError:
        raise RemoteError(Reason.UNKNOWN_SUITE, f"suite {number}") from None


def _check_own_key(key: bytes, size: int = KEY_BYTES) -> None:
    """Refuse a key of ours with a wrong length: libsodium would read past its end (REQ-PRIM-16)."""
    if len(key) != size:
        raise LocalError(Reason.BAD_INPUT, f"key of {len(key)} bytes, {size} needed")


def KDF(key: bytes, label: bytes, *parts: Value, size: int = 32) -> bytes:  # noqa: N802  spec name
    """Derive `size` (1 to 64) bytes: BLAKE2b under `key` (32 bytes) over ``[label, *parts]``.

    (REQ-PRIM-01)
    """
    if len(key) != KEY_BYTES:  # without a key, BLAKE2b would be `H`
        _check_own_key(key)
    return hashlib.blake2b(encode([label, *parts]), key=key, digest_size=size).digest()


def H(label: bytes, *parts: Value) -> bytes:  # noqa: N802  spec name
    """Hash to 32 bytes: unkeyed BLAKE2b-256 over the canonical encoding of ``[label, *parts]``.

    (REQ-PRIM-02)
    """
    return hashlib.blake2b(encode([label, *parts]), digest_size=32).digest()


def equal(a: bytes, b: bytes) -> bool:
    """Compare in constant time (for equal lengths)."""
    return hmac.compare_digest(a, b)


# --- X25519 (RFC 7748) ---------------------------------------------------------------------------


def dh_public(private: bytes) -> bytes:
    """Return the public key (32 bytes) of an X25519 private key (32 bytes)."""
    _check_own_key(private)
    return sodium.crypto_scalarmult_base(private)


def dh_keypair(random: Random) -> tuple[bytes, bytes]:
    """Return a new X25519 key pair: private, public (32 bytes each)."""
    private = random(KEY_BYTES)
    return private, dh_public(private)


def dh(private: bytes, public: bytes) -> bytes:
    """Return the X25519 shared secret (32 bytes).

    Raise `RemoteError` (bad-key) when `public` is not canonical or the result is all zero
    (REQ-PRIM-03, 04).
    """
    _check_own_key(private)
    if len(public) != KEY_BYTES or int.from_bytes(public, "little") >= _FIELD_PRIME:
        raise RemoteError(Reason.BAD_KEY, "X25519 public key is not canonical")
    try:
        shared = sodium.crypto_scalarmult(private, public)
    except CryptoError as error:  # libsodium refuses the points that give zero
        raise RemoteError(Reason.BAD_KEY, "X25519 public key of small order") from error
    if equal(shared, EMPTY_KEY):
        raise RemoteError(Reason.BAD_KEY, "X25519 public key of small order")
    return shared


# Any scalar will do for a trial exchange: the result is zero exactly for points of small order.
_TRIAL_SCALAR: Final = bytes([8]) + bytes(30) + bytes([64])


def check_dh_key(public: bytes) -> None:
    """Refuse an X25519 key that must not be admitted: `RemoteError` (bad-key) (REQ-PRIM-05)."""
    dh(_TRIAL_SCALAR, public)


# --- Ed25519 (RFC 8032) --------------------------------------------------------------------------


def sign_keypair(random: Random) -> tuple[bytes, bytes]:
    """Return a new Ed25519 key pair: private (seed ‖ public, 64 bytes), public (32 bytes)."""
    seed = random(KEY_BYTES)
    _check_own_key(seed)
    public, private = sodium.crypto_sign_seed_keypair(seed)
    return private, public


def sign(private: bytes, label: bytes, *parts: Value) -> bytes:
    """Return the Ed25519 signature (64 bytes) over ``["Evanesce 1", label, *parts]``.

    (REQ-PRIM-07)
    """
    _check_own_key(private, _SIGN_KEY_BYTES)
    message = encode([_SIGNATURE_CONTEXT, label, *parts])
    return sodium.crypto_sign(message, private)[:SIGNATURE_BYTES]


def verify(public: bytes, signature: bytes, label: bytes, *parts: Value) -> None:
    """Check a signature made by `sign`. Raise `RemoteError` (bad-signature) (REQ-PRIM-07)."""
    verify_raw(public, signature, encode([_SIGNATURE_CONTEXT, label, *parts]))


def verify_raw(public: bytes, signature: bytes, message: bytes) -> None:
    """Check a signature over bare bytes, for `verify` and published vectors only.

    Raise `RemoteError` (bad-signature). libsodium refuses S ≥ L, keys and R that are not canonical
    or of small order, and compares S·B − h·A with R without the cofactor (REQ-PRIM-08 to 10).
    """
    if len(signature) != SIGNATURE_BYTES or len(public) != KEY_BYTES:
        raise RemoteError(Reason.BAD_SIGNATURE, "signature or key of a wrong length")
    try:
        sodium.crypto_sign_open(signature + message, public)
    except CryptoError as error:
        raise RemoteError(Reason.BAD_SIGNATURE, "signature does not verify") from error


def check_sign_key(public: bytes) -> None:
    """Refuse an Ed25519 key that must not be admitted: `RemoteError` (bad-key).

    It must be the canonical encoding of a point of the prime-order subgroup (REQ-PRIM-06).
    """
    if len(public) != KEY_BYTES or not sodium.crypto_core_ed25519_is_valid_point(public):
        raise RemoteError(Reason.BAD_KEY, "Ed25519 public key is not in the prime-order subgroup")


# --- ChaCha20-Poly1305 (RFC 8439) ----------------------------------------------------------------


def encrypt(key: bytes, plaintext: bytes) -> bytes:
    """Encrypt under a key that is used once, so the nonce is zero. Adds a tag of 16 bytes.

    (REQ-PRIM-11, 12)
    """
    _check_own_key(key)
    return sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, None, _ZERO_NONCE, key)


def decrypt(key: bytes, ciphertext: bytes) -> bytes:
    """Undo `encrypt`. Raise `RemoteError` (bad-ciphertext) (REQ-PRIM-11)."""
    _check_own_key(key)
    if len(ciphertext) < TAG_BYTES:
        raise RemoteError(Reason.BAD_CIPHERTEXT, "ciphertext shorter than its tag")
    try:
        return sodium.crypto_aead_chacha20poly1305_ietf_decrypt(ciphertext, None, _ZERO_NONCE, key)
    except CryptoError as error:
        raise RemoteError(Reason.BAD_CIPHERTEXT, "ciphertext does not authenticate") from error


# --- XChaCha20-Poly1305, for what a device keeps ------------------------------------------------

WRAP_NONCE_BYTES: Final = 24


def wrap(key: bytes, data: bytes, name: bytes, random: Random) -> bytes:
    """Encrypt what is kept under a key that is used many times: 24 random bytes of nonce first.

    `name` is authenticated with it, so that one record cannot be put in another's place.
    """
    nonce = random(WRAP_NONCE_BYTES)
    return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(data, name, nonce, key)


def unwrap(key: bytes, wrapped: bytes, name: bytes) -> bytes:
    """Undo `wrap`. Raise `RemoteError` (bad-ciphertext)."""
    nonce, sealed = wrapped[:WRAP_NONCE_BYTES], wrapped[WRAP_NONCE_BYTES:]
    if len(sealed) < TAG_BYTES:
        raise RemoteError(Reason.BAD_CIPHERTEXT, "wrapped data shorter than its tag")
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, name, nonce, key)
    except CryptoError as error:
        raise RemoteError(Reason.BAD_CIPHERTEXT, "wrapped data does not authenticate") from error
