"""A joiner reads nothing earlier: what was said before its epoch stays closed to it.

The adversary is the joiner: its device is taken as often as it likes, from before it is invited,
and everything that was ever sent is on the tape. It learns the roster before, as far as it can
guess it, and all keys of its own epoch and of those that follow until it is removed.
"""

from __future__ import annotations

from hypothesis import given

from tests.games.schedule import Move, game, moves, must_not_read, play, verdict
from tests.games.world import World

BEFORE = moves(
    ("say", 6), ("all", 4), ("hear", 2), ("refresh", 2), ("remove", 1), least=3, most=12,
)  # fmt: skip
AFTER = moves(
    ("say", 4), ("all", 4), ("hear", 3), ("refresh", 2), ("remove", 1), ("take", 3), ("pass", 1),
    ("view all", 1), least=3, most=16,
)  # fmt: skip


@game(30)
@given(BEFORE, AFTER)
def test_a_joiner_reads_nothing_of_before(before: list[Move], after: list[Move]) -> None:
    world = World("ann", "bob", "cid", outsiders=["dan"])
    play(world, before)
    earlier = list(world.messages.values())
    guest = world.guest("dan")
    epoch = world.commit("ann", guests=[guest])
    world.capture("dan")  # with the prekey: so it keeps the welcome, whatever its device erases
    play(world, after, ["dan"])
    world.hear_all()
    world.capture("dan")
    read = verdict(world)
    must_not_read(read, earlier)
    if epoch is not None:
        ledger = world.ledger
        late = [m for m in world.messages.values() if not ledger.descends(m.epoch, epoch)]
        must_not_read(read, late)


def test_neither_an_add_nor_a_removal_beside_it_tells_a_joiner_what_was_before() -> None:
    """Every commit mixes in a fresh secret, and none of the epoch before goes into a welcome."""
    world = World("ann", "bob", "cid", outsiders=["dan", "eve"])
    earlier = [world.say(name) for name in ("ann", "bob", "cid")]
    world.hear_all()
    removal = world.removal("cid", "ann")
    assert removal is not None
    world.commit("ann", removal, guests=[world.guest("dan")])
    world.hear_all()
    between = [world.say(name) for name in ("ann", "bob", "dan")]
    world.hear_all()
    world.commit("bob", guests=[world.guest("eve")])
    world.capture("eve")
    world.hear_all()
    after = [world.say(name) for name in ("ann", "eve")]
    world.hear_all()
    world.capture("eve")
    read = verdict(world)
    must_not_read(read, earlier + between)
    assert read == {message.id for message in after if message is not None}
    world.capture("dan")
    must_not_read(verdict(world), earlier)
