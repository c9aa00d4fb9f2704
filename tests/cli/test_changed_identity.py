"""A card of another identity under a known name: nothing is sent until the user has decided."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.cli_support import Person, people, terminals

Pair = tuple[Person, Person]


@pytest.fixture
def stranger(tmp_path: Path) -> Person:
    """Somebody who calls themselves Junho, too."""
    other = Person(tmp_path, "Stranger")
    other.does("init", "--name", "Junho", "--net", str(other.net), "--cost", "light")
    return other


def contact(person: Person, name: str) -> dict[str, object]:
    found = [row for row in person.tells("contacts", "list")["contacts"] if row["name"] == name]
    assert len(found) == 1
    return dict(found[0])


def test_another_card_under_a_known_name_is_offered_and_the_user_decides(
    pair: Pair, stranger: Person
) -> None:
    """REQ-ID-16: accept and refuse, and what each leaves."""
    mina, _ = pair
    mina.does("verify", "Junho", "--confirm")
    before = contact(mina, "Junho")
    assert before["offered"] is None
    card = stranger.does("card")
    for more in ((), ("--replace",)):
        refused = mina.run("contacts", "add", "junho", *more, data=card)
        assert refused.code == 1
        assert "not the card of the one you know as Junho" in refused.err
        for hint in ("accept Junho", "refuse Junho", "verify Junho --offered"):
            assert hint in refused.err
    error = json.loads(mina.run("contacts", "add", "Junho", "--json", data=card).out)["error"]
    assert error["reason"] == "identity-changed"
    waiting = contact(mina, "Junho")
    assert waiting == {**before, "offered": waiting["offered"]}, "still the one it was"
    assert waiting["offered"] not in (None, before["fingerprint"])
    assert "another card waits" in mina.does("contacts", "list")
    known, offered = (mina.tells("verify", "Junho", *more)["digits"]
                      for more in ((), ("--offered",)))  # fmt: skip
    assert known != offered
    stranger.knows(mina)
    assert stranger.tells("verify", "Mina")["digits"] == offered
    assert "contacts accept Junho" in mina.does("verify", "Junho", "--offered")

    refusal = mina.tells("contacts", "refuse", "Junho")
    assert refusal == before == contact(mina, "Junho"), "and still verified"
    assert mina.run("contacts", "add", "Junho", data=card).code == 1
    accepted = mina.tells("contacts", "accept", "JUNHO")
    assert accepted == contact(mina, "Junho")
    assert (accepted["name"], accepted["offered"], accepted["verified"]) == ("Junho", None, False)
    assert accepted["fingerprint"] == waiting["offered"]
    assert mina.tells("verify", "Junho")["digits"] == offered
    mina.does("send", "Junho", "who are you?")
    assert stranger.texts() == ["who are you?"]


def test_nothing_is_sent_meanwhile_but_what_comes_is_read(
    pair: Pair, stranger: Person, tmp_path: Path
) -> None:
    """REQ-ID-17."""
    mina, junho = pair
    (sora,) = people(tmp_path, "Sora")
    mina.knows(sora)
    mina.does("send", "Junho", "hello")
    assert junho.texts() == ["hello"]
    mina.does("room", "new", "--group", "Junho", "--title", "trip")
    mina.does("room", "new", "--group", "Sora", "--title", "work")
    mina.run("contacts", "add", "Junho", data=stranger.does("card"))
    for arguments in (("send", "Junho", "x"), ("send", "trip", "x"), ("room", "new", "Junho"),
                      ("room", "new", "--group", "Sora", "Junho"),
                      ("room", "add", "work", "Junho")):  # fmt: skip
        refused = mina.run(*arguments, "--json")
        assert refused.code == 1, arguments
        assert refused.data["error"]["reason"] == "identity-changed"
        assert "offered for Junho: nothing is sent" in refused.err
        assert "evanesce contacts accept Junho" in refused.err
    mina.does("send", "work", "not about Junho")
    junho.does("send", "Mina", "still me")
    assert mina.texts() == ["still me"]
    mina.does("room", "remove", "trip", "Junho")
    mina.does("contacts", "refuse", "Junho")
    mina.does("send", "Junho", "of course")
    assert junho.texts("Mina") == ["of course"]


def test_the_offered_one_is_invited_under_no_other_name_either(
    pair: Pair, stranger: Person, tmp_path: Path
) -> None:
    """REQ-ID-17: and an identity is one contact's only."""
    mina, _ = pair
    card = stranger.does("card")
    mina.run("contacts", "add", "Junho", data=card)
    mina.does("contacts", "add", "Other", data=card)
    for arguments in (("send", "Other", "x"), ("room", "new", "Other")):
        refused = mina.run(*arguments)
        assert refused.code == 1
        assert "contacts list shows whose" in refused.err
    refused = mina.run("contacts", "accept", "Junho")
    assert refused.code == 1
    assert "belongs to your contact Other" in refused.err
    mina.does("contacts", "refuse", "Junho")
    mina.does("send", "Other", "you are somebody else")
    assert stranger.texts() == ["you are somebody else"]


def test_a_newer_card_of_the_known_one_settles_it_and_so_does_removing(
    pair: Pair, stranger: Person
) -> None:
    """REQ-ID-16: the pinned identity again forgets the offered one."""
    mina, junho = pair
    card = stranger.does("card")
    mina.run("contacts", "add", "Junho", data=card)
    mina.does("contacts", "add", "Junho", "--replace", data=junho.does("card", "--for-one"))
    assert contact(mina, "Junho")["offered"] is None
    for command in ("accept", "refuse"):
        refused = mina.run("contacts", command, "Junho")
        assert refused.code == 1
        assert "no other card waits for Junho" in refused.err
        assert "no contact" in mina.run("contacts", command, "Sora").err
    assert "no other card" in mina.run("verify", "Junho", "--offered").err
    mina.run("contacts", "add", "Junho", data=card)
    mina.does("contacts", "remove", "Junho")
    mina.does("contacts", "add", "Junho", data=card)
    assert contact(mina, "Junho")["offered"] is None


def test_a_chat_says_that_nothing_is_sent_and_shows_what_comes(
    pair: Pair, stranger: Person
) -> None:
    """REQ-ID-17."""
    mina, junho = pair
    mina.does("room", "new", "Junho")
    mina.run("contacts", "add", "Junho", data=stranger.does("card"))
    junho.does("send", "Mina", "can you read this?")
    chat = mina.chat("Junho")
    with terminals(chat):
        chat.shows("another card was offered for Junho", "can you read this?")
        chat.types("not to anybody\r")
        chat.shows("not sent: another card was offered for Junho")
        chat.types("/quit\r")
        assert chat.ends() == 0
    assert junho.texts("Mina") == []


def test_completion_knows_the_commands(pair: Pair) -> None:
    mina, _ = pair
    script = mina.does("completion", "bash")
    for words in ("'contacts accept'", "'contacts refuse'", "--offered"):
        assert words in script
