"""membership.json, third part: requests for a resync, and what a resync does."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import (
    EXPIRY,
    NOW,
    SMALL_DH,
    Json,
    Stream,
    case,
    changed_byte,
    identity_keys,
    keys_json,
    operation,
    some_keys,
    un,
)
from spec.cases.membership import ADMIN, MEMBER, OWNER, ROOM, leave, roster_of
from spec.cases.rights import NAMES, applied, kept_roster, removal

from spec import reference as ref

HOURS_72 = 259_200


@operation("make resync request")
def _make_resync_request(i: Json) -> Json:
    signed = ref.make_resync_request(identity_keys(i["owner"]), un(i["room"]), un(i["member"]),
                                     i["time"], un(i["package"]))  # fmt: skip
    return {"signed": signed.hex()}


@operation("check resync request")
def _check_resync_request(i: Json) -> Json:
    roster = kept_roster(un(i["roster"]))
    member, request = ref.check_resync_request(un(i["signed"]), i["suite"], un(i["room"]), roster,
                                               i["time"])  # fmt: skip
    return {"member": member.id.hex(), "package_hash": request.package.hash.hex()}


def keys_of(name: str) -> ref.IdentityKeys:
    return some_keys(f"membership-{name}")


def package_of(
    name: str, which: str = "anew", expiry: int = EXPIRY, last_resort: bool = False
) -> bytes:
    """A signed key package of somebody, made for a request."""
    random = Stream(f"membership-{name}-{which}")
    contact = ref.MailboxKeys(random(32), random(32), random(16)).public
    made: ref.KeyPackageKeys = ref.unnoted(
        ref.make_key_package, keys_of(name), list(contact), expiry, last_resort, random
    )
    return made.package.signed


def asks(
    name: str, member: bytes, *, time: int = NOW, room: bytes = ROOM, package: bytes | None = None,
    by: str | None = None, label: bytes = b"resync request",
) -> bytes:  # fmt: skip
    """A signed resync request, signed by its member unless another is named."""
    body = ref.build("resync request", room, member, time, package or package_of(name))
    signature = ref.sign(keys_of(by or name).seed, label, body)
    return ref.build("signed object", body, signature)


def request_cases() -> Iterator[Json]:
    yield from resync_request_cases()
    yield from resync_cases()


def resync_request_cases() -> Iterator[Json]:
    """Resync requests, step by step (9.8)."""
    roster = roster_of(("ann", OWNER), ("bob", MEMBER), ("cid", ADMIN))
    ann, bob, cid = roster.members
    yield case("membership-resync-request", "MEM-13", "bob asks to be let in anew",
               "make resync request", {
                   "owner": keys_json(keys_of("bob")), "room": ROOM.hex(), "member": bob.id.hex(),
                   "time": NOW, "package": package_of("bob").hex()}, features="signed")  # fmt: skip
    once = roster.replace(bob._replace(resynced=NOW - 100))

    def check(
        name: str, data: bytes, reason: str | None = None, mutation: str = "", *,
        parent: str = "member", time: int = NOW, rows: ref.Roster = roster, suite: int = 1,
        comment: str = "", spec: str = "",
    ) -> Json:  # fmt: skip
        return case(f"membership-resync-check-{name}", f"MEM-13 {spec}".strip(),
                    comment or mutation or name, "check resync request", {
                        "signed": data.hex(), "suite": suite, "room": ROOM.hex(),
                        "roster": rows.encode().hex(), "time": time}, reason,
                    parent=f"membership-resync-check-{parent}" if reason else None,
                    mutation=(mutation or comment) if reason else None,
                    features="signed")  # fmt: skip

    good = asks("bob", bob.id)
    body, signature = ref.parse(good, "signed object")
    yield check("member", good, comment="a request of a member")
    yield check("owner", asks("ann", ann.id), comment="a request of the owner")
    yield check("72-hours", asks("bob", bob.id, time=NOW - HOURS_72), spec="LIMIT-36",
                comment="a request that is 72 h old")  # fmt: skip
    yield check("300-ahead", asks("bob", bob.id, time=NOW + 300),
                comment="a request 300 s after the commit")  # fmt: skip
    due = asks("bob", bob.id, package=package_of("bob", "due", NOW))
    yield check("at-expiry", due, spec="ID-05", comment="the last second of the package")
    yield check("later", asks("bob", bob.id, time=NOW - 99), rows=once,
                comment="a second later than the one that was granted last")  # fmt: skip
    yield check("time-0", asks("bob", bob.id, time=0, package=package_of("bob", "0", 9)), time=9,
                comment="the earliest request")  # fmt: skip
    entry = package_of("bob", "entry")
    own = roster.replace(bob._replace(signed=entry))
    admitted = roster.replace(bob._replace(admission=ref.H(b"key package", entry)))
    for name, data, reason, mutation, more in (
        ("other-room", asks("bob", bob.id, room=bytes(32)), "bad-proof", "another room", {}),
        ("nobody", asks("bob", bytes(32)), "unknown-member", "a member that nobody is", {}),
        ("other-member", asks("bob", cid.id), "wrong-identity", "the place of another member", {}),
        ("others-package", asks("bob", bob.id, package=package_of("cid")), "wrong-identity",
         "the package of another member", {}),
        ("strangers-package", asks("bob", bob.id, package=package_of("eve")), "wrong-identity",
         "the package of a stranger", {}),
        ("by-another", asks("bob", bob.id, by="cid"), "bad-signature",
         "signed by another member", {}),
        ("by-the-owner", asks("bob", bob.id, by="ann"), "bad-signature",
         "signed by the owner", {}),
        ("label", asks("bob", bob.id, label=b"leave request"), "bad-signature",
         "signed under the label of a leave request", {}),
        ("label-repair", asks("bob", bob.id, label=b"repair request"), "bad-signature",
         "signed under the label of a repair request", {}),
        ("signature-changed", ref.build("signed object", body, changed_byte(signature)),
         "bad-signature", "a bit of the signature", {}),
        ("suite", good, "unknown-suite", "a room of suite 2", {"suite": 2}),
        ("last-resort", asks("bob", bob.id, package=package_of("bob", "last", EXPIRY, True)),
         "bad-proof", "a last-resort package", {}),
        ("admission", asks("bob", bob.id, package=entry), "used-package",
         "the package that has admitted the member", {"rows": admitted}),
        ("credential", asks("bob", bob.id, package=entry), "used-package",
         "the package that is the member's credential", {"rows": own}),
        ("past-expiry", asks("bob", bob.id, package=package_of("bob", "past", NOW - 1)),
         "expired", "a package that expired a second before", {"spec": "ID-05"}),
        ("past-72-hours", asks("bob", bob.id, time=NOW - HOURS_72 - 1), "expired",
         "a request that is 72 h and 1 s old", {"spec": "LIMIT-36"}),
        ("301-ahead", asks("bob", bob.id, time=NOW + 301), "bad-proof",
         "a request 301 s after the commit", {}),
        ("granted", asks("bob", bob.id, time=NOW - 100), "replay",
         "of the same second as the one that was granted", {"rows": once, "parent": "later"}),
        ("older", asks("bob", bob.id, time=NOW - 101), "replay",
         "a second earlier than the one that was granted", {"rows": once, "parent": "later"}),
        ("leave-request", leave("bob", bob), "wrong-type", "a leave request in its place",
         {"spec": "FORM-02"}),
        ("package", package_of("bob"), "wrong-type", "the package alone in its place",
         {"spec": "FORM-02"}),
        ("body-alone", body, "wrong-type", "without its signature", {"spec": "FORM-02"}),
        ("trailing", good + b"\0", "trailing-bytes", "a zero byte at the end", {}),
    ):  # fmt: skip
        yield check(name, data, reason, mutation, **more)
    fields = ref.parse(body, "resync request")

    def with_fields(*values: Any) -> bytes:
        """Signed by bob, whatever its fields are."""
        data = ref.encode([1, 20, *values])
        return ref.build("signed object", data,
                         ref.sign(keys_of("bob").seed, b"resync request", data))  # fmt: skip

    package = ref.parse(ref.parse(fields[3], "signed object")[0], "key package")

    def package_with(place: int, value: Any) -> bytes:
        """A request with a package of bob's that differs in one field."""
        changed = ref.encode([1, 3, *package[:place], value, *package[place + 1 :]])
        signature = ref.sign(keys_of("bob").seed, b"key package", changed)
        return with_fields(*fields[:3], ref.build("signed object", changed, signature))

    for name, data, reason, mutation, spec in (
        ("room-31", with_fields(bytes(31), *fields[1:]), "bad-form", "a room of 31 bytes", ""),
        ("time-past", with_fields(*fields[:2], 2**40, fields[3]), "bad-form", "a time of 2^40", ""),
        ("no-package", with_fields(*fields[:3], None), "bad-form", "nil as package", ""),
        ("package-empty", with_fields(*fields[:3], b""), "bad-form", "an empty package", ""),
        ("package-array", with_fields(*fields[:3], [1, 1, b"x", bytes(64)]), "bad-form",
         "an array in the place of the encoded package", "WIRE-17"),
        ("more", with_fields(*fields, None), "bad-form", "nil as another field", ""),
        ("less", with_fields(*fields[:3]), "bad-form", "no package", ""),
        ("package-of-type", with_fields(*fields[:3], leave("bob", bob)), "wrong-type",
         "a leave request in the place of the package", "FORM-02"),
        ("package-signature", with_fields(*fields[:3], changed_byte(fields[3])), "bad-signature",
         "a bit of the package's signature", "ID-07"),
        ("package-leaf-small", package_with(5, SMALL_DH), "bad-key",
         "a leaf key of small order in the package", "ID-07 PRIM-05"),
        ("package-three-prekeys", package_with(4, package[4][:3]), "bad-form",
         "three one-time prekeys in the package", "ID-07 LIMIT-23"),
        ("package-suite-2", package_with(0, 2), "unknown-suite", "a package of suite 2",
         "PRIM-19"),
    ):  # fmt: skip
        yield check(name, data, reason, mutation, spec=spec)
    for name, data, reason, mutation, first in (
        ("package-before-room", with_fields(bytes(32), *fields[1:3], changed_byte(fields[3])),
         "bad-signature", "another room, and a bit of the package's signature", "the package"),
        ("room-before-member", with_fields(bytes(32), bytes(32), *fields[2:]), "bad-proof",
         "another room, and nobody's place", "the room"),
        ("identity-before-signature", asks("bob", bob.id, package=package_of("cid"), by="cid"),
         "wrong-identity", "another's package, and another's signature", "the identity"),
        ("signature-before-kind", asks("bob", bob.id, by="cid", package=package_of(
            "bob", "last", EXPIRY, True)), "bad-signature",
         "another's signature, and a last-resort package", "the signature"),
        ("kind-before-age", asks("bob", bob.id, time=NOW - HOURS_72 - 1, package=package_of(
            "bob", "last", EXPIRY, True)), "bad-proof",
         "a last-resort package, and a request of 72 h and 1 s", "the kind of package"),
        ("age-before-replay", asks("bob", bob.id, time=NOW - HOURS_72 - 1), "expired",
         "72 h and 1 s old, and older than the one that was granted", "the age"),
    ):  # fmt: skip
        rows = once if name == "age-before-replay" else roster
        yield check(name, data, reason, mutation, rows=rows, comment=f"two faults: first {first}")


