"""Random play: the moves that the games on confidentiality draw from, and their verdict.

A game draws a list of moves, plays it, and lets the adversary at what it has. `verdict` compares
what could be read with what the ledger predicted: they must be equal, message by message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st

from evanesce.content import Evaporation
from tests.games.ledger import Break, WrongPrediction
from tests.games.toolkit import Attack
from tests.games.world import HOUR, Message, World

LONG: Final = os.environ.get("EVANESCE_PROFILE") == "long"
Move = tuple[str, int, int]

EVAPORATIONS: Final = (Evaporation(), Evaporation(0), Evaporation(60), Evaporation(None, HOUR))
PASSES: Final = (1, 90, 2 * HOUR, 30 * HOUR, 73 * HOUR, 34 * 24 * HOUR)


def game(examples: int) -> settings:
    """Few examples in the quick profile, twenty times as many in the long one."""
    return settings(max_examples=examples * (20 if LONG else 1), deadline=None)


def moves(
    *weighted: tuple[str, int], least: int = 4, most: int = 24
) -> st.SearchStrategy[list[Move]]:
    """Lists of moves, each kind as often as its weight says."""
    names = [name for name, weight in weighted for _ in range(weight)]
    number = st.integers(0, 63)
    return st.lists(
        st.tuples(st.sampled_from(names), number, number),
        min_size=least, max_size=most * (2 if LONG else 1),
    )  # fmt: skip


def pick(of: Sequence[str], number: int) -> str | None:
    return of[number % len(of)] if of else None


def play(world: World, plan: Sequence[Move], may_take: Sequence[str] = ()) -> None:
    """Do one move after the other; one that cannot be done is left out."""
    for name, a, b in plan:
        ACTS[name](world, a, b, may_take)


def _say(world: World, a: int, b: int, _: Sequence[str]) -> None:
    who = pick(world.active, a)
    if who is not None:
        world.say(who, EVAPORATIONS[b % len(EVAPORATIONS)])


def _hear(world: World, a: int, _b: int, _: Sequence[str]) -> None:
    if world.posts:
        world.hear(world.posts[a % len(world.posts)])


def _again(world: World, a: int, _b: int, _: Sequence[str]) -> None:
    if world.heard:
        post = world.heard[a % len(world.heard)]
        if post.kind != "invitation" and world.hear(post):
            raise Break(f"a {post.kind} was accepted twice")


def _drop(world: World, a: int, _b: int, _: Sequence[str]) -> None:
    if world.posts:
        del world.posts[a % len(world.posts)]


def _all(world: World, a: int, _b: int, _: Sequence[str]) -> None:
    world.hear_all(*([] if a % 3 else filter(None, [pick(world.active, a)])))


def _view(world: World, a: int, b: int, _: Sequence[str]) -> None:
    who = pick(list(world.devices), a)
    if who is not None:
        ids = world.kept(who)
        if ids:
            world.view(who, ids[b % len(ids)])


def _view_all(world: World, a: int, _b: int, _: Sequence[str]) -> None:
    who = pick(world.active, a)
    if who is not None:
        for message in world.kept(who):
            world.view(who, message)


def _refresh(world: World, a: int, _b: int, _: Sequence[str]) -> None:
    who = pick(world.active, a)
    if who is not None:
        world.commit(who)


def _remove(world: World, a: int, b: int, _: Sequence[str]) -> None:
    who, whom = pick(world.active, a), pick(world.active, b)
    if who is not None and whom is not None and who != whom:
        removal = world.removal(whom, who)
        if removal is not None:
            world.commit(who, removal)


def _add(world: World, a: int, b: int, _: Sequence[str]) -> None:
    who = pick(world.active, a)
    if who is not None and world.outsiders:
        new = world.outsiders[-1]
        guest = world.guest(new, last_resort=b % 4 == 0)
        if world.commit(who, guests=[guest]) is not None:
            world.outsiders.pop()


def _pass(world: World, a: int, _b: int, _: Sequence[str]) -> None:
    world.pass_time(PASSES[a % len(PASSES)])


def _restart(world: World, a: int, _b: int, _: Sequence[str]) -> None:
    who = pick(list(world.devices), a)
    if who is not None:
        world.restart(who)


def _take(world: World, a: int, b: int, may_take: Sequence[str]) -> None:
    who = pick(may_take or list(world.devices), a)
    if who is not None:
        world.capture(who, flash=b % 2 == 0)


ACTS: Final[dict[str, Callable[[World, int, int, Sequence[str]], None]]] = {
    "say": _say, "hear": _hear, "again": _again, "drop": _drop, "all": _all, "view": _view,
    "view all": _view_all, "refresh": _refresh, "remove": _remove, "add": _add, "pass": _pass,
    "restart": _restart, "take": _take,
}  # fmt: skip


def verdict(world: World) -> set[bytes]:
    """Let the adversary try everything; return the ids of what it has read.

    Reading one message more than predicted is a break. One that was predicted readable and was not
    read is a wrong prediction. Both fail, for the application's exports as well.
    """
    attack = Attack(world.tape, world.captures)
    read = attack.run()
    predicted = world.ledger.readable()
    told = {message: world.messages[message].body for message in read}
    if read != told:
        raise Break("read something else than was said")
    said = {message: its.body for message, its in world.messages.items()}
    if set(read) - predicted:
        raise Break(f"read: {sorted(said[message] for message in set(read) - predicted)}")
    if predicted - set(read):
        raise WrongPrediction(f"not read: {sorted(said[m] for m in predicted - set(read))}")
    exports = {epoch[:8] for epoch in world.ledger.exports() if epoch in world.notes}
    if attack.exported - exports:
        raise Break("an export of the application is known")
    if exports - attack.exported:
        raise WrongPrediction("an export is not known")
    return set(read)


def must_not_read(read: set[bytes], forbidden: Iterable[Message | None]) -> None:
    """The plain statement of a game, which the ledger's own prediction is held against too."""
    for message in forbidden:
        if message is not None and message.id in read:
            raise Break(f"predicted and read, against the game's own words: {message.body}")
