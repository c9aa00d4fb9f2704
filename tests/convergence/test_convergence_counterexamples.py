"""Schedules that broke a rule of 10.9 while it was being made, against the code as it is.

The same as those of `test_convergence_model`, where each is shown to break the former rule.
"""

from __future__ import annotations

import pytest

from evanesce.errors import LocalError, Reason
from evanesce.limits import MAX_EPOCHS
from evanesce.membership import Role
from evanesce.operations import Remove, Resync
from evanesce.resync import ResyncRequest
from evanesce.room import Room
from tests.convergence.settling import enter
from tests.convergence.world import GUEST, LATER, Lab, Past
from tests.room.room_support import Stream, said


@pytest.fixture
def lab() -> Lab:
    return Lab()


def made(lab: Lab, who: str, action: str, *past: int) -> int:
    """Have somebody who has had this do something; the last thing that this sends."""
    keys = lab.make(who, action, frozenset(past))
    assert keys is not None, f"{who} cannot {action}"
    return keys[-1]


def room(lab: Lab, who: str, *have: int) -> Room:
    """The room of somebody who has this, whatever the order in which it came."""
    return lab.seat(who, frozenset(have)).room


def refusal(lab: Lab, who: str, found: Room) -> Reason | None:
    """Why somebody cannot speak, if it cannot."""
    try:
        found.send(lab.people[who].keys, said("hi", LATER), LATER, Stream("refusal"))
    except LocalError as fault:
        return fault.reason
    return None


def members(lab: Lab, found: Room) -> set[str]:
    """Who is in the roster."""
    return {lab.names[member.id] for member in found.roster}


def test_what_the_former_self_of_one_let_in_anew_did_is_not_waived(lab: Lab) -> None:
    lost = made(lab, "Cid", "refresh")
    speech = made(lab, "Bob", "say", lost)
    letter = made(lab, "Ann", "resync Cid")
    again = made(lab, "Cid", "refresh", lost, letter)
    after = made(lab, "Cid", "say", lost, letter, again)
    have: Past = frozenset({lost, speech, letter - 1, again, after})
    assert {speech, after} <= lab.seat("Dee", have).read


def test_a_removed_insider_cannot_stay_by_putting_its_clock_back(lab: Lab) -> None:
    removal = made(lab, "Ann", "remove Dee")
    first = made(lab, "Dee", "refresh<")
    honest = made(lab, "Bob", "refresh", removal, first)
    second = made(lab, "Dee", "refresh<", removal, first)
    found = room(lab, "Cid", removal, first, honest, second)
    assert members(lab, found) == {"Ann", "Bob", "Cid"}
    assert found.transcript == room(lab, "Bob", removal, first, honest, second).transcript
    assert room(lab, "Dee", removal, first, honest, second).closed


def test_a_removal_takes_along_whom_its_target_let_in_on_another_branch(lab: Lab) -> None:
    before = made(lab, "Ann", "add") - 1
    removal = made(lab, "Ann", "remove Dee", before, before + 1)
    puppet = made(lab, "Dee", "add<") - 1
    done = made(lab, "Bob", "refresh", before, removal, puppet)
    found = room(lab, "Cid", before, removal, puppet, done)
    assert members(lab, found) == {"Ann", "Bob", "Cid"}
    assert found.transcript == room(lab, "Bob", before, removal, puppet, done).transcript


def test_a_demotion_does_not_come_back_after_the_role_was_given_again(lab: Lab) -> None:
    have = [made(lab, "Ann", "refresh")]
    for action in ("refresh", "demote Bob"):  # the third epoch of a branch that loses
        have.append(made(lab, "Ann", action, *have))
    have.append(made(lab, "Cid", "refresh<"))
    have.append(made(lab, "Ann", "refresh", *have))
    assert room(lab, "Ann", *have).roster[lab.ids["Bob"]].role is Role.MEMBER
    have.append(made(lab, "Ann", "promote Bob", *have))
    have.append(made(lab, "Cid", "refresh", *have))
    found = room(lab, "Dee", *have)
    assert found.roster[lab.ids["Bob"]].role is Role.ADMIN
    assert not found.pending


def test_what_was_seen_removed_holds_up_one_that_is_let_in_anew(lab: Lab) -> None:
    removal = made(lab, "Bob", "remove Dee")
    letter = made(lab, "Ann", "resync Bob")
    found = room(lab, "Bob", removal, letter)
    assert "Dee" in members(lab, found)
    assert refusal(lab, "Bob", found) is Reason.REMOVAL_PENDING


def test_a_removed_device_reads_what_it_needs_if_the_removal_loses(lab: Lab) -> None:
    removal = made(lab, "Bob", "remove Dee")
    better = made(lab, "Ann", "refresh")
    speech = made(lab, "Ann", "say", better)
    further = made(lab, "Ann", "refresh", better, speech)
    seat = lab.seat("Dee", frozenset({removal, better, speech, further}))
    assert speech in seat.read
    assert not seat.room.closed
    assert seat.room.transcript == room(lab, "Ann", better, speech, further).transcript


