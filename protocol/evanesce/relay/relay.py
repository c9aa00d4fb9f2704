"""The relay itself: what it does with each request, over any store (spec 22).

Nothing here speaks HTTP, and nothing knows who asks: sessions and rates are the web's. Every method
may raise `RemoteError` with the reason a client is told: relay-busy when the store failed or cannot
tell, relay-full when a bound of the whole relay is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..errors import Reason
from .clock import RelayClock
from .keys import RelayKeys
from .rows import RelayStore
from .settings import RelaySettings

__all__ = ["Cursor", "Posted", "Recalled", "Relay", "Waiting"]


@dataclass(frozen=True, slots=True)
class Posted:
    """An item of a put (22.2): address 32, capability 16, id 16 bytes, envelope."""

    address: bytes
    capability: bytes = field(repr=False)
    id: bytes = field(repr=False)
    envelope: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recalled:
    """An item of a recall."""

    address: bytes
    capability: bytes = field(repr=False)
    id: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in a mailbox. A notice is told apart from an envelope."""

    id: bytes
    data: bytes = field(repr=False)
    is_notice: bool


class Cursor:
    """How far one reader of one mailbox has been given what waits. Holds numbers only."""


class Relay:
    """A relay over a store. `start` before, `stop` after use; `tick` at least once a minute."""

    def __init__(
        self, store: RelayStore, keys: RelayKeys, clock: RelayClock, settings: RelaySettings
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Open the store, and forget what had to be forgotten meanwhile."""

    async def stop(self) -> None:
        """Close the store."""

    async def tick(self) -> None:
        """Destroy the keys of hours that have begun, erase their rows, remove unused mailboxes."""

    async def put(self, items: Sequence[Posted]) -> list[Reason | None]:
        """Take envelopes; the outcome of each (REQ-RELAY-05). Durable where it is None."""
        raise NotImplementedError

    async def recall(self, items: Sequence[Recalled]) -> list[Reason | None]:
        """Erase envelopes by the ids they were put with (REQ-ENV-23)."""
        raise NotImplementedError

    async def make_mailbox(self, address: bytes, capability_hash: bytes) -> None:
        """Make a mailbox, or renew its lease. The caller has checked the proof (REQ-ENV-10)."""

    async def remove_mailbox(self, address: bytes) -> None:
        """Remove a mailbox, and erase what waits in it."""

    async def has_mailbox(self, address: bytes) -> bool:
        """Whether there is such a mailbox."""
        raise NotImplementedError

    async def fetch(
        self, address: bytes, cursor: Cursor, envelopes: int, octets: int
    ) -> list[Waiting]:
        """What waits and this reader has not been given, oldest hour first; the cursor moves past it.

        At most so many envelopes, and no further one once `octets` are exceeded. Notices come in any
        case. Raise `RemoteError` (unknown-mailbox).
        """
        raise NotImplementedError

    def watch(self, address: bytes, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` whenever something may have come; returns what ends that."""
        raise NotImplementedError

    async def ack(self, address: bytes, ids: Sequence[bytes]) -> None:
        """Erase what its receiver has stored (REQ-ENV-21), envelopes and notices."""

    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        """Take key packages (REQ-RELAY-06, 07)."""

    async def claim(self, fingerprint: bytes) -> bytes | None:
        """Hand out a key package: each one-time package once, then the last-resort one, or None."""
        raise NotImplementedError

    async def put_blob(self, token_hash: bytes, content: bytes) -> None:
        """Keep a blob under its hash (REQ-RELAY-08)."""

    async def blob(self, content_hash: bytes) -> bytes:
        """A blob. Raise `RemoteError` (unknown-blob)."""
        raise NotImplementedError

    async def delete_blob(self, content_hash: bytes, token: bytes) -> None:
        """Erase a blob. Raise `RemoteError`: unknown-blob, not-permitted."""

    async def leave_notice(self, address: bytes, statement: bytes) -> bool:
        """Leave a notice of a disclosure in a mailbox; False if there is no such mailbox."""
        raise NotImplementedError

    async def holdings(self, address: bytes) -> dict[str, object]:
        """All that is held of a mailbox, for a statement (22.8): nothing is changed by it."""
        raise NotImplementedError
