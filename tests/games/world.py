"""Devices in one room, an adversary that carries everything, and the ledger that watches.

A device here is a real `Room`, a real `Inbox`, its key packages and identity, and a store of
records, written as a device writes it: `Room.changes` in one transaction with the rest. Nothing
arrives unless `hear` brings it, in whatever order; all that was ever sent is on the `Tape`. What
happened is told to the `Ledger` in the words of the specification, and never how it was stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from evanesce.content import Evaporation, Said
from evanesce.errors import EvanesceError, HeldError, LocalError, Reason, RemoteError
from evanesce.founding import Invited
from evanesce.identity import IdentityKeys
from evanesce.inbox import Inbox, Kept
from evanesce.keypackage import KeyPackageKeys
from evanesce.mailbox import MailboxKeys
from evanesce.membership import Mode, Policy, Role
from evanesce.message import ParsedMessage
from evanesce.operations import Remove, Wish
from evanesce.primitives import encrypt
from evanesce.room import Room
from tests.games.ledger import Break, Ledger

NOW: Final = 1_700_000_000
HOUR: Final = 3_600
PACKAGE_GRACE: Final = 259_200  # REQ-DEL-10


class Stream:
    """A random source that repeats itself: the n-th call is a hash of the seed and n."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.drawn: list[bytes] = []

    def __call__(self, size: int) -> bytes:
        made = hashlib.shake_256(f"{self.seed}/{len(self.drawn)}".encode()).digest(size)
        self.drawn.append(made)
        return made


class Records:
    """A store whose records go when they are deleted, but for those of the inbox.

    Flash keeps old versions of these for who looks at the chips: `remnants` (REQ-EVAP-08 is there
    for that). That the other records are truly gone is the store's own duty, and tested with it.
    """

    def __init__(self, records: Mapping[bytes, bytes] | None = None) -> None:
        self.records = dict(records or {})
        self.remnants: list[tuple[bytes, bytes]] = []

    def get(self, name: bytes) -> bytes | None:
        return self.records.get(name)

    def put(self, name: bytes, data: bytes) -> None:
        if self.records.get(name) != data:
            self.delete(name)
            self.records[name] = data

    def delete(self, name: bytes) -> None:
        old = self.records.pop(name, None)
        if old is not None and name.startswith(b"inbox/"):
            self.remnants.append((name, old))

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield from [(name, data) for name, data in sorted(self.records.items())
                    if name.startswith(prefix)]  # fmt: skip


@dataclass(frozen=True)
class Capture:
    """Everything one device had at one moment."""

    device: str
    records: Mapping[bytes, bytes]
    remnants: Sequence[tuple[bytes, bytes]] = ()


@dataclass
class Tape:
    """What the adversary has recorded of the transport: all there was."""

    messages: list[bytes] = field(default_factory=list)
    copies: list[tuple[bytes, bytes]] = field(default_factory=list)  # for which member; the copy
    invitations: list[bytes] = field(default_factory=list)
    packages: list[bytes] = field(default_factory=list)  # signed, public
    notes: list[tuple[bytes, bytes]] = field(default_factory=list)  # prefix, sealed by an export


@dataclass
class Message:
    """A message as its sender knows it."""

    id: bytes
    data: bytes
    sender: str
    epoch: bytes
    body: str


@dataclass
class Post:
    """One thing on its way to one device."""

    kind: str  # message, copy or invitation
    to: str
    data: bytes
    about: bytes = b""  # the message, the epoch of a commit, or the package of an invitation


