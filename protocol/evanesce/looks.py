"""When upkeep has to look at a room: so that it need not read all rooms to find those few.

A look may be too early, when there is nothing to do yet, but never too late. It is stored with
every change of its room, and of a room without one (of an earlier version) nothing is known: that
one is looked at, and then has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from .holdings import RoomMeta
from .limits import EPOCH_GRACE, REFRESH_AFTER, SKIPPED_LIFETIME
from .ports import Transaction
from .room import Room
from .wire import decode, encode

__all__ = ["Look", "Looks"]

_PREFIX = b"look/"


class Kind(IntEnum):
    """What upkeep has to know of a room."""

    CLOSED = 0
    DIRECT = 1
    GROUP = 2


@dataclass(frozen=True, slots=True)
class Look:
    """From when on a room has to be looked at."""

    kind: Kind
    erase: int | None  # something will have had its time (REQ-DEL-06 to 08)
    refresh: int | None  # a refresh is due, or a member wants to leave; 0: now

    @classmethod
    def at(cls, room: Room, names: Iterable[bytes] | None, before: Look | None) -> Look:
        """The look at a room of whose records these have changed since the look `before`."""
        state = room.state
        everything = names is None or before is None
        moments = [] if everything or before is None or before.erase is None else [before.erase]
        if state.weak_until is not None:
            moments.append(state.weak_until + 1)
        for prefix, epoch in state.epochs.items():
            if epoch.superseded is not None and (
                prefix != state.current or epoch.chains or epoch.leaf is not None
            ):
                moments.append(epoch.superseded + EPOCH_GRACE + 1)
            if everything:
                moments += _expiries(room, prefix, epoch.chains)
        if not everything:
            for name in names or ():
                if name.startswith(b"chain/"):
                    moments += _expiries(room, name[6:14], [name[14:]])
        kind = Kind.CLOSED if room.closed else Kind.DIRECT if room.direct else Kind.GROUP
        return cls(kind, min(moments, default=None), _refresh(room, kind))

    def due(self, meta: RoomMeta, now: int) -> bool:
        """Whether there may be something to do."""
        if self.erase is not None and now >= self.erase:
            return True
        if self.kind is Kind.CLOSED or meta.stale:
            return False
        overdue = self.refresh is not None and now >= self.refresh
        if self.kind is Kind.DIRECT:  # to be told once, and taken back
            return (overdue and meta.retired is None) != meta.reminded
        return overdue or not meta.announced


def _expiries(room: Room, prefix: bytes, members: Iterable[bytes]) -> list[int]:
    """When the oldest skipped keys of these members' chains in an epoch go."""
    epoch = room.state.epochs.get(prefix)
    chains = [] if epoch is None else [epoch.chains.get(member) for member in members]
    return [
        min(entry.since for entry in chain.skipped.values()) + SKIPPED_LIFETIME + 1
        for chain in chains
        if chain is not None and chain.skipped
    ]


def _refresh(room: Room, kind: Kind) -> int | None:
    if kind is Kind.CLOSED:
        return None
    refreshed = room.state.refreshed
    at_once = room.refresh_due(refreshed)  # for another reason than that it was long ago
    if at_once or (kind is Kind.GROUP and (room.leaving or room.pending)):
        return 0
    return refreshed + REFRESH_AFTER


@dataclass(slots=True)
class Looks:
    """The looks at all rooms, by room id."""

    _looks: dict[bytes, Look] = field(default_factory=dict)

    @classmethod
    def load(cls, tx: Transaction) -> Looks:
        """Read them from a store."""
        looks = cls()
        for name, record in tx.scan(_PREFIX):
            kind, erase, refresh = decode(record, limit=64)
            looks._looks[name[len(_PREFIX) :]] = Look(Kind(kind), erase, refresh)
        return looks

    def note(self, tx: Transaction, room: Room, names: Iterable[bytes] | None) -> None:
        """These records of a room have changed, or (None) any of them may have."""
        before = self._looks.get(room.id)
        look = Look.at(room, names, before)
        if look != before:
            self._looks[room.id] = look
            tx.put(_PREFIX + room.id, encode([int(look.kind), look.erase, look.refresh]))

    def due(self, room: bytes, meta: RoomMeta, now: int) -> bool:
        """Whether to look at a room now."""
        look = self._looks.get(room)
        return look is None or look.due(meta, now)
