"""The attack: learn on the seizures of one world, guess on those of another.

It does to every store the same: `examine` the folder, pair up what was found, train, score. What
differs from store to store is only the scorer's knowledge (`Case.finder`): under which names each
mailbox of the world could be found at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .classifier import Area, Boosted, area, measured
from .evidence import Evidence, Family, Opener, examine
from .happenings import World
from .pairs import Bools, Features, Finder, Floats, Ints, features, find_units, sample_pairs

ROOM, OWNER = "room", "owner"

Reader = Callable[[Evidence], dict[str, Family]]
"""An attacker's own way to find mailboxes, with what he knows besides (addresses, say)."""


@dataclass(frozen=True, slots=True)
class Case:
    """One seized folder: what is in it (`folder`), what else the attacker has (`opener`, `reader`).

    `finder` and `world` are the scorer's.
    """

    world: World
    folder: Path
    finder: Finder
    numbered: Collection[str] = ()
    opener: Opener | None = None
    reader: Reader | None = None
    memory: dict[str, Evidence] = field(default_factory=dict, repr=False)

    def examine(self) -> Evidence:
        """All that is found in the folder; it is looked through once."""
        if "evidence" not in self.memory:
            self.memory["evidence"] = self._examine()
        return self.memory["evidence"]

    def _examine(self) -> Evidence:
        evidence = examine(self.folder, self.numbered, self.opener)
        if self.reader is not None:
            evidence.families.update(self.reader(evidence))
        return evidence


@dataclass(frozen=True, slots=True)
class Finding:
    """How well one kind of candidates tells which mailboxes belong together."""

    family: str
    question: str
    pairs: int
    trained: Area
    single: tuple[str, Area]  # the hand-made score that is furthest from chance
    scores: int  # how many of those there are
    used: list[str]  # what the trained classifier used most

    @property
    def worst(self) -> float:
        """The largest distance from chance."""
        return max(abs(self.trained.value - 0.5), abs(self.single[1].value - 0.5))

    def __str__(self) -> str:
        name, single = self.single
        return (
            f"{self.question}, {self.family}: trained {self.trained}, best of {self.scores}"
            f" single scores {single} ({name}), {self.pairs} pairs; used {self.used[:3]}"
        )


@dataclass(slots=True)
class _Data:
    """Pairs of one family from several seizures, as one."""

    features: list[Features] = field(default_factory=list)
    together: list[Bools] = field(default_factory=list)
    group: list[Ints] = field(default_factory=list)

    def values(self, names: Sequence[str]) -> Floats:
        parts = []
        for one in self.features:
            column = {name: n for n, name in enumerate(one.names)}
            part = np.zeros((len(one.values), len(names)))
            for n, name in enumerate(names):
                if name in column:
                    part[:, n] = one.values[:, column[name]]
            parts.append(part)
        return np.concatenate(parts)


def _groups(world: World, question: str) -> dict[int, Hashable]:
    if question == OWNER:
        return {box.number: box.owner for box in world.boxes}
    return {b.number: ("contact", b.number) if b.room is None else b.room for b in world.boxes}


def link_copies(
    training: Sequence[tuple[Family, dict[int, Hashable]]],
    trial: Sequence[tuple[Family, dict[int, Hashable]]],
    *,
    traits: Sequence[str] = (),
    without: str = "?",
    most: int = 3_000,
) -> Finding:
    """How well rows that are copies of one message are told from others.

    With `traits`, only from others that have these in common with them. `without` leaves out
    features whose names begin so.
    """
    learned, data = _Data(), _Data()
    for into, seizures in ((learned, training), (data, trial)):
        for seed, (family, groups) in enumerate(seizures):
            alike: dict[int, Hashable] = {
                n: tuple(family[n].scalars[trait] for trait in traits) for n in groups
            }
            sample = sample_pairs(groups, most, seed, alike=alike)
            if len(sample.pairs) < 50:
                continue
            found = features({n: family[n] for n in groups}, family, sample.pairs)
            keep = [i for i, name in enumerate(found.names) if not name.startswith(without)]
            into.features.append(Features([found.names[i] for i in keep], found.values[:, keep]))
            into.together.append(sample.together)
            into.group.append(sample.group + 100_000 * seed)
    return _measure("rows", "message", learned, data)


def _collect(cases: Sequence[Case], question: str, most: int) -> dict[str, _Data]:
    collected: dict[str, _Data] = {}
    for seed, case in enumerate(cases):
        truth = _groups(case.world, question)
        for name, family in case.examine().families.items():
            units = find_units(family, list(truth), case.finder)
            if len(units) < 20:
                continue
            sample = sample_pairs({m: truth[m] for m in units}, most, seed)
            if len(sample.pairs) < 100:
                continue
            data = collected.setdefault(name, _Data())
            data.features.append(features(units, family, sample.pairs))
            data.together.append(sample.together)
            # Groups of two seizures of one world are the same rooms: they are resampled together.
            data.group.append(sample.group + 100_000 * hash_of(case.world))
    return collected


def hash_of(world: World) -> int:
    """A small number that tells worlds apart."""
    return int.from_bytes(world.boxes[0].address[:3], "big")


def attack(
    training: Sequence[Case], trial: Sequence[Case], question: str = ROOM, *, most: int = 2_000
) -> list[Finding]:
    """Every family found in both: trained on the one, measured on the other. Worst comes first.

    `most` bounds the pairs of each kind that a seizure gives.
    """
    learned = _collect(training, question, most)
    findings = []
    for family, data in _collect(trial, question, most).items():
        if family not in learned:
            continue
        findings.append(_measure(family, question, learned[family], data))
    return sorted(findings, key=lambda finding: -finding.worst)


def _measure(family: str, question: str, learned: _Data, data: _Data) -> Finding:
    names = sorted({name for one in learned.features for name in one.names})
    values, truth = learned.values(names), np.concatenate(learned.together)
    model = Boosted().fit(values, truth)
    tried, together, group = data.values(names), np.concatenate(data.together), np.concatenate(
        data.group
    )
    singles = [(abs(area(column, together) - 0.5), n) for n, column in enumerate(tried.T)]
    best = max(singles)[1]
    order = np.argsort(-model.gain)
    return Finding(
        family,
        question,
        len(together),
        measured(model.score(tried), together, group),
        (names[best], measured(tried[:, best], together, group)),
        len(names),
        [names[n] for n in order[:5] if model.gain[n] > 0],
    )
