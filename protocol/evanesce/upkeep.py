"""What a device does as time passes: evaporate, erase, refresh, replenish (spec 13, 14 and 17).

In this order: `evaporate`, then what has waited is tried again, then `maintain`.
"""

from __future__ import annotations

from dataclasses import replace

from . import actions, arrivals, losing, past, repairing, resyncing, viewing
from .engine import Engine
from .events import Event, MessageEvaporated, RefreshDue
from .limits import (
    MAILBOX_DRAIN_MAX,
    MAILBOX_DRAIN_MIN,
    REQUEST_LIFETIME,
    RETENTION,
    SIGNED_PREKEY_GRACE,
    SIGNED_PREKEY_ROTATION,
)
from .pending import embedded
from .ports import Transaction
from .proofs import ProofKind, Sanction
from .room import Room
from .wire import decode

__all__ = ["STAGGER", "evaporate", "maintain"]

STAGGER = 60  # seconds that each member has for itself, for what any could commit


def evaporate(engine: Engine, tx: Transaction, now: int) -> tuple[list[Event], bool]:
    """Erase every message whose time has come, rotate the wrap key, give up what waited in vain.

    Return what to tell, and whether anything that has arrived waits to be tried again.
    """
    due = engine.inbox.due(now)
    for message in due:
        engine.inbox.erase(tx, message)
    engine.inbox.rotate(tx, now, engine.random)
    engine.outbox.drop(tx, engine.ledger.expire(tx, now))
    engine.outbox.drop_aside(tx, engine.ledger.forget(tx, now))
    engine.outbox.recalls.expire(tx, now)
    engine.receipts.expire(tx, now)
    engine.tombstones.expire(tx, now)
    return [MessageEvaporated(message) for message in due], bool(engine.waiting)


def retry_waiting(
    engine: Engine, tx: Transaction, faces: arrivals.Faces, now: int
) -> list[Event]:
    """Try again all that waits, as the clock has moved on."""
    return arrivals.retry_waiting(engine, tx, faces, now, now - RETENTION)


def maintain(
    engine: Engine, tx: Transaction, faces: arrivals.Faces, now: int, *, caught_up: bool
) -> tuple[list[Event], list[bytes]]:
    """Do all else that time asks for; return what to tell, and the mailboxes to close.

    `caught_up` says that what waited in the mailboxes has been read: only then are commits made.
    """
    events: list[Event] = []
    for key in list(engine.rooms):
        receipts_due = caught_up and engine.receipts.due(key, now)
        at_once = receipts_due or losing.waits(engine, key)
        if not at_once and not engine.looks.due(key, engine.meta[key], now):
            continue  # it need not even be read
        room = engine.rooms[key]
        kept = set(room.state.epochs)
        room.expire(now)
        if engine.save_room(tx, room):
            engine.erased = True
        past.note(tx, room, kept)
        events += _keep_fresh(engine, tx, faces, room, now, caught_up)
        if caught_up:
            viewing.send_receipts(engine, tx, room, now)
        engine.looks.note(tx, room, None)
    if caught_up:
        events += repairing.ask(engine, tx, faces, now)
    repairing.expire(tx, now)
    resyncing.expire(engine, tx, now)
    engine.kept_commits.expire(tx, now)
    engine.outbox.drop_requests(tx, now - REQUEST_LIFETIME)
    _shelve(engine, tx, now)
    for name, record in list(tx.scan(b"seen/")):
        _, expiry = decode(record, limit=128)
        if now > expiry:
            tx.delete(name)
    return events, _drained(engine, now)


def _keep_fresh(
    engine: Engine,
    tx: Transaction,
    faces: arrivals.Faces,
    room: Room,
    now: int,
    caught_up: bool,
) -> list[Event]:
    """Refresh a group that needs it, commit for those who asked to leave, announce oneself.

    Two commits on one epoch are a fork: members who could all commit do so one after the other, by
    rank, and none before it has seen what waits in its mailboxes.
    """
    meta = engine.meta[room.id]
    if room.closed and not room.state.may_return:  # out for good
        engine.kept_commits.forget_room(tx, room.id)
        return losing.give_up(engine, tx, faces, room) if losing.waits(engine, room.id) else []
    if room.closed or meta.stale:  # that it is stale has been told
        return []
    if room.direct:
        due = room.refresh_due(now) and meta.retired is None
        if due and not meta.reminded:
            engine.put_meta(tx, room.id, replace(meta, reminded=True))
            return [RefreshDue(faces.conversation(room.id))]
        if not due and meta.reminded:
            engine.put_meta(tx, room.id, replace(meta, reminded=False))
        return []
    going = {*room.leaving, *(proof.member for proof in room.pending if proof.removes)}
    staying = [m for m in sorted(room.roster, key=lambda m: m.rank) if m.id not in going]
    place = next((n for n, m in enumerate(staying) if m.id == room.own_id), None)
    noticed = [engine.leave_noticed.setdefault(member, now) for member in room.leaving]
    leave_due = (
        bool(noticed) and place is not None and now - min(noticed) >= place * STAGGER
    )
    pending_due = _pending_due(engine, room, place, now)
    my_minute = place is not None and now // STAGGER % len(staying) == place
    refresh_due = room.first_refresh_due or (my_minute and room.refresh_due(now))
    events: list[Event] = []
    if room.equivocator is not None:  # nobody commits here any more
        return losing.give_up(engine, tx, faces, room) if losing.waits(engine, room.id) else []
    before = room.transcript
    if caught_up and losing.waits(engine, room.id):
        events = losing.again(engine, tx, faces, room, now)
    due = leave_due or refresh_due or pending_due
    if caught_up and due and room.transcript == before:
        actions.commit_by_itself(engine, tx, room, now)
    engine.announce(tx, room, now)
    return events


def _pending_due(engine: Engine, room: Room, place: int | None, now: int) -> bool:
    """Whether it is for this device to commit what lost commits did to members (REQ-EPOCH-21)."""
    proofs = embedded(room.state, ()) if room.pending else []
    if not proofs:
        engine.pending_noticed.pop(room.id, None)
        return False
    since = engine.pending_noticed.setdefault(room.id, now)
    mine = any(
        proof.kind is ProofKind.SANCTION and Sanction.parse(proof.signed).author == room.own_id
        for proof in proofs
    )
    return mine or (place is not None and now - since >= place * STAGGER)


def _shelve(engine: Engine, tx: Transaction, now: int) -> None:
    """Rotate the last-resort package, erase expired ones, keep the stock (REQ-ID-10)."""
    last = engine.last_resort()
    if last is not None and now - last.created >= SIGNED_PREKEY_ROTATION:
        engine.put_package(tx, replace(last, retired=now))
    for key, shelved in list(engine.packages.items()):
        expired = now - shelved.keys.package.expiry > SIGNED_PREKEY_GRACE
        retired = shelved.retired is not None and now - shelved.retired > SIGNED_PREKEY_GRACE
        if expired or retired:
            engine.drop_package(tx, key)
    engine.stock(tx, now)


def _drained(engine: Engine, now: int) -> list[bytes]:
    """Retired mailboxes that nobody can be expected to write to any more."""
    done = []
    for address, own in engine.mailboxes.items():
        if own.retired is None:
            continue
        age = now - own.retired
        if age > MAILBOX_DRAIN_MAX or (age > MAILBOX_DRAIN_MIN and not own.unheard):
            done.append(address)
    return done


