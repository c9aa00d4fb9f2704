"""What must hold of every input: it is accepted, or refused by one typed error, and nothing else.

Whatever else happens — another exception, a reason that no remote input may have, a state that a
refused input has changed, a value that does not encode to the bytes it was read from — is a fault
of the library, and raised: as `Fault`, or as the exception that it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from evanesce.errors import HeldError, Reason, RemoteError, StorageError
from evanesce.room import Room
from evanesce.wire import decode, encode

T = TypeVar("T")

ENCODING: Final = frozenset({
    Reason.TRUNCATED, Reason.TRAILING_BYTES, Reason.NON_CANONICAL, Reason.FORBIDDEN_TYPE,
    Reason.TOO_DEEP, Reason.TOO_LARGE, Reason.BAD_FORM, Reason.WRONG_VERSION, Reason.WRONG_TYPE,
})  # fmt: skip
"""All that reading the form of an object may say."""

REMOTE: Final = frozenset(Reason) - {
    Reason.BAD_INPUT, Reason.CLOSED, Reason.BAD_STORE, Reason.WRONG_KEY, Reason.STORE_BUSY,
    Reason.ROLLED_BACK, Reason.IDENTITY_CHANGED, Reason.NO_PACKAGE, Reason.CHAIN_EXHAUSTED,
    Reason.REFRESH_AWAITED, Reason.EVAPORATED, Reason.UNKNOWN_MESSAGE,
}  # fmt: skip
"""All that input from others may be refused for. The rest is about what one asks oneself."""


class Fault(AssertionError):
    """The library has broken a rule that holds for every input."""


class Refused:
    """The answer to an input that was refused as it should be."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"Refused({self.reason})"


def judged(call: Callable[[], T], reasons: frozenset[Reason] = REMOTE) -> T | Refused:
    """What `call` returns, or why it has refused. Anything else is raised."""
    try:
        return call()
    except RemoteError as error:
        if type(error) not in (RemoteError, HeldError) or error.reason not in reasons:
            raise Fault(f"refused by {type(error).__name__}: {error.reason}") from error
        return Refused(error.reason)


def judged_store(call: Callable[[], T]) -> T | Refused:
    """The same for what one's own store holds: a damaged record is a `StorageError`."""
    try:
        return call()
    except StorageError as error:
        if error.reason is not Reason.BAD_STORE:
            raise Fault(f"refused by {error.reason}") from error
        return Refused(error.reason)


def same_bytes(data: bytes, made: bytes) -> None:
    """What was read encodes to the bytes it was read from."""
    if made != data:
        raise Fault("what was accepted does not encode to the same bytes")


def canonical(data: bytes) -> Any:
    """The value of accepted bytes."""
    value = decode(data, limit=1 << 24)
    same_bytes(data, encode(value))
    return value


class Watched:
    """A room whose state is looked at before and after; an input that changes it is undone."""

    def __init__(self, records: dict[bytes, bytes]) -> None:
        self._records = records
        self.room = Room.restore(records)
        self._digest = self.room.digest()

    def deliver(self, call: Callable[[Room], T]) -> T | Refused:
        """Give the room an input; a refused one must not have changed it.

        An accepted one must leave a state that can be stored and read again, and must not be
        accepted a second time.
        """
        self.room.changes()
        answer = judged(lambda: call(self.room))
        if isinstance(answer, Refused):
            self._unchanged()
            return answer
        after = self.room.digest()
        if Room.restore(self.room.records()).digest() != after:
            raise Fault("the state after an accepted input cannot be stored")
        again = judged(lambda: call(self.room))
        known = isinstance(again, Refused) or getattr(again, "equivocation", False)
        if not known or self.room.digest() != after:  # that a member has split the room stays so
            raise Fault("an input was accepted twice")
        self.room = Room.restore(self._records)
        return answer

    def _unchanged(self) -> None:
        digest = self.room.digest()
        if digest != self._digest or self.room.changes():
            self.room = Room.restore(self._records)
            raise Fault("a refused input has changed the state")
