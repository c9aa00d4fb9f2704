"""The transparency report: sums over the ledger, signed (spec 22.8)."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ...errors import LocalError, Reason, RemoteError
from ...primitives import sign, verify
from .categories import Tables
from .entries import Entry
from .holdings import held, not_held
from .ledger import Ledger, head_of
from .requests import Requests
from .signed_json import hexadecimal, parse_canonical, unsigned

__all__ = ["Counts", "MAX_REPORT", "Month", "Period", "check_report", "count", "make_report"]

TYPE: Final = "evanesce transparency report"
VERSION: Final = 1
MAX_REPORT: Final = 4 * 1024 * 1024
_MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
Month = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Period:
    """Whole months, of UTC: from the first hour of one to the last of another."""

    first: Month
    last: Month

    @classmethod
    def of(cls, first: str, last: str) -> Period:
        """Of two texts like 2026-01. Raise `LocalError` (bad-input)."""
        months = []
        for text in (first, last):
            match = _MONTH.fullmatch(text)
            if match is None or int(match[1]) < 1970:
                raise LocalError(Reason.BAD_INPUT, f"not a month like 2026-01: {text!r}")
            months.append((int(match[1]), int(match[2])))
        if months[0] > months[1]:
            raise LocalError(Reason.BAD_INPUT, "the period ends before it begins")
        return cls(months[0], months[1])

    @property
    def start(self) -> int:
        """Its first hour."""
        return _hour(self.first)

    @property
    def end(self) -> int:
        """The first hour that is past it."""
        year, month = self.last
        return _hour((year + month // 12, month % 12 + 1))


def _named(month: Month) -> str:
    return f"{month[0]:04}-{month[1]:02}"


def _hour(month: Month) -> int:
    begin = datetime.datetime(*month, 1, tzinfo=datetime.UTC)
    return int(begin.timestamp()) // 3600


@dataclass(slots=True)
class Counts:
    """What is counted, of one category in one jurisdiction or of all. README of each: the schema.

    An entry counts in the period in which it was written, so each counts once, whatever date it
    bears. All but the five states are sums: those of two periods that follow each other add up.
    """

    requests: int = 0
    received_earlier: int = 0
    accounts: int = 0
    answered: int = 0
    processed_with_data: int = 0
    processed_without_data: int = 0
    with_envelopes: int = 0
    repeated: int = 0
    rejected: int = 0
    narrowed: int = 0
    notified: int = 0
    not_notifiable: int = 0
    gag_orders: int = 0
    gag_extensions: int = 0
    gags_lifted: int = 0
    # States: at the begin and the end of the period.
    pending_at_start: int = 0
    pending: int = 0
    notices_pending: int = 0
    gags_in_force: int = 0

    def add(self, other: Counts) -> None:
        """Add another's numbers."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


STATES: Final = ("pending_at_start", "pending", "notices_pending", "gags_in_force")
Category = tuple[str, str]


def count(
    entries: Sequence[Entry], period: Period, hour: int
) -> tuple[dict[Category, Counts], dict[Category, dict[str, int]]]:
    """What happened in the period, and the grounds of rejection, by jurisdiction and category.

    `hour`: the hour now, which may be within the period.
    """
    counts: dict[Category, Counts] = {}
    grounds: dict[Category, dict[str, int]] = {}
    requests = Requests()
    before = [entry for entry in entries if entry.hour < period.start]
    for entry in before:
        requests.apply(entry)
    _states(requests, counts, start=True, hour=period.start)
    for entry in entries[len(before) :]:
        if entry.hour >= period.end:
            break
        if "request" not in entry.body:
            continue
        known = requests.all.get(entry.body["request"])
        answered, narrowed = (known.answered, known.narrowed) if known else (False, False)
        requests.apply(entry)
        request = requests.get(entry.body["request"])
        key = (request.jurisdiction, request.category)
        row = counts.setdefault(key, Counts())
        _count(row, entry, period, answered=answered, narrowed=narrowed)
        if entry.kind == "rejected":
            why = grounds.setdefault(key, {})
            why[entry.body["ground"]] = why.get(entry.body["ground"], 0) + 1
    _states(requests, counts, start=False, hour=min(hour, period.end - 1))
    return counts, grounds


def _states(
    requests: Requests, counts: dict[Category, Counts], *, start: bool, hour: int
) -> None:
    for request in requests.all.values():
        row = counts.setdefault((request.jurisdiction, request.category), Counts())
        if start:
            row.pending_at_start += request.pending
        else:
            row.pending += request.pending
            row.notices_pending += sum(not answer.told for answer in request.answers)
            row.gags_in_force += request.gagged(hour)


def _count(row: Counts, entry: Entry, period: Period, *, answered: bool, narrowed: bool) -> None:
    body = entry.body
    match entry.kind:
        case "received":
            row.requests += 1
            row.accounts += body["accounts"]
            row.received_earlier += body["received"] < f"{_named(period.first)}-01"
        case "narrowed":
            row.narrowed += not narrowed
        case "rejected":
            row.rejected += 1
        case "disclosed":
            row.answered += not answered
            if body["again"]:
                row.repeated += 1
            elif body["with_data"]:
                row.processed_with_data += 1
                row.with_envelopes += body["with_envelopes"]
            else:
                row.processed_without_data += 1
        case "gag_imposed":
            row.gag_orders += 1
        case "gag_extended":
            row.gag_extensions += 1
        case "gag_lifted":
            row.gags_lifted += 1
        case "notified":
            row.notified += 1
        case "not_notified":
            row.not_notifiable += 1


