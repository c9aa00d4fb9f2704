"""Parts of a room that have not heard of each other for days: who asks whom, and all come back."""

from __future__ import annotations

import pytest

from evanesce import (
    Conversation,
    FallenBehind,
)
from evanesce.limits import DAY, EPOCH_GRACE, HOUR
from tests.device.device_support import Actor, World
from tests.device.fork_support import Parting, agreed, behind, losers, minutes


@pytest.fixture
def parting(world: World) -> Parting:
    return Parting(world)


@pytest.fixture
async def people(parting: Parting) -> list[Actor]:
    return await parting.open("Mina", "Junho", "Sora", "Dora")


@pytest.fixture
async def room(world: World, people: list[Actor]) -> Conversation:
    """Mina owns it; the others follow in this order."""
    made = await world.group(*people)
    await world.check_talk(made, *people)
    return made


async def hours(world: World, count: int) -> None:
    """Let time pass, ten minutes at a time."""
    for _ in range(6 * count):
        await world.advance(600)


async def part(
    world: World, parting: Parting, room: Conversation, *parts: list[Actor]
) -> None:
    """Let the parts go on by themselves for four days, then hear of each other."""
    parting.cut(*parts)
    for day in range(4):
        for each in parts:
            await each[0].room(room).refresh()
            await each[-1].room(room).send(f"day {day}")
            await world.settle()
        await world.advance(DAY)
    await parting.mend()


async def resync_all(world: World, room: Conversation, *people: Actor) -> None:
    """Everybody does as it was told, as long as anybody is told something."""
    for actor in people:
        for event in actor.told(FallenBehind):
            if event.ahead is None:
                continue
            whom = next(a for a in people if a.device.identity == event.ahead.identity)
            if actor.room(room).transcript == whom.room(room).transcript:
                continue
            await actor.room(room).ask_resync(event.ahead)
            await world.settle()
            await whom.room(room).resync(whom.person(room, actor))
            await minutes(world, len(people) + 1)


async def test_after_four_days_apart_rank_decides_who_asks_whom(
    world: World, parting: Parting, people: list[Actor], room: Conversation
) -> None:
    """REQ-EPOCH-31: those who cannot follow one that stands before them ask that one."""
    mina, junho, sora, dora = people
    await part(world, parting, room, [mina, sora], [junho, dora])
    await minutes(world, 2)
    assert mina.room(room).transcript == sora.room(room).transcript
    assert junho.room(room).transcript == dora.room(room).transcript
    assert mina.room(room).transcript != junho.room(room).transcript
    await mina.room(room).send("who is there?")
    await junho.room(room).send("I am")
    await hours(world, 2)
    assert behind(junho) == ["Mina"]
    assert behind(dora) == ["Mina"]
    assert behind(mina) == [None], "the others will ask"
    assert set(behind(sora)) <= {"Junho", None}
    await resync_all(world, room, junho, dora, sora, mina)
    agreed(room, *people)
    await world.check_talk(room, *people)
    assert all(actor.store.named(b"waiting/") == {} for actor in (junho, dora))


async def test_a_device_that_is_alone_asks_whomever_it_cannot_follow(
    world: World, parting: Parting, people: list[Actor], room: Conversation
) -> None:
    """REQ-EPOCH-31: even the first in rank."""
    mina, junho, sora, dora = people
    await part(world, parting, room, [mina], [junho, sora, dora])
    await dora.room(room).send("where is Mina?")
    await hours(world, 2)
    assert behind(mina) == ["Junho"]
    (event,) = mina.told(FallenBehind)
    assert event.ahead is not None
    await resync_all(world, room, mina, junho, sora, dora)
    agreed(room, *people)
    await world.check_talk(room, *people)


async def test_who_has_committed_before_it_went_away_for_days_comes_back_by_a_resync(
    world: World, parting: Parting, people: list[Actor], room: Conversation
) -> None:
    """REQ-EPOCH-31: its commit would have come first, but now nobody can process the other's."""
    mina, junho, sora, dora = people
    parting.cut([mina, junho, sora], [dora])
    await dora.room(room).refresh()
    await world.advance(2 * HOUR)
    await mina.room(room).refresh()
    await mina.room(room).send("Dora is away")
    await world.settle()
    await dora.close()
    await world.advance(EPOCH_GRACE + 60)
    await minutes(world, 2)
    await dora.open()
    await parting.mend()
    await minutes(world, 2)
    assert dora.room(room).transcript != mina.room(room).transcript
    await dora.room(room).send("back again")
    await hours(world, 3)
    assert behind(dora) == ["Mina"]
    (event,) = dora.told(FallenBehind)
    assert event.ahead is not None
    await dora.room(room).ask_resync(event.ahead)
    await world.settle()
    await mina.room(room).resync(mina.person(room, dora))
    await minutes(world, 5)
    agreed(room, *people)
    await world.check_talk(room, *people)


async def test_a_short_time_apart_mends_by_itself(
    world: World, parting: Parting, people: list[Actor], room: Conversation
) -> None:
    """REQ-EPOCH-31: within the window nobody has to ask for anything."""
    mina, junho, sora, dora = people
    parting.cut([mina, sora], [junho, dora])
    for _ in range(5):
        await mina.room(room).refresh()
        await junho.room(room).refresh()
        await sora.room(room).send("on Mina's side")
        await dora.room(room).send("on Junho's side")
        await world.advance(12 * HOUR)
    await parting.mend()
    agreed(room, *people)
    for actor in people:
        said = sorted(map(str, await actor.heard()))
        expected = {"Sora": 5, "Mina": 10 - 5, "Junho": 5, "Dora": 5}[actor.name]
        assert said.count("on Mina's side") == (0 if actor is sora else expected)
        assert said.count("on Junho's side") == (0 if actor is dora else expected)
    await hours(world, 2)
    agreed(room, *people)
    assert [behind(actor) for actor in people] == [[], [], [], []]
    assert losers(junho)
    await world.check_talk(room, *people)
