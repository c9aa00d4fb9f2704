"""Slots for rows: each size has a table of them, and a row lies in a random one.

Which slot a row has tells nothing of when it came: all ways in which the rows may lie in the slots
are equally likely, always. When a table is full and grows, rows at random are moved to the new
slots, as if these had been there from the beginning. Values are overwritten in their place, so no
page of SQLite's ever moves or is used for another thing.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import compress
from random import SystemRandom
from typing import Final

from .sqlite_files import PAGE_BYTES
from .sqlite_index import PREFIX_BYTES

__all__ = ["CLASSES", "LARGEST", "Slots", "class_of", "table_of"]

DICE: Final = SystemRandom()
_RECORD: Final = 5  # bytes that SQLite puts before a value
_CHAIN: Final = PAGE_BYTES - 4  # bytes of a value in a page that holds nothing else
_FIRST: Final = (PAGE_BYTES - 12) * 32 // 255 - 23  # and those before it, if all pages are full
_PAGES: Final = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 544)
# Bytes of data in a slot: 42, 6, 3, 1 of the small ones in a page; the others in whole pages.
CLASSES: Final = (
    64, 644, 1_325, 4_035, *(_FIRST + _CHAIN * n - _RECORD - PREFIX_BYTES for n in _PAGES)
)  # fmt: skip
_EACH: Final = (42, 6, 3, 1)
LARGEST: Final = CLASSES[-1]
_STEP_PAGES: Final = 512  # by which a table grows at most, so that no transaction becomes large
_STEP_SLOTS: Final = 400


def class_of(size: int) -> int:
    """The class of the smallest slots that hold so many bytes. Raise `ValueError` if none does."""
    if not 1 <= size <= LARGEST:
        raise ValueError(f"a row has 1 to {LARGEST} bytes, not {size}")
    return bisect_left(CLASSES, size)


def table_of(size_class: int) -> str:
    """The name of its table."""
    return f"slots{size_class}"


def slot_bytes(size_class: int) -> int:
    """The size of each value in it: the place of the row, the data, zeros. All zeros if free."""
    return PREFIX_BYTES + CLASSES[size_class]


@dataclass(slots=True)
class Slots:
    """The slots of one class: how many there are, and which are free."""

    size_class: int
    count: int
    free: array[int] = field(repr=False)

    @classmethod
    def counted(cls, size_class: int, used: bytearray) -> Slots:
        """From a byte for each slot, 0 where it is free."""
        flags = (not byte for byte in used)
        return cls(size_class, len(used), array("I", compress(range(len(used)), flags)))

    def take(self) -> int:
        """A random one of the free, of which there must be one."""
        at = DICE.randrange(len(self.free))
        slot, self.free[at] = self.free[at], self.free[-1]
        self.free.pop()
        return slot

    def grow(self) -> list[tuple[int, int]]:
        """More slots, when none is free. Return which rows must move: from where, to where."""
        per_page = _EACH[self.size_class] if self.size_class < len(_EACH) else 0
        if per_page:
            step = min(max(self.count // 4, 2 * per_page), _STEP_SLOTS)
        else:
            pages = _PAGES[self.size_class - len(_EACH)]
            step = max(1, min(self.count // 4, _STEP_PAGES // pages, _STEP_SLOTS))
        total = self.count + step
        chosen = set(DICE.sample(range(total), step))  # these will be free
        leaving = [slot for slot in chosen if slot < self.count]
        settled = [slot for slot in range(self.count, total) if slot not in chosen]
        DICE.shuffle(leaving)
        self.count, self.free = total, array("I", chosen)
        return list(zip(leaving, settled, strict=True))

    def exchange(self, taken: int, free: int) -> None:
        """Of these two the other one is free."""
        self.free[self.free.index(taken)] = free
