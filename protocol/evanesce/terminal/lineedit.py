"""The line that is being typed: bytes of a terminal in, whole lines and signs out (no I/O).

Knows UTF-8 that comes in pieces, letters of two columns and of none, the usual keys, and pasted
text of several lines, which becomes one message.
"""

from __future__ import annotations

import codecs
import re
from enum import Enum, auto
from typing import Final

from .text import one_line, tail, width

__all__ = ["LineEditor", "Sign"]

_ESCAPE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~]|[^\[O])")
_UNFINISHED: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_LONGEST: Final = 65_536


class Sign(Enum):
    """What a key asks for beyond the line itself."""

    LEAVE = auto()
    REDRAW = auto()


class LineEditor:
    """One line, with a cursor in it."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._rest = ""  # an escape sequence that has not ended
        self._pasting = False
        self._text = ""
        self._at = 0

    @property
    def text(self) -> str:
        """What has been typed."""
        return self._text

    def feed(self, data: bytes) -> list[str | Sign]:
        """Take what a terminal gives; return the lines that were ended, and signs."""
        text, self._rest = self._rest + self._decoder.decode(data), ""
        done: list[str | Sign] = []
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                if _UNFINISHED.match(text, at):
                    self._rest = text[at:]
                    break
                match = _ESCAPE.match(text, at)
                assert match is not None  # it is one or the other
                self._escape(match[0])
                at = match.end()
                continue
            self._key(text[at], done)
            at += 1
        return done

    def _key(self, key: str, done: list[str | Sign]) -> None:
        if key in "\r\n":
            if self._pasting:
                self._insert("\n")
            else:
                done.append(self._text)
                self._text, self._at = "", 0
        elif key in "\x7f\x08":
            self._erase(self._left())
        elif key == "\x03" or (key == "\x04" and not self._text):
            done.append(Sign.LEAVE)
        elif key == "\x01":
            self._at = 0
        elif key == "\x05":
            self._at = len(self._text)
        elif key == "\x0b":
            self._text = self._text[: self._at]
        elif key == "\x0c":
            done.append(Sign.REDRAW)
        elif key == "\x15":
            self._erase(0)
        elif key == "\x17":
            self._erase(len(self._text[: self._at].rstrip().rpartition(" ")[0]))
        elif key == "\t":
            self._insert(" ")
        elif key >= " ":
            self._insert(key)

    def _escape(self, sequence: str) -> None:
        match sequence:
            case "\x1b[200~":
                self._pasting = True
            case "\x1b[201~":
                self._pasting = False
            case "\x1b[D" | "\x1bOD":
                self._at = self._left()
            case "\x1b[C" | "\x1bOC":
                self._at = self._right()
            case "\x1b[H" | "\x1bOH" | "\x1b[1~":
                self._at = 0
            case "\x1b[F" | "\x1bOF" | "\x1b[4~":
                self._at = len(self._text)
            case "\x1b[3~":
                end, self._at = self._at, self._right()
                self._erase(end)
            case _:
                pass

    def _insert(self, letter: str) -> None:
        if len(self._text) < _LONGEST:
            self._text = self._text[: self._at] + letter + self._text[self._at :]
            self._at += 1

    def _erase(self, start: int) -> None:
        self._text = self._text[:start] + self._text[self._at :]
        self._at = start

    def _left(self) -> int:
        """Where the letter before the cursor begins, with the marks on it."""
        at = max(self._at - 1, 0)
        while at and width(self._text[at]) == 0 and self._text[at] != "\n":
            at -= 1
        return at

    def _right(self) -> int:
        at = min(self._at + 1, len(self._text))
        while at < len(self._text) and width(self._text[at]) == 0 and self._text[at] != "\n":
            at += 1
        return at

    def shown(self, columns: int) -> tuple[str, int]:
        """The part of the line that fits, and the column of the cursor in it."""
        before = tail(one_line(self._text[: self._at]), columns - 1)
        after = one_line(self._text[self._at :])
        column = width(before)
        room = columns - column
        while width(after) > room:
            after = after[: max(room, 1)] if len(after) > room else after[:-1]
            if room < 1:
                after = ""
        return before + after, column
