"""Sending and receiving messages in a room (spec 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .chain import ReceivingChain
from .content import Content, Evaporation, Said, parse_content
from .errors import HeldError, LocalError, Reason, RemoteError
from .identity import IdentityKeys
from .limits import MAX_EPOCHS, MAX_JUMP, MAX_SKIPPED_ROOM
from .membership import Mode
from .message import Header, ParsedMessage, open_message, seal_message
from .primitives import Random
from .state import Epoch, RoomState
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
    elif epoch.awaits_refresh:
        raise LocalError(Reason.REFRESH_AWAITED, "a new member has to refresh first")
    assert sending is not None  # one's own epoch, or a group's
    if direct and sending.index >= MAX_JUMP:
        raise LocalError(Reason.OUT_OF_TURN, f"{sending.index} messages await an answer")
    message_key, after = sending.next()
    header = Header(
        state.id, epoch.prefix, state.own, sending.index, bytes(16), state.last_spoken,
        turn=epoch.turn,
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
        if state.removed:
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
    evaporation = epoch.policy.evaporation
    if isinstance(content, Said):
        evaporation = content.evaporation.strictest(evaporation)
    return Received(
        opened.id, state.id, sender.id, epoch.number, header.number, content,
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
    """Close the sender's earlier chains by what it says of the last epoch it spoke in (REQ-MSG-08).

    Between that epoch and this one it said nothing, so those chains end at 0. Epochs before the
    named one were closed by messages sent in it.
    """
    closings: list[tuple[Epoch, ReceivingChain]] = []
    lost = False
    if header.last_spoken is not None:
        last = state.epochs.get(header.last_spoken[0])
        own = header.last_spoken[0] == epoch.prefix  # perhaps the very one that this message opens
        if own or (last is not None and last.number >= epoch.number):
            raise RemoteError(Reason.BAD_COUNT, "last spoken in an epoch that is not earlier")
        if last is not None and not _same_stay(last, epoch, header.sender):
            raise RemoteError(Reason.BAD_COUNT, "last spoken before it was let in anew")
    for old in reversed(list(state.epochs.values())):
        if old.number >= epoch.number or not _same_stay(old, epoch, header.sender):
            continue
        chain = old.chains.get(header.sender)
        named = header.last_spoken is not None and old.prefix == header.last_spoken[0]
        if chain is not None and (named or chain.key is not None):
            count = header.last_spoken[1] if named and header.last_spoken else 0
            closed, gap = chain.close(count, now)
            lost = lost or gap
            if closed is not chain:
                closings.append((old, closed))
        if named:
            break
    return closings, lost
