"""A store that is an older copy: its rooms are stale, and nothing is sealed there any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from evanesce import (
    Conversation,
    Device,
    LocalError,
    Reason,
    RefreshDue,
    RoomJoined,
    RoomReplaced,
    SqliteStore,
    primitives,
)
from evanesce import message as message_module
from evanesce.events import RolledBack
from evanesce.limits import REFRESH_AFTER
from evanesce.store.anchor import FileAnchor
from tests.device.device_support import Actor, Store, World, refused
from tests.store.store_support import KEY


class PutBack(Store):
    """A store that notices that it was put back."""

    def __init__(self, contents: Mapping[bytes, bytes] | None = None) -> None:
        super().__init__(contents)
        self.rolled_back = contents is not None
        self._accepts: bool | None = None  # None: no transaction is open

    @contextmanager
    def transaction(self) -> Any:
        with super().transaction() as tx:
            self._accepts = False
            try:
                yield tx
            finally:
                accepts, self._accepts = self._accepts, None
        self.rolled_back = self.rolled_back and not accepts

    def accept_rollback(self) -> None:
        assert self._accepts is not None, "outside a transaction"
        self._accepts = True


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina", store=PutBack())


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def sora(world: World) -> Actor:
    return await world.open("Sora")


async def put_back(actor: Actor, contents: Mapping[bytes, bytes]) -> None:
    """Close a device and open it from an older copy of its store."""
    await actor.close()
    actor.store = PutBack(contents)
    await actor.open()


async def test_every_room_is_stale_and_that_is_told_once(
    world: World, mina: Actor, junho: Actor
) -> None:
    talk, group = await world.direct(mina, junho), await world.group(mina, junho)
    old = mina.store.contents()
    await talk.send("later")
    await put_back(mina, old)
    (event,) = mina.told(RolledBack)
    assert {room.id for room in event.rooms} == {talk.id, group.id}
    assert all(room.stale for room in mina.device.rooms)
    store: Any = mina.store
    assert not store.rolled_back
    await mina.restart()
    assert len(mina.told(RolledBack)) == 1
    assert all(room.stale for room in mina.device.rooms), "a restart heals nothing"


async def test_nothing_is_accepted_when_the_first_transaction_fails(
    world: World, mina: Actor, junho: Actor
) -> None:
    await world.direct(mina, junho)
    await mina.close()
    mina.store = store = PutBack(mina.store.contents())
    store.failing = {1}
    with pytest.raises(Exception, match="disk is full"):
        await mina.open()
    assert store.rolled_back
    await mina.open()
    assert len(mina.told(RolledBack)) == 1


async def test_everything_that_would_seal_is_refused_and_receiving_goes_on(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    talk, group = await world.direct(mina, junho), await world.group(junho, mina, sora)
    card = await junho.device.card(one_time=True)
    await put_back(mina, mina.store.contents())
    talk, group = mina.room(talk), mina.room(group)
    person = mina.person(group, junho)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: talk.send("x"), lambda: group.send("x"), group.refresh, group.leave,
        lambda: group.add(card), lambda: group.remove(person),
        lambda: group.set_role(person, person.role), lambda: group.set_policy(group.policy),
    ]  # fmt: skip
    for call in calls:
        with refused(Reason.ROLLED_BACK, mina.store, error=LocalError):
            await call()
    with pytest.raises(LocalError) as caught:
        await mina.device.keep(
            lambda tx, now: mina.device.engine.announce(tx, mina.device.room(group.id), now)
        )
    assert caught.value.reason is Reason.ROLLED_BACK
    await junho.room(talk).send("still heard")
    await junho.room(group).send("here too")
    await junho.room(group).remove(junho.person(group, sora))
    assert sorted(map(str, await mina.heard())) == ["here too", "still heard"]
    assert len(group.members) == 2
    epoch = group.epoch
    await junho.close()
    seen = len(world.relay.seen)
    for seconds in (REFRESH_AFTER, 60, 60, 60):
        await world.advance(seconds)
    assert group.epoch == epoch
    assert world.relay.seen[seen:] == [], "it sends nothing of its own accord"
    assert not [e for e in mina.told(RefreshDue) if e.room == talk]


async def test_a_stale_direct_room_is_begun_anew(world: World, mina: Actor, junho: Actor) -> None:
    talk = await world.direct(mina, junho)
    await world.advance(1)
    await put_back(mina, mina.store.contents())
    card = await junho.device.card()
    fresh = await mina.device.direct(card)
    assert fresh.id != talk.id
    assert not fresh.stale
    assert await mina.device.direct(card) == fresh, "only once"
    await junho.room(talk).send("to the old one")
    assert await mina.heard() == ["to the old one"]
    await fresh.send("here I am")
    assert await junho.heard() == ["here I am"]
    (replaced,) = junho.told(RoomReplaced)
    assert (replaced.old.id, replaced.new.id) == (talk.id, fresh.id)
    assert mina.device.engine.meta[talk.id].retired is None, "the peer may not know yet"
    await world.check_talk(fresh, mina, junho)
    assert mina.device.engine.meta[talk.id].retired is not None
    await mina.restart()
    assert await mina.device.direct(card) == mina.room(fresh)
    await world.check_talk(mina.room(fresh), mina, junho)


async def test_a_room_that_the_peer_begins_takes_the_place_of_a_stale_one(
    world: World, mina: Actor, junho: Actor
) -> None:
    talk = await world.direct(mina, junho)
    card = await mina.device.card()
    both = mina.store.contents(), junho.store.contents()
    await world.advance(1)
    await put_back(mina, both[0])
    await put_back(junho, both[1])
    fresh = await junho.device.direct(card)
    await fresh.send("anew")
    assert await mina.heard() == ["anew"]
    (replaced,) = mina.told(RoomReplaced)
    assert (replaced.old.id, replaced.new.id) == (talk.id, fresh.id)
    await world.check_talk(fresh, junho, mina)


@pytest.mark.parametrize("missed", [False, True])
async def test_a_group_is_joined_anew_when_others_have_removed_and_added_the_device(
    world: World, mina: Actor, junho: Actor, sora: Actor, missed: bool
) -> None:
    """Where the copy has missed commits, it never learns that it was removed, and is told to go.

    A stale room is left for no invitation that comes by itself: whoever was removed could make one
    up, and the device would speak to that one alone.
    """
    room = await world.group(junho, mina, sora)
    old = mina.store.contents()
    if missed:
        await room.refresh()
        await world.settle()
    await put_back(mina, old)
    await room.remove(junho.person(room, mina))
    await world.settle()
    assert mina.room(room).closed is not missed
    await room.add(await mina.device.card())
    await world.settle()
    if missed:
        assert mina.room(room).stale
        assert len(mina.told(RoomJoined)) == 1
        await mina.room(room).abandon()
        await world.advance(60)
    assert [event.room.id for event in mina.told(RoomJoined)] == [room.id, room.id]
    assert not mina.room(room).stale
    world.check_agreement(room, mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)


async def test_the_invitation_of_before_does_not_make_a_stale_room_fresh(
    world: World, mina: Actor, junho: Actor
) -> None:
    before = mina.store.contents()
    world.relay.paused = True
    room = await junho.device.create_room([await mina.device.card()])
    (envelope,) = {seen.envelope for seen in world.relay.seen}
    contact = mina.mailbox(None)
    await world.relay.let_go()
    world.relay.paused = False
    await world.relay.let_go()
    await world.settle()
    assert before != mina.store.contents()
    joined = mina.store.contents()
    await put_back(mina, {k: v for k, v in joined.items() if not k.startswith(b"seen/")} | {
        k: v for k, v in before.items() if k.startswith(b"package/")
    })  # fmt: skip
    await world.put(contact, envelope)
    await world.settle()
    assert mina.room(room).stale


async def test_with_a_store_that_encrypts_and_its_anchor(
    world: World, junho: Actor, tmp_path: Path
) -> None:
    path, anchor = tmp_path / "mina.db", FileAnchor(tmp_path / "elsewhere")
    room: Conversation | None = None
    for round in range(3):
        with SqliteStore(path, KEY, anchor=anchor) as store:
            assert store.rolled_back is (round == 2)
            device = Device.open(store, world.relay, name="Mina", clock=world.clock)
            async with device as mina:
                told = [e for e in mina.pending_events() if isinstance(e, RolledBack)]
                if round == 0:
                    room = await mina.direct(await junho.device.card())
                assert room is not None
                room = mina.conversation(room.id)
                if round == 2:
                    assert [event.rooms for event in told] == [(room,)]
                    with pytest.raises(LocalError) as caught:
                        await room.send("once more")
                    assert caught.value.reason is Reason.ROLLED_BACK
                    assert not store.rolled_back
                else:
                    assert told == []
                    await room.send("hello")
        if round == 0:
            copy(path, tmp_path / "copy")
        else:
            copy(tmp_path / "copy", path)


async def test_a_copy_that_nobody_notices_uses_no_aead_key_twice(
    world: World, junho: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQ-CHAIN-02: two contents at one place in a chain, even with the same random bytes."""
    mina = await world.open("Mina")
    sealed: list[tuple[bytes, bytes, bytes]] = []
    real = primitives.encrypt

    def encrypt(key: bytes, plaintext: bytes) -> bytes:
        ciphertext = real(key, plaintext)
        sealed.append((key, plaintext, ciphertext))
        return ciphertext

    for room in (await world.direct(mina, junho), await world.group(mina, junho)):
        await mina.close()
        contents = mina.store.contents()
        monkeypatch.setattr(message_module, "encrypt", encrypt)
        sealed.clear()
        places = set()
        for text in ("one", "two"):
            mina.store = Store(contents)
            world.sessions = 0
            await mina.open()
            sending = mina.device.room(room.id).state.sending
            places.add((mina.room(room).transcript, None if sending is None else sending.index))
            await mina.room(room).send(text)
            await mina.close()
        monkeypatch.undo()
        assert len(places) == 1, "not the same index"
        (one, two) = sealed
        assert one[0] != two[0], "one AEAD key for two contents"
        assert one[1] != two[1]
        assert one[2] != two[2]
        await mina.open()
