"""The operator's own references of requests: in the ledger stands only what commits to them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ...errors import EvanesceError, LocalError, Reason
from ...primitives import H
from . import files
from .signed_json import canonical, parse_canonical

__all__ = ["keep_reference", "reference"]

_FOLDER: Final = "references"
_LONGEST: Final = 500
_SALT_BYTES: Final = 16
_FILE_LIMIT: Final = 8_192


def keep_reference(folder: Path, number: int, text: str) -> str:
    """Keep the reference of request `number`; return what the ledger gets, in hexadecimal.

    Raise `LocalError` (bad-input) for what cannot be printed in one line.
    """
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise LocalError(Reason.BAD_INPUT, f"a reference is one line of 1 to {_LONGEST} characters")
    salt = os.urandom(_SALT_BYTES)
    files.make_folder(folder / _FOLDER)
    files.replace(_path(folder, number), canonical({"salt": salt.hex(), "text": text}))
    return _commitment(salt, text)


def reference(folder: Path, number: int, commitment: str | None) -> str | None:
    """The reference of request `number`, or None if it has none or it is not here (any more).

    Raise `LocalError` (bad-store) if it is another than the ledger says.
    """
    if commitment is None:
        return None
    try:
        value = parse_canonical(_path(folder, number).read_bytes(), _FILE_LIMIT)
        salt, text = bytes.fromhex(value["salt"]), value["text"]
        if _commitment(salt, text) == commitment:
            return str(text)
    except FileNotFoundError:
        return None
    except (EvanesceError, KeyError, TypeError, ValueError):
        pass
    raise LocalError(Reason.BAD_STORE, f"the reference of request {number} was changed")


def _commitment(salt: bytes, text: str) -> str:
    return H(b"ledger reference", salt, text).hex()


def _path(folder: Path, number: int) -> Path:
    return folder / _FOLDER / f"{number}.json"
