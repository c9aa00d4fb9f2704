"""Sessions under attack in direct rooms: turns that are forged, repeated or out of turn."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import SMALL_DH, Json, changed_byte, little
from spec.cases.session_direct import begin
from spec.cases.session_play import Play, altered, person, with_header

from spec import reference as ref

OTHER_ID, OTHER_PREFIX = bytes([1]) * 32, bytes(8)


def cases() -> Iterator[Json]:
    yield from first_answer()
    yield from later_answer()
    yield from out_of_turn()
    yield from within_an_epoch()
    yield from cloned()


def header_of(data: bytes) -> list[Any]:
    return ref.parse(ref.parse(data, "message")[0], "header")


def turned(data: bytes, place: int, value: Any) -> bytes:
    """A message with another item in its turn fields."""
    turn = list(header_of(data)[7])
    turn[place] = value
    return with_header(data, {7: turn})


def first_answer() -> Iterator[Json]:
    """Bob's answer opens epoch 1, and brings his entry."""
    play = begin("first-answer")
    play.hear("bob", play.say("ann", "hello"))
    answer = play.say("bob", "hello, ann")
    leaf_key, _, slot, entry = header_of(answer)[7]
    room, bob = header_of(answer)[0], play.id("bob")
    keys, room_key = person("bob").keys, ref.sign_public(bytes(32))

    def entry_of(version: int, leaf: bytes = leaf_key, member: bytes = bob) -> bytes:
        return ref.make_entry(keys, room, member, leaf, room_key, version)

    for place, value, reason in (
        (0, little(9), "bad-entry"),
        (0, SMALL_DH, "bad-key"),
        (1, little(9), "bad-ciphertext"),
        (1, SMALL_DH, "bad-key"),
        (2, changed_byte(slot), "bad-ciphertext"),
        (2, bytes(48), "bad-ciphertext"),
        (3, None, "bad-entry"),
        (3, entry_of(0), "bad-entry"),
        (3, entry_of(2), "bad-entry"),
        (3, entry_of(1, little(9)), "bad-entry"),
        (3, entry_of(1, leaf_key, OTHER_ID), "bad-entry"),
        (3, altered(entry, "signed object", {1: bytes(64)}), "bad-signature"),
        (3, person("bob").package.package.signed, "bad-entry"),
        (3, entry_of(1), "bad-ciphertext"),  # good, and not the one that was committed to
    ):
        play.refuse("ann", turned(answer, place, value), reason)
    play.refuse("ann", with_header(answer, {7: None}), "unknown-epoch")
    play.refuse("ann", with_header(answer, {1: OTHER_PREFIX}), "wrong-transcript")
    play.refuse("ann", with_header(answer, {1: OTHER_PREFIX, 7: None}), "unknown-epoch")
    play.refuse("ann", with_header(answer, {1: play.room("ann").current}), "fork")
    play.hear("ann", answer)
    play.hear("bob", play.say("ann", "epoch 2"))
    yield play.case("ann", "DIR-03 DIR-04 DIR-05 DIR-10 MEM-01 MEM-02 MSG-07",
                    "A first answer with other turn fields")  # fmt: skip


def later_answer() -> Iterator[Json]:
    """Ann's answer to the answer opens epoch 2, without an entry."""
    play = begin("later-answer")
    prefix_0 = play.room("ann").current
    play.hear("bob", play.say("ann", "hello"))
    answer = play.say("bob", "hello, ann")
    play.hear("ann", answer)
    second = play.say("ann", "epoch 2")
    own = play.room("ann").current  # the epoch that the message itself opens
    for claim in (None, [prefix_0, 0], [own, 0], [own, 1]):
        play.refuse("bob", play.forge("ann", {5: claim}), "bad-count")
    slot = header_of(second)[7][2]
    room, ann = header_of(second)[0], play.id("ann")
    entry = ref.make_entry(person("ann").keys, room, ann, header_of(second)[7][0],
                           ref.sign_public(bytes(32)), 1)  # fmt: skip
    for place, value, reason in (
        (0, little(9), "bad-ciphertext"),
        (0, SMALL_DH, "bad-key"),
        (1, little(9), "bad-ciphertext"),
        (1, SMALL_DH, "bad-key"),
        (2, changed_byte(slot), "bad-ciphertext"),
        (3, entry, "bad-entry"),
    ):
        play.refuse("bob", turned(second, place, value), reason)
    _, body, com = ref.parse(second, "message")
    for data, reason in (
        (with_header(second, {1: OTHER_PREFIX}), "wrong-transcript"),
        (with_header(second, {3: 1}), "bad-commitment"),
        (with_header(second, {3: 1_001}), "jump-too-far"),
        (with_header(second, {4: bytes(16)}), "bad-commitment"),
        (with_header(second, {5: None}), "bad-commitment"),
        (with_header(second, {6: 1}), "bad-commitment"),
        (altered(second, "message", {1: changed_byte(body)}), "bad-ciphertext"),
        (altered(second, "message", {1: body[:-1]}), "bad-ciphertext"),
        (altered(second, "message", {2: changed_byte(com)}), "bad-commitment"),
        (altered(second, "message", {2: com + bytes(32)}), "bad-form"),
        (second[:-1], "truncated"),
        (second + b"\x00", "trailing-bytes"),
    ):
        play.refuse("bob", data, reason)
    play.hear("bob", second)
    play.refuse("bob", second, "replay")
    play.hear("ann", play.say("bob", "epoch 3"))
    play.hear("bob", play.say("ann", "epoch 4"))
    spec = "DIR-03 DIR-04 DIR-05 MSG-05 MSG-07 WIRE-19"
    yield play.case("bob", spec, "A later answer that is changed in every place")
    yield play.case("bob", spec, "A later answer that is changed in every place", restarts=True)


