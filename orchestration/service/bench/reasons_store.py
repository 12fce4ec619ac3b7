"""All SQL of `candor bench reasons`: which pairs to ask about, and what the newest graph changed. Reads only."""

from kernel.db import Conn
from kernel.ids import RecordId


async def lines(conn: Conn) -> int:
    """Lines of the change feed that the newest version wrote."""
    cursor = await conn.execute(
        "SELECT count(*) AS lines FROM identity.changes WHERE version = (SELECT max(version) FROM identity.graph_versions)"
    )
    row = await cursor.fetchone()
    return int(row["lines"]) if row else 0


async def edges(conn: Conn) -> list[tuple[RecordId, RecordId, float]]:
    """Every edge with its weight."""
    cursor = await conn.execute("SELECT record_a, record_b, weight FROM identity.edges ORDER BY record_a, record_b")
    return [(r["record_a"], r["record_b"], r["weight"]) async for r in cursor]


async def tied(conn: Conn) -> list[tuple[RecordId, RecordId]]:
    """Records of two people that an edge or a refusal ties."""
    cursor = await conn.execute(
        "SELECT e.record_a, e.record_b FROM (SELECT record_a, record_b FROM identity.edges"
        "  UNION SELECT record_a, record_b FROM identity.ambiguous) AS e"
        " JOIN identity.members a ON a.record_id = e.record_a JOIN identity.members b ON b.record_id = e.record_b"
        " WHERE a.person_id <> b.person_id ORDER BY 1, 2"
    )
    return [(r["record_a"], r["record_b"]) async for r in cursor]
