"""Commits of a group: what they do, whom they lock out, and how each fault is refused (spec 10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any, Final

import pytest

from evanesce.chain import step
from evanesce.commit import SignedCommit
from evanesce.content import Evaporation
from evanesce.epoch import EpochKeys, SealedCommit, epoch_secret, open_slot
from evanesce.errors import HeldError, LocalError, Reason, RemoteError
from evanesce.formats import COMMIT, COMMIT_COPY, SEALED_COMMIT
from evanesce.founding import Invited
from evanesce.limits import (
    EPOCH_GRACE,
    MAX_CLOCK_LEAD,
    MAX_COMMIT,
    MAX_EPOCHS,
    MAX_NAME,
    MAX_PROOFS,
)
from evanesce.membership import Mode, Policy, Role, make_entry, state_hash
from evanesce.message import Header, ParsedMessage, open_message, seal_message
from evanesce.operations import Remove, SetPolicy, SetRole, Wish
from evanesce.primitives import dh_keypair, sign, sign_keypair
from evanesce.proofs import Proof
from evanesce.room import Room
from evanesce.secret import Secret
from evanesce.state import Contact
from evanesce.wire import decode, encode
from tests.room.room_support import (
    NOW,
    Forger,
    Stream,
    World,
    refused,
    secrets_of,
    sending_chain,
    state_of,
)

KEPT: Final = ("ann", "bob", "cid")


def crew(**roles: Role) -> World:
    return World("ann", "bob", "cid", "dan", roles=roles, outsiders=["eve"])


# --- what commits do -----------------------------------------------------------------------------


def test_a_room_begins_with_its_founder_as_owner_and_all_agreeing() -> None:
    world = crew(bob=Role.ADMIN)
    world.check_agreement()
    assert [m.role for m in world["dan"].roster] == [
        Role.OWNER, Role.ADMIN, Role.MEMBER, Role.MEMBER,
    ]  # fmt: skip
    assert world["ann"].epoch == 0
    world.check_talk()


def test_add() -> None:
    world = crew()
    guest = world.people["eve"].invited(Role.ADMIN)
    made = world.make("ann", invite=[guest])
    (added,) = made.added
    for applied in world.spread(made).values():
        assert applied.committer.id == world["ann"].own_id
        assert (applied.added, applied.removed, applied.roles) == ((added,), (), ())
        assert (applied.policy, applied.removed_self) == (None, False)
    world.join("eve", made, guest)
    assert world.member("eve").role is Role.ADMIN
    assert world.member("eve").seniority == 4
    assert world["eve"].epoch == world["ann"].epoch == 1
    world.check_agreement()
    world.check_talk()


def test_add_several_at_once() -> None:
    world = World("ann", outsiders=["bob", "cid"])
    guests = [world.people["bob"].invited(), world.people["cid"].invited(Role.OWNER)]
    made = world.make("ann", invite=guests)
    assert made.copies == {}
    for name, guest in zip(("bob", "cid"), guests, strict=True):
        world.join(name, made, guest)
    world.check_agreement()
    world.check_talk()
    assert [m.role for m in world["bob"].roster] == [Role.OWNER, Role.MEMBER, Role.OWNER]


def test_remove() -> None:
    world = crew()
    gone = world.member("dan")
    for name, applied in world.commit("ann", world.removal("dan")).items():
        assert applied.removed == (gone,)
        assert applied.removed_self == (name == "dan")
    assert world["dan"].closed
    assert gone.id not in world["bob"].roster
    world.check_agreement(*KEPT)
    world.check_talk(*KEPT)


@pytest.mark.parametrize("committer", ["ann", "dan"])
def test_refresh(committer: str) -> None:
    """REQ-EPOCH-14."""
    world = crew()
    before = world.member(committer)
    secrets = secrets_of(world[committer])
    applied = world.commit(committer)
    for change in applied.values():
        assert (change.added, change.removed, change.roles, change.policy) == ((), (), (), None)
    after = world.member(committer)
    assert after.credential.version == before.credential.version + 1
    assert after.credential.leaf_key != before.credential.leaf_key
    assert after.credential.room_sign_key != before.credential.room_sign_key
    assert (after.admission, after.id, after.seniority) == (
        before.admission, before.id, before.seniority,
    )  # fmt: skip
    new = state_of(world[committer]).epoch
    assert new.leaf is not None
    assert new.leaf.reveal() not in secrets.values()
    world.check_agreement()
    world.check_talk()


def test_change_a_role() -> None:
    world = crew()
    before = world.member("bob")
    for applied in world.commit("ann", SetRole(before.id, Role.ADMIN)).values():
        assert applied.roles == ((before, Role.ADMIN),)
    assert world.member("bob", at="cid").role is Role.ADMIN
    world.check_agreement()
    world.commit("bob", world.removal("dan"))
    world.check_agreement(*KEPT)
    world.check_talk(*KEPT)


def test_change_the_policy() -> None:
    world = crew()
    policy = Policy(Mode.SIGNED, members_may_add=True, evaporation=Evaporation(5, 60))
    for applied in world.commit("ann", SetPolicy(policy)).values():
        assert applied.policy == policy
    world.check_agreement()
    assert world["dan"].policy == policy
    world.add("dan", "eve")
    world.check_agreement()
    world.check_talk()


@pytest.mark.parametrize("committer", KEPT)
def test_leave(committer: str) -> None:
    world = crew()
    world.ask_to_leave("dan")
    assert world[committer].leaving == (world["dan"].own_id,)
    assert world["dan"].leaving == ()
    for name, applied in world.commit(committer).items():
        assert [member.id for member in applied.removed] == [world["dan"].own_id]
        assert applied.removed_self == (name == "dan")
    assert all(world[name].leaving == () for name in KEPT)
    world.check_agreement(*KEPT)
    world.check_talk(*KEPT)


def test_the_owner_leaves_and_the_next_in_rank_is_owner() -> None:
    world = crew(cid=Role.ADMIN)
    world.ask_to_leave("ann")
    applied = world.commit("dan")
    assert world.member("cid").role is Role.OWNER
    assert applied["bob"].roles == ((applied["cid"].roles[0][0], Role.OWNER),)
    assert world["ann"].closed
    world.check_agreement("bob", "cid", "dan")
    world.check_talk("bob", "cid", "dan")


def test_everyone_may_leave_but_one() -> None:
    world = crew()
    for name in KEPT:
        world.ask_to_leave(name)
    world.commit("dan")
    assert len(world["dan"].roster) == 1
    assert world.member("dan").role is Role.OWNER
    assert world.send("dan").recipients == ()
    world.add("dan", "eve")
    world.check_agreement("dan", "eve")
    world.check_talk("dan", "eve")


def test_more_leave_requests_than_a_commit_takes_wait_for_the_next_one() -> None:
    """REQ-EPOCH-14."""
    names = [f"m{n}" for n in range(MAX_PROOFS + 1)]
    world = World("ann", *names)
    for name in names:
        world.rooms["ann"].receive(
            world.send(name, world[name].leave_request(world.people[name].keys)).message, NOW
        )
    first = world.make("ann")
    assert len(first.removed) == MAX_PROOFS
    second = world.make("ann")
    assert len(second.removed) == 1
    assert len(world["ann"].roster) == 1


def test_a_leave_request_of_a_member_that_is_removed_anyway_is_left_out() -> None:
    world = crew()
    world.ask_to_leave("dan")
    made = world.make("ann", world.removal("dan"))
    assert [member.id for member in made.removed] == [world["dan"].own_id]
    world.spread(made)
    world.check_agreement(*KEPT)


def test_all_kinds_of_operation_in_one_commit() -> None:
    world = World("ann", "bob", "cid", "dan", "fay", outsiders=["eve"])
    world.ask_to_leave("fay")
    guest = world.people["eve"].invited(Role.ADMIN)
    policy = Policy(Mode.SIGNED, evaporation=Evaporation(0, 60))
    made = world.make(
        "ann", SetRole(world["bob"].own_id, Role.OWNER), world.removal("dan"), SetPolicy(policy),
        invite=[guest],
    )  # fmt: skip
    applied = world.spread(made)["cid"]
    world.join("eve", made, guest)
    assert len(applied.added) == 1
    assert {m.id for m in applied.removed} == {world["dan"].own_id, world["fay"].own_id}
    assert [role for _, role in applied.roles] == [Role.OWNER]
    assert applied.policy == policy
    world.check_agreement("ann", "bob", "cid", "eve")
    world.check_talk("ann", "bob", "cid", "eve")


def test_members_take_turns_committing() -> None:
    world = crew()
    for committer in ("dan", "cid", "bob", "ann", "ann", "dan"):
        world.commit(committer)
        world.check_agreement()
        world.check_talk()
    assert world["ann"].epoch == 6


def test_only_a_limited_number_of_epochs_is_kept() -> None:
    """REQ-DEL-09, REQ-LIMIT-15."""
    world = World("ann", "bob")
    for _ in range(MAX_EPOCHS + 3):
        world.commit("ann")
    for name in ("ann", "bob"):
        epochs = state_of(world[name]).epochs
        assert len(epochs) == MAX_EPOCHS
        assert [epoch.number for epoch in epochs.values()][-1] == world[name].epoch
    world.check_agreement()
    world.check_talk()


@pytest.mark.parametrize("operations", [(), "remove"])
def test_the_keys_that_a_commit_consumes_are_gone(operations: str | tuple[()]) -> None:
    """The old epoch's init of the committer and exporter; no epoch secret is ever kept.
    REQ-DEL-02, REQ-EPOCH-17."""
    world = crew()
    parent = {name: state_of(world[name]).epoch for name in KEPT}
    init = parent["ann"].inits[world["ann"].own_id].reveal()
    export = {name: world[name].export(b"x") for name in KEPT}
    assert len(set(export.values())) == 1
    world.commit("ann", *([world.removal("dan")] if operations else []))
    for name in KEPT:
        assert world["ann"].own_id not in parent[name].inits
        assert init not in secrets_of(world[name]).values()
        assert parent[name].exporter is None
        assert world[name].export(b"x") != export[name]
    assert len({world[name].export(b"x") for name in KEPT}) == 1
    for size in (0, 65, -1):
        with pytest.raises(LocalError) as caught:
            world[KEPT[0]].export(b"x", size)
        assert caught.value.reason == "bad-input"


# --- locking out ---------------------------------------------------------------------------------


def test_a_removed_member_can_open_nothing_that_anyone_says_later() -> None:
    """With all it ever held, and every copy of the commit, it tries every way there is."""
    world = crew()
    for name in ("ann", "bob", "cid", "dan"):
        world.deliver(world.send(name))
    loot = secrets_of(world["dan"])
    thief = Room.restore(world["dan"].records())
    parent = state_of(thief).epoch
    made = world.make("ann", world.removal("dan"))
    for name in ("bob", "cid"):
        world.apply(name, made)

    # Its own copy has no slot, and learns it nothing but that it is out.
    sealed, slot = COMMIT_COPY.parse(made.copies[thief.own_id])
    assert slot is None
    opened = SignedCommit.parse(
        SealedCommit.parse(sealed).open(parent.handshakes[world["ann"].own_id].reveal())
    )
    (*_, ephemeral_key, _) = COMMIT.parse(opened.commit)

    # No key of its own opens any other member's slot.
    for name in ("bob", "cid"):
        member = world.member(name)
        _, other_slot = COMMIT_COPY.parse(made.copies[member.id])
        assert other_slot is not None
        for key in loot.values():
            for claim in (member, world.member("dan")):
                with pytest.raises(RemoteError) as caught:
                    open_slot(other_slot, key[:32], opened.commit, ephemeral_key, claim.id,
                              claim.credential.leaf_key)  # fmt: skip
                assert caught.value.reason is Reason.BAD_CIPHERTEXT

    # No two keys of its own make the epoch, as init and r, nor any one as the epoch secret.
    after = state_of(world["bob"]).epoch
    keys = [key[:32] for key in loot.values()]
    candidates = {*keys, *(epoch_secret(a, b, opened.commit) for a, b in product(keys, keys))}
    for candidate in candidates:
        guess = EpochKeys.derive(candidate, opened.commit, ())
        assert guess.confirmation != opened.confirmation

    # Nothing that anyone says can be read: not by the room, nor with any key taken as a chain's.
    for name in KEPT:
        message = world.send(name, "without dan")
        with refused(Reason.UNKNOWN_EPOCH, thief, error=HeldError):
            thief.receive(message.message, NOW)
        parsed = ParsedMessage.parse(message.message)
        for key in keys:
            for message_key in (key, next_message_key(key)):
                with pytest.raises(RemoteError) as caught:
                    open_message(parsed, after.context, message_key, Mode.SIGNED,
                                 world.member(name).credential.room_sign_key)  # fmt: skip
                assert caught.value.reason is Reason.BAD_SIGNATURE
    # Once told, it is out: first perhaps not for good, and then it is.
    assert world.apply("dan", made).removed_self
    for name in KEPT:
        with refused(Reason.UNKNOWN_EPOCH, world["dan"], error=HeldError):
            world.receive("dan", world.send(name))
    world["dan"].expire(NOW + EPOCH_GRACE + 1)
    for name in KEPT:
        with refused(Reason.ROOM_CLOSED, world["dan"]):
            world.receive("dan", world.send(name))
    world.check_talk(*KEPT)


def next_message_key(key: bytes) -> bytes:
    """The message key that a chain key gives next."""
    return step(key)[1]


def test_a_removed_member_keeps_what_late_messages_and_siblings_need_for_72_hours() -> None:
    """REQ-DEL-05, REQ-DEL-07: and nothing with which it could send, commit or export."""
    world = crew()
    world.commit("ann")
    world.commit("bob")
    world.deliver(world.send("dan", "the last word"))
    late = world.send("bob", "late")
    before, dan = secrets_of(world["dan"]), world["dan"].own_id.hex()
    world.commit("ann", world.removal("dan"))
    after = secrets_of(world["dan"])
    # The init of who has removed it is punctured as any committer's is.
    gone = {"sending", "2 exporter", f"2 init {dan}", f"2 init {world['ann'].own_id.hex()}"}
    assert set(before) - set(after) == gone
    assert after.items() <= before.items(), "it has got no new key"
    assert world.body("dan", late) == "late"
    after = secrets_of(world["dan"])
    world["dan"].expire(NOW + EPOCH_GRACE)
    assert secrets_of(world["dan"]) == after != {}
    world["dan"].expire(NOW + EPOCH_GRACE + 1)
    assert secrets_of(world["dan"]) == {}
    assert dan in {member.id.hex() for member in world["dan"].roster}, "its roster stays"


def test_nobody_hears_a_removed_member_any_more() -> None:
    """REQ-DEL-02."""
    world = crew()
    late = world.send("dan", "before I knew")
    made = world.make("ann", world.removal("dan"))
    world.apply("bob", made)
    for name in ("ann", "bob"):
        assert not any(world["dan"].own_id.hex() in key for key in secrets_of(world[name])
                       if " chain " in key or " skipped " in key)  # fmt: skip
        with refused(Reason.UNKNOWN_MEMBER, world[name]):
            world.receive(name, late)
    assert world.body("cid", late) == "before I knew"  # it has not applied the removal yet
    world.apply("cid", made)
    with refused(Reason.UNKNOWN_MEMBER, world["cid"]):
        world.receive("cid", world.send("dan", "still here"))
    # Nor does it come back by a commit of its own beside the removal, nor is it heard there.
    where, own = world["cid"].transcript, world["dan"].commit(
        world.people["dan"].keys, [], [], NOW, Stream("dan stays")
    )
    assert not world.apply("cid", own).leads
    assert world["cid"].transcript == where
    with refused(Reason.UNKNOWN_MEMBER, world["cid"]):
        world.receive("cid", world.send("dan", "in an epoch of its own"))


def test_a_removed_device_may_do_nothing_any_more() -> None:
    """REQ-DEL-05, REQ-MSG-06."""
    world = crew()
    heard = world.send("bob", "late")
    next_commit = world.make("ann", world.removal("dan"))
    stale = Forger(world["bob"], world.people["bob"].keys, NOW).copies()[world["dan"].own_id]
    world.spread(next_commit)
    room, keys = world["dan"], world.people["dan"].keys
    with refused(Reason.ROOM_CLOSED, room, error=LocalError):
        world.send("dan")
    with refused(Reason.ROOM_CLOSED, room, error=LocalError):
        world.make("dan")
    with refused(Reason.ROOM_CLOSED, room, error=LocalError):
        room.leave_request(keys)
    with refused(Reason.ROOM_CLOSED, room, error=LocalError):
        room.export(b"x")
    assert not room.apply(stale, NOW).leads  # it is only read
    assert room.closed
    assert not room.refresh_due(NOW + 10**9)
    assert world.body("dan", heard) == "late"
    later = world.make("bob").copies
    assert room.own_id not in later
    room.expire(NOW + EPOCH_GRACE + 1)
    for copy in (stale, later[world["cid"].own_id]):
        with refused(Reason.REPLAY if copy is stale else Reason.ROOM_CLOSED, room):
            room.apply(copy, NOW)


def test_a_joiner_can_read_nothing_earlier() -> None:
    world = crew()
    early = [world.send(name, "early") for name in ("ann", "bob", "cid", "dan")]
    late_epoch = state_of(world["bob"]).epoch
    world.add("ann", "eve")
    keys = {key[:32] for key in secrets_of(world["eve"]).values()}
    for sent in early:
        with refused(Reason.UNKNOWN_EPOCH, world["eve"], error=HeldError):
            world.receive("eve", sent)
        parsed = ParsedMessage.parse(sent.message)
        sender = late_epoch.roster[parsed.header.sender]
        for key in keys:
            for message_key in (key, next_message_key(key)):
                with pytest.raises(RemoteError) as caught:
                    open_message(parsed, late_epoch.context, message_key, Mode.SIGNED,
                                 sender.credential.room_sign_key)  # fmt: skip
                assert caught.value.reason is Reason.BAD_SIGNATURE
    # The others still read them, from the old epoch.
    for sent, name in zip(early, ("ann", "bob", "cid", "dan"), strict=True):
        for reader in {"ann", "bob", "cid", "dan"} - {name}:
            received = world.receive(reader, sent)
            assert received.epoch == 0
            assert world[reader].epoch == 1


def test_the_epoch_after_a_refresh_cannot_be_derived_from_what_was_stolen_before() -> None:
    """A thief that took all of bob's keys is locked out once bob has committed."""
    world = crew()
    loot = Room.restore(world["bob"].records())
    made = world.make("bob")
    world.spread(made)
    for receiver in ("ann", "cid", "dan"):
        _, slot = COMMIT_COPY.parse(made.copies[world[receiver].own_id])
        assert slot is not None
        opened = SignedCommit.parse(
            SealedCommit.parse(COMMIT_COPY.parse(made.copies[world[receiver].own_id])[0]).open(
                state_of(loot).epoch.handshakes[world["bob"].own_id].reveal()
            )
        )
        (*_, ephemeral_key, _) = COMMIT.parse(opened.commit)
        leaf = state_of(loot).epoch.leaf
        assert leaf is not None
        member = world.member(receiver)
        with pytest.raises(RemoteError) as caught:
            open_slot(slot, leaf.reveal(), opened.commit, ephemeral_key, member.id,
                      member.credential.leaf_key)  # fmt: skip
        assert caught.value.reason is Reason.BAD_CIPHERTEXT
    with refused(Reason.OWN_MESSAGE, loot):
        loot.apply(made.copies[world["ann"].own_id], NOW)


