"""membership.json: sanctions, whom a removal takes along, and how members are ranked (9.7, 9.9)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import (
    Json,
    case,
    changed_byte,
    keys_json,
    little,
    operation,
    some_keys,
    un,
)
from spec.cases.membership import ADMIN, MEMBER, OWNER, ROOM, leave, roster_of, some_member
from spec.cases.rights import NUMBER, Guests, applied, due, kept_roster, removal, signed_by

from spec import reference as ref

LAST = 2**32 - 1


@operation("make sanction")
def _make_sanction(i: Json) -> Json:
    spared = i["spared"] and [un(each) for each in i["spared"]]
    signed = ref.sign_sanction(
        ref.IdentityKeys(un(i["owner"]["seed"]), un(i["owner"]["dh_private"])), un(i["room"]),
        un(i["member"]), un(i["admission"]), un(i["author"]), i["role"], i["epoch"], spared,
    )  # fmt: skip
    return {"signed": signed.hex()}


@operation("check sanction")
def _check_sanction(i: Json) -> Json:
    roster = kept_roster(un(i["roster"]))
    member, sanction = ref.check_sanction(un(i["signed"]), un(i["room"]), roster)
    return {"member": member.id.hex(), "author": sanction.author.hex(), "role": sanction.role}


def sanction_cases() -> Iterator[Json]:
    yield from made_cases()
    yield from checked_cases()
    yield from checked_in_order()
    yield from proof_cases()
    yield from along_cases()
    yield from ranked_cases()
    yield from spared_limit()


def sanctioned(kind_of: bytes) -> list[Any]:
    return [ref.SANCTIONED, kind_of]


def made_cases() -> Iterator[Json]:
    ann, bob = roster_of(("ann", OWNER), ("bob", MEMBER)).members
    for name, comment, role, epoch, spared in (
        ("removal", "a removal that spares nobody", None, 7, []),
        ("spares-one", "a removal that spares one", None, 7, [bytes(8)]),
        ("spares-64", "a removal that spares as many as it can", None, 7,
         [n.to_bytes(8, "big") for n in range(64)]),
        ("spares-all", "a removal that takes nobody along", None, 7, None),
        ("to-member", "a demotion to member", MEMBER, 7, None),
        ("to-admin", "a demotion to admin", ADMIN, 7, None),
        ("epoch-0", "the first epoch", None, 0, []),
        ("epoch-last", "the last number that there is", None, LAST, []),
    ):  # fmt: skip
        yield case(f"membership-sanction-{name}", "MEM-14 FORM-01", comment, "make sanction", {
            "owner": keys_json(some_keys("membership-ann")), "room": ROOM.hex(),
            "member": bob.id.hex(), "admission": bob.admission.hex(), "author": ann.id.hex(),
            "role": role, "epoch": epoch,
            "spared": spared and [each.hex() for each in spared]},
            features="signed")  # fmt: skip


FIVE = (("ann", OWNER), ("bob", MEMBER), ("cid", ADMIN), ("dan", OWNER), ("eve", ADMIN))


def check(
    name: str, data: bytes, roster: ref.Roster, comment: str, reason: str | None = None,
    mutation: str | None = None, parent: str = "removal",
) -> Json:  # fmt: skip
    spec = "MEM-14 LIMIT-44" if name == "spared-65" else "MEM-14"
    return case(f"membership-sanction-check-{name}", spec, comment, "check sanction", {
        "signed": data.hex(), "room": ROOM.hex(), "roster": roster.encode().hex()}, reason,
        parent=f"membership-sanction-check-{parent}" if reason else None,
        mutation=(mutation or comment) if reason else None, features="signed")  # fmt: skip


def checked_cases() -> Iterator[Json]:
    """One by one, the steps of REQ-MEM-14."""
    roster = roster_of(*FIVE)
    ann, bob, cid, dan, eve = roster.members
    fresh = roster.replace(cid._replace(ranked=NUMBER + 1))
    newer = roster.replace(cid._replace(ranked=NUMBER + 2))
    for name, comment, rows, data in (
        ("removal", "an owner removes a member", roster, signed_by(ann, "ann", bob, spared=[])),
        ("of-admin", "an owner removes an admin", roster, signed_by(ann, "ann", cid, spared=[])),
        ("of-younger-owner", "an owner removes a younger one", roster,
         signed_by(ann, "ann", dan, spared=[])),
        ("by-admin", "an admin removes a member", roster, signed_by(cid, "cid", bob, spared=[])),
        ("demotion", "an owner demotes an admin", roster, signed_by(ann, "ann", cid, MEMBER)),
        ("of-owner-to-admin", "an owner demotes a younger one", roster,
         signed_by(ann, "ann", dan, ADMIN)),
        ("of-owner-to-member", "an owner demotes a younger one to member", roster,
         signed_by(ann, "ann", dan, MEMBER)),
        ("ranked-next", "the role was given in the epoch after its own", fresh,
         signed_by(ann, "ann", cid, MEMBER)),
        ("removal-ranked-later", "a removal does not ask when the role was given", newer,
         signed_by(ann, "ann", cid, spared=[])),
        ("removal-last-epoch", "a removal of the last number", roster,
         signed_by(ann, "ann", cid, None, LAST, [])),
        ("demotion-last-epoch", "a demotion of the last number that it can have", roster,
         signed_by(ann, "ann", cid, MEMBER, LAST - 2)),
        ("spares-anybody", "whom it spares is not looked at", roster,
         signed_by(ann, "ann", bob, None, 0, [bytes(8), bytes(8)])),
        ("demotion-spares", "nor in a demotion", roster,
         signed_by(ann, "ann", cid, MEMBER, NUMBER, [])),
    ):  # fmt: skip
        yield check(name, data, rows, comment)
    good = signed_by(ann, "ann", bob, spared=[])
    body, _ = ref.parse(good, "signed object")
    fields = ref.parse(body, "sanction")

    def with_field(place: int, value: Any) -> bytes:
        changed = ref.encode([1, 21, *fields[:place], value, *fields[place + 1 :]])
        return anew(changed)

    def anew(data: bytes, name: str = "ann", label: bytes = b"sanction") -> bytes:
        signature = ref.sign(some_keys(f"membership-{name}").seed, label, data)
        return ref.build("signed object", data, signature)

    member_rows = roster_of(("ann", OWNER), ("bob", MEMBER), ("cid", MEMBER))
    for name, data, reason, mutation, parent in (
        ("leave-request", leave("bob", bob), "wrong-type", "a leave request in its place",
         "removal"),
        ("not-signed", body, "wrong-type", "the sanction itself, not signed", "removal"),
        ("cut", anew(body[:-1]), "truncated", "the last byte of the body left out", "removal"),
        ("short", anew(ref.encode([1, 21, *fields[:6]])), "bad-form", "no *spared*", "removal"),
        ("role-3", with_field(4, 3), "bad-form", "the role is 3", "removal"),
        ("epoch-past", with_field(5, 2**32), "bad-form", "the epoch is 2^32", "removal"),
        ("spared-65", with_field(6, [bytes(8)] * 65), "too-large", "65 are spared", "removal"),
        ("spared-id", with_field(6, [bytes(32)]), "bad-form", "a whole id is spared", "removal"),
        ("other-room", signed_by(ann, "ann", bob, spared=[], room=bytes(32)), "bad-proof",
         "another room", "removal"),
        ("nobody", signed_by(ann, "ann", bob, spared=[], member=bytes(32)), "unknown-member",
         "a member that is not in the roster", "removal"),
        ("other-admission", signed_by(ann, "ann", bob, spared=[], admission=cid.admission),
         "bad-proof", "the admission of another", "removal"),
        ("author-gone", signed_by(ann, "ann", bob, spared=[], author_id=bytes(32)),
         "not-entitled", "an author that is not in the roster", "removal"),
        ("signed-by-another", signed_by(ann, "dan", bob, spared=[]), "bad-signature",
         "signed by another owner", "removal"),
        ("other-label", anew(body, label=b"leave request"), "bad-signature",
         "signed under another label", "removal"),
        ("changed", changed_byte(good), "bad-signature", "a bit of the signature", "removal"),
        ("of-itself", signed_by(ann, "ann", ann, spared=[]), "not-entitled", "of itself",
         "removal"),
        ("admin-of-admin", signed_by(cid, "cid", eve, spared=[]), "not-entitled",
         "an admin removes another", "by-admin"),
        ("admin-of-owner", signed_by(cid, "cid", dan, spared=[]), "not-entitled",
         "an admin removes an owner", "by-admin"),
        ("by-younger-owner", signed_by(dan, "dan", ann, spared=[]), "not-entitled",
         "an owner removes an older one", "of-younger-owner"),
        ("demotion-by-admin", signed_by(cid, "cid", bob, MEMBER), "not-entitled",
         "an admin demotes a member", "demotion"),
        ("demotion-of-older", signed_by(dan, "dan", ann, MEMBER), "not-entitled",
         "an owner demotes an older one", "of-owner-to-member"),
        ("to-the-same", signed_by(ann, "ann", cid, ADMIN), "bad-proof", "to the role it has",
         "demotion"),
        ("to-a-higher", signed_by(ann, "ann", cid, OWNER), "bad-proof", "to a higher role",
         "demotion"),
        ("member-to-member", signed_by(ann, "ann", bob, MEMBER), "bad-proof",
         "a member to member", "demotion"),
        ("demotion-epoch-past", signed_by(ann, "ann", cid, MEMBER, LAST - 1), "bad-proof",
         "one more", "demotion-last-epoch"),
    ):  # fmt: skip
        yield check(name, data, roster, mutation, reason, mutation, parent)
    yield check("by-member", signed_by(member_rows.members[1], "bob", member_rows.members[2],
                                       spared=[]), member_rows, "by a member", "not-entitled",
                "by a member", "removal")  # fmt: skip
    yield check("ranked-after-next", signed_by(ann, "ann", cid, MEMBER), newer,
                "the role was given one epoch later: it stands", "replay",
                "ranked one epoch later", "ranked-next")  # fmt: skip


def checked_in_order() -> Iterator[Json]:
    """Two faults each."""
    roster = roster_of(*FIVE)
    ann, bob, cid, dan, _ = roster.members
    newer = roster.replace(cid._replace(ranked=NUMBER + 2))
    nobody: Any = {"member": bytes(32)}
    for name, data, rows, reason, first, mutation in (
        ("room-before-member", signed_by(ann, "ann", bob, spared=[], room=bytes(32), **nobody),
         roster, "bad-proof", "the room", "another room, and nobody"),
        ("member-before-signature", signed_by(ann, "dan", bob, spared=[], **nobody), roster,
         "unknown-member", "the member", "nobody, and signed by another"),
        ("admission-before-author", signed_by(ann, "ann", bob, spared=[], admission=bytes(32),
                                              author_id=bytes(32)), roster, "bad-proof",
         "the admission", "another admission, and an author that is not there"),
        ("author-before-signature", signed_by(ann, "dan", bob, spared=[], author_id=bytes(32)),
         roster, "not-entitled", "that the author is there",
         "an author that is not there, and signed by another"),
        ("signature-before-right", signed_by(bob, "ann", cid, spared=[]), roster,
         "bad-signature", "the signature", "in the name of a member, and signed by another"),
        ("right-before-role", signed_by(cid, "cid", bob, MEMBER), roster, "not-entitled",
         "the right", "an admin demotes a member to member"),
        ("role-before-ranked", signed_by(ann, "ann", cid, ADMIN), newer, "bad-proof", "the role",
         "to the role that it has, and that was given later"),
        ("right-before-ranked", signed_by(dan, "dan", ann, MEMBER, 0),
         roster.replace(ann._replace(ranked=9)), "not-entitled", "the right",
         "of an older owner, whose role was given later"),
    ):  # fmt: skip
        yield check(f"order-{name}", data, rows, f"two faults: first {first}", reason, mutation,
                    "removal")  # fmt: skip


def proof_cases() -> Iterator[Json]:
    """Proofs of kind 1 in a commit (REQ-MEM-07, step 2)."""
    roster = roster_of(*FIVE)
    ann, bob, cid, dan, eve = roster.members
    spec = "MEM-07 MEM-14"
    remove_cid, remove_eve = due(roster, "ann", ann, cid), due(roster, "dan", dan, eve)
    demote_dan = due(roster, "ann", ann, dan, ADMIN)
    lower_dan = due(roster, "ann", ann, dan, MEMBER)
    good: list[tuple[str, str, ref.Member, list[Any], list[bytes]]] = [
        ("removal", "a member embeds the removal of an admin by an owner", bob, [], [remove_cid]),
        ("two", "two removals by two owners", bob, [], [remove_eve, remove_cid]),
        ("demotion", "a member embeds a demotion", bob, [], [demote_dan]),
        ("own", "the author itself embeds its sanction", ann, [], [remove_cid]),
        ("then-operation", "a proof, and a removal of another", ann, [removal(eve)], [remove_cid]),
        ("demoted-then-removed", "demoted by one proof, and removed by the next", bob, [],
         [demote_dan, due(roster, "ann", ann, dan)]),
        ("demoted-twice", "two demotions: the lower role holds", bob, [],
         [lower_dan, demote_dan]),
        ("demoted-twice-falling", "two demotions, the lower one last", bob, [],
         [demote_dan, lower_dan]),
        ("demoted-and-lowered", "a proof to member, and an operation to admin: it stays member",
         ann, [removal(dan, ADMIN)], [lower_dan]),
        ("demoted-and-raised", "a proof to admin, and then its role is set to owner", ann,
         [[ref.SET_ROLE, dan.id, OWNER]], [demote_dan]),
        ("other-epoch", "made for another epoch, and sparing others", bob, [],
         [signed_by(ann, "ann", cid, None, 0, [bytes(8)])]),
        ("with-leave", "a removal, and the leave request of another", bob, [], [remove_cid]),
    ]  # fmt: skip
    for name, comment, who, operations, proofs in good:
        pairs = [sanctioned(each) for each in proofs]
        if name == "with-leave":
            pairs.append([ref.LEAVES, leave("ann", ann)])
        yield applied(f"kind-1-{name}", comment, roster, who, operations, proofs=pairs, spec=spec)
    for name, reason, mutation, who, operations, pairs, parent in (
        ("twice", "unknown-member", "the same removal twice", bob, [],
         [sanctioned(remove_cid)] * 2, "two"),
        ("removed-then-demoted", "unknown-member", "the two changed about", bob, [],
         [sanctioned(due(roster, "ann", ann, dan)), sanctioned(demote_dan)],
         "demoted-then-removed"),
        ("of-committer", "bad-proof", "committed by whom it removes", cid, [],
         [sanctioned(remove_cid)], "removal"),
        ("demotes-committer", "bad-proof", "committed by whom it demotes", dan, [],
         [sanctioned(demote_dan)], "demotion"),
        ("and-leave-of-the-same", "unknown-member", "the leave request of the same", bob, [],
         [sanctioned(remove_cid), [ref.LEAVES, leave("cid", cid)]], "with-leave"),
        ("and-operation-on-the-same", "unknown-member", "the same member", ann, [removal(cid)],
         [sanctioned(remove_cid)], "then-operation"),
        ("void", "not-entitled", "by one who has no right any more", bob, [],
         [sanctioned(signed_by(eve, "eve", cid, spared=[]))], "removal"),
        ("as-leave", "wrong-type", "as a proof of kind 0", bob, [],
         [[ref.LEAVES, remove_cid]], "removal"),
        ("leave-as-sanction", "wrong-type", "a leave request as a proof of kind 1", bob, [],
         [sanctioned(leave("cid", cid))], "removal"),
        ("as-operation-of-another", "bad-proof", "as an operation of another owner", dan,
         [[ref.SANCTION, signed_by(ann, "ann", cid, None, NUMBER, [])]], [], "then-operation"),
        ("first-fault", "not-entitled", "two faults: proofs are looked at one after another", bob,
         [], [sanctioned(signed_by(eve, "eve", cid, spared=[])),
              sanctioned(due(roster, "ann", ann, bob))], "removal"),
    ):  # fmt: skip
        yield applied(f"kind-1-{name}", mutation, roster, who, operations, reason, spec=spec,
                      parent=f"kind-1-{parent}", mutation=mutation, proofs=pairs)  # fmt: skip


def family() -> ref.Roster:
    """Ann and bob are owners, cid an admin who has admitted dan, dan eve, and eve fay.

    Gus is an owner whom cid has admitted, and zoe was admitted by gus.
    """
    return ref.Roster(8, [
        some_member("ann", OWNER, 0), some_member("bob", OWNER, 1), some_member("cid", ADMIN, 2),
        some_member("dan", MEMBER, 3, 2), some_member("eve", MEMBER, 4, 3),
        some_member("fay", MEMBER, 5, 4), some_member("gus", OWNER, 6, 2),
        some_member("zoe", MEMBER, 7, 6),
    ])  # fmt: skip


def along_cases() -> Iterator[Json]:
    """Whom a removal takes along (9.7)."""
    roster = family()
    ann, bob, cid, dan, eve, fay, gus, zoe = roster.members
    spec = "MEM-07 MEM-14"

    def gone(author: ref.Member, name: str, target: ref.Member, *spared: ref.Member) -> list[Any]:
        ids = [row.id[:8] for row in spared]
        return sanctioned(signed_by(author, name, target, None, NUMBER, ids))

    whole = gone(ann, "ann", cid)
    for name, comment, who, operations, proofs in (
        ("chain", "all whom it admitted, and whom those admitted, owners too", bob, [], [whole]),
        ("spares-first", "who is spared stays, with whom it admitted", bob, [],
         [gone(ann, "ann", cid, dan)]),
        ("spares-middle", "one in the middle is spared, with whom it admitted", bob, [],
         [gone(ann, "ann", cid, eve)]),
        ("spares-last", "the last one is spared", bob, [], [gone(ann, "ann", cid, fay)]),
        ("spares-all", "nil: nobody is taken along", bob, [],
         [sanctioned(signed_by(ann, "ann", cid))]),
        ("operation", "in the commit that it was made for nobody is taken along", ann,
         [removal(cid)], []),
        ("demotion", "a demotion takes nobody along", bob, [],
         [sanctioned(due(roster, "ann", ann, cid, MEMBER))]),
        ("leave", "whoever leaves takes nobody along", bob, [],
         [[ref.LEAVES, leave("cid", cid)]]),
        ("leaf", "who has admitted nobody takes nobody along", bob, [], [gone(ann, "ann", fay)]),
        ("two", "two removals, each with its own", bob, [],
         [gone(ann, "ann", eve), gone(ann, "ann", gus)]),
        ("sponsor-gone-before", "whom one has admitted that a proof before it removes stays", bob,
         [], [gone(ann, "ann", dan, eve, fay), whole]),
        ("after-demotion", "a demotion of one, and the removal of another with its own", gus,
         [], [sanctioned(due(roster, "ann", ann, bob, MEMBER)), gone(gus, "gus", dan)]),
        ("by-itself", "the author may embed it itself", ann, [], [whole]),
    ):  # fmt: skip
        yield applied(f"along-{name}", comment, roster, who, operations, proofs=proofs, spec=spec)
    admins = ref.Roster(6, [
        some_member("ann", OWNER, 0), some_member("bob", ADMIN, 1), some_member("cid", MEMBER, 2),
        some_member("dan", ADMIN, 3, 2), some_member("eve", MEMBER, 4, 3),
        some_member("fay", MEMBER, 5, 2),
    ])  # fmt: skip
    by_admin = sanctioned(signed_by(admins.members[1], "bob", admins.members[2], None, 4, []))
    yield applied("along-not-outranked", "whom the author does not outrank stays, with its own",
                  admins, admins.members[0], [], proofs=[by_admin], spec=spec)  # fmt: skip
    yield applied("along-not-outranked-operation", "an admin removes: it spares whom it outranks",
                  admins, admins.members[1], [removal(admins.members[2])], spec=spec)  # fmt: skip
    founders = roster_of(("ann", OWNER), ("bob", OWNER), ("cid", MEMBER), ("dan", MEMBER))
    yield applied("along-of-founder", "the founder's own sponsor is itself", founders.replace(
        founders.members[0]._replace(role=MEMBER)), founders.members[1],
        [removal(founders.members[0]._replace(role=MEMBER))], spec=spec)  # fmt: skip
    older = ref.Roster(9, [
        some_member("ann", OWNER, 0), some_member("bob", OWNER, 5), some_member("cid", MEMBER, 2),
        some_member("dan", OWNER, 3, 2), some_member("eve", MEMBER, 4, 3),
    ])  # fmt: skip
    older = ref.Roster(9, sorted(older.members, key=lambda row: row.seniority))
    a, c, d, _, b = older.members
    yield applied("along-demoted-before",
                  "an older owner that a proof demotes is not taken along by the operation",
                  older, b, [removal(c)], proofs=[sanctioned(due(older, "ann", a, d, MEMBER))],
                  spec=spec)  # fmt: skip
    for name, reason, mutation, rows, who, operations, proofs, parent in (
        ("committer", "not-entitled", "committed by one whom it takes along", roster, dan, [],
         [whole], "chain"),
        ("committer-last", "not-entitled", "committed by the last one whom it takes along", roster,
         fay, [], [whole], "chain"),
        ("then-proof", "unknown-member", "and then a leave request of one whom it takes along",
         roster, bob, [], [whole, [ref.LEAVES, leave("eve", eve)]], "chain"),
        ("then-sanction", "unknown-member", "and then a removal of one whom it takes along",
         roster, bob, [], [whole, gone(ann, "ann", zoe)], "chain"),
        ("then-role", "unknown-member", "and then the role of one whom it takes along is set",
         roster, bob, [[ref.SET_ROLE, eve.id, ADMIN]], [whole], "chain"),
        ("operation-spares-none", "bad-proof", "spares nobody, in the commit it was made for",
         roster, ann, [[ref.SANCTION, whole[1]]], [], "operation"),
        ("operation-spares-nil", "bad-proof", "spares all, in the commit it was made for", roster,
         ann, [[ref.SANCTION, signed_by(ann, "ann", cid)]], [], "operation"),
        ("operation-order", "bad-proof", "the spared changed about", roster, ann,
         [[ref.SANCTION, gone(ann, "ann", cid, eve, dan, fay, gus, zoe)[1]]], [], "operation"),
        ("operation-one-less", "bad-proof", "one who is spared left out", roster, ann,
         [[ref.SANCTION, gone(ann, "ann", cid, dan, eve, fay, gus)[1]]], [], "operation"),
        ("operation-spares-not-outranked", "bad-proof", "one whom the author does not outrank too",
         admins, admins.members[1], [[ref.SANCTION, signed_by(
             admins.members[1], "bob", admins.members[2], None, NUMBER,
             [admins.members[3].id[:8], admins.members[5].id[:8]])]], [],
         "not-outranked-operation"),
    ):  # fmt: skip
        yield applied(f"along-{name}", mutation, rows, who, operations, reason, spec=spec,
                      parent=f"along-{parent}", mutation=mutation, proofs=proofs)  # fmt: skip


def ranked_cases() -> Iterator[Json]:
    """*sponsor* and *ranked* of the members of the result."""
    roster = roster_of(*FIVE)
    ann, bob, cid, dan, _ = roster.members
    spec, later = "MEM-04 MEM-07 MEM-14", 9
    ahead = roster.replace(cid._replace(ranked=later)).replace(bob._replace(ranked=later))
    ann_9, _, cid_9 = ahead.members[:3]
    add: list[Any] = [ref.ADD, Guests().fay, ADMIN]
    raise_cid = [ref.SET_ROLE, cid.id, OWNER]
    for name, comment, rows, who, operations, proofs in (
        ("add", "who is added has the committer as sponsor, and is ranked now", roster, dan, [add],
         []),
        ("raised", "a role that is given is ranked now", roster, ann, [raise_cid], []),
        ("same", "a role that is set to what it was is not ranked anew", roster, ann,
         [[ref.SET_ROLE, cid.id, ADMIN]], []),
        ("own", "so does who lowers itself", roster, cid, [[ref.SET_ROLE, cid.id, MEMBER]], []),
        ("there-and-back", "raised and lowered again in one commit: ranked now", roster, ann,
         [raise_cid, removal(cid, MEMBER)], []),
        ("demoted", "a demotion ranks two past its own epoch", roster, ann,
         [removal(cid, MEMBER)], []),
        ("demoted-early", "a demotion made long ago ranks now", roster, bob, [],
         [sanctioned(signed_by(ann, "ann", cid, MEMBER, 0))]),
        ("demoted-late", "a demotion of a greater number ranks two past it", roster, bob, [],
         [sanctioned(signed_by(ann, "ann", cid, MEMBER, 70))]),
        ("demoted-at-the-end", "the greatest number: ranked 2^32 - 1", roster, bob, [],
         [sanctioned(signed_by(ann, "ann", cid, MEMBER, LAST - 2))]),
        ("demoted-twice", "of two demotions the greater number holds", roster, bob, [],
         [sanctioned(signed_by(ann, "ann", dan, MEMBER, 70)),
          sanctioned(signed_by(ann, "ann", dan, ADMIN, 30))]),
        ("ahead-raised", "a rank that is ahead stays as it is", ahead, ann_9,
         [[ref.SET_ROLE, bob.id, ADMIN]], []),
        ("ahead-demoted", "a rank that is ahead: the sanction names the number before it", ahead,
         ann_9, [removal(cid_9, MEMBER)], []),
        ("ahead-removed", "a removal names it too", ahead, ann_9, [removal(cid_9)], []),
        ("derived", "an owner by derivation is ranked now",
         roster_of(("ann", OWNER), ("bob", MEMBER), ("cid", ADMIN)), bob, [],
         [[ref.LEAVES, leave("ann", ann)]]),
    ):  # fmt: skip
        yield applied(f"ranked-{name}", comment, rows, who, operations, proofs=proofs, spec=spec)
    early = [ref.SANCTION, signed_by(ann, "ann", cid, MEMBER, NUMBER)]
    for name, reason, mutation, operations, parent in (
        ("ahead-demoted-epoch-of-parent", "replay", "the number of the parent", [early],
         "ahead-demoted"),
        ("ahead-demoted-too-far", "bad-proof", "one more",
         [[ref.SANCTION, signed_by(ann, "ann", cid, MEMBER, later)]], "ahead-demoted"),
        ("ahead-removed-epoch-of-parent", "bad-proof", "the number of the parent",
         [[ref.SANCTION, signed_by(ann, "ann", cid, None, NUMBER, [])]], "ahead-removed"),
        ("ahead-removed-too-far", "bad-proof", "one more",
         [[ref.SANCTION, signed_by(ann, "ann", cid, None, later, [])]], "ahead-removed"),
    ):  # fmt: skip
        yield applied(f"ranked-{name}", mutation, ahead, ann_9, operations, reason, spec=spec,
                      parent=f"ranked-{parent}", mutation=mutation)  # fmt: skip
    yield applied("ranked-demoted-other-epoch", "the number of the epoch that is opened", roster,
                  ann, [[ref.SANCTION, signed_by(ann, "ann", cid, MEMBER, NUMBER + 1)]],
                  "bad-proof", spec=spec, parent="ranked-demoted")  # fmt: skip
    first = roster_of(("ann", OWNER), ("bob", MEMBER))
    yield applied("ranked-epoch-0", "on epoch 0: ranked 0 is not taken as less", first,
                  first.members[0], [[ref.SET_ROLE, first.members[1].id, ADMIN], removal(
                      first.members[1])], spec=spec, number=0)  # fmt: skip


def spared_limit() -> Iterator[Json]:
    """64 are listed; of 65 none, and nobody is taken along."""
    for count in (64, 65):
        ann, bob = some_member("ann", OWNER, 0), some_member("bob", MEMBER, 1)
        rows = [ann, bob]
        for n in range(count):
            member = (n + 1).to_bytes(8, "big") * 4
            body = ref.build("member entry", ROOM, member, little(9), little(9), member, 0)
            rows.append(ref.Member(member, MEMBER, n + 2, member, little(9), bytes(32), 1, 0,
                                   ref.build("signed object", body, bytes(64))))  # fmt: skip
        roster = ref.Roster(count + 2, rows)
        comment = f"the removal of one that has admitted {count}"
        yield applied(f"along-spares-{count}", comment, roster, ann, [removal(bob)],
                      spec="MEM-07 MEM-14 LIMIT-44")  # fmt: skip
        ids = [row.id[:8] for row in rows[2:]][:64]
        wrong = ids[:-1] if count == 64 else ids
        yield applied(f"along-spares-{count}-otherwise", "one less is listed" if count == 64 else
                      "the first 64 are listed", roster, ann, [
                          [ref.SANCTION, signed_by(ann, "ann", bob, None, NUMBER, wrong)]],
                      "bad-proof", spec="MEM-07 MEM-14 LIMIT-44",
                      parent=f"along-spares-{count}")  # fmt: skip
