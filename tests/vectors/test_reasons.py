"""The vectors use the reason codes of the text: all that outside input can bring, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator

from spec.attacks import Places, cases, refused_for

from evanesce.errors import Reason

CONSTANTS = (Places().spec / "02-constants.md").read_text("utf-8")
CASES = cases(Places().vectors)
# They tell of a store that is full or busy, or of a bound on many requests: no one input brings
# them, and the relay's and the device's tests do.
OF_MANY = {"relay-full", "relay-busy", "queue-full", "too-many-requests"}


def listed() -> Iterator[tuple[str, bool]]:
    """The codes of 2.6, and whether each is for the own application only."""
    section = CONSTANTS.split("\n## 2.6", 1)[1].split("\n## ", 1)[0]
    for code, meaning in re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", section, re.MULTILINE):
        yield code, meaning.startswith("(local)")


def named(value: object, within: str = "reason") -> Iterator[object]:
    """Whatever stands where a reason does."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from named(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner, within)
    elif within == "reason" and value is not None:
        yield value


def test_every_code_for_input_from_outside_has_a_vector_that_is_refused_for_it() -> None:
    outside = {code for code, local in listed() if not local}
    assert outside.issuperset(OF_MANY)
    assert len(outside) > 40, "the table is not read as it is written"
    refused = {reason for case in CASES.values() for reason in refused_for(case)}
    assert outside - refused == OF_MANY


def test_the_vectors_know_no_other_codes() -> None:
    found = {reason for case in CASES.values() for reason in named([case["out"], case["reason"]])}
    assert found - {code for code, _ in listed()} == set()
    assert found <= {reason.value for reason in Reason}
    assert all((case["reason"] is None) == (case["result"] == "valid") for case in CASES.values())
