"""Whether a room converges in which everybody commits at random, and what that costs each member.

    python benchmarks/convergence.py --members 20 --seconds 60 --every 5

lets every member refresh at random, on average once in `--every` seconds of simulated time, and say
something as often, over a relay that delays each envelope by up to `--latency` seconds, reorders,
repeats, and loses connections. Then delivery goes on, nobody asks for commits any more, and it
prints how long it took until all were in one epoch, how many commits were made and lost, and what
a member had to do. Devices, stores and relay are the real ones; only the clock is simulated.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Any

from evanesce import (
    Conversation,
    Device,
    LocalError,
    MemoryStore,
    MemoryTransport,
    Reason,
    primitives,
)
from evanesce.events import Event, MessageArrived, MessagesMissing, Rejected
from evanesce.mailbox import MailboxReader
from evanesce.ports import Delivery, ManualClock, Outgoing, Recall
from evanesce.testing.unreliable import Unreliable

START = 1_700_000_000 - 1_700_000_000 % 3_600
PATIENCE = 3_600  # simulated seconds after which it has not converged
WHO: ContextVar[str] = ContextVar("who", default="")
COUNTED = {
    "crypto_scalarmult": "dh",
    "crypto_sign": "sign",
    "crypto_sign_open": "verify",
}


class Counting:
    """The library below `primitives`, with its calls counted for the device that makes them."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.calls: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.module, name)
        kind = COUNTED.get(name)
        if kind is None:
            return call

        def counted(*args: Any) -> Any:
            self.calls[WHO.get()][kind] += 1
            return call(*args)

        return counted


@contextmanager
def counting() -> Iterator[Counting]:
    """Count while this lasts."""
    module = vars(primitives)["sodium"]
    found = Counting(module)
    vars(primitives)["sodium"] = found
    try:
        yield found
    finally:
        vars(primitives)["sodium"] = module


class Slow:
    """A relay that takes envelopes at once and has them in their mailbox some seconds later."""

    def __init__(self, clock: ManualClock, seed: int, latency: int) -> None:
        self._relay = MemoryTransport(clock)
        self._clock, self._dice, self._latency = clock, Random(seed), latency  # noqa: S311  faults, not secrets
        self._under_way: list[tuple[int, int, Outgoing]] = []
        self.calls = 0
        self.up: defaultdict[str, list[int]] = defaultdict(list)  # sizes
        self.down: defaultdict[str, list[int]] = defaultdict(list)
        self.open_mailbox = self._relay.open_mailbox
        self.close_mailbox = self._relay.close_mailbox
        self.publish = self._relay.publish
        self.claim = self._relay.claim

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        """Take envelopes; each is on its way for a time of its own."""
        for item in batch:
            self.calls += 1
            self.up[WHO.get()].append(len(item.envelope))
            due = self._clock.now() + self._dice.randint(0, self._latency)
            heapq.heappush(self._under_way, (due, self.calls, item))
        await self.pump()
        return {}

    async def pump(self) -> None:
        """Put into their mailboxes what is due."""
        due = []
        while self._under_way and self._under_way[0][0] <= self._clock.now():
            due.append(heapq.heappop(self._under_way)[2])
        if due:
            await self._relay.send(due)

    @property
    def under_way(self) -> int:
        """How many envelopes are on their way."""
        return len(self._under_way)

    async def receive(self, readers: Sequence[MailboxReader]) -> list[Delivery]:
        """Wait for deliveries."""
        found = await self._relay.receive(readers)
        self.calls += 1
        self.down[WHO.get()] += [len(item.envelope) for item in found]
        return found

    async def recall(self, batch: Sequence[Recall]) -> None:
        """Erase envelopes that have come to their mailbox."""
        await self._relay.recall(batch)

    async def ack(self, ids: Sequence[bytes]) -> None:
        """Forget these deliveries."""
        self.calls += 1
        await self._relay.ack(ids)


