"""The report as data, which is the JSON report (spec 21.5) and what the others are made from."""

from __future__ import annotations

import json
from typing import Any

from ... import __version__
from ..answers import request
from ..marked import Marked, brief, text_of
from ..runner import STATUSES, Outcome, Run
from ..summary import counts_by_file
from ..text import clipped, harmless

__all__ = ["BAD", "as_data", "as_json"]

REPORT = 1  # the version of this form
MOST_REQUEST = 8_000  # characters of it that are shown
BAD = ("failed", "unexpected-pass")

Data = dict[str, Any]


def as_data(run: Run, *, date: str | None = None, times: bool = False) -> Data:
    """Everything that is in the reports. All texts in it are fit to be shown."""
    hello = run.harness
    counts: dict[str, int] = dict.fromkeys(STATUSES, 0)
    for outcome in run.outcomes:
        counts[outcome.status] += 1
    return {
        "report": REPORT,
        "runner": {"name": "evanesce", "version": __version__},
        "harness": {
            "name": hello.name,
            "version": hello.version,
            "spec": hello.spec,
            "operations": sorted(map(brief, hello.operations)),
            "features": sorted(map(brief, hello.features)),
        },
        "spec": run.spec,
        "vectors": run.vectors,
        "date": None if date is None else harmless(date),
        "options": {
            "reasons": run.settings.reasons,
            "complete": run.settings.complete,
            "only": [harmless(pattern) for pattern in run.settings.only],
            "expected_failures": len(run.settings.expected),
        },
        "ok": run.ok,
        "given_up": run.given_up,
        "notes": run.notes,
        "counts": counts,
        "files": counts_by_file(run.outcomes),
        "cases": [_case(outcome, times) for outcome in run.outcomes],
    }


def as_json(data: Data) -> str:
    """The JSON report. What only pages need, the places of the marks, is left out."""
    cases = []
    for full in data["cases"]:
        case = dict(full)
        for side in ("expected", "got"):
            if side in case:
                case[side] = text_of(case[side])
        if case.get("trace") is not None:
            case["trace"] = {
                "name": case["trace"]["name"],
                "expected": text_of(case["trace"]["expected"]),
                "got": text_of(case["trace"]["got"]),
            }
        cases.append(case)
    return json.dumps({**data, "cases": cases}, indent=2) + "\n"


def _case(outcome: Outcome, times: bool) -> Data:
    case, verdict = outcome.case, outcome.verdict
    told: Data = {
        "id": case.id,
        "file": case.file,
        "op": case.op,
        "spec": list(case.spec),
        "features": list(case.features),
        "result": case.result,
        "status": outcome.status,
        "message": outcome.message,
    }
    if times:
        told["seconds"] = round(outcome.seconds, 6)
    if outcome.status in {*BAD, "expected-failure"}:
        none: Marked = ()
        line = request(case.id, case.op, case.input).decode().rstrip("\n")
        trace = verdict.intermediate if verdict else None
        told |= {
            "kind": outcome.kind,
            "comment": harmless(case.comment),
            "parent": case.parent,
            "mutation": None if case.mutation is None else harmless(case.mutation),
            "request": clipped(harmless(line), MOST_REQUEST),
            "expected": verdict.expected if verdict else none,
            "got": verdict.got if verdict else none,
            "differences": [
                {"path": each.path, "expected": each.expected, "got": each.got}
                for each in (verdict.differences if verdict else ())
            ],
            "trace": trace
            and {"name": trace.name, "expected": trace.expected, "got": trace.got},
            "stderr": outcome.stderr,
        }
    return told
