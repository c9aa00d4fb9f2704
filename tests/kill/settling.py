"""Bringing all devices to rest at the end, and doing what an application would decide."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.kill.deeds import ask_resync
from tests.kill.worker import Actor, waiting_in

__all__ = ["hand_out_receipts", "let_all_in", "mend", "settle", "settle_pins"]

ROUNDS = 30
ASKED_AGAIN = (61, 601, 3_601, 3_601)  # seconds from one request for repair to the next
LATEST_RECEIPT = 601


async def settle(actors: Sequence[Actor], root: Path) -> None:
    """Wait until everything has arrived, and nobody does anything."""
    for _ in range(ROUNDS):
        before = [actor.activity for actor in actors]
        for actor in actors:
            await actor.transport.hand_over_late()
            await actor.quiet()
        if before == [actor.activity for actor in actors] and not waiting_in(root):
            return
    raise AssertionError(f"they never come to rest: {waiting_in(root)}")


async def settle_pins(actors: Sequence[Actor]) -> None:
    """Whoever is still offered for a person is refused: else nothing more can be said."""
    for actor in actors:
        for pin in actor.device.pins:
            if not pin.settled:
                actor.journal.note("settling", person=pin.person)
                await actor.device.refuse_identity(pin.person)
                whose = pin.identity.fingerprint.hex()
                actor.journal.note("settled", person=pin.person, identity=whose)


def _outside(actor: Actor) -> bool:
    """Whether this device waits to be let in anew, or has to ask for it."""
    room = actor.room("group")
    if room is None or room.closed:
        return False
    return room.stale or actor.device.engine.meta[room.id].asked is not None


async def let_all_in(actors: Sequence[Actor], root: Path) -> None:
    """Grant each request; who is not in then asks again, once."""
    for again in (False, True):
        for actor in actors:
            if not _outside(actor):
                continue
            if again or not any(_asked_by(actor, other) for other in actors):
                await ask_resync(actor)
                await settle(actors, root)
            granter = next(other for other in actors if _asked_by(actor, other))
            room = granter.room("group")
            assert room is not None
            asking = [p for p in room.resync_requests if p.identity == actor.device.identity]
            await room.resync(*asking)
            await settle(actors, root)
    outside = [actor.name for actor in actors if _outside(actor)]
    assert not outside, f"not in the group, though asked for twice: {outside}"


def _asked_by(actor: Actor, other: Actor) -> bool:
    """Whether another device, that can grant it, has the request of this one."""
    room = other.room("group")
    if other is actor or room is None or not room.open:
        return False
    return any(person.identity == actor.device.identity for person in room.resync_requests)


async def mend(actors: Sequence[Actor], root: Path) -> None:
    """Let time pass as long as the members of the group are not in one epoch."""
    for seconds in ASKED_AGAIN:
        rooms = [room for actor in actors if (room := actor.room("group")) is not None]
        if len({room.transcript for room in rooms if not room.closed}) <= 1:
            return
        actors[0].clock.advance(seconds)  # it is the same for all of them
        await settle(actors, root)


async def hand_out_receipts(actors: Sequence[Actor], root: Path) -> None:
    """Let the time come for every receipt."""
    if any(room.receipts for actor in actors for room in actor.device.rooms):
        actors[0].clock.advance(LATEST_RECEIPT)
        await settle(actors, root)
