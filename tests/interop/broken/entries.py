"""Mistakes with member entries and in joining (chapters 7 and 9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evanesce import commit, founding, membership
from evanesce.commit import SignedCommit
from evanesce.formats import MEMBER_ENTRY
from evanesce.identity import open_signed
from evanesce.membership import Credential, Roster
from evanesce.wire import decode, kind_of

from .flaw import Patch, flaw


@flaw(
    "entry-leaf-not-checked",
    "membership-read-leaf-small",
    "membership-read-room-key-small",
    "membership-read-room-key-order-4",
)
def _(patch: Patch) -> None:
    """Verifies a member entry's signature, and trusts the keys in it."""
    patch.here(membership, "check_dh_key", lambda _: None)
    patch.here(membership, "check_sign_key", lambda _: None)


def _entries_by(patch: Patch, room_too: bool, member_too: bool) -> None:
    """Read member entries as if they named the room or the member that is asked for."""
    honest = Credential.parse

    def parse(
        signed: bytes, room: bytes, member: bytes, who: Any, *, verified: bool = False
    ) -> Credential:
        body, _ = open_signed(signed)
        value = decode(body, limit=2_048)
        if kind_of(value) == MEMBER_ENTRY.type:
            room = value[2] if room_too else room
            member = value[3] if member_too else member
        return honest(signed, room, member, who, verified=verified)

    patch.here(Credential, "parse", staticmethod(parse))


@flaw(
    "entry-of-any-room",
    "membership-read-other-room",
    "membership-roster-other-room",
    "room-accept-first-entry-other-room",
)
def _(patch: Patch) -> None:
    """Takes a member entry that was signed for another room."""
    _entries_by(patch, room_too=True, member_too=False)


@flaw(
    "entry-of-any-member",
    "membership-roster-id-other",
    "membership-read-other-member",
    "room-accept-first-entry-of-receiver",
)
def _(patch: Patch) -> None:
    """Takes a member entry of an earlier stay in the room, under another member id."""
    _entries_by(patch, room_too=False, member_too=True)


@flaw(
    "entry-sign-key-not-checked",
    "membership-read-room-key-small",
    "membership-read-room-key-order-4",
    "room-apply-entry-small-room-key",
)
def _(patch: Patch) -> None:
    """Checks the leaf key of a member entry, and not its room signature key."""
    patch.here(membership, "check_sign_key", lambda _: None)


@flaw(
    "entry-leaf-key-not-checked",
    "membership-read-leaf-small",
    "membership-read-leaf-not-canonical",
    "room-apply-entry-small-key",
)
def _(patch: Patch) -> None:
    """Checks the room signature key of a member entry, and not its leaf key."""
    patch.here(membership, "check_dh_key", lambda _: None)


@flaw(
    "entry-signature-not-checked",
    "membership-read-signed-by-another",
    "membership-roster-credential-changed",
)
def _(patch: Patch) -> None:
    """Takes a member entry without its signature: the commit around it is signed."""
    patch.here(membership, "verify", lambda *_: None)


@flaw(
    "welcome-roster-not-compared",
    "room-join-commit-state-hash",
    "room-join-genesis-other-state",
    "room-join-commit-other-policy",
)
def _(patch: Patch) -> None:
    """Believes the roster of a welcome without comparing it with the state hash."""
    patch.here(founding, "equal", lambda a, b: True)


@flaw("own-expired-accepted", "room-join-commit-other-time")
def _(patch: Patch) -> None:
    """Joins by its own key package although the commit is later than its expiry."""
    strict = vars(founding)["_check_commit"]

    def check(its: Any, *rest: Any) -> Any:
        return replace(strict(replace(its, time=0), *rest), time=its.time)

    patch.here(founding, "_check_commit", check)


@flaw("creator-by-package", "room-join-genesis-own-package-as-entry")
def _(patch: Patch) -> None:
    """Takes a key package for a creator's entry: who has one's card founds rooms for one."""

    def credential(genesis: Any) -> Credential:
        me = membership.creator_id(genesis.room, genesis.creator)
        return Credential.parse(genesis.entry, genesis.room, me, genesis.creator)

    patch.here(commit.Genesis, "credential", credential)


@flaw(
    "inviter-need-not-be-creator",
    "room-join-other-inviter",
    "room-join-commit-other-inviter",
    "room-join-commit-committer-other",
)
def _(patch: Patch) -> None:
    """Joins a room whoever has passed the invitation on."""
    genesis, its_commit = vars(founding)["_check_genesis"], vars(founding)["_check_commit"]

    def check_genesis(its: Any, invitation: Any, *rest: Any) -> Any:
        return genesis(its, replace(invitation, inviter=its.creator), *rest)

    def check_commit(its: Any, invitation: Any, keys: Any, roster: bytes, before: Any) -> Any:
        members = Roster.parse(roster, its.room)
        inviter = members[its.committer].identity
        return its_commit(its, replace(invitation, inviter=inviter), keys, roster, before)

    patch.here(founding, "_check_genesis", check_genesis)
    patch.here(founding, "_check_commit", check_commit)


@flaw(
    "welcome-not-signed",
    "room-join-commit-signature-changed",
    "room-apply-not-signed",
    "room-join-signature-changed",
)
def _(patch: Patch) -> None:
    """Joins without verifying the commit's signature: the inviter has sealed it, after all."""
    patch.here(SignedCommit, "verify", lambda *_: None)


@flaw(
    "roster-not-verified",
    "membership-roster-dh-key-small",
    "membership-roster-key-and-order",
    "membership-roster-sign-key-small",
)
def _(patch: Patch) -> None:
    """Joins without verifying the credentials of the other members."""
    strict = Roster.parse
    patch.here(Roster, "parse", staticmethod(
        lambda data, room, *, verified=False: strict(data, room, verified=True)))  # fmt: skip


@flaw("parent-credential-any-version", "room-join-commit-parent-credential-forged")
def _(patch: Patch) -> None:
    """Verifies the committer's credential at the parent, and not that it is the one before."""
    strict = vars(founding)["_check_commit"]
    honest = Credential.parse

    def check(its: Any, invitation: Any, keys: Any, roster: bytes, before: Any) -> Any:
        new = Roster.parse(roster, its.room)[its.committer].credential.version

        def parse(signed: bytes, *rest: Any, **options: Any) -> Credential:
            made = honest(signed, *rest, **options)
            return replace(made, version=new - 1) if signed == before else made

        patch.here(Credential, "parse", staticmethod(parse))
        try:
            return strict(its, invitation, keys, roster, before)
        finally:
            patch.here(Credential, "parse", staticmethod(honest))

    patch.here(founding, "_check_commit", check)


@flaw("directory-not-checked", "room-join-commit-directory-bad-key", "room-join-directory-bad-key")
def _(patch: Patch) -> None:
    """Takes the mailboxes of a welcome without checking their keys."""
    patch.here(founding, "check_dh_key", lambda _: None)
