"""One type for everything that must not be seen: keys, chain keys, seeds (spec 03).

A `Secret` never shows its bytes in a repr, refuses to be copied or pickled, compares in constant
time, and forgets on request. Forgetting is best effort: CPython may have left other copies of the
bytes in memory, which the threat model says (spec 16).
"""

from __future__ import annotations

import hmac
from typing import NoReturn

from .errors import LocalError, Reason

__all__ = ["Secret"]


class Secret:
    """Secret bytes. Read them with `reveal`, drop them with `erase`."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value: bytes | None = value

    def reveal(self) -> bytes:
        """Return the bytes. Raise `LocalError` (evaporated) once erased."""
        if self._value is None:
            raise LocalError(Reason.EVAPORATED, "this secret has been erased")
        return self._value

    def erase(self) -> None:
        """Drop the bytes; every later `reveal` fails. Erasing twice is fine."""
        self._value = None

    @property
    def erased(self) -> bool:
        """Whether `erase` has been called."""
        return self._value is None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self._value is None or other._value is None:
            return self is other
        return hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a hash table would compare in variable time

    def __repr__(self) -> str:
        return "Secret(erased)" if self._value is None else "Secret(…)"

    def __copy__(self) -> NoReturn:
        raise TypeError("a Secret cannot be copied")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a Secret cannot be copied")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")
