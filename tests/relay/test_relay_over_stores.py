"""The relay over the stores that are used: SQLite, and NATS JetStream with two relays at once."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from evanesce.errors import Reason, RemoteError
from evanesce.primitives import H
from evanesce.relay.clock import RelayClock
from evanesce.relay.keys import RelayKeys
from evanesce.relay.nats_rows import NatsPromises, NatsRows
from evanesce.relay.relay import Cursor, Relay
from evanesce.relay.rows import RelayStore
from evanesce.relay.settings import RelaySettings
from evanesce.relay.sqlite_rows import SqliteRows
from tests.relay.nats_cluster import NatsCluster
from tests.relay.relay_support import all_of, ids_of, make, new_id, put, taken

PREFIXES = (f"relay{number}" for number in itertools.count())


class Relays:
    """Two relays on one store, or one relay twice where only one may have it open."""

    def __init__(self, folder: Path, store: Callable[[], RelayStore], *, shared: bool) -> None:
        self._folder, self._store, self._shared = folder, store, shared
        self.one: Relay
        self.other: Relay

    async def start(self) -> None:
        self.one = await self._relay()
        self.other = await self._relay() if self._shared else self.one

    async def stop(self) -> None:
        await self.one.stop()
        if self._shared:
            await self.other.stop()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def _relay(self) -> Relay:
        keys = RelayKeys.open(self._folder / "keys")
        clock, settings = RelayClock(keys.last_hour), RelaySettings(mailboxes=500)
        relay = Relay(self._store(), keys, clock, settings)
        await relay.start()
        return relay


@pytest.fixture(params=["sqlite", "nats"])
async def relays(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Relays]:
    if request.param == "sqlite":
        made = Relays(tmp_path, lambda: SqliteRows(tmp_path / "data"), shared=False)
    else:
        cluster: NatsCluster = request.getfixturevalue("nats_cluster")
        prefix = next(PREFIXES)
        promises = NatsPromises(monitors=cluster.monitors, encrypted="chacha")
        made = Relays(
            tmp_path,
            lambda: NatsRows(cluster.urls, promises=promises, prefix=prefix, streams=2),
            shared=True,
        )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def refused(work: object) -> Reason:
    with pytest.raises(RemoteError) as caught:
        await work  # type: ignore[misc]
    return caught.value.reason


async def test_a_relay_does_over_a_real_store_what_it_does_in_memory(relays: Relays) -> None:
    one, other = relays.one, relays.other
    boxes = await make(one, 12)
    ids = [new_id() for _ in range(6)]
    outcomes = await asyncio.gather(
        *(put(relay, box, *ids) for box in boxes for relay in (one, other))
    )
    assert all(map(taken, outcomes))
    for box in boxes:
        assert sorted(await ids_of(one, box)) == sorted(await ids_of(other, box)) == sorted(ids)
    [first, *rest] = boxes
    await one.ack(first.address, ids[:2])
    assert taken(await other.recall([first.recalled(ids[2]), first.recalled(late := new_id())]))
    assert await other.leave_notice(first.address, b"statement")
    blob = secrets.token_bytes(100_000)
    await one.put_blob(H(b"blob token", bytes(16)), blob)
    await relays.restart()
    one, other = relays.one, relays.other
    assert taken(await put(one, first, *ids, late))
    found = await all_of(other, first)
    assert [item.id for item in found if item.is_notice] == [found[0].id]
    assert sorted(item.id for item in found[1:]) == sorted(ids[3:])
    await one.ack(first.address, [item.id for item in found])
    assert await all_of(one, first) == await all_of(other, first) == []
    await one.remove_mailbox(rest[0].address)
    assert await refused(one.fetch(rest[0].address, Cursor(), 9, 9)) is Reason.UNKNOWN_MAILBOX
    assert await other.blob(H(b"blob", blob)) == blob
    await other.delete_blob(H(b"blob", blob), bytes(16))
    assert await refused(one.blob(H(b"blob", blob))) is Reason.UNKNOWN_BLOB


async def test_what_is_put_at_one_relay_wakes_who_watches_at_the_other(relays: Relays) -> None:
    [box] = await make(relays.one)
    cursor, woken = Cursor(), asyncio.Event()
    assert await ids_of(relays.other, box, cursor) == []
    relays.other.watch(box.address, woken.set)
    started = time.monotonic()
    item = new_id()
    assert taken(await put(relays.one, box, item))
    async with asyncio.timeout(5):
        await woken.wait()
    assert await ids_of(relays.other, box, cursor) == [item]
    assert time.monotonic() - started < 5
