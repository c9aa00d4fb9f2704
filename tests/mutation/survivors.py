"""The mutants that no test kills, and why none can: `survivors.toml`, read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True, slots=True)
class Survivor:
    """A change of a line in one function that leaves the behaviour as it is, and the reason."""

    module: str
    where: str
    before: str
    after: str
    why: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a mutant is recognised by; line numbers move."""
        return self.module, self.where, self.before, self.after


def read_survivors(path: Path = FILE) -> list[Survivor]:
    """Every entry of the file, in its order."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["survivor"]
    return [Survivor(**table) for table in tables]
