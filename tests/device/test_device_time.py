"""What a device does as time passes, with a clock that moves only when told to."""

from __future__ import annotations

import asyncio

import pytest

from evanesce import (
    Conversation,
    LocalError,
    MessageEvaporated,
    Reason,
    RefreshDue,
    Rejected,
    RemovedFromRoom,
    RoomChanged,
    RoomJoined,
)
from evanesce.engine import ONE_TIME_STOCK
from evanesce.holdings import Shelved
from evanesce.keypackage import KeyPackage
from evanesce.limits import (
    DAY,
    EPOCH_GRACE,
    HOUR,
    MAILBOX_DRAIN_MAX,
    MAILBOX_DRAIN_MIN,
    MAX_LIFETIME,
    PACKAGE_LIFETIME,
    REFRESH_AFTER,
    REFRESH_MESSAGES,
    RETENTION,
    SIGNED_PREKEY_GRACE,
    SIGNED_PREKEY_ROTATION,
)
from evanesce.upkeep import STAGGER
from evanesce.wire import decode
from tests.device.device_support import Actor, Pipe, World, refused

TICK = 60  # seconds within which a device notices what time asks for


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def sora(world: World) -> Actor:
    return await world.open("Sora")


@pytest.fixture
async def talk(world: World, mina: Actor, junho: Actor) -> Conversation:
    """A 1:1 room of Mina and Junho."""
    return await world.direct(mina, junho)


def evaporated(actor: Actor) -> list[bytes]:
    return [event.message for event in actor.told(MessageEvaporated)]


def records(actor: Actor) -> set[bytes]:
    return {name[len(b"inbox/") :] for name in actor.store.named(b"inbox/")}


async def send(world: World, talk: Conversation, **policy: int) -> bytes:
    """Send a message and let it arrive; return its id."""
    message = await talk.send("a message", **policy)  # type: ignore[arg-type]
    await world.settle()
    return message


# --- evaporation ---------------------------------------------------------------------------------


async def test_a_viewed_message_evaporates_by_its_timer_while_the_application_does_nothing(
    world: World, junho: Actor, talk: Conversation
) -> None:
    message = await send(world, talk, after_view=30)
    await world.advance(HOUR)
    await junho.view(junho.device.message(message))
    await world.advance(29)
    assert message not in evaporated(junho)
    assert message in records(junho)
    await world.advance(1)
    assert evaporated(junho).count(message) == 1
    assert message not in records(junho)
    with pytest.raises(LocalError) as caught:
        await junho.view(junho.device.message(message))
    assert caught.value.reason is Reason.EVAPORATED


async def test_an_unviewed_message_evaporates_when_its_lifetime_ends(
    world: World, junho: Actor, talk: Conversation
) -> None:
    message = await send(world, talk, lifetime=100)
    await world.advance(99)
    assert message in records(junho)
    await world.advance(1)
    assert evaporated(junho).count(message) == 1
    assert message not in records(junho)


async def test_no_message_outlives_72_hours(
    world: World, mina: Actor, junho: Actor, talk: Conversation
) -> None:
    message = await send(world, talk)
    await world.advance(MAX_LIFETIME - 1)
    assert message in records(junho)
    await world.advance(1)
    assert not records(junho)
    assert not records(mina)
    assert len(evaporated(junho)) == len(set(evaporated(junho))) == 3


async def test_a_message_viewed_just_before_its_end_still_ends_then(
    world: World, junho: Actor, talk: Conversation
) -> None:
    message = await send(world, talk, after_view=DAY, lifetime=100)
    await world.advance(99)
    await junho.view(junho.device.message(message))
    await world.advance(1)
    assert message not in records(junho)


async def test_a_message_evaporates_while_the_relay_does_not_answer(
    world: World, junho: Actor, talk: Conversation
) -> None:
    """No connection that hangs may keep a message alive."""
    first = await send(world, talk, lifetime=100)
    second = await send(world, talk, lifetime=200)
    world.relay.gate = asyncio.Event()
    sending = asyncio.ensure_future(junho.room(talk).send("stuck"))
    await world.settle()
    await world.advance(100)
    assert first not in records(junho)
    await world.advance(100)
    assert second not in records(junho)
    world.relay.gate.set()
    await sending


