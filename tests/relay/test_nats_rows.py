"""The store on NATS JetStream: the suite of stores, three replicas, and what it refuses to use."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from evanesce.errors import LocalError, Reason
from evanesce.limits import HOUR
from evanesce.relay import nats_reads, nats_rows
from evanesce.relay.clock import RelayClock
from evanesce.relay.nats_reads import NatsReads
from evanesce.relay.nats_rows import NatsCredentials, NatsPromises, NatsRows, StoreFull
from evanesce.relay.nats_streams import Names, settings_of
from evanesce.relay.rows import REMAINDER_BYTES, Place, Row, StoreFailure
from evanesce.testing.relay_store import RELAY_STORE_CHECKS, Connect, check_relay_store
from tests.relay.nats_cluster import NatsCluster

EXAMPLES = 60 if os.environ.get("EVANESCE_PROFILE") == "long" else 4
PREFIXES = (f"t{number}" for number in itertools.count())
NEXT = int(time.time()) // HOUR + 1


def rows_on(cluster: NatsCluster, prefix: str, **settings: Any) -> NatsRows:
    """A store on a cluster that keeps its promises."""
    settings.setdefault("promises", NatsPromises(monitors=cluster.monitors, encrypted="chacha"))
    settings.setdefault("streams", 2)
    settings.setdefault("urls", cluster.urls)
    return NatsRows(prefix=prefix, **settings)


def row(hour: int = NEXT + 50, size: int = 300, first: int | None = None) -> Row:
    """A new row; `first` is the first byte of its name."""
    name = os.urandom(16)
    return Row(Place(hour, name if first is None else bytes([first]) + name[1:]), os.urandom(size))


def remainder(of: Row) -> Row:
    """What is to be left of a row."""
    return Row(of.place, os.urandom(REMAINDER_BYTES))


async def api(cluster: NatsCluster, subject: str, body: object = None) -> dict[str, Any]:
    """Ask JetStream, as the operator may."""
    client = Client()
    await client.connect(cluster.urls, allow_reconnect=False)
    data = b"" if body is None else json.dumps(body).encode()
    answer = await client.request(f"$JS.API.{subject}", data, timeout=10)
    await client.close()
    reply: dict[str, Any] = json.loads(answer.data)
    return reply


@asynccontextmanager
async def opened(store: NatsRows) -> AsyncIterator[NatsRows]:
    """Started, and stopped in the end."""
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


@pytest.mark.parametrize("check", RELAY_STORE_CHECKS)
async def test_three_replicas_pass_the_suite_of_stores(
    nats_cluster: NatsCluster, check: str
) -> None:
    @asynccontextmanager
    async def make() -> AsyncIterator[Connect]:
        prefix = next(PREFIXES)
        yield lambda: rows_on(nats_cluster, prefix)
        for name in Names(prefix, 2).all_streams():
            assert (await api(nats_cluster, f"STREAM.DELETE.{name}")).get("success")

    await check_relay_store(make, only=check, examples=EXAMPLES)


async def test_each_row_is_on_three_servers(nats_cluster: NatsCluster) -> None:
    prefix = next(PREFIXES)
    async with opened(rows_on(nats_cluster, prefix)) as store:
        assert await store.add([row(first=0)]) == [True]
        info = await api(nats_cluster, f"STREAM.INFO.{prefix}-rows-0")
    assert info["config"]["num_replicas"] == 3
    assert {info["cluster"]["leader"], *(r["name"] for r in info["cluster"]["replicas"])} == {
        "s0", "s1", "s2",
    }  # fmt: skip


# Reads


async def test_a_read_at_any_server_sees_what_was_answered_at_another(
    nats_cluster: NatsCluster,
) -> None:
    """Followers answer reads, and lag: each row is read elsewhere as soon as it is added."""
    prefix = next(PREFIXES)
    stores = [rows_on(nats_cluster, prefix, urls=[url]) for url in nats_cluster.urls]
    for store in stores:
        await store.start()
    await asyncio.sleep(2.5)  # followers answer reads two seconds after a stream was made
    for _ in range(40):
        new = row(size=100)
        assert await stores[0].add([new]) == [True]
        assert [await s.read([new.place]) for s in stores[1:]] == [[new.data]] * 2
        left = remainder(new)
        assert await stores[1].blank([left]) == [True]
        assert [await s.read([new.place]) for s in stores] == [[left.data]] * 3
    for store in stores:
        await store.stop()


async def test_a_replica_that_is_behind_is_not_believed(
    nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a fence had been answered that has reached no replica: no answer, not "nothing"."""
    monkeypatch.setattr(nats_reads, "PATIENCE_WITH_A_REPLICA", 0.3)
    async with opened(rows_on(nats_cluster, next(PREFIXES), patience=1.5)) as store:
        new = row()
        assert await store.add([new]) == [True]
        write = nats_reads._Fences._write

        async def far_ahead(
            self: nats_reads._Fences, before: asyncio.Task[int] | None, deadline: float
        ) -> int:
            return await write(self, before, deadline) + 10

        with monkeypatch.context() as patch:
            patch.setattr(nats_reads._Fences, "_write", far_ahead)
            with pytest.raises(StoreFailure):
                await store.read([new.place, row().place])
        connects = store._opened()[0].connects
        assert connects > 1  # it has tried other servers
        assert await store.read([new.place]) == [new.data]


