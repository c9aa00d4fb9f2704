"""The operation of 10.6: making a commit on an epoch that the case gives."""

from __future__ import annotations

from typing import Any

from ...commit import SignedCommit
from ...epoch import SealedCommit
from ...errors import EvanesceError
from ...formats import COMMIT_COPY, LEAVE_REQUEST
from ...group import make_commit
from ...identity import open_signed
from ...operations import Operation, SetPolicy, operation_from_value
from ...room import Room
from ...state import Contact, RoomState
from .founding import guests_of, policy_of
from .registry import Json, operation
from .rooms import place_of, room_in
from .values import Tape, identity_keys, mailbox_of, signing_keys, un, untagged


def _operation(value: list[Any]) -> Operation:
    """An operation as an application may ask for it: a policy is judged when the commit is made."""
    match value:
        case [3, policy]:
            return SetPolicy(policy_of(policy))
    return operation_from_value(value)


def _member_of(request: bytes) -> bytes:
    """Who asks to leave: a device keeps each request by the member."""
    body, _ = open_signed(request)
    member: bytes = LEAVE_REQUEST.parse(body)[1]
    return member


def _room_of(i: Json) -> RoomState:
    """The room before the commit: its directory is the case's, whatever the roster holds."""
    private, _ = signing_keys(i["room_seed"])
    state = room_in(i, 0, room_sign=private)
    state.directory = {
        un(row["member"]): Contact(row["name"], row["mailbox"] and mailbox_of(row["mailbox"]))
        for row in i["directory"]
    }
    state.leaving = {_member_of(request): request for request in map(un, i["proofs"])}
    return state


@operation("make commit")
def _make_commit(i: Json) -> Json:
    state, tape = _room_of(i), Tape(un(i["random"]))
    parent, before = state.epoch, Room(state).digest()
    handshakes = dict(parent.handshakes)  # making the commit erases what it has used
    operations = [_operation(value) for value in untagged(i["operations"])]
    try:
        made = make_commit(
            state, identity_keys(i["owner"]), operations, guests_of(i["guests"]), i["now"], tape
        )
    except EvanesceError:
        if Room(state).digest() != before:
            raise ValueError("a refused commit has changed the room") from None
        raise
    tape.end()
    copies = {member: COMMIT_COPY.parse(copy) for member, copy in made.copies.items()}
    sealed_bytes = made.sealed
    if {copy[0] for copy in copies.values()} - {sealed_bytes}:
        raise ValueError("copies of one commit hold different sealed commits")
    opened = SealedCommit.parse(sealed_bytes).open(handshakes[state.own].reveal())
    signed = SignedCommit.parse(opened)
    return {
        "commit": signed.commit.hex(),
        "confirmation": signed.confirmation.hex(),
        "signature": signed.signature.hex(),
        "sealed_commit": sealed_bytes.hex(),
        "slots": [[member.hex(), slot and slot.hex()] for member, (_, slot) in copies.items()],
        "invitations": [invitation.hex() for invitation in made.invitations.values()],
        **place_of(state),
    }
