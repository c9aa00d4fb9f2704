"""membership.json, fourth part: requests for repair (10.12)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import (
    NOW,
    Json,
    case,
    changed_byte,
    identity_keys,
    keys_json,
    operation,
    un,
)
from spec.cases.membership import MEMBER, OWNER, ROOM, leave, roster_of
from spec.cases.requests import HOURS_72, keys_of
from spec.cases.rights import kept_roster

from spec import reference as ref


@operation("make repair request")
def _make_repair_request(i: Json) -> Json:
    signed = ref.make_repair_request(identity_keys(i["owner"]), un(i["room"]), un(i["member"]),
                                     un(i["prefix"]), i["time"])  # fmt: skip
    return {"signed": signed.hex()}


@operation("check repair request")
def _check_repair_request(i: Json) -> Json:
    roster = kept_roster(un(i["roster"]))
    member, prefix = ref.check_repair_request(un(i["signed"]), un(i["room"]), roster, i["now"])
    return {"member": member.id.hex(), "prefix": prefix.hex()}


def repair_request_cases() -> Iterator[Json]:
    """Repair requests, step by step (10.12)."""
    roster = roster_of(("ann", OWNER), ("bob", MEMBER))
    bob = roster.members[1]
    prefix = b"\x0b" * 8
    yield case("membership-repair-request", "EPOCH-22", "bob asks for what he has missed",
               "make repair request", {
                   "owner": keys_json(keys_of("bob")), "room": ROOM.hex(), "member": bob.id.hex(),
                   "prefix": prefix.hex(), "time": NOW}, features="signed")  # fmt: skip

    def signed(
        room: Any = ROOM, member: Any = bob.id, its: Any = prefix, time: Any = NOW, *rest: Any,
        by: str = "bob", label: bytes = b"repair request",
    ) -> bytes:  # fmt: skip
        body = ref.encode([1, 19, room, member, its, time, *rest])
        return ref.build("signed object", body, ref.sign(keys_of(by).seed, label, body))

    def check(
        name: str, data: bytes, reason: str | None = None, mutation: str = "",
        comment: str = "", spec: str = "",
    ) -> Json:  # fmt: skip
        return case(f"membership-repair-check-{name}", f"EPOCH-22 {spec}".strip(),
                    comment or mutation, "check repair request", {
                        "signed": data.hex(), "room": ROOM.hex(), "now": NOW,
                        "roster": roster.encode().hex()}, reason,
                    parent="membership-repair-check-member" if reason else None,
                    mutation=mutation if reason else None, features="signed")  # fmt: skip

    good = signed()
    body, signature = ref.parse(good, "signed object")
    yield check("member", good, comment="a request of a member")
    yield check("owner", signed(member=roster.members[0].id, by="ann"), comment="of the owner")
    yield check("72-hours", signed(time=NOW - HOURS_72), comment="72 h old", spec="LIMIT-36")
    yield check("300-ahead", signed(time=NOW + 300), comment="300 s ahead of the clock",
                spec="LIMIT-13")  # fmt: skip
    for name, data, reason, mutation, spec in (
        ("other-room", signed(bytes(32)), "unknown-room", "another room", ""),
        ("nobody", signed(member=bytes(32)), "unknown-member", "a member that nobody is", ""),
        ("by-another", signed(by="ann"), "bad-signature", "signed by another member", ""),
        ("by-a-stranger", signed(by="eve"), "bad-signature", "signed by a stranger", ""),
        ("label", signed(label=b"resync request"), "bad-signature",
         "signed under the label of a resync request", ""),
        ("signature-changed", ref.build("signed object", body, changed_byte(signature)),
         "bad-signature", "a bit of the signature", ""),
        ("past-72-hours", signed(time=NOW - HOURS_72 - 1), "expired", "72 h and 1 s old",
         "LIMIT-36"),
        ("301-ahead", signed(time=NOW + 301), "early-commit", "301 s ahead of the clock",
         "LIMIT-13"),
        ("prefix-7", signed(its=bytes(7)), "bad-form", "a prefix of 7 bytes", ""),
        ("time-past", signed(time=2**40), "bad-form", "a time of 2^40", ""),
        ("more", signed(ROOM, bob.id, prefix, NOW, None), "bad-form", "nil as another field", ""),
        ("leave-request", leave("bob", bob), "wrong-type", "a leave request in its place",
         "FORM-02"),
        ("body-alone", body, "wrong-type", "without its signature", "FORM-02"),
    ):  # fmt: skip
        yield check(name, data, reason, mutation, spec=spec)
    for name, data, reason, mutation, first in (
        ("room-before-member", signed(bytes(32), bytes(32)), "unknown-room",
         "another room, and nobody", "the room"),
        ("member-before-signature", signed(member=bytes(32), by="ann"), "unknown-member",
         "nobody, and signed by another", "the member"),
        ("signature-before-age", signed(time=NOW - HOURS_72 - 1, by="ann"), "bad-signature",
         "signed by another, and 72 h and 1 s old", "the signature"),
    ):  # fmt: skip
        yield check(name, data, reason, mutation, comment=f"two faults: first {first}")
