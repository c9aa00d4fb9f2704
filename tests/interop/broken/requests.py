"""Mistakes around requests: granting them, joining by them, repair, receipts and burning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from evanesce import arrivals, content, founding, group, operations, repair, resync, speech
from evanesce.errors import HeldError, Reason, RemoteError
from evanesce.formats import BURN, MESSAGE_ID, VIEWED
from evanesce.limits import MAX_CLOCK_LEAD, MAX_CONTENT, REQUEST_LIFETIME
from evanesce.operations import Outcome
from evanesce.repair import RepairRequest
from evanesce.resync import ResyncRequest
from evanesce.wire import Form, array, decode, kind_of

from .flaw import Patch, flaw


class _FirstTimeNobody(tuple[ResyncRequest, ...]):
    """Requests that do not show the first time they are gone through."""

    asked = False

    def __iter__(self) -> Iterator[ResyncRequest]:
        first, self.asked = not self.asked, True
        return iter(()) if first else super().__iter__()


@flaw("resynced-member-gets-a-slot")
def _(patch: Patch) -> None:
    """Seals a copy and a slot for whom it lets in anew: the keys of before open the new epoch."""
    strict = operations.apply_operations

    def apply_operations(*given: Any) -> Outcome:
        outcome = strict(*given)
        return replace(outcome, resynced=_FirstTimeNobody(outcome.resynced))

    patch.here(group, "apply_operations", apply_operations)


@flaw("resynced-member-gets-no-invitation")
def _(patch: Patch) -> None:
    """Counts the resynced member in, and does not invite it."""
    strict = group.make_commit

    def make_commit(state: Any, *given: Any) -> Any:
        made = strict(state, *given)
        anew = {request.member for request in made.resynced}
        left = {who: sealed for who, sealed in made.invitations.items() if who not in anew}
        return replace(made, invitations=left)

    patch.everywhere(strict, make_commit)


@flaw("new-members-invited-first")
def _(patch: Patch) -> None:
    """Seals the invitations of new members before those of resynced ones."""
    strict = group.make_commit

    def make_commit(state: Any, *given: Any) -> Any:
        made = strict(state, *given)
        anew = {request.member for request in made.resynced}
        ordered = sorted(made.invitations.items(), key=lambda item: item[0] in anew)
        return replace(made, invitations=dict(ordered))

    patch.everywhere(strict, make_commit)


@flaw("follows-its-own-resync")
def _(patch: Patch) -> None:
    """Applies a commit that lets this very device in anew, with the keys that it has."""
    strict = vars(group)["_check_commit"]

    def check(*given: Any) -> Any:
        roster, change = strict(*given)
        return roster, replace(change, resynced=())

    patch.here(group, "_check_commit", check)


@flaw("own-resync-before-removal")
def _(patch: Patch) -> None:
    """Looks for its own resync before it looks whether it is still there, and the clock agrees."""
    strict = vars(group)["_check_commit"]

    def check(state: Any, parent: Any, committer: Any, commit: Any, now: int) -> Any:
        named = [op.request.member for op in commit.operations if hasattr(op, "request")]
        if state.own in named:
            raise RemoteError(Reason.ROOM_CLOSED, "let in anew")
        return strict(state, parent, committer, commit, now)

    patch.here(group, "_check_commit", check)


@flaw("joiner-does-not-verify-the-request")
def _(patch: Patch) -> None:
    """Takes the place that a commit gives to its package, whoever has signed for it."""
    strict = vars(founding)["_let_in_anew"]

    def let_in_anew(request: ResyncRequest, commit: Any, keys: Any) -> bytes:
        try:
            own: bytes = strict(request, commit, keys)
        except RemoteError as error:
            if error.reason is not Reason.BAD_SIGNATURE:
                raise
            return request.member
        return own

    patch.here(founding, "_let_in_anew", let_in_anew)


@flaw("joiner-takes-a-request-of-any-room")
def _(patch: Patch) -> None:
    """Joins by a request that it has made for another room."""
    strict = vars(founding)["_let_in_anew"]

    def let_in_anew(request: ResyncRequest, commit: Any, keys: Any) -> Any:
        return strict(replace(request, room=commit.room), commit, keys)

    patch.here(founding, "_let_in_anew", let_in_anew)


@flaw("joiner-does-not-ask-for-expiry")
def _(patch: Patch) -> None:
    """Is let in anew by a package that had expired."""
    strict = vars(founding)["_let_in_anew"]

    def let_in_anew(request: ResyncRequest, commit: Any, keys: Any) -> Any:
        return strict(request, replace(commit, time=0), keys)

    patch.here(founding, "_let_in_anew", let_in_anew)


@flaw("joiner-knows-adds-only")
def _(patch: Patch) -> None:
    """Looks for its package among the adds: whoever is let in anew stays outside."""
    patch.here(founding, "_let_in_anew", lambda *_: b"")


@flaw("packages-in-requests-not-read")
def _(patch: Patch) -> None:
    """Takes the package in a request for as good as the request: its keys and signature pass."""
    package = vars(resync)["KeyPackage"]

    class Unread(package):  # type: ignore[misc, valid-type]
        @classmethod
        def parse(cls, signed: bytes) -> Any:
            return package.parse(signed, verified=True)

    patch.here(resync, "KeyPackage", Unread)


@flaw("former-self-settled")
def _(patch: Patch) -> None:
    """Closes a member's chains of before a resync by what it says afterwards: it knows of none."""
    patch.here(speech, "_same_stay", lambda *_: True)


@flaw("repair-request-not-verified")
def _(patch: Patch) -> None:
    """Sends commits again to whoever asks in a member's name."""
    patch.here(repair, "verify", lambda *_: None)


@flaw("repair-request-of-any-age")
def _(patch: Patch) -> None:
    """Answers a repair request of weeks ago."""
    patch.here(repair, "REQUEST_LIFETIME", 2**41)


@flaw("repair-request-of-any-time-ahead")
def _(patch: Patch) -> None:
    """Answers a repair request from the future: it can be used again until then."""
    patch.here(repair, "MAX_CLOCK_LEAD", 2**41)


@flaw("repair-request-of-any-room")
def _(patch: Patch) -> None:
    """Answers for this room a request that was made for another."""
    strict = RepairRequest.check

    def check(request: RepairRequest, room: bytes, *given: Any) -> Any:
        return strict(replace(request, room=room), room, *given)

    patch.here(RepairRequest, "check", check)


@flaw("repair-time-before-signature")
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


@flaw("one-label-for-both-requests")
def _(patch: Patch) -> None:
    """Signs repair requests under the label of resync requests."""
    patch.here(repair, "_LABEL", b"resync request")


@flaw("requests-not-taken")
def _(patch: Patch) -> None:
    """Takes invitations, openings, messages and commits from its mailboxes, and no request."""

    def refuse(arrival: Any, payload: bytes, home: Any) -> None:
        raise RemoteError(Reason.WRONG_TYPE, "a signed object")

    patch.here(arrivals, "_request", refuse)


@flaw("receipts-unknown")
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


@flaw("257-receipts")
def _(patch: Patch) -> None:
    """Takes one message too many in a receipt or burn."""
    _named(patch, array(MESSAGE_ID, 257, least=1))


@flaw("receipt-of-nothing")
def _(patch: Patch) -> None:
    """Takes a receipt or burn that names no message."""
    _named(patch, array(MESSAGE_ID, 256))
