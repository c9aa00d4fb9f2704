"""The benchmark of devices in many rooms runs; nothing is asserted of how fast."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import evanesce

ROOT = Path(__file__).parents[2]


def test_the_benchmark_of_many_rooms_tells_all_figures() -> None:
    package = Path(evanesce.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "benchmarks/rooms.py", "--rooms", "2", "--members", "3", "--runs", "1",
         "--json"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(package)}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["settings"]["rooms"], told["settings"]["members"]) == (2, 3)
    assert told["figures"].keys() == {"send", "receive", "one room", "passphrase"}
    for figures in told["figures"].values():
        parts = [figures[name]["median"]
                 for name in ("interpreter", "imports", "store", "device", "message")]  # fmt: skip
        assert all(part > 0 for part in parts)
        assert figures["total"]["median"] >= sum(parts)
        assert figures["peak"]["median"] >= figures["present"]["median"] > 1 << 20
    assert told["file"] > told["file per room"] > 0
