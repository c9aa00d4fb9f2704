"""What runs a device: one transaction after another, its loops, and what it tells (spec 17).

Everything a call or a delivery changes is committed to the store in one transaction before anything
is sent or acked; should that fail, the device goes on from what the store holds.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from . import arrivals, upkeep
from .application import CallbackError, OnCommit, call_back, run_limited
from .backoff import RETRY
from .conversation import Conversation
from .courier import Courier
from .engine import Engine
from .errors import EvanesceError, LocalError, Reason, StorageError
from .events import ApplicationFailed, Event, MessageHandle, RolledBack, StoreFailed
from .ports import Clock, Delivery, RollbackAware, Scrubbing, Store, Transaction, Transport
from .primitives import Random

__all__ = ["TICK", "Worker"]

TICK = 60  # seconds between two looks at what time asks for
Result = TypeVar("Result")


class Worker(ABC):
    """Runs over a store and a transport."""

    def __init__(
        self,
        store: Store,
        transport: Transport,
        name: str | None,
        clock: Clock,
        random: Random,
        on_commit: OnCommit | None,
    ) -> None:
        self._store = store
        self._transport = transport
        self._name = name
        self._clock = clock
        self._random = random
        self._on_commit = on_commit
        self._engine_: Engine | None = None
        self._open = False
        self._scrub_due = False  # the store could not, when it was asked to
        self._opened: dict[bytes, tuple[bytes, bytes]] = {}  # messages; their room and author
        self._lock = asyncio.Lock()
        self._events: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._look = asyncio.Event()
        self._courier = Courier(self, transport)

    @abstractmethod
    def conversation(self, room: bytes) -> Conversation:
        """The handle on the room with this id."""

    @abstractmethod
    def message(self, message: bytes) -> MessageHandle:
        """The handle on a kept message, by its id."""

    def opened(self, message: bytes) -> tuple[bytes, bytes] | None:
        """Room and author of a message that somebody has open now."""
        return self._opened.get(message)

    # --- opening and closing ---------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._open = True
        self._events = asyncio.Queue()
        self._courier = Courier(self, self._transport)
        try:
            async with self._lock:
                self._transact(self._begin)
            await self._maintain(caught_up=False)
            await self._courier.flush_briefly()
        except BaseException:
            self._open, self._engine_ = False, None
            raise
        self._tasks = [
            asyncio.create_task(self._guard(self._courier.send_loop)),
            asyncio.create_task(self._guard(self._courier.receive_loop)),
            asyncio.create_task(self._guard(self._tick_loop)),
        ]
        return self

    def _begin(self, tx: Transaction, now: int) -> None:
        """The first transaction: if the store is an older copy, its rooms are stale from now on."""
        store = self._store
        if isinstance(store, RollbackAware) and store.rolled_back:
            rooms = self.engine.mark_stale(tx)
            store.accept_rollback()
            self.engine.told.append(RolledBack(tuple(self.conversation(key) for key in rooms)))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop, after one more try to send what waits, of at most a second.

        What is unsent stays in the store and goes out when the device is opened again.
        """
        if self._tasks:
            await self._courier.flush_briefly()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        async with self._lock:
            self._open, self._engine_ = False, None
        self._events.put_nowait(None)

    @property
    def is_open(self) -> bool:
        """Whether the device is open."""
        return self._open

    @property
    def store(self) -> Store:
        """Where it keeps everything."""
        return self._store

    @property
    def clock(self) -> Clock:
        """Its clock."""
        return self._clock

    @property
    def engine(self) -> Engine:
        """What it holds: the core beneath, for tools. Raise `LocalError` (closed)."""
        if not self._open:
            raise LocalError(Reason.CLOSED, "this device is not open")
        if self._engine_ is None:  # the last transaction failed: what the store holds is true
            with self._store.transaction() as tx:
                self._engine_ = self._load(tx, self._clock.now())
        return self._engine_

    def _load(self, tx: Transaction, now: int) -> Engine:
        engine = Engine.load(tx, self._name, now, self._random)
        engine.rooms.store = self._store
        return engine

    # --- events ----------------------------------------------------------------------------------

    async def events(self) -> AsyncIterator[Event]:
        """What happens, in order, until the device is closed. Take it in one place only."""
        while (event := await self._events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
        self._events.put_nowait(None)  # they have ended for whoever asks again

    def pending_events(self) -> list[Event]:
        """The events that have happened and not been taken yet, without waiting for more."""
        pending: list[Event] = []
        while not self._events.empty():
            event = self._events.get_nowait()
            if isinstance(event, BaseException):
                raise event
            if event is None:
                self._events.put_nowait(None)  # closed: `events` still has to end
                break
            pending.append(event)
        return pending

    def tell(self, events: Iterable[Event]) -> None:
        """Tell the application."""
        for event in events:
            self._events.put_nowait(event)

    # --- transactions ----------------------------------------------------------------------------

    async def transact(self, work: Callable[[Transaction], Result]) -> Result:
        """Run the application's own `work` in one transaction of the store; return its result.

        It may read and write records whose names begin with ``b"app/"`` only: `LocalError`
        (bad-input) for others, and for a coroutine function. What it raises undoes all it wrote.
        """
        return await self.keep(lambda tx, now: run_limited(tx, work))

    async def _run(self, work: Callable[[Transaction, int], Result]) -> Result:
        """Run `work` in one transaction, and give the sending task a moment for what it queued."""
        result = await self.keep(work)
        await self._courier.send_soon()
        return result

    async def keep(self, work: Callable[[Transaction, int], Result]) -> Result:
        """Run `work`, which sends nothing, in one transaction."""
        async with self._lock:
            result = self._transact(work)
        self._look.set()
        return result

    def _transact(self, work: Callable[[Transaction, int], Result]) -> Result:
        """Run `work` in one transaction; if it fails, go on from what the store holds."""
        if not self._open:
            raise LocalError(Reason.CLOSED, "this device is not open")
        now = self._clock.now()
        try:
            with self._store.transaction() as tx:
                if self._engine_ is None:
                    self._engine_ = self._load(tx, now)
                with self._engine_.rooms.within(tx):
                    result = work(tx, now)
        except BaseException:
            self._engine_ = None  # the next call reads it anew
            raise
        engine = self._engine_
        self.tell(engine.take_told())
        if engine.take_erased():
            self._scrub()
        return result

    def _scrub(self) -> None:
        """Have what was erased go from the store's files. If it cannot, it is asked again."""
        if not isinstance(self._store, Scrubbing):
            return
        self._scrub_due = True
        try:
            self._store.scrub()
        except EvanesceError as error:
            self.tell([StoreFailed(error.reason, f"not scrubbed: {error.detail}")])
        except Exception as error:  # an embedder's store may raise anything: told, and tried again
            self.tell([StoreFailed(Reason.BAD_STORE, f"not scrubbed: {type(error).__name__}")])
        else:
            self._scrub_due = False

    async def deliver(self, delivery: Delivery) -> bool:
        """Process a delivery in one transaction; return whether that was committed.

        It is not when the application's callback has raised something: then it is tried again.
        """
        return await self._with_callback(
            lambda tx, now: arrivals.arrive(self.engine, tx, self, delivery, now)
        )

    async def _with_callback(self, work: Callable[[Transaction, int], list[Event]]) -> bool:
        """Run `work`, and the application's callback on its events, in one transaction."""

        def both(tx: Transaction, now: int) -> list[Event]:
            events = work(tx, now)
            call_back(tx, self._on_commit, events)
            return events

        try:
            events = await self.keep(both)
        except CallbackError as fault:
            self.tell([ApplicationFailed(fault.error)])
            return False
        self.tell(events)
        return True

    # --- time ------------------------------------------------------------------------------------

    async def maintain(self) -> None:
        """Do what time asks for: evaporate, erase, refresh, replenish, send again.

        A device does this by itself every minute and at each message's deadline. It may commit (to
        refresh, or for members who asked to leave): do not call it before mail has been received.
        """
        await self._maintain(caught_up=True)

    async def _maintain(self, *, caught_up: bool) -> None:
        if self._scrub_due:
            async with self._lock:
                self._scrub()
        events, waiting = await self.keep(
            lambda tx, now: upkeep.evaporate(self.engine, tx, now)
        )
        self.tell(events)
        if waiting:
            taken = await self._with_callback(
                lambda tx, now: upkeep.retry_waiting(self.engine, tx, self, now)
            )
            caught_up = caught_up and taken  # a commit may be among what was not taken
        events, drained = await self.keep(
            lambda tx, now: upkeep.maintain(self.engine, tx, self, now, caught_up=caught_up)
        )
        self.tell(events)
        self._courier.close_mailboxes(drained)

    async def _tick_loop(self) -> None:
        """Maintain every `TICK` seconds, and at the deadline of the next message to evaporate."""
        opened = last = self._clock.now()
        while True:
            self._look.clear()
            due = last + TICK
            deadline = self.engine.inbox.next_deadline
            due = due if deadline is None else min(due, deadline)
            sleep = asyncio.ensure_future(self._clock.wait_until(due))
            look = asyncio.ensure_future(self._look.wait())
            try:
                await asyncio.wait({sleep, look}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleep.cancel()
                look.cancel()
            if self._clock.now() < due:
                continue
            await self._maintain(caught_up=self._clock.now() - opened >= TICK)
            last = self._clock.now()

    async def _guard(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a loop for ever: a failing store interrupts it, and it is tried again.

        Any other error is a fault in the transport, the store or this package. It ends the loop and
        reaches the reader of `events`.
        """
        while True:
            try:
                await loop()
            except asyncio.CancelledError:
                raise
            except StorageError as error:
                self.tell([StoreFailed(error.reason, error.detail)])
                await self._clock.wait_until(self._clock.now() + RETRY)
            except BaseException as error:
                self._events.put_nowait(error)
                raise
