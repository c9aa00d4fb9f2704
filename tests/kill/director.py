"""A program: kills devices at chosen points of a scenario, has them go on, and checks the end.

    python -m tests.kill.director FOLDER ORDERS

ORDERS is JSON, see `Orders`. It forks a process for each session, so that nothing is imported
again; it has no threads of its own. The last line that it prints is a report, as JSON; what is
wrong, and how far it is, goes to standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.kill import scenarios
from tests.kill.checks import finish
from tests.kill.flaws import put_in
from tests.kill.scenarios import BEGIN, MEMBERS, SCENARIOS
from tests.kill.worker import Session, live

__all__ = ["Orders", "Report"]

PROGRESS = 500  # points from one word of how far it is to the next
LIFE = 60  # seconds after which a process is ended that hangs


@dataclass(frozen=True)
class Orders:
    """What to do: so many points of these scenarios, or every one (0)."""

    scenarios: tuple[str, ...]
    sample: int = 0
    seed: str = ""
    part: int = 0  # every `parts`-th point, from this
    parts: int = 1
    twice: float = 0.0  # how often the device is killed again while it recovers
    onward: float = 0.0  # how often the rest of the scenario is lived through afterwards
    flaws: tuple[str, ...] = ()  # "early", "put back", and those of `flaws`: to be found
    kinds: tuple[str, ...] = ()  # only points of these


@dataclass
class Report:
    """What came of it."""

    points: int = 0
    kills: int = 0
    again: int = 0  # second kills, within the recovery from a first
    missed: int = 0  # points that were not reached this time
    untold: int = 0  # messages in an inbox whose event died with the process
    kinds: dict[str, int] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Point:
    """Where to kill: in which session, and at which point of it."""

    scenario: str
    step: int
    actor: str
    kind: str
    ordinal: int

    def __str__(self) -> str:
        return f"{self.scenario}, step {self.step}, {self.actor}: {self.kind} {self.ordinal}"


def fork(work: Callable[[], Coroutine[Any, Any, None]], crash: Path) -> int:
    """Begin a process; what it fails with is written into `crash`."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        signal.alarm(LIFE)
        asyncio.run(work())
        status = 0
    except BaseException:
        crash.write_text(traceback.format_exc())
    finally:
        os._exit(status)


