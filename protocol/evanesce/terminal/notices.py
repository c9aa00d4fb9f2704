"""What a person must be told beside messages, in words (REQ-APP-04)."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..conversation import Conversation
from ..errors import Reason
from ..events import (
    ChangesLost,
    DeliveryFailed,
    Disclosed,
    Equivocated,
    Event,
    FallenBehind,
    MessagesMissing,
    MessageViewed,
    Person,
    RefreshDue,
    Rejected,
    RemovedFromRoom,
    ResyncAsked,
    RolledBack,
    RoomChanged,
    RoomJoined,
    RoomReplaced,
    StoreFailed,
)
from ..membership import Policy
from .disclosed import disclosure_text
from .duration import in_words
from .roombook import RoomBook

__all__ = ["Notice", "notice", "standing", "way_back", "way_in"]

_FEW: Final = 4  # rooms that are named with the command for each

_GRAVE: Final = {
    Reason.BAD_CONFIRMATION: "a change of this room was refused: who made it sees another history",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell. `room` is the id, where it is about one.

    `commands` are those that the text names as what can be done about it.
    """

    kind: str
    text: str
    room: bytes | None = None
    commands: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """The same as data."""
        room = None if self.room is None else self.room.hex()
        return {"notice": self.kind, "room": room, "text": self.text,
                "commands": list(self.commands)}  # fmt: skip


def notice(book: RoomBook, event: Event) -> Notice | None:
    """What is to be told of an event; messages and what passes silently give None."""
    told = _about_room(book, event)
    if told is not None:
        kind, room, text = told
        return Notice(kind, f"{book.label(room)}: {text}", room.id)
    match event:
        case ResyncAsked(room, by):
            return _asked(book, room, by)
        case FallenBehind(room, ahead):
            return _behind(book, room, ahead)
        case Rejected(reason, detail, room_id):
            text = _GRAVE.get(reason) or f"something was refused ({reason}: {detail})"
            return Notice("rejected", text, room_id)
        case RolledBack(rooms):
            return _rolled_back(book, rooms)
        case DeliveryFailed(reason, room_id, members=members):
            copies = "" if len(members) < 2 else f" to {len(members)} members"
            text = f"a message could not be delivered{copies} ({reason})"
            return Notice("delivery-failed", text, room_id)
        case Disclosed(room=home):
            text = disclosure_text(event)
            about = "" if home is None else f"{book.label(home)}: "
            return Notice("disclosed", about + text, None if home is None else home.id)
        case StoreFailed(reason, detail):
            return Notice("store-failed", f"the store refused a write ({reason}: {detail})")
        case _:
            return None


def _behind(book: RoomBook, room: Conversation, ahead: Person | None) -> Notice:
    command = way_back(book, room)
    what = (
        "messages cannot be read here for want of a change that nobody has sent again for an hour"
    )
    ask = f"To ask the others to let you in anew: {command}"
    if ahead is not None:
        ask = f"To ask {book.call(ahead)} and the others to let you in anew: {command}"
    text = f"{book.label(room)}: {what}. {ask}"
    return Notice("fallen-behind", text, room.id, (command,))


def standing(book: RoomBook, room: Conversation) -> list[Notice]:
    """What was told of a room once and still holds."""
    told = [_asked(book, room, person) for person in room.resync_requests]
    if room.stale and not (room.closed or room.replaced):
        told.append(_rolled_back(book, (room,)))
    return told


def way_back(book: RoomBook, room: Conversation) -> str:
    """The command by which to speak again in a room that is stale or behind, if there is one."""
    if room.closed or room.replaced:
        return ""
    if not room.direct:
        return f"evanesce room resync {book.note(room).number}"
    name = book.contact_name(room.peer)
    return "" if name is None else f"evanesce room new {shlex.quote(name)}"


def way_in(book: RoomBook, room: Conversation, person: Person) -> str:
    """The command that lets a member in anew. What it calls itself is not put into a command."""
    name = book.contact_name(person) or person.member[:4].hex()
    return f"evanesce room readmit {book.note(room).number} {shlex.quote(name)}"


