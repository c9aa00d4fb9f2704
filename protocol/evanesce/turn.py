"""Turns of a direct room: answering is a commit (spec 10, direct rooms).

Only the member who did not open the current epoch may commit, and answering must commit, so there
are never two commits on one epoch. The commit rides in every message of its epoch until the other
side answers. The epoch secret authenticates it: a wrong one makes keys that open nothing.
"""

from __future__ import annotations

from .chain import SendingChain
from .commit import direct_commit
from .epoch import EpochKeys, epoch_secret, open_slot, prefix_of, seal_slot, transcript_hash
from .errors import LocalError, Reason, RemoteError, local_fault
from .identity import IdentityKeys
from .kept_epoch import Epoch
from .membership import Credential, make_entry
from .message import Header, TurnFields
from .primitives import Random, check_dh_key, dh_keypair, sign_keypair
from .state import RoomState

__all__ = ["accept_turn", "begin_turn", "peer_of"]


def peer_of(state: RoomState) -> bytes:
    """The other member of a direct room."""
    return next(member.id for member in state.epoch.roster if member.id != state.own)


def begin_turn(
    state: RoomState, owner: IdentityKeys, now: int, random: Random
) -> tuple[Epoch, SendingChain | None]:
    """Make the epoch that this device's answer opens (REQ-DIR-02). Nothing is stored yet."""
    parent = state.epoch
    peer = peer_of(state)
    peer_leaf = parent.peer_leaf
    if peer_leaf is None or state.own not in parent.inits:
        raise LocalError(Reason.OUT_OF_TURN, "the other side has yet to answer")
    leaf, leaf_key = dh_keypair(random)
    entry: Credential | None = None
    roster, room_sign = parent.roster, None
    if roster[state.own].credential.version == 0 and parent.number == 0:
        # The invited member's first answer: its entry takes the place of its key package.
        room_sign, room_sign_key = sign_keypair(random)
        entry = make_entry(owner, state.id, state.own, leaf_key, room_sign_key, 1)
        roster = roster.change(state.own, credential=entry)
    ephemeral, ephemeral_key = dh_keypair(random)
    signed = None if entry is None else entry.signed
    with local_fault():
        commit = direct_commit(
            state.id, parent.number, parent.transcript, state.own, leaf_key, ephemeral_key, signed
        )
    r = random(32)
    slot = seal_slot(r, ephemeral, commit, ephemeral_key, peer, peer_leaf)
    secret = epoch_secret(parent.inits[state.own].reveal(), r, commit)
    keys = EpochKeys.derive(secret, commit, roster.members)
    return Epoch.open(
        keys, state.suite, state.id, state.own,
        number=parent.number + 1,
        transcript=transcript_hash(parent.transcript, commit, keys.confirmation),
        roster=roster,
        policy=parent.policy,
        opener=state.own,
        time=now,
        parent=parent.prefix,
        leaf=leaf,
        room_sign=room_sign,
        turn=TurnFields(leaf_key, ephemeral_key, slot, signed),
    )  # fmt: skip


def accept_turn(state: RoomState, header: Header, now: int) -> tuple[Epoch, SendingChain | None]:
    """Make the epoch that the other side's answer opens (REQ-DIR-04). Nothing is stored yet.

    Raise `RemoteError`: out-of-turn, bad-key, bad-entry (and those of `Credential.parse`),
    bad-ciphertext, wrong-transcript, in this order.
    """
    turn = header.turn
    parent = state.epoch
    init = parent.inits.get(header.sender)
    if turn is None or parent.leaf is None or init is None or parent.opener != state.own:
        raise RemoteError(Reason.OUT_OF_TURN, "only who did not open an epoch may answer it")
    check_dh_key(turn.leaf_key)
    roster = parent.roster
    sender = roster[header.sender]
    first = parent.number == 0
    if first != (turn.entry is not None):
        raise RemoteError(Reason.BAD_ENTRY, "the first answer, and only it, carries an entry")
    if turn.entry is not None:
        entry = Credential.parse(turn.entry, state.id, sender.id, sender.identity)
        if entry.version != sender.credential.version + 1 or entry.leaf_key != turn.leaf_key:
            raise RemoteError(Reason.BAD_ENTRY, "entry of another version or leaf key")
        roster = roster.change(sender.id, credential=entry)
    commit = direct_commit(
        state.id, parent.number, parent.transcript, sender.id, turn.leaf_key, turn.ephemeral_key,
        turn.entry,
    )  # fmt: skip
    mine = own_leaf(parent, state.own)
    r = open_slot(turn.slot, parent.leaf.reveal(), commit, turn.ephemeral_key, state.own, mine)
    secret = epoch_secret(init.reveal(), r, commit)
    keys = EpochKeys.derive(secret, commit, roster.members)
    transcript = transcript_hash(parent.transcript, commit, keys.confirmation)
    if prefix_of(transcript) != header.prefix:
        raise RemoteError(Reason.WRONG_TRANSCRIPT, "an answer to another history")
    return Epoch.open(
        keys, state.suite, state.id, state.own,
        number=parent.number + 1,
        transcript=transcript,
        roster=roster,
        policy=parent.policy,
        opener=sender.id,
        time=now,
        parent=parent.prefix,
        leaf=None,
        room_sign=None,
        turn=turn,
        peer_leaf=turn.leaf_key,
    )  # fmt: skip


def own_leaf(parent: Epoch, own: bytes) -> bytes:
    """The public leaf key that answers to one's own epoch are sealed to."""
    return parent.roster[own].credential.leaf_key if parent.turn is None else parent.turn.leaf_key
