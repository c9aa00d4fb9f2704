"""A store in SQLite keeps to its bound, whatever sizes come, and gives free room to any of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from evanesce.errors import Reason, RemoteError
from evanesce.relay.faults import faults
from evanesce.relay.rows import Row, StoreFull
from evanesce.relay.sqlite_rows import SPARE, SqliteRows
from evanesce.relay.sqlite_slots import CLASSES
from tests.relay.sqlite_support import HOUR, contents, quick_log, remainder, row

__all__ = ["quick_log"]

MOST = 6 << 20
SIZES = [size + 1 for size in CLASSES[:-1]]  # each just too long for a class


@asynccontextmanager
async def bounded(folder: Path, most: int = MOST) -> AsyncIterator[SqliteRows]:
    store = SqliteRows(folder, max_bytes=most)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


async def filled(store: SqliteRows, dice: Random, size: int) -> list[Row]:
    """Rows of one size until the store is full."""
    rows: list[Row] = []
    while True:
        more = [row(dice, size) for _ in range(max(1, min(200, (256 << 10) // size)))]
        try:
            await store.add(more)
        except StoreFull:
            return rows
        rows += more


async def test_a_file_keeps_to_the_bound_whatever_sizes_come(
    tmp_path: Path, quick_log: None
) -> None:
    """All of it in one size, then all in the next; and each has nearly all of the room."""
    dice = Random(1)
    async with bounded(tmp_path) as store:
        for size in [*SIZES[2:], *SIZES[4:8]]:
            rows = await filled(store, dice, size)
            used = await store.usage()
            assert used.limit == MOST
            assert used.bytes <= MOST * SPARE
            assert used.bytes > MOST * 0.75, f"rows of {size} bytes get {used.bytes}"
            assert size * len(rows) > MOST * 0.35
            assert await store.read([each.place for each in rows]) == [r.data for r in rows]
            assert await store.blank([remainder(each.place, dice) for each in rows]) == [
                True
            ] * len(rows), "to erase needs no room"
            if size > SIZES[5]:
                assert (await store.usage()).bytes < MOST / 4
            await store.forget(HOUR)
            assert (await store.usage()).bytes <= 65_536
    assert (tmp_path / "rows.db").stat().st_size < MOST * SPARE * 1.05


async def test_many_small_rows_leave_room_for_large_ones(tmp_path: Path, quick_log: None) -> None:
    """The index of many rows is given back too."""
    dice = Random(2)
    async with bounded(tmp_path, 3 << 20) as store:
        small = await filled(store, dice, 60)
        assert len(small) > 10_000
        await store.forget(HOUR)
        large = await filled(store, dice, SIZES[12])
        assert sum(len(each.data) for each in large) > 2 << 20
        assert await store.read([each.place for each in large]) == [r.data for r in large]


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_or_left_while_slots_are_cut_off(
    tmp_path: Path, quick_log: None, seed: int
) -> None:
    """Rows of all sizes come and go at the bound; what is erased is in no file any more."""
    dice = Random(seed)
    folder, there, gone, full = tmp_path / "rows", dict[Row, None](), list[Row](), 0
    async with bounded(folder, 1 << 20) as store:
        for turn in range(60):
            size = dice.choice(SIZES[:10])
            tried = [row(dice, size, HOUR + turn % 2) for _ in range(dice.randrange(1, 40))]
            try:
                await store.add(tried)
                there.update(dict.fromkeys(tried))
            except StoreFull:
                full += 1
            leaving = dice.sample(list(there), len(there) // dice.choice((2, 3, 20)))
            await store.blank([remainder(each.place, dice) for each in leaving])
            for each in leaving:
                del there[each]
            gone += leaving
            if turn % 15 == 14:
                await store.forget(HOUR)
                gone += [each for each in there if each.place.hour == HOUR]
                there = {each: None for each in there if each.place.hour != HOUR}
            assert await store.read([r.place for r in there]) == [r.data for r in there]
    assert full > 3, "it was never full"
    found = contents(folder, tmp_path / "copy")["rows.db"]
    assert len(found) < (1 << 20) * SPARE * 1.1 + (64 << 10)
    assert there
    for each in there:
        assert each.data[:32] in found
    for each in dice.sample(gone, min(len(gone), 200)):
        for at in range(0, len(each.data) - 32, max(400, len(each.data) // 6)):
            assert each.data[at : at + 32] not in found, "erased, and still in the file"
    async with bounded(folder, 1 << 20) as store:
        assert await store.read([r.place for r in there]) == [r.data for r in there]


def test_a_full_store_is_no_busy_one() -> None:
    with pytest.raises(RemoteError) as refusal, faults():
        raise StoreFull("the bound of the store is reached")
    assert refusal.value.reason is Reason.RELAY_FULL
