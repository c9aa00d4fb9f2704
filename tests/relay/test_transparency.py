"""The transparency report: its numbers are sums over the ledger, and its page shows them."""

import datetime
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from html.parser import HTMLParser
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evanesce.errors import LocalError, RemoteError
from evanesce.primitives import sign
from evanesce.relay.disclosure.categories import load_tables
from evanesce.relay.disclosure.entries import Entry, LedgerTampered, make
from evanesce.relay.disclosure.holdings import held, not_held
from evanesce.relay.disclosure.labels import LABELS
from evanesce.relay.disclosure.ledger import Ledger, begin_anchor, head_of
from evanesce.relay.disclosure.page import as_page
from evanesce.relay.disclosure.report import (
    STATES,
    Counts,
    Period,
    check_report,
    count,
    make_report,
)
from evanesce.relay.disclosure.requests import Requests
from evanesce.relay.disclosure.signed_json import canonical, key_pair, unsigned

SEED = bytes(range(32))
PRIVATE, PUBLIC = key_pair(SEED)
SCHEMA = json.loads(
    resources("evanesce.relay.disclosure").joinpath("transparency-report.schema.json").read_text()
)
KR = ("subscriber_info", "communication_confirmation", "interception", "search_seizure")


def hour_of(year: int, month: int, day: int = 1, hour: int = 0) -> int:
    moment = datetime.datetime(year, month, day, hour, tzinfo=datetime.UTC)
    return int(moment.timestamp()) // 3600


JULY = hour_of(2026, 7, 4)
HALF = Period.of("2026-01", "2026-06")

# --- histories -----------------------------------------------------------------------------------


def history(source: Callable[[int], int], steps: int, start: int, most: int) -> list[Entry]:
    """A history of so many steps; `source(n)` chooses one of n. What cannot be is passed over."""
    entries: list[Entry] = []
    requests = Requests()
    hour = start
    for _ in range(steps):
        hour += source(most)
        number = len(requests.all)
        some = 1 + source(number) if number else 1
        flag = bool(source(2))
        untold = [entry for entry, (request, _) in requests.untold().items()
                  if request.number == some]  # fmt: skip
        again = [answer.entry for answer in requests.all[some].answers] if some <= number else []
        choices: list[tuple[str, dict[str, Any]]] = [
            ("received", {"jurisdiction": "KR", "category": KR[source(4)], "reference": None,
                          "accounts": 1 + source(5), "received": f"2026-02-{1 + source(27):02}"}),
            ("narrowed", {"accounts": 1 + source(3), "ground": "overbroad"}),
            ("rejected", {"ground": ("overbroad", "no_legal_basis")[source(2)]}),
            ("disclosed", {"subject": "ab" * 32, "document": "cd" * 32, "with_data": flag,
                           "with_envelopes": flag and bool(source(2)), "again": None}),
            ("gag_imposed", {"until": hour + 1 + source(3000)}),
            ("gag_extended", {"until": hour + 1 + source(6000)}),
            ("gag_lifted", {}),
            ("notified", {"entry": untold[0] if untold else 1, "delayed_hours": source(9)}),
            ("not_notified", {"entry": untold[0] if untold else 1}),
        ]  # fmt: skip
        kind, body = choices[(0, 0, 0, 1, 2, 3, 3, 3, 3, 4, 5, 6, 7, 7, 8)[source(15)]]
        if kind == "disclosed" and again and source(6) == 0:
            body["again"] = again[0]
        body["request"] = number + 1 if kind == "received" else some
        before = entries[-1].hash if entries else bytes(32)
        entry = make(PRIVATE, len(entries) + 1, before, hour, kind, body)
        try:
            requests.apply(entry)
        except LocalError:
            continue
        entries.append(entry)
    return entries


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    random = draw(st.randoms(use_true_random=False))
    steps = draw(st.integers(0, 60))
    return history(random.randrange, steps, hour_of(2025, 12, 20), draw(st.sampled_from([3, 200])))


