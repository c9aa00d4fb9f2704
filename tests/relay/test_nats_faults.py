"""Servers that die, freeze or lose answers: nothing answered is lost, nothing hangs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from evanesce.limits import HOUR
from evanesce.relay import nats_link
from evanesce.relay.nats_link import Answer, Lost, NatsLink
from evanesce.relay.nats_rows import NatsPromises, NatsRows
from evanesce.relay.rows import REMAINDER_BYTES, Place, Row, StoreFailure
from tests.relay.nats_cluster import NatsCluster, Server

LONG = os.environ.get("EVANESCE_PROFILE") == "long"
PATIENCE = 12.0  # seconds; servers choose a new leader in 4 to 9
NEXT = int(time.time()) // HOUR + 50


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Three servers that may be killed; each test leaves them running."""
    with NatsCluster(tmp_path_factory.mktemp("nats")) as servers:
        yield servers


@asynccontextmanager
async def in_thread(cluster: NatsCluster) -> AsyncIterator[NatsCluster]:
    """A cluster of one test."""
    await asyncio.to_thread(cluster.__enter__)
    try:
        yield cluster
    finally:
        cluster.stop_all()


@asynccontextmanager
async def store_on(
    cluster: NatsCluster, prefix: str, patience: float = PATIENCE, **settings: Any
) -> AsyncIterator[NatsRows]:
    """A store that has been started."""
    promises = NatsPromises(monitors=cluster.monitors, encrypted="chacha")
    urls = settings.pop("urls", cluster.urls)
    store = NatsRows(
        urls, prefix=prefix, promises=promises, streams=2, patience=patience, **settings
    )
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


def row(size: int = 400) -> Row:
    """A new row."""
    return Row(Place(NEXT, os.urandom(16)), os.urandom(size))


def remainder(of: Row) -> Row:
    """What is to be left of a row."""
    return Row(of.place, os.urandom(REMAINDER_BYTES))


@dataclass
class Load:
    """Adds and blanks that go on, what was answered, and how long the slowest call took."""

    store: NatsRows
    added: dict[Place, bytes] = field(default_factory=dict)  # what an answered read must give
    unsure: set[Place] = field(default_factory=set)  # being blanked when the call failed
    failures: int = 0
    slowest: float = 0.0
    last: float = 0.0  # when a call last succeeded
    ending: bool = False

    async def run(self) -> None:
        """Work until `ending`."""
        await asyncio.gather(*(self._work(random.Random(seed)) for seed in range(12)))

    async def _work(self, dice: random.Random) -> None:
        while not self.ending:
            rows = [row(dice.choice([100, 600, 5_000])) for _ in range(dice.randint(1, 8))]
            added = await self._call(self.store.add(rows))
            if added is None:
                continue
            assert all(added), "a free place was refused"
            self.added |= {one.place: one.data for one in rows}
            left = [remainder(one) for one in rows[::2]]
            self.unsure |= {one.place for one in left}
            blanked = await self._call(self.store.blank(left))
            if blanked is not None:
                assert all(blanked), "a row that was added could not be blanked"
                self.added |= {one.place: one.data for one in left}
                self.unsure -= {one.place for one in left}
            await asyncio.sleep(0.01)

    async def _call(self, call: Awaitable[list[bool]]) -> list[bool] | None:
        started = time.monotonic()
        try:
            done = await call
            self.last = time.monotonic()
            return done
        except StoreFailure:
            self.failures += 1
            return None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - started)

    async def nothing_is_lost(self, *stores: NatsRows) -> None:
        """What was answered is there, and what was answered as blank is blank."""
        sure = [place for place in self.added if place not in self.unsure]
        assert len(sure) > 100
        for store in stores:
            found = await store.read(sure)
            lost = [place for place, data in zip(sure, found, strict=True)
                    if data != self.added[place]]  # fmt: skip
            assert not lost, f"{len(lost)} of {len(sure)} are not as they were answered"
            doubtful = await store.read(list(self.unsure))
            assert None not in doubtful, "an added row is gone"


@asynccontextmanager
async def under(load: Load) -> AsyncIterator[None]:
    """Load meanwhile."""
    task = asyncio.create_task(load.run())
    try:
        yield
    finally:
        load.ending = True
        async with asyncio.timeout(3 * PATIENCE):
            await task


async def goes_on(load: Load, seconds: float) -> None:
    """Calls succeed again within this time."""
    async with asyncio.timeout(seconds):
        now = time.monotonic()
        while load.last <= now + 0.5:
            await asyncio.sleep(0.1)


def leader(cluster: NatsCluster, stream: str) -> Server:
    """Who leads a stream."""
    found = cluster.leader(stream)
    assert found is not None
    return found


