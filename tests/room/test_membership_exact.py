"""Policies, hashes and rosters to the byte and to the last case (spec 09)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from evanesce.content import Evaporation
from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.formats import MEMBER_ENTRY, ROSTER
from evanesce.identity import Identity, open_signed, seal_signed
from evanesce.limits import MAX_INDEX, MAX_LIFETIME, MAX_MEMBERS
from evanesce.membership import (
    Credential,
    Member,
    Mode,
    Policy,
    Role,
    Roster,
    context_hash,
    creator_id,
    make_entry,
    member_id,
    state_hash,
)
from evanesce.primitives import SUITE_1, H, Suite, dh_keypair, sign_keypair
from evanesce.wire import Value
from tests.room.room_support import Person, Stream

ROOM: Final = b"r" * 32
TRANSCRIPT: Final = b"t" * 32
NAMES: Final = ("ann", "bob", "cid")
PEOPLE: Final = {name: Person(name) for name in (*NAMES, "dan")}


def identifier(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def three() -> Roster:
    """An owner and two members, the second admitted by the first in epoch 7."""
    roster = Roster({}, 0)
    for name, role in zip(NAMES, (Role.OWNER, Role.MEMBER, Role.MEMBER), strict=True):
        package = PEOPLE[name].package().package
        roster = roster.admit(identifier(name), role, package, sponsor=1, epoch=7)
    return roster


def with_member(roster: Roster, name: str, **changes: Any) -> Roster:
    member = replace(roster[identifier(name)], **changes)
    return replace(roster, members={**roster.members, member.id: member})


def refusal_of(call: Callable[[], object]) -> Reason:
    with pytest.raises(RemoteError) as caught:
        call()
    return caught.value.reason


# --- policy (REQ-MEM-12) -------------------------------------------------------------------------


def test_unless_the_policy_says_so_members_may_not_add() -> None:
    assert Policy(Mode.SIGNED).value()[:2] == [1, False]
    assert Policy(Mode.SIGNED, members_may_add=True).value()[:2] == [1, True]


def test_a_policy_reads_as_it_was_written() -> None:
    for mode in (Mode.DIRECT, Mode.SIGNED):
        for may_add in (False, True):
            policy = Policy(mode, may_add, Evaporation(60, 3_600))
            assert policy.value() == [int(mode), may_add, 60, 3_600]
            assert Policy.from_value([int(mode), may_add, 60, 3_600]) == policy


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([3, False, None, 60], Reason.BAD_POLICY),
        ([2, False, None, 60], Reason.WRONG_MODE),
        ([1, False, None, 0], Reason.BAD_POLICY),
        ([1, False, None, MAX_LIFETIME + 1], Reason.BAD_POLICY),
        ([2, False, None, 0], Reason.BAD_POLICY),  # before the mode
    ],
)
def test_a_policy_is_refused_for_its_evaporation_and_then_for_its_mode(
    value: list[Any], reason: Reason
) -> None:
    assert refusal_of(lambda: Policy.from_value(value)) is reason


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (Policy(Mode.SIGNED, members_may_add=1), Reason.BAD_POLICY),  # type: ignore[arg-type]
        (Policy(1), Reason.BAD_POLICY),  # type: ignore[arg-type]
        (Policy(Mode.SIGNED, evaporation=Evaporation(None, 0)), Reason.BAD_POLICY),
        (Policy(Mode.DENIABLE, evaporation=Evaporation(None, 0)), Reason.BAD_POLICY),
        (Policy(Mode.DENIABLE), Reason.WRONG_MODE),
    ],
)
def test_a_callers_policy_must_be_one(policy: Policy, reason: Reason) -> None:
    """The encoding would tell True from 1, and peers would refuse the commit."""
    assert refusal_of(policy.check) is reason
    Policy(Mode.SIGNED, members_may_add=True).check()


# --- ids and hashes (REQ-MEM-03, REQ-EPOCH-06, REQ-EPOCH-09) -------------------------------------


def test_ids_and_hashes_by_hand() -> None:
    identity, policy = PEOPLE["ann"].keys.identity, Policy(Mode.SIGNED, True, Evaporation(5, 60))
    rules: list[Value] = [1, True, 5, 60]
    assert creator_id(ROOM, identity) == H(b"creator", ROOM, identity.sign_key, identity.dh_key)
    assert member_id(ROOM, TRANSCRIPT, b"p" * 32, 3) == H(b"member", ROOM, TRANSCRIPT, b"p" * 32, 3)
    assert state_hash(b"a", policy) == H(b"state", b"a", rules)
    context = context_hash(SUITE_1, ROOM, policy, b"a", TRANSCRIPT)
    assert context == H(b"context", 1, ROOM, rules, b"a", TRANSCRIPT)


def test_ids_and_hashes_bind_each_of_their_parts() -> None:
    one, other = PEOPLE["ann"].keys.identity, PEOPLE["bob"].keys.identity
    creators = {
        creator_id(ROOM, one),
        creator_id(TRANSCRIPT, one),
        creator_id(ROOM, Identity(other.sign_key, one.dh_key)),
        creator_id(ROOM, Identity(one.sign_key, other.dh_key)),
    }
    assert len(creators) == 4
    policy, may_add = Policy(Mode.SIGNED), Policy(Mode.SIGNED, members_may_add=True)
    states = {state_hash(b"a", policy), state_hash(b"b", policy), state_hash(b"a", may_add)}
    assert len(states) == 3
    contexts = {
        context_hash(SUITE_1, ROOM, policy, b"a", TRANSCRIPT),
        context_hash(Suite(2, "another", 32), ROOM, policy, b"a", TRANSCRIPT),
        context_hash(SUITE_1, TRANSCRIPT, policy, b"a", TRANSCRIPT),
        context_hash(SUITE_1, ROOM, may_add, b"a", TRANSCRIPT),
        context_hash(SUITE_1, ROOM, policy, b"b", TRANSCRIPT),
        context_hash(SUITE_1, ROOM, policy, b"a", ROOM),
    }
    assert len(contexts) == 6


# --- credentials (REQ-MEM-01, REQ-MEM-02) --------------------------------------------------------


def entry_of(name: str, version: int = 1) -> Credential:
    stream = Stream(name)
    return make_entry(
        PEOPLE[name].keys, ROOM, identifier(name), dh_keypair(stream)[1], sign_keypair(stream)[1],
        version,
    )  # fmt: skip


def test_a_member_reads_its_own_entry_as_the_others_do() -> None:
    made, identity = entry_of("ann", 5), PEOPLE["ann"].keys.identity
    assert made == Credential.parse(made.signed, ROOM, identifier("ann"), identity)
    assert made.awaits_refresh is False
    assert (made.version, made.is_package) == (5, False)


def test_an_entry_is_what_the_specification_says_signed_under_its_label() -> None:
    keys, made = PEOPLE["ann"].keys, entry_of("ann", 5)
    body = MEMBER_ENTRY.build(
        ROOM, identifier("ann"), keys.identity.dh_key, made.leaf_key, made.room_sign_key, 5
    )
    assert made.signed == seal_signed(keys.sign_private.reveal(), b"member entry", body)


def test_the_last_version_of_an_entry_is_made_and_none_after_it() -> None:
    assert entry_of("ann", MAX_INDEX).version == MAX_INDEX
    with pytest.raises(LocalError) as caught:
        entry_of("ann", MAX_INDEX + 1)
    assert caught.value.reason is Reason.BAD_FORM


def test_an_entry_speaks_for_one_member_of_one_room_with_one_identity() -> None:
    signed, identity = entry_of("ann").signed, PEOPLE["ann"].keys.identity
    other = PEOPLE["bob"].keys.identity
    for room, member, who, reason in (
        (TRANSCRIPT, identifier("ann"), identity, Reason.BAD_ENTRY),
        (ROOM, identifier("bob"), identity, Reason.BAD_ENTRY),
        (ROOM, identifier("ann"), other, Reason.BAD_ENTRY),
        (ROOM, identifier("ann"), Identity(identity.sign_key, other.dh_key), Reason.BAD_ENTRY),
        (ROOM, identifier("ann"), Identity(other.sign_key, identity.dh_key), Reason.BAD_SIGNATURE),
    ):
        with pytest.raises(RemoteError) as caught:
            Credential.parse(signed, room, member, who)
        assert caught.value.reason is reason
    package = PEOPLE["ann"].package().package.signed
    with pytest.raises(RemoteError) as caught:
        Credential.parse(package, ROOM, identifier("ann"), other)
    assert caught.value.reason is Reason.BAD_ENTRY


@pytest.mark.parametrize("bad", ["leaf_key", "room_key"])
def test_an_entry_with_a_key_that_must_not_be_admitted_is_refused(bad: str) -> None:
    stream, ann = Stream(bad), PEOPLE["ann"].keys
    keys = {"leaf_key": dh_keypair(stream)[1], "room_key": sign_keypair(stream)[1]}
    keys[bad] = b"\x01" + bytes(31)
    made = make_entry(ann, ROOM, identifier("ann"), version=1, **keys)
    call = (made.signed, ROOM, identifier("ann"), ann.identity)
    assert refusal_of(lambda: Credential.parse(*call)) is Reason.BAD_KEY
    assert Credential.parse(*call, verified=True) == made


@pytest.mark.parametrize("last_resort", [False, True])
def test_who_came_by_a_last_resort_package_awaits_its_refresh(last_resort: bool) -> None:
    package = PEOPLE["ann"].package(last_resort=last_resort).package
    read = Credential.parse(package.signed, ROOM, identifier("ann"), package.identity)
    assert read == Credential.from_package(package)
    assert read.awaits_refresh is last_resort
    assert (read.version, read.is_package) == (0, True)


def test_only_what_has_been_verified_before_is_read_without_its_signature() -> None:
    """A device reads its own store so: whoever can write there has the keys anyway."""
    ann = PEOPLE["ann"]
    package = ann.package().package
    for signed in (package.signed, entry_of("ann").signed):
        body, signature = open_signed(signed)
        forged = seal_signed(PEOPLE["bob"].keys.sign_private.reveal(), b"another label", body)
        assert open_signed(forged)[1] != signature
        args = (forged, ROOM, identifier("ann"), ann.keys.identity)
        read = Credential.parse(*args, verified=True)
        assert read.leaf_key == Credential.parse(signed, *args[1:]).leaf_key
        assert refusal_of(lambda args=args: Credential.parse(*args)) is (  # type: ignore[misc]
            Reason.BAD_SIGNATURE
        )


# --- rank (spec 9.5) -----------------------------------------------------------------------------


def test_roles_have_the_numbers_of_the_specification() -> None:
    assert [(role.name, role.value) for role in Role] == [("MEMBER", 0), ("ADMIN", 1), ("OWNER", 2)]
    assert [(mode.name, mode.value) for mode in Mode] == [
        ("DIRECT", 0), ("SIGNED", 1), ("DENIABLE", 2),
    ]  # fmt: skip


def test_rank_goes_by_role_and_then_by_seniority_but_only_owners_outrank_their_like() -> None:
    places = [(role, place) for role in (Role.OWNER, Role.ADMIN, Role.MEMBER) for place in (1, 2)]
    one = three()[identifier("bob")]
    members = [replace(one, role=role, seniority=place) for role, place in places]
    assert sorted([*members[3:], *members[:3]], key=lambda m: m.rank) == members
    outranked = [[n for n, m in enumerate(members) if each.outranks(m)] for each in members]
    assert outranked == [[1, 2, 3, 4, 5], [2, 3, 4, 5], [4, 5], [4, 5], [], []]


# --- changes of a roster (REQ-MEM-04, REQ-MEM-08) ------------------------------------------------


def test_a_roster_is_asked_by_id_and_by_identity() -> None:
    roster = three()
    assert (len(roster), identifier("ann") in roster, identifier("dan") in roster) == (
        3, True, False,
    )  # fmt: skip
    assert [m.id for m in roster] == [identifier(name) for name in NAMES]
    assert roster.of(PEOPLE["bob"].keys.identity) == roster[identifier("bob")]
    assert roster.of(PEOPLE["dan"].keys.identity) is None
    for call in (lambda: roster[identifier("dan")], lambda: roster.remove(identifier("dan"))):
        assert refusal_of(call) is Reason.UNKNOWN_MEMBER
    left = roster.remove(identifier("bob"))
    assert [m.id for m in left] == [identifier("ann"), identifier("cid")]
    assert left.next_seniority == 3


def test_a_roster_awaits_a_refresh_as_long_as_one_member_does() -> None:
    roster = three()
    assert not roster.awaits_refresh
    package = PEOPLE["dan"].package(last_resort=True).package
    roster = roster.admit(identifier("dan"), Role.MEMBER, package)
    assert roster.awaits_refresh
    assert not roster.change(identifier("dan"), credential=entry_of("dan")).awaits_refresh


def test_neither_an_identity_nor_an_id_is_admitted_twice() -> None:
    roster, package = three(), PEOPLE["dan"].package().package
    again = PEOPLE["bob"].package().package
    for call in (
        lambda: roster.admit(identifier("bob"), Role.MEMBER, package),
        lambda: roster.admit(identifier("dan"), Role.MEMBER, again),
    ):
        assert refusal_of(call) is Reason.ALREADY_MEMBER


def test_a_roster_takes_as_many_as_its_limit_and_as_its_last_seniority() -> None:
    package, first = PEOPLE["dan"].package().package, three()[identifier("ann")]
    for size in (MAX_MEMBERS - 1, MAX_MEMBERS):
        members = {n.to_bytes(32, "big"): first for n in range(size)}
        crowd = Roster(members, MAX_MEMBERS)
        if size < MAX_MEMBERS:
            assert len(crowd.admit(identifier("dan"), Role.MEMBER, package)) == MAX_MEMBERS
            continue
        call = crowd.admit
        assert refusal_of(lambda call=call: call(  # type: ignore[misc]
            identifier("dan"), Role.MEMBER, package
        )) is Reason.TOO_MANY_MEMBERS  # fmt: skip
    late = replace(three(), next_seniority=MAX_INDEX - 1)
    full = late.admit(identifier("dan"), Role.ADMIN, package)
    assert full.next_seniority == MAX_INDEX
    dan = full[identifier("dan")]
    assert (dan.role, dan.seniority, dan.identity) == (Role.ADMIN, MAX_INDEX - 1, package.identity)
    assert (dan.admission, dan.credential) == (package.hash, Credential.from_package(package))
    full = replace(three(), next_seniority=MAX_INDEX)
    assert refusal_of(lambda: full.admit(identifier("dan"), Role.MEMBER, package)) is (
        Reason.BAD_FORM
    )


def test_who_is_let_in_anew_keeps_all_but_its_credential_and_the_time() -> None:
    """REQ-MEM-07."""
    roster, package = three(), PEOPLE["bob"].package().package
    anew = roster.resync(identifier("bob"), package, 1_700_000_000)
    assert anew[identifier("bob")] == replace(
        roster[identifier("bob")],
        credential=Credential.from_package(package),
        resynced=1_700_000_000,
    )
    assert [m.id for m in anew] == [m.id for m in roster]
    assert anew.next_seniority == 3
    assert refusal_of(lambda: roster.resync(identifier("dan"), package, 1)) is (
        Reason.UNKNOWN_MEMBER
    )


def test_a_member_keeps_who_admitted_it_and_when_it_was_given_its_role() -> None:
    bob = three()[identifier("bob")]
    assert (bob.seniority, bob.sponsor, bob.ranked, bob.resynced) == (1, 1, 7, None)


def test_who_is_admitted_by_a_genesis_has_the_creator_as_sponsor_and_epoch_0() -> None:
    package = PEOPLE["ann"].package().package
    admitted = Roster({}, 0).admit(identifier("ann"), Role.OWNER, package)
    ann = admitted[identifier("ann")]
    assert (ann.sponsor, ann.ranked) == (0, 0)
    made = Member(
        identifier("ann"), Role.OWNER, 0, package.identity, package.hash,
        Credential.from_package(package),
    )  # fmt: skip
    assert made == ann


def test_another_role_counts_from_its_epoch_and_the_same_role_from_before() -> None:
    roster, bob = three(), identifier("bob")
    for role, ranked in ((Role.ADMIN, 9), (Role.MEMBER, 7)):
        changed = roster.change(bob, role=role, epoch=9)
        assert (changed[bob].role, changed[bob].ranked) == (role, ranked)
    credential = entry_of("bob")
    changed = roster.change(bob, credential=credential)
    assert changed[bob] == replace(roster[bob], credential=credential)
    assert roster.change(bob, role=Role.ADMIN, epoch=6)[bob].ranked == 7  # it never goes back
    assert with_member(roster, "bob", ranked=0).change(bob, role=Role.ADMIN)[bob].ranked == 0
    assert [m.id for m in changed] == [m.id for m in roster]


def test_a_demotion_counts_from_the_epoch_that_it_names_unless_the_role_is_newer() -> None:
    """REQ-MEM-14: so it holds once."""
    roster, bob = three(), identifier("bob")
    for named, ranked in ((8, 8), (7, 7), (6, 7)):
        lowered = roster.demote(bob, Role.ADMIN, named)
        assert lowered[bob] == replace(roster[bob], role=Role.ADMIN, ranked=ranked)
        assert [m.id for m in lowered] == [m.id for m in roster]
        assert lowered.next_seniority == 3
    assert refusal_of(lambda: roster.demote(identifier("dan"), Role.MEMBER, 8)) is (
        Reason.UNKNOWN_MEMBER
    )


def test_a_roster_without_an_owner_gets_one_and_no_other_changes() -> None:
    roster = three()
    assert roster.with_owner(9) is roster
    left = roster.remove(identifier("ann"))
    healed = left.with_owner(9)
    bob = healed[identifier("bob")]
    assert (bob.role, bob.ranked) == (Role.OWNER, 9)
    assert healed[identifier("cid")] == left[identifier("cid")]
    empty = Roster({}, 3)
    assert empty.with_owner(9) is empty


# --- reading a roster beside an earlier one ------------------------------------------------------


def test_a_roster_keeps_every_field_of_its_members() -> None:
    roster = with_member(three(), "bob", resynced=1_700_000_000, sponsor=2, ranked=4)
    assert Roster.parse(roster.encode(), ROOM) == roster


def test_members_that_stand_as_before_are_taken_from_the_earlier_roster() -> None:
    """Reading thousands of credentials again would cost seconds for each epoch that is kept."""
    before = three()
    package = PEOPLE["dan"].package().package
    after = before.admit(identifier("dan"), Role.MEMBER, package)
    read = Roster.parse(after.encode(), ROOM, before=before)
    assert read == after
    for name in NAMES:
        assert read[identifier(name)] is before[identifier(name)]


@pytest.mark.parametrize(
    "changes",
    [
        {"role": Role.ADMIN},
        {"seniority": 2},
        {"admission": b"a" * 32},
        {"sponsor": 0},
        {"ranked": 8},
        {"resynced": 1},
        {"credential": entry_of("cid")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_member_that_changed_in_any_way_is_read_anew(changes: dict[str, Any]) -> None:
    before = replace(three(), next_seniority=9)
    after = with_member(before, "cid", **changes)
    if "seniority" in changes:
        before = with_member(before, "cid", seniority=5)
    for verified in (False, True):
        assert Roster.parse(after.encode(), ROOM, verified=verified, before=before) == after


def test_the_credential_of_an_earlier_roster_speaks_for_its_identity_only() -> None:
    before = three()
    other = PEOPLE["dan"].keys.identity
    after = with_member(before, "cid", identity=other)
    for verified in (False, True):
        assert (
            refusal_of(
                lambda verified=verified: Roster.parse(  # type: ignore[misc]
                    after.encode(), ROOM, verified=verified, before=before
                )
            )
            is Reason.BAD_ENTRY
        )


def test_a_roster_is_encoded_row_by_row_in_its_order() -> None:
    """REQ-MEM-04, the fields of chapter 5."""
    roster = with_member(three(), "bob", resynced=5)
    number, rows = ROSTER.parse(roster.encode())
    assert number == 3
    assert rows == [
        [
            m.id, int(m.role), m.seniority, m.identity.sign_key, m.identity.dh_key, m.admission,
            m.sponsor, m.ranked, m.credential.signed, m.resynced,
        ]
        for m in roster
    ]  # fmt: skip


def changed_rows(change: Callable[[list[list[Any]]], None]) -> bytes:
    number, rows = ROSTER.parse(three().encode())
    change(rows)
    return ROSTER.build(number, rows)


def the_id_of_another(rows: list[list[Any]]) -> None:
    rows[2][0] = rows[1][0]


def the_identity_of_another(rows: list[list[Any]]) -> None:
    for column in (3, 4, 8):
        rows[2][column] = rows[1][column]


def the_seniority_of_another(rows: list[list[Any]]) -> None:
    rows[2][2] = rows[1][2]


def no_owner(rows: list[list[Any]]) -> None:
    rows[0][1] = 1


def a_bad_identity_key(rows: list[list[Any]]) -> None:
    rows[2][4] = bytes(32)


def a_forged_credential(rows: list[list[Any]]) -> None:
    rows[2][8] = rows[2][8][:-1] + bytes([rows[2][8][-1] ^ 1])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (the_id_of_another, Reason.BAD_FORM),
        (the_identity_of_another, Reason.BAD_FORM),
        (the_seniority_of_another, Reason.BAD_FORM),
        (no_owner, Reason.BAD_FORM),
        (a_bad_identity_key, Reason.BAD_KEY),
        (a_forged_credential, Reason.BAD_SIGNATURE),
    ],
)
def test_a_roster_from_outside_must_be_whole(
    change: Callable[[list[list[Any]]], None], reason: Reason
) -> None:
    """REQ-MEM-10."""
    assert refusal_of(lambda: Roster.parse(changed_rows(change), ROOM)) is reason


def test_a_roster_of_ones_own_store_is_not_verified_again() -> None:
    """It was when it came; a thousand signatures take most of a second."""
    forged = changed_rows(a_forged_credential)
    assert Roster.parse(forged, ROOM, verified=True).encode() == forged


def test_the_order_of_a_roster_begins_at_seniority_0() -> None:
    roster = three()
    assert [m.seniority for m in Roster.parse(roster.encode(), ROOM)] == [0, 1, 2]
    assert Roster.parse(replace(roster, next_seniority=3).encode(), ROOM).next_seniority == 3
    low = replace(roster, next_seniority=2)
    assert refusal_of(lambda: Roster.parse(low.encode(), ROOM)) is Reason.BAD_FORM
