"""SQL of the review queue: links that staff may be asked about, and the people whom they concern.

Contract: as in ``graph_store.py``; reads only. Each list is cut off, the likeliest first: what is beyond would stand at the end of the queue.
"""

from collections.abc import Sequence
from typing import Final

from identity.questions import Doubt
from kernel.db import Conn
from kernel.ids import PersonId, RecordId

MOST: Final = 2_000
FAINT: Final = 1.0  # bits: links below it join nobody (clusters.Policy.threshold)
UNSURE: Final = 0.999


async def doubts(conn: Conn) -> list[Doubt[RecordId]]:
    """Refused bridges, and links between two people that were too faint to join them."""
    cursor = await conn.execute(
        "(SELECT record_a, record_b, weight, cause FROM identity.ambiguous ORDER BY weight DESC, record_a, record_b LIMIT %(most)s)"
        " UNION ALL (SELECT e.record_a, e.record_b, e.weight, '' FROM identity.edges e"
        "  JOIN identity.members a ON a.record_id = e.record_a JOIN identity.members b ON b.record_id = e.record_b"
        "  WHERE e.weight < %(faint)s AND a.person_id <> b.person_id ORDER BY e.weight DESC, 1, 2 LIMIT %(most)s)",
        {"most": MOST, "faint": FAINT},
    )
    return [Doubt(r["record_a"], r["record_b"], r["weight"], r["cause"]) async for r in cursor]


async def unsure(conn: Conn) -> list[PersonId]:
    """People whom a weak link holds together, the least sure first."""
    cursor = await conn.execute(
        "SELECT person_id FROM identity.people WHERE sure < %s AND redirect_to IS NULL AND erased_at IS NULL"
        " ORDER BY sure, person_id LIMIT %s",
        (UNSURE, MOST),
    )
    return [r["person_id"] async for r in cursor]


async def holders(conn: Conn, records: Sequence[RecordId]) -> list[PersonId]:
    """The live people of these records."""
    cursor = await conn.execute(
        "SELECT DISTINCT person_id FROM identity.members WHERE record_id = ANY(%b)", (list(records),)
    )
    return [r["person_id"] async for r in cursor]


async def current(conn: Conn, people: Sequence[PersonId]) -> dict[RecordId, PersonId]:
    """Current records of these people."""
    cursor = await conn.execute(
        "SELECT m.record_id, m.person_id FROM identity.members m JOIN identity.records r"
        " ON r.record_id = m.record_id AND r.current WHERE m.person_id = ANY(%b)",
        (list(people),),
    )
    return {r["record_id"]: r["person_id"] async for r in cursor}
