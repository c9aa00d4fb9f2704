"""What a room says of itself, what it lists as changed, and what it refuses once it is closed."""

from __future__ import annotations

from typing import Final

import pytest

from evanesce.errors import HeldError, LocalError, Reason
from evanesce.identity import Identity
from evanesce.limits import EPOCH_GRACE, MOVE_WINDOW, REFRESH_AFTER, REFRESH_MESSAGES
from evanesce.membership import Mode, Policy, Role
from evanesce.primitives import KDF, H
from evanesce.proofs import Proof, ProofKind
from evanesce.room import Room
from evanesce.state import Contact
from tests.room.room_support import NOW, World, secrets_of, state_of

DIRECT: Final = Policy(Mode.DIRECT)


def kept(room: Room) -> dict[bytes, bytes]:
    """What a store holds that has kept every change so far."""
    room.changes()
    return room.records()


def restored(room: Room, store: dict[bytes, bytes]) -> Room:
    """The room as the store knows it, after the changes since."""
    for name, data in room.changes().items():
        if data is None:
            store.pop(name, None)
        else:
            store[name] = data
    return Room.restore(store)


# --- what it is ----------------------------------------------------------------------------------


def test_a_printout_shows_which_room_of_what_kind_and_how_many_are_in_it() -> None:
    group, direct = World("ann", "bob", "cid")["ann"], World("ann", "bob", policy=DIRECT)["ann"]
    assert repr(group) == f"<Room {group.id.hex()[:8]} signed, 3 members>"
    assert repr(direct) == f"<Room {direct.id.hex()[:8]} direct, 2 members>"


def test_a_founder_has_announced_its_own_name_and_mailbox() -> None:
    world = World("ann", "bob")
    own = world["ann"].directory[world["ann"].own_id]
    assert (own.name, own.mailbox) == ("ann", world.people["ann"].mailbox.mailbox)
    assert world["bob"].directory[world["ann"].own_id] == own


def test_a_member_that_has_gone_is_known_as_long_as_an_epoch_with_it_is_kept() -> None:
    world = World("ann", "bob", "cid")
    cid = world.member("cid", at="ann")
    world.commit("ann", world.removal("cid"))
    world.commit("bob")
    assert cid.id not in world["ann"].roster
    assert world["ann"].known_member(cid.id) == cid
    assert world["ann"].known_member(b"?" * 32) is None


def test_a_member_of_several_epochs_is_known_as_it_stands_in_the_last() -> None:
    world = World("ann", "bob")
    bob = world["bob"].own_id
    first = world["ann"].known_member(bob)
    world.commit("bob")
    last = world["ann"].known_member(bob)
    assert first is not None
    assert last is not None
    assert (first.credential.version, last.credential.version) == (0, 1)
    assert last == world["ann"].roster[bob]


def test_only_a_direct_room_has_a_peer() -> None:
    direct, group = World("ann", "bob", policy=DIRECT), World("ann", "bob")
    assert (direct["ann"].direct, group["ann"].direct) == (True, False)
    assert direct["ann"].peer == direct.member("bob", at="ann")
    assert direct["bob"].peer == direct.member("ann", at="bob")
    with pytest.raises(LocalError) as caught:
        _ = group["ann"].peer
    assert caught.value.reason is Reason.WRONG_MODE


@pytest.mark.parametrize("mode", [Mode.DIRECT, Mode.SIGNED])
def test_who_has_sent_anything_has_spoken_and_stays_so(mode: Mode) -> None:
    world = World("ann", "bob", policy=Policy(mode))
    assert not world["ann"].has_spoken
    assert not world["bob"].has_spoken
    world.deliver(world.send("ann"))
    assert world["ann"].has_spoken
    assert not world["bob"].has_spoken
    if mode is Mode.SIGNED:
        world.commit("ann")  # a new chain, of which nothing has been used
    else:
        world.deliver(world.send("bob"))  # ann's chain is closed
        assert world["bob"].has_spoken
    assert world["ann"].has_spoken
    world["ann"].abandon(NOW)
    assert world["ann"].has_spoken


def test_a_direct_room_is_answered_from_the_first_answer_on() -> None:
    world = World("ann", "bob", policy=DIRECT)
    message = world.send("ann")
    assert not world["ann"].answered
    world.deliver(message)
    assert not world["bob"].answered
    answer = world.send("bob")
    assert world["bob"].answered
    assert not world["ann"].answered
    world.deliver(answer)
    assert world["ann"].answered


def test_in_a_room_without_forks_nothing_is_pending_and_nothing_is_held_up() -> None:
    world = World("ann", "bob", "cid")
    world.commit("ann", world.removal("cid"))
    for name in ("ann", "bob"):
        assert world[name].pending == ()
        assert world[name].equivocator is None
        assert not world[name].blocked


def test_a_removal_that_was_seen_and_lost_holds_up_all_but_the_one_it_is_about() -> None:
    """REQ-EPOCH-28."""
    world = World("ann", "bob", "cid")
    request = world["bob"].leave_request(world.people["bob"].keys)
    proof = Proof(ProofKind.LEAVE, request.request)
    for name in ("ann", "bob", "cid"):
        state_of(world[name]).noted[proof] = NOW
        assert world[name].pending == (proof,)
        assert world[name].blocked is (name != "bob")


