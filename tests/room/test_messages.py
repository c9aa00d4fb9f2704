"""Messages of rooms: order, replay, authenticity, gaps, limits and expiry (spec 08 and 11)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from evanesce.chain import message_keys, step
from evanesce.commit import direct_commit
from evanesce.content import Announcement, Evaporation, Leave, Said
from evanesce.epoch import EpochKeys, epoch_secret, seal_slot, transcript_hash
from evanesce.errors import HeldError, LocalError, Reason, RemoteError
from evanesce.formats import HEADER, MESSAGE, TEXT
from evanesce.limits import (
    EPOCH_GRACE,
    HOUR,
    MAX_BODY,
    MAX_INDEX,
    MAX_JUMP,
    MAX_LIFETIME,
    MAX_SKIPPED_ROOM,
    REFRESH_AFTER,
    REFRESH_MESSAGES,
    SKIPPED_LIFETIME,
)
from evanesce.membership import Mode, Policy, context_hash, make_entry
from evanesce.message import (
    Header,
    ParsedMessage,
    TurnFields,
    open_message,
    reopen,
    seal_message,
)
from evanesce.operations import SetPolicy
from evanesce.primitives import H, dh_keypair, encrypt, sign, sign_keypair
from evanesce.room import Room
from evanesce.speech import Sent
from tests.room.room_support import (
    NOW,
    Person,
    Stream,
    World,
    refused,
    said,
    secrets_of,
    sending_chain,
    skip_messages,
    skipped_keys,
    state_of,
)

MODES: Final = [Mode.DIRECT, Mode.SIGNED]


def pair(mode: Mode, **policy: Any) -> World:
    """ann founded the room and speaks first; bob has joined."""
    return World("ann", "bob", policy=Policy(mode, **policy))


def header_of(world: World, who: str, **changes: Any) -> Header:
    """The header that the next message of someone would have."""
    state = state_of(world[who])
    index = sending_chain(world[who]).index
    header = Header(state.id, state.current, state.own, index, bytes(16), state.last_spoken,
                    turn=state.epoch.turn)  # fmt: skip
    return header._replace(**changes)


def seal_next(world: World, who: str, content: bytes | None = None, **changes: Any) -> bytes:
    """The next message of someone, with a header of one's choice, sealed as its chain would."""
    header = header_of(world, who, **changes)
    state = state_of(world[who])
    _, message_key = step(sending_chain(world[who]).key.reveal())
    signing = state.epoch.room_sign if state.mode is Mode.SIGNED else None
    return seal_message(
        header, state.epoch.context, message_key,
        said("sealed").encode() if content is None else content, bytes(16),
        None if signing is None else signing.reveal(),
    ).message  # fmt: skip


# --- order and replay ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_messages_open_in_any_order(mode: Mode) -> None:
    world = pair(mode)
    sent = [world.send("ann", f"number {n}") for n in range(6)]
    missing = []
    for n in (3, 0, 5, 4, 1, 2):
        received = world.receive("bob", sent[n])
        assert received.content == said(f"number {n}")
        assert (received.index, received.epoch, received.lost) == (n, 0, False)
        assert (received.room, received.sender) == (world["ann"].id, world["ann"].own_id)
        missing.append(received.missing)
    assert missing == [3, 0, 1, 0, 0, 0]  # what each is the first to show


@pytest.mark.parametrize("mode", MODES)
def test_both_ends_name_a_message_alike_and_can_open_it_again(mode: Mode) -> None:
    world = pair(mode)
    sent = world.send("ann", "again")
    received = world.receive("bob", sent)
    assert (received.id, received.key, received.ciphertext) == (sent.id, sent.key, sent.ciphertext)
    assert reopen(received.key, received.ciphertext) == said("again").encode()
    assert sent.recipients == (world["bob"].own_id,)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("restored", [False, True])
def test_a_message_is_read_once(mode: Mode, restored: bool) -> None:
    world = pair(mode)
    sent = [world.send("ann") for _ in range(3)]
    for n in (2, 0):
        world.receive("bob", sent[n])
    if restored:
        world.rooms["bob"] = Room.restore(world["bob"].records())
    for n in (2, 0):
        with refused(Reason.REPLAY, world["bob"]):
            world.receive("bob", sent[n])
    world.receive("bob", sent[1])
    with refused(Reason.REPLAY, world["bob"]):
        world.receive("bob", sent[1])


def test_a_message_of_an_earlier_epoch_is_read_once() -> None:
    world = World("ann", "bob", "cid")
    early = [world.send("ann") for _ in range(3)]
    world.receive("bob", early[1])
    world.commit("cid")
    world.deliver(world.send("ann"))
    for n in (2, 0):
        world.receive("bob", early[n])
    for n in (0, 1, 2):
        with refused(Reason.REPLAY, world["bob"]):
            world.receive("bob", early[n])


def test_late_messages_of_many_epochs_are_read_in_any_order() -> None:
    world = World("ann", "bob", "cid")
    sent: list[tuple[str, str, Sent]] = []
    for epoch in range(4):
        for name in ("ann", "bob"):
            text = f"{name} in {epoch}"
            sent.append((name, text, world.send(name, text)))
        world.commit(("ann", "bob", "cid", "ann")[epoch])
    for name, text, message in reversed(sent):
        for reader in {"ann", "bob", "cid"} - {name}:
            assert world.body(reader, message) == text
    for name, _, message in sent:
        with refused(Reason.REPLAY, world["cid"]):
            world.receive("cid", message)
        assert name in world.rooms
    assert skipped_keys(world["cid"]) == 0


def test_a_message_of_an_epoch_to_come_waits() -> None:
    world = World("ann", "bob", "cid")
    made = world.make("ann")
    message = world.send("ann", "already there")
    with refused(Reason.UNKNOWN_EPOCH, world["bob"], error=HeldError):
        world.receive("bob", message)
    world.apply("bob", made)
    assert world.body("bob", message) == "already there"


@pytest.mark.parametrize("mode", MODES)
def test_a_restored_room_that_sends_again_is_refused_as_a_replay(mode: Mode) -> None:
    """A rolled-back device reuses an index: two keys, and the second message is refused."""
    world = pair(mode)
    clone = Room.restore(world["ann"].records())
    first = world.send("ann", "first")
    ann = world.people["ann"]
    second = clone.send(ann.keys, said("second"), NOW, Stream("ann/again"))
    assert first.key != second.key
    world.receive("bob", first)
    with refused(Reason.REPLAY, world["bob"]):
        world.receive("bob", second)