def test_while_a_commit_of_another_leaves_a_stolen_device_reading() -> None:
    """Stated in the threat model: only the device's own commit heals it."""
    world = crew()
    loot = Room.restore(world["bob"].records())
    made = world.make("ann")
    world.spread(made)
    loot.apply(made.copies[world["bob"].own_id], NOW)
    assert loot.transcript == world["ann"].transcript


# --- refused, one by one -------------------------------------------------------------------------


def honest_afterwards(world: World, *names: str) -> None:
    """A message and a commit still work for all."""
    world.check_talk(*names)
    made = world.make(names[0])
    for name in names[1:]:
        world.apply(name, made)
    world.check_agreement(*names)
    world.check_talk(*names)


def test_a_commit_delivered_again_is_a_replay() -> None:
    world = crew()
    made = world.make("ann")
    world.spread(made)
    for name in ("bob", "cid", "dan"):
        for room in (world[name], Room.restore(world[name].records())):
            with refused(Reason.REPLAY, room):
                room.apply(made.copies[room.own_id], NOW)
    world.commit("bob")
    with refused(Reason.REPLAY, world["cid"]):
        world.apply("cid", made)
    honest_afterwards(world, "ann", "bob", "cid", "dan")


def test_of_two_siblings_all_follow_the_same_one_whichever_comes_first() -> None:
    """REQ-EPOCH-20, REQ-EPOCH-27."""
    world = crew()
    other, made = world.make("bob"), world.make("ann")
    assert world.apply("cid", made).leads
    assert not world.apply("cid", other).leads
    assert world.apply("dan", other).leads
    assert world.apply("dan", made).leads
    assert not world.apply("ann", other).leads
    assert world.apply("bob", made).leads
    honest_afterwards(world, "ann", "bob", "cid", "dan")


