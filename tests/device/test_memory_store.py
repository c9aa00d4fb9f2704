"""The store in memory, which is the example of how to write one."""

import pytest

from evanesce import LocalError, MemoryStore, Reason


class Interrupted(Exception):
    """Something that goes wrong inside a transaction."""


def test_what_a_transaction_wrote_is_there_after_it() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        tx.put(b"a", b"1")
        tx.put(b"b", b"2")
    with store.transaction() as tx:
        assert (tx.get(b"a"), tx.get(b"b"), tx.get(b"c")) == (b"1", b"2", None)
    assert store.contents() == {b"a": b"1", b"b": b"2"}


def test_a_failed_transaction_leaves_nothing_behind() -> None:
    store = MemoryStore({b"a": b"1", b"b": b"2"})
    with pytest.raises(Interrupted), store.transaction() as tx:
        tx.put(b"a", b"changed")
        tx.put(b"c", b"new")
        tx.delete(b"b")
        raise Interrupted
    assert store.contents() == {b"a": b"1", b"b": b"2"}
    with store.transaction() as tx:
        assert tx.get(b"a") == b"1"


def test_nothing_is_seen_from_outside_before_the_commit() -> None:
    store = MemoryStore({b"a": b"1"})
    with store.transaction() as tx:
        tx.put(b"a", b"2")
        tx.delete(b"a")
        tx.put(b"b", b"3")
        assert store.contents() == {b"a": b"1"}
    assert store.contents() == {b"b": b"3"}


def test_a_nested_transaction_is_refused_and_does_no_harm() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        tx.put(b"a", b"1")
        with pytest.raises(LocalError) as caught, store.transaction():
            pytest.fail("a second transaction was given out")
        assert caught.value.reason is Reason.BAD_STORE
        tx.put(b"b", b"2")
    assert store.contents() == {b"a": b"1", b"b": b"2"}


def test_a_transaction_reads_its_own_writes() -> None:
    store = MemoryStore({b"a": b"1", b"b": b"2"})
    with store.transaction() as tx:
        tx.put(b"a", b"changed")
        tx.delete(b"b")
        assert tx.get(b"a") == b"changed"
        assert tx.get(b"b") is None
        tx.put(b"b", b"again")
        assert tx.get(b"b") == b"again"
        tx.delete(b"never there")
    assert store.contents() == {b"a": b"changed", b"b": b"again"}


def test_a_scan_gives_own_writes_in_the_order_of_names_and_no_deleted_ones() -> None:
    store = MemoryStore({b"p/3": b"c", b"p/1": b"a", b"p/4": b"d", b"q/1": b"other", b"p": b"no"})
    with store.transaction() as tx:
        tx.put(b"p/2", b"b")
        tx.put(b"p/1", b"A")
        tx.delete(b"p/4")
        tx.put(b"p/\xff", b"last")
        assert list(tx.scan(b"p/")) == [
            (b"p/1", b"A"), (b"p/2", b"b"), (b"p/3", b"c"), (b"p/\xff", b"last"),
        ]  # fmt: skip
        assert list(tx.scan(b"r")) == []


def test_a_scan_goes_on_while_the_transaction_writes() -> None:
    store = MemoryStore({b"p/1": b"a", b"p/2": b"b"})
    with store.transaction() as tx:
        for name, _ in tx.scan(b"p/"):
            tx.delete(name)
            tx.put(b"new" + name, b"")
    assert set(store.contents()) == {b"newp/1", b"newp/2"}


def test_contents_are_a_copy_both_ways() -> None:
    given = {b"a": b"1"}
    store = MemoryStore(given)
    given[b"a"] = b"2"
    taken = store.contents()
    taken[b"a"] = b"3"
    assert store.contents() == {b"a": b"1"}
