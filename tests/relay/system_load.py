"""Clients that put, receive, ack and recall without end, and a record of what they were answered.

They use the real transport, as devices do: what was not answered is sent again with the same ids,
what was not acked comes again. Beside them others send the same requests twice, and torn ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from evanesce.errors import Reason
from evanesce.mailbox import MailboxKeys
from evanesce.ports import PASSING, Outgoing, Recall
from evanesce.relay_formats import MEDIA_TYPE, PUT
from evanesce.transport.relay import RelayTransport
from evanesce.transport.relay_faults import RelayRefusal
from evanesce.transport.relay_pauses import Pause

__all__ = ["Client", "Load", "loaded"]

PATIENCE, PING = 4.0, 1.0
FIRST, LONGEST = 0.1, 1.5  # seconds of pauses between connections


class _Counted(Pause):
    """Pauses that count how often it was tried."""

    tries = 0

    def failed(self, seconds: int = 0) -> None:
        self.tries += 1
        super().failed(seconds)


def transport(url: str) -> RelayTransport:
    """A transport that is quicker to give up, and to come back, than devices are."""
    return RelayTransport(
        url, patience=PATIENCE, ping=PING, window=(64, 1 << 20), pause=_Counted(FIRST, LONGEST)
    )


@dataclass
class Client:
    """One who sends by one relay to boxes that it reads from another, and to one nobody reads."""

    number: int
    out_url: str
    in_url: str
    boxes: list[MailboxKeys]
    silent: MailboxKeys
    taken: dict[bytes, Outgoing] = field(default_factory=dict)  # by id: answered with success
    begun: dict[bytes, Outgoing] = field(default_factory=dict)
    got: set[bytes] = field(default_factory=set)  # envelopes
    acked: set[bytes] = field(default_factory=set)  # envelopes whose ack was answered
    recalling: set[bytes] = field(default_factory=set)  # ids
    recalled: set[bytes] = field(default_factory=set)  # ids: answered
    sent_at: float = 0.0  # when it was last answered
    got_at: float = 0.0
    slowest: float = 0.0  # seconds of the slowest call of send or recall
    troubles: int = 0


class Load:
    """All clients of a test. Use `loaded`."""

    def __init__(self, urls: Sequence[str], clients: int, boxes: int = 3) -> None:
        self.urls = list(urls)
        self.ending = False
        self.clients = [
            Client(
                n, urls[n % len(urls)], urls[(n // 2) % len(urls)],
                [MailboxKeys.generate(secrets.token_bytes) for _ in range(boxes)],
                MailboxKeys.generate(secrets.token_bytes),
            )
            for n in range(clients)
        ]  # fmt: skip
        self.torn = self.twice = 0
        self._transports: list[RelayTransport] = []
        self._receivers: list[asyncio.Task[None]] = []
        self._senders: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Make the mailboxes, and go on until `finish`."""
        for client in self.clients:
            out, back = transport(client.out_url), transport(client.in_url)
            self._transports += [out, back]
            for keys in (*client.boxes, client.silent):
                await back.open_mailbox(keys.reader())
            self._receivers.append(asyncio.create_task(self._receive(client, back)))
            self._senders.append(asyncio.create_task(self._send(client, out)))
            self._senders.append(asyncio.create_task(self._tear(client)))

    def check_alive(self) -> None:
        """Raise what a client has failed with: none may end."""
        for task in (*self._receivers, *self._senders):
            if task.done() and not self.ending:
                task.result()
                raise AssertionError("a client has ended")

    async def run(self, seconds: float) -> None:
        """Let them work."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check_alive()
            await asyncio.sleep(0.05)

    async def progress(self, within: float, only: Sequence[str] = ()) -> float:
        """Wait until all clients (of these relays) have sent and got something from now on.

        Return after how many seconds they had.
        """
        begun = time.monotonic()
        concerned = [c for c in self.clients if not only or {c.out_url, c.in_url} <= set(only)]
        assert concerned
        while not all(c.sent_at > begun and c.got_at > begun for c in concerned):
            late = [c.number for c in concerned if min(c.sent_at, c.got_at) <= begun]
            assert time.monotonic() - begun < within, f"clients {late} hang"
            self.check_alive()
            await asyncio.sleep(0.02)
        return time.monotonic() - begun

    @property
    def tries(self) -> int:
        """How often it was tried in vain to connect, by all together."""
        return sum(t._pause.tries for t in self._transports if isinstance(t._pause, _Counted))

    async def _send(self, client: Client, out: RelayTransport) -> None:
        dice = random.Random(client.number)
        while not self.ending:
            count = dice.choice([1, 1, 2, 6])
            batch = [
                Outgoing(secrets.token_bytes(16), dice.choice(client.boxes).mailbox,
                         os.urandom(dice.choice([300, 300, 1_200, 9_000])))
                for _ in range(count)
            ]  # fmt: skip
            if dice.random() < 0.3:
                batch.append(Outgoing(secrets.token_bytes(16), client.silent.mailbox,
                                      os.urandom(300)))  # fmt: skip
            await self._put(client, out, batch)
            client.sent_at = time.monotonic()
            if dice.random() < 0.15:  # a copy of what was taken, perhaps received and acked since
                await self._put(client, out, dice.sample(list(client.taken.values()), 1) + batch)
                self.twice += 1
            if dice.random() < 0.15:
                await self._recall(client, out, dice)
            await asyncio.sleep(dice.uniform(0.005, 0.03))

    async def _put(self, client: Client, out: RelayTransport, batch: list[Outgoing]) -> None:
        client.begun |= {item.id: item for item in batch}
        left = batch
        while left:
            begun = time.monotonic()
            try:
                refused = await out.send(left)
            except OSError:
                refused = {item.id: Reason.RELAY_BUSY for item in left}
            client.slowest = max(client.slowest, time.monotonic() - begun)
            assert set(refused.values()) <= PASSING, refused
            client.taken |= {item.id: item for item in left if item.id not in refused}
            left = [item for item in left if item.id in refused]
            if left:
                client.troubles += 1
                await asyncio.sleep(0.1)

    async def _recall(self, client: Client, out: RelayTransport, dice: random.Random) -> None:
        silent = [item for item in client.taken.values()
                  if item.mailbox == client.silent.mailbox and item.id not in client.recalled]
        if not silent:
            return
        item = dice.choice(silent)
        client.recalling.add(item.id)
        while True:
            begun = time.monotonic()
            with contextlib.suppress(OSError, RelayRefusal):
                await out.recall([Recall(item.id, item.mailbox)])
                client.recalled.add(item.id)
                return
            client.slowest = max(client.slowest, time.monotonic() - begun)
            await asyncio.sleep(0.1)

    async def _receive(self, client: Client, back: RelayTransport) -> None:
        readers = [keys.reader() for keys in client.boxes]
        while True:
            found = await back.receive(readers)
            client.got |= {delivery.envelope for delivery in found}
            client.got_at = time.monotonic()
            try:
                await back.ack([delivery.id for delivery in found])
            except (OSError, RelayRefusal):  # those that were done come no more; others again
                client.troubles += 1
                await asyncio.sleep(0.05)
            else:
                client.acked |= {delivery.envelope for delivery in found}

    async def _tear(self, client: Client) -> None:
        """Requests that end in the middle, and some whose sender does not wait for the answer."""
        dice = random.Random(-client.number)
        host, _, port = client.out_url.removeprefix("http://").rpartition(":")
        while not self.ending:
            await asyncio.sleep(dice.uniform(0.05, 0.2))
            if time.monotonic() - client.sent_at > 1.0:
                continue  # what nobody waits for would pile up without end, and hold up the others
            keys = dice.choice(client.boxes)
            item = Outgoing(secrets.token_bytes(16), keys.mailbox, os.urandom(2_000))
            client.begun[item.id] = item
            body = PUT.build(
                [[item.mailbox.address, item.mailbox.capability, item.id, item.envelope]]
            )
            head = (f"POST /v1/put HTTP/1.1\r\nHost: relay\r\nContent-Type: {MEDIA_TYPE}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n").encode()  # fmt: skip
            whole = head + body
            cut = len(whole) if dice.random() < 0.4 else dice.randrange(1, len(whole))
            with contextlib.suppress(OSError):
                async with asyncio.timeout(PATIENCE):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.write(whole[:cut])
                    await writer.drain()
                    if dice.random() < 0.5:
                        writer.transport.abort()
                    else:
                        writer.close()
                    self.torn += 1

    async def finish(self, within: float) -> None:
        """End the sending; all that was taken must have come within this time.

        Of an ack that failed, a part may have been done: what it was of need not come again.
        """
        self.ending = True
        async with asyncio.timeout(within):
            await asyncio.gather(*self._senders)
            for client in self.clients:
                while not self._owed(client) <= client.got:
                    assert not any(task.done() for task in self._receivers)
                    await asyncio.sleep(0.05)

    @staticmethod
    def _owed(client: Client) -> set[bytes]:
        silent = client.silent.mailbox
        return {item.envelope for item in client.taken.values() if item.mailbox != silent}

    async def end(self) -> None:
        """End everything."""
        self.ending = True
        tasks = (*self._receivers, *self._senders)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(each.close() for each in self._transports))

    async def check(self, quiet: float = 0.4) -> None:
        """Read all mailboxes anew from the first relay: see that nothing was lost or came back."""
        for task in self._receivers:
            task.cancel()
        await asyncio.gather(*self._receivers, return_exceptions=True)
        async with transport(self.urls[0]) as back:
            read = [keys for client in self.clients for keys in client.boxes]
            rest = await _all(back, read, quiet)
            waits = await _all(back, [client.silent for client in self.clients], quiet)
        begun: set[bytes] = set()
        acked: set[bytes] = set()
        for client in self.clients:
            sent = {item.envelope for item in client.begun.values()}
            assert self._owed(client) <= client.got <= sent
            begun |= sent
            acked |= client.acked
            silent = {item.id: item.envelope for item in client.taken.values()
                      if item.mailbox == client.silent.mailbox}  # fmt: skip
            kept = {each for id, each in silent.items() if id not in client.recalling}
            gone = {each for id, each in silent.items() if id in client.recalled}
            assert kept <= waits, "an envelope that was taken is lost"
            assert not gone & waits, "what was recalled came back"
        # What a torn request has left may have been received, or wait now.
        assert rest | waits <= begun, "something came that nobody has sent"
        assert not rest & acked, "what was acked came back"
        assert any(client.recalled for client in self.clients)


async def _all(back: RelayTransport, boxes: Sequence[MailboxKeys], quiet: float) -> set[bytes]:
    """All that waits in these mailboxes; it is acked, so that it comes once."""
    found: set[bytes] = set()
    readers = [keys.reader() for keys in boxes]
    while True:
        waiting = asyncio.ensure_future(back.receive(readers))
        still = asyncio.ensure_future(back.quiet(quiet))
        await asyncio.wait((waiting, still), return_when=asyncio.FIRST_COMPLETED)
        still.cancel()
        if not waiting.done():
            waiting.cancel()
            await asyncio.gather(waiting, still, return_exceptions=True)
            return found
        deliveries = waiting.result()
        found |= {delivery.envelope for delivery in deliveries}
        await back.ack([delivery.id for delivery in deliveries])


@contextlib.asynccontextmanager
async def loaded(urls: Sequence[str], clients: int = 4) -> AsyncIterator[Load]:
    """Clients at work."""
    load = Load(urls, clients)
    try:
        await load.start()
        await load.progress(15)
        yield load
    finally:
        await load.end()
