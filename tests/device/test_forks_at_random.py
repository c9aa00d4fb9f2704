"""Devices that commit as they like, over a relay that delivers in any order and more than once."""

from __future__ import annotations

import os
from random import Random as Dice

import pytest

from evanesce import LocalError, Reason, Role, StorageError
from tests.device.device_support import Actor, Disorderly, World, check_sealed_once
from tests.device.fork_support import agreed, minutes, resume

NAMES = ("Mina", "Junho", "Sora", "Dora", "Yuna")
SEEDS = range(200 if os.environ.get("EVANESCE_PROFILE") == "long" else 12)
EXPECTED = {Reason.NOT_ENTITLED, Reason.ROOM_CLOSED, Reason.UNKNOWN_MEMBER, Reason.ALREADY_MEMBER,
            Reason.REMOVAL_PENDING, Reason.REFRESH_AWAITED}  # fmt: skip


async def act(world: World, dice: Dice, room: bytes, people: list[Actor], said: list[str]) -> None:
    """Have somebody do something, or let something happen."""
    actor = dice.choice(people)
    here = actor.room(room)
    others = [person for person in here.members if person.identity != actor.device.identity]
    kind = dice.choice(["say", "say", "refresh", "refresh", "remove", "add", "role", "policy",
                        "pause", "resume", "wait", "restart", "leave"])  # fmt: skip
    try:
        match kind:
            case "say":
                await here.send(f"{actor.name} says {len(said)}")
                said.append(actor.name)
            case "refresh":
                await here.refresh()
            case "remove" if others and len(others) > 2:
                await here.remove(dice.choice(others))
            case "add":
                guest = dice.choice(people)
                if guest.room(room).closed:
                    await here.add(await guest.device.card())
            case "role" if others:
                await here.set_role(dice.choice(others), dice.choice([Role.MEMBER, Role.ADMIN]))
            case "policy":
                policy = here.policy
                await here.set_policy(type(policy)(policy.mode, not policy.members_may_add,
                                                   policy.evaporation))  # fmt: skip
            case "leave" if len(others) > 2:
                await here.leave()
            case "pause":
                world.relay.paused = True
            case "resume":
                await resume(world)
            case "wait":
                await world.advance(dice.choice([10, 70, 700, 4_000]))
            case "restart":
                await actor.restart()
    except LocalError as error:
        assert not isinstance(error, StorageError)
        assert error.reason in EXPECTED, error


def stranded(actor: Actor, best: Actor, room: bytes) -> bool:
    """Whether it was admitted by a commit that has lost, and whose author can admit nobody now.

    Nobody invites it anew then, and those who are in do not write to it.
    """
    here, there = actor.device.room(room).state, best.device.room(room)
    if not here.trail or here.own in there.roster:
        return False
    author = here.epochs[here.trail[-1][0]].opener
    may_add = author in there.roster and (
        there.policy.members_may_add or there.roster[author].role >= Role.ADMIN
    )
    return not may_add


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_they_do_all_who_are_in_end_in_one_epoch(seed: int) -> None:
    """REQ-EPOCH-27, 28: and whoever is out knows it."""
    dice = Dice(seed)
    world = World(lambda clock: Disorderly(clock, seed))
    people = [await world.open(name) for name in NAMES]
    room = await world.group(*people)
    for admin in people[1:3]:
        await room.set_role(people[0].person(room, admin), Role.ADMIN)
        await world.settle()
    said: list[str] = []
    for _ in range(30):
        await act(world, dice, room.id, people, said)
        if dice.random() < 0.5:
            await world.settle()
    await resume(world)
    await minutes(world, 12)
    inside = [actor for actor in people if not actor.room(room).closed]
    best = min(inside, key=lambda actor: actor.device.room(room.id).state.me.rank)
    inside = [actor for actor in inside if actor is best or not stranded(actor, best, room.id)]
    agreed(room, *inside)
    for actor in inside:
        assert not actor.device.room(room.id).pending
        assert not actor.store.named(b"lost/")
    check_sealed_once(*people)
    await minutes(world, 12)
    await world.check_talk(room, *inside)
    await world.close()
