"""A thread that does what is asked of it in groups: all that waits goes together."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from .rows import StoreFailure

__all__ = ["Asked", "GroupThread"]

_MOST: Final = 512  # that go together, and
_WEIGHT: Final = 512  # rows, and
_OCTETS: Final = 4 << 20  # bytes of these, unless one alone has more


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class Asked:
    """One call that waits for its turn, and then for its answer."""

    what: str
    arguments: tuple[Any, ...]
    weight: int = 1  # rows
    octets: int = 0
    answer: Any = None
    failure: Exception | None = None
    future: asyncio.Future[Any] = field(default_factory=_future)

    def settle(self) -> None:
        """Hand the answer over, in the event loop."""
        if self.future.done():
            return
        if self.failure is None:
            self.future.set_result(self.answer)
        else:
            self.future.set_exception(self.failure)


class GroupThread:
    """Calls `do` with each group, `idle` after it and when the time that this returned is over.

    Both run in the thread. `do` sets answers and failures, and raises nothing.
    """

    def __init__(
        self,
        name: str,
        do: Callable[[Sequence[Asked]], None],
        idle: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._do, self._idle = do, idle
        self._waiting: deque[Asked] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def ask(
        self, what: str, *arguments: Any, weight: int = 1, octets: int = 0
    ) -> Any:  # what the method answers
        """Wait for a turn, and for the answer. Raise `StoreFailure`."""
        asked = Asked(what, arguments, weight, octets)
        with self._changed:
            if self._closing:
                raise StoreFailure("the store is closed")
            self._waiting.append(asked)
            self._changed.notify()
        return await asked.future

    def close(self) -> None:
        """Finish what waits, and end. Blocks."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _group(self, patience: float | None) -> list[Asked] | None:
        """What goes together; none when the patience is over; None at the end."""
        with self._changed:
            if not self._waiting and not self._closing:
                self._changed.wait(patience)
            group: list[Asked] = []
            weight = octets = 0
            while self._waiting and len(group) < _MOST:
                weight += self._waiting[0].weight
                octets += self._waiting[0].octets
                if group and (weight > _WEIGHT or octets > _OCTETS):
                    break
                group.append(self._waiting.popleft())
            return None if self._closing and not group else group

    def _run(self) -> None:
        patience = None
        while (group := self._group(patience)) is not None:
            if group:
                try:
                    self._do(group)
                except Exception as error:  # what nobody thought of fails the calls, not the store
                    for asked in group:
                        asked.failure = asked.failure or StoreFailure(type(error).__name__)
                _settle(group)
            patience = self._idle()


def _settle(group: Sequence[Asked]) -> None:
    loops = {asked.future.get_loop() for asked in group}
    for loop in loops:
        mine = [asked for asked in group if asked.future.get_loop() is loop]
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_hand_over, mine)


def _hand_over(group: Sequence[Asked]) -> None:
    for asked in group:
        asked.settle()
