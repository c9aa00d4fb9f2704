"""A transport that fails in one place: everything else goes on, and is tried again in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from evanesce import DeliveryFailed, Reason, RemoteError
from evanesce.backoff import LONGEST, RETRY, Backoff
from evanesce.limits import MAILBOX_ENVELOPES
from evanesce.mailbox import MailboxReader
from evanesce.ports import Delivery, ManualClock, Outgoing
from evanesce.sending import BATCH, BATCH_BYTES
from tests.device.device_support import Actor, Relay, World


class Picky(Relay):
    """Fails for single mailboxes or envelopes, in ways it is told; counts its calls."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.unsendable: dict[bytes, Exception] = {}  # by address
        self.unreadable: dict[bytes, Exception] = {}  # by address
        self.batches: list[list[Outgoing]] = []
        self.times: list[int] = []
        self.reads = 0

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        self.batches.append(list(batch))
        self.times.append(self._clock.now())
        for item in batch:
            if item.mailbox.address in self.unsendable:
                self._work()
                raise self.unsendable[item.mailbox.address]
        return await super().send(batch)

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        self.reads += 1
        for reader in readers:
            if reader.mailbox.address in self.unreadable:
                self._work()
                raise self.unreadable[reader.mailbox.address]
        return await super().receive(readers)


@pytest.fixture
def world() -> World:
    return World(Picky)


@pytest.fixture
def relay(world: World) -> Any:
    return world.relay


@pytest.fixture
async def people(world: World) -> Any:
    yield [await world.open(name) for name in ("Mina", "Junho", "Sora", "Tae")]
    await world.close()


# --- when it is tried again -----------------------------------------------------------------------


def test_the_pause_grows_to_a_bound_and_begins_anew() -> None:
    backoff, now, pauses = Backoff(), 1_000, []
    for _ in range(7):
        backoff.failed(now)
        assert backoff.waits(backoff.due - 1)
        assert not backoff.waits(backoff.due)
        pauses.append(backoff.due - now)
        now = backoff.due
    assert pauses == [5, 10, 20, 40, 60, 60, 60]
    assert (pauses[0], pauses[-1]) == (RETRY, LONGEST)
    backoff.failed(now)
    due = backoff.due
    backoff.failed(now + 1)
    assert backoff.due == due, "an early failure makes nothing longer"
    assert not backoff.waits(now - 1), "a clock that was set back makes nothing longer"
    backoff.succeeded()
    assert not backoff.waits(now)
    backoff.failed(now)
    assert backoff.due - now == RETRY


async def test_a_failed_send_is_tried_again_with_growing_pauses(
    world: World, relay: Picky, people: list[Actor]
) -> None:
    mina, junho, *_ = people
    room = await world.direct(mina, junho)
    relay.unsendable = {junho.mailbox(room).address: OSError("no route")}
    relay.times.clear()
    start = world.clock.now()
    await room.send("in the end")
    for _ in range(200):
        await world.advance(1)
    tried = sorted({time - start for time in relay.times})
    assert tried == [0, 5, 15, 35, 75, 135, 195]
    relay.unsendable = {}
    await world.advance(55)
    assert await junho.heard() == ["in the end"]
    relay.unsendable = {junho.mailbox(room).address: OSError("no route")}
    await room.send("again")
    relay.unsendable = {}
    await world.advance(5)
    assert await junho.heard() == ["again"], "a success did not reset the pause"


# --- sending --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError("no"), RemoteError(Reason.NOT_PERMITTED, "no")])
async def test_one_that_cannot_be_sent_holds_up_no_other(
    world: World, relay: Picky, people: list[Actor], error: Exception
) -> None:
    mina, *others = people
    room = await world.group(mina, *others)
    for bad in others:
        relay.unsendable = {bad.mailbox(room).address: error}
        await room.send(f"not to {bad.name}")
        for other in others:
            expected = [] if other is bad else [f"not to {bad.name}"]
            assert await other.heard() == expected
        relay.unsendable = {}
        await world.advance(LONGEST)
        assert await bad.heard() == [f"not to {bad.name}"]
    assert not mina.told(DeliveryFailed)


async def test_one_that_can_never_be_sent_is_told_and_dropped(
    world: World, relay: Picky, people: list[Actor]
) -> None:
    mina, junho, sora, tae = people
    room = await world.group(mina, junho, sora, tae)
    relay.unsendable = {sora.mailbox(room).address: ValueError("an address it cannot write")}
    message = await room.send("to all others")
    for other, expected in ((junho, ["to all others"]), (sora, []), (tae, ["to all others"])):
        assert await other.heard() == expected
    (failed,) = mina.told(DeliveryFailed)
    assert (failed.reason, failed.room, failed.message, failed.epoch) == (
        Reason.BAD_INPUT, room.id, message, None,
    )  # fmt: skip
    assert failed.members == (mina.person(room, sora).member,)
    assert not mina.store.named(b"outbox/")
    calls = len(relay.batches)
    for _ in range(10):
        await world.advance(60)
    assert len(relay.batches) == calls


