"""What a fuzzer's bytes mean where structure matters: a list of choices, and edits of values.

Bytes that only have to be parsed are mutated by the fuzzer itself. What stands behind a signature
or an AEAD is made here instead: the input's bytes choose what is done to a valid value. An input
that has ended chooses 0 everywhere, and 0 always means the plain, valid thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

T = TypeVar("T")

NUMBERS: Final = (
    0, 1, 2, 3, 4, 127, 128, 255, 256, 999, 1_000, 1_001, 65_535, 65_536, 1_700_000_000,
    2**32 - 1, 2**32, 2**40 - 1, 2**40, 2**63, 2**64 - 1,
)  # fmt: skip
_MOST: Final = 2**64 - 1
_LONGEST: Final = 70_000  # bytes that one edit makes at most


class Choices:
    """The bytes of an input, read one choice after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """The next byte; 0 after the end."""
        at, self._at = self._at, self._at + 1
        return self._data[at] if at < len(self._data) else 0

    def number(self, below: int) -> int:
        """A number from 0 to `below` - 1."""
        if below <= 1:
            return 0
        if below <= 256:
            return self.byte() % below
        return (self.byte() << 8 | self.byte()) % below

    def of(self, items: Sequence[T]) -> T:
        """One of these; the first if nothing is left to choose with."""
        return items[self.number(len(items))]

    def rarely(self, one_in: int = 8) -> bool:
        """Whether to do what is not to be done every time."""
        return self.number(one_in) == one_in - 1

    def take(self, size: int) -> bytes:
        """So many bytes, zeros after the end."""
        at, self._at = self._at, self._at + size
        return self._data[at : at + size].ljust(size, b"\0")

    @property
    def rest(self) -> bytes:
        """All that is left."""
        at, self._at = self._at, len(self._data)
        return self._data[at:]


def edited(value: Any, choices: Choices, pool: Sequence[bytes]) -> Any:
    """A value with one edit somewhere. `pool` holds bytes that mean something elsewhere."""
    if isinstance(value, list) and value and choices.number(4) < 3:
        at = choices.number(len(value))
        return [*value[:at], edited(value[at], choices, pool), *value[at + 1 :]]
    return edited_here(value, choices, pool)


def edited_here(value: Any, choices: Choices, pool: Sequence[bytes]) -> Any:
    """A value that is edited as a whole."""
    if choices.rarely():
        return choices.of((None, False, True, 0, "", "x", b"", [], bytes(32), [0], [[], []]))
    if isinstance(value, bool):
        return not value
    if isinstance(value, bytes):
        return _bytes(value, choices, pool)
    if isinstance(value, int):
        near = (value + 1, value - 1, value + 1_000, value + 1_001, value * 2)
        made = choices.of((*near, *NUMBERS))
        return min(max(made, 0), _MOST)
    if isinstance(value, str):
        return choices.of((value + "é", value[1:], "\0" + value, value * 80, "\N{GRINNING FACE}"))
    if isinstance(value, list):
        return _array(value, choices, pool)
    return choices.of((0, b"", bytes(16), bytes(32), choices.of(pool), [bytes(8), 0], [], 2**32))


def _bytes(value: bytes, choices: Choices, pool: Sequence[bytes]) -> bytes:
    at = choices.number(len(value) or 1)
    other = choices.of(pool)
    kind = choices.number(9)
    if kind == 0:
        return value[:at] + bytes([value[at] ^ 1 << choices.number(8)]) + value[at + 1 :] if (
            value
        ) else b"\0"
    if kind == 1:
        return value[:at] + value[at + 1 :]
    if kind == 2:
        return value[:at] + choices.take(choices.number(40)) + value[at:]
    if kind == 3:
        return bytes(len(value))
    if kind == 4:
        return b"\xff" * len(value)
    if kind == 5:
        return other
    if kind == 6:
        return other[: len(value)].ljust(len(value), b"\0")
    if kind == 7:
        return choices.take(len(value))
    return bytes(choices.number(_LONGEST))


def _array(value: list[Any], choices: Choices, pool: Sequence[bytes]) -> list[Any]:
    at = choices.number(len(value) or 1)
    kind = choices.number(7)
    if kind == 0:
        return value[:at] + value[at + 1 :]
    if kind == 1:
        return value[: at + 1] + value[at:]
    if kind == 2:
        return value[::-1]
    if kind == 3:
        return value[at:] + value[:at]
    if kind == 4:
        return [*value, choices.of((None, 0, choices.of(pool), [], False))]
    if kind == 5:
        return value * choices.number(24)
    return [value]
