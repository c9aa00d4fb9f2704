"""Devices that talk over a relay (spec 22)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from evanesce import Device, MemoryStore, MessageArrived
from evanesce.conversation import Conversation
from evanesce.transport.relay import RelayTransport
from tests.transport.relay_process import RelayProcess, relay_process


class _Talker:
    def __init__(self, device: Device) -> None:
        self.device = device
        self.heard: list[str] = []

    async def listen(self) -> None:
        async for event in self.device.events():
            if isinstance(event, MessageArrived):
                async with event.message.open() as text:
                    self.heard.append(str(text))

    def room(self, known: Conversation) -> Conversation:
        return self.device.conversation(known.id)


@asynccontextmanager
async def _talkers(url: str, *names: str) -> AsyncIterator[list[_Talker]]:
    transports = [RelayTransport(url, ping=1.0) for _ in names]
    devices = [Device.open(MemoryStore(), transport, name=name)
               for name, transport in zip(names, transports, strict=True)]  # fmt: skip
    talkers = [_Talker(device) for device in devices]
    tasks = []
    try:
        for device in devices:
            await device.__aenter__()
        tasks = [asyncio.ensure_future(talker.listen()) for talker in talkers]
        yield talkers
    finally:
        for device in devices:
            await device.close()
        await asyncio.gather(*tasks)
        for transport in transports:
            await transport.close()


async def test_a_conversation_goes_through_a_restart_of_its_relay() -> None:
    with relay_process() as relay:
        await _talk(relay)


async def _talk(relay: RelayProcess) -> None:
    async with _talkers(relay.url, "Mina", "Junho", "Sora") as (mina, junho, sora):
        cards = [await other.device.card() for other in (junho, sora)]
        room = await mina.device.create_room(cards)
        await room.send("before")
        await _until(lambda: junho.heard == ["before"] and sora.heard == ["before"])
        await junho.room(room).send("an answer")
        await _until(lambda: mina.heard == ["an answer"])
        await asyncio.to_thread(relay.kill)
        await room.send("nobody is there")
        await sora.room(room).send("nor here")
        await asyncio.to_thread(relay.start)
        await _until(lambda: len(mina.heard) == 2 and len(junho.heard) == 3
                     and len(sora.heard) == 3)  # fmt: skip
        assert mina.heard[1] == "nor here"
        assert sorted(junho.heard[1:]) == ["nobody is there", "nor here"]
        assert sorted(sora.heard[1:]) == ["an answer", "nobody is there"]
        assert {talker.room(room).transcript for talker in (mina, junho, sora)} == {
            room.transcript
        }


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not true():
            await asyncio.sleep(0.02)
