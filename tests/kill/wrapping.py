"""A store, a transport and a folder in which every write is a point to be killed at."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from evanesce import SqliteStore, primitives
from evanesce.content import Content, Viewed
from evanesce.engine import Engine
from evanesce.errors import Reason
from evanesce.mailbox import MailboxReader
from evanesce.ports import Delivery, Outgoing, Recall, Transaction
from evanesce.room import Room
from evanesce.speech import Sent
from evanesce.transport.directory import Directory
from evanesce.transport.folder import FolderTransport
from tests.kill.bending import Bends
from tests.kill.erasures import RowJournal
from tests.kill.points import Journal, Points

__all__ = ["TOLD", "KillableStore", "KillableTransport", "watch_folder", "watch_receipts",
           "watch_seals"]  # fmt: skip

TOLD = b"app/receipt/"  # and the id of a message: how many receipts have told of it
# Records of repair, resync, burning, receipts and pins: each of these is a kind of point by itself.
FAMILIES = frozenset({b"asked", b"asking", b"answered", b"commit", b"slot", b"resync", b"taken",
                      b"recall", b"burned", b"receipts", b"pin"})  # fmt: skip


class KillableTransaction:
    """A transaction with points before and after each write."""

    def __init__(self, inner: Transaction, points: Points) -> None:
        self._inner = inner
        self._points = points
        self.written: set[bytes] = set()

    def _hit_family(self, what: str, name: bytes) -> None:
        family = name.split(b"/")[0]
        if family in FAMILIES and b"/" in name:
            self._points.hit(f"{what} {family.decode()}")

    def get(self, name: bytes) -> bytes | None:
        return self._inner.get(name)

    def put(self, name: bytes, data: bytes) -> None:
        self._hit_family("put", name)
        self._points.hit("put, before")
        self._inner.put(name, data)
        self.written.add(name)
        self._points.hit("put, after")

    def delete(self, name: bytes) -> None:
        self._hit_family("delete", name)
        self._points.hit("delete, before")
        self._inner.delete(name)
        self._points.hit("delete, after")

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return self._inner.scan(prefix)


class KillableStore:
    """An encrypted store; also each statement that SQLite begins is a point."""

    def __init__(self, inner: SqliteStore, points: Points, rows: RowJournal) -> None:
        self.inner = inner
        self._points = points
        self._rows = rows
        self.transactions = 0
        self._note_rows(name for name in inner._records._rows)  # the last note may be missing

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self._points.hit("transaction, before")
        with self.inner.transaction() as tx:
            self.transactions += 1
            killable = KillableTransaction(tx, self._points)
            yield killable
            self._points.hit("commit, before")
        self._note_rows(killable.written)
        self._points.hit("commit, after")

    def _note_rows(self, names: Iterable[bytes]) -> None:
        """What is read for this is no statement of the device's."""
        connection = self.inner._db.connection
        connection.set_trace_callback(None)
        self._rows.note(self.inner, names)
        connection.set_trace_callback(lambda _: self._points.hit("statement"))

    @property
    def rolled_back(self) -> bool:
        return self.inner.rolled_back

    def accept_rollback(self) -> None:
        self._points.hit("accept_rollback, before")
        self.inner.accept_rollback()

    def scrub(self) -> None:
        self._points.hit("scrub, before")
        self.inner.scrub()
        self._points.hit("scrub, after")

    def close(self) -> None:
        self._points.hit("close, before")
        self.inner.close()
        self._points.hit("close, after")


class KillableTransport:
    """A folder with points before and after each call, and a note of all that it was handed.

    With `early` it is broken: it forgets what it hands over before anybody has stored it.
    """

    def __init__(
        self, inner: FolderTransport, points: Points, handed: Journal, bends: Bends, *, early: bool
    ) -> None:
        self._inner = inner
        self.bends = bends
        self._points = points
        self._handed = handed
        self._early = early
        self.calls = 0

    def _before(self, call: str) -> None:
        self.calls += 1
        self._points.hit(f"{call}, before")

    async def open_mailbox(self, reader: MailboxReader) -> None:
        self._before("open_mailbox")
        await self._inner.open_mailbox(reader)
        self._points.hit("open_mailbox, after")

    async def close_mailbox(self, reader: MailboxReader) -> None:
        self._before("close_mailbox")
        await self._inner.close_mailbox(reader)
        self._points.hit("close_mailbox, after")

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        self._before("send")
        for item in batch:
            self._handed.note(
                "handed", address=item.mailbox.address.hex(), envelope=item.envelope.hex()
            )
        refused = await self._inner.send(self.bends.sift(batch))
        self._points.hit("send, after")
        return refused

    async def recall(self, batch: Sequence[Recall]) -> None:
        self._before("recall")
        await self._inner.recall(batch)
        self._points.hit("recall, after")

    async def hand_over_late(self) -> None:
        """What was late arrives now."""
        late = self.bends.late()
        assert not await self._inner.send(late)
        self.bends.arrived(late)

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        self._before("receive")
        found = await self._inner.receive(readers)
        if self._early:
            await self._inner.ack([delivery.id for delivery in found])
        self._points.hit("receive, after")
        return found

    async def ack(self, ids: Sequence[bytes]) -> None:
        self._before("ack")
        await self._inner.ack(ids)
        self._points.hit("ack, after")

    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        self._before("publish")
        await self._inner.publish(fingerprint, packages, last_resort)
        self._points.hit("publish, after")

    async def claim(self, fingerprint: bytes) -> bytes | None:
        self._before("claim")
        package = await self._inner.claim(fingerprint)
        self._points.hit("claim, after")
        return package


def watch_folder(points: Points) -> None:
    """Make each change of the folder's files a point: within a call that has only half happened."""

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any) -> Any:
            points.hit(f"folder {name}, before")
            result = real(*arguments)
            points.hit(f"folder {name}, after")
            return result

        return step

    for name in ("write", "mark", "remove"):
        setattr(Directory, name, watched(name, getattr(Directory, name)))


def watch_receipts() -> None:
    """Count the receipts for each message: in the transaction that seals one, or not at all."""
    real = Engine.say

    def say(engine: Engine, tx: Transaction, room: Room, content: Content, now: int) -> Sent:
        sent = real(engine, tx, room, content, now)
        if isinstance(content, Viewed):
            for message in content.messages:
                tx.put(TOLD + message, bytes([(tx.get(TOLD + message) or bytes(1))[0] + 1]))
        return sent

    setattr(Engine, "say", say)  # noqa: B010


def watch_seals(journal: Journal) -> None:
    """Note a hash of every key that is used once, and of what it seals, before it does."""
    real = primitives.encrypt

    def encrypt(key: bytes, plaintext: bytes) -> bytes:
        journal.note(
            "seal",
            key=hashlib.sha256(key).hexdigest(),
            plaintext=hashlib.sha256(plaintext).hexdigest(),
        )
        return real(key, plaintext)

    for name, module in list(sys.modules.items()):
        if name.startswith("evanesce") and getattr(module, "encrypt", None) is real:
            module.__dict__["encrypt"] = encrypt
