"""Who may do what in a room, leave requests, limits of adding, what makes a roster (spec 09)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Final

import pytest

from evanesce.content import Evaporation
from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.formats import KEY_PACKAGE, LEAVE_REQUEST, OPERATION_LIMIT, ROSTER
from evanesce.identity import Identity, open_signed, seal_signed
from evanesce.keypackage import KeyPackage
from evanesce.limits import MAX_LIFETIME, MAX_MEMBERS, PACKAGE_LIFETIME
from evanesce.membership import Credential, Member, Mode, Policy, Role, Roster, make_entry
from evanesce.operations import (
    Add,
    Outcome,
    Remove,
    SetPolicy,
    SetRole,
    Wish,
    apply_operations,
    signed_operations,
)
from evanesce.primitives import SUITE_1, Suite, dh_keypair, sign_keypair
from evanesce.proofs import Proof, ProofKind, check_leave_request, leave_request
from tests.room.room_support import NOW, Forger, Person, Stream, World, refused

ROOM: Final = b"r" * 32
TRANSCRIPT: Final = b"t" * 32
NUMBER: Final = 7
SIGNED: Final = Policy(Mode.SIGNED)
OPEN: Final = Policy(Mode.SIGNED, members_may_add=True)
M, A, O = Role.MEMBER, Role.ADMIN, Role.OWNER  # noqa: E741  as in the tables below
ALL: Final = {M, A, O}

# Six members, most senior first, and what each may do. Whatever is not in a table is refused.
ROLES: Final = {"own1": O, "own2": O, "adm1": A, "adm2": A, "mem1": M, "mem2": M}
MAY_REMOVE: Final = {
    "own1": {"own2", "adm1", "adm2", "mem1", "mem2"},
    "own2": {"adm1", "adm2", "mem1", "mem2"},
    "adm1": {"mem1", "mem2"},
    "adm2": {"mem1", "mem2"},
    "mem1": set[str](),
    "mem2": set[str](),
}
MAY_SET_ROLE: Final[dict[tuple[str, str], set[Role]]] = {
    ("own1", "own1"): {M, A},
    ("own1", "own2"): ALL,
    ("own1", "adm1"): ALL,
    ("own1", "adm2"): ALL,
    ("own1", "mem1"): ALL,
    ("own1", "mem2"): ALL,
    ("own2", "own2"): {M, A},
    ("own2", "adm1"): ALL,
    ("own2", "adm2"): ALL,
    ("own2", "mem1"): ALL,
    ("own2", "mem2"): ALL,
    ("adm1", "adm1"): {M},
    ("adm1", "mem1"): {M},
    ("adm1", "mem2"): {M},
    ("adm2", "adm2"): {M},
    ("adm2", "mem1"): {M},
    ("adm2", "mem2"): {M},
}
MAY_ADD: Final = {O: ALL, A: {M}, M: set[Role]()}
MAY_ADD_OPEN: Final = {O: ALL, A: {M}, M: {M}}

PEOPLE: Final = {name: Person(name) for name in ROLES}
GUEST: Final = Person("guest")
GUEST_PACKAGE: Final = GUEST.package().package


def identifier(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def member_of(name: str, role: Role, seniority: int) -> Member:
    person = PEOPLE[name]
    package = person.package().package
    return Member(
        identifier(name), role, seniority, person.keys.identity, package.hash,
        Credential.from_package(package),
    )  # fmt: skip


ROSTER_OF_SIX: Final = Roster(
    {
        identifier(name): member_of(name, role, place)
        for place, (name, role) in enumerate(ROLES.items())
    },
    len(ROLES),
)


def run(
    committer: str,
    *wishes: Wish,
    proofs: Sequence[bytes | Proof] = (),
    roster: Roster = ROSTER_OF_SIX,
    policy: Policy = SIGNED,
    suite: Suite = SUITE_1,
    time: int = NOW,
) -> Outcome:
    """What a commit on epoch 7 makes of the room; proofs given as bytes are leave requests."""
    me = roster[identifier(committer)]
    operations = signed_operations(PEOPLE[committer].keys, ROOM, me, roster, NUMBER, wishes)
    embedded = [p if isinstance(p, Proof) else Proof(ProofKind.LEAVE, p) for p in proofs]
    return apply_operations(
        roster, policy, suite, ROOM, NUMBER, TRANSCRIPT, me, time, operations, embedded
    )


def refusal(*args: Any, **keywords: Any) -> Reason:
    with pytest.raises(RemoteError) as caught:
        run(*args, **keywords)
    return caught.value.reason


def removing(name: str, roster: Roster = ROSTER_OF_SIX) -> Remove:
    return Remove(identifier(name), roster[identifier(name)].admission)


def roles_in(roster: Roster) -> dict[str, Role]:
    return {member.id.rstrip(b".").decode(): member.role for member in roster}


# --- the table of rights -------------------------------------------------------------------------


@pytest.mark.parametrize(("committer", "target"), list(product(ROLES, ROLES)))
def test_removing(committer: str, target: str) -> None:
    if target not in MAY_REMOVE[committer]:
        assert refusal(committer, removing(target)) is Reason.NOT_ENTITLED
        return
    outcome = run(committer, removing(target))
    expected = {name: role for name, role in ROLES.items() if name != target}
    assert roles_in(outcome.roster) == expected
    assert outcome.removed == (ROSTER_OF_SIX[identifier(target)],)
    assert outcome.added == ()


@pytest.mark.parametrize(("committer", "target", "role"), list(product(ROLES, ROLES, Role)))
def test_setting_a_role(committer: str, target: str, role: Role) -> None:
    operation = SetRole(identifier(target), role)
    if role not in MAY_SET_ROLE.get((committer, target), set()):
        assert refusal(committer, operation) is Reason.NOT_ENTITLED
        return
    outcome = run(committer, operation)
    assert roles_in(outcome.roster) == {**ROLES, target: role}
    assert outcome.added == outcome.removed == ()


@pytest.mark.parametrize("policy", [SIGNED, OPEN], ids=["closed", "open"])
@pytest.mark.parametrize(("committer", "role"), list(product(ROLES, Role)))
def test_adding(committer: str, role: Role, policy: Policy) -> None:
    table = MAY_ADD_OPEN if policy.members_may_add else MAY_ADD
    operation = Add(GUEST_PACKAGE, role)
    if role not in table[ROLES[committer]]:
        assert refusal(committer, operation, policy=policy) is Reason.NOT_ENTITLED
        return
    outcome = run(committer, operation, policy=policy)
    (added,) = outcome.added
    assert (added.role, added.seniority, added.admission) == (role, 6, GUEST_PACKAGE.hash)
    assert added.identity == GUEST.keys.identity
    assert list(outcome.roster)[-1] == added
    assert outcome.roster.next_seniority == 7


@pytest.mark.parametrize("committer", ROLES)
def test_setting_the_policy(committer: str) -> None:
    new = Policy(Mode.SIGNED, members_may_add=True, evaporation=Evaporation(60, 3_600))
    if ROLES[committer] is not Role.OWNER:
        assert refusal(committer, SetPolicy(new)) is Reason.NOT_ENTITLED
        return
    outcome = run(committer, SetPolicy(new))
    assert outcome.policy == new
    assert outcome.roster == ROSTER_OF_SIX


@pytest.mark.parametrize("committer", ROLES)
def test_anyone_may_refresh(committer: str) -> None:
    assert run(committer) == Outcome(ROSTER_OF_SIX, SIGNED, (), ())


def test_outranking_is_a_strict_order_that_no_two_members_share() -> None:
    members = list(ROSTER_OF_SIX)
    for first, second in product(members, members):
        assert not (first.outranks(second) and second.outranks(first))
        if first.outranks(second):
            assert first.rank < second.rank


# --- authority is the parent's -------------------------------------------------------------------


def test_what_a_commit_grants_early_it_cannot_use_late() -> None:
    open_it = SetPolicy(OPEN)
    assert refusal("mem1", open_it, Add(GUEST_PACKAGE)) is Reason.NOT_ENTITLED
    # An admin that a member would become, had its own promotion counted already.
    promote = SetRole(identifier("mem1"), Role.ADMIN)
    assert refusal("mem1", promote, removing("mem2")) is Reason.NOT_ENTITLED


def test_what_a_commit_gives_up_early_it_may_still_use_late() -> None:
    outcome = run("own1", SetRole(identifier("own1"), Role.MEMBER), removing("own2"))
    # No owner would be left: the highest-ranked member becomes it, here an admin.
    assert roles_in(outcome.roster) == {
        "own1": M, "adm1": O, "adm2": A, "mem1": M, "mem2": M,
    }  # fmt: skip


def test_a_target_has_its_rank_at_the_parent() -> None:
    outcome = run("own2", SetRole(identifier("adm1"), Role.OWNER), removing("adm1"))
    assert "adm1" not in roles_in(outcome.roster)


def test_one_operation_without_right_spoils_the_whole_commit() -> None:
    assert refusal("adm1", removing("mem1"), removing("adm2")) is Reason.NOT_ENTITLED


# --- owner by derivation -------------------------------------------------------------------------


def without(*names: str) -> Roster:
    roster = ROSTER_OF_SIX
    for name in names:
        roster = roster.remove(identifier(name))
    return roster


def test_the_only_owner_that_steps_down_to_admin_stays_owner() -> None:
    roster = without("own2", "adm1", "adm2")
    outcome = run("own1", SetRole(identifier("own1"), Role.ADMIN), roster=roster)
    assert roles_in(outcome.roster) == {"own1": O, "mem1": M, "mem2": M}


def test_with_an_owner_left_nobody_becomes_owner() -> None:
    outcome = run("own1", SetRole(identifier("own1"), Role.MEMBER))
    assert roles_in(outcome.roster) == {**ROLES, "own1": M}


@pytest.mark.parametrize(
    ("present", "heir"),
    [
        (("own1", "adm1", "adm2", "mem1"), "adm1"),
        (("own1", "adm2", "mem1", "mem2"), "adm2"),
        (("own1", "mem1", "mem2"), "mem1"),
        (("own1", "mem2"), "mem2"),
    ],
)
def test_when_the_owner_leaves_the_highest_ranked_is_owner(
    present: tuple[str, ...], heir: str
) -> None:
    roster = without(*set(ROLES) - set(present))
    request = leave_request(PEOPLE["own1"].keys, ROOM, roster[identifier("own1")])
    outcome = run(present[-1], proofs=[request], roster=roster)
    expected = {name: ROLES[name] for name in present if name != "own1"}
    assert roles_in(outcome.roster) == {**expected, heir: O}


# --- leave requests ------------------------------------------------------------------------------


def request_of(
    name: str, *, room: bytes = ROOM, admission: bytes | None = None, signer: str | None = None
) -> bytes:
    member = ROSTER_OF_SIX[identifier(name)]
    member = replace(member, admission=admission or member.admission)
    return leave_request(PEOPLE[signer or name].keys, room, member)


@pytest.mark.parametrize(("committer", "leaver"), list(product(ROLES, ROLES)))
def test_any_other_member_may_commit_a_leave_request(committer: str, leaver: str) -> None:
    proof = request_of(leaver)
    if committer == leaver:
        assert refusal(committer, proofs=[proof]) is Reason.BAD_PROOF
        return
    outcome = run(committer, proofs=[proof])
    assert leaver not in roles_in(outcome.roster)
    assert [member.id for member in outcome.removed] == [identifier(leaver)]


@pytest.mark.parametrize(
    ("proof", "reason"),
    [
        (request_of("mem1", room=b"x" * 32), Reason.BAD_PROOF),
        (request_of("mem1", admission=b"x" * 32), Reason.BAD_PROOF),
        (request_of("mem1", signer="own1"), Reason.BAD_SIGNATURE),
        (request_of("mem1")[:-1] + b"\xff", Reason.BAD_SIGNATURE),
        (request_of("mem1")[:-1], Reason.TRUNCATED),
        (
            seal_signed(
                PEOPLE["mem1"].keys.sign_private.reveal(),
                b"member entry",
                open_signed(request_of("mem1"))[0],
            ),
            Reason.BAD_SIGNATURE,
        ),
    ],
    ids=["other room", "other admission", "forged", "altered", "truncated", "other label"],
)
def test_an_invalid_leave_request_is_refused(proof: bytes, reason: Reason) -> None:
    assert refusal("own1", proofs=[proof]) is reason
    with pytest.raises(RemoteError) as caught:
        check_leave_request(proof, ROOM, ROSTER_OF_SIX)
    assert caught.value.reason is reason


def test_a_leave_request_of_someone_who_is_not_there_is_refused() -> None:
    request = seal_signed(
        GUEST.keys.sign_private.reveal(),
        b"leave request",
        LEAVE_REQUEST.build(ROOM, b"g" * 32, GUEST_PACKAGE.hash),
    )
    assert refusal("own1", proofs=[request]) is Reason.UNKNOWN_MEMBER


def test_a_leave_request_twice_in_one_commit_is_refused() -> None:
    proof = request_of("mem1")
    assert refusal("own1", proofs=[proof, proof]) is Reason.UNKNOWN_MEMBER


def test_leaving_and_being_removed_in_one_commit_is_refused() -> None:
    proof = request_of("mem1")
    assert refusal("own1", removing("mem1"), proofs=[proof]) is Reason.UNKNOWN_MEMBER


def test_a_leave_request_does_not_remove_a_member_that_was_admitted_again() -> None:
    world = World("ann", "bob", "cid")
    request = world.ask_to_leave("cid")
    before = world["cid"].own_id
    applied = world.commit("bob")
    assert applied["cid"].removed_self
    world.add("ann", "cid")
    assert world["cid"].own_id != before
    forged = Forger(world["ann"], world.people["ann"].keys, NOW, proofs=[request]).copies()
    with refused(Reason.UNKNOWN_MEMBER, world["bob"]):
        world["bob"].apply(forged[world["bob"].own_id], NOW)
    # Heard again in a message, it is not noted either.
    world.deliver(world.send("bob", world["bob"].leave_request(world.people["bob"].keys)))
    assert set(world["ann"].leaving) == {world["bob"].own_id}
    world.commit("ann")
    assert not world["cid"].closed
    world.check_agreement("ann", "cid")


def test_a_leave_request_survives_a_refresh_of_the_leaver() -> None:
    world = World("ann", "bob", "cid")
    world.ask_to_leave("cid")
    world.commit("cid")
    assert not world["cid"].closed
    assert list(world["ann"].leaving) == [world["cid"].own_id]
    assert world.commit("bob")["ann"].removed[0].id == world["cid"].own_id
    assert list(world["ann"].leaving) == []


# --- adding --------------------------------------------------------------------------------------


def test_an_identity_is_admitted_once() -> None:
    again = PEOPLE["mem1"].package().package
    assert refusal("own1", Add(again)) is Reason.ALREADY_MEMBER
    assert refusal("own1", Add(GUEST_PACKAGE), Add(GUEST_PACKAGE)) is Reason.ALREADY_MEMBER
    other = GUEST.package().package
    assert refusal("own1", Add(GUEST_PACKAGE), Add(other)) is Reason.ALREADY_MEMBER


def test_a_removed_identity_may_be_admitted_in_the_same_commit() -> None:
    again = PEOPLE["mem1"].package().package
    outcome = run("own1", removing("mem1"), Add(again))
    (added,) = outcome.added
    assert added.identity == PEOPLE["mem1"].keys.identity
    assert added.id != identifier("mem1")
    assert [member.id for member in outcome.removed] == [identifier("mem1")]


def test_a_member_added_in_a_commit_cannot_be_named_in_it() -> None:
    (added,) = run("own1", Add(GUEST_PACKAGE)).added
    late = Remove(added.id, added.admission)
    assert refusal("own1", Add(GUEST_PACKAGE), late) is Reason.UNKNOWN_MEMBER
    promote = SetRole(added.id, Role.ADMIN)
    assert refusal("own1", Add(GUEST_PACKAGE), promote) is Reason.UNKNOWN_MEMBER


def crowd(size: int) -> Roster:
    """A roster of any size, at no cost: one credential for all."""
    shared = ROSTER_OF_SIX[identifier("own1")]
    members = {shared.id: shared}
    for place in range(1, size):
        name = place.to_bytes(32, "big")
        members[name] = replace(
            shared, id=name, role=Role.MEMBER, seniority=place, identity=Identity(name, name)
        )
    return Roster(members, size)


def test_the_member_limit_can_be_reached_and_not_passed() -> None:
    outcome = run("own1", Add(GUEST_PACKAGE), roster=crowd(MAX_MEMBERS - 1))
    assert len(outcome.roster) == MAX_MEMBERS
    assert refusal("own1", Add(GUEST_PACKAGE), roster=crowd(MAX_MEMBERS)) is (
        Reason.TOO_MANY_MEMBERS
    )
    one_more = Person("one more").package().package
    full = [Add(GUEST_PACKAGE), Add(one_more)]
    assert refusal("own1", *full, roster=crowd(MAX_MEMBERS - 1)) is Reason.TOO_MANY_MEMBERS


def test_a_full_room_takes_a_member_in_the_place_of_another() -> None:
    roster = crowd(MAX_MEMBERS)
    last = roster[(MAX_MEMBERS - 1).to_bytes(32, "big")]
    outcome = run("own1", Remove(last.id, last.admission), Add(GUEST_PACKAGE), roster=roster)
    assert len(outcome.roster) == MAX_MEMBERS
    assert outcome.added[0].seniority == MAX_MEMBERS


def test_a_package_can_be_used_until_it_expires_by_the_commits_clock() -> None:
    assert run("own1", Add(GUEST_PACKAGE), time=GUEST_PACKAGE.expiry).added
    late = GUEST_PACKAGE.expiry + 1
    assert refusal("own1", Add(GUEST_PACKAGE), time=late) is Reason.EXPIRED


def test_a_package_of_another_suite_is_refused() -> None:
    other = Suite(2, "another", 32)
    assert refusal("own1", Add(GUEST_PACKAGE), suite=other) is Reason.UNKNOWN_SUITE


def test_an_add_is_refused_by_the_device_as_by_its_peers() -> None:
    world = World("ann", "bob", outsiders=["cid"])
    again = world.people["bob"].invited()
    expired = world.people["cid"].invited(now=NOW - PACKAGE_LIFETIME - 1)
    for guest, reason in ((again, Reason.ALREADY_MEMBER), (expired, Reason.EXPIRED)):
        with refused(reason, world["ann"], error=LocalError):
            world.make("ann", invite=[guest])
        copies = Forger(
            world["ann"], world.people["ann"].keys, NOW,
            operations=[Add(guest.package, guest.role)],
        ).copies()  # fmt: skip
        with refused(reason, world["bob"]):
            world["bob"].apply(copies[world["bob"].own_id], NOW)
    world.check_talk()


def test_an_add_that_is_given_as_an_operation_is_refused() -> None:
    """`Add` is an `Operation`, but without an `Invited` nobody could be told."""
    world = World("ann", "bob", outsiders=["cid"])
    package = world.people["cid"].package().package
    with refused(Reason.BAD_INPUT, world["ann"], error=LocalError):
        world.make("ann", Add(package))
    world.check_talk()


# --- removing ------------------------------------------------------------------------------------


def test_a_removal_names_the_admission_it_means() -> None:
    wrong = Remove(identifier("mem1"), b"x" * 32)
    assert refusal("own1", wrong) is Reason.UNKNOWN_MEMBER
    assert refusal("own1", removing("mem1"), removing("mem1")) is Reason.UNKNOWN_MEMBER


@pytest.mark.parametrize(
    "operation",
    [Remove(b"?" * 32, b"?" * 32), SetRole(b"?" * 32, Role.MEMBER)],
    ids=["remove", "role"],
)
def test_operations_on_strangers_are_refused(operation: Wish) -> None:
    assert refusal("own1", operation) is Reason.UNKNOWN_MEMBER


def test_a_role_for_a_member_removed_before_it_is_refused() -> None:
    promote = SetRole(identifier("mem1"), Role.ADMIN)
    assert refusal("own1", removing("mem1"), promote) is Reason.UNKNOWN_MEMBER


# --- mode and policy -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.DIRECT, Mode.DENIABLE])
def test_a_rooms_mode_never_changes(mode: Mode) -> None:
    assert refusal("own1", SetPolicy(Policy(mode))) is Reason.WRONG_MODE


@pytest.mark.parametrize(
    ("evaporation", "good"),
    [
        (Evaporation(None, 1), True),
        (Evaporation(None, MAX_LIFETIME), True),
        (Evaporation(0, MAX_LIFETIME), True),
        (Evaporation(MAX_LIFETIME, MAX_LIFETIME), True),
        (Evaporation(None, 0), False),
        (Evaporation(None, MAX_LIFETIME + 1), False),
        (Evaporation(MAX_LIFETIME + 1, MAX_LIFETIME), False),
    ],
)
def test_a_policys_times_have_limits(evaporation: Evaporation, good: bool) -> None:
    world = World("ann", "bob")
    policy = Policy(Mode.SIGNED, evaporation=evaporation)
    copies = Forger(
        world["ann"], world.people["ann"].keys, NOW, operations=[SetPolicy(policy)]
    ).copies()
    if good:
        world["bob"].apply(copies[world["bob"].own_id], NOW)
        assert world["bob"].policy == policy
    else:
        with refused(Reason.BAD_POLICY, world["bob"]):
            world["bob"].apply(copies[world["bob"].own_id], NOW)


@pytest.mark.parametrize("evaporation", [Evaporation(None, 0), Evaporation(None, MAX_LIFETIME + 1)])
def test_a_device_does_not_commit_a_policy_that_all_others_refuse(
    evaporation: Evaporation,
) -> None:
    """Else it would open an epoch alone, and the room would be lost for it."""
    world = World("ann", "bob")
    policy = Policy(Mode.SIGNED, evaporation=evaporation)
    with refused(Reason.BAD_POLICY, world["ann"], error=LocalError):
        world.make("ann", SetPolicy(policy))
    world.check_talk()


# --- rosters -------------------------------------------------------------------------------------


Rows = list[list[Any]]
SIGNED_AT: Final = 8  # place of the credential in a row


def rows() -> tuple[int, Rows]:
    number, values = ROSTER.parse(ROSTER_OF_SIX.encode())
    return number, values


def build(number: int, values: Rows) -> bytes:
    return ROSTER.build(number, values)


def test_a_roster_reads_as_it_was_written() -> None:
    parsed = Roster.parse(ROSTER_OF_SIX.encode(), ROOM)
    assert parsed == ROSTER_OF_SIX
    assert parsed.encode() == ROSTER_OF_SIX.encode()
    assert Roster.parse(ROSTER_OF_SIX.encode(), ROOM, verified=True) == ROSTER_OF_SIX


def swap(values: Rows) -> None:
    values[1], values[2] = values[2], values[1]


def repeat_seniority(values: Rows) -> None:
    values[2][2] = values[1][2]


def repeat_id(values: Rows) -> None:
    values[2][0] = values[1][0]


def repeat_identity(values: Rows) -> None:
    for column in (3, 4, SIGNED_AT):
        values[2][column] = values[1][column]


def seniority_to_come(values: Rows) -> None:
    values[-1][2] = 6


def no_owner(values: Rows) -> None:
    for row in values:
        row[1] = min(row[1], 1)


def credential_of_another(values: Rows) -> None:
    values[1][SIGNED_AT] = values[2][SIGNED_AT]


def bad_identity_sign_key(values: Rows) -> None:
    values[1][3] = bytes(32)


def bad_identity_dh_key(values: Rows) -> None:
    values[1][4] = bytes(32)


def unsigned(values: Rows) -> None:
    values[1][SIGNED_AT] = values[1][SIGNED_AT][:-1] + bytes([values[1][SIGNED_AT][-1] ^ 1])


def entry(values: Rows, row: int, **changes: Any) -> None:
    """Give a member an entry of its own, with one thing wrong."""
    name = list(ROLES)[row]
    stream = Stream("entry")
    fields: dict[str, Any] = {
        "owner": PEOPLE[name].keys, "room": ROOM, "member": identifier(name),
        "leaf_key": dh_keypair(stream)[1], "room_key": sign_keypair(stream)[1], "version": 1,
    } | changes  # fmt: skip
    values[row][SIGNED_AT] = make_entry(**fields).signed


def good_entry(values: Rows) -> None:
    entry(values, 3)


def entry_of_another_room(values: Rows) -> None:
    entry(values, 3, room=b"x" * 32)


def entry_of_another_member(values: Rows) -> None:
    entry(values, 3, member=identifier("mem1"))


def entry_by_another(values: Rows) -> None:
    entry(values, 3, owner=PEOPLE["mem1"].keys)


def entry_with_anothers_identity(values: Rows) -> None:
    own, other = PEOPLE["adm2"].keys, PEOPLE["mem1"].keys
    entry(values, 3, owner=replace(own, identity=other.identity))


def entry_signed_by_another(values: Rows) -> None:
    own, other = PEOPLE["adm2"].keys, PEOPLE["mem1"].keys
    entry(values, 3, owner=replace(other, identity=own.identity))


def entry_with_bad_leaf(values: Rows) -> None:
    entry(values, 3, leaf_key=bytes(32))


def entry_with_bad_room_key(values: Rows) -> None:
    entry(values, 3, room_key=b"\x01" + bytes(31))


def credential_of_no_kind(values: Rows) -> None:
    body = LEAVE_REQUEST.build(ROOM, identifier("own2"), bytes(32))
    private = PEOPLE["own2"].keys.sign_private.reveal()
    values[1][SIGNED_AT] = seal_signed(private, b"member entry", body)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (swap, Reason.BAD_FORM),
        (repeat_seniority, Reason.BAD_FORM),
        (repeat_id, Reason.BAD_FORM),
        (repeat_identity, Reason.BAD_FORM),
        (seniority_to_come, Reason.BAD_FORM),
        (no_owner, Reason.BAD_FORM),
        (credential_of_another, Reason.BAD_ENTRY),
        (bad_identity_sign_key, Reason.BAD_KEY),
        (bad_identity_dh_key, Reason.BAD_KEY),
        (unsigned, Reason.BAD_SIGNATURE),
        (entry_of_another_room, Reason.BAD_ENTRY),
        (entry_of_another_member, Reason.BAD_ENTRY),
        (entry_by_another, Reason.BAD_ENTRY),
        (entry_with_anothers_identity, Reason.BAD_ENTRY),
        (entry_signed_by_another, Reason.BAD_SIGNATURE),
        (entry_with_bad_leaf, Reason.BAD_KEY),
        (entry_with_bad_room_key, Reason.BAD_KEY),
        (credential_of_no_kind, Reason.WRONG_TYPE),
    ],
)
def test_an_inconsistent_roster_is_refused(
    change: Callable[[Rows], None], reason: Reason
) -> None:
    number, values = rows()
    change(values)
    with pytest.raises(RemoteError) as caught:
        Roster.parse(build(number, values), ROOM)
    assert caught.value.reason is reason


def test_the_roster_that_each_of_those_spoils_is_good() -> None:
    number, values = rows()
    good_entry(values)
    parsed = Roster.parse(build(number, values), ROOM)
    assert parsed[identifier("adm2")].credential.version == 1


def test_a_roster_has_a_member_at_least_and_the_limit_at_most() -> None:
    for values, reason in (([], Reason.BAD_FORM), (rows()[1] * 167, Reason.TOO_LARGE)):
        with pytest.raises(RemoteError) as caught:
            Roster.parse(build(2**20, values), ROOM)
        assert caught.value.reason is reason


def test_the_order_of_members_is_that_of_their_admission() -> None:
    world = World("ann", "bob", outsiders=["cid", "dan"])
    world.add("ann", "cid")
    world.commit("ann", world.removal("bob"))
    world.add("ann", "dan")
    assert [m.seniority for m in world["ann"].roster] == [0, 2, 3]
    assert world["ann"].roster.next_seniority == 4


def test_a_key_package_of_another_form_is_no_credential() -> None:
    """A package body with a package's label but an identity of someone else."""
    package = PEOPLE["own2"].package().package
    body, _ = open_signed(package.signed)
    fields = KEY_PACKAGE.parse(body)
    forged = seal_signed(
        PEOPLE["mem1"].keys.sign_private.reveal(), b"key package", KEY_PACKAGE.build(*fields)
    )
    with pytest.raises(RemoteError) as caught:
        KeyPackage.parse(forged)
    assert caught.value.reason is Reason.BAD_SIGNATURE
    number, values = rows()
    values[1][SIGNED_AT] = forged
    with pytest.raises(RemoteError) as caught:
        Roster.parse(build(number, values), ROOM)
    assert caught.value.reason is Reason.BAD_SIGNATURE


def test_a_commit_has_at_most_a_thousand_operations() -> None:
    """What others would refuse a device must not commit: it would leave the room by itself."""
    world = World("ann", "bob")
    demote = SetRole(world["bob"].own_id, Role.MEMBER)
    with refused(Reason.TOO_LARGE, world["ann"], error=LocalError):
        world.make("ann", *[demote] * (OPERATION_LIMIT + 1))
    world.commit("ann", *[demote] * OPERATION_LIMIT)
    world.check_agreement()
