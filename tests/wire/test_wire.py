"""The canonical encoding: what is accepted, what is refused, and why (spec 04)."""

import time
import tracemalloc
from pathlib import Path
from typing import Final

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.limits import MAX_DEPTH
from evanesce.wire import Value, decode, encode

LIMIT: Final = 1 << 20

# --- Helpers -------------------------------------------------------------------------------------


def refusal(data: bytes, limit: int = LIMIT) -> Reason:
    with pytest.raises(RemoteError) as caught:
        decode(data, limit=limit)
    return caught.value.reason


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(0, 2**64 - 1)
    | st.sampled_from([2**n + d for n in (5, 7, 8, 16, 32) for d in (-1, 0)])
    | st.binary(max_size=300)
    | st.text(max_size=100)
)


def nested(depth: int) -> st.SearchStrategy[Value]:
    """Values of at most `depth` arrays."""
    if depth == 0:
        return LEAVES
    return LEAVES | st.lists(nested(depth - 1), max_size=20)


VALUES = nested(MAX_DEPTH)


def same_types(a: object, b: object) -> bool:
    """Equal, and True is not 1."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same_types(x, y) for x, y in zip(a, b, strict=True))
    return a == b


# --- The oracle: MessagePack's own lenient decoder, then rules, then re-encoding (REQ-WIRE-08) ---


def allowed(value: object, depth: int = 0) -> bool:
    if isinstance(value, list):
        return depth < 4 and all(allowed(item, depth + 1) for item in value)
    if type(value) is int:
        return value >= 0
    return value is None or type(value) in (bool, bytes, str)


def canonical_by_oracle(data: bytes) -> bool:
    try:
        value = msgpack.unpackb(data, raw=False, unicode_errors="strict", strict_map_key=False)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException):
        return False
    return allowed(value) and msgpack.packb(value, use_bin_type=True) == data


def accepts(data: bytes) -> bool:
    """Whether `decode` accepts. Any error but `RemoteError` gets out and fails the test."""
    try:
        value = decode(data, limit=LIMIT)
    except RemoteError:
        return False
    assert encode(value) == data
    return True


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid encoding with one to three faults of the kinds that bugs and attackers make."""
    data = bytearray(encode(draw(VALUES)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["set", "bit", "insert", "delete", "widen", "wrap", "splice"]))
        if kind == "insert":
            data.insert(at, draw(st.integers(0, 255)))
        elif kind == "wrap":
            data[:0] = b"\x91" * draw(st.integers(1, 4))
        elif kind == "splice":
            data[at:at] = encode(draw(LEAVES))
        elif not data:
            continue
        elif kind == "set":
            data[at] = draw(st.sampled_from(range(0x80, 0x100)) | st.integers(0, 255))
        elif kind == "bit":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "delete":
            del data[at]
        elif data[at] <= 0x7F:  # write a small integer in a longer form
            data[at : at + 1] = b"\xcc" + bytes([data[at]])
        elif data[at] in (0xC4, 0xC5, 0xCC, 0xCD, 0xCE, 0xD9, 0xDA, 0xDC):  # one form longer
            data[at : at + 1] = bytes([data[at] + 1, 0])
    return bytes(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_accepted_exactly_if_the_oracle_finds_them_canonical(data: bytes) -> None:
    assert accepts(data) == canonical_by_oracle(data)


@given(mutated())
def test_mutated_encodings_are_accepted_exactly_if_the_oracle_finds_them_canonical(
    data: bytes,
) -> None:
    assert accepts(data) == canonical_by_oracle(data)


def test_every_two_byte_input_is_accepted_exactly_if_the_oracle_finds_it_canonical() -> None:
    accepted = 0
    for number in range(1 << 16):
        data = number.to_bytes(2, "big")
        verdict = accepts(data)
        assert verdict == canonical_by_oracle(data), data.hex()
        accepted += verdict
    # cc 80..ff; c4 00; a1 00..7f; 91 and one of 00..7f, nil, false, true, a0, 90
    assert accepted == 128 + 1 + 128 + (128 + 3 + 2)


@pytest.mark.parametrize(
    ("data", "canonical"),
    [
        ("00", True),
        ("cc80", True),
        ("cc7f", False),
        ("a1ff", False),
        ("ff", False),
        ("80", False),
        ("9191919190", False),
        ("91919190", True),
        ("0000", False),
    ],
)
def test_the_oracle_itself_can_say_both(data: str, canonical: bool) -> None:
    assert canonical_by_oracle(bytes.fromhex(data)) is canonical


# --- Round trip ----------------------------------------------------------------------------------


@given(VALUES)
def test_what_is_encoded_decodes_to_the_same_values_and_types(value: Value) -> None:
    assert same_types(decode(encode(value), limit=LIMIT), value)


def test_sequences_of_any_kind_encode_as_arrays() -> None:
    assert encode((1, (2, b"x"))) == encode([1, [2, b"x"]]) == bytes.fromhex("92019202c40178")


@pytest.mark.parametrize("value", [2**64, "\ud800", object(), {1, 2}])
def test_a_value_without_an_encoding_is_a_local_error(value: object) -> None:
    with pytest.raises(LocalError) as caught:
        encode(value)  # type: ignore[arg-type]
    assert caught.value.reason is Reason.BAD_FORM


def test_the_example_of_the_specification_is_what_the_code_does() -> None:
    example = "970103c4020102a368c3a9c0c394007fcc80ce00010000"
    value: Value = [1, 3, b"\1\2", "hé", None, True, [0, 127, 128, 65536]]
    assert encode(value).hex() == example
    data = bytes.fromhex(example)
    assert same_types(decode(data, limit=23), value)
    text = (Path(__file__).parents[2] / "spec" / "04-encoding.md").read_text(encoding="utf-8")
    assert f"    {example}\n" in text
    assert refusal(data, limit=22) is Reason.TOO_LARGE
    assert refusal(data[:-1]) is Reason.TRUNCATED
    assert refusal(data + b"\xc0") is Reason.TRAILING_BYTES
    for old, new, reason in [
        ("cc80", "cd0080", Reason.NON_CANONICAL),
        ("970103", "9701d003", Reason.FORBIDDEN_TYPE),
        ("68c3a9", "68c328", Reason.NON_CANONICAL),
        ("007fcc", "00919190cc", Reason.TOO_DEEP),
    ]:
        assert example.count(old) == 1
        assert refusal(bytes.fromhex(example.replace(old, new))) is reason


# --- Shortest forms (REQ-WIRE-04) ----------------------------------------------------------------

# (first byte of the form, bytes that follow, least value it is allowed for)
FORMS: Final = {
    "uint8": (0xCC, 1, 128),
    "uint16": (0xCD, 2, 256),
    "uint32": (0xCE, 4, 65536),
    "uint64": (0xCF, 8, 4294967296),
    "bin16": (0xC5, 2, 256),
    "bin32": (0xC6, 4, 65536),
    "str8": (0xD9, 1, 32),
    "str16": (0xDA, 2, 256),
    "str32": (0xDB, 4, 65536),
    "array16": (0xDC, 2, 16),
    "array32": (0xDD, 4, 65536),
}
BODY: Final = {"uint": b"", "bin": b"x", "str": b"x", "array": b"\xc0"}


def written(form: str, number: int) -> bytes:
    first, width, _ = FORMS[form]
    body = BODY[form.rstrip("0123456789")]
    return bytes([first]) + number.to_bytes(width, "big") + body * number


def too_long() -> list[tuple[str, int]]:
    """Each form with 0, 1, the boundaries of all shorter forms, and one below its own least."""
    boundaries = {0, 1, 15, 16, 31, 32, 127, 128, 255, 256, 65535, 65536, 2**32 - 1}
    return [
        (form, number)
        for form, (_, width, least) in FORMS.items()
        for number in sorted(boundaries)
        if number < least and number < 256**width
    ]


@pytest.mark.parametrize(("form", "number"), too_long())
def test_a_form_longer_than_needed_is_not_canonical(form: str, number: int) -> None:
    data = written(form, number)
    msgpack.unpackb(data, raw=False, strict_map_key=False)  # well-formed for a lenient decoder
    assert refusal(data) is Reason.NON_CANONICAL
    assert refusal(b"\x91" + data) is Reason.NON_CANONICAL  # inside an array too


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_allowed_from_its_least_value_on(form: str) -> None:
    least = FORMS[form][2]
    for number in (least, least + 1):
        data = written(form, number)
        assert encode(decode(data, limit=LIMIT)) == data
    assert encode(decode(b"\x91" + data, limit=LIMIT)) == b"\x91" + data


@pytest.mark.parametrize(
    ("value", "head"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "cc80"),
        (255, "ccff"),
        (256, "cd0100"),
        (65535, "cdffff"),
        (65536, "ce00010000"),
        (2**32 - 1, "ceffffffff"),
        (2**32, "cf0000000100000000"),
        (2**64 - 1, "cfffffffffffffffff"),
        (b"", "c400"),
        (bytes(255), "c4ff"),
        (bytes(256), "c50100"),
        (bytes(65535), "c5ffff"),
        (bytes(65536), "c600010000"),
        ("", "a0"),
        ("x" * 31, "bf"),
        ("x" * 32, "d920"),
        ("x" * 255, "d9ff"),
        ("x" * 256, "da0100"),
        ("x" * 65535, "daffff"),
        ("x" * 65536, "db00010000"),
        ([], "90"),
        ([None] * 15, "9f"),
        ([None] * 16, "dc0010"),
        ([None] * 65535, "dcffff"),
        ([None] * 65536, "dd00010000"),
        (None, "c0"),
        (False, "c2"),
        (True, "c3"),
    ],
)
def test_values_at_the_boundaries_of_forms_are_written_and_read(value: Value, head: str) -> None:
    data = encode(value)
    assert data.hex().startswith(head)
    assert same_types(decode(data, limit=LIMIT), value)


