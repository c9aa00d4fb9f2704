"""What a stranger with a card, or one broken room, does to the rest of a device."""

from __future__ import annotations

import pytest

from evanesce import (
    ChangesLost,
    LocalError,
    Policy,
    Reason,
    RemovedFromRoom,
    RoomJoined,
    actions,
)
from evanesce.applying import CommitApplied
from evanesce.founding import Invited
from evanesce.limits import MAX_CLOCK_LEAD
from evanesce.membership import Mode, Role
from evanesce.operations import Remove
from evanesce.ports import ManualClock
from evanesce.room import Room
from tests.device.device_support import NOW, World
from tests.device.fork_support import minutes, resume
from tests.room.room_support import Person

HOUR = 3_600


async def test_who_is_moved_after_its_removal_gets_a_new_mailbox_and_opens_again(
    world: World,
) -> None:
    """12.5: the mailbox of its removal is retired and will be gone."""
    vic, friend = await world.open("Vic"), await world.open("Friend")
    room = await world.group(friend, vic)
    package = (await vic.device.card()).package
    mal, other = Person("mal"), Person("other")
    founded, _ = Room.found(mal.keys, Policy(Mode.SIGNED), [other.invited()], "mal",
                            mal.mailbox.mailbox, NOW - 3 * HOUR, mal.random)  # fmt: skip
    records = founded.records()
    one, two = Room.restore(records), Room.restore(records)
    indices = (None, None) if package.last_resort else (0, 1)
    guests = [Invited(package, index, Role.MEMBER) for index in indices]
    first = one.commit(mal.keys, [], guests[:1], NOW, mal.random)
    better = two.commit(mal.keys, [], guests[1:], NOW - 3 * HOUR, mal.random)
    (added,) = first.added
    removal = Remove(added.id, added.admission)
    removed = one.commit(mal.keys, [removal], [], NOW, mal.random)
    contact = vic.mailbox(None)
    for payload in (*first.invitations.values(), removed.copies[added.id],
                    *better.invitations.values()):  # fmt: skip
        await world.put_payload(contact, payload)
        await world.settle()
    assert len(vic.told(RemovedFromRoom)) == 1
    assert [e.room.id for e in vic.told(RoomJoined)].count(founded.id) == 2
    assert sum(own.room == founded.id and own.retired is None
               for own in vic.store.mailboxes()) == 1  # fmt: skip
    for _ in range(4):
        await world.advance(20 * HOUR)
    before = {own.keys.mailbox.address for own in vic.store.mailboxes()}
    await vic.restart()
    assert {own.keys.mailbox.address for own in vic.store.mailboxes()} == before
    await world.check_talk(room, vic, friend)


async def test_a_commit_of_its_own_that_is_refused_stops_no_device(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.group(mina, junho)
    tried = []

    def refuse(*_: object) -> None:
        tried.append(True)
        raise LocalError(Reason.BAD_SIGNATURE, "a stranger's doing")

    monkeypatch.setattr(actions, "commit", refuse)
    await junho.room(room).leave()  # mina commits that
    for _ in range(5):
        await world.advance(60)
    assert tried
    assert mina.failed is None
    monkeypatch.undo()
    for _ in range(5):
        await world.advance(60)
    assert len(mina.room(room).members) == 1  # it is tried again


async def test_a_room_whose_mailbox_is_missing_gets_another_and_goes_on(world: World) -> None:
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.group(mina, junho)
    other = await world.group(junho, mina)
    address = mina.mailbox(room).address
    await mina.close()
    with mina.store.transaction() as tx:
        tx.delete(b"mailbox/" + address)
    await mina.open()
    await world.settle()
    assert mina.mailbox(room).address != address
    await world.check_talk(other, mina, junho)
    await mina.room(room).send("I am elsewhere now")
    assert await junho.heard() == ["I am elsewhere now"]
    await world.advance(60)  # it is announced, if not with the message
    await world.check_talk(room, mina, junho)


async def test_a_commit_ahead_of_the_clock_is_judged_once_and_then_when_its_time_has_come(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQ-LIMIT-46, over a restart as well."""
    ahead = ManualClock(NOW + MAX_CLOCK_LEAD + 600)
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.group(mina, junho)
    await mina.close()
    mina.clock = ahead
    await mina.open()
    judged: list[int] = []
    apply = Room.apply

    def counted(self: Room, data: bytes, now: int) -> CommitApplied:
        judged.append(now)
        return apply(self, data, now)

    monkeypatch.setattr(Room, "apply", counted)
    room = mina.room(room)
    await room.refresh()
    await world.settle()
    assert len(judged) == 1
    for _ in range(4):
        await world.advance(60)
    await junho.close()
    await junho.open()
    for _ in range(4):
        await world.advance(60)
    assert len(judged) == 1, "its time has not come"
    await world.advance(180)
    assert len(judged) == 2
    world.check_agreement(room, mina, junho)


async def test_somebody_removed_on_a_branch_that_lost_is_not_admitted_again_by_itself(
    world: World,
) -> None:
    """10.9: the sanction names an id that nobody has any more, but its admission too."""
    behind = ManualClock(NOW)
    mina, junho = await world.open("Mina"), await world.open("Junho")
    sora, guest = await world.open("Sora", clock=behind), await world.open("Guest")
    room = await world.group(mina, junho, sora)
    await room.set_role(mina.person(room, junho), Role.ADMIN)
    await world.check_talk(room, mina, junho, sora)
    await world.advance(2 * 3_600)
    world.relay.paused = True
    before = {seen.envelope for seen in world.relay.seen}
    await sora.room(room).refresh()
    await world.settle()
    behind.advance(2 * 3_600)
    world.relay.kept_back |= {seen.envelope for seen in world.relay.seen} - before
    await resume(world)
    await junho.room(room).add(await guest.device.card(one_time=True))
    await world.settle()
    added = next(person for person in mina.room(room).members if person.name == "Guest")
    await mina.room(room).remove(added)
    await world.settle()
    assert guest.room(room).closed
    await world.relay.let_go()
    await minutes(world, 5)
    assert mina.room(room).transcript == junho.room(room).transcript == sora.room(room).transcript
    assert len(mina.room(room).members) == 3, "it is in again"
    lost = junho.told(ChangesLost)
    assert [len(event.added) for event in lost] == [1]
