"""Known attacks and what answers them: writes `spec/23-attacks.md` from `attacks.toml`.

    python spec/attacks.py            writes the chapter
    python spec/attacks.py --check    compares instead

Either way it exits with 1 if the chapter names something that does not exist, or too little. Each
row needs a requirement that a chapter defines and a test that pytest collects and does not skip;
each one that shows on the wire a vector that is refused. A vector is named with its reason, which
has to be its own or that of a step in it; and it has to cite one of the requirements of its row.
"""

import argparse
import ast
import json
import re
import sys
import textwrap
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spec.coverage import CITED, DEFINED

ROOT = Path(__file__).resolve().parents[1]
STATUS = {"answered": "answered", "part": "in part", "later": "not in this version"}
TEXTS = ("title", "attack", "had_by", "requirement", "answer", "open", "status")
LISTS = ("requirements", "tests", "vectors")
LINK = re.compile(r"\[[^\]]*\]\(([^)]+)\)")


class Vector(NamedTuple):
    """A case, and the reason for which it, or a step in it, is refused; "" if none is meant."""

    file: str
    case: str
    reason: str


class Row(NamedTuple):
    """An attack, as the data file tells it."""

    number: int
    title: str
    attack: str
    had_by: str
    requirement: str
    answer: str
    open: str  # what is not answered
    status: str
    unseen: str  # why nothing of it shows on the wire; "" if it does
    requirements: list[str]
    tests: list[str]
    vectors: list[Vector]


class Places(NamedTuple):
    """Where everything lies."""

    spec: Path = ROOT / "spec"
    tests: Path = ROOT / "tests"
    vectors: Path = ROOT / "vectors" / "v1"
    page: Path = ROOT / "spec" / "23-attacks.md"
    data: Path = ROOT / "spec" / "attacks.toml"


class Known(NamedTuple):
    """What can be named: requirements with chapter and anchor, tests, cases."""

    requirements: dict[str, tuple[str, str]]
    tests: set[str]
    cases: dict[tuple[str, str], dict[str, Any]]


def row(number: int, told: dict[str, Any]) -> Row:
    """Raise `ValueError` if a field is missing, of another type, or unknown."""
    fields = {name: told.get(name) for name in TEXTS} | {"unseen": told.get("unseen", "")}
    lists = {name: told.get(name, []) for name in LISTS}
    if unknown := told.keys() - fields.keys() - lists.keys() - {"number"}:
        raise ValueError(f"row {number}: unknown {', '.join(sorted(unknown))}")
    bad = [name for name, text in fields.items()
           if not isinstance(text, str) or (name in TEXTS and not text.strip())]  # fmt: skip
    bad += [name for name, items in lists.items()
            if not isinstance(items, list) or not all(isinstance(each, str) for each in items)]
    if told.get("number") != number:
        bad.append("number")
    if bad:
        raise ValueError(f"row {number}: bad or missing {', '.join(bad)}")
    texts = {name: " ".join(text.split()) for name, text in fields.items() if text is not None}
    split = [[*vector.split("::"), "", ""][:3] for vector in lists["vectors"]]
    return Row(number, **texts, requirements=lists["requirements"], tests=lists["tests"],
               vectors=[Vector(*parts) for parts in split])  # fmt: skip


def load(data: Path) -> list[Row]:
    """The rows, numbered from 1 without a gap."""
    told = tomllib.loads(data.read_text("utf-8"))["row"]
    return [row(number, each) for number, each in enumerate(told, 1)]


# --- what there is -------------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """What a heading is linked by, as the common renderers make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    """Those of a page; a heading that comes again gets a number."""
    found: Counter[str] = Counter()
    names = set()
    fenced = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#{1,6} (.*)$", fenced, re.MULTILINE):
        name = anchor(heading)
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def requirements(spec: Path) -> dict[str, tuple[str, str]]:
    """Each one's chapter, and the heading it stands under."""
    found = {}
    for path in sorted(spec.glob("[0-9]*.md")):
        text = path.read_text("utf-8")
        for match in DEFINED.finditer(text):
            heading = re.findall(r"^#{1,6} (.*)$", text[: match.start()], re.MULTILINE)[-1]
            found[match[1]] = (path.name, anchor(heading))
    return found


def collected(text: str) -> Iterator[str]:
    """The test functions of a file that nothing keeps from being run."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_":
            marks = " ".join(ast.unparse(each) for each in node.decorator_list)
            if not re.search(r"\b(skip|skipif|xfail)\b", marks):
                yield node.name


def tests(folder: Path) -> set[str]:
    return {
        f"{path.relative_to(folder).as_posix()}::{name}"
        for path in folder.rglob("test_*.py")
        for name in collected(path.read_text("utf-8"))
    }


def cases(vectors: Path) -> dict[tuple[str, str], dict[str, Any]]:
    names = json.loads((vectors / "manifest.json").read_bytes())["files"]
    return {
        (name, case["id"]): case
        for name in names
        for case in json.loads((vectors / name).read_bytes())["cases"]
    }


def known(places: Places) -> Known:
    return Known(requirements(places.spec), tests(places.tests), cases(places.vectors))


def reasons(value: object, within: str = "") -> Iterator[str]:
    """For what something is refused in the outcome of a case."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from reasons(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from reasons(inner, within)
    elif isinstance(value, str) and within in ("reason", "outcomes"):
        yield value


def refused_for(case: dict[str, Any]) -> set[str]:
    return {*reasons(case["out"]), *([case["reason"]] if case["result"] == "invalid" else [])}


