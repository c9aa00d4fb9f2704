"""The reference beside the library: the same bytes, and the same refusals.

The vectors hold what was thought of; here random inputs look for the rest.
"""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evanesce import chain, envelope, message, primitives, wire
from evanesce.content import Evaporation, Said
from evanesce.errors import EvanesceError
from evanesce.founding import Invited
from evanesce.identity import Identity, IdentityKeys, safety_number
from evanesce.keypackage import KeyPackageKeys
from evanesce.limits import PACKAGE_LIFETIME, SIGNED_PREKEY_ROTATION
from evanesce.mailbox import MailboxKeys
from evanesce.membership import Mode, Policy, Role
from evanesce.operations import Remove, SetPolicy, SetRole, Wish
from evanesce.room import Room
from evanesce.secret import Secret
from evanesce.tree import as_trail
from spec import reference as ref

SPEC = Path(__file__).parents[2] / "spec"
INSTALLED = Path(str(files("evanesce") / "_vectors"))
VECTORS = INSTALLED if INSTALLED.is_dir() else SPEC.parent / "vectors"
NOW = 1_700_000_000
KEYS = st.binary(min_size=32, max_size=32)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 2**64 - 1)
    | st.binary(max_size=300)
    | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=20),
    max_leaves=30,
)


class Stream:
    """Random bytes by a name, the same on both sides."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return hashlib.shake_256(f"{self.name}/{self.calls}".encode()).digest(size)


def outcome(function: Callable[[], Any]) -> Any:
    """What it returns, or the reason it refuses with."""
    try:
        return function()
    except ref.Refused as refused:
        return "refused", refused.reason
    except EvanesceError as error:
        return "refused", str(error.reason)


# --- The files -----------------------------------------------------------------------------------


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SPEC / "generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_vectors_are_those_that_the_reference_generates() -> None:
    done = generate("--check", "--vectors", str(VECTORS))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_changed_a_missing_and_a_foreign_file_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "v1"
    shutil.copytree(VECTORS / "v1", folder)
    changed = (folder / "kdf.json").read_bytes()
    (folder / "kdf.json").write_bytes(changed.replace(b"a", b"b", 1))
    (folder / "dh.json").unlink()
    (folder / "foreign.json").write_bytes(b"{}\n")
    done = generate("--check", "--vectors", str(tmp_path))
    assert done.returncode == 1
    faults = ["differs: dh.json", "differs: foreign.json", "differs: kdf.json"]
    assert done.stdout.splitlines() == faults


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("reference.py", {"hashlib", "hmac", "json", "re", "typing", "nacl"}),
        ("generate.py", {*sys.stdlib_module_names, "spec"}),
    ],
)
def test_neither_imports_anything_of_the_library(name: str, allowed: set[str]) -> None:
    imported = set()
    for node in ast.walk(ast.parse((SPEC / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= allowed
    assert "evanesce" not in imported


def test_every_requirement_that_is_named_is_in_the_text() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(SPEC.glob("*.md")))
    defined = set(re.findall(r"\*\*(REQ-[A-Z]+-\d+)\*\*", text))
    sources = [SPEC / "reference.py", *sorted((VECTORS / "v1").glob("*.json"))]
    named = {
        found
        for path in sources
        for found in re.findall(r"REQ-[A-Z]+-\d+", path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= defined


COUNTING = bytes(range(32))
ANN = ref.IdentityKeys(b"\x01" * 32, b"\x02" * 32)
BOB = ref.IdentityKeys(b"\x03" * 32, b"\x04" * 32)
CREATOR = ref.creator_id(b"\xaa" * 32, ANN.public)
ENTRY = ref.make_entry(
    ANN, b"\xaa" * 32, CREATOR, ref.dh_public(b"\x05" * 32), ref.sign_public(b"\x06" * 32), 0
)
HEADER = ref.build(
    "header", b"\xaa" * 32, bytes.fromhex("1122334455667788"), CREATOR, 7, bytes(range(16)),
    [bytes.fromhex("0102030405060708"), 300], 0, None,
)  # fmt: skip
CHAIN_KEY, MESSAGE_KEY = ref.step(COUNTING)
PADDED = bytes.fromhex("6869800000000000")
BOX = ref.MailboxKeys(b"\x07" * 32, b"\x08" * 32, b"\x09" * 16)


@pytest.mark.parametrize(
    ("chapter", "value"),
    [
        ("03", ref.encode([b"chain", 7])),
        ("03", ref.KDF(COUNTING, b"chain", 7)),
        ("03", ref.KDF(COUNTING, b"chain", 7, size=16)),
        ("03", ref.H(b"chain", 7)),
        ("03", ref.encrypt(COUNTING, b"Evanesce: one key, one message.")),
        ("04", ref.encode([1, 3, b"\x01\x02", "hé", None, True, [0, 127, 128, 65_536]])),
        ("05", CREATOR),
        ("05", ENTRY),
        ("05", HEADER),
        ("05", ref.message_id(HEADER, bytes(17))),
        ("06", ref.fingerprint(ANN.public)),
        ("06", ref.fingerprint(BOB.public)),
        ("08", CHAIN_KEY),
        ("08", MESSAGE_KEY),
        ("08", ref.message_salt(MESSAGE_KEY, b"\x22" * 16, PADDED)),
        ("08", ref.message_keys(MESSAGE_KEY, b"\x33" * 32)[0]),
        ("08", ref.message_keys(MESSAGE_KEY, b"\x33" * 32)[1]),
        ("12", BOX.public.address),
        ("12", ref.seal_envelope(BOX.public, b"hello", lambda _: b"\x0a" * 32)),
    ],
)
def test_the_examples_of_the_text(chapter: str, value: bytes) -> None:
    (path,) = SPEC.glob(f"{chapter}-*.md")
    assert value.hex() in "".join(path.read_text(encoding="utf-8").split())


def test_the_safety_number_of_the_text() -> None:
    (path,) = SPEC.glob("06-*.md")
    number = ref.safety_number(ANN.public, BOB.public)
    assert number in path.read_text(encoding="utf-8")


# --- Encoding and primitives ---------------------------------------------------------------------


@given(VALUES)
def test_encode(value: Any) -> None:
    assert ref.encode(value) == wire.encode(value)


@given(VALUES, st.integers(0, 400), st.binary(max_size=3), st.integers(0, 60))
def test_decode_of_a_damaged_encoding(value: Any, at: int, put: bytes, cut: int) -> None:
    data = ref.encode(value)
    data = (data[:at] + put + data[at + len(put) :])[: max(0, len(data) - cut // 10)]
    expected = outcome(lambda: ref.decode(data, 2_000))
    assert outcome(lambda: wire.decode(data, limit=2_000)) == expected


@given(st.binary(max_size=40))
def test_decode_of_any_bytes(data: bytes) -> None:
    assert outcome(lambda: wire.decode(data, limit=35)) == outcome(lambda: ref.decode(data, 35))


@given(KEYS, st.binary(max_size=20), st.lists(VALUES, max_size=4), st.integers(1, 64))
def test_derivation_and_hash(key: bytes, label: bytes, parts: list[Any], size: int) -> None:
    assert ref.KDF(key, label, *parts, size=size) == primitives.KDF(key, label, *parts, size=size)
    assert ref.H(label, *parts) == primitives.H(label, *parts)


@given(KEYS, KEYS)
def test_keys_of_both_kinds(private: bytes, public: bytes) -> None:
    shared = outcome(lambda: ref.DH(private, public))
    assert outcome(lambda: primitives.dh(private, public)) == shared
    is_key = outcome(lambda: ref.check_sign_key(public))
    assert outcome(lambda: primitives.check_sign_key(public)) == is_key
    honest = ref.sign_public(private)
    assert outcome(lambda: ref.check_sign_key(honest)) is None


@given(KEYS, st.binary(max_size=20), st.integers(0, 511), st.booleans())
def test_signatures(seed: bytes, body: bytes, bit: int, damage: bool) -> None:
    private, public = primitives.sign_keypair(lambda _: seed)
    signature = bytearray(primitives.sign(private, b"label", body))
    assert bytes(signature) == ref.sign(seed, b"label", body)
    if damage:
        signature[bit // 8] ^= 1 << bit % 8
    data = bytes(signature)
    expected = ("refused", "bad-signature") if damage else None
    assert outcome(lambda: ref.verify(public, data, b"label", body)) == expected
    assert outcome(lambda: primitives.verify(public, data, b"label", body)) == expected


@given(KEYS, KEYS, KEYS, KEYS)
def test_safety_number(a: bytes, b: bytes, c: bytes, d: bytes) -> None:
    number = safety_number(Identity(a, b), Identity(c, d))
    assert number == ref.safety_number(ref.Identity(a, b), ref.Identity(c, d))


# --- Chains, messages, envelopes -----------------------------------------------------------------


@given(
    KEYS,
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 12) | st.integers(990, 1_015)), max_size=12
    ),
)
@settings(max_examples=25)
def test_receiving(key: bytes, history: list[tuple[bool, int]]) -> None:
    mine, theirs = chain.ReceivingChain(Secret(key)), ref.Chain(key, 0, {})
    for now, (closing, n) in enumerate(history):
        if closing and now < 6:  # a closing at once would end most histories
            continue
        if closing:
            expected = outcome(lambda: ref.chain_close(theirs, n, now))  # noqa: B023
            got = outcome(lambda: mine.close(n, now))  # noqa: B023
            if expected[0] != "refused":
                assert got[1] is expected[1]
                mine, theirs = got[0], expected[0]
        else:
            expected = outcome(lambda: ref.chain_at(theirs, n, now))  # noqa: B023
            got = outcome(lambda: mine.at(n, now))  # noqa: B023
            if expected[0] != "refused":
                assert got[0] == expected[0]
                mine, theirs = got[1], expected[1]
        if expected[0] == "refused":
            assert got == expected
        assert (mine.index, mine.key and mine.key.reveal()) == (theirs.next, theirs.key)
        kept = {i: (entry.key.reveal(), entry.since) for i, entry in mine.skipped.items()}
        assert kept == theirs.skipped


@given(st.integers(1, 2_048), st.sampled_from([32, 64]), st.integers(0, 65_792))
def test_length_of_a_ciphertext(header: int, authenticator: int, content: int) -> None:
    padded = message._padded_size(header, authenticator, content)
    assert padded + 16 == ref.ciphertext_size(header, authenticator, content)


@given(st.integers(1, 2**21))
def test_size_of_an_envelope(least: int) -> None:
    size = envelope.envelope_size(least)
    assert size == ref.envelope_size(least)
    assert envelope.room_for(size) == ref.capacity(size)


@given(st.binary(max_size=3_000) | st.integers(60_000, 70_000).map(bytes), KEYS, KEYS)
@settings(max_examples=40)
def test_an_envelope(payload: bytes, seed: bytes, ephemeral: bytes) -> None:
    keys = MailboxKeys.generate(lambda size: seed[:size])
    theirs = ref.MailboxKeys(seed, seed, seed[:16])
    sealed = envelope.seal_envelope(keys.mailbox, payload, lambda _: ephemeral)
    assert sealed == ref.seal_envelope(theirs.public, payload, lambda _: ephemeral)
    assert ref.open_envelope(theirs, sealed) == payload
    assert envelope.open_envelope(keys, sealed) == payload


@given(st.binary(max_size=2_000), KEYS, KEYS, st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_a_message(content: bytes, key: bytes, context: bytes, signed: bool, index: int) -> None:
    private, public = primitives.sign_keypair(lambda _: key)
    fields = [key, key[:8], context, index, bytes(16), None, 0, None]
    header = message.Header(key, key[:8], context, index, bytes(16), None)
    fresh = context[:16]
    sealed = message.seal_message(
        header, context, key, content, fresh, private if signed else None
    )
    theirs = ref.seal_message(fields, context, key, content, fresh, key if signed else None)
    assert sealed.message == theirs.message
    mode = ref.SIGNED_MODE if signed else ref.DIRECT
    assert ref.open_message(sealed.message, context, key, mode, public) == content
    parsed = message.ParsedMessage.parse(theirs.message)
    opened = message.open_message(parsed, context, key, Mode(mode), public)
    assert opened.content == content


# --- Rooms ---------------------------------------------------------------------------------------


class Person:
    """A device on both sides: the same keys, and the same random stream for each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lib = IdentityKeys.generate(Stream(name))
        random = Stream(name)
        self.ref = ref.IdentityKeys(random(32), random(32))
        self.mailbox = MailboxKeys.generate(Stream(name + "/box"))
        self.randoms = Stream(name + "/room"), Stream(name + "/room")

    @property
    def contact(self) -> ref.Mailbox:
        return ref.Mailbox(*self.mailbox.mailbox.value())

    def package(self, last_resort: bool = False) -> tuple[KeyPackageKeys, ref.KeyPackageKeys]:
        mine = KeyPackageKeys.generate(
            self.lib, self.mailbox.mailbox, NOW, Stream(self.name + "/package"),
            last_resort=last_resort,
        )  # fmt: skip
        life = SIGNED_PREKEY_ROTATION if last_resort else PACKAGE_LIFETIME
        theirs = ref.make_key_package(
            self.ref, list(self.contact), NOW + life, last_resort, Stream(self.name + "/package")
        )
        assert mine.package.signed == theirs.package.signed
        return mine, theirs


