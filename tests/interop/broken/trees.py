"""Mistakes with the tree of epochs: which sibling counts, and what is kept of the others (10.9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from evanesce import applying, speech, state, tree
from evanesce.epoch import SealedCommit
from evanesce.errors import HeldError, Reason, RemoteError
from evanesce.formats import COMMIT_COPY
from evanesce.kept_epoch import Epoch
from evanesce.membership import Member
from evanesce.proofs import Proof, ProofKind, Sanction
from evanesce.state import RoomState

from .flaw import Patch, flaw


def _ordering(patch: Patch, order: Callable[[Any, Member, int, list[Proof]], Any]) -> None:
    """Order siblings in another way."""
    strict = tree.order_of

    def order_of(parent: Epoch, committer: Member, time: int, proofs: Any) -> Any:
        return order(parent, committer, time, list(proofs))

    patch.everywhere(strict, order_of)


@flaw(
    "first-commit-wins",
    "session-signed-fork-cid",
    "session-signed-fork-three-cid",
    "session-signed-remover-removed-bob",
)
def _(patch: Patch) -> None:
    """Goes on from the commit that came first: two that hear them in another order part."""
    patch.everywhere(
        tree.leads, lambda state, parent, order: parent is state.epoch and not state.removed
    )


@flaw(
    "last-commit-wins",
    "session-signed-fork-bob",
    "session-signed-fork-dan",
    "session-signed-moved-bob",
)
def _(patch: Patch) -> None:
    """Goes over to any sibling on its path that comes later."""
    patch.everywhere(tree.leads, lambda state, parent, order: parent in tree.path(state))


@flaw("bucket-below-zero", "order-before", "order-long-before", "session-signed-fork-clocks-ann")
def _(patch: Patch) -> None:
    """Lets a commit from before its parent come before those of the first hour."""
    strict = tree.order_of

    def order(parent: Epoch, committer: Member, time: int, proofs: list[Proof]) -> Any:
        made = strict(parent, committer, time, proofs)
        return (*made[:2], (time - parent.time) // 3_600, *made[3:])

    _ordering(patch, order)


@flaw(
    "order-by-the-second",
    "order-3599",
    "session-signed-fork-same-hour-cid",
    "session-signed-fork-in-the-third-hour-cid",
)
def _(patch: Patch) -> None:
    """Takes the time as it is, and not by the hour: clocks decide, not roles."""
    strict = tree.order_of

    def order(parent: Epoch, committer: Member, time: int, proofs: list[Proof]) -> Any:
        made = strict(parent, committer, time, proofs)
        return (*made[:2], max(0, time - parent.time), *made[3:])

    _ordering(patch, order)


@flaw(
    "order-without-time",
    "order-3600",
    "session-signed-fork-next-hour-cid",
    "session-signed-fork-hours-later-cid",
)
def _(patch: Patch) -> None:
    """Orders by rank alone: an owner undoes what others did days before."""
    strict = tree.order_of

    def order(parent: Epoch, committer: Member, time: int, proofs: list[Proof]) -> Any:
        return strict(parent, committer, parent.time, proofs)

    _ordering(patch, order)


@flaw("order-without-role", "order-admin", "order-member", "room-make-trail-authority")
def _(patch: Patch) -> None:
    """Orders those of one hour by seniority alone."""
    strict = tree.order_of

    def order(parent: Epoch, committer: Member, time: int, proofs: list[Proof]) -> Any:
        made = strict(parent, committer, time, proofs)
        return (*made[:3], 0, made[4])

    _ordering(patch, order)


@flaw(
    "youngest-first",
    "order-younger-owner",
    "session-signed-fork-ann",
    "session-signed-split-bob",
)
def _(patch: Patch) -> None:
    """Lets the member that was admitted last come first."""
    strict = tree.order_of

    def order(parent: Epoch, committer: Member, time: int, proofs: list[Proof]) -> Any:
        made = strict(parent, committer, time, proofs)
        return (*made[:4], (1 << 32) - 1 - made[4])

    _ordering(patch, order)


@flaw(
    "authority-not-asked",
    "order-removal-by-owner",
    "session-signed-clock-put-back-cid",
    "room-make-trail-authority",
)
def _(patch: Patch) -> None:
    """Orders a commit that brings back a lost removal like any other."""
    strict = tree.order_of

    def order(parent: Epoch, committer: Member, time: int, proofs: list[Proof]) -> Any:
        return strict(parent, committer, time, [])

    _ordering(patch, order)


@flaw("authority-of-demotions", "order-demotion", "order-removal-after-others")
def _(patch: Patch) -> None:
    """Lets a lost demotion, too, make a commit come first."""

    def remover(proof: Proof) -> bytes | None:
        return Sanction.parse(proof.signed).author if proof.kind is ProofKind.SANCTION else None

    patch.here(Proof, "remover", property(remover))


@flaw(
    "authority-of-the-committer",
    "order-removal-by-owner",
    "order-removal-by-admin",
    "session-signed-many-lost-ann",
)
def _(patch: Patch) -> None:
    """Takes the rank of who brings a lost removal back, not of who has signed it."""
    strict = tree.order_of

    def order(parent: Epoch, committer: Member, time: int, proofs: list[Proof]) -> Any:
        made = strict(parent, committer, time, proofs)
        return made if made[0] == 3 else (*made[3:], *made[2:])

    _ordering(patch, order)


@flaw("siblings-refused", "session-signed-fork-ann", "session-signed-fork-same-hour-cid")
def _(patch: Patch) -> None:
    """Refuses whatever is committed on an epoch that is over."""
    strict = applying.apply_commit

    def apply_commit(state: RoomState, data: bytes, now: int) -> Any:
        prefix = SealedCommit.parse(COMMIT_COPY.parse(data)[0]).prefix
        if prefix != state.current and prefix in state.epochs:
            raise RemoteError(Reason.REPLAY, "that epoch is over")
        return strict(state, data, now)

    patch.everywhere(strict, apply_commit)


@flaw("punctures-all", "session-signed-fork-cid", "session-signed-fork-same-hour-cid")
def _(patch: Patch) -> None:
    """Erases the inits of all with the first commit on an epoch: no sibling can be opened."""
    strict = applying.take

    def take(state: RoomState, parent: Epoch, *given: Any) -> None:
        strict(state, parent, *given)
        parent.inits.clear()

    patch.everywhere(strict, take)


@flaw(
    "losing-epochs-not-kept",
    "session-signed-fork-bob",
    "session-signed-spoken-falsely-bob",
)
def _(patch: Patch) -> None:
    """Keeps nothing of a sibling that does not lead: what is said in it cannot be read."""
    patch.here(RoomState, "keep_losing", lambda state, epoch, now: None)


@flaw(
    "left-epochs-not-kept",
    "session-signed-fork-ann",
    "session-signed-window-259200-ann",
)
def _(patch: Patch) -> None:
    """Erases the epochs that its path leaves for a better one."""
    strict = RoomState.enter

    def enter(state: RoomState, epoch: Epoch, *given: Any) -> None:
        strict(state, epoch, *given)
        on_path = {each.prefix for each in tree.path(state)}
        for prefix in [p for p in state.epochs if p not in on_path]:
            del state.epochs[prefix]

    patch.here(RoomState, "enter", enter)


@flaw("losing-epochs-closed", "session-signed-fork-deep-cid")
def _(patch: Patch) -> None:
    """Reads messages of losing epochs, but no commits on them."""
    strict = RoomState.keep_losing

    def keep_losing(state: RoomState, epoch: Epoch, now: int) -> None:
        strict(state, epoch, now)
        epoch.handshakes.clear()

    patch.here(RoomState, "keep_losing", keep_losing)


@flaw("removed-heard-beside-the-path", "session-signed-removed-heard-aside-bob")
def _(patch: Patch) -> None:
    """Keeps chains in a losing epoch of members that have been removed."""
    strict = RoomState.keep_losing

    def keep_losing(state: RoomState, epoch: Epoch, now: int) -> None:
        chains = dict(epoch.chains)
        strict(state, epoch, now)
        epoch.chains.update(chains)

    patch.here(RoomState, "keep_losing", keep_losing)


@flaw(
    "removed-for-good",
    "session-signed-remover-removed-dan",
    "session-signed-removal-void-dan",
    "session-signed-removed-twice-dan",
)
def _(patch: Patch) -> None:
    """Does not come back when the commit that removed it loses."""
    strict = tree.leads

    def leads(state: RoomState, parent: Epoch, order: Any) -> bool:
        return not state.removed and strict(state, parent, order)

    patch.everywhere(strict, leads)


@flaw(
    "removed-closes-at-once",
    "session-signed-back-too-late-dan",
    "session-signed-remover-removed-dan",
    "session-signed-removal-void-dan",
)
def _(patch: Patch) -> None:
    """Erases its keys with its removal: the sibling that wins cannot be opened."""
    strict = RoomState.note_removed

    def note_removed(state: RoomState, *given: Any) -> None:
        strict(state, *given)
        for epoch in state.epochs.values():
            strip(epoch)

    strip = state.strip
    patch.here(RoomState, "note_removed", note_removed)


@flaw("removed-by-the-losing-one", "session-signed-removed-aside-dan")
def _(patch: Patch) -> None:
    """Believes that it is out when any commit on its path removes it, also one that has lost."""
    strict = applying.apply_commit

    def apply_commit(state: RoomState, data: bytes, now: int) -> Any:
        kept = len(state.epochs)
        change = strict(state, data, now)
        beside = not (change.leads or change.equivocation or state.removed)
        if beside and len(state.epochs) == kept:  # it removes this device, and was not kept
            state.note_removed(state.epoch, (3, 0, 0, 0, 0), now)
            return replace(change, leads=True, removed_self=True)
        return change

    patch.everywhere(strict, apply_commit)


@flaw("equivocation-is-replay", "session-signed-two-commits-bob", "session-signed-split-bob")
def _(patch: Patch) -> None:
    """Knows that a member has committed on an epoch, and not what: a second one is a replay."""
    strict = applying.apply_commit

    def apply_commit(state: RoomState, data: bytes, now: int) -> Any:
        known = list(state.equivocators)
        change = strict(state, data, now)
        if change.equivocation:
            state.equivocators = known
            raise RemoteError(Reason.REPLAY, "this member has committed")
        return change

    patch.everywhere(strict, apply_commit)


@flaw(
    "convicts-before-the-parent",
    "session-signed-sealed-anew-ann",
    "session-signed-sealed-anew-eve",
    "session-signed-sealed-anew-ann-restarts",
)
def _(patch: Patch) -> None:
    """Takes any other signed commit for an equivocation, before it looks at what it builds on."""
    strict = applying.apply_commit

    def apply_commit(state: RoomState, data: bytes, now: int) -> Any:
        try:
            return strict(state, data, now)
        except RemoteError as error:
            sealed = SealedCommit.parse(COMMIT_COPY.parse(data)[0])
            parent = state.epochs.get(sealed.prefix)
            if error.reason is not Reason.WRONG_TRANSCRIPT or parent is None:
                raise
            if sealed.committer not in parent.taken:
                raise
            state.equivocators.append(sealed.committer)
            return applying.CommitApplied(parent.roster[sealed.committer], leads=False,
                                          equivocation=True)  # fmt: skip

    patch.everywhere(strict, apply_commit)


@flaw("equivocation-is-followed", "session-signed-two-commits-bob", "session-signed-split-bob")
def _(patch: Patch) -> None:
    """Does not note who has committed: the second commit of one author fails as it may."""
    strict = applying.take

    def take(state: RoomState, parent: Epoch, committer: bytes, *given: Any) -> None:
        init = parent.inits.get(committer)
        strict(state, parent, committer, *given)
        del parent.taken[committer]
        if init is not None and committer != state.own:
            parent.inits[committer] = init

    patch.everywhere(strict, take)


@flaw(
    "equivocation-goes-on",
    "session-signed-split-bob",
    "session-signed-moved-equivocation-eve",
    "session-signed-two-commits-bob",
)
def _(patch: Patch) -> None:
    """Tells an equivocation, and goes on speaking in the room."""
    strict = applying.apply_commit

    def apply_commit(state: RoomState, data: bytes, now: int) -> Any:
        change = strict(state, data, now)
        state.equivocators = []
        return change

    patch.everywhere(strict, apply_commit)


@flaw(
    "equivocation-silences-for-good",
    "session-signed-two-commits-bob",
    "session-signed-two-commits-bob-restarts",
)
def _(patch: Patch) -> None:
    """Says nothing any more in a room from which the one who equivocated has been removed."""
    patch.here(RoomState, "convicted", property(lambda its: next(iter(its.equivocators), None)))


@flaw("no-slot-is-bad-form", "session-signed-no-slot-ann", "session-signed-no-slot-dan")
def _(patch: Patch) -> None:
    """Throws away a commit that comes without its slot, and does not ask its author."""
    strict = applying.apply_commit

    def apply_commit(state: RoomState, data: bytes, now: int) -> Any:
        try:
            return strict(state, data, now)
        except HeldError as error:
            if error.reason is Reason.NO_SLOT:
                raise RemoteError(Reason.BAD_FORM, "no slot") from None
            raise

    patch.everywhere(strict, apply_commit)


@flaw("flag-not-asked", "session-signed-waived-removal-cid", "session-signed-waived-ann")
def _(patch: Patch) -> None:
    """Keeps what a member could have committed, whatever it says of it."""
    patch.everywhere(tree.waive, lambda state, epoch, member: None)


@flaw(
    "waives-with-the-flag",
    "session-signed-spoken-nowhere-1-ann",
    "session-signed-strayed-cid",
    "session-signed-leave-lost-bob",
)
def _(patch: Patch) -> None:
    """Erases inits by every message: the commit of a member that has strayed comes too late."""
    patch.here(speech, "STRAYED", 0)


@flaw("flag-not-said", "session-signed-strayed-cid", "session-signed-fork-cid")
def _(patch: Patch) -> None:
    """Never says that it has strayed."""
    patch.everywhere(tree.strayed, lambda state: False)


@flaw("flag-always-said", "session-signed-fork-dan", "session-signed-fork-late-loser-ann")
def _(patch: Patch) -> None:
    """Always says that it has strayed: nothing is ever waived."""
    patch.everywhere(tree.strayed, lambda state: True)


@flaw(
    "strayed-by-commits-alone",
    "session-signed-strayed-ann",
    "session-signed-fork-ann",
    "session-signed-removed-deep-dan",
)
def _(patch: Patch) -> None:
    """Counts the losing epochs that it has opened, and not those in which it has spoken."""

    def strayed(state: RoomState) -> bool:
        on_path = tree.path(state)
        return any(e.opener == state.own and e not in on_path for e in state.epochs.values())

    patch.everywhere(tree.strayed, strayed)


@flaw("waives-the-whole-tree", "session-signed-resync-and-waiver-bob")
def _(patch: Patch) -> None:
    """Erases a speaker's inits in every earlier epoch, on whatever branch."""

    def waive(state: RoomState, epoch: Epoch, member: bytes) -> None:
        for other in state.epochs.values():
            if other.number < epoch.number:
                other.inits.pop(member, None)

    patch.everywhere(tree.waive, waive)


