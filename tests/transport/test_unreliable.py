"""The transport at its worst, and two devices that do not mind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from evanesce import Device, MemoryStore, MemoryTransport, MessageArrived
from evanesce.mailbox import MailboxKeys
from evanesce.ports import Delivery, KeyDirectory, ManualClock, Outgoing, Transport
from evanesce.testing import Unreliable, check_transport
from evanesce.testing.transport import Connect
from evanesce.transport.armored import ArmoredTransport
from evanesce.transport.folder import FolderTransport
from tests.conftest import Stream

NOW = 1_700_000_000


class Relay:
    """A mailbox with ten envelopes."""

    def __init__(self) -> None:
        random = Stream("unreliable")
        self.inner = MemoryTransport()
        self.keys = MailboxKeys.generate(random)
        self.readers = [self.keys.reader()]
        self.items = [Outgoing(random(16), self.keys.mailbox, b"%d" % n) for n in range(10)]


@pytest.fixture
async def relay() -> Relay:
    made = Relay()
    await made.inner.open_mailbox(made.keys.reader())
    return made


def bodies(deliveries: list[Delivery]) -> list[int]:
    return [int(delivery.envelope) for delivery in deliveries]


async def test_without_faults_it_passes_everything_on() -> None:
    @asynccontextmanager
    async def network() -> AsyncIterator[Connect]:
        transport = MemoryTransport()
        yield lambda: Unreliable(transport, 1)

    await check_transport(network, examples=5)


def test_it_is_a_directory_only_if_the_other_is_one() -> None:
    transport: Transport = Unreliable(MemoryTransport(), 1)
    assert isinstance(transport, KeyDirectory)
    assert not isinstance(Unreliable(ArmoredTransport(), 1), KeyDirectory)


async def test_it_duplicates(relay: Relay) -> None:
    bad = Unreliable(relay.inner, 1, duplicate=0.5)
    await bad.send(relay.items)
    counts = Counter(bodies(await bad.receive(relay.readers)))
    assert set(counts) == set(range(10))
    assert set(counts.values()) == {1, 2}
    assert bad.faults >= sum(counts.values()) - 10


async def test_it_reorders_and_leaves_for_later(relay: Relay) -> None:
    bad = Unreliable(relay.inner, 1, reorder=1)
    await bad.send(relay.items)
    seen: list[int] = []
    sizes = set()
    while len(seen) < 10:
        found = await bad.receive(relay.readers)
        assert found
        seen += bodies(found)
        sizes.add(len(found))
        await bad.ack([delivery.id for delivery in found])
    assert sorted(seen) == list(range(10))
    assert seen != sorted(seen)
    assert len(sizes) > 1


async def test_it_drops_and_says_so(relay: Relay) -> None:
    bad = Unreliable(relay.inner, 3, drop=0.5)
    kept = []
    for item in relay.items:
        try:
            assert await bad.send([item]) == {}
        except OSError:
            continue
        kept.append(int(item.envelope))
    assert 0 < len(kept) < 10
    assert set(kept) <= set(bodies(await bad.receive(relay.readers)))
    for _ in range(40):  # a sender who tries again
        for item in relay.items:
            try:
                await bad.send([item])
            except OSError:
                continue
    assert sorted(bodies(await bad.receive(relay.readers))) == list(range(10))


async def test_an_ack_may_be_dropped_too(relay: Relay) -> None:
    bad = Unreliable(relay.inner, 1, drop=1)
    await relay.inner.send(relay.items[:1])
    (delivery,) = await bad.receive(relay.readers)
    with pytest.raises(OSError, match="lost"):
        await bad.ack([delivery.id])
    assert await bad.receive(relay.readers) == [delivery]


async def test_it_replays_what_was_acked(relay: Relay) -> None:
    bad = Unreliable(relay.inner, 1, replay=1)
    await bad.send(relay.items[:1])
    (old,) = await bad.receive(relay.readers)
    await bad.ack([old.id])
    await bad.send(relay.items[1:2])
    assert sorted(bodies(await bad.receive(relay.readers))) == [0, 1]
    other = MailboxKeys.generate(Stream("another"))
    await bad.open_mailbox(other.reader())
    await bad.send([Outgoing(bytes(16), other.mailbox, b"7")])
    assert bodies(await bad.receive([other.reader()])) == [7], "only to the mailbox it was for"


async def test_the_same_seed_gives_the_same_faults() -> None:
    async def history(seed: int) -> list[object]:
        relay = Relay()
        await relay.inner.open_mailbox(relay.keys.reader())
        bad = Unreliable(relay.inner, seed, duplicate=0.3, reorder=0.5, drop=0.3, replay=0.3)
        seen: list[object] = []
        for item in relay.items:
            try:
                await bad.send([item])
                found = await bad.receive(relay.readers)
                seen.append(bodies(found))
                await bad.ack([delivery.id for delivery in found[:1]])
            except OSError:
                seen.append("lost")
                await relay.inner.send([item])
        return seen

    assert await history(5) == await history(5)
    assert await history(5) != await history(6)


# --- two devices ----------------------------------------------------------------------------------


class Someone:
    """A device that keeps what it hears."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.heard: list[str | bytes] = []
        self.listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self.device.events():
            if isinstance(event, MessageArrived):
                async with event.message.open() as body:
                    self.heard.append(body)


@pytest.mark.parametrize("seed", range(3))
async def test_two_devices_talk_through_it_and_each_message_arrives_once(
    tmp_path: Path, seed: int
) -> None:
    clock = ManualClock(NOW)
    faulty: list[Unreliable] = []

    async def nap(_: float) -> None:
        await asyncio.sleep(0.002)

    def transport() -> Unreliable:
        folder = FolderTransport(tmp_path, clock, sleep=nap)
        faulty.append(Unreliable(folder, 2 * seed + len(faulty), duplicate=0.3, reorder=0.5,
                                 drop=0.3, replay=0.3))  # fmt: skip
        return faulty[-1]

    async def until(there: int, someone: Someone) -> None:
        """What failed is tried again by the clock: let it run, not too fast for the disk."""
        async with asyncio.timeout(30):
            for turn in range(100_000):
                if len(someone.heard) >= there:
                    return
                await asyncio.sleep(0.002)
                if turn % 10 == 9:
                    clock.advance(5)
        raise AssertionError("the message does not arrive")

    async with (
        Device.open(MemoryStore(), transport(), name="Mina", clock=clock) as mina,
        Device.open(MemoryStore(), transport(), name="Junho", clock=clock) as junho,
    ):
        one, other = Someone(mina), Someone(junho)
        room = await mina.direct(await junho.card())
        said: list[list[str | bytes]] = [[], []]
        for n in range(36):
            speaker, listener, mine = (one, other, said[0]) if n % 5 < 3 else (other, one, said[1])
            mine.append(f"message {n}")
            await speaker.device.conversation(room.id).send(f"message {n}")
            if n % 4 == 0:  # else the next one is said before this one is heard
                await until(len(mine), listener)
        await until(len(said[0]), other)
        await until(len(said[1]), one)
        clock.advance(60)
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert Counter(other.heard) == Counter(said[0])
        assert Counter(one.heard) == Counter(said[1])
        assert all(transport.faults > 20 for transport in faulty)
    await asyncio.gather(one.listener, other.listener)
