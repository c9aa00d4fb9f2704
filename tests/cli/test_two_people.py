"""Two homes over one folder, from nothing to messages that evaporate."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from evanesce.terminal.cardtext import card_from_text, card_to_text
from evanesce.terminal.problems import Refused
from evanesce.terminal.qr import HINT
from tests.cli.cli_support import Person

Pair = tuple[Person, Person]


def test_a_home_is_made_once_and_remembers_the_shared_folder(tmp_path: Path) -> None:
    mina = Person(tmp_path, "Mina")
    mina.begins()
    assert mina.home.stat().st_mode & 0o077 == 0, "nobody else looks into it"
    assert mina.net.is_dir()
    before = (mina.home / "device.db").read_bytes()
    again = mina.run("init", "--name", "Other", "--net", str(mina.net), "--cost", "light")
    assert again.code == 1
    assert "there is a home" in again.err
    assert "--home" in again.err
    assert (mina.home / "device.db").read_bytes() == before
    assert b"Mina" not in b"".join(p.read_bytes() for p in mina.home.iterdir())


def test_a_card_survives_what_messengers_do_to_text(pair: Pair) -> None:
    mina, _ = pair
    text = mina.does("card")
    assert max(map(len, text.split("\n"))) <= 64
    card = card_from_text(text)
    assert card.name == "Mina"
    assert card_to_text(card) == text.strip()
    mangled = "Hi! > " + text.lower().replace("\n", " \r\n> ").replace("0", "o") + "\nsee you"
    assert card_from_text(mangled) == card
    for at in range(30, len(text) - 20, 97):
        damaged = text[:at] + ("7" if text[at] != "7" else "8") + text[at + 1 :]
        with pytest.raises(Refused):
            card_from_text(damaged)


def test_a_card_for_one_differs_from_the_public_one(pair: Pair) -> None:
    mina, _ = pair
    public, other = mina.tells("card")["card"], mina.tells("card", "--for-one")["card"]
    assert mina.tells("card")["card"] == public
    assert card_from_text(public).package.last_resort
    assert not card_from_text(other).package.last_resort
    assert card_from_text(public).identity == card_from_text(other).identity


def test_a_card_comes_from_a_file_an_argument_or_standard_input(
    pair: Pair, tmp_path: Path
) -> None:
    mina, junho = pair
    text = junho.does("card")
    file = tmp_path / "junho.card"
    file.write_text(text)
    for given, data in (([str(file)], ""), ([text], ""), (["-"], text), ([], text)):
        mina.does("contacts", "remove", "junho")
        assert mina.tells("contacts", "list")["contacts"] == []
        mina.does("contacts", "add", "준호", *given, data=data)
        (listed,) = mina.tells("contacts", "list")["contacts"]
        assert (listed["name"], listed["calls_itself"]) == ("준호", "Junho")
        assert not listed["verified"]
        mina.does("contacts", "remove", "준호")
        mina.does("contacts", "add", "Junho", *given, data=data)


def test_both_sides_see_the_same_digits_and_confirm_them(pair: Pair) -> None:
    mina, junho = pair
    shown = mina.does("verify", "Junho")
    digits = mina.tells("verify", "junho")["digits"]
    assert digits == junho.tells("verify", "Mina")["digits"]
    groups = digits.split(" ")
    assert [len(group) for group in groups] == [5] * 12
    assert "  ".join(groups[:4]) in shown
    assert "█" in shown, "a QR code"
    assert not mina.tells("contacts", "list")["contacts"][0]["verified"]
    mina.does("verify", "Junho", "--confirm")
    assert mina.tells("contacts", "list")["contacts"][0]["verified"]
    assert not junho.tells("contacts", "list")["contacts"][0]["verified"]


def test_the_code_has_the_digits_in_it_and_needs_the_package(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from segno import make

    from evanesce.terminal.qr import qr_code

    lines = qr_code("12345" * 12, colour=False)
    assert lines is not None
    wanted = [[bool(m) for m in row] for row in make("12345" * 12).matrix_iter(border=4)]
    lit = {" ": (1, 1), "▄": (1, 0), "▀": (0, 1), "█": (0, 0)}
    rows = [[bool(lit[c][half]) for c in line] for line in lines.split("\n") for half in (0, 1)]
    assert rows[: len(wanted)] == wanted
    monkeypatch.setitem(sys.modules, "segno", None)
    assert HINT in pair[0].does("verify", "Junho")


def test_another_identity_under_a_verified_name_is_not_verified(
    pair: Pair, tmp_path: Path
) -> None:
    mina, junho = pair
    mina.does("verify", "Junho", "--confirm")
    renewed = junho.does("card", "--for-one")
    refused = mina.run("contacts", "add", "Junho", data=renewed)
    assert refused.code == 1
    assert "--replace" in refused.err
    mina.does("contacts", "add", "Junho", "--replace", data=renewed)
    assert mina.tells("contacts", "list")["contacts"][0]["verified"], "the same identity"
    stranger = Person(tmp_path, "Stranger")
    stranger.begins()
    card = stranger.does("card")
    assert mina.run("contacts", "add", "Junho", "--replace", data=card).code == 1
    mina.does("contacts", "accept", "Junho")
    assert not mina.tells("contacts", "list")["contacts"][0]["verified"]


def test_a_conversation_back_and_forth(pair: Pair) -> None:
    mina, junho = pair
    made = mina.tells("room", "new", "Junho")["room"]
    assert made["direct"]
    assert made["label"] == "Junho"
    sent = mina.tells("send", "Junho", "7시에", "볼까?")
    assert sent["unsent"] == 0
    assert junho.tells("read", "--keep-unread")["unread"][0]["count"] == 1
    assert junho.tells("room", "list")["rooms"][0]["unread"] == 1
    read = junho.tells("read")
    assert [m["text"] for m in read["messages"]] == ["7시에 볼까?"]
    assert read["messages"][0]["id"] == sent["id"]
    assert junho.texts() == [], "it has been read"
    assert junho.texts("--all") == ["7시에 볼까?"]
    junho.does("send", "Mina", "--quote", sent["id"][:8], data="two\nlines\n")
    (answer,) = mina.tells("read")["messages"]
    assert (answer["text"], answer["quote"]) == ("two\nlines", sent["id"])
    junho.does("send", "Mina", "a", "second")
    shown = mina.does("read", "Junho")
    assert "Junho: a second" in shown


def test_what_was_viewed_is_gone_when_its_time_is_up(pair: Pair) -> None:
    mina, junho = pair
    mina.does("send", "Junho", "on closing", "--after-view", "0")
    mina.does("send", "Junho", "two seconds", "--after-view", "2s")
    mina.does("send", "Junho", "stays", "--lifetime", "1h")
    assert set(junho.texts()) == {"on closing", "two seconds", "stays"}
    assert set(junho.texts("--all")) == {"two seconds", "stays"}
    time.sleep(2.1)
    assert junho.texts("--all") == ["stays"]


def test_the_defaults_of_a_room_of_two_are_used_when_one_sends(pair: Pair) -> None:
    mina, junho = pair
    made = mina.tells("room", "new", "Junho", "--after-view", "0", "--lifetime", "1h")["room"]
    assert (made["after_view"], made["lifetime"]) == (0, 3600)
    mina.does("send", "Junho", "gone at once")
    (message,) = junho.tells("read")["messages"]
    assert message["after_view"] == 0
    assert message["deadline"] <= message["sent"] + 3600
    assert junho.texts("--all") == []


def test_title_and_defaults_outlive_that_both_have_begun_a_room(pair: Pair) -> None:
    mina, junho = pair
    mina.does("room", "new", "Junho", "--after-view", "7")
    junho.does("room", "new", "Mina", "--after-view", "9", "--title", "us")
    mina.does("send", "Junho", "from Mina")
    (message,) = junho.tells("read")["messages"]
    assert message["after_view"] == 7
    sent = junho.tells("send", "us", "from Junho")
    assert sent["label"] == "us"
    (message,) = mina.tells("read")["messages"]
    assert (message["after_view"], message["id"]) == (9, sent["id"])


def test_the_size_of_the_state_tells_nothing_of_its_content(pair: Pair) -> None:
    mina, _ = pair
    mina.does("room", "new", "Junho")
    before = mina.tells("export-state-size")
    mina.does("send", "Junho", "x" * 1000)
    shown = mina.does("export-state-size")
    data = mina.tells("export-state-size")
    (room,) = data["rooms"]
    assert room["members"] == 2
    assert room["bytes"] >= before["rooms"][0]["bytes"] + 1000
    assert data["bytes"] == room["bytes"] + data["device"]["bytes"]
    assert data["records"] == room["records"] + data["device"]["records"]
    assert "Junho" not in shown
    assert "xxx" not in shown
