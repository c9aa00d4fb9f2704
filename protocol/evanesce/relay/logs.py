"""Boxes as they are kept: rows at the places of a box, added one after the other (spec 22.6).

The envelopes of a mailbox are such a box, its notices another, the key packages of an identity a
third. Whoever adds has read all that came before: so no id comes twice, and nothing is hidden
behind a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Container, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from ..errors import LocalError, Reason, RemoteError
from ..limits import HOUR
from .clock import RelayClock
from .keys import KeyGone, RelayKeys
from .names import place, row_key
from .reading import Gate, Room
from .rows import Place, RelayStore, Row, StoreFailure, StoreFull
from .schedule import Schedule
from .sealing import Entry, Kind, open_entry, remainder, seal_entry
from .views import Spot, View, Views

__all__ = ["Found", "Log", "New"]

Found = dict[tuple[bytes, Spot], Entry]
"""Rows that were read on the way, by the key of their box and their place."""

_WIDTH: Final = 64  # places of one hour that are read at once
_NEWS: Final = 4  # at first, where others may have added some
_READ: Final = 128  # places that are read at once, where little is new
_READ_COLD: Final = 32  # where nothing is known: each may hold an envelope of 2 MiB
_READ_FIRST: Final = 16  # of them at first
_READ_BYTES: Final = 4 << 20  # about what is read at once, and remembered of what was
_ATTEMPTS: Final = 64
_PATIENCE: Final = 10.0  # seconds in which others are done with a box: whoever asked may be gone
_LOOK_AGAIN: Final = 60  # seconds until it is looked whether they differ by more


@dataclass(slots=True)
class New:
    """Something to be added to a box, and what became of it: None when it is there."""

    owner: bytes
    hour: int
    name: bytes = field(repr=False)
    entry: Entry = field(repr=False)
    outcome: Reason | None = None
    added: bool = False
    spot: Spot = (0, 0)


Limit = Callable[[View, int], Reason | None]
"""Why a view, with so many more rows to come, takes no further one."""


_Todo = list[tuple[View, int, int]]
"""Views and hours, with how many places to read at once."""


class Log:
    """All boxes of one sort. Raise `StoreFailure` where the store does; views are dropped then."""

    def __init__(
        self,
        store: RelayStore,
        keys: RelayKeys,
        clock: RelayClock,
        derive: Callable[[bytes], bytes],
        schedule: Schedule,
        *,
        lazy: bool = False,
        keep_empty: bool = True,
        gate: Gate | None = None,
    ) -> None:
        """`derive` gives the box key of an owner: an address or a fingerprint.

        In a `lazy` log it is enough to see within a minute what other relays have added. Unless
        `keep_empty`, nothing is remembered of owners that have no rows: anybody can ask for such.
        `gate` bounds what all logs of a relay read together of boxes of which nothing is known.
        """
        self._lazy, self._keep_empty, self._gate = lazy, keep_empty, gate or Gate()
        self._store, self._keys, self._clock = store, keys, clock
        self._derive, self.schedule = derive, schedule
        self._views = Views(now=clock.now)
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(
        self, owners: Iterable[bytes], *, only_add: bool = False
    ) -> AsyncIterator[dict[bytes, View]]:
        """The views of these boxes, up to date, to which nobody else of this process adds.

        What other relays add now is not looked for when rows are `only` to be added in the hour of
        now: where there is any, the first place is taken.
        Whatever fails inside, they are dropped: what was done then is not known.
        """
        ordered = sorted(set(owners))
        if len(ordered) > 1:  # nobody waits for all of them while one of them is read as a whole
            missing = [owner for owner in ordered if self._views.get(owner) is None]
            await asyncio.gather(*(self.look(owner, keep=False) for owner in missing))
        locks = [self._lock(owner) for owner in ordered]
        await _acquire(locks)  # in the order of the owners, so that nobody waits in a circle
        try:
            views = {owner: self._views.get(owner) or View(owner, self._derive(owner))
                     for owner in ordered}  # fmt: skip
            await self._refresh(views.values(), only_add=only_add, room=Room(0))
            yield views
            for view in views.values():
                if not view.unsure:
                    self._keep(view)
        except BaseException:
            for owner in ordered:
                self._views.drop(owner)
            raise
        finally:
            for lock in locks:
                lock.release()

    async def look(
        self, owner: bytes, *, refresh: bool = False, keep: bool = True, room: Room | None = None
    ) -> tuple[View, Found]:
        """The view of a box, up to date if others may add, and what was read on the way.

        Of that, if it is to `keep`, as much as there is `room` for.
        """
        room = room or Room(_READ_BYTES if keep else 0)
        view = self._views.get(owner)
        if view is not None:
            if refresh:
                view.looked = None
            before = view.known
            found = await self._refresh([view], room=room)
            if view.known != before and not view.unsure and self._views.get(owner) is view:
                self._views.keep(view)
            return view, found
        async with self._lock(owner):  # one reads it for all who wait
            view, found = self._views.get(owner), {}
            if view is None:
                view = View(owner, self._derive(owner))
                found = await self._refresh([view], room=room)
                self._keep(view)
        return view, found

    def _keep(self, view: View) -> None:
        if self._keep_empty or view.known or view.damaged:
            self._views.keep(view)

    def known(self, owner: bytes) -> View | None:
        """The view of a box as it is remembered, if it is: others may have added to it since."""
        return self._views.get(owner)

    async def look_all(
        self, owners: Iterable[bytes], fresh: Container[bytes] = (),
        known: Callable[[View], Sequence[Spot]] = lambda _: (),
    ) -> tuple[dict[bytes, View], Found]:  # fmt: skip
        """The same of several boxes, as `look` gives it; those in `fresh` are refreshed.

        Where others may have erased what is `known`, that is read on the way.
        """
        views: dict[bytes, View] = {}
        missing = []
        for owner in dict.fromkeys(owners):
            view = self._views.get(owner)
            if view is None:
                missing.append(owner)
                continue
            views[owner] = view
            if owner in fresh:
                view.looked = None
        also = ([(view, spot) for view in views.values() for spot in known(view)]
                if self._store.shared else [])  # fmt: skip
        room = Room(_READ_BYTES)
        found, looked = await asyncio.gather(
            self._refresh(list(views.values()), also=also, room=room),
            asyncio.gather(*(self.look(owner, room=room) for owner in missing)),
        )
        for view in views.values():
            if not view.unsure and self._views.get(view.owner) is view:
                self._views.keep(view)
        for owner, (view, some) in zip(missing, looked, strict=True):
            views[owner] = view
            found |= some
        return views, found

    async def inspect(self, owner: bytes) -> View:
        """A view for one use: nothing is remembered."""
        view = View(owner, self._derive(owner))
        await self._refresh([view])
        return view

    async def add(self, views: dict[bytes, View], items: Sequence[New], limit: Limit) -> None:
        """Add what is not known, in the boxes that are held. Each item's outcome says the rest.

        Rows of many boxes go to the store together, and those of one box one after the other.
        """
        left = list(items)
        for _ in range(_ATTEMPTS):
            rows, tried, twice = self._plan(views, left, limit)
            if not rows:
                return
            try:
                added = await self._store.add(rows)
                left = await self._settle(views, tried, added) + twice
            except StoreFailure as error:
                full = isinstance(error, StoreFull)
                for item in (*tried, *twice):
                    if not item.added:
                        item.outcome = Reason.RELAY_FULL if full else Reason.RELAY_BUSY
                    self._doubt(views[item.owner])
                return
        for item in left:
            item.outcome = Reason.RELAY_BUSY

    def _plan(
        self, views: dict[bytes, View], items: Sequence[New], limit: Limit
    ) -> tuple[list[Row], list[New], list[New]]:
        """The rows to try, the items they are of, and items that may be the same as these."""
        rows: list[Row] = []
        tried: list[New] = []
        twice: list[New] = []
        more: dict[bytes, int] = {}
        numbers: dict[tuple[bytes, int], int] = {}
        names = set()
        for item in items:
            view = views[item.owner]
            if view.knows(item.name):
                item.outcome = None
                continue
            if (item.owner, item.name) in names:
                twice.append(item)
                continue
            item.outcome = limit(view, more.get(item.owner, 0))
            if item.outcome is not None:
                continue
            at = item.owner, item.hour
            number = numbers.get(at, view.next(item.hour))
            try:
                key = row_key(self._keys.hour_key(item.hour), view.key)
            except KeyGone:  # another relay, whose clock is ahead, has destroyed it
                item.outcome = Reason.RELAY_BUSY
                continue
            where = place(view.key, item.hour, number)
            rows.append(Row(where, seal_entry(key, where, item.entry)))
            tried.append(item)
            item.spot = item.hour, number
            names.add((item.owner, item.name))
            numbers[at] = number + 1
            more[item.owner] = more.get(item.owner, 0) + 1
        return rows, tried, twice

    async def _settle(
        self, views: dict[bytes, View], tried: Sequence[New], added: Sequence[bool]
    ) -> list[New]:
        """Note what was added; read what others have put where it was not. What is left to do."""
        contested = {item.owner for item, done in zip(tried, added, strict=True) if not done}
        hours = {(item.owner, item.hour) for item in tried if item.owner in contested}
        left = []
        for item, done in zip(tried, added, strict=True):
            item.added = done
            if not done:
                left.append(item)
            elif item.owner not in contested:
                views[item.owner].take(item.spot, item.entry, item.name)
        if contested:
            news = [(views[owner], hour, 1) for owner, hour in sorted(hours)]
            await self._read(news, (), Room(0), cold=False)
        return left

    async def erase_ids(self, ids: Iterable[tuple[View, bytes]]) -> None:
        """Erase all rows of these names in these views."""
        await self.erase([(view, spot, name) for view, name in ids for spot in view.spots(name)])

    async def tidy(self, view: View) -> None:
        """Erase what is doomed in a view."""
        if view.doomed:
            await self.erase((), (view,))

    async def erase(
        self,
        spots: Iterable[tuple[View, Spot, bytes]],
        also: Iterable[View] = (),
        noted: Iterable[tuple[View, Spot, bytes]] = (),
    ) -> list[bool]:
        """Erase rows, each with what is noted of its id, and what is doomed in their views.

        `noted` are remainders already, of ids that were recalled before they came: they are only
        made as blank as all others.

        True for those that this call has erased. When it returns, all are gone.
        """
        wanted, noted = list(spots), list(noted)
        touched = (*also, *(view for view, _, _ in (*wanted, *noted)))
        views = {id(view): view for view in touched}.values()
        doomed = [(view, *item) for view in views for item in view.doomed]
        rows = [self._remainder(view, spot, name, Kind.GONE) for view, spot, name in wanted]
        rows += [self._remainder(view, spot, name, Kind.NOTED) for view, spot, name in noted]
        rows += [self._remainder(view, spot, name, Kind.GONE) for view, spot, name in doomed]
        asked = [row for row in rows if row is not None]
        try:
            done = iter(await self._store.blank(asked) if asked else ())
        except BaseException:
            for view in views:
                self._doubt(view)
            raise
        results = [row is not None and next(done) for row in rows]
        for view, _, name in wanted:
            view.note_gone(name)
        for view in views:
            view.doomed = []
        return results[: len(wanted)]

    def _remainder(self, view: View, spot: Spot, name: bytes, kind: Kind) -> Row | None:
        """What takes the place of a row; None if its hour is over, and nobody can read it."""
        hour_key = self._hour_key(spot[0])
        if hour_key is None:
            return None
        where = place(view.key, *spot)
        return Row(where, remainder(row_key(hour_key, view.key), where, name, kind))

    async def read(self, view: View, spots: Sequence[Spot], found: Found) -> list[Entry | None]:
        """What lives at these places; None for what does not any more, or cannot be opened."""
        return await self.read_all([(view, spot) for spot in spots], found)

    async def read_all(
        self, spots: Sequence[tuple[View, Spot]], found: Found
    ) -> list[Entry | None]:
        """The same of several boxes."""
        missing = [(view, spot) for view, spot in spots if (view.key, spot) not in found]
        places = [place(view.key, *spot) for view, spot in missing]
        data = await self._store.read(places) if places else []
        read = {(view.key, spot): self._still(view, spot, raw)
                for (view, spot), raw in zip(missing, data, strict=True)}  # fmt: skip
        return [found.get((view.key, spot)) or read.get((view.key, spot)) for view, spot in spots]

    def _still(self, view: View, spot: Spot, raw: bytes | None) -> Entry | None:
        """What is read at a place that was known to live, if it does."""
        entry = None if raw is None else self._open(view, spot, raw)
        if entry is None:
            view.drop(spot)
        elif entry.kind.blank:
            view.found_gone(entry.id)
        else:
            return entry
        return None

    def drop(self, owner: bytes) -> None:
        """Forget the view of a box."""
        self._views.drop(owner)

    def clear(self) -> None:
        """Forget all views."""
        self._views.clear()

    def expire(self, hour: int) -> None:
        """Forget the hours up to this one."""
        self._views.expire(hour)

    async def _refresh(
        self, views: Iterable[View], *, only_add: bool = False,
        also: Sequence[tuple[View, Spot]] = (), room: Room | None = None,
    ) -> Found:  # fmt: skip
        """Read what was added since the last time, in all hours in which that may be.

        A new view is read whole. Another one only if other relays may add to it: once in a while
        in all hours since it was looked at last, and meanwhile where rows are added now.
        """
        seconds = self._clock.now()
        now = seconds // HOUR
        near = self.schedule.near(seconds)
        if only_add and self.schedule.added is not None:
            near.remove(now + self.schedule.added)
        todo, whole = [], []
        for view in views:
            view.expire(now)
            if view.looked is None or (self._store.shared and seconds >= view.looked + _LOOK_AGAIN):
                todo += [(view, hour, 1) for hour in self.schedule.hours(now, view.open_from)]
                whole.append(view)
            elif self._store.shared and not self._lazy:
                todo += [(view, hour, _NEWS) for hour in near]
        cold = any(view.looked is None for view in whole)
        found = await self._read(todo, also, room or Room(0), cold=cold)
        for view in whole:
            view.looked = seconds
            view.open_from = self.schedule.open_from(now)
        return found

    async def _read(
        self, todo: _Todo, also: Sequence[tuple[View, Spot]], room: Room, *, cold: bool
    ) -> Found:
        """Read the places of these hours, from the first that is not known, until one is free.

        And, with the first of them, those that are known already and may have been erased. Of a box
        of which nothing is known (`cold`) anything may be there: few places are read at once, and
        still fewer where rows are large.
        """
        found: Found = {}
        keys: dict[tuple[bytes, int], bytes | None] = {}
        most = _READ_FIRST if cold else _READ
        while todo or also:
            batch, todo = _cut(todo, most)
            starts = [(view, hour, view.next(hour), min(width, most))
                      for view, hour, width in batch]  # fmt: skip
            places = [place(view.key, *spot) for view, spot in also]
            places += [place(view.key, hour, start + n)
                       for view, hour, start, width in starts for n in range(width)]  # fmt: skip
            async with self._gate.of(len(places) if cold else 0):
                data = await self._store.read(places)
                for (view, spot), raw in zip(also, data, strict=False):
                    entry = self._still(view, spot, raw)
                    if entry is not None and room.take(len(entry.data)):
                        found[view.key, spot] = entry
                at, also = len(also), ()
                largest = max((len(row) for row in data if row is not None), default=0)
                for view, hour, start, width in starts:
                    end = at + width
                    rows = zip(range(start, start + width), places[at:end], data[at:end],
                               strict=True)  # fmt: skip
                    at = end
                    key = view.key, hour
                    if key not in keys:
                        keys[key] = self._row_key(view, hour)
                    for number, where, row in rows:
                        if row is None:
                            break
                        entry = _opened(keys[key], where, row)
                        view.take((hour, number), entry)
                        if entry is not None and not entry.kind.blank and room.take(len(row)):
                            found[view.key, (hour, number)] = entry
                    else:
                        todo.append((view, hour, min(2 * width, _WIDTH)))
            fitting = max(1, _READ_BYTES // max(largest, 1))
            most = min(2 * most, _READ_COLD if cold else _READ, fitting)
        return found

    def _open(self, view: View, spot: Spot, data: bytes) -> Entry | None:
        return _opened(self._row_key(view, spot[0]), place(view.key, *spot), data)

    def _row_key(self, view: View, hour: int) -> bytes | None:
        hour_key = self._hour_key(hour)
        return None if hour_key is None else row_key(hour_key, view.key)

    def _hour_key(self, hour: int) -> bytes | None:
        try:
            return self._keys.existing(hour)
        except LocalError:  # destroyed, or its file is damaged
            return None

    def _doubt(self, view: View) -> None:
        """Something failed half way: the next who needs this view makes a new one."""
        view.unsure = True
        if self._views.get(view.owner) is view:
            self._views.drop(view.owner)

    def _lock(self, owner: bytes) -> asyncio.Lock:
        lock = self._locks.get(owner)
        if lock is None:
            lock = self._locks[owner] = asyncio.Lock()
        return lock


def _opened(key: bytes | None, where: Place, data: bytes) -> Entry | None:
    if key is None:
        return None
    try:
        return open_entry(key, where, data)
    except RemoteError:
        return None


def _cut(todo: _Todo, most: int) -> tuple[_Todo, _Todo]:
    """As much as is read at once, and the rest."""
    places = 0
    for count, (_, _, width) in enumerate(todo):
        places += width
        if places > most and count:
            return todo[:count], todo[count:]
    return todo, []


async def _acquire(locks: Sequence[asyncio.Lock]) -> None:
    """Take all of these, or none. Raise `StoreFailure` when others do not let go of one."""
    held: list[asyncio.Lock] = []
    try:
        async with asyncio.timeout(_PATIENCE):
            for lock in locks:
                await lock.acquire()
                held.append(lock)
    except BaseException as error:
        for lock in held:
            lock.release()
        if isinstance(error, TimeoutError):
            raise StoreFailure("others are at work on this mailbox for too long") from None
        raise
