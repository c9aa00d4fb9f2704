"""What cannot be brought together by itself is noticed, told to the right one, and mended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evanesce import (
    Conversation,
    Equivocated,
    FallenBehind,
    LocalError,
    Reason,
    Rejected,
    ResyncAsked,
    passing,
    past,
)
from evanesce.epoch import SealedCommit
from evanesce.formats import COMMIT_COPY, INVITATION, SIGNED
from evanesce.limits import DAY
from evanesce.primitives import H
from tests.device.device_support import Actor, Pipe, World, of_kind, refused
from tests.device.fork_support import Parting, agreed, behind, minutes, resume
from tests.device.test_repair import request_of
from tests.room.room_support import Forger, Stream


@pytest.fixture
def parting(world: World) -> Parting:
    return Parting(world)


@pytest.fixture
async def people(parting: Parting) -> list[Actor]:
    return await parting.open("Mina", "Junho", "Sora", "Dora")


@pytest.fixture
async def room(world: World, people: list[Actor]) -> Conversation:
    """Mina owns it; the others follow in this order."""
    made = await world.group(*people)
    await world.check_talk(made, *people)
    return made


def slotless(actor: Actor) -> list[bytes]:
    """The commits that others have passed on to it."""
    return [payload for _, payload in of_kind(actor.payloads(), COMMIT_COPY.type)
            if COMMIT_COPY.parse(payload)[1] is None]  # fmt: skip


async def hours(world: World, count: int) -> None:
    """Let time pass, ten minutes at a time."""
    for _ in range(6 * count):
        await world.advance(600)


# --- equivocation --------------------------------------------------------------------------------


async def equivocate(world: World, room: Conversation, by: Actor, *halves: list[Actor]) -> None:
    """Sign one commit for each half on the same epoch, and go away."""
    target = by.device.room(room.id)
    for n, half in enumerate(halves):
        copies = Forger(target, by.device.engine.owner, world.clock.now(),
                        random=Stream(f"half {n}")).copies()  # fmt: skip
        for actor in half:
            member = actor.device.room(room.id).own_id
            await world.put_payload(actor.mailbox(room), copies[member])
    await by.close()
    await world.settle()


async def test_both_halves_learn_that_a_member_has_equivocated(
    world: World, people: list[Actor], room: Conversation
) -> None:
    """REQ-EPOCH-29: by commits that are passed on, though only one half has said something."""
    mina, junho, sora, dora = people
    await equivocate(world, room, dora, [mina], [junho, sora])
    assert mina.room(room).transcript != junho.room(room).transcript
    assert junho.room(room).transcript == sora.room(room).transcript
    await junho.room(room).send("Mina, do you read me?")
    await minutes(world, 15)
    for actor in (mina, junho, sora):
        (told,) = actor.told(Equivocated)
        assert told.by.name == "Dora", actor.name
        assert told.founder.name == "Mina", "the first in rank"
        assert slotless(actor), "nobody but the author had a slot for it"
        for action in (actor.room(room).send("nothing"), actor.room(room).refresh()):
            with refused(Reason.EQUIVOCATION, actor.store, error=LocalError):
                await action
    epochs = [actor.room(room).epoch for actor in (mina, junho, sora)]
    await mina.restart()
    await hours(world, 2)
    await world.advance(8 * DAY)
    await minutes(world, 5)
    assert [actor.room(room).epoch for actor in (mina, junho, sora)] == epochs
    assert [len(actor.told(Equivocated)) for actor in (mina, junho, sora)] == [1, 1, 1]
    with refused(Reason.EQUIVOCATION, mina.store, error=LocalError):
        await mina.room(room).send("nothing")


async def test_a_founder_founds_anew_without_the_equivocator(
    world: World, people: list[Actor], room: Conversation
) -> None:
    """REQ-APP-08."""
    mina, junho, sora, dora = people
    await equivocate(world, room, dora, [mina], [junho, sora])
    await junho.room(room).send("Mina, do you read me?")
    await minutes(world, 15)
    (told,) = mina.told(Equivocated)
    assert told.founder.identity == mina.device.identity
    anew = await world.group(mina, junho, sora)
    await world.check_talk(anew, mina, junho, sora)


async def test_the_same_commit_passed_on_convicts_nobody(
    world: World, people: list[Actor], room: Conversation
) -> None:
    """REQ-EPOCH-29, 10.12: who has it already drops it without a word."""
    mina, junho, sora, dora = people
    await dora.room(room).refresh()
    await world.settle()
    sealed = COMMIT_COPY.parse(of_kind(mina.payloads(), COMMIT_COPY.type)[-1][1])[0]
    for actor in (mina, junho, sora):
        await world.put_payload(actor.mailbox(room), COMMIT_COPY.build(sealed, None))
    await world.settle()
    for actor in people:
        assert actor.told(Equivocated) == []
        assert actor.told(Rejected) == []
        assert not actor.store.named(b"waiting/")
    await world.check_talk(room, *people)


async def test_a_turn_to_refresh_is_let_pass_where_nobody_commits_any_more(world: World) -> None:
    """REQ-EPOCH-21, 29: the refresh of another makes it Sora's turn, but she may not commit."""
    junho, mina, sora, dora = [
        await world.open(name, transport=Pipe(world.relay))
        for name in ("Junho", "Mina", "Sora", "Dora")
    ]
    cards = [await mina.device.card(), await sora.device.card(),
             await dora.device.card(one_time=True)]  # fmt: skip
    await mina.close()
    room = await junho.device.create_room(cards)
    await world.settle()
    assert sora.room(room).epoch == 0, "it is Mina's turn"
    await equivocate(world, room, dora, [sora], [sora])
    assert [event.by.identity for event in sora.told(Equivocated)] == [cards[2].identity]
    await mina.open()
    await minutes(world, 2)
    assert sora.device.room(room.id).state.epoch.opener == mina.device.room(room.id).own_id
    assert sora.device.room(room.id).first_refresh_due
    assert sora.room(room).epoch == 1
    assert not sora.failed


