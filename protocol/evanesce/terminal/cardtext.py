"""A card as text that survives being pasted through any messenger.

::

    [EVANESCE CARD 1]
    J8S08W96GZCAA3V3GF1J5E1XV2KXEE75QBBYT69W6BG2G0CHNRAYN9B0TF9QHPTS
    …
    [END 2M7QK9TB]

As in `transport.armor`: Crockford's base32, spaces and line ends and marks of quoting ignored, a
checksum at the end that finds damage. Whose card it is, only the safety number tells.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from ..errors import RemoteError
from ..keypackage import Card
from ..primitives import H
from ..transport.armor import squeeze
from .problems import Refused

__all__ = ["card_from_text", "card_to_text", "is_whole"]

_LINE: Final = 64
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RFC: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_RFC: Final = str.maketrans(_CROCKFORD + "OIL", _RFC + _RFC[0] + _RFC[1] * 2)
_FROM_RFC: Final = str.maketrans(_RFC, _CROCKFORD)
_BLOCK: Final = re.compile(r"\[EVANESCECARD([0-9IL]+)\]([0-9A-Z]*)\[END([0-9A-Z]{8})\]")
_HINT: Final = "copy everything from [EVANESCE CARD 1] to [END …] and try again"


def _check(card: bytes) -> bytes:
    return H(b"card text", card)[:5]


def _write(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").translate(_FROM_RFC)


def card_to_text(card: Card) -> str:
    """The block for a card."""
    data = card.encode()
    symbols = _write(data)
    lines = [symbols[n : n + _LINE] for n in range(0, len(symbols), _LINE)]
    return "\n".join(["[EVANESCE CARD 1]", *lines, f"[END {_write(_check(data))}]"])


def is_whole(text: str) -> bool:
    """Whether a block has come to its end: nothing more has to be pasted."""
    return re.search(r"\[END[0-9A-Z]{8}\]", squeeze(text)) is not None


def card_from_text(text: str) -> Card:
    """The card in a text, whatever stands around it. Raise `Refused` without exactly one."""
    found = _BLOCK.findall(squeeze(text))
    if not found:
        raise Refused("there is no whole card in this text", _HINT, reason="no-card")
    if len(set(found)) > 1:
        raise Refused("there are several cards in this text", "give one at a time")
    version, symbols, end = found[0]
    if version not in ("1", "I", "L"):
        raise Refused("this card is of another version", "update evanesce", reason="wrong-version")
    data, check = _read(symbols), _read(end)
    if data is None or check != _check(data):
        raise Refused("this card is damaged", _HINT, reason="bad-form")
    try:
        return Card.decode(data)
    except RemoteError as error:
        raise Refused(f"this card is not valid ({error.reason})", "ask for a new one",
                      reason=str(error.reason)) from None  # fmt: skip


def _read(symbols: str) -> bytes | None:
    try:
        written = symbols.translate(_TO_RFC)
        return base64.b32decode(written + "=" * (-len(written) % 8))
    except ValueError:
        return None
