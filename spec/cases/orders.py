"""epoch.json, second part: the order of siblings, and which of two trails wins (10.9, 12.5)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.committing import trail_json, trail_of
from spec.cases.common import NOW, Json, case, operation, proofs_json, proofs_of, un
from spec.cases.membership import ADMIN, MEMBER, OWNER, ROOM, leave, roster_of
from spec.cases.rights import due, kept_roster

from spec import reference as ref


@operation("order of commit")
def _order_of_commit(i: Json) -> Json:
    roster = kept_roster(un(i["roster"]))
    committer = roster.find(un(i["committer"]))
    return {"order": ref.order_of_commit(roster, i["parent_time"], committer, i["time"],
                                         proofs_of(i["proofs"]))}  # fmt: skip


@operation("compare trails")
def _compare_trails(i: Json) -> Json:
    return {"wins": ref.trail_wins(trail_of(i["theirs"]), trail_of(i["mine"]), i["theirs_time"],
                                   i["mine_time"])}  # fmt: skip


def order_cases() -> Iterator[Json]:
    yield from orders()
    yield from trails()


def orders() -> Iterator[Json]:
    roster = roster_of(("ann", OWNER), ("bob", MEMBER), ("cid", ADMIN), ("dan", OWNER),
                       ("eve", MEMBER))  # fmt: skip
    ann, bob, cid, dan, eve = roster.members

    def order(
        name: str, comment: str, who: ref.Member, time: int, proofs: list[Any] | None = None,
        parent_time: int = NOW, rows: ref.Roster = roster,
    ) -> Json:  # fmt: skip
        return case(f"order-{name}", "EPOCH-20", comment, "order of commit", {
            "room": ROOM.hex(), "roster": rows.encode().hex(), "parent_time": parent_time,
            "committer": who.id.hex(), "time": time, "proofs": proofs_json(proofs or [])},
            features="signed")  # fmt: skip

    for name, comment, who, after in (
        ("same-time", "at the time of its parent", ann, 0),
        ("3599", "the last second of the first hour", ann, 3_599),
        ("3600", "the first second of the second hour", ann, 3_600),
        ("7199", "the last second of the second hour", ann, 7_199),
        ("7200", "the first second of the third hour", ann, 7_200),
        ("before", "before its parent: the first hour", ann, -1),
        ("long-before", "hours before its parent", ann, -7_201),
        ("member", "a member", bob, 60), ("admin", "an admin", cid, 60),
        ("younger-owner", "an owner that was admitted later", dan, 60),
        ("younger-member", "a member that was admitted later", eve, 60),
    ):  # fmt: skip
        yield order(name, comment, who, NOW + after)
    yield order("first-to-last", "from the first second that there is to the last", ann,
                2**40 - 1, parent_time=0)  # fmt: skip
    yield order("last-to-first", "and from the last to the first", ann, 0,
                parent_time=2**40 - 1)  # fmt: skip
    last = ref.Roster(2**32 - 1, [ann, bob._replace(seniority=2**32 - 2)])
    yield order("last-seniority", "the highest seniority", last.members[1], NOW, rows=last)

    def sanction(author: ref.Member, name: str, target: ref.Member, role: int | None = None) -> Any:
        return [ref.SANCTIONED, due(roster, name, author, target, role)]

    of_ann, of_dan = sanction(ann, "ann", bob), sanction(dan, "dan", eve)
    of_cid = sanction(cid, "cid", bob)
    for name, comment, who, proofs in (
        ("removal-by-owner", "the removal of a lost commit, by the first owner", cid, [of_ann]),
        ("removal-by-younger-owner", "by an owner that was admitted later", cid, [of_dan]),
        ("removal-by-admin", "by an admin", eve, [of_cid]),
        ("removals", "of two authors the first in rank counts", cid, [of_cid, of_ann]),
        ("removals-turned", "whichever stands first", cid, [of_ann, of_cid]),
        ("removal-after-others", "behind proofs that do not count", bob,
         [[ref.LEAVES, leave("eve", eve)], sanction(ann, "ann", cid, MEMBER), of_dan]),
        ("demotion", "a demotion does not count", bob, [sanction(ann, "ann", cid, MEMBER)]),
        ("leave", "a leave request does not count", cid, [[ref.LEAVES, leave("ann", ann)]]),
        ("removal-by-committer", "a removal of the committer's own", dan, [of_dan]),
    ):  # fmt: skip
        yield order(name, comment, who, NOW + 4_000, proofs)


def trails() -> Iterator[Json]:
    a, b, c, d, e, f = (bytes([n]) * 8 for n in range(1, 7))
    early, late = [3, 0, 0, 0, 0], [3, 0, 1, 0, 0]

    def trail(*entries: tuple[bytes, list[int] | None]) -> ref.Trail:
        return list(entries)

    root, joined = (a, None), (b, late)
    for name, comment, mine, theirs, times in (
        ("smaller", "theirs parts by a smaller order", [root, joined], [root, (c, early)], (9, 0)),
        ("greater", "theirs parts by a greater order", [root, (b, early)], [root, (c, late)],
         (0, 9)),
        ("equal", "the same order: nobody wins", [root, joined], [root, (c, late)], (0, 9)),
        ("authority", "an authority is compared first", [root, (b, [3, 0, 0, 0, 0])],
         [root, (c, [2, 7, 9, 2, 7])], (0, 0)),
        ("bucket", "then the hour", [root, (b, [3, 0, 2, 0, 0])], [root, (c, [3, 0, 1, 2, 9])],
         (0, 0)),
        ("role", "then the role", [root, (b, [3, 0, 1, 1, 0])], [root, (c, [3, 0, 1, 0, 9])],
         (0, 0)),
        ("seniority", "then seniority", [root, (b, [3, 0, 1, 1, 5])], [root, (c, [3, 0, 1, 1, 4])],
         (0, 0)),
        ("mine-longer", "only where they part counts", [root, joined, (d, early), (e, early)],
         [root, (c, early)], (9, 0)),
        ("part-later", "they part after the last that they share",
         [root, joined, (d, late)], [root, joined, (e, early), (f, late)], (9, 0)),
        ("part-later-greater", "and not where one has what the other has not",
         [root, joined, (d, early)], [root, joined, (e, late)], (0, 9)),
        ("theirs-goes-on", "theirs goes on where mine ends", [root, joined],
         [root, joined, (c, early)], (0, 9)),
        ("mine-goes-on", "mine goes on where theirs ends", [root, joined, (c, early)],
         [root, joined], (0, 9)),
        ("same", "the same trail", [root, joined], [root, joined], (0, 9)),
        ("begins-later", "theirs begins later, and has a smaller order", [root, joined, (c, late)],
         [joined, (d, early)], (9, 0)),
        ("begins-earlier", "mine begins later", [joined, (c, late)], [root, joined, (d, early)],
         (9, 0)),
        ("shared-at-the-end-of-mine", "theirs begins with the end of mine", [root, joined],
         [joined, (c, late)], (0, 0)),
        ("my-order-nil", "an order is less than none", [root, (b, None)], [root, (c, late)],
         (9, 0)),
        ("their-order-nil", "none is not less than an order", [root, joined], [root, (c, None)],
         (0, 9)),
        ("both-nil", "none is not less than none", [root, (b, None)], [root, (c, None)], (0, 9)),
        ("nothing-shared-later", "nothing is shared: the later one", [root, joined],
         [(c, late), (d, late)], (8, 9)),
        ("nothing-shared-same-time", "nothing is shared, the same time", [root, (b, late)],
         [(c, early), (d, early)], (9, 9)),
        ("nothing-shared-earlier", "nothing is shared: the earlier one", [root, joined],
         [(c, early), (d, early)], (9, 8)),
        ("mine-empty", "mine is empty: the later one", [], [root, joined], (8, 9)),
        ("theirs-empty", "theirs is empty: the earlier one", [root, joined], [], (9, 8)),
    ):  # fmt: skip
        yield case(f"trails-{name}", "ENV-24 EPOCH-20", comment, "compare trails", {
            "mine": trail_json(trail(*mine)), "mine_time": times[0],
            "theirs": trail_json(trail(*theirs)), "theirs_time": times[1]},
            features="signed")  # fmt: skip
