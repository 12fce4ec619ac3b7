"""From edges to people: guarded clustering.

Enters: edges, what is known of every row (`Evidence`) and a `Policy`.  Leaves: `Clusters`, a person label for every row
and every bridge that was refused, with its cause.  Edges are taken heaviest first, ties by row number (rows are in record
order), as in Kruskal's forest; but two groups become one only if nothing speaks against it: conflicting unique
identifiers, clearly different first names or birth dates, too little agreement between the groups as wholes, or size.
Splink's own clustering takes every edge; one mistaken bridge then joins two people for good (spec identity I11, I15-I17).
What staff decided (`Rulings` over rows) holds: sides that must stay apart do, whatever bridges them later (I25), and
groups that must be together are in the end, unless that puts two unique identifiers into one person.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from identity.facts import Evidence
from identity.judgements import Rulings
from identity.linkage import Edges

Cause = Literal["unique_identifier", "first_name", "birth_date", "cohesion", "size", "judgement"]
_Tally = dict[int, int]


@dataclass(frozen=True, slots=True)
class Policy:
    """What it takes to call two groups one person.  Weights are log2 odds."""

    threshold: float = 1.0  # two to one
    max_cluster: int = 100  # beyond this nothing is joined automatically
    cohesion: float = 0.0  # least mean weight between two groups, both of two or more records
    crowd: int = 20  # larger groups are rare, so they need a higher mean: this much more at twice the size
    crowd_cohesion: float = 3.0
    unseen: float = -4.0  # weight of a pair that blocking never met
    ceiling: float = 6.0  # one overwhelming pair may not speak for a whole group
    clash_share: float = (
        0.5  # share of contradicting pairs of names (or dates) from which two groups contradict each other
    )
    most_clashes: int = 4  # a contradiction counts once a record on the smaller side, up to this often


@dataclass(frozen=True, slots=True)
class Refusal:
    """A bridge that was not taken: rows and weight of its edge, and why."""

    left: int
    right: int
    weight: float
    cause: Cause


@dataclass(frozen=True, slots=True)
class Clusters:
    """`person[row]` is the smallest row number of its group; refusals are what a reviewer should see."""

    person: NDArray[np.int64]
    ambiguous: tuple[Refusal, ...]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Records per person, in the order of the labels."""
        return np.unique(self.person, return_counts=True)[1].astype(np.int64)


def guarded(
    edges: Edges, evidence: Evidence, policy: Policy | None = None, rulings: Rulings[int] | None = None
) -> Clusters:
    """Cluster the rows. ``rulings``: what staff decided, by row."""
    state = _Groups(edges, evidence, policy or Policy())
    if rulings:
        state.keep_apart(rulings)
    order = np.lexsort((edges.right, edges.left, -edges.weight))
    order = order[edges.weight[order] >= state.policy.threshold]
    refused: dict[tuple[int, int], tuple[float, Cause]] = {}
    for left, right, weight in zip(
        edges.left[order].tolist(), edges.right[order].tolist(), edges.weight[order].tolist(), strict=True
    ):
        a, b = state.find(left), state.find(right)
        if a == b:
            continue
        cause = state.objection(a, b, left, right, weight)
        if cause is None:
            state.merge(a, b)
        elif cause != "judgement":  # what was decided is no open question
            refused[left, right] = (weight, cause)
    if rulings:
        state.bring_together(rulings)
    person = state.labels()
    return Clusters(person, _open_questions(person, refused))


def _open_questions(
    person: NDArray[np.int64], refused: dict[tuple[int, int], tuple[float, Cause]]
) -> tuple[Refusal, ...]:
    """The heaviest refused bridge between each two people that stayed apart."""
    kept: dict[tuple[int, int], Refusal] = {}
    for (left, right), (weight, cause) in refused.items():
        a, b = sorted((int(person[left]), int(person[right])))
        if a != b:
            kept.setdefault((a, b), Refusal(left, right, weight, cause))
    return tuple(kept.values())


