"""A store that fails: at every transaction of a conversation, one after the other.

Whatever fails, the device goes on from what the store holds, or is opened again, and in the end
everybody has everything once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from evanesce import (
    Device,
    LocalError,
    MessageArrived,
    Reason,
    Rejected,
    RoomJoined,
    StorageError,
    primitives,
)
from evanesce import arrivals as arrivals_module
from evanesce import message as message_module
from evanesce.arrivals import Faces
from evanesce.engine import Engine
from evanesce.events import Event
from evanesce.ledger import Report, State
from evanesce.ports import Delivery, ManualClock, Transaction
from tests.device.device_support import Actor, Relay, Store, World, check_sealed_once, refused

Result = TypeVar("Result")


@dataclass
class Ledger:
    """Which deliveries were stored, which were acked, and what each message key sealed."""

    processing: list[bytes] = field(default_factory=list)
    stored: set[bytes] = field(default_factory=set)
    acked: set[bytes] = field(default_factory=set)
    sealed: dict[bytes, set[bytes]] = field(default_factory=dict)

    def end(self, committed: bool) -> None:
        if committed:
            self.stored.update(self.processing)
        self.processing.clear()


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    made = Ledger()
    real_arrive, real_encrypt = arrivals_module.arrive, primitives.encrypt

    def arrive(
        engine: Engine, tx: Transaction, faces: Faces, delivery: Delivery, now: int
    ) -> list[Event]:
        made.processing.append(delivery.id)
        return real_arrive(engine, tx, faces, delivery, now)

    def encrypt(key: bytes, plaintext: bytes) -> bytes:
        made.sealed.setdefault(key, set()).add(plaintext)
        return real_encrypt(key, plaintext)

    monkeypatch.setattr(arrivals_module, "arrive", arrive)
    monkeypatch.setattr(message_module, "encrypt", encrypt)
    return made


class WatchfulRelay(Relay):
    """Refuses to be acked for what has not been stored."""

    ledger: Ledger

    async def ack(self, ids: Sequence[bytes]) -> None:
        assert set(ids) <= self.ledger.stored, "acked before it was stored"
        self.ledger.acked |= set(ids)
        await super().ack(ids)


class Play:
    """A conversation of three devices; the store of one of them fails as it is told."""

    def __init__(self, ledger: Ledger, victim: str, failing: set[int]) -> None:
        def relay(clock: ManualClock) -> Relay:
            made = WatchfulRelay(clock)
            made.ledger = ledger
            return made

        self.world = World(relay)
        self.people: list[Actor] = []
        for name in ("Mina", "Junho", "Sora"):
            store = Store()
            store.failing = failing if name == victim else set()
            store.on_end = ledger.end
            actor = Actor(self.world, name, store, self.world.relay, self.world.clock)
            self.people.append(actor)
            self.world.actors[name] = actor

    async def do(
        self, actor: Actor, action: Callable[[Device], Awaitable[Result]]
    ) -> Result:
        """Have a device do something. What has failed with `StorageError` has not happened."""
        for _ in range(100):
            await self.mend(actor)
            try:
                return await action(actor.device)
            except StorageError:
                continue
        raise AssertionError("the store never recovers")

    async def mend(self, actor: Actor) -> None:
        """Open a device that is closed or has stopped working."""
        if actor.is_open and actor.failed is not None:
            await actor.close()
        for _ in range(100):
            if actor.is_open:
                return
            try:
                await actor.open(actor.name)
            except StorageError:
                continue
        raise AssertionError("the store never recovers")

    async def settle(self) -> None:
        """Let everything arrive; devices that have stopped are opened again."""
        for _ in range(100):
            await self.world.settle()
            self.world.clock.advance(60)
            await self.world.settle()
            failed = [actor for actor in self.people if actor.failed is not None]
            for actor in failed:
                await self.mend(actor)
            if not failed and not self.world.relay.holdings():
                return
        raise AssertionError("the devices never come to rest")

    async def say(self, actor: Actor, room: bytes, text: str) -> None:
        await self.do(actor, lambda device: device.conversation(room).send(text))
        await self.settle()

    async def run(self) -> None:
        """The conversation, and the checks after it."""
        mina, junho, sora = self.people
        for actor in self.people:
            await self.mend(actor)
        card = await self.do(junho, lambda device: device.card())
        talk = (await self.do(mina, lambda device: device.direct(card))).id
        await self.say(mina, talk, "1:1, one")
        await self.say(junho, talk, "1:1, two")
        await self.say(mina, talk, "1:1, three")
        room = (await self.do(mina, lambda device: device.create_room([card]))).id
        await self.settle()
        await self.say(junho, room, "group, one")
        third = await self.do(sora, lambda device: device.card())
        await self.do(mina, lambda device: device.conversation(room).add(third))
        await self.settle()
        await self.say(sora, room, "group, two")
        await self.do(junho, lambda device: device.conversation(room).refresh())
        await self.settle()
        await self.say(mina, room, "group, three")
        talked = ["1:1, one", "1:1, three", "1:1, two"]
        grouped = ["group, one", "group, three", "group, two"]
        await self.check(mina, [*talked, *grouped], rooms=2)
        await self.check(junho, [*talked, *grouped], rooms=2)
        await self.check(sora, grouped[1:], rooms=1)
        self.world.check_agreement(mina.room(talk), mina, junho)
        self.world.check_agreement(mina.room(room), mina, junho, sora)
        check_sealed_once(*self.people)
        for actor in self.people:
            assert not actor.store.named(b"outbox/"), "something was never sent"
            reports = [Report.load(data) for data in actor.store.named(b"ledger/").values()]
            became = {recipient.state for report in reports for recipient in report.recipients}
            assert became <= {State.SENT, State.CONFIRMED}
            await actor.close()

    async def check(self, actor: Actor, expected: list[str], *, rooms: int) -> None:
        """Assert that a device has everything once, its own words too."""
        listed = await self.do(actor, lambda device: device.inbox())
        bodies: list[Any] = []
        for message in listed:
            bodies.append(await self.do(actor, lambda _, seen=message: actor.view(seen.message)))  # type: ignore[misc]
        assert sorted(bodies) == expected, actor.name
        assert len(actor.device.rooms) == rooms, f"{actor.name} is in too many rooms, or too few"
        told = [event.message.id for event in actor.told(MessageArrived)]
        assert len(told) == len(set(told)), f"{actor.name} was told of a message twice"
        assert len(actor.told(RoomJoined)) <= rooms
        assert not [e for e in actor.told(Rejected) if e.reason is not Reason.REPLAY]


async def length(ledger: Ledger, victim: str) -> int:
    """How many transactions a device takes when nothing fails."""
    play = Play(ledger, victim, set())
    await play.run()
    assert not any(actor.failures for actor in play.people)
    return play.world.actors[victim].store.transactions


@pytest.mark.parametrize("victim", ["Mina", "Junho"])
async def test_a_conversation_completes_whichever_transaction_fails(
    ledger: Ledger, victim: str
) -> None:
    transactions = await length(ledger, victim)
    assert transactions > 20
    broken: dict[int, str] = {}
    for number in range(1, transactions + 1):
        play = Play(ledger, victim, {number})
        try:
            await play.run()
        except (AssertionError, LocalError, StorageError) as error:
            broken[number] = str(error).splitlines()[0]
        finally:
            for actor in play.people:
                if actor.is_open:
                    await actor.close()
    assert not broken, f"of {transactions} transactions"
    assert ledger.acked
    assert all(len(contents) == 1 for contents in ledger.sealed.values())


@pytest.mark.parametrize("victim", ["Mina", "Junho"])
@pytest.mark.parametrize("period", [5, 7, 11])
async def test_a_conversation_completes_though_the_store_fails_again_and_again(
    ledger: Ledger, victim: str, period: int
) -> None:
    play = Play(ledger, victim, set(range(period, 30 * period, period)))
    try:
        await play.run()
    finally:
        for actor in play.people:
            if actor.is_open:
                await actor.close()
    assert all(len(contents) == 1 for contents in ledger.sealed.values())


async def test_no_key_seals_two_contents_even_from_two_copies_of_one_device(
    ledger: Ledger, world: World
) -> None:
    """A store that was copied, and a random source that repeats itself."""
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = (await world.direct(mina, junho)).id
    await mina.close()
    copy = mina.store.contents()
    for text in ("from the one", "from the other", "from the one"):
        mina.store = Store(copy)
        world.sessions = 0  # the same randomness in each of them
        await mina.open()
        await mina.room(room).send(text)
        await world.settle()
        await mina.close()
    assert await junho.heard() == ["from the one"], "one place in the chain is read once"
    assert len({bytes(c) for contents in ledger.sealed.values() for c in contents}) > 3
    assert all(len(contents) == 1 for contents in ledger.sealed.values())


async def test_a_request_that_fails_in_the_store_changes_nothing(world: World) -> None:
    """REQ-CHAIN-14."""
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.group(mina, junho)
    digest = mina.device.room(room.id).digest()
    seen = len(world.relay.seen)
    requests: list[Callable[[], Awaitable[object]]] = [
        lambda: room.send("hello"), room.refresh, room.leave,
    ]  # fmt: skip
    for request in requests:
        mina.store.failing = {mina.store.transactions + 1}
        with refused(Reason.BAD_STORE, mina.store, error=StorageError):
            await request()
        await world.settle()
        assert len(world.relay.seen) == seen, "something went out that was not stored"
        assert mina.device.room(room.id).digest() == digest
    await world.check_talk(room, mina, junho)


async def test_content_is_not_shown_when_the_viewed_mark_cannot_be_stored(world: World) -> None:
    """REQ-EVAP-06."""
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.direct(mina, junho)
    await room.send("secret", after_view=0)
    await world.settle()
    (event,) = junho.arrived()
    junho.store.failing = {junho.store.transactions + 1}
    with refused(Reason.BAD_STORE, junho.store, error=StorageError):
        async with event.message.open():
            pytest.fail("shown without a mark")
    assert await junho.view(event.message) == "secret"
    await world.settle()


async def test_a_message_is_erased_later_when_closing_it_fails_in_the_store(world: World) -> None:
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.direct(mina, junho)
    await room.send("secret", after_view=0)
    await world.settle()
    (event,) = junho.arrived()
    with pytest.raises(StorageError):
        async with event.message.open() as body:
            assert body == "secret"
            junho.store.failing = {junho.store.transactions + 1}
    await world.settle()
    if junho.failed is not None:
        await junho.close()
        junho.failures.clear()
        await junho.open()
    await world.advance(60)
    assert b"inbox/" + event.message.id not in junho.store.contents()