@flaw("waives-former-selves", "session-signed-resync-and-waiver-bob")
def _(patch: Patch) -> None:
    """Takes the word of a member let in anew for what it did before, too."""

    def waive(state: RoomState, epoch: Epoch, member: bytes) -> None:
        for earlier in tree.before(state, epoch):
            earlier.inits.pop(member, None)

    patch.everywhere(tree.waive, waive)


@flaw(
    "waiver-asked-with-the-slot",
    "session-signed-waived-removal-cid",
    "session-signed-waived-ann",
)
def _(patch: Patch) -> None:
    """Looks at the waiver when it opens the slot: a waived commit that removes it is obeyed."""
    strict = applying.apply_commit

    def apply_commit(state: RoomState, data: bytes, now: int) -> Any:
        sealed = SealedCommit.parse(COMMIT_COPY.parse(data)[0])
        parent = state.epochs.get(sealed.prefix)
        if parent is None or sealed.committer in parent.inits:
            return strict(state, data, now)
        parent.inits[sealed.committer] = None  # type: ignore[assignment]
        try:
            return strict(state, data, now)
        except AttributeError:  # there is no init to open it with
            raise RemoteError(Reason.REPLAY, "waived") from None
        finally:
            if sealed.prefix in state.epochs:
                parent.inits.pop(sealed.committer, None)

    patch.everywhere(strict, apply_commit)


