"""Being let into a group anew, and letting others in (spec 10.13)."""

from __future__ import annotations

from dataclasses import replace

from .engine import Engine
from .errors import LocalError, Reason
from .invitation import Invitation
from .limits import REQUEST_LIFETIME
from .membership import Member
from .operations import Resync
from .ports import Transaction
from .requests import asked_room, post_request
from .resync import ResyncRequest
from .room import Room

__all__ = ["ask", "expire", "forget", "is_answer", "operation_for", "receive", "start_anew"]


# --- the device that asks ------------------------------------------------------------------------


def ask(engine: Engine, tx: Transaction, room: Room, now: int) -> int:
    """Ask the other members to let this device in anew (REQ-EPOCH-25); return how many.

    Raise `LocalError`: room-closed after a removal, which no request undoes; wrong-mode in a
    direct room, which is begun anew.
    """
    room.state.require_active()
    if room.direct:
        raise LocalError(Reason.WRONG_MODE, "a direct room is begun anew")
    meta = engine.meta[room.id]
    if meta.asked is not None:
        engine.drop_package(tx, meta.asked)
    shelved = engine.make_package(tx, now, last_resort=False, publish=False)
    package = shelved.keys.package
    engine.put_meta(tx, room.id, replace(meta, asked=package.hash))
    request = ResyncRequest.make(engine.owner, room.id, room.own_id, now, package)
    others = [member.id for member in room.roster if member.id != room.own_id]
    return sum(post_request(engine, tx, room, member, request.signed, now) for member in others)


def is_answer(engine: Engine, invitation: Invitation, old: Room, new: Room) -> bool:
    """Whether this invitation lets the device in anew as it has asked for."""
    return engine.meta[old.id].asked == invitation.package_hash and new.own_id == old.own_id


def start_anew(engine: Engine, tx: Transaction, room: bytes) -> None:
    """Erase what is of the old place in a room; its records go when the new ones are stored."""
    old = engine.mailboxes.get(engine.meta[room].mailbox)
    if old is not None:  # retired long ago: nothing that can be read comes there any more
        engine.put_mailbox(tx, replace(old, retired=0, unheard=()))
    for own in list(engine.mailboxes.values()):
        if own.room == room and own.retired is not None:
            engine.put_mailbox(tx, replace(own, retired=0, unheard=()))
    for name, _ in list(tx.scan(b"waiting/" + room)):
        tx.delete(name)
    for kept, member in list(engine.resyncs):
        if kept == room:
            _drop(engine, tx, room, member)
    engine.erased = True


# --- those who are asked -------------------------------------------------------------------------


def receive(
    engine: Engine, tx: Transaction, data: bytes, home: bytes | None, now: int
) -> tuple[Room, Member] | None:
    """Keep a request of a member for the application to decide (REQ-EPOCH-26).

    Return the room and who asks, or None if this very request is kept already. Raise `RemoteError`:
    as `ResyncRequest.parse`, unknown-room, wrong-mode, own-message, room-closed, those of
    `ResyncRequest.check`.
    """
    request = ResyncRequest.parse(data)
    room = asked_room(engine, request.room, request.member, home)
    member = request.check(room.state.suite, room.id, room.roster, now)
    known = engine.resyncs.get((room.id, member.id))
    if known is not None and known.time >= request.time:
        return None
    engine.resyncs[room.id, member.id] = request
    tx.put(b"resync/" + room.id + member.id, data)
    return room, member


def operation_for(engine: Engine, room: Room, member: bytes) -> Resync:
    """What lets a member in anew. Raise `LocalError` (unknown-message): it has not asked."""
    try:
        return Resync(engine.resyncs[room.id, member])
    except KeyError:
        raise LocalError(Reason.UNKNOWN_MESSAGE, "this member has not asked for it") from None


def forget(engine: Engine, tx: Transaction, room: bytes, member: bytes) -> None:
    """A member has been let in anew, or has gone: nothing that was for it is of use."""
    if (room, member) in engine.resyncs:
        _drop(engine, tx, room, member)
    engine.kept_commits.forget_member(tx, room, member)


def expire(engine: Engine, tx: Transaction, now: int) -> None:
    """Forget requests that no commit may grant any more."""
    for (room, member), request in list(engine.resyncs.items()):
        if now > request.time + REQUEST_LIFETIME:
            _drop(engine, tx, room, member)


def _drop(engine: Engine, tx: Transaction, room: bytes, member: bytes) -> None:
    del engine.resyncs[room, member]
    tx.delete(b"resync/" + room + member)