async def test_reads_at_the_same_time_share_a_fence_and_a_question(
    nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(rows_on(nats_cluster, next(PREFIXES), streams=1)) as store:
        rows = [row() for _ in range(60)]
        assert all(await store.add(rows))
        asked: list[int] = []
        ask = NatsReads._ask

        async def noted(self: NatsReads, stream: Any, subjects: Any, *rest: Any) -> Any:
            asked.append(len(subjects))
            return await ask(self, stream, subjects, *rest)

        monkeypatch.setattr(NatsReads, "_ask", noted)
        found = await asyncio.gather(*(store.read([one.place, row().place]) for one in rows))
        assert found == [[one.data, None] for one in rows]
        assert sum(asked) == 120
        assert len(asked) <= 2
        # One of them that is given up does not end the others.
        one, *others = [asyncio.create_task(store.read([each.place])) for each in rows[:5]]
        await asyncio.sleep(0)
        one.cancel()
        assert await asyncio.gather(*others) == [[each.data] for each in rows[1:5]]


async def test_what_was_added_or_read_is_blanked_without_looking_and_only_once(
    nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = next(PREFIXES)
    async with (
        opened(rows_on(nats_cluster, prefix)) as one,
        opened(rows_on(nats_cluster, prefix)) as other,
    ):
        rows = [row() for _ in range(6)]
        assert all(await one.add(rows))
        assert await other.read([each.place for each in rows[:2]]) == [r.data for r in rows[:2]]
        looked: list[int] = []
        last = NatsReads.last

        async def noted(self: NatsReads, stream: Any, subjects: Any, deadline: float) -> Any:
            looked.append(len(subjects))
            return await last(self, stream, subjects, deadline)

        monkeypatch.setattr(NatsReads, "last", noted)
        assert await other.blank([remainder(each) for each in rows[:2]]) == [True, True]
        assert await one.blank([remainder(each) for each in rows[2:4]]) == [True, True]
        assert looked == []
        # The first two have been blanked meanwhile; one stands here twice; one was never known.
        last_two = [remainder(each) for each in (rows[0], rows[4], rows[1], rows[4], row())]
        assert await one.blank(last_two) == [False, True, False, False, False]
        assert await other.blank([remainder(rows[5])]) == [True]
        assert sum(looked) == 5


async def test_those_who_listen_are_told_when_something_may_have_been_missed(
    nats_cluster: NatsCluster,
) -> None:
    async with opened(rows_on(nats_cluster, next(PREFIXES))) as store:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        store.listen(heard.put_nowait)
        await store.wake([b"tag"])
        assert await asyncio.wait_for(heard.get(), 5) == b"tag"
        store._opened()[0]._lost()
        assert await asyncio.wait_for(heard.get(), 10) == b""
        await store.wake([b"tag"])
        assert await asyncio.wait_for(heard.get(), 5) == b"tag"


async def test_reads_larger_than_one_answer_come_whole(
    nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_reads, "BATCH_BYTES", 40_000)
    monkeypatch.setattr(nats_reads, "AT_ONCE", 70)
    async with opened(rows_on(nats_cluster, next(PREFIXES))) as store:
        rows = [row(size=5_000) for _ in range(200)]
        assert all(await store.add(rows))
        none = [row().place for _ in range(40)]
        found = await store.read([*none, *(one.place for one in rows)])
    assert found == [None] * 40 + [one.data for one in rows]


# Forgetting


async def test_hours_that_passed_while_no_relay_ran_are_forgotten(
    nats_cluster: NatsCluster,
) -> None:
    """Any number of hours, years apart: what is later stays."""
    prefix = next(PREFIXES)
    early = [row(hour) for hour in (0, 9, 10, 99, NEXT - 4_000, NEXT - 11, NEXT - 1, NEXT)]
    late = [row(hour) for hour in (NEXT + 1, NEXT + 9, NEXT + 100, 9_999_999)]
    async with opened(rows_on(nats_cluster, prefix)) as store:
        assert all(await store.add([*early, *late]))
        await store.blank([remainder(early[0])])
    async with opened(rows_on(nats_cluster, prefix)) as store:
        assert await store.forget(NEXT) == len(early)
        found = await store.read([one.place for one in (*early, *late)])
        assert found == [None] * len(early) + [one.data for one in late]
        assert await store.forget(NEXT) == 0


async def test_the_servers_drop_a_row_that_no_relay_forgets(
    nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_rows, "LIVES_ON", 1)  # seconds after its hour
    async with opened(rows_on(nats_cluster, next(PREFIXES))) as store:
        old, blank, late = row(NEXT - 1), row(NEXT - 1), row(NEXT + 1)
        assert all(await store.add([old, blank, late]))
        assert await store.blank([remainder(blank)]) == [True]
        async with asyncio.timeout(10):
            while await store.read([old.place, blank.place]) != [None, None]:
                await asyncio.sleep(0.1)
        assert await store.read([late.place]) == [late.data]
        assert (await store.usage()).rows == 1


async def test_a_jump_of_the_time_of_day_shortens_no_life(nats_cluster: NatsCluster) -> None:
    """A row that is written when the clock is set two days ahead is to live as long as before."""
    prefix = next(PREFIXES)
    day = [0]
    clock = RelayClock(wall=lambda: time.time() + day[0])
    async with opened(rows_on(nats_cluster, prefix, streams=1, clock=clock)) as store:
        rows = [row(), row()]
        assert await store.add(rows[:1]) == [True]
        day[0] = 48 * HOUR
        assert await store.add(rows[1:]) == [True]
        lives = []
        for one in rows:
            request = {"last_by_subj": store._names.row(one.place)}
            reply = await api(nats_cluster, f"STREAM.MSG.GET.{prefix}-rows-0", request)
            headers = base64.b64decode(reply["message"]["hdrs"]).decode()
            lives.append(int(headers.partition("Nats-TTL: ")[2].partition("\r")[0]))
    left = rows[0].place.hour * HOUR - time.time() + nats_rows.LIVES_ON
    assert all(abs(one - left) < 60 for one in lives), lives


# Erasing


def hold(cluster: NatsCluster, data: bytes) -> list[str]:
    """Servers with these bytes in the files of a stream (the log of Raft is another matter)."""
    return [
        server.name
        for server in cluster.servers
        if any(data in path.read_bytes() for path in server.folder.rglob("streams/*/msgs/*.blk"))
    ]


async def test_a_blanked_row_is_overwritten_on_every_replica(tmp_path: Path) -> None:
    """Without encryption, so that it can be seen: then the files of the stream lack the bytes."""
    with NatsCluster(tmp_path, key=None) as cluster:
        async with opened(rows_on(cluster, "p")) as store:
            new, other = row(), row()
            assert all(await store.add([new, other]))
            first, second = os.urandom(512), os.urandom(512)
            assert await store.swap(7, 0, first)
            await until(
                lambda: hold(cluster, new.data) == hold(cluster, first) == ["s0", "s1", "s2"]
            )
            left = remainder(new)
            assert await store.blank([left]) == [True]
            assert await store.swap(7, (await store.bucket(7))[0], second)
            await until(lambda: not hold(cluster, new.data) and not hold(cluster, first))
            for kept in (left.data, other.data, second):
                assert hold(cluster, kept) == ["s0", "s1", "s2"]


async def until(true: Callable[[], bool]) -> None:
    """Replicas follow within moments."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.05)


async def test_an_encrypted_server_has_no_bytes_of_a_row_in_any_file(
    nats_cluster: NatsCluster,
) -> None:
    async with opened(rows_on(nats_cluster, next(PREFIXES))) as store:
        new = row()
        assert await store.add([new]) == [True]
        await asyncio.sleep(0.3)
    names = [new.place.name.hex().encode(), ".".join(f"{new.place.hour:07d}").encode()]
    for server in nats_cluster.servers:
        for path in server.folder.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert new.data[:16] not in data
                assert not any(name in data for name in names), path


async def test_an_erasure_that_was_cut_off_is_finished_at_the_next_start(
    nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = next(PREFIXES)

    async def stored() -> list[int]:
        return [
            (await api(nats_cluster, f"STREAM.INFO.{name}", {"subjects_filter": pattern}))["state"][
                "messages"
            ] - sum(fences)
            for name, pattern, fences in [
                (name, Names(prefix, 2).fence(number), await fences_of(name, number))
                for name, number in ((f"{prefix}-rows-0", 0), (f"{prefix}-table", None))
            ]
        ]  # fmt: skip

    async def fences_of(name: str, number: int | None) -> list[int]:
        request = {"subjects_filter": Names(prefix, 2).fence(number)}
        state = (await api(nats_cluster, f"STREAM.INFO.{name}", request))["state"]
        return list((state.get("subjects") or {}).values())

    async def killed(*_: object) -> None:
        raise StoreFailure("cut off")

    first, second = row(first=0), row(first=0)
    left = remainder(first)
    async with opened(rows_on(nats_cluster, prefix)) as store:
        assert all(await store.add([first, second]))
        assert await store.swap(1, 0, b"one")
        with monkeypatch.context() as patch:
            patch.setattr("evanesce.relay.nats_erase.NatsErase.erase", killed)
            with pytest.raises(StoreFailure):
                await store.blank([left])
            with pytest.raises(StoreFailure):
                await store.swap(1, (await store.bucket(1))[0], b"two")
        assert await stored() == [3, 2]
    async with opened(rows_on(nats_cluster, prefix)) as store:
        assert await stored() == [2, 1]
        assert await store.read([first.place, second.place]) == [left.data, second.data]
        assert (await store.bucket(1))[1] == b"two"
        assert await store.add([first]) == [False]


# A full store


async def test_a_full_store_refuses_rows_and_discards_none(nats_cluster: NatsCluster) -> None:
    bound = 1 << 20
    async with opened(rows_on(nats_cluster, next(PREFIXES), max_bytes=bound)) as store:
        kept: list[Row] = []
        with pytest.raises(StoreFull):
            for _ in range(100):
                new = row(size=20_000)
                assert await store.add([new]) == [True]
                kept.append(new)
        usage = await store.usage()
        assert usage.limit == bound
        assert 0.4 * bound < usage.bytes <= bound
        places = [one.place for one in kept]
        assert await store.read(places) == [one.data for one in kept]
        assert all(await store.blank([remainder(one) for one in kept]))  # and makes room
        await asyncio.sleep(nats_rows.LOOK_EVERY)
        assert await store.add([row(size=20_000)]) == [True]


async def test_the_servers_own_bound_refuses_rows_and_discards_none(
    nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if other relays had filled the headroom since this one looked."""
    monkeypatch.setattr(nats_rows, "LEAST_HEADROOM", 1 << 20)
    async with opened(rows_on(nats_cluster, next(PREFIXES), max_bytes=1 << 20)) as store:
        monkeypatch.setattr(store, "_limit", 1 << 40)
        kept: list[Row] = []
        with pytest.raises(StoreFull):
            for _ in range(60):
                new = row(size=100_000)
                assert await store.add([new]) == [True]
                kept.append(new)
        assert len(kept) > 10
        assert await store.read([one.place for one in kept]) == [one.data for one in kept]


# Refusals


async def refusal(store: NatsRows) -> str:
    """What a store says when it refuses to start."""
    with pytest.raises(LocalError) as caught:
        await store.start()
    assert caught.value.reason is Reason.BAD_STORE
    with pytest.raises(StoreFailure):
        await store.read([row().place])
    return caught.value.detail


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"allow_msg_ttl": False}, "allow_msg_ttl is False, not True: time to live is ignored"),
        ({"discard": "old"}, "a full stream would discard old rows"),
        ({"storage": "memory"}, "rows in memory are lost"),
        ({"num_replicas": 1}, "num_replicas is 1, not 3: too few replicas"),
        ({"max_age": 3_600 * 10**9}, "rows would go by their age"),
        ({"max_msgs_per_subject": 1}, "a blank could not replace"),
        ({"max_msgs": 1_000}, "max_msgs is 1000"),
        ({"max_msg_size": 1_000}, "an envelope would not fit"),
        ({"duplicate_window": 10**9}, "sent again"),
        ({"allow_direct": False}, "could not be read"),
        ({"deny_delete": True}, "could not be erased"),
        ({"deny_purge": True}, "could not be forgotten"),
        ({"retention": "interest"}, "before they are acked"),
        ({"no_ack": True}, "could not be told what was kept"),
        ({"republish": {"src": ">", "dest": "copies.>"}}, "copied elsewhere"),
    ],
)
async def test_a_stream_with_settings_that_break_a_promise_is_refused(
    nats_cluster: NatsCluster, change: dict[str, Any], said: str
) -> None:
    prefix = next(PREFIXES)
    settings = settings_of(Names(prefix, 2), 1, 3, None) | change
    made = await api(nats_cluster, f"STREAM.CREATE.{prefix}-rows-1", settings)
    assert "error" not in made, made
    refused = await refusal(rows_on(nats_cluster, prefix))
    assert said in refused
    assert f"stream {prefix}-rows-1" in refused


