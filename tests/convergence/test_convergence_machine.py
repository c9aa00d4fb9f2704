"""A room under arbitrary schedules: reordered, repeated, partitioned, crashing, clocks off.

Invariants are checked as it goes (`Network`); at the end delivery resumes, and all must hold.
Every step restores the room from its records, as after a crash.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.convergence.machine import Network
from tests.convergence.settling import Broken

LONG = os.environ.get("EVANESCE_PROFILE") == "long"
MOST = 40 if LONG else 7
STEPS = 300 if LONG else 40
PLACES = st.integers(0, 10_000)
SKEWS = st.sampled_from([0, 0, 0, 60, -60, 290, -290, 3_600, -3_600, -10_000, 7_200])


class RoomMachine(RuleBasedStateMachine):
    """Draws what happens to a `Network`."""

    network: Network

    @initialize(
        size=st.integers(2, MOST),
        roles=st.lists(st.sampled_from([0, 0, 1, 2]), min_size=1, max_size=8),
        skews=st.lists(SKEWS, min_size=1, max_size=8),
    )
    def found(self, size: int, roles: list[int], skews: list[int]) -> None:
        self.network = Network(size, roles, skews)

    def pick(self, place: int, *, inside: bool = True) -> str:
        names = self.network.inside if inside else list(self.network.desks)
        return names[place % len(names)]

    @rule(who=PLACES)
    def say(self, who: int) -> None:
        self.network.act(self.pick(who), "say", "")

    @rule(who=PLACES)
    def refresh(self, who: int) -> None:
        self.network.act(self.pick(who), "refresh", "")

    @rule(
        who=PLACES,
        whom=PLACES,
        verb=st.sampled_from(["remove", "demote", "promote", "policy", "resync", "leave"]),
    )
    def change(self, who: int, whom: int, verb: str) -> None:
        self.network.act(self.pick(who), verb, self.pick(whom, inside=False))

    @rule(who=PLACES, whom=PLACES, back=st.booleans())
    def add(self, who: int, whom: int, back: bool) -> None:
        known = len(self.network.desks)
        other = self.pick(whom, inside=False) if back or known >= 2 * MOST else f"x{known}"
        self.network.act(self.pick(who), "add", other)

    @rule(deliveries=st.lists(st.tuples(PLACES, PLACES), min_size=1, max_size=12))
    def deliver(self, deliveries: list[tuple[int, int]]) -> None:
        for who, place in deliveries:
            self.network.deliver(self.pick(who, inside=False), place)

    @rule(who=PLACES)
    def deliver_all(self, who: int) -> None:
        name = self.pick(who, inside=False)
        for place in range(len(self.network.desks[name].box), 0, -1):
            self.network.deliver(name, place * 7)

    @rule(who=PLACES, place=PLACES)
    def again(self, who: int, place: int) -> None:
        self.network.again(self.pick(who), place)

    @rule(groups=st.lists(st.integers(0, 2), min_size=1, max_size=9))
    def part(self, groups: list[int]) -> None:
        names = list(self.network.desks)
        self.network.groups = {
            name: groups[place % len(groups)] for place, name in enumerate(names)
        }

    @rule()
    def join_again(self) -> None:
        self.network.groups = {}

    @rule(seconds=st.sampled_from([1, 60, 900, 3_600, 7_200, 43_200]))
    def wait(self, seconds: int) -> None:
        self.network.pass_time(seconds)

    def teardown(self) -> None:
        if hasattr(self, "network"):
            self.network.finish()


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_a_room_converges_whatever_is_drawn() -> None:
    run_state_machine_as_test(
        RoomMachine,
        settings=settings(
            max_examples=200 if LONG else 8,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=os.environ.get("CI") == "true",
        ),
    )


VERBS = ["refresh"] * 4 + ["say"] * 8 + ["add", "remove", "demote", "promote", "policy", "resync",
                                         "leave"]  # fmt: skip


def schedule(seed: int, size: int, steps: int) -> Network:
    """One long random schedule: dense ones, of a kind that shrinking strategies seldom draw."""
    draw = random.Random(seed)
    network = Network(
        size,
        [draw.choice([0, 0, 1, 2]) for _ in range(size)],
        [draw.choice([0, 0, 100, -100, 3_600, -3_600, 7_200]) for _ in range(size)],
    )
    for _ in range(steps):
        chance = draw.random()
        names = list(network.desks)
        if chance < 0.3:
            verb = draw.choice(VERBS)
            fresh = verb == "add" and draw.random() < 0.7
            other = f"x{len(names)}" if fresh else draw.choice(names)
            network.act(draw.choice(network.inside), verb, other)
        elif chance < 0.85:
            network.deliver(draw.choice(names), draw.randrange(1_000))
        elif chance < 0.9:
            network.again(draw.choice(names), draw.randrange(1_000))
        elif chance < 0.93:
            network.groups = {name: draw.randrange(2) for name in names}
        elif chance < 0.95:
            network.groups = {}
        else:
            network.pass_time(draw.choice([60, 600, 3_600, 20_000]))
    network.finish()
    return network


@pytest.mark.parametrize("seed", range(400 if LONG else 6))
def test_dense_schedules_converge(seed: int) -> None:
    assert schedule(seed, 5, 120).commits > 0


@pytest.mark.parametrize("seed", range(10 if LONG else 1))
def test_a_large_room_converges(seed: int) -> None:
    network = schedule(seed, 40 if LONG else 12, 300 if LONG else 60)
    assert network.commits > 0


def test_the_machine_sees_a_rule_that_follows_what_came_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evanesce.applying.leads", lambda state, parent, order: (
        parent is state.epoch and not state.removed))  # fmt: skip
    with pytest.raises(Broken):
        for seed in range(10):
            schedule(seed, 5, 120)
