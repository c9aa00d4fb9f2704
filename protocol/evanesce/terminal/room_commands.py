"""Commands about rooms and who is in them."""

from __future__ import annotations

import argparse
from typing import Any, Final

from ..content import Evaporation
from ..conversation import Conversation
from ..events import Person
from ..membership import Mode, Policy, Role
from .answer import Answer
from .duration import in_words
from .kept import lying
from .notices import way_back, way_in
from .problems import Refused
from .roombook import member_named
from .session import Session

__all__ = ["ROLES", "add_member", "change_role", "leave", "list_members", "list_rooms",
           "new_room", "person_data", "remove_member", "room_answer", "room_data", "set_title",
           "state_size"]  # fmt: skip

ROLES: Final = tuple(role.name.lower() for role in Role)


def _rule(after_view: int | None, lifetime: int) -> str:
    live = f"messages live {in_words(lifetime)}"
    return live if after_view is None else f"{live}, and {in_words(after_view)} after viewing"


def room_data(session: Session, room: Conversation) -> dict[str, Any]:
    """A room as data."""
    note = session.rooms.note(room)
    rule = room.policy.evaporation
    if room.direct:
        rule = rule.strictest(Evaporation(note.after_view, note.lifetime or rule.lifetime))
    return {
        "number": note.number, "label": session.rooms.label(room), "id": room.id.hex(),
        "direct": room.direct, "members": len(room.members),
        "open": room.open, "stale": room.stale, "epoch": room.epoch, "receipts": room.receipts,
        "asking": [session.rooms.call(person) for person in room.resync_requests],
        "after_view": rule.after_view, "lifetime": rule.lifetime,
    }  # fmt: skip


async def room_answer(
    session: Session, room: Conversation, text: str, **more: Any
) -> Answer:
    """What was done in a room, once it has left this device or a moment has passed."""
    unsent = await session.sent(room)
    if unsent:
        text += f"\n{session.waits(unsent)}"
    return Answer(text, {"room": room_data(session, room), "unsent": unsent, **more})


async def new_room(session: Session, options: argparse.Namespace) -> Answer:
    """Begin a room with contacts."""
    contacts = [session.contacts.settled(name) for name in options.names]
    if options.direct and len(contacts) != 1:
        raise Refused("a room of two has one contact", "leave --direct out for a group", code=2)
    lifetime = Evaporation().lifetime if options.lifetime is None else options.lifetime
    rule = Evaporation(options.after_view, lifetime)
    rule.check()
    await session.catch_up()
    if len(contacts) == 1 and not options.group:
        room = await session.device.direct(contacts[0].card)
        if options.after_view is not None or options.lifetime is not None:
            session.rooms.set_defaults(room, options.after_view, options.lifetime)
    else:
        policy = Policy(Mode.SIGNED, evaporation=rule)
        room = await session.device.create_room([c.card for c in contacts], policy=policy)
    if options.title is not None:
        session.rooms.set_title(room, options.title)
    data = room_data(session, room)
    label = data["label"]
    said = _rule(data["after_view"], data["lifetime"])
    return await room_answer(
        session, room, f"Room {data['number']}: {label} ({said}). Begin: evanesce chat "
        f"{data['number'] if ' ' in label else label}",
    )  # fmt: skip


async def list_rooms(session: Session, options: argparse.Namespace) -> Answer:
    """List the rooms, with how much is unread."""
    await session.catch_up()
    unread = [found.arrived.room for found in await lying(session.device) if found.unread]
    rooms, lines = [], []
    for room in session.rooms.all():
        data = {**room_data(session, room), "unread": unread.count(room)}
        rooms.append(data)
        kind = "1:1" if room.direct else f"{data['members']} members"
        new = f", {data['unread']} unread" if data["unread"] else ""
        shut = "" if data["open"] else ", closed"
        back = way_back(session.rooms, room) if room.stale else ""
        if room.stale and not (room.closed or room.replaced):
            shut = ", an older copy: can only be read"
        lines.append(f"{data['number']:>3}  {data['label']}  ({kind}{new}{shut})  "
                     f"{data['id'][:8]}")  # fmt: skip
        lines += [f"     ! to speak there again: {back}"] if back else []
        lines += [f"     ! {name} asks to be let in anew" for name in data["asking"]]
    text = "\n".join(lines) or "No rooms yet: evanesce room new NAME"
    return Answer(text, {"rooms": rooms})