def test_a_second_commit_of_the_same_author_on_one_parent_convicts_it() -> None:
    """REQ-EPOCH-29: the epoch stays, and whoever has seen it says nothing there any more."""
    world = crew()
    twin = Forger(world["ann"], world.people["ann"].keys, NOW).copies()
    world.commit("ann")
    late = world.send("dan", "before anybody knew")
    for name in ("bob", "cid"):
        where = world[name].transcript
        applied = world[name].apply(twin[world[name].own_id], NOW)
        assert applied.equivocation
        assert not applied.leads
        assert world[name].transcript == where
        assert world[name].equivocator == world["ann"].own_id
        with refused(Reason.EQUIVOCATION, world[name], error=LocalError):
            world.send(name)
        with refused(Reason.EQUIVOCATION, world[name], error=LocalError):
            world.make(name)
        assert world.body(name, late) == "before anybody knew"


def test_a_commit_on_an_earlier_epoch_is_a_sibling_and_one_on_an_unknown_one_waits() -> None:
    world = crew()
    behind = Room.restore(world["dan"].records())
    stale = Forger(world["dan"], world.people["dan"].keys, NOW).copies()
    world.commit("ann")
    ahead = world.make("bob")
    for name in ("ann", "cid", "dan"):
        world.apply(name, ahead)
        if name != "dan":
            assert not world[name].apply(stale[world[name].own_id], NOW).leads
    with refused(Reason.UNKNOWN_EPOCH, behind, error=HeldError):
        behind.apply(ahead.copies[behind.own_id], NOW)
    honest_afterwards(world, "ann", "bob", "cid", "dan")


