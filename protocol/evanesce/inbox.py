"""The evaporating inbox: messages lie as ciphertext and wrapped key until viewed (spec 13).

A message's key is wrapped under the wrap key of the current hour. `rotate` makes a new wrap key
each hour, wraps the survivors again and erases the old one, so that what a disk or a log may still
hold of an erased record opens with nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .content import Evaporation, Said, parse_content
from .errors import LocalError, Reason, RemoteError
from .limits import HOUR, MAX_CIPHERTEXT
from .message import reopen
from .ports import Transaction
from .primitives import Random, unwrap, wrap
from .secret import Secret
from .wire import decode, encode

__all__ = ["Inbox", "Kept"]

_RECORD = b"inbox/"
_WRAP_KEY = b"wrap"


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as it is kept: everything but its plaintext."""

    id: bytes
    room: bytes
    sender: bytes
    sent: int
    received: int
    evaporation: Evaporation
    quote: bytes | None
    viewed: int | None
    wrapped: bytes
    ciphertext: bytes
    place: int = 0  # counts the messages in the order they were kept

    @property
    def deadline(self) -> int:
        """When it evaporates, as things stand."""
        if self.viewed is None:
            return self.evaporation.deadline(self.sent, self.received)
        return self.evaporation.deadline_viewed(self.sent, self.received, self.viewed)

    def dump(self) -> bytes:
        """Serialise."""
        policy = self.evaporation
        return encode([
            self.id, self.room, self.sender, self.sent, self.received, policy.after_view,
            policy.lifetime, self.quote, self.viewed, self.wrapped, self.ciphertext, self.place,
        ])  # fmt: skip

    @classmethod
    def load(cls, data: bytes) -> Kept:
        """Undo `dump`."""
        (key, room, sender, sent, received, after_view, lifetime, quote, viewed, wrapped,
         ciphertext, place) = decode(data, limit=2 * MAX_CIPHERTEXT)  # fmt: skip
        return cls(key, room, sender, sent, received, Evaporation(after_view, lifetime), quote,
                   viewed, wrapped, ciphertext, place)  # fmt: skip


class Inbox:
    """The kept messages of a device, with their deadlines in memory."""

    def __init__(
        self, wrap_key: Secret, hour: int, deadlines: dict[bytes, int], place: int = 0
    ) -> None:
        self._wrap_key = wrap_key
        self._hour = hour
        self._deadlines = deadlines
        self._place = place
        self.erased = False  # something was, since somebody last looked

    @classmethod
    def load(cls, tx: Transaction, now: int, random: Random) -> Inbox:
        """Read it from a store, or begin an empty one."""
        record = tx.get(_WRAP_KEY)
        if record is None:
            inbox = cls(Secret(random(32)), now // HOUR, {})
            inbox._save_wrap_key(tx)
            return inbox
        hour, key = decode(record, limit=128)
        kept = [Kept.load(data) for _, data in tx.scan(_RECORD)]
        place = max((entry.place for entry in kept), default=0)
        return cls(Secret(key), hour, {entry.id: entry.deadline for entry in kept}, place)

    def _save_wrap_key(self, tx: Transaction) -> None:
        tx.put(_WRAP_KEY, encode([self._hour, self._wrap_key.reveal()]))

    def keep(self, tx: Transaction, kept: Kept, key: bytes, random: Random) -> None:
        """Store a verified message; `key` is wrapped here and lives nowhere else."""
        wrapped = wrap(self._wrap_key.reveal(), key, kept.id, random)
        self._place += 1
        self._put(tx, replace(kept, place=self._place, wrapped=wrapped))

    def _put(self, tx: Transaction, kept: Kept) -> None:
        tx.put(_RECORD + kept.id, kept.dump())
        self._deadlines[kept.id] = kept.deadline

    def get(self, tx: Transaction, message: bytes, now: int) -> Kept:
        """The kept message. Raise `LocalError` (evaporated) when it is gone or due."""
        record = tx.get(_RECORD + message)
        kept = None if record is None else Kept.load(record)
        if kept is None or now >= kept.deadline:
            raise LocalError(Reason.EVAPORATED, "this message has evaporated")
        return kept

    @staticmethod
    def author(tx: Transaction, message: bytes) -> tuple[bytes, bytes] | None:
        """Room and sender of a message that is stored, due or not."""
        record = tx.get(_RECORD + message)
        kept = None if record is None else Kept.load(record)
        return None if kept is None else (kept.room, kept.sender)

    def view(self, tx: Transaction, message: bytes, now: int) -> str | bytes:
        """Mark a message viewed and return what it says; the mark must be committed first.

        Raise `LocalError` (evaporated).
        """
        kept = self.get(tx, message, now)
        if kept.viewed is None:
            kept = replace(kept, viewed=now)
            self._put(tx, kept)
        try:
            key = unwrap(self._wrap_key.reveal(), kept.wrapped, kept.id)
        except RemoteError as error:
            raise LocalError(Reason.EVAPORATED, "the key of this message is gone") from error
        content = parse_content(reopen(key, kept.ciphertext))
        assert isinstance(content, Said)  # only these are kept
        return content.body

    def close(self, tx: Transaction, message: bytes) -> bool:
        """The viewer closes a message: erase it if its policy says so. Return whether it did."""
        record = tx.get(_RECORD + message)
        if record is None or Kept.load(record).evaporation.after_view != 0:
            return False
        self.erase(tx, message)
        return True

    def erase(self, tx: Transaction, message: bytes) -> None:
        """Erase key and ciphertext."""
        tx.delete(_RECORD + message)
        self._deadlines.pop(message, None)
        self.erased = True

    def due(self, now: int) -> list[bytes]:
        """The messages that have to go now."""
        return [message for message, deadline in self._deadlines.items() if now >= deadline]

    @property
    def next_deadline(self) -> int | None:
        """When the next message has to go."""
        return min(self._deadlines.values(), default=None)

    def rotate(self, tx: Transaction, now: int, random: Random) -> None:
        """Once an hour: wrap every key under a new wrap key and erase the old (REQ-EVAP-08)."""
        if now // HOUR == self._hour:
            return
        fresh = Secret(random(32))
        for _, data in list(tx.scan(_RECORD)):
            kept = Kept.load(data)
            key = unwrap(self._wrap_key.reveal(), kept.wrapped, kept.id)
            self._put(tx, replace(kept, wrapped=wrap(fresh.reveal(), key, kept.id, random)))
        self._wrap_key, self._hour = fresh, now // HOUR
        self._save_wrap_key(tx)
        self.erased = True

    def all(self, tx: Transaction, now: int) -> list[Kept]:
        """Every message that has not evaporated, oldest first."""
        kept = (Kept.load(data) for _, data in tx.scan(_RECORD))
        return sorted((k for k in kept if now < k.deadline), key=lambda k: k.place)
