"""A relay that sends without end costs a client little, and holds nothing up (spec 22.4, 22.8)."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from evanesce import relay_formats as forms
from evanesce.mailbox import MailboxKeys
from evanesce.primitives import sign_keypair
from evanesce.relay.disclosure.statement import (
    Statement,
    make_statement,
    parse_statement,
    subject_of,
)
from evanesce.transport import relay as relay_module
from evanesce.transport import relay_session
from evanesce.transport.relay import RelayTransport
from evanesce.transport.relay_notices import A_DAY, Notices
from evanesce.transport.relay_pauses import Pause
from evanesce.wire import decode, kind_of
from tests.transport.small_relay import make_mailbox, small_relay

PRIVATE, PUBLIC = sign_keypair(secrets.token_bytes)
_Evil = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def evil_relay(evil: _Evil) -> AsyncIterator[tuple[RelayTransport, list[list[Any]]]]:
    """A client of a relay that says yes to everything, and does `evil` beside it; its frames."""
    frames: list[list[Any]] = []

    async def serves(connection: ServerConnection) -> None:
        await connection.send(forms.CHALLENGE.build(bytes(32)))
        doing = asyncio.ensure_future(evil(connection))
        with suppress(ConnectionClosed):
            async for data in connection:
                assert isinstance(data, bytes)
                value = decode(data, limit=1 << 20)
                frames.append(value)
                if kind_of(value) != forms.CREDIT.type:
                    await connection.send(forms.DONE.build(value[2], None, 0))
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)

    async with serve(
        serves, "127.0.0.1", 0, subprotocols=[forms.SUBPROTOCOL],  # type: ignore[list-item]
        compression=None, ping_interval=None, close_timeout=0.1,
    ) as server:  # fmt: skip
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        async with RelayTransport(url, pause=Pause(0.02, 0.05)) as client:
            yield client, frames


def _reader() -> Any:
    return MailboxKeys.generate(secrets.token_bytes).reader()


def _statement(address: bytes, entry: int, private: bytes = PRIVATE, key: bytes = PUBLIC) -> bytes:
    return make_statement(Statement(
        request=3, jurisdiction="KR", category="interception", disclosed=490_000, told=490_000,
        delayed_hours=0, gag_order=False, handed_over=("mailbox",), envelopes=0, salt=bytes(16),
        subject=subject_of(bytes(16), address), entry=entry, head=secrets.token_bytes(32), key=key,
    ), private)  # fmt: skip


async def test_pings_without_end_end_the_connection() -> None:
    again = asyncio.Event()
    sent: list[int] = []

    async def pings(connection: ServerConnection) -> None:
        if sent:
            again.set()
        sent.append(0)
        while True:
            await connection.ping()
            sent[-1] += 1
            await asyncio.sleep(0.005)

    async with evil_relay(pings) as (client, _):
        receiving = asyncio.ensure_future(client.receive([_reader()]))
        await asyncio.wait_for(again.wait(), 5)
        assert relay_session.PINGS < sent[0] < 4 * relay_session.PINGS
        receiving.cancel()


async def test_pings_now_and_then_are_answered() -> None:
    answered: list[float] = []

    async def pings(connection: ServerConnection) -> None:
        for _ in range(5):
            answered.append(await (await connection.ping()))

    async with evil_relay(pings) as (client, _):
        receiving = asyncio.ensure_future(client.receive([_reader()]))
        await client.quiet(0.3)
        assert len(answered) == 5
        assert not receiving.done()
        receiving.cancel()


async def test_answers_to_pings_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay does not read them; this holds whatever number of pings is allowed."""
    monkeypatch.setattr(relay_session, "PINGS", 10**9)
    sent = 0
    most = 0

    async def pings(connection: ServerConnection) -> None:
        nonlocal sent
        transport = connection.transport
        transport.pause_reading()
        while not transport.is_closing() and sent < 60 << 20:
            transport.write((bytes([0x89, 125]) + bytes(125)) * 2_000)
            sent += 127 * 2_000
            while transport.get_write_buffer_size() > 1 << 20 and not transport.is_closing():
                await asyncio.sleep(0.001)

    async with evil_relay(pings) as (client, _):
        receiving = asyncio.ensure_future(client.receive([_reader()]))
        async with asyncio.timeout(10):
            while client.trouble is None:
                if client._session is not None:
                    transport = client._session._connection.transport
                    most = max(most, transport.get_write_buffer_size())
                await asyncio.sleep(0.001)
        receiving.cancel()
    assert most < 3 * relay_session.UNSENT
    assert sent < 60 << 20, "it was never cut off"


