"""A reader in a process of its own, which can be stopped: it subscribes, grants, and says so."""

from __future__ import annotations

import asyncio
import sys

from tests.relay.web_server import Box, reading


async def main(base: str, credit: int) -> None:
    async with reading(base, ping_interval=None, max_queue=1) as reader:
        box = Box()
        await reader.make(box)
        await reader.subscribe(box)
        if credit:
            await reader.grant()
        print(box.address.hex(), box.capability.hex(), flush=True)
        await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
