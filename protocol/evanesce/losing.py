"""What is left to do when a commit of one's own has lost: to do again what it did (spec 10.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import actions
from .applying import CommitApplied
from .engine import Engine
from .errors import LocalError, RemoteError
from .events import ChangesLost, Event, Person
from .faces import Faces, person
from .holdings import next_prekey
from .limits import MAX_COMMIT
from .operations import (
    Add,
    Operation,
    Resync,
    SetPolicy,
    SetRole,
    Wish,
    apply_operations,
    load_operations,
)
from .ports import Transaction
from .proofs import Sanction
from .room import Room
from .wire import decode, encode

__all__ = ["again", "note", "waits"]

_LOST = b"lost/"
STAGGER = 60  # seconds between the authors of commits that have lost on one epoch
_LIMIT = 4 * MAX_COMMIT


@dataclass(frozen=True, slots=True)
class _Lost:
    """Operations to commit again, and when."""

    due: int
    operations: bytes

    @classmethod
    def load(cls, record: bytes) -> list[_Lost]:
        return [cls(due, data) for due, data in decode(record, limit=_LIMIT)]


def note(engine: Engine, tx: Transaction, room: Room, change: CommitApplied, now: int) -> None:
    """Commits of this device have lost to one that has been applied: keep what they did."""
    if not change.own_lost:
        return
    record = tx.get(_LOST + room.id)
    lost = [] if record is None else _Lost.load(record)
    for prefix, operations in change.own_lost:
        if not load_operations(operations):
            continue  # a refresh: that one is due again is known to the room
        epoch = room.state.epochs[prefix]
        siblings = [e for e in room.state.epochs.values() if e.parent == epoch.parent]
        first = [e for e in siblings if e.order and epoch.order and e.order < epoch.order]
        place = max(0, len(first) - 1)  # the one that has won is not waited for
        lost.append(_Lost(now + place * STAGGER, operations))
    if lost:
        tx.put(_LOST + room.id, encode([[each.due, each.operations] for each in lost]))
        engine.lost.add(room.id)


def waits(engine: Engine, room: bytes) -> bool:
    """Whether something is to be committed again in a room."""
    return room in engine.lost


def again(engine: Engine, tx: Transaction, faces: Faces, room: Room, now: int) -> list[Event]:
    """Commit again what lost commits did, if it is time to, and tell what cannot be."""
    record = tx.get(_LOST + room.id)
    lost = [] if record is None else _Lost.load(record)
    if any(each.due > now for each in lost):
        return []  # all together, once the last of them is due
    tx.delete(_LOST + room.id)
    engine.lost.discard(room.id)
    operations = [op for each in lost for op in load_operations(each.operations)]
    wishes, guests, refused = _sift(engine, tx, room, operations, now)
    if wishes or guests:
        try:
            actions.commit(engine, tx, room, wishes, guests, now)
        except LocalError:  # each would do by itself, but not all together
            refused = [op for op in operations if not isinstance(op, Sanction)]
    return [_told(faces, room, refused)] if refused else []


def _sift(
    engine: Engine, tx: Transaction, room: Room, operations: Sequence[Operation], now: int
) -> tuple[list[Wish], list[actions.Guest], list[Operation]]:
    """What of it can be committed now, whom to invite anew, and what cannot be done any more."""
    wishes: list[Wish] = []
    guests: list[actions.Guest] = []
    refused: list[Operation] = []
    for operation in operations:
        if isinstance(operation, Sanction) or _is_done(room, operation):
            continue  # a sanction is pending: every commit embeds it, as far as it holds
        try:
            apply_operations(
                room.roster, room.policy, room.state.suite, room.id, room.epoch, room.transcript,
                room.state.me, now, [operation], (),
            )  # fmt: skip
            if isinstance(operation, Add):
                next_prekey(tx, operation.package)
                engine.pins.refuse_offered(operation.package.identity)
        except (LocalError, RemoteError):
            refused.append(operation)
            continue
        if isinstance(operation, Add):
            guests.append(actions.Guest(operation.package, operation.role))
        elif isinstance(operation, Resync):
            refused.append(operation)  # its package has been used: the member asks anew
        else:
            wishes.append(operation)
    return wishes, guests, refused


def _is_done(room: Room, operation: Operation) -> bool:
    """Whether the room is already as the operation would make it."""
    match operation:
        case Add(package, _):
            return room.roster.of(package.identity) is not None
        case SetRole(member, role):
            return member in room.roster and room.roster[member].role == role
        case SetPolicy(policy):
            return room.policy == policy
    return False


def _told(faces: Faces, room: Room, refused: Sequence[Operation]) -> ChangesLost:
    def people(members: Sequence[bytes]) -> tuple[Person, ...]:
        return tuple(person(room, room.roster[m]) for m in members if m in room.roster)

    policies = [operation.policy for operation in refused if isinstance(operation, SetPolicy)]
    return ChangesLost(
        faces.conversation(room.id),
        tuple(op.package.identity for op in refused if isinstance(op, Add)),
        people([op.member for op in refused if isinstance(op, SetRole)]),
        people([op.request.member for op in refused if isinstance(op, Resync)]),
        policies[-1] if policies else None,
    )
