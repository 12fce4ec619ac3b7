"""What can be shown of the graph without a personal word: ids, kinds, weights, doubts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from identity import evidence_store, graph_store, store
from identity.errors import PersonNotFound
from identity.evidence_store import Refused
from identity.people import Edge
from identity.why import edge_json
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
            "edges": [edge_json(edge) for edge in self.edges],
            "ambiguous": [{"a": r.a, "b": r.b, "weight": r.weight, "cause": r.cause} for r in self.refused],
            "may_be_same": list(self.loose),
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


def _kinds(kinds: Sequence[str]) -> dict[str, int]:
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}
