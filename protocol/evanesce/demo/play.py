"""Play a script through real devices, then try everything to read it (see `seizure`)."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..conversation import Conversation
from ..device import Device
from ..errors import LocalError
from ..events import MessageArrived, MessageHandle, Person
from ..limits import HOUR
from ..membership import Role
from ..primitives import Random
from ..store.memory import MemoryStore
from .script import Line, Part, What
from .seizure import Records, Seizure
from .wire import Claim, MailboxDisclosed, MemoryWire, Wire

__all__ = ["Claim", "Outcome", "SpokenLine", "play"]

PACE = 60  # seconds between two messages
AFTER_VIEW = 10


@dataclass(slots=True)
class SpokenLine:
    """A message of the script: what became of it for each member."""

    part: int
    by: str
    text: str
    id: bytes
    expected: tuple[str, ...]
    seen: dict[str, str] = field(default_factory=dict)  # name: the text that member saw


@dataclass(slots=True)
class PlayedPart:
    """A room of the script, played."""

    title: str
    direct: bool
    steps: list[SpokenLine | Line] = field(default_factory=list)
    transcripts: dict[str, str] = field(default_factory=dict)
    epochs: int = 0


@dataclass(slots=True)
class Outcome:
    """All the demo has to show."""

    parts: list[PlayedPart]
    envelopes: int
    mailboxes: int
    sizes: dict[int, int]
    sample: bytes
    claims: list[Claim]
    disclosed: list[MailboxDisclosed] = field(default_factory=list)  # by a relay

    @property
    def ok(self) -> bool:
        """Whether every claim holds."""
        return all(claim.holds for claim in self.claims)


@dataclass(slots=True)
class _Actor:
    name: str
    store: MemoryStore
    device: Device
    rooms: dict[int, Conversation] = field(default_factory=dict)  # part: room
    handles: dict[bytes, MessageHandle] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A member's complete store at one moment, and the messages it must never open."""

    name: str
    what: str
    store: Records
    part: int
    at: int  # how many messages of the part had been sent


