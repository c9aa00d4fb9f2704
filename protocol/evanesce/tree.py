"""The tree of epochs of a group, and the path through it (spec 10.9).

Siblings are all kept. From each epoch the path goes on to the child of the smallest order, which
follows from the commits alone: who has taken the same commits is in the same epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .limits import FORK_BUCKET
from .membership import Member
from .proofs import Proof

if TYPE_CHECKING:
    from .kept_epoch import Epoch
    from .state import RoomState

__all__ = ["Lineage", "Order", "Trail", "as_order", "as_trail", "before", "kept_trail",
           "leads", "leads_to", "lineage", "order_of", "path", "strayed", "trail", "waive",
           "wins"]  # fmt: skip

# Authority (2), bucket, 2 - role, seniority: the smaller comes first.
Order = tuple[int, int, int, int, int]
_NO_AUTHORITY = (3, 0)
# Prefix and order of epochs of a path, oldest first; None where the order is not known.
Trail = tuple[tuple[bytes, Order | None], ...]


def order_of(parent: Epoch, committer: Member, time: int, proofs: Iterable[Proof]) -> Order:
    """The order of a commit on `parent`: fixed by the commit alone (REQ-EPOCH-20).

    A removal that has lost and comes back as a proof comes first, or its target could make every
    commit lose that removes it.
    """
    authority = min(
        (_standing(parent.roster[author]) for proof in proofs if (author := proof.remover)),
        default=_NO_AUTHORITY,
    )
    bucket = max(0, time - parent.time) // FORK_BUCKET
    return *authority, bucket, *_standing(committer)


def as_order(value: Sequence[int]) -> Order:
    """An order as it was encoded."""
    first, second, bucket, role, seniority = value
    return first, second, bucket, role, seniority


def _standing(member: Member) -> tuple[int, int]:
    return 2 - member.role, member.seniority


def before(state: RoomState, epoch: Epoch) -> Iterator[Epoch]:
    """The kept epochs that lead to `epoch`, from the newest to the oldest."""
    while epoch.parent is not None and epoch.parent in state.epochs:
        epoch = state.epochs[epoch.parent]
        yield epoch


@dataclass(frozen=True, slots=True)
class Lineage:
    """An epoch and those that lead to it: who speaks in it has every commit up to it."""

    prefixes: frozenset[bytes]  # of those that are kept
    oldest: int  # the number of the oldest of them: what opened an earlier one is settled too

    def has(self, prefix: bytes, number: int) -> bool:
        """Whether an epoch of this prefix and number is among them."""
        return prefix in self.prefixes or number < self.oldest


def lineage(state: RoomState, prefix: bytes) -> Lineage:
    """That of an epoch that is kept."""
    epochs = [state.epochs[prefix], *before(state, state.epochs[prefix])]
    return Lineage(frozenset(epoch.prefix for epoch in epochs), epochs[-1].number)


def leads_to(state: RoomState, earlier: Epoch, later: Epoch) -> bool:
    """Whether `later` is a child of `earlier`, or of one that it leads to."""
    if earlier.number >= later.number:
        return False
    return any(epoch is earlier for epoch in before(state, later))


def path(state: RoomState) -> list[Epoch]:
    """The kept epochs of the path, from the current one back."""
    return [state.epoch, *before(state, state.epoch)]


def leads(state: RoomState, parent: Epoch, order: Order) -> bool:
    """Whether a commit of this order on `parent` comes onto the path (step 3 of REQ-EPOCH-27)."""
    if parent is state.epoch:
        return not state.removed or (state.removal is not None and order < state.removal)
    following = state.epoch
    for epoch in before(state, state.epoch):
        if epoch is parent:
            # Of epochs that an earlier version kept no order is known: those stay on the path.
            return following.order is not None and order < following.order
        following = epoch
    return False


def strayed(state: RoomState) -> bool:
    """Whether this device has opened or spoken in a kept epoch beside its path (REQ-EPOCH-30)."""
    on_path = {epoch.prefix for epoch in path(state)}
    return any(
        prefix not in on_path and (epoch.opener == state.own or epoch.spoken)
        for prefix, epoch in state.epochs.items()
    )


def waive(state: RoomState, epoch: Epoch, member: bytes) -> None:
    """`member` has spoken in `epoch` and not strayed: it commits on none before (REQ-EPOCH-30)."""
    stay = epoch.roster[member].resynced
    for earlier in before(state, epoch):
        stood = earlier.roster.members.get(member)
        if stood is None or stood.resynced != stay:
            continue  # what it did before it was let in anew it has forgotten
        if earlier.inits.pop(member, None) is not None:
            state.changed.add(b"epoch/" + earlier.prefix)


def as_trail(value: Sequence[Any]) -> Trail:
    """A trail as it was encoded."""
    return tuple((prefix, None if order is None else as_order(order)) for prefix, order in value)


def kept_trail(state: RoomState) -> Trail:
    """The epochs of the path that are kept, as a welcome tells them (REQ-INV-05)."""
    return tuple((epoch.prefix, epoch.order) for epoch in reversed(path(state)))


def trail(state: RoomState) -> Trail:
    """The path as far as this device knows it: what it was told when it joined, and since."""
    told = {prefix for prefix, _ in state.trail}
    return (*state.trail, *(step for step in kept_trail(state) if step[0] not in told))


def wins(mine: Trail, other: Trail) -> bool | None:
    """Whether the path of one trail is the better one; None: they share nothing (REQ-ENV-24)."""
    places = {prefix: place for place, (prefix, _) in enumerate(other)}
    shared = [(here, places[p]) for here, (p, _) in enumerate(mine) if p in places]
    if not shared:
        return None
    here, there = shared[-1]
    if len(mine) == here + 1 or len(other) == there + 1:
        return False  # one goes on from the other: nobody has lost
    first, second = mine[here + 1][1], other[there + 1][1]
    return first is not None and (second is None or first < second)
