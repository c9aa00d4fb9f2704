"""How much is read from the store at once, and remembered of what was read on the way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

__all__ = ["Gate", "Room"]

_PLACES: Final = 96  # of which nothing is known: each may hold an envelope of 2 MiB


class Gate:
    """Lets in who reads places, no more of them together than `places`, in their order."""

    def __init__(self, places: int = _PLACES) -> None:
        self._free, self._most = places, places
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def of(self, places: int) -> AsyncIterator[None]:
        """Read so many; 0 never waits."""
        wanted = min(places, self._most)
        if wanted and (self._waiting or wanted > self._free):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((wanted, turn))
            try:
                await turn
            except BaseException:
                if turn.done() and not turn.cancelled():
                    self._give_back(wanted)
                else:
                    with suppress(ValueError):
                        self._waiting.remove((wanted, turn))
                    self._give_back(0)
                raise
        else:
            self._free -= wanted
        try:
            yield
        finally:
            self._give_back(wanted)

    def _give_back(self, places: int) -> None:
        self._free += places
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            if turn.done():  # cancelled, and about to notice
                continue
            self._free -= wanted
            turn.set_result(None)


class Room:
    """How many bytes of what is read on the way are remembered until it is given."""

    def __init__(self, octets: int) -> None:
        self._left = octets

    def take(self, octets: int) -> bool:
        """Whether so many bytes more fit in."""
        if octets > self._left:
            return False
        self._left -= octets
        return True
