"""The application: each path of spec 22.1, what bounds it, and what it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from ...errors import Reason, RemoteError
from ...relay_formats import (
    BLOB,
    BLOB_DELETION,
    CLAIM,
    MEDIA_TYPE,
    OUTCOMES,
    PUBLISH,
    PUT,
    RECALL,
    SUBPROTOCOL,
)
from ...wire import Form
from ..relay import Posted, Recalled, Relay
from ..settings import RelaySettings
from .about import about
from .bodies import Bodies, Gone, Incoming
from .errors import Refusal, answer, refusal_of
from .face import Bounds, Face
from .logs import Level, Log
from .metrics import CONTENT_TYPE, Metrics
from .rates import Rates
from .session import GOING_AWAY, Session

__all__ = ["RelayApplication", "application"]

PATHS: Final = ("/v1/put", "/v1/recall", "/v1/publish", "/v1/claim", "/v1/blobs",
                "/v1/blobs/delete", "/v1/mailboxes", "/v1/about", "/healthz", "/readyz",
                "/metrics", "/openapi.json")  # fmt: skip
_UNBOUNDED: Final = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/about"})
LEAST: Final = 1_024  # bytes that the shortest body costs of its client's share
LONG: Final = 256 * 1024  # bytes of a body, from which on it is parsed beside the loop
_INCOMING: Final = "evanesce.incoming"
_CONNECTION: Final = "evanesce.connection"  # as `connections.CONNECTION`, without uvicorn
_CLOSE: Final = (b"connection", b"close")
_NO_STORE: Final = {"cache-control": "no-store"}


def application(
    relay: Relay,
    settings: RelaySettings,
    *,
    bounds: Bounds | None = None,
    metrics: Metrics | None = None,
    log: Log | None = None,
    said: dict[str, Any] | None = None,
    healthy: Callable[[], bool] = lambda: True,
) -> RelayApplication:
    """The relay as an ASGI application. The caller starts, ticks and stops `relay`.

    `said` is added to what `/v1/about` answers; `healthy` tells whether keys are destroyed in time.
    """
    bounds = bounds or Bounds()
    metrics = metrics or Metrics()
    face = Face(
        relay=relay,
        settings=settings,
        bounds=bounds,
        metrics=metrics,
        log=log or Log(level=Level.ERROR),
        rates=Rates(settings),
        bodies=Bodies(bounds.body_bytes, bounds.body_seconds, metrics),
        said=about(settings) | (said or {}),
        healthy=healthy,
    )
    return RelayApplication(face)


class RelayApplication:
    """An ASGI application that can be drained. `admin` is the one for the operator's address."""

    def __init__(self, face: Face) -> None:
        self.face = face
        requests = _Requests(face)
        self._inner = _starlette(requests.routes() + _status_routes(face))
        self.admin: ASGIApp = _starlette([*_status_routes(face), _metrics_route(face)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:  # pragma: no cover - the lifespan of servers that insist on it
            await self._inner(scope, receive, send)

    async def drain(self, seconds: float) -> bool:
        """Take nothing new, end sessions with 1001, and let what is under way be finished.

        False if it was not within `seconds`.
        """
        face = self.face
        face.draining = True
        for session in list(face.sessions):
            session.stop(GOING_AWAY, str(Reason.RELAY_BUSY))
        deadline = time.monotonic() + seconds
        while face.begun or face.sessions:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        face = self.face
        incoming = Incoming(scope, receive)
        path = _path_label(scope["path"])
        began = time.monotonic()
        status = 0

        async def note(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.get("headers", [])
                if _CLOSE not in headers and not await incoming.discard():
                    message["headers"] = [*headers, _CLOSE]
            await send(message)

        bounded = path not in _UNBOUNDED
        scope[_INCOMING] = incoming
        if bounded and face.draining:
            await answer(Refusal(Reason.RELAY_BUSY, "try again later"))(scope, receive, note)
        else:
            face.begun += bounded
            try:
                await self._inner(scope, receive, note)
            finally:
                face.begun -= bounded
        face.metrics.count("evanesce_requests", path, str(status))
        face.metrics.observe("evanesce_request_seconds", path, time.monotonic() - began)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 101

        async def note(message: Any) -> None:
            nonlocal status
            if message["type"] == "websocket.http.response.start":
                status = message["status"]
            await send(message)

        await self._inner(scope, receive, note)
        self.face.metrics.count("evanesce_requests", _path_label(scope["path"]), str(status))


def _path_label(path: str) -> str:
    if path in PATHS:
        return path
    return "/v1/blobs/{hash}" if path.startswith("/v1/blobs/") else "other"


def _starlette(routes: list[Any]) -> Starlette:
    made = Starlette(
        routes=routes,
        exception_handlers={HTTPException: _told_otherwise, Refusal: _told, Gone: _told_nobody},
    )
    made.router.redirect_slashes = False
    made.router.default = _unknown_path
    return made


async def _told(request: Any, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return answer(error)


async def _told_nobody(request: Any, error: Exception) -> Response:
    return Response(status_code=499)  # nobody hears it: it is counted


async def _told_otherwise(request: Any, error: Exception) -> Response:
    """What Starlette refuses by itself: a method that a path has not."""
    assert isinstance(error, HTTPException)
    detail = "not a method of this path" if error.status_code == 405 else "not understood"
    return answer(Refusal(Reason.BAD_FORM, detail, status=error.status_code,
                          headers=dict(error.headers or {})))  # fmt: skip


async def _unknown_path(scope: Scope, receive: Receive, send: Send) -> None:
    refusal = Refusal(Reason.BAD_FORM, "no such path", status=404)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(answer(refusal))
    else:
        await answer(refusal)(scope, receive, send)


def _status_routes(face: Face) -> list[Any]:
    description = files("evanesce.relay.web").joinpath("openapi.json").read_bytes()

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_NO_STORE)

    async def readyz(request: Request) -> Response:
        if face.ready():
            return PlainTextResponse("ready\n", headers=_NO_STORE)
        raise Refusal(Reason.RELAY_BUSY, "stopping, or keys are not destroyed in time")

    async def openapi(request: Request) -> Response:
        return Response(description, media_type="application/json")

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/openapi.json", openapi),
    ]


def _metrics_route(face: Face) -> Route:
    async def metrics(request: Request) -> Response:
        face.metrics.set("evanesce_ready", face.ready())
        face.metrics.set("evanesce_rate_entries", len(face.rates))
        return Response(face.metrics.text(), headers={"content-type": CONTENT_TYPE})

    return Route("/metrics", metrics)


Handler = Callable[[Request], Awaitable[Response]]


class _Requests:
    """What is done for each request."""

    def __init__(self, face: Face) -> None:
        self._face = face

    def routes(self) -> list[Any]:
        """All of spec 22.1."""
        posts: dict[str, Handler] = {
            "/v1/put": self.put,
            "/v1/recall": self.recall,
            "/v1/publish": self.publish,
            "/v1/claim": self.claim,
            "/v1/blobs": self.put_blob,
            "/v1/blobs/delete": self.delete_blob,
        }
        return [
            *(Route(path, self._guarded(call), methods=["POST"]) for path, call in posts.items()),
            Route("/v1/blobs/{hash}", self._guarded(self.blob), methods=["GET"]),
            Route("/v1/about", self.about, methods=["GET"]),
            Route("/v1/mailboxes", self.no_websocket, methods=["GET"]),
            WebSocketRoute("/v1/mailboxes", self.mailboxes),
        ]

    def _guarded(self, call: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            try:
                return await call(request)
            except (Refusal, Gone):
                raise
            except RemoteError as error:
                raise refusal_of(error) from None
            except Exception as error:  # what is not known to have succeeded has not
                self._face.log.failure("request-failed", error)
                raise Refusal(Reason.RELAY_BUSY, "it cannot be told whether it was done") from None

        return guarded

    def _client(self, request: Request) -> bytes:
        return self._face.rates.client(_host(request.scope))

    def _rate(self, kind: str, request: Request, count: int = 1) -> None:
        self._take(kind, self._client(request), count)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """One of the places of those that are worked on; a request has none before it has come."""
        face = self._face
        if face.in_flight >= face.bounds.requests_in_flight:
            raise Refusal(Reason.RELAY_BUSY, "try again later")
        face.in_flight += 1
        face.metrics.set("evanesce_requests_in_flight", face.in_flight)
        try:
            yield
        finally:
            face.in_flight -= 1
            face.metrics.set("evanesce_requests_in_flight", face.in_flight)

    def _take(self, kind: str, who: bytes, count: int = 1) -> None:
        wait = self._face.rates.take(kind, who, count)
        if wait:
            raise Refusal(Reason.TOO_MANY_REQUESTS, "more than its share", retry=wait)

    @asynccontextmanager
    async def _body(self, request: Request, form: Form) -> AsyncIterator[list[Any]]:
        """The fields of the body, whose memory counts until the block ends.

        Its bytes are paid for before the first of them is read, and whatever becomes of them.
        """
        bodies, client = self._face.bodies, self._client(request)
        incoming = request.scope[_INCOMING]
        octets = max(bodies.check(incoming, form.limit), LEAST)
        self._take("put_bytes_per_client", client, octets)
        async with bodies.read(incoming, form.limit, client) as body:
            with self._slot():
                if len(body) < LONG:
                    yield form.parse(body)
                else:  # each byte of it may be an item: others have their turn meanwhile
                    yield await asyncio.to_thread(form.parse, body)

    async def put(self, request: Request) -> Response:
        """`POST /v1/put`."""
        return await self._items(request, PUT, Posted, self._face.relay.put)

    async def recall(self, request: Request) -> Response:
        """`POST /v1/recall`."""
        return await self._items(request, RECALL, Recalled, self._face.relay.recall)

    async def _items(self, request: Request, form: Form, item: Any, act: Any) -> Response:
        self._rate("puts_per_client", request, 0)  # who has none left is told before it is read
        async with self._body(request, form) as (items,):
            self._rate("puts_per_client", request, len(items))
            outcomes = await act([item(*fields) for fields in items])
        for outcome in outcomes:
            told = "ok" if outcome is None else str(outcome)
            self._face.metrics.count("evanesce_items", form.name, told)
        return _object(OUTCOMES.build([None if o is None else str(o) for o in outcomes]))

    async def publish(self, request: Request) -> Response:
        """`POST /v1/publish`."""
        self._rate("publishes_per_client", request)
        async with self._body(request, PUBLISH) as (fingerprint, packages, last_resort):
            await self._face.relay.publish(fingerprint, packages, last_resort)
        return Response(status_code=204)

    async def claim(self, request: Request) -> Response:
        """`POST /v1/claim`."""
        self._rate("claims_per_client", request)
        async with self._body(request, CLAIM) as (fingerprint,):
            self._take("claims_per_identity", fingerprint)
            package = await self._face.relay.claim(fingerprint)
        return Response(status_code=204) if package is None else _object(package)

    async def put_blob(self, request: Request) -> Response:
        """`POST /v1/blobs`."""
        self._rate("blobs_per_client", request)
        async with self._body(request, BLOB) as (token_hash, content):
            await self._face.relay.put_blob(token_hash, content)
        return Response(status_code=204)

    async def delete_blob(self, request: Request) -> Response:
        """`POST /v1/blobs/delete`."""
        self._rate("blobs_per_client", request)
        async with self._body(request, BLOB_DELETION) as (content_hash, token):
            await self._face.relay.delete_blob(content_hash, token)
        return Response(status_code=204)

    async def blob(self, request: Request) -> Response:
        """`GET /v1/blobs/<hash in hex>`."""
        self._rate("blobs_per_client", request)
        name = request.path_params["hash"]
        if name == "delete":
            raise Refusal(Reason.BAD_FORM, "not a method of this path", status=405,
                          headers={"allow": "POST"})  # fmt: skip
        if len(name) != 64 or name.strip("0123456789abcdef"):
            raise Refusal(Reason.BAD_FORM, "a hash is 64 digits of lower-case hex", status=404)
        with self._slot():
            content = await self._face.relay.blob(bytes.fromhex(name))
        return Response(content, media_type="application/octet-stream", headers=_NO_STORE)

    async def about(self, request: Request) -> Response:
        """`GET /v1/about`."""
        return JSONResponse(self._face.said)

    async def no_websocket(self, request: Request) -> Response:
        """`GET /v1/mailboxes` without an upgrade."""
        raise Refusal(Reason.BAD_FORM, f"this path is for a WebSocket of {SUBPROTOCOL}",
                      status=426, headers={"upgrade": "websocket"})  # fmt: skip

    async def mailboxes(self, websocket: WebSocket) -> None:
        """`GET /v1/mailboxes`: a WebSocket, which is a session."""
        try:
            client = self._admit(websocket)
        except Refusal as refusal:
            await websocket.send_denial_response(answer(refusal))
            return
        scope, receive, send = websocket.scope, websocket._receive, websocket._send
        connection = scope.get("state", {}).get(_CONNECTION) or _NoConnection()
        try:
            await receive()  # websocket.connect
            await Session(self._face, client, receive, send, connection).run()
        finally:
            own = self._face.sessions_of
            own[client] -= 1
            if not own[client]:
                del own[client]

    def _admit(self, websocket: WebSocket) -> bytes:
        face = self._face
        if face.draining or len(face.sessions) >= face.settings.sessions:
            raise Refusal(Reason.RELAY_BUSY, "too many sessions, or stopping")
        if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
            raise Refusal(Reason.BAD_FORM, f"the subprotocol must be {SUBPROTOCOL}")
        client = face.rates.client(_host(websocket.scope))
        if face.sessions_of[client] >= face.settings.open_sessions_per_client:
            raise Refusal(Reason.TOO_MANY_REQUESTS, "too many sessions of one client")
        self._take("sessions_per_client", client)
        face.sessions_of[client] += 1
        return client


class _NoConnection:
    """Below a server other than ours: nothing is known of what is taken, and nothing can be cut."""

    async def drained(self) -> None:
        """At once."""

    def abort(self) -> None:
        """Not possible."""


def _host(scope: Scope) -> str | None:
    client = scope.get("client")
    return None if client is None else str(client[0])


def _object(data: bytes) -> Response:
    return Response(data, media_type=MEDIA_TYPE, headers=_NO_STORE)
