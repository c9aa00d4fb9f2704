"""The demo's outcome, for people and as data."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from .play import Outcome, PlayedPart, SpokenLine
from .script import Line, What
from .wire import MailboxDisclosed

__all__ = ["as_data", "as_text"]

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_NAME_COLOURS = ("36", "35", "33", "34", "32", "31")
WIDTH = 96


def as_data(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain JSON values."""
    return {
        "ok": outcome.ok,
        "rooms": [_part_data(part) for part in outcome.parts],
        "transport": {
            "envelopes": outcome.envelopes,
            "mailboxes": outcome.mailboxes,
            "sizes": {str(size): count for size, count in outcome.sizes.items()},
            "sample": outcome.sample.hex(),
        },
        **({"disclosed": [_disclosed_data(each) for each in outcome.disclosed]}
           if outcome.disclosed else {}),
        "claims": [
            {"id": claim.id, "claim": claim.claim, "holds": claim.holds, "found": claim.found}
            for claim in outcome.claims
        ],
    }


def _disclosed_data(mailbox: MailboxDisclosed) -> dict[str, Any]:
    return {"mailbox": mailbox.address.hex(), "exists": mailbox.exists,
            "envelopes": mailbox.envelopes, "held": mailbox.held,
            "ledger_entry": mailbox.entry}  # fmt: skip


def _part_data(part: PlayedPart) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    for step in part.steps:
        if isinstance(step, SpokenLine):
            seen = dict(sorted(step.seen.items()))
            steps.append({"say": step.by, "text": step.text, "seen": seen})
        else:
            steps.append({step.what.value: step.name})
    return {"title": part.title, "kind": "direct" if part.direct else "group",
            "epochs": part.epochs + 1, "transcripts": part.transcripts, "steps": steps}  # fmt: skip


class _Paint:
    """Adds colour where the output takes it."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, *styles: str) -> str:
        if not self._colour or not styles:
            return text
        codes = ";".join(_STYLES.get(style, style) for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"


def _width(text: str) -> int:
    """How many columns a terminal gives to `text`: Korean letters take two."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _fit(text: str, width: int) -> str:
    """`text` in exactly `width` columns, cut if need be."""
    if _width(text) > width:
        while _width(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - _width(text))


def _printable(text: str) -> str:
    """`text` without characters that would move a terminal's cursor."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def as_text(outcome: Outcome, *, colour: bool) -> str:
    """The outcome to read in a terminal."""
    paint = _Paint(colour)
    lines: list[str] = []
    for part in outcome.parts:
        lines += _part_text(part, paint)
    sizes = ", ".join(f"{count} of {size:,} B" for size, count in outcome.sizes.items())
    lines += [
        paint("What the transport saw", "bold"),
        f"  {outcome.envelopes} envelopes to {outcome.mailboxes} mailboxes: {sizes}",
        paint(f"  the last one begins {outcome.sample.hex(' ', 4)}", "dim"),
        "",
        paint("Then every message was viewed and left to evaporate, every device and the whole "
              "log seized, and this tried:", "bold"),
    ]  # fmt: skip
    for claim in outcome.claims:
        mark = paint("✓", "green", "bold") if claim.holds else paint("✗", "red", "bold")
        lines.append(f"  {mark} {_printable(claim.claim)}")
        lines.append(paint(f"      {_printable(claim.found)}", "dim"))
    lines += _disclosed_text(outcome.disclosed, paint)
    verdict = (
        paint("Every claim holds.", "green", "bold")
        if outcome.ok
        else paint("A claim does not hold.", "red", "bold")
    )
    return "\n".join([*lines, "", verdict])


def _disclosed_text(mailboxes: Sequence[MailboxDisclosed], paint: _Paint) -> list[str]:
    """What the relay has disclosed of each mailbox, as a table."""
    if not mailboxes:
        return []
    head = f"  {'mailbox':18}{'there':>7}{'envelopes':>11}   held beside that"
    lines = ["", paint("What the relay disclosed of every mailbox, on a warrant", "bold"),
             paint(head, "dim")]  # fmt: skip
    for mailbox in mailboxes:
        there = "yes" if mailbox.exists else "closed"
        beside = [name for name in mailbox.held if name not in ("envelopes", "envelope_ids")]
        row = f"  {mailbox.address.hex()[:16]:18}{there:>7}{mailbox.envelopes:>11}   "
        row += ", ".join(_printable(name) for name in beside) or "nothing"
        lines.append(paint(row, *(["red"] if mailbox.envelopes else [])))
    return lines


def _named(step: SpokenLine | Line) -> tuple[str, ...]:
    return (step.by, *step.expected) if isinstance(step, SpokenLine) else (step.name,)


def _part_text(part: PlayedPart, paint: _Paint) -> list[str]:
    """One room: each message, and to the right who saw it."""
    names = list(dict.fromkeys(name for step in part.steps for name in _named(step)))
    colours = {name: _NAME_COLOURS[n % len(_NAME_COLOURS)] for n, name in enumerate(names)}
    column = max(_width(name) for name in names)
    column = min(column, 16)
    columns = [max(3, min(_width(name), 10)) for name in names]
    text_width = max(24, WIDTH - column - sum(columns) - len(columns) - 6)
    kind = "1:1 room" if part.direct else f"group of up to {len(names)}"
    title = f"{_printable(part.title)} — {kind}, {part.epochs + 1} epochs"
    header = " ".join(_fit(_printable(name), width)
                      for name, width in zip(names, columns, strict=True))  # fmt: skip
    lines = [paint(title, "bold"), paint(" " * (column + text_width + 5) + header, "dim")]
    for step in part.steps:
        if not isinstance(step, SpokenLine):
            joins = step.what is What.JOIN
            sign, word = ("+", "joins") if joins else ("−", "is removed")
            lines.append(paint(f"  {sign} {_printable(step.name)} {word}", "yellow"))
            continue
        marks = []
        for name, width in zip(names, columns, strict=True):
            if name == step.by:
                mark = paint(_fit("·", width), "dim")
            elif name in step.seen:
                right = step.seen[name] == step.text
                mark = paint(_fit("✓" if right else "✗", width), "green" if right else "red")
            else:
                mark = paint(_fit("—", width), "dim")
            marks.append(mark)
        who = paint(_fit(_printable(step.by), column), colours[step.by], "bold")
        lines.append(f"  {who}  {_fit(_printable(step.text), text_width)} {' '.join(marks)}")
    return [*lines, ""]
