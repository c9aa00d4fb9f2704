"""Commits and the genesis: the signed record that opens an epoch (spec 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .epoch import NO_TRANSCRIPT
from .errors import LocalError, Reason, RemoteError
from .formats import COMMIT, DIRECT_COMMIT, GENESIS, SIGNED_COMMIT
from .identity import Identity
from .keypackage import KeyPackage
from .limits import MAX_INDEX
from .membership import Credential, Member, Mode, Policy, Role, Roster, creator_id, member_id
from .membership import state_hash as hash_state
from .operations import Operation, operation_from_value
from .primitives import H, Suite, check_dh_key, sign, suite, verify
from .proofs import Proof, ProofKind

__all__ = ["Commit", "Genesis", "SignedCommit", "direct_commit"]


@dataclass(frozen=True, slots=True)
class Commit:
    """A group commit: what it builds on, what it does, and what the room will be."""

    data: bytes
    room: bytes
    epoch: int
    transcript: bytes
    committer: bytes
    time: int
    operations: tuple[Operation, ...]
    proofs: tuple[Proof, ...]
    entry: bytes
    ephemeral_key: bytes
    state_hash: bytes

    @classmethod
    def build(
        cls,
        room: bytes,
        epoch: int,
        transcript: bytes,
        committer: bytes,
        time: int,
        operations: Sequence[Operation],
        proofs: Sequence[Proof],
        entry: bytes,
        ephemeral_key: bytes,
        state_hash: bytes,
    ) -> Commit:
        """Make a commit from its fields. Raise `LocalError` (bad-form): no number is left."""
        if epoch > MAX_INDEX:
            raise LocalError(Reason.BAD_FORM, "no number is left for an epoch")
        data = COMMIT.build(
            room, epoch, transcript, committer, time,
            [operation.value() for operation in operations],
            [proof.value() for proof in proofs],
            entry, ephemeral_key, state_hash,
        )  # fmt: skip
        return cls(data, room, epoch, transcript, committer, time, tuple(operations),
                   tuple(proofs), entry, ephemeral_key, state_hash)  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> Commit:
        """Read a commit (REQ-EPOCH-11).

        Raise `RemoteError`: as `Form.parse`; bad-key (ephemeral key); those of `KeyPackage.parse`;
        bad-policy, wrong-mode.
        """
        (room, epoch, transcript, committer, time, operations, proofs, entry, ephemeral_key,
         state) = COMMIT.parse(data)  # fmt: skip
        check_dh_key(ephemeral_key)
        return cls(data, room, epoch, transcript, committer, time,
                   tuple(operation_from_value(value) for value in operations),
                   tuple(Proof(ProofKind(kind), signed) for kind, signed in proofs),
                   entry, ephemeral_key, state)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Genesis:
    """What opens epoch 0: the creator, its policy, and the first members."""

    data: bytes
    suite: Suite
    room: bytes
    time: int
    policy: Policy
    creator: Identity
    entry: bytes
    packages: tuple[tuple[KeyPackage, Role], ...]
    state_hash: bytes

    @classmethod
    def build(
        cls,
        algorithms: Suite,
        room: bytes,
        time: int,
        policy: Policy,
        creator: Identity,
        credential: Credential,
        packages: Sequence[tuple[KeyPackage, Role]],
    ) -> tuple[Genesis, Roster]:
        """Make a genesis, and the roster it results in. Raise `RemoteError` as `roster`."""
        chosen = tuple(packages)
        draft = cls(b"", algorithms, room, time, policy, creator, credential.signed, chosen, b"")
        roster = draft.roster(credential)
        state = hash_state(roster.encode(), policy)
        data = GENESIS.build(
            algorithms.number, room, time, policy.value(), creator.sign_key, creator.dh_key,
            credential.signed, [[package.signed, int(role)] for package, role in chosen], state,
        )  # fmt: skip
        made = cls(data, algorithms, room, time, policy, creator, credential.signed, chosen, state)
        return made, roster

    @classmethod
    def parse(cls, data: bytes) -> Genesis:
        """Read a genesis and verify the packages in it. Raise `RemoteError` as `Commit.parse`."""
        number, room, time, policy, sign_key, dh_key, entry, values, state = GENESIS.parse(data)
        creator = Identity(sign_key, dh_key)
        creator.check()
        packages = tuple((KeyPackage.parse(signed), Role(role)) for signed, role in values)
        return cls(data, suite(number), room, time, Policy.from_value(policy), creator, entry,
                   packages, state)  # fmt: skip

    def credential(self) -> Credential:
        """The creator's verified credential: a member entry of version 0.

        Raise `RemoteError` as `Credential.parse`, and bad-entry for a key package in its place:
        that would let whoever has one's card found rooms in one's name.
        """
        credential = Credential.parse(
            self.entry, self.room, creator_id(self.room, self.creator), self.creator
        )
        if credential.is_package or credential.version != 0:
            raise RemoteError(Reason.BAD_ENTRY, "a creator's entry has version 0")
        return credential

    def roster(self, credential: Credential) -> Roster:
        """The roster of epoch 0: the creator as owner, then the packages in order (REQ-EPOCH-12).

        Raise `RemoteError`: wrong-mode (a direct room has two members), unknown-suite, expired,
        already-member, too-many-members.
        """
        if self.policy.mode is Mode.DIRECT and len(self.packages) != 1:
            raise RemoteError(Reason.WRONG_MODE, "a direct room has exactly two members")
        me = creator_id(self.room, self.creator)
        admission = credential_hash(credential)
        creator = Member(me, Role.OWNER, 0, self.creator, admission, credential)
        roster = Roster({me: creator}, 1)
        for index, (package, role) in enumerate(self.packages):
            if package.suite != self.suite:
                raise RemoteError(Reason.UNKNOWN_SUITE, "a key package of another suite")
            if self.time > package.expiry:
                raise RemoteError(Reason.EXPIRED, "a key package had expired")
            member = member_id(self.room, NO_TRANSCRIPT, package.hash, index)
            roster = roster.admit(member, role, package)
        return roster


def credential_hash(credential: Credential) -> bytes:
    """The admission hash of a creator, whom no package admits."""
    return H(b"creator admission", credential.signed)


@dataclass(frozen=True, slots=True)
class SignedCommit:
    """A commit or genesis with its confirmation, and the signature over both."""

    commit: bytes
    confirmation: bytes
    signature: bytes

    @classmethod
    def make(cls, commit: bytes, confirmation: bytes, private: bytes) -> SignedCommit:
        """Sign with the room signature key the committer has at the parent (REQ-EPOCH-13)."""
        return cls(commit, confirmation, sign(private, b"commit", commit, confirmation))

    def verify(self, room_sign_key: bytes) -> None:
        """Raise `RemoteError` (bad-signature)."""
        verify(room_sign_key, self.signature, b"commit", self.commit, self.confirmation)

    def encode(self) -> bytes:
        """The plaintext of a sealed commit."""
        return SIGNED_COMMIT.build(self.commit, self.confirmation, self.signature)

    @classmethod
    def parse(cls, data: bytes) -> SignedCommit:
        """Read it. Raise `RemoteError` as `Form.parse`."""
        return cls(*SIGNED_COMMIT.parse(data))


def direct_commit(
    room: bytes,
    epoch: int,
    transcript: bytes,
    committer: bytes,
    leaf_key: bytes,
    ephemeral_key: bytes,
    entry: bytes | None,
) -> bytes:
    """The commit of a turn in a direct room. It never travels: both sides build it (REQ-DIR-03).

    Raise `RemoteError` (bad-form): no number is left for an epoch.
    """
    if epoch > MAX_INDEX:
        raise RemoteError(Reason.BAD_FORM, "no number is left for an epoch")
    return DIRECT_COMMIT.build(room, epoch, transcript, committer, leaf_key, ephemeral_key, entry)
