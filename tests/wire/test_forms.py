"""Fields and top-level objects: limits, exact types, and the order of reasons (spec 04.6)."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.wire import (
    VERSION,
    Field,
    Form,
    Value,
    array,
    binary,
    boolean,
    decode,
    encode,
    kind_of,
    maybe,
    record,
    text,
    uint,
)

FORM: Final = Form("sample", 9, 64, (binary(4), uint(300), maybe(text(5)), boolean))
GOOD: Final[list[Value]] = [b"abcd", 300, "héh", True]


def refusal(field: Field, value: object) -> Reason:
    with pytest.raises(RemoteError) as caught:
        field(value)
    return caught.value.reason


def parse_refusal(data: bytes, form: Form = FORM) -> Reason:
    with pytest.raises(RemoteError) as caught:
        form.parse(data)
    return caught.value.reason


def local_refusal(*values: Value, form: Form = FORM) -> Reason:
    with pytest.raises(LocalError) as caught:
        form.build(*values)
    return caught.value.reason


# One value of each type that a decoder can return.
SPECIMENS: Final[dict[str, object]] = {
    "bin": b"",
    "str": "",
    "zero": 0,
    "one": 1,
    "false": False,
    "true": True,
    "nil": None,
    "array": [],
}


def only(field: Field, *accepted: str) -> None:
    """`field` accepts exactly these of the specimens; the others have the wrong type."""
    for name, value in SPECIMENS.items():
        if name in accepted:
            result = field(value)
            assert type(result) is type(value)
            assert result == value
        else:
            assert refusal(field, value) is Reason.BAD_FORM, name


# --- Fields at their limits and with other types (REQ-WIRE-15, REQ-WIRE-16) ----------------------


def test_each_field_accepts_its_own_type_only() -> None:
    only(binary(0), "bin")
    only(binary(0, 9), "bin")
    only(uint(), "zero", "one")
    only(uint(1), "zero", "one")
    only(text(9), "str")
    only(boolean, "false", "true")
    only(array(boolean, 9), "array")
    only(record(), "array")
    only(maybe(uint()), "zero", "one", "nil")
    only(maybe(boolean), "false", "true", "nil")


def test_true_is_not_one_and_false_is_not_zero() -> None:
    assert refusal(uint(), True) is Reason.BAD_FORM
    assert refusal(uint(), False) is Reason.BAD_FORM
    assert refusal(boolean, 1) is Reason.BAD_FORM
    assert refusal(boolean, 0) is Reason.BAD_FORM


@pytest.mark.parametrize("size", [0, 1, 32])
def test_bin_of_a_fixed_size_is_exact(size: int) -> None:
    field = binary(size)
    assert field(bytes(size)) == bytes(size)
    assert refusal(field, bytes(size + 1)) is Reason.BAD_FORM
    if size:
        assert refusal(field, bytes(size - 1)) is Reason.BAD_FORM


def test_bin_of_a_range_takes_both_ends_and_nothing_beyond() -> None:
    field = binary(2, 4)
    for size in (2, 3, 4):
        assert field(bytes(size)) == bytes(size)
    assert refusal(field, bytes(1)) is Reason.BAD_FORM
    assert refusal(field, bytes(5)) is Reason.TOO_LARGE


@pytest.mark.parametrize("most", [0, 1, 255, 2**32 - 1, 2**64 - 1])
def test_uint_takes_its_limit_and_nothing_beyond(most: int) -> None:
    field = uint(most)
    assert field(most) == most
    assert field(0) == 0
    assert refusal(field, most + 1) is Reason.BAD_FORM
    assert refusal(field, -1) is Reason.BAD_FORM


def test_text_is_limited_in_bytes_and_not_in_characters() -> None:
    field = text(4)
    for value in ("", "abcd", "éé", "\U0001f600"):
        assert field(value) == value
    for value in ("abcde", "ééa", "\U0001f600a", "ééé"):
        assert refusal(field, value) is Reason.TOO_LARGE


def test_array_takes_both_ends_and_nothing_beyond() -> None:
    field = array(uint(9), 3, least=1)
    for count in (1, 2, 3):
        assert field([9] * count) == [9] * count
    assert refusal(field, []) is Reason.BAD_FORM
    assert refusal(field, [9] * 4) is Reason.TOO_LARGE
    assert array(uint(9), 3)([]) == []


def test_array_and_record_judge_each_item() -> None:
    assert refusal(array(uint(9), 3), [1, 10]) is Reason.BAD_FORM
    assert refusal(array(text(1), 3), ["a", "bb"]) is Reason.TOO_LARGE
    pair = record(uint(9), text(1))
    assert pair([9, "a"]) == [9, "a"]
    assert refusal(pair, [10, "a"]) is Reason.BAD_FORM
    assert refusal(pair, [9, "aa"]) is Reason.TOO_LARGE
    assert refusal(pair, [9]) is Reason.BAD_FORM
    assert refusal(pair, [9, "a", None]) is Reason.BAD_FORM


def test_the_first_field_that_fails_gives_the_reason() -> None:
    pair = record(text(1), uint(9))
    assert refusal(pair, ["aa", 10]) is Reason.TOO_LARGE
    assert refusal(pair, [5, 10]) is Reason.BAD_FORM


def test_nil_passes_a_maybe_and_anything_else_is_judged() -> None:
    field = maybe(binary(2, 3))
    assert field(None) is None
    assert field(b"ab") == b"ab"
    assert refusal(field, b"a") is Reason.BAD_FORM
    assert refusal(field, b"abcd") is Reason.TOO_LARGE


# --- Top-level objects (REQ-WIRE-12, REQ-WIRE-13, REQ-WIRE-14) -----------------------------------


def test_what_is_built_parses_to_the_same_fields() -> None:
    data = FORM.build(*GOOD)
    assert data == encode([1, 9, *GOOD])
    assert FORM.parse(data) == GOOD
    assert FORM.parse(FORM.build(b"abcd", 0, None, False)) == [b"abcd", 0, None, False]
    assert kind_of(decode(data, limit=64)) == 9


@given(
    st.binary(min_size=4, max_size=4),
    st.integers(0, 300),
    st.none() | st.text(max_size=2).filter(lambda s: len(s.encode()) <= 5),
    st.booleans(),
)
def test_any_fields_within_limits_make_the_round_trip(
    a: bytes, b: int, c: str | None, d: bool
) -> None:
    fields = FORM.parse(FORM.build(a, b, c, d))
    assert fields == [a, b, c, d]
    assert [type(f) for f in fields] == [bytes, int, type(c), bool]


WRONG_FIELDS: Final[list[Value]] = [b"abc", -0, None]
LADDER: Final[list[tuple[Reason, Value]]] = [
    (Reason.BAD_FORM, 1),
    (Reason.BAD_FORM, None),
    (Reason.BAD_FORM, b"\x92\x01\x09"),
    (Reason.BAD_FORM, []),
    (Reason.BAD_FORM, [2]),  # one item: no object of any version
    (Reason.WRONG_VERSION, [2, 8, *WRONG_FIELDS]),  # version, type and fields are all wrong
    (Reason.WRONG_VERSION, [0, 9, *GOOD]),
    (Reason.WRONG_VERSION, [2, 9, *GOOD]),
    (Reason.WRONG_VERSION, [True, 9, *GOOD]),
    (Reason.WRONG_VERSION, [None, 9, *GOOD]),
    (Reason.WRONG_VERSION, [b"\1", 9, *GOOD]),
    (Reason.WRONG_VERSION, [[1], 9, *GOOD]),
    (Reason.WRONG_VERSION, ["1", b"", *GOOD]),
    (Reason.BAD_FORM, [1, b"\x09", *GOOD]),
    (Reason.BAD_FORM, [1, None, *GOOD]),
    (Reason.BAD_FORM, [1, True, *GOOD]),
    (Reason.WRONG_TYPE, [1, 8, *WRONG_FIELDS]),  # type and fields are wrong
    (Reason.WRONG_TYPE, [1, 8, *GOOD]),
    (Reason.WRONG_TYPE, [1, 8]),
    (Reason.BAD_FORM, [1, 9]),
    (Reason.BAD_FORM, [1, 9, *GOOD[:3]]),
    (Reason.BAD_FORM, [1, 9, *GOOD, None]),
    (Reason.BAD_FORM, [1, 9, b"abc", *GOOD[1:]]),
    (Reason.BAD_FORM, [1, 9, b"abcd", 301, *GOOD[2:]]),
    (Reason.BAD_FORM, [1, 9, b"abcd", True, *GOOD[2:]]),
    (Reason.BAD_FORM, [1, 9, b"abcd", 300, b"text", True]),
    (Reason.BAD_FORM, [1, 9, b"abcd", 300, None, 1]),
    (Reason.TOO_LARGE, [1, 9, b"abcd", 300, "abcdef", True]),
    (Reason.BAD_FORM, [1, 9, b"abc", 300, "abcdef", True]),  # the first field that fails
]


@pytest.mark.parametrize(("reason", "value"), LADDER)
def test_the_first_step_of_parsing_that_fails_gives_the_reason(
    reason: Reason, value: Value
) -> None:
    assert parse_refusal(encode(value)) is reason


def test_the_encoding_is_judged_before_the_version() -> None:
    wrong = encode([2, 8])
    assert parse_refusal(wrong) is Reason.WRONG_VERSION
    assert parse_refusal(wrong + b"\0") is Reason.TRAILING_BYTES
    assert parse_refusal(wrong[:-1]) is Reason.TRUNCATED
    assert parse_refusal(bytes.fromhex("92cc0208")) is Reason.NON_CANONICAL
    assert parse_refusal(encode([2, 8, bytes(62)])) is Reason.TOO_LARGE


def test_an_object_at_the_limit_of_its_form_is_accepted_and_one_past_it_refused() -> None:
    form = Form("blob", 3, 20, (binary(0, 100),))
    data = form.build(bytes(15))
    assert len(data) == 20
    assert form.parse(data) == [bytes(15)]
    assert parse_refusal(encode([1, 3, bytes(16)]), form) is Reason.TOO_LARGE
    assert local_refusal(bytes(16), form=form) is Reason.TOO_LARGE


def test_building_with_a_wrong_number_of_fields_is_a_local_error() -> None:
    assert local_refusal() is Reason.BAD_FORM
    assert local_refusal(*GOOD[:3]) is Reason.BAD_FORM
    assert local_refusal(*GOOD, None) is Reason.BAD_FORM


def test_the_kind_of_an_object_is_its_type_whatever_its_fields() -> None:
    assert VERSION == 1
    assert kind_of([1, 0]) == 0
    assert kind_of([1, 77, None, []]) == 77
    for value, reason in [
        (1, Reason.BAD_FORM),
        ([1], Reason.BAD_FORM),
        ([2, 77], Reason.WRONG_VERSION),
        ([True, 77], Reason.WRONG_VERSION),
        ([1, True], Reason.BAD_FORM),
        ([1, "x"], Reason.BAD_FORM),
    ]:
        with pytest.raises(RemoteError) as caught:
            kind_of(value)
        assert caught.value.reason is reason


@pytest.mark.parametrize(("reason", "value"), LADDER)
def test_a_decoded_object_is_read_with_the_same_verdict(reason: Reason, value: Value) -> None:
    decoded = decode(encode(value), limit=FORM.limit)
    with pytest.raises(RemoteError) as caught:
        FORM.read(decoded)
    assert caught.value.reason is reason
    assert FORM.read(decode(FORM.build(*GOOD), limit=FORM.limit)) == GOOD


def test_depth_starts_again_in_an_embedded_object() -> None:
    """REQ-WIRE-17."""
    inner = encode([[[[1]]]])
    outer = encode([[[[inner]]]])
    assert decode(decode(outer, limit=99)[0][0][0][0], limit=99) == [[[[1]]]]
    with pytest.raises(RemoteError) as caught:
        decode(b"\x91" + outer, limit=99)
    assert caught.value.reason is Reason.TOO_DEEP


@given(st.binary(max_size=80) | st.lists(st.integers(0, 300) | st.binary(max_size=5)).map(encode))
def test_any_bytes_parse_or_raise_the_remote_error(data: bytes) -> None:
    try:
        fields = FORM.parse(data)
    except RemoteError:
        return
    assert FORM.build(*fields) == data
