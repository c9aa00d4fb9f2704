"""What a relay process remembers of one box: which places are taken, by which ids, what lives.

A view says nothing that the store does not: it is made by reading the places of a box, and dropped
whenever it is not sure that they agree.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from .names import id_name
from .sealing import Entry, Kind

__all__ = ["Living", "Spot", "View", "Views"]

Spot = tuple[int, int]
"""An hour of expiry and the number of a place: `names.place` makes a place of it."""


@dataclass(frozen=True, slots=True)
class Living:
    """A row that has not been erased: its kind, what is noted of its id, the size of its data."""

    kind: Kind
    name: bytes = field(repr=False)
    size: int


@dataclass(slots=True)
class _Hour:
    next: int = 0  # the first place that is not known to be taken
    names: list[bytes] = field(default_factory=list, repr=False)
    living: dict[int, Living] = field(default_factory=dict)  # by number, in the order of numbers
    noted: int = 0


class View:
    """One box, as it is known. An id is known from when it came until its hour has passed.

    An id that came twice, because two relays took it in different hours, is given once, from its
    earliest place, and all its rows are erased together. One that is gone anywhere is gone.
    """

    def __init__(self, owner: bytes, key: bytes) -> None:
        self.owner, self.key = owner, key
        self.unsure = False  # something failed: it may not say what the store does
        self._expired = -1
        self.looked: int | None = None  # when all of it was read, in seconds since 1970
        self.open_from = 0  # hours before this one got no more rows since then
        self.damaged = 0
        self.recounted = 0.0  # when it was looked whether what lives here lives in the store
        # Rows of ids that are gone, with what is noted of these: to be erased when there is time.
        self.doomed: list[tuple[Spot, bytes]] = []
        self._hours: dict[int, _Hour] = {}
        self._at: dict[bytes, Spot] = {}
        self._twins: dict[bytes, dict[Spot, Living]] = {}
        self._gone: dict[bytes, int] = {}  # the hour until which it is known

    def __repr__(self) -> str:
        return f"View({self.known} ids, {len(self._at)} living)"

    @property
    def known(self) -> int:
        """How many ids are known, those of blanks included."""
        return len(self._at) + len(self._gone)

    @property
    def living(self) -> int:
        """How many rows live."""
        return len(self._at)

    @property
    def noted(self) -> int:
        """How many ids were recalled before they came."""
        return sum(hour.noted for hour in self._hours.values())

    @property
    def blanks(self) -> int:
        """How many places are taken by what does not live."""
        return sum(hour.next - len(hour.living) for hour in self._hours.values())

    def knows(self, name: bytes) -> bool:
        """Whether this id has been here."""
        return name in self._at or name in self._gone

    def next(self, hour: int) -> int:
        """The number of the first place of an hour that is not known to be taken."""
        known = self._hours.get(hour)
        return 0 if known is None else known.next

    def waiting(self, after: int) -> Iterator[tuple[Spot, Living]]:
        """What lives past the hour `after`, earliest hour first, then by place."""
        for number in sorted(self._hours):
            if number > after:
                for place, row in self._hours[number].living.items():
                    yield (number, place), row

    def size(self, spot: Spot) -> int:
        """The size of what lives at a place."""
        return self._hours[spot[0]].living[spot[1]].size

    def spots(self, name: bytes) -> list[Spot]:
        """The places where this id lives: none, one, or the twins as well."""
        at = self._at.get(name)
        return [] if at is None else [at, *self._twins.get(name, ())]

    def take(self, spot: Spot, entry: Entry | None, name: bytes | None = None) -> None:
        """Note what was read at the next place of its hour; None if it cannot be opened.

        Of a place that is known already, nothing happens. `name` is the `id_name` of its id, for
        whoever has it.
        """
        if entry is None:
            if self._pass(spot):
                self.damaged += 1
        elif entry.kind.blank:
            if self._pass(spot):
                self._hours[spot[0]].noted += entry.kind is Kind.NOTED
                self._note_gone(entry.id, spot[0])
        else:
            name = name or id_name(self.key, entry.id)
            self._add(spot, Living(entry.kind, name, len(entry.data)))

    def _add(self, spot: Spot, row: Living) -> None:
        """Note a row at the next place of its hour."""
        if not self._pass(spot):
            return
        hour, number = spot
        name = row.name
        self._hours[hour].names.append(name)
        if name in self._gone:
            self._gone[name] = max(hour, self._gone[name])
            self.doomed.append((spot, name))
            return
        first = self._at.get(name)
        if first is not None and first < spot:
            self._twins.setdefault(name, {})[spot] = row
            return
        if first is not None:
            other = self._hours[first[0]].living.pop(first[1])
            self._twins.setdefault(name, {})[first] = other
        self._at[name] = spot
        self._hours[hour].living[number] = row

    def note_gone(self, name: bytes) -> None:
        """The rows of this id have been erased."""
        for hour, number in self.spots(name):
            self._hours[hour].living.pop(number, None)
            self._gone[name] = max(hour, self._gone.get(name, 0))
        self._at.pop(name, None)
        self._twins.pop(name, None)

    def found_gone(self, name: bytes) -> None:
        """A row of this id has been erased by another; so the others are to be."""
        self.doomed += [(spot, name) for spot in self.spots(name)[1:]]
        self.note_gone(name)

    def drop(self, spot: Spot) -> None:
        """A row turned out to be unreadable: it is given no more, and its id may come again."""
        hour = self._hours.get(spot[0])
        row = None if hour is None else hour.living.pop(spot[1], None)
        if row is not None:
            self.damaged += 1
            del self._at[row.name]
            self._promote(row.name, spot[0] - 1)

    def _promote(self, name: bytes, hour: int) -> None:
        """The first twin past an hour takes the place of the row that it is a copy of."""
        twins = {spot: row for spot, row in self._twins.pop(name, {}).items() if spot[0] > hour}
        if not twins:
            return
        first = min(twins)
        self._at[name] = first
        living = self._hours[first[0]].living
        living[first[1]] = twins.pop(first)
        self._hours[first[0]].living = dict(sorted(living.items()))
        if twins:
            self._twins[name] = twins

    def expire(self, hour: int) -> None:
        """Forget the hours up to this one, and the ids that were known until then."""
        if hour <= self._expired:
            return
        self._expired = hour
        for number in sorted(number for number in self._hours if number <= hour):
            for name in self._hours.pop(number).names:
                if self._gone.get(name, hour + 1) <= hour:
                    del self._gone[name]
                at = self._at.get(name)
                if at is not None and at[0] <= hour:
                    del self._at[name]
                    self._promote(name, hour)
        self.doomed = [item for item in self.doomed if item[0][0] > hour]

    def _pass(self, spot: Spot) -> bool:
        """Take the next place of an hour; False if it is known already, or over."""
        if spot[0] <= self._expired:
            return False
        hour = self._hours.setdefault(spot[0], _Hour())
        if spot[1] < hour.next:
            return False
        if spot[1] > hour.next:
            raise AssertionError("the places of an hour are taken one after the other")
        hour.next += 1
        return True

    def _note_gone(self, name: bytes, hour: int) -> None:
        """A remainder was read. What lives of this id elsewhere has been recalled or acked too."""
        self._hours[hour].names.append(name)
        self.doomed += [(spot, name) for spot in self.spots(name)]
        self.note_gone(name)
        self._gone[name] = max(hour, self._gone.get(name, 0))


_ENTRIES: Final = 500_000
_LARGE: Final = 512  # ids, from which on a view has to make room before all others
_UNUSED_SECONDS: Final = 3_600  # after which a view is forgotten (22.7)


@dataclass(slots=True)
class _Kept:
    view: View
    size: int
    used: int


class Views:
    """The views of the boxes used last, at most so many that they know `entries` ids together.

    Large ones make room first: whoever fills some mailboxes does not evict the views of all others.
    """

    def __init__(self, entries: int = _ENTRIES, now: Callable[[], int] = lambda: 0) -> None:
        """`now` gives seconds, by which it is told what has not been used for an hour."""
        self._entries, self._now = entries, now
        self._views: OrderedDict[bytes, _Kept] = OrderedDict()  # that used last is the last
        self._large: OrderedDict[bytes, None] = OrderedDict()  # of these, in the same order
        self._total = 0

    def __len__(self) -> int:
        return len(self._views)

    def get(self, owner: bytes) -> View | None:
        """The view of this box, if there is one."""
        found = self._views.get(owner)
        if found is None:
            return None
        self._views.move_to_end(owner)
        if owner in self._large:
            self._large.move_to_end(owner)
        found.used = self._now()
        return found.view

    def keep(self, view: View) -> None:
        """Remember a view, or that it has grown; forget others, if there is no room for all."""
        self.drop(view.owner)
        size = view.known + 8
        self._views[view.owner] = _Kept(view, size, self._now())
        self._total += size
        if size > _LARGE:
            self._large[view.owner] = None
        while self._total > self._entries and len(self._views) > 1:
            large = next(iter(self._large), None)
            least = next(iter(self._views))
            self.drop(least if large is None or large == view.owner else large)

    def drop(self, owner: bytes) -> None:
        """Forget a view."""
        found = self._views.pop(owner, None)
        if found is not None:
            self._total -= found.size
            self._large.pop(owner, None)

    def clear(self) -> None:
        """Forget all."""
        self._views.clear()
        self._large.clear()
        self._total = 0

    def expire(self, hour: int) -> None:
        """Forget the hours up to this one in all views, and views not used for an hour."""
        unused = self._now() - _UNUSED_SECONDS
        for owner, kept in list(self._views.items()):
            if kept.used <= unused:
                self.drop(owner)
                continue
            kept.view.expire(hour)
            size = kept.view.known + 8
            self._total += size - kept.size
            kept.size = size
            if size <= _LARGE:
                self._large.pop(owner, None)
