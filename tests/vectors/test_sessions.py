"""Whole conversations, run on the library: what comes of each step, and what is kept after it."""

from __future__ import annotations

import json
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evanesce.conformance.library.session import session

Json = dict[str, Any]
INSTALLED = Path(str(files("evanesce") / "_vectors"))
VECTORS = INSTALLED if INSTALLED.is_dir() else Path(__file__).parents[2] / "vectors"
CASES: dict[str, Json] = {
    case["id"]: case
    for case in json.loads((VECTORS / "v1" / "session.json").read_bytes())["cases"]
}
CHANGING = {
    "sent", "committed", "lost", "moved", "leave", "announced", "viewed", "burn", "removed",
}  # fmt: skip
OPENING = {"committed", "lost", "leave", "announced", "viewed", "burn"}
MEMBER_AGAIN = {"founded", "joined", "committed", "moved"}


def results_of(name: str) -> list[Json]:
    results: list[Json] = session(CASES[name]["in"])
    return results


def what(result: Json) -> str:
    """The event of a result, or its outcome."""
    return str(result.get("event", result["outcome"]))


@pytest.mark.parametrize("name", CASES)
def test_each_step_comes_out_as_in_the_vector(name: str) -> None:
    results, expected = results_of(name), CASES[name]["out"]
    assert len(results) == len(CASES[name]["in"]["steps"]) == len(expected)
    for step, result, wanted in zip(CASES[name]["in"]["steps"], results, expected, strict=True):
        assert {key: result[key] for key in result if key != "digest"} == wanted, step["do"]


@pytest.mark.parametrize("name", CASES)
def test_what_is_kept_changes_exactly_when_it_must(name: str) -> None:
    convicted = False
    for before, result in pairwise([{"digest": ""}, *results_of(name)]):
        same = result["digest"] == before["digest"]
        if what(result) in ("rejected", "held", "restarted", "exported"):
            assert same
        if what(result) == "delivered" or what(result) in CHANGING:
            assert not same
        if what(result) == "equivocated":  # it is noted once
            assert same == convicted
            convicted = True


def accepted(name: str) -> list[int]:
    """The steps at which something that others have sent is accepted."""
    steps, results = CASES[name]["in"]["steps"], CASES[name]["out"]
    return [
        n
        for n, (step, result) in enumerate(zip(steps, results, strict=True))
        if step["do"] == "receive" and (what(result) == "delivered" or what(result) in OPENING)
    ]


@pytest.mark.parametrize("name", CASES)
def test_after_each_refusal_something_honest_is_accepted(name: str) -> None:
    """As long as the device is a member: one that is out for good has nothing left to accept."""
    results = [what(result) for result in CASES[name]["out"]]
    removals = [n for n, result in enumerate(results) if result == "removed"]
    returns = [n for n, result in enumerate(results) if result in MEMBER_AGAIN]
    end = removals[-1] if removals and removals[-1] > returns[-1] else len(results)
    refused = [n for n in range(end) if results[n] == "rejected"]
    assert not refused or refused[-1] < accepted(name)[-1]


def test_nearly_every_session_has_something_honest_to_accept() -> None:
    """The others show how a device goes, or what it is not to take."""
    without = [name for name in CASES if not accepted(name)]
    assert len(without) * 20 <= len(CASES), without


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("-restarts")])
def test_a_restart_after_each_step_changes_nothing(name: str) -> None:
    plain = [step for step in CASES[name]["in"]["steps"] if step["do"] != "restart"]
    without = session({**CASES[name]["in"], "steps": plain})
    kept = [result for result in results_of(name) if what(result) != "restarted"]
    assert kept == without
