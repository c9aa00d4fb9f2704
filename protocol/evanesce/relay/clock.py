"""The clock of a relay: hours that neither a jump of the system's clock nor a nap can bend.

Keys are destroyed by this clock, and what is destroyed does not come back. So it does not look at
the system's time of day but when it starts; from then on it counts the seconds that have passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ..errors import LocalError, Reason
from ..limits import HOUR

__all__ = ["ManualRelayClock", "RelayClock"]

# How far the system's clock may run away from ours without being called a jump, in seconds: what
# its own corrections do in a minute, and what two readings one after the other may differ by.
_DRIFT_PER_SECOND: Final = 1 / 60
_SLACK: Final = 2.0


def _elapsed() -> float:
    """Seconds that have passed since some moment, those included in which the machine slept."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class RelayClock:
    """The time, in whole seconds since 1970-01-01 UTC, and in whole hours.

    It is the time of day at the start and what has passed since; slow drift of the time of day is
    followed by a second a minute at most, a jump is not followed, only told (`jumped`).
    """

    def __init__(
        self,
        last_hour: int = 0,
        *,
        accept: bool = False,
        wall: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = _elapsed,
    ) -> None:
        """`last_hour` is the last hour that the relay has seen (`RelayKeys.last_hour`).

        Raise `LocalError` (bad-input) when the time of day is more than an hour before it: what was
        destroyed then would be needed again. `accept` starts all the same.
        """
        self._wall, self._since = wall, elapsed
        self.accepted = accept  # the operator says that it is right
        self._base = wall() - elapsed()  # the time is this and what has passed
        self._looked = elapsed()
        self._ignored = 0.0  # how far the time of day has jumped away, not followed
        if int(wall() // HOUR) + 1 < last_hour and not accept:
            raise LocalError(
                Reason.BAD_INPUT,
                "the clock is behind the last hour this relay has seen: set it right, or accept it"
                " if it is right now and was wrong then",
            )

    def now(self) -> int:
        """Seconds since 1970-01-01 UTC. It never goes back."""
        return int(self._steady())

    def hour(self) -> int:
        """Whole hours since 1970-01-01 UTC."""
        return int(self._steady() // HOUR)

    @property
    def jumped(self) -> int:
        """By how many seconds the time of day is off because it jumped: more than 0 if forwards."""
        self._steady()
        return round(self._ignored)

    def _steady(self) -> float:
        passed = self._since()
        allowed = max(passed - self._looked, 0.0) * _DRIFT_PER_SECOND
        self._looked = passed
        off = self._wall() - (self._base + passed) - self._ignored
        if abs(off) > allowed + _SLACK:
            self._ignored += off
        else:
            self._base += min(max(off, -allowed), allowed)
        return self._base + passed


class ManualRelayClock(RelayClock):
    """A clock that tests move by hand."""

    def __init__(self, now: int) -> None:
        self._time = now
        self.accepted = True

    def now(self) -> int:
        """What was set."""
        return self._time

    def hour(self) -> int:
        """The hour of what was set."""
        return self._time // HOUR

    @property
    def jumped(self) -> int:
        """It never jumps by itself."""
        return 0

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self._time += seconds
