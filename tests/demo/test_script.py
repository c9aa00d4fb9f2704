"""The demo's script: what is read, and what is refused with which reason."""

import pytest

from evanesce import LocalError, Reason
from evanesce.demo.script import What, parse_script


def test_a_room_of_two_speakers_is_direct_and_one_with_joins_is_a_group() -> None:
    script = "== A\nMina: 안녕\nJun: hi\n\n# no\n== B\n+Mina\n+Jun\nJun: a: b\n-Jun\n"
    parts = parse_script(script.encode())
    assert [(part.title, part.direct, part.names) for part in parts] == [
        ("A", True, ["Mina", "Jun"]),
        ("B", False, ["Mina", "Jun"]),
    ]
    assert [(line.what, line.name, line.text) for line in parts[1].lines] == [
        (What.JOIN, "Mina", ""),
        (What.JOIN, "Jun", ""),
        (What.SAY, "Jun", "a: b"),
        (What.REMOVE, "Jun", ""),
    ]


def test_a_title_is_not_needed_and_a_byte_order_mark_is_ignored() -> None:
    (part,) = parse_script("\ufeffMina: hi\r\nJun: yo\r\n".encode())
    assert (part.title, part.names) == ("Room 1", ["Mina", "Jun"])


@pytest.mark.parametrize(
    ("script", "reason", "where"),
    [
        ("", Reason.BAD_INPUT, "empty"),
        ("# nothing\n\n== Title\n", Reason.BAD_INPUT, "empty"),
        ("Mina: hi\nno colon here\n", Reason.BAD_INPUT, "line 2"),
        ("Mina: hi\nMina:\n", Reason.BAD_INPUT, "line 2"),
        ("+\nMina: hi\n", Reason.BAD_INPUT, "line 1"),
        (": hi\n", Reason.BAD_INPUT, "line 1"),
        ("Mina: alone\n", Reason.BAD_INPUT, "1:1 room of two"),
        ("A: 1\nB: 2\nC: 3\n", Reason.BAD_INPUT, "not 3"),
        ("+A\nB: not in\n", Reason.UNKNOWN_MEMBER, "line 2"),
        ("+A\n+B\n-B\nB: still here?\n", Reason.UNKNOWN_MEMBER, "line 4"),
        ("+A\n-B\n", Reason.UNKNOWN_MEMBER, "line 2"),
        ("A: hi\n+A\n", Reason.UNKNOWN_MEMBER, "line 1"),
        ("+A\n+A\n", Reason.ALREADY_MEMBER, "line 2"),
        ("+A\n+B\n-A\n", Reason.NOT_ENTITLED, "line 3"),
        ("A: " + "x" * 65_537 + "\nB: y\n", Reason.TOO_LARGE, "line 1"),
        ("+" + "n" * 257 + "\n", Reason.TOO_LARGE, "line 1"),
    ],
)
def test_a_bad_script_is_refused_with_its_reason_and_line(
    script: str, reason: Reason, where: str
) -> None:
    with pytest.raises(LocalError) as caught:
        parse_script(script.encode())
    assert caught.value.reason is reason
    assert where in str(caught.value)


def test_text_that_is_not_utf8_is_refused_with_its_line() -> None:
    with pytest.raises(LocalError, match="line 2") as caught:
        parse_script(b"A: hi\nB: \xff\n")
    assert caught.value.reason is Reason.BAD_INPUT


def test_texts_and_names_at_their_limits_are_read() -> None:
    (part,) = parse_script(f"{'n' * 256}: {'x' * 65_536}\nB: y\n".encode())
    assert len(part.lines[0].text) == 65_536
