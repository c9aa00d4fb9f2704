"""session.json: whole conversations, as one device sees them (20.6)."""

from collections.abc import Iterator

from spec.cases import (
    session_attack,
    session_back,
    session_beside,
    session_branch,
    session_direct,
    session_edge,
    session_fork,
    session_former,
    session_gap,
    session_group,
    session_member,
    session_moved,
    session_pending,
    session_resync,
    session_return,
    session_turn,
)
from spec.cases.common import Json


def session_cases() -> Iterator[Json]:
    for module in (session_group, session_gap, session_member, session_attack, session_direct,
                   session_turn, session_resync, session_edge, session_return,
                   session_former, session_fork, session_pending, session_branch, session_back,
                   session_beside, session_moved):  # fmt: skip
        yield from module.cases()
