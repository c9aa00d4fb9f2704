"""Burning: what an author recalls goes from its own device, from others, and from the relay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random as Dice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evanesce import (
    Conversation,
    DeliveryFailed,
    LocalError,
    MemoryStore,
    MessageArrived,
    MessageBurned,
    MessageEvaporated,
    MessagesMissing,
    Reason,
    Rejected,
    State,
)
from evanesce.content import Burn
from evanesce.formats import MESSAGE
from evanesce.limits import (
    DAY,
    MAILBOX_ENVELOPES,
    MAX_NAMED,
    MAX_TOMBSTONES,
    REFRESH_AFTER,
    RETENTION,
    TOMBSTONE_LIFETIME,
)
from evanesce.ports import ManualClock, Outgoing
from evanesce.tombstones import Tombstones
from tests.device.device_support import Actor, Pipe, Relay, Store, World, of_kind, refused

ROOM, SORA = bytes(32), bytes([1] * 32)


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def sora(world: World) -> Actor:
    return await world.open("Sora")


def burned(actor: Actor) -> list[tuple[str, bytes]]:
    """What it was told of, as pairs of name and message."""
    return [(str(event.by), event.message) for event in actor.told(MessageBurned)]


async def texts(actor: Actor) -> list[str | bytes]:
    """Everything that lies there."""
    return [await actor.view(message.message) for message in await actor.device.inbox()]


async def burn_anything(actor: Actor, room: Conversation, *messages: bytes) -> None:
    """Have a member send a burn that its own device would refuse."""
    device, content = actor.device, Burn(messages)
    await device._run(lambda tx, now: device.engine.say(tx, device.room(room.id), content, now))
    await actor.world.settle()


def sent(world: World) -> int:
    return len(world.relay.seen)


# --- on the devices of others ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["direct", "group"])
@pytest.mark.parametrize("viewed", [False, True])
async def test_what_is_burned_goes_everywhere(
    world: World, mina: Actor, junho: Actor, kind: str, viewed: bool
) -> None:
    """REQ-EVAP-14, REQ-EVAP-15."""
    room = await (world.direct if kind == "direct" else world.group)(mina, junho)
    message = await room.send("a mistake")
    kept = await room.send("no mistake")
    await world.settle()
    events = junho.arrived()
    for event in events:
        if viewed:
            await junho.view(event.message)
    before = len(await junho.device.inbox()), len(await mina.device.inbox())
    await room.burn(message)
    await world.settle()
    assert burned(junho) == [("Mina", message)]
    assert burned(mina) == [], "it was this device's own doing"
    for actor, count in zip((junho, mina), before, strict=True):
        listed = await actor.device.inbox()
        assert len(listed) == count - 1
        assert message not in [found.message.id for found in listed]
        with pytest.raises(LocalError) as caught:
            await actor.view(events[0].message)
        assert caught.value.reason is Reason.EVAPORATED
    assert await junho.view(junho.device.message(kept)) == "no mistake"
    assert not junho.told(MessageEvaporated), "that is something else"
    await world.check_talk(room, mina, junho)


async def test_what_is_burned_while_it_is_open_goes_too_and_the_viewer_is_told(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-15."""
    room = await world.direct(mina, junho)
    message = await room.send("a mistake", after_view=0)
    await world.settle()
    (event,) = junho.arrived()
    async with event.message.open() as body:
        assert body == "a mistake"
        assert b"inbox/" + message in junho.store.contents()
        await room.burn(event.message)
        await world.settle()
        assert burned(junho) == [("Mina", message)]
        assert b"inbox/" + message not in junho.store.contents()
    await world.settle()
    assert not junho.told(MessageEvaporated), "it is told of once"


@pytest.mark.parametrize("author", [True, False])
async def test_whoever_still_shows_what_has_gone_from_the_store_is_told(
    world: World, mina: Actor, junho: Actor, sora: Actor, author: bool
) -> None:
    """REQ-EVAP-15, REQ-EVAP-04: one that goes on closing may go before, by the timer."""
    room = await world.group(mina, junho, sora)
    message = await room.send("a mistake", after_view=0)
    await world.settle()
    (event,) = junho.arrived()
    async with event.message.open() as body:
        assert body == "a mistake"
        await world.settle()
        assert b"inbox/" + message not in junho.store.contents()
        await burn_anything(mina if author else sora, room, message)
        assert burned(junho) == ([("Mina", message)] if author else [])
    await burn_anything(mina, room, message)
    assert burned(junho) == ([("Mina", message)] if author else []), "it is not open any more"


