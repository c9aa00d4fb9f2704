"""`room resync`, `room readmit`: a home is put back from a copy, and comes back into its group."""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

import pytest

from evanesce import FallenBehind, RolledBack
from evanesce.terminal.session import open_session
from tests.cli.cli_support import Person, Terminal, people, run, terminals

ROOM = "trip"


def keep(person: Person) -> Path:
    """A copy of a home, to be put back later."""
    copy = person.home.with_name(f"{person.home.name}.copy")
    shutil.copytree(person.home, copy)
    return copy


def put_back(person: Person, copy: Path) -> None:
    shutil.rmtree(person.home)
    shutil.move(copy, person.home)


def notices(person: Person, kind: str) -> list[str]:
    """What a person is told of this kind, with the next look."""
    told = person.tells("read", "--keep-unread").get("notices", [])
    return [each["text"] for each in told if each["notice"] == kind]


@pytest.fixture
def three(tmp_path: Path) -> list[Person]:
    """Mina has a group with Junho and Sora; everyone has been there."""
    made = people(tmp_path, "Mina", "Junho", "Sora")
    made[0].does("room", "new", "--group", "Junho", "Sora", "--title", ROOM)
    for person in (*made, *made):
        person.does("read")
    return made


@pytest.fixture
def fallen(three: list[Person]) -> list[Person]:
    """The same, and Sora's home is an older copy of itself."""
    mina, junho, sora = three
    copy = keep(sora)
    sora.does("send", "1", "this will be forgotten")
    assert mina.texts() == junho.texts() == ["this will be forgotten"]
    put_back(sora, copy)
    return three


def members(person: Person, room: str = "1") -> dict[str, bool]:
    """Who asks to be let in anew."""
    listed = person.tells("room", "members", room)["members"]
    return {each["name"]: each["asks_resync"] for each in listed}


def test_a_home_that_was_put_back_comes_back_and_words_go_both_ways(fallen: list[Person]) -> None:
    """REQ-APP-07, REQ-APP-16, REQ-EPOCH-25, REQ-EPOCH-26."""
    mina, junho, sora = fallen
    looked = sora.tells("read")
    (told,) = [each for each in looked["notices"] if each["notice"] == "rolled-back"]
    assert told["commands"] == ["evanesce room resync 1"]
    assert "older copy" in told["text"]
    assert "evanesce room resync 1" in told["text"]
    refused = sora.run("send", "1", "from an older copy")
    assert refused.code == 1
    assert "evanesce room resync ROOM" in refused.err
    (listed,) = sora.tells("room", "list")["rooms"]
    assert (listed["stale"], listed["open"]) == (True, False)
    shown = sora.does("room", "list")
    assert "can only be read" in shown
    assert "evanesce room resync 1" in shown

    said = sora.does("room", "resync", "1")
    assert "2 members of" in said
    assert "evanesce room readmit" in said
    assert "72 hours" in said

    (asks,) = notices(junho, "resync-asked")
    assert "Sora has lost its place" in asks
    assert "evanesce room readmit 1 Sora" in asks
    assert notices(junho, "resync-asked") == [], "it is told once"
    assert members(junho) == {"Mina": False, "you": False, "Sora": True}
    assert junho.tells("room", "list")["rooms"][0]["asking"] == ["Sora"]
    assert "Sora asks to be let in anew" in junho.does("room", "list")
    shown = mina.does("room", "members", ROOM)
    assert re.search(r"Sora  member  ! asks to be let in anew", shown)
    assert "evanesce room readmit 1 Sora" in shown
    assert mina.tells("room", "members", ROOM)["room"]["epoch"] == 0, "nobody is let in unasked"

    answer = mina.tells("room", "readmit", ROOM, "sora", "--yes")
    assert answer["readmitted"]["name"] == "Sora"
    assert answer["readmitted"]["digits"] == mina.tells("verify", "Sora")["digits"]
    assert answer["readmitted"]["verified"] is False
    assert (answer["unsent"], answer["room"]["epoch"], answer["room"]["asking"]) == (0, 1, [])
    back = sora.tells("read")
    assert [each["text"] for each in back["notices"] if each["notice"] == "room-joined"] == [
        "group of Mina, Junho: Mina has let you in anew"
    ]
    assert any("Mina has let Sora in anew" in text for text in notices(junho, "room-changed"))
    assert members(junho) == {"Mina": False, "you": False, "Sora": False}
    (listed,) = sora.tells("room", "list")["rooms"]
    assert (listed["stale"], listed["open"], listed["number"]) == (False, True, 1)

    sora.does("send", "1", "here again")
    assert mina.texts() == junho.texts() == ["here again"]
    mina.does("send", ROOM, "welcome")
    junho.does("send", "1", "at last")
    assert sorted(sora.texts()) == ["at last", "welcome"]
    assert junho.texts() == ["welcome"]
    assert mina.texts() == ["at last"]
    for person in fallen:
        assert "notices" not in person.tells("read"), "nothing was refused anywhere"


