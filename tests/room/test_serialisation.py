"""What a room keeps: records, changes, what cannot be read, and what a repr never shows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce.content import Evaporation
from evanesce.epoch import EpochKeys
from evanesce.errors import LocalError, Reason, RemoteError, StorageError
from evanesce.limits import EPOCH_GRACE, HOUR
from evanesce.membership import Mode, Policy, Role
from evanesce.operations import SetPolicy, SetRole
from evanesce.room import Room
from evanesce.room_formats import FORMAT
from evanesce.speech import Sent
from evanesce.state import Contact
from evanesce.wire import decode, encode
from tests.room.room_support import World, refused, said, secrets_of, skip_messages, state_of

GROUP: Final = ["ann", "bob", "cid", "dan"]
MODES: Final = [Mode.DIRECT, Mode.SIGNED]
Step = tuple[str, int, int]

STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(
            ["send", "send", "send", "read", "read", "read", "skip", "commit", "role", "policy",
             "remove", "add", "leave", "announce", "wait", "long wait", "refused"]
        ),
        st.integers(0, 3),
        st.integers(0, 7),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip


class Life:
    """A room that lives through random steps, each of its members keeping a store."""

    def __init__(self, mode: Mode) -> None:
        names = GROUP[:2] if mode is Mode.DIRECT else GROUP
        self.world = World(*names, policy=Policy(mode), outsiders=["eve"])
        self.direct = mode is Mode.DIRECT
        self.sent: list[Sent] = []
        self.stores: dict[str, dict[bytes, bytes]] = {name: {} for name in names}

    def active(self) -> list[str]:
        return [name for name, room in self.world.rooms.items() if not room.closed]

    def store(self) -> None:
        """Keep what has changed, as a device does."""
        for name, room in self.world.rooms.items():
            kept = self.stores.setdefault(name, {})
            for record, data in room.changes().items():
                if data is None:
                    kept.pop(record, None)
                else:
                    kept[record] = data

    def step(self, step: Step) -> None:
        world, (what, one, two) = self.world, step
        names = self.active()
        who = names[one % len(names)]
        match what:
            case "send":
                self.say(who)
            case "skip" if state_of(world[who]).sending is not None:
                skip_messages(world[who], 1 + two)
            case "read" if self.sent:
                self.read(self.sent[-1 - two % len(self.sent)])
            case "refused":
                with pytest.raises(RemoteError):
                    world[who].receive(b"x", world.now)
            case "announce":
                contact = Contact(f"name {two}", world.people[who].mailbox.mailbox)
                for room in world.rooms.values():
                    room.announce(world[who].own_id, contact)
            case "wait":
                world.now += two * HOUR
                for room in world.rooms.values():
                    room.expire(world.now)
            case "long wait":
                world.now += EPOCH_GRACE + 1
                for name in names[: 1 + two]:
                    world[name].expire(world.now)
            case _ if not self.direct:
                self.change(what, who, two)

    def say(self, who: str) -> None:
        try:
            self.sent.append(self.world.send(who, f"{len(self.sent)}"))
        except LocalError as error:
            assert error.reason is Reason.OUT_OF_TURN

    def read(self, sent: Sent) -> None:
        for name in self.world.rooms:
            try:
                self.world.receive(name, sent)
            except RemoteError:
                continue

    def change(self, what: str, who: str, number: int) -> None:
        world, names = self.world, self.active()
        target = names[number % len(names)]
        match what:
            case "commit":
                world_commit(world, who)
            case "leave" if len(names) > 1:
                world.ask_to_leave(who)
            case "role" if (
                target != "ann"
                and world.member("ann").role is Role.OWNER
                and not world["ann"].closed
            ):
                world_commit(world, "ann", SetRole(world[target].own_id, Role(number % 3)))
            case "policy" if world.member(who).role is Role.OWNER:
                policy = Policy(Mode.SIGNED, bool(number % 2), Evaporation(number, 60 + number))
                world_commit(world, who, SetPolicy(policy))
            case "remove" if world.member(who).outranks(world.member(target)) and (
                world.member(who).role >= Role.ADMIN
            ):
                world_commit(world, who, world.removal(target))
            case "add" if "eve" not in world.rooms and world.member(who).role >= Role.ADMIN:
                guest = world.people["eve"].invited(now=world.now)
                made = world.make(who, invite=[guest])
                for name in self.active():
                    if name != who:
                        world.apply(name, made)
                world.join("eve", made, guest)


def world_commit(world: World, who: str, *operations: SetRole | SetPolicy | object) -> None:
    made = world.make(who, *operations)  # type: ignore[arg-type]
    for name, room in world.rooms.items():
        if name != who and not room.closed:
            world.apply(name, made)


def lives(mode: Mode, steps: list[Step]) -> Iterator[Life]:
    life = Life(mode)
    yield life
    for step in steps:
        life.step(step)
        yield life


@pytest.mark.parametrize("mode", MODES)
@given(steps=STEPS)
def test_restoring_at_any_point_changes_nothing(mode: Mode, steps: list[Step]) -> None:
    for life in lives(mode, steps):
        for name, room in life.world.rooms.items():
            again = Room.restore(room.records())
            assert again.digest() == room.digest()
            assert again.records() == room.records()
            assert again.changes() == {}
            assert (again.transcript, again.roster, again.policy, again.closed, again.epoch) == (
                room.transcript, room.roster, room.policy, room.closed, room.epoch,
            )  # fmt: skip
            assert state_of(again).epochs == state_of(room).epochs
            life.world.rooms[name] = again  # the next step is taken by the restored one


@pytest.mark.parametrize("mode", MODES)
@given(steps=STEPS)
def test_changes_applied_to_a_store_are_all_records(mode: Mode, steps: list[Step]) -> None:
    for life in lives(mode, steps):
        life.store()
        for name, room in life.world.rooms.items():
            assert life.stores[name] == room.records()
            assert room.changes() == {}
            assert Room.restore(life.stores[name]).digest() == room.digest()


@pytest.mark.parametrize("mode", MODES)
@given(steps=STEPS)
def test_changes_of_many_steps_at_once_are_all_records(mode: Mode, steps: list[Step]) -> None:
    *_, life = lives(mode, steps)
    life.store()
    for name, room in life.world.rooms.items():
        assert life.stores[name] == room.records()


def test_a_store_kept_by_changes_outlives_an_epochs_expiry() -> None:
    """Erasing an old epoch changes the list of epochs too."""
    world = World("ann", "bob")
    world.commit("ann")
    store: dict[bytes, bytes | None] = dict(world["bob"].changes())
    world["bob"].expire(world.now + EPOCH_GRACE + 1)
    for name, data in world["bob"].changes().items():
        if data is None:
            del store[name]
        else:
            store[name] = data
    assert store == world["bob"].records()
    kept = {name: data for name, data in store.items() if data is not None}
    assert Room.restore(kept).digest() == world["bob"].digest()


@pytest.mark.parametrize("mode", MODES)
def test_only_what_changed_is_stored_again(mode: Mode) -> None:
    world = World("ann", "bob", policy=Policy(mode))
    everything = world["bob"].changes()
    assert everything == dict(world["bob"].records())
    sent = world.send("ann")
    world["ann"].changes()
    world.receive("bob", sent)
    prefix = state_of(world["bob"]).current
    assert set(world["bob"].changes()) == {b"chain/" + prefix + world["ann"].own_id}
    world.send("ann")
    assert b"state" in world["ann"].changes()
    assert not any(name.startswith(b"chain/") for name in world["ann"].changes())


def test_a_digest_changes_with_any_part_of_the_state() -> None:
    world = World("ann", "bob", "cid")
    seen = {world["bob"].digest()}

    def changed() -> bool:
        digest = world["bob"].digest()
        new = digest not in seen
        seen.add(digest)
        return new

    assert not changed()
    sent = [world.send("ann") for _ in range(2)]
    world.receive("bob", sent[1])
    assert changed()
    world.receive("bob", sent[0])
    assert changed()
    world.send("bob")
    assert changed()
    world["bob"].announce(world["ann"].own_id, Contact("ann"))
    assert changed()
    world.ask_to_leave("cid")
    assert changed()
    world.commit("ann")
    assert changed()


# --- records that cannot be read -----------------------------------------------------------------


def busy(mode: Mode) -> Room:
    """A room whose records hold something of everything."""
    world = World("ann", "bob", "cid", "dan") if mode is Mode.SIGNED else (
        World("ann", "bob", policy=Policy(Mode.DIRECT))
    )
    for _ in range(2):
        first, second = world.send("ann"), world.send("ann")
        world.receive("bob", second)
        assert first != second
        answer = world.send("bob")
        world.receive("ann", answer)
        if mode is Mode.SIGNED:
            world.commit("ann")
    if mode is Mode.SIGNED:
        world.ask_to_leave("dan")
    world["bob"].announce(
        world["ann"].own_id, Contact("ann", world.people["ann"].mailbox.mailbox)
    )
    return world["bob"]


@cache
def busy_records(mode: Mode) -> dict[bytes, bytes]:
    return busy(mode).records()


def unreadable(records: dict[bytes, bytes]) -> bool:
    """Whether they are refused as they should; any other error is a failure."""
    try:
        Room.restore(records)
    except StorageError as error:
        assert error.reason is Reason.BAD_STORE
        return True
    return False


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", [0, FORMAT + 1, 255, None, b"1", []])
def test_records_of_an_unknown_format_are_refused(mode: Mode, number: int | None) -> None:
    records = busy(mode).records()
    value = decode(records[b"state"], limit=2**20)
    assert value[0] == FORMAT
    value[0] = number
    assert unreadable({**records, b"state": encode(value)})


@pytest.mark.parametrize("mode", MODES)
def test_a_record_cut_anywhere_is_refused(mode: Mode) -> None:
    records = busy(mode).records()
    for name, data in records.items():
        for size in {*range(0, len(data), 7), len(data) - 1}:
            assert unreadable({**records, name: data[:size]}), (name, size)
        assert unreadable({**records, name: data + b"\x00"})


@pytest.mark.parametrize("mode", MODES)
def test_a_missing_record_is_refused_unless_it_is_a_chains(mode: Mode) -> None:
    """Chains are erased one by one; without one, its messages are refused."""
    records = busy(mode).records()
    assert {name.split(b"/")[0] for name in records} == {
        b"state", b"directory", b"epoch", b"chain",
    }  # fmt: skip
    for name in records:
        rest = {key: data for key, data in records.items() if key != name}
        assert unreadable(rest) == (not name.startswith(b"chain/"))
    assert unreadable({})


@pytest.mark.parametrize("mode", MODES)
@given(data=st.data())
def test_a_damaged_record_is_refused_or_read_and_nothing_else(
    mode: Mode, data: st.DataObject
) -> None:
    records = busy_records(mode)
    name = data.draw(st.sampled_from(sorted(records)))
    changed = bytearray(records[name])
    places = st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=3, unique=True)
    for place in data.draw(places):
        bits = data.draw(st.integers(1, 255))
        changed[place] ^= bits
    damaged = {**records, name: bytes(changed)}
    if not unreadable(damaged):
        assert Room.restore(damaged).digest() != Room.restore(records).digest()


@pytest.mark.parametrize("mode", MODES)
def test_a_record_with_one_byte_damaged_is_refused_or_read(mode: Mode) -> None:
    records = busy_records(mode)
    for name, data in records.items():
        for place in range(0, len(data), 5 if name.startswith(b"epoch/") else 1):
            changed = bytearray(data)
            changed[place] ^= 1 << place % 8
            unreadable({**records, name: bytes(changed)})
    assert not unreadable(records)


# --- reprs ---------------------------------------------------------------------------------------


def shown(thing: object, secrets: dict[str, bytes]) -> set[str]:
    """The names of the secrets that a thing's repr or str shows, in hex or as bytes."""
    found = set()
    for text in (repr(thing), str(thing), f"{thing}"):
        for name, secret in secrets.items():
            for part in (secret[:32], secret[32:]):
                if part and (part.hex() in text or repr(part)[2:-1] in text):
                    found.add(name)
    return found