async def test_stray_answers_neither_hold_up_quiet_nor_are_a_success() -> None:
    async def strays(connection: ServerConnection) -> None:
        while True:
            await connection.send(forms.DONE.build(4_000_000_000, None, 0))
            await asyncio.sleep(0.05)

    async with evil_relay(strays) as (client, _):
        receiving = asyncio.ensure_future(client.receive([_reader()]))
        await asyncio.wait_for(client.quiet(0.4), 5)
        served = []
        assert client._session is not None
        client._session._served = lambda: served.append(1)
        await asyncio.sleep(0.2)
        assert not served
        receiving.cancel()


async def test_quiet_ends_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "LONGEST_QUIET", 1.0)
    reader = _reader()

    async def delivers(connection: ServerConnection) -> None:
        while True:
            await asyncio.sleep(0.02)
            key = secrets.token_bytes(16)
            await connection.send(forms.DELIVERY.build(reader.mailbox.address, key, b"envelope"))

    async def takes(client: RelayTransport) -> None:
        while True:
            await client.ack([each.id for each in await client.receive([reader])])

    async with evil_relay(delivers) as (client, _):
        taking = asyncio.ensure_future(takes(client))
        began = time.monotonic()
        await asyncio.wait_for(client.quiet(0.5), 5)
        assert 0.9 < time.monotonic() - began < 3
        taking.cancel()


async def test_notices_without_end_are_few_and_the_same_is_told_once() -> None:
    """Foreign ones and repetitions are acked unseen; what is too much today stays there."""
    async with small_relay() as relay, RelayTransport(relay.url) as client:
        keys = await make_mailbox(client)
        address = keys.mailbox.address
        sent: dict[str, list[bytes]] = {"foreign": [], "first": [], "same": [], "more": []}

        def leave(kind: str, statement: bytes) -> None:
            sent[kind].append(secrets.token_bytes(16))
            relay.notices[address][sent[kind][-1]] = statement

        for n in range(5):
            leave("foreign", _statement(bytes(32), n + 1))
        leave("first", _statement(address, 1))
        for _ in range(5):
            leave("same", _statement(address, 1))
        for n in range(60):
            leave("more", _statement(address, n + 2))
        got: list[bytes] = []
        async with asyncio.timeout(5):
            while len(got) < A_DAY:
                found = await client.receive([keys.reader()])
                got += [each.envelope for each in found]
                await client.ack([each.id for each in found])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.receive([keys.reader()])
        assert len(got) == len(set(got)) == A_DAY
        assert all(parse_statement(each).concerns(address) for each in got)
        left = relay.notices[address].keys()
        assert not left & {*sent["foreign"], *sent["first"], *sent["same"]}
        assert len(left) == 61 - A_DAY


def test_a_notice_is_given_under_one_id_until_it_is_acked() -> None:
    now = 0.0
    notices, address = Notices(lambda: now), secrets.token_bytes(32)
    one, key, other = _statement(address, 1), bytes(16), secrets.token_bytes(16)
    assert notices.takes(address, key, one)
    assert notices.takes(address, key, one)
    assert notices.takes(address, other, one) is False
    assert notices.takes(address, key, _statement(address, 1)) is False, "another text, same entry"
    notices.acked(address, [key])
    assert notices.takes(address, key, one) is False
    private, public = sign_keypair(secrets.token_bytes)
    assert notices.takes(address, other, _statement(address, 1, private, public))
    elsewhere = secrets.token_bytes(32)
    assert notices.takes(elsewhere, key, _statement(elsewhere, 1))
    assert notices.takes(elsewhere, other, _statement(address, 9)) is False


def test_the_bound_is_one_of_a_day_and_of_a_mailbox() -> None:
    now = 0.0
    notices, address, elsewhere = Notices(lambda: now), secrets.token_bytes(32), bytes(32)

    def given(count: int, first: int) -> int:
        return sum(
            notices.takes(address, secrets.token_bytes(16), _statement(address, first + n)) is True
            for n in range(count)
        )

    assert given(30, 1) == 16
    assert notices.takes(elsewhere, bytes(16), _statement(elsewhere, 1))
    now = 24 * 3600.0
    assert given(30, 1) == 14, "the others have been told"
    unreadable = [notices.takes(elsewhere, secrets.token_bytes(16), b"?") for _ in range(3)]
    assert unreadable == [True, False, False]
    looked = [notices.takes(elsewhere, secrets.token_bytes(16), b"?") for _ in range(100)]
    assert looked[-1] is None, "they are not even read"
