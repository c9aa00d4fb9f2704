"""Asking for commits that were missed, and answering those who ask (spec 10.12)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from . import passing
from .engine import Engine
from .epoch import SealedCommit
from .events import Event, FallenBehind, Person
from .faces import Faces, person
from .formats import COMMIT_COPY, MESSAGE
from .limits import HOUR, MAX_REPAIRS, REPAIR_WINDOW
from .message import ParsedMessage
from .ports import Transaction
from .repair import RepairRequest
from .requests import asked_room, count_request, forget_counts, post_request, resend_copies
from .room import Room
from .tree import lineage
from .wire import decode, encode, peek_type

__all__ = ["answer", "ask", "expire"]

PATIENCE = 60  # seconds that a missing commit may take by itself
SECOND = 600  # and then until all are asked, not only those who must know
_ASKED = b"asked/"
_ANSWERED = b"answered/"


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


def _missing(engine: Engine, tx: Transaction) -> dict[bytes, _Missing]:
    """The groups in which something is held that is of an epoch not known here."""
    found: dict[bytes, _Missing] = {}
    for _, record in tx.scan(b"waiting/"):
        since, key, payload, _ = decode(record, limit=1 << 22)
        room = engine.rooms.get(key) if key is not None else None
        gone = room is None or room.direct or (room.closed and not room.may_ask)
        if room is None or gone or since < (room.state.joined or 0):
            continue  # held since before this device came: of a place that is gone
        named = _names_epoch(payload)
        if named is None or (named[0] in room.state.epochs and not named[2]):
            continue  # what waits for the clock
        missing = found.setdefault(room.id, _Missing(since))
        missing.since = min(missing.since, since)
        missing.names.add(named[1])
    return found


def _names_epoch(payload: bytes) -> tuple[bytes, bytes, bool] | None:
    """The epoch that a held message or commit names, who sent it, whether a slot is missing."""
    kind = peek_type(payload)
    if kind == MESSAGE.type:
        header = ParsedMessage.parse(payload).header
        return header.prefix, header.sender, False
    if kind == COMMIT_COPY.type:
        data, slot = COMMIT_COPY.parse(payload)
        sealed = SealedCommit.parse(data)
        return sealed.prefix, sealed.committer, slot is None
    return None


def ask(engine: Engine, tx: Transaction, faces: Faces, now: int) -> list[Event]:
    """Ask where something is held for want of a commit, and it is time to (REQ-EPOCH-24)."""
    events: list[Event] = []
    missing = _missing(engine, tx)
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
    first, epoch = min(members, key=lambda member: member.rank), room.state.epoch
    alone = epoch.opener == room.own_id and all(
        chain.index == 0 for chain in epoch.chains.values()
    )
    return person(room, first) if alone or first.rank < room.state.me.rank else None


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
            post_request(engine, tx, room, member, request.signed, now)


def answer(engine: Engine, tx: Transaction, data: bytes, home: bytes | None, now: int) -> int:
    """Answer a request that came to the mailbox of `home` (REQ-EPOCH-23); return with how much.

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
    for copy in passing.copies(tx, room, known):
        post_request(engine, tx, room, member.id, copy, now)
    return len(copies)


def expire(tx: Transaction, now: int) -> None:
    """Forget requests that no longer count."""
    forget_counts(tx, _ANSWERED, now)
