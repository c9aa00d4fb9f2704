"""The benchmark of the relay runs, and its figures are what they are said to be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENTS, BATCH, SECONDS = 2, 3, 1.0


def test_the_smallest_setting_gives_figures_of_the_right_shape() -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "relay.py"), "--json", "--store", "sqlite",
         "--seconds", str(SECONDS), "--clients", str(CLIENTS), "--batch", str(BATCH),
         "--size", "300"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    told = json.loads(run.stdout)
    assert told["about"]["clients"] == CLIENTS
    (line,) = told["settings"]
    assert (line["store"], line["streams"], line["relays"]) == ("SQLite", 0, 1)
    assert line["bare a second"] > 0
    full, calm = line["full"], line["calm"]
    for figures in (full, calm):
        assert figures["refused"] == figures["failed"] == 0
        assert 0 < figures["p50 ms"] <= figures["p99 ms"] < 60_000
        # What is pushed was taken, some of it before the time measured: no more than the clients'
        # windows hold.
        waiting = figures["pushed a second"] - figures["taken a second"]
        assert waiting * SECONDS <= CLIENTS * 256
        assert figures["pushed a second"] > 0
    assert line["ratio"] == full["taken a second"] / line["bare a second"]
    # The calm run keeps to a fifth of the rate, give or take a batch of each client at both ends.
    carried = min(full["taken a second"], full["pushed a second"])
    assert calm["taken a second"] <= carried / 5 + 2 * CLIENTS * BATCH / SECONDS
    head, row = run.stderr.strip().splitlines()[-2:]
    assert head.split()[:3] == ["store", "streams", "relays"]
    assert row.split()[0] == "SQLite"
