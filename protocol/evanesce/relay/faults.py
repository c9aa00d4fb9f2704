"""What a client is told when the store or the keys fail: `relay-busy`, since nobody can tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import LocalError, Reason, RemoteError
from .rows import StoreFailure

__all__ = ["faults"]


@contextmanager
def faults() -> Iterator[None]:
    """Turn a failure below the relay into `RemoteError` (relay-busy)."""
    try:
        yield
    except StoreFailure as error:
        raise RemoteError(Reason.RELAY_BUSY, "the store failed, or cannot tell") from error
    except LocalError as error:  # of the keys: their folder failed, or the hour is over
        raise RemoteError(Reason.RELAY_BUSY, error.detail) from error
