"""Commits of a group: making one, and applying another member's (spec 10).

One commit opens the next epoch for all: everyone who stays gets the fresh secret in its slot, and
every chain starts anew from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .commit import Commit, SignedCommit
from .epoch import (
    EpochKeys,
    SealedCommit,
    check_confirmation,
    commit_hash,
    epoch_secret,
    open_slot,
    seal_commit,
    seal_slot,
    transcript_hash,
)
from .errors import HeldError, LocalError, Reason, RemoteError, local_fault
from .formats import COMMIT_COPY, OPERATION_LIMIT
from .founding import Invited, make_welcome
from .identity import IdentityKeys
from .invitation import seal_invitation
from .limits import MAX_CLOCK_LEAD, MAX_PROOFS
from .membership import Credential, Member, Mode, Policy, Role, Roster, make_entry, state_hash
from .operations import (
    Add,
    Operation,
    Remove,
    Resync,
    SetRole,
    apply_operations,
    check_leave_request,
    with_committer,
)
from .primitives import Random, dh_keypair, equal, sign_keypair
from .resync import ResyncRequest
from .state import Epoch, RoomState
from .wire import check_time

__all__ = ["CommitApplied", "CommitMade", "apply_commit", "make_commit"]


@dataclass(frozen=True, slots=True)
class CommitMade:
    """A commit of one's own: a copy for each member of the parent, an invitation for each new one.

    A removed member gets its copy without a slot: it learns that it is out, and no key. So does
    one that is let in anew; it comes back by its invitation.
    """

    copies: dict[bytes, bytes]
    invitations: dict[bytes, bytes]  # by member, in the order of the operations
    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    resynced: tuple[ResyncRequest, ...]
    sealed: bytes  # the sealed commit that all copies hold


@dataclass(frozen=True, slots=True)
class CommitApplied:
    """What another member's commit changed."""

    committer: Member
    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    roles: tuple[tuple[Member, Role], ...]  # the member as it was, and its new role
    policy: Policy | None  # the new one, if it changed
    removed_self: bool
    resynced: tuple[Member, ...] = ()  # those let in anew, as they now stand


def _require_group(state: RoomState) -> None:
    state.require_active()
    if state.mode is Mode.DIRECT:
        raise LocalError(Reason.WRONG_MODE, "a direct room has turns, not commits")


def _pending_proofs(state: RoomState, operations: Sequence[Operation]) -> list[bytes]:
    """The leave requests to embed: still valid, not one's own, not of a member named otherwise."""
    targets = {op.member for op in operations if isinstance(op, Remove | SetRole)}
    targets |= {op.request.member for op in operations if isinstance(op, Resync)}
    proofs = []
    for member, request in state.leaving.items():
        try:
            check_leave_request(request, state.id, state.epoch.roster)
        except RemoteError:
            continue
        if member != state.own and member not in targets:
            proofs.append(request)
    return proofs[:MAX_PROOFS]


