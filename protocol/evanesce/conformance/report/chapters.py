"""The chapters of the specification, as the ids of requirements tell them."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["chapter_of", "chapters_of"]

Chapter = tuple[int, str]  # its number, and its title

_CHAPTERS: dict[str, Chapter] = {
    "PRIM": (3, "Primitives"),
    "WIRE": (4, "Encoding"),
    "FORM": (5, "Formats"),
    "ID": (6, "Identity and key packages"),
    "INV": (7, "Invitations"),
    "CHAIN": (8, "Chains"),
    "MEM": (9, "Membership"),
    "EPOCH": (10, "Epochs"),
    "DIR": (10, "Epochs"),
    "MSG": (11, "Messages"),
    "ENV": (12, "Mailboxes and envelopes"),
    "EVAP": (13, "Contents and evaporation"),
    "DEL": (14, "Deletion schedule"),
    "LIMIT": (15, "Limits"),
    "APP": (17, "Duties of the application"),
}
_ELSEWHERE = 99


def chapter_of(requirement: str) -> Chapter:
    """The chapter that defines it; for a prefix that is not known, the prefix itself."""
    prefix = requirement.split("-")[1] if requirement.count("-") > 1 else requirement
    return _CHAPTERS.get(prefix, (_ELSEWHERE, prefix))


def chapters_of(requirements: Iterable[str]) -> list[Chapter]:
    """The chapters that a case belongs to, each once, in their order."""
    return sorted({chapter_of(requirement) for requirement in requirements})
