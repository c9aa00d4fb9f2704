"""`python -m tests.convergence.explore [--long]`: explore small worlds and print what was covered.

The long run takes about an hour of one core; the short one, about two minutes.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tests.convergence.explorer import (
    SPARSE,
    World,
    against_one,
    causal,
    concurrent,
    explore,
    sampled,
)


@dataclass(frozen=True)
class Family:
    """A family of worlds, and how many of it the short run and the long one explore."""

    name: str
    worlds: Iterable[World]
    short: int
    long: int | None  # None: all


def shuffled(worlds: Iterable[World], seed: int = 6) -> list[World]:
    """The same worlds in another order, so that the first of them are a fair choice."""
    drawn = list(worlds)
    random.Random(seed).shuffle(drawn)
    return drawn


def families() -> list[Family]:
    """All families, each with its name as the spec has it."""
    return [
        Family("concurrent: one operation of each of 4", shuffled(concurrent()), 150, None),
        Family("a wrong slot, clock put back", shuffled(against_one("wrong")), 50, None),
        Family("a copy withheld, clock put back", shuffled(against_one("withhold")), 50, None),
        Family("causal: 3 steps", shuffled(causal(3, SPARSE)), 100, None),
        Family("causal: 4 steps, drawn", sampled(4, 6), 100, 3_000),
        Family("causal: 5 steps, drawn", sampled(5, 7), 50, 1_500),
        Family("causal: 6 steps, drawn", sampled(6, 8), 25, 500),
    ]


def main() -> None:
    """Explore, and print one line for each family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", type=int, help="the number of one family, from 0")
    parser.add_argument("--most", type=int, help="so many worlds of each, instead")
    args = parser.parse_args()
    print(f"{'family':42} {'worlds':>8} {'states':>9} {'deliveries':>11} {'seconds':>8}")
    for number, family in enumerate(families()):
        if args.only not in (None, number):
            continue
        most = args.most or (family.long if args.long else family.short)
        began = time.perf_counter()
        found = explore(itertools.chain(family.worlds), most)
        spent = time.perf_counter() - began
        print(
            f"{family.name:42} {found.worlds:8,} {found.states:9,} {found.deliveries:11,}"
            f" {spent:8.1f}   ghosts {found.ghosts}",
            flush=True,
        )


if __name__ == "__main__":
    main()
