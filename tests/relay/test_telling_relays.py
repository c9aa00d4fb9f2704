"""More relays that tell something, and the turn of a quarter: for the long profile alone.

Each breaks one rule of 22.6, and the attack of `test_no_thread` has to catch it.
"""

from __future__ import annotations

from pathlib import Path

from evanesce.limits import QUARTER
from evanesce.relay.settings import RelaySettings
from tests.relay.seizure import mutants
from tests.relay.seizure.attack import OWNER, attack, link_copies
from tests.relay.seizure.real import cases, copies, play
from tests.relay.seizure.world import START, make_world
from tests.relay.test_no_thread import CHANCE, LEARNED, TRIED, at_chance, best, folder, small

__all__ = ["folder"]  # a fixture


def test_the_turn_of_a_quarter_tells_no_owner(folder: Path) -> None:
    turn = (START // QUARTER + 1) * QUARTER
    worlds = [make_world(s, 40, activity=0.1, start=turn - 38 * 3600) for s in (LEARNED, TRIED)]
    both = []
    for seed, world in enumerate(worlds):
        world.seizures = [turn + hours * 3600 for hours in (6, 14)]
        both.append(cases(play(world, folder / f"turn{seed}", seed), keys=True))
    at_chance(attack(both[0], both[1], OWNER, most=4_000))


def test_a_table_in_the_order_of_coming_is_caught(folder: Path) -> None:
    with mutants.written_when_needed():
        both = [
            cases(
                play(small(seed), folder / f"plain{seed}", seed,
                     make_store=lambda where, _: mutants.PlainTable(where),
                     settings=RelaySettings(mailboxes=65_536)),
                keys=True, table="plain", skip=0,
            )
            for seed in (LEARNED, TRIED)
        ]  # fmt: skip
    found = {finding.family: finding for finding in attack(both[0], both[1])}
    assert found["buckets of plain"].trained.low > 0.6  # without the keys
    assert found["records of plain"].trained.low > 0.6


def test_buckets_with_the_number_of_their_last_change_are_caught(folder: Path) -> None:
    """What JetStream adds, for whoever has its servers' key: the threat model says so."""
    both = [
        cases(
            play(small(seed), folder / f"numbered{seed}", seed,
                 make_store=lambda where, _: mutants.NumberedTable(where),
                 settings=RelaySettings(mailboxes=65_536)),
            keys=True, table="plain", skip=0,
        )
        for seed in (LEARNED, TRIED)
    ]  # fmt: skip
    assert best(attack(both[0], both[1])).trained.low > 0.6


def test_records_in_the_order_of_coming_are_caught(folder: Path) -> None:
    with mutants.unsorted_buckets():
        both = [
            cases(play(small(seed), folder / f"unsorted{seed}", seed,
                       settings=RelaySettings(mailboxes=512)), keys=True)
            for seed in (LEARNED, TRIED)
        ]  # fmt: skip
    found = best(attack(both[0], both[1]))
    assert found.family == "records of buckets"
    assert found.trained.value > 0.5 + 2 * CHANCE


def test_a_log_that_is_never_emptied_is_caught(folder: Path) -> None:
    both = [
        cases(play(small(seed), folder / f"logged{seed}", seed,
                   make_store=lambda where, _: mutants.LoggedTable(where)),
              keys=True, table="plain", skip=0)
        for seed in (LEARNED, TRIED)
    ]  # fmt: skip
    found = best(attack(both[0], both[1]))
    assert found.family == "records of plain"
    assert found.trained.low > 0.6


def test_seconds_in_the_rows_are_caught(folder: Path) -> None:
    both = []
    for seed in (LEARNED, TRIED):
        one = play(small(seed), folder / f"seconds{seed}", seed, make_store=mutants.SecondsRows)
        both.append([copies(one, where, skip=4) for where in one.seized])
    found = link_copies(both[0], both[1], traits=("hour", "length"), without="in ")
    print(found)
    assert found.trained.low > 0.7
