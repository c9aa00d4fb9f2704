"""A home: the folder of one person's device, with its store and what is known before it is open.

``config.json`` names the shared folder or the relay, and the file of the anchor, by which a store
that was put back from a copy is noticed. The anchor lies elsewhere, among the programs' states: who
copies the home does not copy it along.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..store.anchor import FileAnchor
from ..store.keys import KeySource
from ..store.sqlite import SqliteStore
from .mail import Net, absolute, net_of
from .problems import Refused

__all__ = ["Home", "default_home"]

_FORMAT: Final = 1
_CONFIG, _STORE = "config.json", "device.db"


def default_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Where a home is when nobody says."""
    given = environment.get("EVANESCE_HOME")
    return Path(given).expanduser() if given else _platform_folder("XDG_DATA_HOME", "share")


def _platform_folder(variable: str, kind: str) -> Path:
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/evanesce").expanduser()
    base = os.environ.get(variable) or f"~/.local/{kind}"
    return Path(base).expanduser() / "evanesce"


@dataclass(frozen=True, slots=True)
class Home:
    """One person's folder. `net` is the folder that all share, or the URL of a relay."""

    path: Path
    net: Net
    anchor: Path

    @classmethod
    def fresh(cls, path: Path, net: Net) -> Home:
        """A home that is to be made. Raise `Refused` where one is already."""
        for name in (_CONFIG, _STORE):
            if (path / name).exists():
                raise Refused(
                    f"there is a home in {path} already",
                    "use it as it is, or choose another folder with --home DIR",
                    reason="home-exists",
                )
        states = _platform_folder("XDG_STATE_HOME", "state")
        return cls(path, net, states / "anchors" / secrets.token_hex(8))

    @classmethod
    def find(cls, options: argparse.Namespace) -> Home:
        """The home that the options name. Raise `Refused` where there is none."""
        path = Path(os.path.abspath((options.home or default_home()).expanduser()))
        try:
            data: Any = json.loads((path / _CONFIG).read_bytes())
            if data["format"] != _FORMAT:
                raise Refused(f"{path} is a home of another version of evanesce")
            home = cls(path, net_of(data["net"]), Path(data["anchor"]))
        except FileNotFoundError:
            raise Refused(
                f"there is no home in {path}",
                "make one: evanesce init --name NAME --net DIR-or-URL (or point to one with "
                "--home)",
                reason="no-home",
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError, argparse.ArgumentTypeError):
            raise Refused(f"{path / _CONFIG} cannot be read", "restore that file") from None
        net = home.net if options.net is None else absolute(options.net)
        if isinstance(net, Path) and not net.is_dir():
            raise Refused(
                f"the shared folder {net} is not there",
                "is it mounted? another place can be given with --net DIR",
                reason="no-net",
            )
        return cls(path, net, home.anchor)

    def make(self) -> None:
        """Make the folders; the config comes last, with `save`."""
        for folder in (self.path, self.anchor.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if isinstance(self.net, Path):
            self.net.mkdir(parents=True, exist_ok=True)

    def save(self) -> None:
        """Write the config: from now on this is a home."""
        data = {"format": _FORMAT, "net": str(self.net), "anchor": str(self.anchor)}
        fresh = self.path / f"{_CONFIG}.new"
        fresh.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        fresh.replace(self.path / _CONFIG)

    def unmake(self) -> None:
        """Remove what a failed `init` has left."""
        for path in (*self.path.glob(f"{_STORE}*"), self.anchor):
            path.unlink(missing_ok=True)

    def open_store(self, key: KeySource) -> SqliteStore:
        """Open the store, or make it."""
        return SqliteStore(self.path / _STORE, key, anchor=FileAnchor(self.anchor))

    def disk_bytes(self) -> int:
        """What the store's files take."""
        return sum(path.stat().st_size for path in self.path.glob(f"{_STORE}*"))
