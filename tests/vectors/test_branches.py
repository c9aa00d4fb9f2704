"""Sessions over branches, changed in one place: what was refused is then accepted, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from evanesce.conformance.library.session import session

Json = dict[str, Any]
INSTALLED = Path(str(files("evanesce") / "_vectors"))
VECTORS = INSTALLED if INSTALLED.is_dir() else Path(__file__).parents[2] / "vectors"
CASES: dict[str, Json] = {
    case["id"].removeprefix("session-signed-"): case
    for case in json.loads((VECTORS / "v1" / "session.json").read_bytes())["cases"]
}
Change = Callable[[list[Json]], list[Json]]


def unchanged(steps: list[Json]) -> list[Json]:
    return steps


def outcomes(name: str, change: Change = unchanged) -> list[str]:
    """What comes of each step: an event, `delivered`, or a reason."""
    given = CASES[name]["in"]
    results = session({**given, "steps": change(given["steps"])})
    return [result.get("reason") or result.get("event") or result["outcome"] for result in results]


def without(place: int) -> Change:
    return lambda steps: steps[:place] + steps[place + 1 :]


def earlier(place: int, seconds: int) -> Change:
    def change(steps: list[Json]) -> list[Json]:
        step = {**steps[place], "now": steps[place]["now"] - seconds}
        return [*steps[:place], step, *steps[place + 1 :]]

    return change


def test_only_a_message_without_the_flag_waives_what_its_sender_could_commit() -> None:
    """REQ-EPOCH-30."""
    before = outcomes("waived-ann")
    waiver = before.index("delivered")
    assert before[waiver + 1 : waiver + 7] == ["replay"] * 6
    after = outcomes("waived-ann", without(waiver))
    assert after[waiver : waiver + 6] == ["lost", "replay", "lost", "replay"] + ["equivocated"] * 2


def test_a_sibling_is_taken_as_long_as_its_parent_has_not_been_erased() -> None:
    """REQ-EPOCH-31."""
    name = "window-259201-ann"
    before = outcomes(name)
    looked = before.index("looked")
    assert before[looked + 1] == "unknown-epoch"
    assert outcomes(name, without(looked))[looked] == "committed"
    assert outcomes(name, earlier(looked, 1))[looked + 1] == "committed"


def test_an_invitation_moves_a_device_until_72_hours_after_it_has_joined() -> None:
    """REQ-ENV-24."""
    name = "moved-after-259201-eve"
    before = outcomes(name)
    invited = before.index("already-member")
    assert outcomes(name, earlier(invited, 1))[invited] == "moved"


def test_what_was_noted_is_forgotten_30_days_later_and_not_before() -> None:
    """REQ-LIMIT-45."""
    name = "pending-for-a-month-cid"
    before = outcomes(name)
    first = before.index("looked")
    assert before[first : first + 4] == ["looked", "removal-pending", "looked", "sent"]
    assert outcomes(name, earlier(first + 2, 1))[first + 3] == "removal-pending"
