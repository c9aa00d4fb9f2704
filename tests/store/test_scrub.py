"""What is erased goes from the files: no 16 bytes of it are left in any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from evanesce import SqliteStore
from evanesce.store import records as records_module
from evanesce.store.records import Records
from tests.store.store_support import KEY, Child, contents, files, fill, sealed_row, survivors

SIZES = {"small": 300, "page": 4_000, "overflow": 60_000}
OTHERS = {b"other/%d" % i: b"%d" % i * 40 for i in range(60)}


def drop(store: SqliteStore) -> None:
    with store.transaction() as tx:
        tx.delete(b"victim")


def overwrite(store: SqliteStore) -> None:
    fill(store, {b"victim": b"other"})


def overwrite_in_place(store: SqliteStore) -> None:
    with store.transaction() as tx:
        old = tx.get(b"victim")
        assert old is not None
        tx.put(b"victim", bytes(len(old)))


ERASURES = [drop, overwrite, overwrite_in_place]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mina.db"


def value_of(blob: bytes) -> bytes:
    """The part of a row that is the sealed value: its name may have been kept."""
    return blob[104 + 24 :]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("erase", ERASURES)
def test_an_erased_record_is_in_no_file_after_a_scrub(
    path: Path, size: int, erase: Callable[[SqliteStore], None]
) -> None:
    with SqliteStore(path, KEY) as store:
        fill(store, OTHERS)
        fill(store, {b"victim": Random(1).randbytes(size)})
        blob = sealed_row(store, b"victim")
        assert survivors(path.parent, [blob]), "it was never in the files"
        store.scrub()
        assert survivors(path.parent, [blob]) == ["mina.db"]
        erase(store)
        assert survivors(path.parent, [value_of(blob)]), "nothing shows that the scrub matters"
        store.scrub()
        assert survivors(path.parent, [value_of(blob)]) == []
        if erase is drop:
            assert survivors(path.parent, [blob]) == []
        assert files(path.parent)["mina.db-wal"] == b""
        with store.transaction() as tx:
            assert {name: tx.get(name) for name in OTHERS} == OTHERS
    assert survivors(path.parent, [value_of(blob)]) == []


@pytest.mark.parametrize("erase", ERASURES)
def test_closing_scrubs(path: Path, erase: Callable[[SqliteStore], None]) -> None:
    with SqliteStore(path, KEY) as store:
        fill(store, {b"victim": bytes(20_000)})
        blob = value_of(sealed_row(store, b"victim"))
        erase(store)
    assert survivors(path.parent, [blob]) == []


def test_opening_scrubs_what_a_killed_process_has_left(path: Path) -> None:
    with SqliteStore(path, KEY) as store:
        fill(store, OTHERS | {b"victim": bytes(20_000)})
        blobs = [sealed_row(store, b"victim")]
    child = Child("opener.py", path)
    assert child.hear() == "open"
    assert child.ask("put second secret") == "done"
    assert child.ask("scrub") == "done"
    assert child.ask("drop victim") == "done"
    assert child.ask("put second other") == "done"
    assert child.ask("die") == ""
    assert child.end() == -9
    assert survivors(path.parent, blobs) == ["mina.db"], "its erasure is in the log only"
    with SqliteStore(path, KEY) as store:
        assert survivors(path.parent, blobs) == []
        assert contents(store) == OTHERS | {b"second": b"other"}


class Watch:
    """Keeps every sealed row that a store has erased or overwritten."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dead: list[bytes] = []
        apply = Records.apply

        def watched(records: Records, writes: dict[bytes, bytes | None]) -> None:
            for name, data in writes.items():
                row = records._rows.get(name)
                if row is None:
                    continue
                name_blob, nonce, value = records._connection.execute(
                    "SELECT name, nonce, value FROM records WHERE id = ?", (row.id,)
                ).fetchone()
                self.dead.append(nonce)
                self.dead.append(value)
                if data is None:
                    self.dead.append(name_blob)
            apply(records, writes)

        monkeypatch.setattr(Records, "apply", watched)


@pytest.mark.parametrize("compacting", [False, True])
def test_a_long_random_life_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch, compacting: bool
) -> None:
    """Rows of all sizes come and go, until pages have been filled and emptied many times."""
    if compacting:
        monkeypatch.setattr(records_module, "_WORTHWHILE", 0)
    watch = Watch(monkeypatch)
    dice = Random(7)
    model: dict[bytes, bytes] = {}
    sizes = [10, 40, 100, 200, 300, 500, 900, 2_000, 5_000, 12_000]
    compacted = 0
    for _ in range(6):
        with SqliteStore(path, KEY) as store:
            compacted += store._state.commits > 0 and not store._records._free
            assert contents(store) == model
            assert survivors(path.parent, watch.dead) == []
            for _ in range(40):
                with store.transaction() as tx:
                    for _ in range(dice.randint(1, 8)):
                        name = b"%d" % dice.randrange(120)
                        if dice.random() < 0.6:
                            model[name] = dice.randbytes(dice.choice(sizes))
                            tx.put(name, model[name])
                        else:
                            model.pop(name, None)
                            tx.delete(name)
            with store.transaction() as tx:  # most of it goes, so that the file is worth compacting
                for name in sorted(model)[5:]:
                    tx.delete(name)
                    del model[name]
            store.scrub()
            assert survivors(path.parent, watch.dead) == []
    assert len(watch.dead) > 1_000
    assert compacted >= 5 if compacting else compacted <= 1


def test_freed_rows_are_used_again(path: Path) -> None:
    with SqliteStore(path, KEY) as store:
        fill(store, {b"%d" % i: bytes(500) for i in range(100)})
        for turn in range(5):
            with store.transaction() as tx:
                for i in range(100):
                    tx.delete(b"%d" % (i + 100 * turn))
                    tx.put(b"%d" % (i + 100 * turn + 100), bytes(500))
        rows = store._db.connection.execute("SELECT count(*) FROM records").fetchone()
    assert rows == (100,)


def test_a_file_that_is_mostly_free_is_made_smaller_at_opening(path: Path) -> None:
    with SqliteStore(path, KEY) as store:
        fill(store, {b"%d" % i: bytes(10_000) for i in range(200)} | {b"kept": b"1"})
        with store.transaction() as tx:
            for i in range(200):
                tx.delete(b"%d" % i)
    assert path.stat().st_size > 2_000_000
    for _ in range(2):
        with SqliteStore(path, KEY) as store:
            assert contents(store) == {b"kept": b"1"}
            assert not store._state.untidy
        assert path.stat().st_size < 50_000
