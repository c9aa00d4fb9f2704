"""`evanesce relay serve` as a process: it starts, says where, is stopped, and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from evanesce.errors import LocalError
from evanesce.relay_formats import PUT
from tests.relay.web_server import TYPE, Box, Process, outcomes, reading


def command(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evanesce.cli", "relay", *arguments],
        capture_output=True, text=True, timeout=30, check=False, env=os.environ | env,
    )  # fmt: skip


async def test_it_serves_says_where_and_ends_with_0(tmp_path: Path) -> None:
    async with await Process.start(tmp_path) as relay, httpx2.AsyncClient(verify=False) as client:
        assert relay.base.startswith("http://127.0.0.1:")
        assert (await client.get(relay.base + "/v1/about")).json()["relay"] == "evanesce"
        assert (await client.get(relay.base + "/readyz")).status_code == 200
        assert (await client.get(relay.base + "/metrics")).status_code == 404
        for path in ("/healthz", "/readyz"):
            assert (await client.get(relay.admin + path)).status_code == 200
        metrics = (await client.get(relay.admin + "/metrics")).text
        assert "evanesce_ready 1.0" in metrics
        assert 'evanesce_ticks_total{outcome="ok"} 1.0' in metrics
        assert (await client.get(relay.admin + "/v1/about")).status_code == 404
        for folder in ("data", "keys"):
            assert (tmp_path / "state" / folder).is_dir()
        relay.signal(signal.SIGTERM)
        assert await relay.wait() == 0
    assert [line["event"] for line in relay.logged()] == ["started", "stopping", "stopped"]


async def test_what_it_took_is_there_after_it_was_stopped_and_killed(tmp_path: Path) -> None:
    """REQ-RELAY-03."""
    box = Box()
    async with httpx2.AsyncClient(verify=False) as client:
        for number in range(3):
            async with await Process.start(tmp_path) as relay, reading(relay.base) as reader:
                await reader.make(box)
                await reader.grant()
                await reader.subscribe(box)
                await reader.until(number)
                assert {envelope for _, _, envelope in reader.got} == {
                    b"%d" % n for n in range(number)
                }
                body = box.put(b"%d" % number)
                put = await client.post(relay.base + "/v1/put", content=body, headers=TYPE)
                assert outcomes(put) == [None]
                relay.signal((signal.SIGKILL, signal.SIGINT, signal.SIGTERM)[number])
                await relay.wait()


async def test_a_drain_under_load_loses_no_put_that_was_answered(tmp_path: Path) -> None:
    """REQ-RELAY-03."""
    boxes = [Box() for _ in range(4)]
    taken: set[bytes] = set()
    refused = 0
    async with await Process.start(tmp_path) as relay:
        async with reading(relay.base) as owner:
            await owner.make(*boxes)

        async def load(box: Box) -> None:
            nonlocal refused
            async with httpx2.AsyncClient(timeout=20, verify=False) as client:
                while True:
                    items = [box.item(secrets.token_bytes(200)) for _ in range(8)]
                    try:
                        answer = await client.post(
                            relay.base + "/v1/put", content=PUT.build(items), headers=TYPE
                        )
                    except httpx2.TransportError:
                        return
                    if answer.status_code == 503:
                        refused += 1
                        assert int(answer.headers["retry-after"]) >= 1
                        await asyncio.sleep(0.01)
                        continue
                    told = outcomes(answer)
                    taken.update(
                        item[2] for item, reason in zip(items, told, strict=True) if reason is None
                    )

        loads = [asyncio.create_task(load(box)) for box in boxes for _ in range(3)]
        async with asyncio.timeout(20):
            while len(taken) < 200:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        relay.signal(signal.SIGTERM)
        assert await relay.wait() == 0
        assert time.monotonic() - began < 15
        await asyncio.gather(*loads)
        assert "stopped-late" not in {line["event"] for line in relay.logged()}
    async with await Process.start(tmp_path) as relay, reading(relay.base) as reader:
        for box in boxes:
            await reader.prove(box)
        await reader.subscribe(*boxes)
        got: set[bytes] = set()
        while len(got) < len(taken):
            await reader.grant()
            await reader.next()
            got = {id for _, id, _ in reader.got}
        assert got >= taken


async def test_an_ack_that_was_answered_does_not_come_back_when_it_is_killed(
    tmp_path: Path,
) -> None:
    """REQ-RELAY-03."""
    box = Box()
    items = [box.item() for _ in range(50)]
    async with await Process.start(tmp_path) as relay, reading(relay.base) as reader:
        await reader.make(box)
        async with httpx2.AsyncClient(verify=False) as client:
            body = PUT.build(items)
            put = await client.post(relay.base + "/v1/put", content=body, headers=TYPE)
            assert outcomes(put) == [None] * 50
        await reader.ack(box, [item[2] for item in items[:40]])
        relay.signal(signal.SIGKILL)
        await relay.wait()
    async with await Process.start(tmp_path) as relay, reading(relay.base) as reader:
        await reader.prove(box)
        await reader.grant()
        await reader.subscribe(box)
        await reader.until(10)
        await reader.quiet()
        assert {id for _, id, _ in reader.got} == {item[2] for item in items[40:]}


async def test_sessions_are_ended_with_1001_when_it_stops(tmp_path: Path) -> None:
    async with await Process.start(tmp_path) as relay, reading(relay.base) as reader:
        await reader.make(Box())
        relay.signal(signal.SIGTERM)
        assert await reader.ended() == (1001, "relay-busy")
        assert await relay.wait() == 0


async def test_a_second_signal_cuts_off_what_is_under_way(tmp_path: Path) -> None:
    async with await Process.start(tmp_path, "--stop-seconds", "60") as relay:
        host, port = relay.base.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/put HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n"
                     b"content-type: application/vnd.evanesce\r\n\r\n1")  # fmt: skip
        await writer.drain()
        await asyncio.sleep(0.2)
        relay.signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        assert relay.popen.poll() is None
        relay.signal(signal.SIGTERM)
        assert await asyncio.wait_for(relay.wait(), 20) == 0
        writer.close()
        assert "stopped-late" in {line["event"] for line in relay.logged()}


async def test_it_speaks_tls_with_the_certificate_it_is_given(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    context = ssl.create_default_context(cafile=certificate)
    async with await Process.start(tmp_path, *options) as relay:
        assert relay.base.startswith("https://127.0.0.1:")
        assert relay.admin.startswith("http://127.0.0.1:")
        async with httpx2.AsyncClient(verify=context) as client:
            assert (await client.get(relay.base + "/v1/about")).status_code == 200
            box = Box()
            async with reading(relay.base, ssl=context) as reader:
                await reader.make(box)
                await reader.grant()
                await reader.subscribe(box)
                body = box.put(bytes(500_000))
                put = await client.post(relay.base + "/v1/put", content=body, headers=TYPE)
                assert outcomes(put) == [None]
                await reader.until(1)
        async with httpx2.AsyncClient() as client:
            with pytest.raises(httpx2.TransportError):  # not one that others have vouched for
                await client.get(relay.base + "/v1/about")
        relay.signal(signal.SIGTERM)
        assert await relay.wait() == 0


def make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-days", "2", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_what_prevents_a_start_is_told_in_one_line(tmp_path: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = str(taken.getsockname()[1])
    state = ("--state", str(tmp_path / "state"))
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for arguments, said in (
        (("--port", port), f"127.0.0.1:{port}"),
        (("--port", "0", "--tls-cert", str(empty), "--tls-key", str(empty)), "certificate"),
        (("--port", "0", "--config", str(tmp_path / "none.toml")), "none.toml"),
        (("--port", "0", "--store", "nats://127.0.0.1:1"), "evanesce: "),
    ):
        ended = command("serve", *state, *arguments)
        assert ended.returncode == 2, (arguments, ended.stderr)
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stdout == ""
    taken.close()


async def test_a_store_that_is_open_elsewhere_is_left_alone(tmp_path: Path) -> None:
    async with await Process.start(tmp_path):
        ended = await asyncio.to_thread(
            command, "serve", "--state", str(tmp_path / "state"), "--port", "0"
        )
        assert ended.returncode == 2
        assert "store-busy" in ended.stderr


def test_a_clock_that_went_back_is_noticed_and_may_be_accepted(tmp_path: Path) -> None:
    from evanesce.relay.keys import RelayKeys

    hour = int(datetime.datetime.now(datetime.UTC).timestamp()) // 3_600
    RelayKeys.open(tmp_path / "state" / "keys").destroy(hour + 30)
    ended = command("serve", "--state", str(tmp_path / "state"), "--port", "0")
    assert ended.returncode == 2
    assert "clock" in ended.stderr

    async def accepted() -> None:
        async with await Process.start(tmp_path, "--accept-clock") as relay:
            box = Box()
            async with reading(relay.base) as reader, httpx2.AsyncClient(verify=False) as client:
                await reader.make(box)
                put = await client.post(relay.base + "/v1/put", content=box.put(), headers=TYPE)
                assert outcomes(put) == [None]

    asyncio.run(accepted())


def test_the_command_needs_the_extra_only_when_it_is_run(tmp_path: Path) -> None:
    blocked = ("starlette", "uvicorn", "websockets", "prometheus_client", "nats", "httpx2", "h11")
    program = f"""
