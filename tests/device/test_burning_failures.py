"""Burns and receipts while stores fail, devices are killed, and files are looked through."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from evanesce import (
    Conversation,
    Device,
    FolderTransport,
    LocalError,
    MessageArrived,
    MessageBurned,
    MessageViewed,
    SqliteStore,
    State,
    StorageError,
)
from evanesce.ports import ManualClock, Scrubbing
from evanesce.receipts import LONGEST
from tests.device.device_support import NOW, World, check_sealed_once
from tests.device.test_store_failure import Ledger, Play
from tests.device.test_store_failure import ledger as ledger  # noqa: PLC0414  a fixture
from tests.store.store_support import KEY, sealed_row, survivors

ROOT = Path(__file__).parents[2]

# --- a store that fails ---------------------------------------------------------------------------


class Burning(Play):
    """Receipts and burns among three devices; the store of one of them fails as it is told."""

    async def run(self) -> None:
        mina, junho, sora = self.people
        for actor in self.people:
            await self.mend(actor)
        cards = [await self.do(actor, lambda device: device.card()) for actor in (junho, sora)]
        room = (await self.do(mina, lambda device: device.create_room(cards))).id
        await self.settle()
        for actor in self.people:
            await self.do(actor, lambda device: device.conversation(room).set_receipts(True))
        read, regretted = [await self._send(room, text) for text in ("read", "regretted")]
        await self.settle()
        for actor in (junho, sora):
            await self.do(actor, lambda _, a=actor: a.view(a.device.message(read)))  # type: ignore[misc]
        await self.do(mina, lambda device: device.conversation(room).burn(regretted))
        await self.settle()
        late, payload = await self._send_late(room)
        await self.do(mina, lambda device: device.conversation(room).burn(late))
        await self.settle()
        await self.world.put_payload(junho.mailbox(junho.room(room)), payload)
        await self.settle()
        self.world.clock.advance(LONGEST)
        for _ in range(4):  # a device that has failed takes a minute until it sends by itself
            await self.settle()
        await self._check(room, read, regretted, late)
        for actor in self.people:
            await actor.close()

    async def _send(self, room: bytes, text: str) -> bytes:
        return await self.do(self.people[0], lambda device: device.conversation(room).send(text))

    async def _send_late(self, room: bytes) -> tuple[bytes, bytes]:
        """Send something that does not come to Junho yet."""
        relay, junho = self.world.relay, self.people[1]
        relay.paused = True
        before = len(relay.seen)
        message = await self._send(room, "late")
        while len(relay.seen) < before + 2:  # it may be that it was not sent at once
            self.world.clock.advance(60)
            await self.world.settle()
        relay.kept_back |= {seen.envelope for seen in relay.seen[before:]}
        relay.paused = False
        (payload,) = (p for envelope, p in junho.payloads() if envelope in relay.kept_back)
        return message, payload

    async def _check(self, room: bytes, read: bytes, regretted: bytes, late: bytes) -> None:
        mina, junho, sora = self.people
        viewed = [(str(e.by), e.message) for e in mina.told(MessageViewed)]
        assert sorted(viewed) == [("Junho", read), ("Sora", read)]
        report = await self.do(mina, lambda device: device.report(read))
        assert {(r.state, r.viewed) for r in report.recipients} == {(State.CONFIRMED, True)}
        for message in (regretted, late):
            assert (await self.do(mina, lambda device, m=message: device.report(m))).burned  # type: ignore[misc]
        for actor in self.people:
            listed = await self.do(actor, lambda device: device.inbox())
            assert [found.message.id for found in listed] == [read], actor.name
            told = [event.message.id for event in actor.told(MessageArrived)]
            assert len(told) == len(set(told))
            assert late not in told
            gone = [event.message for event in actor.told(MessageBurned)]
            assert gone == ([] if actor is mina else [regretted]), actor.name
        assert not mina.store.named(b"recall/") | mina.store.named(b"outbox/")
        assert not junho.store.named(b"outbox/") | sora.store.named(b"outbox/")
        assert not any(self.people[1].device.engine.receipts._rooms.values())
        recalled = {item.id for item in self.world.relay.recalled}
        assert len(recalled) >= 4, "two copies of two messages"
        check_sealed_once(*self.people)


async def tried(ledger: Ledger, victim: str, failing: set[int]) -> tuple[Burning, str]:
    """Play it once; return what went wrong."""
    play = Burning(ledger, victim, failing)
    problem = ""
    try:
        await play.run()
    except (AssertionError, LocalError, StorageError) as error:
        problem = str(error).splitlines()[0]
    finally:
        for actor in play.people:
            if actor.is_open:
                await actor.close()
    return play, problem


@pytest.mark.parametrize("victim", ["Mina", "Junho"])
async def test_burns_and_receipts_complete_whichever_transaction_fails(
    ledger: Ledger, victim: str
) -> None:
    """REQ-EVAP-12, REQ-EVAP-13, REQ-EVAP-14, REQ-EVAP-15."""
    play, problem = await tried(ledger, victim, set())
    assert not problem
    assert not any(actor.failures for actor in play.people)
    transactions = play.world.actors[victim].store.transactions
    assert transactions > 20
    broken = {}
    for number in range(1, transactions + 1):
        _, problem = await tried(ledger, victim, {number})
        if problem:
            broken[number] = problem
    assert not broken, f"of {transactions} transactions"
    assert all(len(contents) == 1 for contents in ledger.sealed.values())


# --- the files of a store -------------------------------------------------------------------------


@dataclass
class Disk:
    """A device in a folder, and every row that a message of it has had there."""

    folder: Path
    name: str
    clock: ManualClock
    rows: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()

    @property
    def net(self) -> Path:
        return self.folder.parent / "net"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Device, SqliteStore]]:
        """Open it."""
        network = FolderTransport(self.net, self.clock)
        with SqliteStore(self.folder / "device.db", KEY) as store:
            async with Device.open(store, network, name=self.name, clock=self.clock) as device:
                yield device, store

    def note(self, store: SqliteStore, *prefixes: bytes) -> None:
        """Remember what lies in the files now for the records that begin so."""
        with store.transaction() as tx:
            names = [name for prefix in prefixes for name, _ in tx.scan(prefix)]
        assert names
        self.rows += [sealed_row(store, name)[104:] for name in names]
        assert survivors(self.folder, self.rows[-1:]), "it was never in the files"

    @property
    def found(self) -> list[str]:
        """The files that still hold any of it."""
        return survivors(self.folder, self.rows)

    async def die(self, point: str, *what: bytes) -> None:
        """Let it go on in a process of its own, and die there."""
        path = os.pathsep.join([str(ROOT), str(ROOT / "protocol")])
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).with_name("burn_child.py")), str(self.folder),
            str(self.net), str(self.clock.now()), point, *(each.hex() for each in what),
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        try:
            assert await asyncio.wait_for(child.wait(), 30) == -signal.SIGKILL
        finally:
            if child.returncode is None:
                child.kill()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Disk, Disk]:
    clock = ManualClock(NOW)
    return Disk(tmp_path / "mina", "Mina", clock), Disk(tmp_path / "junho", "Junho", clock)


async def meet(mina: Device, junho: Device) -> Conversation:
    room = await mina.create_room([await junho.card()])
    await until(lambda: bool(junho.rooms) and len(mina.engine.rooms[room.id].directory) == 2)
    await until(lambda: junho.engine.meta[room.id].announced)
    return room


async def arrives(device: Device, message: bytes) -> None:
    await until(lambda: message in device.engine.inbox._deadlines)


@pytest.mark.parametrize("point", ["", "before", "after", "end"])
@pytest.mark.parametrize("viewed", [False, True])
async def test_what_another_has_burned_is_in_no_file_also_after_a_kill(
    pair: tuple[Disk, Disk], point: str, viewed: bool
) -> None:
    """REQ-EVAP-15: neither key nor ciphertext, in the database, its log or its journal."""
    one, other = pair
    async with one.open() as (mina, _), other.open() as (junho, store):
        assert isinstance(store, Scrubbing)
        room = await meet(mina, junho)
        message = await room.send("a mistake")
        await arrives(junho, message)
        other.note(store, b"inbox/")
        if viewed:
            async with junho.message(message).open() as body:
                assert body == "a mistake"
            other.note(store, b"inbox/")
        if not point:
            await room.burn(message)
            await until(lambda: message not in junho.engine.inbox._deadlines)
            await asyncio.sleep(0)
            assert other.found == []
            return
    assert other.found, "nothing shows that it matters"
    async with one.open() as (mina, _):
        await mina.conversation(room.id).burn(message)
        await until(lambda: waiting(mina) == 0)
    await other.die(point)
    async with other.open() as (junho, _):
        await until(lambda: message not in junho.engine.inbox._deadlines)
        assert await junho.inbox() == []
    assert other.found == []


def waiting(device: Device) -> int:
    with device.store.transaction() as tx:
        return len(device.engine.outbox.waiting(tx))


@pytest.mark.parametrize("point", ["", "before", "after", "end"])
async def test_what_one_has_burned_is_in_none_of_ones_own_files(
    pair: tuple[Disk, Disk], point: str
) -> None:
    """REQ-EVAP-14: neither the own copy nor what was still to be sent."""
    one, other = pair
    async with one.open() as (mina, store), other.open() as (junho, _):
        room = await meet(mina, junho)
        first = await room.send("a mistake, and it has come")
        await arrives(junho, first)
        with FolderDown(one.net):
            second = await room.send("a mistake that lies here")
            one.note(store, b"inbox/", b"outbox/")
            if not point:
                await room.burn(first, second)
                assert one.found == []
                return
    with FolderDown(one.net):
        await one.die(point, room.id, second)
        async with one.open() as (mina, _):
            if point == "before":
                await mina.conversation(room.id).burn(second)
            assert (await mina.report(second)).burned
            await mina.conversation(room.id).burn(first)
    assert one.found == []


class FolderDown:
    """While it is entered, nothing can be put into a folder."""

    def __init__(self, net: Path) -> None:
        self._net = net
        self._aside = net.with_name("aside")

    def __enter__(self) -> None:
        self._net.rename(self._aside)
        self._net.write_text("not a folder")

    def __exit__(self, *_: object) -> None:
        self._net.unlink()
        self._aside.rename(self._net)


async def test_a_tombstone_survives_a_kill(world: World) -> None:
    """REQ-EVAP-15: what was committed is all there is."""
    mina, junho = await world.open("Mina"), await world.open("Junho")
    room = await world.group(mina, junho)
    world.relay.paused = True
    message = await room.send("a mistake")
    world.relay.keep_back_last()
    payload = next(p for e, p in junho.payloads() if e in world.relay.kept_back)
    await room.burn(message)
    await world.settle()
    copy = junho.store.contents()
    await junho.close()
    junho.store = type(junho.store)(copy)
    await junho.open()
    await world.put_payload(junho.mailbox(room), payload)
    assert await junho.heard() == []
