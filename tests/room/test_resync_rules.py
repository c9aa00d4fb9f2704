"""Letting a member in anew: who may, by what request, and what stays as it was (spec 9.8)."""

from __future__ import annotations

from typing import Any

import pytest

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.formats import COMMIT_COPY
from evanesce.founding import Invited
from evanesce.group import CommitMade
from evanesce.limits import MAX_CLOCK_LEAD, PACKAGE_LIFETIME, REQUEST_LIFETIME
from evanesce.membership import Role
from evanesce.operations import Remove, Resync, SetRole
from evanesce.resync import ResyncRequest
from evanesce.room import Room
from tests.room.room_support import NOW, World


@pytest.fixture
def world() -> World:
    return World("Mina", "Junho", "Sora", roles={"Junho": Role.ADMIN}, outsiders=("Yuna",))


def request(world: World, who: str, *, time: int = NOW, **named: Any) -> ResyncRequest:
    """A request of a member, by a new package."""
    person = world.people[who]
    package = person.package(now=named.pop("made", NOW), **named).package
    return ResyncRequest.make(person.keys, world[who].id, world[who].own_id, time, package)


def back(world: World, who: str, made: CommitMade, asked: ResyncRequest) -> Room:
    """Come back by the invitation that a resync made."""
    person = world.people[who]
    guest = Invited(asked.package, 0)
    return person.join(made.invitations[world[who].own_id], guest, world.now)


def check_refused(world: World, by: str, reason: Reason, *operations: Any) -> None:
    before = world[by].digest()
    with pytest.raises(LocalError) as caught:
        world.make(by, *operations)
    assert caught.value.reason is reason
    assert world[by].digest() == before


@pytest.mark.parametrize("by", ["Mina", "Junho"])
def test_a_member_comes_back_with_id_role_and_place(world: World, by: str) -> None:
    others = {"Mina": "Junho", "Junho": "Mina"}
    before, asked = world.member("Sora", at=by), request(world, "Sora")
    made = world.make(by, Resync(asked))
    assert COMMIT_COPY.parse(made.copies[world["Sora"].own_id])[1] is None, "no key for it"
    applied = world.apply(others[by], made)
    (anew,) = applied.resynced
    assert (applied.added, applied.removed) == ((), ())
    old, world.rooms["Sora"] = world["Sora"], back(world, "Sora", made, asked)
    now = world.member("Sora", at=by)
    assert anew == now == world.member("Sora")
    assert (now.id, now.role, now.seniority, now.admission, now.identity) == (
        before.id, before.role, before.seniority, before.admission, before.identity,
    )  # fmt: skip
    assert now.resynced == NOW
    assert now.credential.signed == asked.package.signed
    assert world["Sora"].first_refresh_due
    assert old.own_id == world["Sora"].own_id
    for name in ("Mina", "Junho", "Sora"):
        for got in world.deliver(world.send(name, f"{name} speaks")).values():
            assert (got.missing, got.lost) == (0, False)


def test_what_it_said_before_can_still_come_and_what_it_says_now_counts_anew(
    world: World,
) -> None:
    """Its new place does not know how often it spoke: the old chains stay open."""
    world.deliver(world.send("Sora", "first"))
    late = world.send("Sora", "late")
    asked = request(world, "Sora")
    made = world.make("Mina", Resync(asked))
    world.apply("Junho", made)
    world.rooms["Sora"] = back(world, "Sora", made, asked)
    assert world.deliver(world.send("Sora", "new"))["Junho"].missing == 0
    again = world.make("Sora")
    for name in ("Mina", "Junho"):
        world.apply(name, again)
    assert world.body("Junho", world.send("Sora", "newer")) == "newer"
    assert world.body("Junho", late) == "late"


def test_the_new_keys_and_no_old_ones_open_the_room(world: World) -> None:
    """Whoever has only what the device had before reads nothing of the new epoch."""
    asked = request(world, "Sora")
    made = world.make("Mina", Resync(asked))
    world.apply("Junho", made)
    old = world["Sora"]
    before = old.digest()
    for copy in made.copies.values():  # its own without a slot, and another's: no help either
        with pytest.raises(RemoteError) as caught:
            old.apply(copy, NOW)
        assert caught.value.reason is Reason.ROOM_CLOSED
        assert old.digest() == before


def test_nobody_lets_itself_in_anew(world: World) -> None:
    check_refused(world, "Mina", Reason.NOT_ENTITLED, Resync(request(world, "Mina")))


