"""All orders of delivery of small worlds, against the real code, and what must hold at their end.

A world is a list of steps: who acts, how, and which of the earlier items it had by then. Worlds
that differ in nothing but the order of steps that know nothing of each other are the same; what a
device is after a set of items is computed once, whatever the world (`Lab.seat`).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from evanesce.errors import EvanesceError
from tests.convergence.settling import Broken, Crew, removed_in
from tests.convergence.world import GUEST, LAST, LATER, MEMBERS, Lab, Past

ACTIONS: dict[str, tuple[str, ...]] = {
    "Ann": ("refresh", "add", "remove Dee", "remove Bob", "demote Bob", "promote Cid", "policy",
            "resync Dee", "say", "leave"),
    "Bob": ("refresh", "add", "remove Dee", "resync Dee", "demote Bob", "say", "leave"),
    "Cid": ("refresh", "add", "resync Dee", "say", "leave"),
    "Dee": ("refresh", "refresh<", "add<", "say", "leave"),
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One action, and the places of the earlier steps whose items its maker has."""

    who: str
    action: str
    sees: frozenset[int] = frozenset()


World = tuple[Step, ...]


def concurrent() -> Iterator[World]:
    """Every member does one thing, and nobody has heard of another's."""
    for actions in itertools.product(*(ACTIONS[name] for name in MEMBERS)):
        yield tuple(Step(who, what) for who, what in zip(MEMBERS, actions, strict=True))


def against_one(verb: str) -> Iterator[World]:
    """The same, where Dee keeps one of the others from following it, with its clock put back."""
    for actions in itertools.product(*(ACTIONS[name] for name in MEMBERS[:3])):
        for victim in MEMBERS[:3]:
            whole = (*actions, f"{verb} {victim}")
            yield tuple(Step(who, what) for who, what in zip(MEMBERS, whole, strict=True))


def victims(world: World) -> frozenset[str]:
    """Whom a member of this world keeps from following it."""
    return frozenset(
        step.action.split()[1] for step in world if step.action.startswith(("wrong", "withhold"))
    )


def causal(steps: int, actions: dict[str, tuple[str, ...]]) -> Iterator[World]:
    """Every list of so many steps, with every choice of what each maker had heard of by then."""
    choices = [(who, what) for who in actions for what in actions[who]]
    for chosen in itertools.product(choices, repeat=steps):
        others = [
            [at for at in range(place) if chosen[at][0] != who]
            for place, (who, _) in enumerate(chosen)
        ]  # fmt: skip
        for seen in itertools.product(*(_subsets(places) for places in others)):
            world = tuple(
                Step(who, what, sees) for (who, what), sees in zip(chosen, seen, strict=True)
            )
            if _first_of_its_orders(world):
                yield world


CAUSAL: dict[str, tuple[str, ...]] = {
    "Ann": ("refresh", "remove Dee", "demote Bob", "add", "say", "promote Cid", "resync Dee"),
    "Bob": ("refresh", "remove Dee", "add", "say", "leave"),
    "Cid": ("refresh", "add", "say", "leave"),
    "Dee": ("refresh", "refresh<", "say", "add<"),
}
SPARSE: dict[str, tuple[str, ...]] = {
    "Ann": ("refresh", "remove Dee", "say"),
    "Bob": ("add", "say"),
    "Cid": ("refresh", "say"),
    "Dee": ("refresh<", "say"),
}


def sampled(steps: int, seed: int) -> Iterator[World]:
    """Worlds of so many steps without end, drawn from `CAUSAL` and all that makers may have."""
    draw = random.Random(seed)
    choices = [(who, what) for who in CAUSAL for what in CAUSAL[who]]
    while True:
        world: list[Step] = []
        for place in range(steps):
            who, what = draw.choice(choices)
            sees: set[int] = set()
            for at in range(place):
                if world[at].who == who:
                    sees |= world[at].sees
                elif draw.random() < 0.5:  # and what its maker had done and had then
                    sees |= {at, *world[at].sees}
                    sees |= {n for n in range(at) if world[n].who == world[at].who}
            mine = {at for at in range(place) if world[at].who == who}
            world.append(Step(who, what, frozenset(sees - mine)))
        yield tuple(world)


def _subsets(places: Sequence[int]) -> list[frozenset[int]]:
    return [
        frozenset(some) for size in range(len(places) + 1)
        for some in itertools.combinations(places, size)
    ]  # fmt: skip


def _first_of_its_orders(world: World) -> bool:
    """Whether no neighbours that know nothing of each other stand in the larger order."""
    for place, step in enumerate(world):
        if any(not before.sees <= step.sees for before in world[:place] if before.who == step.who):
            return False  # nobody forgets
    for place in range(len(world) - 1):
        one, two = world[place], world[place + 1]
        if one.who != two.who and place not in two.sees and (two.who, two.action) < (
            one.who, one.action
        ):
            return False
    return True


