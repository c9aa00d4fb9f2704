"""What is left to do when a commit of one's own has lost: to do again what it did (spec 10.9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import actions
from .applying import CommitApplied
from .engine import Engine
from .epoch import PREFIX_BYTES
from .errors import LocalError, RemoteError
from .events import ChangesLost, Event, Person
from .faces import Faces, person
from .formats import OPERATION_LIMIT
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
from .pending import embedded
from .ports import Transaction
from .proofs import Proof, ProofKind, Sanction
from .room import Room
from .tree import path
from .wire import decode, encode

__all__ = ["again", "forget", "give_up", "note", "note_moved", "waits"]

_LOST = b"lost/"
STAGGER = 60  # seconds between the authors of commits that have lost on one epoch
_LIMIT = MAX_COMMIT + 64
_ROOM = 1 << 19  # bytes of operations that are surely not too many for one commit


def note(engine: Engine, tx: Transaction, room: Room, change: CommitApplied, now: int) -> None:
    """Commits of this device have lost to one that has been applied: keep what they did."""
    for prefix, operations in change.own_lost:
        _keep(engine, tx, room, prefix, operations, now)


def note_moved(engine: Engine, tx: Transaction, old: Room, now: int) -> None:
    """This device is brought over to another branch (REQ-ENV-24): its own commits are left there.

    They were by another id, and on epochs that nobody else forks from any more.
    """
    for epoch in reversed(path(old.state)):
        if epoch.opener == old.own_id and epoch.operations is not None:
            _keep(engine, tx, old, epoch.prefix, epoch.operations, now)


def _keep(
    engine: Engine, tx: Transaction, room: Room, prefix: bytes, operations: bytes, now: int
) -> None:
    if decode(operations, limit=MAX_COMMIT):  # not a refresh: that one is due the room knows
        tx.put(_LOST + room.id + prefix, encode([now, operations]))
        engine.lost.add(room.id)


def _place(room: Room, prefix: bytes) -> int:
    """How many have lost on the same parent that come before this commit, as is known by now."""
    epoch = room.state.epochs.get(prefix)
    if epoch is None or epoch.order is None:
        return 0  # one too many to be kept
    siblings = [e for e in room.state.epochs.values() if e.parent == epoch.parent]
    first = [e for e in siblings if e.order is not None and e.order < epoch.order]
    return max(0, len(first) - 1)  # the one that has won is not waited for


def waits(engine: Engine, room: bytes) -> bool:
    """Whether something is to be committed again in a room."""
    return room in engine.lost


def again(engine: Engine, tx: Transaction, faces: Faces, room: Room, now: int) -> list[Event]:
    """Commit again what lost commits did, if it is time to, and tell what cannot be."""
    lost = [(name, *decode(record, limit=_LIMIT)) for name, record in tx.scan(_LOST + room.id)]
    places = [_place(room, name[-PREFIX_BYTES:]) for name, _, _ in lost]
    if any(now < since + place * STAGGER
           for place, (_, since, _) in zip(places, lost, strict=True)):  # fmt: skip
        return []  # all together, once the last of them is due
    forget(engine, tx, room.id)
    refused: list[Operation] = []
    for operations in _batches([data for _, _, data in lost]):
        refused += _commit(engine, tx, room, operations, now)
    return [_told(faces, room, refused)] if refused else []


def give_up(engine: Engine, tx: Transaction, faces: Faces, room: Room) -> list[Event]:
    """Nothing can be committed here any more: tell what is lost for good."""
    records = [decode(record, limit=_LIMIT) for _, record in tx.scan(_LOST + room.id)]
    operations = [each for _, data in records for each in load_operations(data)]
    forget(engine, tx, room.id)
    refused = [op for op in operations if not _is_done(room, op)]
    return [_told(faces, room, refused)] if refused else []


def forget(engine: Engine, tx: Transaction, room: bytes) -> None:
    """Nothing is to be committed again in a room."""
    for name, _ in list(tx.scan(_LOST + room)):
        tx.delete(name)
    engine.lost.discard(room)


def _batches(lost: Sequence[bytes]) -> Iterator[list[Operation]]:
    """The operations of these commits, as many of them together as one commit surely takes."""
    operations: list[Operation] = []
    size = 0
    for data in lost:
        more = load_operations(data)
        if operations and (len(operations) + len(more) > OPERATION_LIMIT
                           or size + len(data) > _ROOM):  # fmt: skip
            yield operations
            operations, size = [], 0
        operations, size = [*operations, *more], size + len(data)
    if operations:
        yield operations


def _commit(
    engine: Engine, tx: Transaction, room: Room, operations: Sequence[Operation], now: int
) -> list[Operation]:
    """Commit of these what can be; return what cannot."""
    wanted, refused = _sift(engine, tx, room, operations)
    chosen = _entitled(room, wanted, now)
    kept = set(map(id, chosen))
    refused += [operation for operation in wanted if id(operation) not in kept]
    if chosen:
        guests = [actions.Guest(op.package, op.role) for op in chosen if isinstance(op, Add)]
        others: list[Wish] = [op for op in chosen if not isinstance(op, Add)]
        try:
            actions.commit(engine, tx, room, others, guests, now)
        except LocalError:
            refused += chosen
    return refused


def _sift(
    engine: Engine, tx: Transaction, room: Room, operations: Sequence[Operation]
) -> tuple[list[Operation], list[Operation]]:
    """What of it is still to be done by this device, and what certainly cannot be."""
    wanted: list[Operation] = []
    refused: list[Operation] = []
    leaving = {proof.member for proof in room.pending if proof.removes}
    removed = {proof.admission for proof in room.state.noted if proof.removes}
    for operation in operations:
        if _is_done(room, operation):
            continue
        if isinstance(operation, Sanction | Resync):
            refused.append(operation)  # it has lost its force; its package has been used
            continue
        if isinstance(operation, SetRole) and operation.member in leaving:
            refused.append(operation)
            continue
        if isinstance(operation, Add):
            if operation.package.hash in removed:
                refused.append(operation)  # somebody has removed it since, on the branch that lost
                continue
            try:
                next_prekey(tx, operation.package)
                engine.pins.refuse_offered(operation.package.identity)
            except LocalError:
                refused.append(operation)
                continue
        wanted.append(operation)
    return wanted, refused


def _entitled(room: Room, wanted: list[Operation], now: int) -> list[Operation]:
    """Those that one commit can do together: of what does not go with what is before it, none."""
    chosen: list[Operation] = []

    def fits(more: list[Operation]) -> bool:
        together = [*chosen, *more]
        try:
            apply_operations(
                room.roster, room.policy, room.state.suite, room.id, room.epoch, room.transcript,
                room.state.me, now, together, embedded(room.state, together),
            )  # fmt: skip
        except RemoteError:
            return False
        return True

    def choose(some: list[Operation]) -> None:
        if fits(some):
            chosen.extend(some)
        elif len(some) > 1:
            choose(some[: len(some) // 2])
            choose(some[len(some) // 2 :])

    if wanted:
        choose(wanted)
    return chosen


def _is_done(room: Room, operation: Operation) -> bool:
    """Whether the room is already as the operation would make it."""
    match operation:
        case Sanction():  # done, or pending: then every commit does it
            target = room.roster.members.get(operation.member)
            if target is None or target.admission != operation.admission:
                return True
            lowered = operation.role is not None and target.role <= operation.role
            return lowered or Proof(ProofKind.SANCTION, operation.signed) in room.pending
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
        people([op.member for op in refused if isinstance(op, Sanction)]),
    )