def person_data(session: Session, person: Person) -> dict[str, Any]:
    """A member as data."""
    return {
        "name": session.rooms.call(person), "calls_itself": person.name,
        "role": person.role.name.lower(), "member": person.member.hex(),
        "verified": session.contacts.verified(person),
    }  # fmt: skip


async def list_members(session: Session, options: argparse.Namespace) -> Answer:
    """List who is in a room."""
    await session.catch_up()
    room = session.rooms.get(options.room)
    asking = {person.member: person for person in room.resync_requests}
    people = [{**person_data(session, person), "asks_resync": person.member in asking}
              for person in room.members]  # fmt: skip
    lines = []
    for person in people:
        mark = "  ✓ verified" if person["verified"] else ""
        mark += "  ! asks to be let in anew" if person["asks_resync"] else ""
        lines.append(f"{person['name']}  {person['role']}{mark}  {person['member'][:8]}")
    lines += [f"To let {session.rooms.call(each)} in anew: {way_in(session.rooms, room, each)}"
              for each in asking.values()]  # fmt: skip
    return Answer("\n".join(lines), {"room": room_data(session, room), "members": people})


async def add_member(session: Session, options: argparse.Namespace) -> Answer:
    """Admit a contact."""
    contact = session.contacts.settled(options.name)
    await session.catch_up()
    room = session.rooms.get(options.room)
    await room.add(contact.card, role=Role[options.role.upper()])
    label = session.rooms.label(room)
    return await room_answer(session, room, f"{contact.name} is in {label} now, and reads "
                                            "nothing from before.")  # fmt: skip


async def remove_member(session: Session, options: argparse.Namespace) -> Answer:
    """Remove a member."""
    await session.catch_up()
    room = session.rooms.get(options.room)
    person = member_named(session.rooms, room, options.name)
    if session.rooms.is_me(person):
        raise Refused("nobody removes themselves", f"evanesce room leave {options.room}")
    name = session.rooms.call(person)
    await room.remove(person)
    label = session.rooms.label(room)
    said = f"{name} is out of {label}, and reads nothing from now on."
    return await room_answer(session, room, said)


async def leave(session: Session, options: argparse.Namespace) -> Answer:
    """Ask to be let out of a group."""
    await session.catch_up()
    room = session.rooms.get(options.room)
    await room.leave()
    label = session.rooms.label(room)
    return await room_answer(session, room, f"The others in {label} were asked to let you out: "
                                            "you are, once one of them is online.")  # fmt: skip


async def change_role(session: Session, options: argparse.Namespace) -> Answer:
    """Give a member another role."""
    await session.catch_up()
    room = session.rooms.get(options.room)
    person = member_named(session.rooms, room, options.name)
    await room.set_role(person, Role[options.role.upper()])
    name = session.rooms.call(person)
    verb = "are" if session.rooms.is_me(person) else "is"
    return await room_answer(session, room, f"{name} {verb} {options.role} now.")


async def set_title(session: Session, options: argparse.Namespace) -> Answer:
    """Give a room a title of one's own."""
    room = session.rooms.get(options.room)
    session.rooms.set_title(room, options.title)
    return Answer(f"Room {session.rooms.note(room).number} is called {options.title} here.",
                  {"room": room_data(session, room)})  # fmt: skip


async def state_size(session: Session, options: argparse.Namespace) -> Answer:
    """How much the state of each room takes; nothing of what is in it."""
    measured = await session.device.sizes()
    rooms, lines = [], []
    for room in session.rooms.all():
        size = measured.rooms[room.id]
        number, members = session.rooms.note(room).number, len(room.members)
        rooms.append({"number": number, "id": room.id.hex(), "members": members,
                      "records": size.records, "bytes": size.octets})  # fmt: skip
        lines.append(f"room {number}: {size.octets:,} bytes in {size.records} records, "
                     f"{members} members")  # fmt: skip
    rest = measured.rest
    records = rest.records + sum(size.records for size in measured.rooms.values())
    octets = rest.octets + sum(size.octets for size in measured.rooms.values())
    disk = session.home.disk_bytes()
    lines += [
        f"the device itself: {rest.octets:,} bytes in {rest.records} records",
        f"in all: {octets:,} bytes in {records} records; on disk {disk:,} bytes",
    ]
    return Answer("\n".join(lines), {
        "rooms": rooms, "device": {"records": rest.records, "bytes": rest.octets},
        "records": records, "bytes": octets, "disk_bytes": disk,
    })  # fmt: skip
