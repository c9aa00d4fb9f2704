"""The page: one file of HTML that needs nothing else, and can be read without its script."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from html import escape
from importlib.resources import files
from typing import Any

from ..summary import COLUMNS
from .chapters import Chapter, chapters_of
from .page_case import WORDS, row, unfolding

__all__ = ["as_page"]

Data = dict[str, Any]

# The groups of cases, in the order in which they are of interest; the last ones are folded up.
UNFOLDED = ("failed", "unexpected-pass", "expected-failure")
FOLDED = ("skipped", "not-offered", "not-run", "passed")
TITLES = {
    "failed": "Failed",
    "unexpected-pass": "Passed, though expected to fail",
    "expected-failure": "Failed as expected",
    "skipped": "Skipped",
    "not-offered": "Not offered",
    "not-run": "Not run",
    "passed": "Passed",
}


def as_page(data: Data) -> str:
    """The page."""
    style, script = _asset("page.css"), _asset("page.js")
    # Nothing but these two may act in it, whatever a harness has said.
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    title = f"{data['harness']['name']} {data['harness']['version']}"
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(title)}: Evanesce conformance</title>",
        f"<style>{style}</style>\n</head>\n<body>",
        '<a class="skip" href="#cases">To the cases</a>',
        _header(data, title),
        "<main>",
        _matrix(data),
        _cases(data),
        "</main>",
        f"<script>{script}</script>\n</body>\n</html>",
    ]
    return "\n".join(parts) + "\n"


def _header(data: Data, title: str) -> str:
    harness, options = data["harness"], data["options"]
    facts = {
        "Specification": data["spec"],
        "Harness for": harness["spec"],
        "Vectors": data["vectors"],
        "Reason codes": options["reasons"],
        "Only": ", ".join(options["only"]),
        "Date": data["date"] or "",
        "Runner": f"{data['runner']['name']} {data['runner']['version']}",
        "Features": ", ".join(harness["features"]),
    }
    rows = "".join(
        f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts.items()
        if value
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in data["notes"])
    return (
        f"<header><p class=kind>Evanesce conformance</p><h1>{escape(title)}</h1>"
        f"{_verdict(data)}{_bar(data['counts'])}<dl class=about>{rows}</dl>"
        + (f"<ul class=notes>{notes}</ul>" if notes else "")
        + "</header>"
    )


def _verdict(data: Data) -> str:
    counts = data["counts"]
    bad = counts["failed"] + counts["unexpected-pass"]
    text = "Given up" if data["given_up"] else "Passed" if data["ok"] else "Failed"
    told = [f"{counts['passed']} of {sum(counts.values())} cases passed"]
    told += [f"{bad} failed"] if bad else []
    told += [
        f"{counts[status]} {words}"
        for status, (_, words) in WORDS.items()
        if counts[status] and status not in {"passed", "failed", "unexpected-pass"}
    ]
    kind = "good" if data["ok"] else "bad"
    return f'<p class="verdict {kind}"><strong>{text}</strong> {", ".join(told)}</p>'


def _bar(counts: Data) -> str:
    """How the cases are shared out, at a glance; the numbers stand beside it."""
    total, at, parts = sum(counts.values()) or 1, 0.0, []
    for status in ("passed", "expected-failure", "failed", "unexpected-pass", "skipped",
                   "not-offered", "not-run"):  # fmt: skip
        width = 100 * counts[status] / total
        if width:
            parts.append(
                f'<rect class="{status}" x="{at:.3f}%" width="{width:.3f}%" height="100%"></rect>'
            )
        at += width
    return f'<svg class="bar" aria-hidden="true">{"".join(parts)}</svg>'


def _matrix(data: Data) -> str:
    counts: dict[Chapter, Counter[str]] = {}
    for case in data["cases"]:
        for chapter in chapters_of(case["spec"]):
            counts.setdefault(chapter, Counter())[case["status"]] += 1
    names = [
        name for name, meant in COLUMNS.items()
        if name in {"passed", "failed"} or any(data["counts"][status] for status in meant)
    ]  # fmt: skip
    head = "".join(f"<th scope=col>{name}</th>" for name in names)
    rows = []
    for (number, title), counted in sorted(counts.items()):
        cells = "".join(
            _cell(number, title, name, sum(counted[status] for status in COLUMNS[name]))
            for name in names
        )
        place = f'<span class="number">{number}</span> ' if number < 99 else ""
        rows.append(f"<tr><th scope=row>{place}{escape(title)}</th>{cells}</tr>")
    return (
        "<section aria-labelledby=matrix><h2 id=matrix>By chapter</h2>"
        "<p class=hint>A case that tests several chapters is counted in each.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="matrix">'
        f"<table class=matrix><thead><tr><th scope=col>chapter</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _cell(number: int, title: str, name: str, count: int) -> str:
    if not count:
        return "<td class=zero>0</td>"
    kind = name.replace(" ", "-")
    return (
        f'<td class="{kind}"><a href="#cases" data-chapter="{number}" data-column="{kind}"'
        f' aria-label="{escape(title)}: {count} {name}">{count}</a></td>'
    )


def _cases(data: Data) -> str:
    chapters = sorted({chapter for case in data["cases"] for chapter in chapters_of(case["spec"])})
    options = {number: f"{number} {title}" if number < 99 else title for number, title in chapters}
    present = [name for name, meant in COLUMNS.items() if any(data["counts"][s] for s in meant)]
    columns = "".join(f'<option value="{n.replace(" ", "-")}">{n}</option>' for n in present)
    numbers = "".join(f'<option value="{n}">{escape(t)}</option>' for n, t in options.items())
    parts = [
        "<section aria-labelledby=cases><h2 id=cases tabindex=-1>Cases</h2>",
        "<div id=filter role=search hidden>"
        "<label>Result <select id=column><option value=''>any</option>"
        f"{columns}</select></label>"
        "<label>Chapter <select id=chapter><option value=''>any</option>"
        f"{numbers}</select></label>"
        '<label class="wide">Search <input id=text type=search autocomplete=off spellcheck=false'
        ' placeholder="id, operation, message"></label>'
        "<button id=clear type=button>Clear</button>"
        "<p id=shown role=status></p></div>",
    ]
    for status in (*UNFOLDED, *FOLDED):
        cases = [case for case in data["cases"] if case["status"] == status]
        if not cases:
            continue
        heading = f"{TITLES[status]} <span class=count>{len(cases)}</span>"
        if status in UNFOLDED:
            inside = "".join(map(unfolding, cases))
            parts.append(f'<div class="group {status}"><h3>{heading}</h3>{inside}</div>')
        else:
            inside = "\n".join(map(row, cases))
            parts.append(
                f'<details class="group {status}"><summary><h3>{heading}</h3></summary>'
                f"<ul>{inside}</ul></details>"
            )
    return "".join(parts) + "</section>"


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
