"""SQL that an undoing asks of the history: which merge it was, who held what before, and who came since.

Contract: as in ``graph_store.py``; reads only, except ``redirect``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId, RecordId


@dataclass(frozen=True, slots=True)
class Held:
    """A person held something from a graph version on, up to another one that is not counted; None: still."""

    person: PersonId
    since: GraphVersion
    until: GraphVersion | None


@dataclass(frozen=True, slots=True)
class Merged:
    """A line of the change feed: ``person`` was retired into ``into``."""

    version: GraphVersion
    person: PersonId
    into: PersonId


async def merges(conn: Conn, people: Sequence[PersonId]) -> list[Merged]:
    """Of people that are retired now, the merge that retired each, the newest first."""
    cursor = await conn.execute(
        "SELECT DISTINCT ON (c.person_id) c.version, c.person_id, c.other_id FROM identity.changes c"
        " JOIN identity.people p ON p.person_id = c.person_id AND p.redirect_to IS NOT NULL"
        " WHERE c.person_id = ANY(%b) AND c.kind = 'merged' ORDER BY c.person_id, c.seq DESC",
        (list(people),),
    )
    found = [Merged(r["version"], r["person_id"], r["other_id"]) async for r in cursor]
    return sorted(found, key=lambda one: (one.version, one.person), reverse=True)


async def held_before(conn: Conn, records: Sequence[RecordId], version: GraphVersion) -> dict[RecordId, PersonId]:
    """Who held each of these records in the graph before this version; one that came later is absent."""
    cursor = await conn.execute(
        "SELECT record_id, person_id FROM identity.members WHERE record_id = ANY(%(records)s) AND valid_from < %(version)s"
        " UNION ALL SELECT record_id, person_id FROM identity.past_members WHERE record_id = ANY(%(records)s)"
        " AND valid_from < %(version)s AND valid_to >= %(version)s",
        {"records": list(records), "version": version},
    )
    return {r["record_id"]: r["person_id"] async for r in cursor}


async def had(conn: Conn, people: Sequence[PersonId], version: GraphVersion) -> dict[PersonId, set[RecordId]]:
    """Every record that these people held in the graph before this version."""
    found: dict[PersonId, set[RecordId]] = {}
    cursor = await conn.execute(
        "SELECT record_id, person_id FROM identity.members WHERE person_id = ANY(%(people)s) AND valid_from < %(version)s"
        " UNION ALL SELECT record_id, person_id FROM identity.past_members WHERE person_id = ANY(%(people)s)"
        " AND valid_from < %(version)s AND valid_to >= %(version)s",
        {"people": list(people), "version": version},
    )
    async for r in cursor:
        found.setdefault(r["person_id"], set()).add(r["record_id"])
    return found


async def first_held(conn: Conn, records: Sequence[RecordId]) -> dict[RecordId, tuple[PersonId, GraphVersion]]:
    """With whom each record came, and in which graph version."""
    cursor = await conn.execute(
        "SELECT DISTINCT ON (record_id) record_id, person_id, valid_from FROM ("
        " SELECT record_id, person_id, valid_from FROM identity.members WHERE record_id = ANY(%(records)s)"
        " UNION ALL SELECT record_id, person_id, valid_from FROM identity.past_members WHERE record_id = ANY(%(records)s)"
        ") AS h ORDER BY record_id, valid_from",
        {"records": list(records)},
    )
    return {r["record_id"]: (r["person_id"], r["valid_from"]) async for r in cursor}


async def held_since(conn: Conn, records: Sequence[RecordId], version: GraphVersion) -> list[Held]:
    """Who held any of these records in this graph version and later, and when."""
    cursor = await conn.execute(
        "SELECT DISTINCT person_id, valid_from, NULL::bigint AS valid_to FROM identity.members WHERE record_id = ANY(%(records)s)"
        " UNION SELECT person_id, valid_from, valid_to FROM identity.past_members WHERE record_id = ANY(%(records)s)"
        " AND valid_to > %(version)s",
        {"records": list(records), "version": version},
    )
    return [Held(r["person_id"], r["valid_from"], r["valid_to"]) async for r in cursor]


async def last_held(conn: Conn, people: Sequence[PersonId]) -> dict[PersonId, list[RecordId]]:
    """The records that each retired person had last."""
    found: dict[PersonId, list[RecordId]] = {}
    cursor = await conn.execute(
        "SELECT m.person_id, m.record_id FROM identity.past_members m JOIN (SELECT person_id, max(valid_to) AS ended"
        "  FROM identity.past_members WHERE person_id = ANY(%b) GROUP BY person_id) AS l"
        " ON l.person_id = m.person_id AND l.ended = m.valid_to ORDER BY m.record_id",
        (list(people),),
    )
    async for r in cursor:
        found.setdefault(r["person_id"], []).append(r["record_id"])
    return found


async def redirect(conn: Conn, to: Mapping[PersonId, PersonId | None], at: datetime) -> None:
    """Say for each person where her id leads; None: to herself, she is live again."""
    people = list(to)
    await conn.execute(
        "UPDATE identity.people p SET redirect_to = w.into_id,"
        " retired_at = CASE WHEN w.into_id IS NULL THEN NULL ELSE coalesce(p.retired_at, %b) END"
        " FROM unnest(%b::text[], %b::text[]) AS w(id, into_id) WHERE p.person_id = w.id"
        " AND p.redirect_to IS DISTINCT FROM w.into_id",
        (at, people, [to[person] for person in people]),
    )


async def raise_sure(conn: Conn, sure: Mapping[PersonId, float]) -> None:
    """Write how sure these people are."""
    await conn.execute(
        "UPDATE identity.people p SET sure = w.sure FROM unnest(%b::text[], %b::float8[]) AS w(id, sure)"
        " WHERE p.person_id = w.id",
        (list(sure), list(sure.values())),
    )


async def published_since(conn: Conn, version: GraphVersion) -> bool:
    """Whether a linkage run published a graph after this version."""
    cursor = await conn.execute(
        "SELECT EXISTS (SELECT FROM identity.graph_versions WHERE version > %s AND cause = 'published') AS any",
        (version,),
    )
    row = await cursor.fetchone()
    return bool(row and row["any"])
