"""Rooms in which somebody is attacked: who receives, and all the keys that an insider may have.

A scene is a group with some past, or a 1:1 room; everything in it comes from fixed streams, so an
input means the same in every run. What the attacker cannot know in life it knows here too: chain
keys, initial secrets and handshake keys are read from the receiver, and all sign for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from evanesce.content import Announcement, Burn, Content, Evaporation, Said, Viewed
from evanesce.formats import MESSAGE
from evanesce.keypackage import KeyPackage
from evanesce.membership import Mode, Policy, Role
from evanesce.proofs import Proof, ProofKind, sanction
from evanesce.repair import RepairRequest
from evanesce.resync import ResyncRequest
from evanesce.room import Room
from tests.fuzz.oracle import Watched
from tests.fuzz.ring import Ring
from tests.room.room_support import NOW, Stream, World

__all__ = ["DIRECT", "GROUPS", "NOW", "Scene", "Stream", "scene"]

GROUPS = ("owner", "member", "waiting", "closed")
DIRECT = ("opened", "answered", "waits")


@dataclass
class Scene:
    """One receiver, and what is needed to attack it."""

    name: str
    world: World
    receiver: str
    ring: Ring
    watched: Watched
    signing: dict[bytes, bytes] = field(default_factory=dict)  # room signature keys, by public
    headers: list[bytes] = field(default_factory=list)  # of real messages
    contents: list[bytes] = field(default_factory=list)
    packages: list[KeyPackage] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)  # requests to leave, and sanctions
    requests: list[bytes] = field(default_factory=list)  # for a resync, then for a repair

    @property
    def room(self) -> Room:
        """The receiver's room, as it was before any input."""
        return self.watched.room

    @property
    def others(self) -> list[bytes]:
        """The ids of all members but the receiver, the attacker first."""
        own = self.room.own_id
        known = [room.own_id for name, room in self.world.rooms.items() if name != self.receiver]
        return [member for member in known if member != own]


def contents_of(world: World, name: str, named: Sequence[bytes]) -> list[Content]:
    """One content of each kind, as somebody may send it."""
    mailbox = world.people[name].mailbox.mailbox
    evaporation = Evaporation(30, 3_600)
    return [
        Said("hello", world.now, Evaporation()), Said(b"\0\1", world.now, evaporation, bytes(16)),
        Announcement(name, mailbox), Viewed(tuple(named)), Burn(tuple(named)),
        world[name].leave_request(world.people[name].keys),
    ]  # fmt: skip


def _note_signing(made: Scene) -> None:
    """Every room signature key that a member has now."""
    for room in made.world.rooms.values():
        for epoch in room.state.epochs.values():
            if epoch.room_sign is not None:
                private = epoch.room_sign.reveal()
                made.signing[private[32:]] = private


def _complete(made: Scene) -> Scene:
    world = made.world
    for name, person in world.people.items():
        rooms = [world.rooms[name].own_id] if name in world.rooms else []
        made.ring.add(person.keys, *rooms)
        for keys in person.packages.values():
            made.signing[keys.package.room_sign_key] = keys.room_sign.reveal()
    made.ring.pool += [made.room.id, made.room.transcript, made.room.transcript[:8]]
    made.ring.pool += list(made.room.state.epochs)
    _note_signing(made)
    return made


def _talk(made: Scene, *names: str) -> None:
    """Each says one thing that is lost, and one of each kind that arrives."""
    world = made.world
    for name in names:
        lost = world.send(name, "lost on the way")
        for content in contents_of(world, name, [lost.id])[:-1]:
            sent = world.send(name, content)
            header, _, _ = MESSAGE.parse(sent.message)
            if name != made.receiver:
                made.headers.append(header)
                made.contents.append(content.encode())
                world.receive(made.receiver, sent)


@cache
def scene(name: str) -> Scene:
    """The scene with this name, of `GROUPS` or `DIRECT`."""
    return _complete(_direct(name) if name in DIRECT else _group(name))


