"""Seconds as people write and read them."""

from __future__ import annotations

import argparse
import re
import time

__all__ = ["clock_time", "countdown", "in_words", "seconds"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> int:
    """`90`, `90s`, `5m` or `2h`, for argparse."""
    match = re.fullmatch(r"([0-9]{1,7})([smh]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 90, 90s, 5m or 2h")
    return int(match[1]) * _UNITS[match[2]]


def in_words(duration: int) -> str:
    """`10 s`, `5 min`, `72 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if duration >= size and duration % size == 0:
            return f"{duration // size} {unit}"
    return f"{duration} s"


def countdown(left: int) -> str:
    """What is left, short: `9s`, `4:10`, `71h`."""
    left = max(left, 0)
    if left < 60:
        return f"{left}s"
    if left < 3600:
        return f"{left // 60}:{left % 60:02}"
    return f"{left // 3600}h"


def clock_time(moment: int) -> str:
    """The time of day of a moment, here."""
    return time.strftime("%H:%M", time.localtime(moment))
