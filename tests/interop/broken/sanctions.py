"""Mistakes with removals and demotions that hold by themselves (9.7, 9.9, 10.9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from evanesce import (
    applying,
    founding,
    group,
    moving,
    operations,
    pending,
    proofs,
    state,
    tree,
)
from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.membership import Member, Role, Roster
from evanesce.proofs import ProofKind, Sanction
from evanesce.state import RoomState

from .flaw import Patch, flaw


def _passing(patch: Patch, reason: Reason, when: Callable[[Sanction, Roster], bool]) -> None:
    """Let sanctions pass that are refused for this reason, where `when` holds for them."""
    strict = Sanction.check

    def check(sanction: Sanction, room: bytes, roster: Roster, **options: bool) -> Member:
        try:
            return strict(sanction, room, roster, **options)
        except RemoteError as error:
            if error.reason is not reason or not when(sanction, roster):
                raise
            return roster[sanction.member]

    patch.here(Sanction, "check", check)


@flaw(
    "sanction-not-verified",
    "membership-sanction-check-signed-by-another",
    "membership-sanction-check-other-label",
    "membership-sanction-check-changed",
)
def _(patch: Patch) -> None:
    """Takes a sanction without its signature: any member can remove another in an owner's name."""
    _passing(patch, Reason.BAD_SIGNATURE, lambda *_: True)


@flaw(
    "sanction-by-anybody",
    "membership-apply-right-member-demotes-older-owner-to-member",
    "membership-apply-right-member-demotes-older-owner-to-admin",
    "membership-apply-right-member-demotes-older-owner-to-owner",
)
def _(patch: Patch) -> None:
    """Looks at who has signed a sanction, and not at whether that one stands above."""
    _passing(patch, Reason.NOT_ENTITLED, lambda its, roster: its.author in roster)


@flaw(
    "admins-demote",
    "membership-sanction-check-order-right-before-role",
    "room-apply-admin-demotes-owner",
    "room-make-admin-demotes",
)
def _(patch: Patch) -> None:
    """Lets an admin lower the role of whom it outranks."""
    _passing(
        patch,
        Reason.NOT_ENTITLED,
        lambda its, roster: (
            its.author in roster and its.role is not None
            and roster[its.author].role is Role.ADMIN
        ),
    )  # fmt: skip


@flaw(
    "sanction-of-any-room",
    "membership-sanction-check-other-room",
    "membership-sanction-check-order-room-before-member",
    "room-apply-remove-other-room",
)
def _(patch: Patch) -> None:
    """Takes a sanction that was signed for another room."""
    strict = Sanction.check

    def check(sanction: Sanction, room: bytes, roster: Roster, **options: bool) -> Member:
        return strict(sanction, sanction.room, roster, **options)

    patch.here(Sanction, "check", check)


@flaw(
    "sanction-raises",
    "membership-apply-right-owner-demotes-younger-owner-to-owner",
    "membership-apply-right-owner-demotes-admin-to-admin",
    "membership-apply-right-owner-demotes-admin-to-owner",
)
def _(patch: Patch) -> None:
    """Takes a sanction that lowers nothing."""
    _passing(patch, Reason.BAD_PROOF, lambda its, roster: (
        its.role is not None and its.member in roster and its.role >= roster[its.member].role
        and its.admission == roster[its.member].admission))  # fmt: skip


@flaw(
    "ranked-not-asked",
    "membership-sanction-check-ranked-after-next",
    "membership-apply-ranked-ahead-demoted-epoch-of-parent",
    "session-signed-removal-void-bob",
)
def _(patch: Patch) -> None:
    """Does not ask since when a role has been given: an old demotion comes back and holds."""
    _passing(patch, Reason.REPLAY, lambda *_: True)


@flaw(
    "ranked-of-the-same-epoch",
    "membership-sanction-check-ranked-next",
    "membership-apply-ranked-ahead-demoted",
)
def _(patch: Patch) -> None:
    """Takes a role of the very epoch that a demotion was made for as one given after it."""
    strict = Sanction.check

    def check(sanction: Sanction, room: bytes, roster: Roster, **options: bool) -> Member:
        member = strict(sanction, room, roster, **options)
        if sanction.role is not None and member.ranked > sanction.epoch:
            raise RemoteError(Reason.REPLAY, "a role was given since")
        return member

    patch.here(Sanction, "check", check)


