"""Does a transport do what a device needs of it? (spec 12.9, 17)

::

    @asynccontextmanager
    async def folder():
        with TemporaryDirectory() as root:
            yield lambda: FolderTransport(root)

    async def test_my_transport():
        await check_transport(folder, Claims())

`make` is called for each check, and gives a new, empty network (or one where other mailboxes are:
each check makes its own, and those of another `seed` are others); what that yields is called for
each connection to it: a sender, a receiver, a receiver after a restart. It may return the same
object each time, for a transport that has nothing to restart. One that has a method `recall` is
checked for that too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from typing import Any, Final

from . import directory_checks, recall_checks, transport_checks
from .bench import Bench, Claims, Connect, Make
from .transport_history import run_histories

__all__ = ["TRANSPORT_CHECKS", "Claims", "Connect", "Make", "check_transport"]

Check = Callable[[Bench], Coroutine[Any, Any, None]]

_CHECKS: Final[dict[str, Check]] = {
    name: getattr(module, name)
    for module in (transport_checks, recall_checks, directory_checks)
    for name in module.__all__
}
_HISTORIES: Final = "any_history_loses_nothing_and_brings_nothing_back"
TRANSPORT_CHECKS: Final = (*_CHECKS, _HISTORIES)  # names, for `only`


async def check_transport(
    make: Make,
    claims: Claims | None = None,
    *,
    only: str | None = None,
    examples: int = 25,
    seed: int = 0,
) -> None:
    """Run all checks, or `only` one of `TRANSPORT_CHECKS`. Raise `AssertionError` with its name.

    `claims` is what the transport says of itself: everything, unless told otherwise. Histories are
    drawn by Hypothesis, `examples` of them; the rest is the same for the same `seed`.
    """
    names = TRANSPORT_CHECKS if only is None else (only,)

    benches = itertools.count()

    async def on_a_bench(check: Check) -> None:
        async with make() as connect:
            await check(Bench(connect, claims or Claims(), f"{seed}/{next(benches)}"))

    for name in names:
        if name not in TRANSPORT_CHECKS:
            raise ValueError(f"no check is called {name!r}")
        try:
            if name == _HISTORIES:
                await run_histories(on_a_bench, examples)
            else:
                await on_a_bench(_CHECKS[name])
        except Exception as error:
            error.add_note(f"in the check {name!r} of a transport")
            raise
