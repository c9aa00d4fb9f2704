"""Groups from the command line, and the names by which rooms and members are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.cli_support import Person, people


@pytest.fixture
def three(tmp_path: Path) -> list[Person]:
    """Mina has a group with Junho; Sora is known to both and not in it."""
    made = people(tmp_path, "Mina", "Junho", "Sora")
    made[0].does("room", "new", "--group", "Junho", "--title", "주말 여행", "--after-view", "1m")
    return made


def test_who_joins_reads_nothing_from_before_and_who_is_removed_nothing_after(
    three: list[Person],
) -> None:
    mina, junho, sora = three
    joined = junho.tells("room", "list")
    assert "Mina has added you" in joined["notices"][0]["text"]
    mina.does("send", "주말 여행", "one")
    mina.does("room", "add", "주말 여행", "Sora")
    mina.does("send", "주말 여행", "two")
    assert set(junho.texts()) == {"one", "two"}
    assert sora.texts() == ["two"]
    removed = mina.does("room", "remove", "주말 여행", "Junho")
    assert "Junho is out" in removed
    mina.does("send", "주말 여행", "three")
    told = junho.tells("read")
    assert told["messages"] == []
    assert any("Mina has removed you" in notice["text"] for notice in told["notices"])
    assert sora.texts() == ["three"]
    refused = junho.run("send", "1", "am I still here?")
    assert refused.code == 1
    assert "closed to you" in refused.err
    assert not junho.tells("room", "list")["rooms"][0]["open"]


def test_the_rules_of_a_group_bind_everyone(three: list[Person]) -> None:
    _, junho, _ = three
    (room,) = junho.tells("room", "list")["rooms"]
    assert room["after_view"] == 60
    assert room["label"] == "group of Mina"


def test_roles_are_given_and_kept_to(three: list[Person]) -> None:
    mina, junho, _ = three
    junho.does("read")
    refused = junho.run("room", "add", "1", "Sora")
    assert refused.code == 1
    assert "your role" in refused.err
    assert "members" in refused.err
    mina.does("room", "role", "1", "Junho", "admin")
    listed = junho.tells("room", "members", "1")
    assert {p["name"]: p["role"] for p in listed["members"]} == {"Mina": "owner", "you": "admin"}
    assert "has made you admin" in listed["notices"][0]["text"]
    junho.does("room", "add", "1", "Sora")
    assert {p["name"] for p in mina.tells("room", "members", "1")["members"]} == {
        "you", "Junho", "Sora",
    }  # fmt: skip


def test_who_asks_to_leave_is_let_out(three: list[Person]) -> None:
    mina, junho, _ = three
    assert "one of them is online" in junho.does("room", "leave", "1")
    mina.does("room", "list")
    assert len(mina.tells("room", "members", "1")["members"]) == 1
    told = junho.tells("read")["notices"]
    assert any("Mina has removed you" in notice["text"] for notice in told)


def test_a_room_of_two_admits_nobody_and_is_not_left(three: list[Person]) -> None:
    mina, _, _ = three
    mina.does("room", "new", "Junho")
    for command in (("add", "Junho", "Sora"), ("leave", "Junho"), ("remove", "Junho", "Junho")):
        refused = mina.run("room", *command)
        assert refused.code == 1
        assert "a room of two" in refused.err
        assert "--group" in refused.err


def test_a_room_is_found_by_title_number_contact_and_start_of_id(three: list[Person]) -> None:
    mina, _, _ = three
    group = mina.tells("room", "list")["rooms"][0]["id"]
    direct = mina.tells("room", "new", "Junho")["room"]["id"]
    for name, room in (("주말 여행", group), ("1", group), (group[:6], group), ("junho", direct),
                       ("2", direct), (direct, direct)):  # fmt: skip
        assert mina.tells("room", "members", name)["room"]["id"] == room
    for wrong in ("3", group[:3], "Sora", "zzzz"):
        refused = mina.run("room", "members", wrong)
        assert refused.code == 1
        assert "your rooms: 1 주말 여행" in refused.err
    mina.does("room", "title", "2", "J")
    assert mina.tells("room", "members", "j")["room"]["id"] == direct
    for title in ("주말 여행", "Sora", "7", "", "-x", "a\x1b[2Jb"):
        assert mina.run("room", "title", "2", "--", title).code in (1, 2), title


def test_a_member_is_found_by_name_and_id_and_strangers_keep_a_tilde(
    three: list[Person],
) -> None:
    mina, junho, sora = three
    junho.does("contacts", "remove", "Mina")
    junho.does("read")
    members = junho.tells("room", "members", "1")["members"]
    assert {p["name"] for p in members} == {"you", "~Mina"}
    refused = junho.run("room", "role", "1", "Sora", "admin")
    assert "nobody in this room" in refused.err
    theirs = next(p["member"] for p in members if p["name"] == "~Mina")
    for name in ("Mina", "~mina", theirs[:8]):
        assert "your role" in junho.run("room", "role", "1", name, "member").err
    sora.does("room", "new", "--group", "Mina", "Junho")
    mina.does("read")  # only who has been there is known by a name
    assert "~Mina" in junho.does("room", "members", "2")
