"""What only a checkout of the repository has: the generator, and the text of the specification."""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

from .text import RunError
from .vectors import Vectors

__all__ = ["coverage_text", "script", "spec_folder"]

# As the specification defines a requirement: **REQ-WIRE-01** (wire) ...
_DEFINED = re.compile(r"^ {0,3}(?:- )?\*\*(REQ-[A-Z]+-[0-9]+)\*\* \((\w+)\)", re.MULTILINE)
KINDS = {
    "wire": "what is on the wire",
    "state": "what a device keeps",
    "duty": "what the application does",
}


def spec_folder() -> Path | None:
    """The folder `spec` of the checkout we stand in, or of the one that the package lies in."""
    here = Path.cwd()
    package = Path(str(files("evanesce")))
    for root in (here, *here.parents, package.parents[1]):
        # Both must be there: a script is run from it, and not from just any folder of that name.
        if (root / "spec" / "generate.py").is_file() and (root / "protocol" / "evanesce").is_dir():
            return root / "spec"
    return None


def script(name: str) -> Path:
    """The path of a script of the checkout; an error where there is none."""
    folder = spec_folder()
    if folder is None:
        raise RunError(f"spec/{name} is not part of an installation: run this in a checkout")
    if not (folder / name).is_file():
        raise RunError(f"{folder / name} does not exist")
    return folder / name


def coverage_text(vectors: Vectors) -> str:
    """The summary of COVERAGE.md; without one, how much of the specification the cases cite."""
    try:
        text = (vectors.folder / "COVERAGE.md").read_text("utf-8")
    except OSError:
        return _counted(vectors)
    # Its summary stands before the first section of details that lists requirement by requirement.
    head, *sections = re.split(r"(?m)^(?=## )", text)
    kept = [head]
    for section in sections:
        if re.search(r"REQ-[A-Z]+-[0-9]+", section):
            break
        kept.append(section)
    return "".join(kept).strip()


def _counted(vectors: Vectors) -> str:
    cited = {requirement for case in vectors for requirement in case.spec}
    folder = spec_folder()
    if folder is None:
        chapters = Counter(requirement.split("-")[1] for requirement in cited)
        rows = [f"{chapter:8}{count:4} requirements" for chapter, count in sorted(chapters.items())]
        return "\n".join([*rows, f"{'all':8}{len(cited):4} requirements are cited by vectors"])
    kinds: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*.md")):
        for requirement, kind in _DEFINED.findall(path.read_text("utf-8")):
            kinds.setdefault(kind, set()).add(requirement)
    lines = [
        f"{kind:6}{len(found & cited):4} of {len(found):3}  {KINDS.get(kind, '')}".rstrip()
        for kind, found in kinds.items()
    ]
    everything = set().union(*kinds.values())
    lines.append(f"{'all':6}{len(everything & cited):4} of {len(everything):3}  requirements")
    if strangers := sorted(cited - everything):
        lines.append(f"cited, but not defined: {', '.join(strangers)}")
    return "\n".join(lines)
