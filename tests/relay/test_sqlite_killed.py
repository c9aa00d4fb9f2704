"""A store in SQLite, and a relay over it, that are killed under load keep what they answered for.

A kill leaves what the operating system holds: that it also reaches the disk rests on SQLite's
synchronous=FULL, which `test_sqlite_store` checks to be in force.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import evanesce

LONG = os.environ.get("EVANESCE_PROFILE") == "long"
SEEDS = [os.urandom(4).hex() for _ in range(2 if LONG else 1)]


def killed(program: str, folder: Path, kills: int, seed: str) -> list[int]:
    """The numbers of its summary."""
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(program)), str(folder), str(kills), seed],
        env={**os.environ, "PYTHONPATH": str(Path(evanesce.__file__).parents[1])},
        capture_output=True, text=True, timeout=1_800, check=False,
    )  # fmt: skip
    assert run.returncode == 0, f"seed {seed}\n{run.stdout}{run.stderr}"
    summary, held = run.stdout.splitlines()
    assert held == "held"
    return [int(word) for word in summary.split() if word.isdigit()]


@pytest.mark.parametrize("seed", ["a", *SEEDS])
def test_a_store_that_is_killed_loses_nothing(tmp_path: Path, seed: str) -> None:
    wanted = 300 if LONG else 7
    kills, logs, answers, rows = killed("rows_killing.py", tmp_path / "rows", wanted, seed)
    assert kills == wanted
    assert logs > kills // 4, "hardly a kill came while something was under way"
    assert answers > 20 * kills
    assert rows > 10 * kills


@pytest.mark.parametrize("seed", ["a", *SEEDS])
def test_a_relay_that_is_killed_loses_nothing_and_brings_nothing_back(
    tmp_path: Path, seed: str
) -> None:
    wanted = 300 if LONG else 10
    kills, answers, unsure, seen = killed("relay_killing.py", tmp_path, wanted, seed)
    assert kills == wanted
    assert answers > 10 * kills
    assert unsure > kills // 2, "hardly a kill came while something was under way"
    assert seen > 20 * kills
