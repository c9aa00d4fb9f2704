"""Devices on one relay, for the tests of devices.

Nothing here waits for real time, and nothing but a relay's challenges is random: a failure repeats.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random as Dice
from typing import Any, TypeVar

import pytest

from evanesce import (
    Conversation,
    Device,
    EvanesceError,
    Event,
    MemoryStore,
    MemoryTransport,
    MessageArrived,
    MessageHandle,
    Person,
    Policy,
    Reason,
)
from evanesce.application import OnCommit
from evanesce.envelope import open_envelope, seal_envelope
from evanesce.errors import StorageError
from evanesce.formats import COMMIT_COPY, MESSAGE, OPENING
from evanesce.holdings import OwnMailbox
from evanesce.mailbox import Mailbox, MailboxReader
from evanesce.message import ParsedMessage
from evanesce.ports import Delivery, ManualClock, Outgoing, Recall, Transport
from evanesce.wire import peek_type

NOW = 1_700_000_000 - 1_700_000_000 % 3_600  # on the hour
E = TypeVar("E", bound=Event)


class Stream:
    """A random source that repeats itself: the n-th call is a hash of the seed and n."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return hashlib.shake_256(f"{self.seed}/{self.calls}".encode()).digest(size)


class Store(MemoryStore):
    """Counts its transactions; the ones in `failing` are not committed."""

    def __init__(self, contents: Mapping[bytes, bytes] | None = None) -> None:
        super().__init__(contents)
        self.transactions = 0
        self.failing: set[int] = set()
        self.on_end: Callable[[bool], None] | None = None  # told whether it was committed

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        committed = False
        try:
            with super().transaction() as transaction:
                yield transaction
                self.transactions += 1
                if self.transactions in self.failing:
                    raise StorageError(Reason.BAD_STORE, "the disk is full")
            committed = True
        finally:
            if self.on_end is not None:
                self.on_end(committed)

    def named(self, prefix: bytes) -> dict[bytes, bytes]:
        """The records whose name starts so."""
        return {k: v for k, v in self.contents().items() if k.startswith(prefix)}

    def mailboxes(self) -> list[OwnMailbox]:
        """The mailboxes of the device that lives here."""
        return [OwnMailbox.load(data) for data in self.named(b"mailbox/").values()]


