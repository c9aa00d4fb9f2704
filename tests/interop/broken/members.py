"""Mistakes with members, roles and rights (chapter 9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evanesce import membership, operations, primitives, proofs
from evanesce.errors import Reason, RemoteError
from evanesce.formats import LEAVE_REQUEST
from evanesce.identity import open_signed
from evanesce.membership import Credential, Member, Role, Roster
from evanesce.proofs import Sanction

from .flaw import Patch, flaw


@flaw(
    "no-owner-by-derivation",
    "membership-apply-derived-last-one",
    "room-apply-owner-lowers-itself",
)
def _(patch: Patch) -> None:
    """Leaves a room without an owner when the last one goes."""
    patch.here(Roster, "with_owner", lambda roster, epoch: roster)


@flaw(
    "owner-by-seniority",
    "membership-apply-derived-owner-leaves",
    "membership-apply-derived-senior-admin",
)
def _(patch: Patch) -> None:
    """Makes the longest member owner, whatever its role, when the last owner goes."""

    def with_owner(roster: Roster, epoch: int) -> Roster:
        if not roster.members or any(m.role == Role.OWNER for m in roster):
            return roster
        return roster.change(min(roster, key=lambda m: m.seniority).id, role=Role.OWNER,
                             epoch=epoch)  # fmt: skip

    patch.here(Roster, "with_owner", with_owner)


@flaw(
    "owners-all-equal",
    "membership-apply-right-owner-removes-younger-owner",
    "membership-apply-right-owner-demotes-younger-owner-to-admin",
    "membership-apply-right-owner-makes-younger-owner-owner",
)
def _(patch: Patch) -> None:
    """Lets no owner remove another."""
    patch.here(Member, "outranks", lambda me, other: me.role > other.role)


@flaw(
    "owners-remove-each-other",
    "membership-apply-right-owner-removes-older-owner",
    "membership-apply-right-owner-demotes-older-owner-to-admin",
    "membership-apply-right-owner-makes-older-owner-owner",
)
def _(patch: Patch) -> None:
    """Lets any owner remove any other: two can remove each other at once."""
    patch.here(
        Member, "outranks", lambda me, other: me.role > other.role or me.role == Role.OWNER
    )


@flaw(
    "admins-make-admins",
    "room-make-admin-adds-admin",
    "membership-apply-role-by-admin",
    "membership-apply-right-admin-adds-admin",
)
def _(patch: Patch) -> None:
    """Lets an admin give the role that it has itself."""
    strict = vars(operations)["_check_entitled"]

    def check(me: Member, operation: Any, roster: Roster, policy: Any) -> None:
        if isinstance(operation, operations.Add | operations.SetRole) and operation.role == me.role:
            operation = replace(operation, role=Role.MEMBER)
        strict(me, operation, roster, policy)

    patch.here(operations, "_check_entitled", check)


@flaw("rights-not-checked", "room-apply-admin-sets-policy", "room-make-admin-adds-owner")
def _(patch: Patch) -> None:
    """Trusts the sender's user interface to offer nothing that is not allowed."""
    patch.here(operations, "_check_entitled", lambda *_: None)


@flaw(
    "rights-after-operations",
    "membership-apply-derived-new-owner",
    "membership-apply-right-admin-becomes-owner",
    "membership-apply-right-owner-becomes-admin",
)
def _(patch: Patch) -> None:
    """Judges rights on the roster as earlier operations of the commit have left it."""
    strict = operations.apply_operations

    def apply_operations(*given: Any) -> Any:
        roster, policy, suite, room, number, transcript, committer, time, steps, proofs = given
        raised = roster
        for step in steps:
            if isinstance(step, operations.SetRole) and step.member in raised:
                raised = raised.change(step.member, role=step.role, epoch=number)
            if isinstance(step, operations.SetPolicy):
                policy_then = step.policy
                policy = replace(policy, members_may_add=policy_then.members_may_add)
        return strict(roster, policy, suite, room, number, transcript, raised[committer.id], time,
                      steps, proofs)  # fmt: skip

    patch.everywhere(strict, apply_operations)


@flaw(
    "admission-not-compared",
    "membership-apply-first-fault",
    "membership-apply-remove-other-admission",
)
def _(patch: Patch) -> None:
    """Removes a member by its id, whichever admission the removal or leave request names."""
    strict = Sanction.check

    def check(sanction: Sanction, room: bytes, roster: Roster, **options: bool) -> Member:
        if sanction.member in roster:
            sanction = replace(sanction, admission=roster[sanction.member].admission)
        return strict(sanction, room, roster, **options)

    patch.here(Sanction, "check", check)


@flaw(
    "leave-request-not-verified",
    "membership-leave-check-changed",
    "membership-leave-check-by-another",
    "membership-apply-proof-not-signed",
)
def _(patch: Patch) -> None:
    """Takes a leave request without its signature: any member can make another leave."""
    patch.here(proofs, "verify", lambda *_: None)


@flaw(
    "leave-request-of-any-admission",
    "membership-leave-check-other-admission",
    "membership-apply-proof-other-admission",
    "room-apply-proof-other-admission",
)
def _(patch: Patch) -> None:
    """Takes a leave request that was made at an earlier stay in the room."""

    def check(signed: bytes, room: bytes, roster: Roster, **_: bool) -> Member:
        body, signature = open_signed(signed)
        its_room, member, _ = LEAVE_REQUEST.parse(body)
        if its_room != room:
            raise RemoteError(Reason.BAD_PROOF, "another room")
        leaver = roster[member]
        primitives.verify(leaver.identity.sign_key, signature, b"leave request", body)
        return leaver

    patch.everywhere(proofs.check_leave_request, check)


