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

# Sending, receiving, committing, joining, viewing; and repair, resync, burning, receipts and pins.
PATHS = (("group", "direct", "live", "leave"), ("repair", "resync", "burn", "pins"))
SAMPLES = (46, 40)  # every kind of point once; of the second above all what is its own
OWN = ("put asked", "put answered", "put commit", "put slot", "put resync", "put burned",
       "put recall", "put receipts", "put pin", "recall, after", "burn, done")  # fmt: skip
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
    """A sample of the points; with EVANESCE_PROFILE=long all of them, which takes an hour."""
    assert {name for path in PATHS for name in path} == set(SCENARIOS)
    sown = seed()
    parts = PARTS if LONG else len(PATHS)

    def part(number: int) -> dict[str, Any]:
        chosen = {} if LONG else {"scenarios": PATHS[number], "sample": SAMPLES[number]}
        return direct(folder / str(number), **{"scenarios": tuple(SCENARIOS), **chosen}, seed=sown,
                      part=number, parts=parts, twice=0.2, onward=0.05)  # fmt: skip

    with ThreadPoolExecutor(parts) as pool:
        reports = list(pool.map(part, range(parts)))
    for number, report in enumerate(reports):
        print(report)
        check(report, sown, least=1_000 // parts if LONG else SAMPLES[number] * 3 // 4)
        assert report["points"] > 1_000
        assert len(report["kinds"]) > 30, "some kinds of points were left out"
        assert report["again"] > 0, "no recovery was interrupted"
    assert set(OWN) <= {kind for report in reports for kind in report["kinds"]}


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
    """Something else is said then at the same place; where salts are fixed, with the same key."""

    def found(*flaws: str) -> str:
        return problems(folder / flaws[-1], scenarios=["group"], kinds=["say, after"], flaws=flaws)

    with ThreadPoolExecutor(PARTS) as pool:
        salted, fixed = pool.map(lambda flaws: found(*flaws), [["put back"], ["put back", "salt"]])
    assert "one place, two contents" in salted
    assert "one key, two plaintexts" not in salted, "the salt is against that"
    assert "one key, two plaintexts" in fixed


NEWER = {
    "keeps": ("burn", "burn, done", "the burned"),
    "log": ("burn", "burn, done", "not erased"),
    "receipts": ("burn", "put receipts", "receipts twice"),
    "offers": ("pins", "offer, done", "the offered identity is forgotten"),
    "repair": ("repair", "put answered", "members of the group disagree"),
    "resync": ("resync", "let in, done", "not in the group, though asked for twice"),
}


def test_the_checks_see_faults_of_repair_resync_burning_receipts_and_pins(folder: Path) -> None:
    """Some of them show without a kill, too."""

    def found(flaw: str) -> str:
        scenario, kind, _ = NEWER[flaw]
        report = direct(folder / flaw, scenarios=[scenario], kinds=[kind], sample=1, flaws=[flaw],
                        seed=seed())  # fmt: skip
        return str(report["problems"])

    with ThreadPoolExecutor(PARTS) as pool:
        said = dict(zip(NEWER, pool.map(found, NEWER), strict=True))
    for flaw, (_, _, problem) in NEWER.items():
        assert problem in said[flaw], said[flaw]
