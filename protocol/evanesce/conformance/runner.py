"""One run: every case to a harness, and what came of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .answers import Answer, Hello, hello_request, read_answer, read_hello, request
from .compare import Reasons, Verdict, compare
from .marked import brief, render
from .process import Fault, Harness
from .text import RunError, clipped
from .vectors import Case, Vectors

__all__ = [
    "STATUSES",
    "Outcome",
    "Progress",
    "Run",
    "Settings",
    "Status",
    "judged_answer",
    "note_traces",
    "read_expected",
    "run_harness",
]

Status = Literal[
    "failed", "unexpected-pass", "expected-failure", "passed", "skipped", "not-offered", "not-run"
]
STATUSES: tuple[Status, ...] = (
    "failed", "unexpected-pass", "expected-failure", "passed", "skipped", "not-offered", "not-run",
)  # fmt: skip

MANY = 5  # cases in a row that the harness did not live through
LARGE_FACTOR = 10  # how much longer a case with the feature `large` may take


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is made, as the options of spec 21.4 say."""

    reasons: Reasons = "strict"
    timeout: float = 60.0
    max_answer: int = 64 << 20
    expected: frozenset[str] = frozenset()
    complete: bool = False
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case. All its texts are fit to be shown."""

    case: Case
    status: Status
    kind: str  # of a failure: `wrong`, `error`, or the kind of a fault; else empty
    message: str
    verdict: Verdict | None = None
    stderr: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Run:
    """All outcomes in the order of the cases, and what is to be said about the whole."""

    harness: Hello
    spec: str
    vectors: str
    settings: Settings
    outcomes: list[Outcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    given_up: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong that counts: exit status 0."""
        return not self.given_up and not any(
            each.status in {"failed", "unexpected-pass", "not-run"} for each in self.outcomes
        )


Progress = Callable[[Outcome], None]


def read_expected(path: Path, vectors: Vectors) -> frozenset[str]:
    """The ids in a file of expected failures; an id that no case has is an error."""
    ids = {case.id for case in vectors}
    expected = set()
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not UTF-8") from error
    for number, line in enumerate(lines, 1):
        name = line.partition("#")[0].strip()
        if name and name not in ids:
            raise RunError(f"{path}, line {number}: no such case: {name}{vectors.near(name)}")
        expected.add(name)
    return frozenset(expected - {""})


def run_harness(
    vectors: Vectors, command: Sequence[str], settings: Settings, progress: Progress
) -> Run:
    """Run a harness through the cases. Raise `RunError` if it cannot be run at all."""
    cases = vectors.select(settings.only)
    greeting = hello_request(vectors.spec, vectors.version)

    def start() -> tuple[Harness, Hello]:
        harness = Harness(command, settings.max_answer)
        try:
            hello = read_hello(harness.ask(greeting, settings.timeout))
        except Fault as fault:
            tail = f"\n{harness.stderr}".rstrip()
            raise RunError(f"the harness gave no hello: it {fault}{tail}") from fault
        except BaseException:
            harness.kill()
            raise
        return harness, hello

    harness, hello = start()
    run = Run(hello, vectors.spec, vectors.version, settings)
    if hello.spec != vectors.spec:
        run.notes.append(f"The harness is for version {hello.spec} of the specification.")
    try:
        in_a_row = 0
        for case in cases:
            if run.given_up:
                outcome = Outcome(case, "not-run", "", "the run had been given up")
            elif missing := _missing(case, hello):
                outcome = _judged(case, settings, "not-offered", message=missing)
            else:
                began = time.perf_counter()
                if not harness.alive:
                    try:
                        harness, hello = start()
                    except RunError as error:
                        outcome = _judged(case, settings, "failed", "died", f"no restart: {error}")
                if harness.alive:
                    outcome = _asked(case, harness, settings, began)
                if harness.alive or outcome.status == "expected-failure":
                    in_a_row = 0 if harness.alive else in_a_row
                else:
                    in_a_row += 1
                run.given_up = in_a_row == MANY
            run.outcomes.append(outcome)
            progress(outcome)
        if run.given_up:
            run.notes.append(f"Given up: {MANY} cases in a row ended the harness.")
        if fault := harness.finish():
            run.notes.append(f"The harness {fault}.")
    finally:
        harness.kill()
    note_traces(run)
    return run


def _missing(case: Case, hello: Hello) -> str:
    if case.op not in hello.operations:
        return f"operation {case.op}"
    features = [name for name in case.features if name not in hello.features]
    return f"feature {', '.join(features)}" if features else ""


def _asked(case: Case, harness: Harness, settings: Settings, began: float) -> Outcome:
    seconds = settings.timeout * (LARGE_FACTOR if "large" in case.features else 1)
    line = b""
    try:
        line = harness.ask(request(case.id, case.op, case.input), seconds)
        outcome = judged_answer(case, read_answer(line, case.id), settings, began, harness)
        if not harness.unasked():
            return outcome
        fault = Fault("not-an-answer", "wrote more than one line")
    except Fault as raised:
        harness.kill()
        fault = raised
    expected = {"ok": case.out} if case.valid else {"reject": case.reason}
    said = clipped(brief(line.decode("utf-8", "replace"), 2_000), 2_000) if line else ""
    verdict = Verdict(str(fault), render(expected, {}), ((said, True),) if said else ())
    what = f"not an answer: {fault}" if line else f"the harness {fault}"
    return _judged(case, settings, "failed", fault.kind, what, verdict, harness.stderr, began)


def judged_answer(
    case: Case, answer: Answer, settings: Settings, began: float, harness: Harness | None = None
) -> Outcome:
    """The outcome of a case that was answered, whoever answered it."""
    if answer.kind == "skip":
        return _judged(case, settings, "skipped", message=brief(answer.value), began=began)
    verdict = compare(case, answer, settings.reasons)
    if verdict.right:
        return _judged(case, settings, "passed", verdict=verdict, began=began)
    kind = "error" if answer.kind == "error" else "wrong"
    stderr = harness.stderr if harness is not None else ""
    return _judged(case, settings, "failed", kind, verdict.message, verdict, stderr, began)


def _judged(
    case: Case,
    settings: Settings,
    status: Status,
    kind: str = "",
    message: str = "",
    verdict: Verdict | None = None,
    stderr: str = "",
    began: float | None = None,
) -> Outcome:
    """The outcome, after `--complete` and the expected failures have had their say."""
    if settings.complete and status in {"skipped", "not-offered"}:
        kind, message = status, f"{status.replace('-', ' ')}: {message}"
        status = "failed"
    if case.id in settings.expected:
        if status == "failed":
            status = "expected-failure"
        elif status == "passed":
            status, message = "unexpected-pass", "passed, but is named as an expected failure"
    seconds = 0.0 if began is None else time.perf_counter() - began
    return Outcome(case, status, kind, message, verdict, stderr, seconds)


def note_traces(run: Run) -> None:
    """A right answer is right, but a wrong value on the way is worth a look."""
    odd = [
        f"{each.case.id} ({each.verdict.intermediate.name})"
        for each in run.outcomes
        if each.status == "passed" and each.verdict and each.verdict.intermediate
    ]
    if odd:
        more = f" and {len(odd) - 5} more" if len(odd) > 5 else ""
        run.notes.append(f"Passed with a trace that differs: {', '.join(odd[:5])}{more}.")