@flaw(
    "leave-request-of-any-room",
    "membership-leave-check-other-room",
    "membership-apply-proof-other-room",
    "membership-apply-proof-before-right",
)
def _(patch: Patch) -> None:
    """Takes a leave request that was signed for another room."""
    strict = proofs.check_leave_request

    def check(signed: bytes, room: bytes, roster: Roster, **options: bool) -> Member:
        body, _ = open_signed(signed)
        return strict(signed, LEAVE_REQUEST.parse(body)[0], roster, **options)

    patch.everywhere(strict, check)


@flaw("identity-twice", "room-apply-add-twice", "room-apply-add-member")
def _(patch: Patch) -> None:
    """Looks for member ids when it admits, and not for identities."""
    strict = Roster.admit

    def admit(
        roster: Roster, member: bytes, role: Role, package: Any, **where: int
    ) -> Roster:
        class Blind(Roster):
            def of(self, identity: Any) -> None:
                return None

        made = strict(Blind(roster.members, roster.next_seniority), member, role, package, **where)
        return Roster(made.members, made.next_seniority)

    patch.here(Roster, "admit", admit)


@flaw("seniority-by-count", "membership-apply-leave-and-readmit", "room-apply-all-at-once")
def _(patch: Patch) -> None:
    """Gives a new member the number of members as its seniority: after a removal it comes twice."""
    strict = Roster.admit

    def admit(
        roster: Roster, member: bytes, role: Role, package: Any, **where: int
    ) -> Roster:
        return strict(replace(roster, next_seniority=len(roster)), member, role, package, **where)

    patch.here(Roster, "admit", admit)


@flaw("committer-moves-to-the-end", "room-apply-refresh")
def _(patch: Patch) -> None:
    """Takes the committer's row out and appends the new one."""
    strict = operations.with_committer

    def with_committer(outcome: Any, me: bytes, credential: Credential) -> Roster:
        made = strict(outcome, me, credential)
        rest = {member: row for member, row in made.members.items() if member != me}
        return Roster({**rest, me: made.members[me]}, made.next_seniority)

    patch.everywhere(strict, with_committer)


@flaw("admission-by-entry", "room-apply-refresh")
def _(patch: Patch) -> None:
    """Takes the hash of the newest entry as a member's admission."""
    strict = operations.with_committer

    def with_committer(outcome: Any, me: bytes, credential: Credential) -> Roster:
        made = strict(outcome, me, credential)
        admission = primitives.H(b"creator admission", credential.signed)
        row = replace(made.members[me], admission=admission)
        return Roster({**made.members, me: row}, made.next_seniority)

    patch.everywhere(strict, with_committer)


@flaw("members-always-add", "room-make-member-adds", "membership-apply-right-member-adds-member")
def _(patch: Patch) -> None:
    """Lets every member add others, whatever the policy says."""
    strict = vars(operations)["_check_entitled"]

    def check(me: Member, operation: Any, roster: Roster, policy: Any) -> None:
        strict(me, operation, roster, replace(policy, members_may_add=True))

    patch.here(operations, "_check_entitled", check)


@flaw("members-never-add", "membership-apply-right-member-adds-member-if-members-may")
def _(patch: Patch) -> None:
    """Lets no member add others, although the policy allows it."""
    strict = vars(operations)["_check_entitled"]

    def check(me: Member, operation: Any, roster: Roster, policy: Any) -> None:
        strict(me, operation, roster, replace(policy, members_may_add=False))

    patch.here(operations, "_check_entitled", check)


@flaw(
    "adding-with-any-role",
    "room-make-member-adds-admin",
    "membership-apply-right-admin-adds-owner-if-members-may",
    "membership-apply-right-member-adds-admin-if-members-may",
)
def _(patch: Patch) -> None:
    """Where members may add, lets them give any role."""
    strict = vars(operations)["_check_entitled"]

    def check(me: Member, operation: Any, roster: Roster, policy: Any) -> None:
        if isinstance(operation, operations.Add) and policy.members_may_add:
            return
        strict(me, operation, roster, policy)

    patch.here(operations, "_check_entitled", check)


@flaw(
    "nobody-lowers-itself",
    "membership-apply-derived-new-owner",
    "membership-apply-right-owner-becomes-admin",
    "membership-apply-right-admin-becomes-member",
)
def _(patch: Patch) -> None:
    """Does not let a member lower its own role."""
    strict = vars(operations)["_check_entitled"]

    def check(me: Member, operation: Any, roster: Roster, policy: Any) -> None:
        if isinstance(operation, operations.SetRole) and operation.member == me.id:
            raise RemoteError(Reason.NOT_ENTITLED, "one's own role")
        strict(me, operation, roster, policy)

    patch.here(operations, "_check_entitled", check)


@flaw("member-id-without-index", "epoch-member-id-1", "epoch-member-id-127", "epoch-member-id-128")
def _(patch: Patch) -> None:
    """Leaves the place of the operation out of a member's id."""
    honest = membership.member_id
    patch.everywhere(honest, lambda room, transcript, package, index: honest(
        room, transcript, package, 0))  # fmt: skip
