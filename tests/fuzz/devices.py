"""Targets: a whole device with a hostile envelope, and what its store holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from evanesce import formats
from evanesce.arrivals import arrive
from evanesce.engine import Engine
from evanesce.envelope import envelope_size, room_for
from evanesce.errors import RemoteError
from evanesce.events import Rejected, RoomJoined
from evanesce.faces import Faces
from evanesce.founding import Invited
from evanesce.mailbox import Mailbox
from evanesce.membership import Mode, Policy
from evanesce.ports import Delivery
from evanesce.repair import RepairRequest
from evanesce.room import Room
from evanesce.rooms import Rooms
from evanesce.store.header import HEADER_BYTES, Header
from evanesce.store.memory import MemoryStore
from evanesce.wire import decode, encode
from tests.fuzz.choices import Choices
from tests.fuzz.committing import copy, guests, invitation
from tests.fuzz.decoders import sealed
from tests.fuzz.oracle import REMOTE, Fault, Watched, judged_store
from tests.fuzz.scenes import NOW, Scene, Stream, contents_of, scene
from tests.fuzz.speaking import message
from tests.room.room_support import World

_KINDS = {
    formats.MESSAGE.type, formats.COMMIT_COPY.type, formats.INVITATION.type, formats.OPENING.type
}  # fmt: skip


class Shown:
    """What an application would be shown; handles are the ids themselves."""

    def conversation(self, room: bytes) -> bytes:
        return room

    def message(self, message_id: bytes) -> bytes:
        return message_id

    def opened(self, message_id: bytes) -> None:
        return None


FACES = cast(Faces, Shown())


class Victim:
    """A device in the middle of its life, put back as it was whenever an input has changed it."""

    def __init__(self, records: dict[bytes, bytes]) -> None:
        self._records = records
        self.now = NOW + 7_200
        self.restart()

    def restart(self) -> None:
        """The device as its store says, with a random source that begins anew."""
        self.store = MemoryStore(self._records)
        with self.store.transaction() as tx:
            self.engine = Engine.load(tx, None, self.now, Stream("victim"))
            self.engine.rooms.store = self.store
            with self.engine.rooms.within(tx):
                self._digests = [self.engine.rooms[key].digest() for key in self.engine.meta]

    def take(self, delivery: Delivery) -> list[Any]:
        """Give it a delivery. Nothing is raised, and a refused one leaves all as it was."""
        try:
            return self._take(delivery)
        except BaseException:
            self.restart()
            raise

    def _take(self, delivery: Delivery) -> list[Any]:
        before = self.store.contents()
        with self.store.transaction() as tx, self.engine.rooms.within(tx):
            events = arrive(self.engine, tx, FACES, delivery, self.now)
            written = dict(tx.written)
            digests = [self.engine.rooms[key].digest() for key in self.engine.meta]
        refused = [event for event in events if isinstance(event, Rejected)]
        if any(event.reason not in REMOTE for event in refused):
            raise Fault(f"refused for {refused}")
        moved = digests != self._digests
        if len(refused) == len(events) == 1 and (written or moved):
            raise Fault(f"refused for {refused[0].reason}, and yet something has changed")
        if len(refused) > 1 and not any(isinstance(e, RoomJoined) for e in events):
            raise Fault(f"one delivery was refused {len(refused)} times")
        held = written and all(name.startswith(b"waiting/") for name in written)
        if held and moved:
            raise Fault("what is held has changed a room")
        if written or moved or self.store.contents() != before:
            self.restart()
        return events


@dataclass(frozen=True)
class Stage:
    """A victim, and the scenes of its two rooms as an attacker builds on them."""

    victim: Victim
    scenes: tuple[Scene, Scene]
    mailboxes: tuple[bytes, ...]  # addresses: contact, group, 1:1, one that is retired, a stranger
    requests: tuple[bytes, ...]


@cache
def stage() -> Stage:
    """A device called Bob, in a group and in a 1:1 room with people who attack it."""
    store, random = MemoryStore(), Stream("bob's device")
    made = [_group_of_three(), _pair()]
    with store.transaction() as tx:
        engine = Engine.load(tx, "Bob", NOW, random)
        contact = engine.contact.keys
        for world in made:
            shelved = engine.make_package(tx, NOW, last_resort=False, publish=False)
            founder = world.people["mal"]
            guests_ = [Invited(shelved.keys.package, 0)]
            others = [] if world.policy.mode is Mode.DIRECT else [world.people["dan"].invited()]
            room, invitations = Room.found(
                founder.keys, world.policy, [*guests_, *others], "mal", founder.mailbox.mailbox,
                NOW, founder.random,
            )  # fmt: skip
            world.rooms["mal"] = room
            first, *rest = invitations.values()
            for guest, sent in zip(others, rest, strict=True):
                world.rooms["dan"] = world.people["dan"].join(sent, guest, NOW)
            payload = first
            if world.policy.mode is Mode.DIRECT:
                payload = encode([1, formats.OPENING.type, first, world.send("mal").message])
            _deliver(engine, tx, contact.mailbox, payload)
            if room.id not in engine.rooms:
                raise Fault("the victim has not joined")
    return _stage(store, made)


def _group_of_three() -> World:
    return World("mal", "dan", policy=Policy(Mode.SIGNED, members_may_add=True))


def _pair() -> World:
    world = World("mal", "dan", policy=Policy(Mode.DIRECT))
    del world.rooms["dan"]
    return world


def _deliver(engine: Engine, tx: Any, mailbox: Mailbox, payload: bytes) -> None:
    own = engine.mailboxes[mailbox.address]
    envelope = sealed(own.keys, payload + b"\x80" + bytes(_fill(len(payload) + 1)), Choices(b""))
    events = arrive(engine, tx, FACES, Delivery(bytes(16), mailbox.address, envelope), NOW)
    if any(isinstance(event, Rejected) for event in events):
        raise Fault(f"the victim has refused what is valid: {events}")


def _fill(size: int) -> int:
    """How much padding makes an envelope of a step's size around so many bytes."""
    least = 512
    while room_for(least) + 1 < size:
        least = envelope_size(least + 1)
    return room_for(least) + 1 - size


