"""Contents: what can be said, how much of it, and for how long (spec 13)."""

from contextlib import suppress
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce.content import Announcement, Content, Evaporation, Leave, Said, parse_content
from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.formats import ANNOUNCEMENT, DATA, LEAVE, TEXT
from evanesce.limits import MAX_BODY, MAX_CONTENT, MAX_LIFETIME, MAX_NAME
from evanesce.mailbox import Mailbox
from evanesce.wire import Form, encode

NOW: Final = 1_700_000_000
MAILBOX: Final = Mailbox(
    bytes(range(32)),
    bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
    bytes(16),
)
ID: Final = bytes(range(16))

timers = st.none() | st.integers(0, MAX_LIFETIME)
evaporations = st.builds(Evaporation, timers, st.integers(1, MAX_LIFETIME))
moments = st.integers(0, 2**40 - 1)
texts = st.text(st.characters(codec="utf-8"), max_size=300)
said = st.builds(
    Said,
    st.one_of(texts, st.binary(max_size=300)),
    moments,
    evaporations,
    st.none() | st.binary(min_size=16, max_size=16),
)
announcements = st.builds(
    Announcement,
    texts.filter(lambda name: len(name.encode()) <= MAX_NAME),
    st.builds(
        Mailbox,
        st.binary(min_size=32, max_size=32),
        st.just(MAILBOX.envelope_key),
        st.binary(min_size=16, max_size=16),
    ),
)
leaves = st.builds(Leave, st.binary(min_size=1, max_size=1_024))


def said_with(**changes: object) -> Said:
    values: dict[str, object] = {"body": "hello", "sent": NOW, "evaporation": Evaporation()}
    return Said(**(values | changes))  # type: ignore[arg-type]


def local_reason(content: Content) -> Reason:
    with pytest.raises(LocalError) as caught:
        content.encode()
    return caught.value.reason


def remote_reason(data: bytes) -> Reason:
    with pytest.raises(RemoteError) as caught:
        parse_content(data)
    return caught.value.reason


# --- Round trips ---------------------------------------------------------------------------------


@given(st.one_of(said, announcements, leaves))
def test_a_content_is_read_as_it_was_made(content: Content) -> None:
    data = content.encode()
    read = parse_content(data)
    assert read == content
    assert type(read) is type(content)
    assert read.encode() == data


@given(said)
def test_text_and_data_stay_what_they_are(content: Said) -> None:
    read = parse_content(content.encode())
    assert isinstance(read, Said)
    assert type(read.body) is type(content.body)


def test_known_encodings() -> None:
    """Field by field, by hand."""
    text = Said("hé", 5, Evaporation(None, 7))
    assert text.encode().hex() == "97012005c007c0a368c3a9"
    data = Said(b"\xff", 300, Evaporation(0, 259_200), ID)
    assert data.encode().hex() == ("970121cd012c00ce0003f480c410" + ID.hex() + "c401ff")
    announcement = Announcement("Al", MAILBOX)
    assert announcement.encode().hex() == (
        "94" "01" "22" "a2" "416c" "93" "c420" + MAILBOX.address.hex()
        + "c420" + MAILBOX.envelope_key.hex() + "c410" + MAILBOX.capability.hex()
    )  # fmt: skip
    assert Leave(b"request").encode().hex() == "930123c407" + b"request".hex()


def test_the_same_body_as_text_and_as_data_differs() -> None:
    assert said_with(body="abc").encode() != said_with(body=b"abc").encode()


@pytest.mark.parametrize("body", ["", b""])
def test_an_empty_body_is_a_body(body: str | bytes) -> None:
    assert parse_content(said_with(body=body).encode()) == said_with(body=body)


# --- How much ------------------------------------------------------------------------------------