@flaw(
    "ranked-not-kept",
    "membership-apply-ranked-raised",
    "membership-apply-ranked-own",
    "room-apply-made-noted-named-bob",
)
def _(patch: Patch) -> None:
    """Leaves out of the roster since when a member has its role."""
    strict = Roster.change

    def change(roster: Roster, member: bytes, **given: Any) -> Roster:
        made = strict(roster, member, **given)
        row = replace(made[member], ranked=roster[member].ranked)
        return Roster({**made.members, member: row}, made.next_seniority)

    patch.here(Roster, "change", change)


@flaw(
    "derived-owner-not-ranked",
    "membership-apply-ranked-derived",
    "room-apply-made-noted-takes-along-ann",
    "room-make-noted-takes-along",
)
def _(patch: Patch) -> None:
    """Gives the role of owner by derivation, and not its date."""
    strict = Roster.with_owner

    def with_owner(roster: Roster, epoch: int) -> Roster:
        return strict(roster, 0)

    patch.here(Roster, "with_owner", with_owner)


@flaw(
    "sponsor-not-kept",
    "membership-apply-ranked-add",
    "room-apply-made-trail-authority-bob",
    "session-signed-beside-removal-dan",
)
def _(patch: Patch) -> None:
    """Writes the founder as the sponsor of everybody."""
    strict = Roster.admit

    def admit(
        roster: Roster, member: bytes, role: Role, package: Any, *, sponsor: int = 0, epoch: int = 0
    ) -> Roster:
        return strict(roster, member, role, package, sponsor=0, epoch=epoch)

    patch.here(Roster, "admit", admit)


@flaw(
    "nobody-taken-along",
    "membership-apply-along-two",
    "membership-apply-along-committer",
    "membership-apply-along-chain",
)
def _(patch: Patch) -> None:
    """Removes the member alone: whom it has admitted beside its removal stays."""
    patch.everywhere(proofs.taken_along, lambda *_: [])


@flaw(
    "takes-along-at-will",
    "membership-apply-along-spares-64",
    "membership-apply-along-spares-last",
    "membership-apply-along-operation",
)
def _(patch: Patch) -> None:
    """Takes along whomever the removed member has admitted, whether listed as spared or not."""
    strict = Sanction.apply

    def apply(sanction: Sanction, *given: Any) -> Any:
        spared = sanction.spared
        return strict(sanction if spared is None else replace(sanction, spared=()), *given)

    patch.here(Sanction, "apply", apply)


@flaw(
    "takes-along-through-the-spared",
    "membership-apply-along-spares-first",
    "membership-apply-along-spares-middle",
)
def _(patch: Patch) -> None:
    """Takes along whom a spared member has admitted, though that one stays."""
    strict = proofs.taken_along

    def taken_along(
        roster: Roster, parent: Roster, author: bytes, target: Member, spared: Any
    ) -> list[Member]:
        found = strict(roster, parent, author, target, ())
        return [member for member in found if member.id[:8] not in spared]

    patch.everywhere(strict, taken_along)


@flaw("rank-after-the-proofs", "membership-apply-along-demoted-before")
def _(patch: Patch) -> None:
    """Asks for ranks as the same commit has made them already."""
    strict = proofs.taken_along

    def taken_along(roster: Roster, parent: Roster, author: bytes, *given: Any) -> list[Member]:
        return strict(roster, roster if author in roster else parent, author, *given)

    patch.everywhere(strict, taken_along)


@flaw(
    "no-list-spares-nobody",
    "membership-apply-along-spares-all",
    "membership-apply-along-spares-65",
)
def _(patch: Patch) -> None:
    """Takes a sanction without a list, which takes nobody along, for one with an empty one."""
    strict = Sanction.apply

    def apply(sanction: Sanction, *given: Any) -> Any:
        unlisted = sanction.role is None and sanction.spared is None
        return strict(replace(sanction, spared=()) if unlisted else sanction, *given)

    patch.here(Sanction, "apply", apply)


@flaw(
    "takes-along-above-itself",
    "membership-apply-along-not-outranked",
    "membership-apply-along-not-outranked-operation",
    "membership-apply-along-of-founder",
)
def _(patch: Patch) -> None:
    """Takes along whom its author could not have removed: an admin so removes owners."""
    strict, honest = proofs.taken_along, Member.outranks

    def taken_along(*given: Any) -> list[Member]:
        patch.here(Member, "outranks", lambda me, other: True)
        try:
            return strict(*given)
        finally:
            patch.here(Member, "outranks", honest)

    patch.everywhere(strict, taken_along)


