"""Rooms that fork and part: members that do not hear of each other for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from evanesce import Conversation, FallenBehind, Reason, Rejected, RoomChanged
from evanesce.ports import Outgoing
from tests.device.device_support import Actor, World

HOUR = 3_600


class Line:
    """One device's way to the relay. What is for those beyond a cut is parked until it is mended.

    Mending it delivers everything late, as a courier does that was long on the way.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.part: set[str] | None = None  # names of those who can be reached; None: all
        self.parked: list[Outgoing] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world.relay, name)

    def _reaches(self, address: bytes) -> bool:
        if self.part is None:
            return True
        owners = [name for name, actor in self.world.actors.items()
                  if any(own.keys.mailbox.address == address for own in actor.store.mailboxes())]
        return bool(set(owners) & self.part)

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        passed = [item for item in batch if self._reaches(item.mailbox.address)]
        self.parked += [item for item in batch if not self._reaches(item.mailbox.address)]
        return await self.world.relay.send(passed)


class Parting:
    """The lines of several devices."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lines: dict[str, Line] = {}

    async def open(self, *names: str) -> list[Actor]:
        """Open devices that can be cut off from each other."""
        opened = []
        for name in names:
            line = self.lines[name] = Line(self.world)
            opened.append(await self.world.open(name, transport=line))
        return opened

    def cut(self, *parts: Sequence[Actor]) -> None:
        """From now on each part hears only of itself."""
        for part in parts:
            for actor in part:
                self.lines[actor.name].part = {each.name for each in part}

    async def mend(self) -> None:
        """All hear of each other again, and late of what has been."""
        for line in self.lines.values():
            line.part = None
            parked, line.parked = line.parked, []
            await self.world.relay.send(parked)
        await self.world.settle()


async def at_once(world: World, *commits: Callable[[], Awaitable[object]]) -> None:
    """Have all this done before anybody hears of it; then let everything come."""
    world.relay.paused = True
    for commit in commits:
        await commit()
    await world.settle()
    await resume(world)


async def resume(world: World) -> None:
    """Deliver again, all that has waited."""
    world.relay.paused = False
    await world.relay.send([])
    await world.settle()


async def minutes(world: World, count: int) -> None:
    """Let time pass, a minute at a time."""
    for _ in range(count):
        await world.advance(60)


def agreed(room: Conversation, *actors: Actor) -> bytes:
    """Assert that all are in one epoch, with just these members; return its transcript hash."""
    views = {(a.room(room).epoch, a.room(room).transcript) for a in actors}
    assert len(views) == 1, "members disagree about the room"
    expected = {a.device.identity for a in actors}
    for actor in actors:
        assert {p.identity for p in actor.room(room).members} == expected, actor.name
    return views.pop()[1]


def losers(actor: Actor) -> list[str]:
    """The names of all whose commits it was told have lost."""
    return [person.name for change in actor.told(RoomChanged) for person in change.lost]


def behind(actor: Actor) -> list[str | None]:
    """Whom it was told to ask for a resync, each time it was told that it has fallen behind."""
    return [None if event.ahead is None else event.ahead.name
            for event in actor.told(FallenBehind)]  # fmt: skip


def untroubled(*actors: Actor) -> None:
    """Assert that none was told of something refused, nor that it has fallen behind."""
    for actor in actors:
        assert actor.told(Rejected) == [], actor.name
        assert actor.told(FallenBehind) == [], actor.name
