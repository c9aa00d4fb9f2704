"""Every target by its name: what is called, how long an input may be, and its share of a long run.

The share is how many of a million executions a target gets. Cheap decoders get many; where each
input is signed and sealed again, and then opened, there are fewer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.fuzz import committing, decoders, devices, folders, speaking

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """One target. `raw`: its inputs are themselves what is decoded, not choices."""

    run: Callable[[bytes], Any]
    share: int
    longest: int = 512
    raw: bool = False


TARGETS: Final = {
    "wire": Target(decoders.wire, 90_000, 1_024, raw=True),
    "forms": Target(decoders.forms, 160_000, 4_096, raw=True),
    "frames": Target(decoders.frames, 60_000, 1_024, raw=True),
    "content": Target(decoders.content, 90_000, 2_048, raw=True),
    "message": Target(decoders.message, 90_000, 2_048, raw=True),
    "commits": Target(decoders.commits, 90_000, 8_192, raw=True),
    "text": Target(decoders.text, 60_000, 2_048, raw=True),
    "statements": Target(decoders.statements, 50_000, 2_048, raw=True),
    "envelopes": Target(decoders.envelopes, 30_000, 2_048),
    "identities": Target(decoders.identities, 20_000),
    "credentials": Target(decoders.credentials, 30_000),
    "requests": Target(decoders.requests, 30_000),
    "rosters": Target(decoders.rosters, 20_000),
    "operations": Target(decoders.operations, 30_000),
    "receive": Target(speaking.receive, 60_000),
    "receive_direct": Target(speaking.receive_direct, 40_000),
    "apply": Target(committing.apply, 50_000),
    "join": Target(committing.join, 25_000),
    "device": Target(devices.device, 60_000, 1_024),
    "records": Target(devices.records, 25_000),
    "engine": Target(devices.engine, 15_000),
    "header": Target(devices.header, 15_000, 1_024),
    "folder": Target(folders.folder, 10_000),
}
