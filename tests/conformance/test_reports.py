"""Reports are well formed, the same each time, and nothing in them acts."""

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from evanesce.conformance.report import FORMATS, as_data, write_reports
from evanesce.conformance.runner import Run
from evanesce.conformance.text import RunError
from evanesce.conformance.vectors import Vectors
from tests.conformance.conformance_support import (
    UNKNOWN,
    case,
    invalid,
    run,
    session,
    write_vectors,
)

VOID = {"meta", "input", "br", "link", "img", "hr"}


class Page(HTMLParser):
    """Checks that tags are balanced; collects tags, attributes, texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.raw: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"script", "style"}:
            self.raw[self.open[-1]] = data
        else:
            self.texts.append(data)


@pytest.fixture
def hostile(tmp_path: Path) -> Run:
    """A run with every status but `not-run`, from a harness that says the worst."""
    files = {
        "hash.json": [case("good"), case("bad"), invalid("bad-reason", spec=[UNKNOWN])],
        "session.json": [session("a-session"), case("else", op="kdf")],
    }
    vectors = write_vectors(tmp_path, files)
    return run(vectors, "hostile", expected=frozenset({"a-session", "bad-reason"}))


def made(run_made: Run, name: str, **options: Any) -> str:
    return FORMATS[name](as_data(run_made, **options))


@pytest.mark.parametrize("name", FORMATS)
def test_equal_runs_make_equal_reports(small: Vectors, name: str) -> None:
    first, second = (made(run(small, "crash"), name) for _ in range(2))
    assert first == second
    dated = made(run(small, "crash"), name, date="2031-01-31")
    assert "2031-01-31" in dated


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("behaviour", ["hostile", "crash", "error", "garbage", "hostile name"])
def test_nothing_that_a_harness_says_is_left_as_markup(
    small: Vectors, name: str, behaviour: str
) -> None:
    text = made(run(small, behaviour), name)
    text.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
    if name == "json":
        return
    blocks = re.sub(r"(?ms)^(`{3,})text$.*?^\1$", "", text) if name == "markdown" else text
    script = "<script>alert" if name == "html" else "<script"
    for markup in (script, "<img", "<b>bold", "<i>"):
        assert markup not in blocks


def test_the_json_report(hostile: Run) -> None:
    report = json.loads(made(hostile, "json"))
    assert report["report"] == 1
    assert report["ok"] is False
    assert report["counts"] == {
        "failed": 1, "unexpected-pass": 1, "expected-failure": 1, "passed": 1, "skipped": 0,
        "not-offered": 1, "not-run": 0,
    }  # fmt: skip
    assert "seconds" not in report["cases"][0]
    by_id = {each["id"]: each for each in report["cases"]}
    assert by_id["bad"]["kind"] == "wrong"
    assert by_id["bad"]["differences"][0]["path"] == "ok.output"
    assert json.loads(by_id["bad"]["request"])["op"] == "hash"
    assert by_id["bad-reason"]["parent"] == "good"
    timed = json.loads(FORMATS["json"](as_data(hostile, times=True)))
    assert timed["cases"][0]["seconds"] > 0


def test_the_junit_report(hostile: Run) -> None:
    root = ET.fromstring(made(hostile, "junit"))
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["hash", "session"]
    assert root.get("tests") == "5"
    assert root.get("failures") == "2"
    assert root.get("skipped") == "2"
    (failed,) = [each for each in root.iter("testcase") if each.get("name") == "bad"]
    failure = failed.find("failure")
    assert failure is not None
    assert failure.get("message") == "ok.output is missing"
    assert "</pre>" in (failure.text or "")


def test_junit_tells_a_crash_as_an_error(small: Vectors) -> None:
    root = ET.fromstring(made(run(small, "crash"), "junit"))
    assert (root.get("failures"), root.get("errors")) == ("0", "1")
    (error,) = root.iter("error")
    assert error.get("type") == "died"
    assert [each.text for each in root.iter("system-err")] == [
        "about to fall \\u{1b}[31mred\\u{1b}[0m <b>bold</b>\n"
    ]


def test_the_markdown_report(hostile: Run) -> None:
    text = made(hostile, "markdown")
    assert "| hash | 1 | 1 | 1 | 0 | 0 |" in text
    assert "| **all** | 1 | 2 | 1 | 0 | 1 |" in text
    assert "### bad\n" in text
    assert "ok.output\n  expected" in text


def test_a_fence_in_markdown_cannot_be_ended_from_within(small: Vectors) -> None:
    made_run = run(small, "crash")
    data = as_data(made_run)
    data["cases"][1]["stderr"] = "```\n# not a heading\n````"
    lines = FORMATS["markdown"](data).splitlines()
    start = lines.index("`````text")
    assert lines.index("`````") > lines.index("# not a heading") > start


def test_the_page_is_whole_and_needs_nothing_else(hostile: Run) -> None:
    text = made(hostile, "html")
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        assert "src" not in attributes
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    for part in (page.raw["style"], page.raw["script"]):
        assert "http" not in part
        assert "url(" not in part
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"] for t, a in page.tags if t == "a" and "href" in a}
    assert {str(target)[1:] for target in targets} <= set(ids)


def test_only_the_page_s_own_style_and_script_may_act(hostile: Run) -> None:
    page = Page(made(hostile, "html"))
    (policy,) = [a["content"] for _, a in page.tags if "http-equiv" in a]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    for part in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.raw[part].encode()).digest()).decode()
        assert f"{part}-src 'sha256-{digest}'" in policy
        assert sum(tag == part for tag, _ in page.tags) == 1


def test_the_page_can_be_read_without_its_script(hostile: Run) -> None:
    page = Page(made(hostile, "html"))
    # What only the script can work is hidden until it runs; all the rest is there.
    hidden = [attributes.get("id") for _, attributes in page.tags if "hidden" in attributes]
    assert hidden == ["filter"]
    texts = "".join(page.texts)
    for told in ("the case bad", "a bit is flipped", "</pre><img src=https://x.example>",
                 "Encoding", UNKNOWN):  # fmt: skip
        assert told in texts
    rows = [a for _, a in page.tags if "case" in (a.get("class") or "").split()]
    assert [a["data-status"] for a in rows] == [
        "failed", "unexpected-pass", "expected-failure", "not-offered", "passed",
    ]  # fmt: skip


def test_what_scrolls_in_the_page_can_be_reached_by_the_keyboard(hostile: Run) -> None:
    page = Page(made(hostile, "html"))
    boxes = [a for t, a in page.tags if t == "pre" or a.get("class") == "scroll"]
    assert boxes
    for attributes in boxes:
        assert attributes["tabindex"] == "0"
        assert attributes.get("aria-label") or attributes.get("aria-labelledby")


def test_a_report_is_written_wholly_or_not_at_all(small: Vectors, tmp_path: Path) -> None:
    made_run = run(small, "right")
    path = tmp_path / "out" / "report.json"
    with pytest.raises(RunError):
        write_reports(made_run, {"json": path})
    path.parent.mkdir()
    write_reports(made_run, {"json": path})
    assert [each.name for each in path.parent.iterdir()] == ["report.json"]
    assert json.loads(path.read_text())["ok"] is True