async def test_a_time_to_live_that_is_not_stored_is_refused(nats_cluster: NatsCluster) -> None:
    """Whatever the settings say: one message with a time to live is tried at every start."""
    prefix = next(PREFIXES)
    names = Names(prefix, 1)
    async with opened(rows_on(nats_cluster, prefix, streams=1)) as store:
        link = store._opened()[0]
        name = names.stream(0)
        assert (await api(nats_cluster, f"STREAM.DELETE.{name}"))["success"]
        settings = settings_of(names, 0, 3, None) | {"allow_msg_ttl": False}
        await api(nats_cluster, f"STREAM.CREATE.{name}", settings)
        deadline = asyncio.get_running_loop().time() + 10
        with pytest.raises(LocalError, match="time to live is ignored"):
            await NatsReads(link, names).check_time_to_live(0, deadline)


async def test_more_replicas_than_servers_are_refused(tmp_path: Path) -> None:
    with NatsCluster(tmp_path, 1) as cluster:
        assert "3 replicas" in await refusal(rows_on(cluster, "p"))
        async with opened(rows_on(cluster, "p", replicas=1)) as store:
            assert await store.add([row()]) == [True]


async def test_another_number_of_streams_is_refused(nats_cluster: NatsCluster) -> None:
    prefix = next(PREFIXES)
    async with opened(rows_on(nats_cluster, prefix, streams=3)):
        pass
    assert "number of streams cannot be changed" in await refusal(rows_on(nats_cluster, prefix))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sync": "10s"}, "lazy sync: it writes to disk every 10 s"),
        ({"max_payload": "1MB"}, "max_payload is 1048576"),
        ({"jetstream": False}, "no JetStream"),
    ],
)
async def test_a_server_with_settings_that_break_a_promise_is_refused(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    with NatsCluster(tmp_path, 1, **settings) as cluster:
        assert said in await refusal(rows_on(cluster, "p", replicas=1))


async def test_what_no_client_can_see_must_be_confirmed(nats_cluster: NatsCluster) -> None:
    prefix, monitors = next(PREFIXES), nats_cluster.monitors
    for promises, said in [
        (NatsPromises(monitors=monitors), "encryption at rest"),
        (NatsPromises(monitors=monitors, encrypted="none"), "encryption at rest"),
        (NatsPromises(encrypted="aes"), "lazy sync: without monitoring URLs"),
        (NatsPromises(encrypted="aes", monitors=monitors[:2]), "its monitoring URL is not given"),
        (NatsPromises(encrypted="aes", monitors=["http://127.0.0.1:1"]), "does not answer"),
        (NatsPromises(encrypted="aes", monitors=[monitors[0] + "/healthz?"]), "no monitoring"),
        (NatsPromises(encrypted="aes", monitors=["file:///etc/hostname#"]), "no monitoring URL"),
    ]:
        assert said in await refusal(rows_on(nats_cluster, prefix, promises=promises))
    said_so = NatsPromises(encrypted="aes", synced=True)
    async with opened(rows_on(nats_cluster, prefix, promises=said_so)) as store:
        assert await store.add([row()]) == [True]


@pytest.mark.parametrize("version", ["2.9.10", "2.10.29", "1.4.1", ""])
async def test_a_server_before_2_11_is_refused(version: str) -> None:
    """It speaks as such a server does until it is asked anything: PyPI has no older one."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"server_id": "X", "version": version, "proto": 1, "headers": True,
                "max_payload": 8 << 20, "jetstream": True}  # fmt: skip
        writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        promises = NatsPromises(encrypted="aes", synced=True)
        store = NatsRows([f"nats://127.0.0.1:{port}"], promises=promises)
        refused = await refusal(store)
        assert "before 2.11 it ignores the time to live" in refused
        assert (version or "of unknown version") in refused


async def test_no_server_at_all_is_a_failure_and_no_hang() -> None:
    store = NatsRows(
        ["nats://127.0.0.1:1"], promises=NatsPromises(encrypted="aes", synced=True), patience=1
    )
    started = time.monotonic()
    with pytest.raises(StoreFailure):
        await store.start()
    assert time.monotonic() - started < 10


async def test_a_missing_library_for_credentials_is_named(
    nats_cluster: NatsCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nkeys", None)
    file = tmp_path / "relay.creds"
    file.write_text("none")
    credentials = NatsCredentials(file=str(file))
    refused = await refusal(rows_on(nats_cluster, next(PREFIXES), credentials=credentials))
    assert "nats-py[nkeys]" in refused


@pytest.mark.parametrize(
    "wrong",
    [{"prefix": "a.b"}, {"prefix": ""}, {"streams": 0}, {"streams": 65}, {"replicas": 2}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    settings = {"promises": NatsPromises(), **wrong}
    with pytest.raises(LocalError):
        NatsRows(["nats://127.0.0.1:1"], **settings)
