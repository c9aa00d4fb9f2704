"""The transparency report: sums over the ledger, signed (spec 22.8)."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ...errors import LocalError, Reason, RemoteError
from ...limits import HOUR, RETENTION, RETENTION_MIN
from ...primitives import sign, verify
from .categories import Tables
from .entries import Entry
from .holdings import held, not_held
from .ledger import Ledger, head_of
from .requests import Requests
from .signed_json import canonical, hexadecimal, parse_canonical, unsigned

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
            if body["again"] is not None:
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

    That a period which is over was reported is put into the ledger first: from then on nothing can
    be added to it that would count in that period, whatever the clock says.

    Raise `LocalError` (bad-input) for a period that has not begun, or a torn ledger (bad-store).
    """
    if period.start > hour:
        raise LocalError(Reason.BAD_INPUT, "the period has not begun")
    entries, torn = ledger.read()
    if torn:
        raise LocalError(
            Reason.BAD_STORE, "the ledger's last line is torn: `ledger verify --mend` first"
        )
    hour = max(hour, entries[-1].hour) if entries else hour
    # All of it must be a possible history, also what is past the period.
    if Requests(entries).reported < period.end <= hour:
        with ledger.writing(hour) as writer:
            if writer.requests.reported < period.end:  # else another process was quicker
                writer.add("reported", {"until": period.end})
        entries, _ = ledger.read()
        hour = max(hour, entries[-1].hour)
    counts, grounds = count(entries, period, hour)
    for key in tables.categories:
        counts.setdefault(key, Counts())
    order = list(tables.categories)
    keys = sorted(counts, key=lambda key: (key[0], order.index(key) if key in order else 999))
    value = _summed(entries, period, keys, made=hour, retention_hours=retention_hours,
                    operator=operator, public=ledger.public)  # fmt: skip
    value["labels"] = _labels(tables, counts, grounds)
    value["signature"] = sign(ledger.private, b"transparency report", unsigned(value)).hex()
    return value


def _summed(
    entries: Sequence[Entry], period: Period, keys: Sequence[Category], *, made: int,
    retention_hours: int, operator: str, public: bytes,
) -> dict[str, Any]:  # fmt: skip
    """All of a report that follows from the ledger and these values; rows in the order of `keys`.

    Neither labels nor signature.
    """
    counts, grounds = count(entries, period, made)
    totals = Counts()
    rows = []
    for key in keys:
        row = counts.get(key, Counts())
        totals.add(row)
        rows.append({"jurisdiction": key[0], "category": key[1], **asdict(row),
                     "grounds": grounds.get(key, {})})  # fmt: skip
    before = [entry for entry in entries if entry.hour < period.start]
    within = [entry for entry in entries if entry.hour < period.end]
    return {
        "type": TYPE,
        "version": VERSION,
        "operator": operator,
        "period": {
            "from": _named(period.first), "to": _named(period.last),
            "from_hour": period.start, "until_hour": period.end, "complete": made >= period.end,
        },
        "made": made,
        "rows": rows,
        "totals": asdict(totals),
        "retention_hours": retention_hours,
        "holdings": [each.value() for each in held()],
        "not_held": [each.value() for each in not_held()],
        "ledger": {**head_of(entries).value(),
                   "at_start_of_period": head_of(before).value(),
                   "at_end_of_period": head_of(within).value(),
                   "torn_lines": sum(entry.kind == "torn" for entry in entries),
                   "losses": sum(entry.kind == "lost" for entry in entries)},
        "key": public.hex(),
    }  # fmt: skip


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
    """Check a report that was given out against a ledger: signature, and all that it says.

    It is made anew from the ledger and compared. Not of the ledger are only the operator's text,
    the hour in which it was made, *R*, and the names of codes; the codes that are named are.
    Raise `RemoteError`: as for JSON, bad-signature, or bad-form where the two do not agree.
    """
    value = parse_canonical(data.removesuffix(b"\n"), MAX_REPORT)
    if not isinstance(value, dict) or value.get("type") != TYPE:
        raise RemoteError(Reason.BAD_FORM, "not a transparency report")
    signature = hexadecimal(value.get("signature"), 64)
    verify(public, signature, b"transparency report", unsigned(value))
    try:
        _compare(value, entries, public)
    except (KeyError, TypeError, ValueError, AttributeError, LocalError):
        # Whoever has the key can sign anything.
        raise RemoteError(Reason.BAD_FORM, "not of the form of a report") from None
    return value


def _compare(value: dict[str, Any], entries: Sequence[Entry], public: bytes) -> None:
    then = entries[: value["ledger"]["entries"]]
    if {**head_of(then).value()} != {key: value["ledger"][key] for key in ("entries", "head")}:
        raise RemoteError(Reason.BAD_FORM, "the ledger is not the one that was reported")
    period = Period.of(value["period"]["from"], value["period"]["to"])
    made, keys = value["made"], [(row["jurisdiction"], row["category"]) for row in value["rows"]]
    if not RETENTION_MIN <= value["retention_hours"] * HOUR <= RETENTION:
        raise RemoteError(Reason.BAD_FORM, "no relay keeps envelopes for so long")
    if made < period.start or (then and made < then[-1].hour):
        raise RemoteError(Reason.BAD_FORM, "made before the last entry of its ledger")
    if made >= period.end and Requests(then).reported < period.end:
        raise RemoteError(Reason.BAD_FORM, "the ledger does not say that this period was reported")
    counts, grounds = count(then, period, made)
    if not counts.keys() <= set(keys):
        raise RemoteError(Reason.BAD_FORM, "a category is missing")
    if len(keys) != len(set(keys)):
        raise RemoteError(Reason.BAD_FORM, "a category stands twice")
    expected = _summed(then, period, keys, made=made, retention_hours=value["retention_hours"],
                       operator=value["operator"], public=public)  # fmt: skip
    for row, own in zip(value["rows"], expected["rows"], strict=True):
        if canonical(row) != canonical(own):
            raise RemoteError(
                Reason.BAD_FORM,
                f"the numbers of {row['jurisdiction']} {row['category']} are others",
            )
    if value.keys() != {*expected, "labels", "signature"}:
        raise RemoteError(Reason.BAD_FORM, "not the fields of a report")
    for name in expected:
        if canonical(value[name]) != canonical(expected[name]):  # 1 is not true
            raise RemoteError(Reason.BAD_FORM, f"{name}: not as the ledger and this version say")
    named = {(place, code) for place, item in value["labels"]["jurisdictions"].items()
             for code in item["categories"]}  # fmt: skip
    used = {code for row in grounds.values() for code in row}
    if named != set(keys) or value["labels"]["grounds"].keys() != used:
        raise RemoteError(Reason.BAD_FORM, "labels: of other codes than those in the rows")
