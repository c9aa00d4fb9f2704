"""How fast a device with many rooms starts, and what each of its rooms costs.

    python benchmarks/rooms.py --rooms 200 --members 20

makes the store of one device that is in that many rooms, and opens copies of it in fresh processes
(`start.py`). It prints what they took: the median of the runs, and the range. In each room every
other member has announced itself, some commits have been applied, whose epochs are all kept, and
some messages wait to be viewed. Nobody but the device is real: for each room one founder's core
makes what all its other members say. A room in which each of 20 members refreshes once a week, as
it should, keeps about 10 epochs: ``--commits 9``.
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
from collections.abc import Callable, Mapping, Sequence
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
from evanesce.limits import HOUR, ONE_TIME_PREKEYS
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
        self.queue: asyncio.Queue[Delivery] = asyncio.Queue()

    def put(self, mailbox: Mailbox, payload: bytes) -> None:
        """Deliver this."""
        envelope = seal_envelope(mailbox, payload, RANDOM)
        self.queue.put_nowait(Delivery(RANDOM(16), mailbox.address, envelope))

    async def open_mailbox(self, reader: MailboxReader) -> None:
        """Nothing has to be made."""

    async def close_mailbox(self, reader: MailboxReader) -> None:
        """Nothing has been made."""

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        """Nobody reads it."""
        return {}

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        """Wait for something, and return all there is."""
        found = [await self.queue.get()]
        while not self.queue.empty():
            found.append(self.queue.get_nowait())
        return found

    async def ack(self, ids: Sequence[bytes]) -> None:
        """They have been taken in."""
        for _ in ids:
            self.queue.task_done()


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
            self._of(n % others, text) if others else self.text(self._now)
            for n, text in enumerate(said)
        ]

    def text(self, sent: int) -> bytes:
        """A message of the founder."""
        said = Said("The first to arrive", sent, Evaporation())
        return self.room.send(self._founder.identity, said, sent, RANDOM).message

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
    room: bytes  # the first message is sent here
    address: bytes  # and the first one arrives here
    envelope: bytes


async def make(path: Path, settings: argparse.Namespace, rooms: int, now: int) -> Made:
    """Make the store of a device that is in so many rooms."""
    key, post, clock = RANDOM(32), Post(), ManualClock(now)
    people = [Somebody(number, now) for number in range(settings.members - 1)]
    with SqliteStore(path, RawKey(key)) as store:
        async with Device.open(store, post, name="Mina", clock=clock) as device:
            for number in range(rooms):
                if number % ONE_TIME_PREKEYS == 0:
                    package = (await device.card(one_time=True)).package
                company = Company(people, package, number % ONE_TIME_PREKEYS, now)
                commits = [company.commit() for _ in range(settings.commits)]
                for payload in (company.invitation, *commits, *company.announcements(),
                                *company.texts(settings.messages)):  # fmt: skip
                    post.put(package.contact, payload)
                await post.queue.join()
                check(device, company, settings.messages)
            if len(device.rooms) != rooms:
                raise RuntimeError(f"{len(device.rooms)} rooms have been made")
    envelope = seal_envelope(package.contact, company.text(now + settings.away), RANDOM)
    return Made(path, key, company.room.id, package.contact.address, envelope)


def check(device: Device, company: Company, messages: int) -> None:
    """See that the device has taken everything in, and is where the others are."""
    events = device.pending_events()
    arrived = sum(isinstance(event, MessageArrived) for event in events)
    refused = [event for event in events if isinstance(event, Rejected | MessagesMissing)]
    room = device.room(company.room.id)
    if refused or arrived != messages or room.transcript != company.room.transcript:
        raise RuntimeError(f"a room went wrong: {arrived} messages, {refused}")


# --- measuring -----------------------------------------------------------------------------------


def run(made: Made, what: str, now: int, *, passphrase: bool) -> dict[str, float]:
    """Start a device in a fresh process on a copy of the store."""
    with tempfile.TemporaryDirectory(dir=made.path.parent) as folder:
        path = Path(folder, made.path.name)
        shutil.copyfile(made.path, path)
        if passphrase:
            with SqliteStore(path, RawKey(made.key)) as store:
                store.rekey(Passphrase(PASSPHRASE))
        task = {
            "path": str(path), "key": None if passphrase else made.key.hex(),
            "passphrase": PASSPHRASE, "now": now, "what": what, "room": made.room.hex(),
            "address": made.address.hex(), "envelope": made.envelope.hex(),
            "begun": time.monotonic(),
        }  # fmt: skip
        done = subprocess.run(  # noqa: S603  this interpreter, on the file beside this one
            [sys.executable, str(START)], input=json.dumps(task), stdout=subprocess.PIPE,
            text=True, check=True, timeout=120,
        )  # fmt: skip
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


Figure = dict[str, float]  # median, least, most


def figures_of(runs: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    """What several runs have in common."""
    columns = {name: [each[name] for each in runs] for name in runs[0]}
    return {
        name: {"median": statistics.median(column), "least": min(column), "most": max(column)}
        for name, column in columns.items()
    }


def measure(settings: argparse.Namespace) -> dict[str, Any]:
    """Make the stores, and measure."""
    now = int(time.time()) // HOUR * HOUR
    later = now + settings.away
    with tempfile.TemporaryDirectory() as folder:
        made = asyncio.run(make(Path(folder, "many.db"), settings, settings.rooms, now))
        alone = asyncio.run(make(Path(folder, "one.db"), settings, 1, now))
        run(made, "send", later, passphrase=False)  # the first one may have to compile
        load = os.getloadavg()[0]
        runs: dict[str, list[dict[str, float]]] = {}
        for _ in range(settings.runs):  # one after the other: what else runs here hits all alike
            for name, store, what, passphrase in (
                ("send", made, "send", False), ("receive", made, "receive", False),
                ("one room", alone, "send", False), ("passphrase", made, "send", True),
            ):  # fmt: skip
                taken = run(store, what, later, passphrase=passphrase)
                runs.setdefault(name, []).append(taken)
        size, least = (each.path.stat().st_size for each in (made, alone))
    found = {name: figures_of(several) for name, several in runs.items()}
    more = settings.rooms - 1
    grown = found["send"]["peak"]["median"] - found["one room"]["peak"]["median"]
    return {
        "settings": vars(settings),
        "machine": {"python": platform.python_version(), "processors": os.cpu_count(),
                    "system": platform.platform(), "load": load},
        "file": size, "file per room": (size - least) / more,
        "memory per room": grown / more, "figures": found,
    }  # fmt: skip


# --- telling -------------------------------------------------------------------------------------

ROWS = (
    ("interpreter", "send", "interpreter"),
    ("imports", "send", "imports"),
    ("store open", "send", "store"),
    ("store open, by passphrase", "passphrase", "store"),
    ("device open", "send", "device"),
    ("first message sent", "send", "message"),
    ("  since the process began", "send", "total"),
    ("first message received", "receive", "message"),
    ("  since the process began", "receive", "total"),
    ("first message sent, by passphrase", "passphrase", "total"),
    ("the same with one room", "one room", "total"),
)


def table(told: Mapping[str, Any]) -> str:
    """The figures for people."""
    settings, machine, figures = told["settings"], told["machine"], told["figures"]
    lines = [
        "{rooms} rooms of {members} members, {commits} commits and {messages} messages in each; "
        "{runs} runs".format(**settings),
        "Python {python}, {processors} processors, load {load:.2f}".format(**machine),
        "",
        f"{'seconds':34}  median  range",
    ]
    for label, name, part in ROWS:
        figure: Figure = figures[name][part]
        lines.append("{:34}  {median:6.3f}  {least:.3f} to {most:.3f}".format(label, **figure))
    peak, alone = (figures[name]["peak"]["median"] / MIB for name in ("send", "one room"))
    lines += [
        "",
        f"memory at its peak: {peak:.1f} MiB, with one room {alone:.1f} MiB: "
        f"{told['memory per room'] / 1024:.1f} KiB for each more",
        f"file: {told['file'] / MIB:.1f} MiB, {told['file per room'] / 1024:.1f} KiB for each more",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="Start a device that is in many rooms.")
    parser.add_argument("--rooms", type=_number(2), default=200)
    parser.add_argument("--members", type=_number(2), default=20)
    parser.add_argument("--commits", type=_number(0), default=1, help="applied in each room")
    parser.add_argument("--messages", type=_number(0), default=3, help="that wait in each room")
    parser.add_argument("--runs", type=_number(1), default=7)
    parser.add_argument("--away", type=_number(0), default=2 * HOUR, metavar="SECONDS",
                        help="how long the device was closed")  # fmt: skip
    parser.add_argument("--json", action="store_true")
    settings = parser.parse_args()
    told = measure(settings)
    print(json.dumps(told, indent=2) if settings.json else table(told))


def _number(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return int(text)

    return number


if __name__ == "__main__":
    main()