# --- Forbidden types (REQ-WIRE-03) ---------------------------------------------------------------

FORBIDDEN: Final = [
    *range(0x80, 0x90),  # fixmap
    0xC1,
    *(0xC7, 0xC8, 0xC9),  # ext
    *(0xCA, 0xCB),  # float
    *(0xD0, 0xD1, 0xD2, 0xD3),  # signed integers
    *(0xD4, 0xD5, 0xD6, 0xD7, 0xD8),  # fixext
    *(0xDE, 0xDF),  # map
    *range(0xE0, 0x100),  # negative fixint
]


@pytest.mark.parametrize("first", FORBIDDEN, ids=lambda first: f"{first:02x}")
def test_a_forbidden_type_byte_is_refused_wherever_it_stands(first: int) -> None:
    for rest in (b"", bytes(40)):
        assert refusal(bytes([first]) + rest) is Reason.FORBIDDEN_TYPE
        assert refusal(b"\x92\xc0" + bytes([first]) + rest) is Reason.FORBIDDEN_TYPE


@pytest.mark.parametrize(
    "value", [{}, {"a": 1}, {n: n for n in range(16)}, 1.5, -1, -32, -33, -(2**63)]
)
def test_a_complete_object_of_a_forbidden_type_is_refused(value: object) -> None:
    assert refusal(msgpack.packb(value)) is Reason.FORBIDDEN_TYPE


