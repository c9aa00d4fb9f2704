"""What is copied from a relay's data stays sealed for ever once the hour is over."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from evanesce import RemoteError
from evanesce.limits import HOUR
from evanesce.primitives import H
from evanesce.relay.clock import ManualRelayClock
from evanesce.relay.keys import RelayKeys
from evanesce.relay.names import Names, place, row_key
from evanesce.relay.relay import Cursor, Posted, Recalled, Relay
from evanesce.relay.rows import PLACE_BYTES, REMAINDER_BYTES
from evanesce.relay.sealing import Entry, Kind, open_entry, seal_entry
from evanesce.relay.settings import RelaySettings
from evanesce.relay.sqlite_change import Change
from evanesce.relay.sqlite_rows import SqliteRows
from tests.relay.sqlite_support import copied, emptied, quick_log

__all__ = ["quick_log"]

START = 498_000  # an hour
RETENTION = 48
SIZE = 512  # of all envelopes here
PIECE = 16  # bytes that must not be found again


@dataclass
class Box:
    address: bytes
    capability: bytes


class Bench:
    """A relay over a folder of data and a folder of keys, and copies of both."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data, self.keys = root / "data", root / "keys"
        self.dice = Random(11)
        self.clock = ManualRelayClock(START * HOUR + 1_000)
        self.store = SqliteRows(self.data)
        self.relay = Relay(
            self.store, RelayKeys.open(self.keys), self.clock,
            RelaySettings(retention_hours=RETENTION, mailboxes=256),
        )  # fmt: skip
        self.boxes: list[Box] = []
        self.put_at: dict[int, set[bytes]] = {}  # envelopes by their hour of expiry
        self.copies: list[Path] = []
        self.mark = self.dice.randbytes(PIECE)  # in each envelope

    async def make(self, count: int) -> None:
        for _ in range(count):
            box = Box(self.dice.randbytes(32), self.dice.randbytes(16))
            await self.relay.make_mailbox(box.address, H(b"capability", box.capability))
            self.boxes.append(box)

    def item(self, box: Box) -> Posted:
        filler = self.dice.randbytes(SIZE - PIECE - 100)
        envelope = filler + self.mark + bytes(100)
        self.put_at.setdefault(self.clock.hour() + RETENTION, set()).add(envelope)
        return Posted(box.address, box.capability, self.dice.randbytes(16), envelope)

    async def put(self, rounds: int) -> list[Posted]:
        items = [self.item(box) for box in self.boxes for _ in range(rounds)]
        for at in range(0, len(items), 7):
            assert set(await self.relay.put(items[at : at + 7])) == {None}
        return items

    def copy(self, name: str) -> Path:
        """Copy the whole folder of data now, and for the control that of keys."""
        found = self.root / f"copy-{len(self.copies)}-{name}"
        found.mkdir()
        self.copies.append(found)
        copied(self.data, found / "data")
        copied(self.keys, found / "keys")
        return found


@asynccontextmanager
async def running(root: Path) -> AsyncIterator[Bench]:
    bench = Bench(root)
    await bench.relay.start()
    try:
        yield bench
    finally:
        await bench.relay.stop()


def attack(data: Path, keys: Path, boxes: Iterable[Box], hours: Iterable[int]) -> set[bytes]:
    """All envelopes that somebody can read who has these files, these keys, and all addresses.

    Whatever SQLite thinks of the files: it looks for the name of each place in each byte of them,
    of live pages, free ones, logs, and tries all keys on all that may follow it.
    """
    names = Names((keys / "index.key").read_bytes())
    left = [path.read_bytes() for path in keys.glob("hour-*")]
    files = [path.read_bytes() for path in data.iterdir()]
    found: set[bytes] = set()
    for hour in hours:
        box_keys = [names.box(box.address) for box in boxes]
        places = {where.name: (where, box_key) for box_key in box_keys
                  for where in (place(box_key, hour, number) for number in range(200))}  # fmt: skip
        for name, sealed in set(following(files, hour.to_bytes(4, "big"))):
            if name in places:
                where, box_key = places[name]
                for key in left:
                    try:
                        entry = open_entry(row_key(key, box_key), where, sealed)
                    except RemoteError:
                        continue
                    if entry.kind is Kind.ENVELOPE:
                        found.add(entry.data)
    return found


