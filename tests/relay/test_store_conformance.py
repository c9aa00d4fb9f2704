"""Every store passes the suite of stores; and the suite finds what a store does wrong."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from evanesce.relay.memory_rows import MemoryRows
from evanesce.relay.rows import Place, Row, StoreFailure, Usage
from evanesce.relay.sqlite_rows import SqliteRows
from evanesce.testing.relay_store import RELAY_STORE_CHECKS, Connect, check_relay_store

EXAMPLES = 100 if os.environ.get("EVANESCE_PROFILE") == "long" else 12


class Running:
    """A connection to rows in memory that knows whether it was started."""

    def __init__(self, rows: MemoryRows) -> None:
        self.rows = rows
        self.shared = rows.shared
        self.on = False
        self.heard: list[Callable[[bytes], None]] = []

    async def start(self) -> None:
        self.on = True
        for heard in self.heard:
            self.rows.listen(heard)

    async def stop(self) -> None:
        self.on = False

    def alive(self) -> None:
        if not self.on:
            raise StoreFailure("not running")

    async def add(self, rows: Sequence[Row]) -> list[bool]:
        self.alive()
        return await self.rows.add(rows)

    async def read(self, places: Sequence[Place]) -> list[bytes | None]:
        self.alive()
        return await self.rows.read(places)

    async def blank(self, rows: Sequence[Row]) -> list[bool]:
        self.alive()
        return await self.rows.blank(rows)

    async def forget(self, hour: int) -> int:
        self.alive()
        return await self.rows.forget(hour)

    async def bucket(self, number: int) -> tuple[int, bytes | None]:
        self.alive()
        return await self.rows.bucket(number)

    async def swap(self, number: int, version: int, data: bytes) -> bool:
        self.alive()
        return await self.rows.swap(number, version, data)

    async def usage(self) -> Usage:
        self.alive()
        return await self.rows.usage()

    async def wake(self, tags: Sequence[bytes]) -> None:
        await self.rows.wake(tags)

    def listen(self, heard: Callable[[bytes], None]) -> None:
        self.heard.append(heard)
        if self.on:
            self.rows.listen(heard)


def in_memory(
    kind: type[Running] = Running, *, shared: bool = True
) -> Callable[[], AbstractAsyncContextManager[Connect]]:
    @asynccontextmanager
    async def make() -> AsyncIterator[Connect]:
        rows = MemoryRows(shared=shared, pause=True)
        yield lambda: kind(rows)

    return make


@pytest.mark.parametrize("check", RELAY_STORE_CHECKS)
@pytest.mark.parametrize("shared", [True, False])
async def test_rows_in_memory_pass(check: str, shared: bool) -> None:
    await check_relay_store(in_memory(shared=shared), only=check, examples=EXAMPLES)


@asynccontextmanager
async def in_a_folder() -> AsyncIterator[Connect]:
    with tempfile.TemporaryDirectory(prefix="evanesce-") as folder:
        yield lambda: SqliteRows(Path(folder) / "rows")


@pytest.mark.parametrize("check", RELAY_STORE_CHECKS)
async def test_rows_in_sqlite_pass(check: str) -> None:
    await check_relay_store(in_a_folder, only=check, examples=EXAMPLES)


# Stores that do one thing wrong each, with a check that must find it.


class Overwrites(Running):
    async def add(self, rows: Sequence[Row]) -> list[bool]:
        self.alive()
        before = dict(self.rows.rows)
        added = await self.rows.add(rows)
        for row in rows:
            if row.place in before and not before[row.place].blank:
                self.rows.rows[row.place].data = row.data
        return added


class LooksThenWrites(Running):
    async def add(self, rows: Sequence[Row]) -> list[bool]:
        self.alive()
        free = [found is None for found in await self.rows.read([row.place for row in rows])]
        for row, is_free in zip(rows, free, strict=True):
            if is_free:
                self.rows.rows.pop(row.place, None)
                await self.rows.add([row])
        return free


class FreesBlanks(Running):
    async def blank(self, rows: Sequence[Row]) -> list[bool]:
        done = await self.rows.blank(rows)
        for row in rows:
            self.rows.rows.pop(row.place, None)
        return done


class BlanksTwice(Running):
    async def blank(self, rows: Sequence[Row]) -> list[bool]:
        self.alive()
        there = [found is not None for found in await self.rows.read([row.place for row in rows])]
        await self.rows.blank(rows)
        return there


class NewRemainders(Running):
    async def blank(self, rows: Sequence[Row]) -> list[bool]:
        done = await self.rows.blank(rows)
        for row in rows:
            if row.place in self.rows.rows:
                self.rows.rows[row.place].data = row.data
        return done


class ForgetsTooLittle(Running):
    async def forget(self, hour: int) -> int:
        self.alive()
        return await self.rows.forget(hour - 1)


class ForgetsTooMuch(Running):
    async def forget(self, hour: int) -> int:
        self.alive()
        return await self.rows.forget(hour + 1)


class CountsNoBlanks(Running):
    async def forget(self, hour: int) -> int:
        self.alive()
        blank = sum(kept.blank and place.hour <= hour for place, kept in self.rows.rows.items())
        return await self.rows.forget(hour) - blank


class SortsAnswers(Running):
    async def read(self, places: Sequence[Place]) -> list[bytes | None]:
        self.alive()
        return await self.rows.read(sorted(places))


class ReadsLate(Running):
    """Another connection's rows are seen a little later."""

    seen: set[Place]

    async def start(self) -> None:
        await super().start()
        self.seen = set(self.rows.rows)

    async def add(self, rows: Sequence[Row]) -> list[bool]:
        added = await super().add(rows)
        self.seen |= {row.place for row in rows}
        return added

    async def read(self, places: Sequence[Place]) -> list[bytes | None]:
        data = await super().read(places)
        found = [
            one if place in self.seen else None for place, one in zip(places, data, strict=True)
        ]
        self.seen |= {place for place, one in zip(places, data, strict=True) if one is not None}
        return found


