"""Commands to take back what was said, and to let others know what was seen."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from ..conversation import Conversation
from ..limits import MAX_NAMED
from .answer import Answer
from .problems import Refused
from .session import Session
from .text import safe_name

__all__ = ["ALL", "LAST", "burn", "burn_some", "switch_receipts"]

ALL: Final = "all"
LAST: Final = "last"
_LEAST_PREFIX: Final = 4


async def burn_some(room: Conversation, wanted: Sequence[str]) -> list[bytes]:
    """Burn messages of one's own: the `LAST`, `ALL`, or those whose ids begin so. Return the ids.

    Raise `Refused` if there is none, or it is not clear which is meant: then none is burned.
    """
    there = await room.burnable()
    if not there:
        raise Refused("there is nothing of yours in this room that could be burned",
                      "of messages older than 72 hours nothing is left anywhere",
                      reason="unknown-message")  # fmt: skip
    chosen: list[bytes] = []
    for text in wanted:
        chosen += there if text == ALL else there[-1:] if text == LAST else [_named(there, text)]
    chosen = list(dict.fromkeys(chosen))
    for first in range(0, len(chosen), MAX_NAMED):
        await room.burn(*chosen[first : first + MAX_NAMED])
    return chosen


def _named(there: Sequence[bytes], text: str) -> bytes:
    wanted = text.lstrip("#").lower()
    found = [message for message in there if message.hex().startswith(wanted)]
    if len(found) == 1 and len(wanted) >= _LEAST_PREFIX:
        return found[0]
    if found:
        raise Refused(f"{safe_name(text)} may be several messages", "give more of the id", code=2)
    raise Refused(f"no message of yours in this room is called {safe_name(text)}",
                  "send and read --all show ids; only one's own messages can be burned",
                  reason="unknown-message")  # fmt: skip


async def burn(session: Session, options: argparse.Namespace) -> Answer:
    """Take back messages of one's own."""
    ways = bool(options.messages) + options.last + options.all
    if ways != 1:
        raise Refused("say which messages" if not ways else "say it in one way only",
                      "evanesce burn ROOM ID…, or --last, or --all", code=2)  # fmt: skip
    await session.catch_up()
    room = session.rooms.get(options.room)
    wanted = [LAST] if options.last else [ALL] if options.all else options.messages
    burned = await burn_some(room, wanted)
    unsent = await session.sent(room)
    label = session.rooms.label(room)
    names = ", ".join(f"#{message.hex()[:8]}" for message in burned)
    lines = [f"burned in {label}: {names}",
             "It goes from the devices of the others as they hear of it; who has read it has "
             "read it."]  # fmt: skip
    if unsent:
        lines.append(session.waits(unsent))
    return Answer("\n".join(lines), {
        "room": room.id.hex(), "label": label, "burned": [message.hex() for message in burned],
        "unsent": unsent,
    })  # fmt: skip


async def switch_receipts(session: Session, options: argparse.Namespace) -> Answer:
    """Turn viewed receipts on or off in a room."""
    room = session.rooms.get(options.room)
    on = options.switch == "on"
    await room.set_receipts(on)
    label = session.rooms.label(room)
    said = (
        f"Viewed receipts are on in {label}: the others hear what you have viewed, some minutes "
        "later, and you hear it of those who have them on too."
        if on
        else f"Viewed receipts are off in {label}: you tell nobody, and are not told."
    )
    return Answer(said, {"room": room.id.hex(), "label": label, "receipts": on})
