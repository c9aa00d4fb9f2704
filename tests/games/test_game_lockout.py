"""Lock-out: who has been removed reads nothing that is said after, and cannot be heard any more.

The adversary is a member: its device is taken at any time before and after it is removed. It may
collude with later thefts of others; what that gives it is what the ledger says, since whoever knows
the inits of an epoch needs but one leaf key to follow a commit on it.
"""

from __future__ import annotations

from hypothesis import given

from tests.games.ledger import Break
from tests.games.schedule import Move, game, moves, must_not_read, play, verdict
from tests.games.world import World

BEFORE = moves(
    ("say", 5), ("all", 4), ("hear", 3), ("refresh", 2), ("add", 1), ("take", 2), ("view all", 1),
    least=0, most=12,
)  # fmt: skip
AFTER = moves(
    ("say", 5), ("all", 4), ("hear", 3), ("refresh", 2), ("add", 1), ("take", 2), ("view all", 2),
    ("pass", 1), ("drop", 1), ("restart", 1), least=6,
)  # fmt: skip


def since(world: World, epoch: bytes) -> list[bytes]:
    """The epochs from this one on, on its branch."""
    return [other for other in world.ledger.opened if world.ledger.descends(other, epoch)]


@game(30)
@given(BEFORE, AFTER)
def test_a_removed_member_reads_nothing_that_follows(
    before: list[Move], after: list[Move]
) -> None:
    world = World("ann", "bob", "cid", outsiders=["dan"])
    play(world, before, ["cid"])
    world.hear_all()
    removal = world.removal("cid", "ann")
    epoch = None if removal is None else world.commit("ann", removal)
    world.capture("cid")
    play(world, after, ["cid"])
    world.capture("cid")
    read = verdict(world)
    if epoch is not None:
        shut = since(world, epoch)
        must_not_read(read, [m for m in world.messages.values() if m.epoch in shut])


@game(30)
@given(BEFORE, AFTER)
def test_a_removed_member_gains_by_later_thefts_what_the_schedule_says(
    before: list[Move], after: list[Move]
) -> None:
    """Collusion: any device may be taken after the removal."""
    world = World("ann", "bob", "cid", outsiders=["dan"])
    play(world, before, ["cid"])
    world.hear_all()
    removal = world.removal("cid", "ann")
    if removal is not None:
        world.commit("ann", removal)
    world.capture("cid")
    play(world, after)
    verdict(world)


def test_a_later_theft_helps_a_removed_member_until_that_device_commits() -> None:
    """Cid keeps the inits of its last epoch; Bob's old leaf key opens the slot of Ann's commit."""
    world = World("ann", "bob", "cid")
    removal = world.removal("cid", "ann")
    world.capture("cid")
    assert removal is not None
    world.commit("ann", removal)
    world.hear_all()
    first = [world.say("ann"), world.say("bob")]
    world.hear_all()
    for name in ("ann", "bob"):
        for message in world.kept(name):
            world.view(name, message)
    must_not_read(verdict(world), first)
    world.commit("bob")
    world.hear_all()
    second = [world.say("ann"), world.say("bob")]
    world.hear_all()
    world.pass_time(73 * 3_600)
    world.capture("bob")
    must_not_read(verdict(world), second)


def test_a_removed_member_is_not_heard_by_those_who_know() -> None:
    """Its late messages are refused; who has not applied the removal yet still hears them."""
    world = World("ann", "bob", "cid")
    removal = world.removal("cid", "ann")
    assert removal is not None
    late = world.say("cid")
    assert late is not None
    world.commit("ann", removal)
    world.hear_all("bob")
    later = world.say("cid")
    assert later is not None
    for name in ("ann", "bob"):
        for post in [post for post in world.posts if post.to == name and post.about in (
            later.id, *([late.id] if name == "ann" else [])
        )]:  # fmt: skip
            if world.hear(post):
                raise Break(f"{name} heard a removed member")
    assert {error.reason.value for _, error in world.refusals} == {"unknown-member"}
