"""Publishing a graph: the clusters of a linkage run become the live people, with their history.

What enters: clusters over the rows of a linkage table, that table's record ids, the edges they rest on. What leaves: a new
graph version; memberships closed and opened, redirects, refused pairs, the change feed and its audit entries, all in the
caller's transaction. The rule itself is ``graph.assign``; what staff decided is obeyed first (``settling``), so that it outlives every run.
"""

from collections.abc import Container, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from identity import evidence_store, graph_store, judged, store
from identity.errors import RecordNotFound
from identity.evidence_store import Refused
from identity.graph import Assignment, assign, surety
from identity.people import Change, Edge
from identity.settling import settle
from kernel.canonical import Json, digest
from kernel.clock import Clock
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId, RecordId, new_id

if TYPE_CHECKING:  # the linkage engine brings DuckDB, which has no place on the API's start path
    from identity.clusters import Clusters
    from identity.linkage import Edges


@dataclass(frozen=True, slots=True)
class Published:
    """The version that went live, and everybody whose state may differ in it."""

    version: GraphVersion
    touched: frozenset[PersonId]


async def publish(
    conn: Conn,
    audit: Audit,
    clock: Clock,
    clusters: "Clusters",
    records: Sequence[RecordId],
    edges: "Edges | None",
    exclusive: Sequence[str],
) -> Published:
    """See ``Identity.publish``."""
    await store.own_graph(conn)
    old = await graph_store.partition(conn)
    followers = await graph_store.earlier_versions(conn)
    labels = _labels(clusters, records, old)
    links, refused = _evidence(clusters, records, edges, old)
    law = await judged.law(conn, labels)
    rulings = law.rulings
    if rulings:  # whatever the run knew of them when it clustered
        claims = await judged.claims(conn, labels, rulings, exclusive)
        labels |= settle(labels, rulings, links, claims)
    labels |= {old_id: labels[new_id_] for old_id, new_id_ in followers if new_id_ in labels and old_id in old}
    outcome = assign(old, labels, partial(new_id, "per"))
    refused = [pair for pair in refused if outcome.person_of[pair.a] != outcome.person_of[pair.b]]
    before = await evidence_store.refused_pairs(conn)
    number = GraphVersion(await graph_store.version(conn) + 1)
    at = clock.now()
    facts = _facts(number, outcome, links, refused, len(records))
    await graph_store.new_version(conn, number, "published", facts, at)
    await move(conn, outcome, number, at)
    await evidence_store.replace_evidence(conn, links, refused, number)
    unsure = await graph_store.set_sure(conn, surety(outcome.person_of, [*links, *judged.ties(law)]))
    await graph_store.add_changes(conn, outcome.changes, number, at)
    await audit.append(
        conn, [NewEntry(Tag.GRAPH_PUBLISHED, {"graph": f"graph:{number}"}, facts), *entries(outcome.changes, number)]
    )
    gained = before ^ {(r.a, r.b) for r in refused}
    doubtful = {outcome.person_of[record] for pair in gained for record in pair if record in outcome.person_of}
    moved = {p for change in outcome.changes for p in (change.person, change.other) if p is not None}
    return Published(number, frozenset(moved | doubtful | unsure))


async def move(conn: Conn, outcome: Assignment, number: GraphVersion, at: datetime) -> None:
    """Close and open memberships, make and retire people, as an assignment says."""
    await graph_store.add_people(conn, outcome.created, number, at)
    if outcome.moved:
        await graph_store.close_members(conn, list(outcome.moved), number)
        await graph_store.add_members(conn, outcome.moved.items(), number)
        people = {p for change in outcome.changes for p in (change.person, change.other) if p is not None}
        await graph_store.touch_people(conn, sorted(people), number)
    if outcome.retired:
        await graph_store.retire(conn, outcome.retired, at)


def _labels(
    clusters: "Clusters", records: Sequence[RecordId], old: dict[RecordId, PersonId]
) -> dict[RecordId, Hashable]:
    if len(records) != len(clusters.person):
        raise RecordNotFound(f"expected a record id for each of {len(clusters.person)} rows, got {len(records)}")
    labels: dict[RecordId, Hashable] = dict(zip(records, clusters.person.tolist(), strict=True))
    # Erased since the table was read: they have no live person and get none.
    return {record: label for record, label in labels.items() if record in old}


def _evidence(
    clusters: "Clusters", records: Sequence[RecordId], edges: "Edges | None", living: Container[RecordId]
) -> tuple[list[Edge], list[Refused]]:
    """Edges and refused pairs by record id, the smaller id first, in one order; none of who was erased since the table was read."""
    links: dict[tuple[RecordId, RecordId], float] = {}
    if edges is not None:
        for left, right, weight in zip(edges.left.tolist(), edges.right.tolist(), edges.weight.tolist(), strict=True):
            links[_pair(records[left], records[right])] = weight
    refused = {_pair(records[r.left], records[r.right]): (r.weight, str(r.cause)) for r in clusters.ambiguous}
    return (
        [Edge(a, b, weight) for (a, b), weight in sorted(links.items()) if a in living and b in living],
        [Refused(a, b, *why) for (a, b), why in sorted(refused.items()) if a in living and b in living],
    )


def _pair(one: RecordId, other: RecordId) -> tuple[RecordId, RecordId]:
    return (one, other) if one < other else (other, one)


def _facts(
    number: GraphVersion, outcome: Assignment, links: Sequence[Edge], refused: Sequence[Refused], rows: int
) -> dict[str, Json]:
    kinds = [change.kind for change in outcome.changes]
    causes = sorted({r.cause for r in refused})
    return {
        "version": number,
        "records": rows,
        "people": len(set(outcome.person_of.values())),
        "created": len(outcome.created),
        "merged": kinds.count("merged"),
        "split": kinds.count("split"),
        "moved": kinds.count("moved"),
        "edges": len(links),
        "ambiguous": {cause: sum(r.cause == cause for r in refused) for cause in causes},
        # Every change is proved by this one digest; the feed in the database holds the lines.
        "changes": digest([[c.kind, c.person, c.other, list(c.records)] for c in outcome.changes]),
    }


def entries(changes: Sequence[Change], number: GraphVersion, *, actor: str = "system") -> list[NewEntry]:
    """One entry a surviving person that took others in, one a person that lost records."""
    merged: dict[PersonId, list[Change]] = {}
    parted: dict[PersonId, list[Change]] = {}
    for change in changes:
        assert change.other is not None
        if change.kind == "merged":
            merged.setdefault(change.other, []).append(change)
        else:
            parted.setdefault(change.person, []).append(change)
    graph = f"graph:{number}"
    return [
        NewEntry(
            Tag.PERSON_MERGED,
            {"person": [person, *(c.person for c in changes_)], "graph": graph},
            {"records": sum(len(c.records) for c in changes_), "survivor": person},
            actor=actor,
        )
        for person, changes_ in merged.items()
    ] + [
        NewEntry(
            Tag.PERSON_SPLIT,
            {"person": [person, *(c.other for c in changes_ if c.other)], "graph": graph},
            {"records": sum(len(c.records) for c in changes_), "parts": [c.other for c in changes_]},
            actor=actor,
        )
        for person, changes_ in parted.items()
    ]
