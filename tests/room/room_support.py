"""People, rooms of people, and forged commits for the tests of rooms.

Nothing here is random: every `Stream` gives the same bytes for the same name, so a failure repeats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from evanesce.applying import CommitApplied
from evanesce.chain import ReceivingChain, SendingChain, Skipped
from evanesce.commit import Commit, SignedCommit
from evanesce.content import Content, Evaporation, Leave, Said
from evanesce.epoch import (
    EpochKeys,
    SealedCommit,
    epoch_secret,
    prefix_of,
    seal_commit,
    seal_slot,
)
from evanesce.errors import EvanesceError, Reason, RemoteError
from evanesce.formats import COMMIT_COPY
from evanesce.founding import Invited
from evanesce.group import CommitMade
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackageKeys
from evanesce.mailbox import MailboxKeys
from evanesce.membership import Member, Mode, Policy, Role, Roster, make_entry, member_id
from evanesce.membership import state_hash as hash_state
from evanesce.operations import (
    Add,
    Operation,
    Remove,
    SetPolicy,
    SetRole,
    Wish,
    signed_operations,
)
from evanesce.primitives import dh_keypair, sign_keypair
from evanesce.proofs import Proof, ProofKind, Sanction
from evanesce.room import Room
from evanesce.secret import Secret
from evanesce.speech import Received, Sent
from evanesce.state import Epoch, RoomState

NOW = 1_700_000_000


class Stream:
    """A random source that repeats itself: the n-th call is a hash of the seed and n."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return hashlib.shake_256(f"{self.seed}/{self.calls}".encode()).digest(size)


class Person:
    """A device: identity, contact mailbox, and every key package it has made."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.random = Stream(name)
        self.keys = IdentityKeys.generate(self.random)
        self.mailbox = MailboxKeys.generate(self.random)
        self.packages: dict[bytes, KeyPackageKeys] = {}

    def package(self, *, last_resort: bool = False, now: int = NOW) -> KeyPackageKeys:
        """A new key package."""
        made = KeyPackageKeys.generate(
            self.keys, self.mailbox.mailbox, now, self.random, last_resort=last_resort
        )
        self.packages[made.package.hash] = made
        return made

    def invited(
        self, role: Role = Role.MEMBER, *, last_resort: bool = False, now: int = NOW
    ) -> Invited:
        """An `Invited` through a new key package."""
        made = self.package(last_resort=last_resort, now=now)
        return Invited(made.package, None if last_resort else 0, role)

    def join(self, invitation: bytes, guest: Invited, now: int) -> Room:
        """Join by an invitation to a package of one's own."""
        room, _ = Room.join(self.keys, self.packages[guest.package.hash], invitation, now)
        return room


def said(body: str | bytes, now: int = NOW, evaporation: Evaporation | None = None) -> Said:
    """A content."""
    return Said(body, now, evaporation or Evaporation())


