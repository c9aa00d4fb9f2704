"""What a relay does with envelopes and notices, over rows in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.limits import HOUR, MAILBOX_ENVELOPES, MAX_ENVELOPE
from evanesce.relay import boxes as boxes_module
from evanesce.relay.clock import ManualRelayClock
from evanesce.relay.keys import RelayKeys
from evanesce.relay.memory_rows import MemoryRows
from evanesce.relay.names import Names, place
from evanesce.relay.relay import Cursor, Posted, Relay
from evanesce.relay.rows import REMAINDER_BYTES, Place, StoreFailure
from evanesce.relay.settings import RelaySettings
from tests.relay.relay_support import (
    PLENTY,
    START,
    Bench,
    Box,
    all_of,
    ids_of,
    make,
    new_id,
    put,
    taken,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def shared(tmp_path: Path) -> Bench:
    return Bench(tmp_path, MemoryRows(shared=True, pause=True))


async def reason_of(work: object) -> Reason:
    with pytest.raises(RemoteError) as caught:
        await work  # type: ignore[misc]
    return caught.value.reason


# --- Putting and fetching ------------------------------------------------------------------------


async def test_what_is_put_is_fetched_as_it_was_in_the_order_it_came(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    wanted = [box.posted(envelope=bytes([n]) * 600) for n in range(9)]
    assert taken(await relay.put(wanted))
    found = await all_of(relay, box)
    assert [(item.id, item.data) for item in found] == [(p.id, p.envelope) for p in wanted]
    assert not any(item.is_notice for item in found)


async def test_each_item_has_an_outcome_of_its_own(bench: Bench) -> None:
    relay = await bench.relay()
    [box, other] = await make(relay, 2)
    twice = new_id()
    outcomes = await relay.put([
        box.posted(),
        Posted(box.address, bytes(16), new_id(), b"x"),
        Box().posted(),
        other.posted(twice, b"first"),
        other.posted(twice, b"second"),
        other.posted(envelope=bytes(MAX_ENVELOPE)),
        other.posted(envelope=bytes(MAX_ENVELOPE + 1)),
    ])  # fmt: skip
    assert outcomes == [None, Reason.NOT_PERMITTED, Reason.UNKNOWN_MAILBOX, None, None, None,
                        Reason.TOO_LARGE]  # fmt: skip
    assert [item.data for item in await all_of(relay, other)] == [b"first", bytes(MAX_ENVELOPE)]


async def test_an_id_is_taken_once_even_after_it_was_acked_and_after_a_restart(
    bench: Bench,
) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    item = new_id()
    for _ in range(2):
        assert taken(await put(relay, box, item))
        assert await ids_of(relay, box) == [item]
    await relay.ack(box.address, [item])
    for again in (relay, await bench.relay()):
        assert taken(await put(again, box, item))
        assert await ids_of(again, box) == []
    bench.clock.advance(72 * HOUR)
    assert taken(await put(relay, box, item))  # its hour has passed: it is another now
    assert await ids_of(relay, box) == [item]


async def test_a_full_mailbox_takes_what_it_knows_and_nothing_else(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    ids = [new_id() for _ in range(MAILBOX_ENVELOPES)]
    assert taken(await put(relay, box, *ids))
    assert await put(relay, box, ids[5], new_id()) == [None, Reason.MAILBOX_FULL]
    assert await relay.leave_notice(box.address, b"a notice is no envelope")
    await relay.ack(box.address, ids[:1])
    assert await put(relay, box, new_id(), new_id()) == [None, Reason.MAILBOX_FULL]


async def test_two_relays_count_what_lives_not_what_they_remember(shared: Bench) -> None:
    one, other = await shared.relay(), await shared.relay()
    [box] = await make(one)
    ids = [new_id() for _ in range(MAILBOX_ENVELOPES)]
    assert taken(await put(one, box, *ids))
    assert await put(other, box, new_id()) == [Reason.MAILBOX_FULL]
    await other.ack(box.address, ids[10:])
    assert taken(await put(one, box, new_id()))


async def test_ids_of_one_mailbox_are_bounded_however_quickly_they_go(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes_module, "MAX_KNOWN", 10)
    relay = await bench.relay()
    [box] = await make(relay)
    for _ in range(10):
        item = new_id()
        assert taken(await put(relay, box, item))
        await relay.ack(box.address, [item])
    assert await put(relay, box, new_id()) == [Reason.MAILBOX_FULL]
    bench.clock.advance(72 * HOUR)
    assert taken(await put(relay, box, new_id()))


async def test_credit_in_envelopes_and_bytes_is_kept(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    wanted = [box.posted(envelope=bytes(100)) for _ in range(5)]
    await relay.put(wanted)
    cursor = Cursor()
    assert await relay.fetch(box.address, cursor, 0, 1_000) == []
    assert await relay.fetch(box.address, cursor, 9, 0) == []
    assert len(await relay.fetch(box.address, cursor, 1, 1_000)) == 1
    assert len(await relay.fetch(box.address, cursor, 9, 101)) == 2  # the second overdraws
    assert len(await relay.fetch(box.address, cursor, 9, 1_000)) == 2
    assert await relay.fetch(box.address, cursor, 9, 1_000) == []
    assert len(await all_of(relay, box)) == 5  # another reader begins at the beginning


async def test_the_oldest_hour_comes_first_also_to_a_new_process(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    ids = []
    for _ in range(20):
        some = [new_id() for _ in range(5)]
        assert taken(await put(relay, box, *some))
        ids += some
        bench.clock.advance(HOUR)
    assert await ids_of(relay, box) == ids == await ids_of(await bench.relay(), box)


async def test_a_reader_who_stays_gets_what_comes_later(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    cursor, given = Cursor(), []
    for _ in range(100):
        item = new_id()
        assert taken(await put(relay, box, item))
        given += await ids_of(relay, box, cursor)
        assert given[-1] == item
        bench.clock.advance(HOUR)
    assert len(given) == 100
    assert len(cursor.envelopes) <= 73  # nor does it grow


async def test_of_no_mailbox_nothing_can_be_fetched(bench: Bench) -> None:
    relay = await bench.relay()
    box = Box()
    assert not await relay.has_mailbox(box.address)
    work = relay.fetch(box.address, Cursor(), *PLENTY)
    assert await reason_of(work) is Reason.UNKNOWN_MAILBOX
    await relay.ack(box.address, [new_id()])
    await relay.remove_mailbox(box.address)


# --- Recalling and removing ----------------------------------------------------------------------


async def test_what_is_recalled_is_gone_and_does_not_come_back(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    there, not_yet = new_id(), new_id()
    await put(relay, box, there)
    for again in (relay, await bench.relay()):
        assert taken(await again.recall([box.recalled(there), box.recalled(not_yet)]))
        assert taken(await put(again, box, there, not_yet))
        assert await ids_of(again, box) == []
    forged = Box(box.address)
    assert await relay.recall([forged.recalled(there), Box().recalled(there)]) == [
        Reason.NOT_PERMITTED, Reason.UNKNOWN_MAILBOX]  # fmt: skip


async def test_ids_that_are_recalled_without_having_come_are_noted_up_to_a_bound(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes_module, "MAX_NOTED", 3)
    relay = await bench.relay()
    [box] = await make(relay)
    ids = [new_id() for _ in range(5)]
    for item in ids:
        assert taken(await relay.recall([box.recalled(item)]))
    for again in (relay, await bench.relay()):
        await again.recall([box.recalled(late := new_id())])
        assert taken(await put(again, box, late))
        await again.ack(box.address, [late])
    assert taken(await put(relay, box, *ids))
    assert await ids_of(relay, box) == ids[3:]


async def test_a_mailbox_that_was_removed_is_empty_when_it_is_made_again(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    await put(relay, box, new_id(), new_id())
    await relay.leave_notice(box.address, b"notice")
    await relay.remove_mailbox(box.address)
    assert not await relay.has_mailbox(box.address)
    assert await put(relay, box, new_id()) == [Reason.UNKNOWN_MAILBOX]
    assert {len(kept.data) for kept in bench.rows.rows.values()} == {REMAINDER_BYTES}
    anew = Box(box.address)
    await relay.make_mailbox(anew.address, anew.hash)
    assert await all_of(relay, anew) == []
    assert await put(relay, box, new_id()) == [Reason.NOT_PERMITTED]
    assert taken(await put(relay, anew, new_id()))


async def test_what_a_crash_left_of_a_removed_mailbox_goes_when_it_is_removed_again(
    bench: Bench,
) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    await put(relay, box, new_id())
    bench.rows.failing.add("blank")
    assert await reason_of(relay.remove_mailbox(box.address)) is Reason.RELAY_BUSY
    bench.rows.failing.clear()
    again = await bench.relay()
    await again.remove_mailbox(box.address)
    assert all(kept.blank for kept in bench.rows.rows.values())


async def test_nothing_is_put_into_a_mailbox_that_is_being_removed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MemoryRows(pause=True))
    relay = await bench.relay()
    for _ in range(20):
        [box] = await make(relay)
        outcomes, _ = await asyncio.gather(
            put(relay, box, new_id()), relay.remove_mailbox(box.address)
        )
        assert outcomes in ([None], [Reason.UNKNOWN_MAILBOX])
        await relay.make_mailbox(box.address, box.hash)
        assert await all_of(relay, box) == []


# --- Time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [48, 72])
async def test_an_envelope_is_gone_when_its_hour_begins_even_if_tick_is_late(
    tmp_path: Path, hours: int
) -> None:
    bench = Bench(tmp_path, settings=RelaySettings(retention_hours=hours))
    relay = await bench.relay()
    [box] = await make(relay)
    bench.clock.advance(2 * HOUR - 1 - START % HOUR)  # the last second of an hour
    await put(relay, box, new_id())
    bench.clock.advance((hours - 1) * HOUR)
    assert len(await all_of(relay, box)) == 1
    bench.clock.advance(1)
    assert await all_of(relay, box) == []
    assert await all_of(await bench.relay(), box) == []
    assert not any(place.hour <= bench.clock.hour() for place in bench.rows.rows)


async def test_an_envelope_whose_hour_begins_while_it_is_read_is_not_given(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    await put(relay, box, new_id())
    read = bench.rows.read

    async def slowly(places: Sequence[Place]) -> list[bytes | None]:
        data = await read(places)
        if data != [None] * len(data):
            bench.clock.advance(72 * HOUR)
        return data

    monkeypatch.setattr(bench.rows, "read", slowly)
    assert await all_of(relay, box) == []


async def test_tick_destroys_keys_before_rows_and_each_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    await put(relay, box, new_id())
    seen: list[int] = []
    forget = bench.rows.forget

    async def watched(hour: int) -> int:
        left = [path for path in (bench.folder / "keys").glob("hour-*")
                if int(path.stem[5:]) <= hour]  # fmt: skip
        seen.append(len(left))
        return await forget(hour)

    monkeypatch.setattr(bench.rows, "forget", watched)
    bench.clock.advance(72 * HOUR)
    await relay.tick()
    await relay.tick()
    assert seen == [0]
    assert not bench.rows.rows


async def test_a_shorter_retention_loses_nothing_that_was_put_before(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    first, last = new_id(), new_id()
    await put(relay, box, first)
    await relay.stop()
    bench.settings = RelaySettings(retention_hours=48)
    again = await bench.relay()
    await put(again, box, last, first)
    assert await ids_of(again, box) == [last, first]


async def test_a_relay_whose_clock_was_wrong_once_goes_on_when_that_is_accepted(
    bench: Bench,
) -> None:
    clock = ManualRelayClock(START + 10_000 * HOUR)
    await bench.relay(clock)
    relay = await bench.relay()  # whose clock was accepted, or it would not have come so far
    [box] = await make(relay)
    assert taken(await put(relay, box, new_id()))


async def test_a_relay_whose_store_does_not_start_does_not_set_the_hour_back(bench: Bench) -> None:
    ahead = ManualRelayClock(START + 10_000 * HOUR)
    await (await bench.relay(ahead)).stop()

    class Busy(MemoryRows):
        async def start(self) -> None:
            raise LocalError(Reason.STORE_BUSY, "another process has it")

    keys = RelayKeys.open(bench.folder / "keys")
    with pytest.raises(LocalError):
        await Relay(Busy(), keys, bench.clock, bench.settings).start()
    assert RelayKeys.open(bench.folder / "keys").last_hour == ahead.hour()


async def test_what_came_while_the_clock_was_ahead_is_not_kept_longer(bench: Bench) -> None:
    ahead = ManualRelayClock(START + 100 * HOUR)
    wrong = await bench.relay(ahead)
    boxes = await make(wrong, 6)
    for box in boxes:
        await put(wrong, box, new_id())
        ahead.advance(5 * HOUR)
        await wrong.tick()
    await wrong.stop()
    right = await bench.relay()
    for _ in range(20):
        right._boxes.forget()
        assert not any([await ids_of(right, box) for box in boxes])
        bench.clock.advance(10 * HOUR)
        await right.tick()


async def test_a_clock_that_is_ahead_of_a_running_relay_does_not_destroy_its_mail(
    bench: Bench,
) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    await put(relay, box, item := new_id())
    ahead = ManualRelayClock(START + 100 * HOUR)
    ahead.accepted = False
    with pytest.raises(LocalError) as caught:
        await bench.relay(ahead)
    assert caught.value.reason is Reason.BAD_INPUT
    assert await ids_of(await bench.relay(), box) == [item]
    await relay.stop()


# --- More than one relay -------------------------------------------------------------------------


async def test_puts_of_many_at_once_all_come_once(shared: Bench) -> None:
    relays = [await shared.relay() for _ in range(3)]
    boxes = await make(relays[0], 4)
    chance = random.Random(5)
    posted = [box.posted() for box in boxes for _ in range(20)]

    async def client(relay: Relay) -> None:
        mine = posted[:]
        chance.shuffle(mine)
        while mine:
            some, mine = mine[:7], mine[7:]
            assert taken(await relay.put(some))

    async with asyncio.timeout(30):
        await asyncio.gather(*(client(relay) for relay in relays for _ in range(2)))
    for box in boxes:
        for relay in (*relays, await shared.relay()):
            found = await ids_of(relay, box)
            assert sorted(found) == sorted(item.id for item in posted
                                           if item.address == box.address)  # fmt: skip


async def test_in_the_middle_of_an_hour_a_put_reads_nothing_and_still_takes_no_id_twice(
    shared: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await shared.relay(), await shared.relay()
    [box] = await make(one)
    ids = [new_id() for _ in range(9)]
    await put(one, box, ids[0])
    await put(other, box, ids[1])
    reads: list[int] = []
    read = shared.rows.read

    async def counted(places: Sequence[Place]) -> list[bytes | None]:
        reads.append(len(places))
        return await read(places)

    monkeypatch.setattr(shared.rows, "read", counted)
    await put(other, box, ids[2])
    assert not reads
    for item in ids[:5]:
        for relay in (one, other):
            assert taken(await put(relay, box, item))
    assert reads
    assert sorted(await ids_of(one, box)) == sorted(ids[:5])
    shared.clock.advance(40 * 60)  # another hour has begun a moment ago
    assert shared.clock.now() % HOUR < 300
    assert taken(await put(one, box, *ids[:6]))
    assert taken(await put(other, box, *ids))
    assert sorted(await ids_of(await shared.relay(), box)) == sorted(ids)


async def test_what_one_relay_took_another_gives_and_acks(shared: Bench) -> None:
    one, other = await shared.relay(), await shared.relay()
    [box] = await make(one)
    cursor, item = Cursor(), new_id()
    assert await ids_of(other, box, cursor) == []
    await put(one, box, item)
    assert await ids_of(other, box, cursor) == [item]
    await other.ack(box.address, [item])
    assert await ids_of(one, box) == []
    assert taken(await put(one, box, item))
    assert await ids_of(other, box) == []


async def test_an_id_that_two_relays_took_in_different_hours_is_given_once(
    shared: Bench,
) -> None:
    behind, ahead = ManualRelayClock(START), ManualRelayClock(START + HOUR)
    one, other = await shared.relay(behind), await shared.relay(ahead)
    [box] = await make(one)
    item, recalled, called_back = new_id(), new_id(), new_id()
    await asyncio.gather(put(one, box, item), put(other, box, item))
    await asyncio.gather(put(one, box, recalled), other.recall([box.recalled(recalled)]))
    await asyncio.gather(put(other, box, called_back), one.recall([box.recalled(called_back)]))
    assert len({(place.hour, place.name) for place in shared.rows.rows}) == 6  # all were taken
    for clock in (behind, ahead):
        clock.advance(60)  # in which clocks that differ so much are noticed
    for relay in (one, other, await shared.relay()):
        assert await ids_of(relay, box) == [item]
    await one.ack(box.address, [item])
    for relay in (one, other, await shared.relay()):
        assert await ids_of(relay, box) == []
    assert all(kept.blank for kept in shared.rows.rows.values())


async def test_a_mailbox_made_or_removed_at_one_relay_is_so_at_the_other(shared: Bench) -> None:
    one, other = await shared.relay(), await shared.relay()
    box = Box()
    assert await put(other, box, new_id()) == [Reason.UNKNOWN_MAILBOX]
    await one.make_mailbox(box.address, box.hash)
    assert taken(await put(other, box, new_id()))
    await one.remove_mailbox(box.address)
    await asyncio.sleep(0)
    assert await put(other, box, new_id()) == [Reason.UNKNOWN_MAILBOX]
    anew = Box(box.address)
    await one.make_mailbox(anew.address, anew.hash)
    assert taken(await put(other, anew, new_id()))


async def test_puts_that_share_mailboxes_never_wait_in_a_circle(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MemoryRows(pause=True))
    relay = await bench.relay()
    boxes = await make(relay, 8)
    chance = random.Random(6)
    batches = [[box.posted() for box in chance.sample(boxes, 5)] for _ in range(60)]
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*map(relay.put, batches))
    assert all(map(taken, outcomes))


# --- Waking --------------------------------------------------------------------------------------


async def test_watchers_are_called_when_something_comes_to_their_mailbox(shared: Bench) -> None:
    one, other = await shared.relay(), await shared.relay()
    [box, quiet] = await make(one, 2)
    called: list[str] = []
    ends = [one.watch(box.address, lambda: called.append("one")),
            other.watch(box.address, lambda: called.append("other")),
            one.watch(quiet.address, lambda: called.append("quiet"))]  # fmt: skip
    item = new_id()
    await put(one, box, item)
    await asyncio.sleep(0.01)
    assert sorted(called) == ["one", "other"]
    await other.leave_notice(box.address, b"notice")
    await asyncio.sleep(0.01)
    assert sorted(called) == ["one", "one", "other", "other"]
    for end in ends:
        end()
        end()
    await put(one, box, new_id())
    await asyncio.sleep(0.01)
    assert len(called) == 4


async def test_a_put_that_is_repeated_wakes_as_the_first_may_not_have(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    called: list[None] = []
    relay.watch(box.address, lambda: called.append(None))
    item = new_id()
    bench.rows.vague.add("add")
    assert await put(relay, box, item) == [Reason.RELAY_BUSY]
    bench.rows.vague.clear()
    assert not called
    assert await ids_of(relay, box) == [item]  # nor is anything believed that is not so
    assert taken(await put(relay, box, item))
    await asyncio.sleep(0.01)
    assert called
    assert await ids_of(relay, box) == [item]


async def test_wakes_of_other_relays_may_get_lost(shared: Bench) -> None:
    relay = await shared.relay()
    [box] = await make(relay)
    called: list[None] = []
    relay.watch(box.address, lambda: called.append(None))
    await relay.tick()
    assert called


# --- Faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["add", "read", "bucket", "usage"])
async def test_a_store_that_fails_makes_the_relay_busy_and_nothing_is_claimed(
    bench: Bench, method: str
) -> None:
    first = await bench.relay()
    [box] = await make(first)
    relay = await bench.relay()
    item = new_id()
    bench.rows.failing.add(method)
    try:
        assert await put(relay, box, item) == [Reason.RELAY_BUSY]
    except RemoteError as error:
        assert error.reason is Reason.RELAY_BUSY
    bench.rows.failing.clear()
    assert await ids_of(relay, box) == []
    assert taken(await put(relay, box, item))
    assert await ids_of(relay, box) == [item]


async def test_an_ack_that_failed_is_not_believed(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    item = new_id()
    await put(relay, box, item)
    bench.rows.failing.add("blank")
    assert await reason_of(relay.ack(box.address, [item])) is Reason.RELAY_BUSY
    bench.rows.failing.clear()
    assert await ids_of(relay, box) == [item]
    bench.rows.vague.add("blank")
    assert await reason_of(relay.ack(box.address, [item])) is Reason.RELAY_BUSY
    bench.rows.vague.clear()
    assert await ids_of(relay, box) == []


async def test_a_put_that_is_cancelled_leaves_no_false_view(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MemoryRows(pause=True))
    relay = await bench.relay()
    [box] = await make(relay)
    await put(relay, box, new_id())
    for steps in range(12):
        item = new_id()
        task = asyncio.create_task(put(relay, box, item))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        there = item in await ids_of(relay, box)
        assert there is (item in await ids_of(await bench.relay(), box))
        assert taken(await put(relay, box, item))
        assert (await ids_of(relay, box)).count(item) == 1


async def test_damaged_rows_are_passed_over_and_counted(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    ids = [new_id() for _ in range(4)]
    await put(relay, box, *ids)
    key = Names(RelayKeys.open(bench.folder / "keys").index).box(box.address)
    hour = bench.clock.hour() + 72
    bench.rows.rows[place(key, hour, 1)].data = b"junk"
    bench.rows.rows[place(key, hour, 2)] = bench.rows.rows[place(key, hour, 3)]
    assert await ids_of(relay, box) == [ids[0], ids[3]]
    assert relay.damaged == 2
    again = await bench.relay()
    assert await ids_of(again, box) == [ids[0], ids[3]]
    assert taken(await put(again, box, ids[1]))  # it may come anew
    assert await ids_of(again, box) == [ids[0], ids[3], ids[1]]


async def test_without_the_key_of_an_hour_the_others_are_still_given(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    lost, kept = new_id(), new_id()
    await put(relay, box, lost)
    bench.clock.advance(HOUR)
    await put(relay, box, kept)
    (bench.folder / "keys" / f"hour-{START // HOUR + 72}.key").unlink()
    again = await bench.relay()
    assert await ids_of(again, box) == [kept]
    bench.clock.advance(HOUR)
    assert taken(await put(again, box, new_id()))


async def test_a_relay_that_is_full_takes_nothing_new(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MemoryRows(limit=20_000))
    relay = await bench.relay()
    [box] = await make(relay)
    item = new_id()
    assert taken(await relay.put([box.posted(item, bytes(8_000))]))
    assert await relay.put([box.posted(envelope=bytes(15_000)), box.posted(item)]) == [
        Reason.RELAY_FULL, None]  # fmt: skip
    work = relay.put_blob(bytes(32), bytes(15_000))
    assert await reason_of(work) is Reason.RELAY_FULL
    assert len(await ids_of(relay, box)) == 1


async def test_what_a_client_may_store_is_bounded_by_the_settings_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings=RelaySettings(store_bytes=10_000))
    relay = await bench.relay()
    [box] = await make(relay)
    outcomes = [*await relay.put([box.posted(envelope=bytes(6_000))]),
                *await relay.put([box.posted(envelope=bytes(6_000))])]  # fmt: skip
    assert outcomes == [None, Reason.RELAY_FULL]


# --- Notices and holdings ------------------------------------------------------------------------


async def test_a_notice_comes_first_whatever_the_credit_and_stays_until_acked(
    bench: Bench,
) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    await put(relay, box, new_id())
    assert not await relay.leave_notice(Box().address, b"to nobody")
    assert await relay.leave_notice(box.address, b"statement")
    cursor = Cursor()
    [notice] = await relay.fetch(box.address, cursor, 0, 0)
    assert (notice.is_notice, notice.data, len(notice.id)) == (True, b"statement", 16)
    assert [item.is_notice for item in await relay.fetch(box.address, cursor, *PLENTY)] == [False]
    assert [item.is_notice for item in await all_of(relay, box)] == [True, False]
    await relay.leave_notice(box.address, b"another")
    assert [item.data for item in await relay.fetch(box.address, cursor, 0, 0)] == [b"another"]
    bench.clock.advance(59 * 24 * HOUR)
    await relay.tick()
    found = await all_of(await bench.relay(), box)
    assert [item.data for item in found] == [b"statement", b"another"]
    await relay.ack(box.address, [notice.id])
    assert [item.data for item in await all_of(relay, box)] == [b"another"]
    bench.clock.advance(31 * 24 * HOUR)
    assert await all_of(relay, box) == []


async def test_a_fetch_that_failed_half_way_moves_no_cursor(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    await put(relay, box, new_id())
    await relay.leave_notice(box.address, b"statement")
    cursor, reads = Cursor(), 0
    read = bench.rows.read

    async def failing(places: Sequence[Place]) -> list[bytes | None]:
        nonlocal reads
        reads += 1
        if reads == 3:  # those of the notices went well
            raise StoreFailure
        return await read(places)

    monkeypatch.setattr(bench.rows, "read", failing)
    assert await reason_of(relay.fetch(box.address, cursor, *PLENTY)) is Reason.RELAY_BUSY
    monkeypatch.undo()
    found = await relay.fetch(box.address, cursor, *PLENTY)
    assert [item.is_notice for item in found] == [True, False]


async def test_a_notice_that_another_process_left_is_there_for_the_next_reader(
    bench: Bench,
) -> None:
    relay, disclosing = await bench.relay(), await bench.relay()
    [box] = await make(relay)
    assert await all_of(relay, box) == []
    await disclosing.leave_notice(box.address, b"statement")
    assert [item.data for item in await all_of(relay, box)] == [b"statement"]


async def test_holdings_say_what_waits_and_change_nothing(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    ids = [new_id() for _ in range(3)]
    for item in ids:
        assert taken(await relay.put([box.posted(item, bytes(700))]))
        bench.clock.advance(HOUR)
    await relay.ack(box.address, ids[:1])
    await relay.leave_notice(box.address, b"statement")
    before = {place: kept.data for place, kept in bench.rows.rows.items()}
    files = {path: path.read_bytes() for path in (bench.folder / "keys").iterdir()}
    bench.rows.failing |= {"add", "blank", "swap", "forget"}  # nothing can be written
    keys = RelayKeys.open(bench.folder / "keys", make=False)
    beside = Relay(bench.rows, keys, bench.clock, bench.settings)
    first = START // HOUR + 72
    notices = (START // HOUR + 3 + 90 * 24) // 720 * 720
    holdings = await beside.holdings(box.address)
    quarter = START // (91 * 24 * HOUR)  # or the next: it begins on a day of each mailbox's own
    assert holdings["lease_quarter"] in (quarter, quarter + 1)
    assert holdings == {
        "mailbox": True,
        "lease_quarter": holdings["lease_quarter"],
        "envelopes": [{"bytes": 700, "expires_hour": first + n} for n in (1, 2)],
        "notices": [{"bytes": 9, "expires_hour": notices}],
        "blanks": 1,
        "unreadable": 0,
    }
    assert await beside.holdings(Box().address) == {
        "mailbox": False, "lease_quarter": None, "envelopes": [], "notices": [],
        "blanks": 0, "unreadable": 0,
    }  # fmt: skip
    assert len(await all_of(beside, box)) == 3
    assert before == {place: kept.data for place, kept in bench.rows.rows.items()}
    assert files == {path: path.read_bytes() for path in (bench.folder / "keys").iterdir()}


# --- What is at rest -----------------------------------------------------------------------------


async def test_what_is_at_rest_shows_sizes_and_hours_and_nothing_else(bench: Bench) -> None:
    relay = await bench.relay()
    boxes = await make(relay, 6)
    secrets_: list[bytes] = []
    for box in boxes:
        items = [box.posted(envelope=b"sealed " * 90) for _ in range(10)]
        assert taken(await relay.put(items))
        await relay.ack(box.address, [item.id for item in items[:3]])
        await relay.recall([box.recalled(items[3].id), box.recalled(gone := new_id())])
        secrets_ += [box.address, box.capability, box.hash, b"sealed", gone]
        secrets_ += [item.id for item in items]
    rows = bench.rows.rows
    everything = b"".join(place.name + kept.data for place, kept in rows.items())
    everything += b"".join(data for _, data in bench.rows.buckets.values())
    for secret in secrets_:
        assert secret not in everything
    assert {(place.hour, kept.blank, len(kept.data)) for place, kept in rows.items()} == {
        (START // HOUR + 72, False, 630 + 63),
        (START // HOUR + 72, True, REMAINDER_BYTES)}  # fmt: skip
    assert sum(kept.blank for kept in rows.values()) == 6 * (3 + 2 + 1)
    starts = [kept.data[:16] for kept in rows.values()] + [place.name for place in rows]
    assert len(set(starts)) == 2 * len(rows)  # no nonce and no place twice
    assert len({len(data) for _, data in bench.rows.buckets.values()}) == 1


async def test_with_the_keys_but_without_an_address_no_row_can_be_opened(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    await put(relay, box, new_id())
    keys = RelayKeys.open(bench.folder / "keys", make=False)
    from evanesce.relay.names import row_key
    from evanesce.relay.sealing import open_entry

    [(where, kept)] = bench.rows.rows.items()
    hour_key = keys.existing(where.hour)
    assert hour_key is not None
    key = Names(keys.index).box(box.address)
    assert open_entry(row_key(hour_key, key), where, kept.data).data.startswith(b"sealed")
    for wrong in (Names(keys.index).box(bytes(32)), Names(keys.index).notices(box.address)):
        with pytest.raises(RemoteError):
            open_entry(row_key(hour_key, wrong), where, kept.data)


async def test_nothing_secret_is_shown(bench: Bench) -> None:
    relay = await bench.relay()
    [box] = await make(relay)
    posted = box.posted()
    await relay.put([posted])
    view, _ = await relay._boxes._envelopes.look(box.address)
    shown = repr([relay, posted, view, await all_of(relay, box)])
    for secret in (box.capability, posted.id, posted.envelope, view.key):
        assert repr(secret) not in shown


# --- The table -----------------------------------------------------------------------------------


async def test_another_table_or_another_key_is_refused_at_the_start(bench: Bench) -> None:
    await bench.relay()
    bench.settings = RelaySettings(mailboxes=1_000)
    with pytest.raises(LocalError) as caught:
        await bench.relay()
    assert caught.value.reason is Reason.BAD_STORE
    bench.settings = RelaySettings()
    (bench.folder / "keys" / "table.key").write_bytes(bytes(32))
    with pytest.raises(LocalError) as caught:
        await bench.relay()
    assert caught.value.reason is Reason.BAD_STORE
