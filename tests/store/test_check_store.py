"""The suite for stores of others: both of ours pass, and it finds what is wrong with a bad one."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

from evanesce import MemoryStore, SqliteStore, StorageError
from evanesce.ports import Store
from evanesce.testing import check_store, store_history
from tests.store.store_support import KEY

EXAMPLES = 25 * (10 if os.environ.get("EVANESCE_PROFILE") == "long" else 1)


def reopening(kind: Callable[[dict[bytes, bytes] | None], MemoryStore]) -> Callable[[Path], Store]:
    """A store in memory, which is reopened by its contents."""
    stores: dict[Path, MemoryStore] = {}

    def open_store(path: Path) -> Store:
        before = stores.get(path)
        stores[path] = kind(None if before is None else before.contents())
        return stores[path]

    return open_store


def test_the_store_in_memory_passes() -> None:
    check_store(reopening(MemoryStore), examples=5 * EXAMPLES)


def test_the_encrypted_store_passes() -> None:
    check_store(lambda path: SqliteStore(path, KEY), examples=EXAMPLES)


def test_what_it_needs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"evanesce\[test\]"):
        check_store(reopening(MemoryStore))


# --- stores with one fault each ------------------------------------------------------------------


class Inner:
    """Passes on to a transaction."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Faulty(MemoryStore):
    """A store whose transactions are wrapped in something worse."""

    wrapper: type[Inner] = Inner

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with super().transaction() as tx:
            yield self.wrapper(tx)


class Forgets(MemoryStore):
    def contents(self) -> dict[bytes, bytes]:
        return {}


class KeepsHalf(MemoryStore):
    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with super().transaction() as tx:
            try:
                yield tx
            except BaseException:
                self._records.update({n: d for n, d in tx.written.items() if d is not None})
                raise


class UndoesOnlyErrors(MemoryStore):
    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with super().transaction() as tx:
            try:
                yield tx
            except Exception:
                raise
            except BaseException:
                self._records.update({n: d for n, d in tx.written.items() if d is not None})
                raise


class Swallows(MemoryStore):
    @contextmanager
    def transaction(self) -> Iterator[Any]:
        try:
            with super().transaction() as tx:
                yield tx
        except KeyboardInterrupt:
            pass


class Nests(MemoryStore):
    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self._busy = False
        with super().transaction() as tx:
            yield tx


class NestsByAnotherName(MemoryStore):
    @contextmanager
    def transaction(self) -> Iterator[Any]:
        if self._busy:
            raise StorageError("bad-store")  # type: ignore[arg-type]
        with super().transaction() as tx:
            yield tx


class Unordered(Faulty):
    class wrapper(Inner):  # noqa: N801
        def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
            return iter(list(self.inner.scan(prefix))[::-1])


class OrderedByLength(Faulty):
    class wrapper(Inner):  # noqa: N801
        def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
            return iter(sorted(self.inner.scan(prefix), key=lambda row: (len(row[0]), row[0])))


class EndsPrefixesTooEarly(Faulty):
    class wrapper(Inner):  # noqa: N801
        def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
            end = prefix + b"\xff"  # and names with more of it come after
            return ((n, d) for n, d in self.inner.scan(prefix) if not prefix or n < end)


class ScansLikeSql(Faulty):
    class wrapper(Inner):  # noqa: N801
        def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
            return ((n, d) for n, d in self.inner.scan(b"") if n.lower().startswith(prefix.lower()))


class ScansWithoutItself(Faulty):
    class wrapper(Inner):  # noqa: N801
        def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
            return ((n, d) for n, d in self.inner.scan(prefix) if n != prefix)


class ScansOnlyWhatWasThere(Faulty):
    class wrapper(Inner):  # noqa: N801
        def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
            return iter(sorted((n, d) for n, d in self.inner._base.items() if n.startswith(prefix)))


