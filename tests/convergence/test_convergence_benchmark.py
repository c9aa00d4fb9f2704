"""Devices that all commit at random over a relay that reorders and drops come to one epoch."""

from __future__ import annotations

import asyncio
import os

import pytest
from benchmarks.convergence import Settings, measure

LONG = os.environ.get("EVANESCE_PROFILE") == "long"


@pytest.mark.parametrize(
    ("members", "seconds", "every"), [(5, 12, 4.0), (20, 60, 5.0)] if LONG else [(5, 12, 4.0)]
)
def test_members_that_commit_at_random_converge_and_read_everything(
    members: int, seconds: int, every: float
) -> None:
    told = asyncio.run(measure(Settings(members, seconds, every, latency=5, drop=0.1, seed=1)))
    assert told["converged"]
    assert told["all heard"]
    assert told["commits"]["lost"] > 0, "there was nothing to resolve"
    assert told["commits"]["made"] >= told["commits"]["on the path"] > 0
    assert told["messages"]["read"] == told["messages"]["to be read"] > 0
    assert told["per member"]["verify"]["min"] > 0
