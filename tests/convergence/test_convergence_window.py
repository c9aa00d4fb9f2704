"""Partitions up to the window of 72 h and past it (REQ-EPOCH-31, 10.12, 10.13)."""

from __future__ import annotations

import pytest

from evanesce.errors import HeldError, LocalError, Reason, RemoteError
from evanesce.founding import Invited
from evanesce.group import CommitMade
from evanesce.membership import Role
from evanesce.operations import Remove, Resync
from evanesce.resync import ResyncRequest
from evanesce.speech import Sent as Message
from tests.room.room_support import World

Sent = CommitMade | Message
Held = dict[str, set[Reason]]


def two_sides(hours: int) -> tuple[World, list[Sent]]:
    """Ann and Cid have not heard of Bob and Dee for so long; each side has gone on.

    Bob's side has removed Cid, in the hour in which Ann, an owner, has committed too: her commit
    comes first. What was sent is returned, for later.
    """
    world = World("Ann", "Bob", "Cid", "Dee", roles={"Bob": Role.ADMIN})
    sides = {"Ann": "Cid", "Bob": "Dee"}
    sent: list[Sent] = []

    def commit(name: str, *wishes: Remove) -> None:
        made = world.make(name, *wishes)
        world.apply(sides[name], made)
        sent.append(made)

    commit("Ann")
    commit("Bob", world.removal("Cid"))
    for _ in range(2):
        world.now += hours * 1_800
        for room in world.rooms.values():
            room.expire(world.now)
        for name, other in sides.items():
            commit(name)
            said = world.send(name)
            world.receive(other, said)
            sent.append(said)
    return world, sent


def take(world: World, name: str, item: Sent) -> Reason | None:
    """Hand one thing to one device; why it is held, if it is."""
    room = world[name]
    try:
        if isinstance(item, CommitMade):
            if room.own_id in item.copies:
                room.apply(item.copies[room.own_id], world.now)
        elif room.own_id in item.recipients:
            room.receive(item.message, world.now)
    except HeldError as fault:
        return fault.reason
    except RemoteError as fault:  # of its own side, or of one that it has seen removed
        if fault.reason not in (Reason.REPLAY, Reason.OWN_MESSAGE, Reason.UNKNOWN_MEMBER):
            raise
    return None


def deliver(world: World, sent: list[Sent]) -> Held:
    """Everything comes to everybody, the last first; why each still holds what it holds."""
    held: Held = {}
    for name in world.rooms:
        for _ in sent:  # each time at least one more is taken, or nothing ever is
            found = {take(world, name, item) for item in reversed(sent)}
        held[name] = {reason for reason in found if reason is not None}
    return held


def spread(world: World, made: CommitMade, *names: str) -> None:
    """Deliver a commit to these."""
    for name in names:
        world.apply(name, made)


@pytest.mark.parametrize("hours", [1, 71, 72])
def test_two_sides_within_the_window_become_one_by_themselves(hours: int) -> None:
    world, sent = two_sides(hours)
    assert deliver(world, sent) == {name: set() for name in world.rooms}
    world.check_agreement()
    with pytest.raises(LocalError) as caught:
        world.send("Dee")
    assert caught.value.reason is Reason.REMOVAL_PENDING
    spread(world, world.make("Ann"), "Bob", "Cid", "Dee")  # what is pending is done again
    assert world["Cid"].closed
    world.check_agreement("Ann", "Bob", "Dee")
    world.check_talk("Ann", "Bob", "Dee")


def come_back(world: World, name: str, by: str) -> CommitMade:
    """One is let in anew by another, at its own request."""
    person, room = world.people[name], world[name]
    package = person.package(now=world.now).package
    asked = ResyncRequest.make(person.keys, room.id, room.own_id, world.now, package)
    made = world.make(by, Resync(asked))
    letter = made.invitations[room.own_id]
    back = person.join(letter, Invited(package, 0), world.now)
    assert not back.has_lost(room)
    back.take_over(room, moved=False)
    world.rooms[name] = back
    return made


def test_two_sides_past_the_window_know_it_and_come_back_by_rank() -> None:
    """Who cannot follow a member before it in rank asks it; what it saw removed stays so."""
    world, sent = two_sides(73)
    held = deliver(world, sent)
    assert held == {name: {Reason.UNKNOWN_EPOCH} for name in world.rooms}
    assert world["Ann"].transcript != world["Bob"].transcript
    spread(world, come_back(world, "Bob", "Ann"), "Cid")  # Ann stands before Bob and Dee
    spread(world, come_back(world, "Dee", "Ann"), "Bob", "Cid")
    world.check_agreement()
    with pytest.raises(LocalError) as caught:
        world.send("Bob")
    assert caught.value.reason is Reason.REMOVAL_PENDING, "it has seen Cid removed"
    spread(world, world.make("Bob"), "Ann", "Cid", "Dee")
    spread(world, world.make("Dee"), "Ann", "Bob")
    assert world["Cid"].closed
    world.check_agreement("Ann", "Bob", "Dee")
    world.check_talk("Ann", "Bob", "Dee")