@flaw(
    "takes-along-one-step",
    "membership-apply-along-chain",
    "membership-apply-along-by-itself",
    "membership-apply-along-committer-last",
)
def _(patch: Patch) -> None:
    """Takes along whom the removed member has admitted, and not whom these have admitted."""
    strict = proofs.taken_along

    def taken_along(
        roster: Roster, parent: Roster, author: bytes, target: Member, spared: Any
    ) -> list[Member]:
        found = strict(roster, parent, author, target, spared)
        return [member for member in found if member.sponsor == target.seniority]

    patch.everywhere(strict, taken_along)


@flaw(
    "proof-of-its-own-removal",
    "membership-apply-kind-1-of-committer",
    "membership-apply-kind-1-demotes-committer",
    "room-apply-proof-sanction-of-committer",
)
def _(patch: Patch) -> None:
    """Lets a member commit a sanction of itself."""
    strict = operations.apply_operations

    def apply_operations(*given: Any) -> Any:
        parts = list(given)
        committer, its = parts[6], parts[9]
        parts[9] = [p for p in its if p.kind is ProofKind.LEAVE or p.member != committer.id]
        return strict(*parts)

    patch.everywhere(strict, apply_operations)


@flaw(
    "sanction-of-another-committed",
    "membership-apply-kind-1-as-operation-of-another",
    "room-apply-remove-by-author",
)
def _(patch: Patch) -> None:
    """Takes a sanction by another as an operation, which is for its author alone."""
    strict = Sanction.check

    def apply_operations(*given: Any) -> Any:
        parts = list(given)
        parts[8] = [
            replace(step, author=parts[6].id) if isinstance(step, Sanction) else step
            for step in parts[8]
        ]
        return honest(*parts)

    def check(sanction: Sanction, room: bytes, roster: Roster, **options: bool) -> Member:
        return strict(Sanction.parse(sanction.signed), room, roster, **options)

    honest = operations.apply_operations
    patch.here(Sanction, "check", check)
    patch.everywhere(honest, apply_operations)


@flaw(
    "sanction-of-any-epoch",
    "membership-apply-ranked-ahead-demoted-too-far",
    "membership-apply-ranked-ahead-removed-epoch-of-parent",
    "membership-apply-ranked-ahead-removed-too-far",
)
def _(patch: Patch) -> None:
    """Takes a sanction in a commit for which it was not made."""
    _for_any_parent(patch, "epoch")


@flaw(
    "sanction-spares-at-will",
    "membership-apply-along-operation-spares-nil",
    "membership-apply-along-operation-order",
    "membership-apply-along-operation-one-less",
)
def _(patch: Patch) -> None:
    """Takes a sanction in a commit whatever it says of whom it spares."""
    _for_any_parent(patch, "spared")


def _for_any_parent(patch: Patch, what: str) -> None:
    strict = operations.apply_operations

    def apply_operations(*given: Any) -> Any:
        roster, number, committer = given[0], given[4], given[6]

        def made(step: Any) -> Any:
            if not isinstance(step, Sanction) or step.member not in roster:
                return step
            target = roster[step.member]
            epoch, spared = proofs.made_for(committer, target, step.role, roster, number)
            if what == "epoch":
                return replace(step, epoch=epoch)
            return replace(step, spared=spared)

        parts = list(given)
        parts[8] = [made(step) for step in parts[8]]
        return strict(*parts)

    patch.everywhere(strict, apply_operations)


@flaw("set-role-lowers", "room-apply-role-lower", "room-make-set-role-lower")
def _(patch: Patch) -> None:
    """Lets an owner lower a role by setting it: a demotion that loses is lost."""
    strict = vars(operations)["_check_entitled"]

    def check(me: Member, operation: Any, roster: Roster, policy: Any) -> None:
        if isinstance(operation, operations.SetRole) and operation.member in roster:
            target = roster[operation.member]
            if me.role is Role.OWNER and me.outranks(target):
                return
        strict(me, operation, roster, policy)

    patch.here(operations, "_check_entitled", check)


@flaw(
    "demotion-sets",
    "membership-apply-kind-1-demoted-twice",
    "membership-apply-kind-1-demoted-and-lowered",
    "membership-apply-ranked-demoted-twice",
)
def _(patch: Patch) -> None:
    """Sets the role that a demotion names, also where another has lowered it further."""
    strict = Sanction.apply

    def apply(sanction: Sanction, roster: Roster, parent: Roster, epoch: int) -> Any:
        made, removed = strict(sanction, roster, parent, epoch)
        if sanction.role is not None and made[sanction.member].role < sanction.role:
            made = made.change(sanction.member, role=sanction.role, epoch=epoch)
        return made, removed

    patch.here(Sanction, "apply", apply)


