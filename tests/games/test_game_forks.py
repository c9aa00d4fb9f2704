"""The same games where members commit at once: siblings, lost commits, and what is kept for them.

What a device keeps to process siblings must open siblings that it has not seen yet, and no epoch
that it has (chapter 14). A refresh that has lost has healed nobody. A removal that was seen, on
whatever branch, is a removal: nothing is said any more where its target can read it. And who signs
two commits on one epoch is found out, before members that it has parted go on talking.
"""

from __future__ import annotations

from hypothesis import given

from evanesce.errors import EvanesceError, LocalError
from tests.games import forging
from tests.games.ledger import Break
from tests.games.schedule import EVAPORATIONS, Move, game, moves, must_not_read, play, verdict
from tests.games.world import HOUR, Message, Stream, World

DENSE = moves(
    ("say", 6), ("hear", 8), ("all", 2), ("view all", 2), ("refresh", 5), ("remove", 1), ("add", 1),
    ("take", 2), ("pass", 1), ("drop", 1), ("restart", 1), least=8, most=30,
)  # fmt: skip
KEPT = moves(
    ("say", 4), ("hear", 9), ("all", 1), ("refresh", 5), ("remove", 2), ("restart", 1),
    least=6, most=30,
)  # fmt: skip


@game(25)
@given(DENSE)
def test_a_thief_of_a_branching_room_gets_what_the_schedule_says(plan: list[Move]) -> None:
    world = World("ann", "bob", "cid", "dan", outsiders=["eve"])
    play(world, plan)
    for name in world.devices:
        world.capture(name)
    verdict(world)


@game(40)
@given(KEPT)
def test_who_has_heard_everything_is_in_one_room(plan: list[Move]) -> None:
    """Agreement: once all has come, all who are in the room hold one transcript and one roster."""
    world = World("ann", "bob", "cid", "dan")
    play(world, plan)
    world.hear_all()
    rooms = [world.room(name) for name in world.active]
    if len({(room.transcript, room.roster.encode(), room.policy) for room in rooms}) > 1:
        raise Break("members who have heard the same are in different rooms")
    inside = {member.id for room in rooms for member in room.roster}
    if inside != {room.own_id for room in rooms}:
        raise Break("the roster is not who is there")


def at_once(world: World, *names: str) -> None:
    """All of these commit on the epoch they share, before anything is delivered."""
    parents = {world.room(name).transcript for name in names}
    assert len(parents) == 1
    for name in names:
        world.commit(name)


def both_branches_are_consumed() -> None:
    """All commit at once and speak at once; all has come, was viewed, and has gone."""
    names = ("ann", "bob", "cid")
    world = World(*names)
    said: list[Message | None] = []
    for _ in range(2):
        at_once(world, *names)
        for name in names:  # each on its own branch, all but one of which will have lost
            said += [world.say(name, EVAPORATIONS[n]) for n in (1, 2)]
        world.hear_all()
        said += [world.say(name, EVAPORATIONS[1]) for name in names]
        world.hear_all()
    assert len({world.room(name).transcript for name in names}) == 1
    for name in names:
        for message in world.kept(name):
            world.view(name, message)
    world.pass_time(2 * HOUR)
    for name in names:
        assert len(world.room(name).state.epochs) == 7, "the losing epochs are kept"
        world.capture(name, flash=True)
    read = verdict(world)
    must_not_read(read, said)
    assert len(said) == 18


def test_what_was_said_on_a_losing_branch_is_erased_as_well() -> None:
    both_branches_are_consumed()


def test_what_is_kept_for_siblings_opens_siblings_that_have_not_come() -> None:
    """The price of processing siblings, as chapter 14 states it: 72 h, and not one second more."""
    world = World("ann", "bob", "cid")
    at_once(world, "ann", "bob")
    on_losing = world.say("bob")
    world.posts = [post for post in world.posts if post.to != "cid" or post.about ==
                   world.room("ann").transcript]  # fmt: skip
    world.hear_all("cid")
    assert world.room("cid").transcript == world.room("ann").transcript
    assert on_losing is not None
    world.capture("cid")
    assert on_losing.id in verdict(world), "the sibling never came to Cid"
    world.captures.clear()
    world.ledger.stolen.clear()
    world.pass_time(72 * HOUR + 1)
    world.capture("cid", flash=True)
    must_not_read(verdict(world), [on_losing])


def lost_refresh() -> None:
    """Bob was robbed, and refreshes while Ann commits. His commit loses: he has not healed.

    The device must know it; and when it commits again, the thief is out.
    """
    world = World("ann", "bob", "cid")
    world.capture("bob")
    at_once(world, "ann", "bob")
    healed_branch = world.say("bob", EVAPORATIONS[1])
    world.hear_all()
    assert world.room("bob").transcript == world.room("ann").transcript
    not_healed = world.say("ann", EVAPORATIONS[1])
    assert not_healed is not None
    world.hear_all()
    read = verdict(world)
    must_not_read(read, [healed_branch])
    assert not_healed.id in read, "a refresh that has lost heals nothing"
    if not world.room("bob").refresh_due(world.now):
        raise Break("the device believes that it has healed")
    world.commit("bob")
    world.hear_all()
    after = [world.say(name) for name in ("ann", "bob", "cid")]
    world.hear_all()
    must_not_read(verdict(world), after)


def test_a_refresh_that_has_lost_is_due_again() -> None:
    lost_refresh()


def lost_removal() -> None:
    """Bob removes Cid while Ann commits; her commit wins, and Cid is in its roster.

    Cid is the adversary. Who has seen the removal says nothing before Cid is out.
    """
    world = World("ann", "bob", "cid", "dan")
    world.commit("ann")
    removal = world.removal("cid", "bob")
    assert removal is not None
    world.commit("bob", removal)
    world.hear_all()
    assert world.room("cid").own_id in world.room("ann").roster, "the removal has lost"
    world.capture("cid")
    said = [world.say(name) for name in ("ann", "bob", "dan")]
    world.commit("dan")
    world.hear_all()
    world.capture("cid")
    assert not world.devices["cid"].active, "any member's commit carries the removal out"
    said += [world.say(name) for name in ("ann", "bob", "dan")]
    world.hear_all()
    must_not_read(verdict(world), said)
    assert sum(message is not None for message in said) == 3


def test_nothing_is_said_to_whose_removal_has_been_seen() -> None:
    lost_removal()


def two_commits() -> None:
    """Cid signs two commits on one epoch, and sends one to Ann first, the other to Bob first."""
    world = World("ann", "bob", "cid")
    keys = world.devices["cid"].keys
    made = []
    for number in range(2):
        clone = forging.clone_of(world.devices["cid"])
        made.append(clone.commit(keys, [], [], world.now, Stream(f"fork {number}")))
    for name, order in (("ann", made), ("bob", made[::-1])):
        room = world.room(name)
        for commit in order:
            try:
                room.apply(commit.copies[room.own_id], world.now)
            except EvanesceError:
                continue
    if world.room("ann").transcript == world.room("bob").transcript:
        return
    for name in ("ann", "bob"):
        device = world.devices[name]
        try:
            device.there.send(device.keys, EMPTY, world.now, device.random)
        except LocalError:
            continue
        raise Break(f"{name} goes on in a room that has been split before its eyes")


EMPTY = forging.words("never to be sent")


def test_who_signs_two_commits_parts_nobody_unnoticed() -> None:
    two_commits()
