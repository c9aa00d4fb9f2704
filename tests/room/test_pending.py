"""What lost commits did to members stays pending until some commit does it again (10.9, 10.6)."""

from __future__ import annotations

from typing import Final

import pytest

from evanesce.commit import Commit, SignedCommit
from evanesce.content import Leave
from evanesce.epoch import SealedCommit
from evanesce.errors import HeldError, LocalError, Reason
from evanesce.group import CommitMade
from evanesce.limits import EPOCH_GRACE, FORK_BUCKET, MAX_NOTED, MAX_PROOFS, NOTED_LIFETIME
from evanesce.membership import Role
from evanesce.operations import Resync, SetRole
from evanesce.pending import note
from evanesce.proofs import Proof, ProofKind, Sanction, sanction, sign_sanction
from evanesce.resync import ResyncRequest
from evanesce.room import Room
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


def crew() -> World:
    world = World("ann", "bob", "cid", "dan", "eve", roles={"bob": Role.ADMIN}, outsiders=["fay"])
    world.now = NOW + 9 * HOUR
    return world


def commit_in(made: CommitMade, room: Room) -> Commit:
    """What is sealed in a commit, as a member of its parent can read it."""
    sealed = SealedCommit.parse(made.sealed)
    epoch = state_of(room).epochs[sealed.prefix]
    opened = sealed.open(epoch.handshakes[sealed.committer].reveal())
    return Commit.parse(SignedCommit.parse(opened).commit)


def removals_in(made: CommitMade, room: Room) -> list[Proof]:
    return [
        Proof(ProofKind.SANCTION, op.signed)
        for op in commit_in(made, room).operations
        if isinstance(op, Sanction)
    ]


def lost_removal(world: World) -> tuple[CommitMade, CommitMade]:
    """bob removes eve, and that commit loses to one of cid's; nobody else has either."""
    removal = make_at(world, "bob", NOW + HOUR, world.removal("eve"))
    return removal, make_at(world, "cid", NOW)


# --- noting (REQ-EPOCH-28) -----------------------------------------------------------------------


def test_the_sanctions_of_a_commit_are_noted_and_then_its_proofs() -> None:
    world = crew()
    world.ask_to_leave("eve")
    made = world.make("ann", world.removal("dan"), SetRole(world["bob"].own_id, Role.MEMBER))
    commit = commit_in(made, world["cid"])
    removal, demotion = removals_in(made, world["cid"])
    (leave,) = commit.proofs
    world.apply("cid", made)
    for name in ("ann", "cid"):
        noted = state_of(restart(world, name)).noted
        assert list(noted) == [removal, demotion, leave]
        assert set(noted.values()) == {world.now}


def test_what_is_noted_already_is_not_noted_again() -> None:
    world = crew()
    removal, winning = lost_removal(world)
    world.apply("ann", removal)
    first = world.now
    world.now += 50
    world.apply("ann", winning)
    world.make("ann")
    assert list(state_of(world["ann"]).noted.values()) == [first]


def test_it_is_noted_also_from_a_commit_that_never_leads_here() -> None:
    world = crew()
    removal, winning = lost_removal(world)
    for made in (winning, removal):
        world.apply("ann", made)
    assert world["ann"].pending == tuple(removals_in(removal, world["bob"]))
    assert restart(world, "ann").pending == world["ann"].pending


def test_a_refused_commit_notes_nothing() -> None:
    world = crew()
    keys = world.people["ann"].keys
    bad = Forger(world["ann"], keys, world.now, operations=[world.removal("eve")],
                 confirmation=bytes(32)).copies()  # fmt: skip
    with refused(Reason.BAD_CONFIRMATION, world["cid"]):
        world["cid"].apply(bad[world["cid"].own_id], world.now)
    assert state_of(world["cid"]).noted == {}


@pytest.mark.parametrize("over", [0, 1])
def test_what_was_noted_is_forgotten_after_30_days(over: int) -> None:
    world = crew()
    for made in reversed(lost_removal(world)):
        world.apply("ann", made)
    since = world.now
    room = world["ann"]
    room.expire(since + NOTED_LIFETIME + over)
    room = restart(world, "ann")
    assert bool(state_of(room).noted) == bool(room.pending) == bool(room.blocked) == (not over)


