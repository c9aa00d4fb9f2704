"""Burning: an author recalls what it has said (spec 13.6).

What lies on other devices is erased at the author's request, and what has not been delivered is
taken back as far as the transport can. Whether anybody has read it cannot be known.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import actions
from .content import Burn
from .engine import Engine
from .errors import LocalError, Reason
from .events import Event, MessageBurned
from .faces import Faces, person
from .ledger import Report, State
from .membership import Member
from .ports import Transaction
from .room import Room

__all__ = ["burn", "burnable", "is_burned", "take_burn"]

# Of a copy that has failed so, the transport has said that it has not taken it, or it was held.
_NEVER_LEFT = frozenset(Reason) - {Reason.EXPIRED}


def burn(engine: Engine, tx: Transaction, room: Room, messages: Sequence[bytes], now: int) -> None:
    """Burn messages of one's own (REQ-EVAP-14): all of them or, if this raises, none.

    Raise `LocalError`: bad-input, too-large, unknown-message; as `actions.speak`, where a burn has
    to be sent.
    """
    content = Burn(tuple(dict.fromkeys(messages)))
    content.encode()
    burned = set(content.messages)
    reports = {key: _own(engine, tx, room, key) for key in content.messages}
    perhaps = engine.outbox.perhaps_taken(tx, burned)
    left = bool(perhaps) or any(_has_left(report) for report in reports.values())
    if left and not room.closed:  # nobody would hear one that has been removed
        actions.prepare(engine, tx, room, now)
        engine.say(tx, room, content, now)
    for message in content.messages:
        engine.inbox.erase(tx, message)
        engine.outbox.recalls.demand(tx, message, perhaps.get(message, ()), now)
        engine.ledger.burned(tx, message, now)
    engine.outbox.drop(tx, burned)
    engine.erased = True


def _own(engine: Engine, tx: Transaction, room: Room, message: bytes) -> Report | None:
    """What is told of a text or data of this device in this room; None if only a copy is kept."""
    if engine.ledger.is_said(message):
        report = engine.ledger.report(tx, message)
        if report.room == room.id:
            return report
    elif engine.inbox.author(tx, message) == (room.id, room.own_id):
        return None
    raise LocalError(Reason.UNKNOWN_MESSAGE, "not said by this device in this room, or long ago")


def _has_left(report: Report | None) -> bool:
    """Whether the transport has taken a copy, or one of which nobody knows any more."""
    return report is None or any(
        r.state in (State.SENT, State.CONFIRMED)
        or (r.state is State.FAILED and r.why not in _NEVER_LEFT)
        for r in report.recipients
    )


def burnable(engine: Engine, tx: Transaction, room: Room) -> list[bytes]:
    """The ids of what this device has said in a room and can burn, oldest first."""
    return [r.id for r in engine.ledger.all_said(tx, room.id) if not r.burned]


def take_burn(
    engine: Engine,
    tx: Transaction,
    faces: Faces,
    room: Room,
    sender: Member,
    burned: Burn,
    now: int,
) -> list[Event]:
    """A member burns what it has said: erase it, or remember its id until it comes."""
    whose, there, not_yet = (room.id, sender.id), [], []
    for message in dict.fromkeys(burned.messages):
        if engine.inbox.author(tx, message) == whose:
            engine.inbox.erase(tx, message)
            there.append(message)
        else:
            not_yet.append(message)
            if faces.opened(message) == whose:  # its record has gone, as it goes on closing
                there.append(message)
    engine.tombstones.add(tx, room.id, sender.id, not_yet, now)
    conversation, by = faces.conversation(room.id), person(room, sender)
    return [MessageBurned(conversation, by, message) for message in there]


def is_burned(
    engine: Engine, tx: Transaction, room: Room, sender: Member, message: bytes, now: int
) -> bool:
    """Whether a message that has just come was burned by its sender before."""
    return engine.tombstones.has(tx, room.id, sender.id, message, now)
