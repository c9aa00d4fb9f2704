"""Token buckets: how often who may ask, and how little is remembered of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evanesce.relay.settings import RelaySettings
from evanesce.relay.web.rates import KEPT, Rates


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def made(entries: int = 1_000, **settings: int) -> tuple[Rates, Time]:
    time = Time()
    return Rates(RelaySettings(**settings), clock=time, entries=entries), time


def test_a_bucket_holds_a_minutes_worth_and_fills_steadily() -> None:
    rates, time = made(puts_per_client=60)
    assert rates.take("puts_per_client", b"a", 60) == 0
    assert rates.take("puts_per_client", b"a") == 1
    time.now += 1
    assert rates.take("puts_per_client", b"a") == 0
    assert rates.take("puts_per_client", b"a", 30) == 30
    time.now += 29.5
    assert rates.take("puts_per_client", b"a", 30) == 1
    time.now += 0.5
    assert rates.take("puts_per_client", b"a", 30) == 0
    time.now += 3_600
    assert rates.take("puts_per_client", b"a", 60) == 0
    assert rates.take("puts_per_client", b"a") == 1


def test_who_waits_as_long_as_it_was_told_is_served() -> None:
    rates, time = made(puts_per_client=7)
    for count in (7, 3, 1, 7, 5, 2):
        wait = rates.take("puts_per_client", b"a", count)
        time.now += wait
        assert wait == 0 or rates.take("puts_per_client", b"a", count) == 0


def test_more_than_a_minutes_worth_can_be_had_and_is_paid_for() -> None:
    rates, time = made(puts_per_client=10)
    assert rates.take("puts_per_client", b"a", 256) == 0
    assert rates.take("puts_per_client", b"a") == 1 + 246 * 6 + 5
    time.now += 247 * 6
    assert rates.take("puts_per_client", b"a") == 0


def test_kinds_and_clients_are_apart() -> None:
    rates, _ = made(puts_per_client=1, blobs_per_client=1)
    assert rates.take("puts_per_client", b"a") == 0
    assert rates.take("puts_per_client", b"a") > 0
    assert rates.take("puts_per_client", b"b") == 0
    assert rates.take("blobs_per_client", b"a") == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 40)), max_size=40))
def test_no_more_is_given_than_a_minutes_worth_and_what_has_come_since(
    asked: list[tuple[int, float]],
) -> None:
    rates, time = made(puts_per_client=30)
    began, given_out = time.now, 0
    for count, pause in asked:
        time.now += pause
        if rates.take("puts_per_client", b"a", count) == 0:
            given_out += count
        assert given_out <= 30 + (time.now - began) * 0.5 + 1e-6


def test_a_network_address_is_not_kept_and_means_nothing_elsewhere() -> None:
    rates, _ = made()
    other, _ = made()
    name = rates.client("192.0.2.7")
    assert len(name) == 16
    assert name == rates.client("192.0.2.7") == rates.client("::ffff:192.0.2.7")
    assert name != other.client("192.0.2.7")
    rates.take("puts_per_client", name)
    kept = repr(vars(rates) | {"_key": None})
    assert "192.0.2.7" not in kept
    assert name not in rates._buckets


def test_of_ipv6_the_network_counts() -> None:
    rates, _ = made()
    one, same = rates.client("2001:db8:1:2::1"), rates.client("2001:db8:1:2:ffff::9")
    assert one == same != rates.client("2001:db8:1:3::1")
    assert len({rates.client(None), rates.client("testclient"), one}) == 3


def test_what_is_remembered_is_bounded_and_goes_after_minutes() -> None:
    rates, time = made(entries=100)
    for number in range(1_000):
        rates.take("puts_per_client", b"%d" % number)
    assert len(rates) == 100
    time.now += KEPT / 2
    rates.take("puts_per_client", b"new")
    time.now += KEPT / 2 + 1
    rates.sweep()
    assert len(rates) == 1
