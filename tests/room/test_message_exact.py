"""How long a message becomes, at the edges of its steps and limits (REQ-MSG-04, spec 11)."""

from typing import Final

import pytest

from evanesce.envelope import room_for
from evanesce.errors import LocalError, Reason
from evanesce.limits import MAX_CIPHERTEXT
from evanesce.membership import Mode
from evanesce.message import (
    STRAYED,
    Header,
    ParsedMessage,
    SealedMessage,
    TurnFields,
    open_message,
    seal_message,
)

CONTEXT: Final = b"c" * 32
KEY: Final = b"k" * 32
PLAIN: Final = Header(b"r" * 32, b"p" * 8, b"s" * 32, 0, bytes(16), None)


def header_of(size: int) -> Header:
    """A header of so many bytes: it carries a turn, whose entry takes what is left."""
    turn = TurnFields(b"l" * 32, b"e" * 32, b"s" * 48, b"")
    empty = len(PLAIN._replace(turn=turn).encode())
    head = 0 if size - empty < 256 else 1  # the entry's head is a byte longer from 256 on
    made = PLAIN._replace(turn=turn._replace(entry=bytes(size - empty - head)))
    assert len(made.encode()) == size
    return made


def sealed(size: int, header: Header = PLAIN) -> SealedMessage:
    return seal_message(header, CONTEXT, KEY, bytes(size), b"f" * 16, None)


def test_the_last_content_of_a_step_leaves_one_byte_for_its_padding() -> None:
    sizes = {size: len(sealed(size).message) for size in range(1_000)}
    steps = sorted(set(sizes.values()))
    assert steps == [room_for(512), room_for(1_024), room_for(2_048)]
    last = max(size for size, length in sizes.items() if length == steps[0])
    # What a message of the first step holds besides the content: its own head and that of its
    # parts, the header, the commitment, a tag, and the first byte of padding.
    head = len(PLAIN.encode())
    assert room_for(512) == 3 + (2 + head) + (3 + last + 1 + 16) + (2 + 32)
    for size in (last, last + 1):
        message = ParsedMessage.parse(sealed(size).message)
        opened = open_message(message, CONTEXT, KEY, Mode.DIRECT, b"")
        assert opened.content == bytes(size)


def test_a_body_at_its_limit_is_sealed_and_one_past_it_refused() -> None:
    """Which body is largest depends on the header's size: the whole lands on a step."""
    largest, header_size = 0, 0
    for size in range(1_900, 2_040):
        try:
            length = len(sealed(80_500, header_of(size)).ciphertext)
        except LocalError:
            continue
        if length > largest:
            largest, header_size = length, size
    assert largest == MAX_CIPHERTEXT
    with pytest.raises(LocalError) as caught:
        sealed(80_500, header_of(header_size - 1))
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_message_takes_no_step_more_than_its_content_needs() -> None:
    """A ciphertext of 65,536 bytes has a longer head than one of 65,535."""
    for header_size in range(1_900, 2_040):
        message = sealed(65_000, header_of(header_size)).message
        assert room_for(67_584) - 2 <= len(message) <= room_for(67_584)


def test_what_the_sender_keeps_is_what_the_receiver_finds() -> None:
    made = sealed(10)
    message = ParsedMessage.parse(made.message)
    opened = open_message(message, CONTEXT, KEY, Mode.DIRECT, b"")
    assert made.header == message.header_bytes
    assert made.ciphertext == message.ciphertext
    assert (made.id, made.key) == (opened.id, opened.key)


def test_the_flag_of_one_who_strayed_is_the_lowest_bit() -> None:
    assert STRAYED == 1
    assert Header.parse(PLAIN._replace(flags=STRAYED).encode()).flags == 1
