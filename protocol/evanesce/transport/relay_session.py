"""One WebSocket to a relay, for all mailboxes that a device reads (spec 22.4).

It ends with the connection, and with it all that was proven and subscribed to: what was not acked
waits at the relay, and comes again over the next one. What has come and was not taken is kept here,
and the relay is given credit for no more than what was taken: so a slow application costs memory
for one window, whatever waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from ..errors import Reason, RemoteError
from ..limits import MAX_BATCH, MAX_ENVELOPE
from ..mailbox import MailboxReader
from ..ports import Delivery
from ..primitives import H, equal
from ..relay_formats import (
    ACK,
    CHALLENGE,
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
)
from ..wire import Form, decode, kind_of
from .relay_faults import MISSING, RelayRefusal, lost, reason_of, silent, unreachable
from .relay_http import USER_AGENT, retry_after
from .relay_notices import Notices

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import (
        ConnectionClosed,
        InvalidHandshake,
        InvalidStatus,
        WebSocketException,
    )
    from websockets.frames import Frame, Opcode
    from websockets.protocol import Event
    from websockets.typing import Subprotocol
except ModuleNotFoundError as error:  # pragma: no cover  the extra is missing
    raise ModuleNotFoundError(MISSING, name=error.name) from None

__all__ = ["RelaySession"]

FRAME: Final = MAX_ENVELOPE + 128  # bytes of the largest frame
WINDOW: Final = 256  # envelopes that have come and were not taken, or may come
WINDOW_BYTES: Final = 8 * 1024 * 1024
NOTICES: Final = 64  # kept at once: they need no credit, and what is dropped comes again
AGAIN, LONGEST_AGAIN = 0.05, 5.0  # seconds until what was not acked is asked for again
PINGS: Final = 20  # that a relay may send in so many seconds
UNSENT: Final = 1 << 20  # bytes that lie here because the relay does not read
_ACKS: Final = 64  # frames that wait to be sent, with which a notice is acked without being taken
_AT_ONCE: Final = 64  # requests that wait for their answer
_OVERLOADED: Final = 1013
_POLICY: Final = 1008

# The library would log every frame: there is none to log to.
_silence: Final = logging.Logger("evanesce.silence", logging.CRITICAL + 1)
_silence.addHandler(logging.NullHandler())


class _Connect(connect):
    """A connection that follows no redirection: it would show what it reads to another."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Connection(ClientConnection):
    """One that a relay cannot make answer pings without end: the answers would pile up here."""

    _pings = 0
    _since = 0.0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_write_buffer_size() > UNSENT:
            self.transport.abort()

    def process_event(self, event: Event) -> None:
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            now = self.loop.time()
            if now > self._since + PINGS:
                self._pings, self._since = 0, now
            self._pings += 1
            if self._pings > PINGS:
                self.transport.abort()


