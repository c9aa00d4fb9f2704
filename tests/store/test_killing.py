"""Writers that are killed: what was said to be done is there, and no half of a transaction.

A kill ends a process, not the machine: what the operating system had not yet put on the disk is
still there afterwards. Against power cuts stands SQLite's synchronous=FULL; no test here sees that.
"""

import os
import re
from pathlib import Path
from random import SystemRandom

from tests.store.store_support import Child

LONG = os.environ.get("EVANESCE_PROFILE") == "long"
KILLS = 1_000 if LONG else 60


def test_a_store_survives_its_writers(tmp_path: Path) -> None:
    derandomized = os.environ.get("CI") == "true" and not LONG
    seed = "one seed" if derandomized else str(SystemRandom().getrandbits(64))
    child = Child("killing.py", tmp_path / "mina.db", KILLS, seed)
    summary = child.hear()
    assert child.hear() == "held", f"seed {seed}"
    assert child.end() == 0
    found = re.match(r"(\d+) transactions, \d+ kills before the first, (\d+) with a log", summary)
    assert found is not None
    assert int(found[1]) > 3 * KILLS, "the writers hardly ever wrote"
    assert int(found[2]) > KILLS // 4, "hardly any kill left something to recover"
