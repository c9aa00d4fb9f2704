"""Whether an answer is the right one (spec 21.3, 20.6), and what differs first if it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .answers import Answer
from .marked import Marked, Path, brief, render, where
from .vectors import Case

__all__ = ["Difference", "Intermediate", "Reasons", "Verdict", "compare"]

Reasons = Literal["strict", "lenient"]
MOST_DIFFERENCES = 50
MISSING = object()

# What came of a step: those after which the state must be another than before (20.6), and those
# after which it must be the same.
CHANGING = frozenset(
    {"sent", "committed", "announced", "leave", "viewed", "burn", "removed"}
)
UNCHANGING = frozenset({"restarted"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which the answer is not what it should be. The texts are fit to be shown."""

    path: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Intermediate:
    """The first value of a trace that differs."""

    name: str
    expected: Marked
    got: Marked


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison found. `message` is empty if, and only if, the answer is right."""

    message: str
    expected: Marked = ()
    got: Marked = ()
    differences: tuple[Difference, ...] = ()
    intermediate: Intermediate | None = None

    @property
    def right(self) -> bool:
        """Whether the answer is right."""
        return not self.message


def compare(case: Case, answer: Answer, reasons: Reasons = "strict") -> Verdict:
    """Compare an answer that is `ok`, `reject` or `error` with what the case expects."""
    expected: dict[str, Any] = {"ok": case.out} if case.valid else {"reject": case.reason}
    got: dict[str, Any] = {answer.kind: answer.value}
    intermediate = _intermediate(case, answer)
    if answer.kind == "reject" and not case.valid and reasons == "lenient":
        return Verdict("", intermediate=intermediate)
    if answer.kind not in expected:
        marks: dict[Path, tuple[int, int] | None] = {(kind,): None for kind in (*expected, *got)}
        message = f"expected {_kind(expected)}, got {_kind(got)}"
        shown = render(expected, marks), render(got, marks)
        difference = Difference("", _kind(expected), _kind(got))
        return Verdict(message, *shown, (difference,), intermediate)
    compared, digest_fault = got, None
    if case.op == "session" and answer.kind == "ok":
        compared = {"ok": _without_digests(case.out, answer.value, reasons)}
        digest_fault = _digests(answer.value)
    found: list[tuple[Path, Any, Any]] = []
    for difference_found in _differences(expected, compared, ()):
        found.append(difference_found)
        if len(found) == MOST_DIFFERENCES:
            break
    if found:
        return _differs(expected, got, found, intermediate)
    if digest_fault is not None:
        path, should, what = digest_fault
        value = _at(got, path)
        shown = render(expected, {}), render(got, {path[:-1] if value is MISSING else path: None})
        difference = Difference(where(path), should, "none" if value is MISSING else brief(value))
        return Verdict(f"{_step(path)}{what}", *shown, (difference,), intermediate)
    return Verdict("", intermediate=intermediate)


def _differs(
    expected: Any, got: Any, found: Sequence[tuple[Path, Any, Any]], trace: Intermediate | None
) -> Verdict:
    left: dict[Path, tuple[int, int] | None] = {}
    right: dict[Path, tuple[int, int] | None] = {}
    for path, should, is_ in found:
        left[path], right[path] = _spans(should, is_)
        if is_ is MISSING or should is MISSING:
            # On the side that lacks it, what should hold it is all that could be marked.
            left[path] = right[path] = None
    differences = tuple(
        Difference(where(path), _told(should), _told(is_)) for path, should, is_ in found
    )
    path, should, is_ = found[0]
    message = f"{_step(path)}{_first(path, should, is_)}"
    return Verdict(message, render(expected, left), render(got, right), differences, trace)


def _first(path: Path, expected: Any, got: Any) -> str:
    place = where(path)
    if got is MISSING:
        return f"{place} is missing"
    if expected is MISSING:
        return f"{place} should not be there"
    if isinstance(expected, str) and isinstance(got, str) and len(expected) + len(got) > 100:
        (start, _), _ = _spans(expected, got)
        length = "" if len(expected) == len(got) else f", {len(got)} for {len(expected)} long"
        return f"{place} differs from character {start} on{length}"
    return f"{place}: expected {_told(expected)}, got {_told(got)}"


def _told(value: Any) -> str:
    return "nothing" if value is MISSING else brief(value)


def _kind(members: Mapping[str, Any]) -> str:
    ((kind, value),) = members.items()
    return kind if kind == "ok" else f"{kind} {brief(value)}"


def _step(path: Path) -> str:
    """For a session, the step that a path is in."""
    return f"step {path[1]}: " if len(path) > 1 and isinstance(path[1], int) else ""


def _at(value: Any, path: Path) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return value


def _same_leaf(expected: Any, got: Any) -> bool:
    """Whether two values without members are one JSON value: 1 is 1.0, but neither is true."""
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, int | float) and isinstance(got, int | float):
        return expected == got
    return type(expected) is type(got) and bool(expected == got)


def _differences(expected: Any, got: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(expected, dict) and isinstance(got, dict):
        for key, value in expected.items():
            if key in got:
                yield from _differences(value, got[key], (*path, key))
            else:
                yield (*path, key), value, MISSING
        for key, value in got.items():
            if key not in expected:
                yield (*path, key), MISSING, value
    elif isinstance(expected, list) and isinstance(got, list):
        for index, value in enumerate(expected):
            if index < len(got):
                yield from _differences(value, got[index], (*path, index))
            else:
                yield (*path, index), value, MISSING
        for index in range(len(expected), len(got)):
            yield (*path, index), MISSING, got[index]
    elif not _same_leaf(expected, got):
        yield path, expected, got


def _spans(expected: Any, got: Any) -> tuple[Any, Any]:
    """Where two strings differ, in each of them; None for anything else: it differs as a whole."""
    if not (isinstance(expected, str) and isinstance(got, str)):
        return None, None
    least = min(len(expected), len(got))
    start = next((i for i in range(least) if expected[i] != got[i]), least)
    same = 0
    while same < least - start and expected[-1 - same] == got[-1 - same]:
        same += 1
    return (start, len(expected) - same), (start, len(got) - same)


def _without_digests(expected: Any, got: Any, reasons: Reasons) -> Any:
    """The results of a session without their digests, and, if lenient, without other reasons."""
    if not isinstance(got, list):
        return got
    results: list[Any] = []
    for index, result in enumerate(got):
        if not isinstance(result, dict):
            results.append(result)
            continue
        rest = {key: value for key, value in result.items() if key != "digest"}
        should = expected[index] if index < len(expected) else {}
        if (
            reasons == "lenient"
            and isinstance(rest.get("reason"), str)
            and should.get("reason") is not None
            and should.get("outcome") == rest.get("outcome")
        ):
            rest["reason"] = should["reason"]
        results.append(rest)
    return results


def _digests(results: Any) -> tuple[Path, str, str] | None:
    """The first step whose digest breaks a rule: where, what should be there, and what is wrong."""
    if not isinstance(results, list):
        return None
    before: str | None = None
    for index, result in enumerate(results):
        path: Path = ("ok", index, "digest")
        digest = result.get("digest") if isinstance(result, dict) else None
        if not isinstance(digest, str):
            return path, "a digest", "there is no digest that is a string"
        if before is not None:
            outcome, event = result.get("outcome"), result.get("event")
            same = outcome == "rejected" or (outcome == "event" and event in UNCHANGING)
            other = outcome == "delivered" or (outcome == "event" and event in CHANGING)
            what = event if outcome == "event" else outcome
            if same and digest != before:
                return path, brief(before), f"{brief(what)}, but the digest is not as before"
            if other and digest == before:
                return path, "another digest", f"{brief(what)}, but the digest is still the same"
        before = digest
    return None


def _intermediate(case: Case, answer: Answer) -> Intermediate | None:
    """The first value of the trace that differs; a name that comes twice is told twice."""
    expected = dict(_numbered(case.trace))
    for (name, count), got in _numbered(answer.trace):
        if (name, count) in expected:
            should = expected[name, count]
            if any(True for _ in _differences(should, got, ())):
                left, right = _spans(should, got)
                shown = render(should, {(): left}), render(got, {(): right})
                return Intermediate(brief(name), *shown)
    return None


def _numbered(trace: Sequence[tuple[str, Any]]) -> Iterator[tuple[tuple[str, int], Any]]:
    counts: Counter[str] = Counter()
    for name, value in trace:
        counts[name] += 1
        yield (name, counts[name]), value
