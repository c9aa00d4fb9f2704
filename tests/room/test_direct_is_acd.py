"""A direct room is the generic Double Ratchet of Alwen, Coretti and Dodis, with a KEM.

*The Double Ratchet: Security Notions, Proofs, and Modularization for the Signal Protocol*
(Eurocrypt 2019) builds a secure messaging scheme, SM, from three parts: a continuous key agreement
(CKA), forward-secure authenticated encryption (FS-AEAD), and a PRF-PRNG. Signal is the instance
whose CKA is Diffie-Hellman; the paper also gives one from any KEM. `ACD` below is SM with that one,
written from the paper with this protocol's primitives put in. It uses none of the modules `chain`,
`epoch`, `turn`, `speech`, `state` and `room`. Driven with the same randomness through the same
schedule, it gives the same bytes as two real rooms: messages, AEAD keys, and after each step every
key that is kept; and it accepts and refuses the same.

How the paper's names map to this protocol's:

    k, the initial key           epoch secret of the genesis, and the creator's first leaf key
    σ_root                       init[t, m] of the member m that did not open epoch t
    P-Up(σ, I) → σ', k           epoch secret = KDF(init, "epoch", I, H(commit)); from it the init
                                 of the other member and the chain key of the opener
    γ, the CKA state             own leaf private key, or the peer's public leaf key
    CKA-S → T, I                 new leaf key pair; KEM: ephemeral X25519, I = r, fresh and sealed;
                                 T = the turn fields
    t_A                          number of the current epoch
    v[t]                         chain of epoch t: FS-Init-S is a sending chain, FS-Init-R a
                                 receiving one
    ℓ_prv ← FS-Stop(v[t_A − 1])  count in *last spoken*
    FS-Max(v[t_A − 1], ℓ)        closing: keys of what is missing are derived, the chain key goes
    A, who answers first         the invited member: opens the odd epochs
    B, who begins                the creator: opens the even ones, epoch 0 with k

What differs from the paper, and where it does from Signal's text (*The Double Ratchet Algorithm*):

1. **bound update**: P-Up also takes H(commit): room, epoch, transcript, committer and the public
   keys. The paper's takes I alone, Signal's KDF_RK the DH output.
2. **KEM for DH**: I is chosen by the one that speaks and sealed to the peer's last leaf key; Signal
   mixes a DH of both sides' current keys. So one step heals the speaker's own leaf key for the next
   turn, as in the paper's KEM instance.
3. **derived AEAD key with commitment**: the paper encrypts under the output of G with the header as
   associated data. Here header and context go into a derivation of key and `com`; `com` travels.
   The header carries a salt, so that a rolled-back device never repeats a key.
4. **epochs by prefix**: the header names t by the first bytes of a transcript hash, which also
   commits to all of the history; the paper and Signal send a number, or the ratchet key itself.
5. **entry**: the first answer carries the answerer's signed entry, as associated data of the CKA
   message: it stands in the commit and, from then on, in the context.
6. **limits**: at most 1,000 keys are skipped, at a jump or a closing, and kept; past that a jump is
   refused, and a gap at a closing lost. The paper has no limit, Signal MAX_SKIP. Kept keys and
   old chains go after 72 hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evanesce.envelope import pad, unpad
from evanesce.errors import EvanesceError
from evanesce.formats import DIRECT_COMMIT, HEADER, MESSAGE, ROSTER, WELCOME
from evanesce.identity import IdentityKeys
from evanesce.invitation import Invitation, open_invitation
from evanesce.limits import MAX_JUMP
from evanesce.membership import Mode, Policy, creator_id, make_entry, member_id
from evanesce.message import _padded_size
from evanesce.primitives import (
    KDF,
    H,
    decrypt,
    dh,
    dh_keypair,
    dh_public,
    encrypt,
    equal,
    sign_keypair,
)
from evanesce.room import Room
from tests.room.room_support import NOW, Person, Stream, said, skip_messages, state_of

ZERO: Final = bytes(32)
T = TypeVar("T")


class Refused(Exception):
    """What the paper calls an error: ⊥."""


def req(condition: object) -> None:
    if not condition:
        raise Refused


# --- FS-AEAD: an AEAD and a PRG G ----------------------------------------------------------------


def prg(w: bytes) -> tuple[bytes, bytes]:
    """G: the next state and one key."""
    both = KDF(w, b"chain", size=64)
    return both[:32], both[32:]


@dataclass(frozen=True)
class FsSender:
    """v[t] as FS-Init-S makes it."""

    w: bytes
    i: int = 0  # messages sent, which FS-Stop returns

    def send(self) -> tuple[FsSender, int, bytes]:
        w, key = prg(self.w)
        return FsSender(w, self.i + 1), self.i, key


@dataclass(frozen=True)
class FsReceiver:
    """v[t] as FS-Init-R makes it: `kept` is the paper's D[·], `ended` whether FS-Max came."""

    w: bytes | None
    i: int = 0
    kept: Mapping[int, bytes] = field(default_factory=dict)

    def rcv(self, i: int) -> tuple[FsReceiver, bytes]:
        """The key of message i: try-skipped, else skip and step."""
        if i < self.i:
            req(i in self.kept)
            rest = {n: key for n, key in self.kept.items() if n != i}
            return replace(self, kept=rest), self.kept[i]
        req(self.w is not None and i - self.i <= MAX_JUMP)
        skipped = self.skip(i)
        assert skipped.w is not None
        w, key = prg(skipped.w)
        return FsReceiver(w, i + 1, skipped.kept), key

    def skip(self, to: int) -> FsReceiver:
        w, kept = self.w, dict(self.kept)
        assert w is not None
        for n in range(self.i, to):
            w, kept[n] = prg(w)
        for n in sorted(kept)[: max(0, len(kept) - MAX_JUMP)]:
            del kept[n]
        return FsReceiver(w, to, kept)

    def max(self, count: int) -> FsReceiver:
        """FS-Max: no message at or past `count` will ever be accepted."""
        if self.w is None:
            return self
        req(count >= self.i)
        if count - self.i > MAX_JUMP:
            return replace(self, w=None)
        return replace(self.skip(count), w=None)


