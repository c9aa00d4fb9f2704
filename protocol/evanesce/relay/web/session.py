"""A reader's WebSocket: it proves, subscribes and acks; what waits is pushed (spec 22.4).

Nothing is fetched for a reader before it has taken what was sent to it, nor beyond its credit. So
one that has stopped reading costs a buffer and one turn's envelopes, and not for long.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from starlette.types import Message, Receive, Send

from ...errors import Reason, RemoteError
from ...primitives import H, check_sign_key, verify
from ...relay_formats import (
    ACK,
    CHALLENGE,
    CLIENT_FRAMES,
    CREDIT,
    DELIVERY,
    DONE,
    MAKE_MAILBOX,
    NOTICE,
    PROVE,
    REMOVE_MAILBOX,
    SUBPROTOCOL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    read_frame,
)
from ...wire import Form
from ..credit import Credit
from ..relay import Cursor, Waiting
from .errors import BUSY_SECONDS, seconds_of
from .face import Face
from .logs import Level

__all__ = ["FRAME_BYTES", "Connection", "Session"]

FRAME_BYTES: Final = ACK.limit  # the longest that a client sends
AT_ONCE: Final = 32  # frames of one connection that are worked on
TURN_MAILBOXES: Final = 32  # that are looked into at once
TURN_ENVELOPES: Final = 64  # of all of them,
EACH_ENVELOPES: Final = 16  # and of one before it is another's turn
TURN_BYTES: Final = 64 * 1024
STOP_SECONDS: Final = 5.0  # for what is under way when a connection ends

NORMAL, GOING_AWAY, REFUSED, FAILED, OVERLOADED = 1000, 1001, 1008, 1011, 1013
WAIT_SECONDS: Final = 1.0  # of who is past its share of frames, before it is looked at again


class Connection(Protocol):
    """What is needed of the WebSocket below, beyond ASGI."""

    async def drained(self) -> None:
        """Return once the client has taken most of what was written, or is gone."""

    def abort(self) -> None:
        """Cut it."""


class _Ended(Exception):  # noqa: N818
    """The client is gone, or has been cut off."""


class _Refused(Exception):  # noqa: N818
    """The connection ends with this code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class _Reading:
    """A mailbox whose owner has proved to be one, on this connection."""

    def __init__(self) -> None:
        self.cursor = Cursor()
        self.unwatch: Callable[[], None] | None = None  # set while it is subscribed to
        self.is_queued = False
        self.busy: asyncio.Task[None] | None = None  # the last of its frames


