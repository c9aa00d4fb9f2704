"""The command as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evanesce.cli import main
from evanesce.demo.script import parse_script


def run(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "evanesce.cli", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=120)


def test_the_demo_shows_the_shipped_conversation_and_succeeds() -> None:
    done = run("demo")
    assert done.returncode == 0
    assert done.stderr == b""
    shown = done.stdout.decode()
    assert "Every claim holds." in shown
    assert "\x1b[" not in shown  # not a terminal: no colours


def test_json_holds_the_same_as_the_text_and_a_seed_makes_it_reproducible() -> None:
    first, second = run("demo", "--json", "--seed", "x"), run("demo", "--json", "--seed", "x")
    assert first.stdout == second.stdout
    data = json.loads(first.stdout)
    assert data["ok"] is True
    assert {room["kind"] for room in data["rooms"]} == {"direct", "group"}
    assert all(claim["holds"] for claim in data["claims"])
    other = json.loads(run("demo", "--json", "--seed", "y").stdout)
    assert other["transport"]["sample"] != data["transport"]["sample"]


def test_the_shipped_script_has_a_direct_part_and_a_group_of_five_in_two_languages() -> None:
    from importlib.resources import files

    data = files("evanesce.demo").joinpath("script.txt").read_bytes()
    direct, group = parse_script(data)
    assert direct.direct
    assert not group.direct
    assert len(group.names) == 5
    words = " ".join(line.text for part in (direct, group) for line in part.lines)
    assert any("가" <= letter <= "힣" for letter in words)
    assert any("a" <= letter <= "z" for letter in words)


def test_a_script_may_come_from_standard_input() -> None:
    done = run("demo", "--script", "-", data="A: 안녕\nB: hi\n".encode())
    assert done.returncode == 0
    assert "안녕" in done.stdout.decode()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (b"", "bad-input: the script is empty"),
        (b"+A\nB: hi\n", "unknown-member: line 2"),
        (b"A: \xff\n", "bad-input: line 1: not UTF-8"),
        (b"A: " + b"x" * 65_537 + b"\nB: y\n", "too-large: line 1"),
    ],
)
def test_bad_input_is_one_line_on_standard_error_and_exit_2(
    tmp_path: Path, script: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "script.txt"
    file.write_bytes(script)
    assert main(["demo", "--script", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("evanesce: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--script", "/no/such/file"]) == 2
    assert "/no/such/file" in capsys.readouterr().err


def test_control_characters_of_a_script_do_not_reach_the_terminal() -> None:
    done = run("demo", "--script", "-", data=b"A: \x1b[2J hidden\nB: hi\n")
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
