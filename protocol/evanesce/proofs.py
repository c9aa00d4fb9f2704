"""Proofs: what a member has signed so that any other may commit it (spec 9.7).

A leave request asks for one's own removal. A sanction is a removal or demotion by a member that has
the right to it; it stands in the commit that makes it, and holds by itself when that commit loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from .epoch import PREFIX_BYTES
from .errors import Reason, RemoteError
from .formats import LEAVE_REQUEST, SANCTION
from .identity import IdentityKeys, open_signed, seal_signed
from .limits import MAX_INDEX, MAX_SPARED
from .membership import Member, Role, Roster
from .primitives import verify
from .wire import Value

__all__ = ["Proof", "ProofKind", "Sanction", "check_leave_request", "leave_request",
           "made_for", "sanction", "sign_sanction"]  # fmt: skip

_LEAVE_LABEL = b"leave request"
_LABEL = b"sanction"


class ProofKind(IntEnum):
    """What a proof in a commit is."""

    LEAVE = 0
    SANCTION = 1


class Proof(NamedTuple):
    """A signed statement as a commit embeds it."""

    kind: ProofKind
    signed: bytes

    def value(self) -> list[Value]:
        """The wire form."""
        return [int(self.kind), self.signed]

    @property
    def admission(self) -> bytes:
        """The admission that it names, 32 bytes. Raise `RemoteError` as `Form.parse`."""
        if self.kind is ProofKind.LEAVE:
            body, _ = open_signed(self.signed)
            named: bytes = LEAVE_REQUEST.parse(body)[2]
            return named
        return Sanction.parse(self.signed).admission

    @property
    def removes(self) -> bool:
        """Whether it removes a member, rather than lower its role."""
        return self.kind is ProofKind.LEAVE or Sanction.parse(self.signed).role is None

    @property
    def author(self) -> bytes:
        """Whose statement it is: the leaver, or who has signed the sanction."""
        if self.kind is ProofKind.LEAVE:
            return self.member
        return Sanction.parse(self.signed).author

    @property
    def remover(self) -> bytes | None:
        """The member whose removal of another it is, if it is one."""
        if self.kind is ProofKind.LEAVE:
            return None
        statement = Sanction.parse(self.signed)
        return statement.author if statement.role is None else None

    def check(self, room: bytes, roster: Roster) -> Member:
        """Check it against a roster, and return whom it is about. Raise as its kind does."""
        if self.kind is ProofKind.LEAVE:
            return check_leave_request(self.signed, room, roster)
        return Sanction.parse(self.signed).check(room, roster)

    def apply(
        self, roster: Roster, parent: Roster, epoch: int
    ) -> tuple[Roster, list[Member]]:
        """Carry it out, in the epoch of this number: the roster, and who is removed by it.

        Raise `RemoteError` (unknown-member).
        """
        if self.kind is ProofKind.LEAVE:
            leaver = roster[self.member]
            return roster.remove(leaver.id), [leaver]
        return Sanction.parse(self.signed).apply(roster, parent, epoch)

    @property
    def member(self) -> bytes:
        """Whom it is about, 32 bytes. Raise `RemoteError` as `Form.parse`."""
        if self.kind is ProofKind.LEAVE:
            body, _ = open_signed(self.signed)
            named: bytes = LEAVE_REQUEST.parse(body)[1]
            return named
        return Sanction.parse(self.signed).member


# --- leave requests ------------------------------------------------------------------------------


def leave_request(owner: IdentityKeys, room: bytes, member: Member) -> bytes:
    """Sign a request to be removed (REQ-MEM-06)."""
    body = LEAVE_REQUEST.build(room, member.id, member.admission)
    return seal_signed(owner.sign_private.reveal(), _LEAVE_LABEL, body)


def check_leave_request(signed: bytes, room: bytes, roster: Roster) -> Member:
    """Return who asks to leave (REQ-MEM-06).

    Raise `RemoteError`: bad-proof, unknown-member, bad-signature.
    """
    body, signature = open_signed(signed)
    request_room, member, admission = LEAVE_REQUEST.parse(body)
    if request_room != room:
        raise RemoteError(Reason.BAD_PROOF, "a leave request for another room")
    leaver = roster[member]
    if admission != leaver.admission:
        raise RemoteError(Reason.BAD_PROOF, "a leave request for another admission")
    verify(leaver.identity.sign_key, signature, _LEAVE_LABEL, body)
    return leaver


# --- sanctions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sanction:
    """A removal (`role` None), or a demotion to `role`, signed by its author."""

    signed: bytes = field(repr=False)
    room: bytes
    member: bytes
    admission: bytes
    author: bytes
    role: Role | None
    epoch: int  # number of the parent of the commit it was made for, or more
    spared: tuple[bytes, ...] | None  # prefixes of ids that it does not take along; None: nobody

    def value(self) -> list[Value]:
        """The wire form, as an operation."""
        return [1, self.signed]

    @classmethod
    def parse(cls, signed: bytes) -> Sanction:
        """Read it; nothing but its form is checked. Raise `RemoteError` as `Form.parse`."""
        body, _ = open_signed(signed)
        room, member, admission, author, role, epoch, spared = SANCTION.parse(body)
        return cls(
            signed, room, member, admission, author, None if role is None else Role(role), epoch,
            None if spared is None else tuple(spared),
        )  # fmt: skip

    def check(self, room: bytes, roster: Roster) -> Member:
        """Check it against a roster, and return whom it is about (REQ-MEM-14).

        Raise `RemoteError`: bad-proof,
        unknown-member, not-entitled, bad-signature, replay.
        """
        if self.room != room:
            raise RemoteError(Reason.BAD_PROOF, "a sanction for another room")
        member = roster[self.member]
        if member.admission != self.admission:
            raise RemoteError(Reason.BAD_PROOF, "a sanction for another admission")
        author = roster.members.get(self.author)
        if author is None:
            raise RemoteError(Reason.NOT_ENTITLED, "its author is no longer a member")
        body, signature = open_signed(self.signed)
        verify(author.identity.sign_key, signature, _LABEL, body)
        least = Role.ADMIN if self.role is None else Role.OWNER
        if author.role < least or not author.outranks(member):
            raise RemoteError(Reason.NOT_ENTITLED, "its author has no right to it")
        if self.role is not None:
            if self.role >= member.role:
                raise RemoteError(Reason.BAD_PROOF, "a demotion that lowers nothing")
            if self.epoch > MAX_INDEX - 2:  # no roster could say that it holds no more
                raise RemoteError(Reason.BAD_PROOF, "a demotion of no epoch")
            if member.ranked > self.epoch + 1:
                raise RemoteError(Reason.REPLAY, "a role was given since")
        return member

    def apply(
        self, roster: Roster, parent: Roster, epoch: int
    ) -> tuple[Roster, list[Member]]:
        """The roster with the sanction carried out, and who is removed by it.

        It has been checked against that of the `parent`; `epoch` is the number of the epoch that
        is opened. Raise `RemoteError` (unknown-member).
        """
        target = roster[self.member]
        if self.role is not None:
            lower = min(target.role, self.role)
            return roster.demote(self.member, lower, max(epoch, self.epoch + 2)), []
        removed = [target]
        if self.spared is not None:
            removed += taken_along(roster, parent, self.author, target, self.spared)
        for member in removed:
            roster = roster.remove(member.id)
        return roster, removed


def taken_along(
    roster: Roster, parent: Roster, author: bytes, target: Member, spared: Sequence[bytes]
) -> list[Member]:
    """Whom a removal of `target` takes along of a roster: those it has admitted (9.7).

    Rank is that of the parent, or what the same commit does before would decide who is spared.
    """
    found, gone = [], {target.seniority}
    for member in roster:  # by seniority: a sponsor stands before whom it has admitted
        if member.id == target.id or member.id[:PREFIX_BYTES] in spared:
            continue
        stood = parent.members.get(member.id)
        if member.sponsor in gone and stood is not None and parent[author].outranks(stood):
            found.append(member)
            gone.add(member.seniority)
    return found


def sanction(
    owner: IdentityKeys, room: bytes, author: Member, target: Member, role: Role | None,
    roster: Roster, number: int,
) -> Sanction:  # fmt: skip
    """Sign a removal (`role` None) or demotion for a commit on this parent (REQ-MEM-14)."""
    epoch, spared = made_for(author, target, role, roster, number)
    return sign_sanction(
        owner, room, target.id, target.admission, author.id, role, epoch, spared
    )


def sign_sanction(
    owner: IdentityKeys, room: bytes, member: bytes, admission: bytes, author: bytes,
    role: Role | None, epoch: int, spared: Sequence[bytes] | None,
) -> Sanction:  # fmt: skip
    """Sign a sanction of these fields, whatever they say."""
    body = SANCTION.build(
        room, member, admission, author, None if role is None else int(role), epoch,
        None if spared is None else list(spared),
    )  # fmt: skip
    signed = seal_signed(owner.sign_private.reveal(), _LABEL, body)
    return Sanction(signed, room, member, admission, author, role, epoch,
                    None if spared is None else tuple(spared))  # fmt: skip


def made_for(
    author: Member, target: Member, role: Role | None, roster: Roster, number: int
) -> tuple[int, tuple[bytes, ...] | None]:
    """*epoch* and *spared* of a sanction for a commit on an epoch of this number and roster."""
    spared: tuple[bytes, ...] | None = None
    if role is None:
        along = taken_along(roster, roster, author.id, target, ())
        if len(along) <= MAX_SPARED:
            spared = tuple(member.id[:PREFIX_BYTES] for member in along)
    return max(number, target.ranked - 1), spared