AT_LIMIT: Final[list[str | bytes]] = [
    "a" * MAX_BODY,
    "é" * (MAX_BODY // 2),
    "한" * (MAX_BODY // 3) + "a" * (MAX_BODY % 3),
    "🦔" * (MAX_BODY // 4),
    b"\x00" * MAX_BODY,
]
PAST_LIMIT: Final[list[str | bytes]] = [
    "a" * (MAX_BODY + 1),
    "é" * (MAX_BODY // 2) + "a",
    "한" * (MAX_BODY // 3 + 1),
    "🦔" * (MAX_BODY // 4) + "a",
    b"\x00" * (MAX_BODY + 1),
]


def kind(body: str | bytes) -> str:
    return f"{type(body).__name__} of {len(body)}"


@pytest.mark.parametrize("body", AT_LIMIT, ids=kind)
def test_the_longest_body_is_said_and_read(body: str | bytes) -> None:
    """With every other field as long as it gets."""
    content = Said(body, 2**40 - 1, Evaporation(MAX_LIFETIME, MAX_LIFETIME), ID)
    data = content.encode()
    assert len(data) <= MAX_CONTENT
    assert parse_content(data) == content


@pytest.mark.parametrize("body", PAST_LIMIT, ids=kind)
def test_a_longer_body_is_refused_on_both_sides(body: str | bytes) -> None:
    assert local_reason(said_with(body=body)) is Reason.TOO_LARGE
    form = TEXT if isinstance(body, str) else DATA
    data = form.build(NOW, None, MAX_LIFETIME, None, body)
    assert len(data) <= MAX_CONTENT  # it is the body that is too large
    assert remote_reason(data) is Reason.TOO_LARGE


def test_a_content_past_the_limit_is_not_even_decoded() -> None:
    rubbish = b"\xc1" * (MAX_CONTENT + 1)
    assert remote_reason(rubbish) is Reason.TOO_LARGE
    assert remote_reason(rubbish[1:]) is Reason.FORBIDDEN_TYPE


@pytest.mark.parametrize("name", ["", "a" * MAX_NAME, "é" * (MAX_NAME // 2)])
def test_a_name_up_to_the_limit_is_announced(name: str) -> None:
    content = Announcement(name, MAILBOX)
    assert parse_content(content.encode()) == content


@pytest.mark.parametrize("name", ["a" * (MAX_NAME + 1), "é" * (MAX_NAME // 2) + "a"])
def test_a_longer_name_is_refused_on_both_sides(name: str) -> None:
    assert local_reason(Announcement(name, MAILBOX)) is Reason.TOO_LARGE
    assert remote_reason(ANNOUNCEMENT.build(name, MAILBOX.value())) is Reason.TOO_LARGE


def test_a_leave_request_is_neither_empty_nor_huge() -> None:
    assert parse_content(Leave(bytes(1_024)).encode()) == Leave(bytes(1_024))
    assert remote_reason(LEAVE.build(bytes(1_025))) is Reason.TOO_LARGE
    assert remote_reason(LEAVE.build(b"")) is Reason.BAD_FORM


# --- What is no text -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\ud83e\udd94"])
def test_lone_surrogates_are_not_said(text: str) -> None:
    assert local_reason(said_with(body=text)) is Reason.BAD_INPUT


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb", "\ud83e\udd94"])
def test_lone_surrogates_are_not_announced(name: str) -> None:
    assert local_reason(Announcement(name, MAILBOX)) is Reason.BAD_INPUT


@pytest.mark.parametrize(
    "raw", [b"\xed\xa0\x80", b"\xff\xff\xff", b"\xc0\x80a", b"ab\xc3", b"\xf4\x90\x80"]
)
def test_what_is_not_utf_8_is_not_read(raw: bytes) -> None:
    data = said_with(body="xyz").encode()
    assert remote_reason(data.replace(b"xyz", raw)) is Reason.NON_CANONICAL
    data = Announcement("xyz", MAILBOX).encode()
    assert remote_reason(data.replace(b"xyz", raw)) is Reason.NON_CANONICAL


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 5, 16, 31, 38, 127, 128, 2**32])
def test_an_unknown_kind_is_refused(number: int) -> None:
    data = encode([1, number, NOW, None, MAX_LIFETIME, None, "hello"])
    assert remote_reason(data) is Reason.WRONG_TYPE


def test_another_version_is_refused_before_the_kind() -> None:
    for version in (0, 2):
        assert remote_reason(encode([version, 99])) is Reason.WRONG_VERSION
    assert remote_reason(encode([True, 32])) is Reason.WRONG_VERSION


@pytest.mark.parametrize("value", [b"", b"\xc0", b"\x90", b"\x91\x01", b"\x92\x01\xa0", b"\x20"])
def test_what_is_no_object_is_refused(value: bytes) -> None:
    expected = Reason.TRUNCATED if not value else Reason.BAD_FORM
    assert remote_reason(value) is expected


@pytest.mark.parametrize(
    ("form", "values", "reason"),
    [
        (TEXT, (NOW, None, 60, None, b"data"), Reason.BAD_FORM),
        (DATA, (NOW, None, 60, None, "text"), Reason.BAD_FORM),
        (TEXT, (2**40, None, 60, None, "text"), Reason.BAD_FORM),
        (TEXT, (None, None, 60, None, "text"), Reason.BAD_FORM),
        (TEXT, (NOW, 2**32, 60, None, "text"), Reason.BAD_FORM),
        (TEXT, (NOW, False, 60, None, "text"), Reason.BAD_FORM),
        (TEXT, (NOW, None, None, None, "text"), Reason.BAD_FORM),
        (TEXT, (NOW, None, 2**32, None, "text"), Reason.BAD_FORM),
        (TEXT, (NOW, None, 60, bytes(15), "text"), Reason.BAD_FORM),
        (TEXT, (NOW, None, 60, bytes(17), "text"), Reason.BAD_FORM),
        (TEXT, (NOW, None, 60, "q" * 16, "text"), Reason.BAD_FORM),
        (ANNOUNCEMENT, (b"name", MAILBOX.value()), Reason.BAD_FORM),
        (ANNOUNCEMENT, ("name", None), Reason.BAD_FORM),
        (ANNOUNCEMENT, ("name", MAILBOX.value()[:2]), Reason.BAD_FORM),
        (ANNOUNCEMENT, ("name", [*MAILBOX.value(), b""]), Reason.BAD_FORM),
        (LEAVE, ("request",), Reason.BAD_FORM),
    ],
)
def test_a_field_of_another_form_is_refused(
    form: Form, values: tuple[object, ...], reason: Reason
) -> None:
    assert remote_reason(form.build(*values)) is reason  # type: ignore[arg-type]


@given(st.one_of(said, announcements, leaves))
def test_a_field_more_or_less_is_refused(content: Content) -> None:
    data = content.encode()
    assert 0x92 < data[0] < 0x9F
    assert remote_reason(bytes([data[0] + 1]) + data[1:] + b"\xc0") is Reason.BAD_FORM
    assert remote_reason(data + b"\xc0") is Reason.TRAILING_BYTES
    assert remote_reason(bytes([data[0] + 1]) + data[1:]) is Reason.TRUNCATED


@pytest.mark.parametrize(
    "bad", [bytes(32), bytes([1]) + bytes(31), b"\xff" * 32, (2**255 - 20).to_bytes(32, "little")]
)
def test_a_bad_envelope_key_is_not_announced(bad: bytes) -> None:
    """Nobody could seal anything to such a member; it must not be admitted."""
    data = ANNOUNCEMENT.build("name", [MAILBOX.address, bad, MAILBOX.capability])
    assert remote_reason(data) is Reason.BAD_KEY


@pytest.mark.parametrize("sent", [-1, 2**40, 1.5, True])
def test_a_time_that_no_content_holds_is_refused(sent: object) -> None:
    assert local_reason(said_with(sent=sent)) is Reason.BAD_INPUT


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_quote_names_a_message_id(size: int) -> None:
    assert local_reason(said_with(quote=bytes(size))) is Reason.BAD_INPUT


@given(st.binary(max_size=100))
def test_rubbish_is_refused_or_read_exactly(data: bytes) -> None:
    for candidate in (data, b"\x97\x01\x20" + data, b"\x94\x01\x22" + data, b"\x93\x01\x23" + data):
        with suppress(RemoteError):
            assert parse_content(candidate).encode() == candidate


# --- For how long --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "evaporation",
    [
        Evaporation(),
        Evaporation(None, 1),
        Evaporation(0, 1),
        Evaporation(0, MAX_LIFETIME),
        Evaporation(MAX_LIFETIME, MAX_LIFETIME),
        Evaporation(MAX_LIFETIME, 1),
    ],
)
def test_a_time_up_to_the_limit_is_accepted(evaporation: Evaporation) -> None:
    evaporation.check()
    content = said_with(evaporation=evaporation)
    assert parse_content(content.encode()) == content


@pytest.mark.parametrize(
    "evaporation",
    [
        Evaporation(None, 0),
        Evaporation(None, MAX_LIFETIME + 1),
        Evaporation(MAX_LIFETIME + 1, MAX_LIFETIME),
        Evaporation(0, 0),
        Evaporation(2**32 - 1, 60),
    ],
)
def test_a_time_past_the_limit_is_refused_on_both_sides(evaporation: Evaporation) -> None:
    with pytest.raises(RemoteError) as caught:
        evaporation.check()
    assert caught.value.reason is Reason.BAD_POLICY
    assert local_reason(said_with(evaporation=evaporation)) is Reason.BAD_POLICY
    for form, body in ((TEXT, "hello"), (DATA, b"hello")):
        data = form.build(NOW, evaporation.after_view, evaporation.lifetime, None, body)
        assert remote_reason(data) is Reason.BAD_POLICY


@pytest.mark.parametrize("evaporation", [Evaporation(None, -1), Evaporation(-1, 60)])
def test_a_negative_time_is_refused(evaporation: Evaporation) -> None:
    assert local_reason(said_with(evaporation=evaporation)) is Reason.BAD_POLICY


def test_by_default_only_the_longest_lifetime_holds() -> None:
    assert Evaporation() == Evaporation(None, 72 * 3_600)


def longest(timer: int | None) -> float:
    return float("inf") if timer is None else timer


@given(evaporations, evaporations)
def test_the_stricter_is_never_longer_than_either(one: Evaporation, other: Evaporation) -> None:
    both = one.strictest(other)
    both.check()
    assert longest(both.after_view) == min(longest(one.after_view), longest(other.after_view))
    assert both.lifetime == min(one.lifetime, other.lifetime)


@given(evaporations, evaporations, evaporations)
def test_in_which_order_the_stricter_is_found_does_not_matter(
    a: Evaporation, b: Evaporation, c: Evaporation
) -> None:
    assert a.strictest(b) == b.strictest(a)
    assert a.strictest(b).strictest(c) == a.strictest(b.strictest(c))
    assert a.strictest(a) == a
    assert a.strictest(b).strictest(b) == a.strictest(b)
    assert a.strictest(Evaporation()) == a


def test_closing_at_once_is_stricter_than_any_timer_and_than_none() -> None:
    for other in (None, 1, MAX_LIFETIME):
        assert Evaporation(0).strictest(Evaporation(other)) == Evaporation(0)
        assert Evaporation(other).strictest(Evaporation(0)) == Evaporation(0)


@given(evaporations, evaporations, moments, moments, moments)
def test_the_stricter_ends_at_the_earlier_of_both(
    one: Evaporation, other: Evaporation, sent: int, received: int, viewed: int
) -> None:
    both = one.strictest(other)
    ends = [e.deadline(sent, received) for e in (one, other)]
    assert both.deadline(sent, received) == min(ends)
    ends = [e.deadline_viewed(sent, received, viewed) for e in (one, other)]
    assert both.deadline_viewed(sent, received, viewed) == min(ends)


@given(evaporations, moments, moments, moments, moments)
def test_viewing_never_extends(
    evaporation: Evaporation, sent: int, received: int, viewed: int, later: int
) -> None:
    end = evaporation.deadline(sent, received)
    assert end <= min(sent, received) + MAX_LIFETIME
    assert evaporation.deadline_viewed(sent, received, viewed) <= end
    first, second = sorted((viewed, later))
    assert evaporation.deadline_viewed(sent, received, first) <= evaporation.deadline_viewed(
        sent, received, second
    )


@given(st.integers(1, MAX_LIFETIME), st.integers(-1_000, 1_000))
def test_neither_clock_alone_makes_a_message_last(lifetime: int, lead: int) -> None:
    """REQ-EVAP-03: a sender's clock that is ahead does not help, nor does a late delivery."""
    assert Evaporation(None, lifetime).deadline(NOW + lead, NOW) == NOW + min(lead, 0) + lifetime


def test_the_deadlines_of_a_viewed_message() -> None:
    """REQ-EVAP-04."""
    assert Evaporation(30, 600).deadline_viewed(NOW, NOW, NOW + 100) == NOW + 130
    assert Evaporation(30, 600).deadline_viewed(NOW, NOW, NOW + 570) == NOW + 600
    assert Evaporation(30, 600).deadline_viewed(NOW, NOW, NOW + 599) == NOW + 600
    assert Evaporation(None, 600).deadline_viewed(NOW, NOW, NOW + 100) == NOW + 600
    assert Evaporation(MAX_LIFETIME, 600).deadline_viewed(NOW, NOW, NOW) == NOW + 600


@given(st.integers(1, MAX_LIFETIME), st.integers(0, MAX_LIFETIME))
def test_after_view_of_nothing_means_at_once(lifetime: int, delay: int) -> None:
    end = Evaporation(0, lifetime).deadline_viewed(NOW, NOW, NOW + delay)
    assert end == NOW + min(delay, lifetime)


# --- What is shown -------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["the secret word", b"the secret word"])
def test_a_printout_hides_the_body(body: str | bytes) -> None:
    content = said_with(body=body, quote=ID)
    for text in (repr(content), str(content), f"{content}", f"{[content]}"):
        assert "Said(15" in text
        for word in ("the", "secret", "word", str(NOW), b"secret".hex(), repr(ID)):
            assert word not in text


@given(said)
def test_a_printout_says_only_the_length_and_the_kind(content: Said) -> None:
    kind = "characters" if isinstance(content.body, str) else "bytes"
    assert repr(content) == f"Said({len(content.body)} {kind})"


def test_an_error_about_a_body_hides_it() -> None:
    with pytest.raises(LocalError) as caught:
        said_with(body="secret " * MAX_BODY).encode()
    assert "secret" not in f"{caught.value!r} {caught.value}"
    with pytest.raises(LocalError) as caught:
        said_with(body="secret \ud800").encode()
    assert "secret" not in f"{caught.value!r} {caught.value}"