def _group(name: str) -> Scene:
    """A group of five in its fourth epoch; the attacker is its owner, or may do nothing special.

    `waiting`: somebody has come by a last-resort package. `closed`: the receiver is out.
    """
    roles = {"mal": Role.ADMIN, "dan": Role.ADMIN}
    order = ("mal", "bob", "cid", "dan") if name == "owner" else ("ann", "mal", "bob", "dan")
    if name != "owner":
        roles = {"dan": Role.ADMIN, "mal": Role.ADMIN if name == "closed" else Role.MEMBER}
    world = World(*order, roles=roles, outsiders=("eve", "fay", "gus"),
                  policy=Policy(Mode.SIGNED, members_may_add=True))  # fmt: skip
    made = Scene(name, world, "bob", Ring(), Watched(world["bob"].records()))
    first = order[0]
    _talk(made, *order)
    _note_signing(made)
    world.commit(first)
    _talk(made, *order)
    _note_signing(made)
    world.add(first, "eve")
    world.now += 3_600
    _talk(made, *order, "eve")
    _note_signing(made)
    world.commit("mal")
    world.ask_to_leave("dan")
    asked = world["dan"].leave_request(world.people["dan"].keys)
    made.proofs = [Proof(ProofKind.LEAVE, asked.request)]
    if name == "waiting":
        guest = world.people["gus"].invited(last_resort=True, now=world.now)
        commit = world.make("dan", invite=[guest])
        world.spread(commit)
        world.join("gus", commit, guest)
    _group_pools(made)
    if name == "closed":
        world.commit(first, world.removal("bob"))
    made.watched = Watched(world["bob"].records())
    return made


def _group_pools(made: Scene) -> None:
    """Packages to add people by, and the requests that members may make."""
    world = made.world
    fay = world.people["fay"]
    made.packages = [fay.package(now=world.now).package,
                     fay.package(last_resort=True, now=world.now).package]  # fmt: skip
    for each in ("dan", "eve", "mal", "bob"):
        person, room = world.people[each], world[each]
        package = person.package(now=world.now).package
        made.packages.append(package)
        made.requests.append(
            ResyncRequest.make(person.keys, room.id, room.own_id, world.now, package).signed
        )
        made.requests.append(
            RepairRequest.make(person.keys, room.id, room.own_id, room.transcript[:8],
                               world.now).signed
        )  # fmt: skip
        made.proofs.append(Proof(ProofKind.LEAVE, room.leave_request(person.keys).request))
        me = room.roster[room.own_id]
        for other in room.roster:
            if me.outranks(other):
                role = None if len(made.proofs) % 3 else Role.MEMBER
                made.proofs.append(Proof(ProofKind.SANCTION, sanction(
                    person.keys, room.id, me, other, role, room.roster, room.epoch
                ).signed))  # fmt: skip


def _direct(name: str) -> Scene:
    """A 1:1 room. `opened`: it waits for the answer to epoch 0; `answered`: to a later one.

    `waits`: it is the receiver's turn, so the attacker may only speak on.
    """
    world = World("bob", "mal", policy=Policy(Mode.DIRECT))
    made = Scene(name, world, "bob", Ring(), Watched(world["bob"].records()))
    world.deliver(world.send("bob", "first"))
    if name != "opened":
        _answer(made, "mal")
        world.deliver(world.send("bob", "second"))
    if name == "waits":
        _answer(made, "mal")
    made.watched = Watched(world["bob"].records())
    probe = World("bob", "mal", policy=Policy(Mode.DIRECT))
    probe.rooms["mal"] = Room.restore(world["mal"].records())
    sent = probe.send("mal", "a real answer")
    made.headers.append(MESSAGE.parse(sent.message)[0])
    made.contents = [content.encode() for content in contents_of(world, "mal", [sent.id])]
    return made


def _answer(made: Scene, name: str) -> None:
    for content in contents_of(made.world, name, [bytes(16)])[:3]:
        sent = made.world.send(name, content)
        made.world.receive(made.receiver, sent)
        made.headers.append(MESSAGE.parse(sent.message)[0])
