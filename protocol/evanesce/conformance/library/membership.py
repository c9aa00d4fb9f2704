"""Operations of chapter 9: credentials, rosters, leave requests, and what a commit may do."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ...identity import Identity
from ...keypackage import KeyPackage
from ...membership import Credential, Member, Policy, Role, Roster, make_entry
from ...operations import apply_operations, operation_from_value
from ...primitives import SUITE_1
from ...proofs import Sanction, check_leave_request, leave_request, sign_sanction
from ...repair import RepairRequest
from ...resync import ResyncRequest
from .registry import Json, operation
from .values import identity_keys, identity_of, proofs_of, un, untagged

_SHOWN_WHOLE = 256  # members: of a larger roster a case holds the hash


@operation("make member entry")
def _make_member_entry(i: Json) -> Json:
    made = make_entry(
        identity_keys(i["owner"]), un(i["room"]), un(i["member"]), un(i["leaf_key"]),
        un(i["room_sign_key"]), i["version"],
    )  # fmt: skip
    return {"signed": made.signed.hex()}


@operation("read credential")
def _read_credential(i: Json) -> Json:
    identity = identity_of(i["identity"])
    read = Credential.parse(un(i["signed"]), un(i["room"]), un(i["member"]), identity)
    return {
        "leaf_key": read.leaf_key.hex(),
        "room_sign_key": read.room_sign_key.hex(),
        "version": read.version,
        "awaits_refresh": read.awaits_refresh,
    }


@operation("make leave request")
def _make_leave_request(i: Json) -> Json:
    """Only the id and the admission of a member go into its request."""
    nothing = Credential(b"", b"", b"", 0, False)
    member = Member(
        un(i["member"]), Role.MEMBER, 0, Identity(b"", b""), un(i["admission"]), nothing
    )
    return {"signed": leave_request(identity_keys(i["owner"]), un(i["room"]), member).hex()}


@operation("check leave request")
def _check_leave_request(i: Json) -> Json:
    room = un(i["room"])
    roster = Roster.parse(un(i["roster"]), room, verified=True)
    return {"member": check_leave_request(un(i["signed"]), room, roster).id.hex()}


@operation("make sanction")
def _make_sanction(i: Json) -> Json:
    role, spared = i["role"], i["spared"]
    made = sign_sanction(
        identity_keys(i["owner"]), un(i["room"]), un(i["member"]), un(i["admission"]),
        un(i["author"]), None if role is None else Role(role), i["epoch"],
        None if spared is None else [un(prefix) for prefix in spared],
    )  # fmt: skip
    return {"signed": made.signed.hex()}


@operation("check sanction")
def _check_sanction(i: Json) -> Json:
    room = un(i["room"])
    roster = Roster.parse(un(i["roster"]), room, verified=True)
    sanction = Sanction.parse(un(i["signed"]))
    member = sanction.check(room, roster)
    role = None if sanction.role is None else int(sanction.role)
    return {"member": member.id.hex(), "author": sanction.author.hex(), "role": role}


@operation("make resync request")
def _make_resync_request(i: Json) -> Json:
    made = ResyncRequest.make(
        identity_keys(i["owner"]), un(i["room"]), un(i["member"]), i["time"],
        KeyPackage.parse(un(i["package"])),
    )  # fmt: skip
    return {"signed": made.signed.hex()}


@operation("check resync request")
def _check_resync_request(i: Json) -> Json:
    room = un(i["room"])
    roster = Roster.parse(un(i["roster"]), room, verified=True)
    algorithms = replace(SUITE_1, number=i["suite"])  # as below
    request = ResyncRequest.parse(un(i["signed"]))
    member = request.check(algorithms, room, roster, i["time"])
    return {"member": member.id.hex(), "package_hash": request.package.hash.hex()}


@operation("make repair request")
def _make_repair_request(i: Json) -> Json:
    made = RepairRequest.make(
        identity_keys(i["owner"]), un(i["room"]), un(i["member"]), un(i["prefix"]), i["time"]
    )
    return {"signed": made.signed.hex()}


@operation("check repair request")
def _check_repair_request(i: Json) -> Json:
    room = un(i["room"])
    roster = Roster.parse(un(i["roster"]), room, verified=True)
    request = RepairRequest.parse(un(i["signed"]))
    member = request.check(room, roster, i["now"])
    return {"member": member.id.hex(), "prefix": request.prefix.hex()}


@operation("read roster")
def _read_roster(i: Json) -> Json:
    roster = Roster.parse(un(i["roster"]), un(i["room"]))
    return {
        "next_seniority": roster.next_seniority,
        "members": [
            {
                "member": row.id.hex(),
                "role": int(row.role),
                "seniority": row.seniority,
                "version": row.credential.version,
                "awaits_refresh": row.credential.awaits_refresh,
                "sponsor": row.sponsor,
                "ranked": row.ranked,
                "resynced": row.resynced,
            }
            for row in roster
        ],
    }


@operation("apply operations")
def _apply_operations(i: Json) -> Json:
    """The roster is one that the device has read before: nothing in it is verified again."""
    room = un(i["room"])
    roster = Roster.parse(un(i["roster"]), room, verified=True)
    # There is one suite; for another number a stand-in, which no key package is of.
    algorithms = replace(SUITE_1, number=i["suite"])
    outcome = apply_operations(
        roster, Policy.from_value(i["policy"]), algorithms, room, i["number"], un(i["transcript"]),
        roster[un(i["committer"])], i["time"],
        [operation_from_value(value) for value in untagged(i["operations"])],
        proofs_of(i["proofs"]),
    )  # fmt: skip
    data, policy = outcome.roster.encode(), outcome.policy.value()
    if len(outcome.roster) > _SHOWN_WHOLE:
        return {"roster_sha256": hashlib.sha256(data).hexdigest(), "policy": policy}
    return {"roster": data.hex(), "policy": policy}
