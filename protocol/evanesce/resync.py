"""Requests to be let into a group anew, by a device that has lost its place (spec 09)."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Reason, RemoteError
from .formats import RESYNC_REQUEST
from .identity import Identity, IdentityKeys, open_signed, seal_signed
from .keypackage import KeyPackage
from .limits import MAX_CLOCK_LEAD, REQUEST_LIFETIME
from .membership import Member, Roster
from .primitives import Suite, verify

__all__ = ["ResyncRequest"]

_LABEL = b"resync request"


@dataclass(frozen=True, slots=True)
class ResyncRequest:
    """A request, and the key package made for it. `signed` is the object as it travels."""

    signed: bytes
    room: bytes
    member: bytes
    time: int  # the member's clock
    package: KeyPackage

    @classmethod
    def make(
        cls, owner: IdentityKeys, room: bytes, member: bytes, time: int, package: KeyPackage
    ) -> ResyncRequest:
        """Sign a request of one's own; `package` is one-time and used for nothing else."""
        body = RESYNC_REQUEST.build(room, member, time, package.signed)
        signed = seal_signed(owner.sign_private.reveal(), _LABEL, body)
        return cls(signed, room, member, time, package)

    @classmethod
    def parse(cls, signed: bytes) -> ResyncRequest:
        """Read a request and the package in it: steps 1 and 2 of REQ-MEM-13.

        Raise `RemoteError`: the reasons of `Form.parse`, then those of `KeyPackage.parse`.
        """
        body, _ = open_signed(signed)
        room, member, time, package = RESYNC_REQUEST.parse(body)
        return cls(signed, room, member, time, KeyPackage.parse(package))

    def verify(self, identity: Identity) -> None:
        """Check that this identity has signed it. Raise `RemoteError` (bad-signature)."""
        body, signature = open_signed(self.signed)
        verify(identity.sign_key, signature, _LABEL, body)

    def check(self, algorithms: Suite, room: bytes, roster: Roster, time: int) -> Member:
        """Steps 3 to 11 of REQ-MEM-13 at a commit's time; return the member as it stands.

        Raise `RemoteError`, in this order: bad-proof (another room), unknown-member,
        wrong-identity, bad-signature, unknown-suite, bad-proof (a last-resort package),
        used-package, expired, bad-proof (a time ahead), replay.
        """
        if self.room != room:
            raise RemoteError(Reason.BAD_PROOF, "a resync request for another room")
        member = roster[self.member]
        if self.package.identity != member.identity:
            raise RemoteError(Reason.WRONG_IDENTITY, "a key package of another identity")
        self.verify(member.identity)
        if self.package.suite != algorithms:
            raise RemoteError(Reason.UNKNOWN_SUITE, "a key package of another suite")
        if self.package.last_resort:
            raise RemoteError(Reason.BAD_PROOF, "a resync by a last-resort package")
        if (
            self.package.hash == member.admission
            or self.package.signed == member.credential.signed
        ):
            raise RemoteError(Reason.USED_PACKAGE, "the package has let this member in before")
        if time > self.package.expiry or time > self.time + REQUEST_LIFETIME:
            raise RemoteError(Reason.EXPIRED, "the request or its key package is too old")
        if self.time > time + MAX_CLOCK_LEAD:
            raise RemoteError(Reason.BAD_PROOF, "a resync request from the future")
        if member.resynced is not None and self.time <= member.resynced:
            raise RemoteError(Reason.REPLAY, "not later than the request that was granted")
        return member
