"""Faults of whole systems: real clients at work, real processes that are killed, stopped, deceived.

In every test: no put that was answered with success is lost, nothing that was acked or recalled
comes back, every client goes on by itself, and nothing hangs. All clients send some requests twice
and others send torn ones all the time.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from evanesce.mailbox import Mailbox
from evanesce.ports import Outgoing
from evanesce.transport.relay import RelayTransport
from tests.relay.nats_cluster import NatsCluster, Server
from tests.relay.system_load import LONGEST, PATIENCE, PING, Load, loaded
from tests.transport.relay_process import ROOT, UNLIMITED, RelayProcess

LONG = os.environ.get("EVANESCE_PROFILE") == "long"
RECOVERY = 15.0  # seconds in which all clients must be at work again
ELECTION = 30.0  # the same where servers have to choose a leader


@asynccontextmanager
async def relay(folder: Path, *options: str) -> AsyncIterator[RelayProcess]:
    """A relay process that is killed in the end."""
    process = RelayProcess(folder, *UNLIMITED, *options)
    await asyncio.to_thread(process.start)
    try:
        yield process
    finally:
        process.kill()


async def held(load: Load) -> None:
    """End the load, and check all that was promised."""
    await load.finish(30)
    await load.check()
    assert sum(len(client.acked) for client in load.clients) > 50
    assert load.torn
    assert load.twice


async def test_a_relay_over_sqlite_that_is_killed_again_and_again(tmp_path: Path) -> None:
    dice = random.Random(os.urandom(4))
    async with relay(tmp_path / "state") as process, loaded([process.url]) as load:
        for _ in range(40 if LONG else 2):
            await load.run(dice.uniform(0.1, 0.6))
            before = load.tries
            await process.again(pause=dice.choice([0.0, 0.0, 1.0]))
            await load.progress(RECOVERY)
            # They have tried again with pauses: none much more often than a few times a second.
            assert load.tries - before < 15 * len(load.clients)
        await held(load)
        assert any(client.troubles for client in load.clients)


async def test_a_relay_that_is_stopped_and_goes_on_and_one_that_is_killed_while_stopped(
    tmp_path: Path,
) -> None:
    """Half-open connections: the system still accepts and acks what nobody reads."""
    async with relay(tmp_path / "state") as process, loaded([process.url]) as load:
        for number in range(8 if LONG else 1):
            process.send(signal.SIGSTOP)
            await load.run(2 * PING + 1.0)
            if number % 2 == 0:
                await process.again()
            else:
                process.send(signal.SIGCONT)
            await load.progress(RECOVERY)
        await held(load)
        # A call ends: at most the tries of one request, and the pauses between them.
        assert max(client.slowest for client in load.clients) < 3 * 2 * PATIENCE + 3 * LONGEST


async def test_a_client_that_is_stopped_is_left_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async with relay(tmp_path / "state", "--ping-seconds", "1") as process:
        child = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("system_client.py")), process.url],
            stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "protocol"), str(ROOT)])},
        )  # fmt: skip
        assert child.stdout is not None
        try:
            told = await asyncio.to_thread(child.stdout.readline)
            address, capability = map(bytes.fromhex, told.split())
            async with RelayTransport(process.url) as sender:
                sent: list[str] = []
                came: list[str] = []

                async def send(count: int) -> None:
                    for _ in range(count):
                        envelope = os.urandom(500)
                        item = Outgoing(secrets.token_bytes(16),
                                        Mailbox(address, bytes(32), capability), envelope)
                        assert await sender.send([item]) == {}
                        sent.append(envelope.hex())

                async def take() -> None:
                    assert child.stdout is not None
                    while len(came) < len(sent):
                        line = await asyncio.to_thread(child.stdout.readline)
                        assert line, "the client has ended"
                        came.append(line.strip())

                await send(20)
                await asyncio.wait_for(take(), RECOVERY)
                child.send_signal(signal.SIGSTOP)
                await send(200)
                await asyncio.sleep(2.5)  # the relay has given up this connection
                child.send_signal(signal.SIGCONT)
                await send(20)
                await asyncio.wait_for(take(), RECOVERY)
                assert sorted(came) == sorted(sent)
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
            if child.stdin is not None:
                child.stdin.close()


JUMPS = [100 * 3600, -400 * 86_400, 0, 3_700, 400 * 86_400, -100 * 3_600, 0]  # seconds
CLOCK = """
import os, time
real = time.time

def deceived():
    with open(os.environ["DECEIVED_CLOCK"]) as file:
        return real() + float(file.read() or 0)

if "DECEIVED_CLOCK" in os.environ:
    time.time = deceived
