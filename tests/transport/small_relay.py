"""A relay in a few lines, in this process, that does what a test tells it: also what none should.

It keeps everything in memory and checks little: what a real relay does is tested with a real one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from evanesce import relay_formats as forms
from evanesce.mailbox import MailboxKeys
from evanesce.ports import Outgoing
from evanesce.transport.relay import RelayTransport
from evanesce.wire import decode, kind_of

BY_TYPE = {form.type: form for form in vars(forms).values() if hasattr(form, "build")}


class SmallRelay:
    """What waits, what was asked, and how it is to misbehave."""

    def __init__(self) -> None:
        self.boxes: dict[bytes, dict[bytes, bytes]] = {}
        self.notices: dict[bytes, dict[bytes, bytes]] = defaultdict(dict)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.frames: list[tuple[str, list[Any]]] = []
        self.sessions = 0
        self.answers: list[Response] = []  # given to the next requests, in the place of its own
        self.outcomes: list[str | None] = []  # of the next items
        self.reasons: dict[str, tuple[str, int]] = {}  # by frame: refused so
        self.delay = 0.0  # seconds between a frame and its answer
        self.refuse_sessions: Response | None = None
        self.hang_up: int | None = None  # close code, at the challenge
        self.ignores_credit = False
        self.lives: list[WebSocket] = []
        self.url = ""

    async def ask(self, request: Request) -> Response:
        body = await request.body()
        self.requests.append(
            (request.method, request.url.path, dict(request.headers), body)
        )
        if self.answers:
            return self.answers.pop(0)
        if request.url.path.endswith("/v1/about"):
            return JSONResponse({"protocols": [forms.SUBPROTOCOL]})
        form = BY_TYPE[kind_of(decode(body, limit=1 << 23))]
        fields = form.parse(body)
        if form is forms.PUT:
            reasons = [self._put(*item) for item in fields[0]]
            return Response(forms.OUTCOMES.build(reasons))
        if form is forms.RECALL:
            return Response(forms.OUTCOMES.build([None for _ in fields[0]]))
        return Response(status_code=204)

    def _put(self, address: bytes, _: bytes, key: bytes, envelope: bytes) -> str | None:
        reason = self.outcomes.pop(0) if self.outcomes else None
        if reason is None and address not in self.boxes:
            reason = "unknown-mailbox"
        if reason is None:
            self.boxes[address].setdefault(key, envelope)
        return reason

    async def read(self, socket: WebSocket) -> None:
        self.sessions += 1
        if self.refuse_sessions is not None:
            await socket.send_denial_response(self.refuse_sessions)
            return
        await socket.accept(forms.SUBPROTOCOL)
        await socket.send_bytes(forms.CHALLENGE.build(secrets.token_bytes(32)))
        if self.hang_up is not None:
            await socket.close(self.hang_up)
            return
        self.lives.append(socket)
        credit = [0, 0]
        sent: defaultdict[bytes, set[bytes]] = defaultdict(set)
        subscribed: set[bytes] = set()
        pushing = asyncio.create_task(self._push(socket, subscribed, credit, sent))
        try:
            while True:
                await self._frame(socket, await socket.receive_bytes(), subscribed, credit, sent)
        except WebSocketDisconnect:
            pass
        finally:
            self.lives.remove(socket)
            pushing.cancel()

    async def _frame(
        self, socket: WebSocket, data: bytes, subscribed: set[bytes], credit: list[int],
        sent: dict[bytes, set[bytes]],
    ) -> None:  # fmt: skip
        form = BY_TYPE[kind_of(decode(data, limit=1 << 16))]
        fields = form.parse(data)
        self.frames.append((form.name, fields))
        if form is forms.CREDIT:
            credit[0] += fields[0]
            credit[1] += fields[1]
            return
        reason, seconds = self.reasons.get(form.name, (None, 0))
        if reason is None and form is not forms.PROVE:
            reason = self._act(form, fields[1], fields[2:], subscribed, sent)
        await asyncio.sleep(self.delay)
        await socket.send_bytes(forms.DONE.build(fields[0], reason, seconds))

    def _act(
        self, form: Any, address: bytes, more: list[Any], subscribed: set[bytes],
        sent: dict[bytes, set[bytes]],
    ) -> str | None:  # fmt: skip
        if form is forms.MAKE_MAILBOX:
            self.boxes.setdefault(address, {})
        elif form is forms.REMOVE_MAILBOX:
            self.boxes.pop(address, None)
        elif form is forms.SUBSCRIBE:
            if address not in self.boxes:
                return "unknown-mailbox"
            subscribed.add(address)
        elif form is forms.UNSUBSCRIBE:
            subscribed.discard(address)
            sent.pop(address, None)
        elif form is forms.ACK:
            for key in more[0]:
                self.boxes.get(address, {}).pop(key, None)
                self.notices[address].pop(key, None)
        return None

    async def _push(
        self, socket: WebSocket, subscribed: set[bytes], credit: list[int],
        sent: dict[bytes, set[bytes]],
    ) -> None:  # fmt: skip
        while True:
            for address in list(subscribed):
                for key, statement in self.notices[address].items():
                    if key not in sent[address]:
                        sent[address].add(key)
                        await socket.send_bytes(forms.NOTICE.build(address, key, statement))
                for key, envelope in list(self.boxes.get(address, {}).items()):
                    if key in sent[address] or not (self.ignores_credit or min(credit) > 0):
                        continue
                    credit[0] -= 1
                    credit[1] -= len(envelope)
                    sent[address].add(key)
                    await socket.send_bytes(forms.DELIVERY.build(address, key, envelope))
            await asyncio.sleep(0.01)

    async def cut(self, code: int = 1001) -> None:
        """End all sessions."""
        for socket in list(self.lives):
            await socket.close(code)


@asynccontextmanager
async def small_relay() -> AsyncIterator[SmallRelay]:
    """Run one."""
    relay = SmallRelay()
    app = Starlette(routes=[
        WebSocketRoute("/v1/mailboxes", relay.read),
        Route("/{path:path}", relay.ask, methods=["GET", "POST"]),
    ])  # fmt: skip
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off",
                            timeout_graceful_shutdown=1)  # fmt: skip
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running = asyncio.create_task(server._serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        relay.url = f"http://127.0.0.1:{port}"
        yield relay
    finally:
        server.should_exit = True
        await running


def item_for(keys: MailboxKeys, size: int = 512) -> Outgoing:
    """An envelope for a mailbox."""
    return Outgoing(secrets.token_bytes(16), keys.mailbox, secrets.token_bytes(size))


async def make_mailbox(client: RelayTransport) -> MailboxKeys:
    """A mailbox that has been opened."""
    keys = MailboxKeys.generate(secrets.token_bytes)
    await client.open_mailbox(keys.reader())
    return keys


def refused_with(
    status: int, reason: str, seconds: str | None = None, detail: str = ""
) -> Response:
    """A refusal of a whole request."""
    headers = {} if seconds is None else {"Retry-After": seconds}
    return JSONResponse({"reason": reason, "detail": detail}, status, headers=headers)
