"""What has been erased is in none of a store's files: every row it ever had is noted for that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from evanesce import SqliteStore
from evanesce.ledger import Report
from evanesce.wire import decode
from tests.kill.points import Journal, read_journal

__all__ = ["RowJournal", "files", "remains"]

PIECE, STRIDE = 16, 32  # a run of 47 bytes of a row is found, wherever it begins
SOURCES = (b"inbox/", b"outbox/", b"held/", b"failed/")


def message_of(name: bytes, record: bytes) -> bytes | None:
    """The id of the message, or of the commit, that a record holds a copy of."""
    if name.startswith(b"inbox/"):
        return name[6:]
    if name.startswith(b"failed/"):
        return name[7:23]
    if name.startswith(b"held/"):
        return name[-16:]
    if name.startswith(b"outbox/"):
        found: bytes | None = decode(record, limit=1 << 22)[4]
        return found
    return None


class RowJournal:
    """Notes what lies in the database for each record that may hold a message."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)

    def note(self, store: SqliteStore, names: Iterable[bytes]) -> None:
        """These have been written, and that is committed."""
        for name in names:
            if not name.startswith(SOURCES) or name not in store._records._rows:
                continue
            row = store._db.connection.execute(
                "SELECT name, nonce, value FROM records WHERE id = ?",
                (store._records._rows[name].id,),
            ).fetchone()
            record = store._records.get(name)
            message = None if record is None else message_of(name, record)
            if message is not None:
                kind = name.split(b"/")[0].decode()
                self._journal.note(kind, message=message.hex(), row=b"".join(row).hex())

    def close(self) -> None:
        self._journal.close()


def files(home: Path) -> dict[str, bytes]:
    """Every file of a store, as it lies on the disk now."""
    return {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}


def _burned(store: SqliteStore) -> set[str]:
    """The messages that this device has burned."""
    with store.transaction() as tx:
        reports = [Report.load(data) for _, data in tx.scan(b"ledger/")]
    return {report.id.hex() for report in reports if report.burned}


def remains(store: SqliteStore, found_in: dict[str, bytes], rows: Path) -> Iterator[str]:
    """What is left in these files of messages that are gone, or of the copies of burned ones."""
    burned = _burned(store)
    with store.transaction() as tx:
        kept = {name[6:].hex() for name, _ in tx.scan(b"inbox/")}
        queued = {
            found.hex()
            for prefix in SOURCES
            for name, data in tx.scan(prefix)
            if (found := message_of(name, data)) is not None
        }
    yield from (f"a copy of the burned {key}" for key in sorted(burned & queued))
    gone: dict[str, set[bytes]] = {}
    for line in read_journal(rows):
        key = line["message"]
        if (line["what"] == "inbox" and key not in kept) or key in burned - queued:
            gone.setdefault(key, set()).add(bytes.fromhex(line["row"]))
    for key, rows_of_it in sorted(gone.items()):
        pieces = {
            row[at : at + PIECE] for row in rows_of_it for at in range(0, len(row) - PIECE, STRIDE)
        }
        for name, data in found_in.items():
            if any(piece in data for piece in pieces):
                yield f"{key} in {name}"
