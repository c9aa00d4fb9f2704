"""What waits in mailboxes: envelopes and notices, put, deduped, fetched, acked, recalled.

Who may do it is the caller's to check. Raise `StoreFailure` where the store does.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..errors import Reason
from ..limits import HOUR, MAILBOX_ENVELOPES, NOTICE_LIFETIME
from .clock import RelayClock
from .items import Cursor, Given, Posted, Recalled, Waiting
from .keys import RelayKeys
from .logs import Found, Log, New
from .names import ID_BYTES, Names, id_name
from .reading import Gate
from .rows import RelayStore, StoreFailure
from .schedule import Schedule
from .sealing import Entry, Kind
from .views import Spot, View

__all__ = ["MAX_KNOWN", "MAX_NOTED", "Boxes"]

# Ids that are known of one mailbox: what has been in it within the retention, however quickly it
# was acked. Past it, the mailbox is full. A busy room of a thousand has tens of thousands; to read
# so many anew costs half a second, in parts between which others have their turn.
MAX_KNOWN: Final = 65_536
MAX_NOTED: Final = 2_000  # ids of one mailbox that were recalled before they came
_NOTICE_STEP: Final = 24 * 30  # hours: what expires together is of a month
_NOTICE_SPAN: Final = NOTICE_LIFETIME // HOUR
_AT_ONCE: Final = 64  # rows that are read at once
_AHEAD: Final = 8  # rows of one box, known to live, that are read while it is looked for others
_RECOUNT_SECONDS: Final = 1.0


class Boxes:
    """The envelopes and the notices of all mailboxes."""

    def __init__(
        self,
        store: RelayStore,
        keys: RelayKeys,
        clock: RelayClock,
        names: Names,
        retention_hours: int,
        gate: Gate | None = None,
    ) -> None:
        self._store, self._clock, self._retention = store, clock, retention_hours
        within = Schedule.of_retention(retention_hours)
        self._envelopes = Log(store, keys, clock, names.box, within, gate=gate)
        self._notices = Log(store, keys, clock, names.notices,
                            Schedule(_NOTICE_STEP, _NOTICE_SPAN), lazy=True, gate=gate)  # fmt: skip
        self.damaged = 0  # rows that could not be given

    @contextlib.asynccontextmanager
    async def hold(
        self, addresses: Iterable[bytes], *, only_put: bool = False
    ) -> AsyncIterator[dict[bytes, View]]:
        """Mailboxes that nobody else of this process adds to meanwhile."""
        async with self._envelopes.hold(addresses, only_add=only_put) as views:
            yield views

    async def put(
        self, views: dict[bytes, View], items: Sequence[Posted], refuse: Reason | None
    ) -> list[Reason | None]:
        """Put envelopes into mailboxes that are held; the outcome of each.

        With `refuse`, ids that are known succeed, and all others have this outcome.
        """
        hour = self._clock.hour() + self._retention
        news = [
            New(item.address, hour, id_name(views[item.address].key, item.id),
                Entry(Kind.ENVELOPE, item.id, item.envelope))
            for item in items
        ]  # fmt: skip

        def limit(view: View, more: int) -> Reason | None:
            if view.living + more >= MAILBOX_ENVELOPES or view.known + more >= MAX_KNOWN:
                return Reason.MAILBOX_FULL
            return refuse

        await self._envelopes.add(views, news, limit)
        full = [new for new in news if new.outcome is Reason.MAILBOX_FULL]
        owners = {new.owner: views[new.owner] for new in full}
        if self._store.shared and await self._recount(owners):
            await self._envelopes.add(views, full, limit)
        return [new.outcome for new in news]

    async def _recount(self, views: dict[bytes, View]) -> bool:
        """What seems full may have been acked at another relay: look what still lives.

        False if that was not done, since it was done a moment ago.
        """
        now = time.monotonic()
        due = [view for view in views.values() if now > view.recounted + _RECOUNT_SECONDS]
        for view in due:
            view.recounted = now
            spots = [spot for spot, _ in view.waiting(self._clock.hour())]
            for at in range(0, len(spots), _AT_ONCE):
                await self._envelopes.read(view, spots[at : at + _AT_ONCE], {})
        return bool(due)

    async def recall(
        self, views: dict[bytes, View], items: Sequence[Recalled], refuse: Reason | None = None
    ) -> None:
        """Erase envelopes in mailboxes that are held; of those that never came, note the ids.

        Of each item something is added and something erased, whatever has been there: how long it
        takes does not tell whether its receiver has taken the envelope. Only where much is known
        already nothing is added that is not needed, so that recalls make no mailbox full. With
        `refuse`, nothing is added at all.
        """
        hour = self._clock.hour() + self._retention
        names, news, noted = [], [], []
        room = {address: MAX_NOTED - view.noted for address, view in views.items()}
        for item in items:
            view = views[item.address]
            name = id_name(view.key, item.id)
            names.append((view, name))
            room[item.address] -= 0 if view.knows(name) else 1
            if view.knows(name) or room[item.address] < 0:
                # A remainder of no id: of the same cost, and it says nothing.
                if view.known + len(items) >= MAX_KNOWN // 2:
                    continue
                decoy = secrets.token_bytes(ID_BYTES)
                news.append(New(item.address, hour, decoy, Entry(Kind.GONE, decoy, b"")))
            else:
                new = New(item.address, hour, name, Entry(Kind.NOTED, name, b""))
                news.append(new)
                noted.append(new)

        def limit(view: View, more: int) -> Reason | None:
            return refuse if view.known + more < MAX_KNOWN else Reason.MAILBOX_FULL

        await self._envelopes.add(views, news, limit)
        # What lives, and what may have come just now, by another relay; and what was added, so that
        # it is as blank as any other.
        gone = [(view, spot, name) for view, name in dict.fromkeys(names)
                for spot in view.spots(name)]  # fmt: skip
        gone += [(views[new.owner], new.spot, new.name) for new in news
                 if new.added and new.entry.kind is Kind.GONE]  # fmt: skip
        await self._envelopes.erase(
            gone, noted=[(views[new.owner], new.spot, new.name) for new in noted if new.added]
        )
        if any(new.outcome is Reason.RELAY_BUSY for new in noted):
            raise StoreFailure("it cannot be told whether all ids were noted")

    async def fetch(
        self, wanted: Sequence[tuple[bytes, Cursor]], envelopes: int, octets: int, each: int
    ) -> list[Given]:
        """What waits in these mailboxes and has not been given; see `Relay.fetch_all`."""
        hour = self._clock.hour()
        for _, cursor in wanted:
            cursor.expire(hour)
        numbers = {address: dict(cursor.envelopes) for address, cursor in wanted}

        def known(view: View) -> list[Spot]:
            return _choose(view, hour, numbers[view.owner], min(each, envelopes), octets)[:_AHEAD]

        new = {address for address, cursor in wanted if not cursor.begun}
        (notices, noticed), (views, found) = await asyncio.gather(
            self._notices.look_all(numbers, new), self._envelopes.look_all(numbers, (), known)
        )
        for view in views.values():
            with contextlib.suppress(StoreFailure):  # it is not given in any case
                await self._envelopes.tidy(view)
        turns = [_Turn(notices[address], dict(cursor.notices)) for address, cursor in wanted]
        await self._give(self._notices, turns, noticed, 1 << 30, 1 << 30, 1 << 30)
        others = [_Turn(views[address], numbers[address]) for address, _ in wanted]
        await self._give(self._envelopes, others, found, envelopes, octets, each)
        given = []
        for (_, cursor), some, more in zip(wanted, turns, others, strict=True):
            cursor.notices, cursor.envelopes, cursor.begun = some.given, more.given, True
            left = any(_choose(turn.view, hour, turn.given, 1, 1) for turn in (some, more))
            given.append(Given(some.out + more.out, left))
        return given

    async def _give(
        self, log: Log, turns: Sequence[_Turn], found: Found, count: int, octets: int, each: int
    ) -> None:
        """Read what is next, in each until something is there to give or nothing is left."""
        left = list(turns)
        while left:
            chosen: list[tuple[_Turn, list[Spot]]] = []
            for turn in left:
                spots = _choose(turn.view, self._clock.hour(), turn.given, min(count, each), octets)
                if spots:
                    chosen.append((turn, spots))
                    count -= len(spots)
                    octets -= sum(turn.view.size(spot) for spot in spots)
            damaged = sum(turn.view.damaged for turn, _ in chosen)
            entries = iter(await log.read_all(
                [(turn.view, spot) for turn, spots in chosen for spot in spots], found
            ))  # fmt: skip
            self.damaged += sum(turn.view.damaged for turn, _ in chosen) - damaged
            now = self._clock.hour()
            for turn, spots in chosen:
                for hour, number in spots:
                    entry = next(entries)
                    turn.given[hour] = number + 1
                    if entry is not None and hour > now:
                        turn.out.append(
                            Waiting(entry.id, entry.data, entry.kind is Kind.NOTICE)
                        )
            left = [turn for turn, _ in chosen if not turn.out]

    async def ack(self, address: bytes, ids: Sequence[bytes]) -> None:
        """Erase these envelopes and notices."""
        view = self._envelopes.known(address)
        names = [] if view is None else [id_name(view.key, item) for item in ids]
        if view is None or not all(map(view.knows, names)):
            view, _ = await self._envelopes.look(address, keep=False)
            names = [id_name(view.key, item) for item in ids]
        await self._envelopes.erase_ids((view, name) for name in names)
        rest = [item for item, name in zip(ids, names, strict=True) if not view.knows(name)]
        if rest:
            view, _ = await self._notices.look(address, keep=False)
            await self._notices.erase_ids((view, id_name(view.key, item)) for item in rest)

    async def clear(self, address: bytes, views: dict[bytes, View]) -> None:
        """Erase all that waits in a mailbox that is held."""
        await _erase_all(self._envelopes, views[address])
        async with self._notices.hold([address]) as notices:
            await _erase_all(self._notices, notices[address])

    def drop(self, address: bytes) -> None:
        """Remember nothing of a mailbox."""
        self._envelopes.drop(address)
        self._notices.drop(address)

    async def leave_notice(self, address: bytes, statement: bytes) -> Reason | None:
        """Leave a notice; None if it is there."""
        latest = self._clock.hour() + _NOTICE_SPAN
        item = secrets.token_bytes(ID_BYTES)
        async with self._notices.hold([address]) as views:
            name = id_name(views[address].key, item)
            new = New(address, latest // _NOTICE_STEP * _NOTICE_STEP, name,
                      Entry(Kind.NOTICE, item, statement))  # fmt: skip
            await self._notices.add(views, [new], lambda view, more: None)
        return new.outcome

    async def holdings(self, address: bytes) -> dict[str, object]:
        """What waits, by its size and hour of expiry, and how many blanks there are."""
        told: dict[str, object] = {}
        blanks = damaged = 0
        for name, log in (("envelopes", self._envelopes), ("notices", self._notices)):
            view = await log.inspect(address)
            told[name] = [
                {"bytes": row.size, "expires_hour": hour}
                for (hour, _), row in view.waiting(self._clock.hour())
            ]
            blanks += view.blanks - view.damaged
            damaged += view.damaged
        return told | {"blanks": blanks, "unreadable": damaged}

    def expire(self, hour: int) -> None:
        """Forget the hours up to this one."""
        self._envelopes.expire(hour)
        self._notices.expire(hour)

    def forget(self) -> None:
        """Forget all views."""
        self._envelopes.clear()
        self._notices.clear()


@dataclass(slots=True)
class _Turn:
    """One reader of one box: how far it has been given what waits, and what it is given now."""

    view: View
    given: dict[int, int]
    out: list[Waiting] = field(default_factory=list)


async def _erase_all(log: Log, view: View) -> None:
    await log.erase_ids([(view, row.name) for _, row in view.waiting(0)])
    await log.tidy(view)


def _choose(view: View, now: int, given: dict[int, int], count: int, octets: int) -> list[Spot]:
    """What is given next: at most `count`, and no further one once `octets` are used up."""
    chosen: list[Spot] = []
    for spot, row in view.waiting(now):
        if spot[1] < given.get(spot[0], 0):
            continue
        if len(chosen) >= min(count, _AT_ONCE) or octets <= 0:
            break
        octets -= row.size
        chosen.append(spot)
    return chosen
