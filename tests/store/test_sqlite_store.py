"""The encrypted store: what it keeps, what it refuses, and that a wrong key changes nothing."""

from __future__ import annotations

import gc
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest

from evanesce import (
    Device,
    EvanesceError,
    LocalError,
    MemoryTransport,
    Passphrase,
    RawKey,
    Reason,
    SqliteStore,
    StorageError,
)
from evanesce.ports import Scrubbing, Store
from evanesce.secret import Secret
from evanesce.store.keys import Cost, KeyParameters
from evanesce.store.sealing import padded_size
from tests.store.store_support import (
    KEY,
    OTHER,
    Child,
    bad_store,
    contents,
    fails,
    files,
    fill,
    sealed_row,
)

RECORDS = {b"device": b"keys", b"inbox/1": b"hello" * 300, b"app/x": b"", b"big": bytes(70_000)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is made, alone in its folder."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store" / "mina.db"


@pytest.fixture
def filled(path: Path) -> Path:
    """A store with some records, closed."""
    with SqliteStore(path, KEY) as store:
        fill(store, RECORDS)
    return path


def test_it_is_a_store_that_can_be_scrubbed(path: Path) -> None:
    with SqliteStore(path, KEY) as store:
        as_port: Store = store
        assert isinstance(as_port, Scrubbing)


def test_records_are_there_after_reopening(filled: Path) -> None:
    with SqliteStore(filled, KEY) as store:
        assert contents(store) == RECORDS


def test_a_closed_store_is_the_database_and_its_lock_file(filled: Path) -> None:
    assert set(files(filled.parent)) == {"mina.db", "mina.db-lock"}
    assert files(filled.parent)["mina.db-lock"] == b""
    assert filled.stat().st_mode & 0o077 == 0


def test_the_settings_are_those_that_durability_and_erasure_need(path: Path) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "temp_store": 2,
              "foreign_keys": 0, "auto_vacuum": 0}  # fmt: skip
    with SqliteStore(path, KEY) as store:
        found = {name: store._db.connection.execute(f"PRAGMA {name}").fetchone()[0]
                 for name in wanted}  # fmt: skip
    found["journal_mode"] = found["journal_mode"].decode()
    assert found == wanted


def test_neither_names_nor_values_are_readable_in_any_file(path: Path) -> None:
    words = {b"inbox/message-id": b"meet me at the old bridge", b"room/verylongname": b"secret" * 9}
    with SqliteStore(path, KEY) as store:
        fill(store, words)
        for data in files(path.parent).values():  # the log as well
            for name, value in words.items():
                assert name[-8:] not in data
                assert value[:8] not in data
    assert len(files(path.parent)["mina.db"]) > 4_096


@pytest.mark.parametrize(
    ("length", "size"),
    [(0, 64), (63, 64), (64, 128), (900, 960), (1_023, 1_024), (1_024, 2_048), (5_000, 8_192),
     (20_000, 20_480), (1_000_000, 1_015_808)],
)  # fmt: skip
def test_sizes_are_padded(path: Path, length: int, size: int) -> None:
    assert padded_size(length) == size
    with SqliteStore(path, KEY) as store:
        fill(store, {b"n": bytes(length)})
        lengths = store._db.connection.execute("SELECT length(value) FROM records").fetchall()
    assert lengths == [(size + 16,)]


def test_a_value_is_sealed_anew_each_time(path: Path) -> None:
    with SqliteStore(path, KEY) as store:
        rows = []
        for _ in range(3):
            fill(store, {b"same": b"same"})
            rows.append(sealed_row(store, b"same")[-120:])
        assert len(set(rows)) == 3


def test_a_transaction_that_writes_nothing_writes_nothing(filled: Path) -> None:
    with SqliteStore(filled, KEY) as store:
        before = files(filled.parent)
        with store.transaction() as tx:
            assert tx.get(b"device") == b"keys"
            tx.delete(b"never there")
        assert files(filled.parent) == before


def test_a_transaction_that_is_over_refuses(path: Path) -> None:
    with SqliteStore(path, KEY) as store:
        fill(store, {b"a": b"1"})
        with store.transaction() as tx:
            scan = tx.scan(b"")
        with fails(Reason.BAD_STORE):
            tx.get(b"a")
        with fails(Reason.BAD_STORE):
            tx.put(b"a", b"2")
        with fails(Reason.BAD_STORE):
            tx.delete(b"a")
        with fails(Reason.BAD_STORE):
            next(scan)
        assert contents(store) == {b"a": b"1"}


def test_arguments_that_are_not_bytes_are_refused(path: Path) -> None:
    with SqliteStore(path, KEY) as store:
        for bad in (5, "text", None):
            with pytest.raises(TypeError), store.transaction() as tx:
                tx.put(b"a", bad)  # type: ignore[arg-type]
        assert contents(store) == {}


