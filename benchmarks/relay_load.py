"""Real clients that load a relay, in a process of their own: started by `relay.py`, task as JSON.

Each client has a connection that sends and another that receives. It sends batches of envelopes,
one to each of its mailboxes, as a message in a room of that size is; each holds the time it was
sent. The other side acks what it gets. Printed are the envelopes that were taken and pushed within
the time measured, which begins a while after all are connected, and the milliseconds from before
the put to after the push.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from evanesce.mailbox import MailboxKeys
from evanesce.ports import Outgoing
from evanesce.transport.relay import RelayTransport

STAMP = 8  # bytes at the start of an envelope: when it was sent, in nanoseconds
SAMPLE = 20_000  # latencies reported at most


@dataclass
class Tally:
    """What all clients of this process have done while it was measured."""

    begin: float = float("inf")
    end: float = float("inf")
    taken: int = 0
    refused: int = 0
    failed: int = 0  # not answered
    pushed: int = 0
    latencies: list[float] = field(default_factory=list)

    def counts(self) -> bool:
        """Whether it is the time that is measured."""
        return self.begin <= time.monotonic() < self.end


async def send(
    transport: RelayTransport, boxes: list[MailboxKeys], number: int, task: dict[str, Any],
    tally: Tally,
) -> None:  # fmt: skip
    """Send batches, each as soon as the one before was taken, or at the given rate."""
    filler = os.urandom(task["size"] - STAMP)
    rate = task["rate"]  # batches a second, of this client
    due = time.monotonic() + (number / task["clients"] / rate if rate else 0)
    while (now := time.monotonic()) < tally.end:
        if rate:
            await asyncio.sleep(max(0.0, due - now))
            due += 1 / rate
        stamp = time.monotonic_ns().to_bytes(STAMP, "big")
        batch = [Outgoing(secrets.token_bytes(16), keys.mailbox, stamp + filler) for keys in boxes]
        try:
            refused = await transport.send(batch)
        except OSError:
            tally.failed += len(batch)
            continue
        if tally.counts():
            tally.taken += len(batch) - len(refused)
            tally.refused += len(refused)


async def receive(transport: RelayTransport, boxes: list[MailboxKeys], tally: Tally) -> None:
    """Take and ack what comes, each once."""
    readers = [keys.reader() for keys in boxes]
    while True:
        found = await transport.receive(readers)
        now = time.monotonic_ns()
        if tally.counts():
            tally.pushed += len(found)
            tally.latencies += [
                (now - int.from_bytes(item.envelope[:STAMP], "big")) / 1e6 for item in found
            ]
        await transport.ack([item.id for item in found])


async def client(task: dict[str, Any], number: int, tally: Tally, ready: asyncio.Barrier) -> None:
    """One who sends by one relay and one who receives from the next."""
    urls = task["urls"]
    boxes = [MailboxKeys.generate(secrets.token_bytes) for _ in range(task["batch"])]
    async with (
        RelayTransport(urls[number % len(urls)]) as out,
        RelayTransport(urls[(number + 1) % len(urls)]) as back,
    ):
        for keys in boxes:
            await back.open_mailbox(keys.reader())
        receiver = asyncio.create_task(receive(back, boxes, tally))
        async with ready:  # the last who comes sets the time
            if tally.begin == float("inf"):
                tally.begin = time.monotonic() + task["warm_up"]
                tally.end = tally.begin + task["seconds"]
        try:
            await send(out, boxes, number, task, tally)
            await asyncio.sleep(task["drain"])
        finally:
            if receiver.done():
                receiver.result()  # it has failed
            receiver.cancel()
            await asyncio.gather(receiver, return_exceptions=True)
            for keys in boxes:
                await back.close_mailbox(keys.reader())


async def run(task: dict[str, Any]) -> dict[str, Any]:
    """Run all clients of this process."""
    tally = Tally()
    ready = asyncio.Barrier(task["clients"])
    begun = time.monotonic()
    await asyncio.gather(*(client(task, n, tally, ready) for n in range(task["clients"])))
    sample = tally.latencies
    if len(sample) > SAMPLE:
        sample = random.sample(sample, SAMPLE)
    return {"taken": tally.taken, "refused": tally.refused,
            "failed": tally.failed, "pushed": tally.pushed,
            "latencies": sample, "ran": time.monotonic() - begun}  # fmt: skip


if __name__ == "__main__":
    json.dump(asyncio.run(run(json.load(sys.stdin))), sys.stdout)
