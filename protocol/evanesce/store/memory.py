"""A store in memory: for tests, demos, and devices that should forget everything at exit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..errors import LocalError, Reason

__all__ = ["MemoryStore"]


class _Transaction:
    def __init__(self, base: Mapping[bytes, bytes]) -> None:
        self._base = base
        self.written: dict[bytes, bytes | None] = {}

    def get(self, name: bytes) -> bytes | None:
        return self.written[name] if name in self.written else self._base.get(name)

    def put(self, name: bytes, data: bytes) -> None:
        self.written[bytes(name)] = bytes(data)  # a bytearray goes on living with its owner

    def delete(self, name: bytes) -> None:
        self.written[bytes(name)] = None

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        names = {name for name in (*self._base, *self.written) if name.startswith(prefix)}
        for name in sorted(names):
            data = self.get(name)
            if data is not None:
                yield name, data


class MemoryStore:
    """Records in a dict. `contents` is what someone who seizes the device finds."""

    def __init__(self, contents: Mapping[bytes, bytes] | None = None) -> None:
        self._records = dict(contents or {})
        self._busy = False

    @contextmanager
    def transaction(self) -> Iterator[_Transaction]:
        """A transaction; a second one inside it is refused with `LocalError` (bad-store)."""
        if self._busy:
            raise LocalError(Reason.BAD_STORE, "a transaction is open")
        self._busy = True
        try:
            transaction = _Transaction(self._records)
            yield transaction
            for name, data in transaction.written.items():
                if data is None:
                    self._records.pop(name, None)
                else:
                    self._records[name] = data
        finally:
            self._busy = False

    def contents(self) -> dict[bytes, bytes]:
        """A copy of every record."""
        return dict(self._records)
