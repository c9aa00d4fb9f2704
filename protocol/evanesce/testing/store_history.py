"""Random histories of a store, compared with a dict. Imported only when Hypothesis is there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from ..ports import Transaction
from .store import InterruptionError, Open, Subject, expect, expect_records, refused

__all__ = ["run_histories"]

# Few names, so that they meet; and prefixes of one another, with bytes at both ends of the range.
_NAMES = st.one_of(
    st.lists(st.sampled_from([b"\x00", b"\xff", b"a", b"/"]), min_size=1, max_size=3).map(b"".join),
    st.binary(min_size=1, max_size=200),
)
_PREFIXES = st.one_of(st.just(b""), _NAMES)
_VALUES = st.one_of(
    st.binary(max_size=200),
    st.tuples(
        st.sampled_from([63, 64, 1_023, 1_024, 4_000, 5_000, 16_384, 70_000]), st.binary(max_size=4)
    ).map(lambda drawn: bytes(drawn[0]) + drawn[1]),
)
_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _NAMES, _VALUES),
        st.tuples(st.just("delete"), _NAMES),
        st.tuples(st.just("get"), _NAMES),
        st.tuples(st.just("scan"), _PREFIXES),
        st.tuples(st.just("move"), _PREFIXES),
        st.tuples(st.just("nest")),
    ),
    max_size=12,
)


def run_histories(open_store: Open, examples: int, steps: int) -> None:
    """Run the store through random transactions and reopenings."""

    class Histories(RuleBasedStateMachine):
        """Each step is a transaction, which may fail, or a reopening."""

        def __init__(self) -> None:
            super().__init__()
            self._folder = tempfile.TemporaryDirectory(prefix="evanesce-")
            self._records: dict[bytes, bytes] = {}

        @initialize()
        def begin(self) -> None:
            self._subject = Subject(open_store, Path(self._folder.name) / "store")

        @rule(operations=_OPERATIONS, fails=st.booleans())
        def transact(self, operations: list[Any], fails: bool) -> None:
            records = dict(self._records)
            try:
                with self._subject.store.transaction() as tx:
                    for operation, *arguments in operations:
                        _perform(self._subject, tx, records, operation, *arguments)
                    expect_records(tx, b"", records, "inside a transaction")
                    if fails:
                        raise InterruptionError
            except InterruptionError:
                records = self._records
            self._records = records

        @rule()
        def reopen(self) -> None:
            self._subject.reopen()

        @rule()
        def look(self) -> None:
            self._subject.holds(self._records, "between transactions")

        def teardown(self) -> None:
            try:
                if hasattr(self, "_subject"):
                    self._subject.close()
            finally:
                self._folder.cleanup()

    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def _perform(
    subject: Subject, tx: Transaction, records: dict[bytes, bytes], operation: str, *arguments: Any
) -> None:
    """Do one thing in a transaction, to the store and to the dict."""
    match operation, *arguments:
        case "put", name, data:
            tx.put(name, data)
            records[name] = data
        case "delete", name:
            tx.delete(name)
            records.pop(name, None)
        case "get", name:
            expect(tx.get(name) == records.get(name), f"get({name!r}) gives a wrong value")
        case "scan", prefix:
            expect_records(tx, prefix, records, "inside a transaction")
        case "move", prefix:  # write while scanning
            names = sorted(name for name in records if name.startswith(prefix))
            given = []
            for name, data in tx.scan(prefix):
                if name in names:
                    given.append(name)
                    tx.delete(name)
                    moved = (name + b"+")[-200:]
                    tx.put(moved, data)
                    del records[name]
                    records[moved] = data
            expect(given == names, f"scan({prefix!r}) gives {given!r} while writing")
        case _:
            refused(subject)
