"""Operations that take a whole epoch: joining, applying a commit, and the ids of members."""

from __future__ import annotations

from dataclasses import replace

from ... import membership
from ...applying import apply_commit
from ...epoch import EpochKeys
from ...errors import EvanesceError
from ...formats import MEMBER_ENTRY, ROSTER
from ...identity import open_signed
from ...kept_epoch import Epoch
from ...membership import Mode, Policy, Roster
from ...moving import is_better
from ...primitives import SUITE_1
from ...room import Room
from ...secret import Secret
from ...state import RoomState
from ...tree import Trail, order_of
from ...wire import decode, kind_of
from .registry import Json, operation
from .values import identity_keys, identity_of, package_keys, proofs_of, trail_of, un

__all__ = ["go_back", "place_of", "room_in"]


def place_of(state: RoomState) -> Json:
    """Where a room stands: number, transcript and context of its epoch."""
    now = state.epoch
    return {
        "number": now.number,
        "transcript": now.transcript.hex(),
        "context": now.context.hex(),
    }


def room_in(
    i: Json,
    now: int,
    *,
    leaf: bytes | None = None,
    room_sign: bytes | None = None,
    peer_leaf: bytes | None = None,
) -> RoomState:
    """The state of a device in an *epoch*, of which a case tells the keys that it needs.

    `leaf` and `room_sign` are the device's own private keys in it, as far as the case has them.
    Chains start from keys of zeros: who uses this speaks with none of them.
    """
    room, me = un(i["room"]), un(i["me"])
    roster = Roster.parse(un(i["roster"]), room)
    keys = EpochKeys(
        b"",
        {member: Secret(bytes(32)) for member in roster.members},
        {m: Secret(un(key)) for m, key in zip(roster.members, i["handshakes"], strict=True)},
        {m: Secret(un(key)) for m, key in zip(roster.members, i["inits"], strict=True)},
        Secret(bytes(32)),
    )
    parent, sending = Epoch.open(
        keys, SUITE_1, room, me,
        number=i["number"],
        transcript=un(i["transcript"]),
        roster=roster,
        policy=Policy.from_value(i["policy"]),
        opener=un(i["opener"]),
        time=now,
        leaf=leaf,
        room_sign=room_sign,
        peer_leaf=peer_leaf,
    )  # fmt: skip
    state = RoomState(room, SUITE_1, me, parent.prefix, {}, None, {}, now)
    state.enter(parent, sending, now)
    return state


def go_back(state: RoomState, trail: Trail) -> None:
    """Let the room have come to its epoch along a trail, the epoch itself included.

    Of the epochs before, only the places are known.
    """
    epoch, before = state.epoch, None
    state.epochs = {}
    for number, (prefix, order) in enumerate(trail):
        now = replace(epoch, transcript=prefix + bytes(24), number=number, chains={})
        if prefix == epoch.prefix:
            now = epoch
        now.order, now.parent = order, before
        state.epochs[prefix] = now
        before = prefix
    if before != state.current:
        raise ValueError("a trail that does not end in the epoch of the case")


def _room_of(roster: bytes) -> bytes:
    """The room of a roster, of which a case does not tell: it stands in the entries."""
    for *_, signed, _ in ROSTER.parse(roster)[1]:
        value = decode(open_signed(signed)[0], limit=MEMBER_ENTRY.limit)
        if kind_of(value) == MEMBER_ENTRY.type:
            room: bytes = MEMBER_ENTRY.read(value)[0]
            return room
    return bytes(32)  # of packages only: they are of no room


@operation("order of commit")
def _order_of_commit(i: Json) -> Json:
    roster = Roster.parse(un(i["roster"]), _room_of(un(i["roster"])), verified=True)
    parent = Epoch(
        0, bytes(32), b"", roster, Policy(Mode.SIGNED), b"", i["parent_time"], None, None, {}, {},
        {}, None,
    )  # fmt: skip
    committer = roster[un(i["committer"])]
    return {"order": list(order_of(parent, committer, i["time"], proofs_of(i["proofs"])))}


@operation("compare trails")
def _compare_trails(i: Json) -> Json:
    theirs, mine = trail_of(i["theirs"]), trail_of(i["mine"])
    return {"wins": is_better(theirs, i["theirs_time"], mine, i["mine_time"])}


@operation("member id")
def _member_id(i: Json) -> Json:
    parts = un(i["room"]), un(i["transcript"]), un(i["package_hash"])
    return {"id": membership.member_id(*parts, i["index"]).hex()}


@operation("creator id")
def _creator_id(i: Json) -> Json:
    return {"id": membership.creator_id(un(i["room"]), identity_of(i["identity"])).hex()}


@operation("join room")
def _join_room(i: Json) -> Json:
    keys = package_keys(i["package"])
    room, _ = Room.join(identity_keys(i["owner"]), keys, un(i["invitation"]), i["now"])
    return {"me": room.own_id.hex(), **place_of(room.state)}


@operation("apply commit")
def _apply_commit(i: Json) -> Json:
    state = room_in(i, i["now"], leaf=un(i["leaf"]))
    before = Room(state).digest()
    try:
        applied = apply_commit(state, un(i["copy"]), i["now"])
    except EvanesceError:
        if Room(state).digest() != before:
            raise ValueError("a refused commit has changed the room") from None
        raise
    if applied.removed_self:
        return {"removed": True}
    return {"removed": False, **place_of(state)}
