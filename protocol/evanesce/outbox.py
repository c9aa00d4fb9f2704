"""The outbox: envelopes that have been sealed and not yet taken by the transport (spec 12).

An envelope is sealed once, in the transaction that made its content, and sent as the same bytes
until the transport has it. A copy for a member whose mailbox is not known yet is held.
"""

from __future__ import annotations

from .envelope import seal_envelope
from .errors import Reason, RemoteError
from .limits import MAX_ENVELOPE
from .mailbox import Mailbox
from .ports import Outgoing, Transaction
from .primitives import Random
from .wire import decode, encode

__all__ = ["Outbox"]

_QUEUED = b"outbox/"
_HELD = b"held/"
_COUNTER = b"outbox"
_LIMIT = MAX_ENVELOPE + 512


class Outbox:
    """Queues envelopes in a store, in the order they were made."""

    def __init__(self, counter: int) -> None:
        self._counter = counter

    @classmethod
    def load(cls, tx: Transaction) -> Outbox:
        """Read it from a store."""
        record = tx.get(_COUNTER)
        return cls(0 if record is None else int.from_bytes(record, "big"))

    def _next(self, tx: Transaction) -> bytes:
        self._counter += 1
        place = self._counter.to_bytes(8, "big")
        tx.put(_COUNTER, place)
        return place

    def post(
        self, tx: Transaction, room: bytes, mailbox: Mailbox, payload: bytes, random: Random
    ) -> None:
        """Seal a payload to a mailbox and queue it. A mailbox with a bad key gets nothing."""
        try:
            envelope = seal_envelope(mailbox, payload, random)
        except RemoteError:
            return
        record = encode([random(16), mailbox.value(), envelope, room])
        tx.put(_QUEUED + self._next(tx), record)

    def hold(self, tx: Transaction, room: bytes, member: bytes, payload: bytes) -> None:
        """Keep a payload (a sealed message or commit) until the member's mailbox is known."""
        tx.put(_HELD + room + member + self._next(tx), payload)

    def release(
        self, tx: Transaction, room: bytes, member: bytes, mailbox: Mailbox, random: Random
    ) -> None:
        """Post everything held for a member to the mailbox it has announced."""
        for name, payload in list(tx.scan(_HELD + room + member)):
            self.post(tx, room, mailbox, payload, random)
            tx.delete(name)

    def drop_held(self, tx: Transaction, room: bytes, member: bytes) -> None:
        """Forget what is held for a member that has been removed."""
        for name, _ in list(tx.scan(_HELD + room + member)):
            tx.delete(name)

    @staticmethod
    def queued(tx: Transaction) -> list[tuple[bytes, bytes, Outgoing]]:
        """What waits: the record's name, the room, the envelope."""
        waiting = []
        for name, record in tx.scan(_QUEUED):
            key, mailbox, envelope, room = decode(record, limit=_LIMIT)
            waiting.append((name, room, Outgoing(key, Mailbox(*mailbox), envelope)))
        return waiting

    @staticmethod
    def settle(
        tx: Transaction, sent: list[tuple[bytes, bytes, Outgoing]], refused: dict[bytes, Reason]
    ) -> list[tuple[Reason, bytes]]:
        """Drop what was taken or refused for good; return the refusals with their rooms."""
        failed: list[tuple[Reason, bytes]] = []
        for name, room, item in sent:
            reason = refused.get(item.id)
            if reason == Reason.MAILBOX_FULL:  # also as the plain string a relay client may pass on
                continue
            tx.delete(name)
            if reason is not None:
                failed.append((reason, room))
        return failed