def removals_by(world: World, author: str, target: str, epochs: range) -> list[Proof]:
    """Valid ones, all different: of a removal the epoch says nothing."""
    keys, row = world.people[author].keys, world.member(target, at="ann")
    return [
        Proof(ProofKind.SANCTION, sign_sanction(
            keys, world["ann"].id, row.id, row.admission, world[author].own_id, None, epoch, ()
        ).signed)
        for epoch in epochs
    ]  # fmt: skip


def note_in(world: World, name: str, *proofs: Proof) -> list[Proof]:
    note(state_of(world[name]), [], proofs, world.now)
    return list(state_of(restart(world, name)).noted)


def test_of_more_than_1000_those_go_first_that_are_not_pending() -> None:
    world = crew()
    void = removals_by(world, "cid", "dan", range(3))  # cid may not
    good = removals_by(world, "ann", "eve", range(MAX_NOTED - 2))
    assert note_in(world, "bob", *void[:2], *good) == [*void[:2], *good]
    (more,) = removals_by(world, "ann", "dan", range(1))
    assert note_in(world, "bob", more) == [void[1], *good, more], "the oldest of them"


@pytest.mark.parametrize("demotions", [False, True])
def test_then_those_of_whom_most_are_noted_so_that_nobody_pushes_out_what_is_said_of_it(
    demotions: bool,
) -> None:
    """Whether they are removals or demotions: it is their author that counts."""
    world = crew()
    leave, bob = world.leave_proof("dan"), world.member("bob", at="ann")
    by_bob = removals_by(world, "bob", "dan", range(2))
    noted = note_in(world, "cid", leave, *by_bob)
    flood = removals_by(world, "ann", "eve", range(MAX_NOTED))
    if demotions:
        keys, ann = world.people["ann"].keys, world["ann"].own_id
        flood = [
            Proof(ProofKind.SANCTION, sign_sanction(
                keys, world["ann"].id, bob.id, bob.admission, ann, Role.MEMBER, epoch, None
            ).signed)
            for epoch in range(MAX_NOTED)
        ]  # fmt: skip
        noted = note_in(world, "cid", *removals_by(world, "bob", "eve", range(1)))
    assert note_in(world, "cid", *flood) == [*noted, *flood[len(noted) :]]


# --- pending and blocking ------------------------------------------------------------------------


def test_while_a_removal_is_pending_nobody_speaks_and_the_next_commit_does_it() -> None:
    world = crew()
    removal, winning = lost_removal(world)
    for name in ("ann", "dan", "bob"):
        for made in (removal, winning):
            if name != "bob" or made is winning:
                world.apply(name, made)
    world.apply("cid", removal)
    for name in ("ann", "bob", "cid", "dan"):
        assert world[name].transcript == world["cid"].transcript
        assert world["eve"].own_id in world[name].roster
        assert world[name].blocked
        with refused(Reason.REMOVAL_PENDING, world[name], error=LocalError):
            world.send(name)
        restart(world, name)
        with refused(Reason.REMOVAL_PENDING, world[name], error=LocalError):
            world.send(name)
    again = world.make("dan")
    assert [m.id for m in again.removed] == [world["eve"].own_id]
    assert list(commit_in(again, world["ann"]).proofs) == removals_in(removal, world["bob"])
    for name in ("ann", "bob", "cid"):
        applied = world.apply(name, again)
        assert [m.id for m in applied.removed] == [world["eve"].own_id]
    for name in ("ann", "bob", "cid", "dan"):
        assert (world[name].pending, world[name].blocked) == ((), False)
    assert opened_by(again, world["ann"]).order == (1, 1, 9, 2, 3), "with the rank of bob"
    world.check_talk("ann", "bob", "cid", "dan")