def test_in_a_room_with_an_equivocator_everybody_is_held_up() -> None:
    world = World("ann", "bob")
    state_of(world["ann"]).equivocators = [world["bob"].own_id]
    assert world["ann"].equivocator == world["bob"].own_id
    assert world["ann"].pending == ()
    assert world["ann"].blocked
    assert not world["bob"].blocked


def test_who_was_removed_may_ask_to_be_let_in_anew_and_who_gave_up_may_not() -> None:
    world = World("ann", "bob", "cid")
    assert world["cid"].may_ask
    world.commit("ann", world.removal("cid"))
    assert world["cid"].closed
    assert world["cid"].may_ask
    world["bob"].abandon(NOW)
    assert not world["bob"].may_ask


# --- the same room, joined on two branches (REQ-ENV-24) ------------------------------------------


class Twice:
    """Two members admit the same person at once; it joins the branches of both."""

    def __init__(self) -> None:
        self.world = World(
            "ann", "bob", policy=Policy(Mode.SIGNED, members_may_add=True), outsiders=["cid", "dan"]
        )
        cid = self.world.people["cid"]
        self.rooms = {}
        for by in ("ann", "bob"):
            guest = cid.invited()
            made = self.world.make(by, invite=[guest])
            (member,) = made.added
            self.rooms[by] = cid.join(made.invitations[member.id], guest, NOW)

    def __getitem__(self, by: str) -> Room:
        return self.rooms[by]

    def identity(self, name: str) -> Identity:
        return self.world.people[name].keys.identity


def test_a_better_branch_takes_the_place_of_the_other_for_72_hours() -> None:
    twice = Twice()
    better, other = twice["ann"], twice["bob"]  # the committer of the higher rank
    ann, bob, stranger = map(twice.identity, ("ann", "bob", "dan"))
    assert better.moves(other, ann, NOW)
    assert better.moves(other, ann, NOW + MOVE_WINDOW)
    assert not better.moves(other, ann, NOW + MOVE_WINDOW + 1)
    assert not better.moves(other, stranger, NOW)
    assert not other.moves(better, bob, NOW)
    assert other.has_lost(better)
    assert not better.has_lost(other)
    assert not better.has_lost(better)


def test_who_is_moved_still_reads_the_branch_it_leaves() -> None:
    twice = Twice()
    late = twice.world.send("bob")
    better, other = twice["ann"], twice["bob"]
    state_of(other).equivocators = [b"e" * 32]
    better.take_over(other, moved=True)
    assert better.receive(late.message, NOW).sender == twice.world["bob"].own_id
    assert state_of(better).equivocators == [b"e" * 32]
    assert {b"epoch/" + prefix for prefix in state_of(other).epochs} <= better.changes().keys()


def test_who_is_let_in_anew_keeps_what_was_noted_and_no_more() -> None:
    twice = Twice()
    late = twice.world.send("bob")
    better, other = twice["ann"], twice["bob"]
    state_of(other).equivocators = [b"e" * 32]
    better.changes()
    better.take_over(other, moved=False)
    assert state_of(better).equivocators == [b"e" * 32]
    assert better.changes().keys() == {b"state", b"noted"}
    with pytest.raises(HeldError) as caught:
        better.receive(late.message, NOW)
    assert caught.value.reason is Reason.UNKNOWN_EPOCH


# --- when a refresh is due (REQ-EPOCH-16, 21, 25) ------------------------------------------------


def came_by_last_resort(world: World) -> None:
    guest = world.people["cid"].invited(Role.MEMBER, last_resort=True)
    made = world.make("ann", invite=[guest])
    world.spread(made)
    world.join("cid", made, guest)


def test_who_came_by_a_last_resort_package_is_to_refresh_unless_it_was_removed() -> None:
    world = World("ann", "bob", outsiders=["cid"])
    came_by_last_resort(world)
    assert world["cid"].first_refresh_due
    assert not world["ann"].first_refresh_due
    assert world["cid"].refresh_due(NOW)
    world.commit("ann", world.removal("cid"))
    assert world["cid"].closed
    assert not world["cid"].first_refresh_due
    assert not world["cid"].refresh_due(NOW + REFRESH_AFTER)


def test_in_a_direct_room_nobody_refreshes_first() -> None:
    world = World("ann", "bob", policy=DIRECT)
    for name in ("ann", "bob"):
        epoch = state_of(world[name]).epoch
        package = world.people[name].package(last_resort=True).package
        epoch.roster = epoch.roster.resync(world[name].own_id, package, NOW)
        assert not world[name].first_refresh_due


def test_who_came_back_is_to_refresh_until_it_has_committed_or_gone() -> None:
    world = World("ann", "bob")
    epoch = state_of(world["bob"]).epoch
    assert not world["bob"].came_back
    package = world.people["bob"].package().package
    epoch.roster = epoch.roster.resync(world["bob"].own_id, package, NOW)
    assert world["bob"].came_back
    assert world["bob"].first_refresh_due
    assert world["bob"].refresh_due(NOW)
    world["bob"].abandon(NOW)
    assert not world["bob"].came_back
    assert not world["bob"].first_refresh_due


