"""All SQL on limits of identifiers: what people hold of limited kinds, and which links are demoted.

Contract: as in ``store.py``; whoever renews may change memberships (``store.share_graph`` or ``own_graph``). A demoted link stays among the identifiers of its
record; ``store.resolve``, ``joining_store.ask_holders``, the hot and the resident index leave it out.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from identity.limits import Limits, Link
from kernel.db import Conn
from kernel.ids import PersonId, RecordId

_HELD = (
    "SELECT m.person_id, i.kind, ri.record_id, ri.identifier_id, r.observed_at FROM identity.members m"
    " JOIN identity.records r ON r.record_id = m.record_id AND r.current"
    " JOIN identity.record_identifiers ri ON ri.record_id = m.record_id"
    " JOIN identity.identifiers i ON i.identifier_id = ri.identifier_id"
    " WHERE m.person_id = ANY(%(people)b) AND i.kind = ANY(%(kinds)b)"
)
# Of somebody with fewer values than a limit nothing can be beyond it, and nothing is demoted that was not before.
_CROWDED = (
    "SELECT DISTINCT h.person_id FROM (SELECT m.person_id, i.kind, count(DISTINCT ri.identifier_id) AS held,"
    "  bool_or(d.record_id IS NOT NULL) AS demoted FROM unnest(%(people)b::text[]) AS w(id)"
    "  JOIN identity.members m ON m.person_id = w.id"
    "  JOIN identity.record_identifiers ri ON ri.record_id = m.record_id"
    "  JOIN identity.identifiers i ON i.identifier_id = ri.identifier_id"
    "  LEFT JOIN identity.demoted d ON d.record_id = ri.record_id AND d.identifier_id = ri.identifier_id"
    "  WHERE i.kind = ANY(%(kinds)b::text[]) GROUP BY 1, 2) AS h"
    " JOIN unnest(%(kinds)b::text[], %(most)b::int[]) AS l(kind, most) ON l.kind = h.kind"
    " WHERE h.held > l.most OR h.demoted"
)
_CHUNK = 20_000


async def renew(conn: Conn, limits: Limits, people: Sequence[PersonId]) -> list[RecordId]:
    """Demote the links of these people beyond a limit, and no others of theirs; the records of which a link counts now, or no more."""
    changed: list[RecordId] = []
    for start in range(0, len(people) if limits.of else 0, _CHUNK):
        crowded = await _crowded(conn, limits, people[start : start + _CHUNK])
        if crowded:
            changed += await _write(conn, limits, crowded)
    return changed


async def over(conn: Conn, limits: Limits) -> list[PersonId]:
    """People of whom more links count than a limit allows; there should be none."""
    cursor = await conn.execute("SELECT DISTINCT person_id FROM identity.members")
    everybody = [r["person_id"] async for r in cursor]
    held = await _held(conn, limits, await _crowded(conn, limits, everybody))
    out = await _demoted(
        conn, [record for kinds in held.values() for links in kinds.values() for _, record, _ in links]
    )
    counted = {
        person: {kind: [one for one in links if (one[1], one[2]) not in out] for kind, links in kinds.items()}
        for person, kinds in held.items()
    }
    return sorted(person for person, kinds in counted.items() if limits.demoted(kinds))


async def observed(conn: Conn, records: Sequence[RecordId]) -> dict[RecordId, datetime]:
    """When the source saw what each record says."""
    cursor = await conn.execute(
        "SELECT record_id, observed_at FROM identity.records WHERE record_id = ANY(%b)", (list(records),)
    )
    return {r["record_id"]: r["observed_at"] async for r in cursor}


async def everybody(conn: Conn, kinds: Sequence[str]) -> list[tuple[RecordId, str, str, datetime]]:
    """Every current record's identifiers of these kinds: record, kind, identifier, when it was observed."""
    cursor = await conn.execute(
        "SELECT ri.record_id, i.kind, ri.identifier_id, r.observed_at FROM identity.identifiers i"
        " JOIN identity.record_identifiers ri ON ri.identifier_id = i.identifier_id"
        " JOIN identity.records r ON r.record_id = ri.record_id AND r.current WHERE i.kind = ANY(%b)",
        (list(kinds),),
    )
    return [(r["record_id"], r["kind"], r["identifier_id"], r["observed_at"]) async for r in cursor]


async def _crowded(conn: Conn, limits: Limits, people: Sequence[PersonId]) -> list[PersonId]:
    kinds = list(limits.kinds)
    asked = {"people": list(people), "kinds": kinds, "most": [limits.of[kind].most for kind in kinds]}
    cursor = await conn.execute(_CROWDED, asked)
    return sorted([r["person_id"] async for r in cursor])


async def _held(conn: Conn, limits: Limits, people: Sequence[PersonId]) -> dict[PersonId, dict[str, list[Link]]]:
    found: dict[PersonId, dict[str, list[Link]]] = defaultdict(lambda: defaultdict(list))
    cursor = await conn.execute(_HELD, {"people": list(people), "kinds": list(limits.kinds)})
    async for r in cursor:
        found[r["person_id"]][r["kind"]].append((r["observed_at"].timestamp(), r["record_id"], r["identifier_id"]))
    return found


async def _demoted(conn: Conn, records: Sequence[str]) -> set[tuple[str, str]]:
    cursor = await conn.execute(
        "SELECT record_id, identifier_id FROM identity.demoted WHERE record_id = ANY(%b)", (sorted(set(records)),)
    )
    return {(r["record_id"], r["identifier_id"]) async for r in cursor}


async def _write(conn: Conn, limits: Limits, people: Sequence[PersonId]) -> list[RecordId]:
    held = await _held(conn, limits, people)
    now = {pair for kinds in held.values() for pair in limits.demoted(kinds)}
    cursor = await conn.execute(
        "SELECT d.record_id, d.identifier_id FROM identity.demoted d JOIN identity.members m ON m.record_id = d.record_id"
        " WHERE m.person_id = ANY(%b)",
        (list(people),),
    )
    before = {(r["record_id"], r["identifier_id"]) async for r in cursor}
    if gone := sorted(before - now):
        await conn.execute(
            "DELETE FROM identity.demoted d USING unnest(%b::text[], %b::text[]) AS w(record, identifier)"
            " WHERE d.record_id = w.record AND d.identifier_id = w.identifier",
            ([record for record, _ in gone], [identifier for _, identifier in gone]),
        )
    if new := sorted(now - before):
        await conn.execute(
            "INSERT INTO identity.demoted (record_id, identifier_id) SELECT w.record, w.identifier"
            " FROM unnest(%b::text[], %b::text[]) AS w(record, identifier) ON CONFLICT DO NOTHING",
            ([record for record, _ in new], [identifier for _, identifier in new]),
        )
    return sorted({RecordId(record) for record, _ in now ^ before})
