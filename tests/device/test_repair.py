"""A commit that was missed is asked for and sent again, to members only, and not without end."""

from __future__ import annotations

import asyncio

import pytest

from evanesce import Conversation, FallenBehind, MemoryTransport, Reason, Rejected
from evanesce.envelope import seal_envelope
from evanesce.formats import SIGNED
from evanesce.identity import IdentityKeys
from evanesce.limits import COPY_LIFETIME, HOUR, MAX_REPAIRS, REPAIR_WINDOW, REQUEST_LIFETIME
from evanesce.ports import Outgoing
from evanesce.repair import RepairRequest
from tests.device.device_support import Actor, Stream, World, of_kind


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def sora(world: World) -> Actor:
    return await world.open("Sora")


@pytest.fixture
async def room(world: World, mina: Actor, junho: Actor, sora: Actor) -> Conversation:
    made = await world.group(mina, junho, sora)
    await world.check_talk(made, mina, junho, sora)
    return made


async def lose_commit(world: World, by: Actor, room: Conversation, victim: Actor) -> None:
    """Have someone commit, and let the copy for `victim` vanish."""
    world.relay.paused = True
    await by.room(room).refresh()
    await world.settle()
    world.relay.keep_back_last(victim.mailbox(room).address)
    await world.relay.send([])  # wakes who waits
    await world.settle()
    assert victim.room(room).epoch < by.room(room).epoch


def asked(actor: Actor) -> int:
    """How many requests have come to the mailboxes it still has."""
    return len(of_kind(actor.payloads(), SIGNED.type))


def refusals(actor: Actor) -> list[Reason]:
    return [event.reason for event in actor.told(Rejected)]


def request_of(actor: Actor, room: Conversation, now: int) -> bytes:
    """A request such as the device makes."""
    held = actor.device.room(room.id)
    keys = actor.device.engine.owner
    return RepairRequest.make(keys, held.id, held.own_id, held.transcript[:8], now).signed


