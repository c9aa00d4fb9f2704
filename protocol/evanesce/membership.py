"""Members, roles, room policy and the roster (spec 09)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from .content import Evaporation
from .errors import LocalError, Reason, RemoteError
from .formats import KEY_PACKAGE, MEMBER_ENTRY, ROSTER
from .identity import Identity, IdentityKeys, open_signed, seal_signed
from .keypackage import KeyPackage
from .limits import MAX_INDEX, MAX_MEMBERS
from .mailbox import Mailbox
from .primitives import H, Suite, check_dh_key, check_sign_key, verify
from .wire import Value, decode, kind_of

__all__ = ["Credential", "Member", "Mode", "Policy", "Role", "Roster", "make_entry", "member_id"]

_ENTRY_LABEL = b"member entry"


class Mode(IntEnum):
    """What authenticates the sender of a message to the other members. Fixed at creation."""

    DIRECT = 0
    SIGNED = 1
    DENIABLE = 2


_MODES = frozenset(Mode)


class Role(IntEnum):
    """What a member may do in a group (spec 09, table of rights)."""

    MEMBER = 0
    ADMIN = 1
    OWNER = 2


@dataclass(frozen=True, slots=True)
class Policy:
    """A room's rules, bound into every message key."""

    mode: Mode
    members_may_add: bool = False
    evaporation: Evaporation = Evaporation()  # noqa: RUF009  frozen

    def value(self) -> list[Value]:
        """The wire form."""
        evaporation = self.evaporation
        return [
            int(self.mode), self.members_may_add, evaporation.after_view, evaporation.lifetime,
        ]  # fmt: skip

    @classmethod
    def from_value(cls, value: list[int]) -> Policy:
        """Read the wire form. Raise `RemoteError`: bad-policy; wrong-mode for deniable rooms."""
        mode, members_may_add, after_view, lifetime = value
        evaporation = Evaporation(after_view, lifetime)
        evaporation.check()
        if mode not in _MODES:
            raise RemoteError(Reason.BAD_POLICY, "not a mode")
        policy = cls(Mode(mode), bool(members_may_add), evaporation)
        policy.check()
        return policy

    def check(self) -> None:
        """Raise `RemoteError`: bad-policy; wrong-mode for deniable rooms, not in this version."""
        self.evaporation.check()
        if type(self.members_may_add) is not bool or not isinstance(self.mode, Mode):
            raise RemoteError(Reason.BAD_POLICY, "not a policy")
        if self.mode is Mode.DENIABLE:
            raise RemoteError(Reason.WRONG_MODE, "deniable rooms are not in this version")


@dataclass(frozen=True, slots=True)
class Credential:
    """The keys a member uses in a room, signed by its identity: a key package, then its entries."""

    signed: bytes
    leaf_key: bytes
    room_sign_key: bytes
    version: int
    awaits_refresh: bool  # joined through a last-resort package and has not committed since
    contact: Mailbox | None = None  # of the package; None once an entry has taken its place

    @property
    def is_package(self) -> bool:
        """Whether the member has not committed yet."""
        return self.contact is not None

    @classmethod
    def from_package(cls, package: KeyPackage) -> Credential:
        """The credential of a member that has not committed yet: version 0."""
        return cls(package.signed, package.leaf_key, package.room_sign_key, 0,
                   package.last_resort, package.contact)  # fmt: skip

    @classmethod
    def parse(
        cls,
        signed: bytes,
        room: bytes,
        member: bytes,
        identity: Identity,
        *,
        verified: bool = False,
    ) -> Credential:
        """Read and verify a credential of `member` in `room` (REQ-MEM-02).

        Raise `RemoteError`: the reasons of `Form.parse`, bad-entry (of another room, member or
        identity), bad-signature, bad-key. `verified` leaves out signature and key checks.
        """
        body, signature = open_signed(signed)
        value = decode(body, limit=MEMBER_ENTRY.limit)
        if kind_of(value) == KEY_PACKAGE.type:
            package = KeyPackage.parse(signed, verified=verified)
            if package.identity != identity:
                raise RemoteError(Reason.BAD_ENTRY, "key package of another identity")
            return cls.from_package(package)
        entry_room, entry_member, dh_key, leaf_key, room_sign_key, version = MEMBER_ENTRY.read(
            value
        )
        if entry_room != room or entry_member != member or dh_key != identity.dh_key:
            raise RemoteError(Reason.BAD_ENTRY, "entry of another room, member or identity")
        if not verified:
            verify(identity.sign_key, signature, _ENTRY_LABEL, body)
            check_dh_key(leaf_key)
            check_sign_key(room_sign_key)
        return cls(signed, leaf_key, room_sign_key, version, False)