def test_who_is_asked_sees_the_number_and_says_yes_or_no(fallen: list[Person]) -> None:
    """REQ-APP-16."""
    mina, _, sora = fallen
    sora.does("room", "resync", "1")
    digits = mina.tells("verify", "Sora")["digits"]
    refused = mina.run("room", "readmit", ROOM, "Sora")
    assert (refused.code, refused.out) == (2, "")
    for part in ("--yes", digits, "Sora is not verified"):
        assert part in refused.err
    error = mina.run("room", "readmit", ROOM, "Sora", "--json").data["error"]
    assert error["reason"] == "not-confirmed"
    assert digits in error["hint"]
    line = "  ".join(digits.split(" ")[:4])
    for typed in ("n\r", "\r", "\x04", "\x03"):
        asked = Terminal("--home", str(mina.home), "room", "readmit", ROOM, "Sora")
        with terminals(asked):
            asked.says("Let Sora in anew? [y/N]")
            assert line in asked.all
            assert "Sora is not verified" in asked.all
            asked.types(typed)
            assert asked.ends() == (130 if typed == "\x03" else 1)
            assert "Traceback" not in asked.all
    assert members(mina, ROOM)["Sora"], "it still asks"
    mina.does("verify", "Sora", "--confirm")
    asked = Terminal("--home", str(mina.home), "room", "readmit", ROOM, "Sora")
    with terminals(asked):
        asked.says("Let Sora in anew? [y/N]")
        assert "not verified" not in asked.all
        asked.types("y\r")
        asked.says("Sora is let into trip anew")
        assert asked.ends() == 0
    assert not members(mina, ROOM)["Sora"]
    sora.does("read")
    sora.does("send", "1", "here again")
    assert mina.texts() == ["here again"]


def test_what_another_has_granted_meanwhile_is_not_granted_again(fallen: list[Person]) -> None:
    """It would split the room: spec 10.9."""
    mina, junho, sora = fallen
    sora.does("room", "resync", "1")
    asked = Terminal("--home", str(mina.home), "room", "readmit", ROOM, "Sora")
    with terminals(asked):
        asked.says("Let Sora in anew? [y/N]")
        junho.does("room", "readmit", "1", "Sora", "--yes")
        asked.types("yes\r")
        asked.says("Sora does not ask any more")
        assert asked.ends() == 1
    sora.does("send", "1", "here again")
    assert mina.texts() == junho.texts() == ["here again"]


def test_with_yes_the_number_is_shown_all_the_same(fallen: list[Person]) -> None:
    mina, _, sora = fallen
    sora.does("room", "resync", "1")
    said = mina.does("room", "readmit", "1", "Sora", "--yes")
    assert "  ".join(mina.tells("verify", "Sora")["digits"].split(" ")[:4]) in said
    assert "Sora is not verified" in said