@flaw(
    "settles-by-number",
    "session-signed-fork-deep-ann",
    "session-signed-fork-deep-cid",
    "session-signed-moved-eve",
)
def _(patch: Patch) -> None:
    """Closes chains by the numbers of epochs, and not by which leads to which."""

    def before(state: RoomState, epoch: Epoch) -> Any:
        earlier = [each for each in state.epochs.values() if each.number < epoch.number]
        return iter(sorted(earlier, key=lambda each: -each.number))

    patch.here(speech, "before", before)


@flaw(
    "named-branch-not-closed",
    "session-signed-removed-deep-eve",
    "session-signed-spoken-aside-bob",
    "session-signed-spoken-falsely-ann",
)
def _(patch: Patch) -> None:
    """Closes the chains that lead here, and not one on another branch that last spoken names."""
    strict = vars(speech)["_closings"]

    def closings(state: RoomState, epoch: Epoch, header: Any, now: int) -> Any:
        made, lost = strict(state, epoch, header, now)
        here = {each.prefix for each in tree.before(state, epoch)}
        return [pair for pair in made if pair[0].prefix in here], lost

    patch.here(speech, "_closings", closings)


@flaw(
    "unseen-branch-closes-all",
    "session-signed-spoken-nowhere-0-ann",
    "session-signed-fork-late-loser-ann",
    "session-signed-spoken-nowhere-1-ann",
)
def _(patch: Patch) -> None:
    """Takes a last spoken that it does not know for long ago, also when the sender has strayed."""
    strict = vars(speech)["_closings"]

    def closings(state: RoomState, epoch: Epoch, header: Any, now: int) -> Any:
        known = header.last_spoken is None or header.last_spoken[0] in state.epochs
        return strict(state, epoch, header if known else replace(header, flags=0), now)

    patch.here(speech, "_closings", closings)


