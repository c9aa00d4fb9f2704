"""A program: a device that is killed while it burns, or erases what another burns.

    python burn_child.py FOLDER NET NOW POINT [ROOM MESSAGE]

It opens the device in FOLDER. With ROOM and MESSAGE it burns that, else it waits for a burn. It
kills itself at POINT: `before` the transaction is committed, `after` that and before the store is
scrubbed, or at the `end`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from unittest.mock import patch

from evanesce import Device, FolderTransport, MessageBurned, SqliteStore
from evanesce.inbox import Inbox
from evanesce.ports import ManualClock, Transaction
from tests.store.store_support import KEY


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Die there."""
    if point == "before":
        erase = Inbox.erase

        def erase_and_die(inbox: Inbox, tx: Transaction, message: bytes) -> None:
            erase(inbox, tx, message)
            die()

        patch.object(Inbox, "erase", erase_and_die).start()
    if point == "after":
        patch.object(SqliteStore, "scrub", die).start()


async def main() -> None:
    folder, net, now, point, *what = sys.argv[1:]
    clock = ManualClock(int(now))
    with SqliteStore(Path(folder) / "device.db", KEY) as store:
        async with Device.open(store, FolderTransport(net, clock), clock=clock) as device:
            arm(point)
            if what:
                room, message = (bytes.fromhex(text) for text in what)
                await device.conversation(room).burn(message)
            else:
                async for event in device.events():
                    if isinstance(event, MessageBurned):
                        break
            die()


asyncio.run(main())
