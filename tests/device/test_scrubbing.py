"""What has evaporated or been erased goes from the files of a store that can scrub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from evanesce import (
    Device,
    LocalError,
    MessageArrived,
    MessageEvaporated,
    Reason,
    SqliteStore,
    StorageError,
    StoreFailed,
)
from evanesce.limits import EPOCH_GRACE, HOUR
from tests.device.device_support import Actor, Store, World
from tests.store.store_support import KEY, sealed_row, survivors


def value_of(row: bytes) -> bytes:
    """The sealed value of a row: its name may live on."""
    return row[104 + 24 :]


class Scrubbable(Store):
    """Counts how often it is scrubbed; may refuse."""

    scrubs = 0
    refusal: Exception | None = None

    def scrub(self) -> None:
        with self.transaction():  # refused inside another
            pass
        if self.refusal is not None:
            raise self.refusal
        self.scrubs += 1


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


@pytest.fixture
def disk() -> Scrubbable:
    return Scrubbable()


@pytest.fixture
async def junho(world: World, disk: Scrubbable) -> Actor:
    return await world.open("Junho", store=disk)


@pytest.fixture
async def on_disk(world: World, tmp_path: Path) -> AsyncIterator[tuple[Device, SqliteStore]]:
    with SqliteStore(tmp_path / "junho.db", KEY) as store:
        async with Device.open(store, world.relay, name="Junho", clock=world.clock) as device:
            yield device, store


# --- the files of a real store --------------------------------------------------------------------


@pytest.mark.parametrize("way", ["closed", "after viewing", "unviewed"])
async def test_an_evaporated_message_is_in_no_file(
    world: World, mina: Actor, on_disk: tuple[Device, SqliteStore], tmp_path: Path, way: str
) -> None:
    junho, store = on_disk
    room = await mina.device.direct(await junho.card())
    after_view = {"closed": 0, "after viewing": 30, "unviewed": None}[way]
    await room.send("not for ever", after_view=after_view, lifetime=100)
    await world.settle()
    (event,) = [e for e in junho.pending_events() if isinstance(e, MessageArrived)]
    name = b"inbox/" + event.message.id
    rows = [sealed_row(store, name)]
    assert survivors(tmp_path, rows), "it was never in the files"
    if way != "unviewed":
        async with event.message.open() as body:
            assert body == "not for ever"
            rows.append(sealed_row(store, name))
            assert survivors(tmp_path, [value_of(rows[-1])])
    if way != "closed":
        await world.advance(100)
    assert [e.message for e in junho.pending_events() if isinstance(e, MessageEvaporated)] == [
        event.message.id
    ]
    assert survivors(tmp_path, rows) == []


async def test_an_old_wrap_key_is_in_no_file(
    world: World, on_disk: tuple[Device, SqliteStore], tmp_path: Path
) -> None:
    _, store = on_disk
    old = value_of(sealed_row(store, b"wrap"))
    assert survivors(tmp_path, [old])
    await world.advance(HOUR)
    assert survivors(tmp_path, [old]) == []


async def test_an_erased_epoch_is_in_no_file(
    world: World, mina: Actor, on_disk: tuple[Device, SqliteStore], tmp_path: Path
) -> None:
    junho, store = on_disk
    room = await mina.device.create_room([await junho.card()])
    await world.settle()
    prefix = b"room/" + room.id + b"/"
    with store.transaction() as tx:
        before = {name for name, _ in tx.scan(prefix)}
    await room.refresh()
    await world.settle()
    world.clock.advance(EPOCH_GRACE + 1)
    rows = {name: sealed_row(store, name) for name in before}
    await world.settle()
    with store.transaction() as tx:
        gone = before - {name for name, _ in tx.scan(prefix)}
    assert gone, "no epoch was erased"
    assert survivors(tmp_path, [rows[name] for name in gone]) == []


# --- when, and how often --------------------------------------------------------------------------


async def test_one_scrub_for_each_transaction_that_erased_and_none_for_others(
    world: World, mina: Actor, junho: Actor, disk: Scrubbable
) -> None:
    room = await world.direct(mina, junho)
    for n in range(3):
        await room.send(f"{n}", lifetime=100)
    await room.send("closed", after_view=0)
    await world.settle()
    *_, last = junho.arrived()
    assert disk.scrubs == 0
    await junho.view(last.message)
    assert disk.scrubs == 1
    await world.advance(100)  # all three in one
    assert disk.scrubs == 2
    await world.advance(60)
    assert disk.scrubs == 2
    await world.advance(HOUR)  # a wrap key
    assert disk.scrubs == 3


@pytest.mark.parametrize(
    "refusal",
    [StorageError(Reason.STORE_BUSY, "a reader"), LocalError(Reason.CLOSED, ""), OSError("no")],
)
async def test_a_scrub_that_fails_is_told_and_done_later(
    world: World, mina: Actor, junho: Actor, disk: Scrubbable, refusal: Exception
) -> None:
    room = await world.direct(mina, junho)
    await room.send("gone", after_view=0)
    await world.settle()
    disk.refusal = refusal
    assert await junho.heard() == ["gone"]
    await world.settle()
    (told,) = junho.told(StoreFailed)
    assert told.reason is getattr(refusal, "reason", Reason.BAD_STORE)
    await world.advance(60)
    assert len(junho.told(StoreFailed)) == 2
    disk.refusal = None
    await world.advance(60)
    assert disk.scrubs == 1
    await world.advance(60)
    assert (disk.scrubs, len(junho.told(StoreFailed))) == (1, 2)
    await world.check_talk(room, mina, junho)


async def test_a_device_that_only_has_applications_rows_is_new(world: World) -> None:
    store = Store({b"app/settings": b"theirs"})
    mina = await world.open("Mina", store=store)
    assert mina.device.name == "Mina"
    await mina.restart()
    assert store.contents()[b"app/settings"] == b"theirs"
    other: Any = Device.open(Store({b"apple": b"1"}), world.relay, name="Mina", clock=world.clock)
    with pytest.raises(StorageError):
        await other.__aenter__()
