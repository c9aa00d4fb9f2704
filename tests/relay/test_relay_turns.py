"""Several mailboxes are looked into at once, and with few reads of a store that others share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from evanesce.errors import Reason
from evanesce.relay.items import Given
from evanesce.relay.memory_rows import MemoryRows
from evanesce.relay.relay import Cursor, Relay
from evanesce.relay.rows import Place
from tests.relay.relay_support import Bench, Box, make, new_id, put, taken

MUCH = 1 << 30


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def shared(tmp_path: Path) -> Bench:
    return Bench(tmp_path, MemoryRows(shared=True))


def counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many places each read of the store is of, from now on."""
    reads: list[int] = []
    read = bench.rows.read

    async def noted(places: Sequence[Place]) -> list[bytes | None]:
        reads.append(len(places))
        return await read(places)

    monkeypatch.setattr(bench.rows, "read", noted)
    return reads


def ids(given: Given | Reason) -> list[bytes]:
    assert isinstance(given, Given)
    return [item.id for item in given.items]


async def fetch(
    relay: Relay, boxes: Sequence[Box], cursors: Sequence[Cursor], count: int, octets: int = MUCH,
    each: int = 1_000,
) -> list[Given | Reason]:  # fmt: skip
    wanted = [(box.address, cursor) for box, cursor in zip(boxes, cursors, strict=True)]
    return await relay.fetch_all(wanted, count, octets, each)


async def test_what_may_be_given_is_shared_out_in_order_and_more_is_told(bench: Bench) -> None:
    relay = await bench.relay()
    boxes = await make(relay, 4)
    put_ids = [[new_id() for _ in range(count)] for count in (5, 3, 0, 2)]
    for box, some in zip(boxes, put_ids, strict=True):
        assert taken(await put(relay, box, *some))
    cursors = [Cursor() for _ in boxes]
    first = await fetch(relay, boxes, cursors, 6, each=4)
    assert [ids(given) for given in first] == [put_ids[0][:4], put_ids[1][:2], [], []]
    assert [given.more for given in first if isinstance(given, Given)] == [True, True, False, True]
    second = await fetch(relay, boxes, cursors, 0)
    assert [ids(given) for given in second] == [[]] * 4
    assert [given.more for given in second if isinstance(given, Given)] == [True, True, False, True]
    third = await fetch(relay, boxes, cursors, 10)
    assert [ids(given) for given in third] == [put_ids[0][4:], put_ids[1][2:], [], put_ids[3]]
    assert not any(given.more for given in third if isinstance(given, Given))


async def test_bytes_are_overdrawn_by_one_envelope_of_all(bench: Bench) -> None:
    relay = await bench.relay()
    boxes = await make(relay, 3)
    for box in boxes:
        assert taken(await relay.put([box.posted(envelope=bytes(1_000)) for _ in range(3)]))
    given = await fetch(relay, boxes, [Cursor() for _ in boxes], 100, octets=3_500)
    assert [len(ids(each)) for each in given] == [3, 1, 0]


async def test_notices_come_without_credit(bench: Bench) -> None:
    relay = await bench.relay()
    boxes = await make(relay, 2)
    assert taken(await put(relay, boxes[0], new_id()))
    assert await relay.leave_notice(boxes[1].address, b"statement")
    given = await fetch(relay, boxes, [Cursor(), Cursor()], 0, 0)
    assert [len(ids(each)) for each in given] == [0, 1]
    assert [each.more for each in given if isinstance(each, Given)] == [True, False]


async def test_one_that_is_none_or_cannot_be_read_does_not_hold_up_the_others(
    shared: Bench,
) -> None:
    relay = await shared.relay()
    buckets: dict[int, Box] = {}
    while len(buckets) < 2:  # one in each of two
        [box] = await make(relay)
        buckets[relay._mailboxes._number(relay._names.mailbox(box.address))] = box
    (_, good), (number, damaged) = buckets.items()
    item = new_id()
    assert taken(await put(relay, good, item))
    version, _ = await shared.rows.bucket(number)
    assert await shared.rows.swap(number, version, bytes(3_700))
    other = await shared.relay()
    given = await fetch(other, [damaged, Box(), good], [Cursor() for _ in range(3)], 100)
    assert given[:2] == [Reason.RELAY_BUSY, Reason.UNKNOWN_MAILBOX]
    assert ids(given[2]) == [item]


async def test_a_few_envelopes_that_came_by_another_relay_are_found_with_one_read(
    shared: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await shared.relay(), await shared.relay()
    boxes = await make(one, 6)
    cursors = [Cursor() for _ in boxes]
    await fetch(other, boxes, cursors, 100)
    items = [[new_id(), new_id()] for _ in boxes]
    for box, some in zip(boxes, items, strict=True):
        assert taken(await put(one, box, *some))
    reads = counted(shared, monkeypatch)
    given = await fetch(other, boxes, cursors, 100)
    assert [ids(each) for each in given] == items
    assert len(reads) == 1
    # What this relay took itself is read again, since it may have been recalled: in one read too.
    mine = [new_id() for _ in boxes]
    for box, item in zip(boxes, mine, strict=True):
        assert taken(await put(other, box, item))
    assert await one.recall([boxes[0].recalled(mine[0])]) == [None]
    reads.clear()
    given = await fetch(other, boxes, cursors, 100)
    assert [ids(each) for each in given] == [[], *([item] for item in mine[1:])]
    assert len(reads) == 1


async def test_an_ack_of_what_is_known_reads_nothing_and_ends_a_copy_too(
    shared: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await shared.relay(), await shared.relay()
    [box] = await make(one)
    item = new_id()
    assert taken(await put(one, box, item))
    assert ids((await fetch(one, [box], [Cursor()], 9))[0]) == [item]
    reads = counted(shared, monkeypatch)
    await one.ack(box.address, [item])
    assert reads == []
    assert ids((await fetch(other, [box], [Cursor()], 9))[0]) == []
    assert taken(await put(other, box, item))
    assert ids((await fetch(one, [box], [Cursor()], 9))[0]) == []
    # What it does not know it looks for.
    late = new_id()
    assert taken(await put(other, box, late))
    await one.ack(box.address, [late])
    assert ids((await fetch(other, [box], [Cursor()], 9))[0]) == []


async def test_where_wakes_may_have_been_lost_all_who_wait_are_called(shared: Bench) -> None:
    relay = await shared.relay()
    boxes = await make(relay, 3)
    called: list[int] = []
    ends = [relay.watch(box.address, lambda n=n: called.append(n))  # type: ignore[misc]
            for n, box in enumerate(boxes)]  # fmt: skip
    relay._heard(b"")
    assert sorted(called) == [0, 1, 2]
    ends[1]()
    relay._heard(b"")
    assert sorted(called) == [0, 0, 1, 2, 2]
