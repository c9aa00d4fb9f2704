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
CHANGING = {"sent", "committed", "leave", "announced", "viewed", "burn", "removed"}
OPENING = {"committed", "leave", "announced", "viewed", "burn"}


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
    for before, result in pairwise([{"digest": ""}, *results_of(name)]):
        same = result["digest"] == before["digest"]
        if what(result) in ("rejected", "held", "restarted", "exported"):
            assert same
        if what(result) == "delivered" or what(result) in CHANGING:
            assert not same


@pytest.mark.parametrize("name", CASES)
def test_after_each_refusal_something_honest_is_accepted(name: str) -> None:
    expected = CASES[name]["out"]
    refused = [n for n, result in enumerate(expected) if result["outcome"] == "rejected"]
    opened = [
        n
        for n, (step, result) in enumerate(zip(CASES[name]["in"]["steps"], expected, strict=True))
        if step["do"] == "receive" and (what(result) == "delivered" or what(result) in OPENING)
    ]
    assert opened
    assert not refused or refused[-1] < opened[-1]


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("-restarts")])
def test_a_restart_after_each_step_changes_nothing(name: str) -> None:
    plain = [step for step in CASES[name]["in"]["steps"] if step["do"] != "restart"]
    without = session({**CASES[name]["in"], "steps": plain})
    kept = [result for result in results_of(name) if what(result) != "restarted"]
    assert kept == without
