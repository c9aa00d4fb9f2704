"""Makes `tests.room.room_support` importable however pytest is started, and gives a fresh trio."""

import sys
from pathlib import Path

import pytest

_ROOT = str(Path(__file__).parents[2])
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

from tests.room.room_support import World  # noqa: E402  needs the path


@pytest.fixture
def trio() -> World:
    """A signed room: ann founded it; bob and cid are members."""
    return World("ann", "bob", "cid")
