"""Uses a folder until it is killed. Run as a script: `folder_child.py ROOT`.

This process only forks, once for each line it is given (`send SEED` or `receive SEED`), and tells
when that child is gone. A child writes a line before and after each step.
"""

from __future__ import annotations

import asyncio
import os
import sys
from random import Random

from evanesce.mailbox import MailboxKeys
from evanesce.ports import Outgoing
from evanesce.transport.folder import FolderTransport


def mailbox() -> MailboxKeys:
    """The same for everyone."""
    return MailboxKeys.generate(Random(0).randbytes)


def envelope(key: bytes) -> bytes:
    """What is sent under an id: recognisably whole, of a size that takes some writing."""
    dice = Random(key)
    return dice.randbytes(dice.choice((512, 512, 4_096, 200_000)))


def tell(word: str, keys: list[bytes]) -> None:
    """One line, written at once: it is there whole, or not at all."""
    os.write(1, f"{word} {' '.join(key.hex() for key in keys)}\n".encode())


async def work(kind: str, transport: FolderTransport, dice: Random) -> None:
    """Begin, and say so."""
    tell("begun", [])
    await (send if kind == "send" else receive)(transport, dice)


async def send(transport: FolderTransport, dice: Random) -> None:
    """Send batches without end."""
    while True:
        keys = [dice.randbytes(16) for _ in range(dice.randint(1, 4))]
        refused = await transport.send(
            [Outgoing(key, mailbox().mailbox, envelope(key)) for key in keys]
        )
        tell("sent", [key for key in keys if key not in refused])


async def receive(transport: FolderTransport, dice: Random) -> None:
    """Receive and ack without end."""
    while True:
        deliveries = await transport.receive([mailbox().reader()])
        chosen = deliveries[: dice.randint(1, 8)]
        keys = [delivery.id[32:] for delivery in chosen]
        tell("acking", keys)
        await transport.ack([delivery.id for delivery in chosen])
        tell("acked", keys)


def main() -> None:
    root = sys.argv[1]
    for line in sys.stdin:
        kind, seed = line.split()
        child = os.fork()
        if child == 0:
            os.write(1, f"child {os.getpid()}\n".encode())
            asyncio.run(work(kind, FolderTransport(root), Random(int(seed))))
        os.waitpid(child, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main()
