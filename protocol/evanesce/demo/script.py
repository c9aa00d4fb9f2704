"""The demo's script: who says what in which room.

::

    == Two friends            a title begins a room
    Mina: See you at 7?       a message
    준호: 7시 좋아

    == The hiking group
    +Mina                     joins; the first one founds the room
    +준호
    Mina: Welcome!
    -준호                     is removed by the founder

Blank lines and lines that begin with ``#`` are ignored. A room with neither ``+`` nor ``-`` is a
1:1 room of its two speakers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ..errors import LocalError, Reason
from ..limits import MAX_BODY, MAX_NAME

__all__ = ["Line", "Part", "What", "parse_script"]


class What(Enum):
    """What a line does."""

    SAY = "say"
    JOIN = "join"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: who, and what they say."""

    number: int
    what: What
    name: str
    text: str = ""


@dataclass(slots=True)
class Part:
    """One room of the script."""

    title: str
    lines: list[Line] = field(default_factory=list)

    @property
    def direct(self) -> bool:
        """Whether it is a 1:1 room."""
        return all(line.what is What.SAY for line in self.lines)

    @property
    def names(self) -> list[str]:
        """Everyone in it, in the order they first appear."""
        return list(dict.fromkeys(line.name for line in self.lines))


def _error(number: int, what: str, reason: Reason = Reason.BAD_INPUT) -> LocalError:
    return LocalError(reason, f"line {number}: {what}")


def parse_script(data: bytes) -> list[Part]:
    """Read a script.

    Raise `LocalError` with the line: bad-input (not UTF-8, empty, a line that is none of the kinds,
    a 1:1 room without two speakers), unknown-member, already-member, not-entitled (the founder
    cannot be removed), too-large (a text over 65,536 bytes, a name over 256).
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise _error(number, "not UTF-8") from error
    parts: list[Part] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("=="):
            parts.append(Part(line[2:].strip(" =") or f"Room {len(parts) + 1}"))
            continue
        if not parts:
            parts.append(Part("Room 1"))
        parts[-1].lines.append(_line(number, line))
    parts = [part for part in parts if part.lines]
    if not parts:
        raise LocalError(Reason.BAD_INPUT, "the script is empty")
    for part in parts:
        _check(part)
    return parts


def _line(number: int, line: str) -> Line:
    if line[0] in "+-":
        parsed = Line(number, What.JOIN if line[0] == "+" else What.REMOVE, line[1:].strip())
    else:
        name, colon, text = line.partition(":")
        if not colon or not text.strip():
            raise _error(number, "expected `Name: text`, `+Name` or `-Name`")
        parsed = Line(number, What.SAY, name.strip(), text.strip())
    if not parsed.name:
        raise _error(number, "a name is missing")
    if len(parsed.name.encode()) > MAX_NAME:
        raise _error(number, f"a name has at most {MAX_NAME} bytes", Reason.TOO_LARGE)
    if len(parsed.text.encode()) > MAX_BODY:
        raise _error(number, f"a text has at most {MAX_BODY} bytes", Reason.TOO_LARGE)
    return parsed


def _check(part: Part) -> None:
    """Check that only members speak, and that the room can be what its lines make of it."""
    if part.direct:
        if len(part.names) != 2:
            raise _error(part.lines[0].number, f"“{part.title}” is a 1:1 room of two speakers, "
                         f"not {len(part.names)}; `+Name` lines make it a group")  # fmt: skip
        return
    members: list[str] = []
    founder = part.lines[0].name
    for line in part.lines:
        match line.what:
            case What.JOIN:
                if line.name in members:
                    raise _error(line.number, f"{line.name} is a member", Reason.ALREADY_MEMBER)
                members.append(line.name)
            case _ if line.name not in members:
                raise _error(line.number, f"{line.name} is not a member", Reason.UNKNOWN_MEMBER)
            case What.REMOVE:
                if line.name == founder:
                    raise _error(line.number, "the founder stays", Reason.NOT_ENTITLED)
                members.remove(line.name)
            case What.SAY:
                pass
