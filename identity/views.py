"""What can be shown of the graph without a personal word: ids, kinds, weights, doubts (identity.I39 in simple form)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from identity import evidence_store, graph_store, store
from identity.errors import PersonNotFound, RecordNotFound
from identity.evidence_store import Refused
from identity.graph import strongest_path
from identity.people import Edge
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId, RecordId


@dataclass(frozen=True, slots=True)
class PersonView:
    """A person as the graph sees it. ``kinds``: identifier kinds and how many of each."""

    person: PersonId
    graph_version: GraphVersion
    sure: float
    records: tuple[RecordId, ...]
    kinds: Mapping[str, int]
    edges: tuple[Edge, ...]
    refused: tuple[Refused, ...]
    loose: tuple[PersonId, ...]

    def as_json(self) -> Json:
        """For the console, HTTP and the command line."""
        return {
            "person": self.person,
            "graph_version": self.graph_version,
            "sure": self.sure,
            "records": list(self.records),
            "identifiers": dict(self.kinds),
            "edges": [_edge(edge) for edge in self.edges],
            "ambiguous": [{"a": r.a, "b": r.b, "weight": r.weight, "cause": r.cause} for r in self.refused],
            "may_be_same": list(self.loose),
        }


@dataclass(frozen=True, slots=True)
class Why:
    """Two records: one person or two, the direct edge, the strongest path and its weakest link, what they share."""

    a: RecordId
    b: RecordId
    people: tuple[PersonId, PersonId]
    edge: Edge | None
    path: tuple[Edge, ...]
    refused: Refused | None
    shared: Mapping[str, int]

    @property
    def same(self) -> bool:
        """Whether they are one person now."""
        return self.people[0] == self.people[1]

    def as_json(self) -> Json:
        """For the command line."""
        weakest = min(self.path, key=lambda e: e.weight) if self.path else None
        return {
            "records": [self.a, self.b],
            "people": list(self.people),
            "same": self.same,
            "edge": _edge(self.edge) if self.edge else None,
            "path": [_edge(edge) for edge in self.path],
            "weakest": _edge(weakest) if weakest else None,
            "refused": {"weight": self.refused.weight, "cause": self.refused.cause} if self.refused else None,
            "shared_identifiers": dict(self.shared),
        }


async def show(conn: Conn, person: PersonId, loose_limit: int) -> PersonView:
    """See ``Identity.show``."""
    row = (await graph_store.people_rows(conn, [person])).get(person)
    if row is None or row.erased_at is not None or row.redirect_to is not None:
        raise PersonNotFound("expected a live person, got an id that is unknown, retired or erased")
    records = tuple(record for record, _ in (await graph_store.members(conn, [person])).get(person, ()))
    edges, refused = await evidence_store.evidence(conn, records)
    links, sealed = await store.identifiers_of(conn, records)
    loose = await graph_store.may_be_same(conn, [person], loose_limit)
    inside = set(records)
    return PersonView(
        person=person,
        graph_version=row.changed_in,
        sure=row.sure,
        records=records,
        kinds=_kinds([sealed[i].kind for i in {i for ids in links.values() for i in ids} if i in sealed]),
        edges=tuple(e for e in edges if e.a in inside and e.b in inside),
        refused=tuple(refused),
        loose=tuple(sorted(loose.get(person, ()))),
    )


async def why(conn: Conn, a: RecordId, b: RecordId) -> Why:
    """See ``Identity.why``."""
    found = await graph_store.subjects_of(conn, [a, b])
    if any(one not in found or not found[one][1] for one in (a, b)):
        raise RecordNotFound("expected two records with a live person, got one that is unknown or erased")
    people = (found[a][1][0], found[b][1][0])
    held = await graph_store.members(conn, sorted(set(people)))
    edges, refused = await evidence_store.evidence(conn, [r for rows in held.values() for r, _ in rows])
    pair = {a, b}
    links, sealed = await store.identifiers_of(conn, [a, b])
    both = set(links.get(a, ())) & set(links.get(b, ()))
    inside = {r for r, _ in held[people[0]]} if people[0] == people[1] else set()
    return Why(
        a=a,
        b=b,
        people=people,
        edge=next((e for e in edges if {e.a, e.b} == pair), None),
        path=strongest_path([e for e in edges if e.a in inside and e.b in inside], a, b),
        refused=next((r for r in refused if {r.a, r.b} == pair), None),
        shared=_kinds([sealed[i].kind for i in both if i in sealed]),
    )


def _kinds(kinds: Sequence[str]) -> dict[str, int]:
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def _edge(edge: Edge) -> Json:
    return cast("Json", {"a": edge.a, "b": edge.b, "weight": edge.weight})
