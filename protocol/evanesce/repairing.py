"""Asking for commits that were missed, and answering those who ask (spec 10.12)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import takewhile

from . import passing, past
from .engine import Engine
from .events import Event, FallenBehind, Person
from .faces import Faces, person
from .limits import HOUR, MAX_REPAIRS, REPAIR_WINDOW
from .ports import Transaction
from .repair import RepairRequest
from .requests import asked_room, count_request, forget_counts, post_request, resend_copies
from .room import Room
from .tree import lineage, path
from .wire import decode, encode

__all__ = ["answer", "ask", "expire"]

PATIENCE = 60  # seconds that a missing commit may take by itself
SECOND = 600  # and then until all are asked, not only those who must know
_ASKED = b"asked/"
_ANSWERED = b"answered/"
_SENT = b"sent-request/"  # when this device last asked a member


@dataclass(frozen=True, slots=True)
class _Asked:
    """The requests of this device for one room, since something has been held there."""

    times: tuple[int, ...] = ()
    told: bool = False  # that it has fallen behind

    def due(self, since: int, now: int) -> bool:
        """Whether to ask now, what is held having come at `since`."""
        recent = [time for time in self.times if 0 <= now - time < REPAIR_WINDOW]
        if len(recent) >= MAX_REPAIRS:
            return False
        if not self.times:
            return now - since >= PATIENCE
        wait = SECOND if len(self.times) == 1 else HOUR
        return not 0 <= now - self.times[-1] < wait


@dataclass(slots=True)
class _Missing:
    """What is held for a room for want of a commit."""

    since: int
    names: set[bytes] = field(default_factory=set)  # senders and committers


def _missing(engine: Engine) -> dict[bytes, _Missing]:
    """The groups in which something is held that is of an epoch not known here."""
    found: dict[bytes, _Missing] = {}
    for _, held in engine.waiting.all():
        room = None if held.room is None else engine.rooms.get(held.room)
        gone = room is None or room.direct or (room.closed and not room.may_ask)
        if room is None or gone or held.since < (room.state.joined or 0):
            continue  # held since before this device came: of a place that is gone
        if held.epoch is None or held.by is None:
            continue  # what waits for the clock
        if held.epoch in room.state.epochs and not held.slotless:
            continue  # the same
        missing = found.setdefault(room.id, _Missing(held.since))
        missing.since = min(missing.since, held.since)
        missing.names.add(held.by)
    return found


def ask(engine: Engine, tx: Transaction, faces: Faces, now: int) -> list[Event]:
    """Ask where something is held for want of a commit, and it is time to (REQ-EPOCH-24)."""
    events: list[Event] = []
    missing = _missing(engine)
    for name, _ in list(tx.scan(_ASKED)):
        if name[len(_ASKED) :] not in missing:
            tx.delete(name)
    for key, held in missing.items():
        record = tx.get(_ASKED + key)
        asked = _Asked() if record is None else _load(record)
        after = asked
        if asked.due(held.since, now):
            room = engine.rooms[key]
            named = [member for member in held.names if member in room.roster]
            _send(engine, tx, room, named if named and not asked.times else None, now)
            after = replace(asked, times=(*asked.times[-MAX_REPAIRS:], now))
        if after.times and not after.told and now - after.times[0] >= HOUR:
            after = replace(after, told=True)
            room = engine.rooms[key]
            events.append(FallenBehind(faces.conversation(key), _ahead(room, held.names)))
        if after != asked:
            tx.put(_ASKED + key, encode([list(after.times), after.told]))
    return events


def _ahead(room: Room, names: Iterable[bytes]) -> Person | None:
    """Whom to ask for a resync, if it is not for the others to ask (REQ-EPOCH-31)."""
    members = [room.roster[name] for name in names if name in room.roster]
    if not members:
        return None
    first = min(members, key=lambda member: member.rank)
    ahead = first.rank < room.state.me.rank or _is_alone(room)
    return person(room, first) if ahead else None


def _is_alone(room: Room) -> bool:
    """Whether nobody has said anything in the epochs that this device has opened last."""
    latest = path(room.state)
    own = list(takewhile(lambda epoch: epoch.opener == room.own_id, latest))
    return bool(own) and all(
        chain.index == 0 for epoch in own for chain in epoch.chains.values()
    )


def _load(record: bytes) -> _Asked:
    times, told = decode(record, limit=1_024)
    return _Asked(tuple(times), told)


def _send(
    engine: Engine, tx: Transaction, room: Room, members: Iterable[bytes] | None, now: int
) -> None:
    """Send a request to these members, or to all others."""
    prefix = room.transcript[:8]
    request = RepairRequest.make(engine.owner, room.id, room.own_id, prefix, now)
    others = [member.id for member in room.roster] if members is None else members
    for member in others:
        if member != room.own_id:
            tx.put(_SENT + room.id + member, encode([now, [now]]))
            post_request(engine, tx, room, member, request.signed, now)


def answer(engine: Engine, tx: Transaction, data: bytes, home: bytes | None, now: int) -> None:
    """Answer a request that came to the mailbox of `home` (REQ-EPOCH-23).

    Raise `RemoteError`: as `RepairRequest.parse`, unknown-room, wrong-mode, own-message,
    room-closed, those of `RepairRequest.check`, replay, too-many-requests; `HeldError` as there.
    """
    request = RepairRequest.parse(data)
    room = asked_room(engine, request.room, request.member, home)
    member = request.check(room.id, room.roster, now)
    count_request(tx, _ANSWERED + room.id + member.id, now, request.time)
    epoch = room.state.epochs.get(request.prefix)
    known = None if epoch is None else lineage(room.state, epoch.prefix)
    copies = engine.kept_commits.copies_for(tx, room.id, member.id, known)
    resend_copies(engine, tx, room, member, copies)
    for copy in passing.copies(tx, room, member.id, known):
        post_request(engine, tx, room, member.id, copy, now)
    if epoch is None and not past.has(tx, room, request.prefix):
        _ask_back(engine, tx, room, member.id, now)


def _ask_back(engine: Engine, tx: Transaction, room: Room, member: bytes, now: int) -> None:
    """Who asks from an epoch that is not known here has what this device has missed."""
    record = tx.get(_SENT + room.id + member)
    if record is None or not 0 <= now - decode(record, limit=64)[0] < HOUR:
        _send(engine, tx, room, [member], now)


def expire(tx: Transaction, now: int) -> None:
    """Forget requests that no longer count."""
    forget_counts(tx, _ANSWERED, now)
    forget_counts(tx, _SENT, now)
