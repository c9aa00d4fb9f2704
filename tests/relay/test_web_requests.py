"""Each request over HTTP, and each refusal with its status, reason and Retry-After."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from evanesce.errors import Reason, RemoteError
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackageKeys
from evanesce.primitives import H
from evanesce.relay.relay import Posted, Relay
from evanesce.relay.settings import RelaySettings
from evanesce.relay.web.bodies import EACH
from evanesce.relay.web.connections import READ
from evanesce.relay.web.face import Bounds
from evanesce.relay_formats import BLOB, BLOB_DELETION, CLAIM, MEDIA_TYPE, PUBLISH, PUT, RECALL
from tests.relay.web_server import NOW, TYPE, Box, Served, memory_relay, outcomes, reading, served

POSTS = ("/v1/put", "/v1/recall", "/v1/publish", "/v1/claim", "/v1/blobs", "/v1/blobs/delete")


def refused(response: httpx2.Response, status: int, reason: Reason) -> int:
    """Check the refusal; its Retry-After, or 0."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"reason", "detail"}
    assert body["reason"] == str(reason)
    retry = response.headers.get("retry-after")
    assert (retry is not None) == (status in {429, 503, 507})
    return int(retry or 0)


async def made(at: Served, *boxes: Box) -> None:
    async with reading(at.base) as reader:
        await reader.make(*boxes)


async def test_put_answers_for_each_item_by_itself(tmp_path: Path) -> None:
    box, other = Box(), Box()
    async with served(memory_relay(tmp_path)) as at:
        await made(at, box)
        wrong = [box.address, secrets.token_bytes(16), secrets.token_bytes(16), b"x"]
        body = PUT.build([box.item(), other.item(), wrong, box.item()])
        answer = await at.post("/v1/put", body)
        expected = [None, Reason.UNKNOWN_MAILBOX, Reason.NOT_PERMITTED, None]
        assert outcomes(answer) == expected
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


async def test_a_put_that_comes_twice_is_delivered_once(tmp_path: Path) -> None:
    box = Box()
    async with served(memory_relay(tmp_path)) as at, reading(at.base) as reader:
        await reader.make(box)
        body = box.put()
        first, second = await asyncio.gather(at.post("/v1/put", body), at.post("/v1/put", body))
        assert outcomes(first) == outcomes(second) == [None]
        await reader.subscribe(box)
        await reader.grant()
        await reader.until(1)
        await reader.quiet()
        assert len(reader.got) == 1


async def test_recall_erases_what_waits(tmp_path: Path) -> None:
    box = Box()
    async with served(memory_relay(tmp_path)) as at, reading(at.base) as reader:
        await reader.make(box)
        kept, gone = box.item(b"kept"), box.item(b"gone")
        assert outcomes(await at.post("/v1/put", PUT.build([kept, gone]))) == [None, None]
        answer = await at.post("/v1/recall", RECALL.build([gone[:3]]))
        assert outcomes(answer) == [None]
        await reader.subscribe(box)
        await reader.grant()
        await reader.until(1)
        await reader.quiet()
        assert [envelope for _, _, envelope in reader.got] == [b"kept"]


async def test_packages_are_published_and_claimed_once_each(tmp_path: Path) -> None:
    owner = IdentityKeys.generate(secrets.token_bytes)
    mailbox = Box().keys.mailbox
    packages = [
        KeyPackageKeys.generate(owner, mailbox, NOW, secrets.token_bytes).package.signed
        for _ in range(2)
    ]
    fingerprint = owner.identity.fingerprint
    async with served(memory_relay(tmp_path)) as at:
        answer = await at.post("/v1/publish", PUBLISH.build(fingerprint, packages, None))
        assert (answer.status_code, answer.content) == (204, b"")
        claims = [await at.post("/v1/claim", CLAIM.build(fingerprint)) for _ in range(3)]
        assert sorted(claim.status_code for claim in claims) == [200, 200, 204]
        assert {claim.content for claim in claims[:2]} == set(packages)
        assert claims[0].headers["content-type"] == MEDIA_TYPE
        forged = await at.post("/v1/publish", PUBLISH.build(bytes(32), packages, None))
        refused(forged, 400, Reason.WRONG_IDENTITY)


