"""Operations by name: what turns a case's `in` into its `out` (spec 20.5).

An operation takes `in` as it stands in the JSON and returns `out`. It refuses by raising
`EvanesceError`, whose reason is the case's; any other exception is a fault of this package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["OPERATIONS", "Json", "Operation", "operation"]

Json = dict[str, Any]
Operation = Callable[[Json], Any]
OPERATIONS: dict[str, Operation] = {}


def operation(name: str) -> Callable[[Operation], Operation]:
    """Register a function as the operation of this name; two of one name are a mistake."""

    def register(function: Operation) -> Operation:
        if name in OPERATIONS:
            raise ValueError(f"operation {name!r} is registered twice")
        OPERATIONS[name] = function
        return function

    return register
