"""The passphrase of a home: asked for without echo, or from the environment or a file."""

from __future__ import annotations

import argparse
import getpass
import os
from typing import Final

from ..primitives import Random
from ..store.keys import Cost, KeyParameters, KeySource, Passphrase
from .problems import Refused

__all__ = ["COSTS", "ask_passphrase", "choose_passphrase"]

VARIABLE: Final = "EVANESCE_PASSPHRASE"
COSTS: Final = ("light", *(cost.name.lower() for cost in Cost))


class _LightPassphrase(Passphrase):
    """For tests: the least that Argon2id does."""

    def choose(self, random: Random) -> KeyParameters:
        """A new salt, and the least cost."""
        chosen = super().choose(random)
        return KeyParameters(chosen.kind, chosen.salt, 1, 8 * 1024 * 1024)


def _key(passphrase: str, cost: str) -> KeySource:
    if cost == "light":
        return _LightPassphrase(passphrase)
    return Passphrase(passphrase, Cost[cost.upper()])


def ask_passphrase(options: argparse.Namespace) -> KeySource:
    """The passphrase that opens a home."""
    given = _given(options)
    return _key(_ask("Passphrase: ") if given is None else given, options.cost)


def choose_passphrase(options: argparse.Namespace) -> KeySource:
    """A passphrase for a new home, typed twice."""
    given = _given(options)
    if given is None:
        given = _ask("New passphrase: ")
        if _ask("The same again: ") != given:
            raise Refused("these two were not the same", "try again; nothing has been made")
    return _key(given, options.cost)


def _given(options: argparse.Namespace) -> str | None:
    """What comes from a file or the environment; an argument would be seen by all processes."""
    given: str | None
    if options.passphrase_file is not None:
        try:
            with open(options.passphrase_file, encoding="utf-8") as file:
                given = file.readline().rstrip("\r\n")
        except UnicodeDecodeError:  # whose attributes hold the passphrase
            raise Refused("the passphrase file is not UTF-8 text") from None
    else:
        given = os.environ.get(VARIABLE)
    if given == "":
        raise Refused("an empty passphrase", f"look at --passphrase-file or ${VARIABLE}")
    return given


def _ask(prompt: str) -> str:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise Refused(
            "there is no terminal to ask for the passphrase",
            f"give it with ${VARIABLE} or --passphrase-file FILE",
            reason="no-passphrase",
        ) from None
    try:
        said = getpass.getpass(prompt)
    except EOFError:
        said = ""
    if not said:
        raise Refused("no passphrase was given", "nothing was opened or made")
    return said
