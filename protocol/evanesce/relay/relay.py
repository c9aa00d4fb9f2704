"""The relay itself: what it does with each request, over any store (spec 22).

Nothing here speaks HTTP, and nothing knows who asks: sessions and rates are the web's. Every method
may raise `RemoteError` with the reason a client is told: relay-busy when the store failed or cannot
tell, relay-full when a bound of the whole relay is reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from ..errors import Reason, RemoteError
from ..limits import MAX_ENVELOPE
from ..primitives import H, equal
from .blobs import Blobs
from .boxes import Boxes
from .clock import RelayClock
from .faults import faults
from .items import Cursor, Given, Posted, Recalled, Waiting
from .keys import RelayKeys
from .mailboxes import Mailboxes, Record
from .names import Names
from .packages import Packages
from .reading import Gate
from .rows import REMAINDER_BYTES, RelayStore, StoreFailure
from .settings import RelaySettings

__all__ = ["Cursor", "Given", "Posted", "Recalled", "Relay", "Waiting"]

_USAGE_SECONDS: Final = 1.0  # that what the store said of its size is believed


class Relay:
    """A relay over a store. `start` before, `stop` after use; `tick` at least once a minute."""

    def __init__(
        self, store: RelayStore, keys: RelayKeys, clock: RelayClock, settings: RelaySettings
    ) -> None:
        self._store, self._keys, self._clock, self.settings = store, keys, clock, settings
        self._names = names = Names(keys.index)
        hours = settings.retention_hours
        self._mailboxes = Mailboxes(store, names, keys.table, clock, settings.mailboxes)
        gate = Gate()
        self._boxes = Boxes(store, keys, clock, names, hours, gate)
        self._packages = Packages(store, keys, clock, names, settings.claims_per_identity, gate)
        self._blobs = Blobs(store, keys, clock, names, hours, gate)
        self._watchers: dict[bytes, set[_Watcher]] = {}
        self._forgotten = -1  # the hour whose rows were erased last
        self._used, self._used_at = 0, float("-inf")
        self._limit = settings.store_bytes

    async def start(self) -> None:
        """Open the store, and forget what had to be forgotten meanwhile.

        Raise `LocalError` (bad-store): it would break a promise, or was made with other keys or
        for another number of mailboxes; (bad-input): the clock is ahead of that of a relay that
        uses the same keys now, and nobody has accepted it.
        """
        self._store.listen(self._heard)
        await self._store.start()
        hour = self._clock.hour()
        try:
            self._keys.join(hour, accept=self._clock.accepted)
            if hour < self._keys.last_hour - 1:  # and the operator says that it is right
                self._keys.set_back(hour)
            await self._mailboxes.start()
            await self.tick()
        except BaseException as error:
            self._keys.leave()
            if isinstance(error, StoreFailure):
                raise RemoteError(Reason.RELAY_BUSY, "the store failed") from error
            raise

    async def stop(self) -> None:
        """Close the store."""
        try:
            await self._store.stop()
        finally:
            self._keys.leave()
        self._boxes.forget()
        self._packages.forget()
        self._blobs.forget()

    async def tick(self) -> None:
        """Destroy the keys of hours that have begun, erase their rows, remove unused mailboxes."""
        hour = self._clock.hour()
        with faults():
            self._keys.destroy(hour)
            for log in (self._boxes, self._packages, self._blobs):
                log.expire(hour)
            if hour != self._forgotten:
                await self._store.forget(hour)
                self._forgotten = hour
            # Made ahead, so that no put waits for it.
            self._keys.hour_key(hour + self.settings.retention_hours)
            self._keys.hour_key(hour + self.settings.retention_hours + 1)
            await self._mailboxes.sweep()
            if self._store.shared:  # such a store keeps when a bucket was changed last
                await self._mailboxes.mix()
        if self._store.shared:
            self._heard(b"")

    async def put(self, items: Sequence[Posted]) -> list[Reason | None]:
        """Take envelopes; the outcome of each (REQ-RELAY-05). Durable where it is None."""
        with faults():
            changes = self._mailboxes.changes
            outcomes = await self._permitted(items)
            for number, item in enumerate(items):
                if outcomes[number] is None and not 0 < len(item.envelope) <= MAX_ENVELOPE:
                    outcomes[number] = Reason.TOO_LARGE if item.envelope else Reason.BAD_FORM
            good = [number for number, reason in enumerate(outcomes) if reason is None]
            if not good:
                return outcomes
            refuse = await self._full(sum(len(items[number].envelope) for number in good))
            addresses = {items[number].address for number in good}
            async with self._boxes.hold(addresses, only_put=True) as views:
                if changes != self._mailboxes.changes:  # removed, perhaps, while we waited
                    again = await self._permitted([items[number] for number in good])
                    outcomes = _merge(outcomes, good, again)
                    good = [number for number in good if outcomes[number] is None]
                done = await self._boxes.put(views, [items[number] for number in good], refuse)
            outcomes = _merge(outcomes, good, done)
            # An id that was known too: perhaps whoever took it was killed before it could tell.
            came = {items[number].address for number in good if outcomes[number] is None}
            if came:
                await self._store.wake([self._names.wake(address) for address in came])
        return outcomes

    async def recall(self, items: Sequence[Recalled]) -> list[Reason | None]:
        """Erase envelopes by the ids they were put with (REQ-ENV-23)."""
        with faults():
            outcomes = await self._permitted(items)
            good = [item for item, reason in zip(items, outcomes, strict=True) if reason is None]
            if good:
                refuse = await self._full(REMAINDER_BYTES * len(good))
                async with self._boxes.hold(item.address for item in good) as views:
                    await self._boxes.recall(views, good, refuse)
        return outcomes

    async def make_mailbox(self, address: bytes, capability_hash: bytes) -> None:
        """Make a mailbox, or renew its lease. The caller has checked the proof (REQ-ENV-10)."""
        with faults():
            await self._mailboxes.make(address, capability_hash)

    async def remove_mailbox(self, address: bytes) -> None:
        """Remove a mailbox, and erase what waits in it."""
        with faults():
            async with self._boxes.hold([address]) as views:
                await self._mailboxes.remove(address)
                await self._boxes.clear(address, views)
            self._boxes.drop(address)

    async def has_mailbox(self, address: bytes) -> bool:
        """Whether there is such a mailbox."""
        with faults():
            return (await self._record(address)) is not None

    async def fetch(
        self, address: bytes, cursor: Cursor, envelopes: int, octets: int
    ) -> list[Waiting]:
        """What waits and this reader has not been given, oldest hour first; the cursor moves on.

        At most so many envelopes, and no further one once `octets` are used up. Notices come in
        any case. None means that nothing else waits, unless the credit is used up. Raise
        `RemoteError` (unknown-mailbox).
        """
        (given,) = await self.fetch_all([(address, cursor)], envelopes, octets, envelopes)
        if isinstance(given, Reason):
            raise RemoteError(given, "no such mailbox, or its bucket cannot be read")
        return given.items

    async def fetch_all(
        self, wanted: Sequence[tuple[bytes, Cursor]], envelopes: int, octets: int, each: int
    ) -> list[Given | Reason]:
        """The same for several mailboxes, together and in their order, or why there is none.

        Of one mailbox at most `each` envelopes. It is said of each whether more waits.
        """
        with faults():
            records = await self._mailboxes.find([address for address, _ in wanted])
            there = [one for one, record in zip(wanted, records, strict=True)
                     if isinstance(record, Record)]  # fmt: skip
            given = iter(await self._boxes.fetch(there, envelopes, octets, each))
            return [next(given) if isinstance(record, Record) else record for record in records]

    def watch(self, address: bytes, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` whenever something may have come; returns what ends that.

        Wakes of other relays may get lost: where there are such, it is called with each `tick` too.
        """
        tag = self._names.wake(address)
        watcher = _Watcher(changed)
        self._watchers.setdefault(tag, set()).add(watcher)

        def end() -> None:
            watching = self._watchers.get(tag)
            if watching is not None:
                watching.discard(watcher)
                if not watching:
                    del self._watchers[tag]

        return end

    async def ack(self, address: bytes, ids: Sequence[bytes]) -> None:
        """Erase what its receiver has stored (REQ-ENV-21), envelopes and notices."""
        with faults():
            record = (await self._mailboxes.find([address]))[0]
            if record is Reason.UNKNOWN_MAILBOX:  # there is nothing, and nothing to be remembered
                return
            await self._boxes.ack(address, ids)

    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        """Take key packages (REQ-RELAY-06, 07)."""
        with faults():
            size = sum(map(len, packages)) + len(last_resort or b"")
            refuse = await self._full(size)
            await self._packages.publish(fingerprint, packages, last_resort, refuse)

    async def claim(self, fingerprint: bytes) -> bytes | None:
        """Hand out a key package: each one-time package once, then the last-resort one, or None."""
        with faults():
            return await self._packages.claim(fingerprint)

    async def put_blob(self, token_hash: bytes, content: bytes) -> None:
        """Keep a blob under its hash (REQ-RELAY-08)."""
        with faults():
            await self._blobs.put(token_hash, content, await self._full(len(content)))

    async def blob(self, content_hash: bytes) -> bytes:
        """A blob. Raise `RemoteError` (unknown-blob)."""
        with faults():
            return await self._blobs.get(content_hash)

    async def delete_blob(self, content_hash: bytes, token: bytes) -> None:
        """Erase a blob. Raise `RemoteError`: unknown-blob, not-permitted."""
        with faults():
            await self._blobs.delete(content_hash, token)

    async def leave_notice(self, address: bytes, statement: bytes) -> bool:
        """Leave a notice of a disclosure in a mailbox; False if there is no such mailbox."""
        with faults():
            if await self._record(address) is None:
                return False
            outcome = await self._boxes.leave_notice(address, statement)
            if outcome is not None:
                raise RemoteError(outcome, "the notice was not taken")
            await self._store.wake([self._names.wake(address)])
        return True

    async def holdings(self, address: bytes) -> dict[str, object]:
        """All that is held of a mailbox, for a statement (22.8): nothing is changed by it.

        ``{"mailbox": bool, "lease_quarter": int or None, "envelopes": [{"bytes", "expires_hour"}],
        "notices": likewise, "blanks": int, "unreadable": int}``. It works over a store and keys
        that cannot be written, and without `start` of this object if the store was started.
        """
        with faults():
            record = await self._record(address)
            told: dict[str, object] = {
                "mailbox": record is not None,
                "lease_quarter": None if record is None else record.lease,
            }
            return told | await self._boxes.holdings(address)

    @property
    def damaged(self) -> int:
        """Rows that could not be given, since the start: their key or their data is damaged."""
        return self._boxes.damaged

    async def _record(self, address: bytes) -> Record | None:
        record = (await self._mailboxes.find([address]))[0]
        if isinstance(record, Record):
            return record
        if record is not Reason.UNKNOWN_MAILBOX:
            raise RemoteError(record, "the table of mailboxes cannot be read here")
        return None

    async def _permitted(self, items: Sequence[Posted | Recalled]) -> list[Reason | None]:
        """Whether each item shows the capability of its mailbox, and if not, why it is refused."""
        records = await self._mailboxes.find([item.address for item in items])
        wrong: list[int] = []
        outcomes: list[Reason | None] = []
        for number, (item, record) in enumerate(zip(items, records, strict=True)):
            shown = H(b"capability", item.capability)
            if not isinstance(record, Record):
                outcomes.append(record)
            elif equal(shown, record.capability_hash):
                outcomes.append(None)
            else:
                outcomes.append(Reason.NOT_PERMITTED)
                wrong.append(number)
        if wrong and self._store.shared:
            # Perhaps it was removed and made again at another relay, which we have not heard of.
            latest = await self._mailboxes.find([items[n].address for n in wrong], fresh=True)
            for number, record in zip(wrong, latest, strict=True):
                shown = H(b"capability", items[number].capability)
                if not isinstance(record, Record):
                    outcomes[number] = record
                elif equal(shown, record.capability_hash):
                    outcomes[number] = None
        return outcomes

    async def _full(self, size: int) -> Reason | None:
        """Whether so many bytes more are too many for the store: relay-full."""
        now = time.monotonic()
        if now > self._used_at + _USAGE_SECONDS:
            usage = await self._store.usage()
            self._limit = min(self.settings.store_bytes, usage.limit or self.settings.store_bytes)
            self._used, self._used_at = usage.bytes, now
        if self._used + size > self._limit:
            return Reason.RELAY_FULL
        self._used += size
        return None

    def _heard(self, tag: bytes) -> None:
        """Another relay, or this one, has changed something; perhaps anything, if it has no tag."""
        if not tag:
            for watchers in list(self._watchers.values()):
                for watcher in tuple(watchers):
                    watcher.changed()
        elif not self._mailboxes.heard(tag):
            for watcher in tuple(self._watchers.get(tag, ())):
                watcher.changed()


class _Watcher:
    """One who waits; the same function may wait twice."""

    __slots__ = ("changed",)

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed


def _merge(
    outcomes: list[Reason | None], numbers: Sequence[int], latest: Sequence[Reason | None]
) -> list[Reason | None]:
    """The outcomes, with those of some items replaced."""
    merged = list(outcomes)
    for number, outcome in zip(numbers, latest, strict=True):
        merged[number] = outcome
    return merged
