"""The kept corpus: one small zip for each target, and how it is made as small as it is.

An input is kept if it makes the library go a way that no shorter one goes: a pair of lines of one
function after each other, or another outcome. Inputs that once showed a fault are kept for good,
under a name that says so.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import evanesce
from tests.fuzz.oracle import Refused

FOLDER: Final = Path(__file__).parent / "corpus"
FAULT: Final = "fault-"
_LIBRARY: Final = str(Path(evanesce.__file__).parent)
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)

Way = tuple[object, ...]


def path_of(target: str) -> Path:
    """Where the corpus of a target lies."""
    return FOLDER / f"{target}.zip"


def load(target: str) -> dict[str, bytes]:
    """The kept inputs of a target, by name."""
    path = path_of(target)
    if not path.exists():
        return {}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in sorted(archive.namelist())}


def save(target: str, inputs: dict[str, bytes]) -> int:
    """Keep these; return the size of the file. The same inputs make the same bytes."""
    FOLDER.mkdir(exist_ok=True)
    with zipfile.ZipFile(path_of(target), "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted(inputs.items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return path_of(target).stat().st_size


def name_of(data: bytes) -> str:
    """What an input is called."""
    return hashlib.sha256(data).hexdigest()[:12]


def ways(run: Callable[[bytes], Any], data: bytes) -> set[Way]:
    """The ways an input takes through the library, and how it ends."""
    found: set[Way] = set()

    def local(frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            code = frame.f_code
            found.add((code, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return local

    def each(frame: FrameType, event: str, arg: object) -> Any:
        return local if _is_library(frame.f_code) else None

    last: dict[FrameType, int] = {}
    before = sys.gettrace()
    sys.settrace(each)
    try:
        answer = run(data)
    finally:
        sys.settrace(before)
    found |= {("outcome", outcome) for outcome in outcomes(answer)}
    return found


def _is_library(code: CodeType) -> bool:
    return code.co_filename.startswith(_LIBRARY)


def outcomes(answer: Any) -> list[str]:
    """How an input ended, in words."""
    if isinstance(answer, Refused):
        return [str(answer.reason)]
    if isinstance(answer, list | tuple):
        return [f"{n % 4} {outcome}" for n, each in enumerate(answer) for outcome in outcomes(each)]
    error = getattr(answer, "error", answer)
    reason = getattr(error, "reason", "")
    return [f"{type(answer).__name__} {reason}".strip()]


def minimised(
    run: Callable[[bytes], Any], inputs: Iterable[bytes], most: int
) -> tuple[dict[str, bytes], int]:
    """The inputs that go ways of their own, the shortest first; and how many ways there are.

    Inputs that raise are left out: a fault is kept by its own name.
    """
    seen: set[Way] = set()
    kept: dict[str, bytes] = {}
    for data in sorted(set(inputs), key=lambda d: (len(d), d)):
        try:
            run(data)  # what is made once, and not by this input, is made now
            found = ways(run, data)
        except Exception:
            continue
        if not found <= seen and len(kept) < most:
            seen |= found
            kept[name_of(data)] = data
    return kept, len(seen)
