"""Implementations with one mistake each: the library with a flaw patched in."""

from . import (  # noqa: F401  imported to register their flaws
    chains,
    commits,
    conversations,
    encoding,
    entries,
    epochs,
    keys,
    members,
    messages,
    packages,
    readmissions,
    relays,
    repairs,
    requests,
    restarts,
    resyncs,
    sanctions,
    trees,
)
from .flaw import FLAWS, Flaw, patched

__all__ = ["FLAWS", "Flaw", "patched"]