class Place:
    """One member's view of a room, on both sides."""

    def __init__(self, person: Person, room: Room, epoch: ref.Epoch, leaf: bytes) -> None:
        self.person = person
        self.room = room
        self.epoch = epoch
        self.leaf = leaf
        self.room_seed = b""
        self.check()

    def check(self) -> None:
        assert self.room.transcript == self.epoch.transcript
        assert self.room.epoch == self.epoch.number
        assert self.room.state.epoch.context == self.epoch.context
        assert self.room.roster.encode() == self.epoch.roster.encode()


def a_room(mode: Mode, roles: list[int], *, may_add: bool = False) -> list[Place]:
    """A room with these roles beside its creator, founded and joined on both sides."""
    people = [Person(f"person {n}") for n in range(len(roles) + 1)]
    creator = people[0]
    packages = [person.package() for person in people[1:]]
    policy = Policy(mode, may_add)
    room, invitations = Room.found(
        creator.lib, policy,
        [Invited(mine.package, 0, Role(r)) for (mine, _), r in zip(packages, roles, strict=True)],
        creator.name, creator.mailbox.mailbox, NOW, creator.randoms[0],
    )  # fmt: skip
    guests = [
        ref.Guest(theirs.package, 0, role)
        for (_, theirs), role in zip(packages, roles, strict=True)
    ]
    founded = ref.found_room(
        creator.ref, [int(mode), may_add, None, 259_200], guests, creator.name, creator.contact,
        NOW, creator.randoms[1],
    )  # fmt: skip
    assert list(invitations.values()) == founded.invitations
    places = [Place(creator, room, founded.epoch, founded.leaf)]
    places[0].room_seed = founded.room_seed
    for person, keys, sealed in zip(people[1:], packages, founded.invitations, strict=True):
        joined, _ = Room.join(person.lib, keys[0], sealed, NOW)
        epoch, me, trail = ref.join_room(person.ref, keys[1], sealed, NOW)
        assert as_trail(trail) == joined.state.trail
        assert me == joined.own_id
        places.append(Place(person, joined, epoch, keys[1].leaf))
        places[-1].room_seed = keys[1].room_seed
    return places