def long_history() -> list[Entry]:
    import random

    return history(random.Random(12).randrange, 300, hour_of(2025, 12, 10), 30)


def received(number: int, accounts: int = 1) -> dict[str, Any]:
    return {"request": number, "jurisdiction": "KR", "category": "interception",
            "accounts": accounts, "received": "2026-01-15", "reference": None}  # fmt: skip


def begun(folder: Path) -> Ledger:
    begin_anchor(folder / "keys")
    return Ledger(folder / "ledger", folder / "keys", SEED)


def write(folder: Path, entries: list[Entry]) -> Ledger:
    ledger = begun(folder)
    for entry in entries:
        with ledger.writing(entry.hour) as writer:
            writer.add(entry.kind, entry.body)
    return ledger


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    folder = tmp_path_factory.mktemp("books")
    made = Ledger(folder / "ledger", folder / "keys", SEED)
    made.folder.mkdir()
    made.anchor.parent.mkdir()
    entries = long_history()
    made.path.write_bytes(b"".join(entry.line + b"\n" for entry in entries))
    made.anchor.write_bytes(canonical(head_of(entries).value()))
    assert len(made.read()[0]) == len(entries) > 150
    return made


def report_of(ledger: Ledger, period: Period = HALF, **more: Any) -> dict[str, Any]:
    return make_report(
        ledger, load_tables(ledger.folder), period, hour=more.pop("hour", JULY),
        retention_hours=72, **more,
    )  # fmt: skip


# --- the numbers ---------------------------------------------------------------------------------


def test_a_small_history_is_counted_by_hand(tmp_path: Path) -> None:
    """REQ-RELAY-26."""
    ledger = begun(tmp_path)

    def add(hour: int, kind: str, request: int, **body: Any) -> int:
        if kind == "received":
            body = {"jurisdiction": "KR", "reference": None, "received": "2026-01-15", **body}
        if kind == "disclosed":
            body = {"subject": "ab" * 32, "document": "cd" * 32, "with_envelopes": False,
                    "again": None, **body}  # fmt: skip
        with ledger.writing(hour) as writer:
            return writer.add(kind, {"request": request, **body}).sequence

    add(hour_of(2025, 12, 31, 23), "received", 1, category="search_seizure", accounts=2,
        received="2025-12-30")  # fmt: skip
    add(hour_of(2026, 1, 1), "received", 2, category="search_seizure", accounts=3,
        received="2025-12-31")  # fmt: skip
    add(hour_of(2026, 2), "received", 3, category="interception", accounts=1)
    add(hour_of(2026, 3), "rejected", 3, ground="no_legal_basis")
    add(hour_of(2026, 3), "narrowed", 2, accounts=2, ground="overbroad")
    add(hour_of(2026, 3), "narrowed", 2, accounts=1, ground="overbroad")
    add(hour_of(2026, 4), "gag_imposed", 1, until=hour_of(2026, 9))
    add(hour_of(2026, 4), "disclosed", 1, with_data=True, with_envelopes=True)
    first = add(hour_of(2026, 4), "disclosed", 1, with_data=False)
    add(hour_of(2026, 4), "disclosed", 1, with_data=True, again=first)
    entry = add(hour_of(2026, 5), "disclosed", 2, with_data=True)
    add(hour_of(2026, 5), "notified", 2, entry=entry, delayed_hours=0)
    add(hour_of(2026, 6, 30, 23), "received", 4, category="subscriber_info", accounts=9)
    add(hour_of(2026, 7, 1), "received", 5, category="subscriber_info", accounts=100)
    report = report_of(ledger)
    rows = {row["category"]: row for row in report["rows"]}
    expected = Counts(
        requests=1, received_earlier=1, accounts=3, answered=2, processed_with_data=2,
        processed_without_data=1, with_envelopes=1, repeated=1, narrowed=1, notified=1,
        gag_orders=1, pending_at_start=1, notices_pending=3, gags_in_force=1,
    )  # fmt: skip
    assert {name: rows["search_seizure"][name] for name in LABELS} == asdict(expected)
    expected = Counts(requests=1, accounts=1, rejected=1)
    assert {name: rows["interception"][name] for name in LABELS} == asdict(expected)
    assert rows["interception"]["grounds"] == {"no_legal_basis": 1}
    expected = Counts(requests=1, accounts=9, pending=1)
    assert {name: rows["subscriber_info"][name] for name in LABELS} == asdict(expected)
    assert list(rows) == list(KR)  # also what did not happen is said
    assert report["period"]["complete"] is True