class Relay(MemoryTransport):
    """A relay that can be down, or keep an envelope back; and one can see whether it works."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.activity = 0
        self.down = False
        self.gate: asyncio.Event | None = None  # while it is closed, `send` does not return
        self.paused = False  # takes everything, delivers nothing
        self.kept_back: set[bytes] = set()  # envelopes
        self.acked: list[bytes] = []
        self.closed: list[bytes] = []
        self.recalled: list[Recall] = []
        self.published: list[bytes] = []

    def _work(self) -> None:
        self.activity += 1
        if self.down:
            raise OSError("the relay is down")

    async def open_mailbox(self, reader: MailboxReader) -> None:
        self._work()
        await super().open_mailbox(reader)

    async def close_mailbox(self, reader: MailboxReader) -> None:
        self._work()
        self.closed.append(reader.mailbox.address)
        await super().close_mailbox(reader)

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        self._work()
        if self.gate is not None:
            await self.gate.wait()
        return await super().send(batch)

    async def recall(self, batch: Sequence[Recall]) -> None:
        self._work()
        self.recalled += batch
        await super().recall(batch)

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        self._work()
        return await super().receive(readers)

    def _waiting(self, addresses: Sequence[bytes]) -> list[Delivery]:
        found = super()._waiting(addresses)
        if self.paused:
            return []
        return [item for item in found if item.envelope not in self.kept_back]

    def keep_back_last(self, address: bytes | None = None) -> None:
        """Keep back what came last (for one mailbox), and deliver all else again."""
        last = [seen for seen in self.seen if address in (None, seen.address)][-1]
        self.kept_back.add(last.envelope)
        self.paused = False

    async def ack(self, ids: Sequence[bytes]) -> None:
        self._work()
        self.acked += ids
        await super().ack(ids)

    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        self._work()
        self.published += packages
        await super().publish(fingerprint, packages, last_resort)

    async def claim(self, fingerprint: bytes) -> bytes | None:
        self._work()
        return await super().claim(fingerprint)

    async def let_go(self, *envelopes: bytes) -> None:
        """Deliver what was kept back: these envelopes, or all."""
        self.kept_back -= set(envelopes or self.kept_back)
        await super().send([])


class Disorderly(Relay):
    """A relay that delivers in any order, some now and some later, and again what it delivered."""

    def __init__(self, clock: ManualClock, seed: int) -> None:
        super().__init__(clock)
        self.dice = Dice(seed)
        self.delivered: list[Delivery] = []

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        found = await super().receive(readers)
        chosen = self.dice.sample(found, self.dice.randint(1, len(found)))
        addresses = {reader.mailbox.address for reader in readers}
        old = [item for item in self.delivered if item.address in addresses]
        again = self.dice.sample(old, min(len(old), self.dice.randint(0, 2)))
        again += self.dice.sample(chosen, self.dice.randint(0, 1))
        self.delivered += chosen
        mixed = [*chosen, *again]
        self.dice.shuffle(mixed)
        return mixed


class Pipe:
    """The same relay without a directory of key packages."""

    def __init__(self, relay: Relay) -> None:
        self.open_mailbox = relay.open_mailbox
        self.close_mailbox = relay.close_mailbox
        self.send = relay.send
        self.receive = relay.receive
        self.ack = relay.ack


class Actor:
    """Someone with a device: the store it lives in, and all that it has told."""

    def __init__(
        self, world: World, name: str, store: Store, transport: Transport, clock: ManualClock
    ) -> None:
        self.world = world
        self.name = name
        self.store = store
        self.transport = transport
        self.clock = clock
        self.log: list[Event] = []
        self.failures: list[BaseException] = []
        self._read = 0
        self._device: Device | None = None
        self._listener: asyncio.Task[None] | None = None
        self.random = Stream(name)
        self.on_commit: OnCommit | None = None

    @property
    def device(self) -> Device:
        """The open device."""
        assert self._device is not None, f"the device of {self.name} is closed"
        return self._device

    @property
    def is_open(self) -> bool:
        """Whether the device is open."""
        return self._device is not None

    async def open(self, name: str | None = None) -> None:
        """Open the device in the store, or make one there."""
        self.random = Stream(f"{self.name}, session {self.world.sessions}")
        self.world.sessions += 1
        device = Device.open(
            self.store, self.transport, name=name, clock=self.clock, random=self.random,
            on_commit=self.on_commit,
        )  # fmt: skip
        await device.__aenter__()
        self._device = device
        self._listener = asyncio.create_task(self._listen(device))
        await self.world.settle()

    async def _listen(self, device: Device) -> None:
        async for event in device.events():
            self.log.append(event)

    @property
    def failed(self) -> BaseException | None:
        """What has stopped the device from working, if anything has."""
        listener = self._listener
        return listener.exception() if listener is not None and listener.done() else None

    async def close(self) -> None:
        """Close the device; what it tells ends by itself."""
        device, self._device = self.device, None
        await device.close()
        assert self._listener is not None
        await asyncio.wait([self._listener], timeout=1)
        assert self._listener.done(), "the events did not end with the device"
        if self.failed is not None:
            self.failures.append(self.failed)
        self._listener = None

    async def restart(self) -> None:
        """Close the device and open it again."""
        await self.close()
        await self.open()

    def told(self, kind: type[E]) -> list[E]:
        """Everything of this kind it has told so far."""
        return [event for event in self.log if isinstance(event, kind)]

    def arrived(self) -> list[MessageArrived]:
        """The messages it told of that have not been read with `heard` or this, oldest first."""
        fresh, self._read = self.log[self._read :], len(self.log)
        return [event for event in fresh if isinstance(event, MessageArrived)]

    async def heard(self) -> list[str | bytes]:
        """Let everything arrive, then view what has; return what it says."""
        await self.world.settle()
        return [await self.view(event.message) for event in self.arrived()]

    async def view(self, message: MessageHandle) -> str | bytes:
        """View one message, also one of an earlier session."""
        async with self.device.message(message.id).open() as body:
            return body

    def room(self, room: Conversation | bytes) -> Conversation:
        """Its own handle on a room."""
        return self.device.conversation(room if isinstance(room, bytes) else room.id)

    def person(self, room: Conversation, other: Actor) -> Person:
        """Someone as a member of a room."""
        return next(p for p in self.room(room).members if p.identity == other.device.identity)

    # --- what an attacker would have ------------------------------------------------------------

    def mailbox(self, room: Conversation | None) -> Mailbox:
        """The mailbox it reads now in a room, or its contact mailbox."""
        key = None if room is None else room.id
        (own,) = (m for m in self.store.mailboxes() if m.room == key and m.retired is None)
        return own.keys.mailbox

    def payloads(self) -> list[tuple[bytes, bytes]]:
        """Envelope and payload of all that was ever put into the mailboxes it still has."""
        keys = {own.keys.mailbox.address: own.keys for own in self.store.mailboxes()}
        return [
            (seen.envelope, open_envelope(keys[seen.address], seen.envelope))
            for seen in self.world.relay.seen
            if seen.address in keys
        ]


class World:
    """One relay, one clock, and the devices of several people."""

    def __init__(self, relay: Callable[[ManualClock], Relay] = Relay) -> None:
        self.clock = ManualClock(NOW)
        self.relay = relay(self.clock)
        self.actors: dict[str, Actor] = {}
        self.sessions = 0
        self._random = Stream("somebody")

    async def close(self) -> None:
        """Close every device; none has failed without the test's asking for it."""
        for actor in self.actors.values():
            if actor.is_open:
                await actor.close()
        failures = {a.name: a.failures for a in self.actors.values() if a.failures}
        assert not failures, f"devices have failed: {failures}"

    async def open(
        self,
        name: str,
        *,
        store: Store | None = None,
        transport: Transport | None = None,
        clock: ManualClock | None = None,
    ) -> Actor:
        """Open a new device."""
        actor = Actor(self, name, store or Store(), transport or self.relay, clock or self.clock)
        self.actors[name] = actor
        await actor.open(name)
        return actor

    async def settle(self) -> None:
        """Run until all devices are idle."""
        quiet, last = 0, -1
        for _ in range(20_000):
            await asyncio.sleep(0)
            active = self.relay.activity
            active += sum(actor.store.transactions for actor in self.actors.values())
            quiet, last = (quiet + 1 if active == last else 0), active
            if quiet == 30:
                return
        raise AssertionError("the devices never come to rest")

    async def advance(self, seconds: int) -> None:
        """Let time pass at once, and let the devices do what it asks for."""
        self.clock.advance(seconds)
        await self.settle()

    async def direct(self, one: Actor, other: Actor) -> Conversation:
        """A 1:1 room that both have spoken in: `one` began it, `other` spoke last."""
        room = await one.device.direct(await other.device.card())
        await room.send("hello")
        assert await other.heard() == ["hello"]
        await other.room(room).send("good day")
        assert await one.heard() == ["good day"]
        return room

    async def group(
        self, founder: Actor, *others: Actor, policy: Policy | None = None
    ) -> Conversation:
        """A group that all have joined."""
        cards = [await other.device.card() for other in others]
        room = await founder.device.create_room(cards, policy=policy)
        await self.settle()
        self.check_agreement(room, founder, *others)
        return room

    def check_agreement(self, room: Conversation, *actors: Actor) -> None:
        """Assert that all see the same room, with just these members."""
        assert {(a.room(room).epoch, a.room(room).transcript) for a in actors} == {
            (room.epoch, room.transcript)
        }, "members disagree about the room"
        expected = {a.device.identity for a in actors}
        for actor in actors:
            assert {p.identity for p in actor.room(room).members} == expected

    async def check_talk(self, room: Conversation, *actors: Actor) -> None:
        """Assert that each can say something to all others, and that it comes once."""
        await self.settle()
        for actor in actors:
            actor.arrived()
        for speaker in actors:
            text = f"{speaker.name} at {self.relay.activity}"
            await speaker.room(room).send(text)
            for actor in actors:
                if actor is not speaker:
                    assert await actor.heard() == [text], f"{speaker.name} to {actor.name}"

    async def put(self, mailbox: Mailbox, envelope: bytes) -> None:
        """Put bytes into a mailbox, as anybody can who knows its write capability."""
        assert not await self.relay.send([Outgoing(self._random(16), mailbox, envelope)])

    async def put_payload(self, mailbox: Mailbox, payload: bytes) -> None:
        """Seal a payload to a mailbox and put it there."""
        await self.put(mailbox, seal_envelope(mailbox, payload, self._random))


