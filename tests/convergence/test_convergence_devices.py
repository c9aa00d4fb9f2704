"""Whole devices, over a relay that reorders, repeats and drops, with all kinds of changes."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack

import pytest
from benchmarks.convergence import Member, Room, Settings

from evanesce import Mode, Policy, RemovedFromRoom, Role
from evanesce.events import Equivocated, FallenBehind, StoreFailed
from tests.device.device_support import World

LONG = os.environ.get("EVANESCE_PROFILE") == "long"
ROUND = 120  # simulated seconds between two looks at who has fallen behind
ROUNDS = 100


class Changing(Room):
    """Members that commit whatever they may, all the time, and let in anew whoever asks for it."""

    room = b""

    def has(self, member: Member) -> bool:
        """Whether it is in the room, as far as it knows."""
        found = member.room is not None and any(r.id == self.room for r in member.device.rooms)
        return found and not member.here.closed

    @property
    def inside(self) -> list[Member]:
        """Who is in the room, as far as they know."""
        return [member for member in self.members if self.has(member)]

    @property
    def converged(self) -> bool:
        """Whether all who are in it are in one epoch."""
        return len({member.here.transcript for member in self.inside}) <= 1

    async def rush(self) -> None:
        """Everybody does something at random."""
        self.room = self.members[0].here.id
        for _ in range(self.settings.seconds):
            for member in self.inside:
                chance = self.dice.random()
                if chance < 0.1:
                    await self.as_member(member, member.here.refresh)
                elif chance < 0.22:
                    self.said += await self.say(member, "hello")
                elif chance < 0.3:
                    await self.change(member)
            await self.step()

    async def change(self, member: Member) -> None:
        """One changes the room, if it may."""
        here, chance = member.here, self.dice.random()
        others = [p for p in here.members if p.identity != member.device.identity]
        if not others:
            return
        other = self.dice.choice(others)
        if chance < 0.2:
            await self.as_member(member, lambda: here.remove(other))
        elif chance < 0.5:
            role = self.dice.choice(list(Role))
            await self.as_member(member, lambda: here.set_role(other, role))
        elif chance < 0.6:
            policy = Policy(Mode.SIGNED, members_may_add=self.dice.random() < 0.5)
            await self.as_member(member, lambda: here.set_policy(policy))
        elif chance < 0.95:
            card = await self.dice.choice(self.members).device.card()
            await self.as_member(member, lambda: here.add(card))
        else:
            await self.as_member(member, here.leave)

    async def heal(self) -> None:
        """Delivery goes on; who is told to ask for a resync asks, and somebody grants it."""
        told: set[int] = set()
        for number in range(ROUNDS):
            for _ in range(ROUND):
                await self.step()
            for member in self.inside:
                for event in member.events:
                    if isinstance(event, FallenBehind) and id(event) not in told:
                        told.add(id(event))
                        await self.as_member(member, member.here.ask_resync)
                for asker in member.device.resync_requests(self.room):
                    if self.dice.random() < 0.4:
                        await self.resync(member, asker)
            if number > len(self.members) and self.converged and not self.relay.under_way:
                return

    async def resync(self, member: Member, asker: object) -> None:
        """One lets another in anew."""
        person = next(p for p in member.here.members if p == asker)
        await self.as_member(member, lambda: member.here.resync(person))


@pytest.mark.parametrize("seed", range(100, 130) if LONG else [104])
def test_devices_converge_whatever_they_change(seed: int) -> None:
    async def play() -> None:
        members, seconds = (7, 60) if LONG else (5, 30)
        room = Changing(Settings(members, seconds, 5.0, 5, 0.1, seed))
        async with AsyncExitStack() as stack:
            await room.open(stack)
            await room.rush()
            await room.heal()
            views = {(m.name, m.here.epoch, m.here.transcript[:4].hex()) for m in room.inside}
            assert room.converged, views
            identities = {member.device.identity for member in room.inside}
            for member in room.inside:
                assert {person.identity for person in member.here.members} == identities
            for member in room.members:
                assert not [e for e in member.events if isinstance(e, Equivocated | StoreFailed)]
            assert room.inside[0].here.epoch > 5

    asyncio.run(play())


async def overtaken(change: str) -> None:
    """Ann commits twice, the second time about Bob, who gets the second commit first."""
    world = World()
    ann, bob, cid = [await world.open(name) for name in ("Ann", "Bob", "Cid")]
    room = await world.group(ann, bob, cid)
    await world.check_talk(room, ann, bob, cid)
    await world.settle()
    world.relay.paused = True
    await room.refresh()
    await world.settle()
    first = [s.envelope for s in world.relay.seen if s.address == bob.mailbox(room).address][-1]
    if change == "remove":
        await room.remove(ann.person(room, bob))
    else:
        await room.refresh()
    await world.settle()
    world.relay.kept_back = {first}
    world.relay.paused = False
    await world.relay.send([])
    await world.settle()
    assert bob.room(room).epoch == 0, "the second cannot be judged before the first"
    await world.relay.let_go()
    await world.settle()
    if change == "remove":
        assert bob.room(room).closed
        assert bob.told(RemovedFromRoom)
    else:
        world.check_agreement(room, ann, bob, cid)
    await world.close()


@pytest.mark.parametrize("change", ["remove", "refresh"])
def test_a_commit_that_overtakes_another_is_judged_when_that_has_come(change: str) -> None:
    """The copy for a member that is removed has no slot, and is no copy that was passed on."""
    asyncio.run(overtaken(change))