@settings(max_examples=60, deadline=None)
@given(entries=histories(), split=st.integers(1, 5))
def test_two_periods_add_up_to_both_together(entries: list[Entry], split: int) -> None:
    """Half-open months: each entry counts once. REQ-RELAY-26."""
    first = count(entries, Period((2026, 1), (2026, split)), JULY)
    second = count(entries, Period((2026, split + 1), (2026, 6)), JULY)
    whole = count(entries, HALF, JULY)
    for key, row in whole[0].items():
        early, late = first[0].get(key, Counts()), second[0].get(key, Counts())
        for name in LABELS.keys() - {*STATES, "received_earlier"}:
            assert getattr(early, name) + getattr(late, name) == getattr(row, name), name
        assert early.pending == late.pending_at_start
        assert (early.pending_at_start, late.pending) == (row.pending_at_start, row.pending)
        assert late.notices_pending == row.notices_pending
        assert late.gags_in_force == row.gags_in_force
        both = Counter(first[1].get(key, {})) + Counter(second[1].get(key, {}))
        assert both == Counter(whole[1].get(key, {}))


@settings(max_examples=60, deadline=None)
@given(entries=histories())
def test_what_came_in_is_what_went_out_and_what_is_left(entries: list[Entry]) -> None:
    """REQ-RELAY-26."""
    counts, grounds = count(entries, HALF, JULY)
    for key, row in counts.items():
        came = row.pending_at_start + row.requests
        assert came == row.answered + row.rejected + row.pending
        assert sum(grounds.get(key, {}).values()) == row.rejected
        assert row.with_envelopes <= row.processed_with_data
        assert row.received_earlier <= row.requests <= row.accounts
    within = [entry for entry in entries if HALF.start <= entry.hour < HALF.end]
    for kind, name in (("received", "requests"), ("rejected", "rejected"), ("notified", "notified"),
                       ("gag_imposed", "gag_orders"), ("gag_lifted", "gags_lifted")):  # fmt: skip
        assert sum(getattr(row, name) for row in counts.values()) == sum(
            entry.kind == kind for entry in within
        )
    answers = sum(entry.kind == "disclosed" for entry in within)
    assert answers == sum(
        row.processed_with_data + row.processed_without_data + row.repeated
        for row in counts.values()
    )


@settings(max_examples=30, deadline=None)
@given(entries=histories())
def test_what_comes_later_changes_no_earlier_report(entries: list[Entry]) -> None:
    """REQ-RELAY-26."""
    within = [entry for entry in entries if entry.hour < HALF.end]
    assert count(within, HALF, JULY) == count(entries, HALF, JULY)


def test_totals_are_the_sums_of_the_rows(ledger: Ledger) -> None:
    report = report_of(ledger)
    for name, value in report["totals"].items():
        assert sum(row[name] for row in report["rows"]) == value
    assert report["totals"]["requests"] > 20
    assert all(report["totals"][name] > 0 for name in LABELS if name != "received_earlier")


@pytest.mark.parametrize(
    ("first", "last", "start", "end"),
    [
        ("2026-01", "2026-06", hour_of(2026, 1), hour_of(2026, 7)),
        ("2025-12", "2025-12", hour_of(2025, 12), hour_of(2026, 1)),
        ("2024-02", "2024-02", hour_of(2024, 2), hour_of(2024, 3)),
        ("2025-07", "2026-12", hour_of(2025, 7), hour_of(2027, 1)),
    ],
)
def test_a_period_is_whole_months(first: str, last: str, start: int, end: int) -> None:
    """REQ-RELAY-26."""
    period = Period.of(first, last)
    assert (period.start, period.end) == (start, end)


