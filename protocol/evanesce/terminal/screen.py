"""The screen of a chat: lines that vanish when their time is up, and the line being typed.

It is drawn on the terminal's other screen, which has no history to scroll back to, and is gone when
the chat is left.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final

from .duration import countdown
from .lineedit import LineEditor
from .text import fit, one_line, width, wrap

__all__ = ["Line", "Screen"]

MOST_LINES: Final = 500
_ENTER: Final = "\x1b[?1049h\x1b[?2004h\x1b[2J"
_LEAVE: Final = "\x1b[?2004l\x1b[2J\x1b[H\x1b[?1049l\x1b[?25h"
_COLOURS: Final = (36, 33, 32, 35, 34)


@dataclass(slots=True)
class Line:
    """Something on the screen: a message, or (without a name) a notice."""

    text: str  # harmless already
    name: str = ""
    time: str = ""
    message: bytes | None = None
    deadline: int | None = None
    until_enter: bool = False  # evaporates on closing
    viewed: bool = False  # by another, who has said so


class Screen:
    """Draws lines; `clock` is looked at for the countdown."""

    def __init__(self, title: str, editor: LineEditor, *, colour: bool) -> None:
        self.title = title
        self._editor = editor
        self._colour = colour
        self._lines: list[Line] = []
        self._names: dict[str, int] = {}
        self._drawn_last = ""

    def enter(self) -> None:
        """Take the terminal over."""
        self._write(_ENTER)

    def leave(self) -> None:
        """Give it back; nothing of the chat stays on it."""
        self._lines.clear()
        self._drawn_last = ""
        self._write(_LEAVE)

    def add(self, line: Line) -> None:
        """Put a line at the end. The oldest go when there are very many."""
        self._lines.append(line)
        del self._lines[:-MOST_LINES]

    def drop(self, message: bytes) -> None:
        """Take a message off the screen."""
        self._lines = [line for line in self._lines if line.message != message]

    def mark(self, message: bytes) -> None:
        """Somebody has viewed a message."""
        for line in self._lines:
            line.viewed = line.viewed or (line.message == message and bool(line.name))

    def draw(self, now: int, *, again: bool = False) -> None:
        """Draw all of it, without the messages whose time is up."""
        self._lines = [
            line for line in self._lines if line.deadline is None or line.deadline > now
        ]
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
        columns, rows = max(columns, 20), max(rows, 4)
        drawn: list[str] = []
        for line in reversed(self._lines):
            drawn = self._drawn(line, columns, now) + drawn
            if len(drawn) >= rows - 2:
                break
        drawn = drawn[-(rows - 2) :]
        typed, cursor = self._editor.shown(columns - 2)
        page = [
            self._paint(_filled(f" {self.title}", columns), "7"),
            *[""] * (rows - 2 - len(drawn)),
            *drawn,
            f"> {typed}",
        ]
        body = "\r\n".join(f"{line}\x1b[K" for line in page)
        page_now = f"\x1b[?25l\x1b[H{body}\x1b[{rows};{cursor + 3}H\x1b[?25h"
        if again or page_now != self._drawn_last:  # what is composed at the cursor is left alone
            self._drawn_last = page_now
            self._write(page_now)

    def _drawn(self, line: Line, columns: int, now: int) -> list[str]:
        """A message as rows: time, name, text, and to the right what time is left."""
        if not line.name:
            return [self._paint(row, "2") for row in wrap(f"* {one_line(line.text)}", columns - 1)]
        left = "⏎" if line.until_enter else ""
        if not left and line.deadline is not None:
            left = countdown(line.deadline - now)
        name = f"{line.name} ✓" if line.viewed else line.name
        head = f"{line.time} {name}: "
        indent = min(width(head), columns // 2)
        rows = wrap(line.text, max(columns - indent - 7, 8))
        colour = self._names.setdefault(line.name, len(self._names) % len(_COLOURS))
        first = self._paint(line.time, "2") + " " + self._paint(name, f"1;{_COLOURS[colour]}")
        if width(head) > indent:  # a long name, a narrow terminal
            rows = ["", *rows]
        drawn = []
        for n, row in enumerate(rows):
            begin = f"{first}: " if n == 0 else " " * (indent - 2) + "│ "
            used = (width(head) if n == 0 else indent) + width(row)
            gap = " " * max(columns - used - width(left) - 1, 1)
            drawn.append(begin + row + (gap + self._paint(left, "2") if n == 0 and left else ""))
        return drawn

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour or code == "7" else text

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.flush()


def _filled(text: str, columns: int) -> str:
    text = fit(text, columns)
    return text + " " * (columns - width(text))
