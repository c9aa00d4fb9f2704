"""A transport in memory: one object that every device of a test or demo shares.

It behaves as a relay should: writing needs the capability, reading a proof, an envelope is
forgotten when it is acked and at the latest after `RETENTION`. `seen` is what an operator who logs
everything would have: every envelope ever put, with its address.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import Reason, RemoteError
from ..limits import MAILBOX_ENVELOPES, MAX_ENVELOPE, RETENTION
from ..mailbox import MailboxReader
from ..ports import Clock, Delivery, Outgoing, Recall, SystemClock
from ..primitives import H, equal

__all__ = ["MemoryTransport", "Seen"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One envelope as the operator of the transport saw it."""

    time: int
    address: bytes
    envelope: bytes


@dataclass(slots=True)
class _Box:
    capability_hash: bytes
    waiting: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    known: dict[bytes, int] = field(default_factory=dict)  # ids put before, with their time


class MemoryTransport:
    """Mailboxes and key packages in memory. Implements `Transport`, `Recalling`, `KeyDirectory`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._boxes: dict[bytes, _Box] = {}
        self._packages: defaultdict[bytes, deque[bytes]] = defaultdict(deque)
        self._published: set[bytes] = set()
        self._last_resort: dict[bytes, bytes] = {}
        self._arrived = asyncio.Condition()
        self.seen: list[Seen] = []

    async def open_mailbox(self, reader: MailboxReader) -> None:
        """Make a mailbox exist; making it twice is fine."""
        self._prove(reader)
        mailbox = reader.mailbox
        self._boxes.setdefault(mailbox.address, _Box(H(b"capability", mailbox.capability)))

    async def close_mailbox(self, reader: MailboxReader) -> None:
        """Remove a mailbox and all that waits in it."""
        self._prove(reader)
        self._boxes.pop(reader.mailbox.address, None)

    def _prove(self, reader: MailboxReader) -> None:
        challenge = secrets.token_bytes(32)
        reader.check(challenge, reader.prove(challenge))

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        """Put envelopes into mailboxes; return the ids that were refused, with the reason."""
        refused: dict[bytes, Reason] = {}
        for item in batch:
            reason = self._put(item)
            if reason is not None:
                refused[item.id] = reason
        async with self._arrived:
            self._arrived.notify_all()
        return refused

    def _put(self, item: Outgoing) -> Reason | None:
        box = self._boxes.get(item.mailbox.address)
        if box is None:
            return Reason.UNKNOWN_MAILBOX
        if not equal(H(b"capability", item.mailbox.capability), box.capability_hash):
            return Reason.NOT_PERMITTED
        if len(item.envelope) > MAX_ENVELOPE:
            return Reason.TOO_LARGE
        now = self._clock.now()
        self._expire(box, now)
        if item.id in box.known:
            return None
        if len(box.waiting) >= MAILBOX_ENVELOPES:
            return Reason.MAILBOX_FULL
        box.waiting[item.id] = now, item.envelope
        box.known[item.id] = now
        self.seen.append(Seen(now, item.mailbox.address, item.envelope))
        return None

    async def recall(self, batch: Sequence[Recall]) -> None:
        """Erase these envelopes, and never take them again."""
        for item in batch:
            box = self._boxes.get(item.mailbox.address)
            if box is None:
                raise RemoteError(Reason.UNKNOWN_MAILBOX, "no such mailbox")
            if not equal(H(b"capability", item.mailbox.capability), box.capability_hash):
                raise RemoteError(Reason.NOT_PERMITTED, "not the capability of this mailbox")
            box.waiting.pop(item.id, None)
            if len(box.known) < 2 * MAILBOX_ENVELOPES:  # who makes ids up fills nothing for ever
                box.known.setdefault(item.id, self._clock.now())

    def _expire(self, box: _Box, now: int) -> None:
        for key, (since, _) in list(box.waiting.items()):
            if now - since > RETENTION:
                del box.waiting[key]
        for key, since in list(box.known.items()):
            if now - since > RETENTION:
                del box.known[key]

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        """Wait until something is in one of these mailboxes and return what is there."""
        for reader in readers:
            if reader.mailbox.address not in self._boxes:
                raise RemoteError(Reason.UNKNOWN_MAILBOX, "no such mailbox")
            self._prove(reader)
        addresses = [reader.mailbox.address for reader in readers]
        async with self._arrived:
            while not (found := self._waiting(addresses)):
                await self._arrived.wait()
        return found

    def _waiting(self, addresses: Sequence[bytes]) -> list[Delivery]:
        now = self._clock.now()
        found = []
        for address in addresses:
            box = self._boxes.get(address)
            if box is None:
                continue
            self._expire(box, now)
            found += [Delivery(address + key, address, data)
                      for key, (_, data) in box.waiting.items()]  # fmt: skip
        return found

    async def ack(self, ids: Sequence[bytes]) -> None:
        """Forget these deliveries: their receiver has stored them."""
        for item in ids:
            box = self._boxes.get(item[:32])
            if box is not None:
                box.waiting.pop(item[32:], None)

    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        """Add one-time key packages; replace the last-resort one if another is given."""
        fresh = [package for package in packages if package not in self._published]
        self._published.update(fresh)  # a package that was handed out never comes back
        self._packages[fingerprint].extend(fresh)
        if last_resort is not None:
            self._last_resort[fingerprint] = last_resort

    async def claim(self, fingerprint: bytes) -> bytes | None:
        """Take a one-time package out; when none is left, give the last-resort one, or None."""
        packages = self._packages.get(fingerprint)
        return packages.popleft() if packages else self._last_resort.get(fingerprint)

    def holdings(self) -> list[Delivery]:
        """What it holds now: what a seizure of the transport finds."""
        return self._waiting(list(self._boxes))
