"""The application's own records, in one transaction with what they belong to (spec 17)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from evanesce import Event, LocalError, MessageArrived, Reason, RoomChanged, StorageError
from evanesce.events import ApplicationFailed
from evanesce.ports import Transaction
from tests.device.device_support import Actor, World


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


class Filing:
    """An application that files a record of each message; it may fail as often as it is told."""

    def __init__(self) -> None:
        self.fail = 0
        self.calls: list[list[Event]] = []
        self.kept: Transaction | None = None

    def __call__(self, tx: Transaction, events: Sequence[Event]) -> None:
        self.calls.append(list(events))
        self.kept = tx
        for event in events:
            if isinstance(event, MessageArrived):
                tx.put(b"app/" + event.message.id, str(event.sent).encode())
        if self.fail:
            self.fail -= 1
            raise RuntimeError("secret text")


@pytest.fixture
def filing() -> Filing:
    return Filing()


@pytest.fixture
async def junho(world: World, filing: Filing) -> Actor:
    actor = Actor(world, "Junho", type(world.actors["Mina"].store)(), world.relay, world.clock)
    world.actors["Junho"] = actor
    actor.on_commit = filing
    await actor.open("Junho")
    return actor


async def test_a_record_is_filed_with_the_message_it_belongs_to(
    world: World, mina: Actor, junho: Actor, filing: Filing
) -> None:
    room = await world.direct(mina, junho)
    filing.calls.clear()
    await room.send("filed")
    await world.settle()
    (event,) = junho.arrived()
    assert filing.calls == [[event]]
    assert junho.store.contents()[b"app/" + event.message.id] == str(event.sent).encode()


async def test_neither_is_kept_when_the_store_fails(
    world: World, mina: Actor, junho: Actor, filing: Filing
) -> None:
    room = await world.direct(mina, junho)
    before = junho.store.named(b"app/")
    junho.store.failing = {junho.store.transactions + 1}
    await room.send("in vain at first")
    await world.settle()
    assert junho.store.named(b"app/") == before
    await world.advance(60)
    (event,) = junho.arrived()
    assert junho.store.named(b"app/").keys() - before.keys() == {b"app/" + event.message.id}


async def test_what_the_callback_raises_undoes_the_delivery_which_comes_again(
    world: World, mina: Actor, junho: Actor, filing: Filing
) -> None:
    room = await world.direct(mina, junho)
    acked, kept, filing.fail = len(world.relay.acked), junho.store.contents(), 1
    await room.send("at the second time")
    await world.settle()
    assert junho.arrived() == []
    assert len(world.relay.acked) == acked
    assert junho.store.contents() == kept
    (failed,) = junho.told(ApplicationFailed)
    assert isinstance(failed.error, RuntimeError)
    assert "secret" not in repr(failed)
    filing.fail = 0
    await room.send("not held up")
    await world.advance(1)
    assert await junho.heard() == []  # as the same things come again and again, it pauses
    await world.advance(4)
    assert sorted(await junho.heard()) == ["at the second time", "not held up"]
    assert len(junho.told(ApplicationFailed)) == 1
    await world.check_talk(room, mina, junho)


async def test_a_callback_that_always_fails_does_not_spin(
    world: World, mina: Actor, junho: Actor, filing: Filing
) -> None:
    room = await world.direct(mina, junho)
    filing.fail = 1_000
    await room.send("never")
    for _ in range(60):
        await world.advance(10)
    assert 5 < len(junho.told(ApplicationFailed)) < 20
    filing.fail = 0
    await world.advance(60)
    assert await junho.heard() == ["never"]


async def test_what_had_to_wait_for_the_clock_is_filed_too(
    world: World, mina: Actor, junho: Actor, filing: Filing
) -> None:
    """A commit from ahead of the clock is applied by the timer, with the callback."""
    room = await world.group(mina, junho)
    mina.clock = type(world.clock)(world.clock.now() + 1_000)
    await mina.restart()
    await mina.room(room).refresh()
    await mina.room(room).send("from the future")
    await world.settle()
    assert junho.store.named(b"waiting/")
    filing.calls.clear()
    filing.fail = 1
    world.clock.advance(1_000)
    await world.settle()
    assert junho.told(ApplicationFailed)
    assert junho.store.named(b"waiting/"), "undone, and tried again"
    await world.advance(60)
    assert await junho.heard() == ["from the future"]
    (told,) = [events for events in filing.calls[1:] if events]
    assert [type(event) for event in told] == [RoomChanged, MessageArrived]
    assert filing.calls[0] == told


async def test_only_the_applications_names_are_open_to_it(mina: Actor) -> None:
    work: list[Any] = [
        lambda tx: tx.get(b"device"), lambda tx: tx.put(b"wrap", b""), lambda tx: tx.get("app/x"),
        lambda tx: tx.delete(b"device"), lambda tx: list(tx.scan(b"")),
        lambda tx: list(tx.scan(b"app")), lambda tx: tx.put(b"app/x", "text"),
    ]  # fmt: skip
    before = mina.store.contents()
    for each in work:
        with pytest.raises(LocalError) as caught:
            await mina.device.transact(each)
        assert caught.value.reason is Reason.BAD_INPUT
    assert mina.store.contents() == before


async def test_the_applications_own_transaction(mina: Actor) -> None:
    def write(tx: Transaction) -> int:
        tx.put(b"app/a", b"1")
        tx.put(b"app/b", b"2")
        assert tx.get(b"app/a") == b"1"
        return len(list(tx.scan(b"app/")))

    assert await mina.device.transact(write) == 2

    def fail(tx: Transaction) -> None:
        tx.delete(b"app/a")
        raise KeyError("theirs")

    with pytest.raises(KeyError):
        await mina.device.transact(fail)
    assert mina.store.named(b"app/") == {b"app/a": b"1", b"app/b": b"2"}
    mina.store.failing = {mina.store.transactions + 1}
    with pytest.raises(StorageError):
        await mina.device.transact(lambda tx: tx.delete(b"app/a"))
    assert await mina.device.transact(lambda tx: tx.get(b"app/a")) == b"1"
    assert mina.device.name == "Mina", "the device itself is unharmed"


async def test_a_coroutine_function_is_refused_and_a_transaction_does_not_outlive_its_block(
    world: World, mina: Actor, junho: Actor, filing: Filing
) -> None:
    async def work(tx: Transaction) -> None:
        tx.put(b"app/never", b"")

    with pytest.raises(LocalError) as caught:
        await mina.device.transact(cast("Any", work))
    assert caught.value.reason is Reason.BAD_INPUT
    assert not mina.store.named(b"app/")
    await world.direct(mina, junho)
    assert filing.kept is not None
    with pytest.raises(LocalError):
        filing.kept.put(b"app/late", b"")