def _stream(seed: str) -> Random:
    """A reproducible stream of bytes, for demos only: it is not secret."""
    counter = 0

    def draw(size: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_256(f"{seed}/{counter}".encode()).digest(size)

    return draw


class _Stage:
    """The devices, and the script's progress through them."""

    def __init__(self, parts: Sequence[Part], seed: str | None, wire: Wire) -> None:
        self.parts = parts
        self.wire = wire
        self.clock = wire.clock
        self.seed = seed
        self.actors: dict[str, _Actor] = {}
        self.spoken: list[SpokenLine] = []
        self.snapshots: list[_Snapshot] = []
        self.played: list[PlayedPart] = []

    # --- people ----------------------------------------------------------------------------------

    async def enter(self) -> None:
        for name in dict.fromkeys(name for part in self.parts for name in part.names):
            store = MemoryStore()
            random = secrets.token_bytes if self.seed is None else _stream(f"{self.seed}/{name}")
            device = Device.open(store, self.wire.transport(), name=name, clock=self.clock,
                                 random=random)  # fmt: skip
            await device.__aenter__()
            self.actors[name] = _Actor(name, store, device)

    async def leave(self) -> None:
        for actor in self.actors.values():
            await actor.device.close()

    async def settle(self) -> None:
        """Let the devices work until nothing is on its way."""
        quiet = 0
        end = time.monotonic() + self.wire.patience
        while quiet < self.wire.looks:
            if time.monotonic() > end:
                raise OSError(0, "envelopes do not come", "transport")
            await asyncio.sleep(self.wire.pause)
            busy = self.wire.busy() or any(
                name.startswith(b"outbox/")
                for actor in self.actors.values()
                for name in actor.store.contents()
            )
            quiet = 0 if busy else quiet + 1
        for actor in self.actors.values():
            for event in actor.device.pending_events():
                if isinstance(event, MessageArrived):
                    actor.handles[event.message.id] = event.message

    def _find_room(self, actor: _Actor, part: int, room: bytes) -> Conversation:
        return actor.rooms.setdefault(part, actor.device.conversation(room))

    # --- the script ------------------------------------------------------------------------------

    async def play(self) -> None:
        for number, part in enumerate(self.parts):
            played = PlayedPart(part.title, part.direct)
            self.played.append(played)
            if part.direct:
                await self._play_direct(number, part, played)
            else:
                await self._play_group(number, part, played)
            for name, actor in self.actors.items():
                room = actor.rooms.get(number)
                if room is not None and not room.closed:
                    played.transcripts[name] = room.transcript.hex()
                    played.epochs = room.epoch

    async def _play_direct(self, number: int, part: Part, played: PlayedPart) -> None:
        first, second = (self.actors[name] for name in part.names)
        room = await first.device.direct(await second.device.card())
        first.rooms[number] = room
        for line in part.lines:
            speaker = self.actors[line.name]
            await self._say(number, line, self._find_room(speaker, number, room.id), played,
                            [name for name in part.names if name != line.name])  # fmt: skip

    async def _play_group(self, number: int, part: Part, played: PlayedPart) -> None:
        opening = []
        for line in part.lines:
            if line.what is not What.JOIN:
                break
            opening.append(line)
        founder = self.actors[opening[0].name]
        cards = [await self.actors[line.name].device.card() for line in opening[1:]]
        room = await founder.device.create_room(cards)
        founder.rooms[number] = room
        members = [line.name for line in opening]
        played.steps += opening
        await self.settle()
        sent = 0
        for line in part.lines[len(opening):]:
            match line.what:
                case What.SAY:
                    where = self._find_room(self.actors[line.name], number, room.id)
                    others = [name for name in members if name != line.name]
                    await self._say(number, line, where, played, others)
                    sent += 1
                    continue
                case What.JOIN:
                    card = await self.actors[line.name].device.card()
                    await room.add(card, role=Role.MEMBER)
                    members.append(line.name)
                    await self.settle()
                    self._snapshot(line.name, "joined", number, sent)
                case What.REMOVE:
                    self._snapshot(line.name, "removed", number, sent)
                    await room.remove(self._person(room, line.name))
                    members.remove(line.name)
                    await self.settle()
            played.steps.append(line)
        for name in members:
            self._find_room(self.actors[name], number, room.id)

    def _person(self, room: Conversation, name: str) -> Person:
        return next(person for person in room.members if person.name == name)

    def _snapshot(self, name: str, what: str, part: int, sent: int) -> None:
        store = self.actors[name].store.contents()
        self.snapshots.append(_Snapshot(name, what, store, part, sent))

    async def _say(
        self,
        part: int,
        line: Line,
        room: Conversation,
        played: PlayedPart,
        expected: Sequence[str],
    ) -> None:
        message = await room.send(line.text, after_view=AFTER_VIEW)
        spoken = SpokenLine(part, line.name, line.text, message, tuple(expected))
        self.spoken.append(spoken)
        played.steps.append(spoken)
        await self.settle()
        self.clock.advance(PACE)
        await self.settle()

    # --- viewing ---------------------------------------------------------------------------------

    async def view_all(self) -> None:
        """Everyone opens everything they have."""
        for spoken in self.spoken:
            for name, actor in self.actors.items():
                handle = actor.handles.get(spoken.id)
                if handle is None:
                    continue
                try:
                    async with handle.open() as content:
                        spoken.seen[name] = str(content)
                except LocalError as error:
                    spoken.seen[name] = f"({error.reason})"

    async def evaporate(self) -> None:
        """Let the timers run out, and the hour pass that rotates the wrap keys."""
        for seconds in (AFTER_VIEW, HOUR):
            self.clock.advance(seconds)
            await self.settle()

    # --- the attack ------------------------------------------------------------------------------

    @property
    def log(self) -> list[bytes]:
        return [seen.envelope for seen in self.wire.seen]

    def seize_all(self) -> Seizure:
        return Seizure([actor.store.contents() for actor in self.actors.values()], self.log)

    def claims(self, before: Seizure, after: Seizure) -> Iterator[Claim]:
        total = len(self.spoken)
        texts = {spoken.id: spoken.text for spoken in self.spoken}
        wrong = sum(
            spoken.seen != dict.fromkeys(spoken.expected, spoken.text) for spoken in self.spoken
        )
        yield Claim(
            "delivered", "Every member saw exactly what was written while it was a member",
            wrong == 0, f"{total - wrong} of {total} messages, "
            f"{sum(len(s.expected) for s in self.spoken)} copies",
        )  # fmt: skip
        split = [p.title for p in self.played if len(set(p.transcripts.values())) != 1]
        yield Claim(
            "agreed", "All members of a room share one history", not split,
            "all transcript hashes are equal" if not split else ", ".join(split),
        )  # fmt: skip
        needles = {t.encode() for t in texts.values()} | {n.encode() for n in self.actors}
        needles = {needle for needle in needles if len(needle) >= 4}
        leaked = sum(needle in envelope for needle in needles for envelope in self.log)
        twice = len(self.log) - len(set(self.log))
        yield Claim(
            "opaque", "The transport saw no text and no name, and no envelope twice",
            not leaked and not twice,
            f"{len(needles)} strings sought in {len(self.log)} envelopes: {leaked} found, "
            f"{twice} repeated",
        )  # fmt: skip
        readable = before.open_all()
        right = sum(readable.get(key) == text for key, text in texts.items())
        yield Claim(
            "control", "Control: seized before viewing, the same attack opens everything",
            right == total, f"{right} of {total} opened",
        )  # fmt: skip
        found = set(after.messages) & set(texts)
        readable = after.open_all()
        yield Claim(
            "evaporated", "No viewed message can be opened from every device and the whole log",
            len(found) == total and not any(key in readable for key in texts),
            f"{len(found)} ciphertexts at hand, {sum(k in readable for k in texts)} opened",
        )  # fmt: skip
        yield from self._membership_claims()

    def _membership_claims(self) -> Iterator[Claim]:
        for snapshot in self.snapshots:
            part = [spoken for spoken in self.spoken if spoken.part == snapshot.part]
            joined = snapshot.what == "joined"
            forbidden = part[: snapshot.at] if joined else part[snapshot.at :]
            stores = [snapshot.store]
            if not joined:  # what it had as a member, and what came after
                stores.append(self.actors[snapshot.name].store.contents())
            everyone = [actor.store.contents() for actor in self.actors.values()]
            seizure = Seizure(stores, self.log, mailboxes=everyone)
            readable = seizure.open_all()
            at_hand = sum(spoken.id in seizure.messages for spoken in forbidden)
            opened = sum(spoken.id in readable for spoken in forbidden)
            when = "before joining" if joined else "after removal"
            control = ""
            if not joined:
                earlier = sum(spoken.id in readable for spoken in part[: snapshot.at])
                control = f" (control: {earlier} of {snapshot.at} from before are)"
            yield Claim(
                f"{snapshot.what}:{snapshot.name}",
                f"{snapshot.name} reads nothing sent {when}, even with every ciphertext at hand",
                opened == 0 and at_hand == len(forbidden),
                f"{opened} of {len(forbidden)} opened{control}",
            )  # fmt: skip


async def play(
    parts: Sequence[Part], seed: str | None = None, *, wire: Wire | None = None
) -> Outcome:
    """Play a parsed script, in memory unless a `wire` carries it.

    With `seed`, and in memory, it is reproducible to the byte, and nothing is secret.
    """
    stage = _Stage(parts, seed, wire or MemoryWire())
    try:
        await stage.enter()
        await stage.play()
        before = stage.seize_all()
        await stage.view_all()
        await stage.evaporate()
        after = stage.seize_all()
        claims = list(stage.claims(before, after))
        ending = await stage.wire.ending()
    finally:
        await stage.leave()
    sizes: dict[int, int] = {}
    for envelope in stage.log:
        sizes[len(envelope)] = sizes.get(len(envelope), 0) + 1
    addresses = {seen.address for seen in stage.wire.seen}
    return Outcome(stage.played, len(stage.log), len(addresses), dict(sorted(sizes.items())),
                   stage.log[-1][:32] if stage.log else b"", [*claims, *ending.claims],
                   ending.mailboxes)  # fmt: skip
