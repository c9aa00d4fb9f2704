"""What a client of a relay does when the relay is slow, full, rude or none at all (spec 22)."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from evanesce import LocalError, Reason, RemoteError
from evanesce import relay_formats as forms
from evanesce.mailbox import MailboxKeys
from evanesce.ports import Delivery, Outgoing, Recall
from evanesce.primitives import H
from evanesce.testing.bench import refusal
from evanesce.transport.relay import RelayTransport
from evanesce.transport.relay_faults import RelayRefusal
from evanesce.transport.relay_http import base_address
from evanesce.transport.relay_pauses import Manners, Pause
from tests.transport.relay_process import ROOT, make_certificate
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


# --- pauses ---------------------------------------------------------------------------------------


def test_pauses_grow_up_to_a_bound_vary_and_begin_anew_after_a_success() -> None:
    now = [100.0]
    highest = Pause(0.5, 60, now=lambda: now[0], draw=lambda low, high: high)
    pauses = []
    for _ in range(10):
        highest.failed()
        pauses.append(highest.left)
        now[0] += highest.left
        assert highest.left == 0
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert highest.failures == 10
    highest.succeeded()
    assert highest.failures == 0
    highest.failed()
    assert highest.left == pytest.approx(0.5)
    drawn = set()
    for _ in range(200):
        pause = Pause(8, now=lambda: 0.0)
        pause.failed()
        drawn.add(pause.left)
    assert 4 <= min(drawn) < 5
    assert 7 < max(drawn) <= 8
    for _ in range(5_000):  # nothing overflows
        pause.failed()
    assert pause.left <= 60


def test_a_pause_that_the_relay_asks_for_is_kept_but_not_one_of_years() -> None:
    pause = Pause(0.5, now=lambda: 7.0)
    pause.failed(30)
    assert pause.left == 30
    pause.failed(2**32 - 1)
    assert pause.left == 3_600


def test_what_is_refused_for_a_time_is_not_asked_before_and_nothing_else_waits() -> None:
    now = [0.0]
    manners = Manners(lambda: now[0])
    manners.note("put", RelayRefusal(Reason.TOO_MANY_REQUESTS, "slower", 10))
    manners.note("claim", RelayRefusal(Reason.NOT_PERMITTED))  # without a time: no pause
    manners.check("claim", "blob")
    now[0] = 9.5
    with pytest.raises(RelayRefusal) as refused:
        manners.check("blob", "put")
    assert (refused.value.reason, refused.value.detail) == (Reason.TOO_MANY_REQUESTS, "slower")
    assert refused.value.seconds == 1
    now[0] = 10.0
    manners.check("put")
    for n in range(5_000):
        manners.note(n, RelayRefusal(Reason.RELAY_BUSY, "", 9))
    assert len(manners._refused) <= 1_024


# --- refusals -------------------------------------------------------------------------------------


async def test_a_refused_put_stays_to_be_sent_and_is_not_asked_again_before_its_time(
    relay: SmallRelay, client: RelayTransport
) -> None:
    keys = await make_mailbox(client)
    item = item_for(keys)
    for status, reason in ((429, Reason.TOO_MANY_REQUESTS), (507, Reason.RELAY_FULL),
                           (503, Reason.RELAY_BUSY)):  # fmt: skip
        relay.answers = [refused_with(status, "whatever", "1")]
        asked = len(relay.requests)
        began = time.monotonic()
        assert await client.send([item]) == {item.id: reason}
        assert await client.send([item]) == {item.id: reason}
        assert len(relay.requests) == asked + 1
        while await client.send([item]):
            await asyncio.sleep(0.02)
        assert 1.0 <= time.monotonic() - began < 2.5
        assert len(relay.requests) == asked + 2
    assert list(relay.boxes[keys.mailbox.address]) == [item.id]


async def test_a_busy_relay_is_left_alone_by_all_requests_and_a_share_by_its_own(
    relay: SmallRelay, client: RelayTransport
) -> None:
    relay.answers = [refused_with(429, "too-many-requests", "60")]
    one, other = secrets.token_bytes(32), secrets.token_bytes(32)
    assert await refusal(client.claim(one)) is Reason.TOO_MANY_REQUESTS
    assert await refusal(client.claim(one)) is Reason.TOO_MANY_REQUESTS
    assert len(relay.requests) == 1
    assert await client.claim(other) is None
    assert await client.about() == {"protocols": ["evanesce.relay.1"]}
    relay.answers = [refused_with(503, "relay-busy", "60")]
    assert await refusal(client.claim(other)) is Reason.RELAY_BUSY
    asked = len(relay.requests)
    assert await refusal(client.about()) is Reason.RELAY_BUSY
    assert await refusal(client.put_blob(b"x")) is Reason.RELAY_BUSY
    assert len(relay.requests) == asked


async def test_outcomes_are_told_of_each_item_as_they_are(
    relay: SmallRelay, client: RelayTransport
) -> None:
    keys = await make_mailbox(client)
    items = [item_for(keys) for _ in range(6)]
    relay.outcomes = [None, "mailbox-full", "relay-busy", "relay-full", "not-permitted", "so-so"]
    assert await client.send(items) == {
        items[1].id: Reason.MAILBOX_FULL, items[2].id: Reason.RELAY_BUSY,
        items[3].id: Reason.RELAY_FULL, items[4].id: Reason.NOT_PERMITTED,
        items[5].id: Reason.RELAY_BUSY,  # a reason of a later version may pass
    }  # fmt: skip


async def test_what_a_relay_would_never_take_is_not_sent(
    relay: SmallRelay, client: RelayTransport
) -> None:
    keys = MailboxKeys.generate(secrets.token_bytes)
    large, empty, long = item_for(keys, 2_097_153), item_for(keys, 0), item_for(keys)
    long = Outgoing(bytes(17), long.mailbox, long.envelope)
    assert await client.send([large, empty, long]) == {
        large.id: Reason.TOO_LARGE, empty.id: Reason.BAD_INPUT, long.id: Reason.BAD_INPUT,
    }  # fmt: skip
    await client.recall([Recall(bytes(15), keys.mailbox)])
    for wrong in ((bytes(31), []), (bytes(32), [bytes(1_025)]), (bytes(32), [b""])):
        with pytest.raises(ValueError, match="bytes"):
            await client.publish(*wrong, None)
    assert relay.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        Response(b"no object"),
        Response(forms.OUTCOMES.build([None, None])),
        Response(b"x" * 100_000),
        Response(b"", 500),
        PlainTextResponse("<html>", 404),
        PlainTextResponse("[" * 4_000, 400),
        JSONResponse([1], 418),
        RedirectResponse("/elsewhere", 307),
        RedirectResponse("http://127.0.0.1:1/v1/put", 302),
    ],
)
async def test_an_answer_that_is_none_is_an_error_of_the_network_or_of_the_relay(
    relay: SmallRelay, client: RelayTransport, answer: Response
) -> None:
    keys = await make_mailbox(client)
    relay.answers = [answer] * 3
    try:
        refused = await client.send([item_for(keys)])
    except (OSError, RemoteError):
        pass
    else:
        assert set(refused.values()) == {Reason.RELAY_BUSY}
    assert {path for _, path, _, _ in relay.requests} == {"/v1/put"}, "a redirection was followed"
    assert len(relay.requests) == 1


async def test_what_a_relay_writes_moves_no_cursor(
    relay: SmallRelay, client: RelayTransport
) -> None:
    relay.answers = [refused_with(400, "bad-key", detail="\x1b[2J\u202egone" + "x" * 1_000)]
    with pytest.raises(RemoteError) as refused:
        await client.claim(bytes(32))
    assert refused.value.reason is Reason.BAD_KEY
    assert refused.value.detail.isprintable()
    assert len(refused.value.detail) <= 200


@pytest.mark.parametrize(
    "said", [b"{}", b"[]", b"null", b"{", b'{"protocols":3}', b'{"protocols":["other.1"]}',
             b"[" * 60_000, b'{"a":' * 10_000],
)  # fmt: skip
async def test_what_says_that_it_speaks_something_else_is_no_relay(
    relay: SmallRelay, client: RelayTransport, said: bytes
) -> None:
    relay.answers = [Response(said)]
    assert await refusal(client.about()) is Reason.BAD_FORM


async def test_a_blob_that_is_another_is_refused(
    relay: SmallRelay, client: RelayTransport
) -> None:
    relay.answers = [Response(b"other"), Response(b"mine")]
    key = H(b"blob", b"mine")
    assert await refusal(client.blob(key)) is Reason.BAD_FORM
    assert await client.blob(key) == b"mine"


async def test_frames_that_are_refused_say_why_and_how_long(
    relay: SmallRelay, client: RelayTransport
) -> None:
    keys = await make_mailbox(client)
    relay.reasons = {"make mailbox": ("too-many-requests", 60), "ack": ("relay-busy", 1)}
    frames = len(relay.frames)
    for _ in range(2):
        assert await refusal(client.open_mailbox(keys.reader())) is Reason.TOO_MANY_REQUESTS
    assert len(relay.frames) == frames + 1, "asked again before its time"
    ack = client.ack([keys.mailbox.address + bytes(16)])
    assert await refusal(ack) is Reason.RELAY_BUSY
    assert client.trouble is None


async def test_receive_waits_for_a_relay_whose_store_does_not_answer(
    relay: SmallRelay, client: RelayTransport
) -> None:
    keys = await make_mailbox(client)
    await client.send([item_for(keys)])
    relay.reasons = {"subscribe": ("relay-busy", 1)}
    frames = len(relay.frames)
    waiting = asyncio.ensure_future(client.receive([keys.reader()]))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    assert len(relay.frames) == frames + 1, "asked again before its time"
    relay.reasons = {}
    assert len(await asyncio.wait_for(waiting, 5)) == 1


async def test_acks_of_several_mailboxes_are_sent_at_once_and_one_that_fails_fails_alone(
    relay: SmallRelay, client: RelayTransport
) -> None:
    boxes = [await make_mailbox(client) for _ in range(3)]
    await client.send([item_for(keys) for keys in boxes])
    found: list[Delivery] = []
    while len(found) < 3:
        found += await client.receive([keys.reader() for keys in boxes])
    first = found[0].address
    act = relay._act

    def refuse_one(form: Any, address: bytes, *rest: Any) -> str | None:
        if form is forms.ACK and address == first:
            return "relay-busy"
        return act(form, address, *rest)

    relay._act = refuse_one  # type: ignore[method-assign, assignment]
    assert await refusal(client.ack([delivery.id for delivery in found])) is Reason.RELAY_BUSY
    left = {address: len(box) for address, box in relay.boxes.items()}
    assert left == {keys.mailbox.address: int(keys.mailbox.address == first) for keys in boxes}


# --- what is shown --------------------------------------------------------------------------------


async def test_all_clients_look_alike_and_keep_no_cookie(
    relay: SmallRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "ws_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", "/dev/null")
    async with RelayTransport(relay.url) as client:
        keys = await make_mailbox(client)
        cookie = Response(status_code=204, headers={"Set-Cookie": "who=me"})
        relay.answers = [cookie]
        await client.claim(bytes(32))
        await client.claim(bytes(32))
        await client.send([item_for(keys)])
        for _, _, headers, _ in relay.requests:
            assert headers["user-agent"] == "evanesce"
            assert set(headers) == {
                "host", "user-agent", "accept-encoding", "content-type", "content-length"
            }  # fmt: skip


async def test_nothing_that_is_logged_names_a_mailbox_an_id_or_a_blob(
    relay: SmallRelay, client: RelayTransport, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        keys = await make_mailbox(client)
        item = item_for(keys)
        await client.send([item])
        (delivery,) = await asyncio.wait_for(client.receive([keys.reader()]), 5)
        await client.ack([delivery.id])
        relay.answers = [Response(b"blob")]
        key = H(b"blob", b"blob")
        await client.blob(key)
        await client.close()
    logged = "\n".join(f"{record.name} {record.getMessage()} {record.args}"
                       for record in caplog.records
                       if not record.name.startswith(("uvicorn", "websockets.server")))  # fmt: skip
    for secret in (keys.mailbox.address, keys.mailbox.capability, item.id, key, keys.read_key,
                   item.envelope[:16]):  # fmt: skip
        assert secret.hex() not in logged
        assert repr(secret)[2:-1] not in logged
    assert "/v1/" not in logged


def test_the_base_address_is_checked() -> None:
    for given, expected in (
        ("https://relay.example", "https://relay.example"),
        ("https://relay.example/", "https://relay.example"),
        ("https://relay.example:8443/a/b/", "https://relay.example:8443/a/b"),
        ("http://127.0.0.1:8420", "http://127.0.0.1:8420"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:8420", "http://[::1]:8420"),
        ("http://abcdef.onion", "http://abcdef.onion"),
    ):
        assert base_address(given) == expected
    for wrong in ("", "relay.example", "ftp://relay.example", "https://", "https://u:p@x.example",
                  "https://x.example/?a", "https://x.example/#a", "http://relay.example",
                  "http://127.0.0.1.example", "https://x.example:port", "/tmp/x"):  # fmt: skip
        with pytest.raises(LocalError) as refused:
            base_address(wrong)
        assert refused.value.reason is Reason.BAD_INPUT
    assert base_address("http://relay.example", plain=True) == "http://relay.example"


async def test_a_certificate_that_is_not_trusted_says_so_and_is_not_waited_for(
    tmp_path: Path,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with RelayTransport(f"https://127.0.0.1:{port}") as client:
        keys = MailboxKeys.generate(secrets.token_bytes)
        for call in (client.receive([keys.reader()]), client.about()):
            with pytest.raises(OSError, match="certificate is not trusted"):
                await asyncio.wait_for(call, 5)
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.05)  # until its connections are gone


def test_without_the_extra_the_error_names_it() -> None:
    code = (
        "import sys; sys.modules['{0}'] = None\n"
        "import evanesce\n"
        "try: import evanesce.transport.relay\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "protocol")}
    for library in ("httpx2", "websockets"):
        done = subprocess.run([sys.executable, "-c", code.format(library)], env=environment,
                              capture_output=True, text=True, check=True)  # fmt: skip
        assert "pip install 'evanesce[relay]'" in done.stdout
