"""The state of a room: its epochs and what is kept of each (spec 14, deletion schedule).

Plain data, and its serialised form. Every rule that changes it is in `founding`, `group`, `turn`
and `speech`; each of those computes first and writes last, so that a refused input changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .chain import ReceivingChain, SendingChain, Skipped
from .epoch import EpochKeys, prefix_of
from .errors import EvanesceError, LocalError, Reason, StorageError
from .limits import EPOCH_GRACE, MAX_EPOCHS, MAX_INVITATION, SKIPPED_LIFETIME
from .mailbox import Mailbox
from .membership import Member, Mode, Policy, Roster, context_hash
from .message import TurnFields
from .primitives import Suite, suite
from .room_formats import FORMAT, upgraded
from .secret import Secret
from .wire import decode, encode

__all__ = ["Contact", "Epoch", "RoomState"]

_RECORD_LIMIT = 4 * MAX_INVITATION


@dataclass(slots=True)
class Epoch:
    """One epoch as a member keeps it: the public snapshot, and the keys not yet erased."""

    number: int
    transcript: bytes
    context: bytes
    roster: Roster
    policy: Policy
    opener: bytes  # who committed or founded it
    time: int  # the opener's clock
    leaf: Secret | None  # own private keys in this epoch
    room_sign: Secret | None
    chains: dict[bytes, ReceivingChain]
    handshakes: dict[bytes, Secret]
    inits: dict[bytes, Secret]
    exporter: Secret | None
    turn: TurnFields | None = None  # direct rooms: the commit that opened it
    peer_leaf: bytes | None = None  # direct rooms: the leaf key the next turn is sealed to
    superseded: int | None = None  # local time at which a later epoch was opened
    next_commit: bytes | None = None  # hash of the commit applied on top
    # What the two methods below have found: a roster never changes within its epoch.
    _awaits_refresh: bool | None = field(default=None, compare=False, repr=False)
    _others: tuple[bytes, ...] | None = field(default=None, compare=False, repr=False)

    @property
    def awaits_refresh(self) -> bool:
        """Whether a member has yet to refresh before anybody may speak (REQ-MEM-09)."""
        if self._awaits_refresh is None:
            self._awaits_refresh = self.roster.awaits_refresh
        return self._awaits_refresh

    def others(self, own: bytes) -> tuple[bytes, ...]:
        """Everyone in the roster but oneself."""
        if self._others is None:
            self._others = tuple(member for member in self.roster.members if member != own)
        return self._others

    @property
    def prefix(self) -> bytes:
        """The 8 bytes by which messages name this epoch."""
        return prefix_of(self.transcript)

    @classmethod
    def open(
        cls,
        keys: EpochKeys,
        algorithms: Suite,
        room: bytes,
        own: bytes,
        *,
        number: int,
        transcript: bytes,
        roster: Roster,
        policy: Policy,
        opener: bytes,
        time: int,
        leaf: bytes | None,
        room_sign: bytes | None,
        turn: TurnFields | None = None,
        peer_leaf: bytes | None = None,
    ) -> tuple[Epoch, SendingChain | None]:
        """Make an epoch from its keys; one's own chain becomes the sending chain.

        In a direct room only the opener speaks and only the other side may commit, so nothing else
        is kept (REQ-DEL-04).
        """
        chains = {m: ReceivingChain(key) for m, key in keys.chains.items() if m != own}
        handshakes, inits = keys.handshakes, keys.inits
        sending: SendingChain | None = SendingChain(keys.chains[own])
        if policy.mode is Mode.DIRECT:
            handshakes, room_sign = {}, None
            inits = {member: key for member, key in inits.items() if member != opener}
            if opener == own:
                chains = {}
            else:
                sending = None
        context = context_hash(algorithms, room, policy, roster.encode(), transcript)
        epoch = cls(
            number, transcript, context, roster, policy, opener, time,
            None if leaf is None else Secret(leaf),
            None if room_sign is None else Secret(room_sign),
            chains, handshakes, inits, keys.exporter, turn, peer_leaf,
        )  # fmt: skip
        return epoch, sending

    def dump(self) -> bytes:
        """Serialise all but the chains."""

        def secrets(kept: Mapping[bytes, Secret]) -> list[list[bytes]]:
            return [[member, key.reveal()] for member, key in kept.items()]

        def secret(kept: Secret | None) -> bytes | None:
            return None if kept is None else kept.reveal()

        return encode([
            self.number, self.transcript, self.context, self.roster.encode(), self.policy.value(),
            self.opener, self.time, secret(self.leaf), secret(self.room_sign),
            secrets(self.handshakes), secrets(self.inits), secret(self.exporter),
            self.turn, self.peer_leaf, self.superseded, self.next_commit,
        ])  # fmt: skip

    @classmethod
    def load(cls, data: bytes, room: bytes, before: Roster | None = None) -> Epoch:
        """Undo `dump`; the chains are added one by one. `before` as in `Roster.parse`."""
        (number, transcript, context, roster, policy, opener, time, leaf, room_sign, handshakes,
         inits, exporter, turn, peer_leaf, superseded, next_commit) = decode(
            data, limit=_RECORD_LIMIT)  # fmt: skip

        def secret(value: bytes | None) -> Secret | None:
            return None if value is None else Secret(value)

        return cls(
            number, transcript, context,
            Roster.parse(roster, room, verified=True, before=before),
            Policy.from_value(policy), opener, time, secret(leaf), secret(room_sign), {},
            {member: Secret(key) for member, key in handshakes},
            {member: Secret(key) for member, key in inits},
            secret(exporter), None if turn is None else TurnFields(*turn), peer_leaf, superseded,
            next_commit,
        )  # fmt: skip


def _dump_chain(chain: ReceivingChain) -> bytes:
    return encode([
        None if chain.key is None else chain.key.reveal(),
        chain.index,
        [[n, entry.key.reveal(), entry.since] for n, entry in sorted(chain.skipped.items())],
    ])  # fmt: skip


def _load_chain(data: bytes) -> ReceivingChain:
    key, index, skipped = decode(data, limit=_RECORD_LIMIT)
    if not isinstance(skipped, list):
        raise ValueError("not a chain record")
    return ReceivingChain(
        None if key is None else Secret(key),
        index,
        {n: Skipped(Secret(entry), since) for n, entry, since in skipped},
    )


@dataclass(frozen=True, slots=True)
class Contact:
    """What a member has announced: its name, and its mailbox in this room.

    Before it has, the name is empty, the mailbox the contact mailbox of the package it came with.
    """

    name: str
    mailbox: Mailbox | None = None
    said: tuple[int, int] = (0, 0)  # epoch and index of the message that announced it


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
        parent = self.epochs.get(self.current)
        if parent is not None:
            if self.sending is not None and self.sending.index > 0:
                self.last_spoken = (parent.prefix, self.sending.index)
            parent.superseded = now
            parent.exporter = None
            parent.inits.pop(epoch.opener, None)
            if epoch.policy.mode is Mode.DIRECT:  # no forks: nothing is kept but the chains
                parent.inits, parent.handshakes, parent.leaf = {}, {}, None
            for member in parent.roster:
                if member.id not in epoch.roster:
                    for old in self.epochs.values():
                        self.drop_chain(old, member.id)
                    self.directory.pop(member.id, None)
                    self.leaving.pop(member.id, None)
            self.changed.add(b"epoch/" + parent.prefix)
        for member in epoch.roster:  # where it is reached before it announces a mailbox
            contact = member.credential.contact
            if contact is None or member.id == self.own:
                continue
            before = None if parent is None else parent.roster.members.get(member.id)
            if before is not None and before.resynced != member.resynced:  # reached anew
                name = self.directory.get(member.id, Contact("")).name
                self.directory[member.id] = Contact(name, contact, (epoch.number, 0))
            self.directory.setdefault(member.id, Contact("", contact))
        self.epochs[epoch.prefix] = epoch
        self.current = epoch.prefix
        self.sending = sending
        self.changed |= {b"state", b"directory", b"epoch/" + epoch.prefix}
        self.changed |= {b"chain/" + epoch.prefix + member for member in epoch.chains}
        while len(self.epochs) > MAX_EPOCHS:
            self._drop_epoch(next(iter(self.epochs)))

    def close(self, now: int) -> None:
        """This device has been removed: erase all but what late messages need (REQ-DEL-05)."""
        self.removed, self.sending = True, None
        for epoch in self.epochs.values():
            epoch.leaf = epoch.room_sign = epoch.exporter = None
            epoch.handshakes, epoch.inits = {}, {}
            epoch.superseded = now if epoch.superseded is None else epoch.superseded
            self.changed.add(b"epoch/" + epoch.prefix)
        self.changed.add(b"state")

    def expire(self, now: int) -> None:
        """Erase what the deletion schedule says has had its time (REQ-DEL-06 to 08)."""
        if self.weak_until is not None and now > self.weak_until:
            self.weak_until = None
            self.changed.add(b"state")
        for prefix, epoch in list(self.epochs.items()):
            if epoch.superseded is not None and now - epoch.superseded > EPOCH_GRACE:
                if prefix != self.current:
                    self._drop_epoch(prefix)
                    continue
                for member in list(epoch.chains):
                    self.drop_chain(epoch, member)
            for member, chain in list(epoch.chains.items()):
                kept = chain.without_older(now - SKIPPED_LIFETIME)
                if kept is not chain:
                    self.set_chain(epoch, member, kept)

    def _drop_epoch(self, prefix: bytes) -> None:
        epoch = self.epochs.pop(prefix)
        self.changed |= {b"state", b"epoch/" + prefix}  # the state lists its epochs
        self.changed |= {b"chain/" + prefix + member for member in epoch.chains}

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
                list(self.epochs),
            ])  # fmt: skip
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
        return None if chain is None else _dump_chain(chain)

    def record_names(self) -> Iterable[bytes]:
        """The names of every record this state is made of."""
        yield b"state"
        yield b"directory"
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
        value: list[Any] = decode(records[b"state"], limit=_RECORD_LIMIT)
        (_, room, number, own, current, sending, refreshed, sent, last, removed, weak_until,
         leaving, order) = value  # fmt: skip
        epochs: dict[bytes, Epoch] = {}
        before: Roster | None = None
        for prefix in order:
            epochs[prefix] = Epoch.load(records[b"epoch/" + prefix], room, before)
            before = epochs[prefix].roster
        for name in sorted(records):
            if name.startswith(b"chain/"):
                prefix, member = name[6:14], name[14:]
                epochs[prefix].chains[member] = _load_chain(records[name])
        directory = {
            member: Contact(
                text, None if mailbox is None else Mailbox(*mailbox), (said[0], said[1])
            )
            for member, text, mailbox, said in decode(records[b"directory"], limit=_RECORD_LIMIT)
        }
        state = cls(
            room, suite(number), own, current, epochs,
            None if sending is None else SendingChain(Secret(sending[0]), sending[1]),
            directory, refreshed, sent, None if last is None else (last[0], last[1]),
            dict(leaving), removed, weak_until,
        )  # fmt: skip
        if old:
            state.changed.update(state.record_names())
        return state

