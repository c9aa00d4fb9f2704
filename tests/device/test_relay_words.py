"""What only a relay says: that it had to disclose something, and that it is busy for now."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from evanesce import Disclosed, Reason
from evanesce.ports import PASSING, Delivery, ManualClock, Outgoing, Transaction
from tests.device.device_support import Relay, World

STATEMENT = b'{"type":"evanesce disclosure statement"}'


class Candid(Relay):
    """A relay that leaves notices, each until it is acked."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.notices: dict[bytes, Delivery] = {}

    async def leave(self, address: bytes, statement: bytes) -> bytes:
        delivery = Delivery(address + bytes([len(self.acked)] * 16), address, statement, True)
        self.notices[delivery.id] = delivery
        await super().send([])  # whoever waits looks again
        return delivery.id

    def _waiting(self, addresses: Sequence[bytes]) -> list[Delivery]:
        notices = [each for each in self.notices.values() if each.address in addresses]
        return [*notices, *super()._waiting(addresses)]

    async def ack(self, ids: Sequence[bytes]) -> None:
        await super().ack(ids)
        for key in ids:
            self.notices.pop(key, None)


async def test_a_disclosure_is_told_once_with_its_room_and_then_acked() -> None:
    world = World(Candid)
    relay = world.relay
    assert isinstance(relay, Candid)
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.direct(mina, junho)
    for home, expected in ((room, mina.room(room)), (None, None)):
        address = mina.mailbox(home).address
        key = await relay.leave(address, STATEMENT)
        await world.settle()
        (told,) = [event for event in mina.told(Disclosed) if event.address == address]
        assert (told.room, told.statement) == (expected, STATEMENT)
        assert "evanesce disclosure" not in repr(told)
        assert address.hex() not in repr(told)
        assert relay.acked.count(key) == 1
    assert relay.notices == {}
    await mina.restart()
    assert len(mina.told(Disclosed)) == 2
    assert junho.told(Disclosed) == []
    await world.check_talk(room, mina, junho)
    await world.close()


@pytest.mark.parametrize("statement", [b"\x00", b"\xff" * 16_384, b"[" * 16_384, b"{}"])
async def test_a_statement_is_not_looked_into_by_the_device(statement: bytes) -> None:
    world = World(Candid)
    relay = world.relay
    assert isinstance(relay, Candid)
    mina = await world.open("Mina")
    await relay.leave(mina.mailbox(None).address, statement)
    await world.settle()
    assert [event.statement for event in mina.told(Disclosed)] == [statement]
    assert relay.notices == {}
    await world.close()


async def test_a_disclosure_that_the_application_cannot_store_comes_again() -> None:
    world = World(Candid)
    relay = world.relay
    assert isinstance(relay, Candid)
    mina = await world.open("Mina")
    stored: list[bytes] = []
    broken = True

    def keep(tx: Transaction, events: Sequence[object]) -> None:
        if broken:
            raise RuntimeError("the application's disk is full")
        stored.extend(event.statement for event in events if isinstance(event, Disclosed))

    mina.on_commit = keep
    await mina.restart()
    await relay.leave(mina.mailbox(None).address, STATEMENT)
    await world.settle()
    assert stored == []
    assert len(relay.notices) == 1, "acked before it was stored"
    broken = False
    await world.advance(60)
    await world.advance(60)
    assert stored == [STATEMENT]
    assert relay.notices == {}
    await world.close()


@pytest.mark.parametrize("reason", sorted(PASSING))
async def test_what_a_relay_cannot_take_now_stays_to_be_sent(
    world: World, monkeypatch: pytest.MonkeyPatch, reason: Reason
) -> None:
    """REQ-ENV-09: the same bytes, once it passes; nothing is told as failed, others go on."""
    mina, junho, sora = [await world.open(name) for name in ("Mina", "Junho", "Sora")]
    room = await world.direct(mina, junho)
    other = await world.direct(mina, sora)
    address = junho.mailbox(room).address
    tried: list[bytes] = []
    send = Relay.send

    async def refusing(self: Relay, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        held = [item for item in batch if item.mailbox.address == address]
        tried.extend(item.envelope for item in held)
        refused = await send(self, [item for item in batch if item not in held])
        return {**refused, **{item.id: reason for item in held}}

    with monkeypatch.context() as patch:
        patch.setattr(Relay, "send", refusing)
        message = await room.send("later")
        await other.send("now")
        assert await sora.heard() == ["now"]
        assert await junho.heard() == []
        assert await room.unsent() == 1
    for _ in range(3):
        await world.advance(60)
    assert await junho.heard() == ["later"]
    assert set(tried) <= {seen.envelope for seen in world.relay.seen}
    assert tried
    report = await room.report(message)
    assert "failed" not in {str(copy.state) for copy in report.recipients}
