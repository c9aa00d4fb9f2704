"""What is said to a person when something does not work: what went wrong, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..errors import EvanesceError, Reason

__all__ = ["Refused", "explain", "undecided"]


class Refused(Exception):  # noqa: N818  it is no fault
    """A command that cannot be done. `hint` says what to do, `code` how the process ends."""

    def __init__(self, what: str, hint: str = "", *, reason: str = "", code: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.reason = reason
        self.code = code


_SAID: Final[dict[Reason, tuple[str, str]]] = {
    Reason.WRONG_KEY: (
        "wrong passphrase: nothing was opened, and nothing has changed",
        "try again; a forgotten passphrase cannot be recovered",
    ),
    Reason.STORE_BUSY: (
        "this home is in use by another evanesce, perhaps a chat in another terminal",
        "leave that one first (/quit), or give each person a home of their own with --home",
    ),
    Reason.BAD_STORE: (
        "the home's store cannot be read or written",
        "look at free space and permissions; if it is damaged, begin anew: evanesce init",
    ),
    Reason.NO_PACKAGE: (
        "this contact cannot be invited now",
        "ask for a new card (evanesce card), and: evanesce contacts add NAME --replace",
    ),
    Reason.EXPIRED: (
        "the card of this contact has expired",
        "ask for a new card (evanesce card), and: evanesce contacts add NAME --replace",
    ),
    Reason.NOT_ENTITLED: (
        "your role in this room does not allow that",
        "ask an owner or admin: evanesce room members ROOM shows who is",
    ),
    Reason.ALREADY_MEMBER: ("already in this room", "evanesce room members ROOM shows who is"),
    Reason.UNKNOWN_MEMBER: ("not in this room", "evanesce room members ROOM shows who is"),
    Reason.TOO_MANY_MEMBERS: ("the room is full", ""),
    Reason.WRONG_MODE: (
        "a room of two admits, removes and changes nobody, and is not left",
        "make a group: evanesce room new --group NAME…",
    ),
    Reason.ROOM_CLOSED: (
        "this room is closed to you: you were removed, or a newer room has taken its place",
        "evanesce room list shows the rooms that are open",
    ),
    Reason.REFRESH_AWAITED: (
        "a new member has to come online once before anybody can write here",
        "try again when they have been there",
    ),
    Reason.OUT_OF_TURN: (
        "1,000 messages are waiting for an answer",
        "wait until the other side has written",
    ),
    Reason.ROLLED_BACK: (
        "this home is an older copy that was put back: nothing can be sent in this room any more",
        "with a contact: evanesce room new NAME; in a group: evanesce room resync ROOM",
    ),
    Reason.REMOVAL_PENDING: (
        "somebody whose removal is under way is still in this room: nothing is sent before",
        "try again in a minute or two, when another member has been there",
    ),
    Reason.EQUIVOCATION: (
        "a member has split this room on purpose: nothing is sent in it any more",
        "begin it anew without that member: evanesce room new",
    ),
    Reason.IDENTITY_CHANGED: (
        "another card was offered for one of your contacts: nothing is sent until you decide",
        "evanesce contacts list shows whose; then: evanesce contacts accept NAME, or refuse NAME",
    ),
    Reason.EVAPORATED: ("this message has evaporated", ""),
    Reason.BAD_POLICY: ("no message may live that long", "give at most 72 hours"),
}


def explain(error: EvanesceError) -> Refused:
    """An error of the library in words for people."""
    what, hint = _SAID.get(error.reason, ("", ""))
    if not what:
        what = error.detail or str(error.reason)
    elif error.reason in (Reason.BAD_STORE, Reason.NO_PACKAGE) and error.detail:
        what = f"{what} ({error.detail})"
    return Refused(what, hint, reason=str(error.reason))


def undecided(names: Sequence[str], what: str = "another card was offered for") -> Refused:
    """Contacts for whom a card of another identity waits, and what is to be done about it."""
    name = names[0] if len(names) == 1 else "NAME"
    return Refused(
        f"{what} {', '.join(names)}: nothing is sent until you decide who is who",
        f"ask them over another channel (evanesce verify {name} --offered), then: evanesce "
        f"contacts accept {name}, or evanesce contacts refuse {name}",
        reason=str(Reason.IDENTITY_CHANGED),
    )