class Session:
    """One connection. `run` returns when it is over."""

    def __init__(
        self, face: Face, client: bytes, receive: Receive, send: Send, connection: Connection
    ) -> None:
        self._face = face
        self._client = client
        self._receive = receive
        self._send_message = send
        self._connection = connection
        self._challenge = secrets.token_bytes(32)
        self._readings: OrderedDict[bytes, _Reading] = OrderedDict()
        self._queue: deque[bytes] = deque()  # something may wait in these
        self._held: set[bytes] = set()  # something waits in these, for credit
        self._read_from = 0  # how many are subscribed to
        self._credit = Credit()
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._stop_code = (NORMAL, "")
        self._ended = False
        self._writing = asyncio.Lock()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._frames: set[asyncio.Task[None]] = set()
        self.undrained = 0
        self.undrained_since = 0.0

    async def run(self) -> None:
        """Serve the client until it goes, is refused, or the relay stops."""
        face = self._face
        face.sessions.add(self)
        face.metrics.add("evanesce_sessions", 1)
        code, text = FAILED, ""
        try:
            await self._send_message({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
            code, text = await self._serve()
        except (_Ended, OSError):
            code = NORMAL  # gone before it was begun
            self._ended = True
        finally:
            face.sessions.discard(self)
            face.metrics.add("evanesce_sessions", -1)
            face.metrics.count("evanesce_sessions_ended", str(code))
            self._note(0)
            for reading in self._readings.values():
                self._unwatch(reading)
        await self._close(code, text)

    def stop(self, code: int, text: str) -> None:
        """Finish what is under way, and end it with this close code."""
        if not self._stop.is_set():
            self._stop_code = code, text
            self._stop.set()

    async def _serve(self) -> tuple[int, str]:
        await self._send(CHALLENGE.build(self._challenge))
        reader = asyncio.create_task(self._read())
        pusher = asyncio.create_task(self._push())
        stopper = asyncio.create_task(self._stop.wait())
        await asyncio.wait((reader, pusher, stopper), return_when=asyncio.FIRST_COMPLETED)
        # What the relay does for this client is finished: only the wait for frames is cancelled.
        reader.cancel()
        stopper.cancel()
        self._stop.set()
        self._wake.set()
        under_way: set[asyncio.Task[None]] = {*self._frames, pusher}
        _, late = await asyncio.wait(under_way, timeout=STOP_SECONDS)
        if late:
            self._cut()
            _, late = await asyncio.wait(late, timeout=STOP_SECONDS)
        for task in late:
            task.cancel()
        outcomes = await asyncio.gather(reader, pusher, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, _Refused):
                return outcome.code, outcome.text
            if isinstance(outcome, Exception) and not isinstance(outcome, _Ended):
                self._face.log.failure("session-failed", outcome)
                return FAILED, ""
        return self._stop_code

    async def _close(self, code: int, text: str) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            async with asyncio.timeout(STOP_SECONDS), self._writing:
                await self._send_message(
                    {"type": "websocket.close", "code": code, "reason": text}
                )
        except (TimeoutError, OSError, RuntimeError):
            self._connection.abort()

    # What is sent

    async def _send(self, data: bytes) -> None:
        if self._ended:
            raise _Ended
        try:
            async with self._writing, asyncio.timeout(self._face.bounds.take_seconds):
                await self._send_message({"type": "websocket.send", "bytes": data})
        except TimeoutError:
            self._cut()
            raise _Ended from None
        except (OSError, RuntimeError):  # the client is gone
            self._ended = True
            raise _Ended from None

    def _cut(self) -> None:
        if not self._ended:
            self._face.log.write(Level.INFO, "session-cut")
        self._ended = True
        self._connection.abort()

    async def _done(self, number: int, reason: Reason | None, seconds: int | None = None) -> None:
        if seconds is None:
            seconds = seconds_of(reason) if reason is not None else 0
        await self._send(DONE.build(number, None if reason is None else str(reason), seconds))

    async def _drained(self) -> None:
        try:
            async with asyncio.timeout(self._face.bounds.take_seconds):
                await self._connection.drained()
        except TimeoutError:
            self._cut()
            raise _Ended from None
        self._note(0)

    def _note(self, count: int) -> None:
        """Tell how much of what was sent may not be taken yet. Past the bound, the slowest goes."""
        face = self._face
        if count and not self.undrained:
            self.undrained_since = time.monotonic()
        face.undrained += count - self.undrained
        self.undrained = count
        face.metrics.set("evanesce_undrained_bytes", face.undrained)
        if count and face.undrained > face.bounds.undrained_bytes:
            slow = [session for session in face.sessions if session.undrained]
            min(slow, key=lambda session: session.undrained_since)._overload()

    def _overload(self) -> None:
        self.stop(OVERLOADED, str(Reason.RELAY_BUSY))
        self._cut()  # it does not take what was sent, so no close would reach it
        self._note(0)

    # What the client asks for

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._ended = True
                return
            try:
                form, fields = _parse(message)
            except RemoteError as error:
                self._face.metrics.count("evanesce_frames", "unknown", str(error.reason))
                raise _Refused(REFUSED, str(error.reason)) from None
            await self._share("proofs_per_client" if form is PROVE else "frames_per_client")
            if form is CREDIT:
                self._grant(*fields)
            elif form is PROVE:
                await self._prove(*fields)
            else:
                await self._begin(form, fields)
            await asyncio.sleep(0)  # who sends without end gets no more than its turn

    async def _share(self, kind: str) -> None:
        """Wait for this client's share of frames: meanwhile nothing more of it is read."""
        while wait := self._face.rates.take(kind, self._client):
            await asyncio.sleep(min(wait, WAIT_SECONDS))

    def _grant(self, envelopes: int, octets: int) -> None:
        self._credit.give(envelopes, octets)
        if self._credit.left:
            held, self._held = self._held, set()
            for address in held:
                self._mark(address)

    async def _prove(self, number: int, read_key: bytes, proof: bytes) -> None:
        address = H(b"mailbox", read_key)
        reason = None
        try:
            check_sign_key(read_key)
            verify(read_key, proof, b"read mailbox", address, self._challenge)
            self._admit(address)
        except RemoteError as error:
            reason = error.reason
        self._count(PROVE, reason)
        await self._done(number, reason)

    def _admit(self, address: bytes) -> None:
        """Remember that it was proved; past the bound, the one unused for longest is forgotten."""
        if address in self._readings:
            return
        if len(self._readings) >= self._face.settings.session_mailboxes:
            idle = (old for old, reading in self._readings.items()
                    if reading.unwatch is None and reading.busy is None)  # fmt: skip
            oldest = next(idle, None)
            if oldest is not None:
                del self._readings[oldest]
        self._readings[address] = _Reading()

    async def _begin(self, form: Form, fields: list[Any]) -> None:
        number, address = fields[:2]
        reading = self._readings.get(address)
        if reading is None:
            self._count(form, Reason.NOT_PERMITTED)
            await self._done(number, Reason.NOT_PERMITTED)
            return
        await self._slots.acquire()
        task = asyncio.create_task(self._work(form, fields, reading, reading.busy))
        reading.busy = task
        self._frames.add(task)

        def over(done: asyncio.Task[None]) -> None:
            self._slots.release()
            self._frames.discard(done)
            if reading.busy is done:
                reading.busy = None

        task.add_done_callback(over)

    async def _work(
        self, form: Form, fields: list[Any], reading: _Reading, before: asyncio.Task[None] | None
    ) -> None:
        """Do what a frame asks, after the frame before it of the same mailbox."""
        if before is not None:
            await asyncio.wait((before,))
        number, address, *rest = fields
        reason: Reason | None = None
        seconds: int | None = None
        try:
            if form is MAKE_MAILBOX:
                seconds = self._face.rates.take("mailboxes_per_client", self._client) or None
                if seconds:
                    raise RemoteError(Reason.TOO_MANY_REQUESTS)
            await self._act(form, address, reading, *rest)
        except RemoteError as error:
            reason = error.reason
        except Exception as error:  # what is not known to have succeeded has not
            self._face.log.failure("frame-failed", error)
            reason = Reason.RELAY_BUSY
        self._count(form, reason)
        with suppress(_Ended):
            await self._done(number, reason, seconds)

    async def _act(self, form: Form, address: bytes, reading: _Reading, *rest: Any) -> None:
        relay = self._face.relay
        if form is MAKE_MAILBOX:
            await relay.make_mailbox(address, *rest)
        elif form is REMOVE_MAILBOX:
            await relay.remove_mailbox(address)
            self._unwatch(reading)
        elif form is SUBSCRIBE:
            if not await relay.has_mailbox(address):
                raise RemoteError(Reason.UNKNOWN_MAILBOX)
            if reading.unwatch is None and not self._stop.is_set():
                self._bound_readings()
                reading.cursor = Cursor()
                reading.unwatch = relay.watch(address, lambda: self._mark(address))
                self._read_from += 1
                self._mark(address)
        elif form is UNSUBSCRIBE:
            self._unwatch(reading)
        else:
            await relay.ack(address, *rest)

    def _bound_readings(self) -> None:
        if self._read_from >= self._face.settings.session_mailboxes:
            raise RemoteError(Reason.TOO_MANY_REQUESTS, "too many mailboxes in one session")

    def _unwatch(self, reading: _Reading) -> None:
        if reading.unwatch is not None:
            reading.unwatch()
            reading.unwatch = None
            self._read_from -= 1

    def _count(self, form: Form, reason: Reason | None) -> None:
        self._face.metrics.count("evanesce_frames", form.name, _told(reason))

    # What is pushed to it

    def _mark(self, address: bytes) -> None:
        """Something may wait in this mailbox: it gets a turn."""
        reading = self._readings.get(address)
        if reading is None or reading.unwatch is None or reading.is_queued:
            return
        reading.is_queued = True
        self._queue.append(address)
        self._wake.set()

    async def _push(self) -> None:
        while not self._stop.is_set():
            if self._queue:
                count = min(len(self._queue), TURN_MAILBOXES)
                await self._turn([self._queue.popleft() for _ in range(count)])
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _turn(self, addresses: list[bytes]) -> None:
        """Send some of what waits in these mailboxes, as far as the credit reaches."""
        turn: list[tuple[bytes, _Reading]] = []
        for address in addresses:
            reading = self._readings.get(address)
            if reading is None:
                continue
            reading.is_queued = False  # what comes from now on gives it another turn
            if reading.unwatch is not None:
                turn.append((address, reading))
        if not turn:
            return
        may = self._credit.left
        envelopes = min(self._credit.envelopes, TURN_ENVELOPES) if may else 0
        octets = min(self._credit.octets, TURN_BYTES) if may else 0
        wanted = [(address, reading.cursor) for address, reading in turn]
        try:
            given = await self._face.relay.fetch_all(wanted, envelopes, octets, EACH_ENVELOPES)
        except Exception as error:  # whatever it was, nothing was given: those mailboxes come again
            if not isinstance(error, RemoteError):
                self._face.log.failure("frame-failed", error)
            for address, _ in turn:
                self._mark_later(address)
            return
        held = sum(len(item.data) for some in given if not isinstance(some, Reason)
                   for item in some.items)  # fmt: skip
        self._note(held)  # from here on, not only when the last of it is written
        for (address, reading), some in zip(turn, given, strict=True):
            if isinstance(some, Reason):
                if some is Reason.UNKNOWN_MAILBOX:
                    self._unwatch(reading)
                else:
                    self._mark_later(address)
                continue
            for item in some.items:
                await self._deliver(address, item)
        if held:
            await self._drained()
        for (address, _), some in zip(turn, given, strict=True):
            if not isinstance(some, Reason) and some.more:
                if self._credit.left:
                    self._mark(address)
                else:
                    self._held.add(address)

    async def _deliver(self, address: bytes, item: Waiting) -> None:
        """Send what waits."""
        metrics = self._face.metrics
        if item.is_notice:
            frame = NOTICE.build(address, item.id, item.data)
            await self._send(frame)
            metrics.count("evanesce_notices")
        else:
            frame = DELIVERY.build(address, item.id, item.data)
            self._credit.take(len(item.data))
            await self._send(frame)
            metrics.count("evanesce_deliveries")
            metrics.count("evanesce_delivered_bytes", by=len(item.data))

    def _mark_later(self, address: bytes) -> None:
        asyncio.get_running_loop().call_later(BUSY_SECONDS, self._mark, address)


def _parse(message: Message) -> tuple[Form, list[Any]]:
    data = message.get("bytes")
    if data is None:
        raise RemoteError(Reason.BAD_FORM, "a text frame")
    return read_frame(data, CLIENT_FRAMES)


def _told(reason: Reason | None) -> str:
    return "ok" if reason is None else str(reason)
