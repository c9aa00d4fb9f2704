"""What became of what was sent: the ledger (spec 12.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from evanesce import (
    Conversation,
    DeliveryFailed,
    Device,
    LocalError,
    MemoryStore,
    Reason,
    StorageError,
)
from evanesce.ledger import Report, State
from evanesce.limits import DAY, RETENTION
from evanesce.outbox import Outbox
from evanesce.ports import ManualClock, Outgoing
from evanesce.wire import decode, encode
from tests.device.device_support import Actor, Relay, Stream, World, refused


class Refusing(Relay):
    """Refuses what is for some mailboxes."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.refusals: dict[bytes, Reason] = {}  # by address

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        address = {item.id: item.mailbox.address for item in batch}
        good = [item for item in batch if item.mailbox.address not in self.refusals]
        refused = await super().send(good)
        return refused | {
            key: self.refusals[a] for key, a in address.items() if a in self.refusals
        }


@pytest.fixture
def world() -> World:
    return World(Refusing)


@pytest.fixture
def relay(world: World) -> Any:
    return world.relay


@pytest.fixture
async def mina(world: World) -> Any:
    yield await world.open("Mina")
    await world.close()


@pytest.fixture
async def junho(world: World, mina: Actor) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def sora(world: World, mina: Actor) -> Actor:
    return await world.open("Sora")


def states(report: Report) -> list[tuple[State, str | None, bool]]:
    return [(r.state, r.why, r.retryable) for r in report.recipients]


def state(report: Report, actor: Actor, room: Conversation) -> State:
    """What became of one device's copy."""
    return report.of(member_of(actor, room)).state


def member_of(actor: Actor, room: Conversation) -> bytes:
    return actor.device.room(room.id).own_id


# --- messages -------------------------------------------------------------------------------------


async def test_pending_then_sent(world: World, relay: Refusing, mina: Actor, junho: Actor) -> None:
    room = await world.direct(mina, junho)
    relay.down = True
    message = await room.send("x")
    report = await room.report(message)
    assert (report.id, report.room, report.commit) == (message, room.id, False)
    assert states(report) == [(State.PENDING, None, False)]
    assert [r.member for r in report.recipients] == [member_of(junho, room)]
    relay.down = False
    await world.advance(60)
    assert states(await mina.device.report(message)) == [(State.SENT, None, False)]
    await mina.restart()
    assert states(await mina.device.report(message)) == [(State.SENT, None, False)]


async def test_an_answer_confirms_a_message_that_was_alone_in_its_epoch(
    world: World, mina: Actor, junho: Actor
) -> None:
    room = await mina.device.direct(await junho.device.card())
    opening = await room.send("hello")
    await world.settle()
    assert states(await room.report(opening)) == [(State.SENT, None, False)]
    answer = await junho.room(room).send("good day")
    await world.settle()
    assert states(await room.report(opening)) == [(State.CONFIRMED, None, False)]
    again = await room.send("and again")
    await world.settle()
    # His announcement was in that epoch too.
    assert states(await junho.room(room).report(answer)) == [(State.SENT, None, False)]
    third = await junho.room(room).send("third")
    await world.settle()
    assert states(await room.report(again)) == [(State.CONFIRMED, None, False)]
    await room.send("fourth")
    await world.settle()
    assert states(await junho.room(room).report(third)) == [(State.CONFIRMED, None, False)]


async def test_an_answer_to_several_messages_does_not_say_which_it_has_had(
    world: World, relay: Refusing, mina: Actor, junho: Actor
) -> None:
    """The first is kept back, and the second is answered: nothing may count as confirmed."""
    room = await world.direct(mina, junho)
    relay.paused = True
    first = await room.send("lost on the way")
    relay.keep_back_last()
    second = await room.send("arrives")
    assert await junho.heard() == ["arrives"]
    await junho.room(room).send("an answer")
    assert await mina.heard() == ["an answer"]
    for message in (first, second):
        assert states(await room.report(message)) == [(State.SENT, None, False)]


