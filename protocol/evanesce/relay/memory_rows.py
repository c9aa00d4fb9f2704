"""A complete `RelayStore` in memory: for tests, and the shortest example of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .rows import Place, Row, StoreFailure, Usage

__all__ = ["MemoryRows"]


@dataclass(slots=True)
class _Kept:
    data: bytes
    blank: bool = False


class MemoryRows:
    """Rows and a table in memory. Any number of relays may use one, if it is `shared`.

    It loses nothing while the object lives, whatever `start` and `stop` say. For tests: `pause`
    lets other tasks run before and after each step; `failing` holds the names of methods that fail,
    those of `vague` do so after they have done it.
    """

    def __init__(
        self, *, shared: bool = False, limit: int | None = None, pause: bool = False
    ) -> None:
        self.shared = shared
        self.rows: dict[Place, _Kept] = {}
        self.buckets: dict[int, tuple[int, bytes]] = {}
        self.failing: set[str] = set()
        self.vague: set[str] = set()
        self._limit = limit
        self._pause = pause
        self._listeners: list[Callable[[bytes], None]] = []

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def _before(self, method: str) -> None:
        if self._pause:
            await asyncio.sleep(0)
        if method in self.failing:
            raise StoreFailure(method)

    async def _after(self, method: str) -> None:
        if self._pause:
            await asyncio.sleep(0)
        if method in self.vague:
            raise StoreFailure(method)

    async def add(self, rows: Sequence[Row]) -> list[bool]:
        """Add rows where their places are free."""
        await self._before("add")
        added = []
        for row in rows:
            free = row.place not in self.rows
            if free:
                self.rows[row.place] = _Kept(row.data)
            added.append(free)
        await self._after("add")
        return added

    async def read(self, places: Sequence[Place]) -> list[bytes | None]:
        """What is at these places."""
        await self._before("read")
        found = [self.rows.get(place) for place in places]
        data = [None if kept is None else kept.data for kept in found]
        await self._after("read")
        return data

    async def blank(self, rows: Sequence[Row]) -> list[bool]:
        """Put remainders in the place of data."""
        await self._before("blank")
        done = []
        for row in rows:
            kept = self.rows.get(row.place)
            lives = kept is not None and not kept.blank
            if lives:
                self.rows[row.place] = _Kept(row.data, blank=True)
            done.append(lives)
        await self._after("blank")
        return done

    async def forget(self, hour: int) -> int:
        """Erase what expires by this hour."""
        await self._before("forget")
        gone = [place for place in self.rows if place.hour <= hour]
        for place in gone:
            del self.rows[place]
        await self._after("forget")
        return len(gone)

    async def bucket(self, number: int) -> tuple[int, bytes | None]:
        """A bucket and its version."""
        await self._before("bucket")
        found = self.buckets.get(number, (0, None))
        await self._after("bucket")
        return found

    async def swap(self, number: int, version: int, data: bytes) -> bool:
        """Write a bucket if nobody else has since."""
        await self._before("swap")
        same = self.buckets.get(number, (0, None))[0] == version
        if same:
            self.buckets[number] = version + 1, data
        await self._after("swap")
        return same

    async def wake(self, tags: Sequence[bytes]) -> None:
        """Tell those who listen, soon."""
        loop = asyncio.get_running_loop()
        for heard in self._listeners:
            for tag in tags:
                loop.call_soon(heard, tag)

    def listen(self, heard: Callable[[bytes], None]) -> None:
        """Call `heard` from now on."""
        self._listeners.append(heard)

    async def usage(self) -> Usage:
        """How full it is."""
        await self._before("usage")
        size = sum(len(kept.data) for kept in self.rows.values())
        return Usage(len(self.rows), size, self._limit)
