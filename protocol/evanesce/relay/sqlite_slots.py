"""Slots for rows: each size has a table of them, and a row lies in a random one.

Which slot a row has tells nothing of when it came: all ways in which the rows may lie in the slots
are equally likely, always. When a table is full and grows, rows at random are moved to the new
slots, as if these had been there from the beginning. When slots are cut off, for the sake of
another class, the rows in them are moved to random free ones, as if they had never been there.
Values are overwritten in their place; a page is used for another thing only when it was zeroed.
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

__all__ = ["CLASSES", "LARGEST", "Slots", "class_of", "cost_of", "slot_bytes", "table_of"]

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


def cost_of(size_class: int) -> int:
    """Bytes of the file that each of its slots takes, about."""
    if size_class < len(_EACH):
        return -(-PAGE_BYTES // _EACH[size_class])
    return PAGE_BYTES * _PAGES[size_class - len(_EACH)] + PAGE_BYTES // 8  # 8 beginnings in a page


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

    @property
    def step(self) -> int:
        """By how many slots it grows."""
        per_page = _EACH[self.size_class] if self.size_class < len(_EACH) else 0
        if per_page:
            return min(max(self.count // 4, 2 * per_page), _STEP_SLOTS)
        pages = _PAGES[self.size_class - len(_EACH)]
        return max(1, min(self.count // 4, _STEP_PAGES // pages, _STEP_SLOTS))

    def grow(self, most: int | None = None) -> list[tuple[int, int]]:
        """More slots, when none is free, at most so many (1 or more).

        Return which rows must move: from where, to where.
        """
        step = self.step if most is None else min(self.step, most)
        total = self.count + step
        chosen = set(DICE.sample(range(total), step))  # these will be free
        leaving = [slot for slot in chosen if slot < self.count]
        settled = [slot for slot in range(self.count, total) if slot not in chosen]
        DICE.shuffle(leaving)
        self.count, self.free = total, array("I", chosen)
        return list(zip(leaving, settled, strict=True))

    def last_used(self, number: int) -> list[int]:
        """Which of the last so many slots are not free."""
        first = self.count - number
        free = {slot for slot in self.free if slot >= first}
        return [slot for slot in range(first, self.count) if slot not in free]

    def cut(self, number: int) -> list[tuple[int, int]]:
        """So many slots less, at the end; at least as many are free. Return which rows must move.

        As likely as all other ways: those below stay, and these take free ones at random.
        """
        leaving = self.last_used(number)
        self.count -= number
        left = [slot for slot in self.free if slot < self.count]
        DICE.shuffle(left)
        self.free = array("I", left[len(leaving) :])
        return list(zip(leaving, left, strict=False))

    def exchange(self, taken: int, free: int) -> None:
        """Of these two the other one is free."""
        self.free[self.free.index(taken)] = free
