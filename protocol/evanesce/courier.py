"""The courier: what a device does with its transport, in tasks of their own (spec 12).

A relay may hang, fail, forget or repeat itself; none of that holds up what the device does with its
store. What could not be done stays to be done, and is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable

from .backoff import Backoff
from .desk import TRANSPORT_FAULTS, Desk
from .errors import RemoteError, StorageError
from .keypackage import Card, KeyPackage
from .mailbox import MailboxKeys
from .ports import KeyDirectory, Transport
from .recalling import Recaller
from .receiving import Receiver
from .sending import Sender

__all__ = ["Courier"]

OPENED = 32  # mailboxes that are made at the same time
CLAIMS = 32  # key packages asked for before the card's own is used
PATIENCE = 1  # seconds that a call waits for the transport, once what it did has been stored


class Courier:
    """Carries envelopes between a device and its transport."""

    def __init__(self, desk: Desk, transport: Transport) -> None:
        self._desk = desk
        self._transport = transport
        self._drained: set[bytes] = set()  # mailboxes to close
        self._opened: set[bytes] = set()  # mailboxes the transport has made in this session
        self._lock = asyncio.Lock()
        self._mailboxes_changed = asyncio.Event()
        self._outgoing = asyncio.Event()  # there may be something to send
        self._idle = asyncio.Event()  # there is not, or the transport failed
        self._sender = Sender(desk, transport)
        self._receiver = Receiver(
            desk, transport, self._opened, self._mailboxes_changed, self.wake
        )
        self._send_backoff = Backoff()
        self._parts: list[tuple[Callable[[], Awaitable[bool]], Backoff]] = [
            (self._open_mailboxes, Backoff()),
            (self._sender.send, self._send_backoff),
            (Recaller(desk, transport).recall, Backoff()),  # after what may still be under way
            (self._publish, Backoff()),
            (self._close_mailboxes, Backoff()),
        ]

    def wake(self) -> None:
        """Look for something to send."""
        self._outgoing.set()

    async def send_soon(self) -> None:
        """Look for something to send, and give that a moment."""
        self._idle.clear()
        self._outgoing.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), PATIENCE)

    def close_mailboxes(self, addresses: Iterable[bytes]) -> None:
        """Have these mailboxes closed: they have been drained."""
        self._drained.update(addresses)
        self._outgoing.set()

    async def receive_loop(self) -> None:
        """Take what arrives, for ever."""
        await self._receiver.loop()

    async def send_loop(self) -> None:
        """Send whenever something has been queued. A relay that hangs holds up nothing else."""
        while True:
            await self._until_due()
            self._outgoing.clear()
            await self._flush()
            if not self._outgoing.is_set():
                self._idle.set()

    async def _until_due(self) -> None:
        """Wait until there may be something to send, or it is time to try again."""
        now = self._desk.clock.now()
        dues = [backoff.due for _, backoff in self._parts if backoff.waits(now)]
        if self._sender.due is not None and not self._send_backoff.waits(now):
            dues.append(self._sender.due)
        if not dues:
            await self._outgoing.wait()
            return
        wake = asyncio.ensure_future(self._outgoing.wait())
        due = asyncio.ensure_future(self._desk.clock.wait_until(min(dues)))
        try:
            await asyncio.wait({wake, due}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            wake.cancel()
            due.cancel()

    async def flush_briefly(self) -> None:
        """Send all that waits, unless the transport takes too long."""
        self._sender.hope()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._flush(), PATIENCE)

    async def _flush(self) -> None:
        """Make new mailboxes, send what waits, publish new packages. A failure is tried again."""
        async with self._lock:
            for part, backoff in self._parts:
                done = False
                if self._desk.is_open:
                    with contextlib.suppress(*TRANSPORT_FAULTS, StorageError):
                        done = await part()
                if done:
                    backoff.succeeded()
                else:
                    backoff.failed(self._desk.clock.now())

    async def _open_mailboxes(self) -> bool:
        """Make mailboxes, several at a time: a relay may be far away, and rooms many."""
        keys = [own.keys for address, own in self._desk.engine.mailboxes.items()
                if address not in self._opened]  # fmt: skip
        done = [await asyncio.gather(*map(self._open_mailbox, keys[at : at + OPENED]))
                for at in range(0, len(keys), OPENED)]  # fmt: skip
        return all(map(all, done))

    async def _open_mailbox(self, keys: MailboxKeys) -> bool:
        try:
            await self._transport.open_mailbox(keys.reader())
        except TRANSPORT_FAULTS:
            return False
        self._opened.add(keys.mailbox.address)
        self._mailboxes_changed.set()
        return True

    async def _close_mailboxes(self) -> bool:
        done = True
        for address in list(self._drained):
            own = self._desk.engine.mailboxes.get(address)
            if own is not None:
                try:
                    await self._transport.close_mailbox(own.keys.reader())
                except TRANSPORT_FAULTS:
                    done = False
                    continue
                await self._desk.keep(lambda tx, now: self._desk.engine.drop_mailbox(tx, address))  # noqa: B023
            self._opened.discard(address)
            self._drained.discard(address)
            self._mailboxes_changed.set()
        return done

    async def _publish(self) -> bool:
        """Give new packages to the directory, if the transport has one."""
        engine = self._desk.engine
        if not isinstance(self._transport, KeyDirectory):
            return True
        waiting = [key for key, shelved in engine.packages.items() if not shelved.published]
        if not waiting:
            return True
        packages = [engine.packages[key].keys.package for key in waiting]
        one_time = [package.signed for package in packages if not package.last_resort]
        last = [package.signed for package in packages if package.last_resort]
        await self._transport.publish(
            engine.owner.identity.fingerprint, one_time, last[-1] if last else None
        )
        await self._desk.keep(lambda tx, now: self._desk.engine.mark_published(tx, waiting))
        return True

    def claims(self, card: Card) -> bool:
        """Whether a package is claimed for this card, or the card's own serves."""
        return card.package.last_resort and isinstance(self._transport, KeyDirectory)

    async def claim(self, card: Card) -> bytes | None:
        """Claim until a package can be used: what lies at a directory may be old, or anybody's."""
        if not isinstance(self._transport, KeyDirectory):
            return None
        for _ in range(CLAIMS):
            signed = await self._transport.claim(card.identity.fingerprint)
            if signed is None:
                return None
            try:
                package = KeyPackage.parse(signed)
            except RemoteError:
                continue
            if package.identity == card.identity and self._desk.clock.now() <= package.expiry:
                return signed
        return None
