"""Text that came from elsewhere, made fit to be shown: a harness may say anything."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["RunError", "clipped", "harmless", "plain"]

# Control characters (C0 but for tab and LF, DEL, C1), what turns the direction of writing around
# or cannot be seen, halves of surrogate pairs, and what no XML may hold.
_UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)


class RunError(Exception):
    """What was asked for cannot be done: the command ends with exit status 2."""


def _named(match: re.Match[str]) -> str:
    return f"\\u{{{ord(match[0]):x}}}"


def harmless(text: str) -> str:
    """The text with everything that could steer a terminal or break a report spelled out."""
    return _UNSHOWABLE.sub(_named, text)


def clipped(text: str, most: int) -> str:
    """At most about that many characters, from both ends, saying how many are left out."""
    if len(text) <= most:
        return text
    tail = most // 4
    left_out = len(text) - most
    return f"{text[: most - tail]} … {left_out} characters left out … {text[-tail:]}"


def plain(text: Any, most: int = 200) -> str:
    """A short text on one line, for messages and tables."""
    return clipped(harmless(" ".join(str(text).split())), most)
