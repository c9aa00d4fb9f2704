"""Invitations: a deniable, X3DH-shaped handshake that carries a welcome (spec 07).

Both identities, their roles and every key go into the transcript that the key is derived from. The
handshake signs nothing: either side could have made it. What the welcome inside holds is another
matter, and spec 07 says what of it is signed.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Reason, RemoteError
from .formats import INVITATION
from .identity import Identity, IdentityKeys
from .keypackage import KeyPackage, KeyPackageKeys
from .primitives import EMPTY_KEY, KDF, H, Random, decrypt, dh, dh_keypair, encrypt, suite

__all__ = ["Invitation", "open_invitation", "seal_invitation"]


@dataclass(frozen=True, slots=True)
class Invitation:
    """A parsed invitation, not yet opened."""

    suite: int
    inviter: Identity
    package_hash: bytes
    prekey_index: int | None
    ephemeral_key: bytes
    sealed: bytes

    @classmethod
    def parse(cls, data: bytes) -> Invitation:
        """Read an invitation. Raise `RemoteError` as `Form.parse`, then unknown-suite."""
        number, sign_key, dh_key, package_hash, index, ephemeral, sealed = INVITATION.parse(data)
        suite(number)
        return cls(number, Identity(sign_key, dh_key), package_hash, index, ephemeral, sealed)


def _key(
    secrets: list[bytes],
    number: int,
    inviter: Identity,
    package: KeyPackage,
    index: int | None,
    ephemeral_key: bytes,
) -> bytes:
    """Derive the key of an invitation from its DH results and whole transcript (REQ-INV-03)."""
    transcript = H(
        b"invitation transcript",
        number,
        inviter.sign_key,
        inviter.dh_key,
        package.identity.sign_key,
        package.identity.dh_key,
        package.hash,
        package.signed_prekey,
        index,
        package.prekey(index),
        ephemeral_key,
    )
    return KDF(EMPTY_KEY, b"invitation", *secrets, transcript)


def seal_invitation(
    inviter: IdentityKeys,
    package: KeyPackage,
    index: int | None,
    welcome: bytes,
    random: Random,
) -> bytes:
    """Seal `welcome` to the owner of `package`, using its one-time prekey `index` (REQ-INV-02)."""
    ephemeral, ephemeral_key = dh_keypair(random)
    prekey = package.prekey(index)
    secrets = [
        dh(inviter.dh_private.reveal(), package.signed_prekey),
        dh(ephemeral, package.identity.dh_key),
        dh(ephemeral, package.signed_prekey),
    ]
    if prekey is not None:
        secrets.append(dh(ephemeral, prekey))
    number = package.suite.number
    me = inviter.identity
    key = _key(secrets, number, me, package, index, ephemeral_key)
    sealed = encrypt(key, welcome)
    return INVITATION.build(
        number, me.sign_key, me.dh_key, package.hash, index, ephemeral_key, sealed
    )


def open_invitation(owner: IdentityKeys, keys: KeyPackageKeys, invitation: Invitation) -> bytes:
    """Return the welcome inside (REQ-INV-04). The caller erases the prekey once it has joined.

    Raise `RemoteError`: unknown-package, unknown-suite, used-package, wrong-identity (the inviter
    is this device), bad-key, bad-ciphertext, in this order.
    """
    package = keys.package
    if invitation.package_hash != package.hash:
        raise RemoteError(Reason.UNKNOWN_PACKAGE, "not an invitation to this key package")
    if invitation.suite != package.suite.number:
        raise RemoteError(Reason.UNKNOWN_SUITE, "the package is of another suite")
    one_time = keys.one_time_prekey(invitation.prekey_index)
    if invitation.inviter == owner.identity:
        raise RemoteError(Reason.WRONG_IDENTITY, "an invitation from this device to itself")
    invitation.inviter.check()
    ephemeral_key = invitation.ephemeral_key
    secrets = [
        dh(keys.signed_prekey.reveal(), invitation.inviter.dh_key),
        dh(owner.dh_private.reveal(), ephemeral_key),
        dh(keys.signed_prekey.reveal(), ephemeral_key),
    ]
    if one_time is not None:
        secrets.append(dh(one_time.reveal(), ephemeral_key))
    key = _key(
        secrets,
        invitation.suite,
        invitation.inviter,
        package,
        invitation.prekey_index,
        ephemeral_key,
    )
    return decrypt(key, invitation.sealed)