async def test_messages_evaporate_each_at_its_own_time(
    world: World, junho: Actor, talk: Conversation
) -> None:
    messages = [await send(world, talk, lifetime=seconds) for seconds in (50, 10, 30)]
    before = len(evaporated(junho))
    for passed, gone in ((9, []), (1, [1]), (20, [1, 2]), (20, [1, 2, 0])):
        await world.advance(passed)
        assert evaporated(junho)[before:] == [messages[n] for n in gone]


async def test_a_message_evaporates_while_it_is_shown(
    world: World, junho: Actor, talk: Conversation
) -> None:
    """REQ-EVAP-04, REQ-EVAP-07."""
    message = await send(world, talk, after_view=30)
    async with junho.device.message(message).open() as body:
        assert body == "a message"
        await world.advance(30)
        assert message not in records(junho)
        assert evaporated(junho).count(message) == 1
    await world.settle()
    assert evaporated(junho).count(message) == 1


async def test_what_fell_due_while_the_device_was_closed_evaporates_when_it_opens(
    world: World, junho: Actor, talk: Conversation
) -> None:
    """REQ-EVAP-07."""
    timed = await send(world, talk, after_view=60)
    short = await send(world, talk, lifetime=100)
    long = await send(world, talk, lifetime=HOUR)
    await junho.view(junho.device.message(timed))
    await junho.close()
    before = len(junho.log)
    await world.advance(100)
    assert {timed, short, long} <= records(junho)
    await junho.open()
    await world.settle()
    gone = [event.message for event in junho.log[before:] if isinstance(event, MessageEvaporated)]
    assert sorted(gone) == sorted([timed, short])
    assert not {timed, short} & records(junho)
    assert long in records(junho)


async def test_a_message_that_comes_too_late_is_not_kept(
    world: World, junho: Actor, talk: Conversation
) -> None:
    """REQ-EVAP-05."""
    await junho.close()
    late = await send(world, talk, lifetime=100)
    fresh = await send(world, talk, lifetime=101)
    await world.advance(100)
    await junho.open()
    await world.settle()
    assert [e.message.id for e in junho.arrived()] == [fresh]
    assert late not in records(junho)
    assert not junho.told(Rejected)


async def test_ones_own_copy_evaporates_as_if_viewed_when_sent(
    world: World, mina: Actor, talk: Conversation
) -> None:
    """REQ-EVAP-09."""
    once = await send(world, talk, after_view=0)
    timed = await send(world, talk, after_view=60)
    lasting = await send(world, talk)
    assert once not in records(mina)
    assert {timed, lasting} <= records(mina)
    assert await mina.view(mina.device.message(timed)) == "a message"
    await world.advance(59)
    assert timed in records(mina)
    await world.advance(1)
    assert evaporated(mina) == [timed]
    assert timed not in records(mina)
    await world.advance(MAX_LIFETIME - 60)
    assert lasting in evaporated(mina)
    assert not records(mina)


async def test_an_own_copy_of_another_session_evaporates_too(
    world: World, mina: Actor, talk: Conversation
) -> None:
    message = await send(world, talk, after_view=60)
    await mina.restart()
    await world.advance(60)
    assert message in evaporated(mina)


async def test_wrap_keys_change_every_hour_and_survivors_stay_readable(
    world: World, junho: Actor, talk: Conversation
) -> None:
    """REQ-EVAP-08."""
    message = await send(world, talk)
    seen = set()
    for _ in range(5):
        hour, key = decode(junho.store.contents()[b"wrap"], limit=128)
        assert hour == world.clock.now() // HOUR
        seen.add(key)
        assert await junho.view(junho.device.message(message)) == "a message"
        await world.advance(HOUR)
    assert len(seen) == 5
    everything = b"".join(junho.store.contents().values())
    assert not any(key in everything for key in seen)


