"""How fast a device with many rooms starts, and what each of its rooms costs.

    python benchmarks/rooms.py --rooms 200 --members 20

makes the store of one device that is in that many rooms, which takes a minute, then opens copies of
it in fresh processes (`start.py`) and prints what they took: the median of the runs, and the range.
In each room every other member has announced itself, one commit has been applied, so that two
epochs are kept, and some messages wait to be viewed. Nobody but the device is real: for each room
one founder's core makes what all its other members say.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evanesce import (
    Device,
    Evaporation,
    MessageArrived,
    MessagesMissing,
    Mode,
    Passphrase,
    Policy,
    RawKey,
    Reason,
    Rejected,
    SqliteStore,
)
from evanesce.content import Announcement, Content, Said
from evanesce.envelope import seal_envelope
from evanesce.founding import Invited
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackage, KeyPackageKeys
from evanesce.limits import ONE_TIME_PREKEYS
from evanesce.mailbox import Mailbox, MailboxKeys, MailboxReader
from evanesce.message import Header, seal_message
from evanesce.ports import Delivery, ManualClock, Outgoing
from evanesce.room import Room

START = Path(__file__).with_name("start.py")
RANDOM = secrets.token_bytes
PASSPHRASE = "seventeen herons over the weir"  # noqa: S105  of a store that is thrown away
MIB = 1 << 20


class Post:
    """A transport that takes whatever it is given, and delivers what `put` says."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Delivery] = asyncio.Queue()

    def put(self, mailbox: Mailbox, payload: bytes) -> None:
        """Deliver this."""
        envelope = seal_envelope(mailbox, payload, RANDOM)
        self._waiting.put_nowait(Delivery(RANDOM(16), mailbox.address, envelope))

    async def open_mailbox(self, reader: MailboxReader) -> None:
        """Nothing has to be made."""

    async def close_mailbox(self, reader: MailboxReader) -> None:
        """Nothing has been made."""

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        """Nobody reads it."""
        return {}

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        """Wait for something, and return all there is."""
        found = [await self._waiting.get()]
        while not self._waiting.empty():
            found.append(self._waiting.get_nowait())
        return found

    async def ack(self, ids: Sequence[bytes]) -> None:
        """Nothing comes again."""


class Somebody:
    """A member of every room that has no device: its keys, and a name."""

    def __init__(self, number: int, now: int) -> None:
        self.name = f"Member {number}"
        self.identity = IdentityKeys.generate(RANDOM)
        self.mailbox = MailboxKeys.generate(RANDOM).mailbox
        self.package = KeyPackageKeys.generate(self.identity, self.mailbox, now, RANDOM)


class Company:
    """One room as its founder has it, who speaks for all the others too."""

    def __init__(
        self, people: Sequence[Somebody], device: KeyPackage, prekey: int, now: int
    ) -> None:
        self._founder, *self._others = people
        self._now = now
        guests = [Invited(each.package.package, 0) for each in self._others]
        self.room, invitations = Room.found(
            self._founder.identity, Policy(Mode.SIGNED), [*guests, Invited(device, prekey)],
            self._founder.name, self._founder.mailbox, now, RANDOM,
        )  # fmt: skip
        *self._ids, self._device = invitations
        self.invitation = invitations[self._device]

    def commit(self) -> bytes:
        """Open the next epoch; return the device's copy of the commit."""
        made = self.room.commit(self._founder.identity, [], [], self._now, RANDOM)
        return made.copies[self._device]

    def announcements(self) -> list[bytes]:
        """Everybody but the founder, whom the invitation names, says where it is reached."""
        return [
            self._of(place, Announcement(each.name, MailboxKeys.generate(RANDOM).mailbox))
            for place, each in enumerate(self._others)
        ]

    def texts(self, count: int) -> list[bytes]:
        """So many messages, from one member after the other."""
        said = (Said(f"Message {n} of this room", self._now, Evaporation()) for n in range(count))
        others = len(self._others)
        return [
            self._of(n % others, text) if others else self.text()
            for n, text in enumerate(said)
        ]

    def text(self) -> bytes:
        """A message of the founder."""
        said = Said("The first to arrive", self._now, Evaporation())
        return self.room.send(self._founder.identity, said, self._now, RANDOM).message

    def _of(self, place: int, content: Content) -> bytes:
        """A message of one who has no state of its own: the founder's copy of its chain is it."""
        state, member = self.room.state, self._ids[place]
        chain = state.epoch.chains[member]
        header = Header(self.room.id, state.epoch.prefix, member, chain.index, bytes(16), None)
        key, after = chain.at(chain.index, self._now)
        state.set_chain(state.epoch, member, after)
        signing = self._others[place].package.room_sign.reveal()
        context = state.epoch.context
        return seal_message(header, context, key, content.encode(), RANDOM(16), signing).message


