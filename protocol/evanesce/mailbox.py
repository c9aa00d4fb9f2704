"""Mailboxes: where sealed envelopes for one device in one room wait (spec 12).

A mailbox is three values that a sender needs — address, envelope key, write capability — and two
private keys that only its owner has: one opens envelopes, the other proves the right to read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import Reason, RemoteError
from .primitives import H, Random, check_sign_key, dh_keypair, sign, sign_keypair, verify
from .secret import Secret
from .wire import decode, encode

__all__ = ["Mailbox", "MailboxKeys", "MailboxReader"]


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What a sender needs: address (32 bytes), envelope key (32), write capability (16)."""

    address: bytes
    envelope_key: bytes
    capability: bytes = field(repr=False)

    def value(self) -> list[bytes]:
        """The wire form: an array of the three."""
        return [self.address, self.envelope_key, self.capability]


@dataclass(frozen=True, slots=True)
class MailboxReader:
    """The right to read a mailbox: its read key, and a way to answer a challenge with it."""

    mailbox: Mailbox
    read_key: bytes = field(repr=False)
    prove: Callable[[bytes], bytes]

    def check(self, challenge: bytes, proof: bytes) -> None:
        """What a relay does. Raise `RemoteError`: not-permitted, bad-key, bad-signature."""
        if H(b"mailbox", self.read_key) != self.mailbox.address:
            raise RemoteError(Reason.NOT_PERMITTED, "not the read key of this mailbox")
        check_sign_key(self.read_key)
        verify(self.read_key, proof, b"read mailbox", self.mailbox.address, challenge)


@dataclass(frozen=True, slots=True)
class MailboxKeys:
    """What its owner keeps. The address is the hash of the Ed25519 read key (REQ-ENV-01)."""

    mailbox: Mailbox
    read_key: bytes  # Ed25519 public, 32 bytes
    read_private: Secret  # 64 bytes
    envelope_private: Secret  # 32 bytes

    @classmethod
    def generate(cls, random: Random) -> MailboxKeys:
        """Make a new mailbox from 80 random bytes."""
        read_private, read_key = sign_keypair(random)
        envelope_private, envelope_key = dh_keypair(random)
        mailbox = Mailbox(H(b"mailbox", read_key), envelope_key, random(16))
        return cls(mailbox, read_key, Secret(read_private), Secret(envelope_private))

    def reader(self) -> MailboxReader:
        """What a transport needs to read this mailbox, and no more."""
        private = self.read_private

        def prove(challenge: bytes) -> bytes:
            return sign(private.reveal(), b"read mailbox", self.mailbox.address, challenge)

        return MailboxReader(self.mailbox, self.read_key, prove)

    def dump(self) -> bytes:
        """Serialise, private keys included, for a store that encrypts."""
        return encode([
            *self.mailbox.value(),
            self.read_key,
            self.read_private.reveal(),
            self.envelope_private.reveal(),
        ])  # fmt: skip

    @classmethod
    def load(cls, data: bytes) -> MailboxKeys:
        """Undo `dump`."""
        address, key, capability, read_key, read_private, private = decode(data, limit=512)
        mailbox = Mailbox(address, key, capability)
        return cls(mailbox, read_key, Secret(read_private), Secret(private))
