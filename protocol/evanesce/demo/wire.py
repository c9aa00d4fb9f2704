"""What the demo's envelopes travel over, with the eyes of an operator who logs everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from ..ports import ManualClock, Transport
from ..transport.memory import MemoryTransport, Seen

__all__ = ["Claim", "Ending", "MailboxDisclosed", "MemoryWire", "Wire"]

START = 1_700_000_000  # the demo's clock, where nobody else has one


@dataclass(frozen=True, slots=True)
class Claim:
    """Something the demo claims, and what trying it gave."""

    id: str
    claim: str
    holds: bool
    found: str


@dataclass(frozen=True, slots=True)
class MailboxDisclosed:
    """What a relay has disclosed of a mailbox, signed, in an entry of its ledger."""

    address: bytes
    exists: bool
    envelopes: int  # that waited
    held: dict[str, Any]  # all fields of the answer
    entry: int


@dataclass(slots=True)
class Ending:
    """What is tried on the carrier itself when the play is over."""

    claims: list[Claim] = field(default_factory=list)
    mailboxes: list[MailboxDisclosed] = field(default_factory=list)


class Wire(Protocol):
    """Carries the envelopes of a play."""

    clock: ManualClock
    seen: list[Seen]  # each envelope once, as it was taken
    pause: float  # seconds between two looks whether all has come
    looks: int  # that have to find nothing
    patience: float  # seconds until it counts as broken

    def transport(self) -> Transport:
        """For one device."""

    def busy(self) -> bool:
        """Whether an envelope is on its way."""

    async def ending(self) -> Ending:
        """Try what can be tried on the carrier."""


class MemoryWire:
    """One object in memory for all."""

    pause, looks, patience = 0.0, 25, 600.0

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self._transport = MemoryTransport(self.clock)
        self.seen = self._transport.seen

    def transport(self) -> Transport:
        """The same for each."""
        return self._transport

    def busy(self) -> bool:
        """Whether something waits."""
        return bool(self._transport.holdings())

    async def ending(self) -> Ending:
        """Nothing is left of it to be tried."""
        return Ending()