import sys
for name in {blocked}:
    sys.modules[name] = None
from evanesce.cli import main
sys.exit(main(["relay", "serve", "--state", {str(tmp_path)!r}]))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                           check=False, timeout=30)  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert "pip install 'evanesce[relay]'" in ended.stderr
    assert list(tmp_path.iterdir()) == []


async def test_it_forgets_and_stays_up_when_keys_cannot_be_destroyed(tmp_path: Path) -> None:
    """Not ready until they are: what should be sealed for ever is not yet."""
    from evanesce.errors import LocalError, Reason
    from evanesce.relay import serve
    from evanesce.relay.config import RelayConfig
    from evanesce.relay.web.logs import Level, Log
    from tests.relay.web_server import Lines

    lines: list[str] = []
    log = Log(Lines(lines), Level.DEBUG)
    process = serve.RelayProcess(RelayConfig(state=tmp_path, port=0), log)
    await process.relay.start()
    try:
        await process.tick()
        assert process.healthy()
        keys = process.keys
        keys._last -= 2  # as two hours later

        async def fails() -> None:
            raise LocalError(Reason.BAD_STORE, "the folder of keys: No space left")

        process.relay.tick = fails  # type: ignore[method-assign]
        await process.tick()
        assert not process.healthy()
        del process.relay.tick
        keys._last += 2
        await process.tick()
        assert process.healthy()
    finally:
        await process.relay.stop()
    events = [line for line in lines if "tick" in line]
    assert '"reason": "bad-store"' in events[0]
    assert "tick-recovered" in events[1]
    assert "space" not in "".join(lines)


