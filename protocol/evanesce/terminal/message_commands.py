"""Commands about messages: send one, read what has come."""

from __future__ import annotations

import argparse
import base64
import sys
from collections import Counter
from typing import Any, Final

from ..conversation import Conversation
from ..errors import LocalError, Reason
from ..limits import MAX_BODY
from .answer import Answer
from .duration import clock_time, in_words
from .kept import Lying, lying
from .problems import Refused, undecided
from .session import Session
from .text import safe_text

__all__ = ["body_text", "message_data", "read", "say", "send"]

_ID: Final = 16


async def say(
    session: Session,
    room: Conversation,
    text: str,
    after_view: int | None = None,
    lifetime: int | None = None,
    quote: bytes | None = None,
) -> bytes:
    """Send, with the defaults that were noted for this room; return the message id.

    Raise `Refused` while another card is offered for somebody in it.
    """
    note = session.rooms.note(room)
    names = session.contacts.pinned_names(room.unsettled)
    if names:
        raise undecided(names)
    return await room.send(
        text,
        after_view=note.after_view if after_view is None else after_view,
        lifetime=note.lifetime if lifetime is None else lifetime,
        quote=quote,
    )


async def send(session: Session, options: argparse.Namespace) -> Answer:
    """Send a message."""
    text = " ".join(options.text)
    if text in ("", "-"):
        text = sys.stdin.buffer.read(MAX_BODY + 2).decode("utf-8", "replace").removesuffix("\n")
    if not text:
        raise Refused("there is nothing to send", code=2)
    await session.catch_up()
    room = await session.room_or_begin(options.room)
    quote = None if options.quote is None else await _quoted(session, room, options.quote)
    sent = await say(session, room, text, options.after_view, options.lifetime, quote)
    unsent = await session.sent(room)
    label = session.rooms.label(room)
    waits = "" if not unsent else f"; {unsent} envelopes wait, and go out next time"
    state = "stored, not sent yet" if unsent else "sent"
    delivery = await _delivery(session, room, sent)
    lines = [f"#{sent.hex()[:8]} {state} to {label}{waits}"]
    lines += [
        f"  {copy['name']}: {copy['state']}" + (f" ({copy['why']})" if copy["why"] else "")
        for copy in delivery
        if not room.direct or copy["state"] not in ("sent", "confirmed")
    ]
    data = {"id": sent.hex(), "room": room.id.hex(), "label": label, "unsent": unsent,
            "delivery": delivery}  # fmt: skip
    return Answer("\n".join(lines), data)


async def _delivery(session: Session, room: Conversation, message: bytes) -> list[dict[str, Any]]:
    """What became of each member's copy, as of now."""
    names = {person.member: session.rooms.call(person) for person in room.members}
    report = await room.report(message)
    return [
        {"name": names.get(copy.member, copy.member[:4].hex()), "member": copy.member.hex(),
         "state": str(copy.state), "why": copy.why}
        for copy in report.recipients
    ]  # fmt: skip


async def _quoted(session: Session, room: Conversation, text: str) -> bytes:
    """The message that `text` begins the id of, or the whole id of one that is gone."""
    wanted = text.lstrip("#").lower()
    ids = [found.arrived.message.id for found in await lying(session.device, room)]
    found = [message for message in ids if len(wanted) >= 4 and message.hex().startswith(wanted)]
    if len(found) == 1:
        return found[0]
    try:
        whole = bytes.fromhex(wanted)
    except ValueError:
        whole = b""
    if len(whole) == _ID:
        return whole
    raise Refused("no such message is here to be quoted" if not found else
                  "that may be several messages",
                  "evanesce read --all shows ids; give more of one")  # fmt: skip


def body_text(body: str | bytes) -> str:
    """A message's body for a terminal."""
    return safe_text(body) if isinstance(body, str) else f"({len(body)} bytes of data)"


def message_data(session: Session, found: Lying, body: str | bytes) -> dict[str, Any]:
    """A message as data. Text is given as it was written."""
    arrived = found.arrived
    content = (
        {"text": body}
        if isinstance(body, str)
        else {"data_base64": base64.b64encode(body).decode("ascii")}
    )
    return {
        "id": arrived.message.id.hex(), "room": arrived.room.id.hex(),
        "label": session.rooms.label(arrived.room), "sender": session.rooms.call(arrived.sender),
        "own": found.own, "sent": arrived.sent, "after_view": found.after_view,
        "deadline": found.deadline, "quote": None if arrived.quote is None else arrived.quote.hex(),
        **content,
    }  # fmt: skip


def _printed(session: Session, found: Lying, body: str | bytes) -> str:
    arrived = found.arrived
    head = f"#{arrived.message.id.hex()[:8]} {clock_time(arrived.sent)}"
    head += f" {session.rooms.call(arrived.sender)}"
    if arrived.quote is not None:
        head += f" (to #{arrived.quote.hex()[:8]})"
    text = body_text(body).replace("\n", "\n    │ ")  # no line of it looks like a message
    fate = ""
    if found.after_view == 0:
        fate = "  [gone here now]"
    elif found.after_view is not None:
        fate = f"  [goes {in_words(found.after_view)} after viewing]"
    return f"{head}: {text}{fate}"


async def read(session: Session, options: argparse.Namespace) -> Answer:
    """Take in what waits, and show what is unread."""
    await session.catch_up()
    room = None if options.room is None else session.rooms.get(options.room)
    found = [item for item in await lying(session.device, room) if item.unread or options.all]
    if options.keep_unread:
        return _counted(session, [item.arrived.room for item in found if item.unread])
    messages, lines = [], []
    last: Conversation | None = None
    for item in found:
        try:
            async with item.arrived.message.open() as body:
                messages.append(message_data(session, item, body))
                if item.arrived.room != last:
                    last = item.arrived.room
                    lines.append(f"— {session.rooms.label(last)} —")
                lines.append(_printed(session, item, body))
        except LocalError as error:
            if error.reason is not Reason.EVAPORATED:  # between the list and the look
                raise
    return Answer("\n".join(lines) or "Nothing unread.", {"messages": messages})


def _counted(session: Session, rooms: list[Conversation]) -> Answer:
    counts = Counter(room.id for room in rooms)
    listed = [room for room in session.rooms.all() if counts[room.id]]
    lines = [f"{counts[room.id]} unread in {session.rooms.label(room)}" for room in listed]
    return Answer(
        "\n".join(lines) or "Nothing unread.",
        {"unread": [{"room": room.id.hex(), "label": session.rooms.label(room),
                     "count": counts[room.id]} for room in listed]},
    )  # fmt: skip
