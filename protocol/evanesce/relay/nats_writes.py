"""Writes to a subject that are done only if its last message is the expected one.

Each write carries a mark of its own, 16 random bytes, as the `Nats-Msg-Id`. So a write whose answer
was lost can be sent again (the server knows the mark within the duplicate window), and told from
the write of another by looking at what is there.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any, Final

from .nats_link import Answer, Lost, NatsLink, Refused
from .nats_reads import NatsReads
from .rows import StoreFailure, StoreFull

__all__ = ["NatsWrites", "StoreFull", "Write"]

_dice: Final = random.SystemRandom()

ATTEMPT_SECONDS: Final = 3.0
UNDER_WAY: Final = 4_096  # writes sent and not answered
UNDER_WAY_BYTES: Final = 32 << 20
WRONG_LAST: Final = 10071
MEANWHILE: Final = {10158, 10164}  # the same, or another write to it, is under way
# The server's limits are checked before it writes, so these say that nothing was written.
FULL: Final = {10023, 10047, 10077}


@dataclass(frozen=True, slots=True)
class Write:
    """One message to be written. `blanks` is the mark of the row that a blank replaces."""

    stream: int | None
    subject: str
    data: bytes = field(repr=False)
    expected: int  # sequence of the message that must be the last one; 0 for none
    seconds: int | None = None  # time to live
    blanks: str | None = None
    mark: str = field(default_factory=lambda: token_urlsafe(16))

    def headers(self) -> dict[str, str]:
        """What the server is told."""
        headers = {
            "Nats-Msg-Id": self.mark,
            "Nats-Expected-Last-Subject-Sequence": str(self.expected),
        }
        if self.seconds is not None:
            headers["Nats-TTL"] = str(self.seconds)
        if self.blanks is not None:
            headers["Blank"] = self.blanks
        return headers


class NatsWrites:
    """Writes, many at a time, until it is known what came of each."""

    def __init__(self, link: NatsLink, reads: NatsReads) -> None:
        self._link, self._reads = link, reads
        self._window = _Window(UNDER_WAY, UNDER_WAY_BYTES)

    async def write(self, writes: Sequence[Write], deadline: float) -> list[int]:
        """The sequence of each message that this call has written, 0 where another was there.

        Raise `StoreFailure` if that cannot be told of each by the deadline (loop time).
        """
        outcome = [0] * len(writes)
        order = list(range(len(writes)))
        _dice.shuffle(order)  # the sequences on disk shall not tell the order of the items
        for start, end in _chunks([writes[i] for i in order]):
            some = order[start:end]
            chunk = [writes[i] for i in some]
            count, size = len(chunk), sum(len(write.data) + 256 for write in chunk)
            await self._window.enter(count, size, deadline)
            try:
                for i, sequence in zip(some, await self._settle(chunk, deadline), strict=True):
                    outcome[i] = sequence
            finally:
                self._window.leave(count, size)
        return outcome

    async def _settle(self, writes: Sequence[Write], deadline: float) -> list[int]:
        loop = asyncio.get_running_loop()
        outcome = [0] * len(writes)
        doubtful: set[int] = set()  # sent before, and nobody knows what came of it
        left, pause = list(range(len(writes))), 0.01
        while left:
            await self._link.ready(deadline)
            connects = self._link.connects
            answers = await self._attempt([writes[i] for i in left], deadline)
            refused, again = [], []
            for i, answer in zip(left, answers, strict=True):
                match answer:
                    case int():
                        outcome[i] = answer
                    case Refused(code=code) if code == WRONG_LAST:
                        refused.append(i)
                    case Refused(code=code) if code in FULL:
                        raise StoreFull(str(answer))
                    case Refused(code=code) if code not in MEANWHILE:
                        raise answer
                    case Lost():
                        doubtful.add(i)
                        again.append(i)
                    case _:  # not sent, nobody there to take it, or another one under way
                        again.append(i)
            if self._link.connects != connects:
                doubtful |= set(refused)  # it may have been sent on both connections
            unsure = [i for i in refused if i in doubtful]
            for i, found in zip(unsure, await self._look([writes[i] for i in unsure], deadline),
                                strict=True):  # fmt: skip
                if found is None:
                    again.append(i)
                else:
                    outcome[i] = found
            left = again
            if left:
                if loop.time() + pause >= deadline:
                    raise StoreFailure("it cannot be told what was written")
                await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311
                pause = min(0.5, 2 * pause)
        return outcome

    async def _attempt(
        self, writes: Sequence[Write], deadline: float
    ) -> list[int | Refused | Lost | None]:
        """Send each once: its sequence, what it was refused with, `Lost`, or None for not done."""
        loop = asyncio.get_running_loop()
        asked: list[asyncio.Future[list[Answer]] | None] = []
        for write in writes:
            try:
                asked.append(await self._link.ask(write.subject, write.data, write.headers()))
            except StoreFailure:
                asked.append(None)
        waiting = [future for future in asked if future is not None]
        if waiting:
            wait = min(ATTEMPT_SECONDS, deadline - loop.time())
            try:
                await asyncio.wait(waiting, timeout=max(0.0, wait))
            except asyncio.CancelledError:
                for future in waiting:
                    future.cancel()
                raise
        return [None if future is None else _outcome(future) for future in asked]

    async def _look(self, writes: Sequence[Write], deadline: float) -> list[int | None]:
        """What came of writes that may have been done before: None to try again."""
        outcome: list[int | None] = []
        for write in writes:
            found = await self._reads.last(write.stream, [write.subject], deadline)
            last = found.get(write.subject)
            if last is None:
                outcome.append(None if write.expected == 0 else 0)
            elif last.mark == write.mark:
                outcome.append(last.sequence)
            elif last.sequence == write.expected:
                outcome.append(None)
            elif last.blanks is not None and last.blanks == write.mark:
                outcome.append(last.sequence - 1)  # it was ours, and has been blanked since
            elif write.stream is None:
                raise StoreFailure("it cannot be told whether the bucket was written")
            else:
                outcome.append(0)
        return outcome


def _outcome(future: asyncio.Future[list[Answer]]) -> int | Refused | Lost | None:
    if not future.done():
        future.cancel()
        return Lost()
    if future.cancelled():
        return Lost()
    if isinstance(future.exception(), Lost):
        return Lost()
    answer = future.result()[0]
    if answer.status:
        return None  # 503: no stream listens there now, as when it has no leader
    reply: dict[str, Any] = json.loads(answer.data)
    error = reply.get("error")
    if error is None:
        return int(reply["seq"])
    if error.get("code") == 503 and error.get("err_code") not in FULL:
        return None
    return Refused(error.get("err_code", 0), error.get("description", ""))


def _chunks(writes: Sequence[Write]) -> list[tuple[int, int]]:
    """Parts that are small beside the window."""
    parts, start, size = [], 0, 0
    for at, write in enumerate(writes):
        if at > start and (at - start >= UNDER_WAY // 4 or size + len(write.data) > 4 << 20):
            parts.append((start, at))
            start, size = at, 0
        size += len(write.data)
    if start < len(writes):
        parts.append((start, len(writes)))
    return parts


class _Window:
    """Bounds what is under way, first come, first served."""

    def __init__(self, count: int, size: int) -> None:
        self._count, self._size = count, size
        self._waiting: deque[tuple[int, int, asyncio.Future[None]]] = deque()

    async def enter(self, count: int, size: int, deadline: float) -> None:
        """Wait for room. Raise `StoreFailure` at the deadline."""
        if not self._waiting and self._fits(count, size):
            self._take(count, size)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, size, turn))
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.leave(count, size)
            else:
                turn.cancel()
                self._next()
            if isinstance(error, TimeoutError):
                raise StoreFailure("the servers are too slow") from None
            raise

    def leave(self, count: int, size: int) -> None:
        """Give room back."""
        self._take(-count, -size)
        self._next()

    def _fits(self, count: int, size: int) -> bool:
        return count <= self._count and size <= self._size

    def _take(self, count: int, size: int) -> None:
        self._count -= count
        self._size -= size

    def _next(self) -> None:
        while self._waiting:
            count, size, turn = self._waiting[0]
            if not turn.done():
                if not self._fits(count, size):
                    return
                self._take(count, size)
                turn.set_result(None)
            self._waiting.popleft()
