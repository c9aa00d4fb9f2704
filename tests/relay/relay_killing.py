"""A program: kills a relay over SQLite under load at random moments, and checks what it leaves.

Arguments: folder, kills, seed. Like `rows_killing`, but of a whole relay: envelopes are put, acked
and recalled; after each kill what was not answered is done again, as clients do.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from evanesce.limits import HOUR
from evanesce.primitives import H
from evanesce.relay.clock import ManualRelayClock
from evanesce.relay.keys import RelayKeys
from evanesce.relay.relay import Cursor, Posted, Recalled, Relay
from evanesce.relay.settings import RelaySettings
from evanesce.relay.sqlite_rows import SqliteRows

BOXES, TASKS = 5, 8
SIZES = [512, 512, 512, 1_024, 4_096, 20_000]
Key = tuple[int, int, int]  # life, task, step


def start(folder: Path, life: int) -> Relay:
    """A relay; an hour has passed every few lives, so that rows are of several hours."""
    return Relay(
        SqliteRows(folder / "data"), RelayKeys.open(folder / "keys"),
        ManualRelayClock((498_000 + life // 3) * HOUR), RelaySettings(mailboxes=64),
    )  # fmt: skip


def address(seed: str, box: int) -> bytes:
    return Random(f"{seed}/box {box}").randbytes(32)


def capability(seed: str, box: int) -> bytes:
    return Random(f"{seed}/capability {box}").randbytes(16)


def posted(seed: str, key: Key) -> Posted:
    """What is put as this step: where it goes and what it is follows from its number."""
    dice = Random(f"{seed}/{key}")
    box = dice.randrange(BOXES)
    item = dice.randbytes(16)
    return Posted(address(seed, box), capability(seed, box), item,
                  dice.randbytes(dice.choice(SIZES)))  # fmt: skip


async def load(folder: Path, seed: str, life: int, say: int) -> None:
    """Work for ever."""
    relay = start(folder, life)
    await relay.start()
    for box in range(BOXES):
        await relay.make_mailbox(address(seed, box), H(b"capability", capability(seed, box)))

    def tell(kind: str, *keys: Key) -> None:
        numbers = [str(number) for key in keys for number in key]
        os.write(say, (" ".join([kind, *numbers]) + "\n").encode())

    async def work(task: int) -> None:
        dice = Random(f"{seed}/{life}/{task}")
        step = 0
        mine: list[Key] = []
        while True:
            if len(mine) < 3 or dice.random() < 0.5:
                keys = [(life, task, step + n) for n in range(dice.choice([1, 2, 7]))]
                step += len(keys)
                tell("?put", *keys)
                assert set(await relay.put([posted(seed, key) for key in keys])) == {None}
                tell("!put", *keys)
                mine += keys
            else:
                key = mine.pop(dice.randrange(len(mine)))
                item = posted(seed, key)
                tell("?erase", key)
                if dice.random() < 0.7:
                    await relay.ack(item.address, [item.id])
                else:
                    recalled = Recalled(item.address, item.capability, item.id)
                    assert await relay.recall([recalled]) == [None]
                tell("!erase", key)

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
        lines = [pipe.readline() for _ in range(dice.choice([0, 20, 60, 150]))]
        time.sleep(dice.uniform(0.0, 0.02 if lines else 0.1))
        os.kill(child, signal.SIGKILL)
        lines += pipe.readlines()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == -signal.SIGKILL, "the child failed by itself"
    return [line.decode().split() for line in lines]


def hear(may: dict[Key, set[bool]], lines: list[list[str]]) -> int:
    """What may wait (True) or not, after this was said; how many answers there were."""
    for kind, *words in lines:
        numbers = list(map(int, words))
        for key in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True):
            may[key] = {"?put": {True, False}, "!put": {True}, "?erase": {True, False},
                        "!erase": {False}}[kind]  # fmt: skip
    return sum(kind[0] == "!" for kind, *_ in lines)


async def waiting(relay: Relay, seed: str) -> Counter[bytes]:
    """All envelopes that wait, by what is in them."""
    found: Counter[bytes] = Counter()
    for box in range(BOXES):
        cursor = Cursor()
        while some := await relay.fetch(address(seed, box), cursor, 1_000, 1 << 30):
            found.update(each.data for each in some)
    return found


async def check(
    folder: Path, seed: str, life: int, may: dict[Key, set[bool]], unanswered: list[Key]
) -> int:
    """Compare, do again what was not answered, compare; how many wait."""
    relay = start(folder, life)
    await relay.start()
    for box in range(BOXES):
        await relay.make_mailbox(address(seed, box), H(b"capability", capability(seed, box)))
    found = await waiting(relay, seed)
    known = {key: posted(seed, key) for key in may}
    for key, item in known.items():
        count = found.pop(item.envelope, 0)
        assert count <= 1, f"{key} waits {count} times"
        assert bool(count) in may[key], f"{key} {'waits' if count else 'does not wait'}"
        may[key] = {bool(count)}
    assert not found, "something waits that nobody has put"
    # Clients repeat what was not answered; a late request may repeat what was. Both change nothing
    # of what had been done.
    again = [key for key in may if key in unanswered or may[key] == {False}][-200:]
    for at in range(0, len(again), 50):
        outcomes = await relay.put([known[key] for key in again[at : at + 50]])
        assert set(outcomes) <= {None}, outcomes
    found = await waiting(relay, seed)
    for key in again:
        count = found[known[key].envelope]
        if key in unanswered:  # its put was
            assert count == 1, f"{key} was put again, and waits {count} times"
            may[key] = {True}
        else:
            assert count == (True in may[key]), f"{key} came back"
    if found.total() > 1_000:  # before a mailbox is full
        for key in [key for key in may if may[key] == {True}]:
            await relay.ack(known[key].address, [known[key].id])
            may[key] = {False}
        assert not await waiting(relay, seed), "acked, and it waits"
    await relay.stop()
    return found.total()


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    dice = Random(seed)
    may: dict[Key, set[bool]] = {}
    answers = unsure = seen = 0
    for life in range(kills):
        lines = kill_one(folder, seed, life, dice)
        before = set(may)
        answers += hear(may, lines)
        put = {key for key in may if key not in before}
        told = {tuple(map(int, words[at : at + 3])) for kind, *words in lines if kind == "!put"
                for at in range(0, len(words), 3)}  # fmt: skip
        unanswered = sorted(put - told)
        unsure += len(unanswered)
        seen += asyncio.run(check(folder, seed, life, may, unanswered))
    print(f"{kills} kills, {answers} answers, {unsure} puts without one, {seen} envelopes seen")
    print("held")


if __name__ == "__main__":
    main()
