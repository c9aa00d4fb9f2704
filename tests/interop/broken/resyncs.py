"""Mistakes in letting a member in anew: the request, and what it makes of the roster (9.8, 9.9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from evanesce import applying, resync
from evanesce.errors import Reason, RemoteError
from evanesce.limits import MAX_CLOCK_LEAD, REQUEST_LIFETIME
from evanesce.membership import Member, Roster
from evanesce.resync import ResyncRequest

from .flaw import Patch, flaw


def _passing(patch: Patch, reason: Reason, when: Callable[[Any, Any, int], bool]) -> None:
    """Let requests pass that are refused for this reason, where `when` holds for them."""
    strict = ResyncRequest.check

    def check(request: ResyncRequest, suite: Any, room: bytes, roster: Roster, time: int) -> Member:
        try:
            return strict(request, suite, room, roster, time)
        except RemoteError as error:
            if error.reason is not reason or not when(request, roster, time):
                raise
            return roster[request.member]

    patch.here(ResyncRequest, "check", check)


@flaw(
    "resync-again",
    "membership-resync-check-granted",
    "membership-resync-check-older",
    "membership-apply-resync-replayed",
)
def _(patch: Patch) -> None:
    """Keeps the time of a granted request and does not ask for it: an old request works again."""
    _passing(patch, Reason.REPLAY, lambda *_: True)


@flaw(
    "resync-again-in-the-same-second",
    "membership-resync-check-granted",
    "membership-apply-resync-replayed",
)
def _(patch: Patch) -> None:
    """Takes a second request of the very time of the first."""
    _passing(
        patch,
        Reason.REPLAY,
        lambda request, roster, _: request.time == roster[request.member].resynced,
    )


@flaw(
    "resync-by-last-resort",
    "membership-resync-check-last-resort",
    "membership-apply-resync-last-resort",
    "membership-resync-check-kind-before-age",
)
def _(patch: Patch) -> None:
    """Lets in anew by a last-resort package: the room is silent until the member has refreshed."""
    _passing(patch, Reason.BAD_PROOF, lambda request, *_: request.package.last_resort)


@flaw(
    "resync-by-package-of-another",
    "membership-resync-check-others-package",
    "membership-resync-check-strangers-package",
    "membership-resync-check-identity-before-signature",
)
def _(patch: Patch) -> None:
    """Looks at who has signed the request, and not at whose package is in it."""
    strict = ResyncRequest.check

    def check(request: ResyncRequest, suite: Any, room: bytes, roster: Roster, time: int) -> Member:
        package = request.package
        if request.member in roster:
            package = replace(package, identity=roster[request.member].identity)
        return strict(replace(request, package=package), suite, room, roster, time)

    patch.here(ResyncRequest, "check", check)


@flaw(
    "resync-request-not-verified",
    "membership-resync-check-by-another",
    "membership-resync-check-by-the-owner",
    "membership-apply-resync-by-another",
)
def _(patch: Patch) -> None:
    """Takes a request without its signature: any member can put another back."""
    strict, verify = ResyncRequest.check, ResyncRequest.verify

    def check(request: ResyncRequest, *given: Any) -> Member:
        patch.here(ResyncRequest, "verify", lambda *_: None)
        try:
            return strict(request, *given)
        finally:
            patch.here(ResyncRequest, "verify", verify)

    patch.here(ResyncRequest, "check", check)


@flaw(
    "resync-label-of-leaving",
    "membership-resync-request",
    "membership-resync-check-member",
    "membership-resync-check-label",
)
def _(patch: Patch) -> None:
    """Signs resync requests under the label of leave requests."""
    patch.here(resync, "_LABEL", b"leave request")


@flaw(
    "resync-request-of-any-room",
    "membership-resync-check-other-room",
    "membership-resync-check-room-before-member",
    "membership-apply-resync-other-room",
)
def _(patch: Patch) -> None:
    """Takes a request that was made for another room."""
    strict = ResyncRequest.check

    def check(request: ResyncRequest, suite: Any, room: bytes, roster: Roster, time: int) -> Member:
        return strict(request, suite, request.room, roster, time)

    patch.here(ResyncRequest, "check", check)


@flaw(
    "resync-by-the-package-of-before",
    "membership-resync-check-credential",
    "membership-resync-check-admission",
    "membership-apply-resync-twice-same",
)
def _(patch: Patch) -> None:
    """Takes the package that has let the member in already: its keys may have been stolen."""
    _passing(patch, Reason.USED_PACKAGE, lambda *_: True)


@flaw("resync-by-the-package-of-admission", "membership-resync-check-admission")
def _(patch: Patch) -> None:
    """Compares the package with the member's credential alone: after a refresh it works again."""
    _passing(
        patch,
        Reason.USED_PACKAGE,
        lambda request, roster, _: (
            roster[request.member].credential.signed != request.package.signed
        ),
    )


@flaw("resync-by-package-expired", "membership-resync-check-past-expiry")
def _(patch: Patch) -> None:
    """Looks at the age of the request, and not at the expiry of the package in it."""
    _passing(
        patch, Reason.EXPIRED, lambda request, _, time: time <= request.time + REQUEST_LIFETIME
    )


@flaw(
    "resync-request-of-days-ago",
    "membership-resync-check-past-72-hours",
    "membership-apply-resync-past-72-hours",
)
def _(patch: Patch) -> None:
    """Looks at the expiry of the package, and not at the age of the request."""
    _passing(patch, Reason.EXPIRED, lambda request, _, time: time <= request.package.expiry)


@flaw("resync-request-ahead", "membership-resync-check-301-ahead")
def _(patch: Patch) -> None:
    """Takes a request from the future: the member's next ones are then replays."""
    _passing(
        patch, Reason.BAD_PROOF, lambda request, _, time: request.time > time + MAX_CLOCK_LEAD
    )


@flaw("resync-of-any-suite", "membership-resync-check-suite")
def _(patch: Patch) -> None:
    """Takes a package of another suite than the room's."""
    _passing(patch, Reason.UNKNOWN_SUITE, lambda *_: True)


@flaw("resync-by-own-clock", "session-signed-resync-early-bob", "session-signed-resync-early-cid")
def _(patch: Patch) -> None:
    """Judges a committed request by its own clock: members disagree on the roster."""
    strict, check = vars(applying)["_check_commit"], ResyncRequest.check

    def check_commit(state: Any, parent: Any, committer: Any, its: Any, now: int) -> Any:
        patch.here(
            ResyncRequest,
            "check",
            lambda request, suite, room, roster, _: check(request, suite, room, roster, now),
        )
        try:
            return strict(state, parent, committer, its, now)
        finally:
            patch.here(ResyncRequest, "check", check)

    patch.here(applying, "_check_commit", check_commit)
