"""Pinned identities: who somebody is, and what waits until a change has been decided (spec 6.6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce import (
    Card,
    Device,
    Identity,
    IdentityChanged,
    LocalError,
    Pin,
    Reason,
    StorageError,
)
from evanesce.identity import IdentityKeys
from evanesce.membership import Member
from evanesce.pins import Pins
from tests.device.device_support import Actor, Relay, Store, Stream, World, refused

A, B, C = (IdentityKeys.generate(Stream(name)).identity for name in "ABC")


class Counting(Relay):
    """Counts the packages that are claimed, and can do something while one is."""

    claimed = 0
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def claim(self, fingerprint: bytes) -> bytes | None:
        self.claimed += 1
        if self.meanwhile is not None:
            await self.meanwhile()
        return await super().claim(fingerprint)


@pytest.fixture
def world() -> World:
    return World(Counting)


@pytest.fixture
def relay(world: World) -> Any:
    return world.relay


@pytest.fixture
async def people(world: World) -> Any:
    yield [await world.open(name) for name in ("Mina", "Junho", "Sora", "Tae")]
    await world.close()


@contextmanager
def changed() -> Iterator[None]:
    """Assert that the block ends with identity-changed."""
    with pytest.raises(LocalError) as caught:
        yield
    assert caught.value.reason is Reason.IDENTITY_CHANGED


async def offer(actor: Actor, person: str, pinned: Actor, offered: Actor) -> None:
    """Pin one, then offer another."""
    await actor.device.pin(person, pinned.device.identity)
    with changed():
        await actor.device.pin(person, offered.device.identity)


# --- what is pinned, offered, decided ------------------------------------------------------------


async def test_a_first_identity_is_pinned_and_another_one_is_offered(people: list[Actor]) -> None:
    """REQ-ID-16: step by step."""
    mina, junho, *_ = people
    device = mina.device
    assert device.pinned("friend") is None
    assert await device.pin("friend", A) == Pin("friend", A)
    assert await device.pin("friend", A) == Pin("friend", A), "the same again"
    for identity in (B, C, B, B):
        with changed():
            await device.pin("friend", identity)
        assert device.pinned("friend") == Pin("friend", A, identity), "in place of another offered"
    assert await device.pin("friend", A) == Pin("friend", A), "the pinned one: forget the offered"
    with changed():
        await device.pin("friend", B)
    assert await device.refuse_identity("friend") == Pin("friend", A)
    with changed():
        await device.pin("friend", C)
    assert await device.accept_identity("friend") == Pin("friend", C)
    with changed():
        await device.pin("friend", A)
    card = await junho.device.card()
    await device.pin("another", card)
    assert [*device.pins] == [Pin("another", card.identity), Pin("friend", C, A)]
    await device.unpin("friend")
    await device.unpin("nobody")
    assert [*device.pins] == [Pin("another", card.identity)]
    assert await device.pin("friend", B) == Pin("friend", B), "taken as it comes"


async def test_an_offer_is_told_and_outlives_its_error_and_a_restart(
    world: World, people: list[Actor]
) -> None:
    """REQ-ID-16: that the call fails does not undo what it has kept."""
    mina, junho, sora, _ = people
    room = await world.direct(mina, junho)
    await offer(mina, "friend", junho, sora)
    pinned, offered = junho.device.identity, sora.device.identity
    await world.settle()
    told = IdentityChanged("friend", pinned, offered)
    assert mina.told(IdentityChanged) == [told]
    with changed():
        await mina.device.pin("friend", offered)
    await world.settle()
    assert mina.told(IdentityChanged) == [told], "told once"
    await mina.restart()
    assert mina.device.pins == (Pin("friend", pinned, offered),)
    with refused(Reason.IDENTITY_CHANGED, mina.store, error=LocalError):
        await mina.room(room).send("who is there?")
    await mina.device.refuse_identity("friend")
    await mina.restart()
    assert mina.device.pins == (Pin("friend", pinned),)
    await mina.room(room).send("it is you")
    assert await junho.heard() == ["it is you"]


async def test_what_is_accepted_is_what_was_looked_at(people: list[Actor]) -> None:
    """REQ-ID-16: another one may have been offered meanwhile."""
    mina = people[0]
    await mina.device.pin("friend", A)
    with refused(Reason.BAD_INPUT, mina.store, error=LocalError):
        await mina.device.accept_identity("friend")
    with refused(Reason.BAD_INPUT, mina.store, error=LocalError):
        await mina.device.refuse_identity("friend")
    for call in (mina.device.accept_identity, mina.device.refuse_identity):
        with refused(Reason.BAD_INPUT, mina.store, error=LocalError):
            await call("nobody")
    for identity in (B, C):
        with changed():
            await mina.device.pin("friend", identity)
    with refused(Reason.IDENTITY_CHANGED, mina.store, error=LocalError):
        await mina.device.accept_identity("friend", B)
    assert mina.device.pinned("friend") == Pin("friend", A, C)
    assert await mina.device.accept_identity("friend", C) == Pin("friend", C)


@pytest.mark.parametrize(
    ("person", "reason"),
    [("", Reason.BAD_INPUT), ("\ud800", Reason.BAD_INPUT), ("a" * 257, Reason.TOO_LARGE),
     ("é" * 129, Reason.TOO_LARGE)],
)  # fmt: skip
async def test_a_person_is_named_by_1_to_256_bytes(
    people: list[Actor], person: str, reason: Reason
) -> None:
    mina = people[0]
    with refused(reason, mina.store, error=LocalError):
        await mina.device.pin(person, A)
    assert mina.device.pinned(person) is None


async def test_names_are_taken_as_they_are_and_stand_in_no_record_name(
    people: list[Actor],
) -> None:
    mina = people[0]
    names = ["é", "e\u0301", "E", "a", "é" * 128, "+82 10 1234 5678"]
    before = set(mina.store.contents())
    for name in names:
        await mina.device.pin(name, A)
    assert [pin.person for pin in mina.device.pins] == sorted(names)
    fresh = set(mina.store.contents()) - before
    assert {len(name) for name in fresh} == {len(b"pin/") + 32}
    assert not any(b"1234" in name for name in fresh)
    assert len(fresh) == len(names)


async def test_only_an_identity_with_good_keys_is_pinned(people: list[Actor]) -> None:
    mina = people[0]
    for identity in (Identity(b"", b""), Identity(A.sign_key, bytes(32)),
                     Identity(bytes(32), A.dh_key)):  # fmt: skip
        with refused(Reason.BAD_KEY, mina.store, error=LocalError):
            await mina.device.pin("friend", identity)
    assert mina.device.pins == ()


# --- what waits, and what does not ---------------------------------------------------------------


async def test_nothing_is_said_where_the_pinned_or_the_offered_one_is(
    world: World, people: list[Actor]
) -> None:
    """REQ-ID-17: in rooms of two and in groups, and nowhere else."""
    mina, junho, sora, tae = people
    rooms = {
        "pinned": await world.direct(mina, junho),
        "offered": await world.direct(mina, sora),
        "neither": await world.direct(mina, tae),
    }
    groups = {
        "pinned": await world.group(mina, junho, tae),
        "offered": await world.group(mina, sora, tae),
        "neither": await world.group(mina, tae),
    }
    await offer(mina, "friend", junho, sora)
    assert mina.device.pinned("friend") is not None
    for kind in (rooms, groups):
        for which in ("pinned", "offered"):
            room = kind[which]
            assert [pin.person for pin in room.unsettled] == ["friend"]
            for body in ("text", b"data"):
                with refused(Reason.IDENTITY_CHANGED, mina.store, error=LocalError):
                    await room.send(body)
        assert kind["neither"].unsettled == ()
        await kind["neither"].send("still here")
        assert await tae.heard() == ["still here"]
    await mina.device.accept_identity("friend")
    for kind in (rooms, groups):
        for room, hearer in ((kind["pinned"], junho), (kind["offered"], sora)):
            assert room.unsettled == ()
            await room.send("decided")
            assert await hearer.heard() == ["decided"]


async def test_the_offered_one_is_let_into_no_room_and_nothing_is_claimed(
    world: World, relay: Counting, people: list[Actor]
) -> None:
    """REQ-ID-17: found, add, let in anew."""
    mina, junho, sora, tae = people
    group = await world.group(mina, tae)
    hers, his, others = [await actor.device.card() for actor in (sora, junho, tae)]
    await offer(mina, "friend", junho, sora)
    device = mina.device
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: device.direct(hers),
        lambda: device.create_room([hers]),
        lambda: device.create_room([others, hers]),
        lambda: group.add(hers),
        lambda: group.add(his, hers),
    ]
    relay.claimed = 0
    for call in calls:
        with refused(Reason.IDENTITY_CHANGED, mina.store, error=LocalError):
            await call()
    assert relay.claimed == 0
    for offered, settled in ((sora, junho), (sora, tae)):
        with changed():
            device.engine.pins.refuse_offered(offered.device.identity)
        device.engine.pins.refuse_offered(settled.device.identity)
    await group.add(his)  # the pinned one may be let in
    await device.refuse_identity("friend")
    await group.add(hers)
    assert relay.claimed == 2
    await world.settle()
    world.check_agreement(group, mina, tae, junho, sora)


async def test_the_offered_one_is_not_let_in_anew(world: World, people: list[Actor]) -> None:
    """REQ-ID-17: its request is received and waits."""
    mina, junho, sora, tae = people
    group = await world.group(mina, sora, tae)
    await offer(mina, "friend", junho, sora)
    await sora.room(group).ask_resync()
    await world.settle()
    (asking,) = group.resync_requests
    assert asking.identity == sora.device.identity
    with refused(Reason.IDENTITY_CHANGED, mina.store, error=LocalError):
        await group.resync(asking)
    await mina.device.refuse_identity("friend")
    await group.resync(asking)
    await world.settle()
    world.check_agreement(group, mina, sora, tae)


async def test_an_offer_that_comes_while_packages_are_claimed_still_counts(
    world: World, relay: Counting, people: list[Actor]
) -> None:
    """REQ-ID-17: the check is made again in the transaction that invites."""
    mina, junho, sora, tae = people
    group = await world.group(mina, tae)
    hers: Card = await sora.device.card()
    await mina.device.pin("friend", junho.device.identity)

    async def meanwhile() -> None:
        relay.meanwhile = None
        with changed():
            await mina.device.pin("friend", sora.device.identity)

    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: mina.device.direct(hers),
        lambda: mina.device.create_room([hers]),
        lambda: group.add(hers),
    ]
    for call in calls:
        relay.meanwhile = meanwhile
        rooms, epoch = len(mina.device.rooms), group.epoch
        with changed():
            await call()
        assert relay.meanwhile is None, "it was offered meanwhile"
        assert (len(mina.device.rooms), group.epoch) == (rooms, epoch)
        await mina.device.refuse_identity("friend")


async def test_all_else_goes_on_while_a_change_waits(world: World, people: list[Actor]) -> None:
    """REQ-ID-17: what comes is received; members are removed; keys are refreshed."""
    mina, junho, sora, tae = people
    group = await world.group(mina, junho, sora, tae)
    talk = await world.direct(mina, junho)
    await offer(mina, "friend", junho, sora)
    await junho.room(talk).send("I am still me")
    await sora.room(group).send("so am I")
    assert sorted(map(str, await mina.heard())) == ["I am still me", "so am I"]
    await group.refresh()
    await world.settle()
    world.check_agreement(group, mina, junho, sora, tae)
    fresh = await sora.device.direct(await mina.device.card())
    await fresh.send("a room from the offered one")
    assert await mina.heard() == ["a room from the offered one"]
    with refused(Reason.IDENTITY_CHANGED, mina.store, error=LocalError):
        await mina.room(fresh).send("and an answer")
    await group.remove(mina.person(group, sora), mina.person(group, junho))
    await world.settle()
    world.check_agreement(group, mina, tae)
    assert group.unsettled == ()
    tae.arrived()
    await group.send("neither is here")
    assert await tae.heard() == ["neither is here"]
    other = await world.group(junho, mina, sora)
    with changed():
        await mina.room(other).send("no")
    await mina.room(other).leave()
    await world.settle()
    await other.refresh()  # lets out who has asked
    await world.settle()
    world.check_agreement(other, junho, sora)


async def test_two_people_and_one_identity(world: World, people: list[Actor]) -> None:
    """REQ-ID-17: what one person's pin asks for does not end with another's."""
    mina, junho, sora, _ = people
    room = await world.direct(mina, junho)
    await offer(mina, "friend", junho, sora)
    await mina.device.pin("colleague", junho.device.identity)
    with changed():
        await mina.device.pin("colleague", C)
    await mina.device.refuse_identity("friend")
    assert [pin.person for pin in room.unsettled] == ["colleague"]
    with refused(Reason.IDENTITY_CHANGED, mina.store, error=LocalError):
        await room.send("not yet")
    await mina.device.unpin("colleague")
    await room.send("now")
    assert await junho.heard() == ["now"]


# --- a store that fails --------------------------------------------------------------------------

DECISIONS: list[tuple[str, Callable[[Device], Awaitable[object]]]] = [
    ("pin another", lambda device: device.pin("other", A)),
    ("offer", lambda device: device.pin("friend", C)),
    ("the pinned one again", lambda device: device.pin("friend", A)),
    ("accept", lambda device: device.accept_identity("friend")),
    ("refuse", lambda device: device.refuse_identity("friend")),
    ("unpin", lambda device: device.unpin("friend")),
]


@pytest.mark.parametrize(("name", "call"), DECISIONS)
async def test_a_store_that_fails_leaves_what_was_decided(
    world: World, people: list[Actor], name: str, call: Callable[[Device], Awaitable[object]]
) -> None:
    """REQ-ID-16: in memory as in the store, and nothing is told of it."""
    mina = people[0]
    await mina.device.pin("friend", A)
    with changed():
        await mina.device.pin("friend", B)
    await world.settle()
    before, told = mina.device.pins, mina.told(IdentityChanged)
    mina.store.failing = {mina.store.transactions + 1}
    with refused(Reason.BAD_STORE, mina.store, error=StorageError):
        await call(mina.device)
    assert mina.device.pins == before, name
    assert mina.told(IdentityChanged) == told
    await mina.restart()
    assert mina.device.pins == before, name
    if name == "offer":
        with changed():
            await call(mina.device)
        await world.settle()
        assert [event.offered for event in mina.told(IdentityChanged)] == [B, C]
    else:
        await call(mina.device)
    after = mina.device.pins
    assert after != before
    await mina.restart()
    assert mina.device.pins == after


async def test_an_offer_that_was_not_stored_blocks_nothing(
    world: World, people: list[Actor]
) -> None:
    """REQ-ID-16, REQ-ID-17."""
    mina, junho, sora, _ = people
    room = await world.direct(mina, junho)
    await mina.device.pin("friend", junho.device.identity)
    mina.store.failing = {mina.store.transactions + 1}
    with pytest.raises(StorageError):
        await mina.device.pin("friend", sora.device.identity)
    await room.send("as before")
    assert await junho.heard() == ["as before"]
    assert mina.told(IdentityChanged) == []


async def test_a_pin_that_cannot_be_read_is_a_damaged_store(people: list[Actor]) -> None:
    mina = people[0]
    await mina.device.pin("friend", A)
    await mina.close()
    good = mina.store.contents()
    ((name, data),) = mina.store.named(b"pin/").items()
    for records in ({name: data[:-1]}, {name: b""}, {b"pin/" + bytes(32): data}):
        mina.store = Store({**{k: v for k, v in good.items() if k != name}, **records})
        with pytest.raises(StorageError) as caught:
            await mina.open()
        assert caught.value.reason is Reason.BAD_STORE
    mina.store = Store(good)
    await mina.open()
    assert mina.device.pins == (Pin("friend", A),)


# --- any order of anything -----------------------------------------------------------------------

PEOPLE, IDENTITIES = ("p", "q"), (A, B, C)
Model = dict[str, tuple[Identity, Identity | None]]
steps = st.lists(
    st.tuples(
        st.sampled_from(["pin", "accept", "refuse", "drop", "reload"]),
        st.sampled_from(PEOPLE),
        st.sampled_from(IDENTITIES),
        st.booleans(),  # whether the store fails
    ),
    max_size=30,
)


def expected(model: Model, kind: str, person: str, identity: Identity) -> Model | Reason:
    """What a step makes of the pins, or why it is refused: the text, line by line."""
    pinned, offered = model.get(person, (None, None))
    if kind == "pin":
        if pinned is None or pinned == identity:
            return {**model, person: (identity, None)}
        return {**model, person: (pinned, identity)}
    if kind == "drop":
        return {other: pin for other, pin in model.items() if other != person}
    if kind == "reload" or pinned is None:
        return model if kind == "reload" else Reason.BAD_INPUT
    if offered is None:
        return Reason.BAD_INPUT
    return {**model, person: (offered if kind == "accept" else pinned, None)}


def allowed(call: Callable[[Any], None], what: Any) -> bool:
    try:
        call(what)
    except LocalError as error:
        assert error.reason is Reason.IDENTITY_CHANGED
        return False
    return True


def check(pins: Pins, model: Model) -> None:
    assert {p.person: (p.identity, p.offered) for p in pins.all()} == model
    waiting = [pin for pin in model.values() if pin[1] is not None]
    for identity in IDENTITIES:
        members = [cast(Member, SimpleNamespace(identity=identity))]
        assert allowed(pins.require_settled, members) is not any(
            identity in pin for pin in waiting
        )
        assert allowed(pins.refuse_offered, identity) is not any(
            identity == offered for _, offered in waiting
        )


@given(steps)
def test_pins_are_what_the_text_says_whatever_fails(
    taken: list[tuple[str, str, Identity, bool]],
) -> None:
    """REQ-ID-16, REQ-ID-17: and what the store holds is the same at any time."""
    store, pins, model = Store(), Pins(), cast(Model, {})
    for kind, person, identity, fails in taken:
        wanted = expected(model, kind, person, identity)
        store.failing = {store.transactions + 1} if fails else set()
        try:
            with store.transaction() as tx:
                match kind:
                    case "pin":
                        pins.pin(tx, person, identity)
                    case "accept":
                        pins.accept(tx, person)
                    case "refuse":
                        pins.refuse(tx, person)
                    case "drop":
                        pins.drop(tx, person)
                    case _:
                        pins = Pins.load(tx)
        except LocalError as error:
            assert error.reason == wanted
        except StorageError:
            assert fails
            store.failing = set()
            with store.transaction() as tx:  # as a device does after a failure
                pins = Pins.load(tx)
        else:
            assert not isinstance(wanted, Reason)
            assert not fails
            model = wanted
        store.failing = set()
        check(pins, model)
        with store.transaction() as tx:
            check(Pins.load(tx), model)