def test_a_member_does_not_undo_its_removal_by_setting_its_clock_back_again_and_again() -> None:
    """Once it has lost and comes back as a proof, a removal comes before all that its target can
    do on the same parent."""
    world = crew()
    removal = make_at(world, "ann", NOW + 2 * HOUR, world.removal("eve"))
    backdated = make_at(world, "eve", NOW)
    for name in ("ann", "bob", "dan"):
        if name != "ann":
            world.apply(name, removal)
        assert world.apply(name, backdated).leads
        assert world[name].blocked
    again = make_at(world, "ann", NOW + 3 * HOUR)
    once_more = make_at(world, "eve", NOW)
    assert world.apply("bob", once_more).leads
    assert world.apply("bob", again).leads, "though it was made hours later, by the clocks"
    assert world.apply("dan", again).leads
    assert not world.apply("dan", once_more).leads
    assert not world.apply("ann", once_more).leads
    assert world["eve"].own_id not in world["bob"].roster
    assert not world["bob"].blocked
    assert world["dan"].transcript == world["bob"].transcript == world["ann"].transcript
    world.check_talk("ann", "bob", "dan")


def test_a_lost_demotion_is_pending_and_blocks_nobody() -> None:
    world = crew()
    bob = world["bob"].own_id
    demotion = make_at(world, "ann", NOW + HOUR, SetRole(bob, Role.MEMBER))
    winning = make_at(world, "cid", NOW)
    for made in (demotion, winning):
        world.apply("dan", made)
    assert world["dan"].roster[bob].role is Role.ADMIN
    assert len(world["dan"].pending) == 1
    assert not world["dan"].blocked
    world.apply("ann", winning)
    assert world.body("ann", world.send("dan", "I may speak")) == "I may speak"
    again = world.make("dan")
    assert opened_by(again, world["dan"]).order == (3, 0, 9, 2, 3), "no removal"
    world.apply("ann", again)
    assert world["ann"].roster[bob].role is Role.MEMBER
    assert world["ann"].pending == ()
    # And a role that is given later stands.
    raised = world.make("ann", SetRole(bob, Role.ADMIN))
    world.apply("dan", raised)
    assert not world["dan"].pending
    assert world.make("dan").removed == ()
    assert world["dan"].roster[bob].role is Role.ADMIN


def test_a_lost_leave_request_is_pending_too() -> None:
    late = World("ann", "bob", "cid", "dan", roles={"bob": Role.ADMIN})
    late.now = NOW + 2 * HOUR
    # cid has not heard of the request: its commit does not embed it, and wins.
    request = late["dan"].leave_request(late.people["dan"].keys)
    late["bob"].receive(late.send("dan", request).message, late.now)
    losing, winning = make_at(late, "bob", NOW + HOUR), make_at(late, "cid", NOW)
    assert [m.id for m in losing.removed] == [late["dan"].own_id]
    assert winning.removed == ()
    for made in (losing, winning):
        late.apply("ann", made)
    assert late["ann"].pending == (Proof(ProofKind.LEAVE, request.request),)
    assert late["ann"].blocked
    assert [m.id for m in late.make("ann").removed] == [late["dan"].own_id]


def test_the_removal_of_this_device_itself_does_not_keep_it_from_speaking() -> None:
    """It is blocking if it removes another member; and nobody embeds its own."""
    world = crew()
    removal, winning = lost_removal(world)
    for made in (removal, winning):
        world.apply("eve", made)
    assert len(world["eve"].pending) == 1
    assert not world["eve"].blocked
    world.send("eve", "still in")
    assert world.make("eve").removed == ()


def test_a_removal_whose_author_has_lost_the_right_to_it_is_not_pending() -> None:
    world = crew()
    removal = make_at(world, "bob", NOW + HOUR, world.removal("eve"))
    demotes = make_at(world, "ann", NOW, SetRole(world["bob"].own_id, Role.MEMBER))
    for made in (removal, demotes):
        world.apply("dan", made)
    assert world["dan"].pending == ()
    assert not world["dan"].blocked
    # It is still noted: should bob be an admin again, it holds.
    world.apply("dan", world.make("ann", SetRole(world["bob"].own_id, Role.ADMIN)))
    assert world["dan"].pending == tuple(removals_in(removal, world["bob"]))


def test_who_was_removed_on_a_losing_branch_by_whoever_has_gone_stays() -> None:
    world = crew()
    removal = make_at(world, "bob", NOW + HOUR, world.removal("eve"))
    remover_goes = make_at(world, "ann", NOW, world.removal("bob"))
    for made in (removal, remover_goes):
        world.apply("dan", made)
    assert world["dan"].pending == ()
    assert world["eve"].own_id in world["dan"].roster


