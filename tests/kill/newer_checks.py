"""What must hold of burned messages and of viewed receipts once all is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.kill.worker import Actor
from tests.kill.wrapping import TOLD

__all__ = ["burned_texts", "burns", "receipts"]


def burned_texts(actors: Sequence[Actor]) -> dict[str, str]:
    """What was burned, by the id of the message."""
    return {
        note["message"]: note["text"]
        for actor in actors
        for note in actor.notes()
        if note["what"] == "burned"
    }


def burns(actor: Actor, burned: dict[str, str]) -> list[str]:
    """What is wrong with burned messages on a device, where every burn has come."""
    problems = []
    with actor.store.inner.transaction() as tx:
        kept = {name[6:].hex() for name, _ in tx.scan(b"inbox/")}
    problems += [f"{actor.name} keeps the burned {burned[m]!r}" for m in sorted(kept & set(burned))]
    gone: set[str] = set()
    for note in actor.notes():
        message = note.get("message")
        if note["what"] == "burned" or note.get("event") == "MessageBurned":
            if message in gone and note["what"] == "told":
                problems.append(f"{actor.name} was told twice that {message} is burned")
            gone.add(str(message))
        elif note["what"] == "viewed" and message in gone:
            problems.append(f"{actor.name} could view {note['text']!r} after it was burned")
    return problems


def receipts(actor: Actor, actors: Sequence[Actor], *, killed: bool) -> list[str]:
    """What is wrong with the receipts that a device has sent, and with those it was told of."""
    problems = []
    notes = actor.notes()
    with actor.store.inner.transaction() as tx:
        sent = {name[len(TOLD) :].hex(): count[0] for name, count in tx.scan(TOLD)}
    twice = [message for message, times in sent.items() if times > 1]
    if twice:
        problems.append(f"{actor.name} has sent {len(twice)} receipts twice")
    viewed = _viewed_of_others(notes)
    if not set(sent) <= set(viewed):
        problems.append(f"{actor.name} has sent a receipt for what it has not viewed")
    on = [place for place, note in enumerate(notes) if note["what"] == "receipts"]
    due = {message for message, place in viewed.items() if on and place > on[0]}
    shown = {n["message"] for n in notes if n["what"] == "viewed"}
    if not due & shown <= set(sent):
        problems.append(f"{actor.name} has not sent a receipt for what it has viewed")
    return problems + _told(actor, actors, killed=killed)


def _viewed_of_others(notes: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The messages of others that were opened, and at which place in the journal first."""
    mine = _said(notes)
    opened: dict[str, int] = {}
    for place, note in enumerate(notes):
        if note["what"] == "opening" and note["message"] not in mine:
            opened.setdefault(note["message"], place)
    return opened


def _said(notes: Sequence[dict[str, Any]]) -> set[str]:
    """The messages of this device that are known to it: also where the process died within."""
    own = {n["text"] for n in notes if n["what"] == "sending"}
    viewed = {n["message"] for n in notes if n["what"] == "viewed" and n["text"] in own}
    return viewed | {n["message"] for n in notes if n["what"] in {"sent", "burned"}}


def _told(actor: Actor, actors: Sequence[Actor], *, killed: bool) -> list[str]:
    """What it was told that others have viewed is so, was told once, and is told if it is so."""
    problems = []
    notes = actor.notes()
    told = Counter((n["by"], n["message"]) for n in notes if n.get("event") == "MessageViewed")
    if any(times > 1 for times in told.values()):
        problems.append(f"{actor.name} was told twice that something was viewed")
    said = _said(notes)
    on = any(n["what"] == "receipts" for n in notes)
    expected = set()
    for other in actors:
        whose = other.device.identity.fingerprint.hex()
        with other.store.inner.transaction() as tx:
            sent = {name[len(TOLD) :].hex() for name, _ in tx.scan(TOLD)}
        expected |= {(whose, message) for message in sent & said if on and other is not actor}
    if not set(told) <= expected:
        problems.append(f"{actor.name} was told that something was viewed, and it was not")
    if not killed and set(told) != expected:
        problems.append(f"{actor.name} was not told of every receipt")
    return problems
