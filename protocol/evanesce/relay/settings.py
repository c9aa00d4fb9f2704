"""What an operator may choose about what a relay keeps and for whom (spec 22). Sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import LocalError, Reason
from ..limits import HOUR, RETENTION, RETENTION_MIN

__all__ = ["RelaySettings"]

_LEAST, _MOST = RETENTION_MIN // HOUR, RETENTION // HOUR
MIBI: Final = 1 << 20
GIBI: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """Bounds of a relay. Rates are sustained, in events a minute, with bursts of a minute's worth.

    Raise `LocalError` (bad-input) for what may not be chosen.
    """

    retention_hours: int = _MOST  # 48 to 72; the same for all relays on one store
    mailboxes: int = 65_536  # that the table is made for; fixed when a relay is made
    store_bytes: int = 10 * GIBI  # of envelopes, key packages and blobs: past it, relay-full
    sessions: int = 10_000  # open WebSockets: past it, relay-busy
    session_mailboxes: int = 2_000  # that one session subscribes to
    puts_per_client: int = 6_000  # envelopes a minute, of one network address
    put_bytes_per_client: int = 64 * MIBI  # a minute: of all bodies, of one network address
    mailboxes_per_client: int = 600  # made, a minute
    claims_per_identity: int = 30  # packages of one fingerprint handed out, a minute
    claims_per_client: int = 300
    publishes_per_client: int = 120
    blobs_per_client: int = 600  # put or fetched, a minute
    sessions_per_client: int = 120  # begun, a minute
    open_sessions_per_client: int = 128  # at a time
    connections_per_client: int = 256  # at a time, of sessions and of requests
    proofs_per_client: int = 6_000  # looked at, a minute: past it, they wait
    frames_per_client: int = 12_000  # all others that are read, a minute: past it, they wait

    def __post_init__(self) -> None:
        if not _LEAST <= self.retention_hours <= _MOST:
            raise LocalError(Reason.BAD_INPUT, f"retention is {_LEAST} to {_MOST} hours")
        for name in self.__dataclass_fields__:
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise LocalError(Reason.BAD_INPUT, f"{name} is a number of at least 1")
