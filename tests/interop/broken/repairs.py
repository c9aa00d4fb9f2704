"""Mistakes with repair requests, with the mailboxes they come to, with receipts and burning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evanesce import arrivals, content, repair
from evanesce.errors import HeldError, Reason, RemoteError
from evanesce.formats import BURN, MESSAGE_ID, VIEWED
from evanesce.limits import MAX_CLOCK_LEAD, MAX_CONTENT, REQUEST_LIFETIME
from evanesce.repair import RepairRequest
from evanesce.wire import Form, array, binary, decode, kind_of

from .flaw import Patch, flaw


@flaw(
    "repair-request-not-verified",
    "membership-repair-check-by-another",
    "membership-repair-check-by-a-stranger",
    "membership-repair-check-signature-changed",
)
def _(patch: Patch) -> None:
    """Sends commits again to whoever asks in a member's name."""
    patch.here(repair, "verify", lambda *_: None)


@flaw("repair-request-of-any-age", "membership-repair-check-past-72-hours")
def _(patch: Patch) -> None:
    """Answers a repair request of weeks ago."""
    patch.here(repair, "REQUEST_LIFETIME", 2**41)


@flaw("repair-request-of-any-time-ahead", "membership-repair-check-301-ahead")
def _(patch: Patch) -> None:
    """Answers a repair request from the future: it can be used again until then."""
    patch.here(repair, "MAX_CLOCK_LEAD", 2**41)


@flaw(
    "repair-request-of-any-room",
    "membership-repair-check-other-room",
    "membership-repair-check-room-before-member",
)
def _(patch: Patch) -> None:
    """Answers for this room a request that was made for another."""
    strict = RepairRequest.check

    def check(request: RepairRequest, room: bytes, *given: Any) -> Any:
        return strict(replace(request, room=room), room, *given)

    patch.here(RepairRequest, "check", check)


@flaw("repair-time-before-signature", "membership-repair-check-signature-before-age")
def _(patch: Patch) -> None:
    """Looks at the time in a repair request before anybody has signed for it."""
    strict = RepairRequest.check

    def check(request: RepairRequest, room: bytes, roster: Any, now: int) -> Any:
        if now > request.time + REQUEST_LIFETIME:
            raise RemoteError(Reason.EXPIRED, "old")
        if request.time > now + MAX_CLOCK_LEAD:
            raise HeldError(Reason.EARLY_COMMIT, "ahead")
        return strict(request, room, roster, now)

    patch.here(RepairRequest, "check", check)


@flaw(
    "one-label-for-both-requests",
    "membership-repair-request",
    "membership-repair-check-member",
    "membership-repair-check-label",
)
def _(patch: Patch) -> None:
    """Signs repair requests under the label of resync requests."""
    patch.here(repair, "_LABEL", b"resync request")


@flaw("requests-not-taken", "envelope-dispatch-contact-1", "envelope-dispatch-room-1")
def _(patch: Patch) -> None:
    """Takes invitations, openings, messages and commits from its mailboxes, and no request."""

    def refuse(arrival: Any, payload: bytes, home: Any) -> None:
        raise RemoteError(Reason.WRONG_TYPE, "a signed object")

    patch.here(arrivals, "_request", refuse)


@flaw(
    "receipts-unknown",
    "evaporation-content-viewed",
    "evaporation-content-burn",
    "evaporation-content-viewed-256",
)
def _(patch: Patch) -> None:
    """Knows no content past leave: the member that sends a receipt or a burn is not heard."""
    strict = content.parse_content

    def parse_content(data: bytes) -> Any:
        if kind_of(decode(data, limit=MAX_CONTENT)) in (VIEWED.type, BURN.type):
            raise RemoteError(Reason.WRONG_TYPE, "unknown content")
        return strict(data)

    patch.everywhere(strict, parse_content)


def _named(patch: Patch, messages: Any) -> None:
    """Let viewed and burn hold another kind of list."""
    for form in (VIEWED, BURN):
        patch.everywhere(form, Form(form.name, form.type, form.limit, (messages,)))


@flaw("257-receipts", "evaporation-content-viewed-257", "evaporation-content-burn-257")
def _(patch: Patch) -> None:
    """Takes one message too many in a receipt or burn."""
    _named(patch, array(MESSAGE_ID, 257, least=1))


@flaw("receipt-of-nothing", "evaporation-content-viewed-none", "evaporation-content-burn-none")
def _(patch: Patch) -> None:
    """Takes a receipt or burn that names no message."""
    _named(patch, array(MESSAGE_ID, 256))


@flaw(
    "receipt-ids-of-any-length",
    "evaporation-content-viewed-id-15",
    "evaporation-content-viewed-id-17",
    "evaporation-content-burn-id-17",
)
def _(patch: Patch) -> None:
    """Takes for the id of a message whatever stands there: none will be of that name."""
    _named(patch, array(binary(1, 32), 256, least=1))