class World:
    """A room of several people. The first one founds it; all hear of everything unless told."""

    def __init__(
        self,
        *names: str,
        policy: Policy | None = None,
        roles: Mapping[str, Role] | None = None,
        outsiders: Sequence[str] = (),
    ) -> None:
        self.now = NOW
        self.people = {name: Person(name) for name in (*names, *outsiders)}
        self.rooms: dict[str, Room] = {}
        self.policy = policy or Policy(Mode.SIGNED)
        first, *others = names
        guests = [self.people[n].invited((roles or {}).get(n, Role.MEMBER)) for n in others]
        creator = self.people[first]
        self.rooms[first], invitations = Room.found(
            creator.keys, self.policy, guests, first, creator.mailbox.mailbox, NOW, creator.random
        )
        for name, guest, invitation in zip(others, guests, invitations.values(), strict=True):
            self.rooms[name] = self.people[name].join(invitation, guest, NOW)

    def __getitem__(self, name: str) -> Room:
        return self.rooms[name]

    def member(self, name: str, *, at: str | None = None) -> Member:
        """The member that `name` is, as the roster of `at` (or its own) says."""
        return self[at or name].roster[self[name].own_id]

    def send(self, name: str, content: str | Content = "hello") -> Sent:
        """Have someone say something; nobody has received it yet."""
        whole = said(content, self.now) if isinstance(content, str) else content
        person = self.people[name]
        return self[name].send(person.keys, whole, self.now, person.random)

    def receive(self, name: str, sent: Sent) -> Received:
        """Deliver a message to one."""
        return self[name].receive(sent.message, self.now)

    def body(self, name: str, sent: Sent) -> str | bytes:
        """Deliver a message to one, and return what it says."""
        content = self.receive(name, sent).content
        assert isinstance(content, Said)
        return content.body

    def deliver(self, sent: Sent) -> dict[str, Received]:
        """Deliver a message to all it is for."""
        return {
            name: self.receive(name, sent)
            for name, room in self.rooms.items()
            if room.own_id in sent.recipients
        }

    def make(
        self, name: str, *operations: Wish, invite: Sequence[Invited] = ()
    ) -> CommitMade:
        """Have someone commit; nobody has heard of it yet."""
        person = self.people[name]
        return self[name].commit(person.keys, operations, invite, self.now, person.random)

    def apply(self, name: str, made: CommitMade) -> CommitApplied:
        """Deliver one's copy of a commit."""
        return self[name].apply(made.copies[self[name].own_id], self.now)

    def spread(self, made: CommitMade) -> dict[str, CommitApplied]:
        """Deliver every copy of a commit."""
        return {
            name: self.apply(name, made)
            for name, room in self.rooms.items()
            if room.own_id in made.copies
        }

    def commit(self, name: str, *operations: Wish) -> dict[str, CommitApplied]:
        """Have someone commit, and all apply it."""
        return self.spread(self.make(name, *operations))

    def join(self, name: str, made: CommitMade, guest: Invited) -> None:
        """Have an invited person join."""
        (member,) = (m for m in made.added if m.admission == guest.package.hash)
        self.rooms[name] = self.people[name].join(
            made.invitations[member.id], guest, self.now
        )

    def add(self, by: str, name: str, role: Role = Role.MEMBER) -> None:
        """Have `by` add `name`, and all apply it."""
        guest = self.people[name].invited(role, now=self.now)
        made = self.make(by, invite=[guest])
        self.spread(made)
        self.join(name, made, guest)

    def removal(self, name: str) -> Remove:
        """The operation that removes someone."""
        member = self.member(name)
        return Remove(member.id, member.admission)

    def leave_proof(self, name: str) -> Proof:
        """Someone's signed wish to leave, as a commit embeds it; nobody has heard of it."""
        return Proof(
            ProofKind.LEAVE, self[name].leave_request(self.people[name].keys).request
        )

    def ask_to_leave(self, name: str) -> Proof:
        """Have someone ask to leave, and all hear it; return the signed request."""
        proof = self.leave_proof(name)
        self.deliver(self.send(name, Leave(proof.signed)))
        return proof

    def check_agreement(self, *names: str) -> None:
        """Assert that all of them (all who are in the room) see the same room."""
        present = names or tuple(name for name, room in self.rooms.items() if not room.closed)
        views = {
            (room.epoch, room.transcript, room.roster.encode(), room.policy)
            for room in map(self.rooms.__getitem__, present)
        }
        assert len(views) == 1, "members disagree about the room"

    def check_talk(self, *names: str) -> None:
        """Assert that each can say something to all others of them."""
        present = names or tuple(name for name, room in self.rooms.items() if not room.closed)
        for sender in present:
            message = self.send(sender, f"from {sender}")
            for receiver in present:
                if receiver != sender:
                    assert self.body(receiver, message) == f"from {sender}"


def state_of(room: Room) -> RoomState:
    """What a thief of the device has."""
    return room.state


@contextmanager
def refused(
    reason: Reason, *rooms: Room, error: type[EvanesceError] = RemoteError
) -> Iterator[None]:
    """Assert that the block is refused for this reason, and that it changes none of the rooms."""
    before = [room.digest() for room in rooms]
    changed = [set(state_of(room).changed) for room in rooms]
    with pytest.raises(error) as caught:
        yield
    assert caught.value.reason is reason, caught.value
    assert type(caught.value) is error, f"{type(caught.value).__name__}, not {error.__name__}"
    assert [room.digest() for room in rooms] == before, "a refused input changed the state"
    assert [state_of(room).changed for room in rooms] == changed