async def test_a_missed_commit_comes_again_when_it_is_asked_for(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-23: who made the commit has kept the copy, and sends it as the same bytes."""
    await lose_commit(world, mina, room, sora)
    await junho.room(room).send("do you read me?")
    assert await sora.heard() == []
    await world.advance(59)
    assert asked(mina) + asked(junho) == 0, "it may still come by itself"
    await world.advance(1)
    assert (asked(mina), asked(junho)) == (0, 1), "first those who are named"
    await world.advance(540)
    assert (asked(mina), asked(junho)) == (0, 1)
    await world.advance(60)
    assert (asked(mina), asked(junho)) == (1, 2), "then all"
    assert await sora.heard() == ["do you read me?"]
    world.check_agreement(room, mina, junho, sora)
    assert not sora.told(FallenBehind)
    await world.advance(2 * HOUR)
    assert asked(mina) + asked(junho) == 3, "it has what it asked for"
    await world.check_talk(room, mina, junho, sora)


async def test_the_same_bytes_are_sent_again(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-23: nothing is sealed anew but the envelope."""
    await lose_commit(world, mina, room, sora)
    await mina.room(room).send("do you read me?")
    await world.settle()
    await world.advance(60)
    copies = [payload for _, payload in sora.payloads() if payload[2] == 12]
    assert len(copies) == 2
    assert copies[0] == copies[1]
    assert await sora.heard() == ["do you read me?"]


async def test_several_missed_commits_of_several_members_come_with_one_question_to_each(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    await lose_commit(world, mina, room, sora)
    await lose_commit(world, junho, room, sora)
    await lose_commit(world, mina, room, sora)
    await junho.room(room).send("still there?")
    await world.settle()
    await world.advance(60)
    await world.advance(600)
    assert await sora.heard() == ["still there?"]
    world.check_agreement(room, mina, junho, sora)


async def test_whoever_asks_in_vain_is_told_that_it_has_fallen_behind(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    await lose_commit(world, mina, room, sora)
    await mina.close()
    await junho.room(room).send("do you read me?")
    await world.settle()
    for _ in range(6):
        await world.advance(1_800)
    (event,) = sora.told(FallenBehind)
    assert event.room == sora.room(room)
    await sora.restart()
    await world.advance(HOUR)
    assert len(sora.told(FallenBehind)) == 1, "told once"
    assert asked(junho) <= MAX_REPAIRS
    await mina.open()
    await world.advance(HOUR)
    assert await sora.heard() == ["do you read me?"]


async def test_copies_are_kept_until_their_receiver_has_them_for_30_days_at_most(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-23: what a member provably has is not kept for it."""
    await mina.room(room).refresh()
    await world.settle()
    assert len(mina.store.named(b"slot/")) == 2
    await junho.room(room).send("so it has come")
    await world.settle()
    assert len(mina.store.named(b"slot/")) == 1, "Junho has spoken in the new epoch"
    first = b"slot/" + room.id + room.transcript[:8] + sora.device.room(room.id).own_id
    await world.advance(COPY_LIFETIME)
    assert first in mina.store.named(b"slot/")
    await world.advance(60)
    assert first not in mina.store.named(b"slot/")


async def test_nobody_outside_the_roster_gets_an_answer(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-23: refused, and nothing is kept of it."""
    signed = request_of(sora, room, world.clock.now())
    await mina.room(room).remove(mina.person(room, sora))
    await world.settle()
    stranger = IdentityKeys.generate(Stream("a stranger"))
    held = junho.device.room(room.id)
    forged = RepairRequest.make(
        stranger, held.id, held.own_id, held.transcript[:8], world.clock.now()
    ).signed
    other = RepairRequest.make(
        stranger, bytes(32), held.own_id, held.transcript[:8], world.clock.now()
    ).signed
    own = request_of(mina, room, world.clock.now())
    sent = len(world.relay.seen)
    before = mina.store.named(b"answered/")
    for request, reason in [
        (signed, Reason.UNKNOWN_MEMBER),
        (forged, Reason.BAD_SIGNATURE),
        (other, Reason.UNKNOWN_ROOM),
        (own, Reason.OWN_MESSAGE),
    ]:
        await world.put_payload(mina.mailbox(room), request)
        await world.settle()
        assert refusals(mina)[-1] is reason
        await world.put_payload(mina.mailbox(None), request)
        await world.settle()
        assert refusals(mina)[-1] is reason, "the contact mailbox is no way around"
    assert len(world.relay.seen) == sent + 8, "nothing is sent in answer"
    assert mina.store.named(b"answered/") == before


async def test_a_request_in_a_direct_room_or_after_a_removal_is_refused(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    talk = await world.direct(mina, junho)
    await world.put_payload(mina.mailbox(talk), request_of(junho, talk, world.clock.now()))
    await world.settle()
    assert refusals(mina)[-1] is Reason.WRONG_MODE
    await mina.room(room).remove(mina.person(room, sora))
    await world.settle()
    request = request_of(junho, room, world.clock.now())
    await world.put_payload(sora.mailbox(None), request)
    await world.settle()
    assert refusals(sora)[-1] is Reason.ROOM_CLOSED


async def test_a_request_for_another_room_of_this_mailbox_is_refused(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    other = await world.group(mina, junho)
    await world.put_payload(mina.mailbox(other), request_of(junho, room, world.clock.now()))
    await world.settle()
    assert refusals(mina)[-1] is Reason.UNKNOWN_ROOM


async def test_one_member_is_answered_ten_times_in_three_hours(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-LIMIT-35: an insider cannot make others send without end; others are still answered."""
    await lose_commit(world, mina, room, sora)
    for n in range(MAX_REPAIRS):
        earlier = request_of(sora, room, world.clock.now() - 60 + n)
        await world.put_payload(mina.mailbox(room), earlier)
        await world.put_payload(mina.mailbox(room), earlier)
    await world.settle()
    assert refusals(mina) == [Reason.REPLAY] * MAX_REPAIRS, "a replay is not counted"
    request = request_of(sora, room, world.clock.now())
    sent = len(world.relay.seen)
    await world.put_payload(mina.mailbox(room), request)
    await world.settle()
    assert refusals(mina)[-1] is Reason.TOO_MANY_REQUESTS
    assert len(world.relay.seen) == sent + 1
    await mina.restart()
    await world.put_payload(mina.mailbox(room), request)
    await world.settle()
    assert refusals(mina)[-1] is Reason.TOO_MANY_REQUESTS, "a restart does not count anew"
    await world.put_payload(mina.mailbox(room), request_of(junho, room, world.clock.now()))
    await world.settle()
    assert refusals(mina).count(Reason.TOO_MANY_REQUESTS) == 2
    await world.advance(REPAIR_WINDOW)
    await world.put_payload(mina.mailbox(room), request)
    await world.settle()
    assert refusals(mina).count(Reason.TOO_MANY_REQUESTS) == 2
    await world.advance(REQUEST_LIFETIME)
    await world.put_payload(mina.mailbox(room), request)
    await world.settle()
    assert refusals(mina)[-1] is Reason.EXPIRED


async def test_a_request_from_the_future_waits(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    await lose_commit(world, mina, room, sora)
    await world.put_payload(
        mina.mailbox(room), request_of(sora, room, world.clock.now() + HOUR)
    )
    await world.settle()
    assert not refusals(mina)
    assert sora.room(room).epoch < mina.room(room).epoch
    await world.advance(HOUR)
    world.check_agreement(room, mina, junho, sora)


async def test_what_has_not_left_yet_is_not_queued_twice(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    world.relay.gate = asyncio.Event()
    await asyncio.wait_for(mina.room(room).refresh(), 10)
    queued = len(mina.store.named(b"outbox/"))
    assert queued >= 2
    mailbox = mina.mailbox(room)
    envelope = seal_envelope(mailbox, request_of(sora, room, world.clock.now()), Stream("x"))
    await MemoryTransport.send(world.relay, [Outgoing(bytes(16), mailbox, envelope)])
    await world.settle()
    assert len(mina.store.named(b"answered/")) == 1, "the request has come"
    assert len(mina.store.named(b"outbox/")) == queued
    world.relay.gate.set()
    await world.settle()
    world.check_agreement(room, mina, junho, sora)


async def test_a_new_device_of_the_store_goes_on_asking(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    await lose_commit(world, mina, room, sora)
    await junho.room(room).send("hello?")
    await world.settle()
    await world.advance(60)
    await sora.restart()
    await mina.restart()
    await world.advance(600)
    assert await sora.heard() == ["hello?"]
