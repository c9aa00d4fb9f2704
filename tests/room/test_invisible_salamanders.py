"""One ciphertext that opens under two keys: it exists, and what binds a message to one of them."""

from __future__ import annotations

import struct

import pytest

from evanesce.chain import message_keys, step
from evanesce.errors import Reason, RemoteError
from evanesce.formats import MESSAGE
from evanesce.membership import Mode
from evanesce.message import ParsedMessage, message_id, open_message
from evanesce.primitives import H, decrypt, encrypt, sign
from evanesce.room import Room
from tests.room.room_support import NOW, Stream, refused, said, sending_chain, state_of
from tests.room.test_messages import MODES, header_of, pair

P = 2**130 - 5
BLOCKS = 20
FREE = (10, 11)  # the blocks that are chosen so that the tags agree: amid the body of the content


def chacha20_block(key: bytes, counter: int) -> bytes:
    """RFC 8439, 2.3, with a nonce of zeros."""
    constant = struct.unpack("<4I", b"expand 32-byte k")
    start = [*constant, *struct.unpack("<8I", key), counter, 0, 0, 0]
    x = list(start)
    rows = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
            (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]  # fmt: skip
    for _ in range(10):
        for a, b, c, d in rows:
            for one, two, three, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[one] = (x[one] + x[two]) % 2**32
                mixed = x[three] ^ x[one]
                x[three] = (mixed << turn | mixed >> (32 - turn)) % 2**32
    return struct.pack("<16I", *((a + b) % 2**32 for a, b in zip(x, start, strict=True)))


def poly1305_key(key: bytes) -> tuple[int, int]:
    """*r* and *s* of RFC 8439, 2.6."""
    block = chacha20_block(key, 0)
    r = int.from_bytes(block[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    return r, int.from_bytes(block[16:32], "little")


def both_open(one: bytes, two: bytes, ciphertext: bytes) -> bytes:
    """The ciphertext with its free blocks and its tag such that it authenticates under both."""
    keys = [poly1305_key(one), poly1305_key(two)]
    blocks = [int.from_bytes(ciphertext[n : n + 16], "little") + 2**128
              for n in range(0, len(ciphertext), 16)]  # fmt: skip
    blocks.append((len(ciphertext) << 64) + 2**128)
    count = len(blocks)
    for tag in range(1, 10_000):
        # sum of block[n] * r^(count - n), plus s, is the tag: two equations, two unknown blocks
        rows = []
        for r, s in keys:
            rest = sum(block * pow(r, count - n, P) for n, block in enumerate(blocks)
                       if n not in FREE)  # fmt: skip
            rows.append((*(pow(r, count - n, P) for n in FREE), ((tag - s) % 2**128 - rest) % P))
        (a, b, e), (c, d, f) = rows
        unit = pow(a * d - b * c, -1, P)
        found = ((e * d - b * f) * unit % P, (a * f - e * c) * unit % P)
        if all(2**128 <= block < 2**129 for block in found):
            for n, block in zip(FREE, found, strict=True):
                blocks[n] = block
            data = b"".join((block - 2**128).to_bytes(16, "little") for block in blocks[:-1])
            return data + tag.to_bytes(16, "little")
    raise AssertionError("no such ciphertext was found")


def stream(key: bytes) -> bytes:
    """What a text of this length is encrypted with."""
    return encrypt(key, bytes(16 * BLOCKS))[:-16]


@pytest.mark.parametrize("mode", MODES)
def test_a_ciphertext_that_opens_under_two_keys_is_one_message_only(mode: Mode) -> None:
    """ann makes two headers for one place in her chain, and one ciphertext for the keys of both.
    What she has signed, or committed to, goes with one of them; whoever gets the ciphertext with
    the other header, be it from her, from the server, or as evidence, refuses it."""
    world = pair(mode)
    state = state_of(world["ann"])
    _, message_key = step(sending_chain(world["ann"]).key.reveal())
    context, signing = state.epoch.context, state.epoch.room_sign
    random = Stream("salts")

    def keys(header: bytes) -> tuple[bytes, bytes]:
        return message_keys(message_key, H(b"header", header, context))

    def authenticator(header: bytes, ciphertext: bytes) -> bytes:
        com = keys(header)[1]
        if mode is Mode.DIRECT:
            return com
        assert signing is not None
        return sign(signing.reveal(), b"message", header, com, H(b"ciphertext", ciphertext))

    first = header_of(world, "ann", salt=random(16)).encode()
    own = stream(keys(first)[0])
    while True:  # the padding is to end well under both
        second = header_of(world, "ann", salt=random(16)).encode()
        if stream(keys(second)[0])[-1] == own[-1]:
            break
    spare = 16 * BLOCKS - 1 - len(said(bytes(256)).encode())
    padded = said(bytes(256 + spare)).encode() + b"\x80"
    draft = bytes(a ^ b for a, b in zip(padded, own, strict=True))
    ciphertext = both_open(keys(first)[0], keys(second)[0], draft)

    # The cipher alone does not tell them apart.
    texts = [decrypt(keys(header)[0], ciphertext) for header in (first, second)]
    assert texts[0] != texts[1]
    assert [each[-1:] for each in texts] == [b"\x80", b"\x80"]

    good = authenticator(first, ciphertext)
    reason = Reason.BAD_COMMITMENT if mode is Mode.DIRECT else Reason.BAD_SIGNATURE
    other = Room.restore(world["bob"].records())
    with refused(reason, other):
        other.receive(MESSAGE.build(second, ciphertext, good), NOW)
    with pytest.raises(RemoteError) as caught:  # not for what the text then says: before that
        open_message(ParsedMessage.parse(MESSAGE.build(second, ciphertext, good)), context,
                     message_key, mode, world.member("ann").credential.room_sign_key)  # fmt: skip
    assert caught.value.reason is reason
    received = world["bob"].receive(MESSAGE.build(first, ciphertext, good), NOW)
    assert received.content.encode() == texts[0][:-1]
    # And had she authenticated the other as well, it would be another message, by another name.
    assert message_id(first, ciphertext) != message_id(second, ciphertext)
