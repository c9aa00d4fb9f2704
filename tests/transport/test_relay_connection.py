"""How a client of a relay holds its one connection, and what comes over it (spec 22.4)."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable

import pytest
from starlette.responses import PlainTextResponse, RedirectResponse

from evanesce import Reason, RemoteError
from evanesce.mailbox import MailboxKeys
from evanesce.testing.bench import refusal
from evanesce.transport import relay as relay_module
from evanesce.transport.relay import RelayTransport
from evanesce.transport.relay_pauses import Pause
from tests.transport.small_relay import (
    SmallRelay,
    item_for,
    make_mailbox,
    refused_with,
    small_relay,
)


@pytest.fixture
async def relay() -> AsyncIterator[SmallRelay]:
    async with small_relay() as relay:
        yield relay


@pytest.fixture
async def client(relay: SmallRelay) -> AsyncIterator[RelayTransport]:
    async with RelayTransport(relay.url, pause=Pause(0.02, 0.05)) as transport:
        yield transport


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_a_relay_that_hangs_up_is_tried_again_less_and_less_often(
    relay: SmallRelay,
) -> None:
    pause = Pause(0.05, 10)
    async with RelayTransport(relay.url, pause=pause) as client:
        keys = await make_mailbox(client)
        assert pause.failures == 0
        waiting = asyncio.ensure_future(client.receive([keys.reader()]))
        await _until(lambda: ("subscribe" in {name for name, _ in relay.frames}))
        relay.hang_up = 1013
        await relay.cut()
        await asyncio.sleep(1.2)
        assert 2 <= relay.sessions <= 6, "one of 1013 asks for a second at least"
        assert pause.failures >= 2
        assert client.trouble is not None
        with pytest.raises((OSError, RemoteError)):
            await client.open_mailbox(keys.reader())
        relay.hang_up = None
        relay.boxes[keys.mailbox.address][bytes(16)] = b"x"
        (delivery,) = await asyncio.wait_for(waiting, 12)
        assert delivery.envelope == b"x"
        assert pause.failures == 0
        assert client.trouble is None


async def test_a_relay_that_takes_no_sessions_says_for_how_long(relay: SmallRelay) -> None:
    async with RelayTransport(relay.url, pause=Pause(0.01, 0.02)) as client:
        relay.refuse_sessions = refused_with(503, "relay-busy", "1")
        keys = MailboxKeys.generate(secrets.token_bytes)
        began = time.monotonic()
        assert await refusal(client.open_mailbox(keys.reader())) is Reason.RELAY_BUSY
        relay.refuse_sessions = None
        await client.open_mailbox(keys.reader())
        assert time.monotonic() - began >= 1.0
        assert relay.sessions == 2
    async with RelayTransport(relay.url) as client:
        relay.refuse_sessions = PlainTextResponse("no", 404)
        assert await refusal(client.receive([keys.reader()])) is Reason.BAD_FORM


async def test_a_proof_that_the_relay_has_forgotten_is_given_again(
    relay: SmallRelay, client: RelayTransport
) -> None:
    keys = await make_mailbox(client)
    await client.send([item_for(keys)])
    (delivery,) = await asyncio.wait_for(client.receive([keys.reader()]), 5)
    relay.reasons = {"ack": ("not-permitted", 0)}
    assert await refusal(client.ack([delivery.id])) is Reason.NOT_PERMITTED
    relay.reasons = {}
    proofs = [name for name, _ in relay.frames].count("prove")
    await client.ack([delivery.id])
    assert [name for name, _ in relay.frames].count("prove") == proofs + 1
    assert relay.boxes[keys.mailbox.address] == {}


async def test_one_who_is_cancelled_while_it_connects_does_not_stop_the_others(
    relay: SmallRelay, client: RelayTransport
) -> None:
    keys = [MailboxKeys.generate(secrets.token_bytes) for _ in range(3)]
    calls = [asyncio.ensure_future(client.open_mailbox(each.reader())) for each in keys]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.wait_for(asyncio.gather(*calls[1:]), 5)
    assert relay.sessions == 1
    assert set(relay.boxes) == {each.mailbox.address for each in keys[1:]}


async def test_closed_while_it_connects_everyone_is_told() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await _hang_up(writer)

    server = await asyncio.start_server(say_nothing, "127.0.0.1")
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = RelayTransport(url)
    keys = MailboxKeys.generate(secrets.token_bytes)
    calls = [asyncio.ensure_future(client.open_mailbox(keys.reader())),
             asyncio.ensure_future(client.receive([keys.reader()]))]  # fmt: skip
    await asyncio.sleep(0.1)
    await client.close()
    for call in calls:
        with pytest.raises(OSError, match="relay"):
            await asyncio.wait_for(call, 2)
    with pytest.raises(OSError, match="closed"):
        await client.send([item_for(keys)])
    async with RelayTransport(url, patience=0.2) as client:
        for silent in (client.send([item_for(keys)]), client.open_mailbox(keys.reader()),
                       client.about()):  # fmt: skip
            with pytest.raises(TimeoutError, match="does not answer"):
                await silent
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.05)  # until its connections are gone


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(b"\0" * 100, id="zeros"),
        pytest.param(b"SSH-2.0-x\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="200 and nothing"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="101 and nothing"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_whatever_answers_there_only_errors_of_a_transport_come_of_it(
    rubbish: bytes,
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(rubbish)
        await _hang_up(writer)

    server = await asyncio.start_server(talk, "127.0.0.1")
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    keys = MailboxKeys.generate(secrets.token_bytes)
    async with RelayTransport(url, patience=2, pause=Pause(0.01, 0.02)) as client:
        for call in (client.open_mailbox(keys.reader()), client.send([item_for(keys)]),
                     client.claim(bytes(32)), client.blob(bytes(32)),
                     client.ack([keys.mailbox.address + bytes(16)])):  # fmt: skip
            with contextlib.suppress(OSError, RemoteError):
                await call
        with contextlib.suppress(TimeoutError, RemoteError):
            await asyncio.wait_for(client.receive([keys.reader()]), 0.2)
        assert client.trouble is not None
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.05)  # until its connections are gone


async def test_every_envelope_comes_though_connections_end_all_the_time(
    relay: SmallRelay, client: RelayTransport
) -> None:
    keys = await make_mailbox(client)
    items = {item.id: item.envelope for item in (item_for(keys) for _ in range(200))}
    relay.boxes[keys.mailbox.address].update(items)
    found: dict[bytes, bytes] = {}

    async def receive() -> None:
        while len(found) < len(items):
            for delivery in await client.receive([keys.reader()]):
                found[delivery.id[32:]] = delivery.envelope
                await client.ack([delivery.id])

    receiving = asyncio.ensure_future(receive())
    for _ in range(8):
        await asyncio.sleep(0.05)
        await relay.cut(secrets.choice([1000, 1001, 1011]))
    await asyncio.wait_for(receiving, 10)
    assert found == items
    await _until(lambda: not relay.boxes[keys.mailbox.address])


async def test_a_slow_application_is_sent_one_window_and_no_more(relay: SmallRelay) -> None:
    window = (40, 100_000)
    async with RelayTransport(relay.url, window=window) as client:
        small, large = await make_mailbox(client), await make_mailbox(client)
        readers = [small.reader(), large.reader()]
        relay.boxes[small.mailbox.address] = {secrets.token_bytes(16): b"x" for _ in range(500)}
        relay.boxes[large.mailbox.address] = {
            secrets.token_bytes(16): secrets.token_bytes(30_000) for _ in range(40)
        }
        seen: set[bytes] = set()
        async with asyncio.timeout(10):
            while len(seen) < 540:
                for delivery in await client.receive(readers):
                    seen.add(delivery.id)
                await asyncio.sleep(0.05)  # much time for the relay to send more
                session = client._session
                assert session is not None
                held = [d.envelope for box in session._fresh.values() for d in box.values()]
                assert len(held) <= window[0]
                assert sum(map(len, held)) <= window[1] + 30_000


async def test_a_relay_that_sends_more_than_it_may_is_left(relay: SmallRelay) -> None:
    relay.ignores_credit = True
    async with RelayTransport(relay.url, window=(10, 10_000), pause=Pause(5)) as client:
        keys = await make_mailbox(client)
        relay.boxes[keys.mailbox.address] = {secrets.token_bytes(16): b"x" for _ in range(50)}
        with pytest.raises(RemoteError) as refused:
            async with asyncio.timeout(5):
                while True:
                    await client.receive([keys.reader()])
                    await asyncio.sleep(0.1)
        assert refused.value.reason is Reason.TOO_LARGE


async def test_who_is_cancelled_while_a_subscription_begins_or_ends_loses_nothing(
    relay: SmallRelay, client: RelayTransport
) -> None:
    keys = await make_mailbox(client)
    items = [item_for(keys) for _ in range(3)]
    await client.send(items)
    relay.delay = 0.1  # deliveries come before the answer
    for pause in (0.05, 0.15, 0.25, 0.3, 0.35, 0.4, 0.45):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(client.receive([keys.reader()]), pause)
    relay.delay = 0.0
    found: set[bytes] = set()
    async with asyncio.timeout(5):
        while len(found) < len(items):
            found |= {delivery.envelope for delivery in await client.receive([keys.reader()])}
    assert found == {item.envelope for item in items}


async def test_no_redirection_is_followed_to_another_relay(relay: SmallRelay) -> None:
    async with small_relay() as other, RelayTransport(relay.url) as client:
        relay.refuse_sessions = RedirectResponse(f"{other.url}/v1/mailboxes")
        keys = MailboxKeys.generate(secrets.token_bytes)
        assert await refusal(client.open_mailbox(keys.reader())) is Reason.RELAY_BUSY
        assert (relay.sessions, other.sessions) == (1, 0)


async def test_notices_come_beside_envelopes_until_they_are_acked(
    relay: SmallRelay, client: RelayTransport
) -> None:
    keys = await make_mailbox(client)
    relay.notices[keys.mailbox.address] = {bytes(16): b"{}"}
    for _ in range(2):
        (delivery,) = await asyncio.wait_for(client.receive([keys.reader()]), 5)
        assert (delivery.notice, delivery.envelope) == (True, b"{}")
        assert delivery.address == keys.mailbox.address
    await client.ack([delivery.id])
    assert relay.notices[keys.mailbox.address] == {}


async def test_nobody_asks_for_a_mailbox_and_its_subscription_ends(
    relay: SmallRelay, client: RelayTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_LINGER", 0.1)
    keys, other = await make_mailbox(client), await make_mailbox(client)
    both = asyncio.ensure_future(client.receive([keys.reader(), other.reader()]))
    await _until(lambda: [name for name, _ in relay.frames].count("subscribe") == 2)
    both.cancel()
    one = asyncio.ensure_future(client.receive([keys.reader()]))
    await _until(lambda: "unsubscribe" in {name for name, _ in relay.frames})
    ended = [fields[1] for name, fields in relay.frames if name == "unsubscribe"]
    assert ended == [other.mailbox.address]
    await client.send([item_for(other), item_for(keys)])
    assert len(await asyncio.wait_for(one, 5)) == 1
    assert len(await asyncio.wait_for(client.receive([other.reader()]), 5)) == 1


async def test_a_mailbox_that_was_made_long_ago_is_made_again(
    relay: SmallRelay, client: RelayTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = await make_mailbox(client)
    for due in (False, True):
        if due:
            monkeypatch.setattr(relay_module, "_RENEW", -1.0)
        await client.send([item_for(keys)])
        (delivery,) = await asyncio.wait_for(client.receive([keys.reader()]), 5)
        await client.ack([delivery.id])
        made = [fields for name, fields in relay.frames if name == "make mailbox"]
        assert len(made) == 1 + due