def make_commit(
    state: RoomState,
    owner: IdentityKeys,
    operations: Sequence[Operation],
    invited: Sequence[Invited],
    now: int,
    random: Random,
) -> CommitMade:
    """Open the next epoch (REQ-EPOCH-14); `state` is changed last, when nothing can fail any more.

    Members are added after the other `operations`. Known leave requests are embedded; a commit
    with nothing in it is a refresh. Raise `LocalError`: room-closed, wrong-mode, bad-input (an
    `Add` among `operations`), too-large, and the reasons of `apply_operations` and
    `seal_invitation`.
    """
    _require_group(state)
    check_time(now)
    parent = state.epoch
    me = state.me
    handshake, init, signing = parent.handshakes[me.id], parent.inits[me.id], parent.room_sign
    if signing is None:
        raise LocalError(Reason.ROOM_CLOSED, "the room signature key has been erased")
    if any(isinstance(operation, Add) for operation in operations):
        raise LocalError(Reason.BAD_INPUT, "who is added is invited: use `invited`")
    if len(operations) + len(invited) > OPERATION_LIMIT:
        raise LocalError(Reason.TOO_LARGE, f"a commit has at most {OPERATION_LIMIT} operations")
    operations = [*operations, *(Add(guest.package, guest.role) for guest in invited)]
    proofs = _pending_proofs(state, operations)
    with local_fault():
        outcome = apply_operations(
            parent.roster, parent.policy, state.suite, state.id, parent.transcript, me, now,
            operations, proofs,
        )  # fmt: skip
    leaf, leaf_key = dh_keypair(random)
    room_sign, room_sign_key = sign_keypair(random)
    credential = make_entry(
        owner, state.id, me.id, leaf_key, room_sign_key, me.credential.version + 1
    )
    roster = with_committer(outcome, me.id, credential)
    ephemeral, ephemeral_key = dh_keypair(random)
    commit = Commit.build(
        state.id, parent.number, parent.transcript, me.id, now, operations, proofs,
        credential.signed, ephemeral_key, state_hash(roster.encode(), outcome.policy),
    )  # fmt: skip
    r = random(32)
    secret = epoch_secret(init.reveal(), r, commit.data)
    keys = EpochKeys.derive(secret, commit.data, roster.members)
    signed = SignedCommit.make(commit.data, keys.confirmation, signing.reveal())
    sealed = seal_commit(
        handshake.reveal(), state.id, parent.prefix, me.id, signed.encode(), random
    )
    anew = {request.member for request in outcome.resynced}
    copies = {}
    for member in parent.roster:
        if member.id == me.id:
            continue
        slot = None
        if member.id in roster and member.id not in anew:
            slot = seal_slot(r, ephemeral, commit.data, ephemeral_key, member.id,
                             member.credential.leaf_key)  # fmt: skip
        copies[member.id] = COMMIT_COPY.build(sealed, slot)
    transcript = transcript_hash(parent.transcript, commit.data, keys.confirmation)
    welcome = make_welcome(
        commit.data, keys.confirmation, signed.signature, me.credential.signed, roster,
        outcome.policy, secret,
        {member: row for member, row in state.directory.items() if member not in anew},
    )  # fmt: skip
    with local_fault():
        invitations = {
            request.member: seal_invitation(owner, request.package, 0, welcome, random)
            for request in outcome.resynced  # each by a package made for this alone
        } | {
            member.id: seal_invitation(owner, guest.package, guest.prekey_index, welcome, random)
            for member, guest in zip(outcome.added, invited, strict=True)
        }
    epoch, sending = Epoch.open(
        keys, state.suite, state.id, me.id,
        number=parent.number + 1,
        transcript=transcript,
        roster=roster,
        policy=outcome.policy,
        opener=me.id,
        time=now,
        leaf=leaf,
        room_sign=room_sign,
    )  # fmt: skip
    parent.next_commit = commit_hash(commit.data)
    state.refreshed, state.sent_since_refresh = now, 0
    state.enter(epoch, sending, now)
    return CommitMade(
        copies, invitations, outcome.added, outcome.removed, outcome.resynced, sealed
    )


