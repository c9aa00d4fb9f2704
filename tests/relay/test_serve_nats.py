"""Relay processes that share a NATS cluster: any of them serves any client."""

from __future__ import annotations

import secrets
import signal
from pathlib import Path

import httpx2

from tests.relay.nats_cluster import NatsCluster
from tests.relay.web_server import TYPE, Box, Process, outcomes, reading


async def test_what_one_relay_takes_another_delivers(
    tmp_path: Path, nats_cluster: NatsCluster
) -> None:
    options = (
        "--store", ",".join(url.removeprefix("nats://") for url in nats_cluster.urls),
        "--nats-monitors", ",".join(nats_cluster.monitors), "--nats-encrypted", "chacha",
        "--nats-prefix", "serve" + secrets.token_hex(4), "--nats-streams", "1",
        "--keys", str(tmp_path / "keys"),
    )  # fmt: skip
    options = (options[0], "nats://" + options[1], *options[2:])
    box = Box()
    async with (
        await Process.start(tmp_path / "one", *options) as one,
        await Process.start(tmp_path / "two", *options) as two,
        httpx2.AsyncClient(verify=False, timeout=20) as client,
        reading(two.base) as reader,
    ):
        async with reading(one.base) as owner:
            await owner.make(box)
        await reader.prove(box)
        await reader.grant()
        await reader.subscribe(box)
        for number in range(4):
            base = (one.base, two.base)[number % 2]
            body = box.put(b"%d" % number)
            put = await client.post(base + "/v1/put", content=body, headers=TYPE)
            assert outcomes(put) == [None]
        await reader.until(4)
        assert {envelope for _, _, envelope in reader.got} == {b"0", b"1", b"2", b"3"}
        await reader.ack(box, [id for _, id, _ in reader.got])
        two.signal(signal.SIGTERM)
        assert await two.wait() == 0
        async with reading(one.base) as again:
            await again.prove(box)
            await again.grant()
            await again.subscribe(box)
            await again.quiet()
            assert again.got == []
        assert [line["store"] for line in one.logged() if line["event"] == "started"] == ["nats"]