def play(lab: Lab, world: World) -> list[int] | None:
    """Make the items of a world; None if one of its steps cannot be done there."""
    made: list[tuple[int, ...]] = []
    for step in world:
        had = [k for place, keys in enumerate(made) for k in keys
               if place in step.sees or world[place].who == step.who]  # fmt: skip
        past = lab.inbox(step.who, had)
        for place, keys in enumerate(made):  # nobody forgets
            if world[place].who == step.who:
                past |= lab.items[keys[0]].past
        if lab.seat(step.who, past).held:
            return None  # the same as not to have it
        new = lab.make(step.who, step.action, past)
        if new is None:
            return None
        made.append(new)
    return [key for keys in made for key in keys]


@dataclass
class End(Crew):
    """The devices of a small world when all has been delivered."""

    lab: Lab = field(kw_only=True)
    items: Past = field(kw_only=True)

    def what(self) -> str:
        """What was delivered, for whoever reads a failure."""
        return str([(k, self.lab.items[k].name, sorted(self.lab.items[k].past))
                    for k in sorted(self.items)])  # fmt: skip

    def readable(self) -> None:
        """Every message has been read by all it was for, but for what the property leaves out."""
        for key in self.items:
            item = self.lab.items[key]
            if item.kind != "message":
                continue
            for name in item.copies:
                seat = self.lab.seat(name, self.lab.inbox(name, self.items))
                if name == GUEST or name in self.hurt or seat.records is None:
                    continue
                room = seat.live or seat.room
                gone = {self.names[m] for m in removed_in(room)}
                if item.maker in gone or room.closed or room.state.me.resynced is not None:
                    continue
                if any(f"resync {name}" in self.lab.items[k].name for k in item.past):
                    continue  # sent where it was let in anew, and it may never have come there
                if key not in seat.read:
                    self.fail(f"{name} cannot read {item.name}")

    def repeat(self) -> None:
        """Whatever comes again changes nothing."""
        for name in self.rooms:
            have = self.lab.inbox(name, self.items)
            seat = self.lab.seat(name, have)
            if seat.records is None:
                continue
            room = seat.room
            before = room.digest()
            for key in have:
                item = self.lab.items[key]
                if name not in item.copies or item.kind == "invitation" or key in seat.held:
                    continue
                try:
                    if item.kind == "commit":
                        room.apply(item.copies[name], LATER)
                    else:
                        room.receive(item.copies[name], LATER)
                    self.fail(f"{name} takes {item.name} twice")
                except EvanesceError:
                    pass
            if room.digest() != before:
                self.fail(f"{name} is changed by what comes again")


def finish(lab: Lab, items: Iterable[int], hurt: Iterable[str] = ()) -> None:
    """Deliver all of a world in every order, let it settle, and check all that must hold."""
    rooms, knows = {}, set()
    for name in (*MEMBERS, GUEST):
        seat = lab.seat(name, lab.inbox(name, items))
        if seat.records is not None:
            rooms[name] = seat.room
        if seat.held or any(reason.startswith("bad") for _, reason in seat.told):
            knows.add(name)
    end = End(
        lab.people, dict(lab.names), rooms, LAST, knows, frozenset(hurt), frozenset({GUEST}),
        lab=lab, items=frozenset(items),
    )  # fmt: skip
    end.readable()
    end.repeat()
    end.all_settle()
    lab.counts.worlds += 1
    lab.counts.ghosts += end.ghosts


@dataclass(frozen=True)
class Explored:
    """What came of a family of worlds."""

    worlds: int
    impossible: int  # a step of it could not be done there, or was the same as in another
    states: int
    deliveries: int
    ghosts: int


def explore(worlds: Iterable[World], most: int | None = None) -> Explored:
    """Explore worlds, and raise `Broken` at the first in which something does not hold.

    `most` counts those that could be played. What a device is after a set of items is computed once
    for all worlds of the family.
    """
    lab, impossible = Lab(), 0
    for world in worlds:
        if most is not None and lab.counts.worlds == most:
            break
        items = play(lab, world)
        if items is None:
            impossible += 1
            continue
        finish(lab, items, victims(world))
    counts = lab.counts
    return Explored(counts.worlds, impossible, counts.states, counts.steps, counts.ghosts)


__all__ = ["ACTIONS", "CAUSAL", "SPARSE", "Broken", "End", "Explored", "Lab", "Step", "World",
           "against_one", "causal", "concurrent", "explore", "finish", "play", "sampled",
           "victims"]  # fmt: skip
