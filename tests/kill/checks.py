"""What must hold once all is over: nothing lost, nothing twice, no key used for two things.

`finish` opens every device, lets everything arrive, has everybody say one thing more, and returns
what is wrong, in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from evanesce import SqliteStore
from evanesce.envelope import open_envelope
from evanesce.formats import COMMIT_COPY, MESSAGE, OPENING
from evanesce.holdings import OwnMailbox
from evanesce.message import ParsedMessage
from evanesce.ports import ManualClock
from evanesce.wire import peek_type
from tests.kill import newer_checks
from tests.kill.erasures import files, remains
from tests.kill.points import Journal, Points, read_journal
from tests.kill.settling import hand_out_receipts, let_all_in, mend, settle, settle_pins
from tests.kill.worker import KEY, Actor
from tests.kill.wrapping import watch_receipts, watch_seals

__all__ = ["Findings", "finish"]


class Findings:
    """What is wrong, and how many messages lie in an inbox that nobody was told of."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.untold = 0

    def expect(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)


async def finish(
    root: Path, names: Sequence[str], now: int, *, killed: bool, members: set[str] | None
) -> Findings:
    """Bring everything to its end, and find what is wrong.

    `killed` says that something was, `members` who has to be in the group, if that is known.
    """
    findings = Findings()
    watch_seals(Journal(root / "seals" / "end.jsonl"))
    watch_receipts()
    clock = ManualClock(now)
    async with AsyncExitStack() as stack:
        actors = [
            await stack.enter_async_context(Actor(root, name, clock, Points())) for name in names
        ]
        await settle(actors, root)
        await settle_pins(actors)
        await let_all_in(actors, root)
        for actor in actors:
            await actor.view_all()
        for actor in actors:
            for kind in ("group", "direct"):
                room = actor.room(kind)
                if room is not None and not room.closed:
                    await actor.send(kind, f"the end, {actor.name}, {kind}", None, again=False)
            await settle(actors, root)
        await mend(actors, root)
        for actor in actors:
            await actor.view_all()
        await hand_out_receipts(actors, root)
        burned = newer_checks.burned_texts(actors)
        _check_rooms(findings, actors, members)
        await _check_texts(findings, actors, clock.now())
        for actor in actors:
            _check_told(findings, actor, actors, set(burned), killed=killed)
            findings.problems += newer_checks.burns(actor, burned)
            findings.problems += newer_checks.receipts(actor, actors, killed=killed)
            findings.expect(not actor.unsent, f"{actor.name} has something unsent")
        _check_places(findings, root, actors)
    for actor in actors:
        closed = files(actor.home)
        with SqliteStore(actor.home / "device.db", KEY) as store:
            left = list(remains(store, closed, actor.rows))
        findings.expect(not left, f"in the files of {actor.name}: {left}")
    _check_seals(findings, root)
    return findings


def _check_rooms(
    findings: Findings, actors: Sequence[Actor], expected: set[str] | None
) -> None:
    """All members hold one transcript, and who is a member is what the members say."""
    for kind in ("group", "direct"):
        rooms = {a.name: room for a in actors if (room := a.room(kind)) is not None}
        inside = {name: room for name, room in rooms.items() if not room.closed}
        if kind == "group" and expected is not None:
            findings.expect(set(inside) == expected, f"in the group are {sorted(inside)}")
        if not inside:
            continue
        views = {
            (room.id, room.epoch, room.transcript, tuple(p.member for p in room.members))
            for room in inside.values()
        }
        findings.expect(len(views) == 1, f"members of the {kind} disagree: {sorted(inside)}")
        members = {p.identity for p in next(iter(inside.values())).members}
        there = {a.device.identity for a in actors if a.name in inside}
        findings.expect(members == there, f"the {kind} has members that are not in it")


