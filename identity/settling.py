"""Making a partition obey what staff decided, with evidence deciding the rest. Pure and total (identity.I11, I24-I26).

Enters: a partition, rulings, edges, and the identifiers of which nobody has two. Leaves: a new group for every record that a ruling can reach.

1. Nobody of one side is with anybody of the other, and nobody has two values of an exclusive identifier: nothing below may break this.
2. A group that must be together becomes one, heaviest edges first; what no edge ties goes to the group's oldest part that may take it.
3. What was one group stays one as far as 1 allows, likewise: heaviest edges first, then to the oldest part.

Equal weights are taken by record id, so the order of rows, judgements of one moment and edges changes nothing.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from identity.judgements import Rulings
from identity.people import Edge
from kernel.ids import RecordId

# Exclusive identifiers of a record: (kind, value), the value in whatever form tells two apart.
Claims = Mapping[RecordId, frozenset[tuple[str, str]]]


def settle(
    groups: Mapping[RecordId, Hashable], rulings: Rulings[RecordId], edges: Iterable[Edge], claims: Claims
) -> dict[RecordId, RecordId]:
    """The oldest record of its new group, for every record whose group holds one that a ruling names."""
    rulings = rulings.through(lambda record: record if record in groups else None)
    reached = {groups[record] for record in rulings.members()}
    members = sorted(record for record, group in groups.items() if group in reached)
    parts = Parts(members, rulings, claims)
    known = set(members)
    inside = sorted((e for e in edges if e.a in known and e.b in known), key=lambda e: (-e.weight, e.a, e.b))
    for group in rulings.together:
        one = set(group)
        parts.gather(sorted(group), [e for e in inside if e.a in one and e.b in one])
    held: dict[Hashable, list[RecordId]] = defaultdict(list)
    for record in members:
        held[groups[record]].append(record)
    within: dict[Hashable, list[Edge]] = defaultdict(list)
    for edge in inside:
        if groups[edge.a] == groups[edge.b]:
            within[groups[edge.a]].append(edge)
    for group_, records in held.items():
        parts.gather(records, within[group_])
    return {record: parts.find(record) for record in members}


class Parts:
    """Union-find over records, the oldest of a part at its root, that refuses unions which a rule forbids."""

    def __init__(self, members: Iterable[RecordId], rulings: Rulings[RecordId], claims: Claims) -> None:
        self._parent = {record: record for record in members}
        self._claims = {record: [held] if (held := claims.get(record)) else [] for record in self._parent}
        self._foes: dict[RecordId, set[RecordId]] = defaultdict(set)
        for left, right in rulings.apart:
            for one in left:
                self._foes[one].update(right)
            for one in right:
                self._foes[one].update(left)

    def find(self, record: RecordId) -> RecordId:
        """The oldest record of the part."""
        while (up := self._parent[record]) != record:
            self._parent[record] = record = self._parent[up]
        return record

    def unite(self, one: RecordId, other: RecordId) -> bool:
        """Make two parts one, if nothing forbids it."""
        a, b = sorted((self.find(one), self.find(other)))
        if a == b:
            return True
        foes = self._foes.get(b, set())
        if a in foes or two_fold([*self._claims[a], *self._claims[b]]):
            return False
        self._parent[b] = a
        self._claims[a] += self._claims.pop(b)
        for foe in foes:
            self._foes[foe].discard(b)
            self._foes[foe].add(a)
        self._foes[a] |= self._foes.pop(b, set())
        return True

    def gather(self, records: Sequence[RecordId], edges: Iterable[Edge]) -> None:
        """Make records one part as far as may be: along edges in the order given, then to the oldest part that takes them."""
        for edge in edges:
            self.unite(edge.a, edge.b)
        kept: list[RecordId] = []
        for record in dict.fromkeys(self.find(one) for one in records):
            if not any(self.unite(root, record) for root in kept):
                kept.append(record)


def two_fold(claims: Iterable[frozenset[tuple[str, str]]]) -> bool:
    """Whether records together hold two values of a kind; values that one record names together count as one."""
    of_kind: dict[str, list[set[str]]] = defaultdict(list)
    for held in claims:
        named: dict[str, set[str]] = defaultdict(set)
        for kind, value in held:
            named[kind].add(value)
        for kind, values in named.items():
            joined = [part for part in of_kind[kind] if part & values]
            of_kind[kind] = [part for part in of_kind[kind] if not part & values]
            of_kind[kind].append(values.union(*joined))
    return any(len(parts) > 1 for parts in of_kind.values())
