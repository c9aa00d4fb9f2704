"""The clock of a relay counts; it does not look at the time of day twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce.errors import LocalError, Reason
from evanesce.limits import HOUR
from evanesce.relay.clock import RelayClock

START = 500_000 * HOUR + 100.0


class System:
    """The two clocks of a system."""

    def __init__(self) -> None:
        self.wall, self.up = START, 12_345.0

    def clock(self, last_hour: int = 0, *, accept: bool = False) -> RelayClock:
        return RelayClock(last_hour, accept=accept, wall=lambda: self.wall,
                          elapsed=lambda: self.up)  # fmt: skip

    def run(self, seconds: float, *, drift: float = 0.0) -> None:
        self.up += seconds
        self.wall += seconds + drift


def test_it_tells_the_time_and_the_hour() -> None:
    system = System()
    clock = system.clock()
    system.run(HOUR)
    assert (clock.now(), clock.hour(), clock.jumped) == (START + HOUR, 500_001, 0)


def test_the_real_clock_is_about_right() -> None:
    import time

    assert abs(RelayClock().now() - time.time()) < 2


@pytest.mark.parametrize("jump", [-400 * 24 * HOUR, -2 * HOUR, -60, 60, 2 * HOUR, 400 * 24 * HOUR])
def test_a_jump_of_the_time_of_day_is_told_and_not_followed(jump: int) -> None:
    system = System()
    clock = system.clock()
    system.run(30)
    clock.now()
    system.wall += jump
    assert clock.now() == START + 30
    assert clock.jumped == jump
    for _ in range(600):
        system.run(60)
        clock.now()
    assert (clock.now(), clock.jumped) == (START + 30 + 600 * 60, jump)
    system.wall -= jump  # set right again
    assert (clock.now(), clock.jumped) == (START + 30 + 600 * 60, 0)


@pytest.mark.parametrize("drift", [-0.5, 0.5])
def test_slow_drift_of_the_time_of_day_is_followed(drift: float) -> None:
    system = System()
    clock = system.clock()
    for _ in range(600):
        system.run(60, drift=drift)
        clock.now()
    assert abs(clock.now() - system.wall) <= 2
    assert clock.jumped == 0


def test_nothing_is_followed_faster_than_a_second_a_minute() -> None:
    system = System()
    clock = system.clock()
    for _ in range(60):
        system.run(60, drift=2.5)
        clock.now()
    assert abs(clock.now() - (START + 3_600)) <= 61


@given(st.lists(st.tuples(st.floats(0, 3_000), st.floats(-1e6, 1e6)), max_size=30))
def test_it_never_goes_back(steps: list[tuple[float, float]]) -> None:
    system = System()
    clock = system.clock()
    last = clock.now()
    passed = 0.0
    for seconds, drift in steps:
        system.run(seconds, drift=drift)
        passed += seconds
        now = clock.now()
        assert now >= last
        assert abs(now - (START + passed)) <= passed / 60 + 1
        last = now


def test_it_does_not_start_long_before_the_last_hour_seen() -> None:
    system = System()
    assert system.clock(500_001).hour() == 500_000  # within the hour that clocks may differ
    with pytest.raises(LocalError) as caught:
        system.clock(500_002)
    assert caught.value.reason is Reason.BAD_INPUT
    assert system.clock(500_002, accept=True).hour() == 500_000
