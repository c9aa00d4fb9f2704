"""How far a run has come, on standard error: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType

from .runner import Outcome

__all__ = ["Bar"]

BAR_WIDTH = 24
REDRAW = 0.1  # seconds
LINE_EVERY = 5.0  # seconds


class Bar:
    """A context; call it with each outcome. On its way out it leaves no trace on a terminal."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._total, self._done, self._failed = total, 0, 0
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._next = time.monotonic() + (0 if self._terminal else LINE_EVERY)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._terminal and not self._quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def __call__(self, outcome: Outcome) -> None:
        """Count an outcome, and show it if it is time."""
        self._done += 1
        self._failed += outcome.status in {"failed", "unexpected-pass"}
        now = time.monotonic()
        if self._quiet or now < self._next:
            return
        self._next = now + (REDRAW if self._terminal else LINE_EVERY)
        counts = f"{self._done}/{self._total}, {self._failed} failed"
        if not self._terminal:
            print(counts, file=sys.stderr, flush=True)
            return
        full = BAR_WIDTH * self._done // max(self._total, 1)
        line = f"[{'#' * full}{'.' * (BAR_WIDTH - full)}] {counts}  {outcome.case.id}"
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{line[:width]}", end="", file=sys.stderr, flush=True)
