"""The streams of a relay on NATS JetStream: their subjects, how they are made, what they must be.

::

    <prefix>-rows-<s>   <prefix>.r.<s>.<the 7 digits of the hour, one a word>.<name in hex>
                        <prefix>.f.<s>                           the fence that reads wait for
    <prefix>-table      <prefix>.b.<number>, <prefix>.f.table    the buckets, and a fence

The first byte of a name tells its stream. The hour is written in words of one digit so that "this
hour and all before" is a few patterns, whatever hours there are.

A subject may hold two messages, for the moment between a blank being written and what it replaces
being erased (erasing overwrites; being pushed out by a limit does not).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from ..errors import LocalError, Reason
from .nats_link import NatsLink, Refused
from .rows import Place

__all__ = ["Names", "bad_store", "open_streams", "settings_of"]

HOUR_DIGITS: Final = 7
DUPLICATE_SECONDS: Final = 120
LEAST_PAYLOAD: Final = 2_200_000 + 8_192  # an envelope, what seals it, and headers
NOT_FOUND: Final = 10059


def bad_store(text: str) -> LocalError:
    """A promise that this store would break."""
    return LocalError(Reason.BAD_STORE, text)


@dataclass(frozen=True, slots=True)
class Names:
    """The streams and subjects of one relay."""

    prefix: str
    streams: int

    @property
    def wake(self) -> str:
        """Where changes are told."""
        return f"{self.prefix}.w"

    def all_streams(self) -> list[str]:
        """The streams with rows, and the one of the table."""
        return [self.stream(number) for number in range(self.streams)] + [self.stream(None)]

    def stream(self, number: int | None) -> str:
        """A stream with rows, or the one of the table (None)."""
        return f"{self.prefix}-table" if number is None else f"{self.prefix}-rows-{number}"

    def subjects(self, number: int | None) -> list[str]:
        """What a stream takes."""
        rows = f"{self.prefix}.b.*" if number is None else f"{self.prefix}.r.{number}.>"
        return [rows, self.fence(number)]

    def fence(self, number: int | None) -> str:
        """The subject a read writes to, to see all that was written before (`nats_reads`)."""
        return f"{self.prefix}.f.{'table' if number is None else number}"

    def spread(self, place: Place) -> int:
        """The number of the stream of a place."""
        return place.name[0] * self.streams // 256

    def row(self, place: Place) -> str:
        """The subject of a place."""
        hour = ".".join(f"{place.hour:0{HOUR_DIGITS}d}")
        return f"{self.prefix}.r.{self.spread(place)}.{hour}.{place.name.hex()}"

    def bucket(self, number: int) -> str:
        """The subject of a bucket."""
        return f"{self.prefix}.b.{number}"

    def until(self, number: int, hour: int) -> list[str]:
        """Patterns that together match all rows of a stream whose hour is this one or earlier."""
        digits = f"{hour:0{HOUR_DIGITS}d}"
        start = f"{self.prefix}.r.{number}"
        patterns = [".".join([start, *digits, "*"])]
        for at, digit in enumerate(digits):
            rest = ["*"] * (HOUR_DIGITS - at - 1)
            patterns += [
                ".".join([start, *digits[:at], str(less), *rest, "*"]) for less in range(int(digit))
            ]
        return patterns


def settings_of(
    names: Names, number: int | None, replicas: int, max_bytes: int | None
) -> dict[str, Any]:
    """The configuration of a stream."""
    return {
        "name": names.stream(number),
        "subjects": names.subjects(number),
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "new",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1 if max_bytes is None else max_bytes,
        "max_msgs_per_subject": 2,
        "max_msg_size": -1,
        "max_age": 0,
        "duplicate_window": DUPLICATE_SECONDS * 10**9,
        "allow_direct": True,
        "allow_msg_ttl": True,
    }


# Of each setting, what another value would break. Absent means the value that is given third.
_PROMISES: Final[tuple[tuple[str, str, object], ...]] = (
    ("allow_msg_ttl", "time to live is ignored: rows would not go by themselves", False),
    ("storage", "rows in memory are lost with the servers", "file"),
    ("num_replicas", "too few replicas: rows would be lost with a server", 1),
    ("discard", "a full stream would discard old rows, which were promised to be kept", "old"),
    ("retention", "rows would go before they are acked", "limits"),
    ("max_age", "rows would go by their age, before their hour", 0),
    ("max_msgs", "rows would be refused or go by number", -1),
    ("max_msgs_per_subject", "a blank could not replace what it blanks", -1),
    ("max_bytes", "the relay would not know when it is full", -1),
    ("max_msg_size", "an envelope would not fit", -1),
    ("duplicate_window", "a row that is sent again could not be told from another", 0),
    ("allow_direct", "rows could not be read in batches", False),
    ("subjects", "rows would go elsewhere", None),
    ("deny_delete", "rows could not be erased", False),
    ("deny_purge", "rows could not be forgotten", False),
    ("sealed", "nothing could be written or erased", False),
    ("no_ack", "it could not be told what was kept", False),
    ("mirror", "a mirror is not written to", None),
    ("sources", "other streams would be mixed in", None),
    ("republish", "rows would be copied elsewhere", None),
    ("subject_transform", "rows would go elsewhere", None),
    ("allow_rollup_hdrs", "a message could purge others", False),
    ("subject_delete_marker_ttl", "marks of what went would be kept", 0),
    ("discard_new_per_subject", "a blank could be refused", False),
    ("persist_mode", "rows would be answered before they are on disk", "default"),
)


def check_settings(name: str, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    """Compare what a stream is with what it must be. Raise `LocalError` (bad-store)."""
    for setting, broken, absent in _PROMISES:
        want = wanted.get(setting, absent)
        have = found.get(setting, absent)
        if setting == "subjects":
            want, have = sorted(want or ()), sorted(have or ())
        if setting == "num_replicas" and have > want:
            continue
        if have != want and not (have in (None, "", []) and want == absent):
            raise bad_store(f"stream {name}: {setting} is {have}, not {want}: {broken}")


async def open_streams(
    link: NatsLink, names: Names, replicas: int, max_bytes: int | None, deadline: float
) -> set[str]:
    """Make what streams are missing, and check all of them.

    Return the names of the servers that hold them. Raise `LocalError` (bad-store), `StoreFailure`.
    """
    payload = int(link.info.get("max_payload", 0))
    if payload < LEAST_PAYLOAD:
        raise bad_store(
            f"max_payload is {payload}, less than {LEAST_PAYLOAD}: an envelope would not fit"
        )
    if not link.info.get("jetstream"):
        raise bad_store("the server has no JetStream: nothing would be kept")
    listed = await link.api("STREAM.NAMES", {"subject": f"{names.prefix}.r.>"}, deadline)
    others = sorted(set(listed.get("streams") or ()) - set(names.all_streams()))
    if others:
        raise bad_store(
            f"there are streams {', '.join(others)} already: rows in them would not be found"
            " (the number of streams cannot be changed)"
        )
    numbers: list[int | None] = [*range(names.streams), None]
    holders = await asyncio.gather(
        *(
            _open_stream(
                link,
                settings_of(names, number, replicas, None if number is None else max_bytes),
                deadline,
            )
            for number in numbers
        )
    )
    return set().union(*holders)


async def _open_stream(link: NatsLink, wanted: dict[str, Any], deadline: float) -> set[str]:
    name = wanted["name"]
    try:
        found = await link.api(f"STREAM.INFO.{name}", None, deadline)
    except Refused as refused:
        if refused.code != NOT_FOUND:
            raise bad_store(f"stream {name}: {refused}") from None
        try:
            found = await link.api(f"STREAM.CREATE.{name}", wanted, deadline)
        except Refused as why:
            raise bad_store(
                f"stream {name} cannot be made with {wanted['num_replicas']} replicas: {why}"
            ) from None
    check_settings(name, wanted, found["config"])
    cluster: dict[str, Any] = found.get("cluster") or {}
    holders: set[str] = {replica["name"] for replica in cluster.get("replicas") or ()}
    if cluster.get("leader"):
        holders.add(cluster["leader"])
    replicas = wanted["num_replicas"]
    if replicas > 1 and len(holders) < replicas:
        raise bad_store(
            f"stream {name}: too few replicas: it is on {len(holders)} servers, not {replicas}:"
            " rows would be lost with a server"
        )
    return holders