async def test_an_old_copy_of_the_store_opens_nothing_that_is_kept_now(
    world: World, junho: Actor, talk: Conversation
) -> None:
    message = await send(world, talk)
    old = junho.store.contents()
    await world.advance(HOUR)
    name = b"inbox/" + message
    assert old[name] != junho.store.contents()[name]
    assert old[b"wrap"] != junho.store.contents()[b"wrap"]


# --- rooms ---------------------------------------------------------------------------------------


async def test_a_member_that_only_listens_refreshes_after_seven_days(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.group(mina, junho)
    await world.advance(HOUR)
    await room.refresh()  # so that only Junho is due
    await world.settle()
    epoch = room.epoch
    await world.advance(REFRESH_AFTER - HOUR - 1)
    assert room.epoch == epoch
    await world.advance(TICK)
    await world.advance(STAGGER)
    assert room.epoch == epoch + 1
    assert mina.told(RoomChanged)[-1].by.name == "Junho"
    world.check_agreement(room, mina, junho)
    await world.check_talk(room, mina, junho)


async def test_a_member_that_speaks_refreshes_first_when_it_is_due(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.group(mina, junho)
    await world.advance(HOUR)
    await room.refresh()
    await world.settle()
    epoch = room.epoch
    await junho.close()
    world.clock.advance(REFRESH_AFTER - HOUR)
    await junho.open()
    await junho.room(room).send("hello")
    assert await mina.heard() == ["hello"]
    assert room.epoch == epoch + 1
    world.check_agreement(room, mina, junho)


async def test_a_member_refreshes_after_256_messages(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.group(mina, junho)
    await room.refresh()
    epoch = room.epoch
    already = mina.device.room(room.id).state.sent_since_refresh
    for n in range(already, REFRESH_MESSAGES):
        await room.send(f"{n}")
    assert room.epoch == epoch
    await room.send("one more")
    assert room.epoch == epoch + 1
    assert (await junho.heard())[-1] == "one more"
    world.check_agreement(room, mina, junho)
    assert not junho.told(Rejected)


async def test_a_group_that_nobody_touches_stays_one_group(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """All were last refreshed at the same time, so all are due at the same time."""
    room = await world.group(mina, junho, sora)
    for _ in range(2):
        await world.advance(REFRESH_AFTER - 10 * STAGGER)
        for _ in range(20):
            await world.advance(TICK)
    assert room.epoch == 2 * 3
    assert not any(actor.told(Rejected) for actor in (mina, junho, sora))
    world.check_agreement(room, mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)


async def test_two_members_that_come_back_at_once_after_a_week_stay_in_one_group(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """Nobody but the devices themselves can keep their refreshes apart."""
    room = await world.group(mina, junho, sora)
    await junho.close()
    await sora.close()
    await world.advance(REFRESH_AFTER + DAY)
    await junho.open()
    await sora.open()
    for _ in range(10):
        await world.advance(TICK)
    assert not any(actor.told(Rejected) for actor in (mina, junho, sora))
    world.check_agreement(room, mina, junho, sora)


async def test_a_1_to_1_room_without_an_answer_is_told_once(
    world: World, mina: Actor, junho: Actor, talk: Conversation
) -> None:
    await world.advance(REFRESH_AFTER - 1)
    assert not mina.told(RefreshDue)
    await world.advance(TICK)
    assert [event.room for event in mina.told(RefreshDue)] == [talk]
    await world.advance(DAY)
    await mina.restart()
    await world.advance(DAY)
    assert len(mina.told(RefreshDue)) == 1
    await mina.room(talk).send("still here")
    assert await junho.heard() == ["still here"]


async def test_a_1_to_1_room_is_told_again_after_another_silence(
    world: World, mina: Actor, junho: Actor, talk: Conversation
) -> None:
    await world.advance(REFRESH_AFTER + TICK)
    assert len(mina.told(RefreshDue)) == 1
    await talk.send("anybody there?")
    assert await junho.heard() == ["anybody there?"]
    await junho.room(talk).send("yes")
    assert await mina.heard() == ["yes"]
    await talk.send("good")
    await world.advance(TICK)
    assert len(mina.told(RefreshDue)) == 1
    await world.advance(REFRESH_AFTER + TICK)
    assert len(mina.told(RefreshDue)) == 2


async def test_the_highest_ranked_member_commits_for_one_that_asks_to_leave(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    duri = await world.open("Duri")
    room = await world.group(mina, junho, sora, duri)
    await sora.room(room).leave()
    for _ in range(5):
        await world.advance(STAGGER)
    assert not any(actor.told(Rejected) for actor in (mina, junho, sora, duri))
    (removed,) = sora.told(RemovedFromRoom)
    assert removed.by.name == "Mina"
    world.check_agreement(room, mina, junho, duri)
    await world.check_talk(room, mina, junho, duri)


async def test_when_the_highest_ranked_is_away_the_next_commits_for_it(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    await mina.close()
    await sora.room(room).leave()
    await world.settle()
    await world.advance(STAGGER - 1)
    assert not sora.told(RemovedFromRoom)
    await world.advance(TICK + 1)
    (removed,) = sora.told(RemovedFromRoom)
    assert removed.by.name == "Junho"
    await mina.open()
    await world.settle()
    world.check_agreement(mina.room(room), mina, junho)


async def test_a_leave_request_is_still_known_after_a_restart(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.group(mina, junho)
    await junho.room(room).leave()
    await world.settle()
    await mina.restart()
    await world.advance(STAGGER)
    assert len(junho.told(RemovedFromRoom)) == 1
    world.check_agreement(mina.room(room), mina)


async def test_epochs_that_are_over_are_erased_after_their_grace(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.group(mina, junho)
    for _ in range(3):
        await room.refresh()
    await world.settle()
    prefix = b"room/" + room.id

    def epochs(actor: Actor) -> int:
        return len(actor.store.named(prefix + b"/epoch/"))

    assert (epochs(mina), epochs(junho)) == (4, 4)
    await world.advance(EPOCH_GRACE)
    assert (epochs(mina), epochs(junho)) == (4, 4)
    await world.advance(TICK)
    assert (epochs(mina), epochs(junho)) == (1, 1)
    assert len(junho.store.named(prefix + b"/chain/")) == 1
    await world.check_talk(room, mina, junho)


async def test_a_closed_room_keeps_no_keys_after_its_grace(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    await room.remove(mina.person(room, sora))
    await world.settle()
    prefix = b"room/" + room.id
    assert sora.store.named(prefix + b"/chain/")
    await world.advance(EPOCH_GRACE + TICK)
    assert not sora.store.named(prefix + b"/chain/")
    await sora.restart()
    assert sora.room(room).closed


# --- mailboxes -----------------------------------------------------------------------------------


async def test_a_mailbox_changes_after_a_removal_and_the_old_one_is_closed_once_drained(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-ENV-19, REQ-ENV-20, REQ-LIMIT-31."""
    room = await world.group(mina, junho, sora)
    old = {actor.name: actor.mailbox(room).address for actor in (mina, junho)}
    await room.remove(mina.person(room, sora))
    await world.settle()
    new = {actor.name: actor.mailbox(room).address for actor in (mina, junho)}
    assert not set(old.values()) & set(new.values())
    before = len(world.relay.seen)
    await world.check_talk(room, mina, junho)
    assert {seen.address for seen in world.relay.seen[before:]} == set(new.values())
    await world.advance(MAILBOX_DRAIN_MIN)
    assert world.relay.closed == []
    await world.advance(TICK)
    assert set(old.values()) <= set(world.relay.closed)
    for actor in (mina, junho):
        kept = {own.keys.mailbox.address for own in actor.store.mailboxes() if own.room}
        assert kept == {new[actor.name]}
    await world.check_talk(room, mina, junho)


async def test_a_retired_mailbox_is_still_read(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-ENV-20."""
    room = await world.group(mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)
    old = mina.mailbox(room).address
    world.relay.paused = True
    await junho.room(room).send("sent to the old mailbox")
    world.relay.keep_back_last(old)
    await world.settle()
    await room.remove(mina.person(room, sora))
    await world.settle()
    await mina.restart()
    assert mina.mailbox(room).address != old
    await world.advance(DAY)
    assert await mina.heard() == []
    await world.relay.let_go()
    assert await mina.heard() == ["sent to the old mailbox"]


async def test_a_mailbox_is_not_closed_before_all_have_spoken_since(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-ENV-20, REQ-LIMIT-31."""
    duri = await world.open("Duri")
    room = await world.group(mina, junho, sora, duri)
    await duri.close()
    old = mina.mailbox(room).address
    await room.remove(mina.person(room, sora))
    await world.settle()
    await world.advance(MAILBOX_DRAIN_MIN + TICK)
    assert old not in world.relay.closed, "Duri may still write there"
    world.clock.advance(MAILBOX_DRAIN_MAX - MAILBOX_DRAIN_MIN - TICK)
    await world.settle()
    assert old not in world.relay.closed
    await world.advance(TICK)
    assert old in world.relay.closed


async def test_the_mailbox_of_a_room_one_was_removed_from_is_closed_too(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-ENV-20."""
    room = await world.group(mina, junho, sora)
    old = sora.mailbox(room).address
    await room.remove(mina.person(room, sora))
    await world.settle()
    await world.advance(MAILBOX_DRAIN_MIN)
    assert old not in world.relay.closed
    await world.advance(TICK)
    assert old in world.relay.closed
    assert {own.room for own in sora.store.mailboxes()} == {None}


async def test_what_nobody_fetches_is_forgotten_by_the_relay(
    world: World, mina: Actor, junho: Actor, talk: Conversation
) -> None:
    await junho.close()
    await talk.send("too late")
    await world.advance(RETENTION + 1)
    await talk.send("in time")
    await junho.open()
    assert await junho.heard() == ["in time"]


# --- key packages --------------------------------------------------------------------------------


def shelf(actor: Actor) -> list[Shelved]:
    return [Shelved.load(data) for data in actor.store.named(b"package/").values()]


def current_last_resort(actor: Actor) -> bytes:
    (found,) = (s.keys.package.hash for s in shelf(actor)
                if s.keys.package.last_resort and s.retired is None)  # fmt: skip
    return found


async def test_a_new_device_publishes_its_stock_of_packages_once(
    world: World, mina: Actor
) -> None:
    assert len(world.relay.published) == len(set(world.relay.published)) == ONE_TIME_STOCK
    await mina.restart()
    await world.advance(DAY)
    await mina.restart()
    await world.advance(DAY)
    assert len(world.relay.published) == ONE_TIME_STOCK


async def test_the_stock_is_replenished_when_packages_have_been_used(
    world: World, mina: Actor, junho: Actor
) -> None:
    before = len(world.relay.published)
    for _ in range(3):
        await world.group(mina, junho)
    await world.advance(TICK)
    assert len(world.relay.published) == before + 3
    assert len(set(world.relay.published)) == before + 3
    assert len(junho.told(RoomJoined)) == 3


async def test_more_rooms_than_packages_can_begin(
    world: World, mina: Actor, junho: Actor
) -> None:
    """When the directory has run out, the last-resort package serves."""
    for _ in range(ONE_TIME_STOCK + 2):
        room = await world.group(mina, junho)
    await world.check_talk(room, mina, junho)
    await world.advance(TICK)
    await world.check_talk(await world.group(mina, junho), mina, junho)


async def test_handing_out_cards_does_not_use_up_the_stock_of_the_directory(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """A one-time card lies with whom it was made for; others still need packages to claim."""
    for _ in range(ONE_TIME_STOCK):
        await junho.device.card(one_time=True)
    for _ in range(ONE_TIME_STOCK):
        await mina.device.create_room([await junho.device.card()])
        await world.advance(TICK)
    talk = await sora.device.direct(await junho.device.card())
    assert not talk.opened_by_last_resort


async def test_the_last_resort_package_is_rotated_after_a_week_and_erased_72_hours_later(
    world: World, mina: Actor
) -> None:
    """REQ-ID-10, REQ-DEL-10, REQ-LIMIT-25, REQ-LIMIT-26."""
    first = current_last_resort(mina)
    await world.advance(SIGNED_PREKEY_ROTATION - 1)
    assert current_last_resort(mina) == first
    await world.advance(TICK)
    second = current_last_resort(mina)
    assert second != first
    assert (await mina.device.card()).package.hash == second
    await world.advance(SIGNED_PREKEY_GRACE - TICK)
    assert first in {s.keys.package.hash for s in shelf(mina)}
    await world.advance(2 * TICK)
    assert first not in {s.keys.package.hash for s in shelf(mina)}
    assert sum(s.keys.package.last_resort for s in shelf(mina)) == 1


@pytest.mark.parametrize("age", [SIGNED_PREKEY_ROTATION, SIGNED_PREKEY_ROTATION + 1])
async def test_a_card_admits_for_a_week_and_reaches_its_owner_72_hours_later(
    world: World, age: int
) -> None:
    """REQ-LIMIT-24."""
    pipe = Pipe(world.relay)
    mina = await world.open("Mina", transport=pipe)
    junho = await world.open("Junho", transport=pipe)
    card = await junho.device.card()
    await world.advance(age)
    if age > SIGNED_PREKEY_ROTATION:
        with refused(Reason.EXPIRED, mina.store, error=LocalError):
            await mina.device.direct(card)
        return
    talk = await mina.device.direct(card)
    await junho.close()
    await talk.send("with an old card")
    await world.advance(RETENTION)
    await junho.open()
    await world.settle()
    assert len(junho.told(RoomJoined)) == 1
    assert not junho.told(Rejected)


async def test_a_room_begun_by_last_resort_is_weak_until_the_package_is_surely_erased(
    world: World,
) -> None:
    pipe = Pipe(world.relay)
    mina = await world.open("Mina", transport=pipe)
    junho = await world.open("Junho", transport=pipe)
    talk = await world.direct(mina, junho)
    assert talk.opened_by_last_resort
    erased = junho.room(talk)
    for _ in range(11):
        await world.advance(DAY)
        used = [s for s in shelf(junho) if s.keys.package.last_resort]
        if not mina.room(talk).opened_by_last_resort:
            assert all(world.clock.now() - s.created < 11 * DAY for s in used)
            break
    else:
        pytest.fail("the room stays weak")
    assert not erased.opened_by_last_resort


async def test_packages_are_erased_when_they_have_expired_and_new_ones_take_their_place(
    world: World, mina: Actor
) -> None:
    """REQ-ID-10, REQ-DEL-10."""
    old = {s.keys.package.hash for s in shelf(mina)}
    await world.advance(PACKAGE_LIFETIME)
    assert {s.keys.package.hash for s in shelf(mina) if not s.keys.package.last_resort} <= old
    await world.advance(SIGNED_PREKEY_GRACE + TICK)
    now = {s.keys.package.hash for s in shelf(mina)}
    assert not now & old
    assert len(now) >= ONE_TIME_STOCK + 1
    packages = [KeyPackage.parse(signed) for signed in world.relay.published[-ONE_TIME_STOCK:]]
    assert all(world.clock.now() < package.expiry for package in packages)
    assert {package.hash for package in packages} <= now


async def test_whoever_claims_gets_a_package_that_can_be_used(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-ID-13: even when all that the directory holds has been there for a month."""
    await world.advance(PACKAGE_LIFETIME + SIGNED_PREKEY_GRACE + TICK)
    await world.advance(TICK)
    talk = await mina.device.direct(await junho.device.card())
    await talk.send("hello")
    assert await junho.heard() == ["hello"]
    assert not talk.opened_by_last_resort


async def test_a_used_prekey_is_erased_with_the_join(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-ID-14, REQ-DEL-10."""
    def prekeys() -> int:
        return sum(key is not None for s in shelf(junho) for key in s.keys.one_time_prekeys)

    assert prekeys() == 4 * ONE_TIME_STOCK
    await world.group(mina, junho)
    assert prekeys() == 4 * ONE_TIME_STOCK - 1
    used = await mina.device.create_room([await junho.device.card()])
    await world.settle()
    with refused(Reason.ALREADY_MEMBER, mina.store, error=LocalError):
        await used.add(await junho.device.card())