def swapped_slot(member: bytes, slots: dict[bytes, bytes]) -> bytes:
    """Someone else's slot."""
    return next(slot for other, slot in slots.items() if other != member)


def spoiled_slot(member: bytes, slots: dict[bytes, bytes]) -> bytes:
    slot = slots[member]
    return slot[:-1] + bytes([slot[-1] ^ 1])


def no_slot(member: bytes, slots: dict[bytes, bytes]) -> None:
    assert member in slots


def other_r(member: bytes, r: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in r)


def entry_of(
    world: World, name: str, *, owner: str, identity: str = "", version: int = 1, **changes: bytes
) -> bytes:
    """An entry for `name`, signed by `owner` as if it had the identity of another."""
    stream = Stream("an entry")
    fields: dict[str, bytes] = {
        "room": world["ann"].id, "member": world[name].own_id,
        "leaf_key": dh_keypair(stream)[1], "room_key": sign_keypair(stream)[1], **changes,
    }  # fmt: skip
    shown = world.people[identity or owner].keys.identity
    signer = replace(world.people[owner].keys, identity=shown)
    return make_entry(signer, version=version, **fields).signed


def corrupt_proof(proof: Proof) -> Proof:
    return proof._replace(signed=proof.signed[:-1] + bytes([proof.signed[-1] ^ 1]))


