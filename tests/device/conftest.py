"""A world for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.device.device_support import Actor, World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An empty world; at the end every device in it is closed, and none has failed unnoticed."""
    made = World()
    yield made
    await made.close()


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def sora(world: World) -> Actor:
    return await world.open("Sora")


@pytest.fixture
async def dora(world: World) -> Actor:
    return await world.open("Dora")