@pytest.mark.parametrize("mode", MODES)
def test_no_repr_shows_a_secret(mode: Mode) -> None:
    room = busy(mode)
    state = state_of(room)
    secrets = {name: key for name, key in secrets_of(room).items() if "room sign" not in name}
    for name, key in secrets_of(room).items():
        if "room sign" in name:  # its second half is the public key
            secrets[name] = key[:32]
    assert len(secrets) >= 4
    for thing in (
        room, state, *state.epochs.values(), state.sending, state.epoch.roster, state.me,
        *(chain for epoch in state.epochs.values() for chain in epoch.chains.values()),
    ):  # fmt: skip
        assert shown(thing, secrets) == set(), f"{type(thing).__name__} shows a secret"


def test_the_search_for_secrets_finds_them() -> None:
    key = bytes(range(32))
    assert shown(key, {"it": key}) == shown(key.hex(), {"it": key}) == {"it"}
    assert shown([{"a": key}], {"it": key}) == {"it"}
    assert shown("nothing", {"it": key}) == set()


@pytest.mark.parametrize("mode", MODES)
def test_no_repr_of_a_message_shows_its_key_or_words(mode: Mode) -> None:
    world = World("ann", "bob", policy=Policy(mode))
    words = "the words themselves"
    sent = world.send("ann", words)
    received = world.receive("bob", sent)
    for thing in (sent, received, received.content, said(words), said(words.encode())):
        assert shown(thing, {"key": sent.key, "words": words.encode()}) == set()
        assert words not in repr(thing)