def out_of_turn() -> Iterator[Json]:
    """Who opened an epoch opens no other, and nobody else speaks in it."""
    play = begin("out-of-turn")
    first = play.say("ann", "hello")
    play.hear("bob", first)
    turn = [little(9), little(9), bytes(48), None]
    ann, bob = play.id("ann"), play.id("bob")
    play.refuse("bob", with_header(first, {1: OTHER_PREFIX, 7: turn}), "out-of-turn")
    play.refuse("bob", with_header(first, {1: OTHER_PREFIX}), "unknown-epoch")
    play.refuse("bob", with_header(first, {2: OTHER_ID}), "unknown-member")
    play.refuse("bob", with_header(first, {7: turn}), "fork")
    play.refuse("ann", with_header(first, {2: bob}), "out-of-turn")
    answer = play.say("bob", "hello, ann")
    play.refuse("ann", with_header(answer, {2: OTHER_ID}), "out-of-turn")
    play.refuse("ann", with_header(answer, {2: ann}), "own-message")
    play.refuse("bob", with_header(answer, {2: ann}), "out-of-turn")
    play.refuse("bob", with_header(answer, {2: ann, 7: None}), "fork")
    play.refuse("bob", answer, "own-message")
    play.hear("ann", answer)
    play.refuse("ann", with_header(answer, {1: OTHER_PREFIX}), "out-of-turn")
    play.refuse("ann", with_header(answer, {2: OTHER_ID}), "unknown-member")
    for who, other in (("ann", "bob"), ("bob", "ann")):
        play.refuse(who, a_commit_copy(play, who, play.id(other)), "wrong-mode")
        play.refuse(who, a_commit_copy(play, who, play.id(who)), "wrong-mode")
        play.may_not_commit(who, "wrong-mode")
    play.hear("bob", play.say("ann", "epoch 2"))
    play.hear("ann", play.say("bob", "epoch 3"))
    for who in ("ann", "bob"):
        yield play.case(who, "DIR-01 DIR-04 DIR-09 EPOCH-14 EPOCH-15 MSG-07",
                        "Messages out of turn, and commits, which a direct room has not")


def a_commit_copy(play: Play, who: str, committer: bytes) -> bytes:
    epoch = play.room(who).now_in.epoch
    sealed = ref.build("sealed commit", epoch.room, epoch.prefix, committer, bytes(16), bytes(64))
    return ref.build("commit copy", sealed, bytes(48))


def within_an_epoch() -> Iterator[Json]:
    """Once an epoch is open, its turn fields are fixed."""
    play = begin("same-turn")
    play.hear("bob", play.say("ann", "hello"))
    prefix_0 = play.room("bob").current
    play.hear("ann", play.say("bob", "hello, ann"))
    play.hear("bob", play.say("ann", "epoch 2, message 0"))
    second = play.say("ann", "epoch 2, message 1")
    elsewhere = begin("elsewhere")
    play.refuse("bob", elsewhere.say("ann", "of another room"), "unknown-room")
    play.refuse("bob", with_header(second, {7: None}), "fork")
    play.refuse("bob", turned(second, 0, little(9)), "fork")
    play.refuse("bob", turned(second, 2, bytes(48)), "fork")
    play.refuse("bob", with_header(second, {1: prefix_0}), "fork")
    play.refuse("bob", with_header(second, {1: prefix_0, 7: None}), "beyond-count")
    play.refuse("bob", play.forge("ann", {5: [play.room("bob").current, 2]}), "bad-count")
    play.refuse("bob", play.forge("ann", content=b"\xc1"), "forbidden-type")
    play.hear("bob", second)
    play.hear("bob", play.say("ann", "epoch 2, message 2"))
    play.hear("ann", play.say("bob", "epoch 3"))
    yield play.case("bob", "DIR-05 MSG-05 MSG-07 MSG-08", "Other turn fields in an open epoch")


def cloned() -> Iterator[Json]:
    """Bob's device has been cloned: a second answer to epoch 0, and one to epoch 2."""
    play, clone = begin("cloned"), begin("cloned")
    hello = play.say("ann", "hello")
    play.hear("bob", hello)
    assert clone.say("ann", "hello") == hello
    clone.hear("bob", hello)
    clone.restart("bob")  # from here on its random bytes are others
    answer, other = play.say("bob", "the first answer"), clone.say("bob", "the second answer")
    play.hear("ann", answer)
    play.refuse("ann", other, "out-of-turn")
    play.hear("bob", play.say("ann", "epoch 2"))
    play.refuse("ann", other, "bad-entry")
    play.hear("ann", play.say("bob", "epoch 3"))
    play.refuse("ann", other, "out-of-turn")
    play.hear("bob", play.say("ann", "epoch 4"))
    play.hear("ann", play.say("bob", "epoch 5"))
    yield play.case("ann", "DIR-01 DIR-04 DIR-10 MSG-07", "Two answers to the same epoch")