def test_nobody_is_let_in_who_has_not_asked_or_whom_nobody_knows(fallen: list[Person]) -> None:
    """REQ-APP-16."""
    mina, junho, sora = fallen
    nobody = mina.run("room", "readmit", ROOM, "Sora", "--yes")
    assert nobody.code == 1
    assert "Sora has not asked" in nobody.err
    assert "evanesce room resync" in nobody.err
    sora.does("room", "resync", "1")
    refused = mina.run("room", "readmit", ROOM, "Junho", "--yes", "--json")
    assert refused.code == 1
    assert refused.data["error"]["reason"] == "not-asked"
    assert "who asks: Sora" in refused.data["error"]["hint"]
    for name, said in (("Nobody", "is nobody in this room"), ("you", "nobody lets themselves in")):
        refused = mina.run("room", "readmit", ROOM, name, "--yes")
        assert refused.code == 1
        assert said in refused.err
    junho.does("contacts", "remove", "Sora")
    (asks,) = notices(junho, "resync-asked")
    assert "~Sora has lost its place" in asks
    assert "none of your contacts" in asks
    member = next(each["member"] for each in junho.tells("room", "members", "1")["members"]
                  if each["name"] == "~Sora")  # fmt: skip
    assert f"evanesce room readmit 1 {member[:8]}" in asks
    for name in ("Sora", member[:8]):
        refused = junho.run("room", "readmit", "1", name, "--yes")
        assert refused.code == 1
        assert "~Sora is none of your contacts" in refused.err
        assert "evanesce contacts add NAME" in refused.err
    assert members(mina, ROOM)["Sora"]
    assert mina.tells("room", "list")["rooms"][0]["epoch"] == 0, "none of these has changed a thing"
    in_stale = sora.run("room", "readmit", "1", "Mina", "--yes")
    assert "an older copy that was put back" in in_stale.err


def test_nobody_is_let_in_while_another_card_waits_for_that_contact(
    fallen: list[Person], tmp_path: Path
) -> None:
    """REQ-APP-16, REQ-ID-17."""
    mina, _, sora = fallen
    sora.does("room", "resync", "1")
    stranger = Person(tmp_path, "Stranger")
    stranger.does("init", "--name", "Sora", "--net", str(stranger.net), "--cost", "light")
    assert mina.run("contacts", "add", "Sora", data=stranger.does("card")).code == 1
    refused = mina.run("room", "readmit", ROOM, "Sora", "--yes", "--json")
    assert refused.code == 1
    assert refused.data["error"]["reason"] == "identity-changed"
    mina.does("contacts", "refuse", "Sora")
    mina.does("room", "readmit", ROOM, "Sora", "--yes")


def test_in_a_room_of_two_one_begins_anew(pair: tuple[Person, Person]) -> None:
    """REQ-APP-07: a direct room is begun anew."""
    mina, junho = pair
    mina.does("send", "Junho", "hello")
    assert junho.texts() == ["hello"]
    junho.does("send", "Mina", "hello, too")
    assert mina.texts() == ["hello, too"]
    fresh = mina.run("room", "resync", "Junho")
    assert fresh.code == 1
    assert "it need not be" in fresh.err
    refused = mina.run("room", "readmit", "Junho", "Junho", "--yes", "--json")
    assert refused.data["error"]["reason"] == "wrong-mode"
    copy = keep(mina)
    mina.does("send", "Junho", "this will be forgotten")
    put_back(mina, copy)
    (told,) = notices(mina, "rolled-back")
    assert "evanesce room new Junho" in told
    refused = mina.run("room", "resync", "Junho")
    assert refused.code == 1
    assert "begin it anew: evanesce room new Junho" in refused.err
    error = mina.run("room", "resync", "Junho", "--json").data["error"]
    assert error["reason"] == "wrong-mode"
    mina.does("room", "new", "Junho")
    mina.does("send", "Junho", "here again")
    assert sorted(junho.texts()) == ["here again", "this will be forgotten"]
    junho.does("send", "Mina", "so I see")
    assert mina.texts() == ["so I see"]


def test_refusals_of_resync(three: list[Person]) -> None:
    mina, junho, sora = three
    assert "your rooms" in sora.run("room", "resync", "work").err
    mina.does("room", "remove", ROOM, "Junho")
    asked = junho.tells("room", "resync", "1")  # for others, its removal might have lost
    assert asked["asked"] == 2
    mina.does("read")
    assert notices(mina, "resync-asked") == [], "who is not in the roster is not heard"
    assert not junho.tells("room", "resync", "1")["let_in"]
    mina.does("room", "remove", ROOM, "Sora")
    refused = mina.run("room", "resync", ROOM, "--json")
    assert refused.data["error"]["reason"] == "nobody-asked"
    assert "begin a new group" in refused.err


