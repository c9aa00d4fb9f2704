"""What all requests and sessions of one relay process share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..relay import Relay
from ..settings import RelaySettings
from .bodies import Bodies
from .logs import Log
from .metrics import Metrics
from .rates import Rates

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Bounds", "Face"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bounds of one process: sizes in bytes, times in seconds."""

    requests_in_flight: int = 256
    body_bytes: int = 256 * 1024 * 1024  # of all bodies in memory
    body_seconds: float = 30.0  # until a body must have come
    take_seconds: float = 30.0  # until a reader must have taken what was sent
    undrained_bytes: int = 256 * 1024 * 1024  # sent to all readers, and not taken yet


@dataclass(slots=True)
class Face:
    """The relay, what bounds its clients, what is counted, and who is connected."""

    relay: Relay
    settings: RelaySettings
    bounds: Bounds
    metrics: Metrics
    log: Log
    rates: Rates
    bodies: Bodies
    said: dict[str, Any]  # /v1/about
    healthy: Callable[[], bool]  # whether keys are destroyed in time
    sessions: set[Session] = field(default_factory=set)
    sessions_of: Counter[bytes] = field(default_factory=Counter)  # of each client
    begun: int = 0  # requests whose answer is not all sent
    in_flight: int = 0  # those of them that have come, and are worked on
    undrained: int = 0
    draining: bool = False

    def ready(self) -> bool:
        """Whether it takes requests, and forgets in time."""
        return not self.draining and self.healthy()