def make_entry(
    owner: IdentityKeys, room: bytes, member: bytes, leaf_key: bytes, room_key: bytes, version: int
) -> Credential:
    """Sign a member entry of one's own (REQ-MEM-01). Raise `LocalError` (bad-form): no version."""
    if version > MAX_INDEX:
        raise LocalError(Reason.BAD_FORM, "no version is left for an entry")
    body = MEMBER_ENTRY.build(
        room, member, owner.identity.dh_key, leaf_key, room_key, version
    )
    signed = seal_signed(owner.sign_private.reveal(), _ENTRY_LABEL, body)
    return Credential(signed, leaf_key, room_key, version, False)


def member_id(room: bytes, parent_transcript: bytes, package_hash: bytes, index: int) -> bytes:
    """The id of the member that operation `index` of a commit admits (REQ-MEM-03)."""
    return H(b"member", room, parent_transcript, package_hash, index)


def creator_id(room: bytes, identity: Identity) -> bytes:
    """The id of a room's creator, whom nobody admits (REQ-MEM-03)."""
    return H(b"creator", room, identity.sign_key, identity.dh_key)


@dataclass(frozen=True, slots=True)
class Member:
    """A device in a roster. `seniority` counts admissions: the smaller, the longer in the room."""

    id: bytes
    role: Role
    seniority: int
    identity: Identity
    admission: bytes  # hash of the package or entry that admitted it; no refresh changes it
    credential: Credential
    sponsor: int = 0  # seniority of the member that admitted it
    ranked: int = 0  # number of the epoch in which it was last given its role
    resynced: int | None = None  # time of the request by which it was last let in anew

    @property
    def rank(self) -> tuple[int, int]:
        """Sorts before every member of lower rank: by role, then by seniority."""
        return -self.role, self.seniority

    def outranks(self, other: Member) -> bool:
        """Whether this member stands above `other`: by role, among owners by seniority."""
        if self.role == other.role:
            return self.role == Role.OWNER and self.seniority < other.seniority
        return self.role > other.role