"""


async def test_a_clock_that_jumps_forgets_nothing_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of day of the relay process alone is set hours, days and years forwards and back."""
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    offset = tmp_path / "offset"
    offset.write_text("0")
    monkeypatch.setenv("DECEIVED_CLOCK", str(offset))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with relay(tmp_path / "state") as process, loaded([process.url]) as load:
        for jump in JUMPS if LONG else JUMPS[:3]:
            other = tmp_path / "next"
            other.write_text(str(jump))
            other.replace(offset)
            await load.run(0.2)
            await load.progress(RECOVERY)
        keys = len(list((tmp_path / "state" / "keys").rglob("*")))
        assert keys < 20, "keys were made for hours that never were"
        await process.again()  # the clock is right again
        await load.progress(RECOVERY)
        await held(load)


async def test_a_disk_that_is_full_for_a_while_refuses_and_loses_nothing(tmp_path: Path) -> None:
    """Files of the relay cannot grow; then it is killed so, and then they can again."""
    async with relay(tmp_path / "state") as process, loaded([process.url]) as load:
        for number in range(6 if LONG else 1):
            biggest = max(path.stat().st_size for path in (tmp_path / "state").rglob("*")
                          if path.is_file())  # fmt: skip
            before = sum(client.troubles for client in load.clients)
            unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (biggest // 8, unlimited[1]))
            await load.run(1.5)
            assert sum(client.troubles for client in load.clients) > before, "nothing was full"
            if number % 2 == 0:
                await process.again()
            else:
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
            await load.progress(RECOVERY)
        await held(load)


async def test_relays_over_a_cluster_survive_the_loss_of_a_relay_a_server_and_a_leader(
    tmp_path: Path,
) -> None:
    cluster = NatsCluster(tmp_path / "nats")
    (tmp_path / "nats").mkdir()
    await asyncio.to_thread(cluster.__enter__)
    options = (
        "--store", ",".join(cluster.urls), "--nats-monitors", ",".join(cluster.monitors),
        "--nats-encrypted", "chacha", "--nats-streams", "2", "--keys", str(tmp_path / "keys"),
    )  # fmt: skip
    try:
        async with (
            relay(tmp_path / "one", *options) as one,
            relay(tmp_path / "two", *options) as two,
            loaded([one.url, two.url], clients=4) as load,
        ):
            await lose_a_relay_and_a_leader(load, one, two, cluster)
            for _ in range(3 if LONG else 0):
                await lose_a_relay(load, one, two)
                await lose_a_server(load, cluster, await leader(cluster))
                led = await leader(cluster)
                other = next(server for server in cluster.servers if server is not led)
                await lose_a_server(load, cluster, other)
                await freeze_a_server(load, cluster, await leader(cluster))
                two.send(signal.SIGSTOP)
                await load.run(3 * PING)
                await load.progress(RECOVERY, [one.url])
                two.send(signal.SIGCONT)
                await load.progress(ELECTION)
            await held(load)
    finally:
        await asyncio.to_thread(cluster.stop_all)


async def lose_a_relay_and_a_leader(
    load: Load, lost: RelayProcess, other: RelayProcess, cluster: NatsCluster
) -> None:
    """Both at once: the clients of the other relay wait for the new leader only."""
    led = await leader(cluster)
    await asyncio.to_thread(lost.kill)
    await asyncio.to_thread(cluster.kill, led)
    await load.progress(ELECTION, [other.url])
    await asyncio.to_thread(lost.start)
    await asyncio.to_thread(cluster.restart, led)
    await load.progress(ELECTION)
    await asyncio.to_thread(cluster.wait_ready)


async def lose_a_relay(load: Load, lost: RelayProcess, other: RelayProcess) -> None:
    """Its clients wait for it; those of the other relay notice nothing."""
    await asyncio.to_thread(lost.kill)
    await load.progress(RECOVERY, [other.url])
    await load.run(0.5)
    await asyncio.to_thread(lost.start)
    await load.progress(RECOVERY)


async def leader(cluster: NatsCluster) -> Server:
    """Who leads the first stream of rows."""
    for _ in range(100):
        found = await asyncio.to_thread(cluster.leader, "evanesce-rows-0")
        if found is not None:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("no leader")


async def lose_a_server(load: Load, cluster: NatsCluster, server: Server) -> None:
    """It is killed, all go on without it, and it comes back."""
    await asyncio.to_thread(cluster.kill, server)
    await load.progress(ELECTION)
    await asyncio.to_thread(cluster.restart, server)
    await asyncio.to_thread(cluster.wait_ready)
    await load.progress(ELECTION)


async def freeze_a_server(load: Load, cluster: NatsCluster, server: Server) -> None:
    """It is stopped with all its connections, and goes on."""
    await asyncio.to_thread(cluster.freeze, server)
    await load.progress(2 * ELECTION)
    await asyncio.to_thread(cluster.thaw, server)
    await load.progress(ELECTION)
