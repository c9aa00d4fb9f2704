"""The library's own harness, and the template for others, as processes on their pipes (spec 21)."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evanesce.conformance import harness
from evanesce.conformance.answers import read_answer, read_hello
from evanesce.conformance.compare import compare
from evanesce.conformance.library import OPERATIONS
from evanesce.conformance.vectors import Vectors

TEMPLATE = Path(__file__).parent / "template_harness.py"
VECTORS = Vectors()
HELLO = {"hello": {"protocol": 1, "spec": VECTORS.spec, "vectors": VECTORS.version}}


def run(*command: str, lines: list[Any]) -> subprocess.CompletedProcess[bytes]:
    given = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return subprocess.run([sys.executable, *command], input=given, capture_output=True,
                          timeout=60, check=False)  # fmt: skip


def served(*lines: bytes) -> list[dict[str, Any]]:
    sink = io.BytesIO()
    harness.serve(io.BytesIO(b"".join(line + b"\n" for line in lines)), sink)
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_the_harness_answers_each_line_and_ends_with_its_input() -> None:
    case = VECTORS.case("kdf-small-32")
    asked = {"id": case.id, "op": case.op, "in": case.input}
    done = run("-m", "evanesce.conformance.harness", lines=[HELLO, asked])
    hello, answer = done.stdout.splitlines()
    assert read_hello(hello).spec == VECTORS.spec
    assert compare(case, read_answer(answer, case.id)).right
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_hello_is_true() -> None:
    said = read_hello(json.dumps(harness.answer(HELLO)).encode())
    assert said.operations == OPERATIONS.keys()
    assert {case.op for case in VECTORS} <= said.operations
    assert {feature for case in VECTORS for feature in case.features} <= said.features


@pytest.mark.parametrize(
    "line",
    [b"", b"xx", b"[]", b"{}", b'{"id": 1, "op": "kdf", "in": {}}', b'{"id": "a", "op": "kdf"}',
     b'{"hello": {}}', b'{"hello": 1}', b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_request_ends_the_harness(line: bytes) -> None:
    with pytest.raises(harness.BadRequest, match=r"^line 1: "):
        served(line)


def test_a_bad_line_is_told_on_standard_error() -> None:
    done = run("-m", "evanesce.conformance.harness", lines=[HELLO, 7, HELLO])
    assert done.returncode == harness.BAD_REQUEST
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == b"harness: line 2: neither a hello nor a case\n"


def test_a_fault_of_the_library_is_an_error_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        print("not an answer")
        raise RuntimeError("two\nlines")

    monkeypatch.setitem(OPERATIONS, "pad", broken)
    monkeypatch.setitem(OPERATIONS, "unpad", lambda _: {"data": b"no JSON"})
    first, second, third = served(
        b'{"id": "a", "op": "pad", "in": {}}',
        b'{"id": "b", "op": "unpad", "in": {}}',
        b'{"id": "c", "op": "none", "in": {}}',
    )
    assert first == {"id": "a", "error": "RuntimeError: two\nlines"}
    assert second["id"] == "b"
    assert second["error"].startswith("TypeError: ")
    assert third == {"id": "c", "skip": "no operation 'none'"}


def test_the_template_is_small_and_right_in_what_it_offers() -> None:
    assert len(TEMPLATE.read_text().splitlines()) <= 60
    (hello,) = run(str(TEMPLATE), lines=[HELLO]).stdout.splitlines()
    offered = read_hello(hello).operations
    assert offered == {"kdf", "dh", "unpad"}
    cases = [case for case in VECTORS if case.op in offered and not case.features]
    asked = [{"id": case.id, "op": case.op, "in": case.input} for case in cases]
    lines = run(str(TEMPLATE), lines=asked).stdout.splitlines()
    assert len(lines) == len(cases) > 50
    answers = [read_answer(line, case.id) for line, case in zip(lines, cases, strict=True)]
    skipped = [a for a in answers if a.kind == "skip"]
    wrong = [c.id for a, c in zip(answers, cases, strict=True)
             if a.kind != "skip" and not compare(c, a).right]  # fmt: skip
    assert wrong == []
    assert 0 < len(skipped) < 20
