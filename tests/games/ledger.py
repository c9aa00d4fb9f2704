"""What an adversary can read, by the specification's own word: no key here has a value.

Written from the deletion schedule (chapter 14), from 10.4, 10.5, 10.10 and 10.11, 11.6, 13.3, 13.4
and 7.2: which secret each device has at each moment, what follows from what, and nothing of how the
library keeps it. A secret is a pair: what it is, and of what.

    leaf         (package or epoch, owner)   private leaf key, made with it
    prekey       package                     private signed prekey
    one-time     (package, n)                private one-time prekey
    identity     device                      private identity DH key
    chain        (epoch, member, n)          chain key before step n
    key          (epoch, member, n)          message key n
    wrap key     (device, hour)              wrap key of an hour
    wrapped      (device, message, hour)     record of a message, under the wrap key of that hour
    aead         message                     AEAD key
    init, handshake (epoch, member)          as in 10.5
    exporter     epoch
    secret, r    epoch                       epoch secret; the fresh secret in it
    public       epoch                       roster, policy, transcript hash: what a context needs
    commit       epoch                       the plaintext of the commit that opened it

Epochs form a tree: each has a parent and an opener, and two may have one parent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

GRACE: Final = 259_200  # 72 h: REQ-DEL-07, REQ-DEL-08
NOTED: Final = 2_592_000  # 30 days: REQ-EPOCH-28
HOUR: Final = 3_600


class Break(AssertionError):
    """The adversary could do what it must not."""


class WrongPrediction(AssertionError):
    """The ledger promised the adversary more than it got: the specification is misread."""


Secret = tuple[str, Any]
Guest = tuple[str, bytes, bytes, int | None]  # device, member, package, prekey


@dataclass
class Opened:
    """How an epoch came to be: known to whoever is told, and the same for all."""

    parent: bytes | None
    opener: bytes
    number: int
    leaf: dict[bytes, Any]  # whose leaf key a later slot is sealed to, for each member
    slots: dict[bytes, Any]  # the leaf keys that r was sealed to
    guests: Sequence[Guest] = ()


@dataclass
class Chain:
    """A chain of another member: the next index, and when each skipped key was derived."""

    next: int = 0
    closed: bool = False
    skipped: dict[int, int] = field(default_factory=dict)

    def close(self, count: int, now: int) -> None:
        if not self.closed:
            self.skipped |= dict.fromkeys(range(self.next, count), now)
            self.closed, self.next = True, count


@dataclass
class Held:
    """What a device has of one epoch."""

    leaf: Any = None
    chains: dict[bytes, Chain] = field(default_factory=dict)
    handshakes: set[bytes] = field(default_factory=set)
    inits: set[bytes] = field(default_factory=set)
    exporter: bool = True
    superseded: int | None = None
    mine: bool = False  # this device has opened it, or spoken in it


@dataclass
class Place:
    """What a device has of the room."""

    own: bytes
    current: bytes
    epochs: dict[bytes, Held] = field(default_factory=dict)
    sent: int | None = 0  # own chain: messages sent in the current epoch; None: no own chain
    last_spoken: tuple[bytes, int] | None = None
    removed: bool = False
    taken: dict[bytes, int] = field(default_factory=dict)  # commits, by what they opened, and when


@dataclass
class Shelf:
    """What a device has beside the room."""

    packages: dict[bytes, set[int]] = field(default_factory=dict)  # its unused one-time prekeys
    kept: dict[bytes, int] = field(default_factory=dict)  # messages in the inbox: their deadline
    viewed: set[bytes] = field(default_factory=set)
    # in which hours a record of it has been written, each under the wrap key of that hour (13.4)
    wrapped: set[tuple[bytes, int]] = field(default_factory=set)


@dataclass(frozen=True)
class Said:
    """A message: whose, where, and what it says of its sender's epoch before."""

    epoch: bytes
    sender: bytes
    index: int
    last_spoken: tuple[bytes, int] | None
    strayed: bool
    after_view: int | None
    lifetime: int
    sent: int