async def test_killing_the_leader_under_load_loses_nothing_that_was_answered(
    cluster: NatsCluster,
) -> None:
    rounds = 6 if LONG else 1
    async with store_on(cluster, "lead") as store:
        load = Load(store)
        async with under(load):
            await asyncio.sleep(1)
            for number in range(rounds):
                victim = leader(cluster, f"lead-rows-{number % 2}")
                cluster.kill(victim)
                await goes_on(load, 2 * PATIENCE)
                cluster.restart(victim)
                await asyncio.to_thread(cluster.wait_ready)
                await goes_on(load, 2 * PATIENCE)
        assert load.slowest < PATIENCE + 2
        async with store_on(cluster, "lead", urls=[victim.url]) as other:
            await load.nothing_is_lost(store, other)
            assert await store.forget(NEXT) >= len(load.added)


@pytest.mark.parametrize("size", [1, 3] if LONG else [1])
async def test_when_all_servers_are_killed_calls_fail_in_time_and_go_on_afterwards(
    tmp_path: Path, size: int
) -> None:
    patience = 2.0
    async with (
        in_thread(NatsCluster(tmp_path, size)) as cluster,
        store_on(cluster, "all", patience, replicas=size) as store,
    ):
        load = Load(store)
        async with under(load):
            await asyncio.sleep(1)
            cluster.stop_all()
            await asyncio.sleep(patience + 0.5)
            assert load.failures > 0
            before = load.failures
            for server in cluster.servers:
                cluster.restart(server)
            await asyncio.to_thread(cluster.wait_ready)
            await goes_on(load, 30)
        assert before > 0
        assert load.slowest < patience + 2
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(StoreFailure):
                    await load.nothing_is_lost(store)
                    break