Fault = Callable[[World], dict[str, Any]]

# What ann, an owner, does wrong in a commit that removes dan; everything else is made to fit.
FAULTS: Final[dict[str, tuple[Fault, Reason]]] = {
    "other room inside": (lambda w: {"commit_room": b"x" * 32}, Reason.WRONG_TRANSCRIPT),
    "other room outside": (lambda w: {"sealed_room": b"x" * 32}, Reason.UNKNOWN_ROOM),
    "other number": (lambda w: {"number": 7}, Reason.WRONG_TRANSCRIPT),
    "other transcript": (lambda w: {"transcript": b"x" * 32}, Reason.WRONG_TRANSCRIPT),
    "another's name": (
        lambda w: {"committer": w["cid"].own_id, "owner": w.people["cid"].keys},
        Reason.BAD_SIGNATURE,  # ann's signature, cid's handshake: all members hold that
    ),
    "another's name inside": (
        lambda w: {"committer": w["cid"].own_id, "sealed_by": w["ann"].own_id,
                   "owner": w.people["cid"].keys},
        Reason.WRONG_TRANSCRIPT,
    ),
    "stranger's name": (lambda w: {"body": None, "stranger": True}, Reason.UNKNOWN_MEMBER),
    "sealed as another": (lambda w: {"sealed_by": w["cid"].own_id}, Reason.BAD_SIGNATURE),
    "signed with a new key": (
        lambda w: {"signing": sign_keypair(Stream("new"))[0]}, Reason.BAD_SIGNATURE,
    ),
    "signed with the identity key": (
        lambda w: {"signing": w.people["ann"].keys.sign_private.reveal()}, Reason.BAD_SIGNATURE,
    ),
    "signature over another confirmation": (
        lambda w: {"body": lambda b: _other_confirmation(b)}, Reason.BAD_SIGNATURE,
    ),
    "signature with another label": (
        lambda w: {"body": lambda b: _other_label(w, b)}, Reason.BAD_SIGNATURE,
    ),
    "not a signed commit": (lambda w: {"body": lambda b: b[:-1]}, Reason.TRUNCATED),
    "bad state hash": (lambda w: {"state_hash": b"x" * 32}, Reason.BAD_STATE_HASH),
    "state hash of the parent": (
        lambda w: {"state_hash": _parent_state(w)}, Reason.BAD_STATE_HASH,
    ),
    "bad confirmation": (lambda w: {"confirmation": b"x" * 32}, Reason.BAD_CONFIRMATION),
    "confirmation of the parent": (
        lambda w: {"confirmation": _parent_confirmation(w)}, Reason.BAD_CONFIRMATION,
    ),
    "another r for each": (lambda w: {"fresh_for": other_r}, Reason.BAD_CONFIRMATION),
    "another's slot": (lambda w: {"slot_for": swapped_slot}, Reason.BAD_CIPHERTEXT),
    "spoiled slot": (lambda w: {"slot_for": spoiled_slot}, Reason.BAD_CIPHERTEXT),
    "no slot": (lambda w: {"slot_for": no_slot}, Reason.NO_SLOT),
    "entry of the same version": (lambda w: {"entry_version": 0}, Reason.BAD_ENTRY),
    "entry that skips a version": (lambda w: {"entry_version": 2}, Reason.BAD_ENTRY),
    "entry of another room": (
        lambda w: {"entry": entry_of(w, "ann", owner="ann", room=b"x" * 32)}, Reason.BAD_ENTRY,
    ),
    "entry of another member": (
        lambda w: {"entry": entry_of(w, "bob", owner="ann")}, Reason.BAD_ENTRY,
    ),
    "entry by another": (
        lambda w: {"entry": entry_of(w, "ann", owner="bob")}, Reason.BAD_ENTRY,
    ),
    "entry with another's identity": (
        lambda w: {"entry": entry_of(w, "ann", owner="ann", identity="bob")}, Reason.BAD_ENTRY,
    ),
    "entry signed by another": (
        lambda w: {"entry": entry_of(w, "ann", owner="bob", identity="ann")},
        Reason.BAD_SIGNATURE,
    ),
    "entry with a bad leaf key": (
        lambda w: {"entry": entry_of(w, "ann", owner="ann", leaf_key=bytes(32))}, Reason.BAD_KEY,
    ),
    "entry with a bad signature key": (
        lambda w: {"entry": entry_of(w, "ann", owner="ann", room_key=b"\x01" + bytes(31))},
        Reason.BAD_KEY,
    ),
    "key package for an entry": (
        lambda w: {"entry": w.people["ann"].package().package.signed}, Reason.BAD_ENTRY,
    ),
    "early": (lambda w: {"time": NOW + MAX_CLOCK_LEAD + 1}, Reason.EARLY_COMMIT),
    "removal of itself": (lambda w: {"operations": [w.removal("ann")]}, Reason.NOT_ENTITLED),
    "its own leave request": (
        lambda w: {"operations": [], "leavers": [w["ann"].own_id],
                   "proofs": [w.leave_proof("ann")]},
        Reason.BAD_PROOF,
    ),
    "a forged leave request": (
        lambda w: {"operations": [], "leavers": [w["bob"].own_id],
                   "proofs": [corrupt_proof(w.leave_proof("bob"))]},
        Reason.BAD_SIGNATURE,
    ),
    "another mode": (
        lambda w: {"operations": [SetPolicy(Policy(Mode.DIRECT))]}, Reason.WRONG_MODE,
    ),
    "deniable mode": (
        lambda w: {"operations": [SetPolicy(Policy(Mode.DENIABLE))]}, Reason.WRONG_MODE,
    ),
}  # fmt: skip