def kinds(payloads: Sequence[tuple[bytes, bytes]]) -> list[int | None]:
    """The types of these payloads."""
    return [peek_type(payload) for _, payload in payloads]


def of_kind(payloads: Sequence[tuple[bytes, bytes]], kind: int) -> list[tuple[bytes, bytes]]:
    """Those of one type."""
    return [item for item in payloads if peek_type(item[1]) == kind]


def message_in(payload: bytes) -> bytes | None:
    """The message that a payload is or carries."""
    if peek_type(payload) == MESSAGE.type:
        return payload
    return bytes(OPENING.parse(payload)[1]) if peek_type(payload) == OPENING.type else None


def check_sealed_once(*actors: Actor) -> None:
    """Assert that at no place of any chain two different things were ever sent."""
    places: dict[tuple[object, ...], set[bytes]] = {}
    for actor in actors:
        for _, payload in actor.payloads():
            if peek_type(payload) == COMMIT_COPY.type:
                sealed = COMMIT_COPY.parse(payload)[0]
                places.setdefault(("commit", sealed[:80]), set()).add(sealed)
            message = message_in(payload)
            if message is not None:
                header = ParsedMessage.parse(message).header
                place = ("message", header.room, header.prefix, header.sender, header.number)
                places.setdefault(place, set()).add(message)
    assert places
    assert all(len(versions) == 1 for versions in places.values()), "one place, two contents"


@contextmanager
def refused(reason: Reason, *stores: Store, error: type[EvanesceError]) -> Iterator[None]:
    """Assert that the block is refused for this reason, and changes nothing in the stores."""
    before = [store.contents() for store in stores]
    with pytest.raises(error) as caught:
        yield
    assert caught.value.reason is reason, caught.value
    assert type(caught.value) is error
    assert [store.contents() for store in stores] == before, "a refused request changed the store"
