"""`evanesce vectors`: look at the test vectors, and check them."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from .checkout import coverage_text, script
from .commands import FAILED, finished, print_text, vectors_option
from .own import run_library
from .progress import Bar
from .runner import Settings
from .text import RunError, clipped, harmless
from .vectors import Case, Vectors

__all__ = ["add_vectors"]

MOST_COMMENT = 70


def add_vectors(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its own commands."""
    about = "look at the test vectors of the specification, and check them"
    parser = commands.add_parser("vectors", help=about, description=f"{about.capitalize()}.")
    within = parser.add_subparsers(dest="vectors_command", required=True)

    one = within.add_parser("list", help="list cases")
    one.add_argument("--op", metavar="OP", help="of this operation")
    one.add_argument("--file", metavar="NAME", help="of this file")
    one.add_argument("--spec", metavar="REQ-ID", help="that test this requirement")
    one.add_argument("--result", choices=("valid", "invalid"))
    one.add_argument("--json", action="store_true", help="print the whole cases as JSON")
    vectors_option(one)
    one.set_defaults(run=_list)

    one = within.add_parser("show", help="show one case")
    one.add_argument("id", metavar="ID")
    one.add_argument("--json", action="store_true", help="print it as JSON")
    vectors_option(one)
    one.set_defaults(run=_show)

    one = within.add_parser(
        "check", help="check the files, and then this library against every case"
    )
    one.add_argument("--only", action="append", default=[], metavar="PATTERN",
                     help="cases whose id or operation matches, with * and ?")  # fmt: skip
    one.add_argument("--quiet", action="store_true", help="show no progress")
    vectors_option(one)
    one.set_defaults(run=_check)

    one = within.add_parser("generate", help="write the vectors anew (in a checkout)")
    one.add_argument("--check", action="store_true", help="compare instead, and write nothing")
    vectors_option(one)
    one.set_defaults(run=_generate)

    one = within.add_parser("coverage", help="how many requirements the vectors test")
    one.add_argument("--check", action="store_true",
                     help="run the check of the checkout: is COVERAGE.md up to date?")  # fmt: skip
    vectors_option(one)
    one.set_defaults(run=_coverage)


def _list(options: argparse.Namespace) -> int:
    vectors = Vectors(options.vectors)
    names = vectors.names
    if options.file is not None:
        names = [f"{options.file.removesuffix('.json')}.json"]
    chosen = [
        case
        for name in names
        for case in vectors.file(name)
        if options.op in {None, case.op}
        and options.result in {None, case.result}
        and (options.spec is None or options.spec in case.spec)
    ]
    if not chosen:
        raise RunError("no case is like that")
    if options.json:
        print_text(json.dumps([_members(case) for case in chosen], indent=2))
        return 0
    width = max(len(case.id) for case in chosen)
    lines = [
        f"{case.id.ljust(width)}  {case.op}: "
        f"{case.reason or 'valid'}  {clipped(harmless(case.comment), MOST_COMMENT)}"
        for case in chosen
    ]
    print_text("\n".join([*lines, f"{len(chosen)} cases"]))
    return 0


def _members(case: Case) -> dict[str, Any]:
    """The case as it stands in its file, and the file's name."""
    return {
        "id": case.id, "spec": case.spec, "features": case.features, "comment": case.comment,
        "op": case.op, "parent": case.parent, "mutation": case.mutation, "in": case.input,
        "out": case.out, "trace": case.trace, "result": case.result, "reason": case.reason,
        "file": case.file,
    }  # fmt: skip


def _show(options: argparse.Namespace) -> int:
    case = Vectors(options.vectors).case(options.id)
    if options.json:
        print_text(json.dumps(_members(case), indent=2))
        return 0
    told = "valid" if case.valid else f"invalid: {case.reason}"
    lines = [
        case.id,
        f"  {case.comment}",
        f"  {case.file}, operation {case.op}, {told}",
        f"  tests {', '.join(case.spec)}",
    ]
    if case.features:
        lines.append(f"  needs {', '.join(case.features)}")
    if case.parent is not None:
        lines.append(f"  made from {case.parent}")
    if case.mutation is not None:
        lines.append(f"  changed: {case.mutation}")
    parts = [("in", case.input), *((("out", case.out),) if case.valid else ())]
    if case.trace:
        parts.insert(1, ("trace", [list(pair) for pair in case.trace]))
    for name, value in parts:
        lines += ["", name]
        if name == "trace":
            lines += [f"  {each}: {json.dumps(value)}" for each, value in case.trace]
        else:
            text = json.dumps(value, indent=2, ensure_ascii=False)
            lines += [f"  {line}" for line in text.splitlines()]
    print_text(harmless("\n".join(lines)))
    return 0


def _check(options: argparse.Namespace) -> int:
    vectors = Vectors(options.vectors)
    if faults := vectors.faults():
        print_text("\n".join(f"FAULT {fault}" for fault in faults))
        return FAILED
    chosen = vectors.select(options.only)
    print_text(f"{vectors.v1}: {len(vectors.names)} files, whole.\n")
    settings = Settings(complete=True, only=tuple(options.only))
    with Bar(len(chosen), quiet=options.quiet) as progress:
        run = run_library(vectors, settings, progress)
    return finished(run)


def _generate(options: argparse.Namespace) -> int:
    return _script("generate.py", options)


def _coverage(options: argparse.Namespace) -> int:
    if options.check:
        return _script("coverage.py", options)

    print_text(coverage_text(Vectors(options.vectors)))
    return 0


def _script(name: str, options: argparse.Namespace) -> int:
    """Run a script of the checkout, with the two options that both have."""
    arguments = ["--check"] if options.check else []
    if options.vectors is not None:
        arguments += ["--vectors", str(options.vectors)]
    return subprocess.run(  # noqa: S603  a script of this checkout
        [sys.executable, str(script(name)), *arguments], check=False
    ).returncode