def test_a_broken_random_source_never_gives_one_key_to_two_contents() -> None:
    world = pair(Mode.SIGNED)
    ann = world.people["ann"]
    clones = [Room.restore(world["ann"].records()) for _ in range(2)]
    one, two = (
        room.send(ann.keys, said(text), NOW, bytes)
        for room, text in zip(clones, ("one", "two"), strict=True)
    )
    assert one.key != two.key
    assert one.id != two.id


# --- whose message it is -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_message_of_another_room_is_refused(mode: Mode) -> None:
    here, there = pair(mode), World("bob", "ann", policy=Policy(mode))
    foreign = there.send("bob")
    with refused(Reason.UNKNOWN_ROOM, here["bob"], here["ann"]):
        here.receive("ann", foreign)
    # Neither does it open with this room's id, prefix and sender written over its own.
    parsed = ParsedMessage.parse(foreign.message)
    header = header_of(here, "ann")._replace(salt=parsed.header.salt).encode()
    moved = MESSAGE.build(header, parsed.ciphertext, parsed.authenticator)
    reason = Reason.BAD_COMMITMENT if mode is Mode.DIRECT else Reason.BAD_SIGNATURE
    with refused(reason, here["bob"]):
        here["bob"].receive(moved, NOW)
    assert here.body("bob", here.send("ann", "fine")) == "fine"


def test_a_member_cannot_ship_anothers_ciphertext_as_its_own() -> None:
    world = World("ann", "bob", "cid")
    original = world.send("ann", "ann's words")
    parsed = ParsedMessage.parse(original.message)
    taken = parsed.header._replace(sender=world["bob"].own_id).encode()
    with refused(Reason.BAD_SIGNATURE, world["cid"]):
        world["cid"].receive(
            MESSAGE.build(taken, parsed.ciphertext, parsed.authenticator), NOW
        )
    # Signed by bob itself it verifies only over bob's own commitment, and that key does not open.
    state = state_of(world["bob"])
    _, message_key = step(sending_chain(world["bob"]).key.reveal())
    _, com = message_keys(message_key, H(b"header", taken, state.epoch.context))
    assert state.epoch.room_sign is not None
    signature = sign(state.epoch.room_sign.reveal(), b"message", taken, com,
                     H(b"ciphertext", parsed.ciphertext))  # fmt: skip
    with refused(Reason.BAD_CIPHERTEXT, world["cid"]):
        world["cid"].receive(MESSAGE.build(taken, parsed.ciphertext, signature), NOW)
    assert world.body("cid", original) == "ann's words"


@pytest.mark.parametrize("mode", MODES)
def test_a_reflected_message_is_refused(mode: Mode) -> None:
    world = pair(mode)
    sent = world.send("ann")
    with refused(Reason.OWN_MESSAGE, world["ann"]):
        world.receive("ann", sent)
    world.receive("bob", sent)


def test_a_message_of_a_stranger_is_refused() -> None:
    world = pair(Mode.SIGNED)
    with refused(Reason.UNKNOWN_MEMBER, world["bob"]):
        world["bob"].receive(seal_next(world, "ann", sender=b"?" * 32), NOW)


def test_an_insider_cannot_write_in_anothers_name() -> None:
    """cid holds ann's chain and seals with it; only ann's signature key is missing."""
    world = World("ann", "bob", "cid")
    state = state_of(world["cid"])
    ann = world["ann"].own_id
    chain = state.epoch.chains[ann]
    assert chain.key is not None
    _, message_key = step(chain.key.reveal())
    header = Header(state.id, state.current, ann, 0, bytes(16), None)
    content = said("ann never said this").encode()
    assert state.epoch.room_sign is not None
    keys = {
        "its own": state.epoch.room_sign.reveal(),
        "a new one": sign_keypair(Stream("new"))[0],
        "its identity": world.people["cid"].keys.sign_private.reveal(),
        "ann's identity": world.people["ann"].keys.sign_private.reveal(),
    }
    for private in keys.values():
        forged = seal_message(
            header, state.epoch.context, message_key, content, bytes(16), private
        )
        with refused(Reason.BAD_SIGNATURE, world["bob"]):
            world["bob"].receive(forged.message, NOW)
    # `com` in the place of the signature is another mode's authenticator.
    unsigned = seal_message(header, state.epoch.context, message_key, content, bytes(16), None)
    with refused(Reason.BAD_FORM, world["bob"]):
        world["bob"].receive(unsigned.message, NOW)
    assert world.body("bob", world.send("ann", "but this")) == "but this"


def test_a_signature_of_an_earlier_epoch_key_is_refused() -> None:
    """ann has refreshed; its old room signature key, stolen now, signs nothing in the new epoch."""
    world = World("ann", "bob", "cid")
    old = state_of(world["ann"]).epoch.room_sign
    assert old is not None
    private = old.reveal()
    world.commit("ann")
    state = state_of(world["ann"])
    _, message_key = step(sending_chain(world["ann"]).key.reveal())
    forged = seal_message(header_of(world, "ann"), state.epoch.context, message_key,
                          said("x").encode(), bytes(16), private)  # fmt: skip
    with refused(Reason.BAD_SIGNATURE, world["bob"]):
        world["bob"].receive(forged.message, NOW)
    world.check_talk()


@pytest.mark.parametrize("place", [0, 15, 31])
def test_a_wrong_commitment_is_refused(place: int) -> None:
    world = pair(Mode.DIRECT)
    sent = world.send("ann", "committed")
    parsed = ParsedMessage.parse(sent.message)
    com = bytearray(parsed.authenticator)
    com[place] ^= 1
    spoiled = MESSAGE.build(parsed.header_bytes, parsed.ciphertext, bytes(com))
    with refused(Reason.BAD_COMMITMENT, world["bob"]):
        world["bob"].receive(spoiled, NOW)
    assert world.body("bob", sent) == "committed"


def test_the_authenticator_of_another_mode_is_refused() -> None:
    for mode, size in ((Mode.DIRECT, 64), (Mode.SIGNED, 32)):
        world = pair(mode)
        parsed = ParsedMessage.parse(world.send("ann").message)
        other = MESSAGE.build(parsed.header_bytes, parsed.ciphertext, bytes(size))
        with refused(Reason.BAD_FORM, world["bob"]):
            world["bob"].receive(other, NOW)


