"""What a store of a relay owes it for its rows, one function for each thing."""

from __future__ import annotations

from ..relay.rows import REMAINDER_BYTES, Place, Row
from .relay_store_bench import RowsBench, add, all_of, fails, holds, require

__all__ = [
    "a_blank_keeps_its_remainder_and_stays_taken",
    "a_forgotten_place_is_free_again",
    "a_new_store_is_empty",
    "a_place_is_hour_and_name",
    "a_row_is_added_once",
    "a_store_that_was_stopped_fails",
    "a_thousand_rows_in_one_call",
    "answers_come_in_the_order_asked",
    "forgetting_takes_all_up_to_the_hour_and_nothing_later",
    "many_calls_at_once_are_all_done",
    "of_many_adds_of_one_place_one_succeeds",
    "of_many_blanks_one_succeeds",
    "one_place_twice_in_a_call",
    "rows_and_blanks_are_durable",
    "rows_of_all_sizes_come_back_whole",
    "usage_tells_how_much_is_there",
    "what_was_done_is_seen_by_all_at_once",
]

_MANY = 16
_LARGEST = 2_200_000  # bytes: the largest envelope, sealed
_SIZES = (1, 2, 63, 64, 255, 600, 1_000, 1_003, 1_024, 2_048, 4_056, 4_061, 4_062, 4_096, 4_097,
          16_500, 65_535, 65_536, 131_073, 1_048_700, 2_097_300, _LARGEST)  # fmt: skip


async def a_new_store_is_empty(bench: RowsBench) -> None:
    """Nothing is there, nothing can be blanked or forgotten, and calls about nothing are fine."""
    store = await bench.store()
    place = bench.place()
    await holds(store, [place], [None])
    require(await store.blank([bench.remainder(place)]) == [False], "nothing was there to blank")
    await holds(store, [place], [None])
    require(await store.forget(bench.hour) == 0, "forget counts rows where there are none")
    require(await store.add([]) == [], "add of no rows gives answers")
    require(await store.read([]) == [], "read of no places gives answers")
    require(await store.blank([]) == [], "blank of no places gives answers")
    usage = await store.usage()
    require(usage.rows == 0, f"a new store says that it has {usage.rows} rows")
    await add(store, bench.row(place))  # and the blank has not taken it


async def a_row_is_added_once(bench: RowsBench) -> None:
    """What is there is never overwritten, not even with the same."""
    store = await bench.store()
    row = bench.row()
    await add(store, row)
    for again in (row, bench.row(row.place), bench.row(row.place, 5_000)):
        require(await store.add([again]) == [False], "add says True for a place that is taken")
        await holds(store, [row.place], [row.data])
    free = bench.row()
    require(await store.add([row, free]) == [False, True], "a taken place spoils the rest")
    await holds(store, [row.place, free.place], [row.data, free.data])


async def a_place_is_hour_and_name(bench: RowsBench) -> None:
    """One name in two hours is two places; names that differ in one bit are, too."""
    store = await bench.store()
    one = bench.place()
    near = [Place(one.hour, bytes([*one.name[:i], one.name[i] ^ 1 << i % 8, *one.name[i + 1 :]]))
            for i in range(16)]  # fmt: skip
    plain = [
        Place(one.hour, bytes(16)),
        Place(one.hour, b"\xff" * 16),
        Place(one.hour, bytes(range(16))),
        Place(one.hour, b"\x00/.*>'%\n \xf0\x9fa\"\\_?"),
    ]
    rows = [bench.row(place) for place in (one, Place(one.hour + 1, one.name), *near, *plain)]
    await add(store, *rows)
    await holds(store, [row.place for row in rows], [row.data for row in rows])
    left = await bench.blank(store, one)
    await holds(store, [row.place for row in rows], [*left, *(row.data for row in rows[1:])])


async def a_blank_keeps_its_remainder_and_stays_taken(bench: RowsBench) -> None:
    """Blanking leaves the remainder, once; the place is not free for it, whatever its size was."""
    store = await bench.store()
    rows = [bench.row(size=size) for size in (1, REMAINDER_BYTES, 600, 300_000)]
    other = bench.row()
    await add(store, *rows, other)
    places = [row.place for row in rows]
    left = [bench.remainder(place) for place in places]
    answers = await store.blank([*left, bench.remainder(bench.place())])
    require(answers == [True] * len(left) + [False], f"blank of four rows and of none: {answers}")
    for _ in range(2):
        await holds(store, [*places, other.place], [*(row.data for row in left), other.data])
        again = await store.blank([bench.remainder(place) for place in places])
        require(True not in again, "a blank is blanked again")
        require(True not in await store.add([bench.row(place) for place in places]),
                "a blank is overwritten")  # fmt: skip
        store = await bench.restarted(store)


