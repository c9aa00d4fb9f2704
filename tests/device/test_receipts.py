"""Viewed receipts: off by default, mutual, late, in batches, and never an answer (spec 13.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce import (
    Conversation,
    LocalError,
    MemoryStore,
    MessageArrived,
    MessageViewed,
    Reason,
    RemovedFromRoom,
    State,
    viewing,
)
from evanesce.content import Content, Viewed
from evanesce.limits import DAY, MAX_JUMP, MAX_NAMED, REFRESH_AFTER, RETENTION
from evanesce.receipts import LONGEST, SHORTEST, Receipts
from tests.device.device_support import NOW, Actor, Pipe, Store, World

ROOM = bytes(32)


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def sora(world: World) -> Actor:
    return await world.open("Sora")


async def turn_on(room: Conversation, *actors: Actor) -> None:
    for actor in actors:
        await actor.room(room).set_receipts(True)


async def claim(actor: Actor, room: Conversation, content: Content) -> None:
    """Have a member send anything at all."""
    device = actor.device
    await device._run(lambda tx, now: device.engine.say(tx, device.room(room.id), content, now))
    await actor.world.settle()


def sent(world: World) -> int:
    return len(world.relay.seen)


def viewed_by(actor: Actor, *, of: Actor | None = None) -> list[tuple[str, bytes]]:
    """What it was told of, as pairs of name and message."""
    return [(str(e.by), e.message) for e in actor.told(MessageViewed)
            if of is None or str(e.by) == of.name]  # fmt: skip


# --- whether ------------------------------------------------------------------------------------


async def test_receipts_are_off_until_they_are_turned_on_for_one_room(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-11."""
    one, other = await world.group(mina, junho), await world.group(mina, junho)
    assert not junho.room(one).receipts
    await junho.room(one).set_receipts(True)
    await junho.room(one).set_receipts(True)
    assert junho.room(one).receipts
    assert not junho.room(other).receipts
    assert not one.receipts, "this is each device's own affair"
    await junho.restart()
    assert junho.room(one).receipts
    assert not junho.room(other).receipts
    await junho.room(one).set_receipts(False)
    await junho.room(one).set_receipts(False)
    await junho.restart()
    assert not junho.room(one).receipts
    for call in (junho.room(bytes(32)).set_receipts, mina.room(bytes(32)).set_receipts):
        with pytest.raises(LocalError) as caught:
            await call(True)
        assert caught.value.reason is Reason.UNKNOWN_ROOM


@pytest.mark.parametrize("on", [False, True])
async def test_where_they_are_off_none_is_sent(
    world: World, mina: Actor, junho: Actor, on: bool
) -> None:
    """REQ-EVAP-11."""
    room = await world.group(mina, junho)
    await turn_on(room, *([mina, junho] if on else [mina]))
    message = await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    before = sent(world)
    await world.advance(LONGEST)
    await world.advance(DAY)
    assert sent(world) - before == (1 if on else 0)
    assert viewed_by(mina) == ([("Junho", message)] if on else [])


