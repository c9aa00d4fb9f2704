"""What the devices live through: steps, in each of which one or more of them run at a time."""

from __future__ import annotations

from typing import Final

from tests.kill.worker import COPY, PUT_BACK, Act, Session, passed

__all__ = ["BEGIN", "MEMBERS", "NOW", "SCENARIOS", "Step", "end_of"]

NOW: Final = 1_700_000_000 - 1_700_000_000 % 3_600
BETWEEN: Final = 100  # seconds from one step to the next
CATCH_UP: Final = ("catch up",)
Step = tuple[Session, ...]


def _steps(*plan: dict[str, list[Act]]) -> tuple[Step, ...]:
    steps, now = [], NOW
    for number, together in enumerate(plan):
        sessions = [Session(actor, number, now, tuple(acts)) for actor, acts in together.items()]
        steps.append(tuple(sessions))
        now += BETWEEN + max(passed(session.acts) for session in sessions)
    return tuple(steps)


def end_of(scenario: str) -> int:
    """When all of it has been lived through, and an hour later."""
    last = SCENARIOS[scenario][-1][0]
    return last.now + passed(last.acts) + BETWEEN + 3_600


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

_FOUND: Final[tuple[dict[str, list[Act]], ...]] = (
    {"Mina": [("card",)], "Junho": [("card",)], "Sora": [("card",)]},
    {"Mina": [("found", "Junho", "Sora"), _say("group", "f1")]},
    {"Junho": [CATCH_UP], "Sora": [CATCH_UP]},
)

# A commit does not come, nor does the answer to who asks for it; all are asked, and it comes.
REPAIR: Final = _steps(
    *_FOUND,
    {"Mina": [CATCH_UP, ("lose", "Sora"), ("refresh",), ("heal",), _say("group", "r1")]},
    {"Sora": [CATCH_UP, ("pass", 61), _say("group", "r2")]},
    {"Mina": [("lose", "Sora"), CATCH_UP, ("heal",)]},
    {"Sora": [CATCH_UP, ("pass", 661), CATCH_UP]},
    {"Mina": [CATCH_UP, _say("group", "r3")]},
    {"Sora": [CATCH_UP, ("view",), ("pass", 61), _say("group", "r4")]},
)

# An older copy of a store is put back: the device is let in anew, at the epoch that this opens.
# Then it asks once more, as one that has fallen behind would.
RESYNC: Final = _steps(
    *_FOUND,
    {"Sora": [CATCH_UP, COPY]},
    {"Sora": [_say("group", "y1, once", 0), ("refresh",)]},
    {"Sora": [PUT_BACK, CATCH_UP, ("ask resync",)]},
    {"Mina": [CATCH_UP, ("let in", "Sora"), _say("group", "y2")]},
    {"Sora": [CATCH_UP, ("view",), _say("group", "y3")]},
    {"Junho": [CATCH_UP, ("view",), _say("group", "y4")]},
    {"Mina": [CATCH_UP]},
    {"Sora": [CATCH_UP, ("ask resync",)]},
    {"Junho": [CATCH_UP, ("let in", "Sora"), _say("group", "y5")]},
    {"Sora": [CATCH_UP, ("view",)]},
)

# Burned before it has come (b2, and at one device b5), before it is viewed (b1) and after it (b4);
# while receipts tell of what is viewed.
BURN: Final = _steps(
    *_FOUND,
    {"Mina": [CATCH_UP, ("receipts", "group"), _say("group", "b1")]},
    {"Junho": [("receipts", "group"), CATCH_UP, ("view",), _say("group", "b2"),
               _say("group", "b3"), ("pass", 601), ("burn", "group", "b2")]},
    {"Mina": [CATCH_UP, ("view",), _say("group", "b4"), ("delay", "Sora"), _say("group", "b5"),
              ("heal",), ("burn", "group", "b5"), ("burn", "group", "b1")]},
    {"Sora": [("receipts", "group"), CATCH_UP, ("view",), ("pass", 601)]},
    {"Mina": [("hand over",), CATCH_UP, ("burn", "group", "b4")]},
    {"Sora": [CATCH_UP, ("view",), _say("group", "b6")]},
    {"Junho": [CATCH_UP, ("view",), ("pass", 601)]},
)  # fmt: skip

# Another identity is offered for a person: refused, accepted, and in the end open.
PINS: Final = _steps(
    *_FOUND,
    {"Mina": [("direct", "Junho"), _say("direct", "p1")]},
    {"Junho": [CATCH_UP, ("view",), _say("direct", "p2")]},
    {"Mina": [CATCH_UP, ("pin", "J", "Junho"), ("offer", "J", "Sora"),
              ("blocked", "direct"), ("not begun", "Sora"), ("refuse", "J", "Junho"),
              _say("direct", "p3"),
              ("offer", "J", "Sora"), ("accept", "J", "Sora"), _say("direct", "p4"),
              ("offer", "J", "Junho")]},
    {"Junho": [CATCH_UP]},
    {"Mina": [("blocked", "group")]},
)  # fmt: skip

# The first step in which anybody is killed: what comes before is in another scenario.
BEGIN: Final = {"repair": 3, "resync": 4, "burn": 3, "pins": 5}
# Who is in the group when nobody was killed on the way, or everything was lived through after it.
_ALL: Final = {"Mina", "Junho", "Sora"}
MEMBERS: Final = {"group": {"Mina", "Sora"}, "live": _ALL, "leave": {"Mina", "Sora"},
                  "repair": _ALL, "resync": _ALL, "burn": _ALL, "pins": _ALL}  # fmt: skip
SCENARIOS: Final = {"group": GROUP, "direct": DIRECT, "live": LIVE, "leave": LEAVE,
                    "repair": REPAIR, "resync": RESYNC, "burn": BURN, "pins": PINS}  # fmt: skip