OPERATIONS = st.lists(
    st.tuples(st.just("remove"), st.integers(0, 3), st.just(0))
    | st.tuples(st.just("role"), st.integers(0, 3), st.integers(0, 2))
    | st.tuples(st.just("policy"), st.integers(0, 1), st.integers(1, 259_200)),
    max_size=2,
)


@given(
    roles=st.lists(st.integers(0, 2), min_size=1, max_size=2),
    committer=st.integers(0, 2),
    chosen=OPERATIONS,
    add=st.none() | st.integers(0, 2),
    leaving=st.sets(st.integers(0, 2), max_size=2),
    may_add=st.booleans(),
)
@settings(max_examples=25)
def test_a_group_commit(  # noqa: PLR0915  one story
    roles: list[int],
    committer: int,
    chosen: list[tuple[str, int, int]],
    add: int | None,
    leaving: set[int],
    may_add: bool,
) -> None:
    places = a_room(Mode.SIGNED, roles, may_add=may_add)
    me = places[committer % len(places)]
    ids = [place.room.own_id for place in places]
    rows = {member.id: member for member in me.room.roster}
    mine: list[Wish] = []
    theirs: list[list[Any]] = []
    for kind, one, two in chosen:
        target = ids[one % len(ids)]
        if kind == "remove":
            mine.append(Remove(target, rows[target].admission))
            theirs.append([ref.SANCTION, target, None])
        elif kind == "role":
            mine.append(SetRole(target, Role(two)))
            demotes = target != me.room.own_id and two < rows[target].role
            theirs.append([ref.SANCTION if demotes else ref.SET_ROLE, target, two])
        else:
            mine.append(SetPolicy(Policy(Mode.SIGNED, bool(one), Evaporation(None, two))))
            theirs.append([ref.SET_POLICY, [1, bool(one), None, two]])
    kept = []
    for n in sorted({n % len(places) for n in leaving}):
        place = places[n]
        request = place.room.leave_request(place.person.lib).request
        row = place.epoch.roster.find(ids[n])
        assert request == ref.make_leave_request(place.person.ref, place.room.id, row)
        me.room.state.leaving[ids[n]] = request
        kept.append(request)
    new = Person("newcomer")
    keys = new.package(last_resort=add == 0)
    prekey = None if add == 0 else 3
    invited = [] if add is None else [Invited(keys[0].package, prekey, Role(add))]
    guests = [] if add is None else [ref.Guest(keys[1].package, prekey, add)]
    directory: dict[bytes, ref.Contact] = {}
    for member, contact in me.room.directory.items():
        box = contact.mailbox
        directory[member] = contact.name, None if box is None else ref.Mailbox(*box.value())
    their_room = me.epoch, me.person.ref, me.room.own_id, me.room_seed
    trail: ref.Trail = [(me.epoch.prefix, None)]
    expected = outcome(lambda: ref.make_commit(
        *their_room, theirs, guests, [], kept, directory, NOW, me.person.randoms[1], trail
    ))  # fmt: skip
    got = outcome(
        lambda: me.room.commit(me.person.lib, mine, invited, NOW, me.person.randoms[0])
    )
    if expected[0] == "refused":
        assert got == expected
        return
    assert got.copies == expected.copies
    assert list(got.invitations.values()) == expected.invitations
    Place(me.person, me.room, expected.epoch, expected.leaf)
    for place in places:
        if place is me:
            continue
        copy = expected.copies[place.room.own_id]
        applied = place.room.apply(copy, NOW)
        taken = ref.apply_commit(place.epoch, place.room.own_id, place.leaf, copy, NOW)
        assert isinstance(taken, ref.Taken)
        assert applied.removed_self == place.room.closed == taken.removes_me
        if not taken.removes_me:
            assert taken.epoch.transcript == expected.epoch.transcript
            assert place.room.state.epoch.order == me.room.state.epoch.order == tuple(taken.order)
            Place(place.person, place.room, taken.epoch, place.leaf)
    for sealed in expected.invitations:
        joined, _ = Room.join(new.lib, keys[0], sealed, NOW)
        epoch, own, trail = ref.join_room(new.ref, keys[1], sealed, NOW)
        assert own == joined.own_id
        assert as_trail(trail) == joined.state.trail
        Place(new, joined, epoch, keys[1].leaf)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.text(max_size=30))
