"""What a run makes of harnesses that are right, wrong, broken and hostile."""

import os
import time
from pathlib import Path

import pytest

from evanesce.conformance.runner import Settings, run_harness
from evanesce.conformance.text import RunError
from evanesce.conformance.vectors import Vectors
from tests.conformance.conformance_support import (
    case,
    invalid,
    outcome,
    run,
    scripted,
    statuses,
    write_vectors,
)


def gone(pid: int) -> bool:
    """Whether a process is dead, or nothing but a zombie, within a moment."""
    for _ in range(100):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return True
        if stat.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_right_harness_passes(small: Vectors) -> None:
    made = run(small, "right")
    assert statuses(made) == {"good": "passed", "bad": "passed", "after": "passed"}
    assert made.ok
    assert made.notes == []
    assert made.harness.name == "scripted"


@pytest.mark.parametrize(
    ("behaviour", "kind", "message"),
    [
        ("crash", "died", "the harness ended with status 3 before it had answered"),
        ("signal", "died", "the harness was ended by SIGSEGV before it had answered"),
        ("garbage", "not-an-answer", "it is not JSON"),
        ("not utf-8", "not-an-answer", "it is not UTF-8"),
        ("nested", "not-an-answer", "nested too deeply"),
        ("twice", "not-an-answer", "wrote more than one line"),
        ("wrong id", "not-an-answer", "its id is not that of the case"),
        ("two kinds", "not-an-answer", "one of ok, reject, skip and error"),
        ("twice a member", "not-an-answer", "a member comes twice"),
        ("error", "error", "expected ok, got error boom ]]> & <i>\\u{202e}"),
        ("wrong reason", "wrong", "expected ok, got reject bad-input"),
        ("wrong trace", "wrong", "ok.output"),
        ("hostile", "wrong", "ok.output is missing"),
        ("noise", "wrong", "expected ok, got reject bad-input"),
    ],
)
def test_a_bad_answer_fails_its_case_and_the_run_goes_on(
    small: Vectors, behaviour: str, kind: str, message: str
) -> None:
    made = run(small, behaviour)
    assert statuses(made) == {"good": "passed", "bad": "failed", "after": "passed"}
    assert outcome(made, "bad").kind == kind
    assert message in outcome(made, "bad").message
    assert not made.ok


def test_a_harness_that_hangs_is_ended_with_its_children(small: Vectors, tmp_path: Path) -> None:
    began = time.monotonic()
    made = run(small, "hang", str(tmp_path / "pid"), timeout=0.6)
    assert statuses(made) == {"good": "passed", "bad": "failed", "after": "passed"}
    assert outcome(made, "bad").message == "the harness did not answer within 0.6 s"
    assert time.monotonic() - began < 10
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_child_that_holds_the_output_does_not_hide_that_the_harness_died(
    small: Vectors, tmp_path: Path
) -> None:
    if not hasattr(os, "waitid"):
        pytest.fail("this platform cannot tell that a process died without reaping it")
    made = run(small, "child holds output", str(tmp_path / "pid"), timeout=20)
    assert outcome(made, "bad").message == "the harness ended with status 4 before it had answered"
    assert statuses(made)["after"] == "passed"
    assert gone(int((tmp_path / "pid").read_text()))


def test_an_answer_may_not_be_longer_than_is_allowed(small: Vectors) -> None:
    made = run(small, "too much", max_answer=100_000)
    assert outcome(made, "bad").kind == "too-long"
    assert statuses(made)["after"] == "passed"


def test_a_large_request_to_a_harness_that_does_not_read_is_late(tmp_path: Path) -> None:
    large = case("bad", **{"in": {"data": "00" * 2_000_000}})
    vectors = write_vectors(tmp_path, {"hash.json": [large]})
    made = run(vectors, "does not read", timeout=0.6)
    assert outcome(made, "bad").kind == "late"


def test_a_large_request_arrives_while_the_harness_makes_noise(tmp_path: Path) -> None:
    large = case("bad", **{"in": {"data": "00" * 2_000_000}})
    vectors = write_vectors(tmp_path, {"hash.json": [large]})
    made = run(vectors, "noise")
    assert outcome(made, "bad").kind == "wrong"
    assert outcome(made, "bad").stderr.endswith("the end\n")
    assert len(outcome(made, "bad").stderr) == 4096


def test_standard_error_of_the_case_is_kept_and_harmless(small: Vectors) -> None:
    made = run(small, "crash")
    assert outcome(made, "bad").stderr == "about to fall \\u{1b}[31mred\\u{1b}[0m <b>bold</b>\n"
    assert outcome(made, "good").stderr == ""