async def test_a_device_lives_in_it(path: Path) -> None:
    transport = MemoryTransport()
    seen = []
    for _ in range(2):
        with SqliteStore(path, KEY) as store:
            async with Device.open(store, transport, name="Mina") as mina:
                assert (await mina.card()).identity == mina.identity
                seen.append(mina.identity)
    assert seen[0] == seen[1]


# --- keys ----------------------------------------------------------------------------------------


@pytest.fixture(params=["closed", "crashed", "crashed while rekeying"])
def locked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder with a store under KEY: closed, or as a crash left it, its log full."""
    place = tmp_path / "made"
    place.mkdir()
    with SqliteStore(place / "mina.db", OTHER) as store:
        fill(store, {b"a": b"1"})
    if request.param == "closed":
        with SqliteStore(place / "mina.db", OTHER) as store:
            store.rekey(KEY)
        yield place
        return
    store = SqliteStore(place / "mina.db", OTHER)
    store.rekey(KEY)
    if request.param == "crashed while rekeying":
        store.rekey(OTHER)
        store._db.empty_log()
        scrub, store.scrub = store.scrub, lambda: None  # type: ignore[method-assign]
        store.rekey(KEY)  # and it did not come to that
        store.scrub = scrub  # type: ignore[method-assign]
    fill(store, {b"b": b"2"})
    copy = tmp_path / "copy"
    copytree(place, copy)
    assert (copy / "mina.db-wal").stat().st_size > 0
    store.close()
    yield copy


def test_a_wrong_key_changes_not_one_byte(locked: Path) -> None:
    before = files(locked)
    for wrong in (OTHER, RawKey(bytes(32)), Passphrase("x", Cost.INTERACTIVE)):
        for takeover in (False, True):
            with fails(Reason.WRONG_KEY):
                SqliteStore(locked / "mina.db", wrong, takeover=takeover)
            assert files(locked) == before
    with SqliteStore(locked / "mina.db", KEY) as store:
        assert contents(store)[b"a"] == b"1"


def test_a_wrong_key_leaves_another_opener_alone(filled: Path) -> None:
    child = Child("opener.py", filled)
    assert child.hear() == "open"
    before = files(filled.parent)
    with fails(Reason.WRONG_KEY):
        SqliteStore(filled, OTHER, takeover=True)
    assert files(filled.parent) == before
    assert child.ask("put a 1") == "done"
    child.end()


def test_rekeying_changes_the_key_and_not_the_records(filled: Path) -> None:
    with SqliteStore(filled, KEY) as store:
        row = sealed_row(store, b"inbox/1")
        old = store._db.read("header")
        store.rekey(OTHER)
        assert sealed_row(store, b"inbox/1") == row
        assert contents(store) == RECORDS
        for data in files(filled.parent).values():
            assert old[50:150] not in data, "the old wrapping is still there"
    with fails(Reason.WRONG_KEY):
        SqliteStore(filled, KEY)
    with SqliteStore(filled, OTHER) as store:
        assert contents(store) == RECORDS


def test_rekeying_that_fails_changes_nothing(filled: Path) -> None:
    class NoKey(RawKey):
        def unlock(self, parameters: KeyParameters) -> Secret:
            raise LocalError(Reason.WRONG_KEY, "no")

    with SqliteStore(filled, KEY) as store:
        with fails(Reason.WRONG_KEY):
            store.rekey(NoKey(bytes(32)))
        with store.transaction() as tx, fails(Reason.BAD_STORE):
            tx.put(b"new", b"1")
            store.rekey(OTHER)
        assert contents(store) == {**RECORDS, b"new": b"1"}
    SqliteStore(filled, KEY).close()


def test_no_secret_is_in_a_repr_or_an_error(path: Path) -> None:
    secret = "correct horse battery"
    source = Passphrase(secret, Cost.INTERACTIVE)
    store = SqliteStore(path, source)
    fill(store, {b"the name": b"the value"})
    texts = [repr(source), repr(store), repr(KEY), repr(store._subkeys), repr(store._records)]
    texts.append(repr(store._peek(1)))
    row = store._records._rows[b"the name"].id
    store._db.connection.execute("UPDATE records SET value = ? WHERE id = ?", (bytes(80), row))
    with pytest.raises(StorageError) as caught, store.transaction() as tx:
        tx.get(b"the name")
    store.close()
    with pytest.raises(LocalError) as wrong:
        SqliteStore(path, Passphrase("another phrase", Cost.INTERACTIVE))
    texts += [repr(caught.value), repr(wrong.value)]
    master = store._master.reveal()
    for text in texts:
        for hidden in (secret, "another phrase", "the name", "the value", repr(master)[2:-1]):
            assert hidden not in text


# --- damage --------------------------------------------------------------------------------------


def change(path: Path, at: int, data: bytes) -> None:
    with path.open("rb+") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize("junk", [b"", b"x" * 99, b"not a database " * 1_000, bytes(50_000)])
def test_a_file_of_something_else_is_refused_and_left_alone(path: Path, junk: bytes) -> None:
    path.write_bytes(junk)
    with bad_store():
        SqliteStore(path, KEY)
    assert path.read_bytes() == junk


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE header (id INTEGER PRIMARY KEY, data BLOB)")
    connection.close()
    before = path.read_bytes()
    with bad_store():
        SqliteStore(path, KEY)
    assert path.read_bytes() == before


def test_every_damage_to_the_header_is_told(filled: Path) -> None:
    page = filled.read_bytes()
    start = page.index(b"evanesce store", 4_096) - 3
    end = 8_192  # the record stands at the end of page 2
    assert end - start == 256
    for at in range(start, end, 3):
        change(filled, at, bytes([page[at] ^ 0x40]))
        with bad_store():
            SqliteStore(filled, KEY)
        change(filled, at, page[at : at + 1])
    SqliteStore(filled, KEY).close()


@pytest.mark.parametrize("size", [50, 4_096, 5_000, 8_000])
def test_a_database_that_was_cut_off_is_refused(filled: Path, size: int) -> None:
    os.truncate(filled, size)
    with bad_store():
        SqliteStore(filled, KEY)


def test_a_database_that_is_missing_beside_its_log_is_not_made_anew(filled: Path) -> None:
    store = SqliteStore(filled, KEY)
    fill(store, {b"a": b"1"})
    log = Path(f"{filled}-wal").read_bytes()
    store.close()
    filled.unlink()
    Path(f"{filled}-wal").write_bytes(log)
    with bad_store():
        SqliteStore(filled, KEY)
    assert not filled.exists()


TAMPERING = {
    "a row is deleted": "DELETE FROM records WHERE id = 2",
    "a row is zeroed": "UPDATE records SET name = zeroblob(length(name)) WHERE id = 2",
    "a name is damaged": "UPDATE records SET name = zeroblob(5) || substr(name, 6) WHERE id = 2",
    "a name is text": "UPDATE records SET name = 'text' WHERE id = 2",
    "a name is a number": "UPDATE records SET name = 5 WHERE id = 2",
    "a nonce is another": "UPDATE records SET nonce = zeroblob(24) WHERE id = 2",
    "a nonce is short": "UPDATE records SET nonce = zeroblob(2) WHERE id = 2",
    "a nonce is text": "UPDATE records SET nonce = 'text' WHERE id = 2",
    "a row is doubled": "INSERT INTO records SELECT 99, name, nonce, value FROM records LIMIT 1",
    "two values change places": "UPDATE records SET (nonce, value) = "
    "(SELECT nonce, value FROM records AS r WHERE r.id = 3 - records.id) WHERE id < 3",
    "the state is damaged": "UPDATE state SET data = zeroblob(length(data))",
    "the state is text": "UPDATE state SET data = 'text'",
    "the state is missing": "DELETE FROM state",
    "the header is doubled": "INSERT INTO header SELECT 2, data FROM header",
    "the header is missing": "DELETE FROM header",
    "a table is missing": "DROP TABLE records",
    "a table is new": "CREATE TABLE more (id)",
    "a trigger lies in wait": "CREATE TRIGGER t AFTER UPDATE ON state BEGIN "
    "DELETE FROM records; END",
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING)
def test_what_was_tampered_with_is_not_opened(filled: Path, statement: str) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute(statement)
    connection.close()
    with bad_store():
        SqliteStore(filled, KEY)


VALUES = {
    "damaged": "UPDATE records SET value = zeroblob(8) || substr(value, 9) WHERE id = 2",
    "cut off": "UPDATE records SET value = substr(value, 1, 100) WHERE id = 2",
    "empty": "UPDATE records SET value = zeroblob(0) WHERE id = 2",
    "text": "UPDATE records SET value = 'text' WHERE id = 2",
    "a number": "UPDATE records SET value = 7 WHERE id = 2",
}


@pytest.mark.parametrize("statement", VALUES.values(), ids=VALUES)
def test_a_damaged_value_is_told_when_it_is_read(filled: Path, statement: str) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute(statement)
    connection.close()
    with SqliteStore(filled, KEY) as store:
        with bad_store(), store.transaction() as tx:
            tx.put(b"device", b"changed")
            tx.get(b"inbox/1")
        with bad_store(), store.transaction() as tx:
            list(tx.scan(b""))
        with store.transaction() as tx:
            assert tx.get(b"device") == b"keys"


def test_an_old_row_that_was_put_back_is_told(filled: Path) -> None:
    with sqlite3.connect(filled) as connection:
        (old,) = connection.execute("SELECT nonce, value FROM records WHERE id = 1").fetchall()
    with SqliteStore(filled, KEY) as store:
        fill(store, {b"device": b"KEYS"})
    with connection:
        connection.execute("UPDATE records SET nonce = ?, value = ? WHERE id = 1", old)
    connection.close()
    with bad_store():
        SqliteStore(filled, KEY)


def test_a_row_that_is_changed_while_the_store_is_open_is_told(filled: Path) -> None:
    with SqliteStore(filled, KEY) as store:
        old = store._db.connection.execute(
            "SELECT nonce, value FROM records WHERE id = 1"
        ).fetchone()
        fill(store, {b"device": b"KEYS"})
        store._db.connection.execute("UPDATE records SET nonce = ?, value = ? WHERE id = 1", old)
        with bad_store(), store.transaction() as tx:
            tx.get(b"device")
        store._db.connection.execute("DELETE FROM records WHERE id = 1")
        with bad_store(), store.transaction() as tx:
            tx.get(b"device")


def test_any_flipped_byte_is_harmless_or_told(filled: Path) -> None:
    """Never a crash, never another value; free space may be flipped unseen."""
    good = filled.read_bytes()
    told = 0
    for at in range(0, len(good), 211):
        filled.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        for rest in ("-wal", "-shm", "-journal"):
            Path(f"{filled}{rest}").unlink(missing_ok=True)
        try:
            with SqliteStore(filled, KEY) as store:
                assert contents(store) == RECORDS, f"byte {at}"
        except EvanesceError as error:
            assert type(error) is StorageError or error.reason is Reason.WRONG_KEY
            told += 1
    assert told > len(good) // 211 // 2


def test_a_full_disk_undoes_the_transaction_and_no_more(filled: Path) -> None:
    with SqliteStore(filled, KEY) as store:
        pages = store._db.connection.execute("PRAGMA page_count").fetchone()[0]
        store._db.connection.execute(f"PRAGMA max_page_count={pages}")
        with bad_store():
            fill(store, {b"device": b"changed", b"too much": bytes(200_000)})
        assert contents(store) == RECORDS
        fill(store, {b"device": b"changed"})
        store._db.connection.execute("PRAGMA max_page_count=100000")
        fill(store, {b"too much": bytes(200_000)})
    with SqliteStore(filled, KEY) as store:
        assert contents(store) == {**RECORDS, b"device": b"changed", b"too much": bytes(200_000)}


# --- openers -------------------------------------------------------------------------------------


def test_a_store_is_used_in_the_thread_that_opened_it(path: Path) -> None:
    with SqliteStore(path, KEY) as store:
        caught: list[Reason] = []

        def use() -> None:
            actions: list[Callable[[], None]] = [
                lambda: fill(store, {b"a": b"1"}), store.scrub, store.close,
            ]  # fmt: skip
            for action in actions:
                try:
                    action()
                except LocalError as error:
                    caught.append(error.reason)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        assert caught == [Reason.BAD_INPUT] * 3
        assert contents(store) == {}


def test_a_store_is_not_used_in_a_forked_process(path: Path) -> None:
    with SqliteStore(path, KEY) as store:
        child = os.fork()
        if child == 0:
            try:
                fill(store, {b"a": b"1"})
            except LocalError as error:
                os._exit(7 if error.reason is Reason.BAD_INPUT else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert contents(store) == {}


def test_a_closed_store_refuses(path: Path) -> None:
    store = SqliteStore(path, KEY)
    with store.transaction(), fails(Reason.BAD_STORE):
        store.close()
    with store.transaction(), fails(Reason.BAD_STORE):
        store.scrub()
    store.close()
    store.close()
    actions: list[Callable[[], None]] = [
        lambda: fill(store, {b"a": b"1"}), store.scrub, lambda: store.rekey(OTHER),
    ]  # fmt: skip
    for action in actions:
        with fails(Reason.CLOSED):
            action()


def test_a_store_that_nobody_holds_any_more_can_be_opened(path: Path) -> None:
    store = SqliteStore(path, KEY)
    fill(store, {b"a": b"1"})
    connection = store._db.connection
    del store
    gc.collect()
    connection.close()
    with SqliteStore(path, KEY) as store:
        assert contents(store) == {b"a": b"1"}


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with bad_store():
        SqliteStore(tmp_path / "missing" / "mina.db", KEY)
