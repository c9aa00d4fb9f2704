"""Joining by an invitation, once: a new room, or one's own place in a room anew (spec 12.5)."""

from __future__ import annotations

from dataclasses import replace

from . import actions, losing, past, resyncing
from .arrival import Arrival
from .errors import HeldError, Reason, RemoteError
from .events import RoomJoined, RoomReplaced
from .faces import person
from .holdings import OwnMailbox, RoomMeta
from .invitation import Invitation
from .limits import PACKAGE_LIFETIME, SIGNED_PREKEY_GRACE
from .mailbox import MailboxKeys
from .primitives import H
from .room import Room
from .wire import decode, encode

__all__ = ["take_invitation"]


def take_invitation(arrival: Arrival, data: bytes) -> Room | None:
    """Join, once: the same invitation again gives the room it opened, if it is still there."""
    engine, tx, now = arrival.engine, arrival.tx, arrival.now
    seen = b"seen/" + H(b"invitation seen", data)
    record = tx.get(seen)
    if record is not None:
        room_id, _ = decode(record, limit=128)
        return engine.rooms.get(room_id)
    invitation = Invitation.parse(data)
    shelved = engine.packages.get(invitation.package_hash)
    if shelved is None:
        raise RemoteError(Reason.UNKNOWN_PACKAGE, "not an invitation to a package of this device")
    room, _ = Room.join(engine.owner, shelved.keys, data, now)
    old = engine.rooms.get(room.id)
    anew = resyncing.is_answer(engine, invitation, old, room)
    if old is not None and (anew or old.closed) and room.has_lost(old):
        raise HeldError(Reason.ALREADY_MEMBER, "let in on a branch that has lost since")
    stale = old is not None and engine.is_stale(room.id)
    moved = not (anew or stale) and old is not None and room.moves(old, invitation.inviter, now)
    if old is not None and moved:
        losing.note_moved(engine, tx, old, now)
    if old is not None and (anew or moved or old.closed):
        room.take_over(old, moved=moved)
    if anew:
        resyncing.start_anew(engine, tx, room.id)
    elif old is not None and not old.closed and not moved:
        # Perhaps it has been removed and added again, and has yet to learn of the first.
        raise HeldError(Reason.ALREADY_MEMBER, "this device is in that room")
    if old is not None:
        past.note(tx, room, set(old.state.epochs))
    tx.put(seen, encode([room.id, now + PACKAGE_LIFETIME + SIGNED_PREKEY_GRACE]))
    if not anew:  # else the package has gone along with the request
        keys = shelved.keys.without(invitation.prekey_index)
        engine.put_package(tx, replace(shelved, keys=keys))
    known = None if old is None or not moved else engine.mailboxes.get(engine.meta[room.id].mailbox)
    if known is not None and known.retired is None:  # those it knew may still write there
        engine.add_room(tx, room, replace(engine.meta[room.id], announced=False))
    else:
        own = OwnMailbox(MailboxKeys.generate(engine.random), room.id)
        engine.put_mailbox(tx, own)
        engine.add_room(tx, room, RoomMeta(own.keys.mailbox.address, announced=False))
    inviter = room.roster.of(invitation.inviter)
    assert inviter is not None  # joining has checked it
    conversation = arrival.faces.conversation(room.id)
    arrival.events.append(RoomJoined(conversation, person(room, inviter), anew))
    if room.direct:
        replaced = actions.settle_direct(engine, tx, invitation.inviter, room, now)
        if replaced is not None:
            old_room, new_room = (arrival.faces.conversation(key) for key in replaced)
            arrival.events.append(RoomReplaced(old_room, new_room))
        arrival.moved_on.append(room.id)
        return room  # a 1:1 room is answered by a person, not by a device
    actions.greet(engine, tx, room, now)
    arrival.moved_on.append(room.id)
    return room