class Device:
    """One device, at the level of its room."""

    def __init__(self, name: str, now: int, seed: str = "") -> None:
        self.name = name
        self.random = Stream(seed + name)
        self.keys = IdentityKeys.generate(self.random)
        self.mailbox = MailboxKeys.generate(self.random)
        self.packages: dict[bytes, KeyPackageKeys] = {}
        self.store = Records()
        self.store.put(b"identity", self.keys.dump())
        self.inbox = Inbox.load(self.store, now, self.random)
        self.room: Room | None = None

    @property
    def there(self) -> Room:
        assert self.room is not None, f"{self.name} has no room"
        return self.room

    @property
    def active(self) -> bool:
        return self.room is not None and not self.room.closed

    def make_package(self, now: int, *, last_resort: bool = False) -> KeyPackageKeys:
        made = KeyPackageKeys.generate(
            self.keys, self.mailbox.mailbox, now, self.random, last_resort=last_resort
        )
        self.keep_package(made)
        return made

    def keep_package(self, keys: KeyPackageKeys) -> None:
        self.packages[keys.package.hash] = keys
        self.store.put(b"package/" + keys.package.hash, keys.dump())

    def save(self) -> None:
        """Write what has changed of the room, as a device does after each step."""
        if self.room is not None:
            for name, data in self.room.changes().items():
                if data is None:
                    self.store.delete(b"room/" + name)
                else:
                    self.store.put(b"room/" + name, data)

    def restart(self, now: int) -> None:
        """Forget what is in memory, and read the store."""
        self.inbox = Inbox.load(self.store, now, self.random)
        self.packages = {name[8:]: KeyPackageKeys.load(data)
                         for name, data in self.store.scan(b"package/")}  # fmt: skip
        records = {name[5:]: data for name, data in self.store.scan(b"room/")}
        self.room = Room.restore(records) if records else None

    def capture(self, *, flash: bool = False) -> Capture:
        """Store and memory, as they are now."""
        records = dict(self.store.records)
        if self.room is not None:
            for name, data in self.room.records().items():
                if records.get(b"room/" + name) != data:
                    records[b"live/" + name] = data
        return Capture(self.name, records, tuple(self.store.remnants) if flash else ())


