"""Does a store do what a relay needs of it? (`evanesce.relay.rows`, spec 22)

::

    @asynccontextmanager
    async def rows_in_a_folder():
        with TemporaryDirectory() as folder:
            yield lambda: SqliteRows(Path(folder))

    async def test_my_store():
        await check_relay_store(rows_in_a_folder)

`make` is called for each check, and gives a place where nothing is stored yet. What that yields is
called for each connection to it, and gives a store that has not been started; the next is made
when the one before has been stopped, or while it runs if the store says that it is `shared`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from . import relay_store_checks, relay_table_checks
from .relay_store_bench import Connect, Make, RowsBench
from .relay_store_history import run_histories

__all__ = ["RELAY_STORE_CHECKS", "Connect", "Make", "check_relay_store"]

Check = Callable[[RowsBench], Coroutine[Any, Any, None]]

_CHECKS: Final[dict[str, Check]] = {
    name: getattr(module, name)
    for module in (relay_store_checks, relay_table_checks)
    for name in module.__all__
}
_HISTORIES: Final = "any_history_leaves_what_a_dict_would_hold"
RELAY_STORE_CHECKS: Final = (*_CHECKS, _HISTORIES)  # names, for `only`


async def check_relay_store(
    make: Make, *, only: str | None = None, examples: int = 25, seed: int = 0
) -> None:
    """Run all checks, or `only` one of `RELAY_STORE_CHECKS`. Raise `AssertionError` with its name.

    Histories are drawn by Hypothesis, `examples` of them; the rest is the same for the same `seed`,
    but for the hours, which are those that a relay would use now.
    """

    async def on_a_bench(check: Check) -> None:
        async with make() as connect, RowsBench(connect, seed) as bench:
            await check(bench)

    for name in RELAY_STORE_CHECKS if only is None else (only,):
        if name not in RELAY_STORE_CHECKS:
            raise ValueError(f"no check is called {name!r}")
        try:
            if name == _HISTORIES:
                await run_histories(on_a_bench, examples)
            else:
                await on_a_bench(_CHECKS[name])
        except Exception as error:
            error.add_note(f"in the check {name!r} of a store of a relay")
            raise
