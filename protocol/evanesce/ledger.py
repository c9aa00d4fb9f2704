"""The ledger: what became of each copy that this device has sent (spec 12.6).

There is one entry for each message and one for each commit, with a state for each of its
recipients. Entries change only in the transactions that change what they tell of.

What counts as **confirmed** is proven by keys, but for the last of these:

- a *commit* (or genesis), once its recipient has spoken in its epoch or a later one, or committed
  on one: the keys of an epoch come only from the commit that opened it, and from those before;
- a *message of a 1:1 room*, once the other side has answered its epoch, if it was alone in it: the
  answer is made with keys that each message of that epoch carries, so it proves that one of them
  came, but not which;
- a *text or data*, once its recipient says in a receipt that it has viewed it, where receipts are
  on (REQ-EVAP-13): that is its own word.

Nothing else that a member sends in a group proves which messages it has had: those stay *sent*.

When a message is **burned**, copies that have not been taken by then have failed for the reason
`evaporated`, and no retry helps; the others stay what they are. Nobody is told `DeliveryFailed` of
it, as it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from .errors import LocalError, Reason
from .events import DeliveryFailed
from .limits import DAY, RETENTION
from .ports import Transaction
from .tree import Lineage
from .wire import decode, encode

__all__ = ["Ledger", "Recipient", "Report", "SentMessage", "State", "commit_key"]

KEPT_MESSAGE = RETENTION  # seconds that a message may wait, and that its entry is kept after that
KEPT_COMMIT = 30 * DAY
UNREACHABLE = "unreachable"  # why a copy is held
# The transport may take these another time, if it is asked to; others are final.
_RETRYABLE = frozenset({Reason.UNKNOWN_MAILBOX, Reason.QUEUE_FULL, Reason.BAD_INPUT})
_PREFIX = b"ledger/"
_LIMIT = 1 << 20


class State(StrEnum):
    """How far a copy has come."""

    PENDING = "pending"  # queued; or held, because its recipient cannot be reached yet
    SENT = "sent"  # the transport has taken it
    CONFIRMED = "confirmed"  # its recipient provably has it
    FAILED = "failed"


_STATES = tuple(State)


@dataclass(frozen=True, slots=True)
class Recipient:
    """What became of one recipient's copy.

    `why`: "unreachable" of what is held, the reason code of what has failed. `retryable`: whether
    `Device.retry` may help. `viewed`: whether it has said so in a receipt.
    """

    member: bytes  # member id
    state: State
    why: str | None = None
    retryable: bool = False
    viewed: bool = False

    @classmethod
    def failed(cls, member: bytes, reason: Reason) -> Recipient:
        """A copy that will not be sent any more by itself."""
        return cls(member, State.FAILED, reason, reason in _RETRYABLE)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a message, or of a commit, for each of its recipients."""

    id: bytes
    room: bytes  # room id
    epoch: int  # in which the message was sent, or which the commit has opened
    commit: bool
    made: int
    recipients: tuple[Recipient, ...]
    changed: int = 0
    said: int = 0  # counts texts and data in the order they were sent; 0: something else
    burned: bool = False

    def of(self, member: bytes) -> Recipient:
        """One recipient's. Raise `LocalError` (unknown-member)."""
        for recipient in self.recipients:
            if recipient.member == member:
                return recipient
        raise LocalError(Reason.UNKNOWN_MEMBER, "this was not for that member")

    def dump(self) -> bytes:
        """Serialise."""
        rows = [
            [r.member, _STATES.index(r.state), None if r.why is None else str(r.why), r.retryable,
             r.viewed]
            for r in self.recipients
        ]  # fmt: skip
        return encode([self.id, self.room, self.epoch, self.commit, self.made, rows, self.changed,
                       self.said, self.burned])  # fmt: skip

    @classmethod
    def load(cls, data: bytes) -> Report:
        """Undo `dump`."""
        key, room, epoch, commit, made, rows, *later = decode(data, limit=_LIMIT)
        recipients = tuple(Recipient(m, _STATES[state], *rest) for m, state, *rest in rows)
        return cls(key, room, epoch, commit, made, recipients, *later)


