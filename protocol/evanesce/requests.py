"""Signed requests between members of a group: on their way, and where they are judged (spec 10)."""

from __future__ import annotations

from collections.abc import Mapping

from .engine import Engine
from .errors import Reason, RemoteError
from .ledger import commit_key
from .limits import MAX_CLOCK_LEAD, MAX_REPAIRS, REPAIR_WINDOW, REQUEST_LIFETIME
from .membership import Member
from .outbox import REQUEST
from .ports import Transaction
from .room import Room
from .wire import decode, encode

__all__ = ["asked_room", "count_request", "forget_counts", "post_request", "resend_copies"]


def post_request(
    engine: Engine, tx: Transaction, room: Room, member: bytes, request: bytes, now: int
) -> bool:
    """Queue a signed request for a member, if it can be reached; return whether it can."""
    contact = room.directory.get(member)
    if contact is None or contact.mailbox is None:
        return False
    key = REQUEST + now.to_bytes(8, "big")
    engine.outbox.post(tx, room.id, contact.mailbox, request, engine.random, key, member)
    return True


def resend_copies(
    engine: Engine, tx: Transaction, room: Room, member: Member, copies: Mapping[bytes, bytes]
) -> None:
    """Queue copies of one's own commits once more, but those that have not left yet."""
    waiting = {(item.report, item.member) for item in engine.outbox.waiting(tx)}
    contact = room.directory.get(member.id)
    if contact is None or contact.mailbox is None:
        return  # they are held until it can be reached
    for epoch, copy in copies.items():
        key = commit_key(room.id, epoch)
        if (key, member.id) not in waiting:
            engine.outbox.post(
                tx, room.id, contact.mailbox, copy, engine.random, key, member.id
            )


def count_request(tx: Transaction, name: bytes, now: int, time: int | None = None) -> None:
    """Count an accepted request of a member in a record of this name.

    `time`: that of the request, where each has to be later than the one before. Raise
    `RemoteError`: replay; too-many-requests (`MAX_REPAIRS` within `REPAIR_WINDOW`).
    """
    record = tx.get(name)
    last, times = (None, []) if record is None else decode(record, limit=1_024)
    if time is not None and last is not None and time <= last:
        raise RemoteError(Reason.REPLAY, "not later than this member's last request")
    recent = [at for at in times if 0 <= now - at < REPAIR_WINDOW]
    if len(recent) >= MAX_REPAIRS:
        raise RemoteError(Reason.TOO_MANY_REQUESTS, "this member has asked too often")
    tx.put(name, encode([time, [*recent, now]]))


def forget_counts(tx: Transaction, prefix: bytes, now: int) -> None:
    """Forget the counts of requests that could not come again."""
    for name, record in list(tx.scan(prefix)):
        _, times = decode(record, limit=1_024)
        if not times or now - max(times) > REQUEST_LIFETIME + MAX_CLOCK_LEAD:
            tx.delete(name)


def asked_room(engine: Engine, room: bytes, member: bytes, home: bytes | None) -> Room:
    """The group that a request is for, which came to the mailbox of room `home`, or None.

    Raise `RemoteError`: unknown-room, wrong-mode, own-message, room-closed.
    """
    found = engine.rooms.get(room)
    if found is None or home not in (None, room):
        raise RemoteError(Reason.UNKNOWN_ROOM, "a request for no room of this mailbox")
    if found.direct:
        raise RemoteError(Reason.WRONG_MODE, "a direct room has no commits to ask for")
    if member == found.own_id:
        raise RemoteError(Reason.OWN_MESSAGE, "a request in this device's own name")
    if found.closed:
        raise RemoteError(Reason.ROOM_CLOSED, "this device is no longer in the room")
    return found