async def test_a_transport_that_is_down_is_not_asked_for_each_envelope(
    world: World, relay: Picky, people: list[Actor]
) -> None:
    mina, junho, *_ = people
    room = await world.direct(mina, junho)
    relay.down = True
    for n in range(40):
        await room.send(f"{n}")
    relay.batches.clear()
    await world.advance(LONGEST)
    assert 1 <= len(relay.batches) <= 12
    relay.down = False
    await world.advance(LONGEST)
    assert sorted(await junho.heard()) == sorted(f"{n}" for n in range(40))


async def test_batches_are_bounded(world: World, relay: Picky, people: list[Actor]) -> None:
    mina, junho, *_ = people
    room = await world.direct(mina, junho)
    relay.down = True
    for n in range(2 * BATCH):
        await room.send(f"{n}")
    for _ in range(70):
        await room.send(bytes(60_000))
    relay.down = False
    relay.batches.clear()
    await world.advance(LONGEST)
    assert not mina.store.named(b"outbox/")
    sizes = [sum(len(item.envelope) for item in batch) for batch in relay.batches]
    assert max(sizes) <= BATCH_BYTES
    assert max(map(len, relay.batches)) == BATCH
    assert sum(map(len, relay.batches)) == 2 * BATCH + 70


async def test_a_full_mailbox_waits_alone_and_is_asked_less_and_less(
    world: World, relay: Picky, people: list[Actor]
) -> None:
    """REQ-ENV-09."""
    mina, junho, sora, _ = people
    room = await world.group(mina, junho, sora)
    await junho.close()
    address = junho.mailbox(room).address
    for n in range(MAILBOX_ENVELOPES):
        await world.put(junho.mailbox(room), b"%d" % n)
    relay.batches.clear()
    relay.times.clear()
    start = world.clock.now()
    for n in range(5):
        await room.send(f"{n}")
    assert await sora.heard() == [f"{n}" for n in range(5)]
    for _ in range(100):
        await world.advance(1)
    tried = sorted({
        time - start
        for time, batch in zip(relay.times, relay.batches, strict=True)
        if any(item.mailbox.address == address for item in batch)
    })
    assert tried == [0, 5, 15, 35, 75]
    assert not mina.told(DeliveryFailed)
    await junho.open()
    for _ in range(3):
        await world.advance(LONGEST)
    assert sorted(await junho.heard()) == [f"{n}" for n in range(5)]


# --- receiving ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError("no"), RemoteError(Reason.UNKNOWN_MAILBOX, "no")])
async def test_one_mailbox_that_cannot_be_read_holds_up_no_other(
    world: World, relay: Picky, people: list[Actor], error: Exception
) -> None:
    mina, junho, sora, tae = people
    rooms = [await world.direct(other, mina) for other in (junho, sora, tae)]
    rooms.append(await world.group(junho, mina))
    for bad in rooms:
        relay.unreadable = {mina.mailbox(bad).address: error}
        await mina.restart()
        for n, room in enumerate(rooms):
            owner = (junho, sora, tae, junho)[n]
            await owner.room(room).send(f"{n}")
        expected = sorted(f"{n}" for n, room in enumerate(rooms) if room != bad)
        assert sorted(await mina.heard()) == expected
        relay.unreadable = {}
        await world.advance(LONGEST)
        assert await mina.heard() == [f"{rooms.index(bad)}"]


async def test_a_mailbox_that_the_relay_forgot_is_made_again_and_the_others_are_read(
    world: World, relay: Picky, people: list[Actor]
) -> None:
    mina, junho, sora, _ = people
    first, second = await world.direct(junho, mina), await world.direct(sora, mina)
    del relay._boxes[mina.mailbox(first).address]
    await second.send("still read")
    assert await mina.heard() == ["still read"]
    assert mina.mailbox(first).address in relay._boxes
    await first.send("made again")
    await world.advance(LONGEST)
    assert await mina.heard() == ["made again"]
    assert not junho.told(DeliveryFailed)


async def test_a_relay_that_cannot_be_read_at_all_is_asked_less_and_less(
    world: World, relay: Picky, people: list[Actor]
) -> None:
    mina, junho, *others = people
    room = await world.direct(junho, mina)
    for other in others:
        await other.close()
    relay.down = True
    await mina.restart()
    await junho.restart()
    relay.reads = 0
    for _ in range(100):
        await world.advance(6)
    assert relay.reads < 200
    relay.down = False
    for _ in range(2):
        await world.advance(LONGEST)
    await world.check_talk(junho.room(room), junho, mina)


async def test_a_transport_that_breaks_otherwise_is_still_told(
    world: World, relay: Picky, people: list[Actor]
) -> None:
    mina, *_ = people
    relay.unreadable = {mina.mailbox(None).address: ZeroDivisionError("a fault")}
    await mina.restart()
    await asyncio.sleep(0)
    assert isinstance(mina.failed, ZeroDivisionError)
    await mina.close()
    mina.failures.clear()
