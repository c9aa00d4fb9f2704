"""The scale-out store: rows and table on NATS JetStream, shared by any number of relay processes.

A place is a subject (`nats_streams`), a row its last message. A row is added by a write that
expects no message there, blanked by one that expects the row; both are done by a majority of the
replicas, on their disks, before they are answered (`nats_writes`). Reads see all of that
(`nats_reads`).

What is blanked or replaced is then erased: the server overwrites it, on each replica. A call that
is killed in between leaves two messages at a place; `start` and `forget` find and finish that.
Forgetting an hour purges its messages; a purge does not overwrite. It need not: the key of the hour
is gone by then (REQ-RELAY-12). The same goes for copies in the logs of Raft, which a server keeps
for some minutes. Each message has a time to live, too, by which the servers drop it an hour after
its hour even if no relay comes to forget it.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from ..errors import LocalError, Reason
from ..limits import HOUR
from .clock import RelayClock
from .nats_erase import NatsErase
from .nats_link import NatsCredentials, NatsLink
from .nats_promises import NatsPromises
from .nats_reads import NatsReads, Stored
from .nats_streams import Names, open_streams
from .nats_writes import NatsWrites, StoreFull, Write
from .rows import Place, Row, StoreFailure, Usage

__all__ = ["NatsCredentials", "NatsPromises", "NatsRows", "StoreFull"]

LEAST_VERSION: Final = (2, 11)
PATIENCE: Final = 15.0  # seconds; a cluster chooses a new leader in 4 to 9
START_PATIENCE: Final = 30.0
LIVES_ON: Final = HOUR  # seconds after its hour at which the servers themselves drop a row
FINISH_EVERY: Final = HOUR  # seconds: to look for what others have left costs a list of all rows
LOOK_EVERY: Final = 1.0  # seconds between looks at how full the streams are, while rows are added
HEADROOM: Final = 8  # a stream's own bound is this part higher: blanks must fit when it is full
LEAST_HEADROOM: Final = 4 << 20
REMEMBERED: Final = 50_000  # rows whose number in their stream is known, so that none is looked up
OVERHEAD: Final = 320  # bytes that a stream counts for a row beside its data, at most
_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


class NatsRows:
    """Rows and a table on the servers at `urls` (`nats://host:4222` or `tls://…`).

    `streams` (1 to 64) is fixed when a relay is made. `replicas`: 1 (nothing survives the loss of
    the server), 3 or 5. `max_bytes`: what all rows together may take; adding fails with `StoreFull`
    past it. `patience`: seconds after which a call that cannot be done fails with `StoreFailure`.
    """

    shared = True

    def __init__(
        self,
        urls: Sequence[str],
        *,
        promises: NatsPromises,
        prefix: str = "evanesce",
        streams: int = 4,
        replicas: int = 3,
        max_bytes: int | None = None,
        credentials: NatsCredentials | None = None,
        patience: float = PATIENCE,
        clock: RelayClock | None = None,
    ) -> None:
        """Raise `LocalError` (bad-input)."""
        if not urls or not _PREFIX.fullmatch(prefix) or not 1 <= streams <= 64:
            raise LocalError(Reason.BAD_INPUT, "NATS: servers, prefix or number of streams")
        if replicas not in (1, 3, 5):
            raise LocalError(Reason.BAD_INPUT, "NATS: 1, 3 or 5 replicas")
        self._urls, self._promises = list(urls), promises
        self._names = Names(prefix, streams)
        self._replicas, self._patience = replicas, patience
        # No jump of the time of day may shorten the life of a row.
        self._clock = clock or RelayClock()
        self._limit = None if max_bytes is None else max(1, max_bytes // streams)  # of one stream
        self._credentials = credentials or NatsCredentials()
        self._listeners: list[Callable[[bytes], None]] = []
        self._fill: dict[int, _Fill] = {}
        self._open: tuple[NatsLink, NatsReads, NatsWrites, NatsErase] | None = None
        self._living: OrderedDict[Place, tuple[int, str]] = OrderedDict()  # sequence and mark
        self._erased = 0.0  # loop time at which all erasures were last known to be finished

    async def start(self) -> None:
        """Connect, make what streams are missing, and check that all promises can be kept.

        Raise `LocalError` (bad-store) naming the broken one; `StoreFailure` if nobody answers.
        """
        self._promises.check_said()
        link = NatsLink(
            self._urls,
            self._credentials,
            listen_to=self._names.wake,
            heard=self._heard,
            least_version=LEAST_VERSION,
        )
        deadline = asyncio.get_running_loop().time() + START_PATIENCE
        await link.start()
        try:
            hard = self._limit
            if hard is not None:
                hard += max(hard // HEADROOM, LEAST_HEADROOM)
            holders = await open_streams(link, self._names, self._replicas, hard, deadline)
            await self._promises.check_servers(holders, self._replicas, LEAST_VERSION)
            reads = NatsReads(link, self._names)
            await asyncio.gather(
                *(
                    reads.check_time_to_live(number, deadline)
                    for number in (*range(self._names.streams), None)
                )
            )
            erase = NatsErase(link, reads, self._names)
            self._fill = {number: _Fill() for number in range(self._names.streams)}
            self._open = link, reads, NatsWrites(link, reads), erase
            await self._finish(erase, deadline)
        except BaseException:
            self._open = None
            await link.stop()
            raise

    async def stop(self) -> None:
        """Close it; what is under way fails."""
        opened, self._open = self._open, None
        self._living.clear()
        if opened is not None:
            await opened[0].stop()

    async def add(self, rows: Sequence[Row]) -> list[bool]:
        """Add rows where their places are free. Raise `StoreFull`, `StoreFailure`."""
        link, _, writes, _ = self._opened()
        deadline = self._deadline()
        by_stream: dict[int, int] = {}
        for row in rows:
            stream = self._names.spread(row.place)
            by_stream[stream] = by_stream.get(stream, 0) + len(row.data) + OVERHEAD
        for stream, size in by_stream.items():
            await self._room(link, stream, size, deadline)
        messages = [self._write(row, 0) for row in rows]
        sequences = await writes.write(messages, deadline)
        for row, message, sequence in zip(rows, messages, sequences, strict=True):
            if sequence > 0:
                self._remember(row.place, sequence, message.mark)
        return [sequence > 0 for sequence in sequences]

    async def read(self, places: Sequence[Place]) -> list[bytes | None]:
        """The data at these places. Raise `StoreFailure`."""
        found = await self._last(places, self._deadline())
        return [None if last is None else last.data for last in found]

    async def blank(self, rows: Sequence[Row]) -> list[bool]:
        """Leave remainders in place of what is erased. Raise `StoreFailure`.

        Rows that were added or read a short while ago are not looked up before, only those of which
        another message turns out to be the last.
        """
        deadline = self._deadline()
        done = [False] * len(rows)
        known: list[tuple[int, int, str]] = []  # number of the row, sequence and mark
        for at, row in enumerate(rows):
            number = self._living.pop(row.place, None)
            if number is not None:
                known.append((at, *number))
        await self._blank(rows, known, done, deadline)
        tried = {at for at, _, _ in known}
        # A place that stands here twice is tried once: of the other it is then read that it is
        # blank. The same goes for one that another process has blanked.
        left = [at for at in range(len(rows)) if at not in tried or not done[at]]
        found = await self._last([rows[at].place for at in left], deadline)
        living = [
            (at, last.sequence, last.mark)
            for at, last in zip(left, found, strict=True)
            if last is not None and last.blanks is None
        ]
        await self._blank(rows, living, done, deadline)
        return done

    async def _blank(
        self, rows: Sequence[Row], living: Sequence[tuple[int, int, str]], done: list[bool],
        deadline: float,
    ) -> None:  # fmt: skip
        """Blank what is the last message at its place, and erase it; note what was done."""
        if not living:
            return
        _, _, writes, erase = self._opened()
        messages = [self._write(rows[at], sequence, mark) for at, sequence, mark in living]
        sequences = await writes.write(messages, deadline)
        replaced: list[tuple[int | None, int]] = []
        for (at, before, _), sequence in zip(living, sequences, strict=True):
            if sequence > 0:
                done[at] = True
                replaced.append((self._names.spread(rows[at].place), before))
        await self._erase(erase, replaced, deadline)

    async def forget(self, hour: int) -> int:
        """Purge all rows of hours up to this one, whatever hours there are."""
        link, reads, _, erase = self._opened()
        deadline = self._deadline()
        if asyncio.get_running_loop().time() - self._erased > FINISH_EVERY:
            await self._finish(erase, deadline)
        if hour < 0:
            return 0
        purged = 0
        for stream in range(self._names.streams):
            patterns = self._names.until(stream, hour)
            if not await reads.any(stream, patterns, deadline):
                continue
            some = await asyncio.gather(*(reads.any(stream, [one], deadline) for one in patterns))
            for pattern in (one for one, there in zip(patterns, some, strict=True) if there):
                subject = f"STREAM.PURGE.{self._names.stream(stream)}"
                purged += (await link.api(subject, {"filter": pattern}, deadline))["purged"]
        return purged

    async def bucket(self, number: int) -> tuple[int, bytes | None]:
        """A bucket and its version, which is the sequence of its message."""
        _, reads, _, _ = self._opened()
        subject = self._names.bucket(number)
        last = (await reads.last(None, [subject], self._deadline())).get(subject)
        return (0, None) if last is None else (last.sequence, last.data)

    async def swap(self, number: int, version: int, data: bytes) -> bool:
        """Write a bucket if its version is still this one, and erase what it was before."""
        _, _, writes, erase = self._opened()
        deadline = self._deadline()
        write = Write(None, self._names.bucket(number), data, version)
        if not (await writes.write([write], deadline))[0]:
            return False
        if version:
            await self._erase(erase, [(None, version)], deadline)
        return True

    async def wake(self, tags: Sequence[bytes]) -> None:
        """Tell all processes, by a message that is not stored."""
        opened = self._open
        if opened is None or not tags:
            return
        for start in range(0, len(tags), 1_000):
            part = tags[start : start + 1_000]
            said = b"".join(len(tag).to_bytes(2, "big") + tag for tag in part)
            await opened[0].say(self._names.wake, said)

    def listen(self, heard: Callable[[bytes], None]) -> None:
        """Call `heard` with each tag that comes."""
        self._listeners.append(heard)

    async def usage(self) -> Usage:
        """How full the streams are."""
        link = self._opened()[0]
        deadline = self._deadline()
        looks = await asyncio.gather(
            *(self._look(link, number, deadline) for number in range(self._names.streams))
        )
        limit = None if self._limit is None else self._limit * self._names.streams
        return Usage(sum(rows for rows, _ in looks), sum(size for _, size in looks), limit)

    async def _finish(self, erase: NatsErase, deadline: float) -> None:
        await erase.finish(deadline)
        self._erased = asyncio.get_running_loop().time()

    async def _erase(
        self, erase: NatsErase, replaced: Sequence[tuple[int | None, int]], deadline: float
    ) -> None:
        try:
            await erase.erase(replaced, deadline)
        except BaseException:
            self._erased = float("-inf")  # the next `forget` looks for what is left
            raise

    def _opened(self) -> tuple[NatsLink, NatsReads, NatsWrites, NatsErase]:
        if self._open is None:
            raise StoreFailure("the store is closed")
        return self._open

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._patience

    def _write(self, row: Row, expected: int, blanks: str | None = None) -> Write:
        left = row.place.hour * HOUR - self._clock.now()
        return Write(
            self._names.spread(row.place),
            self._names.row(row.place),
            row.data,
            expected,
            max(left, 0) + LIVES_ON,
            blanks,
        )

    async def _last(self, places: Sequence[Place], deadline: float) -> list[Stored | None]:
        _, reads, _, _ = self._opened()
        subjects: dict[int, list[str]] = {}
        for place in places:
            subjects.setdefault(self._names.spread(place), []).append(self._names.row(place))
        parts = await asyncio.gather(
            *(reads.last(stream, some, deadline) for stream, some in subjects.items())
        )
        found = {subject: last for part in parts for subject, last in part.items()}
        lasts = [found.get(self._names.row(place)) for place in places]
        for place, last in zip(places, lasts, strict=True):
            if last is not None and last.blanks is None:
                self._remember(place, last.sequence, last.mark)
        return lasts

    def _remember(self, place: Place, sequence: int, mark: str) -> None:
        self._living[place] = sequence, mark
        self._living.move_to_end(place)
        if len(self._living) > REMEMBERED:
            self._living.popitem(last=False)

    async def _look(self, link: NatsLink, number: int, deadline: float) -> tuple[int, int]:
        """Rows and bytes of a stream."""
        request = {"subjects_filter": self._names.fence(number)}
        reply = await link.api(f"STREAM.INFO.{self._names.stream(number)}", request, deadline)
        state = reply["state"]
        fences = len(state.get("subjects") or {})
        return state.get("num_subjects", 0) - fences, state["bytes"]

    async def _room(self, link: NatsLink, stream: int, size: int, deadline: float) -> None:
        """Raise `StoreFull` if so many more bytes would be too much for a stream."""
        if self._limit is None:
            return
        fill, now = self._fill[stream], asyncio.get_running_loop().time()
        if now - fill.looked > LOOK_EVERY or fill.added > LEAST_HEADROOM // 4:
            fill.added, fill.looked = 0, now
            fill.bytes = (await self._look(link, stream, deadline))[1]
        if fill.bytes + fill.added + size > self._limit:
            raise StoreFull("the bound of the store is reached")
        fill.added += size

    def _heard(self, said: bytes) -> None:
        if not said:
            for heard in self._listeners:
                heard(b"")
        at = 0
        while at + 2 <= len(said):
            end = at + 2 + int.from_bytes(said[at : at + 2], "big")
            for heard in self._listeners:
                heard(said[at + 2 : end])
            at = end


class _Fill:
    """What is known of how full a stream is."""

    def __init__(self) -> None:
        self.bytes = 0
        self.added = 0  # since it was looked at
        self.looked = float("-inf")
