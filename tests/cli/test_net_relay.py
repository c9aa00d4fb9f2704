"""Two homes that chat over a relay in the place of a folder, and what is said when it is away."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evanesce import Disclosed
from evanesce.relay.disclosure.signed_json import key_pair
from evanesce.relay.disclosure.statement import Statement, make_statement, subject_of
from evanesce.terminal.disclosed import disclosure_text
from tests.cli.cli_support import Person, run, terminals
from tests.transport.relay_process import RelayProcess, relay_process


@pytest.fixture(scope="module")
def relay() -> Iterator[RelayProcess]:
    with relay_process() as process:
        yield process


def _people(folder: Path, relay: RelayProcess, *names: str) -> list[Person]:
    made = [Person(folder, name) for name in names]
    for person in made:
        person.does("init", "--name", person.name, "--net", relay.url, "--cost", "light")
    for person in made:
        for other in made:
            if other is not person:
                file = folder / f"{other.name}.card"
                file.write_text(other.does("card"))
                person.does("contacts", "add", other.name, str(file))
    return made


def test_a_conversation_over_a_relay(tmp_path: Path, relay: RelayProcess) -> None:
    mina, junho = _people(tmp_path, relay, "Mina", "Junho")
    config = json.loads((mina.home / "config.json").read_text())
    assert config["net"] == relay.url
    assert not (tmp_path / "net").exists()
    sent = mina.tells("send", "Junho", "7시에 볼까?")
    assert sent["unsent"] == 0
    read = junho.tells("read")
    assert [message["text"] for message in read["messages"]] == ["7시에 볼까?"]
    junho.does("send", "Mina", "좋아")
    assert mina.texts() == ["좋아"]
    assert mina.texts() == []


def test_two_chat_live_over_a_relay(tmp_path: Path, relay: RelayProcess) -> None:
    mina, junho = _people(tmp_path, relay, "Mina", "Junho")
    one, other = mina.chat("Junho"), junho.chat("Mina")
    with terminals(one, other):
        one.shows("/quit")
        other.shows("/quit")
        one.types("hello over there\r")
        other.shows("hello over there")
        other.types("and back\r")
        one.shows("and back")
        one.types("/quit\r")
        other.types("/quit\r")
        assert (one.ends(), other.ends()) == (0, 0)


def test_a_disclosure_is_shown_to_whose_mailbox_it_is_once(
    tmp_path: Path, relay: RelayProcess
) -> None:
    mina, junho = _people(tmp_path, relay, "Mina", "Junho")
    mina.does("send", "Junho", "hello")
    assert junho.texts() == ["hello"]
    address = _contact_address(junho)
    at = ("--state", str(relay.state))
    number = run("relay", "request", "add", "--jurisdiction", "KR", "--category",
                 "search_seizure", "--accounts", "1", *at).out.strip()  # fmt: skip
    disclosed = run("relay", "disclose", address, "--request", number, *at)
    assert disclosed.code == 0, disclosed.err
    relay.kill()
    relay.start()  # which gives the notices that are due
    told = junho.tells("read")
    (notice,) = told["notices"]
    assert notice["notice"] == "disclosed"
    assert "search and seizure warrant" in notice["text"]
    assert "(KR)" in notice["text"]
    assert address not in notice["text"]
    assert "notices" not in junho.tells("read")
    assert "notices" not in mina.tells("read")


def _contact_address(person: Person) -> str:
    from evanesce.terminal.cardtext import card_from_text

    return card_from_text(person.does("card")).package.contact.address.hex()


def test_a_relay_that_is_away_is_told_of_and_what_was_said_goes_out_later(
    tmp_path: Path, relay: RelayProcess
) -> None:
    mina, junho = _people(tmp_path, relay, "Mina", "Junho")
    mina.does("room", "new", "Junho")
    relay.kill()
    try:
        away = mina.run("send", "Junho", "wait for it")
        assert away.code == 0
        assert "cannot be reached" in away.err
        assert relay.url in away.err
        assert "go out next time" in away.out
        read = junho.tells("read")
        assert [notice["notice"] for notice in read["notices"]] == ["net-trouble"]
    finally:
        relay.start()
    mina.does("read")
    assert junho.texts() == ["wait for it"]


def test_a_home_is_not_made_for_what_is_no_relay(tmp_path: Path, relay: RelayProcess) -> None:
    mina = Person(tmp_path, "Mina")

    def init(net: str) -> str:
        done = mina.run("init", "--name", "Mina", "--net", net, "--cost", "light")
        assert done.code != 0
        assert not mina.home.exists()
        assert "Traceback" not in done.err
        return done.err

    assert "cannot be reached" in init("http://127.0.0.1:1")
    assert "no such path" in init(relay.url + "/elsewhere")
    assert "use https" in init("http://relay.example")
    assert "https" in init("ftp://relay.example")
    assert "https://relay.example:8420" in init("relay.example:8420")
    data = mina.run("init", "--name", "Mina", "--net", "http://127.0.0.1:1", "--json").data
    assert data["error"]["reason"] == "no-net"


def test_a_home_may_move_to_another_relay_for_one_command(
    tmp_path: Path, relay: RelayProcess
) -> None:
    mina, _ = _people(tmp_path, relay, "Mina", "Junho")
    mina.does("--net", relay.url + "/", "read")
    folder = tmp_path / "folder"
    folder.mkdir()
    mina.does("--net", str(folder), "read")
    missing = mina.run("--net", str(tmp_path / "none"), "read")
    assert "is not there" in missing.err


def test_without_the_extra_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in list(sys.modules):
        if module.startswith("evanesce.transport.relay"):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    mina = Person(tmp_path, "Mina")
    done = mina.run("init", "--name", "Mina", "--net", "https://relay.example", "--cost", "light")
    assert done.code == 1
    assert "pip install 'evanesce[relay]'" in done.err


# --- the words of a disclosure --------------------------------------------------------------------

PRIVATE, PUBLIC = key_pair(b"\x05" * 32)
ADDRESS = b"\x06" * 32


def _statement(**changed: object) -> bytes:
    fields: dict[str, object] = {
        "request": 3, "jurisdiction": "KR", "category": "interception", "disclosed": 490_000,
        "told": 490_000, "delayed_hours": 0, "gag_order": False,
        "handed_over": ("mailbox", "envelopes"), "envelopes": 2, "salt": bytes(16),
        "subject": subject_of(bytes(16), ADDRESS), "entry": 7, "head": bytes(32), "key": PUBLIC,
    }  # fmt: skip
    return make_statement(Statement(**{**fields, **changed}), PRIVATE)  # type: ignore[arg-type]


def test_a_disclosure_says_when_for_whom_and_what_was_handed_over() -> None:
    text = disclosure_text(Disclosed(None, ADDRESS, _statement()))
    for said in ("interception order", "(KR)", "2025-11-24 16:00 UTC", "mailbox, envelopes",
                 "2 sealed envelopes", "Request 3, entry 7", PUBLIC.hex()[:16]):  # fmt: skip
        assert said in text
    late = _statement(told=490_100, delayed_hours=100, gag_order=True, handed_over=(), envelopes=0)
    text = disclosure_text(Disclosed(None, ADDRESS, late))
    assert "held nothing to hand over" in text
    assert "100 h later: an order had forbidden to tell you earlier" in text
    foreign = disclosure_text(Disclosed(None, bytes(32), late))
    assert "cannot be read (bad-form)" in foreign
    assert "KR" not in foreign
    assert "100 h" not in foreign
    other = disclosure_text(Disclosed(None, ADDRESS, _statement(category="tea_leaves")))
    assert "a request (tea_leaves)" in other
    many = _statement(handed_over=tuple(f"field.{chr(97 + n)}" for n in range(20)))
    assert "and 12 more" in disclosure_text(Disclosed(None, ADDRESS, many))
    far = _statement(disclosed=10**9, told=10**9)
    assert "UTC" in disclosure_text(Disclosed(None, ADDRESS, far))


@pytest.mark.parametrize(
    "statement",
    [b"", b"\x1b[2J", b"[" * 16_384, b"{}", b"\xff" * 16_384,
     _statement().replace(b'"request":3', b'"request":4')],
)  # fmt: skip
def test_a_statement_that_cannot_be_read_is_told_of_and_moves_no_cursor(statement: bytes) -> None:
    text = disclosure_text(Disclosed(None, ADDRESS, statement))
    assert "had to disclose" in text
    assert "cannot be read" in text
    assert text.isprintable()
