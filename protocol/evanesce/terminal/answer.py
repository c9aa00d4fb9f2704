"""What a command answers: words for people, or the same as data."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import EvanesceError
from .problems import Refused, explain
from .session import Session, open_session

__all__ = ["Answer", "Command", "Online", "as_json", "run", "with_session", "write"]

INTERRUPTED: Final = 130


@dataclass(slots=True)
class Answer:
    """The outcome of a command. With `streamed`, it has been printed while the command ran."""

    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    code: int = 0
    streamed: bool = False


Online = Callable[[Session, argparse.Namespace], Coroutine[Any, Any, Answer]]
Command = Callable[[argparse.Namespace], Coroutine[Any, Any, Answer]]


def write(text: str) -> None:
    """Print a line, whatever the encoding of the terminal, and at once."""
    data = text.encode("utf-8", "backslashreplace") + b"\n"
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:  # a stand-in that only takes text
        sys.stdout.write(data.decode())
    else:
        buffer.write(data)
    sys.stdout.flush()


def as_json(data: dict[str, Any], *, indent: int | None = 2) -> str:
    """Data as JSON in which nothing that moves a cursor stands as it is."""
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def with_session(command: Online) -> Command:
    """A command that works with an open home. What else has to be told comes with its answer."""

    async def opened(options: argparse.Namespace) -> Answer:
        async with open_session(options) as session:
            answer = await command(session, options)
        if session.notices and not answer.streamed:
            answer.data["notices"] = [told.data() for told in session.notices]
            for told in session.notices:
                if not options.json:
                    print(f"! {told.text}", file=sys.stderr)
        return answer

    return opened


def run(command: Command, options: argparse.Namespace) -> int:
    """Run a command, print its answer, and return the exit code."""
    try:
        with _problems():
            answer = asyncio.run(command(options))
    except Refused as refused:
        _complain(refused, options)
        return refused.code
    except KeyboardInterrupt:
        return INTERRUPTED
    if options.json and not answer.streamed:
        write(as_json(answer.data))
    elif answer.text:
        write(answer.text)
    return answer.code


@contextlib.contextmanager
def _problems() -> Iterator[None]:
    """Turn the library's and the system's errors into words."""
    try:
        yield
    except EvanesceError as error:
        raise explain(error) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Refused(f"{where}{error.strerror or error}", reason="os-error") from None


def _complain(refused: Refused, options: argparse.Namespace) -> None:
    print(f"evanesce: {refused.what}", file=sys.stderr)
    if refused.hint:
        print(f"  {refused.hint}", file=sys.stderr)
    if options.json:
        error = {"reason": refused.reason or "refused", "what": refused.what, "hint": refused.hint}
        write(as_json({"error": error}))