async def answers_come_in_the_order_asked(bench: RowsBench) -> None:
    """Whatever order a store likes, the answers are in the caller's."""
    store = await bench.store()
    rows = [bench.row(bench.place(i % 3), 1 + i) for i in range(40)]
    bench.dice.shuffle(rows)
    taken = rows[::3]
    await add(store, *taken)
    expected = [row not in taken for row in rows]
    require(await store.add(rows) == expected, "add answers for other rows than asked")
    bench.dice.shuffle(rows)
    await holds(store, [row.place for row in rows], [row.data for row in rows])
    blanked = rows[::4]
    await bench.blank(store, *(row.place for row in blanked))
    answers = await store.blank([bench.remainder(row.place) for row in rows])
    require(answers == [row not in blanked for row in rows], "blank answers for other places")


async def one_place_twice_in_a_call(bench: RowsBench) -> None:
    """One call counts a place once, however often it names it."""
    store = await bench.store()
    place = bench.place()
    rows = [bench.row(place) for _ in range(3)]
    added = await store.add(rows)
    require(added.count(True) == 1, f"one place three times in an add gives {added}")
    winner = rows[added.index(True)].data
    await holds(store, [place, place], [winner, winner])
    left = [bench.remainder(place) for _ in range(2)]
    blanked = await store.blank(left)
    require(blanked.count(True) == 1, f"one place twice in a blank gives {blanked}")
    await holds(store, [place], [left[blanked.index(True)].data])


async def of_many_adds_of_one_place_one_succeeds(bench: RowsBench) -> None:
    """Where calls meet, one gets the place, and its data is what stays."""
    one, other = await bench.stores()
    for contested in range(4):
        place = bench.place()
        rows = [bench.row(place, 400 + 300 * i * contested) for i in range(_MANY)]
        answers = await all_of(*((other if i % 2 else one).add([bench.row(), row, bench.row()])
                                 for i, row in enumerate(rows)))  # fmt: skip
        require(all(answer[0] and answer[2] for answer in answers), "free places are refused")
        won = [row for row, answer in zip(rows, answers, strict=True) if answer[1]]
        require(len(won) == 1, f"{len(won)} of {_MANY} adds got one place")
        await holds(one, [place], [won[0].data])
        await holds(other, [place], [won[0].data])


async def of_many_blanks_one_succeeds(bench: RowsBench) -> None:
    """Where calls meet, one has blanked it: that is how one package goes to one caller."""
    one, other = await bench.stores()
    rows = [bench.row() for _ in range(8)]
    await add(one, *rows)
    places = [row.place for row in rows]
    tried = [[bench.remainder(place) for place in places] for _ in range(_MANY)]
    answers = await all_of(*((other if i % 2 else one).blank(left)
                             for i, left in enumerate(tried)))  # fmt: skip
    winners = []
    for number in range(len(places)):
        won = [i for i in range(_MANY) if answers[i][number]]
        require(len(won) == 1, f"{len(won)} of {_MANY} blanks of one row say True")
        winners.append(tried[won[0]][number].data)
    await holds(one, places, winners)
    await holds(other, places, winners)


async def many_calls_at_once_are_all_done(bench: RowsBench) -> None:
    """Calls that are waiting together do not mix: each gets its own answers."""
    one, other = await bench.stores()
    rows = [bench.row(bench.place(i % 4), 1 + 37 * i) for i in range(100)]

    async def life(i: int, row: Row) -> bytes:
        store = other if i % 2 else one
        await add(store, row)
        await holds(store, [row.place], [row.data])
        if i % 3:
            return row.data
        left = await bench.blank(store, row.place)
        await holds(store, [row.place], left)
        return left[0]

    left = await all_of(*(life(i, row) for i, row in enumerate(rows)))
    await holds(one, [row.place for row in rows], left)


async def what_was_done_is_seen_by_all_at_once(bench: RowsBench) -> None:
    """A read sees what any add or blank had returned before, through any connection."""
    one, other = await bench.stores()
    for turn in range(30):
        writer, reader = (one, other) if turn % 2 else (other, one)
        row, more = bench.row(), bench.row()
        await holds(reader, [row.place, more.place], [None, None])
        await add(writer, row, more)
        await holds(reader, [row.place, more.place], [row.data, more.data])
        require(await reader.add([bench.row(row.place)]) == [False], "a taken place looks free")
        left = await bench.blank(writer, row.place)
        await holds(reader, [row.place, more.place], [*left, more.data])
        require(await reader.blank([bench.remainder(row.place)]) == [False],
                "blanked through both connections")  # fmt: skip


async def rows_of_all_sizes_come_back_whole(bench: RowsBench) -> None:
    """From 1 byte to more than the largest envelope, singly, together, and after a restart."""
    store = await bench.store()
    rows = [bench.row(size=size) for size in _SIZES]
    rows += [Row(bench.place(), bytes(size)) for size in (1, 100, 5_000)]  # nothing but zeros
    for row in rows:
        await add(store, row)
        await holds(store, [row.place], [row.data])
    store = await bench.restarted(store)
    await holds(store, [row.place for row in rows], [row.data for row in rows])
    left: list[bytes | None] = [row.data for row in rows]
    for i in range(0, len(rows), 2):
        (left[i],) = await bench.blank(store, rows[i].place)
    again = [bench.row(size=size) for size in _SIZES[::3]]
    await add(store, *again)
    for _ in range(2):
        await holds(store, [row.place for row in rows + again],
                    [*left, *(row.data for row in again)])  # fmt: skip
        store = await bench.restarted(store)


