"""The points at which a worker may be killed, and the journal that outlives it.

Points are counted by kind, so that a run finds one again though threads and processes take turns as
they like: "the third ack, after" is the same thing in each run, "the 137th point" is not.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

__all__ = ["Journal", "Points", "read_journal"]


class Points:
    """Counts the points of one process, and kills it at the one that was chosen."""

    def __init__(self, target: tuple[str, int] | None = None) -> None:
        self._target = target
        self.counts: Counter[str] = Counter()

    def hit(self, kind: str) -> None:
        """The process is at a point of this kind: perhaps its last."""
        self.counts[kind] += 1
        if self._target == (kind, self.counts[kind]):
            os.kill(os.getpid(), signal.SIGKILL)


class Journal:
    """A file of lines, each on the disk before the next thing happens."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, what: str, **more: Any) -> None:
        """Write one line."""
        os.write(self._handle, json.dumps({"what": what, **more}).encode() + b"\n")
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Every line of a journal; none if there is no such file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines()]