def _other_confirmation(body: bytes) -> bytes:
    signed = SignedCommit.parse(body)
    return SignedCommit(signed.commit, b"x" * 32, signed.signature).encode()


def _other_label(world: World, body: bytes) -> bytes:
    signed = SignedCommit.parse(body)
    private = state_of(world["ann"]).epoch.room_sign
    assert private is not None
    signature = sign(private.reveal(), b"message", signed.commit, signed.confirmation)
    return SignedCommit(signed.commit, signed.confirmation, signature).encode()


def _parent_state(world: World) -> bytes:
    return state_hash(world["ann"].roster.encode(), world["ann"].policy)


def _parent_confirmation(world: World) -> bytes:
    made = world.make("ann")
    world.spread(made)
    sealed = SealedCommit.parse(COMMIT_COPY.parse(made.copies[world["bob"].own_id])[0])
    parent = list(state_of(world["bob"]).epochs.values())[-2]
    return SignedCommit.parse(
        sealed.open(parent.handshakes[world["ann"].own_id].reveal())
    ).confirmation


@pytest.mark.parametrize("fault", FAULTS)
def test_a_commit_with_one_fault_is_refused_and_changes_nothing(fault: str) -> None:
    """REQ-WIRE-19."""
    world = crew()
    change, reason = FAULTS[fault]
    changes = change(world)
    stranger = changes.pop("stranger", False)
    fields: dict[str, Any] = {
        "room": world["ann"], "owner": world.people["ann"].keys, "now": NOW,
        "operations": [world.removal("dan")],
    } | changes  # fmt: skip
    copies = Forger(**fields).copies()
    copy = copies[world["bob"].own_id]
    if stranger:
        sealed, slot = COMMIT_COPY.parse(copy)
        room, prefix, _, salt, ciphertext = SEALED_COMMIT.parse(sealed)
        sealed = SEALED_COMMIT.build(room, prefix, b"?" * 32, salt, ciphertext)
        copy = COMMIT_COPY.build(sealed, slot)
    error = HeldError if reason in {Reason.EARLY_COMMIT, Reason.NO_SLOT} else RemoteError
    with refused(reason, world["bob"], error=error):
        world["bob"].apply(copy, NOW)
    honest_afterwards(world, "ann", "bob", "cid", "dan")


def test_the_commit_that_each_of_those_spoils_is_good() -> None:
    world = crew()
    copies = Forger(
        world["ann"], world.people["ann"].keys, NOW, operations=[world.removal("dan")]
    ).copies()
    for name in ("bob", "cid", "dan"):
        applied = world[name].apply(copies[world[name].own_id], NOW)
        assert applied.removed_self == (name == "dan")
    world.check_agreement("bob", "cid")
    world.check_talk("bob", "cid")


def test_a_bad_ephemeral_key_is_refused() -> None:
    """Of small order, so that a slot would open for anyone."""
    world = crew()
    stream = Stream("forger")
    forger = Forger(world["ann"], world.people["ann"].keys, NOW, random=stream)
    good = forger.copies()[world["bob"].own_id]

    def bad(body: bytes) -> bytes:
        signed = SignedCommit.parse(body)
        fields = COMMIT.parse(signed.commit)
        fields[8] = bytes(32)
        private = state_of(world["ann"]).epoch.room_sign
        assert private is not None
        commit = COMMIT.build(*fields)
        return SignedCommit.make(commit, signed.confirmation, private.reveal()).encode()

    forger.body = bad
    with refused(Reason.BAD_KEY, world["bob"]):
        world["bob"].apply(forger.copies()[world["bob"].own_id], NOW)
    world["bob"].apply(good, NOW)


@pytest.mark.parametrize(("kind", "reason"), [(1, Reason.WRONG_TYPE), (2, Reason.BAD_FORM)])
def test_a_proof_of_another_or_an_unknown_kind_is_refused(kind: int, reason: Reason) -> None:
    """A leave request is no sanction, and there is no kind 2."""
    world = crew()
    forger = Forger(
        world["ann"], world.people["ann"].keys, NOW, proofs=[world.leave_proof("dan")],
        leavers=[world["dan"].own_id],
    )  # fmt: skip

    def bad(body: bytes) -> bytes:
        signed = SignedCommit.parse(body)
        commit = encode(rekinded(decode(signed.commit, limit=MAX_COMMIT)))
        private = state_of(world["ann"]).epoch.room_sign
        assert private is not None
        return SignedCommit.make(commit, signed.confirmation, private.reveal()).encode()

    def rekinded(value: list[Any]) -> list[Any]:
        (_, request), = value[8]  # version and type stand before the fields
        return [*value[:8], [[kind, request]], *value[9:]]

    good = forger.copies()[world["bob"].own_id]
    forger.body = bad
    with refused(reason, world["bob"]):
        world["bob"].apply(forger.copies()[world["bob"].own_id], NOW)
    assert world["bob"].apply(good, NOW).removed[0].id == world["dan"].own_id


