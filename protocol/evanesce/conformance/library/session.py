"""Sessions: what one device lives through in one room, step by step (spec 20.6)."""

from __future__ import annotations

from collections.abc import Callable

from ...applying import CommitApplied
from ...content import Announcement, Burn, Leave, Viewed
from ...epoch import SealedCommit, prefix_of
from ...errors import EvanesceError, HeldError, Reason, RemoteError
from ...formats import COMMIT_COPY, MESSAGE
from ...identity import IdentityKeys
from ...limits import MAX_ENVELOPE
from ...message import ParsedMessage, reopen
from ...room import Room
from ...speech import Received, send_message
from ...state import Contact
from ...wire import decode, kind_of, peek_type
from .commits import wishes_of
from .founding import guests_of, policy_of
from .registry import Json, operation
from .rooms import place_of
from .values import Tape, identity_keys, mailbox_of, package_keys, un

__all__ = ["session"]

_NOTICES = {Leave: "leave", Announcement: "announced", Viewed: "viewed", Burn: "burn"}


class _Device:
    """A device that is in no room yet, or in one."""

    def __init__(self, owner: IdentityKeys) -> None:
        self.owner = owner
        self._room: Room | None = None

    @property
    def room(self) -> Room:
        """Its room. Raise `ValueError` if the session has not begun with one."""
        if self._room is None:
            raise ValueError("a session begins by founding or joining")
        return self._room

    def digest(self) -> str:
        """A string for all that is kept; empty before there is a room."""
        return "" if self._room is None else self._room.digest().hex()

    def found(self, step: Json) -> Json:
        """Found the room."""
        tape = Tape(un(step["random"]))
        self._room, by_member = Room.found(
            self.owner, policy_of(step["policy"]), guests_of(step["guests"]), step["name"],
            mailbox_of(step["mailbox"]), step["now"], tape,
        )  # fmt: skip
        tape.end()
        invitations = [by_member[m.id].hex() for m in self.room.roster if m.id in by_member]
        return _event("founded", {**self._begun(), "invitations": invitations})

    def join(self, step: Json) -> Json:
        """Join it."""
        keys, data = package_keys(step["package"]), un(step["invitation"])
        room, invitation = Room.join(self.owner, keys, data, step["now"])
        old, self._room = self._room, room
        if old is None or old.closed:
            return _event("joined", self._begun())
        if not room.moves(old, invitation.inviter, step["now"]):
            self._room = old
            raise HeldError(Reason.ALREADY_MEMBER, "this device is in that room")
        room.take_over(old, moved=True)
        return _event("moved", self._begun())

    def send(self, step: Json) -> Json:
        """Send a content as it stands."""
        tape = Tape(un(step["random"]))
        state = self.room.state
        sent = send_message(state, self.owner, un(step["content"]), step["now"], tape)
        tape.end()
        index = ParsedMessage.parse(sent.message).header.number
        place = {"number": self.room.epoch, "transcript": self.room.transcript.hex()}
        out = {"message": sent.message.hex(), "id": sent.id.hex(), **place, "index": index}
        return _event("sent", out)

    def receive(self, step: Json) -> Json:
        """Receive what a mailbox of the room gives."""
        data, now = un(step["data"]), step["now"]
        match peek_type(data):
            case MESSAGE.type:
                return _received(self.room.receive(data, now))
            case COMMIT_COPY.type:
                applied = self.room.apply(data, now)
                committer = {"committer": applied.committer.id.hex()}
                if applied.equivocation:
                    return _event("equivocated", committer)
                if not applied.leads:
                    return _event("lost", {**committer, **self._losing(data, applied)})
                if applied.removed_self:
                    return _event("removed", {})
                return _event("committed", {**committer, **place_of(self.room.state)})
        kind_of(decode(data, limit=MAX_ENVELOPE))  # what is not an object says so
        raise RemoteError(Reason.WRONG_TYPE, "neither a message nor a commit copy")

    def commit(self, step: Json) -> Json:
        """Commit; the directory of the step takes the place of what the room has learned itself."""
        tape, state = Tape(un(step["random"])), self.room.state
        wishes = wishes_of(self.owner, state, step["operations"], step["now"])
        parent, learned = state.epoch.roster, state.directory
        state.directory = {
            un(row["member"]): Contact(row["name"], row["mailbox"] and mailbox_of(row["mailbox"]))
            for row in step["directory"]
        }
        try:
            made = self.room.commit(
                self.owner, wishes, guests_of(step["guests"]), step["now"], tape
            )
        except EvanesceError:
            state.directory = learned
            raise
        tape.end()
        copies = {m.id: COMMIT_COPY.parse(made.copies[m.id]) for m in parent if m.id in made.copies}
        slots = [[member.hex(), slot and slot.hex()] for member, (_, slot) in copies.items()]
        out = {"commit": made.sealed.hex(), "slots": slots, **place_of(state)}
        invitations = [invitation.hex() for invitation in made.invitations.values()]
        return _event("committed", {**out, "invitations": invitations})

    def export(self, step: Json) -> Json:
        """Export a secret."""
        secret = self.room.export(un(step["label"]), step["size"])
        return _event("exported", {"secret": secret.hex()})

    def look(self, step: Json) -> Json:
        """Erase what has had its time."""
        self.room.expire(step["now"])
        return _event("looked", {})

    def restart(self, _: Json) -> Json:
        """Read again what has been written."""
        self._room = Room.restore(self.room.records())
        return _event("restarted", {})

    def _losing(self, copy: bytes, applied: CommitApplied) -> Json:
        """The place of an epoch beside the path, which a commit has just opened."""
        epochs = self.room.state.epochs
        parent = epochs[SealedCommit.parse(COMMIT_COPY.parse(copy)[0]).prefix]
        transcript = parent.taken[applied.committer.id]
        kept = epochs.get(prefix_of(transcript))
        return {
            "number": parent.number + 1,
            "transcript": transcript.hex(),
            "context": None if kept is None else kept.context.hex(),
        }

    def _begun(self) -> Json:
        room = self.room
        return {"room": room.id.hex(), "me": room.own_id.hex(), **place_of(room.state)}


def _event(name: str, out: Json) -> Json:
    return {"outcome": "event", "event": name, "out": out}


def _received(got: Received) -> Json:
    content = reopen(got.key, got.ciphertext)
    out: Json = {
        "sender": got.sender.hex(),
        "number": got.epoch,
        "index": got.index,
        "id": got.id.hex(),
        "content": content.hex(),
        "missing": got.missing,
        "lost": got.lost,
        "evicted": [[member.hex(), number] for member, number in got.evicted.items()],
    }
    for kind, name in _NOTICES.items():
        if isinstance(got.content, kind):
            return _event(name, out)
    timers = {
        "after_view": got.evaporation.after_view,
        "lifetime": got.evaporation.lifetime,
    }
    return {"outcome": "delivered", "out": {**out, **timers}}


@operation("session")
def session(i: Json) -> list[Json]:
    """Do all steps; each result has the digest of what is kept after it."""
    device = _Device(identity_keys(i["owner"]))
    steps: dict[str, Callable[[Json], Json]] = {
        "found": device.found, "join": device.join, "send": device.send,
        "receive": device.receive, "commit": device.commit, "export": device.export,
        "look": device.look, "restart": device.restart,
    }  # fmt: skip
    results = []
    for step in i["steps"]:
        try:
            result = steps[step["do"]](step)
        except HeldError as error:
            result = {"outcome": "held", "reason": str(error.reason)}
        except EvanesceError as error:
            result = {"outcome": "rejected", "reason": str(error.reason)}
        results.append({**result, "digest": device.digest()})
    return results
