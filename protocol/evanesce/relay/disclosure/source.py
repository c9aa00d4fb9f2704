"""The relay as a disclosure sees it: the same store and keys, beside a running relay, only read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...errors import LocalError, Reason, RemoteError
from ..clock import RelayClock
from ..commands import EXTRA
from ..config import RelayConfig
from ..faults import faults
from ..keys import RelayKeys
from ..mailboxes import Mailboxes, Record
from ..names import Names
from ..relay import Cursor, Relay, Waiting
from ..rows import RelayStore, StoreFailure
from ..settings import RelaySettings

__all__ = ["Beside", "reading"]

_META = 0  # the bucket that says what the table was made for


class Beside:
    """What a relay holds, read beside it. The store must have been started."""

    def __init__(
        self, store: RelayStore, keys: RelayKeys, clock: RelayClock, settings: RelaySettings
    ) -> None:
        self._store = store
        self._relay = Relay(store, keys, clock, settings)
        self._table = Mailboxes(store, Names(keys.index), keys.table, clock, settings.mailboxes)

    async def check(self) -> None:
        """Raise `LocalError` (bad-store) unless these keys and settings are those of the store.

        With others, every mailbox would seem not to be there.
        """
        try:
            _, data = await self._store.bucket(_META)
            if data is None:
                raise LocalError(Reason.BAD_STORE, "no relay has been run on this store")
            await self._table.start()
        except StoreFailure as error:
            raise RemoteError(Reason.RELAY_BUSY, "the store failed") from error

    async def holdings(self, address: bytes) -> dict[str, object]:
        """All that is held of a mailbox, by the names of 22.8, but what there is none of."""
        told = await self._relay.holdings(address)
        with faults():
            record = (await self._table.find([address], fresh=True))[0]
        if isinstance(record, Reason) and record is not Reason.UNKNOWN_MAILBOX:
            raise RemoteError(record, "the table of mailboxes cannot be read here")
        mailbox = (
            {"write_capability_hash": record.capability_hash, "lease_quarter": record.lease}
            if isinstance(record, Record)
            else None
        )
        held = {
            "mailbox": mailbox,
            "envelopes": told["envelopes"],
            "notices": told["notices"],
            "erased_places": told["blanks"],
            "unreadable_rows": told["unreadable"],
        }
        return {name: value for name, value in held.items() if value}

    async def fetch(
        self, address: bytes, cursor: Cursor, envelopes: int, octets: int
    ) -> list[Waiting]:
        """What waits: `Relay.fetch`."""
        return await self._relay.fetch(address, cursor, envelopes, octets)


@asynccontextmanager
async def reading(config: RelayConfig) -> AsyncIterator[Beside]:
    """What the configuration names, only read. Raise `LocalError`: bad-store, bad-input."""
    keys = RelayKeys.open(config.keys_folder, make=False)
    clock = RelayClock(keys.last_hour)
    try:
        from ..stores import make_store  # noqa: PLC0415  what it needs may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("evanesce"):
            raise
        raise LocalError(Reason.BAD_INPUT, f"{error.name} is not installed: {EXTRA}") from None
    store = make_store(config, read_only=True)
    await store.start()
    try:
        beside = Beside(store, keys, clock, config.settings)
        await beside.check()
        yield beside
    finally:
        await store.stop()
