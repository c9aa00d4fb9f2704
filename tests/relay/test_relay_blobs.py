"""Blobs at a relay: kept once under their hash, for as long as an envelope, deleted by token."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest

from evanesce.errors import Reason, RemoteError
from evanesce.limits import HOUR, MAX_BLOB
from evanesce.primitives import H
from evanesce.relay import blobs as blobs_module
from evanesce.relay.memory_rows import MemoryRows
from evanesce.relay.rows import REMAINDER_BYTES
from tests.relay.relay_support import Bench

TOKEN, OTHER = secrets.token_bytes(16), secrets.token_bytes(16)
CONTENT = b"a sealed chunk" * 100
NAME = H(b"blob", CONTENT)


def hashed(token: bytes) -> bytes:
    return H(b"blob token", token)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def refused(work: object) -> Reason:
    with pytest.raises(RemoteError) as caught:
        await work  # type: ignore[misc]
    return caught.value.reason


async def test_a_blob_is_found_by_its_hash_until_its_token_is_shown(bench: Bench) -> None:
    relay = await bench.relay()
    assert await refused(relay.blob(NAME)) is Reason.UNKNOWN_BLOB
    assert await refused(relay.delete_blob(NAME, TOKEN)) is Reason.UNKNOWN_BLOB
    await relay.put_blob(hashed(TOKEN), CONTENT)
    for again in (relay, await bench.relay()):
        assert await again.blob(NAME) == CONTENT
        assert await refused(again.delete_blob(NAME, OTHER)) is Reason.NOT_PERMITTED
    await relay.delete_blob(NAME, TOKEN)
    for again in (relay, await bench.relay()):
        assert await refused(again.blob(NAME)) is Reason.UNKNOWN_BLOB
    assert [len(kept.data) for kept in bench.rows.rows.values()] == [REMAINDER_BYTES]


async def test_the_largest_blob_is_kept(bench: Bench) -> None:
    relay = await bench.relay()
    content = bytes(MAX_BLOB)
    await relay.put_blob(hashed(TOKEN), content)
    assert await (await bench.relay()).blob(H(b"blob", content)) == content


async def test_the_same_blob_twice_is_kept_once_under_the_first_token(bench: Bench) -> None:
    relay = await bench.relay()
    await relay.put_blob(hashed(TOKEN), CONTENT)
    await relay.put_blob(hashed(OTHER), CONTENT)
    assert len(bench.rows.rows) == 1
    assert await refused(relay.delete_blob(NAME, OTHER)) is Reason.NOT_PERMITTED
    await relay.delete_blob(NAME, TOKEN)
    await relay.put_blob(hashed(OTHER), CONTENT)  # and what was deleted may come anew
    assert await relay.blob(NAME) == CONTENT
    await relay.delete_blob(NAME, OTHER)
    assert await refused(relay.blob(NAME)) is Reason.UNKNOWN_BLOB


async def test_a_blob_is_kept_as_long_as_an_envelope_after_it_was_put_last(bench: Bench) -> None:
    relay = await bench.relay()
    await relay.put_blob(hashed(TOKEN), CONTENT)
    bench.clock.advance(71 * HOUR)
    await relay.put_blob(hashed(OTHER), CONTENT)
    assert sum(not kept.blank for kept in bench.rows.rows.values()) == 1
    bench.clock.advance(71 * HOUR)
    await relay.tick()
    assert await relay.blob(NAME) == CONTENT
    assert await refused(relay.delete_blob(NAME, OTHER)) is Reason.NOT_PERMITTED
    bench.clock.advance(HOUR)
    assert await refused(relay.blob(NAME)) is Reason.UNKNOWN_BLOB
    await relay.tick()
    assert not bench.rows.rows


async def test_relays_that_take_one_blob_at_once_keep_it_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MemoryRows(shared=True, pause=True))
    one, other = await bench.relay(), await bench.relay()
    await asyncio.gather(one.put_blob(hashed(TOKEN), CONTENT),
                         other.put_blob(hashed(OTHER), CONTENT))  # fmt: skip
    assert len(bench.rows.rows) == 1
    done = await asyncio.gather(one.delete_blob(NAME, TOKEN), other.delete_blob(NAME, OTHER),
                                return_exceptions=True)  # fmt: skip
    assert sorted(type(outcome).__name__ for outcome in done) == ["NoneType", "RemoteError"]
    for relay in (one, other):
        assert await refused(relay.blob(NAME)) is Reason.UNKNOWN_BLOB


async def test_who_puts_and_deletes_without_end_is_stopped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs_module, "_MAX_KNOWN", 4)
    relay = await bench.relay()
    for _ in range(4):
        await relay.put_blob(hashed(TOKEN), CONTENT)
        await relay.delete_blob(NAME, TOKEN)
    work = relay.put_blob(hashed(TOKEN), CONTENT)
    assert await refused(work) is Reason.TOO_MANY_REQUESTS


async def test_a_store_that_fails_claims_nothing(bench: Bench) -> None:
    relay = await bench.relay()
    for which in (bench.rows.failing, bench.rows.vague):
        which.add("add")
        assert await refused(relay.put_blob(hashed(TOKEN), CONTENT)) is Reason.RELAY_BUSY
        which.clear()
    await relay.put_blob(hashed(TOKEN), CONTENT)
    bench.rows.failing.add("blank")
    assert await refused(relay.delete_blob(NAME, TOKEN)) is Reason.RELAY_BUSY
    bench.rows.failing.clear()
    assert await relay.blob(NAME) == CONTENT


async def test_a_blob_at_rest_tells_neither_its_hash_nor_its_token(bench: Bench) -> None:
    relay = await bench.relay()
    await relay.put_blob(hashed(TOKEN), CONTENT)
    [(where, kept)] = bench.rows.rows.items()
    for secret in (NAME, NAME[:8], hashed(TOKEN)[:8], CONTENT[:14]):
        assert secret not in where.name + kept.data