# --- CKA from a KEM ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Turn:
    """T: what a CKA message carries."""

    leaf_key: bytes
    ephemeral_key: bytes
    slot: bytes
    entry: bytes | None


@dataclass(frozen=True)
class Gamma:
    """γ: the peer's public key when it is one's turn to send, else one's own key pair."""

    peer_key: bytes | None = None
    private: bytes | None = None

    def kem_key(self, shared: bytes, commit: bytes, ephemeral_key: bytes, who: bytes,
                key: bytes) -> bytes:  # fmt: skip
        transcript = H(b"slot transcript", H(b"commit", commit), ephemeral_key, who, key)
        return KDF(ZERO, b"slot", shared, transcript)


@dataclass(frozen=True)
class Root:
    """σ_root."""

    init: bytes

    def up(self, i: bytes, commit: bytes, opener: bytes, other: bytes) -> tuple[Root, bytes, bytes]:
        """P-Up: σ', the key of the new epoch's FS-AEAD, and the confirmation of the transcript."""
        return spread(KDF(self.init, b"epoch", i, H(b"commit", commit)), commit, opener, other)


def spread(
    secret: bytes, commit: bytes, opener: bytes, other: bytes
) -> tuple[Root, bytes, bytes]:
    confirmation = KDF(KDF(secret, b"confirm"), b"confirmation", H(b"commit", commit))
    chain = KDF(KDF(secret, b"chains"), b"chain of", opener)
    init = KDF(KDF(secret, b"inits"), b"init of", other)
    return Root(init), chain, confirmation