class Ledger:
    """Keeps account of every device's secrets, and of what has been captured."""

    def __init__(self) -> None:
        self.direct = False
        self.opened: dict[bytes, Opened] = {}
        self.said: dict[bytes, Said] = {}
        self.places: dict[str, Place] = {}
        self.shelves: dict[str, Shelf] = {}
        self.members: dict[bytes, str] = {}
        self.stolen: set[Secret] = set()

    # --- beginning -------------------------------------------------------------------------------

    def package(self, device: str, package: bytes, prekeys: int) -> None:
        """A device has made a key package (6.3)."""
        self._shelf(device).packages[package] = set(range(prekeys))

    def package_gone(self, device: str, package: bytes) -> None:
        """REQ-DEL-10."""
        del self._shelf(device).packages[package]

    def found(
        self,
        device: str,
        own: bytes,
        epoch: bytes,
        guests: Sequence[Guest],
        *,
        direct: bool,
        now: int,
    ) -> None:
        """A room is founded (10.2): no slots, an invitation for each."""
        self.direct = direct
        leaf: dict[bytes, Any] = {own: (epoch, own)}
        leaf |= {member: (package, who) for who, member, package, _ in guests}
        self.opened[epoch] = Opened(None, own, 0, leaf, {}, guests)
        self.members[own] = device
        self.members |= {member: who for who, member, _, _ in guests}
        self.places[device] = Place(own, epoch)
        self._enter(device, epoch, now)

    def join(
        self, device: str, own: bytes, epoch: bytes, package: bytes, prekey: int | None, now: int
    ) -> None:
        """An invitation has been accepted: its one-time prekey goes in that transaction."""
        self.places[device] = Place(own, epoch)
        self._enter(device, epoch, now)
        if prekey is not None:
            self._shelf(device).packages[package].discard(prekey)
        if self.direct:  # REQ-INV-09: the leaf key of the package is not kept with the room
            self.places[device].epochs[epoch].leaf = None

    # --- epochs ----------------------------------------------------------------------------------

    def commit(
        self,
        device: str,
        parent: bytes,
        epoch: bytes,
        removed: Iterable[bytes],
        guests: Sequence[Guest],
        now: int,
    ) -> None:
        """A group's commit is made: the committer has a new leaf key, and enters (REQ-EPOCH-14)."""
        own, gone = self.places[device].own, set(removed)
        before = self.opened[parent]
        leaf = {member: key for member, key in before.leaf.items() if member not in gone}
        slots = {member: key for member, key in leaf.items() if member != own}
        leaf[own] = (epoch, own)
        leaf |= {member: (package, who) for who, member, package, _ in guests}
        self.members |= {member: who for who, member, _, _ in guests}
        self.opened[epoch] = Opened(parent, own, before.number + 1, leaf, slots, guests)
        self.places[device].taken[epoch] = now
        self._enter(device, epoch, now)

    def apply(self, device: str, epoch: bytes, now: int, *, leads: bool) -> None:
        """Another's commit has been taken into the tree (REQ-EPOCH-27). Whether it leads follows
        from the commits alone; the ledger is told."""
        place, opened = self.places[device], self.opened[epoch]
        assert opened.parent is not None
        parent = place.epochs[opened.parent]
        stays = place.own in opened.leaf
        place.taken[epoch] = now
        if leads and stays:
            self._enter(device, epoch, now)
        elif leads:  # removed: what it holds stays for a sibling that may yet lead (REQ-DEL-05)
            self._leave(place, now)
            place.current, place.removed = opened.parent, True
        elif stays:  # a losing epoch: it is only read
            held = self._held(place, epoch)
            held.superseded, held.exporter = now, False
            held.inits.discard(place.own)
            for member in self.opened[opened.parent].leaf:
                if member not in parent.chains:
                    held.chains.pop(member, None)
            place.epochs[epoch] = held
        parent.inits.discard(opened.opener)  # the puncture

    def turn(self, device: str, parent: bytes, epoch: bytes, now: int) -> None:
        """A direct room's turn has begun: r is sealed to the peer's last leaf key (REQ-DIR-02)."""
        own = self.places[device].own
        before = self.opened[parent]
        (peer,) = set(before.leaf) - {own}
        leaf = {**before.leaf, own: (epoch, own)}
        self.opened[epoch] = Opened(
            parent, own, before.number + 1, leaf, {peer: before.leaf[peer]}
        )
        self._enter(device, epoch, now)

    def turn_taken(self, device: str, parent: bytes, epoch: bytes, now: int) -> None:
        """The other side's turn has been accepted (REQ-DIR-04)."""
        assert self.opened[epoch].parent == parent
        self._enter(device, epoch, now)

    def _enter(self, device: str, epoch: bytes, now: int) -> None:
        """An epoch becomes the current one (REQ-DEL-02)."""
        place, opened = self.places[device], self.opened[epoch]
        old = place.epochs.get(place.current)
        if old is not None:
            self._leave(place, now)
            if self.direct:
                old.inits, old.handshakes, old.leaf = set(), set(), None
        parent = place.epochs.get(opened.parent or b"")
        if parent is not None and opened.parent is not None:
            parent.inits.discard(opened.opener)
            for member in self.opened[opened.parent].leaf:
                if member not in opened.leaf:
                    for held in place.epochs.values():
                        held.chains.pop(member, None)
        held = self._held(place, epoch)
        held.mine = opened.opener == place.own
        place.sent = 0 if not self.direct or held.mine else None
        place.epochs[epoch] = held
        place.current, place.removed = epoch, False

    def _held(self, place: Place, epoch: bytes) -> Held:
        """What is kept of an epoch whose secret is there."""
        opened = self.opened[epoch]
        members = set(opened.leaf)
        held = Held(opened.leaf[place.own], {m: Chain() for m in members - {place.own}})
        if not self.direct:
            held.handshakes, held.inits = set(members), set(members)
            return held
        held.inits = members - {opened.opener}  # REQ-DEL-04
        if opened.opener == place.own:
            held.chains = {}
        else:
            held.leaf = None
        return held

    def _leave(self, place: Place, now: int) -> None:
        """Steps 1 and 2 of REQ-DEL-02; the own chain goes."""
        old = place.epochs[place.current]
        if place.sent:
            place.last_spoken = (place.current, place.sent)
        place.sent = None
        old.superseded = now if old.superseded is None else old.superseded
        old.exporter = False
        old.inits.discard(place.own)

    def _before(self, place: Place, epoch: bytes) -> list[bytes]:
        """The kept epochs that lead to this one, from the newest to the oldest."""
        found = []
        if self.direct:
            earlier = [e for e in place.epochs if self.opened[e].number < self.opened[epoch].number]
            return sorted(earlier, key=lambda e: -self.opened[e].number)
        at = self.opened[epoch].parent
        while at is not None and at in place.epochs:
            found.append(at)
            at = self.opened[at].parent
        return found

    def _strayed(self, place: Place) -> bool:
        """REQ-EPOCH-30."""
        path = {place.current, *self._before(place, place.current)}
        return any(held.mine for epoch, held in place.epochs.items() if epoch not in path)

    # --- messages --------------------------------------------------------------------------------

    def send(
        self, device: str, message: bytes, after_view: int | None, lifetime: int, now: int
    ) -> None:
        """A message has been sealed: the chain is stepped, and an own copy may be kept."""
        place = self.places[device]
        assert place.sent is not None
        self.said[message] = Said(place.current, place.own, place.sent, place.last_spoken,
                                  not self.direct and self._strayed(place), after_view, lifetime,
                                  now)  # fmt: skip
        place.sent += 1
        place.epochs[place.current].mine = True
        if after_view != 0:  # REQ-EVAP-09: as if viewed when it was sent
            deadline = now + min(lifetime, lifetime if after_view is None else after_view)
            self._keep(device, message, deadline, now)
            self._shelf(device).viewed.add(message)

    def receive(self, device: str, message: bytes, now: int) -> None:
        """A message has been accepted (11.5, 11.6, 13.3)."""
        place, said = self.places[device], self.said[message]
        held = place.epochs.get(said.epoch)
        chain = None if held is None else held.chains.get(said.sender)
        if chain is None or (said.index < chain.next and said.index not in chain.skipped):
            raise Break(f"{device} read what it must have no key for any more")
        if said.index < chain.next:
            del chain.skipped[said.index]
        else:
            chain.skipped |= dict.fromkeys(range(chain.next, said.index), now)
            chain.next = said.index + 1
        self._close_earlier(place, said, now)
        if not self.direct and not said.strayed:  # the sender waives (REQ-EPOCH-30)
            for epoch in self._before(place, said.epoch):
                place.epochs[epoch].inits.discard(said.sender)
        deadline = min(said.sent, now) + said.lifetime
        if now < deadline:
            self._keep(device, message, deadline, now)

    def _close_earlier(self, place: Place, said: Said, now: int) -> None:
        """REQ-MSG-08."""
        named, count = said.last_spoken or (None, 0)
        last = place.epochs.get(named) if named is not None else None
        settled = set() if last is None or named is None else {named, *self._before(place, named)}
        unseen = named is not None and last is None
        for epoch in self._before(place, said.epoch):
            if epoch in settled or (unseen and said.strayed):
                break
            chain = place.epochs[epoch].chains.get(said.sender)
            if chain is not None and not (unseen and chain.next > 0):
                chain.close(0, now)
        if last is not None and said.sender in last.chains:
            last.chains[said.sender].close(count, now)

    def _keep(self, device: str, message: bytes, deadline: int, now: int) -> None:
        shelf = self._shelf(device)
        shelf.kept[message] = deadline
        shelf.wrapped.add((message, now // HOUR))

    def view(self, device: str, message: bytes, now: int) -> None:
        """A message has been opened, and closed again (REQ-EVAP-04, REQ-EVAP-07)."""
        shelf, said = self._shelf(device), self.said[message]
        if message not in shelf.viewed and said.after_view is not None:
            shelf.kept[message] = min(shelf.kept[message], now + said.after_view)
        shelf.viewed.add(message)
        if said.after_view == 0:
            del shelf.kept[message]

    def look(self, device: str, now: int) -> None:
        """What has had its time is erased (REQ-DEL-06 to 08, REQ-EVAP-07, REQ-EVAP-08)."""
        shelf, hour = self._shelf(device), now // HOUR
        shelf.kept = {m: end for m, end in shelf.kept.items() if now < end}
        shelf.wrapped |= {(message, hour) for message in shelf.kept}
        place = self.places.get(device)
        if place is None:
            return
        for epoch, held in list(place.epochs.items()):
            if held.superseded is not None and now > held.superseded + GRACE:
                if epoch != place.current:
                    del place.epochs[epoch]
                    continue
                held.chains, held.leaf = {}, None
                held.handshakes, held.inits = set(), set()
            for chain in held.chains.values():
                chain.skipped = {n: t for n, t in chain.skipped.items() if now <= t + GRACE}

    # --- the adversary ---------------------------------------------------------------------------

    def capture(self, device: str, now: int, *, flash: bool = False) -> None:
        """A device's complete state is taken: now the adversary has all that the device has."""
        shelf = self._shelf(device)
        have = self.stolen
        have |= {("identity", device)}
        for package, prekeys in shelf.packages.items():
            have |= {("prekey", package), ("leaf", (package, device))}
            have |= {("one-time", (package, n)) for n in prekeys}
        have.add(("wrap key", (device, now // HOUR)))
        have |= {("wrapped", (device, m, now // HOUR)) for m in shelf.kept}
        if flash:
            have |= {("wrapped", (device, *which)) for which in shelf.wrapped}
        place = self.places.get(device)
        if place is None:
            return
        for epoch, held in place.epochs.items():
            have.add(("public", epoch))
            if held.leaf is not None:
                have.add(("leaf", held.leaf))
            if held.exporter:
                have.add(("exporter", epoch))
            have |= {("handshake", (epoch, member)) for member in held.handshakes}
            have |= {("init", (epoch, member)) for member in held.inits}
            for member, chain in held.chains.items():
                if not chain.closed:
                    have.add(("chain", (epoch, member, chain.next)))
                have |= {("key", (epoch, member, n)) for n in chain.skipped}
        if place.sent is not None:
            have.add(("chain", (place.current, place.own, place.sent)))

    def known(self) -> set[Secret]:
        """All that follows from what was taken and recorded, but for single messages."""
        have = set(self.stolen)
        for kind, of in self.stolen:
            if kind == "wrapped" and ("wrap key", (of[0], of[2])) in have:
                have.add(("aead", of[1]))
        while True:
            size = len(have)
            for epoch, opened in self.opened.items():
                self._follow(have, epoch, opened)
            if len(have) == size:
                return have

    def _follow(self, have: set[Secret], epoch: bytes, opened: Opened) -> None:
        """What follows for one epoch from what is known."""
        for device, _, package, prekey in opened.guests:  # 7.2: the recorded invitation
            needed: list[Secret] = [("identity", device), ("prekey", package)]
            if prekey is not None:
                needed.append(("one-time", (package, prekey)))
            if have.issuperset(needed):
                have |= {("secret", epoch), ("public", epoch), ("commit", epoch)}
        parent = opened.parent
        if parent is not None:
            if ("public", parent) in have if self.direct else (
                ("handshake", (parent, opened.opener)) in have
            ):
                have.add(("commit", epoch))
            told = "secret" if self.direct else "commit"  # what holds the confirmation
            if {(told, epoch), ("public", parent)} <= have:
                have.add(("public", epoch))
            if ("commit", epoch) in have:  # 10.4: a slot opens with the leaf key it is sealed to
                if any(("leaf", leaf) in have for leaf in opened.slots.values()):
                    have.add(("r", epoch))
                if {("r", epoch), ("init", (parent, opened.opener))} <= have:  # 10.5
                    have.add(("secret", epoch))
        if ("secret", epoch) in have:
            have.add(("exporter", epoch))
            for member in opened.leaf:
                have |= {("chain", (epoch, member, 0)), ("init", (epoch, member)),
                         ("handshake", (epoch, member))}  # fmt: skip

    def readable(self) -> set[bytes]:
        """The messages that the adversary can read, by their ids."""
        have = self.known()
        return {message for message, said in self.said.items() if self._reads(have, message, said)}

    def _reads(self, have: set[Secret], message: bytes, said: Said) -> bool:
        if ("aead", message) in have:
            return True
        place = (said.epoch, said.sender)
        return ("public", said.epoch) in have and (
            ("key", (*place, said.index)) in have
            or any(("chain", (*place, n)) in have for n in range(said.index + 1))
        )

    def exports(self) -> set[bytes]:
        """The epochs whose exporter the adversary has."""
        return {of for kind, of in self.known() if kind == "exporter"}

    def must_be_out(self, device: str, named: dict[bytes, set[bytes]], now: int) -> set[bytes]:
        """Who is in a device's current epoch, and must not be when it speaks (REQ-EPOCH-28): others
        whose removal by a member of it, as `named` by epochs, it has taken within 30 days."""
        place = self.places[device]
        inside = set(self.opened[place.current].leaf)
        found = set()
        for epoch, since in place.taken.items():
            if now <= since + NOTED and self.opened[epoch].opener in inside:
                found |= named.get(epoch, set()) & inside
        return found - {place.own}

    # --- names -----------------------------------------------------------------------------------

    def _shelf(self, device: str) -> Shelf:
        return self.shelves.setdefault(device, Shelf())

    def devices_of(self, member: bytes) -> list[str]:
        """The device that is this member."""
        return [self.members[member]] if member in self.members else []

    def descends(self, epoch: bytes, ancestor: bytes) -> bool:
        """Whether one epoch comes after another, on its branch; an epoch does after itself."""
        at: bytes | None = epoch
        while at is not None and at != ancestor:
            at = self.opened[at].parent
        return at == ancestor
