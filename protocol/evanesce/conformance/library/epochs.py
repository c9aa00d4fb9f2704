"""Operations of chapter 10: the key schedule, hashes, slots, sealed commits, exports."""

from __future__ import annotations

from ... import epoch
from ...identity import IdentityKeys
from ...mailbox import MailboxKeys
from ...membership import Mode, Policy, context_hash, state_hash
from ...primitives import SUITES, dh_public
from ...room import Room
from ...secret import Secret
from .registry import Json, operation
from .values import Tape, un


@operation("epoch secret")
def _epoch_secret(i: Json) -> Json:
    commit = un(i["commit"])
    secret = epoch.epoch_secret(un(i["init"]), un(i["r"]), commit)
    return {"commit_hash": epoch.commit_hash(commit).hex(), "secret": secret.hex()}


@operation("key schedule")
def _key_schedule(i: Json) -> Json:
    members = [un(member) for member in i["members"]]
    keys = epoch.EpochKeys.derive(un(i["secret"]), un(i["commit"]), members)
    return {
        "confirmation": keys.confirmation.hex(),
        "chains": [keys.chains[member].reveal().hex() for member in members],
        "handshakes": [keys.handshakes[member].reveal().hex() for member in members],
        "inits": [keys.inits[member].reveal().hex() for member in members],
        "exporter": keys.exporter.reveal().hex(),
    }


@operation("transcript hash")
def _transcript_hash(i: Json) -> Json:
    result = epoch.transcript_hash(un(i["parent"]), un(i["commit"]), un(i["confirmation"]))
    return {"transcript": result.hex(), "prefix": epoch.prefix_of(result).hex()}


@operation("state hash")
def _state_hash(i: Json) -> Json:
    return {"state": state_hash(un(i["roster"]), Policy.from_value(i["policy"])).hex()}


@operation("context")
def _context(i: Json) -> Json:
    policy, suite = Policy.from_value(i["policy"]), SUITES[i["suite"]]
    context = context_hash(suite, un(i["room"]), policy, un(i["roster"]), un(i["transcript"]))
    return {"context": context.hex()}


@operation("seal slot")
def _seal_slot(i: Json) -> Json:
    ephemeral = un(i["ephemeral"])
    public = dh_public(ephemeral)
    slot = epoch.seal_slot(
        un(i["r"]), ephemeral, un(i["commit"]), public, un(i["member"]), un(i["leaf_key"])
    )
    return {"ephemeral_key": public.hex(), "slot": slot.hex()}


@operation("open slot")
def _open_slot(i: Json) -> Json:
    leaf, public = un(i["leaf"]), un(i["ephemeral_key"])
    r = epoch.open_slot(
        un(i["slot"]), leaf, un(i["commit"]), public, un(i["member"]), dh_public(leaf)
    )
    return {"r": r.hex()}


@operation("seal commit")
def _seal_commit(i: Json) -> Json:
    place = un(i["room"]), un(i["prefix"]), un(i["committer"])
    sealed = epoch.seal_commit(
        un(i["handshake"]), *place, un(i["signed_commit"]), Tape(un(i["fresh"]))
    )
    return {"sealed_commit": sealed.hex()}


@operation("open commit")
def _open_commit(i: Json) -> Json:
    sealed = epoch.SealedCommit.parse(un(i["sealed_commit"]))
    return {"signed_commit": sealed.open(un(i["handshake"])).hex()}


@operation("export")
def _export(i: Json) -> Json:
    """Only a room exports, so any room is founded, and the case's exporter put into it."""
    room, _ = Room.found(
        IdentityKeys.generate(Tape(bytes(32), bytes(range(32)))),
        Policy(Mode.SIGNED), [], "", MailboxKeys.generate(Tape(bytes(range(80)))).mailbox, 0,
        Tape(bytes(range(128))),
    )  # fmt: skip
    room.state.epoch.exporter = Secret(un(i["exporter"]))
    return {"secret": room.export(un(i["label"]), i["size"]).hex()}
