"""`evanesce relay request`, `disclose`, `ledger` and `transparency-report`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from ...errors import EvanesceError, LocalError, Reason
from ..commands import add_config, chosen_config
from ..config import KEYS
from . import files
from .answer import as_text
from .audit import check_given, loose_ends
from .categories import load_tables
from .disclose import Disclosed, disclose
from .entries import Entry, LedgerTampered
from .ledger import head_of, parse_ledger
from .office import (
    CONFIG,
    GAG_HELP,
    Commands,
    Office,
    address,
    command,
    gag_end,
    key,
    number,
    print_text,
)
from .page import as_page
from .report import Period, make_report
from .request_commands import add_request
from .requests import Requests
from .signed_json import canonical
from .source import reading

__all__ = ["add_disclosure"]

FAILED: Final = 1


def add_disclosure(relay_commands: Commands) -> None:
    """Add the commands to those of `evanesce relay`."""
    add_request(relay_commands)
    _add_disclose(relay_commands)
    _add_ledger(relay_commands)
    _add_report(relay_commands)


# --- disclose ------------------------------------------------------------------------------------


def _add_disclose(relay_commands: Commands) -> None:
    parser = command(
        relay_commands, "disclose", _disclose,
        "answer a request about one mailbox: print exactly what is held, sign it, put it into the "
        "ledger, and leave a notice for the owner of the mailbox",
        (*CONFIG, "data", "retention_hours", "mailboxes", "store_bytes", "store",
         *(name for name in KEYS if name.startswith("nats_"))),
    )  # fmt: skip
    add = parser.add_argument
    add("mailbox", type=address, metavar="MAILBOX",
        help="address of the mailbox, 64 hexadecimal digits")  # fmt: skip
    add("--request", required=True, type=number, metavar="N",
        help="number of the request that it answers, as `request add` printed it")  # fmt: skip
    add("--gag-until", type=gag_end, metavar="DATE", help=GAG_HELP)
    add("--json", action="store_true", help="print the signed answer instead of a text")
    add("--out", type=Path, metavar="FILE", help="also write the signed answer there, as JSON")
    add("--include-envelopes", type=Path, metavar="FOLDER",
        help="where a warrant demands it: also hand over the envelopes that wait, as their senders "
        "sealed them, as files in a new folder")  # fmt: skip
    add("--again", action="store_true",
        help="give the answer about this mailbox once more, because it was lost before anybody had "
        "it; possible until its owner was told, afterwards record a new request")  # fmt: skip


def _disclose(options: argparse.Namespace, office: Office) -> int:
    if options.out is not None and not options.out.absolute().parent.is_dir():
        raise LocalError(Reason.BAD_INPUT, f"{options.out}: cannot be written")
    disclosed = asyncio.run(_answer(options, office))
    if options.out is not None:
        files.replace(options.out, disclosed.answer + b"\n")
    if options.json:
        print_text(disclosed.answer.decode())
    else:
        print_text(as_text(json.loads(disclosed.answer)))
    return 0


async def _answer(options: argparse.Namespace, office: Office) -> Disclosed:
    async with reading(office.config) as relay:
        return await disclose(
            relay, office.ledger, office.spool, address=options.mailbox, request=options.request,
            hour=office.hour, retention_hours=office.config.settings.retention_hours,
            gag_until=options.gag_until, envelopes_to=options.include_envelopes,
            again=options.again,
        )  # fmt: skip


# --- ledger --------------------------------------------------------------------------------------


def _add_ledger(relay_commands: Commands) -> None:
    ledger = relay_commands.add_parser(
        "ledger", help="check the ledger of disclosures", description="The ledger of disclosures."
    )
    commands = ledger.add_subparsers(dest="ledger_command", required=True)
    verify = commands.add_parser(
        "verify", help="check that nothing was changed, removed or added",
        description="Check every entry, that none is missing, and what was given out. Exit code 1 "
        "if something is wrong.",
    )  # fmt: skip
    add_config(verify, CONFIG)
    add = verify.add_argument
    add("--check", type=Path, action="append", default=[], metavar="FILE",
        help="also check an answer, a statement or a report; may be repeated")  # fmt: skip
    add("--mailbox", type=address, metavar="MAILBOX", help="the mailbox a statement concerns")
    add("--file", type=Path, metavar="FILE", help="a copy of a ledger, for those without the keys")
    add("--key", type=key, metavar="HEX", help="the disclosure key, with --file")
    add("--mend", action="store_true", help="mend a last line that a crash has left torn")
    verify.set_defaults(run=_verify)
    loss = command(commands, "accept-loss", _accept_loss,
                   "go on with a ledger whose end or anchor was lost; ledger and reports say so")
    loss.add_argument("--yes", action="store_true", required=True, help="it cannot be undone")


def _verify(options: argparse.Namespace) -> int:
    if (options.file is None) != (options.key is None):
        raise LocalError(Reason.BAD_INPUT, "--file and --key go together")
    wrong: list[str] = []
    try:
        if options.file is not None:
            public = options.key
            entries, rest = parse_ledger(options.file.read_bytes(), public)
            torn = bool(rest)
            Requests(entries)
        else:
            office = Office(chosen_config(options))
            public = office.ledger.public
            if options.mend:
                with office.ledger.writing(office.hour):
                    pass
            entries, torn = office.ledger.read()
            wrong = loose_ends(office.ledger, office.spool, entries)
    except LedgerTampered as error:
        print(f"evanesce: {error.detail}", file=sys.stderr)
        return FAILED
    head = head_of(entries)
    print(f"{head.entries} entries, head {head.hash.hex()}, key {public.hex()}")
    if torn:
        wrong.append("the last line is torn, as a crash leaves it: --mend")
    wrong += _check_files(options, entries, public)
    for each in wrong:
        print(f"evanesce: {each}", file=sys.stderr)
    return FAILED if wrong else 0


def _check_files(options: argparse.Namespace, entries: list[Entry], public: bytes) -> list[str]:
    wrong = []
    for path in options.check:
        try:
            print(f"{path}: {check_given(path, entries, public, options.mailbox)}")
        except EvanesceError as error:
            wrong.append(str(error))
    return wrong


def _accept_loss(_: argparse.Namespace, office: Office) -> int:
    office.ledger.accept_loss(office.hour)
    return 0


# --- report --------------------------------------------------------------------------------------


def _add_report(relay_commands: Commands) -> None:
    parser = command(
        relay_commands, "transparency-report", _report,
        "report on all requests of some months: sums over the ledger, signed; when they are over, "
        "the ledger notes that they were reported, and nothing can be added to them any more",
        (*CONFIG, "retention_hours"),
    )  # fmt: skip
    add = parser.add_argument
    add("--from", dest="first", required=True, metavar="MONTH", help="first month, as 2026-01")
    add("--to", dest="last", required=True, metavar="MONTH", help="last month, as 2026-06")
    add("--json", type=Path, metavar="FILE", help="write it as JSON; without files it is printed")
    add("--html", type=Path, metavar="FILE", help="write it as a page")
    add("--operator", default="", metavar="TEXT", help="who runs the relay, and how to reach them")


def _report(options: argparse.Namespace, office: Office) -> int:
    if len(options.operator) > 200 or not options.operator.isprintable():
        raise LocalError(Reason.BAD_INPUT, "--operator: one line of at most 200 characters")
    report = make_report(
        office.ledger, load_tables(office.ledger.folder), Period.of(options.first, options.last),
        hour=office.hour, retention_hours=office.config.settings.retention_hours,
        operator=options.operator,
    )  # fmt: skip
    data = canonical(report)
    if options.html is not None:
        options.html.write_text(as_page(report), "utf-8")
    if options.json is not None:
        options.json.write_bytes(data + b"\n")
    if options.html is None and options.json is None:
        print_text(data.decode())
    return 0
