"""What a device does of its own accord: begin rooms, speak, commit (spec 17)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import past, resyncing
from .content import Evaporation, Said
from .engine import Engine
from .errors import LocalError, Reason, RemoteError
from .founding import Invited
from .group import CommitMade
from .holdings import OwnMailbox, RoomMeta, take_prekey
from .identity import Identity
from .inbox import Kept
from .keypackage import Card, KeyPackage
from .ledger import Recipient, Report, commit_key
from .mailbox import MailboxKeys
from .membership import Mode, Policy, Role
from .operations import Resync, Wish
from .pending import embedded
from .ports import Transaction
from .room import Room
from .speech import Sent
from .viewing import send_receipts

__all__ = ["Guest", "begin_direct", "commit", "found_group", "greet", "leave", "prepare",
           "settle_direct", "speak"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Guest:
    """Someone to invite: a key package, and the role to give."""

    package: KeyPackage
    role: Role = Role.MEMBER

    @classmethod
    def of(cls, card: Card, now: int, claimed: bytes | None, role: Role) -> Guest:
        """From a card, with the one-time package that was claimed for it.

        Anybody may publish at a directory: what is not a usable package of the card's identity is
        passed over, and the card's own serves. Raise `LocalError` (expired) when that has expired.
        """
        if claimed is not None:
            try:
                package = KeyPackage.parse(claimed)
            except RemoteError:
                package = card.package
            if package.identity == card.identity and now <= package.expiry:
                return cls(package, role)
        card.check_usable(now)
        return cls(card.package, role)


def _invited(engine: Engine, tx: Transaction, guests: Sequence[Guest]) -> list[Invited]:
    for guest in guests:
        if guest.package.identity == engine.owner.identity:
            raise LocalError(Reason.ALREADY_MEMBER, "a device does not invite itself")
        engine.pins.refuse_offered(guest.package.identity)  # offered since the call was checked?
    return [Invited(g.package, take_prekey(tx, g.package), g.role) for g in guests]


def _found(
    engine: Engine, tx: Transaction, policy: Policy, guests: Sequence[Guest], now: int
) -> tuple[Room, list[bytes]]:
    own = OwnMailbox(MailboxKeys.generate(engine.random), None)
    mailbox = own.keys.mailbox
    room, invitations = Room.found(
        engine.owner, policy, _invited(engine, tx, guests), engine.name, mailbox, now,
        engine.random,
    )  # fmt: skip
    engine.put_mailbox(tx, replace(own, room=room.id))
    engine.add_room(tx, room, RoomMeta(mailbox.address, announced=True))
    return room, list(invitations.values())


def begin_direct(engine: Engine, tx: Transaction, guest: Guest, now: int) -> Room:
    """Found a 1:1 room; nothing is sent before the first message."""
    policy = Policy(Mode.DIRECT)
    room, invitations = _found(engine, tx, policy, [guest], now)
    meta = replace(
        engine.meta[room.id], contact=guest.package.contact, invitation=invitations[0]
    )
    engine.put_meta(tx, room.id, meta)
    engine.set_direct(tx, guest.package.identity, room.id)
    return room


def found_group(
    engine: Engine, tx: Transaction, policy: Policy, guests: Sequence[Guest], now: int
) -> Room:
    """Found a group and invite its members."""
    if policy.mode is Mode.DIRECT:
        raise LocalError(Reason.WRONG_MODE, "a group is not a direct room")
    room, invitations = _found(engine, tx, policy, guests, now)
    members = [member.id for member in room.roster][1:]  # the creator is the first
    posted = _invite(engine, tx, room, guests, dict(zip(members, invitations, strict=True)))
    _report_commit(engine, tx, room, posted, now)
    return room


def _opened(room: Room) -> bytes:
    """Under what the commit is reported that has opened the current epoch."""
    return commit_key(room.id, room.state.current)


def _invite(
    engine: Engine,
    tx: Transaction,
    room: Room,
    guests: Sequence[Guest],
    invitations: dict[bytes, bytes],
) -> list[Recipient]:
    """Queue the invitations, by member, of these guests in their order."""
    post, key = engine.outbox.post, _opened(room)
    return [
        post(tx, room.id, guest.package.contact, invitation, engine.random, key, member)
        for guest, (member, invitation) in zip(guests, invitations.items(), strict=True)
    ]


def _report_commit(
    engine: Engine, tx: Transaction, room: Room, recipients: Sequence[Recipient], now: int
) -> None:
    key = _opened(room)
    engine.ledger.begin(tx, Report(key, room.id, room.epoch, True, now, tuple(recipients)))


def speak(engine: Engine, tx: Transaction, room: Room, said: Said, now: int) -> bytes:
    """Send what a person said, and keep one's own copy; return the message id.

    Receipts whose moment has come go with it. Raise `LocalError` as `Room.send`, and rolled-back,
    identity-changed.
    """
    said.encode()  # refused before anything is sent for it
    engine.require_fresh(room.id)
    engine.pins.require_settled(room.roster)
    prepare(engine, tx, room, now)
    sent = engine.say(tx, room, said, now)
    _keep_own(engine, tx, room, said, sent, now)
    send_receipts(engine, tx, room, now)
    return sent.id


def prepare(engine: Engine, tx: Transaction, room: Room, now: int) -> None:
    """Do what has to come before a person's words: a refresh that is due, one's own mailbox.

    Raise `LocalError` (room-closed, rolled-back), and as `commit`.
    """
    engine.require_fresh(room.id)
    if engine.meta[room.id].retired is not None:
        raise LocalError(Reason.ROOM_CLOSED, "another 1:1 room has taken this one's place")
    if not room.direct and room.refresh_due(now):
        commit(engine, tx, room, [], [], now)
    settle_pending(engine, tx, room, now)
    engine.announce(tx, room, now)


def settle_pending(engine: Engine, tx: Transaction, room: Room, now: int) -> None:
    """Commit what is pending and keeps this device from speaking, as much as one commit takes.

    What is about this device itself is for others to commit; of more than one commit takes, others
    may have some. Raise `LocalError` as `commit`.
    """
    if not room.direct and room.blocked and embedded(room.state, ()):
        commit(engine, tx, room, [], [], now)


def _keep_own(
    engine: Engine, tx: Transaction, room: Room, said: Said, sent: Sent, now: int
) -> None:
    """Keep one's own copy: it counts as viewed when it is sent (REQ-EVAP-09)."""
    evaporation = said.evaporation.strictest(room.policy.evaporation)
    if evaporation.after_view == 0:
        return
    kept = Kept(sent.id, room.id, room.own_id, said.sent, now, evaporation, said.quote, now,
                b"", sent.ciphertext)  # fmt: skip
    engine.inbox.keep(tx, kept, sent.key, engine.random)


