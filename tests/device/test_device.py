"""Devices talking to each other: rooms, restarts, a relay at its worst, and bad input."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from random import Random as Dice

import pytest

from evanesce import (
    Conversation,
    DeliveryFailed,
    Device,
    Evaporation,
    Event,
    LocalError,
    MemoryStore,
    MemoryTransport,
    MessageArrived,
    MessageEvaporated,
    MessagesMissing,
    Mode,
    Policy,
    Reason,
    Rejected,
    RemovedFromRoom,
    Role,
    RoomChanged,
    RoomJoined,
    RoomReplaced,
    StorageError,
)
from evanesce.engine import ONE_TIME_STOCK
from evanesce.envelope import envelope_size, seal_envelope
from evanesce.formats import ANNOUNCEMENT, COMMIT_COPY, INVITATION, MESSAGE, OPENING, TEXT
from evanesce.limits import (
    MAILBOX_ENVELOPES,
    MAX_BODY,
    MAX_CLOCK_LEAD,
    MAX_JUMP,
    MAX_LIFETIME,
    MAX_NAME,
    MAX_WAITING,
    PACKAGE_LIFETIME,
)
from evanesce.mailbox import MailboxKeys
from evanesce.message import Header
from evanesce.ports import ManualClock
from evanesce.wire import encode
from tests.device.device_support import (
    NOW,
    Actor,
    Disorderly,
    Pipe,
    Store,
    Stream,
    World,
    check_sealed_once,
    kinds,
    message_in,
    of_kind,
    refused,
)


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def sora(world: World) -> Actor:
    return await world.open("Sora")


async def test_two_devices_talk_as_the_docstring_shows() -> None:
    """As an application does it, with nothing of the tests' own and the clock of the machine."""

    async def next_message(device: Device) -> MessageArrived:
        async for event in device.events():
            if isinstance(event, MessageArrived):
                return event
        raise AssertionError("the device was closed")

    transport = MemoryTransport()
    async with (
        Device.open(MemoryStore(), transport, name="Mina") as mina,
        Device.open(MemoryStore(), transport, name="Junho") as junho,
    ):
        room = await mina.direct(await junho.card())
        sent = await room.send("See you at 7?", after_view=0)
        event = await asyncio.wait_for(next_message(junho), 5)
        assert event.sender.name == "Mina"
        assert event.message.id == sent
        async with event.message.open() as content:
            assert content == "See you at 7?"
        with pytest.raises(LocalError) as caught:
            async with event.message.open():
                pytest.fail("an evaporated message was opened")
        assert caught.value.reason is Reason.EVAPORATED
        await event.room.send("Eight is better", quote=sent)
        answer = await asyncio.wait_for(next_message(mina), 5)
        assert (answer.room, answer.quote, answer.sender.name) == (room, sent, "Junho")


