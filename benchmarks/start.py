"""One start of a device, in a process of its own: started by `rooms.py`, with a task as JSON.

It opens the store, and sends a message or waits for one that is there. It prints how many seconds
each step took, and the memory in bytes.
"""

import time

BEGUN = time.monotonic()

import asyncio  # noqa: E402  the imports are measured
import json  # noqa: E402
import resource  # noqa: E402
import secrets  # noqa: E402
import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from evanesce import (  # noqa: E402
    Device,
    MessageArrived,
    Passphrase,
    RawKey,
    Reason,
    SqliteStore,
)
from evanesce.mailbox import MailboxReader  # noqa: E402
from evanesce.ports import Delivery, ManualClock, Outgoing  # noqa: E402

IMPORTED = time.monotonic()


class Line:
    """A transport that takes everything at once, and has at most one envelope to deliver.

    As for a relay, the device proves at each call that its mailboxes are its own.
    """

    def __init__(self, *waiting: Delivery) -> None:
        self._waiting = list(waiting)

    async def open_mailbox(self, reader: MailboxReader) -> None:
        """Take the proof."""
        reader.prove(secrets.token_bytes(32))

    async def close_mailbox(self, reader: MailboxReader) -> None:
        """Take the proof."""
        reader.prove(secrets.token_bytes(32))

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        """Take all."""
        return {}

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        """Take the proofs; give what there is, or wait for ever."""
        challenge = secrets.token_bytes(32)
        for reader in readers:
            reader.prove(challenge)
        if not self._waiting:
            await asyncio.Event().wait()
        return [self._waiting.pop()]

    async def ack(self, ids: Sequence[bytes]) -> None:
        """Forget it."""


def memory() -> tuple[int, int]:
    """The resident memory at its peak, and now, in bytes.

    `getrusage` counts the process that started this one, so it serves only where there is no /proc.
    """
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return peak, peak
    found = dict(line.split(":", 1) for line in lines)
    peak, present = (int(found[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS"))
    return peak, present


async def start(task: dict[str, Any]) -> dict[str, float]:
    """Do the task; return what it took."""
    begun = time.monotonic()
    key = task["key"]
    source = Passphrase(task["passphrase"]) if key is None else RawKey(bytes.fromhex(key))
    address, envelope = bytes.fromhex(task["address"]), bytes.fromhex(task["envelope"])
    receiving = task["what"] == "receive"
    line = Line(*[Delivery(bytes(16), address, envelope)] if receiving else [])
    with SqliteStore(task["path"], source) as store:
        unlocked = time.monotonic()
        async with Device.open(store, line, clock=ManualClock(task["now"])) as device:
            opened = time.monotonic()
            if receiving:
                async for event in device.events():
                    if isinstance(event, MessageArrived):
                        break
            else:
                await device.conversation(bytes.fromhex(task["room"])).send("The first to go")
            done = time.monotonic()
            peak, present = memory()
    return {
        "interpreter": BEGUN - task["begun"], "imports": IMPORTED - BEGUN,
        "store": unlocked - begun, "device": opened - unlocked, "message": done - opened,
        "total": done - task["begun"], "peak": peak, "present": present,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asyncio.run(start(json.load(sys.stdin)))))
