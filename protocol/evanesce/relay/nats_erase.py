"""Erasing what was replaced: the server overwrites it with random bytes, on each replica."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from .nats_link import NatsLink, Refused
from .nats_reads import NatsReads
from .nats_streams import Names

__all__ = ["NatsErase"]

AT_ONCE: Final = 256  # questions to the API under way; a server drops them past 10,000


class NatsErase:
    """Erases messages, and finishes what others left unerased."""

    def __init__(self, link: NatsLink, reads: NatsReads, names: Names) -> None:
        self._link, self._reads, self._names = link, reads, names
        self._room = asyncio.Semaphore(AT_ONCE)

    async def erase(self, messages: Sequence[tuple[int | None, int]], deadline: float) -> None:
        """Erase messages, given by stream and sequence. Raise `StoreFailure`."""
        await asyncio.gather(*(self._erase(stream, one, deadline) for stream, one in messages))

    async def finish(self, deadline: float) -> None:
        """Erase what was replaced by a call that did not come to erase it."""
        for stream in (*range(self._names.streams), None):
            for subject in await self._twice(stream, deadline):
                await self._finish(stream, subject, deadline)

    async def _erase(self, stream: int | None, sequence: int, deadline: float) -> None:
        name = self._names.stream(stream)
        async with self._room:
            try:
                # Without "no_erase" the server overwrites what it deletes.
                await self._link.api(f"STREAM.MSG.DELETE.{name}", {"seq": sequence}, deadline)
            except Refused:
                if await self._reads.there(stream, sequence, deadline):
                    raise

    async def _twice(self, stream: int | None, deadline: float) -> list[str]:
        """Subjects with two messages. Listing all is dear: only if the sums say there are any."""
        subject = f"STREAM.INFO.{self._names.stream(stream)}"
        fence = self._names.fence(stream)
        reply = await self._link.api(subject, {"subjects_filter": fence}, deadline)
        state = reply["state"]
        fences = sum((state.get("subjects") or {}).values())
        kinds = state.get("num_subjects", 0) - (1 if fences else 0)
        if state["messages"] - fences <= kinds:
            return []
        found, offset = [], 0
        pattern = self._names.subjects(stream)[0]
        while True:
            request = {"subjects_filter": pattern, "offset": offset}
            reply = await self._link.api(subject, request, deadline)
            part = reply["state"].get("subjects") or {}
            found += [one for one, count in part.items() if count > 1]
            offset += len(part)
            if not part or offset >= reply.get("total", 0):
                return found

    async def _finish(self, stream: int | None, subject: str, deadline: float) -> None:
        last = (await self._reads.last(stream, [subject], deadline)).get(subject)
        first = await self._reads.first(stream, subject, deadline)
        # Whoever replaced it may have erased it by now. Never the last: it keeps the place taken.
        if last is not None and first is not None and first < last.sequence:
            await self._erase(stream, first, deadline)
