"""Mistakes in commits that let members in anew, and in coming back by one (10.6, 10.8, 7.6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from evanesce import applying, founding, group, invitation, operations, resync, speech
from evanesce.errors import Reason, RemoteError
from evanesce.membership import Roster
from evanesce.operations import Outcome
from evanesce.resync import ResyncRequest
from evanesce.state import RoomState

from .flaw import Patch, flaw


class _FirstTimeNobody(tuple[ResyncRequest, ...]):
    """Requests that do not show the first time they are gone through."""

    asked = False

    def __iter__(self) -> Iterator[ResyncRequest]:
        first, self.asked = not self.asked, True
        return iter(()) if first else super().__iter__()


@flaw(
    "resynced-member-gets-a-slot",
    "room-make-resync",
    "room-make-resync-both",
    "room-make-resync-add",
)
def _(patch: Patch) -> None:
    """Seals a copy and a slot for whom it lets in anew: the keys of before open the new epoch."""
    strict = operations.apply_operations

    def apply_operations(*given: Any) -> Outcome:
        outcome = strict(*given)
        return replace(outcome, resynced=_FirstTimeNobody(outcome.resynced))

    patch.here(group, "apply_operations", apply_operations)


@flaw(
    "resynced-member-gets-no-invitation",
    "room-make-resync",
    "room-make-resync-twice",
    "session-signed-resync-ann",
)
def _(patch: Patch) -> None:
    """Counts the resynced member in, and does not invite it."""
    strict = group.make_commit

    def make_commit(state: Any, *given: Any) -> Any:
        made = strict(state, *given)
        anew = {request.member for request in made.resynced}
        left = {who: sealed for who, sealed in made.invitations.items() if who not in anew}
        return replace(made, invitations=left)

    patch.everywhere(strict, make_commit)


@flaw("new-members-invited-first", "room-make-resync-add", "session-signed-resync-add-ann")
def _(patch: Patch) -> None:
    """Seals the invitations of new members before those of resynced ones."""
    strict = group.make_commit

    def make_commit(state: Any, *given: Any) -> Any:
        made = strict(state, *given)
        anew = {request.member for request in made.resynced}
        ordered = sorted(made.invitations.items(), key=lambda item: item[0] in anew)
        return replace(made, invitations=dict(ordered))

    patch.everywhere(strict, make_commit)


@flaw("invites-whom-it-resyncs-and-removes", "room-make-resync-then-remove")
def _(patch: Patch) -> None:
    """Invites everyone that a commit resyncs, the removed ones too: they get the epoch secret."""
    strict = operations.apply_operations

    def apply_operations(*given: Any) -> Outcome:
        outcome, steps = strict(*given), given[8]
        named = {op.request.member: op.request for op in steps if isinstance(op, operations.Resync)}
        return replace(outcome, resynced=tuple(named.values()))

    patch.here(group, "apply_operations", apply_operations)


@flaw("first-of-two-requests-counts", "room-make-resync-twice")
def _(patch: Patch) -> None:
    """Of two requests of one member, invites by the package of the first."""
    strict = operations.apply_operations

    def apply_operations(*given: Any) -> Outcome:
        outcome, steps = strict(*given), given[8]
        named: dict[bytes, ResyncRequest] = {}
        for op in steps:
            if isinstance(op, operations.Resync):
                named.setdefault(op.request.member, op.request)
        kept = {request.member for request in outcome.resynced}
        return replace(outcome, resynced=tuple(r for who, r in named.items() if who in kept))

    patch.here(group, "apply_operations", apply_operations)


@flaw("embeds-the-leave-of-whom-it-resyncs", "room-make-resync-of-leaver")
def _(patch: Patch) -> None:
    """Embeds the leave request of a member that it lets in anew: its own commit fails."""
    strict = vars(group)["embedded"]

    def pending(state: Any, steps: Any) -> Any:
        return strict(state, [op for op in steps if not isinstance(op, operations.Resync)])

    patch.here(group, "embedded", pending)


@flaw(
    "resynced-by-the-last-prekey",
    "room-make-resync",
    "room-make-resync-of-owner",
    "session-signed-resync-ann",
)
def _(patch: Patch) -> None:
    """Takes the last prekey of a package that nobody else has, instead of the first."""
    strict, honest = group.make_commit, invitation.seal_invitation

    def make_commit(state: Any, owner: Any, steps: Any, *given: Any) -> Any:
        anew = [op.request.package for op in steps if isinstance(op, operations.Resync)]

        def seal(owner: Any, package: Any, prekey: Any, *rest: Any) -> bytes:
            return honest(owner, package, 3 if package in anew else prekey, *rest)

        patch.here(group, "seal_invitation", seal)
        try:
            return strict(state, owner, steps, *given)
        finally:
            patch.here(group, "seal_invitation", honest)

    patch.everywhere(strict, make_commit)


@flaw("follows-its-own-resync", "room-apply-resynced-slot", "room-apply-resynced-no-slot")
def _(patch: Patch) -> None:
    """Applies a commit that lets this very device in anew, with the keys that it has."""
    strict = vars(applying)["_check_commit"]

    def check(state: Any, parent: Any, *given: Any) -> Any:
        roster, change = strict(state, parent, *given)
        if state.own in roster:
            its = replace(roster[state.own], resynced=parent.roster[state.own].resynced)
            roster = Roster({**roster.members, state.own: its}, roster.next_seniority)
        return roster, change

    patch.here(applying, "_check_commit", check)


@flaw("own-resync-before-removal", "room-apply-made-resync-then-remove-bob")
def _(patch: Patch) -> None:
    """Looks for its own resync before it looks whether it is still there, and the clock agrees."""
    strict = vars(applying)["_check_commit"]

    def check(state: Any, parent: Any, committer: Any, commit: Any, now: int) -> Any:
        named = [op.request.member for op in commit.operations if hasattr(op, "request")]
        if state.own in named:
            raise RemoteError(Reason.ROOM_CLOSED, "let in anew")
        return strict(state, parent, committer, commit, now)

    patch.here(applying, "_check_commit", check)


@flaw(
    "joiner-does-not-verify-the-request",
    "room-join-resync-by-another",
    "room-join-resync-signature-changed",
)
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


@flaw(
    "joiner-takes-a-request-of-any-room",
    "room-join-resync-other-room",
    "room-join-resync-room-before-signature",
)
def _(patch: Patch) -> None:
    """Joins by a request that it has made for another room."""
    strict = vars(founding)["_let_in_anew"]

    def let_in_anew(request: ResyncRequest, commit: Any, keys: Any) -> Any:
        return strict(replace(request, room=commit.room), commit, keys)

    patch.here(founding, "_let_in_anew", let_in_anew)


@flaw("joiner-does-not-ask-for-expiry", "room-join-resync-past-expiry")
def _(patch: Patch) -> None:
    """Is let in anew by a package that had expired."""
    strict = vars(founding)["_let_in_anew"]

    def let_in_anew(request: ResyncRequest, commit: Any, keys: Any) -> Any:
        return strict(request, replace(commit, time=0), keys)

    patch.here(founding, "_let_in_anew", let_in_anew)


@flaw(
    "joiner-knows-adds-only",
    "room-join-made-resync-bob",
    "room-join-made-resync-of-owner-ann",
    "room-join-made-resync-twice-cid",
)
def _(patch: Patch) -> None:
    """Looks for its package among the adds: whoever is let in anew stays outside."""
    patch.here(founding, "_let_in_anew", lambda *_: b"")


@flaw(
    "packages-in-requests-not-read",
    "membership-resync-check-package-signature",
    "membership-resync-check-package-leaf-small",
    "membership-resync-check-package-before-room",
)
def _(patch: Patch) -> None:
    """Takes the package in a request for as good as the request: its keys and signature pass."""
    package = vars(resync)["KeyPackage"]

    class Unread(package):  # type: ignore[misc, valid-type]
        @classmethod
        def parse(cls, signed: bytes) -> Any:
            return package.parse(signed, verified=True)

    patch.here(resync, "KeyPackage", Unread)


@flaw(
    "former-self-settled",
    "session-signed-resync-bob",
    "session-signed-resync-bob-restarts",
    "session-signed-resync-last-spoken-bob",
)
def _(patch: Patch) -> None:
    """Closes a member's chains of before a resync by what it says afterwards: it knows of none."""
    patch.here(speech, "_same_stay", lambda *_: True)


@flaw(
    "former-self-erased",
    "session-signed-resync-ann",
    "session-signed-resync-bob",
    "session-signed-resync-bob-restarts",
)
def _(patch: Patch) -> None:
    """Erases a member's chains when it is let in anew: what was on its way is lost."""
    strict = RoomState.enter

    def enter(state: RoomState, opened: Any, *given: Any) -> None:
        before = state.epochs[state.current].roster if state.epochs else opened.roster
        strict(state, opened, *given)
        for member in opened.roster:
            if member.id in before and before[member.id].resynced != member.resynced:
                for old in state.epochs.values():
                    if old is not opened:
                        old.chains.pop(member.id, None)

    patch.here(RoomState, "enter", enter)
