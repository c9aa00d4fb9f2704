"""Operations of 10.11: beginning a turn of a direct room, and accepting the other side's."""

from __future__ import annotations

from typing import Any

from ...commit import direct_commit
from ...errors import EvanesceError
from ...message import Header, TurnFields
from ...primitives import dh_public
from ...room import Room
from ...state import Epoch, RoomState
from ...turn import accept_turn, begin_turn
from .registry import Json, operation
from .rooms import room_in
from .values import Tape, identity_keys, tagged, un, untagged


def _where(epoch: Epoch) -> Json:
    """Where a room stands when this epoch has been entered."""
    return {
        "number": epoch.number,
        "transcript": epoch.transcript.hex(),
        "context": epoch.context.hex(),
    }


def _same(state: RoomState, before: bytes) -> None:
    """Raise `ValueError` if the room has changed: a turn is entered with its message."""
    if Room(state).digest() != before:
        raise ValueError("a turn has changed the room before its message")


@operation("begin turn")
def _begin_turn(i: Json) -> Json:
    opener = i["opener"] == i["me"]
    state = room_in(i, 0, peer_leaf=None if opener else un(i["peer_leaf_key"]))
    before, tape, parent = Room(state).digest(), Tape(un(i["random"])), state.epoch
    epoch, _ = begin_turn(state, identity_keys(i["owner"]), 0, tape)
    tape.end()
    _same(state, before)
    if epoch.turn is None or epoch.leaf is None:
        raise ValueError("a turn without turn fields or leaf key")
    turn = epoch.turn
    commit = direct_commit(
        state.id, parent.number, parent.transcript, state.own, turn.leaf_key, turn.ephemeral_key,
        turn.entry,
    )  # fmt: skip
    return {
        "turn": tagged(list(turn)),
        "commit": commit.hex(),
        "leaf": epoch.leaf.reveal().hex(),
        **_where(epoch),
    }


@operation("accept turn")
def _accept_turn(i: Json) -> Json:
    fields: list[Any] = untagged(i["turn"])
    leaf, sender = un(i["leaf"]), un(i["sender"])
    state = room_in(i, 0, leaf=leaf)
    if i["number"] > 0:  # the leaf key stands in the turn fields that this device sent
        state.epoch.turn = TurnFields(dh_public(leaf), bytes(32), bytes(48), None)
    header = Header(
        state.id, un(i["prefix"]), sender, 0, bytes(16), None, 0, TurnFields(*fields)
    )
    before = Room(state).digest()
    try:
        epoch, _ = accept_turn(state, header, 0)
    except EvanesceError:
        _same(state, before)
        raise
    _same(state, before)
    return {**_where(epoch), "members": [member.id.hex() for member in epoch.roster]}
