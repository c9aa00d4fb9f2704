"""One use of a home: its store and device open, its contacts and rooms at hand."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Final

from ..conversation import Conversation
from ..device import Device
from ..events import Event, MessageArrived, MessagesMissing, RoomReplaced
from ..store.sqlite import SqliteStore
from .contacts import Contacts
from .home import Home
from .mail import Mail, mail_of
from .notices import Notice, notice
from .passphrase import ask_passphrase
from .roombook import RoomBook

__all__ = ["Session", "open_session"]

_CATCH_UP: Final = 10.0
_SENT: Final = 6.0


@dataclass(slots=True)
class Session:
    """What a command works with."""

    home: Home
    store: SqliteStore
    device: Device
    mail: Mail
    contacts: Contacts
    rooms: RoomBook
    notices: list[Notice] = field(default_factory=list)
    doubts: list[MessagesMissing] = field(default_factory=list)

    async def catch_up(self) -> None:
        """Take in what waits. Also before a change: it has to build on the others' (REQ-APP-08)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP):
                fresh = True
                while fresh:
                    await self.mail.nothing_waits()
                    await self.mail.nothing_waits()
                    fresh = bool(self.take_events())
                # Nobody else does it for a device that is never open for a minute: let out who has
                # asked to leave, refresh what others wait for.
                await self.device.maintain()
        self._note_trouble()

    def _note_trouble(self) -> None:
        """Tell that nothing is carried now, once."""
        trouble = self.mail.trouble
        if trouble and all(told.kind != "net-trouble" for told in self.notices):
            self.notices.append(Notice("net-trouble", f"{trouble}; it is tried again"))

    def take_events(self) -> list[Event]:
        """What has happened since the last time; what has to be told is noted."""
        events = self.device.pending_events()
        for event in events:
            self.note(event)
        return events

    def note(self, event: Event) -> Notice | None:
        """Note what is to be told of an event."""
        if isinstance(event, MessagesMissing) and not event.lost:
            self.doubts.append(event)  # a folder keeps no order: mostly it comes a moment later
            return None
        if isinstance(event, RoomReplaced):
            self.rooms.carry(event.old, event.new)
        told = None if isinstance(event, MessageArrived) else notice(self.rooms, event)
        if told is not None:
            self.notices.append(told)
        return told

    def settle(self) -> list[Notice]:
        """Note the messages that were missing and still are."""
        doubts = {(doubt.room.id, doubt.sender.member): doubt for doubt in self.doubts}
        self.doubts.clear()
        told = []
        for doubt in doubts.values():
            count = doubt.room.missing(doubt.sender)
            still = notice(self.rooms, replace(doubt, count=count)) if count else None
            if still is not None:
                told.append(still)
        self.notices += told
        return told

    async def room_or_begin(self, text: str) -> Conversation:
        """The room that `text` names; with a contact's name, one of two is begun if needed."""
        room = self.rooms.find(text)
        if room is not None:
            return room
        if self.contacts.find(text) is None:
            return self.rooms.get(text)  # which says what there is
        contact = self.contacts.settled(text)
        room = await self.device.direct(contact.card)
        self.rooms.note(room)
        return room

    async def sent(self, room: Conversation) -> int:
        """Wait a moment until all has left this device; return how many envelopes have not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SENT):
                while await room.unsent() and not self.mail.trouble:
                    await asyncio.sleep(0.05)
        self._note_trouble()
        return await room.unsent()

    def waits(self, unsent: int) -> str:
        """That so many envelopes have not left this device."""
        return f"({unsent} envelopes wait for {self.mail.called}; they go out next time)"


@contextlib.asynccontextmanager
async def open_session(options: argparse.Namespace) -> AsyncIterator[Session]:
    """Open the home that the options name."""
    home = Home.find(options)
    with home.open_store(ask_passphrase(options)) as store:
        async with mail_of(home.net) as mail, Device.open(store, mail.transport) as device:
            contacts = Contacts(device)
            session = Session(home, store, device, mail, contacts, RoomBook(device, contacts))
            yield session
            session.take_events()
            session.settle()