async def a_thousand_rows_in_one_call(bench: RowsBench) -> None:
    """A call may be large: 1,000 rows of an ordinary size."""
    store = await bench.store()
    rows = [bench.row(bench.place(i % 2), 560) for i in range(1_000)]
    await add(store, *rows)
    places = [row.place for row in rows]
    await holds(store, places, [row.data for row in rows])
    gone = await bench.blank(store, *places[:700])
    left = await store.read(places)
    require(left[:700] == gone, "blanking many leaves some")
    require(left[700:] == [row.data for row in rows[700:]], "blanking many takes others too")
    require(await store.forget(bench.hour) == 500, "forget does not count what goes, blanks too")
    left = [None if i % 2 == 0 else data for i, data in enumerate(left)]
    await holds(store, places, left)


async def forgetting_takes_all_up_to_the_hour_and_nothing_later(bench: RowsBench) -> None:
    """Rows and blanks of that hour and of all before go; of later hours none."""
    one, other = await bench.stores()
    rows = [bench.row(bench.place(hour), size) for hour in (0, 1, 2, 3, 700)
            for size in (1, 600, 70_000)]  # fmt: skip
    await add(one, *rows)
    left: list[bytes | None] = [row.data for row in rows]
    left[1::3] = await bench.blank(one, *(row.place for row in rows[1::3]))
    places = [row.place for row in rows]
    require(await one.forget(bench.hour - 1) == 0, "forget takes rows of later hours")
    for hour, count, gone in ((1, 6, 6), (1, 0, 6), (2, 3, 9), (699, 3, 12)):
        found = await (one if hour % 2 else other).forget(bench.hour + hour)
        require(found == count, f"forget says {found} where {count} rows go")
        left[:gone] = [None] * gone
        await holds(one, places, left)
        await holds(other, places, left)


async def a_forgotten_place_is_free_again(bench: RowsBench) -> None:
    """Nothing is remembered of what was forgotten, not even that it was there."""
    store = await bench.store()
    rows = [bench.row() for _ in range(3)]
    await add(store, *rows)
    await bench.blank(store, rows[0].place)
    require(await store.forget(bench.hour) == 3, "forget counts wrong")
    store = await bench.restarted(store)
    await holds(store, [row.place for row in rows], [None] * 3)
    again = [bench.row(row.place) for row in rows]
    await add(store, *again)
    await holds(store, [row.place for row in again], [row.data for row in again])


async def rows_and_blanks_are_durable(bench: RowsBench) -> None:
    """What returned is there after a restart, and what was erased is not."""
    store = await bench.store()
    rows = [bench.row(bench.place(i % 3), 1 + i * i * 40) for i in range(30)]
    await add(store, *rows)
    left: list[bytes | None] = [row.data for row in rows]
    places = [row.place for row in rows]
    store = await bench.restarted(store)
    await holds(store, places, left)
    left[:10] = await bench.blank(store, *places[:10])
    store = await bench.restarted(store)
    await holds(store, places, left)
    await store.forget(bench.hour)
    left = [None if i % 3 == 0 else data for i, data in enumerate(left)]
    store = await bench.restarted(store)
    await holds(store, places, left)
    require((await store.usage()).rows == 20, "usage counts wrong after a restart")


async def usage_tells_how_much_is_there(bench: RowsBench) -> None:
    """Rows exactly, blanks too; bytes roughly, and blanking gives them back."""
    store = await bench.store()
    empty = (await store.usage()).bytes
    rows = [bench.row(size=4_000) for _ in range(50)]
    await add(store, *rows)
    full = await store.usage()
    require(full.rows == 50, f"usage says {full.rows} rows where there are 50")
    require(100_000 < full.bytes - empty < 1_000_000, f"200,000 bytes count as {full.bytes}")
    require(full.limit is None or full.limit > full.bytes, "a store is past its own limit")
    await bench.blank(store, *(row.place for row in rows[:40]))
    blanked = await store.usage()
    require(blanked.rows == 50, f"usage says {blanked.rows} where 40 of 50 rows are blanks")
    require(blanked.bytes < full.bytes - 80_000, "blanking gives no bytes back")
    require((await (await bench.restarted(store)).usage()).rows == 50, "usage forgets rows")


async def a_store_that_was_stopped_fails(bench: RowsBench) -> None:
    """After `stop`, and before `start`, every call fails in a way that a relay knows."""
    unstarted, store = bench.unstarted(), await bench.store()
    row = bench.row()
    await add(store, row)
    await bench.stop(store)
    for dead in (store, unstarted):
        await fails(dead.add([bench.row()]), "add")
        await fails(dead.read([row.place]), "read")
        await fails(dead.blank([bench.remainder(row.place)]), "blank")
        await fails(dead.forget(bench.hour), "forget")
        await fails(dead.bucket(0), "bucket")
        await fails(dead.swap(0, 0, bytes(64)), "swap")
        await fails(dead.usage(), "usage")
        await dead.wake([b"tag"])  # never fails
    await holds(await bench.store(), [row.place], [row.data])
