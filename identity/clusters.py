"""From edges to people: guarded clustering.

Enters: edges, what is known of every row (`Evidence`) and a `Policy`.  Leaves: `Clusters`, a person label for every row
and every bridge that was refused, with its cause.  Edges are taken heaviest first, ties by row number (rows are in record
order), as in Kruskal's forest (J. B. Kruskal, 1956); but two groups become one only if nothing speaks against it (spec
identity I11, I15-I17): see groups.py.  Splink's own clustering takes every edge; one mistaken bridge then joins two people
for good.  Constraints that forbid a merge follow Davidson and Ravi (2005, "cannot-link"); judging groups by the mean of all
pairs between them, average linkage (Sokal and Michener, 1958), is what single linkage lacks.

Components in which no pair of records contradicts another cannot have a refusal: they are settled at once, in numpy; only the
others are walked edge by edge.  What staff decided (`Rulings` over rows) holds: sides that must stay apart do, whatever bridges
them later (I25), and groups that must be together are in the end, unless that puts two unique identifiers into one person.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from identity.facts import Evidence, unlike, within
from identity.judgements import Rulings
from identity.linkage import Edges

Cause = Literal[
    "unique_identifier", "limit", "first_name", "birth_date", "contact", "ambiguous", "cohesion", "size", "judgement"
]
Rows = NDArray[np.int64]
SEEN_WHOLE = 24  # components of more records are walked without looking at all their pairs first


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
    certain: float = 50.0  # from here on an edge was declared, not weighed: its weight has counted no contradiction
    namesake: float = 8.0  # this much above the threshold, name and household outweigh different contacts
    tie: float = 0.5  # two bridges this close are equally good


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
    from identity.groups import walk

    rules = policy or Policy()
    decided: Rulings[int] = rulings or Rulings()
    person = _smallest(_components(edges.above(rules.threshold), evidence.rows))
    disputed = _disputed(person, edges, evidence, rules)
    named = np.array(sorted(decided.members()), dtype=np.int64)
    disputed |= np.isin(person, person[named])
    if not disputed.any():
        return Clusters(person, ())
    rows = np.flatnonzero(disputed)
    inner = disputed[edges.left] & (person[edges.left] == person[edges.right])
    some = Edges(edges.left[inner], edges.right[inner], edges.weight[inner])
    person[rows], refused = walk(rows, some, evidence, rules, decided)
    return Clusters(person, _open_questions(person, refused))


def _components(edges: Edges, rows: int) -> Rows:
    graph = coo_array((np.ones(len(edges.left), np.int8), (edges.left, edges.right)), shape=(rows, rows))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _smallest(labels: Rows) -> Rows:
    """Every group named by its smallest row."""
    _, first, place = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(first[place], dtype=np.int64)


def _disputed(person: Rows, edges: Edges, evidence: Evidence, policy: Policy) -> NDArray[np.bool_]:
    """Rows of components in which a refusal is thinkable: two of its records contradict each other, or its size or sparseness may."""
    size = np.bincount(person, minlength=len(person))  # by label
    bad = size > min(policy.max_cluster, policy.crowd, SEEN_WHOLE)
    left, right = within(person, np.where(bad, 0, size))
    first, birth = evidence.codes(evidence.first_names), evidence.codes(evidence.births)
    wrong = unlike(first, left, right, evidence.names_agree) | unlike(birth, left, right, evidence.births_agree)
    for codes in evidence.uniques:
        wrong |= (codes[left] >= 0) & (codes[right] >= 0) & (codes[left] != codes[right])
    wrong |= _apart(evidence, left, right)
    bad[person[left[wrong]]] = True
    bad |= evidence.bounds.crowded(person)
    # Groups of two or more against each other need four records; where every pair has a good weight no mean can be bad.
    dense = edges.weight >= max(policy.cohesion, policy.threshold if policy.tie < 0 else policy.cohesion)
    inner = dense & (person[edges.left] == person[edges.right])
    good = np.bincount(person[edges.left[inner]], minlength=len(person))
    bad |= (size > 3) & (good < size * (size - 1) // 2)
    return np.asarray(bad[person] & (size[person] > 1))


def _apart(evidence: Evidence, left: Rows, right: Rows) -> NDArray[np.bool_]:
    """Pairs with a contact on both sides that differs, while no contact and no birth date agrees."""
    differs, agrees = np.zeros(len(left), bool), np.zeros(len(left), bool)
    for which, held in enumerate(evidence.contacts):
        both = (held.codes[left] >= 0) & (held.codes[right] >= 0)
        other = unlike(held.codes, left, right, partial(evidence.contacts_agree, which))
        differs |= other
        common = np.append(evidence.common(which), False)
        agrees |= both & ~other & ~common[held.codes[left]] & ~common[held.codes[right]]
    birth = evidence.codes(evidence.births)
    both = (birth[left] >= 0) & (birth[right] >= 0)
    agrees |= both & ~unlike(birth, left, right, evidence.births_agree)
    return np.asarray(differs & ~agrees)


def _open_questions(person: Rows, refused: dict[tuple[int, int], tuple[float, Cause]]) -> tuple[Refusal, ...]:
    """The heaviest refused bridge between each two people that stayed apart."""
    kept: dict[tuple[int, int], Refusal] = {}
    for (left, right), (weight, cause) in refused.items():
        a, b = sorted((int(person[left]), int(person[right])))
        if a != b:
            kept.setdefault((a, b), Refusal(left, right, weight, cause))
    return tuple(kept.values())
