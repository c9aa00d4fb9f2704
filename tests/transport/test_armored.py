"""Envelopes as text: what a messenger may do to it, and what is found out."""

from __future__ import annotations

import asyncio
import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce import Device, LocalError, MemoryStore, MessageArrived, Reason, RemoteError
from evanesce.limits import MAILBOX_ENVELOPES, MAX_ENVELOPE, RETENTION
from evanesce.mailbox import MailboxKeys
from evanesce.ports import Delivery, KeyDirectory, ManualClock, Outgoing, Transport
from evanesce.transport.armor import LEAST_LIMIT, blocks, squeeze
from evanesce.transport.armored import UNFINISHED, ArmoredTransport
from tests.conftest import Stream
from tests.transport.networks import Messenger

KEYS = MailboxKeys.generate(Stream("armored"))
OTHER = MailboxKeys.generate(Stream("armored, other"))
ADDRESS = KEYS.mailbox.address
ID = bytes(range(16))
NOW = 1_700_000_000


def text_of(envelope: bytes, limit: int | None = None, envelope_id: bytes = ID) -> list[str]:
    return blocks(ADDRESS, envelope_id, envelope, limit)


async def received(transport: ArmoredTransport, keys: MailboxKeys = KEYS) -> list[Delivery]:
    """What is there now."""
    receive = asyncio.ensure_future(transport.receive([keys.reader()]))
    await asyncio.sleep(0)
    if receive.done():
        return receive.result()
    receive.cancel()
    return []


def envelopes(transport: ArmoredTransport) -> list[bytes]:
    return sorted(delivery.envelope for delivery in asyncio.run(received(transport)))


def reason(transport: ArmoredTransport, text: str) -> Reason | None:
    try:
        transport.feed(text)
    except RemoteError as error:
        return error.reason
    return None


# --- the form -------------------------------------------------------------------------------------


def test_a_block_is_this() -> None:
    """The form does not change by accident: what was posted last week is still read."""
    transport = ArmoredTransport()
    (block,) = blocks(bytes(range(32)), bytes(range(16)), b"hello", None)
    assert block == (
        "[EVANESCE 1 TO 000G40R40M30E209 ID 000G40R40M30E209185GR38E1W PART 1/1]\n"
        "D1JPRV3F\n"
        "[END G2YGCNB1]"
    )
    assert transport.feed(block) == 1


@given(st.binary(max_size=3_000), st.integers(LEAST_LIMIT, 2_500))
def test_no_block_is_longer_than_a_message(envelope: bytes, limit: int) -> None:
    texts = text_of(envelope, limit)
    assert max(map(len, texts)) <= limit
    assert [re.findall(r"PART (\d+/\d+)", text) for text in texts] == [
        [f"{n}/{len(texts)}"] for n in range(1, len(texts) + 1)
    ]
    for text in texts:
        assert re.fullmatch(r"[0-9A-Z\[\]/ \n]+", text), "nothing that a messenger may restyle"
        for line in text.split("\n")[1:-1]:
            assert not re.search("[ILOU]", line)


@pytest.mark.parametrize("limit", [None, 2_000, 65_536])
async def test_the_largest_envelope_comes_through(limit: int | None) -> None:
    envelope = Random(1).randbytes(MAX_ENVELOPE)
    reader, writer = ArmoredTransport(), ArmoredTransport(limit=limit)
    larger = Outgoing(bytes(16), KEYS.mailbox, bytes(MAX_ENVELOPE + 1))
    refused = await writer.send([Outgoing(ID, KEYS.mailbox, envelope), larger])
    assert refused == {larger.id: Reason.TOO_LARGE}
    assert reader.feed("\n".join(writer.outbox())) == 1
    (delivery,) = await received(reader)
    assert delivery.envelope == envelope
    assert writer.outbox() == []


# --- what a messenger may do ----------------------------------------------------------------------

SPACES = ["\n", "\r\n", " ", "\t", "\N{NO-BREAK SPACE}", "\N{ZERO WIDTH SPACE}", "\n\n\n", "  \n",
          "\N{ZERO WIDTH NO-BREAK SPACE}", "\N{SOFT HYPHEN}", "\N{LEFT-TO-RIGHT MARK}", "\n> ",
          "\n> > > ", "\N{WORD JOINER}", "\N{NARROW NO-BREAK SPACE}", "\N{LINE SEPARATOR}",
          "\n>", "\r\n>> "]  # fmt: skip
AROUND = ["", "Look: ", "\N{LEFT DOUBLE QUOTATION MARK}", "On Tuesday Junho wrote:\n> ", "```\n",
          "[12:31, 1/2/2025] Mina: ", "**", " [see below] ", "evanesce 1 to", "[Evanesce] ",
          "\N{GRINNING FACE}", "\N{HORIZONTAL ELLIPSIS}", "ﬁn ½ ſ İ"]  # fmt: skip


