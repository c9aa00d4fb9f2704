"""`evanesce relay serve`: one relay process from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from .. import __version__
from ..errors import LocalError, Reason, RemoteError
from ..limits import HOUR
from .clock import RelayClock
from .config import RelayConfig
from .disclosure.notices import give_due
from .keys import RelayKeys
from .relay import Relay
from .rows import StoreFailure
from .stores import make_store
from .web.about import signing
from .web.app import RelayApplication, application
from .web.connections import HttpConnection, WebSocketConnection, read_less
from .web.face import Bounds
from .web.listening import Doors, Listener, RelayLoop, listen
from .web.logs import Level, Log, quiet_libraries
from .web.metrics import Metrics
from .web.proxies import BehindProxies, Proxies
from .web.rates import Rates
from .web.session import FRAME_BYTES

__all__ = ["RelayProcess", "WebServer", "listen", "serve", "web_server"]

TICK_SECONDS: Final = 20
GRACE_SECONDS: Final = 60  # of an hour, within which the keys of it are destroyed
HANGING_SECONDS: Final = 600  # after which a round of forgetting does not end any more
JUMP_SECONDS: Final = 2
PR_SET_DUMPABLE: Final = 4  # of <sys/prctl.h>
KEEP_ALIVE_SECONDS: Final = 30  # an idle connection is kept for the next request
CLOSE_SECONDS: Final = 4  # for connections to be closed when all requests are done
SPARE_CONNECTIONS: Final = 1_000  # beyond those of sessions


def serve(config: RelayConfig) -> int:
    """Run a relay until SIGTERM or SIGINT; return the exit code.

    Raise `LocalError`: bad-input, bad-store (saying what is wrong with the clock, the keys, the
    store or the certificate); `OSError` for an address that cannot be listened on.
    """
    log = Log(sys.stderr, Level[config.log_level.upper()])
    quiet_libraries(log)
    _allow_connections(config)
    _keep_memory_private()
    read_less()
    with asyncio.Runner(loop_factory=RelayLoop) as runner:
        return runner.run(RelayProcess(config, log).run())


class WebServer(uvicorn.Server):
    """uvicorn, but who comes in is counted, and the process keeps its own hand on the signals."""

    def __init__(self, config: uvicorn.Config, doors: Doors) -> None:
        super().__init__(config)
        self.doors = doors

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        for each in sockets or ():
            if isinstance(each, Listener):
                each.doors = self.doors
        await super().startup(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class RelayProcess:
    """What one process has, and its course."""

    def __init__(self, config: RelayConfig, log: Log) -> None:
        self._config = config
        self._log = log
        self._metrics = Metrics()
        self.keys = RelayKeys.open(config.keys_folder)
        self._clock = RelayClock(self.keys.last_hour, accept=config.accept_clock)
        self._store = make_store(config)
        self.relay = Relay(self._store, self.keys, self._clock, config.settings)
        self._tick_failed = False
        self._ticked = time.monotonic()  # when the last round of forgetting ended, well or not
        self._jumped = 0
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        """Start, serve, drain, stop."""
        config = self._config
        listening: list[socket.socket] = [listen(config.host, config.port)]
        try:
            if config.admin_port is not None:
                listening.append(listen(config.admin_host, config.admin_port))
            app = application(
                self.relay, config.settings, bounds=_bounds(config), metrics=self._metrics,
                log=self._log, healthy=self.healthy, said=signing(config.keys_folder),
            )  # fmt: skip
            servers = [web_server(app, config, tls=config.tls_cert is not None)]
            if len(listening) > 1:
                servers.append(web_server(app.admin, config))
            self._take_signals()
            await self._start()
        except BaseException:
            for each in listening:
                each.close()
            raise
        try:
            await self._serve(app, servers, listening)
        finally:
            await self.relay.stop()
        self._log.write(Level.INFO, "stopped")
        return 0

    async def _start(self) -> None:
        try:
            await self.relay.start()
        except (StoreFailure, RemoteError) as error:
            said = error.detail if isinstance(error, RemoteError) else str(error)
            raise LocalError(Reason.BAD_STORE, f"the store does not answer: {said}") from error

    async def _serve(
        self, app: RelayApplication, servers: list[WebServer], listening: list[socket.socket]
    ) -> None:
        running = [asyncio.create_task(server.serve(sockets=[own]))
                   for server, own in zip(servers, listening, strict=True)]  # fmt: skip
        ticking = asyncio.create_task(self._tick_on(app))
        while not all(server.started for server in servers):
            await asyncio.sleep(0.01)
        self._announce(listening)
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((stopping, *running), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self._stop.set()
        self._log.write(Level.INFO, "stopping")
        draining = asyncio.create_task(app.drain(self._config.stop_seconds))
        hurrying = asyncio.create_task(self._hurry.wait())
        await asyncio.wait((draining, hurrying), return_when=asyncio.FIRST_COMPLETED)
        late = not (draining.done() and draining.result())
        if late:
            self._log.write(Level.WARNING, "stopped-late")
        draining.cancel()
        hurrying.cancel()
        for server in servers:
            server.should_exit = True
            server.force_exit = late
        _, left = await asyncio.wait((ticking, *running), timeout=3 * CLOSE_SECONDS)
        for task in left:
            task.cancel()
        await asyncio.gather(ticking, *running, return_exceptions=True)

    def _take_signals(self) -> None:
        def come(_: int) -> None:
            if self._stop.is_set():
                self._hurry.set()  # asked twice: what is under way is cut off
            self._stop.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, come, number)

    def _announce(self, listening: list[socket.socket]) -> None:
        scheme = "https" if self._config.tls_cert else "http"
        print(f"listening on {scheme}://{_shown(listening[0])}", flush=True)
        for admin in listening[1:]:
            print(f"admin on http://{_shown(admin)}", flush=True)
        kind = "sqlite" if self._config.store == "sqlite" else "nats"
        self._log.write(Level.INFO, "started", version=__version__, store=kind)

    # Forgetting in time

    def healthy(self) -> bool:
        """Whether all keys whose hour began a minute ago or earlier are destroyed.

        That is looked at and not whether something failed: a round that hangs tells nothing.
        """
        in_time = self.keys.last_hour >= (self._clock.now() - GRACE_SECONDS) // HOUR
        return in_time and time.monotonic() - self._ticked < HANGING_SECONDS

    def _look_at_clock(self) -> None:
        """Tell when the time of day has jumped: the relay did not follow (see `RelayClock`)."""
        jumped = self._clock.jumped
        self._metrics.set("evanesce_clock_jump_seconds", jumped)
        if abs(jumped - self._jumped) >= JUMP_SECONDS:
            self._log.write(Level.WARNING, "clock-jumped")
            self._jumped = jumped

    async def _tick_on(self, app: RelayApplication) -> None:
        while not self._stop.is_set():
            await self.tick()
            app.face.rates.sweep()
            pause = min(TICK_SECONDS, HOUR - self._clock.now() % HOUR)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stop.wait()

    async def tick(self) -> None:
        """Forget what is due, give the notices that are. A failure is logged, and tried again."""
        self._look_at_clock()
        try:
            await self.relay.tick()
            usage = await self._store.usage()
        except Exception as error:  # the next round tries again: a relay must go on forgetting
            self._tick_failed = True
            self._metrics.count("evanesce_ticks", "failed")
            self._log.failure("tick-failed", error)
        else:
            if self._tick_failed:
                self._log.write(Level.WARNING, "tick-recovered")
            self._tick_failed = False
            self._metrics.count("evanesce_ticks", "ok")
            self._metrics.set("evanesce_store_rows", usage.rows)
            self._metrics.set("evanesce_store_bytes", usage.bytes)
            self._metrics.set("evanesce_store_limit_bytes",
                              usage.limit or self._config.settings.store_bytes)  # fmt: skip
        self._ticked = time.monotonic()
        try:
            given = await give_due(self.relay, self._config.ledger_folder, self._clock.hour(),
                                   keys=self._config.keys_folder)  # fmt: skip
        except Exception as error:  # of the operator's files: mail goes on, and it is tried again
            self._log.failure("notices-failed", error)
        else:
            if given:
                self._log.write(Level.INFO, "notices-given", notices=given)


def web_server(app: Any, config: RelayConfig, *, tls: bool = False) -> WebServer:
    """A server for this application, with all bounds on its connections; not started.

    Raise `LocalError` (bad-input) when the certificate or its key cannot be used.
    """
    HttpConnection.most_connections = most = config.settings.sessions + SPARE_CONNECTIONS
    proxies = Proxies(config.trusted_proxies)
    rates = app.face.rates if isinstance(app, RelayApplication) else Rates(config.settings)
    doors = Doors(most, config.settings.connections_per_client, rates.client,
                  passes=proxies.__contains__)  # fmt: skip
    if config.trusted_proxies:
        app = BehindProxies(app, proxies)
    made = uvicorn.Config(
        app,
        http=HttpConnection,
        ws=WebSocketConnection,
        ws_max_size=FRAME_BYTES,
        ws_ping_interval=config.ping_seconds,
        ws_ping_timeout=config.ping_seconds,
        ws_per_message_deflate=False,  # what is encrypted does not shrink
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # see `proxies`
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=CLOSE_SECONDS,
        ssl_certfile=config.tls_cert if tls else None,
        ssl_keyfile=config.tls_key if tls else None,
    )
    try:
        made.load()
    except (ssl.SSLError, OSError) as error:
        what = "the certificate or its key cannot be used"
        raise LocalError(Reason.BAD_INPUT, f"{what}: {error.strerror or error}") from None
    return WebServer(made, doors)


def _bounds(config: RelayConfig) -> Bounds:
    return Bounds(
        requests_in_flight=config.requests_in_flight,
        body_bytes=config.body_bytes,
        body_seconds=config.body_seconds,
        take_seconds=config.take_seconds,
        undrained_bytes=config.undrained_bytes,
    )


def _shown(own: socket.socket) -> str:
    host, port = own.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _allow_connections(config: RelayConfig) -> None:
    """As many open files as the system lets this process have: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.settings.sessions + SPARE_CONNECTIONS + 256
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _keep_memory_private() -> None:
    """No core file, and no other process of this user reads what is in memory: keys, addresses."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):  # of Linux only
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
