"""Taking another member's commit, whether it builds on the path or beside it (spec 10.8)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .commit import Commit, SignedCommit
from .epoch import (
    EpochKeys,
    SealedCommit,
    check_confirmation,
    epoch_secret,
    open_slot,
    transcript_hash,
)
from .errors import HeldError, Reason, RemoteError
from .formats import COMMIT, COMMIT_COPY
from .kept_epoch import Epoch
from .limits import MAX_CLOCK_LEAD, REFRESH_MESSAGES
from .membership import Credential, Member, Mode, Policy, Role, Roster, state_hash
from .operations import Outcome, apply_operations, with_committer
from .pending import note
from .primitives import equal
from .state import RoomState
from .tree import leads, order_of, path

__all__ = ["CommitApplied", "apply_commit", "take"]


@dataclass(frozen=True, slots=True)
class CommitApplied:
    """What another member's commit has changed in the current epoch, as it was before and is now.

    A commit that does not lead changes nothing there. `lost` are the members whose commits the
    path has left for it, this device perhaps among them, `own_lost` the operations of its own that
    were in them, oldest first: the prefix of the losing epoch, and what `dump_operations` made.
    """

    committer: Member
    added: tuple[Member, ...] = ()
    removed: tuple[Member, ...] = ()
    roles: tuple[tuple[Member, Role], ...] = ()  # the member as it was, and its new role
    policy: Policy | None = None  # the new one, if it changed
    removed_self: bool = False
    resynced: tuple[Member, ...] = ()  # those let in anew, as they now stand
    leads: bool = True
    equivocation: bool = False  # the committer has signed another commit on the same epoch
    returned: bool = False  # this device had been removed, by a commit that has lost to this one
    lost: tuple[bytes, ...] = ()
    own_lost: tuple[tuple[bytes, bytes], ...] = ()


def take(
    state: RoomState, parent: Epoch, committer: bytes, transcript: bytes, commit: Commit, now: int
) -> None:
    """Steps 1 and 2 of REQ-EPOCH-27: puncture, and note what holds even if it loses."""
    parent.taken[committer] = transcript
    parent.inits.pop(committer, None)
    note(state, commit.operations, commit.proofs, now)
    state.changed.add(b"epoch/" + parent.prefix)


def apply_commit(state: RoomState, data: bytes, now: int) -> CommitApplied:
    """Process another member's commit (REQ-EPOCH-15); a refused one changes nothing.

    Raise `RemoteError`, in this order: the reasons of `Form.parse`, unknown-room, wrong-mode,
    own-message, room-closed, replay, unknown-member, replay, bad-ciphertext, bad-signature,
    replay, those of `Commit.parse`, wrong-transcript, those of `apply_operations`, bad-entry and
    those of `Credential.parse`, bad-state-hash, replay, room-closed (this device is let in anew),
    bad-ciphertext (slot), bad-confirmation. Raise `HeldError`: unknown-epoch,
    early-commit, no-slot.
    """
    sealed_bytes, slot = COMMIT_COPY.parse(data)
    sealed = SealedCommit.parse(sealed_bytes)
    parent = _parent(state, sealed)
    committer = parent.roster[sealed.committer]
    handshake = parent.handshakes.get(committer.id)
    if handshake is None:
        raise RemoteError(Reason.REPLAY, "this member's commits on this epoch are over")
    signed = SignedCommit.parse(sealed.open(handshake.reveal()))
    signed.verify(committer.credential.room_sign_key)
    if COMMIT.parse(signed.commit)[:4] != [
        state.id, parent.number, parent.transcript, committer.id,
    ]:  # fmt: skip  # one key may sign on several parents: only this says on which
        raise RemoteError(Reason.WRONG_TRANSCRIPT, "a commit on another history or by another")
    transcript = transcript_hash(parent.transcript, signed.commit, signed.confirmation)
    known = parent.taken.get(committer.id)
    if known is not None:
        if equal(known, transcript):
            raise RemoteError(Reason.REPLAY, "this commit has been taken")
        if committer.id not in state.equivocators:
            state.equivocators.append(committer.id)
            state.changed.add(b"state")
        return CommitApplied(committer, leads=False, equivocation=True)
    commit = Commit.parse(signed.commit)
    roster, outcome = _check_commit(state, parent, committer, commit, now)
    if committer.id not in parent.inits:
        raise RemoteError(Reason.REPLAY, "the committer has waived this commit")
    epoch = None
    if state.own in roster:
        if roster[state.own].resynced != parent.roster[state.own].resynced:
            raise RemoteError(Reason.ROOM_CLOSED, "this device is let in anew, by an invitation")
        keys = _keys(state, parent, commit, slot, roster)
        check_confirmation(keys.confirmation, signed.confirmation)
        epoch, sending = Epoch.open(
            keys, state.suite, state.id, state.own,
            number=parent.number + 1,
            transcript=transcript,
            roster=roster,
            policy=outcome.policy,
            opener=committer.id,
            time=commit.time,
            leaf=None if parent.leaf is None else parent.leaf.reveal(),
            room_sign=None if parent.room_sign is None else parent.room_sign.reveal(),
            parent=parent.prefix,
        )  # fmt: skip
    if epoch is not None and epoch.prefix in state.epochs:
        raise RemoteError(Reason.WRONG_TRANSCRIPT, "another epoch of this prefix is kept")
    # Every check has passed.
    order = order_of(parent, committer, commit.time, commit.proofs)
    on_path = leads(state, parent, order)
    take(state, parent, committer.id, transcript, commit, now)
    if not on_path:
        if epoch is not None:
            epoch.order = order
            state.keep_losing(epoch, now)
        return CommitApplied(committer, leads=False)
    old, returned = state.epoch, state.removed
    left, own_lost = _lose(state, parent)
    if epoch is None:
        state.note_removed(parent, order, now)
        removed = tuple(member for member in old.roster if member.id not in roster)
        return CommitApplied(committer, removed=removed, removed_self=True, lost=left,
                             own_lost=own_lost)  # fmt: skip
    epoch.order = order
    state.enter(epoch, sending, now)
    change = _difference(committer, old, epoch)
    return replace(change, returned=returned, lost=left, own_lost=own_lost)


def _parent(state: RoomState, sealed: SealedCommit) -> Epoch:
    """The epoch that a commit builds on (steps 2 to 6)."""
    if sealed.room != state.id:
        raise RemoteError(Reason.UNKNOWN_ROOM, "a commit of another room")
    if state.mode is Mode.DIRECT:
        raise RemoteError(Reason.WRONG_MODE, "a direct room has turns, not commits")
    if sealed.committer == state.own:
        raise RemoteError(Reason.OWN_MESSAGE, "a commit in this device's own name")
    parent = state.epochs.get(sealed.prefix)
    if parent is None:
        if state.removed and not state.may_return:
            raise RemoteError(Reason.ROOM_CLOSED, "this device is no longer in the room")
        raise HeldError(Reason.UNKNOWN_EPOCH, "a commit on an epoch not seen yet")
    if parent.leaf is None:
        raise RemoteError(Reason.REPLAY, "of a place in the room that this device has left")
    return parent


def _keys(
    state: RoomState, parent: Epoch, commit: Commit, slot: bytes | None, roster: Roster
) -> EpochKeys:
    """The keys of the epoch that a commit opens (steps 19 to 21)."""
    if slot is None:
        raise HeldError(Reason.NO_SLOT, "passed on by another than its author")
    assert parent.leaf is not None  # `_parent` has seen to it
    mine = parent.roster[state.own].credential.leaf_key
    r = open_slot(slot, parent.leaf.reveal(), commit.data, commit.ephemeral_key, state.own, mine)
    secret = epoch_secret(parent.inits[commit.committer].reveal(), r, commit.data)
    return EpochKeys.derive(secret, commit.data, roster.members)


def _check_commit(
    state: RoomState, parent: Epoch, committer: Member, commit: Commit, now: int
) -> tuple[Roster, Outcome]:
    """Check what a commit does, and return what the room becomes (steps 14 to 17)."""
    outcome = apply_operations(
        parent.roster, parent.policy, state.suite, state.id, parent.number, parent.transcript,
        committer, commit.time, commit.operations, commit.proofs,
    )  # fmt: skip
    entry = Credential.parse(commit.entry, state.id, committer.id, committer.identity)
    if entry.version != committer.credential.version + 1:
        raise RemoteError(Reason.BAD_ENTRY, f"entry version {entry.version}")
    roster = with_committer(outcome, committer.id, entry)
    if not equal(state_hash(roster.encode(), outcome.policy), commit.state_hash):
        raise RemoteError(Reason.BAD_STATE_HASH, "roster or policy is not what was committed")
    if commit.time > now + MAX_CLOCK_LEAD:
        raise HeldError(
            Reason.EARLY_COMMIT, "a commit ahead of this device's clock",
            commit.time - MAX_CLOCK_LEAD,
        )  # fmt: skip
    return roster, outcome


def _lose(
    state: RoomState, parent: Epoch
) -> tuple[tuple[bytes, ...], tuple[tuple[bytes, bytes], ...]]:
    """The path goes on from `parent` elsewhere: who has lost, and what of this device."""
    left = []
    for epoch in path(state):
        if epoch is parent:
            break
        left.append(epoch)
    left.reverse()
    own = [epoch for epoch in left if epoch.opener == state.own]
    if own:
        state.sent_since_refresh = REFRESH_MESSAGES  # this device has not healed: a refresh is due
    operations = tuple((e.prefix, e.operations) for e in own if e.operations is not None)
    return tuple(epoch.opener for epoch in left), operations


def _difference(committer: Member, old: Epoch, new: Epoch) -> CommitApplied:
    """What is another in the current epoch than it was."""
    was, now = old.roster, new.roster
    stayed = [(was[member.id], member) for member in now if member.id in was]
    return CommitApplied(
        committer,
        tuple(member for member in now if member.id not in was),
        tuple(member for member in was if member.id not in now),
        tuple((then, member.role) for then, member in stayed if then.role != member.role),
        new.policy if new.policy != old.policy else None,
        resynced=tuple(member for then, member in stayed if then.resynced != member.resynced),
    )
