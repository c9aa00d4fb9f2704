"""Requests for resync and repair: the reference and the library judge random ones alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from spec.cases import common, rights
from spec.cases.common import EXPIRY, NOW
from spec.cases.membership import ADMIN, MEMBER, OWNER, ROOM, leave, roster_of
from spec.cases.repair_requests import repair_request_cases
from spec.cases.requests import HOURS_72, asks, keys_of, package_of
from spec.cases.sanctions import sanction_cases

from evanesce.conformance.library import OPERATIONS
from evanesce.errors import EvanesceError
from spec import reference as ref

Json = dict[str, Any]
ROSTER = roster_of(("ann", OWNER), ("bob", MEMBER), ("cid", ADMIN))
IDS = dict(zip(("ann", "bob", "cid"), ref.ids_of(ROSTER), strict=True)) | {"nobody": bytes(32)}
PEOPLE = st.sampled_from(["ann", "bob", "cid"])
# Moments about the limits of a request, of its package and of the last one that was granted.
MOMENTS = st.sampled_from([
    NOW - HOURS_72 - 1, NOW - HOURS_72, NOW - 1, NOW, NOW + 1, NOW + 300, NOW + 301,
])  # fmt: skip
NUMBER = 4
SEEN: dict[str, set[str]] = {}
ALIKE = settings(deadline=None, derandomize=True)  # so that what has to come up does come up
# Their modules have registered the operations.
assert callable(repair_request_cases)
assert callable(sanction_cases)


def outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except ref.Refused as refused:
        return "refused", refused.reason
    except EvanesceError as error:
        return "refused", str(error.reason)


def agree(op: str, given: Json) -> None:
    """Both give the same, and what came is remembered."""
    made = outcome(lambda: common.OPERATIONS[op](given))
    assert outcome(lambda: OPERATIONS[op](given)) == made
    SEEN.setdefault(op, set()).add(made[1] if isinstance(made, tuple) else "valid")


def mostly(good: Any, *others: Any) -> st.SearchStrategy[Any]:
    """A strategy that is right more often than not: several faults at once hide each other."""
    return st.sampled_from([good] * (4 * len(others)) + list(others))


def others(*names: str, but: str) -> list[str]:
    return [name for name in names if name != but]


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """A resync request, and whose place it is meant for."""
    who = draw(PEOPLE)
    owner = draw(mostly(who, *others("ann", "bob", "cid", "eve", but=who)))
    package = package_of(owner, *draw(mostly(
        ("anew", EXPIRY, False), ("again", EXPIRY, False), ("last", EXPIRY, True),
        ("due", NOW, False), ("past", NOW - 1, False),
    )))  # fmt: skip
    return who, asks(
        who, IDS[draw(mostly(who, *others(*IDS, but=who)))],
        time=draw(MOMENTS), room=draw(mostly(ROOM, bytes(32))), package=package,
        by=draw(mostly(who, *others("ann", "bob", "cid", but=who))),
        label=draw(mostly(b"resync request", b"repair request", b"leave request")),
    )  # fmt: skip


@st.composite
def rosters(draw: st.DrawFn) -> ref.Roster:
    """The roster, with members that have been let in anew before."""
    rows = []
    for name, row in zip(("ann", "bob", "cid"), ROSTER.members, strict=True):
        package, granted = package_of(name), draw(st.sampled_from([None, None, NOW - 1, NOW]))
        place = draw(st.sampled_from(["elsewhere", "elsewhere", "credential", "admission"]))
        anew = row._replace(resynced=granted)
        if place == "credential":
            anew = anew._replace(signed=package)
        if place == "admission":
            anew = anew._replace(admission=ref.H(b"key package", package))
        rows.append(anew)
    return ref.Roster(ROSTER.next_seniority, rows)


@settings(ALIKE, max_examples=500)
@given(requests(), rosters(), mostly(1, 2), st.integers(0, 200), mostly(False, True))
def resync_request(
    request: tuple[str, bytes], roster: ref.Roster, suite: int, at: int, damage: bool
) -> None:
    data = bytearray(request[1])
    if damage:
        data[at] ^= 1
    agree("check resync request", {
        "signed": data.hex(), "suite": suite, "room": ROOM.hex(),
        "roster": roster.encode().hex(), "time": NOW})  # fmt: skip


def test_resync_requests() -> None:
    resync_request()
    reasons = {"valid", "bad-proof", "wrong-identity", "bad-signature", "expired", "replay",
               "unknown-suite", "used-package", "unknown-member"}  # fmt: skip
    assert reasons - SEEN["check resync request"] == set()


@settings(ALIKE, max_examples=200)
@given(PEOPLE, st.data(), MOMENTS, st.integers(0, 180), mostly(False, True))
def repair_request(who: str, data: st.DataObject, time: int, at: int, damage: bool) -> None:
    member = IDS[data.draw(mostly(who, *others(*IDS, but=who)))]
    room, label = data.draw(mostly(ROOM, bytes(32))), data.draw(mostly(b"repair request", b"x"))
    body = ref.build("repair request", room, member, b"\x0b" * 8, time)
    by = data.draw(mostly(who, *others("ann", "bob", "cid", but=who)))
    signed = ref.build("signed object", body, ref.sign(keys_of(by).seed, label, body))
    changed = bytearray(signed)
    if damage:
        changed[at % len(changed)] ^= 1
    agree("check repair request", {
        "signed": changed.hex(), "room": ROOM.hex(), "now": NOW,
        "roster": ROSTER.encode().hex()})  # fmt: skip


def test_repair_requests() -> None:
    repair_request()
    reasons = {"valid", "unknown-room", "unknown-member", "bad-signature", "expired",
               "early-commit"}  # fmt: skip
    assert reasons - SEEN["check repair request"] == set()


@st.composite
def sanctions(draw: st.DrawFn, who: str) -> bytes:
    """A removal or demotion of a member, by another."""
    author = draw(PEOPLE)
    row, signer = ROSTER.find(IDS[who]), draw(mostly(author, *others("ann", "bob", but=author)))
    role = draw(st.sampled_from([None, None, MEMBER, ADMIN]))
    return ref.sign_sanction(
        keys_of(signer), draw(mostly(ROOM, bytes(32))), row.id,
        draw(mostly(row.admission, bytes(32))), IDS[author], role,
        draw(mostly(NUMBER, 0, NUMBER + 1, 2**32 - 1)),
        draw(mostly(None if role is not None else [], [bytes(8)], None)),
    )  # fmt: skip


@settings(ALIKE, max_examples=300)
@given(st.data(), PEOPLE, st.integers(0, 320), mostly(False, True))
def sanction(data: st.DataObject, who: str, at: int, damage: bool) -> None:
    signed = bytearray(data.draw(sanctions(who)))
    if damage:
        signed[at % len(signed)] ^= 1
    agree("check sanction", {
        "signed": signed.hex(), "room": ROOM.hex(), "roster": ROSTER.encode().hex()
    })  # fmt: skip


def test_sanctions() -> None:
    sanction()
    reasons = {"valid", "bad-proof", "not-entitled", "bad-signature"}
    assert reasons - SEEN["check sanction"] == set()


@st.composite
def operations(draw: st.DrawFn) -> list[Any]:
    who, request = draw(requests())
    row = ROSTER.find(IDS[who])
    return list(draw(st.sampled_from([
        [ref.RESYNC, request], [ref.RESYNC, request], [ref.RESYNC, request],
        [ref.SANCTION, draw(sanctions(who))], [ref.SET_ROLE, row.id, ADMIN],
        [ref.ADD, package_of("eve"), MEMBER],
    ])))  # fmt: skip


@settings(ALIKE, max_examples=300)
@given(PEOPLE, st.lists(operations(), max_size=4), st.lists(PEOPLE, max_size=1), rosters(),
       st.lists(PEOPLE.flatmap(sanctions), max_size=2))  # fmt: skip
def applied(
    committer: str,
    operations: list[list[Any]],
    leaving: list[str],
    roster: ref.Roster,
    sanctioned: list[bytes],
) -> None:
    proofs = [[ref.LEAVES, leave(who, ROSTER.find(IDS[who])).hex()] for who in leaving]
    proofs += [[ref.SANCTIONED, each.hex()] for each in sanctioned]
    agree("apply operations", {
        "roster": roster.encode().hex(), "policy": rights.MAY_ADD, "suite": 1, "room": ROOM.hex(),
        "transcript": rights.TRANSCRIPT.hex(), "committer": IDS[committer].hex(), "time": NOW,
        "operations": common.tagged(operations), "proofs": proofs, "number": NUMBER,
    })  # fmt: skip


def test_operations_with_a_resync() -> None:
    applied()
    reasons = {"valid", "not-entitled", "unknown-member", "bad-proof"}
    assert reasons <= SEEN["apply operations"]
