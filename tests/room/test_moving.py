"""A joiner whose admission has lost is brought over by another invitation (spec 12.5)."""

from __future__ import annotations

from typing import Final

import pytest

from evanesce.errors import LocalError, Reason
from evanesce.founding import Invited
from evanesce.group import CommitMade
from evanesce.limits import EPOCH_GRACE, FORK_BUCKET, MAX_EPOCHS, MOVE_WINDOW
from evanesce.membership import Mode, Policy, Role
from evanesce.operations import Resync
from evanesce.resync import ResyncRequest
from evanesce.room import Room
from evanesce.tree import Order, Trail, kept_trail, path, strayed, trail, wins
from tests.room.room_support import (
    NOW,
    Forger,
    World,
    make_at,
    opened_by,
    refused,
    restart,
    state_of,
)

HOUR: Final = FORK_BUCKET
FIRST: Final[Order] = (3, 0, 0, 0, 0)
SECOND: Final[Order] = (3, 0, 0, 1, 1)
REMOVAL: Final[Order] = (1, 1, 9, 2, 5)


# --- trails (REQ-ENV-24) -------------------------------------------------------------------------


def steps(*each: tuple[str, Order | None]) -> Trail:
    return tuple((name.encode().ljust(8, b"."), order) for name, order in each)


ROOT: Final = ("root", None)


@pytest.mark.parametrize(
    ("mine", "other", "won"),
    [
        (steps(ROOT, ("a", FIRST)), steps(ROOT, ("b", SECOND)), True),
        (steps(ROOT, ("a", SECOND)), steps(ROOT, ("b", FIRST)), False),
        (steps(ROOT, ("a", REMOVAL)), steps(ROOT, ("b", FIRST)), True),
        # Only where they part, not how long they are or what comes later.
        (steps(ROOT, ("a", FIRST)), steps(ROOT, ("b", SECOND), ("c", FIRST)), True),
        (steps(ROOT, ("a", SECOND), ("c", FIRST)), steps(ROOT, ("b", FIRST)), False),
        # After the last that they share, wherever that stands in each.
        (steps(ROOT, ("m", SECOND), ("a", FIRST)), steps(("m", None), ("b", SECOND)), True),
        (steps(("m", None), ("b", SECOND)), steps(ROOT, ("m", SECOND), ("a", FIRST)), False),
        # An order that is not known comes last.
        (steps(ROOT, ("a", FIRST)), steps(ROOT, ("b", None)), True),
        (steps(ROOT, ("a", None)), steps(ROOT, ("b", FIRST)), False),
        (steps(ROOT, ("a", None)), steps(ROOT, ("b", None)), False),
        # One is a beginning of the other: nobody has lost.
        (steps(ROOT, ("a", FIRST)), steps(ROOT), False),
        (steps(ROOT), steps(ROOT, ("a", FIRST)), False),
        (steps(ROOT), steps(ROOT), False),
        # They share nothing.
        (steps(("a", FIRST)), steps(("b", SECOND)), None),
        ((), steps(ROOT), None),
        ((), (), None),
    ],
)
def test_of_two_trails_the_better_one_where_they_part_wins(
    mine: Trail, other: Trail, won: bool | None
) -> None:
    assert wins(mine, other) is won
    if won:
        assert not wins(other, mine)


# --- being moved ---------------------------------------------------------------------------------


class Invitations:
    """fay is invited on two branches of one parent: by bob's commit, which wins, and by ann's."""

    def __init__(self, *, may_add: bool = False, by: str = "bob") -> None:
        policy = Policy(Mode.SIGNED, members_may_add=may_add)
        world = World("ann", "bob", "cid", roles={"bob": Role.ADMIN}, policy=policy,
                      outsiders=["fay"])  # fmt: skip
        world.now = NOW + 9 * HOUR
        world.commit("cid")
        fay = world.people["fay"]
        self.world, self.guests = world, [fay.invited(now=world.now) for _ in range(2)]
        lost, won = self.guests
        self.lost = make_at(world, "ann", world.now + 2 * HOUR, invite=[lost])
        self.won = make_at(world, by, world.now, invite=[won])
        world.now += 2 * HOUR

    def join(self, made: CommitMade, guest: Invited) -> Room:
        (member,) = (m for m in made.added if m.admission == guest.package.hash)
        fay = self.world.people["fay"]
        return fay.join(made.invitations[member.id], guest, self.world.now)

    def joined(self) -> Room:
        """The device, after it has joined by the one that loses."""
        self.world.rooms["fay"] = self.join(self.lost, self.guests[0])
        return restart(self.world, "fay")

    def other(self) -> Room:
        """What the invitation of the winning branch gives."""
        return self.join(self.won, self.guests[1])

    def moves(self, old: Room, new: Room, by: str = "bob", late: int = 0) -> bool:
        return new.moves(old, self.world.people[by].keys.identity, self.world.now + late)


