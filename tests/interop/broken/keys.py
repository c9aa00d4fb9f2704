"""Mistakes with keys, signatures and hashes (chapter 3)."""

from __future__ import annotations

import hashlib
from typing import Any

from nacl import bindings as sodium

from evanesce import primitives
from evanesce.errors import Reason, RemoteError
from evanesce.wire import encode
from spec import reference as ref

from .flaw import Patch, flaw

_L = ref.L


@flaw(
    "signature-not-reduced",
    "ed25519-speccheck-6",
    "ed25519-speccheck-7",
    "ed25519-verify-s-plus-l",
)
def _(patch: Patch) -> None:
    """Takes S + L for S: every signature has a second form."""
    strict = primitives.verify_raw

    def verify_raw(public: bytes, signature: bytes, message: bytes) -> None:
        s = int.from_bytes(signature[32:], "little") % _L
        strict(public, signature[:32] + s.to_bytes(32, "little"), message)

    patch.everywhere(strict, verify_raw)


def _equation(patch: Patch, cofactor: int, *, small_order: bool, canonical: bool = True) -> None:
    """Check a signature by another equation, where libsodium's own refuses it."""
    strict = primitives.verify_raw

    def point(data: bytes) -> Any:
        y = int.from_bytes(data, "little") & ((1 << 255) - 1)
        if not canonical and y >= ref.P:
            data = (y % ref.P | (data[31] >> 7) << 255).to_bytes(32, "little")
        return ref.decode_point(data)

    def holds(public: bytes, signature: bytes, message: bytes) -> bool:
        if len(public) != 32 or len(signature) != 64:
            return False
        a, r, s = point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
        if a is None or r is None or s >= _L:
            return False
        if not small_order and (ref.small_order(a) or ref.small_order(r)):
            return False
        h = hashlib.sha512(signature[:32] + public + message).digest()
        k = int.from_bytes(h, "little") % _L
        sum_of = ref.add(r, ref.multiply(k, a))
        return ref.multiply(cofactor * s, ref.BASE) == ref.multiply(cofactor, sum_of)

    def verify_raw(public: bytes, signature: bytes, message: bytes) -> None:
        try:
            strict(public, signature, message)
        except RemoteError:
            if not holds(public, signature, message):
                raise

    patch.everywhere(strict, verify_raw)


@flaw("cofactored", "ed25519-speccheck-4", "ed25519-speccheck-5")
def _(patch: Patch) -> None:
    """Checks signatures with the cofactor, which RFC 8032 allows."""
    _equation(patch, 8, small_order=False)


@flaw("small-order-keys", "ed25519-speccheck-0", "ed25519-speccheck-1", "ed25519-speccheck-2")
def _(patch: Patch) -> None:
    """Takes keys and R of small order: one signature fits every message."""
    _equation(patch, 1, small_order=True)


@flaw("points-not-canonical", "ed25519-speccheck-0", "ed25519-speccheck-1", "ed25519-speccheck-2")
def _(patch: Patch) -> None:
    """Reduces y modulo p instead of refusing what is not below it."""
    _equation(patch, 1, small_order=True, canonical=False)


@flaw("sign-key-not-checked", "ed25519-key-y-p", "ed25519-key-small-0", "ed25519-key-small-1")
def _(patch: Patch) -> None:
    """Admits any 32 bytes as a signature key: a bad one will verify nothing anyway."""
    _only_length(patch, primitives.check_sign_key)


def _only_length(patch: Patch, check: Any) -> None:
    def lenient(public: bytes) -> None:
        if len(public) != 32:
            raise RemoteError(Reason.BAD_KEY, "length")

    patch.everywhere(check, lenient)


@flaw("sign-key-any-point", "ed25519-key-mixed-0", "ed25519-key-mixed-1", "ed25519-key-mixed-2")
def _(patch: Patch) -> None:
    """Admits a signature key that is on the curve, but not in the subgroup."""

    def lenient(public: bytes) -> None:
        point = ref.decode_point(public) if len(public) == 32 else None
        if point is None or ref.small_order(point):
            raise RemoteError(Reason.BAD_KEY, "no point, or of small order")

    patch.everywhere(primitives.check_sign_key, lenient)


@flaw("zero-shared-secret", "dh-key-one", "dh-key-zero", "dh-check-one")
def _(patch: Patch) -> None:
    """Goes on with a shared secret of zeros."""
    strict = primitives.dh

    def dh(private: bytes, public: bytes) -> bytes:
        try:
            return strict(private, public)
        except RemoteError:
            if len(public) != 32 or int.from_bytes(public, "little") >= ref.P:
                raise
            return bytes(32)

    patch.everywhere(strict, dh)


@flaw("u-not-canonical", "dh-key-highest", "dh-key-top-bit", "dh-key-p-plus-2")
def _(patch: Patch) -> None:
    """Reduces u modulo p, and ignores its highest bit, as RFC 7748 asks."""
    strict = primitives.dh

    def dh(private: bytes, public: bytes) -> bytes:
        u = (int.from_bytes(public, "little") & ((1 << 255) - 1)) % ref.P
        return strict(private, u.to_bytes(32, "little") if len(public) == 32 else public)

    patch.everywhere(strict, dh)


@flaw("no-signature-context", "ed25519-verify-good", "ed25519-sign-nil")
def _(patch: Patch) -> None:
    """Signs the label and the parts, without the name of the protocol before them."""
    patch.here(primitives, "_SIGNATURE_CONTEXT", b"")


@flaw("clamped-seed", "ed25519-sign-bin", "ed25519-sign-nil", "ed25519-sign-none")
def _(patch: Patch) -> None:
    """Clamps the seed of a signature key, as if it were the scalar."""
    honest = primitives.sign_keypair

    def sign_keypair(random: primitives.Random) -> tuple[bytes, bytes]:
        seed = bytearray(random(32))
        seed[0], seed[31] = seed[0] & 248, seed[31] & 127 | 64
        public, private = sodium.crypto_sign_seed_keypair(bytes(seed))
        return private, public

    patch.everywhere(honest, sign_keypair)


@flaw("hash-not-keyed", "kdf-small-64", "kdf-bin-32")
def _(patch: Patch) -> None:
    """Puts the key before the input instead of keying BLAKE2b with it."""

    def derive(key: bytes, label: bytes, *parts: Any, size: int = 32) -> bytes:
        data = encode([label, *parts])
        return hashlib.blake2b(key + data, digest_size=size).digest()

    patch.everywhere(primitives.KDF, derive)


@flaw("cut-output", "kdf-key-0", "kdf-bin-32", "kdf-nil-32")
def _(patch: Patch) -> None:
    """Always derives 64 bytes and cuts them: the size is part of what BLAKE2b hashes."""

    def derive(key: bytes, label: bytes, *parts: Any, size: int = 32) -> bytes:
        data = encode([label, *parts])
        return hashlib.blake2b(data, key=key, digest_size=64).digest()[:size]

    patch.everywhere(primitives.KDF, derive)
