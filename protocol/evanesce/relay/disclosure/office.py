"""What the commands of this part share: the configuration, and how arguments are read."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable
from typing import Any, Final

from ..clock import RelayClock
from ..commands import add_config, chosen_config
from ..config import RelayConfig
from ..keys import RelayKeys
from .notices import open_ledger

__all__ = ["CONFIG", "GAG_HELP", "Commands", "Office", "address", "command", "date", "gag_end",
           "key", "number", "print_text"]  # fmt: skip

Commands = Any  # argparse._SubParsersAction
CONFIG: Final = ("state", "keys", "ledger")
# The day of a gag order ends where it ends last: twelve hours west of UTC.
_LAST_MIDNIGHT: Final = 12
# And it is tomorrow first fourteen hours east of it.
FIRST_MIDNIGHT: Final = 14

GAG_HELP: Final = (
    "the last day, as 2026-12-31, on which those concerned must not be told; they are told when it "
    "has ended everywhere, at 12:00 UTC of the day after"
)


class Office:
    """What all these commands need, found by the configuration."""

    def __init__(self, config: RelayConfig) -> None:
        self.config = config
        self.ledger, self.spool = open_ledger(config.ledger_folder, config.keys_folder)
        keys = RelayKeys.open(config.keys_folder, make=False)
        # A clock that was set back writes nothing into the ledger, whatever the relay accepts.
        self.hour = RelayClock(keys.last_hour).hour()


_Run = Callable[[argparse.Namespace, Office], int]


def command(
    commands: Commands, name: str, run: _Run, said: str, config: tuple[str, ...] = CONFIG
) -> argparse.ArgumentParser:
    """Add a command that needs the office, with flags for these keys of the configuration."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=said, description=said[0].upper() + said[1:] + "."
    )
    parser.set_defaults(run=lambda options: run(options, Office(chosen_config(options))))
    add_config(parser, config)
    return parser


def number(text: str) -> int:
    """A number of at least 1."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= 1):
        raise argparse.ArgumentTypeError("must be a number of at least 1")
    return int(text)


def address(text: str) -> bytes:
    """The address of a mailbox: 32 bytes."""
    return _hexadecimal(text, "the address of a mailbox is 64 hexadecimal digits")


def key(text: str) -> bytes:
    """A public key: 32 bytes."""
    return _hexadecimal(text, "a key is 64 hexadecimal digits")


def _hexadecimal(text: str, otherwise: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != 32 or len(text) != 64:
        raise argparse.ArgumentTypeError(otherwise)
    return data


def date(text: str) -> datetime.date:
    """A day, as 2026-01-31."""
    try:
        date = datetime.date.fromisoformat(text)
    except ValueError:
        date = datetime.date.min
    if len(text) != 10 or date.year < 1970:
        raise argparse.ArgumentTypeError("must be a date, as 2026-01-31")
    return date


def gag_end(text: str) -> int:
    """The first hour in which a gag order that names this last day holds nowhere any more."""
    days = (date(text) - datetime.date(1970, 1, 1)).days + 1
    return days * 24 + _LAST_MIDNIGHT


def print_text(text: str) -> None:
    """Whatever the terminal's encoding, the text is printed as it is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")
    sys.stdout.flush()