@st.composite
def mangled(draw: st.DrawFn, texts: list[str]) -> list[str]:
    """The same blocks as pastes: wrapped, quoted, in any order, some twice, with text around."""
    order = draw(st.permutations(texts))
    order += draw(st.lists(st.sampled_from(texts), max_size=3))
    dice = draw(st.randoms(use_true_random=False))
    chance = draw(st.sampled_from([0.0, 0.01, 0.2]))
    pastes = [""]
    for text in order:
        changed = "".join(
            dice.choice(SPACES) + char if dice.random() < chance else char for char in text
        )
        style = draw(st.sampled_from(["as it is", "lower", "title", "crlf", "quoted", "letters"]))
        if style == "lower":
            changed = changed.lower()
        elif style == "title":
            changed = changed.title()
        elif style == "crlf":
            changed = changed.replace("\n", " \r\n\r\n")
        elif style == "quoted":
            changed = "> > " + changed.replace("\n", "\n> > ")
        elif style == "letters":
            head, *lines, end = changed.split("\n")
            lines = [line.replace("0", "o").replace("1", dice.choice("lI")) for line in lines]
            changed = "\n".join([head, *lines, end])
        changed = draw(st.sampled_from(AROUND)) + changed + draw(st.sampled_from(AROUND))
        if draw(st.booleans()):
            pastes.append("")
        pastes[-1] += changed
    return pastes


@given(st.data(), st.lists(st.binary(max_size=700), min_size=1, max_size=3))
def test_whatever_a_messenger_does_to_it_the_envelopes_come_back(
    data: st.DataObject, sent: list[bytes]
) -> None:
    texts = []
    for n, envelope in enumerate(sent):
        limit = data.draw(st.sampled_from([None, 300, LEAST_LIMIT]))
        texts += text_of(envelope, limit, bytes([n]) * 16)
    transport = ArmoredTransport()
    whole = sum(transport.feed(paste) for paste in data.draw(mangled(texts)))
    assert whole == len(sent)
    assert envelopes(transport) == sorted(sent)
    assert transport.missing() == []


@given(st.data(), st.binary(min_size=1, max_size=300), st.booleans())
def test_a_changed_character_is_always_found(
    data: st.DataObject, envelope: bytes, parts: bool
) -> None:
    texts = text_of(envelope, LEAST_LIMIT if parts else None)
    block = data.draw(st.sampled_from(texts))
    start, stop = block.index("\n") + 1, block.rindex("\n")
    place = data.draw(st.integers(start, stop - 1).filter(lambda n: block[n] != "\n"))
    other = data.draw(
        st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZabcU!é[]/ ") | st.characters()
    )
    same = squeeze(other).translate(str.maketrans("OIL", "011")) == block[place]
    changed = block[:place] + other + block[place + 1 :]
    transport = ArmoredTransport()
    for text in texts:
        if text != block:
            transport.feed(text)
    why = reason(transport, changed)
    if same:  # another way to write this letter or digit
        assert why is None
    else:
        assert why in {Reason.BAD_FORM, Reason.TRUNCATED}
        assert envelopes(transport) == []
        assert transport.feed(block) == 1, "the good block is still taken"
    assert envelopes(transport) == [envelope]


def test_the_bits_that_no_byte_holds_are_checked_too() -> None:
    """The last letter has some; changed, they would give the same bytes."""
    (block,) = text_of(b"x" * 4)  # 32 bits in 7 letters
    head, symbols, end = block.split("\n")
    assert symbols[-1] in "08GR"
    for last in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".replace(symbols[-1], ""):
        changed = "\n".join([head, symbols[:-1] + last, end])
        assert reason(ArmoredTransport(), changed) is Reason.BAD_FORM


@given(st.data(), st.binary(min_size=1, max_size=300))
def test_a_changed_character_anywhere_never_gives_another_envelope(
    data: st.DataObject, envelope: bytes
) -> None:
    (block,) = text_of(envelope)
    place = data.draw(st.integers(0, len(block) - 1))
    other = data.draw(st.characters())
    transport = ArmoredTransport()
    reason(transport, block[:place] + other + block[place + 1 :])
    found = asyncio.run(received(transport))
    assert [(d.envelope, d.id) for d in found] in ([], [(envelope, ADDRESS + ID)])


@given(st.text(alphabet="[]EVANESCEND 1TOIDPART/23\n>0") | st.text())
def test_no_text_is_too_strange(text: str) -> None:
    transport = ArmoredTransport()
    reason(transport, text)
    reason(transport, text)
    assert transport.feed("\n" + text_of(b"good")[0]) == 1


