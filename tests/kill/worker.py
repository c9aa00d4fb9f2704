"""A device in a process that may be killed: it carries out a session, and can go on with one.

    python -m tests.kill.worker ROOT SESSION [KIND ORDINAL]

SESSION is JSON: an actor, a number, a time and acts. With KIND and ORDINAL the process kills itself
at that point. Run again without them, it goes on where the journal says that it was interrupted.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from evanesce import (
    Card,
    Conversation,
    Device,
    Event,
    LocalError,
    MessageArrived,
    Person,
    RawKey,
    Reason,
    SqliteStore,
)
from evanesce.ports import ManualClock, Transaction
from evanesce.transport.folder import FolderTransport
from tests.kill import deeds
from tests.kill.bending import Bends
from tests.kill.copies import anchor, keep_copy, put_back
from tests.kill.erasures import RowJournal
from tests.kill.points import Journal, Points, read_journal
from tests.kill.reopened import check_reopened
from tests.kill.telling import described
from tests.kill.wrapping import (
    KillableStore,
    KillableTransport,
    watch_folder,
    watch_receipts,
    watch_seals,
)

__all__ = ["KEY", "Actor", "Session", "live", "waiting_in"]

KEY = RawKey(bytes(range(32)))
FILED = b"app/arrived/"
PATIENCE = 20  # seconds until a device that does not come to rest has failed
PUT_BACK = ("put back",)  # an older copy of the store, before the device is opened
COPY = ("copy",)  # the store, once the device is closed
Act = tuple[Any, ...]


@dataclass(frozen=True)
class Session:
    """What one device does between opening and closing."""

    actor: str
    number: int
    now: int
    acts: tuple[Act, ...]

    @classmethod
    def load(cls, text: str) -> Session:
        made = json.loads(text)
        acts = tuple(map(tuple, made["acts"]))
        return cls(made["actor"], made["number"], made["now"], acts)

    def dump(self) -> str:
        return json.dumps(asdict(self))


def passed(acts: Sequence[Act]) -> int:
    """How long these acts take, as far as they say so."""
    return sum(act[1] for act in acts if act[0] == "pass")


def waiting_in(root: Path) -> list[str]:
    """The envelopes that lie in any mailbox."""
    boxes = root / "folder" / "mailboxes"
    found = []
    for path in boxes.glob("*/*"):
        if len(path.name) == 32 and not path.with_name(f"{path.name}.spent").exists():
            found.append(path.name)
    return found


class Actor:
    """One device, its application, and what that writes down."""

    def __init__(
        self, root: Path, name: str, clock: ManualClock, points: Points, *, early: bool = False
    ) -> None:
        self.root, self.name, self.clock, self._points = root, name, clock, points
        self.path = root / "journal" / f"{name}.jsonl"
        self.rows = root / "rows" / f"{name}.jsonl"
        self.home = root / "stores" / name
        self._early = early
        self._looked = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.journal = Journal(self.path)
        self._handed = Journal(self.root / "handed" / f"{self.name}.jsonl")
        self._row_journal = RowJournal(self.rows)
        self.home.mkdir(parents=True, exist_ok=True)
        self._points.hit("open, before")
        witness = anchor(self.root, self.name)
        store = SqliteStore(self.home / "device.db", KEY, anchor=witness)
        self._raw = store
        self.note_mailboxes()
        self.store = KillableStore(store, self._points, self._row_journal)
        self._points.hit("open, after")
        folder = FolderTransport(self.root / "folder", self.clock, sleep=self._look)
        bends = Bends(self.root / "bends" / self.name)
        self.transport = KillableTransport(
            folder, self._points, self._handed, bends, early=self._early
        )
        self.device = Device.open(
            self.store, self.transport, name=self.name, clock=self.clock, on_commit=self._file
        )
        await self.device.__aenter__()
        self._listener = asyncio.create_task(self._listen())
        check_reopened(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.device.close()
        await self._listener
        self.store.close()
        self._handed.close()
        self._row_journal.close()
        self.journal.close()

    def _file(self, tx: Transaction, events: Sequence[Event]) -> None:
        """The application's own record of what has arrived: how often, in the same transaction."""
        for event in events:
            if isinstance(event, MessageArrived):
                name = FILED + event.message.id
                self._points.hit("filed, before")
                tx.put(name, bytes([(tx.get(name) or bytes(1))[0] + 1]))
                self._points.hit("filed, after")

    def note_mailboxes(self) -> None:
        """Its mailboxes, with their keys: one that is not needed any more is forgotten."""
        known = {note["record"] for note in self.notes() if note["what"] == "mailbox"}
        with self._raw.transaction() as tx:
            records = [record.hex() for _, record in tx.scan(b"mailbox/")]
        for record in records:
            if record not in known:
                self.journal.note("mailbox", record=record)

    @property
    def filed(self) -> dict[str, int]:
        """How often each message has arrived, by its id."""
        with self.store.inner.transaction() as tx:
            return {name[len(FILED):].hex(): count[0] for name, count in tx.scan(FILED)}

    async def _listen(self) -> None:
        """The application: it takes each event, and then writes down that it has."""
        async for event in self.device.events():
            self._points.hit("told, before")
            self.journal.note("told", **described(event))
            self._points.hit("told, after")

    # --- coming to rest --------------------------------------------------------------------------

    async def _look(self, _: float) -> None:
        """The transport has found nothing new, and looks again in a moment."""
        self._looked.set()
        await asyncio.sleep(0.001)

    @property
    def activity(self) -> int:
        return self.transport.calls + self.store.transactions

    @property
    def unsent(self) -> int:
        with self.store.inner.transaction() as tx:
            return sum(1 for _ in tx.scan(b"outbox/"))

    async def quiet(self) -> None:
        """Wait until the device has nothing to do: it looks and looks, and finds nothing."""
        async with asyncio.timeout(PATIENCE):
            calm, last = 0, -1
            while calm < 3:
                self._looked.clear()
                try:
                    await asyncio.wait_for(self._looked.wait(), 0.5)
                except TimeoutError:  # it waits for the clock
                    self.clock.advance(5)
                    continue
                if self._listener.done():
                    self._listener.result()
                    raise AssertionError("the device has ended")
                still = self.activity == last and not self.unsent
                calm, last = (calm + 1 if still else 0), self.activity

    # --- what it does ----------------------------------------------------------------------------

    def room(self, kind: str) -> Conversation | None:
        """Its 1:1 room, or its group."""
        found = [room for room in self.device.rooms if room.direct == (kind == "direct")]
        assert len(found) <= 1, f"{self.name} is in {len(found)} rooms"
        return found[0] if found else None

    def card(self, name: str) -> Card:
        return Card.decode((self.root / "cards" / name).read_bytes())

    def member(self, room: Conversation, name: str) -> Person | None:
        identity = self.card(name).identity
        return next((p for p in room.members if p.identity == identity), None)

    async def act(self, act: Act, *, again: bool) -> None:
        """Do one thing; `again` if it was begun before, and the process died."""
        match act:
            case ("card",):
                (self.root / "cards").mkdir(exist_ok=True)
                (self.root / "cards" / self.name).write_bytes((await self.device.card()).encode())
            case ("catch up",):
                await self.quiet()
            case ("direct", peer):
                await self.device.direct(self.card(peer))
            case ("found", *peers):
                if self.room("group") is None:
                    await self.device.create_room([self.card(peer) for peer in peers])
            case ("send", kind, text, after_view):
                await self.send(kind, text, after_view, again=again)
            case ("add", name):
                room = self.room("group")
                assert room is not None
                if self.member(room, name) is None:
                    await room.add(self.card(name))
            case ("remove", name):
                room = self.room("group")
                assert room is not None
                if (person := self.member(room, name)) is not None:
                    await room.remove(person)
            case ("refresh",):
                room = self.room("group")
                assert room is not None
                await room.refresh()
            case ("leave",):
                room = self.room("group")
                assert room is not None
                await room.leave()
            case ("pass", seconds):
                self.clock.advance(seconds)
                await self.device.maintain()
            case ("view",):
                await self.view_all()
            case ("show", message):
                await self.view(bytes.fromhex(message))
            case ("copy",) | ("put back",):
                pass  # see `live`
            case ("hold",):
                print("holding", flush=True)
                await asyncio.Event().wait()
            case _:
                await deeds.do(self, act)
                self._points.hit(f"{act[0]}, done")

    async def send(self, kind: str, text: str, after_view: int | None, *, again: bool) -> None:
        """Say something. What was under way when the process died is not said again."""
        if again and any(n["what"] == "sending" and n["text"] == text for n in self.notes()):
            return
        room = self.room(kind)
        if room is None and kind == "direct" and self._died_speaking():
            return  # whoever began the room died before its first word: nobody knows of it
        assert room is not None, f"{self.name} is in no such room"
        own = self.device.identity
        to = [p.identity.fingerprint.hex() for p in room.members if p.identity != own]
        self.journal.note(
            "sending", text=text, to=to, after_view=after_view, now=self.clock.now(), kind=kind
        )
        self._points.hit("say, before")
        message = await room.send(text, after_view=after_view)
        self._points.hit("say, after")
        self.journal.note("sent", text=text, message=message.hex())

    async def view_all(self) -> None:
        """View whatever has not been viewed."""
        seen = {n["message"] for n in self.notes() if n["what"] == "viewed"}
        for message in await self.device.inbox():
            if message.message.id.hex() not in seen:
                await self.view(message.message.id)

    async def view(self, message: bytes) -> None:
        """View one message. What it says is written down as long as it is open."""
        name = message.hex()
        self.journal.note("opening", message=name, now=self.clock.now())
        try:
            async with self.device.message(message).open() as body:
                self._points.hit("shown, before")
                self.journal.note("viewed", message=name, text=body, now=self.clock.now())
                self._points.hit("shown, after")
        except LocalError as error:
            if error.reason is not Reason.EVAPORATED:
                raise
            self.journal.note("gone", message=name)
        self.journal.note("closed", message=name)

    def _died_speaking(self) -> bool:
        """Whether another was killed while it said something in a 1:1 room."""
        for path in self.path.parent.glob(f"*{self.path.suffix}"):
            notes = read_journal(path)
            sent = {note["text"] for note in notes if note["what"] == "sent"}
            under_way = {note["text"] for note in notes
                         if note["what"] == "sending" and note["kind"] == "direct"}  # fmt: skip
            if under_way - sent:
                return True
        return False

    def notes(self) -> list[dict[str, Any]]:
        """All that it has ever written down."""
        return read_journal(self.path)


