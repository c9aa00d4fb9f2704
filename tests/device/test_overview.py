"""What a device can tell of what it keeps: fates, sizes, what is unsent and what is missing."""

from __future__ import annotations

import pytest

from evanesce import LocalError, Reason, RoomReplaced
from evanesce.limits import HOUR
from tests.device.device_support import NOW, World, refused


async def test_the_fate_of_a_message_is_that_of_its_policy_and_what_was_done(world: World) -> None:
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room, group = await world.direct(mina, junho), await world.group(mina, junho)
    sent = await room.send("first", after_view=60, lifetime=HOUR)
    elsewhere = await group.send("second")
    await world.advance(5)
    fates = await junho.device.fates()
    assert list(fates) == [each.message.id for each in await junho.device.inbox()]
    assert {sent, elsewhere} <= set(fates)
    assert elsewhere not in await junho.device.fates(junho.room(room))
    fate = fates[sent]
    assert fate == await junho.device.fate(sent)
    assert (fate.message, fate.own, fate.sent, fate.received) == (sent, False, NOW, NOW)
    assert (fate.viewed, fate.after_view, fate.deadline) == (None, 60, NOW + HOUR)
    assert (await mina.device.fate(sent)).own
    assert (await mina.device.fate(sent)).viewed == NOW, "one's own is viewed when it is sent"
    assert await junho.view(junho.device.message(sent)) == "first"
    fate = await junho.device.fate(sent)
    assert (fate.viewed, fate.deadline) == (NOW + 5, NOW + 65)
    await world.advance(60)
    with refused(Reason.EVAPORATED, junho.store, error=LocalError):
        await junho.device.fate(sent)
    assert sent not in await junho.device.fates()


async def test_what_waits_for_the_transport_is_counted_by_room(world: World) -> None:
    mina, junho, sora = [await world.open(name) for name in ("Mina", "Junho", "Sora")]
    talk, group = await world.direct(mina, junho), await world.group(mina, junho, sora)
    world.relay.down = True
    await talk.send("one")
    await group.send("two")
    assert (await talk.unsent(), await group.unsent()) == (1, 2)
    world.relay.down = False
    await world.advance(600)
    assert (await talk.unsent(), await group.unsent()) == (0, 0)


async def test_what_is_missing_is_counted_until_it_comes(world: World) -> None:
    mina, junho = await world.open("Mina"), await world.open("Junho")
    group = await world.group(mina, junho)
    await group.send("before")
    assert await junho.heard() == ["before"]
    his = junho.room(group)
    world.relay.paused = True
    await group.send("kept back")
    await world.settle()
    world.relay.keep_back_last()
    await group.send("comes")
    assert await junho.heard() == ["comes"]
    assert his.missing(junho.person(group, mina)) == 1
    assert his.missing(junho.person(group, junho)) == 0
    await world.relay.let_go()
    assert await junho.heard() == ["kept back"]
    assert his.missing(junho.person(group, mina)) == 0


async def test_a_room_is_open_unless_removed_from_or_replaced(world: World) -> None:
    mina, junho = await world.open("Mina"), await world.open("Junho")
    group = await world.group(mina, junho)
    assert junho.device.direct_with(mina.device.identity) is None
    world.relay.paused = True
    one = await mina.device.direct(await junho.device.card())
    other = await junho.device.direct(await mina.device.card())
    assert mina.device.direct_with(junho.device.identity) == one
    await one.send("begun here")
    await other.send("and there")
    world.relay.paused = False
    await world.relay.let_go()
    await world.settle()
    replaced = [*mina.told(RoomReplaced), *junho.told(RoomReplaced)]
    assert len(replaced) == 1, "one of the two has had to move"
    for actor, peer in ((mina, junho), (junho, mina)):
        serving = actor.device.direct_with(peer.device.identity)
        assert serving == actor.room(replaced[0].new)
        assert serving.open
        old = actor.room(replaced[0].old)
        assert old.replaced
        assert not old.open
    assert junho.room(group).open
    await group.remove(mina.person(group, junho))
    await world.settle()
    assert not junho.room(group).open
    assert not junho.room(group).replaced
    unknown = mina.device.conversation(bytes(32))
    for look in ("open", "replaced", "unsettled"):
        with pytest.raises(LocalError) as caught:
            getattr(unknown, look)
        assert caught.value.reason is Reason.UNKNOWN_ROOM


async def test_sizes_add_up_to_the_store(world: World) -> None:
    mina, junho = await world.open("Mina"), await world.open("Junho")
    talk, group = await world.direct(mina, junho), await world.group(mina, junho)
    before = await mina.device.sizes()
    await talk.send("x" * 1_000)
    await world.settle()
    after = await mina.device.sizes()
    assert after.rooms[talk.id].octets >= before.rooms[talk.id].octets + 1_000
    assert after.rooms[group.id] == before.rooms[group.id]
    contents = mina.store.contents()
    parts = [*after.rooms.values(), after.rest]
    assert sum(part.records for part in parts) == len(contents)
    assert sum(part.octets for part in parts) == sum(len(k) + len(v) for k, v in contents.items())
