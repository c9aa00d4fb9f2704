"""Who joins by a commit that loses: is invited again, brought over, and can talk all the while."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import MagicMock

import pytest

from evanesce import (
    ChangesLost,
    Conversation,
    Reason,
    Rejected,
    RemoteError,
    Role,
    RoomChanged,
    RoomJoined,
    losing,
)
from evanesce.formats import INVITATION
from evanesce.limits import ONE_TIME_PREKEYS
from tests.device.device_support import Actor, World, of_kind
from tests.device.fork_support import agreed, at_once, minutes, resume, untroubled


@pytest.fixture
async def guest(world: World) -> Actor:
    return await world.open("Guest")


@pytest.fixture
async def room(world: World, mina: Actor, junho: Actor, sora: Actor) -> Conversation:
    """Mina owns it, Junho is an admin."""
    made = await world.group(mina, junho, sora)
    await made.set_role(mina.person(made, junho), Role.ADMIN)
    await world.check_talk(made, mina, junho, sora)
    return made


async def test_an_admission_that_has_lost_is_made_again_and_the_guest_brought_over(
    world: World, mina: Actor, junho: Actor, sora: Actor, guest: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-27, REQ-ENV-24: by the next prekey of the same package."""
    card = await guest.device.card(one_time=True)
    world.relay.paused = True
    await mina.room(room).refresh()
    await junho.room(room).add(card)
    await world.settle()
    copies = {seen.envelope for seen in world.relay.seen
              if seen.address == junho.mailbox(room).address}  # fmt: skip
    world.relay.kept_back |= copies
    await resume(world)
    assert guest.room(room).transcript == junho.room(room).transcript
    losing = guest.device.room(room.id).own_id
    await guest.room(room).send("from the losing epoch")
    await junho.room(room).send("so am I")
    await world.settle()
    for actor in (mina, sora):
        assert sorted(map(str, await actor.heard())) == ["from the losing epoch", "so am I"]
    assert await junho.heard() == ["from the losing epoch"]
    await world.relay.let_go()
    await minutes(world, 2)
    everybody = (mina, junho, sora, guest)
    agreed(room, *everybody)
    assert guest.device.room(room.id).own_id != losing
    assert await guest.heard() == ["so am I"]
    assert len(guest.told(RoomJoined)) == 2
    assert [event.anew for event in guest.told(RoomJoined)] == [False, False]
    assert junho.told(ChangesLost) == []
    await world.check_talk(room, *everybody)
    untroubled(mina, sora, guest)


async def test_a_guest_that_was_away_finds_both_invitations(
    world: World, mina: Actor, junho: Actor, sora: Actor, guest: Actor, room: Conversation
) -> None:
    """REQ-ENV-24: in whatever order they come, it ends on the better branch."""
    card = await guest.device.card()
    await guest.close()
    await at_once(world, mina.room(room).refresh, lambda: junho.room(room).add(card))
    await minutes(world, 2)
    await mina.room(room).send("welcome")
    await world.settle()
    await guest.open()
    await minutes(world, 1)
    everybody = (mina, junho, sora, guest)
    agreed(room, *everybody)
    assert await guest.heard() == ["welcome"]
    await world.check_talk(room, *everybody)
    untroubled(mina, junho, sora, guest)


async def test_the_better_invitation_first_and_the_losing_one_late(
    world: World, mina: Actor, junho: Actor, sora: Actor, guest: Actor, room: Conversation
) -> None:
    """REQ-ENV-24: the late one moves nobody back."""
    card = await guest.device.card()
    world.relay.paused = True
    await mina.room(room).refresh()
    await junho.room(room).add(card)
    await world.settle()
    late, _ = of_kind(guest.payloads(), INVITATION.type)[-1]
    world.relay.kept_back.add(late)
    await resume(world)
    await minutes(world, 2)
    everybody = (mina, junho, sora, guest)
    led = agreed(room, *everybody)
    await world.relay.let_go(late)
    await minutes(world, 2)
    assert agreed(room, *everybody) == led
    assert len(guest.told(RoomJoined)) == 1
    await world.check_talk(room, *everybody)
    await world.advance(4 * 86_400)
    await world.check_talk(room, *everybody)


