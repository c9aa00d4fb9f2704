"""Records of a room that an earlier version has written can be read, and go on from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evanesce.content import Said
from evanesce.room import Room
from evanesce.room_formats import FORMAT
from evanesce.wire import decode
from tests.room.room_support import Person

FROZEN = Path(__file__).parent / "frozen"


def frozen(who: str) -> tuple[dict[bytes, bytes], dict[str, Any]]:
    held = json.loads((FROZEN / "format-1.json").read_text())
    return {bytes.fromhex(k): bytes.fromhex(v) for k, v in held[who].items()}, held


def said(room: Room, message: str, now: int) -> str | bytes:
    content = room.receive(bytes.fromhex(message), now).content
    assert isinstance(content, Said)
    return content.body


def test_a_room_of_format_1_goes_on_where_it_was() -> None:
    records, held = frozen("records")
    room = Room.restore(records)
    assert [member.resynced for member in room.roster] == [None] * 3
    assert said(room, held["messages"]["after"], held["now"]) == "after the upgrade"
    assert said(room, held["messages"]["late"], held["now"]) == "late"


def test_two_members_of_an_old_room_open_its_next_epoch() -> None:
    """Both compute the new form of the roster from the same old one."""
    records, held = frozen("records")
    junho, mina = Room.restore(records), Room.restore(frozen("mina")[0])
    person = Person("Junho")
    made = junho.commit(person.keys, [], [], held["now"], person.random)
    mina.apply(made.copies[mina.own_id], held["now"])
    assert mina.transcript == junho.transcript
    sent = junho.send(person.keys, Said("on we go", held["now"], junho.policy.evaporation),
                      held["now"], person.random)  # fmt: skip
    assert said(mina, sent.message.hex(), held["now"]) == "on we go"


def test_all_of_it_is_written_back_in_the_present_format() -> None:
    records, _ = frozen("records")
    room = Room.restore(records)
    changes = room.changes()
    assert set(changes) == set(records)
    present = {name: data for name, data in changes.items() if data is not None}
    assert decode(present[b"state"], limit=1 << 20)[0] == FORMAT
    again = Room.restore(present)
    assert not again.changes()
    assert again.digest() == room.digest()
