"""A world for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.device.device_support import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An empty world; at the end every device in it is closed, and none has failed unnoticed."""
    made = World()
    yield made
    await made.close()
