"""`evanesce relay`: the commands of an operator. Nothing here needs the extra until one is run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Final

from ..errors import LocalError, Reason
from .config import ENVIRONMENT, KEYS, Key, RelayConfig, load_config

__all__ = ["EXTRA", "add_config", "add_relay", "chosen_config"]

EXTRA: Final = "pip install 'evanesce[relay]'"
_LIBRARIES: Final = frozenset(
    {"starlette", "uvicorn", "websockets", "prometheus_client", "nats", "h11", "anyio"}
)
_FOLDERS: Final = ("state", "data", "keys", "ledger")


def add_relay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `relay` and those under it."""
    relay = commands.add_parser(
        "relay", help="run a relay, and answer for it",
        description="A relay keeps envelopes for those who are not there, for 72 hours at most.",
    )  # fmt: skip
    relay_commands = relay.add_subparsers(dest="relay_command", required=True)
    serve = relay_commands.add_parser(
        "serve", help="run a relay until it is told to stop",
        description="Run a relay. It prints one line with its address when it is ready, logs JSON "
        "lines to standard error, and on SIGTERM finishes what is under way.",
        epilog=f"Each of these may also stand in the file of --config (port = 8420), and in the "
        f"environment ({ENVIRONMENT}PORT=8420). Flags go before the environment, the environment "
        "before the file. Several relays may run on one NATS cluster, each started by itself; they "
        "must share the folder of the keys.",
    )  # fmt: skip
    add_config(serve, tuple(KEYS))
    serve.set_defaults(run=_serve)
    from .disclosure.commands import add_disclosure  # noqa: PLC0415  it imports from here

    add_disclosure(relay_commands)


def add_config(parser: argparse.ArgumentParser, names: tuple[str, ...] = _FOLDERS) -> None:
    """Add flags for these keys of the configuration, and `--config`."""
    group = parser.add_argument_group("configuration")
    group.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with any of these")
    for name in names:
        key = KEYS[name]
        flag = "--" + name.replace("_", "-")
        if key.kind is bool:
            group.add_argument(flag, action="store_true", default=None, help=key.said)
        else:
            group.add_argument(flag, type=key.kind, metavar=_METAVARS[key.kind], help=_help(key))


def chosen_config(options: argparse.Namespace) -> RelayConfig:
    """What flags, environment and file say. Raise `LocalError` (bad-input); `OSError`."""
    flags: dict[str, Any] = {name: getattr(options, name, None) for name in KEYS}
    return load_config(flags, os.environ, options.config)


_METAVARS: Final = {int: "N", str: "TEXT", Path: "PATH"}


def _help(key: Key) -> str:
    shown = "" if key.default is None or key.default == "" else f" ({key.default})"
    if key.name == "state":
        shown = " ($XDG_STATE_HOME/evanesce-relay)"
    return key.said + shown


def _serve(options: argparse.Namespace) -> int:
    config = chosen_config(options)
    try:
        from .serve import serve  # noqa: PLC0415  what it needs may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        raise LocalError(
            Reason.BAD_INPUT, f"a relay needs more than is installed ({error.name}): {EXTRA}"
        ) from None
    return serve(config)