def test_a_ciphertext_that_two_keys_might_open_is_bound_to_one() -> None:
    """Another ciphertext under the right commitment: the signature covers its hash."""
    world = pair(Mode.SIGNED)
    sent = world.send("ann")
    parsed = ParsedMessage.parse(sent.message)
    other = encrypt(sent.key, b"something else".ljust(len(parsed.ciphertext) - 16, b"\x00"))
    swapped = MESSAGE.build(parsed.header_bytes, other, parsed.authenticator)
    with refused(Reason.BAD_SIGNATURE, world["bob"]):
        world["bob"].receive(swapped, NOW)
    world.receive("bob", sent)


# --- every byte ----------------------------------------------------------------------------------


def conversation(kind: str) -> tuple[World, str, Sent]:
    """A message of each kind, still to be received: the room, its receiver, and it."""
    if kind == "signed":
        world = World("ann", "bob", "cid")
        world.commit("cid")
        world.deliver(world.send("ann"))
        world.commit("cid")
        return world, "bob", world.send("ann")
    world = pair(Mode.DIRECT)
    if kind == "direct, opening":
        return world, "bob", world.send("ann")
    world.receive("bob", world.send("ann"))
    answer = world.send("bob")
    if kind == "direct, first answer":
        return world, "ann", answer
    world.receive("ann", answer)
    if kind == "direct, answer":
        return world, "bob", world.send("ann")
    world.receive("bob", world.send("ann"))
    return world, "bob", world.send("ann")


KINDS: Final = [
    "signed", "direct, opening", "direct, first answer", "direct, answer", "direct, again",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_no_byte_of_a_message_can_be_changed(kind: str) -> None:
    world, reader, sent = conversation(kind)
    room = world[reader]
    before = room.digest()
    for place in range(len(sent.message)):
        for bits in (0x01, 0x80, 1 + place % 255):
            changed = bytearray(sent.message)
            changed[place] ^= bits
            with pytest.raises(RemoteError):
                room.receive(bytes(changed), NOW)
            assert room.digest() == before, f"byte {place} changed the state"
    assert world.body(reader, sent) == "hello"


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_cannot_be_cut_or_extended(kind: str) -> None:
    world, reader, sent = conversation(kind)
    room = world[reader]
    before = room.digest()
    message = sent.message
    for changed in (*(message[:n] for n in range(len(message))), message + b"\x00", message * 2):
        with pytest.raises(RemoteError):
            room.receive(changed, NOW)
    parsed = ParsedMessage.parse(message)
    for ciphertext in (
        parsed.ciphertext[:-1], parsed.ciphertext + b"\x00", parsed.ciphertext[:17],
        parsed.ciphertext[1:],
    ):  # fmt: skip
        with pytest.raises(RemoteError):
            room.receive(
                MESSAGE.build(parsed.header_bytes, ciphertext, parsed.authenticator), NOW
            )
    assert room.digest() == before
    assert world.body(reader, sent) == "hello"


@pytest.mark.parametrize("kind", KINDS)
def test_each_header_field_is_bound(kind: str) -> None:
    """Each field replaced by another good value: refused, whatever the receiver makes of it."""
    world, reader, sent = conversation(kind)
    room = world[reader]
    parsed = ParsedMessage.parse(sent.message)
    header = parsed.header
    before = room.digest()
    other_key = dh_keypair(Stream("other"))[1]
    changes: dict[str, Any] = {
        "room": b"x" * 32, "prefix": b"x" * 8, "sender": b"x" * 32, "number": header.number + 1,
        "salt": bytes(16), "last_spoken": (b"x" * 8, 1), "flags": 1,
        "turn": TurnFields(other_key, other_key, bytes(48), None),
    }  # fmt: skip
    for name, value in changes.items():
        changed = header._replace(**{name: value}).encode()
        with pytest.raises(RemoteError):
            room.receive(MESSAGE.build(changed, parsed.ciphertext, parsed.authenticator), NOW)
    if header.turn is not None:
        for name, value in (
            ("leaf_key", other_key), ("ephemeral_key", other_key), ("slot", bytes(48)),
            ("leaf_key", bytes(32)), ("ephemeral_key", bytes(32)),
            ("entry", None if header.turn.entry else b"x"),
        ):  # fmt: skip
            turn = TurnFields(**{**header.turn._asdict(), name: value})
            changed = header._replace(turn=turn).encode()
            with pytest.raises(RemoteError):
                room.receive(
                    MESSAGE.build(changed, parsed.ciphertext, parsed.authenticator), NOW
                )
    assert room.digest() == before
    assert world.body(reader, sent) == "hello"


# --- contents ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["text", "data", "wide text"])
def test_a_body_may_be_as_large_as_the_limit_and_no_larger(mode: Mode, kind: str) -> None:
    world = pair(mode)
    units: dict[str, str | bytes] = {"text": "x", "data": b"x", "wide text": "é"}
    unit = units[kind]
    count = MAX_BODY // (2 if kind == "wide text" else 1)
    largest = unit * count
    assert world.body("bob", world.send("ann", said(largest))) == largest
    with refused(Reason.TOO_LARGE, world["ann"], error=LocalError):
        world.send("ann", said(unit * (count + 1)))
    assert world.body("bob", world.send("ann", said(b""))) == b""


@pytest.mark.parametrize("mode", MODES)
def test_a_content_that_nobody_may_send_is_refused_by_its_readers(mode: Mode) -> None:
    contents = {
        Reason.TOO_LARGE: TEXT.build(NOW, None, 60, None, "x" * (MAX_BODY + 1)),
        Reason.BAD_POLICY: TEXT.build(NOW, None, MAX_LIFETIME + 1, None, "x"),
        Reason.WRONG_TYPE: HEADER.build(*header_of(pair(mode), "ann")),
        Reason.TRUNCATED: said("x").encode()[:-1],
        Reason.BAD_FORM: b"\x05",
    }
    for reason, content in contents.items():
        world = pair(mode)
        message = seal_next(world, "ann", content)
        with refused(reason, world["bob"]):
            world["bob"].receive(message, NOW)
        assert world.body("bob", world.send("ann", "fine")) == "fine"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Said("x", NOW, Evaporation(None, 0)), Reason.BAD_POLICY),
        (Said("x", NOW, Evaporation(None, MAX_LIFETIME + 1)), Reason.BAD_POLICY),
        (Said("x", NOW, Evaporation(MAX_LIFETIME + 1, 1)), Reason.BAD_POLICY),
        (Said("x", NOW, Evaporation(), b"short"), Reason.BAD_INPUT),
        (Said("\ud800", NOW, Evaporation()), Reason.BAD_INPUT),
        (Said("x", -1, Evaporation()), Reason.BAD_INPUT),
        (Said("x", 1000 * NOW, Evaporation()), Reason.BAD_INPUT),
    ],
    ids=["no life", "long life", "long view", "quote", "text", "before 1970", "milliseconds"],
)
def test_a_content_that_readers_would_refuse_is_not_sent(content: Said, reason: Reason) -> None:
    world = pair(Mode.SIGNED)
    with refused(reason, world["ann"], error=LocalError):
        world.send("ann", content)
    world.check_talk()


