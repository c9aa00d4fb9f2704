"""A flaw: one change to the library that makes of it an implementation with one mistake in it."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from evanesce.conformance import harness as _  # noqa: F401  all of the library that it uses

__all__ = ["FLAWS", "Flaw", "Patch", "flaw", "patched"]

_NOTHING = object()


class Patch:
    """Puts something else in the place of a part of the library, and remembers what was there."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def here(self, owner: Any, name: str, new: Any) -> None:
        """Replace what one module, class or function knows by this name."""
        own = vars(owner)  # where a class method still is one
        old = own[name] if name in own else getattr(owner, name, _NOTHING)
        if old is _NOTHING and not hasattr(builtins, name):  # those a module may have of its own
            raise LookupError(f"{owner.__name__} does not know {name!r}: nothing would change")
        self._before.append((owner, name, old))
        setattr(owner, name, new)

    def everywhere(self, original: object, new: object) -> None:
        """Replace a function or constant under whatever name a module has imported it."""
        found = False
        for module in [m for n, m in sys.modules.items() if n.split(".")[0] == "evanesce"]:
            for name, value in list(vars(module).items()):
                if value is original:
                    self.here(module, name, new)
                    found = True
        if not found:
            raise LookupError("no module of the library knows this")

    def undo(self) -> None:
        """Put everything back, the last first."""
        while self._before:
            owner, name, old = self._before.pop()
            if old is _NOTHING:
                delattr(owner, name)
            else:
                setattr(owner, name, old)


@dataclass(frozen=True)
class Flaw:
    """One mistake, and the cases that are there to find it: each of them must fail."""

    name: str
    story: str
    caught_by: tuple[str, ...]
    apply: Callable[[Patch], None]


FLAWS: dict[str, Flaw] = {}


def flaw(name: str, *caught_by: str) -> Callable[[Callable[[Patch], None]], None]:
    """Register a flaw, and the cases that must find it."""

    def register(apply: Callable[[Patch], None]) -> None:
        if name in FLAWS:
            raise ValueError(f"flaw {name!r} is there twice")
        FLAWS[name] = Flaw(name, apply.__doc__ or "", caught_by, apply)

    return register


@contextmanager
def patched(name: str) -> Iterator[None]:
    """The library with a flaw in it, for a while."""
    patch = Patch()
    try:
        FLAWS[name].apply(patch)
        yield
    finally:
        patch.undo()