def apply_commit(state: RoomState, data: bytes, now: int) -> CommitApplied:
    """Apply another member's commit (REQ-EPOCH-15); a refused one changes nothing.

    Raise `RemoteError`, in this order: the reasons of `Form.parse`, unknown-room, wrong-mode,
    own-message, room-closed, unknown-member, replay, bad-ciphertext, bad-signature, replay, fork,
    those of `Commit.parse`, wrong-transcript, those of `apply_operations`, bad-entry and those of
    `Credential.parse`, bad-state-hash, room-closed (this device is let in anew), bad-form (slot),
    bad-confirmation. Raise `HeldError`:
    unknown-epoch, early-commit.
    """
    sealed_bytes, slot = COMMIT_COPY.parse(data)
    sealed = SealedCommit.parse(sealed_bytes)
    if sealed.room != state.id:
        raise RemoteError(Reason.UNKNOWN_ROOM, "a commit of another room")
    if state.mode is Mode.DIRECT:
        raise RemoteError(Reason.WRONG_MODE, "a direct room has turns, not commits")
    if sealed.committer == state.own:
        raise RemoteError(Reason.OWN_MESSAGE, "a commit in this device's own name")
    if state.removed:
        raise RemoteError(Reason.ROOM_CLOSED, "this device is no longer in the room")
    parent = state.epochs.get(sealed.prefix)
    if parent is None:
        raise HeldError(Reason.UNKNOWN_EPOCH, "a commit on an epoch not seen yet")
    committer = parent.roster[sealed.committer]
    handshake = parent.handshakes.get(committer.id)
    if handshake is None:
        raise RemoteError(Reason.REPLAY, "this member's commits on this epoch are over")
    signed = SignedCommit.parse(sealed.open(handshake.reveal()))
    signed.verify(committer.credential.room_sign_key)
    if parent.prefix != state.current:
        if commit_hash(signed.commit) == parent.next_commit:
            raise RemoteError(Reason.REPLAY, "this commit has been applied")
        raise RemoteError(Reason.FORK, "another commit on this epoch has been applied")
    commit = Commit.parse(signed.commit)
    roster, change = _check_commit(state, parent, committer, commit, now)
    if change.removed_self:
        state.close(now)
        return change
    if any(member.id == state.own for member in change.resynced):
        raise RemoteError(Reason.ROOM_CLOSED, "this device is let in anew, by an invitation")
    if slot is None:
        raise RemoteError(Reason.BAD_FORM, "no slot for a member that stays")
    assert parent.leaf is not None  # an active member always has the current one
    r = open_slot(slot, parent.leaf.reveal(), commit.data, commit.ephemeral_key, state.own,
                  state.me.credential.leaf_key)  # fmt: skip
    secret = epoch_secret(parent.inits[committer.id].reveal(), r, commit.data)
    keys = EpochKeys.derive(secret, commit.data, roster.members)
    check_confirmation(keys.confirmation, signed.confirmation)
    epoch, sending = Epoch.open(
        keys, state.suite, state.id, state.own,
        number=parent.number + 1,
        transcript=transcript_hash(parent.transcript, commit.data, keys.confirmation),
        roster=roster,
        policy=change.policy or parent.policy,
        opener=committer.id,
        time=commit.time,
        leaf=parent.leaf.reveal(),
        room_sign=None if parent.room_sign is None else parent.room_sign.reveal(),
    )  # fmt: skip
    parent.next_commit = commit_hash(commit.data)
    state.enter(epoch, sending, now)
    return change


def _check_commit(
    state: RoomState, parent: Epoch, committer: Member, commit: Commit, now: int
) -> tuple[Roster, CommitApplied]:
    """Check what a commit claims and does, and return what the room becomes."""
    if (commit.room, commit.epoch, commit.transcript, commit.committer) != (
        state.id, parent.number, parent.transcript, committer.id,
    ):  # fmt: skip
        raise RemoteError(Reason.WRONG_TRANSCRIPT, "a commit on another history or by another")
    outcome = apply_operations(
        parent.roster, parent.policy, state.suite, state.id, parent.transcript, committer,
        commit.time, commit.operations, commit.proofs,
    )  # fmt: skip
    entry = Credential.parse(commit.entry, state.id, committer.id, committer.identity)
    if entry.version != committer.credential.version + 1:
        raise RemoteError(Reason.BAD_ENTRY, f"entry version {entry.version}")
    roster = with_committer(outcome, committer.id, entry)
    if not equal(state_hash(roster.encode(), outcome.policy), commit.state_hash):
        raise RemoteError(Reason.BAD_STATE_HASH, "roster or policy is not what was committed")
    if commit.time > now + MAX_CLOCK_LEAD:
        raise HeldError(Reason.EARLY_COMMIT, "a commit ahead of this device's clock")
    before = parent.roster
    roles = tuple(
        (before[m.id], m.role) for m in roster if m.id in before and before[m.id].role != m.role
    )
    policy = outcome.policy if outcome.policy != parent.policy else None
    return roster, CommitApplied(
        committer, outcome.added, outcome.removed, roles, policy, state.own not in roster,
        tuple(roster[request.member] for request in outcome.resynced),
    )  # fmt: skip