def test_an_equivocation_is_told_before_a_pending_removal() -> None:
    """REQ-MSG-06, step 3."""
    world = crew()
    twin = Forger(world["bob"], world.people["bob"].keys, NOW + HOUR).copies()
    room = world["dan"]
    for made in lost_removal(world):
        world.apply("dan", made)
    with refused(Reason.REMOVAL_PENDING, room, error=LocalError):
        world.send("dan")
    assert room.apply(twin[room.own_id], world.now).equivocation
    with refused(Reason.EQUIVOCATION, room, error=LocalError):
        world.send("dan")


def test_a_pending_removal_is_told_before_an_awaited_refresh() -> None:
    world = crew()
    removal, winning = lost_removal(world)
    guest = world.people["fay"].invited(last_resort=True, now=world.now)
    for name in ("ann", "dan"):
        world.apply(name, winning)
    world.apply("dan", world.make("ann", invite=[guest]))
    with refused(Reason.REFRESH_AWAITED, world["dan"], error=LocalError):
        world.send("dan")
    world.apply("dan", removal)
    with refused(Reason.REMOVAL_PENDING, world["dan"], error=LocalError):
        world.send("dan")


# --- embedding (step 3 of REQ-EPOCH-14) ----------------------------------------------------------


def noted_by_hand(world: World, name: str, *proofs: Proof) -> None:
    """As if a commit that nobody else has seen had held them."""
    for proof in proofs:
        state_of(world[name]).noted[proof] = world.now


def signed(world: World, author: str, target: str, role: Role | None = None) -> Proof:
    roster = world["ann"].roster
    made = sanction(
        world.people[author].keys, world["ann"].id, world.member(author, at="ann"),
        world.member(target, at="ann"), role, roster, world["ann"].epoch,
    )  # fmt: skip
    return Proof(ProofKind.SANCTION, made.signed)


def test_pending_proofs_come_first_in_the_order_they_were_seen_and_then_leave_requests() -> None:
    world = crew()
    leave = world.ask_to_leave("dan")
    by_bob, demotion = signed(world, "bob", "eve"), signed(world, "ann", "bob", Role.MEMBER)
    noted_by_hand(world, "cid", demotion, by_bob)
    made = world.make("cid")
    assert list(commit_in(made, world["ann"]).proofs) == [demotion, by_bob, leave]
    assert {m.id for m in made.removed} == {world["eve"].own_id, world["dan"].own_id}


def test_a_proof_is_left_out_about_whom_this_commit_names_or_a_proof_before_it_removes() -> None:
    world = crew()
    eve, dan, bob = (world[name].own_id for name in ("eve", "dan", "bob"))
    by_ann, by_bob = signed(world, "ann", "eve"), signed(world, "bob", "eve")
    noted_by_hand(world, "ann", by_ann, by_bob)
    leave = world.ask_to_leave("eve")
    reader = world["cid"]
    records = world["ann"].records()

    def proofs_of(*wishes: object) -> list[Proof]:
        world.rooms["ann"] = Room.restore(records)
        made = world.make("ann", *wishes)  # type: ignore[arg-type]
        return list(commit_in(made, reader).proofs)

    assert leave in {Proof(ProofKind.LEAVE, s) for s in state_of(world["ann"]).leaving.values()}
    assert proofs_of() == [by_ann], "the second of one member, and its leave request, are left out"
    assert proofs_of(world.removal("eve")) == []
    assert proofs_of(SetRole(eve, Role.ADMIN)) == []
    assert proofs_of(SetRole(dan, Role.ADMIN)) == [by_ann]
    person = world.people["eve"]
    request = ResyncRequest.make(
        person.keys, reader.id, eve, world.now, person.package(now=world.now).package
    )
    assert proofs_of(Resync(request)) == []
    assert bob in world["ann"].roster


