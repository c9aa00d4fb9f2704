"""The files tell nothing of when or in which order something came."""

from __future__ import annotations

import struct
from array import array
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from evanesce.relay import sqlite_slots
from evanesce.relay.sqlite_slots import Slots
from tests.relay.sqlite_support import (
    FILES,
    HOUR,
    contents,
    copied,
    emptied,
    opened,
    quick_log,
    remainder,
    row,
    skeleton,
    slots,
)

__all__ = ["quick_log"]

_INDEX_HEADER, _INDEX_PAGES = 136, 4_062  # of the first block of the index of a log
TURNS = 4


def rank_correlation(order: list[int]) -> float:
    """Spearman's, of a permutation with its sorted self."""
    n = len(order)
    ranks = {value: rank for rank, value in enumerate(sorted(order))}
    return 1 - 6 * sum((i - ranks[v]) ** 2 for i, v in enumerate(order)) / (n * (n * n - 1))


def neighbours(order: list[int], reach: int) -> int:
    """How many that came one after the other lie close together."""
    return sum(abs(a - b) <= reach for a, b in pairwise(order))


async def filled(folder: Path, seed: int, size: int) -> list[int]:
    """Let rows come, some be blanked, more come; the slots in the order of coming."""
    dice = Random(seed)
    rows = [row(dice, size) for _ in range(400)]
    async with opened(folder) as store:
        for at in range(0, len(rows), 4):
            assert await store.add(rows[at : at + 4]) == [True] * 4
            gone = rows[dice.randrange(at + 4)]
            await store.blank([remainder(gone.place, dice)])
    placed = slots(folder / "rows.db")
    own = sqlite_slots.class_of(size)
    found = [placed[each.place.name] for each in rows]
    return [slot for size_class, slot in found if size_class == own]


@pytest.mark.parametrize("size", [577, 4_161])
async def test_where_a_row_lies_has_nothing_to_do_with_when_it_came(
    tmp_path: Path, size: int
) -> None:
    total = close = count = 0.0
    for turn in range(TURNS):
        order = await filled(tmp_path / str(turn), turn, size)
        total += rank_correlation(order)
        close += neighbours(order, 6)
        count += len(order)
    # 4 runs of about 310 rows: one standard deviation of the mean of rank correlations is 0.03.
    assert abs(total / TURNS) < 0.15, "early rows lie elsewhere than late ones"
    # By chance 12 of about 400 slots are close.
    assert close / count < 0.05, "rows that came together lie together"


