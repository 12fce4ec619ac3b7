"""What staff should be asked first: pairs of records whose answer would change most (identity.I44). Pure.

Enters: a partition, its edges, and the bridges that were refused. Leaves: questions, the dearest first. A question is one pair that stands for two groups: two
people whom a link almost made one, or the two halves of a person that her weakest link holds together. Its value is expected: how likely the answer
changes the graph, times the pairs of records it would put right.

How likely two groups are one person is read off the mean weight between them, a pair that was never compared counting as in the clustering; what the guard
objected to lowers it. The constants were read off the answers to be expected on historical_50k; on other data the order holds where the figures
do not.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from kernel.ids import RecordId

T = TypeVar("T", RecordId, int)

UNSEEN: Final = -4.0  # bits of a pair that blocking never met: clusters.Policy.unseen
CEILING: Final = 6.0  # one overwhelming pair does not speak for a group: clusters.Policy.ceiling
EVEN: Final = -2.8  # the mean weight at which two groups were one person as often as not
STEEP: Final = 2.0  # how fast that changes with the mean, natural odds a bit
CROWD: Final = 20  # larger people are rare: clusters.Policy.crowd, and the odds that each doubling costs
CROWDING: Final = 3.0
JOINED: Final = 2.0  # the guard looked at more than the mean before it joined two halves
OBJECTION: Final = {"birth_date": -6.0, "first_name": -1.0, "unique_identifier": -10.0}


@dataclass(frozen=True, slots=True)
class Doubt(Generic[T]):
    """A link between two records of different people that was refused (``cause``) or too faint (empty)."""

    a: T
    b: T
    weight: float
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """Are these two records one person's? ``one``: whether their groups are one person now. ``left``, ``right``: records on either side.

    ``chance``: how likely the answer changes that; ``value``: chance times pairs of records.
    """

    a: T
    b: T
    one: bool
    weight: float
    cause: str
    left: int
    right: int
    chance: float

    @property
    def value(self) -> float:
        """Pairs of records that the answer is expected to put right."""
        return self.chance * self.left * self.right


def ask(
    groups: Mapping[T, Hashable], edges: Sequence[tuple[T, T, float]], doubts: Iterable[Doubt[T]]
) -> list[Question[T]]:
    """Questions about these groups, the dearest first; equal ones by record."""
    size: dict[Hashable, int] = defaultdict(int)
    for group in groups.values():
        size[group] += 1
    inside: dict[Hashable, list[tuple[T, T, float]]] = defaultdict(list)
    between: dict[tuple[Hashable, Hashable], list[float]] = defaultdict(list)
    for a, b, weight in edges:
        one, other = groups[a], groups[b]
        if one == other:
            inside[one].append((a, b, weight))
        else:
            between[_sides(one, other)].append(weight)
    found = []
    best: dict[tuple[Hashable, Hashable], Doubt[T]] = {}
    for doubt in doubts:
        sides = _sides(groups[doubt.a], groups[doubt.b])
        known = best.get(sides)
        if sides[0] != sides[1] and (
            known is None or (bool(doubt.cause), doubt.weight) > (bool(known.cause), known.weight)
        ):
            best[sides] = doubt
    for sides, doubt in best.items():
        left, right = size[groups[doubt.a]], size[groups[doubt.b]]
        weights = between.get(sides) or [doubt.weight]
        same = likely(weights, left, right, OBJECTION.get(doubt.cause, 0.0))
        found.append(Question(doubt.a, doubt.b, False, doubt.weight, doubt.cause, left, right, same))
    for group, held in inside.items():
        if (weakest := halves(held, size[group])) is not None:
            found.append(weakest)
    return sorted(found, key=lambda q: (-q.value, q.a, q.b))


def likely(weights: Sequence[float], left: int, right: int, spare: float = 0.0) -> float:
    """How likely two groups of these sizes are one person, from the weights of the pairs between them that were compared."""
    total = sum(max(-CEILING, min(CEILING, weight)) for weight in weights)
    mean = (total + (left * right - len(weights)) * UNSEEN) / (left * right)
    odds = STEEP * (mean - EVEN) + spare - CROWDING * max(0.0, math.log2((left + right) / CROWD))
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds))))


def halves(edges: Sequence[tuple[T, T, float]], size: int) -> Question[T] | None:
    """The weakest link that holds a group together, and what it holds: the last edge of the maximum spanning tree (Kruskal)."""
    parent: dict[T, T] = {}

    def root(one: T) -> T:
        while (up := parent.get(one, one)) != one:
            parent[one] = one = parent.get(up, up)
        return one

    tree: list[tuple[T, T, float]] = []
    for a, b, weight in sorted(edges, key=lambda e: (-e[2], e[0], e[1])):
        x, y = root(a), root(b)
        if x != y:
            parent[y] = x
            tree.append((a, b, weight))
    if not tree:
        return None
    a, b, weight = tree.pop()
    near: dict[T, list[T]] = defaultdict(list)
    for x, y, _ in tree:
        near[x].append(y)
        near[y].append(x)
    left = {a}
    ends = [a]
    while ends:
        for other in near[ends.pop()]:
            if other not in left:
                left.add(other)
                ends.append(other)
    weights = [w for x, y, w in edges if (x in left) != (y in left)]
    right = size - len(left)
    return Question(a, b, True, weight, "", len(left), right, 1.0 - likely(weights, len(left), right, JOINED))


def _sides(one: Hashable, other: Hashable) -> tuple[Hashable, Hashable]:
    return (one, other) if hash(one) <= hash(other) else (other, one)
