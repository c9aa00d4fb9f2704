"""Reading a request's body: never more of it in memory than its form allows, nor for ever."""

from __future__ import annotations

import asyncio
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
        if "expect" in self.headers or self.announced() > _DISCARDED:
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

    @asynccontextmanager
    async def read(self, incoming: Incoming, limit: int) -> AsyncIterator[bytes]:
        """The body, of at most `limit` bytes, which counts as held until the block ends.

        Raise `Refusal`: 415, 413, 408, 503 when the memory for bodies is all taken; `Gone`.
        """
        kind = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != MEDIA_TYPE:
            raise Refusal(Reason.BAD_FORM, f"the body must be {MEDIA_TYPE}", status=415)
        if incoming.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(Reason.BAD_FORM, "no content coding is understood", status=415)
        if incoming.announced() > limit:
            raise Refusal(Reason.TOO_LARGE, f"more than {limit} bytes")
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._collect(incoming, limit, body)
            except TimeoutError:
                raise Refusal(Reason.BAD_FORM, "the body did not come in time", status=408,
                              headers={"connection": "close"}) from None  # fmt: skip
            yield bytes(body)
        finally:
            self._hold(-len(body))

    async def _collect(self, incoming: Incoming, limit: int, body: bytearray) -> None:
        while (chunk := await incoming.chunk()) is not None:
            if len(body) + len(chunk) > limit:
                raise Refusal(Reason.TOO_LARGE, f"more than {limit} bytes")
            if self._held + len(chunk) > self._bound:
                raise Refusal(Reason.RELAY_BUSY, "too many bodies at once")
            self._hold(len(chunk))
            body += chunk

    def _hold(self, count: int) -> None:
        self._held += count
        self._metrics.set("evanesce_body_bytes", self._held)
