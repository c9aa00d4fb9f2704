"""An epoch as a member keeps it: the public snapshot, and the keys not yet erased (spec 14)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .chain import ReceivingChain, SendingChain, Skipped
from .epoch import EpochKeys, prefix_of
from .limits import MAX_INVITATION
from .membership import Mode, Policy, Roster, context_hash
from .message import TurnFields
from .primitives import Suite
from .secret import Secret
from .tree import Order, as_order
from .wire import decode, encode

__all__ = ["RECORD_LIMIT", "Epoch", "dump_chain", "load_chain"]

RECORD_LIMIT = 4 * MAX_INVITATION


@dataclass(slots=True)
class Epoch:
    """One epoch as a member keeps it."""

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
    superseded: int | None = None  # local time since which it is not the current one
    parent: bytes | None = None  # prefix of the epoch that its commit was made on
    order: Order | None = None  # of its commit among its siblings (REQ-EPOCH-20)
    # By committer: the transcript hash that its commit on this epoch gave.
    taken: dict[bytes, bytes] = field(default_factory=dict)
    operations: bytes | None = None  # of one's own commit: what to commit again if it loses
    spoken: bool = False  # one has sent messages in it, and left it
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
        parent: bytes | None = None,
        order: Order | None = None,
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
            chains, handshakes, inits, keys.exporter, turn, peer_leaf, None, parent, order,
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
            self.turn, self.peer_leaf, self.superseded, self.parent, self.order,
            [[member, transcript] for member, transcript in self.taken.items()], self.operations,
            self.spoken,
        ])  # fmt: skip

    @classmethod
    def load(cls, data: bytes, room: bytes, before: Roster | None = None) -> Epoch:
        """Undo `dump`; the chains are added one by one. `before` as in `Roster.parse`."""
        (number, transcript, context, roster, policy, opener, time, leaf, room_sign, handshakes,
         inits, exporter, turn, peer_leaf, superseded, parent, order, taken, operations,
         spoken) = decode(
            data, limit=RECORD_LIMIT)  # fmt: skip

        def secret(value: bytes | None) -> Secret | None:
            return None if value is None else Secret(value)

        return cls(
            number, transcript, context,
            Roster.parse(roster, room, verified=True, before=before),
            Policy.from_value(policy), opener, time, secret(leaf), secret(room_sign), {},
            {member: Secret(key) for member, key in handshakes},
            {member: Secret(key) for member, key in inits},
            secret(exporter), None if turn is None else TurnFields(*turn), peer_leaf, superseded,
            parent, None if order is None else as_order(order), dict(taken),
            operations, spoken,
        )  # fmt: skip


def dump_chain(chain: ReceivingChain) -> bytes:
    """Serialise a chain."""
    return encode([
        None if chain.key is None else chain.key.reveal(),
        chain.index,
        [[n, entry.key.reveal(), entry.since] for n, entry in sorted(chain.skipped.items())],
    ])  # fmt: skip


def load_chain(data: bytes) -> ReceivingChain:
    """Undo `dump_chain`. Raise `ValueError` for what is no such record."""
    key, index, skipped = decode(data, limit=RECORD_LIMIT)
    if not isinstance(skipped, list):
        raise ValueError("not a chain record")
    return ReceivingChain(
        None if key is None else Secret(key),
        index,
        {n: Skipped(Secret(entry), since) for n, entry, since in skipped},
    )
