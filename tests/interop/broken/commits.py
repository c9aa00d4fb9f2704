"""Mistakes in applying a commit (chapter 10)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evanesce import applying, commit, epoch, founding, group, operations, turn
from evanesce.commit import Commit, SignedCommit
from evanesce.errors import Reason, RemoteError
from evanesce.formats import COMMIT, COMMIT_COPY, MEMBER_ENTRY
from evanesce.identity import open_signed
from evanesce.membership import Credential
from evanesce.proofs import Sanction
from evanesce.state import RoomState
from evanesce.wire import decode, kind_of

from .flaw import Patch, flaw


@flaw(
    "state-hash-not-checked",
    "room-apply-state-hash",
    "room-apply-entry-other",
    "room-apply-state-hash-before-time",
)
def _(patch: Patch) -> None:
    """Computes the new roster, and does not compare it with what was committed."""
    patch.here(applying, "equal", lambda a, b: True)


@flaw(
    "confirmation-not-compared",
    "room-apply-other-confirmation",
    "room-join-direct-confirmation",
    "session-signed-equivocation-bob",
)
def _(patch: Patch) -> None:
    """Does not compare the confirmation: the keys will open nothing if they are wrong."""
    patch.everywhere(epoch.check_confirmation, lambda expected, received: None)


@flaw("signed-by-new-key", "room-apply-insider-signed-by-new-key")
def _(patch: Patch) -> None:
    """Takes a commit that is signed with the key that it brings, too."""
    strict = SignedCommit.verify

    def verify(signed: SignedCommit, room_sign_key: bytes) -> None:
        try:
            strict(signed, room_sign_key)
        except RemoteError:
            value = decode(signed.commit, limit=1 << 20)
            if kind_of(value) != COMMIT.type:
                raise
            body, _ = open_signed(COMMIT.read(value)[7])
            strict(signed, MEMBER_ENTRY.parse(body)[4])

    patch.here(SignedCommit, "verify", verify)


class _Like(bytes):
    """A field that is equal to whatever has the same first bytes, so many."""

    size = 8

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes) and self[: self.size] == other[: self.size]

    __hash__ = bytes.__hash__


class _LikeAny(_Like):
    size = 0


def _placing(patch: Patch, place: int, like: type[_Like]) -> None:
    """Compare one field of where a commit says that it belongs in another way."""

    class Placed:
        @staticmethod
        def parse(data: bytes) -> list[Any]:
            fields = COMMIT.parse(data)
            fields[place] = like(fields[place])
            return fields

    patch.here(applying, "COMMIT", Placed)


@flaw("transcript-by-prefix", "room-apply-inner-transcript")
def _(patch: Patch) -> None:
    """Compares eight bytes of the transcript, as messages do."""
    _placing(patch, 2, _Like)


@flaw("inner-committer-not-compared", "room-apply-inner-committer")
def _(patch: Patch) -> None:
    """Compares all but the committer's name inside the commit with the one outside."""
    _placing(patch, 3, _LikeAny)


@flaw(
    "commit-read-before-its-place",
    "room-apply-transcript-before-key",
    "room-apply-transcript-before-sanction",
)
def _(patch: Patch) -> None:
    """Reads all of a commit before it looks at whether that builds on this epoch."""

    class Reading:
        @staticmethod
        def parse(data: bytes) -> list[Any]:
            Commit.parse(data)
            return COMMIT.parse(data)

    patch.here(applying, "COMMIT", Reading)


@flaw("entry-version-not-checked", "room-apply-entry-version-0", "room-apply-entry-version-2")
def _(patch: Patch) -> None:
    """Takes a member entry of any version: an old one can come back."""
    strict = vars(applying)["_check_commit"]

    def check(state: Any, parent: Any, committer: Any, its: Any, now: int) -> Any:
        credential = Credential.parse(its.entry, state.id, committer.id, committer.identity)
        before = replace(committer.credential, version=credential.version - 1)
        return strict(state, parent, replace(committer, credential=before), its, now)

    patch.here(applying, "_check_commit", check)


