"""Key packages that wait to be claimed, by the fingerprint of their identity (REQ-RELAY-06, 07)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from ..errors import Reason, RemoteError
from ..keypackage import KeyPackage
from ..limits import DAY, HOUR, MAX_PUBLISHED
from .clock import RelayClock
from .keys import RelayKeys
from .logs import Log, New
from .names import ID_BYTES, Names, id_name
from .reading import Gate
from .rows import RelayStore
from .schedule import Schedule
from .sealing import Entry, Kind
from .views import Spot, View

__all__ = ["Packages"]

_STEP: Final = DAY // HOUR  # hours: packages expire by the day
_SPAN: Final = 31 * _STEP
_MAX_KNOWN: Final = 10_000  # packages of one identity within 31 days, claimed ones included


class Packages:
    """The key packages of all identities. Raise `StoreFailure` where the store does."""

    def __init__(
        self,
        store: RelayStore,
        keys: RelayKeys,
        clock: RelayClock,
        names: Names,
        claims_a_minute: int,
        gate: Gate | None = None,
    ) -> None:
        """An identity's packages are claimed so often, and as often at once after a pause.

        After that its last-resort package is given to all.
        """
        self._clock, self._names = clock, names
        self._rate = _Rate(clock, claims_a_minute)
        self._log = Log(store, keys, clock, names.packages, Schedule(_STEP, _SPAN),
                        keep_empty=False, gate=gate)  # fmt: skip

    async def publish(
        self,
        fingerprint: bytes,
        packages: Sequence[bytes],
        last_resort: bytes | None,
        refuse: Reason | None,
    ) -> None:
        """Take packages that are valid. Raise `RemoteError` as REQ-RELAY-06 and 07 say.

        With `refuse`, nothing that is new is taken.
        """
        valid = [self._check(fingerprint, signed, last_resort=False) for signed in packages]
        last = None
        if last_resort is not None:
            last = self._check(fingerprint, last_resort, last_resort=True)
        if not valid and last is None:
            return
        async with self._log.hold([fingerprint]) as views:
            view = views[fingerprint]
            news = [self._new(view, fingerprint, package) for package in valid]
            fresh = {new.name for new in news if not view.knows(new.name)}
            if _count(view) + len(fresh) > MAX_PUBLISHED:
                await self._recount(view)
            if _count(view) + len(fresh) > MAX_PUBLISHED or view.known + len(fresh) > _MAX_KNOWN:
                raise RemoteError(Reason.TOO_MANY_REQUESTS, "too many packages of one identity")
            replaced: list[tuple[Spot, KeyPackage]] = []
            if last is not None:
                new = self._new(view, fingerprint, last)
                replaced = await self._last_resorts(view)
                known = view.knows(new.name)
                if not known and all(last.expiry > old.expiry for _, old in replaced):
                    news.append(new)
                else:
                    replaced = []
            await self._log.add(views, news, lambda view, more: refuse)
            for new in news:
                if new.outcome is not None:
                    raise RemoteError(new.outcome, "the packages were not all taken")
            await self._log.erase(
                [(view, spot, id_name(view.key, _id(old))) for spot, old in replaced]
            )

    def _check(self, fingerprint: bytes, signed: bytes, *, last_resort: bool) -> KeyPackage:
        package = KeyPackage.parse(signed)
        if package.identity.fingerprint != fingerprint:
            raise RemoteError(Reason.WRONG_IDENTITY, "not a package of this identity")
        if self._clock.now() > package.expiry:
            raise RemoteError(Reason.EXPIRED, "the package has expired")
        if package.last_resort is not last_resort:
            raise RemoteError(Reason.BAD_FORM, "a last-resort package in the wrong place")
        return package

    def _new(self, view: View, fingerprint: bytes, package: KeyPackage) -> New:
        """A package is kept until the day after it expires begins, and for 31 days at most."""
        hours = self._log.schedule.hours(self._clock.hour())
        wanted = -(-(package.expiry + 1) // (_STEP * HOUR)) * _STEP
        hour = min(max(wanted, hours[0]), hours[-1])
        kind = Kind.LAST_RESORT if package.last_resort else Kind.ONE_TIME
        item = _id(package)
        return New(fingerprint, hour, id_name(view.key, item), Entry(kind, item, package.signed))

    async def _recount(self, view: View) -> None:
        """Erase what has expired; see what was claimed at other relays."""
        rows = [(spot, row.name) for spot, row in view.waiting(self._clock.hour())
                if row.kind is Kind.ONE_TIME]  # fmt: skip
        entries = await self._log.read(view, [spot for spot, _ in rows], {})
        await self._log.erase(
            [(view, spot, name) for (spot, name), entry in zip(rows, entries, strict=True)
             if entry is not None and not self._usable(_parse(entry))]
        )  # fmt: skip

    def _usable(self, package: KeyPackage | None) -> bool:
        return package is not None and package.expiry >= self._clock.now()

    async def _last_resorts(self, view: View) -> list[tuple[Spot, KeyPackage]]:
        """The last-resort packages that live: one, unless replacing it broke off."""
        spots = [spot for spot, row in view.waiting(self._clock.hour())
                 if row.kind is Kind.LAST_RESORT]  # fmt: skip
        entries = await self._log.read(view, spots, {})
        found = []
        for spot, entry in zip(spots, entries, strict=True):
            if entry is not None and (package := _parse(entry)) is not None:
                found.append((spot, package))
        return found

    async def claim(self, fingerprint: bytes) -> bytes | None:
        """A one-time package, that nobody else gets; else the last-resort one; else None.

        Past the rate it is the last-resort one at once: so nobody can use up the others quickly,
        nor keep an identity from being invited. Raise `RemoteError` (too-many-requests) when there
        is none of it.
        """
        within = self._rate.count(self._names.rate(fingerprint))
        view, found = await self._log.look(fingerprint)
        now = self._clock.hour()
        while within and (one := _pick(view, now)):
            spot, name = one
            entry = (await self._log.read(view, [spot], found))[0]
            if entry is None:
                continue
            package = _parse(entry)
            ours = (await self._log.erase([(view, spot, name)]))[0]
            if ours and package is not None and self._usable(package):
                return package.signed
        lasting = [package for _, package in await self._last_resorts(view)
                   if self._usable(package)]  # fmt: skip
        if lasting:
            return max(lasting, key=lambda package: package.expiry).signed
        if within:
            return None
        raise RemoteError(Reason.TOO_MANY_REQUESTS, "too many claims of one identity")

    def expire(self, hour: int) -> None:
        """Forget the hours up to this one."""
        self._log.expire(hour)
        self._rate.forget()

    def forget(self) -> None:
        """Forget all views."""
        self._log.clear()


class _Rate:
    """So many a minute of each, and no more than a minute's worth at once."""

    def __init__(self, clock: RelayClock, a_minute: int) -> None:
        self._clock, self._most = clock, a_minute
        self._left: dict[bytes, tuple[float, int]] = {}  # how many are left, and when that was

    def count(self, who: bytes) -> bool:
        """Count one; False when none is left."""
        left = self._now_left(who)
        if left >= 1:
            self._left[who] = left - 1, self._clock.now()
        return left >= 1

    def forget(self) -> None:
        """Forget those who have all left."""
        for who in list(self._left):
            if self._now_left(who) >= self._most:
                del self._left[who]

    def _now_left(self, who: bytes) -> float:
        left, at = self._left.get(who, (float(self._most), 0))
        return min(self._most, left + max(0, self._clock.now() - at) * self._most / 60)


def _id(package: KeyPackage) -> bytes:
    return package.hash[:ID_BYTES]


def _parse(entry: Entry) -> KeyPackage | None:
    """A package that was checked when it came; None if what is kept is none."""
    try:
        return KeyPackage.parse(entry.data, verified=True)
    except RemoteError:
        return None


def _count(view: View) -> int:
    return sum(row.kind is Kind.ONE_TIME for _, row in view.waiting(0))


def _pick(view: View, now: int) -> tuple[Spot, bytes] | None:
    """Any of the one-time packages that expire first: callers who hurry seldom pick the same."""
    first: list[tuple[Spot, bytes]] = []
    for spot, row in view.waiting(now):
        if row.kind is Kind.ONE_TIME:
            if first and spot[0] != first[0][0][0]:
                break
            first.append((spot, row.name))
    return secrets.choice(first) if first else None
