"""Records of a room that an earlier version has written can be read, and go on from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evanesce.content import Said
from evanesce.errors import Reason, StorageError
from evanesce.membership import Role
from evanesce.operations import Remove, SetRole
from evanesce.room import Room
from evanesce.room_formats import FORMAT
from evanesce.tree import kept_trail, path
from evanesce.wire import decode, encode
from tests.room.room_support import Person, Stream, state_of

FROZEN = Path(__file__).parent / "frozen"
OLDER = range(1, FORMAT)


def frozen(version: int, who: str = "records") -> tuple[dict[bytes, bytes], dict[str, Any]]:
    held = json.loads((FROZEN / f"format-{version}.json").read_text())
    return {bytes.fromhex(k): bytes.fromhex(v) for k, v in held[who].items()}, held


def owner_and_other(version: int) -> tuple[tuple[Room, Person], tuple[Room, Person], int]:
    """Two members of a room, the owner first, and the time."""
    records, held = frozen(version)
    rooms = [Room.restore(records), Room.restore(frozen(version, "mina")[0])]
    both = list(zip(rooms, (Person("Junho"), Person("Mina")), strict=True))
    both.sort(key=lambda each: each[0].roster[each[0].own_id].rank)
    return both[0], both[1], held["now"]


def said(room: Room, message: str, now: int) -> str | bytes:
    content = room.receive(bytes.fromhex(message), now).content
    assert isinstance(content, Said)
    return content.body


def test_each_older_format_is_there_as_it_was_written() -> None:
    assert sorted(path.name for path in FROZEN.iterdir()) == [f"format-{n}.json" for n in OLDER]
    for version in OLDER:
        records, _ = frozen(version)
        assert decode(records[b"state"], limit=1 << 20)[0] == version


@pytest.mark.parametrize("version", OLDER)
def test_a_room_of_an_older_format_goes_on_where_it_was(version: int) -> None:
    records, held = frozen(version)
    room = Room.restore(records)
    assert [member.resynced is None for member in room.roster] == [True, True, version == 1]
    assert [(member.sponsor, member.ranked) for member in room.roster] == [(0, 0)] * 3
    assert said(room, held["messages"]["after"], held["now"]) == "after the upgrade"
    assert said(room, held["messages"]["late"], held["now"]) == "late"


@pytest.mark.parametrize("version", OLDER)
def test_its_epochs_are_the_tree_that_they_always_were(version: int) -> None:
    room = Room.restore(frozen(version)[0])
    state = state_of(room)
    kept = list(state.epochs.values())
    assert path(state) == kept[::-1], "each the child of the one before it"
    assert len(kept) >= version
    assert kept[0].parent is None
    assert {epoch.order for epoch in kept} == {None}, "as it was made is not known"
    assert [order for _, order in kept_trail(state)] == [None] * len(kept)
    assert all(epoch.taken == {} for epoch in kept)
    assert all(epoch.operations is None for epoch in kept)
    assert (state.noted, state.equivocators, state.removal, state.joined) == ({}, [], None, None)
    assert not room.closed
    assert not room.blocked


@pytest.mark.parametrize("version", OLDER)
def test_two_members_of_an_old_room_open_its_next_epochs(version: int) -> None:
    """Both compute the new form of the roster from the same old one."""
    (owner, person), (other, _), now = owner_and_other(version)
    for role in (None, Role.ADMIN, Role.MEMBER, Role.ADMIN):
        wishes = [] if role is None else [SetRole(other.own_id, role)]
        made = owner.commit(person.keys, wishes, [], now, person.random)
        other.apply(made.copies[other.own_id], now)
        assert other.transcript == owner.transcript
        owner = Room.restore(owner.records())
    assert owner.roster[other.own_id].role is Role.ADMIN
    sent = owner.send(person.keys, Said("on we go", now, owner.policy.evaporation),
                      now, person.random)  # fmt: skip
    assert said(other, sent.message.hex(), now) == "on we go"


@pytest.mark.parametrize("version", OLDER)
def test_an_old_room_takes_siblings_from_its_newest_epoch_on(version: int) -> None:
    (owner, first), (other, second), now = owner_and_other(version)
    worse = other.commit(second.keys, [], [], now, Stream("worse"))
    better = owner.commit(first.keys, [], [], now, Stream("better"))
    assert not owner.apply(worse.copies[owner.own_id], now).leads
    assert other.apply(better.copies[other.own_id], now).leads
    assert other.transcript == owner.transcript
    bucket = (now - path(state_of(owner))[1].time) // 3_600
    assert state_of(owner).epoch.order == (3, 0, bucket, 0, 0)


@pytest.mark.parametrize("version", OLDER)
def test_who_may_have_spoken_in_an_old_epoch_has_strayed_if_that_loses(version: int) -> None:
    """It was not kept in which epochs a device had spoken: a flag too many does no harm."""
    mina = Room.restore(frozen(version, "mina")[0])
    assert all(epoch.spoken for epoch in state_of(mina).epochs.values())


def test_what_was_known_of_a_resync_and_of_who_leaves_stays() -> None:
    records, held = frozen(2)
    room = Room.restore(records)
    (sora,) = room.leaving
    assert room.roster[sora].resynced == held["now"] - 3_600
    made = room.commit(Person("Junho").keys, [], [], held["now"], Stream("junho"))
    assert [member.id for member in made.removed] == [sora]
    again = Room.restore(records)
    twice = again.commit(
        Person("Junho").keys, [Remove(sora, again.roster[sora].admission)], [], held["now"],
        Stream("junho"),
    )  # fmt: skip
    assert [member.id for member in twice.removed] == [sora]


@pytest.mark.parametrize("version", OLDER)
def test_all_of_it_is_written_back_in_the_present_format(version: int) -> None:
    records, _ = frozen(version)
    room = Room.restore(records)
    changes = room.changes()
    assert set(changes) == set(records)
    present = {name: data for name, data in changes.items() if data is not None}
    assert decode(present[b"state"], limit=1 << 20)[0] == FORMAT
    again = Room.restore(present)
    assert not again.changes()
    assert again.digest() == room.digest()


@pytest.mark.parametrize("version", [0, FORMAT + 1, None, "3"])
def test_a_format_that_is_none_of_these_is_not_read(version: object) -> None:
    records = Room.restore(frozen(1)[0]).records()
    value = decode(records[b"state"], limit=1 << 20)
    value[0] = version
    with pytest.raises(StorageError) as caught:
        Room.restore({**records, b"state": encode(value)})
    assert caught.value.reason is Reason.BAD_STORE
