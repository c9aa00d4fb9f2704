"""What those who carry envelopes need of their device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from .engine import Engine
from .errors import RemoteError
from .ports import Clock, Delivery, Store, Transaction

__all__ = ["TRANSPORT_FAULTS", "Desk"]

# What a transport may raise: it is tried again later. Anything else is a fault in the transport.
TRANSPORT_FAULTS = (RemoteError, OSError, EOFError, ValueError)
Result = TypeVar("Result")


class Desk(Protocol):
    """The device, as its courier sees it."""

    @property
    def is_open(self) -> bool:
        """Whether the device is open."""

    @property
    def engine(self) -> Engine:
        """What the device holds."""

    @property
    def store(self) -> Store:
        """Where it keeps it."""

    @property
    def clock(self) -> Clock:
        """Its clock."""

    async def keep(self, work: Callable[[Transaction, int], Result]) -> Result:
        """Run `work` in one transaction."""

    async def deliver(self, delivery: Delivery) -> bool:
        """Process a delivery in one transaction; return whether that was committed."""