def test_no_repr_of_epoch_keys_shows_one() -> None:
    keys = EpochKeys.derive(bytes(32), b"commit", [b"a" * 32, b"b" * 32])
    secrets = {
        f"{kind} {member!r}": key.reveal()
        for kind, kept in (
            ("chain", keys.chains), ("handshake", keys.handshakes), ("init", keys.inits),
        )
        for member, key in kept.items()
    } | {"exporter": keys.exporter.reveal()}  # fmt: skip
    assert len(secrets) == 7
    assert shown(keys, secrets) == set()


def test_no_refusal_shows_a_secret() -> None:
    world = World("ann", "bob", "cid")
    sent = world.send("ann")
    secrets = {**secrets_of(world["bob"]), "key": sent.key}
    damaged = bytearray(sent.message)
    for place in range(0, len(damaged), 11):
        damaged[place] ^= 1
        with pytest.raises(RemoteError) as caught:
            world["bob"].receive(bytes(damaged), world.now)
        assert shown(caught.value, secrets) == set()
        damaged[place] ^= 1
    world.receive("bob", sent)
    with refused(Reason.REPLAY, world["bob"]):
        world.receive("bob", sent)


def test_no_write_capability_is_shown() -> None:
    """Whoever reads a log must not be able to fill a mailbox."""
    world = World("ann", "bob")
    mailbox = world.people["ann"].mailbox.mailbox
    secrets = {"capability": mailbox.capability}
    for thing in (state_of(world["bob"]), Contact("ann", mailbox), mailbox):
        assert shown(thing, secrets) == set()


def test_a_direct_room_keeps_no_room_signature_key() -> None:
    world = World("ann", "bob", policy=Policy(Mode.DIRECT))
    for turn in range(4):
        who, other = ("ann", "bob") if turn % 2 == 0 else ("bob", "ann")
        world[other].receive(world.send(who).message, world.now)
        kept = [e for room in world.rooms.values() for e in room.state.epochs.values()]
        assert len(kept) == 2 * (turn + 1)
        assert all(epoch.room_sign is None for epoch in kept)
