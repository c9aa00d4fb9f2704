"""How an embedder would use Evanesce, type-checked strictly against the installed package."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from evanesce import (
    Device,
    Evaporation,
    LocalError,
    MemoryStore,
    MemoryTransport,
    MessageArrived,
    Mode,
    Policy,
    Reason,
    RemovedFromRoom,
    RoomChanged,
)
from evanesce.mailbox import MailboxReader
from evanesce.ports import Delivery, Outgoing, Store, Transaction, Transport


class MyTransport:
    """Somebody else's delivery, here over the one in memory."""

    def __init__(self) -> None:
        self._inner = MemoryTransport()

    async def open_mailbox(self, reader: MailboxReader) -> None:
        await self._inner.open_mailbox(reader)

    async def close_mailbox(self, reader: MailboxReader) -> None:
        await self._inner.close_mailbox(reader)

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        return await self._inner.send(batch)

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        return await self._inner.receive(readers)

    async def ack(self, ids: Sequence[bytes]) -> None:
        await self._inner.ack(ids)


class MyStore:
    """Somebody else's storage."""

    def __init__(self) -> None:
        self._inner = MemoryStore()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._inner.transaction() as transaction:
            yield transaction


def show(who: str, content: str | bytes) -> None:
    print(who, content)


async def main() -> None:
    store: Store = MyStore()
    transport: Transport = MyTransport()
    async with (
        Device.open(store, transport, name="Mina") as mina,
        Device.open(MemoryStore(), transport, name="Junho") as junho,
    ):
        room = await mina.direct(await junho.card())
        message: bytes = await room.send("See you at 7?", after_view=10)
        group = await mina.create_room(
            [await junho.card(one_time=True)],
            policy=Policy(Mode.SIGNED, evaporation=Evaporation(after_view=0, lifetime=3_600)),
        )
        await group.send(b"data", quote=message)
        print(room.safety_number(room.peer), [str(person) for person in group.members])
        async for event in junho.events():
            match event:
                case MessageArrived():
                    async with event.message.open() as content:
                        show(str(event.sender), content)
                        break
                case RoomChanged(by=by, added=added):
                    print(by.name, [person.name for person in added])
                case RemovedFromRoom():
                    return
        try:
            await group.send("x" * 70_000)
        except LocalError as error:
            assert error.reason is Reason.TOO_LARGE


if __name__ == "__main__":
    asyncio.run(main())
