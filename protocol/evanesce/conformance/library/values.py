"""Values and objects of a case, between their JSON (spec 20.2) and this library."""

from __future__ import annotations

from typing import Any

from ...identity import Identity, IdentityKeys
from ...keypackage import KeyPackage, KeyPackageKeys
from ...mailbox import Mailbox, MailboxKeys
from ...primitives import sign_keypair
from ...proofs import Proof, ProofKind
from ...secret import Secret
from ...tree import Trail, as_order
from .registry import Json

__all__ = ["Tape", "identity_json", "identity_keys", "identity_of", "mailbox_json", "mailbox_keys",
           "mailbox_of", "package_keys", "proofs_of", "signing_keys", "tagged", "trail_of", "un",
           "un_maybe", "untagged"]  # fmt: skip


def un(text: str) -> bytes:
    """Bytes from hexadecimal."""
    return bytes.fromhex(text)


def un_maybe(text: str | None) -> bytes | None:
    """Bytes from hexadecimal, or None."""
    return None if text is None else bytes.fromhex(text)


def tagged(value: Any) -> Any:
    """Any value of chapter 4 as JSON: bin and str told apart, large integers in decimal."""
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, str):
        return {"str": value}
    if isinstance(value, list | tuple):
        return [tagged(item) for item in value]
    if type(value) is int and value >= 1 << 53:
        return {"uint": str(value)}
    return value


def untagged(value: Any) -> Any:
    """Undo `tagged`."""
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        return un(text) if kind == "bin" else int(text) if kind == "uint" else text
    return [untagged(item) for item in value] if isinstance(value, list) else value


class Tape:
    """A random source that gives out the bytes of a case, in order."""

    def __init__(self, *draws: bytes) -> None:
        self._data = b"".join(draws)

    def __call__(self, size: int) -> bytes:
        """The next `size` bytes. Raise `ValueError` when the case holds fewer."""
        taken, self._data = self._data[:size], self._data[size:]
        if len(taken) != size:
            raise ValueError("more randomness was drawn than the case gives")
        return taken

    def end(self) -> None:
        """Raise `ValueError` unless all has been drawn: a case gives no more and no less."""
        if self._data:
            raise ValueError(f"{len(self._data)} bytes of randomness were not drawn")


def signing_keys(seed: str) -> tuple[bytes, bytes]:
    """The Ed25519 key pair of a seed: private (as the library keeps it), public."""
    return sign_keypair(Tape(un(seed)))


def identity_of(i: Json) -> Identity:
    """An *identity*."""
    return Identity(un(i["sign_key"]), un(i["dh_key"]))


def identity_json(identity: Identity) -> Json:
    """An *identity* as JSON."""
    return {"sign_key": identity.sign_key.hex(), "dh_key": identity.dh_key.hex()}


def identity_keys(i: Json) -> IdentityKeys:
    """An *owner*."""
    return IdentityKeys.generate(Tape(un(i["seed"]), un(i["dh_private"])))


def mailbox_of(i: Json) -> Mailbox:
    """A *mailbox*."""
    return Mailbox(un(i["address"]), un(i["envelope_key"]), un(i["capability"]))


def mailbox_json(mailbox: Mailbox) -> Json:
    """A *mailbox* as JSON."""
    return {
        "address": mailbox.address.hex(),
        "envelope_key": mailbox.envelope_key.hex(),
        "capability": mailbox.capability.hex(),
    }


def mailbox_keys(i: Json) -> MailboxKeys:
    """*Mailbox keys*."""
    draws = un(i["read_seed"]), un(i["envelope_private"]), un(i["capability"])
    return MailboxKeys.generate(Tape(*draws))


def package_keys(i: Json) -> KeyPackageKeys:
    """*Package keys*; a prekey that is null has been erased."""
    prekeys = tuple(None if prekey is None else Secret(un(prekey)) for prekey in i["prekeys"])
    room_private, _ = signing_keys(i["room_seed"])
    return KeyPackageKeys(
        KeyPackage.parse(un(i["signed"])),
        Secret(un(i["signed_prekey"])),
        prekeys,
        Secret(un(i["leaf"])),
        Secret(room_private),
    )


def proofs_of(i: list[Any]) -> list[Proof]:
    """*Proofs*, in order."""
    return [Proof(ProofKind(kind), un(signed)) for kind, signed in i]


def trail_of(i: list[Any]) -> Trail:
    """A *trail*."""
    return tuple((un(prefix), None if order is None else as_order(order)) for prefix, order in i)
