"""What a client is told when the store or the keys fail: `relay-busy`, since nobody can tell.

A store at its bound says that it has done nothing: `relay-full`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import LocalError, Reason, RemoteError
from .rows import StoreFailure, StoreFull

__all__ = ["faults"]


@contextmanager
def faults() -> Iterator[None]:
    """Turn a failure below the relay into `RemoteError`: relay-full, relay-busy."""
    try:
        yield
    except StoreFull as error:
        raise RemoteError(Reason.RELAY_FULL, "the store is full") from error
    except StoreFailure as error:
        raise RemoteError(Reason.RELAY_BUSY, "the store failed, or cannot tell") from error
    except LocalError as error:  # of the keys: their folder failed, or the hour is over
        raise RemoteError(Reason.RELAY_BUSY, error.detail) from error
