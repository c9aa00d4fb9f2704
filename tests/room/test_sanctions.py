"""Removals and demotions that hold by themselves, and whom a removal takes along (9.7, 9.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.formats import ADD, LEAVE_REQUEST, SANCTION, SANCTIONED, SET_ROLE
from evanesce.identity import open_signed, seal_signed
from evanesce.limits import MAX_INDEX, MAX_SPARED
from evanesce.membership import Credential, Member, Mode, Policy, Role, Roster
from evanesce.operations import (
    Add,
    Operation,
    Outcome,
    Remove,
    SetRole,
    Wish,
    apply_operations,
    dump_operations,
    load_operations,
    signed_operations,
)
from evanesce.primitives import SUITE_1
from evanesce.proofs import (
    Proof,
    ProofKind,
    Sanction,
    leave_request,
    made_for,
    sanction,
    sign_sanction,
)
from tests.room.room_support import NOW, Forger, Person, World, refused

ROOM: Final = b"r" * 32
NUMBER: Final = 7  # of the parent
M, A, O = Role.MEMBER, Role.ADMIN, Role.OWNER  # noqa: E741  as in the tables of the specification

# By seniority: role, and the seniority of the sponsor.
PEOPLE: Final = {
    "own1": (O, 0), "own2": (O, 0), "adm1": (A, 1), "adm2": (A, 1),
    "mem1": (M, 2), "mem2": (M, 4), "mem3": (M, 5), "mem4": (M, 3),
}  # fmt: skip
PERSONS: Final = {name: Person(name) for name in PEOPLE}
PACKAGES: Final = {name: person.package().package for name, person in PERSONS.items()}


def identifier(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def roster_of(people: dict[str, tuple[Role, int]] = PEOPLE, ranked: int = 0) -> Roster:
    members = {}
    for seniority, (name, (role, sponsor)) in enumerate(people.items()):
        package = PACKAGES[name]
        members[identifier(name)] = Member(
            identifier(name), role, seniority, package.identity, package.hash,
            Credential.from_package(package), sponsor, ranked,
        )  # fmt: skip
    return Roster(members, len(people))


ROSTER: Final = roster_of()


def member(name: str, roster: Roster = ROSTER) -> Member:
    return roster[identifier(name)]


def by(
    author: str, target: str, role: Role | None = None, /, *, roster: Roster = ROSTER,
    number: int = NUMBER, signer: str | None = None, **changes: Any,
) -> Sanction:  # fmt: skip
    """A sanction made for this parent, or with some fields changed."""
    row = member(target, roster)
    epoch, spared = made_for(member(author, roster), row, role, roster, number)
    fields: dict[str, Any] = {
        "room": ROOM, "member": row.id, "admission": row.admission, "author": identifier(author),
        "role": role, "epoch": epoch, "spared": spared,
    } | changes  # fmt: skip
    return sign_sanction(PERSONS[signer or author].keys, **fields)


def proof(made: Sanction) -> Proof:
    return Proof(ProofKind.SANCTION, made.signed)


def run(
    committer: str, *operations: Operation, proofs: Sequence[Proof] = (), roster: Roster = ROSTER,
    number: int = NUMBER,
) -> Outcome:  # fmt: skip
    return apply_operations(
        roster, Policy(Mode.SIGNED), SUITE_1, ROOM, number, b"t" * 32, member(committer, roster),
        NOW, operations, proofs,
    )  # fmt: skip


def refusal(call: Any, *args: Any, **keywords: Any) -> Reason:
    with pytest.raises(RemoteError) as caught:
        call(*args, **keywords)
    return caught.value.reason


def check(made: Sanction, roster: Roster = ROSTER) -> Member:
    return Sanction.parse(made.signed).check(ROOM, roster)


def names(roster: Roster) -> set[str]:
    return {m.id.rstrip(b".").decode() for m in roster}


def gone(outcome: Outcome, roster: Roster = ROSTER) -> set[str]:
    left = {m.id.rstrip(b".").decode() for m in outcome.removed}
    assert names(outcome.roster) == names(roster) - left
    return left


# --- form ----------------------------------------------------------------------------------------


def test_a_sanction_says_whom_by_whom_and_for_which_epoch() -> None:
    for made in (by("own1", "adm1"), by("own1", "adm1", M)):
        body, _ = open_signed(made.signed)
        assert SANCTION.parse(body) == [
            ROOM, identifier("adm1"), PACKAGES["adm1"].hash, identifier("own1"), made.role,
            NUMBER, None if made.spared is None else list(made.spared),
        ]  # fmt: skip
        assert Sanction.parse(made.signed) == made
        assert made.value() == [SANCTIONED, made.signed]
        assert made.signed.hex() not in repr(made)
        (again,) = load_operations(dump_operations([made]))
        assert again == made


def test_a_proof_tells_whom_it_is_about_and_who_removes_by_it() -> None:
    removal, demotion = proof(by("own1", "adm1")), proof(by("own1", "adm1", M))
    leave = Proof(ProofKind.LEAVE, leave_request(PERSONS["adm1"].keys, ROOM, member("adm1")))
    about = {each: each.member for each in (removal, demotion, leave)}
    assert set(about.values()) == {identifier("adm1")}
    assert [p.removes for p in (removal, demotion, leave)] == [True, False, True]
    assert removal.remover == identifier("own1")
    assert demotion.remover is None
    assert leave.remover is None
    assert [p.value()[0] for p in (leave, removal)] == [0, 1]


# --- checking (REQ-MEM-14) -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("author", "target", "allowed"),
    [
        ("own1", "own2", True), ("own1", "adm1", True), ("own1", "mem1", True),
        ("own2", "own1", False), ("own1", "own1", False), ("adm1", "adm2", False),
        ("adm1", "own2", False), ("adm2", "mem1", True), ("adm1", "adm1", False),
        ("mem1", "mem2", False), ("mem1", "mem1", False),
    ],
)  # fmt: skip
def test_who_may_remove(author: str, target: str, allowed: bool) -> None:
    made = by(author, target)
    if allowed:
        assert check(made) == member(target)
    else:
        assert refusal(check, made) is Reason.NOT_ENTITLED


@pytest.mark.parametrize(
    ("author", "target", "role", "reason"),
    [
        ("own1", "own2", A, None), ("own1", "own2", M, None), ("own2", "adm1", M, None),
        ("own2", "own1", M, Reason.NOT_ENTITLED), ("own1", "own1", M, Reason.NOT_ENTITLED),
        ("adm1", "mem1", M, Reason.NOT_ENTITLED), ("adm1", "adm2", M, Reason.NOT_ENTITLED),
        ("own1", "adm1", A, Reason.BAD_PROOF), ("own1", "mem1", M, Reason.BAD_PROOF),
        ("own1", "mem1", A, Reason.BAD_PROOF),
    ],
)  # fmt: skip
def test_only_an_owner_demotes_and_only_to_a_lower_role(
    author: str, target: str, role: Role, reason: Reason | None
) -> None:
    made = by(author, target, role)
    if reason is None:
        assert check(made) == member(target)
    else:
        assert refusal(check, made) is reason


STRANGER: Final = b"?" * 32
FAULTS: Final[list[tuple[dict[str, Any], Reason]]] = [
    # In the order of the steps: each has the fault of its step and of all later ones.
    ({"room": STRANGER, "member": STRANGER, "author": STRANGER}, Reason.BAD_PROOF),
    ({"member": STRANGER, "admission": STRANGER, "author": STRANGER}, Reason.UNKNOWN_MEMBER),
    ({"admission": STRANGER, "author": STRANGER}, Reason.BAD_PROOF),
    ({"author": STRANGER, "signer": "mem1"}, Reason.NOT_ENTITLED),
    ({"author": identifier("mem4"), "signer": "mem3", "role": A}, Reason.BAD_SIGNATURE),
    ({"author": identifier("adm2"), "signer": "adm2", "role": A, "epoch": 0}, Reason.NOT_ENTITLED),
    ({"role": A, "epoch": 0}, Reason.BAD_PROOF),
    ({"role": M, "epoch": MAX_INDEX - 1}, Reason.BAD_PROOF),
    ({"role": M, "epoch": 0}, Reason.REPLAY),
]


@pytest.mark.parametrize(("changes", "reason"), FAULTS)
def test_the_first_fault_of_a_sanction_is_told(changes: dict[str, Any], reason: Reason) -> None:
    roster = roster_of(ranked=2)
    made = by("own1", "adm1", roster=roster, **changes)
    assert refusal(check, made, roster) is reason
    assert refusal(run, "own1", proofs=[proof(made)], roster=roster) is reason
    if "author" not in changes:
        assert refusal(run, "own1", made, roster=roster) is reason


def test_a_sanction_with_another_label_or_a_changed_byte_is_refused() -> None:
    made = by("own1", "adm1")
    body, _ = open_signed(made.signed)
    private = PERSONS["own1"].keys.sign_private.reveal()
    for label in (b"leave request", b"resync request", b"member entry"):
        forged = seal_signed(private, label, body)
        assert refusal(check, Sanction.parse(forged)) is Reason.BAD_SIGNATURE
    for place in range(len(made.signed) - 64, len(made.signed)):
        changed = bytearray(made.signed)
        changed[place] ^= 1
        assert refusal(check, Sanction.parse(bytes(changed))) is Reason.BAD_SIGNATURE
    for data, reason in ((made.signed[:-1], Reason.TRUNCATED),
                         (made.signed + b"\0", Reason.TRAILING_BYTES)):  # fmt: skip
        assert refusal(Sanction.parse, data) is reason
    other = seal_signed(private, b"sanction", LEAVE_REQUEST.build(ROOM, bytes(32), bytes(32)))
    assert refusal(Sanction.parse, other) is Reason.WRONG_TYPE


@pytest.mark.parametrize("ranked", [0, NUMBER, NUMBER + 1, NUMBER + 2])
def test_a_role_that_was_given_later_stands(ranked: int) -> None:
    made, roster = by("own1", "adm1", M), roster_of(ranked=ranked)
    if ranked > NUMBER + 1:
        assert refusal(check, made, roster) is Reason.REPLAY
    else:
        assert check(made, roster) == member("adm1", roster)
    assert check(by("own1", "adm1"), roster) == member("adm1", roster), "a removal holds"


@pytest.mark.parametrize(("epoch", "good"), [(MAX_INDEX - 2, True), (MAX_INDEX - 1, False)])
def test_a_demotion_has_an_epoch_after_which_a_roster_can_still_say_so(
    epoch: int, good: bool
) -> None:
    made = by("own1", "adm1", M, epoch=epoch)
    if good:
        outcome = run("own2", proofs=[proof(made)])
        assert member("adm1", outcome.roster).ranked == MAX_INDEX
        assert Roster.parse(outcome.roster.encode(), ROOM, verified=True) == outcome.roster
    else:
        assert refusal(check, made) is Reason.BAD_PROOF
    assert check(by("own1", "adm1", epoch=MAX_INDEX)) == member("adm1"), "a removal"


# --- a sanction in the commit that it was made for (step 3.3 of REQ-MEM-07) ----------------------


def test_a_commit_removes_by_a_sanction_of_its_author_and_takes_nobody_along() -> None:
    outcome = run("own1", by("own1", "adm1"))
    assert gone(outcome) == {"adm1"}, "mem1 was admitted by it, and mem2 by that one"
    assert gone(run("adm2", by("adm2", "mem1"))) == {"mem1"}


@pytest.mark.parametrize(
    "changes",
    [{"epoch": NUMBER - 1}, {"epoch": NUMBER + 1}, {"spared": []}, {"spared": None},
     {"spared": [identifier("mem2")[:8], identifier("mem1")[:8]]}],
)  # fmt: skip
def test_a_sanction_made_for_another_commit_is_no_operation(changes: dict[str, Any]) -> None:
    made = by("own1", "adm1", **changes)
    assert check(made) == member("adm1"), "valid by itself"
    assert refusal(run, "own1", made) is Reason.BAD_PROOF
    assert run("own2", proofs=[proof(made)]).removed


def test_only_its_author_commits_a_sanction_as_an_operation() -> None:
    made = by("own1", "adm1")
    for other in ("own2", "adm2", "mem3"):
        assert refusal(run, other, made) is Reason.BAD_PROOF
        assert gone(run(other, proofs=[proof(made)])) == {"adm1"}


def test_sanctions_of_one_member_twice() -> None:
    removal, lower, lowest = by("own1", "own2"), by("own1", "own2", A), by("own1", "own2", M)
    assert refusal(run, "own1", removal, removal) is Reason.UNKNOWN_MEMBER
    assert refusal(run, "own1", removal, lower) is Reason.UNKNOWN_MEMBER
    assert refusal(run, "own1", lower, proofs=[proof(removal)]) is Reason.UNKNOWN_MEMBER
    assert gone(run("own1", lower, removal)) == {"own2"}
    for demotions in ((lower, lowest), (lowest, lower)):
        outcome = run("own1", *demotions)
        assert member("own2", outcome.roster).role is M, "the lower of the two, in either order"
    assert member("own2", run("own1", lower, lower).roster).role is A


def test_a_change_of_role_does_not_lower_another_member() -> None:
    for target in ("own2", "adm1"):
        assert refusal(run, "own1", SetRole(identifier(target), M)) is Reason.NOT_ENTITLED
    assert member("own1", run("own1", SetRole(identifier("own1"), M)).roster).role is M
    assert member("mem1", run("own1", SetRole(identifier("mem1"), A)).roster).role is A
    assert member("adm1", run("own1", SetRole(identifier("adm1"), A)).roster).role is A


def test_a_member_is_raised_again_after_its_demotion_in_one_commit() -> None:
    """Each step that makes another role counts: it is ranked past the reach of the demotion."""
    outcome = run("own1", by("own1", "own2", M), SetRole(identifier("own2"), O))
    row = member("own2", outcome.roster)
    assert (row.role, row.ranked) == (O, NUMBER + 2)
    late = by("own1", "own2", M)
    assert refusal(check, late, outcome.roster) is Reason.REPLAY


# --- what a demotion does ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ranked", "epoch", "now"),
    [
        (0, NUMBER, NUMBER + 2),  # made for this parent
        (0, 3, NUMBER + 1),  # of an earlier epoch: the number that is opened
        (0, 20, 22),  # of a later epoch of another branch
        (15, 14, 16),
        (8, 7, 9),
    ],
)
def test_a_demotion_ranks_its_member_past_its_own_reach(
    ranked: int, epoch: int, now: int
) -> None:
    made, roster = by("own1", "adm1", M, epoch=epoch), roster_of(ranked=ranked)
    outcome = run("own2", proofs=[proof(made)], roster=roster)
    row = member("adm1", outcome.roster)
    assert (row.role, row.ranked) == (M, now)
    raised = outcome.roster.change(row.id, role=A, epoch=NUMBER + 2)
    assert refusal(check, made, raised) is Reason.REPLAY, "it never holds twice on one path"


def test_a_demotion_sets_ranked_also_where_the_role_is_lower_already_and_never_lowers_it() -> None:
    low, high = by("own1", "own2", M, epoch=20), by("own1", "own2", A, epoch=30)
    for proofs in ((low, high), (high, low)):
        outcome = run("mem1", proofs=[proof(each) for each in proofs])
        row = member("own2", outcome.roster)
        assert (row.role, row.ranked) == (M, 32)


def test_a_new_demotion_holds_of_a_member_that_was_ranked_late() -> None:
    """Its epoch is the member's *ranked* less one, if that is more than the parent's number."""
    roster = roster_of(ranked=40)
    made = by("own1", "adm1", M, roster=roster)
    assert made.epoch == 39
    row = member("adm1", run("own1", made, roster=roster).roster)
    assert (row.role, row.ranked) == (M, 41)
    assert by("own1", "adm1", M, roster=roster_of(ranked=NUMBER + 1)).epoch == NUMBER
    assert by("own1", "adm1", roster=roster_of(ranked=NUMBER + 2)).epoch == NUMBER + 1


def test_who_gets_another_role_is_ranked_in_the_epoch_that_is_opened() -> None:
    outcome = run("own1", SetRole(identifier("mem1"), A), SetRole(identifier("adm1"), A))
    assert member("mem1", outcome.roster).ranked == NUMBER + 1
    assert member("adm1", outcome.roster).ranked == 0, "it had that role"
    leave = Proof(ProofKind.LEAVE, leave_request(PERSONS["own1"].keys, ROOM, member("own1")))
    heirs = run("adm1", proofs=[leave, proof(by("own1", "own2", M))])
    heir = member("adm1", heirs.roster)
    assert (heir.role, heir.ranked) == (O, NUMBER + 1), "owner by derivation"
    guest = Person("guest").package().package
    (added,) = run("adm1", Add(guest)).added
    assert (added.sponsor, added.ranked) == (2, NUMBER + 1)


# --- taking along (9.7) --------------------------------------------------------------------------

# On another branch adm1 has admitted mem1, and that one mem2 and mem3.
ALONG: Final = {
    "own1": (O, 0), "own2": (O, 0), "adm1": (A, 0), "mem1": (M, 2), "mem2": (M, 3),
    "mem3": (M, 4), "mem4": (M, 0),
}  # fmt: skip
WITH: Final = roster_of(ALONG)
# Where the removal was made adm1 had admitted nobody.
BEFORE: Final = roster_of({n: ALONG[n] for n in ("own1", "own2", "adm1")} | {"mem4": (M, 0)})


def removal(*spared: str, author: str = "own1", target: str = "adm1") -> Sanction:
    return by(author, target, roster=WITH, spared=[identifier(n)[:8] for n in spared])


def test_a_removal_takes_along_whom_its_target_has_admitted_beside_it() -> None:
    made = by("own1", "adm1", roster=BEFORE)
    assert made.spared == ()
    outcome = run("mem4", proofs=[proof(made)], roster=WITH)
    assert gone(outcome, WITH) == {"adm1", "mem1", "mem2", "mem3"}
    assert [m.id for m in outcome.removed] == [m.id for m in WITH if m.id not in outcome.roster]


def test_who_was_there_when_it_was_made_is_spared_and_whom_that_one_has_admitted() -> None:
    """Only through whom the removal removes itself does it go on."""
    made = by("own1", "adm1", roster=roster_of({n: ALONG[n] for n in list(ALONG)[:4]}))
    assert made.spared == (identifier("mem1")[:8],)
    assert gone(run("mem4", proofs=[proof(made)], roster=WITH), WITH) == {"adm1"}
    assert gone(run("mem4", proofs=[proof(removal("mem2"))], roster=WITH), WITH) == {
        "adm1", "mem1",
    }  # fmt: skip
    assert gone(run("mem4", proofs=[proof(removal("mem3"))], roster=WITH), WITH) == {
        "adm1", "mem1", "mem2",
    }  # fmt: skip


def test_a_removal_that_spares_nobody_by_name_takes_nobody_along() -> None:
    made = by("own1", "adm1", roster=WITH, spared=None)
    assert gone(run("mem4", proofs=[proof(made)], roster=WITH), WITH) == {"adm1"}


def test_it_lists_in_order_of_seniority_whom_it_would_take_along() -> None:
    made = by("own1", "adm1", roster=WITH)
    assert made.spared == tuple(identifier(n)[:8] for n in ("mem1", "mem2", "mem3"))
    assert gone(run("own1", made, roster=WITH), WITH) == {"adm1"}
    assert by("own1", "adm1", M, roster=WITH).spared is None


def test_whom_the_author_does_not_outrank_stays_and_so_whom_that_one_has_admitted() -> None:
    people = ALONG | {"mem1": (A, 2)}
    roster = roster_of(people)
    by_owner = removal()
    assert gone(run("mem4", proofs=[proof(by_owner)], roster=roster), roster) == {
        "adm1", "mem1", "mem2", "mem3",
    }  # fmt: skip
    # Of a plain member that an admin removes, who has become admin is not taken along.
    demoted = roster_of(people | {"own2": (A, 0), "adm1": (M, 0)})
    by_admin = removal(author="own2")
    assert gone(run("mem4", proofs=[proof(by_admin)], roster=demoted), demoted) == {"adm1"}


def test_an_admin_that_removes_the_founder_takes_no_owner_along() -> None:
    """The founder is the sponsor of all of the genesis, and a plain member now."""
    roster = roster_of(ALONG | {"own1": (M, 0)})
    made = by("own2", "own1", roster=roster, spared=[])
    left = gone(run("own2", proofs=[proof(made)], roster=roster), roster)
    assert left == {"own1", "adm1", "mem1", "mem2", "mem3", "mem4"}
    by_admin = by("adm1", "own1", roster=roster, spared=[])
    left = gone(run("own2", proofs=[proof(by_admin)], roster=roster), roster)
    assert left == {"own1", "mem4"}, "own2 outranks the author, and adm1 is the author"


def test_rank_is_that_of_the_parent_whatever_the_commit_does_before() -> None:
    """Else a demotion in the same commit would let an operation take somebody along."""
    roster = roster_of(ALONG | {"mem1": (A, 2), "own2": (A, 0), "adm1": (M, 0)})
    demotion = by("own1", "mem1", M, roster=roster)
    removes = removal(author="own2")
    outcome = run("mem4", proofs=[proof(demotion), proof(removes)], roster=roster)
    assert gone(outcome, roster) == {"adm1"}
    # Nor does it help that its author has been removed before.
    removed = by("own1", "own2", roster=roster)
    assert gone(
        run("mem4", proofs=[proof(removed), proof(removes)], roster=roster), roster
    ) == {"own2", "adm1"}  # fmt: skip


def test_a_commit_whose_author_would_be_taken_along_is_refused() -> None:
    assert refusal(run, "mem3", proofs=[proof(removal())], roster=WITH) is Reason.NOT_ENTITLED
    assert gone(run("mem3", proofs=[proof(removal("mem1"))], roster=WITH), WITH) == {"adm1"}


def test_who_has_been_taken_along_cannot_be_named_afterwards() -> None:
    first, second = removal(), by("own1", "mem2", roster=WITH)
    proofs = [proof(first), proof(second)]
    assert refusal(run, "mem4", proofs=proofs, roster=WITH) is Reason.UNKNOWN_MEMBER
    reason = refusal(run, "own1", second, proofs=[proof(first)], roster=WITH)
    assert reason is Reason.UNKNOWN_MEMBER


def big(count: int) -> Roster:
    """A roster in which adm1 has admitted so many."""
    members = dict(roster_of({n: ALONG[n] for n in ("own1", "own2", "adm1")}).members)
    shared = member("mem1")
    for n in range(count):
        key = n.to_bytes(8, "big") + bytes(24)
        members[key] = replace(shared, id=key, role=M, seniority=3 + n, sponsor=2)
    return Roster(members, 3 + count)


@pytest.mark.parametrize("count", [MAX_SPARED, MAX_SPARED + 1])
def test_past_64_nobody_is_listed_and_nobody_taken_along(count: int) -> None:
    roster = big(count)
    made = by("own1", "adm1", roster=roster)
    if count > MAX_SPARED:
        assert made.spared is None
    else:
        assert made.spared is not None
        assert len(made.spared) == MAX_SPARED
    assert [m.id for m in run("own1", made, roster=roster).removed] == [identifier("adm1")]
    assert len(run("own2", proofs=[proof(made)], roster=roster).removed) == 1


# --- as an application wishes it -----------------------------------------------------------------


def test_wishes_to_remove_and_to_lower_others_become_sanctions_and_others_stay() -> None:
    me, keys = member("own1"), PERSONS["own1"].keys
    wishes: list[Wish] = [
        Remove(identifier("mem1"), member("mem1").admission),
        SetRole(identifier("adm1"), M),
        SetRole(identifier("mem2"), A),
        SetRole(identifier("own1"), A),
        SetRole(identifier("adm2"), A),
    ]
    made = signed_operations(keys, ROOM, me, ROSTER, NUMBER, wishes)
    assert made[0] == sanction(keys, ROOM, me, member("mem1"), None, ROSTER, NUMBER)
    assert made[1] == sanction(keys, ROOM, me, member("adm1"), M, ROSTER, NUMBER)
    assert made[2:] == wishes[2:]
    assert [operation.value()[0] for operation in made] == [1, 1, SET_ROLE, SET_ROLE, SET_ROLE]
    assert ADD not in {operation.value()[0] for operation in made}


@pytest.mark.parametrize(
    "wish", [Remove(STRANGER, STRANGER), SetRole(STRANGER, M), Remove(identifier("mem1"), STRANGER)]
)
def test_who_is_not_there_cannot_be_sanctioned(wish: Remove | SetRole) -> None:
    reason = refusal(
        signed_operations, PERSONS["own1"].keys, ROOM, member("own1"), ROSTER, NUMBER, [wish]
    )
    assert reason is Reason.UNKNOWN_MEMBER


def test_a_room_refuses_a_sanction_for_another_admission_or_by_another_author() -> None:
    """Forged with a member's keys, and sealed and signed as a commit is."""
    world = World("ann", "bob", "cid", "dan")
    ann, dan = world.member("ann"), world.member("dan", at="ann")
    keys = world.people["ann"].keys
    other = sign_sanction(keys, world["ann"].id, dan.id, bytes(32), ann.id, None, 0, ())
    by_bob = sanction(
        world.people["bob"].keys, world["ann"].id, world.member("bob"), dan, None,
        world["ann"].roster, 0,
    )  # fmt: skip
    for forged, reason in ((other, Reason.BAD_PROOF), (by_bob, Reason.NOT_ENTITLED)):
        copies = Forger(world["ann"], keys, NOW, operations=[forged]).copies()
        with refused(reason, world["cid"]):
            world["cid"].apply(copies[world["cid"].own_id], NOW)
        with refused(reason, world["ann"], error=LocalError):
            world.make("ann", forged)
    world.commit("ann", world.removal("dan"))
    world.check_talk("ann", "bob", "cid")
