"""Calling back what was burned, where the transport can (REQ-EVAP-14, REQ-ENV-23)."""

from __future__ import annotations

from collections.abc import Sequence

from .desk import TRANSPORT_FAULTS, Desk
from .errors import Reason, RemoteError
from .ports import Recall, Recalling, Transport
from .sending import BATCH

__all__ = ["Recaller"]

_FINAL = frozenset({Reason.UNKNOWN_MAILBOX, Reason.NOT_PERMITTED})


class Recaller:
    """Passes on what is to be called back; what the transport has not heard is tried again."""

    def __init__(self, desk: Desk, transport: Transport) -> None:
        self._desk = desk
        self._transport = transport

    async def recall(self) -> bool:
        """Call back what waits for it; return whether nothing is left that has failed."""
        transport = self._transport
        if not isinstance(transport, Recalling):
            return True  # it is as it is; what waits is dropped when it is old
        done = True
        for message in self._desk.engine.outbox.recalls.demanded:
            recalls = self._desk.engine.outbox.recalls  # read before: it may need a transaction
            with self._desk.store.transaction() as tx:
                items = recalls.items(tx, message)
            try:
                for first in range(0, len(items), BATCH):
                    await self._call(transport, items[first : first + BATCH])
            except TRANSPORT_FAULTS:
                done = False  # nothing else waits for it
                continue
            await self._desk.keep(
                lambda tx, now: self._desk.engine.outbox.recalls.done(tx, message, items)  # noqa: B023
            )
        return done

    async def _call(self, transport: Recalling, items: Sequence[Recall]) -> None:
        """Have these called back, each by itself if one of them is refused."""
        try:
            await transport.recall(items)
        except RemoteError as error:
            if error.reason not in _FINAL:
                raise
            if len(items) > 1:  # else it is refused for good: there is nothing to call back
                for item in items:
                    await self._call(transport, [item])
