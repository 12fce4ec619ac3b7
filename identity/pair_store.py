"""All SQL that a question about one pair of records asks before it opens their words: one trip to Postgres.

Contract: as in ``store.py``; reading only.
"""

from dataclasses import dataclass
from typing import Final

from identity.evidence_store import Refused
from identity.people import Edge
from identity.store import SEALED, SealedIdentifier, SealedRecord, sealed_record
from kernel.db import Conn
from kernel.ids import IdentifierId, PersonId, RecordId


@dataclass(frozen=True, slots=True)
class Looked:
    """A pair as the graph knows it.

    ``records``: those of the two that have a live person, as asked. ``refused``: the bridge that was refused between the two people, this pair's before a heavier
    one's. ``judged``: some judgement stands that names one of the rows. ``run``: whose graph is live. ``settled``: those
    that a run or a settling compared with the others.
    """

    records: tuple[SealedRecord, ...]
    links: dict[RecordId, list[IdentifierId]]
    identifiers: dict[IdentifierId, SealedIdentifier]
    edge: Edge | None
    refused: Refused | None
    judged: bool
    run: str | None
    settled: frozenset[RecordId]

    @property
    def people(self) -> tuple[PersonId, ...]:
        """The live person of each."""
        return tuple(one.person for one in self.records)


_IDENTIFIERS: Final = (
    "SELECT ri.record_id, i.identifier_id, i.kind, i.key_id, i.value FROM identity.record_identifiers ri"
    " JOIN identity.identifiers i ON i.identifier_id = ri.identifier_id AND i.value IS NOT NULL"
    " WHERE ri.record_id = ANY(%(both)s) ORDER BY 1, 2"
)
_REFUSED: Final = (
    "SELECT r.record_a, r.record_b, r.weight, r.cause FROM ("
    "  SELECT a.* FROM identity.members o JOIN identity.members m ON m.person_id = o.person_id"
    "   JOIN identity.ambiguous a ON a.record_a = m.record_id WHERE o.record_id = %(a)s"
    "  UNION SELECT a.* FROM identity.members o JOIN identity.members m ON m.person_id = o.person_id"
    "   JOIN identity.ambiguous a ON a.record_b = m.record_id WHERE o.record_id = %(a)s"
    " ) AS r JOIN identity.members x ON x.record_id = r.record_a JOIN identity.members y ON y.record_id = r.record_b"
    " WHERE (SELECT person_id FROM identity.members WHERE record_id = %(b)s) IN (x.person_id, y.person_id)"
    " ORDER BY (r.record_a = %(a)s AND r.record_b = %(b)s) DESC, r.weight DESC, r.record_a, r.record_b LIMIT 1"
)
_REST: Final = (
    "SELECT (SELECT run_id FROM identity.runs WHERE graph_version IS NOT NULL ORDER BY graph_version DESC LIMIT 1) AS run,"
    " (SELECT weight FROM identity.edges WHERE record_a = %(a)s AND record_b = %(b)s) AS edge,"
    " ARRAY(SELECT record_id FROM identity.blocks WHERE settled AND record_id = ANY(%(both)s)) AS settled,"
    " EXISTS (SELECT FROM identity.records r JOIN identity.records o ON o.row_index = r.row_index"
    "  JOIN identity.judged_records j ON j.record_id = o.record_id WHERE r.record_id = ANY(%(both)s)) AS judged"
)


async def look(conn: Conn, a: RecordId, b: RecordId) -> Looked:
    """What is known of the pair; every statement travels in one pipeline."""
    asked = {"a": min(a, b), "b": max(a, b), "both": [a, b]}
    async with conn.pipeline():
        records, identifiers, refused, rest = [
            await conn.execute(statement, asked)
            for statement in (f"{SEALED} AND m.record_id = ANY(%(both)s)", _IDENTIFIERS, _REFUSED, _REST)
        ]
        held = {r["record_id"]: sealed_record(r) async for r in records}
        links: dict[RecordId, list[IdentifierId]] = {}
        sealed: dict[IdentifierId, SealedIdentifier] = {}
        async for r in identifiers:
            links.setdefault(r["record_id"], []).append(r["identifier_id"])
            sealed[r["identifier_id"]] = SealedIdentifier(r["identifier_id"], r["kind"], r["key_id"], bytes(r["value"]))
        bridge, found = await refused.fetchone(), await rest.fetchone()
    assert found is not None
    return Looked(
        records=tuple(held[one] for one in (a, b) if one in held),
        links=links,
        identifiers=sealed,
        edge=None if found["edge"] is None else Edge(asked["a"], asked["b"], found["edge"]),  # type: ignore[arg-type]
        refused=None
        if bridge is None
        else Refused(bridge["record_a"], bridge["record_b"], bridge["weight"], bridge["cause"]),
        judged=found["judged"],
        run=found["run"],
        settled=frozenset(found["settled"]),
    )
