"""Targets: messages to a room, changed by somebody who has the keys, and sealed again."""

from __future__ import annotations

from typing import Any

from evanesce.chain import message_keys, step
from evanesce.commit import direct_commit
from evanesce.envelope import pad
from evanesce.epoch import EpochKeys, epoch_secret, prefix_of, seal_slot, transcript_hash
from evanesce.errors import EvanesceError
from evanesce.formats import HEADER, MESSAGE
from evanesce.membership import Mode, context_hash, make_entry
from evanesce.primitives import SUITE_1, H, dh_public, encrypt, sign
from evanesce.room import Room
from evanesce.wire import decode, encode
from tests.fuzz.choices import Choices
from tests.fuzz.scenes import DIRECT, GROUPS, Scene, scene

_PREFIX, _SENDER, _INDEX, _LAST, _TURN = 3, 4, 5, 7, 9  # places in a header
_NO_KEY = bytes(32)
_PRIVATE = bytes([8]) + bytes(range(30)) + b"\x44"


def receive(data: bytes) -> Any:
    """`Room.receive` in a group."""
    choices = Choices(data)
    return _receive(scene(choices.of(GROUPS)), choices)


def receive_direct(data: bytes) -> Any:
    """`Room.receive` in a 1:1 room, with the turn that a message may carry."""
    choices = Choices(data)
    return _receive(scene(choices.of(DIRECT)), choices)


def _receive(made: Scene, choices: Choices) -> Any:
    built = message(made, made.room, choices)
    now = made.world.now + choices.of((0, 1, 300_000))
    return made.watched.deliver(lambda room: room.receive(built, now))


def message(made: Scene, room: Room, choices: Choices) -> bytes:
    """A message to this room: a real header, changed, around a content of any kind.

    It is sealed with the key that the receiver will use, if it has one for this header.
    """
    value = decode(choices.of(made.headers), limit=HEADER.limit)
    context, key = _fill(made, room, value, choices)
    value = made.ring.vary_value(value, choices)
    content = _content(made, choices)
    if choices.rarely(16):
        key = _NO_KEY
    return seal(made, room, value, content, context, key, choices)


def _content(made: Scene, choices: Choices) -> bytes:
    """A real content, changed; or any bytes."""
    if choices.rarely():
        return choices.take(choices.number(300))
    return made.ring.vary(choices.of(made.contents), choices)


def _fill(made: Scene, room: Room, value: list[Any], choices: Choices) -> tuple[bytes, bytes]:
    """Make a header say what fits this room; return the context and the message key for it."""
    state = room.state
    sender = choices.of([m for m in made.others if m in state.epoch.roster] or made.others)
    value[_SENDER] = sender
    if state.mode is Mode.DIRECT and (choices.number(3) or state.epoch.opener == state.own):
        return _answer(made, room, value, sender)
    prefixes = list(state.epochs)[::-1]
    epoch = state.epochs[choices.of(prefixes)]
    chain = epoch.chains.get(sender)
    value[_PREFIX] = epoch.prefix
    value[_TURN] = None if epoch.turn is None else list(epoch.turn)
    value[_LAST] = _last_spoken(room, epoch.number, sender, choices)
    if chain is None:
        return epoch.context, _NO_KEY
    skipped = sorted(chain.skipped) or [0]
    near = (0, 1, 2, 3, 999, 1_000, 1_001)
    index = chain.index + choices.of(near) if choices.number(4) < 3 else choices.of(skipped)
    value[_INDEX] = index
    try:
        return epoch.context, chain.at(index, made.world.now)[0]
    except EvanesceError:
        return epoch.context, _NO_KEY


def _last_spoken(room: Room, before: int, sender: bytes, choices: Choices) -> list[Any] | None:
    """Where the sender has spoken before an epoch, as far as the receiver knows; or nearly so."""
    earlier = [epoch for epoch in reversed(room.state.epochs.values()) if epoch.number < before]
    if not earlier or choices.rarely(4):
        return None
    epoch = choices.of(earlier)
    chain = epoch.chains.get(sender)
    count = 0 if chain is None else chain.index
    return [epoch.prefix, max(0, count + choices.of((0, 0, 1, 2, -1, 1_000, 1_001)))]


def _answer(made: Scene, room: Room, value: list[Any], sender: bytes) -> tuple[bytes, bytes]:
    """Make a header carry a turn of its own that the receiver should take, if it is its time."""
    state, parent = room.state, room.state.epoch
    init = parent.inits.get(sender)
    mine = parent.roster[state.own].credential.leaf_key
    mine = mine if parent.turn is None else parent.turn.leaf_key
    public = dh_public(_PRIVATE)
    entry = None
    roster = parent.roster
    if parent.number == 0:
        owner = made.world.people["mal"].keys
        key = room.roster[state.own].credential.room_sign_key
        credential = make_entry(owner, room.id, sender, public, key, 1)
        roster, entry = roster.change(sender, credential=credential), credential.signed
    commit = direct_commit(
        room.id, parent.number, parent.transcript, sender, public, public, entry
    )
    r = bytes(range(32))
    slot = seal_slot(r, _PRIVATE, commit, public, state.own, mine)
    secret = epoch_secret(_NO_KEY if init is None else init.reveal(), r, commit)
    keys = EpochKeys.derive(secret, commit, roster.members)
    transcript = transcript_hash(parent.transcript, commit, keys.confirmation)
    context = context_hash(SUITE_1, room.id, parent.policy, roster.encode(), transcript)
    value[_PREFIX], value[_INDEX] = prefix_of(transcript), 0
    value[_TURN] = [public, public, slot, entry]
    last = next((e for e in reversed(state.epochs.values()) if e.opener == sender), None)
    chain = None if last is None else last.chains.get(sender)
    value[_LAST] = None if last is None or chain is None else [last.prefix, chain.index]
    return context, step(keys.chains[sender].reveal())[1]


def seal(
    made: Scene,
    room: Room,
    header: Any,
    content: bytes,
    context: bytes,
    key: bytes,
    choices: Choices,
) -> bytes:
    """Seal and sign a message over this header, whatever it is; rarely damaged after that."""
    head = header if isinstance(header, bytes) else encode(header)
    aead, com = message_keys(key, H(b"header", head, context))
    padded = pad(content, len(content) + 1 + choices.number(200))
    if choices.rarely(16):
        padded = choices.take(choices.number(64))
    body = encrypt(aead, padded)
    if room.direct == (choices.number(16) != 15):
        authenticator = com
    else:
        sender = header[_SENDER] if isinstance(header, list) and len(header) > _SENDER else None
        signing = _signing_key(made, room, header, sender, choices)
        authenticator = sign(signing, b"message", head, com, H(b"ciphertext", body))
    whole = encode([1, MESSAGE.type, head, body, authenticator])
    return made.ring.vary(whole, choices) if choices.rarely() else whole


def _signing_key(
    made: Scene, room: Room, header: Any, sender: object, choices: Choices
) -> bytes:
    """The room signature key of the one it names as sender in that epoch; rarely another's."""
    everybody = [*made.signing.values(), *made.ring.signers.values()]
    if choices.rarely(16) or not isinstance(sender, bytes):
        return choices.of(everybody)
    prefix = header[_PREFIX]
    epoch = room.state.epochs.get(prefix) if isinstance(prefix, bytes) else None
    if epoch is None or sender not in epoch.roster:
        return everybody[0]
    return made.signing.get(epoch.roster[sender].credential.room_sign_key, everybody[0])