async def test_blobs_are_kept_fetched_and_deleted_by_token(tmp_path: Path) -> None:
    content, token = secrets.token_bytes(100_000), secrets.token_bytes(16)
    digest = H(b"blob", content)
    keep = BLOB.build(H(b"blob token", token), content)
    delete = BLOB_DELETION.build(digest, token)
    async with served(memory_relay(tmp_path)) as at:
        assert (await at.post("/v1/blobs", keep)).status_code == 204
        answer = await at.client.get("/v1/blobs/" + digest.hex())
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["content-type"] == "application/octet-stream"
        wrong = await at.post("/v1/blobs/delete", BLOB_DELETION.build(digest, bytes(16)))
        refused(wrong, 403, Reason.NOT_PERMITTED)
        assert (await at.post("/v1/blobs/delete", delete)).status_code == 204
        refused(await at.client.get("/v1/blobs/" + digest.hex()), 404, Reason.UNKNOWN_BLOB)
        refused(await at.post("/v1/blobs/delete", delete), 404, Reason.UNKNOWN_BLOB)


async def test_no_answer_is_held_back_by_nagles_algorithm(tmp_path: Path) -> None:
    """An answer is written in two parts: the second would wait 40 ms for a delayed ACK."""
    async with served(memory_relay(tmp_path)) as at:
        await at.client.get("/healthz")
        async with reading(at.base):
            held = at.server.server_state.connections
            assert len(held) == 2
            for each in held:
                own = each.transport.get_extra_info("socket")
                assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_about_tells_what_is_held_and_how_long(tmp_path: Path) -> None:
    settings = RelaySettings(retention_hours=48)
    async with served(memory_relay(tmp_path, settings), settings) as at:
        told = (await at.client.get("/v1/about")).json()
        assert told["retention_hours"] == 48
        assert {"row.data", "memory.rate", "log.*"} <= {each["field"] for each in told["holdings"]}


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/put/", "/v1/blobs/" + "A" * 64, "/v1/blobs/x",
                                  "/metrics", "/docs"])  # fmt: skip
async def test_a_path_that_is_none_is_404(tmp_path: Path, path: str) -> None:
    async with served(memory_relay(tmp_path)) as at:
        refused(await at.client.get(path), 404, Reason.BAD_FORM)


async def test_what_is_not_asked_as_the_specification_says_is_refused(tmp_path: Path) -> None:
    """REQ-RELAY-02."""
    async with served(memory_relay(tmp_path)) as at:
        for path in POSTS:
            refused(await at.client.get(path), 405, Reason.BAD_FORM)
            refused(await at.client.post(path, content=b"x"), 415, Reason.BAD_FORM)
            coded = await at.post(path, b"x", {"content-encoding": "gzip"})
            refused(coded, 415, Reason.BAD_FORM)
            refused(await at.post(path, b""), 400, Reason.TRUNCATED)
            refused(await at.post(path, b"\xd4\x01\x00"), 400, Reason.FORBIDDEN_TYPE)
            refused(await at.post(path, CLAIM.build(bytes(32))[:-1]), 400, Reason.TRUNCATED)
            if path != "/v1/claim":
                refused(await at.post(path, CLAIM.build(bytes(32))), 400, Reason.WRONG_TYPE)
        refused(await at.client.post("/v1/about"), 405, Reason.BAD_FORM)
        plain = await at.client.get("/v1/mailboxes")
        refused(plain, 426, Reason.BAD_FORM)
        assert plain.headers["upgrade"] == "websocket"
        good = await at.post("/v1/claim", CLAIM.build(bytes(32)),
                             {"content-type": MEDIA_TYPE.upper() + "; v=1"})  # fmt: skip
        assert good.status_code == 204