def test_one_request_is_granted_once(world: World) -> None:
    asked = request(world, "Sora")
    made = world.make("Mina", Resync(asked))
    world.apply("Junho", made)
    check_refused(world, "Junho", Reason.USED_PACKAGE, Resync(asked))
    world.rooms["Sora"] = back(world, "Sora", made, asked)
    own = world.make("Sora")
    for name in ("Mina", "Junho"):
        world.apply(name, own)
    check_refused(world, "Junho", Reason.REPLAY, Resync(asked))
    check_refused(world, "Junho", Reason.REPLAY, Resync(request(world, "Sora", time=NOW)))
    world.make("Junho", Resync(request(world, "Sora", time=NOW + 1)))


@pytest.mark.parametrize(
    ("time", "made", "reason"),
    [
        (NOW - REQUEST_LIFETIME, NOW, None),
        (NOW - REQUEST_LIFETIME - 1, NOW, Reason.EXPIRED),
        (NOW + MAX_CLOCK_LEAD, NOW, None),
        (NOW + MAX_CLOCK_LEAD + 1, NOW, Reason.BAD_PROOF),
        (NOW, NOW - PACKAGE_LIFETIME, None),
        (NOW, NOW - PACKAGE_LIFETIME - 1, Reason.EXPIRED),
    ],
)
def test_time_bounds_a_request(
    world: World, time: int, made: int, reason: Reason | None
) -> None:
    operation = Resync(request(world, "Sora", time=time, made=made))
    if reason is None:
        world.apply("Junho", world.make("Mina", operation))
    else:
        check_refused(world, "Mina", reason, operation)


def test_a_last_resort_package_or_anothers_lets_nobody_in(world: World) -> None:
    check_refused(
        world, "Mina", Reason.BAD_PROOF, Resync(request(world, "Sora", last_resort=True))
    )
    yuna, sora = world.people["Yuna"], world["Sora"]
    stolen = ResyncRequest.make(yuna.keys, sora.id, sora.own_id, NOW, yuna.package().package)
    check_refused(world, "Mina", Reason.WRONG_IDENTITY, Resync(stolen))
    own_package = world.people["Sora"].package().package
    forged = ResyncRequest.make(yuna.keys, sora.id, sora.own_id, NOW, own_package)
    check_refused(world, "Mina", Reason.BAD_SIGNATURE, Resync(forged))


def test_a_member_that_this_commit_removes_does_not_come_back(world: World) -> None:
    member = world.member("Sora", at="Mina")
    check_refused(
        world, "Mina", Reason.UNKNOWN_MEMBER,
        Remove(member.id, member.admission), Resync(request(world, "Sora")),
    )  # fmt: skip


def test_a_role_may_change_along(world: World) -> None:
    sora, asked = world["Sora"].own_id, request(world, "Sora")
    made = world.make("Mina", SetRole(sora, Role.ADMIN), Resync(asked))
    world.apply("Junho", made)
    assert back(world, "Sora", made, asked).roster[sora].role is Role.ADMIN


def test_whoever_is_added_and_whoever_comes_back_share_one_commit(world: World) -> None:
    asked, guest = request(world, "Sora"), world.people["Yuna"].invited()
    made = world.make("Mina", Resync(asked), invite=[guest])
    assert next(iter(made.invitations)) == world["Sora"].own_id, "in the order of the operations"
    world.apply("Junho", made)
    world.rooms["Sora"] = back(world, "Sora", made, asked)
    invitation = list(made.invitations.values())[1]
    world.rooms["Yuna"] = world.people["Yuna"].join(invitation, guest, NOW)
    world.deliver(world.send("Yuna", "hello"))
    world.deliver(world.send("Sora", "hello again"))
    assert len({room.transcript for room in world.rooms.values()}) == 1


def test_a_joiner_is_not_moved_by_a_request_that_it_did_not_sign(world: World) -> None:
    """An insider that makes up a welcome still needs the request itself."""
    yuna, sora = world.people["Yuna"], world.people["Sora"]
    package = sora.package().package
    forged = ResyncRequest.make(yuna.keys, world["Sora"].id, world["Sora"].own_id, NOW, package)
    forged_check = ResyncRequest.check
    made = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResyncRequest, "check", lambda self, *_: world.member("Sora", at="Mina"))
        made = world.make("Mina", Resync(forged))
    assert ResyncRequest.check is forged_check
    with pytest.raises(RemoteError) as caught:
        back(world, "Sora", made, forged)
    assert caught.value.reason is Reason.BAD_SIGNATURE
