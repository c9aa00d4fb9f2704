"""membership.json, second part: rights, and what a commit makes of a roster (9.5 to 9.9)."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from spec.cases.common import (
    EXPIRY,
    NOW,
    Json,
    Stream,
    case,
    little,
    operation,
    proofs_json,
    proofs_of,
    some_keys,
    some_package,
    tagged,
    un,
    untagged,
)
from spec.cases.membership import ADMIN, MEMBER, OWNER, ROOM, leave, roster_of, some_member

from spec import reference as ref

SHOWN_WHOLE = 256  # members: of a larger roster a case holds the hash


def kept_roster(data: bytes) -> ref.Roster:
    """A roster that the device has read before."""
    following, rows = ref.parse(data, "roster")
    return ref.Roster(following, [ref.Member(*row) for row in rows])


@operation("apply operations")
def _apply_operations(i: Json) -> Json:
    roster = kept_roster(un(i["roster"]))
    result, policy = ref.apply_operations(
        roster, i["policy"], i["suite"], un(i["room"]), i["number"], un(i["transcript"]),
        roster.find(un(i["committer"])), i["time"], untagged(i["operations"]),
        proofs_of(i["proofs"]),
    )  # fmt: skip
    data = result.encode()
    if len(result.members) > SHOWN_WHOLE:
        return {"roster_sha256": hashlib.sha256(data).hexdigest(), "policy": policy}
    return {"roster": data.hex(), "policy": policy}


TRANSCRIPT = b"\x2b" * 32
POLICY, MAY_ADD = [1, False, None, 259_200], [1, True, None, 259_200]
NAMES = {MEMBER: "member", ADMIN: "admin", OWNER: "owner"}


class Guests(NamedTuple):
    """Key packages to add."""

    fay: bytes = some_package("membership-fay", True)[1].package.signed
    gus: bytes = some_package("membership-gus", True)[1].package.signed


NUMBER = 4  # of the parent


def removal(row: ref.Member, role: int | None = None) -> list[Any]:
    """A removal or demotion by the committer: `applied` signs it."""
    return [ref.SANCTION, row, role]


def signed_by(
    row: ref.Member, name: str, target: ref.Member, role: int | None = None, epoch: int = NUMBER,
    spared: list[bytes] | None = None, **changes: Any,
) -> bytes:  # fmt: skip
    """A sanction of any kind."""
    fields = {"room": ROOM, "member": target.id, "admission": target.admission, "author_id": row.id}
    return ref.sign_sanction(some_keys(f"membership-{name}"), **{**fields, **changes},
                             role=role, epoch=epoch, spared=spared)  # fmt: skip


def due(
    roster: ref.Roster, name: str, author: ref.Member, target: ref.Member, role: int | None = None,
    number: int = NUMBER,
) -> bytes:  # fmt: skip
    """A sanction as it is due on this parent."""
    epoch, spared = ref.due_fields(roster, number, author.id, target, role)
    return signed_by(author, name, target, role, epoch, spared)


def name_of(row: ref.Member) -> str:
    names = ("ann", "bob", "cid", "dan", "eve", "fay", "gus", "zoe")
    return next(
        n for n in names if some_keys(f"membership-{n}").public.sign_key == row.sign_key
    )


def applied(
    name: str, comment: str, roster: ref.Roster, committer: ref.Member,
    operations: list[list[Any]], reason: str | None = None, *, spec: str = "MEM-07",
    parent: str | None = None, mutation: str | None = None, policy: list[Any] = POLICY,
    proofs: list[Any] | None = None, time: int = NOW, suite: int = 1, features: str = "signed",
    number: int = NUMBER,
) -> Json:  # fmt: skip
    """`proofs`: leave requests, or pairs of kind and proof."""
    operations = [
        [ref.SANCTION, due(roster, name_of(committer), committer, each[1], each[2], number)]
        if len(each) == 3 and each[0] == ref.SANCTION else each for each in operations
    ]  # fmt: skip
    pairs = [[ref.LEAVES, each] if isinstance(each, bytes) else each for each in proofs or []]
    return case(f"membership-apply-{name}", spec, comment, "apply operations", {
        "roster": roster.encode().hex(), "policy": policy, "suite": suite, "room": ROOM.hex(),
        "number": number, "transcript": TRANSCRIPT.hex(), "committer": committer.id.hex(),
        "time": time, "operations": tagged(operations), "proofs": proofs_json(pairs)},
        reason, parent=parent and f"membership-apply-{parent}",
        mutation=mutation or (comment if reason else None), features=features)  # fmt: skip


def rights_cases() -> Iterator[Json]:
    yield from right_cases()
    yield from derivation_cases()
    yield from order_cases()
    yield from large_cases()


def right_cases() -> Iterator[Json]:
    """The table of rights: every role against every target (9.6)."""
    targets = {"older-owner": OWNER, "younger-owner": OWNER, "admin": ADMIN,
               "younger-admin": ADMIN, "member": MEMBER}  # fmt: skip

    def right(
        name: str, comment: str, roster: ref.Roster, committer: ref.Member, op: list[Any],
        reason: str | None, parent: str, policy: list[Any] = POLICY,
    ) -> Json:  # fmt: skip
        return applied(f"right-{name}", comment, roster, committer, [op], reason, spec="MEM-05",
                       parent=f"right-{parent}" if reason else None, policy=policy)  # fmt: skip

    for role, who in NAMES.items():
        roster = roster_of(("ann", OWNER), ("bob", role))
        bob = roster.members[1]
        for rules, word in ((POLICY, ""), (MAY_ADD, "-if-members-may")):
            for new, called in NAMES.items():
                allowed = role == OWNER or (new == MEMBER and (role == ADMIN or rules[1]))
                yield right(f"{who}-adds-{called}{word}", f"{who} adds as {called}", roster, bob,
                            [ref.ADD, Guests().fay, new], None if allowed else "not-entitled",
                            "owner-adds-member", rules)  # fmt: skip
        yield right(f"{who}-removes-itself", f"{who} removes itself", roster, bob, removal(bob),
                    "not-entitled", "owner-removes-member")  # fmt: skip
        nobody = bob._replace(id=bytes(32))
        yield right(f"{who}-removes-nobody", f"{who} removes nobody", roster, bob,
                    removal(nobody), "unknown-member", "owner-removes-member")  # fmt: skip
        for new, called in NAMES.items():
            yield right(f"{who}-becomes-{called}", f"{who} sets its own role to {called}", roster,
                        bob, [ref.SET_ROLE, bob.id, new], None if new < role else "not-entitled",
                        "owner-becomes-member")  # fmt: skip
        if role == ADMIN:
            yield right("admin-removes-owner-other-admission",
                        "two faults: the admission, then the right", roster, bob,
                        removal(roster.members[0]._replace(admission=bytes(32))), "bad-proof",
                        "owner-removes-member")  # fmt: skip
        yield right(f"{who}-sets-role-of-nobody", f"{who} sets the role of nobody", roster, bob,
                    [ref.SET_ROLE, bytes(32), 0], "unknown-member",
                    "owner-makes-member-admin")  # fmt: skip
        yield right(f"{who}-sets-policy", f"{who} sets the policy", roster, bob,
                    [ref.SET_POLICY, MAY_ADD], None if role == OWNER else "not-entitled",
                    "owner-sets-policy")  # fmt: skip
        for target, its_role in targets.items():
            first, second = ("cid", its_role), ("bob", role)
            rows = [second, first] if target.startswith("younger") else [first, second]
            if OWNER not in (role, its_role):
                rows = [("ann", OWNER), *rows]
            roster = roster_of(*rows)
            names = [name for name, _ in rows]
            bob, cid = (roster.members[names.index(name)] for name in ("bob", "cid"))
            above = role > its_role or (role == its_role == OWNER and target == "younger-owner")
            yield right(f"{who}-removes-{target}", f"{who} removes {target}", roster, bob,
                        removal(cid), None if role >= ADMIN and above else "not-entitled",
                        "owner-removes-member")  # fmt: skip
            for new, called in NAMES.items():
                allowed = above and ((role == OWNER and new >= its_role)
                                     or (role == ADMIN and new == MEMBER))  # fmt: skip
                yield right(f"{who}-makes-{target}-{called}", f"{who} makes {target} {called}",
                            roster, bob, [ref.SET_ROLE, cid.id, new],
                            None if allowed else "not-entitled",
                            "owner-makes-member-admin")  # fmt: skip
                reason = None if new < its_role else "bad-proof"
                yield right(f"{who}-demotes-{target}-to-{called}",
                            f"{who} demotes {target} to {called}", roster, bob, removal(cid, new),
                            reason if role == OWNER and above else "not-entitled",
                            "owner-demotes-admin-to-member")  # fmt: skip
        yield applied(f"right-{who}-refreshes", f"{who} commits nothing but keys", roster, bob, [],
                      spec="MEM-05")  # fmt: skip
        yield applied(f"right-{who}-embeds-proof", f"{who} embeds a leave request", roster, bob, [],
                      spec="MEM-05 MEM-06", proofs=[leave("cid", cid)])  # fmt: skip


def derivation_cases() -> Iterator[Json]:
    """Owner by derivation (9.9)."""

    def derived(
        name: str, comment: str, rows: list[tuple[str, int]], who: int, operations: Any,
        leaving: tuple[str, ...] = (),
    ) -> Json:  # fmt: skip
        roster = roster_of(*rows)
        names = [each for each, _ in rows]
        proofs = [leave(each, roster.members[names.index(each)]) for each in leaving]
        return applied(f"derived-{name}", comment, roster, roster.members[who],
                       operations(roster.members), spec="MEM-08", proofs=proofs)  # fmt: skip

    ann, bob, cid, dan = ("ann", OWNER), ("bob", MEMBER), ("cid", ADMIN), ("dan", ADMIN)

    def nothing(_: list[ref.Member]) -> list[list[Any]]:
        return []

    def lowers(role: int) -> Callable[[list[ref.Member]], list[list[Any]]]:
        return lambda rows: [[ref.SET_ROLE, rows[0].id, role]]

    yield derived("owner-leaves", "the admin becomes owner, not the senior member",
                  [ann, bob, cid], 1, nothing, ("ann",))  # fmt: skip
    yield derived("senior-admin", "of two admins the senior one becomes owner",
                  [ann, bob, cid, dan], 1, nothing, ("ann",))  # fmt: skip
    yield derived("senior-member", "no admin: the senior member becomes owner",
                  [ann, bob, ("cid", MEMBER)], 2, nothing, ("ann",))  # fmt: skip
    yield derived("last-one", "all others leave: the last member is owner", [ann, bob, cid], 1,
                  nothing, ("ann", "cid"))  # fmt: skip
    yield derived("other-owner", "another owner is left: nobody is raised",
                  [ann, bob, ("cid", OWNER)], 1, nothing, ("ann",))  # fmt: skip
    yield derived("to-member", "the only owner becomes member: the admin is owner",
                  [ann, bob, cid], 0, lowers(MEMBER))  # fmt: skip
    yield derived("to-admin", "the only owner becomes admin: it is senior, and owner again",
                  [ann, bob, cid], 0, lowers(ADMIN))  # fmt: skip
    yield derived("to-admin-junior", "the only owner becomes admin: a senior admin is owner",
                  [cid, ann, bob], 1,
                  lambda rows: [[ref.SET_ROLE, rows[1].id, ADMIN]])  # fmt: skip
    yield derived("to-member-alone", "the only member becomes member, and is owner again", [ann],
                  0, lowers(MEMBER))  # fmt: skip
    yield derived("to-member-of-members", "the only owner becomes member: it is senior, and owner",
                  [ann, bob], 0, lowers(MEMBER))  # fmt: skip
    yield derived("new-admin", "one made admin in the same commit becomes owner", [ann, bob, cid],
                  0, lambda rows: [[ref.SET_ROLE, rows[1].id, ADMIN],
                                   [ref.SET_ROLE, rows[0].id, MEMBER]])  # fmt: skip
    yield derived("new-owner", "one made owner in the same commit: nobody else is raised",
                  [ann, bob, cid], 0, lambda rows: [[ref.SET_ROLE, rows[1].id, OWNER],
                                                    [ref.SET_ROLE, rows[0].id, MEMBER]])
    yield derived("added-admin", "an admin added in the same commit becomes owner", [ann, bob], 0,
                  lambda rows: [[ref.ADD, Guests().fay, ADMIN],
                                [ref.SET_ROLE, rows[0].id, MEMBER]])  # fmt: skip
    yield derived("lowered-first", "the admin is lowered before the owner lowers itself",
                  [ann, bob, cid], 0, lambda rows: [removal(rows[2], MEMBER),
                                                    [ref.SET_ROLE, rows[0].id, MEMBER]])


def order_cases() -> Iterator[Json]:
    """Proofs and operations, one after another (REQ-MEM-07)."""
    roster = roster_of(("ann", OWNER), ("bob", MEMBER), ("cid", ADMIN))
    ann, bob, cid = roster.members
    fay, gus = Guests()
    add_fay: list[Any] = [ref.ADD, fay, MEMBER]
    anew = ref.make_key_package(some_keys("membership-bob"), [bytes(32), little(9), bytes(16)],
                                EXPIRY, True, Stream("membership-bob-anew")).package  # fmt: skip
    add_bob, again = [ref.ADD, anew.signed, ADMIN], [ref.SET_ROLE, bob.id, ADMIN]
    other_policy = [ref.SET_POLICY, [1, True, 0, 1]]
    bob_leaves = leave("bob", bob)
    good: list[tuple[str, str, ref.Member, list[list[Any]], list[Any]]] = [
        ("two-adds", "ids count the place of the add, seniorities go on", ann,
         [add_fay, [ref.ADD, gus, OWNER]], []),
        ("add-third", "the add is the third operation", ann, [again, other_policy, add_fay], []),
        ("remove", "a removal: its seniority is not used again", ann, [removal(cid), add_fay], []),
        ("proofs-two", "two leave, by a member", bob, [], [leave("cid", cid), leave("ann", ann)]),
        ("remove-and-readmit", "removed, and admitted anew by another package", ann,
         [removal(bob), add_bob], []),
        ("leave-and-readmit", "left, and admitted anew by another package", ann, [add_bob],
         [bob_leaves]),
        ("role-twice", "of two roles the last one holds", ann,
         [again, [ref.SET_ROLE, bob.id, MEMBER]], []),
        ("role-same", "a role that is set to what it was", ann,
         [[ref.SET_ROLE, bob.id, MEMBER]], []),
        ("policies", "of three policies the last one holds", ann,
         [other_policy, [ref.SET_POLICY, POLICY], [ref.SET_POLICY, [1, True, 60, 60]]], []),
        ("lowered-and-removes", "rights are those of the parent: lowered, it still removes", ann,
         [[ref.SET_ROLE, ann.id, MEMBER], removal(cid), add_fay], []),
        ("raised-and-removed", "rank is that of the parent: raised to owner, and removed", ann,
         [[ref.SET_ROLE, cid.id, OWNER], removal(cid)], []),
        ("leave-and-role-of-other", "a proof, then operations", ann, [[
            ref.SET_ROLE, cid.id, OWNER]], [bob_leaves]),
    ]  # fmt: skip
    for name, comment, who, operations, proofs in good:
        yield applied(name, comment, roster, who, operations, proofs=proofs,
                      spec="MEM-03 MEM-04 MEM-07")  # fmt: skip
    yield applied("add-at-expiry", "the last second of the package", roster, ann, [add_fay],
                  spec="ID-05", time=EXPIRY)  # fmt: skip
    wrong = removal(bob._replace(admission=cid.admission))
    stranger = ref.make_leave_request(some_keys("membership-x"), ROOM, bob)
    for name, reason, parent, mutation, who, operations, proofs in (
        ("remove-twice", "unknown-member", "remove", "the removal twice", ann,
         [removal(bob), removal(bob)], []),
        ("proof-twice", "unknown-member", "proofs-two", "the proof twice", ann, [],
         [bob_leaves, bob_leaves]),
        ("proof-and-removal", "unknown-member", "remove", "a proof of the same member", ann,
         [removal(bob)], [bob_leaves]),
        ("proof-and-role", "unknown-member", "role-twice", "a proof of the same member", ann,
         [again], [bob_leaves]),
        ("removed-and-role", "unknown-member", "remove", "then its role is set", ann,
         [removal(bob), again], []),
        ("readmitted-by-old-id", "unknown-member", "remove-and-readmit",
         "then the role of its old id is set", ann, [removal(bob), add_bob, again], []),
        ("remove-added", "unknown-member", "two-adds",
         "the second operation removes who was just added", ann,
         [add_fay, removal(bob._replace(
             id=ref.member_id(ROOM, TRANSCRIPT, ref.H(b"key package", fay), 0),
             admission=ref.H(b"key package", fay)))], []),
        ("remove-other-admission", "bad-proof", "remove", "the admission of another", ann,
         [wrong], []),
        ("readmit-first", "already-member", "remove-and-readmit",
         "admitted before it is removed", ann, [add_bob, removal(bob)], []),
        ("add-twice", "already-member", "two-adds", "the same package twice", ann,
         [add_fay, add_fay], []),
        ("add-present", "already-member", "remove-and-readmit", "not removed before", ann,
         [add_bob], []),
        ("proof-of-committer", "bad-proof", "proofs-two", "the committer itself leaves", bob, [],
         [bob_leaves]),
        ("proof-of-committer-and-owner", "bad-proof", "proofs-two",
         "the second proof is of the committer", bob, [], [leave("ann", ann), bob_leaves]),
        ("proof-other-room", "bad-proof", "proofs-two", "a proof for another room", ann, [],
         [leave("bob", bob, bytes(32))]),
        ("proof-other-admission", "bad-proof", "proofs-two", "a proof of another admission", ann,
         [], [leave("bob", bob._replace(admission=cid.admission))]),
        ("proof-of-nobody", "unknown-member", "proofs-two", "a proof of nobody", ann, [],
         [leave("bob", bob._replace(id=bytes(32)))]),
        ("proof-not-signed", "bad-signature", "proofs-two", "a proof signed by another", ann, [],
         [stranger]),
        ("role-by-admin", "not-entitled", "role-twice", "by an admin, who grants no roles", cid,
         [[ref.SET_ROLE, bob.id, ADMIN]], []),
        ("mode-direct", "wrong-mode", "policies", "a policy of another mode", ann,
         [other_policy, [ref.SET_POLICY, [0, False, None, 1]]], []),
        ("proof-before-right", "bad-proof", "proofs-two",
         "two faults: a proof for another room, which comes before all operations", bob,
         [removal(ann)], [leave("cid", cid, bytes(32))]),
        ("first-fault", "bad-proof", "remove",
         "two faults: operations are looked at one after another", ann, [wrong, removal(ann)], []),
    ):  # fmt: skip
        also = " MEM-06" if "proof" in name else " MEM-11" if "add" in name else ""
        spec = f"MEM-07{also}"
        yield applied(name, mutation, roster, who, operations, reason, parent=parent,
                      mutation=mutation, proofs=proofs, spec=spec)  # fmt: skip
    yield applied("add-expired", "one second later", roster, ann, [add_fay], "expired",
                  spec="ID-05", parent="add-at-expiry", time=EXPIRY + 1)  # fmt: skip
    yield applied("add-other-suite", "the room is of suite 2", roster, ann, [add_fay],
                  "unknown-suite", spec="PRIM-19", parent="add-at-expiry", suite=2)  # fmt: skip


def large_cases() -> Iterator[Json]:
    """1,000 members, and one more. No key is used: rows differ in as little as they may."""
    rows = []
    entry = ref.parse(ref.parse(some_member("ann", 0, 0).signed, "signed object")[0],
                      "member entry")  # fmt: skip
    for n in range(1_000):
        member = n.to_bytes(32, "big")
        body = ref.build("member entry", ROOM, member, little(9), *entry[3:5], 0)
        signed = ref.build("signed object", body, bytes(64))
        role = MEMBER if n else OWNER
        rows.append(ref.Member(member, role, n, member, little(9), bytes(32), 0, 0, signed))
    ann = some_keys("membership-ann").public
    rows[0] = rows[0]._replace(sign_key=ann.sign_key)
    full = ref.Roster(1_000, rows)
    add: list[Any] = [ref.ADD, Guests().fay, MEMBER]
    remove: list[Any] = removal(rows[1])
    yield applied("members-1000", "of 1,000 one is removed and one added: 1,000 are allowed", full,
                  rows[0], [remove, add], spec="MEM-11 LIMIT-10",
                  features="signed large")  # fmt: skip
    yield applied("members-1001", "nobody is removed before", full, rows[0], [add, remove],
                  "too-many-members", spec="MEM-11 LIMIT-10", parent="members-1000",
                  mutation="the add comes before the removal",
                  features="signed large")  # fmt: skip