ROW_BYTES = len(seal_entry(bytes(32), place(bytes(32), 0, 0),
                           Entry(Kind.ENVELOPE, bytes(16), bytes(SIZE))))  # fmt: skip


def following(files: Iterable[bytes], hour: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What may be a name, and what may be sealed data after it."""
    for data in files:
        at = data.find(hour)
        while at >= 0:
            start = at + len(hour) + PLACE_BYTES
            for size in (ROW_BYTES, REMAINDER_BYTES):
                yield data[start - PLACE_BYTES : start], data[start : start + size]
            at = data.find(hour, at + 1)


def remains(folder: Path, needles: Iterable[bytes]) -> set[str]:
    """The files in which any piece of any of these is."""
    pieces = {needle[at : at + PIECE] for needle in needles
              for at in range(0, len(needle) - PIECE + 1)}  # fmt: skip
    return {
        path.name for path in folder.rglob("*") if path.is_file()
        for data in [path.read_bytes()]
        if any(data[at : at + PIECE] in pieces for at in range(len(data) - PIECE + 1))
    }  # fmt: skip


def holds(folder: Path, needle: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]


async def _waiting(bench: Bench, box: Box) -> list[bytes]:
    return [each.id for each in await bench.relay.fetch(box.address, Cursor(), 1_000, 1 << 30)]


async def an_hour(bench: Bench, due: list[str]) -> None:
    """Envelopes come and go, and the folder is copied at five moments."""
    items = await bench.put(2)
    bench.copy("log holds all")
    due.append("before a commit")
    await bench.put(1)
    copying = asyncio.ensure_future(asyncio.to_thread(bench.copy, "under load"))
    while not copying.done():
        await bench.put(1)
    await copying
    await bench.relay.recall([Recalled(items[0].address, items[0].capability, items[0].id)])
    await bench.relay.ack(bench.boxes[1].address, await _waiting(bench, bench.boxes[1]))
    bench.copy("acked, in the log")
    await emptied(bench.data)
    bench.copy("log is empty")
    await bench.put(1)
    bench.clock.advance(HOUR)
    await bench.relay.tick()


async def test_copies_of_any_moment_stay_sealed_when_the_hour_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQ-RELAY-12."""
    flush = Change.flush
    due: list[str] = []

    def watched(change: Change) -> None:
        flush(change)
        if due:  # in the thread of the writer, before the commit
            bench.copy(due.pop())

    monkeypatch.setattr(Change, "flush", watched)
    async with running(tmp_path) as bench:
        await bench.make(6)
        for _ in range(2):
            await an_hour(bench, due)
        first, second = sorted(bench.put_at)
        assert (first, second) == (START + RETENTION, START + 1 + RETENTION)
        early = bench.copies[:5]

        bench.clock.advance(HOUR * (RETENTION - 3))
        await bench.relay.tick()
        bench.copy("nearly over")
        hours = range(first - 1, second + 2)
        for copy in bench.copies:  # nothing is over yet: each still opens, and holds what was put
            assert attack(copy / "data", bench.keys, bench.boxes, hours), copy.name

        due.append("forgetting")
        bench.clock.advance(HOUR)
        await bench.relay.tick()  # the first hour is over, the second not
        assert bench.clock.hour() == first
        for copy in bench.copies:
            opens = attack(copy / "data", bench.keys, bench.boxes, hours)
            assert not opens & bench.put_at[first], copy.name
            assert (not opens) == (copy in early), copy.name

        bench.clock.advance(HOUR)
        await bench.relay.tick()
        bench.copy("all is over")
        await bench.put(1)  # there is a key again, of another hour
        assert list(bench.keys.glob("hour-*"))
        *before, after = bench.copies
        for copy in before:
            assert not attack(copy / "data", bench.keys, bench.boxes, hours), copy.name
            control = attack(copy / "data", copy / "keys", bench.boxes, hours)
            assert control, f"{copy.name} proves nothing"
            assert control <= bench.put_at[first] | bench.put_at[second]
        assert len(before) == 12
        assert not attack(after / "data", before[0] / "keys", bench.boxes, hours)
        assert not attack(after / "data", before[8] / "keys", bench.boxes, hours)
    assert not holds(tmp_path, bench.mark), "an envelope lies somewhere in the clear"


async def test_a_relay_over_a_copy_and_the_keys_that_are_left_has_nothing(tmp_path: Path) -> None:
    """REQ-RELAY-12. The same, as an operator would do it who puts a backup back."""
    async with running(tmp_path) as bench:
        await bench.make(3)
        await bench.put(3)
        copy = bench.copy("backup")
        bench.clock.advance(HOUR * (RETENTION + 1))
        await bench.relay.tick()

    async def given(keys: Path) -> int:
        shutil.copytree(copy / "data", keys / "data")
        relay = Relay(
            SqliteRows(keys / "data"), RelayKeys.open(keys),
            ManualRelayClock(START * HOUR + 2_000),
            RelaySettings(retention_hours=RETENTION, mailboxes=256),
        )  # fmt: skip
        await relay.start()
        waiting = [await relay.fetch(box.address, Cursor(), 100, 1 << 30) for box in bench.boxes]
        await relay.stop()
        return sum(map(len, waiting))

    assert await given(copy / "keys") == 9
    assert await given(bench.keys) == 0


@pytest.mark.parametrize("way", ["ack", "recall", "remove"])
async def test_what_is_erased_is_in_no_file_once_the_log_is_empty(
    tmp_path: Path, quick_log: None, way: str
) -> None:
    async with running(tmp_path) as bench:
        await bench.make(4)
        items = await bench.put(5)
        names = Names((bench.keys / "index.key").read_bytes())
        gone, kept = bench.boxes[0], bench.boxes[1]

        async def sealed(box: Box) -> list[bytes]:
            hour = START + RETENTION
            found = await bench.store.read(
                [place(names.box(box.address), hour, number) for number in range(5)]
            )
            return [data for data in found if data is not None]

        erased, others = await sealed(gone), await sealed(kept)
        assert len(erased) == len(others) == 5
        await emptied(bench.data)
        assert remains(bench.copy("before") / "data", erased) == {"rows.db"}
        match way:
            case "ack":
                await bench.relay.ack(gone.address, await _waiting(bench, gone))
            case "recall":
                mine = [item for item in items if item.address == gone.address]
                await bench.relay.recall(
                    [Recalled(item.address, item.capability, item.id) for item in mine]
                )
            case _:
                await bench.relay.remove_mailbox(gone.address)
        await emptied(bench.data)
        after = bench.copy("after") / "data"
        assert remains(after, erased) == set()
        assert remains(after, others) == {"rows.db"}
        assert not holds(tmp_path, bench.mark)
        bench.clock.advance(HOUR * RETENTION)
        await bench.relay.tick()  # empties the log itself
        assert remains(bench.copy("over") / "data", others) == set()


async def test_an_erased_bucket_is_in_no_file(tmp_path: Path) -> None:
    """The table keeps no former state: neither in its file nor in its log."""
    async with running(tmp_path) as bench:
        numbers = range(1, 9)
        empty = [await bench.store.bucket(number) for number in numbers]
        await bench.make(1)
        full = [await bench.store.bucket(number) for number in numbers]
        former = [data for (_, data), was in zip(full, empty, strict=True)
                  if data is not None and (_, data) != was]  # fmt: skip
        assert len(former) == 1
        assert remains(bench.copy("before") / "data", former) == {"table.db"}
        await bench.relay.remove_mailbox(bench.boxes[0].address)
        assert remains(bench.copy("after") / "data", former) == set()
