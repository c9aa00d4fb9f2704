"""Histories of any kind, drawn by Hypothesis: after each a store holds what a dict would hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, Final

from ..relay.rows import REMAINDER_BYTES, Place, RelayStore, Row
from .relay_store_bench import RowsBench, all_of, holds, require

__all__ = ["run_histories"]

_HOURS, _NAMES, _BUCKETS = 3, 4, 3
_SHORTEST, _LONGEST = 10, 40  # steps
_SIZES: Final = (1, 40, REMAINDER_BYTES, 600, 601, 3_000, 5_000, 20_000, 140_000)
_BUCKET_BYTES: Final = 512
Step = tuple[str, list[tuple[str, int, int, int]]]
Result = bool | int | bytes | None


@dataclass
class _Model:
    """What should be there."""

    rows: dict[Place, tuple[bytes, bool]] = field(default_factory=dict)  # and whether blank
    buckets: dict[int, bytes] = field(default_factory=dict)

    def copy(self) -> _Model:
        return _Model(dict(self.rows), dict(self.buckets))

    def add(self, row: Row) -> bool:
        free = row.place not in self.rows
        if free:
            self.rows[row.place] = row.data, False
        return free

    def blank(self, row: Row) -> bool:
        lives = row.place in self.rows and not self.rows[row.place][1]
        if lives:
            self.rows[row.place] = row.data, True
        return lives

    def read(self, row: Row) -> bytes | None:
        return self.rows[row.place][0] if row.place in self.rows else None

    def forget(self, row: Row) -> int:
        gone = [place for place in self.rows if place.hour <= row.place.hour]
        for place in gone:
            del self.rows[place]
        return len(gone)


class _History:
    """One place to store, and what must be there."""

    def __init__(self, bench: RowsBench) -> None:
        self._bench = bench
        self._model = _Model()
        self._names = [bench.dice.randbytes(16) for _ in range(_NAMES)]
        self._stores: list[RelayStore] = []

    async def play(self, steps: list[Step]) -> None:
        """Do these steps, then look at everything, and again after a restart."""
        self._stores = list(await self._bench.stores())
        for kind, deeds in steps:
            await getattr(self, f"_{kind}")(deeds)
        for _ in range(2):
            await self._look([])
            await self._restart([])

    def _row(self, hour: int, name: int, size: int) -> Row:
        return self._bench.row(Place(self._bench.hour + hour, self._names[name]), size)

    def _prepared(self, deeds: list[tuple[str, int, int, int]]) -> list[tuple[str, Row]]:
        return [(kind, self._row(at // _NAMES, at % _NAMES,
                                 REMAINDER_BYTES if kind == "blank" else _SIZES[size]))
                for kind, at, size, _ in deeds]  # fmt: skip

    async def _do(self, store: RelayStore, kind: str, row: Row) -> Result:
        match kind:
            case "add":
                return (await store.add([row]))[0]
            case "blank":
                return (await store.blank([row]))[0]
            case "read":
                return (await store.read([row.place]))[0]
            case _:
                return await store.forget(row.place.hour)

    async def _apart(self, deeds: list[tuple[str, int, int, int]]) -> None:
        """One thing after the other."""
        for i, (kind, row) in enumerate(self._prepared(deeds)):
            result = await self._do(self._stores[i % 2], kind, row)
            right: Result = getattr(self._model, kind)(row)
            require(result == right, f"{kind} gives {result!r:.40}, not {right!r:.40}")

    async def _at_once(self, deeds: list[tuple[str, int, int, int]]) -> None:
        """Some things at the same time: it must be as if they had come in some order."""
        prepared = [deed for deed in self._prepared(deeds) if deed[0] != "forget"][:4]
        calls = [self._do(self._stores[i % 2], *deed) for i, deed in enumerate(prepared)]
        results: list[Result] = await all_of(*calls)
        fitting = []
        for order in permutations(range(len(prepared))):
            model = self._model.copy()
            if all(getattr(model, prepared[i][0])(prepared[i][1]) == results[i] for i in order):
                fitting.append(model)
        require(fitting, f"calls at once that fit no order: "
                         f"{[(kind, row.place.name[:2]) for kind, row in prepared]}")  # fmt: skip
        for model in fitting:
            places = [row.place for _, row in prepared]
            if await self._stores[0].read(places) == [
                model.rows.get(place, (None, False))[0] for place in places
            ]:
                self._model = model
                return
        require(False, "what calls at once leave fits no order")

    async def _together(self, deeds: list[tuple[str, int, int, int]]) -> None:
        """Many rows in one call: each place is counted by itself."""
        kind = deeds[0][0]
        if kind not in ("add", "blank"):
            return
        rows = {row.place: row for _, row in self._prepared([(kind, *deed[1:]) for deed in deeds])}
        calls = {"add": self._stores[0].add, "blank": self._stores[0].blank}
        results = await calls[kind](list(rows.values()))
        right = [getattr(self._model, kind)(row) for row in rows.values()]
        require(results == right, f"{kind} of {len(rows)} rows gives {results}, not {right}")

    async def _swap(self, deeds: list[tuple[str, int, int, int]]) -> None:
        """Write a bucket, with the right version or another."""
        for i, (_, at, _, wrong) in enumerate(deeds):
            number = at % _BUCKETS
            store = self._stores[i % 2]
            version, found = await store.bucket(number)
            require(found == self._model.buckets.get(number), "a bucket holds something else")
            require((version == 0) == (found is None), "version 0 is for what was never written")
            data = self._bench.dice.randbytes(_BUCKET_BYTES)
            done = await store.swap(number, version + wrong, data)
            require(done == (wrong == 0), f"a swap with {wrong} added to its version: {done}")
            if done:
                self._model.buckets[number] = data

    async def _restart(self, deeds: list[tuple[str, int, int, int]]) -> None:
        """Stop, start."""
        for store in set(self._stores):
            await self._bench.stop(store)
        self._stores = list(await self._bench.stores())

    async def _look(self, deeds: list[tuple[str, int, int, int]]) -> None:
        """Require all that should be there, and nothing else."""
        places = [Place(self._bench.hour + hour, name)
                  for hour in range(_HOURS) for name in self._names]  # fmt: skip
        rows = [self._model.rows.get(place, (None, False))[0] for place in places]
        for store in self._stores:
            await holds(store, places, rows)
        for number in range(_BUCKETS):
            _, found = await self._stores[0].bucket(number)
            require(found == self._model.buckets.get(number), "a bucket holds something else")
        count = (await self._stores[0].usage()).rows
        require(count == len(self._model.rows), f"usage says {count} rows")


async def run_histories(
    bench: Callable[[Callable[[RowsBench], Coroutine[Any, Any, None]]], Coroutine[Any, Any, None]],
    examples: int,
) -> None:
    """Play so many histories, each on a bench of its own; one that fails is told as it was drawn.

    Raise `ModuleNotFoundError` without Hypothesis.
    """
    try:
        from hypothesis import HealthCheck, Phase, given, settings  # noqa: PLC0415  only who checks
        from hypothesis import strategies as st  # noqa: PLC0415                 needs it
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "this check draws its cases with Hypothesis: pip install hypothesis"
        ) from error
    loop = asyncio.get_running_loop()
    deed = st.tuples(
        st.sampled_from(["add", "add", "add", "blank", "blank", "read", "forget"]),
        st.integers(0, _HOURS * _NAMES - 1),
        st.integers(0, len(_SIZES) - 1),
        st.sampled_from([0, 0, 1, -1, 1 << 40]),
    )
    kinds = st.sampled_from(
        ["apart", "apart", "at_once", "at_once", "together", "swap", "look", "restart"]
    )

    @settings(max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.lists(st.tuples(kinds, st.lists(deed, min_size=1, max_size=8)),
                    min_size=_SHORTEST, max_size=_LONGEST))  # fmt: skip
    def play(history: list[Step]) -> None:
        # Hypothesis calls this in a thread; the store runs in the loop it was made for.
        one = bench(lambda made: _History(made).play(history))
        asyncio.run_coroutine_threadsafe(one, loop).result()

    await asyncio.to_thread(play)
