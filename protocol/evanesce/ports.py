"""What a device needs from the outside: a store, a transport, a clock (spec 17).

These are the only things an embedder writes. `store.memory` and `transport.memory` are complete
versions for tests and demos, and the shortest examples of how to write one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from .errors import Reason
from .mailbox import Mailbox, MailboxReader

__all__ = ["APPLICATION", "PASSING", "Clock", "Delivery", "KeyDirectory", "ManualClock",
           "Outgoing", "Recall", "Recalling", "RollbackAware", "Scrubbing", "Store", "SystemClock",
           "Transaction", "Transport"]  # fmt: skip

# Refusals of an envelope that may pass: its mailbox is full, or the whole transport, or busy.
PASSING: Final = frozenset({Reason.MAILBOX_FULL, Reason.RELAY_FULL, Reason.RELAY_BUSY,
                            Reason.TOO_MANY_REQUESTS})  # fmt: skip
# Names that start so are the application's: a device never reads or writes them. A store treats
# them like any others, so that one transaction can hold records of both.
APPLICATION: Final = b"app/"


class Transaction(Protocol):
    """Reads and writes that happen together or not at all."""

    def get(self, name: bytes) -> bytes | None:
        """The record of this name, or None; a transaction sees its own writes."""

    def put(self, name: bytes, data: bytes) -> None:
        """Write a record."""

    def delete(self, name: bytes) -> None:
        """Delete a record; deleting a missing one is fine."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All records whose name starts with `prefix`, in the order of their names.

        The transaction may write while it scans: a record deleted meanwhile is not given any more,
        one added meanwhile may be given or not, and each is given once at most.
        """


class Store(Protocol):
    """Where a device keeps everything, keys included. It must encrypt what it writes.

    `evanesce.testing.check_store` checks a store of one's own.
    """

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction: committed durably when the block ends, undone when it raises.

        Raise `StorageError` (bad-store) when it cannot be committed, `LocalError` (bad-store)
        inside another transaction of this store, which goes on unharmed.
        """


@runtime_checkable
class Scrubbing(Protocol):
    """A store that can make what was deleted or overwritten go from its files."""

    def scrub(self) -> None:
        """Leave nothing of erased data in any file of the store; not inside a transaction.

        Raise `StorageError` when that is not possible now: it is called again later.
        """


@runtime_checkable
class RollbackAware(Protocol):
    """A store that notices when an older copy of it has been put back."""

    @property
    def rolled_back(self) -> bool:
        """Whether this is, or comes from, an older copy."""

    def accept_rollback(self) -> None:
        """Make `rolled_back` false with the transaction that is open now."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An envelope on its way. `id` (16 bytes) makes putting it twice the same as once."""

    id: bytes
    mailbox: Mailbox
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """An envelope that waits in a mailbox, until it is acked by its id.

    With `notice` it is none, but the relay's own word that it had to disclose what it holds of this
    mailbox (spec 22.8): `envelope` is then the statement.
    """

    id: bytes
    address: bytes
    envelope: bytes
    notice: bool = False


@dataclass(frozen=True, slots=True)
class Recall:
    """An envelope to be called back: the `id` it was sent with, and the mailbox it was sent to."""

    id: bytes = field(repr=False)  # only its sender and the transport know it
    mailbox: Mailbox


class Transport(Protocol):
    """Moves envelopes between mailboxes. It may duplicate, reorder, delay and drop.

    Any method may raise `RemoteError`, `OSError`, `EOFError` or `ValueError` when it did not work;
    it is then called again later.
    """

    async def open_mailbox(self, reader: MailboxReader) -> None:
        """Make a mailbox exist; making it twice is fine."""

    async def close_mailbox(self, reader: MailboxReader) -> None:
        """Remove a mailbox and all that waits in it."""

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        """Put envelopes into mailboxes; return the ids that were refused, with the reason.

        Refusals: those of `PASSING` may pass, and the envelope is sent again later; all others are
        final, as unknown-mailbox and not-permitted. When it cannot be told what was sent, raise:
        all of it is then sent again, in smaller batches. `ValueError` for a batch of one says that
        this envelope can never be sent: it is dropped.
        """

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        """Wait until something is in one of these mailboxes and return what is there."""

    async def ack(self, ids: Sequence[bytes]) -> None:
        """Forget these deliveries: their receiver has stored them."""


@runtime_checkable
class Recalling(Protocol):
    """A transport that can give up what it has taken (REQ-ENV-23)."""

    async def recall(self, batch: Sequence[Recall]) -> None:
        """Erase these envelopes where they still wait, and never take them again.

        What has been fetched, or was never sent, is as well. Raise `RemoteError` (unknown-mailbox,
        not-permitted) if one of them is refused; it is then called for each by itself.
        """


@runtime_checkable
class KeyDirectory(Protocol):
    """A transport that also hands out key packages, each one-time package once."""

    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        """Add one-time key packages for the device with this fingerprint.

        `last_resort`, if given, takes the place of the last-resort package it had.
        """

    async def claim(self, fingerprint: bytes) -> bytes | None:
        """Take a one-time package out; when none is left, give the last-resort one, or None."""


class Clock(Protocol):
    """The time, and a way to wait for it. Seconds since 1970-01-01 UTC."""

    def now(self) -> int:
        """The time now."""

    async def wait_until(self, moment: int) -> None:
        """Return once it is `moment` by this clock, at once if that has passed."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> int:
        """The time now."""
        return int(time.time())

    async def wait_until(self, moment: int) -> None:
        """Wait."""
        await asyncio.sleep(max(0.0, moment - time.time()))


class ManualClock:
    """A clock that moves only when told to: for tests and demos."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> int:
        """The time now."""
        return self._now

    def advance(self, seconds: int) -> None:
        """Let time pass, and wake whoever has slept long enough."""
        self._now += seconds
        self._sleepers = [(due, future) for due, future in self._sleepers if not future.done()]
        for due, future in self._sleepers:
            if due <= self._now:
                future.set_result(None)

    async def wait_until(self, moment: int) -> None:
        """Return once the clock has been moved far enough."""
        if moment <= self._now:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((moment, future))
        await future