@dataclass(frozen=True, slots=True)
class Made:
    """A store, and what `start.py` is to do with it."""

    path: Path
    key: bytes
    now: int
    room: bytes  # the first message is sent here
    address: bytes  # and the first one arrives here
    envelope: bytes


async def make(path: Path, rooms: int, members: int, messages: int, now: int) -> Made:
    """Make the store of a device that is in so many rooms."""
    key, post, clock = RANDOM(32), Post(), ManualClock(now)
    people = [Somebody(number, now) for number in range(members - 1)]
    contact: Mailbox | None = None
    with SqliteStore(path, RawKey(key)) as store:
        async with Device.open(store, post, name="Mina", clock=clock) as device:
            for number in range(rooms):
                if number % ONE_TIME_PREKEYS == 0:
                    package = (await device.card(one_time=True)).package
                    contact = package.contact
                assert contact is not None
                company = Company(people, package, number % ONE_TIME_PREKEYS, now)
                payloads = [company.invitation, company.commit(), *company.announcements(),
                            *company.texts(messages)]  # fmt: skip
                for payload in payloads:
                    post.put(contact, payload)
                await _taken(device, messages)
            found = device.room(company.room.id)
            assert (found.transcript, len(device.rooms)) == (company.room.transcript, rooms)
    envelope = seal_envelope(contact, company.text(), RANDOM)
    return Made(path, key, now, company.room.id, contact.address, envelope)


async def _taken(device: Device, messages: int) -> None:
    """Wait until the device has taken in all that was said in one room."""
    events = device.events()
    arrived = 0
    while arrived < messages:
        event = await anext(events)
        assert not isinstance(event, Rejected | MessagesMissing), event
        arrived += isinstance(event, MessageArrived)


# --- measuring -----------------------------------------------------------------------------------


def run(made: Made, what: str, *, passphrase: bool, away: int) -> dict[str, float]:
    """Start a device in a fresh process on a copy of the store."""
    with tempfile.TemporaryDirectory(dir=made.path.parent) as folder:
        path = Path(folder, made.path.name)
        shutil.copyfile(made.path, path)
        if passphrase:
            with SqliteStore(path, RawKey(made.key)) as store:
                store.rekey(Passphrase(PASSPHRASE))
        task = {
            "path": str(path), "key": None if passphrase else made.key.hex(),
            "passphrase": PASSPHRASE, "now": made.now + away, "what": what,
            "room": made.room.hex(), "address": made.address.hex(),
            "envelope": made.envelope.hex(), "begun": time.monotonic(),
        }  # fmt: skip
        done = subprocess.run(  # noqa: S603  this interpreter, on a file beside this one
            [sys.executable, str(START)], input=json.dumps(task), stdout=subprocess.PIPE,
            text=True, check=True,
        )  # fmt: skip
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    import sys
    t=time.monotonic()
    made = asyncio.run(make(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), 3, int(time.time())))
    print("made", time.monotonic()-t, made.path.stat().st_size)
    import pickle; pickle.dump(made, open(sys.argv[1]+".pickle","wb"))
    for what in ("send","receive"):
        for p in (False,):
            print(what, p, run(made, what, passphrase=p, away=7200))
