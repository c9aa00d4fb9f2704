"""Resync and repair under attack and out of order: nobody is led away, put out, or split off."""

from __future__ import annotations

import pytest

from evanesce import Conversation, FallenBehind, Reason, ResyncAsked, RoomJoined
from evanesce.formats import INVITATION, SIGNED
from evanesce.keypackage import Card, KeyPackageKeys
from evanesce.ledger import State
from evanesce.limits import DAY, MAX_REPAIRS, REQUEST_LIFETIME
from evanesce.membership import Role
from evanesce.ports import ManualClock
from evanesce.resync import ResyncRequest
from tests.device.device_support import NOW, Actor, Stream, World, of_kind
from tests.device.test_put_back import PutBack, put_back
from tests.device.test_repair import lose_commit, request_of
from tests.device.test_resync import fall_back, refusals, requests


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


async def minutes(world: World, count: int) -> None:
    for _ in range(count):
        await world.advance(60)


@pytest.mark.parametrize("together", [True, False])
async def test_two_who_are_let_in_do_not_split_the_room(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation, together: bool
) -> None:
    """REQ-EPOCH-25: they commit one after the other, and can reach each other."""
    await mina.room(room).ask_resync()
    await sora.room(room).ask_resync()
    await world.settle()
    asking = junho.room(room).resync_requests
    for who in [asking] if together else [[person] for person in asking]:
        await junho.room(room).resync(*who)
        await world.settle()
    await minutes(world, 4)
    world.check_agreement(junho.room(room), mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)


