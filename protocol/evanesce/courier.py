"""The courier: what a device does with its transport, in tasks of their own (spec 12).

A relay may hang, fail, forget or repeat itself; none of that holds up what the device does with its
store. What could not be done stays to be done, and is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from . import arrivals
from .engine import Engine
from .errors import Reason, RemoteError, StorageError
from .events import DeliveryFailed, Event
from .keypackage import Card, KeyPackage
from .ports import Clock, Delivery, KeyDirectory, Store, Transaction, Transport

__all__ = ["Courier"]

CLAIMS = 32  # key packages asked for before the card's own is used
PATIENCE = 1  # seconds that a call waits for the transport, once what it did has been stored
RETRY = 5  # seconds before a transport that failed is tried again
STALE = 8  # batches without anything new before the next is waited for
TAKEN = 4_096  # deliveries remembered, to know one that comes again
# What a transport may raise: it is tried again later. Anything else is a fault in the transport.
TRANSPORT_FAULTS = (RemoteError, OSError, EOFError, ValueError)

Result = TypeVar("Result")


class Desk(arrivals.Faces, Protocol):
    """What the courier needs of its device."""

    @property
    def is_open(self) -> bool:
        """Whether the device is open."""

    @property
    def engine(self) -> Engine:
        """What the device holds."""

    @property
    def store(self) -> Store:
        """Where it keeps it."""

    @property
    def clock(self) -> Clock:
        """Its clock."""

    async def keep(self, work: Callable[[Transaction, int], Result]) -> Result:
        """Run `work` in one transaction."""

    def tell(self, events: Iterable[Event]) -> None:
        """Tell the application."""


class Courier:
    """Carries envelopes between a device and its transport."""

    def __init__(self, desk: Desk, transport: Transport) -> None:
        self._desk = desk
        self._transport = transport
        self._taken: dict[bytes, None] = {}  # the last deliveries, by id: one may come again
        self._drained: set[bytes] = set()  # mailboxes to close
        self._opened: set[bytes] = set()  # mailboxes the transport has made in this session
        self._sending = asyncio.Lock()
        self._mailboxes_changed = asyncio.Event()
        self._outgoing = asyncio.Event()  # there may be something to send
        self._idle = asyncio.Event()  # there is not, or the transport failed

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

    async def send_loop(self) -> None:
        """Send whenever something has been queued. A relay that hangs holds up nothing else."""
        while True:
            await self._outgoing.wait()
            self._outgoing.clear()
            await self._flush()
            if not self._outgoing.is_set():
                self._idle.set()

    async def flush_briefly(self) -> None:
        """Send what waits, unless the transport takes too long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._flush(), PATIENCE)

    async def _flush(self) -> None:
        """Make new mailboxes, publish new packages, send what waits. A failure is tried again."""
        async with self._sending:
            for part in (self._open_mailboxes, self._send_waiting, self._publish,
                         self._close_mailboxes):  # fmt: skip
                if self._desk.is_open:
                    with contextlib.suppress(*TRANSPORT_FAULTS, StorageError):
                        await part()  # what fails stays to be done; the tick loop comes back to it

    async def _open_mailboxes(self) -> None:
        for address, own in list(self._desk.engine.mailboxes.items()):
            if address not in self._opened:
                with contextlib.suppress(*TRANSPORT_FAULTS):
                    await self._transport.open_mailbox(own.keys.reader())
                    self._opened.add(address)
                    self._mailboxes_changed.set()

    async def _close_mailboxes(self) -> None:
        for address in list(self._drained):
            own = self._desk.engine.mailboxes.get(address)
            if own is not None:
                await self._transport.close_mailbox(own.keys.reader())
                await self._desk.keep(lambda tx, now: self._desk.engine.drop_mailbox(tx, address))  # noqa: B023
            self._opened.discard(address)
            self._drained.discard(address)
            self._mailboxes_changed.set()

    async def _send_waiting(self) -> None:
        engine = self._desk.engine
        with self._desk.store.transaction() as tx:
            waiting = engine.outbox.queued(tx)
        if not waiting:
            return
        refused = await self._transport.send([item for _, _, item in waiting])
        failed = await self._desk.keep(lambda tx, now: engine.outbox.settle(tx, waiting, refused))
        self._desk.tell(DeliveryFailed(reason, room) for reason, room in failed)

    async def _publish(self) -> None:
        """Give new packages to the directory, if the transport has one."""
        engine = self._desk.engine
        if not isinstance(self._transport, KeyDirectory):
            return
        waiting = [key for key, shelved in engine.packages.items() if not shelved.published]
        if not waiting:
            return
        packages = [engine.packages[key].keys.package for key in waiting]
        one_time = [package.signed for package in packages if not package.last_resort]
        last = [package.signed for package in packages if package.last_resort]
        await self._transport.publish(
            engine.owner.identity.fingerprint, one_time, last[-1] if last else None
        )
        await self._desk.keep(lambda tx, now: self._desk.engine.mark_published(tx, waiting))

    async def receive_loop(self) -> None:
        """Take what arrives, store it, and only then ack it."""
        stale = 0
        while True:
            self._mailboxes_changed.clear()
            readers = [own.keys.reader() for address, own in self._desk.engine.mailboxes.items()
                       if address in self._opened]  # fmt: skip
            receive = asyncio.ensure_future(self._transport.receive(readers))
            changed = asyncio.ensure_future(self._mailboxes_changed.wait())
            try:
                await asyncio.wait({receive, changed}, return_when=asyncio.FIRST_COMPLETED)
                if not receive.done():
                    continue
                deliveries = receive.result()
            except TRANSPORT_FAULTS as error:
                if isinstance(error, RemoteError) and error.reason is Reason.UNKNOWN_MAILBOX:
                    self._opened.clear()  # the relay has forgotten: make them again
                    self._outgoing.set()
                await self._desk.clock.wait_until(self._desk.clock.now() + RETRY)
                continue
            finally:
                receive.cancel()
                changed.cancel()
            fresh = [await self._take(delivery) for delivery in deliveries]
            self._outgoing.set()
            stale = 0 if any(fresh) else stale + 1
            if stale > STALE:  # nothing new, and the same would come at once
                stale = 0
                await self._desk.clock.wait_until(self._desk.clock.now() + RETRY)

    async def _take(self, delivery: Delivery) -> bool:
        """Process one delivery, and let the transport forget it once the store has it.

        Return whether it was new, and the transport took note. A store that fails ends the loop;
        the device begins it again, and what was not acked comes again.
        """
        if delivery.id in self._taken:
            with contextlib.suppress(*TRANSPORT_FAULTS):
                await self._transport.ack([delivery.id])
            return False
        events = await self._desk.keep(
            lambda tx, now: arrivals.arrive(self._desk.engine, tx, self._desk, delivery, now)
        )
        self._desk.tell(events)
        self._taken[delivery.id] = None
        if len(self._taken) > TAKEN:
            del self._taken[next(iter(self._taken))]
        try:
            await self._transport.ack([delivery.id])
        except TRANSPORT_FAULTS:
            return False  # it comes again, and is then known
        return True

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
