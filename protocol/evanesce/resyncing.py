"""Being let into a group anew, and letting others in (spec 10.13)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from .engine import Engine
from .errors import LocalError, Reason, RemoteError
from .holdings import Asked
from .invitation import Invitation
from .limits import REQUEST_LIFETIME
from .membership import Member
from .operations import Resync
from .ports import Transaction
from .requests import asked_room, count_request, forget_counts, post_request
from .resync import ResyncRequest
from .room import Room

__all__ = ["AT_ONCE", "ask", "expire", "forget", "is_answer", "operation_for", "receive",
           "start_anew"]  # fmt: skip

AT_ONCE = 0  # when a mailbox was retired that is to be closed now
_TIMES = b"asking/"


# --- the device that asks ------------------------------------------------------------------------


def ask(
    engine: Engine, tx: Transaction, room: Room, whom: Collection[bytes], now: int
) -> int:
    """Ask these members, or all others, to let this device in anew (REQ-EPOCH-25); return how many.

    One that has been removed may ask too: for others that removal may have lost; if not, nobody
    answers. Raise `LocalError`: room-closed for a place that was given up; wrong-mode in a direct
    room, which is begun anew; bad-input for the device itself; unknown-member for who is
    not in the roster as it is known here.
    """
    if not room.may_ask:
        raise LocalError(Reason.ROOM_CLOSED, "this device has given up its place")
    if room.direct:
        raise LocalError(Reason.WRONG_MODE, "a direct room is begun anew")
    if room.own_id in whom:
        raise LocalError(Reason.BAD_INPUT, "a device does not let itself in")
    others = [m.id for m in room.roster if m.id != room.own_id and (not whom or m.id in whom)]
    if whom and len(others) < len(set(whom)):
        raise LocalError(Reason.UNKNOWN_MEMBER, "not a member of this room")
    before = engine.meta[room.id].asked
    engine.forget_asked(tx, room.id)
    shelved = engine.make_package(tx, now, last_resort=False, publish=False)
    package = shelved.keys.package
    last = max(now - 1, before.time if before else 0, room.state.me.resynced or 0)
    request = ResyncRequest.make(engine.owner, room.id, room.own_id, last + 1, package)
    asked = Asked(package.hash, request.time, tuple(others))
    engine.put_meta(tx, room.id, replace(engine.meta[room.id], asked=asked))
    posted = [post_request(engine, tx, room, member, request.signed, now) for member in others]
    return sum(posted)


def is_answer(engine: Engine, invitation: Invitation, old: Room | None, new: Room) -> bool:
    """Whether this invitation lets the device in anew as it has asked for.

    Raise `RemoteError` (unknown-package): it is by the package of a request, and something else.
    """
    by_request = [
        key for key, meta in engine.meta.items()
        if meta.asked is not None and meta.asked.package == invitation.package_hash
    ]  # fmt: skip
    if not by_request:
        return False
    if by_request == [new.id] and old is not None and new.own_id == old.own_id:
        asked, inviter = engine.meta[new.id].asked, old.roster.of(invitation.inviter)
        if asked is not None and inviter is not None and inviter.id in asked.members:
            return True
    raise RemoteError(Reason.UNKNOWN_PACKAGE, "this package is for the answer to a request")


def start_anew(engine: Engine, tx: Transaction, room: bytes) -> None:
    """Erase what is of the old place in a room; its records go when the new ones are stored."""
    engine.forget_asked(tx, room)
    for own in list(engine.mailboxes.values()):
        if own.room == room:
            engine.put_mailbox(tx, replace(own, retired=AT_ONCE, unheard=()))
    # What came to the contact mailbox stays: it may be of the new epoch, and have overtaken the
    # invitation.
    engine.waiting.forget_room(tx, room)
    for kept, member in list(engine.resyncs):
        if kept == room:
            _drop(engine, tx, room, member)
    engine.outbox.drop_commits(tx, room)
    engine.kept_commits.forget_room(tx, room)
    engine.erased = True


# --- those who are asked -------------------------------------------------------------------------


def receive(
    engine: Engine, tx: Transaction, data: bytes, home: bytes | None, now: int
) -> tuple[Room, Member] | None:
    """Keep a request of a member for the application to decide (REQ-EPOCH-26).

    Return the room and who asks, or None if this very request is kept already. Raise `RemoteError`:
    as `ResyncRequest.parse`, unknown-room, wrong-mode, own-message, room-closed, those of
    `ResyncRequest.check`, replay (not later than the one that is kept), too-many-requests.
    """
    request = ResyncRequest.parse(data)
    room = asked_room(engine, request.room, request.member, home)
    member = request.check(room.state.suite, room.id, room.roster, now)
    known = engine.resyncs.get((room.id, member.id))
    if known is not None and known.signed == data:
        return None
    if known is not None and known.time >= request.time:
        raise RemoteError(Reason.REPLAY, "not later than the request that is kept")
    count_request(tx, _TIMES + room.id + member.id, now)
    engine.resyncs[room.id, member.id] = request
    tx.put(b"resync/" + room.id + member.id, data)
    return room, member


def operation_for(engine: Engine, room: Room, member: bytes) -> Resync:
    """What lets a member in anew. Raise `LocalError` (unknown-message): it has not asked."""
    try:
        return Resync(engine.resyncs[room.id, member])
    except KeyError:
        raise LocalError(Reason.UNKNOWN_MESSAGE, "this member has not asked for it") from None


def forget(engine: Engine, tx: Transaction, room: Room, member: bytes, now: int) -> None:
    """A member is let in anew by the epoch just entered: nothing earlier is of use to it."""
    if (room.id, member) in engine.resyncs:
        _drop(engine, tx, room.id, member)
    engine.kept_commits.forget_member(tx, room.id, member)
    engine.ledger.left_behind(tx, room.id, member, room.epoch, now)


def expire(engine: Engine, tx: Transaction, now: int) -> None:
    """Forget requests that no commit may grant any more, one's own too, and what was counted."""
    for key, meta in list(engine.meta.items()):
        if meta.asked is not None and now - meta.asked.time > 2 * REQUEST_LIFETIME:
            engine.forget_asked(tx, key)
    forget_counts(tx, _TIMES, now)
    for (room, member), request in list(engine.resyncs.items()):
        if now > request.time + REQUEST_LIFETIME:
            _drop(engine, tx, room, member)


def _drop(engine: Engine, tx: Transaction, room: bytes, member: bytes) -> None:
    del engine.resyncs[room, member]
    tx.delete(b"resync/" + room + member)