def end_of(child: int) -> int:
    """Wait for the end of a process."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class World:
    """The folder of one run: stores, journals, and what the devices share."""

    def __init__(self, root: Path, orders: Orders) -> None:
        self.root = root
        self._crash = root / "crash"
        self._early = "early" in orders.flaws

    def begin(self, session: Session, target: tuple[str, int] | None = None) -> int:
        return fork(lambda: live(self.root, session, target, early=self._early), self._crash)

    def failure(self, end: int, session: Session) -> list[str]:
        """What to report of a process that ended so."""
        if end == 0:
            return []
        text = self._crash.read_text() if self._crash.exists() else f"ended with {end}"
        return [f"{session.actor} in step {session.number}: {text}"]

    def play(self, step: tuple[Session, ...]) -> list[str]:
        """Let these live through it at the same time."""
        children = [(self.begin(session), session) for session in step]
        return [p for child, session in children for p in self.failure(end_of(child), session)]

    def finish(self, scenario: str, *, killed: bool, whole: bool) -> tuple[list[str], int]:
        """Bring it to an end; return what is wrong, and how many messages are untold."""
        names = sorted(path.name for path in (self.root / "stores").iterdir())
        result = self.root / "result"
        now = scenarios.end_of(scenario)

        async def work() -> None:
            members = MEMBERS.get(scenario) if whole else None
            found = await finish(self.root, names, now, killed=killed, members=members)
            result.write_text(json.dumps([found.problems, found.untold]))

        end = end_of(fork(work, self._crash))
        if end == 0:
            problems, untold = json.loads(result.read_text())
            return problems, untold
        text = self._crash.read_text() if self._crash.exists() else f"ended with {end}"
        return [f"at the end: {text}"], 0


class Director:
    """Plays a scenario once to count its points, and then once for each of them."""

    def __init__(self, folder: Path, orders: Orders) -> None:
        self._folder, self._orders = folder, orders
        self._dice = Random(f"{orders.seed}/{orders.part}")
        self.report = Report()
        put_in(orders.flaws)

    def snapshot(self, scenario: str, step: int) -> Path:
        return self._folder / f"{scenario}-{step}"

    def count(self, scenario: str) -> list[Point]:
        """Play without kills; keep what there was before each step."""
        world = World(self._folder / scenario, self._orders)
        (world.root / "stores").mkdir(parents=True)
        problems: list[str] = []
        for number, step in enumerate(SCENARIOS[scenario]):
            shutil.copytree(world.root, self.snapshot(scenario, number))
            problems += world.play(step)
        problems += world.finish(scenario, killed=False, whole=True)[0]
        if problems:
            self.report.problems[f"{scenario}, not killed"] = problems
        points = []
        for number, step in enumerate(SCENARIOS[scenario]):
            for session in step if number >= BEGIN.get(scenario, 0) else ():
                path = world.root / "points" / f"{number}-{session.actor}.json"
                if problems and not path.exists():  # it has come to nothing
                    continue
                counts: dict[str, int] = json.loads(path.read_text())
                points += [
                    Point(scenario, number, session.actor, kind, ordinal + 1)
                    for kind, times in counts.items()
                    for ordinal in range(times)
                ]
        return points

    def choose(self, points: list[Point]) -> list[Point]:
        """All, or a sample in which every kind has its share: the rare ones first."""
        orders = self._orders
        if orders.kinds:
            points = [point for point in points if point.kind in orders.kinds]
        if not orders.sample:
            return points[orders.part :: orders.parts]
        by_kind: dict[str, list[Point]] = {}
        for point in points:
            by_kind.setdefault(point.kind, []).append(point)
        for found in by_kind.values():
            self._dice.shuffle(found)
        chosen: list[Point] = []
        while len(chosen) < orders.sample and any(by_kind.values()):
            kinds = sorted(kind for kind, found in by_kind.items() if found)
            self._dice.shuffle(kinds)
            kinds.sort(key=lambda kind: len(by_kind[kind]))
            chosen += [by_kind[kind].pop() for kind in kinds][: orders.sample - len(chosen)]
        return chosen

    def kill(self, point: Point, session: list[Point]) -> list[str]:
        """Kill at one point of a session, go on, and return what is wrong at the end."""
        root = self._folder / "run"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.snapshot(point.scenario, point.step), root)
        world = World(root, self._orders)
        steps = SCENARIOS[point.scenario]
        others = [s for s in steps[point.step] if s.actor != point.actor]
        (victim,) = (s for s in steps[point.step] if s.actor == point.actor)
        running = [(world.begin(other), other) for other in others]
        end = end_of(world.begin(victim, (point.kind, point.ordinal)))
        problems: list[str] = []
        if end == -signal.SIGKILL:
            self.report.kills += 1
            self.report.kinds[point.kind] = self.report.kinds.get(point.kind, 0) + 1
            if "put back" in self._orders.flaws:
                self._put_back(root, point)
            if self._dice.random() < self._orders.twice:
                target = self._dice.choice(session)
                again = end_of(world.begin(victim, (target.kind, target.ordinal)))
                self.report.again += again == -signal.SIGKILL
                if again != -signal.SIGKILL:
                    problems += world.failure(again, victim)
            problems += world.play((victim,))
        else:
            self.report.missed += 1
            problems += world.failure(end, victim)
        for child, other in running:
            problems += world.failure(end_of(child), other)
        whole = not problems and self._dice.random() < self._orders.onward
        if whole:
            for step in steps[point.step + 1 :]:
                problems += world.play(step)
        if not problems:
            killed = end == -signal.SIGKILL
            problems, untold = world.finish(point.scenario, killed=killed, whole=whole)
            self.report.untold += untold
        return problems

    def _put_back(self, root: Path, point: Point) -> None:
        """Put the store back as it was before the session: what REQ-APP-07 forbids."""
        store = root / "stores" / point.actor
        before = self.snapshot(point.scenario, point.step) / "stores" / point.actor
        shutil.rmtree(store)
        if before.exists():
            shutil.copytree(before, store)

    def run(self) -> Report:
        started = time.monotonic()
        points = [p for scenario in self._orders.scenarios for p in self.count(scenario)]
        self.report.points = len(points)
        sessions: dict[tuple[str, int, str], list[Point]] = {}
        for point in points:
            sessions.setdefault((point.scenario, point.step, point.actor), []).append(point)
        for place, point in enumerate(self.choose(points)):
            if place and place % PROGRESS == 0:
                print(f"{self._orders.part}: {place} points", file=sys.stderr, flush=True)
            problems = self.kill(point, sessions[point.scenario, point.step, point.actor])
            if problems:
                self.report.problems[str(point)] = problems
                if not self._orders.flaws:
                    print(point, *problems, sep="\n  ", file=sys.stderr, flush=True)
        self.report.seconds = round(time.monotonic() - started, 1)
        return self.report


def _orders(text: str) -> Orders:
    made = json.loads(text)
    for name in ("scenarios", "kinds", "flaws"):
        made[name] = tuple(made.get(name, ()))
    return Orders(**made)


def main() -> None:
    folder = Path(sys.argv[1])
    report = Director(folder, _orders(sys.argv[2])).run()
    print(json.dumps(asdict(report)), flush=True)


if __name__ == "__main__":
    main()
