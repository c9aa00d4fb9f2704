"""Requests for commits that a device has missed (spec 10.12)."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import HeldError, Reason, RemoteError
from .formats import REPAIR_REQUEST
from .identity import IdentityKeys, open_signed, seal_signed
from .limits import MAX_CLOCK_LEAD, REQUEST_LIFETIME
from .membership import Member, Roster
from .primitives import verify

__all__ = ["RepairRequest"]

_LABEL = b"repair request"


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """Who has missed a commit, and where it stands. `signed` is the object as it travels."""

    signed: bytes
    room: bytes
    member: bytes
    prefix: bytes  # of the last epoch it knows, 8 bytes
    time: int  # the member's clock

    @classmethod
    def make(
        cls, owner: IdentityKeys, room: bytes, member: bytes, prefix: bytes, time: int
    ) -> RepairRequest:
        """Sign a request of one's own (REQ-EPOCH-22)."""
        body = REPAIR_REQUEST.build(room, member, prefix, time)
        signed = seal_signed(owner.sign_private.reveal(), _LABEL, body)
        return cls(signed, room, member, prefix, time)

    @classmethod
    def parse(cls, signed: bytes) -> RepairRequest:
        """Read a request: step 1 of REQ-EPOCH-22. Raise `RemoteError` as `Form.parse`."""
        body, _ = open_signed(signed)
        return cls(signed, *REPAIR_REQUEST.parse(body))

    def check(self, room: bytes, roster: Roster, now: int) -> Member:
        """Steps 2 to 6 of REQ-EPOCH-22; return who asks.

        Raise `RemoteError`: unknown-room, unknown-member, bad-signature, expired; `HeldError`
        (early-commit), in this order.
        """
        if self.room != room:
            raise RemoteError(Reason.UNKNOWN_ROOM, "a repair request for another room")
        member = roster[self.member]
        body, signature = open_signed(self.signed)
        verify(member.identity.sign_key, signature, _LABEL, body)
        if now > self.time + REQUEST_LIFETIME:
            raise RemoteError(Reason.EXPIRED, "a repair request of days ago")
        if self.time > now + MAX_CLOCK_LEAD:
            raise HeldError(Reason.EARLY_COMMIT, "a repair request ahead of this device's clock")
        return member