# --- a copy that was withheld --------------------------------------------------------------------


async def test_who_was_passed_over_is_told_whom_to_ask_and_comes_back(
    world: World, people: list[Actor], room: Conversation
) -> None:
    """REQ-EPOCH-24, 31: the author never sends the copy; another passes the commit on."""
    mina, junho, sora, dora = people
    member = junho.device.room(room.id)
    copies = Forger(member, junho.device.engine.owner, world.clock.now(),
                    random=Stream("withheld")).copies()  # fmt: skip
    for actor in (mina, sora):
        own = actor.device.room(room.id).own_id
        await world.put_payload(actor.mailbox(room), copies[own])
    await junho.close()
    await world.settle()
    assert mina.room(room).transcript == sora.room(room).transcript
    assert dora.room(room).epoch == mina.room(room).epoch - 1
    await mina.room(room).send("all here?")
    await minutes(world, 15)
    assert slotless(dora), "Mina has passed it on"
    assert behind(dora) == []
    await hours(world, 1)
    assert behind(dora) == ["Mina"]
    assert behind(mina) == behind(sora) == []
    (event,) = dora.told(FallenBehind)
    assert event.ahead is not None
    await dora.room(room).ask_resync(event.ahead)
    await world.settle()
    (asked,) = mina.told(ResyncAsked)
    await mina.room(room).resync(asked.by)
    await minutes(world, 3)
    assert dora.room(room).transcript == mina.room(room).transcript == sora.room(room).transcript
    await world.check_talk(room, mina, sora, dora)
    assert not dora.store.named(b"waiting/")


