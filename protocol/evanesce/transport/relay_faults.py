"""What goes wrong between a device and a relay, in the words that a transport may use (ports).

Nothing of the libraries beneath reaches a device: a refusal is a `RemoteError`, a network that
fails an `OSError`. Neither names a mailbox, a hash or an id.
"""

from __future__ import annotations

import errno

from ..errors import Reason, RemoteError

__all__ = ["MISSING", "RelayRefusal", "lost", "reason_of", "silent", "unreachable"]

MISSING = "speaking with a relay needs more packages: pip install 'evanesce[relay]'"


class RelayRefusal(RemoteError):  # noqa: N818  it is no fault of the relay
    """The relay has refused. `seconds` is how long it does not want to be asked again, or 0."""

    def __init__(self, reason: Reason, detail: str = "", seconds: int = 0) -> None:
        super().__init__(reason, detail)
        self.seconds = seconds


def reason_of(text: object, otherwise: Reason = Reason.RELAY_BUSY) -> Reason:
    """A reason as a relay gives it. One that is not known may pass (22.2)."""
    try:
        return Reason(str(text))
    except ValueError:
        return otherwise


def unreachable(where: str, why: object = "") -> OSError:
    """There is no connection to the relay."""
    detail = f"the relay cannot be reached ({why})" if str(why) else "the relay cannot be reached"
    return ConnectionError(errno.EHOSTUNREACH, detail, where)


def lost(where: str, why: object = "") -> OSError:
    """The connection was lost before the answer came: what was asked may have been done or not."""
    detail = f"the relay was lost ({why})" if str(why) else "the relay was lost"
    return ConnectionResetError(errno.ECONNRESET, detail, where)


def silent(where: str) -> OSError:
    """No answer came in time."""
    return TimeoutError(errno.ETIMEDOUT, "the relay does not answer", where)
