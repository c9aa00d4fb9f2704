"""Boosted trees for pairs, and the area under the curve with its uncertainty. In numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_BINS = 32
_DEPTH = 3
_L2 = 5.0


@dataclass(frozen=True, slots=True)
class Area:
    """Area under the receiver operating characteristic, and where 95 % of bootstraps lie."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def area(scores: Floats, positive: Bools, weights: Floats | None = None) -> float:
    """The chance that a pair of the positive ones has the higher score; ties count half."""
    weights = np.ones(len(scores)) if weights is None else weights
    values, place = np.unique(scores, return_inverse=True)
    good = np.bincount(place, weights * positive, len(values))
    bad = np.bincount(place, weights * ~positive, len(values))
    below = np.cumsum(bad) - bad
    return float((good * (below + bad / 2)).sum() / max(good.sum() * bad.sum(), 1e-9))


def measured(
    scores: Floats, positive: Bools, group: Ints, *, rounds: int = 100, seed: int = 7
) -> Area:
    """The area, with an interval from resampling groups (rooms), since pairs of one depend."""
    draw = np.random.default_rng(seed)
    names, member = np.unique(group, return_inverse=True)
    found = []
    for _ in range(rounds):
        counts = np.bincount(draw.integers(0, len(names), len(names)), minlength=len(names))
        found.append(area(scores, positive, counts[member].astype(np.float64)))
    low, high = np.quantile(found, [0.025, 0.975])
    return Area(area(scores, positive), float(low), float(high))


@dataclass(frozen=True, slots=True)
class _Tree:
    """A complete tree: the feature and the bin of each inner node, the value of each leaf."""

    feature: Ints
    edge: Ints
    leaf: Floats

    def leaves(self, binned: npt.NDArray[np.uint8]) -> Ints:
        node = np.zeros(len(binned), dtype=np.int64)
        rows = np.arange(len(binned))
        for _ in range(_DEPTH):
            right = binned[rows, self.feature[node]] > self.edge[node]
            node = 2 * node + 1 + right
        leaves: Ints = node - (2**_DEPTH - 1)
        return leaves


class Boosted:
    """Gradient boosting with logistic loss, on features cut into bins by their quantiles."""

    def __init__(self, rounds: int = 40, rate: float = 0.2) -> None:
        self.rounds, self.rate = rounds, rate
        self._edges: list[Floats] = []
        self._trees: list[_Tree] = []
        self.gain: Floats = np.zeros(0)

    def fit(self, values: Floats, positive: Bools) -> Boosted:
        """Train."""
        steps = np.linspace(0, 1, _BINS + 1)[1:-1]
        self._edges = [np.unique(np.quantile(column, steps)) for column in values.T]
        self.gain = np.zeros(values.shape[1])
        binned = self._bin(values)
        guess = np.zeros(len(values))
        target = positive.astype(np.float64)
        for _ in range(self.rounds):
            chance = 1 / (1 + np.exp(-guess))
            tree = self._grow(binned, target - chance, chance * (1 - chance))
            self._trees.append(tree)
            guess += self.rate * tree.leaf[tree.leaves(binned)]
        return self

    def score(self, values: Floats) -> Floats:
        """How likely each pair belongs together (log odds)."""
        binned = self._bin(values)
        guess = np.zeros(len(values))
        for tree in self._trees:
            guess += self.rate * tree.leaf[tree.leaves(binned)]
        return guess

    def _bin(self, values: Floats) -> npt.NDArray[np.uint8]:
        columns = [
            np.searchsorted(edges, column).astype(np.uint8)
            for edges, column in zip(self._edges, values.T, strict=True)
        ]
        return np.column_stack(columns)

    def _grow(self, binned: npt.NDArray[np.uint8], slope: Floats, curve: Floats) -> _Tree:
        inner = 2**_DEPTH - 1
        feature = np.zeros(inner, dtype=np.int64)
        edge = np.full(inner, _BINS, dtype=np.int64)
        node = np.zeros(len(binned), dtype=np.int64)
        rows = np.arange(len(binned))
        for level in range(_DEPTH):
            start, width = 2**level - 1, 2**level
            self._split(binned, slope, curve, node - start, width, (feature, edge, start))
            right = binned[rows, feature[node]] > edge[node]
            node = 2 * node + 1 + right
        leaf = node - inner
        total = np.bincount(leaf, slope, 2**_DEPTH)
        weight = np.bincount(leaf, curve, 2**_DEPTH)
        return _Tree(feature, edge, total / (weight + _L2))

    def _split(
        self,
        binned: npt.NDArray[np.uint8],
        slope: Floats,
        curve: Floats,
        node: Ints,
        width: int,
        tree: tuple[Ints, Ints, int],
    ) -> None:
        """The best feature and bin of each node of a level."""
        feature, edge, start = tree
        best = np.full(width, 1e-9)
        for number in range(binned.shape[1]):
            if not len(self._edges[number]):
                continue
            key = node * _BINS + binned[:, number]
            s = np.bincount(key, slope, width * _BINS).reshape(width, _BINS).cumsum(1)
            c = np.bincount(key, curve, width * _BINS).reshape(width, _BINS).cumsum(1)
            whole_s, whole_c = s[:, -1:], c[:, -1:]
            gain = (
                s**2 / (c + _L2)
                + (whole_s - s) ** 2 / (whole_c - c + _L2)
                - whole_s**2 / (whole_c + _L2)
            )
            at = gain.argmax(1)
            top = gain[np.arange(width), at]
            better = top > best
            best[better] = top[better]
            feature[start : start + width][better] = number
            edge[start : start + width][better] = at[better]
            self.gain[number] += top[better].sum()
