"""Blobs: sealed chunks of whatever is too large for an envelope, by their hash (REQ-RELAY-08)."""

from __future__ import annotations

from typing import Final

from ..errors import Reason, RemoteError
from ..primitives import H, equal
from .clock import RelayClock
from .keys import RelayKeys
from .logs import Log, New
from .names import ID_BYTES, Names, id_name
from .reading import Gate
from .rows import RelayStore
from .schedule import Schedule
from .sealing import Entry, Kind
from .views import Spot, View

__all__ = ["Blobs"]

_HASH_BYTES: Final = 32
_MAX_KNOWN: Final = 256  # times that one blob is put and deleted again within the retention


class Blobs:
    """All blobs. Raise `StoreFailure` where the store does."""

    def __init__(
        self,
        store: RelayStore,
        keys: RelayKeys,
        clock: RelayClock,
        names: Names,
        retention_hours: int,
        gate: Gate | None = None,
    ) -> None:
        self._clock, self._retention = clock, retention_hours
        within = Schedule.of_retention(retention_hours)
        self._log = Log(store, keys, clock, names.blob, within, keep_empty=False, gate=gate)

    async def put(self, token_hash: bytes, content: bytes, refuse: Reason | None) -> None:
        """Keep a blob from now on as long as an envelope, under the token that came first.

        With `refuse`, one that is not kept already is refused.
        """
        owner = H(b"blob", content)
        hour = self._clock.hour() + self._retention
        async with self._log.hold([owner]) as views:
            view = views[owner]
            kept = await self._kept(view)
            if kept:
                token_hash = kept[0][1].data[:_HASH_BYTES]
                if kept[-1][0][0] >= hour:
                    return
            if view.known >= _MAX_KNOWN:
                raise RemoteError(Reason.TOO_MANY_REQUESTS, "put and deleted too often")
            item = _id(hour, view.blanks)
            new = New(owner, hour, id_name(view.key, item),
                      Entry(Kind.BLOB, item, token_hash + content))  # fmt: skip
            await self._log.add(views, [new], lambda view, more: refuse)
            if new.outcome is not None:
                raise RemoteError(new.outcome, "the blob was not taken")
            await self._erase(view, kept)  # a copy that would go earlier

    async def get(self, content_hash: bytes) -> bytes:
        """A blob. Raise `RemoteError` (unknown-blob)."""
        view, _ = await self._log.look(content_hash)
        for _, entry in await self._kept(view):
            content = entry.data[_HASH_BYTES:]
            if H(b"blob", content) == content_hash:
                return content
        raise RemoteError(Reason.UNKNOWN_BLOB, "no such blob")

    async def delete(self, content_hash: bytes, token: bytes) -> None:
        """Erase a blob. Raise `RemoteError`: unknown-blob, not-permitted."""
        async with self._log.hold([content_hash]) as views:
            view = views[content_hash]
            kept = await self._kept(view)
            if not kept:
                raise RemoteError(Reason.UNKNOWN_BLOB, "no such blob")
            if not equal(H(b"blob token", token), kept[0][1].data[:_HASH_BYTES]):
                raise RemoteError(Reason.NOT_PERMITTED, "not the token of this blob")
            await self._erase(view, kept)

    async def _kept(self, view: View) -> list[tuple[Spot, Entry]]:
        """The copies that live, earliest first: one, unless something broke off."""
        now = self._clock.hour()
        spots = [spot for spot, _ in view.waiting(now)]
        entries = await self._log.read(view, spots, {})
        return [(spot, entry) for spot, entry in zip(spots, entries, strict=True)
                if entry is not None]  # fmt: skip

    async def _erase(self, view: View, kept: list[tuple[Spot, Entry]]) -> None:
        await self._log.erase([(view, spot, id_name(view.key, entry.id)) for spot, entry in kept])

    def expire(self, hour: int) -> None:
        """Forget the hours up to this one."""
        self._log.expire(hour)

    def forget(self) -> None:
        """Forget all views."""
        self._log.clear()


def _id(hour: int, erased: int) -> bytes:
    """The id of a copy: the same for all who put it now, another once it has been deleted."""
    return hour.to_bytes(8, "big") + erased.to_bytes(ID_BYTES - 8, "big")
