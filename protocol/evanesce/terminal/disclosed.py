"""What a person is told when the relay had to disclose what it holds of a mailbox (spec 22.8).

The statement is the relay's word, signed, and text from a stranger until it has been read: what
cannot be read is told of all the same.
"""

from __future__ import annotations

import time
from typing import Final

from ..errors import Reason, RemoteError
from ..events import Disclosed
from ..limits import HOUR
from ..relay.disclosure.statement import Statement, parse_statement
from .text import one_line

__all__ = ["disclosure_text"]

_CATEGORIES: Final = {
    "subscriber_info": "a request for subscriber information",
    "communication_confirmation": "a request for communication confirmation data",
    "interception": "an interception order",
    "search_seizure": "a search and seizure warrant",
}
_SHOWN: Final = 8  # fields that are named


def disclosure_text(event: Disclosed) -> str:
    """What the relay has disclosed of a mailbox, in words."""
    try:
        statement = parse_statement(event.statement)
        if not statement.concerns(event.address):  # nothing of it is told (REQ-RELAY-25 step 6)
            raise RemoteError(Reason.BAD_FORM, "a statement about another mailbox")
    except RemoteError as error:
        return (
            "the relay says that it had to disclose what it holds of a mailbox of yours; its "
            f"statement cannot be read ({error.reason})"
        )
    asked = _CATEGORIES.get(statement.category, f"a request ({one_line(statement.category)})")
    where = one_line(statement.jurisdiction)
    return (
        f"on {asked} of an authority ({where}), the relay has disclosed what it holds of your "
        f"mailbox, in the hour from {_hour(statement.disclosed)}. {_handed_over(statement)}"
        f"{_delay(statement)}. Request {statement.request}, entry {statement.entry} of its ledger, "
        f"signed by {statement.key.hex()[:16]}"
    )


def _handed_over(statement: Statement) -> str:
    if not statement.handed_over and not statement.envelopes:
        return "It held nothing to hand over"
    names = [one_line(name) for name in statement.handed_over[:_SHOWN]]
    more = len(statement.handed_over) - len(names)
    listed = ", ".join(names) + (f" and {more} more" if more else "")
    envelopes = f"{statement.envelopes} sealed envelopes, which it cannot read"
    return f"It has handed over: {listed}; {envelopes}"


def _delay(statement: Statement) -> str:
    if not statement.delayed_hours:
        return ""
    why = ": an order had forbidden to tell you earlier" if statement.gag_order else ""
    return f". It says so {statement.delayed_hours} h later{why}"


def _hour(hour: int) -> str:
    moment = time.gmtime(min(hour, 10**7) * HOUR)
    return time.strftime("%Y-%m-%d %H:00 UTC", moment)
