"""`evanesce relay request`: what authorities have demanded."""

from __future__ import annotations

import argparse
import datetime
import json
from typing import Any

from ...errors import LocalError, Reason
from .categories import load_tables
from .disclose import impose_gag
from .office import (
    FIRST_MIDNIGHT,
    GAG_HELP,
    Commands,
    Office,
    command,
    date,
    gag_end,
    number,
    print_text,
)
from .references import keep_reference, reference
from .requests import Request, Requests

__all__ = ["add_request"]


def add_request(relay_commands: Commands) -> None:
    """Add the command `request` and those under it."""
    request = relay_commands.add_parser(
        "request", help="what authorities have demanded: record, narrow, reject, list",
        description="Keep account of what authorities demand, in the ledger.",
    )  # fmt: skip
    commands = request.add_subparsers(dest="request_command", required=True)
    add = command(commands, "add", _add,
        "record a request that came; prints its number, for `disclose --request`")  # fmt: skip
    add.add_argument("--jurisdiction", required=True, metavar="CODE",
        help="whose authority asks, as KR")  # fmt: skip
    add.add_argument("--category", required=True, metavar="CODE",
        help="for KR: subscriber_info, communication_confirmation, interception, search_seizure; "
        "categories.json in the folder of the ledger adds others")  # fmt: skip
    add.add_argument("--accounts", required=True, type=number, metavar="N",
        help="how many mailboxes it names; no more than these can be disclosed")  # fmt: skip
    add.add_argument("--reference", metavar="TEXT",
        help="what the authority calls it; kept beside the ledger, never published")  # fmt: skip
    add.add_argument("--received", type=date, metavar="DATE",
        help="the day it came, as 2026-01-31 (today)")  # fmt: skip
    listed = command(commands, "list", _list, "list all requests")
    listed.add_argument("--json", action="store_true", help="print them as JSON")
    narrow = command(commands, "narrow", _narrow, "record that a request was narrowed")
    _numbered(narrow)
    narrow.add_argument("--accounts", required=True, type=number, metavar="N",
        help="how many mailboxes are left")  # fmt: skip
    _grounded(narrow)
    reject = command(commands, "reject", _reject, "record that a request was rejected as a whole")
    _numbered(reject)
    _grounded(reject)
    gag = command(commands, "gag", _gag, "record a gag order, or that it has become longer")
    _numbered(gag)
    gag.add_argument("--until", required=True, type=gag_end, metavar="DATE", help=GAG_HELP)
    lift = command(commands, "lift-gag", _lift, "record that a gag order was lifted")
    _numbered(lift)


def _numbered(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", type=number, metavar="N", help="number of the request")


def _grounded(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ground", required=True, metavar="CODE",
        help="no_legal_basis, no_jurisdiction, formal_defect, overbroad, unclear, other, or one of "
        "categories.json; it is published")  # fmt: skip


def _add(options: argparse.Namespace, office: Office) -> int:
    load_tables(office.ledger.folder).check(options.jurisdiction, options.category)
    now = datetime.datetime.fromtimestamp(office.hour * 3600, datetime.UTC)
    received = options.received or now.date()
    if received > (now + datetime.timedelta(hours=FIRST_MIDNIGHT)).date():
        raise LocalError(Reason.BAD_INPUT, "a request cannot be received in the future")
    with office.ledger.writing(office.hour) as writer:
        new = len(writer.requests.all) + 1
        commitment = None
        if options.reference is not None:
            commitment = keep_reference(office.ledger.folder, new, options.reference)
        writer.add("received", {
            "request": new, "jurisdiction": options.jurisdiction, "category": options.category,
            "accounts": options.accounts, "received": received.isoformat(), "reference": commitment,
        })  # fmt: skip
    print(new)
    return 0


def _narrow(options: argparse.Namespace, office: Office) -> int:
    load_tables(office.ledger.folder).check_ground(options.ground)
    return _note(office, "narrowed", {"request": options.number, "accounts": options.accounts,
                                      "ground": options.ground})  # fmt: skip


def _reject(options: argparse.Namespace, office: Office) -> int:
    load_tables(office.ledger.folder).check_ground(options.ground)
    return _note(office, "rejected", {"request": options.number, "ground": options.ground})


def _lift(options: argparse.Namespace, office: Office) -> int:
    return _note(office, "gag_lifted", {"request": options.number})


def _gag(options: argparse.Namespace, office: Office) -> int:
    with office.ledger.writing(office.hour) as writer:
        impose_gag(writer, options.number, options.until)
    return 0


def _note(office: Office, kind: str, body: dict[str, Any]) -> int:
    with office.ledger.writing(office.hour) as writer:
        writer.add(kind, body)
    return 0


def _list(options: argparse.Namespace, office: Office) -> int:
    requests = Requests(office.ledger.read()[0])
    shown = [_shown(office, request) for request in requests.all.values()]
    if options.json:
        print_text(json.dumps(shown, ensure_ascii=False, indent=2))
        return 0
    for each in shown:
        print_text(
            f"{each['request']:>5}  {each['jurisdiction']} {each['category']}  "
            f"{each['received']}  {each['state']}: {each['answers']} of {each['allowed']} answered"
            + (f"  gag order until hour {each['gag_until']}" if each["gag_until"] else "")
            + (f"  {each['reference']}" if each["reference"] else "")
        )
    return 0


def _shown(office: Office, request: Request) -> dict[str, Any]:
    state = "rejected" if request.rejected else "pending" if request.pending else "answered"
    gagged = request.gagged(office.hour)
    return {
        "request": request.number, "jurisdiction": request.jurisdiction,
        "category": request.category, "received": request.received, "state": state,
        "accounts": request.accounts, "allowed": request.allowed,
        "answers": request.accounts_answered,
        "untold": sum(not answer.told for answer in request.answers),
        "gag_until": request.gag_until if gagged else None,
        "reference": reference(office.ledger.folder, request.number, request.reference),
    }  # fmt: skip
