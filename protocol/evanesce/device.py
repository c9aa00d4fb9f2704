"""A device: the engine, run over a store and a transport (spec 17).

This is the only module that is async. Everything a call or a delivery changes is committed to the
store in one transaction before anything is sent or acked; should that fail, the device goes on from
what the store holds.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from . import actions, arrivals, upkeep
from .actions import Guest
from .content import Said
from .conversation import Conversation
from .courier import RETRY, Courier
from .engine import Engine
from .errors import LocalError, Reason, StorageError
from .events import Event, MessageArrived, MessageEvaporated, MessageHandle, Person, StoreFailed
from .identity import Identity
from .inbox import Kept
from .keypackage import Card
from .membership import Mode, Policy, Role
from .operations import Operation
from .ports import Clock, Store, SystemClock, Transaction, Transport
from .primitives import Random
from .room import Room

__all__ = ["Device"]

TICK = 60  # seconds between two looks at what time asks for
Result = TypeVar("Result")


class Device:
    """One device with its rooms.

    ``async with Device.open(store, transport, name="Mina") as mina: …``
    """

    def __init__(
        self, store: Store, transport: Transport, name: str | None, clock: Clock, random: Random
    ) -> None:
        self._store = store
        self._transport = transport
        self._name = name
        self._clock = clock
        self._random = random
        self._engine_: Engine | None = None
        self._open = False
        self._lock = asyncio.Lock()
        self._events: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._look = asyncio.Event()
        self._courier = Courier(self, transport)

    @classmethod
    def open(
        cls,
        store: Store,
        transport: Transport,
        *,
        name: str | None = None,
        clock: Clock | None = None,
        random: Random = secrets.token_bytes,
    ) -> Device:
        """Open the device in `store`, or make a new one there called `name` (1 to 256 bytes).

        `clock` and `random` are for tests. Entering the context raises `LocalError` for a new
        device without a name (bad-input) or with one too long (too-large), `StorageError`
        (bad-store) for a store that cannot be read.
        """
        return cls(store, transport, name, clock or SystemClock(), random)

    async def __aenter__(self) -> Self:
        self._open = True
        self._events = asyncio.Queue()
        self._courier = Courier(self, self._transport)
        try:
            async with self._lock:
                self._transact(lambda tx, now: None)
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

    # --- who and what ----------------------------------------------------------------------------

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
                self._engine_ = Engine.load(tx, self._name, self._clock.now(), self._random)
        return self._engine_

    @property
    def name(self) -> str:
        """What this device calls itself."""
        return self.engine.name

    @property
    def identity(self) -> Identity:
        """This device's public identity."""
        return self.engine.owner.identity

    @property
    def rooms(self) -> tuple[Conversation, ...]:
        """Every room on this device."""
        return tuple(self.conversation(room) for room in self.engine.rooms)

    def conversation(self, room: bytes) -> Conversation:
        """The handle on the room with this id."""
        return Conversation(self, room)

    def room(self, room: bytes) -> Room:
        """The core's room behind a conversation. Raise `LocalError` (unknown-room)."""
        found = self.engine.rooms.get(room)
        if found is None:
            raise LocalError(Reason.UNKNOWN_ROOM, "no such room on this device")
        return found

    def people(self, room: bytes) -> tuple[Person, ...]:
        """The members of a room."""
        found = self.room(room)
        return tuple(arrivals.person(found, member) for member in found.roster)

    async def card(self, *, one_time: bool = False) -> Card:
        """A card to hand around. With `one_time`, for one named peer: it admits with full secrecy.

        An ordinary card carries the last-resort package, and its users claim a one-time one.
        """

        def make(tx: Transaction, now: int) -> Card:
            engine = self.engine
            if one_time:
                shelved = engine.make_package(tx, now, last_resort=False, publish=False)
            else:
                shelved = engine.last_resort() or engine.make_package(
                    tx, now, last_resort=True, publish=True
                )
            return Card(engine.name, shelved.keys.package)

        return await self._run(make)

    # --- rooms -----------------------------------------------------------------------------------

    async def direct(self, card: Card) -> Conversation:
        """The 1:1 room with the owner of `card`; begun now if there is none.

        Nothing is sent before the first message. Raise `LocalError`: expired, no-package,
        already-member (one's own card). `OSError` when a directory cannot be reached.
        """
        serving = self.engine.direct.get(card.identity)
        if serving is not None and serving in self.engine.rooms:
            return self.conversation(serving)
        (claimed,) = await self._claim([card])

        def begin(tx: Transaction, now: int) -> bytes:
            begun = self.engine.direct.get(card.identity)
            if begun is not None:  # meanwhile, by another call or by the peer
                return begun
            guest = Guest.of(card, now, claimed, Role.MEMBER)
            return actions.begin_direct(self.engine, tx, guest, now).id

        return self.conversation(await self._run(begin))

    async def create_room(
        self, members: Iterable[Card], *, policy: Policy | None = None
    ) -> Conversation:
        """Found a group with the owners of these cards, and invite them.

        Raise `LocalError`: expired, no-package, already-member, too-many-members, bad-policy,
        wrong-mode.
        """
        cards = list(members)
        claims = await self._claim(cards)
        rules = policy or Policy(Mode.SIGNED)

        def found(tx: Transaction, now: int) -> bytes:
            guests = [
                Guest.of(card, now, claimed, Role.MEMBER)
                for card, claimed in zip(cards, claims, strict=True)
            ]
            return actions.found_group(self.engine, tx, rules, guests, now).id

        return self.conversation(await self._run(found))

    async def _claim(self, cards: Sequence[Card]) -> list[bytes | None]:
        """A fresh one-time package for each card that carries a last-resort one."""
        claimed: list[bytes | None] = []
        for card in cards:
            wanted = card.package.last_resort and card.identity != self.identity
            claimed.append(await self._courier.claim(card) if wanted else None)
        return claimed

    async def say(
        self,
        room: bytes,
        body: str | bytes,
        after_view: int | None,
        lifetime: int | None,
        quote: bytes | None,
    ) -> bytes:
        """Send to a room; see `Conversation.send`."""

        def speak(tx: Transaction, now: int) -> bytes:
            found = self.room(room)
            evaporation = self.engine.evaporation(found, after_view, lifetime)
            said = Said(body, now, evaporation, quote)
            return actions.speak(self.engine, tx, found, said, now)

        return await self._run(speak)

    async def commit(
        self, room: bytes, operations: Sequence[Operation], guests: Sequence[tuple[Card, Role]]
    ) -> None:
        """Commit to a group; see `Conversation`."""
        claims = await self._claim([card for card, _ in guests])

        def make(tx: Transaction, now: int) -> None:
            chosen = [
                Guest.of(card, now, claimed, role)
                for (card, role), claimed in zip(guests, claims, strict=True)
            ]
            actions.commit(self.engine, tx, self.room(room), operations, chosen, now)

        await self._run(make)

    async def leave(self, room: bytes) -> None:
        """Ask to be removed from a group; see `Conversation.leave`."""
        await self._run(lambda tx, now: actions.leave(self.engine, tx, self.room(room), now))

    # --- messages --------------------------------------------------------------------------------

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

    def message(self, message: bytes) -> MessageHandle:
        """The handle on a kept message, by its id."""
        return MessageHandle(message, self._view)

    async def inbox(self, room: Conversation | None = None) -> list[MessageArrived]:
        """The messages that have not evaporated, as they came: after a restart, or for a list.

        One's own are among them, until their time is over.
        """

        def look(tx: Transaction, now: int) -> list[MessageArrived]:
            return [
                self._as_arrived(kept)
                for kept in self.engine.inbox.all(tx, now)
                if room is None or kept.room == room.id
            ]

        return await self.keep(look)

    def _as_arrived(self, kept: Kept) -> MessageArrived:
        """A kept message as it was told when it came."""
        room = self.room(kept.room)
        member = room.known_member(kept.sender)
        if member is None:  # long removed, from a room that has had many commits since
            sender = Person(kept.sender[:4].hex(), kept.sender, Identity(b"", b""), Role.MEMBER)
        else:
            sender = arrivals.person(room, member)
        return MessageArrived(self.conversation(kept.room), sender, self.message(kept.id),
                              kept.sent, kept.quote)  # fmt: skip

    @asynccontextmanager
    async def _view(self, message: bytes) -> AsyncIterator[str | bytes]:
        """Open a message: the viewed mark is committed before the content is given out."""
        body = await self.keep(lambda tx, now: self.engine.inbox.view(tx, message, now))
        try:
            yield body
        finally:
            closed = False
            if self._open:  # else what has been viewed is erased when the device is opened again
                closed = await self.keep(lambda tx, now: self.engine.inbox.close(tx, message))
            if closed:
                self._events.put_nowait(MessageEvaporated(message))
            self._look.set()

    # --- running ---------------------------------------------------------------------------------

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
                    self._engine_ = Engine.load(tx, self._name, now, self._random)
                result = work(tx, now)
        except BaseException:
            self._engine_ = None  # the next call reads it anew
            raise
        return result

    def tell(self, events: Iterable[Event]) -> None:
        """Tell the application."""
        for event in events:
            self._events.put_nowait(event)

    async def maintain(self) -> None:
        """Do what time asks for: evaporate, erase, refresh, replenish, send again.

        A device does this by itself every minute and at each message's deadline. It may commit (to
        refresh, or for members who asked to leave): do not call it before mail has been received.
        """
        await self._maintain(caught_up=True)

    async def _maintain(self, *, caught_up: bool) -> None:
        async with self._lock:
            events, drained = self._transact(
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

