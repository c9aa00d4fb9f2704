"""Members that commit at once: all end in one epoch, and what a lost commit did is done again."""

from __future__ import annotations

import pytest

from evanesce import (
    ChangesLost,
    Conversation,
    LocalError,
    Policy,
    Reason,
    RemovedFromRoom,
    Role,
)
from evanesce.content import Evaporation, Said
from evanesce.limits import REFRESH_MESSAGES
from evanesce.membership import Mode
from evanesce.ports import ManualClock
from evanesce.proofs import ProofKind
from tests.device.device_support import NOW, Actor, World, check_sealed_once
from tests.device.fork_support import agreed, at_once, losers, minutes, resume, untroubled


@pytest.fixture
async def room(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor
) -> Conversation:
    """Mina owns it, Junho and Sora are admins, Dora is a member."""
    made = await world.group(mina, junho, sora, dora)
    for admin in (junho, sora):
        await made.set_role(mina.person(made, admin), Role.ADMIN)
        await world.settle()
    await world.check_talk(made, mina, junho, sora, dora)
    for actor in (mina, junho, sora, dora):
        actor.log.clear()
        actor._read = 0
    return made


async def test_nothing_said_on_either_side_of_a_fork_is_lost(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-27: the losing epoch is read; who lost is told to all who were in it."""
    everybody = (mina, junho, sora, dora)
    world.relay.paused = True
    await junho.room(room).refresh()
    await junho.room(room).send("in Junho's epoch")
    await mina.room(room).refresh()
    await mina.room(room).send("in Mina's epoch")
    led = mina.room(room).transcript
    await world.settle()
    await resume(world)
    assert agreed(room, *everybody) == led
    assert await mina.heard() == ["in Junho's epoch"]
    assert await junho.heard() == ["in Mina's epoch"]
    for actor in (sora, dora):
        assert sorted(map(str, await actor.heard())) == ["in Junho's epoch", "in Mina's epoch"]
    assert losers(junho) == ["Junho"]
    assert losers(mina) == []
    await world.check_talk(room, *everybody)
    untroubled(*everybody)
    check_sealed_once(*everybody)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_three_commits_at_once_in_any_order_end_in_the_best(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation,
    order: tuple[int, ...],
) -> None:  # fmt: skip
    """REQ-EPOCH-20: by role and then by seniority, whoever comes first."""
    authors = [(junho, sora, dora)[place] for place in order]
    await at_once(world, *(author.room(room).refresh for author in authors))
    everybody = (mina, junho, sora, dora)
    agreed(room, *everybody)
    opener = mina.device.room(room.id).state.epoch.opener
    assert opener == junho.device.room(room.id).own_id, "of two admins the senior"
    assert losers(dora)[0] == "Dora"
    await world.check_talk(room, *everybody)
    untroubled(*everybody)


async def test_the_commit_of_an_earlier_hour_comes_first(world: World) -> None:
    """REQ-EPOCH-20: the author's clock counts in hours, before any role."""
    early = ManualClock(NOW)
    mina, junho = await world.open("Mina"), await world.open("Junho", clock=early)
    room = await world.group(mina, junho)
    world.relay.paused = True
    await junho.room(room).refresh()
    await world.advance(3_600)
    await mina.room(room).refresh()
    led = junho.room(room).transcript
    early.advance(3_600)
    await world.settle()
    await resume(world)
    assert agreed(room, mina, junho) == led
    assert losers(mina) == ["Mina"]
    await world.check_talk(room, mina, junho)


async def test_who_has_lost_heals_before_it_speaks_again(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-16: a lost commit has healed nobody; the next one comes before the next word."""
    await at_once(world, mina.room(room).refresh, junho.room(room).refresh)
    state = junho.device.room(room.id).state
    assert state.sent_since_refresh >= REFRESH_MESSAGES
    epoch = junho.room(room).epoch
    await junho.room(room).send("new keys first")
    assert junho.room(room).epoch == epoch + 1
    assert state.epoch.opener == state.own
    assert await dora.heard() == ["new keys first"]
    agreed(room, mina, junho, sora, dora)


# --- changes that are lost -----------------------------------------------------------------------


async def test_a_lost_policy_and_a_lost_promotion_are_committed_again(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-27: by their author, at once, in one commit."""
    policy = Policy(Mode.SIGNED, members_may_add=True, evaporation=Evaporation(60, 3_600))
    early = world.clock.now()
    world.relay.paused = True
    await junho.room(room).refresh()
    junho_led = junho.room(room).transcript
    await world.advance(3_600)
    await mina.room(room).set_policy(policy)
    await mina.room(room).set_role(mina.person(room, dora), Role.ADMIN)
    assert early < world.clock.now()
    await world.settle()
    await resume(world)
    await minutes(world, 2)
    everybody = (mina, junho, sora, dora)
    agreed(room, *everybody)
    for actor in everybody:
        assert actor.room(room).policy == policy
        assert actor.person(room, dora).role is Role.ADMIN
    path = [e.transcript for e in mina.device.room(room.id).state.epochs.values()]
    assert junho_led in path
    assert mina.room(room).epoch == sora.room(room).epoch
    assert losers(mina) == ["Mina"]
    assert mina.told(ChangesLost) == []
    assert not mina.store.named(b"lost/")
    await world.check_talk(room, *everybody)
    untroubled(*everybody)


async def test_what_cannot_be_done_again_is_told(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-APP-08: the author of a lost change has been demoted meanwhile, and so cannot."""
    guest = await world.open("Guest")
    card = await guest.device.card()
    await at_once(
        world,
        lambda: mina.room(room).set_role(mina.person(room, junho), Role.MEMBER),
        lambda: junho.room(room).add(card),
    )
    await minutes(world, 3)
    agreed(room, mina, junho, sora, dora)
    (told,) = junho.told(ChangesLost)
    assert told.added == (guest.device.identity,)
    assert not told.roles
    assert not told.resynced
    assert not told.kept
    assert told.policy is None
    await minutes(world, 3)
    assert len(junho.told(ChangesLost)) == 1, "told once"
    assert not junho.store.named(b"lost/")
    await world.check_talk(room, mina, junho, sora, dora)


async def test_a_removal_whose_author_has_lost_the_right_is_told_too(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-APP-08: Dora stays, and Junho has to know it."""
    await at_once(
        world,
        lambda: mina.room(room).set_role(mina.person(room, junho), Role.MEMBER),
        lambda: junho.room(room).remove(junho.person(room, dora)),
    )
    await minutes(world, 3)
    agreed(room, mina, junho, sora, dora)
    (told,) = junho.told(ChangesLost)
    assert [person.name for person in told.kept] == ["Dora"]
    assert not told.added
    assert not told.roles
    await world.check_talk(room, mina, junho, sora, dora)


async def test_nobody_speaks_to_one_whose_removal_has_lost(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-28: who wants to speak commits the removal first, whoever had made it."""
    await at_once(
        world, mina.room(room).refresh, lambda: junho.room(room).remove(junho.person(room, dora))
    )
    await sora.restart()
    assert sora.device.room(room.id).blocked
    assert dora.device.identity in {p.identity for p in sora.room(room).members}
    with pytest.raises(LocalError) as caught:
        sora.device.room(room.id).send(
            sora.device.engine.owner, Said("to Dora, too", NOW, Evaporation()),
            world.clock.now(), sora.random,
        )  # fmt: skip
    assert caught.value.reason is Reason.REMOVAL_PENDING
    dora.arrived()
    await sora.room(room).send("without Dora")
    agreed(room, mina, junho, sora)
    await world.settle()
    assert await dora.heard() == []
    assert [event.by.name for event in dora.told(RemovedFromRoom)] == ["Sora"]
    await world.check_talk(room, mina, junho, sora)
    untroubled(mina, junho, sora)


async def test_a_lost_removal_is_committed_while_its_author_is_away(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-21: the first in rank at once, the next a minute later, and so on."""
    world.relay.paused = True
    await mina.room(room).refresh()
    await junho.room(room).remove(junho.person(room, dora))
    await world.settle()
    await junho.close()
    await mina.close()
    await resume(world)
    assert sora.device.room(room.id).pending
    epoch = sora.room(room).epoch
    await minutes(world, 2)
    assert sora.room(room).epoch == epoch, "Mina and Junho stand before her"
    await world.advance(60)
    assert sora.room(room).epoch == epoch + 1
    assert dora.room(room).closed
    await junho.open()
    await mina.open()
    await minutes(world, 2)
    agreed(room, mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)


async def test_the_author_of_a_lost_demotion_does_not_wait(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-21: nor is it told as lost; the next commit does it again."""
    world.relay.paused = True
    await junho.room(room).refresh()
    await world.advance(3_600)
    await mina.room(room).set_role(mina.person(room, sora), Role.MEMBER)
    await world.settle()
    await resume(world)
    assert losers(mina) == ["Mina"]
    assert mina.person(room, sora).role is Role.ADMIN
    await world.advance(60)
    agreed(room, mina, junho, sora, dora)
    assert mina.device.room(room.id).state.epoch.opener == mina.device.room(room.id).own_id
    for actor in (mina, junho, sora, dora):
        assert actor.person(room, sora).role is Role.MEMBER
    assert mina.told(ChangesLost) == []


async def test_two_admins_that_remove_each_other(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-28: the senior's holds; the other's author has gone."""
    await at_once(
        world,
        lambda: sora.room(room).remove(sora.person(room, dora)),
        lambda: junho.room(room).remove(junho.person(room, dora)),
        lambda: mina.room(room).remove(mina.person(room, sora)),
    )
    await minutes(world, 5)
    assert sora.room(room).closed
    agreed(room, mina, junho)
    assert dora.room(room).closed
    await world.check_talk(room, mina, junho)


async def test_a_leave_request_in_a_losing_commit_is_committed_again(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-28: also by those who have it from that commit only."""
    world.relay.paused = True
    await dora.room(room).leave()
    await world.settle()
    lost = {seen.envelope for seen in world.relay.seen for actor in (mina, sora)
            if seen.address == actor.mailbox(room).address}  # fmt: skip
    world.relay.kept_back |= lost
    await resume(world)
    assert junho.device.room(room.id).leaving
    assert not sora.device.room(room.id).leaving
    await at_once(world, mina.room(room).refresh, junho.room(room).refresh)
    assert [proof.kind for proof in sora.device.room(room.id).pending] == [ProofKind.LEAVE]
    await junho.close()
    await minutes(world, 4)
    await junho.open()
    agreed(room, mina, junho, sora)
    assert dora.room(room).closed
    await world.check_talk(room, mina, junho, sora)
    untroubled(mina, junho, sora)


async def test_a_removal_that_overtakes_another_commit_waits_for_it(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-ENV-15: it has no slot, but is nothing that somebody else has passed on."""
    world.relay.paused = True
    await mina.room(room).refresh()
    await world.settle()
    world.relay.keep_back_last(dora.mailbox(room).address)
    await mina.room(room).remove(mina.person(room, dora))
    await world.settle()
    assert not dora.room(room).closed
    assert len(dora.store.named(b"waiting/")) == 1
    await dora.restart()
    await world.relay.let_go()
    await world.settle()
    assert dora.room(room).closed
    assert not dora.store.named(b"waiting/")
    await world.check_talk(room, mina, junho, sora)