# --- SM ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ACD:
    """One side of SM. Values are immutable: a step returns the state after it."""

    room: bytes
    me: bytes
    peer: bytes
    parity: int  # of the epochs this side sends in: 0 for the creator (B), 1 for the invited (A)
    policy: tuple[int, bool, int | None, int]
    roster: bytes
    sigma: Root
    gamma: Gamma
    t: int  # t_A
    turn: Turn | None  # T_cur
    l_prv: tuple[bytes, int] | None  # ℓ_prv, with the name of the epoch it is of
    v: Mapping[int, FsSender | FsReceiver]
    transcripts: Mapping[int, bytes]
    contexts: Mapping[int, bytes]

    @classmethod
    def init(cls, k: bytes, genesis: bytes, confirmation: bytes, room: bytes, me: bytes,
             peer: bytes, parity: int, policy: tuple[int, bool, int | None, int], roster: bytes,
             gamma: Gamma) -> ACD:  # fmt: skip
        """Init-A and Init-B: the creator can send in epoch 0 at once, the invited reads it."""
        opener, other = (me, peer) if parity == 0 else (peer, me)
        sigma, key, expected = spread(k, genesis, opener, other)
        assert confirmation == expected
        transcript = H(b"transcript", ZERO, genesis, confirmation)
        v: dict[int, FsSender | FsReceiver] = {
            0: FsSender(key) if parity == 0 else FsReceiver(key)
        }
        start = cls(room, me, peer, parity, policy, roster, sigma, gamma, 0, None, None, v,
                    {0: transcript}, {})  # fmt: skip
        return replace(start, contexts={0: start.context(transcript, roster)})

    def context(self, transcript: bytes, roster: bytes) -> bytes:
        return H(b"context", 1, self.room, list(self.policy), roster, transcript)

    def commit(self, who: bytes, leaf_key: bytes, ephemeral_key: bytes,
               entry: bytes | None) -> bytes:  # fmt: skip
        return DIRECT_COMMIT.build(
            self.room, self.t, self.transcripts[self.t], who, leaf_key, ephemeral_key, entry
        )

    def with_entry(self, who: bytes, entry: bytes | None) -> bytes:
        """The associated data of the first answer: the roster with its author's entry."""
        if entry is None:
            return self.roster
        number, rows = ROSTER.parse(self.roster)
        for row in rows:
            if row[0] == who:
                row[8] = entry
        return ROSTER.build(number, rows)

    def advance(self, i: bytes, commit: bytes, who: bytes, turn: Turn) -> tuple[ACD, bytes]:
        """t_A++, P-Up, and what names and binds the new epoch; return the new FS-AEAD key."""
        other = self.peer if who == self.me else self.me
        sigma, key, confirmation = self.sigma.up(i, commit, who, other)
        transcript = H(b"transcript", self.transcripts[self.t], commit, confirmation)
        roster, t = self.with_entry(who, turn.entry), self.t + 1
        return replace(
            self, roster=roster, sigma=sigma, t=t, turn=turn,
            transcripts={**self.transcripts, t: transcript},
            contexts={**self.contexts, t: self.context(transcript, roster)},
        ), key  # fmt: skip

    # Send

    def send(self, m: bytes, owner: IdentityKeys, random: Stream) -> tuple[ACD, bytes, bytes]:
        """Send-A: the state after it, the ciphertext, and the AEAD key."""
        state = self
        if self.t % 2 != self.parity:
            state = state.stop().cka_s(owner, random)
        sender = state.v[state.t]
        assert isinstance(sender, FsSender)
        req(sender.i < MAX_JUMP)
        sender, i, key = sender.send()
        c, aead = state.enc(key, i, m, random(16))
        return replace(state, v={**state.v, state.t: sender}), c, aead

    def stop(self) -> ACD:
        """ℓ_prv ← FS-Stop(v[t_A − 1]); its state is erased."""
        before = self.v.get(self.t - 1)
        if before is None or not isinstance(before, FsSender):
            return self
        v = {t: fs for t, fs in self.v.items() if t != self.t - 1}
        if before.i == 0:  # only epoch 0 can have passed in silence
            return replace(self, v=v)
        return replace(self, v=v, l_prv=(self.transcripts[self.t - 1][:8], before.i))

    def cka_s(self, owner: IdentityKeys, random: Stream) -> ACD:
        """(γ, T_cur, I) ← CKA-S(γ), and P-Up: a new key pair, and I encapsulated to the peer."""
        peer_key = self.gamma.peer_key
        assert peer_key is not None
        private, leaf_key = dh_keypair(random)
        entry = None
        if self.t == 0:
            _, room_sign_key = sign_keypair(random)
            entry = make_entry(owner, self.room, self.me, leaf_key, room_sign_key, 1).signed
        ephemeral, ephemeral_key = dh_keypair(random)
        i = random(32)
        commit = self.commit(self.me, leaf_key, ephemeral_key, entry)
        kem = self.gamma.kem_key(dh(ephemeral, peer_key), commit, ephemeral_key, self.peer,
                                 peer_key)  # fmt: skip
        turn = Turn(leaf_key, ephemeral_key, encrypt(kem, i), entry)
        state, key = self.advance(i, commit, self.me, turn)
        return replace(
            state, gamma=Gamma(private=private), v={**state.v, state.t: FsSender(key)}
        )

    def enc(self, key: bytes, i: int, m: bytes, fresh: bytes) -> tuple[bytes, bytes]:
        """The AEAD of the FS-AEAD, with h = (t, T, ℓ) and i as associated data."""
        turn = self.turn
        fields = None if turn is None else [
            turn.leaf_key, turn.ephemeral_key, turn.slot, turn.entry,
        ]  # fmt: skip

        def header(salt: bytes) -> bytes:
            return HEADER.build(
                self.room, self.transcripts[self.t][:8], self.me, i, salt, self.l_prv, 0, fields
            )

        padded = pad(m, _padded_size(len(header(bytes(16))), 32, len(m)))
        h = header(KDF(key, b"salt", fresh, padded, size=16))
        aead, com = self.aead_keys(key, h, self.t)
        return MESSAGE.build(h, encrypt(aead, padded), com), aead

    def aead_keys(self, key: bytes, h: bytes, t: int) -> tuple[bytes, bytes]:
        both = KDF(key, b"message", H(b"header", h, self.contexts[t]), size=64)
        return both[:32], both[32:]

    # Receive

    def rcv(self, c: bytes) -> tuple[ACD, int, int, bytes, bytes]:
        """Rcv-A: the state after it, t, i, the plaintext and the AEAD key."""
        h, e, com = MESSAGE.parse(c)
        room, prefix, sender, i, _, said_last, _, fields = HEADER.parse(h)
        req(room == self.room and sender == self.peer)
        turn = None if fields is None else Turn(*fields)
        t = next((t for t, name in self.transcripts.items() if name[:8] == prefix), self.t + 1)
        req(t % 2 != self.parity and t <= self.t + 1)
        state = self
        if t == self.t + 1:
            req(turn is not None)
            assert turn is not None
            state = state.finalise(said_last).cka_r(turn)
            req(state.transcripts[t][:8] == prefix)
        receiver = state.v.get(t)
        assert isinstance(receiver, FsReceiver)
        receiver, key = receiver.rcv(i)
        aead, expected = state.aead_keys(key, h, t)
        req(equal(com, expected))
        m = unpad(decrypt(aead, e))
        return replace(state, v={**state.v, t: receiver}), t, i, m, aead

    def finalise(self, ell: tuple[bytes, int] | None) -> ACD:
        """FS-Max(v[t_A − 1], ℓ): no more of the peer's last epoch than it says it sent."""
        before = self.v.get(self.t - 1)
        if not isinstance(before, FsReceiver):
            return self
        named = ell is not None and ell[0] == self.transcripts[self.t - 1][:8]
        count = ell[1] if named and ell is not None else 0
        return replace(self, v={**self.v, self.t - 1: before.max(count)})

    def cka_r(self, turn: Turn) -> ACD:
        """(γ, I) ← CKA-R(γ, T), and P-Up."""
        private = self.gamma.private
        assert private is not None
        commit = self.commit(self.peer, turn.leaf_key, turn.ephemeral_key, turn.entry)
        kem = self.gamma.kem_key(dh(private, turn.ephemeral_key), commit, turn.ephemeral_key,
                                 self.me, dh_public(private))  # fmt: skip
        i = decrypt(kem, turn.slot)
        state, key = self.advance(i, commit, self.peer, turn)
        return replace(
            state, gamma=Gamma(peer_key=turn.leaf_key),
            v={**state.v, state.t: FsReceiver(key)},
        )  # fmt: skip


