"""How long to wait before what failed is tried again."""

from __future__ import annotations

__all__ = ["LONGEST", "RETRY", "Backoff"]

RETRY = 5  # seconds before the first try after a failure
LONGEST = 60  # seconds between two tries at most


class Backoff:
    """Grows with each failure from `RETRY` to `LONGEST`, and begins anew after a success."""

    def __init__(self) -> None:
        self._pause = 0
        self._since = 0

    @property
    def due(self) -> int:
        """When the next try is due."""
        return self._since + self._pause

    def waits(self, now: int) -> bool:
        """Whether it is too early for another try. A clock that was set back ends the wait."""
        return self._since <= now < self.due

    def failed(self, now: int) -> None:
        """A try has failed. One that came early, for another reason, makes nothing longer."""
        if self.waits(now):
            return
        fresh = now >= self.due + LONGEST or now < self._since  # the last failure is long past
        self._pause = RETRY if fresh else min(max(RETRY, 2 * self._pause), LONGEST)
        self._since = now

    def succeeded(self) -> None:
        """A try has succeeded."""
        self._pause = 0