async def test_a_text_that_comes_after_its_burn_is_not_told(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-15."""
    room = await world.group(mina, junho)
    world.relay.paused = True
    message = await room.send("a mistake")
    world.relay.keep_back_last()
    late = set(world.relay.kept_back)
    payload = next(p for e, p in junho.payloads() if e in late)
    await room.burn(message)
    await world.settle()
    assert burned(junho) == [], "there was nothing to erase"
    assert junho.store.named(b"burned/")
    await junho.restart()
    await world.put_payload(junho.mailbox(room), payload)  # whoever has kept it
    await world.settle()
    assert await junho.heard() == []
    assert await junho.device.inbox() == []
    missing = [event.count for event in junho.told(MessagesMissing)]
    assert missing == [1]
    await world.check_talk(room, mina, junho)
    await world.advance(TOMBSTONE_LIFETIME + 1)
    assert not junho.store.named(b"burned/")


async def test_without_its_tombstone_a_late_text_is_shown(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-15: what the test before would see if nothing was done."""
    room = await world.group(mina, junho)
    world.relay.paused = True
    message = await room.send("a mistake")
    world.relay.keep_back_last()
    payload = next(p for e, p in junho.payloads() if e in world.relay.kept_back)
    await room.burn(message)
    await world.settle()
    await junho.close()
    records = junho.store.contents()
    junho.store = Store({k: v for k, v in records.items() if not k.startswith(b"burned/")})
    await junho.open()
    await world.put_payload(junho.mailbox(room), payload)
    assert await junho.heard() == ["a mistake"]


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from(["direct", "group"]))
async def test_burns_and_messages_in_any_order_give_the_same_end(seed: int, kind: str) -> None:
    """REQ-EVAP-15."""
    dice = Dice(seed)
    world = World()
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await (world.direct if kind == "direct" else world.group)(mina, junho)
    address = junho.mailbox(room)
    junho.arrived()
    await world.settle()
    world.relay.paused = True
    before = len(world.relay.seen)
    messages = [await room.send(f"{n}") for n in range(6)]
    chosen = dice.sample(messages, dice.randint(1, 5))
    cut = dice.randint(0, len(chosen))
    for part in (chosen[:cut], chosen[cut:]):
        if part:
            await room.burn(*part)
    await world.settle()
    fresh = {seen.envelope for seen in world.relay.seen[before:]}
    payloads = [payload for envelope, payload in junho.payloads() if envelope in fresh]
    payloads += dice.sample(payloads, dice.randint(0, 3))  # some come twice
    dice.shuffle(payloads)
    world.relay.kept_back |= fresh
    world.relay.paused = False
    for payload in payloads:
        await world.put_payload(address, payload)
        if dice.random() < 0.5:
            await world.settle()
        if dice.random() < 0.1:
            await junho.restart()
    await world.settle()
    expected = {f"{n}" for n, message in enumerate(messages) if message not in chosen}
    assert {t for t in await texts(junho) if t not in ("hello", "good day")} == expected
    gone = {message for _, message in burned(junho)}
    told = [event.message.id for event in junho.told(MessageArrived)]
    assert gone <= set(chosen) & set(told), "told as burned: what was told before, and no more"
    assert len(burned(junho)) == len(gone)
    assert set(told) & set(chosen) == gone
    await world.close()


