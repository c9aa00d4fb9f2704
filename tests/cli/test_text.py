"""Text in a terminal: harmless, measured, wrapped; and the line that is typed."""

from __future__ import annotations

import subprocess
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce.terminal.duration import countdown, in_words, seconds
from evanesce.terminal.lineedit import LineEditor, Sign
from evanesce.terminal.text import fit, one_line, safe_name, safe_text, tail, width, wrap
from tests.cli.cli_support import run


@given(st.text())
def test_nothing_that_moves_a_cursor_is_left(text: str) -> None:
    for letter in safe_text(text):
        assert letter in "\n\u200c\u200d" or letter.isprintable()
    assert "\n" not in one_line(text)
    name = safe_name(text)
    assert name
    assert name.isprintable()
    assert width(name) <= 32
    assert not name.startswith("~")
    assert safe_name(name) == name


def test_what_is_harmless_stays() -> None:
    text = "안녕, 7시! naïve — 👩\u200d👩\u200d👧 नमस्ते می\u200cخواهم\nzwei"
    assert safe_text(text) == text
    assert safe_text("a\tb\u00a0c\u3164d") == "a b c d"
    assert safe_text("e" + "\u0301" * 50) == "e" + "\u0301" * 6
    assert safe_name("  ~~Mina\u3164\n \u200d ") == "Mina"
    assert safe_name("\u3164\u202e\u200d") != ""


def test_width_counts_columns() -> None:
    for text, columns in (("abc", 3), ("안녕", 4), (unicodedata.normalize("NFD", "안녕"), 4),
                          ("e\u0301", 1), ("ｗ", 2), ("a\u200db", 2)):  # fmt: skip
        assert width(text) == columns, text
    assert fit("안녕하세요", 6) == "안녕…"
    assert tail("안녕하세요", 5) == "세요"


@given(st.text(alphabet=" ab안녕\u0301\n"), st.integers(2, 20))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces(text: str, columns: int) -> None:
    lines = wrap(text, columns)
    assert all(width(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")


@given(st.text(alphabet=st.characters(min_codepoint=32, exclude_characters="\x7f",
                                      exclude_categories=["Cs", "Cc"])), st.data())  # fmt: skip
def test_what_is_typed_in_pieces_comes_out_whole(text: str, data: st.DataObject) -> None:
    editor = LineEditor()
    typed = text.encode() + b"\r"
    done: list[str | Sign] = []
    while typed:
        cut = data.draw(st.integers(1, len(typed)))
        done += editor.feed(typed[:cut])
        typed = typed[cut:]
    assert done == [text]


@given(st.binary(max_size=60), st.integers(4, 20))
def test_no_keys_break_the_line_or_overflow_it(keys: bytes, columns: int) -> None:
    editor = LineEditor()
    editor.feed(keys)
    shown, cursor = editor.shown(columns)
    assert width(shown) <= columns
    assert 0 <= cursor < columns
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("안녕\x7f!\r", "안!"),
        ("e\u0301x\x7f\x7f\r", ""),
        ("bc\x1b[D\x1b[Da\x1b[Cd\r", "abdc"),
        ("one two\x17three\r", "onethree"),
        ("abc\x01x\x05y\r", "xabcy"),
        ("gone\x15kept\r", "kept"),
        ("ab\x1b[D\x1b[3~c\r", "ac"),
        ("\x1b[200~two\nlines\x1b[201~\r", "two\nlines"),
        ("a\x1b[1;5Pb\x1bxc\r", "abc"),
    ],
)
def test_keys(keys: str, line: str) -> None:
    assert LineEditor().feed(keys.encode()) == [line]


def test_signs() -> None:
    editor = LineEditor()
    assert editor.feed(b"a\x04\x0c\x03") == [Sign.REDRAW, Sign.LEAVE]
    assert LineEditor().feed(b"\x04") == [Sign.LEAVE]


def test_durations() -> None:
    assert [seconds(text) for text in ("90", "90s", "5m", "2h", "0")] == [90, 90, 300, 7200, 0]
    assert [in_words(n) for n in (10, 90, 300, 7200)] == ["10 s", "90 s", "5 min", "2 h"]
    assert [countdown(n) for n in (-1, 9, 70, 7300)] == ["0s", "9s", "1:10", "2h"]


def completed(shell_words: list[str]) -> set[str]:
    words = " ".join(f"'{word}'" for word in ["evanesce", *shell_words])
    script = run("completion", "bash").out + (
        f"\nCOMP_WORDS=({words}); COMP_CWORD={len(shell_words)}; _evanesce"
        '\nprintf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, text=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completes_commands_options_and_choices() -> None:
    assert {"init", "chat", "demo", "conformance", "room"} <= completed([""])
    assert completed(["ro"]) == {"room"}
    assert completed(["--home", "x", "room", "m"]) == {"members"}
    assert "--after-view" in completed(["room", "new", "Junho", "--a"])
    assert completed(["room", "role", "1", "Junho", "ad"]) == {"admin"}
    assert "bashcompinit" in run("completion", "zsh").out