def skip_messages(room: Room, count: int) -> None:
    """Let a member send `count` messages that are lost on the way, without sealing them."""
    state = state_of(room)
    assert state.sending is not None
    for _ in range(count):
        _, state.sending = state.sending.next()
    state.changed.add(b"state")


def skipped_keys(room: Room) -> int:
    """How many skipped keys a room holds."""
    return sum(
        len(chain.skipped) for epoch in state_of(room).epochs.values()
        for chain in epoch.chains.values()
    )  # fmt: skip


def secrets_of(room: Room) -> dict[str, bytes]:
    """Every secret a room holds, by a name that says where."""
    found: dict[str, bytes] = {}

    def note(name: str, secret: Secret | None) -> None:
        if secret is not None:
            found[name] = secret.reveal()

    state = state_of(room)
    if state.sending is not None:
        note("sending", state.sending.key)
    for number, epoch in enumerate(state.epochs.values()):
        note(f"{number} leaf", epoch.leaf)
        note(f"{number} room sign", epoch.room_sign)
        note(f"{number} exporter", epoch.exporter)
        for member, key in epoch.handshakes.items():
            note(f"{number} handshake {member.hex()}", key)
        for member, key in epoch.inits.items():
            note(f"{number} init {member.hex()}", key)
        for member, chain in epoch.chains.items():
            note(f"{number} chain {member.hex()}", chain.key)
            for index, entry in chain.skipped.items():
                note(f"{number} skipped {member.hex()} {index}", entry.key)
    return found


# --- forged commits ------------------------------------------------------------------------------


def unchecked_outcome(
    parent: Epoch,
    room: bytes,
    committer: Member,
    operations: Iterable[Operation],
    leavers: Iterable[bytes] = (),
) -> tuple[Roster, Policy]:
    """What operations make of a room if nobody asks whether they may be done."""
    roster, policy, opened = parent.roster, parent.policy, parent.number + 1
    for member in leavers:
        roster = roster.remove(member) if member in roster else roster
    for index, operation in enumerate(operations):
        match operation:
            case Add(package, role):
                new = member_id(room, parent.transcript, package.hash, index)
                if roster.of(package.identity) is None:
                    roster = roster.admit(
                        new, role, package, sponsor=committer.seniority, epoch=opened
                    )
            case Sanction():
                if operation.member in roster:
                    roster, _ = operation.apply(roster, parent.roster, opened)
            case SetRole(member, role):
                if member in roster:
                    roster = roster.change(member, role=role, epoch=opened)
            case SetPolicy(new_policy):
                policy = new_policy
    return (roster.with_owner(opened) if len(roster) else roster), policy


