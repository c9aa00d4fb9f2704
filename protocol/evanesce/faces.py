"""How a device's rooms, members and messages are shown to the application."""

from __future__ import annotations

from typing import Protocol

from .conversation import Conversation
from .events import MessageHandle, Person
from .membership import Member
from .room import Room

__all__ = ["Faces", "person"]


class Faces(Protocol):
    """How rooms and messages are shown to the application."""

    def conversation(self, room: bytes) -> Conversation:
        """The application's handle on a room."""

    def message(self, message: bytes) -> MessageHandle:
        """The application's handle on a message."""

    def opened(self, message: bytes) -> tuple[bytes, bytes] | None:
        """Room and author of a message that somebody has open now."""


def person(room: Room, member: Member) -> Person:
    """A member as the application sees it."""
    contact = room.directory.get(member.id)
    name = "" if contact is None else contact.name
    name = name or member.identity.fingerprint[:4].hex()
    return Person(name, member.id, member.identity, member.role)
