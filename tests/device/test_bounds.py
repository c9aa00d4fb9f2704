"""What repair, resync, receipts and recalls may cost: at each bound, and past it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from evanesce import Conversation, LocalError, MessageViewed, Reason, Rejected
from evanesce.commit import Commit, direct_commit
from evanesce.errors import RemoteError
from evanesce.formats import COMMIT_COPY
from evanesce.kept_commits import KeptCommits
from evanesce.limits import (
    DAY,
    MAILBOX_ENVELOPES,
    MAX_EPOCHS,
    MAX_INDEX,
    MAX_REPAIRS,
    REPAIR_WINDOW,
    REQUEST_LIFETIME,
)
from evanesce.ports import ManualClock, Outgoing, Recall
from evanesce.tree import Lineage
from tests.device.device_support import NOW, Actor, Store, World, refused
from tests.device.test_repair import lose_commit, request_of


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


def test_the_copies_of_256_commits_are_kept_and_of_one_more_the_oldest_go() -> None:
    """REQ-EPOCH-23."""
    store, kept, room, member = Store(), KeptCommits(), bytes(32), bytes([1] * 32)
    copy = COMMIT_COPY.build(b"sealed", bytes(48))
    prefixes = [n.to_bytes(8, "big") for n in range(1, MAX_EPOCHS + 2)]
    with store.transaction() as tx:
        for number, prefix in enumerate(prefixes[:-1], 1):
            kept.keep(tx, room, prefix, number, {member: copy}, NOW)
        assert list(kept.copies_for(tx, room, member, None)) == prefixes[:-1]
        kept.keep(tx, room, prefixes[-1], MAX_EPOCHS + 1, {member: copy}, NOW)
        assert list(kept.copies_for(tx, room, member, None)) == prefixes[1:]
    assert len(store.named(b"commit/")) == len(store.named(b"slot/")) == MAX_EPOCHS
    known = Lineage(frozenset({prefixes[9]}), 5)
    with store.transaction() as tx:
        again = KeptCommits.load(tx)
        left = list(again.copies_for(tx, room, member, known))
        assert left == [*prefixes[4:9], *prefixes[10:]], "but for what it has, and what was before"


def test_copies_of_two_commits_of_one_number_are_two() -> None:
    """REQ-EPOCH-23: a device whose commit has lost may commit again with the same number."""
    store, kept, room, member = Store(), KeptCommits(), bytes(32), bytes([1] * 32)
    first, second = bytes(8), bytes([1] * 8)
    copies = [COMMIT_COPY.build(sealed, bytes(48)) for sealed in (b"lost", b"led")]
    with store.transaction() as tx:
        for prefix, copy in zip((first, second), copies, strict=True):
            kept.keep(tx, room, prefix, 7, {member: copy}, NOW)
    with store.transaction() as tx:
        found = KeptCommits.load(tx).copies_for(tx, room, member, None)
    assert found == dict(zip((first, second), copies, strict=True))


async def test_a_request_counts_for_three_hours_to_the_second(
    world: World, mina: Actor, junho: Actor, sora: Actor, room: Conversation
) -> None:
    """REQ-LIMIT-35."""
    await lose_commit(world, mina, room, sora)
    for n in range(MAX_REPAIRS):
        request = request_of(sora, room, world.clock.now() - MAX_REPAIRS + n)
        await world.put_payload(mina.mailbox(room), request)
    await world.settle()
    for seconds, early in ((REPAIR_WINDOW - 1, True), (1, False)):
        world.clock.advance(seconds)
        before = len(mina.told(Rejected))
        await world.put_payload(mina.mailbox(room), request_of(sora, room, world.clock.now()))
        await world.settle()
        reasons = [event.reason for event in mina.told(Rejected)[before:]]
        assert reasons == ([Reason.TOO_MANY_REQUESTS] if early else [])


async def test_the_package_of_a_request_is_kept_for_144_hours(
    world: World, mina: Actor, junho: Actor, room: Conversation
) -> None:
    """REQ-EPOCH-25: as long as a commit may grant it, and an invitation be on its way."""
    await mina.room(room).ask_resync()
    asked = mina.device.engine.meta[room.id].asked
    assert asked is not None
    await world.advance(2 * REQUEST_LIFETIME)
    assert b"package/" + asked.package in mina.store.contents()
    await world.advance(60)
    assert b"package/" + asked.package not in mina.store.contents()


async def test_a_request_that_cannot_go_out_is_given_up_after_72_hours(
    world: World, mina: Actor, junho: Actor, room: Conversation
) -> None:
    """REQ-ENV-09."""
    world.relay.down = True
    await mina.room(room).ask_resync()
    queued = len(mina.store.named(b"outbox/"))
    assert queued >= 2
    await world.advance(REQUEST_LIFETIME)
    assert len(mina.store.named(b"outbox/")) == queued
    await world.advance(60)
    assert not mina.store.named(b"outbox/")


async def test_a_direct_room_is_not_abandoned_and_no_room_twice(
    world: World, mina: Actor, junho: Actor, room: Conversation
) -> None:
    talk = await world.direct(mina, junho)
    with refused(Reason.WRONG_MODE, mina.store, error=LocalError):
        await mina.room(talk).abandon()
    await mina.room(room).abandon()
    assert mina.room(room).closed
    with refused(Reason.ROOM_CLOSED, mina.store, error=LocalError):
        await mina.room(room).abandon()
    with refused(Reason.ROOM_CLOSED, mina.store, error=LocalError):
        await mina.room(room).send("too late")


async def test_receipts_do_not_wait_for_a_moment_of_a_clock_that_was_wrong(world: World) -> None:
    """REQ-EVAP-12: a moment is at most ten minutes ahead."""
    clock = ManualClock(NOW)
    mina, junho = await world.open("Mina", clock=clock), await world.open("Junho")
    room = await world.group(mina, junho)
    for actor in (mina, junho):
        await actor.room(room).set_receipts(True)
    await junho.room(room).send("a")
    await world.settle()
    clock.advance(2 * DAY)
    assert await mina.heard() == ["a"]
    clock._now = NOW
    await mina.restart()
    await junho.room(room).send("b")
    assert await mina.heard() == ["b"]
    for _ in range(15):
        clock.advance(60)
        await world.advance(60)
    assert len(junho.told(MessageViewed)) == 2


async def test_one_recall_that_fails_holds_up_no_other(world: World) -> None:
    """REQ-EVAP-14."""
    mina, junho, sora = [await world.open(name) for name in ("Mina", "Junho", "Sora")]
    first, second = await world.group(mina, junho), await world.group(mina, sora)
    world.relay.paused = True
    one, two = await first.send("one"), await second.send("two")
    await world.settle()
    bad, recall = junho.mailbox(first).address, world.relay.recall

    async def failing(batch: Sequence[Recall]) -> None:
        if any(item.mailbox.address == bad for item in batch):
            raise OSError("this part of the relay is down")
        await recall(batch)

    world.relay.recall = failing  # type: ignore[method-assign]  # part of a relay
    await first.burn(one)
    await second.burn(two)
    await world.settle()
    assert [item.mailbox.address for item in world.relay.recalled] == [sora.mailbox(second).address]
    world.relay.recall = recall  # type: ignore[method-assign]
    for _ in range(10):
        await world.advance(60)
    assert {item.mailbox.address for item in world.relay.recalled} >= {bad}


async def test_ids_of_nothing_fill_no_relay(world: World, mina: Actor, junho: Actor) -> None:
    """REQ-ENV-23: of envelopes that it has not had, a relay notes so many and no more."""
    talk = await world.direct(mina, junho)
    box = mina.mailbox(talk)
    known = world.relay._boxes[box.address].known
    room_left = 2 * MAILBOX_ENVELOPES - len(known)
    await world.relay.recall([Recall(n.to_bytes(16, "big"), box) for n in range(room_left)])
    assert len(known) == 2 * MAILBOX_ENVELOPES
    await world.relay.recall([Recall(bytes([255] * 16), box)])
    assert len(known) == 2 * MAILBOX_ENVELOPES
    late = Outgoing((0).to_bytes(16, "big"), box, bytes(512))
    before = len(world.relay.seen)
    assert not await world.relay.send([late])
    assert len(world.relay.seen) == before, "what was recalled before it came stays away"


def test_no_commit_is_built_on_an_epoch_past_the_last() -> None:
    """REQ-LIMIT-21, spec 1.4."""
    key = bytes(32)
    Commit.build(key, MAX_INDEX, key, key, NOW, [], [], b"x", key, key)
    with pytest.raises(LocalError) as local:
        Commit.build(key, MAX_INDEX + 1, key, key, NOW, [], [], b"x", key, key)
    assert local.value.reason is Reason.BAD_FORM
    direct_commit(key, MAX_INDEX, key, key, key, key, None)
    with pytest.raises(RemoteError) as remote:
        direct_commit(key, MAX_INDEX + 1, key, key, key, key, None)
    assert remote.value.reason is Reason.BAD_FORM
