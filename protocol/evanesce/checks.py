"""What can be refused before key packages are claimed: a refused call uses none up (spec 17)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .engine import Engine
from .errors import LocalError, Reason, local_fault
from .formats import OPERATION_LIMIT
from .holdings import next_prekey
from .keypackage import Card
from .limits import MAX_MEMBERS, MAX_NAME
from .membership import Mode, Policy, Role
from .operations import Add, Wish, apply_operations, signed_operations
from .pending import embedded
from .ports import Transaction
from .primitives import SUITE_1
from .room import Room
from .wire import utf8

__all__ = ["check_commit", "check_direct", "check_group"]

# Whether a package is claimed for a card: then the card's own need not be good any more.
Claims = Callable[[Card], bool]


def _check_cards(
    engine: Engine, tx: Transaction, cards: Sequence[Card], now: int, claims: Claims
) -> None:
    for card in cards:
        if card.identity == engine.owner.identity:
            raise LocalError(Reason.ALREADY_MEMBER, "a device does not invite itself")
        engine.pins.refuse_offered(card.identity)
        if not claims(card):
            card.check_usable(now)
            next_prekey(tx, card.package)


def check_direct(engine: Engine, tx: Transaction, card: Card, now: int, claims: Claims) -> None:
    """Raise `LocalError`: already-member, identity-changed, expired, no-package, unknown-suite."""
    check_group(engine, tx, Policy(Mode.SIGNED), [card], now, claims)


def check_group(
    engine: Engine,
    tx: Transaction,
    policy: Policy,
    cards: Sequence[Card],
    now: int,
    claims: Claims,
) -> None:
    """Raise `LocalError`: wrong-mode, bad-policy, too-large (the name), already-member,
    identity-changed, expired, no-package, too-many-members, unknown-suite.
    """  # fmt: skip
    if policy.mode is Mode.DIRECT:
        raise LocalError(Reason.WRONG_MODE, "a group is not a direct room")
    with local_fault():
        policy.check()
    utf8(engine.name, MAX_NAME)
    _check_cards(engine, tx, cards, now, claims)
    if len({card.identity for card in cards}) < len(cards):
        raise LocalError(Reason.ALREADY_MEMBER, "one device is invited twice")
    if len(cards) + 1 > MAX_MEMBERS:
        raise LocalError(Reason.TOO_MANY_MEMBERS, f"{len(cards) + 1} members")
    if any(card.package.suite != SUITE_1 for card in cards):
        raise LocalError(Reason.UNKNOWN_SUITE, "a key package of another suite")


def check_commit(
    engine: Engine,
    tx: Transaction,
    room: Room,
    wishes: Sequence[Wish],
    guests: Sequence[tuple[Card, Role]],
    now: int,
    claims: Claims,
) -> None:
    """Raise `LocalError`: rolled-back, room-closed, wrong-mode, already-member, identity-changed,
    expired, no-package, too-large, and the reasons of `apply_operations`.
    """  # fmt: skip
    engine.require_fresh(room.id)
    room.state.require_active()
    if room.direct:
        raise LocalError(Reason.WRONG_MODE, "a direct room has turns, not commits")
    if len(wishes) + len(guests) > OPERATION_LIMIT:
        raise LocalError(Reason.TOO_LARGE, f"a commit has at most {OPERATION_LIMIT} operations")
    _check_cards(engine, tx, [card for card, _ in guests], now, claims)
    state, added = room.state, [Add(card.package, role) for card, role in guests]
    with local_fault():
        operations = signed_operations(
            engine.owner, room.id, state.me, room.roster, room.epoch, wishes
        )
        apply_operations(
            room.roster, room.policy, state.suite, room.id, room.epoch, room.transcript, state.me,
            0, [*operations, *added], embedded(state, operations),
        )  # fmt: skip  # time 0: whether what is claimed has expired is seen then
