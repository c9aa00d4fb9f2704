"""What a device keeps and its methods do not tell: the one place that asks the engine.

How long a message still has, whether it has been viewed, what waits to be sent, and how large the
records of a room are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..conversation import Conversation
from ..device import Device
from ..events import MessageArrived
from ..identity import Identity
from ..inbox import Kept
from ..ports import Transaction

__all__ = ["Lying", "Sizes", "lying", "missing", "one", "serves", "serving", "sizes", "waiting"]


@dataclass(frozen=True, slots=True)
class Lying:
    """A message that has not evaporated."""

    arrived: MessageArrived
    own: bool
    viewed: bool
    after_view: int | None
    deadline: int  # when it evaporates, as things stand

    @property
    def unread(self) -> bool:
        """Whether somebody else wrote it and it has not been viewed."""
        return not self.own and not self.viewed


async def lying(device: Device, room: Conversation | None = None) -> list[Lying]:
    """The messages that lie here, in the order they were written."""
    arrived = {found.message.id: found for found in await device.inbox(room)}
    kept = await device.keep(lambda tx, now: [*device.engine.inbox.all(tx, now)])
    # A folder keeps no order; who says they wrote later than it came is not believed.
    kept.sort(key=lambda item: min(item.sent, item.received))
    return [_lying(device, arrived[item.id], item) for item in kept if item.id in arrived]


async def one(device: Device, arrived: MessageArrived) -> Lying:
    """One of them. Raise `LocalError` (evaporated)."""
    message = arrived.message.id
    kept = await device.keep(lambda tx, now: device.engine.inbox.get(tx, message, now))
    return _lying(device, arrived, kept)


def _lying(device: Device, arrived: MessageArrived, kept: Kept) -> Lying:
    own = kept.sender == device.room(kept.room).own_id
    after_view = kept.evaporation.after_view
    return Lying(arrived, own, kept.viewed is not None, after_view, kept.deadline)


async def waiting(device: Device, room: Conversation) -> int:
    """How many envelopes for a room have not been handed to the transport."""

    def count(tx: Transaction, now: int) -> int:
        return sum(of == room.id for _, of, _ in device.engine.outbox.queued(tx))

    return await device.keep(count)


def missing(device: Device, room: Conversation, member: bytes) -> int:
    """How many messages of a member are known to exist and have not come, as of now."""
    epochs = device.room(room.id).state.epochs.values()
    return sum(len(epoch.chains[member].skipped) for epoch in epochs if member in epoch.chains)


def serving(device: Device, identity: Identity) -> Conversation | None:
    """The 1:1 room with somebody that is spoken in now, if there is one."""
    room = device.engine.direct.get(identity)
    return None if room is None or room not in device.engine.rooms else device.conversation(room)


def serves(device: Device, room: Conversation) -> bool:
    """Whether one can speak in a room: not after a removal, nor once another took its place."""
    retired = device.engine.meta[room.id].retired is not None
    return not (room.closed or room.stale or retired)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Records and their bytes (names and values, before they are sealed and padded)."""

    rooms: dict[bytes, tuple[int, int]]
    rest: tuple[int, int]


async def sizes(device: Device) -> Sizes:
    """How large the state is, room by room."""

    def measure(tx: Transaction, now: int) -> tuple[Counter[bytes], Counter[bytes]]:
        rooms = {room.id for room in device.rooms}
        of_message = {kept.id: kept.room for kept in device.engine.inbox.all(tx, now)}
        records: Counter[bytes] = Counter()
        octets: Counter[bytes] = Counter()
        for name, data in tx.scan(b""):
            parts = name.split(b"/", 1)
            rest = parts[1] if len(parts) > 1 else b""
            room = rest[:32] if rest[:32] in rooms else of_message.get(rest, b"")
            records[room] += 1
            octets[room] += len(name) + len(data)
        return records, octets

    records, octets = await device.keep(measure)
    found = {room.id: (records[room.id], octets[room.id]) for room in device.rooms}
    return Sizes(found, (records[b""], octets[b""]))
