"""Hostile messages and commits, by a member of the room, or several who collude."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

from benchmarks.hostile_counts import MOST, Counts, bound

from evanesce.chain import message_keys, step
from evanesce.commit import Commit, SignedCommit
from evanesce.content import Evaporation, Said
from evanesce.envelope import pad
from evanesce.epoch import EpochKeys, epoch_secret, seal_commit, seal_slot
from evanesce.formats import COMMIT, COMMIT_COPY, HEADER, MESSAGE
from evanesce.founding import Invited
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackageKeys
from evanesce.limits import MAX_PROOFS
from evanesce.mailbox import MailboxKeys
from evanesce.membership import Mode, Policy, Role, make_entry, state_hash
from evanesce.operations import (
    Add,
    Operation,
    Resync,
    apply_operations,
    with_committer,
)
from evanesce.primitives import SUITE_1, H, dh_keypair, encrypt, sign, sign_keypair
from evanesce.proofs import Proof, ProofKind, leave_request, sanction
from evanesce.resync import ResyncRequest
from evanesce.room import Room
from evanesce.wire import decode, encode

NOW: Final = 1_700_000_000
LARGEST: Final = 64 * 1024  # bytes of a text

Prepared = tuple[Callable[[Counts], Any], dict[str, int], int]


class Stream:
    """A random source that repeats itself, so that counts do."""

    def __init__(self, seed: str) -> None:
        self._seed, self._calls = seed, 0

    def __call__(self, size: int) -> bytes:
        """The next bytes."""
        self._calls += 1
        return hashlib.shake_256(f"{self._seed}/{self._calls}".encode()).digest(size)


class Somebody:
    """An identity, a mailbox and a key package."""

    def __init__(self, number: int) -> None:
        random = Stream(f"somebody {number}")
        self.owner = IdentityKeys.generate(random)
        self.mailbox = MailboxKeys.generate(random).mailbox
        self.keys = KeyPackageKeys.generate(self.owner, self.mailbox, NOW, random)

    @property
    def invited(self) -> Invited:
        """This one as a guest."""
        return Invited(self.keys.package, 0)


@cache
def people(number: int) -> Somebody:
    """The one with this number."""
    return Somebody(number)


@cache
def records(members: int, mode: Mode = Mode.SIGNED) -> tuple[dict[bytes, bytes], ...]:
    """A room's records as its founder, and as the first who was invited, have them."""
    founder = people(0)
    guests = [people(n).invited for n in range(1, members)]
    room, invitations = Room.found(
        founder.owner, Policy(mode, members_may_add=True), guests, "founder", founder.mailbox, NOW,
        Stream("room"),
    )  # fmt: skip
    first = people(1)
    other, _ = Room.join(first.owner, first.keys, next(iter(invitations.values())), NOW)
    return room.records(), other.records()


def rooms(members: int, mode: Mode = Mode.SIGNED) -> tuple[Room, Room]:
    """A new room of so many: the attacker's, who founded it, and the receiver's."""
    mine, theirs = records(members, mode)
    return Room.restore(mine), Room.restore(theirs)


def receiving(room: Room, data: bytes) -> Callable[[Counts], Any]:
    """What has a message taken."""
    return lambda counts: (room.receive(data, NOW), None)[1]


def applying(room: Room, data: bytes) -> Callable[[Counts], Any]:
    """What has a commit taken."""
    return lambda counts: (room.apply(data, NOW), None)[1]


# --- messages ------------------------------------------------------------------------------------


def text(size: int) -> bytes:
    """A content with so much text."""
    return Said("x" * size, NOW, Evaporation()).encode()


def _message(
    room: Room, skip: int, content: bytes, *, last: tuple[bytes, int] | None = None,
    damaged: str = "",
) -> bytes:  # fmt: skip
    """A message of the attacker that skips so many of its chain."""
    sending, epoch = room.state.sending, room.state.epoch
    assert sending is not None
    sample = Room.restore(room.records())
    sent = sample.send(people(0).owner, Said("", NOW, Evaporation()), NOW, Stream("sample"))
    value = decode(MESSAGE.parse(sent.message)[0], limit=HEADER.limit)
    value[5] = sending.index + skip
    value[7] = None if last is None else list(last)
    chain_key = sending.key.reveal()
    for _ in range(skip + 1):
        chain_key, key = step(chain_key)
    head = encode(value)
    aead, com = message_keys(key, H(b"header", head, epoch.context))
    body = encrypt(aead, pad(content, len(content) + 100))
    if damaged == "ciphertext":  # and signed as it is, so that only the last check fails
        body = body[:-1] + bytes([body[-1] ^ 1])
    authenticator = com
    if epoch.room_sign is not None and not room.direct:
        covered = (head, com, H(b"ciphertext", body))
        authenticator = sign(epoch.room_sign.reveal(), b"message", *covered)
        if damaged == "signature":
            authenticator = sign(people(2).keys.room_sign.reveal(), b"message", *covered)
    return MESSAGE.build(head, body, authenticator)


