"""Sending what is queued: in bounded batches, and so that nothing waits for what cannot go (12.6).

A batch that fails is split, until what cannot be sent stands alone. That is tried after all others,
and less and less often; a mailbox that is full, or that a relay cannot serve now, waits alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .backoff import Backoff
from .desk import TRANSPORT_FAULTS, Desk
from .engine import Engine
from .errors import Reason
from .ledger import Recipient, State
from .outbox import Outbox, Queued
from .ports import PASSING, Outgoing, Recall, Transaction, Transport

__all__ = ["Sender"]

BATCH = 64  # envelopes in one call of the transport
BATCH_BYTES = 4 * 1024 * 1024  # and their size, but for one that is larger
MISSES = 3  # envelopes that fail one after the other before the transport counts as down


class Sender:
    """Sends what is queued."""

    def __init__(self, desk: Desk, transport: Transport) -> None:
        self._desk = desk
        self._transport = transport
        self._full: dict[bytes, Backoff] = {}  # by address of the mailbox
        self._missed: dict[bytes, Backoff] = {}  # by id of the envelope: what has failed alone
        self._misses = 0  # one after the other
        self._worked = False  # the transport has answered in this round
        self._was_down = False  # it did not in the last one

    @property
    def due(self) -> int | None:
        """When the first of the mailboxes that are full is to be tried again."""
        return min((backoff.due for backoff in self._full.values()), default=None)

    def hope(self) -> None:
        """Let nothing wait any longer because it has failed before."""
        self._full.clear()
        self._missed.clear()

    async def send(self) -> bool:
        """Send what may be tried now; return whether nothing is left that has failed."""
        self._worked = False
        await self._round()
        if self._was_down and self._worked:  # nothing of what had failed was to blame
            self._was_down = False
            self._missed.clear()
            await self._round()
        self._was_down = bool(self._missed) and not self._worked
        return not self._missed

    async def _round(self) -> None:
        with self._desk.store.transaction() as tx:
            waiting = Outbox.waiting(tx)
        _keep_only(self._full, {item.address for item in waiting})
        _keep_only(self._missed, {item.id for item in waiting})
        self._misses = 0
        for batch in self._batches(waiting):
            await self._try(batch)
            if self._misses >= MISSES or (self._was_down and self._worked):
                break

    def _waits(self, backoffs: Mapping[bytes, Backoff], key: bytes) -> bool:
        return key in backoffs and backoffs[key].waits(self._desk.clock.now())

    def _batches(self, waiting: Sequence[Queued]) -> Iterator[list[Queued]]:
        """What may be sent, in order; then what has failed before, each by itself."""
        batch: list[Queued] = []
        size = 0
        for item in waiting:
            if item.id in self._missed or self._waits(self._full, item.address):
                continue
            if batch and (len(batch) == BATCH or size + item.size > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += item.size
        if batch:
            yield batch
        again = [i for i in waiting if i.id in self._missed and not self._waits(self._missed, i.id)]
        for item in sorted(again, key=lambda item: self._missed[item.id].due):
            yield [item]

    async def _try(self, batch: Sequence[Queued]) -> None:
        """Send a batch, in parts if need be."""
        batch = [item for item in batch if not self._waits(self._full, item.address)]
        if self._misses >= MISSES or not self._desk.is_open:
            return
        with self._desk.store.transaction() as tx:
            loaded = Outbox.load_envelopes(tx, batch)
        if not loaded:
            return
        items = [item for item, _ in loaded]
        never = self._desk.engine.outbox.handing_over(items)
        try:
            refused = await self._call([outgoing for _, outgoing in loaded])
        except TRANSPORT_FAULTS:
            if len(items) == 1:
                self._missed.setdefault(items[0].id, Backoff()).failed(self._desk.clock.now())
                self._misses += 1
            else:
                await self._try(items[: len(items) // 2])
                await self._try(items[len(items) // 2 :])
            return
        self._misses, self._worked = 0, True
        full = {i.name for i in items if refused.get(i.id) in PASSING}
        self._desk.engine.outbox.fresh |= never & full  # these have not left
        await self._desk.keep(lambda tx, now: settle(self._desk.engine, tx, items, refused, now))
        self._note(items, refused)

    async def _call(self, envelopes: Sequence[Outgoing]) -> dict[bytes, Reason]:
        """Call the transport; what it says of one envelope with `ValueError` is a refusal."""
        try:
            refused = await self._transport.send(envelopes)
        except ValueError:
            if len(envelopes) > 1:
                raise
            return {envelopes[0].id: Reason.BAD_INPUT}
        return {key: _reason(reason) for key, reason in refused.items()}

    def _note(self, items: Sequence[Queued], refused: Mapping[bytes, Reason]) -> None:
        for item in items:
            self._missed.pop(item.id, None)
        full = {item.address for item in items if refused.get(item.id) in PASSING}
        for address in {item.address for item in items} - full:
            self._full.pop(address, None)
        for address in full:
            self._full.setdefault(address, Backoff()).failed(self._desk.clock.now())


def _keep_only(backoffs: dict[bytes, Backoff], keys: set[bytes]) -> None:
    for key in backoffs.keys() - keys:
        del backoffs[key]


def _reason(reason: object) -> Reason:
    """A refusal, also as the plain string that a relay client may pass on."""
    try:
        return Reason(str(reason))
    except ValueError:
        return Reason.BAD_INPUT


def settle(
    engine: Engine,
    tx: Transaction,
    items: Sequence[Queued],
    refused: Mapping[bytes, Reason],
    now: int,
) -> None:
    """Drop what was taken, put aside what was refused for good, and enter both in the ledger."""
    news: dict[bytes, dict[bytes, Recipient]] = {}
    taken: dict[bytes, list[Recall]] = {}
    for item in items:
        reason = refused.get(item.id)
        if reason in PASSING:
            continue
        there = tx.get(item.name) is not None  # not given up or burned meanwhile
        if reason is not None and not there:
            continue
        member = item.member or b""
        if reason is None:
            if there and item.report is not None and engine.ledger.is_said(item.report):
                taken.setdefault(item.report, []).append(item.recall)
            Outbox.done(tx, item)
            became = Recipient(member, State.SENT)
        else:
            became = Recipient.failed(member, reason)
            if became.retryable:
                Outbox.put_aside(tx, item)
            else:
                Outbox.done(tx, item)
        if item.report is not None:
            news.setdefault(item.report, {})[member] = became
        elif reason is not None:
            engine.ledger.fail_unknown(reason, item.room)
    for report, items_taken in taken.items():
        engine.outbox.recalls.note(tx, report, items_taken, now)
    for report, states in news.items():
        engine.ledger.note(tx, report, states, now)
