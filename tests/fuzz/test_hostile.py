"""What one hostile input may cost: counted, and never more than the specification's bound."""

from __future__ import annotations

import os
from typing import Final

import pytest
from benchmarks.hostile_cases import CASES, NORMAL
from benchmarks.hostile_counts import MOST, Case, Cost, bound, counting, run

from evanesce import primitives, wire

SIZE: Final = MOST if os.environ.get("EVANESCE_PROFILE") == "long" else 40
NAMES: Final = [case.name for case in CASES]


def case(name: str) -> Case:
    """The case with this name."""
    return next(each for each in CASES if each.name == name)


def check_bound(cost: Cost) -> None:
    over = {
        name: (cost.counts[name], most) for name, most in cost.bound.items()
        if cost.counts[name] > most
    }  # fmt: skip
    assert not over, f"{cost.name} costs more than its bound: {over}"


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_input_costs_no_more_than_its_bound(name: str) -> None:
    cost = run(case(name), SIZE)
    assert cost.ends == case(name).ends, "it was refused too early to cost what it could"
    check_bound(cost)


@pytest.mark.parametrize("kind", NORMAL)
def test_a_normal_input_costs_no_more_than_its_bound(kind: str) -> None:
    cost = run(NORMAL[kind], SIZE)
    assert cost.ends == "accepted"
    check_bound(cost)


@pytest.mark.parametrize(("name", "operation"), [
    ("refresh, bad confirmation", "kdf"), ("adds, bad confirmation", "verify"),
    ("adds, bad confirmation", "dh"), ("adds, no right to them", "verify"),
    ("resyncs, bad confirmation", "verify"),
    ("genesis, bad confirmation", "verify"), ("roster and commit", "verify"),
    ("roster and commit", "dh"),
])  # fmt: skip
def test_what_grows_with_an_input_grows_no_faster_than_its_bound(
    name: str, operation: str
) -> None:
    small, large = (run(case(name), size) for size in (SIZE // 2, SIZE))
    costs = [cost.counts[operation] for cost in (small, large)]
    bounds = [cost.bound[operation] for cost in (small, large)]
    assert costs[1] - costs[0] <= bounds[1] - bounds[0]
    assert costs[1] > 1.5 * costs[0], "the size does not matter: the case is not the worst"


def test_a_jump_costs_one_derivation_for_each_key_it_skips() -> None:
    jump = run(case("jump, bad ciphertext"), MOST)
    assert jump.counts["kdf"] == MOST + 2  # the steps, its own, and the message's keys
    assert jump.counts["verify"] == 1
    two = run(case("two jumps, 64 KiB"), MOST)
    assert two.counts["kdf"] == 2 * MOST + 2
    check_bound(two)


def test_an_added_member_costs_one_signature_eight_exchanges_and_two_points() -> None:
    small, large = (run(case("adds, no right to them"), size) for size in (10, 20))
    more = {name: large.counts[name] - small.counts[name] for name in ("verify", "dh", "point")}
    assert more == {"verify": 10, "dh": 80, "point": 20}


def test_what_is_counted_is_put_back_and_is_all_that_is_done() -> None:
    names = ("sodium", "hashlib")
    before = [vars(primitives)[name] for name in names], wire._scan
    with counting() as counts:
        primitives.KDF(bytes(32), b"chain", size=64)
        primitives.H(b"x")
        primitives.check_dh_key(b"\x09" + bytes(31))
        wire.decode(b"\x00", limit=1)
        with pytest.raises(Exception, match="bad-key"):
            primitives.check_sign_key(bytes(32))
    assert (counts["kdf"], counts["hash"], counts["dh"], counts["point"], counts["items"]) == (
        1, 1, 1, 1, 1)  # fmt: skip
    assert ([vars(primitives)[name] for name in names], wire._scan) == before
    assert bound()["verify"] == bound()["dh"] == 16


@pytest.mark.parametrize("name", ["one more held", "all held tried again"])
def test_what_waits_is_not_read_before_what_it_waits_for_has_come(name: str) -> None:
    """REQ-LIMIT-46"""
    cost = run(case(name), min(SIZE, 16))
    assert cost.counts["read"] <= cost.bound["read"]
    assert cost.counts["records"] <= 4, "each would have been read"