# A member without rights, doing what the owner may.
UNENTITLED: Final[dict[str, Callable[[World], Wish]]] = {
    "remove": lambda w: w.removal("dan"),
    "remove the owner": lambda w: w.removal("ann"),
    "remove itself": lambda w: w.removal("bob"),
    "promote itself": lambda w: SetRole(w["bob"].own_id, Role.OWNER),
    "demote": lambda w: SetRole(w["ann"].own_id, Role.MEMBER),
    "policy": lambda w: SetPolicy(Policy(Mode.SIGNED, members_may_add=True)),
}


@pytest.mark.parametrize("operation", UNENTITLED)
def test_a_commit_by_a_member_without_the_right_is_refused(operation: str) -> None:
    world = crew()
    done = UNENTITLED[operation](world)
    with refused(Reason.NOT_ENTITLED, world["bob"], error=LocalError):
        world.make("bob", done)
    copies = Forger(
        world["bob"], world.people["bob"].keys, NOW, operations=[done]
    ).copies()
    for name in ("ann", "cid", "dan"):
        with refused(Reason.NOT_ENTITLED, world[name]):
            world[name].apply(copies[world[name].own_id], NOW)
    honest_afterwards(world, "ann", "bob", "cid", "dan")


def test_rights_are_those_at_the_parent() -> None:
    world = crew(bob=Role.ADMIN)
    world.commit("ann", SetRole(world["bob"].own_id, Role.MEMBER))
    copies = Forger(
        world["bob"], world.people["bob"].keys, NOW, operations=[world.removal("dan")]
    ).copies()
    with refused(Reason.NOT_ENTITLED, world["cid"]):
        world["cid"].apply(copies[world["cid"].own_id], NOW)
    honest_afterwards(world, "ann", "bob", "cid", "dan")


def test_a_committer_that_splits_the_room_is_detected_by_whoever_got_another_secret() -> None:
    """bob and cid are given one r, dan another: dan's copy says so, and dan stays where it is."""
    world = crew()
    odd = world["dan"].own_id
    copies = Forger(
        world["ann"], world.people["ann"].keys, NOW,
        fresh_for=lambda member, r: other_r(member, r) if member == odd else r,
    ).copies()  # fmt: skip
    for name in ("bob", "cid"):
        world[name].apply(copies[world[name].own_id], NOW)
    with refused(Reason.BAD_CONFIRMATION, world["dan"]):
        world["dan"].apply(copies[odd], NOW)
    world.check_agreement("bob", "cid")
    message = world.send("bob", "dan?")
    with refused(Reason.UNKNOWN_EPOCH, world["dan"], error=HeldError):
        world.receive("dan", message)
    assert world.body("cid", message) == "dan?"


def test_two_confirmations_make_two_transcripts() -> None:
    """A committer that gives each side its own secret and confirmation has split the room: no
    message crosses the split, whoever sends it."""
    world = crew()
    first = Forger(world["ann"], world.people["ann"].keys, NOW, random=Stream("one")).copies()
    second = Forger(world["ann"], world.people["ann"].keys, NOW, random=Stream("two")).copies()
    world["bob"].apply(first[world["bob"].own_id], NOW)
    world["cid"].apply(first[world["cid"].own_id], NOW)
    world["dan"].apply(second[world["dan"].own_id], NOW)
    assert world["dan"].transcript != world["bob"].transcript
    with refused(Reason.UNKNOWN_EPOCH, world["dan"], error=HeldError):
        world.receive("dan", world.send("bob"))
    # Each copy of the other side's convicts ann, and takes nobody over.
    for name, copies in (("dan", first), ("bob", second)):
        where = world[name].transcript
        assert world[name].apply(copies[world[name].own_id], NOW).equivocation
        assert (world[name].transcript, world[name].equivocator) == (where, world["ann"].own_id)


def test_an_early_commit_waits_until_the_clock_has_moved_on() -> None:
    world = crew()
    world.now = NOW + MAX_CLOCK_LEAD + 1
    made = world.make("ann")
    for name in ("bob", "cid", "dan"):
        with refused(Reason.EARLY_COMMIT, world[name], error=HeldError):
            world[name].apply(made.copies[world[name].own_id], NOW)
        world[name].apply(made.copies[world[name].own_id], NOW + 1)
    world.check_agreement()
    world.check_talk()


def test_an_early_removal_waits_too() -> None:
    world = crew()
    world.now = NOW + MAX_CLOCK_LEAD + 1
    made = world.make("ann", world.removal("dan"))
    with refused(Reason.EARLY_COMMIT, world["dan"], error=HeldError):
        world["dan"].apply(made.copies[world["dan"].own_id], NOW)
    assert not world["dan"].closed
    assert world["dan"].apply(made.copies[world["dan"].own_id], NOW + 1).removed_self


def test_a_commit_from_long_ago_on_the_own_tip_is_not_too_old() -> None:
    world = crew()
    made = world.make("ann")
    world.now = NOW + 10**8
    world.spread(made)
    world.check_agreement()
    world.check_talk()


def test_a_commit_in_the_own_name_is_refused() -> None:
    """Whoever made it: a thief of the device, or the device before its state was restored."""
    world = crew()
    loot = Room.restore(world["bob"].records())
    made = loot.commit(world.people["bob"].keys, [], [], NOW, Stream("thief"))
    with refused(Reason.OWN_MESSAGE, world["bob"]):
        world["bob"].apply(made.copies[world["ann"].own_id], NOW)
    honest_afterwards(world, "ann", "bob", "cid", "dan")


