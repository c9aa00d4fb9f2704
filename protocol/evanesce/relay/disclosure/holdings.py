"""The list of what a relay holds (spec 22.7), and of what it is asked for and does not hold.

`/v1/about`, disclosures and reports all print this one list.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

__all__ = ["Held", "NotHeld", "held", "not_held"]

_FILE: Final = "holdings.json"


@dataclass(frozen=True, slots=True)
class Held:
    """A field of the list: its form, how long it is kept, what it is needed for; in Korean."""

    field: str
    form: str
    kept: str
    needed_to: str
    ko: str

    def value(self) -> dict[str, str]:
        """As it is printed under `/v1/about`."""
        return {"field": self.field, "form": self.form, "kept": self.kept,
                "needed_to": self.needed_to}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NotHeld:
    """What is not held, and why."""

    field: str
    why: str
    ko: str

    def value(self) -> dict[str, str]:
        """As it is printed in an answer."""
        return {"field": self.field, "why": self.why}


@cache
def _lists() -> tuple[tuple[Held, ...], tuple[NotHeld, ...]]:
    text = files("evanesce.relay.disclosure").joinpath(_FILE).read_text("utf-8")
    value = json.loads(text)
    return (
        tuple(Held(**item) for item in value["held"]),
        tuple(NotHeld(**item) for item in value["not_held"]),
    )


def held() -> tuple[Held, ...]:
    """The table of 22.7, line by line."""
    return _lists()[0]


def not_held() -> tuple[NotHeld, ...]:
    """What authorities ask for, and there is not."""
    return _lists()[1]
