"""A transport that is a folder: for processes of one machine, or machines that share a disk.

::

    root/mailboxes/<address>/capability       the hash of the write capability
                             <id>             an envelope that waits
                             <id>.spent       an id that was acked or recalled: it does not come
                                              back
         packages/<fingerprint>/<hash>        a one-time key package
                                <hash>.spent  one that was claimed
                                last-resort

Nobody stands between the users of a folder. Whoever can read it can read every envelope (sealed)
and key package, and whoever can write in it can delete them: the proof of a reader and the
capability of a writer are checked here against mistakes, not against people. `send` refuses as a
relay does, except that processes which write at the same moment may fill a mailbox past its limit,
each by one batch.

What a look at the folder tells: names are random, and modification times are full hours. The file
system itself still keeps when each inode was changed or born, numbers inodes in the order they were
made, lists some directories in that order, dates the directories, and says which user owns a file.
Erasing a file removes its name; the blocks on the disk are freed, not overwritten. Envelopes that
came within the same hour are delivered in no particular order. As an hour is counted from its
beginning, an envelope is kept for 71 to 72 hours.

All who share a folder need clocks that agree within minutes, and write access to each other's
directories (one user, or a common group and a umask of 007). It needs renaming that is atomic and
files that can be made exclusively, as local disks, SMB and NFS from version 3 have. Each look at a
mailbox lists the ids of the last 72 hours. On Windows it uses what should work there, but has not
been run.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import Reason, RemoteError
from ..limits import MAILBOX_ENVELOPES, MAX_ENVELOPE, PACKAGE_LIFETIME, RETENTION
from ..mailbox import MailboxReader
from ..ports import Clock, Delivery, Outgoing, Recall, SystemClock
from ..primitives import H, equal
from .directory import Directory
from .shelf import Shelf, on_the_hour

__all__ = ["FolderTransport"]

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between two looks for something new
_AT_ONCE = 16 * 1024 * 1024  # bytes of envelopes that one `receive` returns, or a little more
_PACKAGE = 1_024  # REQ-LIMIT-08
_MAILBOXES, _PACKAGES = "mailboxes", "packages"
_CAPABILITY, _LAST_RESORT = "capability", "last-resort"
_NAME = re.compile("[0-9a-f]{64}")


def _shuffled(names: Iterable[bytes]) -> list[bytes]:
    """In another order each time, so that nothing waits behind the same things for ever."""
    return sorted(names, key=lambda _: secrets.randbits(64))


class FolderTransport:
    """Mailboxes and key packages in a folder. Implements `Transport`, `Recalling`, `KeyDirectory`.

    Any number of these, in any number of processes, may use one folder. The disk is used in a
    thread: what a cancelled call had begun may still be done. `sleep` is for tests.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        clock: Clock | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._root = Path(root)
        self._clock = clock or SystemClock()
        self._sleep = sleep

    # --- where things are ------------------------------------------------------------------------

    @contextmanager
    def _enter(self, kind: str, name: bytes, *, make: bool = False) -> Iterator[Directory | None]:
        """The directory of a mailbox or of a device's packages; None if there is none."""
        if make:
            self._root.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                if len(name) != 32:
                    raise FileNotFoundError("a name in this folder has 32 bytes")
                directory = stack.enter_context(Directory.at(self._root))
                for part in (kind, name.hex()):
                    directory = stack.enter_context(directory.enter(part, make=make))
            except FileNotFoundError:
                if make:
                    raise
                yield None
            else:
                yield directory

    def _box(self, directory: Directory) -> Shelf:
        return Shelf(directory, key_bytes=16, largest=MAX_ENVELOPE, lifetime=RETENTION,
                     now=self._clock.now())  # fmt: skip

    def _shelf(self, directory: Directory) -> Shelf:
        return Shelf(directory, key_bytes=32, largest=_PACKAGE, lifetime=PACKAGE_LIFETIME,
                     now=self._clock.now())  # fmt: skip

    @staticmethod
    def _capability(directory: Directory) -> bytes | None:
        """The hash that is kept of a capability; None where it is damaged or no mailbox is."""
        kept = directory.read(_CAPABILITY, 32)
        return kept if kept is not None and len(kept) == 32 else None

    @staticmethod
    def _prove(reader: MailboxReader) -> None:
        challenge = secrets.token_bytes(32)
        reader.check(challenge, reader.prove(challenge))

    # --- mailboxes -------------------------------------------------------------------------------

    async def open_mailbox(self, reader: MailboxReader) -> None:
        """Make a mailbox exist; making it twice is fine."""
        self._prove(reader)
        await asyncio.to_thread(self._open, reader.mailbox.address, reader.mailbox.capability)

    def _open(self, address: bytes, capability: bytes) -> None:
        with self._enter(_MAILBOXES, address, make=True) as directory:
            if directory is not None and self._capability(directory) is None:
                hashed = H(b"capability", capability)
                directory.write(_CAPABILITY, hashed, on_the_hour(self._clock.now()))
                directory.sync()

    async def close_mailbox(self, reader: MailboxReader) -> None:
        """Remove a mailbox and all that waits in it."""
        self._prove(reader)
        await asyncio.to_thread(self._close, reader.mailbox.address)

    def _close(self, address: bytes) -> None:
        with self._enter(_MAILBOXES, address) as directory:
            if directory is None:
                return
            directory.remove(_CAPABILITY)  # from now on it takes nothing
            for entry in list(directory.entries()):
                if not entry.is_directory:
                    directory.remove(entry.name)
            directory.sync()
        with Directory.at(self._root) as root, root.enter(_MAILBOXES) as boxes:
            with suppress(OSError):  # not empty: somebody has put something there
                boxes.remove_directory(address.hex())
            boxes.sync()

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        """Put envelopes into mailboxes; return the ids that were refused, with the reason.

        All that was taken is on the disk when this returns.
        """
        return await asyncio.to_thread(self._send, list(batch))

    def _send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        by_address: dict[bytes, list[Outgoing]] = {}
        for item in batch:
            by_address.setdefault(item.mailbox.address, []).append(item)
        refused: dict[bytes, Reason] = {}
        for address, items in by_address.items():
            with self._enter(_MAILBOXES, address) as directory:
                capability = None if directory is None else self._capability(directory)
                if directory is None or capability is None:
                    refused.update((item.id, Reason.UNKNOWN_MAILBOX) for item in items)
                    continue
                box = self._box(directory)
                box.look(_CAPABILITY)
                for item in items:
                    reason = self._put(box, capability, item)
                    if reason is not None:
                        refused[item.id] = reason
                directory.sync()
        return refused

    @staticmethod
    def _put(box: Shelf, capability: bytes, item: Outgoing) -> Reason | None:
        if not equal(H(b"capability", item.mailbox.capability), capability):
            return Reason.NOT_PERMITTED
        if len(item.envelope) > MAX_ENVELOPE:
            return Reason.TOO_LARGE
        if len(item.id) != 16:
            return Reason.BAD_INPUT
        if item.id in box.waiting or item.id in box.spent:
            return None
        if len(box.waiting) >= MAILBOX_ENVELOPES:
            return Reason.MAILBOX_FULL
        box.put(item.id, item.envelope)
        return None

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        """Wait until something is in one of these mailboxes and return what is there.

        Of very much, a part: the rest comes with the next call.
        """
        for reader in readers:
            self._prove(reader)
        addresses = [reader.mailbox.address for reader in readers]
        found = await asyncio.to_thread(self._look, addresses, must_exist=True)
        pause = FIRST_PAUSE
        while not found:
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            found = await asyncio.to_thread(self._look, addresses, must_exist=False)
        return found

    def _look(self, addresses: Sequence[bytes], *, must_exist: bool) -> list[Delivery]:
        found: list[Delivery] = []
        size = 0
        for address in _shuffled(addresses):
            with self._enter(_MAILBOXES, address) as directory:
                if directory is None or self._capability(directory) is None:
                    if must_exist:
                        raise RemoteError(Reason.UNKNOWN_MAILBOX, "no such mailbox")
                    continue  # closed while somebody waited
                box = self._box(directory)
                box.look(_CAPABILITY)
                for key in _shuffled(box.waiting):
                    envelope = box.get(key) if size < _AT_ONCE else None
                    if envelope is not None:
                        found.append(Delivery(address + key, address, envelope))
                        size += len(envelope)
        return found

    async def ack(self, ids: Sequence[bytes]) -> None:
        """Forget these deliveries: their receiver has stored them."""
        await asyncio.to_thread(self._ack, list(ids))

    def _ack(self, ids: Sequence[bytes]) -> None:
        for delivery in ids:
            if len(delivery) == 48:
                with self._enter(_MAILBOXES, delivery[:32]) as directory:
                    if directory is not None:
                        box = self._box(directory)
                        box.spend(delivery[32:])
                        box.erase(delivery[32:])

    async def recall(self, batch: Sequence[Recall]) -> None:
        """Erase these envelopes, and never take them again. Their ids stay for 72 hours."""
        await asyncio.to_thread(self._recall, list(batch))

    def _recall(self, batch: Sequence[Recall]) -> None:
        for item in batch:
            with self._enter(_MAILBOXES, item.mailbox.address) as directory:
                capability = None if directory is None else self._capability(directory)
                if directory is None or capability is None:
                    raise RemoteError(Reason.UNKNOWN_MAILBOX, "no such mailbox")
                if not equal(H(b"capability", item.mailbox.capability), capability):
                    raise RemoteError(Reason.NOT_PERMITTED, "not the capability of this mailbox")
                if len(item.id) == 16:  # others were never taken
                    self._box(directory).bar(item.id)

    # --- key packages ----------------------------------------------------------------------------

    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        """Add one-time key packages; replace the last-resort one if another is given.

        A one-time package that was claimed does not come back. Raise `ValueError` for a fingerprint
        or package of a wrong length.
        """
        given = [*packages, *([] if last_resort is None else [last_resort])]
        if len(fingerprint) != 32 or any(len(package) > _PACKAGE for package in given):
            raise ValueError("a fingerprint has 32 bytes, a key package at most 1,024")
        await asyncio.to_thread(self._publish, fingerprint, list(packages), last_resort)

    def _publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        with self._enter(_PACKAGES, fingerprint, make=True) as directory:
            if directory is None:
                return
            shelf = self._shelf(directory)
            shelf.look(_LAST_RESORT)
            for package in packages:
                key = H(b"folder package", package)
                if key not in shelf.waiting and key not in shelf.spent:
                    shelf.put(key, package)
            if last_resort is not None:
                shelf.put_named(_LAST_RESORT, last_resort)
            directory.sync()

    async def claim(self, fingerprint: bytes) -> bytes | None:
        """Take a one-time package out; when none is left, give the last-resort one, or None."""
        return await asyncio.to_thread(self._claim, fingerprint)

    def _claim(self, fingerprint: bytes) -> bytes | None:
        with self._enter(_PACKAGES, fingerprint) as directory:
            if directory is None:
                return None
            shelf = self._shelf(directory)
            shelf.look(_LAST_RESORT)
            for key in _shuffled(shelf.waiting):
                package = shelf.get(key)  # before it is spent: then anybody may erase it
                if package is not None and shelf.spend(key):  # by this process, and no other
                    shelf.erase(key)
                    return package
            return shelf.get_named(_LAST_RESORT)

    # --- old things ------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Erase what is too old in every mailbox, also where nobody looks any more.

        A mailbox that is read or written is swept by that. Call this now and then, from anywhere.
        """
        await asyncio.to_thread(self._sweep)

    def _sweep(self) -> None:
        for kind, kept, shelf in ((_MAILBOXES, _CAPABILITY, self._box),
                                  (_PACKAGES, _LAST_RESORT, self._shelf)):  # fmt: skip
            with suppress(FileNotFoundError), Directory.at(self._root) as root:
                with root.enter(kind) as directories:
                    names = [e.name for e in directories.entries() if _NAME.fullmatch(e.name)]
                for name in names:
                    with self._enter(kind, bytes.fromhex(name)) as directory:
                        if directory is not None:
                            shelf(directory).look(kept)
