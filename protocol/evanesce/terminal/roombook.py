"""Rooms as a person names them: a title, a number, the other one's name, the start of the id.

Titles are this user's own, as the protocol has none; so are the defaults of a room of two, whose
policy nobody can change. Both lie with the device's records.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Final

from ..conversation import Conversation
from ..device import Device
from ..events import Person
from ..ports import APPLICATION
from .contacts import Contacts
from .problems import Refused
from .text import one_line, safe_name

__all__ = ["RoomBook", "RoomNote", "member_named"]

_ROWS: Final = APPLICATION + b"room/"
_LEAST_PREFIX: Final = 4


@dataclass(frozen=True, slots=True)
class RoomNote:
    """What is noted about a room."""

    number: int
    title: str = ""
    after_view: int | None = None
    lifetime: int | None = None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


class RoomBook:
    """The notes on a device's rooms."""

    def __init__(self, device: Device, contacts: Contacts) -> None:
        self._device = device
        self._contacts = contacts
        with device.store.transaction() as tx:
            rows = list(tx.scan(_ROWS))
        self._notes = {name[len(_ROWS) :]: RoomNote(**json.loads(data)) for name, data in rows}

    def note(self, room: Conversation) -> RoomNote:
        """The note on a room; a room that was not seen before gets the next number."""
        found = self._notes.get(room.id)
        if found is None:
            last = max((note.number for note in self._notes.values()), default=0)
            found = RoomNote(last + 1)
            self._put(room.id, found)
        return found

    def all(self) -> list[Conversation]:
        """Every room, by its number."""
        fresh = [room for room in self._device.rooms if room.id not in self._notes]
        for room in sorted(fresh, key=lambda room: room.id):
            self.note(room)
        return sorted(self._device.rooms, key=lambda room: self.note(room).number)

    def set_title(self, room: Conversation, title: str) -> None:
        """Give a room a title. Raise `Refused` for one that could be mistaken."""
        title = unicodedata.normalize("NFC", title)
        if title != safe_name(title) or title.isdigit() or title[0] in "-/":
            raise Refused("this cannot be a title",
                          "choose a short one that is no number and begins with no sign",
                          code=2)  # fmt: skip
        for other in self._device.rooms:
            if other != room and _folded(self.label(other)) == _folded(title):
                raise Refused(f"there is a room {title} already", "choose another title")
        if self._contacts.find(title) is not None:
            raise Refused(f"there is a contact {title}", "choose another title")
        self._put(room.id, replace(self.note(room), title=title))

    def set_defaults(
        self, room: Conversation, after_view: int | None, lifetime: int | None
    ) -> None:
        """How long what one writes in a room lives, when nothing else is said."""
        self._put(room.id, replace(self.note(room), after_view=after_view, lifetime=lifetime))

    def carry(self, old: Conversation, new: Conversation) -> None:
        """Title and defaults of a 1:1 room go over to the one that has taken its place."""
        before, now = self.note(old), self.note(new)
        if not now.title and now.after_view is None and now.lifetime is None:
            self._put(new.id, replace(before, number=now.number))

    def _put(self, room: bytes, note: RoomNote) -> None:
        with self._device.store.transaction() as tx:
            tx.put(_ROWS + room, json.dumps(asdict(note)).encode())
        self._notes[room] = note

    def label(self, room: Conversation) -> str:
        """What a room is called: its title, or who else is in it."""
        title = self.note(room).title
        if title:
            return title
        if room.direct:
            return self._contacts.call(room.peer)
        others = [self._contacts.call(p) for p in room.members if not self.is_me(p)]
        names = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        return f"group of {names}" if names else "group of nobody else"

    def is_me(self, person: Person) -> bool:
        """Whether a member is this device."""
        return person.identity == self._device.identity

    def call(self, person: Person) -> str:
        """How to name a member."""
        return "you" if self.is_me(person) else self._contacts.call(person)

    def contact_name(self, person: Person) -> str | None:
        """The name of the contact that a member is, if it is one."""
        contact = self._contacts.of(person.identity)
        return None if contact is None else contact.name

    # --- finding ---------------------------------------------------------------------------------

    def find(self, text: str) -> Conversation | None:
        """The room that `text` names. Raise `Refused` when that may be several."""
        rooms = self.all()
        contact = self._contacts.find(text)
        if contact is not None:
            with_it = self._device.direct_with(contact.card.identity)
            if with_it is not None:
                return with_it
        named = [room for room in rooms if _folded(self.label(room)) == _folded(text)]
        if not named and text.isdigit() and len(text) < 8:
            named = [room for room in rooms if self.note(room).number == int(text)]
        if not named and len(text) >= _LEAST_PREFIX:
            named = [room for room in rooms if room.id.hex().startswith(text.lower())]
        if len(named) > 1:  # an old room with the same person is rarely the one that is meant
            named = [room for room in named if room.open] or named
        if len(named) > 1:
            raise Refused(f"{safe_name(text)} may be several rooms: {self._list(named)}",
                          "give the number, or more of the id")  # fmt: skip
        return named[0] if named else None

    def get(self, text: str) -> Conversation:
        """The same. Raise `Refused` for none."""
        found = self.find(text)
        if found is None:
            rooms = self._list(self.all())
            hint = f"your rooms: {rooms}" if rooms else "begin one: evanesce room new NAME"
            raise Refused(f"no room is called {safe_name(text)}", hint, reason="no-room")
        return found

    def _list(self, rooms: Iterable[Conversation]) -> str:
        return ", ".join(
            f"{self.note(room).number} {one_line(self.label(room))} ({room.id[:4].hex()})"
            for room in rooms
        )


def member_named(book: RoomBook, room: Conversation, text: str) -> Person:
    """The member that `text` names: as the user calls it, or the start of its id."""
    wanted = _folded(text)
    found = [p for p in room.members if _folded(book.call(p)) in (wanted, f"~{wanted}")]
    exact = [p for p in found if _folded(book.call(p)) == wanted]
    found = exact or found
    if not found and len(text) >= _LEAST_PREFIX:
        found = [p for p in room.members if p.member.hex().startswith(text.lower())]
    if len(found) != 1:
        names = ", ".join(f"{book.call(p)} ({p.member[:4].hex()})" for p in room.members)
        what = "is nobody in this room" if not found else "may be several members"
        raise Refused(f"{safe_name(text)} {what}", f"members: {names}", reason="no-member")
    return found[0]
