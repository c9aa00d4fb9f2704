"""Which requirement is tested by what: writes `vectors/COVERAGE.md` and finds what is missing.

    python spec/coverage.py            writes the table
    python spec/coverage.py --check    compares instead

Either way it exits with 1 if an id is cited that no chapter defines; if a requirement of kind wire
has no case, one of kind state no test, or a duty does not stand in chapter 17.

A test cites a requirement by its id within the function: in a decorator, the docstring, the body or
a comment there. What stands between functions, or in helpers, is not counted.
"""

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CITED = re.compile(r"REQ-[A-Z]+-[0-9]+")
# At the beginning of a paragraph or list item; what is indented by four is an example.
DEFINED = re.compile(r"^ {0,3}(?:- )?\*\*(REQ-[A-Z]+-[0-9]+)\*\* \((\w+)\)", re.MULTILINE)
SHOWN = 3  # cases named in the table

Citations = dict[str, list[str]]  # id: who cites it, in order


class Requirement(NamedTuple):
    """A requirement as its chapter defines it."""

    id: str
    kind: str
    chapter: int


class Places(NamedTuple):
    """Where everything lies: not all of it need be in one checkout."""

    spec: Path = ROOT / "spec"
    tests: Path = ROOT / "tests"
    package: Path = ROOT / "protocol" / "evanesce"
    vectors: Path = ROOT / "vectors"


class Coverage(NamedTuple):
    """What has been found."""

    requirements: list[Requirement]
    cases: Citations
    tests: Citations
    duties: set[str]
    elsewhere: Citations  # whole test files and the package: only to find ids that do not exist


def requirements(spec: Path) -> Iterator[Requirement]:
    """In the order of the text."""
    for path in sorted(spec.glob("[0-9]*.md")):
        for name, kind in DEFINED.findall(path.read_text("utf-8")):
            yield Requirement(name, kind, int(path.name[:2]))


def cited_by_cases(vectors: Path) -> Citations:
    found: Citations = {}
    manifest = json.loads((vectors / "v1" / "manifest.json").read_bytes())
    for name in manifest["files"]:
        for case in json.loads((vectors / "v1" / name).read_bytes())["cases"]:
            for requirement in case["spec"]:
                found.setdefault(requirement, []).append(case["id"])
    return found


def test_functions(text: str) -> Iterator[tuple[str, str]]:
    """Name and lines of each test function, its decorators included."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_"):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            yield node.name, "\n".join(lines[first - 1 : node.end_lineno])


def cited_by_tests(tests: Path) -> Citations:
    found: Citations = {}
    for path in sorted(tests.rglob("test_*.py")):
        for name, lines in test_functions(path.read_text("utf-8")):
            for requirement in sorted(set(CITED.findall(lines))):
                where = f"{path.relative_to(tests).as_posix()}::{name}"
                found.setdefault(requirement, []).append(where)
    return found


def cited_in_files(*folders: Path) -> Citations:
    found: Citations = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            for requirement in sorted(set(CITED.findall(path.read_text("utf-8")))):
                where = path.relative_to(folder.parent).as_posix()
                found.setdefault(requirement, []).append(where)
    return found


def collect(places: Places) -> Coverage:
    application = (places.spec / "17-application.md").read_text("utf-8")
    return Coverage(
        list(requirements(places.spec)), cited_by_cases(places.vectors),
        cited_by_tests(places.tests), set(CITED.findall(application)),
        cited_in_files(places.tests, places.package),
    )  # fmt: skip


def faults(coverage: Coverage) -> list[str]:
    """One line for each."""
    defined = {each.id for each in coverage.requirements}
    found = []
    for citations in (coverage.cases, coverage.elsewhere):
        for name in sorted(citations.keys() - defined):
            found.append(f"{name} is cited by {citations[name][0]}, and not defined")
    found += [f"{name} is cited in chapter 17, and not defined"
              for name in sorted(coverage.duties - defined)]  # fmt: skip
    for each in coverage.requirements:
        if each.kind == "wire" and each.id not in coverage.cases:
            found.append(f"{each.id} (wire) has no case")
        if each.kind == "state" and each.id not in coverage.tests:
            found.append(f"{each.id} (state) has no test")
        if each.kind == "duty" and each.id not in coverage.duties:
            found.append(f"{each.id} (duty) does not stand in chapter 17")
    return found


def table(coverage: Coverage) -> str:
    """`COVERAGE.md`."""
    rows = []
    for each in coverage.requirements:
        cases, tests = coverage.cases.get(each.id, []), coverage.tests.get(each.id, [])
        first = ", ".join(f"`{name}`" for name in cases[:SHOWN])
        more = ", …" if len(cases) > SHOWN else ""
        shown = f"{len(cases)}: {first}{more}" if cases else ""
        named = ", ".join(f"`{name}`" for name in tests)
        duty = "chapter 17" if each.kind == "duty" else ""
        listed = " ".join(part for part in (duty, named) if part)
        rows.append(f"| {each.id} | {each.kind} | {each.chapter} | {shown} | {listed} |")
    return "\n".join([
        *summary(coverage), "", "## Requirements", "",
        "| requirement | kind | chapter | cases | tests |", "| --- | --- | --- | --- | --- |",
        *rows, "",
    ])  # fmt: skip


def summary(coverage: Coverage) -> list[str]:
    """The head of the table: how many requirements there are, and how many are tested by what."""
    lines = [
        "# Coverage", "",
        "What tests which requirement. Made by `spec/coverage.py`, which finds no fault if each",
        "one of kind *wire* has a case in `v1`, each one of kind *state* a test that cites it,",
        "and each *duty* stands in chapter 17.", "",
        "| kind | requirements | with cases | with tests | in chapter 17 |",
        "| --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for kind in ("wire", "state", "duty"):
        ids = {each.id for each in coverage.requirements if each.kind == kind}
        counts = (len(ids & found) for found in (
            ids, coverage.cases.keys(), coverage.tests.keys(), coverage.duties))  # fmt: skip
        lines.append(f"| {kind} | " + " | ".join(map(str, counts)) + " |")
    return lines


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Tell which requirement is tested by what.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--vectors", type=Path, help="the folder that holds v1/ and COVERAGE.md",
                        default=Places().vectors)  # fmt: skip
    options = parser.parse_args(arguments)
    coverage = collect(Places(vectors=options.vectors))
    found, path = faults(coverage), options.vectors / "COVERAGE.md"
    made = table(coverage).encode()
    if not options.check:
        path.write_bytes(made)
    elif not path.is_file() or path.read_bytes() != made:
        found.append(f"{path.name} is not what the table would be")
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
