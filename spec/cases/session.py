"""session.json: whole conversations, as one device sees them (20.6)."""

from collections.abc import Iterator

from spec.cases import (
    session_attack,
    session_direct,
    session_gap,
    session_group,
    session_member,
    session_turn,
)
from spec.cases.common import Json


def session_cases() -> Iterator[Json]:
    for module in (session_group, session_gap, session_member, session_attack, session_direct,
                   session_turn):  # fmt: skip
        yield from module.cases()
