"""A device in a process of its own, on a folder. Run as a module: `device_child ROOT NAME COUNT`.

It prints its card in hex, and reads one line: another's card to begin a conversation with, or
nothing to wait for one. Then it says COUNT things, each in answer to what it hears, and prints what
it has heard, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys

from evanesce import Card, Conversation, Device, MemoryStore, MessageArrived
from evanesce.transport.folder import FolderTransport


async def main() -> None:
    root, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    async with Device.open(MemoryStore(), FolderTransport(root), name=name) as device:
        print((await device.card()).encode().hex(), flush=True)
        line = (await asyncio.to_thread(sys.stdin.readline)).strip()
        heard: list[str | bytes] = []
        said = 0

        async def say(room: Conversation) -> None:
            nonlocal said
            if said < count:
                said += 1
                await room.send(f"{name} {said}")

        if line:
            await say(await device.direct(Card.decode(bytes.fromhex(line))))
        async for event in device.events():
            if isinstance(event, MessageArrived):
                async with event.message.open() as body:
                    heard.append(body)
                await say(event.room)
                if len(heard) == count:
                    break
        print(json.dumps(heard), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
