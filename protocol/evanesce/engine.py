"""A device without its I/O: identity, rooms, mailboxes and key packages over one store (spec 17).

Every change is made inside the caller's transaction; when that fails, the caller loads a new engine
from the store, which then says what really happened. `arrivals`, `actions` and `upkeep` hold what a
device does; this module holds what it has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from .content import Announcement, Content, Evaporation, Said
from .errors import LocalError, Reason, RemoteError, StorageError
from .formats import OPENING
from .holdings import OwnMailbox, RoomMeta, Shelved
from .identity import Identity, IdentityKeys
from .inbox import Inbox, Kept
from .keypackage import KeyPackage, KeyPackageKeys
from .limits import MAX_NAME, ONE_TIME_PREKEYS
from .mailbox import MailboxKeys
from .membership import Member
from .outbox import Outbox
from .ports import Transaction
from .primitives import Random
from .room import Room
from .speech import Sent
from .state import Contact
from .wire import decode, encode, utf8

__all__ = ["Engine"]

ONE_TIME_STOCK = 8  # one-time packages kept at the directory
_FORMAT = 1


@dataclass(slots=True)
class Engine:
    """All a device holds in memory, and the ways to keep it in step with the store."""

    owner: IdentityKeys
    name: str
    random: Random
    inbox: Inbox
    outbox: Outbox
    contact: OwnMailbox
    rooms: dict[bytes, Room] = field(default_factory=dict)
    meta: dict[bytes, RoomMeta] = field(default_factory=dict)
    mailboxes: dict[bytes, OwnMailbox] = field(default_factory=dict)
    packages: dict[bytes, Shelved] = field(default_factory=dict)
    direct: dict[Identity, bytes] = field(default_factory=dict)  # the serving 1:1 room
    leave_noticed: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def load(cls, tx: Transaction, name: str | None, now: int, random: Random) -> Engine:
        """Read a device from its store, or make a new one called `name`.

        Raise `LocalError`: bad-input for a new device without a name, too-large for one over
        `MAX_NAME` bytes.
        Raise `StorageError` (bad-store): records of another format.
        """
        record = tx.get(b"device")
        if record is None:
            if not name:
                raise LocalError(Reason.BAD_INPUT, "a new device needs a name")
            utf8(name, MAX_NAME)
            if any(True for _ in tx.scan(b"")):
                raise StorageError(Reason.BAD_STORE, "records, but no device")
            contact = OwnMailbox(MailboxKeys.generate(random), None)
            owner = IdentityKeys.generate(random)
            engine = cls(owner, name, random, Inbox.load(tx, now, random), Outbox(0), contact)
            engine.put_mailbox(tx, contact)
            tx.put(b"device", encode([_FORMAT, owner.dump(), name,
                                      contact.keys.mailbox.address]))  # fmt: skip
            engine.stock(tx, now)
            return engine
        try:
            return cls._read(tx, record, now, random)
        except (LocalError, RemoteError, ValueError, TypeError, KeyError, IndexError) as error:
            raise StorageError(Reason.BAD_STORE, "a record cannot be read") from error

    @classmethod
    def _read(cls, tx: Transaction, record: bytes, now: int, random: Random) -> Engine:
        if tx.get(b"wrap") is None:
            raise StorageError(Reason.BAD_STORE, "the wrap key is missing")
        version, keys, kept_name, address = decode(record, limit=4_096)
        if version != _FORMAT:
            raise StorageError(Reason.BAD_STORE, f"a device store of format {version}")
        mailboxes = {
            own.keys.mailbox.address: own
            for own in (OwnMailbox.load(data) for _, data in tx.scan(b"mailbox/"))
        }
        engine = cls(
            IdentityKeys.load(keys), kept_name, random, Inbox.load(tx, now, random),
            Outbox.load(tx), mailboxes[address], mailboxes=mailboxes,
        )  # fmt: skip
        for key, data in tx.scan(b"package/"):
            engine.packages[key[8:]] = Shelved.load(data)
        for key, data in tx.scan(b"meta/"):
            engine.meta[key[5:]] = RoomMeta.load(data)
        for key, data in tx.scan(b"direct/"):
            engine.direct[Identity(key[7:39], key[39:])] = data
        for room in engine.meta:
            prefix = b"room/" + room + b"/"
            records = {key[len(prefix):]: data for key, data in tx.scan(prefix)}
            engine.rooms[room] = Room.restore(records)
        speaking = [
            meta for key, meta in engine.meta.items()
            if meta.retired is None and not engine.rooms[key].closed
        ]  # fmt: skip
        if not all(meta.mailbox in mailboxes for meta in speaking) or not all(
            room in engine.rooms for room in engine.direct.values()
        ):
            raise StorageError(Reason.BAD_STORE, "a record of this device is missing")
        engine.outbox.queued(tx)
        return engine

    # --- writing what has changed ----------------------------------------------------------------

    def save_room(self, tx: Transaction, room: Room) -> None:
        """Store what has changed in a room."""
        for name, data in room.changes().items():
            key = b"room/" + room.id + b"/" + name
            if data is None:
                tx.delete(key)
            else:
                tx.put(key, data)

    def add_room(self, tx: Transaction, room: Room, meta: RoomMeta) -> None:
        """Take a new room in, in place of one with the same id that has been left."""
        for name, _ in list(tx.scan(b"room/" + room.id + b"/")):
            tx.delete(name)
        self.rooms[room.id] = room
        room.changes()
        for name, data in room.records().items():
            tx.put(b"room/" + room.id + b"/" + name, data)
        self.put_meta(tx, room.id, meta)
        self.note_own_mailbox(tx, room)

    def note_own_mailbox(self, tx: Transaction, room: Room) -> None:
        """Put one's own name and mailbox into the room's directory, for those one invites."""
        mailbox = self.mailboxes[self.meta[room.id].mailbox].keys.mailbox
        room.announce(room.own_id, Contact(self.name, mailbox))
        self.save_room(tx, room)

    def put_meta(self, tx: Transaction, room: bytes, meta: RoomMeta) -> None:
        """Store what is kept beside a room's state."""
        self.meta[room] = meta
        tx.put(b"meta/" + room, meta.dump())

    def put_mailbox(self, tx: Transaction, own: OwnMailbox) -> None:
        """Store a mailbox of one's own; the transport is told before anything is sent."""
        address = own.keys.mailbox.address
        self.mailboxes[address] = own
        tx.put(b"mailbox/" + address, own.dump())

    def drop_mailbox(self, tx: Transaction, address: bytes) -> None:
        """Forget a mailbox."""
        self.mailboxes.pop(address, None)
        tx.delete(b"mailbox/" + address)

    def put_package(self, tx: Transaction, shelved: Shelved) -> None:
        """Store a key package of one's own."""
        key = shelved.keys.package.hash
        self.packages[key] = shelved
        tx.put(b"package/" + key, shelved.dump())

    def mark_published(self, tx: Transaction, keys: Iterable[bytes]) -> None:
        """Remember that the directory has these packages."""
        for key in keys:
            if key in self.packages:
                self.put_package(tx, replace(self.packages[key], published=True))

    def drop_package(self, tx: Transaction, key: bytes) -> None:
        """Erase a key package and its private keys."""
        self.packages.pop(key, None)
        tx.delete(b"package/" + key)

    def set_direct(self, tx: Transaction, identity: Identity, room: bytes) -> None:
        """Make a room the one that serves a 1:1 conversation."""
        self.direct[identity] = room
        tx.put(b"direct/" + identity.sign_key + identity.dh_key, room)

    # --- key packages ----------------------------------------------------------------------------

    def make_package(
        self, tx: Transaction, now: int, *, last_resort: bool, publish: bool
    ) -> Shelved:
        """Make a key package; `publish` says whether it waits to be published."""
        mailbox = self.contact.keys.mailbox
        keys = KeyPackageKeys.generate(
            self.owner, mailbox, now, self.random, last_resort=last_resort
        )
        shelved = Shelved(keys, now, not publish, personal=not publish)
        self.put_package(tx, shelved)
        return shelved

    def last_resort(self) -> Shelved | None:
        """The current last-resort package."""
        found = [s for s in self.packages.values()
                 if s.keys.package.last_resort and s.retired is None]  # fmt: skip
        return found[0] if found else None

    def stock(self, tx: Transaction, now: int) -> None:
        """Have a last-resort package, and as many one-time ones as the directory should hold."""
        if self.last_resort() is None:
            self.make_package(tx, now, last_resort=True, publish=True)
        fresh = [
            shelved
            for shelved in self.packages.values()
            if not shelved.keys.package.last_resort
            and not shelved.personal
            and now <= shelved.keys.package.expiry
            and all(key is not None for key in shelved.keys.one_time_prekeys)
        ]
        for _ in range(ONE_TIME_STOCK - len(fresh)):
            self.make_package(tx, now, last_resort=False, publish=True)

    def take_prekey(self, tx: Transaction, package: KeyPackage) -> int | None:
        """Which prekey of another's package to use next. Raise `LocalError` (no-package)."""
        if package.last_resort:
            return None
        name = b"prekey/" + package.hash
        record = tx.get(name)
        index = 0 if record is None else record[0]
        if index >= ONE_TIME_PREKEYS:
            raise LocalError(Reason.NO_PACKAGE, "this key package has been used up")
        tx.put(name, bytes([index + 1]))
        return index

    # --- reaching members ------------------------------------------------------------------------

    def post(self, tx: Transaction, room: Room, member: Member, payload: bytes) -> None:
        """Queue a payload for a member, or hold it until it can be reached (REQ-ENV-22)."""
        self.post_to(tx, room.id, room.directory.get(member.id), member, payload)

    def post_to(
        self, tx: Transaction, room: bytes, contact: Contact | None, member: Member, payload: bytes
    ) -> None:
        """The same for a member as the directory knew it.

        Before a member has announced a mailbox, that is the contact mailbox of the key package it
        came with: two who join at once know no other place for each other.
        """
        mailbox = None if contact is None else contact.mailbox
        mailbox = mailbox or self.meta[room].contact
        if mailbox is None:
            self.outbox.hold(tx, room, member.id, payload)
        else:
            self.outbox.post(tx, room, mailbox, payload, self.random)

    def say(self, tx: Transaction, room: Room, content: Content, now: int) -> Sent:
        """Seal a content and queue it for every other member."""
        sent = room.send(self.owner, content, now, self.random)
        meta = self.meta[room.id]
        payload = sent.message
        if meta.invitation is not None:
            payload = OPENING.build(meta.invitation, payload)
        for member in sent.recipients:
            self.post(tx, room, room.roster[member], payload)
        self.save_room(tx, room)
        return sent

    def can_speak(self, room: Room) -> bool:
        """Whether a message may be sent now without anybody's doing."""
        waiting = not room.direct and room.roster.awaits_refresh
        return not room.closed and not waiting

    def announce(self, tx: Transaction, room: Room, now: int) -> None:
        """Tell the room one's name and mailbox, if that has not been done and may be done now."""
        meta = self.meta[room.id]
        if meta.announced or not self.can_speak(room):
            return
        mailbox = self.mailboxes[meta.mailbox].keys.mailbox
        self.put_meta(tx, room.id, replace(meta, announced=True))
        self.say(tx, room, Announcement(self.name, mailbox), now)

    def keep_own(self, tx: Transaction, room: Room, said: Said, sent: Sent, now: int) -> None:
        """Keep one's own copy: it counts as viewed when it is sent (REQ-EVAP-09)."""
        evaporation = said.evaporation.strictest(room.policy.evaporation)
        if evaporation.after_view == 0:
            return
        kept = Kept(sent.id, room.id, room.own_id, said.sent, now, evaporation, said.quote, now,
                    b"", sent.ciphertext)  # fmt: skip
        self.inbox.keep(tx, kept, sent.key, self.random)

    def rotate_mailbox(self, tx: Transaction, room: Room, now: int) -> None:
        """Move to a new mailbox in a room: a member that was removed knows the old one."""
        meta = self.meta[room.id]
        old = self.mailboxes[meta.mailbox]
        others = tuple(m.id for m in room.roster if m.id != room.own_id)
        self.put_mailbox(tx, replace(old, retired=now, unheard=others))
        new = OwnMailbox(MailboxKeys.generate(self.random), room.id)
        self.put_mailbox(tx, new)
        address = new.keys.mailbox.address
        self.put_meta(tx, room.id, replace(meta, mailbox=address, announced=False))
        self.note_own_mailbox(tx, room)
        self.announce(tx, room, now)

    def retire_mailbox(self, tx: Transaction, room: bytes, now: int) -> None:
        """Nobody has to write to a room any more: its mailbox is drained, then closed."""
        own = self.mailboxes.get(self.meta[room].mailbox)
        if own is not None and own.retired is None:
            self.put_mailbox(tx, replace(own, retired=now))

    def note_gone(self, tx: Transaction, room: bytes, gone: Iterable[Member]) -> None:
        """Forget what was kept for members that have been removed."""
        members = {member.id for member in gone}
        for member in members:
            self.outbox.drop_held(tx, room, member)
            self.leave_noticed.pop(member, None)
        self.note_heard(tx, room, members)

    def note_heard(self, tx: Transaction, room: bytes, members: set[bytes]) -> None:
        """One's retired mailboxes need not wait for these members any longer."""
        for own in list(self.mailboxes.values()):
            if own.room == room and own.retired is not None and members & set(own.unheard):
                unheard = tuple(m for m in own.unheard if m not in members)
                self.put_mailbox(tx, replace(own, unheard=unheard))

    def evaporation(self, room: Room, after_view: int | None, lifetime: int | None) -> Evaporation:
        """A message's own policy: what is not given is the room's."""
        base = room.policy.evaporation
        return Evaporation(
            base.after_view if after_view is None else after_view,
            base.lifetime if lifetime is None else lifetime,
        )

