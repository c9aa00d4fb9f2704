"""A transport over a relay: HTTP to write, one WebSocket to read (spec 22). Extra `relay`.

The connections are made when they are needed, in the event loop that first needs them, and a
`RelayTransport` stays in that loop. `close` ends them; so does ``async with``.

What it does when something fails. A network that fails is an `OSError`, but not in `receive`, which
connects again, after pauses that grow to a minute, and goes on where it was: what was not acked
waits at the relay. `trouble` tells what is wrong meanwhile. A relay that asks for a pause
(`Retry-After`) is not asked again before. Whatever can be repeated is, a few times; to put, recall,
publish and delete twice is the same as once.

What others see. The relay sees the network address, and which mailboxes are read over one
connection; whoever watches the network sees that there is a relay, sizes and times. Every client
sends the same `User-Agent` and no cookie, and follows no redirection. Proxies are not taken from
the environment: one that is wanted, for example Tor, is given as `proxy`. Nothing is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from ..errors import Reason, RemoteError
from ..limits import (
    MAX_BATCH,
    MAX_BLOB,
    MAX_CREDIT,
    MAX_CREDIT_BYTES,
    MAX_ENVELOPE,
    MAX_PUBLISHED,
)
from ..mailbox import MailboxReader
from ..ports import PASSING, Delivery, Outgoing, Recall
from ..primitives import H
from ..relay_formats import (
    BLOB,
    BLOB_DELETION,
    CLAIM,
    OUTCOMES,
    PUBLISH,
    PUT,
    RECALL,
    SUBPROTOCOL,
)
from .relay_faults import RelayRefusal, lost, reason_of
from .relay_http import RelayHttp, base_address
from .relay_notices import Notices
from .relay_pauses import Manners, Pause
from .relay_session import WINDOW, WINDOW_BYTES, RelaySession

__all__ = ["RelayTransport"]

_HEAD: Final = 80  # bytes that an item of a put takes beside its envelope
_PACKAGE: Final = 1_024
_LOOK: Final = 0.05  # seconds between two looks
_ABOUT: Final = 64 * 1024
_SHORT: Final = 2.0  # seconds that a call waits for its turn to connect
LONGEST_QUIET: Final = 120.0  # seconds that `quiet` waits at most
_TRIES: Final = 3
_LINGER: Final = 2.0  # seconds that a subscription outlives the call that it was for
_RENEW: Final = 7 * 24 * 3600.0  # a relay forgets mailboxes that nobody makes again for months

_Work = Callable[[RelaySession], Awaitable[None]]


class RelayTransport:
    """Mailboxes, key packages and blobs at a relay.

    Implements `Transport`, `Recalling`, `KeyDirectory`. `url` is the relay's base address; `tls`
    says whom to trust (the system's certificates, unless given), `proxy` a proxy to go through,
    `patience` the seconds to wait for an answer, `ping` those between two looks whether the
    connection still stands, `window` how many envelopes, and bytes, may lie here at once. `plain`
    allows `http` to another machine. Raise `LocalError` (bad-input) for a URL that is none, and
    `ModuleNotFoundError` where the extra is missing.
    """

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
        plain: bool = False,
        patience: float = 30.0,
        ping: float = 20.0,
        window: tuple[int, int] = (WINDOW, WINDOW_BYTES),
        pause: Pause | None = None,
    ) -> None:
        self.url = base_address(url, plain=plain)
        self._tls, self._proxy = tls, proxy
        self._patience, self._ping = patience, ping
        self._window = min(window[0], MAX_CREDIT), min(window[1], MAX_CREDIT_BYTES)
        self._manners = Manners()
        self._http = RelayHttp(self.url, self._manners, tls=tls, proxy=proxy, patience=patience)
        self._pause = pause or Pause()
        self._notices = Notices()
        self._session: RelaySession | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._fault: OSError | RelayRefusal = lost(self.url)
        self._readers: dict[bytes, MailboxReader] = {}
        self._made: dict[bytes, float] = {}  # mailboxes that were made here, and when
        self._asked: Counter[bytes] = Counter()  # mailboxes that are received from now
        self._left: dict[bytes, float] = {}  # when that ended
        self._closed = False

    async def close(self) -> None:
        """End all connections. What waits for something fails with `OSError`."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        await self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def trouble(self) -> OSError | RemoteError | None:
        """Why there is no connection to read over, since the last try; None while there is one."""
        return self._fault if self._pause.failures else None

    # --- the connection --------------------------------------------------------------------------

    async def _connected(self, *, patient: bool = False) -> RelaySession:
        """The session; it is made if there is none.

        A `patient` caller waits until there is one again, but for what will not pass by itself.
        """
        while True:
            if self._closed:
                raise lost(self.url, "this transport is closed")
            session = self._session
            if session is not None and session.alive:
                return session
            if session is not None:
                self._session = None
                self._fault = session.fault or self._fault
                self._pause.failed(_seconds(self._fault))
                if isinstance(self._fault, RelayRefusal) and not _passes(self._fault):
                    raise self._fault  # once: then it is tried again
            if self._connecting is None:
                left = self._pause.left
                if left > _SHORT and not patient:
                    raise self._fault
                if left > 0:
                    await asyncio.sleep(left)
                    continue
                self._connecting = asyncio.create_task(self._connect())
            connecting = self._connecting
            await asyncio.wait((connecting,))  # it goes on when this caller is cancelled
            if self._session is None and not (patient and _passes(self._fault)):
                raise self._fault

    async def _connect(self) -> None:
        """Try once. It has no caller that it could raise anything to: all of them look."""
        try:
            self._session = await RelaySession.begin(
                self.url, tls=self._tls, proxy=self._proxy, patience=self._patience,
                ping=self._ping, window=self._window, served=self._pause.succeeded,
                notices=self._notices,
            )  # fmt: skip
        except (OSError, RelayRefusal) as error:
            self._fault = error
            self._pause.failed(_seconds(error))
        except RemoteError as error:  # its first frame cannot be read
            self._fault = RelayRefusal(error.reason, "no relay answers there")
            self._pause.failed()
        finally:
            self._connecting = None

    # --- mailboxes -------------------------------------------------------------------------------

    async def open_mailbox(self, reader: MailboxReader) -> None:
        """Make a mailbox exist, or renew its lease. Raise `RemoteError`, `OSError`."""
        self._manners.check("make")
        try:
            await self._read_with(lambda session: session.make(reader))
        except RelayRefusal as refusal:
            if self._session is not None and self._session.alive:  # else it is not about mailboxes
                self._manners.note("make", refusal)
            raise
        self._readers[reader.mailbox.address] = reader
        self._made[reader.mailbox.address] = asyncio.get_running_loop().time()

    async def close_mailbox(self, reader: MailboxReader) -> None:
        """Remove a mailbox and all that waits in it. Raise `RemoteError`, `OSError`."""
        await self._read_with(lambda session: session.remove(reader))
        self._readers.pop(reader.mailbox.address, None)
        self._made.pop(reader.mailbox.address, None)

    async def _read_with(self, work: _Work) -> None:
        """Do something over the session that may be repeated when it is lost."""
        for attempt in range(_TRIES):
            session = await self._connected()
            try:
                await work(session)
            except OSError:
                if session.alive or attempt == _TRIES - 1:
                    raise
            else:
                return

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        """Wait until something is in one of these mailboxes and return what is there.

        What was returned and not acked is returned again, once nothing else is there, if it still
        waits at the relay. Of very much, a part: the rest comes with the next call. Raise
        `RemoteError`: unknown-mailbox, not-permitted, bad-key, bad-signature.
        """
        wanted = {reader.mailbox.address: reader for reader in readers}
        if not wanted:
            await asyncio.Event().wait()
        self._readers.update(wanted)
        pause = Pause()
        with self._asking(wanted):
            while True:
                session = await self._connected(patient=True)
                try:
                    found = await self._receive(session, wanted)
                except OSError:
                    if session.alive:
                        raise
                except RelayRefusal as refusal:
                    if session.alive and refusal.reason is Reason.RELAY_BUSY:
                        pause.failed(refusal.seconds)  # its store does not answer now
                        await asyncio.sleep(pause.left)
                    elif session.alive or not _passes(refusal):
                        raise
                else:
                    if found:
                        return found

    async def quiet(self, seconds: float) -> None:
        """Return when a `receive` waits, and nothing has come for so long.

        A relay does not say that it has given all that waits; mostly this tells. Return after two
        minutes (`LONGEST_QUIET`) in any case, whatever a relay sends. Raise the fault when there is
        no connection after a second try, or none then.
        """
        end = asyncio.get_running_loop().time() + max(seconds, LONGEST_QUIET)
        while True:
            session = self._session
            if self._pause.failures > 1:
                raise self._fault
            if asyncio.get_running_loop().time() >= end:
                if session is None or not session.alive:
                    raise self._fault
                return
            if session is None or not session.alive or not session.waiting:
                left = seconds
            else:
                left = session.heard + seconds - asyncio.get_running_loop().time()
                if left <= 0:
                    return
            await asyncio.sleep(min(left, _LOOK))

    @contextlib.contextmanager
    def _asking(self, wanted: dict[bytes, MailboxReader]) -> Iterator[None]:
        self._asked.update(wanted.keys())
        try:
            yield
        finally:
            self._asked.subtract(wanted.keys())
            now = asyncio.get_running_loop().time()
            self._left.update(dict.fromkeys(wanted, now))

    async def _receive(
        self, session: RelaySession, wanted: dict[bytes, MailboxReader]
    ) -> list[Delivery]:
        """What comes over this session; nothing if it has ended."""
        await self._renew(session, wanted)
        await session.follow(list(wanted.values()))
        while session.alive:
            found = session.take(wanted)
            if found:
                return found
            pauses = [_LINGER] if await self._tidy(session) else []
            left = session.until_again(wanted)
            if left is not None and left <= 0:
                await session.begin_again(wanted)
                continue
            if left is not None:
                pauses.append(left)
            await session.arrival(wanted, min(pauses, default=None))
        return []

    async def _renew(self, session: RelaySession, wanted: dict[bytes, MailboxReader]) -> None:
        """Make those mailboxes again that were made here long ago."""
        now = asyncio.get_running_loop().time()
        for address, reader in wanted.items():
            if now - self._made.get(address, now) > _RENEW:
                self._made[address] = now
                await session.make(reader)

    async def _tidy(self, session: RelaySession) -> bool:
        """End what nobody asks for any more; return whether there is more that is idle."""
        asked = {address for address, calls in self._asked.items() if calls > 0}
        idle = session.subscribed - asked
        if not idle:
            return False
        now = asyncio.get_running_loop().time()
        recent = {a for a in idle if now - self._left.get(a, 0.0) < _LINGER}
        if len(recent) < len(idle):
            await session.keep_only(asked | recent)
            self._asked = +self._asked
            self._left = {a: since for a, since in self._left.items() if a in session.subscribed}
        return bool(recent)

    async def ack(self, ids: Sequence[bytes]) -> None:
        """Forget these deliveries. What this transport has not read is passed over.

        Raise `RemoteError`, `OSError`.
        """
        by_address: dict[bytes, dict[bytes, None]] = {}
        for delivery in ids:
            if len(delivery) == 48 and delivery[:32] in self._readers:
                by_address.setdefault(delivery[:32], {})[delivery[32:]] = None
        acks = [self._ack(self._readers[address], list(keys))
                for address, keys in by_address.items()]  # fmt: skip
        for outcome in await asyncio.gather(*acks, return_exceptions=True):
            if outcome is not None:  # the others have been done
                raise outcome

    async def _ack(self, reader: MailboxReader, keys: list[bytes]) -> None:
        await self._read_with(lambda session: session.ack(reader, keys))

    async def about(self) -> dict[str, Any]:
        """What the relay says of itself (22.7): a stranger's text. Raise `RemoteError`, `OSError`.

        Whatever is no relay, or speaks another protocol only, is refused with bad-form.
        """
        data = await self._http.get("/v1/about", kind="about", most=_ABOUT)
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            said = json.loads(data)
            if isinstance(said, dict) and SUBPROTOCOL in said.get("protocols", ()):
                return said
        raise RelayRefusal(Reason.BAD_FORM, "no relay answers there")

    # --- writing ---------------------------------------------------------------------------------

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        """Put envelopes into mailboxes; return the ids that were refused, with the reason.

        A relay that is busy or full, or has had enough, refuses what it has not taken with a reason
        of `PASSING`. Raise `OSError` when it cannot be told what was taken.
        """
        refused: dict[bytes, Reason] = {}
        sound = []
        for item in batch:
            reason = _unsound(item)
            if reason is None:
                sound.append(item)
            else:
                refused[item.id] = reason
        for part in _parts(sound):
            body = PUT.build([
                [item.mailbox.address, item.mailbox.capability, item.id, item.envelope]
                for item in part
            ])  # fmt: skip
            try:
                outcomes = await self._outcomes("/v1/put", body, len(part))
            except RelayRefusal as refusal:
                if refusal.reason not in PASSING:
                    raise
                outcomes = [refusal.reason] * len(part)
            for item, outcome in zip(part, outcomes, strict=True):
                if outcome is not None:
                    refused[item.id] = outcome
        return refused

    async def _outcomes(self, path: str, body: bytes, count: int) -> list[Reason | None]:
        """What became of each item. An answer that cannot be read is none."""
        data = await self._http.post(path, body, most=OUTCOMES.limit)
        try:
            (reasons,) = OUTCOMES.parse(data)
        except RemoteError as error:
            raise lost(self.url, f"its answer cannot be read: {error.reason}") from None
        if len(reasons) != count:
            raise lost(self.url, "its answer has another number of outcomes")
        return [None if reason is None else reason_of(reason) for reason in reasons]

    async def recall(self, batch: Sequence[Recall]) -> None:
        """Erase these envelopes, and never take them again. Raise `RemoteError`, `OSError`."""
        refusals: list[Reason] = []
        sound = []
        for item in batch:
            if len(item.mailbox.address) != 32:
                refusals.append(Reason.UNKNOWN_MAILBOX)
            elif len(item.mailbox.capability) != 16:
                refusals.append(Reason.NOT_PERMITTED)
            elif len(item.id) == 16:  # others were never taken
                sound.append(item)
        for first in range(0, len(sound), MAX_BATCH):
            part = sound[first : first + MAX_BATCH]
            body = RECALL.build([
                [item.mailbox.address, item.mailbox.capability, item.id] for item in part
            ])  # fmt: skip
            outcomes = await self._outcomes("/v1/recall", body, len(part))
            refusals += [reason for reason in outcomes if reason is not None]
        if refusals:
            passing = [reason for reason in refusals if reason in PASSING]
            raise RelayRefusal((passing or refusals)[0], "not recalled")

    # --- key packages ----------------------------------------------------------------------------

    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        """Add one-time key packages; replace the last-resort one if another is given.

        Raise `RemoteError`, `OSError`, and `ValueError` for what has a wrong length.
        """
        given = [*packages, *([] if last_resort is None else [last_resort])]
        if len(fingerprint) != 32 or not all(1 <= len(package) <= _PACKAGE for package in given):
            raise ValueError("a fingerprint has 32 bytes, a key package at most 1,024")
        for first in range(0, max(1, len(packages)), MAX_PUBLISHED):
            part = list(packages[first : first + MAX_PUBLISHED])
            body = PUBLISH.build(fingerprint, part, None if first else last_resort)
            await self._http.post("/v1/publish", body, about=("publish", fingerprint))

    async def claim(self, fingerprint: bytes) -> bytes | None:
        """Take a one-time package out; when none is left, give the last-resort one, or None.

        It is not repeated when the answer is lost: that would take another. Raise `RemoteError`,
        `OSError`.
        """
        if len(fingerprint) != 32:
            return None
        about = ("claim", fingerprint)
        package = await self._http.post("/v1/claim", CLAIM.build(fingerprint), most=_PACKAGE,
                                        again=False, about=about)  # fmt: skip
        return package or None

    # --- blobs -----------------------------------------------------------------------------------

    async def put_blob(self, content: bytes) -> tuple[bytes, bytes]:
        """Put a blob (1 byte to 1 MiB, encrypted by the caller); return its hash and a token.

        By the hash (32 bytes) it is fetched, by the token (16 bytes) deleted; but if the same blob
        was there before, by the token it was first put with. Raise `RemoteError`, `OSError`, and
        `ValueError` for a wrong size.
        """
        if not 1 <= len(content) <= MAX_BLOB:
            raise ValueError("a blob has 1 to 1,048,576 bytes")
        token = secrets.token_bytes(16)
        await self._http.post("/v1/blobs", BLOB.build(H(b"blob token", token), content))
        return H(b"blob", content), token

    async def blob(self, content_hash: bytes) -> bytes:
        """A blob. Raise `RemoteError` (unknown-blob), `OSError`."""
        path = f"/v1/blobs/{content_hash.hex()}"
        content = await self._http.get(path, kind="blob", most=MAX_BLOB)
        if H(b"blob", content) != content_hash:
            raise RelayRefusal(Reason.BAD_FORM, "not the blob that was asked for")
        return content

    async def delete_blob(self, content_hash: bytes, token: bytes) -> None:
        """Delete a blob; one that is not there is fine. Raise `RemoteError` (not-permitted)."""
        try:
            await self._http.post("/v1/blobs/delete", BLOB_DELETION.build(content_hash, token))
        except RelayRefusal as refusal:
            if refusal.reason is not Reason.UNKNOWN_BLOB:
                raise


def _unsound(item: Outgoing) -> Reason | None:
    """Why the relay need not be asked."""
    if len(item.id) != 16 or len(item.mailbox.address) != 32 or not item.envelope:
        return Reason.BAD_INPUT
    if len(item.mailbox.capability) != 16:
        return Reason.NOT_PERMITTED
    return Reason.TOO_LARGE if len(item.envelope) > MAX_ENVELOPE else None


def _parts(items: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    """Items in requests of a size that a relay takes."""
    part: list[Outgoing] = []
    size = 0
    for item in items:
        takes = len(item.envelope) + _HEAD
        if part and (len(part) == MAX_BATCH or size + takes > PUT.limit - _HEAD):
            yield part
            part, size = [], 0
        part.append(item)
        size += takes
    if part:
        yield part


def _seconds(fault: object) -> int:
    return fault.seconds if isinstance(fault, RelayRefusal) else 0


def _passes(fault: OSError | RelayRefusal) -> bool:
    """Whether it makes sense to wait until a connection can be made."""
    if isinstance(fault, RelayRefusal):
        return fault.reason in PASSING
    return "certificate" not in str(fault.strerror)