@pytest.mark.parametrize(
    ("first", "last"),
    [("2026-06", "2026-01"), ("2026-13", "2026-13"), ("2026-00", "2026-01"), ("2026", "2026"),
     ("2026-1", "2026-02"), ("1969-12", "2026-01"), ("2026-01-01", "2026-02")],
)  # fmt: skip
def test_what_is_no_period_is_refused(first: str, last: str) -> None:
    with pytest.raises(LocalError):
        Period.of(first, last)


def test_a_period_that_is_not_over_says_so(ledger: Ledger) -> None:
    report = report_of(ledger, Period.of("2026-01", "2026-12"))
    assert report["period"]["complete"] is False
    assert "preliminary" in as_page(report)
    with pytest.raises(LocalError, match="not begun"):
        report_of(ledger, Period.of("2026-08", "2026-12"))


# --- the schema, the signature, the ledger -------------------------------------------------------


def test_the_report_is_as_the_schema_says(ledger: Ledger, tmp_path: Path) -> None:
    """REQ-RELAY-26."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.validate(report_of(ledger, operator="운영자"))
    empty = begun(tmp_path)
    validator.validate(report_of(empty))
    assert list(report_of(empty)["totals"].values()) == [0] * len(LABELS)
    whole = report_of(ledger)
    for name, broken in (("totals", {}), ("more", 1), ("retention_hours", 73), ("rows", [{}])):
        assert not validator.is_valid({**whole, name: broken})
        assert validator.is_valid(whole)


def test_every_number_is_explained(ledger: Ledger) -> None:
    assert list(LABELS) == list(Counts.__slots__)
    described = SCHEMA["$defs"]["row"]["properties"]
    for name, said in LABELS.items():
        assert described[name]["title"] == f"{said.en} / {said.ko}"
        assert described[name]["description"].lower() == said.what.lower() + "."
        assert re.search("[가-힣]", said.ko)
        assert re.search("[가-힣]", said.what_ko)


def test_a_report_can_be_checked_against_the_ledger_as_it_grows(
    ledger: Ledger, tmp_path: Path
) -> None:
    """REQ-RELAY-21, REQ-RELAY-26."""
    growing = write(tmp_path, long_history()[:40])
    data = canonical(report_of(growing)) + b"\n"
    with growing.writing(JULY) as writer:
        for number in range(len(writer.requests.all) + 1, len(writer.requests.all) + 9):
            writer.add("received", received(number))
    entries, _ = growing.read()
    check_report(data, entries, PUBLIC)
    for wrong in (entries[:40], entries[:20], entries[1:], []):
        with pytest.raises(RemoteError):
            check_report(data, wrong, PUBLIC)
    with pytest.raises(RemoteError):
        check_report(data.replace(b'"rejected":', b'"rejectee":', 1), entries, PUBLIC)
    with pytest.raises(RemoteError):
        check_report(data, entries, key_pair(bytes(32))[1])


def test_a_report_with_other_numbers_is_noticed_though_signed(ledger: Ledger) -> None:
    """REQ-RELAY-21."""
    def signed(value: dict[str, Any]) -> bytes:
        value["signature"] = sign(PRIVATE, b"transparency report", unsigned(value)).hex()
        return canonical(value)

    entries, _ = ledger.read()
    check_report(signed(report_of(ledger)), entries, PUBLIC)
    changes: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
        (lambda report: report["rows"][0].update(requests=0), "are others"),
        (lambda report: report["rows"][0].update(note=1), "are others"),
        (lambda report: report["rows"].pop(0), "missing"),
        (lambda report: report["rows"].append(report["rows"][0]), "twice"),
        (lambda report: report["totals"].update(dict.fromkeys(LABELS, 0)), "totals"),
        (lambda report: report["ledger"].update(losses=1), "ledger:"),
        (lambda report: report["ledger"].update(torn_lines=1), "ledger:"),
        (lambda report: report["ledger"]["at_start_of_period"].update(entries=1), "ledger:"),
        (lambda report: report["ledger"]["at_end_of_period"].update(entries=1), "ledger:"),
        (lambda report: report["ledger"].update(entries=5), "not the one that was reported"),
        (lambda report: report["period"].update(complete=False), "period"),
        (lambda report: report["period"].update(until_hour=0), "period"),
        (lambda report: report["period"].update(to="2026-13"), "form"),
        (lambda report: report.update(made=HALF.start), "made before"),
        (lambda report: report.update(retention_hours=1), "so long"),
        (lambda report: report.update(retention_hours="72"), "form"),
        (lambda report: report.update(holdings=[]), "holdings"),
        (lambda report: report.update(not_held=[]), "not_held"),
        (lambda report: report.update(version=True), "version"),
        (lambda report: report.update(key="00" * 32), "key"),
        (lambda report: report.update(more=1), "fields"),
        (lambda report: report.pop("totals"), "fields"),
        (lambda report: report.pop("rows"), "form"),
        (lambda report: report["labels"]["jurisdictions"].clear(), "labels"),
        (lambda report: report["labels"]["grounds"].clear(), "labels"),
    ]
    for change, why in changes:
        report = report_of(ledger)
        change(report)
        with pytest.raises(RemoteError, match=why):
            check_report(signed(report), entries, PUBLIC)
    # What the operator writes is the operator's.
    check_report(signed({**report_of(ledger), "operator": "someone"}), entries, PUBLIC)


def test_what_is_written_after_a_report_is_in_the_next(tmp_path: Path) -> None:
    """REQ-RELAY-26: whatever the clock says, there is nothing that is in no report."""
    ledger = begun(tmp_path)
    with ledger.writing(HALF.end - 5) as writer:
        writer.add("received", received(1))
    first = report_of(ledger, hour=HALF.end)
    assert ledger.read()[0][-1].body == {"until": HALF.end}
    with ledger.writing(HALF.end - 1) as writer:  # the clock was set back
        writer.add("received", received(2, accounts=3))
        for _ in range(3):
            writer.add("disclosed", {"request": 2, "subject": "ab" * 32, "document": "cd" * 32,
                                     "with_data": True, "with_envelopes": False, "again": None,
                                     })  # fmt: skip
    second = report_of(ledger, Period.of("2026-07", "2026-12"), hour=hour_of(2027, 1))
    assert second["ledger"]["at_start_of_period"] == first["ledger"]["at_end_of_period"]
    totals = [report["totals"] for report in (first, second)]
    assert [each["accounts"] for each in totals] == [1, 3]
    assert [each["processed_with_data"] for each in totals] == [0, 3]
    assert totals[0]["pending"] == totals[1]["pending_at_start"] == 1
    entries, _ = ledger.read()
    for report in (first, second):
        check_report(canonical(report), entries, PUBLIC)
    # Made again, it adds nothing more; of a part that is over, nothing either.
    report_of(ledger, hour=hour_of(2027, 2))
    report_of(ledger, Period.of("2026-07", "2026-07"), hour=hour_of(2027, 2))
    assert ledger.read()[0] == entries


def test_a_whole_report_that_the_ledger_does_not_know_of_is_noticed(tmp_path: Path) -> None:
    """REQ-RELAY-26: else something could still be put before its end."""
    ledger = begun(tmp_path)
    with ledger.writing(HALF.end - 5) as writer:
        writer.add("received", received(1))
    before, _ = ledger.read()
    report = report_of(ledger, hour=HALF.end)
    report["ledger"].update(head_of(before).value())
    report["signature"] = sign(PRIVATE, b"transparency report", unsigned(report)).hex()
    with pytest.raises(RemoteError, match="does not say that this period was reported"):
        check_report(canonical(report), before, PUBLIC)


def test_a_report_of_a_period_that_is_not_over_binds_nothing(tmp_path: Path) -> None:
    """REQ-RELAY-26."""
    ledger = begun(tmp_path)
    with ledger.writing(HALF.end - 5) as writer:
        writer.add("received", received(1))
    report = report_of(ledger, hour=HALF.end - 1)
    entries, _ = ledger.read()
    assert [entry.kind for entry in entries] == ["received"]
    assert report["period"]["complete"] is False
    check_report(canonical(report), entries, PUBLIC)


def test_no_report_over_a_tampered_ledger(tmp_path: Path) -> None:
    """REQ-RELAY-21."""
    ledger = write(tmp_path, long_history()[:12])
    data = ledger.path.read_bytes()
    lines = data.splitlines(keepends=True)
    for tampered in (
        data.replace(b'"accounts":', b'"accounts":1', 1), b"".join(lines[:-1]), b"".join(lines[1:]),
        b"".join([*lines, lines[-1]]), b"",
    ):  # fmt: skip
        assert tampered != data
        ledger.path.write_bytes(tampered)
        with pytest.raises(LedgerTampered):
            report_of(ledger)
    ledger.path.write_bytes(data + b'{"torn')
    with pytest.raises(LocalError, match="torn"):
        report_of(ledger)
    ledger.path.write_bytes(data)
    assert report_of(ledger)["ledger"]["entries"] == 13
    assert report_of(ledger)["ledger"]["entries"] == 13  # it was reported already


def test_a_report_names_no_request_and_no_reference(ledger: Ledger) -> None:
    """REQ-RELAY-26."""
    text = canonical(report_of(ledger)).decode()
    assert "ab" * 32 not in text  # subjects
    assert '"request":' not in text
    assert '"reference"' not in text


# --- categories ----------------------------------------------------------------------------------


def test_the_categories_of_korea_are_known() -> None:
    """REQ-RELAY-20."""
    tables = load_tables()
    assert [code for place, code in tables.categories if place == "KR"] == list(KR)
    for code in KR:
        tables.check("KR", code)
        assert re.search("[가-힣]", tables.categories["KR", code].label.ko)
    tables.check_ground("overbroad")
    with pytest.raises(LocalError, match="known: communication_confirmation, interception"):
        tables.check("KR", "wiretap")
    with pytest.raises(LocalError, match="unknown jurisdiction 'US'; known: KR"):
        tables.check("US", "subpoena")
    with pytest.raises(LocalError, match="unknown ground"):
        tables.check_ground("because")


def test_an_operator_adds_others(tmp_path: Path) -> None:
    """REQ-RELAY-20."""
    subpoena = {"en": "Subpoena <script>", "law": "18 U.S.C. § 2703 \"&\""}
    place = {"name": {"en": "United States"}, "categories": {"subpoena": subpoena}}
    own = {"jurisdictions": {"US": place}}
    ledger = write(tmp_path, [])
    ledger.folder.mkdir()
    (ledger.folder / "categories.json").write_text(json.dumps(own))
    tables = load_tables(ledger.folder)
    tables.check("US", "subpoena")
    tables.check("KR", "interception")
    with ledger.writing(JULY) as writer:
        writer.add("received", {
            "request": 1, "jurisdiction": "US", "category": "subpoena",
            "accounts": 1, "received": "2026-07-01", "reference": None,
        })  # fmt: skip
    report = report_of(ledger, Period.of("2026-07", "2026-07"))
    jsonschema.validate(report, SCHEMA)
    assert [row["requests"] for row in report["rows"] if row["jurisdiction"] == "US"] == [1]
    page = as_page(report)
    assert "United States" in page
    assert "Subpoena &lt;script&gt;" in page
    (ledger.folder / "categories.json").unlink()  # a code that is not known any more is still told
    assert "subpoena" in as_page(report_of(ledger, Period.of("2026-07", "2026-07")))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"x":{}}', '{"jurisdictions":{"us":{"name":{"en":"U"},"categories":{}}}}',
     '{"jurisdictions":{"US":{"name":{"en":"U"}}}}', '{"grounds":{"a b":{"en":"x"}}}',
     '{"grounds":{"a":{"en":5}}}', '{"grounds":{"a":{"en":"x\\u0007"}}}'],
)  # fmt: skip
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "categories.json").write_text(text)
    with pytest.raises(LocalError, match="not a table"):
        load_tables(tmp_path)


# --- what is held --------------------------------------------------------------------------------


def test_the_list_of_holdings_is_that_of_the_specification() -> None:
    """REQ-RELAY-14."""
    text = (Path(__file__).parents[2] / "spec" / "22-relay.md").read_text("utf-8")
    section = text.split("## 22.7")[1].split("\n## ")[0]
    rows = [tuple(cell.strip().replace("`", "") for cell in line.strip("|").split("|"))
            for line in section.splitlines() if line.startswith("| `")]  # fmt: skip
    assert rows == [(each.field, each.form, each.kept, each.needed_to) for each in held()]
    assert len(rows) > 10
    korean = [*(each.ko for each in held()), *(each.ko for each in not_held())]
    assert all(re.search("[가-힣]", each) for each in korean)


# --- the page ------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What is in a page."""

    VOID = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.languages: Counter[str | None] = Counter()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        self.languages[dict(attrs).get("lang")] += 1
        if tag not in self.VOID:  # a rect that ends at once comes to `handle_startendtag`
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_stands_alone(ledger: Ledger) -> None:
    """Nothing is loaded, nothing runs. REQ-RELAY-26."""
    text = as_page(report_of(ledger))
    page = Page(text)
    assert page.open == []
    assert page.tags["svg"] >= 8
    forbidden = {"script", "link", "img", "iframe", "object", "embed", "form", "base", "a", "video"}
    assert not forbidden & page.tags.keys()
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert not {"src", "href", "style", "xlink:href", "action"} & names
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