@dataclass(frozen=True, slots=True)
class Roster:
    """The members of an epoch, in order of seniority."""

    members: Mapping[bytes, Member]
    next_seniority: int

    def __getitem__(self, member: bytes) -> Member:
        """The member with this id. Raise `RemoteError` (unknown-member)."""
        try:
            return self.members[member]
        except KeyError:
            raise RemoteError(Reason.UNKNOWN_MEMBER, "not in the roster") from None

    def __contains__(self, member: object) -> bool:
        return member in self.members

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members.values())

    def of(self, identity: Identity) -> Member | None:
        """The member with this identity, if there is one."""
        return next((m for m in self if m.identity == identity), None)

    @property
    def awaits_refresh(self) -> bool:
        """Whether a member joined by a last-resort package and has not refreshed (REQ-MEM-09)."""
        return any(m.credential.awaits_refresh for m in self)

    def admit(
        self, member: bytes, role: Role, package: KeyPackage, *, sponsor: int = 0, epoch: int = 0
    ) -> Roster:
        """Add a member at the end, admitted by who has seniority `sponsor`, in this epoch.

        Raise `RemoteError`: already-member, too-many-members, bad-form (2^32 have been admitted).
        """
        if member in self.members or self.of(package.identity):
            raise RemoteError(Reason.ALREADY_MEMBER, "this identity is in the roster")
        if len(self.members) >= MAX_MEMBERS:
            raise RemoteError(Reason.TOO_MANY_MEMBERS, f"a room has at most {MAX_MEMBERS}")
        credential = Credential.from_package(package)
        place = self.next_seniority
        if place >= MAX_INDEX:
            raise RemoteError(Reason.BAD_FORM, "no seniority is left")
        entry = Member(
            member, role, place, package.identity, package.hash, credential, sponsor, epoch
        )
        return Roster({**self.members, member: entry}, place + 1)

    def remove(self, member: bytes) -> Roster:
        """The roster without a member. Raise `RemoteError` (unknown-member)."""
        self[member]
        kept = {key: entry for key, entry in self.members.items() if key != member}
        return Roster(kept, self.next_seniority)

    def change(
        self,
        member: bytes,
        *,
        role: Role | None = None,
        epoch: int = 0,
        credential: Credential | None = None,
    ) -> Roster:
        """The roster with one member's role or credential changed; its place stays.

        `epoch` is the number of the epoch in which it gets another role.
        """
        old = self[member]
        new = replace(old, credential=credential or old.credential)
        if role is not None and role != old.role:
            new = replace(new, role=role, ranked=max(epoch, old.ranked))
        return Roster({**self.members, member: new}, self.next_seniority)

    def demote(self, member: bytes, role: Role, ranked: int) -> Roster:
        """The roster with a member lowered to `role`, by a demotion that so holds once (9.7)."""
        old = self[member]
        new = replace(old, role=role, ranked=max(ranked, old.ranked))
        return Roster({**self.members, member: new}, self.next_seniority)

    def resync(self, member: bytes, package: KeyPackage, time: int) -> Roster:
        """The roster with a member let in anew: id, role, place and admission stay (REQ-MEM-07)."""
        new = replace(
            self[member], credential=Credential.from_package(package), resynced=time
        )
        return Roster({**self.members, member: new}, self.next_seniority)

    def with_owner(self, epoch: int) -> Roster:
        """The roster in which, when no owner is left, the highest-ranked is owner (REQ-MEM-08).

        `epoch` is the number of the epoch that is opened.
        """
        if not self.members or any(m.role == Role.OWNER for m in self):
            return self
        first = min(self, key=lambda m: m.rank)
        return self.change(first.id, role=Role.OWNER, epoch=epoch)

    def encode(self) -> bytes:
        """The canonical bytes, which the state hash and the context cover."""
        return ROSTER.build(
            self.next_seniority,
            [
                [m.id, int(m.role), m.seniority, m.identity.sign_key, m.identity.dh_key,
                 m.admission, m.sponsor, m.ranked, m.credential.signed, m.resynced]
                for m in self
            ],
        )  # fmt: skip

    @classmethod
    def parse(
        cls, data: bytes, room: bytes, *, verified: bool = False, before: Roster | None = None
    ) -> Roster:
        """Read a roster and verify every credential in it (REQ-MEM-10).

        Raise `RemoteError`: the reasons of `Form.parse`; bad-form (order, repeated member, no
        owner); those of `Credential.parse`. `verified` as there. Members that stand unchanged in
        `before`, an earlier roster of this room that has been read, are taken from there.
        """
        next_seniority, values = ROSTER.parse(data)
        members: dict[bytes, Member] = {}
        identities: set[Identity] = set()
        last = -1
        for (key, role, seniority, sign_key, dh_key, admission, sponsor, ranked, signed,
             resynced) in values:  # fmt: skip
            identity = Identity(sign_key, dh_key)
            if key in members or identity in identities or not last < seniority < next_seniority:
                raise RemoteError(Reason.BAD_FORM, "roster out of order, or a member twice")
            if not verified:
                identity.check()
            known = None if before is None else before.members.get(key)
            if (
                known is None
                or known.credential.signed != signed
                or known.identity != identity
                or (known.role, known.seniority, known.admission, known.sponsor, known.ranked,
                    known.resynced)
                != (role, seniority, admission, sponsor, ranked, resynced)
            ):
                credential = Credential.parse(signed, room, key, identity, verified=verified)
                known = Member(
                    key, Role(role), seniority, identity, admission, credential, sponsor, ranked,
                    resynced,
                )
            members[key] = known
            identities.add(identity)
            last = seniority
        if not any(m.role == Role.OWNER for m in members.values()):
            raise RemoteError(Reason.BAD_FORM, "roster without an owner")
        return cls(members, next_seniority)


def state_hash(roster: bytes, policy: Policy) -> bytes:
    """What a commit says the room will be: hash of roster and policy, 32 bytes (REQ-EPOCH-06)."""
    return H(b"state", roster, policy.value())


def context_hash(
    algorithms: Suite, room: bytes, policy: Policy, roster: bytes, transcript: bytes
) -> bytes:
    """What every message key of an epoch is bound to: 32 bytes (REQ-EPOCH-09)."""
    return H(b"context", algorithms.number, room, policy.value(), roster, transcript)