async def test_two_admins_that_admit_the_same_person_at_once(
    world: World, mina: Actor, junho: Actor, sora: Actor, guest: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-27: nothing is left to do for the one whose commit has lost."""
    cards = [await guest.device.card(), await guest.device.card()]
    await at_once(
        world, lambda: junho.room(room).add(cards[0]), lambda: mina.room(room).add(cards[1])
    )
    epoch = mina.room(room).epoch
    await minutes(world, 2)
    everybody = (mina, junho, sora, guest)
    agreed(room, *everybody)
    assert not junho.store.named(b"lost/")
    assert junho.told(ChangesLost) == []
    assert mina.room(room).epoch <= epoch + 1, "no third admission"
    await world.check_talk(room, *everybody)
    untroubled(*everybody)


async def test_a_guest_whose_every_prekey_is_used_is_told_as_lost(
    world: World, mina: Actor, junho: Actor, sora: Actor, guest: Actor, room: Conversation
) -> None:
    """REQ-APP-08: it has to be asked for another package; another guest is not kept out by that."""
    other = await world.open("Other")
    card = await guest.device.card(one_time=True)
    world.relay.paused = True
    await mina.room(room).refresh()
    await junho.room(room).add(card, await other.device.card())
    await world.settle()
    with junho.store.transaction() as tx:
        tx.put(b"prekey/" + card.package.hash, bytes([ONE_TIME_PREKEYS]))
    await resume(world)
    await minutes(world, 2)
    agreed(room, mina, junho, sora, other)
    (told,) = junho.told(ChangesLost)
    assert told.added == (guest.device.identity,)
    await junho.room(room).add(await guest.device.card())
    await minutes(world, 2)
    everybody = (mina, junho, sora, other, guest)
    agreed(room, *everybody)
    await world.check_talk(room, *everybody)


async def test_many_admissions_that_have_lost_are_one_commit_again(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-27: together, as far as they go together."""
    guests = [await world.open(f"Guest {n}") for n in range(5)]
    cards = [await each.device.card() for each in guests]
    world.relay.paused = True
    await mina.room(room).add(cards[2])
    for card in (cards[:2], cards[2:4], cards[4:]):
        await junho.room(room).add(*card)
    await world.settle()
    assert junho.room(room).epoch == mina.room(room).epoch + 2
    epoch = mina.room(room).epoch
    await resume(world)
    await world.advance(60)
    everybody = (mina, junho, sora, *guests)
    agreed(room, *everybody)
    assert mina.room(room).epoch == epoch + 1
    (again,) = [change for change in sora.told(RoomChanged) if change.by.name == "Junho"
                and change.added and change.by.role is Role.ADMIN
                and len(change.added) == 4]  # fmt: skip
    assert not again.lost
    await world.check_talk(room, *everybody)
    assert mina.told(Rejected) == junho.told(Rejected) == []


async def test_a_guest_admits_another_from_a_losing_epoch(
    world: World, mina: Actor, junho: Actor, sora: Actor, guest: Actor, room: Conversation
) -> None:
    """REQ-ENV-24: brought over one after the other, by whoever may admit."""
    other = await world.open("Other")
    cards = [await guest.device.card(), await other.device.card()]
    world.relay.paused = True
    await mina.room(room).refresh()
    await world.settle()
    held = {seen.envelope for seen in world.relay.seen
            if seen.address == junho.mailbox(room).address}  # fmt: skip
    await junho.room(room).add(cards[0], role=Role.MEMBER)
    await world.settle()
    world.relay.kept_back |= held
    await resume(world)
    await junho.room(room).add(cards[1])
    await world.settle()
    assert other.room(room).transcript == guest.room(room).transcript
    await world.relay.let_go()
    await minutes(world, 3)
    everybody = (mina, junho, sora, guest, other)
    agreed(room, *everybody)
    await world.check_talk(room, *everybody)


async def test_what_a_guest_did_before_it_was_brought_over_is_done_again(
    world: World, mina: Actor, junho: Actor, sora: Actor, guest: Actor, room: Conversation
) -> None:
    """REQ-ENV-24: it committed by another id, on an epoch that has lost; its guest comes too."""
    await mina.room(room).set_policy(replace(room.policy, members_may_add=True))
    await world.settle()
    other = await world.open("Other")
    cards = [await guest.device.card(), await other.device.card()]
    world.relay.paused = True
    await mina.room(room).refresh()
    await world.settle()
    held = {seen.envelope for seen in world.relay.seen
            if seen.address == junho.mailbox(room).address}  # fmt: skip
    await junho.room(room).add(cards[0])
    await world.settle()
    world.relay.kept_back |= held
    await resume(world)
    await guest.room(room).add(cards[1])
    await world.settle()
    assert other.room(room).transcript == guest.room(room).transcript
    await other.room(room).send("hello from Other")
    await world.relay.let_go()
    await minutes(world, 3)
    everybody = (mina, junho, sora, guest, other)
    agreed(room, *everybody)
    assert not guest.store.named(b"lost/")
    for actor in (mina, junho, sora, guest):
        assert "hello from Other" in await actor.heard(), actor.name
    await world.check_talk(room, *everybody)


def test_what_one_commit_can_do_together_is_found_with_few_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """REQ-EPOCH-27: 1,000 operations, two of which cannot be done any more."""
    trials = 0

    def tried(*args: Any) -> None:
        nonlocal trials
        trials += 1
        if {"no", "never"} & set(args[8]):
            raise RemoteError(Reason.NOT_ENTITLED, "not any more")

    monkeypatch.setattr(losing, "apply_operations", tried)
    monkeypatch.setattr(losing, "embedded", lambda *_: [])
    wanted: list[Any] = [f"operation {n}" for n in range(998)]
    wanted.insert(3, "no")
    wanted.insert(700, "never")
    chosen = losing._entitled(MagicMock(), wanted, 0)
    assert chosen == [each for each in wanted if each not in ("no", "never")]
    assert trials <= 45
    trials = 0
    assert losing._entitled(MagicMock(), wanted[:3], 0) == wanted[:3]
    assert trials == 1
