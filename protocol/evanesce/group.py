"""Making a commit of a group (spec 10.6). Taking another member's is in `applying`.

One commit opens the next epoch for all: everyone who stays gets the fresh secret in its slot, and
every chain starts anew from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .applying import take
from .commit import Commit, SignedCommit
from .epoch import (
    EpochKeys,
    epoch_secret,
    prefix_of,
    seal_commit,
    seal_slot,
    transcript_hash,
)
from .errors import LocalError, Reason, local_fault
from .formats import COMMIT_COPY, OPERATION_LIMIT
from .founding import Invited, make_welcome
from .identity import IdentityKeys
from .invitation import seal_invitation
from .kept_epoch import Epoch
from .limits import MAX_EPOCHS
from .membership import Member, Mode, make_entry, state_hash
from .operations import (
    Add,
    Wish,
    apply_operations,
    dump_operations,
    signed_operations,
    with_committer,
)
from .pending import embedded
from .primitives import Random, dh_keypair, sign_keypair
from .resync import ResyncRequest
from .state import RoomState
from .tree import kept_trail, order_of
from .wire import check_time

__all__ = ["CommitMade", "make_commit"]


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


def _require_group(state: RoomState) -> None:
    state.require_active()
    if state.mode is Mode.DIRECT:
        raise LocalError(Reason.WRONG_MODE, "a direct room has turns, not commits")
    if state.convicted is not None:
        raise LocalError(Reason.EQUIVOCATION, "a member has split the room: found it anew")


def make_commit(
    state: RoomState,
    owner: IdentityKeys,
    wishes: Sequence[Wish],
    invited: Sequence[Invited],
    now: int,
    random: Random,
) -> CommitMade:
    """Open the next epoch (REQ-EPOCH-14); `state` is changed last, when nothing can fail any more.

    Members are added after the other `wishes`. Pending proofs and known leave requests are
    embedded; a commit with nothing in it is a refresh. Raise `LocalError`: room-closed,
    wrong-mode, equivocation, bad-input (an `Add` among `wishes`), too-large, and the reasons of
    `apply_operations` and `seal_invitation`.
    """
    _require_group(state)
    check_time(now)
    parent = state.epoch
    me = state.me
    handshake, init, signing = parent.handshakes[me.id], parent.inits[me.id], parent.room_sign
    if signing is None:
        raise LocalError(Reason.ROOM_CLOSED, "the room signature key has been erased")
    if any(isinstance(wish, Add) for wish in wishes):
        raise LocalError(Reason.BAD_INPUT, "who is added is invited: use `invited`")
    if len(wishes) + len(invited) > OPERATION_LIMIT:
        raise LocalError(Reason.TOO_LARGE, f"a commit has at most {OPERATION_LIMIT} operations")
    with local_fault():
        operations = signed_operations(owner, state.id, me, parent.roster, parent.number, wishes)
        operations += [Add(guest.package, guest.role) for guest in invited]
        proofs = embedded(state, operations)
        outcome = apply_operations(
            parent.roster, parent.policy, state.suite, state.id, parent.number, parent.transcript,
            me, now, operations, proofs,
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
    order = order_of(parent, me, now, proofs)
    welcome = make_welcome(
        commit.data, keys.confirmation, signed.signature, me.credential.signed, roster,
        outcome.policy, secret,
        {member: row for member, row in state.directory.items() if member not in anew},
        (*kept_trail(state)[-MAX_EPOCHS + 1 :], (prefix_of(transcript), order)),
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
        parent=parent.prefix,
        order=order,
    )  # fmt: skip
    epoch.operations = dump_operations(operations)
    take(state, parent, me.id, transcript, commit, now)
    state.refreshed, state.sent_since_refresh = now, 0
    state.enter(epoch, sending, now)
    return CommitMade(
        copies, invitations, outcome.added, outcome.removed, outcome.resynced, sealed
    )
