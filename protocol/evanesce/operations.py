"""The operations of a commit, and who may do them (spec 09).

Authority is judged at the parent: what a commit does early never entitles it to what it does late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .errors import Reason, RemoteError
from .formats import ADD, RESYNC, SET_POLICY, SET_ROLE
from .identity import IdentityKeys
from .keypackage import KeyPackage
from .limits import MAX_COMMIT
from .membership import Credential, Member, Policy, Role, Roster, member_id
from .primitives import Suite
from .proofs import Proof, Sanction, made_for, sanction
from .resync import ResyncRequest
from .wire import Value, decode, encode

__all__ = ["Add", "Operation", "Outcome", "Remove", "Resync", "SetPolicy", "SetRole", "Wish",
           "apply_operations", "dump_operations", "load_operations", "operation_from_value",
           "signed_operations"]  # fmt: skip


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
    """Remove a member: a wish, which its author has yet to sign as a sanction.

    Its admission hash makes sure that the one meant is the one removed.
    """

    member: bytes
    admission: bytes


@dataclass(frozen=True, slots=True)
class SetRole:
    """Give a member another role. As a wish it may lower another's; as an operation it may not."""

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


Operation = Add | Sanction | SetRole | SetPolicy | Resync
Wish = Operation | Remove


def operation_from_value(value: list[Any]) -> Operation:
    """Read an operation's wire form; a key package in it is verified (REQ-EPOCH-11)."""
    match value:
        case [0, signed, role]:
            return Add(KeyPackage.parse(signed), Role(role))
        case [1, signed]:
            return Sanction.parse(signed)
        case [2, member, role]:
            return SetRole(member, Role(role))
        case [3, policy]:
            return SetPolicy(Policy.from_value(policy))
        case [4, request]:
            return Resync(ResyncRequest.parse(request))
    raise RemoteError(Reason.BAD_FORM, "unknown operation")


def signed_operations(
    owner: IdentityKeys,
    room: bytes,
    me: Member,
    roster: Roster,
    number: int,
    wishes: Sequence[Wish],
) -> list[Operation]:
    """What an application wishes, as operations of a commit on epoch `number`.

    Removals and demotions of others become sanctions (REQ-MEM-14). Raise `RemoteError`
    (unknown-member): not in the roster, or by another admission.
    """
    made: list[Operation] = []
    for wish in wishes:
        role: Role | None = None
        match wish:
            case Remove(member, admission):
                if roster[member].admission != admission:
                    raise RemoteError(Reason.UNKNOWN_MEMBER, "a removal names another admission")
            case SetRole(member, role) if member != me.id and role < roster[member].role:
                pass
            case _:
                made.append(wish)
                continue
        made.append(sanction(owner, room, me, roster[member], role, roster, number))
    return made


def dump_operations(operations: Sequence[Operation]) -> bytes:
    """The operations of a commit of one's own, to be committed again if it loses."""
    return encode([operation.value() for operation in operations])


def load_operations(data: bytes) -> list[Operation]:
    """Undo `dump_operations`."""
    values: list[list[Any]] = decode(data, limit=MAX_COMMIT)
    return [operation_from_value(value) for value in values]


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
    number: int,
    transcript: bytes,
    committer: Member,
    time: int,
    operations: Sequence[Operation],
    proofs: Sequence[Proof],
) -> Outcome:
    """Apply proofs, then operations in order, to the parent's roster and policy (REQ-MEM-07).

    `number` and `transcript` are the parent's. Raise `RemoteError`: unknown-member, not-entitled,
    already-member, too-many-members, expired, unknown-suite, wrong-mode, bad-proof, bad-signature,
    replay, and those of `ResyncRequest.check`, for the first proof or operation at fault.
    """
    result, rules, opened = roster, policy, number + 1
    removed: list[Member] = []
    resynced: dict[bytes, ResyncRequest] = {}
    for proof in proofs:
        if proof.check(room, roster).id == committer.id:
            raise RemoteError(Reason.BAD_PROOF, "a proof is committed by another than its target")
        result, out = proof.apply(result, roster, opened)
        removed += out
    for index, operation in enumerate(operations):
        if not isinstance(operation, Sanction):
            _check_entitled(committer, operation, roster, policy)
        match operation:
            case Add(package, role):
                if package.suite != algorithms:
                    raise RemoteError(Reason.UNKNOWN_SUITE, "a key package of another suite")
                if time > package.expiry:
                    raise RemoteError(Reason.EXPIRED, "the key package had expired")
                result = result.admit(
                    member_id(room, transcript, package.hash, index), role, package,
                    sponsor=committer.seniority, epoch=opened,
                )  # fmt: skip
            case Sanction():
                target = operation.check(room, roster)
                due = made_for(committer, target, operation.role, roster, number)
                if operation.author != committer.id or (operation.epoch, operation.spared) != due:
                    raise RemoteError(Reason.BAD_PROOF, "a sanction made for another commit")
                result, out = operation.apply(result, roster, opened)
                removed += out
            case SetRole(member, role):
                result = result.change(member, role=role, epoch=opened)
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
        raise RemoteError(Reason.NOT_ENTITLED, "the committer goes with the one who admitted it")
    gone = {member.id for member in removed}
    added = tuple(m for m in result if m.id not in roster)
    result = result.with_owner(opened)
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
        case SetRole(member, role):
            target = roster[member]
            if target.id == committer.id and role < own:
                return
            if role < target.role:
                pass  # lowering another is a sanction
            elif committer.outranks(target) and (own == Role.OWNER or Role.MEMBER <= role < own):
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
