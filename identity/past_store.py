"""All SQL on the graph as it was: memberships, identifiers and doubts of a past graph version, with what was recorded by a moment.

Contract: as in ``store.py``; reading only. A record that joined between two versions is of the version before, and is told from earlier ones by
when it was recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kernel.db import Conn
from kernel.ids import GraphVersion, IdentifierId, PersonId, RecordId

# Who had which record then: living memberships that had begun, and ended ones that had not ended.
_HELD: Final = """
(SELECT m.record_id, m.person_id FROM identity.members m WHERE m.valid_from <= %(version)s AND {which}
 UNION ALL SELECT m.record_id, m.person_id FROM identity.past_members m
 WHERE m.valid_from <= %(version)s AND m.valid_to > %(version)s AND {which})
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment, and the graph version that was the newest then."""

    at: datetime
    version: GraphVersion


async def moment(conn: Conn, at: datetime) -> tuple[Moment, GraphVersion]:
    """The version of a moment, and the first version of which doubts were kept."""
    cursor = await conn.execute(
        "SELECT (SELECT coalesce(max(version), 0) FROM identity.graph_versions WHERE made_at <= %s) AS version,"
        " (SELECT since FROM identity.past_known) AS since",
        (at,),
    )
    row = await cursor.fetchone()
    assert row is not None
    return Moment(at, GraphVersion(row["version"])), GraphVersion(row["since"])


async def records(conn: Conn, people: Sequence[PersonId], then: Moment) -> dict[PersonId, list[RecordId]]:
    """The records of people, as they were known then."""
    found: dict[PersonId, list[RecordId]] = {}
    cursor = await conn.execute(
        f"SELECT h.person_id, h.record_id FROM {_HELD.format(which='m.person_id = ANY(%(people)s)')} AS h"
        " JOIN identity.records r ON r.record_id = h.record_id WHERE r.recorded_at <= %(at)s ORDER BY h.record_id",
        {"people": list(people), "version": then.version, "at": then.at},
    )
    async for row in cursor:
        found.setdefault(row["person_id"], []).append(row["record_id"])
    return found


async def holders(conn: Conn, records_: Sequence[RecordId], then: Moment) -> dict[RecordId, PersonId]:
    """Who had each of these records then."""
    cursor = await conn.execute(
        f"SELECT h.person_id, h.record_id FROM {_HELD.format(which='m.record_id = ANY(%(records)s)')} AS h"
        " JOIN identity.records r ON r.record_id = h.record_id WHERE r.recorded_at <= %(at)s",
        {"records": list(records_), "version": then.version, "at": then.at},
    )
    return {row["record_id"]: row["person_id"] async for row in cursor}


async def ever(conn: Conn, people: Sequence[PersonId]) -> list[tuple[PersonId, PersonId]]:
    """Each of these people with everybody who ever had a record that is theirs now."""
    cursor = await conn.execute(
        "SELECT DISTINCT m.person_id, p.person_id AS other_id FROM identity.members m"
        " JOIN identity.past_members p ON p.record_id = m.record_id WHERE m.person_id = ANY(%s) ORDER BY 1, 2",
        (list(people),),
    )
    return [(row["person_id"], row["other_id"]) async for row in cursor]


async def identifiers(conn: Conn, records_: Sequence[RecordId]) -> list[tuple[RecordId, IdentifierId, str]]:
    """What each record carries: identifier and its kind; records never change."""
    cursor = await conn.execute(
        "SELECT ri.record_id, ri.identifier_id, i.kind FROM identity.record_identifiers ri"
        " JOIN identity.identifiers i ON i.identifier_id = ri.identifier_id WHERE ri.record_id = ANY(%s)"
        " ORDER BY ri.identifier_id, ri.record_id",
        (list(records_),),
    )
    return [(row["record_id"], row["identifier_id"], row["kind"]) async for row in cursor]


async def carriers(conn: Conn, ids: Sequence[IdentifierId]) -> list[tuple[IdentifierId, RecordId]]:
    """Every record that carries one of these identifiers."""
    cursor = await conn.execute(
        "SELECT identifier_id, record_id FROM identity.record_identifiers WHERE identifier_id = ANY(%s)", (list(ids),)
    )
    return [(row["identifier_id"], row["record_id"]) async for row in cursor]


async def doubts(conn: Conn, records_: Sequence[RecordId], then: Moment) -> list[tuple[RecordId, RecordId]]:
    """Pairs that were kept apart then, one of these records first."""
    cursor = await conn.execute(
        "WITH pairs AS (SELECT record_a, record_b FROM identity.ambiguous WHERE coalesce(since, version) <= %(version)s"
        " UNION ALL SELECT record_a, record_b FROM identity.past_ambiguous"
        " WHERE valid_from <= %(version)s AND valid_to > %(version)s)"
        " SELECT record_a AS mine, record_b AS other FROM pairs WHERE record_a = ANY(%(records)s)"
        " UNION SELECT record_b, record_a FROM pairs WHERE record_b = ANY(%(records)s)",
        {"records": list(records_), "version": then.version},
    )
    return [(row["mine"], row["other"]) async for row in cursor]


async def existed(conn: Conn, person: PersonId, at: datetime) -> bool:
    """Whether there was a person of this id by then, and she is not erased."""
    cursor = await conn.execute(
        "SELECT FROM identity.people WHERE person_id = %s AND created_at <= %s AND erased_at IS NULL", (person, at)
    )
    return await cursor.fetchone() is not None