# --- both, side by side --------------------------------------------------------------------------


def initial() -> Pair:
    """Two rooms, and two sides of SM that begin with the same k."""
    ann, bob = Person("ann"), Person("bob")
    guest = bob.invited()
    founded_from = ann.random.calls
    room, invitations = Room.found(
        ann.keys, Policy(Mode.DIRECT), [guest], "ann", ann.mailbox.mailbox, NOW, ann.random
    )
    (invitation,) = invitations.values()
    joined = bob.join(invitation, guest, NOW)
    welcome = open_invitation(
        bob.keys, bob.packages[guest.package.hash], Invitation.parse(invitation)
    )
    genesis, confirmation, _, _, roster, policy, k, _, trail = WELCOME.parse(welcome)
    assert trail == [], "a direct room has no branches"
    leaf = twin(ann.random, founded_from)
    room_id, private = leaf(32), leaf(32)  # in the order in which a founder draws
    creator = creator_id(room_id, ann.keys.identity)
    invited = member_id(room_id, ZERO, guest.package.hash, 0)
    sides = tuple(
        ACD.init(k, genesis, confirmation, room_id, me, peer, parity, tuple(policy), roster, gamma)
        for me, peer, parity, gamma in (
            (creator, invited, 0, Gamma(private=private)),
            (invited, creator, 1, Gamma(peer_key=dh_public(private))),
        )
    )
    return Pair(
        [room, joined], [sides[0], sides[1]], [ann, bob],
        [twin(ann.random, ann.random.calls), twin(bob.random, bob.random.calls)],
    )  # fmt: skip


