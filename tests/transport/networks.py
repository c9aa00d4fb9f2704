"""The three transports as the checks want them: a network, and connections to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from evanesce import MemoryTransport, RemoteError
from evanesce.testing import Claims
from evanesce.testing.transport import Connect
from evanesce.transport.armored import ArmoredTransport
from evanesce.transport.folder import FolderTransport

# What people with a messenger cannot do: refuse, or know what another has acked.
ARMORED = Claims(unknown_mailbox=False, capability=False, full=False, remembers=False,
                 directory=False)  # fmt: skip


@asynccontextmanager
async def memory() -> AsyncIterator[Connect]:
    """One object for all: it has nothing to restart."""
    transport = MemoryTransport()
    yield lambda: transport


@asynccontextmanager
async def folder() -> AsyncIterator[Connect]:
    """An object for each connection, and one folder."""
    # What was cancelled may still be at work in its thread for a moment.
    with TemporaryDirectory(ignore_cleanup_errors=True) as root:
        yield lambda: FolderTransport(Path(root) / "shared")


class Messenger:
    """A conversation that everybody is in, and copies from to their own transport."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.posts: list[str] = []
        self.readers: list[ArmoredTransport] = []

    def post(self, text: str) -> None:
        """Somebody pastes a block; everybody copies it from there."""
        assert self.limit is None or len(text) <= self.limit
        self.posts.append(text)
        for reader in self.readers:
            reader.feed(text)

    def join(self) -> ArmoredTransport:
        """Another reader, who scrolls back first."""
        reader = ArmoredTransport(self.post, limit=self.limit)
        with suppress(RemoteError):
            reader.feed("\n\n".join(self.posts))
        self.readers.append(reader)
        return reader


@asynccontextmanager
async def messenger() -> AsyncIterator[Connect]:
    """Messages of any length."""
    yield Messenger(None).join


@asynccontextmanager
async def short_messages() -> AsyncIterator[Connect]:
    """Messages of 500 characters."""
    yield Messenger(500).join