class Store(MemoryStore):
    """Counts its transactions."""

    transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Count it once it is kept."""
        with super().transaction() as transaction:
            yield transaction
            self.transactions += 1


@dataclass
class Member:
    """One device, and what it has told."""

    name: str
    device: Device
    store: Store
    events: list[Event] = field(default_factory=list)
    room: Conversation | None = None

    @property
    def here(self) -> Conversation:
        """Its handle on the room."""
        assert self.room is not None
        return self.room


@dataclass(frozen=True)
class Settings:
    """What is asked for."""

    members: int
    seconds: int
    every: float
    latency: int
    drop: float
    seed: int


class Room:
    """All members, the relay and the clock."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = ManualClock(START)
        self.relay = Slow(self.clock, settings.seed, settings.latency)
        self.dice = Random(settings.seed)  # noqa: S311  who acts, not secrets
        self.members: list[Member] = []
        self.refused: Counter[str] = Counter()
        self.said = 0

    async def as_member(self, member: Member, call: Callable[[], Awaitable[Any]]) -> bool:
        """Do something on a device, counted as its own; whether it could."""
        token = WHO.set(member.name)
        try:
            await call()
        except LocalError as fault:
            self.refused[fault.reason.value] += 1
            return False
        finally:
            WHO.reset(token)
        return True

    async def say(self, member: Member, text: str) -> bool:
        """One says something; whether it could."""
        return await self.as_member(member, lambda: member.here.send(text))

    async def open(self, stack: AsyncExitStack) -> None:
        """Open the devices and found the room."""
        for number in range(self.settings.members):
            name = f"member {number}"
            token = WHO.set(name)
            faulty = Unreliable(
                self.relay, self.settings.seed + number, duplicate=0.05, reorder=0.5,
                drop=self.settings.drop, replay=0.05,
            )  # fmt: skip
            store = Store()
            random = Random(f"{self.settings.seed} {number}").randbytes  # noqa: S311
            device = Device.open(store, faulty, name=name, clock=self.clock, random=random)
            await stack.enter_async_context(device)
            member = Member(name, device, store)
            self.members.append(member)
            listener = asyncio.create_task(self._listen(member))
            stack.callback(listener.cancel)
            WHO.reset(token)
        first, *others = self.members
        cards = [await member.device.card() for member in others]
        room = await first.device.create_room(cards)
        for _ in range(600):
            await self.step()
            if all(any(r.id == room.id for r in m.device.rooms) for m in self.members):
                break
        for member in self.members:
            member.room = member.device.conversation(room.id)
        await self.rest()

    async def _listen(self, member: Member) -> None:
        async for event in member.device.events():
            member.events.append(event)

    async def step(self) -> None:
        """A second passes."""
        self.clock.advance(1)
        await self.relay.pump()
        quiet, last = 0, -1
        while quiet < 8:
            await asyncio.sleep(0)
            active = self.relay.calls + sum(m.store.transactions for m in self.members)
            quiet, last = (quiet + 1 if active == last else 0), active

    @property
    def converged(self) -> bool:
        """Whether all are in one epoch, and nothing that could change it is on its way."""
        return len({member.here.transcript for member in self.members}) == 1

    async def rest(self) -> int:
        """Wait until all are in one epoch for ten minutes; return after how many seconds."""
        since, waited = 0, 0
        while waited < PATIENCE:
            await self.step()
            waited += 1
            if not self.converged or self.relay.under_way:
                since = waited
            if waited - since >= 600:
                break
        return since

    async def rush(self) -> None:
        """Everybody commits and speaks at random."""
        chance = 1 / self.settings.every
        for _ in range(self.settings.seconds):
            for member in self.members:
                if self.dice.random() < chance:
                    await self.as_member(member, member.here.refresh)
                if self.dice.random() < chance:
                    self.said += await self.say(member, "hello")
            await self.step()

    async def all_talk(self) -> bool:
        """Whether each is heard by all others."""
        for member in self.members:
            member.events.clear()
        for member in self.members:
            await self.say(member, "the end")
            await self.rest()
        return self.read() == len(self.members) * (len(self.members) - 1)

    def read(self) -> int:
        """How many messages of others have been told, by all devices together."""
        return sum(
            len({e.message.id for e in member.events if isinstance(e, MessageArrived)})
            for member in self.members
        )

    def commits(self) -> tuple[int, int]:
        """How many commits were made, and how many of them are on the path."""
        made: set[bytes] = set()
        for member in self.members:
            for epoch in member.device.room(member.here.id).state.epochs.values():
                made |= set(epoch.taken.values())
        return len(made), self.members[0].here.epoch


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, least and most."""
    return {"mean": round(statistics.mean(values), 2), "min": min(values), "max": max(values)}


async def measure(settings: Settings) -> dict[str, Any]:
    """Run it, and tell all figures."""
    room = Room(settings)
    async with AsyncExitStack() as stack:
        with counting() as counted:
            await room.open(stack)
            counted.calls.clear()
            room.relay.up.clear()
            room.relay.down.clear()
            before_made, before_path = room.commits()
            began = time.process_time()
            await room.rush()
            rested = await room.rest()
            spent = time.process_time() - began
            calls = {name: Counter(each) for name, each in counted.calls.items()}
            up, down = dict(room.relay.up), dict(room.relay.down)
        made, path = room.commits()
        converged, read = room.converged, room.read()
        missing = sum(
            isinstance(event, MessagesMissing) for m in room.members for event in m.events
        )
        rejected = Counter(
            event.reason.value for m in room.members for event in m.events
            if isinstance(event, Rejected)
        )  # fmt: skip
        said, heard = room.said, await room.all_talk()
    names = [member.name for member in room.members]
    made, path = made - before_made, path - before_path
    return {
        "settings": vars(settings),
        "converged": converged,
        "all heard": heard,
        "seconds to rest": rested,
        "commits": {"made": made, "on the path": path, "lost": made - path},
        "messages": {"sent": said, "to be read": said * (len(names) - 1), "read": read},
        "refused locally": dict(room.refused),
        "rejected": dict(rejected),
        "gaps told": missing,
        "per member": {
            **{
                kind: spread([calls.get(name, Counter())[kind] for name in names])
                for kind in COUNTED.values()
            },
            "envelopes up": spread([len(up.get(name, [])) for name in names]),
            "envelopes down": spread([len(down.get(name, [])) for name in names]),
            "KiB up": spread([round(sum(up.get(name, [])) / 1024, 1) for name in names]),
            "KiB down": spread([round(sum(down.get(name, [])) / 1024, 1) for name in names]),
            "seconds of CPU": {"mean": round(spent / len(names), 2)},
        },
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--every", type=float, default=5.0)
    parser.add_argument("--latency", type=int, default=5)
    parser.add_argument("--drop", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = vars(parser.parse_args())
    as_json = args.pop("json")
    told = asyncio.run(measure(Settings(**args)))
    if as_json:
        json.dump(told, sys.stdout, indent=2)
        print()
        return
    for key, value in told.items():
        if key != "per member":
            print(f"{key:18} {value}")
    for key, value in told["per member"].items():
        print(f"  {key:16} {value}")


if __name__ == "__main__":
    main()
