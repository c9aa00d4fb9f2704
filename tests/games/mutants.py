"""The list of weakened implementations, and what one is.

Each takes one protection away and leaves the rest as it is. `play` is the scripted part of a game;
on the library as it is, the same script passes. It must end in a `Break`: an implementation that
merely falls over is not caught. Those that let somebody read more are in `mutants_reading`, the
others in `mutants_trust`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.games.weaken import Weakened

Play = Callable[[], None]
ZEROS: Final = bytes(32)


@dataclass(frozen=True)
class Mutant:
    """One weakness, how it is made, and the play that catches it."""

    name: str
    game: str
    weaken: Callable[[Weakened], None]
    play: Play


MUTANTS: Final[list[Mutant]] = []


def mutant(game: str, play: Play) -> Callable[[Callable[[Weakened], None]], None]:
    """Register a mutant: its name is that of the function, its meaning the docstring."""

    def register(weaken: Callable[[Weakened], None]) -> None:
        MUTANTS.append(Mutant(weaken.__name__, game, weaken, play))

    return register
