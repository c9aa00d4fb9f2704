"""How a room begins for a device: by founding it, or by an invitation (spec 07 and 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .commit import Commit, Genesis, SignedCommit
from .epoch import (
    NO_TRANSCRIPT,
    EpochKeys,
    check_confirmation,
    epoch_secret,
    transcript_hash,
)
from .errors import HeldError, Reason, RemoteError, local_fault
from .formats import GENESIS, WELCOME
from .identity import IdentityKeys
from .invitation import Invitation, open_invitation, seal_invitation
from .kept_epoch import Epoch
from .keypackage import KeyPackage, KeyPackageKeys
from .limits import LAST_RESORT_WEAK, MAX_CLOCK_LEAD, MAX_COMMIT, MAX_NAME
from .mailbox import Mailbox
from .membership import (
    Credential,
    Member,
    Mode,
    Policy,
    Role,
    Roster,
    creator_id,
    make_entry,
    member_id,
    state_hash,
)
from .operations import Add, Resync
from .primitives import (
    EMPTY_KEY,
    SUITE_1,
    Random,
    Suite,
    check_dh_key,
    dh_keypair,
    equal,
    sign_keypair,
)
from .resync import ResyncRequest
from .state import Contact, RoomState
from .tree import Trail, as_trail
from .wire import check_time, decode, kind_of, utf8

__all__ = ["Invited", "found_room", "join_room", "make_welcome"]


@dataclass(frozen=True, slots=True)
class Invited:
    """Someone to invite: a verified key package, which of its prekeys to use, and a role."""

    package: KeyPackage
    prekey_index: int | None
    role: Role = Role.MEMBER


def found_room(
    owner: IdentityKeys,
    policy: Policy,
    invited: Sequence[Invited],
    name: str,
    mailbox: Mailbox,
    now: int,
    random: Random,
    *,
    algorithms: Suite = SUITE_1,
) -> tuple[RoomState, dict[bytes, bytes]]:
    """Open epoch 0 of a new room; return its state and each member's invitation (REQ-EPOCH-12).

    Raise `LocalError`: wrong-mode, bad-policy, already-member, too-many-members, expired,
    unknown-suite, used-package; too-large or bad-input for the name, bad-input for the time.
    """
    check_time(now)
    utf8(name, MAX_NAME)
    room = random(32)
    own = creator_id(room, owner.identity)
    leaf, leaf_key = dh_keypair(random)
    room_sign, room_sign_key = sign_keypair(random)
    credential = make_entry(owner, room, own, leaf_key, room_sign_key, 0)
    with local_fault():
        policy.check()
        genesis, roster = Genesis.build(
            algorithms, room, now, policy, owner.identity, credential,
            [(guest.package, guest.role) for guest in invited],
        )  # fmt: skip
    secret = epoch_secret(EMPTY_KEY, random(32), genesis.data)
    keys = EpochKeys.derive(secret, genesis.data, roster.members)
    signature = None
    if policy.mode is not Mode.DIRECT:
        signature = SignedCommit.make(genesis.data, keys.confirmation, room_sign).signature
    directory = {own: Contact(name, mailbox)}
    epoch, sending = Epoch.open(
        keys, algorithms, room, own,
        number=0,
        transcript=transcript_hash(NO_TRANSCRIPT, genesis.data, keys.confirmation),
        roster=roster,
        policy=policy,
        opener=own,
        time=now,
        leaf=leaf,
        room_sign=room_sign,
    )  # fmt: skip
    state = RoomState(room, algorithms, own, epoch.prefix, {}, None, directory, now)
    if policy.mode is Mode.DIRECT and invited[0].package.last_resort:
        state.weak_until = now + LAST_RESORT_WEAK
    welcome = make_welcome(
        genesis.data, keys.confirmation, signature, None, roster, policy, secret, directory,
        () if policy.mode is Mode.DIRECT else ((epoch.prefix, None),),
    )  # fmt: skip
    state.enter(epoch, sending, now)  # which adds to the directory what its guests know already
    members = list(roster)[1:]
    with local_fault():
        return state, {
            member.id: seal_invitation(owner, guest.package, guest.prekey_index, welcome, random)
            for member, guest in zip(members, invited, strict=True)
        }


def make_welcome(
    commit: bytes,
    confirmation: bytes,
    signature: bytes | None,
    parent_credential: bytes | None,
    roster: Roster,
    policy: Policy,
    secret: bytes,
    directory: dict[bytes, Contact],
    trail: Trail,
) -> bytes:
    """The payload of an invitation: all that admits its receiver (REQ-INV-05)."""
    return WELCOME.build(
        commit, confirmation, signature, parent_credential, roster.encode(), policy.value(), secret,
        [
            [member.id, contact.name, None if contact.mailbox is None else contact.mailbox.value()]
            for member in roster
            if (contact := directory.get(member.id)) is not None
        ],
        [list(step) for step in trail],
    )  # fmt: skip


def join_room(
    owner: IdentityKeys, keys: KeyPackageKeys, data: bytes, now: int
) -> tuple[RoomState, Invitation]:
    """Join the room of an invitation (REQ-INV-06).

    Raise `RemoteError` with the reasons of `open_invitation` and of what the welcome holds, then
    wrong-identity (the inviter did not commit), bad-entry, bad-signature, bad-state-hash,
    unknown-member (this device is not admitted), bad-confirmation; `HeldError` (early-commit).
    """
    invitation = Invitation.parse(data)
    welcome = open_invitation(owner, keys, invitation)
    (commit, confirmation, signature, parent_credential, roster_bytes, policy_value, secret,
     listed, trail) = WELCOME.parse(welcome)  # fmt: skip
    policy = Policy.from_value(policy_value)
    if kind_of(decode(commit, limit=MAX_COMMIT)) == GENESIS.type:
        admission = _check_genesis(
            Genesis.parse(commit), invitation, keys, roster_bytes, policy
        )
        if parent_credential is not None:
            raise RemoteError(Reason.BAD_FORM, "a genesis has no parent")
    elif policy.mode is Mode.DIRECT:
        raise RemoteError(Reason.WRONG_MODE, "a direct room admits nobody")
    else:
        admission = _check_commit(
            Commit.parse(commit), invitation, keys, roster_bytes, parent_credential
        )
    if admission.time > now + MAX_CLOCK_LEAD:
        raise HeldError(
            Reason.EARLY_COMMIT, "an invitation from the future", admission.time - MAX_CLOCK_LEAD
        )
    if policy.mode is Mode.DIRECT:
        if signature is not None:
            raise RemoteError(Reason.BAD_FORM, "a direct room signs nothing")
    elif signature is None:
        raise RemoteError(Reason.BAD_SIGNATURE, "the commit is not signed")
    else:
        SignedCommit(commit, confirmation, signature).verify(admission.room_sign_key)
    if not equal(state_hash(roster_bytes, policy), admission.state_hash):
        raise RemoteError(Reason.BAD_STATE_HASH, "roster or policy is not what was committed")
    own = admission.own
    mine = admission.roster.members.get(own)
    if mine is None or mine.credential.signed != keys.package.signed:
        raise RemoteError(Reason.UNKNOWN_MEMBER, "the roster does not hold this key package")
    derived = EpochKeys.derive(secret, commit, admission.roster.members)
    check_confirmation(derived.confirmation, confirmation)
    direct = policy.mode is Mode.DIRECT
    epoch, sending = Epoch.open(
        derived, keys.package.suite, admission.room, own,
        number=admission.number,
        transcript=transcript_hash(admission.parent, commit, confirmation),
        roster=admission.roster,
        policy=policy,
        opener=admission.committer.id,
        time=admission.time,
        leaf=None if direct else keys.leaf.reveal(),
        room_sign=keys.room_sign.reveal(),
        peer_leaf=admission.committer.credential.leaf_key if direct else None,
    )  # fmt: skip
    for member, _, mailbox in listed:
        if mailbox is not None and member in admission.roster and member != own:
            check_dh_key(mailbox[1])
    directory = {
        member: Contact(text, None if mailbox is None else Mailbox(*mailbox))
        for member, text, mailbox in listed
        if member in admission.roster and member != own
    }
    state = RoomState(
        admission.room, keys.package.suite, own, epoch.prefix, {}, None, directory, now
    )
    if direct and keys.package.last_resort:
        state.weak_until = now + LAST_RESORT_WEAK
    state.joined, state.trail = now, as_trail(trail)
    state.enter(epoch, sending, now)
    return state, invitation


@dataclass(frozen=True, slots=True)
class _Admission:
    """What a genesis and a commit have in common for a joiner."""

    room: bytes
    number: int  # of the epoch that is opened
    parent: bytes
    time: int
    roster: Roster
    committer: Member
    own: bytes
    state_hash: bytes
    room_sign_key: bytes  # the one the commit is signed with


def _check_genesis(
    genesis: Genesis,
    invitation: Invitation,
    keys: KeyPackageKeys,
    roster_bytes: bytes,
    policy: Policy,
) -> _Admission:
    if genesis.creator != invitation.inviter:
        raise RemoteError(Reason.WRONG_IDENTITY, "invited by another than the creator")
    if genesis.suite != keys.package.suite:
        raise RemoteError(Reason.UNKNOWN_SUITE, "the room is of another suite than the package")
    credential = genesis.credential()
    roster = genesis.roster(credential)
    if roster.encode() != roster_bytes or policy != genesis.policy:
        raise RemoteError(Reason.BAD_STATE_HASH, "not the roster and policy of the genesis")
    own = roster.of(keys.package.identity)
    creator = roster[creator_id(genesis.room, genesis.creator)]
    return _Admission(genesis.room, 0, NO_TRANSCRIPT, genesis.time, roster, creator,
                      b"" if own is None else own.id, genesis.state_hash,
                      credential.room_sign_key)  # fmt: skip


def _let_in_anew(request: ResyncRequest, commit: Commit, keys: KeyPackageKeys) -> bytes:
    """Whom a request of one's own names; another's must not move this device out of its place."""
    if request.room != commit.room:
        raise RemoteError(Reason.BAD_PROOF, "a resync request for another room")
    request.verify(keys.package.identity)
    if commit.time > request.package.expiry:
        raise RemoteError(Reason.EXPIRED, "the key package had expired")
    return request.member


def _check_commit(
    commit: Commit,
    invitation: Invitation,
    keys: KeyPackageKeys,
    roster_bytes: bytes,
    parent_credential: bytes | None,
) -> _Admission:
    roster = Roster.parse(roster_bytes, commit.room)
    committer = roster[commit.committer]
    if committer.identity != invitation.inviter:
        raise RemoteError(Reason.WRONG_IDENTITY, "invited by another than the committer")
    if parent_credential is None or committer.credential.signed != commit.entry:
        raise RemoteError(Reason.BAD_ENTRY, "the committer's entry is missing or another")
    before = Credential.parse(parent_credential, commit.room, committer.id, committer.identity)
    if committer.credential.version != before.version + 1:
        raise RemoteError(Reason.BAD_ENTRY, "the committer's entry skips a version")
    own = b""
    for index, operation in enumerate(commit.operations):
        if isinstance(operation, Add) and operation.package.hash == keys.package.hash:
            if commit.time > operation.package.expiry:
                raise RemoteError(Reason.EXPIRED, "the key package had expired")
            own = member_id(commit.room, commit.transcript, operation.package.hash, index)
        if isinstance(operation, Resync) and operation.request.package.hash == keys.package.hash:
            own = _let_in_anew(operation.request, commit, keys)
    return _Admission(commit.room, commit.epoch + 1, commit.transcript, commit.time, roster,
                      committer, own, commit.state_hash, before.room_sign_key)  # fmt: skip