# --- what is told ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "why", "says"),
    [
        ("PART 2/3", "PART 4/3", Reason.BAD_FORM, "head line of part 4/3"),
        ("PART 2/3", "PART 1/3", Reason.BAD_FORM, "part 1/3 of 000G40R4 is damaged"),
        ("PART 2/3]", "PART 2/3", Reason.BAD_FORM, "head line"),
        ("EVANESCE 1 ", "EVANESCE 2 ", Reason.WRONG_VERSION, "version 2"),
        ("\n[END", "\nEND", Reason.BAD_FORM, "part 2/3 of 000G40R4 is damaged"),
        ("[END ", "[END 0", Reason.BAD_FORM, "part 2/3 of 000G40R4 is damaged"),
        ("ID 0", "ID 1", Reason.BAD_FORM, "part 2/3 of 100G40R4 is damaged"),
    ],
)
def test_an_error_names_what_is_damaged(old: str, new: str, why: Reason, says: str) -> None:
    block = text_of(bytes(range(100)), LEAST_LIMIT)[1]
    assert old in block
    with pytest.raises(RemoteError, match=re.escape(says)) as caught:
        ArmoredTransport().feed(block.replace(old, new))
    assert caught.value.reason is why


def test_a_missing_part_is_named_and_may_come_later() -> None:
    transport = ArmoredTransport()
    texts = text_of(bytes(range(100)), LEAST_LIMIT)
    assert transport.missing() == []
    assert transport.feed(texts[2]) == 0
    told = transport.missing()
    assert [error.detail for error in told] == [
        "part 1/3 of 000G40R4 is missing",
        "part 2/3 of 000G40R4 is missing",
    ]
    assert {error.reason for error in told} == {Reason.TRUNCATED}
    assert transport.feed("".join(texts)) == 1
    assert transport.missing() == []


def test_what_is_whole_is_taken_though_other_blocks_are_damaged() -> None:
    good, bad = text_of(b"good")[0], text_of(b"bad", envelope_id=bytes(16))[0]
    transport = ArmoredTransport()
    assert reason(transport, bad.replace("\n", "\n0", 1) + good) is Reason.BAD_FORM
    assert envelopes(transport) == [b"good"]


def test_a_damaged_copy_does_not_matter_beside_a_good_one() -> None:
    (block,) = text_of(b"good")
    damaged = block.replace("\n", "\n0", 1)
    transport = ArmoredTransport()
    assert transport.feed(damaged + block) == 1
    assert transport.feed(damaged) == 0
    parts = text_of(bytes(range(100)), LEAST_LIMIT, bytes(16))
    assert transport.feed(parts[0] + parts[0].replace("\n", "\n0", 1)) == 0


@given(st.data(), st.binary(max_size=200))
def test_a_block_that_is_cut_goes_on_in_the_next_paste(
    data: st.DataObject, envelope: bytes
) -> None:
    (block,) = text_of(envelope)
    cuts = sorted(data.draw(st.sets(st.integers(30, len(block) - 1), max_size=3)))
    pieces = [block[a:b] for a, b in zip([0, *cuts], [*cuts, len(block)], strict=True)]
    transport = ArmoredTransport()
    for piece in pieces[:-1]:
        assert reason(transport, piece) is Reason.TRUNCATED
    assert transport.feed(pieces[-1]) == 1
    assert envelopes(transport) == [envelope]


def test_after_a_cut_block_the_whole_one_may_be_pasted() -> None:
    (block,) = text_of(b"cut short, then copied again")
    transport = ArmoredTransport()
    assert reason(transport, block[:-20]) is Reason.TRUNCATED
    assert transport.feed("sorry: " + block) == 1
    assert transport.feed("and now for something else") == 0


def test_damage_is_told_apart_from_a_block_for_somebody_else() -> None:
    (theirs,) = blocks(OTHER.mailbox.address, ID, b"theirs", None)
    transport = ArmoredTransport()
    assert transport.feed(theirs) == 1
    assert envelopes(transport) == []
    (delivery,) = asyncio.run(received(transport, OTHER))
    assert (delivery.address, delivery.envelope) == (OTHER.mailbox.address, b"theirs")


def test_parts_longer_than_an_envelope_are_refused() -> None:
    transport = ArmoredTransport()
    assert reason(transport, text_of(bytes(MAX_ENVELOPE + 1), 2_000_000)[0]) is None
    forged = text_of(bytes(2 * MAX_ENVELOPE), 2_000_000)
    found = [reason(transport, text) for text in forged]
    assert found[:2] == [None, Reason.TOO_LARGE]
    assert envelopes(transport) == []


# --- as a transport -------------------------------------------------------------------------------


