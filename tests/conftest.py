"""Hypothesis profiles, and deterministic randomness.

``ci`` is the default. With ``CI=true`` its examples are the same in every run; elsewhere each run
draws new ones, and a failure prints the blob that replays it. ``EVANESCE_PROFILE=long`` draws ten
times as many, always new ones. A test that sets its own ``max_examples`` is not scaled.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import settings

EXAMPLES: Final = 100

settings.register_profile(
    "ci",
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    derandomize=os.environ.get("CI") == "true",
)
settings.register_profile(
    "long",
    max_examples=10 * EXAMPLES,
    deadline=None,
    print_blob=True,
    derandomize=False,
)
settings.load_profile(os.environ.get("EVANESCE_PROFILE", "ci"))


class Stream:
    """A source of bytes that is the same in every run, so that a failure reproduces.

    SHAKE-256 over a seed and the number of the call.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._calls = 0

    def __call__(self, size: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(b"%s/%d" % (self._seed, self._calls)).digest(size)


@pytest.fixture(scope="session")
def stream() -> Callable[[str], Stream]:
    """Makes a new source from a seed."""
    return Stream