def test_a_proof_about_the_committer_and_one_that_would_take_it_along_are_left_to_others() -> None:
    world = crew()
    guest = world.people["fay"].invited(now=world.now)
    removal = signed(world, "ann", "bob")  # when bob had admitted nobody
    made = world.make("bob", invite=[guest])
    world.spread(made)
    world.join("fay", made, guest)
    for name in ("bob", "cid", "fay"):
        noted_by_hand(world, name, removal)
    records = {name: world[name].records() for name in ("bob", "fay")}
    for name in ("bob", "fay"):
        assert world[name].pending == (removal,)
        assert world[name].blocked == (name == "fay")
        assert world.make(name).removed == ()
        world.rooms[name] = Room.restore(records[name])
    assert {m.id for m in world.make("cid").removed} == {world["bob"].own_id, world["fay"].own_id}


def test_one_that_is_taken_along_by_a_proof_is_not_named_by_the_next() -> None:
    world = crew()
    guest = world.people["fay"].invited(now=world.now)
    removal = signed(world, "ann", "bob")
    made = world.make("bob", invite=[guest])
    world.spread(made)
    world.join("fay", made, guest)
    second = signed(world, "ann", "fay")
    noted_by_hand(world, "cid", removal, second)
    assert list(commit_in(world.make("cid"), world["ann"]).proofs) == [removal]


def test_a_commit_embeds_16_proofs_and_leaves_the_others_for_the_next() -> None:
    names = [f"m{n}" for n in range(MAX_PROOFS + 2)]
    world = World("ann", "bob", *names)
    world.now = NOW + HOUR
    removals = [signed(world, "ann", name) for name in names[:-1]]
    noted_by_hand(world, "bob", *removals)
    world["bob"].receive(world.send(names[-1], world[names[-1]].leave_request(
        world.people[names[-1]].keys)).message, world.now)  # fmt: skip
    first = world.make("bob")
    assert [m.id for m in first.removed] == [world[name].own_id for name in names[:MAX_PROOFS]]
    assert world["bob"].blocked
    second = world.make("bob")
    assert {m.id for m in second.removed} == {world[name].own_id for name in names[MAX_PROOFS:]}
    assert not world["bob"].blocked


def test_what_is_not_valid_at_the_parent_is_not_embedded() -> None:
    world = crew()
    stale = signed(world, "bob", "eve")
    noted_by_hand(world, "cid", stale)
    world.commit("ann", world.removal("eve"))
    assert next(iter(state_of(world["cid"]).noted)) == stale
    made = world.make("cid")
    assert list(commit_in(made, world["ann"]).proofs) == []


def test_a_leave_request_of_a_member_that_is_admitted_anew_is_over() -> None:
    world = crew()
    leave = world.ask_to_leave("eve")
    world.commit("ann")
    world.add("ann", "eve")
    assert leave in state_of(world["ann"]).noted
    assert world["ann"].pending == ()
    world.check_talk("ann", "bob", "cid", "dan", "eve")


# --- directory and leave requests (REQ-DEL-02) ---------------------------------------------------


@pytest.mark.parametrize("over", [0, 1])
def test_what_is_known_of_a_member_goes_with_the_last_epoch_that_holds_it(over: int) -> None:
    world = crew()
    world.ask_to_leave("eve")
    eve = world["eve"].own_id
    world.commit("bob")
    room = world["dan"]
    assert eve not in room.roster
    assert eve not in room.leaving, "of the present roster"
    assert eve in state_of(room).leaving
    room.expire(world.now + EPOCH_GRACE + over)
    room = restart(world, "dan")
    assert (eve in state_of(room).leaving) == (eve in room.directory) == (not over)


def test_content_is_not_sealed_for_whom_a_lost_removal_has_removed() -> None:
    """The property behind it all: not even by those who have both branches and were in neither."""
    world = crew()
    removal, winning = lost_removal(world)
    for made in (winning, removal):
        world.apply("dan", made)
    with refused(Reason.REMOVAL_PENDING, world["dan"], error=LocalError):
        world.send("dan", Leave(b"x"))
    world.make("dan")
    sent = world.send("dan", "without eve")
    assert world["eve"].own_id not in sent.recipients
    with refused(Reason.UNKNOWN_EPOCH, world["eve"], error=HeldError):
        world.receive("eve", sent)