def test_announcements_and_leave_requests_are_contents() -> None:
    world = World("ann", "bob", "cid")
    announced = Announcement("bob", world.people["bob"].mailbox.mailbox)
    assert world.receive("ann", world.send("bob", announced)).content == announced
    request = world["bob"].leave_request(world.people["bob"].keys)
    assert world.receive("cid", world.send("bob", request)).content == request
    assert world["cid"].leaving == (world["bob"].own_id,)


def test_a_forged_leave_request_is_read_and_not_noted() -> None:
    world = World("ann", "bob", "cid")
    request = world["bob"].leave_request(world.people["bob"].keys).request
    forged = Leave(request[:-1] + bytes([request[-1] ^ 1]))
    assert world.receive("cid", world.send("ann", forged)).content == forged
    assert world["cid"].leaving == ()


@pytest.mark.parametrize("mode", MODES)
def test_the_stricter_policy_holds(mode: Mode) -> None:
    """REQ-EVAP-02."""
    world = pair(mode, evaporation=Evaporation(30, 600))
    for own, expected in (
        (Evaporation(), Evaporation(30, 600)),
        (Evaporation(5, 900), Evaporation(5, 600)),
        (Evaporation(60, 300), Evaporation(30, 300)),
        (Evaporation(0, 1), Evaporation(0, 1)),
    ):
        message = world.send("ann", said("x", NOW, own))
        assert world.receive("bob", message).evaporation == expected


def test_a_late_message_keeps_the_policy_of_its_epoch() -> None:
    """REQ-EVAP-02."""
    world = pair(Mode.SIGNED)
    late = world.send("ann")
    world.commit("ann", SetPolicy(Policy(Mode.SIGNED, evaporation=Evaporation(1, 2))))
    assert world.receive("bob", late).evaporation == Evaporation()
    assert world.receive("bob", world.send("ann")).evaporation == Evaporation(1, 2)


# --- jumps and gaps ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_jump_may_be_as_far_as_the_limit_and_no_farther(mode: Mode) -> None:
    world = pair(mode)
    first = world.send("ann", "first")
    skip_messages(world["ann"], MAX_JUMP - 1)
    other = World("ann", "bob", policy=Policy(mode))
    assert world["bob"].receive(seal_next(world, "ann"), NOW).missing == MAX_JUMP
    assert world.body("bob", first) == "first"
    too_far = seal_next_at(other, MAX_JUMP + 1)
    with refused(Reason.JUMP_TOO_FAR, other["bob"]):
        other["bob"].receive(too_far, NOW)
    assert other["bob"].receive(seal_next_at(other, MAX_JUMP), NOW).index == MAX_JUMP


def seal_next_at(world: World, index: int) -> bytes:
    """A message of ann at any index."""
    clone = World(*world.rooms, policy=world.policy)
    skip_messages(clone["ann"], index)
    assert clone["ann"].id == world["ann"].id
    return seal_next(clone, "ann")


@pytest.mark.parametrize("index", [MAX_JUMP + 1, 2**16, MAX_INDEX])
def test_a_forged_far_index_changes_nothing(index: int) -> None:
    world = pair(Mode.SIGNED)
    with refused(Reason.JUMP_TOO_FAR, world["bob"]):
        world["bob"].receive(seal_next(world, "ann", number=index), NOW)
    with refused(Reason.BAD_SIGNATURE, world["bob"]):
        world["bob"].receive(seal_next(world, "ann", number=MAX_JUMP), NOW)
    world.check_talk()


def test_an_index_past_32_bits_has_no_form() -> None:
    world = pair(Mode.SIGNED)
    with refused(Reason.BAD_FORM, world["bob"]):
        world["bob"].receive(seal_next(world, "ann", number=MAX_INDEX + 1), NOW)


def test_a_direct_room_awaits_an_answer_after_as_many_messages_as_can_be_skipped() -> None:
    """REQ-DIR-06, REQ-LIMIT-17."""
    world = pair(Mode.DIRECT)
    skip_messages(world["ann"], MAX_JUMP - 1)
    last = world.send("ann", "last")
    with refused(Reason.OUT_OF_TURN, world["ann"], error=LocalError):
        world.send("ann")
    assert world.receive("bob", last).missing == MAX_JUMP - 1
    world.receive("ann", world.send("bob"))
    assert world.body("bob", world.send("ann", "on again")) == "on again"


def test_an_answer_may_come_before_any_message_was_read() -> None:
    """And then all that was said before is a gap, or still readable, up to the limit."""
    world = pair(Mode.DIRECT)
    early = world.send("ann", "early")
    skip_messages(world["ann"], MAX_JUMP - 1)
    world.receive("ann", world.send("bob"))
    received = world.receive("bob", world.send("ann"))
    assert (received.missing, received.lost) == (MAX_JUMP, False)
    assert world.body("bob", early) == "early"


@pytest.mark.parametrize("read", [0, 1, 3])
def test_the_next_epoch_tells_what_is_missing_of_the_last(read: int) -> None:
    world = World("ann", "bob", "cid")
    sent = [world.send("ann", str(n)) for n in range(3)]
    for message in sent[:read]:
        world.receive("bob", message)
    world.commit("cid")
    received = world.receive("bob", world.send("ann"))
    assert (received.missing, received.lost) == (3 - read, False)
    for message in reversed(sent[read:]):
        assert world.receive("bob", message).missing == 0
    with refused(Reason.REPLAY, world["bob"]):
        world.receive("bob", sent[0])


def test_the_count_names_the_last_epoch_that_its_sender_spoke_in() -> None:
    """REQ-DEL-02."""
    world = World("ann", "bob", "cid")
    sent = [world.send("ann", str(n)) for n in range(2)]
    for _ in range(3):
        world.commit("cid")  # ann says nothing in three epochs
    received = world.receive("bob", world.send("ann"))
    assert received.missing == 2
    # The silent epochs in between ended with nothing said.
    for epoch in list(state_of(world["bob"]).epochs.values())[:-1]:
        assert epoch.chains[world["ann"].own_id].key is None
    assert world.body("bob", sent[1]) == "1"


