"""One delivery on its way through a device: what is known of it, and what has come of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .engine import Engine
from .errors import RemoteError
from .events import Event, Rejected
from .faces import Faces
from .ports import Transaction

__all__ = ["Arrival"]


@dataclass(slots=True)
class Arrival:
    """One delivery being processed: the device, the transaction, the time, the events so far."""

    engine: Engine
    tx: Transaction
    faces: Faces
    now: int
    events: list[Event] = field(default_factory=list)
    moved_on: list[bytes] = field(default_factory=list)  # rooms whose waiting input may fit now

    def reject(self, error: RemoteError, room: bytes | None) -> None:
        """Tell the application that something was refused."""
        self.events.append(Rejected(error.reason, error.detail, room))