@flaw("expired-accepted", "room-apply-add-expired", "membership-apply-add-expired")
def _(patch: Patch) -> None:
    """Admits by a key package that had expired."""
    strict = operations.apply_operations

    def apply_operations(*given: Any) -> Any:
        parts = list(given)
        parts[7] = 0  # the time
        return strict(*parts)

    patch.everywhere(strict, apply_operations)


@flaw("expired-by-own-clock", "room-apply-add-expired")
def _(patch: Patch) -> None:
    """Judges expiry by its own clock: members disagree on the roster."""
    strict = vars(applying)["_check_commit"]

    def check(state: Any, parent: Any, committer: Any, its: Any, now: int) -> Any:
        for operation in its.operations:
            if isinstance(operation, operations.Add) and now > operation.package.expiry:
                raise RemoteError(Reason.EXPIRED, "expired")
        entitled = operations.apply_operations

        def apply_operations(*given: Any) -> Any:
            parts = list(given)
            parts[7] = now
            return entitled(*parts)

        patch.here(applying, "apply_operations", apply_operations)
        try:
            return strict(state, parent, committer, its, now)
        finally:
            patch.here(applying, "apply_operations", entitled)

    patch.here(applying, "_check_commit", check)


@flaw("expiry-exclusive", "membership-apply-add-at-expiry")
def _(patch: Patch) -> None:
    """Refuses a key package in the very second of its expiry."""
    strict = operations.apply_operations

    def apply_operations(*given: Any) -> Any:
        parts = list(given)
        parts[7] += 1
        return strict(*parts)

    patch.everywhere(strict, apply_operations)


@flaw(
    "clock-lead-301",
    "room-join-commit-301-ahead",
    "room-join-301-ahead",
    "room-join-early-and-signature",
)
def _(patch: Patch) -> None:
    """Holds nothing back until it is 301 seconds ahead."""
    patch.here(applying, "MAX_CLOCK_LEAD", 301)
    patch.here(founding, "MAX_CLOCK_LEAD", 301)


@flaw("clock-not-asked", "room-apply-removed-301-ahead")
def _(patch: Patch) -> None:
    """Applies a commit however far ahead of the clock it is, when it removes this device."""
    strict = vars(applying)["_check_commit"]

    def check(state: Any, parent: Any, committer: Any, its: Any, now: int) -> Any:
        targets = {op.member for op in its.operations if isinstance(op, Sanction)}
        later = its.time if state.own in targets else now
        return strict(state, parent, committer, its, later)

    patch.here(applying, "_check_commit", check)


@flaw(
    "removed-copy-with-slot",
    "room-apply-admin-removes-me",
    "room-apply-made-remove-last-bob",
    "room-apply-made-remove-by-admin-bob",
)
def _(patch: Patch) -> None:
    """Refuses a removal that comes without a slot: it waits for a key it must not get."""
    honest = applying.apply_commit

    def apply_commit(state: RoomState, data: bytes, now: int) -> Any:
        if COMMIT_COPY.parse(data)[1] is None:
            raise RemoteError(Reason.BAD_FORM, "no slot")
        return honest(state, data, now)

    patch.everywhere(honest, apply_commit)


@flaw(
    "ephemeral-key-not-checked",
    "room-join-commit-ephemeral-small",
    "room-apply-key-before-sanction",
)
def _(patch: Patch) -> None:
    """Uses a commit's ephemeral key as it is: the exchange will refuse a bad one."""
    patch.here(commit, "check_dh_key", lambda _: None)


@flaw(
    "turn-leaf-not-checked",
    "room-accept-third-leaf-small",
    "room-accept-second-leaf-small",
    "room-accept-third-leaf-not-canonical",
)
def _(patch: Patch) -> None:
    """Takes any leaf key in a turn: its own answer will then fail."""
    patch.here(turn, "check_dh_key", lambda _: None)


@flaw("proofs-left-out", "room-make-leave", "session-signed-leaving-bob")
def _(patch: Patch) -> None:
    """Commits without the leave requests that it knows: who wants to leave never does."""
    patch.here(group, "embedded", lambda state, operations: [])
