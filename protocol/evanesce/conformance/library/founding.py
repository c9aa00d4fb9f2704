"""The operation of 10.2: founding a room, and what its guests get."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ...commit import Genesis, SignedCommit
from ...content import Evaporation
from ...epoch import NO_TRANSCRIPT, EpochKeys, epoch_secret, transcript_hash
from ...founding import Invited, found_room
from ...keypackage import KeyPackage
from ...membership import Mode, Policy, Role
from ...primitives import EMPTY_KEY, SUITE_1
from ...state import RoomState
from .registry import Json, operation
from .values import Tape, identity_keys, mailbox_of, un

__all__ = ["guests_of", "hash_of_all", "policy_of"]

_SHOWN_WHOLE = 8  # guests: of a larger founding a case holds hashes
_R = slice(96, 128)  # where the secret of the genesis stands in what is drawn (10.2)


def guests_of(i: list[Json]) -> list[Invited]:
    """*Guests*, in order."""
    return [Invited(KeyPackage.parse(un(g["package"])), g["prekey"], Role(g["role"])) for g in i]


def policy_of(value: list[int]) -> Policy:
    """A *policy* as an application may ask for it: what is wrong with it is found later."""
    mode, members_may_add, after_view, lifetime = value
    return Policy(Mode(mode), bool(members_may_add), Evaporation(after_view, lifetime))


def hash_of_all(items: Iterable[bytes]) -> str:
    """SHA-256 over all of them, one after another."""
    return hashlib.sha256(b"".join(items)).hexdigest()


@operation("found room")
def _found_room(i: Json) -> Json:
    tape, guests = Tape(un(i["random"])), guests_of(i["guests"])
    state, by_member = found_room(
        identity_keys(i["owner"]), policy_of(i["policy"]), guests, i["name"],
        mailbox_of(i["mailbox"]), i["now"], tape,
    )  # fmt: skip
    tape.end()
    genesis, keys, secret = _genesis_of(state, guests, un(i["random"])[_R])
    signature = None
    if state.mode is not Mode.DIRECT and state.epoch.room_sign is not None:
        private = state.epoch.room_sign.reveal()
        signature = SignedCommit.make(genesis, keys.confirmation, private).signature.hex()
    invitations = [by_member[member.id] for member in state.epoch.roster if member.id != state.own]
    out: Json = {
        "room": state.id.hex(),
        "me": state.own.hex(),
        "confirmation": keys.confirmation.hex(),
        "signature": signature,
        "secret": secret.hex(),
        "transcript": state.epoch.transcript.hex(),
        "context": state.epoch.context.hex(),
    }
    if len(guests) > _SHOWN_WHOLE:
        return {
            **out,
            "genesis_sha256": hash_of_all([genesis]),
            "invitations_sha256": hash_of_all(invitations),
        }
    return {
        **out,
        "genesis": genesis.hex(),
        "invitations": [invitation.hex() for invitation in invitations],
    }


def _genesis_of(
    state: RoomState, guests: list[Invited], r: bytes
) -> tuple[bytes, EpochKeys, bytes]:
    """The genesis and its secrets, which a room does not keep.

    They are computed anew, and have to give the transcript hash that the room has.
    """
    epoch, me = state.epoch, state.me
    genesis, _ = Genesis.build(
        SUITE_1, state.id, epoch.time, epoch.policy, me.identity, me.credential,
        [(guest.package, guest.role) for guest in guests],
    )  # fmt: skip
    secret = epoch_secret(EMPTY_KEY, r, genesis.data)
    keys = EpochKeys.derive(secret, genesis.data, epoch.roster.members)
    if transcript_hash(NO_TRANSCRIPT, genesis.data, keys.confirmation) != epoch.transcript:
        raise ValueError("a room has another genesis than its parts give")
    return genesis.data, keys, secret