async def test_too_much_is_413_whether_announced_or_not(tmp_path: Path) -> None:
    """REQ-RELAY-02."""
    bounds = Bounds(body_bytes=PUT.limit + 65_536)  # what is not refused in time is busy
    async with served(memory_relay(tmp_path), bounds=bounds) as at:
        refused(await at.post("/v1/claim", bytes(65)), 413, Reason.TOO_LARGE)
        refused(await at.post("/v1/put", bytes(PUT.limit + 1)), 413, Reason.TOO_LARGE)

        async def chunks() -> Any:
            yield bytes(64)

        answer = await at.client.post("/v1/put", content=chunks(),
                                      headers={"content-type": MEDIA_TYPE})  # fmt: skip
        refused(answer, 400, Reason.BAD_FORM)  # not in chunks: each may be a byte
        item = Box().item(bytes(2_097_153))
        refused(await at.post("/v1/put", PUT.build([item])), 413, Reason.TOO_LARGE)
        assert "evanesce_body_bytes 0.0" in at.metrics()


async def test_a_client_that_announces_without_end_is_refused_at_once(tmp_path: Path) -> None:
    async with served(memory_relay(tmp_path)) as at:
        answer = await raw(at, head_of(99_999_999_999))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer


def head_of(length: int) -> bytes:
    """The head of a put with a body of this length."""
    lines = (f"POST /v1/put HTTP/1.1\r\nhost: x\r\ncontent-type: {MEDIA_TYPE}\r\n"
             f"content-length: {length}\r\n\r\n")  # fmt: skip
    return lines.encode()


