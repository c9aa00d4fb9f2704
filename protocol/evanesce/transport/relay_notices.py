"""Which notices of disclosures an application is given (spec 22.8): a relay may send any number.

A statement about another mailbox is dropped (REQ-RELAY-25 step 6). One is given once for each
disclosure key, ledger entry and mailbox, under one id until that is acked; and all that cannot be
read counts as one. Of one mailbox at most 16 are given in a day, and of what is refused only so
much is looked at: the rest waits at the relay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..errors import RemoteError
from ..primitives import H
from ..relay.disclosure.statement import parse_statement

__all__ = ["A_DAY", "Notices"]

A_DAY: Final = 16  # given in a day, of one mailbox
_LOOKS: Final = 64  # that are read and refused in a day, of one mailbox
_REMEMBERED: Final = 1_024  # of one mailbox
_DAY: Final = 24 * 3600.0
_UNREADABLE: Final = b"unreadable"


@dataclass(slots=True)
class _Mailbox:
    told: dict[bytes, None] = field(default_factory=dict)  # keys and entries, oldest first
    open: dict[bytes, bytes] = field(default_factory=dict)  # hash by id: given, and not acked
    since: float = float("-inf")
    given: int = 0
    refused: int = 0


class Notices:
    """What was given, in memory: of each mailbox that is read, for as long as the transport."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._mailboxes: dict[bytes, _Mailbox] = {}

    def takes(self, address: bytes, key: bytes, statement: bytes) -> bool | None:
        """Whether to give this notice, which has come to a mailbox that is read.

        False if it is to be acked unseen; None if it is to be left where it is, for another day.
        """
        mailbox = self._mailboxes.setdefault(address, _Mailbox())
        whole = H(b"notice", statement)
        if mailbox.open.get(key) == whole:
            return True  # again, for it was not acked
        if self._now() >= mailbox.since + _DAY:
            mailbox.since, mailbox.given, mailbox.refused = self._now(), 0, 0
        if mailbox.given >= A_DAY or mailbox.refused >= _LOOKS:
            return None
        what = _what(address, statement, mailbox.since)
        if what is None or what in mailbox.told:
            mailbox.refused += 1
            return False
        mailbox.given += 1
        mailbox.told[what] = None
        mailbox.open[key] = whole
        while len(mailbox.told) > _REMEMBERED:
            del mailbox.told[next(iter(mailbox.told))]
        while len(mailbox.open) > _REMEMBERED:
            del mailbox.open[next(iter(mailbox.open))]
        return True

    def acked(self, address: bytes, ids: Sequence[bytes]) -> None:
        """These are done with: what comes under such an id now is another."""
        mailbox = self._mailboxes.get(address)
        if mailbox is not None:
            for key in ids:
                mailbox.open.pop(key, None)

    def forget(self, address: bytes) -> None:
        """This mailbox is removed."""
        self._mailboxes.pop(address, None)


def _what(address: bytes, statement: bytes, day: float) -> bytes | None:
    """What makes it one of its own; None if it is of another mailbox."""
    try:
        read = parse_statement(statement)
    except RemoteError:
        return H(_UNREADABLE, str(day).encode())
    if not read.concerns(address):
        return None
    return H(b"notice of", read.key, read.entry.to_bytes(8, "big"))