async def test_where_they_are_off_those_that_come_are_dropped(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-11."""
    room = await world.group(mina, junho)
    await turn_on(room, junho)
    message = await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    before = sent(world)
    await world.advance(LONGEST)
    assert sent(world) == before + 1, "this side's are on"
    assert viewed_by(mina) == []
    (recipient,) = (await room.report(message)).recipients
    assert (recipient.state, recipient.viewed) == (State.SENT, False)
    await turn_on(room, mina)
    await world.advance(DAY)
    assert viewed_by(mina) == [], "nothing of it was kept"


async def test_turning_them_off_drops_what_waits(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-11."""
    room = await world.group(mina, junho)
    await turn_on(room, mina, junho)
    await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    await junho.room(room).set_receipts(False)
    await junho.room(room).set_receipts(True)
    before = sent(world)
    await world.advance(LONGEST)
    await world.advance(DAY)
    assert sent(world) == before
    assert viewed_by(mina) == []


# --- of what, and when ---------------------------------------------------------------------------


async def test_each_message_of_another_is_told_of_once(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EVAP-12, REQ-EVAP-13."""
    room = await world.group(mina, junho, sora)
    await turn_on(room, mina, junho, sora)
    first = await room.send("one")
    second = await room.send(b"two")
    hers = await sora.room(room).send("three")
    await world.settle()
    handles = [event.message for event in junho.arrived()]
    for _ in range(3):
        for handle in handles:
            await junho.view(handle)
    (own,) = [m for m in await sora.device.inbox() if str(m.sender) == "Sora"]
    await sora.view(own.message)
    before = sent(world)
    await world.advance(LONGEST)
    assert sent(world) == before + 2, "one receipt of Junho's, to both others, and none of Sora's"
    for handle in handles:  # again, after it
        await junho.view(handle)
    await world.advance(LONGEST)
    assert sent(world) == before + 2
    assert viewed_by(mina) == [("Junho", first), ("Junho", second)]
    assert viewed_by(sora) == [("Junho", hers)], "each is told of its own only"
    report = await room.report(first)
    copy, other = (report.of(mina.person(room, who).member) for who in (junho, sora))
    assert (copy.state, copy.viewed) == (State.CONFIRMED, True)
    assert (other.state, other.viewed) == (State.SENT, False)


async def test_what_was_viewed_while_they_were_off_is_not_told(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-12."""
    room = await world.group(mina, junho)
    await room.send("before")
    await world.settle()
    (event,) = junho.arrived()
    await junho.view(event.message)
    await turn_on(room, mina, junho)
    await junho.view(event.message)
    before = sent(world)
    await world.advance(LONGEST)
    await world.advance(LONGEST)
    assert sent(world) == before


class Sources:
    """A random source that gives one number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.asked: list[int] = []

    def __call__(self, size: int) -> bytes:
        self.asked.append(size)
        return self.number.to_bytes(size, "big")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**33))
def test_the_moment_is_drawn_from_four_bytes_within_one_to_ten_minutes(
    number: int, now: int
) -> None:
    """REQ-EVAP-12."""
    source, receipts = Sources(number), Receipts()
    with MemoryStore().transaction() as tx:
        receipts.turn(tx, ROOM, on=True)
        receipts.note(tx, ROOM, bytes(16), now, source)
        assert source.asked == [4]
        moment = now + 60 + number % 541
        assert now + SHORTEST <= moment <= now + LONGEST
        assert receipts.due(ROOM, moment - 1) == ()
        assert [batch.messages for batch in receipts.due(ROOM, moment)] == [(bytes(16),)]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2**32 - 1)), max_size=40))
def test_what_is_viewed_until_the_moment_goes_into_one_receipt(
    views: Sequence[tuple[int, int]],
) -> None:
    """REQ-EVAP-12: nothing twice, nothing left out, each batch within its bounds."""
    receipts, store, now = Receipts(), MemoryStore(), NOW
    times: dict[bytes, int] = {}
    with store.transaction() as tx:
        receipts.turn(tx, ROOM, on=True)
        for count, (pause, number) in enumerate(views):
            now += pause
            key = count.to_bytes(16, "big")
            times[key] = now
            receipts.note(tx, ROOM, key, now, Sources(number))
    with store.transaction() as tx:
        batches = Receipts.load(tx).due(ROOM, now + LONGEST)
    assert batches == receipts.due(ROOM, now + LONGEST)
    assert [key for batch in batches for key in batch.messages] == list(times)
    for batch, following in zip(batches, (*batches[1:], None), strict=False):
        first, *_, last = [times[key] for key in (batch.messages[0], *batch.messages)]
        assert first + SHORTEST <= batch.moment <= first + LONGEST
        assert last < batch.moment
        assert following is None or times[following.messages[0]] >= batch.moment


async def test_a_receipt_names_256_at_most_and_the_rest_goes_into_the_next(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-12, REQ-LIMIT-34."""
    room = await world.group(mina, junho)
    await turn_on(room, mina, junho)
    for n in range(MAX_NAMED // 2 + 1):
        await room.send(f"{n}", lifetime=DAY)
        await room.send(f"{n}, again", lifetime=DAY)
    await world.settle()
    handles = [event.message for event in junho.arrived()]
    assert len(handles) == MAX_NAMED + 2
    for handle in handles:
        await junho.view(handle)
    before = sent(world)
    await world.advance(LONGEST)
    assert sent(world) == before + 2
    assert len(set(viewed_by(mina))) == len(viewed_by(mina)) == MAX_NAMED + 2


async def test_a_receipt_waits_through_a_restart(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-12: the mark and the record of it are one transaction."""
    room = await world.group(mina, junho)
    await turn_on(room, mina, junho)
    message = await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    await junho.close()
    world.clock.advance(2 * LONGEST)
    await junho.open()
    await world.settle()
    await world.advance(60)
    assert viewed_by(mina) == [("Junho", message)]
    await junho.restart()
    before = sent(world)
    await world.advance(LONGEST)
    assert sent(world) == before, "it is sent once"


async def test_a_device_that_dies_between_mark_and_receipt_still_sends_it(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-12."""
    room = await world.group(mina, junho)
    await turn_on(room, mina, junho)
    message = await room.send("seen?", after_view=0)
    await world.settle()
    (event,) = junho.arrived()
    async with event.message.open():
        died = junho.store.contents()
    await junho.close()
    junho.store = Store(died)
    await junho.open()
    await world.advance(LONGEST)
    assert viewed_by(mina) == [("Junho", message)]


# --- and when not ---------------------------------------------------------------------------------


async def test_in_a_direct_room_a_receipt_is_never_an_answer(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-12."""
    room = await world.direct(mina, junho)
    await turn_on(room, mina, junho)
    message = await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    epoch, before = room.epoch, sent(world)
    await world.advance(LONGEST)
    await world.advance(DAY)
    assert (sent(world), room.epoch) == (before, epoch), "the other side has the turn"
    assert viewed_by(mina) == []
    await junho.room(room).send("yes")
    await world.settle()
    assert sent(world) == before + 2, "it goes out with what a person says"
    assert viewed_by(mina) == [("Junho", message)]
    assert [await mina.view(event.message) for event in mina.arrived()] == ["yes"]


async def test_a_persons_words_do_not_hasten_a_receipt(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-12."""
    room = await world.direct(mina, junho)
    await turn_on(room, mina, junho)
    message = await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    await junho.room(room).send("a quick answer")
    await world.settle()
    assert viewed_by(mina) == []
    before = sent(world)
    await world.advance(LONGEST)
    assert sent(world) == before + 1, "the turn is Junho's own: it may go by itself"
    assert viewed_by(mina) == [("Junho", message)]


async def test_what_waits_in_vain_for_72_hours_is_dropped(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-12."""
    room = await world.direct(mina, junho)
    await turn_on(room, mina, junho)
    first = await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    await world.advance(RETENTION)  # its moment has come after this began
    await junho.room(room).send("late")
    await world.settle()
    assert viewed_by(mina) == [("Junho", first)]
    await room.send("and this?")
    assert await mina.heard() == ["late"]
    assert await junho.heard() == ["and this?"]
    await world.advance(RETENTION + LONGEST + 1)
    assert not any(junho.device.engine.receipts._rooms.values())
    before = sent(world)
    await junho.room(room).send("too late")
    await world.settle()
    assert sent(world) == before + 1
    assert viewed_by(mina) == [("Junho", first)]


async def test_a_receipt_waits_while_a_refresh_is_awaited(world: World) -> None:
    """REQ-EVAP-12."""
    pipe = Pipe(world.relay)
    mina, junho, sora = [await world.open(n, transport=pipe) for n in ("Mina", "Junho", "Sora")]
    room = await mina.device.create_room([await junho.device.card()])
    await world.settle()
    await turn_on(room, mina, junho)
    message = await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    card = await sora.device.card()
    await sora.close()
    await room.add(card)
    await world.settle()
    before = sent(world)
    await world.advance(LONGEST)
    await world.advance(LONGEST)
    assert sent(world) == before
    await sora.open()
    await world.advance(60)
    world.check_agreement(room, mina, junho, sora)
    assert viewed_by(mina) == [("Junho", message)]


async def test_a_receipt_does_not_make_a_device_commit(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-12: while a refresh is due it waits for that."""
    room = await world.group(mina, junho)
    await turn_on(room, mina, junho)
    await world.advance(REFRESH_AFTER - LONGEST - 300)
    message = await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    junho.device.room(room.id).state.refreshed -= REFRESH_AFTER
    epoch = room.epoch
    device = junho.device
    later = world.clock.now() + LONGEST
    await device.keep(
        lambda tx, _: viewing.send_receipts(device.engine, tx, device.room(room.id), later)
    )
    assert device.engine.receipts.due(room.id, later), "it was sent before the refresh"
    await world.advance(LONGEST)
    await world.advance(DAY)
    assert room.epoch > epoch, "nobody has refreshed"
    assert viewed_by(mina) == [("Junho", message)]


async def test_nothing_is_told_to_a_room_that_one_is_no_longer_in(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-12."""
    room = await world.group(mina, junho)
    await turn_on(room, mina, junho)
    await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    await room.remove(mina.person(room, junho))
    await world.settle()
    assert junho.told(RemovedFromRoom)
    before = sent(world)
    await world.advance(LONGEST)
    await world.advance(RETENTION + LONGEST)
    assert sent(world) == before
    assert not any(junho.device.engine.receipts._rooms.values())


async def test_a_stale_device_sends_no_receipts(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-12."""
    room = await world.group(mina, junho)
    await turn_on(room, mina, junho)
    await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    await junho.device.keep(lambda tx, _: junho.device.engine.mark_stale(tx))
    before = sent(world)
    await world.advance(LONGEST)
    assert sent(world) == before


async def test_nothing_is_told_in_a_room_that_another_has_replaced(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-12."""
    room = await world.direct(mina, junho)
    await turn_on(room, mina, junho)
    await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    await junho.room(room).send("the turn is Junho's now")
    engine = junho.device.engine
    retired = replace(engine.meta[room.id], retired=world.clock.now())
    await junho.device.keep(lambda tx, _: engine.put_meta(tx, room.id, retired))
    before = sent(world)
    await world.advance(LONGEST)
    assert sent(world) == before


async def test_nothing_is_told_where_it_is_not_settled_who_somebody_is(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EVAP-12, REQ-ID-17."""
    room = await world.group(mina, junho)
    await turn_on(room, mina, junho)
    message = await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    await junho.device.pin("Mina", mina.device.identity)
    with pytest.raises(LocalError):
        await junho.device.pin("Mina", sora.device.identity)
    before = sent(world)
    await world.advance(LONGEST)
    assert sent(world) == before
    await junho.device.refuse_identity("Mina")
    await world.advance(60)
    assert viewed_by(mina) == [("Junho", message)]


async def test_a_chain_that_is_full_makes_a_receipt_wait_and_nothing_fail(
    world: World, mina: Actor, junho: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQ-EVAP-12: 1,000 messages await an answer."""
    assert MAX_JUMP == 1_000
    monkeypatch.setattr("evanesce.speech.MAX_JUMP", 2)
    room = await world.direct(mina, junho)
    await turn_on(room, mina, junho)
    message = await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    await junho.room(room).send("one")
    await junho.room(room).send("two")
    before = sent(world)
    await world.advance(LONGEST)
    assert sent(world) == before
    await room.send("an answer")
    await world.settle()
    await junho.room(room).send("three")
    await world.settle()
    assert viewed_by(mina) == [("Junho", message)]


# --- what comes -----------------------------------------------------------------------------------


async def test_what_a_receipt_names_beside_ones_own_words_is_passed_over(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EVAP-13."""
    room, other = await world.group(mina, junho, sora), await world.group(mina, junho)
    await turn_on(room, mina, junho, sora)
    await turn_on(other, mina, junho)
    mine = await room.send("mine")
    elsewhere = await other.send("in the other room")
    his = await junho.room(room).send("his")
    announced = [key for key, e in mina.device.engine.ledger._entries.items() if not e.said]
    assert announced
    await world.settle()
    await claim(sora, room, Viewed((bytes(16), elsewhere, his, announced[0], mine, mine)))
    await claim(sora, room, Viewed((mine,)))
    assert viewed_by(mina) == [("Sora", mine)]
    assert viewed_by(junho) == [("Sora", his)]
    await room.remove(mina.person(room, sora))
    late = await room.send("after Sora was removed")
    await world.settle()
    await claim(junho, room, Viewed((mine, late)))
    assert viewed_by(mina, of=junho) == [("Junho", mine), ("Junho", late)]


async def test_who_has_come_later_cannot_have_viewed_what_was_not_for_it(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EVAP-13."""
    room = await world.group(mina, junho)
    await turn_on(room, mina)
    early = await room.send("before Sora came")
    await room.add(await sora.device.card())
    await world.settle()
    await claim(sora, room, Viewed((early,)))
    assert viewed_by(mina) == []


async def test_a_receipt_is_told_once_also_after_a_restart(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-13."""
    room = await world.group(mina, junho)
    await turn_on(room, mina, junho)
    message = await room.send("seen?")
    await world.settle()
    await claim(junho, room, Viewed((message,)))
    await mina.restart()
    await claim(junho, room, Viewed((message,)))
    assert viewed_by(mina) == [("Junho", message)]
    (recipient,) = (await mina.room(room).report(message)).recipients
    assert (recipient.state, recipient.viewed) == (State.CONFIRMED, True)


async def test_a_receipt_is_no_message_to_be_read(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-13: neither side keeps or shows it."""
    room = await world.group(mina, junho)
    await turn_on(room, mina, junho)
    await room.send("seen?")
    assert await junho.heard() == ["seen?"]
    await world.advance(LONGEST)
    assert len(await mina.device.inbox()) == len(await junho.device.inbox()) == 1
    assert mina.told(MessageArrived) == []
