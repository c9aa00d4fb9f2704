"""Devices killed at any write and any call lose nothing, deliver nothing twice, reuse no key.

The kill is SIGKILL, from within. See `director` for how it is done and `checks` for what is
checked. A kill ends a process, not the machine: against power cuts stand the store's and the
folder's syncs, which no test here sees.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest

from tests.kill.kill_support import LONG, direct
from tests.kill.scenarios import SCENARIOS

ALL = tuple(SCENARIOS)
SAMPLE = 60  # every kind of point once, most of them twice
PARTS = os.cpu_count() or 1
MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a thing: what is tested is not the disk."""
    if os.access(MEMORY, os.W_OK):
        with tempfile.TemporaryDirectory(dir=MEMORY, prefix="evanesce-") as made:
            yield Path(made)
    else:
        yield tmp_path


def seed() -> str:
    return "one seed" if os.environ.get("CI") == "true" else str(SystemRandom().getrandbits(64))


def check(report: dict[str, Any], sown: str, *, least: int) -> None:
    assert not report["problems"], f"seed {sown}: {report['problems']}"
    assert report["kills"] >= least, "hardly anything was killed"


def test_a_killed_device_loses_nothing_and_repeats_nothing(folder: Path) -> None:
    """A sample of the points; with EVANESCE_PROFILE=long all of them, which takes half an hour."""
    sown = seed()
    parts = PARTS if LONG else 1

    def part(number: int) -> dict[str, Any]:
        return direct(folder / str(number), scenarios=ALL, sample=0 if LONG else SAMPLE, seed=sown,
                      part=number, parts=parts, twice=0.2, onward=0.05)  # fmt: skip

    with ThreadPoolExecutor(parts) as pool:
        reports = list(pool.map(part, range(parts)))
    for report in reports:
        print(report)
        check(report, sown, least=1_000 // parts if LONG else SAMPLE * 3 // 4)
        assert report["points"] > 1_000
        assert len(report["kinds"]) > 30, "some kinds of points were left out"
        assert report["again"] > 0, "no recovery was interrupted"


def test_nor_on_a_disk(tmp_path: Path) -> None:
    sown = seed()
    report = direct(tmp_path / "run", scenarios=["direct"], sample=4, seed=sown)
    check(report, sown, least=3)


# --- whether the checks see anything -------------------------------------------------------------


def problems(folder: Path, **orders: Any) -> str:
    """What the checks say of a device or a transport that is broken on purpose."""
    report = direct(folder / "run", seed=seed(), **orders)
    assert report["kills"] > 0
    return str(report["problems"])


def test_the_checks_see_a_transport_that_forgets_too_early(folder: Path) -> None:
    found = problems(folder, scenarios=["direct"], kinds=["receive, after"], sample=3,
                     flaws=["early"])  # fmt: skip
    assert "was sent, came" in found


def test_the_checks_see_an_older_store_that_was_put_back(folder: Path) -> None:
    found = problems(folder, scenarios=["group"], kinds=["say, after"],
                     flaws=["put back"])  # fmt: skip
    assert "one place, two contents" in found
    assert "one key, two plaintexts" not in found, "the salt is against that"


def test_the_checks_see_a_key_that_is_used_for_two_contents(folder: Path) -> None:
    found = problems(folder, scenarios=["group"], kinds=["say, after"],
                     flaws=["put back", "salt"])  # fmt: skip
    assert "one key, two plaintexts" in found