# --- opening and closing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [(None, Reason.BAD_INPUT), ("", Reason.BAD_INPUT), ("\ud800", Reason.BAD_INPUT),
     ("x" * (MAX_NAME + 1), Reason.TOO_LARGE), ("ÿ" * (MAX_NAME // 2) + "x", Reason.TOO_LARGE)],
    ids=["none", "empty", "not Unicode", "too long", "too long in UTF-8"],
)  # fmt: skip
async def test_a_new_device_needs_a_name_of_1_to_256_bytes(
    world: World, name: str | None, reason: Reason
) -> None:
    store = Store()
    with refused(reason, store, error=LocalError):
        async with Device.open(store, world.relay, name=name):
            pytest.fail("a device without a name was opened")


@pytest.mark.parametrize("name", ["x", "x" * MAX_NAME, "ÿ" * (MAX_NAME // 2)])
async def test_a_name_may_be_as_long_as_the_limit_and_others_see_it(
    world: World, mina: Actor, name: str
) -> None:
    other = await world.open(name)
    room = await world.direct(mina, other)
    assert room.peer.name == name
    assert [event.sender.name for event in mina.told(MessageArrived)] == [name]


async def test_a_device_keeps_its_name_and_identity(world: World, mina: Actor) -> None:
    identity = mina.device.identity
    await mina.close()
    await mina.open("Somebody Else")
    assert (mina.device.name, mina.device.identity) == ("Mina", identity)


async def test_events_end_when_the_device_is_closed(world: World) -> None:
    device = Device.open(Store(), world.relay, name="Mina", clock=world.clock)
    async with device:
        events = asyncio.ensure_future(collect(device))
        await asyncio.sleep(0.001)
        assert not events.done()
    assert await asyncio.wait_for(events, 1) == []
    assert await asyncio.wait_for(collect(device), 1) == [], "they have ended for good"


async def test_a_device_may_be_closed_as_soon_as_it_is_open(world: World) -> None:
    store = Store()
    async with Device.open(store, world.relay, name="Mina", clock=world.clock) as device:
        identity = device.identity
    gc.collect()  # a loop that was never begun would complain here
    async with Device.open(store, world.relay, clock=world.clock) as device:
        assert device.identity == identity
        await asyncio.sleep(0)


async def collect(device: Device) -> list[Event]:
    return [event async for event in device.events()]


async def test_a_closed_device_refuses_everything(world: World, mina: Actor, junho: Actor) -> None:
    room = await world.direct(mina, junho)
    card, device = await junho.device.card(), mina.device
    message = mina.told(MessageArrived)[0].message
    await mina.close()
    requests: list[Callable[[], object]] = [
        lambda: room.send("too late"),
        lambda: device.card(),
        lambda: device.direct(card),
        lambda: device.create_room([card]),
        lambda: device.inbox(),
        lambda: room.leave(),
        lambda: message.open().__aenter__(),
        lambda: device.maintain(),
    ]
    for request in requests:
        with refused(Reason.CLOSED, mina.store, error=LocalError):
            await request()  # type: ignore[misc]
    for look in (lambda: device.name, lambda: device.rooms, lambda: room.members):
        with refused(Reason.CLOSED, mina.store, error=LocalError):
            look()


async def test_a_device_that_was_never_opened_refuses_everything(world: World) -> None:
    store = Store()
    device = Device.open(store, world.relay, name="Mina", clock=world.clock)
    with refused(Reason.CLOSED, store, error=LocalError):
        await device.card()


async def test_a_device_that_could_not_be_opened_refuses_everything(world: World) -> None:
    store = Store({b"device": b"no device"})
    device = Device.open(store, world.relay, clock=world.clock)
    with refused(Reason.BAD_STORE, store, error=StorageError):
        await device.__aenter__()
    with refused(Reason.CLOSED, store, error=LocalError):
        await device.card()


@pytest.mark.parametrize("record", [b"device", b"wrap", b"mailbox/", b"package/", b"meta/",
                                    b"look/", b"inbox/"])  # fmt: skip
async def test_a_damaged_store_is_refused_as_such(
    world: World, mina: Actor, junho: Actor, record: bytes
) -> None:
    room = await world.direct(mina, junho)
    world.relay.down = True
    await room.send("still in the outbox")
    await mina.close()
    contents = mina.store.contents()
    name = min(name for name in contents if name.startswith(record))
    for damage in (b"", b"\x90", b"\xc1\xff", contents[name][:-1], contents[name] + b"\x00"):
        store = Store({**contents, name: damage})
        device = Device.open(store, world.relay, clock=world.clock)
        with refused(Reason.BAD_STORE, store, error=StorageError):
            async with device:
                pytest.fail(f"opened with a damaged {name!r}")


# --- 1:1 rooms -----------------------------------------------------------------------------------


async def test_a_direct_room_carries_many_turns(world: World, mina: Actor, junho: Actor) -> None:
    room = await world.direct(mina, junho)
    epochs = {room.epoch}
    for turn in range(6):
        speaker, listener = (mina, junho) if turn % 2 == 0 else (junho, mina)
        said: list[str | bytes] = [f"turn {turn}, part {part}" for part in range(turn % 3 + 1)]
        for text in said:
            await speaker.room(room).send(text)
        assert await listener.heard() == said
        epochs.add(room.epoch)
        world.check_agreement(room, mina, junho)
    assert len(epochs) == 7, "each turn opens an epoch"
    assert not mina.told(Rejected)
    assert not junho.told(Rejected)
    check_sealed_once(mina, junho)


async def test_nothing_is_sent_before_the_first_word(
    world: World, mina: Actor, junho: Actor
) -> None:
    before = len(world.relay.seen)
    await mina.device.direct(await junho.device.card())
    await world.settle()
    assert len(world.relay.seen) == before
    assert not junho.log


async def test_both_sides_of_a_direct_room_see_the_same_people(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    assert [p.name for p in room.members] == ["Mina", "Junho"]
    assert [p.name for p in junho.room(room).members] == ["Mina", "Junho"]
    assert (room.peer.name, junho.room(room).peer.name) == ("Junho", "Mina")
    mine = room.safety_number(room.peer)
    assert mine == junho.room(room).safety_number(junho.room(room).peer)
    assert room.direct
    assert not room.opened_by_last_resort
    assert await mina.device.direct(await junho.device.card()) == room
    assert await junho.device.direct(await mina.device.card()) == junho.room(room)


async def test_what_is_said_before_the_first_answer_all_arrives(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await mina.device.direct(await junho.device.card())
    for n in range(4):
        await room.send(f"{n}")
    assert await junho.heard() == ["0", "1", "2", "3"]
    assert len(junho.told(RoomJoined)) == 1


async def test_without_a_directory_the_last_resort_package_of_the_card_serves(
    world: World,
) -> None:
    """REQ-ID-13."""
    pipe = Pipe(world.relay)
    mina = await world.open("Mina", transport=pipe)
    junho = await world.open("Junho", transport=pipe)
    room = await world.direct(mina, junho)
    assert room.opened_by_last_resort
    assert junho.room(room).opened_by_last_resort
    await world.check_talk(room, mina, junho)


async def test_a_card_for_one_peer_gives_full_secrecy_without_a_directory(world: World) -> None:
    pipe = Pipe(world.relay)
    mina = await world.open("Mina", transport=pipe)
    junho = await world.open("Junho", transport=pipe)
    room = await mina.device.direct(await junho.device.card(one_time=True))
    await room.send("hello")
    assert await junho.heard() == ["hello"]
    assert not room.opened_by_last_resort


async def test_a_one_time_package_admits_four_times_and_no_more(world: World) -> None:
    """REQ-ID-09."""
    pipe = Pipe(world.relay)
    mina = await world.open("Mina", transport=pipe)
    junho = await world.open("Junho", transport=pipe)
    card = await junho.device.card(one_time=True)
    for _ in range(4):
        await mina.device.create_room([card])
    await world.settle()
    assert len(junho.told(RoomJoined)) == 4
    with refused(Reason.NO_PACKAGE, mina.store, error=LocalError):
        await mina.device.create_room([card])


async def test_a_direct_room_has_just_two_members_for_good(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.direct(mina, junho)
    with refused(Reason.WRONG_MODE, mina.store, error=LocalError):
        await room.add(await sora.device.card())
    with refused(Reason.WRONG_MODE, mina.store, error=LocalError):
        await room.remove(room.peer)
    with refused(Reason.WRONG_MODE, mina.store, error=LocalError):
        await room.leave()
    with refused(Reason.WRONG_MODE, mina.store, error=LocalError):
        await room.refresh()
    await world.check_talk(room, mina, junho)


async def test_a_thousand_messages_may_await_an_answer(
    world: World, mina: Actor, junho: Actor
) -> None:
    """Counted by the room, not by what has arrived: most are never put on the way here."""
    room = await world.direct(mina, junho)
    await room.send("first")
    state = mina.device.room(room.id)._state
    assert state.sending is not None
    for _ in range(MAX_JUMP - 2):
        _, state.sending = state.sending.next()
    await room.send("the last that may be sent")
    with refused(Reason.OUT_OF_TURN, error=LocalError):
        await room.send("one too many")
    assert await junho.heard() == ["first", "the last that may be sent"]
    assert [event.count for event in junho.told(MessagesMissing)] == [MAX_JUMP - 2]
    await junho.room(room).send("an answer")
    assert await mina.heard() == ["an answer"]
    await world.check_talk(room, mina, junho)


@pytest.mark.parametrize("seed", range(6))
async def test_two_who_begin_at_once_end_up_in_one_room(seed: int) -> None:
    """REQ-DIR-08."""
    world = World(lambda clock: Disorderly(clock, seed))
    mina, junho = await world.open("Mina"), await world.open("Junho")
    hers = await mina.device.direct(await junho.device.card())
    his = await junho.device.direct(await mina.device.card())
    assert hers != his
    world.relay.paused = True
    for n in range(3):
        await hers.send(f"from Mina {n}")
        await his.send(f"from Junho {n}")
    world.relay.paused = False
    await world.relay.let_go()
    assert sorted(map(str, await junho.heard())) == [f"from Mina {n}" for n in range(3)]
    assert sorted(map(str, await mina.heard())) == [f"from Junho {n}" for n in range(3)]
    serving = await mina.device.direct(await junho.device.card())
    assert serving.id == min(hers.id, his.id)
    assert (await junho.device.direct(await mina.device.card())).id == serving.id
    await world.check_talk(serving, mina, junho)
    assert not mina.told(RoomReplaced), "neither had been answered"
    (other,) = {hers.id, his.id} - {serving.id}
    for actor in (mina, junho):
        with refused(Reason.ROOM_CLOSED, actor.store, error=LocalError):
            await actor.room(other).send("to the room that does not serve")
    await world.close()


async def test_two_rooms_begun_at_once_converge_though_an_answer_comes_first(
    world: World, mina: Actor, junho: Actor
) -> None:
    """One side answers in the room that serves before the other has heard of the second room.
    REQ-DIR-08."""
    hers = await mina.device.direct(await junho.device.card())
    his = await junho.device.direct(await mina.device.card())
    for one, other, hi in ((mina, junho, his), (junho, mina, hers)):
        if hi.id < (hers if hi is his else his).id:
            first, second, serving, lost = other, one, hi, hers if hi is his else his
    # `first` began the room that serves; `second` the other one, whose first word is kept back.
    world.relay.paused = True
    await second.room(lost).send("in the room that does not serve")
    world.relay.keep_back_last()
    await first.room(serving).send("in the room that serves")
    assert await second.heard() == ["in the room that serves"]
    await second.room(serving).send("an answer")
    assert await first.heard() == ["an answer"]
    await world.relay.let_go()
    assert await first.heard() == ["in the room that does not serve"]
    for actor, peer in ((first, second), (second, first)):
        assert (await actor.device.direct(await peer.device.card())).id == serving.id
    await world.check_talk(serving, first, second)


async def test_each_side_is_told_which_of_two_rooms_serves(
    world: World, mina: Actor, junho: Actor
) -> None:
    """Otherwise an application goes on sending to a room that refuses it."""
    hers = await mina.device.direct(await junho.device.card())
    his = await junho.device.direct(await mina.device.card())
    await hers.send("one")
    await his.send("two")
    await world.settle()
    loser = mina if hers.id > his.id else junho
    serving = min(hers.id, his.id)
    (event,) = loser.told(RoomReplaced)
    assert (event.old.id, event.new.id) == (max(hers.id, his.id), serving)


async def test_a_peer_that_lost_its_state_begins_a_new_room_that_replaces_the_old(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-DIR-08."""
    backup = mina.store.contents()
    old = await world.direct(mina, junho)
    await world.advance(1)
    await mina.close()
    mina.store = Store(backup)
    await mina.open()
    assert mina.device.rooms == ()
    new = await mina.device.direct(await junho.device.card())
    await new.send("it is me again")
    assert await junho.heard() == ["it is me again"]
    (event,) = junho.told(RoomReplaced)
    assert (event.old, event.new) == (junho.room(old), junho.room(new))
    assert await junho.device.direct(await mina.device.card()) == junho.room(new)
    with refused(Reason.ROOM_CLOSED, junho.store, error=LocalError):
        await junho.room(old).send("to the old room")
    await world.check_talk(new, mina, junho)


async def test_a_device_does_not_invite_itself(world: World, mina: Actor) -> None:
    """REQ-ID-11."""
    for card in (await mina.device.card(), await mina.device.card(one_time=True)):
        with refused(Reason.ALREADY_MEMBER, mina.store, error=LocalError):
            await mina.device.direct(card)
        with refused(Reason.ALREADY_MEMBER, mina.store, error=LocalError):
            await mina.device.create_room([card])


async def test_a_card_admits_until_it_expires(world: World) -> None:
    """REQ-ID-11, REQ-LIMIT-24."""
    pipe = Pipe(world.relay)
    mina = await world.open("Mina", transport=pipe)
    junho = await world.open("Junho", transport=pipe)
    card = await junho.device.card(one_time=True)
    await world.advance(PACKAGE_LIFETIME)
    room = await mina.device.direct(card)
    await room.send("just in time")
    assert await junho.heard() == ["just in time"]
    late = await world.open("Sora", transport=pipe)
    await world.advance(1)
    with refused(Reason.EXPIRED, late.store, error=LocalError):
        await late.device.direct(card)
    with refused(Reason.EXPIRED, late.store, error=LocalError):
        await late.device.create_room([card])


@pytest.mark.parametrize("days", [1, 6, 9, 11, 20, 29])
async def test_a_card_that_is_not_refused_reaches_its_owner(world: World, days: int) -> None:
    """A card from some days ago: what is sent with it arrives, or its sender is told."""
    pipe = Pipe(world.relay)
    mina = await world.open("Mina", transport=pipe)
    junho = await world.open("Junho", transport=pipe)
    card = await junho.device.card()
    for _ in range(days):
        await world.advance(86_400)
    try:
        room = await mina.device.direct(card)
    except LocalError as error:
        assert error.reason is Reason.EXPIRED
        return
    await room.send("are you there?")
    assert await junho.heard() == ["are you there?"]


# --- groups --------------------------------------------------------------------------------------


async def test_a_group_is_founded_and_all_talk(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    for actor in (junho, sora):
        (joined,) = actor.told(RoomJoined)
        assert (joined.room.id, joined.inviter.name) == (room.id, "Mina")
        assert [p.name for p in actor.room(room).members] == ["Mina", "Junho", "Sora"]
    assert [p.role for p in room.members] == [Role.OWNER, Role.MEMBER, Role.MEMBER]
    assert not room.direct
    with pytest.raises(LocalError) as caught:
        assert room.peer
    assert caught.value.reason is Reason.WRONG_MODE
    for _ in range(3):
        await world.check_talk(room, mina, junho, sora)
    assert not any(actor.told(Rejected) for actor in (mina, junho, sora))
    check_sealed_once(mina, junho, sora)


async def test_a_group_of_one_can_be_founded_and_grow(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await mina.device.create_room([])
    await room.send("to nobody")
    await room.add(await junho.device.card())
    await world.settle()
    world.check_agreement(room, mina, junho)
    await world.check_talk(room, mina, junho)


async def test_what_is_said_before_the_others_have_joined_reaches_them(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-ENV-22."""
    cards = [await junho.device.card(), await sora.device.card()]
    await junho.close()
    room = await mina.device.create_room(cards)
    await room.send("welcome")
    assert await sora.heard() == ["welcome"]
    await sora.room(room).send("hello Junho")
    await world.settle()
    await junho.open()
    assert await junho.heard() == ["welcome", "hello Junho"]
    await world.check_talk(room, mina, junho, sora)


async def test_a_group_of_last_resort_packages_comes_together(world: World) -> None:
    """Without a directory, each guest has to refresh before anybody speaks."""
    pipe = Pipe(world.relay)
    people = [await world.open(n, transport=pipe) for n in ("Mina", "Junho", "Sora", "Duri")]
    mina, *others = people
    room = await mina.device.create_room([await other.device.card() for other in others])
    await world.settle()
    for _ in range(10):
        await world.advance(60)
    world.check_agreement(room, *people)
    await world.check_talk(room, *people)


async def test_one_guest_by_last_resort_refreshes_before_anybody_speaks(world: World) -> None:
    pipe = Pipe(world.relay)
    mina = await world.open("Mina", transport=pipe)
    junho = await world.open("Junho", transport=pipe)
    card = await junho.device.card()
    await junho.close()
    room = await mina.device.create_room([card])
    with refused(Reason.REFRESH_AWAITED, mina.store, error=LocalError):
        await room.send("not yet")
    await junho.open()
    await world.settle()
    world.check_agreement(room, mina, junho)
    await world.check_talk(room, mina, junho)


async def test_a_joiner_reads_nothing_earlier(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho)
    await room.send("before Sora came")
    assert await junho.heard() == ["before Sora came"]
    earlier = [message for _, payload in junho.payloads() if (message := message_in(payload))]
    await room.add(await sora.device.card())
    await world.settle()
    world.check_agreement(room, mina, junho, sora)
    (changed,) = junho.told(RoomChanged)
    assert changed.by.name == "Mina"
    assert [p.identity for p in changed.added] == [sora.device.identity]
    for message in earlier:  # even if somebody hands it over
        await world.put_payload(sora.mailbox(room), message)
    await world.advance(60)
    assert await sora.heard() == []
    assert await sora.device.inbox() == []
    await room.send("after Sora came")
    assert await sora.heard() == ["after Sora came"]
    await world.check_talk(room, mina, junho, sora)


async def test_a_removed_member_reads_nothing_later_and_is_told(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)
    his_mailbox = sora.mailbox(room)
    await room.remove(mina.person(room, sora))
    await world.settle()
    world.check_agreement(room, mina, junho)
    (removed,) = sora.told(RemovedFromRoom)
    assert (removed.room.id, removed.by.name) == (room.id, "Mina")
    (changed,) = junho.told(RoomChanged)
    assert [p.name for p in changed.removed] == ["Sora"]
    assert sora.room(room).closed
    await junho.room(room).send("is she gone?")
    await room.send("she is")
    await world.settle()
    later = [message for _, payload in mina.payloads() + junho.payloads()
             if (message := message_in(payload))][-2:]  # fmt: skip
    for message in later:  # even if somebody hands it over
        await world.put_payload(his_mailbox, message)
    await world.advance(60)
    assert await sora.heard() == []
    with refused(Reason.ROOM_CLOSED, sora.store, error=LocalError):
        await sora.room(room).send("let me in")
    with refused(Reason.ROOM_CLOSED, sora.store, error=LocalError):
        await sora.room(room).refresh()
    await world.check_talk(room, mina, junho)


async def test_what_was_said_before_a_removal_is_still_read_after_it(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)
    await junho.room(room).send("for everybody")
    world.relay.kept_back |= {e for e, _ in sora.payloads()}
    await world.settle()
    await room.remove(mina.person(room, sora))
    await world.settle()
    assert sora.told(RemovedFromRoom)
    await world.relay.let_go()
    assert await sora.heard() == ["for everybody"]


async def test_a_member_can_be_added_again_after_its_removal(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    await room.remove(mina.person(room, sora))
    await world.settle()
    await room.add(await sora.device.card())
    await world.settle()
    world.check_agreement(room, mina, junho, sora)
    assert not sora.room(room).closed
    await world.check_talk(room, mina, junho, sora)


async def test_a_member_that_was_away_while_removed_and_added_again_is_back(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """The new invitation waits in another mailbox than the removal, and may be read first."""
    room = await world.group(mina, junho, sora)
    card = await sora.device.card()
    await sora.close()
    await room.remove(next(p for p in room.members if p.name == "Sora"))
    await world.settle()
    await room.add(card)
    await world.settle()
    removal = {e for e, _ in of_kind(sora.payloads(), COMMIT_COPY.type)}
    assert len(removal) == 1
    world.relay.kept_back |= removal
    await sora.open()
    await world.settle()
    await world.relay.let_go()
    await world.advance(60)
    world.check_agreement(room, mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)


async def test_roles_change_and_give_rights(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    for request in (
        junho.room(room).remove(junho.person(room, sora)),
        junho.room(room).set_role(junho.person(room, sora), Role.ADMIN),
        junho.room(room).set_policy(room.policy),
    ):
        with refused(Reason.NOT_ENTITLED, junho.store, error=LocalError):
            await request
    await room.set_role(mina.person(room, junho), Role.ADMIN)
    await world.settle()
    (changed,) = sora.told(RoomChanged)
    assert [(p.name, p.role) for p in changed.roles] == [("Junho", Role.ADMIN)]
    assert junho.person(room, junho).role is Role.ADMIN
    await junho.room(room).remove(junho.person(room, sora))
    await world.settle()
    world.check_agreement(room, mina, junho)
    with refused(Reason.NOT_ENTITLED, junho.store, error=LocalError):
        await junho.room(room).remove(junho.person(room, mina))


async def test_the_policy_changes_for_all_and_bounds_what_is_sent(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.group(mina, junho)
    rules = Policy(Mode.SIGNED, members_may_add=True, evaporation=Evaporation(0, 600))
    await room.set_policy(rules)
    await world.settle()
    (changed,) = junho.told(RoomChanged)
    assert changed.policy == junho.room(room).policy == rules
    await room.send("view once", after_view=3_600, lifetime=MAX_LIFETIME)
    assert await junho.heard() == ["view once"]
    await world.settle()
    assert len(junho.told(MessageEvaporated)) == 1
    sora = await world.open("Sora")
    await junho.room(room).add(await sora.device.card())
    await world.settle()
    world.check_agreement(room, mina, junho, sora)
    assert sora.room(room).policy == rules


@pytest.mark.parametrize(
    "policy",
    [Policy(Mode.SIGNED, evaporation=Evaporation(0, 0)),
     Policy(Mode.SIGNED, evaporation=Evaporation(None, MAX_LIFETIME + 1)),
     Policy(Mode.SIGNED, evaporation=Evaporation(MAX_LIFETIME + 1, MAX_LIFETIME))],
    ids=["no lifetime", "too long", "timer too long"],
)  # fmt: skip
async def test_a_bad_policy_is_refused(
    world: World, mina: Actor, junho: Actor, policy: Policy
) -> None:
    card = await junho.device.card()
    with refused(Reason.BAD_POLICY, mina.store, error=LocalError):
        await mina.device.create_room([card], policy=policy)
    room = await world.group(mina, junho)
    with refused(Reason.BAD_POLICY, mina.store, error=LocalError):
        await room.set_policy(policy)
    evaporation = policy.evaporation
    with refused(Reason.BAD_POLICY, mina.store, error=LocalError):
        await room.send("hello", after_view=evaporation.after_view, lifetime=evaporation.lifetime)


@pytest.mark.parametrize("mode", [Mode.DIRECT, Mode.DENIABLE])
async def test_a_group_is_signed(world: World, mina: Actor, junho: Actor, mode: Mode) -> None:
    card = await junho.device.card()
    with refused(Reason.WRONG_MODE, mina.store, error=LocalError):
        await mina.device.create_room([card], policy=Policy(mode))


async def test_a_refresh_opens_an_epoch_for_all(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    before = room.epoch
    await junho.room(room).refresh()
    await world.settle()
    world.check_agreement(room, mina, junho, sora)
    assert room.epoch == before + 1
    (changed,) = mina.told(RoomChanged)
    assert (changed.by.name, changed.added, changed.removed, changed.roles, changed.policy) == (
        "Junho", (), (), (), None,
    )  # fmt: skip
    await world.check_talk(room, mina, junho, sora)


async def test_a_member_that_leaves_is_out_once_another_has_committed_it(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    await sora.room(room).leave()
    await world.settle()
    await room.refresh()  # any commit takes the request along
    await world.settle()
    world.check_agreement(room, mina, junho)
    assert len(sora.told(RemovedFromRoom)) == 1
    await world.check_talk(room, mina, junho)


async def test_when_the_owner_leaves_the_next_in_rank_owns_the_room(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    await room.leave()
    await world.settle()
    await sora.room(room).refresh()
    await world.settle()
    world.check_agreement(sora.room(room), junho, sora)
    assert junho.person(room, junho).role is Role.OWNER
    assert room.closed


async def test_people_who_are_not_in_the_room_cannot_be_removed_or_given_a_role(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho)
    other = await world.group(mina, sora)
    stranger = mina.person(other, sora)
    with refused(Reason.UNKNOWN_MEMBER, mina.store, error=LocalError):
        await room.remove(stranger)
    with refused(Reason.UNKNOWN_MEMBER, mina.store, error=LocalError):
        await room.remove(mina.person(room, junho), stranger)
    with refused(Reason.UNKNOWN_MEMBER, mina.store, error=LocalError):
        await room.set_role(stranger, Role.ADMIN)
    world.check_agreement(room, mina, junho)


async def test_nobody_is_added_twice(world: World, mina: Actor, junho: Actor, sora: Actor) -> None:
    room = await world.group(mina, junho)
    with refused(Reason.ALREADY_MEMBER, mina.store, error=LocalError):
        await room.add(await junho.device.card())
    card = await sora.device.card()
    with refused(Reason.ALREADY_MEMBER, mina.store, error=LocalError):
        await room.add(card, card)
    with refused(Reason.ALREADY_MEMBER, mina.store, error=LocalError):
        await mina.device.create_room([card, card])
    with refused(Reason.ALREADY_MEMBER, mina.store, error=LocalError):
        await room.add(await mina.device.card())


async def test_an_unknown_room_is_refused(world: World, mina: Actor) -> None:
    room = mina.device.conversation(b"?" * 32)
    with refused(Reason.UNKNOWN_ROOM, mina.store, error=LocalError):
        await room.send("hello")
    with refused(Reason.UNKNOWN_ROOM, mina.store, error=LocalError):
        await room.refresh()
    with refused(Reason.UNKNOWN_ROOM, mina.store, error=LocalError):
        await room.leave()


async def test_two_members_that_commit_at_once_come_together_again(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EPOCH-27: all take the same one of the two; who had the other is told that it lost."""
    room = await world.group(mina, junho, sora)
    await asyncio.gather(room.refresh(), junho.room(room).refresh())
    opened = room.transcript
    await world.settle()
    world.check_agreement(room, mina, junho, sora)
    assert room.transcript == opened, "the owner's comes first"
    for actor in (mina, junho, sora):
        assert actor.told(Rejected) == []
    (lost,) = [change.lost for change in junho.told(RoomChanged)]
    assert [person.identity for person in lost] == [junho.device.identity]
    await world.check_talk(room, mina, junho, sora)


# --- what is said --------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [False, True], ids=["direct", "group"])
@pytest.mark.parametrize("body", ["x" * MAX_BODY, "ÿ" * (MAX_BODY // 2), b"\xff" * MAX_BODY],
                         ids=["text", "text in UTF-8", "data"])  # fmt: skip
async def test_a_body_may_be_as_large_as_the_limit(
    world: World, mina: Actor, junho: Actor, body: str | bytes, group: bool
) -> None:
    if group:
        room = await world.group(mina, junho)
    else:
        room = await mina.device.direct(await junho.device.card())
    await room.send(body)
    assert await junho.heard() == [body]


@pytest.mark.parametrize("group", [False, True], ids=["direct", "group"])
@pytest.mark.parametrize("body", ["x" * (MAX_BODY + 1), "x" + "ÿ" * (MAX_BODY // 2),
                                  b"\xff" * (MAX_BODY + 1)],
                         ids=["text", "text in UTF-8", "data"])  # fmt: skip
async def test_a_larger_body_is_refused_and_nothing_changes(
    world: World, mina: Actor, junho: Actor, body: str | bytes, group: bool
) -> None:
    if group:
        room = await world.group(mina, junho)
    else:
        room = await mina.device.direct(await junho.device.card())
    with refused(Reason.TOO_LARGE, mina.store, junho.store, error=LocalError):
        await room.send(body)
    await room.send("this is shorter")
    assert await junho.heard() == ["this is shorter"]


async def test_text_that_is_no_text_and_quotes_that_are_no_ids_are_refused(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    with refused(Reason.BAD_INPUT, mina.store, error=LocalError):
        await room.send("half of a \ud83d pair")
    for quote in (b"", b"short", bytes(15), bytes(17)):
        with refused(Reason.BAD_INPUT, mina.store, error=LocalError):
            await room.send("hello", quote=quote)
    await world.check_talk(room, mina, junho)


async def test_the_stricter_policy_of_room_and_message_holds(
    world: World, mina: Actor, junho: Actor
) -> None:
    rules = Policy(Mode.SIGNED, evaporation=Evaporation(None, 1_000))
    room = await world.group(mina, junho, policy=rules)
    await room.send("the room's", lifetime=5_000)
    await room.send("its own", lifetime=500)
    await world.settle()
    assert len(junho.arrived()) == 2
    await world.advance(500)
    assert len(junho.told(MessageEvaporated)) == 1
    assert len(await junho.device.inbox()) == 1
    await world.advance(500)
    assert await junho.device.inbox() == []


async def test_a_message_is_listed_until_it_evaporates(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    group = await world.group(mina, junho)
    for target, text in ((room, "direct"), (group, "to all")):
        await target.send(text, after_view=0)
    await world.settle()
    in_group = await junho.device.inbox(junho.room(group))
    assert [await junho.view(kept.message) for kept in in_group] == ["to all"]
    assert [(kept.room.id, kept.sender.name) for kept in in_group] == [(group.id, "Mina")]
    assert await junho.device.inbox(junho.room(group)) == []
    listed = await junho.device.inbox(junho.room(room))
    bodies = {(kept.sender.name, await junho.view(kept.message)) for kept in listed}
    assert bodies == {("Mina", "hello"), ("Junho", "good day"), ("Mina", "direct")}


async def test_messages_of_one_second_are_listed_as_they_came(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    said = ["hello", "good day"]
    for n in range(6):
        await room.send(f"{n}")
        said.append(f"{n}")
    await world.settle()
    await junho.restart()
    listed = await junho.device.inbox(junho.room(room))
    assert [await junho.view(kept.message) for kept in listed] == said


async def test_a_message_viewed_twice_at_once_is_shown_twice_and_evaporates_once(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    await room.send("once", after_view=100)
    await world.settle()
    (event,) = junho.arrived()
    async with event.message.open() as one, event.message.open() as two:
        assert one == two == "once"
    await world.advance(100)
    assert [e.message for e in junho.told(MessageEvaporated)].count(event.message.id) == 1


async def test_an_error_while_viewing_still_closes_the_message(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    await room.send("once", after_view=0)
    await world.settle()
    (event,) = junho.arrived()
    with pytest.raises(ZeroDivisionError):
        async with event.message.open():
            raise ZeroDivisionError
    await world.settle()
    assert [e.message for e in junho.told(MessageEvaporated)] == [event.message.id]
    with pytest.raises(LocalError):
        await junho.view(event.message)


# --- a relay at its worst ------------------------------------------------------------------------


async def converse(world: World, people: list[Actor], seed: int) -> None:
    """Everybody says something in every room, membership changes, and all arrives once."""
    dice = Dice(seed)
    mina, junho, sora, duri = people
    room = await mina.device.create_room([await a.device.card() for a in (junho, sora)])
    await room.send("opening 0")
    await room.send("opening 1")
    talk = await mina.device.direct(await duri.device.card())
    await talk.send("direct 0")
    await talk.send("direct 1")
    await world.advance(60)
    expected: dict[str, list[str]] = {a.name: [] for a in people}
    for a in (junho, sora):
        expected[a.name] += ["opening 0", "opening 1"]
    expected["Duri"] += ["direct 0", "direct 1"]
    members = [mina, junho, sora]
    for n in range(12):
        speaker = dice.choice(members)
        text = f"{speaker.name} {n}"
        await speaker.room(room).send(text)
        for a in members:
            if a is not speaker:
                expected[a.name].append(text)
        if n in (3, 6):
            await mina.room(room).refresh()
            await mina.room(room).send(f"refreshed {n}")
            for a in members[1:]:
                expected[a.name].append(f"refreshed {n}")
            await world.settle()
        if n == 8:
            await mina.room(room).add(await duri.device.card())
            await world.settle()
            members.append(duri)
        answerer, listener = (duri, mina) if n % 2 == 0 else (mina, duri)
        for part in range(2):
            await answerer.room(talk).send(f"turn {n}.{part}")
            expected[listener.name].append(f"turn {n}.{part}")
        await world.settle()
    await world.advance(60)
    world.check_agreement(room, *people)
    world.check_agreement(talk, mina, duri)
    for a in people:
        assert sorted(map(str, await a.heard())) == sorted(expected[a.name]), a.name
        assert not [e for e in a.told(Rejected) if e.reason is not Reason.REPLAY], a.name
        assert not [e for e in a.told(MessagesMissing) if e.lost]
    check_sealed_once(*people)
    assert world.relay.holdings() == []


@pytest.mark.parametrize("seed", range(8))
async def test_every_message_arrives_once_in_disorder_and_in_duplicate(seed: int) -> None:
    world = World(lambda clock: Disorderly(clock, seed))
    people = [await world.open(name) for name in ("Mina", "Junho", "Sora", "Duri")]
    await converse(world, people, seed)
    await world.close()


@pytest.mark.parametrize("seed", range(2))
async def test_every_message_arrives_once_in_order(world: World, seed: int) -> None:
    people = [await world.open(name) for name in ("Mina", "Junho", "Sora", "Duri")]
    await converse(world, people, seed)
    assert not any(a.told(Rejected) or a.told(MessagesMissing) for a in people)


async def test_a_message_that_overtakes_its_invitation_is_read_after_it(
    world: World, mina: Actor, junho: Actor
) -> None:
    cards = [await junho.device.card()]
    await junho.close()
    room = await mina.device.create_room(cards)
    await room.send("welcome")
    invitations = of_kind(junho.payloads(), INVITATION.type)
    assert len(invitations) == 1
    world.relay.kept_back |= {e for e, _ in invitations}
    await junho.open()
    assert await junho.heard() == []
    await world.relay.let_go()
    await world.settle()
    await world.advance(60)
    assert await junho.heard() == ["welcome"]
    await world.check_talk(room, mina, junho)


async def test_a_commit_that_overtakes_the_invitation_is_applied_after_it(
    world: World, mina: Actor, junho: Actor
) -> None:
    cards = [await junho.device.card()]
    await junho.close()
    room = await mina.device.create_room(cards)
    await room.refresh()
    await room.send("welcome")
    world.relay.kept_back |= {e for e, _ in of_kind(junho.payloads(), INVITATION.type)}
    await junho.open()
    await world.settle()
    await world.relay.let_go()
    await world.advance(60)
    assert await junho.heard() == ["welcome"]
    world.check_agreement(room, mina, junho)


async def test_a_message_that_overtakes_its_commit_waits_for_it(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    await junho.close()
    await room.refresh()
    await room.send("in the new epoch")
    commits = of_kind(junho.payloads(), COMMIT_COPY.type)
    assert len(commits) == 1
    world.relay.kept_back |= {e for e, _ in commits}
    await junho.open()
    assert await junho.heard() == []
    assert not junho.told(Rejected)
    assert world.relay.holdings() == [], "what waits has been acked"
    await junho.restart()
    await world.relay.let_go()
    assert await junho.heard() == ["in the new epoch"]
    assert not junho.store.named(b"waiting/")
    world.check_agreement(room, mina, junho, sora)


async def test_commits_that_come_in_reverse_are_all_applied(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.group(mina, junho)
    await junho.close()
    for n in range(30):
        await room.refresh()
        await room.send(f"epoch {n}")
    payloads = junho.payloads()
    late = {e for e, _ in of_kind(payloads, COMMIT_COPY.type)}
    assert len(late) == 30
    world.relay.kept_back |= late
    await junho.open()
    assert await junho.heard() == []
    for envelope in reversed([e for e, _ in payloads if e in late]):
        await world.relay.let_go(envelope)
        await world.settle()
    assert sorted(map(str, await junho.heard())) == sorted(f"epoch {n}" for n in range(30))
    world.check_agreement(room, mina, junho)


async def test_as_many_commits_as_may_wait_are_applied_at_once(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.group(mina, junho)
    await junho.close()
    for _ in range(MAX_WAITING + 1):
        await room.refresh()
    payloads = of_kind(junho.payloads(), COMMIT_COPY.type)
    assert len(payloads) == MAX_WAITING + 1
    world.relay.kept_back |= {payloads[0][0]}
    await junho.open()
    await world.settle()
    assert len(junho.store.named(b"waiting/")) == MAX_WAITING
    await world.relay.let_go()
    await world.settle()
    assert junho.failed is None
    world.check_agreement(room, mina, junho)
    await world.check_talk(room, mina, junho)


@pytest.mark.parametrize("lead", [MAX_CLOCK_LEAD, MAX_CLOCK_LEAD + 1])
async def test_a_commit_ahead_of_the_clock_waits_until_the_clock_has_moved(
    world: World, lead: int
) -> None:
    ahead = ManualClock(NOW + lead)
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.group(mina, junho)
    epoch = room.epoch
    await mina.close()
    mina.clock = ahead
    await mina.open()
    room = mina.room(room)
    await room.refresh()
    await room.send("from the future")
    await world.settle()
    if lead > MAX_CLOCK_LEAD:
        assert junho.room(room).epoch == epoch
        assert await junho.heard() == []
        assert not junho.told(Rejected)
        await world.advance(60)
    assert await junho.heard() == ["from the future"]
    assert junho.room(room).epoch == epoch + 1
    world.check_agreement(room, mina, junho)


async def test_an_invitation_ahead_of_the_clock_waits_too(world: World) -> None:
    mina = await world.open("Mina", clock=ManualClock(NOW + MAX_CLOCK_LEAD + 30))
    junho = await world.open("Junho")
    talk = await mina.device.direct(await junho.device.card())
    await talk.send("from the future")
    room = await mina.device.create_room([await junho.device.card()])
    await room.send("to all")
    assert await junho.heard() == []
    await world.advance(60)
    assert sorted(map(str, await junho.heard())) == ["from the future", "to all"]
    assert not junho.told(Rejected)


async def test_nothing_is_lost_while_the_relay_is_down(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    talk = await world.direct(mina, sora)
    room = await world.group(mina, junho, sora)
    world.relay.down = True
    await room.send("one")
    await mina.room(talk).send("two")
    await junho.room(room).send("three")
    assert await sora.heard() == []
    for _ in range(3):
        await world.advance(60)
    world.relay.down = False
    assert await sora.heard() == [], "nobody tells a device that the relay is back"
    await world.advance(60)
    assert sorted(map(str, await sora.heard())) == ["one", "three", "two"]
    assert await mina.heard() == ["three"]
    assert await junho.heard() == ["one"]
    await world.check_talk(room, mina, junho, sora)
    await world.check_talk(talk, mina, sora)
    check_sealed_once(mina, junho, sora)


@pytest.mark.parametrize("step", ["open_mailbox", "send", "receive", "ack", "publish",
                                  "close_mailbox"])  # fmt: skip
async def test_a_relay_that_fails_once_at_any_call_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, world: World, step: str
) -> None:
    """After each call that fails, the device tries again and every message arrives once."""
    failed: set[int] = set()
    real = getattr(world.relay, step)

    async def shaky(*arguments: object) -> object:
        if len(failed) < 6 and id(arguments) not in failed:
            failed.add(id(arguments))
            raise OSError(f"{step} failed")
        return await real(*arguments)

    people = [await world.open(name) for name in ("Mina", "Junho", "Sora")]
    mina, junho, sora = people
    monkeypatch.setattr(world.relay, step, shaky)
    card = await junho.device.card()
    room = await mina.device.create_room([card, await sora.device.card()])
    await room.send("one")
    for _ in range(20):
        await world.advance(60)
    await mina.room(room).remove(next(p for p in room.members if p.identity != card.identity
                                      and p.role is Role.MEMBER))  # fmt: skip
    await room.send("two")
    for _ in range(20):
        await world.advance(60)
    assert [actor.failed for actor in people] == [None, None, None]
    assert await junho.heard() == ["one", "two"]
    assert await sora.heard() == ["one"]
    await world.check_talk(room, mina, junho)


async def test_a_refused_request_does_not_keep_a_device_from_listening(
    world: World, mina: Actor, junho: Actor
) -> None:
    """It listens to its new mailbox at once, not only when time has passed."""
    room = await mina.device.create_room([await junho.device.card()])
    with pytest.raises(LocalError):  # before the device has begun to read the room's mailbox
        await room.send("x", lifetime=0)
    await world.settle()
    await junho.room(room).send("hello")
    assert await mina.heard() == ["hello"]


async def test_a_failed_ack_is_not_the_end_of_a_message(
    monkeypatch: pytest.MonkeyPatch, world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    real = world.relay.ack

    async def failing(ids: list[bytes]) -> None:
        raise OSError("the relay went away")

    monkeypatch.setattr(world.relay, "ack", failing)
    await room.send("stored but not acked")
    await world.settle()
    monkeypatch.setattr(world.relay, "ack", real)
    await world.advance(60)
    assert junho.failed is None, "the device has stopped listening"
    assert await junho.heard() == ["stored but not acked"]
    await world.check_talk(room, mina, junho)


async def test_a_relay_that_is_down_when_a_device_is_opened_delays_it_only(
    world: World, mina: Actor
) -> None:
    world.relay.down = True
    junho = await world.open("Junho")
    card = await junho.device.card()
    await world.settle()
    world.relay.down = False
    await world.advance(60)
    room = await mina.device.direct(card)
    await room.send("hello")
    assert await junho.heard() == ["hello"]


async def test_requests_made_at_once_are_all_done_once(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    people = (mina, junho, sora)
    await asyncio.gather(
        *(actor.room(room).send(f"{actor.name} {n}") for n in range(20) for actor in people)
    )
    for actor in people:
        others = [other.name for other in people if other is not actor]
        expected = [f"{name} {n}" for name in others for n in range(20)]
        assert sorted(map(str, await actor.heard())) == sorted(expected)
        assert not actor.told(MessagesMissing)
        assert not actor.told(Rejected)
    check_sealed_once(*people)


async def test_two_requests_for_one_peer_at_once_begin_one_room(
    world: World, mina: Actor, junho: Actor
) -> None:
    card = await junho.device.card()
    one, two = await asyncio.gather(mina.device.direct(card), mina.device.direct(card))
    assert one == two
    assert len(mina.device.rooms) == 1


async def test_a_request_that_is_cancelled_while_the_relay_is_slow_is_still_done_once(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    world.relay.gate = gate = asyncio.Event()
    sending = asyncio.ensure_future(room.send("cancelled, but stored"))
    await world.settle()
    sending.cancel()
    await asyncio.wait([sending])
    gate.set()
    await room.send("the next")
    assert await junho.heard() == ["cancelled, but stored", "the next"]


async def test_a_relay_that_does_not_answer_keeps_nobody_from_reading(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    await room.send("readable")
    await world.settle()
    (event,) = junho.arrived()
    world.relay.gate = asyncio.Event()
    sending = asyncio.ensure_future(junho.room(room).send("stuck"))
    await world.settle()
    reading = asyncio.ensure_future(junho.view(event.message))
    await world.settle()
    assert reading.done(), "reading waits for the relay"
    assert reading.result() == "readable"
    world.relay.gate.set()
    await sending


async def test_a_full_mailbox_delays_what_it_cannot_take(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-ENV-09."""
    room = await world.direct(mina, junho)
    await junho.close()
    for n in range(MAILBOX_ENVELOPES):
        await world.put(junho.mailbox(room), b"%d" % n)
    await room.send("when there is room")
    await world.settle()
    assert not mina.told(DeliveryFailed)
    await junho.open()
    assert await junho.heard() == []
    await world.advance(60)
    assert await junho.heard() == ["when there is room"]


async def test_a_refused_envelope_is_told_and_not_sent_again(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-ENV-09."""
    room = await world.direct(mina, junho)
    (own,) = (m for m in junho.store.mailboxes() if m.room == room.id)
    await world.relay.close_mailbox(own.keys.reader())
    await room.send("to a mailbox that is gone")
    await world.settle()
    assert [(e.reason, e.room) for e in mina.told(DeliveryFailed)] == [
        (Reason.UNKNOWN_MAILBOX, room.id)
    ]
    assert not mina.store.named(b"outbox/")
    await world.advance(60)
    assert len(mina.told(DeliveryFailed)) == 1


async def test_a_junk_key_package_at_the_directory_keeps_nobody_from_being_reached(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-ID-13: anybody may publish there: the card's own package still serves."""
    card = await junho.device.card()
    fingerprint = junho.device.identity.fingerprint
    for _ in range(ONE_TIME_STOCK):
        await world.relay.claim(fingerprint)
    claimed = await world.relay.claim(sora.device.identity.fingerprint)
    assert claimed is not None
    await world.relay.publish(fingerprint, [b"junk", claimed], None)
    room = await mina.device.direct(card)
    await room.send("hello")
    assert await junho.heard() == ["hello"]


# --- restarts ------------------------------------------------------------------------------------


async def test_a_conversation_survives_a_restart_at_every_step(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    people = [mina, junho, sora]

    async def restart() -> None:
        await world.settle()
        before = [{room.id: room.transcript for room in a.device.rooms} for a in people]
        for actor in people:
            await actor.restart()
        assert [{r.id: r.transcript for r in a.device.rooms} for a in people] == before
        await world.settle()

    talk = (await mina.device.direct(await junho.device.card())).id
    await restart()
    for n in range(4):
        speaker, listener = (mina, junho) if n % 2 == 0 else (junho, mina)
        await speaker.room(talk).send(f"{n}")
        assert await listener.heard() == [f"{n}"]
        await restart()
    room = (await mina.device.create_room([await junho.device.card()])).id
    await restart()
    await mina.room(room).add(await sora.device.card())
    await restart()
    await world.check_talk(mina.room(room), *people)
    await restart()
    await junho.room(room).refresh()
    await restart()
    await mina.room(room).set_role(mina.person(mina.room(room), sora), Role.ADMIN)
    await restart()
    await sora.room(room).remove(sora.person(sora.room(room), junho))
    await restart()
    world.check_agreement(mina.room(room), mina, sora)
    assert junho.room(room).closed
    await sora.room(room).leave()
    await restart()
    await mina.room(room).refresh()
    await restart()
    world.check_agreement(mina.room(room), mina)
    assert not any(actor.told(Rejected) for actor in people)
    check_sealed_once(*people)


async def test_what_was_written_while_the_device_was_closed_is_there_when_it_opens(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    await junho.close()
    for n in range(3):
        await room.send(f"{n}")
    await junho.open()
    assert await junho.heard() == ["0", "1", "2"]


async def test_messages_that_were_not_viewed_are_in_the_inbox_after_a_restart(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    for n in range(3):
        await world.advance(1)
        await room.send(f"{n}", after_view=0)
    await world.settle()
    await junho.restart()
    listed = await junho.device.inbox(junho.room(room))
    new = {event.message.id for event in junho.arrived()}
    unread = [kept.message for kept in listed if kept.message.id in new]
    assert [await junho.view(message) for message in unread] == ["0", "1", "2"]
    await junho.restart()
    assert len(await junho.device.inbox()) == len(listed) - 3


async def test_a_message_being_viewed_when_the_device_stops_is_erased_when_it_opens(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-07."""
    room = await world.direct(mina, junho)
    await room.send("seen, never closed", after_view=0)
    await world.settle()
    (event,) = junho.arrived()
    view = event.message.open()
    before_closing = None
    async with view as body:
        assert body == "seen, never closed"
        before_closing = junho.store.contents()  # the device stops here
    await junho.close()
    junho.store = Store(before_closing)
    await junho.open()
    await world.settle()
    with pytest.raises(LocalError) as caught:
        await junho.view(event.message)
    assert caught.value.reason is Reason.EVAPORATED
    assert b"inbox/" + event.message.id not in junho.store.contents()


async def test_a_delivery_is_acked_only_after_the_store_has_it(
    world: World, mina: Actor, junho: Actor
) -> None:
    """In whatever state a device stops: what the relay has forgotten, the store has.
    REQ-ENV-21, REQ-EVAP-05."""
    room = await world.direct(mina, junho)
    states: list[tuple[int, bool]] = []

    def note(committed: bool) -> None:
        kept = sum(name.startswith(b"inbox/") for name in junho.store.contents())
        states.append((len(world.relay.acked), kept == before + 1))

    before, acked = len(junho.store.named(b"inbox/")), len(world.relay.acked)
    junho.store.on_end = note
    await room.send("hello")
    await world.settle()
    junho.store.on_end = None
    assert len(world.relay.acked) == acked + 1
    first = next(n for n, (_, kept) in enumerate(states) if kept)
    assert all(count == acked for count, _ in states[: first + 1])


async def test_unsent_messages_go_out_after_a_restart_as_the_same_bytes(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-ENV-09, REQ-CHAIN-14."""
    room = await world.direct(mina, junho)
    world.relay.down = True
    await room.send("unsent")
    queued = mina.store.named(b"outbox/")
    assert len(queued) == 1
    await mina.close()
    world.relay.down = False
    await mina.open()
    assert await junho.heard() == ["unsent"]
    (record,) = queued.values()
    assert world.relay.seen[-1].envelope in record
    assert not mina.store.named(b"outbox/")


# --- bad input -----------------------------------------------------------------------------------


@pytest.fixture
async def talk(world: World, mina: Actor, junho: Actor) -> Conversation:
    """A 1:1 room of Mina and Junho."""
    return await world.direct(mina, junho)


async def check_refused(world: World, actor: Actor, room: Conversation | None, envelope: bytes,
                        ) -> Reason:  # fmt: skip
    """Assert that an envelope is told as one `Rejected`, acked, and changes nothing."""
    before, told = actor.store.contents(), len(actor.log)
    await world.put(actor.mailbox(room), envelope)
    await world.settle()
    assert actor.failed is None
    (event,) = actor.log[told:]
    assert isinstance(event, Rejected)
    assert world.relay.holdings() == [], "a refused envelope was not acked"
    assert actor.store.contents() == before, "a refused envelope changed the store"
    return event.reason


@pytest.mark.parametrize("contact", [False, True], ids=["room", "contact"])
async def test_bytes_that_are_no_envelope_are_refused(
    world: World, mina: Actor, junho: Actor, talk: Conversation, contact: bool
) -> None:
    random = Stream("bytes")
    where = None if contact else talk
    genuine = seal_envelope(junho.mailbox(where), b"anything", random)
    bad = [b"", b"\x00", random(511), random(512), random(1_024), genuine + b"\x00", bytes(512),
           genuine[:511], b"\xdd\xff\xff\xff\xff", b"\x91" * 512, b"\xc6\xff\xff\xff\xff",
           genuine[:4] + bytes(32) + genuine[36:]]  # fmt: skip
    bad += [genuine[:n] for n in (1, 3, 10, 40, 256)]
    for envelope in bad:
        await check_refused(world, junho, where, envelope)
    await world.check_talk(talk, mina, junho)


@pytest.mark.parametrize("contact", [False, True], ids=["room", "contact"])
async def test_a_genuine_envelope_with_a_changed_bit_is_refused(
    world: World, mina: Actor, junho: Actor, talk: Conversation, contact: bool
) -> None:
    where = None if contact else talk
    address = junho.mailbox(where).address
    genuine = [seen.envelope for seen in world.relay.seen if seen.address == address]
    if not genuine:
        await talk.send("a genuine one")
        await world.settle()
        genuine = [seen.envelope for seen in world.relay.seen if seen.address == address]
    dice = Dice(1)
    envelope = genuine[-1]
    places = [*range(8 * 8), *(dice.randrange(8 * len(envelope)) for _ in range(40))]
    for place in places:
        changed = bytearray(envelope)
        changed[place // 8] ^= 1 << place % 8
        await check_refused(world, junho, where, bytes(changed))
    await world.check_talk(talk, mina, junho)


async def test_a_genuine_envelope_of_another_mailbox_is_refused(
    world: World, mina: Actor, junho: Actor, sora: Actor, talk: Conversation
) -> None:
    await world.group(mina, junho, sora)
    mine = {own.keys.mailbox.address for own in junho.store.mailboxes()}
    others = [seen.envelope for seen in world.relay.seen if seen.address not in mine]
    assert len(others) > 4
    for envelope in others:
        assert await check_refused(world, junho, talk, envelope) is Reason.BAD_CIPHERTEXT
    await world.check_talk(talk, mina, junho)


async def test_a_genuine_envelope_that_comes_again_is_refused_as_a_replay(
    world: World, mina: Actor, junho: Actor, sora: Actor, talk: Conversation
) -> None:
    room = await world.group(mina, junho, sora)
    await room.refresh()
    await world.check_talk(room, mina, junho, sora)
    await junho.restart()
    await mina.room(talk).send("the last word")
    assert await junho.heard() == ["the last word"]
    for where in (talk, room, None):
        address = junho.mailbox(where).address
        envelopes = [seen.envelope for seen in world.relay.seen if seen.address == address]
        assert envelopes
        for envelope in envelopes:
            told = len(junho.log)
            await world.put(junho.mailbox(where), envelope)
            await world.settle()
            for event in junho.log[told:]:
                assert isinstance(event, Rejected)
                assert event.reason is Reason.REPLAY
    assert await junho.heard() == []
    await world.check_talk(room, mina, junho, sora)


def strange_payloads(room: bytes, member: bytes) -> dict[str, bytes]:
    """Payloads that nobody honest sends, or not to a room's mailbox."""
    random = Stream("payloads")
    header = Header(room, random(8), member, 0, random(16), None).encode()
    unknown = Header(random(32), random(8), member, 0, random(16), None).encode()
    return {
        "nothing": b"",
        "zeros": bytes(100),
        "noise": random(300),
        "another version": encode([2, MESSAGE.type, b"x", b"y", b"z"]),
        "another type": encode([1, 99, b"x"]),
        "a bare list": encode([]),
        "text": encode([1, TEXT.type, 0, None, 60, None, "hello"]),
        "an announcement": encode([1, ANNOUNCEMENT.type, "x", [bytes(32), bytes(32), bytes(16)]]),
        "message without fields": encode([1, MESSAGE.type]),
        "message of another room": MESSAGE.build(unknown, random(100), random(64)),
        "message of an epoch nobody opened": MESSAGE.build(header, random(100), random(16) * 2),
        "message with a bad header": MESSAGE.build(random(100), random(100), random(64)),
        "commit with noise": COMMIT_COPY.build(random(100), None),
        "commit without fields": encode([1, COMMIT_COPY.type]),
        "opening with noise": OPENING.build(random(100), random(100)),
        "invitation to nobody": INVITATION.build(
            1, random(32), random(32), random(32), 0, random(32), random(100)
        ),
        "invitation of another suite": INVITATION.build(
            9, random(32), random(32), random(32), 0, random(32), random(100)
        ),
        "trailing bytes": MESSAGE.build(header, random(100), random(32)) + b"\x00",
    }


@pytest.mark.parametrize("contact", [False, True], ids=["room", "contact"])
@pytest.mark.parametrize("what", sorted(strange_payloads(bytes(32), bytes(32))))
async def test_a_payload_that_makes_no_sense_is_refused(
    world: World, mina: Actor, junho: Actor, talk: Conversation, what: str, contact: bool
) -> None:
    where = None if contact else talk
    payload = strange_payloads(talk.id, mina.person(talk, mina).member)[what]
    if what == "message of an epoch nobody opened" or (
        what == "message of another room" and contact
    ):  # it may have overtaken what would make sense of it
        await world.put_payload(junho.mailbox(where), payload)
        await world.settle()
        assert len(junho.store.named(b"waiting/")) == 1
        assert not junho.told(Rejected)
        assert world.relay.holdings() == []
    else:
        envelope = seal_envelope(junho.mailbox(where), payload, Stream("envelope"))
        await check_refused(world, junho, where, envelope)
    await world.check_talk(talk, mina, junho)


async def test_an_invitation_is_taken_by_the_contact_mailbox_only(
    world: World, mina: Actor, junho: Actor, talk: Conversation
) -> None:
    card = await junho.device.card()
    await junho.close()
    await mina.device.create_room([card])
    await world.settle()
    ((envelope, invitation),) = of_kind(junho.payloads(), INVITATION.type)
    world.relay.kept_back.add(envelope)
    await junho.open()
    sealed = seal_envelope(junho.mailbox(talk), invitation, Stream("envelope"))
    assert await check_refused(world, junho, talk, sealed) is Reason.WRONG_TYPE
    await world.relay.let_go()
    await world.settle()
    assert len(junho.told(RoomJoined)) == 2


async def test_a_flood_of_messages_of_unknown_epochs_is_bounded(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-ENV-15, REQ-LIMIT-28."""
    room = await world.group(mina, junho)
    random = Stream("flood")
    sender = mina.person(room, mina).member
    for n in range(MAX_WAITING + 20):
        header = Header(room.id, random(8), sender, n, random(16), None).encode()
        await world.put_payload(
            junho.mailbox(room), MESSAGE.build(header, random(100), random(64))
        )
    await world.settle()
    assert len(junho.store.named(b"waiting/")) == MAX_WAITING
    assert [event.reason for event in junho.told(Rejected)] == [Reason.QUEUE_FULL] * 20
    assert world.relay.holdings() == []
    await world.check_talk(room, mina, junho)
    await world.advance(72 * 3_600)
    assert len(junho.store.named(b"waiting/")) == MAX_WAITING
    await world.advance(60)
    assert not junho.store.named(b"waiting/"), "what waits in vain is forgotten"
    assert sum(e.reason is Reason.EXPIRED for e in junho.told(Rejected)) == MAX_WAITING


async def test_every_copy_on_the_relay_has_one_of_few_sizes_and_looks_different(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)
    await room.send("x" * 3_000)
    await room.refresh()
    await world.settle()
    envelopes = [seen.envelope for seen in world.relay.seen]
    assert len(set(envelopes)) == len(envelopes)
    assert all(len(envelope) == envelope_size(len(envelope)) for envelope in envelopes)
    assert len({seen.address for seen in world.relay.seen}) >= 5
    mailbox = MailboxKeys.generate(Stream("another")).mailbox
    assert mailbox.address not in {seen.address for seen in world.relay.seen}
    assert {len(e) for e in envelopes} <= {512, 1_024, 2_048, 4_096, 8_192}


async def test_texts_of_like_length_have_envelopes_of_equal_size(
    world: World, mina: Actor, junho: Actor, talk: Conversation
) -> None:
    sizes = set()
    for text in ("", "x", "yes", "no, not today"):
        await talk.send(text)
        sizes.add(len(world.relay.seen[-1].envelope))
    assert len(sizes) == 1
    assert kinds(junho.payloads())[-1] == MESSAGE.type