@settings(max_examples=15)
def test_turns_of_a_direct_room(turns: list[int], text: str) -> None:
    places = a_room(Mode.DIRECT, [0])
    content = Said(text, NOW, Evaporation())
    epoch, turn = places[0].epoch, None
    leaf = places[0].leaf  # what the next answer is sealed to
    spoken: list[tuple[bytes, int] | None] = [None, None]
    for n, count in enumerate(turns):
        speaker, listener = places[n % 2], places[1 - n % 2]
        random = speaker.person.randoms[1]
        me, peer = speaker.room.own_id, listener.room.own_id
        old_leaf, last = leaf, spoken[n % 2]
        for index in range(count):
            if n and not index:
                epoch, turn, leaf = ref.begin_turn(
                    epoch, speaker.person.ref, me, ref.dh_public(old_leaf), random
                )
            sent = speaker.room.send(speaker.person.lib, content, NOW, speaker.person.randoms[0])
            message_key = ref.message_key_at(epoch.keys.chains[me], index)
            travelling = None if turn is None else list(turn)
            header: list[Any] = [epoch.room, epoch.prefix, me, index, bytes(16),
                                 None if last is None else list(last), 0, travelling]  # fmt: skip
            sealed = ref.seal_message(
                header, epoch.context, message_key, content.encode(), random(16), None
            )
            assert sent.message == sealed.message
            if turn is not None and not index:
                accepted = ref.accept_turn(
                    listener.epoch, peer, old_leaf, me, turn, epoch.prefix
                )
                assert accepted == epoch
            received = listener.room.receive(sent.message, NOW)
            assert received.content == content
            assert received.id == sealed.id
        spoken[n % 2] = epoch.prefix, count
        for place in places:
            place.epoch = epoch
            place.check()
