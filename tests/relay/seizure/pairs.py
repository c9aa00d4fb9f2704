"""Pairs of candidates, and what two of them have in common, as numbers."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .evidence import Family, Unit

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """Balanced pairs of mailboxes: as many that belong together as not.

    `group` is what is resampled for an interval.
    """

    pairs: list[Pair]
    together: Bools
    group: Ints


def sample_pairs(
    groups: dict[int, Hashable],
    most: int,
    seed: int,
    *,
    per_group: int = 150,
    alike: dict[int, Hashable] | None = None,
) -> Sample:
    """Pairs of the mailboxes in `groups` (mailbox: what it shares).

    Each pair that belongs together comes with one that does not and has the same first mailbox, and
    a second one drawn as often as it occurs there: a score of single mailboxes gains nothing.
    With `alike`, all that are paired are alike in this.
    """
    draw = random.Random(seed)
    traits = alike or dict.fromkeys(groups)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for mailbox, shared in groups.items():
        members[shared].append(mailbox)
    good: list[tuple[int, int, int]] = []
    for number, boxes in enumerate(members.values()):
        pairs = [(a, b, number) for i, a in enumerate(boxes) for b in boxes[:i]]
        good.extend(draw.sample(pairs, min(per_group, len(pairs))))
    draw.shuffle(good)
    good = [pair for pair in good if traits[pair[0]] == traits[pair[1]]][:most]
    ends: dict[Hashable, list[int]] = defaultdict(list)
    for a, b, _ in good:
        ends[traits[a]] += [a, b]
    chosen: list[Pair] = []
    group: list[int] = []
    for a, b, number in good:
        if draw.random() < 0.5:
            a, b = b, a  # noqa: PLW2901
        for _ in range(50):
            c = draw.choice(ends[traits[a]])
            if groups[c] != groups[a]:
                chosen += [(a, b), (a, c)]
                group += [number, number]
                break
    together = np.tile(np.array([True, False]), len(chosen) // 2)
    return Sample(chosen, together, np.array(group, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Features:
    """One row for each pair, one column for each name."""

    names: list[str]
    values: Floats


def features(units: dict[int, Unit], family: Family, pairs: Sequence[Pair]) -> Features:
    """What the units of each pair have in common. `units`: the unit that a mailbox was found as."""
    everyone = list(family.values())
    numbers = {id(unit): n for n, unit in enumerate(everyone)}
    first = np.array([numbers[id(units[a])] for a, _ in pairs])
    second = np.array([numbers[id(units[b])] for _, b in pairs])
    columns: dict[str, Floats] = {}
    for name in sorted({name for unit in everyone for name in unit.scalars}):
        values = np.array([unit.scalars.get(name, np.nan) for unit in everyone], dtype=np.float64)
        known = ~np.isnan(values)
        ranks = np.zeros(len(values))
        ranks[known] = np.unique(values[known], return_inverse=True)[1]
        values[~known] = -1e18
        a, b = values[first], values[second]
        columns[f"{name}: near"] = -np.log1p(np.abs(a - b))
        columns[f"{name}: near in rank"] = -np.log1p(np.abs(ranks[first] - ranks[second]))
        columns[f"{name}: equal"] = (a == b).astype(np.float64)
        columns[f"{name}: sum"] = ranks[first] + ranks[second]
    for name in sorted({name for unit in everyone for name in unit.marks}):
        columns.update(_marks(name, everyone, first, second))
    if not columns:
        columns["nothing"] = np.zeros(len(pairs))
    return Features(list(columns), np.column_stack(list(columns.values())))


def _marks(
    name: str, everyone: Sequence[Unit], first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> dict[str, Floats]:
    """How near the events of one are to those of the other, and how many are."""
    positions = sorted({mark for unit in everyone for mark in unit.marks.get(name, ())})
    order = {mark: rank for rank, mark in enumerate(positions)}
    ranks = [sorted(order[m] for m in unit.marks.get(name, ())) for unit in everyone]
    result = np.zeros((len(first), 5))
    for row, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        a, b = ranks[i], ranks[j]
        if len(a) > len(b):
            a, b = b, a
        if not a:
            result[row] = (-20, 0, 0, 0, 0)
            continue
        equal = near = wide = 0
        least = 1 << 40
        for mark in a:
            at = bisect_left(b, mark)
            gap = min(abs(b[k] - mark) for k in (at - 1, at) if 0 <= k < len(b))
            least = min(least, gap)
            equal += gap == 0
            near += gap <= 4
            wide += gap <= 40
        size = len(a)
        result[row] = (-np.log1p(least), equal / size, near / size, wide / size, near)
    names = ("nearest", "equal", "within 4", "within 40", "number within 4")
    return {f"{name}: {what}": result[:, n] for n, what in enumerate(names)}


Finder = Callable[[int], Sequence[Hashable]]
"""The names under which a mailbox, by its number, may be found (the scorer's knowledge)."""


def find_units(family: Family, mailboxes: Sequence[int], finder: Finder) -> dict[int, Unit]:
    """The unit of each mailbox that the family has."""
    found: dict[int, Unit] = {}
    for mailbox in mailboxes:
        for name in finder(mailbox):
            unit = family.get(name)
            if unit is not None:
                found[mailbox] = unit
                break
    return found
