"""The tree of epochs: which of several commits counts, and what of the others is kept (10.9)."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Final

import pytest

from evanesce.epoch import SealedCommit, seal_commit
from evanesce.errors import HeldError, LocalError, Reason
from evanesce.formats import COMMIT_COPY
from evanesce.group import CommitMade
from evanesce.limits import EPOCH_GRACE, FORK_BUCKET, MAX_EPOCHS, REFRESH_MESSAGES
from evanesce.membership import Mode, Policy, Role
from evanesce.message import STRAYED, ParsedMessage
from evanesce.operations import SetPolicy, SetRole, load_operations
from evanesce.proofs import Proof, ProofKind, sanction
from evanesce.room import Room
from evanesce.speech import Sent
from evanesce.state import Epoch
from evanesce.tree import Order, leads_to, lineage, order_of, path, strayed
from tests.room.room_support import (
    NOW,
    Forger,
    Stream,
    World,
    make_at,
    opened_by,
    refused,
    restart,
    secrets_of,
    state_of,
)

HOUR: Final = FORK_BUCKET
NAMES: Final = ("ann", "bob", "cid", "dan")


def crew() -> World:
    """An owner, an admin, and two members. Their clocks show three hours after the founding."""
    world = World(*NAMES, roles={"bob": Role.ADMIN}, outsiders=["eve", "fay"])
    world.now = NOW + 3 * HOUR
    return world


def flag_of(sent: Sent) -> int:
    return ParsedMessage.parse(sent.message).header.flags


def keys_of(epoch: Epoch) -> set[str]:
    """The kinds of secrets that are kept of an epoch."""
    kinds = {
        "leaf": epoch.leaf, "room sign": epoch.room_sign, "exporter": epoch.exporter,
        "chains": epoch.chains, "handshakes": epoch.handshakes, "inits": epoch.inits,
    }  # fmt: skip
    return {kind for kind, kept in kinds.items() if kept}


# --- order (REQ-EPOCH-20) ------------------------------------------------------------------------


def order(
    world: World, by: str, time: int, *proofs: Proof, parent_time: int | None = None
) -> Order:
    parent = state_of(world["ann"]).epoch
    if parent_time is not None:
        parent = replace(parent, time=parent_time)
    return order_of(parent, world.member(by, at="ann"), time, proofs)


@pytest.mark.parametrize(
    ("time", "bucket"),
    [(0, 0), (NOW - 1, 0), (NOW, 0), (NOW + 3_599, 0), (NOW + 3_600, 1), (NOW + 7_199, 1),
     (NOW + 7_200, 2), ((1 << 40) - 1, ((1 << 40) - 1 - NOW) // 3_600)],
)  # fmt: skip
def test_a_commit_is_in_the_bucket_of_its_hour_after_its_parent(time: int, bucket: int) -> None:
    assert order(crew(), "ann", time) == (3, 0, bucket, 0, 0)


def test_the_bucket_counts_from_the_commit_that_opened_the_parent() -> None:
    world = crew()
    assert order(world, "ann", NOW + 3_600, parent_time=NOW + 3_600) == (3, 0, 0, 0, 0)
    made = make_at(world, "bob", NOW + HOUR)
    world.spread(made)
    later = make_at(world, "ann", NOW + 2 * HOUR)
    world.spread(later)
    assert opened_by(made, world["dan"]).order == (3, 0, 1, 1, 1)
    assert opened_by(later, world["dan"]).order == (3, 0, 1, 0, 0)


@pytest.mark.parametrize(
    ("by", "standing"), [("ann", (0, 0)), ("bob", (1, 1)), ("cid", (2, 2)), ("dan", (2, 3))]
)
def test_within_an_hour_the_rank_decides(by: str, standing: tuple[int, int]) -> None:
    assert order(crew(), by, NOW) == (3, 0, 0, *standing)


def proof_by(world: World, author: str, target: str, role: Role | None) -> Proof:
    roster = world["ann"].roster
    author_row, target_row = (world.member(name, at="ann") for name in (author, target))
    made = sanction(
        world.people[author].keys, world["ann"].id, author_row, target_row, role, roster, 0
    )
    return Proof(ProofKind.SANCTION, made.signed)


def test_a_removal_among_its_proofs_comes_before_all_with_the_rank_of_its_author() -> None:
    world = crew()
    by_bob, by_ann = proof_by(world, "bob", "dan", None), proof_by(world, "ann", "cid", None)
    assert order(world, "dan", NOW + 9 * HOUR, by_bob) == (1, 1, 9, 2, 3)
    assert order(world, "dan", NOW, by_ann) == (0, 0, 0, 2, 3)
    for proofs in ((by_ann, by_bob), (by_bob, by_ann)):
        assert order(world, "dan", NOW, *proofs) == (0, 0, 0, 2, 3), "of several the smallest"
    demotion, leave = proof_by(world, "ann", "bob", Role.MEMBER), world.leave_proof("cid")
    assert order(world, "dan", NOW, demotion, leave) == (3, 0, 0, 2, 3), "no removal of another"
    assert order(world, "dan", NOW, by_bob) < order(world, "ann", 0)


# --- which one leads -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("dan", 0), ("ann", 3_600)),  # the earlier hour before rank
        (("ann", 3_599), ("bob", 0)),  # in one hour the higher role, not the earlier time
        (("bob", 3_599), ("cid", 0)),
        (("cid", 3_599), ("dan", 0)),  # of equal roles the senior
        (("dan", -9_999_999), ("ann", 3_600)),  # before the parent is the first hour
        (("ann", 0), ("dan", -9_999_999)),
    ],
)
def test_the_better_of_two_siblings_leads_for_all(
    first: tuple[str, int], second: tuple[str, int]
) -> None:
    world = crew()
    better, worse = (make_at(world, name, NOW + at) for name, at in (first, second))
    readers = [name for name in NAMES if name not in {first[0], second[0]}]
    one, other = readers
    assert world.apply(one, better).leads
    assert not world.apply(one, worse).leads
    assert world.apply(other, worse).leads
    assert world.apply(other, better).leads
    assert not world.apply(first[0], worse).leads
    assert world.apply(second[0], better).leads
    world.check_agreement()
    world.check_talk()
    assert opened_by(better, world[one]) is state_of(world[one]).epoch


def four_commits(world: World) -> dict[str, CommitMade]:
    """A loses, with B on it; C is on the same parent as A and wins; D is on C."""
    made = {"A": make_at(world, "bob", NOW + HOUR)}
    made["C"] = make_at(world, "cid", NOW)
    world.apply("ann", made["A"])
    made["B"] = make_at(world, "ann", NOW)
    world.apply("eve", made["C"])
    made["D"] = make_at(world, "eve", NOW + HOUR)
    return made


# A child can only be taken after its parent.
SCHEDULES: Final = [
    schedule for schedule in permutations("ABCD")
    if schedule.index("A") < schedule.index("B") and schedule.index("C") < schedule.index("D")
]  # fmt: skip


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("schedule", SCHEDULES, ids="".join)
def test_any_order_of_arrival_gives_the_same_tree(
    schedule: tuple[str, ...], restarts: bool
) -> None:
    world = World("ann", "bob", "cid", "dan", "eve", roles={"bob": Role.ADMIN})
    world.now = NOW + 3 * HOUR
    made = four_commits(world)
    for name in schedule:
        world.apply("dan", made[name])
        if restarts:
            restart(world, "dan")
    room, state = world["dan"], state_of(world["dan"])
    assert room.transcript == world["eve"].transcript
    assert [epoch.number for epoch in path(state)] == [2, 1, 0]
    a, b, c, d = (opened_by(made[name], room) for name in "ABCD")
    assert state.epoch is d
    assert {p.prefix for p in path(state)} == {d.prefix, c.prefix, a.parent}
    assert (a.parent, b.parent, c.parent, d.parent) == (c.parent, a.prefix, a.parent, c.prefix)
    assert leads_to(state, a, b)
    assert leads_to(state, c, d)
    assert not leads_to(state, a, d)
    assert not leads_to(state, d, c)
    assert not leads_to(state, c, b)
    # What is kept of the losing ones does not depend on when they lost either.
    for losing in (a, b):
        assert keys_of(losing) == {"leaf", "room sign", "chains", "handshakes", "inits"}
        assert losing.superseded == world.now
        assert room.own_id not in losing.inits
        assert room.own_id not in losing.chains
    for epoch in state.epochs.values():
        assert set(epoch.inits) == set(epoch.roster.members) - set(epoch.taken) - (
            set() if epoch is d else {room.own_id}
        )
    root = state.epochs[a.parent or b""]
    assert set(root.taken) == {world[name].own_id for name in ("bob", "cid")}
    world.body("eve", world.send("dan", "in the same epoch"))


def test_a_commit_on_a_losing_epoch_never_leads_however_good_its_order() -> None:
    world = crew()
    losing, winning = make_at(world, "cid", NOW + HOUR), make_at(world, "bob", NOW + HOUR)
    world.apply("ann", losing)
    beneath = make_at(world, "ann", NOW)
    where = {}
    for name in ("dan", "bob"):
        if name == "dan":
            assert world.apply(name, winning).leads
        where[name] = world[name].transcript
        for made in (losing, beneath):
            assert not world.apply(name, made).leads
        assert world[name].transcript == where[name]
        assert opened_by(beneath, world[name]).number == 2
    orders = [opened_by(made, world["dan"]).order for made in (beneath, winning)]
    assert orders == [(3, 0, 0, 0, 0), (3, 0, 1, 1, 1)], "the better one by itself"


def test_a_better_sibling_deep_in_the_path_takes_the_whole_rest_of_it_along() -> None:
    world = crew()
    for time in (HOUR, 2 * HOUR, 3 * HOUR):
        made = make_at(world, "bob", NOW + time)
        for name in ("ann", "dan"):
            world.apply(name, made)
    before = world["dan"].transcript
    early = make_at(world, "cid", NOW + HOUR - 1)
    applied = world.apply("dan", early)
    assert applied.leads
    assert applied.lost == (world["bob"].own_id,) * 3
    state = state_of(world["dan"])
    assert world["dan"].epoch == 1
    assert [epoch.number for epoch in path(state)] == [1, 0]
    assert before in {epoch.transcript for epoch in state.epochs.values()}, "still read"
    # What comes on the branch that has been left is taken, and only read.
    later = make_at(world, "ann", NOW + 3 * HOUR)
    assert not world.apply("dan", later).leads
    assert world["dan"].transcript == world["cid"].transcript


def test_an_epoch_of_which_no_order_is_known_stays_on_the_path() -> None:
    """An earlier version has kept it, when there were no branches."""
    world = crew()
    better = make_at(world, "ann", NOW)
    world.apply("dan", make_at(world, "bob", NOW + HOUR))
    state_of(world["dan"]).epoch.order = None
    where = restart(world, "dan").transcript
    assert not world.apply("dan", better).leads
    assert world["dan"].transcript == where


def test_what_changes_with_the_branch_is_told_as_a_difference() -> None:
    """Of the lost branch nothing is left: not its policy, not its roles, not whom it admitted."""
    world = crew()
    policy = Policy(Mode.SIGNED, members_may_add=True)
    guest = world.people["eve"].invited(now=world.now)
    losing = make_at(
        world, "ann", NOW + HOUR, SetPolicy(policy), SetRole(world["cid"].own_id, Role.ADMIN),
        invite=[guest],
    )  # fmt: skip
    winning = make_at(world, "bob", NOW, world.removal("cid"))
    gained = world.apply("dan", losing)
    assert (gained.policy, len(gained.added), [r for _, r in gained.roles]) == (
        policy, 1, [Role.ADMIN],
    )  # fmt: skip
    applied = world.apply("dan", winning)
    assert {m.id for m in applied.removed} == {gained.added[0].id, world["cid"].own_id}
    assert applied.policy == Policy(Mode.SIGNED)
    assert applied.roles == ()
    assert applied.added == ()
    assert applied.lost == (world["ann"].own_id,)
    assert applied.own_lost == ()


# --- losing epochs -------------------------------------------------------------------------------


def test_messages_of_losing_epochs_are_read_like_any_others() -> None:
    world = crew()
    losing, winning = make_at(world, "cid", NOW), make_at(world, "bob", NOW)
    for name, made in (("ann", losing), ("dan", winning)):
        world.apply(name, made)
    said_first, said_later = world.send("ann", "before I knew"), world.send("cid", "nor did I")
    with refused(Reason.UNKNOWN_EPOCH, world["dan"], error=HeldError):
        world.receive("dan", said_first)
    world.apply("dan", losing)
    restart(world, "dan")
    received = world.receive("dan", said_first)
    assert (received.epoch, received.prefix) == (1, opened_by(losing, world["dan"]).prefix)
    assert world.body("dan", said_later) == "nor did I"
    with refused(Reason.REPLAY, world["dan"]):
        world.receive("dan", said_first)
    assert world["dan"].transcript == world["bob"].transcript


def test_in_a_losing_epoch_nobody_is_heard_whom_its_parent_does_not_hear() -> None:
    """REQ-EPOCH-27, step 6: a removal that has been taken holds for what hangs beside it."""
    world = crew()
    removal = make_at(world, "ann", NOW, world.removal("dan"))
    losing = make_at(world, "cid", NOW)
    for name in ("dan", "bob"):
        world.apply(name, losing)
    for name in ("bob",):
        world.apply(name, removal)
    deeper = make_at(world, "dan", NOW)
    said_there = world.send("dan", "from a branch of my own")
    cid_there = world.send("cid", "before I knew")
    for made in (losing, deeper):
        if made is deeper:
            world.apply("bob", made)
    epoch = opened_by(deeper, world["bob"])
    assert set(epoch.chains) == {world["ann"].own_id, world["cid"].own_id}
    with refused(Reason.UNKNOWN_MEMBER, world["bob"]):
        world.receive("bob", said_there)
    assert world.body("bob", cid_there) == "before I knew"


def test_a_copy_is_taken_once_whether_it_leads_or_not() -> None:
    world = crew()
    losing, winning = make_at(world, "cid", NOW), make_at(world, "bob", NOW)
    world.apply("dan", winning)
    world.apply("dan", losing)
    for made in (losing, winning):
        for _ in range(2):
            with refused(Reason.REPLAY, world["dan"]):
                world.apply("dan", made)
            restart(world, "dan")


def test_a_copy_without_a_slot_waits_for_the_one_with_it() -> None:
    """REQ-EPOCH-15, step 19: somebody else has passed it on."""
    world = crew()
    removal = world.make("ann", world.removal("dan"))
    bare = COMMIT_COPY.build(removal.sealed, None)
    with refused(Reason.NO_SLOT, world["cid"], error=HeldError):
        world["cid"].apply(bare, world.now)
    assert world.apply("cid", removal).leads
    with refused(Reason.REPLAY, world["cid"]):
        world["cid"].apply(bare, world.now)
    assert world["dan"].apply(bare, world.now).removed_self, "who is not in needs none"


# --- one's own lost commit -----------------------------------------------------------------------


def test_who_has_lost_is_told_what_and_has_a_refresh_due() -> None:
    world = crew()
    wish = SetRole(world["dan"].own_id, Role.ADMIN)
    first = make_at(world, "ann", NOW + HOUR, wish)
    second = make_at(world, "ann", NOW + HOUR)
    winning = make_at(world, "cid", NOW)
    room = restart(world, "ann")
    assert not room.refresh_due(world.now)
    prefixes = [opened_by(made, room).prefix for made in (first, second)]
    applied = world.apply("ann", winning)
    assert applied.lost == (room.own_id, room.own_id)
    assert [prefix for prefix, _ in applied.own_lost] == prefixes, "the oldest first"
    assert [load_operations(data) for _, data in applied.own_lost] == [[wish], []]
    assert state_of(room).sent_since_refresh == REFRESH_MESSAGES
    assert room.refresh_due(world.now)
    assert restart(world, "ann").refresh_due(world.now)
    world.make("ann")
    assert not world["ann"].refresh_due(world.now)


def test_who_has_not_lost_has_no_refresh_due() -> None:
    world = crew()
    losing, winning = make_at(world, "ann", NOW + HOUR), make_at(world, "cid", NOW)
    for name in ("bob", "dan"):
        world.apply(name, losing)
        assert world.apply(name, winning).own_lost == ()
        assert not world[name].refresh_due(world.now)
    assert world.apply("cid", losing).lost == ()
    assert not world["cid"].refresh_due(world.now)


def test_whose_commit_loses_at_once_stays_and_goes_on_from_where_the_others_are() -> None:
    world = crew()
    winning, losing = make_at(world, "cid", NOW), make_at(world, "ann", NOW + HOUR)
    world.apply("ann", winning)
    own = world.make("ann")
    assert own.copies.keys() == {world[name].own_id for name in ("bob", "cid", "dan")}
    for name in ("bob", "dan"):
        world.apply(name, winning)
        world.apply(name, own)
        assert not world.apply(name, losing).leads
    world.apply("cid", own)
    world.check_agreement()
    world.check_talk()


# --- puncturing and waiving (REQ-EPOCH-27, step 1; REQ-EPOCH-30) ---------------------------------


def test_taking_a_commit_erases_the_init_that_opened_its_epoch() -> None:
    world = crew()
    losing, winning = make_at(world, "cid", NOW), make_at(world, "bob", NOW)
    root = state_of(world["dan"]).epoch
    inits = {name: root.inits[world[name].own_id].reveal() for name in ("bob", "cid")}
    world.apply("dan", winning)
    assert world["bob"].own_id not in root.inits
    assert world["cid"].own_id in root.inits
    world.apply("dan", losing)
    for room in (world["dan"], restart(world, "dan")):
        kept = b"".join(room.records().values())
        assert not any(init in kept for init in inits.values())
        assert all(secret in kept for secret in secrets_of(room).values())


def test_who_speaks_further_on_waives_what_it_could_have_committed_before() -> None:
    world = crew()
    keys, now = world.people["cid"].keys, world.now
    stale = Forger(world["cid"], keys, now).copies()
    spoiled = Forger(
        world["cid"], keys, now, random=Stream("x"), state_hash=bytes(32)
    ).copies()
    for by in ("ann", "bob"):
        world.commit(by)
    cid = world["cid"].own_id
    state = state_of(world["dan"])
    assert all(cid in epoch.inits for epoch in state.epochs.values())
    message = world.send("cid", "in epoch 2")
    assert flag_of(message) == 0
    world.receive("dan", message)
    for epoch in path(state_of(restart(world, "dan"))):
        assert (cid in epoch.inits) == (epoch.number == 2)
        assert world["ann"].own_id in epoch.inits or epoch.number == 0, "nobody else's"
    with refused(Reason.BAD_STATE_HASH, world["dan"]):
        world["dan"].apply(spoiled[world["dan"].own_id], world.now)
    with refused(Reason.REPLAY, world["dan"]):
        world["dan"].apply(stale[world["dan"].own_id], world.now)
    assert not world["bob"].apply(stale[world["bob"].own_id], world.now).leads, "has not heard it"


def test_who_has_strayed_waives_nothing() -> None:
    world = crew()
    own, winning = make_at(world, "cid", NOW), make_at(world, "bob", NOW)
    for name in ("ann", "cid", "dan"):
        world.apply(name, winning)
    assert strayed(state_of(world["cid"]))
    message = world.send("cid", "strayed")
    assert flag_of(message) == STRAYED
    world.receive("dan", message)
    root = path(state_of(world["dan"]))[-1]
    assert world["cid"].own_id in root.inits
    assert not world.apply("dan", own).leads, "it is still read"


@pytest.mark.parametrize("spoke", ["last", "before", "not"])
def test_a_message_says_whether_its_sender_has_opened_or_spoken_beside_its_path(
    spoke: str,
) -> None:
    """Also if it has spoken elsewhere since, as long as it keeps the epoch."""
    world = crew()
    losing, winning = make_at(world, "cid", NOW + HOUR), make_at(world, "bob", NOW)
    world.apply("dan", losing)
    if spoke != "not":
        assert flag_of(world.send("dan", "on a branch that will lose")) == 0
    for name in ("ann", "dan"):
        world.apply(name, winning)
    if spoke == "before":
        assert flag_of(world.send("dan")) == STRAYED
        further = world.make("ann")
        world.apply("dan", further)
        world.apply("bob", further)
    restart(world, "dan")
    assert flag_of(world.send("dan")) == (0 if spoke == "not" else STRAYED)
    world["dan"].expire(world.now + EPOCH_GRACE)
    assert flag_of(world.send("dan")) == (0 if spoke == "not" else STRAYED)
    world["dan"].expire(world.now + EPOCH_GRACE + 1)
    assert flag_of(world.send("dan")) == 0, "the epoch is not kept any more"


# --- removal and return (steps 4 and 5; REQ-DEL-05) ----------------------------------------------


def test_a_better_sibling_makes_a_removed_device_a_member_again() -> None:
    world = crew()
    world.deliver(world.send("dan", "before"))
    spoken = state_of(world["dan"]).current
    removal = make_at(world, "ann", NOW + HOUR, world.removal("dan"))
    better = make_at(world, "cid", NOW)
    assert world.apply("dan", removal).removed_self
    assert state_of(world["dan"]).removal == (3, 0, 1, 0, 0)
    restart(world, "dan")
    applied = world.apply("dan", better)
    assert (applied.leads, applied.returned, applied.removed_self) == (True, True, False)
    room = restart(world, "dan")
    assert not room.closed
    assert room.transcript == world["cid"].transcript
    assert state_of(room).removal is None
    assert state_of(room).last_spoken == (spoken, 1), "remembered over the removal"
    assert room.export(b"x") == world["cid"].export(b"x")
    assert world.body("cid", world.send("dan", "back")) == "back"


def test_a_worse_sibling_does_not() -> None:
    world = crew()
    removal = make_at(world, "ann", NOW, world.removal("dan"))
    worse = make_at(world, "cid", NOW)
    world.apply("dan", removal)
    applied = world.apply("dan", worse)
    assert (applied.leads, applied.returned) == (False, False)
    assert world["dan"].closed
    late = world.send("cid", "on the losing branch")
    assert world.body("dan", late) == "on the losing branch"


def test_a_better_removal_takes_the_place_of_a_worse_one() -> None:
    """What comes between the two does not bring the device back any more."""
    world = crew()
    worse = make_at(world, "bob", NOW + HOUR, world.removal("dan"))
    between = make_at(world, "cid", NOW + HOUR - 1)
    best = make_at(world, "ann", NOW, world.removal("dan"))
    assert world.apply("dan", worse).removed_self
    applied = world.apply("dan", best)
    assert (applied.leads, applied.removed_self) == (True, True)
    assert state_of(world["dan"]).removal == (3, 0, 0, 0, 0)
    assert not world.apply("dan", between).leads
    assert restart(world, "dan").closed


def test_a_removal_beside_the_path_removes_and_one_that_loses_does_not() -> None:
    world = crew()
    for time in (HOUR, 2 * HOUR):
        made = make_at(world, "bob", NOW + time)
        world.apply("dan", made)
    late = make_at(world, "ann", NOW + 2 * HOUR, world.removal("dan"))
    where = world["dan"].transcript
    assert not world.apply("dan", late).leads
    assert (world["dan"].closed, world["dan"].transcript) == (False, where)
    early = make_at(world, "cid", NOW)
    # cid may not remove; the owner's commit of the first hour does.
    world2 = crew()
    first = make_at(world2, "bob", NOW + HOUR)
    world2.apply("dan", first)
    root = state_of(world2["dan"]).epoch.parent
    better = make_at(world2, "ann", NOW, world2.removal("dan"))
    applied = world2.apply("dan", better)
    assert (applied.leads, applied.removed_self, applied.lost) == (
        True, True, (world2["bob"].own_id,),
    )  # fmt: skip
    assert state_of(world2["dan"]).current == root
    assert early.copies


def test_a_device_that_gave_up_its_place_does_not_come_back() -> None:
    """REQ-DEL-05: all its keys but those of late messages are gone."""
    world = crew()
    removal = make_at(world, "ann", NOW + HOUR, world.removal("dan"))
    better, late = make_at(world, "cid", NOW), world.send("bob", "late")
    world["dan"].abandon(world.now)
    for made in (removal, better):
        with refused(Reason.REPLAY, world["dan"]):
            world.apply("dan", made)
    with refused(Reason.ROOM_CLOSED, world["dan"]):
        world.receive("dan", world.send("cid"))
    assert world.body("dan", late) == "late"


# --- the window (REQ-EPOCH-31, REQ-DEL-07, REQ-DEL-09) -------------------------------------------


@pytest.mark.parametrize("over", [0, 1])
def test_siblings_are_taken_for_72_hours_after_the_parent_was_left(over: int) -> None:
    world = crew()
    better = make_at(world, "ann", NOW)
    world.apply("dan", make_at(world, "bob", NOW + HOUR))
    world.now += EPOCH_GRACE + over
    world["dan"].expire(world.now)
    restart(world, "dan")
    if over:
        with refused(Reason.UNKNOWN_EPOCH, world["dan"], error=HeldError):
            world.apply("dan", better)
    else:
        assert world.apply("dan", better).leads


@pytest.mark.parametrize("over", [0, 1])
def test_a_losing_epoch_is_erased_72_hours_after_it_was_taken(over: int) -> None:
    world = crew()
    losing, winning = make_at(world, "cid", NOW), make_at(world, "bob", NOW)
    world.apply("dan", winning)
    world.now += 100
    world.apply("dan", losing)
    prefix = opened_by(losing, world["dan"]).prefix
    message = world.send("cid", "late")
    world["dan"].expire(world.now + EPOCH_GRACE + over)
    assert (prefix in state_of(world["dan"]).epochs) == (not over)
    assert any(name[6:14] == prefix for name in world["dan"].records()) == (not over)
    if over:
        with refused(Reason.UNKNOWN_EPOCH, world["dan"], error=HeldError):
            world.receive("dan", message)
    else:
        assert world.body("dan", message) == "late"


def test_an_epoch_that_was_left_does_not_live_longer_by_coming_back_to_its_branch() -> None:
    """Marked as superseded once (REQ-DEL-02, step 2)."""
    world = crew()
    removal = make_at(world, "ann", NOW + HOUR, world.removal("dan"))
    better = make_at(world, "cid", NOW)
    world.apply("dan", removal)
    first = world.now
    world.now += 5
    world.apply("dan", better)
    root = path(state_of(world["dan"]))[-1]
    assert root.superseded == first


def test_past_256_epochs_losing_ones_go_first_and_the_current_one_never() -> None:
    world = World("ann", "bob", "cid")
    losing = []
    for by in ("bob", "cid"):
        made = world.make(by)
        losing.append(made)
    for made in losing:
        world.apply("ann", made)
    state = state_of(world["ann"])
    assert len(path(state)) == 2
    prefixes = [opened_by(made, world["ann"]).prefix for made in losing]
    assert prefixes[0] == state.current, "bob is senior to cid"
    root = path(state)[-1].prefix
    for count in range(MAX_EPOCHS - 3):
        world.make("ann")
        assert len(state.epochs) == count + 4
    assert prefixes[1] in state.epochs
    world.make("ann")
    assert len(state.epochs) == MAX_EPOCHS
    assert prefixes[1] not in state.epochs, "the losing one, though it is not the oldest"
    assert root in state.epochs
    world.make("ann")
    assert root not in state.epochs, "then the first of the path"
    assert prefixes[0] in state.epochs
    assert state.current == list(state.epochs)[-1]
    assert Room.restore(world["ann"].records()).digest() == world["ann"].digest()


# --- equivocation (REQ-EPOCH-29) -----------------------------------------------------------------


def test_two_commits_of_one_author_on_one_parent_convict_it_once() -> None:
    world = crew()
    ann, keys = world["ann"].own_id, world.people["ann"].keys
    twins = [Forger(world["ann"], keys, NOW, random=Stream(f"twin {n}")).copies() for n in range(3)]
    first = world.make("ann")
    dan = world["dan"]
    world.apply("dan", first)
    assert dan.equivocator is None
    where = dan.transcript
    applied = dan.apply(twins[0][dan.own_id], world.now)
    assert (applied.equivocation, applied.leads, applied.committer.id) == (True, False, ann)
    assert dan.equivocator == ann
    assert dan.transcript == where
    dan = restart(world, "dan")
    assert dan.equivocator == ann
    before = dan.digest()
    for twin in (twins[0], twins[1]):
        assert dan.apply(twin[dan.own_id], world.now).equivocation
    assert dan.digest() == before, "it is noted once"
    with refused(Reason.REPLAY, dan):
        world.apply("dan", first)
    # Without a slot it proves as much.
    sealed, _ = COMMIT_COPY.parse(twins[2][world["bob"].own_id])
    world.apply("bob", first)
    bare = COMMIT_COPY.build(sealed, None)
    assert world["bob"].apply(bare, world.now).equivocation


def test_what_the_second_commit_says_does_not_matter_and_who_signed_it_does() -> None:
    world = crew()
    keys = world.people["ann"].keys
    senseless = Forger(world["ann"], keys, NOW, state_hash=bytes(32), time=1 << 39).copies()
    own = state_of(world["bob"]).epoch.room_sign
    assert own is not None
    forged = Forger(world["ann"], keys, NOW, signing=own.reveal()).copies()
    world.apply("dan", world.make("ann"))
    dan = world["dan"]
    with refused(Reason.BAD_SIGNATURE, dan):
        dan.apply(forged[dan.own_id], world.now)
    assert dan.equivocator is None
    assert dan.apply(senseless[dan.own_id], world.now).equivocation


def test_who_knows_of_an_equivocation_receives_and_says_nothing() -> None:
    world = crew()
    twin = Forger(world["cid"], world.people["cid"].keys, NOW).copies()
    world.spread(world.make("cid"))
    late = world.send("ann", "before I knew")
    dan = world["dan"]
    dan.apply(twin[dan.own_id], world.now)
    with refused(Reason.EQUIVOCATION, dan, error=LocalError):
        world.send("dan")
    with refused(Reason.EQUIVOCATION, dan, error=LocalError):
        world.make("dan")
    assert world.body("dan", late) == "before I knew"
    world.apply("dan", world.make("ann"))
    with refused(Reason.EQUIVOCATION, dan, error=LocalError):
        world.send("dan")
    dan.abandon(world.now)
    with refused(Reason.ROOM_CLOSED, dan, error=LocalError):
        world.send("dan")


def test_a_commit_signed_for_another_parent_convicts_nobody() -> None:
    """A member signs with one key on more than one parent: on one whose commit has lost, and on
    another of the same branch point. Whoever seals the one as if it were on the other lies."""
    world = crew()
    losing, winning = make_at(world, "bob", NOW + HOUR), make_at(world, "ann", NOW)
    world.apply("cid", losing)
    on_losing = make_at(world, "cid", NOW)
    world.apply("cid", winning)
    on_winning = make_at(world, "cid", NOW)
    for made in (losing, on_losing, winning, on_winning):
        world.apply("dan", made)
    dan, cid = world["dan"], world["cid"].own_id
    first, second = opened_by(losing, dan), opened_by(winning, dan)
    assert first.roster[cid].credential == second.roster[cid].credential, "the same key"
    signed = SealedCommit.parse(on_losing.sealed).open(first.handshakes[cid].reveal())
    moved = seal_commit(
        second.handshakes[cid].reveal(), dan.id, second.prefix, cid, signed, Stream("relay")
    )
    for slot in (None, COMMIT_COPY.parse(on_losing.copies[dan.own_id])[1]):
        with refused(Reason.WRONG_TRANSCRIPT, dan):
            dan.apply(COMMIT_COPY.build(moved, slot), world.now)
    assert dan.equivocator is None


def test_a_second_epoch_of_one_prefix_is_refused() -> None:
    """8 bytes name an epoch: two members together can make two that are named alike."""
    world = crew()
    made = make_at(world, "bob", NOW)
    ahead = Room.restore(world["dan"].records())
    ahead.apply(made.copies[ahead.own_id], world.now)
    opened = state_of(ahead).epoch
    dan, state = world["dan"], state_of(world["dan"])
    state.epochs[opened.prefix] = replace(
        state.epoch, transcript=opened.prefix + bytes(24), chains={}, superseded=NOW
    )
    with refused(Reason.WRONG_TRANSCRIPT, dan):
        world.apply("dan", made)
    del state.epochs[opened.prefix]
    assert world.apply("dan", made).leads


def test_commits_on_two_branches_convict_nobody() -> None:
    """cid commits again after it has lost, on another parent."""
    world = crew()
    lost, winning = make_at(world, "cid", NOW), make_at(world, "bob", NOW)
    world.apply("cid", winning)
    again = make_at(world, "cid", NOW)
    for made in (lost, winning, again):
        world.apply("dan", made)
    assert world["dan"].equivocator is None
    assert world["dan"].transcript == world["cid"].transcript


# --- lineage -------------------------------------------------------------------------------------


def test_who_is_in_an_epoch_has_all_that_lead_to_it_and_what_is_older_than_is_kept() -> None:
    world = crew()
    losing, winning = make_at(world, "cid", NOW + HOUR), make_at(world, "bob", NOW)
    for made in (losing, winning):
        world.apply("dan", made)
    state = state_of(world["dan"])
    lost, won = opened_by(losing, world["dan"]), opened_by(winning, world["dan"])
    known = lineage(state, won.prefix)
    assert known.has(won.prefix, 1)
    assert not known.has(lost.prefix, 1)
    assert known.has(won.parent or b"", 0)
    world["dan"].expire(world.now + EPOCH_GRACE + 1)
    known = lineage(state, won.prefix)
    assert (known.oldest, set(known.prefixes)) == (1, {won.prefix})
    assert known.has(b"?" * 8, 0)
    assert not known.has(b"?" * 8, 1)
