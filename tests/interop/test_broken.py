"""The vectors find mistakes: a broken implementation fails the cases that are meant for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evanesce.conformance import harness
from evanesce.conformance.answers import read_answer
from evanesce.conformance.compare import compare
from evanesce.conformance.vectors import Case, Vectors
from tests.interop.broken import FLAWS, patched

ROOT = Path(__file__).parents[2]
VECTORS = Vectors()
CASES: dict[str, Case] = {case.id: case for case in VECTORS}

# As real processes, through the command: mistakes in arithmetic, in a check, and in what is kept.
AS_PROCESSES = ("signature-not-reduced", "confirmation-not-compared", "restart-forgets-skipped")


def fails(case: Case) -> bool:
    """Whether the harness, as it is now, answers this case wrongly."""
    said = harness.answer({"id": case.id, "op": case.op, "in": case.input})
    assert "skip" not in said
    return not compare(case, read_answer(json.dumps(said).encode(), case.id)).right


def test_without_a_flaw_every_case_passes() -> None:
    """Those that are named here; tests/vectors goes through all."""
    named = sorted({case for flaw in FLAWS.values() for case in flaw.caught_by} & CASES.keys())
    assert [case for case in named if fails(CASES[case])] == []
    assert len(named) > 400


@pytest.mark.parametrize("name", FLAWS)
def test_a_flaw_is_found(name: str) -> None:
    flaw = FLAWS[name]
    assert flaw.caught_by, "no case is there to find this flaw"
    assert set(flaw.caught_by) <= CASES.keys()
    with patched(name):
        passed = [each for each in flaw.caught_by if not fails(CASES[each])]
    assert passed == []
    assert not fails(CASES[flaw.caught_by[0]]), "the flaw has not been taken out again"


def test_each_flaw_says_what_it_is() -> None:
    assert len(FLAWS) >= 16
    assert len({flaw.story for flaw in FLAWS.values()} - {""}) == len(FLAWS)


def conformance(*command: str, only: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    chosen = [part for each in only for part in ("--only", each)]
    return subprocess.run(
        [sys.executable, "-m", "evanesce.cli", "conformance", "--quiet", *chosen, "--", *command],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", AS_PROCESSES)
def test_the_command_ends_with_1_for_a_broken_harness(name: str) -> None:
    command = (sys.executable, "-m", "tests.interop.broken", name)
    run = conformance(*command, only=FLAWS[name].caught_by)
    assert run.returncode == 1, run.stderr
    assert all(each in run.stdout for each in FLAWS[name].caught_by)


def test_the_command_ends_with_0_for_the_whole_one() -> None:
    only = tuple(each for name in AS_PROCESSES for each in FLAWS[name].caught_by)
    command = (sys.executable, "-m", "evanesce.conformance.harness")
    run = conformance(*command, only=only)
    assert run.returncode == 0, run.stdout + run.stderr
