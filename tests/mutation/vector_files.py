"""The files of vectors, read once: every mutant is run in a fork of the process that read them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[2] / "vectors" / "v1"


@cache
def cases_of(name: str) -> list[dict[str, Any]]:
    """The cases of one file."""
    cases: list[dict[str, Any]] = json.loads((FOLDER / name).read_bytes())["cases"]
    return cases
