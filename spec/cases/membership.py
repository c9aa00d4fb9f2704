"""membership.json, first part: credentials, leave requests, rosters (chapter 9)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import (
    SMALL_DH,
    SMALL_SIGN,
    Json,
    Stream,
    an_identity,
    case,
    changed_byte,
    identity_json,
    identity_keys,
    keys_json,
    little,
    operation,
    some_keys,
    some_package,
    un,
)

from spec import reference as ref


@operation("make member entry")
def _make_member_entry(i: Json) -> Json:
    signed = ref.make_entry(identity_keys(i["owner"]), un(i["room"]), un(i["member"]),
                            un(i["leaf_key"]), un(i["room_sign_key"]), i["version"])  # fmt: skip
    return {"signed": signed.hex()}


@operation("read credential")
def _read_credential(i: Json) -> Json:
    read = ref.read_credential(un(i["signed"]), un(i["room"]), un(i["member"]),
                               an_identity(i["identity"]))  # fmt: skip
    return {"leaf_key": read.leaf_key.hex(), "room_sign_key": read.room_sign_key.hex(),
            "version": read.version, "awaits_refresh": read.awaits_refresh}  # fmt: skip


@operation("make leave request")
def _make_leave_request(i: Json) -> Json:
    row = ref.Member(un(i["member"]), 0, 0, b"", b"", un(i["admission"]), 0, 0, b"")
    return {"signed": ref.make_leave_request(identity_keys(i["owner"]), un(i["room"]), row).hex()}


@operation("check leave request")
def _check_leave_request(i: Json) -> Json:
    roster: ref.Roster = ref.unnoted(ref.read_roster, un(i["roster"]), un(i["room"]))
    return {"member": ref.check_leave_request(un(i["signed"]), un(i["room"]), roster).id.hex()}


@operation("read roster")
def _read_roster(i: Json) -> Json:
    roster = ref.read_roster(un(i["roster"]), un(i["room"]))
    rows = []
    for row in roster.members:
        kept = ref.kept_credential(row.signed)
        rows.append({"member": row.id.hex(), "role": row.role, "seniority": row.seniority,
                     "version": kept.version, "awaits_refresh": kept.awaits_refresh,
                     "sponsor": row.sponsor, "ranked": row.ranked,
                     "resynced": row.resynced})  # fmt: skip
    return {"next_seniority": roster.next_seniority, "members": rows}


ROOM = b"\x2a" * 32
MEMBER, ADMIN, OWNER = ref.MEMBER, ref.ADMIN, ref.OWNER


def some_member(
    name: str, role: int, seniority: int, sponsor: int = 0, ranked: int = 0
) -> ref.Member:
    """A member who has committed once."""
    keys, random = some_keys(f"membership-{name}"), Stream(f"membership-{name}-row")
    member, admission, leaf, seed = random(32), random(32), random(32), random(32)
    entry = ref.make_entry(keys, ROOM, member, ref.dh_public(leaf), ref.sign_public(seed), 1)
    return ref.Member(member, role, seniority, *keys.public, admission, sponsor, ranked, entry)


def roster_of(*rows: tuple[str, int]) -> ref.Roster:
    """Members by name and role, in this order of seniority."""
    return ref.Roster(len(rows), [some_member(name, role, n) for n, (name, role) in
                                  enumerate(rows)])  # fmt: skip


def leave(name: str, row: ref.Member, room: bytes = ROOM) -> bytes:
    return ref.make_leave_request(some_keys(f"membership-{name}"), room, row)


def membership_cases() -> Iterator[Json]:
    yield from entry_cases()
    yield from leave_cases()
    yield from roster_cases()


def entry_cases() -> Iterator[Json]:
    """Making and reading credentials."""
    ann, bob = some_keys("membership-ann"), some_keys("membership-bob")
    member, leaf, room_key = b"\x2c" * 32, ref.dh_public(b"\x05" * 32), ref.sign_public(b"\6" * 32)

    def read(
        name: str, signed: bytes, reason: str | None = None, mutation: str | None = None,
        *, parent: str = "entry", identity: ref.Identity | None = None, of: bytes = member,
        room: bytes = ROOM, comment: str = "",
    ) -> Json:  # fmt: skip
        return case(f"membership-read-{name}", "MEM-02", mutation or comment or name,
                    "read credential", {
                        "signed": signed.hex(), "room": room.hex(), "member": of.hex(),
                        "identity": identity_json(identity or ann.public)}, reason,
                    parent=f"membership-read-{parent}" if reason else None,
                    mutation=mutation)  # fmt: skip

    for version in (0, 1, 127, 128, 256, 65_536, 2**32 - 1):
        yield case(f"membership-entry-{version}", "MEM-01 FORM-01",
                   f"an entry of version {version}", "make member entry", {
                       "owner": keys_json(ann), "room": ROOM.hex(), "member": member.hex(),
                       "leaf_key": leaf.hex(), "room_sign_key": room_key.hex(),
                       "version": version})  # fmt: skip
    yield case("membership-entry-past", "MEM-01 MEM-04 LIMIT-21", "no version is left",
               "make member entry", {
                   "owner": keys_json(ann), "room": ROOM.hex(), "member": member.hex(),
                   "leaf_key": leaf.hex(), "room_sign_key": room_key.hex(), "version": 2**32},
               "bad-form", parent=f"membership-entry-{2**32 - 1}",
               mutation="one version more")  # fmt: skip
    good = ref.make_entry(ann, ROOM, member, leaf, room_key, 7)
    body, signature = ref.parse(good, "signed object")

    def signed(
        data: bytes, by: ref.IdentityKeys = ann, label: bytes = b"member entry"
    ) -> bytes:  # fmt: skip
        return ref.build("signed object", data, ref.sign(by.seed, label, data))

    def entry_with(place: int, value: Any) -> bytes:
        fields = ref.parse(body, "member entry")
        fields[place] = value
        return signed(ref.encode([1, 2, *fields]))

    owner, package = some_package("membership-bob-package")
    fay, last_resort = some_package("membership-fay", True)
    yield read("entry", good, comment="a member entry")
    yield read("entry-last-version", entry_with(5, 2**32 - 1), comment="the highest version")
    yield read("package", package.package.signed, identity=owner.public,
               comment="a key package: version 0, whatever room and member are")  # fmt: skip
    yield read("last-resort", last_resort.package.signed, identity=fay.public,
               comment="a last-resort package: its member awaits refresh")  # fmt: skip
    for name, data, reason, mutation in (
        ("other-room", entry_with(0, bytes(32)), "bad-entry", "an entry of another room"),
        ("other-member", entry_with(1, bytes(32)), "bad-entry", "an entry of another member"),
        ("other-dh-key", entry_with(2, little(9)), "bad-entry", "another identity DH key in it"),
        ("signed-by-another", signed(body, bob), "bad-signature", "signed by another identity"),
        ("other-label", signed(body, label=b"leave request"), "bad-signature",
         "signed under the label of a leave request"),
        ("signature-changed", ref.build("signed object", body, changed_byte(signature)),
         "bad-signature", "a bit of the signature"),
        ("leaf-small", entry_with(3, SMALL_DH), "bad-key", "a leaf key of small order"),
        ("leaf-not-canonical", entry_with(3, little(ref.P)), "bad-key", "the leaf key is 2^255−19"),
        ("room-key-small", entry_with(4, SMALL_SIGN), "bad-key", "a room signature key of order 1"),
        ("room-key-order-4", entry_with(4, little(0)), "bad-key",
         "a room signature key of order 4"),
        ("version-past", entry_with(5, 2**32), "bad-form", "a version of 2^32"),
        ("field-missing", signed(ref.encode([1, 2, *ref.parse(body, "member entry")[:5]])),
         "bad-form", "no version"),
        ("body-leave-request", signed(ref.build("leave request", ROOM, member, bytes(32))),
         "wrong-type", "a leave request in its place"),
        ("body-nil", signed(b"\xc0"), "bad-form", "the body is nil"),
        ("body-version-2", signed(b"\x98\x02" + body[2:]), "wrong-version",
         "version 2 of the body"),
        ("body-trailing", signed(body + b"\0"), "trailing-bytes", "a byte after the body"),
        ("not-signed", body, "wrong-type", "the entry itself, not signed"),
        ("other-room-unsigned", ref.build("signed object", ref.encode([1, 2, bytes(32), *ref.parse(
            body, "member entry")[1:]]), bytes(64)), "bad-entry",
         "two faults: another room, which is looked at before the signature"),
        ("small-leaf-unsigned", ref.build("signed object", ref.encode([
            1, 2, *ref.parse(body, "member entry")[:3], SMALL_DH, room_key, 7]), signature),
         "bad-signature", "two faults: a leaf key of small order, after the signature"),
    ):  # fmt: skip
        yield read(name, data, reason, mutation)
    yield read("of-another-identity", good, "bad-entry", "the member has another identity",
               identity=bob.public)  # fmt: skip
    half = ref.Identity(bob.public.sign_key, ann.public.dh_key)
    yield read("of-another-sign-key", good, "bad-signature",
               "the member has another identity signature key", identity=half)  # fmt: skip
    yield read("package-of-another", package.package.signed, "bad-entry",
               "the member has another identity", parent="package")  # fmt: skip
    half = ref.Identity(owner.public.sign_key, little(9))
    yield read("package-other-dh-key", package.package.signed, "bad-entry",
               "the member has another identity DH key", parent="package",
               identity=half)  # fmt: skip
    yield read("package-changed", changed_byte(package.package.signed), "bad-signature",
               "a bit of the signature", parent="package", identity=owner.public)  # fmt: skip


def leave_cases() -> Iterator[Json]:
    """Leave requests (9.7)."""
    roster = roster_of(("ann", OWNER), ("bob", MEMBER))
    ann, bob = roster.members
    keys = some_keys("membership-bob")
    yield case("membership-leave", "MEM-06", "bob asks to leave", "make leave request", {
        "owner": keys_json(keys), "room": ROOM.hex(), "member": bob.id.hex(),
        "admission": bob.admission.hex()}, features="signed")  # fmt: skip

    def check(name: str, data: bytes, reason: str | None, mutation: str | None) -> Json:
        return case(f"membership-leave-check-{name}", "MEM-06", mutation or name,
                    "check leave request", {
                        "signed": data.hex(), "room": ROOM.hex(), "roster": roster.encode().hex()},
                    reason, parent="membership-leave-check-member" if reason else None,
                    mutation=mutation, features="signed")  # fmt: skip

    def signed(room: bytes, member: bytes, admission: bytes, by: str = "bob") -> bytes:
        body = ref.build("leave request", room, member, admission)
        seed = some_keys(f"membership-{by}").seed
        return ref.build("signed object", body, ref.sign(seed, b"leave request", body))

    yield check("member", leave("bob", bob), None, None)
    yield check("owner", leave("ann", ann), None, None)
    body = ref.build("leave request", ROOM, bob.id, bob.admission)
    for name, data, reason, mutation in (
        ("other-room", signed(bytes(32), bob.id, bob.admission), "bad-proof", "another room"),
        ("nobody", signed(ROOM, bytes(32), bob.admission), "unknown-member",
         "a member that is not in the roster"),
        ("other-admission", signed(ROOM, bob.id, ann.admission), "bad-proof",
         "the admission of another: such as one from before the member was admitted anew"),
        ("by-another", signed(ROOM, bob.id, bob.admission, "ann"), "bad-signature",
         "signed by the owner: nobody leaves for another"),
        ("other-label", ref.build("signed object", body, ref.sign(
            keys.seed, b"member entry", body)), "bad-signature", "signed under another label"),
        ("changed", changed_byte(leave("bob", bob)), "bad-signature", "a bit of the signature"),
        ("entry", bob.signed, "wrong-type", "a member entry in its place"),
        ("not-signed", body, "wrong-type", "the request itself, not signed"),
        ("other-room-of-nobody", signed(bytes(32), bytes(32), bytes(32)), "bad-proof",
         "two faults: another room, and nobody there. The room is looked at first"),
        ("nobody-other-signature", signed(ROOM, bytes(32), bytes(32), "ann"), "unknown-member",
         "two faults: nobody there, and signed by another. The roster is looked at first"),
    ):  # fmt: skip
        yield check(name, data, reason, mutation)


def roster_cases() -> Iterator[Json]:
    """Reading a roster (REQ-MEM-10)."""
    whole = roster_of(("ann", OWNER), ("bob", MEMBER), ("cid", ADMIN))
    ann, bob, cid = whole.members
    keys, package = some_package("membership-fay", True)
    new = ref.Member(b"\x2d" * 32, MEMBER, 9, *keys.public, package.package.hash,
                     5, 2**32 - 1, package.package.signed)  # fmt: skip

    def read(
        name: str, rows: list[ref.Member], reason: str | None = None, comment: str = "",
        following: int = 10, spec: str = "MEM-10", room: bytes = ROOM,
    ) -> Json:  # fmt: skip
        data = ref.encode([1, 7, following, [list(row) for row in rows]])
        return case(f"membership-roster-{name}", spec, comment, "read roster",
                    {"roster": data.hex(), "room": room.hex()}, reason,
                    parent="membership-roster-three" if reason else None,
                    mutation=comment if reason else None)  # fmt: skip

    yield read("three", [ann, bob, cid], comment="three members")
    yield read("one", [ann], None, "an owner alone")
    yield read("gaps", [ann._replace(seniority=1), bob._replace(seniority=5), new], None,
               "seniorities with gaps, the last of them just below the next; a new member",
               spec="MEM-10 MEM-04")  # fmt: skip
    yield read("two-owners", [ann._replace(role=ADMIN), bob._replace(role=OWNER),
                              cid._replace(role=OWNER)], None, "the creator is no owner any more")
    yield read("last-seniority", [ann._replace(seniority=2**32 - 2)], None,
               "the highest next seniority that there is", 2**32 - 1)  # fmt: skip
    same_id = bob._replace(id=ann.id)
    for name, rows, reason, mutation in (
        ("empty", [], "bad-form", "no member"),
        ("member-twice", [ann, bob, bob._replace(seniority=2)], "bad-form", "a member twice"),
        ("id-twice", [ann, same_id], "bad-form", "the id of another member"),
        ("identity-twice", [ann, bob, bob._replace(id=cid.id, seniority=2)], "bad-form",
         "the identity of another member"),
        ("order", [bob, ann, cid], "bad-form", "the first two changed about"),
        ("seniority-twice", [ann, bob, cid._replace(seniority=1)], "bad-form",
         "two of one seniority"),
        ("seniority-next", [ann, bob, cid._replace(seniority=10)], "bad-form",
         "a seniority that is the next one"),
        ("no-owner", [ann._replace(role=ADMIN), bob, cid], "bad-form", "no owner"),
        ("role-3", [ann, bob._replace(role=3)], "bad-form", "role 3"),
        ("sign-key-small", [ann, bob._replace(sign_key=SMALL_SIGN)], "bad-key",
         "an identity signature key of order 1"),
        ("dh-key-small", [ann, bob._replace(dh_key=SMALL_DH)], "bad-key",
         "an identity DH key of small order"),
        ("dh-key-other", [ann, bob._replace(dh_key=little(9))], "bad-entry",
         "another identity DH key"),
        ("sign-key-other", [ann, bob._replace(sign_key=some_keys("membership-x").public.sign_key)],
         "bad-signature", "another identity signature key"),
        ("id-other", [ann, bob._replace(id=bytes(32))], "bad-entry", "another id"),
        ("credential-of-another", [ann, bob._replace(signed=cid.signed)], "bad-entry",
         "the credential of another member"),
        ("credential-changed", [ann, bob._replace(signed=changed_byte(bob.signed))],
         "bad-signature", "a bit of the signature of a credential"),
        ("last-credential", [ann, bob, cid._replace(signed=changed_byte(cid.signed))],
         "bad-signature", "a bit of the signature of the last credential"),
        ("no-owner-and-unsigned", [ann._replace(role=0, signed=changed_byte(ann.signed))],
         "bad-signature", "two faults: no owner, which is looked at last, and a wrong signature"),
        ("order-and-key", [bob, ann._replace(sign_key=SMALL_SIGN)], "bad-form",
         "two faults: the order of a row is looked at before its keys"),
        ("key-and-order", [ann._replace(sign_key=SMALL_SIGN), ann], "bad-key",
         "two faults: rows are looked at one after another"),
    ):  # fmt: skip
        yield read(name, rows, reason, mutation, spec="MEM-10 MEM-11" if "twice" in name
                   else "MEM-10")  # fmt: skip
    yield read("other-room", [ann, bob, cid], "bad-entry", "the room is another", room=bytes(32))
