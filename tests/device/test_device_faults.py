"""Faults around a device: a store or relay that fails once, arguments of a wrong type, floods."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from evanesce import (
    Device,
    Evaporation,
    LocalError,
    MessageEvaporated,
    Mode,
    Policy,
    Reason,
    Rejected,
    RemoteError,
    RoomReplaced,
    StoreFailed,
)
from evanesce.formats import COMMIT_COPY, MESSAGE, SEALED_COMMIT
from evanesce.limits import MAX_WAITING, MAX_WAITING_BYTES
from evanesce.message import Header
from evanesce.ports import Delivery, Outgoing
from tests.device.device_support import Actor, Relay, Store, Stream, World


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"after_view": 10.0}, Reason.BAD_POLICY),
        ({"after_view": True}, Reason.BAD_POLICY),
        ({"lifetime": 60.5}, Reason.BAD_POLICY),
        ({"lifetime": "60"}, Reason.BAD_POLICY),
        ({"quote": "a" * 16}, Reason.BAD_INPUT),
    ],
)
async def test_a_policy_of_another_type_is_refused_before_anything_is_stored(
    world: World, mina: Actor, junho: Actor, named: dict[str, Any], reason: Reason
) -> None:
    """What no form holds would be sent, refused by all, and make the own store unreadable."""
    room = await world.direct(mina, junho)
    before = mina.store.contents()
    with pytest.raises(LocalError) as caught:
        await room.send("x", **named)
    assert caught.value.reason is reason
    assert mina.store.contents() == before
    await mina.restart()
    await world.check_talk(mina.room(room), mina, junho)


async def test_neither_a_body_nor_a_room_policy_of_another_type_is_taken(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    body: Any = bytearray(b"x")
    with pytest.raises(LocalError) as caught:
        await room.send(body)
    assert caught.value.reason is Reason.BAD_INPUT
    seconds: Any = 60.0
    with pytest.raises(LocalError) as caught:
        await mina.device.create_room(
            [await junho.device.card()],
            policy=Policy(Mode.SIGNED, evaporation=Evaporation(seconds, 3_600)),
        )
    assert caught.value.reason is Reason.BAD_POLICY


# --- the store fails once -------------------------------------------------------------------------


async def test_a_store_that_fails_once_while_receiving_is_told_and_the_message_still_comes(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    junho.store.failing = {junho.store.transactions + 1}
    await room.send("once more")
    await world.settle()
    assert [event.reason for event in junho.told(StoreFailed)] == [Reason.BAD_STORE]
    await world.advance(60)
    assert await junho.heard() == ["once more"]
    await world.check_talk(room, mina, junho)


async def test_a_store_that_fails_once_at_a_tick_does_not_end_evaporation(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    await room.send("short", lifetime=100)
    await world.settle()
    (event,) = junho.arrived()
    junho.store.failing = {junho.store.transactions + 1}
    await world.advance(100)
    assert junho.told(StoreFailed)
    await world.advance(60)
    assert event.message.id in {gone.message for gone in junho.told(MessageEvaporated)}
    assert not junho.store.named(b"inbox/" + event.message.id)


# --- the relay ------------------------------------------------------------------------------------


class Grudging(Relay):
    """Takes no key packages, reports a full mailbox as a plain string, or repeats deliveries."""

    full = False
    repeat = False
    repeated = 0

    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        raise OSError("no directory today")

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        if self.full:
            text: Any = "mailbox-full"
            return {item.id: text for item in batch}
        return await super().send(batch)

    async def ack(self, ids: Sequence[bytes]) -> None:
        if not self.repeat:
            await super().ack(ids)

    async def receive(self, readers: Any) -> list[Delivery]:
        found = await super().receive(readers)
        self.repeated += self.repeat
        return found


async def grudging() -> tuple[World, Grudging, Actor, Actor]:
    made: list[Grudging] = []

    def relay(clock: Any) -> Grudging:
        made.append(Grudging(clock))
        return made[0]

    world = World(relay)
    return world, made[0], await world.open("Mina"), await world.open("Junho")


async def test_a_directory_that_fails_does_not_keep_messages_back() -> None:
    world, _, mina, junho = await grudging()
    await world.direct(mina, junho)
    await world.close()


async def test_a_full_mailbox_told_as_plain_text_is_tried_again() -> None:
    world, relay, mina, junho = await grudging()
    room = await world.direct(mina, junho)
    relay.full = True
    await room.send("later")
    await world.settle()
    assert len(mina.store.named(b"outbox/")) == 1
    relay.full = False
    await world.advance(60)
    assert await junho.heard() == ["later"]
    await world.close()


async def test_a_relay_that_repeats_itself_for_ever_is_not_listened_to_without_pause() -> None:
    world, relay, mina, junho = await grudging()
    room = await world.direct(mina, junho)
    relay.repeat = True
    await room.send("said once")
    await world.settle()  # comes to rest: a device that span would not
    assert await junho.heard() == ["said once"]
    assert relay.repeated < 50
    assert not junho.told(Rejected)
    await world.close()


class Forgetful(Relay):
    """Loses its mailboxes, and says so to whoever is waiting at one."""

    def _waiting(self, addresses: Sequence[bytes]) -> list[Delivery]:
        if any(address not in self._boxes for address in addresses):
            raise RemoteError(Reason.UNKNOWN_MAILBOX, "no such mailbox")
        return super()._waiting(addresses)


async def test_a_relay_that_lost_its_mailboxes_gets_them_again() -> None:
    world = World(Forgetful)
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.direct(mina, junho)
    world.relay._boxes.clear()
    await world.relay.let_go()
    await world.settle()  # they have been told, and wait a little before they ask again
    await world.advance(60)
    await room.send("found again")
    assert await junho.heard() == ["found again"]
    await world.check_talk(room, mina, junho)
    await world.close()


# --- floods ---------------------------------------------------------------------------------------


def commit_copy(room: bytes, size: int, number: int) -> bytes:
    """A commit copy of an unknown epoch whose payload has about so many bytes."""
    sealed = SEALED_COMMIT.build(room, bytes(8), b"c" * 32, bytes(16), number.to_bytes(size, "big"))
    return COMMIT_COPY.build(sealed, None)


async def test_what_waits_is_bounded_in_bytes_too(world: World, junho: Actor) -> None:
    """At the limit it is held, one more byte is refused, and room by count would be left.
    REQ-ENV-15, REQ-LIMIT-28."""
    size = 700_000
    fits = MAX_WAITING_BYTES // (size + 400)
    contact = junho.mailbox(None)
    for number in range(fits):
        await world.put_payload(contact, commit_copy(b"r" * 32, size, number))
        await world.settle()
    held = junho.store.named(b"waiting/")
    assert len(held) == fits < MAX_WAITING
    left = MAX_WAITING_BYTES - sum(map(len, held.values()))
    overhead = len(commit_copy(b"r" * 32, 100_000, 0)) - 100_000
    await world.put_payload(contact, commit_copy(b"r" * 32, left - overhead + 1, 0))
    await world.settle()
    assert [event.reason for event in junho.told(Rejected)] == [Reason.QUEUE_FULL]
    await world.put_payload(contact, commit_copy(b"r" * 32, left - overhead, 0))
    await world.settle()
    assert len(junho.store.named(b"waiting/")) == fits + 1
    assert len(junho.told(Rejected)) == 1


async def test_a_flood_at_the_contact_mailbox_leaves_a_room_its_place(
    world: World, mina: Actor, junho: Actor
) -> None:
    """Who knows a card and a room's id, a removed member say, cannot make honest mail be lost.
    REQ-ENV-15."""
    room = await world.group(mina, junho)
    random = Stream("flood")
    for _ in range(MAX_WAITING + 1):
        header = Header(room.id, random(8), random(32), 0, random(16), None).encode()
        await world.put_payload(
            junho.mailbox(None), MESSAGE.build(header, random(40), random(64))
        )
    await world.settle()
    assert [event.reason for event in junho.told(Rejected)] == [Reason.QUEUE_FULL]
    world.relay.paused = True
    await room.refresh()
    world.relay.keep_back_last(junho.mailbox(room).address)
    await room.send("before its commit")
    assert await junho.heard() == []
    await world.relay.let_go()
    assert await junho.heard() == ["before its commit"]


# --- one device, many lives -----------------------------------------------------------------------


async def test_a_device_object_may_be_entered_again(world: World) -> None:
    device = Device.open(Store(), world.relay, name="Mina", clock=world.clock)
    for _ in range(2):
        async with device:
            assert device.name == "Mina"
            events = device.events()
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.001)
            assert not waiting.done(), "its events ended with the life before"
            waiting.cancel()


async def test_closing_while_a_message_is_open_keeps_the_applications_own_error(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    await room.send("look", after_view=0)
    await world.settle()
    (event,) = junho.arrived()

    class OwnError(Exception):
        pass

    with pytest.raises(OwnError):
        async with event.message.open():
            await junho.close()
            raise OwnError
    await junho.open()
    await world.advance(1)
    assert not junho.store.named(b"inbox/" + event.message.id)


async def test_a_room_in_which_nothing_was_said_gives_way_to_the_peers(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-DIR-08: whatever its id: the peer has never heard of it, and writes in its own."""
    for number in range(4):
        silent = await mina.device.direct(await junho.device.card())
        his = await junho.device.direct(await mina.device.card())
        await his.send("hi")
        assert await mina.heard() == ["hi"]
        await mina.room(his).send("hello")
        assert await junho.heard() == ["hello"]
        assert (mina.told(RoomReplaced)[-1].old.id) == silent.id
        await mina.close()
        await junho.close()
        mina, junho = await world.open(f"M{number}"), await world.open(f"J{number}")