def test_the_page_is_in_two_languages_and_shows_every_number(ledger: Ledger) -> None:
    """REQ-RELAY-26."""
    report = report_of(ledger)
    text = as_page(report)
    page = Page(text)
    shown = " ".join(page.text)
    assert page.languages["ko"] > 60
    for said in LABELS.values():
        assert said.en in shown
        assert said.ko in shown
    for label in report["labels"]["jurisdictions"]["KR"]["categories"].values():
        assert label["ko"] in shown
        assert label["en"] in shown
    for item in report["holdings"]:
        assert item["kept"] in shown
    assert report["ledger"]["head"] in shown
    assert report["signature"] in shown
    found = re.findall(r'<td class="n[^"]*">([0-9,]+)<', text)
    cells = [int(cell.replace(",", "")) for cell in found]
    for name in LABELS:
        values = [row[name] for row in report["rows"]]
        assert any(cells[at : at + 5] == [*values, sum(values)] for at in range(0, len(cells), 5))


def test_a_bar_is_as_long_as_its_number(ledger: Ledger) -> None:
    report = report_of(ledger)
    text = as_page(report)
    lines = re.findall(r'<svg role="img" aria-label="([^"]*)">(.*?)</svg>', text)
    assert len(lines) == 8
    longest = 0.0
    for spoken, drawn in lines:
        assert re.match(r"(Requests|Accounts): \d+\.", spoken)
        rects = re.findall(r'x="([0-9.]+)%" width="([0-9.]+)%"', drawn)
        end = 0.0
        for x, width in rects:
            assert float(x) == pytest.approx(end, abs=0.01)
            end = float(x) + float(width)
        longest = max(longest, end)
        assert end <= 100.01
    assert longest == pytest.approx(100, abs=0.01)


def test_what_an_operator_writes_is_text(tmp_path: Path) -> None:
    """REQ-RELAY-26."""
    ledger = begun(tmp_path)
    nasty = "</title><script>alert(1)</script>\"'&<img src=x onerror=y>"
    page = Page(as_page(report_of(ledger, operator=nasty)))
    assert not {"script", "img"} & page.tags.keys()
    assert page.open == []
    assert nasty in "".join(page.text)
