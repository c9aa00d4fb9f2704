"""Who asks how often: token buckets in memory, under names that mean nothing outside it.

A network address is hashed under a key that is made when the process starts and never leaves it.
What is kept of it is this hash and a count, for minutes (`memory.rate` of spec 22.7).
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ..settings import RelaySettings

__all__ = ["Kind", "Rates"]

MINUTE: Final = 60.0
KEPT: Final = 10 * MINUTE
ENTRIES: Final = 65_536  # about 20 MB at most; past it, who asked longest ago is forgotten

Kind = str  # the name of a field of `RelaySettings`


class Rates:
    """Buckets of each kind, each of a minute's worth of tokens."""

    def __init__(
        self,
        settings: RelaySettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        entries: int = ENTRIES,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._entries = entries
        self._key = secrets.token_bytes(32)
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # tokens, moment

    def __len__(self) -> int:
        return len(self._buckets)

    def client(self, host: str | None) -> bytes:
        """The name of a client: a keyed hash (16 bytes) of its network address.

        Of an IPv6 address the first 64 bits count: who has one of them has them all.
        """
        network = host or ""
        try:
            address = ipaddress.ip_address(network)
        except ValueError:
            pass  # a socket of this machine
        else:
            mapped = getattr(address, "ipv4_mapped", None)
            if mapped is None and address.version == 6:
                network = str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
            else:
                network = str(mapped or address)
        return self._hash(b"client", network.encode())

    def _hash(self, *parts: bytes) -> bytes:
        state = hashlib.blake2b(key=self._key, digest_size=16)
        for part in parts:
            state.update(len(part).to_bytes(4, "big") + part)
        return state.digest()

    def take(self, kind: Kind, who: bytes, count: int = 1) -> int:
        """Take `count` tokens; return 0, or the seconds after which it may be tried again.

        Who has a full bucket may take more than it holds, and waits the longer: else what costs
        more than a minute's worth could never be had.
        """
        rate = getattr(self._settings, kind)
        name = self._hash(kind.encode(), who)
        now = self._clock()
        tokens, since = self._buckets.pop(name, (float(rate), now))
        tokens = min(float(rate), tokens + (now - since) * rate / MINUTE)
        needed = min(count, rate)
        wait = 0
        if tokens >= needed:
            tokens -= count
        else:
            wait = max(1, math.ceil((needed - tokens) * MINUTE / rate))
        self._buckets[name] = tokens, now
        if len(self._buckets) > self._entries:
            self._buckets.popitem(last=False)
        return wait

    def sweep(self) -> None:
        """Forget whose bucket is full again: at the latest some minutes after the last request."""
        now = self._clock()
        while self._buckets:
            name, (_, since) = next(iter(self._buckets.items()))
            if now - since < KEPT:
                return
            del self._buckets[name]
