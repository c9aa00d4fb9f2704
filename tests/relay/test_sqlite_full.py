"""A store in SQLite on a full disk fails calls, loses nothing, and works again with more room."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from evanesce.relay.rows import StoreFailure
from tests.relay.sqlite_support import child, opened, quick_log, remainder, row

__all__ = ["quick_log"]


@pytest.mark.parametrize("busy", [1, 30])
async def test_a_full_disk_fails_calls_and_nothing_else(
    tmp_path: Path, quick_log: None, busy: int
) -> None:
    """SQLite is told that there is no room for more pages; later there is."""
    dice = Random(6)
    async with opened(tmp_path) as store:
        kept = [row(dice) for _ in range(50)]
        await store.add(kept)
        assert await store.blank([remainder(kept.pop().place, dice)]) == [True]
        writer = store._writer
        assert writer is not None
        (pages,) = writer._rows_file.execute("PRAGMA page_count").fetchone()
        writer._rows_file.execute(f"PRAGMA max_page_count={pages + 3}")
        failed = []
        for _ in range(20):
            tried = [row(dice, 900) for _ in range(busy)]
            results = await asyncio.gather(
                *(store.add([each]) for each in tried), return_exceptions=True
            )
            for each, result in zip(tried, results, strict=True):
                if result == [True]:
                    kept.append(each)
                else:
                    assert isinstance(result, StoreFailure)
                    assert "FULL" in str(result)
                    failed.append(each)
        assert failed, "the disk was never full"
        assert await store.blank([remainder(kept[0].place, dice)]) == [True], "no room is needed"
        assert await store.read([each.place for each in kept[1:]]) == [e.data for e in kept[1:]]
        assert (await store.usage()).rows == len(kept) + 1
        writer._rows_file.execute("PRAGMA max_page_count=1000000")
        assert await store.add(failed) == [True] * len(failed)
        kept += failed
    async with opened(tmp_path) as store:
        assert await store.read([each.place for each in kept[1:]]) == [e.data for e in kept[1:]]
        assert (await store.usage()).rows == len(kept) + 1


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from random import Random
from evanesce.relay.rows import Place, Row, StoreFailure
from evanesce.relay.sqlite_rows import SqliteRows

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    dice, kept, failed, swapped = Random(7), [], [], 0
    store = SqliteRows(Path(sys.argv[1]))
    await store.start()
    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    for turn in range(3):
        limit((turn + 1) * 1_500_000)
        for _ in range(60):
            tried = [Row(Place(498_000, dice.randbytes(16)), dice.randbytes(5_000))
                     for _ in range(12)]
            for row, done in zip(tried, await asyncio.gather(
                    *(store.add([row]) for row in tried), return_exceptions=True)):
                if isinstance(done, StoreFailure): failed.append(row)
                else:
                    assert done == [True], done
                    kept.append(row)
            try:
                version, data = await store.bucket(0)
                swapped += await store.swap(0, version, dice.randbytes(4_000))
            except StoreFailure: pass
        assert failed, "the disk was never full"
        assert await store.read([row.place for row in kept]) == [row.data for row in kept]
        limit(resource.RLIM_INFINITY)
        again = await store.add(failed)  # what failed may have come all the same
        assert await store.read([row.place for row in failed]) == [row.data for row in failed]
        kept += failed
        print(len(kept), len(failed), again.count(True), swapped)
        failed = []
    await store.stop()
    store = SqliteRows(Path(sys.argv[1]))
    await store.start()
    assert await store.read([row.place for row in kept]) == [row.data for row in kept]
    assert (await store.usage()).rows == len(kept)
    await store.stop()
    print("held")

asyncio.run(main())
"""


async def test_files_that_cannot_grow_fail_calls_and_nothing_else(tmp_path: Path) -> None:
    """The operating system refuses to write more; later it does not."""
    with child(FULL, tmp_path) as process:
        out, _ = await asyncio.to_thread(process.communicate, None, 60)
    assert out.endswith("held\n"), out
    assert process.returncode == 0
