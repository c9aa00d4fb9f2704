"""Envelopes as blocks of text, to be pasted through any messenger, and read back (no I/O).

::

    [EVANESCE 1 TO 7N9M4GGK2A3X81QD ID 0H4T9QBRW2VD6YJ8ZK3M5N7P1S PART 1/3]
    J8S08W96GZCAA3V3GF1J5E1XV2KXEE75QBBYT69W6BG2G0CHNRAYN9B0TF9QHPTS
    …
    [END 2M7QK9TB]

The letters and digits are Crockford's base32: no case, no I, L, O and U, so that nothing in it is a
word to correct, capital letters at the start of a sentence do no harm, and neither do O for 0 or I
and L for 1. (Base64 is a fifth shorter, but has case, ``+/`` to be made smileys of, and ``=``.)
`TO` is the beginning of a mailbox's address, enough to find the mailbox among one's own, `ID` the
id under which the envelope travels. What `END` says is a hash of all that the block says, cut to 40
bits: it finds damage, and does not tell who wrote it. An envelope that needs more than a message
holds is cut into numbered parts, each a block of its own.

Reading ignores everything in a block but letters, digits, square brackets and the slash: line ends
and spaces of any kind, marks of quoting, smart quotes, asterisks, characters without width. Letters
and digits of another form (full width, a half for 1/2) are read as plain ones. What stands around
the blocks is ignored too.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from ..errors import Reason, RemoteError
from ..limits import MAX_ENVELOPE
from ..primitives import H

__all__ = ["LEAST_LIMIT", "Damage", "Part", "blocks", "part_name", "read", "short", "squeeze"]

VERSION = 1
LEAST_LIMIT = 160  # characters of the shortest message that a block fits into
SHORT = 10  # bytes of a mailbox address
MAX_PARTS = 65_536
_LINE = 64
_CHECK = 5
_HEAD = 96  # characters of head, end, and their line ends, at most
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RFC = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_RFC = str.maketrans(_CROCKFORD + "OIL", _RFC + _RFC[0] + _RFC[1] * 2)
_FROM_RFC = str.maketrans(_RFC, _CROCKFORD)
_IGNORED = re.compile(r"[^0-9A-Z\[\]/]+")
_START = re.compile(r"\[EVANESCE(?=[0-9]|[IL]TO)")
_PARTS = re.compile(
    r"\[EVANESCE[1IL]TO([0-9A-Z]{16})ID([0-9A-Z]{26})PART([0-9OIL]{1,5})/([0-9OIL]{1,5})\]"
)
_END = re.compile(r"\[END([0-9A-Z]{8})\]")
_UNFINISHED = re.compile(r"[0-9A-Z]*(\[(E(N(D[0-9A-Z]{0,8})?)?)?)?")
_DIGITS = str.maketrans("OIL", "011")


def short(address: bytes) -> bytes:
    """The beginning of a mailbox address, as it stands in a block."""
    return address[:SHORT]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an envelope, as a block has it."""

    to: bytes  # the beginning of the mailbox's address, 10 bytes
    id: bytes  # 16 bytes
    number: int  # from 1
    count: int
    data: bytes

    def check(self) -> bytes:
        """What its `END` says."""
        return H(b"armor", VERSION, self.to, self.id, self.number, self.count, self.data)[:_CHECK]


@dataclass(frozen=True, slots=True)
class Damage:
    """A block that cannot be read, and why: wrong-version, bad-form, truncated (it ends early)."""

    text: str  # squeezed
    error: RemoteError
    place: tuple[bytes, bytes, int] | None  # `to`, `id` and number as its head line gives them


def part_name(envelope_id: bytes, number: int, count: int) -> str:
    """What a part is called when people are told of it."""
    return _name(number, count, _write(envelope_id))


def _name(number: int, count: int, written_id: str) -> str:
    return f"part {number}/{count} of {written_id[:8]}"


def _write(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").translate(_FROM_RFC)


def _read(symbols: str) -> bytes | None:
    """Undo `_write`; None for what it does not write."""
    try:
        written = symbols.translate(_TO_RFC)
        data = base64.b32decode(written + "=" * (-len(written) % 8))
    except ValueError:
        return None
    same = base64.b32encode(data).decode("ascii").rstrip("=") == written
    return data if same else None  # bits that no byte holds are zero


def blocks(address: bytes, envelope_id: bytes, envelope: bytes, limit: int | None) -> list[str]:
    """An envelope as one block, or as several of at most `limit` characters each."""
    room = MAX_ENVELOPE
    if limit is not None:
        symbols = limit - _HEAD
        symbols -= -(-symbols // (_LINE + 1))  # the ends of the lines
        room = symbols * 5 // 8
    pieces = [envelope[n : n + room] for n in range(0, len(envelope), room)] or [b""]
    to = short(address)
    return [
        _block(Part(to, envelope_id, number, len(pieces), data))
        for number, data in enumerate(pieces, 1)
    ]


def _block(part: Part) -> str:
    symbols = _write(part.data)
    lines = [symbols[n : n + _LINE] for n in range(0, len(symbols), _LINE)]
    place = f"PART {part.number}/{part.count}"
    head = f"[EVANESCE {VERSION} TO {_write(part.to)} ID {_write(part.id)} {place}]"
    return "\n".join([head, *lines, f"[END {_write(part.check())}]"])


def squeeze(text: str) -> str:
    """All of a text that can matter in a block."""
    plain = unicodedata.normalize("NFKC", text).replace("\N{FRACTION SLASH}", "/")
    return _IGNORED.sub("", plain.upper())


def read(squeezed: str) -> Iterator[Part | Damage]:
    """The blocks of a squeezed text."""
    starts = [match.start() for match in _START.finditer(squeezed)]
    for start, stop in pairwise([*starts, len(squeezed)]):
        text = squeezed[start:stop]
        head = _PARTS.match(text)
        if head is None:
            yield Damage(text, _no_head(text), None)
            continue
        to, envelope_id = _read(head[1]), _read(head[2])
        number, count = (int(head[n].translate(_DIGITS)) for n in (3, 4))
        name = _name(number, count, head[2])
        if to is None or envelope_id is None or not 1 <= number <= count <= MAX_PARTS:
            error = RemoteError(Reason.BAD_FORM, f"the head line of {name} is damaged")
            yield Damage(text, error, None)
            continue
        part = _body(text, head.end(), Part(to, envelope_id, number, count, b""), name)
        if isinstance(part, RemoteError):
            yield Damage(text, part, (to, envelope_id, number))
        else:
            yield part


def _no_head(text: str) -> RemoteError:
    version = re.match(r"\[EVANESCE([0-9]{1,9})TO", text)
    if version is not None and int(version[1]) != VERSION:
        return RemoteError(Reason.WRONG_VERSION, f"a block of version {version[1]}")
    if "]" not in text:
        return RemoteError(Reason.TRUNCATED, "a block ends within its head line")
    return RemoteError(Reason.BAD_FORM, "the head line of a block is damaged")


def _body(text: str, start: int, part: Part, name: str) -> Part | RemoteError:
    """A part with the data that stands in its block."""
    end = _END.search(text, start)
    if end is None:
        if _UNFINISHED.fullmatch(text, start):
            return RemoteError(Reason.TRUNCATED, f"{name} ends before its end")
        return RemoteError(Reason.BAD_FORM, f"{name} is damaged")
    data = _read(text[start : end.start()])
    whole = None if data is None else replace(part, data=data)
    if whole is None or _read(end[1]) != whole.check():
        return RemoteError(Reason.BAD_FORM, f"{name} is damaged")
    return whole