class _Groups:
    """Union-find whose roots carry the evidence of their members and the summed weights to other groups."""

    def __init__(self, edges: Edges, evidence: Evidence, policy: Policy) -> None:
        self.policy, self.evidence = policy, evidence
        self.parent = list(range(evidence.rows))
        self.size = [1] * evidence.rows
        self.uniques = [_singles(codes.tolist()) for codes in evidence.uniques]
        self.first, self.birth = evidence.codes(evidence.first_names), evidence.codes(evidence.births)
        self.firsts, self.births = _singles(self.first), _singles(self.birth)
        self.lasts = _singles(evidence.codes(evidence.last_names))
        self.foes: dict[int, set[int]] = {}
        self.links: list[dict[int, tuple[float, int]] | None] = [None] * evidence.rows
        weights = np.clip(edges.weight, -policy.ceiling, policy.ceiling)
        for a, b, w in zip(edges.left.tolist(), edges.right.tolist(), weights.tolist(), strict=True):
            for one, other in ((a, b), (b, a)):
                held = self.links[one]
                if held is None:
                    held = self.links[one] = {}
                held[other] = (w, 1)

    def keep_apart(self, rulings: Rulings[int]) -> None:
        """Note whom staff found to be different people."""
        for left, right in rulings.apart:
            for one in left:
                self.foes.setdefault(one, set()).update(right)
            for one in right:
                self.foes.setdefault(one, set()).update(left)

    def bring_together(self, rulings: Rulings[int]) -> None:
        """Make one whom staff found to be one person, the groups of the oldest rows first; last, so that no such group weighs on the evidence."""
        for group in rulings.together:
            kept: list[int] = []
            for row in sorted(group):
                if not any(self._join(one, row) for one in kept):
                    kept.append(row)

    def _join(self, left: int, right: int) -> bool:
        a, b = self.find(left), self.find(right)
        if a != b:
            if b in self.foes.get(a, ()) or self._two_fold(a, b):
                return False
            self.merge(a, b)
        return True

    def _two_fold(self, a: int, b: int) -> bool:
        return any(len({*(held[a] or ()), *(held[b] or ())}) > 1 for held in self.uniques)

    def find(self, row: int) -> int:
        parent = self.parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def objection(self, a: int, b: int, left: int, right: int, weight: float) -> Cause | None:
        """Why two groups, bridged by the edge (left, right), may not become one."""
        if self._two_fold(a, b):
            return "unique_identifier"
        if self.size[a] + self.size[b] > self.policy.max_cluster:
            return "size"
        known, spare = self.evidence, weight - self.policy.threshold
        names = self._clash(self.firsts[a], self.firsts[b], known.names_agree, self.first, left, right)
        if names and not self._swapped(a, b):
            spare += names * known.first_weight
            if spare < 0:
                return "first_name"
        dates = self._clash(self.births[a], self.births[b], known.births_agree, self.birth, left, right)
        if dates and spare + dates * known.birth_weight < 0:
            return "birth_date"
        if min(self.size[a], self.size[b]) > 1:
            total, count = (self.links[a] or {}).get(b, (0.0, 0))
            pairs = self.size[a] * self.size[b]
            crowding = (
                max(0.0, math.log2((self.size[a] + self.size[b]) / self.policy.crowd)) * self.policy.crowd_cohesion
            )
            if (total + (pairs - count) * self.policy.unseen) / pairs < self.policy.cohesion + crowding:
                return "cohesion"
        # Asked last: a doubt that the evidence raises stays a doubt, and an opt-out still reaches across it.
        return "judgement" if b in self.foes.get(a, ()) else None

    def _clash(
        self,
        a: _Tally | None,
        b: _Tally | None,
        agree: Callable[[int, int], bool],
        codes: list[int],
        left: int,
        right: int,
    ) -> int:
        """How often two groups contradict each other beyond what the bridge itself shows (its weight counted that already)."""
        if not a or not b:
            return 0
        against = sum(n * m for x, n in a.items() for y, m in b.items() if not agree(x, y))
        if against <= self.policy.clash_share * sum(a.values()) * sum(b.values()):
            return 0
        x, y = codes[left], codes[right]
        shown = x >= 0 and y >= 0 and not agree(x, y)
        return min(max(a.values()), max(b.values()), self.policy.most_clashes) - shown

    def _swapped(self, a: int, b: int) -> bool:
        """First and last names in each other's place are no clash."""
        one, other = self._meet(self.firsts[a], self.lasts[b]), self._meet(self.firsts[b], self.lasts[a])
        return (one and (other or not self.lasts[a])) or (other and not self.lasts[b])

    def _meet(self, firsts: _Tally | None, lasts: _Tally | None) -> bool:
        return bool(firsts and lasts) and any(
            self.evidence.first_is_last(x, y) for x in firsts or () for y in lasts or ()
        )

    def merge(self, a: int, b: int) -> None:
        """The larger group keeps its root, ties the smaller row."""
        if (self.size[a], -a) < (self.size[b], -b):
            a, b = b, a
        self.parent[b] = a
        self.size[a] += self.size[b]
        for held in (*self.uniques, self.firsts, self.lasts, self.births):
            other = held[b]
            if other:
                mine = held[a]
                if mine is None:
                    held[a] = other
                else:
                    for code, count in other.items():
                        mine[code] = mine.get(code, 0) + count
                held[b] = None
        mine_links, other_links = self.links[a] or {}, self.links[b] or {}
        mine_links.pop(b, None)
        for neighbour, (total, count) in other_links.items():
            if neighbour == a:
                continue
            before = mine_links.get(neighbour, (0.0, 0))
            joined = (before[0] + total, before[1] + count)
            mine_links[neighbour] = joined
            theirs = self.links[neighbour]
            assert theirs is not None
            theirs.pop(b, None)
            theirs[a] = joined
        self.links[a], self.links[b] = mine_links, None
        for foe in (others := self.foes.pop(b, set())):
            self.foes[foe].discard(b)
            self.foes[foe].add(a)
        if others:
            self.foes.setdefault(a, set()).update(others)

    def labels(self) -> NDArray[np.int64]:
        """Smallest row of the group, for every row."""
        roots = np.array([self.find(r) for r in range(len(self.parent))], dtype=np.int64)
        smallest = np.full(len(roots), len(roots), dtype=np.int64)
        np.minimum.at(smallest, roots, np.arange(len(roots)))
        return smallest[roots]


def _singles(codes: list[int]) -> list[_Tally | None]:
    return [{c: 1} if c >= 0 else None for c in codes]
