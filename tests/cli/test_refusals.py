"""What goes wrong is said in words, with what to do, and changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.cli_support import PASSPHRASE, Person, Terminal, people, run, terminals

Pair = tuple[Person, Person]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_wrong_passphrase_opens_and_changes_nothing(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mina, _ = pair
    before = files(tmp_path)
    monkeypatch.setenv("EVANESCE_PASSPHRASE", "wrong")
    for command in (("card",), ("room", "list"), ("send", "Junho", "x"), ("chat", "Junho")):
        refused = mina.run(*command)
        assert refused.code == 1
        assert "wrong passphrase" in refused.err
        assert "nothing has changed" in refused.err
        assert refused.out == ""
    assert files(tmp_path) == before


def test_a_home_that_is_in_use_says_so(pair: Pair) -> None:
    mina, _ = pair
    mina.does("room", "new", "Junho")
    chat = mina.chat("Junho")
    with terminals(chat):
        chat.shows("Junho · 2 members")
        refused = mina.run("read")
        assert refused.code == 1
        assert "in use by another evanesce" in refused.err
        assert "/quit" in refused.err
        error = json.loads(mina.run("read", "--json").out)["error"]
        assert error["reason"] == "store-busy"
        chat.types("/quit\r")
        assert chat.ends() == 0
    assert mina.run("read").code == 0


def test_the_passphrase_is_asked_for_on_the_terminal_without_echo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVANESCE_PASSPHRASE")
    mina = Person(tmp_path, "Mina")
    given = ("--home", str(mina.home), "init", "--name", "Mina", "--net", str(mina.net),
             "--cost", "light")  # fmt: skip
    first, second = Terminal(*given), Terminal(*given[:1], str(mina.home) + "2", *given[2:])
    with terminals(first, second):
        second.says("New passphrase: ")
        second.types("one\r")
        second.says("The same again: ")
        second.types("other\r")
        assert second.ends() == 1
        assert "not the same" in second.all
        assert not Path(f"{mina.home}2").exists()
        first.says("New passphrase: ")
        first.types(f"{PASSPHRASE}\r")
        first.says("The same again: ")
        first.types(f"{PASSPHRASE}\r")
        assert first.ends() == 0
        assert PASSPHRASE not in first.all
    again = Terminal("--home", str(mina.home), "contacts", "list")
    with terminals(again):
        again.says("Passphrase: ")
        again.types(f"{PASSPHRASE}\r")
        assert again.ends() == 0
        assert "No contacts yet" in again.all


def test_the_passphrase_may_come_from_a_file(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mina, _ = pair
    monkeypatch.delenv("EVANESCE_PASSPHRASE")
    file = tmp_path / "pass"
    file.write_text(f"{PASSPHRASE}\nmore\n")
    mina.does("--passphrase-file", str(file), "contacts", "list")
    mina.does("contacts", "list", "--passphrase-file", str(file))
    file.write_text("\n")
    assert "empty passphrase" in mina.run("card", "--passphrase-file", str(file)).err
    missing = mina.run("card", "--passphrase-file", str(tmp_path / "none"))
    assert missing.code == 1
    assert str(tmp_path / "none") in missing.err


def test_a_missing_home_and_a_missing_folder_are_named(pair: Pair, tmp_path: Path) -> None:
    mina, _ = pair
    nowhere = run("--home", str(tmp_path / "nowhere"), "read")
    assert nowhere.code == 1
    assert "evanesce init" in nowhere.err
    assert str(tmp_path / "data" / "evanesce") in run("read").err, "where it looks by itself"
    moved = mina.net.rename(tmp_path / "elsewhere")
    refused = mina.run("read")
    assert refused.code == 1
    assert "is it mounted?" in refused.err
    assert not mina.net.exists(), "it is not made where it should have been mounted"
    assert mina.run("read", "--net", str(moved)).code == 0


def test_a_home_put_back_from_a_copy_is_refused(pair: Pair, tmp_path: Path) -> None:
    mina, _ = pair
    mina.does("send", "Junho", "hello")
    shutil.copytree(mina.home, tmp_path / "copy")
    mina.does("send", "Junho", "hello again")
    shutil.rmtree(mina.home)
    shutil.move(tmp_path / "copy", mina.home)
    refused = mina.run("send", "Junho", "hello again")
    assert refused.code == 1
    assert "an older copy that was put back" in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("send",), "required"),
        (("room", "new", "Junho", "--direct", "--group"), "not allowed"),
        (("room", "role", "1", "Junho", "king"), "invalid choice"),
        (("send", "Junho", "x", "--after-view", "soon"), "is no duration"),
        (("completion", "fish"), "invalid choice"),
        (("nonsense",), "invalid choice"),
        (("room",), "required"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...], said: str) -> None:
    refused = run(*arguments)
    assert refused.code == 2
    assert said in refused.err


def test_requests_that_cannot_be_met(pair: Pair, tmp_path: Path) -> None:
    mina, junho = pair
    own = mina.does("card")
    card = junho.does("card")
    cases = [
        (("init", "--name", "x"), "", 2, "--net"),
        (("contacts", "add", "Me"), own, 1, "your own card"),
        (("contacts", "add", "Other"), card, 1, "belongs to your contact Junho"),
        (("contacts", "add", "Other"), card[:200], 1, "no whole card"),
        (("contacts", "add", "Other"), "", 1, "no whole card"),
        (("contacts", "add", "Other", str(tmp_path / "none")), "", 1, "none"),
        (("contacts", "add", "12"), card, 2, "cannot be"),
        (("contacts", "add", "a\x1b[31mb"), card, 2, "cannot be"),
        (("contacts", "add", "~Junho"), card, 2, "cannot be"),
        (("contacts", "add", "You"), card, 2, "cannot be"),
        (("contacts", "remove", "Sora"), "", 1, "your contacts: Junho"),
        (("verify", "Sora"), "", 1, "no contact"),
        (("room", "new", "Sora"), "", 1, "no contact"),
        (("room", "new", "Junho", "--lifetime", "80h"), "", 1, "72 hours"),
        (("send", "Sora", "x"), "", 1, "no room"),
        (("send", "Junho"), "", 2, "nothing to send"),
        (("send", "Junho", "x" * 65_537), "", 1, "65536"),
        (("send", "Junho", "x", "--quote", "abcd"), "", 1, "no such message"),
    ]
    for arguments, data, code, said in cases:
        refused = mina.run(*arguments, data=data)
        assert refused.code == code, (arguments, refused)
        assert said in refused.err, (arguments, refused)
        assert refused.err.startswith("evanesce: ")
        assert "\x1b" not in refused.err


def test_answers_as_json_parse_everywhere(tmp_path: Path) -> None:
    (mina,) = people(tmp_path, "Mina")
    for command in (("card",), ("contacts", "list"), ("room", "list"), ("read",),
                    ("read", "--keep-unread"), ("export-state-size",)):  # fmt: skip
        assert isinstance(mina.tells(*command), dict)
    made = Person(tmp_path, "Two").run(
        "init", "--name", "Two", "--net", str(mina.net), "--cost", "light", "--json"
    )
    assert made.data["name"] == "Two"
    nowhere = run("--home", str(tmp_path / "no"), "read", "--json")
    assert nowhere.data["error"]["reason"] == "no-home"
