"""Reading a request's body: never more of it in memory than its form allows, nor for ever."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from ...errors import Reason
from ...relay_formats import MEDIA_TYPE
from .errors import Refusal
from .metrics import Metrics

__all__ = ["Bodies", "Gone", "Incoming"]

EACH: Final = 64  # bodies of one client that are on their way
SHARE: Final = 8  # what one client's bodies may take of the memory: one part of so many,
LEAST: Final = 8 * 1024 * 1024  # but always so many bytes
_DISCARDED: Final = 8 * 1024 * 1024  # bytes dropped so that a client hears why it is refused
_DISCARD_SECONDS: Final = 2.0


class Gone(Exception):  # noqa: N818
    """The client is gone in the middle of its request: nothing of it is done."""


class Incoming:
    """The body of one request, as it comes."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.headers = Headers(scope=scope)
        self._receive = receive
        self._complete = False

    def announced(self) -> int:
        """How many bytes the client has announced; 0 when it does not say."""
        length = self.headers.get("content-length", "0")
        return int(length) if length.isdecimal() and len(length) < 20 else 1 << 62

    def in_chunks(self) -> bool:
        """Whether its length is not told before: then chunks of a byte each may come."""
        return "transfer-encoding" in self.headers

    async def chunk(self) -> bytes | None:
        """What has come next, or None after the last. Raise `Gone`."""
        if self._complete:
            return None
        message = await self._receive()
        if message["type"] != "http.request":
            self._complete = True
            raise Gone
        self._complete = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body

    async def discard(self) -> bool:
        """Drop what is left; whether all of it came, so that the connection can be used again.

        Without this, a client that is still sending when it is refused sees a broken connection.
        """
        if self._complete:
            return True
        if "expect" in self.headers or self.in_chunks() or self.announced() > _DISCARDED:
            return False
        seen = 0
        try:
            async with asyncio.timeout(_DISCARD_SECONDS):
                while (chunk := await self.chunk()) is not None:
                    seen += len(chunk)
                    if seen > _DISCARDED:
                        return False
        except (TimeoutError, Gone):
            return False
        return True


class Bodies:
    """The memory that all bodies share: `bound` bytes; each must come within `seconds`."""

    def __init__(self, bound: int, seconds: float, metrics: Metrics) -> None:
        self._bound = bound
        self._seconds = seconds
        self._metrics = metrics
        self._held = 0
        self._held_of: Counter[bytes] = Counter()
        self._coming_of: Counter[bytes] = Counter()

    def check(self, incoming: Incoming, limit: int) -> int:
        """How many bytes are to come, before any is read. Raise `Refusal`: 415, 413, 400."""
        kind = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != MEDIA_TYPE:
            raise Refusal(Reason.BAD_FORM, f"the body must be {MEDIA_TYPE}", status=415)
        if incoming.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(Reason.BAD_FORM, "no content coding is understood", status=415)
        if incoming.in_chunks() or "content-length" not in incoming.headers:
            raise Refusal(Reason.BAD_FORM, "a body comes with its Content-Length")
        if incoming.announced() > limit:
            raise Refusal(Reason.TOO_LARGE, f"more than {limit} bytes")
        return incoming.announced()

    @asynccontextmanager
    async def read(self, incoming: Incoming, limit: int, client: bytes) -> AsyncIterator[bytes]:
        """The body, of at most `limit` bytes, which counts as held until the block ends.

        Raise `Refusal`: as `check`, 408, 503 when the memory for bodies is all taken, 429 when
        this client's part of it is, or too many of its bodies are on their way; `Gone`.
        """
        self.check(incoming, limit)
        if self._coming_of[client] >= EACH:
            raise Refusal(Reason.TOO_MANY_REQUESTS, "too many bodies on their way")
        body = bytearray()
        try:
            self._coming_of[client] += 1
            try:
                async with asyncio.timeout(self._seconds):
                    await self._collect(incoming, limit, client, body)
            except TimeoutError:
                raise Refusal(Reason.BAD_FORM, "the body did not come in time", status=408,
                              headers={"connection": "close"}) from None  # fmt: skip
            finally:
                _count(self._coming_of, client, -1)
            yield bytes(body)
        finally:
            self._hold(-len(body), client)

    async def _collect(
        self, incoming: Incoming, limit: int, client: bytes, body: bytearray
    ) -> None:
        share = max(self._bound // SHARE, LEAST)
        while (chunk := await incoming.chunk()) is not None:
            if len(body) + len(chunk) > limit:
                raise Refusal(Reason.TOO_LARGE, f"more than {limit} bytes")
            if self._held + len(chunk) > self._bound:
                raise Refusal(Reason.RELAY_BUSY, "too many bodies at once")
            if self._held_of[client] + len(chunk) > share:
                raise Refusal(Reason.TOO_MANY_REQUESTS, "too many bodies of one client")
            self._hold(len(chunk), client)
            body += chunk

    def _hold(self, count: int, client: bytes) -> None:
        self._held += count
        _count(self._held_of, client, count)
        self._metrics.set("evanesce_body_bytes", self._held)


def _count(counts: Counter[bytes], client: bytes, by: int) -> None:
    """Count, and keep no client of whom nothing is left."""
    counts[client] += by
    if not counts[client]:
        del counts[client]
