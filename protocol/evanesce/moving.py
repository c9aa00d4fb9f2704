"""Being brought over to another branch by an invitation, or let in anew (spec 12.5 and 10.13)."""

from __future__ import annotations

from .identity import Identity
from .kept_epoch import Epoch
from .limits import MOVE_WINDOW
from .membership import Role
from .state import RoomState, strip
from .tree import Trail, trail, wins

__all__ = ["carry_over", "has_lost", "is_better", "move", "moves"]


def moves(old: RoomState, new: RoomState, inviter: Identity, now: int) -> bool:
    """Whether an invitation that gave the state `new` moves this device (REQ-ENV-24)."""
    if old.joined is None or now - old.joined > MOVE_WINDOW or new.current in old.epochs:
        return False
    if not _may_admit(old.epoch, inviter):
        return False
    return is_better(trail(new), new.epoch.time, trail(old), old.epoch.time)


def is_better(new: Trail, new_time: int, old: Trail, old_time: int) -> bool:
    """Whether a trail wins against another; the times are of the last commit of each."""
    won = wins(new, old)
    return new_time > old_time if won is None else won


def _may_admit(epoch: Epoch, inviter: Identity) -> bool:
    member = epoch.roster.of(inviter)
    return member is not None and (member.role >= Role.ADMIN or epoch.policy.members_may_add)


def has_lost(old: RoomState, new: RoomState) -> bool:
    """Whether an invitation is of a branch that has lost to the one this device is on."""
    return wins(trail(old), trail(new)) is True


def carry_over(new: RoomState, old: RoomState) -> None:
    """What has been noted stays so, over a move and a resync (REQ-EPOCH-28, 29)."""
    new.noted = {**old.noted, **new.noted}
    new.equivocators = list(old.equivocators)
    new.changed |= {b"state", b"noted"}


def move(new: RoomState, old: RoomState) -> None:
    """Take `new` in place of `old`, whose epochs are only read from now on (REQ-ENV-24)."""
    carry_over(new, old)
    leaving = {member: signed for member, signed in old.leaving.items() if member != old.own}
    new.leaving = {**leaving, **new.leaving}
    for epoch in old.epochs.values():
        strip(epoch)
        epoch.spoken = False  # what it did there it did by another id
        epoch.superseded = new.refreshed if epoch.superseded is None else epoch.superseded
    new.epochs = {**old.epochs, **new.epochs}
    new.directory = {**old.directory, **new.directory}
    new.changed |= set(new.record_names())
