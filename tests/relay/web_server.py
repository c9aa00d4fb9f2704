"""A relay that listens on loopback, in this process or in one of its own, and a client of it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import websockets.asyncio.client as ws
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from evanesce.errors import Reason
from evanesce.mailbox import MailboxKeys
from evanesce.primitives import H
from evanesce.relay.clock import ManualRelayClock
from evanesce.relay.config import RelayConfig
from evanesce.relay.keys import RelayKeys
from evanesce.relay.memory_rows import MemoryRows
from evanesce.relay.relay import Relay
from evanesce.relay.serve import WebServer, listen, web_server
from evanesce.relay.settings import RelaySettings
from evanesce.relay.web.app import RelayApplication, application
from evanesce.relay.web.face import Bounds
from evanesce.relay.web.logs import Level, Log
from evanesce.relay_formats import (
    ACK,
    CHALLENGE,
    CREDIT,
    DELIVERY,
    DONE,
    MAKE_MAILBOX,
    MEDIA_TYPE,
    NOTICE,
    OUTCOMES,
    PROVE,
    PUT,
    SUBPROTOCOL,
    SUBSCRIBE,
)
from evanesce.wire import decode, kind_of

NOW = 1_790_000_000
TYPE = {"content-type": MEDIA_TYPE}
SECONDS = 10.0  # longer than anything here takes, on a busy machine


class Box:
    """A mailbox and the keys of its owner."""

    def __init__(self) -> None:
        self.keys = MailboxKeys.generate(secrets.token_bytes)
        self.address = self.keys.mailbox.address
        self.capability = self.keys.mailbox.capability

    def item(self, envelope: bytes = b"sealed", id: bytes | None = None) -> list[bytes]:
        """An item of a put."""
        return [self.address, self.capability, id or secrets.token_bytes(16), envelope]

    def put(self, *envelopes: bytes) -> bytes:
        """A put of these, with fresh ids."""
        return PUT.build([self.item(each) for each in envelopes or (b"sealed",)])


@dataclass
class Served:
    """A relay that is listening in this process."""

    base: str
    app: RelayApplication
    relay: Relay
    client: httpx2.AsyncClient
    server: WebServer
    log: list[str] = field(default_factory=list)

    async def post(self, path: str, body: bytes, headers: Any = None) -> httpx2.Response:
        """Post an object."""
        return await self.client.post(path, content=body, headers=TYPE | (headers or {}))

    def metrics(self) -> str:
        """All metrics, as text."""
        return self.app.face.metrics.text().decode()


class Lines(io.StringIO):
    """A stream that keeps what is written."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def write(self, text: str) -> int:
        """Keep it."""
        self._lines.append(text)
        return len(text)


def memory_relay(folder: Path, settings: RelaySettings | None = None) -> Relay:
    """A relay that keeps everything in memory, its keys in `folder`, with a clock that stands."""
    keys = RelayKeys.open(folder / "keys")
    return Relay(MemoryRows(), keys, ManualRelayClock(NOW), settings or RelaySettings())


@asynccontextmanager
async def served(
    relay: Relay,
    settings: RelaySettings | None = None,
    bounds: Bounds | None = None,
    **config: Any,
) -> AsyncIterator[Served]:
    """The relay on a free port of loopback, until the block ends."""
    settings = settings or RelaySettings()
    chosen = RelayConfig(port=0, settings=settings, **config)
    lines: list[str] = []
    log = Log(Lines(lines), Level.DEBUG)
    app = application(relay, settings, bounds=bounds, log=log)
    own = listen("127.0.0.1", 0)
    server = web_server(app, chosen)
    await relay.start()
    running = asyncio.create_task(server.serve(sockets=[own]))
    while not server.started:
        await asyncio.sleep(0.005)
    base = f"http://127.0.0.1:{own.getsockname()[1]}"
    try:
        async with httpx2.AsyncClient(base_url=base, timeout=SECONDS) as client:
            yield Served(base, app, relay, client, server, lines)
    finally:
        for session in list(app.face.sessions):
            session.stop(1001, "")
        server.should_exit = True
        await asyncio.wait_for(running, SECONDS)
        await relay.stop()


