"""Histories of any kind, drawn by Hypothesis: what a transport owes holds after each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ..mailbox import MailboxKeys
from ..ports import Outgoing, Recall, Recalling
from .bench import Bench, require

__all__ = ["run_histories"]

Step = tuple[str, int, int]
_BOXES, _KEYS = 2, 4
_SHORTEST, _LONGEST = 10, 40  # steps


class _History:
    """One network, and what must be there."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._transport = bench.connect()
        self._boxes: list[MailboxKeys] = []
        self._items: dict[tuple[int, int], Outgoing] = {}
        self._waiting: set[tuple[int, int]] = set()
        self._acked: set[tuple[int, int]] = set()  # or recalled: gone
        self._delivered: dict[tuple[int, int], bytes] = {}  # and not acked: its delivery
        self._under_way: set[tuple[int, int]] = set()  # recalled, but perhaps pushed before

    async def play(self, steps: list[Step]) -> None:
        """Do these steps, then require that all and only what should be there is."""
        self._boxes = [await self._bench.mailbox(self._transport) for _ in range(_BOXES)]
        for kind, box, key in steps:
            await getattr(self, f"_{kind}")(box, key)
        await self._check()

    async def _send(self, box: int, key: int) -> None:
        """Send something, perhaps once more, perhaps after it was acked."""
        place = box, key
        if place in self._acked and not self._bench.claims.remembers:
            return
        if place not in self._items:
            self._items[place] = self._bench.item(self._boxes[box])
        await self._bench.send(self._transport, self._items[place])
        if place not in self._acked:
            self._waiting.add(place)

    async def _receive(self, box: int, key: int) -> None:
        """Receive from one mailbox, or from several."""
        chosen = {box, key % _BOXES}  # often both
        if not any(place[0] in chosen for place in self._waiting):
            return
        expected = [self._items[place] for place in self._waiting if place[0] in chosen]
        found = await self._bench.take(
            self._transport, [self._boxes[n] for n in sorted(chosen)], expected
        )
        places = {(item.mailbox.address, item.envelope): place
                  for place, item in self._items.items()}  # fmt: skip
        for delivery in found:
            place = places[delivery.address, delivery.envelope]
            if place in self._under_way:
                continue
            if place not in self._waiting:
                require(not self._bench.claims.remembers, "what was acked comes again")
                continue
            self._delivered[place] = delivery.id

    async def _ack(self, box: int, key: int) -> None:
        """Ack what was delivered of this mailbox: all, or some."""
        mine = sorted(place for place in self._delivered if place[0] == box)
        chosen = mine if key < 2 else [place for place in mine if place[1] == key]
        await self._transport.ack([self._delivered.pop(place) for place in chosen])
        self._waiting.difference_update(chosen)
        self._acked.update(chosen)

    async def _recall(self, box: int, key: int) -> None:
        """Call something back, wherever it is; it may never have been sent."""
        if not isinstance(self._transport, Recalling):
            return
        place = box, key
        if place not in self._items:
            self._items[place] = self._bench.item(self._boxes[box])
        item = self._items[place]
        await self._transport.recall([Recall(item.id, item.mailbox)])
        self._waiting.discard(place)
        self._delivered.pop(place, None)
        if self._bench.claims.pushes and place not in self._acked:
            self._under_way.add(place)
        self._acked.add(place)

    async def _take(self, box: int, key: int) -> None:
        """What a device does all the time: receive, and ack what came."""
        await self._receive(box, key)
        await self._ack(box, 0)

    async def _restart(self, box: int, key: int) -> None:
        """Everyone starts again, and opens the mailboxes as a device does."""
        self._transport = self._bench.connect()
        self._delivered.clear()
        self._under_way.clear()
        for keys in self._boxes:
            await self._transport.open_mailbox(keys.reader())

    async def _close(self, box: int, key: int) -> None:
        """Now and then close a mailbox; open another in its place."""
        if key:
            return
        await self._transport.close_mailbox(self._boxes[box].reader())
        self._boxes[box] = await self._bench.mailbox(self._transport)
        for places in (
            self._items, self._delivered, self._waiting, self._acked, self._under_way
        ):  # fmt: skip
            for place in [place for place in places if place[0] == box]:
                if isinstance(places, dict):
                    del places[place]
                else:
                    places.discard(place)

    async def _check(self) -> None:
        marks = [self._bench.item(keys) for keys in self._boxes]
        await self._bench.send(self._transport, *marks)
        left = [self._items[place] for place in self._waiting]
        found = await self._bench.take(self._transport, self._boxes, [*marks, *left])
        under_way = {self._items[place].envelope for place in self._under_way}
        seen = [(delivery.address, delivery.envelope) for delivery in found
                if delivery.envelope not in under_way]  # fmt: skip
        if self._bench.claims.remembers:
            require(len(seen) == len(set(seen)), "one envelope is there as two deliveries")
            require(len(seen) == len(marks) + len(left), "what was acked comes again")


async def run_histories(
    bench: Callable[[Callable[[Bench], Coroutine[Any, Any, None]]], Coroutine[Any, Any, None]],
    examples: int,
) -> None:
    """Play so many histories, each on a bench of its own.

    One that fails is told as it was drawn: to shrink it would wait again and again for what is
    lost.
    """
    try:
        from hypothesis import HealthCheck, Phase, given, settings  # noqa: PLC0415  only who checks
        from hypothesis import strategies as st  # noqa: PLC0415                 needs it
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "this check draws its cases with Hypothesis: pip install hypothesis"
        ) from error
    loop = asyncio.get_running_loop()
    kinds = st.sampled_from(
        ["send", "send", "take", "receive", "ack", "recall", "restart", "close"]
    )
    steps = st.tuples(kinds, st.integers(0, _BOXES - 1), st.integers(0, _KEYS - 1))

    @settings(max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.lists(steps, min_size=_SHORTEST, max_size=_LONGEST))
    def play(history: list[Step]) -> None:
        # Hypothesis calls this in a thread; the transport runs in the loop it was made for.
        one = bench(lambda made: _History(made).play(history))
        asyncio.run_coroutine_threadsafe(one, loop).result()

    await asyncio.to_thread(play)