async def test_each_of_two_commits_before_it_speaks(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-16: nobody sends under keys that lay on a shelf."""
    await mina.room(room).ask_resync()
    await world.settle()
    await junho.room(room).resync(junho.person(room, mina))
    await world.settle()
    assert mina.room(room).epoch == 1
    await mina.room(room).send("at once")
    assert mina.room(room).epoch == 2
    assert await junho.heard() == ["at once"]


async def test_a_commit_between_the_grant_and_its_arrival_does_not_split(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25: whoever comes back reads what waited before it commits."""
    await fall_back(world, mina, room)
    await mina.room(room).ask_resync()
    await world.settle()
    who = junho.person(room, mina)
    await mina.close()
    await junho.room(room).resync(who)
    await world.settle()
    await world.advance(600)
    await sora.room(room).refresh()
    await world.settle()
    await mina.open()
    await minutes(world, 4)
    world.check_agreement(junho.room(room), mina, junho, sora)


async def test_the_package_of_a_request_opens_no_other_room(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25: or whoever sees the request could use it up."""
    await fall_back(world, mina, room)
    await mina.room(room).ask_resync()
    await world.settle()
    (request,) = sora.device.engine.resyncs.values()
    await sora.device.create_room([Card("x", request.package)])
    await world.settle()
    assert refusals(mina)[-1] is Reason.UNKNOWN_PACKAGE
    assert len(mina.told(RoomJoined)) == 1
    await junho.room(room).resync(junho.person(room, mina))
    await minutes(world, 2)
    world.check_agreement(junho.room(room), mina, junho, sora)


async def test_only_those_who_were_asked_can_answer(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25: a request that is passed on, or kept, is of no use to others."""
    await fall_back(world, mina, room)
    assert await mina.room(room).ask_resync(mina.person(room, junho)) == 1
    await world.settle()
    assert len(junho.told(ResyncAsked)) == 1
    assert not sora.told(ResyncAsked)
    await world.put_payload(sora.mailbox(room), requests(junho)[-1])
    await world.settle()
    await sora.room(room).resync(sora.person(room, mina))
    await world.settle()
    assert mina.room(room).stale
    assert refusals(mina)[-1] is Reason.UNKNOWN_PACKAGE


async def test_a_stale_room_is_left_for_no_invitation_that_comes_by_itself(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """A removed member makes up rights in its own copy, and adds the device by its public card."""
    world.relay.paused = True
    await junho.room(room).remove(junho.person(room, sora))
    await world.settle()
    world.relay.keep_back_last(sora.mailbox(room).address)
    await world.relay.send([])
    await world.settle()
    old = mina.store.contents()
    await mina.room(room).send("forgotten")
    await world.settle()
    await put_back(mina, old)
    state = sora.device.room(room.id).state
    roster = state.epoch.roster.change(state.own, role=Role.OWNER)
    for member in list(roster):
        if member.id != state.own:
            roster = roster.change(member.id, role=Role.MEMBER)
    state.epoch.roster = roster
    card = await mina.device.card()
    await sora.room(room).remove(sora.person(room, mina))
    await sora.room(room).add(card)
    await world.settle()
    assert mina.room(room).stale
    assert len(mina.told(RoomJoined)) == 1


async def test_an_abandoned_branch_is_handed_out_to_nobody(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25: who has left its branch by a resync keeps no copies of its commits there."""
    dora = await world.open("Dora")
    await junho.room(room).add(await dora.device.card())
    await world.check_talk(room, mina, junho, sora, dora)
    world.relay.paused = True
    for who in (mina, junho):
        await who.room(room).refresh()
        await world.settle()
        world.relay.keep_back_last(dora.mailbox(room).address)
        world.relay.paused = True
    branch = mina.room(room).transcript[:8]
    world.relay.paused = False
    await world.relay.send([])
    await world.settle()
    assert mina.room(room).transcript == junho.room(room).transcript == sora.room(room).transcript
    assert mina.room(room).transcript[:8] != branch, "Junho's commit comes first: he is the owner"
    for_dora = [name for name in mina.store.named(b"slot/" + room.id + branch)
                if name.endswith(dora.device.room(room.id).own_id)]  # fmt: skip
    assert len(for_dora) == 1
    await mina.room(room).ask_resync()
    await world.settle()
    await junho.room(room).resync(junho.person(room, mina))
    await minutes(world, 2)
    assert not [name for name in mina.store.contents()
                if branch in name and name.startswith((b"slot/", b"commit/"))]  # fmt: skip
    await world.put_payload(mina.mailbox(room), request_of(dora, room, world.clock.now()))
    await world.settle()
    await mina.room(room).send("still there?")
    for _ in range(12):
        await world.advance(600)
    world.check_agreement(mina.room(room), mina, junho, sora, dora)
    await world.check_talk(room, mina, junho, sora, dora)


async def test_a_grant_of_before_does_not_make_a_device_fresh_that_was_put_back(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-APP-07, REQ-EPOCH-25: a relay that puts an envelope again changes nothing."""
    await mina.room(room).ask_resync()
    await world.settle()
    old = mina.store.contents()
    await junho.room(room).resync(junho.person(room, mina))
    await minutes(world, 2)
    grant, _ = of_kind(mina.payloads(), INVITATION.type)[-1]
    await mina.room(room).send("this is forgotten")
    await world.settle()
    await put_back(mina, old)
    await world.put(mina.mailbox(None), grant)
    await world.settle()
    assert mina.room(room).stale
    assert refusals(mina)[-1] is Reason.UNKNOWN_PACKAGE


async def test_asking_twice_at_once_still_lets_in(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25: the time of each request is later than that of the one before."""
    await fall_back(world, mina, room)
    await mina.room(room).ask_resync()
    await mina.room(room).ask_resync()
    await world.settle()
    assert len(junho.told(ResyncAsked)) == 2
    await junho.room(room).resync(junho.person(room, mina))
    await minutes(world, 2)
    world.check_agreement(junho.room(room), mina, junho, sora)


async def test_asking_again_with_a_clock_that_was_set_back_still_lets_in(
    world: World, junho: Actor, sora: Actor
) -> None:
    clock = ManualClock(NOW + 200)
    mina = await world.open("Mina", clock=clock)
    room = await world.group(junho, mina, sora)
    await mina.room(room).ask_resync()
    await world.settle()
    clock._now = NOW
    await mina.restart()
    await mina.room(room).ask_resync()
    await world.settle()
    await junho.room(room).resync(junho.person(room, mina))
    await world.settle()
    assert len(mina.told(RoomJoined)) == 2


async def test_a_repair_request_that_is_put_again_changes_nothing(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-23: a relay cannot use up what a member may ask, nor have copies sent."""
    await lose_commit(world, mina, room, sora)
    await mina.room(room).send("hi")
    await world.settle()
    await world.advance(60)
    ((envelope, _),) = of_kind(mina.payloads(), SIGNED.type)
    sent = len(world.relay.seen)
    for _ in range(12):
        await world.put(mina.mailbox(room), envelope)
    await world.settle()
    assert len(world.relay.seen) == sent + 12
    assert refusals(mina) == [Reason.REPLAY] * 12


async def test_a_late_message_of_the_old_place_raises_no_alarm(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-24, REQ-EPOCH-25: what comes to a place that was left cannot be read, ever."""
    await fall_back(world, mina, room)
    await mina.room(room).ask_resync()
    await world.settle()
    world.relay.paused = True
    await sora.room(room).send("said just before")
    await world.settle()
    world.relay.keep_back_last(mina.mailbox(room).address)
    await world.relay.send([])
    await world.settle()
    await junho.room(room).resync(junho.person(room, mina))
    await world.settle()
    await world.relay.let_go()
    await minutes(world, 2)
    asked = len(requests(junho)) + len(requests(sora))
    for _ in range(10):
        await world.advance(600)
    assert len(requests(junho)) + len(requests(sora)) == asked
    assert not mina.told(FallenBehind)


async def test_nothing_of_a_request_stays_when_it_has_served_or_is_over(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25: the keys that let a device in do not lie on a shelf any longer."""

    def package_of(actor: Actor) -> bytes:
        asked = actor.device.engine.meta[room.id].asked
        assert asked is not None
        return b"package/" + asked.package

    await mina.room(room).ask_resync()
    await sora.room(room).ask_resync()
    await world.settle()
    first, second = package_of(mina), package_of(sora)
    assert first in mina.store.contents()
    await junho.room(room).resync(junho.person(room, mina))
    await minutes(world, 2)
    assert first not in mina.store.contents()
    await world.advance(2 * REQUEST_LIFETIME)
    await world.advance(60)
    assert second not in sora.store.contents()
    assert sora.device.engine.meta[room.id].asked is None


async def test_nothing_of_requests_stays_after_ones_own_removal(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    await sora.room(room).refresh()
    await world.settle()
    await sora.room(room).ask_resync()
    await mina.room(room).ask_resync()
    await world.settle()
    asked = sora.device.engine.meta[room.id].asked
    assert asked is not None
    await junho.room(room).remove(junho.person(room, sora))
    await world.settle()
    for _ in range(4):
        await world.advance(DAY)
    left = [key for key in sora.store.contents()
            if key.startswith((b"slot/", b"commit/", b"resync/"))]  # fmt: skip
    assert not left
    assert b"package/" + asked.package not in sora.store.contents()


async def test_a_commit_that_never_came_is_not_confirmed_by_a_resync(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    await lose_commit(world, junho, room, mina)
    epoch = junho.room(room).epoch
    await mina.room(room).ask_resync()
    await world.settle()
    await sora.room(room).resync(sora.person(room, mina))
    await minutes(world, 2)
    await mina.room(room).send("back again")
    await world.settle()
    report = await junho.room(room).report(epoch)
    became = report.of(junho.person(room, mina).member)
    assert became.state is State.FAILED
    assert became.why == Reason.ROOM_CLOSED


async def test_resync_requests_of_one_member_are_bounded(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-26, REQ-LIMIT-35."""
    owner, now = sora.device.engine.owner, world.clock.now()
    member = sora.device.room(room.id).own_id
    package = KeyPackageKeys.generate(owner, sora.mailbox(None), now, Stream("z")).package
    for n in range(2 * MAX_REPAIRS):
        signed = ResyncRequest.make(owner, room.id, member, now - 100 + n, package).signed
        await world.put_payload(mina.mailbox(room), signed)
    await world.settle()
    assert len(mina.told(ResyncAsked)) == MAX_REPAIRS
    assert refusals(mina) == [Reason.TOO_MANY_REQUESTS] * MAX_REPAIRS


async def test_a_device_learns_that_it_was_let_in_anew_without_its_doing(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-14, REQ-EPOCH-15: who keeps the invitation back does not do so unseen."""
    await mina.room(room).ask_resync()
    await world.settle()
    world.relay.paused = True
    await sora.room(room).resync(sora.person(room, mina))
    await world.settle()
    world.relay.keep_back_last(mina.mailbox(None).address)
    await world.relay.send([])
    await world.settle()
    assert refusals(mina)[-1] is Reason.ROOM_CLOSED
    await world.advance(1)
    await mina.room(room).ask_resync(mina.person(room, junho))
    await world.settle()
    await junho.room(room).resync(junho.person(room, mina))
    await minutes(world, 2)
    world.check_agreement(junho.room(room), mina, junho, sora)
