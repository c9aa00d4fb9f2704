"""Who a device is: its identity keys, fingerprint and safety numbers (spec 06)."""

from __future__ import annotations

from dataclasses import dataclass

from .formats import SIGNED
from .primitives import KDF, H, Random, check_dh_key, check_sign_key, dh_keypair, sign, sign_keypair
from .secret import Secret
from .wire import decode, encode

__all__ = ["Identity", "IdentityKeys", "open_signed", "safety_number", "seal_signed"]

_CHUNKS = 6  # of five digits each: 30 digits for each side


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """The public identity of a device: an Ed25519 key and an X25519 key, 32 bytes each."""

    sign_key: bytes
    dh_key: bytes

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that stand for both keys (REQ-ID-01)."""
        return H(b"fingerprint", self.sign_key, self.dh_key)

    def __repr__(self) -> str:
        return f"<Identity {self.fingerprint[:4].hex()}>"

    def check(self) -> None:
        """Refuse keys that must not be admitted: `RemoteError` (bad-key)."""
        check_sign_key(self.sign_key)
        check_dh_key(self.dh_key)


@dataclass(frozen=True, slots=True)
class IdentityKeys:
    """A device's own identity: the private keys, and the public identity they make."""

    identity: Identity
    sign_private: Secret  # 64 bytes: seed and public key
    dh_private: Secret  # 32 bytes

    @classmethod
    def generate(cls, random: Random) -> IdentityKeys:
        """Make a new identity from 64 random bytes."""
        sign_private, sign_key = sign_keypair(random)
        dh_private, dh_key = dh_keypair(random)
        return cls(Identity(sign_key, dh_key), Secret(sign_private), Secret(dh_private))

    def dump(self) -> bytes:
        """Serialise, private keys included, for a store that encrypts."""
        private = (self.sign_private.reveal(), self.dh_private.reveal())
        return encode([self.identity.sign_key, self.identity.dh_key, *private])

    @classmethod
    def load(cls, data: bytes) -> IdentityKeys:
        """Undo `dump`."""
        sign_key, dh_key, sign_private, dh_private = decode(data, limit=512)
        return cls(Identity(sign_key, dh_key), Secret(sign_private), Secret(dh_private))


def safety_number(mine: Identity, theirs: Identity) -> str:
    """Return the 60 digits that two devices compare, in twelve groups of five (REQ-ID-03).

    Both sides see the same number: 30 digits for each fingerprint, the smaller half first.
    """
    first, second = sorted((_digits(mine.fingerprint), _digits(theirs.fingerprint)))
    return f"{first} {second}"


def _digits(fingerprint: bytes) -> str:
    """Thirty digits for a fingerprint: six groups, each 8 bytes taken modulo 100,000."""
    wide = KDF(fingerprint, b"safety number", size=_CHUNKS * 8)
    groups = (int.from_bytes(wide[n : n + 8], "big") % 100_000 for n in range(0, len(wide), 8))
    return " ".join(f"{group:05}" for group in groups)


def seal_signed(private: bytes, label: bytes, body: bytes) -> bytes:
    """Return a signed object: `body`, and the signature over `label` and `body`."""
    return SIGNED.build(body, sign(private, label, body))


def open_signed(data: bytes) -> tuple[bytes, bytes]:
    """Split a signed object into body and signature; the caller verifies once it knows the key."""
    body, signature = SIGNED.parse(data)
    return body, signature
