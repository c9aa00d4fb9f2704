"""Mistakes in who may let a member in anew, and in what that makes of the roster (9.6, 9.9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from evanesce import operations
from evanesce.errors import Reason, RemoteError
from evanesce.membership import Credential, Member, Role, Roster
from evanesce.resync import ResyncRequest

from .flaw import Patch, flaw


@flaw("resync-by-admins-only", "membership-apply-resync-by-member")
def _(patch: Patch) -> None:
    """Lets nobody of the lowest role grant a resync."""
    strict = vars(operations)["_check_entitled"]

    def check(me: Member, operation: Any, roster: Roster, policy: Any) -> None:
        if isinstance(operation, operations.Resync) and me.role is Role.MEMBER:
            raise RemoteError(Reason.NOT_ENTITLED, "a member's resync")
        strict(me, operation, roster, policy)

    patch.here(operations, "_check_entitled", check)


@flaw(
    "resync-of-whom-one-outranks",
    "membership-apply-resync-by-member",
    "membership-apply-resync-by-admin",
)
def _(patch: Patch) -> None:
    """Takes a resync for something done to a member, as a removal is."""
    strict = vars(operations)["_check_entitled"]

    def check(me: Member, operation: Any, roster: Roster, policy: Any) -> None:
        strict(me, operation, roster, policy)
        anew = isinstance(operation, operations.Resync)
        if anew and not me.outranks(roster[operation.request.member]):
            raise RemoteError(Reason.NOT_ENTITLED, "a resync of one's better")

    patch.here(operations, "_check_entitled", check)


@flaw(
    "resync-of-itself",
    "membership-apply-resync-itself-member",
    "membership-apply-resync-itself-admin",
    "membership-apply-resync-itself-owner",
)
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


@flaw(
    "resync-takes-a-new-seniority",
    "membership-apply-resync-of-member",
    "membership-apply-resync-of-admin",
    "membership-apply-resync-two",
)
def _(patch: Patch) -> None:
    """Puts whom it lets in anew at the end of the order, like a new member."""

    def changed(roster: Roster, before: Member, package: Any) -> Roster:
        new = replace(roster.members[before.id], seniority=roster.next_seniority)
        rest = {member: row for member, row in roster.members.items() if member != before.id}
        return Roster({**rest, before.id: new}, roster.next_seniority + 1)

    _letting_in(patch, changed)


@flaw(
    "resync-takes-a-new-admission",
    "membership-apply-resync-of-member",
    "membership-apply-resync-leave-other",
    "membership-apply-resync-two",
)
def _(patch: Patch) -> None:
    """Takes the package for what admitted the member: its leave requests name nobody any more."""
    _letting_in(patch, lambda roster, before, package: _row(roster, before, admission=package.hash))


@flaw(
    "resync-takes-the-role",
    "membership-apply-resync-of-admin",
    "membership-apply-resync-of-owner",
    "membership-apply-resync-role",
)
def _(patch: Patch) -> None:
    """Lets a member in anew with the lowest role."""
    _letting_in(patch, lambda roster, before, package: _row(roster, before, role=Role.MEMBER))


@flaw(
    "resync-takes-a-new-id",
    "membership-apply-resync-of-member",
    "membership-apply-resync-then-remove",
    "membership-apply-resync-twice",
)
def _(patch: Patch) -> None:
    """Gives the member a new id, as if it had been removed and added."""

    def changed(roster: Roster, before: Member, package: Any) -> Roster:
        new = replace(roster.members[before.id], id=package.hash)
        rows = {row.id: row for row in roster if row.id != before.id} | {new.id: new}
        ordered = dict(sorted(rows.items(), key=lambda item: item[1].seniority))
        return Roster(ordered, roster.next_seniority)

    _letting_in(patch, changed)


@flaw(
    "resync-not-noted",
    "membership-apply-resync-of-member",
    "membership-apply-resync-twice",
    "membership-apply-resync-twice-older",
)
def _(patch: Patch) -> None:
    """Does not write the time of the request into the roster."""
    _letting_in(
        patch, lambda roster, before, package: _row(roster, before, resynced=before.resynced)
    )


@flaw("resync-noted-by-the-commit", "membership-apply-resync-twice")
def _(patch: Patch) -> None:
    """Writes the time of the commit into the roster instead of the request's."""
    strict, times = ResyncRequest.check, [0]

    def check(request: ResyncRequest, suite: Any, room: bytes, roster: Roster, time: int) -> Member:
        times[0] = time
        return strict(request, suite, room, roster, time)

    patch.here(ResyncRequest, "check", check)
    _letting_in(patch, lambda roster, before, package: _row(roster, before, resynced=times[0]))


@flaw("resync-keeps-the-version", "session-signed-resync-bob", "session-signed-resync-twice-bob")
def _(patch: Patch) -> None:
    """Counts versions of credentials on after a resync, where a package is version 0."""
    strict = Roster.resync

    def let_in(roster: Roster, member: bytes, package: Any, time: int) -> Roster:
        made = strict(roster, member, package, time)
        version = roster[member].credential.version + 1
        credential: Credential = replace(made[member].credential, version=version)
        return _row(made, roster[member], credential=credential)

    patch.here(Roster, "resync", let_in)
