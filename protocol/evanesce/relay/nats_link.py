"""One connection to a NATS cluster that is made anew, with back-off, whenever it is lost.

Questions that were under way when it was lost fail at once with `Lost`: whoever asked knows best
whether asking again is harmless. Nothing is kept back to be sent later.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..errors import LocalError, Reason
from .rows import StoreFailure

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["Answer", "Lost", "NatsCredentials", "NatsLink", "Refused"]

LEAST_PAUSE: Final = 0.05  # seconds before the first attempt to connect again
MOST_PAUSE: Final = 3.0
CONNECT_SECONDS: Final = 3
PING_SECONDS: Final = 2  # a half-open connection is noticed after three of these
BUFFER: Final = 64 << 20  # more than all that is ever under way, so that sending never waits
ENDS: Final = {"204", "400", "404", "408", "412", "413", "500", "503"}


class Lost(Exception):  # noqa: N818
    """The connection went while an answer was awaited: it may have been done or not."""


class Refused(StoreFailure):
    """The server answered with an error: its number (`err_code`) and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"the server refused: {text} ({code})")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsCredentials:
    """How the relay proves to the servers who it is. A URL may hold user and password instead."""

    file: str | None = None  # a .creds file
    nkey_file: str | None = None  # a file with a seed
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def options(self) -> dict[str, Any]:
        """As arguments of the client library."""
        given = {
            "user_credentials": self.file,
            "nkeys_seed": self.nkey_file,
            "user": self.user,
            "password": self.password,
            "token": self.token,
            "tls": self.tls,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that came back: its headers and payload."""

    headers: dict[str, str]
    data: bytes = field(repr=False)

    @property
    def status(self) -> str:
        """The status the server gave, or "" for an ordinary message."""
        return self.headers.get("Status", "")


@dataclass(slots=True)
class _Question:
    done: asyncio.Future[list[Answer]]
    many: bool
    answers: list[Answer] = field(default_factory=list)


class NatsLink:
    """A connection to one of several servers. `heard` gets what comes on `listen_to`, and
    nothing (b"") when it is connected again, since something may have been missed."""

    def __init__(
        self,
        urls: Sequence[str],
        credentials: NatsCredentials,
        *,
        listen_to: str,
        heard: Callable[[bytes], None],
        least_version: tuple[int, int],
    ) -> None:
        self._urls = list(urls)
        random.shuffle(self._urls)
        self._options = credentials.options()
        self._listen_to, self._heard = listen_to, heard
        self._least = least_version
        self._client: Client | None = None
        self._inbox = ""
        self._numbers = itertools.count(1)
        self._open: dict[str, _Question] = {}
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._stopped = False
        self.connects = 0  # how often it was connected: a doubt about what was sent when it grows

    async def start(self) -> None:
        """Connect to any of the servers. Raise `StoreFailure`; `LocalError` for an old server."""
        error: Exception = StoreFailure("no server")
        for _ in self._urls:
            try:
                await self._connect()
                break
            except StoreFailure as failed:
                error = failed
                self._urls.append(self._urls.pop(0))
        else:
            raise error
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Close it; what is under way fails."""
        self._stopped = True
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._close()

    async def ready(self, deadline: float) -> None:
        """Wait until it is connected. Raise `StoreFailure` when the deadline (loop time) passes."""
        if self._stopped:
            raise StoreFailure("the store is closed")
        if self._up.is_set():
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._up.wait()
        except TimeoutError:
            raise StoreFailure("no server can be reached") from None

    async def elsewhere(self) -> None:
        """Give up this server and go to another one: this one lags behind."""
        self._urls.append(self._urls.pop(0))
        self._lost()

    async def ask(
        self, subject: str, data: bytes = b"", headers: dict[str, str] | None = None
    ) -> asyncio.Future[list[Answer]]:
        """Send a question; the future gets its one answer, or `Lost`. `StoreFailure`: not sent."""
        return await self._send(subject, data, headers, many=False)

    async def ask_many(self, subject: str, data: bytes) -> asyncio.Future[list[Answer]]:
        """Send a question with several answers; the last one has a status."""
        return await self._send(subject, data, None, many=True)

    async def say(self, subject: str, data: bytes) -> None:
        """Send what nobody answers, if there is a connection."""
        if self._client is not None and self._up.is_set():
            with contextlib.suppress(Exception):  # best effort; the library raises many kinds
                await self._client.publish(subject, data)

    async def api(self, subject: str, body: object, deadline: float) -> dict[str, Any]:
        """Ask the JetStream API, again until the deadline: only what may be done twice.

        Raise `Refused` for what the server answers with an error that will not pass by itself,
        and `StoreFailure` when no answer came in time.
        """
        loop, pause = asyncio.get_running_loop(), 0.05
        data = json.dumps(body).encode() if body is not None else b""
        while True:
            await self.ready(deadline)
            try:
                asked = await self.ask(f"$JS.API.{subject}", data)
                async with asyncio.timeout_at(min(deadline, loop.time() + 3)):
                    answer = (await asked)[0]
            except (Lost, TimeoutError, StoreFailure):
                answer = None
            if answer is not None and not answer.status:
                reply: dict[str, Any] = json.loads(answer.data)
                error = reply.get("error")
                if error is None:
                    return reply
                if error.get("code") != 503:  # 503: no leader at the moment
                    raise Refused(error.get("err_code", 0), error.get("description", ""))
            if loop.time() + pause >= deadline or self._stopped:
                raise StoreFailure("the servers do not answer")
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311
            pause = min(1.0, 2 * pause)

    @property
    def info(self) -> dict[str, Any]:
        """What the server says of itself."""
        return dict(self._client._server_info) if self._client is not None else {}

    async def _send(
        self, subject: str, data: bytes, headers: dict[str, str] | None, *, many: bool
    ) -> asyncio.Future[list[Answer]]:
        client = self._client
        if client is None or not self._up.is_set():
            raise StoreFailure("no server can be reached")
        number = str(next(self._numbers))
        done: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda _: self._open.pop(number, None))
        self._open[number] = _Question(done, many)
        try:
            await client.publish(subject, data, reply=self._inbox + number, headers=headers)
        except Exception as error:  # the library's, its socket's or its codec's: it was not sent
            done.cancel()
            if client is self._client and not client.is_connected:
                self._lost()
            raise StoreFailure(f"not sent: {type(error).__name__}") from error
        return done

    async def _answered(self, message: Msg) -> None:
        question = self._open.get(message.subject.rpartition(".")[2])
        if question is None or question.done.done():
            return
        answer = Answer(message.headers or {}, message.data)
        question.answers.append(answer)
        if not question.many or answer.status in ENDS:
            question.done.set_result(question.answers)

    async def _told(self, message: Msg) -> None:
        self._heard(message.data)

    def _lost(self) -> None:
        self._up.clear()
        self._down.set()
        for question in list(self._open.values()):
            if not question.done.done():
                question.done.set_exception(Lost())
                question.done.exception()  # it is no fault if nobody waits any more

    async def _keep(self) -> None:
        pause = LEAST_PAUSE
        while True:
            await self._down.wait()
            await self._close()
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311
            try:
                await self._connect()
                pause = LEAST_PAUSE
            except (StoreFailure, LocalError):
                self._urls.append(self._urls.pop(0))
                pause = min(MOST_PAUSE, 2 * pause)

    async def _close(self) -> None:
        self._lost()
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await client.close()

    async def _connect(self) -> None:
        client = _client()
        me = [client]

        async def closed() -> None:
            if me[0] is self._client:
                self._lost()

        async def ignored(_: Exception) -> None:
            """The library's own default writes what went wrong, with addresses, to a log."""

        try:
            async with asyncio.timeout(CONNECT_SECONDS + 1):
                await client.connect(
                    self._urls[:1],
                    name="evanesce-relay",
                    error_cb=ignored,
                    closed_cb=closed,
                    disconnected_cb=closed,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=CONNECT_SECONDS,
                    ping_interval=PING_SECONDS,
                    max_outstanding_pings=2,
                    pending_size=BUFFER,
                    flush_timeout=CONNECT_SECONDS,
                    **self._options,
                )
                self._check_version(client)
                self._inbox = client.new_inbox() + "."
                await client.subscribe(
                    self._inbox + "*",
                    cb=self._answered,
                    pending_bytes_limit=0,  # what is asked for is bounded by those who ask
                    pending_msgs_limit=0,
                )
                await client.subscribe(self._listen_to, cb=self._told)
                await client.flush()
                if not client.is_connected:
                    raise StoreFailure("lost at once")
        except LocalError:
            await client.close()
            raise
        except ImportError as error:
            raise LocalError(
                Reason.BAD_STORE,
                f"these credentials need {error.name}: pip install 'nats-py[nkeys]'",
            ) from None
        except Exception as error:  # whatever stopped it, there is no connection: tried again
            with contextlib.suppress(Exception):
                await client.close()
            if "authorization" in str(error).lower():
                raise LocalError(
                    Reason.BAD_STORE, "a NATS server refuses the user or password: "
                    "--nats-creds FILE, or nats://USER:PASSWORD@HOST"
                ) from None  # fmt: skip
            raise StoreFailure(f"cannot connect: {type(error).__name__}") from error
        self._client = client
        self.connects += 1
        self._down.clear()
        self._up.set()
        if self.connects > 1:
            self._heard(b"")  # what was said meanwhile

    def _check_version(self, client: Client) -> None:
        version = str(client._server_info.get("version", ""))
        parts = version.removeprefix("v").split("-")[0].split(".")
        numbers = tuple(int(part) for part in parts[:2] if part.isdigit())
        if len(numbers) < 2 or numbers < self._least:
            least = ".".join(map(str, self._least))
            raise LocalError(
                Reason.BAD_STORE,
                f"NATS server {version or 'of unknown version'}: before {least} it ignores the time"
                " to live of a message, so rows would not go by themselves",
            )


def _client() -> Client:
    try:
        from nats.aio.client import Client  # noqa: PLC0415 - an extra
    except ImportError:
        raise LocalError(
            Reason.BAD_STORE, "the NATS store needs nats-py: pip install 'evanesce[relay]'"
        ) from None
    return Client()
