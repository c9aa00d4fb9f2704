"""The table of mailboxes: equal buckets of records, each sealed as a whole (spec 22.6).

A bucket looks the same full and empty, and is written only when a mailbox is made, renewed for
another quarter, or removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ..errors import LocalError, Reason, RemoteError
from ..limits import DAY, QUARTER
from ..wire import Value, decode, encode
from .clock import RelayClock
from .names import Names
from .rows import RelayStore, StoreFailure
from .sealing import open_bucket, seal_bucket

__all__ = ["BUCKET_BYTES", "BUCKET_RECORDS", "Mailboxes", "Record"]

BUCKET_RECORDS: Final = 64
_MEAN: Final = 32  # records in a bucket when the table is as full as it is made for
_RECORD_BYTES: Final = 57  # at most: an array of bin 16, bin 32, uint
BUCKET_BYTES: Final = 3_700
_META: Final = 0  # the number of the bucket that says what the table is made for
_FORMAT: Final = 1
_CACHED: Final = 2_048  # buckets
_FRESH_SECONDS: Final = 3.0  # that a bucket is believed while others may change it
_ATTEMPTS: Final = 16
_SWEPT_AT_ONCE: Final = 64  # buckets looked through in one `sweep`
_FILLED_AT_ONCE: Final = 128  # buckets written together while the table is made
_MIXINGS: Final = 120  # calls of `mix` within which the whole table is sealed anew: 40 minutes

assert BUCKET_BYTES >= 40 + 1 + 3 + BUCKET_RECORDS * _RECORD_BYTES


class Record(NamedTuple):
    """What is kept of a mailbox."""

    capability_hash: bytes
    lease: int  # the quarter in which its owner last made it


_Change = Callable[[dict[bytes, Record]], bool]


@dataclass(slots=True)
class _Bucket:
    version: int
    records: dict[bytes, Record] = field(repr=False)
    read: float  # when, by the monotonic clock


class Mailboxes:
    """The table. Raise `StoreFailure` where the store does, besides what is said."""

    def __init__(
        self, store: RelayStore, names: Names, key: bytes, clock: RelayClock, mailboxes: int
    ) -> None:
        self._store, self._names, self._key, self._clock = store, names, key, clock
        self._count = -(-mailboxes // _MEAN)
        self._cache: OrderedDict[int, _Bucket] = OrderedDict()
        self._tags: dict[bytes, int] = {}  # of wakes, of the buckets in the cache
        self._changes = 0
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sweeping = 0  # the day for which the table is looked through, up to a bucket
        self._next_swept = 1
        self._unmixed: list[int] = []

    def quarter(self, tag: bytes) -> int:
        """The number of this quarter of a year, which begins on a day of each mailbox's own.

        If it began for all on one day, then who has renewed since would tell owners apart.
        """
        days = int.from_bytes(tag[8:12], "big") % (QUARTER // DAY)
        return (self._clock.now() + days * DAY) // QUARTER

    async def start(self) -> None:
        """Check that the table is ours. Raise `LocalError` (bad-store) when it is not."""
        wanted = encode([_FORMAT, self._count, BUCKET_RECORDS])
        version, data = await self._store.bucket(_META)
        if data is None:
            await self._fill()
            fresh = seal_bucket(self._key, _META, wanted, BUCKET_BYTES)
            if await self._store.swap(_META, version, fresh):
                return
            version, data = await self._store.bucket(_META)
        try:
            found = b"" if data is None else open_bucket(self._key, _META, data)
        except RemoteError:
            raise LocalError(
                Reason.BAD_STORE, "the table of mailboxes was not sealed with this relay's keys"
            ) from None
        if found != wanted:
            raise LocalError(
                Reason.BAD_STORE, "the table was made for another number of mailboxes or format"
            )

    async def _fill(self) -> None:
        """Write all buckets, empty: which of them are in use is not to be seen."""
        for first in range(1, self._count + 1, _FILLED_AT_ONCE):
            numbers = range(first, min(first + _FILLED_AT_ONCE, self._count + 1))
            await asyncio.gather(*(
                self._store.swap(number, 0, _seal(self._key, number, {})) for number in numbers
            ))  # fmt: skip

    async def find(
        self, addresses: Sequence[bytes], *, fresh: bool = False
    ) -> list[Record | Reason]:
        """The record of each mailbox, or why not: unknown-mailbox, or relay-busy for a bucket that
        cannot be read. What is not found is looked for again in the store if others may add it.
        """
        tags = [self._names.mailbox(address) for address in addresses]
        numbers = [self._number(tag) for tag in tags]
        buckets = await self._buckets(set(numbers), fresh=fresh)
        if self._store.shared and not fresh:
            missed = {number for tag, number in zip(tags, numbers, strict=True)
                      if (known := buckets[number]) and tag not in known.records}  # fmt: skip
            if missed:
                buckets |= await self._buckets(missed, fresh=True)
        found: list[Record | Reason] = []
        for tag, number in zip(tags, numbers, strict=True):
            bucket = buckets[number]
            if bucket is None:
                found.append(Reason.RELAY_BUSY)
                continue
            record = bucket.records.get(tag)
            found.append(Reason.UNKNOWN_MAILBOX if record is None or self._unused(tag, record)
                         else record)  # fmt: skip
        return found

    @property
    def changes(self) -> int:
        """Another number after any record has changed, as far as this process knows."""
        return self._changes

    async def make(self, address: bytes, capability_hash: bytes) -> None:
        """Make a mailbox, or renew its lease. Raise `RemoteError`: relay-full, relay-busy."""
        tag = self._names.mailbox(address)

        def change(records: dict[bytes, Record]) -> bool:
            record = records.get(tag)
            if record is not None and record.lease >= self.quarter(tag):
                return False
            if record is None and len(records) >= BUCKET_RECORDS:
                raise RemoteError(Reason.RELAY_FULL, "no more room for mailboxes")
            kept = capability_hash if record is None else record.capability_hash
            records[tag] = Record(kept, self.quarter(tag))
            return True

        await self._change(self._number(tag), change)

    async def remove(self, address: bytes) -> None:
        """Remove the record. Of none: nothing happens. Raise `RemoteError` (relay-busy)."""
        tag = self._names.mailbox(address)
        await self._change(self._number(tag), lambda records: records.pop(tag, None) is not None)

    async def sweep(self) -> None:
        """Look through a part of the table for mailboxes that nobody has used for two quarters.

        The whole table is looked through once after the start, and once a day.
        """
        today = self._clock.now() // DAY
        if self._sweeping != today:
            self._sweeping, self._next_swept = today, 1
        end = min(self._next_swept + _SWEPT_AT_ONCE, self._count + 1)
        for number in range(self._next_swept, end):
            try:
                await self._change(number, lambda _: False)
            except RemoteError:  # a damaged bucket: whoever needs it is told
                continue
        self._next_swept = end

    async def mix(self) -> None:
        """Seal a part of the table anew, at random: all of it within the hour.

        For a store that keeps the order or time of changes: those of making a mailbox go under.
        """
        if not self._unmixed:
            self._unmixed = list(range(1, self._count + 1))
            secrets.SystemRandom().shuffle(self._unmixed)
        for _ in range(min(-(-self._count // _MIXINGS), len(self._unmixed))):
            with contextlib.suppress(RemoteError):  # a damaged bucket: whoever needs it is told
                await self._change(self._unmixed.pop(), lambda _: True)

    def heard(self, tag: bytes) -> bool:
        """Whether a wake was of a bucket; what is remembered of it is not believed any more."""
        number = self._tags.get(tag)
        if number is not None:
            self._changes += 1
            self._forget(number)
        return number is not None

    def _unused(self, tag: bytes, record: Record) -> bool:
        return record.lease < self.quarter(tag) - 1

    def _number(self, tag: bytes) -> int:
        return 1 + int.from_bytes(tag[:8], "big") % self._count

    async def _buckets(self, numbers: set[int], *, fresh: bool) -> dict[int, _Bucket | None]:
        found: dict[int, _Bucket | None] = {}
        missing = []
        for number in numbers:
            known = None if fresh else self._cache.get(number)
            if known is not None and self._believed(known):
                self._cache.move_to_end(number)
                found[number] = known
            else:
                missing.append(number)
        if missing:
            read = await asyncio.gather(*map(self._read, missing))
            found.update(zip(missing, read, strict=True))
        return found

    def _believed(self, bucket: _Bucket) -> bool:
        return not self._store.shared or time.monotonic() - bucket.read < _FRESH_SECONDS

    async def _read(self, number: int) -> _Bucket | None:
        """A bucket from the store; None if it cannot be read, which is no empty one."""
        changes, since = self._changes, time.monotonic()
        try:
            version, data = await self._store.bucket(number)
        except StoreFailure:
            return None
        try:
            records = {} if data is None else _open(self._key, number, data)
        except RemoteError:
            return None
        bucket = _Bucket(version, records, since)
        if changes == self._changes:
            self._remember(number, bucket)
        return bucket

    async def _change(self, number: int, change: _Change) -> None:
        """Change a bucket; what is out of use goes with it. `change` says whether it did."""
        async with self._locks[number]:
            for attempt in range(_ATTEMPTS):
                fresh = attempt > 0 or self._store.shared
                bucket = (await self._buckets({number}, fresh=fresh))[number]
                if bucket is None:
                    raise RemoteError(Reason.RELAY_BUSY, "a bucket of the table cannot be read")
                records = {tag: record for tag, record in bucket.records.items()
                           if not self._unused(tag, record)}  # fmt: skip
                if not change(records) and len(records) == len(bucket.records):
                    return
                data = _seal(self._key, number, records)
                self._changes += 1
                self._forget(number)  # whatever happens now, it is not what was remembered
                try:
                    done = await self._store.swap(number, bucket.version, data)
                except BaseException:  # who repeats it may find it done
                    await self._store.wake([self._names.wake_bucket(number)])
                    raise
                if done:
                    await self._store.wake([self._names.wake_bucket(number)])
                    return
        raise RemoteError(Reason.RELAY_BUSY, "others change this bucket all the time")

    def _remember(self, number: int, bucket: _Bucket) -> None:
        self._cache[number] = bucket
        self._cache.move_to_end(number)
        self._tags[self._names.wake_bucket(number)] = number
        if len(self._cache) > _CACHED:
            self._forget(next(iter(self._cache)))

    def _forget(self, number: int) -> None:
        self._cache.pop(number, None)
        self._tags.pop(self._names.wake_bucket(number), None)


def _seal(key: bytes, number: int, records: dict[bytes, Record]) -> bytes:
    listed: list[Value] = [
        [tag, record.capability_hash, record.lease] for tag, record in sorted(records.items())
    ]
    return seal_bucket(key, number, encode(listed), BUCKET_BYTES)


def _open(key: bytes, number: int, data: bytes) -> dict[bytes, Record]:
    listed = decode(open_bucket(key, number, data), limit=BUCKET_BYTES)
    try:
        return {tag: Record(capability_hash, lease) for tag, capability_hash, lease in listed}
    except (TypeError, ValueError):
        raise RemoteError(Reason.BAD_FORM, "not a bucket") from None
