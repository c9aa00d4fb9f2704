"""A device reads a room when it is first used; until then, what time asks for is done all the same.

Wherever upkeep passes a room over here, it is looked at after all, to see that nothing was due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from evanesce import (
    Conversation,
    Device,
    Event,
    Reason,
    RefreshDue,
    StorageError,
    StoreFailed,
    upkeep,
)
from evanesce.backoff import RETRY
from evanesce.engine import Engine
from evanesce.faces import Faces
from evanesce.holdings import RoomMeta
from evanesce.limits import DAY, EPOCH_GRACE, HOUR, REFRESH_AFTER, SKIPPED_LIFETIME
from evanesce.looks import Look, Looks
from evanesce.ports import Transaction
from evanesce.room import Room
from evanesce.wire import decode
from tests.device.device_support import Actor, Store, World, refused

TICK = 60  # seconds within which a device notices what time asks for


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def talk(world: World, mina: Actor, junho: Actor) -> Conversation:
    return await world.direct(mina, junho)


@pytest.fixture
async def group(world: World, mina: Actor, junho: Actor) -> Conversation:
    return await world.group(mina, junho, await world.open("Sora"))


@pytest.fixture(autouse=True)
def passed_over(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The rooms that upkeep has passed over; it is checked here that it may."""
    maintain, due = upkeep.maintain, Looks.due
    transactions: list[Transaction] = []
    passed: list[bytes] = []

    def maintained(
        engine: Engine, tx: Transaction, faces: Faces, now: int, *, caught_up: bool
    ) -> tuple[list[Event], list[bytes]]:
        transactions.append(tx)
        return maintain(engine, tx, faces, now, caught_up=caught_up)

    def checked(looks: Looks, room: bytes, meta: RoomMeta, now: int) -> bool:
        if due(looks, room, meta, now):
            return True
        passed.append(room)
        try:
            found = restored(room, dict(transactions[-1].scan(b"room/" + room)))
        except StorageError:  # a damaged one, which upkeep does not notice
            return False
        found.expire(now)
        assert not found.changes(), "something has had its time"
        if not found.closed and not meta.stale:
            overdue = found.refresh_due(now)
            if found.direct:
                assert (overdue and meta.retired is None) == meta.reminded
            else:
                assert not overdue
                assert not found.leaving
                assert meta.announced
        return False

    monkeypatch.setattr(upkeep, "maintain", maintained)
    monkeypatch.setattr(Looks, "due", checked)
    return passed


def restored(room: bytes, records: Mapping[bytes, bytes]) -> Room:
    """A room from the records of a store."""
    prefix = b"room/" + room + b"/"
    return Room.restore({name[len(prefix) :]: data for name, data in records.items()})


def stored(actor: Actor, room: bytes) -> Room:
    """A room as the store has it."""
    return restored(room, actor.store.named(b"room/" + room + b"/"))


def read(actor: Actor) -> int:
    """How many rooms it has read."""
    return actor.device.engine.rooms.read


async def test_a_room_is_read_when_it_is_first_used(
    mina: Actor, junho: Actor, talk: Conversation, group: Conversation
) -> None:
    await mina.restart()
    assert read(mina) == 0
    assert {room.id for room in mina.device.rooms} == {talk.id, group.id}
    assert mina.device.direct_with(junho.device.identity) == mina.room(talk)
    assert read(mina) == 0
    await junho.room(group).send("good morning")
    assert await mina.heard() == ["good morning"]
    assert read(mina) == 1
    assert len(mina.room(talk).members) == 2
    assert read(mina) == 2
    assert mina.device.room(talk.id) is mina.device.room(talk.id)


async def test_upkeep_reads_no_room_in_which_nothing_is_due(
    world: World, mina: Actor, talk: Conversation, group: Conversation, passed_over: list[bytes]
) -> None:
    await mina.restart()
    passed_over.clear()
    await world.advance(HOUR)
    assert set(passed_over) == {talk.id, group.id}
    assert read(mina) == 0


async def test_epochs_go_after_their_grace_though_nobody_uses_the_room(
    world: World, mina: Actor, group: Conversation
) -> None:
    for _ in range(3):
        await group.refresh()
    await world.settle()
    await mina.restart()
    await world.advance(EPOCH_GRACE)
    assert len(stored(mina, group.id).state.epochs) == 4
    assert read(mina) == 0
    await world.advance(TICK)
    assert len(stored(mina, group.id).state.epochs) == 1
    await world.advance(DAY)
    await mina.restart()
    assert read(mina) == 0


async def test_keys_of_missing_messages_go_though_nobody_uses_the_room(
    world: World, mina: Actor, junho: Actor, group: Conversation
) -> None:
    def skipped() -> int:
        chains = stored(mina, group.id).state.epoch.chains.values()
        return sum(len(chain.skipped) for chain in chains)

    world.relay.paused = True
    await junho.room(group).send("this one is kept back")
    await world.settle()
    world.relay.keep_back_last(mina.mailbox(group).address)
    await junho.room(group).send("this one comes")
    assert await mina.heard() == ["this one comes"]
    assert skipped() == 1
    await world.advance(HOUR)
    await mina.restart()
    await world.advance(SKIPPED_LIFETIME - HOUR)
    assert skipped() == 1
    assert read(mina) == 0
    await world.advance(TICK)
    assert skipped() == 0


