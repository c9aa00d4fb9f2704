"""Receiving: take what arrives, store it, and only then ack it (REQ-ENV-21).

All mailboxes are read with one call of the transport. If that fails, it is split, until the
mailbox that cannot be read stands alone; that one waits, and the others are read on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from .backoff import RETRY, Backoff
from .desk import TRANSPORT_FAULTS, Desk
from .errors import Reason, RemoteError, StorageError
from .ports import Delivery, Transport

__all__ = ["Receiver"]

STALE = 8  # batches without anything new before the next is waited for
ACKED = 64  # deliveries that are acked together: a relay may be far away
TAKEN = 4_096  # deliveries remembered, to know one that comes again

Call = asyncio.Future[list[Delivery]]


class Receiver:
    """Receives from the mailboxes in `opened`, which others change and then set `changed`."""

    def __init__(
        self,
        desk: Desk,
        transport: Transport,
        opened: set[bytes],
        changed: asyncio.Event,
        wake: Callable[[], None],
    ) -> None:
        self._desk = desk
        self._transport = transport
        self._opened = opened
        self._changed = changed
        self._wake = wake  # have mailboxes opened, and what was queued sent
        self._taken: dict[bytes, None] = {}  # the last deliveries, by id: one may come again
        self._deferred: dict[bytes, Backoff] = {}  # deliveries that the application failed at
        self._failing: dict[bytes, Backoff] = {}  # mailboxes, by address
        self._stale = 0

    async def loop(self) -> None:
        """Receive for ever. A store that fails ends the loop; what was not acked comes again."""
        while True:
            self._changed.clear()
            await self._listen(self._readable())

    def _readable(self) -> tuple[bytes, ...]:
        """The mailboxes that may be read now."""
        now = self._desk.clock.now()
        known = [a for a in self._desk.engine.mailboxes if a in self._opened]
        for address in self._failing.keys() - self._desk.engine.mailboxes.keys():
            del self._failing[address]
        return tuple(
            a for a in known if a not in self._failing or not self._failing[a].waits(now)
        )

    def _next_try(self) -> int | None:
        now = self._desk.clock.now()
        return min((b.due for b in self._failing.values() if b.waits(now)), default=None)

    async def _listen(self, addresses: tuple[bytes, ...]) -> None:
        """Receive from these until mailboxes have changed, one fails, or one may be tried again."""
        calls: dict[Call, tuple[bytes, ...]] = {}
        others: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._changed.wait())]
        due = self._next_try()
        if due is not None:
            others.append(asyncio.ensure_future(self._desk.clock.wait_until(due)))
        try:
            self._begin(calls, addresses)
            going_on = True
            while going_on and not any(other.done() for other in others):
                await asyncio.wait({*calls, *others}, return_when=asyncio.FIRST_COMPLETED)
                for call in [call for call in calls if call.done()]:
                    group = calls.pop(call)
                    try:
                        deliveries = call.result()
                    except TRANSPORT_FAULTS as error:
                        if len(group) > 1:
                            self._begin(calls, group[: len(group) // 2])
                            self._begin(calls, group[len(group) // 2 :])
                        else:
                            self._fail(group[0], error)
                            going_on = False  # the others go on together
                        continue
                    await self._take_all(deliveries)
                    self._begin(calls, group)
        finally:
            for future in (*calls, *others):
                if not future.cancel() and not future.cancelled():
                    future.exception()  # it is not looked at any more: what it was for comes again

    def _begin(self, calls: dict[Call, tuple[bytes, ...]], group: tuple[bytes, ...]) -> None:
        own = self._desk.engine.mailboxes
        readers = [own[address].keys.reader() for address in group if address in own]
        if readers:
            calls[asyncio.ensure_future(self._transport.receive(readers))] = group

    def _fail(self, address: bytes, error: Exception) -> None:
        """This mailbox cannot be read now. If the relay has forgotten it, it is made again."""
        self._failing.setdefault(address, Backoff()).failed(self._desk.clock.now())
        if isinstance(error, RemoteError) and error.reason == Reason.UNKNOWN_MAILBOX:
            self._opened.discard(address)
            self._wake()

    async def _take_all(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._failing.pop(delivery.address, None)
        fresh = news = False
        failure: StorageError | None = None
        stored: list[bytes] = []
        for number, delivery in enumerate(deliveries, 1):
            known = delivery.id in self._taken
            try:
                if known or await self._take(delivery):
                    stored.append(delivery.id)
                    news = news or not known
            except StorageError as error:  # perhaps of one damaged room: the others go on
                failure = failure or error
            if stored and (len(stored) == ACKED or number == len(deliveries)):
                fresh = (await self._ack(stored) and news) or fresh
                stored, news = [], False
        self._wake()
        if failure is not None:
            raise failure
        self._stale = 0 if fresh else self._stale + 1
        if self._stale > STALE:  # nothing new, and the same would come at once
            self._stale = 0
            await self._desk.clock.wait_until(self._desk.clock.now() + RETRY)

    async def _ack(self, stored: list[bytes]) -> bool:
        """Let the transport forget these; return whether it took note."""
        try:
            await self._transport.ack(stored)
        except TRANSPORT_FAULTS:
            return False  # they come again, and are then known
        return True

    async def _take(self, delivery: Delivery) -> bool:
        """Process one delivery; return whether the store has it now."""
        now = self._desk.clock.now()
        backoff = self._deferred.get(delivery.id)
        if backoff is not None and backoff.waits(now):
            return False
        if not await self._desk.deliver(delivery):
            self._deferred.setdefault(delivery.id, Backoff()).failed(now)
            _bound(self._deferred)
            return False
        self._deferred.pop(delivery.id, None)
        self._taken[delivery.id] = None
        _bound(self._taken)
        return True


def _bound(kept: dict[bytes, Backoff] | dict[bytes, None]) -> None:
    if len(kept) > TAKEN:
        del kept[next(iter(kept))]
