"""Connections that hang cannot stay: what uvicorn's protocols leave open for ever is cut here.

An asyncio transport that is closed waits until its buffer is taken, and a client that has stopped
reading never takes it. So a connection of this relay can be aborted, and is: when its request does
not come in time, when a ping is not answered, when what was written is not taken.
"""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from typing import Any, Final, cast

import h11
from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import Frame
from websockets.http11 import Request, Response

__all__ = ["BUFFER", "CONNECTION", "READ", "HttpConnection", "WebSocketConnection",
           "read_less"]  # fmt: skip

CONNECTION: Final = "evanesce.connection"  # where an ASGI scope's state holds the connection
BUFFER: Final = 64 * 1024  # bytes written and not taken, from which on writing waits
READ: Final = 16 * 1024  # bytes read at once: no client gets more of a turn of the loop
HEADER_SECONDS: Final = 10.0  # for the head of a request
TAKE_SECONDS: Final = 20.0  # until a client must have taken some of its answer
CLOSE_SECONDS: Final = 3.0  # for the close of a WebSocket, or the last bytes of a connection
FRAGMENTS: Final = 64  # of one message: all that a client sends is small
CONTROLS: Final = 64  # pings and pongs that may come at once,
CONTROLS_A_SECOND: Final = 2  # and one after the other: a client sends one in some seconds

_BAD_REQUEST: Final = b'{"reason":"bad-form","detail":"not a request of HTTP/1.1"}'
_BAD_HANDSHAKE: Final = b'{"reason":"bad-form","detail":"not the opening of a WebSocket"}'


def read_less() -> None:
    """Let what TLS reads be bounded like the rest; its buffers, of each connection, shrink too."""
    SSLProtocol.max_size = READ


class HttpConnection(H11Protocol):
    """An HTTP connection that is cut when the head of a request, or its reader, does not come."""

    most_connections: int | None = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_timer: asyncio.TimerHandle | None = None
        self._take_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own annotation
        """A client has come."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(BUFFER)
        if hasattr(transport, "max_size"):  # of TLS, see `read_less`
            transport.max_size = READ
        if self.most_connections is not None and len(self.connections) > self.most_connections:
            transport.abort()
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        """Something of a request, or all of it, has come."""
        super().data_received(data)
        if self.transport.get_protocol() is self and not self._is_answering():
            self._await_head()
        else:
            self._stop_timer()

    def _should_upgrade(self) -> bool:
        # What has a body is no opening of a WebSocket: below, it would be waited for.
        bodied = {b"content-length", b"transfer-encoding"}.intersection(dict(self.headers))
        return self.scope["method"] == "GET" and not bodied and super()._should_upgrade()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEADER_SECONDS, self._cut)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _cut(self) -> None:
        self._head_timer = None
        if not self._is_answering():
            self.transport.abort()

    def pause_writing(self) -> None:
        """What was written is not taken."""
        super().pause_writing()
        self._take_timer = self.loop.call_later(TAKE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It is."""
        super().resume_writing()
        if self._take_timer is not None:
            self._take_timer.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """No other request has come."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(TAKE_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._stop_timer()
        if self._take_timer is not None:
            self._take_timer.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.close()
            return
        head = h11.Response(status_code=400, reason=b"Bad Request", headers=[
            (b"content-type", b"application/json"), (b"connection", b"close"),
            (b"content-length", b"%d" % len(_BAD_REQUEST))])  # fmt: skip
        for event in (head, h11.Data(data=_BAD_REQUEST), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket whose application can wait until what it wrote is taken, and can cut it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, CONNECTION: self}, _loop)
        self.close_timeout = CLOSE_SECONDS
        self._controls = float(CONTROLS)
        self._controlled = self.loop.time()
        accept = self.conn.accept

        def accept_or_tell(request: Request) -> Response:
            response = accept(request)
            return response if response.status_code == 101 else _bad_handshake(response)

        self.conn.accept = accept_or_tell  # type: ignore[method-assign]  # the parser's only hook

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has asked for a WebSocket."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(BUFFER)
        self._together = _Together(self.transport, self.loop)
        self.transport = cast(asyncio.Transport, self._together)

    async def drained(self) -> None:
        """Return once the client has taken most of what was written, or is gone."""
        self._together.flush()
        await self.writable.wait()

    def abort(self) -> None:
        """Cut it, whatever is left to be taken."""
        self.transport.abort()

    def handle_ping(self) -> None:
        """A ping: its answer is written whether or not anything is taken, so they are counted."""
        if self._may_control():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """A pong: those that nobody asked for cost as much as pings."""
        if self._may_control():
            super().handle_pong(event)

    def _may_control(self) -> bool:
        now = self.loop.time()
        since = (now - self._controlled) * CONTROLS_A_SECOND
        self._controls = min(float(CONTROLS), self._controls + since) - 1
        self._controlled = now
        if self._controls < 0:
            self.abort()
            return False
        return True

    def handle_cont(self, event: Frame) -> None:
        """A fragment: empty ones are below any bound of bytes, so they are counted."""
        if len(self.frames) >= FRAGMENTS:
            self.abort()
            return
        super().handle_cont(event)

    async def send(self, message: ASGISendEvent) -> None:
        """Send what the application says; what is no WebSocket is complete with its last part."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # else it is taken for a failure, and logged as one

    def handle_parser_exception(self) -> None:
        """What came is no WebSocket; or, before it is one, no opening of one."""
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
            return
        told = _bad_handshake(Response(400, "Bad Request", Headers()))
        self.transport.write(told.serialize())
        self.transport.close()

    def keepalive_timeout(self) -> None:
        """A ping was not answered: nobody is there who would take what is left."""
        super().keepalive_timeout()
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def shutdown(self) -> None:
        """The server stops."""
        super().shutdown()
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


class _Together:
    """A transport to which what is written in one turn of the loop is given at once.

    Frames are small and many: a call of the system for each would be a good part of all work.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write it soon."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)

    def flush(self) -> None:
        """Write it now."""
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        """Write what is left, and close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Cut it."""
        self._parts = []
        self._transport.abort()


def _bad_handshake(response: Response) -> Response:
    headers = response.headers
    for name in ("Content-Type", "Content-Length", "Connection"):
        if name in headers:
            del headers[name]
    headers["Content-Type"] = "application/json"
    headers["Content-Length"] = str(len(_BAD_HANDSHAKE))
    headers["Connection"] = "close"
    response.body = _BAD_HANDSHAKE
    return response
