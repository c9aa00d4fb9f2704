"""Pending proofs: what a lost commit did to members, and any commit does again (spec 10.9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .errors import LocalError, Reason, RemoteError
from .limits import MAX_NOTED, MAX_PROOFS
from .operations import Operation, Resync, SetRole
from .proofs import Proof, ProofKind, Sanction
from .state import RoomState

__all__ = ["blocks", "embedded", "is_valid", "note", "pending", "require_none_blocking"]


def note(
    state: RoomState, operations: Iterable[Operation], proofs: Iterable[Proof], now: int
) -> None:
    """Note the sanctions and proofs of a commit that is taken or made (REQ-EPOCH-28)."""
    sanctions = (op for op in operations if isinstance(op, Sanction))
    for proof in [*(Proof(ProofKind.SANCTION, each.signed) for each in sanctions), *proofs]:
        if proof not in state.noted:
            state.noted[proof] = now
            state.changed.add(b"noted")
    if len(state.noted) > MAX_NOTED:
        _cut(state)


def _cut(state: RoomState) -> None:
    """Keep to the limit: first what is not pending goes, then what the author of most has noted.

    So nobody can push out a removal of itself by many statements of its own.
    """
    valid = set(pending(state))
    while len(state.noted) > MAX_NOTED:
        void = [proof for proof in state.noted if proof not in valid]
        if void:
            oldest = void[0]
        else:
            authors = Counter(proof.author for proof in state.noted)
            most = max(authors, key=lambda author: (authors[author], author))
            oldest = next(proof for proof in state.noted if proof.author == most)
        del state.noted[oldest]


def is_valid(state: RoomState, proof: Proof) -> bool:
    """Whether a proof holds at the current epoch."""
    # Its signature is verified each time: the roster of another branch may have had another
    # identity under the same id, if an inviter lied about it.
    try:
        proof.check(state.id, state.epoch.roster)
    except RemoteError:
        return False
    return True


def pending(state: RoomState) -> tuple[Proof, ...]:
    """The noted proofs that are valid at the current epoch, in the order they were seen.

    It is asked for with every message, and nearly always the same as the last time.
    """
    if not state.noted:
        return ()
    noted, known = tuple(state.noted), state.pending
    if known is None or known[:2] != (state.current, noted):
        valid = tuple(proof for proof in noted if is_valid(state, proof))
        known = state.pending = (state.current, noted, valid)
    return known[2]


def blocks(state: RoomState) -> bool:
    """Whether another member is still in whose removal has been seen (REQ-EPOCH-28)."""
    return any(proof.removes and proof.member != state.own for proof in pending(state))


def require_none_blocking(state: RoomState) -> None:
    """Raise `LocalError` (removal-pending): a member whose removal has been seen is still in."""
    if blocks(state):
        raise LocalError(Reason.REMOVAL_PENDING, "a lost removal is to be committed first")


def embedded(state: RoomState, operations: Sequence[Operation]) -> list[Proof]:
    """The proofs of a commit with these operations (step 3 of REQ-EPOCH-14): at most 16."""
    named = {state.own} | {op.member for op in operations if isinstance(op, Sanction | SetRole)}
    named |= {op.request.member for op in operations if isinstance(op, Resync)}
    asked = (Proof(ProofKind.LEAVE, signed) for signed in state.leaving.values())
    candidates = [*pending(state), *(p for p in asked if is_valid(state, p))]
    parent = result = state.epoch.roster
    chosen: list[Proof] = []
    for proof in candidates:
        if len(chosen) < MAX_PROOFS and proof.member in result and proof.member not in named:
            after, gone = proof.apply(result, parent, state.epoch.number + 1)
            if all(member.id != state.own for member in gone):  # who goes along leaves it to others
                result = after
                chosen.append(proof)
    return chosen
