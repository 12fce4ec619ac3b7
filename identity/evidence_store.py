"""All SQL on the evidence of a graph: edges, and pairs that were refused.

Contract: as in ``graph_store.py``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from identity.people import Edge
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId, RecordId


@dataclass(frozen=True, slots=True)
class Refused:
    """A pair that may be one person and was kept apart."""

    a: RecordId
    b: RecordId
    weight: float
    cause: str


async def replace_evidence(conn: Conn, edges: Iterable[Edge], refused: Iterable[Refused], number: GraphVersion) -> None:
    """The edges and refused pairs of this run in place of the earlier ones; pairs that are not doubted any more go into the past."""
    await conn.execute("DELETE FROM identity.edges")
    cursor = await conn.execute(
        "DELETE FROM identity.ambiguous RETURNING record_a, record_b, coalesce(since, version) AS since"
    )
    before = {(r["record_a"], r["record_b"]): r["since"] async for r in cursor}
    kept = list(refused)
    gone = before.keys() - {(pair.a, pair.b) for pair in kept}
    async with (
        conn.cursor() as cursor,
        cursor.copy("COPY identity.edges (record_a, record_b, weight, version) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["text", "text", "float8", "int8"])
        for edge in edges:
            await copy.write_row((edge.a, edge.b, edge.weight, number))
    async with (
        conn.cursor() as cursor,
        cursor.copy(
            "COPY identity.ambiguous (record_a, record_b, weight, cause, version, since) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["text", "text", "float8", "text", "int8", "int8"])
        for pair in kept:
            since = before.get((pair.a, pair.b), number)
            await copy.write_row((pair.a, pair.b, pair.weight, pair.cause, number, since))
    async with (
        conn.cursor() as cursor_,
        cursor_.copy(
            "COPY identity.past_ambiguous (record_a, record_b, valid_from, valid_to) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["text", "text", "int8", "int8"])
        for a, b in sorted(gone):
            await copy.write_row((a, b, before[a, b], number))


async def add_edges(conn: Conn, edges: Sequence[Edge], number: GraphVersion) -> None:
    """Edges besides those that are there; one that is there gets its new weight."""
    await conn.execute(
        "INSERT INTO identity.edges (record_a, record_b, weight, version) SELECT w.a, w.b, w.weight, %b"
        " FROM unnest(%b::text[], %b::text[], %b::float8[]) AS w(a, b, weight) ORDER BY 1, 2"
        " ON CONFLICT (record_a, record_b) DO UPDATE SET weight = excluded.weight, version = excluded.version",
        (number, [e.a for e in edges], [e.b for e in edges], [e.weight for e in edges]),
    )


async def doubts_among(conn: Conn, records: Sequence[RecordId]) -> dict[tuple[RecordId, RecordId], GraphVersion]:
    """Refused pairs with both ends among these records, each with the version in which its doubt began."""
    cursor = await conn.execute(
        "SELECT record_a, record_b, coalesce(since, version) AS since FROM identity.ambiguous"
        " WHERE record_a = ANY(%(records)b) AND record_b = ANY(%(records)b)",
        {"records": list(records)},
    )
    return {(r["record_a"], r["record_b"]): r["since"] async for r in cursor}


async def renew_doubts(
    conn: Conn,
    before: Mapping[tuple[RecordId, RecordId], GraphVersion],
    refused: Sequence[Refused],
    number: GraphVersion,
) -> None:
    """These pairs in place of those; a doubt that is over goes into the past."""
    gone = sorted(before.keys() - {(pair.a, pair.b) for pair in refused})
    columns = ([a for a, _ in gone], [b for _, b in gone])
    await conn.execute(
        "DELETE FROM identity.ambiguous m USING unnest(%b::text[], %b::text[]) AS w(a, b)"
        " WHERE m.record_a = w.a AND m.record_b = w.b",
        columns,
    )
    await conn.execute(
        "INSERT INTO identity.past_ambiguous (record_a, record_b, valid_from, valid_to)"
        " SELECT w.a, w.b, w.since, %b FROM unnest(%b::text[], %b::text[], %b::bigint[]) AS w(a, b, since)"
        " WHERE w.since < %b ON CONFLICT DO NOTHING",
        (number, *columns, [before[pair] for pair in gone], number),
    )
    await add_doubts(conn, refused, number)


async def add_doubts(conn: Conn, refused: Sequence[Refused], number: GraphVersion) -> None:
    """Refused pairs besides those that are there; a doubt that is there goes on."""
    await conn.execute(
        "INSERT INTO identity.ambiguous AS m (record_a, record_b, weight, cause, version, since)"
        " SELECT w.a, w.b, w.weight, w.cause, %b, %b FROM unnest(%b::text[], %b::text[], %b::float8[], %b::text[])"
        " AS w(a, b, weight, cause) ON CONFLICT (record_a, record_b) DO UPDATE SET weight = excluded.weight,"
        " cause = excluded.cause, version = excluded.version",
        (number, number, *([getattr(p, f) for p in refused] for f in ("a", "b", "weight", "cause"))),
    )


async def refused_pairs(conn: Conn) -> set[tuple[RecordId, RecordId]]:
    """The pairs now kept apart."""
    cursor = await conn.execute("SELECT record_a, record_b FROM identity.ambiguous")
    return {(r["record_a"], r["record_b"]) async for r in cursor}


async def evidence(conn: Conn, records: Sequence[RecordId]) -> tuple[list[Edge], list[Refused]]:
    """Edges and refused pairs that touch these records."""
    wanted = {"records": list(records)}
    cursor = await conn.execute(
        "SELECT record_a, record_b, weight FROM identity.edges WHERE record_a = ANY(%(records)b)"
        " UNION SELECT record_a, record_b, weight FROM identity.edges WHERE record_b = ANY(%(records)b) ORDER BY 1, 2",
        wanted,
    )
    edges = [Edge(r["record_a"], r["record_b"], r["weight"]) async for r in cursor]
    cursor = await conn.execute(
        "SELECT record_a, record_b, weight, cause FROM identity.ambiguous WHERE record_a = ANY(%(records)b)"
        " UNION SELECT record_a, record_b, weight, cause FROM identity.ambiguous WHERE record_b = ANY(%(records)b)"
        " ORDER BY 1, 2",
        wanted,
    )
    return edges, [Refused(r["record_a"], r["record_b"], r["weight"], r["cause"]) async for r in cursor]


async def refused_with(conn: Conn, people: Sequence[PersonId]) -> dict[PersonId, set[PersonId]]:
    """Other live people tied to these by a refused pair."""
    found: dict[PersonId, set[PersonId]] = {}
    cursor = await conn.execute(
        "SELECT DISTINCT w.id AS person_id, o.person_id AS other FROM unnest(%b::text[]) AS w(id)"
        " CROSS JOIN LATERAL (SELECT record_id FROM identity.members WHERE person_id = w.id OFFSET 0) AS m"
        " CROSS JOIN LATERAL ((SELECT record_b AS record_id FROM identity.ambiguous WHERE record_a = m.record_id OFFSET 0)"
        "  UNION ALL (SELECT record_a FROM identity.ambiguous WHERE record_b = m.record_id OFFSET 0)) AS a"
        " CROSS JOIN LATERAL (SELECT person_id FROM identity.members WHERE record_id = a.record_id OFFSET 0) AS o",
        (list(people),),
    )
    async for r in cursor:
        found.setdefault(r["person_id"], set()).add(r["other"])
    return found


async def forget_evidence(conn: Conn, records: Sequence[RecordId]) -> int:
    """Edges and refused pairs of erased records go; the number of them."""
    wanted = {"records": list(records)}
    gone = 0
    for table in ("edges", "ambiguous", "past_ambiguous"):
        cursor = await conn.execute(
            f"DELETE FROM identity.{table} WHERE record_a = ANY(%(records)b) OR record_b = ANY(%(records)b)", wanted
        )
        gone += cursor.rowcount
    return gone
