"""What the devices live through: steps, in each of which one or more of them run at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

from tests.kill.worker import Act, Session

__all__ = ["BETWEEN", "MEMBERS", "NOW", "SCENARIOS", "Step"]

NOW: Final = 1_700_000_000 - 1_700_000_000 % 3_600
BETWEEN: Final = 100  # seconds from one step to the next
CATCH_UP: Final = ("catch up",)
Step = tuple[Session, ...]


def _steps(*plan: dict[str, list[Act]]) -> tuple[Step, ...]:
    numbers: Iterator[int] = count()
    return tuple(
        tuple(
            Session(actor, number, NOW + BETWEEN * number, tuple(acts))
            for actor, acts in together.items()
        )
        for number, together in zip(numbers, plan, strict=False)
    )


def _say(kind: str, text: str, after_view: int | None = None) -> Act:
    return ("send", kind, text, after_view)


GROUP: Final = _steps(
    {"Mina": [("card",)]},
    {"Junho": [("card",)]},
    {"Sora": [("card",)]},
    {"Mina": [("found", "Junho"), _say("group", "g1")]},
    {"Junho": [CATCH_UP, _say("group", "g2"), _say("group", "g3, once", 0),
               _say("group", "g4, a moment", 30)]},
    {"Mina": [CATCH_UP, ("view",), _say("group", "g5"), ("add", "Sora"), _say("group", "g6")]},
    {"Sora": [CATCH_UP, _say("group", "g7")]},
    {"Junho": [CATCH_UP, ("refresh",), _say("group", "g8")]},
    {"Sora": [CATCH_UP]},  # what comes of a member after its removal is refused
    {"Mina": [CATCH_UP, ("remove", "Junho"), _say("group", "g9")]},
    {"Junho": [CATCH_UP, ("view",)]},
    {"Sora": [CATCH_UP, _say("group", "g10"), _say("group", "g11, once", 0), ("view",)]},
    {"Mina": [CATCH_UP, ("pass", 3_600), _say("group", "g12"), ("view",)]},
)  # fmt: skip

DIRECT: Final = _steps(
    {"Mina": [("card",)]},
    {"Junho": [("card",)]},
    {"Mina": [("direct", "Junho"), _say("direct", "d1"), _say("direct", "d2, once", 0)]},
    {"Junho": [CATCH_UP, ("view",), _say("direct", "d3")]},
    {"Mina": [CATCH_UP, _say("direct", "d4"), _say("direct", "d5, once", 0)]},
    {"Junho": [CATCH_UP, ("view",), _say("direct", "d6"), _say("direct", "d7, a moment", 30)]},
    {"Mina": [CATCH_UP, ("view",), ("pass", 3_600), _say("direct", "d8")]},
)

# Devices that run at the same time: while one dies and comes back, the others go on.
LIVE: Final = _steps(
    {"Mina": [("card",)], "Junho": [("card",)], "Sora": [("card",)]},
    {"Mina": [("found", "Junho", "Sora"), ("direct", "Junho"), _say("direct", "l1")]},
    {"Junho": [CATCH_UP], "Sora": [CATCH_UP]},
    {name: [CATCH_UP, _say("group", f"l2 {name}"), CATCH_UP, _say("group", f"l3 {name}, once", 0),
            ("view",), _say("group", f"l4 {name}")] for name in ("Mina", "Junho", "Sora")},
    {name: [_say("direct", f"l5 {name}"), CATCH_UP, ("view",), _say("direct", f"l6 {name}"),
            CATCH_UP, _say("direct", f"l7 {name}")] for name in ("Mina", "Junho")},
)  # fmt: skip

# Someone asks to leave, and a device commits for it of its own accord.
LEAVE: Final = _steps(
    {"Mina": [("card",)], "Junho": [("card",)], "Sora": [("card",)]},
    {"Mina": [("found", "Junho", "Sora"), _say("group", "v1")]},
    {"Sora": [CATCH_UP]},
    {"Junho": [CATCH_UP, _say("group", "v2"), ("leave",)]},
    {"Sora": [CATCH_UP]},
    {"Mina": [CATCH_UP, ("pass", 61), _say("group", "v3")]},
    {"Junho": [CATCH_UP, ("view",)]},
)

# Who is in the group when nobody was killed on the way, or everything was lived through after it.
MEMBERS: Final = {"group": {"Mina", "Sora"}, "live": {"Mina", "Junho", "Sora"},
                  "leave": {"Mina", "Sora"}}  # fmt: skip
SCENARIOS: Final = {"group": GROUP, "direct": DIRECT, "live": LIVE, "leave": LEAVE}