@flaw(
    "demotion-holds-again",
    "membership-apply-right-owner-demotes-younger-owner-to-member",
    "membership-apply-right-owner-demotes-younger-owner-to-admin",
    "membership-apply-right-owner-demotes-admin-to-member",
)
def _(patch: Patch) -> None:
    """Dates a demotion by the epoch alone: brought back on a longer branch it holds twice."""
    strict = Sanction.apply

    def apply(sanction: Sanction, *given: Any) -> Any:
        return strict(replace(sanction, epoch=0), *given)

    patch.here(Sanction, "apply", apply)


@flaw(
    "pending-not-embedded",
    "room-make-noted-removal",
    "room-make-noted-demotion",
    "room-make-noted-and-leave-of-one",
)
def _(patch: Patch) -> None:
    """Embeds leave requests, and no removal that has lost."""
    strict = vars(group)["embedded"]

    def embedded(state: RoomState, steps: Any) -> Any:
        return [proof for proof in strict(state, steps) if proof.kind is ProofKind.LEAVE]

    patch.here(group, "embedded", embedded)


@flaw(
    "leaving-before-pending",
    "room-make-noted-before-leave",
    "room-make-noted-16",
    "room-make-noted-takes-along",
)
def _(patch: Patch) -> None:
    """Embeds the leave requests first."""
    strict = vars(group)["embedded"]

    def embedded(state: RoomState, steps: Any) -> Any:
        asked = set(state.leaving.values())
        return sorted(strict(state, steps), key=lambda proof: proof.signed not in asked)

    patch.here(group, "embedded", embedded)


@flaw("embeds-what-it-does-itself", "room-make-noted-named")
def _(patch: Patch) -> None:
    """Embeds a proof of a member that its commit names: the commit fails."""
    strict = vars(group)["embedded"]
    patch.here(group, "embedded", lambda state, steps: strict(state, ()))


@flaw("embeds-its-own-end", "room-make-noted-takes-me-along")
def _(patch: Patch) -> None:
    """Embeds a removal that takes itself along: its commit fails."""

    def embedded(state: RoomState, steps: Any) -> Any:
        its, roster = strict(state, steps), state.epoch.roster
        for proof in pending.pending(state):
            if proof not in its and proof.member != state.own:
                _, gone = proof.apply(roster, roster, state.epoch.number + 1)
                if any(member.id == state.own for member in gone):
                    its.append(proof)
        return its

    strict = vars(group)["embedded"]
    patch.here(group, "embedded", embedded)


@flaw(
    "pending-does-not-block",
    "session-signed-leave-lost-cid",
    "session-signed-moved-noted-eve",
    "session-signed-leave-lost-bob",
)
def _(patch: Patch) -> None:
    """Speaks while a member is still there whose removal it has seen."""
    patch.everywhere(pending.require_none_blocking, lambda state: None)


@flaw(
    "demotions-block",
    "session-signed-demotion-lost-cid",
    "session-signed-removal-lost-dan",
    "session-signed-back-in-dan",
)
def _(patch: Patch) -> None:
    """Waits with its messages for demotions, too."""

    def require(state: RoomState) -> None:
        if pending.pending(state):
            raise LocalError(Reason.REMOVAL_PENDING, "pending")

    patch.everywhere(pending.require_none_blocking, require)


@flaw(
    "notes-on-the-path-alone",
    "session-signed-pending-for-a-month-cid",
    "session-signed-leave-lost-ann",
    "session-signed-removal-lost-bob",
)
def _(patch: Patch) -> None:
    """Notes the removals of commits that lead, and not of those that have lost already."""
    strict = applying.apply_commit

    def apply_commit(state: RoomState, data: bytes, now: int) -> Any:
        noted = dict(state.noted)
        change = strict(state, data, now)
        if not change.leads:
            state.noted.clear()
            state.noted.update(noted)
        return change

    patch.everywhere(strict, apply_commit)


@flaw(
    "notes-no-proofs",
    "session-signed-leave-lost-cid",
    "session-signed-leave-lost-bob",
    "session-signed-many-lost-cid",
)
def _(patch: Patch) -> None:
    """Notes the sanctions of commits, and not what they have embedded."""
    strict = pending.note

    def note(state: RoomState, steps: Any, its: Any, now: int) -> None:
        strict(state, steps, (), now)

    patch.everywhere(strict, note)


