"""Healing after a refresh: a passive thief is shut out by the owner's next commit (10.10).

The adversary takes devices of its choice, as often as it likes, and then goes on listening. From
the moment at which every stolen device has committed (or was removed) on the way to an epoch, what
is said there must be closed to it; until then, it must read what the ledger says.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.games.schedule import EVAPORATIONS, Move, game, moves, must_not_read, play, verdict
from tests.games.world import HOUR, World

MOVES = moves(
    ("say", 5), ("all", 5), ("hear", 3), ("view all", 2), ("refresh", 4), ("remove", 1), ("add", 1),
    ("pass", 1), ("take", 2), ("drop", 1), ("restart", 1),
)  # fmt: skip


def healed(world: World, stolen: dict[str, bytes]) -> set[bytes]:
    """The epochs on whose way every stolen device has committed or left since it was stolen."""
    found = set()
    for epoch in world.ledger.opened:
        if all(is_clean(world, epoch, name, at) for name, at in stolen.items()):
            found.add(epoch)
    return found


def is_clean(world: World, epoch: bytes, name: str, stolen_at: bytes) -> bool:
    ledger, own = world.ledger, world.ledger.places[name].own
    at: bytes | None = epoch
    clean = False
    while at is not None and at != stolen_at:
        opened = ledger.opened[at]
        before = set() if opened.parent is None else set(ledger.opened[opened.parent].leaf)
        clean = clean or opened.opener == own or (own in before and own not in opened.leaf)
        at = opened.parent
    return clean and at is not None


@game(40)
@given(MOVES, MOVES, st.sets(st.sampled_from(["ann", "bob", "cid"]), min_size=1, max_size=2))
def test_each_stolen_device_heals_the_room_by_its_own_commit(
    before: list[Move], after: list[Move], thieves: set[str]
) -> None:
    world = World("ann", "bob", "cid", outsiders=["dan"])
    play(world, before, sorted(thieves))
    stolen = {}
    for name in sorted(thieves):
        world.capture(name)
        stolen[name] = world.ledger.places[name].current
    play(world, [move for move in after if move[0] != "take"])
    read = verdict(world)
    clean = healed(world, stolen)
    must_not_read(read, [m for m in world.messages.values() if m.epoch in clean])


def test_two_thefts_need_two_refreshes() -> None:
    """The plain case of 10.10: k stolen devices, k commits, in whatever order."""
    world = World("ann", "bob", "cid")
    world.capture("ann")
    world.capture("bob")
    said = []
    for committer in ("ann", "cid", "bob", "ann"):
        world.commit(committer)
        world.hear_all()
        said.append([world.say(name) for name in ("ann", "bob", "cid")])
        world.hear_all()
    world.pass_time(2 * HOUR)
    read = verdict(world)
    must_not_read(read, said[2] + said[3])
    assert len(read) == 6, "until both have committed, all senders are read"


def thief_comes_back(adding: bool = False) -> None:
    """Ann's device is taken before its refresh and long after: between the two, nothing is read.

    Every other member's leaf key would open the slot of her commit; hers does not, and what she
    drew for it has gone.
    """
    world = World("ann", "bob", "cid", outsiders=["dan"])
    world.capture("ann")
    world.pass_time(2 * HOUR)  # else the wrap key taken would open what is yet to be wrapped
    world.commit("ann", guests=[world.guest("dan")] if adding else [])
    world.hear_all()
    said = [world.say(name, EVAPORATIONS[1]) for name in ("ann", "bob", "cid")]
    world.hear_all()
    must_not_read(verdict(world), said)
    for name in ("ann", "bob", "cid"):
        for message in world.kept(name):
            world.view(name, message)
    world.commit("cid")
    world.hear_all()
    world.pass_time(2 * HOUR)
    world.capture("ann", flash=True)
    must_not_read(verdict(world), said)


def test_a_thief_that_comes_back_later_does_not_read_what_was_between() -> None:
    thief_comes_back()


def test_a_commit_that_only_adds_heals_as_well() -> None:
    thief_comes_back(adding=True)