def normal_message(size: int, length: int = 100) -> Prepared:
    """The next message of its chain."""
    mine, theirs = rooms(3)
    data = _message(mine, 0, text(length))
    return receiving(theirs, data), bound(chains=1, size=len(data)), len(data)


def jump(size: int, *, damaged: str, length: int = 100) -> Prepared:
    """A message past so many that have not come."""
    mine, theirs = rooms(3)
    data = _message(mine, min(size, MOST), text(length), damaged=damaged)
    return receiving(theirs, data), bound(chains=1, size=len(data)), len(data)


def two_jumps(size: int) -> Prepared:
    """Accepted: the largest content, a jump, and as many missing in the last epoch it spoke in."""
    mine, theirs = rooms(3)
    before = mine.state.epoch.prefix
    made = mine.commit(people(0).owner, [], [], NOW, Stream("commit"))
    theirs.apply(made.copies[theirs.own_id], NOW)
    data = _message(mine, min(size, MOST), text(LARGEST), last=(before, min(size, MOST)))
    return receiving(theirs, data), bound(chains=2, size=len(data)), len(data)


def answer(size: int) -> Prepared:
    """A turn of a 1:1 room that is good, with a jump, around a message that is not."""
    theirs, mine = rooms(2, Mode.DIRECT)
    guest = people(1)
    sent = mine.send(guest.owner, Said("x" * LARGEST, NOW, Evaporation()), NOW, Stream("turn"))
    header, body, authenticator = MESSAGE.parse(sent.message)
    value = decode(header, limit=HEADER.limit)
    value[5] = min(size, MOST)
    data = MESSAGE.build(encode(value), body, authenticator)
    return receiving(theirs, data), bound(chains=1, members=2, size=len(data)), len(data)


# --- commits -------------------------------------------------------------------------------------


def _commit(
    mine: Room, theirs: Room, operations: Sequence[Operation], proofs: Sequence[Proof] = (), *,
    good: bool = False,
) -> bytes:  # fmt: skip
    """The receiver's copy of a commit in which all is right but, if asked, the confirmation."""
    state, owner, random = mine.state, people(0).owner, Stream("forger")
    parent, me = state.epoch, state.me
    (_, leaf_key), (_, room_key) = dh_keypair(random), sign_keypair(random)
    ephemeral, public = dh_keypair(random)
    entry = make_entry(owner, mine.id, me.id, leaf_key, room_key, me.credential.version + 1)
    outcome = apply_operations(
        parent.roster, parent.policy, SUITE_1, mine.id, parent.number, parent.transcript, me, NOW,
        operations, proofs,
    )  # fmt: skip
    roster = with_committer(outcome, me.id, entry)
    commit = Commit.build(
        mine.id, parent.number, parent.transcript, me.id, NOW, operations, proofs, entry.signed,
        public, state_hash(roster.encode(), outcome.policy),
    )  # fmt: skip
    r = random(32)
    secret = epoch_secret(parent.inits[me.id].reveal(), r, commit.data)
    confirmation = EpochKeys.derive(secret, commit.data, roster.members).confirmation
    signing = parent.room_sign
    assert signing is not None
    signed = SignedCommit.make(
        commit.data, confirmation if good else bytes(32), signing.reveal()
    ).encode()
    sealed = seal_commit(
        parent.handshakes[me.id].reveal(), mine.id, parent.prefix, me.id, signed, random
    )
    leaf = parent.roster[theirs.own_id].credential.leaf_key
    return COMMIT_COPY.build(
        sealed, seal_slot(r, ephemeral, commit.data, public, theirs.own_id, leaf)
    )


def refresh(size: int, *, good: bool = True) -> Prepared:
    """Nothing but a refresh, in a room of so many."""
    mine, theirs = rooms(max(3, size))
    data = _commit(mine, theirs, [], good=good)
    allowed = bound(members=len(mine.roster), size=len(data), packages=0)
    return applying(theirs, data), allowed, len(data)


