"""A device that has lost its place in a group asks to be let in anew, and a member grants it."""

from __future__ import annotations

import pytest

from evanesce import (
    Conversation,
    LocalError,
    Reason,
    Rejected,
    ResyncAsked,
    RoomChanged,
    RoomJoined,
)
from evanesce.formats import SIGNED
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackageKeys
from evanesce.limits import EPOCH_GRACE, REQUEST_LIFETIME
from evanesce.resync import ResyncRequest
from tests.device.device_support import Actor, Stream, World, of_kind, refused
from tests.device.test_put_back import PutBack, put_back


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina", store=PutBack())


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def sora(world: World) -> Actor:
    return await world.open("Sora")


@pytest.fixture
async def room(world: World, mina: Actor, junho: Actor, sora: Actor) -> Conversation:
    made = await world.group(junho, mina, sora)
    await world.check_talk(made, mina, junho, sora)
    return made


async def fall_back(world: World, mina: Actor, room: Conversation) -> None:
    """Put Mina's device back to before it said something."""
    old = mina.store.contents()
    await mina.room(room).send("this will be forgotten")
    await world.settle()
    await put_back(mina, old)
    assert mina.room(room).stale


def refusals(actor: Actor) -> list[Reason]:
    return [event.reason for event in actor.told(Rejected)]


def requests(actor: Actor) -> list[bytes]:
    return [payload for _, payload in of_kind(actor.payloads(), SIGNED.type)]