class World:
    """One room and its devices; the first one founds it, and Bob is an admin of groups."""

    def __init__(
        self,
        *names: str,
        outsiders: Sequence[str] = (),
        policy: Policy | None = None,
        roles: Mapping[str, Role] | None = None,
        joined: bool = True,
        seed: str = "",
    ) -> None:
        self.now = NOW
        self.ledger = Ledger()
        self.tape = Tape()
        self.captures: list[Capture] = []
        self.devices = {name: Device(name, NOW, seed) for name in (*names, *outsiders)}
        self.outsiders = list(outsiders)
        self.messages: dict[bytes, Message] = {}
        self.notes: dict[bytes, bytes] = {}  # by epoch
        self.removals: dict[bytes, set[bytes]] = {}  # whom a commit removes by its author's word
        self.posts: list[Post] = []
        self.heard: list[Post] = []
        self.refusals: list[tuple[Post, EvanesceError]] = []
        self.policy = policy or Policy(Mode.SIGNED, members_may_add=True)
        first, *others = names
        roles = {"bob": Role.ADMIN} if roles is None else roles
        guests = [self.guest(name, roles.get(name, Role.MEMBER)) for name in others]
        creator = self.devices[first]
        creator.room, invitations = Room.found(
            creator.keys, self.policy, [guest for _, guest in guests], first[:3],
            creator.mailbox.mailbox, self.now, creator.random,
        )  # fmt: skip
        members = dict(zip(others, invitations, strict=True))
        self.ledger.found(
            first, creator.room.own_id, creator.room.transcript,
            [(name, members[name], guest.package.hash, guest.prekey_index)
             for name, guest in guests],
            direct=self.direct, now=self.now,
        )  # fmt: skip
        for (name, guest), invitation in zip(guests, invitations.values(), strict=True):
            self.post(Post("invitation", name, invitation, guest.package.hash))
        self.settle(first)
        if joined:
            self.hear_all()

    # --- names -----------------------------------------------------------------------------------

    @property
    def direct(self) -> bool:
        return self.policy.mode is Mode.DIRECT

    def room(self, name: str) -> Room:
        return self.devices[name].there

    def name_of(self, member: bytes) -> str:
        return next(device.name for device in self.devices.values()
                    if device.room is not None and device.room.own_id == member)  # fmt: skip

    @property
    def active(self) -> list[str]:
        return [name for name, device in self.devices.items() if device.active]

    # --- acts ------------------------------------------------------------------------------------

    def guest(
        self, name: str, role: Role = Role.MEMBER, *, last_resort: bool = False
    ) -> tuple[str, Invited]:
        """Someone to invite, by a new package."""
        keys = self.devices[name].make_package(self.now, last_resort=last_resort)
        self.tape.packages.append(keys.package.signed)
        self.ledger.package(name, keys.package.hash, 0 if last_resort else 4)
        return name, Invited(keys.package, None if last_resort else 0, role)

    def say(
        self, name: str, evaporation: Evaporation | None = None, body: str | None = None
    ) -> Message | None:
        """Have someone say something; it is on its way to all others."""
        device = self.devices[name]
        text = body or f"{name} says {len(self.messages)}"
        said = Said(text, self.now, evaporation or Evaporation())
        before = device.there.transcript
        try:
            sent = device.there.send(device.keys, said, self.now, device.random)
        except LocalError:
            return None
        epoch = device.there.transcript
        if epoch != before:
            self.ledger.turn(name, before, epoch, self.now)
        if self.ledger.must_be_out(name, self.removals, self.now):
            raise Break(f"{name} speaks where somebody is whose removal it has seen")
        own = said.evaporation.strictest(device.there.policy.evaporation)
        if own.after_view != 0:
            kept = Kept(sent.id, device.there.id, device.there.own_id, self.now, self.now, own,
                        None, self.now, b"", sent.ciphertext)  # fmt: skip
            device.inbox.keep(device.store, kept, sent.key, device.random)
        message = Message(sent.id, sent.message, name, epoch, text)
        self.messages[sent.id] = message
        self.ledger.send(name, sent.id, own.after_view, own.lifetime, self.now)
        flag = ParsedMessage.parse(sent.message).header.flags
        if bool(flag) != self.ledger.said[sent.id].strayed:
            raise Break(f"{name} does not say truly whether it has strayed")  # REQ-EPOCH-30
        self.tape.messages.append(sent.message)
        for member in sent.recipients:
            for other in self.ledger.devices_of(member):
                self.post(Post("message", other, sent.message, sent.id))
        self.settle(name)
        return message

    def commit(
        self,
        name: str,
        *wishes: Wish,
        guests: Sequence[tuple[str, Invited]] = (),
    ) -> bytes | None:
        """Have someone commit; the copies and invitations are on their way. Return the epoch."""
        device = self.devices[name]
        parent = device.there.transcript
        try:
            made = device.there.commit(
                device.keys, wishes, [guest for _, guest in guests], self.now, device.random
            )
        except LocalError:
            return None
        epoch = device.there.transcript
        self.removals[epoch] = {wish.member for wish in wishes if isinstance(wish, Remove)}
        self.ledger.commit(
            name, parent, epoch, [member.id for member in made.removed],
            [(who, member.id, guest.package.hash, guest.prekey_index)
             for (who, guest), member in zip(guests, made.added, strict=True)],
            self.now,
        )  # fmt: skip
        for member, copy in made.copies.items():
            self.tape.copies.append((member, copy))
            for other in self.ledger.devices_of(member):
                self.post(Post("copy", other, copy, epoch))
        for (who, guest), invitation in zip(guests, made.invitations.values(), strict=True):
            self.post(Post("invitation", who, invitation, guest.package.hash))
        self.settle(name)
        return epoch

    def removal(self, name: str, by: str) -> Remove | None:
        """The operation that removes someone, as another one's roster has it."""
        own = self.room(name).own_id
        roster = self.room(by).roster
        return Remove(own, roster[own].admission) if own in roster else None

    def post(self, post: Post) -> None:
        """Put something on its way."""
        if post.kind == "invitation":
            self.tape.invitations.append(post.data)
        self.posts.append(post)

    # --- delivery --------------------------------------------------------------------------------

    def hear(self, post: Post) -> bool:
        """Deliver one thing; return whether it was accepted. What is held stays on its way."""
        device = self.devices[post.to]
        try:
            if post.kind == "invitation":
                self._join(device, post)
            elif device.room is None:
                return False
            elif post.kind == "copy":
                self._apply(device, post)
            else:
                self._receive(device, post)
        except HeldError:
            return False
        except RemoteError as error:
            self._taken(post)
            self.refusals.append((post, error))
            return False
        self._taken(post)
        self.heard.append(post)
        self.settle(post.to)
        return True

    def _taken(self, post: Post) -> None:
        if any(post is other for other in self.posts):
            self.posts = [other for other in self.posts if other is not post]

    def hear_all(self, *names: str) -> None:
        """Deliver what can be, in the order in which it was sent, until nothing moves."""
        moved = True
        while moved:
            moved = False
            for post in list(self.posts):
                if not names or post.to in names:
                    moved = self.hear(post) or moved

    def _join(self, device: Device, post: Post) -> None:
        if device.room is not None:
            self._taken(post)  # known already, as a device knows it by its bytes (REQ-ID-15)
            return
        keys = device.packages.get(post.about)
        if keys is None:
            raise RemoteError(Reason.UNKNOWN_PACKAGE, "its keys have been erased")
        room, invitation = Room.join(device.keys, keys, post.data, self.now)
        device.room = room
        device.keep_package(keys.without(invitation.prekey_index))
        self.ledger.join(device.name, room.own_id, room.transcript, post.about,
                         invitation.prekey_index, self.now)  # fmt: skip

    def _apply(self, device: Device, post: Post) -> None:
        change = device.there.apply(post.data, self.now)
        if not change.equivocation:
            self.ledger.apply(device.name, post.about, self.now, leads=change.leads)

    def _receive(self, device: Device, post: Post) -> None:
        before = device.there.transcript
        received = device.there.receive(post.data, self.now)
        after = device.there.transcript
        if self.direct and after != before:
            self.ledger.turn_taken(device.name, before, after, self.now)
        said = received.content
        assert isinstance(said, Said)
        kept = Kept(received.id, device.there.id, received.sender, said.sent, self.now,
                    received.evaporation, None, None, b"", received.ciphertext)  # fmt: skip
        if self.now < kept.deadline:
            device.inbox.keep(device.store, kept, received.key, device.random)
        self.ledger.receive(device.name, received.id, self.now)

    # --- time and evaporation --------------------------------------------------------------------

    def kept(self, name: str) -> list[bytes]:
        """What lies in a device's inbox."""
        device = self.devices[name]
        return [kept.id for kept in device.inbox.all(device.store, self.now)]

    def view(self, name: str, message: bytes) -> bool:
        """Open a message and close it again."""
        device = self.devices[name]
        try:
            device.inbox.view(device.store, message, self.now)
        except LocalError:
            return False
        device.inbox.close(device.store, message)
        self.ledger.view(name, message, self.now)
        return True

    def pass_time(self, seconds: int) -> None:
        """Let time go by; every device looks once it has (REQ-DEL-06)."""
        self.now += seconds
        for name, device in self.devices.items():
            if device.room is not None:
                device.room.expire(self.now)
            for message in device.inbox.due(self.now):
                device.inbox.erase(device.store, message)
            device.inbox.rotate(device.store, self.now, device.random)
            for key, keys in list(device.packages.items()):
                if self.now > keys.package.expiry + PACKAGE_GRACE:
                    del device.packages[key]
                    device.store.delete(b"package/" + key)
                    self.ledger.package_gone(name, key)
            device.save()
            self.ledger.look(name, self.now)

    def restart(self, name: str) -> None:
        """Stop a device and start it again."""
        self.devices[name].restart(self.now)

    # --- the adversary's own -------------------------------------------------------------------

    def capture(self, name: str, *, flash: bool = False) -> Capture:
        """Take a device's complete state; the device goes on as if nothing had happened."""
        taken = self.devices[name].capture(flash=flash)
        self.captures.append(taken)
        self.ledger.capture(name, self.now, flash=flash)
        return taken

    def roll_back(self, name: str, taken: Capture) -> None:
        """Put an older state of a device back: a restored backup, or a clone that went on."""
        device = self.devices[name]
        device.store = Records({n: d for n, d in taken.records.items() if n[:5] != b"live/"})
        device.restart(self.now)

    def settle(self, name: str) -> None:
        """Save, and let the application seal something by a secret of each epoch it enters."""
        device = self.devices[name]
        device.save()
        if device.room is None or device.room.closed:
            return
        epoch = device.room.transcript
        if epoch not in self.notes:
            key = device.room.export(b"note")
            self.notes[epoch] = b"note of " + epoch
            self.tape.notes.append((epoch[:8], encrypt(key, self.notes[epoch])))