def test_a_refresh_is_due_after_seven_days_or_256_messages_and_not_before() -> None:
    room = World("ann", "bob")["ann"]
    assert not room.refresh_due(NOW + REFRESH_AFTER - 1)
    assert room.refresh_due(NOW + REFRESH_AFTER)
    state_of(room).sent_since_refresh = REFRESH_MESSAGES - 1
    assert not room.refresh_due(NOW)
    state_of(room).sent_since_refresh = REFRESH_MESSAGES
    assert room.refresh_due(NOW)


# --- the exporter (REQ-EPOCH-17) -----------------------------------------------------------------


def test_what_is_exported_is_of_this_epoch_this_label_and_this_size() -> None:
    world = World("ann", "bob")
    room = world["ann"]
    exporter = state_of(room).epoch.exporter
    assert exporter is not None
    assert room.export(b"a label") == KDF(exporter.reveal(), b"export", b"a label", size=32)
    for size in (1, 2, 63, 64):
        expected = KDF(exporter.reveal(), b"export", b"a label", size=size)
        assert room.export(b"a label", size) == expected == world["bob"].export(b"a label", size)
    assert room.export(b"another") != room.export(b"a label")
    for size in (-1, 0, 65):
        with pytest.raises(LocalError) as caught:
            room.export(b"a label", size)
        assert caught.value.reason is Reason.BAD_INPUT
    before = room.export(b"a label")
    world.commit("bob")
    assert room.export(b"a label") == world["bob"].export(b"a label") != before


def test_a_closed_room_exports_nothing() -> None:
    """Neither of the two: the device is out, or its keys are erased."""
    left, erased = World("ann", "bob")["ann"], World("ann", "bob")["ann"]
    left.abandon(NOW)
    state_of(erased).epoch.exporter = None
    for room in (left, erased):
        with pytest.raises(LocalError) as caught:
            room.export(b"a label")
        assert caught.value.reason is Reason.ROOM_CLOSED


# --- what has changed ----------------------------------------------------------------------------


def test_a_leave_request_that_was_heard_is_kept_in_the_store() -> None:
    world = World("ann", "bob", "cid")
    store = kept(world["ann"])
    world.ask_to_leave("bob")
    bob = world["bob"].own_id
    again = restored(world["ann"], store)
    assert world["ann"].leaving == again.leaving == (bob,)
    assert again.digest() == world["ann"].digest()


def test_an_announcement_is_kept_in_the_store_unless_a_newer_one_is_known() -> None:
    world = World("ann", "bob")
    room, bob = world["ann"], world["bob"].own_id
    store = kept(room)
    told = Contact("Bob", world.people["bob"].mailbox.mailbox, (2, 5))
    assert room.announce(bob, told)
    assert room.changes().keys() == {b"directory"}
    assert room.announce(bob, told)  # as new as what is known
    assert restored(room, store).directory[bob] == told
    for older in ((2, 4), (1, 9)):
        assert not room.announce(bob, Contact("Robert", None, older))
    assert not room.announce(b"?" * 32, told)
    assert room.directory[bob] == told
    assert room.changes() == {}


# --- the end -------------------------------------------------------------------------------------


def test_who_gives_up_its_place_is_out_at_once_and_loses_the_rest_in_time() -> None:
    """REQ-DEL-05: late messages can be read for 72 hours more."""
    world = World("ann", "bob")
    late, room = world.send("bob"), world["ann"]
    store = kept(room)
    room.abandon(NOW)
    assert room.closed
    assert restored(room, store).closed
    chains = [key for key in secrets_of(room) if "chain" in key]
    assert list(secrets_of(room)) == chains != []
    with pytest.raises(LocalError) as caught:
        world.send("ann")
    assert caught.value.reason is Reason.ROOM_CLOSED
    room.expire(NOW + EPOCH_GRACE)
    assert world.body("ann", late) == "hello"
    room.expire(NOW + EPOCH_GRACE + 1)
    assert secrets_of(room) == {}


def test_a_place_can_be_given_up_once() -> None:
    world = World("ann", "bob")
    room = world["ann"]
    room.abandon(NOW)
    before = room.digest()
    for call in (
        lambda: room.abandon(NOW + 1),
        lambda: room.leave_request(world.people["ann"].keys),
    ):
        with pytest.raises(LocalError) as caught:
            call()
        assert caught.value.reason is Reason.ROOM_CLOSED
    assert room.digest() == before


# --- digest --------------------------------------------------------------------------------------


def test_a_digest_is_of_every_record_and_its_name() -> None:
    world = World("ann", "bob")
    room = world["ann"]
    rows = [[name, data] for name, data in sorted(room.records().items())]
    assert room.digest() == H(b"room digest", rows)
    before = room.digest()
    assert Room.restore(room.records()).digest() == before
    world.send("ann")
    assert room.digest() != before
