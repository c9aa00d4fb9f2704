"""A relay as one would write it in an afternoon: it works, and hides nothing. The control.

Four tables in SQLite, with the times and numbers that any table gets; acked messages are deleted as
SQLite deletes. It keeps less than many real servers do: no senders, no rooms, no network addresses.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from evanesce.errors import Reason, RemoteError
from evanesce.primitives import H
from evanesce.relay.relay import Cursor, Posted, Waiting

SCHEMA = """
CREATE TABLE mailboxes (address BLOB PRIMARY KEY, capability BLOB, created_at INTEGER);
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, mailbox BLOB, message BLOB,
                       size INTEGER, put_at INTEGER, body BLOB);
CREATE INDEX messages_mailbox ON messages (mailbox);
CREATE TABLE packages (id INTEGER PRIMARY KEY, fingerprint BLOB, package BLOB, created_at INTEGER);
CREATE TABLE blobs (hash BLOB PRIMARY KEY, content BLOB, created_at INTEGER);
"""


class NaiveRelay:
    """The methods of `Relay` that a world uses, over one database in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.now = 0
        self._base = sqlite3.connect(folder / "relay.db", isolation_level=None)
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute("PRAGMA synchronous=OFF")  # it is not killed here
        self._base.executescript(SCHEMA)

    def close(self) -> None:
        self._base.close()

    async def tick(self) -> None:
        old = self.now - 72 * 3600
        self._base.execute("DELETE FROM messages WHERE put_at < ?", (old,))
        self._base.execute("DELETE FROM blobs WHERE created_at < ?", (old,))

    async def put(self, items: Sequence[Posted]) -> list[Reason | None]:
        outcomes: list[Reason | None] = []
        self._base.execute("BEGIN")
        for item in items:
            known = self._base.execute(
                "SELECT capability FROM mailboxes WHERE address = ?", (item.address,)
            ).fetchone()
            if known is None:
                outcomes.append(Reason.UNKNOWN_MAILBOX)
            elif known[0] != H(b"capability", item.capability):
                outcomes.append(Reason.NOT_PERMITTED)
            else:
                outcomes.append(None)
                self._base.execute(
                    "INSERT INTO messages (mailbox, message, size, put_at, body)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (item.address, item.id, len(item.envelope), self.now, item.envelope),
                )
        self._base.execute("COMMIT")
        return outcomes

    async def make_mailbox(self, address: bytes, capability_hash: bytes) -> None:
        self._base.execute(
            "INSERT OR IGNORE INTO mailboxes VALUES (?, ?, ?)", (address, capability_hash, self.now)
        )

    async def remove_mailbox(self, address: bytes) -> None:
        self._base.execute("DELETE FROM mailboxes WHERE address = ?", (address,))
        self._base.execute("DELETE FROM messages WHERE mailbox = ?", (address,))

    async def fetch(
        self, address: bytes, cursor: Cursor, envelopes: int, octets: int
    ) -> list[Waiting]:
        rows = self._base.execute(
            "SELECT message, body FROM messages WHERE mailbox = ? ORDER BY id LIMIT ?",
            (address, envelopes),
        ).fetchall()
        return [Waiting(message, body, False) for message, body in rows]

    async def ack(self, address: bytes, ids: Sequence[bytes]) -> None:
        self._base.executemany(
            "DELETE FROM messages WHERE mailbox = ? AND message = ?", [(address, i) for i in ids]
        )

    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        self._base.executemany(
            "INSERT INTO packages (fingerprint, package, created_at) VALUES (?, ?, ?)",
            [(fingerprint, package, self.now) for package in packages],
        )

    async def claim(self, fingerprint: bytes) -> bytes | None:
        row = self._base.execute(
            "DELETE FROM packages WHERE id = (SELECT min(id) FROM packages WHERE fingerprint = ?)"
            " RETURNING package",
            (fingerprint,),
        ).fetchone()
        return row[0] if row else None

    async def put_blob(self, token_hash: bytes, content: bytes) -> None:
        key = H(b"blob", content)
        self._base.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?, ?)", (key, content, self.now))

    async def blob(self, content_hash: bytes) -> bytes:
        row = self._base.execute(
            "SELECT content FROM blobs WHERE hash = ?", (content_hash,)
        ).fetchone()
        if row is None:
            raise RemoteError(Reason.UNKNOWN_BLOB, "no such blob")
        return bytes(row[0])
