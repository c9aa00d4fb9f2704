"""Commands by which a device that has lost its place in a group comes back (spec 10.13)."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from ..conversation import Conversation
from ..errors import LocalError, Reason
from ..events import Person
from .answer import Answer
from .contacts import Contact
from .keyboard import pieces
from .notices import way_back, way_in
from .people_commands import number_lines
from .problems import Refused, undecided
from .room_commands import person_data, room_answer
from .roombook import member_named
from .session import Session

__all__ = ["ask_resync", "readmit"]

_YES: Final = ("y", "yes")


# --- who asks ------------------------------------------------------------------------------------


async def ask_resync(session: Session, options: argparse.Namespace) -> Answer:
    """Ask the others to let this device into a group anew."""
    await session.catch_up()
    room = session.rooms.get(options.room)
    label = session.rooms.label(room)
    if room.direct:
        raise _begun_anew(session, room)
    if any(told.kind == "room-joined" and told.room == room.id for told in session.notices):
        # The answer to a request of before has just come: another one would only be in its way.
        said = f"You have been let into {label} meanwhile; nobody had to be asked."
        return await room_answer(session, room, said, asked=0, let_in=True)
    asked = await room.ask_resync()
    others = len(room.members) - 1
    if not asked:
        raise Refused(
            f"nobody in {label} can be asked" if others else f"nobody else is in {label}",
            "tell one of them over another channel: they remove you and add you again"
            if others else "begin a new group: evanesce room new NAME…",
            reason="nobody-asked",
        )  # fmt: skip
    who = "1 member" if asked == 1 else f"{asked} members"
    lines = [f"{who} of {label} {'was' if asked == 1 else 'were'} asked to let you in anew."]
    if asked < others:
        lines.append(f"({others - asked} more cannot be reached from this copy)")
    lines.append(
        "Next: tell one of them, over another channel, that it is you who asks. They say yes with "
        "evanesce room readmit, within 72 hours, and the next time that you are online you are "
        "in. What was said until then stays unread."
    )
    return await room_answer(session, room, "\n".join(lines), asked=asked, let_in=False)


def _begun_anew(session: Session, room: Conversation) -> Refused:
    command = way_back(session.rooms, room)
    what = "in a room of two nobody is asked to be let in anew"
    if room.stale and command:
        hint = f"begin it anew: {command}"
    elif room.stale and not (room.closed or room.replaced):
        hint = "add the other one's card (evanesce contacts add NAME), and: evanesce room new NAME"
    else:
        hint = "it need not be: only where an older copy of a home was put back, one is begun " \
            "anew, with evanesce room new NAME"  # fmt: skip
    return Refused(what, hint, reason=str(Reason.WRONG_MODE))


# --- who is asked --------------------------------------------------------------------------------


async def readmit(session: Session, options: argparse.Namespace) -> Answer:
    """Let a member in anew that has asked for it (REQ-APP-16)."""
    await session.catch_up()
    room = session.rooms.get(options.room)
    person = _asking(session, room, options.name)
    contact = _known(session, room, person)
    digits = room.safety_number(person)
    if not options.yes:
        await _confirm(session, room, contact, digits, can_ask=not options.json)
        await session.catch_up()  # that may have taken a while
        person = _still_asking(room, person, contact.name)
    data = {**person_data(session, person), "digits": digits}
    try:
        await room.resync(person)
    except LocalError as error:
        if error.reason not in (Reason.EXPIRED, Reason.UNKNOWN_MESSAGE):
            raise
        raise _too_late(contact.name, error.reason) from None
    label = session.rooms.label(room)
    lines = [f"{contact.name} is let into {label} anew, and reads what is said from now on."]
    if options.yes:
        lines += [f"Your number with {contact.name}:", *number_lines(digits)]
        lines += [] if contact.verified else [_unverified(contact)]
    return await room_answer(session, room, "\n".join(lines), readmitted=data)


def _asking(session: Session, room: Conversation, name: str) -> Person:
    """The member of this name, who has asked. Raise `Refused`, and what else stands in the way."""
    if room.direct:
        raise Refused("nobody is let into a room of two anew",
                      "who cannot speak there any more begins it anew",
                      reason=str(Reason.WRONG_MODE))  # fmt: skip
    for hindered, reason in ((room.closed, Reason.ROOM_CLOSED), (room.stale, Reason.ROLLED_BACK)):
        if hindered:
            raise LocalError(reason, "")
    person = member_named(session.rooms, room, name)
    if session.rooms.is_me(person):
        raise Refused("nobody lets themselves in",
                      f"ask the others: evanesce room resync {session.rooms.note(room).number}",
                      )  # fmt: skip
    asking = {each.member: each for each in room.resync_requests}
    if person.member not in asking:
        names = ", ".join(session.rooms.call(each) for each in asking.values())
        raise Refused(
            f"{session.rooms.call(person)} has not asked to be let in anew",
            f"who asks: {names}" if names else "nobody does, or not within 72 hours; they ask "
            "with: evanesce room resync",
            reason="not-asked",
        )  # fmt: skip
    return asking[person.member]


def _still_asking(room: Conversation, person: Person, name: str) -> Person:
    """The same, after a while. Raise `Refused`."""
    for each in room.resync_requests:
        if (each.member, each.identity) == (person.member, person.identity):
            return each
    raise _too_late(name, Reason.UNKNOWN_MESSAGE)


def _too_late(name: str, reason: Reason) -> Refused:
    if reason is Reason.EXPIRED:
        return Refused(f"the request of {name} is too old",
                       "they ask again with: evanesce room resync",
                       reason=str(reason))  # fmt: skip
    return Refused(f"{name} does not ask any more", "perhaps another member has let them in: "
                   "evanesce room members shows who asks", reason="not-asked")  # fmt: skip


def _known(session: Session, room: Conversation, person: Person) -> Contact:
    """The contact that a member is. Raise `Refused`: nobody is let in whom nobody knows."""
    contact = session.contacts.of(person.identity)
    if contact is None:
        raise Refused(
            f"{session.rooms.call(person)} is none of your contacts: nobody here has made sure "
            "who that is",
            "leave it to a member who knows them, or get their card over another channel: "
            "evanesce contacts add NAME, then evanesce verify NAME, then "
            + way_in(session.rooms, room, person),
            reason="no-contact",
        )
    if session.contacts.offered(contact) is not None:
        raise undecided([contact.name])
    return contact


def _unverified(contact: Contact) -> str:
    return f"{contact.name} is not verified: you have not compared that number yet, or not noted " \
        f"that it was the same (evanesce verify {contact.name} --confirm)."  # fmt: skip


async def _confirm(
    session: Session, room: Conversation, contact: Contact, digits: str, *, can_ask: bool
) -> None:
    """Show who asks, and go on if that is confirmed. Raise `Refused`."""
    name, label = contact.name, session.rooms.label(room)
    doubt = "" if contact.verified else f"{_unverified(contact)} "
    if not (can_ask and sys.stdin.isatty()):
        raise Refused(f"{doubt}Nothing was done: say --yes when you are sure that it is {name} who "
                      "asks", f"your number with {name}: {digits}", reason="not-confirmed", code=2,
                      )  # fmt: skip
    print(
        "\n".join([
            f"{name} asks to be let into {label} anew. Whoever has stolen the keys of {name} asks "
            "so, too.",
            f"{doubt}Ask {name}, in person or by voice. Your number with {name}:",
            "",
            *number_lines(digits),
            "",
        ]),
        file=sys.stderr,
    )  # fmt: skip
    print(f"Let {name} in anew? [y/N] ", end="", file=sys.stderr, flush=True)
    if (await _line()).strip().casefold() not in _YES:
        raise Refused("nothing was done", f"{name} still asks, for 72 hours from when they began",
                      reason="not-confirmed")  # fmt: skip


async def _line() -> str:
    """A line that is typed; the device goes on meanwhile."""
    text = b""
    async for piece in pieces(sys.stdin.fileno()):
        text += piece
        if b"\n" in text:
            break
    return text.decode("utf-8", "replace").split("\n")[0]
