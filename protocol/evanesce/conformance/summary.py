"""The end of a run on a terminal: what failed, a table by file, and the exit status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .runner import Outcome, Run, Status

__all__ = ["COLUMNS", "counts_by_file", "as_text", "table"]

MOST_SHOWN = 20

# How the statuses are told in a table; an unexpected pass counts as a failure.
COLUMNS: dict[str, tuple[Status, ...]] = {
    "passed": ("passed",),
    "failed": ("failed", "unexpected-pass"),
    "expected": ("expected-failure",),
    "skipped": ("skipped",),
    "not offered": ("not-offered",),
    "not run": ("not-run",),
}


def counts_by_file(outcomes: Iterable[Outcome]) -> dict[str, dict[str, int]]:
    """For each file, in order, how many cases are in each column."""
    statuses: dict[str, Counter[Status]] = {}
    for each in outcomes:
        statuses.setdefault(each.case.file, Counter())[each.status] += 1
    return {
        file: {name: sum(counted[s] for s in meant) for name, meant in COLUMNS.items()}
        for file, counted in statuses.items()
    }


def table(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """The counts as rows of texts: a head, a row for each file, a sum. `not run` only if any is."""
    by_file = counts_by_file(outcomes)
    total = {name: sum(counts[name] for counts in by_file.values()) for name in COLUMNS}
    names = [name for name in COLUMNS if name != "not run" or total[name]]
    rows = [["file", *names]]
    for file, counts in [*by_file.items(), ("all", total)]:
        rows.append([file.removesuffix(".json"), *(str(counts[name]) for name in names)])
    return rows


def as_text(run: Run) -> str:
    """What failed, the table, the notes, and one line that says how it went."""
    bad = [each for each in run.outcomes if each.status in {"failed", "unexpected-pass"}]
    lines = [f"FAILED {each.case.id}: {each.message}" for each in bad[:MOST_SHOWN]]
    if len(bad) > MOST_SHOWN:
        lines.append(f"... and {len(bad) - MOST_SHOWN} more")
    if bad:
        lines.append("")
    rows = table(run.outcomes)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]))
    lines.append("")
    lines += run.notes
    about = run.harness
    lines.append(
        f"{about.name} {about.version}, vectors {run.vectors}: "
        + ("conforms in all that was run." if run.ok else "does not conform.")
    )
    return "\n".join(lines)