def test_once_a_chain_is_closed_its_key_is_gone_and_nothing_can_follow() -> None:
    """A member that said it sent two in the last epoch cannot add a third, nor can a thief."""
    world = World("ann", "bob", "cid")
    for _ in range(2):
        world.deliver(world.send("ann"))
    third = seal_next(world, "ann")
    early_room = Room.restore(world["cid"].records())
    world.commit("bob")
    world.receive("cid", world.send("ann"))
    with refused(Reason.BEYOND_COUNT, world["cid"]):
        world["cid"].receive(third, NOW)
    early_room.receive(third, NOW)  # it would have been good before


def test_a_gap_past_the_jump_limit_is_reported_as_lost_and_the_new_message_is_read() -> None:
    for count, lost in ((MAX_JUMP, False), (MAX_JUMP + 1, True)):
        world = World("ann", "bob", "cid")
        early = world.send("ann", "early")
        skip_messages(world["ann"], count - 1)
        world.commit("cid")
        received = world.receive("bob", world.send("ann", "new"))
        assert received.content == said("new")
        assert received.lost is lost
        assert received.missing == (0 if lost else MAX_JUMP)
        if lost:
            with refused(Reason.BEYOND_COUNT, world["bob"]):
                world.receive("bob", early)
        else:
            assert world.body("bob", early) == "early"


def test_keys_skipped_before_a_lost_gap_stay() -> None:
    world = World("ann", "bob", "cid")
    early = [world.send("ann", str(n)) for n in range(3)]
    world.receive("bob", early[2])
    skip_messages(world["ann"], MAX_JUMP + 1)
    world.commit("cid")
    received = world.receive("bob", world.send("ann"))
    assert (received.lost, received.missing) == (True, 0)
    assert world.body("bob", early[0]) == "0"


@pytest.mark.parametrize("claim", ["fewer than read", "of this epoch", "of a later epoch"])
def test_a_bad_count_is_refused(claim: str) -> None:
    world = World("ann", "bob", "cid")
    first = state_of(world["ann"]).current
    for _ in range(3):
        world.deliver(world.send("ann"))
    late = seal_next(world, "ann", last_spoken=(first, 3))
    made = world.make("cid")
    for name in ("ann", "bob"):
        world.apply(name, made)
    current = state_of(world["ann"]).current
    if claim == "fewer than read":
        message = seal_next(world, "ann", last_spoken=(first, 2))
    elif claim == "of this epoch":
        message = seal_next(world, "ann", last_spoken=(current, 0))
    else:
        message = late
    with refused(Reason.BAD_COUNT, world["bob"]):
        world["bob"].receive(message, NOW)
    world.check_talk("ann", "bob")


def test_having_said_nothing_before_contradicts_what_was_read() -> None:
    world = World("ann", "bob", "cid")
    world.deliver(world.send("ann"))
    world.commit("cid")
    with refused(Reason.BAD_COUNT, world["bob"]):
        world["bob"].receive(seal_next(world, "ann", last_spoken=None), NOW)
    world.check_talk()


def test_jumping_again_and_again_loses_the_oldest_of_a_chain() -> None:
    """REQ-LIMIT-18: a chain keeps a thousand skipped keys; when it drops one, something is lost."""
    world = pair(Mode.SIGNED)
    early = [world.send("ann", f"early {n}") for n in range(3)]
    skip_messages(world["ann"], MAX_JUMP - 3)
    assert world.receive("bob", world.send("ann")).missing == MAX_JUMP
    assert world.body("bob", early[2]) == "early 2"
    skip_messages(world["ann"], 2)
    received = world.receive("bob", world.send("ann"))
    assert (received.missing, received.lost, received.evicted) == (2, True, {})
    with refused(Reason.REPLAY, world["bob"]):
        world.receive("bob", early[0])
    assert world.body("bob", early[1]) == "early 1"


# --- limits of a room ----------------------------------------------------------------------------


def crowd() -> tuple[World, dict[str, Sent]]:
    """A room in which reader keeps all the skipped keys it may: a thousand of each of four."""
    names = ["ann", "bob", "cid", "dan", "eve"]
    world = World("reader", *names)
    early = {}
    for name in names[:4]:
        early[name] = world.send(name, f"early {name}")
        skip_messages(world[name], MAX_JUMP - 1)
        received = world.receive("reader", world.send(name))
        assert (received.missing, received.evicted) == (MAX_JUMP, {})
    assert skipped_keys(world["reader"]) == MAX_SKIPPED_ROOM
    return world, early


def test_a_room_full_of_skipped_keys_drops_the_oldest_of_who_has_most() -> None:
    """REQ-CHAIN-10, REQ-LIMIT-19."""
    world, early = crowd()
    (loser,) = [n for n in early if world[n].own_id == max(world[m].own_id for m in early)]
    sent = [world.send("eve", str(n)) for n in range(3)]
    received = world.receive("reader", sent[2])  # two more, for which there is no room
    assert (received.missing, received.lost) == (2, False)
    assert received.evicted == {world[loser].own_id: 2}
    assert skipped_keys(world["reader"]) == MAX_SKIPPED_ROOM
    for name, message in early.items():
        if name == loser:
            with refused(Reason.REPLAY, world["reader"]):
                world.receive("reader", message)
        else:
            assert world.body("reader", message) == f"early {name}"
    for n in (0, 1):
        assert world.body("reader", sent[n]) == str(n)


def test_a_full_room_still_reads_what_skips_nothing() -> None:
    world, early = crowd()
    received = world.receive("reader", world.send("eve"))
    assert (received.missing, received.evicted) == (0, {})
    for name, message in early.items():
        assert world.body("reader", message) == f"early {name}"


