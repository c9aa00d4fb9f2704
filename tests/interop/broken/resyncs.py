"""Mistakes in letting a member in anew: the request, and what it makes of the roster (9.8, 9.9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from evanesce import group, operations, resync
from evanesce.errors import Reason, RemoteError
from evanesce.limits import MAX_CLOCK_LEAD, REQUEST_LIFETIME
from evanesce.membership import Credential, Member, Role, Roster
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


@flaw("resync-again")
def _(patch: Patch) -> None:
    """Keeps the time of a granted request and does not ask for it: an old request works again."""
    _passing(patch, Reason.REPLAY, lambda *_: True)


@flaw("resync-again-in-the-same-second")
def _(patch: Patch) -> None:
    """Takes a second request of the very time of the first."""
    _passing(
        patch,
        Reason.REPLAY,
        lambda request, roster, _: request.time == roster[request.member].resynced,
    )


@flaw("resync-by-last-resort")
def _(patch: Patch) -> None:
    """Lets in anew by a last-resort package: the room is silent until the member has refreshed."""
    _passing(patch, Reason.BAD_PROOF, lambda request, *_: request.package.last_resort)


@flaw("resync-by-package-of-another")
def _(patch: Patch) -> None:
    """Looks at who has signed the request, and not at whose package is in it."""
    strict = ResyncRequest.check

    def check(request: ResyncRequest, suite: Any, room: bytes, roster: Roster, time: int) -> Member:
        package = request.package
        if request.member in roster:
            package = replace(package, identity=roster[request.member].identity)
        return strict(replace(request, package=package), suite, room, roster, time)

    patch.here(ResyncRequest, "check", check)


@flaw("resync-request-not-verified")
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


@flaw("resync-label-of-leaving")
def _(patch: Patch) -> None:
    """Signs resync requests under the label of leave requests."""
    patch.here(resync, "_LABEL", b"leave request")


@flaw("resync-request-of-any-room")
def _(patch: Patch) -> None:
    """Takes a request that was made for another room."""
    strict = ResyncRequest.check

    def check(request: ResyncRequest, suite: Any, room: bytes, roster: Roster, time: int) -> Member:
        return strict(request, suite, request.room, roster, time)

    patch.here(ResyncRequest, "check", check)


@flaw("resync-by-the-package-of-before")
def _(patch: Patch) -> None:
    """Takes the package that has let the member in already: its keys may have been stolen."""
    _passing(patch, Reason.USED_PACKAGE, lambda *_: True)


@flaw("resync-by-the-package-of-admission")
def _(patch: Patch) -> None:
    """Compares the package with the member's credential alone: after a refresh it works again."""
    _passing(
        patch,
        Reason.USED_PACKAGE,
        lambda request, roster, _: (
            roster[request.member].credential.signed != request.package.signed
        ),
    )


@flaw("resync-by-package-expired")
def _(patch: Patch) -> None:
    """Looks at the age of the request, and not at the expiry of the package in it."""
    _passing(
        patch, Reason.EXPIRED, lambda request, _, time: time <= request.time + REQUEST_LIFETIME
    )


@flaw("resync-request-of-days-ago")
def _(patch: Patch) -> None:
    """Looks at the expiry of the package, and not at the age of the request."""
    _passing(patch, Reason.EXPIRED, lambda request, _, time: time <= request.package.expiry)


@flaw("resync-request-ahead")
def _(patch: Patch) -> None:
    """Takes a request from the future: the member's next ones are then replays."""
    _passing(
        patch, Reason.BAD_PROOF, lambda request, _, time: request.time > time + MAX_CLOCK_LEAD
    )


@flaw("resync-of-any-suite")
def _(patch: Patch) -> None:
    """Takes a package of another suite than the room's."""
    _passing(patch, Reason.UNKNOWN_SUITE, lambda *_: True)


@flaw("resync-by-own-clock")
def _(patch: Patch) -> None:
    """Judges a committed request by its own clock: members disagree on the roster."""
    strict, check = vars(group)["_check_commit"], ResyncRequest.check

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

    patch.here(group, "_check_commit", check_commit)


@flaw("resync-by-admins-only")
def _(patch: Patch) -> None:
    """Lets nobody of the lowest role grant a resync."""
    strict = vars(operations)["_check_entitled"]

    def check(me: Member, operation: Any, roster: Roster, policy: Any) -> None:
        if isinstance(operation, operations.Resync) and me.role is Role.MEMBER:
            raise RemoteError(Reason.NOT_ENTITLED, "a member's resync")
        strict(me, operation, roster, policy)

    patch.here(operations, "_check_entitled", check)


