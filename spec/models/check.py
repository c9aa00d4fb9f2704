"""Runs the models of this directory through ProVerif, and compares with `expected.json`.

    python spec/models/check.py                 runs all; exit 2 where `proverif` is not on the path
    python spec/models/check.py --if-present    there it says so and exits 0
    python spec/models/check.py epoch.pv        runs one model and its flawed twins
    python spec/models/check.py --write DIR     writes the files that ProVerif gets, runs nothing

A model holds queries, each under a comment `(* query NAME: words *)` and up to an empty line, and
may hold flaws: a line that ends with `(* flaw NAME: CODE *)` is `CODE` in the flawed twin NAME. A
twin is asked only the queries that `expected.json` names for it. One line is printed for each
query; the exit status is 1 if any result is another than the expected one.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
LIBRARY = "common.pvl"
VERSION = "2.05"  # the results beside this file are those of this one
TIMEOUT = 600.0  # seconds, for one model or twin; the slowest needs 50 of a processor
RESULTS = ("true", "false", "unproved", "timeout")

QUERY = re.compile(r"^\(\* query ([a-z0-9-]+): (.*?) \*\)\nquery (.*?\.)\n(?=\n)", re.M | re.S)
FLAW = re.compile(r"^(.*?)[ ]*\(\* flaw ([a-z0-9-]+):(.*?)\*\)$", re.M)
VERDICT = re.compile(r"^(?:- )?Query (.*?) (is true|is false|cannot be proved)\.$", re.M)
NAMES = {"is true": "true", "is false": "false", "cannot be proved": "unproved"}

Expected = dict[str, dict[str, dict[str, str]]]  # model, flaw or "", query: result


class Query(NamedTuple):
    """A query as its model states it."""

    name: str
    words: str
    code: str


class UnreadableError(Exception):
    """ProVerif said something else than a verdict for each query."""


def queries(text: str) -> list[Query]:
    """Those of a model, in order."""
    return [Query(*match) for match in QUERY.findall(text)]


def flaws(text: str) -> list[str]:
    """The names of the flaws that a model offers, sorted."""
    return sorted({name for _, name, _ in FLAW.findall(text)})


def variant(text: str, flaw: str, wanted: Sequence[str]) -> str:
    """A model with a flaw, or with none for "", and of its queries only those wanted."""
    if flaw and flaw not in flaws(text):
        raise ValueError(f"no flaw {flaw}")
    text = FLAW.sub(lambda m: m[3].strip() if m[2] == flaw else m[1], text)
    return QUERY.sub(lambda m: m[0] if m[1] in wanted else "", text)


def events(code: str) -> list[str]:
    """The events of a query in their order, by which a verdict is seen to belong to it."""
    return re.findall(r"event\((\w+)", code)


def verdicts(output: str, asked: Sequence[Query]) -> dict[str, str]:
    """The result of each query, from the summary at the end of ProVerif's output."""
    _, found, summary = output.rpartition("Verification summary:")
    lines = VERDICT.findall(summary) if found else []
    if len(lines) != len(asked):
        raise UnreadableError(f"{len(lines)} verdicts on {len(asked)} queries")
    results = {}
    for query, (text, verdict) in zip(asked, lines, strict=True):
        if events(query.code) != events(text):
            raise UnreadableError(f"the verdict in the place of {query.name} is on another query")
        results[query.name] = NAMES[verdict]
    return results


def load(directory: Path = HERE) -> Expected:
    """The expected results."""
    expected: Expected = json.loads((directory / "expected.json").read_text("utf-8"))
    return expected


def file_name(model: str, flaw: str) -> str:
    """Under which a model or twin is written."""
    return model.replace(".pv", f".{flaw}.pv") if flaw else model


def run(proverif: str, model: Path, asked: Sequence[Query], timeout: float) -> dict[str, str]:
    """The result of each query of a file, by ProVerif."""
    command = [proverif, "-lib", str(model.parent / LIBRARY), str(model)]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return {query.name: "timeout" for query in asked}
    try:
        return verdicts(done.stdout, asked)
    except UnreadableError as error:
        said = (done.stdout + done.stderr).strip().splitlines()
        last = said[-1] if said else "no output"
        raise UnreadableError(f"{model.name}: {error}: {last}") from None


def version(proverif: str) -> str:
    """The version of a binary, as its own help gives it."""
    command = [proverif, "-help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r"[Pp]roverif (\S+?)\.\s", done.stdout + done.stderr)
    return found[1] if found else "unknown"


def processor_time() -> float:
    """Seconds that programs run by this one have used, however busy the machine is."""
    spent = os.times()
    return spent.children_user + spent.children_system


def check(proverif: str, expected: Expected, directory: Path, timeout: float) -> int:
    """How many queries gave another result than expected; one line is printed for each query."""
    different = 0
    for model, runs in expected.items():
        text = (HERE / model).read_text("utf-8")
        for flaw, wanted in runs.items():
            path = directory / file_name(model, flaw)
            asked = [query for query in queries(text) if query.name in wanted]
            begun = processor_time()
            try:
                results = run(proverif, path, asked, timeout)
            except UnreadableError as error:
                print(f"FAILED {error}")
                results = {}
            took = processor_time() - begun
            for name, wish in wanted.items():
                result = results.get(name, "none")
                different += result != wish
                mark = "ok    " if result == wish else "DIFFER"
                print(f"{mark} {path.name} {name}: {result}, expected {wish}", flush=True)
            print(f"       {path.name}: {took:.1f} s", flush=True)
    return different


def write(expected: Expected, directory: Path) -> None:
    """The files as ProVerif gets them."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / LIBRARY, directory)
    for model, runs in expected.items():
        text = (HERE / model).read_text("utf-8")
        for flaw, wanted in runs.items():
            path = directory / file_name(model, flaw)
            path.write_text(variant(text, flaw, list(wanted)), "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Runs the ProVerif models of the specification.")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="only these, such as epoch.pv")
    parser.add_argument("--if-present", action="store_true", help="exit 0 if there is no proverif")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for one file")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write the files, run nothing")
    options = parser.parse_args(arguments)

    expected = load()
    if unknown := set(options.models) - set(expected):
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    if options.models:
        expected = {model: expected[model] for model in expected if model in options.models}
    if options.write:
        write(expected, options.write)
        return 0

    proverif = shutil.which("proverif")
    if proverif is None:
        print("proverif is not on the path: the symbolic models were NOT run")
        return 0 if options.if_present else 2
    found = version(proverif)
    note = "" if found == VERSION else f"; the expected results are those of {VERSION}"
    print(f"ProVerif {found}, {proverif}{note}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        write(expected, Path(directory))
        different = check(proverif, expected, Path(directory), options.timeout)
    total = sum(len(wanted) for runs in expected.values() for wanted in runs.values())
    print(f"{total} queries, {different} with another result than expected")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