@dataclass
class Forger:
    """Makes commits as a malicious member can: any field may be set, all else is made to fit.

    It reads the member's state and changes nothing of it. Every field set to something is used as
    it is; every other one is what an honest committer would have put there.
    """

    room: Room
    owner: IdentityKeys
    now: int
    random: Stream = field(default_factory=lambda: Stream("forger"))
    # what the commit claims
    operations: Sequence[Wish] = ()  # a wish is signed as a sanction, whatever the right to it
    proofs: Sequence[Proof] = ()
    leavers: Sequence[bytes] = ()
    commit_room: bytes | None = None
    number: int | None = None
    transcript: bytes | None = None
    committer: bytes | None = None
    time: int | None = None
    entry: bytes | None = None
    entry_version: int | None = None
    ephemeral_key: bytes | None = None
    state_hash: bytes | None = None
    # how it is signed, sealed and sent
    parent: Epoch | None = None
    signing: bytes | None = None
    confirmation: bytes | None = None
    sealed_room: bytes | None = None
    sealed_prefix: bytes | None = None
    sealed_by: bytes | None = None
    fresh_for: Callable[[bytes, bytes], bytes] | None = None  # member, r: the r in its slot
    slot_for: Callable[[bytes, dict[bytes, bytes]], bytes | None] | None = None
    body: Callable[[bytes], bytes] | None = None  # the signed commit as it is sealed

    def copies(self) -> dict[bytes, bytes]:
        """The copies, one for every other member of the parent."""
        state = state_of(self.room)
        parent = self.parent or state.epoch
        claimed = parent.roster[state.own if self.committer is None else self.committer]
        sealed_by = claimed.id if self.sealed_by is None else self.sealed_by
        _, leaf_key = dh_keypair(self.random)
        _, room_sign_key = sign_keypair(self.random)
        version = claimed.credential.version + 1
        entry = make_entry(
            self.owner, state.id, claimed.id, leaf_key, room_sign_key,
            version if self.entry_version is None else self.entry_version,
        )  # fmt: skip
        transcript = parent.transcript if self.transcript is None else self.transcript
        operations = signed_operations(
            self.owner, state.id, claimed, parent.roster, parent.number, self.operations
        )
        outcome, policy = unchecked_outcome(
            parent, state.id, claimed, operations, self.leavers
        )
        resulting = outcome.change(claimed.id, credential=entry) if claimed.id in outcome else (
            outcome
        )
        ephemeral, ephemeral_key = dh_keypair(self.random)
        commit = Commit.build(
            state.id if self.commit_room is None else self.commit_room,
            parent.number if self.number is None else self.number,
            transcript,
            claimed.id,
            self.now if self.time is None else self.time,
            operations,
            self.proofs,
            entry.signed if self.entry is None else self.entry,
            ephemeral_key if self.ephemeral_key is None else self.ephemeral_key,
            hash_state(resulting.encode(), policy) if self.state_hash is None else self.state_hash,
        )
        r = self.random(32)
        init = parent.inits[claimed.id] if claimed.id in parent.inits else Secret(bytes(32))
        keys = EpochKeys.derive(
            epoch_secret(init.reveal(), r, commit.data), commit.data, resulting.members
        )
        signing = self.signing
        if signing is None:
            assert parent.room_sign is not None
            signing = parent.room_sign.reveal()
        signed = SignedCommit.make(
            commit.data,
            keys.confirmation if self.confirmation is None else self.confirmation,
            signing,
        ).encode()
        sealed = seal_commit(
            parent.handshakes[sealed_by].reveal(),
            state.id if self.sealed_room is None else self.sealed_room,
            parent.prefix if self.sealed_prefix is None else self.sealed_prefix,
            sealed_by,
            signed if self.body is None else self.body(signed),
            self.random,
        )
        slots = {
            m.id: seal_slot(
                r if self.fresh_for is None else self.fresh_for(m.id, r),
                ephemeral, commit.data, commit.ephemeral_key, m.id, m.credential.leaf_key,
            )
            for m in parent.roster
        }  # fmt: skip
        copies = {}
        for member, own_slot in slots.items():
            slot = own_slot if member in resulting else None
            if self.slot_for is not None:
                slot = self.slot_for(member, slots)
            if member != state.own:
                copies[member] = COMMIT_COPY.build(sealed, slot)
        return copies


def reskip(chain: ReceivingChain, since: int) -> ReceivingChain:
    """The same chain with every skipped key dated `since`."""
    dated = {n: Skipped(entry.key, since) for n, entry in chain.skipped.items()}
    return ReceivingChain(chain.key, chain.index, dated)


def sending_chain(room: Room) -> SendingChain:
    """A member's own chain."""
    sending = state_of(room).sending
    assert sending is not None
    return sending


# --- branches ------------------------------------------------------------------------------------


def make_at(
    world: World, name: str, time: int, *wishes: Wish, invite: Sequence[Invited] = ()
) -> CommitMade:
    """Have someone commit whose clock shows `time`."""
    now, world.now = world.now, time
    try:
        return world.make(name, *wishes, invite=invite)
    finally:
        world.now = now


def restart(world: World, name: str) -> Room:
    """Have a device write its state, forget everything, and read it again."""
    before = world[name].digest()
    world.rooms[name] = Room.restore(world[name].records())
    assert world[name].digest() == before
    return world[name]


def opened_by(made: CommitMade, room: Room) -> Epoch:
    """The epoch that a commit has opened, as a room keeps it."""
    sealed = SealedCommit.parse(made.sealed)
    parent = state_of(room).epochs[sealed.prefix]
    return state_of(room).epochs[prefix_of(parent.taken[sealed.committer])]
