"""Which answers are right, and what is told about those that are not."""

from typing import Any

import pytest

from evanesce.conformance.answers import Answer, read_answer, request
from evanesce.conformance.compare import compare
from evanesce.conformance.marked import brief, render, text_of
from evanesce.conformance.process import Fault
from evanesce.conformance.vectors import Case
from tests.conformance.conformance_support import case, invalid, session


def of(out: Any, **other: Any) -> Case:
    return Case.of("hash.json", case("x", out=out, **other))


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ({"a": 1, "b": [None]}, {"b": [None], "a": 1}),
        ({"a": 1}, {"a": 1.0}),
        ({}, {}),
        ({"text": "é"}, {"text": "é"}),
    ],
)
def test_json_values_that_are_the_same(expected: Any, got: Any) -> None:
    assert compare(of(expected), Answer("ok", got)).right


@pytest.mark.parametrize(
    ("expected", "got", "message"),
    [
        ({"a": 1}, {"a": True}, "ok.a: expected 1, got true"),
        ({"a": False}, {"a": 0}, "ok.a: expected false, got 0"),
        ({"a": None}, {}, "ok.a is missing"),
        ({}, {"a": None}, "ok.a should not be there"),
        ({"a": [1, 2]}, {"a": [1]}, "ok.a[1] is missing"),
        ({"a": [1]}, {"a": [1, 2]}, "ok.a[1] should not be there"),
        ({"a": "1"}, {"a": 1}, "ok.a: expected 1, got 1"),
        ({"a": {}}, {"a": []}, "ok.a: expected {}, got []"),
        ({"a": "AB"}, {"a": "ab"}, "ok.a: expected AB, got ab"),
        ({}, None, "ok: expected {}, got null"),
        ({"a": "0" * 80}, {"a": "0" * 79 + "1"}, "ok.a differs from character 79 on"),
        ({"a": "0" * 80}, {"a": "0" * 70}, "ok.a differs from character 70 on, 70 for 80 long"),
    ],
)
def test_json_values_that_differ(expected: Any, got: Any, message: str) -> None:
    assert compare(of(expected), Answer("ok", got)).message == message


def test_what_should_be_refused_must_be_refused() -> None:
    refused = Case.of("hash.json", invalid("x"))
    assert compare(refused, Answer("reject", "bad-signature")).right
    accepted = compare(refused, Answer("ok", {}))
    assert accepted.message == "expected reject bad-signature, got ok"
    assert not compare(refused, Answer("ok", {}), "lenient").right
    assert not compare(refused, Answer("error", "bad-signature"), "lenient").right
    assert compare(refused, Answer("reject", "bad-input"), "lenient").right
    assert not compare(of({}), Answer("reject", "bad-input"), "lenient").right


def results(*digests: str, **changes: Any) -> list[dict[str, Any]]:
    out = session("x")["out"]
    made = [{**result, "digest": digest} for result, digest in zip(out, digests, strict=True)]
    for step, members in changes.items():
        made[int(step.removeprefix("step"))] |= members
    return made


A_SESSION = Case.of("session.json", session("x"))


def test_a_session_is_compared_without_its_digests() -> None:
    assert compare(A_SESSION, Answer("ok", results(*"aaabc"))).right
    other = results(*"aaabc", step3={"out": {"content": "01"}})
    assert compare(A_SESSION, Answer("ok", other)).message == (
        "step 3: ok[3].out.content: expected 00, got 01"
    )
    assert compare(A_SESSION, Answer("ok", results(*"aaabc")[:4])).message == (
        "step 4: ok[4] is missing"
    )
    assert compare(A_SESSION, Answer("ok", {"not": "a list"})).message.startswith("ok: expected [")
    assert not compare(A_SESSION, Answer("reject", "replay")).right


@pytest.mark.parametrize(
    ("digests", "message"),
    [
        ("abbcd", "step 1: rejected, but the digest is not as before"),
        ("aabcd", "step 2: restarted, but the digest is not as before"),
        ("aaaab", "step 3: delivered, but the digest is still the same"),
        ("aaabb", "step 4: sent, but the digest is still the same"),
    ],
)
def test_a_digest_tells_whether_the_state_is_as_before(digests: str, message: str) -> None:
    assert compare(A_SESSION, Answer("ok", results(*digests))).message == message