def test_a_welcome_tells_the_path_that_leads_to_its_epoch() -> None:
    here = Invitations()
    room, bob = here.joined(), here.world["bob"]
    assert state_of(room).trail == (
        *kept_trail(state_of(here.world["cid"])),
        (state_of(room).current, opened_by(here.lost, here.world["ann"]).order),
    )
    assert [order and order[2] for _, order in state_of(room).trail] == [None, 9, 2]
    assert trail(state_of(room)) == state_of(room).trail
    assert trail(state_of(here.other())) == trail(state_of(bob))


def test_a_welcome_tells_256_steps_at_most() -> None:
    world = World("ann", outsiders=["fay"])
    for _ in range(MAX_EPOCHS):
        world.make("ann")
    guest = world.people["fay"].invited()
    world.join("fay", world.make("ann", invite=[guest]), guest)
    told = state_of(world["fay"]).trail
    assert len(told) == MAX_EPOCHS
    assert told == kept_trail(state_of(world["ann"]))


def test_who_has_joined_the_losing_branch_is_moved_and_the_other_way_round_is_not() -> None:
    here = Invitations()
    on_lost, on_won = here.joined(), here.other()
    assert here.moves(on_lost, on_won)
    assert not here.moves(on_won, on_lost, by="ann")
    assert on_lost.has_lost(on_won)
    assert not on_won.has_lost(on_lost)
    assert not here.moves(on_lost, here.join(here.lost, here.guests[0]), by="ann"), "kept already"


@pytest.mark.parametrize("late", [0, 1])
def test_only_within_72_hours_of_joining(late: int) -> None:
    here = Invitations()
    room, other = here.joined(), here.other()
    assert here.moves(room, other, late=MOVE_WINDOW + late) == (not late)


def test_a_founder_is_not_moved() -> None:
    here = Invitations()
    assert state_of(here.world["ann"]).joined is None
    assert not here.moves(here.world["ann"], here.other())


@pytest.mark.parametrize(("may_add", "moved"), [(False, False), (True, True)])
def test_the_inviter_is_one_who_may_admit(may_add: bool, moved: bool) -> None:
    """cid is a plain member: on the branch that the device knows it may admit, or not."""
    here = Invitations(may_add=True, by="cid")
    room, other = here.joined(), here.other()
    if not may_add:
        for epoch in state_of(room).epochs.values():
            epoch.policy = Policy(Mode.SIGNED)
    assert here.moves(room, other, by="cid") == moved
    stranger = World("eve").people["eve"].keys.identity
    assert not other.moves(room, stranger, here.world.now)


def test_without_a_common_epoch_the_later_commit_decides() -> None:
    here = Invitations()
    room, other = here.joined(), here.other()
    state_of(room).trail = steps(("x", FIRST))
    state_of(other).trail = steps(("y", SECOND))
    state_of(room).epochs[state_of(room).current].order = FIRST
    for early, moved in ((-1, False), (0, False), (1, True)):
        state_of(other).epoch.time = state_of(room).epoch.time + early
        assert here.moves(room, other) == moved
    assert not room.has_lost(other), "of branches that share nothing neither is known to have lost"


def test_who_is_moved_takes_the_new_place_and_reads_what_is_said_in_the_old() -> None:
    here = Invitations()
    world, room = here.world, here.joined()
    before = state_of(room)
    for name in ("bob", "cid"):
        world.apply(name, here.lost)
    fay = world.send("fay", "on the losing branch")
    assert world.body("bob", fay) == "on the losing branch"
    late, later = world.send("ann", "late"), world.send("ann", "later")
    world.receive("fay", late)
    old_id, old_epoch = room.own_id, before.current
    new = here.other()
    new.take_over(room, moved=True)
    world.rooms["fay"] = new
    room = restart(world, "fay")
    state = state_of(room)
    assert room.own_id != old_id
    assert room.transcript == world["bob"].transcript
    assert list(state.epochs) == [old_epoch, state.current]
    old = state.epochs[old_epoch]
    assert (old.leaf, old.room_sign, old.exporter, old.handshakes, old.inits) == (
        None, None, None, {}, {},
    )  # fmt: skip
    assert old.superseded == world.now
    assert state.epoch.parent not in state.epochs
    assert world.body("fay", later) == "later"
    with refused(Reason.REPLAY, room):
        world.receive("fay", late)
    # What it did by its old id does not count.
    assert not strayed(state)
    assert state.last_spoken is None
    for name in ("ann", "cid"):
        world.apply(name, here.won)
    world.check_agreement("ann", "bob", "cid", "fay")
    world.check_talk("ann", "bob", "cid", "fay")
    room.expire(world.now + EPOCH_GRACE + 1)
    assert old_epoch not in state_of(room).epochs


