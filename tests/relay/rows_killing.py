"""A program: kills a store of a relay under load at random moments, and checks what it leaves.

Arguments: folder, kills, seed. A child runs the store with many tasks, each of which says through a
pipe what it is about to do and what it was answered. After each kill everything that was answered
must hold, and what was not may have happened or not. The last line is a summary.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from evanesce.relay.rows import REMAINDER_BYTES, Place, Row
from evanesce.relay.sqlite_rows import SqliteRows

TASKS, NUMBERS, HOURS = 12, 4, 4
SIZES = [40, 577, 577, 577, 1_089, 4_161, 17_000, 140_000]
BUCKET_BYTES = 700
HOUR = 498_000


def place(seed: str, life: int, task: int, step: int) -> Place:
    dice = Random(f"{seed}/{life}/{task}/{step}/place")
    return Place(HOUR + dice.randrange(HOURS), dice.randbytes(16))


def data(seed: str, life: int, task: int, step: int) -> bytes:
    dice = Random(f"{seed}/{life}/{task}/{step}/data")
    return dice.randbytes(dice.choice(SIZES))


def left(seed: str, life: int, task: int, step: int) -> bytes:
    return Random(f"{seed}/{life}/{task}/{step}/left").randbytes(REMAINDER_BYTES)


async def count(store: SqliteRows, number: int) -> None:
    """Add one to a bucket, by compare and swap."""
    while True:
        version, found = await store.bucket(number)
        value = 0 if found is None else int.from_bytes(found[:8], "big")
        if await store.swap(number, version, (value + 1).to_bytes(8, "big").ljust(BUCKET_BYTES)):
            return


async def load(folder: Path, seed: str, life: int, say: int) -> None:
    """Work for ever."""
    store = SqliteRows(folder)
    await store.start()

    def tell(*words: object) -> None:
        os.write(say, (" ".join(map(str, words)) + "\n").encode())

    async def work(task: int) -> None:
        dice = Random(f"{seed}/{life}/{task}")
        step = 0
        mine: list[int] = []
        while True:
            kind = dice.choices(["add", "blank", "count", "forget"], [8, 5, 2, task == 0])[0]
            if kind == "add":
                steps = list(range(step, step + dice.choice([1, 1, 3, 20])))
                step += len(steps)
                mine += steps
                tell("?add", task, *steps)
                rows = [Row(place(seed, life, task, n), data(seed, life, task, n)) for n in steps]
                assert await store.add(rows) == [True] * len(rows)
                tell("!add", task, *steps)
            elif kind == "blank" and mine:
                n = mine.pop(dice.randrange(len(mine)))
                tell("?blank", task, n)
                row = Row(place(seed, life, task, n), left(seed, life, task, n))
                answer = await store.blank([row])
                tell("!blank" if answer == [True] else "!gone", task, n)
            elif kind == "count":
                number = dice.randrange(NUMBERS)
                tell("?count", number)
                await count(store, number)
                tell("!count", number)
            elif kind == "forget" and dice.random() < 0.3:
                hour = HOUR + dice.randrange(-1, HOURS)
                tell("?forget", hour)
                await store.forget(hour)
                tell("!forget", hour)

    await asyncio.gather(*map(work, range(TASKS)))


def kill_one(folder: Path, seed: str, life: int, dice: Random) -> list[list[str]]:
    """Kill a child a moment after some thing it said, or while it starts; what it had said."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(hear)
            asyncio.run(load(folder, seed, life, say))
        finally:
            os._exit(1)
    os.close(say)
    with os.fdopen(hear, "rb") as pipe:
        lines = [pipe.readline() for _ in range(dice.choice([0, 0, 30, 100, 300, 600]))]
        time.sleep(dice.uniform(0.0, 0.03 if lines else 0.05))
        os.kill(child, signal.SIGKILL)
        lines += pipe.readlines()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == -signal.SIGKILL, "the child failed by itself"
    return [line.decode().split() for line in lines]