class RelaySession:
    """A connection to a relay. `begin` makes one; it is `alive` until it ends, for any reason."""

    def __init__(
        self, connection: ClientConnection, where: str, patience: float,
        served: Callable[[], None], notices: Notices,
    ) -> None:  # fmt: skip
        self._known = notices
        self._connection = connection
        self._where = where
        self._patience = patience
        self._served = served  # told of each success
        self._challenge = b""
        self._number = 0
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._out: asyncio.Queue[bytes] = asyncio.Queue()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._proofs: dict[bytes, bytes] = {}  # by address: that the relay has accepted
        self._subscribed: set[bytes] = set()
        self._unclear: set[bytes] = set()  # a frame is under way that begins or ends it
        self._subscribing = asyncio.Lock()
        self._fresh: dict[bytes, dict[bytes, Delivery]] = {}  # by address and id: not taken yet
        self._given: dict[bytes, set[bytes]] = {}  # ids that were taken, and not acked
        self._pauses: dict[bytes, float] = {}  # by address: until those are asked for again
        self._credit: Counter[str] = Counter()  # what the relay has
        self._taken: Counter[str] = Counter()  # what it gets next
        self._notices = 0
        self._arrival = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.heard = self._loop.time()  # when something was last given, or answered
        self.waiting = 0  # calls of `arrival`
        self._tasks: list[asyncio.Task[None]] = []
        self.fault: OSError | RelayRefusal | None = None

    @classmethod
    async def begin(
        cls, base: str, *, tls: ssl.SSLContext | None, proxy: str | None, patience: float,
        ping: float, window: tuple[int, int] = (WINDOW, WINDOW_BYTES), served: Callable[[], None],
        notices: Notices | None = None,
    ) -> RelaySession:  # fmt: skip
        """Connect. Raise `OSError`, `RelayRefusal`."""
        secure = base.startswith("https:")
        options: dict[str, Any] = {"ssl": tls or ssl.create_default_context()} if secure else {}
        try:
            connection = await _Connect(
                f"ws{base.removeprefix('http')}/v1/mailboxes",
                subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, proxy=proxy,
                user_agent_header=USER_AGENT, open_timeout=patience, ping_interval=ping,
                ping_timeout=ping, close_timeout=1,
                create_connection=_Connection, max_size=FRAME, max_queue=16,
                logger=_silence, **options,
            )  # fmt: skip
        except InvalidStatus as error:
            raise _status(error) from None
        except ssl.SSLCertVerificationError as error:
            why = f"its certificate is not trusted: {error.verify_message}"
            raise unreachable(base, why) from None
        except TimeoutError:
            raise silent(base) from None
        except (InvalidHandshake, WebSocketException, EOFError, ValueError) as error:
            raise unreachable(base, type(error).__name__) from None
        except OSError as error:
            raise unreachable(base, error.strerror or "") from None
        session = cls(connection, base, patience, served, notices or Notices())
        try:
            if connection.subprotocol != SUBPROTOCOL:
                raise RelayRefusal(Reason.BAD_FORM, "no relay answers there")
            await session._greet()
        except BaseException:
            connection.transport.abort()
            raise
        session._tasks = [asyncio.create_task(session._read()),
                          asyncio.create_task(session._write())]  # fmt: skip
        session._taken.update(envelopes=window[0], bytes=window[1])
        session._give_credit()
        return session

    async def _greet(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                frame = await self._connection.recv()
            if isinstance(frame, str):
                raise RelayRefusal(Reason.BAD_FORM, "no relay answers there")
            (self._challenge,) = CHALLENGE.parse(frame)
        except TimeoutError:
            raise silent(self._where) from None
        except ConnectionClosed as error:
            raise _closed(self._where, error) from None

    @property
    def alive(self) -> bool:
        """Whether the connection still stands, as far as is known."""
        return self.fault is None

    async def close(self) -> None:
        """End it."""
        self._end(lost(self._where, "closed here"), abort=False)
        with contextlib.suppress(WebSocketException, OSError, TimeoutError):
            await self._connection.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _end(self, fault: OSError | RelayRefusal, *, abort: bool = True) -> None:
        """Let everyone who waits know, once."""
        if self.fault is not None:
            return
        self.fault = fault
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(fault)
                answer.exception()  # perhaps nobody waits for it any more
        self._answers.clear()
        self._fresh.clear()
        self._arrival.set()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        if abort:
            self._connection.transport.abort()

    # --- frames ----------------------------------------------------------------------------------

    def _post(self, form: Form, *values: Any) -> None:
        self._out.put_nowait(form.build(*values))

    async def _write(self) -> None:
        try:
            while True:
                await self._connection.send(await self._out.get())
        except ConnectionClosed as error:
            self._end(_closed(self._where, error))
        except (WebSocketException, OSError) as error:
            self._end(lost(self._where, type(error).__name__))

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._connection.recv()
                if isinstance(frame, str):
                    raise RemoteError(Reason.BAD_FORM, "a text frame")
                self._take_frame(decode(frame, limit=FRAME))
        except ConnectionClosed as error:
            self._end(_closed(self._where, error))
        except RemoteError as error:
            self._end(RelayRefusal(error.reason, f"from the relay: {error.detail}"))
        except (WebSocketException, OSError) as error:
            self._end(lost(self._where, type(error).__name__))

    def _take_frame(self, value: Any) -> None:
        match kind_of(value):
            case DELIVERY.type:
                address, key, envelope = DELIVERY.read(value)
                self._arrived(Delivery(address + key, address, envelope))
            case NOTICE.type:
                address, key, statement = NOTICE.read(value)
                self._notice(address, key, statement)
            case DONE.type:
                number, reason, seconds = DONE.read(value)
                answer = self._answers.pop(number, None)
                if answer is None or answer.done():
                    return  # a stray one tells nothing
                self.heard = self._loop.time()
                if reason is None:
                    self._served()
                    answer.set_result(None)
                else:
                    answer.set_exception(RelayRefusal(reason_of(reason), "", seconds))
                    answer.exception()
            case _:
                raise RemoteError(Reason.WRONG_TYPE, "no frame for a device")

    async def _ask(self, form: Form, *values: Any) -> None:
        """Send a frame and wait for its answer. Raise `RelayRefusal`, `OSError`."""
        async with self._slots:
            await self._begin(form, *values)

    async def _begin(self, form: Form, *values: Any) -> None:
        if self.fault is not None:
            raise self.fault
        self._number = (self._number + 1) % 2**32
        number = self._number
        answer: asyncio.Future[None] = self._loop.create_future()
        self._answers[number] = answer
        self._post(form, number, *values)
        try:
            async with asyncio.timeout(self._patience):
                await answer
        except TimeoutError:
            if not answer.cancelled():
                raise  # it is what the connection has ended with
            self._end(silent(self._where))
            raise silent(self._where) from None
        finally:
            self._answers.pop(number, None)

    async def _ask_all(self, frames: Iterable[Sequence[Any]]) -> None:
        """Ask for all of it; raise the first refusal when everything has been answered."""
        outcomes = await asyncio.gather(*(self._ask(*frame) for frame in frames),
                                        return_exceptions=True)  # fmt: skip
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    # --- mailboxes -------------------------------------------------------------------------------

    async def prove(self, reader: MailboxReader) -> None:
        """Prove the right to read a mailbox, once for this connection and each read key.

        A reader that cannot answer the challenge is refused, whatever others have proven: the proof
        is deterministic, so that the one that the relay has accepted tells.
        """
        address = reader.mailbox.address
        if H(b"mailbox", reader.read_key) != address:
            raise RelayRefusal(Reason.NOT_PERMITTED, "not the read key of this mailbox")
        proof = reader.prove(self._challenge)
        known = self._proofs.get(address)
        if known is None or len(known) != len(proof) or not equal(known, proof):
            await self._ask(PROVE, reader.read_key, proof)
            self._proofs[address] = proof

    async def make(self, reader: MailboxReader) -> None:
        """Make a mailbox, or renew its lease."""
        await self.prove(reader)
        mailbox = reader.mailbox
        await self._ask(MAKE_MAILBOX, mailbox.address, H(b"capability", mailbox.capability))

    async def remove(self, reader: MailboxReader) -> None:
        """Remove a mailbox."""
        await self.prove(reader)
        address = reader.mailbox.address
        await self._ask(REMOVE_MAILBOX, address)
        self._known.forget(address)
        self._subscribed.discard(address)
        self._unclear.discard(address)
        self._drop(address)

    async def ack(self, reader: MailboxReader, ids: Sequence[bytes]) -> None:
        """Ack envelopes of one mailbox, and notices, by the ids they came with."""
        address = reader.mailbox.address
        if address not in self._proofs:
            await self.prove(reader)
        try:
            await self._ask_all((ACK, address, list(ids[first : first + MAX_BATCH]))
                                for first in range(0, len(ids), MAX_BATCH))  # fmt: skip
        except RelayRefusal as refusal:
            self._doubt(address, refusal)
            raise
        self._given.get(address, set()).difference_update(ids)
        self._pauses.pop(address, None)
        self._known.acked(address, ids)
        fresh = self._fresh.get(address, {})
        for key in ids:  # taken, and come again since
            self._discard(fresh.pop(key, None))
        self._give_credit()

    def _doubt(self, address: bytes, refusal: RelayRefusal) -> None:
        """A relay need not remember all proofs of a long connection: prove it again."""
        if refusal.reason is Reason.NOT_PERMITTED:
            self._proofs.pop(address, None)

    async def follow(self, readers: Sequence[MailboxReader]) -> None:
        """Subscribe to these mailboxes, each with a proof of its own."""
        await _all(self.prove(reader) for reader in readers)
        addresses = list(dict.fromkeys(reader.mailbox.address for reader in readers))
        async with self._subscribing:
            await self._leave([a for a in addresses if a in self._unclear])
            await self._switch(SUBSCRIBE, [a for a in addresses if a not in self._subscribed])

    def _unacked(self, wanted: Iterable[bytes]) -> list[bytes]:
        return [a for a in wanted if self._given.get(a) and a in self._subscribed]

    def until_again(self, wanted: Iterable[bytes]) -> float | None:
        """Seconds until `begin_again` makes sense; None if all that was taken has been acked.

        Not before it has been quiet, so that what comes next comes before what has come already;
        and later each time, so that it comes however long the relay takes to send it.
        """
        unacked = self._unacked(wanted)
        if not unacked:
            return None
        pause = max(self._pauses.get(address, AGAIN) for address in unacked)
        return self.heard + pause - self._loop.time()

    async def begin_again(self, wanted: Iterable[bytes]) -> None:
        """Begin those subscriptions anew of which something was taken and not acked.

        The relay knows what of it still waits, and gives it again.
        """
        async with self._subscribing:
            unacked = self._unacked(wanted)
            for address in unacked:
                pause = 2 * self._pauses.get(address, AGAIN)
                self._pauses[address] = min(pause, LONGEST_AGAIN)
            await self._leave(unacked)
            await self._switch(SUBSCRIBE, [a for a in unacked if a not in self._subscribed])

    async def keep_only(self, addresses: Iterable[bytes]) -> None:
        """End all other subscriptions."""
        async with self._subscribing:
            await self._leave((self._subscribed | self._unclear).difference(addresses))

    @property
    def subscribed(self) -> frozenset[bytes]:
        """What is subscribed to."""
        return frozenset(self._subscribed)

    async def _leave(self, addresses: Iterable[bytes]) -> None:
        await self._switch(UNSUBSCRIBE, list(addresses))

    async def _switch(self, form: Form, addresses: Sequence[bytes]) -> None:
        """Begin or end subscriptions. Until the relay has answered, they are unclear."""
        self._subscribed.difference_update(addresses)
        self._unclear.update(addresses)
        outcomes = await asyncio.gather(*(self._ask(form, address) for address in addresses),
                                        return_exceptions=True)  # fmt: skip
        failed = []
        for address, outcome in zip(addresses, outcomes, strict=True):
            if isinstance(outcome, RelayRefusal) and form is SUBSCRIBE:
                self._doubt(address, outcome)
                self._unclear.discard(address)
                self._drop(address)
            elif outcome is None:
                self._unclear.discard(address)
                if form is SUBSCRIBE:
                    self._subscribed.add(address)
                else:
                    self._drop(address)
            if isinstance(outcome, BaseException):
                failed.append(outcome)
        if failed:
            raise failed[0]

    def _drop(self, address: bytes) -> None:
        """Forget what has come of a mailbox."""
        self._given.pop(address, None)
        for delivery in self._fresh.pop(address, {}).values():
            self._discard(delivery)
        self._give_credit()

    # --- what comes ------------------------------------------------------------------------------

    def _arrived(self, delivery: Delivery) -> None:
        if not delivery.notice:
            if self._credit["envelopes"] <= 0 or self._credit["bytes"] <= 0:
                raise RemoteError(Reason.TOO_LARGE, "more than it had credit for")
            self._credit.subtract({"envelopes": 1, "bytes": len(delivery.envelope)})
        self._notices += delivery.notice
        if delivery.address not in self._subscribed and delivery.address not in self._unclear:
            self._discard(delivery)  # it was under way when that was ended
            self._give_credit()
            return
        waiting = self._fresh.setdefault(delivery.address, {})
        self._discard(waiting.pop(delivery.id[32:], None))
        waiting[delivery.id[32:]] = delivery
        self.heard = self._loop.time()
        self._arrival.set()

    def _notice(self, address: bytes, key: bytes, statement: bytes) -> None:
        """Take a notice that has come; ack it unseen if it is none to be given."""
        if address not in self._subscribed and address not in self._unclear:
            return  # it was under way when that was ended
        if self._notices >= NOTICES:
            return
        takes = self._known.takes(address, key, statement)
        if takes:
            self._arrived(Delivery(address + key, address, statement, notice=True))
        elif takes is False and self._out.qsize() < _ACKS and address in self._proofs:
            self._number = (self._number + 1) % 2**32
            self._post(ACK, self._number, address, [key])  # its answer is not waited for

    def _discard(self, delivery: Delivery | None) -> None:
        """It lies here no more, and may be counted as credit."""
        if delivery is None:
            return
        if delivery.notice:
            self._notices -= 1
        else:
            self._taken["envelopes"] += 1
            self._taken["bytes"] += len(delivery.envelope)

    def _give_credit(self) -> None:
        if self._taken["envelopes"]:
            self._credit.update(self._taken)
            self._post(CREDIT, self._taken["envelopes"], self._taken["bytes"])
            self._taken.clear()

    def take(self, wanted: Mapping[bytes, Any]) -> list[Delivery]:
        """What has come of these mailboxes and was not taken yet."""
        found: list[Delivery] = []
        for address in wanted:
            for key, delivery in self._fresh.pop(address, {}).items():
                self._given.setdefault(address, set()).add(key)
                self._discard(delivery)
                found.append(delivery)
        if found:
            self._give_credit()
        return found

    async def arrival(self, wanted: Mapping[bytes, Any], longest: float | None) -> None:
        """Wait until something comes, the session ends, or so many seconds have passed."""
        if self.fault is not None or any(self._fresh.get(address) for address in wanted):
            return
        self._arrival.clear()
        self.waiting += 1
        try:
            async with asyncio.timeout(longest):
                await self._arrival.wait()
        except TimeoutError:
            pass
        finally:
            self.waiting -= 1


async def _all(works: Iterable[Any]) -> None:
    """Wait for all of it, then raise what one of them has raised."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _status(error: InvalidStatus) -> RelayRefusal:
    """Why there is no WebSocket."""
    status = error.response.status_code
    if status in (400, 403, 404, 405, 415):
        return RelayRefusal(Reason.BAD_FORM, f"no relay answers there (status {status})")
    reason = Reason.TOO_MANY_REQUESTS if status == 429 else Reason.RELAY_BUSY
    seconds = retry_after(status, error.response.headers.get("Retry-After"))
    return RelayRefusal(reason, f"status {status}", seconds)


def _closed(where: str, error: ConnectionClosed) -> OSError | RelayRefusal:
    """What the end of a connection says."""
    received = error.rcvd
    if received is None:
        return lost(where)
    if received.code == _OVERLOADED:
        return RelayRefusal(Reason.RELAY_BUSY, "overloaded", 1)
    if received.code == _POLICY:
        return RelayRefusal(reason_of(received.reason, Reason.BAD_FORM), "the relay has hung up")
    return lost(where, f"closed with {received.code}")