def test_standard_error_of_earlier_cases_is_not_shown(small: Vectors) -> None:
    assert outcome(run(small, "wrong reason"), "bad").stderr == "log of bad\n"


def test_a_feature_or_operation_that_is_not_named_is_not_offered(tmp_path: Path) -> None:
    cases = [case("op", op="kdf"), case("feature", features=["direct"]), case("good")]
    vectors = write_vectors(tmp_path, {"hash.json": cases})
    made = run(vectors, "right")
    assert statuses(made) == {"op": "not-offered", "feature": "not-offered", "good": "passed"}
    assert made.ok
    complete = run(vectors, "right", complete=True)
    assert statuses(complete) == {"op": "failed", "feature": "failed", "good": "passed"}
    assert not complete.ok


def test_a_skip_is_no_failure_unless_all_must_be_done(small: Vectors) -> None:
    made = run(small, "skip")
    assert statuses(made)["bad"] == "skipped"
    assert made.ok
    assert outcome(made, "bad").message == "no such thing here"
    assert statuses(run(small, "skip", complete=True))["bad"] == "failed"


def test_reasons_may_be_lenient(tmp_path: Path) -> None:
    vectors = write_vectors(tmp_path, {"hash.json": [case("good"), invalid("bad")]})
    strict = run(vectors, "wrong reason")
    assert outcome(strict, "bad").message == "reject: expected bad-signature, got bad-input"
    assert run(vectors, "wrong reason", reasons="lenient").ok


def test_the_first_intermediate_that_differs_is_told(small: Vectors) -> None:
    verdict = outcome(run(small, "wrong trace"), "bad").verdict
    assert verdict is not None
    assert verdict.intermediate is not None
    assert verdict.intermediate.name == "second"
    assert verdict.intermediate.expected == (('"', False), ("c0", True), ('ffee"', False))


def test_a_right_answer_with_another_trace_passes_and_is_noted(small: Vectors) -> None:
    made = run(small, "right, wrong trace")
    assert made.ok
    assert made.notes == ["Passed with a trace that differs: bad (second)."]


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("digest changes", "step 1: rejected, but the digest is not as before"),
        ("constant digest", "step 3: delivered, but the digest is still the same"),
        ("no digest", "step 1: there is no digest that is a string"),
    ],
)
def test_digests_of_a_session_follow_the_rules(
    sessions: Vectors, behaviour: str, message: str
) -> None:
    assert outcome(run(sessions, behaviour), "bad-session").message == message
    assert run(sessions, "right").ok


def test_expected_failures_do_not_count_but_a_pass_does(small: Vectors) -> None:
    expected = frozenset({"bad"})
    assert statuses(run(small, "wrong reason", expected=expected))["bad"] == "expected-failure"
    assert run(small, "wrong reason", expected=expected).ok
    passing = run(small, "right", expected=expected)
    assert statuses(passing)["bad"] == "unexpected-pass"
    assert not passing.ok


def test_a_run_is_given_up_after_five_crashes_in_a_row(tmp_path: Path) -> None:
    cases = [case(f"bad-{n}") for n in range(4)] + [case("good")]
    cases += [case(f"bad-{n}") for n in range(4, 11)]
    vectors = write_vectors(tmp_path, {"hash.json": cases})
    made = run(vectors, "garbage")
    assert made.given_up
    told = statuses(made)
    assert [told[f"bad-{n}"] for n in range(11)] == ["failed"] * 9 + ["not-run"] * 2
    # Those that were known to fall do not count.
    known = run(vectors, "garbage", expected=frozenset(f"bad-{n}" for n in range(11)))
    assert not known.given_up
    assert known.ok


def test_the_end_of_the_input_is_the_end_of_the_harness(small: Vectors) -> None:
    made = run(small, "bad exit")
    assert made.ok
    assert made.notes == ["The harness ended with status 5 when its input ended."]


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [("exit at hello", "ended with status 7"), ("other protocol", "it speaks protocol 2, not 1")],
)
def test_without_a_hello_there_is_no_run(small: Vectors, behaviour: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        run(small, behaviour)


def test_a_command_that_does_not_exist_is_no_run(small: Vectors) -> None:
    with pytest.raises(RunError, match="cannot start /does/not/exist"):
        run_harness(small, ["/does/not/exist"], Settings(), lambda _: None)


def test_an_interrupted_run_ends_the_harness(small: Vectors, tmp_path: Path) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    pid = tmp_path / "pid"
    command = ["/bin/sh", "-c", f"echo $$ > {pid}; exec \"$@\"", "sh", *scripted(small, "right")]
    with pytest.raises(KeyboardInterrupt):
        run_harness(small, command, Settings(), interrupt)
    assert gone(int(pid.read_text()))
