"""The state of a room: its epochs and what is kept of each (spec 14, deletion schedule).

Plain data, and its serialised form. Every rule that changes it is in `founding`, `group`, `turn`
and `speech`; each of those computes first and writes last, so that a refused input changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .chain import ReceivingChain, SendingChain
from .errors import EvanesceError, LocalError, Reason, StorageError
from .kept_epoch import RECORD_LIMIT, Epoch, dump_chain, load_chain
from .limits import EPOCH_GRACE, MAX_EPOCHS, MAX_FORMER, NOTED_LIFETIME, SKIPPED_LIFETIME
from .mailbox import Mailbox
from .membership import Member, Mode, Roster
from .primitives import Suite, suite
from .proofs import Proof, ProofKind
from .room_formats import FORMAT, upgraded
from .secret import Secret
from .tree import Order, Trail, as_order, as_trail, path
from .wire import decode, encode

__all__ = ["Contact", "Epoch", "RoomState", "strip"]

@dataclass(frozen=True, slots=True)
class Contact:
    """What a member has announced: its name, and its mailbox in this room.

    Before it has, the name is empty, the mailbox the contact mailbox of the package it came with.
    """

    name: str
    mailbox: Mailbox | None = None
    said: tuple[int, int] = (0, 0)  # epoch and index of the message that announced it


def strip(epoch: Epoch) -> None:
    """Erase all of its keys but the chains."""
    epoch.leaf = epoch.room_sign = epoch.exporter = None
    epoch.handshakes, epoch.inits = {}, {}


@dataclass(slots=True)
class RoomState:
    """All a device keeps about one room."""

    id: bytes
    suite: Suite
    own: bytes
    current: bytes  # prefix of the current epoch
    epochs: dict[bytes, Epoch]  # by prefix, in the order they were opened
    sending: SendingChain | None  # None in a direct epoch that the other side opened
    directory: dict[bytes, Contact]
    refreshed: int  # when this device's last commit was, or it joined
    sent_since_refresh: int = 0
    last_spoken: tuple[bytes, int] | None = None  # before the current epoch
    leaving: dict[bytes, bytes] = field(default_factory=dict)  # member: its signed request
    removed: bool = False  # this device has been removed: it can only read late messages
    weak_until: int | None = None  # a direct room begun through a last-resort package
    removal: Order | None = None  # of the commit on the current epoch that has removed it
    noted: dict[Proof, int] = field(default_factory=dict)  # since when (REQ-EPOCH-28)
    equivocators: list[bytes] = field(default_factory=list)  # who has signed two on one epoch
    joined: int | None = None  # when, by an invitation
    trail: Trail = ()  # of the invitation by which this device joined
    # For which epoch and notes it was last computed what is pending (`pending`), and what it is.
    pending: tuple[bytes, tuple[Proof, ...], tuple[Proof, ...]] | None = field(
        default=None, compare=False
    )
    changed: set[bytes] = field(default_factory=set)  # names of records to store

    @property
    def epoch(self) -> Epoch:
        """The current epoch."""
        return self.epochs[self.current]

    @property
    def me(self) -> Member:
        """This device in the current roster (as it last stood there, once removed)."""
        return self.epoch.roster[self.own]

    @property
    def mode(self) -> Mode:
        """Direct or signed."""
        return self.epoch.policy.mode

    @property
    def may_return(self) -> bool:
        """Whether a commit may come that makes a removed device a member again (10.9)."""
        return any(epoch.leaf is not None for epoch in self.epochs.values())

    @property
    def convicted(self) -> bytes | None:
        """The member of the current roster that has equivocated; who is out harms nobody."""
        return next((m for m in self.equivocators if m in self.epoch.roster), None)

    def require_active(self) -> None:
        """Raise `LocalError` (room-closed) once this device has been removed."""
        if self.removed:
            raise LocalError(Reason.ROOM_CLOSED, "this device is no longer in the room")

    # --- writing: called only after every check has passed ---------------------------------------

    def set_chain(self, epoch: Epoch, member: bytes, chain: ReceivingChain) -> None:
        """Keep a chain as a message left it."""
        epoch.chains[member] = chain
        self.changed.add(b"chain/" + epoch.prefix + member)

    def drop_chain(self, epoch: Epoch, member: bytes) -> None:
        """Erase a chain."""
        if epoch.chains.pop(member, None) is not None:
            self.changed.add(b"chain/" + epoch.prefix + member)

    def enter(self, epoch: Epoch, sending: SendingChain | None, now: int) -> None:
        """Make `epoch` the current one and erase what is consumed by that (REQ-DEL-02)."""
        old = self.epochs.get(self.current)
        if old is not None:
            self._leave(old, now)
            if epoch.policy.mode is Mode.DIRECT:  # no forks: nothing is kept but the chains
                old.inits, old.handshakes, old.leaf = {}, {}, None
        parent = self.epochs.get(epoch.parent or b"")
        for member in () if parent is None else parent.roster:
            if member.id not in epoch.roster:
                for each in self.epochs.values():
                    self.drop_chain(each, member.id)
        for member in epoch.roster:  # where it is reached before it announces a mailbox
            contact = member.credential.contact
            if contact is None or member.id == self.own:
                continue
            known = None if old is None else old.roster.members.get(member.id)
            if known is not None and known.resynced != member.resynced:  # reached anew
                name = self.directory.get(member.id, Contact("")).name
                self.directory[member.id] = Contact(name, contact, (epoch.number, 0))
            self.directory.setdefault(member.id, Contact("", contact))
        self.removed, self.removal = False, None
        self.current, self.sending = epoch.prefix, sending
        self._keep(epoch)

    def keep_losing(self, epoch: Epoch, now: int) -> None:
        """Keep an epoch that is beside the path: it is only read (step 6 of REQ-EPOCH-27)."""
        epoch.superseded, epoch.exporter = now, None
        epoch.inits.pop(self.own, None)
        parent = self.epochs[epoch.parent or b""]
        for member in parent.roster.members.keys() - parent.chains.keys():
            epoch.chains.pop(member, None)  # removed since: its late messages are not read
        self._keep(epoch)

    def _leave(self, old: Epoch, now: int) -> None:
        """The current epoch is not that any more."""
        if self.sending is not None and self.sending.index > 0:
            self.last_spoken = (old.prefix, self.sending.index)
            old.spoken = True
        self.sending = None
        old.superseded = now if old.superseded is None else old.superseded
        old.exporter = None
        old.inits.pop(self.own, None)
        self.changed |= {b"state", b"epoch/" + old.prefix}

    def _keep(self, epoch: Epoch) -> None:
        self.epochs[epoch.prefix] = epoch
        self.changed |= {b"state", b"directory", b"epoch/" + epoch.prefix}
        self.changed |= {b"chain/" + epoch.prefix + member for member in epoch.chains}
        former = [member for member in self.directory if member not in self.epoch.roster]
        for member in former[: max(0, len(former) - MAX_FORMER)]:
            del self.directory[member]
        while len(self.epochs) > MAX_EPOCHS:
            on_path = {each.prefix for each in path(self)}
            losing = [prefix for prefix in self.epochs if prefix not in on_path]
            self._drop_epoch(next(p for p in losing or self.epochs if p != self.current))

    def note_removed(self, parent: Epoch, order: Order, now: int) -> None:
        """A commit on `parent` has removed this device (REQ-DEL-05): a sibling may yet lead."""
        self._leave(self.epoch, now)
        self.current, self.removed, self.removal = parent.prefix, True, order
        self.changed.add(b"state")

    def close(self, now: int) -> None:
        """Give up this device's place: erase all but what late messages need (REQ-DEL-05)."""
        self._leave(self.epoch, now)
        self.removed, self.removal = True, None
        for epoch in self.epochs.values():
            strip(epoch)
            self.changed.add(b"epoch/" + epoch.prefix)

    def expire(self, now: int) -> None:
        """Erase what the deletion schedule says has had its time (REQ-DEL-06 to 08)."""
        if self.weak_until is not None and now > self.weak_until:
            self.weak_until = None
            self.changed.add(b"state")
        for proof in [p for p, since in self.noted.items() if now - since > NOTED_LIFETIME]:
            del self.noted[proof]
            self.changed.add(b"noted")
        for prefix, epoch in list(self.epochs.items()):
            if epoch.superseded is not None and now - epoch.superseded > EPOCH_GRACE:
                if prefix != self.current:
                    self._drop_epoch(prefix)
                    continue
                for member in list(epoch.chains):
                    self.drop_chain(epoch, member)
                if epoch.leaf is not None or epoch.handshakes:
                    strip(epoch)
                    self.changed.add(b"epoch/" + prefix)
            for member, chain in list(epoch.chains.items()):
                kept = chain.without_older(now - SKIPPED_LIFETIME)
                if kept is not chain:
                    self.set_chain(epoch, member, kept)

    def _drop_epoch(self, prefix: bytes) -> None:
        epoch = self.epochs.pop(prefix)
        self.changed |= {b"state", b"epoch/" + prefix}  # the state lists its epochs
        self.changed |= {b"chain/" + prefix + member for member in epoch.chains}
        for member in epoch.roster.members:
            if not any(member in each.roster for each in reversed(self.epochs.values())):
                self._forget_member(member)

    def _forget_member(self, member: bytes) -> None:
        """No epoch is kept that holds this member."""
        if self.directory.pop(member, None) is not None:
            self.changed.add(b"directory")
        self.leaving.pop(member, None)

    # --- serialised form -------------------------------------------------------------------------

    def record(self, name: bytes) -> bytes | None:
        """One record's bytes, or None if it is to be deleted."""
        if name == b"state":
            sending = self.sending
            return encode([
                FORMAT, self.id, self.suite.number, self.own, self.current,
                None if sending is None else [sending.key.reveal(), sending.index],
                self.refreshed, self.sent_since_refresh, self.last_spoken, self.removed,
                self.weak_until,
                [[member, request] for member, request in self.leaving.items()],
                list(self.epochs), self.removal,
                self.equivocators, self.joined, [list(step) for step in self.trail],
            ])  # fmt: skip
        if name == b"noted":
            noted = [[*proof.value(), since] for proof, since in self.noted.items()]
            return encode(noted) if noted else None
        if name == b"directory":
            return encode([
                [member, c.name, None if c.mailbox is None else c.mailbox.value(), c.said]
                for member, c in self.directory.items()
            ])  # fmt: skip
        kind, _, rest = name.partition(b"/")
        epoch = self.epochs.get(rest[:8])
        if epoch is None:
            return None
        if kind == b"epoch":
            return epoch.dump()
        chain = epoch.chains.get(rest[8:])
        return None if chain is None else dump_chain(chain)

    def record_names(self) -> Iterable[bytes]:
        """The names of every record this state is made of."""
        yield b"state"
        yield b"directory"
        if self.noted:
            yield b"noted"
        for prefix, epoch in self.epochs.items():
            yield b"epoch/" + prefix
            for member in epoch.chains:
                yield b"chain/" + prefix + member

    @classmethod
    def load(cls, records: Mapping[bytes, bytes]) -> RoomState:
        """Put a state together again. Raise `StorageError` (bad-store)."""
        try:
            return cls._load(records)
        except (EvanesceError, LookupError, ValueError, TypeError) as error:
            raise StorageError(Reason.BAD_STORE, "a room's records cannot be read") from error

    @classmethod
    def _load(cls, records: Mapping[bytes, bytes]) -> RoomState:
        records, old = upgraded(records)
        value: list[Any] = decode(records[b"state"], limit=RECORD_LIMIT)
        (_, room, number, own, current, sending, refreshed, sent, last, removed, weak_until,
         leaving, order, removal, equivocators, joined, trail) = value  # fmt: skip
        epochs: dict[bytes, Epoch] = {}
        known: Roster | None = None
        for prefix in order:
            epochs[prefix] = Epoch.load(records[b"epoch/" + prefix], room, known)
            known = epochs[prefix].roster
        for name in sorted(records):
            if name.startswith(b"chain/"):
                prefix, member = name[6:14], name[14:]
                epochs[prefix].chains[member] = load_chain(records[name])
        directory = {
            member: Contact(
                text, None if mailbox is None else Mailbox(*mailbox), (said[0], said[1])
            )
            for member, text, mailbox, said in decode(records[b"directory"], limit=RECORD_LIMIT)
        }
        noted = {
            Proof(ProofKind(kind), signed): since
            for kind, signed, since in decode(records.get(b"noted", b"\x90"), limit=RECORD_LIMIT)
        }
        state = cls(
            room, suite(number), own, current, epochs,
            None if sending is None else SendingChain(Secret(sending[0]), sending[1]),
            directory, refreshed, sent, None if last is None else (last[0], last[1]),
            dict(leaving), removed, weak_until,
            None if removal is None else as_order(removal),
            noted, list(equivocators),
            joined, as_trail(trail),
        )  # fmt: skip
        if old:
            state.changed.update(state.record_names())
        return state

