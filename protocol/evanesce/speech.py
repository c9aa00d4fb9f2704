"""Sending and receiving messages in a room (spec 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .chain import ReceivingChain
from .content import Content, Evaporation, Said, parse_content
from .errors import HeldError, LocalError, Reason, RemoteError
from .identity import IdentityKeys
from .kept_epoch import Epoch
from .limits import MAX_EPOCHS, MAX_JUMP, MAX_SKIPPED_ROOM
from .membership import Mode
from .message import STRAYED, Header, ParsedMessage, open_message, seal_message
from .pending import require_none_blocking
from .primitives import Random
from .state import RoomState
from .tree import before, leads_to, strayed, waive
from .turn import accept_turn, begin_turn

__all__ = ["Received", "Sent", "receive_message", "send_message"]


@dataclass(slots=True, repr=False)
class Sent:
    """A sealed message: the same bytes for every recipient, to be stored and sent as they are."""

    id: bytes
    message: bytes
    recipients: tuple[bytes, ...]
    key: bytes  # the AEAD key, for the sender's own copy
    ciphertext: bytes


@dataclass(slots=True, repr=False)
class Received:
    """A message that passed every check."""

    id: bytes
    room: bytes
    sender: bytes
    epoch: int
    prefix: bytes  # of the epoch
    index: int
    content: Content
    evaporation: Evaporation  # the stricter of the room's and the message's
    key: bytes  # what opens `ciphertext` again: keep it wrapped, erase it to evaporate
    ciphertext: bytes
    missing: int  # earlier messages of this sender that it shows to exist and have not come
    lost: bool  # some of the sender's earlier messages can never be read: past the jump limit
    evicted: Mapping[bytes, int]  # members whose missing messages can no longer be read, how many


def send_message(
    state: RoomState, owner: IdentityKeys, content: bytes, now: int, random: Random
) -> Sent:
    """Seal a content (REQ-MSG-06). In a direct room, answering opens the next epoch.

    Raise `LocalError`: room-closed; refresh-awaited (a member that joined by a last-resort package
    has yet to refresh); out-of-turn (a direct room with `MAX_JUMP` messages unanswered);
    chain-exhausted.
    """
    state.require_active()
    epoch, sending = state.epoch, state.sending
    direct, opened = epoch.policy.mode is Mode.DIRECT, False
    if direct:
        if epoch.opener != state.own:
            epoch, sending = begin_turn(state, owner, now, random)
            opened = True
    else:
        if state.convicted is not None:
            raise LocalError(Reason.EQUIVOCATION, "a member has split the room: found it anew")
        require_none_blocking(state)
    if not direct and epoch.awaits_refresh:
        raise LocalError(Reason.REFRESH_AWAITED, "a new member has to refresh first")
    assert sending is not None  # one's own epoch, or a group's
    if direct and sending.index >= MAX_JUMP:
        raise LocalError(Reason.OUT_OF_TURN, f"{sending.index} messages await an answer")
    message_key, after = sending.next()
    header = Header(
        state.id, epoch.prefix, state.own, sending.index, bytes(16), state.last_spoken,
        STRAYED if not direct and strayed(state) else 0, epoch.turn,
    )  # fmt: skip
    signing = None
    if not direct:
        if epoch.room_sign is None:
            raise LocalError(Reason.ROOM_CLOSED, "the room signature key has been erased")
        signing = epoch.room_sign.reveal()
    sealed = seal_message(header, epoch.context, message_key, content, random(16), signing)
    if opened:
        state.enter(epoch, after, now)
        state.refreshed, state.sent_since_refresh = now, 0
    state.sending = after
    state.sent_since_refresh += 1
    state.changed.add(b"state")
    return Sent(
        sealed.id, sealed.message, epoch.others(state.own), sealed.key, sealed.ciphertext
    )


def receive_message(state: RoomState, data: bytes, now: int) -> Received:
    """Check and open a message (REQ-MSG-07); a refused one changes nothing.

    Raise `RemoteError`, in this order: the reasons of `Form.parse`, unknown-room, own-message,
    room-closed (of a later epoch than this device's last), those of a turn (`accept_turn`), fork,
    unknown-member, out-of-turn, those of `ReceivingChain.at`, those of `open_message`, those of
    `parse_content`, bad-count. Raise `HeldError` (unknown-epoch).
    """
    message = ParsedMessage.parse(data)
    header = message.header
    if header.room != state.id:
        raise RemoteError(Reason.UNKNOWN_ROOM, "a message of another room")
    if header.sender == state.own:
        raise RemoteError(Reason.OWN_MESSAGE, "a message in this device's own name")
    direct = state.mode is Mode.DIRECT
    epoch, turn = state.epochs.get(header.prefix), None
    if epoch is None:
        if state.removed and not state.may_return:
            raise RemoteError(Reason.ROOM_CLOSED, "this device is no longer in the room")
        if not direct or header.turn is None:
            raise HeldError(Reason.UNKNOWN_EPOCH, "a message of an epoch not seen yet")
        turn = accept_turn(state, header, now)
        epoch = turn[0]
    elif header.turn != epoch.turn:
        raise RemoteError(Reason.FORK, "a message with another commit than its epoch's")
    sender = epoch.roster[header.sender]
    if direct and epoch.opener != sender.id:
        raise RemoteError(Reason.OUT_OF_TURN, "only an epoch's opener speaks in it")
    chain = epoch.chains.get(sender.id)
    if chain is None:
        raise RemoteError(Reason.UNKNOWN_MEMBER, "a member removed since")
    message_key, after = chain.at(header.number, now)
    mode = epoch.policy.mode
    opened = open_message(
        message, epoch.context, message_key, mode, sender.credential.room_sign_key
    )
    content = parse_content(opened.content)
    closings, lost = _closings(state, epoch, header, now)
    updates = {(header.prefix, sender.id): after}
    missing = max(0, header.number - chain.index)
    if missing and len(after.skipped) < len(chain.skipped) + missing:
        lost = True  # the chain has dropped its oldest
    for old, closed in closings:
        updates[old.prefix, sender.id] = closed
        missing += closed.index - old.chains[sender.id].index
    evicted = _evict(state, updates, opens=turn is not None) if missing else {}
    # Every check has passed.
    if turn is not None:
        state.enter(*turn, now)
        state.refreshed, state.sent_since_refresh = now, 0  # an answer heals both sides
    for (prefix, member), new in updates.items():
        if prefix in state.epochs:  # entering an epoch may have dropped the oldest
            state.set_chain(state.epochs[prefix], member, new)
    if not direct and not header.flags & STRAYED:
        waive(state, epoch, sender.id)
    evaporation = epoch.policy.evaporation
    if isinstance(content, Said):
        evaporation = content.evaporation.strictest(evaporation)
    return Received(
        opened.id, state.id, sender.id, epoch.number, epoch.prefix, header.number, content,
        evaporation, opened.key, message.ciphertext, missing, lost, evicted,
    )  # fmt: skip


def _evict(
    state: RoomState, updates: dict[tuple[bytes, bytes], ReceivingChain], *, opens: bool
) -> dict[bytes, int]:
    """Keep the room's limit of skipped keys (REQ-CHAIN-10); add what changes to `updates`.

    While there are too many, the member for whom most are kept loses as many as needed, those of
    the oldest epoch and lowest index first: nobody can push out another's few with its own many.
    What the epoch that a turn `opens` pushes out is not counted.
    """
    held: dict[bytes, dict[bytes, ReceivingChain]] = {}  # member, then epoch, oldest first
    dropped = max(0, len(state.epochs) + opens - MAX_EPOCHS)
    for prefix, epoch in list(state.epochs.items())[dropped:]:
        for member, chain in epoch.chains.items():
            kept = updates.get((prefix, member), chain)
            if kept.skipped:
                held.setdefault(member, {})[prefix] = kept
    for (prefix, member), chain in updates.items():
        if prefix not in state.epochs and chain.skipped:  # a direct room's next epoch
            held.setdefault(member, {})[prefix] = chain
    counts = {member: sum(len(c.skipped) for c in held[member].values()) for member in held}
    excess = sum(counts.values()) - MAX_SKIPPED_ROOM
    evicted: dict[bytes, int] = {}
    while excess > 0:
        member = max(counts, key=lambda m: (counts[m], m))
        drop = evicted[member] = min(excess, counts.pop(member))
        excess -= drop
        for prefix, chain in held[member].items():
            here = min(drop, len(chain.skipped))
            updates[prefix, member] = chain.without_oldest(here)
            drop -= here
    return evicted


def _same_stay(old: Epoch, epoch: Epoch, sender: bytes) -> bool:
    """Whether a member has not been let in anew between two epochs: after that it counts anew."""
    before = old.roster.members.get(sender)
    return before is None or before.resynced == epoch.roster[sender].resynced


def _closings(
    state: RoomState, epoch: Epoch, header: Header, now: int
) -> tuple[list[tuple[Epoch, ReceivingChain]], bool]:
    """Close the sender's other chains by what it says of where it spoke last (REQ-MSG-08).

    Between that epoch and this one it said nothing, so the chains of those that lead here and not
    there end at 0. Those before both were settled by messages in the named one.
    """
    sender, named = header.sender, header.last_spoken
    last = None if named is None else state.epochs.get(named[0])
    if named is not None:
        # It may name the very epoch that this message opens.
        if named[0] == epoch.prefix or (last is not None and leads_to(state, epoch, last)):
            raise RemoteError(Reason.BAD_COUNT, "last spoken in an epoch that is not earlier")
        if last is not None and not _same_stay(last, epoch, sender):
            raise RemoteError(Reason.BAD_COUNT, "last spoken before it was let in anew")
    settled = set() if last is None else {id(last), *map(id, before(state, last))}
    unseen = named is not None and last is None  # long ago, or a losing epoch not seen yet
    closings: list[tuple[Epoch, ReceivingChain]] = []
    for old in before(state, epoch):
        if id(old) in settled or (unseen and header.flags & STRAYED):
            break
        chain = old.chains.get(sender)
        if chain is None or chain.key is None or not _same_stay(old, epoch, sender):
            continue
        if not (unseen and chain.index > 0):
            closings.append((old, chain.close(0, now)[0]))
    if named is None or last is None or sender not in last.chains:
        return closings, False
    chain = last.chains[sender]
    closed, gap = chain.close(named[1], now)
    if closed is not chain:
        closings.append((last, closed))
    return closings, gap