async def test_a_jump_of_the_clock_is_told_and_a_round_that_hangs_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evanesce.relay import serve
    from evanesce.relay.config import RelayConfig
    from evanesce.relay.web.logs import Level, Log
    from tests.relay.web_server import Lines

    lines: list[str] = []
    process = serve.RelayProcess(
        RelayConfig(state=tmp_path, port=0), Log(Lines(lines), Level.DEBUG)
    )
    await process.relay.start()
    try:
        await process.tick()
        assert "clock-jumped" not in "".join(lines)
        wall = process._clock._wall
        process._clock._wall = lambda: wall() + 40 * 3_600
        await process.tick()
        await process.tick()
        assert "".join(lines).count("clock-jumped") == 1
        assert b"evanesce_clock_jump_seconds 144000.0" in process._metrics.text()
        assert process.healthy()

        began, hangs = asyncio.Event(), asyncio.Event()

        async def tick() -> None:
            began.set()
            await hangs.wait()

        process.relay.tick = tick  # type: ignore[method-assign]
        ticking = asyncio.create_task(process.tick())
        await began.wait()
        assert process.healthy()
        monkeypatch.setattr(serve, "HANGING_SECONDS", 0)
        assert not process.healthy()
        monkeypatch.undo()
        process.keys._last -= 2  # it failed with nothing, and the keys are there
        assert not process.healthy()
        process.keys._last += 2
        hangs.set()
        await ticking
    finally:
        await process.relay.stop()


async def test_nobody_else_reads_its_memory(tmp_path: Path) -> None:
    async with await Process.start(tmp_path) as relay:
        folder = Path(f"/proc/{relay.popen.pid}")
        limits = (folder / "limits").read_text().splitlines()
        (core,) = (line for line in limits if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]
    program = """
import ctypes
from evanesce.relay.serve import _keep_memory_private
dumpable = ctypes.CDLL(None).prctl
print(dumpable(3, 0, 0, 0, 0))
_keep_memory_private()
print(dumpable(3, 0, 0, 0, 0))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                           check=True, timeout=30)  # fmt: skip
    assert ended.stdout.split() == ["1", "0"]


async def test_who_does_not_shake_hands_is_counted_and_cut_off(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key),
               "--connections-per-client", "5")  # fmt: skip
    async with await Process.start(tmp_path, *options) as relay:
        host, port = relay.base.removeprefix("https://").split(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(8)]
        await asyncio.sleep(0.3)
        links = Path(f"/proc/{relay.popen.pid}/fd").iterdir()
        assert sum("socket:" in os.readlink(each) for each in links) <= 5 + 2 + 2
        began = time.monotonic()
        silent[0].settimeout(20)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.to_thread(silent[0].recv, 1) == b""
        assert time.monotonic() - began < 9
        for each in silent:
            each.close()


async def test_a_relay_that_cannot_have_the_store_changes_no_clock(tmp_path: Path) -> None:
    from evanesce.relay import serve
    from evanesce.relay.config import RelayConfig
    from evanesce.relay.keys import RelayKeys
    from evanesce.relay.web.logs import Level, Log

    folder = tmp_path / "state"
    async with await Process.start(tmp_path):
        keys = RelayKeys.open(folder / "keys")
        far = keys.last_hour + 100
        keys.destroy(far)
        config = RelayConfig(state=folder, port=0, accept_clock=True)
        other = serve.RelayProcess(config, Log(level=Level.ERROR))
        with pytest.raises(LocalError, match="store-busy"):
            await other.run()
        assert RelayKeys.open(folder / "keys").last_hour == far
