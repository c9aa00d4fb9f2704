"""A store that was put back is recognised by its anchor, until that is accepted."""

from __future__ import annotations

from pathlib import Path
from shutil import copy

import pytest

from evanesce import LocalError, Reason, SqliteStore, StorageError
from evanesce.store.anchor import ANCHOR_EVERY, FileAnchor
from tests.store.store_support import KEY, bad_store, contents, fails, files, fill


class Anchor:
    """A number in memory, which may be told to fail."""

    def __init__(self) -> None:
        self.value: int | None = None
        self.writes = 0
        self.failure: Exception | None = None

    def read(self) -> int | None:
        if self.failure is not None:
            raise self.failure
        return self.value

    def write(self, value: int) -> None:
        if self.failure is not None:
            raise self.failure
        assert self.value is None or value > self.value, "an anchor goes forward"
        self.value, self.writes = value, self.writes + 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mina.db"


def use(path: Path, anchor: Anchor | FileAnchor, transactions: int = 1) -> None:
    """Open, write, close."""
    with SqliteStore(path, KEY, anchor=anchor) as store:
        assert not store.rolled_back
        for number in range(transactions):
            fill(store, {b"n": b"%d" % number})


def put_back(path: Path, old: Path) -> None:
    copy(old, path)


def keep(path: Path) -> Path:
    """A copy of a closed store."""
    return Path(copy(path, path.with_name(f"copy-{len(files(path.parent))}")))


def test_a_store_in_its_course_is_not_rolled_back(path: Path) -> None:
    anchor = Anchor()
    for transactions in (0, 1, ANCHOR_EVERY, 3 * ANCHOR_EVERY + 1):
        use(path, anchor, transactions)
    with SqliteStore(path, KEY) as store:  # without the anchor
        fill(store, {b"a": b"1"})
    use(path, anchor)


@pytest.mark.parametrize("transactions", [0, 1, 200])
def test_a_store_that_was_put_back_says_so_until_it_is_accepted(
    path: Path, transactions: int
) -> None:
    anchor = Anchor()
    use(path, anchor, 3)
    old = keep(path)
    use(path, anchor, transactions)
    highest = anchor.value
    put_back(path, old)
    for opening in range(3):
        with SqliteStore(path, KEY, anchor=anchor if opening < 2 else None) as store:
            assert store.rolled_back
            assert contents(store)[b"n"] == b"2" if opening == 0 else True
            for number in range(100):  # its own counter passes that of the anchor
                fill(store, {b"n": b"%d" % number})
            assert store.rolled_back
            assert anchor.value == highest, "the evidence is gone"
    with SqliteStore(path, KEY, anchor=anchor) as store:
        with store.transaction() as tx:
            tx.put(b"n", b"put right")
            store.accept_rollback()
        assert not store.rolled_back
    with SqliteStore(path, KEY, anchor=anchor) as store:
        assert not store.rolled_back
        assert contents(store) == {b"n": b"put right"}
    put_back(path, old)
    with SqliteStore(path, KEY, anchor=anchor) as store:
        assert store.rolled_back


def test_accepting_at_once_after_opening_holds(path: Path) -> None:
    anchor = Anchor()
    use(path, anchor)
    old = keep(path)
    use(path, anchor, 500)
    put_back(path, old)
    with SqliteStore(path, KEY, anchor=anchor) as store, store.transaction():
        store.accept_rollback()
    use(path, anchor)


def test_accepting_goes_with_its_transaction(path: Path) -> None:
    anchor = Anchor()
    use(path, anchor)
    old = keep(path)
    use(path, anchor)
    put_back(path, old)
    with SqliteStore(path, KEY, anchor=anchor) as store:
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.accept_rollback()
            raise ZeroDivisionError
        assert store.rolled_back
        with fails(Reason.BAD_STORE):
            store.accept_rollback()
        fill(store, {b"n": b"1"})
        assert store.rolled_back
    with SqliteStore(path, KEY, anchor=anchor) as store:
        assert store.rolled_back


def test_the_anchor_is_written_at_opening_at_closing_and_now_and_then(path: Path) -> None:
    anchor = Anchor()
    store = SqliteStore(path, KEY, anchor=anchor)
    assert (anchor.value, anchor.writes) == (1, 1)
    for number in range(1, 3 * ANCHOR_EVERY + 2):
        fill(store, {b"n": b"%d" % number})
        assert anchor.writes == 1 + number // ANCHOR_EVERY
        assert anchor.value is not None
        assert 0 <= store._state.commits - anchor.value < ANCHOR_EVERY
    store.close()
    assert anchor.value == 3 * ANCHOR_EVERY + 2


def test_a_crash_between_commit_and_anchor_is_no_rollback(path: Path) -> None:
    anchor = Anchor()
    store = SqliteStore(path, KEY, anchor=anchor)
    anchor.failure = OSError("the power is gone")
    for number in range(2 * ANCHOR_EVERY):
        fill(store, {b"n": b"%d" % number})  # the commit stands
    with pytest.raises(StorageError):
        store.close()
    anchor.failure = None
    assert anchor.value == 1
    use(path, anchor)
    assert anchor.value > 2 * ANCHOR_EVERY


def test_an_anchor_that_failed_is_written_with_the_next_commit(path: Path) -> None:
    anchor = Anchor()
    with SqliteStore(path, KEY, anchor=anchor) as store:
        for failure in (OSError("gone"), LocalError(Reason.BAD_INPUT), StorageError(Reason.CLOSED)):
            anchor.failure = failure
            for number in range(ANCHOR_EVERY + 5):
                fill(store, {b"n": b"%d" % number})
            anchor.failure = None
            fill(store, {b"n": b"last"})
            assert anchor.value == store._state.commits


def test_an_anchor_that_cannot_be_read_is_told_and_lets_go(path: Path) -> None:
    anchor = Anchor()
    use(path, anchor)
    for failure in (OSError("gone"), StorageError(Reason.BAD_STORE, "damaged")):
        anchor.failure = failure
        with bad_store():
            SqliteStore(path, KEY, anchor=anchor)
    anchor.failure = None
    use(path, anchor)


def test_a_new_store_beside_a_used_anchor_is_rolled_back(path: Path) -> None:
    anchor = Anchor()
    use(path, anchor, 3)
    path.unlink()
    with SqliteStore(path, KEY, anchor=anchor) as store:
        assert store.rolled_back


# --- an anchor in a file -------------------------------------------------------------------------


def test_an_anchor_in_a_file(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchor")
    assert anchor.read() is None
    for value in (0, 1, 1, 2**40):
        anchor.write(value)
        assert FileAnchor(tmp_path / "anchor").read() == value
    with fails(Reason.BAD_INPUT):
        anchor.write(2**40 - 1)
    assert set(files(tmp_path)) == {"anchor"}


@pytest.mark.parametrize("junk", [b"", b"x", b"-1", b"1.5", "１".encode(), b"\xff", b"9" * 30])
def test_a_damaged_anchor_is_told(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "anchor").write_bytes(junk)
    with bad_store():
        FileAnchor(tmp_path / "anchor").read()


def test_a_store_with_its_anchor_in_a_file(tmp_path: Path, path: Path) -> None:
    anchor = FileAnchor(tmp_path / "elsewhere")
    use(path, anchor, 100)
    old = keep(path)
    use(path, anchor)
    use(path, anchor)
    put_back(path, old)
    with SqliteStore(path, KEY, anchor=FileAnchor(tmp_path / "elsewhere")) as store:
        assert store.rolled_back