class Reader:
    """A WebSocket to a relay. Frames that are not answers are kept apart from those that are."""

    def __init__(self, socket: ws.ClientConnection, challenge: bytes) -> None:
        self.socket = socket
        self.challenge = challenge
        self.got: list[tuple[bytes, bytes, bytes]] = []  # deliveries
        self.notices: list[tuple[bytes, bytes, bytes]] = []
        self._done: dict[int, tuple[str | None, int]] = {}
        self._number = 0

    async def next(self) -> None:
        """Take one frame in."""
        data = await asyncio.wait_for(self.socket.recv(), SECONDS)
        assert isinstance(data, bytes)
        kind = kind_of(decode(data, limit=1 << 22))
        if kind == DONE.type:
            number, reason, seconds = DONE.parse(data)
            self._done[number] = reason, seconds
        elif kind == DELIVERY.type:
            address, id, envelope = DELIVERY.parse(data)
            self.got.append((address, id, envelope))
        else:
            address, id, statement = NOTICE.parse(data)
            self.notices.append((address, id, statement))

    async def ask(self, form: Any, *fields: Any) -> tuple[str | None, int]:
        """Send a frame with a number, and wait for its answer: reason and seconds."""
        self._number += 1
        number = self._number
        await self.socket.send(form.build(number, *fields))
        while number not in self._done:
            await self.next()
        return self._done.pop(number)

    async def prove(self, box: Box) -> tuple[str | None, int]:
        """Prove to own a mailbox."""
        proof = box.keys.reader().prove(self.challenge)
        return await self.ask(PROVE, box.keys.read_key, proof)

    async def make(self, *boxes: Box) -> None:
        """Prove and make."""
        for box in boxes:
            assert await self.prove(box) == (None, 0)
            made = await self.ask(MAKE_MAILBOX, box.address, H(b"capability", box.capability))
            assert made == (None, 0)

    async def subscribe(self, *boxes: Box) -> None:
        """Subscribe."""
        for box in boxes:
            assert await self.ask(SUBSCRIBE, box.address) == (None, 0)

    async def ack(self, box: Box, ids: Sequence[bytes]) -> None:
        """Ack."""
        assert await self.ask(ACK, box.address, list(ids)) == (None, 0)

    async def grant(self, envelopes: int = 1_000, octets: int = 16_777_216) -> None:
        """Give credit."""
        await self.socket.send(CREDIT.build(envelopes, octets))

    async def until(self, count: int) -> None:
        """Wait until so many deliveries have come."""
        while len(self.got) < count:
            await self.next()

    async def quiet(self, seconds: float = 0.2) -> None:
        """Take in what comes, until nothing has come for so long."""
        while True:
            try:
                async with asyncio.timeout(seconds):
                    await self.next()
            except TimeoutError:
                return

    async def ended(self) -> tuple[int, str]:
        """Wait until the relay has closed the connection: code and reason."""
        with suppress(ConnectionClosed):
            while True:
                await self.next()
        return self.socket.close_code or 0, self.socket.close_reason or ""


@asynccontextmanager
async def reading(base: str, **options: Any) -> AsyncIterator[Reader]:
    """A WebSocket to the relay at this address, whose challenge has come."""
    uri = base.replace("http", "ws", 1) + "/v1/mailboxes"
    options.setdefault("subprotocols", [Subprotocol(SUBPROTOCOL)])
    options.setdefault("max_size", None)
    async with ws.connect(uri, close_timeout=1, proxy=None, **options) as connection:
        first = await asyncio.wait_for(connection.recv(), SECONDS)
        assert isinstance(first, bytes)
        (challenge,) = CHALLENGE.parse(first)
        yield Reader(connection, challenge)


def outcomes(response: httpx2.Response) -> list[Reason | None]:
    """The outcomes of a put or recall."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    return [None if told is None else Reason(told) for told in OUTCOMES.parse(response.content)[0]]


class Process:
    """`evanesce relay serve` in a process of its own."""

    def __init__(self, popen: subprocess.Popen[bytes], base: str, admin: str, log: Path) -> None:
        self.popen = popen
        self.base = base
        self.admin = admin
        self._log = log

    @classmethod
    async def start(
        cls, folder: Path, *options: str, env: Mapping[str, str] | None = None
    ) -> Process:
        """Start it on free ports, with its state in `folder`, and wait until it listens."""
        log = folder / "log"
        folder.mkdir(exist_ok=True, parents=True)
        command = [sys.executable, "-m", "evanesce.cli", "relay", "serve", "--port", "0",
                   "--admin-port", "0", "--state", str(folder / "state"), *options]  # fmt: skip
        with log.open("ab") as errors:
            popen = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, **(env or {})}
            )
        assert popen.stdout is not None
        lines = []
        for _ in range(2):
            line = await asyncio.to_thread(popen.stdout.readline)
            assert line, log.read_text()
            lines.append(line.decode().split()[-1])
        return cls(popen, lines[0], lines[1], log)

    async def __aenter__(self) -> Process:
        return self

    async def __aexit__(self, *_: Any) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        await self.wait()

    async def wait(self) -> int:
        """Wait for its end; its exit code."""
        code = await asyncio.to_thread(self.popen.wait, 30)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)

    def resident(self) -> int:
        """How much memory it has, in bytes."""
        pages = int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def logged(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]