@pytest.mark.parametrize("size", [0, 1, 2, 4, 8, 16, 17, 256])
def test_extensions_are_refused(size: int) -> None:
    assert refusal(msgpack.packb(msgpack.ExtType(5, bytes(size)))) is Reason.FORBIDDEN_TYPE


def test_every_type_byte_is_either_allowed_or_forbidden() -> None:
    forbidden = {first for first in range(256) if first_reason(first) == "forbidden-type"}
    assert forbidden == set(FORBIDDEN)


def first_reason(first: int) -> str:
    try:
        decode(bytes([first]) + bytes(40), limit=LIMIT)
    except RemoteError as error:
        return error.reason.value
    return "accepted"


# --- Truncation and trailing bytes (REQ-WIRE-02, REQ-WIRE-06) ------------------------------------

SAMPLE: Final = encode(
    [1, 7, b"abc", "déf", None, True, [200, 70_000, 2**40, ["x" * 40, [b"y" * 300]]], [None] * 20]
)


@pytest.mark.parametrize("size", range(len(SAMPLE)))
def test_input_cut_at_any_byte_is_truncated(size: int) -> None:
    assert refusal(SAMPLE[:size]) is Reason.TRUNCATED


@pytest.mark.parametrize("value", [0, 2**64 - 1, b"", b"abc", "abc", "", [], [1], None, True])
@pytest.mark.parametrize("more", [b"\0", b"\xc1", b"\xff" * 9], ids=["int", "c1", "ff"])
def test_bytes_after_the_object_are_refused(value: Value, more: bytes) -> None:
    assert refusal(encode(value) + more) is Reason.TRAILING_BYTES


