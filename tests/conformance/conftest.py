from pathlib import Path

import pytest

from evanesce.conformance.vectors import Vectors
from tests.conformance.conformance_support import case, invalid, session, write_vectors


@pytest.fixture
def small(tmp_path: Path) -> Vectors:
    """A good case, a bad one, and a good one after it: does a run go on?"""
    files = {"hash.json": [case("good"), case("bad"), invalid("after")]}
    return write_vectors(tmp_path, files)


@pytest.fixture
def sessions(tmp_path: Path) -> Vectors:
    return write_vectors(tmp_path, {"session.json": [session("bad-session")]})