def evaporation_in(room: Room, after_view: int | None, lifetime: int | None) -> Evaporation:
    """A message's own policy: what is not given is the room's."""
    base = room.policy.evaporation
    return Evaporation(
        base.after_view if after_view is None else after_view,
        base.lifetime if lifetime is None else lifetime,
    )


def commit(
    engine: Engine,
    tx: Transaction,
    room: Room,
    operations: Sequence[Wish],
    guests: Sequence[Guest],
    now: int,
) -> CommitMade:
    """Commit to a group; queue the copies and invitations.

    Raise `LocalError` as `Room.commit`, and rolled-back.
    """
    engine.require_fresh(room.id)
    for operation in operations:
        if isinstance(operation, Resync):
            engine.pins.refuse_offered(operation.request.package.identity)
    before, roster, kept = dict(room.directory), room.roster, set(room.state.epochs)
    invited = _invited(engine, tx, guests)
    made = room.commit(engine.owner, operations, invited, now, engine.random)
    key = _opened(room)
    recipients = [
        engine.post_to(tx, room.id, before.get(member), roster[member], copy, key)
        for member, copy in made.copies.items()
    ]
    anew = {request.member for request in made.resynced}
    added = {m: data for m, data in made.invitations.items() if m not in anew}
    recipients += _invite(engine, tx, room, guests, added)
    recipients += [
        engine.outbox.post(tx, room.id, request.package.contact, made.invitations[request.member],
                           engine.random, key, request.member)
        for request in made.resynced
    ]  # fmt: skip
    _report_commit(engine, tx, room, recipients, now)
    engine.save_room(tx, room)
    past.note(tx, room, kept)
    engine.note_gone(tx, room.id, made.removed, now)
    for request in made.resynced:
        resyncing.forget(engine, tx, room, request.member, now)
    engine.kept_commits.keep(
        tx, room.id, room.state.current, room.epoch, made.copies, now
    )
    if made.removed:
        engine.rotate_mailbox(tx, room, now)
    else:
        engine.announce(tx, room, now)
    return made


