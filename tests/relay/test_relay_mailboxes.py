"""The table of mailboxes: made, renewed, removed; equal buckets; two relays that change it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evanesce.errors import Reason, RemoteError
from evanesce.limits import QUARTER
from evanesce.relay.mailboxes import BUCKET_BYTES, BUCKET_RECORDS
from evanesce.relay.memory_rows import MemoryRows
from evanesce.relay.relay import Relay
from evanesce.relay.settings import RelaySettings
from tests.relay.relay_support import Bench, Box, all_of, make, new_id, put, taken


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, settings=RelaySettings(mailboxes=1))  # one bucket


async def refused(work: object) -> Reason:
    with pytest.raises(RemoteError) as caught:
        await work  # type: ignore[misc]
    return caught.value.reason


async def test_a_bucket_that_is_full_takes_no_more_until_one_is_removed(bench: Bench) -> None:
    relay = await bench.relay()
    boxes = await make(relay, BUCKET_RECORDS)
    late = Box()
    assert await refused(relay.make_mailbox(late.address, late.hash)) is Reason.RELAY_FULL
    await relay.make_mailbox(boxes[3].address, boxes[3].hash)  # which is there
    assert taken(await relay.put([box.posted() for box in boxes]))
    await relay.remove_mailbox(boxes[0].address)
    await relay.make_mailbox(late.address, late.hash)
    assert taken(await put(relay, late, new_id()))


async def test_full_and_empty_buckets_look_the_same(bench: Bench) -> None:
    relay = await bench.relay()
    sizes = set()
    for _ in range(BUCKET_RECORDS):
        [box] = await make(relay)
        sizes |= {len(data) for _, data in bench.rows.buckets.values()}
        assert box.address not in bench.rows.buckets[1][1]
        assert box.hash not in bench.rows.buckets[1][1]
    await relay.remove_mailbox(box.address)
    sizes |= {len(data) for _, data in bench.rows.buckets.values()}
    assert sizes == {BUCKET_BYTES}


async def test_a_table_holds_what_it_is_made_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings=RelaySettings(mailboxes=3_000))
    relay = await bench.relay()
    boxes = [Box() for _ in range(3_000)]
    for box in boxes:
        await relay.make_mailbox(box.address, box.hash)
    again = await bench.relay()
    for box in boxes:
        assert await again.has_mailbox(box.address)


async def test_the_capability_counts_when_the_mailbox_is_made(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    written = bench.rows.buckets[1]
    thief = Box(box.address)
    await relay.make_mailbox(thief.address, thief.hash)
    assert await put(relay, thief, new_id()) == [Reason.NOT_PERMITTED]
    assert taken(await put(relay, box, new_id()))
    assert bench.rows.buckets[1] == written  # made again in the same quarter: nothing is written


async def test_a_lease_is_renewed_by_making_and_ends_after_two_quarters(bench: Bench) -> None:
    relay = await bench.relay()
    [used, unused] = await make(relay, 2)
    bench.clock.advance(QUARTER)
    await relay.tick()
    await relay.make_mailbox(used.address, used.hash)
    assert await relay.has_mailbox(unused.address)
    bench.clock.advance(QUARTER)
    assert await relay.has_mailbox(used.address)
    assert not await relay.has_mailbox(unused.address)
    before = bench.rows.buckets[1]
    await relay.tick()
    assert bench.rows.buckets[1] != before  # and it is gone from the table
    assert await put(relay, unused, new_id()) == [Reason.UNKNOWN_MAILBOX]
    after = bench.rows.buckets[1]
    await relay.tick()
    assert bench.rows.buckets[1] == after
    anew = Box(unused.address)
    await relay.make_mailbox(anew.address, anew.hash)
    assert taken(await put(relay, anew, new_id()))


async def test_every_bucket_is_looked_through_for_old_leases(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings=RelaySettings(mailboxes=32 * 150))
    relay = await bench.relay()
    empty = dict(bench.rows.buckets)
    await make(relay, 200)
    bench.clock.advance(2 * QUARTER)
    before = dict(bench.rows.buckets)
    used = {number for number in before if before[number] != empty[number]}
    assert len(used) > 50
    for _ in range(3):
        await relay.tick()
    swept = {number for number in before if bench.rows.buckets[number] != before[number]}
    assert swept == used


async def test_a_damaged_bucket_is_no_empty_one(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    bench.rows.buckets[1] = 7, bytes(BUCKET_BYTES)
    again = await bench.relay()
    assert await put(again, box, new_id()) == [Reason.RELAY_BUSY]
    assert await refused(all_of(again, box)) is Reason.RELAY_BUSY
    assert await refused(again.make_mailbox(box.address, box.hash)) is Reason.RELAY_BUSY
    assert await refused(again.has_mailbox(box.address)) is Reason.RELAY_BUSY
    assert await refused(again.holdings(box.address)) is Reason.RELAY_BUSY
    assert bench.rows.buckets[1] == (7, bytes(BUCKET_BYTES))


async def test_a_bucket_in_the_place_of_another_is_damaged(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings=RelaySettings(mailboxes=64))
    relay = await bench.relay()
    boxes = await make(relay, 20)
    one, two = bench.rows.buckets[1], bench.rows.buckets[2]
    bench.rows.buckets[1], bench.rows.buckets[2] = two, one
    again = await bench.relay()
    outcomes = await again.put([box.posted() for box in boxes])
    assert set(outcomes) == {Reason.RELAY_BUSY}


async def test_relays_that_make_mailboxes_at_once_lose_none(tmp_path: Path) -> None:
    rows = MemoryRows(shared=True, pause=True)
    bench = Bench(tmp_path, rows, settings=RelaySettings(mailboxes=1))
    relays = [await bench.relay() for _ in range(3)]
    boxes = [Box() for _ in range(30)]

    async def made(relay: Relay, box: Box) -> None:
        while True:
            try:
                return await relay.make_mailbox(box.address, box.hash)
            except RemoteError as error:
                assert error.reason is Reason.RELAY_BUSY  # others were quicker all the time

    async with asyncio.timeout(20):
        await asyncio.gather(*(made(relays[n % 3], box) for n, box in enumerate(boxes)))
    for relay in relays:
        for box in boxes:
            assert await relay.has_mailbox(box.address)


async def test_a_mailbox_is_the_same_after_the_clock_moves_on_within_its_lease(
    bench: Bench,
) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    bench.clock.advance(QUARTER)
    await relay.tick()
    assert await relay.has_mailbox(box.address)


async def test_all_buckets_are_written_when_the_table_is_made(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings=RelaySettings(mailboxes=1_000))
    await bench.relay()
    assert sorted(bench.rows.buckets) == list(range(-(-1_000 // 32) + 1))


async def test_over_a_shared_store_all_buckets_are_sealed_anew_and_hold_what_they_held(
    tmp_path: Path,
) -> None:
    """REQ-RELAY-13: the time of the last change of a bucket says nothing of its mailboxes."""
    bench = Bench(tmp_path, settings=RelaySettings(mailboxes=1_000), rows=MemoryRows(shared=True))
    relay = await bench.relay()
    boxes = await make(relay, 20)
    before = dict(bench.rows.buckets)
    for _ in range(120):
        await relay.tick()
    changed = {number for number, bucket in bench.rows.buckets.items() if bucket != before[number]}
    assert changed == set(before) - {0}
    assert all([await relay.has_mailbox(box.address) for box in boxes])
    assert taken(await relay.put([box.posted() for box in boxes]))
