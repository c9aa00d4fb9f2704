"""Coverage-guided fuzzing of everything that reads what others write.

    python tests/fuzz/run.py --executions 1000000
    python tests/fuzz/run.py --target receive --target apply --executions 50000 --keep

Needs atheris (``pip install '.[fuzz]'``). Each target runs in a process of its own, one after the
other, from the kept corpus and from the test vectors. A fault does not end a run: the first input
of each kind is written to a folder, and the exit status is 1. ``--keep`` puts what was found into
the kept corpus, made small again.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MOST_KEPT = 250  # inputs of one target in the kept corpus
STATUS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/(\w+)")
DONE = re.compile(r"stat::number_of_executed_units: +(\d+)")
SPEED = re.compile(r"Done (\d+) runs in (\d+) second")


@dataclass(frozen=True)
class Row:
    """What has come of one target."""

    target: str
    executions: int
    coverage: int
    features: int
    corpus: int
    seconds: int
    faults: int
    ended: bool  # by itself: all executions were made

    def line(self) -> str:
        """For people."""
        speed = self.executions // max(1, self.seconds)
        return (f"{self.target:15} {self.executions:>10,} {self.coverage:>8,} {self.features:>9,}"
                f" {self.corpus:>7,} {self.faults:>7} {speed:>8,}"
                f"{'' if self.ended else '  ended early'}")  # fmt: skip


HEAD = f"{'target':15} {'executions':>10} {'edges':>8} {'features':>9} {'corpus':>7} {'faults':>7} {'per s':>8}"  # noqa: E501


def _paths() -> None:
    """Let this run as a script in a checkout."""
    for path in (str(ROOT), str(ROOT / "protocol")):
        if path not in sys.path:
            sys.path.insert(0, path)


# --- in the process of one target ----------------------------------------------------------------


def child(name: str, faults: Path, arguments: Sequence[str]) -> None:
    """Fuzz one target until all executions are made; never returns."""
    sys.path = [path for path in sys.path if Path(path or ".").resolve() != ROOT / "tests/fuzz"]
    _paths()
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["evanesce"]):
        targets = importlib.import_module("tests.fuzz.targets")
    choices = importlib.import_module("tests.fuzz.choices")
    ring = importlib.import_module("tests.fuzz.ring")
    keys = importlib.import_module("tests.fuzz.scenes").scene("member").ring
    target = targets.TARGETS[name]
    target.run(b"")  # what is made once is made before anything is measured
    known: dict[str, int] = {}

    def one(data: bytes) -> None:
        try:
            target.run(data)
        except Exception as error:
            _note(faults, known, data, error)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        """Every other mutation leaves an object canonical: a wrong length only ends decoding."""
        if seed & 1 or not data:
            return bytes(atheris.Mutate(data, most))
        head = data[:1] if name in ("forms", "frames", "commits") else b""
        dice = hashlib.shake_256(seed.to_bytes(8, "big")).digest(64)
        made = head + ring.mutate(data[len(head) :], choices.Choices(dice), keys)
        return made if made != data and len(made) <= most else bytes(atheris.Mutate(data, most))

    extra = {"custom_mutator": mutate} if target.raw and name not in ("text", "statements") else {}
    atheris.Setup([sys.argv[0], *arguments], one, **extra)
    atheris.Fuzz()


def _note(faults: Path, known: dict[str, int], data: bytes, error: BaseException) -> None:
    """Keep the smallest input of each kind of fault: by error and place."""
    frames = traceback.extract_tb(error.__traceback__)
    place = next((f for f in reversed(frames) if "/evanesce/" in f.filename), frames[-1])
    words = str(error)[:80] if isinstance(error, AssertionError) else ""
    kind = f"{type(error).__name__} {words} {Path(place.filename).name}:{place.lineno}"
    if known.get(kind, 1 << 30) <= len(data):
        return
    known[kind] = len(data)
    name = hashlib.sha256(kind.encode()).hexdigest()[:12]
    text = "".join(traceback.format_exception(error))
    told = {"kind": kind, "input": data.hex(), "traceback": text}
    (faults / f"{name}.json").write_text(json.dumps(told, indent=1))


# --- in the process that starts them -------------------------------------------------------------


def fuzz(name: str, executions: int, work: Path) -> Row:
    """Run one target for so many executions."""
    from tests.fuzz import corpus
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    found, faults = work / name / "corpus", work / name / "faults"
    found.mkdir(parents=True)
    faults.mkdir()
    begin = [*seeds(name), *corpus.load(name).values()]
    for data in begin:
        (found / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    libfuzzer = [f"-runs={executions}", f"-max_len={target.longest}", "-timeout=60",
                 "-rss_limit_mb=3000", "-print_final_stats=1", "-use_value_profile=0",
                 f"-artifact_prefix={faults}/", str(found)]  # fmt: skip
    done = subprocess.run(
        [sys.executable, __file__, "--child", name, "--faults", str(faults), "--", *libfuzzer],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, check=False,
    )  # fmt: skip
    log = done.stdout.decode(errors="replace")
    (work / name / "log").write_text(log)
    status, made, speed = STATUS.findall(log), DONE.findall(log), SPEED.findall(log)
    last = status[-1] if status else ("0", "0", "0", "")
    crashed = [p for p in faults.iterdir() if p.suffix != ".json"]  # out of time or memory
    return Row(
        name, int(made[-1]) if made else 0, int(last[0]), int(last[1]), int(last[2]),
        int(speed[-1][1]) if speed else 0, len(list(faults.glob("*.json"))) + len(crashed),
        done.returncode == 0 and bool(speed),
    )  # fmt: skip


def keep(name: str, work: Path) -> int:
    """Put what a run has found into the kept corpus; return its size in bytes."""
    from tests.fuzz import corpus
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS

    found = [path.read_bytes() for path in (work / name / "corpus").iterdir()]
    before = corpus.load(name)
    faults = {key: data for key, data in before.items() if key.startswith(corpus.FAULT)}
    for path in (work / name / "faults").glob("*.json"):
        faults[corpus.FAULT + path.stem] = bytes.fromhex(json.loads(path.read_text())["input"])
    made, _ = corpus.minimised(
        TARGETS[name].run, [*found, *before.values(), *seeds(name)], MOST_KEPT
    )
    return corpus.save(name, {**made, **faults})


def main() -> int:
    """Fuzz, and print the table."""
    parser = argparse.ArgumentParser(description="Fuzz what reads the input of others.")
    parser.add_argument("--executions", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--target", action="append", help="only this one; may be given again")
    parser.add_argument("--keep", action="store_true", help="keep what is found in the corpus")
    parser.add_argument("--work", type=Path, help="folder for logs, corpora and faults")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--faults", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.child:
        child(settings.child, settings.faults, settings.rest)
        return 0
    _paths()
    from tests.fuzz.targets import TARGETS

    chosen = settings.target or list(TARGETS)
    whole = sum(TARGETS[name].share for name in chosen)
    work = settings.work or Path(tempfile.mkdtemp(prefix="evanesce-fuzz-"))
    print(f"logs and faults: {work}\n\n{HEAD}", flush=True)
    rows = []
    for name in chosen:
        row = fuzz(name, -(-settings.executions * TARGETS[name].share // whole), work)
        rows.append(row)
        kept = f"  kept {keep(name, work):,} bytes" if settings.keep else ""
        print(row.line() + kept, flush=True)
    total = sum(row.executions for row in rows)
    seconds = sum(row.seconds for row in rows)
    print(f"{'all':15} {total:>10,} in {seconds:,} s, {sum(row.faults for row in rows)} faults")
    return 1 if any(row.faults or not row.ended for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
