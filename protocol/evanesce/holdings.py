"""What a device keeps beside the states of its rooms: mailboxes, key packages, notes (spec 17)."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LocalError, Reason
from .keypackage import KeyPackage, KeyPackageKeys
from .limits import ONE_TIME_PREKEYS
from .mailbox import Mailbox, MailboxKeys
from .ports import Transaction
from .wire import decode, encode

__all__ = ["Asked", "OwnMailbox", "RoomMeta", "Shelved", "next_prekey", "take_prekey"]


@dataclass(frozen=True, slots=True)
class OwnMailbox:
    """A mailbox of this device: the contact mailbox (room None), or one room's."""

    keys: MailboxKeys
    room: bytes | None
    retired: int | None = None  # when a newer one was announced
    unheard: tuple[bytes, ...] = ()  # members that have not spoken since

    def dump(self) -> bytes:
        """Serialise."""
        return encode([self.keys.dump(), self.room, self.retired, self.unheard])

    @classmethod
    def load(cls, data: bytes) -> OwnMailbox:
        """Undo `dump`."""
        keys, room, retired, unheard = decode(data, limit=1 << 20)
        return cls(MailboxKeys.load(keys), room, retired, tuple(unheard))


@dataclass(frozen=True, slots=True)
class Shelved:
    """A key package of this device, private keys included."""

    keys: KeyPackageKeys
    created: int
    published: bool
    retired: int | None = None  # when a newer last-resort package took its place
    personal: bool = False  # made for one card, not for the directory

    def dump(self) -> bytes:
        """Serialise."""
        return encode([self.keys.dump(), self.created, self.published, self.retired,
                       self.personal])  # fmt: skip

    @classmethod
    def load(cls, data: bytes) -> Shelved:
        """Undo `dump`."""
        keys, created, published, retired, personal = decode(data, limit=8_192)
        return cls(KeyPackageKeys.load(keys), created, published, retired, personal)


@dataclass(frozen=True, slots=True)
class Asked:
    """By what, when, and whom this device has asked to be let into a room anew (REQ-EPOCH-25)."""

    package: bytes  # hash of the package made for it
    time: int  # of the request
    members: tuple[bytes, ...]  # whose invitation is an answer


@dataclass(frozen=True, slots=True)
class RoomMeta:
    """What a device keeps about a room beside its state."""

    mailbox: bytes  # address of one's own current mailbox in it
    announced: bool
    contact: Mailbox | None = None  # direct rooms: where the peer is reached before it announces
    invitation: bytes | None = None  # direct rooms: sent again with each message until answered
    retired: int | None = None  # replaced by another 1:1 room with the same peer
    reminded: bool = False  # "refresh due" has been told
    peer_sent: int = 0  # direct rooms: when, by its own clock, the peer last wrote
    stale: bool = False  # an older copy was put back: what was sent since is not known here
    asked: Asked | None = None  # its last request to be let in anew

    def dump(self) -> bytes:
        """Serialise."""
        contact = None if self.contact is None else self.contact.value()
        asked = self.asked
        return encode([
            self.mailbox, self.announced, contact, self.invitation, self.retired, self.reminded,
            self.peer_sent, self.stale,
            None if asked is None else [asked.package, asked.time, asked.members],
        ])  # fmt: skip

    @classmethod
    def load(cls, data: bytes) -> RoomMeta:
        """Undo `dump`."""
        mailbox, announced, contact, *others = decode(data, limit=1 << 16)
        if len(others) > 5 and others[5] is not None:  # an earlier version did not ask
            package, time, members = others[5]
            others[5] = Asked(package, time, tuple(members))
        return cls(mailbox, announced, None if contact is None else Mailbox(*contact), *others)


def next_prekey(tx: Transaction, package: KeyPackage) -> int | None:
    """Which prekey of another's package is next. Raise `LocalError` (no-package)."""
    if package.last_resort:
        return None
    record = tx.get(b"prekey/" + package.hash)
    index = 0 if record is None else record[0]
    if index >= ONE_TIME_PREKEYS:
        raise LocalError(Reason.NO_PACKAGE, "this key package has been used up")
    return index


def take_prekey(tx: Transaction, package: KeyPackage) -> int | None:
    """The same, to use it now."""
    index = next_prekey(tx, package)
    if index is not None:
        tx.put(b"prekey/" + package.hash, bytes([index + 1]))
    return index
