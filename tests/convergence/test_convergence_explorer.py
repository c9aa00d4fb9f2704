"""Every order of delivery of small worlds, against the real code (spec 10.9, "What was explored").

The quick profile takes some worlds of each family, `EVANESCE_PROFILE=long` all of them.
"""

from __future__ import annotations

import itertools
import os

import pytest

from evanesce.errors import HeldError, LocalError, Reason
from evanesce.formats import COMMIT_COPY
from tests.convergence.explore import families, shuffled
from tests.convergence.explorer import (
    Broken,
    Step,
    concurrent,
    explore,
    finish,
    play,
)
from tests.convergence.world import LATER, MEMBERS, Lab
from tests.room.room_support import Stream, said

LONG = os.environ.get("EVANESCE_PROFILE") == "long"
FAMILIES = families()
QUICK = (16, 6, 6, 14, 10, 5, 3)


@pytest.mark.parametrize("number", range(len(FAMILIES)), ids=[f.name for f in FAMILIES])
def test_whatever_the_order_all_come_to_one_room(number: int) -> None:
    family = FAMILIES[number]
    found = explore(family.worlds, family.long if LONG else QUICK[number])
    assert found.worlds >= QUICK[number]
    assert found.deliveries > found.states > found.worlds


def test_the_families_of_four_concurrent_operations_hold_every_operation() -> None:
    said_by = {(step.who, step.action.split()[0]) for world in concurrent() for step in world}
    verbs = {verb for _, verb in said_by}
    assert {"refresh", "refresh<", "add", "add<", "remove", "demote", "promote", "policy",
            "resync", "say", "leave"} == verbs  # fmt: skip
    assert {who for who, _ in said_by} == set(MEMBERS)


@pytest.mark.parametrize("victim", MEMBERS[:3])
def test_who_cannot_open_a_commit_knows_it_at_once_or_when_it_hears_of_it(victim: str) -> None:
    for verb in ("wrong", "withhold"):
        lab = Lab()
        items = play(lab, (Step("Dee", f"{verb} {victim}"),))
        assert items is not None
        finish(lab, items, [victim])  # and comes back by a resync


ORDERS = list(itertools.permutations(range(4)))


def test_two_commits_of_one_author_convict_it_whatever_comes_first() -> None:
    """Who has both stops; who has one is told by the other as it is passed on, without a slot."""
    lab = Lab()
    first, second = lab.make("Dee", "twice", frozenset()) or (0, 0)
    (other,) = lab.make("Bob", "refresh", frozenset()) or (0,)
    (speech,) = lab.make("Ann", "say", frozenset()) or (0,)
    dee = lab.ids["Dee"]
    keys = (first, second, other, speech)
    for name in ("Ann", "Bob", "Cid"):
        for order in ORDERS:
            seat = lab.seat(name, frozenset(k for k in keys if lab.items[k].maker == name))
            come = [keys[n] for n in order if name in lab.items[keys[n]].copies]
            for key in come:
                seat = lab.deliver(name, seat, key)
                both = {first, second} <= set(come[: come.index(key) + 1])
                assert seat.room.equivocator == (dee if both else None)
            room = seat.room
            owner = lab.people[name].keys
            with pytest.raises(LocalError) as caught:
                room.send(owner, said("hi", LATER), LATER, Stream("x"))
            assert caught.value.reason is Reason.EQUIVOCATION
            with pytest.raises(LocalError) as caught:
                room.commit(owner, [], [], LATER, Stream("x"))
            assert caught.value.reason is Reason.EQUIVOCATION
    for mine, passed in ((first, second), (second, first)):
        room = lab.deliver("Cid", lab.seat("Cid", frozenset()), mine).room
        sealed, _ = COMMIT_COPY.parse(lab.items[passed].copies["Ann"])
        applied = room.apply(COMMIT_COPY.build(sealed, None), LATER)
        assert applied.equivocation
        assert room.equivocator == dee


def test_a_commit_passed_on_without_a_slot_waits_for_its_author() -> None:
    lab = Lab()
    (commit,) = lab.make("Ann", "refresh", frozenset()) or (0,)
    sealed, _ = COMMIT_COPY.parse(lab.items[commit].copies["Bob"])
    room = lab.seat("Cid", frozenset()).room
    with pytest.raises(HeldError) as caught:
        room.apply(COMMIT_COPY.build(sealed, None), LATER)
    assert caught.value.reason is Reason.NO_SLOT


def test_the_explorer_sees_when_an_order_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rule that prefers what came first, the first worlds already fail."""
    monkeypatch.setattr("evanesce.applying.leads", lambda state, parent, order: (
        parent is state.epoch and not state.removed))  # fmt: skip
    with pytest.raises(Broken):
        explore(shuffled(concurrent()), 10)