@flaw(
    "last-spoken-on-the-path-only",
    "session-signed-removed-deep-eve",
    "session-signed-spoken-aside-bob",
    "session-signed-spoken-unknown-bob",
)
def _(patch: Patch) -> None:
    """Refuses a last spoken that names an epoch of another branch."""
    strict = vars(speech)["_closings"]

    def closings(state: RoomState, epoch: Epoch, header: Any, now: int) -> Any:
        named = None if header.last_spoken is None else state.epochs.get(header.last_spoken[0])
        if named is not None and not tree.leads_to(state, named, epoch):
            raise RemoteError(Reason.BAD_COUNT, "another branch")
        return strict(state, epoch, header, now)

    patch.here(speech, "_closings", closings)


@flaw(
    "removal-forgets-last-spoken",
    "session-signed-removal-lost-dan",
    "session-signed-back-in-dan",
    "session-signed-removed-deep-dan",
)
def _(patch: Patch) -> None:
    """Forgets with its removal what it said last: when it comes back, nobody misses that."""
    strict = RoomState.note_removed

    def note_removed(state: RoomState, *given: Any) -> None:
        last = state.last_spoken
        strict(state, *given)
        state.last_spoken = last

    patch.here(RoomState, "note_removed", note_removed)


@flaw("gone-by-the-path-left", "session-signed-admitted-aside-cid")
def _(patch: Patch) -> None:
    """On another branch, takes those for removed whom only the branch before had admitted."""
    strict = RoomState.enter

    def enter(state: RoomState, epoch: Epoch, *given: Any) -> None:
        left = state.epochs[state.current].roster if state.current in state.epochs else ()
        strict(state, epoch, *given)
        for member in left:
            if member.id not in epoch.roster:
                for each in state.epochs.values():
                    each.chains.pop(member.id, None)

    patch.here(RoomState, "enter", enter)