class ScansTheDeleted(Faulty):
    class wrapper(Inner):  # noqa: N801
        def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
            return iter(list(self.inner.scan(prefix)))


class ReadsOnlyWhatWasThere(Faulty):
    class wrapper(Inner):  # noqa: N801
        def get(self, name: bytes) -> bytes | None:
            found: bytes | None = self.inner._base.get(name)
            return found


class LosesEmptyValues(Faulty):
    class wrapper(Inner):  # noqa: N801
        def get(self, name: bytes) -> bytes | None:
            return self.inner.get(name) or None


class MissesTheMissing(Faulty):
    class wrapper(Inner):  # noqa: N801
        def delete(self, name: bytes) -> None:
            if self.inner.get(name) is None:
                raise KeyError(name)
            self.inner.delete(name)


class DoesNotDelete(Faulty):
    class wrapper(Inner):  # noqa: N801
        def delete(self, name: bytes) -> None:
            if name not in self.inner._base:
                self.inner.delete(name)


class DoesNotOverwrite(Faulty):
    class wrapper(Inner):  # noqa: N801
        def put(self, name: bytes, data: bytes) -> None:
            if name not in self.inner._base:
                self.inner.put(name, data)


class CutsNames(Faulty):
    class wrapper(Inner):  # noqa: N801
        def put(self, name: bytes, data: bytes) -> None:
            self.inner.put(name[:128], data)


class CutsValues(Faulty):
    class wrapper(Inner):  # noqa: N801
        def put(self, name: bytes, data: bytes) -> None:
            self.inner.put(name, data[: 1 << 20])


class StripsPadding(Faulty):
    class wrapper(Inner):  # noqa: N801
        def put(self, name: bytes, data: bytes) -> None:
            self.inner.put(name, bytes(data).rstrip(b"\x00"))


class KeepsTheObject(Faulty):
    class wrapper(Inner):  # noqa: N801
        def put(self, name: bytes, data: bytes) -> None:
            self.inner.written[bytes(name)] = data


class GivesViews(Faulty):
    class wrapper(Inner):  # noqa: N801
        def get(self, name: bytes) -> Any:
            found = self.inner.get(name)
            return None if found is None else memoryview(found)


class HidesTheApplication(Faulty):
    class wrapper(Inner):  # noqa: N801
        def put(self, name: bytes, data: bytes) -> None:
            if not name.startswith(b"app/"):
                self.inner.put(name, data)


FAULTY = [
    Forgets, KeepsHalf, UndoesOnlyErrors, Swallows, Nests, NestsByAnotherName, Unordered,
    OrderedByLength, EndsPrefixesTooEarly, ScansLikeSql, ScansWithoutItself, ScansOnlyWhatWasThere,
    ScansTheDeleted, ReadsOnlyWhatWasThere, LosesEmptyValues, MissesTheMissing, DoesNotDelete,
    DoesNotOverwrite, CutsNames, CutsValues, StripsPadding, KeepsTheObject, GivesViews,
    HidesTheApplication,
]  # fmt: skip


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_store_is_found_out(kind: type[MemoryStore]) -> None:
    with pytest.raises((AssertionError, KeyError, StorageError)):
        check_store(reopening(kind), examples=100, steps=10)


class LosesItsWayAfterAFailure(MemoryStore):
    """A fault that no fixed check meets: after a failed transaction, the next deletes nothing."""

    failed = False

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with super().transaction() as tx:
            try:
                yield tx
            except BaseException:
                self.failed = True
                raise
            if self.failed and tx.written:
                self.failed = False
                for name in [name for name, data in tx.written.items() if data is None]:
                    del tx.written[name]


def test_random_histories_find_what_the_fixed_checks_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = partial(settings, phases=[Phase.generate])  # to make the example small takes a minute
    monkeypatch.setattr(store_history, "settings", found)
    with pytest.raises(AssertionError, match=r"between transactions|inside a transaction"):
        check_store(reopening(LosesItsWayAfterAFailure), examples=200)
