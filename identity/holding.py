"""Identity as a holder of personal data: what is exported, and what an erasure leaves.

What enters: a person. What leaves: her records in words, or tombstones. After an erasure the rows say only that a record
with this id once was; indexes, hashes, edges and words are gone, and the person's id answers to nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from identity import blocks_store, evidence_store, graph_store, review_store, store
from identity.index import Index
from identity.judgements import Judgement
from identity.names import alone
from identity.people import Change
from identity.records import SourceRecord
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId, RecordId


@dataclass(frozen=True, slots=True)
class Erased:
    """Rows touched, the records that went, index entries to forget, people whose possible doubles changed."""

    rows: int
    records: Sequence[RecordId]
    indexes: Sequence[Index]
    neighbours: frozenset[PersonId]


def exported(records: Sequence[SourceRecord], judgements: Sequence[Judgement] = ()) -> Json:
    """Records in words a person can read, and what staff decided about whose they are; who of the staff is not hers to know."""
    return {
        "judgements": [
            {
                "id": one.id,
                "act": one.act.value,
                "verdict": one.verdict.value,
                "records": len(one.left) + len(one.right),
                "reason": one.reason.value,
                "at": one.at.isoformat(),
                "taken_back": one.revoked_by is not None,
            }
            for one in judgements
        ],
        "records": [
            {
                "id": r.id,
                "source": r.source,
                "source_key": r.source_key,
                "version": r.version,
                "current": r.current,
                "observed_at": r.observed_at.isoformat(),
                "recorded_at": r.recorded_at.isoformat(),
                "purpose": r.purpose,
                "basis": r.basis,
                "also_for": list(r.also_for),
                "identifiers": [{"kind": i.kind, "value": i.value} for i in r.identifiers],
                "traits": dict(r.traits),
            }
            for r in records
        ],
    }


async def erase(conn: Conn, person: PersonId, at: datetime, loose_limit: int) -> Erased:
    """See ``Identity.erase``; again on an erased person it touches nothing."""
    await review_store.forget(conn, await alone(conn, person))
    await store.own_graph(conn)
    records = [record for record, _ in (await graph_store.members(conn, [person])).get(person, ())]
    if not records:
        await graph_store.mark_erased(conn, person, at)
        return Erased(0, (), (), frozenset())
    neighbours = (await graph_store.may_be_same(conn, [person], loose_limit)).get(person, set())
    indexes = await store.indexes_of(conn, records)
    number = GraphVersion(await graph_store.version(conn) + 1)
    await graph_store.new_version(conn, number, "erased", {"records": len(records)}, at)
    gone_records, gone_identifiers = await store.erase_records(conn, records, at)
    await graph_store.close_members(conn, records, number)
    await blocks_store.forget(conn, records)
    gone_evidence = await evidence_store.forget_evidence(conn, records)
    await graph_store.mark_erased(conn, person, at)
    await graph_store.add_changes(conn, [Change("erased", person, None, tuple(records))], number, at)
    await graph_store.touch_people(conn, [person, *sorted(neighbours)], number)
    rows = len(gone_records) + len(gone_identifiers) + gone_evidence
    return Erased(rows, records, indexes, frozenset(neighbours))
