"""The format of the store: the frozen ones, and how one is brought up to a newer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copy

import pytest

from evanesce import Reason, SqliteStore, StorageError
from evanesce.store.format import CURRENT, Layout
from evanesce.store.header import Header
from evanesce.store.peek import peek_header
from evanesce.store.sealing import Subkeys
from tests.store.frozen import format_1
from tests.store.store_support import KEY, OTHER, Child, bad_store, contents, fails, files, fill

RECORDS = {b"a": b"1", b"b": bytes(5_000), **{b"n/%d" % i: bytes(i) for i in range(50)}}


def test_the_frozen_store_of_format_1_opens(tmp_path: Path) -> None:
    path = Path(copy(format_1.FILE, tmp_path / "old.db"))
    for _ in range(2):
        with SqliteStore(path, format_1.KEY) as store:
            assert contents(store) == format_1.CONTENTS
    with fails(Reason.WRONG_KEY):
        SqliteStore(path, KEY)


def test_what_is_made_now_has_the_format_of_the_frozen_one(tmp_path: Path) -> None:
    assert CURRENT.version == 1, "freeze a store of the new format as well"
    format_1.make(tmp_path / "new.db")
    tables = []
    for path in (format_1.FILE, tmp_path / "new.db"):
        connection = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
        for query in (
            "SELECT name, sql, rootpage FROM sqlite_schema",
            "SELECT length(header.data), length(state.data) FROM header, state",
            "SELECT id, length(name), length(nonce), length(value) FROM records",
        ):
            tables.append(connection.execute(query).fetchall())
        connection.close()
    assert tables[:3] == tables[3:]
    assert tables[0][0][2] == 2


# --- the header, read without SQLite -------------------------------------------------------------


def test_the_header_is_read_as_sqlite_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "mina.db"
    with SqliteStore(path, KEY) as store:
        assert peek_header(path) == store._db.read("header")
        seen = set()
        for number in range(6):
            with store.transaction() as tx:
                tx.put(b"%d" % number, bytes(30_000))
            store._begin()  # into the log, without the scrub that follows
            store._db.write("header", Header.make(1, OTHER, store._master, store._random).dump())
            store._finish(store._state)
            store._end()
            assert peek_header(path) == store._db.read("header")
            seen.add(peek_header(path))
            if number % 2:
                store._db.empty_log()
                assert peek_header(path) == store._db.read("header")
        assert len(seen) == 6
        assert not path.read_bytes()[4_096:8_192].count(b"evanesce store") > 1


def test_what_was_not_committed_to_the_log_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "mina.db"
    with SqliteStore(path, KEY) as store:
        fill(store, {b"first": b"1"})
        before = peek_header(path)
        connection = store._db.connection
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN IMMEDIATE")
        store._db.write("header", Header.make(1, OTHER, store._master, store._random).dump())
        connection.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?)",
            [(1_000 + i, bytes(104), bytes(24), bytes(3_000)) for i in range(200)],
        )
        assert Path(f"{path}-wal").stat().st_size > 100_000, "nothing was spilled into the log"
        assert peek_header(path) == before
        connection.execute("ROLLBACK")
        log = Path(f"{path}-wal").read_bytes()
    with SqliteStore(path, KEY) as store:
        header = store._db.read("header")
    Path(f"{path}-wal").write_bytes(log)  # a log of another time: its frames are complete or not
    assert peek_header(path) == header


@pytest.mark.parametrize("cut", [0, 10, 31, 32, 40, 55, 56, 4_000, 4_152])
def test_a_log_that_ends_early_is_read_up_to_there(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "mina.db"
    with SqliteStore(path, KEY) as store:
        store.scrub()
        before = peek_header(path)
        store._begin()
        store._db.write("header", Header.make(1, OTHER, store._master, store._random).dump())
        store._finish(store._state)
        store._end()
        assert peek_header(path) != before
        log = Path(f"{path}-wal").read_bytes()
        copied = Path(copy(path, tmp_path / "copy.db"))
        Path(f"{copied}-wal").write_bytes(log[:cut])
        assert peek_header(copied) == before
        flipped = bytearray(log)
        flipped[cut] ^= 1
        Path(f"{copied}-wal").write_bytes(flipped)
        assert peek_header(copied) == before


# --- migrations ----------------------------------------------------------------------------------


def add_a_table(connection: sqlite3.Connection, subkeys: Subkeys) -> None:
    """A made-up migration: a new table, and each value written anew."""
    connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, data BLOB)")
    connection.execute("INSERT INTO notes VALUES (1, x'01')")


def reseal_names(connection: sqlite3.Connection, subkeys: Subkeys) -> None:
    """Another one, which needs the keys."""
    rows = connection.execute("SELECT id, name FROM records").fetchall()
    for number, sealed in rows:
        if sealed != bytes(len(sealed)):
            fresh = subkeys.seal_name(subkeys.open_name(sealed))
            connection.execute("UPDATE records SET name = ? WHERE id = ?", (fresh, number))


NEWER = Layout(
    3,
    (*CURRENT.schema, "CREATE TABLE notes (id INTEGER PRIMARY KEY, data BLOB)"),
    {1: add_a_table, 2: reseal_names},
)


class NewerStore(SqliteStore):
    """A version of the package that is still to come."""

    _layout = NEWER


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "mina.db"
    with SqliteStore(path, KEY) as store:
        fill(store, RECORDS)
    return path


def test_an_older_store_is_brought_up_to_the_newer_format(old: Path) -> None:
    for _ in range(2):
        with NewerStore(old, KEY) as store:
            assert contents(store) == RECORDS
            assert store._db.connection.execute("SELECT data FROM notes").fetchall() == [(b"\x01",)]
            assert store._peek(1).version == 3
            assert not store._state.untidy
    with fails(Reason.WRONG_KEY):
        NewerStore(old, OTHER)


def test_the_frozen_store_goes_through_migrations(tmp_path: Path) -> None:
    path = Path(copy(format_1.FILE, tmp_path / "old.db"))
    with NewerStore(path, format_1.KEY) as store:
        assert contents(store) == format_1.CONTENTS


def test_a_store_of_a_newer_format_is_refused_and_left_alone(old: Path) -> None:
    NewerStore(old, KEY).close()
    before = files(old.parent)
    for key in (KEY, OTHER):
        with pytest.raises(StorageError, match="format 3") as caught:
            SqliteStore(old, key)
        assert caught.value.reason is Reason.BAD_STORE
    assert files(old.parent) == before


def test_a_forged_version_is_refused(old: Path) -> None:
    NewerStore(old, KEY).close()
    header = Header.load(peek_header(old), 3)
    with sqlite3.connect(old) as connection:
        connection.execute("UPDATE header SET data = ?", (replace(header, version=1).dump(),))
    connection.close()
    with bad_store():
        SqliteStore(old, KEY)


def break_sql(connection: sqlite3.Connection, subkeys: Subkeys) -> None:
    connection.execute("DELETE FROM records")
    connection.execute("no such statement")


def lose_a_row(connection: sqlite3.Connection, subkeys: Subkeys) -> None:
    connection.execute("DELETE FROM records WHERE id = 2")


def forget_the_table(connection: sqlite3.Connection, subkeys: Subkeys) -> None:
    connection.execute("DROP TABLE IF EXISTS notes")


@pytest.mark.parametrize("faulty", [break_sql, lose_a_row, forget_the_table])
def test_a_migration_that_fails_leaves_the_old_store(
    old: Path, faulty: Callable[[sqlite3.Connection, Subkeys], None]
) -> None:
    class FaultyStore(SqliteStore):
        _layout = replace(NEWER, migrations={1: add_a_table, 2: faulty})

    with bad_store():
        FaultyStore(old, KEY)
    with SqliteStore(old, KEY) as store:
        assert contents(store) == RECORDS
    with NewerStore(old, KEY) as store:
        assert contents(store) == RECORDS


def test_a_crash_in_the_middle_of_a_migration_leaves_the_old_store(old: Path) -> None:
    child = Child("opener.py", old, "half-migration")
    assert child.hear() == ""
    assert child.end() == -9
    assert Path(f"{old}-wal").stat().st_size > 1_000_000, "it died before it had written anything"
    with SqliteStore(old, KEY) as store:
        assert contents(store) == RECORDS
    with NewerStore(old, KEY) as store:
        assert contents(store) == RECORDS
