"""One opener at a time, and taking a store over from a process that hangs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evanesce import Reason, SqliteStore
from evanesce.store import database
from tests.store.store_support import KEY, Child, contents, fails, files, fill


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mina.db"


@contextmanager
def opener(path: Path, *options: str) -> Iterator[Child]:
    """Another process, which is killed in the end."""
    child = Child("opener.py", path, *options)
    try:
        yield child
    finally:
        child.kill()


def test_a_second_opener_in_this_process_is_refused(path: Path, tmp_path: Path) -> None:
    with SqliteStore(path, KEY) as store:
        for takeover in (False, True):
            with fails(Reason.STORE_BUSY):
                SqliteStore(path, KEY, takeover=takeover)
        (tmp_path / "link").symlink_to(path)
        with fails(Reason.STORE_BUSY):
            SqliteStore(tmp_path / "link", KEY)
        fill(store, {b"a": b"1"})
    with SqliteStore(path, KEY) as store:
        assert contents(store) == {b"a": b"1"}


def test_a_second_opener_in_another_process_is_refused(path: Path) -> None:
    with SqliteStore(path, KEY) as store:
        with opener(path) as child:
            assert child.hear() == "LocalError store-busy"
        fill(store, {b"a": b"1"})
    with opener(path) as child:
        assert child.hear() == "open"
        before = files(path.parent)
        with fails(Reason.STORE_BUSY):
            SqliteStore(path, KEY)
        assert files(path.parent) == before
        assert child.ask("get a") == "1"
        assert child.ask("close") == "done"
        SqliteStore(path, KEY).close()


def test_a_killed_opener_leaves_no_lock(path: Path) -> None:
    with opener(path) as child:
        assert child.hear() == "open"
        assert child.ask("put a 1") == "done"
    with SqliteStore(path, KEY) as store:
        assert contents(store) == {b"a": b"1"}


def test_whoever_was_taken_over_writes_nothing_more(path: Path) -> None:
    with opener(path) as hung:
        assert hung.hear() == "open"
        assert hung.ask("put a old") == "done"
        os.kill(hung.process.pid, signal.SIGSTOP)
        with fails(Reason.STORE_BUSY):
            SqliteStore(path, KEY)
        with SqliteStore(path, KEY, takeover=True) as store:
            assert contents(store) == {b"a": b"old"}
            fill(store, {b"a": b"new"})
            os.kill(hung.process.pid, signal.SIGCONT)
            before = files(path.parent)
            for order in ("put a stale", "get a", "drop a", "scrub"):
                assert hung.ask(order) == "LocalError store-busy"
            after = files(path.parent)
            for file in ("mina.db", "mina.db-wal"):
                assert after[file] == before[file]
            with opener(path) as third:  # the one that took it over holds the lock
                assert third.hear() == "LocalError store-busy"
            fill(store, {b"b": b"2"})
            assert hung.ask("close") == "done"
            hung.kill()
            with opener(path) as third:
                assert third.hear() == "LocalError store-busy"
            assert contents(store) == {b"a": b"new", b"b": b"2"}
    with SqliteStore(path, KEY) as store:
        assert contents(store) == {b"a": b"new", b"b": b"2"}


def test_whoever_was_taken_over_knows_it_after_the_other_has_closed(path: Path) -> None:
    with opener(path) as first:
        assert first.hear() == "open"
        with SqliteStore(path, KEY, takeover=True) as store:
            fill(store, {b"a": b"new"})
        assert first.ask("put a stale") == "LocalError store-busy"
        assert first.ask("close") == "done"
    with SqliteStore(path, KEY) as store:
        assert contents(store) == {b"a": b"new"}


def test_this_process_is_taken_over_too(path: Path) -> None:
    store = SqliteStore(path, KEY)
    fill(store, {b"a": b"1"})
    with opener(path, "takeover") as child:
        assert child.hear() == "open"
        assert child.ask("put a 2") == "done"
        with fails(Reason.STORE_BUSY):
            fill(store, {b"a": b"3"})
        with fails(Reason.STORE_BUSY):
            contents(store)
        with fails(Reason.STORE_BUSY):
            store.rekey(KEY)
        store.close()
        assert child.ask("get a") == "2"


def test_a_takeover_of_a_free_store_is_an_opening(path: Path) -> None:
    for number in range(3):
        with SqliteStore(path, KEY, takeover=True) as store:
            fill(store, {b"n": b"%d" % number})
    with SqliteStore(path, KEY) as store:
        assert contents(store) == {b"n": b"2"}


def test_a_process_that_hangs_inside_a_transaction_cannot_be_taken_over(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_WAIT", 0.2)
    with opener(path) as hung:
        assert hung.hear() == "open"
        assert hung.ask("linger") == "inside"
        with fails(Reason.STORE_BUSY):
            SqliteStore(path, KEY, takeover=True)
        assert hung.ask("go on") == "done"
        assert hung.ask("put a 1") == "done", "a takeover that failed has fenced it off"
    with SqliteStore(path, KEY) as store:
        assert contents(store) == {b"a": b"1"}


def test_a_takeover_leaves_one_lock_file(path: Path) -> None:
    with opener(path) as first:
        assert first.hear() == "open"
        for _ in range(2):
            with opener(path, "takeover") as next_one:
                assert next_one.hear() == "open"
    SqliteStore(path, KEY).close()
    assert set(files(path.parent)) == {"mina.db", "mina.db-lock"}
