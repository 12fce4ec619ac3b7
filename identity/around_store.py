"""All SQL that looks around identifiers, or people, in one statement: who holds them, what else those people are known by, who may be the same.

Contract: as in ``store.py``. Each step is index probes for all that came before it: OFFSET 0 keeps Postgres, whose guesses about freshly loaded tables are wild, from
scanning them. An identifier of a crowd, or of a group, says nothing of who may be the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from identity.index import Index
from identity.store import asked_of
from kernel.db import Conn
from kernel.ids import IdentifierId, PersonId, RecordId


@dataclass(frozen=True, slots=True)
class Found:
    """Rows as they came: see ``around.Around``."""

    ids: dict[Index, IdentifierId] = field(default_factory=dict)
    holders: dict[IdentifierId, list[PersonId]] = field(default_factory=dict)
    records: dict[PersonId, list[RecordId]] = field(default_factory=dict)
    known: dict[PersonId, list[IdentifierId]] = field(default_factory=dict)
    shared: dict[IdentifierId, list[PersonId]] = field(default_factory=dict)
    refused: dict[PersonId, list[PersonId]] = field(default_factory=dict)


# Identifiers by blind index and who holds them; or the people themselves.
_BY_INDEX: Final = (
    "wanted AS MATERIALIZED (SELECT i.identifier_id AS id, i.kind, i.{column} AS index"
    " FROM unnest(%(kinds)b::text[], %(indexes)b::bytea[]) AS w(kind, index)"
    " JOIN identity.identifiers i ON i.kind = w.kind AND i.{column} = w.index)"
)
_HELD: Final = """,
held AS MATERIALIZED (SELECT DISTINCT w.id, m.person_id FROM wanted w
 CROSS JOIN LATERAL (SELECT record_id FROM identity.record_identifiers WHERE identifier_id = w.id OFFSET 0) AS ri
 CROSS JOIN LATERAL (SELECT person_id FROM identity.members WHERE record_id = ri.record_id OFFSET 0) AS m),
person AS MATERIALIZED (SELECT DISTINCT person_id FROM held)"""
_PEOPLE: Final = "person AS MATERIALIZED (SELECT DISTINCT person_id FROM unnest(%(people)b::text[]) AS w(person_id))"
_OWN: Final = """,
record AS MATERIALIZED (SELECT p.person_id, m.record_id FROM person p
 CROSS JOIN LATERAL (SELECT record_id FROM identity.members WHERE person_id = p.person_id OFFSET 0) AS m),
known AS MATERIALIZED (SELECT DISTINCT r.person_id, ri.identifier_id FROM record r
 CROSS JOIN LATERAL (SELECT identifier_id FROM identity.record_identifiers WHERE record_id = r.record_id OFFSET 0) AS ri),
shared AS MATERIALIZED (SELECT k.identifier_id, s.people FROM (SELECT DISTINCT identifier_id FROM known) AS k
 CROSS JOIN LATERAL (SELECT FROM identity.identifiers WHERE identifier_id = k.identifier_id AND kind <> 'group_id' OFFSET 0) AS i
 CROSS JOIN LATERAL (SELECT array_agg(DISTINCT m.person_id) AS people FROM
  (SELECT record_id FROM identity.record_identifiers WHERE identifier_id = k.identifier_id OFFSET 0) AS ri
  CROSS JOIN LATERAL (SELECT person_id FROM identity.members WHERE record_id = ri.record_id OFFSET 0) AS m) AS s
 WHERE cardinality(s.people) BETWEEN 2 AND %(crowd)b),
refused AS MATERIALIZED (SELECT DISTINCT r.person_id, o.person_id AS other FROM record r
 CROSS JOIN LATERAL ((SELECT record_b AS record_id FROM identity.ambiguous WHERE record_a = r.record_id OFFSET 0)
  UNION ALL (SELECT record_a FROM identity.ambiguous WHERE record_b = r.record_id OFFSET 0)) AS a
 CROSS JOIN LATERAL (SELECT person_id FROM identity.members WHERE record_id = a.record_id OFFSET 0) AS o)"""
_OTHERS: Final = """,
other AS MATERIALIZED ((SELECT unnest(people) AS person_id FROM shared UNION SELECT other FROM refused) EXCEPT SELECT person_id FROM person),
theirs AS MATERIALIZED (SELECT p.person_id, m.record_id FROM other p
 CROSS JOIN LATERAL (SELECT record_id FROM identity.members WHERE person_id = p.person_id OFFSET 0) AS m)"""
_LOOSE: Final = """SELECT 'known' AS what, person_id AS a, identifier_id AS b, NULL::bytea AS index, NULL::text[] AS people FROM known k
 WHERE EXISTS (SELECT FROM shared)
UNION ALL SELECT 'shared', identifier_id, NULL, NULL, people FROM shared
UNION ALL SELECT 'refused', person_id, other, NULL, NULL FROM refused"""
_ALL: Final = """SELECT 'wanted' AS what, id AS a, kind AS b, index, NULL::text[] AS people FROM wanted
UNION ALL SELECT 'held', id, person_id, NULL, NULL FROM held
UNION ALL SELECT 'record', person_id, record_id, NULL, NULL FROM record
UNION ALL SELECT 'known', person_id, identifier_id, NULL, NULL FROM known
UNION ALL SELECT 'shared', identifier_id, NULL, NULL, people FROM shared
UNION ALL SELECT 'refused', person_id, other, NULL, NULL FROM refused
UNION ALL SELECT 'record', person_id, record_id, NULL, NULL FROM theirs
UNION ALL SELECT DISTINCT 'known', t.person_id, ri.identifier_id, NULL::bytea, NULL::text[] FROM theirs t
 CROSS JOIN LATERAL (SELECT identifier_id FROM identity.record_identifiers WHERE record_id = t.record_id OFFSET 0) AS ri"""


async def of_indexes(conn: Conn, wanted: Sequence[Index], crowd: int) -> Found:
    """Around identifiers by their blind indexes; those that are not stored are absent."""
    found = Found()
    for column, asked in asked_of(wanted):
        rest = {key: one for key, one in asked.items() if one not in found.ids}
        if rest:
            values = {"kinds": [k for k, _ in rest], "indexes": [x for _, x in rest], "crowd": crowd}
            await _read(
                conn, f"WITH {_BY_INDEX.format(column=column)}{_HELD}{_OWN}{_OTHERS} {_ALL}", values, found, rest
            )
    return found


async def loosely(conn: Conn, people: Sequence[PersonId], crowd: int) -> Found:
    """What ties these people to others who may be the same, and nothing else of them."""
    found = Found()
    if people:
        await _read(conn, f"WITH {_PEOPLE}{_OWN} {_LOOSE}", {"people": list(people), "crowd": crowd}, found, {})
    return found


async def _read(
    conn: Conn, query: str, values: dict[str, Any], found: Found, asked: dict[tuple[str, bytes], Index]
) -> None:
    cursor = await conn.execute(query, values)
    lists: dict[str, dict[Any, list[Any]]] = {
        "held": found.holders, "record": found.records, "known": found.known, "refused": found.refused,
    }  # fmt: skip
    for r in await cursor.fetchall():
        what, a, b = r["what"], r["a"], r["b"]
        if what == "wanted":
            if b is not None:
                found.ids[asked[b, bytes(r["index"])]] = a
        elif what == "shared":
            found.shared[a] = r["people"]
        else:
            lists[what].setdefault(a, []).append(b)