def test_it_is_a_transport_and_no_directory() -> None:
    transport: Transport = ArmoredTransport()
    assert not isinstance(transport, KeyDirectory)
    with pytest.raises(LocalError) as caught:
        ArmoredTransport(limit=LEAST_LIMIT - 1)
    assert caught.value.reason is Reason.BAD_INPUT


async def test_sending_gives_text_once() -> None:
    transport = ArmoredTransport()
    item = Outgoing(ID, KEYS.mailbox, b"once")
    assert await transport.send([item, item]) == {}
    assert await transport.send([item]) == {}
    assert len(transport.outbox()) == 1
    bad = [Outgoing(b"short", KEYS.mailbox, b"")]
    assert await transport.send(bad) == {b"short": Reason.BAD_INPUT}
    assert transport.outbox() == []


async def test_a_post_that_fails_is_tried_again() -> None:
    posted: list[str] = []

    async def post(text: str) -> None:
        if len(posted) == 1:
            posted.append("failed")
            raise OSError("no network")
        posted.append(text)

    transport = ArmoredTransport(post, limit=LEAST_LIMIT)
    item = Outgoing(ID, KEYS.mailbox, bytes(100))
    with pytest.raises(OSError, match="no network"):
        await transport.send([item])
    assert await transport.send([item]) == {}
    reader = ArmoredTransport()
    assert reader.feed("".join(posted)) == 1
    assert [delivery.envelope for delivery in await received(reader)] == [bytes(100)]


async def test_a_receiver_waits_for_what_is_pasted() -> None:
    transport = ArmoredTransport()
    await transport.open_mailbox(KEYS.reader())
    receivers = [asyncio.ensure_future(transport.receive([KEYS.reader()])) for _ in range(2)]
    await asyncio.sleep(0)
    assert not receivers[0].done()
    transport.feed(text_of(b"pasted")[0])
    for receiver in receivers:
        assert [delivery.envelope for delivery in await receiver] == [b"pasted"]


async def test_what_was_acked_may_be_pasted_again_until_its_time_is_over() -> None:
    clock = ManualClock(NOW)
    transport = ArmoredTransport(clock=clock)
    (block,) = text_of(b"again")
    assert transport.feed(block) == 1
    (delivery,) = await received(transport)
    await transport.ack([delivery.id, delivery.id, b""])
    clock.advance(RETENTION)
    assert transport.feed(block) == 0
    assert await received(transport) == []
    clock.advance(1)
    assert transport.feed(block) == 1
    clock.advance(RETENTION + 1)
    assert await received(transport) == [], "nor is it kept for longer"
    assert transport.feed(text_of(bytes(100), LEAST_LIMIT)[0]) == 0
    assert len(transport.missing()) == 2
    clock.advance(RETENTION + 1)
    assert transport.missing() == []


async def test_what_it_keeps_is_bounded() -> None:
    transport = ArmoredTransport()
    await transport.open_mailbox(KEYS.reader())
    for n in range(MAILBOX_ENVELOPES):
        transport.feed(text_of(b"%d" % n, None, n.to_bytes(16, "big"))[0])
        transport.feed(blocks(OTHER.mailbox.address, n.to_bytes(16, "big"), b"%d" % n, None)[0])
    (late,) = text_of(b"late")
    assert reason(transport, late) is Reason.MAILBOX_FULL
    (delivery, *_) = await received(transport)
    await transport.ack([delivery.id])
    assert transport.feed(late) == 1
    (strange,) = blocks(OTHER.mailbox.address, ID, b"newest", None)
    assert transport.feed(strange) == 1
    theirs = [delivery.envelope for delivery in await received(transport, OTHER)]
    assert len(theirs) == MAILBOX_ENVELOPES
    assert (theirs[0], theirs[-1]) == (b"1", b"newest"), "of others', the oldest goes"
    for n in range(2 * UNFINISHED):
        transport.feed(text_of(bytes(100), LEAST_LIMIT, bytes([n]) * 16)[0])
    assert len(transport.missing()) == 2 * UNFINISHED


async def test_two_devices_talk_by_pasting() -> None:
    room = Messenger(1_000)
    one, other = room.join(), room.join()
    async with (
        Device.open(MemoryStore(), one, name="Mina") as mina,
        Device.open(MemoryStore(), other, name="Junho") as junho,
    ):
        talk = await mina.direct(await junho.card(one_time=True))
        await talk.send("by paste")
        async with asyncio.timeout(10):
            async for event in junho.events():
                if isinstance(event, MessageArrived):
                    async with event.message.open() as body:
                        assert body == "by paste"
                    await event.room.send("by paste too")
                    break
            async for event in mina.events():
                if isinstance(event, MessageArrived):
                    async with event.message.open() as body:
                        assert body == "by paste too"
                    break
    assert len(room.posts) >= 2
