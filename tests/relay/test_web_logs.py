"""Logs and metrics: the published lists, and nothing of those who are served."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

import evanesce.relay
from evanesce.errors import LocalError, Reason
from evanesce.primitives import H
from evanesce.relay.web.logs import EVENTS, FIELDS, Level, Log, quiet_libraries
from evanesce.relay.web.metrics import METRICS, Metrics
from evanesce.relay_formats import (
    ACK,
    BLOB,
    BLOB_DELETION,
    CLAIM,
    MAKE_MAILBOX,
    PUBLISH,
    PUT,
    RECALL,
    REMOVE_MAILBOX,
    SUBSCRIBE,
    UNSUBSCRIBE,
)
from tests.relay.web_server import TYPE, Box, Lines, Process, outcomes, reading

CHAPTER = (Path(__file__).parents[2] / "spec" / "22-relay.md").read_text("utf-8")
SECTION = CHAPTER.partition("\n## 22.9 ")[2].partition("\n## ")[0]


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the table in 22.9 with this first heading, by their first cell."""
    rows: dict[str, list[str]] = {}
    _, _, rest = SECTION.partition(f"| {heading} |")
    for line in rest.split("\n\n")[0].splitlines()[2:]:
        first, *others = (cell.strip() for cell in line.strip("|").split("|"))
        rows[first.strip("`")] = others
    return rows


def test_fields_events_and_metrics_are_those_that_are_published() -> None:
    assert {name: [said] for name, said in FIELDS.items()} == table("log field")
    assert {name: [said] for name, said in EVENTS.items()} == table("event")
    published = table("metric")
    assert set(published) == set(METRICS)
    for name, (kind, labels, _) in METRICS.items():
        assert published[name][:2] == [kind, ", ".join(labels)]


def test_every_event_and_field_that_is_published_is_used_and_no_other() -> None:
    root = Path(evanesce.relay.__file__).parent
    source = "".join(path.read_text("utf-8") for path in root.rglob("*.py"))
    calls = re.findall(r"log\.(?:write|failure)\(([^()]*(?:\([^()]*\)[^()]*)*)\)", source)
    events = {event for call in calls for event in re.findall(r'"([a-z-]+)"', call.split("=")[0])}
    assert events == set(EVENTS)
    fields = {name for call in calls for name in re.findall(r"\b([a-z_]+)=", call)}
    own = {"hour", "level", "event", "count", "error", "where", "reason", "library"}  # of logs.py
    assert fields | own == set(FIELDS)


def test_a_field_or_event_that_is_not_published_cannot_be_written() -> None:
    log = Log(Lines([]))
    with pytest.raises(KeyError):
        log.write(Level.INFO, "started", client="192.0.2.1")
    with pytest.raises(KeyError):
        log.write(Level.INFO, "request")
    with pytest.raises(KeyError):
        Metrics().count("evanesce_secret")


def test_a_line_has_the_hour_and_what_repeats_is_counted() -> None:
    lines: list[str] = []
    now = 1_790_003_599.5
    log = Log(Lines(lines), clock=lambda: now)
    for _ in range(1_000):
        log.write(Level.WARNING, "library", library="nats")
    log.write(Level.DEBUG, "library", library="nats")
    told = [json.loads(line) for line in lines]
    assert [each.get("count", 1) for each in told] == [1, 10, 100, 1_000]
    assert {each["hour"] for each in told} == {"2026-09-21T15Z"}
    now += 3_600
    log.write(Level.WARNING, "library", library="nats")
    assert "count" not in json.loads(lines[-1])


def test_of_an_error_its_class_and_place_are_told_and_not_its_text() -> None:
    lines: list[str] = []
    try:
        raise LocalError(Reason.BAD_STORE, "a secret")
    except LocalError as error:
        Log(Lines(lines)).failure("tick-failed", error)
    told = json.loads(lines[0])
    assert (told["error"], told["reason"], told["level"]) == ("LocalError", "bad-store", "error")
    assert re.fullmatch(r"test_web_logs:\d+", told["where"])
    assert "secret" not in lines[0]


