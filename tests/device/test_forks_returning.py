"""Who was removed by a commit that loses returns; what is to be done again outlives a restart."""

from __future__ import annotations

import pytest

from evanesce import (
    ChangesLost,
    Conversation,
    DeliveryFailed,
    Reason,
    RemoteError,
    RemovedFromRoom,
    Role,
    RoomChanged,
    StorageError,
)
from evanesce.proofs import Proof, ProofKind
from tests.device.device_support import Actor, Store, World, check_sealed_once
from tests.device.fork_support import agreed, at_once, losers, minutes, resume


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


async def test_a_device_returns_when_its_removal_has_lost_for_good(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-27: with a mailbox of its own again, known to all; what came meanwhile is read."""
    world.relay.paused = True
    await junho.room(room).remove(junho.person(room, dora))
    await world.settle()
    for actor in (mina, sora):
        world.relay.kept_back |= {seen.envelope for seen in world.relay.seen
                                  if seen.address == actor.mailbox(room).address}  # fmt: skip
    before = dora.mailbox(room).address
    await resume(world)
    assert dora.room(room).closed
    (removed,) = dora.told(RemovedFromRoom)
    assert removed.by.name == "Junho"
    world.relay.paused = True
    await mina.room(room).set_role(mina.person(room, junho), Role.MEMBER)
    await mina.room(room).send("Junho has no right to that")
    await world.settle()
    world.relay.kept_back.clear()
    await resume(world)
    everybody = (mina, junho, sora, dora)
    agreed(room, *everybody)
    assert not dora.room(room).closed
    assert await dora.heard() == ["Junho has no right to that"]
    assert dora.mailbox(room).address != before
    (changed,) = dora.told(RoomChanged)
    assert [person.name for person in changed.lost] == []
    await world.check_talk(room, *everybody)
    await dora.restart()
    await world.check_talk(room, *everybody)


async def test_what_was_sent_meanwhile_to_a_device_that_returns_is_no_failure(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    await test_a_device_returns_when_its_removal_has_lost_for_good(
        world, mina, junho, sora, dora, room
    )
    for actor in (mina, sora):
        assert actor.told(DeliveryFailed) == []


async def test_a_removed_device_that_hears_more_asks_and_returns_until_all_know_of_its_removal(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-24, 27, 28: for Mina it is still in; when she hears of the removal, it is out."""
    place = dora.mailbox(room).address
    world.relay.paused = True
    await junho.room(room).remove(junho.person(room, dora))
    await world.settle()
    removal = {seen.envelope for seen in world.relay.seen for actor in (mina, sora)
               if seen.address == actor.mailbox(room).address}  # fmt: skip
    world.relay.kept_back |= removal
    await resume(world)
    assert dora.room(room).closed
    await junho.close()
    world.relay.paused = True
    await mina.room(room).refresh()
    await world.settle()
    world.relay.keep_back_last(place)
    await resume(world)
    await mina.room(room).send("Dora, do you read me?")
    await world.settle()
    assert dora.room(room).closed
    assert len(dora.store.named(b"waiting/")) == 1
    await minutes(world, 2)
    assert not dora.room(room).closed
    assert await dora.heard() == ["Dora, do you read me?"]
    assert dora.room(room).transcript == mina.room(room).transcript
    await world.relay.let_go()
    await junho.open()
    await minutes(world, 3)
    assert dora.room(room).closed
    agreed(room, mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)


@pytest.mark.parametrize("first", [0, 1], ids=["the better first", "the better last"])
async def test_those_who_have_lost_on_one_epoch_commit_again_one_after_the_other(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation,
    first: int,
) -> None:  # fmt: skip
    """REQ-EPOCH-21: in the order of their commits, 60 s apart, in whatever order these came."""
    guests = [await world.open(name) for name in ("Guest", "Other")]
    cards = [await guest.device.card() for guest in guests]
    commits = [lambda: junho.room(room).add(cards[0]), lambda: sora.room(room).add(cards[1])]
    await at_once(world, mina.room(room).refresh, commits[first], commits[1 - first])
    epoch = mina.room(room).epoch
    await sora.device.maintain()
    await junho.device.maintain()
    await world.settle()
    assert mina.room(room).epoch == epoch + 1
    assert mina.device.room(room.id).state.epoch.opener == junho.device.room(room.id).own_id
    await minutes(world, 1)
    assert mina.device.room(room.id).state.epoch.opener == sora.device.room(room.id).own_id
    everybody = (mina, junho, sora, dora, *guests)
    agreed(room, *everybody)
    assert losers(mina) == []
    await world.check_talk(room, *everybody)


# --- crashes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["after the loss", "at the redo", "after the redo"])
async def test_a_lost_change_is_committed_again_exactly_once_over_a_restart(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation,
    point: str,
) -> None:  # fmt: skip
    """REQ-EPOCH-27: what is to be done again is stored with the commit that made it lose."""
    guest = await world.open("Guest")
    card = await guest.device.card()
    await at_once(world, mina.room(room).refresh, lambda: sora.room(room).add(card))
    epoch = mina.room(room).epoch
    assert len(sora.store.named(b"lost/")) == 1
    if point == "after the loss":
        sora.store = Store(sora.store.contents())
        await sora.restart()
    if point == "at the redo":
        sora.store.failing = {sora.store.transactions + 2}  # after that of what has evaporated
        with pytest.raises(StorageError):
            await sora.device.maintain()
        assert len(sora.store.named(b"lost/")) == 1
        assert sora.room(room).epoch == epoch, "nothing of it has happened"
        await sora.restart()
    await minutes(world, 2)
    assert mina.room(room).epoch == epoch + 1
    if point == "after the redo":
        await sora.restart()
    assert not sora.store.named(b"lost/")
    await minutes(world, 4)
    everybody = (mina, junho, sora, dora, guest)
    agreed(room, *everybody)
    added = [p for change in mina.told(RoomChanged) for p in change.added]
    assert [person.identity for person in added] == [guest.device.identity], "once"
    assert sora.told(ChangesLost) == []
    await world.check_talk(room, *everybody)
    check_sealed_once(mina, junho, sora, dora)


@pytest.mark.parametrize("fails", range(1, 5))
async def test_a_loss_that_could_not_be_stored_comes_again(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation,
    fails: int,
) -> None:  # fmt: skip
    """REQ-EPOCH-27: the loss, and what is to be done again, are stored together or not at all."""
    guest = await world.open("Guest")
    card = await guest.device.card()
    world.relay.paused = True
    await mina.room(room).refresh()
    await junho.room(room).add(card)
    await world.settle()
    fatal = junho.store.transactions + fails
    junho.store.failing = {fatal}
    await resume(world)
    assert junho.store.transactions >= fatal
    await minutes(world, 3)
    everybody = (mina, junho, sora, dora, guest)
    agreed(room, *everybody)
    assert junho.told(ChangesLost) == []
    await world.check_talk(room, *everybody)


async def test_the_ledger_keeps_a_lost_commit_and_its_successor_apart(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation
) -> None:
    """12.6: both have the same number; only what their receivers have of each is confirmed."""
    await at_once(world, mina.room(room).refresh, junho.room(room).refresh)
    number = mina.room(room).epoch
    lost = await junho.room(room).report(number)
    assert {recipient.state.value for recipient in lost.recipients} == {"sent"}
    for actor in (mina, sora, dora):
        await actor.room(room).send("I am on Mina's")
    await world.settle()
    lost = await junho.room(room).report(number)
    assert {recipient.state.value for recipient in lost.recipients} == {"sent"}
    led = await mina.room(room).report(number)
    assert {recipient.state.value for recipient in led.recipients} == {"sent", "confirmed"}


async def test_a_thousand_noted_removals_cost_a_message_nothing(
    world: World, mina: Actor, junho: Actor, sora: Actor, dora: Actor, room: Conversation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """REQ-EPOCH-28: what is pending is found once for each epoch, not with each message."""
    target = sora.device.room(room.id)
    for n in range(1_000):
        target.state.noted[Proof(ProofKind.SANCTION, b"%d" % n)] = world.clock.now()
    checked: list[bytes] = []

    def check(proof: Proof, *_: object, **__: object) -> None:
        checked.append(proof.signed)
        raise RemoteError(Reason.UNKNOWN_MEMBER, "long gone")

    monkeypatch.setattr(Proof, "check", check)
    for n in range(3):
        await mina.room(room).send(f"message {n}")
        await sora.room(room).send(f"answer {n}")
        await world.settle()
    assert len(checked) == 1_000
    await mina.room(room).refresh()
    await world.settle()
    assert len(checked) == 2_000
