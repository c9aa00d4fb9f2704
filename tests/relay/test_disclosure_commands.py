"""The commands of an operator who is asked: over a relay's own files, beside the relay."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest

from evanesce.cli import main
from evanesce.limits import HOUR
from evanesce.primitives import H
from evanesce.relay.clock import RelayClock
from evanesce.relay.disclosure.notices import disclosure_key, give_due
from evanesce.relay.disclosure.statement import parse_statement
from evanesce.relay.items import Cursor, Posted
from evanesce.relay.keys import RelayKeys
from evanesce.relay.nats_promises import NatsPromises
from evanesce.relay.nats_rows import NatsRows
from evanesce.relay.relay import Relay
from evanesce.relay.settings import RelaySettings
from evanesce.relay.sqlite_rows import SqliteRows
from evanesce.relay.web.about import signing
from tests.relay.nats_cluster import NatsCluster
from tests.relay.test_transparency import SCHEMA
from tests.relay.web_server import Process

ADDRESS = H(b"mailbox", b"a")
CAPABILITY = b"c" * 16
ID = b"1" * 16


class Desk:
    """The relay's state, and the command line."""

    def __init__(self, state: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.state, self._capture = state, capture

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        """Run `evanesce relay`; the exit code, what it printed and what it complained of."""
        self._capture.readouterr()
        code = main(["relay", *map(str, arguments), "--state", str(self.state)])
        printed = self._capture.readouterr()
        return code, printed.out, printed.err

    def running(self, act: Callable[[Relay], Any]) -> Any:
        """Do something while the relay runs."""

        async def run() -> Any:
            keys = RelayKeys.open(self.state / "keys")
            store = SqliteRows(self.state / "data")
            relay = Relay(store, keys, RelayClock(keys.last_hour), RelaySettings())
            await relay.start()
            try:
                return await act(relay)
            finally:
                await relay.stop()

        return asyncio.run(run())


@pytest.fixture
def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    for name in ("CONFIG", "STATE", "KEYS"):
        monkeypatch.delenv(f"EVANESCE_RELAY_{name}", raising=False)
    made = Desk(tmp_path / "state", capsys)

    async def fill(relay: Relay) -> None:
        await relay.make_mailbox(ADDRESS, H(b"capability", CAPABILITY))
        assert await relay.put([Posted(ADDRESS, CAPABILITY, ID, b"e" * 512)]) == [None]

    made.running(fill)
    return made


def add(desk: Desk, *more: object) -> str:
    code, out, err = desk("request", "add", "--jurisdiction", "KR", "--category", "search_seizure",
                          "--accounts", 1, *more)  # fmt: skip
    assert (code, err) == (0, "")
    return out.strip()


def test_from_the_demand_to_the_report(desk: Desk, tmp_path: Path) -> None:
    """REQ-RELAY-20 to REQ-RELAY-26, by the commands, beside a running relay."""
    now = int(time.time()) // HOUR
    number = add(desk, "--reference", "서울중앙지법 2026-1234")
    assert number == "1"
    answer, envelopes = tmp_path / "answer.json", tmp_path / "envelopes"

    async def beside(relay: Relay) -> tuple[int, str, str]:
        return await asyncio.to_thread(
            desk, "disclose", ADDRESS.hex(), "--request", number, "--out", answer,
            "--include-envelopes", envelopes,
        )  # fmt: skip

    code, out, err = desk.running(beside)
    assert (code, err) == (0, "")
    assert f"mailbox {ADDRESS.hex()}" in out
    assert f"write_capability_hash: {H(b'capability', CAPABILITY).hex()}" in out
    assert "envelopes: 1" in out
    assert "Not held:" in out
    assert json.loads(answer.read_bytes())["envelopes"][0]["bytes"] == 512
    assert (envelopes / "0001.envelope").read_bytes() == b"e" * 512
    assert answer.stat().st_mode & 0o077 == 0

    async def give(relay: Relay) -> list[bytes]:
        given = await give_due(relay, desk.state / "ledger", now, keys=desk.state / "keys")
        assert given == 1
        return [each.data for each in await relay.fetch(ADDRESS, Cursor(), 10, 1 << 20)
                if each.is_notice]  # fmt: skip

    [statement] = desk.running(give)
    assert parse_statement(statement).concerns(ADDRESS)
    (tmp_path / "statement").write_bytes(statement)
    this_month = time.strftime("%Y-%m", time.gmtime())
    report, page = tmp_path / "report.json", tmp_path / "report.html"
    code, out, err = desk("transparency-report", "--from", this_month, "--to", this_month,
                          "--json", report, "--html", page, "--operator", "운영자")  # fmt: skip
    assert (code, out, err) == (0, "", "")
    value = json.loads(report.read_bytes())
    jsonschema.validate(value, SCHEMA)
    totals = value["totals"]
    assert (totals["requests"], totals["processed_with_data"], totals["with_envelopes"]) == (1,) * 3
    assert (totals["notified"], totals["pending"]) == (1, 0)
    assert "투명성" in page.read_text("utf-8")
    assert "서울중앙지법" not in report.read_text("utf-8") + page.read_text("utf-8")
    code, out, err = desk("ledger", "verify", "--mailbox", ADDRESS.hex(), "--check", answer,
                          "--check", tmp_path / "statement", "--check", report)  # fmt: skip
    assert (code, err) == (0, "")
    assert out.startswith("3 entries, head ")
    assert out.count("entry 2") == 2
    code, out, _ = desk("request", "list", "--json")
    [shown] = json.loads(out)
    assert (shown["state"], shown["answers"], shown["untold"]) == ("answered", 1, 0)
    assert shown["reference"] == "서울중앙지법 2026-1234"
    # An outsider with a copy of the ledger and the key.
    code = main(["relay", "ledger", "verify", "--file", str(desk.state / "ledger/ledger.jsonl"),
                 "--key", value["key"], "--check", str(report)])  # fmt: skip
    assert code == 0


def test_an_answer_comes_from_a_shared_store_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """REQ-RELAY-23, over NATS JetStream, beside a relay that runs on it."""
    desk = Desk(tmp_path / "state", capsys)
    with NatsCluster(tmp_path / "nats", 1) as cluster:
        store = ("--store", cluster.urls[0], "--nats-replicas", 1, "--nats-streams", 1,
                 "--nats-monitors", cluster.monitors[0], "--nats-encrypted", "chacha",
                 "--store-bytes", 10**8)  # fmt: skip

        async def run() -> tuple[int, str, str]:
            keys = RelayKeys.open(desk.state / "keys")
            promises = NatsPromises(monitors=cluster.monitors, encrypted="chacha")
            rows = NatsRows(cluster.urls, promises=promises, streams=1, replicas=1,
                            max_bytes=10**8)  # fmt: skip
            relay = Relay(rows, keys, RelayClock(keys.last_hour), RelaySettings())
            await relay.start()
            try:
                await relay.make_mailbox(ADDRESS, H(b"capability", CAPABILITY))
                await relay.put([Posted(ADDRESS, CAPABILITY, ID, b"e" * 512)])
                return await asyncio.to_thread(
                    desk, "disclose", ADDRESS.hex(), "--request", add(desk), "--json", *store
                )
            finally:
                await relay.stop()

        code, out, err = asyncio.run(run())
    assert (code, err) == (0, "")
    held = {each["field"]: each["value"] for each in json.loads(out)["held"]}
    assert held["envelope_ids"] == [ID.hex()]
    assert [each["bytes"] for each in held["envelopes"]] == [512]


def test_an_answer_as_json_and_of_an_unknown_mailbox(desk: Desk) -> None:
    """REQ-RELAY-23."""
    number = add(desk)
    code, out, _ = desk("disclose", "00" * 32, "--request", number, "--json")
    value = json.loads(out)
    assert (code, value["exists"], value["held"]) == (0, False, [])
    code, out, _ = desk("request", "list")
    assert "1 of 1 answered" in out
    code, out, err = desk("disclose", "00" * 32, "--request", number)
    assert (code, out) == (2, "")
    assert "all of which are answered" in err
    code, out, _ = desk("disclose", "00" * 32, "--request", number, "--again")
    assert code == 0
    assert "There is no such mailbox." in out
    assert "Held: nothing." in out


def test_gag_orders_by_command(desk: Desk) -> None:
    """REQ-RELAY-24."""
    number = add(desk)
    assert desk("disclose", ADDRESS.hex(), "--request", number, "--gag-until", "2099-12-30")[0] == 0
    [shown] = json.loads(desk("request", "list", "--json")[1])
    # That day ends last at 12:00 UTC of the next.
    assert shown["gag_until"] * HOUR == int(time.mktime((2099, 12, 31, 12, 0, 0, 0, 0, 0))) - (
        time.timezone
    )
    assert desk("request", "gag", number, "--until", "2099-12-31")[0] == 0
    assert desk("request", "gag", number, "--until", "2099-12-01")[0] == 2
    assert desk("request", "lift-gag", number)[0] == 0
    assert desk("request", "lift-gag", number)[0] == 2
    code, _, err = desk("request", "gag", number, "--until", "2001-01-01")
    assert code == 2
    assert "has ended" in err


def test_narrowing_and_rejecting_by_command(desk: Desk) -> None:
    """REQ-RELAY-20."""
    first = desk("request", "add", "--jurisdiction", "KR", "--category", "interception",
                 "--accounts", 5)[1].strip()  # fmt: skip
    assert desk("request", "narrow", first, "--accounts", 2, "--ground", "overbroad")[0] == 0
    assert desk("request", "narrow", first, "--accounts", 3, "--ground", "overbroad")[0] == 2
    assert desk("request", "reject", first, "--ground", "because")[0] == 2
    assert desk("request", "reject", first, "--ground", "no_legal_basis")[0] == 0
    assert desk("disclose", ADDRESS.hex(), "--request", first)[0] == 2
    assert "rejected: 0 of 2 answered" in desk("request", "list")[1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("request", "add", "--jurisdiction", "KR", "--category", "wiretap", "--accounts", 1),
         "known: communication_confirmation"),
        (("request", "add", "--jurisdiction", "XX", "--category", "a", "--accounts", 1),
         "unknown jurisdiction"),
        (("request", "add", "--jurisdiction", "KR", "--category", "interception", "--accounts", 1,
          "--received", "2999-01-01"), "future"),
        (("request", "add", "--jurisdiction", "KR", "--category", "interception", "--accounts", 1,
          "--reference", "a\nb"), "one line"),
        (("disclose", "00" * 32, "--request", 7), "no request 7"),
        (("disclose", "00" * 32, "--request", 7, "--out", "/no/such/x"), "cannot be written"),
        (("transparency-report", "--from", "2026-1", "--to", "2026-06"), "not a month"),
        (("transparency-report", "--from", "2998-01", "--to", "2998-06"), "not begun"),
        (("ledger", "verify", "--key", "00" * 32), "go together"),
        (("ledger", "accept-loss", "--yes"), "nothing of the ledger is lost"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_a_clear_message(
    desk: Desk, arguments: tuple[object, ...], complaint: str
) -> None:
    code, out, err = desk(*arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert not (desk.state / "ledger" / "ledger.jsonl").exists()


@pytest.mark.parametrize(
    "arguments",
    [("disclose", "00" * 31, "--request", "1"), ("disclose", "zz" * 32, "--request", "1"),
     ("disclose", "00" * 32, "--request", "0"), ("disclose", "00" * 32),
     ("request", "gag", "1", "--until", "tomorrow"), ("request", "gag", "1"),
     ("ledger", "accept-loss")],
)  # fmt: skip
def test_what_is_no_argument_is_refused(desk: Desk, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        desk(*arguments)
    assert ended.value.code == 2


def test_tampering_is_told_by_verify_and_stops_all_else(desk: Desk) -> None:
    """REQ-RELAY-21."""
    add(desk)
    add(desk)
    path = desk.state / "ledger" / "ledger.jsonl"
    data = path.read_bytes()
    for tampered in (data.replace(b"KR", b"US", 1), data.splitlines(keepends=True)[0], b""):
        path.write_bytes(tampered)
        code, out, err = desk("ledger", "verify")
        assert (code, out) == (1, "")
        assert "tampered" in err
        for arguments in (("disclose", ADDRESS.hex(), "--request", 1), ("request", "list"),
                          ("transparency-report", "--from", "2026-01", "--to", "2026-01"),
                          ("request", "lift-gag", 1)):  # fmt: skip
            code, out, err = desk(*arguments)
            assert (code, out) == (2, "")
            assert "tampered" in err
        assert path.read_bytes() == tampered
    assert desk("ledger", "accept-loss", "--yes")[0] == 0
    assert desk("ledger", "verify")[0] == 0


def test_a_ledger_that_was_deleted_with_its_anchor_is_a_loss(desk: Desk) -> None:
    """REQ-RELAY-21: the key that is left tells that there was one."""
    add(desk)
    shutil.rmtree(desk.state / "ledger")
    shutil.rmtree(desk.state / "keys" / "disclosure")
    for arguments in (("disclose", ADDRESS.hex(), "--request", 1), ("request", "list")):
        code, out, err = desk(*arguments)
        assert (code, out) == (2, "")
        assert "anchor" in err
    assert desk("ledger", "verify")[0] == 1
    assert desk("ledger", "accept-loss", "--yes")[0] == 0
    assert desk("ledger", "verify")[1].startswith("1 entries")
    assert add(desk) == "1"


def test_a_clock_that_was_set_back_writes_no_entry(desk: Desk) -> None:
    """REQ-RELAY-20: not even where the relay starts with such a clock."""
    keys = RelayKeys.open(desk.state / "keys")
    keys.destroy(int(time.time()) // HOUR + 5)
    for arguments in (("request", "list"), ("ledger", "verify")):
        code, _, err = desk(*arguments)
        assert code == 2
        assert "the clock is behind" in err
        with pytest.raises(SystemExit):
            desk(*arguments, "--accept-clock")
    (desk.state / "relay.toml").write_text("accept_clock = true\n")
    assert desk("request", "list", "--config", desk.state / "relay.toml")[0] == 2


def test_about_publishes_the_key_before_anything_is_signed(desk: Desk) -> None:
    """REQ-RELAY-25: so that whoever reads a statement can compare."""
    shutil.rmtree(desk.state / "ledger", ignore_errors=True)
    said = signing(desk.state / "keys")
    number = add(desk)
    code, out, _ = desk("disclose", ADDRESS.hex(), "--request", number, "--json")
    assert code == 0
    assert said == {"disclosure_key": json.loads(out)["key"]}
    assert desk("ledger", "verify")[0] == 0


async def test_a_relay_that_serves_publishes_its_key(tmp_path: Path) -> None:
    """REQ-RELAY-25: from the first time that it runs."""
    async with await Process.start(tmp_path) as relay, httpx2.AsyncClient() as client:
        told = (await client.get(relay.base + "/v1/about")).json()
        assert told["disclosure_key"] == disclosure_key(tmp_path / "state" / "keys").hex()
        assert (tmp_path / "state" / "keys" / "disclosure" / "ledger.anchor").exists()


def test_a_torn_line_is_told_and_mended(desk: Desk) -> None:
    """REQ-RELAY-21."""
    add(desk)
    path = desk.state / "ledger" / "ledger.jsonl"
    path.write_bytes(path.read_bytes() + b'{"body"')
    code, _, err = desk("ledger", "verify")
    assert code == 1
    assert "torn" in err
    code, out, err = desk("ledger", "verify", "--mend")
    assert (code, err) == (0, "")
    assert out.startswith("2 entries")


def test_a_changed_reference_is_noticed(desk: Desk) -> None:
    """REQ-RELAY-21."""
    add(desk, "--reference", "2026-1")
    path = desk.state / "ledger" / "references" / "1.json"
    path.write_bytes(path.read_bytes().replace(b"2026-1", b"2026-2"))
    code, _, err = desk("ledger", "verify")
    assert code == 1
    assert "reference of request 1 was changed" in err
    path.unlink()  # it may be erased
    assert desk("ledger", "verify")[0] == 0


def test_another_table_size_is_no_answer(desk: Desk) -> None:
    """REQ-RELAY-23: else every mailbox would seem not to be there."""
    number = add(desk)
    code, out, err = desk("disclose", ADDRESS.hex(), "--request", number, "--mailboxes", 1000)
    assert (code, out) == (2, "")
    assert "another number of mailboxes" in err


def test_without_a_relay_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong path does not make keys that sign."""
    desk = Desk(tmp_path / "none", capsys)
    for arguments in (("request", "list"), ("ledger", "verify")):
        code, out, err = desk(*arguments)
        assert (code, out) == (2, "")
        assert "keys" in err
    assert not (tmp_path / "none").exists()
