"""membership.json, last part: which of two faults of a request is told (9.8, 10.12).

Each case has two faults that stand next to each other in the steps, or that a reader might look at
in another order.
"""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import EXPIRY, NOW, Json, case
from spec.cases.membership import ADMIN, MEMBER, OWNER, ROOM, leave, roster_of
from spec.cases.requests import HOURS_72, asks, keys_of, package_of

from spec import reference as ref

NOBODY = bytes(32)


def request_order_cases() -> Iterator[Json]:
    yield from resync_orders()
    yield from repair_orders()


def resync_orders() -> Iterator[Json]:
    roster = roster_of(("ann", OWNER), ("bob", MEMBER), ("cid", ADMIN))
    _, bob, _ = roster.members
    last = package_of("bob", "last", EXPIRY, True)
    past, past_last = (package_of("bob", f"past-{kind}", NOW - 1, kind) for kind in (False, True))
    own = package_of("bob", "entry")
    old = HOURS_72 + 1

    def with_row(**changes: Any) -> ref.Roster:
        return roster.replace(bob._replace(**changes))

    def admitted_by(package: bytes, **changes: Any) -> ref.Roster:
        return with_row(admission=ref.H(b"key package", package), **changes)

    body, _ = ref.parse(asks("bob", bob.id), "signed object")
    later, ahead = NOW + 1_000, NOW + 301
    for name, data, reason, first, mutation, rows, suite in (
        ("form-before-signature", ref.build("signed object", body[:-1], bytes(64)), "truncated",
         "the form of the request", "the last byte of the body left out, and a signature of zeros",
         roster, 1),
        ("package-before-member", asks("bob", NOBODY, package=leave("bob", bob)), "wrong-type",
         "the package", "a leave request as package, and the place of nobody", roster, 1),
        ("room-before-identity", asks("bob", bob.id, room=NOBODY, package=package_of("cid")),
         "bad-proof", "the room", "another room, and the package of another", roster, 1),
        ("member-before-identity", asks("bob", NOBODY, package=package_of("eve")),
         "unknown-member", "the member", "the place of nobody, and a stranger's package",
         roster, 1),
        ("member-before-signature", asks("bob", NOBODY, by="cid"), "unknown-member", "the member",
         "the place of nobody, and another's signature", roster, 1),
        ("identity-before-kind", asks("bob", bob.id, package=package_of("cid", "last", EXPIRY,
                                                                        True)),
         "wrong-identity", "the identity", "a last-resort package of another", roster, 1),
        ("signature-before-suite", asks("bob", bob.id, by="cid"), "bad-signature",
         "the signature", "another's signature, in a room of suite 2", roster, 2),
        ("suite-before-kind", asks("bob", bob.id, package=last), "unknown-suite", "the suite",
         "a last-resort package, in a room of suite 2", roster, 2),
        ("suite-before-used", asks("bob", bob.id, package=own), "unknown-suite", "the suite",
         "the package that has admitted it, in a room of suite 2", admitted_by(own), 2),
        ("kind-before-used", asks("bob", bob.id, package=last), "bad-proof", "the kind",
         "the last-resort package that has admitted it", admitted_by(last), 1),
        ("kind-before-expiry", asks("bob", bob.id, package=past_last), "bad-proof", "the kind",
         "a last-resort package that has expired", roster, 1),
        ("used-before-expiry", asks("bob", bob.id, package=past), "used-package",
         "that it was used", "the package that has admitted it, a second past its expiry",
         admitted_by(past), 1),
        ("used-before-age", asks("bob", bob.id, time=NOW - old, package=own), "used-package",
         "that it was used", "the package that is its credential, by a request of 72 h and 1 s",
         with_row(signed=own), 1),
        ("used-before-time", asks("bob", bob.id, time=ahead, package=own), "used-package",
         "that it was used", "the package that has admitted it, 301 s ahead", admitted_by(own), 1),
        ("used-before-replay", asks("bob", bob.id, package=own), "used-package",
         "that it was used", "the package that is its credential, at the time of the last request",
         with_row(signed=own, resynced=NOW), 1),
        ("expiry-before-time", asks("bob", bob.id, time=ahead, package=past), "expired",
         "the expiry", "a package a second past its expiry, by a request 301 s ahead", roster, 1),
        ("expiry-before-replay", asks("bob", bob.id, package=past), "expired", "the expiry",
         "a package a second past its expiry, at the time of the last request",
         with_row(resynced=NOW), 1),
        ("time-before-replay", asks("bob", bob.id, time=ahead), "bad-proof", "the time",
         "301 s ahead, and before the last request", with_row(resynced=later), 1),
    ):  # fmt: skip
        yield case(f"membership-resync-order-{name}", "MEM-13", f"two faults: first {first}",
                   "check resync request", {
                       "signed": data.hex(), "suite": suite, "room": ROOM.hex(),
                       "roster": rows.encode().hex(), "time": NOW}, reason,
                   parent="membership-resync-check-member", mutation=mutation,
                   features="signed")  # fmt: skip


def repair_orders() -> Iterator[Json]:
    roster = roster_of(("ann", OWNER), ("bob", MEMBER))
    _, bob = roster.members
    prefix = b"\x0b" * 8

    def signed(room: bytes, member: bytes, time: int, by: str = "bob") -> bytes:
        body = ref.build("repair request", room, member, prefix, time)
        return ref.build("signed object", body,
                         ref.sign(keys_of(by).seed, b"repair request", body))  # fmt: skip

    elsewhere, signature = ref.parse(signed(NOBODY, bob.id, NOW), "signed object")
    for name, data, reason, first, mutation in (
        ("form-before-room", ref.build("signed object", elsewhere[:-1], signature), "truncated",
         "the form", "another room, and the last byte of the body left out"),
        ("room-before-signature", signed(NOBODY, bob.id, NOW, "ann"), "unknown-room", "the room",
         "another room, and another's signature"),
        ("room-before-age", signed(NOBODY, bob.id, NOW - HOURS_72 - 1), "unknown-room",
         "the room", "another room, and 72 h and 1 s old"),
        ("member-before-age", signed(ROOM, NOBODY, NOW - HOURS_72 - 1), "unknown-member",
         "the member", "nobody, and 72 h and 1 s old"),
        ("signature-before-time", signed(ROOM, bob.id, NOW + 301, "ann"), "bad-signature",
         "the signature", "another's signature, and 301 s ahead: it is not held"),
        ("member-before-time", signed(ROOM, NOBODY, NOW + 301), "unknown-member", "the member",
         "nobody, and 301 s ahead: it is not held"),
    ):  # fmt: skip
        yield case(f"membership-repair-order-{name}", "EPOCH-22", f"two faults: first {first}",
                   "check repair request", {
                       "signed": data.hex(), "room": ROOM.hex(), "now": NOW,
                       "roster": roster.encode().hex()}, reason,
                   parent="membership-repair-check-member", mutation=mutation,
                   features="signed")  # fmt: skip
