"""A suite that checks any store against what a device relies on (`ports.Store`)."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..errors import LocalError
from ..ports import APPLICATION, Store, Transaction

__all__ = ["check_store"]

Open = Callable[[Path], Store]


def check_store(open_store: Open, *, examples: int = 50, steps: int = 30) -> None:
    """Check a store. Raise `AssertionError` with what it does wrong.

    `open_store` opens the store at a path, inside a folder that exists, or makes it there. It is
    called again with the same path to reopen it; if the store has a method `close`, that is called
    before. What `examples` and `steps` count are random histories, and steps of each. Needs
    Hypothesis (``pip install 'evanesce[test]'``).
    """
    if importlib.util.find_spec("hypothesis") is None:
        raise ModuleNotFoundError(
            "check_store needs Hypothesis: pip install 'evanesce[test]'", name="hypothesis"
        )
    histories = importlib.import_module(".store_history", __package__)
    for check in _CHECKS:
        with tempfile.TemporaryDirectory(prefix="evanesce-") as folder:
            subject = Subject(open_store, Path(folder) / "store")
            try:
                check(subject)
            finally:
                subject.close()
    histories.run_histories(open_store, examples, steps)


def expect(holds: bool, what: str) -> None:
    """An assertion that `python -O` keeps."""
    if not holds:
        raise AssertionError(what)


class InterruptionError(Exception):
    """Something that goes wrong inside a transaction."""


class Subject:
    """The store under test, and how it is reopened."""

    def __init__(self, open_store: Open, path: Path) -> None:
        self._open, self._path = open_store, path
        self.store = open_store(path)

    def close(self) -> None:
        """Close the store, if it knows how."""
        close = getattr(self.store, "close", None)
        if callable(close):
            close()

    def reopen(self) -> None:
        """Close and open it again."""
        self.close()
        self.store = self._open(self._path)

    def put(self, records: dict[bytes, bytes]) -> None:
        """Write records in one transaction."""
        with self.store.transaction() as tx:
            for name, data in records.items():
                tx.put(name, data)

    def holds(self, records: dict[bytes, bytes], when: str) -> None:
        """Expect exactly these records, by `scan` and by `get`."""
        with self.store.transaction() as tx:
            expect_records(tx, b"", records, when)

    def holds_durably(self, records: dict[bytes, bytes], when: str) -> None:
        """The same, now and after reopening."""
        self.holds(records, when)
        self.reopen()
        self.holds(records, f"{when}, after reopening")


def expect_records(
    tx: Transaction, prefix: bytes, records: dict[bytes, bytes], when: str
) -> None:
    """Expect exactly these records under a prefix, in order, each the same by `get`."""
    wanted = sorted((name, data) for name, data in records.items() if name.startswith(prefix))
    found = list(tx.scan(prefix))
    names = [name for name, _ in found]
    expect(
        names == [name for name, _ in wanted],
        f"{when}: scan({prefix!r}) gives the names {names!r}, not {[n for n, _ in wanted]!r}",
    )
    for (name, data), (_, right) in zip(found, wanted, strict=True):
        expect(data == right, f"{when}: scan({prefix!r}) gives a wrong value for {name!r}")
        expect(tx.get(name) == right, f"{when}: get({name!r}) gives a wrong value")


def refused(subject: Subject) -> None:
    """Expect that a transaction inside another is refused."""
    entered = False
    try:
        with subject.store.transaction():
            entered = True
    except LocalError:
        pass
    expect(not entered, "a transaction inside another is not refused with LocalError")


def _empty(subject: Subject) -> None:
    with subject.store.transaction() as tx:
        expect(tx.get(b"a") is None, "a new store has a record")
        expect(list(tx.scan(b"")) == [], "a scan of a new store gives something")
        tx.delete(b"a")
    subject.holds_durably({}, "a store that nothing was written to")


def _overwriting(subject: Subject) -> None:
    for data in (b"first", b"", b"longer than before" * 100, b"x", b"\x00\x80\x00", b"x" * 5_000):
        subject.put({b"name": data})
        subject.holds_durably({b"name": data}, "a record that was overwritten")
    with subject.store.transaction() as tx:
        tx.delete(b"name")
        expect(tx.get(b"name") is None, "a transaction does not see its own deletion")
        tx.put(b"name", b"again")
        tx.delete(b"name")
        tx.delete(b"never there")
    subject.holds_durably({}, "a record that was deleted")


def _sizes(subject: Subject) -> None:
    records = {
        b"%d" % size: bytes(i * 7 % 256 for i in range(251)) * (size // 251 + 1)
        for size in (0, 1, 63, 64, 65, 1_000, 1_024, 1_025, 4_096, 65_536, 300_000, 3_000_000)
    }
    records = {name: data[: int(name)] for name, data in records.items()}
    subject.put(records)
    subject.holds_durably(records, "values of many sizes")


def _names(subject: Subject) -> None:
    names = [bytes([i]) for i in range(256)]
    names += [b"n" * size for size in (2, 31, 32, 33, 63, 64, 65, 127, 128, 199, 200)]
    names += [b"\x00" * 200, b"\xff" * 200, b"\xff" * 199 + b"\x00", "이름".encode(), b"a'b\"c%_*?"]
    records = {name: b"value of " + name for name in names}
    subject.put(records)
    subject.holds_durably(records, "names of 1 to 200 bytes")


def _prefixes(subject: Subject) -> None:
    names = [b"a", b"a/", b"a/1", b"a/\xff", b"a/\xff\xff", b"a/\xff\xff1", b"a0", b"b", b"\xff",
             b"\xff\x00", b"\xff\xff", b"\xff\xff\xff", b"\x00", b"\x00\x00", b"A", b"A/2",
             b"a%", b"a_", b"a*", b"a?"]  # fmt: skip
    records = {name: name for name in names}
    subject.put(records)
    for _ in range(2):
        with subject.store.transaction() as tx:
            for prefix in [b"", b"c", b"a/1/", b"\xff\xff\xff\xff", *names]:
                expect_records(tx, prefix, records, "prefixes of other names")
        subject.reopen()


def _atomicity(subject: Subject) -> None:
    before = {b"kept": b"1", b"changed": b"2", b"deleted": b"3"}
    subject.put(before)
    for failure in (InterruptionError(), KeyboardInterrupt(), GeneratorExit()):
        reached = False
        try:
            with subject.store.transaction() as tx:
                tx.put(b"changed", b"else")
                tx.put(b"new", b"4")
                tx.delete(b"deleted")
                raise failure
        except BaseException as error:
            expect(error is failure, f"{failure!r} comes out of a transaction as {error!r}")
            reached = True
        expect(reached, f"a transaction swallows {failure!r}")
        subject.holds_durably(before, f"after a transaction that raised {failure!r}")


def _nesting(subject: Subject) -> None:
    with subject.store.transaction() as tx:
        tx.put(b"before", b"1")
        refused(subject)
        expect(tx.get(b"before") == b"1", "a refused transaction harms the one around it")
        tx.put(b"after", b"2")
    subject.holds_durably({b"before": b"1", b"after": b"2"}, "after a refused transaction")


def _isolation(subject: Subject) -> None:
    name, data = bytearray(b"name"), bytearray(b"data")
    with subject.store.transaction() as tx:
        written: Any = tx  # the types ask for bytes; a bytearray is what can show the difference
        written.put(name, data)
        data[:] = b"gone"
        name[:] = b"else"
        expect(tx.get(b"name") == b"data", "a store keeps the caller's object, not its bytes")
        data[:] = b"lost"
    subject.holds_durably({b"name": b"data"}, "after the caller changed what it had put")
    with subject.store.transaction() as tx:
        for found in (tx.get(b"name"), *(part for row in tx.scan(b"") for part in row)):
            expect(type(found) is bytes, f"a store gives {type(found).__name__}, not bytes")


def _scanning(subject: Subject) -> None:
    records = {b"p/%d" % i: b"%d" % i for i in range(10)}
    subject.put({**records, b"q": b"other"})
    with subject.store.transaction() as tx:
        given = []
        for name, _ in tx.scan(b"p/"):
            given.append(name)
            tx.delete(name)
            tx.put(b"new/" + name, b"")
            if name == b"p/3":
                tx.delete(b"p/5")
        wanted = [name for name in sorted(records) if name != b"p/5"]
        expect(given == wanted, f"a scan gives {given!r} while its transaction writes")
        next(tx.scan(b"new/"))  # and is then left alone
    after = {b"new/" + name: b"" for name in wanted} | {b"q": b"other"}
    subject.holds_durably(after, "after writing while scanning")


def _application(subject: Subject) -> None:
    records = {b"device": b"1", APPLICATION + b"settings": b"2", b"room/1": b"3"}
    subject.put(records)
    subject.holds_durably(records, "records of device and application in one transaction")
    try:
        with subject.store.transaction() as tx:
            tx.put(APPLICATION + b"settings", b"changed")
            tx.delete(b"device")
            raise InterruptionError
    except InterruptionError:
        pass
    subject.holds_durably(records, "after a failed transaction of device and application")


_CHECKS: Final[tuple[Callable[[Subject], None], ...]] = (
    _empty, _overwriting, _sizes, _names, _prefixes, _atomicity, _nesting, _isolation, _scanning,
    _application,
)  # fmt: skip