def twin(stream: Stream, calls: int) -> Stream:
    """A stream that gives what another gives after so many calls."""
    same = Stream(stream.seed)
    same.calls = calls
    return same


@dataclass
class Pair:
    """The rooms and SM, kept in step; `check` compares every key that either keeps."""

    rooms: list[Room]
    sides: list[ACD]
    people: list[Person]
    streams: list[Stream]
    sent: list[tuple[int, bytes, str]] = field(default_factory=list)

    def send(self, who: int) -> None:
        text = f"message {len(self.sent)}"
        content, person = said(text), self.people[who]
        real = attempt(
            lambda: self.rooms[who].send(person.keys, content, NOW, person.random)
        )
        ideal = attempt(
            lambda: self.sides[who].send(content.encode(), person.keys, self.streams[who])
        )
        assert (real is None) == (ideal is None)
        assert person.random.calls == self.streams[who].calls
        if real is not None and ideal is not None:
            self.sides[who], ciphertext, key = ideal
            assert real.message == ciphertext
            assert real.key == key
            self.sent.append((who, ciphertext, text))
        self.check(who)

    def lose(self, who: int, count: int) -> None:
        """Send messages that nobody gets; as many as one may."""
        side = self.sides[who]
        sender = side.v[side.t] if side.t % 2 == side.parity else None
        if isinstance(sender, FsSender) and sender.i > 0:
            count = min(count, MAX_JUMP - sender.i)
            skip_messages(self.rooms[who], count)
            for _ in range(count):
                sender, *_ = sender.send()
            self.sides[who] = replace(side, v={**side.v, side.t: sender})
            self.check(who)

    def deliver(self, number: int, change: Callable[[bytes], bytes] | None = None) -> bool:
        """Hand a message to the other side, perhaps changed; return whether it was accepted."""
        author, message, text = self.sent[number]
        who = 1 - author
        data = message if change is None else change(message)
        before, digest = self.sides[who], self.rooms[who].digest()
        real = attempt(lambda: self.rooms[who].receive(data, NOW))
        ideal = attempt(lambda: before.rcv(data))
        assert (real is None) == (ideal is None), "one accepts what the other refuses"
        if real is not None and ideal is not None:
            self.sides[who], t, i, plaintext, key = ideal
            assert data == message
            assert (real.epoch, real.index) == (t, i)
            assert real.key == key
            assert plaintext == said(text).encode()
            assert real.content == said(text)
        else:
            assert self.rooms[who].digest() == digest
        self.check(who)
        return real is not None

    def check(self, who: int) -> None:
        state, side = state_of(self.rooms[who]), self.sides[who]
        epoch = state.epoch
        other = side.peer if side.t % 2 == side.parity else side.me
        assert (epoch.number, epoch.transcript) == (side.t, side.transcripts[side.t])
        assert epoch.context == side.contexts[side.t]
        assert {m: key.reveal() for m, key in epoch.inits.items()} == {other: side.sigma.init}
        assert (None if epoch.leaf is None else epoch.leaf.reveal()) == side.gamma.private
        assert epoch.peer_leaf == side.gamma.peer_key
        last = state.last_spoken
        kept = side.stop().l_prv if side.t % 2 != side.parity else side.l_prv
        assert last == kept
        receivers: dict[int, FsReceiver] = {}
        for held in state.epochs.values():
            for chain in held.chains.values():
                receivers[held.number] = FsReceiver(
                    None if chain.key is None else chain.key.reveal(),
                    chain.index,
                    {n: entry.key.reveal() for n, entry in chain.skipped.items()},
                )
        assert receivers == {t: fs for t, fs in side.v.items() if isinstance(fs, FsReceiver)}
        if state.sending is not None:
            assert FsSender(state.sending.key.reveal(), state.sending.index) == side.v[side.t]


def attempt(act: Callable[[], T]) -> T | None:
    """What it returns; None if it is refused."""
    try:
        return act()
    except (EvanesceError, Refused):
        return None


# --- schedules -----------------------------------------------------------------------------------

ANN: Final = 0
BOB: Final = 1