# --- what is wrong -------------------------------------------------------------------------------


def faults_of(row: Row, there: Known) -> Iterator[str]:
    for name in LISTS:
        for item, count in Counter(getattr(row, name)).items():
            if count > 1:
                yield f"{item} is named twice"
    if row.status not in STATUS:
        yield f"{row.status} is no status"
    if not row.requirements:
        yield "no requirement"
    if not row.tests:
        yield "no test"
    if bool(row.unseen) == any(vector.reason for vector in row.vectors):
        yield "a vector that is refused, or why there is none: one of both"
    texts = " ".join(text for text in row if isinstance(text, str))
    for requirement in (*row.requirements, *CITED.findall(texts)):
        if requirement not in there.requirements:
            yield f"{requirement} is not defined"
    for test in row.tests:
        if test not in there.tests:
            yield f"{test} is no test that is run"
    for vector in row.vectors:
        case = there.cases.get((vector.file, vector.case))
        if case is None:
            yield f"there is no case {vector.case} in {vector.file}"
        elif not vector.reason and case["result"] != "valid":
            yield f"{vector.case} is refused: name the reason"
        elif vector.reason and vector.reason not in refused_for(case):
            yield f"{vector.case} refuses nothing for {vector.reason}"
        elif not set(case["spec"]) & set(row.requirements):
            yield f"{vector.case} cites no requirement of the row: {', '.join(case['spec'])}"


def faults(rows: list[Row], there: Known) -> list[str]:
    """One line for each."""
    titles = Counter(row.title for row in rows)
    found = [f"the title {title!r} comes twice" for title, n in titles.items() if n > 1]
    return found + [f"row {row.number}: {fault}" for row in rows for fault in faults_of(row, there)]


def broken_links(text: str, page: Path) -> list[str]:
    """Those of a page that lead to no file, or to no heading in it."""
    found = []
    for target in LINK.findall(text):
        name, _, heading = target.partition("#")
        path = page.parent / name
        if "://" in target:
            continue
        if name and not path.is_file():
            found.append(f"{target}: there is no such file")
        elif heading and heading not in anchors(path.read_text("utf-8") if name else text):
            found.append(f"{target}: there is no such heading")
    return found


# --- the page ------------------------------------------------------------------------------------


def heading(row: Row) -> str:
    return f"23.{row.number} {row.title}"


def section(row: Row, there: Known) -> list[str]:
    """What is told of one attack."""

    def requirement(name: str) -> str:
        chapter, at = there.requirements[name]
        return f"[{name}]({chapter}#{at})"

    def wrapped(text: str) -> str:
        linked = CITED.sub(lambda match: requirement(match[0]), text)
        return textwrap.fill(linked, 110, break_long_words=False, break_on_hyphens=False)

    def test(name: str) -> str:
        return f"[`{name}`](../tests/{name.partition('::')[0]})"

    def vector(each: Vector) -> str:
        outcome = f"`{each.reason}`" if each.reason else "accepted"
        return f"[`{each.file}` `{each.case}`](../vectors/v1/{each.file}) {outcome}"

    prose = (
        f"{row.attack} *Had by*: {row.had_by}.",
        f"*Required*: {row.requirement}",
        f"*Answer* ({STATUS[row.status]}): {row.answer}",
        f"*Not answered*: {row.open}",
    )

    return [
        f"## {heading(row)}", "",
        *(line for part in prose for line in (wrapped(part), "")),
        f"- requirements: {', '.join(map(requirement, row.requirements))}",
        *(f"- test: {test(name)}" for name in row.tests),
        *(f"- vector: {vector(each)}" for each in row.vectors),
        *([f"- on the wire: {row.unseen}"] if row.unseen else []), "",
    ]  # fmt: skip


HEAD = """\
# 23. Attacks

What went wrong in comparable systems, and what keeps it from going wrong here. Each attack was
possible in the systems named beside it, as they once were. For each one it is told what is
required against it, what answers it in this protocol, and what of it is not answered; then the
requirements, tests that make the attack and see it fail, and vectors: cases of `vectors/v1` that
are refused, each with its reason, or with that of the step in it that is. Where nothing of an
attack shows on the wire there are none, and it says so.

This chapter holds no requirements of its own, and is not written by hand: `spec/attacks.py` makes
it from `spec/attacks.toml`, and finds a fault if a requirement, test or vector that is named does
not exist, or none is named. What cannot be promised at all is in 16.2.
"""


def page(rows: list[Row], there: Known) -> str:
    """`23-attacks.md`. Raise `KeyError`: a requirement that is not defined."""
    table = [
        f"| [{row.number}](#{anchor(heading(row))}) | {row.title} | {row.had_by} | "
        f"{STATUS[row.status]} |"
        for row in rows
    ]
    lines = [HEAD, "| # | attack or weakness | had by | answered |", "| --- | --- | --- | --- |"]
    sections = [line for row in rows for line in section(row, there)]
    return "\n".join([*lines, *table, "", *sections[:-1], ""])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Tell what answers which known attack.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(arguments)
    places = Places()
    rows, there = load(places.data), known(places)
    found = faults(rows, there)
    if not found:
        made = page(rows, there)
        if not options.check:
            places.page.write_bytes(made.encode())
        elif not places.page.is_file() or places.page.read_bytes() != made.encode():
            found.append(f"{places.page.name} is not what would be made")
        found += broken_links(made, places.page)
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