def make_report(
    ledger: Ledger, tables: Tables, period: Period, *, hour: int, retention_hours: int,
    operator: str = "",
) -> dict[str, Any]:  # fmt: skip
    """A report, signed. `hour`: the hour now. Raise `LedgerTampered`, and nothing is told then.

    Raise `LocalError` (bad-input) for a period that has not begun, or a torn ledger (bad-store).
    """
    if period.start > hour:
        raise LocalError(Reason.BAD_INPUT, "the period has not begun")
    entries, torn = ledger.read()
    if torn:
        raise LocalError(
            Reason.BAD_STORE, "the ledger's last line is torn: `ledger verify --mend` first"
        )
    Requests(entries)  # all of it must be a possible history, also what is past the period
    counts, grounds = count(entries, period, hour)
    for key in tables.categories:
        counts.setdefault(key, Counts())
    totals = Counts()
    rows = []
    order = list(tables.categories)
    for key in sorted(counts, key=lambda key: (key[0], order.index(key) if key in order else 999)):
        totals.add(counts[key])
        rows.append({"jurisdiction": key[0], "category": key[1], **asdict(counts[key]),
                     "grounds": grounds.get(key, {})})  # fmt: skip
    within = [entry for entry in entries if entry.hour < period.end]
    value: dict[str, Any] = {
        "type": TYPE,
        "version": VERSION,
        "operator": operator,
        "period": {
            "from": _named(period.first), "to": _named(period.last),
            "from_hour": period.start, "until_hour": period.end, "complete": hour >= period.end,
        },
        "made": hour,
        "rows": rows,
        "totals": asdict(totals),
        "labels": _labels(tables, counts, grounds),
        "retention_hours": retention_hours,
        "holdings": [each.value() for each in held()],
        "not_held": [each.value() for each in not_held()],
        "ledger": {**head_of(entries).value(), "at_end_of_period": head_of(within).value(),
                   "torn_lines": sum(entry.kind == "torn" for entry in entries),
                   "losses": sum(entry.kind == "lost" for entry in entries)},
        "key": ledger.public.hex(),
    }  # fmt: skip
    value["signature"] = sign(ledger.private, b"transparency report", unsigned(value)).hex()
    return value


def _labels(
    tables: Tables, counts: dict[Category, Counts], grounds: dict[Category, dict[str, int]]
) -> dict[str, Any]:
    """The names of the codes that stand in the report; a code that has none is its own."""
    places: dict[str, Any] = {}
    for place, code in sorted(counts):
        name = tables.jurisdictions.get(place)
        category = tables.categories.get((place, code))
        where = places.setdefault(place, {
            "en": name.en if name else place, "ko": name.ko if name else place, "categories": {},
        })  # fmt: skip
        where["categories"][code] = {
            "en": category.label.en if category else code,
            "ko": category.label.ko if category else code,
            "law": category.law if category else "",
        }
    used = sorted({code for row in grounds.values() for code in row})
    why = {code: tables.grounds.get(code) for code in used}
    return {
        "jurisdictions": places,
        "grounds": {code: {"en": label.en, "ko": label.ko} if label else {"en": code, "ko": code}
                    for code, label in why.items()},
    }  # fmt: skip


def check_report(data: bytes, entries: Sequence[Entry], public: bytes) -> dict[str, Any]:
    """Check a report that was given out against a ledger: signature, head, and every number.

    Raise `RemoteError`: as for JSON, bad-signature, or bad-form where the two do not agree.
    """
    value = parse_canonical(data.removesuffix(b"\n"), MAX_REPORT)
    if not isinstance(value, dict) or value.get("type") != TYPE:
        raise RemoteError(Reason.BAD_FORM, "not a transparency report")
    signature = hexadecimal(value.get("signature"), 64)
    verify(public, signature, b"transparency report", unsigned(value))
    # The disclosure key has signed it: its form is that of `make_report`.
    then = entries[: value["ledger"]["entries"]]
    if {**head_of(then).value()} != {key: value["ledger"][key] for key in ("entries", "head")}:
        raise RemoteError(Reason.BAD_FORM, "the ledger is not the one that was reported")
    period = Period.of(value["period"]["from"], value["period"]["to"])
    counts, grounds = count(then, period, value["made"])
    for row in value["rows"]:
        key = (row["jurisdiction"], row["category"])
        expected = {**asdict(counts.pop(key, Counts())), "grounds": grounds.get(key, {})}
        if {name: row[name] for name in expected} != expected:
            raise RemoteError(Reason.BAD_FORM, f"the numbers of {' '.join(key)} are others")
    if counts:
        raise RemoteError(Reason.BAD_FORM, "a category is missing")
    return value
