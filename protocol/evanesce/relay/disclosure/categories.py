"""Which requests there are in which jurisdiction, and why one may be rejected: tables, not code.

The operator's own file `categories.json` in the folder of the ledger has the same shape as the one
here, and adds to it: `{"jurisdictions": {"XX": {"name": {"en": …, "ko": …}, "categories":
{"code": {"en": …, "ko": …, "law": …}}}}, "grounds": {"code": {"en": …, "ko": …}}}`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from typing import Any, Final

from ...errors import LocalError, Reason

__all__ = ["Category", "Label", "Tables", "load_tables"]

FILE: Final = "categories.json"
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_JURISDICTION: Final = re.compile(r"[A-Z][A-Z0-9-]{1,15}")
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Label:
    """A name in two languages."""

    en: str
    ko: str


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of request; `law` says where it comes from, and may be empty."""

    label: Label
    law: str


@dataclass(frozen=True, slots=True)
class Tables:
    """What is known."""

    jurisdictions: dict[str, Label]
    categories: dict[tuple[str, str], Category]
    grounds: dict[str, Label]

    def check(self, jurisdiction: str, category: str) -> None:
        """Raise `LocalError` (bad-input), naming what there is, for an unknown one."""
        if jurisdiction not in self.jurisdictions:
            raise _unknown(f"jurisdiction {jurisdiction!r}", self.jurisdictions)
        if (jurisdiction, category) not in self.categories:
            known = [code for place, code in self.categories if place == jurisdiction]
            raise _unknown(f"category {category!r} of {jurisdiction}", known)

    def check_ground(self, ground: str) -> None:
        """The same for a ground."""
        if ground not in self.grounds:
            raise _unknown(f"ground {ground!r}", self.grounds)


def load_tables(folder: Path | None = None) -> Tables:
    """The tables of this package, with those of the operator in that folder, if there are any.

    Raise `LocalError` (bad-input) when the operator's cannot be used.
    """
    text = resources("evanesce.relay.disclosure").joinpath(FILE).read_text("utf-8")
    tables = Tables({}, {}, {})
    _add(tables, json.loads(text))
    own = None if folder is None else folder / FILE
    if own is not None and own.is_file():
        try:
            _add(tables, json.loads(own.read_text("utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise LocalError(Reason.BAD_INPUT, f"{own}: not a table of categories") from error
    return tables


def _add(tables: Tables, value: dict[str, Any]) -> None:
    if not value.keys() <= {"jurisdictions", "grounds"}:
        raise ValueError("unknown table")
    for place, given in value.get("jurisdictions", {}).items():
        tables.jurisdictions[_code(place, _JURISDICTION)] = _label(given["name"])
        for code, category in given["categories"].items():
            key = (place, _code(code, _CODE))
            tables.categories[key] = Category(_label(category), _text(category.get("law", "")))
    for code, given in value.get("grounds", {}).items():
        tables.grounds[_code(code, _CODE)] = _label(given)


def _label(value: dict[str, Any]) -> Label:
    english = _text(value["en"])
    return Label(english, _text(value.get("ko", english)))


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        raise ValueError("not a label")
    return value


def _code(value: str, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(value):
        raise ValueError("not a code")
    return value


def _unknown(what: str, known: Any) -> LocalError:
    return LocalError(
        Reason.BAD_INPUT,
        f"unknown {what}; known: {', '.join(sorted(known))} ({FILE} beside the ledger adds others)",
    )
