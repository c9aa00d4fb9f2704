"""Relays that tell something: each breaks one rule of 22.6, and the attack has to notice.

They are the real relay with one thing done as one might have done it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

from evanesce.primitives import KDF
from evanesce.relay import logs, mailboxes
from evanesce.relay.names import Names, place
from evanesce.relay.rows import Place, Row
from evanesce.relay.sealing import seal_bucket
from evanesce.relay.sqlite_rows import SqliteRows
from evanesce.wire import Value, encode


@contextmanager
def linkable_places() -> Iterator[None]:
    """The first half of a row's name is the same for all rows of a mailbox."""

    def half(box_key: bytes, hour: int, number: int) -> Place:
        whole = place(box_key, hour, number)
        return Place(hour, box_name(box_key) + whole.name[8:])

    with mock.patch.object(logs, "place", half):
        yield


def box_name(box_key: bytes) -> bytes:
    """What the rows of a mailbox share there."""
    return KDF(box_key, b"a careless name", size=8)


class MarkingRows(SqliteRows):
    """Puts something readable before the data of each row."""

    size = 0

    def mark(self, where: Place) -> bytes:
        raise NotImplementedError

    async def add(self, rows: Sequence[Row]) -> list[bool]:
        return await super().add([replace(r, data=self.mark(r.place) + r.data) for r in rows])

    async def blank(self, rows: Sequence[Row]) -> list[bool]:
        return await super().blank([replace(r, data=self.mark(r.place) + r.data) for r in rows])

    async def read(self, places: Sequence[Place]) -> list[bytes | None]:
        found = await super().read(places)
        return [None if data is None else data[self.size :] for data in found]


class SecondsRows(MarkingRows):
    """The hour is kept, and the second as well."""

    size = 4

    def __init__(self, folder: Path, now: Callable[[], int]) -> None:
        super().__init__(folder)
        self._now = now

    def mark(self, where: Place) -> bytes:
        return self._now().to_bytes(4, "big")


class AddressRows(MarkingRows):
    """Each row says whose it is."""

    size = 32

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._of_box: dict[bytes, bytes] = {}
        self._of_place: dict[bytes, bytes] = {}

    def mark(self, where: Place) -> bytes:
        return self._of_place.get(where.name, bytes(32))

    @contextmanager
    def knowing(self) -> Iterator[None]:
        """Let it see the addresses, which no store is told."""
        box = Names.box

        def seen_box(names: Names, address: bytes) -> bytes:
            key = box(names, address)
            self._of_box[key] = address
            return key

        def seen_place(box_key: bytes, hour: int, number: int) -> Place:
            where = place(box_key, hour, number)
            if box_key in self._of_box:
                self._of_place[where.name] = self._of_box[box_key]
            return where

        boxes = mock.patch.object(Names, "box", seen_box)
        with boxes, mock.patch.object(logs, "place", seen_place):
            yield


@contextmanager
def written_when_needed() -> Iterator[None]:
    """A bucket of the table is written when it is first needed, not when the table is made."""

    async def nothing(_: object) -> None:
        pass

    with mock.patch.object(mailboxes.Mailboxes, "_fill", nothing):
        yield


class PlainTable(SqliteRows):
    """The table of mailboxes as one would make it: a row for a bucket when it is first needed."""

    journal = "DELETE"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._plain = sqlite3.connect(folder / "plain.db", isolation_level=None)
        self._plain.execute("PRAGMA synchronous=OFF")
        self._plain.execute(f"PRAGMA journal_mode={self.journal}")
        self._plain.execute("PRAGMA wal_autocheckpoint=0")
        self._plain.execute("CREATE TABLE plain (number INTEGER, version INTEGER, data BLOB)")
        self.prepare()

    def prepare(self) -> None:
        """Before the first bucket is written."""

    async def bucket(self, number: int) -> tuple[int, bytes | None]:
        found = self._plain.execute(
            "SELECT version, data FROM plain WHERE number = ? AND version > 0", (number,)
        ).fetchone()
        return (found[0], found[1]) if found else (0, None)

    async def swap(self, number: int, version: int, data: bytes) -> bool:
        if (await self.bucket(number))[0] != version:
            return False
        done = self._plain.execute(
            "UPDATE plain SET version = version + 1, data = ? WHERE number = ?", (data, number)
        )
        if done.rowcount == 0:
            self._plain.execute("INSERT INTO plain VALUES (?, 1, ?)", (number, data))
        return True

    async def stop(self) -> None:
        self._plain.close()
        await super().stop()


class NumberedTable(PlainTable):
    """Each bucket has the number of its last change, as a message of a stream has."""

    def prepare(self) -> None:
        self._last = 0
        self._plain.execute("ALTER TABLE plain ADD COLUMN sequence INTEGER")
        self._plain.executemany(
            "INSERT INTO plain VALUES (?, 0, zeroblob(?), 0)",
            ((n, mailboxes.BUCKET_BYTES) for n in range(2_049)),
        )

    async def swap(self, number: int, version: int, data: bytes) -> bool:
        done = await super().swap(number, version, data)
        self._last += 1
        self._plain.execute(
            "UPDATE plain SET sequence = ? WHERE number = ?", (self._last, number)
        )
        return done


class LoggedTable(PlainTable):
    """All buckets are there from the beginning, but a log that nobody empties has every change."""

    journal = "WAL"

    def prepare(self) -> None:
        size = mailboxes.BUCKET_BYTES
        self._plain.executemany(
            "INSERT INTO plain VALUES (?, 0, zeroblob(?))", ((n, size) for n in range(200))
        )
        self._plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def unsorted_buckets() -> Iterator[None]:
    """The records of a bucket stand in it in the order in which they came."""

    def seal(key: bytes, number: int, records: dict[bytes, mailboxes.Record]) -> bytes:
        listed: list[Value] = [[tag, *record] for tag, record in records.items()]
        return seal_bucket(key, number, encode(listed), mailboxes.BUCKET_BYTES)

    with mock.patch.object(mailboxes, "_seal", seal):
        yield