def _stage(store: MemoryStore, worlds: list[World]) -> Stage:
    victim = Victim(store.contents())
    engine = victim.engine
    scenes = []
    with victim.store.transaction() as tx, engine.rooms.within(tx):
        for world in worlds:
            room = engine.rooms[world["mal"].id]
            world.now = victim.now
            made = Scene("owner", world, "bob", scene("owner").ring, Watched(room.records()))
            sent = world.send("mal", "a real one")
            made.headers = [formats.MESSAGE.parse(sent.message)[0]]
            made.contents = [c.encode() for c in contents_of(world, "mal", [sent.id])]
            made.packages, made.proofs = scene("owner").packages, scene("owner").proofs
            made.requests = scene("owner").requests
            for name, other in world.rooms.items():
                made.ring.add(world.people[name].keys, other.own_id)
                for keys in world.people[name].packages.values():
                    made.signing[keys.package.room_sign_key] = keys.room_sign.reveal()
                signing = other.state.epoch.room_sign
                if signing is not None:
                    made.signing[signing.reveal()[32:]] = signing.reveal()
            scenes.append(made)
    first, second = (worlds[n]["mal"].id for n in (0, 1))
    at = {own.room: address for address, own in engine.mailboxes.items()}
    requests = tuple(
        RepairRequest.make(world.people["mal"].keys, world["mal"].id, world["mal"].own_id,
                           world["mal"].transcript[:8], victim.now).signed
        for world in worlds
    )  # fmt: skip
    return Stage(victim, (scenes[0], scenes[1]), (at[None], at[first], at[second], bytes(32)),
                 (*requests, *scene("owner").requests))  # fmt: skip


