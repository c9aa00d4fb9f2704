"""What a device does with what arrives: open, verify, store, and only then let it be acked.

Nothing here raises for bad input: it ends as an event, `Rejected`, with the state unchanged. What
cannot be judged yet waits, bounded, and is tried again when its room has moved on.
"""

from __future__ import annotations

from dataclasses import replace

from . import actions, burning, losing, passing, past, repairing, resyncing, viewing
from .applying import CommitApplied
from .arrival import Arrival
from .content import Announcement, Burn, Leave, Said, Viewed
from .conversation import Conversation
from .engine import Engine
from .envelope import open_envelope
from .epoch import SealedCommit
from .errors import HeldError, Reason, RemoteError
from .events import (
    Disclosed,
    Equivocated,
    Event,
    MessageArrived,
    MessagesMissing,
    Person,
    RemovedFromRoom,
    ResyncAsked,
    RoomChanged,
)
from .faces import Faces, person
from .formats import (
    COMMIT_COPY,
    INVITATION,
    MESSAGE,
    OPENING,
    REPAIR_REQUEST,
    RESYNC_REQUEST,
    SIGNED,
)
from .identity import open_signed
from .inbox import Kept
from .joining import take_invitation
from .limits import MAX_ENVELOPE
from .mailbox import Mailbox
from .membership import Member, Roster
from .message import ParsedMessage
from .ports import Delivery, Transaction
from .room import Room
from .state import Contact
from .waiting import Held
from .wire import decode, kind_of, peek_type

__all__ = ["Faces", "arrive", "person", "retry_waiting"]


def arrive(
    engine: Engine, tx: Transaction, faces: Faces, delivery: Delivery, now: int
) -> list[Event]:
    """Process one delivery inside a transaction; return what to tell the application after it."""
    arrival = Arrival(engine, tx, faces, now)
    own = engine.mailboxes.get(delivery.address)
    if delivery.notice:
        home = None if own is None else own.room
        room = None if home is None or home not in engine.rooms else faces.conversation(home)
        return [Disclosed(room, delivery.address, delivery.envelope)]
    if own is None or own.retired == resyncing.AT_ONCE:
        return []  # what comes to a place that this device has left cannot be read any more
    try:
        payload = open_envelope(own.keys, delivery.envelope)
    except RemoteError as error:
        arrival.reject(error, own.room)
        return arrival.events
    _dispatch(arrival, own.room, payload, now, contact=own.room is None)
    _try_waiting(arrival)
    return arrival.events


def _dispatch(
    arrival: Arrival, room: bytes | None, payload: bytes, since: int, *, contact: bool
) -> None:
    """Hand a payload to what reads its type; invitations come to the contact mailbox only.

    Messages and commits may also come to the contact mailbox, while their sender knows no other.
    `since` is when the payload first came, `contact` whether it came to the contact mailbox.
    """
    try:
        match peek_type(payload):
            case MESSAGE.type:
                room = room or ParsedMessage.parse(payload).header.room
                _message(arrival, _room(arrival, room), payload)
            case COMMIT_COPY.type:
                room = room or SealedCommit.parse(COMMIT_COPY.parse(payload)[0]).room
                _commit(arrival, _room(arrival, room), payload)
            case SIGNED.type:
                _request(arrival, payload, None if contact else room)
            case INVITATION.type if contact:
                take_invitation(arrival, payload)
            case OPENING.type if contact:
                invitation, message = OPENING.parse(payload)
                joined = take_invitation(arrival, invitation)
                if joined is not None:
                    _message(arrival, joined, message)
            case _:
                kind_of(decode(payload, limit=MAX_ENVELOPE))  # what is not an object says so
                raise RemoteError(Reason.WRONG_TYPE, "not something this mailbox takes")
    except HeldError as error:
        held = Held.of(since, room, payload, contact=contact)
        if error.reason == Reason.UNKNOWN_EPOCH and _is_past(arrival, held):
            if not held.slotless:
                arrival.reject(RemoteError(Reason.EXPIRED, "of an epoch long ago"), room)
            return
        _hold(arrival, room, payload, since, error, contact=contact)
    except RemoteError as error:
        arrival.reject(error, room)


def _room(arrival: Arrival, room: bytes) -> Room:
    """The room, or wait: what comes to the contact mailbox may overtake its invitation."""
    try:
        return arrival.engine.rooms[room]
    except KeyError:
        raise HeldError(Reason.UNKNOWN_ROOM, "no such room on this device yet") from None