def test_bytes_after_a_nested_object_are_refused() -> None:
    assert decode(SAMPLE, limit=len(SAMPLE))[0] == 1
    assert refusal(SAMPLE + b"\x90") is Reason.TRAILING_BYTES


# --- Depth (REQ-WIRE-05) -------------------------------------------------------------------------


@pytest.mark.parametrize("inner", ["90", "00", "c4020000", "9f" + "c0" * 15])
def test_depth_four_is_accepted_and_five_refused(inner: str) -> None:
    arrays = 4 - (inner[0] == "9")
    data = b"\x91" * arrays + bytes.fromhex(inner)
    assert encode(decode(data, limit=LIMIT)) == data
    assert refusal(b"\x91" + data) is Reason.TOO_DEEP


def test_depth_counts_what_encloses_and_not_what_went_before() -> None:
    three: Value = [[[]]]
    data = encode([three, three, [[[1]]], 2, three])
    assert encode(decode(data, limit=LIMIT)) == data
    # After depth 4 has been left, three more levels are three more levels.
    assert refusal(bytes.fromhex("92" + "91919190" + "00")) is Reason.TOO_DEEP
    assert decode(bytes.fromhex("92" + "919190" + "919190"), limit=LIMIT) == [[[[]]], [[[]]]]


@pytest.mark.parametrize("header", ["91", "dc0010", "dd00010000"])
def test_an_array_of_any_form_counts_for_depth(header: str) -> None:
    least = {"91": 1, "dc0010": 16, "dd00010000": 65536}[header]
    data = bytes.fromhex("91" * 4 + header) + b"\xc0" * least
    assert refusal(data) is Reason.TOO_DEEP


# --- Size limit (REQ-WIRE-01) --------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 100, 300, 70_000])
def test_input_at_the_limit_is_accepted_and_one_past_it_refused(size: int) -> None:
    data = encode(bytes(size))
    assert decode(data, limit=len(data)) == bytes(size)
    assert refusal(data, limit=len(data) - 1) is Reason.TOO_LARGE


@pytest.mark.parametrize("data", [b"\xc1\xc1\xc1", b"\x91" * 50, b"\xcc\x01\0", b"\x93\0\0"])
def test_the_limit_is_checked_before_anything_else(data: bytes) -> None:
    assert refusal(data, limit=len(data)) is not Reason.TOO_LARGE
    assert refusal(data, limit=len(data) - 1) is Reason.TOO_LARGE


