"""Stable people: how a new partition of records takes over the ids of the old one.

What enters: the old person of every record and the new label of every clustered record. What leaves: the person of every
record, the retired ids with their redirects, and the changes in order. Pure and total (identity.I18-I22):

1. Each old person has one heir: the new cluster that holds most of its old records; of equals, the one with its oldest
   record.
2. A cluster takes the id of the oldest person it is heir of; the others retire and redirect to it.
3. A cluster that is heir of nobody gets a new id. Ids are never used again.
4. A record without a label (it came after the table was read) goes where its person went.

Oldest is smallest: ids carry their time of making and break their own ties, so row order, threads and processes change
nothing.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

from identity.people import Change, Edge
from kernel.ids import PersonId, RecordId


@dataclass(frozen=True, slots=True)
class Assignment:
    """The outcome: only records whose person differs from the old one are in ``moved``."""

    person_of: Mapping[RecordId, PersonId]
    moved: Mapping[RecordId, PersonId]
    created: tuple[PersonId, ...]
    retired: Mapping[PersonId, PersonId]
    changes: tuple[Change, ...]


def assign(
    old: Mapping[RecordId, PersonId], labels: Mapping[RecordId, Hashable], make_id: Callable[[], PersonId]
) -> Assignment:
    """Give every record its person; every record in ``labels`` must be in ``old``."""
    clusters: dict[Hashable, list[RecordId]] = defaultdict(list)
    for record in sorted(labels):
        clusters[labels[record]].append(record)
    heir = _heirs(old, labels)
    claims: dict[Hashable, list[PersonId]] = defaultdict(list)
    for person, label in heir.items():
        claims[label].append(person)
    person_of: dict[RecordId, PersonId] = {}
    created: list[PersonId] = []
    retired: dict[PersonId, PersonId] = {}
    for label, members in clusters.items():  # in the order of their oldest record: labels have no order of their own
        claimants = sorted(claims.get(label, ()))
        if claimants:
            keeper = claimants[0]
            retired.update(dict.fromkeys(claimants[1:], keeper))
        else:
            keeper = make_id()
            created.append(keeper)
        person_of.update(dict.fromkeys(members, keeper))
    for record, person in old.items():
        if record not in labels:
            person_of[record] = retired.get(person, person)
    moved = {r: p for r, p in person_of.items() if old[r] != p}
    return Assignment(
        person_of=person_of,
        moved=moved,
        created=tuple(created),
        retired=retired,
        changes=_changes(old, moved, frozenset(created), retired),
    )


def _heirs(old: Mapping[RecordId, PersonId], labels: Mapping[RecordId, Hashable]) -> dict[PersonId, Hashable]:
    counts: dict[PersonId, Counter[Hashable]] = defaultdict(Counter)
    oldest: dict[tuple[PersonId, Hashable], RecordId] = {}
    for record in sorted(labels):
        person, label = old[record], labels[record]
        counts[person][label] += 1
        oldest.setdefault((person, label), record)
    return {
        person: min(count, key=lambda label, p=person, c=count: (-c[label], oldest[p, label]))  # type: ignore[misc]
        for person, count in counts.items()
    }


def _changes(
    old: Mapping[RecordId, PersonId],
    moved: Mapping[RecordId, PersonId],
    created: frozenset[PersonId],
    retired: Mapping[PersonId, PersonId],
) -> tuple[Change, ...]:
    flows: dict[tuple[PersonId, PersonId], list[RecordId]] = defaultdict(list)
    for record in sorted(moved):
        flows[old[record], moved[record]].append(record)
    changes = []
    for (person, other), records in sorted(flows.items()):
        if retired.get(person) == other:
            kind = "merged"
        elif other in created:
            kind = "split"
        else:
            kind = "moved"
        changes.append(Change(kind=kind, person=person, other=other, records=tuple(records)))
    return tuple(changes)


def probability(weight: float) -> float:
    """Match probability of a match weight, 2^w / (1 + 2^w)."""
    return 1.0 / (1.0 + math.exp2(-max(-60.0, min(60.0, weight))))


def surety(person_of: Mapping[RecordId, PersonId], edges: Iterable[Edge]) -> dict[PersonId, float]:
    """For people of several linked records: the probability of the weakest link that is needed to hold them together.

    That link is the lightest edge of the maximum spanning tree (Kruskal, heaviest first; equal weights by record id).
    """
    parent: dict[RecordId, RecordId] = {}

    def root(record: RecordId) -> RecordId:
        while (up := parent.get(record, record)) != record:
            parent[record] = record = parent.get(up, up)
        return record

    weakest: dict[PersonId, float] = {}
    for edge in sorted(edges, key=lambda e: (-e.weight, e.a, e.b)):
        person = person_of.get(edge.a)
        if person is None or person != person_of.get(edge.b):
            continue
        left, right = root(edge.a), root(edge.b)
        if left != right:
            parent[left] = right
            weakest[person] = probability(edge.weight)  # weights fall, so the last one written is the weakest
    return weakest


def strongest_path(edges: Iterable[Edge], start: RecordId, goal: RecordId) -> tuple[Edge, ...]:
    """The path between two records whose weakest edge is as strong as can be (widest path); empty when there is none."""
    near: dict[RecordId, list[Edge]] = defaultdict(list)
    for edge in edges:
        near[edge.a].append(edge)
        near[edge.b].append(edge)
    width: dict[RecordId, float] = {start: math.inf}
    came: dict[RecordId, Edge] = {}
    done: set[RecordId] = set()
    while open_ends := [r for r in width if r not in done]:
        here = min(open_ends, key=lambda r: (-width[r], r))
        if here == goal:
            break
        done.add(here)
        for edge in near[here]:
            there = edge.b if edge.a == here else edge.a
            reach = min(width[here], edge.weight)
            if there not in done and reach > width.get(there, -math.inf):
                width[there], came[there] = reach, edge
    path: list[Edge] = []
    at = goal
    while at in came:
        path.append(came[at])
        at = came[at].a if came[at].b == at else came[at].b
    return tuple(reversed(path))