async def live(
    root: Path, session: Session, target: tuple[str, int] | None = None, *, early: bool = False
) -> None:
    """Carry out a session, or the rest of it."""
    points = Points(target)
    watch_seals(Journal(root / "seals" / f"{session.actor}.jsonl"))
    watch_receipts()
    watch_folder(points)
    if PUT_BACK in session.acts:
        put_back(root, session.actor, session.number)
    clock = ManualClock(session.now)
    actor = Actor(root, session.actor, clock, points, early=early)
    past = {(n["what"], n["at"]) for n in actor.notes() if n["what"] in {"begun", "done"}}
    done = [act for n, act in enumerate(session.acts) if ("done", f"{session.number}/{n}") in past]
    clock.advance(passed(done))
    async with actor:
        for place, act in enumerate(session.acts):
            at = f"{session.number}/{place}"
            if ("done", at) in past:
                continue
            actor.journal.note("begun", at=at)
            await actor.act(act, again=("begun", at) in past)
            points.hit("act, done")
            actor.journal.note("done", at=at)
        await actor.quiet()
    if COPY in session.acts:
        keep_copy(root, session.actor)
    counted = root / "points" / f"{session.number}-{session.actor}.json"
    counted.parent.mkdir(exist_ok=True)
    counted.write_text(json.dumps(points.counts))


def main() -> None:
    root, session, *target = sys.argv[1:]
    chosen = (target[0], int(target[1])) if target else None
    asyncio.run(live(Path(root), Session.load(session), chosen))


if __name__ == "__main__":
    main()
