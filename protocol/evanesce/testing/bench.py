"""The bench on which a transport is checked: mailboxes, envelopes, and what must come of them."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from random import Random

from ..errors import Reason, RemoteError
from ..identity import IdentityKeys
from ..keypackage import KeyPackageKeys
from ..limits import MAX_ENVELOPE
from ..mailbox import MailboxKeys, MailboxReader
from ..ports import Delivery, Outgoing, Transport

__all__ = ["Bench", "Claims", "Connect", "Make", "refusal", "require"]

Connect = Callable[[], Transport]
Make = Callable[[], AbstractAsyncContextManager[Connect]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a transport says of itself. What it does not claim is not checked."""

    unknown_mailbox: bool = True  # refuses what is for a mailbox that nobody has opened
    capability: bool = True  # refuses a writer without the write capability
    proof: bool = True  # refuses a reader without the read key
    full: bool = True  # refuses past 1,000 envelopes
    remembers: bool = True  # what was acked through one connection is gone for all others
    directory: bool = True  # is a `KeyDirectory`
    pushes: bool = False  # sends on ahead: what came before a recall may be received after it
    largest: int = MAX_ENVELOPE  # bytes of envelope
    grace: float = 0.2  # seconds in which nothing must come, before that counts as never
    patience: float = 20.0  # seconds in which all must come, before it counts as lost


def require(fact: object, otherwise: str) -> None:
    """Fail a check, also under `python -O`."""
    if not fact:
        raise AssertionError(otherwise)


async def refusal(call: object) -> Reason | None:
    """Why an awaitable is refused with `RemoteError`; None if it is not."""
    try:
        await call  # type: ignore[misc]  # any awaitable
    except RemoteError as error:
        return error.reason
    return None


class Bench:
    """A new, empty network, and a record of what was sent there."""

    def __init__(self, connect: Connect, claims: Claims, seed: int | str) -> None:
        self.connect = connect
        self.claims = claims
        self.dice = Random(seed)  # noqa: S311  for tests: the same in each run
        self._sent: defaultdict[bytes, set[bytes]] = defaultdict(set)
        self._made = 0

    def keys(self) -> MailboxKeys:
        """A mailbox that nobody has opened yet."""
        return MailboxKeys.generate(self.dice.randbytes)

    async def mailbox(self, transport: Transport) -> MailboxKeys:
        """A mailbox that has been opened."""
        keys = self.keys()
        await transport.open_mailbox(keys.reader())
        return keys

    def item(self, keys: MailboxKeys, size: int = 512) -> Outgoing:
        """A new envelope for a mailbox. What it holds does not matter to a transport."""
        return Outgoing(self.dice.randbytes(16), keys.mailbox, self.dice.randbytes(size))

    def owner(self) -> IdentityKeys:
        """Somebody who has key packages."""
        return IdentityKeys.generate(self.dice.randbytes)

    def package(self, owner: IdentityKeys, *, last_resort: bool = False) -> bytes:
        """A signed key package; each expires a minute after the one before."""
        self._made += 1
        return KeyPackageKeys.generate(
            owner, self.keys().mailbox, int(time.time()) + 60 * self._made, self.dice.randbytes,
            last_resort=last_resort,
        ).package.signed  # fmt: skip

    async def send(self, transport: Transport, *items: Outgoing) -> None:
        """Send, and require that nothing is refused."""
        for item in items:  # before: another task may receive it while this one still sends
            self._sent[item.mailbox.address].add(item.envelope)
        refused = await transport.send(items)
        require(refused == {}, f"refused {[str(reason) for reason in refused.values()]}")

    async def receive(
        self, transport: Transport, readers: Sequence[MailboxReader]
    ) -> list[Delivery]:
        """Receive once, and require that all of it was sent to these mailboxes."""
        addresses = {reader.mailbox.address for reader in readers}
        found = await transport.receive(readers)
        for delivery in found:
            require(delivery.address in addresses, "delivered from a mailbox not asked for")
            require(
                delivery.envelope in self._sent[delivery.address],
                "delivered what nobody had sent to this mailbox, or changed it",
            )
        return list(found)

    async def take(
        self,
        transport: Transport,
        keys: Iterable[MailboxKeys],
        expected: Iterable[Outgoing],
        *,
        ack: bool = False,
    ) -> list[Delivery]:
        """Receive until all that is expected has come, and return every delivery once by its id."""
        readers = [each.reader() for each in keys]
        missing = {(item.mailbox.address, item.envelope) for item in expected}
        found: dict[bytes, Delivery] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(self.claims.patience):
                while missing:
                    deliveries = await self.receive(transport, readers)
                    for delivery in deliveries:
                        missing.discard((delivery.address, delivery.envelope))
                        found[delivery.id] = delivery
                    if ack:
                        await transport.ack([delivery.id for delivery in deliveries])
                    await asyncio.sleep(0)
        require(not missing, f"lost {len(missing)} envelopes that were sent and not acked")
        return list(found.values())

    async def quiet(self, transport: Transport, *keys: MailboxKeys) -> None:
        """Require that nothing comes from these mailboxes."""
        readers = [each.reader() for each in keys]
        found: list[Delivery] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(self.claims.grace):
                while not found:
                    found = await self.receive(transport, readers)
                    await asyncio.sleep(0)
        require(not found, f"delivered {len(found)} envelopes where there is none")
