"""People who use the command line: in this process, or in one of their own with a terminal."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from evanesce.cli import main

ROOT = Path(__file__).parents[2]
PASSPHRASE = "eight words are better than one"
PATIENCE = 15.0


@dataclass(frozen=True)
class Outcome:
    """What a command has printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


def run(*arguments: str, data: str | bytes = b"") -> Outcome:
    """Run the command in this process."""
    given = data.encode() if isinstance(data, str) else data
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    stdin = io.TextIOWrapper(io.BytesIO(given), "utf-8")
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "stdin", stdin):
        try:
            code = main(arguments)
        except SystemExit as end:  # how argparse refuses
            code = int(end.code or 0)
    texts = []
    for stream in (out, err):
        stream.seek(0)
        texts.append(stream.read())
    return Outcome(code, *texts)


class Person:
    """Somebody with a home."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.net = folder / "net"
        self.home = folder / name.lower()

    def run(self, *arguments: str, data: str | bytes = b"") -> Outcome:
        """A command of this person."""
        return run("--home", str(self.home), *arguments, data=data)

    def does(self, *arguments: str, data: str | bytes = b"") -> str:
        """A command that has to succeed; what it printed."""
        done = self.run(*arguments, data=data)
        assert done.code == 0, done.err
        return done.out

    def tells(self, *arguments: str, data: str | bytes = b"") -> Any:
        """The same, as data."""
        return json.loads(self.does(*arguments, "--json", data=data))

    def begins(self) -> None:
        """Make the home."""
        self.does("init", "--name", self.name, "--net", str(self.net), "--cost", "light")

    def knows(self, other: Person) -> None:
        """Add a contact by its card."""
        self.does("contacts", "add", other.name, data=other.does("card"))

    def texts(self, *arguments: str) -> list[str]:
        """What `read` shows."""
        return [message["text"] for message in self.tells("read", *arguments)["messages"]]

    def chat(self, room: str, *more: str) -> Terminal:
        """A chat in a process of its own, on a terminal."""
        return Terminal("--home", str(self.home), "chat", room, *more)


def people(folder: Path, *names: str) -> list[Person]:
    """Some people who share a folder, each with a home; all know each other."""
    made = [Person(folder, name) for name in names]
    for person in made:
        person.begins()
    cards = {person.name: person.does("card") for person in made}
    for person in made:
        for name, card in cards.items():
            if name != person.name:
                person.does("contacts", "add", name, data=card)
    return made


def environment(**more: str) -> dict[str, str]:
    """For a process of its own."""
    path = os.pathsep.join([str(ROOT / "protocol"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "TERM": "xterm", "LANG": "C.UTF-8", **more}


_START = (
    "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "from evanesce.cli import main; sys.exit(main())"
)
_DRAWN = re.compile(r"\x1b\[\?25l\x1b\[H(.*?)\x1b\[\d+;\d+H\x1b\[\?25h", re.DOTALL)
_PAINT = re.compile(r"\x1b\[[0-9;]*[mK]")


class Terminal:
    """A command in a process of its own, on a terminal of 80 by 24."""

    def __init__(self, *arguments: str, **more: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=environment(**more),
        )  # fmt: skip
        os.close(theirs)
        self._terminal = ours
        self._raw = b""

    @property
    def all(self) -> str:
        """Everything that was ever written to the terminal."""
        return self._raw.decode("utf-8", "replace")

    @property
    def screen(self) -> str:
        """What stands on it now, as the chat has drawn it last."""
        drawn = _DRAWN.findall(self.all)
        return _PAINT.sub("", drawn[-1]).replace("\r", "") if drawn else ""

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self._terminal, text.encode())

    def _read(self, patience: float) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], patience)
        if not ready:
            return True
        try:
            data = os.read(self._terminal, 65_536)
        except OSError:  # the other side is closed
            data = b""
        self._raw += data
        return bool(data)

    def wait(self, true: Callable[[], bool]) -> None:
        """Read until something is so."""
        end = time.monotonic() + PATIENCE
        while not true():
            more = self._read(0.1)
            if not true() and (not more or time.monotonic() > end):
                raise AssertionError(f"it never came to that:\n{self.screen or self.all}")

    def shows(self, *texts: str) -> None:
        """Wait until all of that is on the screen."""
        self.wait(lambda: all(text in self.screen for text in texts))

    def says(self, text: str) -> None:
        """Wait until that was written, whether it is still there or not."""
        self.wait(lambda: text in self.all)

    def ends(self) -> int:
        """Wait for the end; return how it ended."""
        end = time.monotonic() + PATIENCE
        while self._read(0.05) and self.process.poll() is None and time.monotonic() < end:
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Whatever happened, leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._terminal)


@contextmanager
def terminals(*made: Terminal) -> Iterator[None]:
    """Close them at the end."""
    try:
        yield
    finally:
        for terminal in made:
            terminal.close()