async def _check_texts(findings: Findings, actors: Sequence[Actor], now: int) -> None:
    """Each text came once to each recipient; what was under way, to all once or to nobody."""
    identities = {a.device.identity.fingerprint.hex(): a for a in actors}
    listed = {a.name: Counter([m.message.id.hex() for m in await a.device.inbox()]) for a in actors}
    notes = {a.name: a.notes() for a in actors}
    for actor in actors:
        findings.expect(
            all(n == 1 for n in listed[actor.name].values()), f"{actor.name} lists one twice"
        )
        sent = {n["text"] for n in notes[actor.name] if n["what"] == "sent"}
        burned = {n["text"] for n in notes[actor.name] if n["what"] == "burned"}
        for sending in (n for n in notes[actor.name] if n["what"] == "sending"):
            text, timed = sending["text"], sending["after_view"] is not None
            others = [identities[name] for name in sending["to"] if name in identities]
            findings.expect(len(others) == len(sending["to"]), f"{text!r} is for a stranger")
            readers = others if timed else [actor, *others]  # one's own counts as viewed
            readings = {r.name: _readings(notes[r.name], text) for r in readers}
            found = {name: len(ids) for name, ids in readings.items()}
            unseen = {r.name: _opened_unseen(notes[r.name]) for r in readers}
            if timed:  # it may have gone, marked and never shown
                found = {name: n or min(1, unseen[name]) for name, n in found.items()}
            if text in burned:
                findings.expect(set(found.values()) <= {0, 1}, f"{text!r} was burned, came {found}")
            elif text in sent:
                findings.expect(set(found.values()) <= {1}, f"{text!r} was sent, came {found}")
            else:
                findings.expect(set(found.values()) in ({0}, {1}, set()),
                                f"{text!r} was under way, came {found}")  # fmt: skip
            for name, ids in readings.items():
                for message in ids:
                    kept = message in listed[name]
                    if text in burned:
                        findings.expect(not kept, f"{name} has the burned {text!r}")
                        continue
                    _check_kept(findings, name, sending, notes[name], message, now, kept=kept)
    for name, lines in notes.items():
        shown = {n["message"] for n in lines if n["what"] == "viewed"}
        findings.expect(set(listed[name]) <= shown, f"{name} has messages that it cannot view")


def _readings(notes: Sequence[dict[str, Any]], text: str) -> set[str]:
    """The ids of the messages that were shown with this text."""
    return {n["message"] for n in notes if n["what"] == "viewed" and n["text"] == text}


def _opened_unseen(notes: Sequence[dict[str, Any]]) -> int:
    """How many messages were opened and never shown: killed once the mark had been stored."""
    opened = {n["message"] for n in notes if n["what"] == "opening"}
    return len(opened - {n["message"] for n in notes if n["what"] == "viewed"})


def _check_kept(
    findings: Findings,
    name: str,
    sending: dict[str, Any],
    notes: Sequence[dict[str, Any]],
    message: str,
    now: int,
    *,
    kept: bool,
) -> None:
    """What has no timer is still there; what goes on closing was shown once; what is due, gone."""
    text, after_view = sending["text"], sending["after_view"]
    shown = [n["now"] for n in notes if n["what"] == "viewed" and n["message"] == message]
    if after_view is None:
        findings.expect(kept, f"{text!r} is not in the inbox of {name} any more")
        return
    if after_view == 0:
        findings.expect(len(shown) == 1, f"{text!r} was shown to {name} {len(shown)} times")
    if now >= min(shown) + after_view:
        findings.expect(not kept, f"{text!r} is still, or again, in the inbox of {name}")


