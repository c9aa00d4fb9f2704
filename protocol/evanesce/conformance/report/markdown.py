"""A report in Markdown: a table, and what differed first in each failed case."""

from __future__ import annotations

import re
from typing import Any

from ..marked import text_of
from ..summary import COLUMNS
from ..text import clipped
from .data import BAD

__all__ = ["as_markdown"]

Data = dict[str, Any]
MOST_TEXT = 2_000
# What means something within a line of Markdown, in any dialect. Addresses become links by
# themselves if they have a colon, an at sign, or begin with www.
_SPECIAL = re.compile(r"[\\`*_{}\[\]()<>#!|~$&@:]|(?<=www)\.", re.IGNORECASE)


def as_markdown(data: Data) -> str:
    """The report."""
    harness = data["harness"]
    lines = [f"# Conformance of {_text(harness['name'])} {_text(harness['version'])}", ""]
    about = [
        f"Specification {_text(data['spec'])}, vectors {_text(data['vectors'])}",
        f"reason codes {data['options']['reasons']}",
    ]
    if data["date"] is not None:
        about.insert(0, _text(data["date"]))
    lines += [", ".join(about) + ".", "", _verdict(data), ""]
    lines += [f"- {_text(note)}" for note in data["notes"]]
    lines += [""] if data["notes"] else []
    lines += _table(data)
    for heading, statuses in (("Failures", BAD), ("Expected failures", ("expected-failure",))):
        cases = [case for case in data["cases"] if case["status"] in statuses]
        if cases:
            lines += ["", f"## {heading}"]
        for case in cases:
            lines += _case(case)
    return "\n".join(lines) + "\n"


def _verdict(data: Data) -> str:
    bad = sum(data["counts"][status] for status in BAD)
    if data["given_up"]:
        return "**The run was given up.**"
    return "**Everything that was run passed.**" if data["ok"] else f"**{bad} failed.**"


def _table(data: Data) -> list[str]:
    names = [
        name for name in COLUMNS
        if name != "not run" or any(counts[name] for counts in data["files"].values())
    ]  # fmt: skip
    rows = [f"| file | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    for file, counts in data["files"].items():
        cells = " | ".join(str(counts[name]) for name in names)
        rows.append(f"| {_text(file.removesuffix('.json'))} | {cells} |")
    sums = (str(sum(counts[name] for counts in data["files"].values())) for name in names)
    return [*rows, f"| **all** | {' | '.join(sums)} |"]


def _case(case: Data) -> list[str]:
    lines = ["", f"### {_text(case['id'])}", "", f"{_text(case['comment'])}.", ""]
    lines.append(f"- {_text(case['message'])}")
    lines.append(f"- tests {', '.join(case['spec'])}")
    if case["parent"]:
        lines.append(f"- made from {_text(case['parent'])}: {_text(case['mutation'] or '')}")
    blocks = []
    if case["differences"]:
        first = case["differences"][0]
        place = first["path"] or "answer"
        blocks.append(f"{place}\n  expected {first['expected']}\n  got      {first['got']}")
    if case["trace"]:
        trace = case["trace"]
        sides = (f"  {side:8} {text_of(trace[side])}" for side in ("expected", "got"))
        blocks.append("\n".join([f"first intermediate: {trace['name']}", *sides]))
    if not case["differences"] and case["got"]:
        blocks.append(f"got {text_of(case['got'])}")
    if case["stderr"]:
        blocks.append(f"standard error\n{case['stderr'].rstrip()}")
    for block in blocks:
        lines += ["", *_fenced(clipped(block, MOST_TEXT))]
    return lines


def _fenced(text: str) -> list[str]:
    """A block of code that nothing in it can end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *text.split("\n"), fence]


def _text(text: str) -> str:
    """The text as it is, on one line: as no markup, no HTML, and no link."""
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", " ".join(text.split()))
