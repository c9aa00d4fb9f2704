"""One case in the page: a row, or something to unfold."""

from __future__ import annotations

from html import escape
from typing import Any

from ..marked import Marked
from .chapters import chapters_of

__all__ = ["WORDS", "row", "unfolding"]

Data = dict[str, Any]

# A sign and a word for each status: colour alone says nothing to some.
WORDS = {
    "failed": ("✗", "failed"),
    "unexpected-pass": ("!", "unexpected pass"),
    "expected-failure": ("~", "expected failure"),
    "passed": ("✓", "passed"),
    "skipped": ("–", "skipped"),
    "not-offered": ("○", "not offered"),
    "not-run": ("·", "not run"),
}


def row(case: Data) -> str:
    """A case with nothing to unfold."""
    message = f' <span class="say">{escape(case["message"])}</span>' if case["message"] else ""
    return f'<li class="case row"{_facts(case)}>{_name(case)}{message}</li>'


def unfolding(case: Data) -> str:
    """A case that did not go well, with all that helps to find out why."""
    parts = [
        f'<details class="case fold"{_facts(case)}>',
        f"<summary>{_name(case)}",
        f'<span class="say">{escape(case["message"])}</span></summary>',
        '<div class="inside">',
        f"<p>{escape(case['comment'])}</p>",
        "<dl>",
        _fact("Tests", escape(", ".join(case["spec"]))),
    ]
    if case["parent"]:
        link = f'<a href="#case-{escape(case["parent"])}">{escape(case["parent"])}</a>'
        parts.append(_fact("Made from", link))
    if case["mutation"]:
        parts.append(_fact("Changed", escape(case["mutation"])))
    parts.append("</dl>")
    parts.append(_pair("", case["expected"], case["got"]))
    if case["trace"]:
        trace = case["trace"]
        parts.append(f"<h4>First intermediate that differs: {escape(trace['name'])}</h4>")
        parts.append(_pair("intermediate ", trace["expected"], trace["got"]))
    if len(case["differences"]) > 1:
        parts.append(_differences(case["differences"]))
    parts.append(f"<h4>Request</h4>{_box(escape(case['request']), 'request')}")
    if case["stderr"]:
        parts.append(f"<h4>Standard error</h4>{_box(escape(case['stderr']), 'standard error')}")
    parts.append("</div></details>")
    return "".join(parts)


def _facts(case: Data) -> str:
    """The attributes by which a case is found, and filtered."""
    chapters = " ".join(dict.fromkeys(str(number) for number, _ in chapters_of(case["spec"])))
    return (
        f' id="case-{escape(case["id"])}" data-status="{case["status"]}"'
        f' data-chapters="{chapters}"'
    )


def _name(case: Data) -> str:
    sign, word = WORDS[case["status"]]
    time = f' <span class="op">{case["seconds"]:.3f} s</span>' if "seconds" in case else ""
    return (
        f'<span class="sign" role="img" aria-label="{word}">{sign}</span> '
        f'<code class="id">{escape(case["id"])}</code> '
        f'<span class="op">{escape(case["op"])}</span>{time}'
    )


def _fact(name: str, value: str) -> str:
    return f"<dt>{name}</dt><dd>{value}</dd>"


def _pair(what: str, expected: Marked, got: Marked) -> str:
    """Both sides, beside each other where there is room."""
    nothing = '<span class="none">nothing</span>'
    sides = "".join(
        f'<div class="{side}"><h4>{side.capitalize()}</h4>'
        f"{_box(_marked(marked) or nothing, what + side)}</div>"
        for side, marked in (("expected", expected), ("got", got))
    )
    return f'<div class="pair">{sides}</div>'


def _marked(marked: Marked) -> str:
    return "".join(f"<mark>{escape(t)}</mark>" if on else escape(t) for t, on in marked)


def _box(content: str, label: str) -> str:
    """A box that scrolls within itself, and so must be reachable by the keyboard."""
    return f'<pre tabindex="0" role="region" aria-label="{escape(label)}">{content}</pre>'


def _differences(differences: list[Data]) -> str:
    rows = "".join(
        f"<tr><th scope=row>{escape(each['path'] or 'answer')}</th>"
        f"<td>{escape(each['expected'])}</td><td>{escape(each['got'])}</td></tr>"
        for each in differences
    )
    return (
        f"<details class=more><summary>All {len(differences)} differences</summary>"
        '<div class="scroll" tabindex="0" role="region" aria-label="differences">'
        "<table class=differences><thead><tr><th scope=col>place</th><th scope=col>expected</th>"
        f"<th scope=col>got</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )
