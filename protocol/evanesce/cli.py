"""The command `evanesce`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from . import __version__
from .conformance.commands import add_conformance, split_command
from .conformance.text import RunError
from .conformance.vectors_commands import add_vectors
from .demo.play import Outcome, play
from .demo.report import as_data, as_text
from .demo.script import Part, parse_script
from .errors import EvanesceError
from .relay.commands import add_relay
from .terminal.parser import add_terminal

__all__ = ["main"]

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 (a claim or check failed), 2 (bad input)."""
    parser = argparse.ArgumentParser(
        prog="evanesce", description="End-to-end encrypted rooms whose messages evaporate."
    )
    parser.add_argument("--version", action="version", version=f"evanesce {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="play a conversation through real devices, then try to read it",
        description="Play a conversation through real devices: what each member sees and what the "
        "transport saw; then view, evaporate, seize everything, and try to read it. Exit code 1 if "
        "any claim fails.",
    )
    demo.add_argument(
        "--script", type=Path, metavar="FILE",
        help="lines `Name: text`, `+Name` (joins), `-Name` (is removed), `== title` (a new room); "
        "- for standard input",
    )  # fmt: skip
    demo.add_argument("--json", action="store_true", help="print the same as JSON")
    demo.add_argument(
        "--seed", metavar="TEXT",
        help="make the run reproducible to the byte (not with --relay); nothing in it is secret "
        "then",
    )  # fmt: skip
    demo.add_argument(
        "--relay", action="store_true",
        help="play it over a relay, in a process of its own on this machine, and have that "
        "disclose every mailbox in the end",
    )  # fmt: skip
    demo.set_defaults(run=lambda given: _demo(given.script, given.json, given.seed, given.relay))
    add_vectors(commands)
    add_conformance(commands)
    add_relay(commands)
    add_terminal(parser, commands)
    own, harness = split_command(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(own)
    if harness is not None:
        options.command_of_harness = harness
    try:
        code: int = options.run(options)
    except (EvanesceError, RunError) as error:
        print(f"evanesce: {error}", file=sys.stderr)
    except OSError as error:
        print(f"evanesce: {error.filename}: {error.strerror}", file=sys.stderr)
    else:
        return code
    return BAD_INPUT


def _play_over_relay(parts: list[Part], seed: str | None) -> Coroutine[Any, Any, Outcome]:
    try:
        from .demo.relayed import play_over_relay  # noqa: PLC0415  only with the extra
    except ModuleNotFoundError as error:
        raise RunError(str(error)) from None
    return play_over_relay(parts, seed)


def _demo(script: Path | None, as_json: bool, seed: str | None, relay: bool) -> int:
    if script is None:
        data = files("evanesce.demo").joinpath("script.txt").read_bytes()
    elif str(script) == "-":
        data = sys.stdin.buffer.read()
    else:
        data = script.read_bytes()
    parts = parse_script(data)
    outcome = asyncio.run(_play_over_relay(parts, seed) if relay else play(parts, seed))
    if as_json:
        text = json.dumps(as_data(outcome), ensure_ascii=False, indent=2)
    else:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        text = as_text(outcome, colour=colour)
    # Whatever the terminal's encoding, the script's languages are printed as they are.
    sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.flush()
    return 0 if outcome.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
