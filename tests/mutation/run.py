"""Mutation testing: `python tests/mutation/run.py [module ...]`, from anywhere.

Prints for each module how many mutants there are and what became of them, and each that survived.
The exit status is 1 when fewer than 95 % of a module's mutants are killed, when a survivor has no
entry in `survivors.toml`, or when an entry names a mutant that is killed or does not exist.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
TREE: Final = HERE.parents[1]
COPIED: Final = ("protocol", "spec", "tests", "vectors", "pyproject.toml")
ENOUGH: Final = 95.0  # percent
# What the tests import besides the library: once, in the parent of all forks.
WARM: Final = ("hypothesis", "msgpack", "nacl.bindings", "pytest_asyncio.plugin", "unittest.mock")


def main() -> int:
    """Copy the tree, so that nobody's edits come between two mutants, and run from the copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--here", action="store_true", help="not in a copy of the tree")
    parser.add_argument("--only", default="", help="mutants whose place starts with this")
    parser.add_argument("--every", type=int, default=1, help="each n-th mutant: a sample")
    args = parser.parse_args()
    if args.here:
        return run(args.modules, args.only, args.every)
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        for name in COPIED:
            copy = shutil.copytree if (TREE / name).is_dir() else shutil.copy
            copy(TREE / name, Path(folder) / name)
        script = Path(folder) / HERE.relative_to(TREE) / "run.py"
        command = [sys.executable, str(script), "--here", *sys.argv[1:]]
        return os.waitstatus_to_exitcode(os.spawnv(os.P_WAIT, sys.executable, command) << 8)


@dataclass
class Tally:
    """What became of the mutants of one module."""

    module: str
    killed: int = 0
    timeouts: int = 0
    survived: list[tuple[str, str, str, str]] = field(default_factory=list)
    unexplained: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.killed + self.timeouts + len(self.survived)

    @property
    def percentage(self) -> float:
        """Of those killed; one that no longer ends is killed."""
        return 100 * (self.killed + self.timeouts) / self.total

    def __str__(self) -> str:
        return (
            f"{self.module}: {self.total} mutants, {self.killed} killed, {self.timeouts} timeouts, "
            f"{len(self.survived)} survived ({self.unexplained} unexplained), "
            f"{self.percentage:.1f} %"
        )


def run(modules: list[str], only: str, every: int) -> int:
    """Try the mutants of each module; return the exit status."""
    os.chdir(TREE)
    sys.path[:0] = [str(TREE), str(TREE / "protocol")]
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
    os.environ["EVANESCE_PROFILE"] = "mutation"
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # whatever else is installed
    for name in WARM:
        importlib.import_module(name)
    from hypothesis import Phase, settings

    from tests.mutation.layers import LAYERS

    # The same examples in every run, and no search for the smallest: one failure is enough.
    settings.register_profile(
        "mutation", max_examples=40, deadline=None, derandomize=True, database=None,
        phases=(Phase.explicit, Phase.generate),
    )  # fmt: skip
    whole = not only and every == 1
    tallies = [_run_module(module, only, every, whole) for module in modules or LAYERS]
    print()
    for tally in tallies:
        print(tally)
    stale = _stale(tallies) if whole else []
    for line in stale:
        print(f"explained, but no survivor: {line}")
    failed = any(tally.unexplained or tally.percentage < ENOUGH for tally in tallies)
    return 1 if failed or stale else 0


def _run_module(module: str, only: str, every: int, whole: bool) -> Tally:
    from tests.mutation.layers import LAYERS
    from tests.mutation.mutants import mutants_of
    from tests.mutation.survivors import read_survivors
    from tests.mutation.trial import Verdict, try_source
    from tests.mutation.vector_files import cases_of

    layer = LAYERS[module]
    path = TREE / "protocol" / "evanesce" / f"{module}.py"
    source = path.read_text(encoding="utf-8")
    os.environ["EVANESCE_MUTATION_VECTORS"] = ",".join(layer.vectors)
    for name in layer.vectors:
        cases_of(name)
    stages = [[layer.tests[0]], [*layer.tests[1:]]]
    stages[1] += ["tests/mutation/vector_checks.py"] * bool(layer.vectors)
    sound = [try_source(module, str(path), source, stages, 600, silent=s) for s in (False, True)]
    if any(each.verdict is not Verdict.SURVIVED for each in sound):
        raise SystemExit(f"{module}: its tests fail without a mutant")
    seconds = int(3 * sound[1].seconds) + 5
    mutants = [m for m in mutants_of(module, source) if m.where.startswith(only)][::every]
    print(f"{module}: {len(mutants)} mutants, {sound[1].seconds:.1f} s for one that survives")
    explained = {survivor.key for survivor in read_survivors()}
    tally = Tally(module)
    for mutant in mutants:
        outcome = try_source(module, str(path), mutant.source, stages, seconds)
        if outcome.verdict is Verdict.KILLED:
            tally.killed += 1
        elif outcome.verdict is Verdict.TIMEOUT:
            tally.timeouts += 1
        else:
            key = (module, mutant.where, mutant.before, mutant.after)
            tally.survived.append(key)
            if key not in explained:
                tally.unexplained += 1
                print(f"{module}.py:{mutant.line} {mutant.where}")
                print(f"  - {mutant.before}\n  + {mutant.after}", flush=True)
    print(tally, flush=True)
    return tally


def _stale(tallies: list[Tally]) -> list[str]:
    """Entries of the modules run that explain no mutant that survived."""
    from tests.mutation.survivors import read_survivors

    found = {key for tally in tallies for key in tally.survived}
    modules = {tally.module for tally in tallies}
    return [
        f"{entry.module} {entry.where}: {entry.before} -> {entry.after}"
        for entry in read_survivors()
        if entry.module in modules and entry.key not in found
    ]


if __name__ == "__main__":
    raise SystemExit(main())
