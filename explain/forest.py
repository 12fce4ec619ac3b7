"""Every tree of a model as arrays, so that the score without each of several reasons costs a fraction of a millisecond.

Enters: a model, one row, groups of its columns. Leaves: for each group the score when just these columns are not known, as `neutral.expected` says it. That one walks tree by tree
and is what a shown reason is tried against; this one goes through all trees at once, level by level. Equal bits wherever it is made: the products are elementwise, the sums exact.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import NDArray

from explain.neutral import MOST, NEAR_ZERO, Leaf, Node, trees
from kernel.model import Model

Floats = NDArray[np.float64]
Whole = NDArray[np.intp]
_LEFT, _RIGHT = 0, 1
_forests: "OrderedDict[str, Forest]" = OrderedDict()  # by the model's digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """The forks of every tree, those of one depth side by side. A way out of fork `i` is `2 i` to the left, `2 i + 1` to the right.

    `levels`: where each depth begins and ends; `came`: by which way a fork is reached (roots: none); `leaves`: the ways that end, with `values`; `alone`: what trees of one
    leaf add. `kinds`: forks that ask for categories.
    """

    columns: Whole
    bounds: Floats
    nan_default: NDArray[np.bool_]
    zero_default: NDArray[np.bool_]
    by_default: NDArray[np.bool_]
    shares: Floats
    levels: tuple[tuple[int, int], ...]
    came: Whole
    leaves: Whole
    values: Floats
    alone: float
    kinds: tuple[tuple[int, Node], ...]

    def without(self, row: Floats, groups: Sequence[Sequence[int]]) -> list[float]:
        """The score of the row without each group of columns: ``float64[k] -> g numbers``."""
        left = self._goes_left(row)
        unknown = np.zeros((len(row), len(groups)), dtype=bool)
        for place, columns in enumerate(groups):
            unknown[list(columns), place] = True
        ways = np.empty((len(self.columns), 2, len(groups)))
        ways[:, _LEFT] = np.where(unknown[self.columns], self.shares[:, None], left[:, None])
        ways[:, _RIGHT] = 1.0 - ways[:, _LEFT]
        flat = ways.reshape(-1, len(groups))
        for begin, end in self.levels[1:]:
            ways[begin:end] *= flat[self.came[begin:end], None]
        ends = flat[self.leaves] * self.values[:, None]
        return [fsum((self.alone, *part[part != 0.0].tolist())) for part in ends.T]

    def _goes_left(self, row: Floats) -> Floats:
        values = row[self.columns]
        absent = np.isnan(values)
        left = np.where(absent, 0.0, values) <= self.bounds
        by_default = (absent & self.nan_default) | ((absent | (np.abs(values) <= NEAR_ZERO)) & self.zero_default)
        left = np.where(by_default, self.by_default, left)
        for place, node in self.kinds:
            left[place] = node.question.left(float(row[node.column]))
        return left.astype(np.float64)


def without(model: Model, row: Floats, groups: Sequence[Sequence[int]]) -> list[float]:
    """The score of the row without each group of columns. A model whose trees nobody can read is asked with nothing there, for all groups at once."""
    if not groups:
        return []
    forest = held(model)
    if forest is not None:
        return forest.without(row, groups)
    empty = np.repeat(row[None, :], len(groups), axis=0)
    for place, columns in enumerate(groups):
        empty[place, list(columns)] = np.nan
    return [float(one) for one in model.score(empty)]


def held(model: Model) -> Forest | None:
    """The trees of a model as arrays, read once; None where nobody can read them."""
    found = _forests.get(model.digest)
    if found is None:
        read = trees(model)
        if read is None:
            return None
        found = _forests[model.digest] = _planted(read)
        while len(_forests) > MOST:
            _forests.popitem(last=False)
    return found


def _planted(read: Sequence[Node | Leaf]) -> Forest:
    forks: list[Node] = []
    came: list[int] = []
    levels: list[tuple[int, int]] = []
    leaves: list[tuple[int, float]] = []
    now = [(-1, one) for one in read if isinstance(one, Node)]
    while now:
        levels.append((len(forks), len(forks) + len(now)))
        came += [way for way, _ in now]
        forks += [node for _, node in now]
        below = list(_ways(now, levels[-1][0]))
        leaves += [(way, node.value) for way, node in below if isinstance(node, Leaf)]
        now = [(way, node) for way, node in below if isinstance(node, Node)]
    asked = [one.question for one in forks]
    return Forest(
        columns=np.array([one.column for one in forks], dtype=np.intp),
        bounds=np.array([one.bound for one in asked]),
        nan_default=np.array([one.missing == "NaN" for one in asked], dtype=bool),
        zero_default=np.array([one.missing == "Zero" for one in asked], dtype=bool),
        by_default=np.array([one.by_default for one in asked], dtype=bool),
        shares=np.array([one.left.count / (one.left.count + one.right.count) for one in forks]),
        levels=tuple(levels),
        came=np.array(came, dtype=np.intp),
        leaves=np.array([way for way, _ in leaves], dtype=np.intp),
        values=np.array([value for _, value in leaves]),
        alone=fsum(one.value for one in read if isinstance(one, Leaf)),
        kinds=tuple((place, one) for place, one in enumerate(forks) if one.question.kinds is not None),
    )


def _ways(now: Sequence[tuple[int, Node]], begin: int) -> Iterator[tuple[int, Node | Leaf]]:
    for place, (_, node) in enumerate(now, begin):
        yield 2 * place + _LEFT, node.left
        yield 2 * place + _RIGHT, node.right