def test_asking_twice_is_answered_once_and_not_asked_again_after_the_answer(
    fallen: list[Person],
) -> None:
    mina, junho, sora = fallen
    for _ in range(2):
        answer = sora.tells("room", "resync", "1")
        assert (answer["asked"], answer["let_in"], answer["unsent"]) == (2, False, 0)
        assert answer["room"]["stale"]
        junho.does("read")
    mina.does("room", "readmit", ROOM, "Sora", "--yes")
    answer = sora.tells("room", "resync", "1")
    assert (answer["asked"], answer["let_in"], answer["room"]["stale"]) == (0, True, False)
    assert not members(mina, ROOM)["Sora"]
    refused = junho.run("room", "readmit", "1", "Sora", "--yes")
    assert "has not asked" in refused.err, "the answer of one is enough"
    sora.does("send", "1", "here again")
    assert mina.texts() == junho.texts() == ["here again"]


def test_a_chat_tells_who_asks_and_that_nothing_can_be_sent(fallen: list[Person]) -> None:
    """REQ-APP-04."""
    mina, _, sora = fallen
    chat = mina.chat(ROOM)
    with terminals(chat):
        chat.shows("3 members")
        sora.does("room", "resync", "1")
        chat.shows("Sora has lost its place", "room readmit 1 Sora", "/quit)")
        chat.types("/quit\r")
        assert chat.ends() == 0
    again, behind = mina.chat(ROOM), sora.chat("1")
    with terminals(again, behind):
        again.shows("Sora has lost its place")
        behind.shows("an older copy of this home", "room resync 1")
        behind.types("does this go out?\r")
        behind.shows("not sent: this home is an older copy")
        again.types("/quit\r")
        assert again.ends() == 0
        mina.does("room", "readmit", ROOM, "Sora", "--yes")
        behind.shows("Mina has let you in anew")
        behind.types("here again\r")
        behind.shows("you: here again")
        behind.types("/quit\r")
        assert behind.ends() == 0
        for terminal in (chat, again, behind):
            assert "Traceback" not in terminal.all
    assert mina.texts() == ["here again"]


@pytest.mark.parametrize("name", ["So\x1b[31mra", "$(touch x)", "`x`; Mina"])
def test_what_a_member_calls_itself_gets_neither_into_a_command_nor_to_the_terminal(
    tmp_path: Path, name: str
) -> None:
    """REQ-APP-03."""
    mina, junho = people(tmp_path, "Mina", "Junho")
    sora = Person(tmp_path, "Sora")
    sora.does("init", "--name", name, "--net", str(sora.net), "--cost", "light")
    sora.knows(mina)
    mina.knows(sora)
    mina.does("room", "new", "--group", "Junho", "Sora", "--title", ROOM)
    for person in (junho, sora, mina, junho, sora):
        person.does("read")
    sora.does("room", "resync", "1")
    told = junho.tells("read")["notices"]
    (asks,) = [each for each in told if each["notice"] == "resync-asked"]
    (command,) = asks["commands"]
    assert re.fullmatch("evanesce room readmit 1 [0-9a-f]{8}", command)
    shown = junho.run("room", "members", "1")
    refused = junho.run(*command.split()[1:], "--yes")
    assert "none of your contacts" in refused.err
    for text in (asks["text"], shown.out, shown.err, refused.out, refused.err):
        assert "\x1b" not in text


async def test_a_device_that_is_behind_says_which_command_asks(three: list[Person]) -> None:
    """REQ-APP-04, REQ-EPOCH-24. An hour is not waited for: this is what the event is told as."""
    mina = three[0]
    options = argparse.Namespace(home=mina.home, net=None, passphrase_file=None, cost="light")
    async with open_session(options) as session:
        room = session.rooms.get(ROOM)
        told = session.note(FallenBehind(room))
        assert told is not None
        assert told.data() == {
            "notice": "fallen-behind", "room": room.id.hex(), "text": told.text,
            "commands": ["evanesce room resync 1"],
        }  # fmt: skip
        assert told.text.startswith("trip: ")
        assert "evanesce room resync 1" in told.text
        many = session.note(RolledBack((room,) * 5))
        assert many is not None
        assert len(many.commands) == 5
        assert "evanesce room resync ROOM" in many.text


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_and_help_know_them(shell: str) -> None:
    script = run("completion", shell).out
    assert re.search(r"\n    'room resync'\) words='[^']*--json", script)
    assert re.search(r"\n    'room readmit'\) words='[^']*--yes", script)
    assert re.search(r"\n    room\) words='[^']*\bresync readmit\b", script)
    assert "older copy" in run("room", "resync", "--help").out
    assert "--yes" in run("room", "readmit", "--help").out
    assert run("room", "readmit", "1").code == 2