async def test_an_overdue_answer_is_told_once_and_the_room_is_not_read_again(
    world: World, mina: Actor, talk: Conversation
) -> None:
    await mina.restart()
    await world.advance(REFRESH_AFTER)
    assert [event.room for event in mina.told(RefreshDue)] == [mina.room(talk)]
    for _ in range(2):
        await mina.restart()
        await world.advance(DAY)
        assert read(mina) == 0
    assert len(mina.told(RefreshDue)) == 1
    await mina.room(talk).send("at last")
    await world.advance(TICK)
    await world.advance(REFRESH_AFTER)
    assert len(mina.told(RefreshDue)) == 2


async def test_a_group_is_refreshed_though_nobody_uses_it(
    world: World, mina: Actor, group: Conversation
) -> None:
    await mina.restart()
    before = stored(mina, group.id).epoch
    for _ in range(REFRESH_AFTER // DAY):
        await world.advance(DAY)
    for _ in range(5):
        await world.advance(TICK)
    assert stored(mina, group.id).epoch > before


async def test_an_application_may_use_an_unread_room_inside_a_transaction(
    mina: Actor, junho: Actor, talk: Conversation, group: Conversation
) -> None:
    sizes: list[int] = []

    def on_commit(tx: Transaction, events: Sequence[Event]) -> None:
        sizes.append(len(mina.room(talk).members))

    mina.on_commit = on_commit
    await mina.restart()
    await junho.room(group).send("hello")
    assert await mina.heard() == ["hello"]
    assert set(sizes) == {2}
    await mina.restart()
    assert await mina.device.transact(lambda tx: len(mina.room(group).members)) == 3


async def test_rooms_of_an_earlier_version_are_looked_at_once(
    world: World, mina: Actor, talk: Conversation, group: Conversation
) -> None:
    await mina.close()
    contents = mina.store.contents()
    mina.store = Store({k: v for k, v in contents.items() if not k.startswith(b"look/")})
    await mina.open()
    assert read(mina) == 2
    assert mina.store.named(b"look/").keys() == {b"look/" + talk.id, b"look/" + group.id}
    await mina.restart()
    assert read(mina) == 0


async def test_a_damaged_room_is_refused_when_it_is_first_used(
    world: World, mina: Actor, talk: Conversation, group: Conversation
) -> None:
    await mina.close()
    contents = mina.store.contents()
    prefix = b"room/" + talk.id
    found = {name: data for name, data in contents.items() if name.startswith(prefix)}
    assert len(found) >= 3
    for name, data in found.items():
        for damage in (b"", b"\x91\x00", b"\xc1\xff", data[:-1], data + b"\x00"):
            store = Store({**contents, name: damage})
            async with Device.open(store, world.relay, clock=world.clock) as device:
                for _ in range(2):
                    with refused(Reason.BAD_STORE, store, error=StorageError):
                        device.room(talk.id)
                with refused(Reason.BAD_STORE, store, error=StorageError):
                    await device.conversation(talk.id).send("hello")
                assert len(device.room(group.id).roster) == 3


async def test_a_device_with_a_room_missing_is_not_opened(
    world: World, mina: Actor, talk: Conversation
) -> None:
    await mina.close()
    prefix = b"room/" + talk.id
    contents = mina.store.contents()
    store = Store({k: v for k, v in contents.items() if not k.startswith(prefix)})
    with refused(Reason.BAD_STORE, store, error=StorageError):
        async with Device.open(store, world.relay, clock=world.clock):
            pytest.fail("opened without a room")


async def test_looks_that_follow_the_changes_are_never_too_late(
    world: World, mina: Actor, junho: Actor, group: Conversation
) -> None:
    """What is found from the changed records alone is no later than what is found from all."""
    for hours in range(5):
        await world.advance(hours * HOUR)
        await junho.room(group).send("one more")
        if hours % 2:
            await junho.room(group).refresh()
        await world.settle()
        whole = Look.at(stored(mina, group.id), None, None)
        with mina.store.transaction() as tx:
            record = tx.get(b"look/" + group.id)
        assert record is not None
        kind, erase, refresh = decode(record, limit=64)
        assert (kind, refresh) == (whole.kind, whole.refresh)
        if whole.erase is not None:
            assert erase is not None
            assert erase <= whole.erase
    assert whole.erase is not None


async def test_a_damaged_room_does_not_hold_up_the_mail_of_others(
    world: World, mina: Actor, junho: Actor, talk: Conversation, group: Conversation
) -> None:
    await mina.restart()
    name = b"room/" + talk.id + b"/state"
    record = mina.store.contents()[name]
    with mina.store.transaction() as tx:
        tx.put(name, record[:-1])
    world.relay.paused = True
    await junho.room(talk).send("lost on the way")
    await junho.room(group).send("good morning")
    world.relay.paused = False
    await world.relay.let_go()
    await world.settle()
    assert await mina.heard() == ["good morning"]
    assert {event.reason for event in mina.told(StoreFailed)} == {Reason.BAD_STORE}
    with mina.store.transaction() as tx:  # put right, what waited is not lost
        tx.put(name, record)
    await world.advance(RETRY)
    assert await mina.heard() == ["lost on the way"]
