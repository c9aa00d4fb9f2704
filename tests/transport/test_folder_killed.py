"""Processes that use a folder are killed at any moment, and nothing is lost, doubled or halved."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from evanesce.limits import HOUR
from evanesce.ports import ManualClock
from evanesce.transport.folder import FolderTransport
from evanesce.transport.shelf import STRAY
from tests.transport.folder_child import envelope, mailbox

KILLS = 1_000 if os.environ.get("EVANESCE_PROFILE") == "long" else 50
ROOT = Path(__file__).parents[2]


class Nursery:
    """Starts children that use the folder, and kills them."""

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join([str(ROOT / "protocol"), str(ROOT)])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.transport.folder_child", str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def live_and_die(self, work: str, seed: int, seconds: float) -> dict[str, set[bytes]]:
        """Let a child work for so long; return what it told, by word."""
        self.stdin.write(f"{work} {seed}\n")
        told: dict[str, set[bytes]] = {"sent": set(), "acking": set(), "acked": set()}
        child, killed = 0, False
        for line in self.stdout:
            word, *rest = line.split()
            if word == "gone":
                assert killed, "the child ended by itself"
                return told
            if word == "child":
                child = int(rest[0])
            elif word == "begun":
                time.sleep(seconds)
                os.kill(child, signal.SIGKILL)
                killed = True
            else:
                told[word].update(map(bytes.fromhex, rest))
        raise AssertionError("the nursery is gone")


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    made = Nursery(tmp_path / "shared")
    yield made
    made.stdin.close()
    made.stdout.close()
    assert made.process.wait(10) == 0


def test_nothing_is_lost_doubled_or_halved_by_a_kill(nursery: Nursery, tmp_path: Path) -> None:
    dice = Random()
    seed = dice.getrandbits(32)
    print(f"seed {seed}")  # of what the children do; when they die is chance
    transport = FolderTransport(tmp_path / "shared")
    address = mailbox().mailbox.address
    asyncio.run(transport.open_mailbox(mailbox().reader()))
    sent: set[bytes] = set()  # and reported
    acked: set[bytes] = set()
    undecided: set[bytes] = set()  # begun to be acked: may be there or not
    reports = 0
    for n in range(KILLS):
        work = "send" if n % 2 == 0 else "receive"
        told = nursery.live_and_die(work, seed + n, dice.uniform(0, 0.06))
        reports += len(told["sent"]) + len(told["acked"])
        sent |= told["sent"]
        acked |= told["acked"]
        undecided |= told["acking"]
        undecided -= acked
        there = {}
        for delivery in transport._look([address], must_exist=True):
            key = delivery.id[32:]
            assert delivery.envelope == envelope(key), "half an envelope, or another one"
            there[key] = delivery
        assert not acked & set(there), "what was acked has come back"
        assert sent - acked - undecided <= set(there), "what was reported as sent is lost"
        undecided &= set(there)  # what is not there was acked
        acked |= told["acking"] - set(there)
        if len(there) > 150:  # or the mailbox fills up
            asyncio.run(transport.ack([delivery.id for delivery in there.values()]))
            acked |= set(there)
    assert reports > KILLS // 2, "the children hardly did anything"
    later = FolderTransport(tmp_path / "shared", ManualClock(int(time.time()) + STRAY + HOUR))
    asyncio.run(later.sweep())
    box = tmp_path / "shared" / "mailboxes" / address.hex()
    assert [path.name for path in box.iterdir() if path.name.endswith(".new")] == []
