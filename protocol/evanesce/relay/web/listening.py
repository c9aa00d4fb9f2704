"""Who comes in: connections are counted where they are accepted, before they have said anything.

What a server sees of a TLS connection begins after the handshake, and a client that never speaks
never gets there. So the bounds are at the door: of all connections, and of each client's.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Doors", "Listener", "RelayLoop", "listen"]

HANDSHAKE_SECONDS: Final = 5.0  # of TLS: a client that is there needs a second or two


class Doors:
    """How many connections there are at a time, and of whom."""

    def __init__(
        self,
        most: int,
        each: int,
        name: Callable[[str], bytes],
        passes: Callable[[str], bool] = lambda host: False,
    ) -> None:
        """`most` of all and `each` of one client, which `name` hashes; a proxy `passes`."""
        self._most = most
        self._each = each
        self._name = name
        self._passes = passes
        self._all = 0
        self._of: Counter[bytes] = Counter()

    def enter(self, host: str) -> Callable[[], None] | None:
        """Count one in; what counts it out again, or None where there are too many."""
        who = None if self._passes(host) else self._name(host)
        if self._all >= self._most or (who is not None and self._of[who] >= self._each):
            return None
        self._all += 1
        if who is not None:
            self._of[who] += 1

        def leave() -> None:
            self._all -= 1
            if who is not None:
                self._of[who] -= 1
                if not self._of[who]:
                    del self._of[who]

        return leave


class _Accepted(socket.socket):
    """A connection that is counted until it is closed."""

    leave: Callable[[], None] | None = None

    def close(self) -> None:
        """Close it."""
        super().close()
        leave, self.leave = self.leave, None
        if leave is not None:
            leave()


class Listener(socket.socket):
    """A listening socket that accepts whom its doors let in."""

    doors: Doors | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        """Raise `ConnectionAbortedError`, which asyncio passes over, for whom they do not."""
        taken, address = super().accept()
        if self.doors is None:
            return taken, address
        leave = self.doors.enter(str(address[0]))
        if leave is None:
            taken.close()
            raise ConnectionAbortedError
        made = _Accepted(self.family, self.type, self.proto, fileno=taken.detach())
        made.leave = leave
        return made, address


class RelayLoop(asyncio.SelectorEventLoop):
    """A loop on which a client that says nothing for some seconds has failed its handshake."""

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        """As every loop's, with a bound on the handshake of TLS."""
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", HANDSHAKE_SECONDS)
            options.setdefault("ssl_shutdown_timeout", HANDSHAKE_SECONDS)
        return await super().create_server(*arguments, **options)


def listen(host: str, port: int) -> Listener:
    """A listening socket. Raise `OSError` with the address as its file name.

    Its protocol is named: only then does asyncio switch Nagle's algorithm off for what it accepts,
    which would hold back the second half of each answer for 40 ms.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = Listener(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((host, port))
            made.listen(2_048)
        except BaseException:
            made.close()
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or "cannot be listened on",
                      f"{host}:{port}") from None  # fmt: skip
    made.setblocking(False)
    return made