@flaw("resync-of-whom-one-outranks")
def _(patch: Patch) -> None:
    """Takes a resync for something done to a member, as a removal is."""
    strict = vars(operations)["_check_entitled"]

    def check(me: Member, operation: Any, roster: Roster, policy: Any) -> None:
        strict(me, operation, roster, policy)
        anew = isinstance(operation, operations.Resync)
        if anew and not me.outranks(roster[operation.request.member]):
            raise RemoteError(Reason.NOT_ENTITLED, "a resync of one's better")

    patch.here(operations, "_check_entitled", check)


@flaw("resync-of-itself")
def _(patch: Patch) -> None:
    """Applies a commit that lets its own author in anew."""
    strict = vars(operations)["_check_entitled"]

    def check(me: Member, operation: Any, roster: Roster, policy: Any) -> None:
        own = isinstance(operation, operations.Resync) and operation.request.member == me.id
        if not own:
            strict(me, operation, roster, policy)

    patch.here(operations, "_check_entitled", check)


def _letting_in(patch: Patch, changed: Callable[[Roster, Member, Any], Roster]) -> None:
    """Change what a resync makes of the roster: from the result, the row before, the package."""
    strict = Roster.resync

    def let_in(roster: Roster, member: bytes, package: Any, time: int) -> Roster:
        return changed(strict(roster, member, package, time), roster[member], package)

    patch.here(Roster, "resync", let_in)


def _row(roster: Roster, before: Member, **changes: Any) -> Roster:
    new = replace(roster.members[before.id], **changes)
    return Roster({**roster.members, before.id: new}, roster.next_seniority)


@flaw("resync-takes-a-new-seniority")
def _(patch: Patch) -> None:
    """Puts whom it lets in anew at the end of the order, like a new member."""

    def changed(roster: Roster, before: Member, package: Any) -> Roster:
        new = replace(roster.members[before.id], seniority=roster.next_seniority)
        rest = {member: row for member, row in roster.members.items() if member != before.id}
        return Roster({**rest, before.id: new}, roster.next_seniority + 1)

    _letting_in(patch, changed)


@flaw("resync-takes-a-new-admission")
def _(patch: Patch) -> None:
    """Takes the package for what admitted the member: its leave requests name nobody any more."""
    _letting_in(patch, lambda roster, before, package: _row(roster, before, admission=package.hash))


@flaw("resync-takes-the-role")
def _(patch: Patch) -> None:
    """Lets a member in anew with the lowest role."""
    _letting_in(patch, lambda roster, before, package: _row(roster, before, role=Role.MEMBER))


@flaw("resync-takes-a-new-id")
def _(patch: Patch) -> None:
    """Gives the member a new id, as if it had been removed and added."""

    def changed(roster: Roster, before: Member, package: Any) -> Roster:
        new = replace(roster.members[before.id], id=package.hash)
        rows = {row.id: row for row in roster if row.id != before.id} | {new.id: new}
        ordered = dict(sorted(rows.items(), key=lambda item: item[1].seniority))
        return Roster(ordered, roster.next_seniority)

    _letting_in(patch, changed)


@flaw("resync-not-noted")
def _(patch: Patch) -> None:
    """Does not write the time of the request into the roster."""
    _letting_in(
        patch, lambda roster, before, package: _row(roster, before, resynced=before.resynced)
    )


@flaw("resync-noted-by-the-commit")
def _(patch: Patch) -> None:
    """Writes the time of the commit into the roster instead of the request's."""
    strict, times = ResyncRequest.check, [0]

    def check(request: ResyncRequest, suite: Any, room: bytes, roster: Roster, time: int) -> Member:
        times[0] = time
        return strict(request, suite, room, roster, time)

    patch.here(ResyncRequest, "check", check)
    _letting_in(patch, lambda roster, before, package: _row(roster, before, resynced=times[0]))


@flaw("resync-keeps-the-version")
def _(patch: Patch) -> None:
    """Counts versions of credentials on after a resync, where a package is version 0."""
    strict = Roster.resync

    def let_in(roster: Roster, member: bytes, package: Any, time: int) -> Roster:
        made = strict(roster, member, package, time)
        version = roster[member].credential.version + 1
        credential: Credential = replace(made[member].credential, version=version)
        return _row(made, roster[member], credential=credential)

    patch.here(Roster, "resync", let_in)
