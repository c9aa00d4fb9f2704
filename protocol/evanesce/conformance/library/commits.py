"""The operation of 10.6: making a commit on an epoch that the case gives."""

from __future__ import annotations

from typing import Any

from ...commit import SignedCommit
from ...epoch import SealedCommit
from ...errors import EvanesceError
from ...formats import COMMIT_COPY, LEAVE_REQUEST
from ...group import make_commit
from ...identity import IdentityKeys, open_signed
from ...membership import Role
from ...operations import (
    Operation,
    Remove,
    SetPolicy,
    SetRole,
    Wish,
    apply_operations,
    operation_from_value,
)
from ...proofs import sanction
from ...room import Room
from ...state import Contact, RoomState
from .founding import guests_of, policy_of
from .registry import Json, operation
from .rooms import go_back, place_of, room_in
from .values import (
    Tape,
    identity_keys,
    mailbox_of,
    proofs_of,
    signing_keys,
    trail_of,
    un,
    untagged,
)

__all__ = ["wishes_of"]


def wishes_of(owner: IdentityKeys, state: RoomState, i: list[Any], now: int) -> list[Wish]:
    """What an application asks a device to commit: operations, and sanctions that it signs."""
    wishes: list[Wish] = []
    for value in i:
        if isinstance(value, dict):
            asked = value["sanction"]
            wishes.append(_sanction(owner, state, un(asked["member"]), asked["role"]))
            continue
        operation = _operation(untagged(value))
        if isinstance(operation, SetRole) and not state.removed:
            _check_no_demotion(state, operation, now)
        wishes.append(operation)
    return wishes


def _check_no_demotion(state: RoomState, change: SetRole, now: int) -> None:
    """A change of role that lowers another is refused as in a commit of another member.

    An application that asks this library for it gets a sanction, so it can never commit one.
    """
    epoch = state.epoch
    target = epoch.roster.members.get(change.member)
    if target is not None and target.id != state.own and change.role < target.role:
        apply_operations(
            epoch.roster, epoch.policy, state.suite, state.id, epoch.number, epoch.transcript,
            state.me, now, [change], (),
        )  # fmt: skip
        raise ValueError("a change of role lowers another member's")


def _operation(value: list[Any]) -> Operation:
    """An operation as an application may ask for it: a policy is judged when the commit is made."""
    match value:
        case [3, policy]:
            return SetPolicy(policy_of(policy))
    return operation_from_value(value)


def _sanction(
    owner: IdentityKeys, state: RoomState, member: bytes, role: int | None
) -> Wish:
    """A removal or demotion, also one that the library would not take for a demotion."""
    epoch = state.epoch
    target = epoch.roster.members.get(member)
    if role is None:
        return Remove(member, b"" if target is None else target.admission)
    if target is None or (member != state.own and role < target.role):
        return SetRole(member, Role(role))
    return sanction(owner, state.id, state.me, target, Role(role), epoch.roster, epoch.number)


def _member_of(request: bytes) -> bytes:
    """Who asks to leave: a device keeps each request by the member."""
    body, _ = open_signed(request)
    member: bytes = LEAVE_REQUEST.parse(body)[1]
    return member


def _room_of(i: Json) -> RoomState:
    """The room before the commit: its directory is the case's, whatever the roster holds."""
    private, _ = signing_keys(i["room_seed"])
    state = room_in(i, i["parent_time"], room_sign=private)
    go_back(state, trail_of(i["trail"]))
    state.directory = {
        un(row["member"]): Contact(row["name"], row["mailbox"] and mailbox_of(row["mailbox"]))
        for row in i["directory"]
    }
    state.leaving = {_member_of(request): request for request in map(un, i["proofs"])}
    state.noted = dict.fromkeys(proofs_of(i["noted"]), 0)
    return state


@operation("make commit")
def _make_commit(i: Json) -> Json:
    state, tape = _room_of(i), Tape(un(i["random"]))
    parent, before = state.epoch, Room(state).digest()
    handshakes = dict(parent.handshakes)  # making the commit erases what it has used
    owner = identity_keys(i["owner"])
    wishes = wishes_of(owner, state, i["operations"], i["now"])
    try:
        made = make_commit(state, owner, wishes, guests_of(i["guests"]), i["now"], tape)
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