def test_reasons_within_a_session_may_be_lenient_too() -> None:
    other = Answer("ok", results(*"aaabc", step1={"reason": "bad-input"}))
    assert not compare(A_SESSION, other).right
    assert compare(A_SESSION, other, "lenient").right
    held = Answer("ok", results(*"aaabc", step1={"outcome": "held"}))
    assert not compare(A_SESSION, held, "lenient").right


def test_a_name_that_comes_twice_in_a_trace_is_compared_in_order() -> None:
    twice = of({"a": 1}, trace=[["key", "01"], ["other", "02"], ["key", "03"]])
    fits = Answer("ok", {"a": 2}, (("key", "01"), ("key", "03"), ("unknown", "ff")))
    assert compare(twice, fits).intermediate is None
    differs = compare(twice, Answer("ok", {"a": 2}, (("key", "01"), ("key", "04")))).intermediate
    assert differs is not None
    assert text_of(differs.expected) == '"03"'


def test_all_differences_are_marked_and_told() -> None:
    answer = Answer("ok", {"a": "0021", "b": 1, "d": 3})
    verdict = compare(of({"a": "0011", "b": 1, "c": 2}), answer)
    assert [each.path for each in verdict.differences] == ["ok.a", "ok.c", "ok.d"]
    assert [text for text, marked in verdict.expected if marked] == ["1", '"c": 2']
    assert [text for text, marked in verdict.got if marked] == ["2", '"d": 3']


def test_what_is_shown_of_a_huge_value_is_bounded_and_shows_the_difference() -> None:
    long = "0" * 500_000
    verdict = compare(of({"a": long + "1" + long}), Answer("ok", {"a": long + "2" + long}))
    assert [text for text, marked in verdict.got if marked] == ["2"]
    assert len(text_of(verdict.got)) < 2_000
    many = compare(of({"a": []}), Answer("ok", {"a": list(range(100_000))}))
    assert len(text_of(many.got)) < 2_000
    assert len(many.differences) == 50


def test_a_deep_answer_is_shown_all_the_same() -> None:
    deep: Any = []
    for _ in range(600):
        deep = [deep]
    line = b'{"id": "x", "ok": ' + b"[" * 600 + b"]" * 600 + b"}"
    answer = read_answer(line, "x")
    assert "nested deeper" in text_of(compare(of({}), answer).got)
    assert "nested deeper" in text_of(render(deep, {}))
    assert len(brief(deep)) < 200


def test_controls_and_directions_are_spelled_out() -> None:
    shown = text_of(render({"\u202e": "\x1b[2J\ud800\u0000"}, {}))
    assert not any(ord(c) < 32 and c != "\n" for c in shown)
    assert "\u202e" not in shown
    shown.encode()


@pytest.mark.parametrize(
    "line",
    [
        b"", b"[]", b"null", b'{"id": "x"}', b'{"id": "y", "ok": {}}', b'{"ok": {}}',
        b'{"id": "x", "ok": NaN}', b'{"id": "x", "reject": 3}', b'{"id": "x", "skip": null}',
        b'{"id": "x", "ok": {}, "more": 1}', b'{"id": "x", "ok": {}, "trace": {}}',
        b'{"id": "x", "ok": {}, "trace": [["a"]]}', b'{"id": "x", "ok": {}, "trace": [[1, 2]]}',
        b'{"id": "x", "ok": ' + b"9" * 5000 + b"}", b'{"id": "x", "ok": {}} {}',
    ],
)  # fmt: skip
def test_what_is_not_an_answer(line: bytes) -> None:
    with pytest.raises(Fault) as caught:
        read_answer(line, "x")
    assert caught.value.kind == "not-an-answer"


def test_what_is_expected_is_not_sent() -> None:
    line = request("x", "hash", {"label": "é"})
    assert line == b'{"id":"x","op":"hash","in":{"label":"\\u00e9"}}\n'