async def raw(at: Served, *parts: bytes, pause: float = 0.0, until: bytes = b"") -> bytes:
    """Send bytes; what comes back until the relay closes the connection, or `until`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(at.base.rsplit(":", 1)[1]))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        coming = reader.readuntil(until) if until else reader.read()
        return await asyncio.wait_for(coming, 5)
    finally:
        writer.close()


async def test_a_body_that_does_not_come_is_408(tmp_path: Path) -> None:
    async with served(memory_relay(tmp_path), bounds=Bounds(body_seconds=0.2)) as at:
        answer = await raw(at, head_of(100) + b"abc")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"reason":"bad-form"' in answer
        assert "evanesce_body_bytes 0.0" in at.metrics()


async def test_a_head_that_does_not_come_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evanesce.relay.web.connections.HEADER_SECONDS", 0.2)
    async with served(memory_relay(tmp_path)) as at:
        first = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
        assert await raw(at) == b""
        assert await raw(at, b"GET /v1/ab") == b""
        answer = await raw(at, first, b"GET /v1/ab", pause=0.1)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"ok\n")
        await at.client.get("/healthz")
        (kept,) = at.server.server_state.connections
        await asyncio.sleep(0.4)  # between requests it may be idle for longer
        assert at.server.server_state.connections == {kept}


@pytest.mark.parametrize("sent", [
    b"\x16\x03\x01 not HTTP\r\n\r\n",
    b"GET /v1/about HTTP/1.1\r\nbad header\r\n\r\n",
    b"GET /v1/mailboxes HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
])  # fmt: skip
async def test_what_is_no_http_and_no_websocket_is_400_too(tmp_path: Path, sent: bytes) -> None:
    async with served(memory_relay(tmp_path)) as at:
        answer = await raw(at, sent, until=b"}")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'{"reason":"bad-form",' in answer
        assert (await at.client.get("/healthz")).text == "ok\n"


async def test_what_has_a_body_opens_no_websocket(tmp_path: Path) -> None:
    async with served(memory_relay(tmp_path)) as at:
        sent = (b"GET /v1/mailboxes HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n"
                b"upgrade: websocket\r\ncontent-length: 3\r\n\r\nabc")  # fmt: skip
        assert (await raw(at, sent, until=b"}")).startswith(b"HTTP/1.1 426 ")


async def test_a_post_that_asks_for_a_websocket_is_a_post(tmp_path: Path) -> None:
    async with served(memory_relay(tmp_path)) as at:
        answer = await at.post("/v1/claim", CLAIM.build(bytes(32)),
                               {"connection": "upgrade", "upgrade": "websocket"})  # fmt: skip
        assert answer.status_code == 204


async def test_a_request_that_is_torn_does_nothing(tmp_path: Path) -> None:
    box = Box()
    async with served(memory_relay(tmp_path)) as at, reading(at.base) as reader:
        await reader.make(box)
        body = box.put(bytes(50_000))
        head = head_of(len(body) + 1)  # so it is torn even where all of an object has come
        for end in (0, 1, 1_000, len(body) - 1, len(body)):
            _, writer = await asyncio.open_connection("127.0.0.1", int(at.base.rsplit(":", 1)[1]))
            writer.write(head + body[:end])
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.transport.abort()
        await reader.subscribe(box)
        await reader.grant()
        await reader.quiet()
        assert reader.got == []
        assert "evanesce_body_bytes 0.0" in at.metrics()
        assert "evanesce_requests_in_flight 0.0" in at.metrics()
        assert outcomes(await at.post("/v1/put", body)) == [None]


# Shares and bounds


async def test_who_has_had_its_share_is_told_when_to_come_again(tmp_path: Path) -> None:
    """REQ-RELAY-02."""
    settings = RelaySettings(puts_per_client=10, claims_per_identity=2, claims_per_client=4,
                             publishes_per_client=1, blobs_per_client=1)  # fmt: skip
    async with served(memory_relay(tmp_path, settings), settings) as at:
        box = Box()
        assert outcomes(await at.post("/v1/put", box.put(*[b"x"] * 9)))
        more = await at.post("/v1/put", box.put(b"x", b"x"))
        retry = refused(more, 429, Reason.TOO_MANY_REQUESTS)
        assert retry == 6  # ten a minute: one more in six seconds
        one, two = CLAIM.build(bytes(32)), CLAIM.build(bytes([1]) * 32)
        assert [(await at.post("/v1/claim", body)).status_code for body in (one, one)] == [204] * 2
        assert refused(await at.post("/v1/claim", one), 429, Reason.TOO_MANY_REQUESTS) == 30
        assert (await at.post("/v1/claim", two)).status_code == 204
        assert refused(await at.post("/v1/claim", two), 429, Reason.TOO_MANY_REQUESTS) == 15
        publish = PUBLISH.build(bytes(32), [], None)
        assert (await at.post("/v1/publish", publish)).status_code == 204
        assert refused(await at.post("/v1/publish", publish), 429, Reason.TOO_MANY_REQUESTS) == 60
        path = "/v1/blobs/" + "0" * 64
        refused(await at.client.get(path), 404, Reason.UNKNOWN_BLOB)
        assert refused(await at.client.get(path), 429, Reason.TOO_MANY_REQUESTS) == 60


class Broken(Relay):
    """A relay on which nothing succeeds."""

    error: Exception = RemoteError(Reason.RELAY_BUSY)

    async def put(self, items: Sequence[Posted]) -> list[Reason | None]:
        raise self.error

    async def put_blob(self, token_hash: bytes, content: bytes) -> None:
        raise self.error


def broken(folder: Path, error: Exception) -> Relay:
    relay = memory_relay(folder)
    relay.__class__ = Broken
    assert isinstance(relay, Broken)
    relay.error = error
    return relay


@pytest.mark.parametrize(("error", "status", "reason"), [
    (RemoteError(Reason.RELAY_BUSY), 503, Reason.RELAY_BUSY),
    (RemoteError(Reason.RELAY_FULL), 507, Reason.RELAY_FULL),
    (RemoteError(Reason.TOO_MANY_REQUESTS), 429, Reason.TOO_MANY_REQUESTS),
    (RuntimeError("secret"), 503, Reason.RELAY_BUSY),
])  # fmt: skip
async def test_what_the_relay_below_cannot_do_is_told(
    tmp_path: Path, error: Exception, status: int, reason: Reason
) -> None:
    """REQ-RELAY-02."""
    async with served(broken(tmp_path, error)) as at:
        answer = await at.post("/v1/put", Box().put())
        assert refused(answer, status, reason) >= 1
        assert "secret" not in answer.text + "".join(at.log)
        assert (await at.client.get("/healthz")).status_code == 200


async def test_only_so_many_requests_are_answered_at_a_time(tmp_path: Path) -> None:
    go = asyncio.Event()

    class Slow(Relay):
        async def claim(self, fingerprint: bytes) -> bytes | None:
            await go.wait()
            return None

    relay = memory_relay(tmp_path)
    relay.__class__ = Slow
    async with served(relay, bounds=Bounds(requests_in_flight=3)) as at:
        body = CLAIM.build(bytes(32))
        under_way = [asyncio.create_task(at.post("/v1/claim", body)) for _ in range(3)]
        while at.app.face.in_flight < 3:
            await asyncio.sleep(0.01)
        assert refused(await at.post("/v1/claim", body), 503, Reason.RELAY_BUSY) >= 1
        assert (await at.client.get("/healthz")).status_code == 200
        go.set()
        assert [(await each).status_code for each in under_way] == [204] * 3
        assert (await at.post("/v1/claim", body)).status_code == 204


async def test_bodies_share_a_bounded_memory(tmp_path: Path) -> None:
    bounds = Bounds(body_bytes=100_000, body_seconds=5)
    async with served(memory_relay(tmp_path), bounds=bounds) as at:
        body = Box().put(bytes(80_000))
        head = head_of(len(body))
        slow = asyncio.create_task(raw(at, head + body[:-1]))
        while "evanesce_body_bytes 0.0" in at.metrics():
            await asyncio.sleep(0.01)
        assert refused(await at.post("/v1/put", body), 503, Reason.RELAY_BUSY) >= 1
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        while "evanesce_body_bytes 0.0" not in at.metrics():
            await asyncio.sleep(0.01)
        assert outcomes(await at.post("/v1/put", body)) == [Reason.UNKNOWN_MAILBOX]


async def test_who_sends_heads_and_no_bodies_takes_no_place_of_others(tmp_path: Path) -> None:
    bounds = Bounds(requests_in_flight=3, body_seconds=5)
    async with served(memory_relay(tmp_path), bounds=bounds) as at:
        slow = [asyncio.create_task(raw(at, head_of(100))) for _ in range(EACH)]
        while at.app.face.begun < EACH:
            await asyncio.sleep(0.01)
        # another client has its own share of bodies on their way: here it has no other address
        at.app.face.bodies._coming_of.clear()
        assert outcomes(await at.post("/v1/put", Box().put())) == [Reason.UNKNOWN_MAILBOX]
        assert "evanesce_requests_in_flight 0.0" in at.metrics()
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_one_client_has_only_so_many_bodies_on_their_way(tmp_path: Path) -> None:
    async with served(memory_relay(tmp_path), bounds=Bounds(body_seconds=5)) as at:
        slow = [asyncio.create_task(raw(at, head_of(100))) for _ in range(EACH)]
        bodies = at.app.face.bodies
        while sum(bodies._coming_of.values()) < EACH:
            await asyncio.sleep(0.01)
        assert refused(await at.post("/v1/put", Box().put()), 429, Reason.TOO_MANY_REQUESTS) >= 1
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        while bodies._coming_of:
            await asyncio.sleep(0.01)
        assert outcomes(await at.post("/v1/put", Box().put())) == [Reason.UNKNOWN_MAILBOX]


async def test_one_client_takes_only_its_part_of_the_memory_for_bodies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evanesce.relay.web.bodies.LEAST", 100_000)
    async with served(memory_relay(tmp_path), bounds=Bounds(body_bytes=800_000)) as at:
        body = Box().put(bytes(80_000))
        slow = asyncio.create_task(raw(at, head_of(len(body)) + body[:-1]))
        while at.app.face.bodies._held_of.total() < len(body) - 1:
            await asyncio.sleep(0.01)
        assert refused(await at.post("/v1/put", body), 429, Reason.TOO_MANY_REQUESTS) >= 1
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)


async def test_the_bytes_of_bodies_are_paid_for_before_they_are_read(tmp_path: Path) -> None:
    settings = RelaySettings(put_bytes_per_client=60_000)
    async with served(memory_relay(tmp_path, settings), settings) as at:
        refused(await at.post("/v1/put", bytes(20_000)), 400, Reason.TRAILING_BYTES)
        content = BLOB.build(bytes(32), bytes(30_000))
        assert (await at.post("/v1/blobs", content)).status_code == 204
        for path, body in (("/v1/put", Box().put(bytes(20_000))), ("/v1/blobs", content)):
            assert 10 <= refused(await at.post(path, body), 429, Reason.TOO_MANY_REQUESTS) <= 30
        unread = await raw(at, head_of(40_000), until=b"}")  # told before anything of it comes
        assert unread.startswith(b"HTTP/1.1 429 ")
        short = [await at.post("/v1/claim", CLAIM.build(bytes(32))) for _ in range(20)]
        assert 429 in {each.status_code for each in short}  # the shortest cost something too


async def test_a_body_in_chunks_is_refused_before_it_is_read(tmp_path: Path) -> None:
    head = head_of(0).replace(b"content-length: 0", b"transfer-encoding: chunked")
    async with served(memory_relay(tmp_path)) as at:
        answer = await raw(at, head + b"1\r\na\r\n" * 1_000)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"connection: close" in answer
        known = at.server.server_state.connections
        await at.client.get("/healthz")
        assert {getattr(each.transport, "max_size", 0) for each in known} == {READ}


async def test_a_long_body_of_many_items_holds_nobody_up(tmp_path: Path) -> None:
    size = PUT.limit - 32
    bomb = b"\x93\x01\x30\xdd" + size.to_bytes(4, "big") + bytes(size)
    async with served(memory_relay(tmp_path)) as at:
        await at.client.get("/healthz")
        under_way = asyncio.create_task(at.post("/v1/put", bomb))
        longest = 0.0
        while not under_way.done():
            began = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - began)
        refused(await under_way, 413, Reason.TOO_LARGE)
        assert longest < 0.2


async def test_a_client_has_only_so_many_connections(tmp_path: Path) -> None:
    settings = RelaySettings(connections_per_client=5)
    ask = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    port = 0

    async def opened() -> tuple[bytes, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask)
        try:
            return await asyncio.wait_for(reader.read(15), 5), writer
        except ConnectionError:
            return b"", writer

    async with served(memory_relay(tmp_path, settings), settings) as at:
        port = int(at.base.rsplit(":", 1)[1])
        come = [await opened() for _ in range(7)]
        assert [answer for answer, _ in come] == [b"HTTP/1.1 200 OK"] * 5 + [b""] * 2
        come[0][1].close()
        doors = at.server.doors
        while doors._all > 4:
            await asyncio.sleep(0.01)
        answer, writer = await opened()
        assert answer == b"HTTP/1.1 200 OK"
        for each in (writer, *(writer for _, writer in come)):
            each.close()
        while doors._all:
            await asyncio.sleep(0.01)
        assert not doors._of


async def test_behind_a_proxy_each_client_has_its_own_share(tmp_path: Path) -> None:
    """And what a client itself says of where it comes from is not believed."""
    settings = RelaySettings(claims_per_client=1, connections_per_client=1)
    body = CLAIM.build(bytes(32))

    async def ask(at: Served, forwarded: str) -> int:
        async with httpx2.AsyncClient(base_url=at.base) as client:  # a proxy opens many
            headers = TYPE | {"x-forwarded-for": forwarded}
            return (await client.post("/v1/claim", content=body, headers=headers)).status_code

    relay = memory_relay(tmp_path, settings)
    async with served(relay, settings, trusted_proxies="127.0.0.0/8, 10.0.0.1") as at:
        assert await ask(at, "192.0.2.1") == 204
        assert await ask(at, "192.0.2.1") == 429
        assert await ask(at, "203.0.113.1, 192.0.2.1, 10.0.0.1") == 429
        assert await ask(at, "192.0.2.2:4711") == 204
        assert await ask(at, "[2001:db8::1]:4711") == 204
        assert await ask(at, "2001:db8::1") == 429
    relay = memory_relay(tmp_path / "other", settings)
    async with served(relay, RelaySettings(claims_per_client=1)) as at:
        assert await ask(at, "192.0.2.1") == 204
        assert await ask(at, "192.0.2.2") == 429


async def test_a_relay_that_stops_takes_nothing_new(tmp_path: Path) -> None:
    async with served(memory_relay(tmp_path)) as at:
        assert (await at.client.get("/readyz")).status_code == 200
        assert await at.app.drain(5)
        for path in POSTS:
            assert refused(await at.post(path, b"x"), 503, Reason.RELAY_BUSY) >= 1
        refused(await at.client.get("/v1/blobs/" + "0" * 64), 503, Reason.RELAY_BUSY)
        refused(await at.client.get("/readyz"), 503, Reason.RELAY_BUSY)
        assert (await at.client.get("/healthz")).status_code == 200