def flip(place: int, bits: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[place % len(changed)] ^= bits
        return bytes(changed)

    return change


def with_field(place: int, value: object) -> Callable[[bytes], bytes]:
    """The same message with one header field set."""

    def change(data: bytes) -> bytes:
        h, e, com = MESSAGE.parse(data)
        fields = HEADER.parse(h)
        fields[place] = value
        return MESSAGE.build(HEADER.build(*fields), e, com)

    return change


CHANGES: Final = st.one_of(
    st.builds(flip, st.integers(0, 2_000), st.integers(1, 255)),
    st.sampled_from(
        [
            with_field(1, b"x" * 8),
            with_field(2, b"x" * 32),
            with_field(3, 7),
            with_field(3, 2_000),
            with_field(5, None),
            with_field(5, (b"x" * 8, 1)),
            with_field(6, 1),
            with_field(7, None),
            with_field(7, [b"\x09" + bytes(31), b"\x09" + bytes(31), bytes(48), None]),
        ]
    ),
)
STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 1)),
        st.tuples(st.just("send"), st.integers(0, 1)),
        st.tuples(st.just("deliver"), st.integers(0, 12)),
        st.tuples(st.just("deliver"), st.integers(0, 3)),
        st.tuples(st.just("deliver"), st.just(0)),
        st.tuples(st.just("change"), st.integers(0, 3), CHANGES),
        st.tuples(st.just("lose"), st.integers(0, 1), st.sampled_from([1, 20, 998, 1_001])),
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_a_direct_room_is_sm_under_any_schedule(
    steps: list[tuple[str, int] | tuple[str, int, Callable[[bytes], bytes] | int]],
) -> None:
    pair = initial()
    lost = 0
    for what, number, *rest in steps:
        match what, rest:
            case "send", []:
                pair.send(number)
            case "lose", [int(count)] if lost < 3:
                lost += 1
                pair.lose(number, count)
            case "deliver", [] if pair.sent:
                pair.deliver(-1 - number % len(pair.sent))
            case "change", [change] if pair.sent and callable(change):
                place = -1 - number % len(pair.sent)
                author, message, _ = pair.sent[place]
                before = pair.sides[1 - author]
                if change(message) != message:
                    assert not pair.deliver(place, change)
                    assert pair.sides[1 - author] == before


def test_a_long_conversation_with_everything_delivered() -> None:
    pair = initial()
    for turn in range(12):
        for _ in range(1 + turn % 3):
            pair.send(turn % 2)
            assert pair.deliver(-1)
            assert not pair.deliver(-1)
    assert pair.sides[ANN].t == pair.sides[BOB].t == 11
    assert pair.sides[ANN].sigma == pair.sides[BOB].sigma


def test_the_invited_side_may_begin() -> None:
    """The creator stays silent in epoch 0: FS-Max(v[0], 0)."""
    pair = initial()
    pair.send(BOB)
    assert pair.deliver(-1)
    pair.send(ANN)
    assert pair.deliver(-1)
    assert pair.sides[BOB].v[0] == FsReceiver(None, 0)


def test_late_messages_of_many_epochs_come_in_reverse() -> None:
    pair = initial()
    for turn in range(8):
        for _ in range(3):
            pair.send(turn % 2)
        assert pair.deliver(-1)
    for number in reversed(range(len(pair.sent))):
        assert pair.deliver(number) == (number % 3 != 2)
    assert all(
        fs.kept == {} for side in pair.sides for fs in side.v.values() if isinstance(fs, FsReceiver)
    )


@pytest.mark.parametrize("seen", [False, True])
def test_limits_are_the_same(seen: bool) -> None:
    """As many as the limit await an answer, one more is refused, and the answer loses none."""
    pair = initial()
    pair.send(ANN)
    pair.lose(ANN, MAX_JUMP - 2)
    pair.send(ANN)
    if seen:
        assert pair.deliver(-1)
    pair.send(ANN)
    assert len(pair.sent) == 2, "one more than the limit was sent"
    pair.send(BOB)
    assert pair.deliver(-1)
    pair.send(ANN)
    assert pair.deliver(-1)
    assert pair.deliver(0)
    assert pair.deliver(1) == (not seen)


def test_a_wrong_secret_is_told_apart() -> None:
    """The comparison can fail: with another I, or another k, nothing agrees."""
    pair = initial()
    pair.send(BOB)
    pair.streams[ANN] = Stream("another")
    assert pair.deliver(-1)
    with pytest.raises(AssertionError):
        pair.send(ANN)
    pair = initial()
    pair.sides[ANN] = replace(pair.sides[ANN], sigma=Root(bytes(32)))
    pair.send(BOB)
    with pytest.raises(AssertionError, match="one accepts what the other refuses"):
        pair.deliver(-1)
