"""What a relay needs of the store below it: rows that are added once, and a table (spec 22.6).

A store knows nothing of mailboxes. What it is given is sealed, under names that tell nothing, and
all of it goes when its hour has come. `evanesce.testing.check_relay_store` checks a store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["PLACE_BYTES", "REMAINDER_BYTES", "Place", "RelayStore", "Row", "StoreFailure",
           "StoreFull", "Usage"]  # fmt: skip

PLACE_BYTES = 16
REMAINDER_BYTES = 62  # nonce 24, kind and id 22, tag 16


class StoreFailure(Exception):  # noqa: N818
    """The store did not do it, or it cannot be told whether it did: `relay-busy`."""


class StoreFull(StoreFailure):
    """A bound of the store is reached: `relay-full`. Nothing was done."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """The name of a row: the hour of its expiry, and 16 pseudo-random bytes."""

    hour: int
    name: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its place, and sealed data (1 to about 2.1 million bytes), or a remainder of it."""

    place: Place
    data: bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """How full a store is."""

    rows: int  # blanks included
    bytes: int  # of data, about
    limit: int | None  # bytes it may take, if it has a bound of its own


class RelayStore(Protocol):
    """Rows and a table of buckets. Each method may raise `StoreFailure`, having done all or some.

    Everything that returned is durable. All methods may be called at the same time.
    """

    shared: bool
    """Whether other relay processes may change the same store while this one runs."""

    async def start(self) -> None:
        """Open it; make it if there is none. Raise `LocalError` (bad-store), saying which promise
        its version or settings would break."""

    async def stop(self) -> None:
        """Close it. What is under way is finished or fails."""

    async def add(self, rows: Sequence[Row]) -> list[bool]:
        """Add rows, each where its place is free; True for those that this call has added.

        A place is taken by a row or by a blank. Where two calls try one place, one gets it.
        """

    async def read(self, places: Sequence[Place]) -> list[bytes | None]:
        """The data at these places: of a blank its remainder, None where there is nothing.

        It sees whatever any `add` or `blank` on any process had returned before it was called.
        """

    async def blank(self, rows: Sequence[Row]) -> list[bool]:
        """Erase the data at these places and leave the `data` given here, the remainder, instead.

        The places stay taken. True where this call has done it; False for what was blanked before,
        whose remainder stays as it is, and where there is nothing. Of several calls, one gets True.
        All remainders have one size, `REMAINDER_BYTES`: a sealed note of which id has been here.
        The store itself remembers what is blank: it cannot be seen in the data.
        """

    async def forget(self, hour: int) -> int:
        """Erase all rows, blanks included, whose hour is `hour` or earlier; return how many."""

    async def bucket(self, number: int) -> tuple[int, bytes | None]:
        """A bucket of the table with its version; None (version 0) if it was never written.

        Numbers are 0 or more, a few thousand as a rule. Versions are the store's own numbers.
        """

    async def swap(self, number: int, version: int, data: bytes) -> bool:
        """Write a bucket if its version is still this one. All are of one size."""

    async def wake(self, tags: Sequence[bytes]) -> None:
        """Tell all processes on this store, this one as well, that something has changed.

        Best effort: nothing is stored, and nothing fails.
        """

    def listen(self, heard: Callable[[bytes], None]) -> None:
        """Call `heard` with each tag of a `wake`, in the event loop, from `start` on.

        With an empty one where wakes may have been lost: anything may have changed.
        """

    async def usage(self) -> Usage:
        """How full it is."""
