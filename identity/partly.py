"""Publishing a part of the graph: some people's records in new groups, everybody else untouched (identity.I31, I34).

Enters: every record of the people concerned with its owner, the new group of those that were judged, the edges among them.  Leaves: a graph version where somebody moved or
a doubt came or went; none where all stays.  What staff decided is obeyed first, ids follow ``graph.assign``, as for the whole graph (``publishing``); what this costs depends
on the part alone.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from identity import evidence_store, graph_store, judged, judgement_store, publishing, undoing_store
from identity.evidence_store import Refused
from identity.graph import assign, surety
from identity.people import Change, Edge
from identity.settling import settle
from kernel.canonical import Json, digest
from kernel.clock import Clock
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId, RecordId, new_id


@dataclass(frozen=True, slots=True)
class Part:
    """``whose``: all records of the people concerned, superseded versions too. ``labels``: the group of each record that was judged. ``edges``: those among
    them that are kept with the graph, ``fresh`` of which are new. ``refused``: bridges that the guard refused among them.
    """

    whose: Mapping[RecordId, PersonId]
    labels: Mapping[RecordId, Hashable]
    edges: Sequence[Edge]
    fresh: Sequence[Edge]
    refused: Sequence[Refused]


@dataclass(frozen=True, slots=True)
class Moved:
    """``version``: None where nothing changed hands. ``touched``: everybody whose state may differ now."""

    version: GraphVersion | None
    changes: tuple[Change, ...]
    touched: frozenset[PersonId]


async def publish_part(
    conn: Conn, audit: Audit, clock: Clock, part: Part, exclusive: Sequence[str], cause: str = "settled"
) -> Moved:
    """The caller holds the graph alone and has seen that ``whose`` still holds."""
    labels = dict(part.labels)
    law = await judged.law(conn, labels)
    if law.rulings:
        claims = await judged.claims(conn, labels, law.rulings, exclusive)
        labels |= settle(labels, law.rulings, part.edges, claims)
    now = await judgement_store.current_of(conn, part.whose)
    labels |= {old: labels[new] for old, new in now.items() if new in labels}
    outcome = assign(part.whose, labels, partial(new_id, "per"))
    refused = [pair for pair in part.refused if outcome.person_of[pair.a] != outcome.person_of[pair.b]]
    at, number = clock.now(), await graph_store.version(conn)
    doubts = await evidence_store.doubts_among(conn, list(part.labels))
    new = {(pair.a, pair.b) for pair in refused} != set(doubts)
    if outcome.changes or new:
        number = GraphVersion(number + 1)
        facts: dict[str, Json] = {
            "records": len(part.labels),
            "moved": len(outcome.moved),
            "changes": digest([[c.kind, c.person, c.other, list(c.records)] for c in outcome.changes]),
        }
        await graph_store.new_version(conn, number, cause, facts, at)
        await publishing.move(conn, outcome, number, at)
        await graph_store.add_changes(conn, outcome.changes, number, at)
        entry = NewEntry(Tag.GRAPH_PUBLISHED, {"graph": f"graph:{number}"}, {**facts, "cause": cause})
        await audit.append(conn, [entry, *publishing.entries(outcome.changes, number)])
        await evidence_store.renew_doubts(conn, doubts, refused, number)
    if part.fresh:
        await evidence_store.add_edges(conn, part.fresh, number)
    people = set(outcome.person_of.values())
    held = surety(outcome.person_of, [*part.edges, *judged.ties(law)])
    was = await graph_store.people_rows(conn, sorted(people))
    unsure = {p: held.get(p, 1.0) for p in people if p in was and abs(was[p].sure - held.get(p, 1.0)) > 1e-9}
    if unsure:
        await undoing_store.raise_sure(conn, unsure)
    moved = {p for change in outcome.changes for p in (change.person, change.other) if p is not None}
    gained = {r for pair in set(doubts) ^ {(p.a, p.b) for p in refused} for r in pair}
    doubtful = {outcome.person_of[r] for r in gained if r in outcome.person_of}
    return Moved(
        number if outcome.changes or new else None, outcome.changes, frozenset(moved | doubtful | unsure.keys())
    )
