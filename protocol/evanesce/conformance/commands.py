"""`evanesce conformance` and what it shares with `evanesce vectors check`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from .progress import Bar
from .report import FORMATS, write_reports
from .runner import Run, Settings, read_expected, run_harness
from .summary import as_text
from .text import RunError
from .vectors import Vectors

__all__ = ["add_conformance", "finished", "print_text", "split_command", "vectors_option"]

FAILED, CANNOT_RUN, INTERRUPTED = 1, 2, 130


def split_command(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Part our own arguments from the command of the harness, at the first --."""
    given = list(arguments)
    if given[:1] != ["conformance"] or "--" not in given:
        return given, None
    at = given.index("--")
    return given[:at], given[at + 1 :]


def vectors_option(parser: argparse.ArgumentParser) -> None:
    """The folder of vectors, for those who work on them."""
    parser.add_argument(
        "--vectors", type=Path, metavar="DIR",
        help="the folder that holds v1/, instead of this installation's own",
    )  # fmt: skip


def add_conformance(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "conformance",
        usage="evanesce conformance [options] -- COMMAND [ARG ...]",
        help="run another implementation through the test vectors",
        description="Start COMMAND, a harness around an implementation (chapter 21 of the "
        "specification), send it every test vector that it can do, and compare. Exit code 0: all "
        "passed; 1: a case failed; 2: it could not be run. Needs a POSIX system.",
    )
    add = parser.add_argument
    add("--only", action="append", default=[], metavar="PATTERN",
        help="cases whose id or operation matches, with * and ?; may be repeated")  # fmt: skip
    add("--timeout", type=_seconds, default=60.0, metavar="SECONDS",
        help="for one case (60); ten times that for one with the feature large")  # fmt: skip
    add("--max-answer", type=_mebibytes, default=64 << 20, metavar="MIB",
        help="the longest answer, in MiB (64)")  # fmt: skip
    add("--reasons", choices=("strict", "lenient"), default="strict",
        help="whether a refusal must have the right reason code")  # fmt: skip
    add("--expected-failures", type=Path, metavar="FILE",
        help="ids of cases that are known to fail, one a line")  # fmt: skip
    add("--complete", action="store_true", help="a case skipped or not offered is a failure")
    for name in FORMATS:
        add(f"--{name}", type=Path, metavar="FILE", help=f"write a report as {name}")
    add("--date", metavar="TEXT", help="a date to show in the reports; they have none by default")
    add("--times", action="store_true", help="tell in the reports how long each case took")
    add("--quiet", action="store_true", help="show no progress")
    vectors_option(parser)
    parser.set_defaults(run=_conformance, command_of_harness=None)


def finished(run: Run) -> int:
    """Print the end of a run; give its exit code."""
    print_text(as_text(run))
    return 0 if run.ok else FAILED


def _conformance(options: argparse.Namespace) -> int:
    if not options.command_of_harness:
        raise RunError("no harness: its command comes last, after --")
    vectors = Vectors(options.vectors)
    expected: frozenset[str] = frozenset()
    if options.expected_failures is not None:
        expected = read_expected(options.expected_failures, vectors)
    settings = Settings(
        options.reasons, options.timeout, options.max_answer, expected, options.complete,
        tuple(options.only),
    )  # fmt: skip
    reports = {name: getattr(options, name) for name in FORMATS if getattr(options, name)}
    for path in reports.values():
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise RunError(f"{path}: cannot be written")
    try:
        with _ended_by_signals():
            run = _run(vectors, options.command_of_harness, settings, options.quiet)
            if reports:
                write_reports(run, reports, date=options.date, times=options.times)
    except KeyboardInterrupt:
        print("evanesce: interrupted", file=sys.stderr)
        return INTERRUPTED
    return finished(run)


def _run(vectors: Vectors, command: Sequence[str], settings: Settings, quiet: bool) -> Run:
    with Bar(len(vectors.select(settings.only)), quiet=quiet) as progress:
        return run_harness(vectors, command, settings, progress)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """The harness is in a session of its own and hears no signal: our end must be its end too."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signals() -> list[signal.Signals]:
    return [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def print_text(text: str) -> None:
    """Whatever the terminal's encoding, the texts are printed as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")
    sys.stdout.flush()


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 86400")
    return value


def _mebibytes(text: str) -> int:
    value = float(text)
    if not 0 < value <= 4_096:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 4096")
    return int(value * (1 << 20))
