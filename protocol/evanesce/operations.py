"""The operations of a commit, and who may do them (spec 09).

Authority is judged at the parent: what a commit does early never entitles it to what it does late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .errors import Reason, RemoteError
from .formats import ADD, LEAVE_REQUEST, REMOVE, RESYNC, SET_POLICY, SET_ROLE
from .identity import IdentityKeys, open_signed, seal_signed
from .keypackage import KeyPackage
from .membership import Credential, Member, Policy, Role, Roster, member_id
from .primitives import Suite, verify
from .resync import ResyncRequest
from .wire import Value

__all__ = ["Add", "Outcome", "Remove", "Resync", "SetPolicy", "SetRole", "apply_operations",
           "leave_request", "operation_from_value"]  # fmt: skip

_LEAVE_LABEL = b"leave request"
LEAVE_PROOF = 0


@dataclass(frozen=True, slots=True)
class Add:
    """Admit the owner of a key package."""

    package: KeyPackage
    role: Role = Role.MEMBER

    def value(self) -> list[Value]:
        """The wire form."""
        return [ADD, self.package.signed, int(self.role)]


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a member; its admission hash makes sure that the one meant is the one removed."""

    member: bytes
    admission: bytes

    def value(self) -> list[Value]:
        """The wire form."""
        return [REMOVE, self.member, self.admission]


@dataclass(frozen=True, slots=True)
class SetRole:
    """Give a member another role."""

    member: bytes
    role: Role

    def value(self) -> list[Value]:
        """The wire form."""
        return [SET_ROLE, self.member, int(self.role)]


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """Change the room's policy; the mode stays."""

    policy: Policy

    def value(self) -> list[Value]:
        """The wire form."""
        return [SET_POLICY, self.policy.value()]


@dataclass(frozen=True, slots=True)
class Resync:
    """Let a member in anew, at its own signed request."""

    request: ResyncRequest

    def value(self) -> list[Value]:
        """The wire form."""
        return [RESYNC, self.request.signed]


Operation = Add | Remove | SetRole | SetPolicy | Resync


def operation_from_value(value: list[Any]) -> Operation:
    """Read an operation's wire form; a key package in it is verified (REQ-EPOCH-11)."""
    match value:
        case [0, signed, role]:
            return Add(KeyPackage.parse(signed), Role(role))
        case [1, member, admission]:
            return Remove(member, admission)
        case [2, member, role]:
            return SetRole(member, Role(role))
        case [3, policy]:
            return SetPolicy(Policy.from_value(policy))
        case [4, request]:
            return Resync(ResyncRequest.parse(request))
    raise RemoteError(Reason.BAD_FORM, "unknown operation")


def leave_request(owner: IdentityKeys, room: bytes, member: Member) -> bytes:
    """Sign a request to be removed (REQ-MEM-06)."""
    body = LEAVE_REQUEST.build(room, member.id, member.admission)
    return seal_signed(owner.sign_private.reveal(), _LEAVE_LABEL, body)


def check_leave_request(signed: bytes, room: bytes, roster: Roster) -> Member:
    """Return who asks to leave. Raise `RemoteError`: bad-proof, unknown-member, bad-signature."""
    body, signature = open_signed(signed)
    request_room, member, admission = LEAVE_REQUEST.parse(body)
    if request_room != room:
        raise RemoteError(Reason.BAD_PROOF, "a leave request for another room")
    leaver = roster[member]
    if admission != leaver.admission:
        raise RemoteError(Reason.BAD_PROOF, "a leave request for another admission")
    verify(leaver.identity.sign_key, signature, _LEAVE_LABEL, body)
    return leaver


@dataclass(frozen=True, slots=True)
class Outcome:
    """What operations and proofs make of a room, before the committer's own new entry."""

    roster: Roster
    policy: Policy
    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    resynced: tuple[ResyncRequest, ...] = ()  # one for each member let in anew, in order


def apply_operations(
    roster: Roster,
    policy: Policy,
    algorithms: Suite,
    room: bytes,
    transcript: bytes,
    committer: Member,
    time: int,
    operations: Sequence[Operation],
    proofs: Sequence[bytes],
) -> Outcome:
    """Apply proofs, then operations in order, to the parent's roster and policy (REQ-MEM-07).

    Raise `RemoteError`: unknown-member, not-entitled, already-member, too-many-members, expired,
    unknown-suite, wrong-mode, bad-proof, bad-signature, and those of `ResyncRequest.check`, for
    the first operation at fault.
    """
    result, rules, removed = roster, policy, []
    resynced: dict[bytes, ResyncRequest] = {}
    for proof in proofs:
        leaver = check_leave_request(proof, room, roster)
        if leaver.id == committer.id:
            raise RemoteError(Reason.BAD_PROOF, "leaving is committed by another member")
        result = result.remove(leaver.id)
        removed.append(leaver)
    for index, operation in enumerate(operations):
        _check_entitled(committer, operation, roster, policy)
        match operation:
            case Add(package, role):
                if package.suite != algorithms:
                    raise RemoteError(Reason.UNKNOWN_SUITE, "a key package of another suite")
                if time > package.expiry:
                    raise RemoteError(Reason.EXPIRED, "the key package had expired")
                result = result.admit(
                    member_id(room, transcript, package.hash, index), role, package
                )
            case Remove(member, admission):
                target = result[member]
                if target.admission != admission:
                    raise RemoteError(Reason.UNKNOWN_MEMBER, "removal names another admission")
                result = result.remove(member)
                removed.append(target)
            case SetRole(member, role):
                result = result.change(member, role=role)
            case SetPolicy(new):
                if new.mode != policy.mode:
                    raise RemoteError(Reason.WRONG_MODE, "a room's mode never changes")
                new.check()
                rules = new
            case Resync(request):
                member = request.check(algorithms, room, result, time).id
                result = result.resync(member, request.package, request.time)
                resynced.pop(member, None)  # of two requests the last counts, at its place
                resynced[member] = request
    if committer.id not in result:
        raise RemoteError(Reason.NOT_ENTITLED, "a committer cannot remove itself")
    gone = {member.id for member in removed}
    added = tuple(m for m in result if m.id not in roster)
    result = result.with_owner()
    return Outcome(
        result, rules, added, tuple(m for m in roster if m.id in gone),
        tuple(request for member, request in resynced.items() if member in result),
    )  # fmt: skip


def _check_entitled(
    committer: Member, operation: Operation, roster: Roster, policy: Policy
) -> None:
    """Check one operation against the rights its author has at the parent (REQ-MEM-05)."""
    own = committer.role
    match operation:
        case Add(_, role):
            may_add = own >= Role.ADMIN or policy.members_may_add
            if may_add and (role < own or own == Role.OWNER or role == Role.MEMBER):
                return
        case Remove(member, _):
            if own >= Role.ADMIN and committer.outranks(roster[member]):
                return
        case SetRole(member, role):
            target = roster[member]
            if target.id == committer.id and role < own:
                return
            if committer.outranks(target) and (own == Role.OWNER or Role.MEMBER <= role < own):
                return
        case Resync(request):
            if roster[request.member].id != committer.id:
                return
        case SetPolicy():
            if own == Role.OWNER:
                return
    raise RemoteError(Reason.NOT_ENTITLED, "the committer has no right to this operation")


def with_committer(outcome: Outcome, committer: bytes, credential: Credential) -> Roster:
    """The resulting roster: the outcome with the committer's new entry in its place."""
    return outcome.roster.change(committer, credential=credential)
