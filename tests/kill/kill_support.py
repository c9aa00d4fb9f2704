"""Starting the programs of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.kill.worker import Session

ROOT = Path(__file__).parents[2]
LONG = os.environ.get("EVANESCE_PROFILE") == "long"
PATH = os.pathsep.join([str(ROOT / "protocol"), str(ROOT)])
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATH}


def direct(folder: Path, **orders: Any) -> dict[str, Any]:
    """Have the director carry out its orders; return its report."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kill.director", str(folder), json.dumps(orders)],
        cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


class Worker:
    """One process with a device."""

    def __init__(self, root: Path, session: Session, target: tuple[str, int] | None = None) -> None:
        where = () if target is None else (target[0], str(target[1]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.worker", str(root), session.dump(), *where],
            cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def hear(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str]:
        """Wait for its end; return how it ended, and what it said of an error."""
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors

    def kill(self) -> None:
        """Kill it, at once."""
        self.process.kill()
        self.end()
