"""Plays a world to a relay, and seizes its folder on the way: every file, as it lies there."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from evanesce.errors import RemoteError
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackageKeys
from evanesce.mailbox import MailboxKeys
from evanesce.primitives import H
from evanesce.relay.relay import Cursor, Posted, Waiting

from .happenings import (
    Box,
    Claim,
    Event,
    GetBlob,
    Make,
    Publish,
    Put,
    PutBlob,
    Read,
    Remove,
    World,
)


class Driven(Protocol):
    """What of `Relay` a world uses."""

    async def tick(self) -> None: ...
    async def put(self, items: Sequence[Posted]) -> Sequence[object]: ...
    async def make_mailbox(self, address: bytes, capability_hash: bytes) -> None: ...
    async def remove_mailbox(self, address: bytes) -> None: ...
    async def fetch(
        self, address: bytes, cursor: Cursor, envelopes: int, octets: int
    ) -> list[Waiting]: ...
    async def ack(self, address: bytes, ids: Sequence[bytes]) -> None: ...
    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None: ...
    async def claim(self, fingerprint: bytes) -> bytes | None: ...
    async def put_blob(self, token_hash: bytes, content: bytes) -> None: ...
    async def blob(self, content_hash: bytes) -> bytes: ...


class Driver:
    """One world, one relay. `set_time` moves the relay's clock; `folder` is what gets seized.

    What the world does within one second it does at the same time.
    """

    def __init__(
        self, world: World, relay: Driven, set_time: Callable[[int], None], folder: Path, seed: int
    ) -> None:
        self.world, self.relay, self.folder = world, relay, folder
        self.set_time = set_time
        self.random = random.Random(seed)
        self.identities: dict[int, IdentityKeys] = {}
        self.hashes: dict[int, bytes] = {}
        self.now = 0
        self.contact = MailboxKeys.generate(self.random.randbytes).mailbox
        self.refused = 0
        self.copies: list[tuple[int, int, bytes, bytes, int]] = []
        """Of each copy put: message, box, address, id, second (the truth, for the scorer)."""

    async def run(self, seized: Path, before: Callable[[Path], None] | None = None) -> list[Path]:
        """Play it all; return the copies, one for each moment of seizure.

        `before` is called with each copy's folder before it is made, to add what lies elsewhere.
        """
        taken: list[Path] = []
        moments = sorted(self.world.seizures)
        for second, group in groupby(self.world.events, key=lambda pair: pair[0]):
            while moments and moments[0] < second:
                moments.pop(0)
                taken.append(self.seize(seized / f"{len(taken)}", before))
            if second != self.now:
                self.now = second
                self.set_time(second)
            await self._at_once([event for _, event in group])
        taken.extend(self.seize(seized / f"{len(taken) + n}", before) for n in range(len(moments)))
        return taken

    def seize(self, where: Path, before: Callable[[Path], None] | None) -> Path:
        """Copy the folder as it lies there, times of files too."""
        if before is not None:
            before(where)
        where.mkdir(parents=True, exist_ok=True)
        # Another process copies: this one would lose its locks by closing a file.
        subprocess.run(["cp", "-a", str(self.folder), str(where / "data")], check=True)
        return where

    async def _at_once(self, events: list[Event]) -> None:
        if len(events) == 1:
            await self._do(events[0])
            return
        # One after the other where a mailbox occurs twice: makes first, they come first in time.
        await asyncio.gather(*(self._do(e) for e in events if isinstance(e, Make)))
        await asyncio.gather(*(self._do(e) for e in events if not isinstance(e, Make)))

    async def _do(self, event: Event) -> None:
        relay = self.relay
        if isinstance(event, Make):
            box = self.world.boxes[event.box]
            await relay.make_mailbox(box.address, H(b"capability", box.capability))
        elif isinstance(event, Put):
            await self._put(event)
        elif isinstance(event, Read):
            await self._read(self.world.boxes[event.box])
        elif isinstance(event, Remove):
            await relay.remove_mailbox(self.world.boxes[event.box].address)
        elif isinstance(event, Publish):
            await self._publish(event)
        elif isinstance(event, Claim):
            await self._quiet(relay.claim(self._identity(event.person).identity.fingerprint))
        elif isinstance(event, PutBlob):
            content = self.random.randbytes(event.size)
            self.hashes[event.blob] = H(b"blob", content)
            await relay.put_blob(self.random.randbytes(32), content)
        elif isinstance(event, GetBlob):
            if event.blob in self.hashes:
                await self._quiet(relay.blob(self.hashes[event.blob]))
        else:
            await relay.tick()

    async def _quiet(self, call: Awaitable[Any]) -> None:
        try:
            await call
        except RemoteError:
            self.refused += 1

    async def _put(self, event: Put) -> None:
        items = []
        for number, id_ in event.copies:
            box = self.world.boxes[number]
            items.append(
                Posted(box.address, box.capability, id_, self.random.randbytes(event.size))
            )
            self.copies.append((event.message, number, box.address, id_, self.now))
        outcomes = await self.relay.put(items)
        self.refused += sum(outcome is not None for outcome in outcomes)

    async def _read(self, box: Box) -> None:
        cursor = Cursor()
        try:
            while waiting := await self.relay.fetch(box.address, cursor, 256, 1 << 24):
                await self.relay.ack(box.address, [one.id for one in waiting])
        except RemoteError:
            self.refused += 1

    def _identity(self, person: int) -> IdentityKeys:
        if person not in self.identities:
            self.identities[person] = IdentityKeys.generate(self.random.randbytes)
        return self.identities[person]

    async def _publish(self, event: Publish) -> None:
        owner = self._identity(event.person)
        made = [
            KeyPackageKeys.generate(owner, self.contact, self.now, self.random.randbytes)
            for _ in range(event.count)
        ]
        last = KeyPackageKeys.generate(
            owner, self.contact, self.now, self.random.randbytes, last_resort=True
        )
        await self.relay.publish(
            owner.identity.fingerprint,
            [keys.package.signed for keys in made],
            last.package.signed,
        )


def total_bytes(folder: Path) -> int:
    """How much lies in a folder."""
    return sum(os.path.getsize(path) for path in folder.rglob("*") if path.is_file())