async def test_a_forgotten_message_does_not_make_the_other_look_alone(
    world: World, relay: Refusing, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    first = await room.send("first")
    assert await junho.heard() == ["first"]
    await world.advance(RETENTION + 60)
    with refused(Reason.UNKNOWN_MESSAGE, mina.store, error=LocalError):
        await room.report(first)
    second = await room.send("second")
    assert await junho.heard() == ["second"]
    await junho.room(room).send("an answer")
    await world.settle()
    assert states(await room.report(second)) == [(State.SENT, None, False)]


async def test_in_a_group_nothing_confirms_a_message(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    message = await room.send("x")
    await world.check_talk(room, junho, sora)
    await junho.room(room).send("y", quote=message)
    await room.refresh()
    await world.check_talk(room, junho, sora)
    assert states(await room.report(message)) == [(State.SENT, None, False)] * 2


# --- commits --------------------------------------------------------------------------------------


async def test_a_commit_is_confirmed_by_who_speaks_in_its_epoch_or_a_later_one(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho)
    founded = await room.report(0)
    assert (founded.commit, founded.epoch) == (True, 0)
    assert states(founded) == [(State.CONFIRMED, None, False)], "its announcement came"
    refreshed = await room.refresh()
    assert refreshed == 1
    await world.settle()
    assert states(await room.report(refreshed)) == [(State.SENT, None, False)]
    added = await room.add(await sora.device.card())
    await world.settle()
    report = await room.report(added)
    assert state(report, sora, room) is State.CONFIRMED, "its announcement came"
    assert state(report, junho, room) is State.SENT
    await junho.room(room).send("x")
    await world.settle()
    for epoch in (refreshed, added):
        assert state(await room.report(epoch), junho, room) is State.CONFIRMED
    with pytest.raises(LocalError) as caught:
        await junho.room(room).report(refreshed)
    assert caught.value.reason is Reason.UNKNOWN_MESSAGE, "another's commit"


async def test_a_commit_is_confirmed_by_a_commit_on_it_and_not_by_an_older_message(
    world: World, relay: Refusing, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    relay.paused = True
    await sora.room(room).send("from before")
    epoch = await room.refresh()
    relay.paused = False
    await relay.let_go()
    assert await mina.heard() == ["from before"]
    assert state(await room.report(epoch), sora, room) is State.SENT
    await junho.room(room).refresh()
    await world.settle()
    report = await room.report(epoch)
    assert (state(report, junho, room), state(report, sora, room)) == (
        State.CONFIRMED, State.SENT,
    )  # fmt: skip


async def test_a_removed_member_never_confirms_its_removal(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    gone = member_of(sora, room)
    epoch = await room.remove(mina.person(room, sora))
    await world.check_talk(room, mina, junho)
    report = await room.report(epoch)
    assert report.of(gone).state is State.SENT
    assert state(report, junho, room) is State.CONFIRMED


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "retryable"),
    [(Reason.UNKNOWN_MAILBOX, True), (Reason.NOT_PERMITTED, False), (Reason.TOO_LARGE, False)],
)
async def test_a_refusal_is_told_and_what_may_pass_can_be_tried_again(
    world: World, relay: Refusing, mina: Actor, junho: Actor, sora: Actor, reason: Reason,
    retryable: bool,
) -> None:  # fmt: skip
    room = await world.group(mina, junho, sora)
    relay.refusals = {junho.mailbox(room).address: reason}
    message = await room.send("x")
    await world.settle()
    report = await room.report(message)
    failed = report.of(member_of(junho, room))
    assert (failed.state, failed.why, failed.retryable) == (State.FAILED, reason, retryable)
    assert state(report, sora, room) is State.SENT
    (event,) = mina.told(DeliveryFailed)
    assert event == DeliveryFailed(
        reason, room.id, message, None, (member_of(junho, room),), retryable
    )
    assert await sora.heard() == ["x"]
    await mina.restart()
    relay.refusals = {}
    assert await mina.device.retry(message) == retryable
    await world.settle()
    assert state(await mina.room(room).report(message), junho, room) is (
        State.SENT if retryable else State.FAILED
    )
    assert await junho.heard() == (["x"] if retryable else [])
    assert await mina.device.retry(message) == 0
    assert await sora.heard() == []


async def test_a_retry_sends_the_same_bytes(
    world: World, relay: Refusing, mina: Actor, junho: Actor
) -> None:
    """REQ-ENV-09."""
    room = await world.direct(mina, junho)
    relay.refusals = {junho.mailbox(room).address: Reason.UNKNOWN_MAILBOX}
    message = await room.send("x")
    (aside,) = mina.store.named(b"failed/").values()
    relay.refusals = {}
    await mina.device.retry(message)
    await world.settle()
    assert relay.seen[-1].envelope in aside
    assert not mina.store.named(b"failed/")


async def test_a_failed_commit_is_told_by_its_epoch_and_can_be_tried_again(
    world: World, relay: Refusing, mina: Actor, junho: Actor
) -> None:
    room = await world.group(mina, junho)
    relay.refusals = {junho.mailbox(room).address: Reason.UNKNOWN_MAILBOX}
    epoch = await room.refresh()
    await world.settle()
    (event,) = mina.told(DeliveryFailed)
    assert (event.message, event.epoch, event.retryable) == (None, epoch, True)
    relay.refusals = {}
    assert await mina.device.retry((await room.report(epoch)).id) == 1
    await world.settle()
    world.check_agreement(room, mina, junho)


async def test_what_waits_longer_than_72_hours_expires(
    world: World, relay: Refusing, mina: Actor, junho: Actor
) -> None:
    room = await world.direct(mina, junho)
    relay.down = True
    message = await room.send("too late")
    await world.advance(RETENTION)
    assert states(await room.report(message)) == [(State.PENDING, None, False)]
    await world.advance(60)
    assert states(await room.report(message)) == [(State.FAILED, Reason.EXPIRED, False)]
    (event,) = mina.told(DeliveryFailed)
    assert (event.reason, event.message, event.retryable) == (Reason.EXPIRED, message, False)
    assert not mina.store.named(b"outbox/")
    assert await mina.device.retry(message) == 0
    relay.down = False
    await world.advance(60)
    assert await junho.heard() == []


async def test_a_commit_may_wait_for_30_days(
    world: World, relay: Refusing, mina: Actor, junho: Actor
) -> None:
    room = await world.group(mina, junho)
    await junho.close()
    relay.down = True
    epoch = await room.refresh()
    await world.advance(RETENTION + 60)
    assert states(await room.report(epoch)) == [(State.PENDING, None, False)]
    await world.advance(30 * DAY)
    assert states(await room.report(epoch)) == [(State.FAILED, Reason.EXPIRED, False)]


async def test_what_is_held_is_pending_because_its_member_is_unreachable(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(junho, mina, sora)
    member = member_of(junho, room)
    del mina.device.room(room.id).state.directory[member]
    held = await mina.room(room).send("held")
    await world.settle()
    recipient = (await mina.device.report(held)).of(member)
    assert (recipient.state, recipient.why) == (State.PENDING, "unreachable")
    await room.remove(junho.person(room, sora))  # which makes junho announce a new mailbox
    assert await junho.heard() == ["held"]
    assert (await mina.device.report(held)).of(member).state is State.SENT


async def test_what_is_held_expires_and_fails_with_the_removal_of_its_member(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    room = await world.group(mina, junho, sora)
    member = member_of(sora, room)
    del mina.device.room(room.id).state.directory[member]
    first = await room.send("expires")
    await world.advance(RETENTION + 60)
    assert (await room.report(first)).of(member).why == Reason.EXPIRED
    assert not mina.store.named(b"held/")
    second = await room.send("goes with its member")
    await room.remove(mina.person(room, sora))
    recipient = (await room.report(second)).of(member)
    assert (recipient.state, recipient.why) == (State.FAILED, Reason.UNKNOWN_MEMBER)
    assert not recipient.retryable
    told = [(e.reason, e.message) for e in mina.told(DeliveryFailed) if e.message]
    assert told == [(Reason.EXPIRED, first), (Reason.UNKNOWN_MEMBER, second)]


# --- how long -------------------------------------------------------------------------------------


async def test_entries_are_forgotten_in_time(
    world: World, relay: Refusing, mina: Actor, junho: Actor
) -> None:
    """Those of messages after 72 h, those of commits after 30 days; what was put aside, too."""
    room = await world.group(mina, junho)
    await junho.close()
    relay.refusals = {junho.mailbox(room).address: Reason.UNKNOWN_MAILBOX}
    message, epoch = await room.send("x"), await room.refresh()
    await world.settle()
    assert len(mina.store.named(b"failed/")) == 2
    await world.advance(RETENTION)
    await mina.device.report(message)
    await world.advance(60)
    with refused(Reason.UNKNOWN_MESSAGE, mina.store, error=LocalError):
        await mina.device.report(message)
    with refused(Reason.UNKNOWN_MESSAGE, mina.store, error=LocalError):
        await mina.device.retry(message)
    assert len(mina.store.named(b"failed/")) == 1
    await room.report(epoch)
    await world.advance(30 * DAY)
    with pytest.raises(LocalError):
        await room.report(epoch)
    assert not mina.store.named(b"failed/")


# --- crashes --------------------------------------------------------------------------------------


async def test_the_ledger_tells_what_the_store_holds_whichever_transaction_fails(
    world: World, relay: Refusing, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """A refused copy, a taken one and their states are never out of step."""
    room = await world.group(mina, junho, sora)
    address = junho.mailbox(room).address
    for ahead in range(1, 7):
        relay.refusals = {address: Reason.UNKNOWN_MAILBOX}
        mina.store.failing = {mina.store.transactions + ahead}
        try:
            message = await room.send(f"{ahead}")
        except StorageError:
            assert ahead == 1
            assert not mina.store.named(b"outbox/")
            continue
        for _ in range(3):
            check_in_step(mina)
            await world.advance(60)
        await mina.restart()
        report = await mina.device.report(message)
        assert state(report, junho, room) is State.FAILED
        assert state(report, sora, room) is State.SENT
        relay.refusals = {}
        mina.store.failing = {mina.store.transactions + 1}
        with pytest.raises(StorageError):
            await mina.device.retry(message)
        check_in_step(mina)
        assert await mina.device.retry(message) == 1
        for _ in range(3):
            await world.advance(60)
            check_in_step(mina)
        assert state(await mina.device.report(message), junho, room) is State.SENT
        room = mina.room(room)
    assert sorted(await junho.heard()) == [f"{n}" for n in range(2, 7)]
    assert sorted(await sora.heard()) == [f"{n}" for n in range(2, 7)]


def check_in_step(actor: Actor) -> None:
    """Assert that what is pending waits, and what waits is pending."""
    with MemoryStore(actor.store.contents()).transaction() as tx:
        queued = Outbox.waiting(tx)
    waiting = {(item.report, item.member) for item in queued}
    aside = {(name[7:23], name[23:]) for name in actor.store.named(b"failed/")}
    reports = [Report.load(data) for data in actor.store.named(b"ledger/").values()]
    pending = {(r.id, c.member) for r in reports for c in r.recipients if c.state is State.PENDING}
    retryable = {(r.id, c.member) for r in reports for c in r.recipients if c.retryable}
    assert waiting == pending
    assert aside == retryable


async def test_copies_that_an_earlier_version_has_queued_are_sent(
    world: World, relay: Refusing, mina: Actor, junho: Actor
) -> None:
    """They have no entry; a refusal is told all the same."""
    room = await world.direct(mina, junho)
    for refusal, heard in ((None, ["old"]), (Reason.NOT_PERMITTED, [])):
        relay.down = True
        await room.send("old")
        contents = mina.store.contents()
        (name,) = mina.store.named(b"outbox/")
        contents[name] = encode(decode(contents[name], limit=1 << 22)[:4])
        contents = {k: v for k, v in contents.items() if not k.startswith(b"ledger/")}
        await mina.close()
        relay.down = False
        relay.refusals = {} if refusal is None else {junho.mailbox(room).address: refusal}
        mina.store = type(mina.store)(contents)
        await mina.open()
        assert await junho.heard() == heard
        assert not mina.store.named(b"outbox/")
        room = mina.room(room)
    assert [(e.reason, e.room) for e in mina.told(DeliveryFailed)] == [
        (Reason.NOT_PERMITTED, room.id)
    ]


async def test_an_unknown_id_is_refused(world: World, mina: Actor) -> None:
    device: Device = mina.device
    for call in (device.report, device.retry):
        with refused(Reason.UNKNOWN_MESSAGE, mina.store, error=LocalError):
            await call(Stream("nothing")(16))


async def test_what_is_sent_comes_with_its_report(world: World) -> None:
    """One entry for each member, from the transaction that has stored the message."""
    mina, junho, sora = [await world.open(name) for name in ("Mina", "Junho", "Sora")]
    room = await world.group(mina, junho, sora)
    sent = await room.send("hello")
    assert len(sent) == 16
    assert sent.report.id == sent
    assert {row.member for row in sent.report.recipients} == {
        person.member for person in room.members if person.identity != mina.device.identity
    }
    assert {row.state for row in sent.report.recipients} == {State.PENDING}
    await world.settle()
    assert {row.state for row in (await room.report(sent)).recipients} == {State.SENT}
    again = await room.send("as I said", quote=sent)
    await world.settle()
    (_, quoting) = await junho.device.inbox(junho.room(room))
    assert quoting.quote == sent
    await room.burn(sent, again)
    await world.settle()
    assert await junho.device.inbox(junho.room(room)) == []
