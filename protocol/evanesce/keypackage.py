"""Key packages and cards: how a device can be invited while it is away (spec 06)."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LocalError, Reason, RemoteError
from .formats import CARD, KEY_PACKAGE
from .identity import Identity, IdentityKeys, open_signed, seal_signed
from .limits import MAX_NAME, ONE_TIME_PREKEYS, PACKAGE_LIFETIME, SIGNED_PREKEY_ROTATION
from .mailbox import Mailbox
from .primitives import (
    SUITE_1,
    H,
    Random,
    Suite,
    check_dh_key,
    check_sign_key,
    dh_keypair,
    sign_keypair,
    suite,
    verify,
)
from .secret import Secret
from .wire import decode, encode, utf8

__all__ = ["Card", "KeyPackage", "KeyPackageKeys"]

_LABEL = b"key package"


@dataclass(frozen=True, slots=True)
class KeyPackage:
    """A verified key package. `signed` is the object as it travels; everything else is in it."""

    signed: bytes
    suite: Suite
    identity: Identity
    signed_prekey: bytes
    one_time_prekeys: tuple[bytes, ...]
    leaf_key: bytes
    room_sign_key: bytes
    contact: Mailbox
    expiry: int
    last_resort: bool

    @property
    def hash(self) -> bytes:
        """32 bytes that name this package (REQ-ID-06)."""
        return H(b"key package", self.signed)

    @classmethod
    def parse(cls, signed: bytes, *, verified: bool = False) -> KeyPackage:
        """Read and verify a signed key package (REQ-ID-07).

        `verified` leaves out the cryptographic checks, for what one has checked and kept. Raise
        `RemoteError`: the reasons of `Form.parse`, then unknown-suite, bad-key (identity),
        bad-signature, bad-key (the other keys), bad-form (a wrong number of one-time prekeys), in
        this order.
        """
        body, signature = open_signed(signed)
        fields = KEY_PACKAGE.parse(body)
        number, sign_key, dh_key, signed_prekey, prekeys, leaf, room_key, contact, expiry, last = (
            fields
        )
        algorithms = suite(number)
        identity = Identity(sign_key, dh_key)
        if not verified:
            identity.check()
            verify(sign_key, signature, _LABEL, body)
            for key in (signed_prekey, *prekeys, leaf, contact[1]):
                check_dh_key(key)
            check_sign_key(room_key)
        if len(prekeys) != (0 if last else ONE_TIME_PREKEYS):
            raise RemoteError(Reason.BAD_FORM, f"{len(prekeys)} one-time prekeys")
        return cls(signed, algorithms, identity, signed_prekey, tuple(prekeys), leaf, room_key,
                   Mailbox(*contact), expiry, last)  # fmt: skip

    def prekey(self, index: int | None) -> bytes | None:
        """The one-time prekey an invitation names. Raise `RemoteError` (used-package).

        A last-resort package has none (index None); a one-time package must name one.
        """
        if self.last_resort:
            if index is None:
                return None
        elif index is not None and 0 <= index < len(self.one_time_prekeys):
            return self.one_time_prekeys[index]
        raise RemoteError(Reason.USED_PACKAGE, "no such one-time prekey in this package")


@dataclass(frozen=True, slots=True)
class KeyPackageKeys:
    """The owner's side of a key package. A used one-time prekey is None."""

    package: KeyPackage
    signed_prekey: Secret
    one_time_prekeys: tuple[Secret | None, ...]
    leaf: Secret
    room_sign: Secret

    @classmethod
    def generate(
        cls,
        owner: IdentityKeys,
        contact: Mailbox,
        now: int,
        random: Random,
        *,
        last_resort: bool = False,
        algorithms: Suite = SUITE_1,
    ) -> KeyPackageKeys:
        """Make and sign a package.

        It expires `PACKAGE_LIFETIME` seconds after `now`; a last-resort one when it is due to be
        replaced, `SIGNED_PREKEY_ROTATION` seconds after.
        """
        lifetime = SIGNED_PREKEY_ROTATION if last_resort else PACKAGE_LIFETIME
        signed_prekey, signed_prekey_public = dh_keypair(random)
        count = 0 if last_resort else ONE_TIME_PREKEYS
        pairs = [dh_keypair(random) for _ in range(count)]
        leaf, leaf_key = dh_keypair(random)
        room_sign, room_sign_key = sign_keypair(random)
        identity = owner.identity
        body = KEY_PACKAGE.build(
            algorithms.number,
            identity.sign_key,
            identity.dh_key,
            signed_prekey_public,
            [public for _, public in pairs],
            leaf_key,
            room_sign_key,
            contact.value(),
            now + lifetime,
            last_resort,
        )
        signed = seal_signed(owner.sign_private.reveal(), _LABEL, body)
        return cls(
            KeyPackage.parse(signed),
            Secret(signed_prekey),
            tuple(Secret(private) for private, _ in pairs),
            Secret(leaf),
            Secret(room_sign),
        )

    def one_time_prekey(self, index: int | None) -> Secret | None:
        """The private prekey an invitation names. Raise `RemoteError` (used-package)."""
        self.package.prekey(index)
        if index is None:
            return None
        private = self.one_time_prekeys[index]
        if private is None:
            raise RemoteError(Reason.USED_PACKAGE, "this one-time prekey has been used")
        return private

    def without(self, index: int | None) -> KeyPackageKeys:
        """The same keys, with one one-time prekey erased: what is kept after a join."""
        kept = tuple(None if n == index else key for n, key in enumerate(self.one_time_prekeys))
        return KeyPackageKeys(self.package, self.signed_prekey, kept, self.leaf, self.room_sign)

    def dump(self) -> bytes:
        """Serialise, private keys included, for a store that encrypts."""
        return encode([
            self.package.signed,
            self.signed_prekey.reveal(),
            [None if key is None else key.reveal() for key in self.one_time_prekeys],
            self.leaf.reveal(),
            self.room_sign.reveal(),
        ])  # fmt: skip

    @classmethod
    def load(cls, data: bytes) -> KeyPackageKeys:
        """Undo `dump`."""
        signed, signed_prekey, prekeys, leaf, room_sign = decode(data, limit=4_096)
        kept = tuple(None if key is None else Secret(key) for key in prekeys)
        package = KeyPackage.parse(signed, verified=True)
        return cls(package, Secret(signed_prekey), kept, Secret(leaf), Secret(room_sign))


@dataclass(frozen=True, slots=True)
class Card:
    """What a person hands around to be contacted: a name and a signed key package.

    The package holds the identity keys and the contact mailbox. The name is the owner's own word,
    not signed; only the safety number ties a card to a person.
    """

    name: str
    package: KeyPackage

    @property
    def identity(self) -> Identity:
        """Whose card it is."""
        return self.package.identity

    def encode(self) -> bytes:
        """The card as bytes, to publish or show as a QR code.

        Raise `LocalError` (too-large, bad-input) for a name that no card holds.
        """
        utf8(self.name, MAX_NAME)
        return CARD.build(self.name, self.package.signed)

    @classmethod
    def decode(cls, data: bytes) -> Card:
        """Read and verify a card. Raise `RemoteError` as `KeyPackage.parse`."""
        name, signed = CARD.parse(data)
        return cls(name, KeyPackage.parse(signed))

    def check_usable(self, now: int) -> None:
        """Refuse to invite with an expired package: `LocalError` (expired)."""
        if now > self.package.expiry:
            raise LocalError(Reason.EXPIRED, "the key package on this card has expired")
