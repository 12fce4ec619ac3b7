"""How a person came together, and what holds her: the order of joins, and the single edges that everything hangs on (identity.I41).

Enters: a person's records and the edges between them.  Leaves: `Building`: joins heaviest first, as the clustering takes them; bridges, each with the
two parts that would be left without it (Tarjan, 1974: an edge that no cycle passes); and records that no edge holds.  Pure and total: ties by record id.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from identity.people import Edge
from identity.why import edge_json
from kernel.canonical import Json
from kernel.ids import RecordId


@dataclass(frozen=True, slots=True)
class Join:
    """Two groups became one by an edge; their sizes before."""

    edge: Edge
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Bridge:
    """Without this edge the person would fall into two parts; ``parts``: the smaller first, of equals the one with the oldest record."""

    edge: Edge
    parts: tuple[tuple[RecordId, ...], tuple[RecordId, ...]]


@dataclass(frozen=True, slots=True)
class Building:
    """Joins in their order, bridges, and groups of records that edges do not tie to the largest one."""

    joins: tuple[Join, ...]
    bridges: tuple[Bridge, ...]
    untied: tuple[tuple[RecordId, ...], ...]

    def as_json(self) -> dict[str, Json]:
        """For HTTP, the console and the command line."""
        return {
            "joins": [cast("Json", {**_edge(j.edge), "left": j.left, "right": j.right}) for j in self.joins],
            "bridges": [
                cast("Json", {**_edge(b.edge), "parts": [list(part) for part in b.parts]}) for b in self.bridges
            ],
            "untied": [list(group) for group in self.untied],
        }


def _edge(edge: Edge) -> dict[str, Json]:
    return cast("dict[str, Json]", edge_json(edge))


def build(records: Sequence[RecordId], edges: Iterable[Edge], threshold: float) -> Building:
    """Of one person; edges below the threshold hold nobody."""
    inside = set(records)
    strong = sorted(
        (e for e in edges if e.weight >= threshold and e.a in inside and e.b in inside and e.a != e.b),
        key=lambda e: (-e.weight, e.a, e.b),
    )
    group = {record: [record] for record in sorted(inside)}
    joins: list[Join] = []
    for edge in strong:
        one, other = group[edge.a], group[edge.b]
        if one is other:
            continue
        joins.append(Join(edge, len(one), len(other)))
        if len(one) < len(other):
            one, other = other, one
        one += other
        for record in other:
            group[record] = one
    groups = sorted(({id(g): sorted(g) for g in group.values()}).values(), key=lambda g: (-len(g), g[0]))
    return Building(tuple(joins), _bridges(strong, groups), tuple(tuple(g) for g in groups[1:]))


def _bridges(edges: Sequence[Edge], groups: Sequence[Sequence[RecordId]]) -> tuple[Bridge, ...]:
    """Depth first, without recursion: an edge to a child from whose descendants nothing leads back above it."""
    near: dict[RecordId, list[tuple[RecordId, int]]] = defaultdict(list)
    for place, edge in enumerate(edges):
        near[edge.a].append((edge.b, place))
        near[edge.b].append((edge.a, place))
    found: list[tuple[int, tuple[RecordId, ...], tuple[RecordId, ...]]] = []
    for group in groups:
        came, low, order = {group[0]: 0}, {group[0]: 0}, [group[0]]
        stack: list[tuple[RecordId, int, int]] = [(group[0], -1, 0)]  # record, edge it was reached by, next neighbour
        while stack:
            here, by, at = stack.pop()
            if at < len(near[here]):
                stack.append((here, by, at + 1))
                there, place = near[here][at]
                if place == by:
                    continue
                if there in came:
                    low[here] = min(low[here], came[there])
                else:
                    came[there] = low[there] = len(order)
                    order.append(there)
                    stack.append((there, place, 0))
            elif stack:
                above = stack[-1][0]
                low[above] = min(low[above], low[here])
                if low[here] > came[above]:
                    cut = set(order[came[here] :])  # all that was reached from here on
                    found.append((by, tuple(sorted(cut)), tuple(r for r in group if r not in cut)))
    bridges = [Bridge(edges[place], _ordered(one, other)) for place, one, other in found]
    return tuple(sorted(bridges, key=lambda b: (b.edge.weight, b.edge.a, b.edge.b)))


def _ordered(
    one: tuple[RecordId, ...], other: tuple[RecordId, ...]
) -> tuple[tuple[RecordId, ...], tuple[RecordId, ...]]:
    return (one, other) if (len(one), one) <= (len(other), other) else (other, one)
