"""room.json: making a commit, and what the others and the guests make of it (10.6, 10.8)."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from spec.cases.common import (
    EXPIRY,
    NOW,
    Json,
    Stream,
    case,
    changed_byte,
    identity_keys,
    keys_json,
    mailbox_json,
    mailbox_of,
    operation,
    operations_json,
    operations_of,
    package_keys_json,
    proofs_json,
    proofs_of,
    some_package,
    un,
)
from spec.cases.founding import ANN, BOX, SIGNED_ROOM, Tape, guest_json, guests_of

from spec import reference as ref


def epoch_json(epoch: ref.Epoch) -> Json:
    """An *epoch* (20.2)."""
    return {
        "room": epoch.room.hex(), "number": epoch.number, "transcript": epoch.transcript.hex(),
        "roster": epoch.roster.encode().hex(), "policy": epoch.policy,
        "opener": epoch.opener.hex(),
        "handshakes": [key.hex() for key in epoch.keys.handshakes.values()],
        "inits": [key.hex() for key in epoch.keys.inits.values()],
    }  # fmt: skip


def epoch_of(i: Json) -> ref.Epoch:
    """What a device has: reading it is no part of the case."""
    roster: ref.Roster = ref.unnoted(ref.read_roster, un(i["roster"]), un(i["room"]))
    ids = ref.ids_of(roster)
    handshakes = dict(zip(ids, map(un, i["handshakes"]), strict=True))
    keys = ref.EpochKeys(b"", {}, handshakes, dict(zip(ids, map(un, i["inits"]), strict=True)), b"")
    return ref.Epoch(1, un(i["room"]), i["number"], un(i["transcript"]), roster, i["policy"],
                     un(i["opener"]), keys)  # fmt: skip


def directory_of(rows: list[Json]) -> dict[bytes, ref.Contact]:
    return {
        un(row["member"]): (row["name"], row["mailbox"] and mailbox_of(row["mailbox"]))
        for row in rows
    }


def trail_json(trail: ref.Trail) -> list[Any]:
    return [[prefix.hex(), order] for prefix, order in trail]


def trail_of(rows: list[Any]) -> ref.Trail:
    return [(un(prefix), order) for prefix, order in rows]


@operation("make commit")
def _make_commit(i: Json) -> Json:
    tape, parent, me = Tape(i["random"]), epoch_of(i), un(i["me"])
    parent = parent._replace(time=i["parent_time"])
    given = (parent, identity_keys(i["owner"]), me, un(i["room_seed"]),
             operations_of(i["operations"]), guests_of(i["guests"]), proofs_of(i["noted"]),
             [un(request) for request in i["proofs"]], directory_of(i["directory"]), i["now"],
             tape, trail_of(i["trail"]))
    few = len(parent.roster.members) <= 8  # of a larger room the trace would be long
    made: ref.CommitMade = ref.make_commit(*given) if few else ref.unnoted(ref.make_commit, *given)
    tape.end()
    copies = {member: ref.parse(copy, "commit copy") for member, copy in made.copies.items()}
    assert {copy[0] for copy in copies.values()} <= {made.sealed}, "all hold one sealed commit"
    slots = [[member.hex(), copy[1] and copy[1].hex()] for member, copy in copies.items()]
    return {
        "commit": made.commit.hex(), "confirmation": made.epoch.keys.confirmation.hex(),
        "signature": made.signature.hex(), "sealed_commit": made.sealed.hex(), "slots": slots,
        "invitations": [invitation.hex() for invitation in made.invitations],
        "number": made.epoch.number, "transcript": made.epoch.transcript.hex(),
        "context": made.epoch.context.hex(),
    }  # fmt: skip


class Person(NamedTuple):
    """A member, and its private keys in an epoch."""

    owner: ref.IdentityKeys
    id: bytes
    leaf: bytes
    room_seed: bytes


class Place(NamedTuple):
    """An epoch, and the members in it by name, in the order of the roster."""

    epoch: ref.Epoch
    people: dict[str, Person]
    trail: ref.Trail

    def row(self, name: str) -> ref.Member:
        return self.epoch.roster.find(self.people[name].id)

    def leaves(self, name: str) -> bytes:
        return ref.make_leave_request(self.people[name].owner, self.epoch.room, self.row(name))

    def removal(self, name: str) -> list[Any]:
        return [ref.SANCTION, self.row(name).id, None]

    def demotion(self, name: str, role: int) -> list[Any]:
        return [ref.SANCTION, self.row(name).id, role]

    def sanction(
        self, by: str, name: str, role: int | None = None, spared: list[bytes] | None = None
    ) -> list[Any]:
        """A signed sanction, as one that has been noted."""
        author, row, epoch = self.people[by], self.row(name), self.epoch
        number, due = ref.due_fields(epoch.roster, epoch.number, author.id, row, role)
        signed = ref.sign_sanction(author.owner, epoch.room, row.id, row.admission, author.id, role,
                                   number, due if spared is None else spared)  # fmt: skip
        return [ref.SANCTIONED, signed]

    def role(self, name: str, role: int) -> list[Any]:
        return [ref.SET_ROLE, self.row(name).id, role]


class Invited(NamedTuple):
    """A guest by name, with how it is invited."""

    name: str
    role: int = ref.MEMBER
    prekey: int | None = 0

    @property
    def keys(self) -> tuple[ref.IdentityKeys, ref.KeyPackageKeys]:
        return some_package(f"committing-{self.name}", self.prekey is None)

    @property
    def guest(self) -> ref.Guest:
        return ref.Guest(self.keys[1].package, self.prekey, self.role)


def begin(name: str, invited: list[Invited], policy: list[Any] = SIGNED_ROOM) -> Place:
    """A room that Ann has founded."""
    founded = ref.found_room(ANN, policy, [each.guest for each in invited], "Ann", BOX, NOW,
                             Stream(f"committing-room-{name}"))  # fmt: skip
    first, *ids = ref.ids_of(founded.epoch.roster)
    people = {"ann": Person(ANN, first, founded.leaf, founded.room_seed)}
    for each, member in zip(invited, ids, strict=True):
        owner, keys = each.keys
        people[each.name] = Person(owner, member, keys.leaf, keys.room_seed)
    return Place(founded.epoch, people, [(founded.epoch.prefix, None)])


class Wish(NamedTuple):
    """A commit that somebody wants to make."""

    place: Place
    who: str = "ann"
    operations: list[list[Any]] = []  # noqa: RUF012  never changed
    invited: list[Invited] = []  # noqa: RUF012
    kept: list[bytes] = []  # noqa: RUF012
    now: int = NOW
    directory: list[Json] | None = None  # None: its own row alone
    noted: list[list[Any]] = []  # noqa: RUF012

    def inputs(self, name: str) -> Json:
        me = self.place.people[self.who]
        row = {"member": me.id.hex(), "name": self.who.title(), "mailbox": mailbox_json(BOX)}
        draws = Stream(f"room-make-{name}")(144 + 32 * len(self.invited))
        return {
            **epoch_json(self.place.epoch), "owner": keys_json(me.owner), "me": me.id.hex(),
            "room_seed": me.room_seed.hex(), "noted": proofs_json(self.noted),
            "proofs": [request.hex() for request in self.kept],
            "parent_time": self.place.epoch.time, "trail": trail_json(self.place.trail),
            "operations": operations_json(self.operations),
            "guests": [guest_json(each.guest) for each in self.invited],
            "directory": [row] if self.directory is None else self.directory,
            "now": self.now, "random": draws.hex(),
        }  # fmt: skip

    def after(self, name: str) -> Place:
        """Where everybody is when this commit has been made and applied."""
        i = self.inputs(name)
        me = self.place.people[self.who]
        guests = [each.guest for each in self.invited]
        made = ref.make_commit(
            self.place.epoch, me.owner, me.id, me.room_seed, self.operations, guests, self.noted,
            self.kept, directory_of(i["directory"]), self.now, Tape(i["random"]), self.place.trail,
        )  # fmt: skip
        fields = ref.parse(made.commit, "commit")
        order = ref.order_of_commit(self.place.epoch.roster, self.place.epoch.time,
                                    self.place.epoch.roster.find(me.id), self.now, fields[6])
        people = {name: one for name, one in self.place.people.items()
                  if made.epoch.roster.has(one.id)}  # fmt: skip
        people[self.who] = me._replace(leaf=made.leaf, room_seed=made.room_seed)
        for each in self.invited:
            owner, keys = each.keys
            row = next(m for m in made.epoch.roster.members if m.identity == owner.public)
            people[each.name] = Person(owner, row.id, keys.leaf, keys.room_seed)
        return Place(made.epoch, people, [*self.place.trail, (made.epoch.prefix, order)])


BOB, CID, DAN, EVE = Invited("bob"), Invited("cid", ref.ADMIN), Invited("dan", 0, 3), Invited("eve")
FAY = Invited("fay", ref.MEMBER, None)  # by a last-resort package


def made(name: str, comment: str, wish: Wish, spec: str = "") -> Json:
    always = "EPOCH-01 EPOCH-03 EPOCH-05 EPOCH-06 EPOCH-07 EPOCH-08 EPOCH-09 EPOCH-10 EPOCH-13"
    return case(f"room-make-{name}", f"{always} EPOCH-14 {spec}", comment, "make commit",
                wish.inputs(name), features="signed")  # fmt: skip


def received(name: str, wish: Wish, made_case: Json, receivers: list[str]) -> Iterator[Json]:
    """The other side of a commit: members apply it, guests join by it."""
    slots, sealed = dict(made_case["out"]["slots"]), un(made_case["out"]["sealed_commit"])
    for who in receivers:
        person = wish.place.people[who]
        slot = slots[person.id.hex()]
        copy = ref.build("commit copy", sealed, slot and un(slot))
        yield case(f"room-apply-made-{name}-{who}", "EPOCH-04 EPOCH-11 EPOCH-15 MEM-07",
                   f"{who} applies the commit of room-make-{name}", "apply commit", {
                       **epoch_json(wish.place.epoch), "me": person.id.hex(),
                       "leaf": person.leaf.hex(), "copy": copy.hex(), "now": wish.now},
                   features="signed")  # fmt: skip
    joining = list(zip(wish.invited, made_case["out"]["invitations"], strict=True))
    # All guests get the same welcome: of three the last one will do, of 17 members none.
    for each, invitation in joining[2 if len(joining) > 2 else 0 :] if receivers else []:
        owner, keys = each.keys
        yield case(f"room-join-made-{name}-{each.name}", "INV-04 INV-05 INV-06 MEM-10",
                   f"{each.name} joins by the commit of room-make-{name}", "join room", {
                       "owner": keys_json(owner), "package": package_keys_json(keys),
                       "invitation": invitation, "now": wish.now}, features="signed")  # fmt: skip


def committing_cases() -> Iterator[Json]:
    two, three = begin("two", [BOB]), begin("three", [BOB, CID])
    crowd = [Invited(f"crowd-{n}", ref.MEMBER, None) for n in range(255)]
    room_17, room_19, room_256 = (begin(str(n), crowd[: n - 1]) for n in (17, 19, 256))
    may_add = begin("may-add", [BOB, CID], [1, True, None, 259_200])
    leaving = [room_19.leaves(f"crowd-{n}") for n in range(17)]
    first = Wish(three)
    second = first.after("refresh-3")
    bob_anew = some_package("committing-bob")[0]
    again = ref.make_key_package(bob_anew, list(BOX), EXPIRY, False, Stream("committing-anew"))
    long: ref.Trail = [(n.to_bytes(8, "big"), [3, 0, n, 2, n]) for n in range(299)]
    long.append((two.epoch.prefix, None))
    four = begin("four", [BOB, CID, EVE])
    line = Wish(may_add, "cid", [], [EVE]).after("line")
    full = [{"member": person.id.hex(), "name": name, "mailbox": None}
            for name, person in reversed(three.people.items())]  # fmt: skip
    sixteen = Wish(room_19, kept=leaving)
    valid: list[tuple[str, str, str, Wish, list[str]]] = [
        ("refresh-2", "nothing but new keys, in a room of two", "", Wish(two), ["bob"]),
        ("refresh-3", "nothing but new keys, in a room of three", "", first, ["bob"]),
        ("refresh-17", "nothing but new keys, in a room of 17", "", Wish(room_17), ["crowd-15"]),
        ("refresh-256", "nothing but new keys, in a room of 256", "", Wish(room_256),
         ["crowd-254"]),
        ("refresh-by-member", "the first commit of a member: its entry takes the package's place",
         "MEM-01", Wish(three, "bob"), ["cid"]),
        ("refresh-on-1", "a member commits on epoch 1", "MEM-01", Wish(second, "bob"),
         ["ann"]),
        ("refresh-again", "the second commit of the creator: version 2", "MEM-01", Wish(second),
         ["bob"]),
        ("add", "one is added to two", "MEM-03", Wish(two, "ann", [], [CID]), ["bob"]),
        ("add-three", "three are added, with roles and other prekeys", "MEM-03 MEM-05",
         Wish(three, "ann", [], [DAN, Invited("eve", ref.ADMIN, 1), Invited("gus", ref.OWNER, 2)]),
         ["bob"]),
        ("add-last-resort", "one is added by a last-resort package", "MEM-03 ID-08",
         Wish(two, "ann", [], [FAY]), ["bob"]),
        ("add-by-admin", "an admin adds a member", "MEM-05", Wish(three, "cid", [], [DAN]),
         ["bob"]),
        ("add-by-member", "a member adds, since members may", "MEM-05 MEM-12",
         Wish(may_add, "bob", [], [DAN]), ["ann"]),
        ("add-at-expiry", "the last second of the package", "ID-05",
         Wish(two, "ann", [], [CID], now=EXPIRY), ["bob"]),
        ("add-17", "one is added to 17", "MEM-03", Wish(room_17, "ann", [], [DAN]), []),
        ("remove", "a member is removed", "MEM-05", Wish(three, "ann", [three.removal("bob")]),
         ["bob", "cid"]),
        ("remove-by-admin", "an admin removes a member", "MEM-05",
         Wish(three, "cid", [three.removal("bob")]), ["ann", "bob"]),
        ("remove-last", "the only other member is removed", "MEM-05",
         Wish(two, "ann", [two.removal("bob")]), ["bob"]),
        ("remove-add", "one is removed and another added", "MEM-03 MEM-07",
         Wish(three, "ann", [three.removal("cid")], [DAN]), ["bob", "cid"]),
        ("demote", "an admin becomes member", "MEM-14",
         Wish(three, "ann", [three.demotion("cid", 0)]), ["bob", "cid"]),
        ("role", "a member becomes owner", "MEM-05",
         Wish(three, "ann", [three.role("bob", ref.OWNER)]), ["bob"]),
        ("hand-over", "an owner makes another owner, and itself a member", "MEM-05",
         Wish(three, "ann", [three.role("cid", 2), three.role("ann", 0)]), ["cid"]),
        ("lower-itself", "the only owner makes itself a member: the admin becomes owner", "MEM-08",
         Wish(three, "ann", [three.role("ann", 0)]), ["cid"]),
        ("lower-itself-alone", "the only owner makes itself a member, and is owner again at once",
         "MEM-08", Wish(two, "ann", [two.role("ann", 0)]), ["bob"]),
        ("policy", "another policy", "MEM-05 MEM-12",
         Wish(three, "ann", [[ref.SET_POLICY, [1, True, 0, 60]]]), ["bob"]),
        ("policy-twice", "two policies: the last one holds", "MEM-07",
         Wish(three, "ann", [[ref.SET_POLICY, [1, True, 0, 60]], [ref.SET_POLICY, SIGNED_ROOM]]),
         ["bob"]),
        ("leave", "the owner commits that a member leaves", "MEM-06",
         Wish(three, kept=[three.leaves("bob")]), ["bob", "cid"]),
        ("leave-by-member", "a member commits that the admin leaves", "MEM-06",
         Wish(three, "bob", kept=[three.leaves("cid")]), ["ann"]),
        ("leave-of-owner", "the owner leaves: the admin becomes owner", "MEM-06 MEM-08",
         Wish(three, "bob", kept=[three.leaves("ann")]), ["ann", "cid"]),
        ("leave-both", "all but the committer leave", "MEM-06 MEM-08",
         Wish(three, "bob", kept=[three.leaves("cid"), three.leaves("ann")]), ["ann"]),
        ("leave-own", "its own leave request is left out", "MEM-06",
         Wish(three, "bob", kept=[three.leaves("bob"), three.leaves("cid")]), ["ann"]),
        ("leave-of-the-removed", "the request of a member that is removed anyway is left out",
         "MEM-06", Wish(three, "ann", [three.removal("bob")], kept=[three.leaves("bob")]),
         ["cid"]),
        ("leave-of-the-lowered", "the request of a member whose role is lowered is left out",
         "MEM-06", Wish(three, "ann", [three.demotion("cid", 0)], kept=[three.leaves("cid")]),
         ["bob"]),
        ("leave-stale", "requests that are not valid are left out", "MEM-06", Wish(three, kept=[
            two.leaves("bob"), changed_byte(three.leaves("cid")), three.leaves("bob")]), ["cid"]),
        ("proofs-16", "sixteen leave requests are kept, and all go in", "MEM-06 LIMIT-12",
         Wish(room_19, kept=leaving[:16]), []),
        ("proofs-17", "seventeen are kept: the last one is left for later", "MEM-06 LIMIT-12",
         sixteen, ["crowd-16"]),
        ("proofs-rest", "the next commit takes the one that was left", "MEM-06 LIMIT-12",
         Wish(sixteen.after("proofs-17"), kept=leaving), ["crowd-17"]),
        ("noted-removal", "a removal that has lost: a member embeds it", "MEM-14 EPOCH-28",
         Wish(three, "bob", noted=[three.sanction("ann", "cid")]), ["ann", "cid"]),
        ("noted-demotion", "a demotion that has lost", "MEM-14 EPOCH-28",
         Wish(three, "bob", noted=[three.sanction("ann", "cid", 0)]), ["ann"]),
        ("noted-leave", "a leave request out of a commit that has lost", "MEM-06 EPOCH-28",
         Wish(three, "bob", noted=[[0, three.leaves("cid")]]), ["ann"]),
        ("noted-before-leave", "what was noted comes before what was heard", "MEM-06 EPOCH-28",
         Wish(four, "ann", noted=[four.sanction("cid", "eve")], kept=[four.leaves("bob")]),
         ["cid"]),
        ("noted-and-leave-of-one", "of one member what was noted, and not its leave request",
         "EPOCH-28", Wish(three, "bob", noted=[three.sanction("ann", "cid")],
                          kept=[three.leaves("cid")]), ["ann"]),
        ("noted-order", "in the order in which it was noted", "EPOCH-28",
         Wish(four, "ann", noted=[four.sanction("cid", "eve"), four.sanction("ann", "cid", 0),
                                  four.sanction("ann", "bob")]), ["cid"]),
        ("noted-demoted-and-removed", "a demotion and then a removal of one member", "EPOCH-28",
         Wish(three, "bob", noted=[three.sanction("ann", "cid", 0), three.sanction("ann", "cid")]),
         ["ann"]),
        ("noted-removed-and-demoted", "after a removal the demotion is left out", "EPOCH-28",
         Wish(three, "bob", noted=[three.sanction("ann", "cid"), three.sanction("ann", "cid", 0)]),
         ["ann"]),
        ("noted-void", "what is not valid is left out", "EPOCH-28",
         Wish(three, "bob", noted=[three.sanction("bob", "cid"), three.sanction("ann", "bob", 0),
                                   two.sanction("ann", "bob")]), ["ann"]),
        ("noted-of-itself", "what removes the committer is left out", "EPOCH-28",
         Wish(three, "cid", noted=[three.sanction("ann", "cid"), three.sanction("ann", "bob")]),
         ["ann"]),
        ("noted-takes-me-along", "what would take the committer along is left out", "EPOCH-28",
         Wish(line, "eve", noted=[line.sanction("ann", "cid", None, [])]), ["ann"]),
        ("noted-takes-along", "what takes others along, and not what they have asked for",
         "EPOCH-28", Wish(line, "bob", noted=[line.sanction("ann", "cid", None, [])],
                          kept=[line.leaves("eve"), line.leaves("ann")]), ["ann"]),
        ("noted-named", "about whom the commit names, nothing is embedded", "EPOCH-28",
         Wish(four, "ann", [four.removal("eve"), four.demotion("cid", 0), four.role("bob", 1)],
              noted=[four.sanction("cid", "eve"), four.sanction("ann", "cid"),
                     four.sanction("cid", "bob")]), ["bob"]),
        ("noted-16", "sixteen go in: what was noted first", "EPOCH-28 LIMIT-12",
         Wish(room_19, kept=leaving, noted=[room_19.sanction("ann", "crowd-17")]), []),
        ("trail-255", "of 300 epochs of its path the last 255 stand in the trail", "INV-05 ENV-24",
         Wish(two._replace(trail=long), "ann", [], [CID], now=NOW + 9_000), ["bob"]),
        ("trail-authority", "a commit that embeds a removal, and admits", "INV-05 EPOCH-20",
         Wish(four, "cid", [], [DAN], noted=[four.sanction("ann", "eve")]), ["bob"]),
        ("trail-before", "an hour before its parent", "INV-05 EPOCH-20",
         Wish(second, "ann", [], [DAN], now=NOW - 3_600), ["bob"]),
        ("all-at-once", "everything in one commit", "MEM-07",
         Wish(three, "ann", [three.role("cid", 2), [ref.SET_POLICY, [1, True, None, 1]]],
              [DAN, FAY], [three.leaves("bob")]), ["bob", "cid"]),
        ("directory", "a directory of all, in another order than the roster", "INV-05",
         Wish(three, "ann", [], [DAN], directory=full), ["bob"]),
        ("time-0", "the earliest time", "", Wish(two, now=0), ["bob"]),
        ("time-last", "the latest time", "", Wish(two, now=2**40 - 1), ["bob"]),
    ]  # fmt: skip
    for name, comment, spec, wish, receivers in valid:
        each = made(name, comment, wish, spec)
        yield each
        yield from received(name, wish, each, receivers)
    yield from readmitted(three, again, bob_anew)


def readmitted(
    three: Place, again: ref.KeyPackageKeys, bob: ref.IdentityKeys
) -> Iterator[Json]:  # fmt: skip
    """Bob is removed and, in the same commit, admitted by another package."""
    wish = Wish(three, "ann", [three.removal("bob")])
    inputs = wish.inputs("remove-readmit")
    inputs["guests"] = [guest_json(ref.Guest(again.package, 2, ref.MEMBER))]
    inputs["random"] = Stream("room-make-remove-readmit")(176).hex()
    each = case("room-make-remove-readmit", "EPOCH-14 MEM-07 MEM-11",
                "a device is removed, and admitted anew by another package in the same commit",
                "make commit", inputs, features="signed")  # fmt: skip
    yield each
    invitation = each["out"]["invitations"][0]
    whole = {**each, "out": {**each["out"], "invitations": []}}
    yield from received("remove-readmit", wish, whole, ["bob", "cid"])
    yield case("room-join-made-remove-readmit-bob", "INV-06 MEM-07",
               "bob joins as a new member", "join room", {
                   "owner": keys_json(bob), "package": package_keys_json(again),
                   "invitation": invitation, "now": NOW}, features="signed")  # fmt: skip
