"""Deterministic randomness: the same in every run, so that a failure reproduces."""

import hashlib
from collections.abc import Callable

import pytest


class Stream:
    """A source of bytes: SHAKE-256 over a seed and the number of the call."""

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
