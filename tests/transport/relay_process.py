"""A real relay in a process of its own, which can be killed, stopped and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from evanesce.testing.transport import Connect
from evanesce.transport.relay import RelayTransport

ROOT = Path(__file__).parents[2]
UNLIMITED = tuple(
    f"--{name}-per-{whom}={1_000_000}"
    for name, whom in (
        ("puts", "client"), ("mailboxes", "client"), ("claims", "identity"), ("claims", "client"),
        ("publishes", "client"), ("blobs", "client"), ("sessions", "client"),
    )
)  # fmt: skip


class RelayProcess:
    """`evanesce relay serve` over one folder, on one port once it has one."""

    def __init__(self, state: Path, *arguments: str) -> None:
        self.state = state
        self._arguments = arguments or UNLIMITED
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        """Start it, and wait until it listens."""
        path = os.pathsep.join([str(ROOT / "protocol"), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "evanesce.cli", "relay", "serve", "--port", str(self._port),
             "--state", str(self.state), "--log-level", "error", *self._arguments],
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        assert line.startswith("listening on "), line
        self.url = line.split()[-1]
        self._port = int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power failure would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()

    async def again(self, pause: float = 0.0) -> None:
        """Kill it, and start it again on the same folder and port."""
        await asyncio.to_thread(self.kill)
        await asyncio.sleep(pause)
        await asyncio.to_thread(self.start)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody trusts, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-days", "2", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@contextmanager
def relay_process(*arguments: str) -> Iterator[RelayProcess]:
    """A relay over a folder of its own."""
    with TemporaryDirectory() as folder:
        process = RelayProcess(Path(folder) / "state", *arguments)
        process.start()
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def relayed(url: str) -> AsyncIterator[Connect]:
    """Connections to a relay that runs. What is made on it is new each time, and so apart."""
    made: list[RelayTransport] = []

    def connect() -> RelayTransport:
        made.append(RelayTransport(url))
        return made[-1]

    try:
        yield connect
    finally:
        await asyncio.gather(*(transport.close() for transport in made))
