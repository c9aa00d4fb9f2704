"""In which hours of expiry a box has rows, and where relays add to it now (spec 22.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..limits import HOUR, RETENTION

__all__ = ["Schedule"]

_SKEW: Final = 5 * 60  # seconds that clocks of relays differ by without any delay


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which hours of expiry a box has rows in: multiples of `step`, at most `span` hours away.

    `added` is how far away the hour is in which rows are added now; None if in any.
    """

    step: int
    span: int
    added: int | None = None

    @classmethod
    def of_retention(cls, hours: int) -> Schedule:
        """That of envelopes. They are found where they are, whatever the retention was before."""
        return cls(1, RETENTION // HOUR + 1, hours)

    def hours(self, now: int, since: int = 0) -> range:
        """The hours that have not begun, from `since` on."""
        first = max(now + 1, since)
        return range(-(-first // self.step) * self.step, now + self.span + 1, self.step)

    def open_from(self, now: int) -> int:
        """From which hour on rows may still be added, by a relay whose clock is an hour behind."""
        return 0 if self.added is None else now + self.added - 1

    def near(self, seconds: int) -> list[int]:
        """The hours in which rows are added now, by relays whose clocks agree to some minutes."""
        now, past = divmod(seconds, HOUR)
        if self.added is None:
            return list(self.hours(now))
        near = [now + self.added]
        if past < _SKEW:
            near.insert(0, near[0] - 1)
        if past >= HOUR - _SKEW:
            near.append(near[-1] + 1)
        return near
