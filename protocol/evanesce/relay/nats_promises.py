"""What no client of a NATS server can see, and the relay promises all the same (REQ-RELAY-03, 12).

Whether a server writes to its disk before it answers (`sync_interval: always`) is told by its
monitoring endpoint (`/varz`), if the operator says where that is. Whether it encrypts what it
writes (`jetstream { key, cipher }`) is told nowhere, neither to clients nor by monitoring, as of
server 2.15. What cannot be seen, the operator must confirm in so many words.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .nats_streams import LEAST_PAYLOAD, bad_store

__all__ = ["NatsPromises"]

CIPHERS: Final = ("aes", "chacha")
SECONDS: Final = 5
LARGEST: Final = 4 << 20  # bytes of an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsPromises:
    """What the operator says about the servers, and where it can be checked.

    `monitors`: the monitoring URLs (`http://host:8222`) of all servers. `encrypted`: the cipher in
    the servers' configuration, "aes" or "chacha". `synced`: that all have `sync_interval: always`,
    where there are no monitoring URLs.
    """

    monitors: Sequence[str] = ()
    encrypted: str | None = None
    synced: bool = False

    def check_said(self) -> None:
        """See that what cannot be seen was confirmed. Raise `LocalError` (bad-store)."""
        if self.encrypted not in CIPHERS:
            raise bad_store(
                "encryption at rest: a NATS server does not tell whether it encrypts its files."
                " Configure `jetstream { key, cipher }` on each, and confirm the cipher"
                f" ({' or '.join(CIPHERS)})"
            )
        if not self.monitors and not self.synced:
            raise bad_store(
                "lazy sync: without monitoring URLs it cannot be seen whether the servers write to"
                " disk before they answer. Configure `sync_interval: always` on each, and give"
                " their monitoring URLs or confirm it"
            )

    async def check_servers(self, holders: set[str], replicas: int, least: tuple[int, int]) -> None:
        """Ask each server's monitoring endpoint. `holders`: names of servers that have the rows.

        A relay must be able to start while one server is down: a minority of the replicas may not
        answer, but for each of them a URL must be given. Raise `LocalError` (bad-store), saying
        which server breaks which promise.
        """
        if not self.monitors:
            return
        pages = await asyncio.gather(*(asyncio.to_thread(_varz, url) for url in self.monitors))
        seen, silent = set(), 0
        for url, page in zip(self.monitors, pages, strict=True):
            if page is None:
                silent += 1
                continue
            name = str(page.get("server_name", ""))
            seen.add(name)
            _check(f"NATS server {name} ({url})", page, least)
        missing = sorted(holders - seen)
        if len(missing) > min(silent, (replicas - 1) // 2) or not seen:
            which = ", ".join(missing) or "the server"
            raise bad_store(
                f"lazy sync: it cannot be seen of {which}, which has rows, whether it writes to"
                " disk before it answers: its monitoring URL is not given or does not answer"
            )


def _check(server: str, page: dict[str, Any], least: tuple[int, int]) -> None:
    version = str(page.get("version", "0.0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < least:
        raise bad_store(
            f"{server} is {version}: before {'.'.join(map(str, least))} it ignores the time to live"
            " of a message, so rows would not go by themselves"
        )
    payload = int(page.get("max_payload", 0))
    if payload < LEAST_PAYLOAD:
        raise bad_store(
            f"{server}: max_payload is {payload}, less than {LEAST_PAYLOAD}: an envelope would not"
            " fit"
        )
    config = (page.get("jetstream") or {}).get("config")
    if not config:
        raise bad_store(f"{server} has no JetStream: nothing would be kept")
    if config.get("sync_always") is not True:
        seconds = config.get("sync_interval", 0) // 10**9
        raise bad_store(
            f"{server}: lazy sync: it writes to disk every {seconds} s, so what was answered could"
            " be lost. Configure `sync_interval: always`"
        )


def _varz(url: str) -> dict[str, Any] | None:
    address = url.rstrip("/") + "/varz"
    if not address.startswith(("http://", "https://")):
        raise bad_store(f"{url} is no monitoring URL")
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:  # noqa: S310
            page = json.loads(answer.read(LARGEST))
    except OSError:
        return None
    except ValueError:
        page = None
    if not isinstance(page, dict) or "server_name" not in page:
        raise bad_store(f"lazy sync: {address} is no monitoring endpoint of a NATS server")
    return page
