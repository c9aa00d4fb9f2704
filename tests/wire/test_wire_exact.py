"""The edges of the helpers around the encoding: a caller's text and clock, a peeked type."""

from typing import Any, Final

import pytest

from evanesce import wire
from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.wire import check_time, decode, encode, kind_of, peek_type, uint, utf8

LAST_TIME: Final = 2**40 - 1


# --- A caller's clock and text (spec 04.6) -------------------------------------------------------


@pytest.mark.parametrize("time", [0, 1, 1_700_000_000, LAST_TIME])
def test_a_time_that_the_wire_form_holds_is_taken(time: int) -> None:
    check_time(time)


@pytest.mark.parametrize("time", [-1, LAST_TIME + 1, 2**64, True, 1.0, "1", None])
def test_any_other_clock_is_refused_before_anything_is_made_with_it(time: Any) -> None:
    with pytest.raises(LocalError) as caught:
        check_time(time)
    assert caught.value.reason is Reason.BAD_INPUT


def test_text_is_taken_at_its_limit_in_bytes_and_refused_one_past_it() -> None:
    assert utf8("", 0) == b""
    assert utf8("abcd", 4) == b"abcd"
    assert utf8("éé", 4) == b"\xc3\xa9\xc3\xa9"
    for text in ("abcde", "ééa"):
        with pytest.raises(LocalError) as caught:
            utf8(text, 4)
        assert caught.value.reason is Reason.TOO_LARGE


def test_text_without_an_encoding_is_the_callers_fault_whatever_its_length() -> None:
    for most in (0, 100):
        with pytest.raises(LocalError) as caught:
            utf8("a\ud800", most)
        assert caught.value.reason is Reason.BAD_INPUT
        assert caught.value.__cause__ is None  # whose attributes hold the text
        assert caught.value.__suppress_context__


# --- An unsigned integer without a limit of its own ----------------------------------------------


def test_uint_without_a_limit_takes_64_bits_and_no_more() -> None:
    field = uint()
    for value in (0, 2**63, 2**64 - 1):
        assert field(value) == value
    with pytest.raises(RemoteError) as caught:
        field(2**64)
    assert caught.value.reason is Reason.BAD_FORM


# --- Peeking at a type ---------------------------------------------------------------------------


@pytest.mark.parametrize("items", range(2, 16))
@pytest.mark.parametrize("kind", [0, 1, 127])
def test_the_type_of_an_object_is_peeked_as_it_decodes(items: int, kind: int) -> None:
    data = encode([1, kind, *[None] * (items - 2)])
    assert peek_type(data) == kind == kind_of(decode(data, limit=99))


def test_three_bytes_are_enough_to_peek_and_two_are_not() -> None:
    assert peek_type(bytes.fromhex("920109")) == 9
    for size in range(3):
        assert peek_type(bytes.fromhex("920109")[:size]) is None


@pytest.mark.parametrize(
    "data",
    [
        "910109",  # one item: no object
        "a00109",  # a str
        "dc00100109",  # more than 15 items: no object of the protocol has so many
        "920009",  # another version
        "920209",
        "92cc0109",
        "92cc0001",  # version and type out of step
        "9209017f",
        "920180",  # a type past 127 is not in one byte
        "9201cc80",
        "9201c0",
        "0192017f",  # a valid object that starts a byte later
    ],
)
def test_no_type_is_peeked_at_where_none_stands(data: str) -> None:
    assert peek_type(bytes.fromhex(data)) is None


def test_what_is_peeked_at_is_the_third_byte_and_not_the_fourth() -> None:
    assert peek_type(bytes.fromhex("9301097f")) == 9
    assert peek_type(bytes.fromhex("930109c0")) == 9


# --- The reasons stand in the order of the bytes (REQ-WIRE-09) -----------------------------------


def test_a_short_bin_ends_exactly_with_the_input() -> None:
    assert decode(bytes.fromhex("c40161"), limit=3) == b"a"
    assert decode(bytes.fromhex("92c40161c400"), limit=9) == [b"a", b""]
    for cut in ("c4", "c401", "92c40161", "92c40161c4", "92c40161c401"):
        with pytest.raises(RemoteError) as caught:
            decode(bytes.fromhex(cut), limit=9)
        assert caught.value.reason is Reason.TRUNCATED, cut


# --- The table of first bytes (spec 04.2) --------------------------------------------------------


def test_every_first_byte_stands_in_the_table_as_in_the_specification() -> None:
    """How many bytes of length or value follow, the least number the form is for, and the kind."""
    scalar, uint_, bytes_, array_, forbidden = range(5)
    expected = dict.fromkeys([*range(0x80), 0xC0, 0xC2, 0xC3], (0, 0, scalar))
    expected |= {0x90 + count: (0, count, array_) for count in range(16)}
    expected |= {0xA0 + count: (0, count, bytes_) for count in range(32)}
    for first, kind, leasts in (
        (0xC4, bytes_, (0, 256, 65_536)),
        (0xD9, bytes_, (32, 256, 65_536)),
        (0xCC, uint_, (128, 256, 65_536, 2**32)),
    ):
        expected |= {first + n: (2**n, least, kind) for n, least in enumerate(leasts)}
    expected |= {0xDC: (2, 16, array_), 0xDD: (4, 65_536, array_)}
    assert len(expected) == 128 + 3 + 16 + 32 + 3 + 3 + 4 + 2
    whole = [expected.get(first, (0, 0, forbidden)) for first in range(256)]
    assert whole == wire._FORMS


def test_the_most_frequent_first_bytes_are_judged_without_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every derivation and every message is full of them: they must stay cheap."""
    monkeypatch.setattr(wire, "_FORMS", {0x92: wire._FORMS[0x92]})
    values: list[wire.Value] = [0, 127, b"", b"abc", bytes(255), [5, b"abc"]]
    for value in values:
        assert decode(encode(value), limit=300) == value
    with pytest.raises(KeyError):
        decode(encode("text"), limit=300)
