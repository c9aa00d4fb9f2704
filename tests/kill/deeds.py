"""Acts that have to do with repair, resync, burning, receipts and pins.

Like all acts they can be done again, when the process died after they were begun: what has come
about is not repeated, as the device itself says whether it has.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from evanesce import Conversation, LocalError, Reason
from tests.kill.bending import LATE, LOST

if TYPE_CHECKING:
    from tests.kill.worker import Act, Actor

__all__ = ["ask_resync", "do", "let_in"]


async def do(actor: Actor, act: Act) -> None:
    """Do one of these."""
    match act:
        case ("lose", name):  # what is sent to this member from now on
            actor.transport.bends.bend(_address(actor, name), LOST)
        case ("delay", name):
            actor.transport.bends.bend(_address(actor, name), LATE)
        case ("heal",):
            actor.transport.bends.heal()
        case ("hand over",):
            await actor.transport.hand_over_late()
        case ("ask resync",):
            await ask_resync(actor)
        case ("let in", name):
            await let_in(actor, name)
        case ("burn", kind, text):
            await _burn(actor, _room(actor, kind), text)
        case ("receipts", kind):
            await _room(actor, kind).set_receipts(on=True)
            actor.journal.note("receipts", kind=kind)
        case ("pin", person, name):
            await actor.device.pin(person, actor.card(name))
            actor.journal.note("settled", person=person, identity=_fingerprint(actor, name))
        case ("offer", person, name):
            await _offer(actor, person, name)
        case ("accept" | "refuse", person, name):
            await _settle(actor, person, name, accept=act[0] == "accept")
        case ("blocked", kind):
            await _refused(_room(actor, kind).send("to whom?"))
        case ("not begun", name):
            await _refused(actor.device.direct(actor.card(name)))
        case _:
            raise AssertionError(f"no such act: {act}")


def _room(actor: Actor, kind: str) -> Conversation:
    room = actor.room(kind)
    assert room is not None, f"{actor.name} is in no such room"
    return room


def _address(actor: Actor, name: str) -> bytes:
    """Where this device sends what it has for a member of its group."""
    room = _room(actor, "group")
    person = actor.member(room, name)
    assert person is not None
    contact = actor.device.room(room.id).directory[person.member]
    assert contact.mailbox is not None
    return contact.mailbox.address


# --- resync --------------------------------------------------------------------------------------


async def ask_resync(actor: Actor) -> None:
    """Ask to be let in anew; later than any time before, by the clock."""
    asked = sum(note["what"] == "asking" for note in actor.notes())
    actor.journal.note("asking")
    actor.clock.advance(asked)
    assert await _room(actor, "group").ask_resync() > 0


async def let_in(actor: Actor, name: str) -> None:
    """Grant a member's request, if it is not granted yet."""
    room = _room(actor, "group")
    identity = actor.card(name).identity
    asking = [person for person in room.resync_requests if person.identity == identity]
    if asking:
        await room.resync(*asking)


# --- burning -------------------------------------------------------------------------------------


async def _burn(actor: Actor, room: Conversation, text: str) -> None:
    """Burn what was said, if it was: when the process died within that, it may not have been."""
    message = await _said(actor, text)
    if message is None:
        return
    if message in await room.burnable():
        actor.journal.note("burning", text=text, message=message.hex())
        await room.burn(message)
    actor.journal.note("burned", text=text, message=message.hex())


async def _said(actor: Actor, text: str) -> bytes | None:
    """The id of what this device has said."""
    for note in actor.notes():
        if note["what"] in {"sent", "burning"} and note["text"] == text:
            return bytes.fromhex(note["message"])
    for kept in await actor.device.inbox():
        if kept.sender.identity == actor.device.identity:
            async with kept.message.open() as body:
                if body == text:
                    return kept.message.id
    return None


# --- pins ----------------------------------------------------------------------------------------


def _fingerprint(actor: Actor, name: str) -> str:
    return actor.card(name).identity.fingerprint.hex()


async def _offer(actor: Actor, person: str, name: str) -> None:
    """Pin another identity: it is refused, and kept as the one that is offered."""
    try:
        await actor.device.pin(person, actor.card(name))
    except LocalError as error:
        assert error.reason is Reason.IDENTITY_CHANGED
        actor.journal.note("offered", person=person, identity=_fingerprint(actor, name))
    else:
        raise AssertionError("another identity was pinned without a word")


async def _settle(actor: Actor, person: str, name: str, *, accept: bool) -> None:
    """Accept or refuse what is offered; then it is the identity of `name` that is pinned."""
    pin = actor.device.pinned(person)
    assert pin is not None
    if not pin.settled:
        actor.journal.note("settling", person=person)
        if accept:
            await actor.device.accept_identity(person, actor.card(name).identity)
        else:
            await actor.device.refuse_identity(person)
    pin = actor.device.pinned(person)
    assert pin is not None
    assert pin.settled
    assert pin.identity == actor.card(name).identity
    actor.journal.note("settled", person=person, identity=_fingerprint(actor, name))


async def _refused(call: Awaitable[object]) -> None:
    """Nothing is said to people of whom one may be another, and nobody invites who is offered."""
    try:
        await call
    except LocalError as error:
        assert error.reason is Reason.IDENTITY_CHANGED
    else:
        raise AssertionError("another identity is offered, and that is no obstacle")
