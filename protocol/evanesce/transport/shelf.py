"""A shelf: records in one directory, each put once and spent once, by any number of processes.

A record is a file named by the hex of its key. It appears whole: written aside, then renamed. That
it is spent is another, empty file beside it, ``<key>.spent``, which only one process can make. From
then on the record counts as gone, whoever may put it again, and is erased. So a process killed at
any point leaves a record that is there, or one that is spent, and nothing between.

Times are those of the files, to the hour. What is older than the shelf keeps things is erased when
somebody looks; so is, after a while, whatever is no record: half a file of a killed writer, damaged
or foreign files, links. Directories on a shelf are left alone.
"""

from __future__ import annotations

import contextlib
import re

from ..limits import HOUR
from ..primitives import H, equal
from .directory import Directory, Entry

__all__ = ["Shelf", "on_the_hour"]

STRAY = 2 * HOUR  # after which what is no record is erased: nobody writes one for so long
_CHECK = 16  # bytes of checksum before each record: disks and network shares do damage files
_SPENT = ".spent"
_MOST_SPENT = 4_000  # marks of records that were never there, beside those that were


def on_the_hour(now: int) -> int:
    """The last full hour: all that a file's time is to tell."""
    return now - now % HOUR


class Shelf:
    """Looks at a directory once, and then puts, reads and spends records there."""

    def __init__(
        self, directory: Directory, *, key_bytes: int, largest: int, lifetime: int, now: int
    ) -> None:
        self._directory = directory
        self._pattern = re.compile(rf"([0-9a-f]{{{2 * key_bytes}}})({re.escape(_SPENT)})?")
        self._largest = largest
        self._lifetime = lifetime
        self._now = now
        self.waiting: set[bytes] = set()  # keys of the records there were, after `look`
        self.spent: set[bytes] = set()

    def look(self, *but: str) -> None:
        """See what is there, and erase what is old or does not belong; `but` files do."""
        spent: dict[bytes, Entry] = {}
        records: dict[bytes, Entry] = {}
        for entry in list(self._directory.entries()):
            match = self._pattern.fullmatch(entry.name)
            if entry.is_directory or entry.name in but:
                continue
            if match is None:
                if self._age(entry) > STRAY:
                    self._erase(entry.name)
            else:
                (spent if match[2] else records)[bytes.fromhex(match[1])] = entry
        for key, entry in records.items():
            if key in spent or self._age(entry) > self._lifetime:
                self._erase(entry.name)
            else:
                self.waiting.add(key)
        for key, entry in spent.items():
            if self._age(entry) > self._lifetime and key not in records:
                self._erase(entry.name)
            else:
                self.spent.add(key)

    def _age(self, entry: Entry) -> int:
        if entry.time > self._now + HOUR:  # by a clock that is ahead: it begins to age now
            self._directory.date(entry.name, on_the_hour(self._now))
            return 0
        return self._now - entry.time

    def _erase(self, name: str) -> None:
        with contextlib.suppress(OSError):  # somebody else's: it is in the way of nothing
            self._directory.remove(name)

    def put(self, key: bytes, data: bytes) -> None:
        """Put a record there. Not durable before the directory's `sync`."""
        name = key.hex()
        self._directory.write(name, self._check(name, data) + data, on_the_hour(self._now))
        self.waiting.add(key)

    def put_named(self, name: str, data: bytes) -> None:
        """Put a record that has a name instead of a key, in place of the last one."""
        self._directory.write(name, self._check(name, data) + data, on_the_hour(self._now))

    def get(self, key: bytes) -> bytes | None:
        """A record's data; None if it is missing or not what was put. What is damaged ages."""
        data = self.get_named(key.hex())
        if data is None:
            time = self._directory.time(key.hex())
            if time is not None and self._now - time > STRAY:
                self._erase(key.hex())
        return data

    def get_named(self, name: str) -> bytes | None:
        """The same, for a name."""
        record = self._directory.read(name, self._largest + _CHECK)
        if record is None or len(record) < _CHECK:
            return None
        data = record[_CHECK:]
        return data if equal(record[:_CHECK], self._check(name, data)) else None

    def _check(self, name: str, data: bytes) -> bytes:
        return H(b"folder", self._directory.path.name.encode(), name.encode(), data)[:_CHECK]

    def spend(self, key: bytes) -> bool:
        """Let a record count as gone. Of all who try, one gets True; it then calls `erase`."""
        time = self._directory.time(key.hex())
        return time is not None and self._directory.mark(key.hex() + _SPENT, time)

    def bar(self, key: bytes) -> None:
        """Spend and remove a record, or see to it that it is spent should it come."""
        time = self._directory.time(key.hex())
        if time is None and len(self.spent) >= _MOST_SPENT:
            return  # whoever makes up so many keys fills nothing for ever
        self._directory.mark(key.hex() + _SPENT, on_the_hour(self._now) if time is None else time)
        self.erase(key)

    def erase(self, key: bytes) -> None:
        """Remove a record, if it is spent, and make that durable."""
        if self._directory.time(key.hex() + _SPENT) is None:
            return
        self._directory.remove(key.hex())
        self._directory.sync()
        self.waiting.discard(key)
        self.spent.add(key)
