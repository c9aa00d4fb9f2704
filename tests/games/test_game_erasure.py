"""Confidentiality after erasure: what a device has consumed, no later thief of it reads.

The adversary records everything, decides what arrives when and how often, and takes the complete
state of any device, as often as it likes. It must read exactly what the ledger predicts. And where
it takes devices only at the end, nothing that had gone from all of them by then may be among it.
"""

from __future__ import annotations

import pytest
from hypothesis import given

from evanesce.content import Said
from evanesce.membership import Mode, Policy
from tests.games.ledger import Break
from tests.games.schedule import (
    EVAPORATIONS,
    Move,
    game,
    moves,
    must_not_read,
    play,
    verdict,
)
from tests.games.toolkit import Attack
from tests.games.world import HOUR, Message, World

GROUP = moves(
    ("say", 6), ("hear", 5), ("all", 3), ("view", 2), ("view all", 3), ("refresh", 2),
    ("remove", 1), ("add", 1), ("pass", 2), ("take", 2), ("again", 1), ("drop", 1),
    ("restart", 1),
)  # fmt: skip
DIRECT = moves(
    ("say", 6), ("hear", 5), ("all", 3), ("view", 2), ("view all", 3), ("pass", 2), ("take", 2),
    ("again", 1), ("drop", 1), ("restart", 1),
)  # fmt: skip


@game(40)
@given(GROUP)
def test_a_group_gives_a_thief_what_the_schedule_says_and_no_more(plan: list[Move]) -> None:
    world = World("ann", "bob", "cid", outsiders=["dan", "eve"])
    play(world, plan)
    for name in world.devices:
        world.capture(name)
    verdict(world)


@game(40)
@given(DIRECT)
def test_a_direct_room_gives_a_thief_what_the_schedule_says_and_no_more(plan: list[Move]) -> None:
    world = World("ann", "bob", policy=Policy(Mode.DIRECT), joined=False)
    play(world, plan)
    for name in world.devices:
        world.capture(name)
    verdict(world)


def talk(world: World, rounds: int) -> list[Message | None]:
    """Everybody says something short-lived, and all of it comes; in a group, somebody commits."""
    said = []
    names = world.active
    for turn in range(rounds):
        for name in names:
            said += [world.say(name, EVAPORATIONS[n]) for n in (1, 2)]
        first, *rest = [post for post in world.posts if post.kind == "message"]
        for post in (*rest, first):
            world.hear(post)
        world.hear_all()
        if not world.direct:
            world.commit(names[turn % len(names)])
            world.hear_all()
    for name in names:
        for message in world.kept(name):
            world.view(name, message)
    world.pass_time(2 * HOUR)
    return said


def consumed(mode: Mode) -> None:
    """Everything has come, was viewed, and has gone: who takes every device now, reads nothing."""
    names = ("ann", "bob", "cid") if mode is Mode.SIGNED else ("ann", "bob")
    world = World(*names, policy=Policy(mode), roles={})
    said = talk(world, 3)
    for name in names:
        assert not world.kept(name)
        world.capture(name, flash=True)
    read = verdict(world)
    must_not_read(read, said)
    assert len(said) == 6 * len(names)


@pytest.mark.parametrize("mode", [Mode.SIGNED, Mode.DIRECT])
def test_who_comes_after_reads_nothing_that_all_have_consumed(mode: Mode) -> None:
    """The plain case, on the day itself: old epochs are still kept."""
    consumed(mode)


def test_a_key_that_waits_for_a_lost_message_waits_72_hours() -> None:
    """Lost messages in the middle and at the end of a chain, of an epoch that is over or not."""
    world = World("ann", "bob", "cid")
    lost = [world.say("ann"), world.say("bob")]
    world.say("ann")
    world.posts = [post for post in world.posts if post.to == "cid"
                   and lost[0] is not None and lost[1] is not None
                   and post.about not in (lost[0].id, lost[1].id)]  # fmt: skip
    world.hear_all()
    world.capture("cid")
    must_read = verdict(world)
    assert must_read >= {message.id for message in lost if message is not None}
    world.captures.clear()
    world.ledger.stolen.clear()
    world.commit("cid")
    late = world.say("cid")
    world.hear_all()
    world.commit("cid")
    world.pass_time(73 * HOUR)
    world.capture("cid", flash=True)
    must_not_read(verdict(world), [*lost, late])


def test_a_skipped_key_of_the_current_epoch_waits_72_hours() -> None:
    """Nobody commits; the message that was lost in the middle of a chain is lost for good."""
    world = World("ann", "bob", "cid")
    lost = world.say("ann")
    world.say("ann")
    world.posts = [post for post in world.posts if lost is None or post.about != lost.id]
    world.hear_all()
    world.pass_time(73 * HOUR)
    world.capture("cid", flash=True)
    must_not_read(verdict(world), [lost])


def test_a_device_that_was_put_back_does_not_use_a_key_twice() -> None:
    """A clone, or a restored backup, says something else at an index that has been used.

    The adversary knows what was said first. With one AEAD key for both it would know the second.
    """
    for mode in (Mode.SIGNED, Mode.DIRECT):
        world = World("ann", "bob", policy=Policy(mode))
        before = world.devices["ann"].capture()
        first = world.say("ann", EVAPORATIONS[1], "the first, which is known")
        world.roll_back("ann", before)
        ann = world.devices["ann"]
        said = Said("the second, unknown to it", world.now, EVAPORATIONS[1])
        second = ann.there.send(ann.keys, said, world.now, ann.random)
        assert first is not None
        world.tape.messages.append(second.message)
        attack = Attack(world.tape)
        known = Said(first.body, world.now, EVAPORATIONS[1]).encode()
        attack.tell(first.id, known)
        read = attack.run()
        assert read.pop(first.id) == first.body
        if read:
            raise Break(f"read by its key stream: {read}")
