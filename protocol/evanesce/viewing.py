"""Viewing, and telling of it: what a device does about viewed receipts (spec 13.5)."""

from __future__ import annotations

from .content import Viewed
from .engine import Engine
from .errors import LocalError
from .events import Event, MessageViewed
from .faces import Faces, person
from .membership import Member
from .ports import Transaction
from .room import Room

__all__ = ["send_receipts", "take_receipt", "view"]


def view(
    engine: Engine, tx: Transaction, message: bytes, now: int
) -> tuple[tuple[bytes, bytes], str | bytes]:
    """Mark a message viewed, note the receipt it is due; return room and author, and what it says.

    Raise `LocalError` (evaporated).
    """
    kept = engine.inbox.get(tx, message, now)
    body = engine.inbox.view(tx, message, now)
    if kept.viewed is None:  # one's own counts as viewed from the beginning
        engine.receipts.note(tx, kept.room, message, now, engine.random)
    return (kept.room, kept.sender), body


def _may_send(engine: Engine, room: Room, now: int) -> bool:
    """Whether a receipt may go out now: with no commit, and not as an answer (REQ-EVAP-12)."""
    if engine.meta[room.id].retired is not None or engine.is_stale(room.id):
        return False
    if not engine.can_speak(room):  # closed, or a refresh is awaited
        return False
    if room.direct:
        return room.state.epoch.opener == room.own_id
    return not room.refresh_due(now)


def send_receipts(engine: Engine, tx: Transaction, room: Room, now: int) -> None:
    """Send the receipts whose moment has come, if that may be done now; else they wait."""
    engine.receipts.expire(tx, now)
    due = engine.receipts.due(room.id, now)
    if not due or not _may_send(engine, room, now):
        return
    for batch in due:
        try:
            engine.pins.require_settled(room.roster)  # nothing is told to whom nobody knows
            engine.announce(tx, room, now)
            engine.say(tx, room, Viewed(batch.messages), now)
        except LocalError:  # the chain has come to its end: there is no place for it yet
            return
        engine.receipts.sent(tx, room.id, batch)


def take_receipt(
    engine: Engine,
    tx: Transaction,
    faces: Faces,
    room: Room,
    sender: Member,
    viewed: Viewed,
    now: int,
) -> list[Event]:
    """A member says what it has viewed; where receipts are off, that is nobody's business."""
    if not engine.receipts.are_on(room.id):
        return []
    return [
        MessageViewed(faces.conversation(room.id), person(room, sender), message)
        for message in dict.fromkeys(viewed.messages)
        if engine.ledger.viewed(tx, room.id, sender.id, message, now)
    ]