def test_nobody_pushes_out_the_few_of_another_with_its_own_many() -> None:
    """ann skips in epoch after epoch; only ann's own oldest go, epoch by epoch.
    REQ-CHAIN-10, REQ-LIMIT-19."""
    world = World("reader", "ann", "bob", "cid")
    few = {}
    for name in ("bob", "cid"):
        few[name] = [world.send(name, f"{name} {n}") for n in range(6)]
        world.receive("reader", few[name][5])
    firsts, evicted = [], 0
    for _ in range(MAX_SKIPPED_ROOM // MAX_JUMP + 2):
        firsts.append(world.send("ann"))
        skip_messages(world["ann"], MAX_JUMP - 1)
        received = world.receive("reader", world.send("ann"))
        evicted += received.evicted.get(world["ann"].own_id, 0)
        assert set(received.evicted) <= {world["ann"].own_id}
        made = world.make("bob")
        for name in ("reader", "ann", "cid"):
            world.apply(name, made)
    assert skipped_keys(world["reader"]) == MAX_SKIPPED_ROOM
    assert evicted == 2 * MAX_JUMP + 10
    for n, message in enumerate(firsts):
        if n <= 2:  # two epochs went whole, and ten of the third
            with refused(Reason.REPLAY, world["reader"]):
                world.receive("reader", message)
        else:
            world.receive("reader", message)
    for name, messages in few.items():
        for n in range(5):
            assert world.body("reader", messages[n]) == f"{name} {n}"


def test_no_sender_makes_a_room_keep_more_skipped_keys_than_the_limit_over_epochs() -> None:
    """One that skips in every epoch, and closes each with a gap of the limit."""
    world = World("ann", "bob")
    for _ in range(MAX_SKIPPED_ROOM // MAX_JUMP + 2):
        world.receive("bob", world.send("ann"))
        skip_messages(world["ann"], MAX_JUMP)
        world.commit("bob")
    world.receive("bob", world.send("ann"))
    assert skipped_keys(world["bob"]) <= MAX_SKIPPED_ROOM


# --- time ----------------------------------------------------------------------------------------


def test_skipped_keys_are_erased_after_72_hours_and_not_before() -> None:
    """REQ-CHAIN-12, REQ-DEL-08, REQ-LIMIT-20."""
    for mode in MODES:
        world = pair(mode)
        sent = [world.send("ann") for _ in range(3)]
        world.receive("bob", sent[2])
        world["bob"].expire(NOW + SKIPPED_LIFETIME)
        world["bob"].receive(sent[1].message, NOW + SKIPPED_LIFETIME)
        world["bob"].expire(NOW + SKIPPED_LIFETIME + 1)
        with refused(Reason.REPLAY, world["bob"]):
            world["bob"].receive(sent[0].message, NOW + SKIPPED_LIFETIME + 1)
        assert skipped_keys(world["bob"]) == 0
        world.now = NOW + SKIPPED_LIFETIME + 1
        assert world.body("bob", world.send("ann", "still talking")) == "still talking"


def test_an_epoch_is_erased_72_hours_after_the_next_and_not_before() -> None:
    """REQ-DEL-07, REQ-LIMIT-14."""
    world = World("ann", "bob", "cid")
    sent = [world.send("ann") for _ in range(2)]
    world.commit("cid")
    for name in ("ann", "bob"):
        world[name].expire(NOW + EPOCH_GRACE)
        assert len(state_of(world[name]).epochs) == 2
    world["bob"].receive(sent[0].message, NOW + EPOCH_GRACE)
    for name in ("ann", "bob"):
        world[name].expire(NOW + EPOCH_GRACE + 1)
        assert len(state_of(world[name]).epochs) == 1
    with refused(Reason.UNKNOWN_EPOCH, world["bob"], error=HeldError):
        world["bob"].receive(sent[1].message, NOW + EPOCH_GRACE + 1)
    world.now = NOW + EPOCH_GRACE + 1
    world.check_talk()


def test_an_old_epoch_of_a_direct_room_is_erased_72_hours_after_the_next() -> None:
    world = pair(Mode.DIRECT)
    sent = [world.send("ann") for _ in range(3)]
    world.receive("bob", sent[0])
    world.receive("ann", world.send("bob"))
    world.receive("bob", world.send("ann"))
    world["bob"].expire(NOW + EPOCH_GRACE)
    world["bob"].receive(sent[1].message, NOW + EPOCH_GRACE)
    world["bob"].expire(NOW + EPOCH_GRACE + 1)
    assert list(state_of(world["bob"]).epochs) == [state_of(world["bob"]).current]
    with pytest.raises(RemoteError):
        world["bob"].receive(sent[2].message, NOW + EPOCH_GRACE + 1)
    world.now = NOW + EPOCH_GRACE + 1
    world.receive("ann", world.send("bob"))


def test_a_removed_device_reads_late_messages_for_72_hours() -> None:
    """REQ-DEL-07."""
    world = World("ann", "bob", "cid")
    sent = [world.send("bob", str(n)) for n in range(2)]
    world.commit("ann", world.removal("cid"))
    world["cid"].expire(NOW + EPOCH_GRACE)
    assert world["cid"].receive(sent[0].message, NOW + EPOCH_GRACE).content == said("0")
    world["cid"].expire(NOW + EPOCH_GRACE + 1)
    with refused(Reason.UNKNOWN_MEMBER, world["cid"]):
        world["cid"].receive(sent[1].message, NOW + EPOCH_GRACE + 1)
    world["cid"].expire(NOW + EPOCH_GRACE + HOUR)
    assert world["cid"].closed
    assert Room.restore(world["cid"].records()).closed


def test_the_current_epoch_never_expires() -> None:
    world = World("ann", "bob")
    message = world.send("ann")
    for name in ("ann", "bob"):
        world[name].expire(NOW + 10**9)
    assert world.body("bob", message) == "hello"
    world.check_talk()


# --- refreshing ----------------------------------------------------------------------------------


def test_nobody_speaks_before_a_last_resort_joiner_has_refreshed() -> None:
    """REQ-MEM-09, REQ-MSG-06."""
    world = World("ann", "bob", outsiders=["cid"])
    guest = world.people["cid"].invited(last_resort=True)
    made = world.make("ann", invite=[guest])
    world.spread(made)
    world.join("cid", made, guest)
    for name in ("ann", "bob", "cid"):
        with refused(Reason.REFRESH_AWAITED, world[name], error=LocalError):
            world.send(name)
        assert world[name].refresh_due(NOW) == (name == "cid")
    world.commit("bob")  # another's commit does not help
    with refused(Reason.REFRESH_AWAITED, world["bob"], error=LocalError):
        world.send("bob")
    world.commit("cid")
    assert not world["cid"].refresh_due(NOW)
    world.check_talk()


def test_removing_a_last_resort_joiner_ends_the_wait() -> None:
    world = World("ann", "bob", outsiders=["cid"])
    guest = world.people["cid"].invited(last_resort=True)
    made = world.make("ann", invite=[guest])
    world.spread(made)
    world.join("cid", made, guest)
    world.commit("ann", world.removal("cid"))
    world.check_talk("ann", "bob")


def test_a_direct_room_through_a_last_resort_package_is_flagged() -> None:
    """REQ-INV-10."""
    world = World("ann", outsiders=["bob"])
    guest = world.people["bob"].invited(last_resort=True)
    ann = world.people["ann"]
    founded, invitations = Room.found(
        ann.keys, Policy(Mode.DIRECT), [guest], "ann", ann.mailbox.mailbox, NOW, ann.random
    )
    (invitation,) = invitations.values()
    joined = world.people["bob"].join(invitation, guest, NOW)
    for room in (founded, joined, Room.restore(founded.records())):
        assert room.opened_by_last_resort
    message = founded.send(ann.keys, said("hello"), NOW, ann.random)
    assert joined.receive(message.message, NOW).content == said("hello")
    assert not pair(Mode.DIRECT)["ann"].opened_by_last_resort


@pytest.mark.parametrize("mode", MODES)
def test_a_refresh_is_due_after_a_week_or_256_messages(mode: Mode) -> None:
    """REQ-LIMIT-22."""
    world = pair(mode)
    assert not world["ann"].refresh_due(NOW + REFRESH_AFTER - 1)
    assert world["ann"].refresh_due(NOW + REFRESH_AFTER)
    for _ in range(REFRESH_MESSAGES - 1):
        world.send("ann")
    assert not world["ann"].refresh_due(NOW)
    world.send("ann")
    assert world["ann"].refresh_due(NOW)
    if mode is Mode.SIGNED:
        world.commit("ann")
        assert not world["ann"].refresh_due(NOW)


def test_an_answer_is_what_refreshes_in_a_direct_room() -> None:
    world = pair(Mode.DIRECT)
    for _ in range(REFRESH_MESSAGES):
        world.send("ann")
    assert world["ann"].refresh_due(NOW)
    world.receive("ann", world.send("bob"))
    world.receive("bob", world.send("ann"))
    assert not world["ann"].refresh_due(NOW)


# --- direct rooms --------------------------------------------------------------------------------


def test_each_answer_opens_an_epoch_and_consecutive_messages_do_not() -> None:
    """REQ-DIR-02, REQ-MSG-06."""
    world = pair(Mode.DIRECT)
    for turn in range(1, 6):
        speaker, reader = ("bob", "ann") if turn % 2 else ("ann", "bob")
        for n in range(3):
            assert world.body(reader, world.send(speaker, f"{turn}.{n}")) == f"{turn}.{n}"
            assert world[reader].epoch == world[speaker].epoch == turn
        world.check_agreement()
    assert world["ann"].answered


def test_only_the_first_answer_carries_an_entry() -> None:
    """REQ-DIR-02."""
    world = pair(Mode.DIRECT)
    first = ParsedMessage.parse(world.send("bob").message)
    again = world.send("bob")
    assert first.header.turn is not None
    assert first.header.turn.entry is not None
    assert ParsedMessage.parse(again.message).header.turn == first.header.turn
    world.receive("ann", again)
    answer = ParsedMessage.parse(world.send("ann").message)
    assert answer.header.turn is not None
    assert answer.header.turn.entry is None


def test_a_member_cannot_speak_in_the_others_epoch() -> None:
    """bob takes ann's own epoch and chain for its words."""
    world = pair(Mode.DIRECT)
    world.receive("bob", world.send("ann"))
    state = state_of(world["bob"])
    chain = state.epoch.chains[world["ann"].own_id]
    assert chain.key is not None
    _, message_key = step(chain.key.reveal())
    header = Header(state.id, state.current, state.own, 0, bytes(16), None)
    forged = seal_message(header, state.epoch.context, message_key, said("x").encode(), bytes(16),
                          None)  # fmt: skip
    with refused(Reason.OUT_OF_TURN, world["ann"]):
        world["ann"].receive(forged.message, NOW)


def test_who_opened_an_epoch_cannot_open_the_next() -> None:
    """ann, having spoken last, makes another turn: bob holds no init for that."""
    world = pair(Mode.DIRECT)
    world.receive("bob", world.send("ann"))
    leaf = dh_keypair(Stream("leaf"))[1]
    header = header_of(world, "ann", prefix=b"x" * 8)
    header = header._replace(turn=TurnFields(leaf, leaf, bytes(48), None))
    with refused(Reason.OUT_OF_TURN, world["bob"]):
        world["bob"].receive(
            seal_message(header, bytes(32), bytes(32), b"x", bytes(16), None).message, NOW
        )


def test_an_answer_to_another_history_is_refused() -> None:
    """The answer of a clone of the room, whose epoch has another prefix than it claims."""
    world = pair(Mode.DIRECT)
    answer = ParsedMessage.parse(world.send("bob").message)
    moved = answer.header._replace(prefix=b"x" * 8).encode()
    with refused(Reason.WRONG_TRANSCRIPT, world["ann"]):
        world["ann"].receive(MESSAGE.build(moved, answer.ciphertext, answer.authenticator), NOW)


def test_two_answers_to_one_epoch_are_a_fault_of_a_cloned_device() -> None:
    world = pair(Mode.DIRECT)
    clone = Room.restore(world["bob"].records())
    world.receive("ann", world.send("bob"))
    other = clone.send(world.people["bob"].keys, said("x"), NOW, Stream("clone"))
    with refused(Reason.OUT_OF_TURN, world["ann"]):
        world["ann"].receive(other.message, NOW)
    world.receive("bob", world.send("ann"))


def test_another_turn_in_a_known_epoch_is_a_fork() -> None:
    world = pair(Mode.DIRECT)
    world.receive("ann", world.send("bob"))
    parsed = ParsedMessage.parse(world.send("bob").message)
    turn = parsed.header.turn
    assert turn is not None
    changed = parsed.header._replace(turn=turn._replace(slot=bytes(48))).encode()
    with refused(Reason.FORK, world["ann"]):
        world["ann"].receive(MESSAGE.build(changed, parsed.ciphertext, parsed.authenticator), NOW)


def test_a_turn_in_a_group_message_is_refused() -> None:
    world = World("ann", "bob")
    leaf = dh_keypair(Stream("leaf"))[1]
    turn = TurnFields(leaf, leaf, bytes(48), None)
    with refused(Reason.FORK, world["bob"]):
        world["bob"].receive(seal_next(world, "ann", turn=turn), NOW)


def test_the_keys_of_a_direct_epoch_heal_with_each_turn() -> None:
    """A thief of bob's whole state after ann's message can read that epoch, and not past bob's
    next answer and ann's after it."""
    world = pair(Mode.DIRECT)
    world.receive("bob", world.send("ann"))
    thief = Room.restore(world["bob"].records())
    same_epoch = world.send("ann", "not healed")
    assert thief.receive(same_epoch.message, NOW).content == said("not healed")
    world.receive("bob", same_epoch)
    answer = world.send("bob")
    with refused(Reason.OWN_MESSAGE, thief):
        thief.receive(answer.message, NOW)
    world.receive("ann", answer)
    healed = world.send("ann", "healed")
    with pytest.raises(RemoteError):
        thief.receive(healed.message, NOW)
    assert world.body("bob", healed) == "healed"


def test_reading_reveals_nothing_of_earlier_messages() -> None:
    """Forward secrecy: with all that bob keeps after reading, what it read does not open.
    REQ-DEL-03."""
    for mode in MODES:
        world = pair(mode)
        sent = [world.send("ann") for _ in range(3)]
        for message in sent:
            world.receive("bob", message)
        state = state_of(world["bob"])
        for key in (key[:32] for key in secrets_of(world["bob"]).values()):
            for message in sent:
                for message_key in (key, step(key)[1]):
                    with pytest.raises(RemoteError) as caught:
                        open_message(
                            ParsedMessage.parse(message.message), state.epoch.context, message_key,
                            mode, world.member("ann").credential.room_sign_key,
                        )  # fmt: skip
                    assert caught.value.reason in {Reason.BAD_COMMITMENT, Reason.BAD_SIGNATURE}


# --- answers of a malicious peer -----------------------------------------------------------------


def forged_answer(
    world: World, who: str, *, leaf_key: bytes | None = None, entry: bytes | None = None
) -> bytes:
    """The answer of someone who puts what it likes into the turn; all else is made to fit."""
    state, stream = state_of(world[who]), Stream("forged answer")
    parent = state.epoch
    (peer,) = (m for m in parent.roster if m.id != state.own)
    own_leaf = dh_keypair(stream)[1] if leaf_key is None else leaf_key
    ephemeral, ephemeral_key = dh_keypair(stream)
    commit = direct_commit(state.id, parent.number, parent.transcript, state.own, own_leaf,
                           ephemeral_key, entry)  # fmt: skip
    r = stream(32)
    assert parent.peer_leaf is not None
    slot = seal_slot(r, ephemeral, commit, ephemeral_key, peer.id, parent.peer_leaf)
    roster = parent.roster
    if entry is not None:
        credential = replace(roster[state.own].credential, signed=entry, contact=None)
        roster = roster.change(state.own, credential=credential)
    keys = EpochKeys.derive(
        epoch_secret(parent.inits[state.own].reveal(), r, commit), commit, roster.members
    )
    transcript = transcript_hash(parent.transcript, commit, keys.confirmation)
    context = context_hash(state.suite, state.id, parent.policy, roster.encode(), transcript)
    _, message_key = step(keys.chains[state.own].reveal())
    header = Header(state.id, transcript[:8], state.own, 0, bytes(16), state.last_spoken,
                    turn=TurnFields(own_leaf, ephemeral_key, slot, entry))  # fmt: skip
    return seal_message(header, context, message_key, said("forged").encode(), bytes(16),
                        None).message  # fmt: skip


def own_entry(world: World, who: str, leaf_key: bytes, **changes: Any) -> bytes:
    """A member entry as it belongs into a first answer, or with one thing wrong."""
    fields = {
        "owner": world.people[who].keys, "room": world[who].id, "member": world[who].own_id,
        "leaf_key": leaf_key, "room_key": sign_keypair(Stream("room"))[1], "version": 1, **changes,
    }  # fmt: skip
    return make_entry(**fields).signed


LEAF: Final = dh_keypair(Stream("a leaf"))[1]
OTHER_LEAF: Final = dh_keypair(Stream("another leaf"))[1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"version": 0}, Reason.BAD_ENTRY),
        ({"version": 2}, Reason.BAD_ENTRY),
        ({"leaf_key": OTHER_LEAF}, Reason.BAD_ENTRY),
        ({"room": b"x" * 32}, Reason.BAD_ENTRY),
        ({"member": b"x" * 32}, Reason.BAD_ENTRY),
        ({"owner": Person("someone else").keys}, Reason.BAD_ENTRY),
        ({"room_key": b"\x01" + bytes(31)}, Reason.BAD_KEY),
    ],
    ids=["good", "same version", "skips one", "leaf", "room", "member", "owner", "room key"],
)
def test_a_first_answer_carries_the_answerers_own_entry(
    changes: dict[str, Any], reason: Reason | None
) -> None:
    world = pair(Mode.DIRECT)
    entry = own_entry(world, "bob", **{"leaf_key": LEAF, **changes})
    message = forged_answer(world, "bob", leaf_key=LEAF, entry=entry)
    if reason is None:
        assert world["ann"].receive(message, NOW).content == said("forged")
        return
    with refused(reason, world["ann"]):
        world["ann"].receive(message, NOW)
    assert world.body("ann", world.send("bob", "honest")) == "honest"


