"""`evanesce burn`, /burn in a chat, and the switch for viewed receipts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.cli_support import Person, environment, run, terminals

Pair = tuple[Person, Person]


def send(person: Person, room: str, text: str, *more: str) -> str:
    """Send; return the id."""
    sent: str = person.tells("send", room, text, *more)["id"]
    return sent


def files(folder: Path) -> set[str]:
    """What waits in the shared folder."""
    return {p.name for p in folder.rglob("*") if re.fullmatch("[0-9a-f]{32}", p.name)}


def test_what_was_not_fetched_is_taken_back_and_never_shown(pair: Pair) -> None:
    """REQ-EVAP-14, REQ-ENV-23."""
    mina, junho = pair
    send(mina, "Junho", "hello")
    assert junho.texts() == ["hello"]
    before = files(mina.net)
    message = send(mina, "Junho", "a mistake")
    (envelope,) = files(mina.net) - before
    said = mina.does("burn", "Junho", "--last")
    assert f"#{message[:8]}" in said
    assert "has read it" in said
    assert envelope not in files(mina.net)
    assert junho.texts("--all") == ["hello"]
    assert mina.texts("--all") == ["hello"]


def test_what_was_read_goes_too(pair: Pair) -> None:
    """REQ-EVAP-15."""
    mina, junho = pair
    one, two, three = (send(mina, "Junho", text) for text in ("one", "two", "three"))
    assert sorted(junho.texts()) == ["one", "three", "two"]
    answer = mina.tells("burn", "Junho", one[:6], f"#{two}", two[:10])
    assert answer["burned"] == [one, two]
    assert answer["unsent"] == 0
    assert junho.texts("--all") == mina.texts("--all") == ["three"]
    send(mina, "Junho", "four", "--after-view", "0")  # of which no copy is kept here
    assert len(mina.tells("burn", "Junho", "--all")["burned"]) == 2
    assert three not in mina.does("read", "--all")
    assert junho.texts("--all") == []


def test_helpful_refusals(pair: Pair) -> None:
    mina, junho = pair
    mina.does("room", "new", "Junho")
    nothing = mina.run("burn", "Junho", "--last")
    assert nothing.code == 1
    assert "nothing of yours" in nothing.err
    message = send(mina, "Junho", "mine")
    assert junho.texts() == ["mine"]
    his = send(junho, "Mina", "his")
    mina.does("read")
    for arguments, code, said in (
        ((), 2, "say which"),
        (("--last", "--all"), 2, "one way"),
        ((message, "--last"), 2, "one way"),
        ((message[:3],), 2, "more of the id"),
        (("ffffffff",), 1, "no message of yours"),
        ((his,), 1, "no message of yours"),
        ((message, his), 1, "no message of yours"),
    ):
        refused = mina.run("burn", "Junho", *arguments)
        assert (refused.code, refused.out) == (code, "")
        assert said in refused.err
        assert "Traceback" not in refused.err
    as_json = mina.run("burn", "Junho", his, "--json")
    assert as_json.data["error"]["reason"] == "unknown-message"
    assert mina.run("burn", "nobody", "--last").code == 1
    assert sorted(junho.texts("--all")) == ["his", "mine"], "none of these has burned anything"


def test_receipts_are_switched_for_a_room(pair: Pair) -> None:
    """REQ-EVAP-11."""
    mina, _ = pair
    mina.does("room", "new", "Junho")
    (room,) = mina.tells("room", "list")["rooms"]
    assert room["receipts"] is False
    assert "are on in Junho" in mina.does("room", "receipts", "Junho", "on")
    assert mina.tells("room", "list")["rooms"][0]["receipts"] is True
    assert mina.tells("room", "receipts", "1", "off")["receipts"] is False
    assert mina.run("room", "receipts", "Junho", "perhaps").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_them(shell: str) -> None:
    script = run("completion", shell).out
    assert " burn " in script
    assert re.search(r"\n    burn\) words='[^']*--last --all", script)
    assert re.search(r"\n    'room receipts'\) words='[^']*on off", script)


def test_in_a_chat_it_vanishes_from_both_screens(pair: Pair) -> None:
    """REQ-EVAP-15: also what is on the screen until enter is pressed."""
    mina, junho = pair
    left, right = mina.chat("Junho"), junho.chat("Mina")
    with terminals(left, right):
        left.types("stays\r")
        right.shows("Mina: stays")
        left.types("a mistake\r")
        right.shows("Mina: a mistake")
        left.shows("you: a mistake")
        left.types("/burn\r")
        right.wait(lambda: "a mistake" not in right.screen)
        left.wait(lambda: "a mistake" not in left.screen)
        left.shows("burned, here")
        left.types("/burn nonsense\r")
        left.shows("not burned")
        assert "stays" in right.screen
        left.types("/burn all\r")
        right.wait(lambda: "stays" not in right.screen)
        left.types("/burn\r")
        left.shows("nothing of yours")
        for chat in (left, right):
            chat.types("/quit\r")
            assert chat.ends() == 0
            assert "Traceback" not in chat.all
    assert junho.texts("--all") == []


def test_what_lies_open_in_a_chat_until_enter_vanishes_too(pair: Pair) -> None:
    """REQ-EVAP-15."""
    mina, junho = pair
    mina.does("room", "new", "Junho")
    chat = junho.chat("Mina")
    with terminals(chat):
        message = send(mina, "Junho", "for once", "--after-view", "0")
        chat.shows("Mina: for once", "⏎")
        mina.does("burn", "Junho", message)
        chat.wait(lambda: "for once" not in chat.screen)
        chat.types("\r/quit\r")
        assert chat.ends() == 0
        assert "Traceback" not in chat.all


def test_as_json_a_program_is_told(pair: Pair) -> None:
    mina, junho = pair
    process = subprocess.Popen(
        [sys.executable, "-m", "evanesce.cli", "--home", str(junho.home), "chat", "Mina", "--json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True, bufsize=1,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None

        def until(event: str) -> dict[str, object]:
            assert process.stdout is not None
            for line in process.stdout:
                data: dict[str, object] = json.loads(line)
                if data["event"] == event:
                    return data
            raise AssertionError(f"no {event}")

        message = send(mina, "Junho", "a mistake")
        assert until("message")["id"] == message
        mina.does("burn", "Junho", "--last")
        assert until("burned")["id"] == message
        process.stdin.write("also a mistake\n")
        own = until("sent")["id"]
        process.stdin.write("/burn\n")
        assert until("burned")["id"] == own
        process.stdin.close()
        assert process.wait(15) == 0
    assert mina.texts("--all") == []
