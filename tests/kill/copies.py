"""An older copy of a store that is put back: what a resync is for.

It happens while no process has the store, and is no point to be killed at. From the copy on the
device has an anchor, which is not put back with it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from evanesce.store.anchor import FileAnchor

__all__ = ["anchor", "keep_copy", "put_back"]


def anchor(root: Path, name: str) -> FileAnchor | None:
    """The anchor of a device that has one."""
    folder = root / "anchors" / name
    return FileAnchor(folder / "anchor") if folder.exists() else None


def keep_copy(root: Path, name: str) -> None:
    """Copy the store of a device that is closed."""
    copy = root / "copies" / name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root / "stores" / name, copy)
    (root / "anchors" / name).mkdir(parents=True, exist_ok=True)


def put_back(root: Path, name: str, session: int) -> None:
    """Put the copy in the place of the store, once in a session."""
    done = root / "copies" / f"{name}-{session}"
    if not done.exists():
        shutil.rmtree(root / "stores" / name)
        shutil.copytree(root / "copies" / name, root / "stores" / name)
        done.touch()