def test_commits_on_epochs_that_it_has_been_moved_from_are_not_taken() -> None:
    here = Invitations()
    world, room = here.world, here.joined()
    on_lost = Forger(world["ann"], world.people["ann"].keys, world.now).copies()[room.own_id]
    new = here.other()
    new.take_over(room, moved=True)
    world.rooms["fay"] = new
    for room in (new, restart(world, "fay")):
        with refused(Reason.REPLAY, room):
            room.apply(on_lost, world.now)


def test_what_has_been_noted_is_carried_over() -> None:
    """REQ-EPOCH-28, 29: else content would go to a member whose removal has been seen."""
    here = Invitations()
    world = here.world
    cid = world.member("cid", at="ann")
    room = here.joined()
    removal = world.make("ann", world.removal("cid"))
    world.apply("fay", removal)
    assert cid.id not in room.roster
    noted = dict(state_of(room).noted)
    assert len(noted) == 1
    new = here.other()
    new.take_over(room, moved=True)
    world.rooms["fay"] = new
    room = restart(world, "fay")
    assert state_of(room).noted == noted
    assert cid.id in room.roster
    assert room.blocked
    with refused(Reason.REMOVAL_PENDING, room, error=LocalError):
        world.send("fay")
    assert [m.id for m in world.make("fay").removed] == [cid.id]


def test_leave_requests_of_others_and_a_conviction_are_carried_over_too() -> None:
    here = Invitations()
    world, room = here.world, here.joined()
    for name in ("cid", "fay"):
        request = world[name].leave_request(world.people[name].keys)
        state_of(room).leaving[world[name].own_id] = request.request
    state_of(room).equivocators = [world["ann"].own_id]
    new = here.other()
    new.take_over(room, moved=True)
    assert set(state_of(new).leaving) == {world["cid"].own_id}
    assert new.equivocator == world["ann"].own_id


def test_over_a_resync_what_was_noted_stays_and_nothing_else_does() -> None:
    world = World("ann", "bob", "cid", "dan", roles={"bob": Role.ADMIN})
    world.now = NOW + 9 * HOUR
    removal = make_at(world, "bob", NOW + HOUR, world.removal("dan"))
    winning = make_at(world, "ann", NOW)
    for made in (removal, winning):
        world.apply("cid", made)
    old = world["cid"]
    person = world.people["cid"]
    package = person.package(now=world.now).package
    asked = ResyncRequest.make(person.keys, old.id, old.own_id, world.now, package)
    made = world.make("ann", Resync(asked))
    new = person.join(made.invitations[old.own_id], Invited(package, 0), world.now)
    assert not state_of(new).noted
    new.take_over(old, moved=False)
    assert state_of(new).noted == state_of(old).noted
    assert [epoch.number for epoch in path(state_of(new))] == [2]
    assert set(state_of(new).epochs) == {state_of(new).current}
    assert new.blocked
    world.rooms["cid"] = new
    with refused(Reason.REMOVAL_PENDING, restart(world, "cid"), error=LocalError):
        world.send("cid")


def test_the_own_trail_is_what_was_told_and_the_path_since() -> None:
    here = Invitations()
    world, room = here.world, here.joined()
    told = state_of(room).trail
    world.apply("fay", world.make("ann"))
    room = restart(world, "fay")
    state = state_of(room)
    assert trail(state) == (*told, (state.current, state.epoch.order))
    world.now += EPOCH_GRACE + 1
    room.expire(world.now)
    assert trail(state) == (*told, (state.current, state.epoch.order)), "also of what is erased"


def test_held_as_before_who_has_no_reason_to_be_moved() -> None:
    """An invitation of one's own branch, later on it, moves nobody: it goes on from one's own."""
    here = Invitations()
    world, room = here.world, here.joined()
    guest = world.people["fay"].invited(now=world.now)
    world.make("ann", world.removal("fay"))
    again = world.make("ann", invite=[guest])
    other = here.join(again, guest)
    assert not here.moves(here.joined(), other, by="ann")
    assert room.own_id != other.own_id
