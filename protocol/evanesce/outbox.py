"""The outbox: envelopes that have been sealed and not yet taken by the transport (spec 12).

An envelope is sealed once, in the transaction that made its content, and sent as the same bytes
until the transport has it. A copy for a member whose mailbox is not known yet is held. What was
refused for good is put aside, for as long as the ledger tells of it.

Whether something may have left this device is known of what was queued in this session and not yet
handed to the transport: that is `fresh`. Of all else the transport may have taken it unheard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .envelope import seal_envelope
from .errors import RemoteError
from .ledger import UNREACHABLE, Recipient, State
from .limits import MAX_ENVELOPE
from .mailbox import Mailbox
from .ports import Outgoing, Recall, Transaction
from .primitives import Random
from .recalls import Recalls
from .wire import decode, encode

__all__ = ["Outbox", "Queued"]

_QUEUED = b"outbox/"
_HELD = b"held/"
_ASIDE = b"failed/"
_COUNTER = b"outbox"
_LIMIT = MAX_ENVELOPE + 512
_PLACE = 8  # bytes of a place in the queue
REQUEST = b"request:"  # and the time in 8 bytes: in place of the id of a message or commit


@dataclass(frozen=True, slots=True)
class Queued:
    """What waits, without its envelope."""

    name: bytes  # of its record
    id: bytes  # of the envelope
    mailbox: Mailbox
    room: bytes
    report: bytes | None  # id of the message or commit it is a copy of
    member: bytes | None  # whose copy it is
    size: int

    @property
    def address(self) -> bytes:
        """Of the mailbox."""
        return self.mailbox.address

    @property
    def recall(self) -> Recall:
        """What calls it back, once the transport has taken it."""
        return Recall(self.id, self.mailbox)


class Outbox:
    """Queues envelopes in a store, in the order they were made."""

    def __init__(self, counter: int, recalls: Recalls | None = None) -> None:
        self._counter = counter
        self.recalls = recalls or Recalls({}, {})
        self.fresh: set[bytes] = set()  # names of records

    @classmethod
    def load(cls, tx: Transaction) -> Outbox:
        """Read it from a store."""
        record = tx.get(_COUNTER)
        return cls(0 if record is None else int.from_bytes(record, "big"), Recalls.load(tx))

    def _next(self, tx: Transaction) -> bytes:
        self._counter += 1
        place = self._counter.to_bytes(_PLACE, "big")
        tx.put(_COUNTER, place)
        return place

    def post(
        self,
        tx: Transaction,
        room: bytes,
        mailbox: Mailbox,
        payload: bytes,
        random: Random,
        report: bytes,
        member: bytes,
    ) -> Recipient:
        """Seal a payload to a mailbox and queue it. A mailbox with a bad key gets nothing."""
        try:
            envelope = seal_envelope(mailbox, payload, random)
        except RemoteError as error:
            return Recipient.failed(member, error.reason)
        record = encode([random(16), mailbox.value(), envelope, room, report, member])
        name = _QUEUED + self._next(tx)
        tx.put(name, record)
        self.fresh.add(name)
        return Recipient(member, State.PENDING)

    def hold(
        self, tx: Transaction, room: bytes, member: bytes, payload: bytes, report: bytes
    ) -> Recipient:
        """Keep a payload (a sealed message or commit) until the member's mailbox is known."""
        tx.put(_HELD + room + member + self._next(tx) + report, payload)
        return Recipient(member, State.PENDING, UNREACHABLE)

    @staticmethod
    def _held(tx: Transaction, room: bytes, member: bytes) -> list[tuple[bytes, bytes, bytes]]:
        """Name, payload and report of all that is held for a member, in order."""
        prefix = _HELD + room + member
        return [(name, payload, name[len(prefix) + _PLACE :]) for name, payload in tx.scan(prefix)]

    def release(
        self, tx: Transaction, room: bytes, member: bytes, mailbox: Mailbox, random: Random
    ) -> list[tuple[bytes, Recipient]]:
        """Post everything held for a member to the mailbox it has announced; return what became."""
        posted = []
        for name, payload, report in self._held(tx, room, member):
            tx.delete(name)
            posted.append(
                (report, self.post(tx, room, mailbox, payload, random, report, member))
            )
        return posted

    def drop_held(self, tx: Transaction, room: bytes, member: bytes) -> list[bytes]:
        """Forget what is held for a member that has been removed; return of what it were copies."""
        held = self._held(tx, room, member)
        for name, _, _ in held:
            tx.delete(name)
        return [report for _, _, report in held]

    @staticmethod
    def waiting(tx: Transaction) -> list[Queued]:
        """What waits, in order, without the envelopes."""
        waiting = []
        for name, record in tx.scan(_QUEUED):
            key, mailbox, _, room, *of = decode(record, limit=_LIMIT)
            report, member = of or (None, None)  # none: queued by an earlier version
            size = len(record)
            waiting.append(Queued(name, key, Mailbox(*mailbox), room, report, member, size))
        return waiting

    @staticmethod
    def load_envelopes(
        tx: Transaction, queued: Iterable[Queued]
    ) -> list[tuple[Queued, Outgoing]]:
        """Those of these that still wait, with their envelopes."""
        found = []
        for item in queued:
            record = tx.get(item.name)
            if record is not None:
                envelope = decode(record, limit=_LIMIT)[2]
                found.append((item, Outgoing(item.id, item.mailbox, envelope)))
        return found

    def handing_over(self, items: Iterable[Queued]) -> set[bytes]:
        """The transport is given these now; return the names of those it never had before."""
        never = self.fresh & {item.name for item in items}
        self.fresh -= never
        return never

    @staticmethod
    def done(tx: Transaction, item: Queued) -> None:
        """The transport has taken it, or nothing will change that it is refused."""
        tx.delete(item.name)

    @staticmethod
    def put_aside(tx: Transaction, item: Queued) -> None:
        """The transport has refused it: keep it for somebody who wants to try again."""
        record = tx.get(item.name)
        if record is not None and item.report is not None and item.member is not None:
            tx.put(_ASIDE + item.report + item.member, record)
        tx.delete(item.name)

    def again(self, tx: Transaction, report: bytes) -> list[Recipient]:
        """Queue what was put aside of a message or commit, as the same bytes."""
        prefix = _ASIDE + report
        queued = []
        for name, record in list(tx.scan(prefix)):
            tx.put(_QUEUED + self._next(tx), record)
            tx.delete(name)
            queued.append(Recipient(name[len(prefix) :], State.PENDING))
        return queued

    def perhaps_taken(self, tx: Transaction, reports: set[bytes]) -> dict[bytes, list[Recall]]:
        """Of the queued copies of these, by message: those the transport may have taken unheard."""
        found: dict[bytes, list[Recall]] = {}
        for item in Outbox.waiting(tx):
            if item.report in reports and item.report and item.name not in self.fresh:
                found.setdefault(item.report, []).append(item.recall)
        return found

    @staticmethod
    def drop(tx: Transaction, reports: set[bytes]) -> None:
        """Forget all copies of these messages and commits, wherever they wait."""
        if not reports:
            return
        for name, _ in list(tx.scan(_HELD)):
            if name[-16:] in reports and len(name) > len(_HELD) + 64 + _PLACE:
                tx.delete(name)
        for item in Outbox.waiting(tx):
            if item.report in reports:
                tx.delete(item.name)
        Outbox.drop_aside(tx, reports)

    @staticmethod
    def drop_commits(tx: Transaction, room: bytes) -> None:
        """Forget the copies of one's own commits in a room that have not left."""
        for item in Outbox.waiting(tx):
            if item.room == room and (item.report or b"").startswith(room[:8]):
                tx.delete(item.name)

    @staticmethod
    def drop_requests(tx: Transaction, before: int) -> None:
        """Forget requests that were made before this moment and have not been taken."""
        for item in Outbox.waiting(tx):
            report = item.report or b""
            if report.startswith(REQUEST) and int.from_bytes(report[8:], "big") < before:
                tx.delete(item.name)
        for name, _ in list(tx.scan(_ASIDE + REQUEST)):
            tx.delete(name)

    @staticmethod
    def drop_aside(tx: Transaction, reports: Iterable[bytes]) -> None:
        """Forget what was put aside of these."""
        for report in reports:
            for name, _ in list(tx.scan(_ASIDE + report)):
                tx.delete(name)
