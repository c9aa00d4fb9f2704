"""Operations of chapter 22: frames, names of blobs, and what a relay remembers.

The relay is the one that serves, over a store in memory and with a clock that the case moves.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from ...errors import EvanesceError, Reason, RemoteError
from ...relay.clock import ManualRelayClock
from ...relay.credit import Credit
from ...relay.disclosure.statement import parse_statement
from ...relay.keys import RelayKeys
from ...relay.memory_rows import MemoryRows
from ...relay.relay import Cursor, Posted, Recalled, Relay, Waiting
from ...relay.settings import RelaySettings
from ...relay_formats import (
    CLIENT_FRAMES,
    RELAY_FRAMES,
    blob_hash,
    blob_token_hash,
    read_frame,
)
from .registry import Json, operation
from .values import tagged, un, un_maybe

_EVERYTHING = 1 << 40  # envelopes, or bytes


@operation("read frame")
def _read_frame(i: Json) -> Json:
    taken = {"client": CLIENT_FRAMES, "relay": RELAY_FRAMES}[i["from"]]
    form, fields = read_frame(un(i["data"]), taken)
    return {"form": form.name, "fields": tagged(fields)}


@operation("name blob")
def _name_blob(i: Json) -> Json:
    return {
        "hash": blob_hash(un(i["content"])).hex(),
        "token_hash": blob_token_hash(un(i["token"])).hex(),
    }


@operation("check statement")
def _check_statement(i: Json) -> Json:
    said = parse_statement(un(i["data"]))
    if not said.concerns(un(i["address"])):
        raise RemoteError(Reason.BAD_FORM, "about another mailbox")
    return {
        "key": said.key.hex(), "request": said.request, "jurisdiction": said.jurisdiction,
        "category": said.category, "disclosed": said.disclosed, "told": said.told,
        "gag_order": said.gag_order, "handed_over": list(said.handed_over),
        "envelopes": said.envelopes, "entry": said.entry, "head": said.head.hex(),
    }  # fmt: skip


@operation("credit")
def _credit(i: Json) -> Json:
    credit, waiting, sent = Credit(), list[int](), 0
    told = []
    for what, first, second in i["events"]:
        if what == "credit":
            credit.give(first, second)
        else:
            waiting += [first] * second
        while waiting and credit.left:
            credit.take(waiting.pop(0))
            sent += 1
        told.append(sent)
    return {"sent": told}


@asynccontextmanager
async def _running(
    retention: int, now: int
) -> AsyncIterator[tuple[Relay, Callable[[int], Awaitable[None]]]]:
    """A relay that has just been made, and what moves its clock to a moment."""
    with tempfile.TemporaryDirectory() as folder:
        clock = ManualRelayClock(now)
        settings = RelaySettings(retention_hours=retention)
        relay = Relay(MemoryRows(), RelayKeys.open(Path(folder)), clock, settings)
        await relay.start()

        async def move(moment: int) -> None:
            clock.advance(moment - clock.now())
            await relay.tick()

        try:
            yield relay, move
        finally:
            await relay.stop()


@operation("check publish")
def _check_publish(i: Json) -> Json:
    async def published() -> None:
        packages = [un(each) for each in i["packages"]]
        async with _running(72, i["now"]) as (relay, _):
            await relay.publish(un(i["fingerprint"]), packages, un_maybe(i["last_resort"]))

    asyncio.run(published())
    return {}


def _told(outcomes: list[Reason | None]) -> Json:
    return {"outcomes": [None if outcome is None else str(outcome) for outcome in outcomes]}


async def _waiting(relay: Relay, i: Json) -> list[Waiting]:
    cursor, waiting = Cursor(), list[Waiting]()
    while more := await relay.fetch(un(i["address"]), cursor, _EVERYTHING, _EVERYTHING):
        waiting += more
    return waiting


async def _written(relay: Relay, i: Json) -> Json:
    if i["do"] == "put":
        return _told(await relay.put([Posted(*map(un, item)) for item in i["items"]]))
    if i["do"] == "recall":
        return _told(await relay.recall([Recalled(*map(un, item)) for item in i["items"]]))
    address, capability = un(i["address"]), un(i["capability"])
    names = [n.to_bytes(16, "big") for n in range(i["count"])]
    outcomes = await relay.put([Posted(address, capability, name, b"\0") for name in names])
    refused = [outcome for outcome in outcomes if outcome is not None]
    return {"reason": str(refused[0])} if refused else {}


async def _read(relay: Relay, i: Json) -> Json:
    if i["do"] == "fetch":
        waiting = sorted((each.id.hex(), each.data.hex()) for each in await _waiting(relay, i))
        return {"waiting": [list(each) for each in waiting]}
    if i["do"] == "count":
        return {"count": len(await _waiting(relay, i))}
    if i["do"] == "make":
        await relay.make_mailbox(un(i["address"]), un(i["capability_hash"]))
    elif i["do"] == "remove":
        await relay.remove_mailbox(un(i["address"]))
    else:
        await relay.ack(un(i["address"]), [un(name) for name in i["ids"]])
    return {}


async def _packages(relay: Relay, i: Json) -> Json:
    fingerprint = un(i["fingerprint"])
    if i["do"] == "claim":
        given = [await relay.claim(fingerprint) for _ in range(i["times"])]
        return {"packages": sorted("" if each is None else each.hex() for each in given)}
    packages = [un(each) for each in i["packages"]]
    await relay.publish(fingerprint, packages, un_maybe(i["last_resort"]))
    return {}


async def _blobs(relay: Relay, i: Json) -> Json:
    if i["do"] == "fetch blob":
        return {"content": (await relay.blob(un(i["hash"]))).hex()}
    if i["do"] == "put blob":
        await relay.put_blob(un(i["token_hash"]), un(i["content"]))
    else:
        await relay.delete_blob(un(i["hash"]), un(i["token"]))
    return {}


_STEPS = {
    **dict.fromkeys(("put", "recall", "fill"), _written),
    **dict.fromkeys(("make", "remove", "ack", "fetch", "count"), _read),
    **dict.fromkeys(("publish", "claim"), _packages),
    **dict.fromkeys(("put blob", "fetch blob", "delete blob"), _blobs),
}


@operation("relay")
def _relay(i: Json) -> Json:
    async def played() -> list[Json]:
        results: list[Json] = []
        steps = i["steps"]
        async with _running(i["retention"], steps[0]["now"]) as (relay, move):
            for step in steps:
                await move(step["now"])
                try:
                    results.append(await _STEPS[step["do"]](relay, step))
                except EvanesceError as error:
                    results.append({"reason": str(error.reason)})
        return results

    return {"results": asyncio.run(played())}