def _request(arrival: Arrival, payload: bytes, home: bytes | None) -> None:
    """A signed request: for commits that were missed, or to be let in anew."""
    engine, tx, now = arrival.engine, arrival.tx, arrival.now
    body, _ = open_signed(payload)
    match kind_of(decode(body, limit=RESYNC_REQUEST.limit)):
        case REPAIR_REQUEST.type:
            repairing.answer(engine, tx, payload, home, now)
        case RESYNC_REQUEST.type:
            asked = resyncing.receive(engine, tx, payload, home, now)
            if asked is not None:
                room, member = asked
                who = person(room, member)
                arrival.events.append(ResyncAsked(arrival.faces.conversation(room.id), who))
        case _:
            raise RemoteError(Reason.WRONG_TYPE, "a signed object that is no request")


# --- messages ------------------------------------------------------------------------------------


def _message(arrival: Arrival, room: Room, data: bytes) -> None:
    engine, tx, now = arrival.engine, arrival.tx, arrival.now
    before, epoch, spoken = room.transcript, room.epoch, room.state.sending
    sender_before = room.roster
    received = room.receive(data, now)
    sender = _member(room, sender_before, received.sender)
    match received.content:
        case Said() as said:
            kept = Kept(received.id, room.id, received.sender, said.sent, now, received.evaporation,
                        said.quote, None, b"", received.ciphertext)  # fmt: skip
            burned = burning.is_burned(engine, tx, room, sender, received.id, now)
            if now < kept.deadline and not burned:
                engine.inbox.keep(tx, kept, received.key, engine.random)
                arrival.events.append(MessageArrived(
                    arrival.faces.conversation(room.id), person(room, sender),
                    arrival.faces.message(received.id), said.sent, said.quote,
                ))  # fmt: skip
        case Announcement(name, mailbox):
            said_at = received.epoch, received.index
            if room.announce(received.sender, Contact(name, mailbox, said_at)):
                _release(arrival, room, received.sender, mailbox)
        case Leave():
            for member in room.leaving:
                engine.leave_noticed.setdefault(member, now)
        case Viewed() as said:
            arrival.events += viewing.take_receipt(engine, tx, arrival.faces, room, sender, said,
                                                   now)  # fmt: skip
        case Burn() as said:
            arrival.events += burning.take_burn(engine, tx, arrival.faces, room, sender, said, now)
    engine.note_heard(tx, room.id, {received.sender})
    engine.note_received(tx, room, received.sender, received.prefix, now)
    if room.direct and room.epoch > epoch and spoken is not None and spoken.index == 1:
        engine.ledger.answered(tx, room.id, received.sender, epoch, now)
    conversation = arrival.faces.conversation(room.id)
    if received.missing or received.lost:
        arrival.events.append(
            MessagesMissing(conversation, person(room, sender), received.missing, received.lost)
        )
    for member, count in received.evicted.items():
        if member in room.roster:
            who = person(room, room.roster[member])
            arrival.events.append(MessagesMissing(conversation, who, count, True))
    if room.direct:
        meta = engine.meta[room.id]
        wrote = received.content.sent if isinstance(received.content, Said) else 0
        news = replace(
            meta,
            invitation=None if room.answered else meta.invitation,
            peer_sent=max(meta.peer_sent, wrote),
        )
        if news != meta:
            engine.put_meta(tx, room.id, news)
        if room.answered:
            actions.retire_stale(engine, tx, room, now)
    engine.save_room(tx, room)
    if room.transcript != before:
        arrival.moved_on.append(room.id)


def _release(arrival: Arrival, room: Room, member: bytes, mailbox: Mailbox) -> None:
    """A member can be reached now: send it what was held."""
    engine, tx = arrival.engine, arrival.tx
    for report, news in engine.outbox.release(tx, room.id, member, mailbox, engine.random):
        engine.ledger.note(tx, report, {member: news}, arrival.now)


def _member(room: Room, before: Roster, member: bytes) -> Member:
    if member in room.roster:
        return room.roster[member]
    if member in before:
        return before[member]
    known = room.known_member(member)  # of a losing epoch
    assert known is not None  # the message has been opened there
    return known


# --- commits -------------------------------------------------------------------------------------


