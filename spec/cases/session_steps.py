"""A session: the steps that one device does in one room (20.6)."""

from typing import Any

from spec.cases.common import (
    Json,
    Stream,
    identity_keys,
    mailbox_of,
    operation,
    operations_of,
    package_keys,
    un,
)

from spec import reference as ref

State = ref.Room | None


class Tape:
    """The random bytes of a step, drawn to the last one."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __call__(self, size: int) -> bytes:
        assert size <= len(self.data), "more was drawn than before"
        taken, self.data = self.data[:size], self.data[size:]
        return taken


class Recorder:
    """The stream of a step, and what has been drawn from it."""

    def __init__(self, name: str) -> None:
        self.stream = Stream(name)
        self.drawn = b""

    def __call__(self, size: int) -> bytes:
        data = self.stream(size)
        self.drawn += data
        return data


def epoch_json(epoch: ref.Epoch) -> Json:
    return {"number": epoch.number, "transcript": epoch.transcript.hex()}


def entered_json(room: ref.Room) -> Json:
    epoch = room.now_in.epoch
    return {**epoch_json(epoch), "context": epoch.context.hex()}


def begun_json(room: ref.Room) -> Json:
    return {"room": room.now_in.epoch.room.hex(), "me": room.me.hex(), **entered_json(room)}


def event(name: str, out: Json) -> Json:
    return {"outcome": "event", "event": name, "out": out}


def guests_of(rows: list[Json]) -> list[ref.Guest]:
    return [ref.Guest(ref.read_key_package(un(row["package"])), row["prekey"], row["role"])
            for row in rows]  # fmt: skip


def contact_of(row: Json) -> ref.Contact:
    mailbox = row["mailbox"]
    return row["name"], None if mailbox is None else mailbox_of(mailbox)


def _found(_: State, owner: ref.IdentityKeys, step: Json, random: ref.Random) -> tuple[State, Json]:
    room, made = ref.found(
        owner, step["policy"], guests_of(step["guests"]), step["name"],
        mailbox_of(step["mailbox"]), step["now"], random,
    )  # fmt: skip
    invitations = [invitation.hex() for invitation in made.invitations]
    return room, event("founded", {**begun_json(room), "invitations": invitations})


def _join(
    room: State, owner: ref.IdentityKeys, step: Json, random: ref.Random
) -> tuple[State, Json]:
    given = (owner, package_keys(step["package"]), un(step["invitation"]), step["now"])
    if room is not None and room.removed is None:
        room = ref.move(room, *given)
        return room, event("moved", begun_json(room))
    room = ref.join(*given)
    return room, event("joined", begun_json(room))


def _send(
    room: State, owner: ref.IdentityKeys, step: Json, random: ref.Random
) -> tuple[State, Json]:
    assert room is not None
    room, sealed = ref.send(room, owner, un(step["content"]), step["now"], random)
    index = ref.parse(sealed.header, "header")[3]
    out = {"message": sealed.message.hex(), "id": sealed.id.hex()}
    return room, event("sent", {**out, **epoch_json(room.now_in.epoch), "index": index})


def _receive(
    room: State, _: ref.IdentityKeys, step: Json, random: ref.Random
) -> tuple[State, Json]:
    assert room is not None
    data, now = un(step["data"]), step["now"]
    if ref.dispatch_type(data, False) == ref.FORMS["commit copy"].type:
        room, name, taken = ref.receive_commit(room, data, now)
        if name == "removed":
            return room, event(name, {})
        told: Json = {"committer": taken.committer.hex()}
        if isinstance(taken, ref.Taken):
            context = None if taken.removes_me else taken.epoch.context.hex()
            told = {**told, **epoch_json(taken.epoch), "context": context}
        return room, event(name, told)
    room, got = ref.receive_message(room, data, now)
    gaps = {"missing": got.missing, "lost": got.lost,
            "evicted": [[member.hex(), number] for member, number in got.evicted]}  # fmt: skip
    out: Json = {"sender": got.sender.hex(), "number": got.number, "index": got.place,
                 "id": got.id.hex(), "content": got.content.hex()}  # fmt: skip
    if got.kind in ("text", "data"):
        after_view, lifetime = got.evaporation
        timers = {"after_view": after_view, "lifetime": lifetime}
        return room, {"outcome": "delivered", "out": {**out, **timers, **gaps}}
    name = "announced" if got.kind == "announcement" else got.kind
    return room, event(name, {**out, **gaps})


def _commit(
    room: State, owner: ref.IdentityKeys, step: Json, random: ref.Random
) -> tuple[State, Json]:
    assert room is not None
    directory = {un(row["member"]): contact_of(row) for row in step["directory"]}
    room, made = ref.commit_own(
        room, owner, operations_of(step["operations"]), guests_of(step["guests"]), directory,
        step["now"], random,
    )  # fmt: skip
    copies = {member: ref.parse(copy, "commit copy") for member, copy in made.copies.items()}
    slots = [[m.hex(), None if slot is None else slot.hex()] for m, (_, slot) in copies.items()]
    invitations = [invitation.hex() for invitation in made.invitations]
    return room, event("committed", {"commit": made.sealed.hex(), "slots": slots,
                                     "invitations": invitations, **entered_json(room)})


def _export(
    room: State, _: ref.IdentityKeys, step: Json, random: ref.Random
) -> tuple[State, Json]:
    assert room is not None
    secret = ref.export_from(room, un(step["label"]), step["size"])
    return room, event("exported", {"secret": secret.hex()})


def _look(room: State, _: ref.IdentityKeys, step: Json, random: ref.Random) -> tuple[State, Json]:
    assert room is not None
    return ref.look(room, step["now"]), event("looked", {})


def _restart(room: State, _: ref.IdentityKeys, __: Json, random: ref.Random) -> tuple[State, Json]:
    return room, event("restarted", {})  # a value is what it is


STEPS = {"found": _found, "join": _join, "send": _send, "receive": _receive, "commit": _commit,
         "export": _export, "look": _look, "restart": _restart}  # fmt: skip


def perform(
    room: State, owner: ref.IdentityKeys, step: Json, random: ref.Random
) -> tuple[State, Json]:
    """Do one step: what the room has become, and what came of it."""
    before = repr(room)
    try:
        after, result = STEPS[step["do"]](room, owner, step, random)
    except ref.Refused as refused:
        assert repr(room) == before, "refused input has changed something"
        waits = {"receive": ref.HELD, "join": (*ref.HELD, "already-member")}
        held = refused.reason in waits.get(step["do"], ())
        outcome = "held" if held else "rejected"
        return room, {"outcome": outcome, "reason": refused.reason}
    assert repr(room) == before, "a room is a value"
    return after, result


def rehearse(owner: ref.IdentityKeys, steps: list[Json]) -> list[Json]:
    """All steps of a session, from nothing."""
    room: State = None
    results = []
    for step in steps:
        tape = Tape(un(step.get("random", "")))
        room, result = perform(room, owner, step, tape)
        assert not tape.data, "less was drawn than before"
        results.append(result)
    return results


@operation("session")
def _session(i: Json) -> Any:
    # Its results are the trace of a session: the values within each step would fill megabytes.
    return ref.unnoted(rehearse, identity_keys(i["owner"]), i["steps"])