def test_a_commit_of_another_room_is_refused() -> None:
    """Same people, same roles, another room: neither whole nor with the room's id put in."""
    world = crew()
    other = World("bob", "ann", "cid", "dan")
    made = other.make("ann")
    copy = made.copies[other["cid"].own_id]
    with refused(Reason.UNKNOWN_ROOM, world["cid"]):
        world["cid"].apply(copy, NOW)
    sealed, slot = COMMIT_COPY.parse(copy)
    fields = SEALED_COMMIT.parse(sealed)
    here = state_of(world["cid"]).epoch
    moved = SEALED_COMMIT.build(
        world["cid"].id, here.prefix, world["ann"].own_id, *fields[3:]
    )
    with refused(Reason.BAD_CIPHERTEXT, world["cid"]):
        world["cid"].apply(COMMIT_COPY.build(moved, slot), NOW)
    honest_afterwards(world, "ann", "bob", "cid", "dan")


@pytest.mark.parametrize("name", ["bob", "dan"])
def test_no_byte_of_a_commit_can_be_changed(name: str) -> None:
    world = crew()
    made = world.make("ann", world.removal("dan"))
    room = world[name]
    copy = made.copies[room.own_id]
    before = room.digest()
    for place in range(len(copy)):
        changed = copy[:place] + bytes([copy[place] ^ (1 + place % 255)]) + copy[place + 1 :]
        with pytest.raises(RemoteError):
            room.apply(changed, NOW)
        assert room.digest() == before
    for changed in (copy[:-1], copy + b"\x00", b"", copy[1:]):
        with pytest.raises(RemoteError):
            room.apply(changed, NOW)
    assert room.digest() == before
    world.spread(made)
    assert world["dan"].closed
    world.check_agreement(*KEPT)
    world.check_talk(*KEPT)


def test_a_direct_room_has_no_commits() -> None:
    direct = World("ann", "bob", policy=Policy(Mode.DIRECT))
    with refused(Reason.WRONG_MODE, direct["ann"], error=LocalError):
        direct.make("ann")
    group = crew()
    copy = group.make("ann").copies[group["bob"].own_id]
    sealed, slot = COMMIT_COPY.parse(copy)
    fields = SEALED_COMMIT.parse(sealed)
    moved = SEALED_COMMIT.build(
        direct["bob"].id, state_of(direct["bob"]).current, direct["ann"].own_id, *fields[3:]
    )
    with refused(Reason.WRONG_MODE, direct["bob"]):
        direct["bob"].apply(COMMIT_COPY.build(moved, slot), NOW)


# --- requests that are refused leave the committer as it was -------------------------------------


def test_a_commit_that_cannot_invite_changes_nothing() -> None:
    world = crew()
    guest = world.people["eve"].invited()
    for bad in (Invited(guest.package, None), Invited(guest.package, 4)):
        with refused(Reason.USED_PACKAGE, world["ann"], error=LocalError):
            world.make("ann", invite=[bad])
    honest_afterwards(world, "ann", "bob", "cid", "dan")


def test_a_removal_by_a_wrong_admission_changes_nothing() -> None:
    world = crew()
    with refused(Reason.UNKNOWN_MEMBER, world["ann"], error=LocalError):
        world.make("ann", Remove(world["dan"].own_id, b"x" * 32))
    honest_afterwards(world, "ann", "bob", "cid", "dan")


def test_a_founders_name_has_the_length_that_others_accept() -> None:
    world = crew()
    bob = world.people["bob"]
    for length in (MAX_NAME, MAX_NAME + 1):
        guest = world.people["eve"].invited()

        def found(name: str, guest: Invited = guest) -> bytes:
            _, invitations = Room.found(
                bob.keys, Policy(Mode.SIGNED), [guest], name, bob.mailbox.mailbox, NOW, bob.random
            )
            (only,) = invitations.values()
            return only

        if length > MAX_NAME:
            with pytest.raises(LocalError) as caught:
                found("n" * length)
            assert caught.value.reason is Reason.TOO_LARGE
        else:
            room = world.people["eve"].join(found("n" * length), guest, NOW)
            assert [c.name for c in room.directory.values()] == ["n" * length]


def names(room: Room) -> set[str]:
    """What members have called themselves; who has not yet has only a contact mailbox."""
    return {contact.name for contact in room.directory.values() if contact.name}


def test_the_directory_follows_the_roster() -> None:
    world = crew()
    assert names(world["bob"]) == {"ann"}
    mailbox = world.people["dan"].mailbox.mailbox
    for name in KEPT:
        world[name].announce(world["dan"].own_id, Contact("dan", mailbox))
    world["bob"].announce(b"?" * 32, Contact("stranger", mailbox))
    assert names(world["bob"]) == {"ann", "dan"}
    world.add("ann", "eve")
    assert world["eve"].directory[world["dan"].own_id] == Contact("dan", mailbox)
    world.commit("ann", world.removal("dan"))
    assert names(world["bob"]) == {"ann", "dan"}, "the commit that removes it may yet lose"
    world["bob"].expire(NOW + EPOCH_GRACE)
    assert names(world["bob"]) == {"ann", "dan"}
    world["bob"].expire(NOW + EPOCH_GRACE + 1)
    assert names(world["bob"]) == {"ann"}, "no epoch is kept that holds it"


def test_a_message_sealed_by_a_thief_of_the_epoch_alone_is_refused() -> None:
    """All chains of an epoch, but no room signature key: an insider's best without a device."""
    world = crew()
    state = state_of(world["bob"])
    victim = world.member("cid")
    chain = state.epoch.chains[victim.id]
    assert chain.key is not None
    message_key = next_message_key(chain.key.reveal())
    header = Header(state.id, state.current, victim.id, 0, bytes(16), None)
    own = state.epoch.room_sign
    assert isinstance(own, Secret)
    forged = seal_message(header, state.epoch.context, message_key, b"forged", bytes(16),
                          own.reveal())  # fmt: skip
    with refused(Reason.BAD_SIGNATURE, world["ann"]):
        world["ann"].receive(forged.message, NOW)
    assert sending_chain(world["cid"]).index == 0
