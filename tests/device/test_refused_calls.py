"""A call that is refused uses up no key package: what can be checked before is (spec 17)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from evanesce import Card, Evaporation, LocalError, Mode, Policy, Reason
from evanesce import checks as checks_module
from evanesce.limits import DAY, ONE_TIME_PREKEYS, PACKAGE_LIFETIME
from tests.device.device_support import Actor, Pipe, Relay, World, refused


class Counting(Relay):
    """Counts the packages that are claimed."""

    claimed = 0

    async def claim(self, fingerprint: bytes) -> bytes | None:
        self.claimed += 1
        return await super().claim(fingerprint)


@pytest.fixture
def world() -> World:
    return World(Counting)


@pytest.fixture
def relay(world: World) -> Any:
    return world.relay


@pytest.fixture
async def people(world: World) -> Any:
    yield [await world.open(name) for name in ("Mina", "Junho", "Sora", "Tae")]
    await world.close()


async def cards(*actors: Actor) -> list[Card]:
    return [await actor.device.card() for actor in actors]


async def used_up(world: World, card: Card) -> None:
    """Use every prekey of a card for one named peer."""
    for _ in range(ONE_TIME_PREKEYS):
        await world.actors["Mina"].device.create_room([card])


async def test_add_is_refused_before_anything_is_claimed(
    world: World, relay: Counting, people: list[Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    mina, junho, sora, tae = people
    group, talk = await world.group(mina, junho), await world.direct(mina, junho)
    fresh, again, own = await cards(sora, junho, mina)
    named = await tae.device.card(one_time=True)
    await used_up(world, named)
    old = await tae.device.card(one_time=True)
    monkeypatch.setattr(checks_module, "OPERATION_LIMIT", 2)
    his = junho.room(group)
    cases: list[tuple[Reason, Actor, Callable[[], Awaitable[object]]]] = [
        (Reason.NOT_ENTITLED, junho, lambda: his.add(fresh)),
        (Reason.ALREADY_MEMBER, mina, lambda: group.add(fresh, again)),
        (Reason.ALREADY_MEMBER, mina, lambda: group.add(fresh, fresh)),
        (Reason.ALREADY_MEMBER, mina, lambda: group.add(fresh, own)),
        (Reason.WRONG_MODE, mina, lambda: talk.add(fresh)),
        (Reason.NO_PACKAGE, mina, lambda: group.add(fresh, named)),
        (Reason.TOO_LARGE, mina, lambda: group.add(fresh, fresh, fresh)),
    ]
    relay.claimed = 0
    for reason, actor, call in cases:
        with refused(reason, actor.store, error=LocalError):
            await call()
    assert relay.claimed == 0
    await group.add(fresh)
    assert relay.claimed == 1
    await world.settle()
    world.check_agreement(group, mina, junho, sora)
    world.clock.advance(PACKAGE_LIFETIME + 1)
    await world.settle()
    (current,) = await cards(tae)
    with refused(Reason.EXPIRED, mina.store, error=LocalError):
        await group.add(current, old)
    assert relay.claimed == 1


async def test_a_removed_device_claims_nothing(
    world: World, relay: Counting, people: list[Actor]
) -> None:
    mina, junho, sora, _ = people
    group = await world.group(mina, junho)
    (card,) = await cards(sora)
    await group.remove(mina.person(group, junho))
    await world.settle()
    relay.claimed = 0
    with refused(Reason.ROOM_CLOSED, junho.store, error=LocalError):
        await junho.room(group).add(card)
    assert relay.claimed == 0


async def test_a_room_that_is_full_but_for_one_who_leaves_takes_another(
    world: World, relay: Counting, people: list[Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit removes who has asked to leave, so the check may not refuse it."""
    mina, junho, sora, tae = people
    group = await world.group(mina, junho)
    (hers, his, again) = await cards(sora, tae, junho)
    monkeypatch.setattr("evanesce.membership.MAX_MEMBERS", 2)
    relay.claimed = 0
    with refused(Reason.TOO_MANY_MEMBERS, mina.store, error=LocalError):
        await group.add(hers)
    assert relay.claimed == 0
    await junho.room(group).leave()
    await world.settle()
    assert mina.device.room(group.id).leaving
    with refused(Reason.TOO_MANY_MEMBERS, mina.store, error=LocalError):
        await group.add(hers, his)
    assert relay.claimed == 0
    await group.add(again)
    await world.advance(60)
    world.check_agreement(group, mina, junho)


async def test_create_room_is_refused_before_anything_is_claimed(
    world: World, relay: Counting, people: list[Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    mina, junho, sora, tae = people
    device = mina.device
    fresh, other, own = await cards(junho, sora, mina)
    named = await tae.device.card(one_time=True)
    await used_up(world, named)
    monkeypatch.setattr(checks_module, "MAX_MEMBERS", 2)
    forever = Evaporation(None, 30 * DAY)
    rules = Policy(Mode.SIGNED, evaporation=forever)
    cases: list[tuple[Reason, Callable[[], Awaitable[object]]]] = [
        (Reason.WRONG_MODE, lambda: device.create_room([fresh], policy=Policy(Mode.DIRECT))),
        (Reason.WRONG_MODE, lambda: device.create_room([fresh], policy=Policy(Mode.DENIABLE))),
        (Reason.BAD_POLICY, lambda: device.create_room([fresh], policy=rules)),
        (Reason.ALREADY_MEMBER, lambda: device.create_room([fresh, fresh])),
        (Reason.ALREADY_MEMBER, lambda: device.create_room([fresh, own])),
        (Reason.NO_PACKAGE, lambda: device.create_room([fresh, named])),
        (Reason.TOO_MANY_MEMBERS, lambda: device.create_room([fresh, other])),
        (Reason.ALREADY_MEMBER, lambda: device.direct(own)),
        (Reason.NO_PACKAGE, lambda: device.direct(named)),
    ]
    relay.claimed = 0
    for reason, call in cases:
        with refused(reason, mina.store, error=LocalError):
            await call()
    assert relay.claimed == 0
    await device.create_room([fresh])
    await device.direct(fresh)
    assert relay.claimed == 2


async def test_an_expired_card_is_refused_only_where_nothing_can_be_claimed_for_it(
    world: World, relay: Counting, people: list[Actor]
) -> None:
    mina, junho, *_ = people
    ordinary, named = (await cards(junho))[0], await junho.device.card(one_time=True)
    pipe = await world.open("Pia", transport=Pipe(world.relay))
    world.clock.advance(PACKAGE_LIFETIME + 1)
    await world.settle()
    assert ordinary.package.expiry < world.clock.now()
    relay.claimed = 0
    for actor, card in ((mina, named), (pipe, ordinary)):
        with refused(Reason.EXPIRED, actor.store, error=LocalError):
            await actor.device.direct(card)
        with refused(Reason.EXPIRED, actor.store, error=LocalError):
            await actor.device.create_room([card])
    assert relay.claimed == 0
    room = await mina.device.direct(ordinary)
    await room.send("with a claimed one")
    assert await junho.heard() == ["with a claimed one"]
