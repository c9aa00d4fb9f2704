"""A device without its I/O: identity, rooms, mailboxes and key packages over one store (spec 17).

Every change is made inside the caller's transaction; when that fails, the caller loads a new engine
from the store, which then says what really happened. `arrivals`, `actions` and `upkeep` hold what a
device does; this module holds what it has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from .content import Announcement, Content, Said
from .errors import LocalError, Reason, RemoteError, StorageError
from .events import Event
from .formats import OPENING
from .holdings import OwnMailbox, RoomMeta, Shelved
from .identity import Identity, IdentityKeys
from .inbox import Inbox
from .kept_commits import KeptCommits
from .keypackage import KeyPackageKeys
from .ledger import Ledger, Recipient, Report
from .limits import MAX_NAME
from .looks import Looks
from .mailbox import MailboxKeys
from .membership import Member
from .outbox import Outbox
from .pins import Pins
from .ports import APPLICATION, Transaction
from .primitives import Random
from .receipts import Receipts
from .resync import ResyncRequest
from .room import Room
from .rooms import Rooms
from .speech import Sent
from .state import Contact
from .tombstones import Tombstones
from .tree import lineage
from .waiting import Waiting
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
    rooms: Rooms = field(default_factory=Rooms)
    meta: dict[bytes, RoomMeta] = field(default_factory=dict)
    mailboxes: dict[bytes, OwnMailbox] = field(default_factory=dict)
    packages: dict[bytes, Shelved] = field(default_factory=dict)
    direct: dict[Identity, bytes] = field(default_factory=dict)  # the serving 1:1 room
    looks: Looks = field(default_factory=Looks)
    waiting: Waiting = field(default_factory=Waiting)
    leave_noticed: dict[bytes, int] = field(default_factory=dict)
    pending_noticed: dict[bytes, int] = field(default_factory=dict)  # by room
    lost: set[bytes] = field(default_factory=set)  # rooms in which something is to be done again
    ledger: Ledger = field(default_factory=Ledger)
    kept_commits: KeptCommits = field(default_factory=KeptCommits)
    resyncs: dict[tuple[bytes, bytes], ResyncRequest] = field(default_factory=dict)
    pins: Pins = field(default_factory=Pins)
    receipts: Receipts = field(default_factory=Receipts)
    tombstones: Tombstones = field(default_factory=Tombstones)
    erased: bool = False  # something has been, since `take_erased`
    told: list[Event] = field(default_factory=list)  # to tell once the transaction is committed

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
            if any(not name.startswith(APPLICATION) for name, _ in tx.scan(b"")):
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
            Outbox.load(tx), mailboxes[address], mailboxes=mailboxes, ledger=Ledger.load(tx),
            kept_commits=KeptCommits.load(tx),
            pins=Pins.load(tx), receipts=Receipts.load(tx), tombstones=Tombstones.load(tx),
            looks=Looks.load(tx), waiting=Waiting.load(tx),
        )  # fmt: skip
        for key, data in tx.scan(b"package/"):
            engine.packages[key[8:]] = Shelved.load(data)
        for key, data in tx.scan(b"resync/"):
            engine.resyncs[key[7:39], key[39:]] = ResyncRequest.parse(data)
        engine.lost = {name[5:37] for name, _ in tx.scan(b"lost/")}
        for key, data in tx.scan(b"meta/"):
            engine.meta[key[5:]] = RoomMeta.load(data)
        for key, data in tx.scan(b"direct/"):
            engine.direct[Identity(key[7:39], key[39:])] = data
        for room in engine.meta:
            engine.rooms.expect(tx, room)
        unread = [
            key for key, meta in engine.meta.items()
            if meta.retired is None and meta.mailbox not in mailboxes
        ]  # fmt: skip
        with engine.rooms.within(tx):
            for key in unread:
                if not engine.rooms[key].closed:  # one room must not keep the others from opening
                    own = OwnMailbox(MailboxKeys.generate(random), key)
                    engine.put_mailbox(tx, own)
                    address, meta = own.keys.mailbox.address, engine.meta[key]
                    engine.put_meta(tx, key, replace(meta, mailbox=address, announced=False))
                    engine.note_own_mailbox(tx, engine.rooms[key])
        if not all(room in engine.rooms for room in engine.direct.values()):
            raise StorageError(Reason.BAD_STORE, "a record of this device is missing")
        engine.outbox.waiting(tx)
        return engine

    # --- writing what has changed ----------------------------------------------------------------

    def take_erased(self) -> bool:
        """Whether secrets or messages have been erased since the last call."""
        erased = self.erased or self.inbox.erased
        self.erased = self.inbox.erased = False
        return erased

    def take_told(self) -> list[Event]:
        """What is to be told, now that the transaction is committed."""
        told = [*self.told, *self.ledger.failures]
        self.told.clear()
        self.ledger.failures.clear()
        return told

    def save_room(self, tx: Transaction, room: Room) -> bool:
        """Store what has changed in a room; return whether anything has."""
        changes = room.changes()
        for name, data in changes.items():
            key = b"room/" + room.id + b"/" + name
            if data is None:
                tx.delete(key)
            else:
                tx.put(key, data)
        if changes:
            self.looks.note(tx, room, changes)
        return bool(changes)

    def add_room(self, tx: Transaction, room: Room, meta: RoomMeta) -> None:
        """Take a new room in, in place of one with the same id that has been left."""
        for name, _ in list(tx.scan(b"room/" + room.id + b"/")):
            tx.delete(name)
        self.rooms[room.id] = room
        room.changes()
        for name, data in room.records().items():
            tx.put(b"room/" + room.id + b"/" + name, data)
        self.looks.note(tx, room, None)
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
        self.erased = True

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
        self.erased = True

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

    # --- reaching members ------------------------------------------------------------------------

    def post_to(
        self,
        tx: Transaction,
        room: bytes,
        contact: Contact | None,
        member: Member,
        payload: bytes,
        report: bytes,
    ) -> Recipient:
        """Queue a payload for a member as the directory knew it, or hold it (REQ-ENV-22).

        Before a member has announced a mailbox, that is the contact mailbox of the key package it
        came with: two who join at once know no other place for each other.
        """
        mailbox = None if contact is None else contact.mailbox
        mailbox = mailbox or self.meta[room].contact
        if mailbox is None:
            return self.outbox.hold(tx, room, member.id, payload, report)
        return self.outbox.post(tx, room, mailbox, payload, self.random, report, member.id)

    def say(self, tx: Transaction, room: Room, content: Content, now: int) -> Sent:
        """Seal a content and queue it for every other member. Raise `LocalError` (rolled-back)."""
        self.require_fresh(room.id)
        sent = room.send(self.owner, content, now, self.random)
        meta = self.meta[room.id]
        payload = sent.message
        if meta.invitation is not None:
            payload = OPENING.build(meta.invitation, payload)
        recipients = tuple(
            self.post_to(
                tx, room.id, room.directory.get(member), room.roster[member], payload, sent.id
            )
            for member in sent.recipients
        )
        begin = self.ledger.begin_said if isinstance(content, Said) else self.ledger.begin
        begin(tx, Report(sent.id, room.id, room.epoch, False, now, recipients))
        self.save_room(tx, room)
        return sent

    # --- an older copy of the store ---------------------------------------------------------------

    def mark_stale(self, tx: Transaction) -> tuple[bytes, ...]:
        """The store is an older copy: nothing is sealed any more in the rooms there are."""
        for room in list(self.meta):
            self.forget_asked(tx, room)  # of then: whoever has granted it may do so again
            self.put_meta(tx, room, replace(self.meta[room], stale=True))
        return tuple(self.meta)

    def forget_asked(self, tx: Transaction, room: bytes) -> None:
        """No request of this device to be let into a room anew holds any more."""
        asked = self.meta[room].asked
        if asked is not None:
            self.drop_package(tx, asked.package)
            self.put_meta(tx, room, replace(self.meta[room], asked=None))

    def is_stale(self, room: bytes) -> bool:
        """Whether what was last sent in a room may not be known here."""
        return self.meta[room].stale

    def require_fresh(self, room: bytes) -> None:
        """Raise `LocalError` (rolled-back) for a stale room."""
        if self.is_stale(room):
            raise LocalError(Reason.ROLLED_BACK, "an older copy of this device was put back")

    def can_speak(self, room: Room) -> bool:
        """Whether a message may be sent now without anybody's doing."""
        waiting = not room.direct and (room.roster.awaits_refresh or room.blocked)
        return not room.closed and not waiting

    def announce(self, tx: Transaction, room: Room, now: int) -> None:
        """Tell the room one's name and mailbox, if due. Raise `LocalError` (rolled-back)."""
        self.require_fresh(room.id)
        meta = self.meta[room.id]
        if meta.announced or not self.can_speak(room) or room.came_back:
            return  # or it commits first
        mailbox = self.mailboxes[meta.mailbox].keys.mailbox
        self.put_meta(tx, room.id, replace(meta, announced=True))
        self.say(tx, room, Announcement(self.name, mailbox), now)

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

    def note_gone(self, tx: Transaction, room: bytes, gone: Iterable[Member], now: int) -> None:
        """Forget what was kept for members that have been removed."""
        members = {member.id for member in gone}
        for member in members:
            for report in self.outbox.drop_held(tx, room, member):
                failed = Recipient.failed(member, Reason.UNKNOWN_MEMBER)
                self.ledger.note(tx, report, {member: failed}, now)
            self.leave_noticed.pop(member, None)
            self.kept_commits.forget_member(tx, room, member)
            if self.resyncs.pop((room, member), None) is not None:
                tx.delete(b"resync/" + room + member)
        self.note_heard(tx, room, members)

    def note_received(
        self, tx: Transaction, room: Room, member: bytes, epoch: bytes, now: int
    ) -> None:
        """A member has spoken in the epoch of this prefix, or committed on it."""
        if epoch not in room.state.epochs:
            return  # it was too long ago
        known = lineage(room.state, epoch)
        self.ledger.heard(tx, room.id, member, known, now)
        self.kept_commits.has_come(tx, room.id, member, known)

    def note_heard(self, tx: Transaction, room: bytes, members: set[bytes]) -> None:
        """One's retired mailboxes need not wait for these members any longer."""
        for own in list(self.mailboxes.values()):
            if own.room == room and own.retired is not None and members & set(own.unheard):
                unheard = tuple(m for m in own.unheard if m not in members)
                self.put_mailbox(tx, replace(own, unheard=unheard))