@flaw(
    "returning-is-closed",
    "session-signed-back-too-late-dan",
    "session-signed-removed-twice-dan",
    "session-signed-removal-lost-dan",
)
def _(patch: Patch) -> None:
    """Refuses what it cannot place as soon as it has been removed, though it may come back."""
    patch.here(RoomState, "may_return", False)


@flaw(
    "restart-forgets-who-committed",
    "session-signed-waived-ann-restarts",
    "session-signed-back-too-late-dan-restarts",
    "session-signed-moved-eve-restarts",
)
def _(patch: Patch) -> None:
    """Keeps in memory only who has committed on which epoch."""
    honest = RoomState.load

    def load(records: Any) -> RoomState:
        made = honest(records)
        for epoch in made.epochs.values():
            epoch.taken.clear()
        return made

    patch.here(RoomState, "load", staticmethod(load))


@flaw(
    "restart-forgets-equivocation",
    "session-signed-two-commits-bob",
    "session-signed-two-commits-bob-restarts",
)
def _(patch: Patch) -> None:
    """Keeps in memory only that somebody has equivocated."""
    honest = RoomState.load

    def load(records: Any) -> RoomState:
        made = honest(records)
        made.equivocators = []
        return made

    patch.here(RoomState, "load", staticmethod(load))


@flaw(
    "restart-forgets-proofs",
    "session-signed-removal-lost-cid-restarts",
    "session-signed-back-in-dan",
)
def _(patch: Patch) -> None:
    """Keeps noted removals in memory only."""
    honest = RoomState.load

    def load(records: Any) -> RoomState:
        made = honest(records)
        made.noted.clear()
        return made

    patch.here(RoomState, "load", staticmethod(load))
