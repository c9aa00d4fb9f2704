"""A device: the engine, run over a store and a transport (spec 17).

This is the only module that is async. Everything a call or a delivery changes is committed to the
store in one transaction before anything is sent or acked; should that fail, the device goes on from
what the store holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from . import actions, arrivals, upkeep
from .actions import Guest
from .content import Said
from .conversation import Conversation
from .engine import Engine
from .errors import LocalError, Reason, RemoteError, StorageError
from .events import DeliveryFailed, Event, MessageEvaporated, MessageHandle, Person, StoreFailed
from .identity import Identity
from .keypackage import Card, KeyPackage
from .membership import Mode, Policy, Role
from .operations import Operation
from .ports import Clock, Delivery, KeyDirectory, Store, SystemClock, Transaction, Transport
from .primitives import Random
from .room import Room

__all__ = ["Device"]

TICK = 60  # seconds between two looks at what time asks for
CLAIMS = 32  # key packages asked for before the card's own is used
PATIENCE = 1  # seconds that a call waits for the transport, once what it did has been stored
STALE = 8  # batches without anything new before the next is waited for
TAKEN = 4_096  # deliveries remembered, to know one that comes again
# What a transport may raise: it is tried again later. Anything else is a fault in the transport.
TRANSPORT_FAULTS = (RemoteError, OSError, EOFError, ValueError)
RETRY = 5  # seconds before a transport that failed is tried again

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
        self._taken: dict[bytes, None] = {}  # the last deliveries, by id: one may come again
        self._drained: set[bytes] = set()  # mailboxes to close
        self._opened: set[bytes] = set()  # mailboxes the transport has made in this session
        self._lock = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._events: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._mailboxes_changed = asyncio.Event()
        self._look = asyncio.Event()
        self._outgoing = asyncio.Event()  # something waits to be sent
        self._sent = asyncio.Event()  # nothing does, or the transport failed

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
        self._opened.clear()
        self._events = asyncio.Queue()
        try:
            async with self._lock:
                self._transact(lambda tx, now: None)
            await self._maintain(caught_up=False)
            await self._flush_briefly()
        except BaseException:
            self._open, self._engine_ = False, None
            raise
        self._tasks = [
            asyncio.create_task(self._guard(self._send_loop)),
            asyncio.create_task(self._guard(self._receive_loop)),
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
        """Stop, after one more try to send what waits, of at most `PATIENCE` seconds.

        What is unsent stays in the store and goes out when the device is opened again.
        """
        if self._tasks:
            await self._flush_briefly()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        async with self._lock:
            self._open, self._engine_ = False, None
        self._events.put_nowait(None)

    # --- who and what ----------------------------------------------------------------------------

    @property
    def _engine(self) -> Engine:
        if not self._open:
            raise LocalError(Reason.CLOSED, "this device is not open")
        if self._engine_ is None:  # the last transaction failed: what the store holds is true
            with self._store.transaction() as tx:
                self._engine_ = Engine.load(tx, self._name, self._clock.now(), self._random)
        return self._engine_

    @property
    def name(self) -> str:
        """What this device calls itself."""
        return self._engine.name

    @property
    def identity(self) -> Identity:
        """This device's public identity."""
        return self._engine.owner.identity

    @property
    def rooms(self) -> tuple[Conversation, ...]:
        """Every room on this device."""
        return tuple(self.conversation(room) for room in self._engine.rooms)

    def conversation(self, room: bytes) -> Conversation:
        """The handle on the room with this id."""
        return Conversation(self, room)

    def room(self, room: bytes) -> Room:
        """The core's room behind a conversation. Raise `LocalError` (unknown-room)."""
        found = self._engine.rooms.get(room)
        if found is None:
            raise LocalError(Reason.UNKNOWN_ROOM, "no such room on this device")
        return found

    def people(self, room: bytes) -> tuple[Person, ...]:
        """The members of a room."""
        found = self.room(room)
        mine = {found.own_id: self.name}
        return tuple(
            Person(mine.get(m.id, arrivals.person(found, m).name), m.id, m.identity, m.role)
            for m in found.roster
        )

    async def card(self, *, one_time: bool = False) -> Card:
        """A card to hand around. With `one_time`, for one named peer: it admits with full secrecy.

        An ordinary card carries the last-resort package, and its users claim a one-time one.
        """

        def make(tx: Transaction, now: int) -> Card:
            engine = self._engine
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
        serving = self._engine.direct.get(card.identity)
        if serving is not None and serving in self._engine.rooms:
            return self.conversation(serving)
        (claimed,) = await self._claim([card])

        def begin(tx: Transaction, now: int) -> bytes:
            begun = self._engine.direct.get(card.identity)
            if begun is not None:  # meanwhile, by another call or by the peer
                return begun
            guest = Guest.of(card, now, claimed, Role.MEMBER)
            return actions.begin_direct(self._engine, tx, guest, now).id

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
            return actions.found_group(self._engine, tx, rules, guests, now).id

        return self.conversation(await self._run(found))

    async def _claim(self, cards: Sequence[Card]) -> list[bytes | None]:
        """A fresh one-time package for each card that carries a last-resort one."""
        claimed: list[bytes | None] = []
        for card in cards:
            wanted = card.package.last_resort and card.identity != self.identity
            claimed.append(await self._claim_one(card) if wanted else None)
        return claimed

    async def _claim_one(self, card: Card) -> bytes | None:
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
            if package.identity == card.identity and self._clock.now() <= package.expiry:
                return signed
        return None

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
            evaporation = self._engine.evaporation(found, after_view, lifetime)
            said = Said(body, now, evaporation, quote)
            return actions.speak(self._engine, tx, found, said, now)

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
            actions.commit(self._engine, tx, self.room(room), operations, chosen, now)

        await self._run(make)

    async def leave(self, room: bytes) -> None:
        """Ask to be removed from a group; see `Conversation.leave`."""
        await self._run(lambda tx, now: actions.leave(self._engine, tx, self.room(room), now))

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

    async def inbox(self, room: Conversation | None = None) -> list[MessageHandle]:
        """The messages that have not evaporated, oldest first: after a restart, or for a list."""

        def look(tx: Transaction, now: int) -> list[MessageHandle]:
            kept = self._engine.inbox.all(tx, now)
            return [self.message(k.id) for k in kept if room is None or k.room == room.id]

        return await self._keep(look)

    @asynccontextmanager
    async def _view(self, message: bytes) -> AsyncIterator[str | bytes]:
        """Open a message: the viewed mark is committed before the content is given out."""
        body = await self._keep(lambda tx, now: self._engine.inbox.view(tx, message, now))
        try:
            yield body
        finally:
            closed = False
            if self._open:  # else what has been viewed is erased when the device is opened again
                closed = await self._keep(lambda tx, now: self._engine.inbox.close(tx, message))
            if closed:
                self._events.put_nowait(MessageEvaporated(message))
            self._look.set()

    # --- running ---------------------------------------------------------------------------------

    async def _run(self, work: Callable[[Transaction, int], Result]) -> Result:
        """Run `work` in one transaction, and give the sending task a moment for what it queued."""
        result = await self._keep(work)
        self._sent.clear()
        self._outgoing.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._sent.wait(), PATIENCE)
        return result

    async def _keep(self, work: Callable[[Transaction, int], Result]) -> Result:
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

    async def _send_loop(self) -> None:
        """Send whenever something has been queued. A relay that hangs holds up nothing else."""
        while True:
            await self._outgoing.wait()
            self._outgoing.clear()
            await self._flush()
            if not self._outgoing.is_set():
                self._sent.set()

    async def _flush_briefly(self) -> None:
        """Send what waits, unless the transport takes too long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._flush(), PATIENCE)

    async def _flush(self) -> None:
        """Make new mailboxes, publish new packages, send what waits. A failure is tried again."""
        async with self._sending:
            for part in (self._open_mailboxes, self._send_waiting, self._publish,
                         self._close_mailboxes):  # fmt: skip
                if self._open:
                    with contextlib.suppress(*TRANSPORT_FAULTS, StorageError):
                        await part()  # what fails stays to be done; the tick loop comes back to it

    async def _open_mailboxes(self) -> None:
        for address, own in list(self._engine.mailboxes.items()):
            if address not in self._opened:
                with contextlib.suppress(*TRANSPORT_FAULTS):
                    await self._transport.open_mailbox(own.keys.reader())
                    self._opened.add(address)
                    self._mailboxes_changed.set()

    async def _close_mailboxes(self) -> None:
        for address in list(self._drained):
            own = self._engine.mailboxes.get(address)
            if own is not None:
                await self._transport.close_mailbox(own.keys.reader())
                await self._keep(lambda tx, now: self._engine.drop_mailbox(tx, address))  # noqa: B023
            self._opened.discard(address)
            self._drained.discard(address)
            self._mailboxes_changed.set()

    async def _send_waiting(self) -> None:
        engine = self._engine
        with self._store.transaction() as tx:
            waiting = engine.outbox.queued(tx)
        if not waiting:
            return
        refused = await self._transport.send([item for _, _, item in waiting])
        async with self._lock:
            with self._store.transaction() as tx:
                failed = engine.outbox.settle(tx, waiting, refused)
        for reason, room in failed:
            self._events.put_nowait(DeliveryFailed(reason, room))

    async def _publish(self) -> None:
        """Give new packages to the directory, if the transport has one."""
        engine = self._engine
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
        async with self._lock:
            self._transact(lambda tx, now: self._engine.mark_published(tx, waiting))

    async def _receive_loop(self) -> None:
        """Take what arrives, store it, and only then ack it."""
        stale = 0
        while True:
            self._mailboxes_changed.clear()
            readers = [own.keys.reader() for address, own in self._engine.mailboxes.items()
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
                await self._clock.wait_until(self._clock.now() + RETRY)
                continue
            finally:
                receive.cancel()
                changed.cancel()
            fresh = [await self._take(delivery) for delivery in deliveries]
            self._outgoing.set()
            stale = 0 if any(fresh) else stale + 1
            if stale > STALE:  # nothing new, and the same would come at once
                stale = 0
                await self._clock.wait_until(self._clock.now() + RETRY)
            self._look.set()

    async def _take(self, delivery: Delivery) -> bool:
        """Process one delivery, and let the transport forget it once the store has it.

        Return whether it was new, and the store and the transport took note.
        """
        if delivery.id in self._taken:
            with contextlib.suppress(*TRANSPORT_FAULTS):
                await self._transport.ack([delivery.id])
            return False
        async with self._lock:
            try:
                events = self._transact(
                    lambda tx, now: arrivals.arrive(self._engine, tx, self, delivery, now)
                )
            except StorageError as error:
                self._tell([StoreFailed(error.reason, error.detail)])
                return False
        self._tell(events)
        self._taken[delivery.id] = None
        if len(self._taken) > TAKEN:
            del self._taken[next(iter(self._taken))]
        try:
            await self._transport.ack([delivery.id])
        except TRANSPORT_FAULTS:
            return False  # it comes again, and is then known
        return True

    def _tell(self, events: Iterable[Event]) -> None:
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
                lambda tx, now: upkeep.maintain(self._engine, tx, self, now, caught_up=caught_up)
            )
        self._tell(events)
        self._drained.update(drained)
        self._outgoing.set()

    async def _tick_loop(self) -> None:
        """Maintain every `TICK` seconds, and at the deadline of the next message to evaporate."""
        opened = last = self._clock.now()
        while True:
            self._look.clear()
            due = last + TICK
            deadline = self._engine.inbox.next_deadline
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
            try:
                await self._maintain(caught_up=self._clock.now() - opened >= TICK)
            except StorageError as error:
                self._tell([StoreFailed(error.reason, error.detail)])
                await self._clock.wait_until(self._clock.now() + RETRY)
            last = self._clock.now()

    async def _guard(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a loop; what ends it unexpectedly reaches the reader of `events`."""
        try:
            await loop()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._events.put_nowait(error)
            raise

