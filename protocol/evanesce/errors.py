"""The errors Evanesce raises, and the closed set of reason codes they carry (spec 02).

::

    EvanesceError
    ├── LocalError       the caller asked for something that may not be done now
    ├── RemoteError      input from a peer or a transport is refused
    │   └── HeldError    the same, but it may become valid: keep it and try again later
    └── StorageError     the device store failed or refused

Every error leaves the state it was raised from exactly as it was. The reason codes are the ones
in the vectors; their text never changes within a major version. An error's message holds no key,
no plaintext and no other secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

__all__ = ["EvanesceError", "HeldError", "LocalError", "Reason", "RemoteError", "StorageError"]


class Reason(StrEnum):
    """Why something was refused. One code, one meaning; spec 02 lists them."""

    # Encoding
    TRUNCATED = "truncated"
    TRAILING_BYTES = "trailing-bytes"
    NON_CANONICAL = "non-canonical"
    FORBIDDEN_TYPE = "forbidden-type"
    TOO_DEEP = "too-deep"
    TOO_LARGE = "too-large"
    BAD_FORM = "bad-form"
    WRONG_VERSION = "wrong-version"
    WRONG_TYPE = "wrong-type"
    # Cryptography
    UNKNOWN_SUITE = "unknown-suite"
    BAD_KEY = "bad-key"
    BAD_SIGNATURE = "bad-signature"
    BAD_CIPHERTEXT = "bad-ciphertext"
    BAD_COMMITMENT = "bad-commitment"
    BAD_PADDING = "bad-padding"
    BAD_CONFIRMATION = "bad-confirmation"
    # Key packages and invitations
    EXPIRED = "expired"
    UNKNOWN_PACKAGE = "unknown-package"
    USED_PACKAGE = "used-package"
    WRONG_IDENTITY = "wrong-identity"
    # Rooms and members
    UNKNOWN_ROOM = "unknown-room"
    UNKNOWN_EPOCH = "unknown-epoch"
    UNKNOWN_MEMBER = "unknown-member"
    ALREADY_MEMBER = "already-member"
    NOT_ENTITLED = "not-entitled"
    TOO_MANY_MEMBERS = "too-many-members"
    BAD_ENTRY = "bad-entry"
    BAD_PROOF = "bad-proof"
    BAD_STATE_HASH = "bad-state-hash"
    WRONG_TRANSCRIPT = "wrong-transcript"
    WRONG_MODE = "wrong-mode"
    OUT_OF_TURN = "out-of-turn"
    OWN_MESSAGE = "own-message"
    EARLY_COMMIT = "early-commit"
    FORK = "fork"
    NO_SLOT = "no-slot"
    REMOVAL_PENDING = "removal-pending"
    EQUIVOCATION = "equivocation"
    ROOM_CLOSED = "room-closed"
    REFRESH_AWAITED = "refresh-awaited"
    # Chains and messages
    REPLAY = "replay"
    JUMP_TOO_FAR = "jump-too-far"
    BEYOND_COUNT = "beyond-count"
    CHAIN_EXHAUSTED = "chain-exhausted"
    BAD_COUNT = "bad-count"
    BAD_POLICY = "bad-policy"
    # Device
    UNKNOWN_MESSAGE = "unknown-message"
    EVAPORATED = "evaporated"
    UNKNOWN_MAILBOX = "unknown-mailbox"
    NOT_PERMITTED = "not-permitted"
    MAILBOX_FULL = "mailbox-full"
    RELAY_FULL = "relay-full"
    RELAY_BUSY = "relay-busy"
    UNKNOWN_BLOB = "unknown-blob"
    QUEUE_FULL = "queue-full"
    TOO_MANY_REQUESTS = "too-many-requests"
    NO_PACKAGE = "no-package"
    IDENTITY_CHANGED = "identity-changed"
    BAD_INPUT = "bad-input"
    CLOSED = "closed"
    BAD_STORE = "bad-store"
    WRONG_KEY = "wrong-key"
    STORE_BUSY = "store-busy"
    ROLLED_BACK = "rolled-back"


class EvanesceError(Exception):
    """Base of every error of this package: ``reason`` is its code, ``detail`` a short text."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else str(reason))

    def __reduce__(self) -> tuple[type[EvanesceError], tuple[Reason, str]]:
        return type(self), (self.reason, self.detail)


class LocalError(EvanesceError):
    """The caller's own request is refused: wrong argument, wrong moment, or no right to it."""


class RemoteError(EvanesceError):
    """Bytes that came from a peer or a transport are refused; nothing has changed."""


class HeldError(RemoteError):
    """Bytes that cannot be judged yet: unknown epoch, or a commit ahead of the clock.

    `until`: the time at which they can be, where it is for the clock to say; else 0.
    """

    def __init__(self, reason: Reason, detail: str = "", until: int = 0) -> None:
        super().__init__(reason, detail)
        self.until = until


class StorageError(EvanesceError):
    """The device store failed, or holds something this version cannot read."""


@contextmanager
def local_fault() -> Iterator[None]:
    """Turn a `RemoteError` into a `LocalError`: the same check failed on what the caller asked."""
    try:
        yield
    except RemoteError as error:
        raise LocalError(error.reason, error.detail) from error