def _commit(arrival: Arrival, room: Room, data: bytes) -> None:
    engine, tx, now = arrival.engine, arrival.tx, arrival.now
    before = {member.id: person(room, member) for member in room.roster}
    convicted, kept = list(room.state.equivocators), set(room.state.epochs)
    sealed, slot = COMMIT_COPY.parse(data)
    try:
        change = room.apply(data, now)
    except RemoteError as error:
        if slot is None and error.reason == Reason.REPLAY:
            return  # somebody has passed on what is known
        raise
    engine.save_room(tx, room)
    past.note(tx, room, kept)
    conversation = arrival.faces.conversation(room.id)
    parsed = SealedCommit.parse(sealed)
    if change.equivocation:
        if change.committer.id not in convicted:
            arrival.events.append(_equivocated(conversation, room, change.committer))
        return
    engine.note_received(tx, room, change.committer.id, parsed.prefix, now)
    arrival.moved_on.append(room.id)
    if not change.leads:
        return
    by = before.get(change.committer.id) or person(room, change.committer)
    losing.note(engine, tx, room, change, now)
    if change.removed_self:
        engine.retire_mailbox(tx, room.id, now)
        engine.forget_asked(tx, room.id)
        arrival.events.append(RemovedFromRoom(conversation, by))
        return
    passing.keep(tx, room, parsed, sealed)
    arrival.events.append(_changed(conversation, room, by, before, change))
    engine.note_gone(tx, room.id, change.removed, now)
    for member in change.resynced:
        resyncing.forget(engine, tx, room, member.id, now)
    if not engine.is_stale(room.id):  # else nothing is sealed here, and no new mailbox announced
        if change.removed or change.returned:
            engine.rotate_mailbox(tx, room, now)
        actions.greet(engine, tx, room, now)


def _equivocated(conversation: Conversation, room: Room, author: Member) -> Equivocated:
    first = min((m for m in room.roster if m.id != author.id), key=lambda m: m.rank)
    return Equivocated(conversation, person(room, author), person(room, first))


def _changed(
    conversation: Conversation,
    room: Room,
    by: Person,
    before: dict[bytes, Person],
    change: CommitApplied,
) -> RoomChanged:
    return RoomChanged(
        conversation,
        by,
        tuple(person(room, member) for member in change.added),
        tuple(before[member.id] for member in change.removed),
        tuple(person(room, room.roster[member.id]) for member, _ in change.roles),
        change.policy,
        tuple(person(room, member) for member in change.resynced),
        tuple(
            before.get(member) or person(room, known)
            for member in dict.fromkeys(change.lost)
            if (known := room.known_member(member)) is not None
        ),
    )


# --- what has to wait ----------------------------------------------------------------------------


def _hold(
    arrival: Arrival,
    room: bytes | None,
    payload: bytes,
    since: int,
    error: HeldError,
    *,
    contact: bool,
) -> None:
    """Keep what may become valid; what finds no place is refused."""
    judged = error.reason == Reason.NO_SLOT
    waiting = arrival.engine.waiting
    if not waiting.hold(
        arrival.tx, room, payload, since, contact=contact, judged=judged, until=error.until
    ):
        arrival.reject(RemoteError(Reason.QUEUE_FULL, f"too much is waiting: {error}"), room)


def _is_past(arrival: Arrival, held: Held) -> bool:
    """Whether what names an unknown epoch comes too late, rather than too early."""
    if held.room is None or held.epoch is None:
        return False
    return past.has(arrival.tx, arrival.engine.rooms[held.room], held.epoch)


def _ready(engine: Engine, held: Held, now: int) -> bool:
    """Whether it may be judged now: not if it waits for an epoch, a slot, or the clock."""
    if now < held.until:
        return False
    room = None if held.room is None else engine.rooms.get(held.room)
    if room is None or held.epoch is None or room.direct:
        return True
    if held.epoch not in room.state.epochs:
        return room.closed and not room.state.may_return
    epoch = room.state.epochs[held.epoch]
    return not held.judged or held.by in epoch.taken or held.by not in epoch.inits


def _try_waiting(arrival: Arrival) -> None:
    """Try again what waited for the rooms that have moved on, until nothing more fits."""
    waiting = arrival.engine.waiting
    while arrival.moved_on:
        for name, held in waiting.of_room(arrival.moved_on.pop()):
            if not _ready(arrival.engine, held, arrival.now):
                continue
            payload = waiting.take(arrival.tx, name)
            if payload is not None:
                _dispatch(arrival, held.room, payload, held.since, contact=held.contact)


def retry_waiting(
    engine: Engine, tx: Transaction, faces: Faces, now: int, oldest: int
) -> list[Event]:
    """Try again what waits, as the clock has moved on; drop what came before `oldest`."""
    arrival = Arrival(engine, tx, faces, now)
    for name, held in engine.waiting.all():
        late = held.since < oldest
        if not late and not _ready(engine, held, now):
            continue
        payload = engine.waiting.take(tx, name)
        if payload is None:
            continue  # taken meanwhile by another's success
        if late:
            arrival.reject(RemoteError(Reason.EXPIRED, "it has waited in vain"), held.room)
            continue
        _dispatch(arrival, held.room, payload, held.since, contact=held.contact)
        _try_waiting(arrival)
    return arrival.events