class NotDurable(Running):
    async def start(self) -> None:
        await super().start()
        for place in list(self.rows.rows)[-1:]:
            del self.rows.rows[place]


class CutsLargeRows(Running):
    async def add(self, rows: Sequence[Row]) -> list[bool]:
        self.alive()
        return await self.rows.add([Row(row.place, row.data[: 1 << 20]) for row in rows])


class SwapsBlindly(Running):
    async def swap(self, number: int, version: int, data: bytes) -> bool:
        self.alive()
        current, _ = await self.rows.bucket(number)
        return await self.rows.swap(number, current, data)


class LooksThenSwaps(Running):
    async def swap(self, number: int, version: int, data: bytes) -> bool:
        self.alive()
        current, _ = await self.rows.bucket(number)
        await asyncio.sleep(0)
        if current == version:
            self.rows.buckets[number] = version + 1, data
        return current == version


class NeverWakes(Running):
    async def wake(self, tags: Sequence[bytes]) -> None:
        await self.rows.wake(tags[1:])


class DiesAlive(Running):
    def alive(self) -> None:
        """It goes on after it was stopped."""


class CountsWrong(Running):
    async def usage(self) -> Usage:
        found = await super().usage()
        live = sum(not kept.blank for kept in self.rows.rows.values())
        return Usage(live, found.bytes, found.limit)


FAULTY: dict[type[Running], str] = {
    Overwrites: "a_row_is_added_once",
    LooksThenWrites: "of_many_adds_of_one_place_one_succeeds",
    FreesBlanks: "a_blank_keeps_its_remainder_and_stays_taken",
    BlanksTwice: "of_many_blanks_one_succeeds",
    NewRemainders: "a_blank_keeps_its_remainder_and_stays_taken",
    ForgetsTooLittle: "forgetting_takes_all_up_to_the_hour_and_nothing_later",
    ForgetsTooMuch: "forgetting_takes_all_up_to_the_hour_and_nothing_later",
    CountsNoBlanks: "forgetting_takes_all_up_to_the_hour_and_nothing_later",
    SortsAnswers: "answers_come_in_the_order_asked",
    ReadsLate: "what_was_done_is_seen_by_all_at_once",
    NotDurable: "rows_and_blanks_are_durable",
    CutsLargeRows: "rows_of_all_sizes_come_back_whole",
    SwapsBlindly: "a_bucket_is_swapped_only_by_whoever_saw_it_last",
    LooksThenSwaps: "of_many_swaps_one_succeeds",
    NeverWakes: "a_wake_is_heard_by_all",
    DiesAlive: "a_store_that_was_stopped_fails",
    CountsWrong: "usage_tells_how_much_is_there",
}


@pytest.mark.parametrize(
    ("kind", "check"), FAULTY.items(), ids=lambda value: getattr(value, "__name__", value)
)
async def test_a_fault_is_found(
    kind: type[Running], check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evanesce.testing.relay_table_checks.PATIENCE", 0.3)
    with pytest.raises(AssertionError) as caught:
        await check_relay_store(in_memory(kind), only=check)
    assert any(check in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    "kind",
    [
        Overwrites,
        FreesBlanks,
        BlanksTwice,
        NewRemainders,
        ForgetsTooLittle,
        SortsAnswers,
        SwapsBlindly,
        CountsWrong,
    ],
)
async def test_histories_find_it_too(kind: type[Running]) -> None:
    with pytest.raises(AssertionError):
        await check_relay_store(in_memory(kind), only=RELAY_STORE_CHECKS[-1], examples=60)


async def test_an_unknown_check_is_no_success() -> None:
    wrong: Any = "no_such_check"
    with pytest.raises(ValueError, match="no_such_check"):
        await check_relay_store(in_memory(), only=wrong)
