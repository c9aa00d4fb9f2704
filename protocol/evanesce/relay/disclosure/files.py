"""The few ways in which this part writes files: whole or not at all, and durably."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["append", "create", "cut", "destroy", "make_folder", "remove", "replace"]

_PRIVATE = 0o600


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_folder(folder.parent)


def replace(path: Path, data: bytes) -> None:
    """Write a new file and put it in the place of the old one, if there is one."""
    fresh = path.with_name(path.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _PRIVATE)
    try:
        _write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(fresh, path)
    _sync_folder(path.parent)


def create(path: Path, data: bytes) -> None:
    """Write a file as a whole, unless there is one: then that stays, whoever made it."""
    fresh = path.with_name(f"{path.name}.{os.urandom(8).hex()}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
    try:
        _write(handle, data)
        os.fsync(handle)
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        os.close(handle)
        os.unlink(fresh)
    _sync_folder(path.parent)


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file, which is made if there is none."""
    fresh = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _PRIVATE)
    try:
        _write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    if fresh:
        _sync_folder(path.parent)


def cut(path: Path, size: int) -> None:
    """Shorten a file."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(handle, size)
        os.fsync(handle)
    finally:
        os.close(handle)


def destroy(path: Path) -> None:
    """Overwrite a file, a key mostly, and remove it. None there is fine."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _write(handle, os.urandom(os.fstat(handle).st_size))
        os.fsync(handle)
    finally:
        os.close(handle)
    remove(path)


def remove(path: Path) -> None:
    """Remove a file. None there is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    _sync_folder(path.parent)


def _write(handle: int, data: bytes) -> None:
    at = 0
    while at < len(data):
        at += os.write(handle, data[at:])


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
