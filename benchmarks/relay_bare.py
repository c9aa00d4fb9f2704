"""What a bare client of a store can do: the floor that `relay.py` divides by. Task as JSON.

It writes rows of the same size, as many at a time as all clients of the relay have under way, and
does nothing else: no names, no encryption, no mailboxes, no network but that to the store.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any


def sqlite(task: dict[str, Any]) -> float:
    """Rows a second into a table by random key: WAL, synchronous FULL, one transaction a group."""
    connection = sqlite3.connect(Path(task["folder"]) / "bare.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE bare (name BLOB PRIMARY KEY, data BLOB) WITHOUT ROWID")
    data, rows, begun = os.urandom(task["size"]), 0, time.monotonic()
    while time.monotonic() - begun < task["seconds"]:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO bare VALUES (?, ?)",
                               [(secrets.token_bytes(16), data) for _ in range(task["group"])],
                               )  # fmt: skip
        connection.execute("COMMIT")
        rows += task["group"]
    rate = rows / (time.monotonic() - begun)
    connection.close()
    return rate


async def nats(task: dict[str, Any]) -> float:
    """Acknowledged publishes a second into one stream, each on a subject of its own."""
    import nats as library  # noqa: PLC0415  an extra
    from nats.js.api import StorageType, StreamConfig  # noqa: PLC0415

    client = await library.connect(task["servers"])
    stream = client.jetstream()
    config = StreamConfig(name="bare", subjects=["bare.>"], num_replicas=task["replicas"],
                          storage=StorageType.FILE, max_msgs_per_subject=1)  # fmt: skip
    await stream.add_stream(config)
    data, rows, begun = os.urandom(task["size"]), 0, time.monotonic()

    async def publish() -> None:
        nonlocal rows
        while time.monotonic() - begun < task["seconds"]:
            await stream.publish(f"bare.{secrets.token_hex(16)}", data, timeout=30)
            rows += 1

    await asyncio.gather(*(publish() for _ in range(task["group"])))
    rate = rows / (time.monotonic() - begun)
    await stream.delete_stream("bare")
    await client.close()
    return rate


if __name__ == "__main__":
    given = json.load(sys.stdin)
    json.dump(asyncio.run(nats(given)) if "servers" in given else sqlite(given), sys.stdout)
