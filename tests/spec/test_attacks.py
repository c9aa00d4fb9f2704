"""The chapter of attacks is what its data gives, and names only what exists and is run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from spec.attacks import (
    STATUS,
    Places,
    Row,
    Vector,
    anchors,
    broken_links,
    collected,
    faults,
    known,
    load,
    main,
    page,
    refused_for,
    requirements,
    row,
)

PLACES = Places()
ROWS = load(PLACES.data)
KNOWN = known(PLACES)
PAGE = PLACES.page.read_text("utf-8")


def test_nothing_that_is_named_is_missing() -> None:
    assert faults(ROWS, KNOWN) == []


def test_the_chapter_is_what_would_be_made() -> None:
    assert page(ROWS, KNOWN) == PAGE


def test_its_links_lead_somewhere() -> None:
    assert broken_links(PAGE, PLACES.page) == []
    linked = set(re.findall(r"\]\(([^)#]+)", PAGE))
    some = {"10-epoch.md", "../tests/room/test_commits.py", "../vectors/v1/room.json"}
    assert linked.issuperset(some)


def test_no_attack_was_left_out() -> None:
    """34 were known when the protocol was designed; their numbers are those of 16.3."""
    assert [each.number for each in ROWS] == [*range(1, len(ROWS) + 1)]
    assert len(ROWS) >= 34
    assert {each.status for each in ROWS} <= STATUS.keys()
    told = dict(re.findall(r"^\| (\d+) \| (.*?) \|", (PLACES.spec / "16-threat-model.md").read_text(
        "utf-8"), re.MULTILINE))  # fmt: skip
    assert told.keys() <= {str(each.number) for each in ROWS}


def test_each_one_is_told_in_whole_sentences() -> None:
    for each in ROWS:
        for text in (each.attack, each.requirement, each.answer, each.open):
            assert re.search(r"[.)\"]$", text), f"row {each.number}: {text[-40:]!r}"
            assert "|" not in text
    prose = [block for block in PAGE.split("\n\n") if block[0] not in "#|-"]
    assert len(prose) == 4 * len(ROWS) + 2  # and the two above the table
    begins = [line for block in prose for line in block.splitlines()
              if re.match(r"[-+>#|]|\* |\d+[.)] ", line)]  # fmt: skip
    assert begins == [], "a line of text begins as a list or heading does"


def test_the_list_of_chapters_names_it() -> None:
    assert "[23 Attacks](23-attacks.md)" in (PLACES.spec / "README.md").read_text("utf-8")


# --- what the checks see -------------------------------------------------------------------------

GOOD = next(each for each in ROWS if each.vectors and each.vectors[0].reason)


def changed(**changes: Any) -> list[str]:
    """The faults of a good row after a change."""
    assert faults([GOOD], KNOWN) == []
    return faults([GOOD._replace(**changes)], KNOWN)


def test_what_does_not_exist_is_found() -> None:
    nothing = "REQ-" + "NONE-01"
    assert changed(requirements=[*GOOD.requirements, nothing]) == [
        f"row {GOOD.number}: {nothing} is not defined"
    ]
    assert changed(answer=f"As {nothing} says.") == [f"row {GOOD.number}: {nothing} is not defined"]
    assert len(changed(tests=["room/test_commits.py::test_of_nothing"])) == 1
    assert len(changed(tests=["room/test_nothing.py::test_remove"])) == 1
    vector = GOOD.vectors[0]
    assert len(changed(vectors=[*GOOD.vectors, vector._replace(case="no-such-case")])) == 1
    assert len(changed(vectors=[*GOOD.vectors, vector._replace(file="aead.json")])) == 1


def test_what_is_too_little_is_found() -> None:
    assert f"row {GOOD.number}: no requirement" in changed(requirements=[])
    assert changed(tests=[]) == [f"row {GOOD.number}: no test"]
    one_of_both = f"row {GOOD.number}: a vector that is refused, or why there is none: one of both"
    assert changed(vectors=[]) == [one_of_both]
    assert changed(unseen="it cannot be seen") == [one_of_both]
    assert changed(vectors=[], unseen="it cannot be seen") == []
    assert changed(status="done") == [f"row {GOOD.number}: done is no status"]
    test = GOOD.tests[0]
    assert changed(tests=[test, test]) == [f"row {GOOD.number}: {test} is named twice"]
    assert faults([GOOD, GOOD], KNOWN) == [f"the title {GOOD.title!r} comes twice"]


def test_a_vector_has_to_be_refused_for_its_reason_and_to_concern_the_row() -> None:
    vector = GOOD.vectors[0]
    (fault,) = changed(vectors=[vector._replace(reason="bad-padding")])
    assert fault.endswith("refuses nothing for bad-padding")
    (fault,) = changed(vectors=[*GOOD.vectors, vector._replace(reason="")])
    assert fault.endswith("is refused: name the reason")
    (fault,) = changed(vectors=[*GOOD.vectors, Vector("dh.json", "dh-key-zero", "bad-key")])
    assert "dh-key-zero cites no requirement of the row" in fault
    assert faults([GOOD._replace(vectors=[Vector("chain.json", "chain-step-0", "")])], KNOWN) != []


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        (None, {"replay"}),
        ({"outcomes": ["bad-count", "00ff"]}, {"replay", "bad-count", "00ff"}),
        ([{"outcome": "rejected", "reason": "fork"}], {"replay", "fork"}),
        ([{"results": [{"outcomes": [None, "mailbox-full"]}]}], {"replay", "mailbox-full"}),
        ({"name": "not-entitled"}, {"replay"}),
    ],
)
def test_a_reason_is_that_of_a_case_or_of_a_step_in_it(out: object, expected: set[str]) -> None:
    case = json.loads(json.dumps({"out": out, "reason": "replay", "result": "invalid"}))
    assert refused_for(case) == expected
    assert refused_for(case | {"reason": None, "result": "valid"}) == expected - {"replay"}


def test_a_test_that_is_not_run_is_none() -> None:
    text = '''
import pytest
def test_run(): ...
async def test_run_too(): ...
@pytest.mark.parametrize("n", [1])
def test_run_often(n): ...
@pytest.mark.skip
def test_skipped(): ...
@pytest.mark.skipif(True, reason="x")
def test_skipped_here(): ...
@pytest.mark.xfail(strict=True)
def test_expected_to_fail(): ...
def helper():
    def test_within(): ...
'''
    assert [*collected(text)] == ["test_run", "test_run_too", "test_run_often"]


def test_links_into_nothing_are_found(tmp_path: Path) -> None:
    other = "# A b\n\n## `c` d, e\n\n## A b\n\n```\n# no\n```\n"
    (tmp_path / "other.md").write_text(other, "utf-8")
    text = "# Here\n\n[1](other.md) [2](other.md#a-b) [3](other.md#c-d-e) [4](#here)"
    text += " [5](other.md#a-b-1)"
    assert broken_links(text, tmp_path / "page.md") == []
    for bad in ("none.md", "other.md#c-d", "#there", "other.md#no", "other.md#a-b-2", "../none"):
        (fault,) = broken_links(f"{text} [6]({bad}) [7](https://example.org/{bad})",
                                tmp_path / "page.md")  # fmt: skip
        assert fault.startswith(f"{bad}: there is no such ")


def test_headings_are_linked_as_they_are_rendered() -> None:
    found = anchors("# 10. Epochs\n\n## 10.11 Direct rooms: turns\n\n### Two rooms at once\n")
    assert found == {"10-epochs", "1011-direct-rooms-turns", "two-rooms-at-once"}
    assert requirements(PLACES.spec)["REQ-DIR-08"] == ("10-epoch.md", "two-rooms-at-once")


def test_a_row_that_is_not_whole_is_refused() -> None:
    told: dict[str, Any] = {
        "number": 1, "title": "t", "attack": "a.", "had_by": "h", "requirement": "r.",
        "answer": "b.", "open": "o.", "status": "answered", "tests": ["x::y"], "requirements": [],
        "vectors": ["f.json::case", "f.json::other::replay"],
    }  # fmt: skip
    good = row(1, told)
    assert isinstance(good, Row)
    assert good.vectors == [Vector("f.json", "case", ""), Vector("f.json", "other", "replay")]
    assert good.unseen == ""
    for change in ({"attack": " "}, {"open": 1}, {"tests": "x"}, {"vectors": [1]}, {"more": ""},
                   {"number": 2}, {"status": None}):  # fmt: skip
        with pytest.raises(ValueError, match="row 1"):
            row(1, told | change)


def test_the_command_compares_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("spec.attacks.known", lambda places: KNOWN)
    assert main(["--check"]) == 0
    elsewhere = PLACES._replace(page=tmp_path / "spec" / "23-attacks.md")
    monkeypatch.setattr("spec.attacks.Places", lambda: elsewhere)
    elsewhere.page.parent.mkdir()
    assert main(["--check"]) == 1
    assert "23-attacks.md is not what would be made" in capsys.readouterr().out
    assert main([]) == 1, "from there its links lead nowhere"
    assert elsewhere.page.read_text("utf-8") == PAGE
    assert "there is no such file" in capsys.readouterr().out