# --- Order of reasons (REQ-WIRE-09) --------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", Reason.TRUNCATED),
        ("c500", Reason.TRUNCATED),  # its length is cut off, so its form cannot be judged
        ("c5000a", Reason.NON_CANONICAL),  # not truncated, though 10 bytes are missing
        ("dc000f", Reason.NON_CANONICAL),
        ("9191919191", Reason.TRUNCATED),  # not too deep: the fifth array has no item
        ("919191919100", Reason.TOO_DEEP),
        ("91919190c1", Reason.TRAILING_BYTES),
        ("92c1", Reason.TRUNCATED),  # two items need two bytes
        ("92c100", Reason.FORBIDDEN_TYPE),
        ("92cc00c1", Reason.NON_CANONICAL),  # the first fault in the input counts
        ("92c1cc00", Reason.FORBIDDEN_TYPE),
        ("a1ff00", Reason.TRAILING_BYTES),  # UTF-8 comes last
        ("92a1ffcc00", Reason.NON_CANONICAL),
        ("92a1ffc1", Reason.FORBIDDEN_TYPE),
        ("92a1ff", Reason.TRUNCATED),
    ],
)
def test_of_several_faults_the_first_step_that_fails_is_reported(data: str, reason: Reason) -> None:
    assert refusal(bytes.fromhex(data)) is reason


# --- Text (REQ-WIRE-07) --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        "80",  # a continuation byte alone
        "c3",  # cut
        "c328",
        "c080",  # overlong NUL
        "c1bf",
        "e08080",
        "e09fbf",
        "f0808080",
        "f08fbfbf",
        "eda080",  # surrogates
        "edadbf",
        "edaebf",
        "edbfbf",
        "eda080edb080",  # a pair of them
        "f4908080",  # beyond U+10FFFF
        "f5808080",
        "fe",
        "ff",
        "e282",
        "f09f98",
    ],
)
def test_text_that_is_not_utf8_is_refused(bad: str) -> None:
    raw = bytes.fromhex(bad)
    text = b"ok" + raw + b"ok"
    assert refusal(bytes([0xA0 + len(raw)]) + raw) is Reason.NON_CANONICAL
    assert refusal(bytes([0x91, 0xA0 + len(text)]) + text) is Reason.NON_CANONICAL
    assert decode(b"\xc4" + bytes([len(raw)]) + raw, limit=LIMIT) == raw  # as bin it is fine


ORDINARY: Final = "\0\x7f\x80\ud7ff\ue000\ufeff\ufffe\uffff\U00010000\U0010ffffé"


@pytest.mark.parametrize("text", [*ORDINARY, ORDINARY, "e\u0301", "\u0301"], ids=ascii)
def test_text_is_taken_as_it_is(text: str) -> None:
    assert decode(encode(text), limit=LIMIT) == text


# --- Memory and time (REQ-WIRE-10) ---------------------------------------------------------------

BOMBS: Final = {
    "array32 nested": (b"\xdd\xff\xff\xff\xff" * 100_000, Reason.TRUNCATED),
    "array16 nested": (b"\xdc\xff\xff" * 100_000, Reason.TOO_DEEP),
    "fixarray nested": (b"\x91" * 100_000, Reason.TOO_DEEP),
    "wide and nested": (b"\x9f" * 100_000, Reason.TOO_DEEP),
    "array32 alone": (b"\xdd\xff\xff\xff\xff", Reason.TRUNCATED),
    "bin32 alone": (b"\xc6\xff\xff\xff\xff", Reason.TRUNCATED),
    "str32 alone": (b"\xdb\xff\xff\xff\xff", Reason.TRUNCATED),
    "map32": (b"\xdf\xff\xff\xff\xff" * 100_000, Reason.FORBIDDEN_TYPE),
    "bin32, one byte short": (b"\xc6\x00\x07\xa1\x20" + bytes(499_999), Reason.TRUNCATED),
    "array, then a fault": (
        b"\xdd\x00\x01\x86\xa0" + bytes(99_999) + b"\xc1",
        Reason.FORBIDDEN_TYPE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_quickly_and_without_allocating(name: str) -> None:
    data, reason = BOMBS[name]
    started = time.perf_counter()
    assert refusal(data) is reason
    assert time.perf_counter() - started < 2
    tracemalloc.start()
    try:
        assert refusal(data) is reason
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024
