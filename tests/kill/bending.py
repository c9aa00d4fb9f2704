"""A folder that loses what is sent to some mailbox for a while, or hands it over much later.

Which mailboxes these are outlives the process: it is in files, one for each address.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from evanesce.mailbox import Mailbox
from evanesce.ports import Outgoing
from evanesce.primitives import H
from evanesce.wire import decode, encode

__all__ = ["Bends"]

LOST, LATE = "lost", "late"


class Bends:
    """What one device's transport does to what it is handed."""

    def __init__(self, folder: Path) -> None:
        self._bent = folder / "bent"
        self._late = folder / "late"

    def bend(self, address: bytes, how: str) -> None:
        """From now on, what goes to this mailbox is lost or late."""
        self._bent.mkdir(parents=True, exist_ok=True)
        (self._bent / address.hex()).write_text(how)

    def heal(self) -> None:
        """From now on, everything arrives."""
        shutil.rmtree(self._bent, ignore_errors=True)

    def sift(self, batch: Sequence[Outgoing]) -> list[Outgoing]:
        """What goes on now. What is late is put aside, under another id: no recall reaches it."""
        straight = []
        for item in batch:
            path = self._bent / item.mailbox.address.hex()
            if not path.exists():
                straight.append(item)
            elif path.read_text() == LATE:
                self._late.mkdir(parents=True, exist_ok=True)
                name = H(b"under way", item.id)[:16].hex()
                data = encode([item.mailbox.value(), item.envelope])
                (self._late / name).write_bytes(data)
        return straight

    def late(self) -> list[Outgoing]:
        """What was put aside."""
        found = []
        for path in sorted(self._late.glob("*")):
            mailbox, envelope = decode(path.read_bytes(), limit=1 << 22)
            found.append(Outgoing(bytes.fromhex(path.name), Mailbox(*mailbox), envelope))
        return found

    def arrived(self, items: Sequence[Outgoing]) -> None:
        """These have been handed over."""
        for item in items:
            (self._late / item.id.hex()).unlink(missing_ok=True)
