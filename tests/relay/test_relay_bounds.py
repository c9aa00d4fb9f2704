"""What one client may cost all others: memory, time and what is remembered of it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path

import pytest

from evanesce.errors import Reason, RemoteError
from evanesce.limits import HOUR
from evanesce.primitives import H
from evanesce.relay import boxes as boxes_module
from evanesce.relay import logs
from evanesce.relay.memory_rows import MemoryRows
from evanesce.relay.names import row_key
from evanesce.relay.reading import Gate
from evanesce.relay.relay import Relay
from evanesce.relay.rows import Place, Row
from evanesce.relay.settings import RelaySettings
from evanesce.relay.views import View, Views
from tests.relay.relay_support import Bench, Box, ids_of, make, new_id, put, taken

LARGE = 256 << 10


class Watched(MemoryRows):
    """Rows that note what is asked of them."""

    def __init__(self) -> None:
        super().__init__()
        self.read_bytes: list[int] = []
        self.reading = self.most_reading = 0
        self.writes: list[tuple[str, int]] = []
        self.gate: asyncio.Event | None = None

    async def read(self, places: Sequence[Place]) -> list[bytes | None]:
        self.reading += len(places)
        self.most_reading = max(self.most_reading, self.reading)
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        data = await super().read(places)
        self.reading -= len(places)
        self.read_bytes.append(sum(len(row) for row in data if row is not None))
        return data

    async def add(self, rows: Sequence[Row]) -> list[bool]:
        self.writes.append(("add", len(rows)))
        return await super().add(rows)

    async def blank(self, rows: Sequence[Row]) -> list[bool]:
        self.writes.append(("blank", len(rows)))
        return await super().blank(rows)


@pytest.fixture
def rows() -> Watched:
    return Watched()


@pytest.fixture
def bench(tmp_path: Path, rows: Watched) -> Bench:
    return Bench(tmp_path, rows=rows)


async def full_hours(bench: Bench, relay: Relay) -> Box:
    """A mailbox with a large envelope in each hour."""
    [box] = await make(relay)
    for _ in range(71):
        await relay.tick()
        assert taken(await relay.put([box.posted(envelope=bytes(LARGE))]))
        bench.clock.advance(HOUR)
    return box


async def test_a_box_of_which_nothing_is_known_is_read_in_small_parts(
    bench: Bench, rows: Watched
) -> None:
    relay = await bench.relay()
    box = await full_hours(bench, relay)
    relay._boxes.forget()
    rows.read_bytes.clear()
    await relay.ack(box.address, [new_id()])
    assert sum(rows.read_bytes) > 70 * LARGE
    assert max(rows.read_bytes) < (4 << 20) + 16 * 100


async def test_what_is_read_on_the_way_is_not_all_remembered(bench: Bench) -> None:
    relay = await bench.relay()
    box = await full_hours(bench, relay)
    relay._boxes.forget()
    log = relay._boxes._envelopes
    _, found = await log.look_all([box.address])
    assert 0 < sum(len(entry.data) for entry in found.values()) <= 4 << 20
    relay._boxes.forget()
    assert (await log.look(box.address, keep=False))[1] == {}


async def test_not_too_much_is_read_at_once_for_all(bench: Bench, rows: Watched) -> None:
    relay = await bench.relay()
    boxes = await make(relay, 40)
    rows.most_reading = 0
    await asyncio.gather(*(relay.ack(box.address, [new_id()]) for box in boxes))
    assert 16 < rows.most_reading <= 2 * 96  # envelopes of some, notices of others
    assert rows.reading == 0


async def test_who_gives_up_waiting_to_read_takes_nothing_from_others() -> None:
    gate = Gate(10)
    release = asyncio.Event()

    async def hold(places: int) -> None:
        async with gate.of(places):
            await release.wait()

    tasks = [asyncio.create_task(hold(places)) for places in (10, 7, 3, 20)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    tasks[2].cancel()
    release.set()
    done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert [type(each) for each in done] == [
        type(None), asyncio.CancelledError, asyncio.CancelledError, type(None)]  # fmt: skip
    await asyncio.wait_for(hold(10), 5)


async def test_keys_of_rows_are_derived_once_for_an_hour(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    assert taken(await put(relay, box, *(new_id() for _ in range(300))))
    relay._boxes.forget()
    derived = []

    def counted(hour_key: bytes, box_key: bytes) -> bytes:
        derived.append(1)
        return row_key(hour_key, box_key)

    monkeypatch.setattr(logs, "row_key", counted)
    await relay.ack(box.address, [new_id()])
    assert 0 < len(derived) < 200


async def test_a_cold_mailbox_of_a_batch_holds_up_no_other(bench: Bench, rows: Watched) -> None:
    relay = await bench.relay()
    cold, warm = await make(relay, 2)
    assert taken(await put(relay, warm, new_id()))
    rows.gate = asyncio.Event()
    both = asyncio.create_task(relay.put([cold.posted(), warm.posted()]))
    await asyncio.sleep(0.01)
    assert not both.done()
    assert taken(await asyncio.wait_for(put(relay, warm, new_id()), 5))
    rows.gate.set()
    assert taken(await both)


def view(known: int) -> View:
    made = View(secrets.token_bytes(32), secrets.token_bytes(32))
    made._gone = {number.to_bytes(16, "big"): 1 << 30 for number in range(known)}
    return made


def test_large_views_make_room_for_small_ones() -> None:
    views = Views(10_000)
    small = [view(3) for _ in range(50)]
    for each in small:
        views.keep(each)
    for _ in range(30):
        views.keep(view(4_000))
    assert all(views.get(each.owner) is each for each in small)
    assert len(views) == 52


def known_owners(relay: Relay) -> set[bytes]:
    all_logs = (relay._boxes._envelopes, relay._boxes._notices, relay._packages._log,
                relay._blobs._log)  # fmt: skip
    return {owner for log in all_logs for owner in log._views._views}


async def test_what_is_not_used_for_an_hour_is_forgotten(bench: Bench) -> None:
    relay = await bench.relay()
    idle, busy = await make(relay, 2)
    for box in (idle, busy):
        assert taken(await put(relay, box, item := new_id()))
        assert await ids_of(relay, box) == [item]
    for _ in range(3):
        bench.clock.advance(HOUR // 2 - 1)
        await put(relay, busy, new_id())
        await relay.tick()
    assert known_owners(relay) == {busy.address}
    assert len(await ids_of(relay, idle)) == 1


async def test_a_removed_mailbox_is_not_remembered(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    await put(relay, box, new_id())
    await ids_of(relay, box)
    await relay.remove_mailbox(box.address)
    assert known_owners(relay) == set()


async def test_whom_nothing_is_kept_for_is_not_remembered(bench: Bench) -> None:
    relay = await bench.relay()
    await relay.ack(secrets.token_bytes(32), [new_id()])
    assert await relay.claim(secrets.token_bytes(32)) is None
    with pytest.raises(RemoteError):
        await relay.blob(secrets.token_bytes(32))
    assert known_owners(relay) == set()
    await relay.put_blob(bytes(32), b"some")
    assert known_owners(relay) == {H(b"blob", b"some")}


async def test_a_recall_writes_the_same_whatever_was_there(bench: Bench, rows: Watched) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    acked, waiting = new_id(), new_id()
    await put(relay, box, acked, waiting)
    await relay.ack(box.address, [acked])
    told = []
    for item in (acked, waiting, new_id(), waiting):
        rows.writes.clear()
        assert taken(await relay.recall([box.recalled(item)]))
        told.append([name for name, _ in rows.writes])
    assert told == [["add", "blank"]] * 4
    assert await ids_of(relay, box) == []
    assert all(kept.blank for kept in rows.rows.values())


async def test_recalls_make_no_mailbox_full(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes_module, "MAX_KNOWN", 40)
    monkeypatch.setattr(boxes_module, "MAX_NOTED", 5)
    relay = await bench.relay()
    [box] = await make(relay)
    for _ in range(50):
        await relay.recall([box.recalled(new_id())])
    assert taken(await put(relay, box, *(new_id() for _ in range(10))))


async def test_a_full_store_takes_no_notes_but_erases(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings=RelaySettings(store_bytes=2_000))
    relay = await bench.relay()
    [box] = await make(relay)
    waiting = new_id()
    assert taken(await relay.put([box.posted(waiting, bytes(1_900))]))
    before = len(bench.rows.rows)
    await relay.recall([box.recalled(new_id()) for _ in range(50)])
    assert len(bench.rows.rows) == before
    assert await ids_of(relay, box) == [waiting]
    await relay.recall([box.recalled(waiting), *(box.recalled(new_id()) for _ in range(50))])
    assert await ids_of(relay, box) == []


async def test_who_waits_too_long_for_a_mailbox_is_told_and_nobody_loses_its_view(
    bench: Bench, rows: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that hangs would else be followed by all who asked meanwhile and are long gone."""
    monkeypatch.setattr(logs, "_PATIENCE", 0.05)
    relay = await bench.relay()
    one, other = await make(relay, 2)
    assert taken(await put(relay, one, new_id()))
    assert taken(await put(relay, other, new_id()))
    async with relay._boxes.hold([one.address]):
        with pytest.raises(RemoteError) as caught:
            await relay.put([other.posted(), one.posted()])
        assert caught.value.reason is Reason.RELAY_BUSY
    reads = len(rows.read_bytes)
    assert taken(await relay.put([other.posted(), one.posted()]))
    assert len(rows.read_bytes) == reads
