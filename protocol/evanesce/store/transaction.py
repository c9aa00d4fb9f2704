"""A transaction of an encrypted store."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import LocalError, Reason
from .database import storage_faults
from .records import Records

__all__ = ["BufferedTransaction"]


class BufferedTransaction:
    """Writes are kept back until the end of the block, so that each record is written once."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._written: dict[bytes, bytes | None] = {}
        self.accepts_rollback = False
        self.over = False

    def get(self, name: bytes) -> bytes | None:
        """The record of this name."""
        self._check()
        if name in self._written:
            return self._written[name]
        with storage_faults():
            return self._records.get(name)

    def put(self, name: bytes, data: bytes) -> None:
        """Write a record; its bytes are copied."""
        self._check()
        self._written[bytes(memoryview(name))] = bytes(memoryview(data))

    def delete(self, name: bytes) -> None:
        """Delete a record."""
        self._check()
        self._written[bytes(memoryview(name))] = None

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The records whose name starts so, of the moment when it begins."""
        self._check()
        own = [name for name in self._written if name.startswith(prefix)]
        names = self._records.names(prefix)
        for name in sorted({*names, *own}) if own else names:
            data = self.get(name)
            if data is not None:
                yield name, data

    def changes(self) -> dict[bytes, bytes | None]:
        """What is to be written: to delete what is not there changes nothing."""
        return {
            name: data
            for name, data in self._written.items()
            if data is not None or name in self._records
        }

    def _check(self) -> None:
        if self.over:
            raise LocalError(Reason.BAD_STORE, "this transaction is over")
