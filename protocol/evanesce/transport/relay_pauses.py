"""When a relay may be asked again: pauses that grow, and those that it has asked for.

All of it by the monotonic clock, which nobody sets back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from random import SystemRandom
from typing import Final

from .relay_faults import RelayRefusal

__all__ = ["Manners", "Pause"]

FIRST: Final = 0.5  # seconds, of the first pause at most
LONGEST: Final = 60.0
_OBEYED: Final = 3600.0  # seconds that a relay can ask for: more may be a mistake of its clock
_KEPT: Final = 1_024
_dice: Final = SystemRandom()


class Pause:
    """Between two connections. Each failure doubles it, up to `longest`, and a success resets it.

    Each pause is drawn from the upper half of what it may be: clients that a relay has lost at the
    same moment do not come back at the same moment.
    """

    def __init__(
        self,
        first: float = FIRST,
        longest: float = LONGEST,
        *,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[float, float], float] = _dice.uniform,
    ) -> None:
        self._first, self._longest = first, longest
        self._now, self._draw = now, draw
        self._failures = 0
        self._until = 0.0

    @property
    def left(self) -> float:
        """Seconds until the next try."""
        return max(0.0, self._until - self._now())

    @property
    def failures(self) -> int:
        """Failures since the last success."""
        return self._failures

    def failed(self, seconds: int = 0) -> None:
        """A try has failed; the relay has asked for a pause of so many seconds, or of none."""
        most = min(self._first * 2 ** min(self._failures, 32), self._longest)
        pause = max(self._draw(most / 2, most), min(float(seconds), _OBEYED))
        self._failures += 1
        self._until = self._now() + pause

    def succeeded(self) -> None:
        """The relay serves."""
        self._failures, self._until = 0, 0.0


class Manners:
    """What the relay has asked not to be asked again before a time (`Retry-After`)."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._refused: dict[Hashable, tuple[float, RelayRefusal]] = {}

    def check(self, *kinds: Hashable) -> None:
        """Raise the refusal again, without asking the relay, while its time is not over."""
        now = self._now()
        for kind in kinds:
            if kind not in self._refused:
                continue
            until, refusal = self._refused[kind]
            if now < until:
                raise RelayRefusal(refusal.reason, refusal.detail, int(until - now) + 1)
            del self._refused[kind]

    def note(self, kind: Hashable, refusal: RelayRefusal) -> None:
        """The relay has refused this kind of request."""
        if refusal.seconds:
            while len(self._refused) >= _KEPT:
                del self._refused[next(iter(self._refused))]
            until = self._now() + min(float(refusal.seconds), _OBEYED)
            self._refused[kind] = until, refusal