async def test_only_the_author_is_heard(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EVAP-15."""
    room = await world.group(mina, junho, sora)
    other = await world.group(mina, junho)
    message = await room.send("stays")
    elsewhere = await other.send("stays too")
    await world.settle()
    await burn_anything(sora, room, message, bytes(16))
    await burn_anything(mina, room, elsewhere)  # her own, but of another room
    assert burned(junho) == burned(mina) == []
    assert set(await texts(junho)) == {"stays", "stays too"}
    late = await room.send("nor does a tombstone of another's stop it")
    await burn_anything(sora, room, late)
    assert "nor does a tombstone of another's stop it" in await texts(junho)


async def test_a_tombstone_of_one_member_does_not_stop_another_member(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EVAP-15."""
    room = await world.group(mina, junho, sora)
    world.relay.paused = True
    message = await room.send("it comes late")
    late = of_kind(junho.payloads(), MESSAGE.type)[-1][1]
    for seen in world.relay.seen[-2:]:
        world.relay.kept_back.add(seen.envelope)
    world.relay.paused = False
    await burn_anything(sora, room, message)
    assert junho.store.named(b"burned/")
    await world.put_payload(junho.mailbox(room), late)
    assert await junho.heard() == ["it comes late"]


async def test_a_member_that_was_removed_meanwhile_burns_nothing_any_more(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EVAP-14, REQ-EVAP-15: its chains are gone with it, so nothing of it is accepted."""
    room = await world.group(mina, junho, sora)
    message = await sora.room(room).send("a mistake")
    await world.settle()
    world.relay.paused = True
    await sora.room(room).burn(message)
    await world.settle()
    for address in (mina.mailbox(room).address, junho.mailbox(room).address):
        world.relay.keep_back_last(address)
    world.relay.paused = True
    await room.remove(mina.person(room, sora))
    world.relay.paused = False
    await world.relay.send([])
    await world.settle()
    await world.relay.let_go()
    await world.settle()
    assert burned(junho) == burned(mina) == []
    assert [e.reason for e in junho.told(Rejected)] == [Reason.UNKNOWN_MEMBER]
    assert not junho.store.named(b"burned/")
    assert await texts(junho) == await texts(mina) == ["a mistake"]
    sent = len(world.relay.seen)
    await sora.room(room).burn(message)  # of its own copy; there is nobody to tell any more
    await world.settle()
    assert len(world.relay.seen) == sent
    assert await texts(sora) == []


async def test_whoever_was_removed_still_erases_what_was_burned_before(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EVAP-15."""
    room = await world.group(mina, junho, sora)
    message = await room.send("a mistake")
    await world.settle()
    world.relay.paused = True
    await room.burn(message)
    await world.settle()
    world.relay.keep_back_last(sora.mailbox(room).address)
    await room.remove(mina.person(room, sora))
    await world.settle()
    assert sora.room(room).closed
    await world.relay.let_go()
    await world.settle()
    assert burned(sora) == [("Mina", message)]
    assert await texts(sora) == []


# --- tombstones -----------------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(0, 1_400), max_size=256), min_size=1, max_size=12), st.data())
@settings(max_examples=30)
def test_a_thousand_tombstones_of_each_member_and_the_oldest_go(
    burns: Sequence[Sequence[int]], data: st.DataObject
) -> None:
    """REQ-LIMIT-33, REQ-EVAP-15."""
    stones, store, now = Tombstones(), MemoryStore(), 1_000_000
    model: dict[int, int] = {}
    for ids in burns:
        now += data.draw(st.integers(0, DAY))
        with store.transaction() as tx:
            stones.add(tx, ROOM, SORA, [n.to_bytes(16, "big") for n in ids], now)
            stones.expire(tx, now)
        for n in ids:
            model.pop(n, None)
            model[n] = now
        model = dict(list(model.items())[-MAX_TOMBSTONES:])
        model = {n: since for n, since in model.items() if now - since <= TOMBSTONE_LIFETIME}
    for read in (stones, None):
        with store.transaction() as tx:
            found = read or Tombstones.load(tx)
            has = {n for n in range(1_401) if found.has(tx, ROOM, SORA, n.to_bytes(16, "big"), now)}
            assert has == set(model)
            assert not found.has(tx, SORA, SORA, bytes(16), now)
    with store.transaction() as tx:
        late = max(model.values(), default=0) + TOMBSTONE_LIFETIME
        for n, since in model.items():
            there = Tombstones.load(tx).has(tx, ROOM, SORA, n.to_bytes(16, "big"), late)
            assert there == (late - since <= TOMBSTONE_LIFETIME)
        stones.expire(tx, late + 1)
    assert store.contents() == {}


def test_what_is_burned_once_more_counts_as_new() -> None:
    """REQ-LIMIT-33."""
    ids = [n.to_bytes(16, "big") for n in range(MAX_TOMBSTONES + 1)]
    first, second, *_, last = ids
    stones = Tombstones()
    with MemoryStore().transaction() as tx:
        stones.add(tx, ROOM, SORA, ids[:-1], 100)
        stones.add(tx, ROOM, SORA, [first], 200)
        stones.add(tx, ROOM, SORA, [last], 300)
        left = [key for key in ids if stones.has(tx, ROOM, SORA, key, 300)]
        assert left == [key for key in ids if key != second]
        stones.expire(tx, 101 + TOMBSTONE_LIFETIME)
        assert [key for key in ids if stones.has(tx, ROOM, SORA, key, 300)] == [first, last]


async def test_one_members_tombstones_push_out_no_others(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-LIMIT-33."""
    room = await world.group(mina, junho, sora)
    world.relay.paused = True
    message = await room.send("a mistake")
    late = of_kind(junho.payloads(), MESSAGE.type)[-1][1]
    for seen in world.relay.seen[-2:]:
        world.relay.kept_back.add(seen.envelope)
    await room.burn(message)
    world.relay.paused = False
    await world.relay.send([])
    await world.settle()
    for n in range(5):
        ids = [bytes([n, k]) * 8 for k in range(MAX_NAMED)]
        await burn_anything(sora, room, *ids)
    await world.put_payload(junho.mailbox(room), late)
    assert await junho.heard() == []
    records = junho.store.named(b"burned/" + room.id)
    assert len(records) == 2
    assert max(map(len, records.values())) < 30 * MAX_TOMBSTONES


# --- on one's own device --------------------------------------------------------------------------


async def test_what_is_not_ones_own_is_refused_and_nothing_is_burned(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-14."""
    room, other = await world.group(mina, junho), await world.group(mina, junho)
    mine, his = await room.send("mine"), await junho.room(room).send("his")
    elsewhere = await other.send("elsewhere")
    await world.settle()
    announced = [k for k, e in mina.device.engine.ledger._entries.items() if not e.said]
    assert announced
    before = sent(world)
    for wrong in (his, elsewhere, bytes(16), announced[0]):
        with refused(Reason.UNKNOWN_MESSAGE, mina.store, error=LocalError):
            await room.burn(mine, wrong)
    for wrong in (b"short", b""):
        with refused(Reason.BAD_INPUT, mina.store, error=LocalError):
            await room.burn(mine, wrong)
    with refused(Reason.BAD_INPUT, mina.store, error=LocalError):
        await room.burn()
    with refused(Reason.TOO_LARGE, mina.store, error=LocalError):
        await room.burn(*(n.to_bytes(16, "big") for n in range(MAX_NAMED + 1)))
    with refused(Reason.UNKNOWN_ROOM, mina.store, error=LocalError):
        await mina.room(bytes(32)).burn(mine)
    await world.settle()
    assert sent(world) == before
    assert burned(junho) == []
    await world.advance(2 * RETENTION + 60)
    with refused(Reason.UNKNOWN_MESSAGE, mina.store, error=LocalError):
        await mina.room(room).burn(mine)


async def test_many_are_burned_with_one_message(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-14, REQ-LIMIT-34."""
    room = await world.group(mina, junho)
    messages = []
    for n in range(MAX_NAMED):
        messages.append(await room.send(f"{n}"))
        if n % 200 == 199:
            await room.refresh()
    await world.settle()
    assert await room.burnable() == messages
    before = sent(world)
    await room.burn(*messages, messages[0])
    await world.settle()
    assert sent(world) == before + 1
    assert {message for _, message in burned(junho)} == set(messages)
    assert await texts(junho) == await texts(mina) == []
    assert await room.burnable() == []


async def test_what_can_be_burned_is_listed_in_order_also_after_a_restart(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-14: also those of which no own copy is kept."""
    room, other = await world.group(mina, junho), await world.group(mina, junho)
    one = await room.send("one")
    await other.send("elsewhere")
    two = await room.send("two", after_view=0)
    three = await room.send(b"three")
    assert await room.burnable() == [one, two, three]
    await mina.restart()
    assert await mina.room(room).burnable() == [one, two, three]
    await mina.room(room).burn(two)
    four = await mina.room(room).send("four")
    assert await mina.room(room).burnable() == [one, three, four]
    await world.settle()
    assert burned(junho) == [("Mina", two)]


class Unheard(Relay):
    """Takes what is sent, and cannot say so."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.loses = False

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        taken = await super().send(batch)
        if self.loses:
            raise OSError("the answer was lost")
        return taken


async def test_what_has_not_left_the_device_is_burned_in_silence(world: World) -> None:
    """REQ-EVAP-14: the mailbox is full, so nothing of it has been taken."""
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.direct(mina, junho)
    await junho.close()
    mailbox = junho.mailbox(room)
    for _ in range(MAILBOX_ENVELOPES):
        await world.put(mailbox, b"full")
    message = await room.send("a mistake")
    await world.settle()
    assert (await room.report(message)).recipients[0].state is State.PENDING
    before = sent(world)
    await room.burn(message)
    await world.advance(60)
    await junho.open()
    await world.advance(60)
    assert sent(world) == before, "neither the message nor a burn"
    assert not mina.store.named(b"outbox/") | mina.store.named(b"recall/")
    report = await room.report(message)
    assert report.burned
    assert [(r.state, r.why, r.retryable) for r in report.recipients] == [
        (State.FAILED, "evaporated", False)
    ]
    assert mina.told(DeliveryFailed) == [], "it was asked for"
    assert await mina.device.retry(message) == 0
    await room.send("and now")
    assert await junho.heard() == ["and now"]
    assert [e.count for e in junho.told(MessagesMissing)] == [1], "a gap shows"


async def test_what_is_held_for_whom_nobody_can_reach_is_burned_in_silence(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EVAP-14."""
    room = await world.group(mina, junho)
    member = mina.person(room, junho).member
    del mina.device.room(room.id).state.directory[member]  # as if it had never said where it reads
    message = await room.send("a mistake")
    assert mina.store.named(b"held/")
    before = sent(world)
    await room.burn(message)
    assert not mina.store.named(b"held/")
    assert sent(world) == before
    assert (await room.report(message)).recipients[0].why == "evaporated"


async def test_what_was_refused_is_burned_in_silence_and_not_tried_again(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-14: the transport has said that it has not taken it."""
    room = await world.group(mina, junho)
    (own,) = (m for m in junho.store.mailboxes() if m.room == room.id)
    await junho.close()
    await world.relay.close_mailbox(own.keys.reader())
    message = await room.send("a mistake")
    await world.settle()
    (recipient,) = (await room.report(message)).recipients
    assert (recipient.state, recipient.retryable) == (State.FAILED, True)
    assert mina.store.named(b"failed/")
    await room.burn(message)
    assert not mina.store.named(b"failed/") | mina.store.named(b"outbox/")
    (recipient,) = (await room.report(message)).recipients
    assert (recipient.why, recipient.retryable) == ("evaporated", False)
    assert await mina.device.retry(message) == 0
    assert len(mina.told(DeliveryFailed)) == 1, "the one of before"


@pytest.mark.parametrize("taken", [False, True])
async def test_what_may_have_left_the_device_is_burned_with_a_message(taken: bool) -> None:
    """REQ-EVAP-14: the transport has failed, or has not been heard; that tells nothing."""
    world = World(Unheard)
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.group(mina, junho)
    relay = world.relay
    assert isinstance(relay, Unheard)
    relay.loses, relay.down, relay.paused = taken, not taken, True
    message = await room.send("a mistake")
    await world.settle()
    assert (await room.report(message)).recipients[0].state is State.PENDING
    await room.burn(message)
    relay.loses = relay.down = relay.paused = False
    await world.advance(60)
    assert await junho.heard() == [], "called back before it was fetched"
    assert junho.store.named(b"burned/"), "the burn has come"
    assert relay.recalled
    await world.check_talk(room, mina, junho)
    await world.close()


async def test_after_a_restart_it_is_not_known_what_has_left(world: World) -> None:
    """REQ-EVAP-14."""
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.group(mina, junho)
    world.relay.down = True
    message = await room.send("a mistake")
    await mina.restart()
    await mina.room(room).burn(message)
    assert len(mina.store.named(b"outbox/")) == 1, "the burn, and not the message"
    world.relay.down = False
    await world.advance(60)
    assert await junho.heard() == []
    assert junho.store.named(b"burned/")


async def test_what_is_burned_while_it_is_being_sent_is_called_back(world: World) -> None:
    """REQ-EVAP-14."""
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.group(mina, junho)
    world.relay.paused = True
    world.relay.gate = asyncio.Event()
    message = await room.send("a mistake")
    await room.burn(message)
    assert not world.relay.recalled
    world.relay.gate.set()
    world.relay.gate = None
    await world.settle()
    assert len(world.relay.recalled) == 1
    world.relay.paused = False
    await world.relay.send([])
    assert await junho.heard() == []
    assert junho.store.named(b"burned/")
    assert (await room.report(message)).recipients[0].state is State.SENT, "it was, for a moment"
    assert not mina.store.named(b"taken/" + message)


async def test_a_burn_that_cannot_be_sealed_burns_nothing(world: World) -> None:
    """REQ-EVAP-14: a member's refresh is awaited."""
    pipe = Pipe(world.relay)
    mina, junho, sora = [await world.open(n, transport=pipe) for n in ("Mina", "Junho", "Sora")]
    room = await mina.device.create_room([await junho.device.card()])
    await world.settle()
    message = await room.send("a mistake")
    card = await sora.device.card()
    await sora.close()
    await room.add(card)
    await world.settle()
    with refused(Reason.REFRESH_AWAITED, mina.store, error=LocalError):
        await room.burn(message)
    assert message in [m.message.id for m in await mina.device.inbox()]
    await mina.device.keep(lambda tx, _: mina.device.engine.mark_stale(tx))
    with refused(Reason.ROLLED_BACK, mina.store, error=LocalError):
        await room.burn(message)
    assert burned(junho) == []


async def test_a_burn_comes_after_a_refresh_that_is_due(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-14, REQ-EPOCH-16."""
    room = await world.group(mina, junho)
    message = await room.send("a mistake")
    await world.settle()
    mina.device.room(room.id).state.refreshed -= REFRESH_AFTER
    epoch = room.epoch
    await room.burn(message)
    await world.settle()
    assert room.epoch == epoch + 1
    assert burned(junho) == [("Mina", message)]


async def test_in_a_direct_room_a_burn_may_be_an_answer(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-14."""
    room = await mina.device.direct(await junho.device.card())
    message = await room.send("a mistake, first of all")
    await world.settle()
    await room.burn(message)
    await world.settle()
    assert burned(junho) == [("Mina", message)]
    answer = await junho.room(room).send("what was it?")
    await world.settle()
    again = await room.send("nothing")
    await junho.room(room).burn(answer)
    await room.burn(again)
    await world.settle()
    assert burned(mina) == [("Junho", answer)]
    assert burned(junho) == [("Mina", message), ("Mina", again)]
    await world.check_talk(room, mina, junho)


async def test_a_stranger_in_a_friends_place_does_not_stop_a_burn(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EVAP-14, REQ-ID-17: only texts and data are refused."""
    room = await world.group(mina, junho)
    message = await room.send("a mistake")
    await world.settle()
    await mina.device.pin("Junho", junho.device.identity)
    with pytest.raises(LocalError):
        await mina.device.pin("Junho", sora.device.identity)
    await room.burn(message)
    await world.settle()
    assert burned(junho) == [("Mina", message)]


async def test_burning_again_is_fine(world: World, mina: Actor, junho: Actor) -> None:
    """REQ-EVAP-14, REQ-EVAP-15: a duplicate of a burn changes nothing."""
    room = await world.group(mina, junho)
    message = await room.send("a mistake")
    await world.settle()
    for _ in range(3):
        await room.burn(message)
        await world.settle()
    assert burned(junho) == [("Mina", message)]
    for _, payload in junho.payloads():
        await world.put_payload(junho.mailbox(room), payload)
    await world.settle()
    assert burned(junho) == [("Mina", message)]
    assert len(junho.store.named(b"burned/" + room.id)) == 1
    await world.check_talk(room, mina, junho)


# --- at the relay ---------------------------------------------------------------------------------


async def test_what_was_not_fetched_is_called_back(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-EVAP-14, REQ-ENV-23."""
    room = await world.group(mina, junho, sora)
    await sora.close()
    message = await room.send("a mistake")
    kept = await room.send("no mistake")
    await world.settle()
    assert len(world.relay.holdings()) == 2
    await room.burn(message)
    await world.settle()
    assert len(world.relay.recalled) == 2, "of both copies: nobody says which was fetched"
    assert len(world.relay.holdings()) == 2, "what was not burned, and the burn"
    assert burned(junho) == [("Mina", message)]
    await sora.open()
    assert await sora.heard() == ["no mistake"]
    assert [m.message.id for m in sora.told(MessageArrived)] == [kept]
    assert [e.count for e in sora.told(MessagesMissing)] == [1]
    assert burned(sora) == []


async def test_a_recall_waits_for_a_relay_that_is_down_and_survives_a_restart(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-14."""
    room = await world.group(mina, junho)
    await junho.close()
    message = await room.send("a mistake")
    await world.settle()
    await mina.restart()
    world.relay.down = True
    await mina.room(room).burn(message)
    assert mina.store.named(b"recall/")
    await mina.restart()
    world.relay.down = False
    await world.advance(60)
    assert world.relay.recalled
    assert not mina.store.named(b"recall/") | mina.store.named(b"taken/" + message)
    await junho.open()
    assert await junho.heard() == []
    count = len(world.relay.recalled)
    await world.advance(DAY)
    assert len(world.relay.recalled) == count, "once it was taken it is not asked again"


async def test_a_recall_that_is_refused_is_not_asked_again(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-ENV-23: a mailbox may have gone; that does not stop the others."""
    room = await world.group(mina, junho, sora)
    await junho.close()
    await sora.close()
    message = await room.send("a mistake")
    await world.settle()
    (own,) = (m for m in junho.store.mailboxes() if m.room == room.id)
    await world.relay.close_mailbox(own.keys.reader())
    await room.burn(message)
    await world.settle()
    assert not mina.store.named(b"recall/")
    await sora.open()
    assert await sora.heard() == []


async def test_a_transport_that_cannot_recall_is_not_asked(world: World) -> None:
    """REQ-ENV-23."""
    pipe = Pipe(world.relay)
    mina = await world.open("Mina", transport=pipe)
    junho = await world.open("Junho", transport=pipe)
    room = await world.direct(mina, junho)
    message = await room.send("a mistake")
    await world.settle()
    await room.burn(message)
    await world.settle()
    assert burned(junho) == [("Mina", message)]
    assert not world.relay.recalled
    await world.advance(RETENTION + 60)
    assert not mina.store.named(b"recall/"), "what waits goes when it is old"
    await world.check_talk(room, mina, junho)


async def test_what_calls_an_envelope_back_is_kept_for_72_hours(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-14."""
    room = await world.group(mina, junho)
    message = await room.send("one")
    await room.refresh()
    await world.settle()
    assert set(mina.store.named(b"taken/")) == {b"taken/" + message}, "only of texts and data"
    assert len(mina.store.contents()[b"taken/" + message]) < 200, "and not the envelope"
    await world.advance(RETENTION)
    assert mina.store.named(b"taken/")
    await mina.restart()
    await world.advance(60)
    assert not mina.store.named(b"taken/")


async def test_what_was_taken_long_ago_is_not_called_back(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-EVAP-14: the relay has forgotten it, and the report is still there."""
    room = await world.group(mina, junho)
    message = await room.send("a mistake")
    await world.settle()
    await world.advance(RETENTION - 60)
    await room.set_receipts(True)
    await mina.device.keep(
        lambda tx, now: mina.device.engine.ledger.viewed(
            tx, room.id, mina.person(room, junho).member, message, now
        )
    )  # the report has changed, and is kept for as long again
    await world.advance(120)
    await room.burn(message)
    await world.settle()
    assert not world.relay.recalled
    assert junho.store.named(b"burned/"), "the others are asked all the same"
