"""Relays over rows in memory, and mailboxes to try them with."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evanesce.errors import Reason
from evanesce.limits import HOUR
from evanesce.primitives import H
from evanesce.relay.clock import ManualRelayClock
from evanesce.relay.keys import RelayKeys
from evanesce.relay.memory_rows import MemoryRows
from evanesce.relay.relay import Cursor, Posted, Recalled, Relay, Waiting
from evanesce.relay.settings import RelaySettings

START = 500_000 * HOUR + 1_234  # the hour 500,000
PLENTY = 1_000, 1 << 30


def new_id() -> bytes:
    return secrets.token_bytes(16)


@dataclass(frozen=True)
class Box:
    """What a sender knows of a mailbox."""

    address: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    capability: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    @property
    def hash(self) -> bytes:
        return H(b"capability", self.capability)

    def posted(self, item: bytes | None = None, envelope: bytes = b"sealed") -> Posted:
        return Posted(self.address, self.capability, item or new_id(), envelope)

    def recalled(self, item: bytes) -> Recalled:
        return Recalled(self.address, self.capability, item)


@dataclass
class Bench:
    """Relays on one store, with one folder of keys and one clock."""

    folder: Path
    rows: MemoryRows = field(default_factory=MemoryRows)
    clock: ManualRelayClock = field(default_factory=lambda: ManualRelayClock(START))
    settings: RelaySettings = field(default_factory=RelaySettings)

    async def relay(self, clock: ManualRelayClock | None = None) -> Relay:
        """A relay that has begun: another process, or the same one after a restart."""
        keys = RelayKeys.open(self.folder / "keys")
        relay = Relay(self.rows, keys, clock or self.clock, self.settings)
        await relay.start()
        return relay


async def make(relay: Relay, count: int = 1) -> list[Box]:
    boxes = [Box() for _ in range(count)]
    for box in boxes:
        await relay.make_mailbox(box.address, box.hash)
    return boxes


async def put(relay: Relay, box: Box, *ids: bytes) -> list[Reason | None]:
    return await relay.put([box.posted(item, b"sealed " + item) for item in ids])


async def all_of(relay: Relay, box: Box, cursor: Cursor | None = None) -> list[Waiting]:
    """Everything that waits, as a reader with much credit gets it."""
    cursor, given = cursor or Cursor(), []
    while more := await relay.fetch(box.address, cursor, *PLENTY):
        given += more
    return given


async def ids_of(relay: Relay, box: Box, cursor: Cursor | None = None) -> list[bytes]:
    return [item.id for item in await all_of(relay, box, cursor)]


def taken(outcomes: Sequence[Reason | None]) -> bool:
    return all(outcome is None for outcome in outcomes)