async def test_two_grants_of_one_resync_at_once_need_another(
    world: World, people: list[Actor], room: Conversation
) -> None:
    """10.13: whoever joined by the grant that lost is told that it has fallen behind."""
    mina, junho, sora, dora = people
    await dora.room(room).ask_resync(mina.person(room, mina), mina.person(room, junho))
    await world.settle()
    world.relay.paused = True
    for actor in (junho, mina):
        (asked,) = actor.told(ResyncAsked)
        await actor.room(room).resync(asked.by)
        await world.settle()
    better = mina.room(room).transcript
    invitations = [envelope for envelope, _ in of_kind(dora.payloads(), INVITATION.type)]
    world.relay.kept_back.add(invitations[-1])
    await resume(world)
    assert mina.room(room).transcript == sora.room(room).transcript == better
    assert dora.room(room).transcript != better
    await world.relay.let_go()
    await minutes(world, 3)
    await mina.room(room).send("Dora?")
    await hours(world, 2)
    if dora.room(room).transcript != mina.room(room).transcript:
        assert behind(dora)[-1:] == ["Mina"]
        await dora.room(room).ask_resync(mina.person(room, mina))
        await world.settle()
        await mina.room(room).resync(mina.person(room, dora))
        await minutes(world, 3)
    agreed(room, *people)
    await world.check_talk(room, *people)


# --- late copies of something old ----------------------------------------------------------------


async def test_a_late_copy_of_an_old_commit_or_message_is_nothing_to_ask_for(
    world: World, people: list[Actor], room: Conversation
) -> None:
    """12.4: it names an epoch that has been erased, and is refused; nothing is missing."""
    mina, _, _, dora = people
    await mina.room(room).refresh()
    await mina.room(room).send("long ago")
    await world.settle()
    old = [payload for _, payload in dora.payloads()]
    await world.advance(DAY)
    await mina.room(room).refresh()
    await world.settle()
    for _ in range(4):
        await world.advance(DAY)
    for payload in old:
        await world.put_payload(dora.mailbox(room), payload)
    await world.settle()
    reasons = [event.reason for event in dora.told(Rejected)]
    assert reasons.count(Reason.EXPIRED) >= 2
    assert not dora.store.named(b"waiting/")
    before = len(of_kind(mina.payloads(), SIGNED.type))
    await hours(world, 2)
    assert behind(dora) == []
    assert len(of_kind(mina.payloads(), SIGNED.type)) == before, "it has asked nobody"
    await world.check_talk(room, *people)


async def test_what_is_passed_on_of_long_ago_makes_nobody_fall_behind(
    world: World, people: list[Actor], room: Conversation
) -> None:
    """10.12: an answer may go back further than its receiver remembers, or has been a member."""
    mina, _, sora, dora = people
    for _ in range(3):
        await mina.room(room).refresh()
        await world.settle()
        await world.advance(2 * DAY)
    guest = await world.open("Guest")
    await mina.room(room).add(await guest.device.card())
    await minutes(world, 1)
    await sora.room(room).refresh()
    await world.settle()
    sealed = {COMMIT_COPY.parse(payload)[0] for each in people
              for _, payload in of_kind(each.payloads(), COMMIT_COPY.type)}  # fmt: skip
    trail = {prefix for prefix, _ in guest.device.room(room.id).state.trail}
    earlier = [each for each in sealed if SealedCommit.parse(each).prefix in trail]
    assert len(earlier) == 3, "two that it came after, and one that it has applied"
    for actor, passed_on in ((dora, sealed), (guest, earlier)):
        for each in passed_on:
            await world.put_payload(actor.mailbox(room), COMMIT_COPY.build(each, None))
    await world.settle()
    await hours(world, 2)
    for actor in (dora, guest):
        assert behind(actor) == []
        assert actor.told(Rejected) == [], "it is no fault to have it already"
        assert not actor.store.named(b"waiting/")
    await world.check_talk(room, *people, guest)