class SentMessage(bytes):
    """The id of a message that has just been stored, 16 bytes, with the report on its copies.

    `report` is as it stands when `Conversation.send` has stored the message: a copy is pending, or
    has failed. Ask `Conversation.report` for what has become of it since.
    """

    report: Report

    @classmethod
    def of(cls, report: Report) -> SentMessage:
        """The id that a report is about, with the report."""
        made = cls(report.id)
        made.report = report
        return made


def commit_key(room: bytes, epoch: bytes) -> bytes:
    """The id under which the commit that opened the epoch of this prefix is reported, 16 bytes."""
    return room[:8] + epoch


@dataclass(slots=True)
class _Entry:
    """What is kept of an entry in memory, to find it by."""

    room: bytes
    epoch: int
    commit: bool
    made: int
    changed: int
    pending: bool
    unconfirmed: set[bytes]  # the recipients of a commit
    said: int

    @classmethod
    def of(cls, report: Report) -> _Entry:
        unconfirmed = {
            r.member for r in report.recipients
            if r.state is not State.CONFIRMED and r.why != Reason.ROOM_CLOSED
        }  # fmt: skip
        return cls(
            report.room, report.epoch, report.commit, report.made, report.changed,
            any(r.state is State.PENDING for r in report.recipients),
            unconfirmed if report.commit else set(), report.said,
        )  # fmt: skip

    @property
    def kept(self) -> int:
        return KEPT_COMMIT if self.commit else KEPT_MESSAGE


