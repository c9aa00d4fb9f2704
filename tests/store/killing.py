"""A program: kills writers of a store at random moments, and checks what they leave.

Arguments: path, kills, seed. A writer makes transactions that follow from their number alone, and
says through a pipe what is done. After each kill the store must hold what the first n transactions
made, where n is the last that was said to be done or the next one. The last line is a summary.
"""

import os
import signal
import sys
import time
from pathlib import Path
from random import Random

from evanesce import LocalError, RawKey, Reason, SqliteStore

KEYS = [RawKey(bytes(32)), RawKey(bytes([1] * 32))]
SCRUB_EVERY, REKEY_EVERY = 9, 13
SIZES = [0, 30, 100, 400, 900, 3_000, 20_000, 150_000]


def changes(seed: str, number: int) -> dict[bytes, bytes | None]:
    """What transaction `number` writes."""
    dice = Random(f"{seed}/{number}")
    made: dict[bytes, bytes | None] = {b"count": b"%d" % number}
    for _ in range(dice.randint(1, 6)):
        name = b"record/%d" % dice.randrange(60)
        size = dice.choices(SIZES, [9, 9, 9, 9, 6, 4, 2, 1])[0]
        made[name] = None if dice.random() < 0.3 else dice.randbytes(size)
    return made


def advance(model: dict[bytes, bytes], seed: str, number: int) -> None:
    """Do the same to a dict."""
    for name, data in changes(seed, number).items():
        if data is None:
            model.pop(name, None)
        else:
            model[name] = data


def write(path: Path, key: int, seed: str, number: int, say: int) -> None:
    """Make transactions for ever."""
    store = SqliteStore(path, KEYS[key])
    while True:
        number += 1
        with store.transaction() as tx:
            for name, data in changes(seed, number).items():
                if data is None:
                    tx.delete(name)
                else:
                    tx.put(name, data)
        os.write(say, b"%d\n" % number)
        if number % SCRUB_EVERY == 0:
            store.scrub()
        if number % REKEY_EVERY == 0:
            key = 1 - key
            store.rekey(KEYS[key])
            os.write(say, b"key %d\n" % key)


def kill_one(path: Path, key: int, seed: str, number: int, dice: Random) -> tuple[int, int]:
    """Kill a writer a moment after some thing it said, or while it opens the store.

    Return what it said last: its number, its key.
    """
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(hear)
            write(path, key, seed, number, say)
        finally:
            os._exit(1)
    os.close(say)
    with os.fdopen(hear, "rb") as pipe:
        lines = [pipe.readline() for _ in range(dice.randrange(12))]
        time.sleep(dice.uniform(0.0, 0.01 if lines else 0.04))
        os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == -signal.SIGKILL, "the writer failed by itself"
        for line in (*lines, *pipe):
            if line.startswith(b"key "):
                key = int(line[4:])
            else:
                number = int(line)
    return number, key


def reopen(path: Path, said: int, key: int) -> tuple[SqliteStore, int]:
    """Open with the key that was said last; with the other if a change of keys was under way."""
    try:
        return SqliteStore(path, KEYS[key]), key
    except LocalError as error:
        assert error.reason is Reason.WRONG_KEY
        assert said % REKEY_EVERY == 0, "the key was changed when nobody asked"
        return SqliteStore(path, KEYS[1 - key]), 1 - key


def main() -> None:
    """Kill, open, compare, again and again."""
    path, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    dice = Random(seed)
    model: dict[bytes, bytes] = {}
    number = key = 0
    kept = interrupted = rekeyed = unsaid = 0
    SqliteStore(path, KEYS[0]).close()
    for _ in range(kills):
        said, said_key = kill_one(path, key, seed, number, dice)
        interrupted += said == number
        interim = Path(f"{path}-wal").exists() and Path(f"{path}-wal").stat().st_size > 0
        kept += interim
        store, key = reopen(path, said, said_key)
        rekeyed += key != said_key
        with store.transaction() as tx:
            found = dict(tx.scan(b""))
        store.close()
        there = int(found.get(b"count", b"0"))
        assert said <= there <= said + 1, f"{said} were said to be done, {there} are there"
        unsaid += there - said
        for step in range(number + 1, there + 1):
            advance(model, seed, step)
        assert found == model, f"after transaction {there}"
        number = there
    print(f"{number} transactions, {interrupted} kills before the first, {kept} with a log, "
          f"{unsaid} unsaid, {rekeyed} while rekeying")  # fmt: skip
    print("held")


main()