async def test_a_server_that_stops_answering_is_left(
    cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection stays open: it is noticed by pings, and calls go on elsewhere."""
    monkeypatch.setattr(nats_link, "PING_SECONDS", 0.3)
    async with store_on(cluster, "half") as store:
        link = store._opened()[0]
        leading = {leader(cluster, name).name for name in store._names.all_streams()}
        async with asyncio.timeout(10):  # to one that leads nothing here, if there is one
            for _ in range(30):
                if link.info["server_name"] not in leading:
                    break
                await link.elsewhere()
                await asyncio.sleep(0.1)
                await link.ready(asyncio.get_running_loop().time() + 5)
        frozen = next(s for s in cluster.servers if s.name == link.info["server_name"])
        cluster.freeze(frozen)
        try:
            new = row()
            assert await store.add([new]) == [True]
            assert await store.read([new.place]) == [new.data]
            assert link.info["server_name"] != frozen.name
        finally:
            cluster.thaw(frozen)


# Answers that are lost: the deed is done, and the asker does not know


class Bent:
    """Between the store and its link: what happens to the first answers of writes to places."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lose = 0  # so many answers do not come
        self.refuse = 0  # after them, so many writes are answered "wrong last sequence", unsent
        self.meanwhile: Callable[[], Awaitable[object]] | None = None  # before the loss is noticed
        self.sent: list[dict[str, str]] = []
        self._ask = NatsLink.ask
        bent = self

        async def ask(
            link: NatsLink, subject: str, data: bytes = b"", headers: dict[str, str] | None = None
        ) -> asyncio.Future[list[Answer]]:
            return await bent.ask(link, subject, data, headers)

        monkeypatch.setattr(NatsLink, "ask", ask)

    async def ask(
        self, link: NatsLink, subject: str, data: bytes, headers: dict[str, str] | None
    ) -> asyncio.Future[list[Answer]]:
        """As `NatsLink.ask`."""
        if headers is None or "Nats-Msg-Id" not in headers:
            return await self._ask(link, subject, data, headers)
        self.sent.append(headers)
        told: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        if self.lose > 0:
            self.lose -= 1
            await (await self._ask(link, subject, data, headers))
            if self.meanwhile is not None:
                meanwhile, self.meanwhile = self.meanwhile, None
                later, self.refuse = self.refuse, 0
                await meanwhile()
                self.refuse = later
            told.set_exception(Lost())
            return told
        if self.refuse > 0:
            self.refuse -= 1
            error = {"code": 400, "err_code": 10071, "description": "wrong last sequence: 1"}
            told.set_result([Answer({}, json.dumps({"error": error}).encode())])
            return told
        return await self._ask(link, subject, data, headers)


@pytest.fixture
def bent(monkeypatch: pytest.MonkeyPatch) -> Bent:
    """Answers go lost as a test wants."""
    return Bent(monkeypatch)


@pytest.mark.parametrize("known", [True, False], ids=["known", "forgotten"])
async def test_writes_whose_answers_were_lost_are_still_this_callers(
    cluster: NatsCluster, bent: Bent, known: bool
) -> None:
    """Whether the server knows the message id again, or only what is there can tell."""
    async with store_on(cluster, f"lost-{known}".lower()) as store:
        new = row()
        bent.lose, bent.refuse = 1, 0 if known else 1
        assert await store.add([new]) == [True]
        assert bent.sent[0]["Nats-Msg-Id"] == bent.sent[1]["Nats-Msg-Id"]
        assert await store.add([new]) == [False]
        assert (await store.usage()).rows == 1
        left = remainder(new)
        bent.lose, bent.refuse = 2, 0 if known else 1
        assert await store.blank([left]) == [True]
        assert await store.blank([remainder(new)]) == [False]
        assert await store.read([new.place]) == [left.data]
        bent.lose, bent.refuse = 1, 0 if known else 1
        assert await store.swap(3, 0, b"one")
        assert await store.swap(3, 0, b"two") is False
        assert (await store.bucket(3))[1] == b"one"


async def test_a_row_that_was_blanked_before_its_lost_answer_is_asked_for_again(
    cluster: NatsCluster, bent: Bent
) -> None:
    """Its place holds another's remainder by then; it was added all the same, and stays blank."""
    async with store_on(cluster, "acked") as store, store_on(cluster, "acked") as other:
        new = row()
        left = remainder(new)
        bent.lose, bent.refuse = 1, 1
        bent.meanwhile = lambda: other.blank([left])
        assert await store.add([new]) == [True]
        assert await store.read([new.place]) == [left.data]


async def test_a_place_that_another_took_meanwhile_is_not_this_callers(
    cluster: NatsCluster, bent: Bent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that got lost on the way, before the same place was taken by another."""
    async with store_on(cluster, "other") as store, store_on(cluster, "other") as other:
        mine = row()
        theirs = Row(mine.place, os.urandom(50))
        ask, lost = NatsLink.ask, list[str]()

        async def swallowed(link: NatsLink, subject: str, *more: Any) -> Any:
            if link is store._opened()[0] and ".r." in subject and not lost:
                lost.append(subject)
                assert await other.add([theirs]) == [True]
                told = asyncio.get_running_loop().create_future()
                told.set_exception(Lost())
                return told
            return await ask(link, subject, *more)

        monkeypatch.setattr(NatsLink, "ask", swallowed)
        assert await store.add([mine]) == [False]
        assert lost
        assert await store.read([mine.place]) == [theirs.data]


async def test_a_bucket_that_was_swapped_again_meanwhile_cannot_be_told(
    cluster: NatsCluster, bent: Bent
) -> None:
    async with store_on(cluster, "again") as store, store_on(cluster, "again") as other:

        async def next_swap() -> None:
            assert await other.swap(0, (await other.bucket(0))[0], b"later")

        bent.lose, bent.refuse, bent.meanwhile = 1, 1, next_swap
        with pytest.raises(StoreFailure):
            await store.swap(0, 0, b"mine")
        assert (await store.bucket(0))[1] == b"later"


if LONG:  # they freeze servers, and wait for elections

    async def test_a_follower_that_lags_tells_nothing_old(cluster: NatsCluster) -> None:
        """It sleeps while rows are added and blanked; a read waits at its door when it wakes up."""
        async with store_on(cluster, "lags") as here:
            stream = here._names.stream(0)
            leading = leader(cluster, stream)
            follower = next(server for server in cluster.servers if server is not leading)
            others = [server.url for server in cluster.servers if server is not follower]
            async with (
                store_on(cluster, "lags", urls=[follower.url]) as there,
                store_on(cluster, "lags", urls=others) as writer,
            ):
                await asyncio.sleep(
                    2.5
                )  # followers answer reads two seconds after a stream was made
                for _ in range(4):
                    rows = [Row(Place(NEXT, bytes(1) + os.urandom(15)), b"old") for _ in range(20)]
                    assert all(await writer.add(rows[:10]))
                    cluster.freeze(follower)
                    try:
                        assert all(await writer.add(rows[10:]))
                        left = [remainder(one) for one in rows]
                        assert all(await writer.blank(left))
                        read = asyncio.create_task(there.read([one.place for one in rows]))
                        await asyncio.sleep(0.05)
                    finally:
                        cluster.thaw(follower)
                    assert await read == [one.data for one in left]

    async def test_a_leader_that_was_replaced_while_it_slept_answers_nothing_old(
        cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It wakes up believing that it leads, with a client still connected to it."""
        monkeypatch.setattr(nats_link, "PING_SECONDS", 60)
        async with store_on(cluster, "slept") as first:
            new = [row() for _ in range(50)]
            assert all(await first.add(new))
            await asyncio.sleep(2.5)
            old = leader(cluster, "slept-rows-0")
            others = [server.url for server in cluster.servers if server is not old]
            async with (
                store_on(cluster, "slept", urls=[old.url], patience=20) as there,
                store_on(cluster, "slept", urls=others, patience=30) as here,
            ):
                cluster.freeze(old)
                try:
                    left = [remainder(one) for one in new]
                    assert all(await here.blank(left))
                finally:
                    cluster.thaw(old)
                found = await there.read([one.place for one in new])
                assert found == [one.data for one in left]