def commit_by_itself(engine: Engine, tx: Transaction, room: Room, now: int) -> None:
    """Commit what is due, of the device's own accord. What is refused now is tried again later.

    Nobody has asked for it, so nobody is there to be told; and whatever a member or a stranger has
    brought about here must not keep this device from its other rooms.
    """
    try:
        commit(engine, tx, room, [], [], now)
    except LocalError:
        return


def greet(engine: Engine, tx: Transaction, room: Room, now: int) -> None:
    """Refresh if it is this device's turn to, and announce it, as far as that may be done now."""
    waits = room.came_back or room.equivocator is not None  # for what is on its way; for ever
    if room.first_refresh_due and not waits:
        commit_by_itself(engine, tx, room, now)
    engine.announce(tx, room, now)


def leave(engine: Engine, tx: Transaction, room: Room, now: int) -> None:
    """Ask the others to remove this device. Raise `LocalError` (wrong-mode) in a direct room."""
    if room.direct:
        raise LocalError(Reason.WRONG_MODE, "a direct room is not left; it falls silent")
    settle_pending(engine, tx, room, now)
    engine.say(tx, room, room.leave_request(engine.owner), now)


def abandon(engine: Engine, tx: Transaction, room: Room, now: int) -> None:
    """Give up one's place in a group; raise `LocalError` (wrong-mode, room-closed)."""
    if room.direct:
        raise LocalError(Reason.WRONG_MODE, "a direct room is begun anew")
    room.abandon(now)
    engine.retire_mailbox(tx, room.id, now)
    engine.forget_asked(tx, room.id)
    engine.kept_commits.forget_room(tx, room.id)
    engine.save_room(tx, room)
    engine.erased = True


def settle_direct(
    engine: Engine, tx: Transaction, identity: Identity, new: Room, now: int
) -> tuple[bytes, bytes] | None:
    """Choose which of two 1:1 rooms with one peer serves (REQ-DIR-08).

    Two begun at once, both spoken in, neither answered: the smaller room id. An answered one is
    replaced by one that the peer has begun since it last wrote there, by the peer's own clock.
    Return the ids of the replaced and the new room, if the one known before no longer serves.
    """
    old_id = engine.direct.get(identity)
    old = None if old_id is None else engine.rooms.get(old_id)
    if old is None or old_id is None or old_id == new.id:
        engine.set_direct(tx, identity, new.id)
        return None
    both_new = not old.answered and old.own_id == _opener(old) and old.has_spoken
    older = old.answered and new.founded <= engine.meta[old.id].peer_sent
    keep_old = (older or (both_new and old.id < new.id)) and not engine.is_stale(old.id)
    serving, other = (old, new) if keep_old else (new, old)
    engine.set_direct(tx, identity, serving.id)
    engine.put_meta(tx, other.id, replace(engine.meta[other.id], retired=now))
    engine.retire_mailbox(tx, other.id, now)
    return None if keep_old else (old.id, new.id)


def _opener(room: Room) -> bytes:
    return next(iter(room.roster)).id  # the creator is the first in the roster


def retire_stale(engine: Engine, tx: Transaction, serving: Room, now: int) -> None:
    """The peer has answered in a 1:1 room: stale ones that it takes the place of are retired."""
    for key, meta in list(engine.meta.items()):
        if not meta.stale or meta.retired is not None or key == serving.id:
            continue
        room = engine.rooms[key]
        if room.direct and room.peer.identity == serving.peer.identity:
            engine.put_meta(tx, key, replace(meta, retired=now))
            engine.retire_mailbox(tx, key, now)
