"""What a device can tell of what it keeps, without giving any of it out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .conversation import Conversation
from .identity import Identity
from .inbox import Kept
from .ports import Transaction
from .worker import Worker

__all__ = ["Fate", "Overview", "Size", "Sizes"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What is known of a kept message beside its content, and when it goes."""

    message: bytes  # its id
    own: bool  # whether this device has sent it
    sent: int  # by the sender's clock
    received: int
    viewed: int | None  # when, if it has been
    after_view: int | None  # seconds it stays from then on; 0: until it is closed
    deadline: int  # when it evaporates, as things stand


@dataclass(frozen=True, slots=True)
class Size:
    """Some records, and the bytes of their names and values before they are sealed and padded."""

    records: int
    octets: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the state of a device is."""

    rooms: dict[bytes, Size]  # by room id
    rest: Size


class Overview(Worker):
    """The part of a device that is only looked at."""

    async def fates(self, room: Conversation | None = None) -> dict[bytes, Fate]:
        """The same messages as `Device.inbox`, by their ids."""

        def look(tx: Transaction, now: int) -> dict[bytes, Fate]:
            return {
                kept.id: self._fate(kept)
                for kept in self.engine.inbox.all(tx, now)
                if room is None or kept.room == room.id
            }

        return await self.keep(look)

    async def fate(self, message: bytes) -> Fate:
        """One message's. Raise `LocalError` (evaporated)."""
        return await self.keep(
            lambda tx, now: self._fate(self.engine.inbox.get(tx, message, now))
        )

    def _fate(self, kept: Kept) -> Fate:
        own = kept.sender == self.engine.rooms[kept.room].own_id
        return Fate(kept.id, own, kept.sent, kept.received, kept.viewed,
                    kept.evaporation.after_view, kept.deadline)  # fmt: skip

    def direct_with(self, identity: Identity) -> Conversation | None:
        """The 1:1 room that serves with somebody, if there is one; it may be stale."""
        room = self.engine.direct.get(identity)
        if room is None or room not in self.engine.rooms:
            return None
        return self.conversation(room)

    def is_replaced(self, room: bytes) -> bool:
        """See `Conversation.replaced`."""
        return self.engine.meta[room].retired is not None

    async def unsent(self, room: bytes) -> int:
        """See `Conversation.unsent`."""
        return await self.keep(
            lambda tx, now: sum(item.room == room for item in self.engine.outbox.waiting(tx))
        )

    async def sizes(self) -> Sizes:
        """How large the state is, room by room. Envelopes that wait count among the rest."""

        def measure(tx: Transaction, now: int) -> tuple[Counter[bytes], Counter[bytes]]:
            of_message = {kept.id: kept.room for kept in self.engine.inbox.all(tx, now)}
            records: Counter[bytes] = Counter()
            octets: Counter[bytes] = Counter()
            for name, data in tx.scan(b""):
                rest = name.partition(b"/")[2]
                in_room = rest[:32] in self.engine.rooms
                room = rest[:32] if in_room else of_message.get(rest, b"")
                records[room] += 1
                octets[room] += len(name) + len(data)
            return records, octets

        records, octets = await self.keep(measure)
        rooms = {room: Size(records[room], octets[room]) for room in self.engine.rooms}
        return Sizes(rooms, Size(records[b""], octets[b""]))