@pytest.mark.parametrize("fault", ["first free", "no moving"])
async def test_a_store_with_an_order_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def grow(self: Slots, most: int | None = None) -> list[tuple[int, int]]:
        before, self.count = self.count, self.count + max(12, self.count // 4)
        self.free = array("I", range(before, self.count))
        return []

    if fault == "first free":
        monkeypatch.setattr(Slots, "take", lambda self: self.free.pop(0))
    monkeypatch.setattr(Slots, "grow", grow)
    orders = [await filled(tmp_path / str(turn), turn, 577) for turn in range(2)]
    assert sum(map(rank_correlation, orders)) / 2 > 0.3


async def test_the_pages_of_rows_are_the_same_whatever_came_first(tmp_path: Path) -> None:
    dice = Random(5)
    rows = [row(dice) for _ in range(700)]
    gone = rows[::5]
    skeletons = []
    for turn in range(3):
        dice.shuffle(rows)
        dice.shuffle(gone)
        async with opened(tmp_path / str(turn)) as store:
            step = [700, 7, 50][turn]
            for at in range(0, len(rows), step):
                await store.add(rows[at : at + step])
            await store.blank([remainder(each.place, dice) for each in gone])
        skeletons.append(skeleton(tmp_path / str(turn) / "rows.db"))
    sizes = [len(each) for each in skeletons]
    assert skeletons[0] == skeletons[1] == skeletons[2], f"sizes: {sizes}"


async def test_pages_do_not_change_when_rows_come_and_go(tmp_path: Path) -> None:
    """Once there is room, all that ever changes are values in their places."""
    dice = Random(6)
    folder = tmp_path / "rows"
    skeletons = []
    async with opened(folder) as store:
        for turn in range(3):
            rows = [row(dice, size) for size in (40, 577, 1_100, 4_000, 20_000, 300_000) * 6]
            await store.add(rows)
            await store.blank([remainder(each.place, dice) for each in rows[::3]])
            await store.forget(rows[0].place.hour)
            await emptied(folder)
            skeletons.append(skeleton(copied(folder, tmp_path / str(turn)) / "rows.db"))
    assert skeletons[0] == skeletons[1] == skeletons[2]


@pytest.mark.parametrize("size", [500, 4_000, 16_000])
async def test_the_table_is_the_same_whatever_was_written_first(tmp_path: Path, size: int) -> None:
    dice = Random(size)
    numbers = dice.sample(range(160), 30)
    data = {number: dice.randbytes(size) for number in numbers}
    skeletons = []
    for turn in range(3):
        dice.shuffle(numbers)
        async with opened(tmp_path / str(turn)) as store:
            for number in numbers * 2:
                version, _ = await store.bucket(number)
                assert await store.swap(number, version, data[number])
                assert (tmp_path / str(turn) / "table.db-journal").stat().st_size == 0
        skeletons.append(skeleton(tmp_path / str(turn) / "table.db"))
    assert skeletons[0] == skeletons[1] == skeletons[2]


async def test_the_log_and_its_index_keep_no_history(tmp_path: Path, quick_log: None) -> None:
    dice, folder = Random(7), tmp_path / "rows"
    rows = [row(dice) for _ in range(300)]
    async with opened(folder) as store:
        for each in rows:
            await store.add([each])
        await emptied(folder)
        files = contents(folder, tmp_path / "copy")
    assert files["rows.db-wal"] == b""
    index = files["rows.db-shm"]
    pages = struct.unpack_from(f"<{_INDEX_PAGES}I", index, _INDEX_HEADER)
    assert sum(page != 0 for page in pages) == 1, "the index of the log lists pages in their order"
    assert len(index) == 32_768, "the log was longer than its index can forget"


async def test_the_log_of_a_busy_store_is_cut(tmp_path: Path) -> None:
    """However much comes within a second, the log stays short enough for its index to forget."""
    dice, folder = Random(8), tmp_path / "rows"
    longest = 0
    async with opened(folder) as store:
        for size in (577, 4_161, 60_000, 2_100_000):
            count = 12_000_000 // size if size > 577 else 6_000
            rows = [row(dice, size) for _ in range(count)]
            for at in range(0, len(rows), 900):
                await store.add(rows[at : at + 900])
                longest = max(longest, (folder / "rows.db-wal").stat().st_size)
        index = (folder / "rows.db-shm").stat().st_size
    assert longest <= 4_062 * (4_096 + 24), f"the log grew to {longest} bytes"
    assert index == 32_768, "the log was longer than its index can forget"


async def test_no_file_but_those_that_are_known(tmp_path: Path) -> None:
    dice, folder = Random(9), tmp_path / "rows"
    async with opened(folder) as store:
        await store.add([row(dice)])
        await store.swap(0, 0, bytes(64))
        running = {path.name for path in folder.iterdir()}
    logs = {"rows.db-wal", "rows.db-shm", "table.db-journal"}
    assert running == {*FILES, *logs, "rows.db-lock"}
    stopped = {path.name: path.stat() for path in folder.iterdir()}
    assert stopped["table.db-journal"].st_size == 0
    assert set(stopped) - {"table.db-journal"} == {*FILES, "rows.db-lock"}
    assert all(stat.st_mode & 0o077 == 0 for stat in stopped.values())


def test_growing_is_as_if_the_new_slots_had_been_there_before() -> None:
    """The first of 40 rows is as likely in each part as the last."""
    where = {0: 0, 39: 0}
    turns = 1_500
    for _ in range(turns):
        kept = Slots(1, 0, array("I"))
        lies: dict[int, int] = {}  # row by slot
        for number in range(40):
            if not kept.free:
                for old, new in kept.grow():
                    lies[new] = lies.pop(old)
            slot = kept.take()
            assert slot not in lies
            lies[slot] = number
        middle = kept.count / 2
        for slot, number in lies.items():
            if number in where:
                where[number] += slot < middle
    for number, low in where.items():
        assert abs(low / turns - 0.5) < 0.07, f"row {number} is in the lower half {low} times"


def test_cutting_is_as_if_the_last_slots_had_never_been_there() -> None:
    """Of 20 rows that stay, the first is as likely in each part as the last."""
    where = {0: 0, 19: 0}
    turns = 1_500
    for _ in range(turns):
        kept = Slots(1, 0, array("I"))
        lies: dict[int, int] = {}  # row by slot
        for number in range(40):
            if not kept.free:
                for old, new in kept.grow():
                    lies[new] = lies.pop(old)
            lies[kept.take()] = number
        for slot in [slot for slot, number in lies.items() if number >= 20]:
            del lies[slot]
            kept.free.append(slot)
        for number in (len(kept.free) // 2, 3):
            for old, new in kept.cut(number):
                assert new not in lies
                lies[new] = lies.pop(old)
        assert len(lies) == 20
        assert sorted([*lies, *kept.free]) == list(range(kept.count))
        for slot, number in lies.items():
            if number in where:
                where[number] += slot < kept.count / 2
    for number, low in where.items():
        assert abs(low / turns - 0.5) < 0.07, f"row {number} is in the lower half {low} times"


def test_rows_of_one_size_need_little_more_than_their_bytes() -> None:
    for size in (577, 1_089, 4_161, 8_257, 16_449):
        found = sqlite_slots.CLASSES[sqlite_slots.class_of(size)]
        assert found < 1.25 * size, f"a slot of {found} bytes for {size}"


async def test_the_log_of_one_transaction_is_in_the_order_of_pages(tmp_path: Path) -> None:
    """Not in that of arrival, however large the transaction is."""
    dice, folder = Random(10), tmp_path / "rows"
    async with opened(folder) as store:
        await store.add([row(dice, 4_000) for _ in range(240)])  # room, so that pages are reused
        await store.forget(HOUR)
        await store.add([row(dice, 4_000) for _ in range(240)])
        log = contents(folder, tmp_path / "copy")["rows.db-wal"]
    frames = [struct.unpack_from(">II", log, at) for at in range(32, len(log) - 24, 4_096 + 24)]
    assert len(frames) > 240
    one: list[int] = []
    for page, committed in frames:
        one.append(page)
        if committed:
            assert one == sorted(set(one))
            one = []