def adds(size: int) -> Prepared:
    """As many members as a room holds, added by one commit, and its confirmation is wrong."""
    mine, theirs = rooms(3)
    count = max(1, size - 3)
    added = [Add(people(n).keys.package) for n in range(3, 3 + count)]
    data = _commit(mine, theirs, added)
    allowed = bound(members=len(mine.roster) + count, packages=count, size=len(data))
    return applying(theirs, data), allowed, len(data)


def resyncs(size: int) -> Prepared:
    """All of a room have asked to be let in anew; all are, and the confirmation is wrong."""
    mine, theirs = rooms(max(3, size))
    requests: list[Operation] = []
    for number, member in enumerate(mine.roster):
        if member.id not in (mine.own_id, theirs.own_id):
            asks, random = people(number), Stream(f"asks {number}")
            package = KeyPackageKeys.generate(asks.owner, asks.mailbox, NOW, random).package
            requests.append(
                Resync(ResyncRequest.make(asks.owner, mine.id, member.id, NOW, package))
            )
    data = _commit(mine, theirs, requests)
    count = len(requests)
    allowed = bound(members=len(mine.roster), packages=count, requests=count, size=len(data))
    return applying(theirs, data), allowed, len(data)


def proofs_of_leaving(size: int) -> Prepared:
    """As many proofs as a commit holds, and its confirmation is wrong."""
    mine, theirs = rooms(3 + MAX_PROOFS)
    leavers = [
        Proof(ProofKind.LEAVE, leave_request(people(number).owner, mine.id, member))
        for number, member in enumerate(mine.roster)
        if member.id not in (mine.own_id, theirs.own_id)
    ][:MAX_PROOFS]
    data = _commit(mine, theirs, [], leavers)
    allowed = bound(members=len(mine.roster), proofs=MAX_PROOFS, size=len(data))
    return applying(theirs, data), allowed, len(data)


def sanctions(size: int) -> Prepared:
    """As many removals as proofs, each of which is looked up among all; a wrong confirmation."""
    mine, theirs = rooms(max(3 + MAX_PROOFS, size))
    me = mine.state.me
    targets = [m for m in mine.roster if m.id not in (mine.own_id, theirs.own_id)]
    data = _commit(mine, theirs, [
        sanction(people(0).owner, mine.id, me, target, None, mine.roster, mine.epoch)
        for target in targets
    ])  # fmt: skip
    count = len(targets)
    allowed = bound(members=len(mine.roster), proofs=count, size=len(data))
    return applying(theirs, data), allowed, len(data)


def sibling(size: int) -> Prepared:
    """A commit beside one that has been taken, and better: the receiver goes over to its epoch."""
    mine, theirs = rooms(max(3, size))
    before = Room.restore(theirs.records())
    theirs.commit(people(1).owner, [], [], NOW, Stream("first"))
    data = _commit(mine, before, [], good=True)
    allowed = bound(members=len(mine.roster), size=len(data))
    return applying(theirs, data), allowed, len(data)


def not_entitled(size: int) -> Prepared:
    """A member who may add nobody adds as many as a commit holds: who may is seen last."""
    mine, theirs = rooms(3)
    count = min(size, MOST)
    packages = [Add(people(n).keys.package, Role.OWNER).value() for n in range(3, 3 + count)]
    data = _unchecked(theirs, packages)
    allowed = bound(members=3, packages=count, size=len(data))
    return applying(mine, data), allowed, len(data)


def _unchecked(author: Room, operations: list[Any]) -> bytes:
    """A commit with any operations in it, signed and sealed by its author, that leads nowhere."""
    state, random = author.state, Stream("unchecked")
    parent, me = state.epoch, state.me
    _, public = dh_keypair(random)
    commit = encode([
        1, COMMIT.type, author.id, parent.number, parent.transcript, me.id, NOW, operations, [],
        me.credential.signed, public, bytes(32),
    ])  # fmt: skip
    assert parent.room_sign is not None
    signed = SignedCommit.make(commit, bytes(32), parent.room_sign.reveal()).encode()
    sealed = seal_commit(
        parent.handshakes[me.id].reveal(), author.id, parent.prefix, me.id, signed, random
    )
    return COMMIT_COPY.build(sealed, bytes(48))
