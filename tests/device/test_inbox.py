"""The evaporating inbox: what is kept, until when, and what is left of it afterwards."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from evanesce import Evaporation, LocalError, Reason, RemoteError
from evanesce.content import Said
from evanesce.envelope import pad
from evanesce.inbox import Inbox, Kept
from evanesce.limits import HOUR, MAX_LIFETIME
from evanesce.primitives import encrypt, unwrap
from evanesce.wire import decode
from tests.device.device_support import NOW, Store, Stream

ROOM, SENDER = b"r" * 32, b"s" * 32


class Shelf:
    """An inbox with its store, and the secrets of all that was ever put into it."""

    def __init__(self) -> None:
        self.random = Stream("inbox")
        self.store = Store()
        self.keys: dict[bytes, bytes] = {}
        self.ciphertexts: dict[bytes, bytes] = {}
        with self.store.transaction() as tx:
            self.inbox = Inbox.load(tx, NOW, self.random)

    def keep(
        self,
        body: str | bytes = "hello",
        after_view: int | None = None,
        lifetime: int = MAX_LIFETIME,
        *,
        sent: int = NOW,
        received: int = NOW,
    ) -> bytes:
        """Keep a message that says `body`; return its id."""
        message, key = self.random(16), self.random(32)
        evaporation = Evaporation(after_view, lifetime)
        content = Said(body, sent, evaporation).encode()
        ciphertext = encrypt(key, pad(content, 256))
        self.keys[message], self.ciphertexts[message] = key, ciphertext
        kept = Kept(
            id=message, room=ROOM, sender=SENDER, sent=sent, received=received,
            evaporation=evaporation, quote=None, viewed=None, wrapped=b"", ciphertext=ciphertext,
        )  # fmt: skip
        with self.store.transaction() as tx:
            self.inbox.keep(tx, kept, key, self.random)
        return message

    def view(self, message: bytes, now: int = NOW) -> str | bytes:
        with self.store.transaction() as tx:
            return self.inbox.view(tx, message, now)

    def close(self, message: bytes) -> bool:
        with self.store.transaction() as tx:
            return self.inbox.close(tx, message)

    def erase(self, message: bytes) -> None:
        with self.store.transaction() as tx:
            self.inbox.erase(tx, message)

    def rotate(self, now: int) -> None:
        with self.store.transaction() as tx:
            self.inbox.rotate(tx, now, self.random)

    def all(self, now: int = NOW) -> list[bytes]:
        with self.store.transaction() as tx:
            return [kept.id for kept in self.inbox.all(tx, now)]

    def reload(self) -> Inbox:
        with self.store.transaction() as tx:
            return Inbox.load(tx, NOW, self.random)

    def check_gone(self, message: bytes, now: int = NOW) -> None:
        """Assert that a message cannot be viewed and that its record is gone."""
        with pytest.raises(LocalError) as caught:
            self.view(message, now)
        assert caught.value.reason is Reason.EVAPORATED
        assert self.record(message) is None

    def record(self, message: bytes) -> Kept | None:
        data = self.store.contents().get(b"inbox/" + message)
        return None if data is None else Kept.load(data)

    def wrap_key(self) -> bytes:
        key: bytes = decode(self.store.contents()[b"wrap"], limit=128)[1]
        return key


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def found_in(needles: Iterable[bytes], store: Store) -> list[bytes]:
    """Which of these bytes a search of the whole store finds."""
    everything = b"".join(k + v for k, v in store.contents().items())
    return [needle for needle in needles if needle in everything]


@pytest.mark.parametrize("body", ["See you at 7?", "만나요 🌙", "", b"\x00\xffdata", b""])
def test_a_kept_message_says_what_was_sent(shelf: Shelf, body: str | bytes) -> None:
    message = shelf.keep(body)
    assert shelf.view(message) == body
    assert type(shelf.view(message)) is type(body)


def test_a_kept_message_lies_sealed(shelf: Shelf) -> None:
    """REQ-EVAP-05."""
    message = shelf.keep("a very secret sentence")
    shelf.view(message)
    assert not found_in([b"a very secret sentence", shelf.keys[message]], shelf.store)
    assert found_in([shelf.ciphertexts[message]], shelf.store), "or this test looks in vain"


def test_viewing_is_marked_once_and_in_the_store(shelf: Shelf) -> None:
    """REQ-EVAP-06."""
    message = shelf.keep(after_view=100)
    assert (kept := shelf.record(message))
    assert kept.viewed is None
    shelf.view(message, NOW + 5)
    shelf.view(message, NOW + 50)
    assert (kept := shelf.record(message))
    assert kept.viewed == NOW + 5


def test_zero_seconds_after_viewing_means_on_closing(shelf: Shelf) -> None:
    """REQ-EVAP-04."""
    message = shelf.keep("only once", after_view=0)
    assert shelf.view(message) == "only once"
    assert shelf.close(message)
    shelf.check_gone(message)
    assert shelf.inbox.next_deadline is None
    assert not shelf.close(message), "closed twice is closed"


def test_a_message_that_goes_on_closing_is_due_once_viewed_even_if_it_is_never_closed(
    shelf: Shelf,
) -> None:
    """A device that stops between viewing and closing finishes when it is opened again."""
    message = shelf.keep(after_view=0)
    assert shelf.inbox.due(NOW + HOUR) == []
    shelf.view(message, NOW + HOUR)
    assert shelf.inbox.due(NOW + HOUR) == [message]
    assert shelf.reload().due(NOW + HOUR) == [message]


@pytest.mark.parametrize("after_view", [1, 60, None])
def test_closing_erases_nothing_else(shelf: Shelf, after_view: int | None) -> None:
    message = shelf.keep("again", after_view)
    shelf.view(message)
    assert not shelf.close(message)
    assert shelf.view(message) == "again"


def test_a_timer_starts_when_the_message_is_viewed(shelf: Shelf) -> None:
    message = shelf.keep(after_view=60)
    assert shelf.inbox.next_deadline == NOW + MAX_LIFETIME
    shelf.view(message, NOW + 1_000)
    assert shelf.inbox.next_deadline == NOW + 1_060
    shelf.view(message, NOW + 1_059)
    assert shelf.inbox.next_deadline == NOW + 1_060, "a second view does not start it again"
    assert shelf.inbox.due(NOW + 1_059) == []
    assert shelf.inbox.due(NOW + 1_060) == [message]


def test_without_a_timer_the_lifetime_alone_counts(shelf: Shelf) -> None:
    message = shelf.keep(after_view=None, lifetime=500)
    shelf.view(message, NOW + 100)
    assert shelf.inbox.next_deadline == NOW + 500


@pytest.mark.parametrize("after_view", [0, 400, MAX_LIFETIME, None])
def test_viewing_never_extends_the_lifetime(shelf: Shelf, after_view: int | None) -> None:
    """REQ-EVAP-04."""
    message = shelf.keep(after_view=after_view, lifetime=500)
    shelf.view(message, NOW + 499)
    assert shelf.inbox.next_deadline is not None
    assert shelf.inbox.next_deadline <= NOW + 500
    assert shelf.inbox.due(NOW + 500) == [message]


@pytest.mark.parametrize(
    ("sent", "received"), [(NOW - 100, NOW), (NOW, NOW - 100)], ids=["late", "clock ahead"]
)
def test_the_lifetime_counts_from_the_earlier_of_sent_and_received(
    shelf: Shelf, sent: int, received: int
) -> None:
    """REQ-EVAP-03."""
    message = shelf.keep(lifetime=300, sent=sent, received=received)
    assert shelf.inbox.due(NOW + 199) == []
    assert shelf.inbox.due(NOW + 200) == [message]


def test_a_message_that_is_due_is_not_shown_even_before_it_is_erased(shelf: Shelf) -> None:
    """REQ-EVAP-06."""
    message = shelf.keep("late", lifetime=300)
    assert shelf.view(message, NOW + 299) == "late"
    with pytest.raises(LocalError) as caught:
        shelf.view(message, NOW + 300)
    assert caught.value.reason is Reason.EVAPORATED
    assert shelf.all(NOW + 299) == [message]
    assert shelf.all(NOW + 300) == []


def test_an_unknown_message_counts_as_evaporated(shelf: Shelf) -> None:
    shelf.check_gone(b"?" * 16)
    assert not shelf.close(b"?" * 16)
    shelf.erase(b"?" * 16)


def test_an_erased_message_is_gone_and_the_others_stay(shelf: Shelf) -> None:
    first, second = shelf.keep("one", lifetime=100), shelf.keep("two", lifetime=200)
    shelf.erase(first)
    shelf.check_gone(first)
    assert shelf.view(second) == "two"
    assert shelf.inbox.next_deadline == NOW + 200
    assert shelf.inbox.due(NOW + MAX_LIFETIME) == [second]


def test_messages_are_listed_as_they_came(shelf: Shelf) -> None:
    """Not as their authors' clocks say, and also within one second."""
    kept = [shelf.keep(sent=NOW - n, received=NOW + n // 5) for n in range(20)]
    assert shelf.all(NOW + 3) == kept
    shelf.rotate(NOW + HOUR)
    shelf.view(kept[7], NOW + HOUR)
    shelf.erase(kept.pop(19))
    shelf.inbox = shelf.reload()
    kept.append(shelf.keep())
    assert shelf.all(NOW + 3) == kept


def test_the_wrap_key_lasts_for_its_hour(shelf: Shelf) -> None:
    shelf.keep()
    before = shelf.store.contents()
    shelf.rotate(NOW + HOUR - 1)
    assert shelf.store.contents() == before
    shelf.rotate(NOW + HOUR)
    after = shelf.store.contents()
    shelf.rotate(NOW + 2 * HOUR - 1)
    assert shelf.store.contents() == after
    assert after != before


def test_rotation_wraps_the_survivors_again_and_changes_nothing_else(shelf: Shelf) -> None:
    """REQ-EVAP-08."""
    messages = {shelf.keep(f"number {n}", after_view=n, lifetime=9_000 + n): n for n in range(5)}
    shelf.view(next(iter(messages)), NOW + 1)
    before = {message: shelf.record(message) for message in messages}
    deadlines = shelf.inbox.due(NOW + MAX_LIFETIME), shelf.inbox.next_deadline
    old = shelf.wrap_key()
    shelf.rotate(NOW + HOUR)
    assert shelf.wrap_key() != old
    for message in messages:
        was, now = before[message], shelf.record(message)
        assert was is not None
        assert now is not None
        assert was.wrapped != now.wrapped
        assert {f: getattr(was, f) for f in Kept.__slots__ if f != "wrapped"} == {
            f: getattr(now, f) for f in Kept.__slots__ if f != "wrapped"
        }
        with pytest.raises(RemoteError) as caught:
            unwrap(old, now.wrapped, message)
        assert caught.value.reason is Reason.BAD_CIPHERTEXT
    assert (shelf.inbox.due(NOW + MAX_LIFETIME), shelf.inbox.next_deadline) == deadlines
    for message, n in list(messages.items())[1:]:
        assert shelf.view(message, NOW + HOUR) == f"number {n}"


def test_after_rotation_nothing_opens_what_was_erased(shelf: Shelf) -> None:
    """Not even with a copy of the store from before: its wrap key is nowhere any more."""
    gone, stays = shelf.keep("the erased text"), shelf.keep("the other text")
    old = Store(shelf.store.contents())
    old_wrap_key = shelf.wrap_key()
    shelf.erase(gone)
    shelf.rotate(NOW + HOUR)
    copied = Kept.load(old.contents()[b"inbox/" + gone])
    assert unwrap(old_wrap_key, copied.wrapped, gone) == shelf.keys[gone]
    with pytest.raises(RemoteError) as caught:
        unwrap(shelf.wrap_key(), copied.wrapped, gone)
    assert caught.value.reason is Reason.BAD_CIPHERTEXT
    secrets = [
        b"the erased text", shelf.keys[gone], shelf.ciphertexts[gone], copied.wrapped,
        old_wrap_key, gone,
    ]  # fmt: skip
    assert not found_in(secrets, shelf.store)
    assert found_in(secrets[2:], old) == secrets[2:], "or this test looks in vain"
    assert shelf.view(stays, NOW + HOUR) == "the other text"


def test_closing_a_message_leaves_nothing_of_it(shelf: Shelf) -> None:
    """REQ-EVAP-07."""
    message = shelf.keep("the viewed text", after_view=0)
    shelf.view(message)
    shelf.close(message)
    secrets = [b"the viewed text", shelf.keys[message], shelf.ciphertexts[message], message]
    assert not found_in(secrets, shelf.store)


def test_a_wrapped_key_belongs_to_its_message(shelf: Shelf) -> None:
    """REQ-EVAP-08."""
    one, two = shelf.keep("one"), shelf.keep("two")
    first, second = shelf.record(one), shelf.record(two)
    assert first is not None
    assert second is not None
    with pytest.raises(RemoteError):
        unwrap(shelf.wrap_key(), first.wrapped, two)
    assert unwrap(shelf.wrap_key(), second.wrapped, two) == shelf.keys[two]


def test_an_inbox_is_the_same_when_it_is_loaded_again(shelf: Shelf) -> None:
    for n in range(4):
        shelf.keep(f"{n}", after_view=n or None, lifetime=1_000 * (n + 1))
    shelf.rotate(NOW + HOUR)
    shelf.view(shelf.keep("viewed", after_view=7), NOW + HOUR + 3)
    before = shelf.store.contents()
    loaded = shelf.reload()
    assert shelf.store.contents() == before
    assert loaded.next_deadline == shelf.inbox.next_deadline == NOW + 1_000
    for now in range(NOW, NOW + 6_000, 10):
        assert sorted(loaded.due(now)) == sorted(shelf.inbox.due(now))
    with shelf.store.transaction() as tx:
        kept = loaded.all(tx, NOW)
        assert kept == shelf.inbox.all(tx, NOW)
        assert [loaded.view(tx, k.id, NOW) for k in kept] == [
            shelf.inbox.view(tx, k.id, NOW) for k in kept
        ]
        loaded.rotate(tx, NOW + HOUR, shelf.random)
    assert shelf.wrap_key() == decode(before[b"wrap"], limit=128)[1], "the hour is kept too"


def test_an_undone_transaction_is_undone_in_a_loaded_inbox(shelf: Shelf) -> None:
    message = shelf.keep("still here")
    shelf.store.failing = {shelf.store.transactions + 1}
    with pytest.raises(Exception, match="the disk is full"):
        shelf.erase(message)
    shelf.inbox = shelf.reload()
    assert shelf.view(message) == "still here"
