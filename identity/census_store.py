"""SQL that counts the graph: what goes in, what is in it, and what must never be.

Contract: as in ``store.py``; reads only. Used by the checks of the batch walk, which ask these questions anew and not by the code that built the graph.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from identity.people import OldRow
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId, RecordId


@dataclass(frozen=True, slots=True)
class Census:
    """Counts of the living. ``homeless``: records without a person; ``orphaned``: records whose person is retired, erased or unknown;
    ``empty``: live people without a record.
    """

    records: int
    current: int
    members: int
    people: int
    homeless: int
    orphaned: int
    empty: int


async def census(conn: Conn) -> Census:
    """Count records, memberships and people."""
    cursor = await conn.execute(
        "SELECT (SELECT count(*) FROM identity.records WHERE erased_at IS NULL) AS records,"
        " (SELECT count(*) FROM identity.records WHERE erased_at IS NULL AND current) AS current,"
        " (SELECT count(*) FROM identity.members) AS members,"
        " (SELECT count(*) FROM identity.people WHERE redirect_to IS NULL AND erased_at IS NULL) AS people,"
        " (SELECT count(*) FROM identity.records r WHERE r.erased_at IS NULL AND NOT EXISTS"
        "   (SELECT 1 FROM identity.members m WHERE m.record_id = r.record_id)) AS homeless,"
        " (SELECT count(*) FROM identity.members m LEFT JOIN identity.people p ON p.person_id = m.person_id"
        "   WHERE p.person_id IS NULL OR p.redirect_to IS NOT NULL OR p.erased_at IS NOT NULL) AS orphaned,"
        " (SELECT count(*) FROM identity.people p WHERE p.redirect_to IS NULL AND p.erased_at IS NULL AND NOT EXISTS"
        "   (SELECT 1 FROM identity.members m WHERE m.person_id = p.person_id)) AS empty"
    )
    row = await cursor.fetchone()
    assert row is not None
    return Census(**row)


async def twofold(conn: Conn, kinds: Sequence[str]) -> list[PersonId]:
    """People whose current records hold two values of a kind of which nobody has two.

    Values that one record names together (an alias call says that two log-ins are one person's) count as one.
    """
    cursor = await conn.execute(
        "WITH held AS (SELECT m.person_id, i.kind, m.record_id, i.identifier_id FROM identity.members m"
        "  JOIN identity.records r ON r.record_id = m.record_id AND r.current"
        "  JOIN identity.record_identifiers ri ON ri.record_id = m.record_id"
        "  JOIN identity.identifiers i ON i.identifier_id = ri.identifier_id WHERE i.kind = ANY(%b::text[]))"
        " SELECT h.person_id, h.kind, h.record_id, h.identifier_id FROM held h JOIN"
        "  (SELECT person_id, kind FROM held GROUP BY 1, 2 HAVING count(DISTINCT identifier_id) > 1) AS two"
        "  ON two.person_id = h.person_id AND two.kind = h.kind",
        (list(kinds),),
    )
    carried: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    async for r in cursor:
        carried[r["person_id"], r["kind"]][r["record_id"]].add(r["identifier_id"])
    return sorted({PersonId(person) for (person, _), sets in carried.items() if _parts(sets.values()) > 1})


def _parts(sets: Iterable[set[str]]) -> int:
    """Into how many parts sets fall that are joined by common members."""
    parts: list[set[str]] = []
    for one in sets:
        joined = [part for part in parts if part & one]
        parts = [part for part in parts if not part & one] + [set(one).union(*joined)]
    return len(parts)


async def strayed(conn: Conn, version: GraphVersion) -> tuple[int, int]:
    """Of the records that were in the graph before ``version``: how many there are, and of how many the id they had then leads to
    somebody else now (a merge keeps its promise by a redirect, a split breaks it for the part that left).
    """
    cursor = await conn.execute(
        "SELECT (SELECT count(*) FROM identity.members WHERE valid_from < %b)"
        "  + (SELECT count(*) FROM identity.past_members WHERE valid_to = %b) AS held,"
        " (SELECT count(*) FROM identity.past_members b JOIN identity.members m ON m.record_id = b.record_id"
        "   JOIN identity.people p ON p.person_id = b.person_id"
        "   WHERE b.valid_to = %b AND coalesce(p.redirect_to, p.person_id) <> m.person_id) AS strayed",
        (version, version, version),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["held"]), int(row["strayed"])


async def sizes(conn: Conn) -> dict[int, int]:
    """How many people have so many current records."""
    cursor = await conn.execute(
        "SELECT size, count(*) AS people FROM (SELECT count(*) AS size FROM identity.members m"
        " JOIN identity.records r ON r.record_id = m.record_id AND r.current GROUP BY m.person_id) AS s"
        " GROUP BY size ORDER BY size"
    )
    return {int(r["size"]): int(r["people"]) async for r in cursor}


async def arrived(conn: Conn, since: datetime) -> int:
    """How many records came after a moment and are still there."""
    cursor = await conn.execute(
        "SELECT count(*) AS n FROM identity.records WHERE recorded_at > %b AND erased_at IS NULL", (since,)
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row is not None else 0


async def strangers(conn: Conn, records: Sequence[RecordId]) -> list[RecordId]:
    """Those of these records that no living person has."""
    cursor = await conn.execute(
        "SELECT w.id FROM unnest(%b::text[]) AS w(id) WHERE NOT EXISTS"
        " (SELECT 1 FROM identity.members m WHERE m.record_id = w.id) ORDER BY 1",
        (list(records),),
    )
    return [RecordId(r["id"]) async for r in cursor]


async def newcomers(conn: Conn, since: datetime) -> set[PersonId]:
    """Live people who were made after a moment."""
    cursor = await conn.execute(
        "SELECT person_id FROM identity.people WHERE created_at > %b AND redirect_to IS NULL AND erased_at IS NULL",
        (since,),
    )
    return {PersonId(r["person_id"]) async for r in cursor}


async def old_rows(conn: Conn, before: datetime, purposes: Sequence[str], after: str, limit: int) -> list[OldRow]:
    """Rows whose newest version was recorded before a moment under one of these purposes, by that version's id."""
    cursor = await conn.execute(
        "SELECT o.record_id, o.person_id, array_agg(v.record_id ORDER BY v.version) AS versions FROM"
        " (SELECT r.record_id, r.row_index, m.person_id FROM identity.records r"
        "  JOIN identity.members m ON m.record_id = r.record_id"
        "  WHERE r.current AND r.erased_at IS NULL AND r.recorded_at < %b AND r.purpose = ANY(%b::text[])"
        "   AND r.record_id > %b ORDER BY r.record_id LIMIT %b) AS o"
        " JOIN identity.records v ON v.row_index = o.row_index AND v.erased_at IS NULL"
        " GROUP BY o.record_id, o.person_id ORDER BY o.record_id",
        (before, list(purposes), after, limit),
    )
    return [OldRow(PersonId(r["person_id"]), RecordId(r["record_id"]), tuple(r["versions"])) async for r in cursor]


async def owners(conn: Conn, records: Sequence[RecordId]) -> dict[RecordId, PersonId]:
    """The living person of each of these records; one without is absent."""
    cursor = await conn.execute(
        "SELECT record_id, person_id FROM identity.members WHERE record_id = ANY(%b::text[]) ORDER BY record_id",
        (list(records),),
    )
    return {RecordId(r["record_id"]): PersonId(r["person_id"]) async for r in cursor}


async def heard(conn: Conn, people: Sequence[PersonId], purposes: Sequence[str], since: datetime) -> set[PersonId]:
    """Of which of these people a record was stored since, under one of these purposes."""
    cursor = await conn.execute(
        "SELECT DISTINCT m.person_id FROM identity.members m JOIN identity.records r ON r.record_id = m.record_id"
        " WHERE m.person_id = ANY(%b::text[]) AND r.recorded_at >= %b AND r.purpose = ANY(%b::text[])",
        (list(people), since, list(purposes)),
    )
    return {PersonId(r["person_id"]) async for r in cursor}
