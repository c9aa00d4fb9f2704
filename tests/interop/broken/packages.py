"""Mistakes with identities, key packages and invitations (chapters 6 and 7)."""

from __future__ import annotations

from typing import Any

from evanesce import identity, invitation, keypackage, primitives
from evanesce.errors import EvanesceError, Reason, RemoteError
from evanesce.formats import KEY_PACKAGE
from evanesce.identity import Identity, open_signed
from evanesce.keypackage import KeyPackage, KeyPackageKeys
from evanesce.mailbox import Mailbox

from .flaw import Patch, flaw


@flaw("safety-number-not-sorted", "safety-number-1-0", "safety-number-3-2", "safety-number-swapped")
def _(patch: Patch) -> None:
    """Puts one's own half of a safety number first: the two sides see different numbers."""
    digits = vars(identity)["_digits"]

    def safety_number(mine: Identity, theirs: Identity) -> str:
        return f"{digits(mine.fingerprint)} {digits(theirs.fingerprint)}"

    patch.everywhere(identity.safety_number, safety_number)


@flaw(
    "package-keys-not-checked",
    "keypackage-read-leaf-small",
    "keypackage-read-prekey-0-small",
    "keypackage-read-room-key-small",
)
def _(patch: Patch) -> None:
    """Verifies a key package's signature, and trusts the keys in it."""
    patch.here(keypackage, "check_dh_key", lambda _: None)
    patch.here(keypackage, "check_sign_key", lambda _: None)


@flaw("last-prekey-not-checked", "keypackage-read-prekey-3-small")
def _(patch: Patch) -> None:
    """Checks all keys of a package but the last one-time prekey."""
    strict = KeyPackage.parse

    def parse(signed: bytes, *, verified: bool = False) -> KeyPackage:
        left = [4]

        def check(public: bytes) -> None:
            left[0] -= 1
            if left[0] != -1:  # signed prekey, then four: the fifth is let through
                primitives.check_dh_key(public)

        patch.here(keypackage, "check_dh_key", check)
        return strict(signed, verified=verified)

    patch.here(KeyPackage, "parse", staticmethod(parse))


@flaw(
    "contact-key-not-checked",
    "keypackage-read-envelope-key-small",
    "keypackage-read-prekeys-after-keys",
)
def _(patch: Patch) -> None:
    """Checks the keys of a package, but not the one of the contact mailbox in it."""
    strict = KeyPackage.parse

    def parse(signed: bytes, *, verified: bool = False) -> KeyPackage:
        try:
            return strict(signed, verified=verified)
        except RemoteError as error:
            if error.reason is not Reason.BAD_KEY:
                raise
            package = strict(signed, verified=True)
            package.identity.check()
            for key in (package.signed_prekey, *package.one_time_prekeys, package.leaf_key):
                primitives.check_dh_key(key)
            primitives.check_sign_key(package.room_sign_key)
            return package

    patch.here(KeyPackage, "parse", staticmethod(parse))


@flaw(
    "package-signature-not-checked",
    "keypackage-card-signature",
    "keypackage-read-other-label",
    "keypackage-read-body-changed",
)
def _(patch: Patch) -> None:
    """Checks the keys of a package, and not who signed it."""
    patch.here(keypackage, "verify", lambda *_: None)


@flaw(
    "prekeys-not-counted",
    "keypackage-read-no-prekeys",
    "keypackage-read-three-prekeys",
    "keypackage-read-last-resort-with-prekeys",
)
def _(patch: Patch) -> None:
    """Takes a package with fewer one-time prekeys than it must have."""
    strict = KeyPackage.parse

    def parse(signed: bytes, *, verified: bool = False) -> KeyPackage:
        try:
            return strict(signed, verified=verified)
        except RemoteError as error:
            if "one-time prekeys" not in error.detail:
                raise
            body, _ = open_signed(signed)
            fields = KEY_PACKAGE.parse(body)
            suite = primitives.SUITES[fields[0]]
            who = Identity(*fields[1:3])
            return KeyPackage(
                signed, suite, who, fields[3], tuple(fields[4]), fields[5], fields[6],
                Mailbox(*fields[7]), fields[8], fields[9],
            )  # fmt: skip

    patch.here(KeyPackage, "parse", staticmethod(parse))


@flaw(
    "no-one-time-prekey",
    "invitation-seal-prekey-0",
    "invitation-seal-prekey-3",
    "invitation-open-prekey-1",
)
def _(patch: Patch) -> None:
    """Leaves the fourth exchange out: the one-time prekey is named, but does nothing."""
    derive = vars(invitation)["_key"]
    patch.here(invitation, "_key", lambda secrets, *rest: derive(secrets[:3], *rest))


@flaw(
    "exchanges-in-other-order",
    "invitation-seal-last-resort",
    "invitation-open-last-resort",
    "invitation-seal-prekey-0",
)
def _(patch: Patch) -> None:
    """Takes the exchanges of an invitation in the order of X3DH's picture."""
    derive = vars(invitation)["_key"]

    def other(secrets: list[bytes], *rest: Any) -> bytes:
        first, second, *others = secrets
        return bytes(derive([second, first, *others], *rest))

    patch.here(invitation, "_key", other)


@flaw(
    "inviter-not-checked",
    "invitation-open-keys-before-sealed",
    "invitation-open-inviter-small-sign-key",
)
def _(patch: Patch) -> None:
    """Opens an invitation without checking the inviter's keys."""
    patch.here(Identity, "check", lambda _: None)


@flaw(
    "invites-itself",
    "invitation-open-from-itself",
    "invitation-open-inviter-before-sealed",
    "invitation-open-inviter-before-ephemeral",
)
def _(patch: Patch) -> None:
    """Opens an invitation that seems to come from this device itself."""
    strict = invitation.open_invitation

    def open_invitation(owner: Any, keys: Any, parsed: Any) -> bytes:
        class Nobody:
            identity = None
            dh_private = owner.dh_private

        return strict(Nobody, keys, parsed)  # type: ignore[arg-type]

    patch.everywhere(strict, open_invitation)


@flaw(
    "used-prekey-accepted",
    "invitation-open-prekey-used",
    "invitation-open-prekey-before-keys",
    "invitation-open-used-before-inviter",
)
def _(patch: Patch) -> None:
    """Opens an invitation to a prekey that is gone as if none had been named."""
    strict = KeyPackageKeys.one_time_prekey

    def one_time_prekey(keys: Any, index: int | None) -> Any:
        try:
            return strict(keys, index)
        except EvanesceError:
            return None

    patch.here(KeyPackageKeys, "one_time_prekey", one_time_prekey)