async def test_what_is_remembered_of_old_epochs_is_bounded(
    world: World, people: list[Actor], room: Conversation
) -> None:
    """12.4: the prefixes of the last 1,024."""
    mina = people[0]
    target = mina.device.room(room.id)
    with mina.store.transaction() as tx:
        for n in range(1_100):
            past.note(tx, target, [H(b"old", [n])[:8]])
        assert past.has(tx, target, H(b"old", [1_099])[:8])
        assert past.has(tx, target, H(b"old", [76])[:8])
        assert not past.has(tx, target, H(b"old", [75])[:8])
        assert len(tx.get(b"past/" + room.id) or b"") == 8 * past.MOST


async def test_old_commits_of_others_go_with_their_epochs(
    world: World, people: list[Actor], room: Conversation
) -> None:
    """REQ-EPOCH-23: what no window holds is not passed on; what still leads here is."""
    mina, junho, sora, dora = people
    for actor in (mina, junho):
        await actor.room(room).refresh()
        await world.settle()
    assert len(sora.store.named(b"passed/")) == 2
    for _ in range(4):
        await world.advance(DAY)
    (left,) = sora.store.named(b"passed/")
    assert left.endswith(junho.device.room(room.id).own_id), "it has opened the current epoch"
    await mina.room(room).remove(mina.person(room, sora))
    for _ in range(4):
        await world.advance(DAY)
    await world.check_talk(room, mina, junho, dora)


async def test_the_last_16_commits_of_the_path_are_kept_to_be_passed_on(
    world: World, people: list[Actor], room: Conversation
) -> None:
    """REQ-EPOCH-23: none that has lost, since nothing brings it back onto the path."""
    mina, junho, sora, dora = people
    world.relay.paused = True
    await mina.room(room).refresh()
    await junho.room(room).refresh()
    await world.settle()
    await resume(world)
    assert [name[-32:] for name in sora.store.named(b"passed/")] == [
        mina.device.room(room.id).own_id
    ]
    for turn in range(18):
        await people[turn % 2].room(room).refresh()
        await world.settle()
    kept = passing.copies(
        _Reading(sora), sora.device.room(room.id), dora.device.room(room.id).own_id, None
    )
    assert len(kept) == len(sora.store.named(b"passed/")) == 16
    prefixes = [SealedCommit.parse(COMMIT_COPY.parse(each)[0]).prefix for each in kept]
    path = [epoch.prefix for epoch in sora.device.room(room.id).state.epochs.values()]
    assert prefixes == path[-17:-1], "oldest first"


class _Reading:
    """What is in a store now, read only."""

    def __init__(self, actor: Actor) -> None:
        self._records = actor.store.contents()

    def get(self, name: bytes) -> bytes | None:
        return self._records.get(name)

    def put(self, name: bytes, data: bytes) -> None:
        raise AssertionError("it is only read")

    def delete(self, name: bytes) -> None:
        raise AssertionError("it is only read")

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter([(k, v) for k, v in self._records.items() if k.startswith(prefix)])


async def test_who_is_asked_from_an_unknown_epoch_asks_back(
    world: World, people: list[Actor], room: Conversation
) -> None:
    """10.12: the asker has what the asked one has missed, though it has said nothing there."""
    mina, _, _, dora = people
    world.relay.paused = True
    await mina.room(room).refresh()
    await world.settle()
    world.relay.keep_back_last(dora.mailbox(room).address)
    await resume(world)
    assert dora.room(room).epoch == mina.room(room).epoch - 1
    await world.put_payload(dora.mailbox(room), request_of(mina, room, world.clock.now()))
    await world.settle()
    assert dora.room(room).transcript == mina.room(room).transcript
    assert len(of_kind(mina.payloads(), SIGNED.type)) == 1
    await world.advance(60)
    await world.put_payload(dora.mailbox(room), request_of(mina, room, world.clock.now()))
    await world.settle()
    assert len(of_kind(mina.payloads(), SIGNED.type)) == 1, "it knows that epoch now"
    await world.check_talk(room, *people)