@pytest.fixture
def loggers() -> Iterator[None]:
    """Puts logging back as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    shown = warnings.showwarning
    yield
    logging.captureWarnings(False)
    warnings.showwarning = shown
    root.handlers[:], level = before
    root.setLevel(level)


@pytest.mark.usefixtures("loggers")
def test_what_libraries_log_is_cut_down_to_who_it_was() -> None:
    lines: list[str] = []
    quiet_libraries(Log(Lines(lines), Level.DEBUG))
    for name in ("uvicorn.error", "uvicorn.access", "websockets.server", "nats.aio", "new.one"):
        logger = logging.getLogger(name)
        logger.info("192.0.2.1 - GET /v1/blobs/abc")
        logger.warning("192.0.2.1")
        try:
            raise ValueError("192.0.2.1")
        except ValueError:
            logger.exception("from %s", "192.0.2.1")
    told = [json.loads(line) for line in lines]
    names = ["uvicorn", "uvicorn", "websockets", "nats", "new"]
    assert [each["library"] for each in told] == [names[0], *names[2:]]  # the second repeats
    assert {each["error"] for each in told} == {"ValueError"}
    assert "192.0.2.1" not in "".join(lines)


AGENT, ADDRESS = "agent-4711-of-a-person", "203.0.113.77"
FORWARDED = {"x-forwarded-for": ADDRESS}


class Everything:
    """All requests, frames and refusals there are, and what of them must not be found again."""

    def __init__(self) -> None:
        self.box = Box()
        self.item = self.box.item(b"PLAINTEXT-OF-ENVELOPE" * 3)
        self.content, self.token = secrets.token_bytes(3_000), secrets.token_bytes(16)
        self.fingerprint, self.digest = secrets.token_bytes(32), H(b"blob", self.content)

    def secrets(self) -> list[bytes]:
        return [self.box.address, self.box.capability, self.item[2], self.fingerprint, self.digest,
                self.token, self.content[:16], self.box.keys.read_key]  # fmt: skip

    async def frames(self, relay: Process, client: httpx2.AsyncClient) -> None:
        box, item = self.box, self.item
        async with reading(relay.base, additional_headers=FORWARDED) as reader:
            await reader.make(box)
            await reader.grant()
            await reader.subscribe(box)
            assert outcomes(await client.post("/v1/put", content=PUT.build([item]))) == [None]
            await reader.until(1)
            await reader.ack(box, [item[2]])
            await reader.ask(MAKE_MAILBOX, secrets.token_bytes(32), bytes(32))
            await reader.ask(SUBSCRIBE, self.fingerprint)
            await reader.ask(UNSUBSCRIBE, box.address)
            await reader.ask(ACK, box.address, [item[2]])
            await reader.ask(REMOVE_MAILBOX, box.address)
            await reader.socket.send(b"\x00")
            await reader.ended()
        refused = 0
        for _ in range(25):
            try:
                async with reading(relay.base, additional_headers=FORWARDED):
                    pass
            except InvalidStatus as error:
                assert error.response.status_code == 429
                refused += 1
        assert refused > 0

    async def requests(self, client: httpx2.AsyncClient) -> None:
        bodies = {
            "/v1/put": PUT.build([self.item]),
            "/v1/recall": RECALL.build([self.item[:3]]),
            "/v1/publish": PUBLISH.build(self.fingerprint, [b"forged"], None),
            "/v1/claim": CLAIM.build(self.fingerprint),
            "/v1/blobs": BLOB.build(H(b"blob token", self.token), self.content),
            "/v1/blobs/delete": BLOB_DELETION.build(self.digest, self.token),
        }
        for path, body in bodies.items():
            for sent in (body, body[:-1], b"\xd4" + body, bytes(5_000_000)):
                await client.post(path, content=sent)
            await client.get(path)
            await client.post(path, content=body, headers={"content-type": "text/plain"})
        for path in ("blobs/" + self.digest.hex(), self.fingerprint.hex(), "about",
                     "about?" + self.box.address.hex(), "mailboxes"):  # fmt: skip
            await client.get("/v1/" + path)

    async def nonsense(self, relay: Process) -> None:
        host, port = relay.base.removeprefix("http://").split(":")
        opening = "host: x\r\nconnection: upgrade\r\nupgrade: websocket"
        for raw in ("\0" * 40, f"GET /{self.item[2].hex()} HTTP/1.1\r\nx",
                    f"GET /v1/mailboxes HTTP/1.1\r\n{opening}"):  # fmt: skip
            answer, writer = await asyncio.open_connection(host, int(port))
            writer.write(raw.encode() + b"\r\n\r\n")
            await asyncio.wait_for(answer.read(), 5)
            writer.close()


async def test_nothing_of_those_who_are_served_is_in_logs_or_metrics(tmp_path: Path) -> None:
    """A search in all that the process has written."""
    everything = Everything()
    options = ("--log-level", "debug", "--trusted-proxies", "127.0.0.1", "--take-seconds", "1",
               "--sessions-per-client", "20")  # fmt: skip
    headers = TYPE | FORWARDED | {"user-agent": AGENT}
    async with await Process.start(tmp_path, *options) as relay:
        async with httpx2.AsyncClient(base_url=relay.base, verify=False, headers=headers) as client:
            await everything.frames(relay, client)
            await everything.requests(client)
            await everything.nonsense(relay)
            metrics = (await client.get(relay.admin + "/metrics")).text
        relay.signal(signal.SIGTERM)
        assert await relay.wait() == 0
    for line in relay.logged():
        assert set(line) <= set(FIELDS)
        assert line["event"] in EVENTS
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\dZ", line["hour"])
    written = (tmp_path / "log").read_text() + metrics
    for value in everything.secrets():
        for form in (value.hex(), value[:6].hex(), repr(value), str(list(value))):
            assert form not in written
    for text in (ADDRESS, "127.0.0.1", AGENT, "PLAINTEXT", "forged"):
        assert text not in written
    check_metrics(metrics)
    assert 'evanesce_requests_total{path="/v1/put",status="200"} ' in metrics
    assert 'evanesce_frames_total{frame="ack",outcome="ok"} ' in metrics
    assert 'evanesce_requests_total{path="other",status="404"} ' in metrics


def check_metrics(text: str) -> None:
    """Only what is published, and labels from closed lists."""
    known = {
        "path": {"/v1/put", "/v1/recall", "/v1/publish", "/v1/claim", "/v1/blobs",
                 "/v1/blobs/delete", "/v1/blobs/{hash}", "/v1/mailboxes", "/v1/about", "/healthz",
                 "/readyz", "/metrics", "/openapi.json", "other"},
        "request": {"put", "recall"},
        "frame": {"prove", "make mailbox", "remove mailbox", "subscribe", "unsubscribe", "ack",
                  "unknown"},
        "outcome": {"ok", "failed"} | {str(reason) for reason in Reason},
        "code": {"1000", "1001", "1008", "1011", "1013"},
    }  # fmt: skip
    names = set()
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        found = re.fullmatch(r"(\w+?)(_total|_bucket|_count|_sum)?(?:\{(.*)\})? [\d.e+-]+", line)
        assert found is not None, line
        name, _, labels = found.groups()
        assert name in METRICS, line
        names.add(name)
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels or ""):
            if label == "status":
                assert re.fullmatch(r"[1-5]\d\d", value)
            elif label != "le":
                assert value in known[label], line
    assert {name for name, (kind, *_) in METRICS.items() if kind == "gauge"} <= names
