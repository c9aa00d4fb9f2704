"""Openings, announcements, and what is held for a member that cannot be reached."""

from __future__ import annotations

import pytest

from evanesce import MessageArrived, Reason, Rejected, RoomJoined
from evanesce.device import TICK
from evanesce.formats import COMMIT_COPY, MESSAGE, OPENING
from evanesce.limits import LAST_RESORT_WEAK
from evanesce.message import ParsedMessage, message_id
from tests.device.device_support import Actor, Pipe, World, of_kind


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def sora(world: World) -> Actor:
    return await world.open("Sora")


async def test_until_it_is_answered_each_message_brings_the_same_invitation(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-ENV-13, REQ-INV-07: to the contact mailbox; after the answer the invitation is gone."""
    room = await mina.device.direct(await junho.device.card())
    for n in range(3):
        await room.send(f"{n}")
    assert await junho.heard() == ["0", "1", "2"]
    openings = of_kind(junho.payloads(), OPENING.type)
    contact = junho.mailbox(None).address
    to_contact = {seen.envelope for seen in world.relay.seen if seen.address == contact}
    assert {envelope for envelope, _ in openings} <= to_contact
    parsed = [OPENING.parse(payload) for _, payload in openings]
    assert len(parsed) == len({message for _, message in parsed}) == 3
    (invitation,) = {invitation for invitation, _ in parsed}
    assert any(invitation in record for record in mina.store.contents().values())
    await junho.room(room).send("an answer")
    assert await mina.heard() == ["an answer"]
    assert not any(invitation in record for record in mina.store.contents().values())
    await room.send("not an opening")
    assert await junho.heard() == ["not an opening"]
    assert len(of_kind(junho.payloads(), OPENING.type)) == 3


async def test_a_room_stays_joined_though_the_message_of_its_opening_is_refused(
    world: World, mina: Actor, junho: Actor
) -> None:
    """REQ-ENV-16: the next message of the inviter is read in it."""
    card = await junho.device.card()
    world.relay.paused = True
    room = await mina.device.direct(card)
    await room.send("damaged on the way")
    await world.settle()
    ((envelope, payload),) = of_kind(junho.payloads(), OPENING.type)
    world.relay.kept_back.add(envelope)
    world.relay.paused = False
    invitation, message = OPENING.parse(payload)
    damaged = message[:-1] + bytes([message[-1] ^ 1])
    await world.put_payload(junho.mailbox(None), OPENING.build(invitation, damaged))
    await world.settle()
    assert [event.reason for event in junho.told(Rejected)] == [Reason.BAD_COMMITMENT]
    assert [event.room.id for event in junho.told(RoomJoined)] == [room.id]
    await room.send("whole")
    assert await junho.heard() == ["whole"]
    assert len(junho.told(RoomJoined)) == 1


async def test_an_invitation_by_a_last_resort_package_is_accepted_once(world: World) -> None:
    """REQ-ID-15: no prekey is used up, so only the memory of it keeps the room from beginning
    anew."""
    pipe = Pipe(world.relay)
    mina = await world.open("Mina", transport=pipe)
    junho = await world.open("Junho", transport=pipe)
    room = await mina.device.direct(await junho.device.card())
    await room.send("once")
    assert await junho.heard() == ["once"]
    assert junho.room(room).opened_by_last_resort
    ((_, payload),) = of_kind(junho.payloads(), OPENING.type)
    digest = junho.device.room(room.id).digest()
    for _ in range(2):
        await world.put_payload(junho.mailbox(None), payload)
        assert await junho.heard() == []
        assert len(junho.told(RoomJoined)) == 1
        assert junho.device.room(room.id).digest() == digest
        await junho.restart()
    await junho.room(room).send("an answer")
    assert await mina.heard() == ["an answer"]


async def test_a_mailbox_is_announced_before_anything_is_said(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-ENV-14: with the first answer, and at once by who joins a group; not by a creator."""
    talk = await mina.device.direct(await junho.device.card())
    await talk.send("hello")
    assert await junho.heard() == ["hello"]
    await junho.room(talk).send("good day")
    await world.settle()
    (arrived,) = mina.told(MessageArrived)
    answers = [ParsedMessage.parse(p) for _, p in of_kind(mina.payloads(), MESSAGE.type)]
    ids = {m.header.number: message_id(m.header_bytes, m.ciphertext) for m in answers}
    assert sorted(ids) == [0, 1]
    assert ids[1] == arrived.message.id
    room = await world.group(mina, junho, sora)
    for actor in (mina, junho, sora):
        messages = [ParsedMessage.parse(p) for _, p in of_kind(actor.payloads(), MESSAGE.type)]
        in_room = [m.header for m in messages if m.header.room == room.id]
        others = {other.person(room, other).member for other in (junho, sora) if other != actor}
        assert {header.sender for header in in_room} == others
        assert {header.number for header in in_room} == {0}
    assert not any(event.room.id == room.id for a in (mina, junho, sora)
                   for event in a.told(MessageArrived))  # fmt: skip


async def test_what_is_for_a_member_without_a_mailbox_is_held_until_it_announces_one(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-ENV-17: held as it was sealed, and sent when the member's mailbox is known."""
    room = await world.group(junho, mina, sora)
    member = mina.person(room, junho).member
    del mina.device.room(room.id).state.directory[member]  # as if it had never been told
    await mina.room(room).send("held")
    await world.settle()
    assert await sora.heard() == ["held"]
    assert await junho.heard() == []
    ((name, payload),) = mina.store.named(b"held/").items()
    assert name.startswith(b"held/" + room.id + member)
    assert payload in {payload for _, payload in sora.payloads()}, "sealed once, for everybody"
    await room.remove(junho.person(room, sora))  # which makes junho announce a new mailbox
    assert await junho.heard() == ["held"]
    assert not mina.store.named(b"held/")


async def test_what_is_held_for_a_member_goes_with_its_removal(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """REQ-ENV-17: it is erased, and not sent; its copy of the removal is all that is held."""
    room = await world.group(mina, junho, sora)
    member = mina.person(room, sora).member
    del mina.device.room(room.id).state.directory[member]
    await room.send("never to be sent")
    assert await junho.heard() == ["never to be sent"]
    (name,) = mina.store.named(b"held/")
    await room.remove(mina.person(room, sora))
    await world.settle()
    assert name not in mina.store.contents()
    assert not of_kind([(b"", held) for held in mina.store.named(b"held/").values()], MESSAGE.type)
    assert not of_kind(sora.payloads(), COMMIT_COPY.type)


async def test_a_room_begun_by_last_resort_is_weak_for_ten_days(world: World) -> None:
    """REQ-LIMIT-32, REQ-INV-10: on both sides, until each device has looked once after them."""
    pipe = Pipe(world.relay)
    mina = await world.open("Mina", transport=pipe)
    junho = await world.open("Junho", transport=pipe)
    talk = await world.direct(mina, junho)
    await world.advance(LAST_RESORT_WEAK)
    assert [a.room(talk).opened_by_last_resort for a in (mina, junho)] == [True, True]
    await world.advance(TICK)
    assert [a.room(talk).opened_by_last_resort for a in (mina, junho)] == [False, False]
