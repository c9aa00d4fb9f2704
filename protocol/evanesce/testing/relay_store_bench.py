"""The bench on which a store of a relay is checked: connections, places, rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from random import Random
from typing import Any, Final, Self, TypeVar

from ..limits import HOUR
from ..relay.rows import PLACE_BYTES, REMAINDER_BYTES, Place, RelayStore, Row, StoreFailure
from .bench import require

__all__ = ["BUCKET_BYTES", "PATIENCE", "Connect", "Make", "RowsBench", "require"]

Connect = Callable[[], RelayStore]
Make = Callable[[], AbstractAsyncContextManager[Connect]]
T = TypeVar("T")

BUCKET_BYTES: Final = 4_096  # any size will do, but it is one
PATIENCE: Final = 20.0  # seconds in which all must come, before it counts as lost
_AHEAD: Final = 50  # hours from now: a store may itself drop what has expired


class RowsBench:
    """A place where nothing is stored yet, and the stores that were opened on it."""

    def __init__(self, connect: Connect, seed: int) -> None:
        self._connect = connect
        self._running: list[RelayStore] = []
        self.dice = Random(seed)  # noqa: S311  for tests: the same in each run
        self.hour = int(time.time()) // HOUR + _AHEAD

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for store in self._running:
            await store.stop()

    async def store(self) -> RelayStore:
        """A store that has been started."""
        store = self._connect()
        await store.start()
        self._running.append(store)
        return store

    def unstarted(self) -> RelayStore:
        """One that has not; whoever starts it stops it."""
        return self._connect()

    async def restarted(self, store: RelayStore) -> RelayStore:
        """Stop it, and open another in its place."""
        await self.stop(store)
        return await self.store()

    async def stop(self, store: RelayStore) -> None:
        """Stop a store."""
        self._running.remove(store)
        await store.stop()

    async def stores(self) -> tuple[RelayStore, RelayStore]:
        """Two connections if two may be open at a time, else the same one twice."""
        one = await self.store()
        return (one, await self.store()) if one.shared else (one, one)

    def place(self, hour: int = 0) -> Place:
        """A new place, so many hours after the first of this bench."""
        return Place(self.hour + hour, self.dice.randbytes(PLACE_BYTES))

    def row(self, place: Place | None = None, size: int = 600) -> Row:
        """A row with new data."""
        return Row(place or self.place(), self.dice.randbytes(size))

    def remainder(self, place: Place) -> Row:
        """What is to be left at a place."""
        return self.row(place, REMAINDER_BYTES)

    async def blank(self, store: RelayStore, *places: Place) -> list[bytes]:
        """Blank rows that are there; the remainders that are left of them."""
        rows = [self.remainder(place) for place in places]
        require(await store.blank(rows) == [True] * len(rows), "a row cannot be blanked")
        return [row.data for row in rows]


async def add(store: RelayStore, *rows: Row) -> None:
    """Add rows to free places."""
    require(await store.add(rows) == [True] * len(rows), "a row is not added to a free place")


async def holds(store: RelayStore, places: Sequence[Place], data: Sequence[bytes | None]) -> None:
    """Require what is at these places, all in one call."""
    found = await store.read(places)
    require(len(found) == len(places), f"read of {len(places)} places gives {len(found)} answers")
    for number, (here, right) in enumerate(zip(found, data, strict=True)):
        require(here == right and (here is None or type(here) is bytes),
                f"read gives {_told(here)} for place {number} of {len(places)}, "
                f"not {_told(right)}")  # fmt: skip


def _told(data: bytes | None) -> str:
    return "nothing" if data is None else f"{len(data)} bytes {data[:8].hex()}…"


async def all_of(*calls: Coroutine[Any, Any, T]) -> list[T]:
    """Do all at the same time; what fails fails the check."""
    return list(await asyncio.gather(*calls))


async def fails(call: Coroutine[Any, Any, object], what: str) -> None:
    """Require `StoreFailure`, and soon."""
    with suppress(StoreFailure):
        async with asyncio.timeout(PATIENCE):
            await call
        require(False, f"{what} does not fail with StoreFailure")
