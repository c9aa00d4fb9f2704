"""JUnit XML: a suite for each file, for whatever shows test results."""

from __future__ import annotations

import re
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ..marked import text_of
from .data import BAD

__all__ = ["as_junit"]

Data = dict[str, Any]
# Beside what is always spelled out, XML 1.0 has no U+FFFE and U+FFFF in any plane that it allows;
# this is the last line of defence, whatever a text went through before.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(data: Data) -> str:
    """The report. Expected failures count as skipped, with their message."""
    harness = data["harness"]
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f"<testsuites{_attributes(name=harness['name'], **_sums(data['cases']))}>")
    for file in data["files"]:
        cases = [case for case in data["cases"] if case["file"] == file]
        date = {} if data["date"] is None else {"timestamp": data["date"]}
        name = file.removesuffix(".json")
        lines.append(f"  <testsuite{_attributes(name=name, **_sums(cases), **date)}>")
        for case in cases:
            lines += _case(case, name)
        lines.append("  </testsuite>")
    lines.append("</testsuites>")
    return "\n".join(lines) + "\n"


def _case(case: Data, suite: str) -> list[str]:
    time = {"time": f"{case['seconds']:.6f}"} if "seconds" in case else {}
    opening = f"    <testcase{_attributes(name=case['id'], classname=suite, **time)}"
    if case["status"] == "passed":
        return [f"{opening}/>"]
    message = _attributes(message=case["message"])
    lines = [f"{opening}>"]
    if case["status"] in BAD:
        tag = "error" if case["kind"] not in {"", "wrong"} else "failure"
        kind = _attributes(type=case["kind"] or case["status"])
        lines.append(f"      <{tag}{kind}{message}>{_text(_details(case))}</{tag}>")
        if case["stderr"]:
            lines.append(f"      <system-err>{_text(case['stderr'])}</system-err>")
    else:
        status = "" if case["status"] == "skipped" else f"{case['status'].replace('-', ' ')}: "
        message = _attributes(message=status + case["message"])
        lines.append(f"      <skipped{message}/>")
    return [*lines, "    </testcase>"]


def _details(case: Data) -> str:
    parts = [case["comment"], f"request: {case['request']}"]
    for side in ("expected", "got"):
        parts.append(f"{side}: {text_of(case[side])}")
    if case["trace"]:
        trace = case["trace"]
        parts.append(f"first intermediate that differs: {trace['name']}")
        parts += [f"  {side}: {text_of(trace[side])}" for side in ("expected", "got")]
    return "\n".join(parts)


def _sums(cases: list[Data]) -> dict[str, str]:
    bad = [case for case in cases if case["status"] in BAD]
    errors = sum(case["kind"] not in {"", "wrong"} for case in bad)
    passed = sum(case["status"] == "passed" for case in cases)
    sums = {
        "tests": str(len(cases)),
        "failures": str(len(bad) - errors),
        "errors": str(errors),
        "skipped": str(len(cases) - len(bad) - passed),
    }
    if cases and "seconds" in cases[0]:
        sums["time"] = f"{sum(case['seconds'] for case in cases):.6f}"
    return sums


def _attributes(**values: str) -> str:
    return "".join(f" {name}={quoteattr(_allowed(value))}" for name, value in values.items())


def _text(text: str) -> str:
    return escape(_allowed(text))


def _allowed(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