def test_a_first_answer_with_a_key_package_for_an_entry_is_refused() -> None:
    world = pair(Mode.DIRECT)
    package = world.people["bob"].package().package
    message = forged_answer(world, "bob", leaf_key=package.leaf_key, entry=package.signed)
    with refused(Reason.BAD_ENTRY, world["ann"]):
        world["ann"].receive(message, NOW)


def test_a_first_answer_without_an_entry_and_a_later_one_with_it_are_refused() -> None:
    world = pair(Mode.DIRECT)
    with refused(Reason.BAD_ENTRY, world["ann"]):
        world["ann"].receive(forged_answer(world, "bob"), NOW)
    world.receive("ann", world.send("bob"))
    entry = own_entry(world, "ann", LEAF)
    with refused(Reason.BAD_ENTRY, world["bob"]):
        world["bob"].receive(forged_answer(world, "ann", leaf_key=LEAF, entry=entry), NOW)
    assert world["bob"].receive(forged_answer(world, "ann"), NOW).content == said("forged")


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_an_answer_with_a_leaf_key_that_no_secret_can_be_sealed_to_is_refused(key: bytes) -> None:
    """Were it taken, the next answer could not be sealed, or would be sealed for everyone."""
    world = pair(Mode.DIRECT)
    world.receive("ann", world.send("bob"))
    with refused(Reason.BAD_KEY, world["bob"]):
        world["bob"].receive(forged_answer(world, "ann", leaf_key=key), NOW)
    assert world.body("bob", world.send("ann", "honest")) == "honest"
