"""One mutant's trial: its tests, in a fork of this process, with the mutant in the module's place.

The parent has imported pytest and what the tests need of other packages, but nothing of `evanesce`:
each fork imports the library anew, and takes the mutated source for one module. No file is written.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import CodeType, ModuleType
from typing import Final

import pytest

MEMORY: Final = 4 << 30
NOT_LOADED: Final = 99  # the tests never imported the module: they cannot judge it
OPTIONS: Final = (
    *("-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin"),
    # The parent has imported this plugin already, to save each fork the time.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
WRONG_USE: Final = (4, 5, NOT_LOADED)  # of pytest: wrong arguments, no tests


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, and the seconds of processor time that it took."""

    verdict: Verdict
    seconds: float


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, source: str) -> None:
        super().__init__(fullname, path)
        self.source = source
        self.used = False

    def get_code(self, fullname: str) -> CodeType:
        self.used = True
        return compile(self.source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Gives the mutated source for one module."""

    def __init__(self, fullname: str, path: str, source: str) -> None:
        self.fullname, self.loader = fullname, _Loader(fullname, path, source)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.fullname:
            return None
        return importlib.util.spec_from_file_location(
            fullname, self.loader.path, loader=self.loader
        )


def _run_tests(
    finder: _Finder, stages: Sequence[Sequence[str]], seconds: int, silent: bool
) -> int:
    """In the fork: bound what a mutant may use, put it in place, run the tests until one fails."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if silent:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    sys.meta_path.insert(0, finder)
    for tests in stages:
        code = int(pytest.main([*tests, *OPTIONS]))
        if not finder.loader.used:
            return NOT_LOADED
        if code:
            return code
    return 0


def try_source(
    module: str,
    path: str,
    source: str,
    stages: Sequence[Sequence[str]],
    seconds: int,
    *,
    silent: bool = True,
) -> Outcome:
    """Run the tests with `source` in the place of `evanesce.<module>`, for so much processor time.

    Each stage is collected only when the one before it has passed.
    """
    finder = _Finder(f"evanesce.{module}", path, source)
    sys.stdout.flush()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if not child:
        code = 3
        try:
            code = _run_tests(finder, stages, seconds, silent)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    status = _wait(child, wall=20 * seconds)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    if os.WIFSIGNALED(status):
        stopped = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        return Outcome(Verdict.TIMEOUT if stopped else Verdict.KILLED, spent)
    code = os.WEXITSTATUS(status)
    if code in WRONG_USE:
        raise RuntimeError(f"{module}: the tests did not run (exit status {code})")
    return Outcome(Verdict.KILLED if code else Verdict.SURVIVED, spent)


def _wait(child: int, wall: float) -> int:
    """Wait for the fork; stop one that sleeps for ever, which no limit of processor time does."""
    end = time.monotonic() + wall
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]