class Ledger:
    """What was said of the rows of one life, and of the counts of all."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.rows: dict[tuple[int, int, int], set[str]] = {}  # what may be there
        self.asked: Counter[int] = Counter()
        self.counted: Counter[int] = Counter()
        self.said = 0

    def hear(self, life: int, lines: list[list[str]]) -> None:
        """Take in what a child said. What a row may be: "row", "left", "none"."""
        forgetting: set[int] = set()
        doomed: set[tuple[int, int, int]] = set()  # were there when the forgetting began
        for kind, *words in lines:
            numbers = list(map(int, words))
            self.said += kind[0] == "!"
            match kind:
                case "?add" | "!add" | "?blank" | "!blank" | "!gone":
                    for step in numbers[1:]:
                        key = life, numbers[0], step
                        hour = place(self.seed, *key).hour
                        before = self.rows.get(key, {"none"})
                        gone = {"none"} if any(hour <= h for h in forgetting) else set()
                        self.rows[key] = {
                            "?add": before | {"row"},
                            "!add": {"row"} | gone,
                            "?blank": before | {"left"},
                            "!blank": {"left"} | gone,
                            "!gone": {"none"},
                        }[kind]
                case "?forget":
                    forgetting.add(numbers[0])
                    for key, may in self.rows.items():
                        if place(self.seed, *key).hour <= numbers[0]:
                            if "none" not in may:
                                doomed.add(key)
                            may.add("none")
                case "!forget":
                    forgetting.discard(numbers[0])
                    for key in doomed:
                        self.rows[key] = {"none"}
                    doomed.clear()
                case "?count":
                    self.asked[numbers[0]] += 1
                case "!count":
                    self.counted[numbers[0]] += 1


async def check(folder: Path, ledger: Ledger) -> int:
    """Open, compare, and take what is found for what is known from now on; rows that are there."""
    store = SqliteRows(folder)
    await store.start()
    keys = list(ledger.rows)
    found = await store.read([place(ledger.seed, *key) for key in keys])
    there = 0
    for key, data_found in zip(keys, found, strict=True):
        kinds = {None: "none", data(ledger.seed, *key): "row", left(ledger.seed, *key): "left"}
        assert data_found in kinds, f"{key} holds what nobody wrote"
        kind = kinds[data_found]
        assert kind in ledger.rows[key], f"{key} is {kind}, where it may be {ledger.rows[key]}"
        ledger.rows[key] = {kind}
        there += kind != "none"
    assert (await store.usage()).rows == there, "there are rows that nobody wrote"
    for number in range(NUMBERS):
        _, bucket = await store.bucket(number)
        value = 0 if bucket is None else int.from_bytes(bucket[:8], "big")
        low, high = ledger.counted[number], ledger.asked[number]
        assert low <= value <= high, f"{value} counts, {low} were said and {high} begun"
        ledger.counted[number] = ledger.asked[number] = value
    # A blank that was said is one: it cannot be blanked again.
    blanks = [key for key in keys if ledger.rows[key] == {"left"}]
    again = [Row(place(ledger.seed, *key), bytes(REMAINDER_BYTES)) for key in blanks]
    assert True not in await store.blank(again), "what was blanked can be blanked again"
    if len(keys) > 6_000:
        await store.forget(HOUR + HOURS)
        ledger.rows.clear()
    await store.stop()
    return there


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    dice = Random(seed)
    ledger = Ledger(seed)
    logs = rows = 0
    for life in range(kills):
        ledger.hear(life, kill_one(folder, seed, life, dice))
        log = folder / "rows.db-wal"
        logs += log.exists() and log.stat().st_size > 0
        rows += asyncio.run(check(folder, ledger))
    print(f"{kills} kills, {logs} with a log, {ledger.said} answers, {rows} rows looked at")
    print("held")


if __name__ == "__main__":
    main()
