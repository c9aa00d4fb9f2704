"""The test vectors of spec 20: where they lie, what is in them, and whether they are whole."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from .text import RunError

__all__ = ["Case", "Vectors", "default_folder", "matcher"]

MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
_SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")


@dataclass(frozen=True, slots=True)
class Case:
    """One case, as spec 20.3 describes it, and the file that it is in."""

    file: str
    id: str
    spec: tuple[str, ...]
    features: tuple[str, ...]
    comment: str
    op: str
    parent: str | None
    mutation: str | None
    input: Any
    out: Any
    trace: tuple[tuple[str, Any], ...]
    result: str
    reason: str | None

    @property
    def valid(self) -> bool:
        """Whether the operation is to succeed."""
        return self.result == "valid"

    @classmethod
    def of(cls, file: str, members: Mapping[str, Any]) -> Case:
        """The case in one JSON object of a file."""
        return cls(
            file=file,
            id=members["id"],
            spec=tuple(members["spec"]),
            features=tuple(members["features"]),
            comment=members["comment"],
            op=members["op"],
            parent=members["parent"],
            mutation=members["mutation"],
            input=members["in"],
            out=members["out"],
            trace=tuple((name, value) for name, value in members["trace"]),
            result=members["result"],
            reason=members["reason"],
        )


def default_folder() -> Path:
    """The vectors of this installation: in the wheel, or in the checkout beside the package."""
    package = files("evanesce")
    places = [Path(str(package / "_vectors")), Path(str(package)).parents[1] / "vectors"]
    for place in places:
        if (place / "v1" / MANIFEST).is_file():
            return place
    raise RunError("this installation has no test vectors; name their folder with --vectors")


def matcher(patterns: Sequence[str]) -> re.Pattern[str]:
    """Matches what any of the patterns does; `*` and `?` are the only special characters."""
    spelled = (re.escape(p).replace(r"\*", ".*").replace(r"\?", ".") for p in patterns)
    return re.compile("|".join(spelled) if patterns else ".*", re.DOTALL)


class Vectors:
    """A folder of vectors. A file is read when it is asked for, and must be whole."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else folder
        self.v1 = self.folder / "v1"
        self._cases: dict[str, tuple[Case, ...]] = {}

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest, as it stands."""
        try:
            manifest = json.loads((self.v1 / MANIFEST).read_bytes())
            # All that is used of it: a manifest of another form is an error here, and at once.
            for text in ("spec", "vectors"):
                if not isinstance(manifest[text], str):
                    raise TypeError(f"{text} is not a string")
            for about in manifest["files"].values():
                _ = about["sha256"], about["bytes"], about["schema"]
                _ = about["cases"], about["valid"], about["invalid"]
        except OSError as error:
            raise RunError(f"{self.v1 / MANIFEST}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{self.v1 / MANIFEST} is not a manifest: {error}") from error
        return dict(manifest)

    @property
    def spec(self) -> str:
        """The version of the specification that the vectors are for."""
        return str(self.manifest["spec"])

    @property
    def version(self) -> str:
        """The version of the vectors."""
        return str(self.manifest["vectors"])

    @property
    def names(self) -> list[str]:
        """The names of the files, in the order of the manifest."""
        return list(self.manifest["files"])

    def file(self, name: str) -> tuple[Case, ...]:
        """The cases of one file, after its size and sum have been checked."""
        if name not in self._cases:
            about = self.manifest["files"].get(name)
            if about is None:
                near = self._near(name, self.names)
                raise RunError(f"no such file of vectors: {name}{near}")
            data = self._bytes(name)
            if fault := self._fault(about, data):
                raise RunError(f"{self.v1 / name} is not as the manifest says: {fault}")
            try:
                cases = json.loads(data)["cases"]
                self._cases[name] = tuple(Case.of(name, case) for case in cases)
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(f"{self.v1 / name} is not a file of vectors: {error}") from error
        return self._cases[name]

    def __iter__(self) -> Iterator[Case]:
        for name in self.names:
            yield from self.file(name)

    def select(self, patterns: Sequence[str]) -> list[Case]:
        """The cases whose id or operation matches one of the patterns; all, without one."""
        pattern = matcher(patterns)
        chosen = [c for c in self if pattern.fullmatch(c.id) or pattern.fullmatch(c.op)]
        if not chosen:
            raise RunError(f"no case matches {' or '.join(patterns)}")
        return chosen

    def case(self, case_id: str) -> Case:
        """The case of that id; an error that names those that are near."""
        for case in self:
            if case.id == case_id:
                return case
        raise RunError(f"no such case: {case_id}{self.near(case_id)}")

    def near(self, case_id: str) -> str:
        """The end of an error message: cases whose ids look like this one."""
        return self._near(case_id, [case.id for case in self])

    def faults(self) -> list[str]:
        """What is wrong with the files: sizes, sums, numbers of cases, ids, parents."""
        found: list[str] = []
        ids: dict[str, str] = {}
        parents: list[tuple[str, str]] = []
        for name, about in self.manifest["files"].items():
            try:
                if fault := self._fault(about, self._bytes(name)):
                    found.append(f"{name}: {fault}")
                    continue
                cases = self.file(name)
            except RunError as error:
                found.append(str(error))
                continue
            valid = sum(case.valid for case in cases)
            counts = {"cases": len(cases), "valid": valid, "invalid": len(cases) - valid}
            for what, count in counts.items():
                if about[what] != count:
                    found.append(f"{name}: {count} {what}, the manifest says {about[what]}")
            for case in cases:
                if case.id in ids:
                    found.append(f"{name}: {case.id} is also in {ids[case.id]}")
                ids[case.id] = name
                if case.parent is not None:
                    parents.append((case.id, case.parent))
        found += [f"{i}: there is no {its}, its parent" for i, its in parents if its not in ids]
        listed = {*self.names, MANIFEST}
        found += [
            f"{path.name}: not in the manifest"
            for path in sorted(self.v1.glob("*.json"))
            if path.name not in listed
        ]
        return found + self._sum_faults()

    def _sum_faults(self) -> list[str]:
        try:
            lines = (self.v1 / SUMS).read_text("ascii").splitlines()
        except OSError as error:
            return [f"{SUMS}: {error.strerror}"]
        except UnicodeDecodeError:
            return [f"{SUMS}: not ASCII"]
        found, named = [], set()
        for line in lines:
            match = _SUM_LINE.fullmatch(line)
            if match is None or ".." in Path(match[2]).parts or Path(match[2]).is_absolute():
                found.append(f"{SUMS}: not a line of sums: {line[:100]!r}")
                continue
            named.add(match[2].removeprefix("./"))
            try:
                data = (self.v1 / match[2]).read_bytes()
            except OSError as error:
                found.append(f"{match[2]}: {error.strerror}")
                continue
            if hashlib.sha256(data).hexdigest() != match[1]:
                found.append(f"{match[2]}: its sum is not that of {SUMS}")
        schemas = {about["schema"] for about in self.manifest["files"].values()}
        missing = sorted({*self.names, *schemas, MANIFEST} - named)
        return found + [f"{SUMS}: {name} is not in it" for name in missing]

    def _bytes(self, name: str) -> bytes:
        try:
            return (self.v1 / name).read_bytes()
        except OSError as error:
            raise RunError(f"{self.v1 / name}: {error.strerror}") from error

    @staticmethod
    def _fault(about: Mapping[str, Any], data: bytes) -> str | None:
        if len(data) != about["bytes"]:
            return f"{len(data)} bytes, the manifest says {about['bytes']}"
        if hashlib.sha256(data).hexdigest() != about["sha256"]:
            return "its SHA-256 differs"
        return None

    @staticmethod
    def _near(name: str, names: Sequence[str]) -> str:
        near = get_close_matches(name, names, n=5, cutoff=0.6)
        return f"; near it: {', '.join(near)}" if near else ""