def _asked(book: RoomBook, room: Conversation, by: Person) -> Notice:
    command = way_in(book, room, by)
    who = book.call(by)
    sure = (
        f"Make sure that it is {who}"
        if book.contact_name(by) is not None
        else "It is none of your contacts: make sure who it is, and add its card"
    )
    return Notice(
        "resync-asked",
        f"{book.label(room)}: {who} has lost its place here and asks to be let in anew. {sure}; "
        f"then, one of you: {command}",
        room.id, (command,),
    )  # fmt: skip


def _rolled_back(book: RoomBook, rooms: Iterable[Conversation]) -> Notice:
    rooms = [room for room in rooms if not (room.closed or room.replaced)]
    labels = ", ".join(book.label(room) for room in rooms) or "no room"
    text = (
        "an older copy of this home has been put back: what comes can be read, and nothing sent "
        f"any more, in {labels}"
    )
    commands = tuple(filter(None, (way_back(book, room) for room in rooms)))
    if 0 < len(commands) <= _FEW:
        text += f". To speak there again: {'; '.join(commands)}"
    elif commands:
        text += (
            ". To speak there again: evanesce room new NAME for a room of two, evanesce room "
            "resync ROOM for a group"
        )
    return Notice("rolled-back", text, commands=commands)


def _about_room(book: RoomBook, event: Event) -> tuple[str, Conversation, str] | None:
    match event:
        case RoomJoined(room, inviter, anew=True):
            return "room-joined", room, f"{book.call(inviter)} has let you in anew"
        case RoomJoined(room, inviter):
            weak = room.direct and room.opened_by_last_resort
            more = " (with a spare key: weaker for the first days)" if weak else ""
            if room.direct:
                return "room-joined", room, f"{book.call(inviter)} has begun a conversation{more}"
            return "room-joined", room, f"{book.call(inviter)} has added you"
        case RoomChanged(room=room):
            text = _changes(book, event)
            return ("room-changed", room, text) if text else None
        case ChangesLost(room, added, roles, resynced, policy, kept):
            return "changes-lost", room, _lost(book, len(added), (*roles, *resynced, *kept), policy)
        case Equivocated(room, by, founder):
            who, first = book.call(by), book.call(founder)
            return "equivocated", room, f"{who} has split this room on purpose: nothing is sent " \
                f"here any more. {first} should begin it anew, without {who}"  # fmt: skip
        case RemovedFromRoom(room, by):
            return "removed", room, f"{book.call(by)} has removed you; nothing new can be read here"
        case RoomReplaced(_, new):
            return "room-replaced", new, "begun anew by the other side; the old room is closed"
        case RefreshDue(room):
            return "refresh-due", room, "no answer for long: until there is one, a theft of keys " \
                "is not healed"  # fmt: skip
        case MessageViewed(room, by, message):
            return "viewed", room, f"{book.call(by)} has viewed #{message.hex()[:8]}"
        case MessagesMissing(room, sender, count, lost):
            what = "can never be read" if lost else "known to exist, not come yet"
            some = "a message" if count == 1 else f"{count} messages"
            return "missing", room, f"{some} of {book.call(sender)} {what}"
        case _:
            return None


def _lost(book: RoomBook, added: int, people: Sequence[Person], policy: Policy | None) -> str:
    said = []
    if added:
        said.append(f"adding {added} {'person' if added == 1 else 'people'}")
    if people:
        said.append("what you did for " + ", ".join(book.call(person) for person in people))
    if policy is not None:
        said.append("your change of the rules")
    return f"undone by a change that came before: {'; '.join(said)}. Do it again if it is needed"


def _changes(book: RoomBook, change: RoomChanged) -> str:
    def names(people: Iterable[Person]) -> str:
        return ", ".join(book.call(person) for person in people)

    said = []
    if change.added:
        said.append(f"has added {names(change.added)}")
    if change.removed:
        said.append(f"has removed {names(change.removed)}")
    if change.resynced:
        said.append(f"has let {names(change.resynced)} in anew")
    said += [f"has made {book.call(p)} {p.role.name.lower()}" for p in change.roles]
    if change.policy is not None:
        evaporation = change.policy.evaporation
        viewed = evaporation.after_view
        rule = f"messages live {in_words(evaporation.lifetime)}"
        if viewed is not None:
            rule += f", and {in_words(viewed)} after viewing"
        said.append(f"has changed the rules: {rule}")
    return f"{book.call(change.by)} {'; '.join(said)}" if said else ""
