"""The rules of 10.9 without cryptography, and each form of a rule that has failed.

`Rules` has a switch for each rule that had to be changed. With the switch off, the schedule below
it breaks a property; with it on, the same schedule holds.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.convergence.model import (
    LAST,
    Add,
    Commit,
    Leave,
    Member,
    Resync,
    Roster,
    Rules,
    Sanction,
    SetRole,
    apply,
    removes,
    strike,
    valid,
)
from tests.convergence.model_device import Device
from tests.convergence.schedules import Schedule

LONG = os.environ.get("EVANESCE_PROFILE") == "long"
RULES = Rules()


def room(*roles: int, rules: Rules = RULES) -> list[Device]:
    """Devices p0, p1, ... in the genesis at time 100."""
    members = tuple(Member(f"p{n}@0", role, n) for n, role in enumerate(roles))
    genesis = Commit("g", None, 0, "p0@0", 100, (), (), Roster(len(roles), members),
                     (LAST, 0, 0, 0))  # fmt: skip
    devices = [Device(f"p{n}", rules) for n in range(len(roles))]
    for number, device in enumerate(devices):
        device.join(genesis, f"p{number}@0")
    return devices


@pytest.mark.parametrize("seed", range(0, 800 if not LONG else 20_000, 100))
@pytest.mark.parametrize("evil", [False, True])
def test_members_converge_whatever_the_schedule(seed: int, evil: bool) -> None:
    for number in range(seed, seed + 100):
        world = Schedule(number, RULES, evil=evil, joins=False)
        assert world.run([20, 40, 80, 150][number % 4]) == set(), number


@pytest.mark.parametrize("seed", range(0, 400 if not LONG else 20_000, 100))
def test_joiners_and_those_let_in_anew_converge(seed: int) -> None:
    """A few end with a place in the roster whose owner knows itself by another id (10.13)."""
    for number in range(seed, seed + 100):
        world = Schedule(number, RULES, evil=number % 2 == 1)
        faults = world.run([20, 40, 80, 150][number % 4])
        assert faults <= {"a place with nobody behind it"}, number


@pytest.mark.parametrize(
    ("switch", "fault"),
    [
        ("waiver_stays_in_one_stay", "honest input refused: waived"),
        ("notes_outlive_resync", "content after a removal was seen"),
        ("removed_hold", "unreadable"),
        ("trail", "split"),
    ],
)
def test_random_schedules_find_what_is_wrong_with_the_former_rule(
    switch: str, fault: str
) -> None:
    rules = replace(RULES, **{switch: False})
    for seed in range(1_500):
        if fault in Schedule(seed, rules, evil=True).run([40, 80, 150][seed % 3]):
            return
    pytest.fail(f"without {switch} nothing went wrong")


def test_a_member_let_in_anew_does_not_waive_what_its_former_self_did() -> None:
    """It forgot its commit on e; another spoke in the epoch of that."""
    for holds in (False, True):
        rules = Rules(waiver_stays_in_one_stay=holds)
        a, m, x, r = room(2, 0, 0, 0, rules=rules)
        lost, _ = m.commit("c", 103)
        assert x.receive(lost) == "ok"
        speech = x.send("from x")
        m.asked = {"leaf"}
        f, (letter,) = a.commit("f", 101, [Resync("p1@0", 1, "leaf")])
        assert m.receive(letter) == "ok"
        again, _ = m.commit("f2", 101)
        said = m.send("from m")
        assert [r.receive(item) for item in (f, again, said)] == ["ok"] * 3
        assert r.receive(lost) == ("ok" if holds else "waived")
        assert r.receive(speech) == ("ok" if holds else "held")


def test_a_removal_takes_along_whom_its_target_let_in_on_another_branch() -> None:
    """Seniorities of different branches say nothing of each other: the sanction lists ids."""
    for holds in (False, True):
        rules = Rules(spared=holds)
        a, e, b = room(2, 0, 0, rules=rules)
        p, _ = a.commit("p", 102, [Add("z", "z@1")])
        sanction = a.sanction("p1@0")
        removal, _ = a.commit("r", 102, [sanction])
        evil, _ = e.commit("w", 100, [Add("puppet", "puppet@1")])
        for item in (p, removal, evil):
            b.receive(item)
        assert b.current == "w"
        after, _ = b.commit("after", 103)
        ids = {member.id for member in after.roster.members}
        assert "p1@0" not in ids
        assert ("puppet@1" in ids) is not holds
        del sanction


def test_a_demotion_does_not_come_back_after_the_role_was_given_again() -> None:
    for holds in (False, True):
        rules = Rules(ranked_past_reach=holds)
        owner, admin = Member("o", 2, 0), Member("m", 1, 1)
        roster = Roster(2, (owner, admin))
        late = Sanction("m", "o", 0, 8, 2)  # made on a long branch that lost
        lowered = strike(late, roster, 7, rules)  # embedded on a short one
        given = apply(lowered, 7, "o", (SetRole("m", 1),), (), "", rules)
        assert valid(late, given) is not holds
        again = Sanction("m", "o", 0, max(8, with_ranked(given) - 1 if holds else 8), 2)
        assert valid(again, given)  # a new one always holds


def with_ranked(roster: Roster) -> int:
    """The *ranked* of the admin above."""
    member = roster.get("m")
    assert member is not None
    return member.ranked


def test_a_removed_insider_cannot_stay_by_putting_its_clock_back_for_ever() -> None:
    """Each honest attempt is beaten by one more commit, unless the proof itself comes first."""
    for holds in (False, True):
        a, d, b = room(2, 0, 0, rules=Rules(authority=holds))
        removal, _ = a.commit("r", 102, [a.sanction("p1@0")])
        evil, _ = d.commit("d0", 100)
        for device, items in ((a, [evil]), (b, [removal, evil]), (d, [removal])):
            for item in items:
                device.receive(item)
        for attempt in range(5):
            honest, _ = b.commit(f"b{attempt}", 103)
            assert any(removes(proof) for proof in honest.proofs)
            evil, _ = d.commit(f"d{attempt + 1}", 100)
            for device in (a, b, d):
                for item in (honest, evil):
                    device.receive(item)
            if holds:
                assert a.current == b.current == honest.id
                assert d.removed is not None
                break
            assert a.current == b.current == d.current == evil.id
            assert b.blocked()


def test_what_was_seen_removed_stays_so_when_a_device_is_let_in_anew() -> None:
    for holds in (False, True):
        a, t, y = room(2, 1, 2, rules=Rules(notes_outlive_resync=holds))
        y.commit("r", 104, [y.sanction("p1@0")])
        y.asked = {"leaf"}
        _, (letter,) = a.commit("f", 101, [Resync("p2@0", 1, "leaf")])
        assert y.receive(letter) == "ok"
        y.commit("f2", 101, proofs=False)
        assert y.blocked() is holds
        del t


def test_a_removed_device_keeps_what_it_will_need_if_the_removal_loses() -> None:
    for holds in (False, True):
        a, b, d = room(2, 1, 0, rules=Rules(removed_hold=holds))
        removal, _ = b.commit("r", 101, [b.sanction("p2@0")])
        better, _ = a.commit("w", 101)
        speech = a.send("hi")
        assert [d.receive(item) for item in (removal, speech, better)] == [
            "ok", "held" if holds else "room-closed", "ok"
        ]  # fmt: skip
        assert d.current == "w"
        assert ("hi" in d.read) is holds


def test_invitations_in_the_wrong_order_do_not_move_a_guest_to_what_has_lost() -> None:
    for holds in (False, True):
        a, b = room(2, 1, rules=Rules(trail=holds))
        x = Device("x", a.rules)
        lost, (early,) = b.commit("lost", 101, [Add("x", "x@1")])
        better, _ = a.commit("w", 101)
        b.receive(better)
        won, (late,) = b.commit("again", 101, [Add("x", "x@2")])
        assert x.receive(late) == "ok"
        x.receive(early)
        assert x.current == ("again" if holds else "lost")
        del lost, won


def test_a_late_answer_does_not_move_a_device_from_where_it_follows_to_what_has_lost() -> None:
    for holds in (False, True):
        a, b, p = room(2, 1, 0, rules=Rules(trail=holds))
        p.asked = {"leaf"}
        _, (letter,) = b.commit("lost", 101, [Resync("p2@0", 1, "leaf")])
        better, _ = a.commit("w", 101)
        assert p.receive(better) == "ok"
        p.receive(letter)
        assert p.current == ("w" if holds else "lost")


def test_who_leaves_is_not_silenced_by_its_own_request() -> None:
    """What a device says itself tells it nothing: only another's removal holds it up."""
    a, b = room(2, 0)
    a.leaves["p1@0"] = Leave("p1@0")
    made, _ = a.commit("r", 103)
    assert any(isinstance(proof, Leave) for proof in made.proofs)
    kept, _ = b.commit("b", 100)  # comes first, by the hour
    for device, item in ((a, kept), (b, made)):
        device.receive(item)
    assert a.current == b.current == "b"
    assert a.blocked()
    assert not b.blocked()
    b.send("still here")
