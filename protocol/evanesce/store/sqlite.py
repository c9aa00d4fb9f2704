"""An encrypted store in one SQLite database, for devices whose state outlives the process.

Names and values are sealed with XChaCha20-Poly1305 and padded. A master key, wrapped under what a
`KeySource` gives, is in the header. What is erased goes from the files with `scrub`, at opening and
at closing. POSIX only (`lock`).

**What the files tell without the key**: how many records there are, and have been at once; roughly
how large each is (names and values in steps of 64 bytes up to 1 KiB, above that the sizes of
envelopes); in which order they came; whether a passphrase or a key opens it. Whoever has the files
of two moments sees which rows were written or erased in between, and whoever watches the disk sees
when. The log holds the last transactions one by one until it is scrubbed.

**What erasure does not reach**: blocks that the file system, a snapshot, a backup or flash memory
keep of earlier versions of the files. They open with the master key; for messages, the hourly wrap
keys (spec 13.4) are against that.

Records that someone without the key has removed, exchanged or put back one by one are refused
(bad-store); a whole older store is recognised only with an `Anchor`.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from ..errors import LocalError, Reason, StorageError
from ..primitives import KEY_BYTES, Random
from ..secret import Secret
from .anchor import Anchor, Witness
from .database import Database, create_database, storage_faults
from .format import CURRENT, Layout
from .header import Header
from .keys import KeySource
from .lock import StoreLock
from .peek import peek_header
from .records import Records
from .sealing import State, Subkeys
from .transaction import BufferedTransaction

__all__ = ["SqliteStore"]

_PEEKS: Final = 3  # a store that is taken over may be written while its header is read


class SqliteStore:
    """A `Store` and `Scrubbing` over a database file and a key source.

    ::

        with SqliteStore("mina.db", Passphrase("…")) as store: …

    It is made if it does not exist. One opener at a time: another one, in this or another process,
    gets `LocalError` (store-busy). `takeover` opens it although a process that hangs still has it:
    each opening has a generation, and the older one's next transaction fails (store-busy) and
    writes nothing. Use it from the thread that opened it only, which is that of the event loop.

    `rolled_back` says that the store is older than its `anchor`: somebody has put back a copy. It
    can be read and written all the same, and says so until `accept_rollback`.
    """

    _layout: ClassVar[Layout] = CURRENT

    def __init__(
        self,
        path: str | os.PathLike[str],
        key: KeySource,
        *,
        anchor: Anchor | None = None,
        takeover: bool = False,
        random: Random = secrets.token_bytes,
    ) -> None:
        """Open a store, or make one.

        Raise `LocalError`: wrong-key (nothing has changed, in any file), store-busy, bad-input (a
        keyring that cannot be used). `StorageError` (bad-store): damaged, of a newer format, or not
        a store.
        """
        self._path = Path(path)
        self._witness = Witness(anchor)
        self._random = random
        self._owner = (os.getpid(), threading.get_ident())
        self._current: BufferedTransaction | None = None
        self._busy = False
        self._fenced = False
        self._stale = False  # a commit has failed: what the database holds must be read again
        self._state, self._sealed_state = State(), b""
        self._database: Database | None = None
        self._lock = StoreLock(self._path)
        try:
            with storage_faults():
                self._open(key, takeover)
        except BaseException:
            if self._database is not None:
                self._database.close()
            self._lock.release()
            raise

    # --- opening ---------------------------------------------------------------------------------

    def _open(self, key: KeySource, takeover: bool) -> None:
        free = self._lock.acquire()
        if not free and not (takeover and self._path.exists()):
            raise LocalError(Reason.STORE_BUSY, "another process has this store")
        if not self._path.exists():
            self._create(key)
        header = self._peek(1 if free else _PEEKS)
        master = header.open(key)
        self._witness.read()
        self._database = database = Database(self._path)
        self._master = master
        self._subkeys = Subkeys(master, self._random)
        self._records = Records(database.connection, self._subkeys)
        database.begin()
        try:
            self._migrate(header, key, master)
            database.check_schema(self._layout)
            self._records.load()
            state = self._subkeys.open_state(database.read("state"))
            if state.digest != self._records.digest:
                raise StorageError(Reason.BAD_STORE, "records are missing, or are not the newest")
            tidy = not self._records.drop_free_rows() and header.version == self._layout.version
            self._write_state(replace(
                state,
                generation=state.generation + 1,
                rolled_back=state.rolled_back or state.commits < self._witness.commits,
                untidy=state.untidy or not tidy,
            ))  # fmt: skip
            if not free:
                self._lock.seize()
            database.commit()
        except BaseException:
            database.roll_back()
            raise
        if self._state.untidy:
            self._tidy()
        database.empty_log()
        if not self._state.rolled_back:
            self._witness.tell(self._state.commits)

    def _create(self, key: KeySource) -> None:
        log = Path(f"{self._path}-wal")
        if log.exists() and log.stat().st_size:
            raise StorageError(Reason.BAD_STORE, "the database is missing, but its log is there")
        master = Secret(self._random(KEY_BYTES))
        header = Header.make(self._layout.version, key, master, self._random)
        state = Subkeys(master, self._random).seal_state(State())
        create_database(self._path, self._layout, header.dump(), state)

    def _peek(self, tries: int) -> Header:
        while True:
            tries -= 1
            try:
                return Header.load(peek_header(self._path), self._layout.version)
            except StorageError:
                if not tries:
                    raise

    def _migrate(self, header: Header, key: KeySource, master: Secret) -> None:
        database = self._db
        if Header.load(database.read("header"), self._layout.version) != header:
            raise StorageError(Reason.BAD_STORE, "the header has changed: try again")
        if header.version < self._layout.version:
            self._layout.migrate(database.connection, header.version, self._subkeys)
            newer = Header.make(self._layout.version, key, master, self._random)
            database.write("header", newer.dump())

    def _tidy(self) -> None:
        """Write the file anew: where rows have moved, copies may lie in the gaps."""
        with suppress(StorageError, LocalError), storage_faults():  # no space: the next time
            self._db.connection.execute("VACUUM")
            self._begin()
            try:
                self._finish(replace(self._state, untidy=False))
            finally:
                self._end()

    # --- transactions ----------------------------------------------------------------------------

    @property
    def _db(self) -> Database:
        if self._database is None:
            raise LocalError(Reason.CLOSED, "the store is closed")
        return self._database

    @contextmanager
    def transaction(self) -> Iterator[BufferedTransaction]:
        """A transaction; see `Store`. One that writes nothing costs next to nothing.

        Raise `LocalError`: store-busy, bad-store (inside another), closed.
        """
        self._begin()
        transaction = self._current = BufferedTransaction(self._records)
        try:
            yield transaction
            self._commit(transaction)
        finally:
            transaction.over = True
            self._current = None
            self._end()
        self._note()

    def _check_caller(self) -> None:
        if self._owner != (os.getpid(), threading.get_ident()):
            raise LocalError(
                Reason.BAD_INPUT, "a store is used in the thread and process that opened it"
            )

    def _begin(self) -> None:
        """Begin a transaction and see that the store is still this opener's."""
        self._check_caller()
        if self._busy:
            raise LocalError(Reason.BAD_STORE, "a transaction is open")
        database = self._db
        with storage_faults():
            database.begin()
            self._busy = True
            try:
                self._check_fence()
            except BaseException:
                self._end()
                raise

    def _check_fence(self) -> None:
        sealed = self._db.read("state")
        if sealed == self._sealed_state and not self._stale:
            return
        state = self._subkeys.open_state(sealed)
        if state.generation != self._state.generation:
            self._fenced = True
            raise LocalError(Reason.STORE_BUSY, "another process has taken this store over")
        if not self._stale:
            raise StorageError(Reason.BAD_STORE, "the store was changed from outside")
        self._records.load()
        if state.digest != self._records.digest:
            raise StorageError(Reason.BAD_STORE, "records are missing, or are not the newest")
        self._state, self._sealed_state, self._stale = state, sealed, False

    def _commit(self, transaction: BufferedTransaction) -> None:
        changes = transaction.changes()
        if not changes and not transaction.accepts_rollback:
            return
        state = self._state
        if transaction.accepts_rollback:
            beyond = max(state.commits, self._witness.commits)
            state = replace(state, rolled_back=False, commits=beyond)
        self._stale = True  # until all is durable
        with storage_faults():
            self._records.apply(changes)
            self._finish(state)

    def _finish(self, state: State) -> None:
        """Write the state and commit. If that fails, the next transaction reads all anew."""
        before = self._state, self._sealed_state
        self._stale = True
        try:
            self._write_state(state)
            self._db.commit()
        except BaseException:
            self._state, self._sealed_state = before
            raise
        self._stale = False

    def _write_state(self, state: State) -> None:
        """Count one commit more, and write what the store knows of itself."""
        state = replace(state, commits=state.commits + 1, digest=self._records.digest)
        sealed = self._subkeys.seal_state(state)
        self._db.write("state", sealed)
        self._state, self._sealed_state = state, sealed

    def _end(self) -> None:
        """Undo what was not committed."""
        self._busy = False
        with storage_faults():
            self._db.roll_back()

    # --- rollback --------------------------------------------------------------------------------

    @property
    def rolled_back(self) -> bool:
        """Whether this store is, or comes from, an older copy that was put back."""
        return self._state.rolled_back

    def accept_rollback(self) -> None:
        """Make `rolled_back` false with the transaction that is open now.

        For whoever has put things right with the other side. Raise `LocalError` (bad-store)
        outside a transaction.
        """
        self._check_caller()
        if self._current is None:
            raise LocalError(Reason.BAD_STORE, "there is no transaction to accept it in")
        self._current.accepts_rollback = True

    def _note(self) -> None:
        """Tell the witness of a commit; while rolled back, what it holds is the only evidence."""
        if not self._state.rolled_back:
            self._witness.note(self._state.commits)

    # --- upkeep ----------------------------------------------------------------------------------

    def scrub(self) -> None:
        """Make erased data go from the files; see `Scrubbing`.

        Raise `StorageError`: store-busy (another process still reads), bad-store. `LocalError`:
        store-busy (it was taken over), bad-store (inside a transaction), closed.
        """
        self._begin()
        self._end()
        with storage_faults():
            self._db.empty_log()

    def rekey(self, key: KeySource) -> None:
        """Let another key source open the store from now on, and the one until now no more.

        Only the master key is wrapped anew: a copy of the store of before, and what can be made of
        it, still opens by the old one.
        """
        header = Header.make(self._layout.version, key, self._master, self._random)
        self._begin()
        try:
            with storage_faults():
                self._db.write("header", header.dump())
                self._finish(self._state)
        finally:
            self._end()
        self._note()
        self.scrub()

    def close(self) -> None:
        """Scrub and close. A second time is fine."""
        if self._database is None:
            return
        self._check_caller()
        if self._busy:
            raise LocalError(Reason.BAD_STORE, "a transaction is open")
        try:
            with suppress(LocalError):  # taken over: nothing here is this opener's any more
                self.scrub()
            if not self._fenced and not self._state.rolled_back:
                with storage_faults():
                    self._witness.tell(self._state.commits)
        finally:
            self._database.close()
            self._database = None
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SqliteStore({str(self._path)!r})"