def device(data: bytes) -> Any:
    """A device and one hostile envelope: it never raises, and ends as at most one refusal."""
    choices = Choices(data)
    here = stage()
    address = choices.of(here.mailboxes)
    if choices.rarely(16):
        return here.victim.take(Delivery(bytes(16), address, choices.rest, notice=True))
    own = here.victim.engine.mailboxes.get(address)
    payload = _payload(here, choices)
    padded = payload + choices.of((b"\x80", b"\x80", b"\x80", b"", b"\0"))
    if own is None or choices.rarely(32):
        envelope = padded
    else:
        fill = 0 if choices.rarely(32) else _fill(len(padded))
        envelope = sealed(own.keys, padded + bytes(fill), choices)
    return here.victim.take(Delivery(bytes(16), address, envelope))


def _payload(here: Stage, choices: Choices) -> bytes:
    """Anything that a device may be sent, changed and sealed by one who knows the keys."""
    kind = choices.number(7)
    group, pair = here.scenes
    if kind == 0:
        made = choices.of((group, pair))
        return message(made, made.room, choices)
    if kind == 1:
        return copy(group, group.room, choices)
    if kind == 2:
        return group.ring.vary(choices.of(here.requests), choices)
    if kind == 3:
        return invitation(choices.of(guests()), choices)
    if kind == 4:
        opening = [1, formats.OPENING.type, invitation(choices.of(guests()), choices),
                   message(pair, pair.room, choices)]  # fmt: skip
        return encode(group.ring.vary_value(opening, choices))
    if kind == 5:
        head = encode([1, choices.of(sorted(_KINDS)), bytes(32)])
        return head + choices.rest
    return choices.rest


# --- what the store holds ------------------------------------------------------------------------


def records(data: bytes) -> Any:
    """`Room.restore` with one record changed: a room, or one typed error of the store."""
    choices = Choices(data)
    made = scene(choices.of(("member", "answered", "closed")))
    kept = dict(made.room.records())
    name = choices.of(sorted(kept))
    kept[name] = _changed_record(kept[name], choices)
    if choices.rarely(16):
        del kept[choices.of(sorted(kept))]
    if choices.rarely(16):
        kept[choices.of((b"", b"epoch/", b"chain/" + bytes(8), b"other"))] = b"\x90"
    return judged_store(lambda: Room.restore(kept))


def _changed_record(data: bytes, choices: Choices) -> bytes:
    """A record with edits, canonical or cut."""
    if choices.rarely():
        return choices.rest
    try:
        value = decode(data, limit=1 << 24)
    except RemoteError:  # a bare key
        return data[: choices.number(len(data) + 1)]
    return encode(scene("member").ring.vary_value(value, choices))


def engine(data: bytes) -> Any:
    """Opening a device whose store has one record changed: a device, or one typed error."""
    choices = Choices(data)
    kept = dict(stage().victim._records)
    names = [name for name in sorted(kept) if not name.startswith(b"room/")]
    name = choices.of(names)
    kept[name] = _changed_record(kept[name], choices)
    store = MemoryStore(kept)

    def opened() -> Rooms:
        with store.transaction() as tx:
            return Engine.load(tx, None, NOW + 7_200, Stream("again")).rooms

    return judged_store(opened)


def header(data: bytes) -> Any:
    """The header of a device's file: raw, or changed and with a checksum that fits."""
    choices = Choices(data)
    newest = choices.of((3, 0, 2**32))
    if choices.rarely(4):
        raw = choices.rest
    else:
        version = choices.number(4)
        value = [b"evanesce store", version, 1, bytes(16), 3, 65_536, bytes(32), bytes(72)]
        body = encode(scene("member").ring.vary_value(value, choices))
        checksum = hashlib.blake2b(body, digest_size=16, person=b"evanesce header").digest()
        raw = body + checksum + b"\x80"
    return judged_store(lambda: Header.load(raw.ljust(HEADER_BYTES, b"\0"), newest))
