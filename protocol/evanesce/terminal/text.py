"""Text from strangers made harmless, and how much room it takes in a terminal.

What others write and what they call themselves may hold escape sequences that move the cursor,
rename the window or answer in the user's name, and marks that turn the direction of writing. None
of that reaches a terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

__all__ = ["fit", "one_line", "safe_name", "safe_text", "tail", "width", "wrap"]

NAME_COLUMNS: Final = 32
_MARKS: Final = 6  # combining marks on one letter; more of them spill over the lines around
_BAD: Final = "\N{REPLACEMENT CHARACTER}"
_JOINERS: Final = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
_FILLERS: Final = "\u115f\u1160\u3164\uffa0"  # letters that nobody sees


def _harmless(text: str) -> Iterator[str]:
    marks = 0
    for letter in text.replace("\r\n", "\n"):
        category = unicodedata.category(letter)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > _MARKS:
            continue
        if letter in _JOINERS or letter == "\n":
            yield letter
        elif letter in "\t" + _FILLERS or category == "Zs":
            yield " "
        elif letter == "\N{SOFT HYPHEN}":
            continue
        else:
            yield letter if letter.isprintable() else _BAD


def safe_text(text: str) -> str:
    """`text` with nothing in it but what can be read, and line ends."""
    return "".join(_harmless(text))


def one_line(text: str) -> str:
    """The same in one line."""
    return safe_text(text).replace("\n", "⏎")


def safe_name(name: str) -> str:
    """What somebody calls themselves, in one short line. It never looks like a contact's name."""
    seen = "".join(c for c in safe_text(unicodedata.normalize("NFC", name)) if c not in _JOINERS)
    return fit(" ".join(seen.split()).lstrip("~") or "?", NAME_COLUMNS)


def _columns(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf", "Cc"):
        return 0
    if "\u1160" <= letter <= "\u11ff" or "\ud7b0" <= letter <= "\ud7ff":
        return 0  # vowels and finals of Hangul that is written in parts
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def width(text: str) -> int:
    """How many columns a terminal gives to a line."""
    return sum(map(_columns, text))


def fit(text: str, columns: int) -> str:
    """A line cut to `columns`, with an ellipsis if need be."""
    if width(text) <= columns:
        return text
    return _head(text, columns - 1) + "…"


def _head(text: str, columns: int) -> str:
    used = 0
    for at, letter in enumerate(text):
        used += _columns(letter)
        if used > columns:
            return text[:at]
    return text


def tail(text: str, columns: int) -> str:
    """The end of a line, of at most `columns`."""
    used, start = 0, len(text)
    while start and used + _columns(text[start - 1]) <= columns:
        start -= 1
        used += _columns(text[start])
    return text[start:]


def wrap(text: str, columns: int) -> list[str]:
    """Lines of at most `columns`, broken at spaces where there are some."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        rest = paragraph
        while width(rest) > columns:
            head = _head(rest, columns) or rest[0]
            at = head.rfind(" ")
            if at > len(head) // 2 and rest[len(head) : len(head) + 1] != " ":
                head = head[: at + 1]
            lines.append(head.rstrip())
            rest = rest[len(head) :].lstrip(" ")
        lines.append(rest)
    return lines
