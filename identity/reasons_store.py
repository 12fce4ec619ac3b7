"""All SQL that only a question about a pair or a person's history asks.

Contract: as in ``store.py``; reading only.
"""

from datetime import datetime

from identity import judgement_store
from identity.judgements import weigh
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId, RecordId

_Step = tuple[GraphVersion, datetime, str, str, PersonId | None, tuple[RecordId, ...]]


async def judged_apart(conn: Conn, a: RecordId, b: RecordId) -> bool:
    """Whether staff decided that these records, or other versions of their rows, are not one person."""
    cursor = await conn.execute(
        "SELECT o.record_id FROM identity.records r JOIN identity.records o ON o.row_index = r.row_index"
        " WHERE r.record_id = ANY(%b)",
        ([a, b],),
    )
    versions = [RecordId(row["record_id"]) async for row in cursor]
    standing = await judgement_store.standing(conn, versions)
    if not standing:
        return False
    now = await judgement_store.current_of(conn, (r for one in standing for r in (*one.left, *one.right)))
    return any((a in x and b in y) or (b in x and a in y) for x, y in weigh(standing, now).rulings.apart)


async def steps(conn: Conn, person: PersonId) -> list[_Step]:
    """What happened to a person, in order: records that came to her when they were collected, and the lines of the change feed that name her."""
    cursor = await conn.execute(
        "WITH held AS (SELECT record_id, valid_from FROM identity.members WHERE person_id = %(person)b"
        "  UNION ALL SELECT record_id, valid_from FROM identity.past_members WHERE person_id = %(person)b)"
        " SELECT h.valid_from AS version, r.recorded_at AS at, 'collected' AS cause, 'arrived' AS kind, NULL AS other,"
        "  array_agg(h.record_id ORDER BY h.record_id) AS records, 0 AS seq"
        " FROM held h JOIN identity.records r ON r.record_id = h.record_id WHERE NOT EXISTS (SELECT FROM identity.past_members e"
        "  WHERE e.record_id = h.record_id AND e.valid_from < h.valid_from) GROUP BY 1, 2"
        " UNION ALL SELECT c.version, c.made_at, v.cause, c.kind,"
        "  CASE WHEN c.person_id = %(person)b THEN c.other_id ELSE c.person_id END, c.records, c.seq FROM identity.changes c"
        " JOIN identity.graph_versions v ON v.version = c.version WHERE c.person_id = %(person)b OR c.other_id = %(person)b"
        " ORDER BY at, version, seq",
        {"person": person},
    )
    return [(r["version"], r["at"], r["cause"], r["kind"], r["other"], tuple(r["records"])) async for r in cursor]
