"""The store in SQLite does not start where it would break a promise, and lives on after faults."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from evanesce import LocalError, Reason
from evanesce.relay import sqlite_files
from evanesce.relay.rows import Place, Row, StoreFailure
from evanesce.relay.sqlite_change import ROWS
from evanesce.relay.sqlite_files import Kind
from evanesce.relay.sqlite_rows import SqliteRows
from evanesce.relay.sqlite_table import TABLE
from tests.relay.sqlite_support import (
    FILES,
    HOUR,
    child,
    emptied,
    opened,
    remainder,
    row,
    slots,
)


async def refused(folder: Path, reason: Reason, *says: str, read_only: bool = False) -> None:
    """Expect that a store does not start, and says why; and that nothing stays open."""
    for _ in range(2):
        store = SqliteRows(folder, read_only=read_only)
        with pytest.raises(LocalError) as caught:
            await store.start()
        assert caught.value.reason is reason
        assert all(part in caught.value.detail for part in says), caught.value.detail
        await store.stop()


async def made(folder: Path, rows: int = 60, size: int = 577) -> list[Row]:
    dice = Random(1)
    listed = [row(dice, size) for _ in range(rows)]
    async with opened(folder) as store:
        await store.add(listed)
        for number in range(5):
            assert await store.swap(number, 0, dice.randbytes(600))
    return listed


# What breaks a promise


SETTINGS = [(kind, name, answer) for kind in (ROWS, TABLE)
            for name, _, answer, _ in sqlite_files._settings(kind)
            if answer is not None]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "answer"), SETTINGS,
                         ids=[f"{kind.name}-{name}" for kind, name, _ in SETTINGS])  # fmt: skip
async def test_a_setting_that_is_not_taken_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, name: str, answer: object
) -> None:
    await made(tmp_path / "rows")

    class Lax(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            (_, _, file), *_ = super().execute("PRAGMA database_list").fetchall()
            if sql == f"PRAGMA {name}" and file.endswith(kind.name):
                return super().execute("SELECT 'delete'" if isinstance(answer, str) else "SELECT 7")
            return super().execute(sql, *parameters)

    real = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *args, **kw: real(*args, **kw, factory=Lax))
        await refused(tmp_path / "rows", Reason.BAD_STORE, name, kind.name)
    async with opened(tmp_path / "rows"):
        pass


async def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await made(tmp_path / "rows")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 22, 0))
    await refused(tmp_path / "rows", Reason.BAD_STORE, "too old")


async def test_sqlite_says_what_was_asked_of_it(tmp_path: Path) -> None:
    """The settings are not only echoed: the file has them."""
    await made(tmp_path)
    with closing(sqlite3.connect(tmp_path / "rows.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (0,)
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# What is not ours, or damaged


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 // 4_096 * 4_096])


def _noise(path: Path) -> None:
    path.write_bytes(Random(3).randbytes(path.stat().st_size))


def _foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=2")


def _another_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE arrivals (at INTEGER)")


def _missing(path: Path) -> None:
    path.unlink()


def _swapped(path: Path) -> None:
    other = path.with_name(FILES[path.name == FILES[0]])
    path.write_bytes(other.read_bytes())


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (_empty, ""), (_cut, "damaged"), (_noise, "damaged or no database"), (_foreign, "not of"),
    (_newer, "format 2"), (_another_table, "other tables"), (_missing, "missing"),
    (_swapped, "not of a relay"),
]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("damage", "says"), DAMAGES, ids=[d.__name__[1:] for d, _ in DAMAGES])
async def test_a_file_that_is_not_ours_or_damaged_is_refused(
    tmp_path: Path, name: str, damage: Callable[[Path], None], says: str
) -> None:
    await made(tmp_path)
    whole = (tmp_path / name).read_bytes()
    damage(tmp_path / name)
    found = (tmp_path / name).read_bytes() if damage is not _missing else None
    await refused(tmp_path, Reason.BAD_STORE, name, says)
    if found is not None:
        assert (tmp_path / name).read_bytes() == found, "a file that is refused was changed"
    (tmp_path / name).write_bytes(whole)
    async with opened(tmp_path):
        pass


async def test_damage_in_the_index_is_seen_at_the_start(tmp_path: Path) -> None:
    rows = await made(tmp_path)
    path = tmp_path / "rows.db"
    data = path.read_bytes()
    at = data.index(rows[7].place.name)  # first in the index
    for where, what in ((at + 17, b"\xff"), (at + 16, b"\x14"), (at + 16, b"\xff"), (at, bytes(8))):
        path.write_bytes(data[:where] + what + data[where + len(what) :])
        await refused(tmp_path, Reason.BAD_STORE, "damaged")
    path.write_bytes(data)
    async with opened(tmp_path) as store:
        assert await store.read([rows[7].place]) == [rows[7].data]


async def test_damage_elsewhere_fails_the_calls_that_meet_it(tmp_path: Path) -> None:
    rows = await made(tmp_path)
    path = tmp_path / "rows.db"
    data = path.read_bytes()
    at = data.rindex(rows[7].place.name)  # in the slot: it is another row's now
    path.write_bytes(data[:at] + bytes(16) + data[at + 16 :])
    dice = Random(2)
    async with opened(tmp_path) as store:
        results = await asyncio.gather(
            *(store.read([each.place]) for each in rows[:20]), return_exceptions=True
        )
        for number, (result, each) in enumerate(zip(results, rows[:20], strict=True)):
            if number == 7:
                assert isinstance(result, StoreFailure)
            else:
                assert result == [each.data]
        fresh = [row(dice) for _ in range(400)]  # the slots grow, and rows move
        for at in range(0, len(fresh), 20):
            assert await store.add(fresh[at : at + 20]) == [True] * 20
        others = [*fresh, *rows[:7], *rows[8:]]
        assert await store.read([each.place for each in others]) == [each.data for each in others]
        with pytest.raises(StoreFailure):
            await store.read([rows[7].place])
    async with opened(tmp_path) as store:
        assert (await store.usage()).rows == len(rows) + len(fresh)


# One opener


CHILD = """
import asyncio, sys
from pathlib import Path
from evanesce.relay.sqlite_rows import SqliteRows
async def main():
    store = SqliteRows(Path(sys.argv[1]))
    await store.start()
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await store.stop()
asyncio.run(main())
"""


async def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    with child(CHILD, tmp_path) as other:
        assert other.stdout is not None
        assert await asyncio.to_thread(other.stdout.readline) == "open\n"
        await refused(tmp_path, Reason.STORE_BUSY, "another process")
        other.kill()
    async with opened(tmp_path):
        pass


async def test_one_process_opens_it_once(tmp_path: Path) -> None:
    rows = await made(tmp_path)
    async with opened(tmp_path) as store:
        await refused(tmp_path, Reason.STORE_BUSY, "this process")
        with pytest.raises(LocalError):
            await store.start()
        assert await store.read([rows[0].place]) == [rows[0].data]


# Looking on


async def test_another_may_look_while_a_relay_runs(tmp_path: Path) -> None:
    dice = Random(4)
    async with opened(tmp_path) as store, opened(tmp_path, read_only=True) as looker:
        for _ in range(5):
            one = row(dice)
            await store.add([one])
            assert await looker.read([one.place]) == [one.data]
            left = remainder(one.place, dice)
            await store.blank([left])
            assert await looker.read([one.place]) == [left.data]
        assert await store.swap(3, 0, bytes(600))
        assert await looker.bucket(3) == await store.bucket(3)
        assert await looker.bucket(2) == (0, None)
        assert await looker.usage() == await store.usage()
        assert await store.forget(HOUR) == 5
        assert await looker.read([one.place]) == [None]


async def test_whoever_looks_changes_nothing(tmp_path: Path) -> None:
    rows = await made(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    async with opened(tmp_path, read_only=True) as looker:
        version, _ = await looker.bucket(0)
        calls: list[Coroutine[Any, Any, object]] = [
            looker.add([row(Random(5))]), looker.blank([remainder(rows[0].place, Random(5))]),
            looker.forget(HOUR), looker.swap(0, version, bytes(600)),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(StoreFailure, match="reading only"):
                await call
        assert await looker.read([rows[0].place]) == [rows[0].data]
        assert (await looker.usage()).rows == len(rows)
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == before
    async with opened(tmp_path, read_only=True), opened(tmp_path):  # in either order
        pass


async def test_there_must_be_something_to_look_at(tmp_path: Path) -> None:
    await refused(tmp_path / "none", Reason.BAD_STORE, "missing", read_only=True)
    assert not (tmp_path / "none").exists()


async def test_forgetting_says_so_when_a_reader_keeps_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evanesce.relay.sqlite_rows._PATIENCE", 0.4)
    rows = await made(tmp_path)
    async with opened(tmp_path) as store:
        with closing(sqlite3.connect(tmp_path / "rows.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM mark").fetchone()
            with pytest.raises(StoreFailure, match="another process reads"):
                await store.forget(HOUR)
            assert await store.read([rows[0].place]) == [None]
            assert await store.add([rows[0]]) == [True], "a reader holds up the writer"
        await emptied(tmp_path)  # by itself, once the reader has gone


# While it runs


async def test_another_process_that_holds_the_lock_fails_calls_for_a_while(tmp_path: Path) -> None:
    rows = await made(tmp_path)
    async with opened(tmp_path) as store:
        with closing(sqlite3.connect(tmp_path / "rows.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreFailure, match="BUSY"):
                await store.add([row(Random(8))])
            assert await store.read([rows[0].place]) == [rows[0].data]
            other.execute("ROLLBACK")
        assert await store.add([row(Random(8))]) == [True]


async def test_what_no_row_and_no_bucket_can_be_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        place = row(Random(9)).place
        places = Place(-1, bytes(16)), Place(1 << 32, bytes(16)), Place(HOUR, bytes(15))
        rows = Row(place, b""), Row(place, bytes(3_000_000)), *(Row(each, b"x") for each in places)
        for wrong in rows:
            with pytest.raises(ValueError, match="row"):
                await store.add([row(Random(9)), wrong])
        with pytest.raises(ValueError, match="bucket"):
            await store.swap(-1, 0, bytes(600))
        assert await store.swap(0, 0, bytes(600))
        with pytest.raises(StoreFailure, match="one size"):
            await store.swap(1, 0, bytes(601))
        assert (await store.usage()).rows == 0


async def test_what_is_under_way_at_the_stop_is_finished(tmp_path: Path) -> None:
    dice = Random(10)
    rows = [row(dice) for _ in range(200)]
    store = SqliteRows(tmp_path)
    await store.start()
    calls = [asyncio.ensure_future(store.add([each])) for each in rows]
    await asyncio.sleep(0)
    await store.stop()
    results = await asyncio.gather(*calls, return_exceptions=True)
    async with opened(tmp_path) as again:
        found = await again.read([each.place for each in rows])
    for each, result, data in zip(rows, results, found, strict=True):
        assert result == [True]
        assert data == each.data
    assert len(slots(tmp_path / "rows.db")) == len(rows)
