"""Agreement on the roster: who reads each other is in the same room, and knows the same of it.

The adversary is a member that runs another client: it may give members different secrets, tell a
joiner what is not so, and do what it has no right to. Two honest devices that hold the same
transcript hash must hold the same roster, policy and secrets; and two that do not hold the same
view, however that came about, must not be able to read each other. A roster changes by nobody's
hand but an entitled member's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given

from evanesce import membership
from evanesce.content import Evaporation
from evanesce.errors import EvanesceError
from evanesce.membership import Policy, Role, Roster
from evanesce.operations import Remove, SetPolicy, SetRole
from evanesce.room import Room
from tests.games import forging
from tests.games.ledger import Break
from tests.games.schedule import Move, game, moves, play
from tests.games.world import World

MOVES = moves(
    ("say", 5), ("hear", 6), ("all", 3), ("refresh", 4), ("remove", 2), ("add", 2), ("drop", 1),
    ("restart", 1), ("pass", 1), least=6,
)  # fmt: skip


def check_views(world: World) -> None:
    """Devices with the same transcript hash agree about all else."""
    seen: dict[bytes, tuple[bytes, Policy, bytes]] = {}
    secrets: dict[bytes, bytes] = {}
    for name, device in world.devices.items():
        if device.room is None:
            continue
        for epoch in device.room.state.epochs.values():
            view = epoch.roster.encode(), epoch.policy, epoch.context
            if seen.setdefault(epoch.transcript, view) != view:
                raise Break(f"{name} has another view of an epoch than others in it")
        if not device.room.closed:
            export = device.room.export(b"agreement")
            if secrets.setdefault(device.room.transcript, export) != export:
                raise Break(f"{name} has other keys than others in the same room")


@game(40)
@given(MOVES)
def test_all_who_share_a_transcript_share_everything(plan: list[Move]) -> None:
    world = World("ann", "bob", "cid", outsiders=["dan", "eve"])
    for move in plan:
        play(world, [move])
        check_views(world)


def two_secrets() -> None:
    """Cid commits, with another secret in Bob's slot than in Ann's."""
    world = World("ann", "bob", "cid")
    made = forging.with_two_secrets(world, "cid", "bob")
    before = world.room("ann").transcript
    applied = []
    for name in ("ann", "bob"):
        room = world.room(name)
        try:
            room.apply(made.copies[room.own_id], world.now)
        except EvanesceError:
            continue
        applied.append(room.transcript != before)
    check_views(world)
    if applied != [True]:
        raise Break("a commit with two secrets has split the room, and nobody was told")


def test_a_commit_with_two_secrets_is_not_applied_by_both() -> None:
    two_secrets()


Lie = Callable[[Roster, Policy], tuple[Roster, Policy]]


def other_policy(roster: Roster, policy: Policy) -> tuple[Roster, Policy]:
    return roster, replace(policy, evaporation=Evaporation(0, 60))


def other_roster(roster: Roster, policy: Policy) -> tuple[Roster, Policy]:
    """The joiner is told that the first member is the last it would guess: a mere member."""
    first = next(iter(roster))
    last = list(roster)[-1]
    changed = roster.change(last.id, role=Role.OWNER).change(first.id, role=Role.MEMBER)
    return changed, policy


def false_welcome(lie: Lie) -> None:
    """Cid lets Dan in, and tells it another roster or policy than it has committed."""
    world = World("ann", "bob", "cid", outsiders=["dan"])
    _, guest = world.guest("dan")
    made = forging.with_false_welcome(world, "cid", guest, lie, committed=False)
    dan = world.devices["dan"]
    (invitation,) = made.invitations.values()
    for name in ("ann", "bob"):
        room = world.room(name)
        room.apply(made.copies[room.own_id], world.now)
    try:
        dan.room, _ = Room.join(dan.keys, dan.packages[guest.package.hash], invitation, world.now)
    except EvanesceError:
        return
    check_views(world)
    raise Break("a joiner believes what was not committed")


@pytest.mark.parametrize("lie", [other_policy, other_roster])
def test_a_joiner_is_not_told_another_room(lie: Lie) -> None:
    false_welcome(lie)


def without_right() -> None:
    """Cid is a mere member: what it may not do is refused, one by one, by all."""
    world = World("ann", "bob", "cid")
    ann, cid = world.room("cid").roster[world.room("ann").own_id], world.room("cid").own_id
    bob = world.room("bob").own_id
    wishes = {
        "make itself owner": SetRole(cid, Role.OWNER),
        "lift another": SetRole(bob, Role.OWNER),
        "remove the owner": Remove(ann.id, ann.admission),
        "change the policy": SetPolicy(replace(world.policy, evaporation=Evaporation(0, 60))),
    }
    for what, wish in wishes.items():
        made = forging.without_right(world, "cid", wish)
        for name in ("ann", "bob"):
            room = world.room(name)
            copy = made.copies[room.own_id]
            forging.must_refuse(world, name, what, partial(room.apply, copy, world.now))


def test_nobody_does_what_it_is_not_entitled_to() -> None:
    without_right()


def other_view(what: str) -> None:
    """Bob's device has all keys of the epoch, and another view of it: its words reach nobody.

    How it came to that does not matter: a fault, or an attack that is not thought of here.
    """
    world = World("ann", "bob", "cid")
    epoch = world.room("bob").state.epoch
    room, policy, roster, transcript = (
        world.room("bob").id, epoch.policy, epoch.roster, epoch.transcript
    )
    if what == "room":
        room = room[::-1]
    elif what == "policy":
        _, policy = other_policy(roster, policy)
    elif what == "roster":
        roster, _ = other_roster(roster, policy)
    else:
        transcript = transcript[:8] + transcript[:7:-1]
    suite = world.room("bob").state.suite
    epoch.context = membership.context_hash(suite, room, policy, roster.encode(), transcript)
    for sender, receivers in (("bob", ("ann", "cid")), ("ann", ("bob",))):
        message = world.say(sender)
        assert message is not None
        for receiver in receivers:
            forging.must_refuse(
                world, receiver, f"words of a device with another {what}",
                partial(world.room(receiver).receive, message.data, world.now),
            )  # fmt: skip


@pytest.mark.parametrize("what", ["room", "policy", "roster", "transcript"])
def test_who_has_another_view_is_not_read(what: str) -> None:
    other_view(what)