@dataclass(slots=True)
class Ledger:
    """The entries of a device. `failures` is to be told when the transaction is committed."""

    _entries: dict[bytes, _Entry] = field(default_factory=dict)
    failures: list[DeliveryFailed] = field(default_factory=list)

    @classmethod
    def load(cls, tx: Transaction) -> Ledger:
        """Read it from a store."""
        reports = (Report.load(data) for _, data in tx.scan(_PREFIX))
        return cls({report.id: _Entry.of(report) for report in reports})

    def _put(self, tx: Transaction, report: Report) -> None:
        self._entries[report.id] = _Entry.of(report)
        tx.put(_PREFIX + report.id, report.dump())

    def begin(self, tx: Transaction, report: Report) -> None:
        """Enter a message or commit that has just been queued."""
        self._put(tx, replace(report, changed=report.made))
        self._tell(report, report.recipients)

    def begin_said(self, tx: Transaction, report: Report) -> None:
        """The same for a text or data."""
        last = max((entry.said for entry in self._entries.values()), default=0)
        self.begin(tx, replace(report, said=last + 1))

    def is_said(self, key: bytes) -> bool:
        """Whether this is a text or data, and is told of."""
        return key in self._entries and self._entries[key].said > 0

    def _tell(self, report: Report, changed: Iterable[Recipient]) -> None:
        by_reason: dict[str, list[Recipient]] = {}
        for recipient in changed:
            if recipient.state is State.FAILED and recipient.why is not None:
                by_reason.setdefault(recipient.why, []).append(recipient)
        for why, failed in by_reason.items():
            self.failures.append(DeliveryFailed(
                Reason(why), report.room, None if report.commit else report.id,
                report.epoch if report.commit else None,
                tuple(r.member for r in failed), failed[0].retryable,
            ))  # fmt: skip

    def fail_unknown(self, reason: Reason, room: bytes) -> None:
        """Something that an earlier version queued has been refused."""
        self.failures.append(DeliveryFailed(reason, room))

    def report(self, tx: Transaction, key: bytes) -> Report:
        """What became of a message or commit. Raise `LocalError` (unknown-message)."""
        record = tx.get(_PREFIX + key)
        if record is None:
            raise LocalError(Reason.UNKNOWN_MESSAGE, "not sent by this device, or long ago")
        return Report.load(record)

    def report_commit(self, tx: Transaction, room: bytes, epoch: int) -> Report:
        """Of a commit that opened an epoch of this number; the last one, if others have lost.

        Raise `LocalError` (unknown-message).
        """
        found = [key for key, entry in self._entries.items()
                 if entry.commit and entry.room == room and entry.epoch == epoch]  # fmt: skip
        found.sort(key=lambda key: self._entries[key].made)
        return self.report(tx, found[-1] if found else b"")

    def note(
        self, tx: Transaction, key: bytes, news: Mapping[bytes, Recipient], now: int,
        *, tell: bool = True,
    ) -> None:  # fmt: skip
        """Enter new states, by member. What is confirmed stays so; what is forgotten, too."""
        record = tx.get(_PREFIX + key)
        if record is None:
            return
        report = Report.load(record)
        changed = {
            r.member: news[r.member]
            for r in report.recipients
            if r.member in news and r.state is not State.CONFIRMED and r != news[r.member]
        }
        if not changed:
            return
        after = tuple(changed.get(r.member, r) for r in report.recipients)
        self._put(tx, replace(report, recipients=after, changed=now))
        if tell:
            self._tell(report, changed.values())

    # --- what proves that something has come ------------------------------------------------------

    def heard(
        self, tx: Transaction, room: bytes, member: bytes, known: Lineage, now: int
    ) -> None:
        """A member has every commit of one's own that has opened an epoch of this lineage."""
        for key, entry in list(self._entries.items()):
            if entry.room != room or member not in entry.unconfirmed:
                continue
            if known.has(key[len(commit_key(room, b"")) :], entry.epoch):
                self.note(tx, key, {member: Recipient(member, State.CONFIRMED)}, now)

    def left_behind(
        self, tx: Transaction, room: bytes, member: bytes, epoch: int, now: int
    ) -> None:
        """A member is let in anew in this epoch: what it has not got of commits, it never will."""
        for key, entry in list(self._entries.items()):
            earlier = entry.room == room and entry.commit and entry.epoch < epoch
            if earlier and member in entry.unconfirmed:
                failed = Recipient.failed(member, Reason.ROOM_CLOSED)  # no news to anybody
                self.note(tx, key, {member: failed}, now, tell=False)

    def answered(self, tx: Transaction, room: bytes, peer: bytes, epoch: int, now: int) -> None:
        """The peer has answered an epoch in which this device sent one message and no more."""
        for key, entry in list(self._entries.items()):
            if entry.room == room and entry.epoch == epoch and not entry.commit:
                self.note(tx, key, {peer: Recipient(peer, State.CONFIRMED)}, now)

    def viewed(self, tx: Transaction, room: bytes, member: bytes, key: bytes, now: int) -> bool:
        """A member says that it has viewed a message: return whether that is news (REQ-EVAP-13)."""
        if not self.is_said(key) or self._entries[key].room != room:
            return False
        report = self.report(tx, key)
        fresh = [r for r in report.recipients if r.member == member and not r.viewed]
        if not fresh:
            return False
        viewed = Recipient(member, State.CONFIRMED, viewed=True)
        after = tuple(viewed if r.member == member else r for r in report.recipients)
        self._put(tx, replace(report, recipients=after, changed=now))
        return True

    # --- burning ---------------------------------------------------------------------------------

    def all_said(self, tx: Transaction, room: bytes) -> list[Report]:
        """Every text and data of a room that is told of, in the order they were sent."""
        said = {entry.said: key for key, entry in self._entries.items()
                if entry.said and entry.room == room}  # fmt: skip
        return [self.report(tx, said[place]) for place in sorted(said)]

    def burned(self, tx: Transaction, key: bytes, now: int) -> None:
        """A message has been burned: what the transport has not taken will never be sent."""
        if not self.is_said(key):
            return
        report = self.report(tx, key)
        after = tuple(
            Recipient.failed(r.member, Reason.EVAPORATED)
            if r.state is State.PENDING or r.retryable else r
            for r in report.recipients
        )  # fmt: skip
        self._put(tx, replace(report, recipients=after, changed=now, burned=True))

    # --- time ------------------------------------------------------------------------------------

    def expire(self, tx: Transaction, now: int) -> set[bytes]:
        """Fail what has waited too long; return the ids, for whoever keeps what was to be sent."""
        late = {key for key, e in self._entries.items() if e.pending and now - e.made > e.kept}
        for key in late:
            pending = (r for r in self.report(tx, key).recipients if r.state is State.PENDING)
            news = {r.member: Recipient.failed(r.member, Reason.EXPIRED) for r in pending}
            self.note(tx, key, news, now)
        return late

    def forget(self, tx: Transaction, now: int) -> set[bytes]:
        """Forget what has not changed for so long; return the ids."""
        old = {key for key, e in self._entries.items() if now - e.changed > e.kept}
        for key in old:
            del self._entries[key]
            tx.delete(_PREFIX + key)
        return old
