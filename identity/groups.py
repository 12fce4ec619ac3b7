"""The guard at work: groups of records that grow edge by edge, and what is said against two of them becoming one.

Enters: the rows of disputed components, the edges among them, evidence and policy.  Leaves: a label a row and the refused bridges with their causes.  In order:

- *unique_identifier*: two values of an identifier that one person has one of, however heavy the edge (I11).
- *limit*: more values of a kind in a time than one person may have, where the edge rests on nothing more important than that kind (I12; limits.py).
- *size*: the limit of the policy; the bridge is kept for review (I16).
- *first_name*, *birth_date*: the groups contradict each other more often than the bridge itself shows.  A declared edge (`Policy.certain`) shows nothing, and no such edge joins two of different name and
  different birth (I17; the defect of GoldenMatch where exact keys went round negative evidence).
- *contact*: nothing of a person's own agrees (birth date, e-mail, phone, number) and something of it differs: a namesake of the same household looks just so. What several people use is nobody's own (I13).
- *ambiguous*: a lone record that could as well join another group, which contradicts this one, joins neither (I15; Senzing, "What is an ambiguous entity": Pat Smith may be Patrick or Patricia). It is
  asked again when everything else is decided and the groups around it are whole.
- *cohesion*: the mean weight of all pairs between two groups of two or more; one bridging record does not join them.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from identity.bounds import Bounded
from identity.cleaning import Codes
from identity.clusters import Cause, Policy, Rows
from identity.facts import Evidence
from identity.judgements import Rulings
from identity.linkage import Edges

Tally = dict[int, int]
Refused = dict[tuple[int, int], tuple[float, Cause]]


def walk(rows: Rows, edges: Edges, evidence: Evidence, policy: Policy, rulings: Rulings[int]) -> tuple[Rows, Refused]:
    """Labels of these rows (the smallest row of the group) and refusals by the rows of their edge."""
    place = np.full(evidence.rows, -1, np.int64)
    place[rows] = np.arange(len(rows))
    local = Edges(place[edges.left], place[edges.right], edges.weight)
    groups = _Groups(local, rows, evidence, policy)
    decided = rulings.through(lambda row: int(place[row]))
    groups.keep_apart(decided)
    order = np.lexsort((local.right, local.left, -local.weight))
    order = order[local.weight[order] >= policy.threshold]
    refused: Refused = {}
    steps = list(
        zip(local.left[order].tolist(), local.right[order].tolist(), local.weight[order].tolist(), strict=True)
    )
    names = rows.tolist()
    joined = True
    while joined and steps:  # what was ambiguous is asked again when the groups around it are whole
        joined, later = False, []
        for left, right, weight in steps:
            a, b = groups.find(left), groups.find(right)
            if a == b:
                continue
            cause = groups.objection(a, b, left, right, weight)
            if cause is None:
                groups.merge(a, b)
                joined = True
            elif cause == "ambiguous":
                later.append((left, right, weight))
            elif cause != "judgement":  # what was decided is no open question
                refused[names[left], names[right]] = (weight, cause)
        steps = later
    refused |= {(names[left], names[right]): (weight, "ambiguous") for left, right, weight in steps}
    groups.bring_together(decided)
    return rows[groups.labels()], refused


class _Groups:
    """Union-find whose roots carry the evidence of their members and the summed weights to other groups."""

    def __init__(self, edges: Edges, rows: Rows, evidence: Evidence, policy: Policy) -> None:
        self.policy, self.known = policy, evidence
        self.parent = list(range(len(rows)))
        self.size = [1] * len(rows)
        self.first, self.birth = (evidence.codes(c)[rows].tolist() for c in (evidence.first_names, evidence.births))
        self.uniques = [_singles(codes[rows]) for codes in evidence.uniques]
        self.firsts, self.births, self.lasts = (
            _singles(evidence.codes(c)[rows]) for c in (evidence.first_names, evidence.births, evidence.last_names)
        )
        self.contacts = [_singles(evidence.codes(c)[rows]) for c in evidence.contacts]
        self.common = [evidence.common(which).tolist() for which in range(len(evidence.contacts))]
        self.tallies = [*self.uniques, self.firsts, self.lasts, self.births, *self.contacts]
        place = np.full(evidence.rows, -1, np.int64)
        place[rows] = np.arange(len(rows))
        self.bounded = Bounded(evidence.bounds, place, len(rows))
        self.foes: dict[int, set[int]] = {}
        # Between two groups: summed weight, number of pairs, heaviest bridge.
        self.links: list[dict[int, tuple[float, int, float]]] = [{} for _ in self.parent]
        clipped = np.clip(edges.weight, -policy.ceiling, policy.ceiling)
        for a, b, c, w in zip(
            edges.left.tolist(), edges.right.tolist(), clipped.tolist(), edges.weight.tolist(), strict=True
        ):
            self.links[a][b] = self.links[b][a] = (c, 1, w)

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
        return any(bool(held[a] and held[b]) and len({*(held[a] or ()), *(held[b] or ())}) > 1 for held in self.uniques)

    def find(self, row: int) -> int:
        parent = self.parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def objection(self, a: int, b: int, left: int, right: int, weight: float) -> Cause | None:
        """Why two groups, bridged by the edge (left, right), may not become one."""
        cause = self._hard(a, b, left, right, weight) or self._contradiction(a, b, left, right, weight)
        if cause is None and (self._torn(a, b, weight) or self._torn(b, a, weight)):
            return "ambiguous"
        # Judgements last: a doubt that the evidence raises stays a doubt, and an opt-out still reaches across it.
        return cause or self._thin(a, b) or ("judgement" if b in self.foes.get(a, ()) else None)

    def _hard(self, a: int, b: int, left: int, right: int, weight: float) -> Cause | None:
        if self._two_fold(a, b):
            return "unique_identifier"
        if self.bounded.exceeded(a, b, self.bounded.shared(left, right) if weight >= self.policy.certain else None):
            return "limit"
        return "size" if self.size[a] + self.size[b] > self.policy.max_cluster else None

    def _contradiction(self, a: int, b: int, left: int, right: int, weight: float) -> Cause | None:
        known, declared = self.known, weight >= self.policy.certain
        spare = weight - self.policy.threshold
        names = self._clash(self.firsts[a], self.firsts[b], known.names_agree, self.first, left, right, declared)
        if names and self._swapped(a, b):
            names = 0
        if names:
            spare += names * known.first_weight
            if spare < 0:
                return "first_name"
        dates = self._clash(self.births[a], self.births[b], known.births_agree, self.birth, left, right, declared)
        if dates and (spare + dates * known.birth_weight < 0 or (declared and names)):
            return "birth_date"
        if weight - self.policy.threshold < self.policy.namesake and self._strangers(a, b):
            return "contact"
        return None

    def _clash(
        self,
        a: Tally | None,
        b: Tally | None,
        agree: Callable[[int, int], bool],
        codes: list[int],
        left: int,
        right: int,
        declared: bool,  # noqa: FBT001 - a private helper
    ) -> int:
        """How often two groups contradict each other beyond what the bridge itself shows (its weight counted that already)."""
        if not a or not b or (len(a) == 1 and a.keys() == b.keys()):
            return 0
        against = sum(n * m for x, n in a.items() for y, m in b.items() if not agree(x, y))
        if against <= self.policy.clash_share * sum(a.values()) * sum(b.values()):
            return 0
        x, y = codes[left], codes[right]
        shown = not declared and x >= 0 and y >= 0 and not agree(x, y)
        return min(max(a.values()), max(b.values()), self.policy.most_clashes) - shown

    def _swapped(self, a: int, b: int) -> bool:
        """First and last names in each other's place are no clash."""
        one, other = self._meet(self.firsts[a], self.lasts[b]), self._meet(self.firsts[b], self.lasts[a])
        return (one and (other or not self.lasts[a])) or (other and not self.lasts[b])

    def _meet(self, firsts: Tally | None, lasts: Tally | None) -> bool:
        return bool(firsts and lasts) and any(self.known.first_is_last(x, y) for x in firsts or () for y in lasts or ())

    def _strangers(self, a: int, b: int) -> bool:
        """Nothing of a person's own agrees, and something of it differs."""
        differs = False
        for which, held in enumerate(self.contacts):
            mine, other = held[a], held[b]
            if mine and other:
                common, agree = self.common[which], self.known.contacts_agree
                alike = [(x, y) for x in mine for y in other if agree(which, x, y)]
                if not all(common[x] or common[y] for x, y in alike):
                    return False
                differs = differs or not alike
        if not differs or any(held[a] and held[b] for held in self.uniques):  # what is unique has been found to agree
            return False
        mine, other = self.births[a], self.births[b]
        return not (mine and other and any(self.known.births_agree(x, y) for x in mine for y in other))

    def _torn(self, lone: int, other: int, weight: float) -> bool:
        """Whether a lone record has as good a bridge to a group that contradicts the one it is about to join."""
        if self.size[lone] > 1 or len(self.links[lone]) < 2:
            return False
        own = max(weight, self.links[lone][other][2])  # a fainter bridge to the same group proves nothing new
        if own >= self.policy.certain:
            return False
        least = max(self.policy.threshold, own - self.policy.tie)
        for group, (_, _, best) in self.links[lone].items():
            if group != other and least <= best <= own + self.policy.tie and self._exclude(other, group):
                return True
        return False

    def _exclude(self, a: int, b: int) -> bool:
        """Whether two groups cannot be one person: what is unique clashes, or names or dates do and no bridge between them outweighs it."""
        if self._two_fold(a, b):
            return True
        names = self._clash(self.firsts[a], self.firsts[b], self.known.names_agree, self.first, a, b, declared=True)
        if names and self._swapped(a, b):
            names = 0
        dates = self._clash(self.births[a], self.births[b], self.known.births_agree, self.birth, a, b, declared=True)
        if not names and not dates:
            return False
        best = self.links[a].get(b, (0.0, 0, -math.inf))[2]
        return best - self.policy.threshold + names * self.known.first_weight + dates * self.known.birth_weight < 0

    def _thin(self, a: int, b: int) -> Cause | None:
        """Too little agreement between two groups as wholes."""
        small, large = sorted((self.size[a], self.size[b]))
        if small == 1:
            return None
        total, count, _ = self.links[a].get(b, (0.0, 0, 0.0))
        crowding = max(0.0, math.log2((small + large) / self.policy.crowd)) * self.policy.crowd_cohesion
        mean = (total + (small * large - count) * self.policy.unseen) / (small * large)
        return "cohesion" if mean < self.policy.cohesion + crowding else None

    def merge(self, a: int, b: int) -> None:
        """The larger group keeps its root, ties the smaller row."""
        if (self.size[a], -a) < (self.size[b], -b):
            a, b = b, a
        self.parent[b] = a
        self.size[a] += self.size[b]
        self.bounded.merge(a, b)
        for held in self.tallies:
            other = held[b]
            if other:
                mine = held[a]
                if mine is None:
                    held[a] = other
                else:
                    for code, count in other.items():
                        mine[code] = mine.get(code, 0) + count
                held[b] = None
        mine_links, other_links = self.links[a], self.links[b]
        mine_links.pop(b, None)
        for neighbour, (total, count, best) in other_links.items():
            if neighbour == a:
                continue
            before = mine_links.get(neighbour, (0.0, 0, -math.inf))
            joined = (before[0] + total, before[1] + count, max(before[2], best))
            mine_links[neighbour] = joined
            theirs = self.links[neighbour]
            theirs.pop(b, None)
            theirs[a] = joined
        self.links[b] = {}
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


def _singles(codes: Codes) -> list[Tally | None]:
    return [{c: 1} if c >= 0 else None for c in codes.tolist()]
