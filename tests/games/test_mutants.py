"""Every weakened implementation is caught by the game that is there for it.

Deniability's play runs by itself in `test_game_deniability`, which takes some seconds.
"""

from __future__ import annotations

import pytest

from tests.games import mutants_reading, mutants_trust
from tests.games.ledger import Break
from tests.games.mutants import MUTANTS, Mutant, Play
from tests.games.weaken import Weakened


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_weakened_implementation_is_caught(
    mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a break, and by its own game; nothing less counts."""
    mutant.weaken(Weakened(monkeypatch))
    with pytest.raises(Break):
        mutant.play()


assert {mutant.weaken.__module__ for mutant in MUTANTS} == {
    mutants_reading.__name__, mutants_trust.__name__,
}, "importing them puts them into the list"  # fmt: skip
PLAYS = {mutant.play.__name__: mutant.play for mutant in MUTANTS if mutant.game != "deniability"}


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
def test_the_same_play_passes_on_the_library_as_it_is(play: Play) -> None:
    """Or a mutant would be caught by a play that always fails."""
    play()


def test_there_are_mutants_for_every_game() -> None:
    games = {mutant.game for mutant in MUTANTS}
    assert games == {"erasure", "healing", "lock-out", "joiner", "authenticity", "agreement",
                     "deniability", "unlinkability"}  # fmt: skip
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 45