def _check_told(
    findings: Findings,
    actor: Actor,
    actors: Sequence[Actor],
    burned: set[str],
    *,
    killed: bool,
) -> None:
    """No message is told of twice, nothing is told that is not there, nothing is refused.

    A kill between the commit and the application's taking leaves events untold: the inbox is the
    truth, and what the application has filed within the commit (17.2) is as true. A delivery whose
    ack was lost comes again, and is refused: as a replay, or, if it was the one that removed this
    device, because the room is closed. A request to be let in anew may come after the commit that
    grants it; where somebody asks more than once, an invitation may answer the request before.
    Who was let in anew is told to those whose earlier commits it has not confirmed as room-closed.
    """
    notes = actor.notes()
    told = [n for n in notes if n["what"] == "told"]
    arrived = Counter(n["message"] for n in told if n["event"] == "MessageArrived")
    twice = [message for message, times in arrived.items() if times > 1]
    findings.expect(not twice, f"{actor.name} was told of {len(twice)} messages twice")
    opened = {n["message"] for n in notes if n["what"] == "opening"}
    there = opened | burned
    findings.expect(set(arrived) <= there, f"{actor.name} was told of what is not there")
    own = {n["text"] for n in notes if n["what"] == "sending"}
    others = {n["message"] for n in notes if n["what"] == "viewed" and n["text"] not in own}
    findings.untold += len(others - set(arrived))
    filed = actor.filed
    findings.expect(others <= set(filed) <= there, f"{actor.name} has filed what did not come")
    findings.expect(set(filed.values()) <= {1}, f"{actor.name} has filed a message twice")
    findings.expect(killed or others <= set(arrived), f"{actor.name} was not told of everything")
    asked = any(n["what"] == "asking" for a in actors for n in a.notes())
    known = _known_refusals(actor, actors, killed=killed)
    refused = [n for n in told if n["event"] == "Rejected" and n["reason"] not in known]
    findings.expect(not refused, f"{actor.name} has refused {refused}")
    failed = {"DeliveryFailed", "StoreFailed"}
    lost = [n for n in told if n.get("lost") or (n["event"] in failed and not _gone_on(n, asked))]
    findings.expect(not lost, f"{actor.name} was told {lost}")
    joined = sum(n["event"] == "RoomJoined" for n in told)
    anew = sum(n["what"] == "asking" for n in notes)
    findings.expect(joined <= len(actor.device.rooms) + anew, f"{actor.name} joined {joined} times")


def _gone_on(note: dict[str, Any], asked: bool) -> bool:
    """Whether it tells that a member has been let in anew, at a later epoch than a commit's."""
    return asked and note.get("reason") == "room-closed" and note.get("epoch") is not None


def _known_refusals(actor: Actor, actors: Sequence[Actor], *, killed: bool) -> set[str]:
    """Why this device may have refused something."""
    known = set()
    group = actor.room("group")
    if killed:
        known.add("replay")
        if group is not None and group.closed:
            known.add("room-closed")
    asked = {a.name: sum(n["what"] == "asking" for n in a.notes()) for a in actors}
    if any(asked.values()):
        known |= {"replay", "used-package"}
    if asked[actor.name]:
        known.add("room-closed")  # its copy of the commit that lets it in anew (10.6, step 7)
    if asked[actor.name] > 1:
        known.add("unknown-package")
    return known


def _check_places(findings: Findings, root: Path, actors: Sequence[Actor]) -> None:
    """At no place of any chain two different things were handed to the transport."""
    keys = {}
    for actor in actors:
        actor.note_mailboxes()
        for note in actor.notes():
            if note["what"] == "mailbox":
                own = OwnMailbox.load(bytes.fromhex(note["record"]))
                keys[own.keys.mailbox.address.hex()] = own.keys
    places: dict[tuple[object, ...], set[bytes]] = {}
    for path in sorted((root / "handed").glob("*.jsonl")):
        for line in read_journal(path):
            if line["address"] not in keys:
                findings.expect(False, "something was sent to a mailbox that nobody has")
                continue
            payload = open_envelope(keys[line["address"]], bytes.fromhex(line["envelope"]))
            if peek_type(payload) == COMMIT_COPY.type:
                sealed = COMMIT_COPY.parse(payload)[0]
                places.setdefault(("commit", sealed[:80]), set()).add(sealed)
                continue
            message = bytes(payload)
            if peek_type(payload) == OPENING.type:
                message = bytes(OPENING.parse(payload)[1])
            if peek_type(message) == MESSAGE.type:
                header = ParsedMessage.parse(message).header
                place = ("message", header.room, header.prefix, header.sender, header.number)
                places.setdefault(place, set()).add(message)
    findings.expect(all(len(found) == 1 for found in places.values()), "one place, two contents")


def _check_seals(findings: Findings, root: Path) -> None:
    """No key that is used once has sealed two different things, handed out or not."""
    seals: dict[str, set[str]] = {}
    for path in sorted((root / "seals").glob("*.jsonl")):
        for line in read_journal(path):
            seals.setdefault(line["key"], set()).add(line["plaintext"])
    findings.expect(all(len(found) == 1 for found in seals.values()), "one key, two plaintexts")
