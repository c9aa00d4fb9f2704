"""A QR code in the terminal, two rows of it in each line."""

from __future__ import annotations

import importlib
from typing import Final

__all__ = ["HINT", "qr_code"]

HINT: Final = "(for a QR code here: pip install 'evanesce[cli]')"
_HALVES: Final = {(True, True): " ", (True, False): "▄", (False, True): "▀", (False, False): "█"}


def qr_code(text: str, *, colour: bool) -> str | None:
    """The code for a text, light on dark as terminals mostly are; None without the package.

    With `colour` it is black on white, whatever the terminal's own colours.
    """
    try:
        segno = importlib.import_module("segno")
    except ImportError:
        return None
    rows = [[bool(module) for module in row] for row in segno.make(text).matrix_iter(border=4)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    lines = [
        "".join(_HALVES[halves] for halves in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]
    if colour:
        lines = [f"\x1b[97;40m{line}\x1b[0m" for line in lines]
    return "\n".join(lines)
