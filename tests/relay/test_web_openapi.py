"""The OpenAPI description: everything in it is real. That nothing is missing: openapi_check.py."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from websockets.exceptions import InvalidStatus

from evanesce.errors import Reason, RemoteError
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackageKeys
from evanesce.primitives import H
from evanesce.relay.relay import Posted, Recalled, Relay
from evanesce.relay.settings import RelaySettings
from evanesce.relay.web.app import PATHS
from evanesce.relay.web.errors import Refusal
from evanesce.relay.web.face import Bounds
from evanesce.relay_formats import BLOB, BLOB_DELETION, CLAIM, MEDIA_TYPE, PUBLISH, PUT, RECALL
from tests.relay.web_server import NOW, TYPE, Box, Served, memory_relay, reading, served

DOCUMENT: dict[str, Any] = json.loads(
    files("evanesce.relay.web").joinpath("openapi.json").read_bytes()
)
ALL = sorted(
    (path, method, status)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    for status in operation["responses"]
)
BLOB_CONTENT, TOKEN = b"a blob", bytes(16)
OWNER = IdentityKeys.generate(secrets.token_bytes)
HASH = H(b"blob", BLOB_CONTENT)
BODIES = {
    "/v1/put": PUT.build([Box().item()]),
    "/v1/recall": RECALL.build([Box().item()[:3]]),
    "/v1/publish": PUBLISH.build(OWNER.identity.fingerprint, [
        KeyPackageKeys.generate(OWNER, Box().keys.mailbox, NOW, secrets.token_bytes).package.signed
    ], None),
    "/v1/claim": CLAIM.build(OWNER.identity.fingerprint),
    "/v1/blobs": BLOB.build(H(b"blob token", TOKEN), BLOB_CONTENT),
    "/v1/blobs/delete": BLOB_DELETION.build(HASH, TOKEN),
}  # fmt: skip
LEAST = RelaySettings(claims_per_client=1, claims_per_identity=1, publishes_per_client=1,
                      blobs_per_client=1, puts_per_client=1, sessions_per_client=1)  # fmt: skip


class Full(Relay):
    """A relay that has no room."""

    async def put(self, items: Sequence[Posted]) -> list[Reason | None]:
        raise RemoteError(Reason.RELAY_FULL)

    async def recall(self, items: Sequence[Recalled]) -> list[Reason | None]:
        raise RemoteError(Reason.RELAY_FULL)

    async def publish(
        self, fingerprint: bytes, packages: Sequence[bytes], last_resort: bytes | None
    ) -> None:
        raise RemoteError(Reason.RELAY_FULL)

    async def put_blob(self, token_hash: bytes, content: bytes) -> None:
        raise RemoteError(Reason.RELAY_FULL)


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        found: Any = DOCUMENT
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def check(path: str, method: str, response: httpx2.Response) -> None:
    """The answer is one that the description has."""
    told = DOCUMENT["paths"][path][method]["responses"].get(str(response.status_code))
    assert told is not None, (path, method, response.status_code)
    told = resolved(told)
    kind = response.headers.get("content-type", "").partition(";")[0]
    assert set(told.get("content", {"": None})) == {kind}
    if kind == "application/json":
        schema = told["content"][kind]["schema"] | {"components": DOCUMENT["components"]}
        jsonschema.validate(response.json(), schema)
    for name, header in told.get("headers", {}).items():
        schema = resolved(header)["schema"]
        value = response.headers[name]
        jsonschema.validate(int(value) if schema.get("type") == "integer" else value, schema)
    assert ("retry-after" in response.headers) == (response.status_code in {429, 503, 507})


async def ask(at: Served, path: str, method: str, **changed: Any) -> httpx2.Response:
    target = path.replace("{hash}", HASH.hex())
    if method == "post" and "content" not in changed:
        changed["content"] = BODIES[path]
    headers = TYPE if method == "post" else {}
    return await at.client.request(
        method.upper(), target, **{"headers": headers} | changed
    )


def as_response(answer: Any) -> httpx2.Response:
    """What was answered instead of a WebSocket, or with it."""
    headers = list(answer.headers.raw_items())
    return httpx2.Response(answer.status_code, headers=headers, content=bytes(answer.body or b""))


async def malformed(at: Served, method: str, path: str) -> httpx2.Response:
    return await unlike(at, f"{method.upper()} {path} HTTP/1.1\r\nno header\r\n\r\n".encode())


async def unlike(at: Served, sent: bytes) -> httpx2.Response:
    """The answer to what no client of HTTP sends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(at.base.rsplit(":", 1)[1]))
    writer.write(sent)
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return httpx2.Response(int(lines[0].split()[1]), headers=headers, content=body)


