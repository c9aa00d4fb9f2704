"""A chat, live, in processes of their own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.cli_support import Person, environment, terminals

Pair = tuple[Person, Person]
NUMBER = re.compile(r"(?:[0-9]{5}\s+){11}[0-9]{5}")
HOSTILE = "a\x1b[2J\x1b]0;title\x07\x9b31mb\u202ec\r\nMina: I agree\x08"


def test_two_people_chat_and_what_was_read_vanishes(pair: Pair) -> None:
    mina, junho = pair
    mina.does("room", "new", "Junho", "--after-view", "3")
    left, right = mina.chat("Junho"), junho.chat("Mina")
    with terminals(left, right):
        left.shows("Junho · 2 members · not verified")
        right.shows("Mina · 2 members")
        left.types("7시에 볼까?")
        left.shows("> 7시에 볼까?")
        left.types("\r")
        right.shows("Mina: 7시에 볼까?", "3s")
        right.shows("2s")
        left.shows("you: 7시에 볼까?")
        right.wait(lambda: "볼까" not in right.screen)
        left.wait(lambda: "볼까" not in left.screen)
        right.types("좋아요\x7f!\r")
        left.shows("Junho: 좋아!")
        left.types("/who\r/verify\r")
        left.shows("you, owner", "Junho, member", "Junho: ")
        left.types("//slash\r")
        right.shows("Mina: /slash")
        right.types("/verify\r")
        for terminal in (left, right):
            terminal.wait(lambda shown=terminal: NUMBER.search(shown.screen) is not None)  # type: ignore[misc]
        numbers = [NUMBER.findall(terminal.screen) for terminal in (left, right)]
        assert len(numbers[0]) == 1
        assert numbers[0][0].split() == numbers[1][0].split()
        left.types("/quit\r")
        right.process.send_signal(signal.SIGINT)
        assert left.ends() == 0
        assert right.ends() == 0
        for terminal in (left, right):
            last = terminal.all.rpartition("\x1b[?1049l")
            assert last[0].endswith("\x1b[2J\x1b[H"), "wiped, and the first screen is back"
            assert "Traceback" not in terminal.all
            assert "볼까" not in last[2]


def test_a_message_that_goes_on_closing_stays_until_enter(pair: Pair) -> None:
    mina, junho = pair
    mina.does("send", "Junho", "for once", "--after-view", "0")
    chat = junho.chat("Mina")
    with terminals(chat):
        chat.shows("Mina: for once", "⏎")
        chat.types("\r")
        chat.wait(lambda: "for once" not in chat.screen)
        chat.types("/quit\r")
        assert chat.ends() == 0
    assert junho.texts("--all") == []


def test_hostile_text_and_names_are_harmless(tmp_path: Path) -> None:
    mina = Person(tmp_path, "Mina")
    mina.begins()
    rogue = Person(tmp_path, "Rogue")
    rogue.does("init", "--name", "Junho\x1b[2J\nroot:", "--net", str(rogue.net), "--cost", "light")
    rogue.knows(mina)
    rogue.does("send", "Mina", data=HOSTILE)
    listed = mina.does("room", "list")
    assert "\x1b" not in listed
    assert "~Junho" in listed
    chat = mina.chat("1")
    with terminals(chat):
        chat.shows("Mina: I agree")
        assert "│ Mina: I agree" in chat.screen, "set off from whatever somebody says"
        assert not any(line.lstrip().startswith("Mina:") for line in chat.screen.split("\n"))
        for bad in ("\x1b]0", "\x9b", "\u202e", "\x07", "\x08"):
            assert bad not in chat.all
        assert "\x1b" not in chat.screen
        chat.types("/quit\r")
        assert chat.ends() == 0
    shown = mina.run("read", "--all")
    assert "I agree" in shown.out
    assert not any(c in shown.out + shown.err for c in "\x1b\x9b\u202e\x07\x08\r")
    as_json = mina.run("read", "--all", "--json").out
    assert not any(c in as_json for c in "\x1b\x9b\u202e\x07\x08\r")
    assert json.loads(as_json)["messages"][0]["text"] == HOSTILE


def test_without_a_terminal_lines_go_in_and_out(pair: Pair) -> None:
    mina, junho = pair
    mina.does("send", "Junho", "first", "--after-view", "5m")
    junho.does("room", "list")
    said = subprocess.run(
        [sys.executable, "-m", "evanesce.cli", "--home", str(junho.home), "chat", "Mina"],
        input=b"answer\n/who\n/nonsense\nlast, without an end", capture_output=True,
        env=environment(), check=True, timeout=30,
    )  # fmt: skip
    assert said.stderr == b""
    lines = said.stdout.decode().split("\n")
    assert lines[0] == "Mina: first  [5 min]"
    assert "* you, member" in lines
    assert any("/quit" in line for line in lines)
    assert set(mina.texts()) == {"answer", "last, without an end"}


def test_as_json_a_program_can_chat(pair: Pair) -> None:
    mina, junho = pair
    mina.does("send", "Junho", "안녕", "--after-view", "0")
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

        message = until("message")
        assert message["text"] == "안녕"
        assert until("evaporated")["id"] == message["id"]
        process.stdin.write("hello\n")
        sent = until("sent")
        (got,) = mina.tells("read")["messages"]
        assert (got["id"], got["text"]) == (sent["id"], "hello")
        mina.does("send", "Junho", "and you?")
        assert until("message")["text"] == "and you?"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_joining_and_leaving_is_told_while_one_chats(tmp_path: Path, pair: Pair) -> None:
    mina, junho = pair
    sora = Person(tmp_path, "Sora")
    sora.begins()
    mina.knows(sora)
    mina.does("room", "new", "--group", "Junho", "Sora", "--title", "trip")
    mina.does("room", "new", "Junho")
    for person in (junho, sora):
        person.does("read")
    chat = junho.chat("1")
    with terminals(chat):
        chat.shows("3 members")
        mina.does("room", "remove", "trip", "Sora")
        chat.shows("Mina has removed ~Sora")
        mina.does("send", "Junho", "aside")
        chat.shows("something has come in Mina")
        assert "aside" not in chat.all
        mina.does("room", "remove", "trip", "Junho")
        chat.shows("Mina has removed you")
        chat.types("hello?\r")
        chat.shows("not sent: this room is closed")
        chat.types("\x04")
        assert chat.ends() == 0
    assert junho.texts("Mina") == ["aside"]


def test_a_terminal_that_is_closed_ends_the_chat(pair: Pair) -> None:
    mina, _ = pair
    chat = mina.chat("Junho")
    with terminals(chat):
        chat.shows("Junho · 2 members")
        chat.process.send_signal(signal.SIGHUP)
        assert chat.ends() == 0
    started = time.monotonic()
    assert mina.run("read").code == 0
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("room", ["Junho", "Sora"])
def test_a_chat_with_a_contact_begins_a_room_and_with_a_stranger_does_not(
    pair: Pair, room: str
) -> None:
    mina, _ = pair
    outcome = mina.run("chat", room, "--json") if room == "Sora" else None
    if outcome is not None:
        assert outcome.code == 1
        assert "no room" in outcome.err
        return
    done = subprocess.run(
        [sys.executable, "-m", "evanesce.cli", "--home", str(mina.home), "chat", room],
        input=b"", env=environment(), capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == b""
    assert [found["label"] for found in mina.tells("room", "list")["rooms"]] == ["Junho"]