def resync_cases() -> Iterator[Json]:
    """What a resync does to a roster, and who may commit one (9.6, 9.9)."""
    roster = roster_of(("ann", OWNER), ("bob", MEMBER), ("cid", ADMIN))
    ann, bob, cid = roster.members

    def resync(name: str, member: bytes, **more: Any) -> list[Any]:
        return [ref.RESYNC, asks(name, member, **more)]

    for role, who in NAMES.items():
        rows = roster_of(("ann", OWNER), ("bob", role), ("cid", OWNER))
        first, second, third = rows.members
        yield applied(f"resync-by-{who}", f"{who} lets an owner in anew", rows, second,
                      [resync("cid", third.id)], spec="MEM-05 MEM-07 MEM-13")  # fmt: skip
        yield applied(f"resync-of-{who}", f"an owner lets {who} in anew", rows, first,
                      [resync("bob", second.id)], spec="MEM-05 MEM-07 MEM-13")  # fmt: skip
        yield applied(f"resync-itself-{who}", f"{who} lets itself in anew", rows, second,
                      [resync("bob", second.id)], "not-entitled", spec="MEM-05",
                      parent=f"resync-of-{who}")  # fmt: skip
    yield applied("resync-role", "a new role, and let in anew", roster, ann,
                  [[ref.SET_ROLE, bob.id, ADMIN], resync("bob", bob.id)],
                  spec="MEM-07 MEM-13")  # fmt: skip
    yield applied("resync-two", "two members are let in anew", roster, ann,
                  [resync("cid", cid.id), resync("bob", bob.id)],
                  spec="MEM-07 MEM-13")  # fmt: skip
    yield applied("resync-then-remove", "let in anew and then removed", roster, ann,
                  [resync("bob", bob.id), removal(bob)], spec="MEM-07 MEM-13")  # fmt: skip
    later = [resync("bob", bob.id), resync("bob", bob.id, time=NOW + 1,
                                           package=package_of("bob", "second"))]
    yield applied("resync-twice", "two requests of one member: the later one holds", roster, ann,
                  later, spec="MEM-07 MEM-13")  # fmt: skip
    yield applied("resync-leave-other", "another leaves in the same commit", roster, ann,
                  [resync("bob", bob.id)], proofs=[leave("cid", cid)],
                  spec="MEM-06 MEM-07 MEM-13")  # fmt: skip
    once = roster.replace(bob._replace(resynced=NOW - 1))
    yield applied("resync-again", "let in anew for the second time", once, ann,
                  [resync("bob", bob.id)], spec="MEM-07 MEM-13")  # fmt: skip
    for name, operations, reason, parent, mutation, proofs, rows in (
        ("nobody", [resync("bob", bytes(32))], "unknown-member", "of-member",
         "a place that nobody has", [], roster),
        ("removed-before", [removal(bob), resync("bob", bob.id)], "unknown-member",
         "then-remove", "the two operations changed about", [], roster),
        ("leaver", [resync("bob", bob.id)], "unknown-member", "leave-other",
         "the leave request is bob's own", [leave("bob", bob)], roster),
        ("twice-same", [later[0], later[0]], "used-package", "twice",
         "the first request twice", [], roster),
        ("twice-older", [later[1], later[0]], "replay", "twice",
         "the two requests changed about", [], roster),
        ("replayed", [resync("bob", bob.id, time=NOW - 1)], "replay", "again",
         "the request that was granted before", [], once),
        ("last-resort", [resync("bob", bob.id, package=package_of("bob", "last", EXPIRY, True))],
         "bad-proof", "of-member", "a last-resort package", [], roster),
        ("by-another", [resync("bob", bob.id, by="ann")], "bad-signature", "of-member",
         "the request signed by the committer", [], roster),
        ("other-room", [resync("bob", bob.id, room=bytes(32))], "bad-proof", "of-member",
         "a request of another room", [], roster),
        ("past-72-hours", [resync("bob", bob.id, time=NOW - HOURS_72 - 1)], "expired",
         "of-member", "a request 72 h and 1 s before the commit", [], roster),
    ):  # fmt: skip
        yield applied(f"resync-{name}", mutation, rows, ann, operations, reason,
                      spec="MEM-07 MEM-13", parent=f"resync-{parent}", mutation=mutation,
                      proofs=proofs)  # fmt: skip
    yield applied("resync-itself-nobodys", "two faults: the right, then the request", roster, bob,
                  [resync("bob", bob.id, room=bytes(32))], "not-entitled", spec="MEM-05 MEM-07",
                  parent="resync-of-member",
                  mutation="committed by the member itself, of another room")  # fmt: skip
    old = package_of("bob", "old", NOW - 1)
    for name, suite, package, reason, mutation in (
        ("suite-before-expiry", 2, old, "unknown-suite", "a room of suite 2, an expired package"),
        ("expiry-before-member", 1, old, "expired", "an expired package of a member"),
    ):
        yield applied(f"add-{name}", "two faults: the order within an add", roster, ann,
                      [[ref.ADD, package, MEMBER]], reason, parent="last-seniority", suite=suite,
                      mutation=mutation)  # fmt: skip
    same_sign_key = ref.IdentityKeys(keys_of("bob").seed, keys_of("eve").dh_private)
    random = Stream("membership-same-sign-key")
    contact = ref.MailboxKeys(random(32), random(32), random(16)).public
    half: ref.KeyPackageKeys = ref.unnoted(
        ref.make_key_package, same_sign_key, list(contact), EXPIRY, False, random
    )
    yield applied("add-half-an-identity", "an identity with the signature key of a member, and"
                  " another DH key, is another identity", roster, ann,
                  [[ref.ADD, half.package.signed, MEMBER]])  # fmt: skip
    full = ref.Roster(2**32 - 1, roster.members)
    fay = package_of("fay")
    yield applied("last-seniority", "the last seniority that there is is given",
                  ref.Roster(2**32 - 2, roster.members), ann, [[ref.ADD, fay, MEMBER]],
                  spec="MEM-04 MEM-07 LIMIT-21")  # fmt: skip
    yield applied("no-seniority", "no seniority is left", full, ann, [[ref.ADD, fay, MEMBER]],
                  "bad-form", spec="MEM-04 MEM-07 LIMIT-21", parent="last-seniority",
                  mutation="the next seniority is 2^32 - 1")  # fmt: skip