@flaw("notes-proofs-first", "session-signed-many-lost-cid")
def _(patch: Patch) -> None:
    """Notes what a commit has embedded before what it does itself."""
    strict = pending.note

    def note(state: RoomState, steps: Any, its: Any, now: int) -> None:
        strict(state, (), its, now)
        strict(state, steps, (), now)

    patch.everywhere(strict, note)


@flaw("noted-for-good", "session-signed-pending-for-a-month-cid")
def _(patch: Patch) -> None:
    """Never forgets what it has noted."""

    patch.here(state, "NOTED_LIFETIME", 1 << 40)


@flaw(
    "trail-left-out",
    "session-signed-window-259201-ann",
    "session-signed-never-too-old-ann",
    "session-signed-spoken-nowhere-0-ann",
)
def _(patch: Patch) -> None:
    """Sends welcomes without a trail."""
    for module in (group, founding):
        strict = vars(module)["make_welcome"]

        def make_welcome(*given: Any, strict: Any = strict) -> Any:
            return strict(*given[:-1], ())

        patch.here(module, "make_welcome", make_welcome)


@flaw(
    "trail-without-the-new-epoch",
    "room-make-trail-before",
    "room-make-trail-255",
    "room-make-trail-authority",
)
def _(patch: Patch) -> None:
    """Ends the trail of a welcome with the parent."""
    strict = vars(group)["make_welcome"]

    def make_welcome(*given: Any) -> Any:
        return strict(*given[:-1], given[-1][:-1])

    patch.here(group, "make_welcome", make_welcome)


@flaw(
    "never-moves",
    "session-signed-moved-after-259200-eve",
    "session-signed-moved-same-id-eve",
    "session-signed-moved-eve",
)
def _(patch: Patch) -> None:
    """Stays where it is when it is invited from the branch that has won."""

    patch.everywhere(moving.moves, lambda *_: False)


@flaw(
    "moves-always",
    "session-signed-moved-back-eve",
    "session-signed-moved-by-member-eve",
    "session-signed-moved-after-259201-eve",
)
def _(patch: Patch) -> None:
    """Follows every invitation of a member: the last one that comes counts."""

    patch.everywhere(
        moving.moves,
        lambda old, new, inviter, now: (
            old.joined is not None and new.current not in old.epochs
            and old.epoch.roster.of(inviter) is not None
        ),
    )  # fmt: skip


@flaw("moved-by-who-is-out", "session-signed-moved-by-removed-eve")
def _(patch: Patch) -> None:
    """Follows whoever could admit in any epoch that it keeps, also one who is removed since."""
    strict = moving.moves

    def moves(old: RoomState, *given: Any) -> bool:
        prefix = old.current
        try:
            for each in old.epochs:
                old.current = each
                if strict(old, *given):
                    return True
        finally:
            old.current = prefix
        return False

    patch.everywhere(strict, moves)


@flaw("moves-by-the-longer-trail", "trails-smaller", "trails-authority", "trails-bucket")
def _(patch: Patch) -> None:
    """Takes the longer trail for the better."""
    patch.everywhere(tree.wins, lambda mine, other: len(mine) > len(other))


@flaw("moves-without-what-it-heard", "session-signed-moved-eve")
def _(patch: Patch) -> None:
    """Keeps nothing of the branch that it is moved from: what is on its way there is lost."""

    def move(new: RoomState, old: RoomState) -> None:
        moving.carry_over(new, old)

    patch.everywhere(moving.move, move)


@flaw(
    "moves-without-what-it-noted",
    "session-signed-moved-noted-eve",
    "session-signed-moved-equivocation-eve",
)
def _(patch: Patch) -> None:
    """Forgets with a move whose removal it has seen."""

    patch.everywhere(moving.carry_over, lambda new, old: None)


@flaw(
    "noted-proof-not-verified",
    "session-signed-moved-from-lies-eve",
    "session-signed-moved-from-lies-eve-restarts",
)
def _(patch: Patch) -> None:
    """Verifies a proof when it notes it, and never again: another may have that id elsewhere."""
    strict = pending.is_valid

    def is_valid(state: RoomState, proof: proofs.Proof) -> bool:
        inner = Patch()
        inner.here(proofs, "verify", lambda *_: None)
        try:
            return strict(state, proof)
        finally:
            inner.undo()

    patch.everywhere(strict, is_valid)
