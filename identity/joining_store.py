"""All SQL that a record asks which joins a person: who holds its identifiers, and what else they hold.

Contract: as in ``store.py``.
"""

from collections.abc import Awaitable, Callable, Sequence

from identity.people import Carried
from identity.store import COUNTS
from kernel.db import Conn
from kernel.ids import GraphVersion, IdentifierId, PersonId, RecordId


async def ask_holders(
    conn: Conn, ids: Sequence[IdentifierId]
) -> Callable[[], Awaitable[tuple[dict[IdentifierId, set[PersonId]], GraphVersion]]]:
    """The live people whose records (any version) carry these identifiers within every limit, and the newest graph version.

    In two steps: what is asked next in a pipelined transaction shares its way with it.
    """
    cursor = await conn.execute(
        # Lateral: one index probe an identifier, whatever Postgres believes of freshly loaded tables.
        "SELECT v.newest, h.id, h.person_id FROM (SELECT max(version) AS newest FROM identity.graph_versions) AS v LEFT JOIN ("
        " SELECT w.id, x.person_id FROM unnest(%b::text[]) AS w(id) CROSS JOIN LATERAL ("
        "  SELECT DISTINCT m.person_id FROM identity.record_identifiers ri"
        "  JOIN identity.members m ON m.record_id = ri.record_id"
        f"  WHERE ri.identifier_id = w.id AND {COUNTS}) AS x) AS h ON true",
        (list(ids),),
    )

    async def told() -> tuple[dict[IdentifierId, set[PersonId]], GraphVersion]:
        found: dict[IdentifierId, set[PersonId]] = {}
        newest = GraphVersion(0)
        for r in await cursor.fetchall():
            newest = GraphVersion(r["newest"] or 0)
            if r["id"] is not None:
                found.setdefault(r["id"], set()).add(r["person_id"])
        return found, newest

    return told


async def carried_by(conn: Conn, people: Sequence[PersonId], kinds: Sequence[str]) -> dict[PersonId, list[Carried]]:
    """Identifiers of these kinds on the current records of these people."""
    found: dict[PersonId, list[Carried]] = {}
    cursor = await conn.execute(
        "SELECT m.person_id, i.identifier_id, i.kind, r.source, r.row_index, r.observed_at FROM identity.members m"
        " JOIN identity.records r ON r.record_id = m.record_id AND r.current"
        " JOIN identity.record_identifiers ri ON ri.record_id = m.record_id"
        " JOIN identity.identifiers i ON i.identifier_id = ri.identifier_id"
        " WHERE m.person_id = ANY(%b) AND i.kind = ANY(%b)",
        (list(people), list(kinds)),
    )
    async for r in cursor:
        found.setdefault(r["person_id"], []).append(
            Carried(r["identifier_id"], r["kind"], r["source"], bytes(r["row_index"]), r["observed_at"].timestamp())
        )
    return found


async def carrier(conn: Conn, person: PersonId, identifier: IdentifierId) -> RecordId | None:
    """The person's newest record that carries an identifier."""
    cursor = await conn.execute(
        "SELECT max(m.record_id) AS record FROM identity.record_identifiers ri JOIN identity.members m ON m.record_id = ri.record_id"
        " WHERE ri.identifier_id = %b AND m.person_id = %b",
        (identifier, person),
    )
    row = await cursor.fetchone()
    return None if row is None else row["record"]
