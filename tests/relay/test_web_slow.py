"""Readers that do not read: they cost little memory, and are not kept for ever."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from evanesce.primitives import H
from evanesce.relay_formats import BLOB, PUT
from tests.relay.web_server import TYPE, Box, Process, memory_relay, outcomes, reading, served

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024


async def sessions(relay: Process, client: httpx2.AsyncClient) -> int:
    lines = (await client.get(relay.admin + "/metrics")).text.splitlines()
    (line,) = (each for each in lines if each.startswith("evanesce_sessions "))
    return int(float(line.split()[1]))


async def gone(relay: Process, client: httpx2.AsyncClient, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await sessions(relay, client):
            await asyncio.sleep(0.1)


async def test_who_grants_much_and_reads_nothing_costs_little_memory(tmp_path: Path) -> None:
    readers, each, size = 4, 24, 512 * 1024  # 48 MiB wait, 12 for each
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(await Process.start(tmp_path))
        client = await stack.enter_async_context(httpx2.AsyncClient(verify=False, timeout=30))
        silent = [
            await stack.enter_async_context(reading(relay.base, max_queue=1, ping_interval=None))
            for _ in range(readers)
        ]
        envelope = secrets.token_bytes(size)
        for reader in silent:
            box = Box()
            await reader.make(box)
            for _ in range(each // 6):
                body = PUT.build([box.item(envelope) for _ in range(6)])
                put = await client.post(relay.base + "/v1/put", content=body, headers=TYPE)
                assert outcomes(put) == [None] * 6
            await reader.subscribe(box)
        before = relay.resident()
        for reader in silent:
            await reader.grant()
        most = before
        for _ in range(20):
            await asyncio.sleep(0.05)
            most = max(most, relay.resident())
        assert await sessions(relay, client) == readers
        assert most - before < 14 * MIB  # 3 or 4 envelopes for each: one written, one to be
        metrics = (await client.get(relay.admin + "/metrics")).text
        name = "evanesce_deliveries_total "
        (pushed,) = (line for line in metrics.splitlines() if line.startswith(name))
        assert 0 < float(pushed.split()[1]) < readers * each * 0.8
        for reader in silent:  # and nothing is lost on the way
            await reader.until(each)


@asynccontextmanager
async def stopped(base: str, credit: bool) -> AsyncIterator[tuple[bytes, bytes]]:
    """A reader whose process is stopped once it has subscribed: its address and capability."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    popen = subprocess.Popen(
        [sys.executable, "-m", "tests.relay.silent_reader", base, str(int(credit))], cwd=ROOT,
        stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    assert popen.stdout is not None
    try:
        words = (await asyncio.to_thread(popen.stdout.readline)).split()
        popen.send_signal(signal.SIGSTOP)
        yield bytes.fromhex(words[0].decode()), bytes.fromhex(words[1].decode())
    finally:
        popen.kill()
        popen.wait()
        popen.stdout.close()


def sockets(relay: Process) -> int:
    """How many sockets the process has."""
    links = Path(f"/proc/{relay.popen.pid}/fd").iterdir()
    return sum("socket:" in os.readlink(each) for each in links)


@pytest.mark.parametrize(("load", "ping", "take"), [(0, 1, 600), (12, 1, 600), (12, 600, 2)],
                         ids=["idle", "loaded, by a ping", "loaded, by what it takes"])  # fmt: skip
async def test_a_reader_that_is_stopped_is_found_out(
    tmp_path: Path, load: int, ping: int, take: int
) -> None:
    """And its connection is gone, though what was written to it is never taken."""
    options = ("--ping-seconds", str(ping), "--take-seconds", str(take))
    async with await Process.start(tmp_path, *options) as relay:
        async with httpx2.AsyncClient(verify=False) as client:
            await sessions(relay, client)
            before = sockets(relay)
            async with stopped(relay.base, bool(load)) as ids:
                for _ in range(load // 3):
                    items = [[*ids, secrets.token_bytes(16), bytes(MIB)] for _ in range(3)]
                    put = await client.post(
                        relay.base + "/v1/put", content=PUT.build(items), headers=TYPE
                    )
                    assert outcomes(put) == [None] * 3
                await gone(relay, client, 15)
                async with asyncio.timeout(10):
                    while sockets(relay) > before + bool(load):  # one for the puts
                        await asyncio.sleep(0.1)
        cut = [line for line in relay.logged() if line["event"] == "session-cut"]
        assert bool(cut) == (take == 2)


async def test_a_blob_that_nobody_takes_is_not_kept_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evanesce.relay.web.connections.TAKE_SECONDS", 0.3)
    content = bytes(MIB)
    async with served(memory_relay(tmp_path)) as at:
        await at.post("/v1/blobs", BLOB.build(bytes(32), content))
        known = set(at.server.server_state.connections)
        path = "/v1/blobs/" + H(b"blob", content).hex()
        own = socket.socket()
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        own.connect(("127.0.0.1", int(at.base.rsplit(":", 1)[1])))
        for _ in range(12):  # more than the buffers of the system take
            own.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        connections = at.server.server_state.connections
        async with asyncio.timeout(5):
            while connections == known:
                await asyncio.sleep(0.01)
            (slow,) = connections - known
            while slow in connections:
                await asyncio.sleep(0.05)
        own.close()
        assert (await at.client.get(path)).content == content