async def test_a_device_that_was_put_back_is_let_in_anew_with_id_and_role_as_before(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25, REQ-EPOCH-26."""
    before = junho.person(room, mina)
    await fall_back(world, mina, room)
    assert await mina.room(room).ask_resync() == 2
    await world.settle()
    (asked,) = junho.told(ResyncAsked)
    assert asked.by == before
    assert junho.room(room).resync_requests == (before,)
    assert await junho.room(room).resync(asked.by) == 1
    await world.settle()
    assert not mina.room(room).stale
    assert mina.room(room).epoch == 1
    await world.advance(60)
    assert mina.room(room).epoch == 2, "it commits once it has seen what waited"
    world.check_agreement(junho.room(room), mina, junho, sora)
    assert junho.person(room, mina) == before
    assert sora.told(RoomChanged)[0].resynced == (before,)
    assert junho.room(room).resync_requests == sora.room(room).resync_requests == ()
    assert len(mina.told(RoomJoined)) == 2
    await world.check_talk(room, mina, junho, sora)
    assert not refusals(junho)
    assert not refusals(sora)


async def test_what_it_had_of_the_room_is_erased_and_its_old_mailbox_closed(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25."""
    old_mailbox = mina.mailbox(room).address
    await fall_back(world, mina, room)
    old = {key: data for key, data in mina.store.contents().items() if key.startswith(b"room/")}
    await junho.room(room).send("waits for the old place")
    await world.settle()
    await mina.room(room).ask_resync()
    await world.settle()
    await junho.room(room).resync(junho.person(room, mina))
    await world.settle()
    kept = mina.store.contents()
    epochs = [key for key in old if b"/epoch/" in key]
    assert epochs
    assert not any(key in kept for key in epochs)
    await world.advance(60)
    assert old_mailbox in world.relay.closed
    assert len(mina.store.named(b"waiting/")) == 0
    await world.check_talk(room, mina, junho, sora)


async def test_what_overtakes_the_invitation_is_of_the_new_place_and_is_kept(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25, REQ-ENV-15: a message to the contact mailbox waits there for its epoch."""
    await fall_back(world, mina, room)
    await mina.room(room).ask_resync()
    await world.settle()
    world.relay.paused = True
    await junho.room(room).resync(junho.person(room, mina))
    await world.settle()
    world.relay.keep_back_last(mina.mailbox(None).address)
    mina.arrived()
    await junho.room(room).send("faster than the invitation")
    assert await mina.heard() == []
    await world.relay.let_go()
    assert await mina.heard() == ["faster than the invitation"]


async def test_messages_that_had_come_stay_in_the_inbox(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25: what has been received does not go with the keys of the room."""
    await junho.room(room).send("keep this")
    await world.settle()
    await fall_back(world, mina, room)
    await mina.room(room).ask_resync()
    await world.settle()
    await junho.room(room).resync(junho.person(room, mina))
    await world.settle()
    kept = await mina.device.inbox(mina.room(room))
    bodies = [await mina.view(arrived.message) for arrived in kept]
    assert "keep this" in bodies
    assert {arrived.sender for arrived in kept} <= set(mina.room(room).members)


async def test_nobody_is_let_in_without_the_word_of_a_person(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-26: never of its own accord; and not for long."""
    await fall_back(world, mina, room)
    await mina.room(room).ask_resync()
    await world.settle()
    await world.advance(REQUEST_LIFETIME)
    assert junho.room(room).epoch == 0
    assert len(junho.room(room).resync_requests) == 1
    await world.advance(60)
    assert junho.room(room).resync_requests == ()
    with refused(Reason.UNKNOWN_MESSAGE, error=LocalError):
        await junho.room(room).resync(junho.person(room, mina))


async def test_asking_again_takes_the_place_of_the_request_before(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25: only the last package opens the door."""
    await fall_back(world, mina, room)
    await mina.room(room).ask_resync()
    await world.settle()
    await junho.close()  # knows the first request only
    await world.advance(30)
    await mina.room(room).ask_resync()
    await world.settle()
    assert len(sora.told(ResyncAsked)) == 2
    world.relay.paused = True
    await junho.open()
    await junho.room(room).resync(junho.person(room, mina))
    world.relay.paused = False
    await world.relay.send([])
    await world.settle()
    assert refusals(mina)[-1] is Reason.UNKNOWN_PACKAGE
    assert mina.room(room).stale
    await junho.room(room).resync(junho.person(room, mina))
    await world.settle()
    world.check_agreement(junho.room(room), mina, junho, sora)


async def test_a_device_that_has_fallen_behind_for_good_comes_back(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25: it need not have been put back."""
    await mina.close()
    await junho.room(room).refresh()
    await world.advance(EPOCH_GRACE + 60)
    await junho.room(room).refresh()
    await world.advance(EPOCH_GRACE + 60)
    world.relay.seen.clear()
    await mina.open()
    await junho.room(room).send("are you there?")
    await world.settle()
    assert await mina.room(room).ask_resync() == 2
    await world.settle()
    await sora.room(room).resync(sora.person(room, mina))
    await world.settle()
    world.check_agreement(sora.room(room), mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)


async def test_a_request_that_was_granted_is_not_granted_again(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-26: whoever has kept a request cannot put the member back by it."""
    await fall_back(world, mina, room)
    await mina.room(room).ask_resync()
    await world.settle()
    request = requests(sora)[-1]
    await junho.room(room).resync(junho.person(room, mina))
    await world.settle()
    await world.put_payload(junho.mailbox(room), request)
    await world.settle()
    assert refusals(junho)[-1] is Reason.USED_PACKAGE
    await world.advance(60)
    await world.put_payload(junho.mailbox(room), request)
    await world.settle()
    assert refusals(junho)[-1] is Reason.REPLAY
    assert junho.room(room).resync_requests == ()


def forged(
    room: Conversation, mina: Actor, keys: IdentityKeys, now: int, *, last_resort: bool = False
) -> bytes:
    """A request in Mina's name by these keys."""
    member = mina.device.room(room.id).own_id
    package = KeyPackageKeys.generate(
        keys, mina.mailbox(None), now, Stream("forger"), last_resort=last_resort
    ).package
    return ResyncRequest.make(keys, room.id, member, now, package).signed


async def test_requests_that_are_not_the_members_own_are_refused(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-26: nothing is kept of them, and nobody is asked."""
    now = world.clock.now()
    stranger = IdentityKeys.generate(Stream("a stranger"))
    mine = mina.device.engine.owner
    talk = await world.direct(mina, junho)
    cases: list[tuple[bytes, Reason]] = [
        (forged(room, mina, stranger, now), Reason.WRONG_IDENTITY),
        (forged(room, mina, mine, now, last_resort=True), Reason.BAD_PROOF),
        (forged(talk, mina, mine, now), Reason.WRONG_MODE),
        (forged(room, junho, junho.device.engine.owner, now), Reason.OWN_MESSAGE),
        (forged(room, mina, mine, now - REQUEST_LIFETIME - 1), Reason.EXPIRED),
        (forged(room, mina, mine, now + 301), Reason.BAD_PROOF),
    ]
    for request, reason in cases:
        before = junho.store.named(b"resync/")
        await world.put_payload(junho.mailbox(None), request)
        await world.settle()
        assert refusals(junho)[-1] is reason
        assert junho.store.named(b"resync/") == before == {}
    assert not junho.told(ResyncAsked)


async def test_a_removed_device_does_not_come_back_by_a_request(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    await fall_back(world, mina, room)
    await mina.room(room).ask_resync()
    await world.settle()
    person = junho.person(room, mina)
    await junho.room(room).remove(person)
    await world.settle()
    assert junho.room(room).resync_requests == sora.room(room).resync_requests == ()
    with refused(Reason.UNKNOWN_MESSAGE, error=LocalError):
        await sora.room(room).resync(person)
    late = requests(sora)[-1]
    await world.put_payload(sora.mailbox(room), late)
    await world.settle()
    assert refusals(sora)[-1] is Reason.UNKNOWN_MEMBER


async def test_an_invitation_that_was_not_asked_for_does_not_move_a_device(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25: a member cannot reset another that goes well, though it has its package."""
    before = mina.device.room(room.id).digest()
    card = await mina.device.card(one_time=True)
    package = card.package
    owner = mina.device.engine.owner
    request = ResyncRequest.make(
        owner, room.id, mina.device.room(room.id).own_id, world.clock.now(), package
    )
    await world.put_payload(junho.mailbox(room), request.signed)
    await world.settle()
    await junho.room(room).resync(junho.person(room, mina))
    await world.settle()
    assert mina.device.room(room.id).digest() == before, "it has not asked"
    assert len(mina.store.named(b"waiting/")) == 1, "held, as if it had yet to be removed"


async def test_direct_rooms_have_no_resync(world: World, mina: Actor, junho: Actor) -> None:
    talk = await world.direct(mina, junho)
    with refused(Reason.WRONG_MODE, error=LocalError):
        await mina.room(talk).ask_resync()
    with refused(Reason.UNKNOWN_MESSAGE, error=LocalError):
        await mina.room(talk).resync(mina.person(talk, junho))


@pytest.mark.parametrize("failing", range(1, 25))
async def test_a_store_that_fails_in_between_leaves_nothing_half_done(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation, failing: int
) -> None:
    """REQ-EPOCH-25: at each transaction of asking, granting, joining and the first commit."""
    await fall_back(world, mina, room)
    for actor in (mina, junho):
        actor.store.failing = {actor.store.transactions + failing}
    for _ in range(3):
        try:
            await mina.room(room).ask_resync()
            break
        except Exception as error:
            assert "disk is full" in str(error)
    await world.settle()
    await world.advance(60)
    for _ in range(3):
        try:
            await junho.room(room).resync(*junho.room(room).resync_requests)
            break
        except Exception as error:
            assert "disk is full" in str(error)
    for _ in range(4):
        await world.advance(60)
    world.check_agreement(junho.room(room), mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)


async def test_requests_survive_a_restart_on_both_sides(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    await fall_back(world, mina, room)
    await mina.room(room).ask_resync()
    await world.settle()
    await junho.restart()
    await mina.restart()
    await junho.room(room).resync(*junho.room(room).resync_requests)
    await world.settle()
    world.check_agreement(junho.room(room), mina, junho, sora)


