"""The transparency report as one page of HTML: nothing is loaded, nothing runs, light and dark."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from .holdings import held, not_held
from .labels import LABELS

__all__ = ["as_page"]

# What a bar consists of, in the order of its parts, with the class of each.
_OF_REQUESTS: Final = (("answered", "a"), ("rejected", "b"), ("pending", "c"))
_OF_ACCOUNTS: Final = (("processed_with_data", "d"), ("processed_without_data", "e"))
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_STYLE: Final = """
:root { color-scheme: light dark; --back: #fdfdfb; --text: #1d2126; --soft: #5c6570;
  --line: #d9dcd6; --card: #f3f4ef; --a: #2463a5; --b: #b4532a; --c: #8b929b; --d: #7a3f98;
  --e: #2c8a72; --track: #e6e8e2; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e6e8ea; --soft: #a2abb5;
  --line: #363c43; --card: #1c2024; --a: #6aa8e8; --b: #e98f64; --c: #88919b; --d: #c48be0;
  --e: #5cc4a9; --track: #2a2f35; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.25rem 1rem 3rem; max-width: 60rem; background: var(--back);
  color: var(--text); font: 1rem/1.5 system-ui, "Noto Sans KR", "Noto Sans CJK KR",
  "Apple SD Gothic Neo", "Malgun Gothic", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2.25rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
[lang=ko] { word-break: keep-all; }
h1 span, h2 span, h3 span { display: block; }
h1 [lang=ko], h2 [lang=ko], h3 [lang=ko] { color: var(--soft); font-weight: 500; font-size: .85em; }
p { margin: .4rem 0; max-width: 46rem; }
.soft, td small, dd, th [lang=ko], dt [lang=ko] { color: var(--soft); }
.two > [lang=ko], dd > [lang=ko], .law { display: block; }
dt [lang=ko], b > [lang=ko] { font-weight: 500; }
.notice { border-left: .25rem solid var(--b); padding: .25rem .75rem; background: var(--card); }
.sums { display: grid; grid-template-columns: repeat(2, 1fr); gap: .6rem; padding: 0;
  margin: 1rem 0; list-style: none; }
@media (min-width: 40rem) { .sums { grid-template-columns: repeat(4, 1fr); } }
.sums li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem .75rem; line-height: 1.3; font-size: .85rem; }
.sums b { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.sums span { display: block; }
.sums [lang=ko] { color: var(--soft); }
figure { margin: 0; }
.bar { margin: 0 0 1rem; }
.bar > p { margin: 0 0 .15rem; line-height: 1.35; }
.line { display: grid; grid-template-columns: 5.5rem 1fr 3.5rem; gap: .5rem; align-items: center;
  font-size: .8rem; line-height: 1.2; margin: .2rem 0; }
.line b { text-align: right; font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; height: 1.1rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; padding: 0; margin: .5rem 0 1.2rem;
  list-style: none; font-size: .85rem; }
.legend svg { display: inline-block; width: .8rem; height: .8rem; vertical-align: -.08rem;
  margin-right: .35rem; }
.a { fill: var(--a); } .b { fill: var(--b); } .c { fill: var(--c); } .d { fill: var(--d); }
.e { fill: var(--e); } .track { fill: var(--track); }
.letter { display: inline-block; min-width: 1.5em; text-align: center; border-radius: .3em;
  background: var(--track); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; line-height: 1.3; }
th, td { text-align: left; vertical-align: top; padding: .4rem .5rem;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
th small, td small { display: block; font-weight: 400; font-size: .95em; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.zero { color: var(--soft); }
dt { font-weight: 600; margin-top: .6rem; }
dd { margin: 0; }
code { font: .85em/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
@media (max-width: 36rem) { .list thead { display: none; }
  .list tr { display: block; padding: .4rem 0; border-bottom: 1px solid var(--line); }
  .list td { display: block; border: 0; padding: .05rem 0; } }
@media print { body { max-width: none; } h2 { break-after: avoid; } .bar { break-inside: avoid; } }
"""


def as_page(report: dict[str, Any]) -> str:
    """The page of a report (`make_report`)."""
    period = report["period"]
    operator = escape(report["operator"])
    title = f"Transparency report {period['from']} – {period['to']}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="referrer" content="no-referrer">',
        f"<title>{escape(title)}{f' · {operator}' if operator else ''}</title>",
        f"<style>{_STYLE}</style></head><body>",
        "<header>",
        f"<h1>{_both(title, '투명성 보고서 ' + period['from'] + ' ~ ' + period['to'])}</h1>",
        f"<p><b>{operator}</b></p>" if operator else "",
        f'<p class="soft">{_when(report)}</p>',
        *_caveats(report),
        "</header><main>",
        _sums(report["totals"]),
        *(part for place in report["labels"]["jurisdictions"] for part in _place(report, place)),
        *_meaning(),
        *_holdings(report),
        *_proof(report),
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _both(english: str, korean: str, tag: str = "span") -> str:
    """A text in both languages; equal ones stand once."""
    first = f'<{tag} lang="en">{escape(english)}</{tag}>'
    if english == korean:
        return first
    return f'{first} <{tag} lang="ko">{escape(korean)}</{tag}>'


def _day(hour: int) -> str:
    return datetime.datetime.fromtimestamp(hour * 3600, datetime.UTC).strftime("%Y-%m-%d %H:00 UTC")


def _when(report: dict[str, Any]) -> str:
    period = report["period"]
    return (
        f"{_day(period['from_hour'])} – {_day(period['until_hour'])}. "
        f'Made · <span lang="ko">작성</span> {_day(report["made"])}.'
    )


def _caveats(report: dict[str, Any]) -> Iterator[str]:
    if not report["period"]["complete"]:
        yield '<p class="notice two">' + _both(
            "The period is not over: these numbers are preliminary.",
            "기간이 아직 끝나지 않아 잠정 수치입니다.",
        ) + "</p>"  # fmt: skip
    if report["ledger"]["losses"]:
        yield '<p class="notice two">' + _both(
            f"The end of the ledger has been lost {report['ledger']['losses']} times: what was "
            "in it is missing here.",
            f"대장의 끝부분이 {report['ledger']['losses']}회 소실되어 그 내용이 빠져 있습니다.",
        ) + "</p>"  # fmt: skip


def _sums(totals: dict[str, int]) -> str:
    shown = ("requests", "accounts", "processed_with_data", "processed_without_data", "rejected",
             "narrowed", "notified", "gag_orders")  # fmt: skip
    items = (
        f"<li><b>{totals[name]:,}</b>{_both(LABELS[name].en, LABELS[name].ko)}</li>"
        for name in shown
    )
    return f'<ul class="sums">{"".join(items)}</ul>'


def _place(report: dict[str, Any], place: str) -> Iterator[str]:
    """A jurisdiction: its chart, and a table with every number."""
    labels = report["labels"]["jurisdictions"][place]
    rows = [row for row in report["rows"] if row["jurisdiction"] == place]
    letters = [_letter(index) for index in range(len(rows))]
    yield f"<section><h2>{_both(labels['en'], labels['ko'])}</h2>"
    yield _legend()
    yield '<p class="soft two">' + _both(
        "A bar of requests also has those that were pending when the period began.",
        "요청 막대에는 기간 시작 전부터 미처리 상태였던 요청도 포함됩니다.",
    ) + "</p>"  # fmt: skip
    yield "<figure>"
    most = max([1, *(max(_sum(row, _OF_REQUESTS), _sum(row, _OF_ACCOUNTS)) for row in rows)])
    for letter, row in zip(letters, rows, strict=True):
        said = labels["categories"][row["category"]]
        law = f'<small class="soft law">{escape(said["law"])}</small>' if said["law"] else ""
        yield f'<div class="bar"><p><span class="letter">{letter}</span> '
        yield f"<b>{_both(said['en'], said['ko'])}</b>{law}</p>"
        yield _line("Requests", "요청", row, _OF_REQUESTS, most)
        yield _line("Accounts", "계정", row, _OF_ACCOUNTS, most) + "</div>"
    yield "</figure>"
    yield from _table(rows, letters)
    yield from _grounds(report, rows)
    yield "</section>"


def _letter(index: int) -> str:
    return _LETTERS[index] if index < len(_LETTERS) else str(index + 1)


def _sum(row: dict[str, int], parts: tuple[tuple[str, str], ...]) -> int:
    return sum(row[name] for name, _ in parts)


def _line(
    english: str, korean: str, row: dict[str, int], parts: tuple[tuple[str, str], ...], most: int
) -> str:
    """One bar: as wide as the page, whatever that is, so its parts are in percent."""
    at = 0
    drawn = ['<rect class="track" width="100%" height="100%" rx="3"/>']
    said = []
    for name, kind in parts:
        value = row[name]
        if not value:
            continue
        said.append(f"{LABELS[name].en}: {value}")
        drawn.append(
            f'<rect class="{kind}" x="{100 * at / most:.3f}%" width="{100 * value / most:.3f}%" '
            f'height="100%"><title>{escape(said[-1])} · {escape(LABELS[name].ko)}</title></rect>'
        )
        at += value
    spoken = escape(f"{english}: {at}. {', '.join(said)}".rstrip(". ") + ".")
    return (
        f'<div class="line"><span>{english} <span lang="ko">{korean}</span></span>'
        f'<svg role="img" aria-label="{spoken}">{"".join(drawn)}</svg><b>{at:,}</b></div>'
    )


def _legend() -> str:
    items = (
        f'<li><svg aria-hidden="true"><rect class="{kind}" width="100%" height="100%" rx="2"/>'
        f"</svg>{_both(LABELS[name].en, LABELS[name].ko)}</li>"
        for name, kind in (*_OF_REQUESTS, *_OF_ACCOUNTS)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _table(rows: list[dict[str, Any]], letters: list[str]) -> Iterator[str]:
    yield '<div class="wide"><table><thead><tr><td></td>'
    yield "".join(f'<th class="n" scope="col">{letter}</th>' for letter in letters)
    yield '<th class="n" scope="col">Σ</th></tr></thead><tbody>'
    for name, said in LABELS.items():
        values = [row[name] for row in rows]
        cells = "".join(_cell(value) for value in [*values, sum(values)])
        yield f'<tr><th scope="row">{_both(said.en, said.ko, "small")}</th>{cells}</tr>'
    yield "</tbody></table></div>"


def _cell(value: int) -> str:
    return f'<td class="n{"" if value else " zero"}">{value:,}</td>'


def _grounds(report: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[str]:
    sums: dict[str, int] = {}
    for row in rows:
        for code, number in row["grounds"].items():
            sums[code] = sums.get(code, 0) + number
    if sums:
        yield f"<h3>{_both('Why requests were rejected', '거부 사유')}</h3>"
        yield '<table class="grounds"><tbody>'
        for code, number in sorted(sums.items()):
            said = report["labels"]["grounds"][code]
            yield f"<tr><td>{_both(said['en'], said['ko'])}</td>{_cell(number)}</tr>"
        yield "</tbody></table>"


def _meaning() -> Iterator[str]:
    yield f"<section><h2>{_both('What is counted', '집계 기준')}</h2>"
    yield '<p class="two">' + _both(
        "Each thing counts in the month, of UTC, in which it was written into the ledger. Pending "
        "requests at the start and new ones are as many as those answered, rejected and still "
        "pending.",
        "각 항목은 대장에 기록된 달(UTC 기준)에 집계합니다. 기간 초 미처리 요청과 새 요청의 합은 "
        "처리·거부·미처리 요청의 합과 같습니다.",
    ) + "</p><dl>"  # fmt: skip
    for said in LABELS.values():
        yield f"<dt>{_both(said.en, said.ko)}</dt><dd>{_both(said.what, said.what_ko)}</dd>"
    yield "</dl></section>"


def _holdings(report: dict[str, Any]) -> Iterator[str]:
    korean = {each.field: each.ko for each in held()}
    missing = {each.field: each.ko for each in not_held()}
    hours = report["retention_hours"]
    yield f"<section><h2>{_both('What is held, and how long', '보유 항목과 보유 기간')}</h2>"
    yield '<p class="two">' + _both(
        f"An envelope is erased when its receiver has it, and {hours} hours after the hour in "
        "which it came at the latest; then the key that sealed it is destroyed.",
        f"봉투는 수신 즉시 삭제되며, 늦어도 도착한 시각으로부터 {hours}시간 뒤 삭제되고 "
        "그 보관 키도 파기됩니다.",
    ) + "</p>"  # fmt: skip
    yield '<table class="list"><thead><tr><th>Field · <span lang="ko">항목</span></th>'
    yield '<th>Kept · <span lang="ko">기간</span></th><th>Needed to · <span lang="ko">목적</span>'
    yield "</th></tr></thead><tbody>"
    for item in report["holdings"]:
        yield (
            f"<tr><td><code>{escape(item['field'])}</code> {escape(item['form'])}"
            f'<small lang="ko">{escape(korean.get(item["field"], ""))}</small></td>'
            f"<td>{escape(item['kept'])}</td><td>{escape(item['needed_to'])}</td></tr>"
        )
    yield f"</tbody></table></section><section><h2>{_both('What is not held', '보유하지 않는 것')}"
    yield "</h2><dl>"
    for item in report["not_held"]:
        name = item["field"].replace("_", " ")
        yield f"<dt>{escape(name)}</dt><dd>{escape(item['why'])}"
        yield f'<span lang="ko">{escape(missing.get(item["field"], ""))}</span></dd>'
    yield "</dl></section>"


def _proof(report: dict[str, Any]) -> Iterator[str]:
    ledger = report["ledger"]
    yield f"<section><h2>{_both('How to check this', '검증 방법')}</h2>"
    yield '<p class="two">' + _both(
        "These numbers are sums over a ledger that only grows and in which every entry is bound to "
        "all before it. Whoever has an earlier report can see that nothing before it has changed.",
        "이 수치는 추가만 가능하고 모든 기록이 앞선 기록에 묶여 있는 대장의 합계입니다. 이전 "
        "보고서가 있으면 그 이전 기록이 바뀌지 않았음을 확인할 수 있습니다.",
    ) + "</p><dl>"  # fmt: skip
    for name, korean, value in (
        ("Entries of the ledger", "대장 기록 수", f"{ledger['entries']:,}"),
        ("Torn lines", "손상된 줄", f"{ledger['torn_lines']:,}"),
        ("Losses", "소실 횟수", f"{ledger['losses']:,}"),
        ("Head of the ledger", "대장 최종 해시", ledger["head"]),
        ("Head at the begin: that at the end of the report before",
         "기간 초 해시 (이전 보고서의 기간 말 해시와 같음)",
         ledger["at_start_of_period"]["head"]),
        ("Head at the end of the period", "기간 말 해시", ledger["at_end_of_period"]["head"]),
        ("Key", "서명 키", report["key"]),
        ("Signature of the report as JSON", "JSON 보고서의 서명", report["signature"]),
    ):
        yield f"<dt>{_both(name, korean)}</dt><dd><code>{escape(value)}</code></dd>"
    yield "</dl></section>"
