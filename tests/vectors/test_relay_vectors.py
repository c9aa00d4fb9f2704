"""A relay by its reference and the one that serves: told the same, they answer alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from spec.cases import common, parse, relay
from spec.cases.relay_forms import GOOD
from spec.cases.relay_play import HOUR, START, Mailbox

from evanesce.conformance.library import OPERATIONS
from evanesce.errors import EvanesceError
from spec import reference as ref

Json = dict[str, Any]
ALIKE = settings(deadline=None, derandomize=True)
SEEN: dict[str, set[str]] = {}
assert callable(parse.parse_cases)  # its module has registered the operation


def outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except ref.Refused as refused:
        return "refused", refused.reason
    except EvanesceError as error:
        return "refused", str(error.reason)


def agree(op: str, given: Json) -> Json | tuple[str, str]:
    """Both give the same, and what came is remembered."""
    made: Json | tuple[str, str] = outcome(lambda: common.OPERATIONS[op](given))
    assert outcome(lambda: OPERATIONS[op](given)) == made
    SEEN.setdefault(op, set()).add(made[1] if isinstance(made, tuple) else "valid")
    return made


# --- forms and frames ----------------------------------------------------------------------------

ODD = st.sampled_from([
    None, True, 0, 2**32 - 1, 2**32, 1_000, 1_001, b"", b"x", bytes(15), bytes(16), bytes(17),
    bytes(31), bytes(32), bytes(33), bytes(64), "", "x", "a" * 32, "a" * 33, [], [None],
])  # fmt: skip


@st.composite
def objects(draw: st.DrawFn) -> tuple[str, bytes]:
    """An object of a relay's, perhaps with something odd in it, or damaged."""
    form = draw(st.sampled_from(list(GOOD)))
    fields = list(draw(st.sampled_from(list(GOOD[form].values()))))
    for _ in range(draw(st.integers(0, 1))):
        fields[draw(st.integers(0, len(fields) - 1))] = draw(ODD)
    if draw(st.integers(0, 9)) == 0:
        fields.append(draw(ODD))
    version = draw(st.sampled_from([1] * 9 + [2]))
    data = bytearray(ref.encode([version, ref.FORMS[form].type, *fields]))
    if draw(st.integers(0, 4)) == 0:
        data[draw(st.integers(0, min(len(data) - 1, 80)))] ^= 1 << draw(st.integers(0, 7))
    return form, bytes(data)


@settings(ALIKE, max_examples=600)
@given(objects(), st.sampled_from(["client", "relay"]))
def parsed(made: tuple[str, bytes], side: str) -> None:
    form, data = made
    agree("parse", {"form": form, "data": data.hex()})
    agree("read frame", {"from": side, "data": data.hex()})


def test_what_is_said_with_a_relay_is_read_alike() -> None:
    """REQ-RELAY-01, REQ-RELAY-04, REQ-RELAY-15."""
    parsed()
    assert {"valid", "bad-form", "too-large", "wrong-version", "truncated"} <= SEEN["parse"]
    assert {"valid", "bad-form", "wrong-type"} <= SEEN["read frame"]


# --- what a relay remembers ----------------------------------------------------------------------

BOXES = [Mailbox("random-a"), Mailbox("random-b")]
# About the hours at which something is forgotten, with a retention of 48.
PASSING = st.sampled_from([0, 1, 60, HOUR - 1, HOUR, HOUR, 5 * HOUR, 47 * HOUR, 48 * HOUR])
NAMES = st.lists(st.integers(0, 3), min_size=1, max_size=4)
CONTENTS = [b"one", b"two"]
TOKENS = [bytes(16), bytes(range(16))]


@st.composite
def steps(draw: st.DrawFn) -> list[Json]:
    """A history of a relay with two mailboxes and two blobs."""
    now, history = 0, [BOXES[0].make(0)]
    for _ in range(draw(st.integers(4, 14))):
        now += draw(PASSING)
        box, names = draw(st.sampled_from(BOXES)), draw(NAMES)
        wrong = draw(st.integers(0, 9)) == 0
        content, token = draw(st.sampled_from(CONTENTS)), draw(st.sampled_from(TOKENS))
        blob = {"now": START + now, "hash": ref.H(b"blob", content).hex()}
        history += draw(st.sampled_from([
            [box.put(now, *names, envelope=bytes(names), wrong=wrong), box.fetch(now)],
            [box.put(now, *names, envelope=b"e"), box.fetch(now)],
            [box.recall(now, *names, wrong=wrong), box.fetch(now)],
            [box.ack(now, *names), box.fetch(now)],
            [box.make(now)],
            [box.make(now, box.wrong)],
            [box.other("count", now)],
            [{"do": "put blob", "now": START + now, "content": content.hex(),
              "token_hash": ref.H(b"blob token", token).hex()},
             {"do": "fetch blob", **blob}],
            [{"do": "delete blob", **blob, "token": token.hex()}],
            [{"do": "fetch blob", **blob}],
        ]))  # fmt: skip
    return history


@settings(ALIKE, max_examples=40)
@given(steps(), st.sampled_from([48, 48, 72]))
def remembered(history: list[Json], retention: int) -> None:
    made = agree("relay", {"retention": retention, "steps": history})
    assert isinstance(made, dict)
    for result in made["results"]:
        for reason in [result.get("reason"), *result.get("outcomes", [])]:
            SEEN.setdefault("told", set()).add(str(reason))


def test_a_relay_remembers_and_forgets_as_the_reference_does() -> None:
    """REQ-RELAY-05, REQ-RELAY-08, REQ-RELAY-11, REQ-ENV-11, REQ-ENV-21, REQ-ENV-23."""
    remembered()
    told = {"None", "unknown-mailbox", "not-permitted", "unknown-blob"}
    assert told - SEEN["told"] == set()


def test_every_operation_of_chapter_22_is_in_the_vectors() -> None:
    cases = list(relay.relay_cases())
    assert {each["op"] for each in cases} == {
        "parse", "parse long", "read frame", "name blob", "check publish", "check statement",
        "credit", "relay",
    }  # fmt: skip
