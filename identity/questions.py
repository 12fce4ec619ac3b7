"""What staff should be asked first: pairs of records whose answer would change most (identity.I44). Pure.

Enters: a partition, its edges, and the bridges that were refused. Leaves: questions, the dearest first. A question is one pair that stands for two groups: two
people whom a link almost made one, or the two halves of a person that her weakest link holds together. Its value is expected: how likely the answer
changes the graph, times the pairs of records it would put right.

How likely two groups are one person is read off the mean weight between them, a pair that was never compared counting as in the clustering; what the guard
objected to lowers it. Where that turns, and how sharply, is read off the graph itself (``turn``): the halves of its people against the pairs that it keeps apart. Whoever
stands near the turn on the other side is asked about first.
"""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from kernel.ids import RecordId

T = TypeVar("T", RecordId, int)

UNSEEN: Final = -4.0  # bits of a pair that blocking never met: clusters.Policy.unseen
CEILING: Final = 6.0  # one overwhelming pair does not speak for a group: clusters.Policy.ceiling
SHARPEST: Final = 2.0  # natural odds a bit: two groups whose means differ by a bit are never told apart more surely
BLUNTEST: Final = 0.5
FEW: Final = 20  # examples of either side, below which the turn is half-way to a pair that was never compared
CROWD: Final = 20  # larger people are rare: clusters.Policy.crowd, and the odds that each doubling costs
CROWDING: Final = 3.0
JOINED: Final = 2.0  # the guard looked at more than the mean before it joined two halves
OBJECTION: Final = {"birth_date": -6.0, "first_name": -1.0, "unique_identifier": -10.0, "limit": -3.0}


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
    apart = [
        (doubt, between.get(sides) or [doubt.weight], size[groups[doubt.a]], size[groups[doubt.b]])
        for sides, doubt in best.items()
    ]
    parted = [one for group, held in inside.items() if (one := halves(held, size[group])) is not None]
    at = turn(
        [mean(one.weights, one.left, one.right) for one in parted],
        [mean(weights, left, right) for _, weights, left, right in apart],
    )
    for doubt, weights, left, right in apart:
        same = likely(weights, left, right, at, OBJECTION.get(doubt.cause, 0.0))
        found.append(Question(doubt.a, doubt.b, False, doubt.weight, doubt.cause, left, right, same))
    for one in parted:
        other = 1.0 - likely(one.weights, one.left, one.right, at, JOINED)
        found.append(Question(one.a, one.b, True, one.weight, "", one.left, one.right, other))
    return sorted(found, key=lambda q: (-q.value, q.a, q.b))


@dataclass(frozen=True, slots=True)
class Turn:
    """The mean weight at which two groups are one person as often as not, and how fast that changes with it, natural odds a bit."""

    even: float
    steep: float


def turn(joined: Sequence[float], apart: Sequence[float]) -> Turn:
    """Where a graph's own decisions turn: between the means that it mostly joins and those that it mostly keeps apart, the two sides counting alike.

    It errs on as small a share of one side as of the other there, and a bit beyond it the odds are what those shares say; every order of the examples gives the same.
    """
    if min(len(joined), len(apart)) < FEW:
        return Turn(UNSEEN / 2, 1.0)
    one, other = sorted(joined), sorted(apart)
    bounds = sorted({*one, *other})
    far = [abs(bisect_left(one, x) / len(one) - 1 + bisect_left(other, x) / len(other)) for x in bounds]
    at = far.index(min(far))
    even = (bounds[max(0, at - 1)] + bounds[at]) / 2  # anywhere between the two the shares are the same
    width = _spread(one) + _spread(other)
    return Turn(even, max(BLUNTEST, min(SHARPEST, 4.0 / width if width else SHARPEST)))


def _spread(ordered: Sequence[float]) -> float:
    """Between the quartiles."""
    return ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]


def mean(weights: Sequence[float], left: int, right: int) -> float:
    """Of the pairs between two groups of these sizes, from the weights of those that were compared."""
    total = sum(max(-CEILING, min(CEILING, weight)) for weight in weights)
    return (total + (left * right - len(weights)) * UNSEEN) / (left * right)


def likely(weights: Sequence[float], left: int, right: int, at: Turn, spare: float = 0.0) -> float:
    """How likely two groups of these sizes are one person, from the weights of the pairs between them that were compared."""
    beyond = mean(weights, left, right) - at.even
    odds = at.steep * beyond + spare - CROWDING * max(0.0, math.log2((left + right) / CROWD))
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds))))


@dataclass(frozen=True, slots=True)
class Halves(Generic[T]):
    """The weakest link that holds a group together, what it holds, and the weights of the pairs across it."""

    a: T
    b: T
    weight: float
    left: int
    right: int
    weights: Sequence[float]


def halves(edges: Sequence[tuple[T, T, float]], size: int) -> Halves[T] | None:
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
    return Halves(a, b, weight, len(left), size - len(left), [w for x, y, w in edges if (x in left) != (y in left)])


def _sides(one: Hashable, other: Hashable) -> tuple[Hashable, Hashable]:
    return (one, other) if hash(one) <= hash(other) else (other, one)
