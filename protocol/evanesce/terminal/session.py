"""One use of a home: its store and device open, its contacts and rooms at hand."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ..conversation import Conversation
from ..device import Device
from ..events import Event, MessageArrived, MessagesMissing, RoomReplaced
from ..store.sqlite import SqliteStore
from ..transport.folder import FolderTransport
from .contacts import Contacts
from .home import Home
from .notices import Notice, notice
from .passphrase import ask_passphrase
from .roombook import RoomBook

__all__ = ["Mail", "Session", "open_session"]

_PAUSE: Final = 0.25  # seconds between two looks: who chats does not want to wait for a second
_CATCH_UP: Final = 10.0
_SENT: Final = 6.0


class Mail:
    """The shared folder, with an ear for the moments when nothing waits in it."""

    def __init__(self, net: Path) -> None:
        self.transport = FolderTransport(net, sleep=self._pause)
        self._nothing = asyncio.Event()

    async def _pause(self, duration: float) -> None:
        self._nothing.set()
        await asyncio.sleep(min(duration, _PAUSE))

    async def nothing_waits(self) -> None:
        """Return after the next look that finds nothing."""
        self._nothing.clear()
        await self._nothing.wait()


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
        """Wait a moment until all is in the shared folder; return how many envelopes are not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SENT):
                while await room.unsent():
                    await asyncio.sleep(0.05)
        return await room.unsent()


@contextlib.asynccontextmanager
async def open_session(options: argparse.Namespace) -> AsyncIterator[Session]:
    """Open the home that the options name."""
    home = Home.find(options)
    with home.open_store(ask_passphrase(options)) as store:
        mail = Mail(home.net)
        async with Device.open(store, mail.transport) as device:
            contacts = Contacts(device)
            session = Session(home, store, device, mail, contacts, RoomBook(device, contacts))
            yield session
            session.take_events()
            session.settle()
