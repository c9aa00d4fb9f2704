"""A transport at its worst that is still a transport: for tests of what relies on one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random

from ..errors import Reason
from ..mailbox import MailboxReader
from ..ports import Delivery, KeyDirectory, Outgoing, Recall, Recalling, Transport

__all__ = ["Unreliable"]

REMEMBERED = 256  # deliveries that may be replayed


class Unreliable:
    """Passes on to another transport, and does all that a transport may do wrong (REQ-APP-12).

    With the probability `duplicate`, a delivery comes twice in one answer; with `reorder`, an
    answer is shuffled and a part of it left for later; with `drop`, `send` loses some of a batch
    and raises `OSError`, and `ack` and `recall` do nothing and raise it; with `replay`, an answer
    also has something that was delivered before, acked or not. The same seed and the same calls
    give the same faults. A directory of key packages is passed on as it is.
    """

    publish: Callable[[bytes, Sequence[bytes], bytes | None], Awaitable[None]]
    claim: Callable[[bytes], Awaitable[bytes | None]]
    recall: Callable[[Sequence[Recall]], Awaitable[None]]

    def __init__(
        self,
        transport: Transport,
        seed: int,
        *,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        drop: float = 0.0,
        replay: float = 0.0,
    ) -> None:
        self._transport = transport
        self._dice = Random(seed)  # noqa: S311  faults, not secrets
        self._duplicate, self._reorder = duplicate, reorder
        self._drop, self._replay = drop, replay
        self._delivered: list[Delivery] = []
        self.faults = 0  # how many there have been
        if isinstance(transport, KeyDirectory):
            self.publish = transport.publish
            self.claim = transport.claim
        if isinstance(transport, Recalling):
            self.recall = self._recall

    def _happens(self, chance: float) -> bool:
        happens = self._dice.random() < chance
        self.faults += happens
        return happens

    async def open_mailbox(self, reader: MailboxReader) -> None:
        """Make a mailbox exist."""
        await self._transport.open_mailbox(reader)

    async def close_mailbox(self, reader: MailboxReader) -> None:
        """Remove a mailbox."""
        await self._transport.close_mailbox(reader)

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        """Put envelopes into mailboxes, some of them twice; or some of them at all, and raise."""
        batch = list(batch)
        if self._happens(self._drop):
            kept = self._dice.sample(batch, self._dice.randint(0, len(batch)))
            if kept:
                await self._transport.send(kept)
            raise OSError("the connection was lost")
        twice = [item for item in batch if self._happens(self._duplicate)]
        return await self._transport.send([*batch, *twice])

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        """Wait for deliveries, and return them changed as it may be."""
        found = list(await self._transport.receive(readers))
        if found and self._happens(self._reorder):
            found = self._dice.sample(found, self._dice.randint(1, len(found)))
        fresh = list(found)
        found += [delivery for delivery in fresh if self._happens(self._duplicate)]
        addresses = {reader.mailbox.address for reader in readers}
        old = [delivery for delivery in self._delivered if delivery.address in addresses]
        if old and self._happens(self._replay):
            found.insert(self._dice.randint(0, len(found)), self._dice.choice(old))
        self._delivered = [*self._delivered, *fresh][-REMEMBERED:]
        return found

    async def _recall(self, batch: Sequence[Recall]) -> None:
        """Erase these envelopes; or do not, and raise."""
        if self._happens(self._drop):
            raise OSError("the connection was lost")
        assert isinstance(self._transport, Recalling)
        await self._transport.recall(batch)

    async def ack(self, ids: Sequence[bytes]) -> None:
        """Forget these deliveries; or do not, and raise."""
        if self._happens(self._drop):
            raise OSError("the connection was lost")
        await self._transport.ack(ids)
