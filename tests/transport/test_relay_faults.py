"""A relay that is killed, stopped and started again under its clients."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from evanesce.ports import Outgoing
from evanesce.testing import Claims
from evanesce.testing.bench import Bench
from evanesce.transport.relay import RelayTransport
from tests.transport.relay_process import RelayProcess, relay_process


@pytest.fixture
def relay() -> Iterator[RelayProcess]:
    with relay_process() as process:
        yield process


async def test_what_was_taken_survives_a_kill_and_receiving_goes_on_by_itself(
    relay: RelayProcess,
) -> None:
    async with RelayTransport(relay.url) as sender, RelayTransport(relay.url) as receiver:
        bench = Bench(lambda: sender, Claims(), "killed")
        keys = await bench.mailbox(receiver)
        taken: list[Outgoing] = []
        stop = asyncio.Event()

        async def send() -> None:
            while not stop.is_set():
                item = bench.item(keys, 600)
                while True:
                    try:
                        await bench.send(sender, item)
                        break
                    except OSError:  # it is not known whether it was taken: once more
                        await asyncio.sleep(0.05)
                taken.append(item)
                await asyncio.sleep(0.005)

        found: dict[bytes, bytes] = {}

        async def receive() -> None:
            while True:
                for delivery in await bench.receive(receiver, [keys.reader()]):
                    assert delivery.id not in found or found[delivery.id] == delivery.envelope
                    found[delivery.id] = delivery.envelope
                    while True:
                        try:
                            await receiver.ack([delivery.id])
                            break
                        except OSError:
                            await asyncio.sleep(0.05)

        tasks = [asyncio.ensure_future(receive()), asyncio.ensure_future(send())]
        for _ in range(2):
            await asyncio.sleep(0.4)
            await relay.again()
        await asyncio.sleep(1.0)
        stop.set()
        await asyncio.wait_for(tasks[1], 10)
        async with asyncio.timeout(10):
            while not {item.envelope for item in taken} <= set(found.values()):
                assert not tasks[0].done()
                await asyncio.sleep(0.05)
        assert len(taken) > 20
        assert len(found) == len({item.envelope for item in taken}), "one envelope came as two"
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await bench.quiet(receiver, keys)  # nor does anything that was acked come back


async def test_a_connection_whose_other_end_is_silent_is_given_up(relay: RelayProcess) -> None:
    transport = RelayTransport(relay.url, ping=0.3, patience=1.0)
    async with transport, RelayTransport(relay.url) as sender:
        bench = Bench(lambda: sender, Claims(), "silent")
        keys = await bench.mailbox(transport)
        item = bench.item(keys)
        waiting = asyncio.ensure_future(transport.receive([keys.reader()]))
        await asyncio.sleep(0.2)
        assert transport.trouble is None
        relay.send(signal.SIGSTOP)
        async with asyncio.timeout(5):
            while transport.trouble is None:
                await asyncio.sleep(0.05)
        assert not waiting.done()
        with pytest.raises(OSError, match="relay"):
            await transport.open_mailbox(keys.reader())
        with pytest.raises(OSError, match="relay"):
            await transport.send([item])
        relay.send(signal.SIGCONT)
        await bench.send(sender, item)
        (delivery,) = await asyncio.wait_for(waiting, 10)
        assert delivery.envelope == item.envelope
        assert transport.trouble is None
        await transport.ack([delivery.id])


async def test_a_relay_that_is_not_there_is_an_oserror_and_its_coming_is_noticed(
    relay: RelayProcess,
) -> None:
    bench = Bench(lambda: transport, Claims(), "away")
    keys = bench.keys()
    await asyncio.to_thread(relay.stop)
    async with RelayTransport(relay.url) as transport:
        for call in (transport.open_mailbox(keys.reader()), transport.close_mailbox(keys.reader()),
                     transport.send([bench.item(keys)]), transport.claim(bytes(32)),
                     transport.publish(bytes(32), [], None), transport.blob(bytes(32)),
                     transport.put_blob(b"x"), transport.about()):  # fmt: skip
            with pytest.raises(OSError, match="reached") as failed:
                await call
            assert failed.value.filename == relay.url
        assert await transport.send([]) == {}
        await asyncio.to_thread(relay.start)
        async with asyncio.timeout(10):
            while True:
                try:
                    await transport.open_mailbox(keys.reader())
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        await bench.send(transport, item := bench.item(keys))
        await bench.take(transport, [keys], [item], ack=True)


async def test_closing_ends_what_waits(relay: RelayProcess) -> None:
    transport = RelayTransport(relay.url)
    bench = Bench(lambda: transport, Claims(), "closing")
    keys = await bench.mailbox(transport)
    waiting = asyncio.ensure_future(transport.receive([keys.reader()]))
    await asyncio.sleep(0.1)
    await transport.close()
    with pytest.raises(OSError, match="closed"):
        await asyncio.wait_for(waiting, 2)
    with pytest.raises(OSError, match="closed"):
        await transport.open_mailbox(keys.reader())