def test_one_removed_where_it_cannot_leave_may_ask_and_comes_back(lab: Lab) -> None:
    """Its removal is void on the branch that has won, where it stands as it did before."""
    letter = made(lab, "Bob", "resync Dee")
    removal = made(lab, "Bob", "remove Dee", letter - 1, letter)
    better = made(lab, "Ann", "refresh")
    void = made(lab, "Ann", "remove Bob", better)
    seat = lab.seat("Dee", frozenset())
    for key in (letter, removal, better):
        seat = lab.deliver("Dee", seat, key)
    dee, ann = seat.room, room(lab, "Ann", better, void, letter - 1, removal)
    assert dee.closed
    assert better in seat.held, "so it knows that there is something else"
    assert dee.may_ask
    assert members(lab, ann) == {"Ann", "Cid", "Dee"}
    person = lab.people["Dee"]
    package = person.package(now=LATER).package
    asked = ResyncRequest.make(person.keys, dee.id, dee.own_id, LATER, package)
    made_by_ann = ann.commit(
        lab.people["Ann"].keys, [Resync(asked)], [], LATER, Stream("back")
    )
    back = enter(person, dee, made_by_ann.invitations[dee.own_id], LATER)
    assert back.transcript == ann.transcript


def test_who_is_to_be_removed_may_still_speak(lab: Lab) -> None:
    """The others may all have gone who knew of it; what it says itself tells it nothing."""
    removal = made(lab, "Bob", "remove Dee")
    better = made(lab, "Ann", "refresh")
    assert refusal(lab, "Cid", room(lab, "Cid", removal, better)) is Reason.REMOVAL_PENDING
    assert refusal(lab, "Dee", room(lab, "Dee", removal, better)) is None


def test_what_was_said_before_straying_can_still_come(lab: Lab) -> None:
    """Its last message names a losing epoch that has not come: nothing may be closed by that."""
    first = made(lab, "Cid", "say")
    losing = made(lab, "Cid", "refresh", first)
    second = made(lab, "Cid", "say", first, losing)
    better = made(lab, "Ann", "refresh")
    third = made(lab, "Cid", "say", first, losing, second, better)
    have: Past = frozenset({first, losing, second, better, third})
    assert {first, second, third} <= lab.seat("Dee", have).read


def test_invitations_in_any_order_bring_a_guest_to_what_has_won(lab: Lab) -> None:
    early = made(lab, "Bob", "add")
    better = made(lab, "Ann", "refresh")
    late = made(lab, "Bob", "add Cid", early - 1, early, better)
    found = room(lab, GUEST, early, late)
    tip = room(lab, "Bob", early - 1, early, better, late - 1, late).transcript
    assert found.transcript == tip


def test_a_guest_whose_branch_has_removed_its_inviter_is_fetched_by_another(lab: Lab) -> None:
    """One who has been removed leads nobody away: the guest is removed and admitted once more."""
    early = made(lab, "Ann", "add")
    better = made(lab, "Dee", "refresh<")
    leave = made(lab, "Ann", "leave", early - 1, early)
    gone = made(lab, "Bob", "refresh", early - 1, leave)  # on the branch that loses
    late = made(lab, "Ann", "add Cid", early - 1, early, leave, better)
    seat = lab.start[GUEST]
    for key in (early, gone, late):
        seat = lab.deliver(GUEST, seat, key)
    eve = seat.room
    assert late in seat.held
    assert "Ann" not in members(lab, eve)
    bob = room(lab, "Bob", early - 1, leave, gone, better, late - 1)
    place = bob.roster.of(lab.people[GUEST].keys.identity)
    assert place is not None
    assert place.id != eve.own_id
    guest = lab.people[GUEST].invited(now=LATER)
    fetched = bob.commit(
        lab.people["Bob"].keys, [Remove(place.id, place.admission)], [guest], LATER, Stream("f")
    )
    (letter,) = fetched.invitations.values()
    assert enter(lab.people[GUEST], eve, letter, LATER).transcript == bob.transcript


def test_a_late_answer_does_not_bring_a_device_to_what_has_lost(lab: Lab) -> None:
    letter = made(lab, "Bob", "resync Dee")
    better = made(lab, "Ann", "refresh")
    seat = lab.deliver("Dee", lab.seat("Dee", frozenset()), better)
    tip = seat.room.transcript
    seat = lab.deliver("Dee", seat, letter)
    assert seat.room.transcript == tip
    assert letter in seat.held


def test_one_brought_to_what_has_lost_holds_what_tells_it_so(lab: Lab) -> None:
    letter = made(lab, "Bob", "resync Dee")
    better = made(lab, "Ann", "refresh")
    seat = lab.deliver("Dee", lab.seat("Dee", frozenset()), letter)
    seat = lab.deliver("Dee", seat, better)
    assert better in seat.held


def test_an_insider_cannot_flush_the_path_with_a_long_branch_that_loses(lab: Lab) -> None:
    """Beyond 256 epochs the losing ones go first: what is late on the path still comes."""
    late = made(lab, "Cid", "say")
    sibling = made(lab, "Cid", "refresh", late)
    better = made(lab, "Ann", "refresh")
    bob = room(lab, "Bob", better)
    dee, owner, stream = room(lab, "Dee"), lab.people["Dee"].keys, Stream("flood")
    for _ in range(MAX_EPOCHS + 10):
        copy = dee.commit(owner, [], [], LATER, stream).copies[bob.own_id]
        bob.apply(copy, LATER)
    assert len(bob.state.epochs) == MAX_EPOCHS
    assert bob.transcript == room(lab, "Ann", better).transcript
    assert bob.receive(lab.items[late].copies["Bob"], LATER).sender == lab.ids["Cid"]
    assert not bob.apply(lab.items[sibling].copies["Bob"], LATER).leads