async def produce(at: Served, path: str, method: str, status: str) -> httpx2.Response:
    """Bring this answer about."""
    if path == "/v1/mailboxes" and status in {"101", "429"}:
        async with reading(at.base) as reader:
            response = reader.socket.response
        if status == "429":
            with pytest.raises(InvalidStatus) as refused:
                async with reading(at.base):
                    pass
            response = refused.value.response
        assert response is not None
        return as_response(response)
    if status == "426":
        return await at.client.get(path)
    if status == "400":
        if method == "post":
            return await ask(at, path, method, content=b"\x00")
        return await malformed(at, method, path.replace("{hash}", HASH.hex()))
    if status == "405":
        return await at.client.request("DELETE", path.replace("{hash}", HASH.hex()))
    if status == "408":
        head = (f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {MEDIA_TYPE}\r\n"
                "content-length: 40\r\n\r\n")  # fmt: skip
        return await unlike(at, head.encode() + BODIES[path][:1])
    if status == "413":
        return await ask(at, path, method, content=bytes(5_000_000))
    if status == "415":
        return await ask(at, path, method, headers={"content-type": "text/plain"})
    if status == "503":
        at.app.face.draining = True
        if path == "/v1/mailboxes":
            with pytest.raises(InvalidStatus) as refused:
                async with reading(at.base):
                    pass
            return as_response(refused.value.response)
    if status == "429":
        await ask(at, path, method)
    if (path, status) in {("/v1/blobs/{hash}", "200"), ("/v1/blobs/delete", "204"),
                          ("/v1/blobs/delete", "403")}:  # fmt: skip
        assert (await ask(at, "/v1/blobs", "post")).status_code == 204
    if (path, status) == ("/v1/claim", "200"):
        assert (await ask(at, "/v1/publish", "post")).status_code == 204
    if status == "404":
        if method == "get":
            return await at.client.get("/v1/blobs/" + "0" * 64)
        return await ask(at, path, method, content=BLOB_DELETION.build(bytes(32), TOKEN))
    if status == "403":
        return await ask(at, path, method, content=BLOB_DELETION.build(HASH, bytes([1]) * 16))
    return await ask(at, path, method)


@pytest.mark.parametrize("state", ["usual", "slow", "often", "full", "stopping"])
async def test_every_answer_that_is_described_is_given(tmp_path: Path, state: str) -> None:
    states = {"408": "slow", "429": "often", "507": "full", "503": "stopping"}
    settings = LEAST if state == "often" else RelaySettings()
    relay = memory_relay(tmp_path, settings)
    if state == "full":
        relay.__class__ = Full
    bounds = Bounds(body_seconds=0.1 if state == "slow" else 10)
    async with served(relay, settings, bounds) as at:
        for path, method, status in ALL:
            if states.get(status, "usual") == state:
                response = await produce(at, path, method, status)
                assert str(response.status_code) == status, (path, method, status, response.text)
                if status != "101":
                    check(path, method, response)


async def test_it_is_served_as_it_is(tmp_path: Path) -> None:
    async with served(memory_relay(tmp_path)) as at:
        response = await at.client.get("/openapi.json")
        assert response.json() == DOCUMENT
        assert response.headers["content-type"] == "application/json"


def test_paths_reasons_and_types_are_those_of_the_relay() -> None:
    served_paths = set(PATHS) - {"/metrics"} | {"/v1/blobs/{hash}"}
    assert set(DOCUMENT["paths"]) == served_paths
    reasons = DOCUMENT["components"]["schemas"]["Refusal"]["properties"]["reason"]["enum"]
    assert len(reasons) == len({Reason(each) for each in reasons})
    statuses = {str(Refusal(Reason(each), "").status) for each in reasons}
    described = {status for _, _, status in ALL}
    assert statuses <= described
    for methods in DOCUMENT["paths"].values():
        if "post" in methods:
            assert list(methods["post"]["requestBody"]["content"]) == [MEDIA_TYPE]
