"""SQL on the ids by which people and records were known. Contract: as in ``graph_store.py``; reads only."""

from collections.abc import Sequence
from datetime import datetime

from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId

_LAST = (
    " LEFT JOIN identity.members m ON m.record_id = h.record_id"
    " LEFT JOIN LATERAL (SELECT e.person_id FROM identity.past_members e WHERE e.record_id = h.record_id"
    "  ORDER BY e.valid_to DESC LIMIT 1) AS l ON m.record_id IS NULL"
    " JOIN identity.people p ON p.person_id = coalesce(m.person_id, l.person_id)"
)
"""Whose a record of ``h`` is, or was last; an id that was retired leads on."""


async def stood_under(conn: Conn, people: Sequence[PersonId]) -> list[tuple[PersonId, PersonId, PersonId]]:
    """(a live person, a retired id, who has the records that stood under it): of ids that lead to her, and of those under which a record of hers stood."""
    cursor = await conn.execute(
        "WITH ids AS (SELECT r.redirect_to AS person, r.person_id AS id FROM identity.people r WHERE r.redirect_to = ANY(%(people)s)"
        "  UNION SELECT m.person_id, e.person_id FROM identity.members m JOIN identity.past_members e ON e.record_id = m.record_id"
        "  JOIN identity.people r ON r.person_id = e.person_id AND r.redirect_to IS NOT NULL WHERE m.person_id = ANY(%(people)s))"
        " SELECT DISTINCT h.person, h.id, coalesce(p.redirect_to, p.person_id) AS owner"
        " FROM (SELECT i.person, i.id, e.record_id FROM ids i LEFT JOIN identity.past_members e ON e.person_id = i.id) AS h"
        f"{_LAST.replace(' JOIN identity.people', ' LEFT JOIN identity.people')} ORDER BY 1, 2, 3",
        {"people": list(people)},
    )
    return [(r["person"], r["id"], r["owner"]) async for r in cursor]


async def owners(conn: Conn, person: PersonId, since: GraphVersion | None, at: datetime) -> set[PersonId]:
    """Who has now, or had last, the records that stood under an id from a graph version to a moment."""
    cursor = await conn.execute(
        "WITH v AS (SELECT coalesce(max(version), 0) AS then FROM identity.graph_versions WHERE made_at <= %(at)s),"
        " h AS (SELECT record_id FROM identity.members WHERE person_id = %(person)s"
        "  UNION SELECT record_id FROM identity.past_members, v WHERE person_id = %(person)s"
        "   AND valid_to > coalesce(%(since)s, v.then) AND valid_from <= v.then)"
        " SELECT DISTINCT coalesce(p.redirect_to, p.person_id) AS owner FROM h"
        f" JOIN identity.records r ON r.record_id = h.record_id AND r.recorded_at <= %(at)s{_LAST}",
        {"person": person, "since": since, "at": at},
    )
    return {r["owner"] async for r in cursor}
